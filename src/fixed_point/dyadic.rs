//! Doubles as the exact numbers that they are.

use miette::Diagnostic;
use thiserror::Error;

/// Bits of a double below its hidden bit.
pub(super) const FRACTION_BITS: i32 = 52;
/// Exponent of the smallest normal double, and of the unit of subnormal ones.
pub(super) const MIN_EXPONENT: i32 = -1022;
/// Exponent of the last bit of the smallest subnormal double.
pub(super) const MIN_LAST_BIT: i32 = MIN_EXPONENT - FRACTION_BITS;

/// A double that is no number.
#[derive(Clone, Copy, Debug, Error, Diagnostic, PartialEq)]
#[error("{value} has no fixed-point value")]
#[diagnostic(
    code(radstream::fixed_point::not_finite),
    help("replace NaN and infinities by finite numbers")
)]
pub struct NotFinite {
    /// The NaN or infinity.
    pub value: f64,
}

/// An exact binary number `mantissa * 2^exponent`, the mantissa odd or the whole 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dyadic {
    /// Below 2^53 in magnitude.
    pub mantissa: i64,
    /// Power of two; 0 for zero.
    pub exponent: i32,
}

impl Dyadic {
    fn new(mantissa: i64, exponent: i32) -> Self {
        if mantissa == 0 {
            return Self {
                mantissa: 0,
                exponent: 0,
            };
        }
        let zeros = mantissa.trailing_zeros();
        Self {
            mantissa: mantissa >> zeros,
            exponent: exponent + zeros as i32,
        }
    }

    /// Fractional bits that the number needs; 0 for integers.
    #[must_use]
    pub fn frac(&self) -> u32 {
        self.exponent.min(0).unsigned_abs()
    }
}

impl TryFrom<f64> for Dyadic {
    type Error = NotFinite;

    /// The double's exact value.
    fn try_from(value: f64) -> Result<Self, NotFinite> {
        if !value.is_finite() {
            return Err(NotFinite { value });
        }
        let (fraction, biased) = fields(value);
        Ok(if biased == 0 {
            Self::new(signed(value, fraction), MIN_LAST_BIT)
        } else {
            normal(value, fraction, biased)
        })
    }
}

/// Fraction and biased exponent.
pub(super) fn fields(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    (fraction as i64, ((bits >> FRACTION_BITS) & 0x7ff) as i32)
}

fn signed(value: f64, magnitude: i64) -> i64 {
    if value.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// The value that the fields have with a hidden bit.
pub(super) fn normal(value: f64, fraction: i64, biased: i32) -> Dyadic {
    Dyadic::new(
        signed(value, fraction | 1 << FRACTION_BITS),
        biased - 1 + MIN_LAST_BIT,
    )
}
