//! Whether any output integer differs.

use super::{Loss, NamedLoss, SampleLoss, SampleView};

pub(super) const NAMED: NamedLoss = NamedLoss {
    name: "mismatch",
    about: "any output mantissa differs",
    takes_distance: false,
    make: |_| Ok(Loss::mismatch()),
};

/// 1 where any output integer differs, else 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mismatch;

impl SampleLoss for Mismatch {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        f64::from(u8::from(sample.differs))
    }

    fn reads_output(&self) -> bool {
        false
    }

    fn takes_indices(&self) -> bool {
        true
    }

    fn largest(&self) -> Option<f64> {
        Some(1.0)
    }
}
