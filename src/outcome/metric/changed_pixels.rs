//! How much is predicted otherwise.

use std::sync::Arc;

use super::{Metric, MetricView, NamedMetric, SampleMetric};

pub(super) const NAMED: NamedMetric = NamedMetric {
    name: "changed-pixels",
    about: "mean share of pixels whose class is not the fault-free one, 0 to 1",
    make: || Metric::own(Arc::new(ChangedPixels)),
};

/// The mean share of pixels whose class is not the one that the fault-free run predicts, whatever the labels say: the
/// error of Gutierrez-Zaballa et al. for segmentation networks under bit flips.
#[derive(Debug)]
struct ChangedPixels;

impl SampleMetric for ChangedPixels {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (Some(0.0), Some(1.0))
    }

    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]) {
        let pairs = view.sample.predicted().zip(view.fault_free);
        let changed = pairs.filter(|(class, fault_free)| class != *fault_free).count();
        sums[0] = changed as f64 / view.fault_free.len() as f64;
    }

    fn needs_fault_free(&self) -> bool {
        true
    }

    fn takes_indices(&self) -> bool {
        true
    }
}
