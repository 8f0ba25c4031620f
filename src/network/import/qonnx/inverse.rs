//! Which integers a real function carries over a level: what quantizers behind it turn into thresholds.

use std::cell::Cell;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};

use super::exact::{self, Boundary, Short};
use super::interval::Interval;
use super::stream::{Pairing, Step, Stream, at};

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

/// One channel of a stream, to be asked for many levels.
pub struct Inverse<'s> {
    stream: &'s Stream,
    pairing: Option<&'s Pairing>,
    channel: usize,
    /// The steps from the last to the first, the scale behind them; none where floats cannot stand for them.
    near: Option<Vec<Near>>,
    /// Levels that took numbers of any length though mantissas stand for themselves.
    long: Cell<usize>,
}

/// A step in intervals.
enum Near {
    /// `factor * x + offset`, and whether it falls.
    Affine {
        factor: Interval,
        offset: Interval,
        falls: bool,
    },
    Constant(Interval),
    Clamp {
        low: Option<Interval>,
        high: Option<Interval>,
    },
    Leaky {
        slope: Interval,
    },
    Sigmoid,
    Tanh,
}

impl<'s> Inverse<'s> {
    /// A channel of the stream. `pairing` says what the mantissas stand for, where that is not themselves.
    pub fn new(stream: &'s Stream, pairing: Option<&'s Pairing>, channel: usize) -> Self {
        Self {
            stream,
            pairing,
            channel,
            near: match pairing {
                None => near(stream, channel),
                Some(_) => None,
            },
            long: Cell::new(0),
        }
    }

    /// Levels so far that neither floats nor machine integers could decide.
    pub fn long(&self) -> usize {
        self.long.get()
    }

    /// Which mantissas lead to a value at or above `level` (above it, where `strict`).
    pub fn reached(&self, level: &BigRational, strict: bool) -> Result<Reached, Undecided> {
        let by_floats = || reached_near(self.near.as_ref()?, Interval::of(level)?);
        let by_machine_integers = || {
            let own = self.pairing.is_none();
            own.then(|| reached_short(self.stream, self.channel, level, strict))
                .flatten()
        };
        match by_floats().or_else(by_machine_integers) {
            Some(reached) => Ok(reached),
            None => {
                self.long
                    .set(self.long.get() + usize::from(self.pairing.is_none()));
                reached_long(self.stream, self.pairing, self.channel, level, strict)
            }
        }
    }
}

/// The channel's function in intervals, last step first; none where a number is beyond floats or two steps in a row are
/// no exact functions, which are refused whatever the level.
fn near(stream: &Stream, channel: usize) -> Option<Vec<Near>> {
    let affine = |factor: &BigRational, offset: &BigRational| {
        let near_offset = Interval::of(offset)?;
        Some(if factor.is_zero() {
            Near::Constant(near_offset)
        } else {
            Near::Affine {
                factor: Interval::of(factor)?,
                offset: near_offset,
                falls: factor.is_negative(),
            }
        })
    };
    let bound = |bound: &Option<BigRational>| match bound {
        Some(value) => Interval::of(value).map(Some),
        None => Some(None),
    };
    let mut steps = Vec::with_capacity(stream.steps.len() + 2);
    let mut roots = 0;
    for step in stream.steps.iter().rev() {
        match step {
            Step::Affine { factor, offset } => steps.push(affine(at(factor, channel), at(offset, channel))?),
            Step::Clamp { low, high } => steps.push(Near::Clamp {
                low: bound(low)?,
                high: bound(high)?,
            }),
            Step::Leaky { slope } => steps.push(Near::Leaky {
                slope: Interval::of(slope)?,
            }),
            Step::BatchNormalization {
                gamma,
                beta,
                mean,
                variance,
            } => {
                roots += 1;
                steps.push(affine(at(gamma, channel), at(beta, channel))?);
                let factor = Interval::ONE.over(Interval::of(at(variance, channel))?.root()?)?;
                steps.push(Near::Affine {
                    factor,
                    offset: Interval::of(&-at(mean, channel))?.times(factor)?,
                    falls: false,
                });
            }
            Step::Sigmoid => {
                roots += 1;
                steps.push(Near::Sigmoid);
            }
            Step::Tanh => {
                roots += 1;
                steps.push(Near::Tanh);
            }
        }
    }
    steps.push(affine(at(&stream.scale, channel), at(&stream.offset, channel))?);
    (roots <= 1).then_some(steps)
}

/// [`Inverse::reached`] by floats; `None` where they are too coarse. What they decide does not depend on equality.
fn reached_near(steps: &[Near], level: Interval) -> Option<Reached> {
    use std::cmp::Ordering;
    let settled = |holds: bool| Some(if holds { Reached::Always } else { Reached::Never });
    let (mut bound, mut rising) = (level, true);
    let holds_at = |bound: Interval, rising: bool, value: Interval| {
        Some((value.compare(bound)? == Ordering::Greater) == rising)
    };
    let zero = Interval::of(&BigRational::zero())?;
    for step in steps {
        match step {
            Near::Affine {
                factor,
                offset,
                falls,
            } => {
                bound = bound.minus(*offset)?.over(*factor)?;
                rising = rising != *falls;
            }
            Near::Constant(value) => return settled(holds_at(bound, rising, *value)?),
            Near::Clamp { low, high } => {
                let (lowest, highest) = if rising { (low, high) } else { (high, low) };
                if let Some(value) = lowest
                    && holds_at(bound, rising, *value)?
                {
                    return settled(true);
                }
                if let Some(value) = highest
                    && !holds_at(bound, rising, *value)?
                {
                    return settled(false);
                }
            }
            Near::Leaky { slope } => {
                if bound.compare(zero)? == Ordering::Less {
                    bound = bound.over(*slope)?;
                }
            }
            Near::Sigmoid | Near::Tanh => {
                let one = Interval::ONE;
                let low = match step {
                    Near::Sigmoid => zero,
                    _ => zero.minus(one)?,
                };
                if bound.compare(low)? == Ordering::Less || bound.compare(one)? == Ordering::Greater {
                    return settled((bound.compare(one)? == Ordering::Less) == rising);
                }
                bound = match step {
                    Near::Sigmoid => bound.logit()?,
                    _ => bound.atanh()?,
                };
            }
        }
    }
    let next = bound.next_integer()?;
    Some(if rising {
        Reached::From(next.into())
    } else {
        Reached::UpTo((next - 1).into())
    })
}

/// [`Inverse::reached`] by machine integers; `None` where those are too short, or a step is no piecewise affine function.
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

/// [`Inverse::reached`] by numbers of any length.
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

    /// Steps that are no piecewise affine function.
    fn curves() -> impl Strategy<Value = Step> {
        let positive = || numbers().prop_map(|n| n.abs() + BigRational::new(1.into(), 1000.into()));
        prop_oneof![
            (numbers(), numbers(), numbers(), positive()).prop_map(|(gamma, beta, mean, variance)| {
                Step::BatchNormalization {
                    gamma: vec![gamma],
                    beta: vec![beta],
                    mean: vec![mean],
                    variance: vec![variance],
                }
            }),
            Just(Step::Sigmoid),
            Just(Step::Tanh),
        ]
    }

    fn stream(scale: BigRational, offset: BigRational, steps: Vec<Step>) -> Stream {
        Stream {
            tensor: TensorId(0),
            axes: vec![0],
            scale: vec![scale],
            offset: vec![offset],
            steps,
        }
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
            let stream = stream(scale, offset, steps);
            if let Some(short) = reached_short(&stream, 0, &level, strict) {
                prop_assert_eq!(Ok(short), reached_long(&stream, None, 0, &level, strict));
            }
        }

        #[test]
        fn floats_decide_as_exact_numbers(
            scale in numbers(),
            offset in numbers(),
            before in proptest::collection::vec(steps(), 0..2),
            curve in proptest::option::of(curves()),
            behind in proptest::collection::vec(steps(), 0..2),
            level in numbers(),
            strict in any::<bool>(),
        ) {
            let stream = stream(scale, offset, before.into_iter().chain(curve).chain(behind).collect());
            let near = near(&stream, 0).zip(Interval::of(&level)).and_then(|(near, level)| reached_near(&near, level));
            // What exact numbers leave open is a curve too close to a mantissa.
            if let (Some(near), Ok(exact)) = (near, reached_long(&stream, None, 0, &level, strict)) {
                prop_assert_eq!(near, exact);
            }
        }

        /// Floats stand back where a level is hit exactly, and by less than they can tell.
        #[test]
        fn floats_leave_levels_that_are_hit(
            scale in numbers(),
            offset in numbers(),
            mantissa in -1000i64..1000,
            away in -1i8..=1,
            strict in any::<bool>(),
        ) {
            prop_assume!(!scale.is_zero());
            let away = BigRational::new(away.into(), BigInt::from(1) << 70) * &scale;
            let level = BigRational::from_integer(mantissa.into()) * &scale + &offset + away;
            let stream = stream(scale, offset, Vec::new());
            let near = near(&stream, 0).zip(Interval::of(&level)).and_then(|(near, level)| reached_near(&near, level));
            prop_assert_eq!(near, None);
            prop_assert_eq!(
                Inverse::new(&stream, None, 0).reached(&level, strict),
                reached_long(&stream, None, 0, &level, strict)
            );
        }
    }

    /// Most levels behind a batch normalization or a curve take no exact numbers.
    #[test]
    fn floats_are_enough_for_a_file() {
        let of = |value: f32| exact::rational(f64::from(value)).expect("a number");
        let normalization = Step::BatchNormalization {
            gamma: vec![of(0.97)],
            beta: vec![of(0.13)],
            mean: vec![of(-0.21)],
            variance: vec![of(0.49)],
        };
        for step in [normalization, Step::Sigmoid, Step::Tanh] {
            let stream = stream(of(0.017), of(0.0), vec![step]);
            let inverse = Inverse::new(&stream, None, 0);
            for level in 0..255 {
                let level = of(0.0039) * BigRational::new((2 * level + 1).into(), 2.into());
                assert_eq!(
                    inverse.reached(&level, false),
                    reached_long(&stream, None, 0, &level, false)
                );
            }
            assert_eq!(inverse.long(), 0);
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
