//! Fault-free runs of any number of samples at the speed of the functional engine.

use super::cycle::{End, FreeRun, Period, Pipeline, Run};
use super::functional::{FastEngine, FastPlan, Parameters};
use crate::accelerator::Accelerator;

/// An accelerator without faults: edges come from its control, values from the functional engine.
pub struct Replay {
    free: FreeRun,
    engine: FastEngine,
    inputs: usize,
}

impl Replay {
    /// None where a unit's words are not those of the functional engine although nothing strikes it
    /// ([`Pipeline::is_exact`]).
    #[must_use]
    pub fn new(pipeline: &Pipeline, accelerator: &Accelerator) -> Option<Self> {
        let network = accelerator.network();
        pipeline.is_exact().then(|| Self {
            free: FreeRun::of(pipeline),
            engine: FastEngine::new(
                &FastPlan::new(accelerator.shared_network()),
                &Parameters::of(network),
            ),
            inputs: network.tensor(network.input).len(),
        })
    }

    /// The period of the edges, where a run was long enough to show it.
    #[must_use]
    pub fn period(&self) -> Option<&Period> {
        self.free.period()
    }

    /// The run of these samples (mantissas, one after the other): what [`super::cycle::run`] gives for them. None where
    /// they do not all come out, and for no sample.
    #[must_use]
    pub fn run(&mut self, inputs: &[i64]) -> Option<Run> {
        let samples = inputs.len() / self.inputs.max(1);
        let clock = self.free.clock(samples as u64)?;
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
