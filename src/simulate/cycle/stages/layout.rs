//! Where a stage's registers lie in its state.

use super::super::register::{Register, RegisterClass, mask};
use super::super::stage::{Access, Buffer};

/// The registers of a stage in the order of their limbs.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) registers: Vec<Register>,
    limbs: usize,
}

impl Layout {
    fn add(&mut self, register: Register) -> usize {
        let at = self.limbs;
        self.limbs += register.limbs();
        self.registers.push(register);
        at
    }

    /// A control register; one of no bits is none, and always reads 0.
    pub(super) fn control(&mut self, name: &'static str, bits: u32) -> Control {
        if bits == 0 {
            return Control { at: 0, bits };
        }
        let at = self.add(Register::control(name, bits));
        Control { at, bits }
    }

    /// A number that is no register; behind all registers.
    pub(super) fn remembered(&mut self) -> Control {
        let at = self.limbs;
        self.limbs += 1;
        Control { at, bits: 64 }
    }

    /// Limbs of all.
    pub(super) fn limbs(&self) -> usize {
        self.limbs
    }

    /// Words of lanes; none of them is no register.
    pub(super) fn words(
        &mut self,
        class: RegisterClass,
        name: &'static str,
        words: usize,
        lanes: usize,
        lane_bits: u32,
    ) -> Words {
        let limbs = super::super::register::limbs(lanes, lane_bits);
        if words == 0 {
            return Words { at: 0, limbs, words };
        }
        let at = self.add(Register::words(class, name, words, lanes, lane_bits));
        Words { at, limbs, words }
    }
}

/// A control register of up to 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    at: usize,
    bits: u32,
}

impl Control {
    #[inline]
    pub(super) fn get(&self, state: &[u64]) -> u64 {
        if self.bits == 0 { 0 } else { state[self.at] }
    }

    /// The value with its top bit as the sign.
    #[inline]
    pub(super) fn signed(&self, state: &[u64]) -> i64 {
        sign_extend(self.get(state), self.bits)
    }

    #[inline]
    pub(super) fn is_set(&self, state: &[u64]) -> bool {
        self.get(state) != 0
    }

    /// Writes the value, cut to the register's bits.
    #[inline]
    pub(super) fn set(&self, state: &mut [u64], value: u64) {
        if self.bits > 0 {
            state[self.at] = value & mask(self.bits);
        }
    }

    #[inline]
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }
}

/// The value of so many bits in two's complement.
#[inline]
pub(super) fn sign_extend(value: u64, bits: u32) -> i64 {
    if bits == 0 {
        return 0;
    }
    let shift = 64 - bits;
    (value << shift) as i64 >> shift
}

/// Words of lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    at: usize,
    limbs: usize,
    words: usize,
}

impl Words {
    #[inline]
    fn place(&self, word: usize) -> usize {
        self.at + word * self.limbs
    }

    /// The word at an address that the design itself fixes.
    #[inline]
    pub(super) fn word<'s>(&self, state: &'s [u64], word: usize) -> &'s [u64] {
        let at = self.place(word);
        &state[at..at + self.limbs]
    }

    #[inline]
    pub(super) fn word_mut<'s>(&self, state: &'s mut [u64], word: usize) -> &'s mut [u64] {
        let at = self.place(word);
        &mut state[at..at + self.limbs]
    }

    /// Writes a word; beyond the memory nothing happens.
    #[inline]
    pub(super) fn write(&self, state: &mut [u64], word: usize, value: &[u64]) {
        if word < self.words {
            self.word_mut(state, word).copy_from_slice(&value[..self.limbs]);
        }
    }

    /// Copies word `from` of this register to word `to` of another of the same shape; an address
    /// beyond this memory reads zeros.
    #[inline]
    pub(super) fn copy(&self, state: &mut [u64], from: usize, other: Words, to: usize) {
        if to >= other.words {
            return;
        }
        let target = other.place(to);
        if from < self.words {
            let source = self.place(from);
            state.copy_within(source..source + self.limbs, target);
        } else {
            state[target..target + self.limbs].fill(0);
        }
    }

    /// Moves every word one place up; word 0 stays as well.
    #[inline]
    pub(super) fn shift_up(&self, state: &mut [u64]) {
        self.shift_up_from(state, 0);
    }

    /// Moves every word from `first` on one place up; that word stays as well.
    #[inline]
    pub(super) fn shift_up_from(&self, state: &mut [u64], first: usize) {
        if first + 1 < self.words {
            let from = self.place(first);
            let end = self.place(self.words - 1);
            state.copy_within(from..end, from + self.limbs);
        }
    }

    /// Limbs of one word.
    #[inline]
    pub(super) fn limbs(&self) -> usize {
        self.limbs
    }

    /// Place of the first limb.
    #[inline]
    pub(super) fn start(&self) -> usize {
        self.at
    }

    /// Place of a word's first limb.
    #[inline]
    pub(super) fn start_of(&self, word: usize) -> usize {
        self.place(word)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.words
    }

    /// The words from `first` on as a memory; none where there are none.
    pub(super) fn buffer_from(&self, first: usize) -> Option<Buffer> {
        (first < self.words).then(|| Buffer {
            start: self.place(first),
            limbs: self.limbs,
            words: self.words - first,
        })
    }

    /// All words as a memory.
    pub(super) fn buffer(&self) -> Option<Buffer> {
        self.buffer_from(0)
    }

    /// Names an access to the word at an address; beyond the memory there is none.
    #[inline]
    pub(super) fn access(&self, word: usize, kind: Access, access: &mut dyn FnMut(usize, Access)) {
        if word < self.words {
            access(self.place(word), kind);
        }
    }
}

/// Whether an edge leaves a state as it is.
pub(super) fn stays(state: &[u64], edge: impl FnOnce(&mut [u64])) -> bool {
    const FEW: usize = 16;
    if state.len() <= FEW {
        let mut next = [0; FEW];
        let next = &mut next[..state.len()];
        next.copy_from_slice(state);
        edge(next);
        return next == state;
    }
    let mut next = state.to_vec();
    edge(&mut next);
    next == state
}

/// One word to read and another to write.
pub(super) fn pair(state: &mut [u64], from: Words, to: Words) -> (&[u64], &mut [u64]) {
    if from.at < to.at {
        let (low, high) = state.split_at_mut(to.at);
        (&low[from.at..from.at + from.limbs], &mut high[..to.limbs])
    } else {
        let (low, high) = state.split_at_mut(from.at);
        (&high[..from.limbs], &mut low[to.at..to.at + to.limbs])
    }
}

/// All registers in front of one word, and that word.
pub(super) fn split(state: &mut [u64], word: Words) -> (&[u64], &mut [u64]) {
    let (earlier, later) = state.split_at_mut(word.start());
    (earlier, &mut later[..word.limbs()])
}
