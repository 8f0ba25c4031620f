//! How often a strike reaches certain cells: the law of [`place`](super::place()), summed over all places.

use crate::accelerator::Geometry;
use crate::radiation::{Clusters, Offset};

/// What a strike on an array does to marked cells, as means over all strikes on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reach {
    /// Share of the strikes that flip at least one marked cell.
    pub strikes: f64,
    /// Marked cells that a strike flips.
    pub flipped_cells: f64,
}

/// How strikes with these clusters reach the marked cells of an array. Strikes fall as [`place`](super::place())
/// lets them fall: runs uniformly over the places where all of them fits, other shapes at a cell drawn uniformly
/// and cut off at the edges.
///
/// Time is in proportion to the cells of the array times the cells of all shapes, and does not depend on the
/// length of runs along a row.
#[must_use]
pub fn reach(geometry: &Geometry, clusters: &Clusters, marked: impl Fn(u64) -> bool) -> Reach {
    let mut sum = Reach::default();
    if geometry.cells() == 0 {
        return sum;
    }
    let marks: Vec<bool> = (0..geometry.cells()).map(marked).collect();
    if !marks.contains(&true) {
        return sum;
    }
    for &(size, share) in clusters.sizes() {
        for (of_size, cells) in clusters.shapes(size) {
            let one = shape(geometry, &cells, &marks);
            sum.strikes += share * of_size * one.strikes;
            sum.flipped_cells += share * of_size * one.flipped_cells;
        }
    }
    // Shares sum to 1 but for their last bits.
    Reach {
        strikes: sum.strikes.min(1.0),
        flipped_cells: sum.flipped_cells.min(clusters.mean_bits()),
    }
}

fn shape(geometry: &Geometry, cluster: &[Offset], marks: &[bool]) -> Reach {
    let is_run = (0i32..)
        .zip(cluster)
        .all(|(at, offset)| *offset == Offset { row: 0, column: at });
    if is_run && let Some(reach) = run(geometry, cluster.len() as u64, marks) {
        return reach;
    }
    let (mut strikes, mut flips) = (0_u64, 0_u64);
    for struck in 0..geometry.cells() {
        let (row, column) = geometry.place(struck);
        let bank = geometry.bank(row);
        let hit = cluster
            .iter()
            .filter(|offset| {
                let row = row as i64 + i64::from(offset.row);
                let same = u64::try_from(row).is_ok_and(|row| geometry.bank(row) == bank);
                let cell = geometry.cell(row, column as i64 + i64::from(offset.column));
                same && cell.is_some_and(|cell| marks[cell as usize])
            })
            .count() as u64;
        strikes += u64::from(hit > 0);
        flips += hit;
    }
    let places = geometry.cells() as f64;
    Reach {
        strikes: strikes as f64 / places,
        flipped_cells: flips as f64 / places,
    }
}

/// A run along the rows, by a window that goes along; none where it fits nowhere.
fn run(geometry: &Geometry, length: u64, marks: &[bool]) -> Option<Reach> {
    let columns = geometry.columns();
    let (mut starts, mut strikes, mut flips) = (0_u64, 0_u64, 0_u64);
    // Marked cells in the window, whose first place is `start`.
    let (mut start, mut inside) = (0, 0_u64);
    let cell = |place: u64| geometry.cell((place / columns) as i64, (place % columns) as i64);
    let bank = |place: u64| geometry.bank(place / columns);
    let is_marked = |place: u64| cell(place).is_some_and(|cell| marks[cell as usize]);
    for place in 0..geometry.rows() * columns {
        if cell(place).is_none() || bank(place) != bank(start) {
            // Nothing runs across a place without a cell, or out of a bank.
            start = if cell(place).is_none() { place + 1 } else { place };
            inside = 0;
        }
        if cell(place).is_none() {
            continue;
        }
        inside += u64::from(is_marked(place));
        if place + 1 - start > length {
            inside -= u64::from(is_marked(start));
            start += 1;
        }
        if place + 1 - start == length {
            starts += 1;
            strikes += u64::from(inside > 0);
            flips += inside;
        }
    }
    (starts > 0).then(|| Reach {
        strikes: strikes as f64 / starts as f64,
        flipped_cells: flips as f64 / starts as f64,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::fault::place;

    /// What a run hits from every place that the law names, place by place.
    fn by_places(geometry: &Geometry, length: u64, marks: &[bool]) -> Reach {
        let line: Vec<Option<u64>> = (0..geometry.rows() as i64)
            .flat_map(|row| (0..geometry.columns() as i64).map(move |column| (row, column)))
            .map(|(row, column)| geometry.cell(row, column))
            .collect();
        let bank = |cell: u64| geometry.bank(geometry.place(cell).0);
        let runs: Vec<Vec<u64>> = line
            .windows(length as usize)
            .filter_map(|window| window.iter().copied().collect::<Option<Vec<u64>>>())
            .filter(|run| run.iter().all(|&cell| bank(cell) == bank(run[0])))
            .collect();
        let hits = |run: &Vec<u64>| run.iter().filter(|&&cell| marks[cell as usize]).count();
        let touched = runs.iter().filter(|run| hits(run) > 0).count();
        Reach {
            strikes: touched as f64 / runs.len() as f64,
            flipped_cells: runs.iter().map(hits).sum::<usize>() as f64 / runs.len() as f64,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_are_counted_over_all_their_places(
            cells in 1u64..90, word_bits in 1u32..9, interleave in 1u32..4, banks in 1u32..4,
            length in 1u32..9, seed: u64,
        ) {
            let geometry = Geometry::new(cells, word_bits, interleave).in_banks(banks);
            let marks: Vec<bool> = (0..cells).map(|cell| (seed >> (cell % 64)) & 1 == 1).collect();
            let got = reach(&geometry, &Clusters::burst(length), |cell| marks[cell as usize]);
            let line = geometry.rows() * geometry.columns();
            let expected = by_places(&geometry, u64::from(length).min(line), &marks);
            if expected.strikes.is_finite() && u64::from(length) <= line {
                prop_assert!((got.strikes - expected.strikes).abs() < 1e-12, "{got:?} {expected:?}");
                prop_assert!((got.flipped_cells - expected.flipped_cells).abs() < 1e-12);
            }
            prop_assert!(got.strikes <= 1.0 && got.strikes <= got.flipped_cells + 1e-12);
            prop_assert!(got.flipped_cells <= f64::from(length) + 1e-12);
        }

        /// Each drawn strike is one of those that are summed, and their mean is near the sum.
        #[test]
        fn drawn_strikes_have_that_mean(cells in 4u64..40, word_bits in 1u32..7, banks in 1u32..3, seed: u64) {
            let geometry = Geometry::new(cells, word_bits, 1).in_banks(banks);
            let marks: BTreeSet<u64> = (0..cells).filter(|cell| (seed >> cell) & 1 == 1).collect();
            let shape = [(0, 0), (1, -1), (1, 1), (2, 0)].map(|(row, column)| Offset { row, column });
            let all: Vec<bool> = (0..cells).map(|cell| marks.contains(&cell)).collect();
            let expected = super::shape(&geometry, &shape, &all);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let (mut strikes, mut flips, mut hit) = (0, 0, Vec::new());
            let draws = 4000;
            for _ in 0..draws {
                place(&geometry, &shape, &mut random, &mut hit);
                let marked = hit.iter().filter(|cell| marks.contains(cell)).count();
                strikes += usize::from(marked > 0);
                flips += marked;
            }
            // Six standard errors of a mean of numbers up to 4.
            let bound = 6.0 * 2.0 / f64::from(draws).sqrt();
            prop_assert!((strikes as f64 / f64::from(draws) - expected.strikes).abs() < bound);
            prop_assert!((flips as f64 / f64::from(draws) - expected.flipped_cells).abs() < bound);
        }
    }

    #[test]
    fn single_cells_are_reached_by_their_share() {
        let geometry = Geometry::new(10, 4, 1);
        let got = reach(&geometry, &Clusters::single(), |cell| cell < 3);
        assert!((got.strikes - 0.3).abs() < 1e-15 && (got.flipped_cells - 0.3).abs() < 1e-15);
        assert_eq!(reach(&geometry, &Clusters::burst(4), |_| false), Reach::default());
    }
}
