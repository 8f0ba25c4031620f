//! The score interval of a share.

use super::special::Z;
use super::{CONFIDENCE, Interval};

/// The Wilson score interval of a share at 95 % (Wilson 1927, Journal of the American Statistical
/// Association 22:209).
#[must_use]
pub fn wilson(successes: u64, trials: u64) -> Interval {
    let confidence = CONFIDENCE;
    if trials == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
            confidence,
            method: "wilson",
            assumes: None,
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
        assumes: None,
    }
}
