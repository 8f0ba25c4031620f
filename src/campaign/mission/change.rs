//! Bits that are read otherwise than before, and why.

use serde::{Deserialize, Serialize};

use crate::accelerator::StoredBit;

/// Why a bit is read otherwise than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// One flip of one strike was enough: nothing protects the bit.
    Single,
    /// One strike by itself put several flips into one protected word. No scrubbing prevents it.
    MultiBit,
    /// Strikes at different times came together. Scrubbing more often makes it rarer.
    Accumulation,
    /// A cell got stuck, and that was enough.
    Permanent,
    /// It is right again.
    Repair,
}

impl Cause {
    /// Causes of wrong bits.
    pub const ALL: [Self; 4] = [Self::Single, Self::MultiBit, Self::Accumulation, Self::Permanent];

    /// Name for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::Single => "single",
            Cause::MultiBit => "multi_bit",
            Cause::Accumulation => "accumulation",
            Cause::Permanent => "permanent",
            Cause::Repair => "repair",
        }
    }
}

/// A data bit that is read inverted from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitChange {
    /// When, in hours.
    pub time_h: f64,
    /// Which.
    pub bit: StoredBit,
    /// Why.
    pub cause: Cause,
}
