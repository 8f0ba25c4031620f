//! Exact arithmetic: every result gets a format that holds all results of its operands' formats.
//!
//! The formats are those of the `ap_fixed` operators. Results truncate and wrap when assigned to;
//! the operands' own modes play no part.

use std::cmp::Ordering;

use miette::Diagnostic;
use thiserror::Error;

use super::overflow::Quantized;
use super::{Deviation, Deviations, Format, FormatError, convert, decimal};

/// The format of a product: widths and integer bits add up, signed where an operand is.
///
/// # Errors
/// [`FormatError`] where the result is wider than any intermediate result may be.
pub fn product_format(a: &Format, b: &Format) -> Result<Format, FormatError> {
    Format::wide(
        a.width() + b.width(),
        a.integer() + b.integer(),
        a.signed() || b.signed(),
    )
}

/// The format of a sum: one integer bit more than the larger operand has, the longer fraction,
/// signed where an operand is.
///
/// # Errors
/// [`FormatError`] where the result is wider than any intermediate result may be.
pub fn sum_format(a: &Format, b: &Format) -> Result<Format, FormatError> {
    sum_or_difference(a, b, a.signed() || b.signed())
}

/// The format of a difference: that of the sum, always signed.
///
/// # Errors
/// [`FormatError`] where the result is wider than any intermediate result may be.
pub fn difference_format(a: &Format, b: &Format) -> Result<Format, FormatError> {
    sum_or_difference(a, b, true)
}

fn sum_or_difference(a: &Format, b: &Format, signed: bool) -> Result<Format, FormatError> {
    // An unsigned operand needs a sign bit beside a signed one.
    let beside = |one: &Format, other: &Format| one.integer() + i32::from(other.signed() && !one.signed());
    let integer = beside(a, b).max(beside(b, a)) + 1;
    let width = integer + a.frac().max(b.frac());
    // At least the wider operand's width: positive.
    Format::wide(width.unsigned_abs(), integer, signed)
}

/// The format of a negation: one bit more, signed.
///
/// # Errors
/// [`FormatError`] where the result is wider than any intermediate result may be.
pub fn negation_format(a: &Format) -> Result<Format, FormatError> {
    Format::wide(a.width() + 1, a.integer() + 1, true)
}

/// A mantissa that its format cannot hold.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("the mantissa {mantissa} is outside {format}")]
#[diagnostic(
    code(radstream::fixed_point::mantissa),
    help("expected {} to {}", format.min_mantissa(), format.max_mantissa())
)]
pub struct OutOfRange {
    /// The mantissa.
    pub mantissa: i128,
    /// The format.
    pub format: Format,
}

/// A mantissa together with its format: the exact value `mantissa * 2^-frac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    mantissa: i128,
    format: Format,
}

impl Number {
    /// A mantissa of a format.
    ///
    /// # Errors
    /// [`OutOfRange`] where the format's bits cannot hold the mantissa.
    pub fn new(mantissa: i128, format: Format) -> Result<Self, OutOfRange> {
        if format.contains(mantissa) {
            Ok(Self { mantissa, format })
        } else {
            Err(OutOfRange { mantissa, format })
        }
    }

    /// The number that a pattern of stored bits means; bits above the width are ignored.
    #[must_use]
    pub fn of_bits(bits: u128, format: Format) -> Self {
        Self {
            mantissa: format.mantissa_of_bits(bits),
            format,
        }
    }

    /// The mantissa.
    #[must_use]
    pub fn mantissa(&self) -> i128 {
        self.mantissa
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The stored bits in two's complement; bits above the width are zero.
    #[must_use]
    pub fn bits(&self) -> u128 {
        self.format.bits_of(self.mantissa)
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        convert::to_f64(self.mantissa, self.format.frac())
    }

    /// The exact sum.
    ///
    /// # Errors
    /// [`FormatError`] where [`sum_format`] has none.
    pub fn add(&self, other: &Self) -> Result<Self, FormatError> {
        let format = sum_format(&self.format, &other.format)?;
        Ok(Self {
            mantissa: self.raised_to(&format) + other.raised_to(&format),
            format,
        })
    }

    /// The exact difference.
    ///
    /// # Errors
    /// [`FormatError`] where [`difference_format`] has none.
    pub fn sub(&self, other: &Self) -> Result<Self, FormatError> {
        let format = difference_format(&self.format, &other.format)?;
        Ok(Self {
            mantissa: self.raised_to(&format) - other.raised_to(&format),
            format,
        })
    }

    /// The mantissa with the fraction of a format that holds the operand's range and fraction.
    fn raised_to(&self, format: &Format) -> i128 {
        self.mantissa << (format.frac() - self.format.frac())
    }

    /// The exact product.
    ///
    /// # Errors
    /// [`FormatError`] where [`product_format`] has none.
    pub fn mul(&self, other: &Self) -> Result<Self, FormatError> {
        Ok(Self {
            format: product_format(&self.format, &other.format)?,
            mantissa: self.mantissa * other.mantissa,
        })
    }

    /// The exact negation.
    ///
    /// # Errors
    /// [`FormatError`] where [`negation_format`] has none.
    pub fn neg(&self) -> Result<Self, FormatError> {
        Ok(Self {
            format: negation_format(&self.format)?,
            mantissa: -self.mantissa,
        })
    }

    /// The bits moved up by `by` places in the same format: zeros enter, bits leave at the top.
    #[must_use]
    pub fn shl(&self, by: u32) -> Self {
        Self::of_bits(self.bits().checked_shl(by).unwrap_or(0), self.format)
    }

    /// The bits moved down by `by` places in the same format: the sign (signed) or zeros enter,
    /// bits leave at the bottom.
    #[must_use]
    pub fn shr(&self, by: u32) -> Self {
        Self {
            mantissa: self.mantissa >> by.min(127),
            format: self.format,
        }
    }

    /// Compares the values, whatever the formats.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let difference = other.format.frac() - self.format.frac();
        let raise = difference.unsigned_abs();
        if difference >= 0 {
            compare_raised(self.mantissa, raise, other.mantissa)
        } else {
            compare_raised(other.mantissa, raise, self.mantissa).reverse()
        }
    }

    /// [`Number::compare`] with some of the `ap_fixed` headers' deviations, `self` being the left
    /// operand.
    #[must_use]
    pub fn compare_with(&self, other: &Self, deviations: Deviations) -> Ordering {
        if deviations.contains(Deviation::MixedSignComparison) {
            // Aligned widths; the left operand gets a spare bit where it is aligned at all.
            let zeros = other.format.frac() - self.format.frac();
            let left = self.format.width() as i32 + if zeros > 0 { zeros + 1 } else { 0 };
            let right = other.format.width() as i32 + (-zeros).max(0);
            let read_as_unsigned = |negative: &Self, its_width: i32, unsigned: &Self, width: i32| {
                negative.mantissa < 0 && !unsigned.format.signed() && width >= 32 && width >= its_width
            };
            if read_as_unsigned(self, left, other, right) {
                return Ordering::Greater;
            }
            if read_as_unsigned(other, right, self, left) {
                return Ordering::Less;
            }
        }
        self.compare(other)
    }
}

impl std::fmt::Display for Number {
    /// The exact value in decimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        decimal::Decimal::of_mantissa(self.mantissa, self.format.frac()).fmt(f)
    }
}

/// Compares `a * 2^raise` with `b`.
fn compare_raised(a: i128, raise: u32, b: i128) -> Ordering {
    match Quantized::raised(a, raise).value() {
        Some(raised) => raised.cmp(&b),
        None => a.cmp(&0),
    }
}
