//! Assignment of an exact value to a format.

use super::overflow::{Quantized, lowest};
use super::quantize::quantize;
use super::{Deviations, Format, Overflow, Quantization};

/// A prepared assignment: from mantissas with a known number of fractional bits to a format.
///
/// The exact value is quantized first, the carry of rounding included, and the overflow rule sees
/// the quantized value (IEEE 1666-2011, 7.10.9).
///
/// ```
/// use radstream::fixed_point::{Cast, Format, Overflow, Quantization};
///
/// // 4 bits, 2 of them integer: -2.00 to 1.75.
/// let to = Format::new(4, 2, true)?
///     .with_quantization(Quantization::RndConv)
///     .with_overflow(Overflow::Sat)?;
/// let cast = Cast::new(3, &to);
/// assert_eq!(cast.apply(5), 2); // 0.625 lies between 0.50 and 0.75
/// assert_eq!(cast.apply(15), 7); // 1.875 rounds to 2.00, which is clamped to 1.75
/// # Ok::<(), radstream::fixed_point::FormatError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Fractional bits of the source minus those of the target.
    shift: i32,
    to: Format,
    deviations: Deviations,
    narrow: Narrow,
}

/// What [`Cast::apply_i64`] needs in 64-bit registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Narrow {
    step: Step,
    /// Bits that `step` shifts by, below 64.
    by: u32,
    /// Mask of the dropped bits and one half of the last kept bit, where bits are dropped.
    rest_mask: i64,
    half: i64,
    quantization: Quantization,
    /// Mantissas in `low..=high` stay as they are.
    low: i64,
    high: i64,
    beyond: Beyond,
    /// `64 - width`.
    wrap: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Raise,
    Drop,
    /// Only the general path.
    General,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beyond {
    Clamp,
    WrapSigned,
    WrapUnsigned,
    /// Only the general path.
    General,
}

impl Cast {
    /// Prepares the assignment of mantissas with `from_frac` fractional bits to `to`, by the
    /// textbook.
    #[must_use]
    pub fn new(from_frac: i32, to: &Format) -> Self {
        Self::with_deviations(from_frac, to, Deviations::TEXTBOOK)
    }

    /// [`Cast::new`] with some of the `ap_fixed` headers' deviations.
    #[must_use]
    pub fn with_deviations(from_frac: i32, to: &Format, deviations: Deviations) -> Self {
        let shift = from_frac.saturating_sub(to.frac());
        Self {
            shift,
            to: *to,
            deviations,
            narrow: Narrow::new(shift, to, deviations),
        }
    }

    /// The target's mantissa for a source mantissa.
    #[must_use]
    pub fn apply(&self, mantissa: i128) -> i128 {
        let (quantized, unrounded) = self.quantized(mantissa);
        quantized.fit(&self.to, self.deviations, unrounded.bit(self.to.width()))
    }

    /// Whether the quantized value lies outside the target's range, so that the overflow rule acts.
    #[must_use]
    pub fn overflows(&self, mantissa: i128) -> bool {
        let (quantized, _) = self.quantized(mantissa);
        let range = lowest(&self.to, self.deviations)..=self.to.max_mantissa();
        quantized.value().is_none_or(|value| !range.contains(&value))
    }

    /// The format that it assigns to.
    #[must_use]
    pub fn target(&self) -> &Format {
        &self.to
    }

    /// The value in units of the target's last place, rounded and cut.
    fn quantized(&self, mantissa: i128) -> (Quantized, Quantized) {
        if self.shift <= 0 {
            let raised = Quantized::raised(mantissa, self.shift.unsigned_abs());
            (raised, raised)
        } else {
            let drop = self.shift.unsigned_abs();
            (
                Quantized::new(quantize(mantissa, drop, self.to.quantization())),
                Quantized::new(mantissa >> drop.min(127)),
            )
        }
    }

    /// [`Cast::apply`] for mantissas that fit 64 bits, to a format of at most 64 bits (63 where
    /// unsigned). The result for a wider format is cut to 64 bits.
    #[must_use]
    #[inline]
    pub fn apply_i64(&self, mantissa: i64) -> i64 {
        let narrow = &self.narrow;
        let quantized = match narrow.step {
            Step::Raise => {
                let raised = mantissa << narrow.by;
                if raised >> narrow.by != mantissa {
                    return self.apply_general(mantissa);
                }
                raised
            }
            Step::Drop => (mantissa >> narrow.by) + i64::from(narrow.rounds_up(mantissa)),
            Step::General => return self.apply_general(mantissa),
        };
        if quantized >= narrow.low && quantized <= narrow.high {
            return quantized;
        }
        match narrow.beyond {
            Beyond::Clamp => quantized.clamp(narrow.low, narrow.high),
            Beyond::WrapSigned => (quantized << narrow.wrap) >> narrow.wrap,
            Beyond::WrapUnsigned => (((quantized as u64) << narrow.wrap) >> narrow.wrap) as i64,
            Beyond::General => self.apply_general(mantissa),
        }
    }

    #[cold]
    fn apply_general(&self, mantissa: i64) -> i64 {
        self.apply(i128::from(mantissa)) as i64
    }
}

impl Narrow {
    fn new(shift: i32, to: &Format, deviations: Deviations) -> Self {
        let by = shift.unsigned_abs();
        let fits = by < 64 && to.width() <= if to.signed() { 64 } else { 63 };
        let step = match (fits, shift > 0) {
            (false, _) => Step::General,
            (true, false) => Step::Raise,
            (true, true) => Step::Drop,
        };
        let drops = step == Step::Drop;
        Self {
            step,
            by: if fits { by } else { 0 },
            rest_mask: if drops { i64::MAX >> (63 - by) } else { 0 },
            half: if drops { 1 << (by - 1) } else { 0 },
            quantization: to.quantization(),
            low: if fits { lowest(to, deviations) as i64 } else { 0 },
            high: if fits { to.max_mantissa() as i64 } else { 0 },
            beyond: match to.overflow() {
                Overflow::Sat | Overflow::SatSym => Beyond::Clamp,
                Overflow::Wrap { saturation_bits: 0 } if to.signed() => Beyond::WrapSigned,
                Overflow::Wrap { saturation_bits: 0 } => Beyond::WrapUnsigned,
                _ => Beyond::General,
            },
            wrap: if fits { 64 - to.width() } else { 0 },
        }
    }

    /// [`super::quantize::rounds_up`] in 64-bit registers.
    #[inline]
    fn rounds_up(&self, mantissa: i64) -> bool {
        let rest = mantissa & self.rest_mask;
        match self.quantization {
            Quantization::Trn => false,
            Quantization::TrnZero => mantissa < 0 && rest != 0,
            Quantization::Rnd => rest >= self.half,
            Quantization::RndZero => rest > self.half || (rest == self.half && mantissa < 0),
            Quantization::RndMinInf => rest > self.half,
            Quantization::RndInf => rest > self.half || (rest == self.half && mantissa >= 0),
            Quantization::RndConv => {
                rest > self.half || (rest == self.half && (mantissa >> self.by) & 1 == 1)
            }
        }
    }
}
