//! What `model.ron` says.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Files;
use crate::data::{RonError, SourceText, parse_ron};
use crate::network::ArrayOrder;
use crate::network::import::InputType;

/// A model folder's description. File names are relative to the folder; an array in an `.npz` is
/// `FILE:KEY`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename = "Model")]
pub struct Description {
    /// Name for people and files.
    pub name: String,
    /// What the network is, where its data come from, and their licences.
    #[serde(default)]
    pub description: String,
    /// The network file.
    pub network: String,
    /// Type of the numbers that enter the accelerator, where the network file does not state it.
    #[serde(default)]
    pub input_type: Option<InputType>,
    /// The tensor of the network file that leaves the chip, where it has several outputs.
    #[serde(default)]
    pub output: Option<String>,
    /// Samples.
    #[serde(default)]
    pub inputs: Option<String>,
    /// Classes of the samples, or of each of their pixels.
    #[serde(default)]
    pub labels: Option<String>,
    /// Factor on real inputs before they are quantized.
    #[serde(default = "one")]
    pub input_scale: f64,
    /// Whether the inputs are integer mantissas.
    #[serde(default)]
    pub raw_inputs: bool,
    /// Order of the elements of all arrays; without it their shapes tell, and the file's own goes first.
    #[serde(default)]
    pub layout: Option<ArrayOrder>,
    /// Off-chip readout.
    #[serde(default)]
    pub readout: Option<String>,
    /// Indices picked from the readout's output, and from the target.
    #[serde(default)]
    pub gather: Option<String>,
    /// `mismatch`, `misclassify`, `mse`, `cross-entropy` or `emd`.
    #[serde(default)]
    pub loss: Option<String>,
    /// What the readout ought to give; the input itself by default.
    #[serde(default)]
    pub target: Option<String>,
    /// Ground distance of the earth mover's distance.
    #[serde(default)]
    pub distance: Option<String>,
    /// How many of the first outputs are classes.
    #[serde(default)]
    pub classes: Option<usize>,
    /// Hardware file.
    #[serde(default)]
    pub hardware: Option<String>,
}

fn one() -> f64 {
    1.0
}

/// Why a model folder was refused.
#[derive(Debug, Error, Diagnostic)]
pub enum ModelError {
    /// The description cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Ron(#[from] RonError),
    /// The path is neither a network file nor a model folder.
    #[error("{}: {problem}", path.display())]
    #[diagnostic(
        code(radstream::model::path),
        help(
            "expected a .onnx (QONNX), .fml (hls4ml), .dais or .json (da4ml) file, or a folder with a model.ron; check the path"
        )
    )]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Description {
    /// Reads the description of a folder.
    ///
    /// # Errors
    /// [`ModelError`] where there is none or it does not parse.
    pub fn read(files: &Files) -> Result<Self, ModelError> {
        let path = files.path(Path::new("model.ron"));
        let problem = |problem: String| ModelError::Path {
            path: path.clone(),
            problem,
        };
        let bytes = files
            .read(Path::new("model.ron"))
            .map_err(|error| problem(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| problem(error.to_string()))?;
        let source = SourceText::new(path.display().to_string(), text);
        Ok(parse_ron(
            &source,
            "a Model(name, network, ...) as in models/digits_medium_ae/model.ron",
        )?)
    }
}
