//! `radstream rate --list-presets`.

use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::options::Manner;
use super::output;
use crate::radiation::{
    ClusterTable, Environment, MemoryRate, MemoryTechnology, Preset, SegmentFlux, cluster_presets,
    environment_presets, memory_presets,
};

/// Prints the presets.
pub fn list(manner: &Manner) -> Result<(), Failure> {
    let here = Path::new("");
    let environments = rows(environment_presets(), |name| {
        let file = Environment::find(name, here)?;
        let flux = file.segments.first().map_or_else(String::new, |segment| {
            format!("{} {}", flux(&segment.flux), segment.particle.name())
        });
        Ok(json!({ "gives": flux, "status": file.status, "source": file.source }))
    })?;
    let memories = rows(memory_presets(), |name| {
        let file = MemoryTechnology::find(name, here)?;
        let mut gives = rate(&file.rate);
        if let Some(other) = &file.alternative {
            gives.push_str(&format!(" or {}", rate(other)));
        }
        Ok(json!({ "gives": gives, "status": file.status, "source": file.source }))
    })?;
    let clusters = rows(cluster_presets(), |name| {
        let file = ClusterTable::find(name, here)?;
        let clusters = file.clusters();
        let gives = if clusters.is_assumed_single() {
            "sizes not known".to_owned()
        } else {
            format!("{:.3} bits per event", clusters.mean_bits())
        };
        Ok(json!({ "gives": gives, "status": file.status, "source": file.source }))
    })?;
    let document = json!({
        "environments": environments,
        "memory_technologies": memories,
        "clusters": clusters,
    });
    if manner.deliver("presets.json", &document)? {
        return Ok(());
    }
    for (title, rows) in [
        ("environments (--environment)", &environments),
        ("memory technologies (--memory-technology)", &memories),
        ("cluster tables (--clusters)", &clusters),
    ] {
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let header = ["name", "", "", "status", ""];
        output::line(&format!("{title}\n{}\n", output::table(&header, &cells)))?;
    }
    Ok(())
}

fn rows(
    presets: Vec<Preset>,
    describe: impl Fn(&str) -> Result<Value, Failure>,
) -> Result<Vec<Value>, Failure> {
    presets
        .into_iter()
        .map(|preset| {
            let mut row = describe(preset.name)?;
            row["name"] = json!(preset.name);
            row["aliases"] = json!(preset.aliases);
            Ok(row)
        })
        .collect()
}

fn cells(row: &Value) -> Vec<String> {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| {
        let words = row[key].as_array().into_iter().flatten();
        words.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    vec![
        text("name"),
        list("aliases"),
        text("gives"),
        list("status"),
        text("source"),
    ]
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
