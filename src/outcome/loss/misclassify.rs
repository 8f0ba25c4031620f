//! Whether the class is wrong.

use super::{Loss, NamedLoss, SampleLoss, SampleView, wrong_pixels};

pub(super) const NAMED: NamedLoss = NamedLoss {
    name: "misclassify",
    about: "the class is wrong",
    takes_distance: false,
    make: |_| Ok(Loss::misclassify()),
};

/// The share of wrong classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misclassify;

impl SampleLoss for Misclassify {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        let pixels = sample.output.len() / sample.pixel_width;
        wrong_pixels(sample) as f64 / pixels as f64
    }

    fn needs_classes(&self) -> bool {
        true
    }

    fn takes_indices(&self) -> bool {
        true
    }

    fn largest(&self) -> Option<f64> {
        Some(1.0)
    }

    fn fails_by_class(&self) -> bool {
        true
    }
}
