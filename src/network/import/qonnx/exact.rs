//! Exact numbers for scales, offsets and decision boundaries.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::float::FloatCore;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::fixed_point::{Format, MAX_STORED_WIDTH};
use crate::network::Encoding;

/// The exact value of a finite float.
#[must_use]
pub fn rational(value: f64) -> Option<BigRational> {
    // An odd numerator over a power of two is in lowest terms.
    Binary::of_float(value).map(|binary| binary.over(BigInt::from(binary.odd), BigInt::one()))
}

/// An exact number `odd * 2^exponent` whose odd part, or zero, is a machine integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Odd, or zero.
    pub odd: i64,
    /// Power of two beside it.
    pub exponent: i32,
}

impl Binary {
    /// The exact value of a finite float.
    #[must_use]
    pub fn of_float(value: f64) -> Option<Self> {
        let (mantissa, exponent, sign) = value.is_finite().then(|| value.integer_decode())?;
        let mantissa = i64::try_from(mantissa).ok()?;
        Some(Self::new(mantissa * i64::from(sign), i32::from(exponent)))
    }

    /// The number, where its denominator is a power of two and its odd part fits.
    #[must_use]
    pub fn of(value: &BigRational) -> Option<Self> {
        let twos = value.numer().trailing_zeros().unwrap_or(0);
        let odd = (value.numer() >> twos).to_i64()?;
        let halves = log2(&BigRational::from_integer(value.denom().clone()))?;
        Some(Self::new(odd, i32::try_from(twos).ok()?.checked_sub(halves)?))
    }

    fn new(mantissa: i64, exponent: i32) -> Self {
        if mantissa == 0 {
            return Self { odd: 0, exponent: 0 };
        }
        let twos = mantissa.trailing_zeros();
        Self {
            odd: mantissa >> twos,
            exponent: exponent + twos as i32,
        }
    }

    /// `numer / denom * 2^exponent` for odd parts in lowest terms, or zero.
    fn over(self, numer: BigInt, denom: BigInt) -> BigRational {
        let by = self.exponent.unsigned_abs();
        if self.exponent >= 0 {
            BigRational::new_raw(numer << by, denom)
        } else {
            BigRational::new_raw(numer, denom << by)
        }
    }

    /// The exact product.
    #[must_use]
    pub fn times(self, by: Self) -> BigRational {
        let exponent = self.exponent + by.exponent;
        let odd = i128::from(self.odd) * i128::from(by.odd);
        let exponent = if odd == 0 { 0 } else { exponent };
        Self { odd: 0, exponent }.over(odd.into(), BigInt::one())
    }

    /// The exact quotient; none by zero.
    #[must_use]
    pub fn divided(self, by: Self) -> Option<BigRational> {
        let (mut a, mut b) = (self.odd.unsigned_abs(), by.odd.unsigned_abs());
        if b == 0 {
            return None;
        }
        if a == 0 {
            return Some(BigRational::zero());
        }
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let (numer, denom) = (
            i128::from(self.odd) / i128::from(a),
            i128::from(by.odd) / i128::from(a),
        );
        let numer = if denom < 0 { -numer } else { numer };
        let exponent = self.exponent - by.exponent;
        Some(Self { odd: 0, exponent }.over(numer.into(), denom.abs().into()))
    }

    /// The exact sum, where its digits fit a machine integer.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<BigRational> {
        let (high, low) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        let (high, low) = match (high.odd, low.odd) {
            (0, _) => (
                Self {
                    odd: 0,
                    exponent: low.exponent,
                },
                low,
            ),
            (_, 0) => (
                high,
                Self {
                    odd: 0,
                    exponent: high.exponent,
                },
            ),
            _ => (high, low),
        };
        let by = u32::try_from(high.exponent - low.exponent)
            .ok()
            .filter(|&by| by < 63)?;
        let sum = (i128::from(high.odd) << by) + i128::from(low.odd);
        if sum == 0 {
            return Some(BigRational::zero());
        }
        let twos = sum.trailing_zeros();
        let exponent = low.exponent + twos as i32;
        Some(Self { odd: 0, exponent }.over((sum >> twos).into(), BigInt::one()))
    }

    /// The number with its sign changed.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            odd: -self.odd,
            ..self
        }
    }

    /// A quotient in place of one by a positive number that is so close to 0, or so far from it, that no rounding to
    /// an integer of 64 bits tells them apart: a quarter, or `2^80`, of the same sign.
    #[must_use]
    pub fn far_ratio(self, by: Self) -> Option<(i128, i128)> {
        let magnitude =
            |binary: Self| i64::from(binary.odd.unsigned_abs().ilog2()) + i64::from(binary.exponent);
        if self.odd == 0 || by.odd == 0 {
            return None;
        }
        let sign = i128::from(self.odd.signum());
        match magnitude(self) - magnitude(by) {
            82.. => Some((sign << 80, 1)),
            ..=-4 => Some((sign, 4)),
            _ => None,
        }
    }

    /// Numerator and positive denominator of the quotient by a positive number, where both are machine integers.
    #[must_use]
    pub fn ratio(self, by: Self) -> Option<(i128, i128)> {
        let shifted = |odd: i64, by: i32| {
            let room = i128::from(odd).unsigned_abs().leading_zeros();
            let by = u32::try_from(by).ok()?;
            (by + 1 < room).then(|| i128::from(odd) << by)
        };
        if self.odd == 0 {
            return Some((0, 1));
        }
        let shift = self.exponent.checked_sub(by.exponent)?;
        Some(if shift >= 0 {
            (shifted(self.odd, shift)?, i128::from(by.odd))
        } else {
            (i128::from(self.odd), shifted(by.odd, shift.checked_neg()?)?)
        })
    }
}

/// A rational number of machine integers, the denominator positive, in any terms.
#[derive(Clone, Copy, Debug)]
pub struct Short {
    numer: i128,
    denom: i128,
}

impl Short {
    /// The number, where it is short enough.
    #[must_use]
    pub fn of(value: &BigRational) -> Option<Self> {
        Some(Self {
            numer: value.numer().to_i128()?,
            denom: value.denom().to_i128()?,
        })
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.numer < 0
    }

    /// The `x` at which `factor * x + offset` is this number, for a factor other than 0; `None` where it is too long.
    #[must_use]
    pub fn solve_affine(self, factor: &BigRational, offset: &BigRational) -> Option<Self> {
        let (factor, offset) = (Self::of(factor)?, Self::of(offset)?);
        let difference = if offset.numer == 0 {
            self
        } else {
            Self {
                numer: (self.numer.checked_mul(offset.denom)?)
                    .checked_sub(offset.numer.checked_mul(self.denom)?)?,
                denom: self.denom.checked_mul(offset.denom)?,
            }
        };
        let numer = difference.numer.checked_mul(factor.denom)?;
        let denom = difference.denom.checked_mul(factor.numer)?;
        Some(if denom < 0 {
            Self {
                numer: numer.checked_neg()?,
                denom: denom.checked_neg()?,
            }
        } else {
            Self { numer, denom }
        })
    }

    /// The order of two numbers; `None` where it takes longer ones.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        let (a, b) = (
            self.numer.checked_mul(other.denom)?,
            other.numer.checked_mul(self.denom)?,
        );
        Some(a.cmp(&b))
    }

    /// The smallest integer at or above the number, or above it (`strict`); `None` where it is too long.
    #[must_use]
    pub fn first_integer(self, strict: bool) -> Option<i128> {
        let above = strict || self.numer.rem_euclid(self.denom) != 0;
        self.numer.div_euclid(self.denom).checked_add(i128::from(above))
    }
}

/// `2^exponent`.
#[must_use]
pub fn power_of_two(exponent: i32) -> BigRational {
    let power = BigInt::one() << exponent.unsigned_abs();
    if exponent >= 0 {
        BigRational::from_integer(power)
    } else {
        BigRational::new(BigInt::one(), power)
    }
}

/// `k` where the number is exactly `2^k`.
#[must_use]
pub fn log2(value: &BigRational) -> Option<i32> {
    let single_bit = |n: &BigInt| {
        let bits = n.bits();
        (n.is_positive() && n.trailing_zeros() == Some(bits - 1))
            .then(|| i32::try_from(bits - 1).ok())
            .flatten()
    };
    if value.denom().is_one() {
        single_bit(value.numer())
    } else {
        value
            .numer()
            .is_one()
            .then(|| single_bit(value.denom()).map(|k| -k))
            .flatten()
    }
}

/// The largest rational of which both are whole multiples; zero only for two zeros.
#[must_use]
pub fn common_grid(a: &BigRational, b: &BigRational) -> BigRational {
    let gcd = |mut a: BigInt, mut b: BigInt| {
        while !b.is_zero() {
            let rest = &a % &b;
            a = b;
            b = rest;
        }
        a.abs()
    };
    let denominator = a.denom() / gcd(a.denom().clone(), b.denom().clone()) * b.denom();
    let on = |value: &BigRational| value.numer() * (&denominator / value.denom());
    BigRational::new(gcd(on(a), on(b)), denominator)
}

/// The product, in lowest terms only where it has become long: a common divisor costs far more than
/// the multiplication, and short-lived numbers do not repay it.
#[must_use]
pub fn product(a: &BigRational, b: &BigRational) -> BigRational {
    quotient(a.numer() * b.numer(), a.denom() * b.denom())
}

/// The quotient by an integer other than zero, in lowest terms only where it has become long.
fn quotient(numer: BigInt, denom: BigInt) -> BigRational {
    /// Length up to which a fraction is left as it is, in bits.
    const SHORT: u64 = 512;
    if denom.bits().max(numer.bits()) > SHORT {
        return BigRational::new(numer, denom);
    }
    // Comparison, floor and ceiling take a positive denominator, reduced or not.
    if denom.is_negative() {
        BigRational::new_raw(-numer, -denom)
    } else {
        BigRational::new_raw(numer, denom)
    }
}

/// The number as a machine integer, where it is one.
#[must_use]
pub fn integer(value: &BigRational) -> Option<i64> {
    value.is_integer().then(|| value.to_integer().to_i64()).flatten()
}

/// Whether all mantissas of a format are machine integers.
#[must_use]
pub fn is_stored(format: &Format) -> bool {
    format.width() <= MAX_STORED_WIDTH && format.max_mantissa() <= i128::from(i64::MAX)
}

/// The narrowest format of these mantissas, where they are machine integers.
#[must_use]
pub fn stored(low: i128, high: i128, frac: i32) -> Option<Format> {
    Format::holding(low, high, frac).ok().filter(is_stored)
}

/// One bit for `+2^-frac` and `-2^-frac`, where a format can stand for the two.
#[must_use]
pub fn bipolar(frac: i32) -> Option<Encoding> {
    Format::holding(-1, 1, frac)
        .is_ok()
        .then_some(Encoding::Bipolar { frac })
}

/// Length of the longer of numerator and denominator in bits.
#[must_use]
pub fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}

/// The nearest float; for people and for the real factor outside the integers.
#[must_use]
pub fn to_f64(value: &BigRational) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// A boundary `rational + root * sqrt(radicand)`, exact; or one that is known only to lie within
/// `uncertainty` of `rational`.
#[derive(Clone, Debug)]
pub struct Boundary {
    rational: BigRational,
    root: BigRational,
    radicand: BigRational,
    uncertainty: Option<BigRational>,
}

impl Boundary {
    /// A rational boundary.
    #[must_use]
    pub fn exact(value: BigRational) -> Self {
        Self {
            rational: value,
            root: BigRational::zero(),
            radicand: BigRational::zero(),
            uncertainty: None,
        }
    }

    /// A transcendental boundary that lies within `uncertainty` of `value`.
    #[must_use]
    pub fn near(value: f64, uncertainty: f64) -> Option<Self> {
        let value = rational(value)?;
        let uncertainty = Some(rational(uncertainty)?);
        Some(Self {
            uncertainty,
            ..Self::exact(value)
        })
    }

    /// The value, where it is rational and exact.
    #[must_use]
    pub fn as_rational(&self) -> Option<&BigRational> {
        (self.root.is_zero() && self.uncertainty.is_none()).then_some(&self.rational)
    }

    /// `self * sqrt(radicand) * factor + offset` for a rational boundary.
    #[must_use]
    pub fn times_root(
        &self,
        factor: &BigRational,
        radicand: &BigRational,
        offset: &BigRational,
    ) -> Option<Self> {
        let value = self.as_rational()?;
        Some(Self {
            rational: offset.clone(),
            root: value * factor,
            radicand: radicand.clone(),
            uncertainty: None,
        })
    }

    /// `(self - offset) / factor` for a factor other than zero.
    #[must_use]
    pub fn solve_affine(&self, factor: &BigRational, offset: &BigRational) -> Self {
        let (numer, denom) = (self.rational.numer(), self.rational.denom());
        let numer = (numer * offset.denom() - offset.numer() * denom) * factor.denom();
        let denom = denom * offset.denom() * factor.numer();
        Self {
            rational: quotient(numer, denom),
            root: if self.root.is_zero() {
                BigRational::zero()
            } else {
                &self.root / factor
            },
            radicand: self.radicand.clone(),
            uncertainty: self.uncertainty.as_ref().map(|u| (u / factor).abs()),
        }
    }

    /// Whether a rational number lies below, at or above the boundary, or `None` where the
    /// boundary is not known well enough.
    #[must_use]
    pub fn compare(&self, value: &BigRational) -> Option<std::cmp::Ordering> {
        use std::cmp::Ordering;
        if let Some(uncertainty) = &self.uncertainty {
            let difference = value - &self.rational;
            return (difference.abs() > *uncertainty).then(|| difference.cmp(&BigRational::zero()));
        }
        if self.root.is_zero() || self.radicand.is_zero() {
            return Some(value.cmp(&self.rational));
        }
        let difference = value - &self.rational;
        // Compares `difference` with `root * sqrt(radicand)` by sign first, by squares next.
        let signs = (difference.is_negative(), self.root.is_negative());
        Some(match signs {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            _ => {
                let squares = (&difference * &difference).cmp(&(&self.root * &self.root * &self.radicand));
                if signs.0 { squares.reverse() } else { squares }
            }
        })
    }

    /// The smallest integer at or above the boundary (`strict`: above it), or `None` where the
    /// boundary is not known well enough.
    #[must_use]
    pub fn first_integer(&self, strict: bool) -> Option<BigInt> {
        use std::cmp::Ordering;
        if let Some(value) = self.as_rational() {
            return Some(if strict {
                value.floor().to_integer() + 1
            } else {
                value.ceil().to_integer()
            });
        }
        let guess = to_f64(&self.rational) + to_f64(&self.root) * libm::sqrt(to_f64(&self.radicand));
        let mut candidate = BigRational::from_float(libm::ceil(guess))?.to_integer();
        let reached = |n: &BigInt| {
            self.compare(&BigRational::from_integer(n.clone()))
                .map(|order| order == Ordering::Greater || (order == Ordering::Equal && !strict))
        };
        // The float guess is off by a few units at most relative to its size; walk to the truth.
        let mut step = BigInt::one();
        while !reached(&candidate)? {
            candidate += &step;
            step *= 2;
        }
        let mut below = &candidate - 1;
        step = BigInt::one();
        while reached(&below)? {
            candidate = below.clone();
            below -= &step;
            step *= 2;
        }
        // `candidate` reaches, `below` does not; close the gap.
        while &candidate - &below > BigInt::one() {
            let middle = (&candidate + &below) / 2;
            if reached(&middle)? {
                candidate = middle;
            } else {
                below = middle;
            }
        }
        Some(candidate)
    }
}
