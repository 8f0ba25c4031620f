//! Activation by thresholds as a stage of its own.

use super::super::register::{Register, RegisterClass, bits_for, lane, mask, set_lane};
use super::super::stage::{Edge, Signals, Stage, Wire, WireShape};
use super::bits::address_bits;
use super::layout::{Control, Layout, Words};
use super::{Unbuildable, at_least_one, multiple};
use crate::network::{Encoding, ParamId};

/// What a thresholding stage computes, and with how many lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdingShape {
    /// The thresholds: one row of `steps` per channel, or one row for all.
    pub thresholds: ParamId,
    /// Thresholds of one row.
    pub steps: usize,
    /// Whether every channel has its own row.
    pub per_channel: bool,
    /// Channels; consecutive words carry consecutive lots of `lanes` channels.
    pub channels: usize,
    /// Channels of one word (PE).
    pub lanes: usize,
    /// What an input lane holds.
    pub input: Encoding,
    /// What an output lane holds.
    pub output: Encoding,
    /// Output mantissa per threshold reached, one per channel or one for all.
    pub factor: Vec<i64>,
    /// Output mantissa where none is reached, as many as factors.
    pub offset: Vec<i64>,
    /// Two registers per step of the search instead of one (`DEEP_PIPELINE`).
    pub deep: bool,
}

/// FINN's `thresholding`: a free-running pipeline of `N` registers (`2N` where it is deep) for `N`-bit
/// counts, a guard that takes no more words than the queue behind it can hold, and an output register;
/// latency `N + 2` (`2N + 2`), a word per cycle.
///
/// The output is `offset + factor * #{ thresholds <= x }`, as in
/// [`MultiThreshold`](crate::network::MultiThreshold): all thresholds of the row are compared when the value leaves the pipeline. The RTL
/// decides one bit of the count per register by binary search, which finds the same count as long as the
/// thresholds are in order; where a flip puts them out of order its count differs, and its pipeline holds
/// the bits found so far beside the value.
#[derive(Clone, Debug)]
pub struct Thresholding {
    shape: ThresholdingShape,
    /// Output bits by count, one table per channel or one for all.
    codes: Vec<Vec<u64>>,
    folds: u64,
    stages: usize,
    layout: Layout,
    values: Words,
    folds_of: Words,
    queue: Words,
    output: Words,
    fold: Control,
    last_fold: Control,
    guard: Control,
    operations: Control,
    pointer: Control,
    valid: Control,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Machine {
    fold: u64,
    last_fold: u64,
    guard: u64,
    operations: u64,
    pointer: u64,
    valid: u64,
}

impl Thresholding {
    /// A stage of this shape.
    ///
    /// # Errors
    /// [`Unbuildable`] where a count is 0, `lanes` does not divide `channels`, or there are 2^31 steps.
    pub fn new(shape: ThresholdingShape) -> Result<Self, Unbuildable> {
        at_least_one("the thresholds of a row", shape.steps)?;
        at_least_one("the lanes of a thresholding stage", shape.lanes)?;
        at_least_one(
            "the factors of a thresholding stage",
            shape.factor.len().min(shape.offset.len()),
        )?;
        let folds = multiple(
            "the channels of a thresholding stage",
            shape.channels,
            shape.lanes,
        )? as u64;
        let bits = bits_for(shape.steps as u64);
        let most = 31;
        if bits > most {
            return Err(Unbuildable::TooLarge {
                what: "the bits of a count of thresholds",
                value: bits.into(),
                most: most.into(),
            });
        }
        let stages = bits as usize * if shape.deep { 2 } else { 1 };
        let pending = stages + 3;
        let codes = (shape.factor.iter().zip(&shape.offset))
            .map(|(&factor, &offset)| {
                let code = |count: usize| {
                    shape
                        .output
                        .bits_of(offset.wrapping_add(factor.wrapping_mul(count as i64)))
                };
                (0..=shape.steps).map(code).collect()
            })
            .collect();
        let mut layout = Layout::default();
        let fold_bits = address_bits(folds);
        let class = RegisterClass::Pipeline;
        let in_bits = shape.input.width();
        let out_bits = shape.output.width();
        let values = layout.words(class, "values", stages, shape.lanes, in_bits);
        let queue = layout.words(class, "queue", pending - 1, shape.lanes, out_bits);
        let output = layout.words(class, "output", 1, shape.lanes, out_bits);
        let in_flight = if fold_bits == 0 { 0 } else { stages };
        let folds_of = layout.words(
            RegisterClass::Control,
            "channel_in_flight",
            in_flight,
            1,
            fold_bits,
        );
        Ok(Self {
            codes,
            folds,
            stages,
            values,
            folds_of,
            queue,
            output,
            fold: layout.control("channel", fold_bits),
            last_fold: layout.control("last_channel", u32::from(folds > 1)),
            guard: layout.control("guard", address_bits(pending as u64) + 1),
            operations: layout.control("operations", stages as u32),
            pointer: layout.control("queue_pointer", address_bits(pending as u64 - 1) + 1),
            valid: layout.control("output_valid", 1),
            layout,
            shape,
        })
    }

    /// Registers of the pipeline in front of the queue.
    #[must_use]
    pub fn pipeline_registers(&self) -> usize {
        self.stages
    }

    fn load(&self, state: &[u64]) -> Machine {
        Machine {
            fold: self.fold.get(state),
            last_fold: self.last_fold.get(state),
            guard: self.guard.get(state),
            operations: self.operations.get(state),
            pointer: self.pointer.get(state),
            valid: self.valid.get(state),
        }
    }

    fn store(&self, state: &mut [u64], machine: Machine) {
        self.fold.set(state, machine.fold);
        self.last_fold.set(state, machine.last_fold);
        self.guard.set(state, machine.guard);
        self.operations.set(state, machine.operations);
        self.pointer.set(state, machine.pointer);
        self.valid.set(state, machine.valid);
    }

    fn is_free(&self, state: &[u64]) -> bool {
        self.guard.signed(state) >= 0
    }

    fn queued(&self, state: &[u64]) -> bool {
        self.pointer.signed(state) >= 0
    }

    fn next(&self, state: &[u64], now: Machine, valid: bool, ready: bool) -> Machine {
        let takes = valid && self.is_free(state);
        let gives = now.valid != 0 && ready;
        let arrives = now.operations >> (self.stages - 1) & 1 == 1;
        let loads = now.valid == 0 || ready;
        let queued = self.queued(state);
        let step = |value: u64, up: bool, down: bool, bits: u32| {
            let value = value.wrapping_add(up.into()).wrapping_sub(down.into());
            value & mask(bits)
        };
        let mut next = now;
        next.guard = step(now.guard, gives, takes, self.guard.bits());
        next.pointer = step(now.pointer, arrives, queued && loads, self.pointer.bits());
        if takes && self.folds > 1 {
            let by = if now.last_fold != 0 {
                1u64.wrapping_sub(self.folds)
            } else {
                1
            };
            next.fold = now.fold.wrapping_add(by) & mask(self.fold.bits());
            next.last_fold = (now.fold == self.folds - 2).into();
        }
        next.operations = (now.operations << 1 | u64::from(takes)) & mask(self.stages as u32);
        if loads {
            next.valid = queued.into();
        }
        next
    }

    /// Counts for every lane of the oldest word of the pipeline, as output codes.
    fn compare(&self, state: &mut [u64], edge: &Edge<'_>) {
        let last = self.stages - 1;
        let fold = if self.folds_of.len() > 0 {
            self.folds_of.word(state, last)[0]
        } else {
            0
        };
        let shape = &self.shape;
        let thresholds = edge.memories.values(shape.thresholds);
        let bits = shape.input.width();
        let struck = self.struck(edge);
        for at in 0..shape.lanes {
            let channel = fold as usize * shape.lanes + at;
            let row = if shape.per_channel {
                channel * shape.steps
            } else {
                0
            };
            // A channel beyond the last one, which only an upset selects, reads no thresholds.
            let row = thresholds.get(row..row + shape.steps).unwrap_or(&[]);
            let value = shape
                .input
                .mantissa_of_bits(lane(self.values.word(state, last), at, bits));
            let count = match &struck {
                None => row.iter().filter(|&&threshold| threshold <= value).count(),
                Some(struck) => (0..shape.steps)
                    .filter(|&step| {
                        let reached = row.get(step).is_some_and(|&threshold| threshold <= value);
                        reached ^ (lane(struck, at * shape.steps + step, 1) == 1)
                    })
                    .count(),
            };
            let codes = &self.codes[if self.codes.len() == 1 {
                0
            } else {
                channel % self.codes.len()
            }];
            set_lane(
                self.queue.word_mut(state, 0),
                at,
                shape.output.width(),
                codes[count],
            );
        }
    }

    /// The comparisons that transients invert, one bit each; none where there are none.
    fn struck(&self, edge: &Edge<'_>) -> Option<Vec<u64>> {
        if edge.transients.is_empty() {
            return None;
        }
        let mut struck = vec![0; (self.shape.lanes * self.shape.steps).div_ceil(64)];
        edge.strike(Wire::Comparison, &mut struck, self.shape.steps as u32);
        Some(struck)
    }
}

impl Stage for Thresholding {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn reset(&self, state: &mut [u64]) {
        self.guard.set(state, self.stages as u64 + 2);
        self.pointer.set(state, u64::MAX);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], _: Signals) -> u32 {
        self.is_free(state).into()
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let now = self.load(state);
        let valid = edge.signals.valid & 1 == 1;
        let ready = edge.signals.ready & 1 == 1;
        let next = self.next(state, now, valid, ready);
        if self.queued(state) && (now.valid == 0 || ready) {
            self.queue
                .copy(state, self.pointer.signed(state) as usize, self.output, 0);
        }
        if now.operations >> (self.stages - 1) & 1 == 1 {
            self.queue.shift_up(state);
            self.compare(state, edge);
        }
        if (now.operations | next.operations) != 0 {
            self.values.shift_up(state);
            self.folds_of.shift_up(state);
            if next.operations & 1 == 1 {
                self.values.write(state, 0, edge.words[0]);
                self.folds_of.write(state, 0, &[now.fold]);
            }
        }
        self.store(state, next);
    }

    fn wires(&self) -> Vec<WireShape> {
        vec![WireShape {
            wire: Wire::Comparison,
            lanes: self.shape.lanes,
            lane_bits: self.shape.steps as u32,
        }]
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let now = self.load(state);
        let next = self.next(state, now, signals.valid & 1 == 1, signals.ready & 1 == 1);
        let still = next == now && now.operations == 0 && !(self.queued(state) && signals.ready & 1 == 1);
        if still { u64::MAX } else { 0 }
    }
}
