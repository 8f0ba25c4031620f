//! `radstream run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::options::{OutputOptions, PlanOptions, Samples, SeedOption, Target, option_value, whole};
use crate::report;
use crate::study::{DrawFrom, Edges, FaultCheck, Request, RunEngine, RunRequest, Seed};

/// `radstream run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream run models/digits_small_cls --draw 20
  radstream run models/digits_small_cls --engine cycle --limit 2 --draw 5 --from registers --vcd run.vcd")]
pub struct Run {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    engine: EngineOptions,
    /// Write the output mantissas to this .npz
    #[arg(long, value_name = "OUT.npz", help_heading = "Output")]
    outputs: Option<PathBuf>,
    /// Also write what each layer hands on
    #[arg(long, help_heading = "Output")]
    trace: bool,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    seed: SeedOption,
    #[command(flatten)]
    output: OutputOptions,
}

/// Which bits are wrong.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faults")]
struct FaultOptions {
    /// Faults: CSV with layer,tensor,element,bit or memory,word,bit, and optionally cycle
    #[arg(long, value_name = "LIST.csv")]
    faults: Option<PathBuf>,
    /// Flip N bits drawn at random instead of a list
    #[arg(long, value_name = "N", conflicts_with = "faults", value_parser = whole)]
    draw: Option<u64>,
    /// What --draw draws from, the same under every engine [default: stored]
    #[arg(long, value_enum, requires = "draw")]
    from: Option<From>,
    /// Whether each fault is run alone as well, which is what `effective` counts [default: each]
    #[arg(long, value_enum)]
    check: Option<Check>,
}

/// What computes, and what is seen of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Engine")]
struct EngineOptions {
    /// Which engine computes
    #[arg(long, value_enum, default_value_t = Engine::Functional)]
    engine: Engine,
    /// Run further samples behind a single one for the interval and the FIFO depths of steady operation [cycle engine]
    #[arg(long)]
    steady: bool,
    /// Write a waveform (VCD, as GTKWave opens it) [cycle engine]
    #[arg(long, value_name = "FILE")]
    vcd: Option<PathBuf>,
    /// Write a table: a row per clock edge, a column per stage [cycle engine]
    #[arg(long, value_name = "FILE.csv")]
    trace_cycles: Option<PathBuf>,
    /// Edges that waveform and table show
    #[arg(long, value_name = "FROM..TO", value_parser = option_value::<Edges>, default_value_t = Edges::default())]
    cycles: Edges,
}

/// Engines by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Fast, without time
    Functional,
    /// The plain twin of the functional engine: exact and slow
    Plain,
    /// Every register and every clock edge
    Cycle,
    /// The plain twin of the cycle engine: every stage at every edge
    CyclePlain,
}

/// What faults are drawn from, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// Stored bits (weights, biases, thresholds), wrong from the start
    Stored,
    /// Register bits, each at a clock edge of its own [cycle engine]
    Registers,
    /// Stored and register bits alike, each at a clock edge of its own [cycle engine]
    All,
}

/// How faults are checked, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Each fault in a run of its own, besides all of them together
    Each,
    /// All of them together only
    Together,
}

impl Run {
    fn request(&self) -> RunRequest {
        RunRequest {
            network: self.target.request(),
            samples: self.samples.request(),
            engine: match self.engine.engine {
                Engine::Functional => RunEngine::Functional,
                Engine::Plain => RunEngine::Plain,
                Engine::Cycle => RunEngine::Cycle,
                Engine::CyclePlain => RunEngine::CyclePlain,
            },
            faults: self.faults.faults.clone(),
            draw: self.faults.draw,
            from: self.faults.from.map(|from| match from {
                From::Stored => DrawFrom::Stored,
                From::Registers => DrawFrom::Registers,
                From::All => DrawFrom::All,
            }),
            check: match self.faults.check {
                None | Some(Check::Each) => FaultCheck::Each,
                Some(Check::Together) => FaultCheck::Together,
            },
            seed: Seed(self.seed.seed),
            outputs: self.outputs.clone(),
            trace: self.trace,
            steady: self.engine.steady,
            vcd: self.engine.vcd.clone(),
            trace_cycles: self.engine.trace_cycles.clone(),
            cycles: self.engine.cycles,
        }
    }

    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let request = self.request();
        let stated = self.plan.plan.is_none() || request != RunRequest::default();
        let of_options = stated.then_some(Request::Run(request));
        let Some(Request::Run(request)) = self.plan.resolve("run", of_options)? else {
            return Ok(());
        };
        let session = self.output.session()?;
        let done = request.run(&session)?;
        self.output.print(&done, || report::run(&done))
    }
}
