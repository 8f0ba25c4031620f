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
    /// `wilson` or `bootstrap` (percentile).
    pub method: &'static str,
}

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
