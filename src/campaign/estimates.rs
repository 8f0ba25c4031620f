//! Sampled numbers with their intervals, as reports hold them.

use serde::Serialize;

use super::statistics::{
    Bounds, FirstFailures, Interval, Moments, count_interval, failure_rate_interval, mean_interval,
};

/// A sampled mean with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean over the repetitions.
    pub mean: f64,
    /// Its interval.
    pub interval: Interval,
}

impl Mean {
    /// The mean of values that lie within bounds.
    #[must_use]
    pub fn of(moments: &Moments, bounds: Bounds) -> Self {
        Self {
            mean: moments.mean(),
            interval: mean_interval(moments, bounds),
        }
    }

    /// The mean of shares, which lie between 0 and 1.
    #[must_use]
    pub fn of_shares(moments: &Moments) -> Self {
        Self::of(moments, Bounds { low: 0.0, high: 1.0 })
    }

    /// The mean number of events per mission, of which one step brings at most so many.
    #[must_use]
    pub fn of_counts(moments: &Moments, step: f64) -> Self {
        Self {
            mean: moments.mean(),
            interval: count_interval(moments, step),
        }
    }

    /// In another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            interval: self.interval.scaled(factor),
        }
    }

    /// On another zero.
    #[must_use]
    pub fn shifted(self, by: f64) -> Self {
        Self {
            mean: self.mean + by,
            interval: self.interval.shifted(by),
        }
    }
}

/// A number of events in so many hours, and their rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// The number.
    pub count: u64,
    /// Events per hour.
    pub per_hour: f64,
    /// Interval of `per_hour`.
    pub per_hour_interval: Interval,
}

fn per_hour(count: u64, hours: f64) -> f64 {
    if hours > 0.0 { count as f64 / hours } else { 0.0 }
}

impl Count {
    /// Events that may come several at a time, at most `step` of them: missions are the independent repetitions,
    /// `of_mission` the events of each in `hours`. A flown mission stands for `1 / flown_share`.
    #[must_use]
    pub fn of_missions(count: u64, of_mission: &Moments, step: f64, hours: f64, flown_share: f64) -> Self {
        let all_hours = hours * of_mission.count() as f64 / flown_share;
        Self {
            count,
            per_hour: per_hour(count, all_hours),
            per_hour_interval: count_interval(of_mission, step).scaled(flown_share / hours),
        }
    }

    /// First failures of missions, at most one of each, per hour before them.
    #[must_use]
    pub fn of_firsts(failures: &FirstFailures) -> Self {
        Self {
            count: failures.failures(),
            per_hour: per_hour(failures.failures(), failures.hours()),
            per_hour_interval: failure_rate_interval(failures),
        }
    }

    /// Events per 1e9 hours.
    #[must_use]
    pub fn fit(&self) -> f64 {
        self.per_hour * 1e9
    }
}
