//! A run without faults, written down: what every stream carries at every edge, and what every stage holds every so
//! many edges.

use std::sync::{Arc, Mutex};

use super::accesses::{Accesses, Listed, MOST_EDGES};
use super::engine::{Engine, MAX_PORTS};
use super::followed::{Hints, Scratch};
use super::memory::Memories;
use super::pipeline::Pipeline;
use super::rules::Rules;
use super::stage::{Access, Edge, Signals, Stage};
use super::track::Track;

/// Most limbs of the states that are kept of one stage, and of those of all stages together.
const LIMBS_PER_STAGE: usize = 1 << 17;
const LIMBS: usize = 1 << 23;

/// What a stage holds every so many edges, a power of two.
struct States {
    interval: u64,
    limbs: usize,
    /// Limbs that may be kept.
    most: usize,
    kept: Vec<u64>,
}

impl States {
    /// The state in front of the next edge. Every other one is forgotten where they become too many.
    fn see(&mut self, cycle: u64, state: &[u64]) {
        if !cycle.is_multiple_of(self.interval) {
            return;
        }
        if self.kept.len() + self.limbs > self.most && self.kept.len() > self.limbs {
            let states = self.kept.len() / self.limbs;
            for at in (2..states).step_by(2) {
                let from = at * self.limbs;
                self.kept.copy_within(from..from + self.limbs, from / 2);
            }
            self.kept.truncate(states.div_ceil(2) * self.limbs);
            self.interval *= 2;
            if !cycle.is_multiple_of(self.interval) {
                return;
            }
        }
        self.kept.extend_from_slice(state);
    }

    /// The last kept state in front of an edge or behind it at the latest, and that edge.
    fn nearest(&self, cycle: u64) -> (u64, &[u64]) {
        let last = (self.kept.len() / self.limbs.max(1)).saturating_sub(1) as u64;
        let nearest = (cycle / self.interval).min(last);
        let from = nearest as usize * self.limbs;
        (nearest * self.interval, &self.kept[from..from + self.limbs])
    }
}

/// The fault-free run of some samples from reset until nothing moves any more.
///
/// A stage whose registers hold what they hold there does what it does there as long as the streams around it carry
/// the same. So a strike concerns the struck stage alone, until what it offers or accepts differs
/// ([`Recording::strike`]).
pub struct Recording {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) memories: Memories,
    /// Edges that are recorded; after them nothing changes.
    pub(super) edges: u64,
    /// Cycles in which words entered and left.
    pub(super) entered: Vec<u64>,
    pub(super) left: Vec<u64>,
    /// The words that entered and left, packed.
    pub(super) input: Vec<u64>,
    pub(super) output: Vec<u64>,
    /// Words that leave for all samples.
    pub(super) expected: u64,
    tracks: Vec<Track>,
    states: Vec<States>,
    accesses: Vec<Accesses>,
    /// What no output depends on, by stage.
    pub(super) rules: Vec<Rules>,
    /// What strikes that have ended leave to those that come.
    pub(super) scratch: Mutex<Vec<Scratch>>,
}

impl Recording {
    /// Records the run of these samples (mantissas, one after the other), tick by tick. None where something still
    /// moves behind cycle `bound`, or behind 2^31 edges, or where a stage writes into a memory of parameters.
    #[must_use]
    pub fn new(pipeline: &Arc<Pipeline>, samples: &[i64], bound: u64) -> Option<Self> {
        let mut engine = Engine::new(pipeline, samples);
        let mut tracks: Vec<Track> = (pipeline.streams.iter())
            .map(|stream| Track::new(stream.shape.limbs()))
            .collect();
        let stages = pipeline.stages.len();
        let most = LIMBS_PER_STAGE.min(LIMBS / stages.max(1));
        let mut states: Vec<States> = (pipeline.stages.iter())
            .map(|placed| States {
                interval: 1,
                limbs: placed.state.len(),
                most,
                kept: Vec::new(),
            })
            .collect();
        let mut listed: Vec<Listed> = (0..stages).map(|_| Listed::default()).collect();
        let mut stored = false;
        let mut quiet = 0u32;
        loop {
            let cycle = engine.cycle();
            let within = cycle <= bound && cycle < MOST_EDGES && !stored;
            let edge = within.then_some(cycle as u32)?;
            for (states, placed) in states.iter_mut().zip(&pipeline.stages) {
                states.see(cycle, &engine.state()[placed.state.clone()]);
            }
            let moved = engine.tick_seen(|at, state, seen| {
                let stage = &pipeline.stages[at].stage;
                stored |= stage.stores(state, seen.signals).is_some();
                stage.accesses(state, seen, &mut |limb, access| {
                    listed[at].see(edge, limb, access)
                });
            });
            quiet = if moved { 0 } else { quiet + 1 };
            for (at, track) in tracks.iter_mut().enumerate() {
                let (valid, ready, word) = engine.seen(at);
                track.see(edge, valid, ready, word);
            }
            if quiet >= 4 && quiet.is_power_of_two() && engine.is_stuck() {
                break;
            }
        }
        tracks.iter_mut().for_each(Track::end);
        let accesses = (listed.into_iter().zip(&pipeline.stages))
            .map(|(listed, placed)| listed.sorted(placed.state.len()))
            .collect();
        let rules = (pipeline.stages.iter())
            .map(|placed| Rules::of(&*placed.stage, &placed.registers))
            .collect();
        let (input, output) = engine.words();
        Some(Self {
            memories: engine.memories().clone(),
            edges: engine.cycle(),
            entered: engine.input_cycles().to_vec(),
            left: engine.output_cycles().to_vec(),
            expected: pipeline.streams[pipeline.output].words * engine.samples(),
            input,
            output,
            pipeline: Arc::clone(pipeline),
            tracks,
            states,
            accesses,
            rules,
            scratch: Mutex::default(),
        })
    }

    fn recorded(&self, cycle: u64) -> usize {
        cycle.min(self.edges - 1) as usize
    }

    /// Whether a stream offers a word at an edge.
    pub(super) fn valid(&self, stream: usize, cycle: u64) -> bool {
        self.tracks[stream].valid[self.recorded(cycle)]
    }

    /// Whether a stream's word is taken at an edge, or would be.
    pub(super) fn ready(&self, stream: usize, cycle: u64) -> bool {
        self.tracks[stream].ready[self.recorded(cycle)]
    }

    /// What a stream's wires carry at an edge.
    pub(super) fn word(&self, stream: usize, cycle: u64, hints: &mut Hints) -> &[u64] {
        self.tracks[stream].word(cycle, &mut hints[stream])
    }

    /// The first edge behind this one at which a stream carries something else.
    pub(super) fn next_change(&self, stream: usize, cycle: u64, hints: &mut Hints) -> Option<u64> {
        self.tracks[stream].next_change(cycle, &mut hints[stream])
    }

    /// The first access to a word of a stage's memories from an edge on; the word is named by its first limb.
    pub(super) fn next_access(&self, stage: usize, limb: usize, cycle: u64) -> Option<(u64, Access)> {
        self.accesses[stage].next(limb, cycle)
    }

    /// What a stage sees at an edge.
    pub(super) fn signals(&self, stage: usize, cycle: u64) -> Signals {
        let placed = &self.pipeline.stages[stage];
        let mask = |streams: &[usize], holds: &dyn Fn(usize) -> bool| {
            let ports = streams.iter().enumerate();
            ports.fold(0, |mask, (port, &stream)| mask | u32::from(holds(stream)) << port)
        };
        Signals {
            valid: mask(&placed.inputs, &|stream| self.valid(stream, cycle)),
            ready: mask(&placed.outputs, &|stream| self.ready(stream, cycle)),
        }
    }

    /// What a stage that is as in the run sees at an edge, handed to `see`.
    pub(super) fn at_edge<T>(
        &self,
        stage: usize,
        cycle: u64,
        hints: &mut Hints,
        see: impl FnOnce(&dyn Stage, &Edge<'_>) -> T,
    ) -> T {
        let placed = &self.pipeline.stages[stage];
        let signals = self.signals(stage, cycle);
        let accepted = (placed.inputs.iter().enumerate()).fold(0, |mask, (port, &stream)| {
            mask | u32::from(self.ready(stream, cycle)) << port
        });
        let offered = (placed.outputs.iter().enumerate()).fold(0, |mask, (port, &stream)| {
            mask | u32::from(self.valid(stream, cycle)) << port
        });
        let mut words: [&[u64]; MAX_PORTS] = [&[]; MAX_PORTS];
        for (slot, &stream) in words.iter_mut().zip(&placed.inputs) {
            *slot = self.word(stream, cycle, hints);
        }
        let edge = Edge {
            signals,
            taken: signals.valid & accepted,
            given: signals.ready & offered,
            words: &words[..placed.inputs.len()],
            memories: &self.memories,
            transients: &[],
        };
        see(&*placed.stage, &edge)
    }

    /// Puts a stage's state in front of an edge into `state`, which may already hold that in front of edge `since`.
    pub(super) fn state(
        &self,
        stage: usize,
        cycle: u64,
        state: &mut [u64],
        since: Option<u64>,
        hints: &mut Hints,
    ) {
        let (nearest, kept) = self.states[stage].nearest(cycle);
        let from = match since.filter(|since| (nearest..=cycle).contains(since)) {
            Some(since) => since,
            None => {
                state.copy_from_slice(kept);
                nearest
            }
        };
        let (mut at, mut idle) = (from, 0u32);
        while at < cycle {
            let rests = self.at_edge(stage, at, hints, |stage, edge| {
                idle = if edge.taken | edge.given == 0 { idle + 1 } else { 0 };
                let rests = idle.is_power_of_two() && stage.rest_at(state, edge) == u64::MAX;
                if !rests {
                    stage.edge(state, edge);
                }
                rests
            });
            if !rests {
                at += 1;
                continue;
            }
            // Until something around it changes.
            let placed = &self.pipeline.stages[stage];
            let streams = placed.inputs.iter().chain(&placed.outputs);
            let changes = streams.filter_map(|&stream| self.next_change(stream, at, hints));
            let next = changes.min().unwrap_or(u64::MAX).min(cycle);
            placed.stage.skip(state, next - at, &self.memories);
            (at, idle) = (next, 0);
        }
    }
}
