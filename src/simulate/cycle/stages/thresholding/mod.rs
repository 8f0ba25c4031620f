//! Activation by thresholds as a stage of its own.

mod count;
mod search;

use super::super::live::{Live, Says};
use super::super::memory::Memories;
use super::super::register::{Register, RegisterClass, bits_for, mask, set_lane};
use super::super::stage::{Edge, Signals, Stage, Wire, WireShape};
use super::bits::address_bits;
use super::layout::{Control, Layout, Words, stays};
use super::{Unbuildable, at_least_one, multiple};
use crate::network::{Encoding, ParamId, ThresholdRule};
use count::Count;
use search::Search;

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
    /// What a stored threshold holds, with the fractional bits of the input.
    pub threshold: Encoding,
    /// What an output lane holds.
    pub output: Encoding,
    /// Output mantissa per threshold reached, one per channel or one for all.
    pub factor: Vec<i64>,
    /// Output mantissa where none is reached, as many as factors.
    pub offset: Vec<i64>,
    /// Two registers per step of the search instead of one (`DEEP_PIPELINE`).
    pub deep: bool,
    /// How the number of thresholds that are reached is found.
    pub rule: ThresholdRule,
}

/// FINN's `thresholding`: a free-running pipeline of `N` registers (`2N` where it is deep) for `N`-bit
/// counts, a guard that takes no more words than the queue behind it can hold, and an output register;
/// latency `N + 2` (`2N + 2`), a word per cycle.
///
/// The output is `offset + factor * n`, `n` being the number of thresholds that are reached, as in
/// [`MultiThreshold`](crate::network::MultiThreshold). By [`ThresholdRule::BinarySearch`] every register of the
/// pipeline, or every other one where it is deep, decides one bit of the count, as in the RTL; by
/// [`ThresholdRule::Count`] all thresholds of the row are compared when the value leaves the pipeline.
#[derive(Clone, Debug)]
pub struct Thresholding {
    shape: ThresholdingShape,
    /// Output bits by count, one table per channel or one for all.
    codes: Vec<Vec<u64>>,
    folds: u64,
    stages: usize,
    layout: Layout,
    pipeline: Pipeline,
    queue: Words,
    output: Words,
    fold: Control,
    last_fold: Control,
    guard: Control,
    pointer: Control,
    valid: Control,
}

/// What a value passes while its count is found.
#[derive(Clone, Debug)]
enum Pipeline {
    Count(Count),
    Search(Search),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Machine {
    fold: u64,
    last_fold: u64,
    guard: u64,
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
        let codes = (shape.factor.iter().zip(&shape.offset))
            .map(|(&factor, &offset)| {
                let code = |count: usize| {
                    shape
                        .output
                        .bits_of(offset.wrapping_add(factor.wrapping_mul(count as i64)))
                };
                // An upset makes any number of that many bits.
                (0..1usize << bits).map(code).collect()
            })
            .collect();
        let mut layout = Layout::default();
        let fold_bits = address_bits(folds);
        let pipeline = match shape.rule {
            ThresholdRule::BinarySearch => {
                Pipeline::Search(Search::new(&mut layout, &shape, bits as usize, fold_bits))
            }
            ThresholdRule::Count => Pipeline::Count(Count::new(&mut layout, &shape, stages, fold_bits)),
        };
        Ok(Self::of(shape, codes, folds, stages, layout, pipeline))
    }

    /// The stage around a pipeline of so many registers.
    fn of(
        shape: ThresholdingShape,
        codes: Vec<Vec<u64>>,
        folds: u64,
        stages: usize,
        mut layout: Layout,
        pipeline: Pipeline,
    ) -> Self {
        let pending = stages + 3;
        let fold_bits = address_bits(folds);
        let class = RegisterClass::Pipeline;
        let out_bits = shape.output.width();
        let queue = layout.words(class, "queue", pending - 1, shape.lanes, out_bits);
        let output = layout.words(class, "output", 1, shape.lanes, out_bits);
        Self {
            codes,
            folds,
            stages,
            pipeline,
            queue,
            output,
            fold: layout.control("channel", fold_bits),
            last_fold: layout.control("last_channel", u32::from(folds > 1)),
            guard: layout.control("guard", address_bits(pending as u64) + 1),
            pointer: layout.control("queue_pointer", address_bits(pending as u64 - 1) + 1),
            valid: layout.control("output_valid", 1),
            layout,
            shape,
        }
    }

    fn load(&self, state: &[u64]) -> Machine {
        Machine {
            fold: self.fold.get(state),
            last_fold: self.last_fold.get(state),
            guard: self.guard.get(state),
            pointer: self.pointer.get(state),
            valid: self.valid.get(state),
        }
    }

    fn store(&self, state: &mut [u64], machine: Machine) {
        self.fold.set(state, machine.fold);
        self.last_fold.set(state, machine.last_fold);
        self.guard.set(state, machine.guard);
        self.pointer.set(state, machine.pointer);
        self.valid.set(state, machine.valid);
    }

    fn is_free(&self, state: &[u64]) -> bool {
        self.guard.signed(state) >= 0
    }

    fn queued(&self, state: &[u64]) -> bool {
        self.pointer.signed(state) >= 0
    }

    /// The word of the queue that the output register loads.
    fn oldest(&self, state: &[u64]) -> usize {
        // The address of an empty queue is -1, cut to its bits; one beyond the queue reads its first word.
        let from = self.pointer.get(state) & mask(self.pointer.bits() - 1);
        if from < self.queue.len() as u64 {
            from as usize
        } else {
            0
        }
    }

    /// Whether the queue is empty, and the output register holds what it would load.
    fn shows_nothing_new(&self, state: &[u64]) -> bool {
        !self.queued(state) && self.queue.word(state, self.oldest(state)) == self.output.word(state, 0)
    }

    fn next(&self, state: &[u64], now: Machine, valid: bool, ready: bool) -> Machine {
        let takes = valid && self.is_free(state);
        let gives = now.valid != 0 && ready;
        let arrives = self.arrives(state);
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
        if loads {
            next.valid = queued.into();
        }
        next
    }

    /// Counts for every lane of the oldest word of the pipeline, as output codes.
    fn arrives(&self, state: &[u64]) -> bool {
        match &self.pipeline {
            Pipeline::Count(count) => count.arrives(state),
            Pipeline::Search(search) => search.arrives(state),
        }
    }

    /// Puts the codes of the counts that leave the pipeline into the queue.
    fn enqueue(&self, state: &mut [u64], edge: &Edge<'_>) {
        let shape = &self.shape;
        let struck = Count::struck(shape, edge);
        self.queue.shift_up(state);
        for at in 0..shape.lanes {
            let (count, channel) = match &self.pipeline {
                Pipeline::Count(count) => {
                    let channel = count.fold(state) as usize * shape.lanes + at;
                    let row = if shape.per_channel {
                        channel * shape.steps
                    } else {
                        0
                    };
                    let thresholds = edge.memories.values(shape.thresholds);
                    // A channel beyond the last one, which only an upset selects, reads no thresholds.
                    let row = thresholds.get(row..row + shape.steps).unwrap_or(&[]);
                    (count.reached(state, shape, at, row, struck.as_deref()), channel)
                }
                Pipeline::Search(search) => {
                    let (count, fold) = search.found(state, shape, at, edge);
                    (count, fold as usize * shape.lanes + at)
                }
            };
            let codes = &self.codes[channel % self.codes.len()];
            let to = self.queue.word_mut(state, 0);
            set_lane(to, at, shape.output.width(), codes[count]);
        }
    }
}

impl Stage for Thresholding {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let mut layout = Layout::default();
        let shape = ThresholdingShape {
            lanes: 0,
            ..self.shape.clone()
        };
        // A search takes as long as its pipeline is.
        let count = Count::new(&mut layout, &shape, self.stages, 0);
        let pipeline = Pipeline::Count(count);
        Box::new(Self::of(
            shape,
            Vec::new(),
            self.folds,
            self.stages,
            layout,
            pipeline,
        ))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "values" | "channel_in_flight" => Live::when("operations", Says::BitOfWord(0)),
            // The only bit of a pointer without channels is the one that is still to be decided.
            "pointer" if register.lane_bits == 1 => Live::Never,
            "value" | "pointer" => Live::when("operation", Says::Lane(0)),
            "threshold_read" => {
                let operations = (self.layout.registers.iter()).find(|other| other.name == "operation");
                let stages = operations.map_or(0, |operations| operations.words);
                Live::when("operation", Says::Lane(stages - register.words))
            }
            "queue" => Live::when(
                "queue_pointer",
                Says::Covers {
                    more: 1,
                    signed: true,
                },
            ),
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
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
        if now.valid == 0 || ready {
            self.queue.copy(state, self.oldest(state), self.output, 0);
        }
        if self.arrives(state) {
            self.enqueue(state, edge);
        }
        let taken = valid && self.is_free(state);
        match &self.pipeline {
            Pipeline::Count(count) => count.advance(state, taken.then(|| (edge.words[0], now.fold))),
            Pipeline::Search(search) => {
                search.advance(state, &self.shape, edge.words[0], taken, now.fold, edge);
            }
        }
        self.store(state, next);
    }

    fn wires(&self) -> Vec<WireShape> {
        vec![WireShape {
            wire: Wire::Comparison,
            lanes: self.shape.lanes,
            lane_bits: match &self.pipeline {
                Pipeline::Count(_) => self.shape.steps as u32,
                Pipeline::Search(search) => search.bits() as u32,
            },
        }]
    }

    fn samples(&self) -> u32 {
        match &self.pipeline {
            Pipeline::Count(_) => 0,
            Pipeline::Search(_) => 1,
        }
    }

    fn depends_on_unoffered(&self) -> u32 {
        0
    }

    fn rest_at(&self, state: &[u64], edge: &Edge<'_>) -> u64 {
        let ready = edge.signals.ready & 1 == 1;
        let valid = edge.signals.valid & 1 == 1;
        let offers = self.valid.is_set(state);
        if valid && self.is_free(state) || offers && ready {
            return 0;
        }
        match &self.pipeline {
            Pipeline::Count(count) => match count.edges_to_arrival(state) {
                // A word is in the queue behind the edge at which it arrives, and not yet offered.
                Some(edges) if edges > 1 && !offers && !self.queued(state) => edges,
                None if offers || self.shows_nothing_new(state) => u64::MAX,
                _ => 0,
            },
            Pipeline::Search(_) if self.arrives(state) => 0,
            Pipeline::Search(_) => match stays(state, |next| self.edge(next, edge)) {
                true => u64::MAX,
                false => 0,
            },
        }
    }

    fn skip(&self, state: &mut [u64], edges: u64, memories: &Memories) {
        match &self.pipeline {
            Pipeline::Count(count) if !count.is_empty(state) => {}
            // It rests until a signal changes.
            _ => return,
        }
        // Nothing is taken, and nothing is offered that could be.
        let edge = Edge {
            signals: Signals::default(),
            taken: 0,
            given: 0,
            words: &[],
            memories,
            transients: &[],
        };
        for _ in 0..edges {
            self.edge(state, &edge);
        }
    }
}
