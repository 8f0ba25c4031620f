//! A run without faults, written down: what every stream carries at every edge, and what every stage holds every so
//! many edges.

use std::collections::HashMap;
use std::sync::Arc;

use bitvec::vec::BitVec;

use super::engine::{Engine, MAX_PORTS};
use super::memory::Memories;
use super::pipeline::Pipeline;
use super::stage::{Edge, Signals};

/// Limbs of all that is kept of one stage, about.
const LIMBS_PER_STAGE: u64 = 1 << 15;

/// Edges between two kept states of a stage, at least.
const LEAST_INTERVAL: u64 = 16;

/// What a stream carries at every edge.
struct Track {
    limbs: usize,
    valid: BitVec<u64>,
    ready: BitVec<u64>,
    /// The edges before which the word changes, ascending, and which word of the dictionary comes.
    changes: Vec<(u32, u32)>,
    words: Vec<u64>,
    dictionary: HashMap<Vec<u64>, u32>,
}

impl Track {
    fn new(limbs: usize) -> Self {
        Self {
            limbs,
            valid: BitVec::new(),
            ready: BitVec::new(),
            changes: Vec::new(),
            words: Vec::new(),
            dictionary: HashMap::new(),
        }
    }

    fn see(&mut self, cycle: u32, valid: bool, ready: bool, word: &[u64]) {
        self.valid.push(valid);
        self.ready.push(ready);
        if let Some(&(_, last)) = self.changes.last()
            && self.at(last) == word
        {
            return;
        }
        let fresh = self.dictionary.len() as u32;
        let index = match self.dictionary.get(word) {
            Some(&index) => index,
            None => {
                self.words.extend_from_slice(word);
                self.dictionary.insert(word.to_vec(), fresh);
                fresh
            }
        };
        self.changes.push((cycle, index));
    }

    fn at(&self, index: u32) -> &[u64] {
        let from = index as usize * self.limbs;
        &self.words[from..from + self.limbs]
    }

    /// The word at an edge; `hint` is a place in the changes to look at first, and is moved there.
    fn word(&self, cycle: u64, hint: &mut usize) -> &[u64] {
        let cycle = u32::try_from(cycle).unwrap_or(u32::MAX);
        let is_at = |at: usize| {
            let begun = self.changes.get(at).is_some_and(|&(since, _)| since <= cycle);
            begun && self.changes.get(at + 1).is_none_or(|&(since, _)| since > cycle)
        };
        if !is_at(*hint) {
            *hint += 1;
            if !is_at(*hint) {
                *hint = self.changes.partition_point(|&(since, _)| since <= cycle) - 1;
            }
        }
        self.at(self.changes[*hint].1)
    }
}

/// What a stage holds every so many edges.
struct States {
    interval: u64,
    limbs: usize,
    kept: Vec<u64>,
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
}

/// Places in the tracks of all streams that were looked at last.
pub(super) type Hints = Vec<usize>;

impl Recording {
    /// Records the run of these samples (mantissas, one after the other), tick by tick. None where something still
    /// moves behind cycle `bound`, or behind 2^32 edges.
    #[must_use]
    pub fn new(pipeline: &Arc<Pipeline>, samples: &[i64], bound: u64) -> Option<Self> {
        let mut engine = Engine::new(pipeline, samples);
        let mut tracks: Vec<Track> = (pipeline.streams.iter())
            .map(|stream| Track::new(stream.shape.limbs()))
            .collect();
        let mut states: Vec<States> = (pipeline.stages.iter())
            .map(|placed| {
                let limbs = placed.state.len();
                let interval = bound.saturating_mul(limbs as u64) / LIMBS_PER_STAGE;
                States {
                    interval: interval.max(LEAST_INTERVAL),
                    limbs,
                    kept: Vec::new(),
                }
            })
            .collect();
        let mut quiet = 0u32;
        loop {
            let cycle = engine.cycle();
            let edge = u32::try_from(cycle).ok().filter(|_| cycle <= bound)?;
            for (states, placed) in states.iter_mut().zip(&pipeline.stages) {
                if cycle.is_multiple_of(states.interval) {
                    states
                        .kept
                        .extend_from_slice(&engine.state()[placed.state.clone()]);
                }
            }
            quiet = if engine.tick() { 0 } else { quiet + 1 };
            for (at, track) in tracks.iter_mut().enumerate() {
                let (valid, ready, word) = engine.seen(at);
                track.see(edge, valid, ready, word);
            }
            if quiet >= 4 && quiet.is_power_of_two() && engine.is_stuck() {
                break;
            }
        }
        for track in &mut tracks {
            track.dictionary = HashMap::new();
        }
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
        })
    }

    /// Hints that know nothing yet.
    pub(super) fn hints(&self) -> Hints {
        vec![0; self.tracks.len()]
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

    /// One edge of a stage whose state is that of the run; whether it stays within its registers.
    pub(super) fn edge(&self, stage: usize, cycle: u64, state: &mut [u64], hints: &mut Hints) -> bool {
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
        let stays = placed.stage.stores(state, signals).is_none();
        let edge = Edge {
            signals,
            taken: signals.valid & accepted,
            given: signals.ready & offered,
            words: &words[..placed.inputs.len()],
            memories: &self.memories,
            transients: &[],
        };
        placed.stage.edge(state, &edge);
        stays
    }

    /// Puts a stage's state in front of an edge into `state`.
    pub(super) fn state(&self, stage: usize, cycle: u64, state: &mut [u64], hints: &mut Hints) {
        let kept = &self.states[stage];
        let last = (kept.kept.len() / kept.limbs.max(1)).saturating_sub(1) as u64;
        let nearest = (cycle / kept.interval).min(last);
        let from = nearest as usize * kept.limbs;
        state.copy_from_slice(&kept.kept[from..from + kept.limbs]);
        for cycle in nearest * kept.interval..cycle {
            self.edge(stage, cycle, state, hints);
        }
    }
}
