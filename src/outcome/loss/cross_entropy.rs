//! Cross-entropy of the labels.

use super::{Loss, NamedLoss, SampleLoss, SampleView};
use crate::outcome::readout::OutputKind;

pub(super) const NAMED: NamedLoss = NamedLoss {
    name: "cross-entropy",
    about: "cross-entropy of the labels",
    takes_distance: false,
    make: |_| Ok(Loss::cross_entropy()),
};

/// Mean over the pixels of `-ln softmax(logits)[label]`, or of `-ln p[label]` where the output is a softmax already.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrossEntropy;

impl SampleLoss for CrossEntropy {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        let pixels = sample.output.len() / sample.pixel_width;
        let mut sum = 0.0;
        for (pixel, &label) in sample.pixels().zip(sample.labels) {
            sum += match sample.kind {
                OutputKind::LogProbabilities => pixel.get(label).map_or(f64::INFINITY, |log| -log),
                OutputKind::Values | OutputKind::Indices { .. } => cross_entropy(pixel, label),
            };
        }
        sum / pixels as f64
    }

    fn takes_logits(&self) -> bool {
        true
    }

    fn needs_labels(&self) -> bool {
        true
    }
}

/// `ln(sum(exp(logits))) - logits[label]`, shifted by the largest logit so that nothing overflows;
/// infinite where the label is no class.
#[must_use]
pub fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    let Some(&own) = logits.get(label) else {
        return f64::INFINITY;
    };
    let largest = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let mut sum = 0.0;
    for &logit in logits {
        sum += libm::exp(logit - largest);
    }
    libm::log(sum) + (largest - own)
}
