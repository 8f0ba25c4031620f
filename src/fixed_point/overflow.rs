//! Bringing a quantized value into the range of a target.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::{Deviation, Deviations, Format, Overflow};

/// An exact integer in units of the target's least significant bit, as far as an overflow rule can
/// see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantized {
    /// The value, where 128 bits hold it.
    value: Option<i128>,
    negative: bool,
    /// Bits 0 to 127 in two's complement.
    low: u128,
    /// Bit 128 in two's complement.
    bit_128: bool,
}

impl Quantized {
    pub(super) fn new(value: i128) -> Self {
        Self {
            value: Some(value),
            negative: value < 0,
            low: value as u128,
            bit_128: value < 0,
        }
    }

    /// `mantissa * 2^raise`.
    pub(super) fn raised(mantissa: i128, raise: u32) -> Self {
        if mantissa == 0 || raise == 0 {
            return Self::new(mantissa);
        }
        let low = if raise < 128 { mantissa << raise } else { 0 };
        Self {
            value: (raise < 128 && low >> raise == mantissa).then_some(low),
            negative: mantissa < 0,
            low: low as u128,
            bit_128: raise <= 128 && (mantissa >> (128 - raise).min(127)) & 1 == 1,
        }
    }

    pub(super) fn of_big(value: &BigInt) -> Self {
        let bits: BigInt = value & ((BigInt::from(1) << 129u32) - 1);
        let low: BigInt = &bits & BigInt::from(u128::MAX);
        Self {
            value: value.to_i128(),
            negative: value.is_negative(),
            low: low.to_u128().unwrap_or_default(),
            bit_128: bits.bit(128),
        }
    }

    /// The value, where 128 bits hold it.
    pub(super) fn value(&self) -> Option<i128> {
        self.value
    }

    /// A bit in two's complement, `index` at most 128.
    pub(super) fn bit(&self, index: u32) -> bool {
        if index < 128 {
            (self.low >> index) & 1 == 1
        } else {
            self.bit_128
        }
    }

    /// The target's mantissa. `unrounded_sign` is the bit at the target's width before rounding,
    /// which only [`Deviation::WrapSmSignBeforeRounding`] looks at.
    pub(super) fn fit(&self, to: &Format, deviations: Deviations, unrounded_sign: bool) -> i128 {
        let low = lowest(to, deviations);
        match self.value {
            Some(value) if value >= low && value <= to.max_mantissa() => value,
            _ => self.overflow(to, deviations, unrounded_sign),
        }
    }

    fn overflow(&self, to: &Format, deviations: Deviations, unrounded_sign: bool) -> i128 {
        let width = to.width();
        match to.overflow() {
            Overflow::Sat | Overflow::SatSym if self.negative => lowest(to, deviations),
            Overflow::Sat | Overflow::SatSym => to.max_mantissa(),
            Overflow::SatZero => 0,
            Overflow::Wrap { saturation_bits: 0 } => to.mantissa_of_bits(self.low),
            Overflow::Wrap { saturation_bits } => {
                let saturated = u32::from(saturation_bits).min(width);
                to.mantissa_of_bits(saturate_top(self.low, saturated, to, self.negative))
            }
            Overflow::WrapSm { saturation_bits: 0 } => {
                let sign = if deviations.contains(Deviation::WrapSmSignBeforeRounding) {
                    unrounded_sign
                } else {
                    self.bit(width)
                };
                let inverted = sign != self.bit(width - 1);
                to.mantissa_of_bits(if inverted { !self.low } else { self.low })
            }
            Overflow::WrapSm { saturation_bits } => {
                let saturated = u32::from(saturation_bits).min(width);
                // The lowest saturated bit is the sign itself where it is the only one.
                let becomes = if saturated == 1 {
                    self.negative
                } else {
                    !self.negative
                };
                let inverted = self.bit(width - saturated) != becomes;
                let bits = if inverted { !self.low } else { self.low };
                to.mantissa_of_bits(saturate_top(bits, saturated, to, self.negative))
            }
        }
    }
}

/// The smallest mantissa that an assignment to the format leaves as it is.
pub(super) fn lowest(to: &Format, deviations: Deviations) -> i128 {
    let kept_by_headers = to.width() == 1 && deviations.contains(Deviation::SatSymWidthOne);
    if to.signed() && to.overflow() == Overflow::SatSym && !kept_by_headers {
        -to.max_mantissa()
    } else {
        to.min_mantissa()
    }
}

/// The bits with the top `count` (at least 1, at most the width) of them saturated.
fn saturate_top(bits: u128, count: u32, to: &Format, negative: bool) -> u128 {
    let ones = u128::MAX >> (128 - count);
    let top = if !to.signed() {
        ones
    } else if negative {
        1 << (count - 1)
    } else {
        ones >> 1
    };
    let place = to.width() - count;
    let kept = if place == 0 {
        0
    } else {
        bits & (u128::MAX >> (128 - place))
    };
    kept | (top << place)
}
