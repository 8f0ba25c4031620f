//! Metrics beside the loss, several at once: numbers over all samples, from the same readouts.
//!
//! A metric adds up what each sample contributes, in the order of the samples, and makes its value of the sums. Each
//! is one file with one line in [`METRICS`]; every loss is one as well ([`Metric::of_loss`]), and a library user brings
//! one of his own with [`Metric::own`].

mod accuracy;
mod changed_pixels;
mod iou;
mod of_loss;
mod top2;
mod weighted_iou;

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::OutcomeError;
use super::loss::{self, Loss, SampleView};
use crate::data::Array;

/// What a metric sees of one sample.
#[derive(Clone, Copy, Debug)]
pub struct MetricView<'a> {
    /// What a loss sees.
    pub sample: SampleView<'a>,
    /// The classes that the fault-free run predicts for the sample's pixels; empty where they are not asked for.
    pub fault_free: &'a [usize],
}

/// A number over all samples.
pub trait SampleMetric: Debug + Send + Sync {
    /// The name in configurations and reports.
    fn name(&self) -> &'static str;

    /// How many sums it keeps, where there are that many classes.
    fn sums(&self, classes: usize) -> usize {
        let _ = classes;
        1
    }

    /// What one sample adds to the sums, which come as zeros: a pure function of what it sees.
    fn contribute(&self, view: &MetricView<'_>, sums: &mut [f64]);

    /// The value of all samples: by default the mean of the first sum.
    fn value(&self, sums: &[f64], samples: usize) -> f64 {
        sums[0] / samples as f64
    }

    /// The smallest and the largest value that it can have, where they are known.
    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (None, None)
    }

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

    /// Whether it compares with the fault-free classes, labels or not.
    fn needs_fault_free(&self) -> bool {
        false
    }

    /// Whether it makes sense of indices that the network selects itself.
    fn takes_indices(&self) -> bool {
        false
    }

    /// Whether it applies a softmax itself, as [`SampleLoss::takes_logits`](super::SampleLoss::takes_logits).
    fn takes_logits(&self) -> bool {
        false
    }

    /// Values that it expects of a sample, where it is bound to a number of them.
    fn cells(&self) -> Option<usize> {
        None
    }

    /// Everything besides the name that determines it, as text.
    fn parameters(&self) -> String {
        String::new()
    }
}

/// A metric.
#[derive(Clone, Debug)]
pub struct Metric(Arc<dyn SampleMetric>);

/// A metric that is found by its name.
#[derive(Clone, Copy, Debug)]
pub struct NamedMetric {
    /// The name.
    pub name: &'static str,
    /// What it is, in a few words, with its unit.
    pub about: &'static str,
    make: fn() -> Metric,
}

/// The metrics that are no losses, by name.
pub const METRICS: [NamedMetric; 5] = [
    accuracy::NAMED,
    changed_pixels::NAMED,
    top2::NAMED,
    iou::NAMED,
    weighted_iou::NAMED,
];

/// The metric of that name: one of [`METRICS`], or the mean of one of the [`LOSSES`](loss::LOSSES). `distance` is for
/// those that take a ground distance. `None` where there is none of that name.
///
/// # Errors
/// [`OutcomeError`] where it takes a ground distance that is missing or none.
pub fn named(name: &str, distance: Option<&Array>) -> Result<Option<Metric>, OutcomeError> {
    if let Some(metric) = METRICS.iter().find(|metric| metric.name == name) {
        return Ok(Some((metric.make)()));
    }
    let loss = loss::named(name).map(|loss| loss.make(distance)).transpose()?;
    Ok(loss.map(Metric::of_loss))
}

/// The names that [`named`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    let losses = loss::LOSSES.iter().map(|loss| loss.name);
    METRICS.iter().map(|metric| metric.name).chain(losses)
}

impl Metric {
    /// A metric of a library user's own.
    #[must_use]
    pub fn own(metric: Arc<dyn SampleMetric>) -> Self {
        Self(metric)
    }

    /// The mean of a loss.
    #[must_use]
    pub fn of_loss(loss: Loss) -> Self {
        Self::own(Arc::new(of_loss::OfLoss(loss)))
    }
}

impl std::ops::Deref for Metric {
    type Target = dyn SampleMetric;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.name(), self.parameters()).serialize(serializer)
    }
}
