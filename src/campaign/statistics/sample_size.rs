//! How many faults a sample needs.

use serde::{Deserialize, Serialize};

/// How well a share in a finite population is to be known.
///
/// The number of draws without replacement that a normal approximation asks for (Cochran, Sampling Techniques,
/// 1977, 4.4; for fault injection Leveugle and others, DATE 2009, equation 3):
/// `n = N / (1 + e^2 (N - 1) / (t^2 p (1 - p)))`, rounded up, with `t` the two-sided normal quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Precision {
    /// Half the width of the interval, as a share: `e`.
    pub margin: f64,
    /// How often an interval covers.
    pub confidence: f64,
    /// The share that is expected: `p`. One half asks for the most.
    pub expected_share: f64,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            margin: 0.01,
            confidence: 0.95,
            expected_share: 0.5,
        }
    }
}

impl Precision {
    /// Whether all three are shares strictly between 0 and 1.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        [self.margin, self.confidence, self.expected_share]
            .iter()
            .all(|share| *share > 0.0 && *share < 1.0)
    }

    /// The same with another expected share.
    #[must_use]
    pub fn expecting(self, expected_share: f64) -> Self {
        Self {
            expected_share,
            ..self
        }
    }

    /// Draws out of so many; never more than there are.
    #[must_use]
    pub fn draws(&self, population: u64) -> u64 {
        if population == 0 {
            return 0;
        }
        let quantile = two_sided(self.confidence);
        let spread = quantile * quantile * self.expected_share * (1.0 - self.expected_share);
        let of = population as f64;
        let draws = of / (1.0 + self.margin * self.margin * (of - 1.0) / spread);
        (draws.ceil() as u64).clamp(1, population)
    }
}

/// The number of standard deviations that holds such a share of a normal distribution on both sides of its mean.
fn two_sided(confidence: f64) -> f64 {
    let outside = |quantile: f64| libm::erfc(quantile * std::f64::consts::FRAC_1_SQRT_2);
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if outside(middle) > 1.0 - confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (confidence, quantile) in [
            (0.90, 1.644_853_627),
            (0.95, 1.959_963_985),
            (0.99, 2.575_829_304),
        ] {
            assert!((two_sided(confidence) - quantile).abs() < 1e-8);
        }
    }

    #[test]
    fn sizes_are_those_of_published_campaigns() {
        let of = |margin, confidence, population| {
            let precision = Precision {
                margin,
                confidence,
                expected_share: 0.5,
            };
            precision.draws(population)
        };
        // Gutiérrez-Zaballa and others: at most 1,537 at 2.5 %.
        assert_eq!(of(0.025, 0.95, u64::MAX / 4), 1537);
        // 4,096 flips are 2.01 % at 99 %.
        assert_eq!(of(0.020_123_7, 0.99, u64::MAX / 4), 4_096);
        // By hand: 10,000 / (1 + 1e-4 x 9,999 / 0.9603647) = 4,899.2.
        assert_eq!(of(0.01, 0.95, 10_000), 4_900);
        assert_eq!(
            (of(0.01, 0.95, 0), of(0.01, 0.95, 1), of(0.01, 0.95, 7)),
            (0, 1, 7)
        );
    }

    #[test]
    fn a_larger_population_never_asks_for_fewer() {
        let precision = Precision::default();
        let mut before = 0;
        for population in (0..20_000).step_by(7) {
            let draws = precision.draws(population);
            assert!(draws >= before && draws <= population);
            before = draws;
        }
    }
}
