//! What the importer knows of a tensor between integer operations: the integer tensor behind it
//! and the exact real function that leads from its mantissas to the value in the file.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::exact::{self, Boundary, Short};
use crate::network::TensorId;

/// Exact numbers, one for all channels or one per channel.
pub type PerChannel = Vec<BigRational>;

/// The element for a channel.
pub fn at(values: &PerChannel, channel: usize) -> &BigRational {
    &values[if values.len() == 1 { 0 } else { channel }]
}

/// Element-wise combination that spreads a single number over the channels.
pub fn zip(
    a: &PerChannel,
    b: &PerChannel,
    f: impl Fn(&BigRational, &BigRational) -> BigRational,
) -> PerChannel {
    (0..a.len().max(b.len()))
        .map(|channel| f(at(a, channel), at(b, channel)))
        .collect()
}

/// A step of real arithmetic that has not yet met a quantizer.
#[derive(Clone, Debug)]
pub enum Step {
    /// `factor * x + offset`.
    Affine {
        /// Factors.
        factor: PerChannel,
        /// Offsets.
        offset: PerChannel,
    },
    /// `min(max(x, low), high)`.
    Clamp {
        /// Lower bound.
        low: Option<BigRational>,
        /// Upper bound.
        high: Option<BigRational>,
    },
    /// `gamma * (x - mean) / sqrt(variance) + beta`.
    BatchNormalization {
        /// Factors.
        gamma: PerChannel,
        /// Offsets.
        beta: PerChannel,
        /// Means.
        mean: PerChannel,
        /// Variances, epsilon included, positive.
        variance: PerChannel,
    },
    /// `x > 0 ? x : slope * x` with a positive slope.
    Leaky {
        /// The slope.
        slope: BigRational,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

/// An integer tensor and the way from its mantissas to the values in the file.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The integer tensor.
    pub tensor: TensorId,
    /// `axes[i]` is the tensor's axis for axis `i` of the file, both without the batch.
    pub axes: Vec<usize>,
    /// Value per mantissa.
    pub scale: PerChannel,
    /// Value at mantissa 0.
    pub offset: PerChannel,
    /// Steps after scale and offset.
    pub steps: Vec<Step>,
}

impl Stream {
    /// Adds `factor * x + offset`.
    pub fn affine(&mut self, factor: &PerChannel, offset: &PerChannel) {
        if self.steps.is_empty() {
            self.scale = zip(&self.scale, factor, |s, f| s * f);
            self.offset = zip(&zip(&self.offset, factor, |o, f| o * f), offset, |o, b| o + b);
        } else if let Some(Step::Affine {
            factor: f0,
            offset: o0,
        }) = self.steps.last_mut()
        {
            *o0 = zip(&zip(o0, factor, |o, f| o * f), offset, |o, b| o + b);
            *f0 = zip(f0, factor, |a, b| a * b);
        } else {
            self.steps.push(Step::Affine {
                factor: factor.clone(),
                offset: offset.clone(),
            });
        }
    }

    /// The one scale of all channels, where there is one.
    pub fn uniform_scale(&self) -> Option<&BigRational> {
        uniform(&self.scale)
    }

    /// Whether the values are the mantissas times one positive factor.
    pub fn is_plain(&self) -> bool {
        self.steps.is_empty()
            && self.offset.iter().all(Zero::is_zero)
            && self.uniform_scale().is_some_and(Signed::is_positive)
    }

    /// Exact numbers that operators compute with one by one: those of lists per channel.
    pub fn count(&self) -> usize {
        let of_list = |list: &PerChannel| if list.len() > 1 { list.len() } else { 0 };
        let of_step = |step: &Step| match step {
            Step::Affine { factor, offset } => of_list(factor) + of_list(offset),
            Step::BatchNormalization {
                gamma,
                beta,
                mean,
                variance,
            } => [gamma, beta, mean, variance].into_iter().map(of_list).sum(),
            Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => 0,
        };
        of_list(&self.scale) + of_list(&self.offset) + self.steps.iter().map(of_step).sum::<usize>()
    }

    /// 64-bit words that the exact numbers take, and the longest of them in bits.
    pub fn size(&self) -> (u64, u64) {
        let steps = self.steps.iter().flat_map(|step| -> Vec<&BigRational> {
            match step {
                Step::Affine { factor, offset } => factor.iter().chain(offset).collect(),
                Step::Clamp { low, high } => low.iter().chain(high).collect(),
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => [gamma, beta, mean, variance].into_iter().flatten().collect(),
                Step::Leaky { slope } => vec![slope],
                Step::Sigmoid | Step::Tanh => Vec::new(),
            }
        });
        size_of_numbers(self.scale.iter().chain(&self.offset).chain(steps))
    }

    /// For each channel of a linear stream 1 where its value rises with the mantissa, -1 where it falls, and 0 where it
    /// stays.
    pub fn signs(&self) -> PerChannel {
        let signs = |list: &PerChannel| list.iter().map(Signed::signum).collect::<PerChannel>();
        self.steps
            .iter()
            .fold(signs(&self.scale), |before, step| match step {
                Step::Affine { factor, .. } => zip(&before, factor, |sign, f| sign * f.signum()),
                Step::BatchNormalization { gamma, .. } => zip(&before, gamma, |sign, g| sign * g.signum()),
                Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => before,
            })
    }

    /// Whether the value never falls where the mantissa rises.
    pub fn is_nondecreasing(&self) -> bool {
        self.scale.iter().all(|s| !s.is_negative())
            && self.steps.iter().all(|step| match step {
                Step::Affine { factor, .. } => factor.iter().all(|f| !f.is_negative()),
                Step::BatchNormalization { gamma, .. } => gamma.iter().all(|g| !g.is_negative()),
                Step::Leaky { .. } | Step::Clamp { .. } | Step::Sigmoid | Step::Tanh => true,
            })
    }
}

/// 64-bit words that exact numbers take, and the longest of them in bits.
pub fn size_of_numbers<'n>(numbers: impl IntoIterator<Item = &'n BigRational>) -> (u64, u64) {
    // A rational is two vectors of words.
    const OVERHEAD: u64 = 10;
    numbers.into_iter().fold((0, 0), |(words, longest), number| {
        let bits = exact::bits(number);
        (words + OVERHEAD + bits / 32, longest.max(bits))
    })
}

/// The one value of all channels, where there is one.
pub fn uniform(values: &PerChannel) -> Option<&BigRational> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then_some(first)
}

/// The mantissas of one channel whose value lies at or above a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// All of them.
    Always,
    /// None of them.
    Never,
    /// Those at or above the number.
    From(BigInt),
    /// Those at or below the number: the function falls.
    UpTo(BigInt),
}

/// Why a level could not be turned into mantissas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Two square roots one after the other.
    NestedRoots,
    /// A transcendental boundary too close to a mantissa.
    TooClose,
}

/// What a mantissa of `factor * n + unit * m` stands for where `unit / factor` is only close to the ratio
/// of the two units: `n + ratio * m`, for the one pair `n`, `m` that gives it.
///
/// With more than `high - low` multiples per unit of the product a sum has one pair at most, and where the
/// rest of the fraction times any `m` is below a half, sums keep the order of the exact values. So each
/// level has one threshold, and it is decided on the exact value of the sum nearest to it.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// Sums per unit of the product.
    factor: i128,
    /// The inverse of the bias's multiple modulo `factor`.
    inverse: i128,
    /// Smallest and largest mantissa of the bias.
    biases: (i128, i128),
    /// `ratio * factor - unit`.
    rest: BigRational,
}

impl Pairing {
    /// The pairing of `factor * n + unit * m` in lowest terms.
    pub fn new(factor: i64, unit: i64, biases: (i128, i128), rest: BigRational) -> Self {
        let (factor, unit) = (i128::from(factor), i128::from(unit));
        // Euclid's algorithm on `unit * inverse = remainder` modulo `factor`, down to the remainder 1.
        let (mut remainders, mut inverses) = ((factor, unit.rem_euclid(factor)), (0i128, 1i128));
        while remainders.1 > 1 {
            let term = remainders.0 / remainders.1;
            remainders = (remainders.1, remainders.0 - term * remainders.1);
            inverses = (inverses.1, inverses.0 - term * inverses.1);
        }
        Self {
            factor,
            inverse: inverses.1.rem_euclid(factor),
            biases,
            rest,
        }
    }

    /// The exact value of a sum in its own units; none where no pair gives it.
    fn value(&self, sum: &BigInt) -> Option<BigRational> {
        let remainder = sum.to_i128()?.rem_euclid(self.factor);
        let bias = remainder * self.inverse % self.factor;
        let (low, high) = self.biases;
        let bias = low + (bias - low).rem_euclid(self.factor);
        (bias <= high).then(|| {
            let bias = BigRational::from_integer(bias.into());
            BigRational::from_integer(sum.clone()) + bias * &self.rest
        })
    }
}

/// The condition `x >= bound` (`rising`) or `x <= bound`, without equality where `strict`.
struct Condition {
    bound: Boundary,
    strict: bool,
    rising: bool,
}

impl Condition {
    fn holds_at(&self, value: &BigRational) -> Result<bool, Undecided> {
        use std::cmp::Ordering;
        let order = self.bound.compare(value).ok_or(Undecided::TooClose)?;
        Ok(match order {
            Ordering::Equal => !self.strict,
            Ordering::Greater => self.rising,
            Ordering::Less => !self.rising,
        })
    }
}

/// Which mantissas of `channel` lead to a value at or above `level` (above it, where `strict`). `pairing`
/// says what the mantissas stand for, where that is not themselves.
pub fn reached(
    stream: &Stream,
    pairing: Option<&Pairing>,
    channel: usize,
    level: &BigRational,
    strict: bool,
) -> Result<Reached, Undecided> {
    let by_machine_integers = || reached_short(stream, channel, level, strict);
    match pairing.is_none().then(by_machine_integers).flatten() {
        Some(reached) => Ok(reached),
        None => reached_long(stream, pairing, channel, level, strict),
    }
}

/// [`reached`] by machine integers; `None` where those are too short, or a step is no piecewise affine function.
fn reached_short(stream: &Stream, channel: usize, level: &BigRational, strict: bool) -> Option<Reached> {
    use std::cmp::Ordering;
    let settled = |holds: bool| Some(if holds { Reached::Always } else { Reached::Never });
    let mut bound = Short::of(level)?;
    let mut rising = true;
    let holds_at = |bound: Short, rising: bool, value: &BigRational| {
        Some(match Short::of(value)?.compare(bound)? {
            Ordering::Equal => !strict,
            Ordering::Greater => rising,
            Ordering::Less => !rising,
        })
    };
    let steps = stream.steps.iter().rev().map(Some);
    for step in steps.chain([None]) {
        match step {
            None | Some(Step::Affine { .. }) => {}
            Some(Step::Clamp { low, high }) => {
                let (lowest, highest) = if rising { (low, high) } else { (high, low) };
                if let Some(value) = lowest
                    && holds_at(bound, rising, value)?
                {
                    return settled(true);
                }
                if let Some(value) = highest
                    && !holds_at(bound, rising, value)?
                {
                    return settled(false);
                }
                continue;
            }
            Some(Step::Leaky { slope }) => {
                if bound.is_negative() {
                    bound = bound.solve_affine(slope, &BigRational::zero())?;
                }
                continue;
            }
            Some(Step::BatchNormalization { .. } | Step::Sigmoid | Step::Tanh) => return None,
        }
        let (factor, offset) = match step {
            Some(Step::Affine { factor, offset }) => (factor, offset),
            _ => (&stream.scale, &stream.offset),
        };
        let (factor, offset) = (at(factor, channel), at(offset, channel));
        if factor.is_zero() {
            return settled(holds_at(bound, rising, offset)?);
        }
        bound = bound.solve_affine(factor, offset)?;
        rising = rising != factor.is_negative();
    }
    let first = bound.first_integer(strict == rising)?;
    Some(if rising {
        Reached::From(first.into())
    } else {
        Reached::UpTo(first.checked_sub(1)?.into())
    })
}

/// [`reached`] by numbers of any length.
fn reached_long(
    stream: &Stream,
    pairing: Option<&Pairing>,
    channel: usize,
    level: &BigRational,
    strict: bool,
) -> Result<Reached, Undecided> {
    let mut condition = Condition {
        bound: Boundary::exact(level.clone()),
        strict,
        rising: true,
    };
    for step in stream.steps.iter().rev() {
        match invert(condition, step, channel)? {
            Ok(next) => condition = next,
            Err(settled) => return Ok(settled),
        }
    }
    let condition = match invert_affine(condition, at(&stream.scale, channel), at(&stream.offset, channel))? {
        Ok(condition) => condition,
        Err(settled) => return Ok(settled),
    };
    // `x <= b` is the complement of `x > b`.
    let first = condition
        .bound
        .first_integer(condition.strict == condition.rising)
        .ok_or(Undecided::TooClose)?;
    let mut edge = if condition.rising { first } else { first - 1 };
    if let Some(pairing) = pairing {
        // The exact value of a sum is less than half a unit away, so only the edge's neighbour outside
        // may hold as well, or the edge itself not.
        let holds = |sum: &BigInt| {
            pairing
                .value(sum)
                .map(|value| condition.holds_at(&value))
                .transpose()
        };
        let inwards = BigInt::from(if condition.rising { 1 } else { -1 });
        let outside = &edge - &inwards;
        if holds(&outside)? == Some(true) {
            edge = outside;
        } else if holds(&edge)? == Some(false) {
            edge += inwards;
        }
    }
    Ok(if condition.rising {
        Reached::From(edge)
    } else {
        Reached::UpTo(edge)
    })
}

/// [`invert`] for `factor * x + offset`.
fn invert_affine(
    condition: Condition,
    factor: &BigRational,
    offset: &BigRational,
) -> Result<Result<Condition, Reached>, Undecided> {
    if factor.is_zero() {
        let holds = condition.holds_at(offset)?;
        return Ok(Err(if holds { Reached::Always } else { Reached::Never }));
    }
    Ok(Ok(Condition {
        bound: condition.bound.solve_affine(factor, offset),
        strict: condition.strict,
        rising: condition.rising != factor.is_negative(),
    }))
}

/// Carries a condition on a step's result over to its operand; `Err` where it holds for every
/// operand or for none.
fn invert(
    condition: Condition,
    step: &Step,
    channel: usize,
) -> Result<Result<Condition, Reached>, Undecided> {
    use std::cmp::Ordering;
    let settled = |holds: bool| Ok(Err(if holds { Reached::Always } else { Reached::Never }));
    let holds_at = |value: &BigRational| condition.holds_at(value);
    match step {
        Step::Affine { factor, offset } => invert_affine(condition, at(factor, channel), at(offset, channel)),
        Step::Clamp { low, high } => {
            // A rising condition that already holds at the lowest result holds everywhere, and one
            // that fails at the highest holds nowhere; a falling condition the other way round.
            let (lowest, highest) = if condition.rising {
                (low, high)
            } else {
                (high, low)
            };
            if let Some(value) = lowest
                && holds_at(value)?
            {
                return settled(true);
            }
            if let Some(value) = highest
                && !holds_at(value)?
            {
                return settled(false);
            }
            Ok(Ok(condition))
        }
        Step::BatchNormalization {
            gamma,
            beta,
            mean,
            variance,
        } => {
            let (gamma, beta) = (at(gamma, channel), at(beta, channel));
            if gamma.is_zero() {
                return settled(holds_at(beta)?);
            }
            let shifted = condition.bound.solve_affine(gamma, beta);
            let one = num_traits::One::one();
            let bound = shifted
                .times_root(&one, at(variance, channel), at(mean, channel))
                .ok_or(Undecided::NestedRoots)?;
            Ok(Ok(Condition {
                bound,
                strict: condition.strict,
                rising: condition.rising != gamma.is_negative(),
            }))
        }
        Step::Leaky { slope } => {
            let zero = BigRational::zero();
            let negative = condition.bound.compare(&zero).ok_or(Undecided::TooClose)? == Ordering::Greater;
            let bound = if negative {
                condition.bound.solve_affine(slope, &zero)
            } else {
                condition.bound
            };
            Ok(Ok(Condition { bound, ..condition }))
        }
        Step::Sigmoid | Step::Tanh => {
            let exact_level = condition
                .bound
                .as_rational()
                .ok_or(Undecided::NestedRoots)?
                .clone();
            let level = exact::to_f64(&exact_level);
            let (low, high) = if matches!(step, Step::Sigmoid) {
                (0.0, 1.0)
            } else {
                (-1.0, 1.0)
            };
            if level <= low || level >= high {
                return settled((level <= low) == condition.rising);
            }
            // Where the curve crosses zero the inverse is exact, and often hit.
            let middle = match step {
                Step::Sigmoid => exact::power_of_two(-1),
                _ => BigRational::zero(),
            };
            if exact_level == middle {
                let bound = Boundary::exact(BigRational::zero());
                return Ok(Ok(Condition { bound, ..condition }));
            }
            // The slope of the inverse magnifies what the level lost as a float; the logarithms add
            // a few units in their last place.
            let (inverse, slope) = if matches!(step, Step::Sigmoid) {
                (
                    libm::log(level) - libm::log1p(-level),
                    1.0 / (level * (1.0 - level)),
                )
            } else {
                (libm::atanh(level), 1.0 / (1.0 - level * level))
            };
            let uncertainty = (inverse.abs() + slope + 1.0) * libm::ldexp(1.0, -48);
            let bound = Boundary::near(inverse, uncertainty).ok_or(Undecided::TooClose)?;
            Ok(Ok(Condition { bound, ..condition }))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::TensorId;

    /// Numbers of the lengths that files have, and longer ones.
    fn numbers() -> impl Strategy<Value = BigRational> {
        let short = (-40i64..40, 1i64..9).prop_map(|(n, d)| BigRational::new(n.into(), d.into()));
        let float = any::<i32>().prop_map(|n| BigRational::new(n.into(), BigInt::from(1) << 27));
        let long = (any::<i128>(), 1..i128::MAX).prop_map(|(n, d)| BigRational::new(n.into(), d.into()));
        prop_oneof![6 => short, 3 => float, 1 => long]
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            (numbers(), numbers()).prop_map(|(factor, offset)| Step::Affine {
                factor: vec![factor],
                offset: vec![offset],
            }),
            (proptest::option::of(numbers()), numbers()).prop_map(|(low, size)| Step::Clamp {
                high: low.as_ref().map(|low| low + size.abs()),
                low,
            }),
            numbers().prop_map(|high| Step::Clamp {
                low: None,
                high: Some(high),
            }),
            numbers().prop_map(|slope| Step::Leaky {
                slope: slope.abs() + BigRational::new(1.into(), 7.into()),
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn machine_integers_decide_as_long_ones(
            scale in numbers(),
            offset in numbers(),
            steps in proptest::collection::vec(steps(), 0..4),
            level in numbers(),
            strict in any::<bool>(),
        ) {
            let stream = Stream {
                tensor: TensorId(0),
                axes: vec![0],
                scale: vec![scale],
                offset: vec![offset],
                steps,
            };
            if let Some(short) = reached_short(&stream, 0, &level, strict) {
                prop_assert_eq!(Ok(short), reached_long(&stream, None, 0, &level, strict));
            }
        }
    }

    /// Most functions of real files are short enough.
    #[test]
    fn machine_integers_are_enough_for_two_factors_of_a_file() {
        let of = |value: f32| exact::rational(f64::from(value)).expect("a number");
        let stream = Stream {
            tensor: TensorId(0),
            axes: vec![0],
            scale: vec![of(0.3) * of(0.7)],
            offset: vec![of(0.1)],
            steps: vec![Step::Clamp {
                low: Some(of(0.0)),
                high: None,
            }],
        };
        let short = reached_short(&stream, 0, &of(0.9), false).expect("short numbers");
        assert_eq!(Ok(short), reached_long(&stream, None, 0, &of(0.9), false));
    }
}
