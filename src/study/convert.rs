//! An imported network as a model folder.

use std::io;
use std::path::{Path, PathBuf};

use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::conduct::{folder_error, open_plain};
use super::{Design, NetworkRequest, SamplesRequest, Session, StudyError};
use crate::accelerator::{Accelerator, FlowHardware, FlowRemark, Hardware, hardware_text, read_flow};
use crate::data::{Array, Elements, InputLog, NpzWriter, Source, SourceText, read_text};
use crate::model::{Description, Files, Located, Workload, WorkloadError, load_network};
use crate::network::import::onnx::OnnxGraph;
use crate::simulate::cycle::Pipeline;

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
    /// Files of the flow that builds the accelerator, from which its hardware file is made: FINN's folding or
    /// hardware configuration, hls4ml's project configuration, reports of Vitis HLS. Where several say the same,
    /// the last one holds.
    pub folding: Vec<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvertReport {
    /// The model folder.
    pub folder: PathBuf,
    /// Its description.
    pub model: Description,
    /// What became of the files of the flow, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folding: Option<ConvertedFolding>,
}

/// What became of the files of the flow that builds the accelerator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvertedFolding {
    /// The hardware file that was made.
    pub hardware: PathBuf,
    /// Layers that have an entry in it.
    pub layers: Vec<String>,
    /// What the files leave open, and what was taken.
    pub assumed: Vec<FlowRemark>,
    /// Entries that are not used, with the reasons.
    pub unused: Vec<FlowRemark>,
    /// Why the cycle engine does not build it, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_simulated: Option<String>,
}

/// Name of the study; its folder is called `model-<name>`.
const KIND: &str = "model";

const DESCRIPTION: &str = "model.ron";
const ARRAYS: &str = "data.npz";
const HARDWARE: &str = "hardware.ron";

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

    /// Takes the files beside an ONNX file that hold its constants.
    fn copy_beside(&mut self, located: &Option<Located>) -> Result<(), StudyError> {
        let Some(located) = located else { return Ok(()) };
        let path = located.path();
        if located.files == Files::Embedded || path.extension().is_none_or(|ending| ending != "onnx") {
            return Ok(());
        }
        for name in OnnxGraph::read(&path).map_err(WorkloadError::from)?.beside {
            if Path::new(&name).components().count() != 1 {
                return Err(StudyError::refused(
                    format!(
                        "{}: holds constants in `{name}`, in another folder",
                        path.display()
                    ),
                    "a file with its constants inside or in its own folder; save the network again",
                ));
            }
            let file = located.source.file.with_file_name(name);
            self.copy(&Some(Located {
                files: located.files.clone(),
                source: Source { file, key: None },
            }))?;
        }
        Ok(())
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
        let flow = self.flow(&design)?;
        let mut description = self.describe(&design, &mut contents)?;
        if let Some((text, _)) = &flow {
            contents
                .copies
                .push((HARDWARE.to_owned(), text.clone().into_bytes()));
            description.hardware = Some(HARDWARE.to_owned());
        }
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
        let folding = flow.map(|(_, folding)| ConvertedFolding {
            hardware: path.join(HARDWARE),
            ..folding
        });
        Ok(ConvertReport {
            folder: path,
            model: description,
            folding,
        })
    }

    /// The hardware file that the flow's files make, with what became of them; it is built before it is written.
    fn flow(&self, design: &Design) -> Result<Option<(String, ConvertedFolding)>, StudyError> {
        if self.folding.is_empty() {
            return Ok(None);
        }
        if self.network.hardware.is_some() {
            return Err(StudyError::refused_about(
                "folding",
                "a hardware file is given, and files to make one from",
                "either of them",
            ));
        }
        let network = load_network(&design.origin.files, &design.origin.network, &self.network.import)?;
        let mut flow = FlowHardware::default();
        for file in &self.folding {
            let text = read_text(file).map_err(|error| {
                StudyError::refused_about(
                    "folding",
                    format!("{}: cannot be read: {error}", file.display()),
                    "a text file of FINN, hls4ml or Vitis HLS; check the path and its permissions",
                )
            })?;
            flow.merge(read_flow(&file.display().to_string(), &text, &network)?);
        }
        flow.hardware.name.clone_from(&design.name);
        let text = hardware_text(&flow);
        let hardware = Hardware::parse(SourceText::new(HARDWARE, text.as_str()))?;
        let accelerator = Accelerator::build(&network, &hardware).map_err(|error| *error)?;
        let folding = ConvertedFolding {
            hardware: PathBuf::new(),
            layers: hardware.layers.keys().cloned().collect(),
            assumed: flow.assumed,
            unused: flow.unused,
            not_simulated: Pipeline::new(&accelerator).err().map(|error| error.to_string()),
        };
        Ok(Some((text, folding)))
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
        let file = located(origin.files.clone(), &origin.network);
        contents.copy_beside(&file)?;
        contents.copy_beside(&settings.readout)?;
        let network = contents.copy(&file)?;
        let readout = contents.copy(&settings.readout)?;
        let hardware = match &self.network.hardware {
            Some(file) => contents.copy(&located(Files::Folder(PathBuf::new()), file))?,
            None if self.folding.is_empty() => contents.copy(&settings.hardware)?,
            None => None,
        };
        Ok(Description {
            name: design.name.clone(),
            description: self.description.clone(),
            network: network.unwrap_or_default(),
            input_type: self.network.import.input_type.or(settings.import.input_type),
            output: self
                .network
                .import
                .output
                .clone()
                .or(settings.import.output.clone()),
            inputs: contents.store(&settings.inputs, "inputs", settings.limit)?,
            labels: contents.store(&settings.labels, "labels", settings.limit)?,
            input_scale: settings.input_scale.unwrap_or(1.0),
            raw_inputs: settings.raw_inputs.unwrap_or(false),
            layout: settings.layout,
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
