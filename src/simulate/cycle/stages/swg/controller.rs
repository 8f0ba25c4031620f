//! The loop nest of both RTL generators.

use super::super::bits::address_bits;
use super::super::layout::{Control, Layout};

/// The loops from the innermost to the outermost. The controller's state is one more than the loop that
/// makes the next step, or 0 where all start again.
pub(super) const SIMD: usize = 0;
pub(super) const KERNEL_ROWS: usize = 2;
pub(super) const COLUMNS: usize = 3;
pub(super) const ROWS: usize = 4;

const START: u64 = 0;

/// Iterations of the five loops from the innermost to the outermost, and what each step adds to the
/// address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loops {
    pub(super) iterations: [usize; 5],
    pub(super) increments: [i64; 5],
}

/// FINN's `swg_controller`: five loops that count down to -1 and a state that says which of them steps.
///
/// No transition leads to the states beyond the last one. The increment is decoded from the state without a value
/// for these, so that it stays as it was.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    loops: Loops,
    innermost: u64,
    state: Control,
    counters: [Control; 5],
    /// The last state for which an increment was decoded.
    decoded: Option<Control>,
}

impl Controller {
    /// The innermost loop is the first one from `from` on that makes more than one step.
    pub(super) fn new(layout: &mut Layout, mut loops: Loops, from: usize) -> Self {
        let innermost = (from..ROWS).find(|&at| loops.iterations[at] > 1).unwrap_or(ROWS);
        loops.iterations[innermost] -= 1;
        let names = ["loop_simd", "loop_kw", "loop_kh", "loop_w", "loop_h"];
        let state = layout.control("loop_state", 3);
        let counters = [0, 1, 2, 3, 4]
            .map(|at| layout.control(names[at], address_bits(loops.iterations[at] as u64) + 1));
        Self {
            loops,
            innermost: innermost as u64 + 1,
            state,
            counters,
            decoded: None,
        }
    }

    /// With a place for the decoded state, behind all registers.
    pub(super) fn remembering(&self, layout: &mut Layout) -> Self {
        Self {
            decoded: Some(layout.remembered()),
            ..self.clone()
        }
    }

    /// The state whose increment the decoder shows.
    fn shown(&self, state: &[u64]) -> u64 {
        let now = self.state.get(state);
        match self.decoded {
            Some(decoded) if now as usize > self.loops.increments.len() => decoded.get(state),
            _ => now,
        }
    }

    fn enter(&self, state: &mut [u64], next: u64) {
        self.state.set(state, next);
        if let Some(decoded) = self.decoded {
            decoded.set(state, next);
        }
    }

    fn start(&self, counter: usize) -> u64 {
        (self.loops.iterations[counter] as u64).wrapping_sub(2)
    }

    pub(super) fn reset(&self, state: &mut [u64]) {
        self.enter(state, self.innermost);
        for (at, counter) in self.counters.iter().enumerate() {
            counter.set(state, self.start(at));
        }
    }

    /// What the address moves by at the next step.
    pub(super) fn increment(&self, state: &[u64]) -> i64 {
        match self.shown(state) {
            START => 0,
            at => self.loops.increments.get(at as usize - 1).copied().unwrap_or(0),
        }
    }

    /// Whether this loop has steps to go.
    pub(super) fn goes_on(&self, state: &[u64], counter: usize) -> bool {
        self.counters[counter].signed(state) >= 0
    }

    pub(super) fn step(&self, state: &mut [u64]) {
        if self.state.get(state) != self.innermost {
            self.enter(state, self.innermost);
            return;
        }
        // The loops inside the innermost one that steps stand at -1 and stay there.
        let running = (0..5).find(|&at| self.counters[at].signed(state) >= 0);
        for at in 0..running.unwrap_or(5) {
            self.counters[at].set(state, self.start(at));
        }
        if let Some(at) = running {
            let counter = self.counters[at];
            counter.set(state, counter.get(state).wrapping_sub(1));
        }
        let next = match running {
            Some(0) => self.innermost,
            Some(at) => at as u64 + 1,
            None => START,
        };
        self.enter(state, next);
    }
}
