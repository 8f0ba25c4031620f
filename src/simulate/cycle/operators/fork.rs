//! One stream to several consumers.

use crate::simulate::cycle::live::Live;
use crate::simulate::cycle::register::{Register, RegisterClass, mask};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// Keeps one word until every consumer has taken it.
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    shape: StreamShape,
    consumers: u32,
}

impl Fork {
    /// # Panics
    /// Where there are not 1 to 32 consumers.
    #[must_use]
    pub fn new(shape: StreamShape, consumers: u32) -> Self {
        assert!((1..=32).contains(&consumers), "a fork to {consumers} consumers");
        Self { shape, consumers }
    }

    /// Consumers that have not taken the word yet.
    fn pending(&self, state: &[u64]) -> u32 {
        state[self.shape.limbs()] as u32
    }
}

impl Stage for Fork {
    fn registers(&self) -> Vec<Register> {
        vec![
            Register::word(
                RegisterClass::Pipeline,
                "word",
                self.shape.lanes,
                self.shape.lane_bits,
            ),
            Register::control("pending", self.consumers),
        ]
    }

    fn control(&self) -> Box<dyn Stage> {
        let shape = StreamShape::EMPTY;
        Box::new(Self { shape, ..*self })
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "word" => Live::while_set("pending"),
            _ => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.pending(state)
    }

    fn word<'s>(&self, state: &'s [u64], _output: usize) -> &'s [u64] {
        &state[..self.shape.limbs()]
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        u32::from(self.pending(state) & !signals.ready == 0)
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let at = self.shape.limbs();
        state[at] &= !u64::from(edge.given);
        if edge.taken & 1 == 1 {
            state[..at].copy_from_slice(edge.words[0]);
            state[at] = mask(self.consumers);
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let gives = self.pending(state) & signals.ready != 0;
        let takes = signals.valid & self.accepts(state, signals) != 0;
        if gives || takes { 0 } else { u64::MAX }
    }
}
