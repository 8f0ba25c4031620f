//! How one class of memory is upset.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cluster::{ClusterTable, Clusters};
use super::environment::{Environment, Particle, Segment, SegmentFlux};
use super::field::{Status, amount, bits, cross_section, optional_amount, optional_factor, share};
use super::heavy_ions::Weibull;
use super::presets::{CLUSTERS, MEMORIES, find};
use super::rate::{Counts, CrossSection, FitPerMb, Flux, Megabit, UpsetsPerBitHour};
use super::{RadiationError, RateProfile};

/// One form in which a source states how often a memory is upset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum MemoryRate {
    /// FIT per megabit at New York City's 13 neutrons per cm2 and hour above 10 MeV.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
        /// What is counted.
        counts: Counts,
        /// The source does not say which megabit.
        #[serde(default)]
        mb_assumed: bool,
    },
    /// Cross-section for the particles of an environment.
    CrossSection {
        /// cm2 per bit.
        #[serde(deserialize_with = "cross_section")]
        cm2_per_bit: f64,
        /// What is counted.
        counts: Counts,
        /// Particles that it was measured with; none where the source does not say.
        #[serde(default)]
        particle: Option<Particle>,
        /// Least energy of these particles in MeV.
        #[serde(default, deserialize_with = "optional_amount")]
        e_min_mev: Option<f64>,
    },
    /// Upsets per bit and day in the environment that the source names.
    PerBitDay {
        /// Upsets per bit and day.
        #[serde(deserialize_with = "amount")]
        upsets: f64,
        /// What is counted.
        counts: Counts,
    },
    /// Upsets of a whole device in the environment that the source names.
    PerDevice {
        /// Upsets per second.
        #[serde(deserialize_with = "amount")]
        rate_per_s: f64,
        /// Bits of the device.
        #[serde(deserialize_with = "bits")]
        bits: u64,
        /// What is counted.
        counts: Counts,
    },
    /// Cross-section for heavy ions over their linear energy transfer.
    WeibullLet {
        /// The curve.
        curve: Weibull,
        /// What is counted.
        counts: Counts,
    },
}

impl MemoryRate {
    /// Name for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            MemoryRate::FitPerMb { .. } => "rate in FIT per Mb",
            MemoryRate::CrossSection { .. } => "cross-section",
            MemoryRate::PerBitDay { .. } => "rate per bit and day",
            MemoryRate::PerDevice { .. } => "rate per device",
            MemoryRate::WeibullLet { .. } => "cross-section over the LET",
        }
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            MemoryRate::FitPerMb { counts, .. }
            | MemoryRate::CrossSection { counts, .. }
            | MemoryRate::PerBitDay { counts, .. }
            | MemoryRate::PerDevice { counts, .. }
            | MemoryRate::WeibullLet { counts, .. } => *counts,
        }
    }

    fn needs_environment(&self) -> bool {
        matches!(
            self,
            MemoryRate::CrossSection { .. } | MemoryRate::WeibullLet { .. }
        )
    }
}

/// A contribution that comes on top of the rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum AddedRate {
    /// FIT per megabit at New York City's sea level.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
        /// What is counted.
        counts: Counts,
        /// The source does not say which megabit.
        #[serde(default)]
        mb_assumed: bool,
    },
}

impl AddedRate {
    /// FIT per megabit, and whether the megabit is an assumption.
    #[must_use]
    pub fn fit_per_mb(&self) -> (f64, bool) {
        let AddedRate::FitPerMb {
            value, mb_assumed, ..
        } = self;
        (*value, *mb_assumed)
    }

    /// Strikes per bit and hour, and how that comes about.
    fn events_per_bit_hour(&self, bits_per_event: f64) -> Result<(f64, String), RadiationError> {
        let AddedRate::FitPerMb {
            value, mb, counts, ..
        } = self;
        let rate = FitPerMb::new(*value, *mb, *counts)?.per_bit().value();
        let events = as_events(rate, *counts, bits_per_event);
        let division = match counts {
            Counts::Event => String::new(),
            Counts::Bit => format!(" / {bits_per_event} bits per event"),
        };
        Ok((
            events,
            format!("{value} FIT/Mb / 1e9 h / {:e} bits{division}", mb.bits()),
        ))
    }
}

/// Bits that stay at one value: no scrubbing cures them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermanentFaults {
    /// How often bits get stuck, whatever the environment. Counts are of bits.
    pub rate: PermanentRate,
    /// Share of them that are stuck at 1; the others are stuck at 0.
    #[serde(default = "half", deserialize_with = "share")]
    pub stuck_at_one_share: f64,
}

fn half() -> f64 {
    0.5
}

/// How often bits get stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum PermanentRate {
    /// Bits per 1e9 hours and megabit.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
    },
    /// Bits per bit and day.
    PerBitDay {
        /// The rate.
        #[serde(deserialize_with = "amount")]
        stuck: f64,
    },
}

impl PermanentFaults {
    /// Bits that get stuck per bit and hour.
    #[must_use]
    pub fn per_bit_hour(&self) -> f64 {
        match &self.rate {
            PermanentRate::FitPerMb { value, mb } => value / 1e9 / mb.bits(),
            PermanentRate::PerBitDay { stuck } => stuck / 24.0,
        }
    }

    /// When bits get stuck.
    #[must_use]
    pub fn profile(&self) -> RateProfile {
        RateProfile::constant(self.per_bit_hour())
    }
}

/// What is known about the sizes and shapes of strikes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum ClusterSource {
    /// Nothing: simulated as single bits, and flagged.
    #[default]
    Unknown,
    /// Every strike flips one bit.
    Single,
    /// Every strike flips so many consecutive columns.
    Burst(u32),
    /// A table by name, or by the path of its file relative to this one.
    Table(String),
    /// A table that was measured on something else.
    Borrowed {
        /// The table.
        table: String,
        /// What it was measured on.
        measured_on: String,
    },
}

/// How one class of memory is upset. (What it costs in area is `accelerator::Technology`.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryTechnology {
    /// Name for people and other files.
    pub name: String,
    /// Other names of the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Class of memory: `BRAM`, `CRAM`, `flip-flops`, ...
    pub memory: String,
    /// Feature size in nm, where known.
    #[serde(default)]
    pub node_nm: Option<f64>,
    /// Where the numbers come from.
    pub source: String,
    /// How well they are known.
    pub status: Vec<Status>,
    /// What else is to be said.
    #[serde(default)]
    pub note: String,
    /// How often it is upset.
    pub rate: MemoryRate,
    /// The same in another form: an alternative, never added.
    #[serde(default)]
    pub alternative: Option<MemoryRate>,
    /// Alpha particles of the package, on top; they do not scale with the environment.
    #[serde(default)]
    pub alpha: Option<AddedRate>,
    /// Thermal neutrons, on top.
    #[serde(default)]
    pub thermal: Option<AddedRate>,
    /// The rate is known within this factor, up and down.
    #[serde(default, deserialize_with = "optional_factor")]
    pub uncertainty_factor: Option<f64>,
    /// The environment that its numbers are meant for, by name or path, where none is given.
    #[serde(default)]
    pub environment: Option<String>,
    /// Sizes and shapes of strikes.
    #[serde(default, rename = "clusters")]
    pub cluster_source: ClusterSource,
    /// Bits that get stuck for good, where the source knows of any.
    #[serde(default)]
    pub permanent: Option<PermanentFaults>,
    /// The distribution that `clusters` stands for.
    #[serde(skip)]
    pub clusters: Clusters,
    /// The environment that `environment` names.
    #[serde(skip)]
    pub own_environment: Option<Environment>,
}

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

impl std::str::FromStr for RateForm {
    type Err = super::rate::RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(RateForm::Auto),
            "fit" => Ok(RateForm::Fit),
            "cross-section" => Ok(RateForm::CrossSection),
            _ => Err(super::rate::RateError::Choice {
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
    /// Mean number of bits that one strike flips.
    pub bits_per_event: f64,
    /// Which bits it flips.
    pub clusters: Clusters,
    /// The rate is known within this factor; none where the source does not say.
    pub uncertainty_factor: Option<f64>,
    /// What it rests on.
    pub assumptions: Vec<Assumption>,
    /// The arithmetic, step by step.
    pub steps: Vec<String>,
}

impl MemoryTechnology {
    const EXPECTED: &str = "a memory technology as in hw_configs/memories/kintex7_bram.ron";

    /// The memory technology of that name, or in the file of that path; a relative path starts at
    /// `folder`.
    ///
    /// # Errors
    /// [`RadiationError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, RadiationError> {
        let mut memory: Self = find("memory technology", &MEMORIES, name, folder, Self::EXPECTED)?;
        let beside = folder.join(name);
        let folder = beside.parent().unwrap_or(folder);
        memory.clusters = match &memory.cluster_source {
            ClusterSource::Unknown => Clusters::unknown(),
            ClusterSource::Single => Clusters::single(),
            ClusterSource::Burst(bits) => Clusters::burst(*bits),
            ClusterSource::Table(table) | ClusterSource::Borrowed { table, .. } => {
                ClusterTable::find(table, folder)?.clusters()
            }
        };
        if let Some(environment) = &memory.environment {
            memory.own_environment = Some(Environment::find(environment, folder)?);
        }
        memory.checked()
    }

    fn checked(self) -> Result<Self, RadiationError> {
        let clash = self
            .alternative
            .as_ref()
            .filter(|other| other.needs_environment() == self.rate.needs_environment());
        if let Some(other) = clash {
            return Err(RadiationError::Contradiction {
                what: "memory technology",
                problem: format!("a {} beside a {}", other.name(), self.rate.name()),
                name: self.name,
                expected: "one form of rate, or FIT per Mb and a cross-section as alternatives".to_owned(),
            });
        }
        Ok(self)
    }

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

    /// The form of rate that is used.
    fn rate_for(
        &self,
        form: RateForm,
        environment: Option<&Environment>,
    ) -> Result<&MemoryRate, RadiationError> {
        let forms = || std::iter::once(&self.rate).chain(&self.alternative);
        let missing = |form: &'static str| RadiationError::NoSuchForm {
            memory: self.name.clone(),
            form,
            expected: forms().map(MemoryRate::name).collect::<Vec<_>>().join(" or "),
        };
        match form {
            RateForm::Auto => Ok(forms()
                .find(|rate| rate.needs_environment() == environment.is_some())
                .unwrap_or(&self.rate)),
            RateForm::Fit => forms()
                .find(|rate| matches!(rate, MemoryRate::FitPerMb { .. }))
                .ok_or_else(|| missing("rate in FIT per Mb")),
            RateForm::CrossSection => forms()
                .find(|rate| rate.needs_environment())
                .ok_or_else(|| missing("cross-section")),
        }
    }
}

fn as_events(rate: f64, counts: Counts, bits_per_event: f64) -> f64 {
    match counts {
        Counts::Event => rate,
        Counts::Bit => rate / bits_per_event,
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
        self.steps.push(format!(
            "mean cluster size: {} flipped bits per event",
            self.bits_per_event
        ));
        let profile = match self.environment {
            None => {
                let events = self.without_environment()?;
                RateProfile::constant(events)
            }
            Some(environment) => {
                let mut pieces = Vec::new();
                for segment in &environment.segments {
                    let events = self.in_segment(environment, segment)?;
                    pieces.push((segment.hours(), events * environment.duty));
                    if environment.duty < 1.0 {
                        self.steps.push(format!(
                            "x duty {} = {:e} events per bit and hour",
                            environment.duty,
                            events * environment.duty
                        ));
                    }
                }
                RateProfile::of_pieces(pieces)
            }
        };
        Ok(Assessment {
            profile,
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

    /// Division of a count of bits by the bits per event, for people.
    fn division(&self, counts: Counts) -> String {
        match counts {
            Counts::Event => String::new(),
            Counts::Bit => format!(" / {} bits per event", self.bits_per_event),
        }
    }

    fn without_environment(&mut self) -> Result<f64, RadiationError> {
        let (main, formula) = match self.rate {
            MemoryRate::FitPerMb {
                value, mb, counts, ..
            } => {
                let rate = FitPerMb::new(*value, *mb, *counts)?.per_bit();
                let formula = format!("{value} FIT/Mb / 1e9 h / {:e} bits", mb.bits());
                (rate, formula)
            }
            MemoryRate::PerBitDay { upsets, .. } => {
                let rate = UpsetsPerBitHour::new(upsets / 24.0)?;
                (rate, format!("{upsets:e} per bit and day / 24 h"))
            }
            MemoryRate::PerDevice { rate_per_s, bits, .. } => {
                let rate = UpsetsPerBitHour::of_device(*rate_per_s, *bits)?;
                (rate, format!("{rate_per_s:e} per s x 3600 s / {bits} bits"))
            }
            MemoryRate::CrossSection { .. } | MemoryRate::WeibullLet { .. } => {
                return Err(RadiationError::NeedsEnvironment {
                    memory: self.memory.name.clone(),
                    form: self.rate.name(),
                });
            }
        };
        let counts = self.rate.counts();
        let events = as_events(main.value(), counts, self.bits_per_event);
        let division = self.division(counts);
        self.steps.push(format!(
            "{}: {formula}{division} = {events:e} events per bit and hour",
            self.rate.name()
        ));
        self.with_added(events, Some(1.0))
    }

    fn in_segment(&mut self, environment: &Environment, segment: &Segment) -> Result<f64, RadiationError> {
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
                let rate = CrossSection::new(*cm2_per_bit)?.per_bit(flux).value();
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
                let formula = format!("integral of sigma(L) dPhi/dL = {per_s:e} per bit and s x 3600 s");
                (per_s * 3600.0, formula)
            }
        };
        let rate = UpsetsPerBitHour::new(rate)?.value();
        let events = as_events(rate, counts, self.bits_per_event);
        let division = self.division(counts);
        self.steps.push(format!(
            "{form}: {formula}{division} = {events:e} events per bit and hour"
        ));
        self.with_added(events, self.thermal_scale(segment))
    }

    /// Thermal neutrons as a multiple of New York City's, where anything says so.
    fn thermal_scale(&self, segment: &Segment) -> Option<f64> {
        segment.thermal_vs_nyc.or_else(|| {
            let flux = segment.flux_per_cm2_h()?;
            (segment.particle == Particle::Neutron).then(|| flux / Flux::NEW_YORK_SEA_LEVEL.per_cm2_h())
        })
    }

    /// The rate with what comes on top.
    fn with_added(&mut self, main: f64, thermal_scale: Option<f64>) -> Result<f64, RadiationError> {
        let mut events = main;
        if let Some(thermal) = &self.memory.thermal {
            let (rate, formula) = thermal.events_per_bit_hour(self.bits_per_event)?;
            let scale = thermal_scale.unwrap_or(1.0);
            if thermal_scale.is_none() {
                let text = "the environment does not say how many thermal neutrons there are; New York City's are taken";
                self.assume("thermal_of_new_york", text);
            } else if scale != 1.0 {
                let text = format!("thermal neutrons are taken to be {scale} times New York City's");
                self.assume("thermal_scaled", text);
            }
            events += rate * scale;
            self.steps.push(format!(
                "+ thermal neutrons: {formula} x {scale} = {:e} events per bit and hour",
                rate * scale
            ));
        }
        if let Some(alpha) = &self.memory.alpha {
            let (rate, formula) = alpha.events_per_bit_hour(self.bits_per_event)?;
            events += rate;
            self.steps.push(format!(
                "+ alpha particles of the package: {formula} = {rate:e} events per bit and hour"
            ));
        }
        if self.memory.thermal.is_some() || self.memory.alpha.is_some() {
            self.steps
                .push(format!("sum: {events:e} events per bit and hour"));
        }
        Ok(events)
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

impl ClusterTable {
    const EXPECTED: &str = "a cluster table as in hw_configs/clusters/mcu_28nm_xil7_cram.ron";

    /// The table of that name, or in the file of that path; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`RadiationError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, RadiationError> {
        find("cluster table", &CLUSTERS, name, folder, Self::EXPECTED)
    }
}
