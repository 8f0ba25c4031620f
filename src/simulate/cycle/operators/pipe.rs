//! A chain of registers that values pass on their way out, held up by one enable.

use crate::simulate::cycle::register::{Register, RegisterClass, limbs, mask};

/// `depth` registers of one word each, with a valid flag each; they all move or all stand.
#[derive(Clone, Copy, Debug)]
pub struct Pipe {
    depth: usize,
    lanes: usize,
    lane_bits: u32,
}

/// Deepest pipe: its valid flags are one control register.
pub const MAX_DEPTH: usize = 64;

impl Pipe {
    /// # Panics
    /// Where the depth is not in `1..=64`.
    #[must_use]
    pub fn new(depth: usize, lanes: usize, lane_bits: u32) -> Self {
        assert!((1..=MAX_DEPTH).contains(&depth), "a pipe of {depth} registers");
        Self {
            depth,
            lanes,
            lane_bits,
        }
    }

    /// As many registers of words of no lanes.
    #[must_use]
    pub fn control(&self) -> Self {
        Self { lanes: 0, ..*self }
    }

    /// The two registers: words, oldest last, and valid flags.
    #[must_use]
    pub fn registers(&self) -> [Register; 2] {
        [
            Register::words(
                RegisterClass::Pipeline,
                "pipe",
                self.depth,
                self.lanes,
                self.lane_bits,
            ),
            Register::control("pipe_valid", self.depth as u32),
        ]
    }

    /// Limbs of one word.
    #[must_use]
    pub fn stride(&self) -> usize {
        limbs(self.lanes, self.lane_bits)
    }

    /// Limbs of both registers.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.depth * self.stride() + 1
    }

    fn flags(&self, state: &[u64]) -> u64 {
        state[self.depth * self.stride()]
    }

    /// Whether the last register holds a word.
    #[must_use]
    pub fn offers(&self, state: &[u64]) -> bool {
        self.flags(state) >> (self.depth - 1) & 1 == 1
    }

    /// Whether no register holds a word.
    #[must_use]
    pub fn is_empty(&self, state: &[u64]) -> bool {
        self.flags(state) == 0
    }

    /// The word in the last register.
    #[must_use]
    pub fn word<'s>(&self, state: &'s [u64]) -> &'s [u64] {
        &state[(self.depth - 1) * self.stride()..][..self.stride()]
    }

    /// Whether the registers move at the next edge.
    #[must_use]
    pub fn moves(&self, state: &[u64], ready: bool) -> bool {
        ready || !self.offers(state)
    }

    /// Moves all registers on by one; the first one is left invalid with its old word.
    pub fn advance(&self, state: &mut [u64]) {
        let stride = self.stride();
        state.copy_within(0..(self.depth - 1) * stride, stride);
        let at = self.depth * stride;
        state[at] = state[at] << 1 & mask(self.depth as u32);
    }

    /// The first register, to be filled after [`Pipe::advance`]; marks it valid.
    pub fn first<'s>(&self, state: &'s mut [u64]) -> &'s mut [u64] {
        let at = self.depth * self.stride();
        state[at] |= 1;
        &mut state[..self.stride()]
    }
}
