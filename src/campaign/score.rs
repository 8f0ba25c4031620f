//! Fault sets and what they come to.

use crate::outcome::{Evaluator, Outcome};
use crate::simulate::functional::{Change, Transient};

/// One fault set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// The stored values that differ.
    pub changes: Vec<Change>,
    /// Codes and sums that are struck in every inference that is scored.
    pub transients: Vec<Transient>,
    /// The only sample that is scored; all where there is none.
    pub sample: Option<u32>,
}

impl Scenario {
    /// Whether it leaves everything as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.transients.is_empty()
    }
}

impl From<Vec<Change>> for Scenario {
    fn from(changes: Vec<Change>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }
}

/// What a fault set did to the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Samples with any output mantissa changed.
    pub changed: u64,
    /// Samples right without and wrong with the faults; none where nothing is known to be right.
    pub newly_wrong: Option<u64>,
    /// Samples wrong without and right with the faults; none as for `newly_wrong`.
    pub newly_right: Option<u64>,
    /// Mean loss over the samples that are scored.
    pub loss: f64,
    /// Mean loss minus the fault-free mean loss. Samples whose outputs did not change contribute
    /// exactly 0.
    pub delta_loss: f64,
    /// The values of the evaluator's metrics under the faults, in their order and units.
    pub metrics: Vec<f64>,
}

/// The fault-free run.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Output mantissas, `[sample][output]`.
    pub outputs: Vec<i64>,
    /// What each sample came to.
    pub outcomes: Vec<Outcome>,
    /// Mean loss.
    pub loss: f64,
    /// Mean share of right classes, where it is known what is right.
    pub accuracy: Option<f64>,
    /// The values of the evaluator's metrics, in their order and units.
    pub metrics: Vec<f64>,
    /// What each sample contributes to the metrics, `[sample][sum]`, and the sums over all samples.
    pub(super) contributions: Vec<f64>,
    pub(super) sums: Vec<f64>,
}

impl Score {
    /// From counts of samples and the sums of the differences of losses and of contributions to metrics, over all
    /// samples in their order.
    #[must_use]
    pub(super) fn new(
        evaluator: &Evaluator,
        baseline: &Baseline,
        [changed, wrong, right]: [u64; 3],
        difference: f64,
        moves: &[f64],
    ) -> Self {
        let known = baseline.outcomes[0].correct.is_some();
        let delta_loss = difference / baseline.outcomes.len() as f64;
        Self {
            changed,
            newly_wrong: known.then_some(wrong),
            newly_right: known.then_some(right),
            loss: baseline.loss + delta_loss,
            delta_loss,
            metrics: if moves.is_empty() {
                Vec::new()
            } else {
                let sums = baseline.sums.iter().zip(moves).map(|(sum, change)| sum + change);
                evaluator.metric_values(&sums.collect::<Vec<f64>>(), baseline.outcomes.len())
            },
        }
    }

    /// Of one sample.
    #[must_use]
    pub(super) fn of_one(fault_free: &Outcome, outcome: Option<&Outcome>) -> Self {
        let verdicts = (fault_free.correct, outcome.unwrap_or(fault_free).correct);
        let known = fault_free.correct.is_some();
        let delta_loss = outcome.map_or(0.0, |outcome| outcome.loss - fault_free.loss);
        Self {
            changed: u64::from(outcome.is_some()),
            newly_wrong: known.then_some(u64::from(verdicts == (Some(true), Some(false)))),
            newly_right: known.then_some(u64::from(verdicts == (Some(false), Some(true)))),
            loss: fault_free.loss + delta_loss,
            delta_loss,
            metrics: Vec::new(),
        }
    }
}

/// A question about a fault set that may be answered before all samples are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    /// Does any output mantissa of any sample change?
    AnyChanged,
    /// Is any sample wrong that is right without the faults?
    NewlyWrong,
    /// Is the mean loss over the samples above a bound? No loss is below 0, so that the sum over the samples seen so
    /// far answers it once it is above the bound by itself.
    LossAbove(f64),
}

impl Question {
    /// Whether the answer is yes, from counts of samples changed, newly wrong and newly right so far, and from the
    /// sum of the losses so far over the number of all samples.
    pub(super) fn is_answered(self, [changed, wrong, _]: [u64; 3], loss: f64) -> bool {
        match self {
            Self::AnyChanged => changed > 0,
            Self::NewlyWrong => wrong > 0,
            Self::LossAbove(bound) => loss > bound,
        }
    }
}

/// What a fault set answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub yes: bool,
    /// Samples looked at: whole chunks, in their order, whatever the number of threads.
    pub samples: u64,
    /// Whether samples were left out because the answer was known.
    pub cut: bool,
}

impl Answer {
    /// Yes, after so many of so many samples.
    pub(super) fn yes(seen: usize, samples: usize) -> Self {
        Self {
            yes: true,
            samples: seen as u64,
            cut: seen < samples,
        }
    }

    /// No, after all samples.
    pub(super) fn no(samples: usize) -> Self {
        Self {
            yes: false,
            samples: samples as u64,
            cut: false,
        }
    }
}
