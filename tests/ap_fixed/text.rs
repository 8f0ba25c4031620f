//! Decimal text against rational numbers and against the `fixed` crate.

use fixed::FixedI64;
use fixed::FixedU64;
use fixed::types::extra::{U3, U16, U40, U63};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use radstream::fixed_point::{
    Cast, Decimal, DecimalError, Format, Overflow, Quantization, from_f64, parse_decimal, print_decimal,
    round_decimal,
};

use crate::rational::{assigned, cases, formats, value};

/// The exact value of plain decimal text, read digit by digit.
fn rational(text: &str) -> BigRational {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numerator: BigInt = format!("{whole}{fraction}").parse().unwrap();
    BigRational::new(numerator * sign, BigInt::from(10).pow(fraction.len() as u32))
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn printing_is_exact_and_short(m in any::<i128>(), by in 0..128u32, frac in -200..1100i32) {
        let m = m >> by;
        let text = print_decimal(m, frac);
        prop_assert_eq!(rational(&text), value(m, frac));
        prop_assert!(!text.contains('.') || !text.ends_with('0'));
        prop_assert!(!text.starts_with("00") && !text.starts_with("-0.0-") && text != "-0");
    }

    #[test]
    fn printed_mantissas_read_back(bits in any::<u128>(), format in formats(128)) {
        let m = format.mantissa_of_bits(bits);
        let expected = Cast::new(format.frac(), &format).apply(m);
        let beyond_symmetry = format.overflow() == Overflow::SatSym && m == format.min_mantissa();
        prop_assert!(expected == m || beyond_symmetry);
        prop_assert_eq!(parse_decimal(&print_decimal(m, format.frac()), &format), Ok(expected));
    }

    #[test]
    fn parsing_rounds_the_exact_decimal(text in "-?[0-9]{1,40}(\\.[0-9]{1,60})?", to in formats(128)) {
        prop_assert_eq!(parse_decimal(&text, &to), Ok(assigned(&rational(&text), &to)));
    }

    #[test]
    fn exponents_scale(digits in -9_999_999..9_999_999i64, e in -400..400i32, to in formats(128)) {
        let ten = BigRational::from(BigInt::from(10)).pow(e);
        let exact = BigRational::from(BigInt::from(digits)) * ten;
        for text in [format!("{digits}e{e}"), format!("{digits}.0E{e:+}"), format!("{digits}0e{}", e - 1)] {
            prop_assert_eq!(parse_decimal(&text, &to), Ok(assigned(&exact, &to)), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+0-9.eE x\u{e9}]{0,12}") {
        // The standard library reads the same grammar, and names of infinities beside it.
        prop_assert_eq!(text.parse::<Decimal>().is_ok(), text.parse::<f64>().is_ok(), "{}", text);
    }
}

fn nearest_even(width: u32, frac: u32, signed: bool, overflow: Overflow) -> Format {
    Format::new(width, width as i32 - frac as i32, signed)
        .unwrap()
        .with_quantization(Quantization::RndConv)
        .with_overflow(overflow)
        .unwrap()
}

/// Compares printing, parsing and conversion with one type of the `fixed` crate.
///
/// Only exact texts are compared: the crate's decimals are not always the nearest ones. With 16
/// fractional bits it prints 26215/65536 as `0.4`, which is nearer to 26214/65536, and reads
/// `0.4476852`, 29339.497/65536, as 29340/65536.
macro_rules! agrees_with_fixed {
    ($name:ident, $type:ty, $signed:expr) => {
        proptest! {
            #![proptest_config(cases(2000))]

            #[test]
            fn $name(
                bits in any::<i64>(), by in 0..64u32, wide in any::<i128>(), wide_by in 0..128u32,
                real in -1e20..1e20f64, small in -4.0..4.0f64,
            ) {
                let format = nearest_even(64, <$type>::FRAC_NBITS, $signed, Overflow::default());
                let m = format.mantissa_of_bits(((bits >> by) as u64).into());
                let theirs = <$type>::from_bits(m as _);
                let ours = print_decimal(m, format.frac());
                prop_assert_eq!(ours.parse::<$type>(), Ok(theirs));

                let text = print_decimal(wide >> wide_by, format.frac());
                let saturating = format.with_overflow(Overflow::Sat).unwrap();
                let theirs = <$type>::saturating_from_str(&text).unwrap().to_bits();
                prop_assert_eq!(parse_decimal(&text, &saturating), Ok(theirs.into()));
                let theirs = <$type>::wrapping_from_str(&text).unwrap().to_bits();
                prop_assert_eq!(parse_decimal(&text, &format), Ok(theirs.into()));

                for real in [real, small] {
                    let theirs = <$type>::saturating_from_num(real).to_bits();
                    prop_assert_eq!(from_f64(real, &saturating), Ok(theirs.into()));
                    let theirs = <$type>::wrapping_from_num(real).to_bits();
                    prop_assert_eq!(from_f64(real, &format), Ok(theirs.into()));
                }
            }
        }
    };
}

agrees_with_fixed!(agrees_with_fixed_i61_3, FixedI64<U3>, true);
agrees_with_fixed!(agrees_with_fixed_i48_16, FixedI64<U16>, true);
agrees_with_fixed!(agrees_with_fixed_i1_63, FixedI64<U63>, true);
agrees_with_fixed!(agrees_with_fixed_u48_16, FixedU64<U16>, false);
agrees_with_fixed!(agrees_with_fixed_u24_40, FixedU64<U40>, false);

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn rounding_agrees_with_fixed(bits in any::<i64>(), by in 0..40u32) {
        let source = FixedI64::<U16>::from_bits(bits >> (24 + by % 40));
        let integer = |quantization| {
            let to = Format::new(64, 64, true).unwrap().with_quantization(quantization);
            Cast::new(16, &to).apply_i64(source.to_bits())
        };
        prop_assert_eq!(integer(Quantization::Trn), source.floor().to_num::<i64>());
        prop_assert_eq!(integer(Quantization::TrnZero), source.round_to_zero().to_num::<i64>());
        prop_assert_eq!(integer(Quantization::RndInf), source.round().to_num::<i64>());
        prop_assert_eq!(integer(Quantization::RndConv), source.round_ties_even().to_num::<i64>());
    }
}

#[test]
fn bad_text_is_refused() {
    let syntax = |place, found| DecimalError::Syntax { place, found };
    for (text, error) in [
        ("", syntax(1, None)),
        ("-", syntax(2, None)),
        (".", syntax(2, None)),
        ("+-1", syntax(2, Some('-'))),
        ("1.2.3", syntax(4, Some('.'))),
        (" 1", syntax(1, Some(' '))),
        ("1 ", syntax(2, Some(' '))),
        ("1e", syntax(3, None)),
        ("1e+x", syntax(4, Some('x'))),
        ("0x10", syntax(2, Some('x'))),
        ("\u{e9}", syntax(1, Some('\u{e9}'))),
        ("1\u{e9}", syntax(2, Some('\u{e9}'))),
        ("nan", syntax(1, Some('n'))),
        ("1e99999999999999999999", DecimalError::Range),
        ("-1e-20001", DecimalError::Range),
    ] {
        assert_eq!(text.parse::<Decimal>(), Err(error), "{text:?}");
    }
    assert_eq!("1".repeat(20_001).parse::<Decimal>(), Err(DecimalError::Range));
    assert!("0e99999999999999999999".parse::<Decimal>().is_ok());
}

/// A decimal next to a tie: its nearest double is the tie itself.
#[test]
fn no_double_lies_between_text_and_format() {
    let to = nearest_even(8, 0, true, Overflow::Sat);
    let text = "0.50000000000000000000000001";
    assert_eq!(parse_decimal(text, &to), Ok(1));
    assert_eq!(from_f64(text.parse().unwrap(), &to), Ok(0));
}

/// Values printed by CPython's `'%.*f'`.
#[test]
fn rounds_decimals_as_printf_does() {
    for (value, digits, printed) in [
        (0.5, 0, 0.0),
        (1.5, 0, 2.0),
        (2.5, 0, 2.0),
        (-0.5, 0, -0.0),
        (0.125, 2, 0.12),
        (0.375, 2, 0.38),
        (1.005, 2, 1.0),
        (0.1, 3, 0.1),
        (0.0078125, 6, 0.007812),
        (0.30000001192092896, 10, 0.3000000119),
    ] {
        assert_eq!(
            round_decimal(value, digits).to_bits(),
            f64::to_bits(printed),
            "{value} {digits}"
        );
    }
}
