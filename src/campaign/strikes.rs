//! Single strikes at single cycles, each on its own in a run of the cycle engine.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::{Interval, Monitor, wilson};
use crate::accelerator::Accelerator;
use crate::fault::Targets;
use crate::outcome::{Evaluator, Scratch};
use crate::simulate::cycle::pipeline::Pipeline;
use crate::simulate::cycle::register::RegisterClass;
use crate::simulate::cycle::run::{self, CycleFault, End, Run, Settings};

/// What a strike came to, from harmless to fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrikeOutcome {
    /// Every output is as without it.
    NoEffect,
    /// An output differs, every class is the same.
    OutputChanged,
    /// A class differs.
    ClassChanged,
    /// A sample does not come out within the bound.
    Hang,
    /// Too many or too few words come out.
    StreamCorrupted,
}

impl StrikeOutcome {
    /// All outcomes, from harmless to fatal.
    pub const ALL: [Self; 5] = [
        Self::NoEffect,
        Self::OutputChanged,
        Self::ClassChanged,
        Self::Hang,
        Self::StreamCorrupted,
    ];

    /// Name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEffect => "no_effect",
            Self::OutputChanged => "output_changed",
            Self::ClassChanged => "class_changed",
            Self::Hang => "hang",
            Self::StreamCorrupted => "stream_corrupted",
        }
    }
}

/// One accelerator with its inputs and the run without faults.
pub struct StrikeBench<'a> {
    accelerator: &'a Accelerator,
    pipeline: &'a Pipeline,
    inputs: &'a [i64],
    evaluator: &'a Evaluator,
    fault_free: Run,
    classes: Vec<Vec<usize>>,
    bound: u64,
}

/// Cycles beyond twice the fault-free run that a sample is waited for.
const PATIENCE: u64 = 1000;

impl<'a> StrikeBench<'a> {
    /// Runs the samples (mantissas, one after the other) without faults.
    #[must_use]
    pub fn new(
        accelerator: &'a Accelerator,
        pipeline: &'a Pipeline,
        inputs: &'a [i64],
        evaluator: &'a Evaluator,
    ) -> Self {
        let fault_free = run::run(pipeline, accelerator, inputs, &[], Settings::default());
        let bound = 2 * fault_free.timing.total + PATIENCE;
        let mut bench = Self {
            accelerator,
            pipeline,
            inputs,
            evaluator,
            fault_free,
            classes: Vec::new(),
            bound,
        };
        bench.classes = bench.classes_of(&bench.fault_free.outputs);
        bench
    }

    /// The run without faults.
    #[must_use]
    pub fn fault_free(&self) -> &Run {
        &self.fault_free
    }

    /// The last cycle that is waited for.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.bound
    }

    fn classes_of(&self, outputs: &[i64]) -> Vec<Vec<usize>> {
        let network = self.accelerator.network();
        let tensor = network.tensor(network.output);
        let mut scratch = Scratch::default();
        outputs
            .chunks_exact(tensor.len().max(1))
            .map(|mantissas| {
                let values: Vec<f64> = mantissas
                    .iter()
                    .map(|&mantissa| tensor.value_of(mantissa))
                    .collect();
                self.evaluator.classes_of(&values, &mut scratch)
            })
            .collect()
    }

    /// A run with these faults, and what it came to.
    #[must_use]
    pub fn strike(&self, faults: &[CycleFault]) -> (Run, StrikeOutcome) {
        let settings = Settings {
            bound: Some(self.bound),
            ..Settings::default()
        };
        let run = run::run(self.pipeline, self.accelerator, self.inputs, faults, settings);
        let outcome = self.judge(&run);
        (run, outcome)
    }

    /// What a run came to.
    #[must_use]
    pub fn judge(&self, run: &Run) -> StrikeOutcome {
        match run.end {
            End::Hang { .. } => StrikeOutcome::Hang,
            End::StreamCorrupted { .. } => StrikeOutcome::StreamCorrupted,
            End::Completed if run.outputs == self.fault_free.outputs => StrikeOutcome::NoEffect,
            End::Completed if self.classes_of(&run.outputs) == self.classes => StrikeOutcome::OutputChanged,
            End::Completed => StrikeOutcome::ClassChanged,
        }
    }

    /// The outcome of each fault on its own. `None` where the monitor stopped it.
    #[must_use]
    pub fn one_by_one(&self, faults: &[CycleFault], monitor: &dyn Monitor) -> Option<Vec<StrikeOutcome>> {
        faults
            .par_iter()
            .map(|&fault| {
                if monitor.stopped() {
                    return None;
                }
                let (_, outcome) = self.strike(&[fault]);
                monitor.advance(1);
                Some(outcome)
            })
            .collect()
    }
}

/// Draws `count` strikes uniformly over the register bits of these classes and the cycles of the
/// fault-free run. Strike `s` draws from stream `s` of ChaCha8.
#[must_use]
pub fn draw_strikes(
    targets: &Targets<'_>,
    classes: &[RegisterClass],
    cycles: u64,
    count: u64,
    seed: u64,
) -> Vec<CycleFault> {
    let chosen = targets
        .registers()
        .iter()
        .filter(|tensor| classes.contains(&tensor.class));
    let bits: u64 = chosen.map(|tensor| tensor.bits()).sum();
    if bits == 0 || cycles == 0 {
        return Vec::new();
    }
    (0..count)
        .filter_map(|strike| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(strike);
            let site = targets.register_bit(classes, random.random_range(0..bits))?;
            Some(CycleFault {
                cycle: Some(random.random_range(0..cycles)),
                site,
            })
        })
        .collect()
}

/// How often strikes came to each outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrikeShares {
    /// What was struck: a class, or `all`.
    pub class: String,
    /// Bits that can be struck.
    pub bits: u64,
    /// Strikes.
    pub strikes: u64,
    /// Strikes and share of each outcome, harmless first.
    pub outcomes: Vec<OutcomeShare>,
    /// Share of strikes with any effect.
    pub effective: f64,
    /// Interval of that share.
    pub effective_interval: Interval,
}

/// One outcome's share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeShare {
    /// The outcome.
    pub outcome: StrikeOutcome,
    /// Strikes that came to it.
    pub strikes: u64,
    /// Share of all strikes.
    pub share: f64,
    /// Interval of the share.
    pub interval: Interval,
}

/// Counts outcomes.
#[must_use]
pub fn shares(class: &str, bits: u64, outcomes: &[StrikeOutcome]) -> StrikeShares {
    let strikes = outcomes.len() as u64;
    let count = |wanted: StrikeOutcome| outcomes.iter().filter(|&&outcome| outcome == wanted).count() as u64;
    let share = |count: u64| {
        if strikes == 0 {
            0.0
        } else {
            count as f64 / strikes as f64
        }
    };
    let effective = strikes - count(StrikeOutcome::NoEffect);
    StrikeShares {
        class: class.to_owned(),
        bits,
        strikes,
        outcomes: StrikeOutcome::ALL
            .into_iter()
            .map(|outcome| {
                let count = count(outcome);
                OutcomeShare {
                    outcome,
                    strikes: count,
                    share: share(count),
                    interval: wilson(count, strikes),
                }
            })
            .collect(),
        effective: share(effective),
        effective_interval: wilson(effective, strikes),
    }
}

/// A strike on a register in the middle of steady operation, and what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterStrike {
    /// Bit and cycle.
    pub fault: CycleFault,
    /// Which of the windows of samples was running.
    pub window: usize,
    /// What it came to.
    pub outcome: StrikeOutcome,
}

/// Samples that follow each other in one window: one in front and one behind that which is struck.
const WINDOW: usize = 3;

/// Most windows: strikes take turns.
const WINDOWS: usize = 8;

/// Strikes a register bit `count` times, each time another bit in another cycle of steady operation,
/// every strike in a run of its own on three samples in a row. Bits and cycles are uniform over all
/// registers and over the cycles between the last outputs of two samples, so a storage weighs as much as
/// the time that it is live. Strike `s` draws from stream `s` of ChaCha8.
///
/// `None` where the monitor stopped it.
#[must_use]
pub fn strike_registers(
    accelerator: &Accelerator,
    pipeline: &Pipeline,
    targets: &Targets<'_>,
    inputs: &[i64],
    evaluator: &Evaluator,
    (count, seed): (u64, u64),
    monitor: &dyn Monitor,
) -> Option<Vec<RegisterStrike>> {
    let network = accelerator.network();
    let elements = network.tensor(network.input).len().max(1);
    let samples = inputs.len() / elements;
    let windows: Vec<Vec<i64>> = (0..samples.min(WINDOWS))
        .map(|first| {
            let sample = |at: usize| &inputs[(first + at) % samples * elements..][..elements];
            (0..WINDOW).flat_map(|at| sample(at).iter().copied()).collect()
        })
        .collect();
    let benches: Vec<StrikeBench<'_>> = windows
        .par_iter()
        .map(|inputs| StrikeBench::new(accelerator, pipeline, inputs, evaluator))
        .collect();
    let bits = targets.register_bits();
    if benches.is_empty() || bits == 0 {
        return Some(Vec::new());
    }
    (0..count)
        .into_par_iter()
        .map(|strike| {
            if monitor.stopped() {
                return None;
            }
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(strike);
            let window = (strike % benches.len() as u64) as usize;
            let bench = &benches[window];
            let cycles = bench.fault_free.steady.clone()?;
            let site = targets.register_bit(&RegisterClass::ALL, random.random_range(0..bits))?;
            let fault = CycleFault {
                cycle: Some(random.random_range(cycles)),
                site,
            };
            let (_, outcome) = bench.strike(&[fault]);
            monitor.advance(1);
            Some(RegisterStrike {
                fault,
                window,
                outcome,
            })
        })
        .collect()
}

/// Outcomes of strikes on registers: of all of them, by class and by layer.
#[must_use]
pub fn register_shares(
    accelerator: &Accelerator,
    targets: &Targets<'_>,
    strikes: &[RegisterStrike],
) -> (StrikeShares, Vec<StrikeShares>, Vec<StrikeShares>) {
    let outcomes: Vec<StrikeOutcome> = strikes.iter().map(|strike| strike.outcome).collect();
    let names: Vec<(String, String)> = strikes
        .iter()
        .map(|strike| {
            let named = targets.named(strike.fault.site);
            (named.tensor, named.layer)
        })
        .collect();
    let group = |wanted: &str, of: &dyn Fn(&(String, String)) -> &str, bits: u64| {
        let outcomes: Vec<StrikeOutcome> = names
            .iter()
            .zip(&outcomes)
            .filter(|(name, _)| of(name) == wanted)
            .map(|(_, &outcome)| outcome)
            .collect();
        shares(wanted, bits, &outcomes)
    };
    let bits_of = |holds: &dyn Fn(&crate::simulate::cycle::pipeline::RegisterTensor) -> bool| {
        targets
            .registers()
            .iter()
            .filter(|tensor| holds(tensor))
            .map(|tensor| tensor.bits())
            .sum::<u64>()
    };
    let by_class = RegisterClass::ALL
        .into_iter()
        .map(|class| (class.name(), bits_of(&|tensor| tensor.class == class)))
        .filter(|&(_, bits)| bits > 0)
        .map(|(name, bits)| group(name, &|name| &name.0, bits))
        .collect();
    let by_layer = (0..accelerator.network().layers.len())
        .map(crate::network::LayerId::from)
        .map(|layer| {
            (
                &accelerator.network().layer(layer).name,
                bits_of(&|tensor| tensor.layer == layer),
            )
        })
        .filter(|&(_, bits)| bits > 0)
        .map(|(name, bits)| group(name, &|name| &name.1, bits))
        .collect();
    (
        shares("all", targets.register_bits(), &outcomes),
        by_class,
        by_layer,
    )
}
