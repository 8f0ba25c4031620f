//! Every row of the golden data. Rows that leave the textbook are explained by exactly one named
//! deviation and counted.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use radstream::fixed_point::{
    Cast, Deviation, Deviations, Format, Number, from_f64, from_f64_with, negation_format, to_f64,
};

use crate::common::shared_data;
use crate::rows::{QUANTIZATIONS, hex, number, overflow, plain_format, read, target_format};

/// What a file's rows came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    rows: usize,
    /// Rows beside the textbook that agree with one deviation switched on, by its name.
    deviating: BTreeMap<&'static str, usize>,
    /// Rows beside the textbook that no single deviation explains.
    unexplained: Vec<String>,
    /// Rows that disagree with all deviations switched on.
    unlike_headers: Vec<String>,
}

impl Tally {
    /// Counts one row, `compute` being our result under given deviations.
    fn row<T: PartialEq>(&mut self, golden: &T, compute: impl Fn(Deviations) -> T, say: impl Fn() -> String) {
        self.rows += 1;
        if compute(Deviations::HEADERS) != *golden {
            self.unlike_headers.push(say());
        }
        if compute(Deviations::TEXTBOOK) == *golden {
            return;
        }
        let explained: Vec<_> = Deviation::ALL
            .into_iter()
            .filter(|&deviation| compute(deviation.into()) == *golden)
            .collect();
        match explained[..] {
            [one] => *self.deviating.entry(one.name()).or_default() += 1,
            _ => self.unexplained.push(say()),
        }
    }

    fn check(&self, rows: usize, deviating: &[(&'static str, usize)]) {
        assert_eq!(self.unexplained, Vec::<String>::new());
        assert_eq!(self.unlike_headers, Vec::<String>::new());
        assert_eq!(self.rows, rows);
        assert_eq!(
            self.deviating,
            deviating.iter().copied().collect::<BTreeMap<_, _>>()
        );
    }
}

/// Conversion rows: source, target, source bits, target bits.
fn conversions(folder: &std::path::Path) -> Vec<(Number, Format, u128)> {
    let mut all: Vec<_> = read(folder, "apfixed_conv_A.csv.gz")
        .iter()
        .map(|row| {
            let source = Number::of_bits(hex(&row[9]), plain_format(&row[0..3]));
            (source, target_format(&row[3..9]), hex(&row[10]))
        })
        .collect();
    assert_eq!(all.len(), 20_230);
    all.extend(exhaustive(folder));
    all
}

fn exhaustive(folder: &std::path::Path) -> Vec<(Number, Format, u128)> {
    let mut all = Vec::new();
    for row in read(folder, "apfixed_exhaustive_small.csv.gz") {
        let (from, to) = (plain_format(&row[0..3]), target_format(&row[3..9]));
        assert!(from.width() == 6 && to.width() <= 4, "one digit per value");
        assert_eq!(row[9].len(), 64);
        for (source, target) in row[9].chars().enumerate() {
            let target = u128::from(target.to_digit(16).unwrap());
            all.push((Number::of_bits(source as u128, from), to, target));
        }
    }
    all
}

fn tally_conversions(rows: &[(Number, Format, u128)]) -> Tally {
    let mut tally = Tally::default();
    for (source, to, golden) in rows {
        let compute = |deviations| {
            let cast = Cast::with_deviations(source.format().frac(), to, deviations);
            let result = cast.apply(source.mantissa());
            assert!(to.contains(result), "{source:?} to {to}: {result}");
            if let (Ok(narrow), true) = (i64::try_from(source.mantissa()), to.width() < 64 || to.signed()) {
                assert_eq!(i128::from(cast.apply_i64(narrow)), result, "{source:?} to {to}");
            }
            to.bits_of(result)
        };
        tally.row(golden, compute, || format!("{source:?} to {to}: {golden:x}"));
    }
    tally
}

#[test]
fn conversions_agree() {
    let Some(folder) = shared_data() else { return };
    let (random, exhaustive) = {
        let mut all = conversions(&folder);
        let exhaustive = all.split_off(20_230);
        (all, exhaustive)
    };
    tally_conversions(&random).check(20_230, &[("wrap_sm_sign_before_rounding", 22)]);
    tally_conversions(&exhaustive).check(
        120_960,
        &[("sat_sym_width_one", 657), ("wrap_sm_sign_before_rounding", 382)],
    );
}

#[test]
fn doubles_agree() {
    let Some(folder) = shared_data() else { return };
    let mut tally = Tally::default();
    for row in read(&folder, "apfixed_from_double_A.csv.gz") {
        let value = f64::from_bits(u64::from_str_radix(&row[0], 16).unwrap());
        let to = target_format(&row[1..7]);
        let golden = hex(&row[7]);
        tally.row(
            &golden,
            |deviations| to.bits_of(from_f64_with(value, &to, deviations).unwrap()),
            || format!("{value} to {to}: {golden:x}"),
        );
        assert_eq!(
            from_f64(value, &to),
            from_f64_with(value, &to, Deviations::TEXTBOOK)
        );
        let back = to_f64(to.mantissa_of_bits(golden), to.frac());
        assert_eq!(format!("{:016x}", back.to_bits()), row[8], "{golden:x} in {to}");
    }
    tally.check(4_200, &[("wrap_sm_sign_before_rounding", 9)]);
}

/// The headers' comparison word: bit 0 `<`, 1 `>`, 2 `==`, 3 `<=`, 4 `>=`.
fn comparison_word(order: Ordering) -> u128 {
    let flags = [
        order.is_lt(),
        order.is_gt(),
        order.is_eq(),
        order.is_le(),
        order.is_ge(),
    ];
    flags
        .iter()
        .rev()
        .fold(0, |word, &flag| word << 1 | u128::from(flag))
}

#[test]
fn operations_agree() {
    let Some(folder) = shared_data() else { return };
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut mixed_sign_comparisons = 0;
    for row in read(&folder, "apfixed_ops_A.csv.gz") {
        let op = row[0].as_str();
        let a = Number::of_bits(hex(&row[7]), plain_format(&row[1..4]));
        let tally = tallies.entry(op.to_owned()).or_default();
        let say = || format!("{row:?}");
        if let "shl" | "shr" = op {
            let by = number(&row[4]);
            let result = if op == "shl" { a.shl(by) } else { a.shr(by) };
            tally.row(&hex(&row[12]), |_| result.bits(), say);
            continue;
        }
        let b = Number::of_bits(hex(&row[8]), plain_format(&row[4..7]));
        if op == "cmp" {
            let mixed = a.format().signed() != b.format().signed();
            let deviating = comparison_word(a.compare(&b)) != hex(&row[12]);
            assert!(mixed || !deviating, "{row:?}");
            mixed_sign_comparisons += usize::from(mixed);
            tally.row(
                &hex(&row[12]),
                |deviations| comparison_word(a.compare_with(&b, deviations)),
                say,
            );
            continue;
        }
        let result = match op {
            "add" => a.add(&b),
            "sub" => a.sub(&b),
            "mul" => a.mul(&b),
            "neg" => a.neg(),
            _ => panic!("no operation {op}"),
        }
        .unwrap();
        assert!(result.format().contains(result.mantissa()), "{row:?}");
        let golden = (plain_format(&row[9..12]), hex(&row[12]));
        tally.row(&golden, |_| (*result.format(), result.bits()), say);
        if op == "neg" {
            assert_eq!(negation_format(a.format()).unwrap(), golden.0);
        }
    }
    assert_eq!(tallies.len(), 7);
    for (op, tally) in &tallies {
        let deviating: &[_] = match op.as_str() {
            "cmp" => &[("mixed_sign_comparison", 76)],
            _ => &[],
        };
        tally.check(980, deviating);
    }
    assert_eq!(mixed_sign_comparisons, 476);
}

/// Every mode is held in place by rows of its own: read as any other mode they would differ.
#[test]
fn golden_rows_tell_the_modes_apart() {
    let Some(folder) = shared_data() else { return };
    let rows = conversions(&folder);
    let overflows: Vec<_> = [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 0),
        (3, 1),
        (3, 2),
        (4, 0),
        (4, 1),
        (4, 2),
    ]
    .map(|(code, bits)| overflow(code, bits))
    .to_vec();
    let differing = |select: &dyn Fn(&Format) -> bool, change: &dyn Fn(Format) -> Option<Format>| {
        rows.iter()
            .filter(|(_, to, _)| select(to))
            .filter(|(source, to, golden)| {
                change(*to).is_some_and(|other| {
                    let cast = Cast::with_deviations(source.format().frac(), &other, Deviations::HEADERS);
                    other.bits_of(cast.apply(source.mantissa())) != *golden
                })
            })
            .count()
    };
    for right in QUANTIZATIONS {
        for wrong in QUANTIZATIONS.into_iter().filter(|&wrong| wrong != right) {
            let count = differing(&|to| to.quantization() == right, &|to| {
                Some(to.with_quantization(wrong))
            });
            assert!(count >= 10, "{right:?} as {wrong:?}: {count}");
        }
    }
    for &right in &overflows {
        for &wrong in overflows.iter().filter(|&&wrong| wrong != right) {
            let count = differing(&|to| to.overflow() == right, &|to| to.with_overflow(wrong).ok());
            assert!(count >= 10, "{right:?} as {wrong:?}: {count}");
        }
    }
}

/// What the headers' `a > b` says where the conditions of the mixed-sign deviation begin to hold,
/// the signed operand being the mantissa -1 and the unsigned one 1.
#[test]
fn mixed_sign_comparisons_at_the_limits() {
    let headers = Deviations::from(Deviation::MixedSignComparison);
    // Left width and integer bits, right width and integer bits, left is the signed one, `a > b`.
    for (w, i, v, j, left_signed, greater) in [
        (15, 7, 31, 23, true, false),
        (31, 29, 16, 14, false, true),
        (64, 59, 64, 60, false, true),
        (30, 28, 32, 29, false, false),
        (32, 26, 16, 16, false, false),
        (32, 28, 15, 15, false, false),
        (33, 29, 33, 29, true, true),
        (32, 22, 32, 22, true, true),
        (70, 62, 70, 62, true, true),
        (31, 27, 32, 28, true, true),
        (31, 30, 30, 29, false, true),
        (40, 30, 40, 30, false, false),
        (33, 27, 32, 26, true, false),
        (16, 11, 31, 23, true, false),
        (1, 0, 32, 31, true, true),
        (31, 27, 32, 27, true, false),
        (40, 37, 40, 38, false, true),
        (32, 22, 32, 22, true, true),
        (33, 29, 32, 28, true, false),
        (40, 28, 40, 28, false, false),
        (31, 27, 33, 28, false, false),
        (30, 21, 15, 5, false, false),
    ] {
        let number = |width, integer, signed| {
            let format = Format::wide(width, integer, signed).unwrap();
            Number::new(if signed { -1 } else { 1 }, format).unwrap()
        };
        let (a, b) = (number(w, i, left_signed), number(v, j, !left_signed));
        assert_eq!(a.compare_with(&b, headers).is_gt(), greater, "{a:?} > {b:?}");
        assert_eq!(a.compare(&b).is_gt(), !left_signed, "{a:?} > {b:?}");
    }
}

/// What the headers make of doubles that are no numbers, and of subnormal ones.
#[test]
fn special_doubles_as_the_headers_read_them() {
    let by_fields = Deviations::from(Deviation::DoubleByItsFields);
    let headers = |value, to: &Format| from_f64_with(value, to, by_fields).unwrap();
    let wrapping = Format::new(18, 8, true).unwrap();
    let to = target_format(&["18", "8", "1", "0", "0", "0"].map(str::to_owned));
    assert_eq!(headers(f64::INFINITY, &to), 131_071);
    assert_eq!(headers(f64::NEG_INFINITY, &to), -131_072);
    assert_eq!(headers(f64::NAN.copysign(1.0), &to), 131_071);
    assert_eq!(headers(f64::NAN.copysign(-1.0), &to), -131_072);
    assert_eq!(headers(f64::INFINITY, &wrapping), 0);
    let fine = Format::new(64, -1011, false).unwrap();
    assert_eq!(headers(f64::from_bits(1), &fine), 0x10_0000_0000_0001);
    assert_eq!(
        headers(f64::from_bits(0xf_ffff_ffff_ffff), &fine),
        0x1f_ffff_ffff_ffff
    );
    assert_eq!(headers(-0.0, &fine), 0);
}
