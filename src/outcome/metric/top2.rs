//! How sure the prediction is.

use std::sync::Arc;

use super::{Metric, MetricView, NamedMetric, SampleMetric};
use crate::outcome::readout::OutputKind;

pub(super) const NAMED: NamedMetric = NamedMetric {
    name: "top2-difference",
    about: "mean difference between the two largest class probabilities, 0 to 1",
    make: || Metric::own(Arc::new(Top2)),
};

/// The mean over all pixels of the softmax probability of the first class minus that of the second (Top2Diff of Wasim
/// et al.); where there is one class, its probability.
#[derive(Debug)]
struct Top2;

/// The difference of one pixel.
fn difference(kind: OutputKind, pixel: &[f64]) -> f64 {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for &value in pixel {
        if value > first {
            (first, second) = (value, first);
        } else if value > second {
            second = value;
        }
    }
    if kind == OutputKind::LogProbabilities {
        return libm::exp(first) - libm::exp(second);
    }
    let sum: f64 = pixel.iter().map(|&value| libm::exp(value - first)).sum();
    (1.0 - libm::exp(second - first)) / sum
}

impl SampleMetric for Top2 {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), Some(1.0))
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        let pixels = view.sample.output.len() / view.sample.pixel_width;
        let sum: f64 = view
            .sample
            .pixels()
            .map(|pixel| difference(view.sample.kind, pixel))
            .sum();
        sums[0] = sum / pixels as f64;
    }

    fn takes_logits(&self) -> bool {
        true
    }
}
