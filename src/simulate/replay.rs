//! Fault-free runs of any number of samples at the speed of the functional engine.

use std::sync::Arc;

use super::cycle::{End, Period, Pipeline, Run};
use super::functional::{FastEngine, FastPlan, Parameters};
use crate::accelerator::{Accelerator, FinnVersion, Target};

/// An accelerator whose control repeats itself: edges come from one recorded period, values from the functional engine.
pub struct Replay {
    period: Period,
    engine: FastEngine,
    inputs: usize,
}

impl Replay {
    /// Records the period, within so many samples. None where there is none ([`Period::of`]), and where units lose words without any fault
    /// ([`FinnVersion::Measured`]).
    #[must_use]
    pub fn new(pipeline: &Arc<Pipeline>, accelerator: &Accelerator, most: u64) -> Option<Self> {
        if accelerator.target() == Target::Finn(FinnVersion::Measured) {
            return None;
        }
        let network = accelerator.network();
        Some(Self {
            period: Period::of(pipeline, most)?,
            engine: FastEngine::new(&FastPlan::new(network.clone()), &Parameters::of(network)),
            inputs: network.tensor(network.input).len(),
        })
    }

    /// The recorded period.
    #[must_use]
    pub fn period(&self) -> &Period {
        &self.period
    }

    /// The run of these samples (mantissas, one after the other): what [`super::cycle::run`] gives for them. None for
    /// fewer samples than it takes to repeat.
    #[must_use]
    pub fn run(&mut self, inputs: &[i64]) -> Option<Run> {
        let samples = inputs.len() / self.inputs.max(1);
        let clock = self.period.clock(samples as u64)?;
        let mut outputs = Vec::new();
        for sample in inputs.chunks_exact(self.inputs) {
            outputs.extend_from_slice(self.engine.run(sample));
        }
        Some(Run {
            outputs,
            end: End::Completed,
            timing: clock.timing,
            activity: clock.activity,
            deepest: clock.deepest,
            strikes: Vec::new(),
            steady: clock.steady,
        })
    }
}
