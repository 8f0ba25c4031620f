//! When what a register holds can matter.

use std::fmt;

use super::register::{Register, RegisterClass, lane};

/// When what a register holds can matter to an output: its live rule.
///
/// A rule calls a register dead only where no single flip of it can change what leaves, or when. It says nothing
/// of several flips at once: one that sets the flag of a dead register makes it live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Live {
    /// At every edge: it decides what happens next.
    Always,
    /// From one load to the next; no register says whether something still reads it.
    UntilOverwritten,
    /// While all of these hold.
    While(Vec<Condition>),
    /// It never reaches an output.
    Never,
}

/// What another register of the stage has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Name of that register: of several of that name the next one behind the register itself.
    pub flag: &'static str,
    /// What it says.
    pub says: Says,
}

/// What a register says of another one's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It holds this number.
    Is(u64),
    /// It holds another number.
    IsNot(u64),
    /// Its bit is set.
    Bit(u32),
    /// Its bit of that number, counted on by the word, is set.
    BitOfWord(u32),
    /// Its word of that number is not 0.
    Word(usize),
    /// The same lane of its word of the same number, counted on by so many, is not 0.
    Lane(usize),
    /// It counts words from word 0 on, and there are so many more of them than it says.
    Covers {
        /// How many more.
        more: u64,
        /// Whether its top bit is a sign.
        signed: bool,
    },
}

/// A register as it lies in the state.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    /// Its structure.
    pub(super) register: &'a Register,
    /// Its limbs.
    pub(super) limbs: &'a [u64],
}

impl Held<'_> {
    fn lane(&self, word: usize, at: usize) -> u64 {
        let limbs = self.register.limbs_per_word();
        let inside = word < self.register.words && at < self.register.lanes;
        if inside {
            lane(&self.limbs[word * limbs..], at, self.register.lane_bits)
        } else {
            0
        }
    }
}

impl Live {
    /// The rule of registers of which nothing more is known: a control register decides at every edge, what others
    /// hold is there until it is overwritten.
    #[must_use]
    pub fn of(class: RegisterClass) -> Self {
        match class {
            RegisterClass::Control => Self::Always,
            _ => Self::UntilOverwritten,
        }
    }

    /// While one other register says so.
    #[must_use]
    pub fn when(flag: &'static str, says: Says) -> Self {
        Self::While(vec![Condition { flag, says }])
    }

    /// While another register is not 0.
    #[must_use]
    pub fn while_set(flag: &'static str) -> Self {
        Self::when(flag, Says::IsNot(0))
    }

    /// While another register is 0.
    #[must_use]
    pub fn while_clear(flag: &'static str) -> Self {
        Self::when(flag, Says::Is(0))
    }

    /// `always`, `until_overwritten`, `while` or `never`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::UntilOverwritten => "until_overwritten",
            Self::While(_) => "while",
            Self::Never => "never",
        }
    }

    /// What has to hold; nothing for a rule without conditions.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::While(conditions) => conditions,
            Self::Always | Self::UntilOverwritten | Self::Never => &[],
        }
    }

    /// Whether a lane of a word can matter; `flag` finds the registers of the stage by name.
    pub(super) fn holds<'a>(
        &self,
        word: usize,
        at: usize,
        flag: impl Fn(&'static str) -> Option<Held<'a>>,
    ) -> bool {
        let holds = |condition: &Condition| {
            // A flag that is not there rules nothing out.
            flag(condition.flag).is_none_or(|flag| condition.says.holds(word, at, flag))
        };
        match self {
            Self::Always | Self::UntilOverwritten => true,
            Self::While(conditions) => conditions.iter().all(holds),
            Self::Never => false,
        }
    }
}

impl Says {
    /// Whether it says so of lane `at` of a word of the other register.
    pub(super) fn holds(self, word: usize, at: usize, flag: Held<'_>) -> bool {
        let bit = |bit: u32| bit < 64 && flag.lane(0, 0) >> bit & 1 == 1;
        match self {
            Self::Is(number) => flag.lane(0, 0) == number,
            Self::IsNot(number) => flag.lane(0, 0) != number,
            Self::Bit(number) => bit(number),
            Self::BitOfWord(first) => bit(first.saturating_add(word as u32)),
            Self::Word(number) => flag.lane(number, 0) != 0,
            Self::Lane(on) => flag.lane(word + on, at) != 0,
            Self::Covers { more, signed } => {
                let unused = 64 - flag.register.lane_bits;
                let count = match signed {
                    true => (flag.lane(0, 0) << unused) as i64 >> unused,
                    false => flag.lane(0, 0) as i64,
                };
                count.saturating_add_unsigned(more) > word as i64
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = self.flag;
        match self.says {
            Says::Is(0) => write!(f, "not {flag}"),
            Says::Is(number) => write!(f, "{flag} is {number}"),
            Says::IsNot(0) => write!(f, "{flag}"),
            Says::IsNot(number) => write!(f, "{flag} is not {number}"),
            Says::Bit(bit) => write!(f, "bit {bit} of {flag}"),
            Says::BitOfWord(0) => write!(f, "bit [word] of {flag}"),
            Says::BitOfWord(first) => write!(f, "bit [word + {first}] of {flag}"),
            Says::Word(word) => write!(f, "{flag}[{word}]"),
            Says::Lane(0) => write!(f, "{flag}[word].lane"),
            Says::Lane(on) => write!(f, "{flag}[word + {on}].lane"),
            Says::Covers { more: 0, .. } => write!(f, "[word] is below {flag}"),
            Says::Covers { more, .. } => write!(f, "[word] is below {flag} + {more}"),
        }
    }
}

impl fmt::Display for Live {
    /// For people: `always`, `until overwritten`, `while output_valid`, `never`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::UntilOverwritten => f.write_str("until overwritten"),
            Self::Never => f.write_str("never"),
            Self::While(conditions) => {
                let texts: Vec<String> = conditions.iter().map(ToString::to_string).collect();
                write!(f, "while {}", texts.join(" and "))
            }
        }
    }
}
