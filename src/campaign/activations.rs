//! Flips of codes that live for one inference: activations and results of matrix products.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::draws::distinct;
use super::statistics::{Bounds, Drawn, Moments, hypergeometric, stratified_interval};
use super::{
    Bench, Kind, LargestRise, Mean, Monitor, SENSITIVE_ABOVE, Scenario, Score, ShareEstimate, stream,
};
use crate::fault::Boundary;

/// Flips of single bits of codes, each in one inference.
///
/// Drawn flips are without replacement out of all bits of a boundary times all samples, as many of each boundary, and
/// each is in the inference of its sample. All flips of a boundary are its bits, each in the inference of every sample.
#[derive(Clone, Debug, Serialize)]
pub struct Activations {
    bench: Arc<Bench>,
    boundaries: Vec<Boundary>,
    /// Flips per boundary; all where none are stated.
    draws: Option<u64>,
    seed: u64,
    #[serde(skip)]
    trials: Vec<CodeFlip>,
}

/// A flip of one bit of one code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeFlip {
    /// Which boundary.
    boundary: u32,
    /// Which code.
    element: u64,
    /// Which bit, 0 least significant.
    bit: u32,
    /// In the inference of which sample; of each where there is none.
    sample: Option<u32>,
}

/// A line of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationRow {
    layer: String,
    tensor: String,
    element: u64,
    bit: u32,
    sample: Option<u32>,
    changed: u64,
    newly_wrong: Option<u64>,
    newly_right: Option<u64>,
    loss: f64,
    delta_loss: f64,
}

/// Sums over the flips of one boundary.
#[derive(Clone, Debug, Default)]
pub struct BoundarySums {
    /// Share of the struck inferences whose outputs change, that go wrong, and rise of their loss.
    changed: Moments,
    wrong: Moments,
    rises: Moments,
    raising: u64,
    by_bit: Vec<(u64, u64)>,
}

/// What the flips of one boundary come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundaryReport {
    /// What is struck.
    #[serde(flatten)]
    pub boundary: Boundary,
    /// Flips that there are: bits, times samples where each is in the inference of one.
    pub population: u64,
    /// Flips that were made.
    pub flips: u64,
    /// Struck inferences whose outputs change.
    pub changed: ShareEstimate,
    /// Struck inferences that go from right to wrong; none where nothing is known to be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newly_wrong: Option<ShareEstimate>,
    /// Mean rise of the loss of a struck inference.
    pub delta_loss: Mean,
    /// Flips that raise the loss.
    pub raising_flips: u64,
    /// By bit position: flips, and struck inferences whose outputs change over all struck ones.
    pub by_bit: Vec<CodeBit>,
}

/// Flips of one bit position.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CodeBit {
    /// The position, 0 least significant.
    pub bit: u32,
    /// Struck inferences.
    pub inferences: u64,
    /// Those whose outputs change.
    pub changed: u64,
}

/// What all flips come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActivationReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `activations`.
    pub kind: &'static str,
    /// How long a flip lasts.
    pub lasts: &'static str,
    /// Samples of the workload.
    pub samples: usize,
    /// The loss.
    pub loss: &'static str,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Mean share of right classes without faults, where it is known what is right.
    pub fault_free_accuracy: Option<f64>,
    /// Flips per boundary that were asked for; all where none are stated.
    pub draws: Option<u64>,
    /// Seed of the draws.
    pub seed: u64,
    /// By boundary.
    pub by_layer: Vec<BoundaryReport>,
}

impl Activations {
    /// Flips of bits of these boundaries: so many of each, or all.
    #[must_use]
    pub fn new(bench: Arc<Bench>, boundaries: Vec<Boundary>, draws: Option<u64>, seed: u64) -> Self {
        let samples = bench.samples() as u64;
        let mut trials = Vec::new();
        for (boundary, of) in (0u32..).zip(&boundaries) {
            let width = u64::from(of.width);
            let flip = |number: u64, sample: Option<u32>| CodeFlip {
                boundary,
                element: number / width,
                bit: (number % width) as u32,
                sample,
            };
            match draws {
                None => trials.extend((0..of.bits()).map(|number| flip(number, None))),
                Some(count) => {
                    let mut random = stream(seed, u64::from(boundary));
                    let drawn = distinct(of.bits() * samples, count, &mut random);
                    trials.extend(
                        drawn
                            .into_iter()
                            .map(|number| flip(number / samples, Some((number % samples) as u32))),
                    );
                }
            }
        }
        Self {
            bench,
            boundaries,
            draws,
            seed,
            trials,
        }
    }

    /// Inferences that one trial strikes.
    fn struck(&self) -> u64 {
        self.draws.map_or(self.bench.samples() as u64, |_| 1)
    }

    fn report_of(&self, boundary: &Boundary, sums: &BoundarySums) -> BoundaryReport {
        let samples = self.bench.samples() as u64;
        let population = boundary.bits() * self.draws.map_or(1, |_| samples);
        let baseline = self.bench.baseline();
        let known = baseline.outcomes[0].correct.is_some();
        let share = |values: &Moments| {
            let drawn = Drawn { population, values };
            let unit = Bounds { low: 0.0, high: 1.0 };
            ShareEstimate {
                share: values.mean(),
                interval: if self.draws.is_some() {
                    hypergeometric(values.active(), values.count(), population)
                } else {
                    stratified_interval(&[drawn], unit)
                },
            }
        };
        // A drawn flip is in one inference, which rises to the largest loss from its own.
        let lowest = baseline.outcomes.iter().map(|outcome| outcome.loss);
        let mut largest = LargestRise::of_loss(&self.bench);
        let mut fault_free = baseline.loss;
        if self.draws.is_some() {
            let lowest = lowest.clone().fold(f64::INFINITY, f64::min);
            largest.delta_loss += baseline.loss - lowest;
            fault_free = baseline
                .outcomes
                .iter()
                .map(|outcome| outcome.loss)
                .fold(0.0, f64::max);
        }
        let drawn = Drawn {
            population,
            values: &sums.rises,
        };
        BoundaryReport {
            population,
            flips: sums.changed.count(),
            changed: share(&sums.changed),
            newly_wrong: known.then(|| share(&sums.wrong)),
            delta_loss: Mean {
                mean: sums.rises.mean(),
                interval: stratified_interval(&[drawn], largest.bounds(&sums.rises, fault_free)),
            },
            raising_flips: sums.raising,
            by_bit: (0..)
                .zip(&sums.by_bit)
                .map(|(bit, &(flips, changed))| CodeBit {
                    bit,
                    inferences: flips * self.struck(),
                    changed,
                })
                .collect(),
            boundary: boundary.clone(),
        }
    }
}

impl Kind for Activations {
    type Trial = Score;
    type Row = ActivationRow;
    type Sums = Vec<BoundarySums>;
    type Report = ActivationReport;

    fn name(&self) -> &'static str {
        "activations"
    }

    fn columns(&self) -> &'static str {
        "layer,tensor,element,bit,sample,changed,newly_wrong,newly_right,loss,delta_loss"
    }

    fn trials(&self) -> u64 {
        self.trials.len() as u64
    }

    fn work_per_trial(&self) -> u64 {
        self.struck()
    }

    fn largest_block(&self) -> u64 {
        match self.draws {
            // Blocks that meet each sample several times.
            Some(_) => 1 << 16,
            None => self.bench.block() as u64,
        }
    }

    fn overhead(&self) -> Duration {
        self.bench.loading()
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Score>> {
        let scenarios: Vec<Scenario> = self.trials[numbers.start as usize..numbers.end as usize]
            .iter()
            .map(|flip| Scenario {
                transients: vec![self.boundaries[flip.boundary as usize].flip(flip.element, flip.bit)],
                sample: flip.sample,
                ..Scenario::default()
            })
            .collect();
        self.bench.score(&scenarios, monitor)
    }

    fn rows(&self, number: u64, score: &Score) -> Vec<ActivationRow> {
        let flip = self.trials[number as usize];
        let boundary = &self.boundaries[flip.boundary as usize];
        vec![ActivationRow {
            layer: boundary.layer.clone(),
            tensor: boundary.tensor.to_owned(),
            element: flip.element,
            bit: flip.bit,
            sample: flip.sample,
            changed: score.changed,
            newly_wrong: score.newly_wrong,
            newly_right: score.newly_right,
            loss: score.loss,
            delta_loss: score.delta_loss,
        }]
    }

    fn recall(&self, number: u64, rows: Vec<ActivationRow>) -> Result<Score, String> {
        let flip = self.trials[number as usize];
        let boundary = &self.boundaries[flip.boundary as usize];
        match &rows[..] {
            [row]
                if (&row.layer[..], &row.tensor[..]) == (&boundary.layer[..], boundary.tensor)
                    && (row.element, row.bit, row.sample) == (flip.element, flip.bit, flip.sample) =>
            {
                Ok(Score {
                    changed: row.changed,
                    newly_wrong: row.newly_wrong,
                    newly_right: row.newly_right,
                    loss: row.loss,
                    delta_loss: row.delta_loss,
                    metrics: Vec::new(),
                })
            }
            _ => Err(format!(
                "is not the line of {}.{} element {} bit {}",
                boundary.layer, boundary.tensor, flip.element, flip.bit
            )),
        }
    }

    fn sums(&self) -> Vec<BoundarySums> {
        let of = |boundary: &Boundary| BoundarySums {
            by_bit: vec![(0, 0); boundary.width as usize],
            ..BoundarySums::default()
        };
        self.boundaries.iter().map(of).collect()
    }

    fn add(&self, sums: &mut Vec<BoundarySums>, number: u64, score: &Score) {
        let flip = self.trials[number as usize];
        let sums = &mut sums[flip.boundary as usize];
        let struck = self.struck() as f64;
        sums.changed.add(score.changed as f64 / struck);
        sums.wrong.add(score.newly_wrong.unwrap_or(0) as f64 / struck);
        sums.rises.add(score.delta_loss);
        sums.raising += u64::from(score.delta_loss > SENSITIVE_ABOVE);
        let (flips, changed) = &mut sums.by_bit[flip.bit as usize];
        *flips += 1;
        *changed += score.changed;
    }

    fn report(&self, sums: &Vec<BoundarySums>) -> ActivationReport {
        let bench = &self.bench;
        let accelerator = bench.accelerator();
        let baseline = bench.baseline();
        ActivationReport {
            network: accelerator.network().name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: self.name(),
            lasts: "one inference",
            samples: bench.samples(),
            loss: bench.evaluator().loss().name(),
            fault_free_loss: baseline.loss,
            fault_free_accuracy: baseline.accuracy,
            draws: self.draws,
            seed: self.seed,
            by_layer: (self.boundaries.iter().zip(sums))
                .map(|(boundary, sums)| self.report_of(boundary, sums))
                .collect(),
        }
    }
}
