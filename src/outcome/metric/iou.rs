//! Intersection over union of all classes together.

use std::sync::Arc;

use super::{Metric, MetricView, NamedMetric, SampleMetric};
use crate::outcome::loss::wrong_pixels;

pub(super) const NAMED: NamedMetric = NamedMetric {
    name: "iou",
    about: "global intersection over union of predicted and right classes, 0 to 1",
    make: || Metric::own(Arc::new(Iou)),
};

/// The global intersection over union: over all classes and all pixels of all samples, those in both the predicted and
/// the right region of a class, by those in either. A pixel is in one region of each kind, so it is `right / (2 *
/// pixels - right)`. What is right are the labels, or without them the fault-free classes.
#[derive(Debug)]
struct Iou;

impl SampleMetric for Iou {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn sums(&self, _classes: usize) -> usize {
        2
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), Some(1.0))
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        let pixels = view.sample.labels.len();
        let right = pixels - wrong_pixels(&view.sample);
        sums[0] = right as f64;
        sums[1] = (2 * pixels - right) as f64;
    }

    fn value(&self, sums: &[f64], _samples: usize) -> f64 {
        sums[0] / sums[1]
    }

    fn needs_classes(&self) -> bool {
        true
    }

    fn takes_indices(&self) -> bool {
        true
    }
}
