//! Options that several commands share.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use miette::Diagnostic;

use super::Failure;
use super::campaign::write_json;
use super::output;
use crate::data::Source;
use crate::model::{Description, Files, Located, Settings};

/// Parses the value of an option; the error also says what was expected.
pub fn option_value<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Diagnostic,
{
    text.parse().map_err(|error: T::Err| match error.help() {
        Some(help) => format!("{error}\n  help: {help}"),
        None => error.to_string(),
    })
}

/// Which network, on which hardware.
#[derive(Debug, Args)]
pub struct Target {
    /// A .onnx (QONNX) or .fml (hls4ml) file, or a folder with a model.ron; without one the embedded
    /// digits_medium_ae
    #[arg(value_name = "NETWORK")]
    pub network: Option<PathBuf>,
    /// How the accelerator is built: a RON file
    #[arg(long, value_name = "FILE.ron")]
    pub hardware: Option<PathBuf>,
}

/// How a command speaks and how hard it works.
#[derive(Debug, Args)]
pub struct Manner {
    /// Print one JSON document on standard output and nothing else there
    #[arg(long)]
    pub json: bool,
    /// Say nothing on standard error but errors
    #[arg(long)]
    pub quiet: bool,
    /// Threads; all cores by default. Results do not depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Seed of all that the command draws at random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Output folder [default: <command>-<network> where the command writes files]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Manner {
    /// The output folder of a command that writes files.
    pub fn folder(&self, command: &str, network: &str) -> PathBuf {
        self.out
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("{command}-{network}")))
    }

    /// Writes a command's document into the output folder, where one was named, and prints it where
    /// JSON was asked for; returns whether it did.
    pub fn deliver(&self, name: &str, document: &serde_json::Value) -> Result<bool, Failure> {
        if let Some(folder) = &self.out {
            output::prepare_folder(folder)?;
            write_json(&folder.join(name), document)?;
        }
        if self.json {
            output::json(document)?;
        }
        Ok(self.json)
    }

    /// Sets the number of threads.
    pub fn apply(&self) -> Result<(), Failure> {
        let Some(threads) = self.threads else {
            return Ok(());
        };
        if threads == 0 || threads > 4096 {
            return Err(Failure::refused(
                format!("--threads {threads} is out of range"),
                "expected 1 to 4096",
            ));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| Failure::work(format!("the threads cannot be started: {error}")))
    }
}

/// The samples and what judges their outputs.
#[derive(Debug, Args)]
pub struct Samples {
    /// Samples: .npy, .npz (FILE:KEY) or .csv
    #[arg(long, value_name = "FILE[:KEY]")]
    pub inputs: Option<Source>,
    /// Classes of the samples, or of each of their pixels
    #[arg(long, value_name = "FILE[:KEY]")]
    pub labels: Option<Source>,
    /// Take the first N samples only
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Factor on real inputs before they are quantized
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub input_scale: Option<f64>,
    /// The inputs are integer mantissas
    #[arg(long)]
    pub raw_inputs: bool,
    /// Off-chip readout: an ONNX float model behind the network
    #[arg(long, value_name = "FILE.onnx")]
    pub readout: Option<PathBuf>,
    /// Indices picked from the readout's output, and from the target
    #[arg(long, value_name = "FILE:KEY")]
    pub gather: Option<Source>,
    /// What counts as damage
    #[arg(long, value_enum)]
    pub loss: Option<LossName>,
    /// What the readout ought to give; the input itself by default
    #[arg(long, value_name = "FILE[:KEY]")]
    pub target: Option<Source>,
    /// Ground distance of the earth mover's distance: a square matrix
    #[arg(long, value_name = "FILE:KEY")]
    pub distance: Option<Source>,
    /// Only the first N outputs are classes
    #[arg(long, value_name = "N")]
    pub classes: Option<usize>,
}

/// Losses by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// Any output mantissa differs
    Mismatch,
    /// The class is wrong
    Misclassify,
    /// Mean squared error
    Mse,
    /// Cross-entropy of the labels
    CrossEntropy,
    /// Earth mover's distance
    Emd,
}

impl LossName {
    fn name(self) -> &'static str {
        match self {
            LossName::Mismatch => "mismatch",
            LossName::Misclassify => "misclassify",
            LossName::Mse => "mse",
            LossName::CrossEntropy => "cross-entropy",
            LossName::Emd => "emd",
        }
    }
}

impl Samples {
    /// These options as settings.
    pub fn settings(&self) -> Result<Settings, Failure> {
        if self.limit == Some(0) {
            return Err(Failure::refused(
                "--limit 0 leaves no sample",
                "expected at least 1",
            ));
        }
        if let Some(scale) = self.input_scale
            && !scale.is_finite()
        {
            return Err(Failure::refused(
                format!("--input-scale {scale} is not finite"),
                "expected a finite factor",
            ));
        }
        let here = |source: &Option<Source>| {
            source.clone().map(|source| Located {
                files: Files::Folder(PathBuf::new()),
                source,
            })
        };
        Ok(Settings {
            inputs: here(&self.inputs),
            labels: here(&self.labels),
            limit: self.limit,
            input_scale: self.input_scale,
            raw_inputs: self.raw_inputs.then_some(true),
            readout: here(&self.readout.as_ref().map(|file| Source {
                file: file.clone(),
                key: None,
            })),
            gather: here(&self.gather),
            loss: self.loss.map(|loss| loss.name().to_owned()),
            target: here(&self.target),
            distance: here(&self.distance),
            classes: self.classes,
            hardware: None,
        })
    }
}

/// Where a network comes from.
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

impl Target {
    /// Finds the network that is meant.
    pub fn origin(&self) -> Result<Origin, Failure> {
        let described = |files: Files| -> Result<Origin, Failure> {
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
            Some(path) if path.is_dir() => described(Files::Folder(path.clone())),
            Some(path) if path.file_name().is_some_and(|name| name == "model.ron") => {
                described(Files::Folder(path.parent().unwrap_or(Path::new("")).to_owned()))
            }
            Some(path) => {
                let name = path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
                    .unwrap_or_default();
                Ok(Origin {
                    files: Files::Folder(PathBuf::new()),
                    network: path.clone(),
                    name: name.trim_end_matches(".qonnx").to_owned(),
                    settings: Settings::default(),
                })
            }
        }
    }
}
