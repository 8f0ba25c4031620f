//! Draws without replacement.

use std::collections::HashMap;

use rand::RngExt;

use super::Stream;

/// So many different numbers below `population`, in the order of the draws: any first part of them is a simple random
/// sample. All of them in a random order where there are no more (Fisher and Yates; only what moved is kept).
pub(super) fn distinct(population: u64, count: u64, random: &mut Stream) -> Vec<u64> {
    let mut moved: HashMap<u64, u64> = HashMap::new();
    (0..count.min(population))
        .map(|at| {
            let other = random.random_range(at..population);
            let drawn = *moved.get(&other).unwrap_or(&other);
            let here = moved.remove(&at).unwrap_or(at);
            if other != at {
                moved.insert(other, here);
            }
            drawn
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::stream;
    use super::*;

    #[test]
    fn every_number_comes_once_and_every_set_is_as_likely() {
        for (population, count) in [(0, 3), (1, 1), (7, 7), (50, 20), (u64::MAX, 100)] {
            let mut drawn = distinct(population, count, &mut stream(5, 1));
            assert_eq!(drawn.len() as u64, count.min(population));
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len() as u64, count.min(population));
            assert!(drawn.iter().all(|&number| number < population));
        }
        let mut seen: HashMap<Vec<u64>, u32> = HashMap::new();
        let mut random = stream(1, 0);
        for _ in 0..60_000 {
            *seen.entry(distinct(5, 3, &mut random)).or_default() += 1;
        }
        // 60 ordered draws, 1,000 times each; five standard deviations are 157.
        assert_eq!(seen.len(), 60);
        assert!(seen.values().all(|count| count.abs_diff(1000) < 157), "{seen:?}");
    }
}
