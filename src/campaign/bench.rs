//! A workload on an accelerator: the samples, the fault-free run, and fault sets scored against it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use serde::Serialize;
use thiserror::Error;

use super::side_by_side::SideBySide;
use super::{Answer, Baseline, Monitor, Question, Scenario, Score};
use crate::accelerator::Accelerator;
use crate::outcome::{Evaluator, Outcome, Scratch};
use crate::simulate::functional::fast::{FastEngine, FastPlan};
use crate::simulate::functional::{Incremental, Parameters, Plan};

/// Why a workload does not fit the accelerator.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BenchError {
    /// There is nothing to evaluate.
    #[error("the workload has no sample")]
    Empty,
    /// A sample has the wrong number of elements.
    #[error("the workload has {found} input mantissas, which is no multiple of {expected}")]
    Shape {
        /// Mantissas given.
        found: usize,
        /// Elements of one sample.
        expected: usize,
    },
}

/// A workload on an accelerator. Its serialized form is all that determines a score.
#[derive(Debug, Serialize)]
pub struct Bench {
    accelerator: Arc<Accelerator>,
    inputs: Vec<i64>,
    evaluator: Evaluator,
    #[serde(skip)]
    plan: Arc<Plan>,
    #[serde(skip)]
    side_by_side: Option<SideBySide>,
    #[serde(skip)]
    baseline: Baseline,
}

/// Flags of one sample under one fault set.
const CHANGED: u8 = 1;
const NEWLY_WRONG: u8 = 2;
const NEWLY_RIGHT: u8 = 4;

/// Most results of single samples kept at a time, 9 bytes each.
const MAX_CELLS: usize = 1 << 24;

/// Longest output for which losses of equal outputs are remembered.
const MAX_REMEMBERED: usize = 256;

/// The results of one sample under a block of fault sets.
struct Column {
    flags: Vec<u8>,
    differences: Vec<f64>,
    /// `[fault set][sum]`: how contributions to the metrics change.
    moves: Vec<f64>,
}

impl Bench {
    /// Runs the workload without faults. `inputs` are mantissas, `[sample][element]`.
    ///
    /// # Errors
    /// [`BenchError`] where there is no sample or `inputs` is no whole number of samples.
    pub fn new(
        accelerator: Arc<Accelerator>,
        inputs: Vec<i64>,
        mut evaluator: Evaluator,
    ) -> Result<Self, BenchError> {
        let network = accelerator.network();
        let expected = network.tensor(network.input).len();
        if inputs.is_empty() {
            return Err(BenchError::Empty);
        }
        if !inputs.len().is_multiple_of(expected.max(1)) {
            return Err(BenchError::Shape {
                found: inputs.len(),
                expected,
            });
        }
        let output = network.tensor(network.output);
        let fast = FastPlan::new(accelerator.shared_network());
        let outputs = FastEngine::new(&fast, &Parameters::of(network)).run_all(&inputs);
        let values: Vec<f64> = network.output_values(&outputs).collect();
        if evaluator.needs_fault_free() {
            evaluator.remember(&values);
        }
        let outcomes: Vec<Outcome> = values
            .par_chunks_exact(output.len().max(1))
            .enumerate()
            .map_init(Scratch::default, |scratch, (sample, values)| {
                evaluator.evaluate(sample, values, false, scratch)
            })
            .collect();
        let count = outcomes.len() as f64;
        let loss = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>() / count;
        let accuracy: Option<f64> = outcomes
            .iter()
            .map(|outcome| outcome.accuracy)
            .sum::<Option<f64>>();
        let contributions = contributions_of(&evaluator, &values, output.len().max(1));
        let mut sums = vec![0.0; evaluator.contributions()];
        for own in contributions.chunks_exact(sums.len().max(1)) {
            for (sum, own) in sums.iter_mut().zip(own) {
                *sum += own;
            }
        }
        let outcomes_len = outcomes.len();
        let baseline = Baseline {
            outputs,
            outcomes,
            loss,
            accuracy: accuracy.map(|sum| sum / count),
            metrics: evaluator.metric_values(&sums, outcomes_len),
            contributions,
            sums,
        };
        let plan = Arc::new(Plan::new(accelerator.shared_network()));
        Ok(Self {
            side_by_side: SideBySide::new(&plan, baseline.outcomes.len()),
            plan,
            accelerator,
            inputs,
            evaluator,
            baseline,
        })
    }

    /// The accelerator.
    #[must_use]
    pub fn accelerator(&self) -> &Arc<Accelerator> {
        &self.accelerator
    }

    /// The fault-free run.
    #[must_use]
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Share of the samples that are right without faults; none where nothing is known to be right.
    #[must_use]
    pub fn right_without_faults(&self) -> Option<f64> {
        let outcomes = &self.baseline.outcomes;
        outcomes[0].correct?;
        let right = outcomes.iter().filter(|outcome| outcome.correct == Some(true));
        Some(right.count() as f64 / outcomes.len() as f64)
    }

    /// Share of the samples that are right under a fault set of all samples; none where nothing is known to be right.
    #[must_use]
    pub fn right_share(&self, score: &Score) -> Option<f64> {
        let (wrong, right) = score.newly_wrong.zip(score.newly_right)?;
        let samples = self.samples() as f64;
        Some(self.right_without_faults()? + (right as f64 - wrong as f64) / samples)
    }

    /// Columns of the evaluator's metrics in records: `metric_<name>`.
    pub(super) fn metric_names(&self) -> Vec<String> {
        let metrics = self.evaluator.metrics().iter();
        metrics
            .map(|metric| format!("metric_{}", metric.name()))
            .collect()
    }

    /// What turns outputs into losses.
    #[must_use]
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.baseline.outcomes.len()
    }

    /// Input mantissas, `[sample][element]`.
    #[must_use]
    pub fn inputs(&self) -> &[i64] {
        &self.inputs
    }

    /// Most fault sets that one call of [`Bench::score`] should take.
    #[must_use]
    pub fn block(&self) -> usize {
        match &self.side_by_side {
            Some(side_by_side) => side_by_side.block(&self.evaluator),
            None => {
                let cell = self.samples() * (1 + self.evaluator.contributions());
                (MAX_CELLS / cell).clamp(1, 4096)
            }
        }
    }

    /// Time that the last call of [`Bench::score`] took for what does not depend on the number of fault sets.
    #[must_use]
    pub fn loading(&self) -> Duration {
        self.side_by_side
            .as_ref()
            .map_or(Duration::ZERO, SideBySide::loading)
    }

    /// Scores fault sets, all samples each unless a set names its own. `None` where the monitor stopped the run; it hears of
    /// finished pairs of fault set and sample.
    ///
    /// The score of a fault set depends on nothing but the set: sums run over the samples in their
    /// order, on any number of threads.
    ///
    /// # Panics
    /// Where a fault set names a sample that there is not, or a transient does not fit the network
    /// ([`Transient::check`](crate::simulate::functional::Transient::check)).
    #[must_use]
    pub fn score(&self, scenarios: &[Scenario], monitor: &dyn Monitor) -> Option<Vec<Score>> {
        if scenarios.iter().any(|scenario| scenario.sample.is_some()) {
            return self.score_apart(scenarios, monitor);
        }
        match &self.side_by_side {
            Some(side_by_side) if side_by_side.takes(scenarios) => {
                side_by_side.score(&self.inputs, &self.evaluator, &self.baseline, scenarios, monitor)
            }
            _ => self.score_one_by_one(scenarios, monitor),
        }
    }

    /// Answers a question for each fault set, which stops at the chunk of samples that answers it. `None` where the
    /// monitor stopped the run; it hears of the pairs of fault set and sample that were evaluated.
    ///
    /// # Panics
    /// As [`Bench::score`].
    #[must_use]
    pub fn ask(
        &self,
        scenarios: &[Scenario],
        question: Question,
        monitor: &dyn Monitor,
    ) -> Option<Vec<Answer>> {
        let apart = scenarios.iter().any(|scenario| scenario.sample.is_some());
        match &self.side_by_side {
            Some(side_by_side) if !apart && side_by_side.takes(scenarios) => side_by_side.ask(
                &self.inputs,
                &self.evaluator,
                &self.baseline,
                (scenarios, question),
                monitor,
            ),
            _ => {
                let scores = self.score(scenarios, monitor)?;
                let answers = scenarios.iter().zip(scores).map(|(scenario, score)| {
                    let samples = scenario.sample.map_or(self.samples(), |_| 1);
                    let wrong = score.newly_wrong.unwrap_or(0);
                    if question.is_answered([score.changed, wrong, 0], score.loss) {
                        Answer::yes(samples, samples)
                    } else {
                        Answer::no(samples)
                    }
                });
                Some(answers.collect())
            }
        }
    }

    /// Scores fault sets of single samples, a sample after the other, and the others as they are used to.
    fn score_apart(&self, scenarios: &[Scenario], monitor: &dyn Monitor) -> Option<Vec<Score>> {
        let mut single: Vec<(u32, usize)> = (scenarios.iter().enumerate())
            .filter_map(|(at, scenario)| scenario.sample.map(|sample| (sample, at)))
            .collect();
        single.sort_unstable();
        let elements = self
            .accelerator
            .network()
            .tensor(self.accelerator.network().input)
            .len();
        let groups: Vec<&[(u32, usize)]> = single.chunk_by(|a, b| a.0 == b.0).collect();
        let least = groups.len().div_ceil(rayon::current_num_threads() * 8);
        let found: Vec<Vec<Score>> = groups
            .par_iter()
            .with_min_len(least)
            .map_init(
                || {
                    (
                        Incremental::new(Arc::clone(&self.plan)),
                        Scratch::default(),
                        Vec::new(),
                    )
                },
                |(engine, scratch, values), group| {
                    if monitor.stopped() {
                        return None;
                    }
                    let sample = group[0].0 as usize;
                    let input = &self.inputs[sample * elements..][..elements];
                    let own: Vec<&Scenario> = group.iter().map(|&(_, at)| &scenarios[at]).collect();
                    let scores = self.scores_of_sample(sample, input, &own, engine, scratch, values);
                    monitor.advance(own.len() as u64);
                    Some(scores)
                },
            )
            .collect::<Option<_>>()?;
        let on_all: Vec<Scenario> = (scenarios.iter())
            .filter(|scenario| scenario.sample.is_none())
            .cloned()
            .collect();
        let mut on_all = match on_all.is_empty() {
            true => Vec::new(),
            false => self.score(&on_all, monitor)?,
        }
        .into_iter();
        let mut scores: Vec<Option<Score>> = vec![None; scenarios.len()];
        for (group, found) in groups.iter().zip(found) {
            for (&(_, at), score) in group.iter().zip(found) {
                scores[at] = Some(score);
            }
        }
        scores
            .into_iter()
            .map(|score| score.or_else(|| on_all.next()))
            .collect()
    }

    /// Scores of fault sets on one sample alone.
    fn scores_of_sample(
        &self,
        sample: usize,
        input: &[i64],
        scenarios: &[&Scenario],
        engine: &mut Incremental,
        scratch: &mut Scratch,
        values: &mut Vec<f64>,
    ) -> Vec<Score> {
        let network = self.accelerator.network();
        let fault_free = &self.baseline.outcomes[sample];
        engine.load(input);
        let mut scores = Vec::with_capacity(scenarios.len());
        for scenario in scenarios {
            let changed = engine.strike_with(&scenario.changes, &scenario.transients);
            let outcome = changed.then(|| {
                values.clear();
                values.extend(network.output_values(engine.output()));
                self.evaluator.evaluate(sample, values, true, scratch)
            });
            scores.push(Score::of_one(fault_free, outcome.as_ref()));
        }
        scores
    }

    /// The same as [`Bench::score`], one sample after the other: its plain twin.
    ///
    /// # Panics
    /// As [`Bench::score`].
    #[must_use]
    pub fn score_one_by_one(&self, scenarios: &[Scenario], monitor: &dyn Monitor) -> Option<Vec<Score>> {
        if scenarios.iter().any(|scenario| scenario.sample.is_some()) {
            return self.score_apart(scenarios, monitor);
        }
        let network = self.accelerator.network();
        let elements = network.tensor(network.input).len();
        // Each split of the samples prepares an engine, so splits should not be small.
        let least = self.samples().div_ceil(rayon::current_num_threads() * 8);
        let columns: Vec<Column> = (0..self.samples())
            .into_par_iter()
            .with_min_len(least)
            .map_init(
                || {
                    (
                        Incremental::new(Arc::clone(&self.plan)),
                        Scratch::default(),
                        Vec::new(),
                    )
                },
                |(engine, scratch, values), sample| {
                    if monitor.stopped() {
                        return None;
                    }
                    let input = &self.inputs[sample * elements..][..elements];
                    let column = self.column(sample, input, scenarios, engine, scratch, values);
                    monitor.advance(scenarios.len() as u64);
                    Some(column)
                },
            )
            .collect::<Option<_>>()?;
        Some((0..scenarios.len()).map(|at| self.sum(&columns, at)).collect())
    }

    fn column(
        &self,
        sample: usize,
        input: &[i64],
        scenarios: &[Scenario],
        engine: &mut Incremental,
        scratch: &mut Scratch,
        values: &mut Vec<f64>,
    ) -> Column {
        let network = self.accelerator.network();
        let fault_free = self.baseline.outcomes[sample];
        let mut remembered: HashMap<Vec<i64>, (Outcome, Vec<f64>)> = HashMap::new();
        let sums = self.evaluator.contributions();
        let mut column = Column {
            flags: vec![0; scenarios.len()],
            differences: vec![0.0; scenarios.len()],
            moves: vec![0.0; scenarios.len() * sums],
        };
        engine.load(input);
        for (at, scenario) in scenarios.iter().enumerate() {
            if scenario.is_empty() || !engine.strike_with(&scenario.changes, &scenario.transients) {
                continue;
            }
            let mantissas = engine.output();
            let mut evaluate = || {
                values.clear();
                values.extend(network.output_values(mantissas));
                let outcome = self.evaluator.evaluate(sample, values, true, scratch);
                let mut contributions = Vec::new();
                if sums > 0 {
                    let mut row = Vec::new();
                    self.evaluator.outputs(values, scratch, &mut row);
                    self.evaluator.contribute(sample, &row, true, &mut contributions);
                }
                (outcome, contributions)
            };
            let (outcome, contributions) = if mantissas.len() > MAX_REMEMBERED {
                evaluate()
            } else if let Some(known) = remembered.get(mantissas) {
                known.clone()
            } else {
                let made = evaluate();
                remembered.insert(mantissas.to_vec(), made.clone());
                made
            };
            let fault_free_sums = &self.baseline.contributions[sample * sums..][..sums];
            let moves = column.moves[at * sums..].iter_mut();
            for ((to, own), before) in moves.zip(&contributions).zip(fault_free_sums) {
                *to = own - before;
            }
            column.differences[at] = outcome.loss - fault_free.loss;
            column.flags[at] = CHANGED
                | match (fault_free.correct, outcome.correct) {
                    (Some(true), Some(false)) => NEWLY_WRONG,
                    (Some(false), Some(true)) => NEWLY_RIGHT,
                    _ => 0,
                };
        }
        column
    }

    fn sum(&self, columns: &[Column], at: usize) -> Score {
        let count = |flag: u8| {
            columns
                .iter()
                .filter(|column| column.flags[at] & flag != 0)
                .count() as u64
        };
        let difference: f64 = columns.iter().map(|column| column.differences[at]).sum();
        let counts = [count(CHANGED), count(NEWLY_WRONG), count(NEWLY_RIGHT)];
        let mut moves = vec![0.0; self.evaluator.contributions()];
        for column in columns {
            for (to, own) in moves
                .iter_mut()
                .zip(&column.moves[at * self.evaluator.contributions()..])
            {
                *to += own;
            }
        }
        Score::new(&self.evaluator, &self.baseline, counts, difference, &moves)
    }
}

/// What each sample contributes to the metrics, `[sample][sum]`.
fn contributions_of(evaluator: &Evaluator, values: &[f64], len: usize) -> Vec<f64> {
    /// Samples whose readouts are kept at a time.
    const ROWS: usize = 256;
    if evaluator.metrics().is_empty() {
        return Vec::new();
    }
    let parts: Vec<Vec<f64>> = values
        .par_chunks(ROWS * len)
        .enumerate()
        .map_init(Scratch::default, |scratch, (part, values)| {
            let mut rows = Vec::new();
            evaluator.outputs(values, scratch, &mut rows);
            let mut contributions = Vec::new();
            for (at, row) in rows.chunks_exact(evaluator.width().max(1)).enumerate() {
                evaluator.contribute(part * ROWS + at, row, false, &mut contributions);
            }
            contributions
        })
        .collect();
    parts.concat()
}
