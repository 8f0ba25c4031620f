//! Trials of several random flips, with the protection in force.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Bench, Interval, Monitor, Scenario, Score, bootstrap_mean, wilson};
use crate::accelerator::StoredBit;
use crate::fault;
use crate::scheme::Cells;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrialPlan {
    /// Number of trials.
    pub trials: u64,
    /// Flips per trial, drawn with replacement: a second hit on a cell restores it.
    pub flips: u64,
    /// Seed; trial `t` draws from stream `t` of ChaCha8.
    pub seed: u64,
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

/// What one trial did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Bits that are wrong as read, behind the voters.
    pub wrong_bits: u64,
    /// What they did to the workload.
    pub score: Score,
}

/// Runs the trials of these numbers. `None` where the monitor stopped it.
///
/// A trial is a pure function of the workload, the cells, the plan's flips and seed, and its number.
#[must_use]
pub fn run_trials(
    bench: &Bench<'_>,
    cells: &Cells,
    plan: TrialPlan,
    numbers: Range<u64>,
    monitor: &dyn Monitor,
) -> Option<Vec<Trial>> {
    let mut trials = Vec::new();
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + bench.block() as u64);
        let wrong: Vec<Vec<StoredBit>> = (next..end).map(|trial| draw(cells, plan, trial)).collect();
        let scenarios: Vec<Scenario> = wrong
            .iter()
            .map(|bits| fault::changes(bench.accelerator, bits))
            .collect();
        let scores = bench.score(&scenarios, monitor)?;
        trials.extend(wrong.iter().zip(scores).map(|(bits, score)| Trial {
            wrong_bits: bits.len() as u64,
            score,
        }));
        next = end;
    }
    Some(trials)
}

/// Runs all trials of a plan over all cells of a protected memory and sums them up. `None` where the
/// monitor stopped it.
#[must_use]
pub fn random_flips(
    bench: &Bench<'_>,
    cells: &Cells,
    plan: TrialPlan,
    monitor: &dyn Monitor,
) -> Option<TrialSummary> {
    let done = run_trials(bench, cells, plan, 0..plan.trials, monitor)?;
    let trials = plan.trials as f64;
    let losses: Vec<f64> = done.iter().map(|trial| trial.score.loss).collect();
    let harmful = done
        .iter()
        .filter(|trial| trial.score.delta_loss > super::exhaustive::SENSITIVE_ABOVE)
        .count() as u64;
    let mean = |value: &dyn Fn(&Trial) -> f64| done.iter().map(value).sum::<f64>() / trials;
    Some(TrialSummary {
        plan,
        cells: cells.total(),
        mean_wrong_bits: mean(&|trial| trial.wrong_bits as f64),
        mean_loss: mean(&|trial| trial.score.loss),
        mean_loss_interval: bootstrap_mean(&losses, plan.seed),
        mean_delta_loss: mean(&|trial| trial.score.delta_loss),
        harmful_share: harmful as f64 / trials,
        harmful_interval: wilson(harmful, plan.trials),
        mean_changed_share: mean(&|trial| trial.score.changed as f64 / bench.samples() as f64),
    })
}

/// The stored bits that read wrong after one trial's flips.
fn draw(cells: &Cells, plan: TrialPlan, trial: u64) -> Vec<StoredBit> {
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(trial);
    let hits: Vec<_> = (0..plan.flips)
        .filter_map(|_| cells.cell(random.random_range(0..cells.total().max(1))))
        .collect();
    cells.read_inverted(&hits)
}
