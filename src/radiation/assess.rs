//! A memory technology in an environment: its rate, what that rests on, and the arithmetic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::cluster::Clusters;
use super::environment::{Environment, Particle, Segment, SegmentFlux};
use super::field::Status;
use super::memory::{ClusterSource, MemoryRate, MemoryTechnology};
use super::rate::{BitHour, CrossSection, FitPerMb, Flux, RateError, Stated, StrikesPerBitHour};
use super::{RadiationError, RateProfile};

/// Largest believable rate: beyond it, a number or its unit is wrong.
const MAX_EVENTS_PER_BIT_HOUR: f64 = 1e12;
/// Which form of rate is wanted, where a memory technology has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateForm {
    /// The cross-section where there is an environment, FIT per Mb where there is none.
    #[default]
    Auto,
    /// FIT per Mb.
    Fit,
    /// The cross-section.
    CrossSection,
}

impl FromStr for RateForm {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(RateForm::Auto),
            "fit" => Ok(RateForm::Fit),
            "cross-section" => Ok(RateForm::CrossSection),
            _ => Err(RateError::Choice {
                what: "form of rate",
                text: text.to_owned(),
                expected: "`auto`, `fit` or `cross-section`",
            }),
        }
    }
}

/// What a result rests on without knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// Short name for machines.
    pub id: &'static str,
    /// What is assumed.
    pub text: String,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.text)
    }
}

/// A memory technology in an environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Strikes per bit and hour over time.
    pub profile: RateProfile,
    /// The form of rate that was taken.
    pub stated: MemoryRate,
    /// Mean number of bits that one strike flips.
    pub bits_per_event: f64,
    /// Which bits it flips: what turns strikes into flipped bits.
    pub clusters: Clusters,
    /// The rate is known within this factor; none where the source does not say.
    pub uncertainty_factor: Option<f64>,
    /// What it rests on.
    pub assumptions: Vec<Assumption>,
    /// The arithmetic, step by step.
    pub steps: Vec<String>,
}

impl MemoryTechnology {
    /// Strikes per bit and hour over time, by the form of rate that fits: the cross-section with an
    /// environment, FIT per Mb without.
    ///
    /// # Errors
    /// [`RadiationError`] where rate and environment do not go together.
    pub fn profile(&self, environment: Option<&Environment>) -> Result<RateProfile, RadiationError> {
        Ok(self.assess(RateForm::Auto, environment)?.profile)
    }

    /// As [`MemoryTechnology::profile`], with what the result rests on.
    ///
    /// # Errors
    /// [`RadiationError`] where rate and environment do not go together.
    pub fn assess(
        &self,
        form: RateForm,
        environment: Option<&Environment>,
    ) -> Result<Assessment, RadiationError> {
        let rate = self.rate_for(form, environment)?;
        let environment = match environment {
            None if rate.needs_environment() => self.own_environment.as_ref(),
            given => given,
        };
        Assessor {
            memory: self,
            rate,
            environment,
            bits_per_event: self.clusters.mean_bits(),
            assumptions: Vec::new(),
            steps: Vec::new(),
        }
        .assess()
    }

    fn forms(&self) -> impl Iterator<Item = &MemoryRate> {
        std::iter::once(&self.rate).chain(&self.alternative)
    }

    /// The form of rate that is used.
    fn rate_for(
        &self,
        form: RateForm,
        environment: Option<&Environment>,
    ) -> Result<&MemoryRate, RadiationError> {
        let missing = |form: &'static str| RadiationError::NoSuchForm {
            memory: self.name.clone(),
            form,
            expected: self
                .forms()
                .map(MemoryRate::name)
                .collect::<Vec<_>>()
                .join(" or "),
        };
        match form {
            RateForm::Auto => Ok(self
                .forms()
                .find(|rate| rate.needs_environment() == environment.is_some())
                .unwrap_or(&self.rate)),
            RateForm::Fit => self
                .forms()
                .find(|rate| matches!(rate, MemoryRate::FitPerMb { .. }))
                .ok_or_else(|| missing("rate in FIT per Mb")),
            RateForm::CrossSection => self
                .forms()
                .find(|rate| rate.needs_environment())
                .ok_or_else(|| missing("cross-section")),
        }
    }
}

/// One assessment in the making.
struct Assessor<'a> {
    memory: &'a MemoryTechnology,
    rate: &'a MemoryRate,
    environment: Option<&'a Environment>,
    bits_per_event: f64,
    assumptions: Vec<Assumption>,
    steps: Vec<String>,
}

impl Assessor<'_> {
    fn assess(mut self) -> Result<Assessment, RadiationError> {
        self.note_what_is_assumed();
        let sizes = self.memory.clusters.sizes().iter();
        let sizes: Vec<String> = sizes
            .map(|(size, share)| format!("{share:.4} x {size}"))
            .collect();
        self.steps.push(format!(
            "cluster sizes: {} = {} flipped bits per strike ({})",
            sizes.join(" + "),
            self.bits_per_event,
            self.memory.clusters.name()
        ));
        if let Some(other) = self.memory.forms().find(|form| *form != self.rate) {
            self.steps.push(format!(
                "the {} is taken; the {} describes the same upsets and is not added",
                self.rate.name(),
                other.name()
            ));
        }
        let profile = match self.environment {
            None => {
                let strikes = self.without_environment()?;
                RateProfile::constant(strikes.value())
            }
            Some(environment) => {
                let mut pieces = Vec::new();
                for segment in &environment.segments {
                    let strikes = self.in_segment(environment, segment)? * environment.duty;
                    pieces.push((segment.hours(), strikes.value()));
                    if environment.duty < 1.0 {
                        self.steps.push(format!(
                            "x duty {} = {:e} strikes per bit and hour",
                            environment.duty,
                            strikes.value()
                        ));
                    }
                }
                RateProfile::of_pieces(pieces)
            }
        };
        Ok(Assessment {
            profile,
            stated: self.rate.clone(),
            bits_per_event: self.bits_per_event,
            clusters: self.memory.clusters.clone(),
            uncertainty_factor: self.memory.uncertainty_factor,
            assumptions: self.assumptions,
            steps: self.steps,
        })
    }

    fn assume(&mut self, id: &'static str, text: impl Into<String>) {
        let assumption = Assumption {
            id,
            text: text.into(),
        };
        if !self.assumptions.contains(&assumption) {
            self.assumptions.push(assumption);
        }
    }

    fn note_what_is_assumed(&mut self) {
        let memory = self.memory;
        let of_rate = match self.rate {
            MemoryRate::FitPerMb { mb_assumed, .. } => *mb_assumed,
            _ => false,
        };
        let added = [&memory.alpha, &memory.thermal];
        if of_rate || added.into_iter().flatten().any(|rate| rate.fit_per_mb().1) {
            self.assume(
                "assumed_mb",
                format!("{}: which megabit is meant is assumed, not stated", memory.name),
            );
        }
        if memory.clusters.is_assumed_single() {
            self.assume(
                "unknown_clusters",
                format!(
                    "{}: cluster sizes are not known, every strike is taken to flip one bit",
                    memory.name
                ),
            );
        }
        if let ClusterSource::Borrowed { table, measured_on } = &memory.cluster_source {
            self.assume(
                "borrowed_clusters",
                format!(
                    "{}: cluster table `{table}` was measured on {measured_on}",
                    memory.name
                ),
            );
        }
        let environment = self.environment.map(|environment| {
            let named = format!("environment {}", environment.name);
            (named, &environment.status)
        });
        let named = (memory.name.clone(), &memory.status);
        for (name, status) in std::iter::once(named).chain(environment) {
            if status.contains(&Status::Transcribed) {
                self.assume(
                    "transcribed",
                    format!("{name}: numbers known from a third party's transcription"),
                );
            }
            if status.contains(&Status::Memory) {
                self.assume(
                    "from_memory",
                    format!("{name}: numbers from memory, to be verified"),
                );
            }
        }
        if memory.uncertainty_factor.is_none() {
            self.assume(
                "no_uncertainty",
                format!("{}: no uncertainty is stated", memory.name),
            );
        }
    }

    /// A stated rate in strikes, and what that took, for people.
    fn in_strikes(&self, rate: Stated<BitHour>) -> (StrikesPerBitHour, String) {
        let division = match rate {
            Stated::Strikes(_) => String::new(),
            Stated::FlippedBits(_) => format!(" / {} flipped bits per strike", self.bits_per_event),
        };
        (rate.strikes(&self.memory.clusters), division)
    }

    fn without_environment(&mut self) -> Result<StrikesPerBitHour, RadiationError> {
        let counts = self.rate.counts();
        let (main, formula) = match self.rate {
            MemoryRate::FitPerMb {
                value, mb, counts, ..
            } => {
                let rate = FitPerMb::new(*value, *mb, *counts)?.per_bit();
                let formula = format!("{value} FIT/Mb / 1e9 h / {:e} bits", mb.bits());
                (rate, formula)
            }
            MemoryRate::PerBitDay { upsets, .. } => {
                let rate = Stated::new(upsets / 24.0, counts)?;
                (rate, format!("{upsets:e} per bit and day / 24 h"))
            }
            MemoryRate::PerDevice { rate_per_s, bits, .. } => {
                let rate = Stated::new(StrikesPerBitHour::of_device(*rate_per_s, *bits)?.value(), counts)?;
                (rate, format!("{rate_per_s:e} per s x 3600 s / {bits} bits"))
            }
            MemoryRate::CrossSection { .. } | MemoryRate::WeibullLet { .. } => {
                return Err(RadiationError::NeedsEnvironment {
                    memory: self.memory.name.clone(),
                    form: self.rate.name(),
                });
            }
        };
        let (strikes, division) = self.in_strikes(main);
        self.steps.push(format!(
            "{}: {formula}{division} = {:e} strikes per bit and hour",
            self.rate.name(),
            strikes.value()
        ));
        self.with_added(strikes, Some(1.0))
    }

    fn in_segment(
        &mut self,
        environment: &Environment,
        segment: &Segment,
    ) -> Result<StrikesPerBitHour, RadiationError> {
        let counts = self.rate.counts();
        let (memory, form) = (self.memory.name.clone(), self.rate.name());
        let (name, particle) = (environment.name.clone(), segment.particle.name());
        if environment.segments.len() > 1 {
            self.steps
                .push(format!("segment {} h to {} h:", segment.from_h, segment.to_h));
        }
        let wrong_flux = || RadiationError::Flux {
            memory: memory.clone(),
            form,
            environment: name.clone(),
            particle,
        };
        let (rate, formula) = match self.rate {
            MemoryRate::PerBitDay { .. } | MemoryRate::PerDevice { .. } => {
                return Err(RadiationError::OwnEnvironment {
                    memory,
                    form,
                    environment: name,
                });
            }
            MemoryRate::FitPerMb {
                value, mb, counts, ..
            } => {
                let flux = segment.flux_per_cm2_h();
                let Some(flux) = flux.filter(|_| segment.particle == Particle::Neutron) else {
                    return Err(RadiationError::NotNeutrons {
                        memory,
                        environment: name,
                        particle,
                    });
                };
                self.compare(Some(Particle::Neutron), Some(10.0), environment, segment);
                let scale = flux / Flux::NEW_YORK_SEA_LEVEL.per_cm2_h();
                let rate = FitPerMb::new(*value, *mb, *counts)?.per_bit().value() * scale;
                let rate = Stated::new(rate, *counts)?;
                let formula = format!(
                    "{value} FIT/Mb / 1e9 h / {:e} bits x {flux} / 13 neutrons per cm2 and h",
                    mb.bits()
                );
                (rate, formula)
            }
            MemoryRate::CrossSection {
                cm2_per_bit,
                particle,
                e_min_mev,
                ..
            } => {
                let flux = segment.flux_per_cm2_h().ok_or_else(wrong_flux)?;
                self.compare(*particle, *e_min_mev, environment, segment);
                let flux = Flux::from_per_cm2_h(flux)?;
                let rate = CrossSection::new(*cm2_per_bit, counts)?.per_bit(flux)?;
                let formula = format!(
                    "{cm2_per_bit:e} cm2 per bit x {:e} per cm2 and h",
                    flux.per_cm2_h()
                );
                (rate, formula)
            }
            MemoryRate::WeibullLet { curve, .. } => {
                let SegmentFlux::LetSpectrum(points) = &segment.flux else {
                    return Err(wrong_flux());
                };
                let per_s = curve.upsets_per_bit_s(points) * segment.multiplier;
                let formula = format!(
                    "integral of sigma(L) dPhi/dL, power laws between {} points = {per_s:e} per bit and s x 3600 s",
                    points.len()
                );
                (Stated::new(per_s * 3600.0, counts)?, formula)
            }
        };
        let (strikes, division) = self.in_strikes(rate);
        self.steps.push(format!(
            "{form}: {formula}{division} = {:e} strikes per bit and hour",
            strikes.value()
        ));
        self.with_added(strikes, self.thermal_scale(segment))
    }

    /// Thermal neutrons as a multiple of New York City's, where anything says so.
    fn thermal_scale(&self, segment: &Segment) -> Option<f64> {
        segment.thermal_vs_nyc.or_else(|| {
            let flux = segment.flux_per_cm2_h()?;
            (segment.particle == Particle::Neutron).then(|| flux / Flux::NEW_YORK_SEA_LEVEL.per_cm2_h())
        })
    }

    /// The rate with what comes on top.
    fn with_added(
        &mut self,
        main: StrikesPerBitHour,
        thermal_scale: Option<f64>,
    ) -> Result<StrikesPerBitHour, RadiationError> {
        let mut strikes = main;
        if let Some(thermal) = &self.memory.thermal {
            let (rate, formula) = thermal.per_bit()?;
            let (rate, division) = self.in_strikes(rate);
            let scale = thermal_scale.unwrap_or(1.0);
            if thermal_scale.is_none() {
                let text = "the environment does not say how many thermal neutrons there are; New York City's are taken";
                self.assume("thermal_of_new_york", text);
            } else if scale != 1.0 {
                let text = format!("thermal neutrons are taken to be {scale} times New York City's");
                self.assume("thermal_scaled", text);
            }
            let rate = rate * scale;
            strikes = strikes + rate;
            self.steps.push(format!(
                "+ thermal neutrons: {formula}{division} x {scale} = {:e} strikes per bit and hour",
                rate.value()
            ));
        }
        if let Some(alpha) = &self.memory.alpha {
            let (rate, formula) = alpha.per_bit()?;
            let (rate, division) = self.in_strikes(rate);
            strikes = strikes + rate;
            self.steps.push(format!(
                "+ alpha particles of the package: {formula}{division} = {:e} strikes per bit and hour",
                rate.value()
            ));
        }
        if self.memory.thermal.is_some() || self.memory.alpha.is_some() {
            self.steps
                .push(format!("sum: {:e} strikes per bit and hour", strikes.value()));
        }
        let events = strikes.value();
        if events.is_nan() || events > MAX_EVENTS_PER_BIT_HOUR {
            return Err(RadiationError::TooMany {
                memory: self.memory.name.clone(),
                events_per_bit_hour: events,
            });
        }
        Ok(strikes)
    }

    /// Notes where the particles of a flux are not those that a rate was measured with.
    fn compare(
        &mut self,
        particle: Option<Particle>,
        e_min_mev: Option<f64>,
        environment: &Environment,
        segment: &Segment,
    ) {
        let name = &self.memory.name;
        let came = segment.particle.name();
        match particle {
            None => {
                let text =
                    format!("{name}: the source does not say for which particles the cross-section is");
                self.assume("unknown_particle", text);
            }
            Some(measured) if measured != segment.particle => {
                let text = format!(
                    "{name}: measured with {}, applied to the {came} of {}",
                    measured.name(),
                    environment.name
                );
                self.assume("particle_mismatch", text);
            }
            Some(_) => {}
        }
        if let (Some(measured), Some(counted)) = (e_min_mev, segment.e_min_mev)
            && measured != counted
        {
            let text = format!(
                "{name}: for particles above {measured} MeV, the flux of {} is above {counted} MeV",
                environment.name
            );
            self.assume("energy_mismatch", text);
        }
    }
}
