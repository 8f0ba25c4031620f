//! Registers: what a stage stores, bit for bit, and the flat array that holds all of them.

use serde::{Deserialize, Serialize};

/// What a register is for. The name of a class is the tensor name in addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterClass {
    /// Rows and windows of a feature map in a sliding window generator or a pool.
    LineBuffer,
    /// Words waiting between two stages.
    Fifo,
    /// Activations that a stage keeps for reuse: replay buffers, frames.
    Activation,
    /// Products behind the multipliers.
    Product,
    /// Running sums.
    Accumulator,
    /// Everything that a value passes through on its way.
    Pipeline,
    /// Counters, pointers, valid flags, state machines.
    Control,
}

impl RegisterClass {
    /// All classes in the order of a layer's registers.
    pub const ALL: [Self; 7] = [
        Self::LineBuffer,
        Self::Fifo,
        Self::Activation,
        Self::Product,
        Self::Accumulator,
        Self::Pipeline,
        Self::Control,
    ];

    /// The tensor name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LineBuffer => "line_buffer",
            Self::Fifo => "fifo",
            Self::Activation => "activation",
            Self::Product => "product",
            Self::Accumulator => "accumulator",
            Self::Pipeline => "pipeline",
            Self::Control => "control",
        }
    }
}

/// A group of equal registers of one stage: `words` words of `lanes` lanes of `lane_bits` bits.
///
/// A word lies packed in whole 64-bit limbs, lane 0 lowest; bits beyond the lanes are always 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What it is for.
    pub class: RegisterClass,
    /// Name within the stage, for waveforms and lists.
    pub name: &'static str,
    /// Number of words.
    pub words: usize,
    /// Lanes of one word.
    pub lanes: usize,
    /// Bits of one lane, from 1 to 64.
    pub lane_bits: u32,
}

impl Register {
    /// A register of one word of lanes.
    #[must_use]
    pub fn word(class: RegisterClass, name: &'static str, lanes: usize, lane_bits: u32) -> Self {
        Self {
            class,
            name,
            words: 1,
            lanes,
            lane_bits,
        }
    }

    /// Several words of lanes.
    #[must_use]
    pub fn words(
        class: RegisterClass,
        name: &'static str,
        words: usize,
        lanes: usize,
        lane_bits: u32,
    ) -> Self {
        Self {
            class,
            name,
            words,
            lanes,
            lane_bits,
        }
    }

    /// A control register of so many bits.
    #[must_use]
    pub fn control(name: &'static str, bits: u32) -> Self {
        Self::word(RegisterClass::Control, name, 1, bits)
    }

    /// Limbs of one word.
    #[must_use]
    pub fn limbs_per_word(&self) -> usize {
        limbs(self.lanes, self.lane_bits)
    }

    /// Limbs of all words.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.words * self.limbs_per_word()
    }

    /// Stored bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.words as u64 * self.lanes as u64 * u64::from(self.lane_bits)
    }
}

/// One bit of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterBit {
    /// First limb of the word in the state.
    pub word: usize,
    /// Lane of the word.
    pub lane: usize,
    /// Bits of a lane.
    pub lane_bits: u32,
    /// Bit of the lane.
    pub bit: u32,
}

impl RegisterBit {
    /// What the lane holds.
    #[must_use]
    pub fn value(&self, state: &[u64]) -> u64 {
        lane(&state[self.word..], self.lane, self.lane_bits)
    }

    /// Inverts the bit.
    pub fn flip(&self, state: &mut [u64]) {
        let at = self.lane * self.lane_bits as usize + self.bit as usize;
        state[self.word + at / 64] ^= 1 << (at % 64);
    }
}

/// Limbs of a packed word.
#[must_use]
pub fn limbs(lanes: usize, lane_bits: u32) -> usize {
    (lanes * lane_bits as usize).div_ceil(64)
}

/// Bits that hold the numbers from 0 to `last`, at least 1.
#[must_use]
pub fn bits_for(last: u64) -> u32 {
    (64 - last.leading_zeros()).max(1)
}

/// The lowest `bits` bits set.
#[must_use]
pub fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Lane `lane` of a packed word.
#[must_use]
#[inline]
pub fn lane(word: &[u64], lane: usize, lane_bits: u32) -> u64 {
    let at = lane * lane_bits as usize;
    let (limb, shift) = (at / 64, at % 64);
    let low = word[limb] >> shift;
    let value = if shift + lane_bits as usize > 64 {
        low | word[limb + 1] << (64 - shift)
    } else {
        low
    };
    value & mask(lane_bits)
}

/// Writes lane `lane` of a packed word; bits of `value` beyond the lane are cut off.
#[inline]
pub fn set_lane(word: &mut [u64], lane: usize, lane_bits: u32, value: u64) {
    let at = lane * lane_bits as usize;
    let (limb, shift) = (at / 64, at % 64);
    let cut = mask(lane_bits);
    let value = value & cut;
    word[limb] = word[limb] & !(cut << shift) | value << shift;
    if shift + lane_bits as usize > 64 {
        let above = 64 - shift;
        word[limb + 1] = word[limb + 1] & !(cut >> above) | value >> above;
    }
}

/// The lanes of a packed word, one after the other from the first on; the word has to hold all that are asked for.
#[inline]
pub fn lanes(word: &[u64], lane_bits: u32) -> impl Iterator<Item = u64> + '_ {
    let cut = mask(lane_bits);
    let (mut limb, mut shift) = (0, 0);
    std::iter::from_fn(move || {
        let mut value = *word.get(limb)? >> shift;
        if shift + lane_bits > 64 {
            value |= word.get(limb + 1)? << (64 - shift);
        }
        shift += lane_bits;
        if shift >= 64 {
            limb += 1;
            shift -= 64;
        }
        Some(value & cut)
    })
}

/// Writes the lanes of a packed word, one after the other from the first on. The bits behind them become 0.
#[inline]
pub fn set_lanes(word: &mut [u64], lane_bits: u32, values: impl Iterator<Item = u64>) {
    let cut = mask(lane_bits);
    let (mut limb, mut shift, mut bits) = (0, 0, 0);
    for value in values {
        let value = value & cut;
        bits |= value << shift;
        shift += lane_bits;
        if shift >= 64 {
            word[limb] = bits;
            limb += 1;
            shift -= 64;
            bits = if shift == 0 {
                0
            } else {
                value >> (lane_bits - shift)
            };
        }
    }
    if shift > 0 {
        word[limb] = bits;
    }
}

/// Copies `count` lanes from one packed word to another.
pub fn copy_lanes(
    from: &[u64],
    from_lane: usize,
    to: &mut [u64],
    to_lane: usize,
    count: usize,
    lane_bits: u32,
) {
    for at in 0..count {
        set_lane(to, to_lane + at, lane_bits, lane(from, from_lane + at, lane_bits));
    }
}

/// A counter as hardware has it: `bits` wide, back to 0 after `last`. A value above `last`, which
/// only an upset puts there, counts on and wraps at the width.
#[must_use]
#[inline]
pub fn step_counter(value: u64, last: u64, bits: u32) -> u64 {
    if value == last {
        0
    } else {
        (value + 1) & mask(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_do_not_touch_each_other() {
        for lane_bits in [1u32, 3, 7, 12, 24, 33, 63, 64] {
            let lanes = 11;
            let mut word = vec![0u64; limbs(lanes, lane_bits)];
            let value = |at: usize| (0x9e37_79b9_7f4a_7c15u64.wrapping_mul(at as u64 + 1)) & mask(lane_bits);
            for at in (0..lanes).rev() {
                set_lane(&mut word, at, lane_bits, u64::MAX);
                set_lane(&mut word, at, lane_bits, value(at));
            }
            for at in 0..lanes {
                assert_eq!(lane(&word, at, lane_bits), value(at), "{lane_bits} {at}");
            }
        }
    }

    #[test]
    fn lanes_one_after_the_other_are_the_lanes_one_by_one() {
        for lane_bits in [1u32, 3, 7, 12, 24, 32, 33, 63, 64] {
            for count in [1usize, 2, 5, 21, 64, 65] {
                let value = |at: usize| 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(at as u64 + 1);
                let mut one_by_one = vec![0u64; limbs(count, lane_bits)];
                for at in 0..count {
                    set_lane(&mut one_by_one, at, lane_bits, value(at));
                }
                let mut word = vec![u64::MAX; limbs(count, lane_bits)];
                set_lanes(&mut word, lane_bits, (0..count).map(value));
                assert_eq!(word, one_by_one, "{lane_bits} {count}");
                let read: Vec<u64> = lanes(&word, lane_bits).take(count).collect();
                let expected: Vec<u64> = (0..count).map(|at| lane(&word, at, lane_bits)).collect();
                assert_eq!(read, expected, "{lane_bits} {count}");
            }
        }
    }

    #[test]
    fn an_upset_counter_counts_on_to_its_width() {
        assert_eq!(step_counter(4, 5, 3), 5);
        assert_eq!(step_counter(5, 5, 3), 0);
        assert_eq!(step_counter(6, 5, 3), 7);
        assert_eq!(step_counter(7, 5, 3), 0);
    }
}
