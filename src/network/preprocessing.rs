//! Real arithmetic and a quantizer in front of the first tensor, exact on every sample.

use std::cmp::Ordering;
use std::collections::HashMap;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Rounding;

/// An exact number; `numerator/denominator` in documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact(pub BigRational);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The parser of rationals takes a zero denominator for a panic.
        if text
            .split('/')
            .nth(1)
            .is_some_and(|below| below.trim_matches('0').is_empty())
        {
            return Err(de::Error::custom(format!("`{text}` divides by zero")));
        }
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// One step of real arithmetic on the samples. Lists have one number for all elements, one per channel (last
/// axis of the input tensor), or one per element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RealStep {
    /// `factor * x + offset`.
    Affine {
        /// Factors.
        factor: Vec<Exact>,
        /// Offsets.
        offset: Vec<Exact>,
    },
    /// `min(max(x, low), high)`.
    Clamp {
        /// Lower bound.
        low: Option<Exact>,
        /// Upper bound.
        high: Option<Exact>,
    },
    /// `x > 0 ? x : slope * x` with a positive slope.
    Leaky {
        /// The slope.
        slope: Exact,
    },
    /// `gamma * (x - mean) / sqrt(variance) + beta`. At most one such step has irrational roots.
    BatchNormalization {
        /// Factors.
        gamma: Vec<Exact>,
        /// Offsets.
        beta: Vec<Exact>,
        /// Means.
        mean: Vec<Exact>,
        /// Variances, epsilon included, positive.
        variance: Vec<Exact>,
    },
}

/// From the real number behind the steps to the mantissa.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RealQuantizer {
    /// `clip(round(x / step + zero)) - zero`.
    Uniform {
        /// Value of one unit: one for all elements, per channel, or per element.
        step: Vec<Exact>,
        /// Zero point.
        zero: i64,
        /// Smallest integer before the zero point is taken off.
        low: i64,
        /// Largest integer before the zero point is taken off.
        high: i64,
        /// Rounding.
        rounding: Rounding,
    },
    /// `offset + factor * #{ steps | x >= threshold }`.
    Thresholds {
        /// `[row][step]`: one row for all elements, per channel, or per element.
        thresholds: Vec<Exact>,
        /// Thresholds of one row.
        count: usize,
        /// Mantissa per threshold that is reached.
        factor: i64,
        /// Mantissa where none is reached.
        offset: i64,
    },
}

/// What is done with real samples before they enter the accelerator, in exact arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Steps, in order.
    pub steps: Vec<RealStep>,
    /// What makes the mantissa.
    pub quantizer: RealQuantizer,
}

/// Most mantissas that are remembered while samples are quantized.
const REMEMBERED: usize = 1 << 20;

/// Mantissas of samples, each computed once.
pub(super) struct Quantizing<'p> {
    preprocessing: &'p Preprocessing,
    channels: usize,
    /// How many elements in a row are treated differently.
    period: usize,
    known: HashMap<(usize, u64), (i64, bool)>,
}

impl<'p> Quantizing<'p> {
    pub(super) fn new(preprocessing: &'p Preprocessing, channels: usize, elements: usize) -> Self {
        let longest = preprocessing.lengths().max().unwrap_or(1);
        let period = match longest {
            0 | 1 => 1,
            longest if longest == channels => channels,
            _ => elements,
        };
        Self {
            preprocessing,
            channels,
            period: period.max(1),
            known: HashMap::new(),
        }
    }

    /// The mantissa of a value at an element, and whether it was clipped; none where the value is not finite.
    pub(super) fn mantissa(&mut self, value: f64, element: usize) -> Option<(i64, bool)> {
        let key = (element % self.period, value.to_bits());
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let found = self.preprocessing.mantissa(value, element, self.channels)?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, found);
        Some(found)
    }
}

impl Preprocessing {
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let of_steps = self.steps.iter().flat_map(|step| match step {
            RealStep::Affine { factor, offset } => vec![factor.len(), offset.len()],
            RealStep::BatchNormalization {
                gamma,
                beta,
                mean,
                variance,
            } => vec![gamma.len(), beta.len(), mean.len(), variance.len()],
            RealStep::Clamp { .. } | RealStep::Leaky { .. } => Vec::new(),
        });
        of_steps.chain(std::iter::once(match &self.quantizer {
            RealQuantizer::Uniform { step, .. } => step.len(),
            RealQuantizer::Thresholds {
                thresholds, count, ..
            } => thresholds.len() / (*count).max(1),
        }))
    }

    /// The mantissa of a real number at an element of the input tensor, and whether it was clipped; none where
    /// the number is not finite.
    #[must_use]
    pub fn mantissa(&self, value: f64, element: usize, channels: usize) -> Option<(i64, bool)> {
        let row = |len: usize| match len {
            0 | 1 => 0,
            len if len == channels => element % channels,
            _ => element,
        };
        let at = |values: &'_ [Exact]| values.get(row(values.len())).map(|value| value.0.clone());
        let mut real = Surd::rational(BigRational::from_float(value)?);
        for step in &self.steps {
            real = match step {
                RealStep::Affine { factor, offset } => real.affine(&at(factor)?, &at(offset)?),
                RealStep::Clamp { low, high } => {
                    let below = low.as_ref().filter(|low| real.compare(&low.0) == Ordering::Less);
                    let real = below.map_or(real, |low| Surd::rational(low.0.clone()));
                    let above = high
                        .as_ref()
                        .filter(|high| real.compare(&high.0) == Ordering::Greater);
                    above.map_or(real, |high| Surd::rational(high.0.clone()))
                }
                RealStep::Leaky { slope } => {
                    if real.compare(&BigRational::zero()) == Ordering::Less {
                        real.affine(&slope.0, &BigRational::zero())
                    } else {
                        real
                    }
                }
                RealStep::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => real.normalized(&at(gamma)?, &at(beta)?, &at(mean)?, &at(variance)?)?,
            };
        }
        match &self.quantizer {
            RealQuantizer::Uniform {
                step,
                zero,
                low,
                high,
                rounding,
            } => {
                let whole = BigRational::from_integer(BigInt::from(*zero));
                let rounded = real.affine(&at(step)?.recip(), &whole).rounded(*rounding);
                let clipped = rounded.clone().clamp(BigInt::from(*low), BigInt::from(*high));
                let outside = clipped != rounded;
                Some(((clipped - zero).to_i64()?, outside))
            }
            RealQuantizer::Thresholds {
                thresholds,
                count,
                factor,
                offset,
            } => {
                let row = row(thresholds.len() / (*count).max(1));
                let row = thresholds.get(row * count..(row + 1) * count)?;
                let reached = row
                    .iter()
                    .filter(|level| real.compare(&level.0) != Ordering::Less)
                    .count();
                let reached = i64::try_from(reached).ok()?;
                Some((factor.checked_mul(reached)?.checked_add(*offset)?, false))
            }
        }
    }
}

/// `rational + root * sqrt(radicand)` with a radicand that is not negative.
#[derive(Clone, Debug)]
struct Surd {
    rational: BigRational,
    root: BigRational,
    radicand: BigRational,
}

impl Surd {
    fn rational(value: BigRational) -> Self {
        Self {
            rational: value,
            root: BigRational::zero(),
            radicand: BigRational::zero(),
        }
    }

    fn affine(self, factor: &BigRational, offset: &BigRational) -> Self {
        Self {
            rational: self.rational * factor + offset,
            root: self.root * factor,
            radicand: self.radicand,
        }
    }

    /// `gamma * (self - mean) / sqrt(variance) + beta`; none for a second irrational root.
    fn normalized(
        self,
        gamma: &BigRational,
        beta: &BigRational,
        mean: &BigRational,
        variance: &BigRational,
    ) -> Option<Self> {
        if let Some(root) = exact_root(variance) {
            let factor = gamma / root;
            let offset = beta - mean * &factor;
            return Some(self.affine(&factor, &offset));
        }
        self.root.is_zero().then(|| Self {
            rational: beta.clone(),
            root: (self.rational - mean) * gamma / variance,
            radicand: variance.clone(),
        })
    }

    /// Whether the number lies below, at or above a rational one: by signs first, by squares next.
    fn compare(&self, level: &BigRational) -> Ordering {
        let rest = &self.rational - level;
        let zero = BigRational::zero();
        let by_root = if self.radicand.is_zero() {
            Ordering::Equal
        } else {
            self.root.cmp(&zero)
        };
        match (rest.cmp(&zero), by_root) {
            (order, Ordering::Equal) => order,
            (Ordering::Equal, order) => order,
            (a, b) if a == b => a,
            (rest_is, _) => {
                let squares = (&rest * &rest).cmp(&(&self.root * &self.root * &self.radicand));
                match rest_is {
                    Ordering::Greater => squares,
                    _ => squares.reverse(),
                }
            }
        }
    }

    /// The largest integer up to twice the number, and whether it is twice the number.
    fn twice_floor(&self) -> (BigInt, bool) {
        let two = BigInt::from(2);
        let twice = &self.rational * &two;
        if self.root.is_zero() || self.radicand.is_zero() {
            return (twice.floor().to_integer(), twice.is_integer());
        }
        // `(whole +- sqrt(square)) / below` with integers.
        let square = &self.root * &self.root * &self.radicand * BigInt::from(4);
        let below = twice.denom() * square.denom();
        let whole = twice.numer() * square.denom();
        let square = twice.denom() * twice.denom() * square.numer() * square.denom();
        let root = square.sqrt();
        let perfect = &root * &root == square;
        let above = if self.root.is_negative() {
            whole - root - i32::from(!perfect)
        } else {
            whole + root
        };
        let quotient = BigRational::new(above, below);
        (quotient.floor().to_integer(), perfect && quotient.is_integer())
    }

    fn rounded(&self, rounding: Rounding) -> BigInt {
        let (twice, exact) = self.twice_floor();
        let floor: BigInt = &twice >> 1;
        let half = twice.bit(0);
        let to_half = match (half, exact) {
            (false, true) => return floor,
            (false, false) => Ordering::Less,
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
        };
        let up = rounding.goes_up(floor.is_negative(), floor.bit(0), to_half);
        if up { floor + 1 } else { floor }
    }
}

/// The square root where it is rational.
pub(crate) fn exact_root(value: &BigRational) -> Option<BigRational> {
    let root = |n: &BigInt| {
        (!n.is_negative())
            .then(|| n.sqrt())
            .filter(|root| root * root == *n)
    };
    Some(BigRational::new(root(value.numer())?, root(value.denom())?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(numer: i64, denom: i64) -> BigRational {
        BigRational::new(BigInt::from(numer), BigInt::from(denom))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        /// A number with a root is where its square says.
        #[test]
        fn roots_round_and_compare_as_their_squares(
            (a, b) in (-400i64..400, 1i64..9),
            (c, d) in (-60i64..60, 1i64..9),
            (r, s) in (1i64..40, 1i64..40),
            level in -90i64..90,
            rounding in 0usize..7,
        ) {
            let surd = Surd { rational: ratio(a, b), root: ratio(c, d), radicand: ratio(r, s) };
            // `x >= t` for `x = p + q` with `q^2` known: the sign of `q` and of `t - p` decide, then squares.
            let at_least = |level: &BigRational| {
                let rest = level - ratio(a, b);
                let square = ratio(c, d) * ratio(c, d) * ratio(r, s);
                match (c >= 0, rest.is_positive()) {
                    (true, true) => square >= &rest * &rest,
                    (true, false) => true,
                    (false, true) => false,
                    (false, false) => square <= &rest * &rest,
                }
            };
            let level = ratio(level, 4);
            prop_assert_eq!(surd.compare(&level) != Ordering::Less, at_least(&level));
            let (twice, exact) = surd.twice_floor();
            let half = BigRational::new(twice.clone(), BigInt::from(2));
            let next = BigRational::new(twice + 1, BigInt::from(2));
            prop_assert!(at_least(&half) && !at_least(&next));
            prop_assert_eq!(exact, surd.compare(&half) == Ordering::Equal);
            // Rounded numbers lie within one unit, and integers stay.
            let rounded = BigRational::from_integer(surd.rounded(Rounding::ALL[rounding]));
            prop_assert!(surd.compare(&(&rounded - ratio(1, 1))) == Ordering::Greater);
            prop_assert!(surd.compare(&(&rounded + ratio(1, 1))) == Ordering::Less);
        }
    }
}
