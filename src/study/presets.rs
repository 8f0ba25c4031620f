//! The environments, memory technologies and cluster tables that need no file.

use std::path::Path;

use serde::Serialize;

use super::StudyError;
use crate::radiation::{
    ClusterTable, Environment, MemoryRate, MemoryTechnology, Preset, RadiationError, SegmentFlux, Status,
    cluster_presets, environment_presets, memory_presets,
};

/// One preset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresetReport {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: Vec<String>,
    /// What it gives, in a few words.
    pub gives: String,
    /// How well it is known.
    pub status: Vec<Status>,
    /// Where it comes from.
    pub source: String,
}

/// All presets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresetsReport {
    /// Environments.
    pub environments: Vec<PresetReport>,
    /// Memory technologies.
    pub memory_technologies: Vec<PresetReport>,
    /// Cluster tables.
    pub clusters: Vec<PresetReport>,
}

/// What a preset says of itself.
type Words = (String, Vec<Status>, String);

/// Lists the presets.
///
/// # Errors
/// [`StudyError::Request`] where one cannot be read.
pub fn presets() -> Result<PresetsReport, StudyError> {
    let here = Path::new("");
    let environment = |name: &str| -> Result<Words, RadiationError> {
        let file = Environment::find(name, here)?;
        let gives = file.segments.first().map_or_else(String::new, |segment| {
            format!("{} {}", flux(&segment.flux), segment.particle.name())
        });
        Ok((gives, file.status, file.source))
    };
    let memory = |name: &str| -> Result<Words, RadiationError> {
        let file = MemoryTechnology::find(name, here)?;
        let counts = |rate: &MemoryRate| rate.counts().plural();
        let mut gives = rate(&file.rate);
        if let Some(other) = &file.alternative {
            if counts(other) != counts(&file.rate) {
                gives.push_str(&format!(" of {}", counts(&file.rate)));
            }
            gives.push_str(&format!(" or {} of {}", rate(other), counts(other)));
        } else {
            gives.push_str(&format!(" of {}", counts(&file.rate)));
        }
        Ok((gives, file.status, file.source))
    };
    let cluster = |name: &str| -> Result<Words, RadiationError> {
        let file = ClusterTable::find(name, here)?;
        let clusters = file.clusters();
        let gives = if clusters.is_assumed_single() {
            "sizes not known".to_owned()
        } else {
            format!("{:.3} flipped bits per strike", clusters.mean_bits())
        };
        Ok((gives, file.status, file.source))
    };
    Ok(PresetsReport {
        environments: rows(environment_presets(), environment)?,
        memory_technologies: rows(memory_presets(), memory)?,
        clusters: rows(cluster_presets(), cluster)?,
    })
}

fn rows(
    presets: Vec<Preset>,
    describe: impl Fn(&str) -> Result<Words, RadiationError>,
) -> Result<Vec<PresetReport>, StudyError> {
    presets
        .into_iter()
        .map(|preset| {
            let (gives, status, source) = describe(preset.name)?;
            Ok(PresetReport {
                name: preset.name,
                aliases: preset.aliases,
                gives,
                status,
                source,
            })
        })
        .collect()
}

fn flux(flux: &SegmentFlux) -> String {
    match flux {
        SegmentFlux::PerCm2Hour(flux) => format!("{flux} per cm2 and h,"),
        SegmentFlux::PerCm2Second(flux) => format!("{flux:e} per cm2 and s,"),
        SegmentFlux::TimesNewYork(multiple) => format!("{multiple} times New York City's"),
        SegmentFlux::LetSpectrum(points) => format!("LET spectrum of {} points,", points.len()),
    }
}

fn rate(rate: &MemoryRate) -> String {
    match rate {
        MemoryRate::FitPerMb { value, .. } => format!("{value} FIT/Mb"),
        MemoryRate::CrossSection { cm2_per_bit, .. } => format!("{cm2_per_bit:e} cm2/bit"),
        MemoryRate::PerBitDay { upsets, .. } => format!("{upsets:e} per bit and day"),
        MemoryRate::PerDevice { rate_per_s, bits, .. } => {
            format!("{rate_per_s:.4} per s on {bits} bits")
        }
        MemoryRate::WeibullLet { curve, .. } => {
            format!("up to {:e} cm2/bit over the LET", curve.saturation_cm2_per_bit)
        }
    }
}
