//! What a memory's rate comes to: per hour, per day, per inference, in a mission.

use serde::Serialize;

use super::rate::Hours;
use super::{Assessment, Assumption, Environment, MemoryTechnology, RadiationError, RateForm};

const FIT_PER_HOUR: f64 = 1e9;

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
pub struct Banded {
    /// As stated.
    pub nominal: f64,
    /// With every rate divided by its uncertainty factor.
    pub low: f64,
    /// With every rate multiplied by its uncertainty factor.
    pub high: f64,
}

impl Banded {
    const ZERO: Self = Self {
        nominal: 0.0,
        low: 0.0,
        high: 0.0,
    };

    fn scaled(self, factor: f64) -> Self {
        Self {
            nominal: self.nominal * factor,
            low: self.low * factor,
            high: self.high * factor,
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

    fn banded(&self, nominal: f64) -> Banded {
        let factor = self.assessment.uncertainty_factor.unwrap_or(1.0);
        Banded {
            nominal,
            low: nominal / factor,
            high: nominal * factor,
        }
    }

    /// Strikes per hour, the mean over time.
    #[must_use]
    pub fn events_per_hour(&self) -> Banded {
        self.banded(self.assessment.profile.mean_events_per_bit_hour() * self.stored_bits as f64)
    }

    /// Expected strikes in a mission.
    #[must_use]
    pub fn events_in(&self, mission: Hours) -> Banded {
        let profile = &self.assessment.profile;
        self.banded(profile.expected_events(self.stored_bits, Hours(0.0), mission))
    }
}

/// All memories together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposures(pub Vec<Exposure>);

impl Exposures {
    fn sum(&self, of: impl Fn(&Exposure) -> Banded) -> Banded {
        self.0.iter().map(of).fold(Banded::ZERO, |sum, part| Banded {
            nominal: sum.nominal + part.nominal,
            low: sum.low + part.low,
            high: sum.high + part.high,
        })
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

    /// Strikes per hour.
    #[must_use]
    pub fn events_per_hour(&self) -> Banded {
        self.sum(Exposure::events_per_hour)
    }

    /// Flipped bits per hour.
    #[must_use]
    pub fn flipped_bits_per_hour(&self) -> Banded {
        self.sum(|part| part.events_per_hour().scaled(part.assessment.bits_per_event))
    }

    /// Expected strikes in a mission.
    #[must_use]
    pub fn events_in(&self, mission: Hours) -> Banded {
        self.sum(|part| part.events_in(mission))
    }

    /// Expected flips in a mission; a second flip of a bit restores it.
    #[must_use]
    pub fn flipped_bits_in(&self, mission: Hours) -> Banded {
        self.sum(|part| part.events_in(mission).scaled(part.assessment.bits_per_event))
    }

    /// Strikes per 1e9 hours.
    #[must_use]
    pub fn fit(&self) -> Banded {
        self.events_per_hour().scaled(FIT_PER_HOUR)
    }

    /// Mean time between strikes: long where rates are low. None where there are none.
    #[must_use]
    pub fn mttf(&self) -> Option<Banded> {
        let events = self.events_per_hour();
        (events.nominal > 0.0).then(|| Banded {
            nominal: 1.0 / events.nominal,
            low: 1.0 / events.high,
            high: 1.0 / events.low,
        })
    }
}
