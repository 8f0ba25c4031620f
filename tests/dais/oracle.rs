//! Random programs in DAIS's binary form, and an interpreter of that form on rational numbers, after the text of
//! da4ml's `docs/dais.md`. It shares nothing with the importer.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A type: signed, integer bits without the sign, fractional bits.
type Kif = (bool, i32, i32);

fn width(kif: Kif) -> i32 {
    i32::from(kif.0) + kif.1 + kif.2
}

fn power(exponent: i32) -> BigRational {
    let two = BigRational::from_integer(2.into());
    num_traits::Pow::pow(two, exponent)
}

/// Truncated and wrapped to a type.
fn wrap(value: &BigRational, kif: Kif) -> BigRational {
    if width(kif) == 0 {
        return BigRational::zero();
    }
    let modulus = BigInt::from(1) << width(kif) as usize;
    let mut steps = (value * power(kif.2)).floor().to_integer() % &modulus;
    if steps.is_negative() {
        steps += &modulus;
    }
    if kif.0 && steps >= (&modulus >> 1) {
        steps -= modulus;
    }
    BigRational::from_integer(steps) / power(kif.2)
}

fn steps(value: &BigRational, frac: i32) -> BigInt {
    let steps = value * power(frac);
    assert!(steps.is_integer());
    steps.to_integer()
}

/// The outputs of a program for one sample.
pub fn run(words: &[i32], sample: &[f64]) -> Vec<f64> {
    let [inputs, outputs, count, tables] = [2, 3, 4, 5].map(|at| words[at] as usize);
    let shifts = &words[6..6 + inputs];
    let out = |row: usize| &words[6 + inputs + row * outputs..][..outputs];
    let code = &words[6 + inputs + 3 * outputs..][..8 * count];
    let mut rest = &words[6 + inputs + 3 * outputs + 8 * count..];
    let sizes = &rest[..tables];
    rest = &rest[tables..];
    let mut contents = Vec::new();
    for &size in sizes {
        let (table, after) = rest.split_at(size as usize);
        contents.push(table);
        rest = after;
    }
    let mut buffer: Vec<BigRational> = Vec::new();
    let mut kifs: Vec<Kif> = Vec::new();
    let signed = |value: BigRational, negative: bool| if negative { -value } else { value };
    for op in code.chunks_exact(8) {
        let kif = (op[5] == 1, op[6], op[7]);
        let data = BigInt::from(i64::from(op[4]) << 32 | i64::from(op[3]) & 0xffff_ffff);
        let (id0, id1) = (op[1] as usize, op[2] as usize);
        let zero = BigRational::zero;
        let value = match op[0] {
            -1 => BigRational::from_float(sample[id0]).unwrap() * power(shifts[id0]),
            0 => &buffer[id0] + &buffer[id1] * power(op[3]),
            1 => &buffer[id0] - &buffer[id1] * power(op[3]),
            2 | -2 => signed(buffer[id0].clone(), op[0] < 0).max(zero()),
            3 | -3 => signed(buffer[id0].clone(), op[0] < 0),
            4 => &buffer[id0] + BigRational::from_integer(data) / power(kif.2),
            5 => BigRational::from_integer(data) / power(kif.2),
            6 | -6 => {
                let (condition, of) = (&buffer[op[3] as usize], kifs[op[3] as usize]);
                let top = if of.0 {
                    condition.is_negative()
                } else {
                    width(of) > 0 && *condition >= power(of.1 - 1)
                };
                if top {
                    buffer[id0].clone()
                } else {
                    signed(&buffer[id1] * power(op[4]), op[0] < 0)
                }
            }
            7 => &buffer[id0] * &buffer[id1],
            8 => {
                let of = kifs[id0];
                let lowest = if of.0 {
                    -(BigInt::from(1) << (width(of) - 1) as usize)
                } else {
                    BigInt::zero()
                };
                let index = steps(&buffer[id0], of.2) - lowest - BigInt::from(op[4]);
                let entry = index
                    .to_usize()
                    .and_then(|index| contents[op[3] as usize].get(index));
                BigRational::from_integer(entry.copied().unwrap_or(0).into()) / power(kif.2)
            }
            9 | -9 => {
                let of = kifs[id0];
                let bits = steps(&signed(buffer[id0].clone(), op[0] < 0), of.2);
                let mask = (BigInt::from(1) << width(of) as usize) - 1;
                match op[3] {
                    0 if kif.0 => BigRational::from_integer(-bits - 1) / power(kif.2),
                    0 => BigRational::from_integer((-bits - 1) & mask) / power(kif.2),
                    1 => BigRational::from_integer(i32::from(!bits.is_zero()).into()),
                    _ => BigRational::from_integer(i32::from(bits & &mask == mask).into()),
                }
            }
            10 => {
                let a = signed(buffer[id0].clone(), op[4] & 1 == 1);
                let b = signed(&buffer[id1] * power(op[3]), op[4] & 2 == 2);
                // Any grid that holds both gives the same bits.
                let grid = 40;
                let (a, b) = (steps(&a, grid), steps(&b, grid));
                let bits = match op[4] >> 24 {
                    0 => a & b,
                    1 => a | b,
                    _ => a ^ b,
                };
                BigRational::from_integer(bits) / power(grid)
            }
            opcode => panic!("opcode {opcode}"),
        };
        buffer.push(wrap(&value, kif));
        kifs.push(kif);
    }
    (0..outputs)
        .map(|at| {
            let Ok(id) = usize::try_from(out(0)[at]) else {
                return 0.0;
            };
            let value = signed(&buffer[id] * power(out(1)[at]), out(2)[at] != 0);
            value.to_f64().unwrap()
        })
        .collect()
}

/// A random program that keeps the rules of the format but for overflows.
pub struct Generated {
    /// The file.
    pub words: Vec<i32>,
}

/// A type of a few bits with these fractional bits, sometimes of none.
fn some_type(random: &mut ChaCha8Rng, frac: i32) -> Kif {
    let signed = random.random_bool(0.5);
    let width = random.random_range(1..=12);
    (signed, width - i32::from(signed) - frac, frac)
}

pub fn random_program(random: &mut ChaCha8Rng) -> Generated {
    let inputs = random.random_range(1..5usize);
    let mut code: Vec<[i32; 8]> = Vec::new();
    let mut kifs: Vec<Kif> = Vec::new();
    let mut tables: Vec<Vec<i32>> = Vec::new();
    for input in 0..inputs {
        let mut kif = any_type(random);
        if random.random_range(0..12) == 0 {
            kif = (false, 0, 0);
        }
        code.push([-1, input as i32, -1, 0, 0, i32::from(kif.0), kif.1, kif.2]);
        kifs.push(kif);
    }
    for _ in 0..random.random_range(1..30) {
        let pick = |random: &mut ChaCha8Rng| random.random_range(0..kifs.len());
        let (a, b, c) = (pick(random), pick(random), pick(random));
        let shift = random.random_range(-3..4);
        let sign = if random.random_bool(0.5) { 1 } else { -1 };
        // The finest grid of two operands; one without bits lies on any.
        let common = |a: usize, b: usize| match (width(kifs[a]) > 0, width(kifs[b]) > 0) {
            (true, true) => kifs[a].2.max(kifs[b].2 - shift),
            (true, false) => kifs[a].2,
            (false, true) => kifs[b].2 - shift,
            (false, false) => 0,
        };
        let (id0, id1) = (a as i32, b as i32);
        let (op, kif) = match random.random_range(0..11) {
            opcode @ (0 | 1) => (
                [opcode, id0, id1, shift, shift >> 31],
                some_type(random, common(a, b)),
            ),
            2 => ([2 * sign, id0, -1, 0, 0], any_type(random)),
            3 => ([3 * sign, id0, -1, 0, 0], any_type(random)),
            4 => {
                let constant = random.random_range(-40..40);
                let frac = kifs[a].2 + random.random_range(0..2);
                ([4, id0, -1, constant, constant >> 31], some_type(random, frac))
            }
            5 => {
                let constant = random.random_range(-40..40);
                ([5, -1, -1, constant, constant >> 31], any_type(random))
            }
            6 => (
                [6 * sign, id0, id1, c as i32, shift],
                some_type(random, common(a, b)),
            ),
            7 => ([7, id0, id1, 0, 0], some_type(random, kifs[a].2 + kifs[b].2)),
            8 => {
                let entries = random.random_range(1..80);
                tables.push((0..entries).map(|_| random.random_range(-99..99)).collect());
                let pad = random.random_range(0..4);
                let table = tables.len() as i32 - 1;
                ([8, id0, -1, table, pad], any_type(random))
            }
            9 => match random.random_range(0..3) {
                0 => ([9 * sign, id0, -1, 0, 0], some_type(random, kifs[a].2)),
                which => ([9 * sign, id0, -1, which, 0], some_type(random, 0)),
            },
            _ => {
                let high = random.random_range(0..3) << 24 | random.random_range(0..4);
                ([10, id0, id1, shift, high], some_type(random, common(a, b)))
            }
        };
        // Products may go far below the point; quantize before that.
        if kif.2.abs() > 24 {
            continue;
        }
        code.push([op[0], op[1], op[2], op[3], op[4], i32::from(kif.0), kif.1, kif.2]);
        kifs.push(kif);
    }
    let outputs = random.random_range(1..5usize);
    let ids: Vec<i32> = (0..outputs)
        .map(|_| random.random_range(-1..code.len() as i32))
        .collect();
    let mut words = vec![
        1,
        0,
        inputs as i32,
        outputs as i32,
        code.len() as i32,
        tables.len() as i32,
    ];
    words.extend((0..inputs).map(|_| random.random_range(-2..3)));
    words.extend(ids);
    words.extend((0..outputs).map(|_| random.random_range(-3..4)));
    words.extend((0..outputs).map(|_| random.random_range(0..2)));
    words.extend(code.iter().flatten());
    words.extend(tables.iter().map(|table| table.len() as i32));
    words.extend(tables.iter().flatten());
    Generated { words }
}

fn any_type(random: &mut ChaCha8Rng) -> Kif {
    let frac = random.random_range(-2..5);
    some_type(random, frac)
}
