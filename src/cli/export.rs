//! `radstream export`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, PlanOptions, Target};
use crate::report;
use crate::study::{ExportRequest, Request};

/// `radstream export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream export --map harden-digits_medium_ae
  radstream export models/digits_small_cls --map harden-digits_small_cls --format csv,systemverilog --out rtl")]
pub struct Export {
    #[command(flatten)]
    target: Target,
    /// The protection map: the JSON that harden and protect write, or the folder that holds it
    #[arg(
        long,
        value_name = "FILE|DIR",
        required_unless_present = "plan",
        help_heading = "Protection"
    )]
    map: Option<PathBuf>,
    /// Formats, separated by commas, or all
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "all",
        help_heading = "Protection"
    )]
    format: Vec<String>,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Export {
    fn request(&self) -> ExportRequest {
        ExportRequest {
            network: self.target.request(),
            map: self.map.clone().unwrap_or_default(),
            formats: self.format.clone(),
        }
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = self.request();
        let stated = self.plan.plan.is_none() || request != ExportRequest::default();
        let of_options = stated.then_some(Request::Export(request));
        let Some(Request::Export(request)) = self.plan.resolve("export", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output.print(&done, || report::export(&done))
    }
}
