//! `radstream merge`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::options::OutputOptions;
use crate::report;
use crate::study::MergeRequest;

/// `radstream merge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream merge part-1 part-2 part-3 --out whole
  radstream merge part-* --out whole --json")]
pub struct Merge {
    /// The folders of all parts of one campaign, as campaign --shard PART/PARTS writes them
    #[arg(value_name = "SHARD_DIR", required = true)]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
}

impl Merge {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = MergeRequest {
            parts: self.parts.clone(),
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output.print(&done, || report::campaign(&done))
    }
}
