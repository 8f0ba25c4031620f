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
        check_origin(&map, &file, &chip)?;
        let formats: Vec<String> = self
            .format
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let out = self.manner.folder("export", &chip.name);
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

/// Refuses a map that was made for another network or other memories.
fn check_origin(map: &ProtectionMap, file: &Path, chip: &Chip) -> Result<(), Failure> {
    let refused = |problem: String| {
        Failure::refused(
            format!("{}: {problem}", file.display()),
            "expected the map of this accelerator; name the network and the hardware file that the map was made with",
        )
    };
    if map.network() != chip.accelerator.network().name {
        return Err(refused(format!(
            "is the map of the network `{}`, not of `{}`",
            map.network(),
            chip.accelerator.network().name
        )));
    }
    let resolved = map.resolve(&chip.accelerator);
    resolved.map_err(|error| refused(error.to_string()))?;
    let memories = chip.accelerator.map().memories();
    let listed = map.memories();
    let other = memories.iter().find(|memory| {
        !listed.iter().any(|entry| {
            (entry.memory.as_str(), entry.depth, entry.word_bits)
                == (memory.name.as_str(), memory.depth, memory.word_bits)
        })
    });
    match other {
        Some(memory) => Err(refused(format!(
            "does not list the memory `{}` of {} words of {} bits",
            memory.name, memory.depth, memory.word_bits
        ))),
        None if listed.len() != memories.len() => Err(refused(format!(
            "lists {} memories; the accelerator has {}",
            listed.len(),
            memories.len()
        ))),
        None => Ok(()),
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
    write_files(out, &files).map_err(Failure::work_of)
}
