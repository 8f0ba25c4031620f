//! `radstream export`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Target};
use super::output;
use crate::accelerator::StoredBit;
use crate::protection::Selection;
use crate::rtl::{ProtectionMap, exporter, exporters, image_files, write_files};

/// `radstream export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    target: Target,
    /// The protection map: the JSON that harden and protect write, or the folder that holds it
    #[arg(long, value_name = "FILE|DIR")]
    map: PathBuf,
    /// Formats, separated by commas, or all
    #[arg(long, value_name = "LIST", default_value = "all")]
    format: String,
    /// Output folder [default: export-<network>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
}

impl Export {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        let chip = Chip::build(&self.target, None)?;
        let file = if self.map.is_dir() {
            self.map.join("protection.json")
        } else {
            self.map.clone()
        };
        let map = ProtectionMap::read(&file)?;
        // The map must belong to this accelerator.
        map.resolve(&chip.accelerator)?;
        let formats: Vec<String> = self
            .format
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("export-{}", chip.name)));
        let written = write_formats(&chip, &map, &formats, &out)?;
        if self.manner.json {
            return output::json(&json!({"files": written}));
        }
        for path in written {
            output::line(&format!("wrote {}", path.display()))?;
        }
        Ok(())
    }
}

/// Writes a selection in these formats.
pub fn write_map(
    chip: &Chip,
    selection: &Selection,
    formats: &[String],
    out: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let chosen: Vec<(StoredBit, f64)> = selection
        .chosen
        .iter()
        .map(|ranked| (ranked.bit, ranked.score))
        .collect();
    let map = ProtectionMap::new(&chip.accelerator, selection.scheme, &chosen)?;
    write_formats(chip, &map, formats, out)
}

fn write_formats(
    chip: &Chip,
    map: &ProtectionMap,
    formats: &[String],
    out: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for format in formats {
        if format == "all" {
            files.extend(exporters().iter().flat_map(|exporter| exporter.files(map)));
        } else {
            files.extend(exporter(format)?.files(map));
        }
    }
    files.extend(image_files(&chip.accelerator));
    write_files(out, &files).map_err(|error| Failure::work(error.to_string()))
}
