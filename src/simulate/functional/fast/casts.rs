//! Casts, rectifiers and affine maps on a buffer of mantissas, many at a time.

use super::level::at_level;
use super::range::{Range, lowest};
use crate::fixed_point::{Format, Overflow, Quantization};
use crate::network::{Op, Relu};

/// The two widths in which buffers are computed.
pub trait Integer: Copy + Ord {
    /// The number of that value; a wider one loses its top.
    fn of(value: i64) -> Self;
    /// The value.
    fn wide(self) -> i64;
    /// The nearest number.
    fn nearest(value: i64) -> Self;
    /// Sum, difference from zero and product as the machine computes them.
    fn plus(self, other: Self) -> Self;
    /// Product without overflow check.
    fn times(self, other: Self) -> Self;
    /// Bits that both have.
    fn and(self, other: Self) -> Self;
    /// Bits moved up; fewer places than bits.
    fn up(self, by: u32) -> Self;
    /// Bits moved down with the sign; fewer places than bits.
    fn down(self, by: u32) -> Self;
    /// -1 for negative numbers, otherwise 0.
    fn sign(self) -> Self;
}

macro_rules! integer {
    ($type:ty) => {
        impl Integer for $type {
            #[inline(always)]
            fn of(value: i64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn wide(self) -> i64 {
                i64::from(self)
            }
            #[inline(always)]
            fn nearest(value: i64) -> Self {
                value.clamp(i64::from(<$type>::MIN), i64::from(<$type>::MAX)) as $type
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn up(self, by: u32) -> Self {
                self.wrapping_shl(by)
            }
            #[inline(always)]
            fn down(self, by: u32) -> Self {
                self.wrapping_shr(by)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                self >> (<$type>::BITS - 1)
            }
        }
    };
}
integer!(i32);
integer!(i64);

/// What happens to a value before its cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The smaller of it and `ceiling`, or 0 where that is not above `threshold`.
    Rectify {
        /// Values up to this become 0.
        threshold: i64,
        /// Larger values become this first.
        ceiling: i64,
    },
    /// Clamped.
    Clamp {
        /// Smallest.
        low: i64,
        /// Largest.
        high: i64,
    },
}

impl Gate {
    /// What an operator that only casts does first; none for other operators.
    #[must_use]
    pub fn of(op: &Op) -> Option<Self> {
        match *op {
            Op::Cast | Op::Reshape => Some(Self::Open),
            Op::Relu(Relu {
                slope: None,
                threshold,
                ceiling,
            }) => Some(Self::Rectify {
                threshold,
                ceiling: ceiling.unwrap_or(i64::MAX),
            }),
            Op::Clip { low, high } if low <= high => Some(Self::Clamp { low, high }),
            _ => None,
        }
    }
}

/// A cast without branches: `((x << raise) + add + parts) >> drop`, then the overflow rule.
///
/// Every quantization mode is a sum before the shift (IEEE 1666-2011, 7.10.9.1): one half for
/// rounding, one less where ties go down; a tie that goes to the even mantissa adds its last bit, one
/// that depends on the sign adds a constant to negative values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneCast {
    raise: u32,
    drop: u32,
    add: i64,
    last_bit: i64,
    if_negative: i64,
    overflow: Fit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Clamp { low: i64, high: i64 },
    WrapSigned { width: u32 },
    WrapUnsigned { width: u32 },
}

impl Gate {
    /// The range behind the gate.
    #[must_use]
    pub fn range(&self, range: &Range) -> Range {
        let (low, high) = match *self {
            Gate::Open => return *range,
            Gate::Rectify { threshold, ceiling } => (
                range.low.min(ceiling).max(threshold).min(0),
                range.high.min(ceiling).max(0),
            ),
            Gate::Clamp { low, high } => (range.low.max(low).min(high), range.high.max(low).min(high)),
        };
        Range::new(i128::from(low), i128::from(high))
    }
}

impl LaneCast {
    /// A cast of mantissas with `from_frac` fractional bits in `range` to a format, with the range of
    /// the results and whether 32 bits are enough for it; `None` where it has no such form.
    #[must_use]
    pub fn new(from_frac: i32, range: &Range, to: &Format) -> Option<(Self, Range, bool)> {
        let shift = i64::from(from_frac) - i64::from(to.frac());
        let (raise, drop) = ((-shift).max(0), shift.max(0));
        if raise > 62 || drop > 62 {
            return None;
        }
        let half = if drop > 0 { 1i64 << (drop - 1) } else { 0 };
        let (add, last_bit, if_negative) = match to.quantization() {
            _ if drop == 0 => (0, 0, 0),
            Quantization::Trn => (0, 0, 0),
            Quantization::TrnZero => (0, 0, (1 << drop) - 1),
            Quantization::Rnd => (half, 0, 0),
            Quantization::RndMinInf => (half - 1, 0, 0),
            Quantization::RndZero => (half - 1, 0, 1),
            Quantization::RndInf => (half, 0, -1),
            Quantization::RndConv => (half - 1, 1, 0),
        };
        let mut cast = Self {
            raise: raise as u32,
            drop: drop as u32,
            add,
            last_bit,
            if_negative,
            overflow: Fit::Clamp {
                low: i64::MIN,
                high: i64::MAX,
            },
        };
        let quantized = |value: i64| {
            let raised = i128::from(value) << raise;
            let sign = if value < 0 { i128::from(if_negative) } else { 0 };
            let last = (raised >> drop) & i128::from(last_bit);
            let sum = raised + i128::from(add) + last + sign;
            (sum, sum >> drop)
        };
        // Quantization keeps the order, so that the ends bound everything between them.
        let (low_sum, low) = quantized(range.low);
        let (high_sum, high) = quantized(range.high);
        let margin = i128::from(add) + i128::from(last_bit) + i128::from(if_negative.abs());
        let holds = |limit: i128| low_sum - margin >= -limit && high_sum + margin <= limit;
        if !holds(i128::from(i64::MAX)) {
            return None;
        }
        let (first, last) = (lowest(to), to.max_mantissa());
        let result = if low >= first && high <= last {
            Range::new(low, high)
        } else {
            cast.overflow = match to.overflow() {
                Overflow::Sat | Overflow::SatSym => Fit::Clamp {
                    low: i64::try_from(first).unwrap_or(i64::MIN),
                    high: i64::try_from(last).unwrap_or(i64::MAX),
                },
                Overflow::Wrap { saturation_bits: 0 } if to.width() < 64 && to.signed() => {
                    Fit::WrapSigned { width: to.width() }
                }
                Overflow::Wrap { saturation_bits: 0 } if to.width() < 63 => {
                    Fit::WrapUnsigned { width: to.width() }
                }
                _ => return None,
            };
            match cast.overflow {
                Fit::Clamp { .. } => Range::new(low.clamp(first, last), high.clamp(first, last)),
                _ => Range::new(first, last),
            }
        };
        let narrow = holds(i128::from(i32::MAX)) && raise < 32 && drop < 32 && result.is_narrow();
        Some((cast, result, narrow))
    }
}

/// Gate and cast of each element.
#[inline(always)]
pub fn apply_fixed<I: Integer>(buffer: &mut [I], gate: Gate, cast: Option<&LaneCast>) {
    match gate {
        Gate::Open => cast_all(buffer, cast, |x| x),
        Gate::Rectify { threshold, ceiling } => {
            let (threshold, ceiling) = (I::nearest(threshold), I::nearest(ceiling));
            cast_all(buffer, cast, |x| {
                let x = x.min(ceiling);
                if x > threshold { x } else { I::of(0) }
            });
        }
        Gate::Clamp { low, high } => {
            let (low, high) = (I::nearest(low), I::nearest(high));
            // Where a file's limits cross, the upper one holds, without a panic.
            cast_all(buffer, cast, |x| x.max(low).min(high));
        }
    }
}

#[inline(always)]
fn cast_all<I: Integer>(buffer: &mut [I], cast: Option<&LaneCast>, gate: impl Fn(I) -> I) {
    let Some(cast) = cast else {
        for x in buffer {
            *x = gate(*x);
        }
        return;
    };
    let (add, last, negative) = (I::of(cast.add), I::of(cast.last_bit), I::of(cast.if_negative));
    let (raise, drop) = (cast.raise, cast.drop);
    let quantized = |x: I| {
        let x = gate(x).up(raise);
        let parts = x.down(drop).and(last).plus(x.sign().and(negative));
        x.plus(add).plus(parts).down(drop)
    };
    match cast.overflow {
        Fit::Clamp { low, high } => {
            let (low, high) = (I::nearest(low), I::nearest(high));
            for x in buffer {
                *x = quantized(*x).max(low).min(high);
            }
        }
        Fit::WrapSigned { width } => {
            let spare = (8 * size_of::<I>() as u32).saturating_sub(width);
            for x in buffer {
                *x = quantized(*x).up(spare).down(spare);
            }
        }
        Fit::WrapUnsigned { width } => {
            let mask = I::of((1 << width) - 1);
            for x in buffer {
                *x = quantized(*x).and(mask);
            }
        }
    }
}

#[inline(always)]
fn apply_affine<I: Integer>(buffer: &mut [I], factor: &[i64], offset: &[i64]) {
    for row in buffer.chunks_mut(factor.len().max(1)) {
        for ((x, &factor), &offset) in row.iter_mut().zip(factor).zip(offset) {
            *x = x.times(I::of(factor)).plus(I::of(offset));
        }
    }
}

at_level!(
    /// Gate and cast of each element in 32 bits.
    pub fn fixed_narrow(buffer: &mut [i32], gate: Gate, cast: Option<&LaneCast>) = apply_fixed::<i32>
);
at_level!(
    /// Gate and cast of each element in 64 bits.
    pub fn fixed_wide(buffer: &mut [i64], gate: Gate, cast: Option<&LaneCast>) = apply_fixed::<i64>
);
at_level!(
    /// `x * factor + offset` in 32 bits, factors and offsets repeating over the buffer.
    pub fn affine_narrow(buffer: &mut [i32], factor: &[i64], offset: &[i64]) = apply_affine::<i32>
);
at_level!(
    /// `x * factor + offset` in 64 bits, factors and offsets repeating over the buffer.
    pub fn affine_wide(buffer: &mut [i64], factor: &[i64], offset: &[i64]) = apply_affine::<i64>
);
