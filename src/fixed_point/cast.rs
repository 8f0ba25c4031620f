//! Assignment of an exact value to a format.

use super::{Format, Overflow, Quantization};

/// A prepared assignment: from mantissas with a known number of fractional bits to a format.
///
/// The exact value is quantized first, the carry of rounding included, and the overflow rule sees
/// the quantized value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Fractional bits of the source minus those of the target.
    shift: i32,
    to: Format,
    low: i128,
    high: i128,
}

impl Cast {
    /// Prepares the assignment of mantissas with `from_frac` fractional bits to `to`.
    #[must_use]
    pub fn new(from_frac: i32, to: &Format) -> Self {
        Self {
            shift: from_frac - to.frac(),
            to: *to,
            low: to.min_mantissa(),
            high: to.max_mantissa(),
        }
    }

    /// The target's mantissa for a source mantissa.
    #[must_use]
    pub fn apply(&self, mantissa: i128) -> i128 {
        let quantized = quantize(mantissa, self.shift, self.to.quantization());
        match quantized {
            Some(value) if value >= self.low && value <= self.high => {
                if value == self.low && self.to.signed() && self.to.overflow() == Overflow::SatSym {
                    -self.high
                } else {
                    value
                }
            }
            _ => overflow(mantissa, quantized, self.shift, &self.to),
        }
    }

    /// [`Cast::apply`] for mantissas that fit 64 bits, to a format of at most 64 bits (63 where
    /// unsigned).
    #[must_use]
    #[inline]
    pub fn apply_i64(&self, mantissa: i64) -> i64 {
        self.apply(i128::from(mantissa)) as i64
    }
}

/// The mantissa after dropping `shift` low bits, or `None` where raising it by `-shift` bits
/// leaves 128 bits.
fn quantize(mantissa: i128, shift: i32, mode: Quantization) -> Option<i128> {
    if shift <= 0 {
        let up = shift.unsigned_abs();
        if mantissa == 0 {
            return Some(0);
        }
        return (up < 128)
            .then(|| mantissa << up)
            .filter(|raised| raised >> up == mantissa);
    }
    let down = shift.unsigned_abs();
    let floor = if down < 128 {
        mantissa >> down
    } else {
        mantissa >> 127
    };
    let rest = if down < 127 {
        mantissa & ((1i128 << down) - 1)
    } else {
        mantissa
    };
    if down >= 127 {
        return Some(quantize_far(mantissa, down, mode));
    }
    let half = 1i128 << (down - 1);
    let up = match mode {
        Quantization::Trn => false,
        Quantization::TrnZero => mantissa < 0 && rest != 0,
        Quantization::Rnd => rest >= half,
        Quantization::RndZero => rest > half || (rest == half && mantissa < 0),
        Quantization::RndMinInf => rest > half,
        Quantization::RndInf => rest > half || (rest == half && mantissa >= 0),
        Quantization::RndConv => rest > half || (rest == half && floor & 1 == 1),
    };
    Some(floor + i128::from(up))
}

/// [`quantize`] where the dropped bits are more than the mantissa has: the value is below one half
/// in magnitude, or exactly minus one half for the smallest mantissa.
fn quantize_far(mantissa: i128, down: u32, mode: Quantization) -> i128 {
    let minus_half = down == 127 && mantissa == i128::MIN;
    let negative = mantissa < 0;
    match mode {
        Quantization::Trn => -i128::from(negative),
        Quantization::TrnZero => 0,
        _ if minus_half => -i128::from(matches!(mode, Quantization::RndMinInf | Quantization::RndInf)),
        // Between one half and one in magnitude where exactly 127 bits are dropped.
        _ if down == 127 => {
            let half = 1i128 << 126;
            let magnitude_up = mantissa.unsigned_abs() > half.unsigned_abs();
            let tie = mantissa.unsigned_abs() == half.unsigned_abs();
            let away = magnitude_up
                || (tie
                    && match mode {
                        Quantization::Rnd => !negative,
                        Quantization::RndMinInf => negative,
                        Quantization::RndInf => true,
                        _ => false,
                    });
            i128::from(away) * if negative { -1 } else { 1 }
        }
        _ => 0,
    }
}

/// The result for a quantized value outside the range, or for one that left 128 bits (`None`).
fn overflow(mantissa: i128, quantized: Option<i128>, shift: i32, to: &Format) -> i128 {
    let negative = mantissa < 0;
    match to.overflow() {
        Overflow::Sat => {
            if negative {
                to.min_mantissa()
            } else {
                to.max_mantissa()
            }
        }
        Overflow::SatZero => 0,
        Overflow::SatSym => match (negative, to.signed()) {
            (false, _) => to.max_mantissa(),
            (true, true) => -to.max_mantissa(),
            (true, false) => 0,
        },
        Overflow::Wrap { .. } | Overflow::WrapSm { .. } => {
            let up = shift.unsigned_abs();
            let low_bits = quantized.unwrap_or(if up < 128 { mantissa.wrapping_shl(up) } else { 0 });
            to.mantissa_of_bits(low_bits as u128)
        }
    }
}
