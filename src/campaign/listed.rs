//! Fault sets that the user lists.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bench, Kind, Monitor, SENSITIVE_ABOVE, Scenario, Score};
use crate::accelerator::StoredBit;
use crate::fault::{self, FaultModel, ListedTrial};
use crate::simulate::functional::Transient;

/// Listed fault sets, each by itself.
#[derive(Clone, Debug, Serialize)]
pub struct FaultLists {
    bench: Arc<Bench>,
    trials: Vec<ListedTrial>,
    fault: FaultModel,
}

/// A line of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedRow {
    trial: u64,
    faults: u64,
    wrong_bits: u64,
    changed: u64,
    newly_wrong: Option<u64>,
    newly_right: Option<u64>,
    loss: f64,
    delta_loss: f64,
    accuracy: Option<f64>,
    #[serde(default)]
    metrics: Vec<f64>,
}

/// Sums over the sets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ListedSums {
    trials: u64,
    harmless: u64,
    harmful: u64,
    critical: u64,
    rises: f64,
    largest: Option<(f64, u64)>,
}

/// What the sets come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `faults`.
    pub kind: &'static str,
    /// What a listed fault does.
    pub fault: String,
    /// Samples of the workload.
    pub samples: usize,
    /// The loss.
    pub loss: &'static str,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Mean share of right classes without faults, where it is known what is right.
    pub fault_free_accuracy: Option<f64>,
    /// Fault sets.
    pub trials: u64,
    /// Those that changed no output of any sample.
    pub harmless_trials: u64,
    /// Those that raise the mean loss.
    pub harmful_trials: u64,
    /// Those that make a right sample wrong.
    pub newly_wrong_trials: u64,
    /// Mean over the sets of the rise of the mean loss.
    pub mean_delta_loss: f64,
    /// The largest rise, and the number of its set.
    pub largest_delta_loss: f64,
    /// The set with the largest rise; none where none rises.
    pub worst_trial: Option<u64>,
}

impl FaultLists {
    /// These sets. A fault that is listed twice in one set cancels, unless it is stuck.
    #[must_use]
    pub fn new(bench: Arc<Bench>, trials: Vec<ListedTrial>, fault: FaultModel) -> Self {
        Self { bench, trials, fault }
    }

    /// What reads inverted under a set.
    fn wrong(&self, trial: &ListedTrial) -> (Vec<StoredBit>, Vec<Transient>) {
        let accelerator = self.bench.accelerator();
        let inverted = trial
            .bits
            .iter()
            .flat_map(|&bit| self.fault.inverted(accelerator, bit).unwrap_or_default());
        let mut wrong: Vec<StoredBit> = inverted.collect();
        if matches!(self.fault, FaultModel::StuckAt0 | FaultModel::StuckAt1) {
            wrong.sort_unstable();
            wrong.dedup();
        } else {
            wrong = fault::wrong_bits(wrong);
        }
        (wrong, fault::together(trial.transients.clone()))
    }
}

impl Kind for FaultLists {
    type Trial = (u64, Score);
    type Row = ListedRow;
    type Sums = ListedSums;
    type Report = ListedReport;

    fn name(&self) -> &'static str {
        "faults"
    }

    fn columns(&self) -> &'static str {
        "trial,faults,wrong_bits,changed,newly_wrong,newly_right,loss,delta_loss,accuracy"
    }

    fn more_columns(&self) -> Vec<String> {
        self.bench.metric_names()
    }

    fn trials(&self) -> u64 {
        self.trials.len() as u64
    }

    fn work_per_trial(&self) -> u64 {
        self.bench.samples() as u64
    }

    fn largest_block(&self) -> u64 {
        self.bench.block() as u64
    }

    fn overhead(&self) -> Duration {
        self.bench.loading()
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<(u64, Score)>> {
        let accelerator = self.bench.accelerator();
        let wrong: Vec<_> = self.trials[numbers.start as usize..numbers.end as usize]
            .iter()
            .map(|trial| self.wrong(trial))
            .collect();
        let bits: Vec<u64> = wrong
            .iter()
            .map(|(stored, codes)| stored.len() as u64 + fault::bits_of(codes))
            .collect();
        let scenarios: Vec<Scenario> = wrong
            .into_iter()
            .map(|(stored, transients)| Scenario {
                changes: fault::changes(accelerator, &stored),
                transients,
                sample: None,
            })
            .collect();
        let scores = self.bench.score(&scenarios, monitor)?;
        Some(bits.into_iter().zip(scores).collect())
    }

    fn rows(&self, number: u64, (wrong_bits, score): &(u64, Score)) -> Vec<ListedRow> {
        let trial = &self.trials[number as usize];
        vec![ListedRow {
            trial: trial.trial,
            faults: (trial.bits.len() + trial.transients.len()) as u64,
            wrong_bits: *wrong_bits,
            changed: score.changed,
            newly_wrong: score.newly_wrong,
            newly_right: score.newly_right,
            loss: score.loss,
            delta_loss: score.delta_loss,
            accuracy: self.bench.right_share(score),
            metrics: score.metrics.clone(),
        }]
    }

    fn recall(&self, number: u64, rows: Vec<ListedRow>) -> Result<(u64, Score), String> {
        let trial = self.trials[number as usize].trial;
        match &rows[..] {
            [row] if row.trial == trial => Ok((
                row.wrong_bits,
                Score {
                    changed: row.changed,
                    newly_wrong: row.newly_wrong,
                    newly_right: row.newly_right,
                    loss: row.loss,
                    delta_loss: row.delta_loss,
                    metrics: row.metrics.clone(),
                },
            )),
            _ => Err(format!("is not the line of trial {trial}")),
        }
    }

    fn sums(&self) -> ListedSums {
        ListedSums::default()
    }

    fn add(&self, sums: &mut ListedSums, number: u64, (_, score): &(u64, Score)) {
        sums.trials += 1;
        sums.harmless += u64::from(score.changed == 0);
        sums.harmful += u64::from(score.delta_loss > SENSITIVE_ABOVE);
        sums.critical += u64::from(score.newly_wrong.unwrap_or(0) > 0);
        sums.rises += score.delta_loss;
        if score.delta_loss > sums.largest.map_or(0.0, |(rise, _)| rise) {
            sums.largest = Some((score.delta_loss, self.trials[number as usize].trial));
        }
    }

    fn report(&self, sums: &ListedSums) -> ListedReport {
        let accelerator = self.bench.accelerator();
        let baseline = self.bench.baseline();
        ListedReport {
            network: accelerator.network().name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: self.name(),
            fault: self.fault.to_string(),
            samples: self.bench.samples(),
            loss: self.bench.evaluator().loss().name(),
            fault_free_loss: baseline.loss,
            fault_free_accuracy: baseline.accuracy,
            trials: sums.trials,
            harmless_trials: sums.harmless,
            harmful_trials: sums.harmful,
            newly_wrong_trials: sums.critical,
            mean_delta_loss: sums.rises / sums.trials.max(1) as f64,
            largest_delta_loss: sums.largest.map_or(0.0, |(rise, _)| rise),
            worst_trial: sums.largest.map(|(_, trial)| trial),
        }
    }
}
