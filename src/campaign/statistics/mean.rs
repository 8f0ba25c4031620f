//! The interval of the mean of skewed values most of which may be the same.

use super::special::{Z, gamma_quantile, student};
use super::{CONFIDENCE, Interval, Moments};

/// Values other than the quiet one below which nothing is said of an upper end, where no value is known
/// that no trial exceeds.
pub const FEW_VALUES: u64 = 10;

/// Values that no trial falls below and that none exceeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The smallest possible value, finite.
    pub low: f64,
    /// The largest possible value; infinite where none is known.
    pub high: f64,
}

/// The interval at 95 % of the mean of independent values between bounds, from their sums.
///
/// The upper end, above the smallest value seen, is the quantile of a gamma distribution whose mean is
/// that of the values with one more trial's worth of the largest possible value, and whose variance is that of their mean with its square
/// (Fay and Feuer 1997, Statistics in Medicine 16:791, there for weighted sums of Poisson counts): with no
/// value but zeros it is -ln 0.025 / n of the largest, with zeros and ones the end of Garwood. The lower
/// end is the quantile of the gamma distribution of the values' own mean and variance. Values
/// that lean to the other side have both ends from the side of the other bound as well, where rare small
/// values matter as rare large ones do, and the wider end holds. The variances are the sample's, widened by the ratio of Student's quantile to
/// the normal one.
///
/// Counts per mission that come in bursts are such values with one value per mission. Without an upper
/// bound the largest value seen stands for it, and the interval says so; the upper end is infinite for
/// fewer than [`FEW_VALUES`] values that are not quiet.
#[must_use]
pub fn mean_interval(moments: &Moments, bounds: Bounds) -> Interval {
    let (Some(min), Some(max)) = (moments.min(), moments.max()) else {
        return gamma(bounds.low, bounds.high, None);
    };
    Sides::of(moments).ends(
        Seen {
            mean: moments.mean(),
            min,
            max,
            active: moments.active(),
            leans_back: moments.skewness() < 0.0,
        },
        bounds,
    )
}

pub(super) fn gamma(low: f64, high: f64, assumes: Option<String>) -> Interval {
    Interval {
        low,
        high,
        confidence: CONFIDENCE,
        method: "gamma",
        assumes,
    }
}

/// What an interval is made of besides the variance of the mean.
pub(super) struct Seen {
    pub mean: f64,
    /// The smallest and the largest value.
    pub min: f64,
    pub max: f64,
    /// Values other than the quiet one.
    pub active: u64,
    /// Whether rare values are smaller than the others.
    pub leans_back: bool,
}

/// The mean's variance, and the weight of one trial in it.
pub(super) struct Sides {
    pub one: f64,
    pub variance: f64,
}

impl Sides {
    pub(super) fn of(moments: &Moments) -> Self {
        let count = moments.count() as f64;
        Self {
            one: 1.0 / count,
            variance: moments.variance() / count * widening(count),
        }
    }

    /// The upper end of a mean of nonnegative values of which one more could be as large as `worst`.
    pub(super) fn upper(&self, mean: f64, worst: f64) -> f64 {
        let one = worst * self.one;
        gamma_quantile(mean + one, self.variance + one * one, 0.975, Z)
    }

    /// The lower end of a mean of nonnegative values that `least` at least separates from zero.
    pub(super) fn lower(&self, mean: f64, least: f64) -> f64 {
        // A share of -ln 0.025 / n of the trials may be below everything seen.
        let unseen = least * (-libm::log((1.0 - CONFIDENCE) / 2.0) * self.one).min(1.0);
        gamma_quantile(mean, self.variance, 0.025, -Z) - unseen
    }

    /// Both ends of the mean of values between bounds.
    pub(super) fn ends(&self, seen: Seen, bounds: Bounds) -> Interval {
        let Bounds { low, high } = bounds;
        let Seen { mean, min, max, .. } = seen;
        let bounded = high.is_finite();
        let largest = if bounded { high } else { max };
        let assumes = if bounded {
            format!("no value is outside {low} to {high}; the largest seen is {max}")
        } else {
            format!("no upper bound is known: values above the largest one seen, {max}, are as rare as it is")
        };
        let upper = if bounded || seen.active >= FEW_VALUES {
            // The quantile from above of what the values lack of the bound.
            let from_above = largest - self.lower(largest - mean, largest - max);
            (min + self.upper(mean - min, largest - min)).max(from_above)
        } else {
            f64::INFINITY
        };
        let from_zero = low + self.lower(mean - low, min - low);
        let lower = if seen.leans_back {
            from_zero.min(max - self.upper(max - mean, max - low))
        } else {
            from_zero
        };
        gamma(lower.max(low), upper.min(high), Some(assumes))
    }
}

/// The square of the ratio of Student's quantile to the normal one, by which a variance of so many values widens.
pub(super) fn widening(count: f64) -> f64 {
    let widened = student(count - 1.0) / Z;
    widened * widened
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Bounds = Bounds { low: 0.0, high: 1.0 };

    fn of(values: impl IntoIterator<Item = f64>) -> Moments {
        let mut moments = Moments::default();
        moments.extend(values);
        moments
    }

    #[test]
    fn the_upper_end_where_nothing_was_seen_is_the_rule_of_three() {
        for count in [40, 1000, 100_000] {
            let interval = mean_interval(&of(vec![0.0; count]), UNIT);
            let expected = -libm::log(0.025) / count as f64;
            assert_eq!(interval.low, 0.0);
            assert!((interval.high / expected - 1.0).abs() < 1e-9, "{interval:?}");
        }
    }

    #[test]
    fn no_interval_of_a_sample_has_width_zero() {
        for value in [0.0, 0.2, 1.0] {
            for count in [1, 2, 40, 1000] {
                let interval = mean_interval(&of(vec![value; count]), UNIT);
                assert!(interval.high > interval.low, "{value} x {count}: {interval:?}");
                assert!(
                    interval.low <= value && value <= interval.high,
                    "{value} x {count}: {interval:?}"
                );
            }
        }
        let known = mean_interval(&of([2.0, 2.0]), Bounds { low: 2.0, high: 2.0 });
        assert_eq!((known.low, known.high), (2.0, 2.0));
        assert_eq!(mean_interval(&of([]), UNIT).high, 1.0);
    }

    #[test]
    fn few_values_without_bound_have_no_upper_end() {
        let open = Bounds {
            low: 0.0,
            high: f64::INFINITY,
        };
        let few = (0..100).map(|i| f64::from(u8::from(i < 9)));
        assert!(mean_interval(&of(few), open).high.is_infinite());
        let enough = (0..100).map(|i| f64::from(u8::from(i < 10)));
        assert!(mean_interval(&of(enough), open).high.is_finite());
    }
}
