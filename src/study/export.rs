//! A protection map in the formats that RTL tools read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::conduct::{folder_error, open_plain};
use super::{Design, NetworkRequest, Session, StudyError};
use crate::data::InputLog;
use crate::rtl::{ExportFile, ProtectionMap, exporter, exporters, image_files};

/// Writes a protection map in the formats that RTL tools read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// The protection map: the JSON that harden and protect write, or the folder that holds it.
    pub map: PathBuf,
    /// Formats by name, or `all`.
    pub formats: Vec<String>,
}

impl Default for ExportRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            map: PathBuf::new(),
            formats: vec!["all".to_owned()],
        }
    }
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The files, in the order in which they were written.
    pub files: Vec<PathBuf>,
    /// The output folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

const KIND: &str = "export";

impl ExportRequest {
    /// Runs it into its folder. What an earlier export wrote there for other formats, another network or other
    /// hardware is removed.
    ///
    /// # Errors
    /// [`StudyError`]; among others where the map is that of another network or of other memories.
    pub fn run(&self, session: &Session) -> Result<ExportReport, StudyError> {
        let log = InputLog::start();
        let design = Design::build(&self.network, None)?;
        let file = if self.map.is_dir() {
            self.map.join("protection.json")
        } else {
            self.map.clone()
        };
        let map = ProtectionMap::read(&file)?;
        check_origin(&map, &file, &design)?;
        let files = self.files(&map, &design)?;
        let path = session.folder_of(KIND, &design.name);
        let names: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let folder = open_plain(
            session,
            Some(path.clone()),
            KIND,
            &design.name,
            self,
            log.finish(),
            names,
        )?;
        let mut written = Vec::with_capacity(files.len());
        if let Some(mut folder) = folder {
            for file in &files {
                let path = folder
                    .write(&file.path, file.text.as_bytes())
                    .map_err(folder_error)?;
                written.push(path);
            }
            folder.done("report").map_err(folder_error)?;
            folder.finish().map_err(folder_error)?;
        }
        Ok(ExportReport {
            files: written,
            folder: path,
        })
    }

    /// All files, each once.
    fn files(&self, map: &ProtectionMap, design: &Design) -> Result<Vec<ExportFile>, StudyError> {
        let mut files = Vec::new();
        for format in self.formats.iter().map(|format| format.trim()) {
            if format == "all" {
                files.extend(exporters().iter().flat_map(|exporter| exporter.files(map)));
            } else {
                files.extend(exporter(format)?.files(map));
            }
        }
        files.extend(image_files(&design.accelerator));
        let mut seen = BTreeSet::new();
        files.retain(|file| seen.insert(file.path.clone()));
        Ok(files)
    }
}

/// Refuses a map that was made for another network or other memories.
fn check_origin(map: &ProtectionMap, file: &Path, design: &Design) -> Result<(), StudyError> {
    let refused = |problem: String| {
        StudyError::refused(
            format!("{}: {problem}", file.display()),
            "the map of this accelerator; name the network and the hardware file that the map was made with",
        )
    };
    let accelerator = &design.accelerator;
    if map.network() != accelerator.network().name {
        return Err(refused(format!(
            "is the map of the network `{}`, not of `{}`",
            map.network(),
            accelerator.network().name
        )));
    }
    map.resolve(accelerator)
        .map_err(|error| refused(error.to_string()))?;
    let memories = accelerator.map().memories();
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
