//! Where the cells of one strike lie.
//!
//! Cells are neighbours as they lie on the chip ([`Geometry`]): rows and columns, interleaving included.
//! A strike never leaves its array, nor its bank.

use rand::{Rng, RngExt};

use crate::accelerator::Geometry;
use crate::radiation::Offset;

/// Places a cluster in an array and puts the numbers of its cells into `cells`, each once. Returns how
/// many of its cells fell on places that hold nothing.
///
/// A run of `k` consecutive columns (a burst) starts uniformly at one of the places where all of it fits:
/// columns in order, and behind the last column of a row the first one of the next. Any other shape, and a
/// run that fits nowhere, starts at a cell drawn uniformly; what then lies outside the array is cut off.
///
/// `cluster` holds each offset once; an array without cells has none to give.
pub fn place(geometry: &Geometry, cluster: &[Offset], random: &mut impl Rng, cells: &mut Vec<u64>) -> u32 {
    cells.clear();
    if geometry.cells() == 0 {
        return cluster.len() as u32;
    }
    if cluster.len() == 1 {
        cells.push(random.random_range(0..geometry.cells()));
        return 0;
    }
    if let Some(start) = run_start(geometry, cluster, random) {
        cells.extend((start..start + cluster.len() as u64).filter_map(|place| at(geometry, place)));
        return 0;
    }
    let (row, column) = geometry.place(random.random_range(0..geometry.cells()));
    let bank = geometry.bank(row);
    cells.extend(cluster.iter().filter_map(|offset| {
        let row = row as i64 + i64::from(offset.row);
        if u64::try_from(row).is_ok_and(|row| geometry.bank(row) != bank) {
            return None;
        }
        let column = column as i64 + i64::from(offset.column);
        geometry.cell(row, column)
    }));
    (cluster.len() - cells.len()) as u32
}

/// The cell at a place counted row by row.
fn at(geometry: &Geometry, place: u64) -> Option<u64> {
    let columns = geometry.columns();
    geometry.cell((place / columns) as i64, (place % columns) as i64)
}

/// The cells of a run of so many consecutive columns that starts at a cell, as [`place`] lays one: the cell itself,
/// then those behind it. None where not all of it fits.
#[must_use]
pub fn run_from(geometry: &Geometry, cell: u64, length: u32) -> Option<Vec<u64>> {
    let (row, column) = geometry.place(cell);
    let start = row * geometry.columns() + column;
    let end = start + u64::from(length.max(1)) - 1;
    let bank = |place: u64| geometry.bank(place / geometry.columns());
    if bank(start) != bank(end) {
        return None;
    }
    (start..=end).map(|place| at(geometry, place)).collect()
}

/// A start drawn uniformly among those from which a run lies in the array with all its cells; none where
/// the cluster is no run or fits nowhere.
fn run_start(geometry: &Geometry, cluster: &[Offset], random: &mut impl Rng) -> Option<u64> {
    let is_run = (0i32..)
        .zip(cluster)
        .all(|(at, offset)| *offset == Offset { row: 0, column: at });
    if !is_run {
        return None;
    }
    let length = cluster.len() as u64;
    let places = geometry.rows() * geometry.columns();
    let bank = |place: u64| geometry.bank(place / geometry.columns());
    let fits = |start: u64| {
        bank(start) == bank(start + length - 1)
            && (start..start + length).all(|place| at(geometry, place).is_some())
    };
    // Only the last row may have places without a cell.
    let whole = geometry.cells() / geometry.columns() * geometry.columns();
    if places == whole && bank(places - 1) == 0 {
        return (length <= places).then(|| random.random_range(0..=places - length));
    }
    // The first of several banks is full.
    let full = if bank(places - 1) == 0 {
        whole
    } else {
        geometry.bank_rows() * geometry.columns()
    };
    if length <= full {
        loop {
            let start = random.random_range(0..places);
            if fits(start) {
                return Some(start);
            }
        }
    }
    let starts: Vec<u64> = (0..places).filter(|&start| fits(start)).collect();
    (!starts.is_empty()).then(|| starts[random.random_range(0..starts.len())])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::radiation::Clusters;

    fn burst(length: u32) -> Vec<Offset> {
        Clusters::burst(length).draw(&mut ChaCha8Rng::seed_from_u64(0))
    }

    /// All places of a run by going along the rows, cell by cell.
    fn all_runs(geometry: &Geometry, length: usize) -> Vec<Vec<u64>> {
        let row_by_row: Vec<Option<u64>> = (0..geometry.rows() as i64)
            .flat_map(|row| (0..geometry.columns() as i64).map(move |column| (row, column)))
            .map(|(row, column)| geometry.cell(row, column))
            .collect();
        let bank = |cell: &u64| geometry.bank(geometry.place(*cell).0);
        row_by_row
            .windows(length)
            .filter_map(|window| window.iter().copied().collect())
            .filter(|run: &Vec<u64>| run.iter().all(|cell| bank(cell) == bank(&run[0])))
            .collect()
    }

    #[test]
    fn bursts_are_uniform_over_all_places_where_they_fit() {
        for (cells, word_bits, interleave, banks, length) in [
            (12, 4, 1, 1, 3),
            (11, 4, 1, 1, 3),
            (24, 4, 2, 1, 2),
            (20, 4, 2, 1, 2),
            (21, 4, 3, 1, 2),
            (3, 4, 1, 1, 2),
            (8, 4, 1, 1, 8),
            (24, 4, 1, 2, 3),
            (27, 4, 1, 3, 4),
            (40, 4, 2, 2, 9),
        ] {
            let geometry = Geometry::new(cells, word_bits, interleave).in_banks(banks);
            let runs = all_runs(&geometry, length);
            let mut seen: BTreeMap<Vec<u64>, u32> = runs.iter().map(|run| (run.clone(), 0)).collect();
            let mut random = ChaCha8Rng::seed_from_u64(4);
            let (mut found, each) = (Vec::new(), 400);
            for _ in 0..runs.len() * each {
                assert_eq!(
                    place(&geometry, &burst(length as u32), &mut random, &mut found),
                    0
                );
                *seen.get_mut(&found).expect("one of the places") += 1;
            }
            // Pearson's statistic; at 1e-6 for up to 40 degrees of freedom it is below 110.
            let chi2: f64 = seen
                .values()
                .map(|&count| (f64::from(count) - each as f64).powi(2) / each as f64)
                .sum();
            assert!(
                chi2 < 2.75 * seen.len() as f64 + 25.0,
                "{geometry:?}: {chi2} over {}",
                seen.len()
            );
        }
    }

    #[test]
    fn runs_from_a_cell_are_all_runs() {
        for (cells, word_bits, interleave, banks, length) in [
            (11, 4, 1, 1, 3),
            (21, 4, 3, 1, 2),
            (3, 4, 1, 1, 4),
            (27, 4, 1, 3, 4),
            (40, 4, 2, 2, 9),
        ] {
            let geometry = Geometry::new(cells, word_bits, interleave).in_banks(banks);
            let mut expected = all_runs(&geometry, length);
            let mut found: Vec<Vec<u64>> = (0..cells)
                .filter_map(|cell| run_from(&geometry, cell, length as u32))
                .collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_fits_nowhere_is_cut_off_and_counted() {
        let geometry = Geometry::new(5, 5, 1);
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut cells = Vec::new();
        for _ in 0..100 {
            let cut_off = place(&geometry, &burst(8), &mut random, &mut cells);
            assert_eq!((cells.len() as u32 + cut_off, cells.last()), (8, Some(&4)));
        }
        // A diagonal pair in one row of words has only its first cell there.
        let diagonal = [Offset { row: 0, column: 1 }, Offset { row: 1, column: 0 }];
        assert_eq!(place(&geometry, &diagonal[1..], &mut random, &mut cells), 0);
        let cut: u32 = (0..50)
            .map(|_| place(&geometry, &diagonal, &mut random, &mut cells))
            .sum();
        assert!(cut >= 50, "{cut}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bursts_stay_in_the_array_and_an_interleave_spreads_them(
            words in 1u64..40,
            word_bits in 1u32..20,
            interleave in 1u32..10,
            length in 1u32..10,
            seed in 0u64..100,
        ) {
            let geometry = Geometry::new(words * u64::from(word_bits), word_bits, interleave);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut cells = Vec::new();
            for _ in 0..20 {
                let cut_off = place(&geometry, &burst(length), &mut random, &mut cells);
                prop_assert_eq!(cells.len() as u32 + cut_off, length);
                prop_assert!(cells.iter().all(|&cell| cell < geometry.cells()));
                let mut words: Vec<u64> = cells.iter().map(|cell| cell / u64::from(word_bits)).collect();
                let mut sorted = cells.clone();
                sorted.sort_unstable();
                sorted.dedup();
                prop_assert_eq!(sorted.len(), cells.len());
                words.sort_unstable();
                words.dedup();
                if geometry.interleave() >= u64::from(length) {
                    prop_assert_eq!(words.len(), cells.len());
                }
                if interleave == 1 && cut_off == 0 {
                    // Consecutive bits, on into the next word.
                    prop_assert!(cells.windows(2).all(|pair| pair[1] == pair[0] + 1));
                }
            }
        }

        #[test]
        fn any_shape_keeps_its_form(
            words in 2u64..40,
            word_bits in 2u32..20,
            interleave in 1u32..5,
            shape in proptest::collection::btree_set((-2i32..3, -2i32..3), 2..6),
            seed in 0u64..100,
        ) {
            let geometry = Geometry::new(words * u64::from(word_bits), word_bits, interleave);
            let shape: Vec<Offset> = shape.into_iter().map(|(row, column)| Offset { row, column }).collect();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut cells = Vec::new();
            let cut_off = place(&geometry, &shape, &mut random, &mut cells);
            prop_assert_eq!(cells.len() + cut_off as usize, shape.len());
            let places: Vec<(i64, i64)> = cells
                .iter()
                .map(|&cell| geometry.place(cell))
                .map(|(row, column)| (row as i64, column as i64))
                .collect();
            // The struck cell is somewhere from where every placed cell is at one of the offsets.
            let is_run = shape.iter().zip(0i32..).all(|(o, at)| (o.row, o.column) == (0, at));
            let rows = geometry.rows() as i64;
            let columns = geometry.columns() as i64;
            let matches = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).any(|(row, column)| {
                places.iter().all(|&(r, c)| shape.iter().any(|o| (row + i64::from(o.row), column + i64::from(o.column)) == (r, c)))
            });
            prop_assert!(is_run || matches);
        }
    }
}
