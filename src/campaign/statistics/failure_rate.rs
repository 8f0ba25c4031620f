//! The interval of a rate of first failures.

use serde::Serialize;

use super::special::{Z, gamma_quantile, student};
use super::{CONFIDENCE, Interval, garwood};

/// Sums over missions that end with their first failure or without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FirstFailures {
    missions: u64,
    failures: u64,
    hours: f64,
    hours_squared: f64,
    hours_of_failures: f64,
    longest: f64,
}

impl FirstFailures {
    /// Adds one mission: its hours up to the first failure, or its length without one.
    pub fn add(&mut self, failed: bool, hours: f64) {
        self.missions += 1;
        self.failures += u64::from(failed);
        self.hours += hours;
        self.hours_squared += hours * hours;
        self.longest = self.longest.max(hours);
        if failed {
            self.hours_of_failures += hours;
        }
    }

    /// The same missions, of whose failures only some count, after so many hours in all.
    #[must_use]
    pub fn of_some(&self, failures: u64, hours_of_failures: f64) -> Self {
        Self {
            failures,
            hours_of_failures,
            ..self.clone()
        }
    }

    /// With hours in which nothing could fail.
    #[must_use]
    pub fn with_idle(&self, hours: f64) -> Self {
        Self {
            hours: self.hours + hours,
            ..self.clone()
        }
    }

    /// How many missions there were.
    #[must_use]
    pub fn missions(&self) -> u64 {
        self.missions
    }

    /// How many missions failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Hours before first failures, over all missions.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.hours
    }

    /// First failures per hour before them, 0 without hours.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.hours > 0.0 {
            self.failures as f64 / self.hours
        } else {
            0.0
        }
    }
}

/// The interval at 95 % of first failures per hour before them.
///
/// That of [`garwood`], hulled with the gamma quantiles whose variance is that of a ratio of two sums
/// (Cochran 1977, Sampling Techniques, equation 2.46): the count of failures of a constant hazard varies
/// as a Poisson count does, that of a falling hazard more. Rare long missions lower the rate: its lower end
/// is also that of the upper end of the hours, taken as [`mean_interval`](super::mean_interval) takes it.
#[must_use]
pub fn failure_rate_interval(sums: &FirstFailures) -> Interval {
    let exact = garwood(sums.failures, sums.hours);
    let mut interval = Interval {
        low: exact.low,
        high: exact.high,
        confidence: CONFIDENCE,
        method: "gamma_ratio",
        assumes: None,
    };
    if sums.failures == 0 || sums.missions < 2 || sums.hours <= 0.0 {
        return interval;
    }
    let (missions, failures, rate) = (sums.missions as f64, sums.failures as f64, sums.rate());
    let residuals = failures - 2.0 * rate * sums.hours_of_failures + rate * rate * sums.hours_squared;
    let widened = student(missions - 1.0) / Z;
    let variance = residuals.max(0.0) * missions / (missions - 1.0) * widened * widened;
    let low = gamma_quantile(failures, variance, 0.025, -Z) / sums.hours;
    // The same variance taken as that of the hours, with one more mission as long as the longest.
    let (mean, spread) = (sums.hours + sums.longest, sums.longest * sums.longest);
    let hours = gamma_quantile(mean, variance / (rate * rate) + spread, 0.975, Z);
    let low = low.min(failures / hours);
    let high = gamma_quantile(failures + 1.0, variance + 1.0, 0.975, Z) / sums.hours;
    interval.low = interval.low.min(low);
    interval.high = interval.high.max(high);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missions_without_failure_have_the_upper_end_of_garwood() {
        let mut sums = FirstFailures::default();
        for _ in 0..40 {
            sums.add(false, 100.0);
        }
        let interval = failure_rate_interval(&sums);
        assert_eq!(interval.low, 0.0);
        assert_eq!(interval.high, garwood(0, 4000.0).high);
        assert!(
            failure_rate_interval(&FirstFailures::default())
                .high
                .is_infinite()
        );
    }

    #[test]
    fn the_interval_holds_the_rate_and_that_of_garwood() {
        let mut sums = FirstFailures::default();
        for mission in 0..40_u32 {
            sums.add(mission % 4 != 0, f64::from(1 + mission * mission));
        }
        let (interval, exact) = (failure_rate_interval(&sums), garwood(30, sums.hours()));
        assert!(interval.low <= exact.low && exact.high <= interval.high);
        assert!(interval.low < sums.rate() && sums.rate() < interval.high);
    }
}
