//! Protection schemes: what each stores beside the bits, how they are read, and what it costs.
//!
//! A scheme knows how bits are stored, never which bits to choose.

mod cells;
mod code;
mod cost;
mod hamming;
mod pattern;
mod store;
pub mod tmr;

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use cells::{Cell, Cells};
pub use code::{Code, Reading, Verdict};
pub use cost::{AreaReport, Ledger};
pub use hamming::{Decoded, Hamming};
pub use pattern::Pattern;
pub use store::{Array, Guard, Place, Shelf, Store};

/// How a protected bit is protected. [`Code`] says what each reads and rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Not at all: one cell, read as it is.
    None,
    /// Triple modular redundancy: three cells, read through a majority voter. The voter does not write
    /// back; a scrubber does.
    #[default]
    Tmr,
    /// Triple modular redundancy of whole words: the voter takes the word that two copies agree on.
    TmrWord,
    /// Dual modular redundancy of words: two copies that are compared.
    Dmr,
    /// A parity bit per word, and a reload from outside where it fails.
    Parity,
    /// Single error correction, double error detection: the extended Hamming code per word.
    Secded,
}

/// A word that names no scheme.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("there is no protection scheme `{text}`")]
#[diagnostic(
    code(radstream::scheme),
    help("expected one of none, tmr, tmr-word, dmr, parity, secded")
)]
pub struct SchemeError {
    /// The word.
    pub text: String,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Tmr,
        Self::TmrWord,
        Self::Dmr,
        Self::Parity,
        Self::Secded,
    ];

    /// Name for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scheme::None => "none",
            Scheme::Tmr => "tmr",
            Scheme::TmrWord => "tmr-word",
            Scheme::Dmr => "dmr",
            Scheme::Parity => "parity",
            Scheme::Secded => "secded",
        }
    }

    /// Whether it protects whole words of a memory rather than single bits.
    #[must_use]
    pub fn is_of_words(self) -> bool {
        !matches!(self, Scheme::None | Scheme::Tmr)
    }

    /// Whether a scrub pass writes what it corrected by itself, without a source outside.
    #[must_use]
    pub fn rewrites(self) -> bool {
        matches!(self, Scheme::Tmr | Scheme::TmrWord | Scheme::Secded)
    }

    /// Cells that hold one protected bit, its own included; check bits belong to the word and are not
    /// counted.
    #[must_use]
    pub fn cells_per_bit(self) -> u32 {
        match self {
            Scheme::None | Scheme::Parity | Scheme::Secded => 1,
            Scheme::Dmr => 2,
            Scheme::Tmr | Scheme::TmrWord => 3,
        }
    }

    /// Whether a protected bit by itself reads inverted when the cells of `flipped` (bit `k` for copy `k`)
    /// are inverted. Schemes of words are read through [`Code::read`].
    #[must_use]
    pub fn reads_inverted(self, flipped: u8) -> bool {
        match self {
            Scheme::Tmr => tmr::vote(flipped & 1 != 0, flipped & 2 != 0, flipped & 4 != 0),
            _ => flipped & 1 == 1,
        }
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == text)
            .ok_or_else(|| SchemeError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
