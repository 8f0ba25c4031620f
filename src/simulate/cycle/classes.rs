//! Flips of one register bit that come to the same: one of them stands for all.

use std::ops::Range;

use super::followed::Hints;
use super::recording::Recording;
use super::register::RegisterBit;
use super::stage::{Access, Edge};

/// Flips of one register bit behind each of the edges `first..=last` of a recorded run that come to the same.
///
/// A bit of a memory lies still between two accesses to its word ([`super::Stage::accesses`]): its flips there are one class,
/// harmless where the word is overwritten next or never read. Any other bit is followed from edge to edge: while the
/// edge with the flip does what the edge without it does, and leaves just that bit wrong, both flips are one. They are
/// harmless once the edge leaves no bit wrong, or only what is dead ([`super::Live`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlipClass {
    /// The bit.
    pub bit: RegisterBit,
    /// The first edge behind which it is flipped.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Whether the rule alone says that no output differs.
    pub is_harmless: bool,
}

impl FlipClass {
    /// Its flips: edges of the interval.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// What an edge makes of a flip in front of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The same flip, behind it.
    Holds,
    /// Nothing that an output depends on.
    Harmless,
    /// Something else.
    Open,
}

/// The classes of one bit so far.
#[derive(Clone, Copy, Default)]
struct Begun {
    harmless: Option<u64>,
    holds: Option<u64>,
}

impl Begun {
    /// The flip behind edge `cycle`.
    fn see(&mut self, cycle: u64, verdict: Verdict, mut class: impl FnMut(u64, u64, bool)) {
        let from = self.holds.unwrap_or(cycle);
        match verdict {
            Verdict::Holds => self.holds = Some(from),
            Verdict::Harmless => {
                self.harmless.get_or_insert(from);
                self.holds = None;
            }
            Verdict::Open => {
                if let Some(first) = self.harmless {
                    class(first, from - 1, true);
                }
                class(from, cycle, false);
                *self = Self::default();
            }
        }
    }

    /// There is no flip from `end` on.
    fn end(self, end: u64, mut class: impl FnMut(u64, u64, bool)) {
        let from = self.holds.unwrap_or(end);
        if let Some(first) = self.harmless {
            class(first, from - 1, true);
        }
        if from < end {
            class(from, end - 1, false);
        }
    }
}

/// A stage without strikes, walked from edge to edge.
struct Walk {
    stage: usize,
    state: Vec<u64>,
    next: Vec<u64>,
}

impl Walk {
    fn new(recording: &Recording, stage: usize, cycle: u64, hints: &mut Hints) -> Self {
        let mut state = vec![0; recording.pipeline.stages[stage].state.len()];
        recording.state(stage, cycle, &mut state, None, hints);
        Self {
            stage,
            next: state.clone(),
            state,
        }
    }

    /// Computes the state behind the edge.
    fn look(&mut self, recording: &Recording, cycle: u64, hints: &mut Hints) {
        self.next.copy_from_slice(&self.state);
        recording.at_edge(self.stage, cycle, hints, |stage, edge| {
            stage.edge(&mut self.next, edge);
        });
    }

    fn step(&mut self) {
        self.state.copy_from_slice(&self.next);
    }
}

/// One stage's flips, and those that see its words.
struct Follower<'r> {
    recording: &'r Recording,
    own: Walk,
    /// By output port: the consumer and its port; none for the end of the accelerator.
    consumers: Vec<Option<(usize, Walk)>>,
    hints: Hints,
    struck: Vec<u64>,
    seen: Vec<u64>,
    words: Vec<usize>,
}

impl<'r> Follower<'r> {
    fn new(recording: &'r Recording, stage: usize, cycle: u64) -> Self {
        let pipeline = &recording.pipeline;
        let mut hints = vec![0; pipeline.streams.len()];
        let outputs = pipeline.stages[stage].outputs.iter();
        let consumers = outputs
            .map(|&stream| {
                let (consumer, port) = pipeline.streams[stream].to?;
                Some((port, Walk::new(recording, consumer, cycle, &mut hints)))
            })
            .collect();
        Self {
            own: Walk::new(recording, stage, cycle, &mut hints),
            consumers,
            hints,
            recording,
            struck: Vec::new(),
            seen: Vec::new(),
            words: Vec::new(),
        }
    }

    fn look(&mut self, cycle: u64) {
        let (recording, hints) = (self.recording, &mut self.hints);
        self.own.look(recording, cycle, hints);
        for (_, consumer) in self.consumers.iter_mut().flatten() {
            consumer.look(recording, cycle, hints);
        }
    }

    fn step(&mut self) {
        self.own.step();
        for (_, consumer) in self.consumers.iter_mut().flatten() {
            consumer.step();
        }
    }

    /// Edges from this one on at which the stage, and who sees its words, stays as it is.
    fn still(&mut self, cycle: u64) -> u64 {
        let walks = self.consumers.iter().flatten().map(|(_, walk)| walk);
        let moves = |walk: &Walk| walk.state != walk.next;
        if walks.chain([&self.own]).any(moves) {
            return 1;
        }
        let pipeline = &self.recording.pipeline;
        let stages = self.consumers.iter().flatten().map(|(_, walk)| walk.stage);
        let mut until = u64::MAX;
        for stage in stages.chain([self.own.stage]) {
            let placed = &pipeline.stages[stage];
            for &stream in placed.inputs.iter().chain(&placed.outputs) {
                let change = self.recording.next_change(stream, cycle, &mut self.hints);
                until = until.min(change.unwrap_or(u64::MAX));
            }
        }
        until.saturating_sub(cycle).max(1)
    }

    /// What an edge makes of a flip of a bit of the stage in front of it.
    fn verdict(&mut self, bit: RegisterBit, cycle: u64) -> Verdict {
        let recording = self.recording;
        let at = bit.lane * bit.lane_bits as usize + bit.bit as usize;
        let (limb, mask) = (bit.word + at / 64, 1u64 << (at % 64));
        let rules = &recording.rules[self.own.stage];
        if rules.is_dead_limb(limb, mask, &self.own.state) {
            return Verdict::Harmless;
        }
        let struck = &mut self.struck;
        struck.clone_from(&self.own.state);
        struck[limb] ^= mask;
        let consumers = &self.consumers;
        let before = &self.own.state;
        let seen = recording.at_edge(self.own.stage, cycle, &mut self.hints, |stage, edge| {
            if stage.offers(struck) != stage.offers(before)
                || stage.accepts(struck, edge.signals) != stage.accepts(before, edge.signals)
                || stage.stores(struck, edge.signals).is_some()
            {
                return None;
            }
            let mut seen = 0u32;
            for (port, consumer) in consumers.iter().enumerate() {
                if stage.word(struck, port) != stage.word(before, port) {
                    // What leaves the accelerator is wrong.
                    if consumer.is_none() && edge.given >> port & 1 == 1 {
                        return None;
                    }
                    seen |= 1 << port;
                }
            }
            Some(seen)
        });
        let Some(seen) = seen else {
            return Verdict::Open;
        };
        for port in (0..self.consumers.len()).filter(|port| seen >> port & 1 == 1) {
            if !self.is_unseen(port, cycle) {
                return Verdict::Open;
            }
        }
        let struck = &mut self.struck;
        recording.at_edge(self.own.stage, cycle, &mut self.hints, |stage, edge| {
            stage.edge(struck, edge);
        });
        if struck[limb] ^ self.own.next[limb] == mask {
            struck[limb] ^= mask;
            return match *struck == self.own.next {
                true => Verdict::Holds,
                false => Verdict::Open,
            };
        }
        match rules.lies_still(struck, &self.own.next, &mut self.words) && self.words.is_empty() {
            true => Verdict::Harmless,
            false => Verdict::Open,
        }
    }

    /// Whether the consumer at a port does the same with the struck word.
    fn is_unseen(&mut self, port: usize, cycle: u64) -> bool {
        let Some((of_consumer, consumer)) = &self.consumers[port] else {
            return true;
        };
        let own = &*self.recording.pipeline.stages[self.own.stage].stage;
        let word = own.word(&self.struck, port);
        let seen = &mut self.seen;
        seen.clone_from(&consumer.state);
        self.recording
            .at_edge(consumer.stage, cycle, &mut self.hints, |stage, edge| {
                let mut words = edge.words.to_vec();
                words[*of_consumer] = word;
                stage.edge(
                    seen,
                    &Edge {
                        words: &words,
                        ..*edge
                    },
                );
            });
        *seen == consumer.next
    }
}

impl Recording {
    /// The edges that the run takes; behind them nothing changes.
    #[must_use]
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// The classes of the flips of these bits of one stage, named by their places among them, behind the edges of an
    /// interval. Those of one bit come in order, and every edge is in one of them.
    pub fn classes(
        &self,
        stage: usize,
        bits: &[RegisterBit],
        cycles: Range<u64>,
        mut see: impl FnMut(usize, FlipClass),
    ) {
        let start = self.pipeline.stages[stage].state.start;
        let mut followed = Vec::new();
        for (at, &bit) in bits.iter().enumerate() {
            let word = bit.word - start;
            let class = |first, last, is_harmless| {
                see(
                    at,
                    FlipClass {
                        bit,
                        first,
                        last,
                        is_harmless,
                    },
                );
            };
            match self.rules[stage].word(word) {
                Some(limb) => self.classes_of_memory(stage, limb, cycles.clone(), class),
                None => followed.push((at, RegisterBit { word, ..bit }, Begun::default())),
            }
        }
        if followed.is_empty() || cycles.is_empty() {
            return;
        }
        let mut follower = Follower::new(self, stage, cycles.start + 1);
        let mut cycle = cycles.start;
        while cycle < cycles.end {
            let edge = cycle + 1;
            follower.look(edge);
            let edges = follower.still(edge).min(cycles.end - cycle);
            for (at, own, begun) in &mut followed {
                let verdict = follower.verdict(*own, edge);
                let mut class = |first, last, is_harmless| {
                    let bit = bits[*at];
                    see(
                        *at,
                        FlipClass {
                            bit,
                            first,
                            last,
                            is_harmless,
                        },
                    );
                };
                begun.see(cycle, verdict, &mut class);
                if verdict == Verdict::Open {
                    for cycle in cycle + 1..cycle + edges {
                        begun.see(cycle, verdict, &mut class);
                    }
                }
            }
            follower.step();
            cycle += edges;
        }
        for (at, _, begun) in followed {
            begun.end(cycles.end, |first, last, is_harmless| {
                let bit = bits[at];
                see(
                    at,
                    FlipClass {
                        bit,
                        first,
                        last,
                        is_harmless,
                    },
                );
            });
        }
    }

    /// The classes of a bit of a word of a memory.
    fn classes_of_memory(
        &self,
        stage: usize,
        limb: usize,
        cycles: Range<u64>,
        mut class: impl FnMut(u64, u64, bool),
    ) {
        let mut begun = Begun::default();
        let mut cycle = cycles.start;
        while cycle < cycles.end {
            let access = self.next_access(stage, limb, cycle + 1);
            let last = access.map_or(cycles.end, |(edge, _)| edge.min(cycles.end)) - 1;
            let verdict = match access {
                Some((_, Access::Reads)) => Verdict::Open,
                Some((_, Access::Writes)) | None => Verdict::Harmless,
            };
            if last > cycle {
                begun.see(cycle, Verdict::Holds, &mut class);
            }
            begun.see(last, verdict, &mut class);
            cycle = last + 1;
        }
        begun.end(cycles.end, class);
    }
}
