//! Flips that pile up: several random ones at a time, with the protection in force.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::statistics::{Bounds, Interval, Moments, clopper_pearson, mean_interval};
use super::{Bench, Kind, Mean, Monitor, SENSITIVE_ABOVE, Scenario, Score, Stream, stream};
use crate::accelerator::StoredBit;
use crate::fault::{self, Boundary, FaultModel};
use crate::outcome::Metric;
use crate::radiation::Offset;
use crate::scheme::{Cells, Place};
use crate::simulate::functional::Transient;
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

/// Trials of random faults, uniform over all cells of a protected memory, copies included, and over the bits of codes
/// where these are struck as well.
#[derive(Clone, Debug, Serialize)]
pub struct Accumulation {
    bench: Arc<Bench>,
    cells: Cells,
    plan: TrialPlan,
    fault: FaultModel,
    /// Codes that are struck in every inference of a trial.
    boundaries: Vec<Boundary>,
    /// Number of the stream of the first trial.
    first_stream: u64,
    /// What the cells hold, where that decides.
    #[serde(skip)]
    contents: Option<Contents>,
}

/// What reads wrong in one trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrongBits {
    /// Stored bits, behind the voters, in order.
    pub stored: Vec<StoredBit>,
    /// Bits of codes, in every inference.
    pub transients: Vec<Transient>,
}

impl WrongBits {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.stored.len() as u64 + fault::bits_of(&self.transients)
    }
}

/// What one trial did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Bits that are wrong as read, behind the voters.
    pub wrong_bits: u64,
    /// What they did to the workload.
    pub score: Score,
}

/// A line of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    trial: u64,
    flips: u64,
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

impl TrialRow {
    /// The columns.
    pub const COLUMNS: &'static str =
        "trial,flips,wrong_bits,changed,newly_wrong,newly_right,loss,delta_loss,accuracy";

    /// The line of a trial of so many faults.
    pub(super) fn new(bench: &Bench, trial: u64, flips: u64, done: &Trial) -> Self {
        let score = &done.score;
        Self {
            trial,
            flips,
            wrong_bits: done.wrong_bits,
            changed: score.changed,
            newly_wrong: score.newly_wrong,
            newly_right: score.newly_right,
            loss: score.loss,
            delta_loss: score.delta_loss,
            accuracy: bench.right_share(score),
            metrics: score.metrics.clone(),
        }
    }

    /// The trial of that number and so many faults.
    pub(super) fn trial(rows: &[Self], number: u64, flips: u64) -> Result<Trial, String> {
        match rows {
            [row] if (row.trial, row.flips) == (number, flips) => Ok(Trial {
                wrong_bits: row.wrong_bits,
                score: Score {
                    changed: row.changed,
                    newly_wrong: row.newly_wrong,
                    newly_right: row.newly_right,
                    loss: row.loss,
                    delta_loss: row.delta_loss,
                    metrics: row.metrics.clone(),
                },
            }),
            _ => Err(format!("is not the line of trial {number}")),
        }
    }
}

/// A run of so many consecutive columns.
fn run_of(bits: u32) -> Vec<Offset> {
    (0..bits as i32).map(|column| Offset { row: 0, column }).collect()
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
    right: Moments,
    metrics: Vec<Moments>,
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
    /// Share of samples whose class, or class of every pixel, is right, over the trials; none where nothing is known
    /// to be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<AccuracyOfTrials>,
    /// Metrics over the trials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricOfTrials>,
}

/// A metric over the trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricOfTrials {
    /// Its name.
    pub name: String,
    /// Without faults.
    pub fault_free: f64,
    /// Its mean.
    #[serde(flatten)]
    pub mean: Mean,
    /// The standard deviation between trials.
    pub standard_deviation: f64,
    /// The lowest of any trial.
    pub lowest: f64,
    /// The highest of any trial.
    pub highest: f64,
}

/// The values that a metric can have; the lowest one seen where no smallest is known.
fn bounds_of(metric: &Metric, values: &Moments, fault_free: f64) -> Bounds {
    let (low, high) = metric.bounds();
    let lowest = values.min().map_or(fault_free, |min| min.min(fault_free));
    let highest = values.max().map_or(fault_free, |max| max.max(fault_free));
    Bounds {
        low: low.map_or(lowest, |low| low.min(lowest)),
        high: high.map_or(f64::INFINITY, |high| high.max(highest)),
    }
}

/// The metrics over the trials of a bench.
fn metrics_of(bench: &Bench, sums: &[Moments]) -> Vec<MetricOfTrials> {
    let named = bench.evaluator().metrics().iter().zip(&bench.baseline().metrics);
    named
        .zip(sums)
        .map(|((metric, &fault_free), values)| MetricOfTrials {
            name: metric.name().to_owned(),
            fault_free,
            mean: Mean::of(values, bounds_of(metric, values, fault_free)),
            standard_deviation: values.variance().sqrt(),
            lowest: values.min().unwrap_or(fault_free),
            highest: values.max().unwrap_or(fault_free),
        })
        .collect()
}

/// The share of right samples over the trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccuracyOfTrials {
    /// Without faults.
    pub fault_free: f64,
    /// Its mean.
    #[serde(flatten)]
    pub mean: Mean,
    /// The standard deviation between trials.
    pub standard_deviation: f64,
    /// The lowest of any trial.
    pub lowest: f64,
    /// The highest of any trial.
    pub highest: f64,
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
    /// Trials of flips over all cells of a protected memory.
    #[must_use]
    pub fn new(bench: Arc<Bench>, cells: Cells, plan: TrialPlan) -> Self {
        Self {
            bench,
            cells,
            plan,
            fault: FaultModel::Flip,
            boundaries: Vec::new(),
            first_stream: 0,
            contents: None,
        }
    }

    /// Faults of another kind. A burst lies in one array, uniformly over the places where all of it fits.
    #[must_use]
    pub fn with_fault(mut self, fault: FaultModel) -> Self {
        self.fault = fault;
        if matches!(fault, FaultModel::StuckAt0 | FaultModel::StuckAt1) {
            self.contents = Some(Contents::of(self.bench.accelerator(), self.cells.store()));
        }
        self
    }

    /// Also strikes the bits of codes. A burst there is consecutive bits in the order of the codes, uniformly over the
    /// places where all of it fits; a bit of a code that is stuck is not modelled and nothing is inverted.
    #[must_use]
    pub fn with_codes(mut self, boundaries: Vec<Boundary>) -> Self {
        self.boundaries = boundaries;
        self
    }

    /// Draws trial `t` from stream `first + t`.
    #[must_use]
    pub(super) fn starting_at(mut self, first: u64) -> Self {
        self.first_stream = first;
        self
    }

    pub(super) fn set_flips(&mut self, flips: u64) {
        self.plan.flips = flips;
    }

    /// What is drawn.
    #[must_use]
    pub fn plan(&self) -> &TrialPlan {
        &self.plan
    }

    pub(super) fn bench(&self) -> &Arc<Bench> {
        &self.bench
    }

    /// Bits of codes that can be struck.
    fn code_bits(&self) -> u64 {
        self.boundaries.iter().map(Boundary::bits).sum()
    }

    /// What reads wrong after one trial's faults.
    #[must_use]
    pub fn wrong_bits(&self, trial: u64) -> WrongBits {
        let mut random = stream(self.plan.seed, self.first_stream + trial);
        let stored = self.cells.total();
        let total = stored + self.code_bits();
        let mut hits: Vec<Place> = Vec::new();
        let mut transients: Vec<Transient> = Vec::new();
        let mut run = Vec::new();
        for _ in 0..self.plan.flips {
            if total == 0 {
                break;
            }
            let number = random.random_range(0..total);
            if number >= stored {
                self.strike_code(number - stored, &mut random, &mut transients);
                continue;
            }
            match self.fault {
                FaultModel::Flip => hits.extend(self.cells.cell(number)),
                FaultModel::StuckAt0 | FaultModel::StuckAt1 => {
                    let stuck = self.fault == FaultModel::StuckAt1;
                    let place = self.cells.cell(number).filter(|&place| {
                        let contents = self.contents.as_ref();
                        contents.is_some_and(|held| held.value(self.cells.store(), place) != stuck)
                    });
                    hits.extend(place);
                }
                FaultModel::Burst(bits) => {
                    let arrays = self.cells.store().arrays();
                    let mut rest = number;
                    let array = arrays.iter().find(|array| {
                        let cells = array.geometry.cells();
                        let here = rest < cells;
                        rest -= if here { 0 } else { cells };
                        here
                    });
                    if let Some(array) = array {
                        fault::place(&array.geometry, &run_of(bits), &mut random, &mut run);
                        hits.extend(run.iter().map(|&cell| array.place(cell)));
                    }
                }
            }
        }
        if self.contents.is_some() {
            // What is stuck twice is stuck.
            hits.sort_by_key(|place| (place.memory, place.unit, place.cell));
            hits.dedup();
        }
        WrongBits {
            stored: self.cells.read_inverted(&hits),
            transients: fault::together(transients),
        }
    }

    /// A fault at the bit of that number among those of codes.
    fn strike_code(&self, number: u64, random: &mut Stream, transients: &mut Vec<Transient>) {
        let mut rest = number;
        for boundary in &self.boundaries {
            let bits = boundary.bits();
            if rest >= bits {
                rest -= bits;
                continue;
            }
            match self.fault {
                FaultModel::Flip => transients.push(boundary.flip_of(rest)),
                FaultModel::Burst(length) => {
                    let length = u64::from(length).min(bits);
                    let start = random.random_range(0..=bits - length);
                    transients.extend((start..start + length).map(|bit| boundary.flip_of(bit)));
                }
                FaultModel::StuckAt0 | FaultModel::StuckAt1 => {}
            }
            return;
        }
    }

    /// Runs these trials.
    pub(super) fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Trial>> {
        let wrong: Vec<WrongBits> = numbers.map(|trial| self.wrong_bits(trial)).collect();
        let scenarios: Vec<Scenario> = wrong
            .iter()
            .map(|bits| Scenario {
                changes: fault::changes(self.bench.accelerator(), &bits.stored),
                transients: bits.transients.clone(),
                sample: None,
            })
            .collect();
        let scores = self.bench.score(&scenarios, monitor)?;
        let trials = wrong.iter().zip(scores).map(|(bits, score)| Trial {
            wrong_bits: bits.count(),
            score,
        });
        Some(trials.collect())
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
            accuracy: (sums.right.count() > 0).then(|| AccuracyOfTrials {
                fault_free: self.bench.right_without_faults().unwrap_or(0.0),
                mean: Mean::of_shares(&sums.right),
                standard_deviation: sums.right.variance().sqrt(),
                lowest: sums.right.min().unwrap_or(0.0),
                highest: sums.right.max().unwrap_or(0.0),
            }),
            metrics: metrics_of(&self.bench, &sums.metrics),
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
        TrialRow::COLUMNS
    }

    fn more_columns(&self) -> Vec<String> {
        self.bench.metric_names()
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
        Accumulation::block(self, numbers, monitor)
    }

    fn rows(&self, trial: u64, done: &Trial) -> Vec<TrialRow> {
        vec![TrialRow::new(&self.bench, trial, self.plan.flips, done)]
    }

    fn recall(&self, number: u64, rows: Vec<TrialRow>) -> Result<Trial, String> {
        TrialRow::trial(&rows, number, self.plan.flips)
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
        sums.right.extend(self.bench.right_share(score));
        sums.metrics.resize_with(score.metrics.len(), Moments::default);
        for (moments, &value) in sums.metrics.iter_mut().zip(&score.metrics) {
            moments.add(value);
        }
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
