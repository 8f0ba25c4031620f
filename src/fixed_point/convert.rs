//! Between doubles and fixed-point numbers.

use super::dyadic::{Dyadic, FRACTION_BITS, MIN_EXPONENT, MIN_LAST_BIT, NotFinite, fields, normal};
use super::quantize::quantize;
use super::{Cast, Deviation, Deviations, Format, Quantization, round_decimal};

/// The mantissa that a double has in a format: its exact value, quantized and brought into range by
/// the format's own modes.
///
/// # Errors
/// [`NotFinite`] for NaN and infinities.
pub fn from_f64(value: f64, to: &Format) -> Result<i128, NotFinite> {
    from_f64_with(value, to, Deviations::TEXTBOOK)
}

/// [`from_f64`] with some of the `ap_fixed` headers' deviations.
///
/// # Errors
/// [`NotFinite`] for NaN and infinities without [`Deviation::DoubleByItsFields`].
pub fn from_f64_with(value: f64, to: &Format, deviations: Deviations) -> Result<i128, NotFinite> {
    let exact = if deviations.contains(Deviation::DoubleByItsFields) && value != 0.0 {
        let (fraction, biased) = fields(value);
        normal(value, fraction, biased)
    } else {
        Dyadic::try_from(value)?
    };
    Ok(Cast::with_deviations(-exact.exponent, to, deviations).apply(i128::from(exact.mantissa)))
}

/// The mantissa that hls4ml's emulation reads for a weight: the double is printed with as many
/// decimals as the type has fractional bits ([`round_decimal`]), read back, and assigned to the type
/// by its own modes.
///
/// # Errors
/// [`NotFinite`] for NaN and infinities without [`Deviation::DoubleByItsFields`].
pub fn from_printed_f64(value: f64, to: &Format, deviations: Deviations) -> Result<i128, NotFinite> {
    let read = if is_printed_beside_no_border(value, to) {
        value
    } else {
        round_decimal(value, to.frac().max(0).unsigned_abs())
    };
    from_f64_with(read, to, deviations)
}

/// Whether a double that is printed with as many decimals as the type has fractional bits, and read back, stays between
/// the same two neighbours among the multiples of half the type's last bit. Every mode then rounds the two alike.
///
/// The decimals move the double by `10^-frac / 2` at most, which is `5^-frac` such halves, and reading them by half its
/// last bit.
#[must_use]
pub fn is_printed_beside_no_border(value: f64, to: &Format) -> bool {
    let frac = to.frac();
    if !(1..=64).contains(&frac) || value == 0.0 || !value.is_normal() {
        return false;
    }
    let halves = value * power_of_two(i64::from(frac) + 1);
    let room = (halves - halves.round()).abs();
    // Twice the bound, for what the comparison itself rounds.
    let reach = 2.0 * (0.2f64.powi(frac) + halves.abs() * f64::EPSILON);
    halves.abs() < 2f64.powi(50) && room > reach
}

/// The double nearest to `mantissa * 2^-frac`, ties to even; exact where a double holds it,
/// infinite beyond the largest double.
#[must_use]
pub fn to_f64(mantissa: i128, frac: i32) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let top = 127i64 - i64::from(mantissa.unsigned_abs().leading_zeros()) - i64::from(frac);
    let last_bit = (top - i64::from(FRACTION_BITS)).max(i64::from(MIN_LAST_BIT));
    if top > i64::from(f64::MAX_EXP) {
        return f64::INFINITY.copysign(if mantissa < 0 { -1.0 } else { 1.0 });
    }
    // Both shifts leave at most 54 bits: `last_bit` is never above the 53rd bit from the top.
    let drop = last_bit + i64::from(frac);
    let kept = match u32::try_from(drop) {
        Ok(drop) => quantize(mantissa, drop, Quantization::RndConv),
        Err(_) => mantissa << drop.unsigned_abs().min(127),
    };
    kept as f64 * power_of_two(last_bit)
}

/// `2^exponent` for exponents of doubles, subnormal ones included.
fn power_of_two(exponent: i64) -> f64 {
    let subnormal = exponent - i64::from(MIN_LAST_BIT);
    let normal = exponent - i64::from(MIN_EXPONENT) + 1;
    f64::from_bits(if normal > 0 {
        (normal as u64) << FRACTION_BITS
    } else {
        1 << subnormal
    })
}
