//! FINN's binary search, a bit of the count per stage.

use super::super::super::register::{RegisterClass, lane, mask, set_lane};
use super::super::super::stage::{Edge, Wire};
use super::super::layout::{Layout, Words, sign_extend};
use super::ThresholdingShape;
use crate::fixed_point::Format;

/// Operations as the RTL codes them. A set upper bit leaves the pointer as it is.
const NONE: u64 = 0b00;
const THRESHOLD: u64 = 0b01;
const READ_BACK: u64 = 0b10;
const CONFIGURE: u64 = 0b10;

/// A free-running pipeline of search stages, each with registers of its own per lane: operation, pointer (channel
/// fold above the bits of the count), value, the threshold that the pointer selected when they were loaded, and
/// whether that threshold is read back. Stage `s` decides bit `N - 1 - s` of the count and holds the thresholds that
/// `s` decided bits can select. A deep pipeline has a further register of operation, pointer and value behind every
/// comparison.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// Bits of the count, and stages of the search.
    bits: usize,
    pointer_bits: u32,
    operations: Words,
    pointers: Words,
    values: Words,
    /// The threshold read in each stage; the first stage of a single channel fold has one threshold, and reads it
    /// without a register.
    thresholds: Words,
    read_back: Words,
    /// The registers behind the comparisons of a deep pipeline.
    forward: Option<Forward>,
    /// Bits of a threshold register, which holds every threshold and every value, and whether it is signed.
    threshold_bits: u32,
    threshold_signed: bool,
    /// Whether the first stage's threshold is read without a register.
    first_is_wire: bool,
}

/// What every stage of a deep pipeline hands on, once it has decided.
#[derive(Clone, Copy, Debug)]
struct Forward {
    operations: Words,
    pointers: Words,
    values: Words,
}

/// What one stage hands to the next in a lane.
#[derive(Clone, Copy)]
struct Link {
    operation: u64,
    pointer: u64,
    value: u64,
}

impl Search {
    pub(super) fn new(
        layout: &mut Layout,
        shape: &ThresholdingShape,
        bits: usize,
        channel_bits: u32,
    ) -> Self {
        let class = RegisterClass::Pipeline;
        let lanes = shape.lanes;
        let pointer_bits = channel_bits + bits as u32;
        let formats = [shape.input.arithmetic(), shape.threshold.arithmetic()];
        let threshold_signed = formats.iter().any(|format| format.signed());
        let bits_of = |format: &Format| format.width() + u32::from(threshold_signed && !format.signed());
        let threshold_bits = formats.iter().map(bits_of).max().unwrap_or(1).min(64);
        let first_is_wire = channel_bits == 0;
        let reads = bits - usize::from(first_is_wire);
        let mut links = |names: [&'static str; 3]| Forward {
            operations: layout.words(RegisterClass::Control, names[0], bits, lanes, 2),
            pointers: layout.words(RegisterClass::Control, names[1], bits, lanes, pointer_bits),
            values: layout.words(class, names[2], bits, lanes, shape.input.width()),
        };
        let Forward {
            operations,
            pointers,
            values,
        } = links(["operation", "pointer", "value"]);
        let forward =
            (shape.deep).then(|| links(["forwarded_operation", "forwarded_pointer", "forwarded_value"]));
        Self {
            bits,
            pointer_bits,
            operations,
            pointers,
            values,
            forward,
            thresholds: layout.words(class, "threshold_read", reads, lanes, threshold_bits),
            read_back: layout.words(RegisterClass::Control, "read_back", bits, lanes, 1),
            threshold_bits,
            threshold_signed,
            first_is_wire,
        }
    }

    /// Bits of the count.
    pub(super) fn bits(&self) -> usize {
        self.bits
    }

    /// Whether a word leaves the pipeline: the first lane says so for all.
    pub(super) fn arrives(&self, state: &[u64]) -> bool {
        let operations = self.forward.map_or(self.operations, |forward| forward.operations);
        lane(operations.word(state, self.bits - 1), 0, 2) == THRESHOLD
    }

    /// What stands in the registers of a stage.
    fn held(&self, state: &[u64], from: Forward, stage: usize, at: usize, value_bits: u32) -> Link {
        Link {
            operation: lane(from.operations.word(state, stage), at, 2),
            pointer: lane(from.pointers.word(state, stage), at, self.pointer_bits),
            value: lane(from.values.word(state, stage), at, value_bits),
        }
    }

    fn hold(&self, state: &mut [u64], to: Forward, stage: usize, at: usize, (link, value_bits): (Link, u32)) {
        set_lane(to.operations.word_mut(state, stage), at, 2, link.operation);
        set_lane(
            to.pointers.word_mut(state, stage),
            at,
            self.pointer_bits,
            link.pointer,
        );
        set_lane(to.values.word_mut(state, stage), at, value_bits, link.value);
    }

    /// The registers in front of the comparisons.
    fn registers(&self) -> Forward {
        Forward {
            operations: self.operations,
            pointers: self.pointers,
            values: self.values,
        }
    }

    /// Number of the threshold of a row that a pointer selects in a stage, and the row's channel fold.
    fn selected(&self, stage: usize, pointer: u64) -> (usize, u64) {
        let below = self.bits - 1 - stage;
        let decided = (pointer & mask(self.bits as u32)) >> (below + 1);
        let step = (decided << (below + 1)) as usize + (1 << below) - 1;
        (step, pointer >> self.bits)
    }

    /// What a stage hands on in a lane.
    fn handed_on(
        &self,
        state: &[u64],
        shape: &ThresholdingShape,
        stage: usize,
        at: usize,
        edge: &Edge<'_>,
    ) -> Link {
        match self.forward {
            Some(forward) => self.held(state, forward, stage, at, shape.input.width()),
            None => self.link(state, shape, stage, at, edge),
        }
    }

    /// What a stage decides in a lane: its bit, unless the operation is another.
    fn link(
        &self,
        state: &[u64],
        shape: &ThresholdingShape,
        stage: usize,
        at: usize,
        edge: &Edge<'_>,
    ) -> Link {
        let mut link = self.held(state, self.registers(), stage, at, shape.input.width());
        let threshold = if self.first_is_wire && stage == 0 {
            self.read(shape, 0, link.pointer, at, edge)
        } else {
            let word = self
                .thresholds
                .word(state, stage - usize::from(self.first_is_wire));
            lane(word, at, self.threshold_bits)
        };
        if link.operation & CONFIGURE == 0 {
            let value = shape.input.mantissa_of_bits(link.value);
            let threshold = match self.threshold_signed {
                true => sign_extend(threshold, self.threshold_bits),
                false => threshold as i64,
            };
            // A threshold behind the last one of a row is never reached.
            let there = self.selected(stage, link.pointer).0 < shape.steps;
            let reached = there && threshold <= value;
            let struck = (edge.transients.iter()).any(|transient| {
                (transient.wire, transient.lane, transient.bit) == (Wire::Comparison, at, stage as u32)
            });
            let bit = 1 << (self.bits - 1 - stage);
            link.pointer = link.pointer & !bit | if reached ^ struck { bit } else { 0 };
        }
        if lane(self.read_back.word(state, stage), at, 1) == 1 {
            link.value = threshold;
        }
        link
    }

    /// The bits of the threshold that a pointer selects in a stage; zeros where there is none.
    fn read(&self, shape: &ThresholdingShape, stage: usize, pointer: u64, at: usize, edge: &Edge<'_>) -> u64 {
        let (step, fold) = self.selected(stage, pointer);
        let channel = fold as usize * shape.lanes + at;
        let row = if shape.per_channel { channel } else { 0 };
        let thresholds = edge.memories.values(shape.thresholds);
        let there = step < shape.steps && (!shape.per_channel || channel < shape.channels);
        let value = if there {
            thresholds.get(row * shape.steps + step)
        } else {
            None
        };
        value.map_or(0, |&value| value as u64) & mask(self.threshold_bits)
    }

    /// The count that leaves in a lane, and its channel fold.
    pub(super) fn found(
        &self,
        state: &[u64],
        shape: &ThresholdingShape,
        at: usize,
        edge: &Edge<'_>,
    ) -> (usize, u64) {
        let link = self.handed_on(state, shape, self.bits - 1, at, edge);
        let count = link.pointer & mask(self.bits as u32);
        (count as usize, link.pointer >> self.bits)
    }

    /// The pipeline's edge: `word` is what stands at the input, taken or not.
    pub(super) fn advance(
        &self,
        state: &mut [u64],
        shape: &ThresholdingShape,
        word: &[u64],
        taken: bool,
        fold: u64,
        edge: &Edge<'_>,
    ) {
        for stage in (0..self.bits).rev() {
            for at in 0..shape.lanes {
                if let Some(forward) = self.forward {
                    let link = self.link(state, shape, stage, at, edge);
                    self.hold(state, forward, stage, at, (link, shape.input.width()));
                }
                let link = match stage {
                    0 => Link {
                        operation: if taken { THRESHOLD } else { NONE },
                        pointer: fold << self.bits,
                        value: lane(word, at, shape.input.width()),
                    },
                    stage => self.handed_on(state, shape, stage - 1, at, edge),
                };
                let below = self.bits - 1 - stage;
                let addressed = link.pointer & mask(below as u32 + 1) == mask(below as u32);
                let reads_back = link.operation == READ_BACK && addressed;
                if !(self.first_is_wire && stage == 0) {
                    let bits = self.read(shape, stage, link.pointer, at, edge);
                    let to = stage - usize::from(self.first_is_wire);
                    set_lane(self.thresholds.word_mut(state, to), at, self.threshold_bits, bits);
                }
                self.hold(state, self.registers(), stage, at, (link, shape.input.width()));
                set_lane(self.read_back.word_mut(state, stage), at, 1, reads_back.into());
            }
        }
    }
}
