//! What a memory's rate comes to: per hour, per day, per inference, in a mission.

use std::ops::{Add, Mul};

use serde::Serialize;

use super::rate::{Expected, FlippedBits, FlippedBitsPerHour, Hours, Quantity, Strikes, StrikesPerHour};
use super::{Assessment, Assumption, Environment, MemoryTechnology, RadiationError, RateForm};

/// So many bits of one class of memory in an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Storage style or class of memory.
    pub class: String,
    /// Its bits.
    pub stored_bits: u64,
    /// Name of its memory technology.
    pub technology: String,
    /// Its rate.
    pub assessment: Assessment,
}

/// A number with the range in which its rate is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Banded<T = f64> {
    /// As stated.
    pub nominal: T,
    /// With every rate divided by its uncertainty factor.
    pub low: T,
    /// With every rate multiplied by its uncertainty factor.
    pub high: T,
}

impl<T: Copy + Mul<f64, Output = T>> Banded<T> {
    /// A number that is known within a factor, or as stated where there is none.
    #[must_use]
    pub fn within(nominal: T, factor: Option<f64>) -> Self {
        let factor = factor.unwrap_or(1.0);
        Self {
            nominal,
            low: nominal * (1.0 / factor),
            high: nominal * factor,
        }
    }
}

impl<T> Banded<T> {
    /// Nominal, low and high put through the same.
    #[must_use]
    pub fn map<V>(self, of: impl Fn(T) -> V) -> Banded<V> {
        Banded {
            nominal: of(self.nominal),
            low: of(self.low),
            high: of(self.high),
        }
    }

    /// Low and high.
    #[must_use]
    pub fn range(self) -> [T; 2] {
        [self.low, self.high]
    }
}

impl<T: Add<Output = T>> Add for Banded<T> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            nominal: self.nominal + other.nominal,
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }
}

impl Exposure {
    /// Bits of a technology in an environment.
    ///
    /// # Errors
    /// [`RadiationError`] where they do not go together.
    pub fn new(
        class: impl Into<String>,
        stored_bits: u64,
        technology: &MemoryTechnology,
        form: RateForm,
        environment: Option<&Environment>,
    ) -> Result<Self, RadiationError> {
        Ok(Self {
            class: class.into(),
            stored_bits,
            technology: technology.name.clone(),
            assessment: technology.assess(form, environment)?,
        })
    }

    fn banded<T: Copy + Mul<f64, Output = T>>(&self, nominal: T) -> Banded<T> {
        Banded::within(nominal, self.assessment.uncertainty_factor)
    }

    /// Strikes per hour, the mean over time.
    #[must_use]
    pub fn strikes_per_hour(&self) -> Banded<StrikesPerHour> {
        self.banded(self.assessment.profile.mean().of_bits(self.stored_bits))
    }

    /// Flipped bits per hour, by the class's own clusters.
    #[must_use]
    pub fn flipped_bits_per_hour(&self) -> Banded<FlippedBitsPerHour> {
        self.strikes_per_hour()
            .map(|strikes| strikes.flipped_bits(&self.assessment.clusters))
    }

    /// Expected strikes in a mission.
    #[must_use]
    pub fn strikes_in(&self, mission: Hours) -> Banded<Expected<Strikes>> {
        let profile = &self.assessment.profile;
        let expected = profile.expected_events(self.stored_bits, Hours(0.0), mission);
        self.banded(Quantity::of(expected))
    }

    /// Expected flips in a mission; a second flip of a bit restores it.
    #[must_use]
    pub fn flipped_bits_in(&self, mission: Hours) -> Banded<Expected<FlippedBits>> {
        self.strikes_in(mission)
            .map(|strikes| strikes.flipped_bits(&self.assessment.clusters))
    }
}

/// All memories together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposures(pub Vec<Exposure>);

impl Exposures {
    fn sum<U: super::rate::Unit, P: super::rate::Per>(
        &self,
        of: impl Fn(&Exposure) -> Banded<Quantity<U, P>>,
    ) -> Banded<Quantity<U, P>> {
        let zero = Banded::within(Quantity::ZERO, None);
        self.0.iter().map(of).fold(zero, Add::add)
    }

    /// All bits.
    #[must_use]
    pub fn stored_bits(&self) -> u64 {
        self.0.iter().map(|part| part.stored_bits).sum()
    }

    /// Whether any uncertainty is stated.
    #[must_use]
    pub fn has_band(&self) -> bool {
        self.0
            .iter()
            .any(|part| part.assessment.uncertainty_factor.is_some())
    }

    /// What the rates rest on, each assumption once.
    #[must_use]
    pub fn assumptions(&self) -> Vec<Assumption> {
        let mut all: Vec<Assumption> = Vec::new();
        for assumption in self.0.iter().flat_map(|part| &part.assessment.assumptions) {
            if !all.contains(assumption) {
                all.push(assumption.clone());
            }
        }
        all
    }

    /// Names of the cluster tables in force, each once.
    #[must_use]
    pub fn clusters(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for part in &self.0 {
            let name = part.assessment.clusters.name();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Strikes per hour.
    #[must_use]
    pub fn strikes_per_hour(&self) -> Banded<StrikesPerHour> {
        self.sum(Exposure::strikes_per_hour)
    }

    /// Flipped bits per hour.
    #[must_use]
    pub fn flipped_bits_per_hour(&self) -> Banded<FlippedBitsPerHour> {
        self.sum(Exposure::flipped_bits_per_hour)
    }

    /// Expected strikes in a mission.
    #[must_use]
    pub fn strikes_in(&self, mission: Hours) -> Banded<Expected<Strikes>> {
        self.sum(|part| part.strikes_in(mission))
    }

    /// Expected flips in a mission; a second flip of a bit restores it.
    #[must_use]
    pub fn flipped_bits_in(&self, mission: Hours) -> Banded<Expected<FlippedBits>> {
        self.sum(|part| part.flipped_bits_in(mission))
    }

    /// Mean time between strikes: long where rates are low. None where there are none.
    #[must_use]
    pub fn hours_per_strike(&self) -> Option<Banded<Hours>> {
        let strikes = self.strikes_per_hour();
        Some(Banded {
            nominal: strikes.nominal.hours_per_one()?,
            low: strikes.high.hours_per_one()?,
            high: strikes.low.hours_per_one()?,
        })
    }
}
