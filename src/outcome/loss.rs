//! Losses of one sample.

use super::emd::EarthMover;

/// What counts as damage. Every loss is 0 or above for finite outputs, except for the conventions of
/// [`EarthMover::emd`].
#[derive(Clone, Debug)]
pub enum Loss {
    /// 1 where any integer at the accelerator's output differs from the fault-free run, else 0.
    Mismatch,
    /// 1 where the predicted class is not the label (without labels: not the fault-free
    /// prediction), else 0; where every pixel has a class, the share of wrong pixels.
    Misclassify,
    /// Mean of the squared differences to the target.
    Mse,
    /// `-ln softmax(logits)[label]`; where every pixel has a class, the mean over the pixels.
    CrossEntropy,
    /// Earth mover's distance to the target.
    Emd(EarthMover),
}

impl Loss {
    /// The name in configurations and on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Misclassify => "misclassify",
            Self::Mse => "mse",
            Self::CrossEntropy => "cross-entropy",
            Self::Emd(_) => "emd",
        }
    }

    /// Whether it compares with a target.
    #[must_use]
    pub fn needs_target(&self) -> bool {
        matches!(self, Self::Mse | Self::Emd(_))
    }
}

/// The index of the largest value, the lowest of several; NaN is never the largest, and 0 stands
/// where there is no other.
#[must_use]
pub fn top1(values: &[f64]) -> usize {
    let mut best = 0;
    let mut largest = f64::NEG_INFINITY;
    for (index, &value) in values.iter().enumerate() {
        if value > largest {
            largest = value;
            best = index;
        }
    }
    best
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
