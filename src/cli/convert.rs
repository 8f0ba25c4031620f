//! `radstream convert`.

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, Samples, Target};
use crate::report;
use crate::study::ConvertRequest;

/// `radstream convert`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream convert network.onnx --inputs samples.npz:x --labels samples.npz:y --loss misclassify --out model
  radstream convert models/digits_small_cls --limit 50 --out digits_50")]
pub struct Convert {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Words about the network for its description
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = "Network")]
    description: String,
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
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output.print(&done, || report::convert(&done))
    }
}
