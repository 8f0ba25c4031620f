//! Which samples, and what judges their outputs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{StudyError, text_form};
use crate::data::Source;
use crate::model::{Files, Located, Settings};
use crate::network::ArrayOrder;
use crate::network::import::ImportOptions;

/// Samples and what judges their outputs; what is not said comes from the model folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplesRequest {
    /// Samples: `.npy`, `.npz` (`FILE:KEY`) or `.csv`.
    #[serde(with = "text_form::option")]
    pub inputs: Option<Source>,
    /// Classes of the samples, or of each of their pixels.
    #[serde(with = "text_form::option")]
    pub labels: Option<Source>,
    /// Most samples.
    pub limit: Option<usize>,
    /// Factor on real inputs before they are quantized.
    pub input_scale: Option<f64>,
    /// Whether the inputs are integer mantissas.
    pub raw_inputs: bool,
    /// Order of the elements of all arrays: the files' own, or channels last. Without it their shapes tell, and
    /// the file's own order goes first.
    pub layout: Option<ArrayOrder>,
    /// Off-chip readout: an ONNX float model behind the network.
    pub readout: Option<PathBuf>,
    /// Indices picked from the readout's output, and from the target.
    #[serde(with = "text_form::option")]
    pub gather: Option<Source>,
    /// Name of the loss.
    pub loss: Option<String>,
    /// Names of metrics beside the loss, for campaigns of trials and of listed sets.
    pub metrics: Vec<String>,
    /// What the readout ought to give.
    #[serde(with = "text_form::option")]
    pub target: Option<Source>,
    /// Ground distance of the earth mover's distance.
    #[serde(with = "text_form::option")]
    pub distance: Option<Source>,
    /// How many of the first outputs are classes.
    pub classes: Option<usize>,
}

impl SamplesRequest {
    /// As settings that go before those of a model folder.
    ///
    /// # Errors
    /// [`StudyError::Request`] where a number has no meaning.
    pub fn settings(&self) -> Result<Settings, StudyError> {
        if self.limit == Some(0) {
            return Err(StudyError::refused_about(
                "limit",
                "a limit of 0 leaves no sample",
                "at least 1",
            ));
        }
        if let Some(scale) = self.input_scale
            && !scale.is_finite()
        {
            return Err(StudyError::refused_about(
                "input_scale",
                format!("an input scale of {scale} is not finite"),
                "a finite factor",
            ));
        }
        let here = |source: &Option<Source>| {
            source.clone().map(|source| Located {
                files: Files::Folder(PathBuf::new()),
                source,
            })
        };
        let file = |path: &Option<PathBuf>| here(&path.clone().map(|file| Source { file, key: None }));
        Ok(Settings {
            inputs: here(&self.inputs),
            labels: here(&self.labels),
            limit: self.limit,
            input_scale: self.input_scale,
            raw_inputs: self.raw_inputs.then_some(true),
            layout: self.layout,
            readout: file(&self.readout),
            gather: here(&self.gather),
            loss: self.loss.clone(),
            metrics: self.metrics.clone(),
            target: here(&self.target),
            distance: here(&self.distance),
            classes: self.classes,
            hardware: None,
            import: ImportOptions::default(),
        })
    }
}
