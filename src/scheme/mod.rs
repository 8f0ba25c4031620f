//! Protection schemes: what each stores beside a bit, how it is read, and what it costs.
//!
//! A scheme knows how bits are stored, never which bits to choose.

mod cells;
mod cost;
pub mod tmr;

use serde::{Deserialize, Serialize};

pub use cells::{Cell, Cells};
pub use cost::{AreaReport, Ledger};

/// How a protected bit is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Not at all: one cell, read as it is.
    None,
    /// Triple modular redundancy: three cells, read through a majority voter. The voter does not write
    /// back.
    #[default]
    Tmr,
}

impl Scheme {
    /// Name for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scheme::None => "none",
            Scheme::Tmr => "tmr",
        }
    }

    /// Cells that hold one protected bit, its own included.
    #[must_use]
    pub fn cells_per_bit(self) -> u32 {
        match self {
            Scheme::None => 1,
            Scheme::Tmr => 3,
        }
    }

    /// Whether a protected bit reads inverted when the cells of `flipped` (bit `k` for copy `k`) are
    /// inverted.
    #[must_use]
    pub fn reads_inverted(self, flipped: u8) -> bool {
        match self {
            Scheme::None => flipped & 1 == 1,
            Scheme::Tmr => tmr::vote(flipped & 1 != 0, flipped & 2 != 0, flipped & 4 != 0),
        }
    }
}
