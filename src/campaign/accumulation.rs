//! Flips that pile up: several random ones at a time, with the protection in force.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::statistics::{Bounds, Interval, Moments, clopper_pearson, mean_interval};
use super::{Bench, Kind, Monitor, SENSITIVE_ABOVE, Scenario, Score, stream};
use crate::accelerator::StoredBit;
use crate::fault;
use crate::scheme::Cells;
use crate::text::number;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialPlan {
    /// Number of trials.
    pub trials: u64,
    /// Flips per trial, drawn with replacement: a second hit on a cell restores it.
    pub flips: u64,
    /// Seed; trial `t` draws from stream `t`.
    pub seed: u64,
}

/// Trials of random flips, uniform over all cells of a protected memory, copies included.
#[derive(Clone, Debug, Serialize)]
pub struct Accumulation {
    bench: Arc<Bench>,
    cells: Cells,
    plan: TrialPlan,
}

/// What one trial did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Bits that are wrong as read, behind the voters.
    pub wrong_bits: u64,
    /// What they did to the workload.
    pub score: Score,
}

/// A line of the records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    trial: u64,
    wrong_bits: u64,
    changed: u64,
    newly_wrong: Option<u64>,
    loss: f64,
    delta_loss: f64,
}

/// Sums over trials.
#[derive(Clone, Debug, Default)]
pub struct TrialSums {
    trials: u64,
    wrong_bits: f64,
    loss: f64,
    delta_loss: f64,
    changed: f64,
    harmful: u64,
    rises: Moments,
}

/// What the trials came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialSummary {
    /// What was drawn.
    pub plan: TrialPlan,
    /// Cells that a flip can hit: stored bits and the copies of protected ones.
    pub cells: u64,
    /// Mean number of bits that are wrong as read, behind the voters.
    pub mean_wrong_bits: f64,
    /// Mean over the trials of the mean loss over the samples.
    pub mean_loss: f64,
    /// Interval of `mean_loss`.
    pub mean_loss_interval: Interval,
    /// `mean_loss` minus the fault-free mean loss.
    pub mean_delta_loss: f64,
    /// Share of the trials that raised the mean loss.
    pub harmful_share: f64,
    /// Interval of `harmful_share`.
    pub harmful_interval: Interval,
    /// Mean over the trials of the share of samples with any output changed.
    pub mean_changed_share: f64,
}

/// The largest rise of the mean loss that a trial can have, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct LargestRise {
    /// The rise.
    pub delta_loss: f64,
    /// What it rests on, where it is no law.
    pub assumes: Option<String>,
}

impl LargestRise {
    /// That of the loss itself, where it has a largest value.
    #[must_use]
    pub fn of_loss(bench: &Bench) -> Self {
        let largest = bench.evaluator().loss().largest();
        Self {
            delta_loss: largest.map_or(f64::INFINITY, |largest| largest - bench.baseline().loss),
            assumes: None,
        }
    }

    /// That of the loss itself, or else the largest that was seen.
    #[must_use]
    pub fn or_seen(bench: &Bench, seen: f64, where_seen: &str) -> Self {
        let of_loss = Self::of_loss(bench);
        if of_loss.delta_loss.is_finite() {
            return of_loss;
        }
        Self {
            delta_loss: seen,
            assumes: Some(format!(
                "no trial raises the mean loss by more than {}, the largest rise {where_seen}",
                number(seen)
            )),
        }
    }

    /// The bounds of rises of which some were seen.
    pub(super) fn bounds(&self, seen: &Moments, fault_free: f64) -> Bounds {
        Bounds {
            // No loss is below 0, so none falls by more than the fault-free one.
            low: (-fault_free).min(seen.min().unwrap_or(0.0)).min(0.0),
            high: self.delta_loss.max(seen.max().unwrap_or(0.0)),
        }
    }
}

impl Accumulation {
    /// Trials over all cells of a protected memory.
    #[must_use]
    pub fn new(bench: Arc<Bench>, cells: Cells, plan: TrialPlan) -> Self {
        Self { bench, cells, plan }
    }

    /// The stored bits that read wrong after one trial's flips.
    #[must_use]
    pub fn wrong_bits(&self, trial: u64) -> Vec<StoredBit> {
        let mut random = stream(self.plan.seed, trial);
        let hits: Vec<_> = (0..self.plan.flips)
            .filter_map(|_| self.cells.cell(random.random_range(0..self.cells.total().max(1))))
            .collect();
        self.cells.read_inverted(&hits)
    }

    /// What the trials came to, where no trial can raise the mean loss by more than so much.
    #[must_use]
    pub fn report_within(&self, sums: &TrialSums, largest: &LargestRise) -> TrialSummary {
        let fault_free = self.bench.baseline().loss;
        let trials = sums.trials.max(1) as f64;
        let bounds = largest.bounds(&sums.rises, fault_free);
        let mut interval = mean_interval(&sums.rises, bounds).shifted(fault_free);
        interval.assumes.clone_from(&largest.assumes);
        TrialSummary {
            plan: TrialPlan {
                trials: sums.trials,
                ..self.plan
            },
            cells: self.cells.total(),
            mean_wrong_bits: sums.wrong_bits / trials,
            mean_loss: sums.loss / trials,
            mean_loss_interval: interval,
            mean_delta_loss: sums.delta_loss / trials,
            harmful_share: sums.harmful as f64 / trials,
            harmful_interval: clopper_pearson(sums.harmful, sums.trials),
            mean_changed_share: sums.changed / trials,
        }
    }
}

impl TrialSums {
    /// Largest rise of the mean loss in any trial; 0 where none rose.
    #[must_use]
    pub fn largest_rise(&self) -> f64 {
        self.rises.max().unwrap_or(0.0).max(0.0)
    }
}

impl Kind for Accumulation {
    type Trial = Trial;
    type Row = TrialRow;
    type Sums = TrialSums;
    type Report = TrialSummary;

    fn name(&self) -> &'static str {
        "accumulation"
    }

    fn columns(&self) -> &'static str {
        "trial,wrong_bits,changed,newly_wrong,loss,delta_loss"
    }

    fn trials(&self) -> u64 {
        self.plan.trials
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

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Trial>> {
        let wrong: Vec<Vec<StoredBit>> = numbers.map(|trial| self.wrong_bits(trial)).collect();
        let scenarios: Vec<Scenario> = wrong
            .iter()
            .map(|bits| fault::changes(self.bench.accelerator(), bits).into())
            .collect();
        let scores = self.bench.score(&scenarios, monitor)?;
        let trials = wrong.iter().zip(scores).map(|(bits, score)| Trial {
            wrong_bits: bits.len() as u64,
            score,
        });
        Some(trials.collect())
    }

    fn rows(&self, trial: u64, done: &Trial) -> Vec<TrialRow> {
        vec![TrialRow {
            trial,
            wrong_bits: done.wrong_bits,
            changed: done.score.changed,
            newly_wrong: done.score.newly_wrong,
            loss: done.score.loss,
            delta_loss: done.score.delta_loss,
        }]
    }

    fn recall(&self, number: u64, rows: Vec<TrialRow>) -> Result<Trial, String> {
        match rows[..] {
            [row] if row.trial == number => Ok(Trial {
                wrong_bits: row.wrong_bits,
                score: Score {
                    changed: row.changed,
                    newly_wrong: row.newly_wrong,
                    newly_right: None,
                    loss: row.loss,
                    delta_loss: row.delta_loss,
                },
            }),
            _ => Err(format!("is not the line of trial {number}")),
        }
    }

    fn sums(&self) -> TrialSums {
        TrialSums::default()
    }

    fn add(&self, sums: &mut TrialSums, _number: u64, trial: &Trial) {
        let score = &trial.score;
        sums.trials += 1;
        sums.wrong_bits += trial.wrong_bits as f64;
        sums.loss += score.loss;
        sums.delta_loss += score.delta_loss;
        sums.changed += score.changed as f64 / self.bench.samples() as f64;
        sums.harmful += u64::from(score.delta_loss > SENSITIVE_ABOVE);
        sums.rises.add(score.delta_loss);
    }

    fn report(&self, sums: &TrialSums) -> TrialSummary {
        self.report_within(sums, &LargestRise::of_loss(&self.bench))
    }

    fn relative_error(&self, sums: &TrialSums) -> Option<f64> {
        let report = self.report(sums);
        let half = (report.mean_loss_interval.high - report.mean_loss_interval.low) / 2.0;
        (report.mean_loss > 0.0 && half.is_finite()).then(|| half / report.mean_loss)
    }

    fn margin(&self, sums: &TrialSums) -> Option<f64> {
        let harmful = clopper_pearson(sums.harmful, sums.trials);
        Some((harmful.high - harmful.low) / 2.0)
    }
}
