//! `radstream rate`.

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, PlanOptions, Target, option_value, whole};
use super::rate_options::RateOptions;
use crate::report;
use crate::study::{ClosedForm, Request, UpsetRequest, presets};

/// `radstream rate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream rate --memory kintex7_bram --environment avionics_40kft --explain
  radstream rate --bits 1e6 --fit-per-mb 20 --hours 1000 --analytic --scheme tmr --scrub-s 60")]
pub struct Rate {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    rate: RateOptions,
    /// Stored bits, instead of those of a network
    #[arg(long, value_name = "N", conflicts_with_all = ["network", "hardware"], value_parser = whole, help_heading = "Rate")]
    bits: Option<u64>,
    /// Also expect the upsets of a mission of so many hours
    #[arg(
        long,
        visible_alias = "hours",
        value_name = "HOURS",
        allow_negative_numbers = true,
        help_heading = "Mission"
    )]
    mission: Option<f64>,
    /// Inferences per second, for upsets per inference [default: from the hardware file's clock]
    #[arg(
        long,
        value_name = "PER_S",
        allow_negative_numbers = true,
        help_heading = "Mission"
    )]
    inference_rate: Option<f64>,
    /// Inferences per hour, instead of --inference-rate
    #[arg(
        long,
        value_name = "PER_H",
        conflicts_with = "inference_rate",
        allow_negative_numbers = true,
        help_heading = "Mission"
    )]
    inferences_per_hour: Option<f64>,
    /// For FPGA configuration memory: share of its upsets that break the design (device vulnerability
    /// factor; UG116: typically 0.05, at most 0.1). With --bits
    #[arg(
        long,
        value_name = "SHARE",
        requires = "bits",
        allow_negative_numbers = true,
        help_heading = "Rate"
    )]
    dvf: Option<f64>,
    /// Also print what accumulates in the mission by closed forms
    #[arg(long, requires = "mission", help_heading = "Closed forms")]
    analytic: bool,
    /// Protection for --analytic: none, tmr, tmr:M (a voter per M bits), or secded:N,K
    #[arg(long, value_name = "none|tmr|tmr:M|secded:N,K", default_value = "none", value_parser = option_value::<ClosedForm>, help_heading = "Closed forms")]
    scheme: ClosedForm,
    /// Seconds between two scrubs, for --analytic [default: never]
    #[arg(
        long,
        value_name = "S",
        requires = "analytic",
        allow_negative_numbers = true,
        help_heading = "Closed forms"
    )]
    scrub_s: Option<f64>,
    /// Codewords of --scheme secded, instead of --bits
    #[arg(long, value_name = "N", requires = "analytic", conflicts_with_all = ["bits", "network", "hardware"], value_parser = whole, help_heading = "Closed forms")]
    words: Option<u64>,
    /// Words that share a physical row and take its columns in turn, for the floor that single strikes
    /// set
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Closed forms")]
    interleave: u32,
    /// Show the arithmetic step by step
    #[arg(long, help_heading = "Output")]
    explain: bool,
    /// List the environments, memory technologies and cluster tables that need no file
    #[arg(long, help_heading = "Rate")]
    list_presets: bool,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Rate {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        if self.list_presets {
            let report = presets()?;
            let headings = [
                "environments (--environment)",
                "memory technologies (--memory-technology)",
                "cluster tables (--clusters)",
            ];
            return self.output.print(&report, || report::presets(&report, headings));
        }
        let request = UpsetRequest {
            network: self.target.request(),
            rate: self.rate.request(),
            bits: self.bits,
            mission_h: self.mission,
            inferences_per_hour: self
                .inferences_per_hour
                .or(self.inference_rate.map(|per_s| per_s * 3600.0)),
            dvf: self.dvf,
            analytic: self.analytic,
            scheme: self.scheme,
            scrub_s: self.scrub_s,
            words: self.words,
            interleave: self.interleave,
            explain: self.explain,
        };
        let stated = self.plan.plan.is_none() || request != UpsetRequest::default();
        let of_options = stated.then_some(Request::Rate(request));
        let Some(Request::Rate(request)) = self.plan.resolve("rate", of_options)? else {
            return Ok(());
        };
        let report = request.run(&self.output.session()?)?;
        self.output.print(&report, || report::rate(&report))
    }
}
