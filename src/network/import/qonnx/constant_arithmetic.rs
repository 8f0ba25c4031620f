//! Arithmetic on the elements of constants, as onnxruntime computes it: real numbers in the precision of their
//! element type, every result rounded once to it, integers in 64 bits.

use num_traits::ToPrimitive;

use super::selection::each_pair;
use crate::network::import::onnx::{Constant, ConstantData, Precision};

/// Why elements have no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An integer leaves 64 bits.
    Overflow,
    /// A divisor is 0.
    DivisionByZero,
    /// The operator is not defined on integers.
    RealOnly,
    /// A value leaves the range of the type that it is cast to.
    OutOfRange,
}

/// Operators on two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Xor,
}

impl Pair {
    /// Whether the result is a truth value.
    fn is_test(self) -> bool {
        match self {
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Pow | Self::Min | Self::Max => false,
            Self::Equal
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::And
            | Self::Or
            | Self::Xor => true,
        }
    }

    fn of_integers(self, x: i64, y: i64) -> Option<i64> {
        let test = |holds: bool| Some(i64::from(holds));
        match self {
            Self::Add => x.checked_add(y),
            Self::Sub => x.checked_sub(y),
            Self::Mul => x.checked_mul(y),
            // Towards zero, as in C.
            Self::Div => x.checked_div(y),
            Self::Pow => x.checked_pow(u32::try_from(y).ok()?),
            Self::Min => Some(x.min(y)),
            Self::Max => Some(x.max(y)),
            Self::Equal => test(x == y),
            Self::Greater => test(x > y),
            Self::GreaterOrEqual => test(x >= y),
            Self::Less => test(x < y),
            Self::LessOrEqual => test(x <= y),
            Self::And => test(x != 0 && y != 0),
            Self::Or => test(x != 0 || y != 0),
            Self::Xor => test((x != 0) != (y != 0)),
        }
    }

    /// Sums, differences, products and quotients of doubles are rounded to a shorter precision as if they had
    /// been computed in it, because a double has more than twice its digits.
    fn of_reals(self, x: f64, y: f64, precision: Precision) -> f64 {
        let nearest = |value: f64| precision.round(value);
        let test = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Add => nearest(x + y),
            Self::Sub => nearest(x - y),
            Self::Mul => nearest(x * y),
            Self::Div => nearest(x / y),
            // onnxruntime multiplies for squares and cubes.
            Self::Pow if y == 2.0 => nearest(x * x),
            Self::Pow if y == 3.0 => nearest(nearest(x * x) * x),
            Self::Pow => nearest(libm::pow(x, y)),
            Self::Min | Self::Max if x.is_nan() || y.is_nan() => f64::NAN,
            Self::Min => x.min(y),
            Self::Max => x.max(y),
            Self::Equal => test(x == y),
            Self::Greater => test(x > y),
            Self::GreaterOrEqual => test(x >= y),
            Self::Less => test(x < y),
            Self::LessOrEqual => test(x <= y),
            Self::And => test(x != 0.0 && y != 0.0),
            Self::Or => test(x != 0.0 || y != 0.0),
            Self::Xor => test((x != 0.0) != (y != 0.0)),
        }
    }

    /// The results on two constants that are spread over `shape`.
    pub fn apply(
        self,
        shape: Vec<usize>,
        a: &Constant,
        b: &Constant,
        precision: Precision,
    ) -> Result<Constant, Failure> {
        let len = shape.iter().product();
        let data = match (&a.data, &b.data) {
            (ConstantData::Integer(x), ConstantData::Integer(y)) => {
                if self == Self::Div && y.contains(&0) {
                    return Err(Failure::DivisionByZero);
                }
                let mut values = Vec::with_capacity(len);
                each_pair(&shape, &a.shape, &b.shape, |i, j| {
                    values.push(self.of_integers(x[i], y[j]));
                });
                let values: Option<Vec<i64>> = values.into_iter().collect();
                ConstantData::Integer(values.ok_or(Failure::Overflow)?)
            }
            _ => {
                let (x, y) = (a.reals(), b.reals());
                if self == Self::Div && y.contains(&0.0) {
                    return Err(Failure::DivisionByZero);
                }
                let mut values = Vec::with_capacity(len);
                each_pair(&shape, &a.shape, &b.shape, |i, j| {
                    values.push(self.of_reals(x[i], y[j], precision));
                });
                if self.is_test() {
                    ConstantData::Integer(values.iter().map(|&value| i64::from(value != 0.0)).collect())
                } else if self == Self::Pow && matches!(a.data, ConstantData::Integer(_)) {
                    // A power has the type of its base.
                    let whole: Option<Vec<i64>> = values.iter().map(|&value| truncated(value)).collect();
                    ConstantData::Integer(whole.ok_or(Failure::Overflow)?)
                } else {
                    ConstantData::Real(values)
                }
            }
        };
        Ok(Constant::new(shape, data))
    }
}

/// Operators on one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single {
    Abs,
    Ceil,
    Floor,
    Neg,
    Not,
    Reciprocal,
    Round,
    Sign,
    Sqrt,
}

impl Single {
    fn of_integer(self, value: i64) -> Result<i64, Failure> {
        let fitting = |value: Option<i64>| value.ok_or(Failure::Overflow);
        match self {
            Self::Abs => fitting(value.checked_abs()),
            Self::Sign => Ok(value.signum()),
            Self::Neg => fitting(value.checked_neg()),
            Self::Not => Ok(i64::from(value == 0)),
            Self::Ceil | Self::Floor | Self::Round => Ok(value),
            Self::Reciprocal | Self::Sqrt => Err(Failure::RealOnly),
        }
    }

    fn of_real(self, value: f64) -> f64 {
        match self {
            Self::Ceil => libm::ceil(value),
            Self::Floor => libm::floor(value),
            Self::Round => libm::rint(value),
            Self::Sqrt => libm::sqrt(value),
            Self::Reciprocal => 1.0 / value,
            Self::Abs => value.abs(),
            Self::Sign if value == 0.0 => 0.0,
            Self::Sign => 1f64.copysign(value),
            Self::Neg => -value,
            Self::Not => f64::from(value == 0.0),
        }
    }

    /// The results on all elements.
    pub fn apply(self, constant: &Constant, precision: Precision) -> Result<Constant, Failure> {
        let data = match &constant.data {
            ConstantData::Real(values) => {
                let results = values.iter().map(|&value| precision.round(self.of_real(value)));
                ConstantData::Real(results.collect())
            }
            ConstantData::Integer(values) => {
                let results: Result<_, _> = values.iter().map(|&value| self.of_integer(value)).collect();
                ConstantData::Integer(results?)
            }
        };
        Ok(Constant::new(constant.shape.clone(), data))
    }
}

/// Reductions of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Max,
    Min,
    Prod,
    Sum,
}

impl Reduction {
    fn of(self, x: i64, y: i64) -> Option<i64> {
        match self {
            Self::Prod => x.checked_mul(y),
            Self::Sum => x.checked_add(y),
            Self::Max => Some(x.max(y)),
            Self::Min => Some(x.min(y)),
        }
    }

    /// What a reduction of nothing gives.
    fn of_nothing(self) -> Option<i64> {
        match self {
            Self::Prod => Some(1),
            Self::Sum => Some(0),
            Self::Max | Self::Min => None,
        }
    }

    /// The results over the axes whose extent is 1 in `reduced`.
    pub fn apply(self, values: &[i64], shape: &[usize], reduced: &[usize]) -> Result<Vec<i64>, Failure> {
        let mut results: Vec<Option<Option<i64>>> = vec![None; reduced.iter().product()];
        each_pair(shape, shape, reduced, |from, to| {
            results[to] = Some(match results[to] {
                None => Some(values[from]),
                Some(so_far) => so_far.and_then(|so_far| self.of(so_far, values[from])),
            });
        });
        let results: Option<Vec<i64>> = results
            .into_iter()
            .map(|result| result.unwrap_or(self.of_nothing()))
            .collect();
        results.ok_or(Failure::Overflow)
    }
}

/// The precision of the results of a cast to an ONNX element type, or of constants of it.
pub fn precision_of_type(element_type: i32) -> Precision {
    match element_type {
        10 => Precision::Half,
        11 => Precision::Double,
        _ => Precision::Single,
    }
}

/// A constant in another ONNX element type; none where there is no such type here.
pub fn cast(constant: &Constant, element_type: i32) -> Result<Option<Constant>, Failure> {
    let range = match element_type {
        2 => Some((0, i64::from(u8::MAX))),
        3 => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
        4 => Some((0, i64::from(u16::MAX))),
        5 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        6 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        7 => Some((i64::MIN, i64::MAX)),
        12 => Some((0, i64::from(u32::MAX))),
        13 => Some((0, i64::MAX)),
        _ => None,
    };
    let data = match (element_type, range) {
        (1 | 10 | 11, _) => {
            let precision = precision_of_type(element_type);
            let values = constant.reals();
            ConstantData::Real(values.iter().map(|&value| precision.round(value)).collect())
        }
        (9, _) => {
            let values = constant.reals();
            ConstantData::Integer(values.iter().map(|&value| i64::from(value != 0.0)).collect())
        }
        (_, Some((low, high))) => {
            let values: Option<Vec<i64>> = match &constant.data {
                ConstantData::Integer(values) => Some(values.clone()),
                // Towards zero.
                ConstantData::Real(values) => values.iter().map(|&value| truncated(value)).collect(),
            };
            let values = values.filter(|values| values.iter().all(|value| (low..=high).contains(value)));
            ConstantData::Integer(values.ok_or(Failure::OutOfRange)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Constant::new(constant.shape.clone(), data)))
}

/// Towards zero, where the result is a machine integer.
fn truncated(value: f64) -> Option<i64> {
    libm::trunc(value).to_i64()
}
