//! Single strikes at single cycles, each on its own in a run of the cycle engine.

use std::sync::{Arc, OnceLock};

use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Monitor, stream};
use crate::accelerator::Accelerator;
use crate::fault::Targets;
use crate::outcome::{Evaluator, Scratch};
use crate::simulate::Replay;
use crate::simulate::cycle::{
    self, CycleFault, End, Known, Pipeline, Recording, RegisterClass, Run, Settings,
};

/// What a strike came to, from harmless to fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
pub struct StrikeBench {
    accelerator: Arc<Accelerator>,
    pipeline: Arc<Pipeline>,
    inputs: Vec<i64>,
    evaluator: Arc<Evaluator>,
    fault_free: Run,
    classes: Vec<Vec<usize>>,
    bound: u64,
    /// Made for the first strike.
    recording: OnceLock<Option<Recording>>,
    known: Known,
}

/// Cycles beyond twice the fault-free run that a sample is waited for.
const PATIENCE: u64 = 1000;

/// Most edges times stages of a run that is recorded, about.
const MOST_RECORDED: u64 = 1 << 26;

impl StrikeBench {
    /// Runs the samples (mantissas, one after the other) without faults.
    #[must_use]
    pub fn new(
        accelerator: Arc<Accelerator>,
        pipeline: Arc<Pipeline>,
        inputs: Vec<i64>,
        evaluator: Arc<Evaluator>,
    ) -> Self {
        let fault_free = fault_free(&accelerator, &pipeline, &inputs);
        let total = fault_free.timing.total;
        let bound = 2 * total + PATIENCE;
        let mut bench = Self {
            accelerator,
            pipeline,
            inputs,
            evaluator,
            fault_free,
            classes: Vec::new(),
            bound,
            recording: OnceLock::new(),
            known: Known::default(),
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
                let values: Vec<f64> = network.output_values(mantissas).collect();
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
        let run = cycle::run(&self.pipeline, &self.accelerator, &self.inputs, faults, settings);
        let outcome = self.judge(&run);
        (run, outcome)
    }

    /// What these faults come to: that of [`StrikeBench::strike`], but only what differs from the run without faults is
    /// simulated, where they are in registers and wires.
    #[must_use]
    pub fn outcome(&self, faults: &[CycleFault]) -> StrikeOutcome {
        let recording = self.recording();
        match recording.and_then(|recording| recording.strike(faults, self.bound)) {
            Some(struck) => {
                let outputs = struck.outputs.as_deref();
                self.judged(struck.end, outputs.unwrap_or(&self.fault_free.outputs))
            }
            None => self.strike(faults).1,
        }
    }

    /// [`StrikeBench::outcome`], and how many output values differ or are missing; what strikes have come to before is
    /// not simulated again.
    #[must_use]
    pub fn effect(&self, faults: &[CycleFault]) -> (StrikeOutcome, u64) {
        let of_run = |end: End, outputs: &[i64]| (self.judged(end, outputs), self.wrong_values(outputs));
        let recording = self.recording();
        match recording.and_then(|recording| recording.strike_known(faults, self.bound, &self.known)) {
            Some(struck) => match &struck.outputs {
                Some(outputs) => of_run(struck.end, outputs),
                None => (self.judged(struck.end, &self.fault_free.outputs), 0),
            },
            None => {
                let run = self.strike(faults).0;
                of_run(run.end, &run.outputs)
            }
        }
    }

    /// Output values that differ from those without faults, or are missing.
    fn wrong_values(&self, outputs: &[i64]) -> u64 {
        let expected = &self.fault_free.outputs;
        let differ = outputs
            .iter()
            .zip(expected)
            .filter(|(value, right)| value != right);
        (differ.count() + expected.len().saturating_sub(outputs.len())) as u64
    }

    /// The run without faults in all its registers; none where it is too long, or a stage writes into a memory.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        let size = self.bound.saturating_mul(self.pipeline.stages().len() as u64 + 1);
        let recorded = || {
            (size / 2 <= MOST_RECORDED)
                .then(|| Recording::new(&self.pipeline, &self.inputs, self.bound))
                .flatten()
        };
        self.recording.get_or_init(recorded).as_ref()
    }

    /// What a run came to.
    #[must_use]
    pub fn judge(&self, run: &Run) -> StrikeOutcome {
        self.judged(run.end, &run.outputs)
    }

    fn judged(&self, end: End, outputs: &[i64]) -> StrikeOutcome {
        match end {
            End::Hang { .. } => StrikeOutcome::Hang,
            End::StreamCorrupted { .. } => StrikeOutcome::StreamCorrupted,
            End::Completed if outputs == self.fault_free.outputs => StrikeOutcome::NoEffect,
            End::Completed if self.classes_of(outputs) == self.classes => StrikeOutcome::OutputChanged,
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
                let outcome = self.outcome(&[fault]);
                monitor.advance(1);
                Some(outcome)
            })
            .collect()
    }
}

/// The run without faults; in full only where its words are not those of the functional engine.
fn fault_free(accelerator: &Accelerator, pipeline: &Arc<Pipeline>, inputs: &[i64]) -> Run {
    let replayed = Replay::new(pipeline, accelerator).and_then(|mut replay| replay.run(inputs));
    replayed.unwrap_or_else(|| cycle::run(pipeline, accelerator, inputs, &[], Settings::default()))
}

/// Draws `count` strikes uniformly over the register bits of these classes and the cycles of the
/// fault-free run. Strike `s` draws from stream `s`.
#[must_use]
pub fn draw_strikes(
    targets: &Targets,
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
            let mut random = stream(seed, strike);
            let site = targets.register_bit(classes, random.random_range(0..bits))?;
            Some(CycleFault {
                cycle: Some(random.random_range(0..cycles)),
                site,
            })
        })
        .collect()
}

/// Draws `count` strikes uniformly over all stored bits and all register bits, and over the cycles of the
/// fault-free run. Strike `s` draws from stream `s`; stored bits come before registers.
#[must_use]
pub fn draw_strikes_anywhere(targets: &Targets, cycles: u64, count: u64, seed: u64) -> Vec<CycleFault> {
    let stored = targets.accelerator().map().total_bits();
    let bits = stored + targets.register_bits();
    if bits == 0 || cycles == 0 {
        return Vec::new();
    }
    (0..count)
        .filter_map(|strike| {
            let mut random = stream(seed, strike);
            let bit = random.random_range(0..bits);
            let site = targets
                .stored_bit(bit)
                .or_else(|| targets.register_bit(&RegisterClass::ALL, bit - stored))?;
            Some(CycleFault {
                cycle: Some(random.random_range(0..cycles)),
                site,
            })
        })
        .collect()
}
