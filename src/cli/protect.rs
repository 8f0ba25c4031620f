//! `radstream protect`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, PlanOptions, Samples, SeedOption, Target, option_value, whole};
use super::output;
use super::rate_options::RateOptions;
use crate::protection::Budget;
use crate::report;
use crate::study::{ProtectOptions, ProtectRequest, Request, Seed};

/// What to spend, and how to measure what it buys.
#[derive(Debug, Args)]
#[command(next_help_heading = "Protection")]
pub struct BudgetOptions {
    /// Extra area: 32%tmr of full triplication's, 10%mem of the plain memory's, 500ge
    #[arg(
        long,
        value_name = "BUDGET",
        default_value = "32%tmr",
        value_parser = option_value::<Budget>,
        allow_hyphen_values = true
    )]
    pub budget: Budget,
    /// Trials of random flips that measure the residual loss
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole)]
    pub trials: u64,
    /// Flips per trial over all stored bits, the copies included [default: 1 % of the stored bits]
    #[arg(long, value_name = "K", value_parser = whole)]
    pub flips: Option<u64>,
}

impl BudgetOptions {
    /// These options as a part of a request.
    pub fn request(&self) -> ProtectOptions {
        ProtectOptions {
            budget: self.budget,
            trials: self.trials,
            flips: self.flips,
        }
    }
}

/// `radstream protect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream protect --records campaign-exhaustive-digits_medium_ae --budget 500ge
  radstream protect models/digits_small_cls --records records.csv --budget 10%mem --trials 1000 --json")]
pub struct Protect {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Records of an exhaustive campaign: records.csv or the folder that holds it
    #[arg(
        long,
        value_name = "FILE|DIR",
        required_unless_present = "plan",
        help_heading = "Protection"
    )]
    records: Option<PathBuf>,
    /// Take the records although they were measured on another network, data set, readout or loss
    #[arg(long, help_heading = "Protection")]
    other_records: bool,
    #[command(flatten)]
    budget: BudgetOptions,
    #[command(flatten)]
    rate: RateOptions,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    seed: SeedOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Protect {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = ProtectRequest {
            network: self.target.request(),
            samples: self.samples.request(),
            records: self.records.clone().unwrap_or_default(),
            other_records: self.other_records,
            protect: self.budget.request(),
            rate: self.rate.request(),
            seed: Seed(self.seed.seed),
        };
        let stated = self.plan.plan.is_none() || request != ProtectRequest::default();
        let of_options = stated.then_some(Request::Protect(request));
        let Some(Request::Protect(request)) = self.plan.resolve("protect", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output
            .print(&done, || report::protection(&done.protection))?;
        if self.output.json {
            return Ok(());
        }
        output::line(&format!("\nwrote {}", done.folder.display()))
    }
}
