//! The registers through which FINN's matrix-vector units hand their results on.

use super::super::super::register::{RegisterClass, set_lane};
use super::super::layout::{Control, Layout, Words};

/// An output register and a side-step register, which takes a result while the output is blocked. The core stands
/// still while it holds one.
pub(super) struct Handover {
    pe: usize,
    bits: u32,
    side: Words,
    output: Words,
    free: Control,
    output_valid: Control,
}

impl Handover {
    /// For `pe` results of `bits` bits.
    pub(super) fn new(layout: &mut Layout, pe: usize, bits: u32) -> Self {
        let class = RegisterClass::Pipeline;
        Self {
            pe,
            bits,
            side: layout.words(class, "side", 1, pe, bits),
            output: layout.words(class, "output", 1, pe, bits),
            free: layout.control("free", 1),
            output_valid: layout.control("output_valid", 1),
        }
    }

    pub(super) fn reset(&self, state: &mut [u64]) {
        self.free.set(state, 1);
    }

    /// Whether the side-step register is empty, and the core moves.
    pub(super) fn is_free(&self, state: &[u64]) -> bool {
        self.free.is_set(state)
    }

    pub(super) fn offers(&self, state: &[u64]) -> bool {
        self.output_valid.is_set(state)
    }

    pub(super) fn word<'s>(&self, state: &'s [u64]) -> &'s [u64] {
        self.output.word(state, 0)
    }

    /// The edge; `due` says that a result stands behind the core, `result` is what stands there of a row. Both
    /// registers load whether one is due or not.
    pub(super) fn edge(
        &self,
        state: &mut [u64],
        due: bool,
        ready: bool,
        result: impl Fn(&[u64], usize) -> u64,
    ) {
        let free = self.is_free(state);
        let loads = !self.offers(state) || ready;
        if loads && !free {
            self.side.copy(state, 0, self.output, 0);
        }
        if free {
            for row in 0..self.pe {
                let result = result(state, row);
                set_lane(self.side.word_mut(state, 0), row, self.bits, result);
                if loads {
                    set_lane(self.output.word_mut(state, 0), row, self.bits, result);
                }
            }
        }
        if loads {
            self.output_valid.set(state, (due || !free).into());
        }
        self.free.set(state, (free && !due || loads).into());
    }
}
