//! How often memories are hit, as several commands are told it.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::chip::Chip;
use super::options::option_value;
use crate::accelerator::{Accelerator, Hardware, StoredBit, Style};
use crate::radiation::rate::{Counts, CrossSection, FitPerMb, Flux, Megabit};
use crate::radiation::{
    ClusterSource, ClusterTable, Clusters, Environment, Exposure, Exposures, MemoryRate, MemoryTechnologies,
    MemoryTechnology, Particle, RadiationError, RateForm, Segment, SegmentFlux, Status,
};

/// FIT per megabit of AMD UltraScale+ block RAM at sea level in New York (UG116 v10.9, real time,
/// as transcribed by third parties).
const DEFAULT_FIT_PER_MB: f64 = 20.0;

/// How often the memory is hit.
#[derive(Debug, Args)]
pub struct RateOptions {
    /// Soft error rate in FIT per megabit [default: 20, UltraScale+ block RAM at sea level, UG116]
    #[arg(long, value_name = "FIT", allow_negative_numbers = true)]
    pub fit_per_mb: Option<f64>,
    /// Which megabit: decimal (1e6 bits) or binary (2^20 bits) [default: decimal]
    #[arg(long, value_name = "decimal|binary", value_parser = option_value::<Megabit>)]
    pub mb: Option<Megabit>,
    /// What the rate counts: event (strikes) or bit (flipped bits) [default: event]
    #[arg(long, value_name = "event|bit", value_parser = option_value::<Counts>)]
    pub counts: Option<Counts>,
    /// Cross-section of one bit in cm2, with --flux or --environment instead of --fit-per-mb
    #[arg(
        long,
        value_name = "CM2",
        conflicts_with = "fit_per_mb",
        allow_negative_numbers = true
    )]
    pub cross_section: Option<f64>,
    /// Flux in particles per cm2 and second
    #[arg(
        long,
        value_name = "PER_CM2_S",
        requires = "cross_section",
        allow_negative_numbers = true
    )]
    pub flux: Option<f64>,
    /// Which particles come: a preset (see `rate --list-presets`) or a RON file
    #[arg(long, value_name = "PRESET|FILE.ron", conflicts_with = "flux")]
    pub environment: Option<String>,
    /// How memories are upset: a preset (see `rate --list-presets`) or a RON file, for all memories or
    /// for one storage style; before what the hardware file says
    #[arg(
        long,
        value_name = "[STYLE=]PRESET|FILE.ron",
        conflicts_with_all = ["fit_per_mb", "cross_section", "flux", "mb", "counts"]
    )]
    pub memory_technology: Vec<String>,
    /// Which form of rate, where a memory technology has two: fit, cross-section, or auto (the
    /// cross-section with an environment, FIT without)
    #[arg(long, value_name = "auto|fit|cross-section", default_value = "auto", value_parser = option_value::<RateForm>)]
    pub rate_form: RateForm,
    /// Which bits one strike flips, instead of what the memory technology says: a preset, a RON file,
    /// single, or burst:K
    #[arg(
        long,
        visible_alias = "cluster",
        value_name = "PRESET|FILE.ron|single|burst:K"
    )]
    pub clusters: Option<String>,
}

impl RateOptions {
    fn counts(&self) -> Counts {
        self.counts.unwrap_or(Counts::Event)
    }

    fn mb(&self) -> Megabit {
        self.mb.unwrap_or(Megabit::Decimal)
    }

    /// Whether the rate is a number on the command line, or the default.
    pub fn is_plain_number(&self) -> bool {
        self.memory_technology.is_empty()
    }

    /// A memory technology for one storage style, where one is named.
    pub fn styled(&self) -> Option<&str> {
        let named = self.memory_technology.iter().map(String::as_str);
        named.into_iter().find(|named| named.contains('='))
    }

    /// The rate on the command line, or the default.
    fn plain(&self) -> Result<MemoryTechnology, Failure> {
        let rate = match self.cross_section {
            Some(cross_section) => {
                if self.flux.is_none() && self.environment.is_none() {
                    return Err(Failure::refused(
                        "--cross-section is no rate without a flux",
                        "expected --flux or --environment with it",
                    ));
                }
                MemoryRate::CrossSection {
                    cm2_per_bit: CrossSection::new(cross_section)?.cm2_per_bit(),
                    counts: self.counts(),
                    particle: self.flux.map(|_| Particle::Hadron),
                    e_min_mev: None,
                }
            }
            None => {
                let fit = FitPerMb::new(
                    self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
                    self.mb(),
                    self.counts(),
                )?;
                MemoryRate::FitPerMb {
                    value: fit.value(),
                    mb: fit.megabit(),
                    counts: fit.counts(),
                    mb_assumed: self.mb.is_none(),
                }
            }
        };
        let is_default = self.cross_section.is_none() && self.fit_per_mb.is_none();
        Ok(MemoryTechnology {
            name: if is_default { "default" } else { "command line" }.to_owned(),
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
    pub fn environment(&self) -> Result<Option<Environment>, Failure> {
        if let Some(flux) = self.flux {
            Flux::from_per_cm2_s(flux)?;
            return Ok(Some(Environment {
                name: "command line".to_owned(),
                aliases: Vec::new(),
                source: "--flux".to_owned(),
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

    /// How the memories of each style are upset: the command line before the hardware file before the
    /// default.
    pub fn technologies(&self, hardware: Option<&Hardware>) -> Result<MemoryTechnologies, Failure> {
        let is_stated = self.fit_per_mb.is_some() || self.cross_section.is_some();
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
    pub fn exposures(
        &self,
        hardware: Option<&Hardware>,
        classes: &[(Option<Style>, u64)],
    ) -> Result<Exposures, Failure> {
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
    pub fn on(&self, chip: &Chip) -> Result<ChipRates, Failure> {
        let classes: Vec<(Option<Style>, u64)> = STYLES
            .into_iter()
            .map(|style| (Some(style), chip.bits_of_style(style)))
            .filter(|(_, bits)| *bits > 0)
            .collect();
        Ok(ChipRates {
            exposures: self.exposures(Some(&chip.hardware), &classes)?,
            styles: classes.iter().filter_map(|(style, _)| *style).collect(),
        })
    }

    /// Where the rate comes from, for people.
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
        let counts = self.counts();
        match (self.cross_section, self.flux) {
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
                    self.mb(),
                )
            }
        }
    }

    /// The JSON of a rate.
    pub fn json(&self, exposures: &Exposures) -> serde_json::Value {
        let is_fit = self.is_plain_number() && self.cross_section.is_none();
        let events = exposures.events_per_hour();
        let flips = exposures.flipped_bits_per_hour();
        // Upsets are what the stated rate counts.
        let upsets = match self.counts() {
            Counts::Event => events,
            Counts::Bit => flips,
        };
        let hours = (upsets.nominal > 0.0).then(|| 1.0 / upsets.nominal);
        json!({
            "stored_bits": exposures.stored_bits(),
            "fit_per_mb": is_fit.then(|| self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB)),
            "mb": self.mb().to_string(),
            "counts": self.counts().to_string(),
            "cross_section_cm2": self.cross_section,
            "flux_per_cm2_s": self.flux,
            "environment": self.environment,
            "memory_technology": self.memory_technology,
            "fit": upsets.nominal * 1e9,
            "upsets_per_hour": upsets.nominal,
            "upsets_per_day": upsets.nominal * 24.0,
            "hours_per_upset": hours,
            "source": self.source(),
        })
    }
}

/// The rates of an accelerator's memories.
pub struct ChipRates {
    /// One for each storage style that holds bits.
    pub exposures: Exposures,
    styles: Vec<Style>,
}

impl ChipRates {
    /// Expected flips of these bits per hour.
    pub fn flips_per_hour(&self, accelerator: &Accelerator, bits: impl Iterator<Item = StoredBit>) -> f64 {
        let map = accelerator.map();
        let mut counts = vec![0_u64; self.styles.len()];
        for bit in bits {
            let style = map.memory(map.address(bit).memory).style;
            if let Some(class) = self.styles.iter().position(|known| *known == style) {
                counts[class] += 1;
            }
        }
        let rates = self.exposures.0.iter().map(|part| {
            let assessment = &part.assessment;
            assessment.profile.mean_events_per_bit_hour() * assessment.bits_per_event
        });
        rates.zip(counts).map(|(rate, count)| rate * count as f64).sum()
    }
}

fn style_named(name: &str) -> Result<Style, Failure> {
    let wanted = name.to_ascii_lowercase().replace(['_', '-'], "");
    STYLES
        .into_iter()
        .find(|style| style.name().to_ascii_lowercase() == wanted)
        .ok_or_else(|| {
            let known: Vec<&str> = STYLES.iter().map(|style| style.name()).collect();
            Failure::refused(
                format!("no storage style is called `{name}`"),
                format!("expected one of {}", known.join(", ")),
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

fn clusters_named(name: &str) -> Result<Clusters, Failure> {
    if name == "single" {
        return Ok(Clusters::single());
    }
    if let Some(bits) = name.strip_prefix("burst:") {
        return match bits.parse::<u32>() {
            Ok(bits @ 1..=4096) => Ok(Clusters::burst(bits)),
            _ => Err(Failure::refused(
                format!("--clusters {name}: no burst has `{bits}` bits"),
                "expected burst:1 to burst:4096",
            )),
        };
    }
    Ok(ClusterTable::find(name, Path::new(""))?.clusters())
}
