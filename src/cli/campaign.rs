//! `radstream campaign`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::mission::MissionOptions;
use super::options::{
    DryRun, LayerScope, OutputOptions, PlanOptions, PrecisionOptions, Samples, Scope, SeedOption, Target,
    option_value, share, whole,
};
use super::rate_options::RateOptions;
use crate::campaign::mission::Failure as RunFailure;
use crate::campaign::{RegisterSelection, SampleDesign, Shard, StopRule};
use crate::fault::FaultModel;
use crate::report;
use crate::study::{
    AccumulationRequest, ActivationRequest, AskRequest, Counts, ExhaustiveRequest, FaultListRequest,
    MemoryRequest, MissionRequest, RegisterClassesRequest, RegisterRequest, Request, SampleRequest,
};

/// A number of draws, or all there are.
#[derive(Clone, Copy, Debug)]
struct Draws(Option<u64>);

fn draws(text: &str) -> Result<Draws, String> {
    match text {
        "all" => Ok(Draws(None)),
        number => whole(number).map(|number| Draws(Some(number))),
    }
}

/// `radstream campaign`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream campaign models/digits_small_cls --exhaustive
  radstream campaign models/digits_small_cls --sample layer-bit --margin 2%
  radstream campaign --mission 4 --rate-per-s 0.0667 --repetitions 20 --limit 50 --scheme tmr --scrub-s none,60")]
pub struct Campaign {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Flip every stored bit by itself
    #[arg(long, conflicts_with = "mission", help_heading = "Kind")]
    exhaustive: bool,
    /// Flip register bits in every cycle of the first sample, one flip of each class of flips that come to the same
    #[arg(long, conflicts_with_all = ["mission", "exhaustive", "registers", "flips", "until"], help_heading = "Kind")]
    registers_exhaustive: bool,
    /// Only these registers: layers, units or paths as `inspect --registers` prints them
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        requires = "registers_exhaustive",
        help_heading = "Kind"
    )]
    register: Vec<String>,
    /// Only every n-th register bit
    #[arg(long, value_name = "N", default_value_t = 1, requires = "registers_exhaustive", value_parser = whole, help_heading = "Kind")]
    every: u64,
    /// As --exhaustive, but only ask whether a fault is a failure, and stop it as soon as that is known: any (an output
    /// integer differs), class (a right class goes wrong), or loss>X
    #[arg(long, value_name = "any|class|loss>X", conflicts_with_all = ["mission", "exhaustive", "registers", "flips"], value_parser = option_value::<RunFailure>, help_heading = "Kind")]
    ask: Option<RunFailure>,
    /// Put a fault at each of some stored bits, drawn without replacement: a number of them, or as many as --margin
    /// asks for of all bits (random), of each tensor of each layer (layer), of each bit position of each tensor
    /// (layer-bit), or of these by how far flips move the values (data-aware)
    #[arg(long, value_name = "N|DESIGN", conflicts_with_all = ["mission", "exhaustive", "registers", "flips"], value_parser = option_value::<SampleDesign>, help_heading = "Kind")]
    sample: Option<SampleDesign>,
    #[command(flatten)]
    precision: PrecisionOptions,
    /// What a fault does to the bits that are read: flip, stuck-at-0, stuck-at-1, or burst:K (K consecutive columns)
    #[arg(long, value_name = "FAULT", default_value = "flip", value_parser = option_value::<FaultModel>, help_heading = "Kind")]
    fault: FaultModel,
    /// Draw so many random faults at a time over all cells, for one number or each of several
    #[arg(long, value_name = "K,...", conflicts_with_all = ["mission", "exhaustive", "registers"], value_delimiter = ',', value_parser = whole, help_heading = "Kind")]
    flips: Vec<u64>,
    /// Trials of each number of --flips
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole, help_heading = "Kind")]
    trials: u64,
    /// What --flips and --activations strike: stored, activation (what layers hand on), mac (results of matrix
    /// products), separated by commas [default: stored; with --activations: activation]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Kind")]
    from: Vec<String>,
    /// Evaluate the fault sets of a list: layer,tensor,element,bit or memory,word,bit, and trial for independent sets
    #[arg(long, value_name = "LIST.csv", conflicts_with_all = ["mission", "exhaustive", "registers", "flips", "sample"], help_heading = "Kind")]
    faults: Option<PathBuf>,
    /// Flip bits of activations, each in one inference: so many draws per layer, or all (every bit in every sample's)
    #[arg(long, value_name = "N|all", conflicts_with_all = ["mission", "exhaustive", "registers", "flips", "sample", "faults"], value_parser = draws, help_heading = "Kind")]
    activations: Option<Draws>,
    /// A protection map in force under --flips
    #[arg(long, value_name = "MAP.json", requires = "flips", help_heading = "Kind")]
    map: Option<PathBuf>,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    layers: LayerScope,
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
    /// End once the main share is known within so much, half the width of its interval, e.g. 0.5%; looks as --until
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Plan")]
    until_margin: Option<f64>,
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
        let until = self.stop_rule()?;
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
        if self.registers_exhaustive {
            return Ok(Some(Request::RegisterClasses(RegisterClassesRequest {
                network,
                samples,
                sample: 0,
                selection: RegisterSelection {
                    paths: self.register.clone(),
                    classes: Vec::new(),
                    every: self.every,
                },
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
                layers: self.layers.layers.clone(),
                fault: self.fault,
                shard,
            })));
        }
        if let Some(failure) = self.ask {
            return Ok(Some(Request::Ask(AskRequest {
                network,
                samples,
                tensors: self.scope.tensors.clone(),
                layers: self.layers.layers.clone(),
                fault: self.fault,
                failure,
                shard,
            })));
        }
        if let Some(design) = self.sample {
            return Ok(Some(Request::Sample(SampleRequest {
                network,
                samples,
                tensors: self.scope.tensors.clone(),
                layers: self.layers.layers.clone(),
                fault: self.fault,
                design,
                precision: self.precision.precision(),
                seed,
                until,
                shard,
            })));
        }
        if let Some(faults) = &self.faults {
            return Ok(Some(Request::Faults(FaultListRequest {
                network,
                samples,
                faults: faults.clone(),
                fault: self.fault,
                shard,
            })));
        }
        let from = |default: &str| match &self.from[..] {
            [] => vec![default.to_owned()],
            from => from.to_vec(),
        };
        if let Some(Draws(draws)) = self.activations {
            return Ok(Some(Request::Activations(ActivationRequest {
                network,
                samples,
                from: from("activation"),
                layers: self.layers.layers.clone(),
                draws,
                seed,
                shard,
            })));
        }
        if !self.flips.is_empty() {
            return Ok(Some(Request::Accumulation(AccumulationRequest {
                network,
                samples,
                from: from("stored"),
                tensors: self.scope.tensors.clone(),
                layers: self.layers.layers.clone(),
                fault: self.fault,
                trials: self.trials,
                flips: Some(match self.flips[..] {
                    [one] => Counts::One(one),
                    _ => Counts::List(self.flips.clone()),
                }),
                map: self.map.clone(),
                seed,
                until,
                shard,
            })));
        }
        Ok(None)
    }

    fn stop_rule(&self) -> Result<Option<StopRule>, Failure> {
        if let Some(error) = self.until
            && !(error.is_finite() && error > 0.0)
        {
            return Err(Failure::refused(
                format!("--until {error} is no relative error"),
                "expected a number above 0, e.g. 0.1",
            ));
        }
        if self.until_margin == Some(0.0) {
            return Err(Failure::refused(
                "--until-margin 0 is never reached",
                "expected a share above 0, e.g. 0.5%",
            ));
        }
        let rule = StopRule {
            relative_error: self.until,
            margin: self.until_margin,
        };
        Ok((rule != StopRule::default()).then_some(rule))
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let of_options = self.request()?;
        if of_options.is_none() && self.plan.plan.is_none() {
            return Err(Failure::refused(
                "nothing says which campaign",
                "expected --exhaustive (every stored bit by itself), --ask any|class|loss>X (until the answer is known), --sample N (some of them), --flips K (several at a time), --faults LIST.csv, --activations N, --mission HOURS, --registers N, --registers-exhaustive, or --plan PLAN.ron",
            ));
        }
        let Some(request) = self.plan.resolve("campaign", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        let output = &self.output;
        const OTHER: &str = "plans of other commands are refused";
        if self.dry.dry_run {
            let forecast = request.forecast_campaign(&session)?.expect(OTHER);
            return output.print(&forecast, || report::campaign_forecast(&request, &forecast));
        }
        let done = request.run_campaign(&session)?.expect(OTHER);
        output.print(&done, || report::campaign(&done))
    }
}
