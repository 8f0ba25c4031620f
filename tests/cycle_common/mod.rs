//! A stage on its own with offers, readiness and clock edges, and plain arithmetic for it.

pub mod integers;

use radstream::simulate::cycle::memory::Memories;
use radstream::simulate::cycle::register::{limbs, set_lane};
use radstream::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// The hash that the test benches draw their data and gates from.
pub fn mix(x: u32) -> u32 {
    let x = x ^ (x >> 16);
    let x = x.wrapping_mul(0x7feb_352d);
    let x = x ^ (x >> 15);
    let x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A stage with its state.
pub struct Unit {
    stage: Box<dyn Stage>,
    state: Vec<u64>,
}

/// What happened at an edge.
pub struct Tick {
    /// Inputs whose word was taken.
    pub taken: u32,
    /// The word that was given on output 0.
    pub given: Option<Vec<u64>>,
}

impl Unit {
    pub fn new(stage: impl Stage + 'static) -> Self {
        let mut state = vec![0; stage.registers().iter().map(|register| register.limbs()).sum()];
        stage.reset(&mut state);
        Self {
            stage: Box::new(stage),
            state,
        }
    }

    pub fn offers(&self) -> bool {
        self.stage.offers(&self.state) & 1 == 1
    }

    pub fn state(&self) -> &[u64] {
        &self.state
    }

    pub fn word(&self) -> Vec<u64> {
        self.stage.word(&self.state, 0).to_vec()
    }

    /// Inputs that would be taken if these are offered.
    pub fn accepts(&self, inputs: &[Option<Vec<u64>>], ready: bool) -> u32 {
        self.stage.accepts(&self.state, signals(inputs, ready))
    }

    /// One clock edge with these offers, and whether the consumer is ready.
    pub fn edge(&mut self, inputs: &[Option<Vec<u64>>], ready: bool, memories: &Memories) -> Tick {
        let signals = signals(inputs, ready);
        let taken = self.stage.accepts(&self.state, signals) & signals.valid;
        let given = self.stage.offers(&self.state) & signals.ready;
        let word = (given & 1 == 1).then(|| self.word());
        let words: Vec<&[u64]> = inputs.iter().map(|word| word.as_deref().unwrap_or(&[])).collect();
        self.stage.edge(
            &mut self.state,
            &Edge {
                signals,
                taken,
                given,
                words: &words,
                memories,
            },
        );
        Tick { taken, given: word }
    }
}

fn signals(inputs: &[Option<Vec<u64>>], ready: bool) -> Signals {
    let valid =
        (inputs.iter().enumerate()).fold(0, |mask, (at, word)| mask | u32::from(word.is_some()) << at);
    Signals {
        valid,
        ready: ready.into(),
    }
}

/// A packed word from its lanes.
pub fn pack(shape: StreamShape, lane: impl Fn(usize) -> u64) -> Vec<u64> {
    let mut word = vec![0; limbs(shape.lanes, shape.lane_bits)];
    for at in 0..shape.lanes {
        set_lane(&mut word, at, shape.lane_bits, lane(at));
    }
    word
}

/// No parameters.
pub fn no_memories() -> Memories {
    Memories::of_values(Vec::new())
}
