//! The changed samples of a chunk and what they come to.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Baseline;
use crate::network::Network;
use crate::outcome::{Evaluator, Outcome, Scratch};
use crate::simulate::functional::BatchEngine;

/// Most outputs of a chunk whose outcomes are remembered at a time, and the longest such output.
const MAX_REMEMBERED: (usize, usize) = (1 << 16, 256);

/// What a workload has to say.
#[derive(Clone, Copy)]
pub(super) struct Workload<'a> {
    pub(super) network: &'a Network,
    pub(super) evaluator: &'a Evaluator,
    pub(super) baseline: &'a Baseline,
    /// The rise of every sample's loss where its output differs, when nothing else counts.
    pub(super) rise: Option<f64>,
}

/// Outcomes by sample and output.
type Remembered = HashMap<Box<[i64]>, Outcome, BuildHasherDefault<CodeHasher>>;

/// Scores the changed samples of one chunk.
pub(super) struct Judge<'a> {
    workload: Workload<'a>,
    /// Number of the chunk's first sample.
    first: usize,
    remembered: Remembered,
    scratch: Scratch,
    /// Lane and output mantissas.
    key: Vec<i64>,
    values: Vec<f64>,
}

impl<'a> Judge<'a> {
    /// For the chunk that begins with sample `first`.
    pub(super) fn new(workload: Workload<'a>, first: usize) -> Self {
        Self {
            workload,
            first,
            remembered: Remembered::default(),
            scratch: Scratch::default(),
            key: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds the differences of the changed samples in their order, and counts verdicts that turned.
    pub(super) fn judge(
        &mut self,
        engine: &BatchEngine,
        mut changed: u64,
        counts: &mut [u8; 3],
        differences: &mut Vec<f64>,
    ) {
        while changed != 0 {
            let lane = changed.trailing_zeros() as usize;
            changed &= changed - 1;
            self.key.clear();
            self.key.push(lane as i64);
            engine.output(lane, &mut self.key);
            let fault_free = self.workload.baseline.outcomes[self.first + lane];
            let outcome = self.outcome(lane);
            differences.push(outcome.loss - fault_free.loss);
            match (fault_free.correct, outcome.correct) {
                (Some(true), Some(false)) => counts[1] += 1,
                (Some(false), Some(true)) => counts[2] += 1,
                _ => {}
            }
        }
    }

    /// The outcome of the key.
    fn outcome(&mut self, lane: usize) -> Outcome {
        if let Some(outcome) = self.remembered.get(&self.key[..]) {
            return *outcome;
        }
        let Workload {
            network, evaluator, ..
        } = self.workload;
        self.values.clear();
        self.values.extend(network.output_values(&self.key[1..]));
        let outcome = evaluator.evaluate(self.first + lane, &self.values, true, &mut self.scratch);
        if self.key.len() <= MAX_REMEMBERED.1 {
            if self.remembered.len() >= MAX_REMEMBERED.0 {
                self.remembered.clear();
            }
            self.remembered.insert(self.key.as_slice().into(), outcome);
        }
        outcome
    }
}

/// A fast hash of mantissas, which nobody chooses to collide.
#[derive(Default)]
struct CodeHasher(u64);

impl Hasher for CodeHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.write_u64(u64::from_le_bytes(padded));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // An odd constant without structure: the golden ratio in 64 bits.
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}
