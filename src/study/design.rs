//! A network on its hardware.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{SamplesRequest, StudyError};
use crate::accelerator::{Accelerator, Hardware, Memory, Style};
use crate::data::did_you_mean;
use crate::model::{Description, Files, Settings, Workload, load_network};
use crate::network::import::ImportOptions;

/// Which network, on which hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkRequest {
    /// A `.onnx` (QONNX), `.fml` (hls4ml), `.dais` or `.json` (da4ml) file, or a folder with a `model.ron`; the embedded model where
    /// there is none.
    pub network: Option<PathBuf>,
    /// How the accelerator is built: a RON file. That of the model folder, or the default, where there is none.
    pub hardware: Option<PathBuf>,
    /// What the network file leaves open.
    pub import: ImportOptions,
}

impl NetworkRequest {
    /// A network on the default hardware: a `.onnx`, `.fml`, `.dais` or `.json` file, or a folder with a `model.ron`.
    #[must_use]
    pub fn of(network: impl Into<PathBuf>) -> Self {
        Self {
            network: Some(network.into()),
            ..Self::default()
        }
    }
}

/// Where a network comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where its file names lead.
    pub files: Files,
    /// The network file.
    pub network: PathBuf,
    /// Name for people and files.
    pub name: String,
    /// What the model folder says about data, readout and loss.
    pub settings: Settings,
}

impl NetworkRequest {
    /// Finds the network that is meant.
    ///
    /// # Errors
    /// [`StudyError::Request`] where a model folder has no description that can be read.
    pub fn origin(&self) -> Result<Origin, StudyError> {
        let described = |files: Files| -> Result<Origin, StudyError> {
            let description = Description::read(&files)?;
            Ok(Origin {
                settings: Settings::of(&description, &files),
                network: PathBuf::from(&description.network),
                name: description.name,
                files,
            })
        };
        match &self.network {
            None => described(Files::Embedded),
            Some(path) if !path.exists() => Err(missing(path)),
            Some(path) if path.is_dir() => described(Files::Folder(path.clone())),
            Some(path) if path.file_name().is_some_and(|name| name == "model.ron") => {
                described(Files::Folder(path.parent().unwrap_or(Path::new("")).to_owned()))
            }
            Some(path) => Ok(Origin {
                files: Files::Folder(PathBuf::new()),
                network: path.clone(),
                name: name_of(path),
                settings: Settings::default(),
            }),
        }
    }
}

/// The refusal of a path that leads nowhere, with the neighbour that may have been meant.
fn missing(path: &Path) -> StudyError {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    StudyError::refused(
        format!("{}: there is no such file or folder", path.display()),
        format!(
            "a .onnx (QONNX), .fml (hls4ml), .dais or .json (da4ml) file, or a folder with a model.ron; check the path{}",
            did_you_mean(&name, names.iter().map(String::as_str))
        ),
    )
}

/// The name of a network file: its own without its endings; its folder's where it is just called `model`.
fn name_of(path: &Path) -> String {
    let text = |name: Option<&std::ffi::OsStr>| name.map(|name| name.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let stem = stem.trim_end_matches(".qonnx");
    if stem != "model" {
        return stem.to_owned();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = text(absolute.parent().and_then(Path::file_name));
    folder.unwrap_or_else(|| stem.to_owned())
}

/// A network on its hardware, with what is said about its samples.
pub struct Design {
    /// Name of the network for people and files.
    pub name: String,
    /// Where the network comes from.
    pub origin: Origin,
    /// The accelerator.
    pub accelerator: Arc<Accelerator>,
    /// How it is built.
    pub hardware: Hardware,
    /// Data, readout and loss.
    pub settings: Settings,
}

impl Design {
    /// Reads the network and builds the accelerator.
    ///
    /// # Errors
    /// [`StudyError::Request`] where a file cannot be read or the hardware cannot be built.
    pub fn build(network: &NetworkRequest, samples: Option<&SamplesRequest>) -> Result<Self, StudyError> {
        let origin = network.origin()?;
        let stated = samples
            .map(SamplesRequest::settings)
            .transpose()?
            .unwrap_or_default();
        let settings = stated.or(origin.settings.clone());
        let import = network.import.clone().or(settings.import.clone());
        let mut imported = load_network(&origin.files, &origin.network, &import)?;
        imported.name.clone_from(&origin.name);
        let hardware = match (&network.hardware, &settings.hardware) {
            (Some(file), _) => Hardware::read(file)?,
            (None, Some(located)) => Hardware::read(&located.files.path(&located.source.file))?,
            (None, None) => Hardware::default(),
        };
        let accelerator = Accelerator::build(&imported, &hardware).map_err(|error| *error)?;
        Ok(Self {
            name: origin.name.clone(),
            origin,
            accelerator: Arc::new(accelerator),
            hardware,
            settings,
        })
    }

    /// Stored bits in memories of a style.
    #[must_use]
    pub fn bits_of_style(&self, style: Style) -> u64 {
        let memories = self.accelerator.map().memories().iter();
        memories
            .filter(|memory| memory.style == style)
            .map(Memory::bits)
            .sum()
    }

    /// Loads the samples and what judges them.
    ///
    /// # Errors
    /// [`StudyError::Request`] where an array is missing or does not fit.
    pub fn workload(&self) -> Result<Workload, StudyError> {
        Ok(Workload::load(self.accelerator.network(), &self.settings)?)
    }
}
