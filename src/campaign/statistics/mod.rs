//! Intervals of sampled numbers, one method per file, from counts and sums alone.

mod clopper_pearson;
mod count;
mod failure_rate;
mod garwood;
mod hypergeometric;
mod least_squares;
mod mean;
mod moments;
mod sample_size;
mod special;
mod stratified;
mod wilson;

use serde::Serialize;

pub use clopper_pearson::clopper_pearson;
pub use count::count_interval;
pub use failure_rate::{FirstFailures, failure_rate_interval};
pub use garwood::garwood;
pub use hypergeometric::hypergeometric;
pub use least_squares::{Coefficient, LeastSquaresError, LinearModel, interactions, least_squares};
pub use mean::{Bounds, FEW_VALUES, mean_interval};
pub use moments::Moments;
pub use sample_size::Precision;
pub use stratified::{Drawn, stratified_interval, stratified_mean};
pub use wilson::wilson;

/// The confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// A sampled number's interval, and how it was obtained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence, between 0 and 1.
    pub confidence: f64,
    /// The name of the function or of its method: `wilson`, `clopper_pearson`, `hypergeometric`, `garwood`, `gamma`,
    /// `gamma_steps`, `gamma_ratio`, `gamma_strata`; `exact` where nothing was sampled.
    pub method: &'static str,
    /// What the interval rests on beyond independent trials of one law, where that is anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumes: Option<String>,
}

impl Interval {
    /// In another unit; the factor is not negative.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.low *= factor;
        self.high *= factor;
        self
    }

    /// On another zero.
    #[must_use]
    pub fn shifted(mut self, by: f64) -> Self {
        self.low += by;
        self.high += by;
        self
    }
}
