//! The exact interval of a share.

use super::special::beta_quantile;
use super::{CONFIDENCE, Interval};

/// The exact interval of a share at 95 % (Clopper and Pearson 1934, Biometrika 26:404): a share at either
/// end gives the observed successes, or more extreme ones, with probability 0.025. Without trials nothing
/// is known. More successes than trials count as all of them.
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64) -> Interval {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let successes = successes.min(trials);
    let (hits, misses) = (successes as f64, (trials - successes) as f64);
    let low = if successes == 0 {
        0.0
    } else {
        beta_quantile(hits, misses + 1.0, tail)
    };
    let high = if successes == trials {
        1.0
    } else {
        // From the other side, so that shares close to 1 keep their digits.
        1.0 - beta_quantile(misses, hits + 1.0, tail)
    };
    Interval {
        low,
        high,
        confidence: CONFIDENCE,
        method: "clopper_pearson",
        assumes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability of at most so many successes, by its sum.
    fn binomial(trials: u64, share: f64, at_most: u64) -> f64 {
        let mut probability = libm::pow(1.0 - share, trials as f64);
        let mut sum = probability;
        for count in 1..=at_most {
            probability *= (trials - count + 1) as f64 / count as f64 * share / (1.0 - share);
            sum += probability;
        }
        sum
    }

    #[test]
    fn ends_are_those_of_the_binomial_sums() {
        for (successes, trials) in [
            (0, 40),
            (1, 40),
            (20, 40),
            (39, 40),
            (3, 1000),
            (300, 1000),
            (0, 1),
            (1, 2),
        ] {
            let interval = clopper_pearson(successes, trials);
            let high = binomial(trials, interval.high, successes);
            assert!((high - 0.025).abs() < 1e-9, "{successes} of {trials}: {high}");
            if successes > 0 {
                let low = 1.0 - binomial(trials, interval.low, successes - 1);
                assert!((low - 0.025).abs() < 1e-9, "{successes} of {trials}: {low}");
            }
        }
        let none = clopper_pearson(0, 0);
        assert_eq!((none.low, none.high), (0.0, 1.0));
        let many = clopper_pearson(0, 10_000_000);
        assert!((many.high / 3.688_879_5e-7 - 1.0).abs() < 1e-6, "{many:?}");
    }

    #[test]
    fn successes_and_failures_are_mirrored() {
        for successes in 0..=30 {
            let (one, other) = (
                clopper_pearson(successes, 30),
                clopper_pearson(30 - successes, 30),
            );
            assert!((one.low - (1.0 - other.high)).abs() < 1e-12);
        }
    }
}
