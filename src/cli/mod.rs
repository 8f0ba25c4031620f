//! The command line: one file per command, each thin.

mod campaign;
mod convert;
mod export;
mod failure;
mod harden;
mod hints;
mod inspect;
mod merge;
mod mission;
mod options;
mod output;
mod plan_sample;
mod progress;
mod protect;
mod rate;
mod rate_options;
mod regress;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Which stored bits of a quantized network on a streaming accelerator to protect against
/// radiation upsets, what it costs, and what it buys.
#[derive(Debug, Parser)]
#[command(
    name = "radstream",
    version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("RADSTREAM_COMMIT"), ")"),
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job: campaign, ranking, protection under a budget, rates, exports, into one folder
    Harden(Box<harden::Harden>),
    /// Inference on the simulated accelerator, with or without faults
    Run(Box<run::Run>),
    /// What flips do to a workload: every stored bit by itself, or missions of hours
    Campaign(Box<campaign::Campaign>),
    /// Layers, formats, stored bits, memories, registers, cycles, area
    Inspect(Box<inspect::Inspect>),
    /// Environment and memory technology, or a rate as a number, to upsets per hour
    #[command(mut_arg("memory_technology", |arg| arg.visible_alias("memory")))]
    Rate(Box<rate::Rate>),
    /// How many faults a sample needs for an interval of a stated width
    PlanSample(Box<plan_sample::PlanSample>),
    /// Fit a linear model to columns of records: what a number depends on
    Regress(regress::Regress),
    /// Join the folders of all parts of one campaign
    Merge(merge::Merge),
    /// Choose bits to protect under a budget from the records of a campaign
    Protect(Box<protect::Protect>),
    /// Write a protection map in the formats that RTL tools read
    Export(export::Export),
    /// Write an imported network as a model folder
    Convert(Box<convert::Convert>),
}

/// Runs a parsed command line and reports how it ended: 0 done, 1 the work failed, 2 the request or
/// an input file is wrong.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    failure::install_reports();
    let result = match cli.command {
        Command::Harden(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Campaign(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Rate(command) => command.run(),
        Command::PlanSample(command) => command.run(),
        Command::Regress(command) => command.run(),
        Command::Merge(command) => command.run(),
        Command::Protect(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Convert(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
