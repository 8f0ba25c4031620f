//! Mean squared error.

use super::{Loss, NamedLoss, SampleLoss, SampleView};

pub(super) const NAMED: NamedLoss = NamedLoss {
    name: "mse",
    about: "mean squared error",
    takes_distance: false,
    make: |_| Ok(Loss::mse()),
};

/// Mean of the squared differences to the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mse;

impl SampleLoss for Mse {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        mean_squared_error(sample.target, sample.output)
    }

    fn needs_target(&self) -> bool {
        true
    }
}

/// Mean of the squared differences, summed in order; 0 for empty vectors.
#[must_use]
pub fn mean_squared_error(target: &[f64], output: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (target, output) in target.iter().zip(output) {
        let difference = output - target;
        sum += difference * difference;
    }
    sum / output.len().max(1) as f64
}
