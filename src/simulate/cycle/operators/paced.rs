//! A stage whose function starts its iterations, and its samples, apart from each other.

use crate::simulate::cycle::memory::Memories;
use crate::simulate::cycle::register::{Register, bits_for, step_counter};
use crate::simulate::cycle::stage::{Access, Buffer, Edge, Signals, Stage, WireShape};

/// Edges between the words that a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Words of one sample.
    pub words: u64,
    /// Edges from one word of a sample to the next at least.
    pub every: u64,
    /// Edges from the last word of a sample to the first one of the next at least.
    pub after_last: u64,
}

/// A stage with one input that takes its words no faster than its function.
pub struct Paced {
    inner: Box<dyn Stage>,
    pace: Pace,
    /// Where the registers of the pace start.
    at: usize,
}

impl Paced {
    /// The stage at a pace; the stage itself where that is a word per edge.
    #[must_use]
    pub fn stage(inner: Box<dyn Stage>, pace: Pace) -> Box<dyn Stage> {
        if pace.every <= 1 && pace.after_last <= 1 {
            return inner;
        }
        let at = inner.state_limbs();
        Box::new(Self { inner, pace, at })
    }

    fn word_bits(&self) -> u32 {
        bits_for(self.pace.words.saturating_sub(1))
    }

    fn wait(&self, state: &[u64]) -> u64 {
        state[self.at]
    }
}

impl Stage for Paced {
    fn registers(&self) -> Vec<Register> {
        let longest = self.pace.every.max(self.pace.after_last);
        let mut registers = self.inner.registers();
        registers.push(Register::control("wait", bits_for(longest - 1)));
        if self.pace.words > 1 {
            registers.push(Register::control("word", self.word_bits()));
        }
        registers
    }

    fn control(&self) -> Box<dyn Stage> {
        Self::stage(self.inner.control(), self.pace)
    }

    fn is_exact(&self) -> bool {
        self.inner.is_exact()
    }

    fn reset(&self, state: &mut [u64]) {
        self.inner.reset(&mut state[..self.at]);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.inner.offers(&state[..self.at])
    }

    fn word<'s>(&self, state: &'s [u64], output: usize) -> &'s [u64] {
        self.inner.word(&state[..self.at], output)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        if self.wait(state) == 0 {
            self.inner.accepts(&state[..self.at], signals)
        } else {
            0
        }
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        self.inner.edge(&mut state[..self.at], edge);
        let wait = self.wait(state);
        if edge.taken & 1 == 0 {
            state[self.at] = wait.saturating_sub(1);
            return;
        }
        let last = self.pace.words.saturating_sub(1);
        let word = if self.pace.words > 1 {
            state[self.at + 1]
        } else {
            0
        };
        let apart = if word == last {
            self.pace.after_last
        } else {
            self.pace.every
        };
        state[self.at] = apart.saturating_sub(1);
        if self.pace.words > 1 {
            state[self.at + 1] = step_counter(word, last, self.word_bits());
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.inner.buffers()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        self.inner.accesses(&state[..self.at], edge, access);
    }

    fn stores(&self, state: &[u64], signals: Signals) -> Option<(u64, Vec<u64>)> {
        self.inner.stores(&state[..self.at], signals)
    }

    fn store(&self, memories: &mut Memories, step: u64, word: &[u64]) {
        self.inner.store(memories, step, word);
    }

    fn wires(&self) -> Vec<WireShape> {
        self.inner.wires()
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let inner = self.inner.rest(&state[..self.at], signals);
        match self.wait(state) {
            0 => inner,
            // While it waits only the count goes down.
            wait => inner.min(wait - 1),
        }
    }

    fn skip(&self, state: &mut [u64], edges: u64, memories: &Memories) {
        self.inner.skip(&mut state[..self.at], edges, memories);
        state[self.at] = self.wait(state).saturating_sub(edges);
    }
}
