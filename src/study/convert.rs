//! An imported network as a model folder.

use std::io;
use std::path::{Path, PathBuf};

use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::conduct::{folder_error, open_plain};
use super::{Design, NetworkRequest, SamplesRequest, Session, StudyError};
use crate::data::{Array, Elements, InputLog, NpzWriter, Source};
use crate::model::{Description, Files, Located, Workload};

/// Writes a network with its samples, readout, loss and hardware as a model folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvertRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Words about the network.
    pub description: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvertReport {
    /// The model folder.
    pub folder: PathBuf,
    /// Its description.
    pub model: Description,
}

/// Name of the study; its folder is called `model-<name>`.
const KIND: &str = "model";

const DESCRIPTION: &str = "model.ron";
const ARRAYS: &str = "data.npz";

/// What a model folder holds, before it is written.
#[derive(Default)]
struct Contents {
    copies: Vec<(String, Vec<u8>)>,
    arrays: NpzWriter,
    stored: usize,
}

impl Contents {
    /// Takes a file as it is, under its own name.
    fn copy(&mut self, located: &Option<Located>) -> Result<Option<String>, StudyError> {
        let Some(located) = located else { return Ok(None) };
        let file = &located.source.file;
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = located.files.read(file).map_err(|error| {
            StudyError::refused(
                format!("{}: cannot be read: {error}", located.path().display()),
                "a file that can be read; check the path and its permissions",
            )
        })?;
        match self.copies.iter().find(|(known, _)| *known == name) {
            Some((_, known)) if *known == bytes => {}
            Some(_) => {
                return Err(StudyError::refused(
                    format!("two different files of the model are called `{name}`"),
                    "network, readout and hardware with names of their own; rename one of them",
                ));
            }
            None => self.copies.push((name.clone(), bytes)),
        }
        Ok(Some(name))
    }

    /// Takes an array, or its first samples.
    fn store(
        &mut self,
        located: &Option<Located>,
        key: &str,
        limit: Option<usize>,
    ) -> Result<Option<String>, StudyError> {
        let Some(located) = located else { return Ok(None) };
        let mut array = located.array()?;
        if let Some(limit) = limit {
            array = array.take(limit);
        }
        add(&mut self.arrays, key, array).map_err(|error| StudyError::work(error.to_string()))?;
        self.stored += 1;
        Ok(Some(format!("{ARRAYS}:{key}")))
    }
}

impl ConvertRequest {
    /// Writes the folder.
    ///
    /// # Errors
    /// [`StudyError`]; among others where the folder is a model folder already.
    pub fn run(&self, session: &Session) -> Result<ConvertReport, StudyError> {
        let log = InputLog::start();
        let design = Design::build(&self.network, Some(&self.samples))?;
        let path = session.folder_of(KIND, &design.name);
        if path.join(DESCRIPTION).exists() {
            return Err(StudyError::refused(
                format!("{} is a model folder already", path.display()),
                "a folder without model.ron; choose another folder",
            ));
        }
        // Everything is read and checked before the first file is written.
        if design.settings.inputs.is_some() {
            Workload::load(design.accelerator.network(), &design.settings)?;
        }
        let mut contents = Contents::default();
        let description = self.describe(&design, &mut contents)?;
        let config = PrettyConfig::new().struct_names(true);
        let text = ron::ser::to_string_pretty(&description, config)
            .map_err(|error| StudyError::work(error.to_string()))?;
        let mut files: Vec<PathBuf> = contents
            .copies
            .iter()
            .map(|(name, _)| PathBuf::from(name))
            .collect();
        files.extend((contents.stored > 0).then(|| PathBuf::from(ARRAYS)));
        files.push(PathBuf::from(DESCRIPTION));
        let inputs = log.finish();
        let folder = open_plain(
            session,
            Some(path.clone()),
            KIND,
            &design.name,
            self,
            inputs,
            files,
        )?;
        if let Some(mut folder) = folder {
            for (name, bytes) in &contents.copies {
                folder.write(name, bytes).map_err(folder_error)?;
            }
            if contents.stored > 0 {
                let file = path.join(ARRAYS);
                contents
                    .arrays
                    .finish(&file)
                    .map_err(|error| StudyError::writing(&file, error))?;
            }
            // The description comes last: a folder that has it is complete.
            folder
                .write(DESCRIPTION, format!("{text}\n").as_bytes())
                .map_err(folder_error)?;
            folder.done("report").map_err(folder_error)?;
            folder.finish().map_err(folder_error)?;
        }
        Ok(ConvertReport {
            folder: path,
            model: description,
        })
    }

    fn describe(&self, design: &Design, contents: &mut Contents) -> Result<Description, StudyError> {
        let settings = &design.settings;
        let located = |files: Files, file: &Path| {
            Some(Located {
                files,
                source: Source {
                    file: file.to_owned(),
                    key: None,
                },
            })
        };
        let origin = &design.origin;
        let network = contents.copy(&located(origin.files.clone(), &origin.network))?;
        let readout = contents.copy(&settings.readout)?;
        let hardware = match &self.network.hardware {
            Some(file) => contents.copy(&located(Files::Folder(PathBuf::new()), file))?,
            None => contents.copy(&settings.hardware)?,
        };
        Ok(Description {
            name: design.name.clone(),
            description: self.description.clone(),
            network: network.unwrap_or_default(),
            inputs: contents.store(&settings.inputs, "inputs", settings.limit)?,
            labels: contents.store(&settings.labels, "labels", settings.limit)?,
            input_scale: settings.input_scale.unwrap_or(1.0),
            raw_inputs: settings.raw_inputs.unwrap_or(false),
            readout,
            gather: contents.store(&settings.gather, "gather", None)?,
            loss: settings.loss.clone(),
            target: contents.store(&settings.target, "target", settings.limit)?,
            distance: contents.store(&settings.distance, "distance", None)?,
            classes: settings.classes,
            hardware,
        })
    }
}

fn add(archive: &mut NpzWriter, key: &str, array: Array) -> io::Result<()> {
    match array.elements {
        Elements::Real(values) => archive.add_reals(key, &array.shape, values),
        Elements::Integer(values) => archive.add(key, &array.shape, values),
    }
}
