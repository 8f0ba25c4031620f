//! Closed forms beside the simulation: what independent single-bit upsets come to.
//!
//! Every bit is flipped by a Poisson process, a second flip of a bit restores it, and a scrub every `scrub`
//! interval restores all. Rates are of flipped bits where bits pile up, and of strikes where single ones do
//! harm. None of the simulation calls any of this.
//!
//! Sources: the probability of an odd number of Poisson hits; A. M. Saleh, J. J. Serrano, J. H. Patel,
//! "Reliability of scrubbing recovery-techniques for memory systems", IEEE Trans. Reliability 39
//! (1990) 114, for periodic scrubbing; R. Leveugle et al., "Statistical fault injection: quantified
//! error and confidence", DATE 2009, for sample sizes.

use serde::Serialize;

use crate::radiation::rate::{FlippedBitsPerBitHour, Hours, StrikesPerHour};
use crate::scheme::{Code, Tolerance};

/// Probability that a bit is wrong after a time: that it was flipped an odd number of times,
/// `(1 - exp(-2 lambda t)) / 2`.
///
/// ```
/// use radstream::campaign::analytic::p_wrong;
/// use radstream::radiation::rate::{FlippedBitsPerBitHour, Hours};
/// // 960 flips expected on 12,720 bits leave 891 of them wrong.
/// let flips = FlippedBitsPerBitHour::new(960.0 / 12_720.0 / 4.0)?;
/// let wrong = 12_720.0 * p_wrong(flips, Hours(4.0));
/// assert!((wrong - 891.059).abs() < 1e-3);
/// # Ok::<(), radstream::radiation::rate::RateError>(())
/// ```
#[must_use]
pub fn p_wrong(flips: FlippedBitsPerBitHour, time: Hours) -> f64 {
    -0.5 * libm::expm1(-2.0 * flips.value() * time.0)
}

/// How the units of a memory are stored, as far as closed forms go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redundancy {
    /// Nothing: a unit is a bit, and it fails where it is wrong.
    None,
    /// Three copies with a voter per module of so many bits (1: a voter per bit): a unit is a module,
    /// and it fails where two copies or more are not as they were written.
    Tmr {
        /// Bits of a module.
        module_bits: u32,
    },
    /// Words of `n` bits, check bits included, of which one wrong bit is corrected: a unit is a word,
    /// and it fails where two bits or more are wrong.
    Secded {
        /// Bits of a codeword.
        n: u32,
        /// Data bits of it.
        k: u32,
    },
}

impl Redundancy {
    /// That of units under a scheme; none where there is no closed form.
    #[must_use]
    pub fn of(code: &Code) -> Option<Self> {
        code.scheme()
            .definition()
            .tolerates()
            .map(|tolerance| match tolerance {
                Tolerance::Nothing => Self::None,
                Tolerance::OneCopy => Self::Tmr {
                    module_bits: code.data_bits(),
                },
                Tolerance::OneCell => Self::Secded {
                    n: code.cells(),
                    k: code.data_bits(),
                },
            })
    }

    /// Units that hold so many data bits.
    #[must_use]
    pub fn units(self, data_bits: u64) -> u64 {
        match self {
            Redundancy::None => data_bits,
            Redundancy::Tmr { module_bits } => data_bits.div_ceil(u64::from(module_bits.max(1))),
            Redundancy::Secded { k, .. } => data_bits.div_ceil(u64::from(k.max(1))),
        }
    }

    /// Bits that a unit stores, and that can be hit.
    #[must_use]
    pub fn stored_bits_per_unit(self) -> u64 {
        match self {
            Redundancy::None => 1,
            Redundancy::Tmr { module_bits } => 3 * u64::from(module_bits),
            Redundancy::Secded { n, .. } => u64::from(n),
        }
    }

    /// Probability that a unit fails where each of its bits is wrong with probability `p`.
    #[must_use]
    pub fn p_unit_fails(self, p: f64) -> f64 {
        match self {
            Redundancy::None => p,
            Redundancy::Tmr { module_bits } => p_tmr(module_bits, p),
            Redundancy::Secded { n, .. } => p_two_or_more(n, p),
        }
    }
}

/// Probability that two or three copies of a module are wrong, where each of its bits is wrong with
/// probability `p`: `3q^2 - 2q^3` with `q = 1 - (1-p)^m`.
#[must_use]
pub fn p_tmr(module_bits: u32, p: f64) -> f64 {
    let q = if module_bits == 1 {
        p
    } else {
        -libm::expm1(f64::from(module_bits) * libm::log1p(-p))
    };
    q * q * (3.0 - 2.0 * q)
}

/// Probability that two bits or more of `n` are wrong: `1 - (1-p)^n - n p (1-p)^(n-1)`, summed from two
/// upwards where that would cancel.
#[must_use]
pub fn p_two_or_more(n: u32, p: f64) -> f64 {
    let bits = f64::from(n);
    if n < 2 || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let stay = libm::log1p(-p);
    if bits * p > 1.0 {
        let none = libm::exp(bits * stay);
        let one = bits * p * libm::exp((bits - 1.0) * stay);
        return 1.0 - none - one;
    }
    let odds = p / (1.0 - p);
    let mut term = bits * (bits - 1.0) / 2.0 * p * p * libm::exp((bits - 2.0) * stay);
    let mut sum = 0.0;
    for wrong in 2..=n {
        sum += term;
        let wrong = f64::from(wrong);
        term *= (bits - wrong) / (wrong + 1.0) * odds;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// A memory of equal units under upsets for some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Accumulation {
    /// What protects it.
    pub scheme: Redundancy,
    /// Units: bits, modules or words.
    pub units: u64,
    /// Flips per stored bit and hour.
    pub flips: FlippedBitsPerBitHour,
    /// Time between two scrubs, which restore every bit at once; none without scrubbing.
    pub scrub: Option<Hours>,
    /// Length of the mission.
    pub mission: Hours,
}

impl Accumulation {
    /// Whole scrub intervals in the mission, and the time that is left.
    fn intervals(&self) -> (f64, Hours) {
        let mission = self.mission.0.max(0.0);
        match self.scrub {
            Some(scrub) if scrub.0 > 0.0 && scrub.0 < mission => {
                let whole = (mission / scrub.0 * (1.0 + 1e-12)).floor();
                (whole, Hours((mission - whole * scrub.0).max(0.0)))
            }
            _ => (0.0, Hours(mission)),
        }
    }

    /// Probability that a bit is wrong at the end of a scrub interval, or of the mission without
    /// scrubbing.
    #[must_use]
    pub fn p_bit_wrong(&self) -> f64 {
        p_wrong(self.flips, self.interval())
    }

    /// Probability that a unit has failed at the end of a scrub interval, or of the mission without
    /// scrubbing.
    #[must_use]
    pub fn p_unit_fails(&self) -> f64 {
        self.scheme.p_unit_fails(self.p_bit_wrong())
    }

    fn interval(&self) -> Hours {
        match self.intervals() {
            (whole, _) if whole > 0.0 => self.scrub.unwrap_or(self.mission),
            (_, rest) => rest,
        }
    }

    /// Expected number of failed units, counted at the end of every scrub interval and of the
    /// mission: `units * (mission / scrub) * P`.
    #[must_use]
    pub fn expected_failures(&self) -> f64 {
        let (whole, rest) = self.intervals();
        let at = |time: Hours| self.scheme.p_unit_fails(p_wrong(self.flips, time));
        let in_intervals = if whole > 0.0 {
            whole * at(self.interval())
        } else {
            0.0
        };
        self.units as f64 * (in_intervals + at(rest))
    }

    /// Probability that any unit has failed at the end of any scrub interval or of the mission.
    #[must_use]
    pub fn p_any(&self) -> f64 {
        if self.units == 0 {
            return 0.0;
        }
        let (whole, rest) = self.intervals();
        let survives = |time: Hours| libm::log1p(-self.scheme.p_unit_fails(p_wrong(self.flips, time)));
        let in_intervals = if whole > 0.0 {
            whole * survives(self.interval())
        } else {
            0.0
        };
        -libm::expm1(self.units as f64 * (in_intervals + survives(rest)))
    }

    /// Leading order of [`Accumulation::expected_failures`] for rare upsets: `N lambda T` without
    /// protection, `3 m^2 N T tau lambda^2` for TMR, `C(n,2) N T tau lambda^2` for SECDED. It is an upper
    /// bound.
    #[must_use]
    pub fn expected_failures_approximately(&self) -> f64 {
        let units = self.units as f64;
        let (lambda, mission) = (self.flips.value(), self.mission.0);
        let tau = self.interval().0;
        match self.scheme {
            Redundancy::None => units * lambda * mission,
            Redundancy::Tmr { module_bits } => {
                let m = f64::from(module_bits);
                3.0 * m * m * units * mission * tau * lambda * lambda
            }
            Redundancy::Secded { n, .. } => {
                let n = f64::from(n);
                n * (n - 1.0) / 2.0 * units * mission * tau * lambda * lambda
            }
        }
    }

    /// Mean time to the first failed unit with scrubbing: `tau / (1 - (1 - P)^units)`, which counts whole
    /// scrub intervals; none without scrubbing or without upsets.
    #[must_use]
    pub fn mttf_scrubbed(&self) -> Option<Hours> {
        let scrub = self.scrub.filter(|scrub| scrub.0 > 0.0)?;
        let p = self.scheme.p_unit_fails(p_wrong(self.flips, scrub));
        let any = -libm::expm1(self.units as f64 * libm::log1p(-p));
        (any > 0.0).then(|| Hours(scrub.0 / any))
    }
}

/// Mean time to the first failure of two independent kinds at steady rates: one over the sum of the rates. `of_one`
/// is the mean time to the first kind, none where there is none; `other` the rate of the other kind. None where
/// neither fails.
#[must_use]
pub fn mttf_with(of_one: Option<Hours>, other: StrikesPerHour) -> Option<Hours> {
    let rate = of_one.map_or(0.0, |hours| 1.0 / hours.0) + other.value();
    (rate > 0.0).then(|| Hours(1.0 / rate))
}

/// Mean time to the first failed word without scrubbing: to the first word with two flips, or to the first strike
/// that fails a word by itself, at the rate `floor`.
///
/// That no word of `M` of `n` bits has two flips after `t` has the probability `exp(-M (n lambda t)^2 / 2)` for
/// many words. Without a floor the mean is `sqrt(pi / (2M)) / (n lambda)`; with one it is the integral of that
/// probability times `exp(-floor t)`, which is the same times `erfcx(floor / (n lambda sqrt(2M)))`, the scaled
/// complementary error function `exp(x^2) erfc(x)`. It is asymptotic: for 199 words of 72 bits the mean number of
/// flips until then is 18.7 and not the 17.7 of this form, so a simulation is not to be compared with it. None
/// where nothing fails.
#[must_use]
pub fn mttf_secded_unscrubbed(
    words: u64,
    n: u32,
    flips: FlippedBitsPerBitHour,
    floor: StrikesPerHour,
) -> Option<Hours> {
    let per_word = f64::from(n) * flips.value();
    let words = words as f64;
    if per_word <= 0.0 || words <= 0.0 {
        return mttf_with(None, floor);
    }
    let alone = (std::f64::consts::PI / (2.0 * words)).sqrt() / per_word;
    let x = floor.value() / (per_word * (2.0 * words).sqrt());
    Some(Hours(alone * erfcx(x)))
}

/// `exp(x^2) erfc(x)` from 0: to the precision of `erfc` up to 10, and beyond by its asymptotic series
/// `1 / (x sqrt(pi)) * sum of (-1)^k (2k-1)!! / (2 x^2)^k` (NIST Handbook, 7.12.1), which is alternating, so that
/// the first term that is left out bounds the error: below 1e-16.
fn erfcx(x: f64) -> f64 {
    if x < 10.0 {
        return libm::exp(x * x) * libm::erfc(x);
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..13 {
        term *= -f64::from(2 * k - 1) / (2.0 * x * x);
        sum += term;
    }
    sum / (x * std::f64::consts::PI.sqrt())
}

/// Failures per hour by single strikes that flip several bits of one word, or two copies of one bit: no scrubbing
/// lowers them. `share` is the share of such strikes.
#[must_use]
pub fn single_event_floor(strikes: StrikesPerHour, share: f64) -> StrikesPerHour {
    strikes * share
}

/// Number of injections for a margin of error `e` at the normal quantile `t` and an expected share `p`:
/// `N / (1 + e^2 (N-1) / (t^2 p (1-p)))` out of a population `N`, and `t^2 p (1-p) / e^2` out of an infinite
/// one (Leveugle et al., DATE 2009). To be rounded up.
#[must_use]
pub fn sample_size(population: Option<f64>, e: f64, t: f64, p: f64) -> f64 {
    let infinite = t * t * p * (1.0 - p) / (e * e);
    match population {
        None => infinite,
        Some(population) => population / (1.0 + (population - 1.0) / infinite),
    }
}

/// Margin of error of so many injections: the inverse of [`sample_size`].
#[must_use]
pub fn margin_of_error(population: Option<f64>, injections: f64, t: f64, p: f64) -> f64 {
    let infinite = t * (p * (1.0 - p) / injections).sqrt();
    match population {
        None => infinite,
        Some(population) if population > 1.0 => {
            infinite * ((population - injections).max(0.0) / (population - 1.0)).sqrt()
        }
        Some(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Binomial tail in exact rationals, as an oracle for probabilities that cancel.
    fn exact_tail(n: u32, numerator: u64, denominator: u64) -> f64 {
        use num_bigint::BigUint;
        let (p, q) = (BigUint::from(numerator), BigUint::from(denominator - numerator));
        let mut choose = BigUint::from(1_u32);
        let mut sum = BigUint::from(0_u32);
        for wrong in 0..=n {
            if wrong >= 2 {
                sum += &choose * p.pow(wrong) * q.pow(n - wrong);
            }
            choose = choose * (n - wrong) / (wrong + 1);
        }
        let scale = BigUint::from(denominator).pow(n);
        // 60 leading bits of the quotient.
        let shift = (scale.bits() as i64 - sum.bits() as i64 + 60).max(0) as u32;
        let quotient: BigUint = (sum << shift) / scale;
        let leading: u64 = quotient.try_into().unwrap();
        leading as f64 * libm::pow(2.0, -f64::from(shift))
    }

    #[test]
    fn the_tail_does_not_cancel() {
        for n in [2, 8, 22, 39, 72, 137] {
            for (numerator, denominator) in [
                (1, 1_000_000_000_000),
                (1, 1_000_000_000),
                (7, 1_000_000),
                (3, 1000),
                (1, 137),
                (1, 20),
                (1, 2),
            ] {
                let expected = exact_tail(n, numerator, denominator);
                let got = p_two_or_more(n, numerator as f64 / denominator as f64);
                assert!(
                    (got / expected - 1.0).abs() < 1e-12,
                    "{n} {numerator}/{denominator}: {got} {expected}"
                );
            }
        }
        assert_eq!(p_two_or_more(1, 0.5), 0.0);
        assert_eq!(p_two_or_more(72, 0.0), 0.0);
        assert_eq!(p_two_or_more(72, 1.0), 1.0);
    }

    #[test]
    fn a_module_of_one_bit_is_a_bit() {
        for p in [1e-15, 1e-6, 0.07, 0.5] {
            let per_bit = p_tmr(1, p);
            assert!((per_bit / (3.0 * p * p - 2.0 * p * p * p) - 1.0).abs() < 1e-12);
            // Three modules of two bits, all states counted.
            let q = 1.0 - (1.0 - p) * (1.0 - p);
            let states: f64 = (0..8_u32)
                .filter(|copies| copies.count_ones() >= 2)
                .map(|copies| {
                    let wrong = copies.count_ones() as i32;
                    q.powi(wrong) * (1.0 - q).powi(3 - wrong)
                })
                .sum();
            // The oracle's own `q` is rounded to 1e-16 absolutely.
            let tolerance = 1e-12 + 1e-15 / p;
            assert!((p_tmr(2, p) / states - 1.0).abs() < tolerance.max(1e-12) * 4.0);
        }
    }

    #[test]
    fn a_scrub_interval_as_long_as_the_mission_is_none() {
        for scheme in [
            Redundancy::None,
            Redundancy::Tmr { module_bits: 1 },
            Redundancy::Tmr { module_bits: 8 },
            Redundancy::Secded { n: 72, k: 64 },
        ] {
            let of = |scrub: Option<f64>| Accumulation {
                scheme,
                units: 100,
                flips: FlippedBitsPerBitHour::new(0.02).unwrap(),
                scrub: scrub.map(Hours),
                mission: Hours(4.0),
            };
            let plain = of(None);
            assert_eq!(plain.expected_failures(), of(Some(4.0)).expected_failures());
            assert_eq!(plain.p_any(), of(Some(5.0)).p_any());
            // 4 h are 2.5 intervals of 1.6 h.
            let p = |hours: f64| {
                scheme.p_unit_fails(p_wrong(FlippedBitsPerBitHour::new(0.02).unwrap(), Hours(hours)))
            };
            let uneven = of(Some(1.6));
            let expected = 100.0 * (2.0 * p(1.6) + p(0.8));
            assert!((uneven.expected_failures() / expected - 1.0).abs() < 1e-12);
            let survives = libm::pow((1.0 - p(1.6)).powi(2) * (1.0 - p(0.8)), 100.0);
            assert!((uneven.p_any() - (1.0 - survives)).abs() < 1e-12);
            assert!(uneven.expected_failures() <= uneven.expected_failures_approximately() * (1.0 + 1e-12));
        }
    }

    #[test]
    fn the_mean_time_has_both_kinds_of_failures() {
        let flips = FlippedBitsPerBitHour::new(1e-6).unwrap();
        let floor = |rate: f64| StrikesPerHour::new(rate).unwrap();
        for (words, n) in [(199, 72), (1000, 39), (1, 22)] {
            let alone = mttf_secded_unscrubbed(words, n, flips, floor(0.0)).unwrap().0;
            let a = words as f64 * (f64::from(n) * 1e-6).powi(2);
            assert!((alone / (std::f64::consts::PI / (2.0 * a)).sqrt() - 1.0).abs() < 1e-12);
            for times in [1e-3, 0.3, 1.0, 7.0, 40.0, 1e6] {
                let rate = times / alone;
                let both = mttf_secded_unscrubbed(words, n, flips, floor(rate)).unwrap().0;
                assert!(both < alone && both < 1.0 / rate);
                // Simpson's rule over the survival function.
                let end = (8.0 / a.sqrt()).min(40.0 / rate);
                let survives = |t: f64| libm::exp(-0.5 * a * t * t - rate * t);
                let steps = 20_000;
                let width = end / f64::from(steps);
                let sum: f64 = (0..=steps)
                    .map(|step| {
                        let weight = match step {
                            0 => 1.0,
                            last if last == steps => 1.0,
                            odd if odd % 2 == 1 => 4.0,
                            _ => 2.0,
                        };
                        weight * survives(f64::from(step) * width)
                    })
                    .sum();
                let expected = sum * width / 3.0;
                assert!((both / expected - 1.0).abs() < 1e-9, "{times}: {both} {expected}");
            }
        }
        assert_eq!(mttf_secded_unscrubbed(0, 72, flips, floor(0.0)), None);
        let scrubbed = mttf_with(Some(Hours(4.0)), floor(0.75)).unwrap();
        assert_eq!(scrubbed, Hours(1.0));
        assert_eq!(mttf_with(None, floor(0.0)), None);
        assert_eq!(mttf_with(None, floor(0.5)), Some(Hours(2.0)));
    }

    #[test]
    fn margin_and_sample_size_are_inverse() {
        for population in [None, Some(72.0), Some(12_720.0), Some(1e6)] {
            for (e, t, p) in [(0.01, 2.33, 0.5), (0.025, 1.96, 0.3)] {
                let n = sample_size(population, e, t, p);
                assert!((margin_of_error(population, n, t, p) / e - 1.0).abs() < 1e-9);
            }
        }
        assert_eq!(margin_of_error(Some(72.0), 72.0, 1.96, 0.5), 0.0);
    }
}
