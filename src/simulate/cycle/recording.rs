//! A run without faults, kept every so many edges, and strikes that start from there and end where the accelerator is
//! again as it would have been.

use std::sync::Arc;

use super::engine::{Engine, Keyframe};
use super::pipeline::Pipeline;
use super::run::{CycleFault, End, Site};
use crate::accelerator::Accelerator;

/// Edges between two keyframes, at least.
const LEAST_INTERVAL: u64 = 32;

/// Limbs of all keyframes together, about.
const MOST_LIMBS: u64 = 8 << 20;

/// The fault-free run of some samples with its state every so many edges.
///
/// A strike on registers and wires starts from the last keyframe before it. Once the state, memories included, is that
/// of the fault-free run at the same edge, everything that follows is too, so that the run ends there.
pub struct Recording {
    pipeline: Arc<Pipeline>,
    accelerator: Arc<Accelerator>,
    /// An engine after reset.
    fresh: Engine,
    keyframes: Vec<Keyframe>,
    /// Mantissas of one output word.
    width: usize,
    outputs: Vec<i64>,
    expected: u64,
    bound: u64,
}

/// What strikes came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Struck {
    /// Output mantissas, as in [`super::Run::outputs`].
    pub outputs: Vec<i64>,
    /// How the run ends.
    pub end: End,
    /// The edge before which the accelerator is again as without the strikes; none where that is never seen.
    pub settled: Option<u64>,
    /// Edges that were simulated.
    pub edges: u64,
}

impl Recording {
    /// Records the run of these samples (mantissas, one after the other), which takes `total` edges; strikes are waited
    /// for until cycle `bound`.
    #[must_use]
    pub fn new(
        pipeline: &Arc<Pipeline>,
        accelerator: &Arc<Accelerator>,
        samples: &[i64],
        (total, bound): (u64, u64),
    ) -> Self {
        let fresh = Engine::new(pipeline, samples);
        let limbs = pipeline.limbs() as u64 + 8;
        let interval = LEAST_INTERVAL.max(total.saturating_mul(limbs) / MOST_LIMBS + 1);
        let mut engine = fresh.clone();
        let mut keyframes = vec![engine.keyframe()];
        // Some more behind the last word, until the stages have come to rest.
        let last = total + 4 * interval;
        while engine.cycle() < last.min(bound) {
            let next = engine.cycle() + interval;
            while engine.cycle() < next {
                engine.advance(next);
            }
            keyframes.push(engine.keyframe());
        }
        let outputs = engine.outputs();
        let words = engine.output_cycles().len().max(1);
        Self {
            pipeline: Arc::clone(pipeline),
            accelerator: Arc::clone(accelerator),
            width: outputs.len() / words,
            expected: pipeline.streams[pipeline.output].words * engine.samples(),
            fresh,
            keyframes,
            outputs,
            bound,
        }
    }

    /// An engine for [`Recording::strike`], to be used again and again.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.fresh.clone()
    }

    /// The run with these faults; none where one of them is in a memory, which nothing brings back.
    pub fn strike(&self, engine: &mut Engine, faults: &[CycleFault]) -> Option<Struck> {
        if faults.iter().any(|fault| matches!(fault.site, Site::Stored(_))) {
            return None;
        }
        let mut faults = faults.to_vec();
        faults.sort_by_key(CycleFault::edges_before);
        let first = faults.first().map_or(0, CycleFault::edges_before);
        let mut next = self.keyframes.partition_point(|frame| frame.cycle <= first);
        let from = &self.keyframes[next - 1];
        engine.restore(from);
        let mut faults = faults.into_iter().peekable();
        let mut settled = None;
        let end = loop {
            while let Some(fault) = faults.next_if(|fault| fault.edges_before() <= engine.cycle()) {
                engine.strike(&self.accelerator, fault);
            }
            let keyframe = self.keyframes.get(next).map_or(u64::MAX, |frame| frame.cycle);
            let fault = faults.peek().map_or(u64::MAX, CycleFault::edges_before);
            engine.advance((self.bound + 1).min(keyframe).min(fault));
            let seen = engine.words_out();
            let over = engine.cycle() > self.bound;
            let words = self.pipeline.streams[self.pipeline.output].words.max(1);
            if seen > self.expected {
                let expected = self.expected;
                break End::StreamCorrupted { expected, seen };
            }
            if over && seen == self.expected {
                break End::Completed;
            }
            if over {
                let (expected, cycle) = (self.expected, self.bound);
                break match seen.is_multiple_of(words) {
                    true => End::Hang { cycle },
                    false => End::StreamCorrupted { expected, seen },
                };
            }
            if engine.cycle() == keyframe {
                if faults.peek().is_none() && engine.is_as(&self.keyframes[next]) {
                    settled = Some(keyframe);
                    break End::Completed;
                }
                next += 1;
            }
        };
        let before = from.words_out() as usize * self.width;
        let mut outputs = self.outputs[..before].to_vec();
        outputs.extend(engine.outputs());
        if settled.is_some() {
            outputs.extend_from_slice(&self.outputs[outputs.len()..]);
        }
        let struck = Struck {
            outputs,
            end,
            settled,
            edges: engine.cycle() - from.cycle,
        };
        if engine.has_written_memories() {
            *engine = self.engine();
        }
        Some(struck)
    }
}
