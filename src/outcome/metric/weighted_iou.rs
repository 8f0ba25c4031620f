//! Intersection over union class by class.

use std::sync::Arc;

use super::{Metric, MetricView, NamedMetric, SampleMetric};

pub(super) const NAMED: NamedMetric = NamedMetric {
    name: "weighted-iou",
    about: "intersection over union of each class, weighted by its share of the pixels, 0 to 1",
    make: || Metric::own(Arc::new(WeightedIou)),
};

/// The frequency-weighted intersection over union (Long, Shelhamer, Darrell, CVPR 2015, section 5): of each class over
/// all pixels of all samples, weighted by its share of the labels, or without them of the fault-free classes.
#[derive(Debug)]
struct WeightedIou;

impl SampleMetric for WeightedIou {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    /// Per class the pixels that have it, that are predicted to have it, and both.
    fn sums(&self, classes: usize) -> usize {
        3 * classes
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), Some(1.0))
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        for (predicted, &right) in view.sample.predicted().zip(view.sample.labels) {
            sums[3 * right] += 1.0;
            if let Some(sum) = sums.get_mut(3 * predicted + 1) {
                *sum += 1.0;
            }
            if predicted == right {
                sums[3 * right + 2] += 1.0;
            }
        }
    }

    fn value(&self, sums: &[f64], _samples: usize) -> f64 {
        let (mut weighted, mut pixels) = (0.0, 0.0);
        for class in sums.chunks_exact(3) {
            let (right, predicted, both) = (class[0], class[1], class[2]);
            if right > 0.0 {
                weighted += right * (both / (right + predicted - both));
            }
            pixels += right;
        }
        weighted / pixels
    }

    fn needs_classes(&self) -> bool {
        true
    }

    fn takes_indices(&self) -> bool {
        true
    }
}
