//! Decimal text of fixed-point numbers, both ways and exact.

use std::str::FromStr;

use miette::Diagnostic;
use num_bigint::{BigInt, BigUint, Sign};
use num_traits::Zero;
use thiserror::Error;

use super::overflow::Quantized;
use super::quantize::{Remainder, rounds_up};
use super::{Deviations, Dyadic, Format};

/// Largest power of ten in magnitude that a decimal number may have, its last digit's included.
///
/// Every value of every format is far inside; the bound keeps a short text from asking for
/// unbounded memory.
const MAX_EXPONENT: i64 = 20_000;
/// Longest text of a decimal number.
const MAX_LENGTH: usize = 20_000;

/// Why a text is not a decimal number.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum DecimalError {
    /// A character that has no place there, or the text's end where more was needed.
    #[error("character {place}: {}", match found {
        Some(found) => format!("`{}` is not part of a decimal number", found.escape_default()),
        None => "the number ends before its first digit".to_owned(),
    })]
    #[diagnostic(
        code(radstream::fixed_point::decimal),
        help("write digits with an optional sign, point and exponent, for example -0.375 or 3e-4")
    )]
    Syntax {
        /// Counted from 1.
        place: usize,
        /// What stands there.
        found: Option<char>,
    },
    /// The number is so large, so small or so long that no format holds it.
    #[error("the number has a digit beyond 1e{MAX_EXPONENT} or 1e-{MAX_EXPONENT}, or too many digits")]
    #[diagnostic(
        code(radstream::fixed_point::decimal_range),
        help(
            "write a number with an exponent of at most {MAX_EXPONENT} and at most {MAX_LENGTH} characters"
        )
    )]
    Range,
}

/// An exact decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Signed digits, read as an integer.
    digits: BigInt,
    /// Power of ten of the last digit.
    exponent: i32,
}

impl Decimal {
    /// The exact decimal value of a mantissa with `frac` fractional bits.
    #[must_use]
    pub fn of_mantissa(mantissa: i128, frac: i32) -> Self {
        let spare = (mantissa.trailing_zeros() as i32).min(frac.max(0));
        let frac = frac - spare;
        let mantissa = BigInt::from(mantissa >> spare.min(127));
        match u32::try_from(frac) {
            // 2^-frac = 5^frac * 10^-frac
            Ok(places) if !mantissa.is_zero() => Self {
                digits: mantissa * BigInt::from(5).pow(places),
                exponent: -frac,
            },
            _ => Self {
                digits: mantissa << frac.unsigned_abs(),
                exponent: 0,
            },
        }
    }

    /// The mantissa that the number has in a format: its exact value, quantized and brought into
    /// range by the format's own modes.
    #[must_use]
    pub fn cast(&self, to: &Format) -> i128 {
        let scale = BigInt::from(10).pow(self.exponent.unsigned_abs());
        let (mut numerator, mut denominator) = if self.exponent >= 0 {
            (&self.digits * scale, BigInt::from(1))
        } else {
            (self.digits.clone(), scale)
        };
        if to.frac() >= 0 {
            numerator <<= to.frac().unsigned_abs();
        } else {
            denominator <<= to.frac().unsigned_abs();
        }
        let negative = numerator.sign() == Sign::Minus;
        let (mut floor, mut rest) = (&numerator / &denominator, &numerator % &denominator);
        if rest.sign() == Sign::Minus {
            floor -= 1;
            rest += &denominator;
        }
        let remainder = Remainder {
            exact: rest.is_zero(),
            to_half: (&rest * 2i32).cmp(&denominator),
        };
        if rounds_up(to.quantization(), negative, floor.bit(0), remainder) {
            floor += 1;
        }
        // The unrounded sign is a deviation's business; decimals have none.
        Quantized::of_big(&floor).fit(to, Deviations::TEXTBOOK, false)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        if text.len() > MAX_LENGTH {
            return Err(DecimalError::Range);
        }
        let mut rest = text.char_indices().peekable();
        let sign = match rest.next_if(|&(_, c)| c == '+' || c == '-') {
            Some((_, '-')) => Sign::Minus,
            _ => Sign::Plus,
        };
        let (mut digits, mut places, mut after_point) = (Vec::new(), 0i64, false);
        while let Some((_, c)) = rest.next_if(|&(_, c)| c.is_ascii_digit() || (c == '.' && !after_point)) {
            match c.to_digit(10) {
                Some(digit) => {
                    digits.push(digit as u8);
                    places += i64::from(after_point);
                }
                None => after_point = true,
            }
        }
        if digits.is_empty() {
            return Err(syntax(text, rest.next()));
        }
        let mut exponent = 0i64;
        if rest.next_if(|&(_, c)| c == 'e' || c == 'E').is_some() {
            let negative = matches!(rest.next_if(|&(_, c)| c == '+' || c == '-'), Some((_, '-')));
            let mut any = false;
            while let Some((_, c)) = rest.next_if(|(_, c)| c.is_ascii_digit()) {
                any = true;
                let digit = i64::from(c.to_digit(10).unwrap_or_default());
                exponent = (exponent * 10 + digit).min(10 * MAX_EXPONENT);
            }
            if !any {
                return Err(syntax(text, rest.next()));
            }
            if negative {
                exponent = -exponent;
            }
        }
        if let Some(place) = rest.next() {
            return Err(syntax(text, Some(place)));
        }
        let magnitude = BigUint::from_radix_be(&digits, 10).unwrap_or_default();
        if magnitude.is_zero() {
            return Ok(Self {
                digits: BigInt::zero(),
                exponent: 0,
            });
        }
        let exponent = exponent - places;
        if exponent.abs() > MAX_EXPONENT {
            return Err(DecimalError::Range);
        }
        Ok(Self {
            digits: BigInt::from_biguint(sign, magnitude),
            exponent: exponent as i32,
        })
    }
}

fn syntax(text: &str, at: Option<(usize, char)>) -> DecimalError {
    DecimalError::Syntax {
        place: text[..at.map_or(text.len(), |(byte, _)| byte)].chars().count() + 1,
        found: at.map(|(_, c)| c),
    }
}

impl std::fmt::Display for Decimal {
    /// All digits, without an exponent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = self.digits.magnitude().to_str_radix(10);
        let places = self.exponent.min(0).unsigned_abs() as usize;
        if self.exponent > 0 && !self.digits.is_zero() {
            digits.extend(std::iter::repeat_n('0', self.exponent.unsigned_abs() as usize));
        }
        if places > 0 {
            if digits.len() <= places {
                digits.insert_str(0, &"0".repeat(places + 1 - digits.len()));
            }
            digits.insert(digits.len() - places, '.');
        }
        f.pad_integral(self.digits.sign() != Sign::Minus, "", &digits)
    }
}

/// A mantissa's exact value in decimal digits, without superfluous zeros: `-0.375`, `12`.
#[must_use]
pub fn print_decimal(mantissa: i128, frac: i32) -> String {
    Decimal::of_mantissa(mantissa, frac).to_string()
}

/// The mantissa that a decimal text has in a format. The exact decimal value is quantized and
/// brought into range by the format's own modes; no double lies in between.
///
/// # Errors
/// [`DecimalError`] where the text is not a decimal number.
pub fn parse_decimal(text: &str, to: &Format) -> Result<i128, DecimalError> {
    Ok(text.parse::<Decimal>()?.cast(to))
}

/// The powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// End of the integers below which a double holds each.
const END_OF_EXACT: u64 = 1 << 53;

/// Whether [`round_decimal`] finds its result without a text: the digits are an integer and the power of ten a
/// number that a double holds.
#[must_use]
pub fn has_short_decimal(value: f64, digits: u32) -> bool {
    let power = TENS.get(digits as usize);
    power.is_some_and(|power| value.abs() * power < (END_OF_EXACT >> 1) as f64)
}

/// The result of [`round_decimal`] for short decimals: the digits as an integer, rounded exactly, and one division
/// of two numbers that doubles hold, which IEEE 754 rounds once.
fn short_decimal(value: f64, exact: Dyadic, digits: u32) -> Option<f64> {
    if !has_short_decimal(value, digits) {
        return None;
    }
    let power = TENS.get(digits as usize)?;
    // Below 2^53 * 10^22 < 2^127.
    let scaled = u128::from(exact.mantissa.unsigned_abs()) * 10u128.pow(digits);
    let places = exact.frac();
    let rounded = match scaled.checked_shr(places) {
        Some(floor) => {
            let remainder = scaled - (floor << places);
            let half = 1u128 << (places - 1);
            floor + u128::from(remainder > half || (remainder == half && floor & 1 == 1))
        }
        // Less than a half.
        None => 0,
    };
    Some((rounded as f64 / power).copysign(value))
}

/// The double that comes back when `value` is printed with `digits` decimals and read again, as
/// `%.{digits}f` in C and Python does: the exact binary value is rounded to that many decimals,
/// ties to even, and the nearest double to the decimal is taken. NaN and infinities stay.
#[must_use]
pub fn round_decimal(value: f64, digits: u32) -> f64 {
    match Dyadic::try_from(value) {
        Ok(exact) if exact.frac() > digits => short_decimal(value, exact, digits).unwrap_or_else(|| {
            let printed = format!("{value:.*}", digits as usize);
            printed.parse().unwrap_or(value)
        }),
        // With no more binary places than decimals the text holds the value itself.
        _ => value,
    }
}
