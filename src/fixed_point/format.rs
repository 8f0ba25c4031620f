//! The description of a fixed-point type.

use std::fmt;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Widest format that a stored or streamed value may have, in bits.
pub const MAX_STORED_WIDTH: u32 = 64;

/// Widest format of an exact intermediate result that may be of either sign, in bits.
pub const MAX_WIDTH: u32 = 127;

/// Widest signed format of an exact intermediate result, in bits: what an `i128` mantissa holds.
pub const MAX_SIGNED_WIDTH: u32 = 128;

/// Farthest place of the binary point, in integer bits of either sign.
pub const MAX_INTEGER: u32 = 1024;

/// What happens to the bits below the least significant bit of the target (IEEE 1666-2011, 7.10.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Quantization {
    /// Round to nearest, ties towards plus infinity (`AP_RND`).
    Rnd,
    /// Round to nearest, ties towards zero (`AP_RND_ZERO`).
    RndZero,
    /// Round to nearest, ties towards minus infinity (`AP_RND_MIN_INF`).
    RndMinInf,
    /// Round to nearest, ties away from zero (`AP_RND_INF`).
    RndInf,
    /// Round to nearest, ties to the even mantissa (`AP_RND_CONV`).
    RndConv,
    /// Round towards minus infinity (`AP_TRN`).
    #[default]
    Trn,
    /// Round towards zero (`AP_TRN_ZERO`).
    TrnZero,
}

/// What happens to a value outside the target's range (IEEE 1666-2011, 7.10.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Overflow {
    /// Clamp to the largest or smallest value (`AP_SAT`).
    Sat,
    /// Become zero (`AP_SAT_ZERO`).
    SatZero,
    /// Clamp to a symmetric range: the smallest value is minus the largest (`AP_SAT_SYM`).
    SatSym,
    /// Keep the low bits (`AP_WRAP`).
    ///
    /// Where bits saturate, a signed result keeps the sign of the value and the rest of the
    /// saturated bits become the inverse of the sign. In an unsigned format they become ones,
    /// for a negative value too: so do the `ap_fixed` headers. (The SystemC reference
    /// implementation clears them for a negative value.)
    Wrap {
        /// Number of saturated bits at the top, `n` of the type's template; 0 is plain
        /// wrap-around, the width or more saturates all of them.
        saturation_bits: u8,
    },
    /// Sign-magnitude wrap-around (`AP_WRAP_SM`), signed formats only.
    ///
    /// Without saturated bits the sign becomes the lowest deleted bit, and where that changes the
    /// sign all kept bits are inverted. With saturated bits the sign of the value is kept, the
    /// other saturated bits become its inverse, and all other bits are inverted where the lowest
    /// of the saturated bits changes.
    WrapSm {
        /// Number of saturated bits at the top, `n` of the type's template.
        saturation_bits: u8,
    },
}

impl Default for Overflow {
    fn default() -> Self {
        Overflow::Wrap { saturation_bits: 0 }
    }
}

/// A fixed-point type: `width` bits of which `integer` lie before the binary point, the sign
/// included; with the behaviour of an assignment *to* it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Format {
    width: u32,
    integer: i32,
    signed: bool,
    quantization: Quantization,
    overflow: Overflow,
}

/// The fields of a [`Format`] as a file may state them, not yet checked.
#[derive(Deserialize)]
#[serde(rename = "Format", deny_unknown_fields)]
struct Fields {
    width: u32,
    integer: i32,
    signed: bool,
    quantization: Quantization,
    overflow: Overflow,
}

impl TryFrom<Fields> for Format {
    type Error = FormatError;

    fn try_from(fields: Fields) -> Result<Self, FormatError> {
        Self::wide(fields.width, fields.integer, fields.signed)?
            .with_quantization(fields.quantization)
            .with_overflow(fields.overflow)
    }
}

/// Why a format cannot exist.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum FormatError {
    /// The width is 0 or beyond what the place allows.
    #[error("a width of {width} bits is outside 1..={max}")]
    #[diagnostic(
        code(radstream::fixed_point::width),
        help("use narrower operands, or cast them to a narrower format first")
    )]
    Width {
        /// The width that was asked for.
        width: i64,
        /// The largest width allowed there.
        max: u32,
    },
    /// The position of the binary point is absurd.
    #[error("{integer} integer bits put the binary point outside -{MAX_INTEGER}..={MAX_INTEGER}")]
    #[diagnostic(
        code(radstream::fixed_point::point),
        help("state the integer bits, the sign included, that lie before the binary point")
    )]
    Point {
        /// The integer bits that were asked for.
        integer: i64,
    },
    /// Sign-magnitude wrap-around has no unsigned form.
    #[error("AP_WRAP_SM needs a signed format")]
    #[diagnostic(
        code(radstream::fixed_point::unsigned_wrap_sm),
        help("make the format signed, or use WRAP")
    )]
    UnsignedWrapSm,
}

impl Format {
    /// A stored or streamed format of 1 to 64 bits that truncates and wraps.
    ///
    /// # Errors
    /// [`FormatError`] where the width is outside 1..=64 or the point outside -1024..=1024.
    pub fn new(width: u32, integer: i32, signed: bool) -> Result<Self, FormatError> {
        Self::checked(width, integer, signed, MAX_STORED_WIDTH)
    }

    /// A format of an exact intermediate result: 1 to 128 bits signed, 1 to 127 bits unsigned.
    ///
    /// # Errors
    /// [`FormatError`] where the width is beyond that or the point outside -1024..=1024.
    pub fn wide(width: u32, integer: i32, signed: bool) -> Result<Self, FormatError> {
        let max = if signed { MAX_SIGNED_WIDTH } else { MAX_WIDTH };
        Self::checked(width, integer, signed, max)
    }

    fn checked(width: u32, integer: i32, signed: bool, max: u32) -> Result<Self, FormatError> {
        if width == 0 || width > max {
            return Err(FormatError::Width {
                width: i64::from(width),
                max,
            });
        }
        if integer.unsigned_abs() > MAX_INTEGER {
            return Err(FormatError::Point {
                integer: i64::from(integer),
            });
        }
        Ok(Self {
            width,
            integer,
            signed,
            quantization: Quantization::default(),
            overflow: Overflow::default(),
        })
    }

    /// The same format with another quantization mode.
    #[must_use]
    pub fn with_quantization(mut self, quantization: Quantization) -> Self {
        self.quantization = quantization;
        self
    }

    /// The same format with another overflow mode.
    ///
    /// # Errors
    /// [`FormatError::UnsignedWrapSm`] for sign-magnitude wrap-around on an unsigned format.
    pub fn with_overflow(mut self, overflow: Overflow) -> Result<Self, FormatError> {
        if matches!(overflow, Overflow::WrapSm { .. }) && !self.signed {
            return Err(FormatError::UnsignedWrapSm);
        }
        self.overflow = overflow;
        Ok(self)
    }

    /// The narrowest format with `frac` fractional bits that holds every mantissa in `low..=high`.
    ///
    /// At most 127 bits, so that the sum of two such mantissas still fits an `i128`.
    ///
    /// # Errors
    /// [`FormatError::Width`] where that takes more than 127 bits, [`FormatError::Point`] where the
    /// point would lie outside -1024..=1024.
    pub fn holding(low: i128, high: i128, frac: i32) -> Result<Self, FormatError> {
        let signed = low < 0 || high < 0;
        let magnitude_bits = |v: i128| {
            128 - if v < 0 {
                (!v).leading_zeros()
            } else {
                v.leading_zeros()
            }
        };
        let width = (magnitude_bits(low).max(magnitude_bits(high)) + u32::from(signed)).max(1);
        Self::checked(width, (width as i32).saturating_sub(frac), signed, MAX_WIDTH)
    }

    /// Total number of bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Bits before the binary point, the sign included; negative or beyond the width is allowed.
    #[must_use]
    pub fn integer(&self) -> i32 {
        self.integer
    }

    /// Bits after the binary point: `width - integer`.
    #[must_use]
    pub fn frac(&self) -> i32 {
        self.width as i32 - self.integer
    }

    /// Whether the top bit is a sign.
    #[must_use]
    pub fn signed(&self) -> bool {
        self.signed
    }

    /// What an assignment does with the bits that do not fit below.
    #[must_use]
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }

    /// What an assignment does with a value outside the range.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Smallest mantissa that the bits can hold.
    #[must_use]
    pub fn min_mantissa(&self) -> i128 {
        if self.signed {
            i128::MIN >> (128 - self.width)
        } else {
            0
        }
    }

    /// Largest mantissa that the bits can hold.
    #[must_use]
    pub fn max_mantissa(&self) -> i128 {
        i128::MAX >> (127 + u32::from(self.signed) - self.width)
    }

    /// Whether the bits can hold this mantissa.
    #[must_use]
    pub fn contains(&self, mantissa: i128) -> bool {
        (self.min_mantissa()..=self.max_mantissa()).contains(&mantissa)
    }

    /// The stored bits of a mantissa in two's complement, bit 0 least significant; bits above the
    /// width are zero.
    #[must_use]
    pub fn bits_of(&self, mantissa: i128) -> u128 {
        (mantissa as u128) & (u128::MAX >> (128 - self.width))
    }

    /// The mantissa of stored bits; bits above the width are ignored.
    #[must_use]
    pub fn mantissa_of_bits(&self, bits: u128) -> i128 {
        let shift = 128 - self.width;
        if self.signed {
            ((bits << shift) as i128) >> shift
        } else {
            ((bits << shift) >> shift) as i128
        }
    }
}

impl fmt::Display for Format {
    /// Writes the type as its C++ spelling without the prefix, for example `fixed<16,6>`; modes
    /// other than truncation and wrap-around follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.signed { "fixed" } else { "ufixed" };
        write!(f, "{prefix}<{},{}", self.width, self.integer)?;
        if self.quantization != Quantization::default() || self.overflow != Overflow::default() {
            let quantization = match self.quantization {
                Quantization::Rnd => "RND",
                Quantization::RndZero => "RND_ZERO",
                Quantization::RndMinInf => "RND_MIN_INF",
                Quantization::RndInf => "RND_INF",
                Quantization::RndConv => "RND_CONV",
                Quantization::Trn => "TRN",
                Quantization::TrnZero => "TRN_ZERO",
            };
            write!(f, ",{quantization}")?;
            match self.overflow {
                Overflow::Sat => write!(f, ",SAT")?,
                Overflow::SatZero => write!(f, ",SAT_ZERO")?,
                Overflow::SatSym => write!(f, ",SAT_SYM")?,
                Overflow::Wrap { saturation_bits: 0 } => write!(f, ",WRAP")?,
                Overflow::Wrap { saturation_bits } => write!(f, ",WRAP,{saturation_bits}")?,
                Overflow::WrapSm { saturation_bits } => write!(f, ",WRAP_SM,{saturation_bits}")?,
            }
        }
        write!(f, ">")
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
