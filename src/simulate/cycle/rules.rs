//! Which differences of a stage's state no output can depend on.

use super::live::{Held, Live, Says};
use super::register::Register;
use super::stage::{Buffer, Stage};

/// The live rules of a stage's registers, and its memories.
pub(super) struct Rules {
    registers: Vec<Ruled>,
    buffers: Vec<Buffer>,
}

struct Ruled {
    register: Register,
    /// Its limbs in the state.
    start: usize,
    end: usize,
    rule: Rule,
}

enum Rule {
    Live,
    Never,
    /// While all of these hold: number and first limb of a flag, and what it says.
    While(Vec<(usize, usize, Says)>),
}

impl Rules {
    pub(super) fn of(stage: &dyn Stage, registers: &[Register]) -> Self {
        let mut start = 0;
        let mut ruled: Vec<Ruled> = Vec::with_capacity(registers.len());
        for register in registers {
            let end = start + register.limbs();
            ruled.push(Ruled {
                register: register.clone(),
                start,
                end,
                rule: Rule::Live,
            });
            start = end;
        }
        let lives: Vec<Live> = (registers.iter().enumerate())
            .map(|(at, register)| stage.live(at, register))
            .collect();
        // As in a table of registers: of several flags of a name the next one behind the register, or the last one.
        let find = |at: usize, name: &str| {
            let named = |other: &usize| registers[*other].name == name;
            (at..registers.len())
                .find(named)
                .or_else(|| (0..at).rev().find(named))
        };
        let mut flags = Vec::new();
        for (at, live) in lives.iter().enumerate() {
            let conditions = live.conditions().iter();
            let found: Option<Vec<_>> = conditions
                .map(|condition| {
                    let flag = find(at, condition.flag)?;
                    Some((flag, ruled[flag].start, condition.says))
                })
                .collect();
            ruled[at].rule = match (live, found) {
                (Live::Never, _) => Rule::Never,
                (Live::While(_), Some(conditions)) => {
                    flags.extend(conditions.iter().map(|&(flag, ..)| flag));
                    Rule::While(conditions)
                }
                _ => Rule::Live,
            };
        }
        for flag in flags {
            ruled[flag].rule = Rule::Live;
        }
        Self {
            registers: ruled,
            buffers: stage.buffers(),
        }
    }

    /// Whether two states differ only in lanes that are dead and in words of memories, which are put into `words` by
    /// their first limbs.
    pub(super) fn lies_still(&self, state: &[u64], other: &[u64], words: &mut Vec<usize>) -> bool {
        words.clear();
        let mut from = 0;
        while let Some(at) = (state[from..].iter().zip(&other[from..])).position(|(a, b)| a != b) {
            let limb = from + at;
            let number = self.registers.partition_point(|ruled| ruled.end <= limb);
            let Some(ruled) = self.registers.get(number) else {
                return false;
            };
            from = limb + 1;
            if self.is_dead(ruled, limb, state[limb] ^ other[limb], other) {
                continue;
            }
            let Some(word) = self.word(limb) else {
                return false;
            };
            if words.last() != Some(&word) {
                words.push(word);
            }
        }
        true
    }

    /// Whether no lane is live of which a limb has one of these bits.
    pub(super) fn is_dead_limb(&self, limb: usize, bits: u64, state: &[u64]) -> bool {
        let number = self.registers.partition_point(|ruled| ruled.end <= limb);
        (self.registers.get(number)).is_some_and(|ruled| self.is_dead(ruled, limb, bits, state))
    }

    /// The first limb of the word of a memory that a limb is of.
    pub(super) fn word(&self, limb: usize) -> Option<usize> {
        self.buffers.iter().find_map(|buffer| {
            let word = limb.checked_sub(buffer.start)? / buffer.limbs;
            (word < buffer.words).then_some(buffer.start + word * buffer.limbs)
        })
    }

    /// Limbs of the word of a memory.
    pub(super) fn limbs_of(&self, word: usize) -> usize {
        let holds = |buffer: &&Buffer| {
            let end = buffer.start + buffer.limbs * buffer.words;
            (buffer.start..end).contains(&word)
        };
        self.buffers.iter().find(holds).map_or(0, |buffer| buffer.limbs)
    }

    /// Whether no lane is live of which a limb has one of these bits.
    fn is_dead(&self, ruled: &Ruled, limb: usize, bits: u64, state: &[u64]) -> bool {
        let conditions = match &ruled.rule {
            Rule::Live => return false,
            Rule::Never => return true,
            Rule::While(conditions) => conditions,
        };
        let limbs = ruled.register.limbs_per_word();
        let (word, within) = ((limb - ruled.start) / limbs, (limb - ruled.start) % limbs);
        let lane_bits = ruled.register.lane_bits as usize;
        let mut rest = bits;
        while rest != 0 {
            let lane = (within * 64 + rest.trailing_zeros() as usize) / lane_bits;
            let holds = |&(flag, start, says): &(usize, usize, Says)| {
                let register = &self.registers[flag].register;
                let limbs = &state[start..];
                says.holds(word, lane, Held { register, limbs })
            };
            if conditions.iter().all(holds) {
                return false;
            }
            // On behind the lane.
            let end = (lane + 1) * lane_bits - within * 64;
            rest = if end < 64 { rest >> end << end } else { 0 };
        }
        true
    }
}
