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
//! 4.86 %. A stated rate is [`Stated`]; what it is in strikes or in flipped bits takes the clusters in force.
//!
//! ```
//! use radstream::radiation::Clusters;
//! use radstream::radiation::rate::*;
//! let fit = FitPerMb::new(20.0, Megabit::Decimal, Counts::Event)?;
//! let rate = fit.rate_of(249_120_000).strikes(&Clusters::single());
//! assert!((rate.value() - 4.9824e-6).abs() < 1e-18);
//! # Ok::<(), RateError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use super::quantity::{
    BillionHours, BitHour, CROSS_SECTION_RANGE_CM2, Counts, Expected, Fit, FlippedBits,
    FlippedBitsPerBitHour, FlippedBitsPerHour, Hour, Hours, Per, Quantity, RateError, Span, Strikes,
    StrikesPerBitHour, StrikesPerHour, Unit,
};
use super::quantity::{HOURS_PER_FIT, SECONDS_PER_HOUR, amount};

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

/// A rate as its source states it: of strikes, or of flipped bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stated<P> {
    /// It counts strikes.
    Strikes(Quantity<Strikes, P>),
    /// It counts flipped bits.
    FlippedBits(Quantity<FlippedBits, P>),
}

impl<P: Per> Stated<P> {
    /// A stated amount.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite.
    pub fn new(value: f64, counts: Counts) -> Result<Self, RateError> {
        Ok(match counts {
            Counts::Event => Stated::Strikes(Quantity::new(value)?),
            Counts::Bit => Stated::FlippedBits(Quantity::new(value)?),
        })
    }

    /// What it counts.
    #[must_use]
    pub fn counts(self) -> Counts {
        match self {
            Stated::Strikes(_) => Counts::Event,
            Stated::FlippedBits(_) => Counts::Bit,
        }
    }

    /// The stated number, of what [`Stated::counts`] says.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Stated::Strikes(rate) => rate.value(),
            Stated::FlippedBits(rate) => rate.value(),
        }
    }

    /// The same scaled, whatever it counts.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        match self {
            Stated::Strikes(rate) => Stated::Strikes(rate * factor),
            Stated::FlippedBits(rate) => Stated::FlippedBits(rate * factor),
        }
    }
}

impl Stated<BitHour> {
    /// The same per megabit.
    #[must_use]
    pub fn fit_per_mb(self, megabit: Megabit) -> FitPerMb {
        FitPerMb {
            value: self.value() * HOURS_PER_FIT * megabit.bits(),
            megabit,
            counts: self.counts(),
        }
    }

    /// The cross-section that gives this rate under a flux, counting the same; infinite without a flux.
    #[must_use]
    pub fn cross_section_cm2(self, flux: Flux) -> f64 {
        self.value() / flux.per_cm2_h()
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

    fn stated<P: Per>(self, value: f64) -> Stated<P> {
        match self.counts {
            Counts::Event => Stated::Strikes(Quantity::of(value)),
            Counts::Bit => Stated::FlippedBits(Quantity::of(value)),
        }
    }

    /// The rate of one bit.
    #[must_use]
    pub fn per_bit(self) -> Stated<BitHour> {
        self.stated(self.value / HOURS_PER_FIT / self.megabit.bits())
    }

    /// The rate of a memory of so many bits.
    #[must_use]
    pub fn rate_of(self, stored_bits: u64) -> Stated<Hour> {
        // Megabits first: exact for round numbers.
        let megabits = stored_bits as f64 / self.megabit.bits();
        self.stated(self.value * megabits / HOURS_PER_FIT)
    }
}

/// A cross-section of one bit, in the range that bits have: strikes, or flipped bits, per particle and cm2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CrossSection {
    cm2_per_bit: f64,
    counts: Counts,
}

impl CrossSection {
    /// A cross-section in cm2 per bit.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is negative or not finite, [`RateError::CrossSection`] where it is
    /// outside [`CROSS_SECTION_RANGE_CM2`].
    pub fn new(cm2_per_bit: f64, counts: Counts) -> Result<Self, RateError> {
        amount("cm2 per bit", cm2_per_bit)?;
        let (low, high) = CROSS_SECTION_RANGE_CM2;
        if (low..=high).contains(&cm2_per_bit) {
            Ok(Self { cm2_per_bit, counts })
        } else {
            Err(RateError::CrossSection { cm2_per_bit })
        }
    }

    /// The number of cm2 per bit.
    #[must_use]
    pub fn cm2_per_bit(self) -> f64 {
        self.cm2_per_bit
    }

    /// What is counted.
    #[must_use]
    pub fn counts(self) -> Counts {
        self.counts
    }

    /// The rate of one bit under a flux of the particles that the cross-section is for.
    ///
    /// # Errors
    /// [`RateError::Amount`] where it is beyond all numbers.
    pub fn per_bit(self, flux: Flux) -> Result<Stated<BitHour>, RateError> {
        Stated::new(self.cm2_per_bit * flux.per_cm2_h(), self.counts)
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
