//! Losses of one sample: what counts as damage.
//!
//! Each loss is one file with one line in [`LOSSES`]; a library user brings one of his own with [`Loss::own`].

mod cross_entropy;
mod emd;
mod misclassify;
mod mismatch;
mod mse;

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Serialize, Serializer};

pub use cross_entropy::cross_entropy;
pub use mse::mean_squared_error;

use super::OutcomeError;
use super::readout::OutputKind;
use crate::data::Array;

/// What a loss sees of one sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleView<'a> {
    /// Values behind readout and gather.
    pub output: &'a [f64],
    /// What they ought to be; empty where there are no targets.
    pub target: &'a [f64],
    /// The class of the sample, or of each of its pixels; the fault-free ones where there are no labels, and
    /// empty where neither is known.
    pub labels: &'a [usize],
    /// Values of a pixel: the last axis of the output.
    pub pixel_width: usize,
    /// How many of them are classes, from the first on.
    pub classes: usize,
    /// Whether any integer at the accelerator's output differs from the fault-free run.
    pub differs: bool,
    /// What the output's values are.
    pub kind: OutputKind,
}

impl SampleView<'_> {
    /// The values of each pixel that are classes.
    pub fn pixels(&self) -> impl Iterator<Item = &[f64]> {
        let classes = self.classes.min(self.pixel_width);
        self.output
            .chunks_exact(self.pixel_width.max(1))
            .map(move |pixel| &pixel[..classes])
    }

    /// The predicted class of each pixel: the index of its largest value ([`top1`]), or its value where the network
    /// selects the class itself.
    pub fn predicted(&self) -> impl Iterator<Item = usize> {
        let kind = self.kind;
        self.pixels().map(move |pixel| predicted(kind, pixel))
    }
}

/// The class that the values of one pixel mean.
pub(super) fn predicted(kind: OutputKind, pixel: &[f64]) -> usize {
    match kind {
        OutputKind::Values | OutputKind::LogProbabilities => top1(pixel),
        OutputKind::Indices { .. } => pixel.first().map_or(0, |&index| index as usize),
    }
}

/// A loss of one sample. Every loss is 0 or above for finite outputs, except for the conventions of
/// [`EarthMover::emd`](super::emd::EarthMover::emd).
pub trait SampleLoss: Debug + Send + Sync {
    /// The name in configurations and reports.
    fn name(&self) -> &'static str;

    /// The loss: a pure function of what it sees.
    fn evaluate(&self, sample: &SampleView<'_>) -> f64;

    /// Whether it compares with a target.
    fn needs_target(&self) -> bool {
        false
    }

    /// Whether it needs labels that are given, and not the fault-free classes in their place.
    fn needs_labels(&self) -> bool {
        false
    }

    /// Whether it is about classes: without labels the fault-free ones take their place.
    fn needs_classes(&self) -> bool {
        false
    }

    /// Whether it makes sense where the network selects classes itself and hands on their indices, which are no amounts.
    fn takes_indices(&self) -> bool {
        false
    }

    /// Whether it applies a softmax itself. Where the network's file ends in one, it sees the logarithms of the
    /// probabilities instead ([`OutputKind::LogProbabilities`]).
    fn takes_logits(&self) -> bool {
        false
    }

    /// Whether it looks at the output's values, and not only at whether any integer differs.
    fn reads_output(&self) -> bool {
        true
    }

    /// Values that it expects of a sample, where it is bound to a number of them.
    fn cells(&self) -> Option<usize> {
        None
    }

    /// Its largest value, where there is one.
    fn largest(&self) -> Option<f64> {
        None
    }

    /// Whether the function fails where a class goes wrong, and not as soon as any integer differs.
    fn fails_by_class(&self) -> bool {
        false
    }

    /// Everything besides the name that determines it, as text: two losses with the same name and parameters are
    /// the same.
    fn parameters(&self) -> String {
        String::new()
    }
}

/// What counts as damage.
#[derive(Clone, Debug)]
pub struct Loss(Arc<dyn SampleLoss>);

/// A loss that is found by its name.
#[derive(Clone, Copy, Debug)]
pub struct NamedLoss {
    /// The name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Whether it takes a ground distance.
    pub takes_distance: bool,
    /// Makes it; the ground distance is there where it takes one.
    make: fn(Option<&Array>) -> Result<Loss, OutcomeError>,
}

impl NamedLoss {
    /// The loss.
    ///
    /// # Errors
    /// [`OutcomeError`] where it takes a ground distance that is missing or none.
    pub fn make(&self, distance: Option<&Array>) -> Result<Loss, OutcomeError> {
        (self.make)(distance)
    }
}

/// All losses by name.
pub const LOSSES: [NamedLoss; 5] = [
    mismatch::NAMED,
    misclassify::NAMED,
    mse::NAMED,
    cross_entropy::NAMED,
    emd::NAMED,
];

/// The loss of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static NamedLoss> {
    LOSSES.iter().find(|loss| loss.name == name)
}

impl Loss {
    /// A loss of a library user's own.
    #[must_use]
    pub fn own(loss: Arc<dyn SampleLoss>) -> Self {
        Self(loss)
    }

    /// 1 where any integer at the accelerator's output differs from the fault-free run, else 0.
    #[must_use]
    pub fn mismatch() -> Self {
        Self(Arc::new(mismatch::Mismatch))
    }

    /// 1 where the predicted class is not the label (without labels: not the fault-free prediction), else 0; where
    /// every pixel has a class, the share of wrong pixels.
    #[must_use]
    pub fn misclassify() -> Self {
        Self(Arc::new(misclassify::Misclassify))
    }

    /// Mean of the squared differences to the target.
    #[must_use]
    pub fn mse() -> Self {
        Self(Arc::new(mse::Mse))
    }

    /// `-ln softmax(logits)[label]`; where every pixel has a class, the mean over the pixels.
    #[must_use]
    pub fn cross_entropy() -> Self {
        Self(Arc::new(cross_entropy::CrossEntropy))
    }

    /// Earth mover's distance to the target.
    #[must_use]
    pub fn emd(mover: super::emd::EarthMover) -> Self {
        Self(Arc::new(emd::Emd(mover)))
    }
}

impl std::ops::Deref for Loss {
    type Target = dyn SampleLoss;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.name(), self.parameters()).serialize(serializer)
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

/// Pixels whose class is not the expected one.
pub(super) fn wrong_pixels(sample: &SampleView<'_>) -> usize {
    let expected = sample.labels.iter();
    sample
        .predicted()
        .zip(expected)
        .filter(|(predicted, expected)| predicted != *expected)
        .count()
}
