//! `radstream harden`: the main job.

use clap::Args;

use super::Failure;
use super::options::{DryRun, OutputOptions, PlanOptions, Samples, Scope, SeedOption, Target};
use super::output;
use super::protect::BudgetOptions;
use super::rate_options::RateOptions;
use crate::report;
use crate::study::{HardenRequest, Request};

/// `radstream harden`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream harden                                  # the embedded network, into harden-digits_medium_ae
  radstream harden models/digits_medium_cls --budget 10%mem --environment avionics_40kft \\
      --memory-technology kintex7_bram")]
pub struct Harden {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    budget: BudgetOptions,
    #[command(flatten)]
    rate: RateOptions,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    dry: DryRun,
    #[command(flatten)]
    seed: SeedOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Harden {
    fn request(&self) -> HardenRequest {
        HardenRequest {
            network: self.target.request(),
            samples: self.samples.request(),
            tensors: self.scope.tensors.clone(),
            protect: self.budget.request(),
            rate: self.rate.request(),
            seed: self.seed.seed,
        }
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = self.request();
        let stated = self.plan.plan.is_none() || request != HardenRequest::default();
        let of_options = stated.then_some(Request::Harden(request));
        let Some(Request::Harden(request)) = self.plan.resolve("harden", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        if self.dry.dry_run {
            let forecast = request.forecast(&session)?;
            return self
                .output
                .print(&forecast, || report::forecast(&forecast, "flip", "bits"));
        }
        let done = request.run(&session, report::harden)?;
        self.output.print(&done, || report::harden(&done))?;
        if self.output.json {
            return Ok(());
        }
        output::line(&format!("\nwrote {}", done.folder.display()))
    }
}
