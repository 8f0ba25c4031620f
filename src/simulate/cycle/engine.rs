//! The run-time state of an accelerator, advanced by the clock.

use std::sync::Arc;

use super::matrix::LaneCode;
use super::memory::Memories;
use super::pipeline::{Pipeline, Stream};
use super::register::RegisterBit;
use super::schedule::Schedule;
use super::stage::{Edge, Signals, Transient};
use crate::accelerator::{Accelerator, StoredBit};
use crate::network::{Encoding, TensorId};

/// When an end of the accelerator is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// At most one word in so many cycles; 1 for every cycle.
    Every(u64),
    /// In so many of 100 cycles, drawn from the seed and the cycle.
    Random {
        /// Percent.
        percent: u64,
        /// Seed.
        seed: u64,
    },
}

impl Rate {
    /// Whether the end is open in a cycle; `last` is the cycle of the last word that passed it.
    pub(super) fn is_open(self, cycle: u64, last: Option<u64>) -> bool {
        match self {
            Self::Every(interval) => last.is_none_or(|last| cycle >= last.saturating_add(interval)),
            Self::Random { percent, seed } => {
                // SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014).
                let mut x = seed.wrapping_add(cycle.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                (x ^ x >> 31) % 100 < percent
            }
        }
    }

    /// The next cycle from `cycle` on in which the end is open; none where that is left to chance.
    pub(super) fn next_open(self, cycle: u64, last: Option<u64>) -> Option<u64> {
        match self {
            Self::Every(interval) => {
                Some(last.map_or(cycle, |last| last.saturating_add(interval).max(cycle)))
            }
            Self::Random { .. } => None,
        }
    }
}

/// What a stage did in the cycles so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Activity {
    /// Cycles in which it took or gave a word.
    pub transfers: u64,
    /// Cycles in which it offered a word that nobody took.
    pub blocked: u64,
    /// Cycles in which it would have taken a word and none was offered.
    pub starved: u64,
}

/// A running accelerator.
#[derive(Clone)]
pub struct Engine {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) state: Vec<u64>,
    pub(super) memories: Memories,
    pub(super) cycle: u64,
    /// Words on the streams, one after the other.
    wires: Vec<u64>,
    wire_at: Vec<usize>,
    pub(super) signals: Vec<Signals>,
    pub(super) offered: Vec<u32>,
    pub(super) accepted: Vec<u32>,
    pub(super) input: EndOfStream,
    pub(super) output: EndOfStream,
    pub(super) activity: Vec<Activity>,
    pub(super) occupancy: Vec<u64>,
    pub(super) deepest: Vec<u64>,
    /// Stages and wires that are struck while the next edge comes.
    pub(super) transients: Vec<(usize, Transient)>,
    pub(super) schedule: Schedule,
    /// The word at the input where none is offered.
    pub(super) no_word: Vec<u64>,
    /// Words that passed a stream, where they are kept.
    pub(super) traced: Vec<Option<Vec<u64>>>,
}

/// One end of the accelerator.
#[derive(Clone, Debug)]
pub(super) struct EndOfStream {
    pub(super) rate: Rate,
    words: Vec<u64>,
    /// Words that are to pass; at the output nobody counts them.
    awaited: u64,
    /// Words that passed.
    passed: u64,
    /// Cycle of the last word that passed.
    pub(super) last: Option<u64>,
    /// Cycles in which words passed.
    cycles: Vec<u64>,
}

impl EndOfStream {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            words: Vec::new(),
            awaited: 0,
            passed: 0,
            last: None,
            cycles: Vec::new(),
        }
    }

    /// The word that is next to enter; empty behind the last one.
    pub(super) fn word(&self, limbs: usize) -> &[u64] {
        let from = self.passed as usize * limbs;
        self.words.get(from..from + limbs).unwrap_or(&[])
    }

    pub(super) fn pass(&mut self, cycle: u64) {
        self.passed += 1;
        self.last = Some(cycle);
        self.cycles.push(cycle);
    }
}

impl Engine {
    /// An accelerator after reset, in front of these samples (mantissas, one after the other).
    #[must_use]
    pub fn new(pipeline: &Arc<Pipeline>, samples: &[i64]) -> Self {
        let shape = pipeline.streams[pipeline.input].shape;
        let (mut words, mut awaited) = (Vec::new(), 0);
        let mut word = vec![0; shape.limbs()];
        for lanes in samples.chunks(shape.lanes) {
            word.fill(0);
            for (at, &mantissa) in lanes.iter().enumerate() {
                super::register::set_lane(
                    &mut word,
                    at,
                    shape.lane_bits,
                    pipeline.input_code.encode(mantissa),
                );
            }
            words.extend_from_slice(&word);
            awaited += 1;
        }
        let mut engine = Self::of_control(pipeline, 0);
        engine.input.words = words;
        engine.input.awaited = awaited;
        engine
    }

    /// The control of an accelerator ([`Pipeline::control`]) after reset, in front of so many samples.
    pub(super) fn of_control(pipeline: &Arc<Pipeline>, samples: u64) -> Self {
        let mut wire_at = Vec::with_capacity(pipeline.streams.len());
        let mut wires = 0;
        for stream in &pipeline.streams {
            wire_at.push(wires);
            wires += stream.shape.limbs();
        }
        let stages = pipeline.stages.len();
        let no_word = vec![0; pipeline.streams[pipeline.input].shape.limbs()];
        let engine = Self {
            state: pipeline.reset_state(),
            memories: pipeline.memories().clone(),
            cycle: 0,
            wires: vec![0; wires],
            wire_at,
            signals: vec![Signals::default(); stages],
            offered: vec![0; stages],
            accepted: vec![0; stages],
            input: EndOfStream::new(Rate::Every(pipeline.intervals[0])),
            output: EndOfStream::new(Rate::Every(pipeline.intervals[1])),
            activity: vec![Activity::default(); stages],
            occupancy: vec![0; pipeline.streams.len()],
            deepest: vec![0; stages],
            transients: Vec::new(),
            schedule: Schedule::new(pipeline),
            no_word,
            traced: vec![None; pipeline.streams.len()],
            pipeline: Arc::clone(pipeline),
        };
        engine.in_front_of(samples)
    }

    /// The same engine in front of so many samples, those that have entered included.
    pub(super) fn in_front_of(mut self, samples: u64) -> Self {
        let words = self.pipeline.streams[self.pipeline.input].words;
        self.input.awaited = samples.saturating_mul(words);
        self
    }

    /// Other rates at the ends.
    #[must_use]
    pub fn with_rates(mut self, input: Rate, output: Rate) -> Self {
        self.input.rate = input;
        self.output.rate = output;
        self
    }

    /// Keeps every word that passes the streams of these tensors.
    #[must_use]
    pub fn with_traces(mut self, tensors: &[TensorId]) -> Self {
        for (tensor, stream) in &self.pipeline.carried {
            if tensors.contains(tensor) {
                self.traced[*stream] = Some(Vec::new());
            }
        }
        self
    }

    /// The mantissas of a tensor that have passed so far, in their order; `encoding` is the tensor's. None
    /// where they were not kept.
    #[must_use]
    pub fn trace(&self, tensor: TensorId, encoding: &Encoding) -> Option<Vec<i64>> {
        let (_, stream) = self
            .pipeline
            .carried
            .iter()
            .find(|(carried, _)| *carried == tensor)?;
        let shape = self.pipeline.streams[*stream].shape;
        let words = if *stream == self.pipeline.output {
            &self.output.words
        } else {
            self.traced[*stream].as_ref()?
        };
        let code = LaneCode::of(encoding);
        let lanes = words
            .chunks_exact(shape.limbs())
            .flat_map(|word| self.pipeline.elements(*stream, code, word));
        let Some(brought) = self.pipeline.brought.get(&tensor) else {
            return Some(lanes.collect());
        };
        let lanes: Vec<i64> = lanes.collect();
        let samples = lanes.chunks(brought.len().max(1)).flat_map(|sample| {
            let mut elements = vec![0; brought.len()];
            for (&element, &value) in brought.iter().zip(sample) {
                elements[element as usize] = value;
            }
            elements
        });
        Some(samples.collect())
    }

    /// Edges so far; the next edge has this number.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The static structure.
    #[must_use]
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// All registers.
    #[must_use]
    pub fn state(&self) -> &[u64] {
        &self.state
    }

    /// The memories.
    #[must_use]
    pub fn memories(&self) -> &Memories {
        &self.memories
    }

    /// Flips one register bit.
    pub fn flip_register(&mut self, bit: RegisterBit) {
        bit.flip(&mut self.state);
    }

    /// Inverts a bit of a wire while the next edge comes.
    pub fn strike_wire(&mut self, stage: usize, transient: Transient) {
        self.transients.push((stage, transient));
    }

    /// Flips one stored bit of a memory.
    pub fn flip_memory(&mut self, accelerator: &Accelerator, bit: StoredBit) {
        self.memories.flip(accelerator, bit);
        let map = accelerator.map();
        let param = map.memory(map.address(bit).memory).param;
        self.pipeline.pack(&mut self.memories, Some(param));
    }

    /// Rewrites all memories.
    pub fn refresh(&mut self, accelerator: &Accelerator) {
        self.wake_all();
        self.memories.refresh(accelerator);
        self.pipeline.pack(&mut self.memories, None);
    }

    /// Words that entered, and the cycles in which they did.
    #[must_use]
    pub fn input_cycles(&self) -> &[u64] {
        &self.input.cycles
    }

    /// The cycles in which words left.
    #[must_use]
    pub fn output_cycles(&self) -> &[u64] {
        &self.output.cycles
    }

    /// What each stage did.
    #[must_use]
    pub fn activity(&self) -> &[Activity] {
        &self.activity
    }

    /// The most words that each FIFO held after an edge.
    #[must_use]
    pub fn deepest(&self) -> &[u64] {
        &self.deepest
    }

    /// Signals of a stage in the last cycle.
    #[must_use]
    pub fn signals(&self, stage: usize) -> (Signals, u32, u32) {
        (self.signals[stage], self.offered[stage], self.accepted[stage])
    }

    /// Whether a stream's word was offered, and whether it was taken or would have been, in the last cycle.
    #[must_use]
    pub fn handshake(&self, stream: usize) -> (bool, bool) {
        let passed = |end: &EndOfStream| end.last.is_some() && end.last == self.cycle.checked_sub(1);
        let Stream { from, to, .. } = self.pipeline.streams[stream];
        let valid = from.map_or(passed(&self.input), |(stage, port)| {
            self.offered[stage] >> port & 1 == 1
        });
        let ready = to.map_or(passed(&self.output), |(stage, port)| {
            self.accepted[stage] >> port & 1 == 1
        });
        (valid, ready)
    }

    /// Whether a stream's word was offered and whether it was taken or would have been at the last edge of
    /// [`Engine::tick`], and what its wires carried.
    pub(super) fn seen(&self, stream: usize) -> (bool, bool, &[u64]) {
        let Stream { from, to, shape, .. } = self.pipeline.streams[stream];
        let cycle = self.cycle - 1;
        let valid = match from {
            Some((stage, port)) => self.offered[stage] >> port & 1 == 1,
            None => {
                let offered = !self.is_fed() && self.input.rate.is_open(cycle, self.input.last);
                offered || self.input.last == Some(cycle)
            }
        };
        let ready = match to {
            Some((stage, port)) => self.accepted[stage] >> port & 1 == 1,
            None => {
                let last = self.output.last;
                self.output.rate.is_open(cycle, last) || last == Some(cycle)
            }
        };
        let wire = self.wire_at[stream];
        (valid, ready, &self.wires[wire..wire + shape.limbs()])
    }

    /// The words in front of the input, and those that left.
    pub(super) fn words(&self) -> (Vec<u64>, Vec<u64>) {
        (self.input.words.clone(), self.output.words.clone())
    }

    /// Mantissas that left so far, in their order.
    #[must_use]
    pub fn outputs(&self) -> Vec<i64> {
        let shape = self.pipeline.streams[self.pipeline.output].shape;
        self.output
            .words
            .chunks_exact(shape.limbs().max(1))
            .flat_map(|word| {
                let pipeline = &self.pipeline;
                pipeline.elements(pipeline.output, pipeline.output_code, word)
            })
            .collect()
    }

    /// Whether all input words have entered.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.input.passed >= self.input.awaited
    }

    pub(super) fn stream_is_offered(&self, stream: usize) -> bool {
        match self.pipeline.streams[stream].from {
            Some((stage, port)) => self.offered[stage] >> port & 1 == 1,
            None => !self.is_fed() && self.input.rate.is_open(self.cycle, self.input.last),
        }
    }

    /// The word at the accelerator's input: zeros where none is offered.
    pub(super) fn input_word(&self) -> &[u64] {
        let input = self.pipeline.input;
        let limbs = self.pipeline.streams[input].shape.limbs();
        if self.stream_is_offered(input) {
            self.input.word(limbs)
        } else {
            &self.no_word[..limbs]
        }
    }

    fn stream_is_ready(&self, stream: usize) -> bool {
        match self.pipeline.streams[stream].to {
            Some((stage, port)) => self.accepted[stage] >> port & 1 == 1,
            None => self.output.rate.is_open(self.cycle, self.output.last),
        }
    }

    /// Whether an end opens and closes at random.
    pub(super) fn rates_are_random(&self) -> bool {
        [self.input.rate, self.output.rate]
            .iter()
            .any(|rate| matches!(rate, Rate::Random { .. }))
    }

    /// Keeps the word on the output, which leaves at this edge.
    pub(super) fn keep_output_word(&mut self) {
        let word = match self.pipeline.streams[self.pipeline.output].from {
            Some((stage, port)) => {
                let placed = &self.pipeline.stages[stage];
                placed.stage.word(&self.state[placed.state.clone()], port)
            }
            None => self
                .input
                .word(self.pipeline.streams[self.pipeline.input].shape.limbs()),
        };
        self.output.words.extend_from_slice(word);
    }

    /// Settles the signals of this cycle: offers follow from the state, acceptances from the output
    /// backwards.
    fn settle(&mut self) {
        for (at, placed) in self.pipeline.stages.iter().enumerate() {
            self.offered[at] = placed.stage.offers(&self.state[placed.state.clone()]);
        }
        for (at, placed) in self.pipeline.stages.iter().enumerate().rev() {
            let mask = |streams: &[usize], holds: &dyn Fn(usize) -> bool| {
                streams
                    .iter()
                    .enumerate()
                    .filter(|&(_, &stream)| holds(stream))
                    .fold(0, |mask, (port, _)| mask | 1 << port)
            };
            let signals = Signals {
                valid: mask(&placed.inputs, &|stream| self.stream_is_offered(stream)),
                ready: mask(&placed.outputs, &|stream| self.stream_is_ready(stream)),
            };
            self.signals[at] = signals;
            self.accepted[at] = placed.stage.accepts(&self.state[placed.state.clone()], signals);
        }
    }

    /// Counts what a stage did at an edge, and what a FIFO holds behind it.
    pub(super) fn note(&mut self, stage: usize, taken: u32, given: u32) {
        let signals = self.signals[stage];
        let activity = &mut self.activity[stage];
        activity.transfers += u64::from(taken | given != 0);
        activity.blocked += u64::from(self.offered[stage] & !signals.ready != 0);
        activity.starved += u64::from(self.accepted[stage] & !signals.valid != 0);
        let placed = &self.pipeline.stages[stage];
        if placed.fifo_depth.is_some() {
            let held = &mut self.occupancy[placed.inputs[0]];
            *held = (*held + u64::from(taken)).saturating_sub(u64::from(given));
            self.deepest[stage] = self.deepest[stage].max(*held);
        }
    }

    /// Samples in front of the accelerator.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.input.awaited / self.pipeline.streams[self.pipeline.input].words.max(1)
    }

    /// One clock edge, every stage in turn. Whether a word moved.
    pub fn tick(&mut self) -> bool {
        self.tick_seen(|_, _, _| {})
    }

    /// [`Engine::tick`]; `see` sees every stage's state in front of the edge, and the edge.
    pub(super) fn tick_seen(&mut self, mut see: impl FnMut(usize, &[u64], &Edge<'_>)) -> bool {
        self.settle();
        let mut moved = false;
        let mut wires = std::mem::take(&mut self.wires);
        for (stream, wire) in self.pipeline.streams.iter().zip(&self.wire_at) {
            let limbs = stream.shape.limbs();
            let word = match stream.from {
                Some((stage, port)) => {
                    let placed = &self.pipeline.stages[stage];
                    placed.stage.word(&self.state[placed.state.clone()], port)
                }
                None => self.input_word(),
            };
            wires[*wire..*wire + limbs].copy_from_slice(word);
        }
        self.wires = wires;
        let (input, output) = (self.pipeline.input, self.pipeline.output);
        let enters = self.stream_is_offered(input) && self.stream_is_ready(input);
        let leaves = self.stream_is_offered(output) && self.stream_is_ready(output);
        let struck = std::mem::take(&mut self.transients);
        let mut transients = Vec::new();
        for at in 0..self.pipeline.stages.len() {
            let placed = &self.pipeline.stages[at];
            transients.clear();
            transients.extend(
                struck
                    .iter()
                    .filter(|(stage, _)| *stage == at)
                    .map(|(_, transient)| *transient),
            );
            let signals = self.signals[at];
            let taken = signals.valid & self.accepted[at];
            let given = signals.ready & self.offered[at];
            let mut words: [&[u64]; MAX_PORTS] = [&[]; MAX_PORTS];
            for (slot, &stream) in words.iter_mut().zip(&placed.inputs) {
                let wire = self.wire_at[stream];
                *slot = &self.wires[wire..wire + self.pipeline.streams[stream].shape.limbs()];
            }
            for (port, &stream) in placed.inputs.iter().enumerate() {
                if let (1, Some(kept)) = (taken >> port & 1, self.traced[stream].as_mut()) {
                    kept.extend_from_slice(words[port]);
                }
            }
            let edge = Edge {
                signals,
                taken,
                given,
                words: &words[..placed.inputs.len()],
                memories: &self.memories,
                transients: &transients,
            };
            let own = placed.state.clone();
            see(at, &self.state[own.clone()], &edge);
            let stored = placed.stage.stores(&self.state[own.clone()], signals);
            placed.stage.edge(&mut self.state[own], &edge);
            if let Some((step, word)) = stored {
                placed.stage.store(&mut self.memories, step, &word);
            }
            moved |= taken | given != 0;
            self.note(at, taken, given);
        }
        if enters {
            self.input.pass(self.cycle);
        }
        if leaves {
            let wire = self.wire_at[output];
            let limbs = self.pipeline.streams[output].shape.limbs();
            self.output
                .words
                .extend_from_slice(&self.wires[wire..wire + limbs]);
            self.output.pass(self.cycle);
        }
        self.cycle += 1;
        moved
    }

    /// Whether nothing will ever move again: every stage rests, and the ends have nothing to offer or
    /// are open in vain.
    #[must_use]
    pub fn is_stuck(&mut self) -> bool {
        if self.rates_are_random() {
            return false;
        }
        self.settle();
        let (input, output) = (self.pipeline.input, self.pipeline.output);
        let waits = |end: &EndOfStream| {
            end.last
                .is_some_and(|last| matches!(end.rate, Rate::Every(n) if self.cycle < last.saturating_add(n)))
        };
        if waits(&self.input) && !self.is_fed() || waits(&self.output) {
            return false;
        }
        if self.stream_is_offered(input) && self.stream_is_ready(input) {
            return false;
        }
        if self.stream_is_offered(output) && self.stream_is_ready(output) {
            return false;
        }
        let word = |stream: &usize| match self.pipeline.streams[*stream].from {
            Some((stage, port)) => {
                let placed = &self.pipeline.stages[stage];
                placed.stage.word(&self.state[placed.state.clone()], port)
            }
            None => self.input_word(),
        };
        self.pipeline
            .stages
            .iter()
            .zip(&self.signals)
            .all(|(placed, &signals)| {
                let words: Vec<&[u64]> = placed.inputs.iter().map(word).collect();
                let edge = Edge {
                    signals,
                    taken: 0,
                    given: 0,
                    words: &words,
                    memories: &self.memories,
                    transients: &[],
                };
                placed.stage.rest_at(&self.state[placed.state.clone()], &edge) == u64::MAX
            })
    }
}

/// Most inputs of one stage.
pub const MAX_PORTS: usize = u32::BITS as usize;
