//! How much is predicted right.

use std::sync::Arc;

use super::{Metric, MetricView, NamedMetric, SampleMetric};
use crate::outcome::loss::wrong_pixels;

pub(super) const NAMED: NamedMetric = NamedMetric {
    name: "accuracy",
    about: "mean share of classes predicted right, 0 to 1",
    make: || Metric::own(Arc::new(Accuracy)),
};

/// The mean share of pixels (of samples where each has one class) whose class is the label, or without labels the
/// fault-free one.
#[derive(Debug)]
struct Accuracy;

impl SampleMetric for Accuracy {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), Some(1.0))
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        let pixels = view.sample.labels.len();
        sums[0] = (pixels - wrong_pixels(&view.sample)) as f64 / pixels as f64;
    }

    fn needs_classes(&self) -> bool {
        true
    }

    fn takes_indices(&self) -> bool {
        true
    }
}
