//! All thresholds compared at once behind a pipeline.

use super::super::super::register::{RegisterClass, lane, mask};
use super::super::super::stage::{Edge, Wire};
use super::super::layout::{Control, Layout, Words};
use super::ThresholdingShape;

/// A pipeline of words and the channels that they belong to; the thresholds are compared when a word leaves it.
#[derive(Clone, Debug)]
pub(super) struct Count {
    stages: usize,
    values: Words,
    channels: Words,
    operations: Control,
}

impl Count {
    pub(super) fn new(
        layout: &mut Layout,
        shape: &ThresholdingShape,
        stages: usize,
        channel_bits: u32,
    ) -> Self {
        let in_flight = if channel_bits == 0 { 0 } else { stages };
        let class = RegisterClass::Pipeline;
        Self {
            stages,
            values: layout.words(class, "values", stages, shape.lanes, shape.input.width()),
            channels: layout.words(
                RegisterClass::Control,
                "channel_in_flight",
                in_flight,
                1,
                channel_bits,
            ),
            operations: layout.control("operations", stages as u32),
        }
    }

    /// Whether a word leaves the pipeline.
    pub(super) fn arrives(&self, state: &[u64]) -> bool {
        self.operations.get(state) >> (self.stages - 1) & 1 == 1
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self, state: &[u64]) -> bool {
        self.operations.get(state) == 0
    }

    /// Edges until the next word has left; none where nothing is under way.
    pub(super) fn edges_to_arrival(&self, state: &[u64]) -> Option<u64> {
        let highest = self.operations.get(state).checked_ilog2()?;
        Some((self.stages as u64).saturating_sub(highest.into()))
    }

    /// The channel fold of the word that leaves.
    pub(super) fn fold(&self, state: &[u64]) -> u64 {
        match self.channels.len() {
            0 => 0,
            _ => self.channels.word(state, self.stages - 1)[0],
        }
    }

    /// The number of thresholds that a lane of the word that leaves reaches, of the row that is its own.
    pub(super) fn reached(
        &self,
        state: &[u64],
        shape: &ThresholdingShape,
        at: usize,
        row: &[i64],
        struck: Option<&[u64]>,
    ) -> usize {
        let word = self.values.word(state, self.stages - 1);
        let value = shape.input.mantissa_of_bits(lane(word, at, shape.input.width()));
        match struck {
            None => shape.rule.reached(row, value),
            Some(struck) => (0..shape.steps)
                .filter(|&step| {
                    let reached = row.get(step).is_some_and(|&threshold| threshold <= value);
                    reached ^ (lane(struck, at * shape.steps + step, 1) == 1)
                })
                .count(),
        }
    }

    /// The pipeline's edge; `taken` is the word that enters and its channel fold.
    pub(super) fn advance(&self, state: &mut [u64], taken: Option<(&[u64], u64)>) {
        let operations = self.operations.get(state);
        let next = (operations << 1 | u64::from(taken.is_some())) & mask(self.stages as u32);
        if operations | next == 0 {
            return;
        }
        self.values.shift_up(state);
        self.channels.shift_up(state);
        if let Some((word, fold)) = taken {
            self.values.write(state, 0, word);
            self.channels.write(state, 0, &[fold]);
        }
        self.operations.set(state, next);
    }

    /// What transients invert: a bit per lane and threshold.
    pub(super) fn struck(shape: &ThresholdingShape, edge: &Edge<'_>) -> Option<Vec<u64>> {
        if edge.transients.is_empty() {
            return None;
        }
        let mut struck = vec![0; (shape.lanes * shape.steps).div_ceil(64)];
        edge.strike(Wire::Comparison, &mut struck, shape.steps as u32);
        Some(struck)
    }
}
