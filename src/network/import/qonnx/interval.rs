//! Real numbers known to lie between two floats: they decide quickly what exact numbers would have to decide slowly.

use std::cmp::Ordering;

use num_rational::BigRational;
use num_traits::Zero;

use super::exact;

/// A real number between two floats, both included.
///
/// Sums, products, quotients and square roots of IEEE 754 are the floats nearest to the exact results, so the exact
/// results lie between the neighbours of what is computed from the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    /// One.
    pub const ONE: Self = Self { low: 1.0, high: 1.0 };

    /// Around an exact number; none beyond the range of floats.
    #[must_use]
    pub fn of(value: &BigRational) -> Option<Self> {
        if value.is_zero() {
            return Some(Self { low: 0.0, high: 0.0 });
        }
        let near = exact::to_f64(value);
        Self::around(near, near.abs() * libm::ldexp(1.0, -50))
    }

    /// Around a float, by an error that is known.
    fn around(value: f64, error: f64) -> Option<Self> {
        Self::outwards(value - error, value + error)
    }

    /// From ends that are rounded; none where one is no number or infinite.
    fn outwards(low: f64, high: f64) -> Option<Self> {
        let (low, high) = (low.next_down(), high.next_up());
        (low.is_finite() && high.is_finite() && low <= high).then_some(Self { low, high })
    }

    /// Between the smallest and the largest of four results.
    fn spanning(ends: [f64; 4]) -> Option<Self> {
        // A minimum of floats passes over what is no number.
        ends.iter().all(|end| end.is_finite()).then_some(())?;
        Self::outwards(
            ends.into_iter().fold(f64::INFINITY, f64::min),
            ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        Self::outwards(self.low - other.high, self.high - other.low)
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        Self::spanning([
            self.low * other.low,
            self.low * other.high,
            self.high * other.low,
            self.high * other.high,
        ])
    }

    /// The quotient; none by what may be zero.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        if other.low <= 0.0 && other.high >= 0.0 {
            return None;
        }
        Self::spanning([
            self.low / other.low,
            self.low / other.high,
            self.high / other.low,
            self.high / other.high,
        ])
    }

    /// The square root; none of what may be negative.
    #[must_use]
    pub fn root(self) -> Option<Self> {
        (self.low >= 0.0).then_some(())?;
        Self::outwards(libm::sqrt(self.low), libm::sqrt(self.high))
    }

    /// The order of the two numbers, where they are told apart.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        if self.low > other.high {
            Some(Ordering::Greater)
        } else if self.high < other.low {
            Some(Ordering::Less)
        } else {
            None
        }
    }

    /// The smallest integer above the number; none where the number may be an integer itself.
    #[must_use]
    pub fn next_integer(self) -> Option<i64> {
        let next = libm::ceil(self.low);
        // From 2^52 on every float is an integer, so this one is less.
        #[allow(clippy::cast_possible_truncation)]
        (next > self.high).then_some(next as i64)
    }

    /// The number whose logistic function this is; none where that may be infinite.
    #[must_use]
    pub fn logit(self) -> Option<Self> {
        (self.low > 0.0 && self.high < 1.0).then_some(())?;
        self.along(|x| {
            let (log, rest) = (libm::log(x), libm::log1p(-x));
            (log - rest, log.abs() + rest.abs())
        })
    }

    /// The number whose hyperbolic tangent this is; none where that may be infinite.
    #[must_use]
    pub fn atanh(self) -> Option<Self> {
        (self.low > -1.0 && self.high < 1.0).then_some(())?;
        self.along(|x| (libm::atanh(x), libm::atanh(x).abs()))
    }

    /// A function that rises, from its value and the size of what its error is relative to: the functions of `libm` are
    /// within a unit of the last place or two, and are trusted to sixteen.
    fn along(self, rising: impl Fn(f64) -> (f64, f64)) -> Option<Self> {
        let ((low, low_size), (high, high_size)) = (rising(self.low), rising(self.high));
        let error = libm::ldexp(1.0, -48);
        Self::outwards(low - low_size * error, high + high_size * error)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use num_traits::Signed;
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = BigRational> {
        let short = (-40i64..40, 1i64..9).prop_map(|(n, d)| BigRational::new(n.into(), d.into()));
        let long = (any::<i128>(), 1..i128::MAX).prop_map(|(n, d)| BigRational::new(n.into(), d.into()));
        let tiny = (any::<i64>(), 900u32..1200)
            .prop_map(|(n, by)| BigRational::new(n.into(), BigInt::from(1) << by));
        prop_oneof![4 => short, 2 => long, 1 => tiny]
    }

    fn holds(interval: Interval, value: &BigRational) -> bool {
        let [low, high] =
            [interval.low, interval.high].map(|end| exact::rational(end).expect("a finite float"));
        low <= *value && *value <= high
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn intervals_hold_the_exact_results(a in numbers(), b in numbers()) {
            let of = |value: &BigRational| Interval::of(value).expect("within range");
            let (x, y) = (of(&a), of(&b));
            prop_assert!(holds(x, &a));
            prop_assert!(holds(x.minus(y).expect("finite"), &(&a - &b)));
            prop_assert!(holds(x.times(y).expect("finite"), &(&a * &b)));
            if let Some(quotient) = x.over(y) {
                prop_assert!(holds(quotient, &(&a / &b)));
            }
            if let Some(root) = x.times(x).and_then(Interval::root) {
                prop_assert!(holds(root, &a.abs()));
            }
            if let Some(order) = x.compare(y) {
                prop_assert_eq!(order, a.cmp(&b));
            }
            if let Some(next) = x.next_integer() {
                prop_assert_eq!(BigRational::from_integer(next.into()), a.ceil());
                prop_assert!(!a.is_integer());
            }
        }

        #[test]
        fn inverses_of_curves_hold_what_the_curves_come_from(x in -8.0f64..8.0) {
            // The curve's value as a float is off by a few units, and the interval around it holds the exact one.
            let curve = |value: f64| Interval::around(value, value.abs() * libm::ldexp(1.0, -50)).expect("finite");
            let number = exact::rational(x).expect("finite");
            if let Some(back) = curve(libm::tanh(x)).atanh() {
                prop_assert!(holds(back, &number));
            }
            if let Some(back) = curve(1.0 / (1.0 + libm::exp(-x))).logit() {
                prop_assert!(holds(back, &number));
            }
        }
    }
}
