//! The quantizers of the QONNX operator set (`qonnx.custom_op.general`): `Quant`, `IntQuant`,
//! `BipolarQuant`, `Trunc`.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Importer;
use super::exact::{self, Binary};
use super::stream::PerChannel;
use crate::fixed_point::{Format, Overflow, Quantization};
use crate::network::Rounding;
use crate::network::import::ImportError;
use crate::network::import::onnx::{OnnxNode, Precision};

impl Rounding {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "ROUND" | "HALF_EVEN" => Self::HalfEven,
            "CEIL" => Self::Ceil,
            "FLOOR" => Self::Floor,
            "ROUND_TO_ZERO" | "DOWN" => Self::TowardsZero,
            "UP" => Self::AwayFromZero,
            "HALF_UP" => Self::HalfUp,
            "HALF_DOWN" => Self::HalfDown,
            _ => return None,
        })
    }

    /// The mode of a fixed-point type that rounds the same way, where there is one.
    pub(super) fn quantization(self) -> Option<Quantization> {
        match self {
            Self::HalfEven => Some(Quantization::RndConv),
            Self::Floor => Some(Quantization::Trn),
            Self::TowardsZero => Some(Quantization::TrnZero),
            Self::HalfUp => Some(Quantization::RndInf),
            Self::HalfDown => Some(Quantization::RndZero),
            Self::Ceil | Self::AwayFromZero => None,
        }
    }

    /// The rounded number.
    pub(super) fn apply(self, value: &BigRational) -> BigInt {
        let floor = value.floor().to_integer();
        let fraction = value - BigRational::from_integer(floor.clone());
        let half = BigRational::new(BigInt::one(), BigInt::from(2));
        let up = match self {
            Self::Floor => false,
            Self::Ceil => !fraction.is_zero(),
            Self::TowardsZero => value.is_negative() && !fraction.is_zero(),
            Self::AwayFromZero => !value.is_negative() && !fraction.is_zero(),
            Self::HalfEven => fraction > half || (fraction == half && floor.bit(0)),
            Self::HalfUp => fraction > half || (fraction == half && !value.is_negative()),
            Self::HalfDown => fraction > half || (fraction == half && value.is_negative()),
        };
        if up { floor + 1 } else { floor }
    }

    /// The rounded quotient of machine integers by a positive denominator; `None` where those are too short.
    fn apply_ratio(self, numer: i128, denom: i128) -> Option<i128> {
        let (floor, fraction) = match (i64::try_from(numer), i64::try_from(denom)) {
            (Ok(numer), Ok(denom)) => {
                let (floor, fraction) = (numer.div_euclid(denom), numer.rem_euclid(denom));
                (i128::from(floor), i128::from(fraction))
            }
            _ => (numer.div_euclid(denom), numer.rem_euclid(denom)),
        };
        let to_half = fraction.checked_mul(2)?.cmp(&denom);
        let negative = numer < 0;
        let up = match self {
            Self::Floor => false,
            Self::Ceil => fraction != 0,
            Self::TowardsZero => negative && fraction != 0,
            Self::AwayFromZero => !negative && fraction != 0,
            Self::HalfEven => to_half.is_gt() || (to_half.is_eq() && floor % 2 != 0),
            Self::HalfUp => to_half.is_gt() || (to_half.is_eq() && !negative),
            Self::HalfDown => to_half.is_gt() || (to_half.is_eq() && negative),
        };
        floor.checked_add(i128::from(up))
    }

    /// The rounding as `qonnx.custom_op.general.intquant.resolve_rounding_mode` computes it in a precision:
    /// where halves are added or taken off, the sum is rounded itself.
    pub fn apply_float(self, value: f64, precision: Precision) -> f64 {
        let magnitude = value.abs();
        let signed = |rounded: f64| rounded.copysign(value);
        match self {
            Self::HalfEven => libm::rint(value),
            Self::Ceil => value.ceil(),
            Self::Floor => value.floor(),
            Self::TowardsZero => value.trunc(),
            Self::AwayFromZero => signed(magnitude.ceil()),
            Self::HalfUp => signed(precision.round(magnitude + 0.5).floor()),
            Self::HalfDown => signed(precision.round(magnitude - 0.5).ceil()),
        }
    }

    /// The smallest number that rounds to `level` or above, and whether it is itself excluded.
    pub(super) fn boundary(self, level: i64) -> (BigRational, bool) {
        let whole = |n: i64| BigRational::from_integer(BigInt::from(n));
        // An odd number of halves is in lowest terms.
        let half_below = || BigRational::new_raw(BigInt::from(2 * i128::from(level) - 1), BigInt::from(2));
        match self {
            Self::Floor => (whole(level), false),
            Self::Ceil => (whole(level - 1), true),
            Self::TowardsZero if level >= 1 => (whole(level), false),
            Self::TowardsZero => (whole(level - 1), true),
            Self::AwayFromZero if level >= 1 => (whole(level - 1), true),
            Self::AwayFromZero => (whole(level), false),
            Self::HalfEven => (half_below(), level % 2 != 0),
            Self::HalfUp => (half_below(), level < 1),
            Self::HalfDown => (half_below(), level >= 1),
        }
    }
}

/// A `Quant` node's parameters: `(clip(round(x / scale + zero)) - zero) * scale`.
#[derive(Clone, Debug)]
pub struct Quantizer {
    /// Step, positive; one or several with the shape it has in the file.
    pub scale: PerChannel,
    /// Shape of `scale` in the file.
    pub scale_shape: Vec<usize>,
    /// Zero point.
    pub zero: i64,
    /// Number of bits.
    pub bits: u32,
    /// Whether the integers are signed.
    pub signed: bool,
    /// Whether the lowest signed (highest unsigned) integer is left out.
    pub narrow: bool,
    /// Rounding.
    pub rounding: Rounding,
}

impl Quantizer {
    /// Reads the parameters of a `Quant` or `IntQuant` node.
    pub fn of(importer: &Importer, node: &OnnxNode) -> Result<Self, ImportError> {
        let (scale, scale_shape) = importer.exact_constant(node, 1, "scale")?;
        if scale.iter().any(|s| !s.is_positive()) {
            return Err(importer
                .structure(node, "has a scale that is not above zero")
                .expected("positive scales")
                .help("check the quantizer's scale"));
        }
        let zero = importer.scalar_integer(node, 2, "zero point")?;
        let bits = importer.scalar_integer(node, 3, "bit width")?;
        let max = i64::from(crate::fixed_point::MAX_STORED_WIDTH);
        if !(1..=max).contains(&bits) {
            return Err(importer
                .structure(node, &format!("quantizes to {bits} bits"))
                .expected(format!("1 to {max} bits"))
                .help("train or export with a narrower quantizer"));
        }
        if zero.unsigned_abs() > 1 << 62 {
            return Err(importer
                .structure(node, &format!("has the zero point {zero}"))
                .expected("a zero point within the integer range")
                .help("check the quantizer"));
        }
        let mode = node.text("rounding_mode").unwrap_or_else(|| "ROUND".to_owned());
        let rounding = Rounding::parse(&mode).ok_or_else(|| {
            importer
                .unsupported(node, &format!("rounds by `{mode}`"))
                .expected("one of ROUND, CEIL, FLOOR, ROUND_TO_ZERO, UP, DOWN, HALF_UP, HALF_DOWN, HALF_EVEN")
                .help("set rounding_mode to one of these")
        })?;
        let quantizer = Self {
            scale,
            scale_shape,
            zero,
            bits: bits as u32,
            signed: node.int("signed").unwrap_or(1) != 0,
            narrow: node.int("narrow").unwrap_or(0) != 0,
            rounding,
        };
        let (low, high) = quantizer.levels();
        if !quantizer.is_bipolar() && (low == high || high > i128::from(i64::MAX)) {
            return Err(importer
                .structure(node, &format!("quantizes to {low}..={high}"))
                .expected("at least two levels, all within 64 signed bits")
                .help("check the bit width, signed and narrow"));
        }
        Ok(quantizer)
    }

    /// Whether the integers are -1 and 1: the operator set's meaning of one signed bit.
    pub fn is_bipolar(&self) -> bool {
        self.signed && self.bits == 1
    }

    /// Smallest and largest integer before the zero point is taken off.
    pub fn levels(&self) -> (i128, i128) {
        levels(self.bits, self.signed, self.narrow)
    }

    /// The fixed-point type with the same integers, rounding and clipping for a step of
    /// `2^-frac`, where there is one.
    pub fn format(&self, frac: i32) -> Option<Format> {
        let overflow = match (self.narrow, self.signed) {
            (false, _) => Overflow::Sat,
            (true, true) => Overflow::SatSym,
            (true, false) => return None,
        };
        let format = Format::new(self.bits, self.bits as i32 - frac, self.signed).ok()?;
        format
            .with_quantization(self.rounding.quantization()?)
            .with_overflow(overflow)
            .ok()
    }

    /// The storage type of the integers for a step of `2^-frac`, without behaviour.
    pub fn storage(&self, frac: i32) -> Option<Format> {
        Format::new(self.bits, self.bits as i32 - frac, self.signed).ok()
    }

    /// Quantizes one constant with the scale of its position: the integer with the zero point
    /// taken off.
    pub fn apply(&self, value: &BigRational, scale: &BigRational) -> Option<i64> {
        let (low, high) = self.levels();
        let zero = BigRational::from_integer(BigInt::from(self.zero));
        let rounded = self.rounding.apply(&(value / scale + zero));
        let clipped = rounded.clamp(BigInt::from(low), BigInt::from(high));
        (clipped - self.zero).to_i64()
    }

    /// [`Quantizer::apply`] by machine integers; `None` where those are too short, whatever the result.
    pub fn apply_binary(&self, value: Binary, scale: Binary) -> Option<i64> {
        let (low, high) = self.levels();
        let zero = i128::from(self.zero);
        let (numer, denom) = value.ratio(scale).or_else(|| value.far_ratio(scale))?;
        let numer = numer.checked_add(denom.checked_mul(zero)?)?;
        let rounded = self.rounding.apply_ratio(numer, denom)?;
        i64::try_from(rounded.clamp(low, high) - zero).ok()
    }

    /// The integer that the node's own arithmetic stores for one constant, with the zero point taken off:
    /// `int_quant` of qonnx 1.0 step by step, the quotient in one precision and everything behind it in
    /// another. `None` where the quotient is no number.
    ///
    /// Bounds of wide types round in that arithmetic; what leaves the type is clipped to it once more.
    pub fn apply_float(&self, value: f64, scale: f64, quotient: Precision, rest: Precision) -> Option<i64> {
        let (low, high) = self.levels();
        let y = quotient.round(quotient.round(value) / quotient.round(scale));
        let y = rest.round(y + self.zero as f64);
        if y.is_nan() {
            return None;
        }
        // All levels are 64-bit integers.
        let (low, high) = (i64::try_from(low).ok()?, i64::try_from(high).ok()?);
        let y = y.min(rest.round(high as f64)).max(rest.round(low as f64));
        let rounded = self.rounding.apply_float(y, rest) as i64;
        rounded.clamp(low, high).checked_sub(self.zero)
    }

    /// The fractional bits of the step, where all steps are the same power of two.
    pub fn frac(&self) -> Option<i32> {
        super::stream::uniform(&self.scale)
            .and_then(exact::log2)
            .map(|k| -k)
    }
}

/// A `Trunc` node's parameters: low bits of an integer are dropped.
#[derive(Clone, Debug)]
pub struct Truncation {
    /// Step of the operand.
    pub scale: BigRational,
    /// Zero point.
    pub zero: i64,
    /// Bits that are dropped.
    pub dropped: u32,
    /// Rounding of the dropped bits.
    pub rounding: Rounding,
    /// Step of the result.
    pub output_scale: BigRational,
    /// Bits of the result.
    pub output_bits: u32,
    /// The type that the result is clipped to: bits, whether signed, whether narrow.
    pub clip: Option<(u32, bool, bool)>,
}

impl Truncation {
    /// Reads the parameters.
    pub fn of(importer: &Importer, node: &OnnxNode) -> Result<Self, ImportError> {
        let (scale, _) = importer.exact_constant(node, 1, "scale")?;
        let [scale] = scale.as_slice() else {
            return Err(importer
                .unsupported(node, "has one scale per channel")
                .expected("one scale")
                .help("truncate per tensor"));
        };
        let zero = importer.scalar_integer(node, 2, "zero point")?;
        let input_bits = importer.scalar_integer(node, 3, "input bit width")?;
        // Operator set version 2 inserts the output's scale before its bit width.
        let second_version = node.input(5).is_some();
        let (output_scale, output_bits) = if second_version {
            let (output_scale, _) = importer.exact_constant(node, 4, "output scale")?;
            (
                output_scale.first().cloned(),
                importer.scalar_integer(node, 5, "output bit width")?,
            )
        } else {
            (None, importer.scalar_integer(node, 4, "output bit width")?)
        };
        let mode = node.text("rounding_mode").unwrap_or_else(|| "FLOOR".to_owned());
        let rounding = Rounding::parse(&mode).ok_or_else(|| {
            importer
                .unsupported(node, &format!("rounds by `{mode}`"))
                .expected("FLOOR, ROUND, DOWN, HALF_UP or HALF_DOWN")
                .help("set rounding_mode to one of these")
        })?;
        let clip = match &output_scale {
            None => None,
            Some(_) => {
                let bits = u32::try_from(output_bits).ok();
                let bits = bits.filter(|bits| (1..=crate::fixed_point::MAX_STORED_WIDTH).contains(bits));
                let bits = bits.ok_or_else(|| {
                    importer
                        .structure(node, &format!("truncates to {output_bits} bits"))
                        .expected("1 to 64 bits")
                        .help("check the bit widths")
                })?;
                let is_set = |name: &str, default: i64| node.int(name).unwrap_or(default) != 0;
                Some((bits, is_set("signed", 1), is_set("narrow", 0)))
            }
        };
        let dropped = match &output_scale {
            Some(output) if scale.is_positive() => exact::log2(&(output / scale))
                .filter(|&k| (0..64).contains(&k))
                .map(|k| k as u32),
            Some(_) => None,
            None => input_bits
                .checked_sub(output_bits)
                .and_then(|dropped| u32::try_from(dropped).ok())
                .filter(|&dropped| dropped < 64),
        };
        let dropped = dropped.ok_or_else(|| {
            importer
                .structure(node, "drops a number of bits that is not in 0..64")
                .expected("fewer output bits than input bits")
                .help("check the bit widths")
        })?;
        let output_scale = output_scale.unwrap_or_else(|| scale.clone());
        if !scale.is_positive() || !output_scale.is_positive() {
            return Err(importer
                .structure(node, "has a scale that is not above zero")
                .expected("positive scales")
                .help("check the scales"));
        }
        Ok(Self {
            scale: scale.clone(),
            zero,
            dropped,
            rounding,
            output_scale,
            output_bits: u32::try_from(output_bits).unwrap_or(0),
            clip,
        })
    }
}

impl Truncation {
    /// The integer that the node's own arithmetic stores for one constant, with the zero point taken off:
    /// `trunc_v1` and `trunc_v2` of qonnx 1.0 step by step. `None` where that is no integer.
    pub fn apply_float(&self, value: f64, precision: Precision) -> Option<i64> {
        let zero = self.zero as f64;
        let step = libm::ldexp(1.0, self.dropped as i32);
        let y = precision.round(precision.round(value) / precision.round(exact::to_f64(&self.scale)));
        let y = precision.round(libm::rint(precision.round(y + zero)) / step);
        let (y, zero) = match self.clip {
            None => (y, zero),
            Some((bits, signed, narrow)) => {
                let (low, high) = levels(bits, signed, narrow);
                let y = y
                    .min(precision.round(high as f64))
                    .max(precision.round(low as f64));
                (y, zero / step)
            }
        };
        let rounded = self.rounding.apply_float(y, precision);
        let mantissa = rounded - zero;
        (mantissa.fract() == 0.0 && mantissa.abs() < 9e18).then_some(mantissa as i64)
    }
}

/// Smallest and largest integer of a quantizer's type.
fn levels(bits: u32, signed: bool, narrow: bool) -> (i128, i128) {
    let narrow = i128::from(narrow);
    if signed {
        let half = 1i128 << (bits - 1);
        (-half + narrow, half - 1)
    } else {
        (0, (1i128 << bits) - 1 - narrow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(value: f64) -> BigRational {
        exact::rational(value).unwrap()
    }

    /// Values and scales of a file: any, and small multiples of powers of two, which meet ties.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f32>().prop_map(f64::from),
            any::<f64>(),
            (-1000i32..1000, -12i32..12).prop_map(|(n, k)| f64::from(n) * libm::ldexp(1.0, k)),
            -4.0f64..4.0,
        ]
        .prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        /// Machine integers give what exact rationals give.
        #[test]
        fn machine_integers_agree_with_rationals(
            value in number(),
            scale in number().prop_filter("positive", |scale| *scale > 0.0),
            zero in prop_oneof![Just(0i64), -300i64..300, any::<i64>().prop_map(|zero| zero >> 2)],
            bits in 2u32..=64,
            rounding in 0usize..7,
            narrow in any::<bool>(),
        ) {
            let quantizer = Quantizer {
                scale: vec![exact(scale)],
                scale_shape: Vec::new(),
                zero,
                bits,
                signed: true,
                narrow,
                rounding: Rounding::ALL[rounding],
            };
            let binary = |value: f64| Binary::of_float(value).unwrap();
            prop_assert_eq!(Binary::of(&exact(value)), Some(binary(value)));
            let found = quantizer.apply_binary(binary(value), binary(scale));
            if found.is_some() {
                prop_assert_eq!(found, quantizer.apply(&exact(value), &exact(scale)));
            }
        }

        /// Trained parameters and scales are within reach of machine integers.
        #[test]
        fn usual_numbers_need_no_rationals(value in -1e4f32..1e4, scale in 1e-4f32..1e3, zero in -300i64..300) {
            let quantizer = Quantizer {
                scale: vec![exact(f64::from(scale))],
                scale_shape: Vec::new(),
                zero,
                bits: 8,
                signed: true,
                narrow: false,
                rounding: Rounding::HalfEven,
            };
            // What is far below a step may need longer denominators.
            prop_assume!(value.abs() > 1e-9);
            let binary = |value: f32| Binary::of_float(f64::from(value)).unwrap();
            prop_assert!(quantizer.apply_binary(binary(value), binary(scale)).is_some());
        }
    }
}
