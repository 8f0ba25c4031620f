//! `radstream convert`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, Samples, Target};
use crate::report;
use crate::study::ConvertRequest;

/// `radstream convert`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream convert network.onnx --inputs samples.npz:x --labels samples.npz:y --loss misclassify --out model
  radstream convert models/digits_small_cls --limit 50 --out digits_50
  radstream convert network.onnx --folding output/final_hw_config.json --out model")]
pub struct Convert {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Words about the network for its description
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = "Network")]
    description: String,
    /// Makes the hardware file from a file of FINN (folding_config.json, auto_folding_config.json,
    /// final_hw_config.json), hls4ml (hls4ml_config.yml) or Vitis HLS (csynth.xml, csynth.rpt); may be given again
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    folding: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
}

impl Convert {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = ConvertRequest {
            network: self.target.request(),
            samples: self.samples.request(),
            description: self.description.clone(),
            folding: self.folding.clone(),
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output.print(&done, || report::convert(&done))
    }
}
