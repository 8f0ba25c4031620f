//! Trials of several random flips, with the protection in force.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Bench, Interval, Monitor, Scenario, bootstrap_mean, wilson};
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

/// Runs trials of random flips over all cells of a protected memory. `None` where the monitor
/// stopped it.
///
/// A trial is a pure function of the cells, the plan and its number.
#[must_use]
pub fn random_flips(
    bench: &Bench<'_>,
    cells: &Cells,
    plan: TrialPlan,
    monitor: &dyn Monitor,
) -> Option<TrialSummary> {
    let mut wrong_bits = 0usize;
    let scenarios: Vec<Scenario> = (0..plan.trials)
        .map(|trial| {
            let wrong = draw(cells, plan, trial);
            wrong_bits += wrong.len();
            fault::changes(bench.accelerator, &wrong)
        })
        .collect();
    let mut scores = Vec::with_capacity(scenarios.len());
    for block in scenarios.chunks(bench.block()) {
        scores.extend(bench.score(block, monitor)?);
    }
    let trials = plan.trials as f64;
    let losses: Vec<f64> = scores.iter().map(|score| score.loss).collect();
    let harmful = scores
        .iter()
        .filter(|score| score.delta_loss > super::exhaustive::SENSITIVE_ABOVE)
        .count() as u64;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / trials;
    Some(TrialSummary {
        plan,
        cells: cells.total(),
        mean_wrong_bits: wrong_bits as f64 / trials,
        mean_loss: mean(&mut losses.iter().copied()),
        mean_loss_interval: bootstrap_mean(&losses, plan.seed),
        mean_delta_loss: mean(&mut scores.iter().map(|score| score.delta_loss)),
        harmful_share: harmful as f64 / trials,
        harmful_interval: wilson(harmful, plan.trials),
        mean_changed_share: mean(
            &mut scores
                .iter()
                .map(|score| score.changed as f64 / bench.samples() as f64),
        ),
    })
}

/// The stored bits that read wrong after one trial's flips.
fn draw(cells: &Cells, plan: TrialPlan, trial: u64) -> Vec<crate::accelerator::StoredBit> {
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(trial);
    let hits: Vec<_> = (0..plan.flips)
        .filter_map(|_| cells.cell(random.random_range(0..cells.total().max(1))))
        .collect();
    cells.read_inverted(&hits)
}
