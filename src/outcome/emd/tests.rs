use proptest::prelude::*;

use super::*;

/// The same by shortest augmenting paths in floating point (Bellman-Ford, full masses, no
/// reduction): slow and plain.
fn by_augmenting_paths(cells: usize, distances: &[f64], target: &[f64], output: &[f64]) -> f64 {
    const NOTHING: f64 = 1e-14;
    let normalised = |values: &[f64]| {
        let sum: f64 = values.iter().sum();
        values.iter().map(|value| value / sum).collect::<Vec<f64>>()
    };
    let (mut supply, mut demand) = (normalised(target), normalised(output));
    let mut flow = vec![vec![0.0f64; cells]; cells];
    loop {
        // Nodes: targets 0..cells, outputs cells..2 cells.
        let mut length = vec![f64::INFINITY; 2 * cells];
        let mut before = vec![usize::MAX; 2 * cells];
        for i in 0..cells {
            if supply[i] > NOTHING {
                length[i] = 0.0;
            }
        }
        loop {
            let mut relaxed = false;
            for i in 0..cells {
                for j in 0..cells {
                    let distance = distances[i * cells + j];
                    if length[i] + distance < length[cells + j] - 1e-12 {
                        length[cells + j] = length[i] + distance;
                        before[cells + j] = i;
                        relaxed = true;
                    }
                    if flow[i][j] > NOTHING && length[cells + j] - distance < length[i] - 1e-12 {
                        length[i] = length[cells + j] - distance;
                        before[i] = cells + j;
                        relaxed = true;
                    }
                }
            }
            if !relaxed {
                break;
            }
        }
        let Some(end) = (0..cells)
            .filter(|&j| demand[j] > NOTHING && length[cells + j].is_finite())
            .min_by(|&a, &b| length[cells + a].total_cmp(&length[cells + b]))
        else {
            break;
        };
        let mut amount = demand[end];
        let mut node = cells + end;
        while before[node] != usize::MAX {
            if node < cells {
                amount = amount.min(flow[node][before[node] - cells]);
            }
            node = before[node];
        }
        amount = amount.min(supply[node]);
        supply[node] -= amount;
        demand[end] -= amount;
        let mut node = cells + end;
        while before[node] != usize::MAX {
            if node < cells {
                flow[node][before[node] - cells] -= amount;
            } else {
                flow[before[node]][node - cells] += amount;
            }
            node = before[node];
        }
    }
    (0..cells * cells)
        .map(|at| flow[at / cells][at % cells] * distances[at])
        .sum()
}

fn euclidean(points: &[(f64, f64)]) -> Vec<f64> {
    points
        .iter()
        .flat_map(|a| points.iter().map(|b| libm::hypot(a.0 - b.0, a.1 - b.1)))
        .collect()
}

/// Solves and checks the certificate of optimality.
fn checked(mover: &EarthMover, target: &[f64], output: &[f64]) -> f64 {
    let mut scratch = Scratch::default();
    let emd = mover.emd(target, output, &mut scratch);
    if !scratch.sources.is_empty() && emd >= 0.0 {
        scratch.transport.assert_optimal();
    }
    emd
}

/// Masses with many zeros and many ties, as well as plain ones.
fn masses(cells: usize) -> impl Strategy<Value = Vec<f64>> {
    let mass = prop_oneof![
        Just(0.0),
        (0u8..4).prop_map(f64::from),
        0.0..1.0f64,
        (0.0..1e-9f64),
    ];
    prop::collection::vec(mass, cells).prop_map(|mut masses| {
        if masses.iter().sum::<f64>() <= 0.0 {
            masses[0] = 1.0;
        }
        masses
    })
}

fn metric_case() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    (1usize..12).prop_flat_map(|cells| {
        let grid = prop::collection::vec((0u8..4, 0u8..4), cells).prop_map(|points| {
            points
                .iter()
                .map(|&(x, y)| (f64::from(x), f64::from(y)))
                .collect::<Vec<_>>()
        });
        let free = prop::collection::vec((0.0..5.0f64, 0.0..5.0f64), cells);
        (
            prop_oneof![grid, free].prop_map(|points| euclidean(&points)),
            masses(cells),
            masses(cells),
        )
    })
}

fn arbitrary_case() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    (1usize..9).prop_flat_map(|cells| {
        let distance = prop_oneof![(0u8..5).prop_map(f64::from), 0.0..7.0f64];
        (
            prop::collection::vec(distance, cells * cells),
            masses(cells),
            masses(cells),
        )
    })
}

/// Cells in a row, one apart: the distance, and the area between the cumulated masses.
fn on_a_line(target: &[f64], output: &[f64]) -> (f64, f64) {
    let cells = target.len();
    let distances: Vec<f64> = (0..cells * cells)
        .map(|at| (at / cells).abs_diff(at % cells) as f64)
        .collect();
    let mover = EarthMover::new(&[cells, cells], &distances).unwrap();
    let (a, b): (f64, f64) = (target.iter().sum(), output.iter().sum());
    let (mut ahead, mut area) = (0.0f64, 0.0);
    for (x, y) in target.iter().zip(output) {
        ahead += x / a - y / b;
        area += ahead.abs();
    }
    (checked(&mover, target, output), area)
}

proptest! {
    #[test]
    fn a_metric_agrees_with_augmenting_paths((distances, target, output) in metric_case()) {
        let cells = target.len();
        let mover = EarthMover::new(&[cells, cells], &distances).unwrap();
        prop_assert!(mover.is_metric());
        let fast = checked(&mover, &target, &output);
        let slow = by_augmenting_paths(cells, &distances, &target, &output);
        prop_assert!((fast - slow).abs() < 1e-10, "{fast} {slow}");
        let full = EarthMover { is_metric: false, ..mover };
        prop_assert!((checked(&full, &target, &output) - fast).abs() < 1e-11);
    }

    #[test]
    fn any_distance_agrees_with_augmenting_paths((distances, target, output) in arbitrary_case()) {
        let cells = target.len();
        let mover = EarthMover::new(&[cells, cells], &distances).unwrap();
        let fast = checked(&mover, &target, &output);
        let slow = by_augmenting_paths(cells, &distances, &target, &output);
        prop_assert!((fast - slow).abs() < 1e-10, "{fast} {slow}");
    }

    #[test]
    fn scratch_from_another_problem_changes_nothing(
        (first, a, b) in metric_case(),
        (second, c, d) in arbitrary_case(),
    ) {
        let one = EarthMover::new(&[a.len(), a.len()], &first).unwrap();
        let other = EarthMover::new(&[c.len(), c.len()], &second).unwrap();
        let mut shared = Scratch::default();
        for _ in 0..2 {
            let got = one.emd(&a, &b, &mut shared);
            prop_assert_eq!(got.to_bits(), one.emd(&a, &b, &mut Scratch::default()).to_bits());
            let got = other.emd(&c, &d, &mut shared);
            prop_assert_eq!(got.to_bits(), other.emd(&c, &d, &mut Scratch::default()).to_bits());
        }
    }

    #[test]
    fn on_a_line_it_is_the_area_between_the_cumulated_masses(
        (target, output) in (2usize..60).prop_flat_map(|cells| (masses(cells), masses(cells)))
    ) {
        let (emd, area) = on_a_line(&target, &output);
        prop_assert!((emd - area).abs() < 1e-10, "{emd} {area}");
    }
}

#[test]
fn hundreds_of_cells() {
    let numbers = |salt: u32| -> Vec<f64> {
        let number = |i: u32| f64::from((i + salt).wrapping_mul(2_654_435_761) >> 20);
        (0..700).map(number).collect()
    };
    let (emd, area) = on_a_line(&numbers(1), &numbers(1000));
    // 2^-50 of mass and 2^-40 of the largest distance, for every cell.
    assert!((emd - area).abs() < 1e-9 && area > 0.1, "{emd} {area}");
}

#[test]
fn conventions_for_vectors_without_mass() {
    let mover = EarthMover::new(&[2, 2], &[0.0, 1.0, 1.0, 0.0]).unwrap();
    let mut scratch = Scratch::default();
    let mut emd = |target: [f64; 2], output: [f64; 2]| mover.emd(&target, &output, &mut scratch);
    assert_eq!(emd([0.0, 0.0], [1.0, 0.0]), EMPTY_TARGET);
    assert_eq!(emd([0.0, 0.0], [0.0, 0.0]), EMPTY_TARGET);
    assert_eq!(emd([0.0, 2.0], [0.0, 0.0]), EMPTY_OUTPUT);
    assert_eq!(emd([0.0, 2.0], [1.0, -3.0]), EMPTY_OUTPUT);
    assert_eq!(emd([0.0, 2.0], [f64::NAN, 3.0]), EMPTY_OUTPUT);
    assert_eq!(emd([0.0, 2.0], [f64::INFINITY, 3.0]), EMPTY_OUTPUT);
    assert_eq!(emd([0.0, 2.0], [0.0, 5.0]), 0.0);
    assert_eq!(emd([0.0, 2.0], [5.0, 0.0]), 1.0);
    assert_eq!(emd([1.0, 1.0], [3.0, -1.0]), 0.5);
}

#[test]
fn refuses_what_is_no_distance() {
    for (shape, values) in [
        (vec![2, 3], vec![0.0; 6]),
        (vec![4], vec![0.0; 4]),
        (vec![2, 2], vec![0.0; 3]),
        (vec![0, 0], vec![]),
        (vec![2, 2], vec![0.0, -1.0, 1.0, 0.0]),
        (vec![1, 1], vec![f64::NAN]),
    ] {
        assert!(EarthMover::new(&shape, &values).is_err(), "{shape:?}");
    }
}

#[test]
fn a_shortcut_over_a_third_cell_is_no_metric() {
    let mover = EarthMover::new(&[3, 3], &[0., 1., 5., 1., 0., 1., 5., 1., 0.]).unwrap();
    assert!(!mover.is_metric());
    // Leaving the middle's half in place would cost 5 / 2; shifting both halves by one cell costs 1.
    let emd = mover.emd(&[0.5, 0.5, 0.0], &[0.0, 0.5, 0.5], &mut Scratch::default());
    assert!((emd - 1.0).abs() < 1e-12);
}

/// A walk over problems that differ little: some masses change, appear or vanish, now and then the target as well.
#[test]
fn where_the_search_starts_changes_nothing() {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let (mut warm_ways, mut ties) = (0, 0);
    for case in 0..200 {
        let cells = rng.random_range(1..26);
        let on_grid = case % 2 == 0;
        let point = |rng: &mut rand_chacha::ChaCha8Rng| {
            if on_grid {
                (
                    f64::from(rng.random_range(0..4u8)),
                    f64::from(rng.random_range(0..4u8)),
                )
            } else {
                (rng.random_range(0.0..5.0), rng.random_range(0.0..5.0))
            }
        };
        let mut distances = euclidean(&(0..cells).map(|_| point(&mut rng)).collect::<Vec<_>>());
        if case % 5 == 4 {
            // No metric.
            distances
                .iter_mut()
                .for_each(|d| *d = f64::from(rng.random_range(0..3u8)));
        }
        let mover = EarthMover::new(&[cells, cells], &distances).unwrap();
        let mass = |rng: &mut rand_chacha::ChaCha8Rng| match rng.random_range(0..4u8) {
            0 => 0.0,
            // Many subsets balance each other.
            1 | 2 if on_grid => f64::from(rng.random_range(1..4u8)),
            _ => rng.random_range(0.0..1.0),
        };
        let mut target: Vec<f64> = (0..cells).map(|_| mass(&mut rng)).collect();
        let mut output = target.clone();
        let mut scratch = Scratch::default();
        for step in 0..30 {
            for _ in 0..rng.random_range(0..4u8) {
                let at = rng.random_range(0..cells);
                output[at] = mass(&mut rng);
            }
            if step % 7 == 6 {
                target.rotate_left(1);
            }
            let warm = mover.emd(&target, &output, &mut scratch);
            if !scratch.sources.is_empty() && warm > 0.0 {
                scratch.transport.assert_optimal();
                warm_ways += usize::from(step > 0);
                ties += usize::from(on_grid);
            }
            let cold = mover.emd(&target, &output, &mut Scratch::default());
            assert_eq!(
                warm.to_bits(),
                cold.to_bits(),
                "case {case}, step {step}: {warm} {cold}"
            );
        }
    }
    assert!(warm_ways > 3000 && ties > 1000, "{warm_ways} {ties}");
}
