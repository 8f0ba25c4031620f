//! The exact interval of the rate of a Poisson process.

use super::special::{gamma_p, poisson_mean};
use super::{CONFIDENCE, Interval};

/// The exact interval at 95 % of a rate from so many events of a Poisson process in some exposure, in
/// events per unit of it (Garwood 1936, Biometrika 28:437). Without exposure nothing is known.
#[must_use]
pub fn garwood(count: u64, exposure: f64) -> Interval {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (low, high) = if exposure > 0.0 {
        let shape = count as f64;
        let low = if count == 0 {
            0.0
        } else {
            poisson_mean(|mean| gamma_p(shape, mean) < tail, shape)
        };
        let high = poisson_mean(|mean| gamma_p(shape + 1.0, mean) < 1.0 - tail, shape + 1.0);
        (low / exposure, high / exposure)
    } else {
        (0.0, f64::INFINITY)
    };
    Interval {
        low,
        high,
        confidence: CONFIDENCE,
        method: "garwood",
        assumes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of the Poisson probabilities of `range`.
    fn poisson(mean: f64, range: std::ops::RangeInclusive<u64>) -> f64 {
        let mut probability = libm::exp(-mean);
        let mut sum = 0.0;
        for count in 0..=*range.end() {
            if count > 0 {
                probability *= mean / count as f64;
            }
            sum += if range.contains(&count) { probability } else { 0.0 };
        }
        sum
    }

    #[test]
    fn garwood_intervals_are_those_of_the_poisson_sums() {
        for count in [0, 1, 2, 10, 100, 400] {
            let interval = garwood(count, 2.0);
            let high = poisson(2.0 * interval.high, 0..=count);
            assert!((high - 0.025).abs() < 1e-9, "{count}: {high}");
            if count == 0 {
                assert_eq!(interval.low, 0.0);
            } else {
                let low = 1.0 - poisson(2.0 * interval.low, 0..=count - 1);
                assert!((low - 0.025).abs() < 1e-9, "{count}: {low}");
            }
        }
        // Printed tables: no event -> 3.689, ten events -> 4.795 to 18.39.
        assert!((garwood(0, 1.0).high - 3.6889).abs() < 1e-4);
        let ten = garwood(10, 1.0);
        assert!((ten.low - 4.7954).abs() < 1e-4 && (ten.high - 18.3904).abs() < 1e-4);
        assert!(garwood(3, 0.0).high.is_infinite());
        let many = garwood(1_000_000, 1.0);
        assert!(
            (many.high - 1_001_961.0).abs() < 2.0 && (many.low - 998_041.0).abs() < 2.0,
            "{many:?}"
        );
    }
}
