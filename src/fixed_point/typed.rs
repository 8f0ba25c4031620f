//! Values of the types of the `fixed` crate: exactly in, exactly out.
//!
//! A value of `FixedI32<U20>` is an integer times `2^-20`, as a mantissa of a [`Format`] is. Between the two only
//! the binary point moves: a value that the other side does not hold is refused, never rounded.

use fixed::traits::Fixed;
use miette::Diagnostic;
use thiserror::Error;

use super::{Format, FormatError};

/// Why values do not go from a type to another without a change.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum FixedError {
    /// Bits below the last place of the target.
    #[error("value {position}: {value} has bits below the last place of {target}")]
    #[diagnostic(
        code(radstream::fixed_point::fraction),
        help("expected values of {target}; round them before, or take a type with as many fractional bits")
    )]
    Fraction {
        /// Position of the value.
        position: usize,
        /// The value.
        value: String,
        /// The type that does not hold it.
        target: String,
    },
    /// Beyond the smallest or largest value of the target.
    #[error("value {position}: {value} is outside {target}")]
    #[diagnostic(
        code(radstream::fixed_point::range),
        help("expected values of {target}; saturate them before, or take a type with as many integer bits")
    )]
    Range {
        /// Position of the value.
        position: usize,
        /// The value.
        value: String,
        /// The type that does not hold it.
        target: String,
    },
    /// A mantissa that the format does not have.
    #[error("value {position}: {mantissa} is no mantissa of {format}")]
    #[diagnostic(
        code(radstream::fixed_point::mantissa),
        help("expected mantissas of that format: {low} to {high}")
    )]
    Mantissa {
        /// Position of the value.
        position: usize,
        /// The mantissa.
        mantissa: i64,
        /// The format.
        format: String,
        /// Its smallest mantissa.
        low: i128,
        /// Its largest mantissa.
        high: i128,
    },
    /// A type that has no format.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] FormatError),
}

/// An integer with its sign apart, so that all bits of both `i128` and `u128` have room.
#[derive(Clone, Copy)]
struct Signed {
    negative: bool,
    magnitude: u128,
}

/// Why an integer does not survive a shift.
enum Lost {
    Fraction,
    Range,
}

impl Signed {
    fn of_bits<F: Fixed>(value: F) -> Self {
        let bits = value.to_bits();
        match TryInto::<i128>::try_into(bits) {
            Ok(narrow) => Self {
                negative: narrow < 0,
                magnitude: narrow.unsigned_abs(),
            },
            // Only a `u128` is wider.
            Err(_) => Self {
                negative: false,
                magnitude: TryInto::<u128>::try_into(bits).unwrap_or(u128::MAX),
            },
        }
    }

    fn of(mantissa: i64) -> Self {
        Self {
            negative: mantissa < 0,
            magnitude: u128::from(mantissa.unsigned_abs()),
        }
    }

    /// The integer times `2^shift`.
    fn shifted(self, shift: i64) -> Result<Self, Lost> {
        if self.magnitude == 0 {
            return Ok(self);
        }
        let places = u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX);
        let magnitude = if shift >= 0 {
            if places > self.magnitude.leading_zeros() {
                return Err(Lost::Range);
            }
            self.magnitude << places
        } else {
            if places > self.magnitude.trailing_zeros() {
                return Err(Lost::Fraction);
            }
            self.magnitude >> places
        };
        Ok(Self { magnitude, ..self })
    }

    fn into_i128(self) -> Option<i128> {
        if self.negative {
            0_i128.checked_sub_unsigned(self.magnitude)
        } else {
            i128::try_from(self.magnitude).ok()
        }
    }

    fn into_fixed<F: Fixed>(self) -> Option<F> {
        let bits = if self.negative {
            F::Bits::try_from(self.into_i128()?).ok()?
        } else {
            F::Bits::try_from(self.magnitude).ok()?
        };
        Some(F::from_bits(bits))
    }
}

/// Name of a type of the `fixed` crate, as its aliases have it: `I8F8`, `U0F16`.
pub(crate) fn type_name<F: Fixed>() -> String {
    let sign = if F::IS_SIGNED { 'I' } else { 'U' };
    format!("{sign}{}F{}", F::INT_NBITS, F::FRAC_NBITS)
}

impl Format {
    /// The format of a type of the `fixed` crate: its width, its integer bits (the sign included), its sign. An
    /// assignment to it truncates and wraps.
    ///
    /// ```
    /// use fixed::{FixedI32, types::{I8F8, extra::U20}};
    /// use radstream::fixed_point::Format;
    /// assert_eq!(Format::of::<I8F8>()?, Format::new(16, 8, true)?);
    /// assert_eq!(Format::of::<FixedI32<U20>>()?, Format::new(32, 12, true)?);
    /// # Ok::<(), radstream::fixed_point::FormatError>(())
    /// ```
    ///
    /// # Errors
    /// [`FormatError::Width`] for the unsigned type of 128 bits, whose integers an `i128` does not hold.
    pub fn of<F: Fixed>() -> Result<Self, FormatError> {
        let width = F::INT_NBITS + F::FRAC_NBITS;
        Self::wide(width, F::INT_NBITS.cast_signed(), F::IS_SIGNED)
    }

    /// Whether a type of the `fixed` crate holds every value of this format.
    ///
    /// ```
    /// use fixed::types::{I8F8, U8F8};
    /// use radstream::fixed_point::Format;
    /// let format = Format::new(10, 4, true)?;
    /// assert!(format.fits::<I8F8>() && !format.fits::<U8F8>());
    /// # Ok::<(), radstream::fixed_point::FormatError>(())
    /// ```
    #[must_use]
    pub fn fits<F: Fixed>(&self) -> bool {
        let fraction = i64::from(F::FRAC_NBITS) >= i64::from(self.frac());
        let integer = if F::IS_SIGNED && !self.signed() {
            i64::from(F::INT_NBITS) > i64::from(self.integer())
        } else {
            i64::from(F::INT_NBITS) >= i64::from(self.integer())
        };
        fraction && integer && (F::IS_SIGNED || !self.signed())
    }

    /// The mantissas of values of a type of the `fixed` crate, exactly.
    ///
    /// ```
    /// use fixed::types::I8F8;
    /// use radstream::fixed_point::{FixedError, Format};
    /// let format = Format::new(6, 3, true)?;
    /// let values = [I8F8::from_num(1.5), I8F8::from_num(-0.125)];
    /// assert_eq!(format.mantissas_of(&values)?, [12, -1]);
    /// let error = format.mantissas_of(&[I8F8::from_num(0.0625)]).unwrap_err();
    /// assert!(matches!(error, FixedError::Fraction { position: 0, .. }));
    /// let error = format.mantissas_of(&[I8F8::from_num(4)]).unwrap_err();
    /// assert!(matches!(error, FixedError::Range { position: 0, .. }));
    /// # Ok::<(), FixedError>(())
    /// ```
    ///
    /// # Errors
    /// [`FixedError`] with the first value that the format does not hold, or whose mantissa an `i64` does not.
    pub fn mantissas_of<F: Fixed>(&self, values: &[F]) -> Result<Vec<i64>, FixedError> {
        let shift = i64::from(self.frac()) - i64::from(F::FRAC_NBITS);
        let of = |(position, &value): (usize, &F)| {
            let mantissa = match Signed::of_bits(value).shifted(shift) {
                Ok(mantissa) => mantissa.into_i128(),
                Err(Lost::Range) => None,
                Err(Lost::Fraction) => {
                    return Err(FixedError::Fraction {
                        position,
                        value: value.to_string(),
                        target: self.to_string(),
                    });
                }
            };
            mantissa
                .filter(|&mantissa| self.contains(mantissa))
                .and_then(|mantissa| i64::try_from(mantissa).ok())
                .ok_or_else(|| FixedError::Range {
                    position,
                    value: value.to_string(),
                    target: self.to_string(),
                })
        };
        values.iter().enumerate().map(of).collect()
    }

    /// The values of mantissas of this format as a type of the `fixed` crate, exactly.
    ///
    /// ```
    /// use fixed::types::I8F8;
    /// use radstream::fixed_point::{FixedError, Format};
    /// let values: Vec<I8F8> = Format::new(6, 3, true)?.fixed_of(&[12, -1])?;
    /// assert_eq!(values, [I8F8::from_num(1.5), I8F8::from_num(-0.125)]);
    /// # Ok::<(), FixedError>(())
    /// ```
    ///
    /// # Errors
    /// [`FixedError`] with the first mantissa that is not one of the format, or whose value the type does not hold.
    pub fn fixed_of<F: Fixed>(&self, mantissas: &[i64]) -> Result<Vec<F>, FixedError> {
        let shift = i64::from(F::FRAC_NBITS) - i64::from(self.frac());
        let of = |(position, &mantissa): (usize, &i64)| {
            if !self.contains(i128::from(mantissa)) {
                return Err(FixedError::Mantissa {
                    position,
                    mantissa,
                    format: self.to_string(),
                    low: self.min_mantissa(),
                    high: self.max_mantissa(),
                });
            }
            let value = || format!("{mantissa} * 2^{}", -i64::from(self.frac()));
            let target = type_name::<F>();
            match Signed::of(mantissa).shifted(shift) {
                Err(Lost::Fraction) => Err(FixedError::Fraction {
                    position,
                    value: value(),
                    target,
                }),
                Ok(bits) if let Some(fixed) = bits.into_fixed() => Ok(fixed),
                _ => Err(FixedError::Range {
                    position,
                    value: value(),
                    target,
                }),
            }
        };
        mantissas.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use fixed::types::extra::{U0, U1, U5, U8, U16, U20, U31, U33, U64, U100, U127, U128};
    use fixed::{
        FixedI8, FixedI16, FixedI32, FixedI64, FixedI128, FixedU8, FixedU16, FixedU32, FixedU64, FixedU128,
    };
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    use super::*;

    fn power_of_two(exponent: i64) -> BigRational {
        let power = BigRational::from_integer(BigInt::from(1) << exponent.unsigned_abs());
        if exponent < 0 { power.recip() } else { power }
    }

    /// The value of a fixed-point number by what its crate prints: its bits in decimal, times `2^-frac`.
    fn exact<F: Fixed>(value: F) -> BigRational {
        let bits: BigInt = value.to_bits().to_string().parse().unwrap();
        BigRational::from_integer(bits) * power_of_two(-i64::from(F::FRAC_NBITS))
    }

    /// All the rules on one value of one type.
    fn check<F: Fixed>(raw: u128, width: u32, integer: i32, signed: bool) {
        let of_bits = |bits: u128| -> F {
            let bytes = bits.to_le_bytes();
            let size = size_of::<F>();
            let mut value = F::default();
            // Any bit pattern is a value.
            for (at, byte) in bytes[..size].iter().enumerate() {
                let byte = F::from_bits(F::Bits::try_from(u128::from(*byte) & 0x7f).ok().unwrap());
                value |= byte << (8 * at as u32);
                if bytes[at] & 0x80 != 0 {
                    value |= F::from_bits(F::Bits::try_from(1_u128).ok().unwrap()) << (8 * at as u32 + 7);
                }
            }
            value
        };
        let value = of_bits(raw);
        let format = Format::new(width, integer, signed).unwrap();
        let unit = power_of_two(-i64::from(format.frac()));
        let in_units = exact(value) / &unit;
        let is_whole = in_units.is_integer();
        let range = BigRational::from_integer(format.min_mantissa().into())
            ..=BigRational::from_integer(format.max_mantissa().into());
        let holds =
            is_whole && range.contains(&in_units) && in_units <= BigRational::from_integer(i64::MAX.into());
        let got = format.mantissas_of(&[F::default(), value]);
        match &got {
            Ok(mantissas) => {
                assert!(holds, "{value} in {format}: {mantissas:?}");
                assert_eq!(BigRational::from_integer(mantissas[1].into()), in_units);
                assert_eq!(format.fixed_of::<F>(mantissas).unwrap(), [F::default(), value]);
            }
            Err(FixedError::Fraction { position: 1, .. }) => assert!(!is_whole, "{value} in {format}"),
            Err(FixedError::Range { position: 1, .. }) => assert!(!holds, "{value} in {format}"),
            Err(other) => panic!("{other}"),
        }
        // The other way round, from a mantissa.
        let mantissa = format.mantissa_of_bits(raw >> 7);
        if let Ok(mantissa) = i64::try_from(mantissa) {
            let exactly = BigRational::from_integer(mantissa.into()) * &unit;
            let last = power_of_two(-i64::from(F::FRAC_NBITS));
            let low = exact(F::MIN);
            let holds = (&exactly / last).is_integer() && exactly >= low && exactly <= exact(F::MAX);
            match format.fixed_of::<F>(&[mantissa]) {
                Ok(values) => assert!(holds && exact(values[0]) == exactly, "{exactly} as {values:?}"),
                Err(_) => assert!(!holds && !format.fits::<F>(), "{exactly} of {format}"),
            }
        }
    }

    fn formats_are_those<F: Fixed>() {
        let wide = F::INT_NBITS + F::FRAC_NBITS;
        assert_eq!(wide, 8 * size_of::<F>() as u32);
        let Ok(format) = Format::of::<F>() else {
            assert!(wide == 128 && !F::IS_SIGNED);
            return;
        };
        let scale = power_of_two(-i64::from(format.frac()));
        let value = |mantissa: i128| BigRational::from_integer(mantissa.into()) * &scale;
        assert_eq!(value(format.min_mantissa()), exact(F::MIN));
        assert_eq!(value(format.max_mantissa()), exact(F::MAX));
        assert_eq!(value(1), exact(F::DELTA));
        assert!(format.fits::<F>());
    }

    macro_rules! for_every_type {
        ($do:ident $args:tt) => {
            for_every_type!(@ $do $args
                FixedI8<U0>, FixedI8<U5>, FixedI8<U8>, FixedU8<U0>, FixedU8<U1>, FixedU8<U8>,
                FixedI16<U0>, FixedI16<U8>, FixedI16<U16>, FixedU16<U1>, FixedU16<U16>,
                FixedI32<U1>, FixedI32<U20>, FixedI32<U31>, FixedU32<U0>, FixedU32<U20>,
                FixedI64<U0>, FixedI64<U33>, FixedI64<U64>, FixedU64<U0>, FixedU64<U31>, FixedU64<U64>,
                FixedI128<U0>, FixedI128<U64>, FixedI128<U127>, FixedU128<U0>, FixedU128<U100>, FixedU128<U128>)
        };
        (@ $do:ident $args:tt $($type:ty),+) => { $($do::<$type> $args;)+ };
    }

    #[test]
    fn formats_of_types_have_their_ranges() {
        for_every_type!(formats_are_those());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Values with few bits at any place, so that fitting and not fitting are both common.
        #[test]
        fn values_go_in_and_out_exactly_or_not_at_all(
            bits in any::<u128>(), keep in 1u32..=128, at in 0u32..128, fill: bool,
            width in 1u32..=64, integer in -40i32..=80, signed: bool,
        ) {
            let few = (bits >> (128 - keep)) << at;
            let raw = if fill { few | (u128::MAX << (127 - at)) } else { few };
            for_every_type!(check(raw, width, integer, signed));
        }
    }
}
