//! Amounts of strikes and of flipped bits, which are not the same thing.
//!
//! A strike is what one particle does; an upset is a strike. It flips one bit or several, as the cluster table
//! in force says. A [`Quantity`] says in its type which of the two it counts, so that one is neither added to nor
//! printed as the other: only [`Clusters`](super::Clusters) turn one into the other, by the mean number of bits
//! that one of their strikes flips.
//!
//! ```
//! use radstream::radiation::Clusters;
//! use radstream::radiation::rate::{FlippedBitsPerHour, StrikesPerHour};
//! let flips = FlippedBitsPerHour::new(1e-7)?;
//! let strikes: StrikesPerHour = flips.strikes(&Clusters::burst(8));
//! assert_eq!(strikes.to_string(), "1.25e-8 strikes per hour");
//! assert_eq!(strikes.fit().to_string(), "12.5 FIT (strikes)");
//! # Ok::<(), radstream::radiation::rate::RateError>(())
//! ```
//!
//! ```compile_fail
//! use radstream::radiation::rate::{FlippedBitsPerHour, StrikesPerHour};
//! let sum = StrikesPerHour::new(1.0).unwrap() + FlippedBitsPerHour::new(1.0).unwrap();
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::{Add, Mul};
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::text::number;

pub(super) const HOURS_PER_FIT: f64 = 1e9;
pub(super) const SECONDS_PER_HOUR: f64 = 3600.0;
const HOURS_PER_DAY: f64 = 24.0;

/// Smallest and largest cross-section of one bit that is believed, in cm2.
pub const CROSS_SECTION_RANGE_CM2: (f64, f64) = (1e-18, 1e-6);

/// Why a number is no rate.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq)]
pub enum RateError {
    /// Negative, not a number, or infinite.
    #[error("{quantity} = {value} is not an amount")]
    #[diagnostic(
        code(radstream::rate::amount),
        help("expected a finite number from 0; correct {quantity}")
    )]
    Amount {
        /// Which quantity, with its unit.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// A cross-section that no bit has.
    #[error("a cross-section of {cm2_per_bit:e} cm2 per bit is outside {:e}..={:e}", CROSS_SECTION_RANGE_CM2.0, CROSS_SECTION_RANGE_CM2.1)]
    #[diagnostic(
        code(radstream::rate::cross_section),
        help(
            "expected cm2 per bit; a value per device is divided by its bits, one in um2 multiplied by 1e-8"
        )
    )]
    CrossSection {
        /// The value.
        cm2_per_bit: f64,
    },
    /// A word that is none of the choices.
    #[error("`{text}` is no {what}")]
    #[diagnostic(code(radstream::rate::choice), help("expected {expected}"))]
    Choice {
        /// What it was for.
        what: &'static str,
        /// The word.
        text: String,
        /// The choices.
        expected: &'static str,
    },
}

pub(super) fn amount(quantity: &'static str, value: f64) -> Result<f64, RateError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(RateError::Amount { quantity, value })
    }
}

/// What a stated rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Strikes, each of which may flip several bits.
    #[serde(alias = "Event")]
    Event,
    /// Flipped bits.
    #[serde(alias = "Bit")]
    Bit,
}

impl Counts {
    /// What is counted, for people.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Counts::Event => Strikes::PLURAL,
            Counts::Bit => FlippedBits::PLURAL,
        }
    }
}

impl FromStr for Counts {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text {
            "event" => Ok(Counts::Event),
            "bit" => Ok(Counts::Bit),
            _ => Err(RateError::Choice {
                what: "way to count",
                text: text.to_owned(),
                expected: "`event` (strikes) or `bit` (flipped bits)",
            }),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counts::Event => "event",
            Counts::Bit => "bit",
        })
    }
}

/// A time span in hours.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Hours(pub f64);

impl Hours {
    /// Hours of the Julian year of 365.25 days.
    pub const PER_YEAR: f64 = 8766.0;

    /// A span given in seconds.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        Self(seconds / SECONDS_PER_HOUR)
    }

    /// The span in days.
    #[must_use]
    pub fn days(self) -> f64 {
        self.0 / HOURS_PER_DAY
    }

    /// The span in Julian years.
    #[must_use]
    pub fn years(self) -> f64 {
        self.0 / Self::PER_YEAR
    }
}

/// What a quantity counts: [`Strikes`] or [`FlippedBits`].
pub trait Unit: Copy + fmt::Debug + private::Sealed {
    /// Name for people.
    const PLURAL: &'static str;
}

/// Counts strikes, each one upset: what one particle does, whatever number of bits it flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strikes;

/// Counts flipped bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlippedBits;

impl Unit for Strikes {
    const PLURAL: &'static str = "strikes";
}

impl Unit for FlippedBits {
    const PLURAL: &'static str = "flipped bits";
}

/// What a quantity is per: [`Hour`], [`BitHour`], [`BillionHours`], or nothing ([`Span`]).
pub trait Per: Copy + fmt::Debug + private::Sealed {
    /// Name of the quantity in errors.
    const QUANTITY: &'static str;

    /// Number and unit for people.
    fn text(number: &str, plural: &str) -> String;
}

/// A whole memory, per hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour;

/// One bit, per hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitHour;

/// A whole memory, per 1e9 hours: FIT (JESD89).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillionHours;

/// A whole memory, in some span of time: an expected number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span;

impl Per for Hour {
    const QUANTITY: &'static str = "upsets per hour";

    fn text(number: &str, plural: &str) -> String {
        format!("{number} {plural} per hour")
    }
}

impl Per for BitHour {
    const QUANTITY: &'static str = "upsets per bit and hour";

    fn text(number: &str, plural: &str) -> String {
        format!("{number} {plural} per bit and hour")
    }
}

impl Per for BillionHours {
    const QUANTITY: &'static str = "FIT";

    fn text(number: &str, plural: &str) -> String {
        format!("{number} FIT ({plural})")
    }
}

impl Per for Span {
    const QUANTITY: &'static str = "expected upsets";

    fn text(number: &str, plural: &str) -> String {
        format!("{number} {plural}")
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Strikes {}
    impl Sealed for super::FlippedBits {}
    impl Sealed for super::Hour {}
    impl Sealed for super::BitHour {}
    impl Sealed for super::BillionHours {}
    impl Sealed for super::Span {}
}

/// An amount from 0 of what `U` counts, per `P`. Its serialized form is the number.
#[derive(Clone, Copy, Debug)]
pub struct Quantity<U, P> {
    value: f64,
    of: PhantomData<(U, P)>,
}

/// Strikes of a whole memory per hour.
pub type StrikesPerHour = Quantity<Strikes, Hour>;

/// Flipped bits of a whole memory per hour.
pub type FlippedBitsPerHour = Quantity<FlippedBits, Hour>;

/// Strikes of one bit per hour.
pub type StrikesPerBitHour = Quantity<Strikes, BitHour>;

/// Flips of one bit per hour.
pub type FlippedBitsPerBitHour = Quantity<FlippedBits, BitHour>;

/// Strikes or flipped bits of a whole memory per 1e9 hours.
pub type Fit<U> = Quantity<U, BillionHours>;

/// An expected number of strikes or flipped bits; the number of strikes is Poisson distributed.
pub type Expected<U> = Quantity<U, Span>;

impl<U: Unit, P: Per> Quantity<U, P> {
    /// None at all.
    pub const ZERO: Self = Self {
        value: 0.0,
        of: PhantomData,
    };

    /// An amount.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn new(value: f64) -> Result<Self, RateError> {
        amount(P::QUANTITY, value).map(Self::of)
    }

    /// What is an amount by its origin.
    pub(super) const fn of(value: f64) -> Self {
        Self {
            value,
            of: PhantomData,
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.value
    }

    /// As something else is counted: only cluster tables do this.
    pub(super) fn counted_as<V: Unit>(self, factor: f64) -> Quantity<V, P> {
        Quantity::of(self.value * factor)
    }
}

impl<U: Unit> Quantity<U, Hour> {
    /// Per 1e9 hours.
    #[must_use]
    pub fn fit(self) -> Fit<U> {
        Quantity::of(self.value * HOURS_PER_FIT)
    }

    /// Per day.
    #[must_use]
    pub fn per_day(self) -> f64 {
        self.value * HOURS_PER_DAY
    }

    /// Mean time from one to the next, which is the mean time to the first; none where there are none.
    #[must_use]
    pub fn hours_per_one(self) -> Option<Hours> {
        self.hours_until(1.0)
    }

    /// Mean time until so many; none where there are none.
    #[must_use]
    pub fn hours_until(self, number: f64) -> Option<Hours> {
        (self.value > 0.0).then(|| Hours(number / self.value))
    }

    /// Expected number in a time span.
    ///
    /// # Errors
    /// [`RateError::Amount`] where the span is negative or not finite.
    pub fn expected_in(self, span: Hours) -> Result<Expected<U>, RateError> {
        Ok(Quantity::of(self.value * amount("hours", span.0)?))
    }
}

impl<U: Unit> Quantity<U, BitHour> {
    /// A rate of a whole device spread evenly over its bits.
    ///
    /// # Errors
    /// [`RateError::Amount`] where the rate is negative or not finite, or there is no bit.
    pub fn of_device(per_s: f64, bits: u64) -> Result<Self, RateError> {
        amount("upsets per second", per_s)?;
        Self::new(per_s * SECONDS_PER_HOUR / bits as f64)
    }

    /// The rate of so many bits.
    #[must_use]
    pub fn of_bits(self, bits: u64) -> Quantity<U, Hour> {
        Quantity::of(self.value * bits as f64)
    }
}

impl<U: Unit> Fit<U> {
    /// Per hour.
    #[must_use]
    pub fn per_hour(self) -> Quantity<U, Hour> {
        Quantity::of(self.value / HOURS_PER_FIT)
    }
}

impl<U, P> PartialEq for Quantity<U, P> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<U, P> PartialOrd for Quantity<U, P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<U: Unit, P: Per> Add for Quantity<U, P> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::of(self.value + other.value)
    }
}

impl<U: Unit, P: Per> Sum for Quantity<U, P> {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

impl<U: Unit, P: Per> Mul<f64> for Quantity<U, P> {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::of(self.value * factor)
    }
}

impl<U: Unit, P: Per> fmt::Display for Quantity<U, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&P::text(&number(self.value), U::PLURAL))
    }
}

impl<U, P> Serialize for Quantity<U, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value)
    }
}
