//! Fault sets scored on chunks of samples side by side: a chunk is loaded once and meets all fault sets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::judge::{Judge, Part, Workload};
use super::{Answer, Baseline, Monitor, Question, Scenario, Score};
use crate::outcome::Evaluator;
use crate::simulate::functional::batch::SAMPLES;
use crate::simulate::functional::{BatchEngine, BatchPlan, Plan};

/// Samples below which lanes would stay empty.
const FEW_SAMPLES: usize = 8;

/// Most bytes of one engine.
const MAX_ENGINE: usize = 1 << 28;

/// Most differences of losses kept at a time, 8 bytes each.
const MAX_DIFFERENCES: usize = 1 << 24;

/// Fault sets between two looks at the monitor.
const BETWEEN_LOOKS: usize = 64;

/// Scores fault sets on samples side by side.
#[derive(Debug)]
pub struct SideBySide {
    plan: Arc<BatchPlan>,
    /// The plan for transients, once any are scored.
    for_transients: OnceLock<Option<Arc<BatchPlan>>>,
    /// Engines that no thread uses now.
    idle: Mutex<Vec<BatchEngine>>,
    /// Nanoseconds that the last call spent on loading, over all threads.
    loading: AtomicU64,
}

/// Sums of one fault set.
#[derive(Clone, Copy, Default)]
struct Sum {
    counts: [u64; 3],
    difference: f64,
}

impl SideBySide {
    /// For so many samples; `None` where one after the other is the better way, or the only one.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, samples: usize) -> Option<Self> {
        if samples < FEW_SAMPLES {
            return None;
        }
        let plan = BatchPlan::new(plan).filter(|plan| plan.bytes() <= MAX_ENGINE)?;
        Some(Self {
            plan: Arc::new(plan),
            for_transients: OnceLock::new(),
            idle: Mutex::default(),
            loading: AtomicU64::new(0),
        })
    }

    /// Most fault sets at a time.
    #[must_use]
    pub fn block(&self, evaluator: &Evaluator) -> usize {
        (MAX_DIFFERENCES / (SAMPLES * wave() * (1 + evaluator.contributions()))).max(1)
    }

    /// Time of the last call that it would have taken for any number of fault sets.
    #[must_use]
    pub fn loading(&self) -> Duration {
        let threads = rayon::current_num_threads().max(1) as u64;
        Duration::from_nanos(self.loading.load(Ordering::Relaxed) / threads)
    }

    /// Whether the changes are such as the lanes hold.
    #[must_use]
    pub fn takes(&self, scenarios: &[Scenario]) -> bool {
        scenarios.iter().all(|scenario| {
            let struck = !scenario.transients.is_empty();
            self.plan.takes(&scenario.changes) && (!struck || self.for_transients().is_some())
        })
    }

    /// The scores of fault sets; `None` where the monitor stopped it.
    pub fn score(
        &self,
        inputs: &[i64],
        evaluator: &Evaluator,
        baseline: &Baseline,
        scenarios: &[Scenario],
        monitor: &dyn Monitor,
    ) -> Option<Vec<Score>> {
        let uniform = evaluator.outcome_of_difference().map(|differs| {
            let mut rises = baseline
                .outcomes
                .iter()
                .map(|outcome| differs.loss - outcome.loss);
            (rises.next(), rises.all(|rise| rise == 1.0))
        });
        // Only sums of ones are the same in any order, whatever they begin with.
        let rise = uniform.and_then(|(first, ones)| first.filter(|&rise| ones && rise == 1.0));
        let workload = self.workload(evaluator, baseline, rise);
        self.loading.store(0, Ordering::Relaxed);
        let width = evaluator.contributions();
        let mut sums = vec![Sum::default(); scenarios.len()];
        let mut moves = vec![0.0; scenarios.len() * width];
        for wave in self.chunks(inputs).chunks(wave()) {
            for parts in self.parts(workload, wave, scenarios, monitor)? {
                let mut sums = sums.iter_mut();
                let mut moves = moves.chunks_exact_mut(width.max(1));
                for part in &parts {
                    add(&mut sums, part, workload.rise);
                    add_moves(&mut moves, part, width);
                }
            }
        }
        let scores = sums.iter().enumerate().map(|(at, sum)| {
            let moves = &moves[at * width..][..width];
            Score::new(evaluator, baseline, sum.counts, sum.difference, moves)
        });
        Some(scores.collect())
    }

    /// The answers of fault sets; `None` where the monitor stopped it.
    pub fn ask(
        &self,
        inputs: &[i64],
        evaluator: &Evaluator,
        baseline: &Baseline,
        (scenarios, question): (&[Scenario], Question),
        monitor: &dyn Monitor,
    ) -> Option<Vec<Answer>> {
        // Whether anything changed needs no verdict.
        let rise = (question == Question::AnyChanged).then_some(1.0);
        let workload = self.workload(evaluator, baseline, rise);
        let samples = baseline.outcomes.len();
        self.loading.store(0, Ordering::Relaxed);
        let mut answers = vec![Answer::no(samples); scenarios.len()];
        let mut open: Vec<usize> = (0..scenarios.len()).collect();
        let mut sums = vec![Sum::default(); scenarios.len()];
        for wave in self.chunks(inputs).chunks(wave()) {
            if open.is_empty() {
                break;
            }
            let sets: Vec<Scenario> = open.iter().map(|&at| scenarios[at].clone()).collect();
            let found = self.parts(workload, wave, &sets, monitor)?;
            for (&(chunk, _), parts) in wave.iter().zip(&found) {
                let seen = samples.min((chunk + 1) * SAMPLES);
                let fault_free: f64 = baseline.outcomes[..seen].iter().map(|outcome| outcome.loss).sum();
                let mut own = sums.iter_mut();
                for part in parts {
                    add(&mut own, part, workload.rise);
                }
                for (&at, sum) in open.iter().zip(&sums) {
                    let loss = (fault_free + sum.difference) / samples as f64;
                    if !answers[at].yes && question.is_answered(sum.counts, loss) {
                        answers[at] = Answer::yes(seen, samples);
                    }
                }
            }
            let left: Vec<usize> = (0..open.len()).filter(|&at| !answers[open[at]].yes).collect();
            sums = left.iter().map(|&at| sums[at]).collect();
            open = left.iter().map(|&at| open[at]).collect();
        }
        Some(answers)
    }

    fn workload<'a>(
        &'a self,
        evaluator: &'a Evaluator,
        baseline: &'a Baseline,
        rise: Option<f64>,
    ) -> Workload<'a> {
        Workload {
            network: self.plan.network(),
            evaluator,
            baseline,
            rise,
        }
    }

    /// The numbers and inputs of all chunks.
    fn chunks<'a>(&self, inputs: &'a [i64]) -> Vec<(usize, &'a [i64])> {
        let network = self.plan.network();
        let elements = network.tensor(network.input).len().max(1);
        inputs.chunks(SAMPLES * elements).enumerate().collect()
    }

    /// All fault sets on each chunk of a wave, in parts that follow each other.
    fn parts(
        &self,
        workload: Workload<'_>,
        wave: &[(usize, &[i64])],
        scenarios: &[Scenario],
        monitor: &dyn Monitor,
    ) -> Option<Vec<Vec<Part>>> {
        let struck = scenarios.iter().any(|scenario| !scenario.transients.is_empty());
        let plan = if struck {
            self.for_transients()?
        } else {
            &self.plan
        };
        // Few chunks are shared among threads by their fault sets.
        let parts = rayon::current_num_threads().div_ceil(wave.len()).max(1);
        let length = scenarios.len().div_ceil(parts).max(1);
        let tasks: Vec<(usize, &[i64], &[Scenario])> = wave
            .iter()
            .flat_map(|&(chunk, inputs)| {
                let parts = scenarios.chunks(length);
                parts.map(move |part| (chunk, inputs, part))
            })
            .collect();
        let found: Vec<Part> = tasks
            .into_par_iter()
            .with_max_len(1)
            .map(|(chunk, inputs, scenarios)| {
                let mut engine = self.engine(plan);
                let part = self.part(&mut engine, workload, chunk, inputs, scenarios, monitor);
                self.idle().push(engine);
                part
            })
            .collect::<Option<_>>()?;
        let mut found = found.into_iter();
        let each = scenarios.len().div_ceil(length);
        Some(wave.iter().map(|_| found.by_ref().take(each).collect()).collect())
    }

    fn for_transients(&self) -> Option<&Arc<BatchPlan>> {
        let plan = self.for_transients.get_or_init(|| {
            let plan = BatchPlan::for_transients(self.plan.plan(), self.plan.level());
            plan.filter(|plan| plan.bytes() <= MAX_ENGINE).map(Arc::new)
        });
        plan.as_ref()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<BatchEngine>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self, plan: &Arc<BatchPlan>) -> BatchEngine {
        let mut idle = self.idle();
        let known = idle.iter().position(|engine| Arc::ptr_eq(engine.plan(), plan));
        match known {
            Some(at) => idle.swap_remove(at),
            None => BatchEngine::new(Arc::clone(plan)),
        }
    }

    fn part(
        &self,
        engine: &mut BatchEngine,
        workload: Workload<'_>,
        chunk: usize,
        inputs: &[i64],
        scenarios: &[Scenario],
        monitor: &dyn Monitor,
    ) -> Option<Part> {
        if monitor.stopped() {
            return None;
        }
        let started = Instant::now();
        engine.load(inputs);
        let nanos = started.elapsed().as_nanos() as u64;
        self.loading.fetch_add(nanos, Ordering::Relaxed);
        let mut judge = Judge::new(workload, chunk * SAMPLES);
        for some in scenarios.chunks(BETWEEN_LOOKS) {
            if monitor.stopped() {
                return None;
            }
            for scenario in some {
                let changed = if scenario.is_empty() {
                    0
                } else {
                    engine.strike_with(&scenario.changes, &scenario.transients)
                };
                judge.take(changed, |lane, mantissas| engine.output(lane, mantissas));
            }
            monitor.advance((some.len() * engine.samples()) as u64);
        }
        Some(judge.finish())
    }
}

/// Chunks between two additions to the sums.
fn wave() -> usize {
    2 * rayon::current_num_threads().max(1)
}

/// Adds a part of a chunk to the sums of its fault sets.
fn add<'a>(sums: &mut impl Iterator<Item = &'a mut Sum>, part: &Part, rise: Option<f64>) {
    let mut differences = part.differences.iter();
    // The counts come first: a list that ends leaves the next sum where it is.
    for (counts, sum) in part.counts.iter().zip(sums) {
        for (to, &count) in sum.counts.iter_mut().zip(counts) {
            *to += u64::from(count);
        }
        match rise {
            Some(rise) => sum.difference += rise * f64::from(counts[0]),
            None => {
                for difference in differences.by_ref().take(usize::from(counts[0])) {
                    sum.difference += difference;
                }
            }
        }
    }
}

/// Adds the changes of contributions to metrics to the sums of their fault sets, `width` of each sample.
fn add_moves<'a>(moves: &mut impl Iterator<Item = &'a mut [f64]>, part: &Part, width: usize) {
    if width == 0 {
        return;
    }
    let mut of_samples = part.moves.chunks_exact(width);
    for (counts, to) in part.counts.iter().zip(moves) {
        for own in of_samples.by_ref().take(usize::from(counts[0])) {
            for (to, own) in to.iter_mut().zip(own) {
                *to += own;
            }
        }
    }
}
