//! Intervals of sampled numbers.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// A sampled number's interval, and how it was obtained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence, between 0 and 1.
    pub confidence: f64,
    /// `wilson`, `garwood` or `bootstrap` (percentile).
    pub method: &'static str,
}

const CONFIDENCE: f64 = 0.95;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// The percentile bootstrap interval of a mean at 95 % (Efron and Tibshirani, An Introduction to the
/// Bootstrap, 1993, chapter 13). Depends on the values and the seed alone.
///
/// Returns a degenerate interval for fewer than two values.
#[must_use]
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Interval {
    let confidence = 0.95;
    let mean = |sum: f64| sum / values.len().max(1) as f64;
    if values.len() < 2 {
        let only = mean(values.iter().sum());
        return Interval {
            low: only,
            high: only,
            confidence,
            method: "bootstrap",
        };
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            mean(
                (0..values.len())
                    .map(|_| values[random.random_range(0..values.len())])
                    .sum(),
            )
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let tail = ((1.0 - confidence) / 2.0 * RESAMPLES as f64) as usize;
    Interval {
        low: means[tail],
        high: means[RESAMPLES - 1 - tail],
        confidence,
        method: "bootstrap",
    }
}

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
    }
}

/// The mean at which a condition ceases to hold; it holds for small ones.
fn poisson_mean(holds: impl Fn(f64) -> bool, near: f64) -> f64 {
    let (mut low, mut high) = (0.0, near + 10.0);
    while holds(high) {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized lower incomplete gamma function: the probability of at least `a` events of a Poisson
/// process of mean `x`, for whole `a` above 0 (Abramowitz and Stegun 6.5.29 for small `x`, 6.5.31 for
/// large).
fn gamma_p(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return scale * sum;
    }
    // The continued fraction, evaluated from the front (Lentz).
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (f64::MAX, 1.0 / b);
    let mut fraction = d;
    let mut n = 0.0;
    loop {
        n += 1.0;
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON || n > 1e7 {
            return 1.0 - scale * fraction;
        }
    }
}

/// The Wilson score interval of a share at 95 % (Wilson 1927, Journal of the American Statistical
/// Association 22:209).
#[must_use]
pub fn wilson(successes: u64, trials: u64) -> Interval {
    // The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let confidence = 0.95;
    if trials == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
            confidence,
            method: "wilson",
        };
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let spread = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval {
        low: (centre - spread).max(0.0),
        high: (centre + spread).min(1.0),
        confidence,
        method: "wilson",
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
