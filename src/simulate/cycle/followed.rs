//! What is kept of the stages that differ from a recorded run.

use super::pipeline::Pipeline;
use super::stage::Signals;

/// Places in the tracks of all streams that were looked at last.
pub(super) type Hints = Vec<usize>;

/// A stage that differs from the recorded run, or may.
#[derive(Default)]
pub(super) struct Followed {
    /// Its state.
    pub(super) state: Vec<u64>,
    /// Its state without the strikes, and the edge in front of which that is it.
    pub(super) twin: Vec<u64>,
    pub(super) twin_at: Option<u64>,
    /// Its state without strikes where one of an earlier set struck it, and the edge in front of which that is it.
    pub(super) base: Vec<u64>,
    pub(super) base_at: Option<u64>,
    /// The edge from which on it is followed, and that at which it is looked at next.
    pub(super) since: u64,
    pub(super) next_look: u64,
    pub(super) offered: u32,
    pub(super) accepted: u32,
    pub(super) signals: Signals,
    /// Where only words of its memories differ that nothing reads for some time.
    pub(super) sleep: Option<Sleep>,
}

/// Words of memories that differ while everything else of a stage is as in the recorded run.
pub(super) struct Sleep {
    /// The edge in front of which the stage fell asleep.
    pub(super) since: u64,
    /// The edge that reads one of the words; none where each is overwritten before, or never read.
    pub(super) wake: Option<u64>,
    /// Limbs with the bits that differ, and the first limb of their word.
    pub(super) differs: Vec<(usize, u64, usize)>,
}

/// Room for what differs.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) stages: Vec<Followed>,
    pub(super) hints: Hints,
    pub(super) wires: Vec<u64>,
    pub(super) words: Vec<usize>,
}

impl Scratch {
    pub(super) fn of(pipeline: &Pipeline) -> Self {
        Self {
            stages: pipeline.stages.iter().map(|_| Followed::default()).collect(),
            hints: vec![0; pipeline.streams.len()],
            wires: Vec::new(),
            words: Vec::new(),
        }
    }
}
