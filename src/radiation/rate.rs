//! How often stored bits are upset: FIT per megabit, cross-section times flux, and what follows.
//!
//! Every rate becomes a rate per bit and hour first:
//!
//! ```text
//! FIT per Mb:     lambda = fit_per_mb / (1e9 h * Mb)         Mb = 1e6 or 2^20 bits
//! cross-section:  lambda = sigma [cm2/bit] * flux [1/(cm2 h)]
//! ```
//!
//! FIT is failures per 1e9 device hours (JESD89). Whether a number counts strikes or flipped bits, and
//! which megabit it means, are part of it: the first differ by the mean cluster size, the second by
//! 4.86 %.
//!
//! ```
//! use radstream::radiation::rate::*;
//! let fit = FitPerMb::new(20.0, Megabit::Decimal, Counts::Event)?;
//! let rate = fit.rate_of(249_120_000);
//! assert!((rate.per_hour().0 - 4.9824e-6).abs() < 1e-18);
//! # Ok::<(), RateError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const HOURS_PER_FIT: f64 = 1e9;
const SECONDS_PER_HOUR: f64 = 3600.0;
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

fn amount(quantity: &'static str, value: f64) -> Result<f64, RateError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(RateError::Amount { quantity, value })
    }
}

/// How many bits are a megabit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Megabit {
    /// 1,000,000 bits.
    #[serde(alias = "Decimal")]
    Decimal,
    /// 1,048,576 bits.
    #[serde(alias = "Binary")]
    Binary,
}

impl Megabit {
    /// The number of bits.
    #[must_use]
    pub fn bits(self) -> f64 {
        match self {
            Megabit::Decimal => 1e6,
            Megabit::Binary => 1_048_576.0,
        }
    }
}

impl FromStr for Megabit {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text {
            "decimal" => Ok(Megabit::Decimal),
            "binary" => Ok(Megabit::Binary),
            _ => Err(RateError::Choice {
                what: "megabit",
                text: text.to_owned(),
                expected: "`decimal` (1e6 bits) or `binary` (2^20 bits)",
            }),
        }
    }
}

impl fmt::Display for Megabit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Megabit::Decimal => "decimal",
            Megabit::Binary => "binary",
        })
    }
}

/// What a rate counts.
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

/// Upsets of a whole memory per hour.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct UpsetsPerHour(pub f64);

/// Upsets of one bit per hour.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct UpsetsPerBitHour(f64);

impl UpsetsPerBitHour {
    /// A rate per bit.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn new(upsets_per_bit_hour: f64) -> Result<Self, RateError> {
        amount("upsets per bit and hour", upsets_per_bit_hour).map(Self)
    }

    /// A rate of a whole device spread evenly over its bits.
    ///
    /// # Errors
    /// [`RateError::Amount`] where the rate is negative or not finite, or there is no bit.
    pub fn of_device(upsets_per_s: f64, bits: u64) -> Result<Self, RateError> {
        amount("upsets per second", upsets_per_s)?;
        Self::new(upsets_per_s * SECONDS_PER_HOUR / bits as f64)
    }

    /// The number of upsets per bit and hour.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }

    /// The same rate per megabit.
    #[must_use]
    pub fn fit_per_mb(self, megabit: Megabit, counts: Counts) -> FitPerMb {
        FitPerMb {
            value: self.0 * HOURS_PER_FIT * megabit.bits(),
            megabit,
            counts,
        }
    }

    /// The cross-section that gives this rate under a flux; infinite without a flux.
    #[must_use]
    pub fn cross_section_cm2(self, flux: Flux) -> f64 {
        self.0 / flux.per_cm2_h()
    }
}

/// A soft error rate per megabit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FitPerMb {
    value: f64,
    megabit: Megabit,
    counts: Counts,
}

impl FitPerMb {
    /// Failures per 1e9 hours and megabit.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn new(fit_per_mb: f64, megabit: Megabit, counts: Counts) -> Result<Self, RateError> {
        Ok(Self {
            value: amount("FIT per Mb", fit_per_mb)?,
            megabit,
            counts,
        })
    }

    /// The number of FIT per megabit.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value
    }

    /// Which megabit is meant.
    #[must_use]
    pub fn megabit(self) -> Megabit {
        self.megabit
    }

    /// What is counted.
    #[must_use]
    pub fn counts(self) -> Counts {
        self.counts
    }

    /// The rate of one bit.
    #[must_use]
    pub fn per_bit(self) -> UpsetsPerBitHour {
        UpsetsPerBitHour(self.value / HOURS_PER_FIT / self.megabit.bits())
    }

    /// The rate of a memory of so many bits.
    #[must_use]
    pub fn rate_of(self, stored_bits: u64) -> UpsetRate {
        // Megabits first: exact for round numbers.
        let megabits = stored_bits as f64 / self.megabit.bits();
        UpsetRate {
            per_hour: UpsetsPerHour(self.value * megabits / HOURS_PER_FIT),
            counts: self.counts,
        }
    }
}

/// A cross-section of one bit, in the range that bits have.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct CrossSection {
    cm2_per_bit: f64,
}

impl CrossSection {
    /// A cross-section in cm2 per bit.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite, [`RateError::CrossSection`] where it is
    /// outside [`CROSS_SECTION_RANGE_CM2`].
    pub fn new(cm2_per_bit: f64) -> Result<Self, RateError> {
        amount("cm2 per bit", cm2_per_bit)?;
        let (low, high) = CROSS_SECTION_RANGE_CM2;
        if (low..=high).contains(&cm2_per_bit) {
            Ok(Self { cm2_per_bit })
        } else {
            Err(RateError::CrossSection { cm2_per_bit })
        }
    }

    /// The number of cm2 per bit.
    #[must_use]
    pub fn cm2_per_bit(self) -> f64 {
        self.cm2_per_bit
    }

    /// The rate of one bit under a flux of the particles that the cross-section is for.
    #[must_use]
    pub fn per_bit(self, flux: Flux) -> UpsetsPerBitHour {
        UpsetsPerBitHour(self.cm2_per_bit * flux.per_cm2_h())
    }

    /// The rate of a memory of so many bits.
    #[must_use]
    pub fn rate_of(self, flux: Flux, stored_bits: u64, counts: Counts) -> UpsetRate {
        UpsetRate {
            per_hour: UpsetsPerHour(self.per_bit(flux).0 * stored_bits as f64),
            counts,
        }
    }
}

/// A flux of particles above the energy that the cross-section is for.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct Flux {
    per_cm2_h: f64,
}

impl Flux {
    /// The reference flux of New York City at sea level above 10 MeV (JESD89A).
    pub const NEW_YORK_SEA_LEVEL: Self = Self { per_cm2_h: 13.0 };

    /// Particles per cm2 and second.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn from_per_cm2_s(flux_per_cm2_s: f64) -> Result<Self, RateError> {
        amount("flux per cm2 and second", flux_per_cm2_s)?;
        Self::from_per_cm2_h(flux_per_cm2_s * SECONDS_PER_HOUR)
    }

    /// Particles per cm2 and hour.
    ///
    /// # Errors
    /// As [`Flux::from_per_cm2_s`].
    pub fn from_per_cm2_h(flux_per_cm2_h: f64) -> Result<Self, RateError> {
        Ok(Self {
            per_cm2_h: amount("flux per cm2 and hour", flux_per_cm2_h)?,
        })
    }

    /// Particles per cm2 and hour.
    #[must_use]
    pub fn per_cm2_h(self) -> f64 {
        self.per_cm2_h
    }
}

/// How often a memory is upset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct UpsetRate {
    per_hour: UpsetsPerHour,
    counts: Counts,
}

impl UpsetRate {
    /// A rate of a whole memory.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn new(per_hour: UpsetsPerHour, counts: Counts) -> Result<Self, RateError> {
        amount("upsets per hour", per_hour.0)?;
        Ok(Self { per_hour, counts })
    }

    /// Upsets per hour.
    #[must_use]
    pub fn per_hour(self) -> UpsetsPerHour {
        self.per_hour
    }

    /// What is counted.
    #[must_use]
    pub fn counts(self) -> Counts {
        self.counts
    }

    /// Upsets per day.
    #[must_use]
    pub fn per_day(self) -> f64 {
        self.per_hour.0 * HOURS_PER_DAY
    }

    /// Upsets per 1e9 hours.
    #[must_use]
    pub fn fit(self) -> f64 {
        self.per_hour.0 * HOURS_PER_FIT
    }

    /// Mean time between upsets, which is the mean time to the first; none where there are none.
    #[must_use]
    pub fn hours_per_upset(self) -> Option<Hours> {
        self.hours_until(1.0)
    }

    /// Mean time until so many upsets; none where there are none.
    #[must_use]
    pub fn hours_until(self, upsets: f64) -> Option<Hours> {
        (self.per_hour.0 > 0.0).then(|| Hours(upsets / self.per_hour.0))
    }

    /// Expected number of upsets in a time span; the number is Poisson distributed.
    ///
    /// # Errors
    /// [`RateError::Amount`] where the span is negative or not finite.
    pub fn expected_in(self, span: Hours) -> Result<f64, RateError> {
        Ok(self.per_hour.0 * amount("hours", span.0)?)
    }

    /// The same rate in the other count, by the mean number of bits that one strike flips.
    ///
    /// # Errors
    /// [`RateError::Amount`] where that is not a number from 1.
    pub fn counted_as(self, counts: Counts, bits_per_event: f64) -> Result<Self, RateError> {
        if !(bits_per_event.is_finite() && bits_per_event >= 1.0) {
            return Err(RateError::Amount {
                quantity: "bits per event (from 1)",
                value: bits_per_event,
            });
        }
        let factor = match (self.counts, counts) {
            (Counts::Event, Counts::Bit) => bits_per_event,
            (Counts::Bit, Counts::Event) => 1.0 / bits_per_event,
            _ => 1.0,
        };
        Ok(Self {
            per_hour: UpsetsPerHour(self.per_hour.0 * factor),
            counts,
        })
    }
}
