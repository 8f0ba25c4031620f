//! What a fault at a stored bit does to the bits that are read.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::run_from;
use crate::accelerator::{Accelerator, StoredBit};

/// Longest burst.
const LONGEST: u32 = 64;

/// What a fault at a stored bit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultModel {
    /// The bit reads inverted.
    #[default]
    Flip,
    /// The bit reads 0 whatever is stored.
    StuckAt0,
    /// The bit reads 1 whatever is stored.
    StuckAt1,
    /// So many bits read inverted: consecutive columns of the physical array, the bit being the first of them.
    Burst(u32),
}

/// A text that names no fault.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` is no fault")]
#[diagnostic(
    code(radstream::fault::model),
    help("expected flip, stuck-at-0, stuck-at-1, or burst:K with 2 to {LONGEST} bits")
)]
pub struct FaultModelError {
    text: String,
}

impl FromStr for FaultModel {
    type Err = FaultModelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let burst = || {
            let bits = text.strip_prefix("burst:")?.parse().ok()?;
            (2..=LONGEST).contains(&bits).then_some(Self::Burst(bits))
        };
        match text {
            "flip" => Ok(Self::Flip),
            "stuck-at-0" => Ok(Self::StuckAt0),
            "stuck-at-1" => Ok(Self::StuckAt1),
            _ => burst().ok_or_else(|| FaultModelError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for FaultModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip => f.write_str("flip"),
            Self::StuckAt0 => f.write_str("stuck-at-0"),
            Self::StuckAt1 => f.write_str("stuck-at-1"),
            Self::Burst(bits) => write!(f, "burst:{bits}"),
        }
    }
}

impl FaultModel {
    /// Whether it is one of those that a text can name.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.to_string().parse() == Ok(self)
    }

    /// The bits that read inverted where such a fault is at a bit; empty where the bit holds already what it is
    /// stuck at. None where a burst does not fit.
    ///
    /// # Panics
    /// Where the bit is not below the map's number of bits.
    #[must_use]
    pub fn inverted(self, accelerator: &Accelerator, bit: StoredBit) -> Option<Vec<StoredBit>> {
        match self {
            Self::Flip => Some(vec![bit]),
            Self::StuckAt0 | Self::StuckAt1 => {
                let stuck = self == Self::StuckAt1;
                Some(Vec::from_iter((accelerator.holds(bit) != stuck).then_some(bit)))
            }
            Self::Burst(bits) => {
                let map = accelerator.map();
                let memory = map.memory(map.address(bit).memory);
                let cells = run_from(&memory.geometry(), bit.0 - memory.first.0, bits)?;
                let stored = |cell: u64| StoredBit(memory.first.0 + cell);
                Some(cells.into_iter().map(stored).collect())
            }
        }
    }
}
