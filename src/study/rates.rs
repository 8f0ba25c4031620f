//! How often memories are hit, as several studies are told it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Design, StudyError, text_form};
use crate::accelerator::{Accelerator, Hardware, StoredBit, Style};
use crate::data::did_you_mean;
use crate::radiation::rate::{Counts, CrossSection, FitPerMb, Flux, Megabit};
use crate::radiation::{
    Assumption, Banded, ClusterSource, ClusterTable, Clusters, Environment, Exposure, Exposures, MemoryRate,
    MemoryTechnologies, MemoryTechnology, Particle, RadiationError, RateForm, Segment, SegmentFlux, Status,
};

/// FIT per megabit of AMD UltraScale+ block RAM at sea level in New York (UG116 v10.9, real time,
/// as transcribed by third parties).
const DEFAULT_FIT_PER_MB: f64 = 20.0;

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

/// A rate as reports hold it. Upsets are what the stated rate counts: strikes or flipped bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateSummary {
    /// Stored bits that are hit.
    pub stored_bits: u64,
    /// FIT per megabit, where the rate is such a number.
    pub fit_per_mb: Option<f64>,
    /// Which megabit.
    pub mb: String,
    /// What the rate counts.
    pub counts: String,
    /// Cross-section of one bit in cm2, where it was stated.
    pub cross_section_cm2: Option<f64>,
    /// Flux, where it was stated.
    pub flux_per_cm2_s: Option<f64>,
    /// Environment, where it was stated.
    pub environment: Option<String>,
    /// Memory technologies that were stated.
    pub memory_technology: Vec<String>,
    /// Upsets per 1e9 hours.
    pub fit: f64,
    /// Upsets per hour.
    pub upsets_per_hour: f64,
    /// Upsets per day.
    pub upsets_per_day: f64,
    /// Hours per upset; none without upsets.
    pub hours_per_upset: Option<f64>,
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
    /// Of the upsets per hour.
    pub upsets_per_hour: Option<[f64; 2]>,
    /// Of the strikes per hour.
    pub events_per_hour: Option<[f64; 2]>,
    /// Of the flipped bits per hour.
    pub flipped_bits_per_hour: Option<[f64; 2]>,
    /// Of the mean time between strikes.
    pub mttf_hours: Option<[f64; 2]>,
    /// Of the strikes in a mission, where one was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_events: Option<Option<[f64; 2]>>,
    /// Of the flipped bits in a mission, where one was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_flipped_bits: Option<Option<[f64; 2]>>,
}

impl RateBand {
    /// The band of some rates.
    #[must_use]
    pub fn of(exposures: &Exposures, upsets: Banded) -> Self {
        let known = exposures.has_band();
        let band = |value: Banded| known.then_some([value.low, value.high]);
        Self {
            upsets_per_hour: band(upsets),
            events_per_hour: band(exposures.events_per_hour()),
            flipped_bits_per_hour: band(exposures.flipped_bits_per_hour()),
            mttf_hours: exposures.mttf().and_then(band),
            expected_events: None,
            expected_flipped_bits: None,
        }
    }
}

impl RateRequest {
    /// What the rate counts.
    #[must_use]
    pub fn counted(&self) -> Counts {
        self.counts.unwrap_or(Counts::Event)
    }

    fn megabit(&self) -> Megabit {
        self.mb.unwrap_or(Megabit::Decimal)
    }

    /// Whether the rate is a plain number, stated or the default.
    #[must_use]
    pub fn is_plain_number(&self) -> bool {
        self.memory_technology.is_empty()
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
                    cm2_per_bit: CrossSection::new(cross_section)?.cm2_per_bit(),
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
            name: if is_default { "default" } else { "stated rate" }.to_owned(),
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
        let classes: Vec<(Option<Style>, u64)> = STYLES
            .into_iter()
            .map(|style| (Some(style), design.bits_of_style(style)))
            .filter(|(_, bits)| *bits > 0)
            .collect();
        Ok(AcceleratorRates {
            exposures: self.exposures(Some(&design.hardware), &classes)?,
            styles: classes.iter().filter_map(|(style, _)| *style).collect(),
        })
    }

    /// Where the rate comes from, for people.
    #[must_use]
    pub fn source(&self) -> String {
        let mut text = match self.memory_technology.as_slice() {
            [] => self.plain_source(),
            named => named.join(", "),
        };
        if let Some(environment) = &self.environment {
            text.push_str(&format!(" in {environment}"));
        }
        text
    }

    fn plain_source(&self) -> String {
        let counts = self.counted();
        match (self.cross_section_cm2, self.flux_per_cm2_s) {
            (Some(cross_section), Some(flux)) => {
                format!(
                    "{cross_section:e} cm2 per bit x {flux:e} particles per cm2 and s, counting {counts}s"
                )
            }
            (Some(cross_section), None) => {
                format!("{cross_section:e} cm2 per bit, counting {counts}s")
            }
            _ => {
                let origin = if self.fit_per_mb.is_none() {
                    " (default: UltraScale+ block RAM, New York sea level, UG116 v10.9 as transcribed)"
                } else {
                    ""
                };
                format!(
                    "{} FIT per {} Mb counting {counts}s{origin}",
                    self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
                    self.megabit(),
                )
            }
        }
    }

    /// What the rate comes to, as reports hold it.
    #[must_use]
    pub fn summary(&self, exposures: &Exposures) -> RateSummary {
        let is_fit = self.is_plain_number() && self.cross_section_cm2.is_none();
        let upsets = match self.counted() {
            Counts::Event => exposures.events_per_hour(),
            Counts::Bit => exposures.flipped_bits_per_hour(),
        };
        RateSummary {
            stored_bits: exposures.stored_bits(),
            fit_per_mb: is_fit.then(|| self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB)),
            mb: self.megabit().to_string(),
            counts: self.counted().to_string(),
            cross_section_cm2: self.cross_section_cm2,
            flux_per_cm2_s: self.flux_per_cm2_s,
            environment: self.environment.clone(),
            memory_technology: self.memory_technology.clone(),
            fit: upsets.nominal * 1e9,
            upsets_per_hour: upsets.nominal,
            upsets_per_day: upsets.nominal * 24.0,
            hours_per_upset: (upsets.nominal > 0.0).then(|| 1.0 / upsets.nominal),
            source: self.source(),
            band: RateBand::of(exposures, upsets),
            assumptions: exposures.assumptions(),
        }
    }
}

/// The rates of an accelerator's memories.
#[derive(Clone, Debug)]
pub struct AcceleratorRates {
    /// One for each storage style that holds bits.
    pub exposures: Exposures,
    styles: Vec<Style>,
}

impl AcceleratorRates {
    /// Expected flips of these bits per hour, with the range in which the rates are known.
    #[must_use]
    pub fn flips_per_hour(&self, accelerator: &Accelerator, bits: impl Iterator<Item = StoredBit>) -> Banded {
        let map = accelerator.map();
        let mut counts = vec![0_u64; self.styles.len()];
        for bit in bits {
            let style = map.memory(map.address(bit).memory).style;
            if let Some(class) = self.styles.iter().position(|known| *known == style) {
                counts[class] += 1;
            }
        }
        let mut sum = Banded {
            nominal: 0.0,
            low: 0.0,
            high: 0.0,
        };
        for (part, count) in self.exposures.0.iter().zip(counts) {
            let assessment = &part.assessment;
            let rate = assessment.profile.mean_events_per_bit_hour() * assessment.bits_per_event;
            let flips = rate * count as f64;
            let factor = assessment.uncertainty_factor.unwrap_or(1.0);
            sum.nominal += flips;
            sum.low += flips / factor;
            sum.high += flips * factor;
        }
        sum
    }

    /// Mean strikes per hour on one register bit: those of flip-flops, or of the first style that there is.
    #[must_use]
    pub fn register_events_per_bit_hour(&self) -> f64 {
        let of_registers = self.styles.iter().position(|style| *style == Style::Registers);
        let part = self.exposures.0.get(of_registers.unwrap_or(0));
        part.map_or(0.0, |part| part.assessment.profile.mean_events_per_bit_hour())
    }
}

fn style_named(name: &str) -> Result<Style, StudyError> {
    let wanted = name.to_ascii_lowercase().replace(['_', '-'], "");
    STYLES
        .into_iter()
        .find(|style| style.name().to_ascii_lowercase() == wanted)
        .ok_or_else(|| {
            let known: Vec<&str> = STYLES.iter().map(|style| style.name()).collect();
            StudyError::refused(
                format!(
                    "no storage style is called `{name}`{}",
                    did_you_mean(name, known.iter().copied())
                ),
                format!("one of {}", known.join(", ")),
            )
        })
}

/// Storage styles that hold bits.
pub const STYLES: [Style; 6] = [
    Style::Registers,
    Style::RegisterFile,
    Style::LutRam,
    Style::BlockRam,
    Style::Rom,
    Style::Sram,
];

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
