//! Random formats and mantissas against a model in rational numbers and bit vectors, written from
//! the definitions of the modes.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use proptest::prelude::*;
use radstream::fixed_point::{
    Cast, Deviations, Dyadic, Format, FormatError, Number, Overflow, Quantization, from_f64, from_f64_with,
    from_printed_f64, is_printed_beside_no_border, round_decimal, to_f64,
};

use crate::rows::{QUANTIZATIONS, overflow};

pub fn big(value: i128) -> BigInt {
    BigInt::from(value)
}

pub fn power_of_two(exponent: i32) -> BigRational {
    let power = BigInt::one() << exponent.unsigned_abs();
    if exponent >= 0 {
        BigRational::from(power)
    } else {
        BigRational::new(BigInt::one(), power)
    }
}

/// `mantissa * 2^-frac`.
pub fn value(mantissa: i128, frac: i32) -> BigRational {
    BigRational::from(big(mantissa)) * power_of_two(-frac)
}

fn half() -> BigRational {
    BigRational::new(BigInt::one(), BigInt::from(2))
}

/// The integer that a quantization mode makes of `x`.
pub fn rounded(x: &BigRational, mode: Quantization) -> BigInt {
    let sign = if x.is_negative() { -1 } else { 1 };
    match mode {
        Quantization::Trn => x.floor(),
        Quantization::TrnZero => x.trunc(),
        Quantization::Rnd => (x + half()).floor(),
        Quantization::RndMinInf => (x - half()).ceil(),
        Quantization::RndZero => (x.abs() - half()).ceil() * BigInt::from(sign),
        Quantization::RndInf => (x.abs() + half()).floor() * BigInt::from(sign),
        Quantization::RndConv => {
            let (below, above) = (x.floor(), x.ceil());
            let even = |v: &BigRational| (v.to_integer() % 2i32).is_zero();
            match (x - &below).cmp(&(&above - x)) {
                std::cmp::Ordering::Less => below,
                std::cmp::Ordering::Greater => above,
                std::cmp::Ordering::Equal if even(&below) => below,
                std::cmp::Ordering::Equal => above,
            }
        }
    }
    .to_integer()
}

/// What an overflow mode makes of an integer.
fn fitted(v: &BigInt, to: &Format) -> BigInt {
    let width = to.width() as usize;
    let modulus = BigInt::one() << width;
    let half_range: BigInt = &modulus >> 1;
    let (mut low, high): (BigInt, BigInt) = if to.signed() {
        (-&half_range, half_range - 1)
    } else {
        (BigInt::zero(), &modulus - 1)
    };
    if to.overflow() == Overflow::SatSym && to.signed() {
        low = -high.clone();
    }
    if *v >= low && *v <= high {
        return v.clone();
    }
    // Bit `width` and those below, least significant first.
    let mut bits: Vec<bool> = (0..=width as u64).map(|i| v.bit(i)).collect();
    let negative = v.is_negative();
    match to.overflow() {
        Overflow::Sat | Overflow::SatSym => return if negative { low } else { high },
        Overflow::SatZero => return BigInt::zero(),
        Overflow::Wrap { saturation_bits } => {
            let n = usize::from(saturation_bits).min(width);
            for (index, bit) in bits[..width].iter_mut().enumerate().skip(width - n) {
                *bit = match (to.signed(), index == width - 1) {
                    (false, _) => true,
                    (true, true) => negative,
                    (true, false) => !negative,
                };
            }
        }
        Overflow::WrapSm { saturation_bits: 0 } => {
            let sign = bits[width];
            if sign != bits[width - 1] {
                bits.iter_mut().for_each(|bit| *bit = !*bit);
            }
        }
        Overflow::WrapSm { saturation_bits } => {
            let n = usize::from(saturation_bits).min(width);
            let becomes = |index: usize| if index == width - 1 { negative } else { !negative };
            if bits[width - n] != becomes(width - n) {
                bits[..width - n].iter_mut().for_each(|bit| *bit = !*bit);
            }
            for (index, bit) in bits[..width].iter_mut().enumerate().skip(width - n) {
                *bit = becomes(index);
            }
        }
    }
    let mut result = BigInt::zero();
    for (index, _) in bits[..width].iter().enumerate().filter(|(_, bit)| **bit) {
        result += BigInt::one() << index;
    }
    if to.signed() && bits[width - 1] {
        result -= modulus;
    }
    result
}

/// The mantissa of an exact value in a format.
pub fn assigned(x: &BigRational, to: &Format) -> i128 {
    let scaled = x * power_of_two(to.frac());
    fitted(&rounded(&scaled, to.quantization()), to)
        .to_i128()
        .unwrap()
}

/// Formats up to a width (one bit less where unsigned) with every mode.
pub fn formats(max_signed: u32) -> impl Strategy<Value = Format> {
    let widths = prop_oneof![1..=max_signed, 1..=4u32, (max_signed - 2)..=max_signed];
    (
        widths,
        -20..40i32,
        any::<bool>(),
        0..7usize,
        0..5usize,
        prop_oneof![4 => 0..4u8, 1 => any::<u8>()],
    )
        .prop_map(move |(width, beyond, signed, quantization, mode, bits)| {
            let width = if signed {
                width
            } else {
                width.min(max_signed - 1).max(1)
            };
            let mode = if signed { mode } else { mode % 4 };
            Format::wide(width, width as i32 / 2 + beyond, signed)
                .unwrap()
                .with_quantization(QUANTIZATIONS[quantization])
                .with_overflow(overflow(mode, bits))
                .unwrap()
        })
}

/// Mantissas of all magnitudes, the extremes among them, with many ties.
fn mantissas() -> impl Strategy<Value = i128> {
    prop_oneof![
        (any::<i128>(), 0..128u32).prop_map(|(m, by)| m >> by),
        (any::<i8>(), 0..128u32).prop_map(|(m, by)| i128::from(m).wrapping_shl(by)),
        (0..128u32, -1..=1i128).prop_map(|(by, near)| (1i128 << by).wrapping_add(near)),
        Just(i128::MIN),
        Just(i128::MAX),
    ]
}

fn narrow_mantissas() -> impl Strategy<Value = i64> {
    prop_oneof![
        (any::<i64>(), 0..64u32).prop_map(|(m, by)| m >> by),
        (any::<i8>(), 0..64u32).prop_map(|(m, by)| i64::from(m).wrapping_shl(by)),
        (0..64u32, -1..=1i64).prop_map(|(by, near)| (1i64 << by).wrapping_add(near)),
        Just(i64::MIN),
        Just(i64::MAX),
    ]
}

fn numbers(max_signed: u32) -> impl Strategy<Value = Number> {
    (formats(max_signed), mantissas()).prop_map(|(format, m)| Number::of_bits(m as u128, format))
}

fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |v| v.is_finite()),
        (any::<i32>(), -80..80i32).prop_map(|(m, e)| f64::from(m) * f64::from(e).exp2()),
        (any::<i16>(), 0..8i32).prop_map(|(m, e)| f64::from(m) / f64::from(e).exp2()),
        Just(0.0),
        Just(-0.0),
        Just(f64::from_bits(1)),
        Just(f64::MAX),
    ]
}

fn of_double(value: f64) -> BigRational {
    BigRational::from_float(value).unwrap()
}

/// Cases enough to meet every mode with every kind of mantissa.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn cast_is_the_rational_model(m in mantissas(), from in -150..150i32, to in formats(128)) {
        let expected = assigned(&value(m, from), &to);
        prop_assert_eq!(Cast::new(from, &to).apply(m), expected);
        prop_assert!(to.contains(expected));
    }

    #[test]
    fn cast_near_its_limits(
        near in -3..=3i128, quarter in -9..=9i128, high in any::<bool>(), drop in 0..4i32, to in formats(120),
    ) {
        let limit = if high { to.max_mantissa() } else { to.min_mantissa() };
        let m = ((limit + near) << drop) + quarter;
        let from = to.frac() + drop;
        prop_assert_eq!(Cast::new(from, &to).apply(m), assigned(&value(m, from), &to));
    }

    #[test]
    fn narrow_path_is_the_general_path(
        m in narrow_mantissas(), shift in -70..70i32, to in formats(64), headers in any::<bool>(),
    ) {
        let from = to.frac() + shift;
        let deviations = if headers { Deviations::HEADERS } else { Deviations::TEXTBOOK };
        let cast = Cast::with_deviations(from, &to, deviations);
        prop_assert_eq!(i128::from(cast.apply_i64(m)), cast.apply(i128::from(m)));
    }

    #[test]
    fn absurd_shifts_do_not_fail(m in mantissas(), from in any::<i32>(), to in formats(128)) {
        let cast = Cast::new(from, &to);
        prop_assert!(to.contains(cast.apply(m)));
        let _ = cast.apply_i64(m as i64);
    }

    #[test]
    fn bits_round_trip(n in numbers(128)) {
        prop_assert!(n.format().contains(n.mantissa()));
        prop_assert_eq!(Number::of_bits(n.bits(), *n.format()), n);
        prop_assert_eq!(Number::of_bits(n.bits() | u128::MAX.checked_shl(n.format().width()).unwrap_or(0), *n.format()), n);
        prop_assert_eq!(Number::new(n.mantissa(), *n.format()), Ok(n));
    }

    #[test]
    fn second_cast_changes_nothing(m in mantissas(), from in -150..150i32, to in formats(128)) {
        let once = Cast::new(from, &to).apply(m);
        prop_assert_eq!(Cast::new(to.frac(), &to).apply(once), once);
    }

    #[test]
    fn saturation_is_monotone(
        a in mantissas(), b in mantissas(), from in -150..150i32, to in formats(128), symmetric in any::<bool>(),
    ) {
        let mode = if symmetric { Overflow::SatSym } else { Overflow::Sat };
        let to = to.with_overflow(mode).unwrap();
        let cast = Cast::new(from, &to);
        prop_assert!(cast.apply(a.min(b)) <= cast.apply(a.max(b)));
    }

    #[test]
    fn doubles_are_exact(v in doubles(), to in formats(128)) {
        let exact = of_double(v);
        let dyadic = Dyadic::try_from(v).unwrap();
        prop_assert_eq!(&value(i128::from(dyadic.mantissa), -dyadic.exponent), &exact);
        let lowest_terms = dyadic.mantissa % 2 != 0 || (dyadic.mantissa, dyadic.exponent) == (0, 0);
        prop_assert!(lowest_terms);
        prop_assert_eq!(from_f64(v, &to), Ok(assigned(&exact, &to)));
    }

    #[test]
    fn to_double_is_the_nearest(m in mantissas(), frac in prop_oneof![-60..200i32, 980..1152i32, -1000..-850i32]) {
        let (exact, nearest) = (value(m, frac), to_f64(m, frac));
        if nearest.is_infinite() {
            // Half a unit above the largest double, or more.
            let limit = of_double(f64::MAX) + power_of_two(970);
            prop_assert!(exact.abs() >= limit && exact.is_negative() == (nearest < 0.0));
        } else {
            let distance = |v: f64| (of_double(v) - &exact).abs();
            for other in [nearest.next_up(), nearest.next_down()].into_iter().filter(|v| v.is_finite()) {
                prop_assert!(distance(nearest) < distance(other)
                    || (distance(nearest) == distance(other) && nearest.to_bits() % 2 == 0));
            }
        }
    }

    #[test]
    fn arithmetic_is_exact(a in numbers(64), b in numbers(64)) {
        let of = |n: &Number| value(n.mantissa(), n.format().frac());
        let (x, y) = (of(&a), of(&b));
        for (result, exact) in [
            (a.add(&b), &x + &y), (a.sub(&b), &x - &y), (a.mul(&b), &x * &y), (a.neg(), -&x),
        ] {
            match result {
                Ok(result) => {
                    prop_assert_eq!(of(&result), exact);
                    prop_assert!(result.format().contains(result.mantissa()));
                }
                Err(FormatError::Width { width, .. }) => prop_assert!(width > 127),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
        prop_assert_eq!(a.compare(&b), x.cmp(&y));
        prop_assert_eq!(b.compare(&a), y.cmp(&x));
        prop_assert_eq!(a.compare_with(&b, Deviations::TEXTBOOK), x.cmp(&y));
    }

    #[test]
    fn comparison_survives_any_distance(a in mantissas(), b in mantissas(), i in -1024..1024i32, j in -1024..1024i32) {
        let a = Number::of_bits(a as u128, Format::wide(128, i, true).unwrap());
        let b = Number::of_bits(b as u128, Format::wide(127, j, false).unwrap());
        let of = |n: &Number| value(n.mantissa(), n.format().frac());
        prop_assert_eq!(a.compare(&b), of(&a).cmp(&of(&b)));
        prop_assert_eq!(b.compare(&a), of(&b).cmp(&of(&a)));
    }

    #[test]
    fn shifts_move_bits(n in numbers(128), by in 0..140u32) {
        let width = n.format().width();
        let (up, down) = (n.shl(by), n.shr(by));
        let sign = n.format().signed() && n.mantissa() < 0;
        for place in 0..width {
            let bit = |n: &Number, place: u32| (n.bits() >> place) & 1 == 1;
            prop_assert_eq!(bit(&up, place), place >= by && bit(&n, place - by));
            prop_assert_eq!(bit(&down, place), if place + by < width { bit(&n, place + by) } else { sign });
        }
    }

    #[test]
    fn printed_decimals_round_like_the_exact_value(v in doubles(), digits in prop_oneof![0..30u32, 0..1100u32]) {
        let scale = BigInt::from(10).pow(digits);
        let exact = of_double(v);
        let scaled = rounded(&(&exact * &scale), Quantization::RndConv);
        let (whole, rest) = (scaled.magnitude() / scale.magnitude(), scaled.magnitude() % scale.magnitude());
        let sign = if v.is_sign_negative() { "-" } else { "" };
        let text = format!("{sign}{whole}.{:0>width$}", rest.to_string(), width = digits as usize);
        let printed: f64 = text.parse().unwrap();
        prop_assert_eq!(round_decimal(v, digits).to_bits(), printed.to_bits());
    }

    #[test]
    fn printed_weights(v in (-4.0..4.0f32).prop_map(f64::from), to in formats(24)) {
        let decimals = to.frac().max(0) as usize;
        let text = format!("{v:.decimals$}");
        prop_assert_eq!(
            from_printed_f64(v, &to, Deviations::TEXTBOOK),
            from_f64(text.parse().unwrap(), &to)
        );
    }

    /// Near a multiple of half the last bit the decimals decide; away from it they do not.
    #[test]
    fn printed_weights_near_the_borders_of_a_format(
        halves in -9000..9000i64,
        beside in prop_oneof![Just(0.0), -1.2..1.2f64, -0.5..0.5f64],
        near in 0..60i32,
        to in formats(24),
    ) {
        let half = 2f64.powi(-to.frac() - 1);
        let v = (halves as f64 + beside * 2f64.powi(-near)) * half;
        let read = round_decimal(v, to.frac().max(0).unsigned_abs());
        for deviations in [Deviations::TEXTBOOK, Deviations::HEADERS] {
            prop_assert_eq!(
                from_printed_f64(v, &to, deviations),
                from_f64_with(read, &to, deviations)
            );
        }
        // The two lie strictly between the same neighbours.
        if is_printed_beside_no_border(v, &to) {
            prop_assert_eq!((v / half).floor(), (read / half).floor(), "{} {}", v, read);
            prop_assert!((read / half).fract() != 0.0);
        }
    }
}

#[test]
fn doubles_that_are_no_numbers() {
    let to = Format::new(18, 8, true).unwrap();
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        assert!(from_f64(value, &to).is_err());
        assert!(from_printed_f64(value, &to, Deviations::TEXTBOOK).is_err());
    }
    assert!(Dyadic::try_from(f64::NAN).is_err());
}

/// The smallest mantissa is a tie where 128 bits are dropped, and just below 0 beyond.
#[test]
fn everything_dropped() {
    for mode in QUANTIZATIONS {
        let to = Format::wide(8, 8, true).unwrap().with_quantization(mode);
        for drop in 126..=131 {
            for m in [i128::MIN, i128::MIN + 1, -1, 0, 1, i128::MAX - 1, i128::MAX] {
                let expected = assigned(&value(m, drop), &to);
                assert_eq!(Cast::new(drop, &to).apply(m), expected, "{m} {drop} {mode:?}");
            }
        }
    }
}

#[test]
fn widths_at_the_limit() {
    assert_eq!(Format::wide(128, 3, true).unwrap().min_mantissa(), i128::MIN);
    assert_eq!(Format::wide(128, 3, true).unwrap().max_mantissa(), i128::MAX);
    assert_eq!(Format::wide(127, 3, false).unwrap().max_mantissa(), i128::MAX);
    assert!(Format::wide(128, 3, false).is_err());
    assert!(Format::new(65, 3, true).is_err());
    assert!(Format::new(0, 0, true).is_err());
    assert!(Format::new(8, 1025, true).is_err());
    assert!(Format::new(8, i32::MIN, true).is_err());
    assert!(Format::holding(i128::MIN, 0, 0).is_err());
    assert!(Format::holding(0, 1, i32::MIN).is_err());
    let most = Number::new(i128::from(i64::MIN), Format::new(64, 1, true).unwrap()).unwrap();
    let square = most.mul(&most).unwrap();
    assert_eq!((square.format().width(), square.to_f64()), (128, 1.0));
}

#[test]
fn formats_from_files_are_checked() {
    let parse = |width: &str, signed: &str, overflow: &str| {
        serde_json::from_str::<Format>(&format!(
            "{{\"width\":{width},\"integer\":2,\"signed\":{signed},\"quantization\":\"Rnd\",\"overflow\":{overflow}}}"
        ))
    };
    let good = parse("16", "true", "{\"WrapSm\":{\"saturation_bits\":1}}").unwrap();
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<Format>(&text).unwrap(), good);
    assert!(parse("0", "true", "\"Sat\"").is_err());
    assert!(parse("129", "true", "\"Sat\"").is_err());
    assert!(parse("16", "false", "{\"WrapSm\":{\"saturation_bits\":1}}").is_err());
}
