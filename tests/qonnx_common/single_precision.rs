//! Graphs of `Quant` and `MatMul` in exact arithmetic, with a bound on what an executor in single precision makes of
//! every number: each of its operations is rounded to nearest, with a relative error of at most 2^-24 (Higham,
//! Accuracy and Stability of Numerical Algorithms, 2.2 and 3.1; any order of a sum).

use std::collections::HashMap;
use std::path::Path;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use radstream::network::import::onnx::{OnnxGraph, OnnxNode};

/// A number, and how far an executor's lies from it at most.
#[derive(Clone, Debug)]
struct Number {
    value: BigRational,
    apart: BigRational,
}

/// An output behind a quantizer.
#[derive(Debug)]
pub struct Output {
    /// The integer, and the integers that an executor can give.
    integer: BigInt,
    allowed: (BigInt, BigInt),
    zero_point: BigInt,
    scale: BigRational,
}

impl Output {
    fn value(&self, integer: &BigInt) -> f64 {
        let value = BigRational::from(integer - &self.zero_point) * &self.scale;
        value.to_f64().unwrap()
    }

    /// The exact value.
    pub fn exact(&self) -> f64 {
        self.value(&self.integer)
    }

    /// Whether an executor can give this value.
    pub fn allows(&self, value: f64) -> bool {
        let (low, high) = (self.value(&self.allowed.0), self.value(&self.allowed.1));
        value == low || value == high
    }
}

fn unit() -> BigRational {
    BigRational::new(BigInt::one(), BigInt::one() << 24)
}

fn rational(value: f64) -> BigRational {
    BigRational::from_float(value).unwrap()
}

/// To the nearest integer, ties to the even one.
fn nearest(value: &BigRational) -> BigInt {
    let half = BigRational::new(1.into(), 2.into());
    let below = value.floor().to_integer();
    let rest = value - BigRational::from(below.clone());
    let up = rest > half || (rest == half && (&below % 2u8) != BigInt::zero());
    below + u8::from(up)
}

/// Whether multiples of `1 / denominator` up to `most` are numbers of single precision.
fn is_grid_of(denominator: &BigInt, most: &BigRational) -> bool {
    let bits = denominator.bits();
    *denominator == BigInt::one() << (bits - 1)
        && most * BigRational::from(denominator.clone()) <= unit().recip()
}

impl Number {
    fn of(value: f64) -> Self {
        Self {
            value: rational(value),
            apart: BigRational::zero(),
        }
    }

    fn magnitude(&self) -> BigRational {
        self.value.abs() + &self.apart
    }

    /// The same behind one more rounding; a number of 24 bits stays.
    fn rounded(mut self) -> Self {
        if self.apart.is_zero() && is_grid_of(self.value.denom(), &self.value.abs()) {
            return self;
        }
        self.apart += self.magnitude() * unit();
        self
    }
}

/// A quantizer's parameters; all in the file are one number.
struct Quantizer {
    scale: BigRational,
    zero_point: BigInt,
    range: (BigInt, BigInt),
}

impl Quantizer {
    fn of(graph: &OnnxGraph, node: &OnnxNode) -> Self {
        let number = |position: usize| rational(graph.constants[&node.inputs[position]].reals()[0]);
        let bits = number(3).to_integer().to_u32().unwrap();
        let narrow = i64::from(node.int("narrow") == Some(1));
        let range = if node.int("signed") == Some(1) {
            (-(1i64 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1)
        } else {
            (0, (1 << bits) - 1 - narrow)
        };
        Self {
            scale: number(1),
            zero_point: number(2).to_integer(),
            range: (range.0.into(), range.1.into()),
        }
    }

    fn apply(&self, number: &Number) -> Output {
        let quotient = Number {
            value: &number.value / &self.scale,
            apart: &number.apart / &self.scale,
        };
        let mut shifted = quotient.rounded();
        shifted.value += BigRational::from(self.zero_point.clone());
        let shifted = shifted.rounded();
        let integer = |value: BigRational| nearest(&value).clamp(self.range.0.clone(), self.range.1.clone());
        Output {
            allowed: (
                integer(&shifted.value - &shifted.apart),
                integer(&shifted.value + &shifted.apart),
            ),
            integer: integer(shifted.value),
            zero_point: self.zero_point.clone(),
            scale: self.scale.clone(),
        }
    }

    /// What goes on in the graph; a value on a tie cannot.
    fn passed(&self, number: &Number) -> Number {
        let output = self.apply(number);
        assert_eq!(output.allowed.0, output.allowed.1, "a tie within the graph");
        let value = BigRational::from(output.integer - output.zero_point) * output.scale;
        let exact = Number {
            value,
            apart: BigRational::zero(),
        };
        exact.rounded()
    }
}

/// A sum of products in any order: a rounding for each product and each sum, none where all of them lie on one grid.
fn inner_product(row: &[Number], column: &[&Number]) -> Number {
    let mut sum = BigRational::zero();
    let mut magnitudes = BigRational::zero();
    let mut apart = BigRational::zero();
    let mut grid = BigInt::one();
    for (a, b) in row.iter().zip(column) {
        sum += &a.value * &b.value;
        magnitudes += a.magnitude() * b.magnitude();
        grid = grid.max((&a.value * &b.value).denom().clone());
        apart += a.magnitude() * b.magnitude() - a.value.abs() * b.value.abs();
    }
    if apart.is_zero() && is_grid_of(&grid, &magnitudes) {
        return Number { value: sum, apart };
    }
    let roundings = unit() * BigRational::from(BigInt::from(row.len()));
    apart += magnitudes * &roundings / (BigRational::one() - roundings);
    Number { value: sum, apart }
}

/// The graph of a file.
pub fn graph(file: &Path) -> OnnxGraph {
    OnnxGraph::parse(file, &std::fs::read(file).unwrap()).unwrap()
}

/// The outputs of one sample.
pub fn evaluate(graph: &OnnxGraph, sample: &[f64]) -> Vec<Output> {
    let numbers = |values: &[f64]| values.iter().map(|&value| Number::of(value)).collect();
    let mut values: HashMap<&str, Vec<Number>> = HashMap::new();
    for (name, constant) in &graph.constants {
        values.insert(name, numbers(&constant.reals()));
    }
    let (last, before) = graph.nodes.split_last().unwrap();
    values.insert(before[0].inputs[0].as_str(), numbers(sample));
    for node in before {
        let operand = &values[node.inputs[0].as_str()];
        let result = match node.op.as_str() {
            "Quant" => {
                let quantizer = Quantizer::of(graph, node);
                operand.iter().map(|number| quantizer.passed(number)).collect()
            }
            "MatMul" => {
                let weights = &values[node.inputs[1].as_str()];
                let columns = weights.len() / operand.len();
                let column = |at: usize| weights.iter().skip(at).step_by(columns).collect::<Vec<_>>();
                (0..columns)
                    .map(|at| inner_product(operand, &column(at)))
                    .collect()
            }
            other => panic!("{other}"),
        };
        values.insert(&node.outputs[0], result);
    }
    let quantizer = Quantizer::of(graph, last);
    let operand = &values[last.inputs[0].as_str()];
    operand.iter().map(|number| quantizer.apply(number)).collect()
}
