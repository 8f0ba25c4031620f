//! `radstream inspect`.

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, PlanOptions, Samples, Target};
use crate::report;
use crate::study::{InspectRequest, Request};

/// `radstream inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream inspect models/digits_medium_ae --hardware hw_configs/digits_medium_ae.finn.ron
  radstream inspect models/digits_medium_ae --hardware hw_configs/digits_medium_ae.finn.ron --registers
  radstream inspect models/digits_small_cls --ranges --limit 100 --json")]
pub struct Inspect {
    #[command(flatten)]
    target: Target,
    /// Also report, for the samples, the range of each tensor, what wrapped or saturated at each
    /// cast, top bits that are never used, and softmax tables without resolution
    #[arg(long, help_heading = "Samples and loss")]
    ranges: bool,
    /// Also list every register of the cycle engine by name, as lists of faults call them
    #[arg(long)]
    registers: bool,
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Inspect {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = InspectRequest {
            network: self.target.request(),
            samples: self.samples.request(),
            ranges: self.ranges,
            registers: self.registers,
        };
        let stated = self.plan.plan.is_none() || request != InspectRequest::default();
        let of_options = stated.then_some(Request::Inspect(request));
        let Some(Request::Inspect(request)) = self.plan.resolve("inspect", of_options)? else {
            return Ok(());
        };
        let report = request.run(&self.output.session()?)?;
        self.output.print(&report, || report::inspect(&report))
    }
}
