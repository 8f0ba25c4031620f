//! How often memories are hit, as several studies are told it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Design, StudyError, text_form};
use crate::accelerator::{Accelerator, Hardware, StoredBit, Style};
use crate::data::did_you_mean;
use crate::fault;
use crate::radiation::rate::{
    Counts, CrossSection, Expected, Fit, FitPerMb, FlippedBits, FlippedBitsPerHour, Flux, Megabit, Quantity,
    Strikes, StrikesPerBitHour, StrikesPerHour, Unit,
};
use crate::radiation::{
    Assumption, Banded, ClusterSource, ClusterTable, Clusters, Environment, Exposure, Exposures, MemoryRate,
    MemoryTechnologies, MemoryTechnology, Particle, RadiationError, RateForm, Segment, SegmentFlux, Status,
};

/// FIT per megabit of AMD UltraScale+ block RAM at sea level in New York (UG116 v10.9, real time,
/// as transcribed by third parties).
const DEFAULT_FIT_PER_MB: f64 = 20.0;

/// Name of the memory technology that stands for the default rate, and of the one for a stated number.
pub(super) const DEFAULT: &str = "default";
const STATED: &str = "stated rate";

/// How often memories are hit; 20 FIT per megabit where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateRequest {
    /// Soft error rate in FIT per megabit.
    pub fit_per_mb: Option<f64>,
    /// Which megabit: `decimal` (1e6 bits) or `binary` (2^20 bits); decimal where it is not said.
    #[serde(with = "text_form::option")]
    pub mb: Option<Megabit>,
    /// What the rate counts: `event` (strikes) or `bit` (flipped bits); events where it is not said.
    #[serde(with = "text_form::option")]
    pub counts: Option<Counts>,
    /// Cross-section of one bit in cm2, with a flux or an environment.
    pub cross_section_cm2: Option<f64>,
    /// Flux in particles per cm2 and second.
    pub flux_per_cm2_s: Option<f64>,
    /// Which particles come: a preset or a RON file.
    pub environment: Option<String>,
    /// How memories are upset: `[STYLE=]` a preset or a RON file, for all memories or for one storage style;
    /// before what the hardware file says.
    pub memory_technology: Vec<String>,
    /// Which form of rate, where a memory technology has two.
    pub rate_form: RateForm,
    /// Which bits one strike flips, instead of what the memory technology says: a preset, a RON file, `single`,
    /// or `burst:K`.
    pub clusters: Option<String>,
}

/// A rate as reports hold it. An upset is a strike, whatever the stated rate counts; the bits that strikes flip
/// are those of the cluster tables in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateSummary {
    /// Stored bits that are hit.
    pub stored_bits: u64,
    /// FIT per megabit, where all rates are that number, stated or the default.
    pub fit_per_mb: Option<f64>,
    /// Which megabit; `mixed` where rates differ in that.
    pub mb: String,
    /// What the stated rate counts: `event` (strikes) or `bit` (flipped bits); `mixed` where rates differ in that.
    pub counts: String,
    /// Cross-section of one bit in cm2, where all rates are that stated number.
    pub cross_section_cm2: Option<f64>,
    /// Flux, where it was stated.
    pub flux_per_cm2_s: Option<f64>,
    /// Environment, where it was stated.
    pub environment: Option<String>,
    /// Memory technologies that were stated.
    pub memory_technology: Vec<String>,
    /// Upsets, which are strikes, per 1e9 hours.
    pub fit: Fit<Strikes>,
    /// The same.
    pub fit_strikes: Fit<Strikes>,
    /// Flipped bits per 1e9 hours.
    pub fit_flipped_bits: Fit<FlippedBits>,
    /// Upsets, which are strikes, per hour.
    pub upsets_per_hour: StrikesPerHour,
    /// The same.
    pub strikes_per_hour: StrikesPerHour,
    /// Flipped bits per hour.
    pub flipped_bits_per_hour: FlippedBitsPerHour,
    /// Upsets, which are strikes, per day.
    pub upsets_per_day: f64,
    /// Hours per upset; none without upsets.
    pub hours_per_upset: Option<f64>,
    /// The same.
    pub hours_per_strike: Option<f64>,
    /// Hours per flipped bit.
    pub hours_per_flipped_bit: Option<f64>,
    /// Mean number of bits that a strike flips; none without strikes.
    pub flipped_bits_per_strike: Option<f64>,
    /// Names of the cluster tables in force.
    pub clusters: Vec<String>,
    /// Where the rate comes from.
    pub source: String,
    /// The range in which its sources know the rate.
    pub band: RateBand,
    /// What it rests on without knowing.
    pub assumptions: Vec<Assumption>,
}

/// The range in which rates are known, low and high; none where the sources do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RateBand {
    /// Of the upsets, which are strikes, per hour.
    pub upsets_per_hour: Option<[StrikesPerHour; 2]>,
    /// Of the strikes per hour: the same.
    pub events_per_hour: Option<[StrikesPerHour; 2]>,
    /// Of the flipped bits per hour.
    pub flipped_bits_per_hour: Option<[FlippedBitsPerHour; 2]>,
    /// Of the mean time between strikes.
    pub mttf_hours: Option<[f64; 2]>,
    /// Of the strikes in a mission, where one was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_events: Option<Option<[Expected<Strikes>; 2]>>,
    /// Of the flipped bits in a mission, where one was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_flipped_bits: Option<Option<[Expected<FlippedBits>; 2]>>,
}

impl RateBand {
    /// The band of some rates.
    #[must_use]
    pub fn of(exposures: &Exposures) -> Self {
        let known = exposures.has_band();
        let strikes = known.then(|| exposures.strikes_per_hour().range());
        let hours = exposures.hours_per_strike().filter(|_| known);
        Self {
            upsets_per_hour: strikes,
            events_per_hour: strikes,
            flipped_bits_per_hour: known.then(|| exposures.flipped_bits_per_hour().range()),
            mttf_hours: hours.map(|hours| hours.map(|hours| hours.0).range()),
            expected_events: None,
            expected_flipped_bits: None,
        }
    }
}

impl RateRequest {
    /// What the stated number counts, or the default.
    fn counted(&self) -> Counts {
        self.counts.unwrap_or(Counts::Event)
    }

    fn megabit(&self) -> Megabit {
        self.mb.unwrap_or(Megabit::Decimal)
    }

    /// A memory technology for one storage style, where one is named.
    #[must_use]
    pub fn styled(&self) -> Option<&str> {
        let named = self.memory_technology.iter().map(String::as_str);
        named.into_iter().find(|named| named.contains('='))
    }

    /// Refuses parts that exclude each other.
    fn check(&self) -> Result<(), StudyError> {
        let stated = [
            ("FIT per megabit", self.fit_per_mb.is_some()),
            ("a cross-section", self.cross_section_cm2.is_some()),
            ("memory technologies", !self.memory_technology.is_empty()),
        ];
        let stated: Vec<&str> = stated
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if let [first, second, ..] = stated[..] {
            return Err(StudyError::refused(
                format!("the rate is stated twice: {first} and {second}"),
                "one of FIT per megabit, a cross-section, and memory technologies",
            ));
        }
        if self.flux_per_cm2_s.is_some() && self.environment.is_some() {
            return Err(StudyError::refused(
                "both a flux and an environment are stated",
                "one of them: an environment has a flux of its own",
            ));
        }
        if self.flux_per_cm2_s.is_some() && self.cross_section_cm2.is_none() {
            return Err(StudyError::refused_about(
                "flux",
                "a flux is no rate without a cross-section",
                "a cross-section with it, or an environment for memory technologies",
            ));
        }
        Ok(())
    }

    /// The stated rate, or the default.
    fn plain(&self) -> Result<MemoryTechnology, StudyError> {
        let rate = match self.cross_section_cm2 {
            Some(cross_section) => {
                if self.flux_per_cm2_s.is_none() && self.environment.is_none() {
                    return Err(StudyError::refused_about(
                        "flux",
                        "a cross-section is no rate without a flux",
                        "a flux or an environment with it",
                    ));
                }
                MemoryRate::CrossSection {
                    cm2_per_bit: CrossSection::new(cross_section, self.counted())?.cm2_per_bit(),
                    counts: self.counted(),
                    particle: self.flux_per_cm2_s.map(|_| Particle::Hadron),
                    e_min_mev: None,
                }
            }
            None => {
                let fit = FitPerMb::new(
                    self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
                    self.megabit(),
                    self.counted(),
                )?;
                MemoryRate::FitPerMb {
                    value: fit.value(),
                    mb: fit.megabit(),
                    counts: fit.counts(),
                    mb_assumed: self.mb.is_none(),
                }
            }
        };
        let is_default = self.cross_section_cm2.is_none() && self.fit_per_mb.is_none();
        Ok(MemoryTechnology {
            name: if is_default { DEFAULT } else { STATED }.to_owned(),
            aliases: Vec::new(),
            memory: "all".to_owned(),
            node_nm: None,
            source: self.plain_source(),
            status: if is_default {
                vec![Status::Transcribed]
            } else {
                Vec::new()
            },
            note: String::new(),
            rate,
            alternative: None,
            alpha: None,
            thermal: None,
            uncertainty_factor: None,
            environment: None,
            cluster_source: ClusterSource::Unknown,
            permanent: None,
            clusters: Clusters::unknown(),
            own_environment: None,
        })
    }

    /// The environment, where there is one.
    ///
    /// # Errors
    /// [`StudyError::Request`] where there is no such preset or file, or the flux is none.
    pub fn environment(&self) -> Result<Option<Environment>, StudyError> {
        if let Some(flux) = self.flux_per_cm2_s {
            Flux::from_per_cm2_s(flux)?;
            return Ok(Some(Environment {
                name: "stated flux".to_owned(),
                aliases: Vec::new(),
                source: "the stated flux".to_owned(),
                status: Vec::new(),
                note: String::new(),
                segments: vec![Segment {
                    from_h: 0.0,
                    to_h: 1.0,
                    flux: SegmentFlux::PerCm2Second(flux),
                    particle: Particle::Hadron,
                    e_min_mev: None,
                    multiplier: 1.0,
                    thermal_vs_nyc: None,
                }],
                duty: 1.0,
                quoted_multiple_of_nyc: None,
            }));
        }
        let name = self.environment.as_deref();
        Ok(name
            .map(|name| Environment::find(name, Path::new("")))
            .transpose()?)
    }

    /// How the memories of each style are upset: the request before the hardware file before the default.
    ///
    /// # Errors
    /// [`StudyError::Request`] where there is no such preset or file, or a number is no rate.
    pub fn technologies(&self, hardware: Option<&Hardware>) -> Result<MemoryTechnologies, StudyError> {
        self.check()?;
        let is_stated = self.fit_per_mb.is_some() || self.cross_section_cm2.is_some();
        let mut technologies = match hardware {
            Some(hardware) if !is_stated => MemoryTechnologies::of(hardware)?,
            _ => MemoryTechnologies::default(),
        };
        for named in &self.memory_technology {
            let find = |name: &str| MemoryTechnology::find(name, Path::new(""));
            match named.split_once('=') {
                None => technologies = MemoryTechnologies::everywhere(find(named)?),
                Some((style, name)) => technologies.set(style_named(style)?, find(name)?),
            }
        }
        let mut technologies = technologies.or(self.plain()?);
        if let Some(clusters) = &self.clusters {
            let clusters = clusters_named(clusters)?;
            for technology in technologies.all_mut() {
                technology.cluster_source = ClusterSource::Single;
                technology.clusters = clusters.clone();
            }
        }
        Ok(technologies)
    }

    /// The rates of classes of memory with their bits.
    ///
    /// # Errors
    /// [`StudyError::Request`] where rate and environment do not go together.
    pub fn exposures(
        &self,
        hardware: Option<&Hardware>,
        classes: &[(Option<Style>, u64)],
    ) -> Result<Exposures, StudyError> {
        let technologies = self.technologies(hardware)?;
        let environment = self.environment()?;
        let exposure = |(style, bits): &(Option<Style>, u64)| -> Result<Option<Exposure>, RadiationError> {
            let technology = match style {
                Some(style) => technologies.get(*style),
                None => technologies.others(),
            };
            technology
                .map(|technology| {
                    let class = style.map_or(technology.memory.as_str(), |style| style.name());
                    Exposure::new(class, *bits, technology, self.rate_form, environment.as_ref())
                })
                .transpose()
        };
        let found: Result<Vec<Option<Exposure>>, RadiationError> = classes.iter().map(exposure).collect();
        Ok(Exposures(found?.into_iter().flatten().collect()))
    }

    /// The rates of an accelerator's memories.
    ///
    /// # Errors
    /// As [`RateRequest::exposures`].
    pub fn on(&self, design: &Design) -> Result<AcceleratorRates, StudyError> {
        let classes: Vec<(Option<Style>, u64)> = Style::STORED
            .into_iter()
            .map(|style| (Some(style), design.bits_of_style(style)))
            .filter(|(_, bits)| *bits > 0)
            .collect();
        Ok(AcceleratorRates {
            exposures: self.exposures(Some(&design.hardware), &classes)?,
            styles: classes.iter().filter_map(|(style, _)| *style).collect(),
        })
    }

    /// Where the rates come from, for people: what was stated, or the technologies that are in force.
    #[must_use]
    pub fn source(&self, exposures: &Exposures) -> String {
        let mut parts: Vec<String> = self.memory_technology.clone();
        if parts.is_empty() {
            for part in &exposures.0 {
                let text = match part.technology.as_str() {
                    DEFAULT | STATED => self.plain_source(),
                    of_hardware => of_hardware.to_owned(),
                };
                if !parts.contains(&text) {
                    parts.push(text);
                }
            }
        }
        if parts.is_empty() {
            parts.push(self.plain_source());
        }
        let mut text = parts.join(", ");
        if let Some(environment) = &self.environment {
            text.push_str(&format!(" in {environment}"));
        }
        text
    }

    fn plain_source(&self) -> String {
        let counts = self.counted().plural();
        match (self.cross_section_cm2, self.flux_per_cm2_s) {
            (Some(cross_section), Some(flux)) => {
                format!("{cross_section:e} cm2 per bit x {flux:e} particles per cm2 and s, counting {counts}")
            }
            (Some(cross_section), None) => {
                format!("{cross_section:e} cm2 per bit, counting {counts}")
            }
            _ => {
                let origin = if self.fit_per_mb.is_none() {
                    " (default: UltraScale+ block RAM, New York sea level, UG116 v10.9 as transcribed)"
                } else {
                    ""
                };
                format!(
                    "{} FIT per {} Mb counting {counts}{origin}",
                    self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
                    self.megabit(),
                )
            }
        }
    }

    /// What the rate comes to, as reports hold it.
    #[must_use]
    pub fn summary(&self, exposures: &Exposures) -> RateSummary {
        let strikes = exposures.strikes_per_hour().nominal;
        let flips = exposures.flipped_bits_per_hour().nominal;
        let hours = strikes.hours_per_one().map(|hours| hours.0);
        let (fits, megabits, sections, counts) = stated(exposures);
        RateSummary {
            stored_bits: exposures.stored_bits(),
            fit_per_mb: common(&fits).flatten(),
            mb: one_or_mixed(&megabits, |mb| mb.unwrap_or(self.megabit())),
            counts: one_or_mixed(&counts, |counts| counts),
            cross_section_cm2: common(&sections).flatten(),
            flux_per_cm2_s: self.flux_per_cm2_s,
            environment: self.environment.clone(),
            memory_technology: self.memory_technology.clone(),
            fit: strikes.fit(),
            fit_strikes: strikes.fit(),
            fit_flipped_bits: flips.fit(),
            upsets_per_hour: strikes,
            strikes_per_hour: strikes,
            flipped_bits_per_hour: flips,
            upsets_per_day: strikes.per_day(),
            hours_per_upset: hours,
            hours_per_strike: hours,
            hours_per_flipped_bit: flips.hours_per_one().map(|hours| hours.0),
            flipped_bits_per_strike: hours.map(|_| bits_per_strike(exposures)),
            clusters: exposures.clusters(),
            source: self.source(exposures),
            band: RateBand::of(exposures),
            assumptions: exposures.assumptions(),
        }
    }
}

/// Numbers that the exposures' rates state, one of each for every class.
type StatedNumbers = (
    Vec<Option<f64>>,
    Vec<Option<Megabit>>,
    Vec<Option<f64>>,
    Vec<Counts>,
);

fn stated(exposures: &Exposures) -> StatedNumbers {
    let (mut fits, mut megabits, mut sections, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for part in &exposures.0 {
        let rate = &part.assessment.stated;
        let is_number = [DEFAULT, STATED].contains(&part.technology.as_str());
        counts.push(rate.counts());
        let (fit, mb, section) = match rate {
            MemoryRate::FitPerMb { value, mb, .. } => (Some(*value), Some(*mb), None),
            MemoryRate::CrossSection { cm2_per_bit, .. } => (None, None, Some(*cm2_per_bit)),
            _ => (None, None, None),
        };
        fits.push(fit.filter(|_| is_number));
        megabits.push(mb);
        sections.push(section.filter(|_| is_number));
    }
    (fits, megabits, sections, counts)
}

/// What all of them are; none where they differ, or there are none.
fn common<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    let first = values.first()?;
    values.iter().all(|value| value == first).then_some(*first)
}

fn one_or_mixed<T: Copy + PartialEq, S: ToString>(values: &[T], name: impl Fn(T) -> S) -> String {
    common(values).map_or_else(|| "mixed".to_owned(), |value| name(value).to_string())
}

/// Mean number of bits that a strike flips: that of the clusters where there is one mean, otherwise over all
/// strikes.
fn bits_per_strike(exposures: &Exposures) -> f64 {
    let means: Vec<f64> = exposures
        .0
        .iter()
        .map(|part| part.assessment.clusters.mean_bits())
        .collect();
    common(&means).unwrap_or_else(|| {
        exposures.flipped_bits_per_hour().nominal.value() / exposures.strikes_per_hour().nominal.value()
    })
}

/// The rates of an accelerator's memories.
#[derive(Clone, Debug)]
pub struct AcceleratorRates {
    /// One for each storage style that holds bits.
    pub exposures: Exposures,
    styles: Vec<Style>,
}

/// What happens to certain bits per hour, with the range in which the rates are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitRates {
    /// Strikes that flip at least one of them.
    pub strikes: Banded<StrikesPerHour>,
    /// Flips of them.
    pub flipped_bits: Banded<FlippedBitsPerHour>,
}

/// How often bits are reached by strikes that come to each style as `of_style` says.
pub(super) fn reached<'c>(
    accelerator: &Accelerator,
    bits: impl Iterator<Item = StoredBit>,
    of_style: impl Fn(Style) -> Option<(StrikesPerBitHour, &'c Clusters, Option<f64>)>,
) -> BitRates {
    let map = accelerator.map();
    let mut marked = vec![false; map.total_bits() as usize];
    for bit in bits {
        marked[bit.0 as usize] = true;
    }
    let (mut strikes, mut flipped_bits) = (none(), none());
    for memory in map.memories() {
        let Some((rate, clusters, factor)) = of_style(memory.style) else {
            continue;
        };
        let reached = fault::reach(&memory.geometry(), clusters, |cell| {
            marked[(memory.first.0 + cell) as usize]
        });
        let of_memory = rate.of_bits(memory.bits());
        strikes = strikes + Banded::within(of_memory * reached.strikes, factor);
        // One flip a strike, times the flips of a strike.
        let flips = of_memory.flipped_bits(&Clusters::single()) * reached.flipped_cells;
        flipped_bits = flipped_bits + Banded::within(flips, factor);
    }
    BitRates {
        strikes,
        flipped_bits,
    }
}

fn none<U: Unit>() -> Banded<Quantity<U, crate::radiation::rate::Hour>> {
    Banded::within(Quantity::ZERO, None)
}

impl AcceleratorRates {
    /// How often bits are reached, over all places where strikes fall in the arrays of an accelerator without
    /// protection ([`fault::reach()`]): strikes that flip several of them count once.
    #[must_use]
    pub fn on_bits(&self, accelerator: &Accelerator, bits: impl Iterator<Item = StoredBit>) -> BitRates {
        let of_style = |style: Style| {
            let class = self.styles.iter().position(|known| *known == style)?;
            let assessment = &self.exposures.0.get(class)?.assessment;
            let factor = assessment.uncertainty_factor;
            Some((assessment.profile.mean(), &assessment.clusters, factor))
        };
        reached(accelerator, bits, of_style)
    }

    /// Rates on so many register bits: those of flip-flops, or of the first style that there is. Which registers
    /// lie beside each other is not known: the bits that a strike flips are taken to be anywhere among them.
    #[must_use]
    pub fn on_registers(&self, bits: u64) -> BitRates {
        let of_registers = self.styles.iter().position(|style| *style == Style::Registers);
        let Some(part) = self.exposures.0.get(of_registers.unwrap_or(0)) else {
            return BitRates {
                strikes: none(),
                flipped_bits: none(),
            };
        };
        let assessment = &part.assessment;
        let rate = assessment.profile.mean().of_bits(bits);
        let strikes = Banded::within(rate, assessment.uncertainty_factor);
        BitRates {
            strikes,
            flipped_bits: strikes.map(|strikes| strikes.flipped_bits(&assessment.clusters)),
        }
    }
}

fn style_named(name: &str) -> Result<Style, StudyError> {
    let wanted = name.to_ascii_lowercase().replace(['_', '-'], "");
    Style::STORED
        .into_iter()
        .find(|style| style.name().to_ascii_lowercase() == wanted)
        .ok_or_else(|| {
            let known: Vec<&str> = Style::STORED.iter().map(|style| style.name()).collect();
            StudyError::refused(
                format!(
                    "no storage style is called `{name}`{}",
                    did_you_mean(name, known.iter().copied())
                ),
                format!("one of {}", known.join(", ")),
            )
        })
}

fn clusters_named(name: &str) -> Result<Clusters, StudyError> {
    if name == "single" {
        return Ok(Clusters::single());
    }
    if let Some(bits) = name.strip_prefix("burst:") {
        return match bits.parse::<u32>() {
            Ok(bits @ 1..=4096) => Ok(Clusters::burst(bits)),
            _ => Err(StudyError::refused(
                format!("clusters `{name}`: no burst has `{bits}` bits"),
                "burst:1 to burst:4096",
            )),
        };
    }
    Ok(ClusterTable::find(name, Path::new(""))?.clusters())
}
