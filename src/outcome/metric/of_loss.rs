//! Losses as metrics.

use super::{MetricView, SampleMetric};
use crate::outcome::Loss;

/// The mean of a loss, in its unit.
#[derive(Debug)]
pub(super) struct OfLoss(pub Loss);

impl SampleMetric for OfLoss {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        sums[0] = self.0.evaluate(&view.sample);
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), self.0.largest())
    }

    fn needs_target(&self) -> bool {
        self.0.needs_target()
    }

    fn needs_labels(&self) -> bool {
        self.0.needs_labels()
    }

    fn needs_classes(&self) -> bool {
        self.0.needs_classes()
    }

    fn takes_indices(&self) -> bool {
        self.0.takes_indices()
    }

    fn takes_logits(&self) -> bool {
        self.0.takes_logits()
    }

    fn cells(&self) -> Option<usize> {
        self.0.cells()
    }

    fn parameters(&self) -> String {
        self.0.parameters()
    }
}
