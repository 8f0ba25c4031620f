//! A network with samples, readout and loss, from a model folder, the command line, or both.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::{Description, Files, ModelError};
use crate::data::{self, Array, DataError, Elements, Source};
use crate::network::import::limits::read_file;
use crate::network::import::onnx::OnnxGraph;
use crate::network::import::{Cure, ImportError, ImportOptions, dais, fml, qonnx};
use crate::network::{ArrayOrder, InputError, Layout, Network, OutputMeaning};
use crate::outcome;
use crate::outcome::loss::{self, LOSSES};
use crate::outcome::metric;
use crate::outcome::{Evaluator, OutcomeError, OutcomePart, Readout, Samples, Setup};

/// Why a workload could not be put together.
#[derive(Debug, Error, Diagnostic)]
pub enum WorkloadError {
    /// The model folder.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Model(#[from] ModelError),
    /// The network or the readout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Import(#[from] ImportError),
    /// An array.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Data(#[from] DataError),
    /// The samples.
    #[error("{source_name}: {error}")]
    #[diagnostic(forward(error))]
    Input {
        /// Where they come from.
        source_name: String,
        /// Why.
        error: InputError,
    },
    /// Readout, target, labels or distance.
    #[error("{}{error}", source_name.as_ref().map_or_else(String::new, |name| format!("{name}: ")))]
    #[diagnostic(forward(error))]
    Outcome {
        /// Where it comes from, if from a file.
        source_name: Option<String>,
        /// Why.
        error: OutcomeError,
    },
    /// Nobody said which samples.
    #[error("no samples were given for the network `{network}`")]
    #[diagnostic(
        code(radstream::workload::inputs),
        help("expected samples; name an array of them, or pass a model folder that does")
    )]
    NoInputs {
        /// The network.
        network: String,
    },
    /// An array without samples.
    #[error("{source_name}: holds no sample")]
    #[diagnostic(
        code(radstream::workload::empty),
        help("expected rows of shape {shape:?}; name an array that has some")
    )]
    Empty {
        /// The array.
        source_name: String,
        /// Shape of a sample.
        shape: Vec<usize>,
    },
    /// A loss that there is not.
    #[error("there is no loss `{name}`")]
    #[diagnostic(
        code(radstream::workload::loss),
        help("expected one of {}{}", known.join(", "), data::did_you_mean(name, known.iter().copied()))
    )]
    UnknownLoss {
        /// What was asked for.
        name: String,
        /// The losses.
        known: Vec<&'static str>,
    },
    /// A metric that there is not.
    #[error("there is no metric `{name}`")]
    #[diagnostic(
        code(radstream::workload::metric),
        help("expected some of {}{}", known.join(", "), data::did_you_mean(name, known.iter().copied()))
    )]
    UnknownMetric {
        /// What was asked for.
        name: String,
        /// The metrics.
        known: Vec<&'static str>,
    },
}

/// Reads a network file by its ending; `options` say what the file leaves open.
///
/// # Errors
/// [`ImportError`] of the reader, where an option does not fit the file, or where the ending is unknown.
pub fn load_network(files: &Files, name: &Path, options: &ImportOptions) -> Result<Network, ImportError> {
    let path = files.path(name);
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("onnx") => {
            let output = options.output.as_deref();
            let graph = match files {
                Files::Folder(_) => OnnxGraph::read_for(&path, output)?,
                Files::Embedded => OnnxGraph::parse_for(&path, &embedded_bytes(files, name, &path)?, output)?,
            };
            qonnx::import_with(&graph, options)
        }
        Some("fml" | "dais" | "json") if options.input_type.is_some() => Err(ImportError::unsupported(
            &path,
            "the file",
            "states the type of its input itself".to_owned(),
        )
        .expected("no other input type")
        .help("leave the input type out; the file's own is exact")),
        Some(ending @ ("fml" | "dais" | "json")) => {
            let parse = match ending {
                "fml" => fml::parse,
                "dais" => dais::parse,
                _ => dais::parse_json,
            };
            let bytes = match files {
                Files::Folder(_) => read_file(&path)?,
                Files::Embedded => embedded_bytes(files, name, &path)?,
            };
            let network = parse(&path, &bytes)?;
            check_only_output(&path, &network, options.output.as_deref())?;
            Ok(network)
        }
        _ => Err(
            ImportError::unsupported(&path, "the file", "has an unknown ending".to_owned())
                .expected("a .onnx (QONNX), .fml (hls4ml), .dais or .json (da4ml) file")
                .help("export the network as QONNX, or pass hls4ml's serialized model or da4ml's program"),
        ),
    }
}

/// Refuses another output than the one that a network has.
fn check_only_output(path: &Path, network: &Network, output: Option<&str>) -> Result<(), ImportError> {
    let own = &network.tensor(network.output).name;
    match output.filter(|output| output != own) {
        None => Ok(()),
        Some(output) => {
            Err(
                ImportError::unsupported(path, "the network", format!("has no output `{output}` to choose"))
                    .expected(format!("its output `{own}`, or none"))
                    .help("leave the output out; only a QONNX file has others to choose from")
                    .cure(Cure::Output),
            )
        }
    }
}

fn embedded_bytes(files: &Files, name: &Path, path: &Path) -> Result<Vec<u8>, ImportError> {
    files.read(name).map_err(|error| {
        ImportError::structure(path, "the file", format!("cannot be read: {error}"))
            .expected("a file of the embedded model")
            .help("check the name in model.ron")
    })
}

/// A name with the place that it is relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where the name leads.
    pub files: Files,
    /// The file and the array in it.
    pub source: Source,
}

/// Everything that determines a workload besides the network. What is `None` is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Samples.
    pub inputs: Option<Located>,
    /// Labels.
    pub labels: Option<Located>,
    /// Most samples.
    pub limit: Option<usize>,
    /// Factor on real inputs.
    pub input_scale: Option<f64>,
    /// Whether inputs are mantissas.
    pub raw_inputs: Option<bool>,
    /// Order of the elements of all arrays.
    pub layout: Option<ArrayOrder>,
    /// Readout.
    pub readout: Option<Located>,
    /// Indices.
    pub gather: Option<Located>,
    /// Name of the loss.
    pub loss: Option<String>,
    /// Names of metrics beside the loss.
    pub metrics: Vec<String>,
    /// Target.
    pub target: Option<Located>,
    /// Ground distance.
    pub distance: Option<Located>,
    /// Number of classes.
    pub classes: Option<usize>,
    /// Hardware file.
    pub hardware: Option<Located>,
    /// What is said about the network file.
    pub import: ImportOptions,
}

impl Settings {
    /// What a description says.
    #[must_use]
    pub fn of(description: &Description, files: &Files) -> Self {
        let located = |name: &Option<String>| {
            name.as_ref().map(|name| Located {
                files: files.clone(),
                source: Source::parse(name),
            })
        };
        Self {
            inputs: located(&description.inputs),
            labels: located(&description.labels),
            limit: None,
            input_scale: Some(description.input_scale),
            raw_inputs: Some(description.raw_inputs),
            layout: description.layout,
            readout: located(&description.readout),
            gather: located(&description.gather),
            loss: description.loss.clone(),
            metrics: Vec::new(),
            target: located(&description.target),
            distance: located(&description.distance),
            classes: description.classes,
            hardware: located(&description.hardware),
            import: ImportOptions {
                input_type: description.input_type,
                output: description.output.clone(),
            },
        }
    }

    /// These settings where they say something, the others elsewhere. Labels and targets belong to
    /// the inputs that they come with.
    #[must_use]
    pub fn or(self, mut other: Self) -> Self {
        if self.inputs.is_some() {
            other.labels = None;
            other.target = None;
        }
        Self {
            inputs: self.inputs.or(other.inputs),
            labels: self.labels.or(other.labels),
            limit: self.limit.or(other.limit),
            input_scale: self.input_scale.or(other.input_scale),
            raw_inputs: self.raw_inputs.or(other.raw_inputs),
            layout: self.layout.or(other.layout),
            readout: self.readout.or(other.readout),
            gather: self.gather.or(other.gather),
            loss: self.loss.or(other.loss),
            metrics: if self.metrics.is_empty() {
                other.metrics
            } else {
                self.metrics
            },
            target: self.target.or(other.target),
            distance: self.distance.or(other.distance),
            classes: self.classes.or(other.classes),
            hardware: self.hardware.or(other.hardware),
            import: self.import.or(other.import),
        }
    }
}

/// Samples as mantissas, with what judges their outputs.
#[derive(Debug)]
pub struct Workload {
    /// Input mantissas, `[sample][element]`.
    pub inputs: Vec<i64>,
    /// Number of samples.
    pub samples: usize,
    /// Labels, where given.
    pub labels: Option<Array>,
    /// Share of the real input elements that lie outside the input's range; none where inputs are mantissas.
    pub saturated: Option<f64>,
    /// Readout and loss.
    pub evaluator: Evaluator,
    /// Arrays whose order could be read in two ways, and how they were read: one sentence each.
    pub notes: Vec<String>,
}

/// Samples as they enter a network.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSet {
    /// Mantissas, `[sample][element]`.
    pub mantissas: Vec<i64>,
    /// The numbers that the mantissas were made from, the factor on the inputs applied.
    pub reals: Vec<f64>,
    /// Number of samples.
    pub samples: usize,
    /// How the samples' order was read where it could be read in two ways.
    pub note: Option<String>,
}

impl Workload {
    /// Reads the samples alone.
    ///
    /// # Errors
    /// [`WorkloadError`] where there are none or they do not enter the network.
    pub fn inputs(network: &Network, settings: &Settings) -> Result<InputSet, WorkloadError> {
        let Some(located) = &settings.inputs else {
            return Err(WorkloadError::NoInputs {
                network: network.name.clone(),
            });
        };
        let mut array = located.array()?;
        if let Some(limit) = settings.limit {
            array = array.take(limit);
        }
        let source_name = located.name();
        let samples = array.samples();
        let tensor = network.tensor(network.input);
        if samples == 0 {
            return Err(WorkloadError::Empty {
                source_name,
                shape: tensor.shape.clone(),
            });
        }
        let layout = network.input_layout();
        let row = array.shape.get(1..).unwrap_or(&[]);
        let reading = layout
            .read(row, settings.layout)
            .ok_or_else(|| WorkloadError::Input {
                source_name: source_name.clone(),
                error: InputError::Shape {
                    found: row.to_vec(),
                    expected: tensor.len(),
                    shape: layout.shape().to_vec(),
                    last: layout.channels_last_array(),
                },
            })?;
        let note = reading
            .doubtful
            .then(|| outcome::doubt("samples", row, &layout, settings.layout));
        let scale = settings.input_scale.unwrap_or(1.0);
        let raw = settings.raw_inputs.unwrap_or(false);
        let mut reals = reading.apply(array.reals());
        if !raw {
            reals.iter_mut().for_each(|value| *value *= scale);
        }
        let mantissas = if raw {
            network.check_raw_inputs(&reals)
        } else {
            network.quantize_inputs(&reals)
        };
        let mantissas = mantissas.map_err(|error| WorkloadError::Input { source_name, error })?;
        Ok(InputSet {
            mantissas,
            reals,
            samples,
            note,
        })
    }

    /// Puts a workload together.
    ///
    /// # Errors
    /// [`WorkloadError`] where an array is missing, does not fit, or a loss is unknown.
    pub fn load(network: &Network, settings: &Settings) -> Result<Self, WorkloadError> {
        let InputSet {
            mantissas,
            reals,
            samples,
            note,
        } = Self::inputs(network, settings)?;
        let labels = settings.labels.as_ref().map(Located::array).transpose()?;
        let saturated = (!settings.raw_inputs.unwrap_or(false))
            .then(|| network.input_overflows(&reals) as f64 / reals.len().max(1) as f64);
        let (evaluator, fed) = evaluator(network, settings, samples, reals, labels.clone())?;
        let notes = note
            .into_iter()
            .chain(fed)
            .chain(evaluator.notes().iter().cloned())
            .collect();
        Ok(Self {
            inputs: mantissas,
            samples,
            labels,
            saturated,
            evaluator,
            notes,
        })
    }
}

impl Located {
    /// The path, for people.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.files.path(&self.source.file)
    }

    /// File and array, for people.
    fn name(&self) -> String {
        let named = Source {
            file: self.path(),
            key: self.source.key.clone(),
        };
        named.to_string()
    }

    /// The array.
    ///
    /// # Errors
    /// [`DataError`] where it cannot be read.
    pub fn array(&self) -> Result<Array, DataError> {
        self.files.array(&self.source)
    }
}

/// A ground distance between the values of an output as they lie, as one between them channels last.
fn rearranged(distance: Array, output: &Layout, stated: Option<ArrayOrder>) -> Array {
    let len = output.len();
    let order = output.read(&[len], stated).and_then(|reading| reading.order);
    let Some(order) = order.filter(|_| distance.shape == [len, len]) else {
        return distance;
    };
    let values = distance.reals();
    let entry = |row: usize| order.iter().map(move |&column| (row, column));
    let moved = order
        .iter()
        .flat_map(|&row| entry(row))
        .map(|(row, column)| values[row * len + column]);
    Array {
        shape: distance.shape.clone(),
        elements: Elements::Real(moved.collect()),
    }
}

/// Also what is to be said of how the readout is fed.
fn evaluator(
    network: &Network,
    settings: &Settings,
    samples: usize,
    reals: Vec<f64>,
    labels: Option<Array>,
) -> Result<(Evaluator, Option<String>), WorkloadError> {
    let output = network.output_layout();
    let readout = match &settings.readout {
        None => Readout::none(&output),
        Some(located) => {
            let path = located.files.path(&located.source.file);
            let graph = match located.files {
                Files::Folder(_) => OnnxGraph::read(&path)?,
                Files::Embedded => OnnxGraph::parse(
                    &path,
                    &embedded_bytes(&located.files, &located.source.file, &path)?,
                )?,
            };
            Readout::behind(&graph, &output)?
        }
    };
    let Some((fed, _)) = output.feed(readout.input_shape()) else {
        let problem = format!(
            "takes {} values of shape {:?}; the network makes {:?}",
            readout.input_len(),
            readout.input_shape(),
            output.shape()
        );
        let expected = format!(
            "{:?} as the network's file has it, {:?} channels last, or a flat row of {}",
            output.shape(),
            output.channels_last(),
            output.len()
        );
        let error = OutcomeError::new(OutcomePart::Readout, problem)
            .remedy(expected, "use the readout that was trained with this network");
        return Err(located_outcome(error, settings));
    };
    let note = (fed.doubtful && settings.readout.is_some()).then(|| {
        outcome::doubt(
            "values that the readout takes,",
            readout.input_shape(),
            &output,
            None,
        )
    });
    let array = |located: &Option<Located>| -> Result<Option<Array>, DataError> {
        located
            .as_ref()
            .map(|located| located.files.array(&located.source))
            .transpose()
    };
    let name = settings.loss.clone().unwrap_or_else(|| {
        if labels.is_some() {
            "misclassify".to_owned()
        } else {
            "mismatch".to_owned()
        }
    });
    let Some(named) = loss::named(&name) else {
        return Err(WorkloadError::UnknownLoss {
            name,
            known: LOSSES.iter().map(|loss| loss.name).collect(),
        });
    };
    let gather = array(&settings.gather)?;
    let takes_distance = |name: &String| loss::named(name).is_some_and(|loss| loss.takes_distance);
    let distance = if named.takes_distance || settings.metrics.iter().any(takes_distance) {
        array(&settings.distance)?.map(|distance| match &gather {
            Some(_) => distance,
            None => rearranged(distance, readout.layout(), settings.layout),
        })
    } else {
        None
    };
    let loss = named
        .make(distance.as_ref())
        .map_err(|error| located_outcome(error, settings))?;
    let metrics = settings
        .metrics
        .iter()
        .map(|name| {
            let metric = metric::named(name, distance.as_ref());
            let metric = metric.map_err(|error| located_outcome(error, settings))?;
            metric.ok_or_else(|| WorkloadError::UnknownMetric {
                name: name.clone(),
                known: metric::names().collect(),
            })
        })
        .collect::<Result<Vec<_>, WorkloadError>>()?;
    let meaning = network.output_meaning();
    if settings.readout.is_some() && Readout::selection_of(&meaning).is_some() {
        let problem =
            "reads the indices that the network's file selects among real numbers, behind the accelerator";
        let error = OutcomeError::new(OutcomePart::Readout, problem.to_owned()).remedy(
            "a readout of the values in front of the selection",
            "let the tensor in front of the selection be the network's output",
        );
        return Err(located_outcome(error, settings));
    }
    let readout = match &meaning {
        OutputMeaning::Indices { classes, first } if settings.readout.is_none() => {
            readout.selected(*classes, first, fed.order.as_deref())
        }
        _ => readout.on_file(&meaning, fed.order.as_deref()),
    };
    let setup = Setup {
        order: fed.order,
        readout,
        loss,
        gather,
        target: array(&settings.target)?,
        samples: Some(Samples {
            layout: network.input_layout(),
            values: reals,
        }),
        stated: settings.layout,
        labels,
        classes: settings.classes,
        metrics,
    };
    let evaluator = Evaluator::new(setup, samples, output.len());
    Ok((evaluator.map_err(|error| located_outcome(error, settings))?, note))
}

/// Adds the file that the refused part came from.
fn located_outcome(error: OutcomeError, settings: &Settings) -> WorkloadError {
    let located = match error.place {
        OutcomePart::Readout => &settings.readout,
        OutcomePart::Gather => &settings.gather,
        // Without targets of their own the inputs are the targets.
        OutcomePart::Targets if settings.target.is_none() => &settings.inputs,
        OutcomePart::Targets => &settings.target,
        OutcomePart::Labels => &settings.labels,
        OutcomePart::GroundDistance => &settings.distance,
        OutcomePart::Classes | OutcomePart::Loss => &None,
    };
    WorkloadError::Outcome {
        source_name: located.as_ref().map(Located::name),
        error,
    }
}
