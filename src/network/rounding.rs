//! Rounding of exact numbers to integers.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How a quantizer of the QONNX operator set rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounding {
    /// To nearest, ties to even (`ROUND`, `HALF_EVEN`).
    HalfEven,
    /// Towards plus infinity.
    Ceil,
    /// Towards minus infinity.
    Floor,
    /// Towards zero (`ROUND_TO_ZERO`, `DOWN`).
    TowardsZero,
    /// Away from zero (`UP`).
    AwayFromZero,
    /// To nearest, ties away from zero (`HALF_UP`).
    HalfUp,
    /// To nearest, ties towards zero (`HALF_DOWN`).
    HalfDown,
}

impl Rounding {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HalfEven,
        Self::Ceil,
        Self::Floor,
        Self::TowardsZero,
        Self::AwayFromZero,
        Self::HalfUp,
        Self::HalfDown,
    ];

    /// Whether a number that is no integer goes to the one above it. `negative` and `odd` are about the integer
    /// below it, `to_half` compares the part above that integer with one half.
    #[must_use]
    pub fn goes_up(self, negative: bool, odd: bool, to_half: Ordering) -> bool {
        let on_tie = |up: bool| to_half == Ordering::Greater || (to_half == Ordering::Equal && up);
        match self {
            Self::Floor => false,
            Self::Ceil => true,
            Self::TowardsZero => negative,
            Self::AwayFromZero => !negative,
            Self::HalfEven => on_tie(odd),
            Self::HalfUp => on_tie(!negative),
            Self::HalfDown => on_tie(negative),
        }
    }
}
