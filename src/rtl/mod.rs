//! What RTL needs to know of a protection: maps, masks, memory images, packages.
//!
//! A [`ProtectionMap`] says which stored bits are protected, by both addresses. Each [`Exporter`] writes
//! it in one format; [`image_files`] gives the contents of the memories in the same word order as the
//! masks. All orders are radstream's own: word 0 first, bit 0 least significant.

mod csv_map;
mod error;
mod form;
mod json;
mod map;
mod names;
mod readmemh;
mod systemverilog;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::data::write_atomically;
pub use csv_map::CsvMap;
pub use error::{ExportError, MapError, MapSyntaxError};
pub use json::JsonMap;
pub use map::{MappedMemory, ProtectedBit, ProtectionMap, ResolvedMap};
pub use names::identifiers;
pub use readmemh::{MaskFiles, image_files};
pub use systemverilog::SystemVerilogPackage;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Path relative to the output folder.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// One format of protection maps.
pub trait Exporter {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// What it writes, in a few words.
    fn about(&self) -> &'static str;

    /// The files of a map.
    fn files(&self, map: &ProtectionMap) -> Vec<ExportFile>;
}

/// All formats.
#[must_use]
pub fn exporters() -> [&'static dyn Exporter; 4] {
    [&JsonMap, &CsvMap, &MaskFiles, &SystemVerilogPackage]
}

/// The format of that name.
///
/// # Errors
/// [`ExportError::Format`] with the names that there are.
pub fn exporter(name: &str) -> Result<&'static dyn Exporter, ExportError> {
    exporters()
        .into_iter()
        .find(|exporter| exporter.name() == name)
        .ok_or_else(|| ExportError::Format {
            name: name.to_owned(),
            known: exporters().iter().map(|exporter| exporter.name()).collect(),
        })
}

/// Writes files into a folder, each under its name only when complete, and gives their paths.
///
/// # Errors
/// [`ExportError::Write`] with the first file that could not be written.
pub fn write_files(folder: &Path, files: &[ExportFile]) -> Result<Vec<PathBuf>, ExportError> {
    files
        .iter()
        .map(|file| {
            let path = folder.join(&file.path);
            write_atomically(&path, |writer| writer.write_all(file.text.as_bytes())).map_err(|error| {
                ExportError::Write {
                    file: path.clone(),
                    reason: error.to_string(),
                }
            })?;
            Ok(path)
        })
        .collect()
}
