//! `radstream campaign`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::mission::MissionOptions;
use super::options::{
    DryRun, OutputOptions, PlanOptions, Samples, Scope, SeedOption, Target, option_value, whole,
};
use super::output;
use super::rate_options::RateOptions;
use crate::campaign::{Shard, StopRule};
use crate::report;
use crate::study::{
    AccumulationRequest, ExhaustiveRequest, MemoryRequest, MissionRequest, RegisterRequest, Request,
};

/// `radstream campaign`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream campaign models/digits_small_cls --exhaustive
  radstream campaign --mission 4 --rate-per-s 0.0667 --repetitions 20 --limit 50 --scheme tmr --scrub-s none,60")]
pub struct Campaign {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Flip every stored bit by itself
    #[arg(long, conflicts_with = "mission", help_heading = "Kind")]
    exhaustive: bool,
    /// Draw so many random flips at a time over all cells
    #[arg(long, value_name = "K", conflicts_with_all = ["mission", "exhaustive", "registers"], value_parser = whole, help_heading = "Kind")]
    flips: Option<u64>,
    /// Trials of --flips
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole, help_heading = "Kind")]
    trials: u64,
    /// A protection map in force under --flips
    #[arg(long, value_name = "MAP.json", requires = "flips", help_heading = "Kind")]
    map: Option<PathBuf>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    mission: MissionOptions,
    #[command(flatten)]
    rate: RateOptions,
    /// Run part I of N parts that follow each other; `radstream merge` joins them
    #[arg(long, value_name = "I/N", value_parser = option_value::<Shard>, help_heading = "Plan")]
    shard: Option<Shard>,
    /// End once the main number is known within this relative error; looks after 100, 200, 400, ... trials
    #[arg(long, value_name = "ERROR", help_heading = "Plan")]
    until: Option<f64>,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    dry: DryRun,
    #[command(flatten)]
    seed: SeedOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Campaign {
    /// The kind that the options ask for.
    fn request(&self) -> Result<Option<Request>, Failure> {
        let until = self
            .until
            .map(|relative_error| {
                if relative_error.is_finite() && relative_error > 0.0 {
                    Ok(StopRule { relative_error })
                } else {
                    Err(Failure::refused(
                        format!("--until {relative_error} is no relative error"),
                        "expected a number above 0, e.g. 0.1",
                    ))
                }
            })
            .transpose()?;
        let (network, samples) = (self.target.request(), self.samples.request());
        let (shard, seed) = (self.shard, self.seed.seed);
        let mission = &self.mission;
        if let Some(memory) = mission.memory {
            return Ok(Some(Request::Memory(MemoryRequest {
                memory,
                mission_h: mission.mission.unwrap_or(0.0),
                repetitions: mission.repetitions,
                scrub_s: mission.scrub_s.clone(),
                refresh_s: mission.refresh_s,
                rate: self.rate.request(),
                rate_per_s: mission.rate_per_s,
                given_strike: mission.given_strike,
                permanent_share: mission.permanent_share,
                analytic: mission.analytic,
                seed,
                until,
                shard,
            })));
        }
        if let Some(mission_h) = mission.mission {
            if until.is_some() {
                return Err(Failure::refused(
                    "--until does not go with missions of several designs",
                    "expected a fixed number of missions, --repetitions N",
                ));
            }
            return Ok(Some(Request::Mission(MissionRequest {
                network,
                samples,
                tensors: self.scope.tensors.clone(),
                mission_h,
                repetitions: mission.repetitions,
                at_h: mission.at.clone(),
                schemes: mission.scheme.clone(),
                protect: mission.protect.clone(),
                ranking: mission.ranking.clone(),
                ideal: mission.ideal,
                scrub_s: mission.scrub_s.clone(),
                refresh_s: mission.refresh_s,
                rate: self.rate.request(),
                rate_per_s: mission.rate_per_s,
                given_strike: mission.given_strike,
                registers: mission.registers,
                inference_rate_per_s: mission.inference_rate,
                permanent_share: mission.permanent_share,
                analytic: mission.analytic,
                failure: mission.failure,
                seed,
                shard,
            })));
        }
        if let Some(strikes) = mission.registers {
            return Ok(Some(Request::Registers(RegisterRequest {
                network,
                samples,
                strikes,
                rate: self.rate.request(),
                inference_rate_per_s: mission.inference_rate,
                seed,
                until,
                shard,
            })));
        }
        if self.exhaustive {
            if until.is_some() {
                return Err(Failure::refused(
                    "--until does not go with --exhaustive, which flips every bit",
                    "expected --limit N for fewer samples, or --tensors for fewer bits",
                ));
            }
            return Ok(Some(Request::Exhaustive(ExhaustiveRequest {
                network,
                samples,
                tensors: self.scope.tensors.clone(),
                shard,
            })));
        }
        if let Some(flips) = self.flips {
            return Ok(Some(Request::Accumulation(AccumulationRequest {
                network,
                samples,
                trials: self.trials,
                flips: Some(flips),
                map: self.map.clone(),
                seed,
                until,
                shard,
            })));
        }
        Ok(None)
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let of_options = self.request()?;
        if of_options.is_none() && self.plan.plan.is_none() {
            return Err(Failure::refused(
                "neither --exhaustive nor --mission nor --registers nor --flips says which campaign",
                "expected --exhaustive (every stored bit by itself), --flips K (several at a time), --mission HOURS, --registers N, or --plan PLAN.ron",
            ));
        }
        let Some(request) = self.plan.resolve("campaign", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        let output = &self.output;
        let wrote = |folder: &Path| -> Result<(), Failure> {
            if output.json {
                return Ok(());
            }
            output::line(&format!("wrote {}", folder.join("records.csv").display()))
        };
        if self.dry.dry_run {
            let forecast = match &request {
                Request::Mission(request) => {
                    let forecast = request.forecast(&session)?;
                    return output.print(&forecast, || report::mission_forecast(&forecast));
                }
                Request::Exhaustive(request) => request.forecast(&session)?,
                Request::Accumulation(request) => request.forecast(&session)?,
                Request::Memory(request) => request.forecast(&session)?,
                Request::Registers(request) => request.forecast(&session)?,
                _ => unreachable!("plans of other commands are refused"),
            };
            let (verb, what) = match &request {
                Request::Exhaustive(_) => ("flip", "bits"),
                Request::Registers(_) => ("strike", "register bits"),
                Request::Memory(_) => ("fly", "missions"),
                _ => ("run", "trials"),
            };
            return output.print(&forecast, || report::forecast(&forecast, verb, what));
        }
        match &request {
            Request::Exhaustive(request) => {
                let done = request.run(&session)?;
                output.print(&done, || report::exhaustive(&done.campaign))?;
                wrote(&done.folder)
            }
            Request::Accumulation(request) => {
                let done = request.run(&session)?;
                output.print(&done, || report::accumulation(&done))?;
                wrote(&done.folder)
            }
            Request::Mission(request) => {
                let done = request.run(&session)?;
                output.print(&done, || report::mission(&done))?;
                wrote(&done.folder)
            }
            Request::Memory(request) => {
                let done = request.run(&session)?;
                output.print(&done, || report::memory(&done))?;
                done.folder.as_deref().map_or(Ok(()), wrote)
            }
            Request::Registers(request) => {
                let done = request.run(&session)?;
                output.print(&done, || report::registers(&done))?;
                wrote(&done.folder)
            }
            _ => unreachable!("plans of other commands are refused"),
        }
    }
}
