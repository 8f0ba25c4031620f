//! Dropping the bits below the least significant bit of a target.

use std::cmp::Ordering;

use super::Quantization;

/// What lies below the last kept bit: `rest` in `[0, 1)` units of that bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remainder {
    /// `rest` is 0.
    pub exact: bool,
    /// `rest` compared with one half.
    pub to_half: Ordering,
}

/// Whether a value `floor + rest` becomes `floor + 1`.
#[inline]
pub(super) fn rounds_up(mode: Quantization, negative: bool, floor_is_odd: bool, rest: Remainder) -> bool {
    let tie = rest.to_half == Ordering::Equal;
    let above_half = rest.to_half == Ordering::Greater;
    match mode {
        Quantization::Trn => false,
        Quantization::TrnZero => negative && !rest.exact,
        Quantization::Rnd => above_half || tie,
        Quantization::RndZero => above_half || (tie && negative),
        Quantization::RndMinInf => above_half,
        Quantization::RndInf => above_half || (tie && !negative),
        Quantization::RndConv => above_half || (tie && floor_is_odd),
    }
}

/// `mantissa * 2^-drop`, rounded to an integer.
pub(super) fn quantize(mantissa: i128, drop: u32, mode: Quantization) -> i128 {
    if drop == 0 {
        return mantissa;
    }
    let negative = mantissa < 0;
    let floor = mantissa >> drop.min(127);
    let rest = if drop <= 128 {
        let rest = mantissa as u128 & (u128::MAX >> (128 - drop));
        Remainder {
            exact: rest == 0,
            to_half: rest.cmp(&(1 << (drop - 1))),
        }
    } else {
        // The magnitude is below 2^128 <= 2^(drop - 1): a negative value lies just below 0.
        Remainder {
            exact: mantissa == 0,
            to_half: if negative {
                Ordering::Greater
            } else {
                Ordering::Less
            },
        }
    };
    floor + i128::from(rounds_up(mode, negative, floor & 1 == 1, rest))
}
