//! Sums of values that come one after the other.

use serde::Serialize;

/// Central moments of values that come one after the other (Welford 1962, Technometrics 4:419; the third
/// by Terriberry's extension, Pébay 2008, SAND2008-6212, equation 2.1 with one added value).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Central {
    count: u64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    second: f64,
    /// Sum of the cubed distances from the mean.
    third: f64,
}

impl Central {
    fn add(&mut self, value: f64) {
        let before = self.count as f64;
        self.count += 1;
        let count = self.count as f64;
        let distance = value - self.mean;
        let step = distance / count;
        let square = distance * step * before;
        self.mean += step;
        self.third += square * step * (count - 2.0) - 3.0 * step * self.second;
        self.second += square;
    }

    /// Adds so many equal values (Pébay 2008, equations 3.1 for the merging of two sets).
    fn add_equal(&mut self, value: f64, copies: u64) {
        if copies == 0 {
            return;
        }
        let (before, added) = (self.count as f64, copies as f64);
        let count = before + added;
        let distance = value - self.mean;
        let product = before * added;
        self.third += distance.powi(3) * product * (before - added) / (count * count)
            - 3.0 * distance * added * self.second / count;
        self.second += distance * distance * product / count;
        self.mean += distance * added / count;
        self.count += copies;
    }

    fn variance(&self) -> f64 {
        if self.count < 2 {
            0.0
        } else {
            self.second / (self.count - 1) as f64
        }
    }

    fn skewness(&self) -> f64 {
        if self.second > 0.0 {
            (self.count as f64).sqrt() * self.third / (self.second * self.second.sqrt())
        } else {
            0.0
        }
    }
}

/// What remains of values that come one after the other, in the order of their trials: the same values in
/// the same order leave the same bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moments {
    quiet: f64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    all: Central,
    active: Central,
}

impl Default for Moments {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Moments {
    /// No values so far; `quiet` is the value of a trial in which nothing happened.
    #[must_use]
    pub fn new(quiet: f64) -> Self {
        Self {
            quiet,
            sum: 0.0,
            min: None,
            max: None,
            all: Central::default(),
            active: Central::default(),
        }
    }

    /// Adds the value of one trial.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
        self.all.add(value);
        if value != self.quiet {
            self.active.add(value);
        }
    }

    /// With quiet values until there are so many in all.
    #[must_use]
    pub fn padded(&self, count: u64) -> Self {
        let mut padded = self.clone();
        let missing = count.saturating_sub(self.all.count);
        if missing > 0 {
            padded.sum += self.quiet * missing as f64;
            padded.min = Some(self.min.map_or(self.quiet, |min| min.min(self.quiet)));
            padded.max = Some(self.max.map_or(self.quiet, |max| max.max(self.quiet)));
            padded.all.add_equal(self.quiet, missing);
        }
        padded
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.all.count
    }

    /// How many values differed from the quiet one.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.active.count
    }

    /// The value of a trial in which nothing happened.
    #[must_use]
    pub fn quiet(&self) -> f64 {
        self.quiet
    }

    /// The sum of the values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest value, if any.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest value, if any.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.max
    }

    /// The mean of the values, 0 without any.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.all.count.max(1) as f64
    }

    /// The unbiased variance of the values, 0 for fewer than two.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.all.variance()
    }

    /// The skewness of the values (third central moment over the 3/2 power of the second, both of the
    /// sample), 0 where they do not vary.
    #[must_use]
    pub fn skewness(&self) -> f64 {
        self.all.skewness()
    }

    /// The mean of the values that differ from the quiet one, 0 without any.
    #[must_use]
    pub fn active_mean(&self) -> f64 {
        self.active.mean
    }

    /// The unbiased variance of the values that differ from the quiet one, 0 for fewer than two.
    #[must_use]
    pub fn active_variance(&self) -> f64 {
        self.active.variance()
    }

    /// The skewness of the values that differ from the quiet one.
    #[must_use]
    pub fn active_skewness(&self) -> f64 {
        self.active.skewness()
    }
}

impl Extend<f64> for Moments {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_adding_quiet_values() {
        for quiet in [0.0, 3.0] {
            let mut padded = Moments::new(quiet);
            padded.extend([1.0, 4.0, 4.0, 9.5]);
            let mut added = padded.clone();
            let padded = padded.padded(40);
            added.extend(std::iter::repeat_n(quiet, 36));
            let of = |m: &Moments| [m.mean(), m.variance(), m.skewness(), m.active_mean()];
            for (a, b) in of(&padded).into_iter().zip(of(&added)) {
                assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
            }
            assert_eq!(
                (padded.count(), padded.active(), padded.min(), padded.max()),
                (added.count(), added.active(), added.min(), added.max())
            );
        }
    }

    #[test]
    fn moments_are_those_of_two_passes() {
        // A large offset, under which sums of powers lose every digit.
        let values: Vec<f64> = (0..1000_u32)
            .map(|i| 1e6 + if i % 5 == 0 { f64::from(i * i % 977) } else { 0.0 })
            .collect();
        let mut moments = Moments::new(1e6);
        moments.extend(values.iter().copied());
        let two_passes = |values: &[f64]| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let power = |p: i32| values.iter().map(|v| (v - mean).powi(p)).sum::<f64>();
            (
                mean,
                power(2) / (n - 1.0),
                n.sqrt() * power(3) / power(2).powf(1.5),
            )
        };
        let close = |(a, b, c): (f64, f64, f64), (d, e, f): (f64, f64, f64)| {
            (a / d - 1.0).abs() < 1e-12 && (b / e - 1.0).abs() < 1e-9 && (c - f).abs() < 1e-9
        };
        let got = (moments.mean(), moments.variance(), moments.skewness());
        assert!(close(got, two_passes(&values)), "{got:?}");
        let active: Vec<f64> = values.iter().copied().filter(|&value| value != 1e6).collect();
        assert_eq!(moments.active(), active.len() as u64);
        let got = (
            moments.active_mean(),
            moments.active_variance(),
            moments.active_skewness(),
        );
        assert!(close(got, two_passes(&active)), "{got:?}");
        assert_eq!(
            (moments.min(), moments.max()),
            (
                values.iter().copied().reduce(f64::min),
                values.iter().copied().reduce(f64::max)
            )
        );
    }

    #[test]
    fn without_values_nothing_varies() {
        let mut moments = Moments::default();
        assert_eq!(
            (moments.mean(), moments.variance(), moments.max()),
            (0.0, 0.0, None)
        );
        moments.add(3.0);
        assert_eq!(
            (moments.mean(), moments.variance(), moments.skewness()),
            (3.0, 0.0, 0.0)
        );
    }
}
