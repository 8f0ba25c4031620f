//! Options that several commands share.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use miette::Diagnostic;

use super::Failure;
use super::output;
use super::progress::Terminal;
use crate::campaign::statistics::Precision;
use crate::data::Source;
use crate::network::ArrayOrder;
use crate::network::import::{ImportOptions, InputType};
use crate::outcome::loss::{LOSSES, NamedLoss};
use crate::outcome::metric::METRICS;
use crate::study::{NetworkRequest, Request, SamplesRequest, Session};

/// Parses the value of an option; the error also says what was expected.
pub fn option_value<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Diagnostic,
{
    text.parse().map_err(|error: T::Err| match error.help() {
        Some(help) => format!("{error}\n  help: {help}"),
        None => error.to_string(),
    })
}

/// Parses a whole number as people write it: `1000000`, `1_000_000`, `1,000,000` or `1e6`.
pub fn whole(text: &str) -> Result<u64, String> {
    crate::text::whole(text).ok_or_else(|| {
        format!("`{text}` is no whole number\n  help: expected one from 0 on, e.g. 1000000, 1_000_000 or 1e6")
    })
}

/// Parses a share as people write it: `0.5%` or `0.005`.
pub fn share(text: &str) -> Result<f64, String> {
    crate::text::share(text)
        .ok_or_else(|| format!("`{text}` is no share\n  help: expected one from 0 to 1, e.g. 0.005 or 0.5%"))
}

/// As [`whole`], for numbers of things in memory.
pub fn amount(text: &str) -> Result<usize, String> {
    whole(text)?
        .try_into()
        .map_err(|_| format!("`{text}` is more than any memory holds"))
}

/// Which network, on which hardware.
#[derive(Debug, Args)]
pub struct Target {
    /// A .onnx (QONNX), .fml (hls4ml), .dais or .json (da4ml) file, or a folder with a model.ron; without one the embedded
    /// digits_medium_ae
    #[arg(value_name = "NETWORK")]
    pub network: Option<PathBuf>,
    /// How the accelerator is built: a RON file
    #[arg(long, value_name = "FILE.ron", help_heading = "Network")]
    pub hardware: Option<PathBuf>,
    /// Type of the numbers that enter the accelerator, where the QONNX file does not state it: uint8, int<N>,
    /// fixed<W,I>, ufixed<W,I>. Arithmetic on the input is done on the accelerator then
    #[arg(long, value_name = "TYPE", value_parser = option_value::<InputType>, help_heading = "Network")]
    pub input_type: Option<InputType>,
    /// The tensor of a QONNX file that leaves the chip: one of its outputs, or any other that is integers [default:
    /// its one output]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub output: Option<String>,
}

impl Target {
    /// These options as a request.
    pub fn request(&self) -> NetworkRequest {
        NetworkRequest {
            network: self.network.clone(),
            hardware: self.hardware.clone(),
            import: ImportOptions {
                input_type: self.input_type,
                output: self.output.clone(),
            },
        }
    }
}

/// How a command speaks, where it writes, and how hard it works; no number depends on it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print one JSON document on standard output and nothing else there
    #[arg(long)]
    pub json: bool,
    /// Say nothing on standard error but errors
    #[arg(long)]
    pub quiet: bool,
    /// Threads; all cores by default. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = amount)]
    pub threads: Option<usize>,
    /// Output folder [default: <command>-<network> where the command writes files]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace files in the output folder that this command did not write, or that were changed since
    #[arg(long)]
    pub force: bool,
}

/// The seed of all that a command draws at random.
#[derive(Debug, Args)]
pub struct SeedOption {
    /// Seed of all that the command draws at random
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole, help_heading = "Output")]
    pub seed: u64,
}

impl OutputOptions {
    /// Sets the number of threads, and hears of Ctrl-C from now on.
    pub fn session(&self) -> Result<Session, Failure> {
        if let Some(threads) = self.threads {
            if threads == 0 || threads > 4096 {
                return Err(Failure::refused(
                    format!("--threads {threads} is out of range"),
                    "expected 1 to 4096",
                ));
            }
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()
                .map_err(|error| Failure::work(format!("the threads cannot be started: {error}")))?;
        }
        Ok(Session {
            folder: self.out.clone(),
            force: self.force,
            command_line: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            parts: Vec::new(),
            watch: std::sync::Arc::new(Terminal { quiet: self.quiet }),
        })
    }

    /// Prints a report: as JSON where that was asked for, otherwise as text.
    pub fn print(
        &self,
        report: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            output::json(report)
        } else {
            output::line(&text())
        }
    }
}

/// Plans from files, and files for plans.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plan")]
pub struct PlanOptions {
    /// Run the request in this file instead of what the options say
    #[arg(long, value_name = "PLAN.ron")]
    pub plan: Option<PathBuf>,
    /// Print the request that the options mean, as --plan takes it, and do nothing
    #[arg(long)]
    pub emit_plan: bool,
}

/// Asks what would be done.
#[derive(Debug, Args)]
pub struct DryRun {
    /// Say what would be done and how long it would take, and do nothing
    #[arg(long, help_heading = "Plan")]
    pub dry_run: bool,
}

impl PlanOptions {
    /// The request that is meant: that of the plan file, or `of_options`. None where it was only to be printed.
    pub fn resolve(&self, command: &str, of_options: Option<Request>) -> Result<Option<Request>, Failure> {
        let request = match (&self.plan, of_options) {
            (Some(file), None) => {
                let request = Request::read(file)?;
                if request.command() != command {
                    return Err(Failure::refused(
                        format!(
                            "{}: is a plan for `radstream {}`",
                            file.display(),
                            request.command()
                        ),
                        format!("expected a plan for `radstream {command}`"),
                    ));
                }
                request
            }
            (Some(file), Some(_)) => {
                return Err(Failure::refused(
                    format!("both {} and other options say what to do", file.display()),
                    "expected --plan alone, besides options of output; edit the plan instead",
                ));
            }
            (None, Some(request)) => request,
            (None, None) => {
                return Err(Failure::refused(
                    "nothing says what to do",
                    "expected options or --plan PLAN.ron",
                ));
            }
        };
        if self.emit_plan {
            output::line(&request.to_ron()?)?;
            return Ok(None);
        }
        Ok(Some(request))
    }
}

/// The losses that there are.
fn losses() -> PossibleValuesParser {
    let value = |loss: &NamedLoss| PossibleValue::new(loss.name).help(loss.about);
    LOSSES.iter().map(value).collect::<Vec<_>>().into()
}

/// The metrics that there are.
fn metrics() -> PossibleValuesParser {
    let own = METRICS.iter().map(|metric| (metric.name, metric.about));
    let losses = LOSSES.iter().map(|loss| (loss.name, loss.about));
    let value = |(name, about)| PossibleValue::new(name).help(about);
    own.chain(losses).map(value).collect::<Vec<_>>().into()
}

/// The orders that arrays can be stated to have.
fn orders() -> impl TypedValueParser<Value = ArrayOrder> {
    let value = |order: &ArrayOrder| {
        PossibleValue::new(order.name()).help(match order {
            ArrayOrder::File => "the axes of the network's or readout's own file",
            ArrayOrder::ChannelsLast => "those axes with the channels behind the others",
        })
    };
    let values: PossibleValuesParser = ArrayOrder::ALL.iter().map(value).collect::<Vec<_>>().into();
    values.map(|name| {
        let order = ArrayOrder::ALL.into_iter().find(|order| order.name() == name);
        order.unwrap_or(ArrayOrder::File)
    })
}

/// The samples and what judges their outputs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Samples and loss")]
pub struct Samples {
    /// Samples: .npy, .npz (FILE:KEY) or .csv
    #[arg(long, value_name = "FILE[:KEY]")]
    pub inputs: Option<Source>,
    /// Classes of the samples, or of each of their pixels
    #[arg(long, value_name = "FILE[:KEY]")]
    pub labels: Option<Source>,
    /// Take the first N samples only
    #[arg(long, value_name = "N", value_parser = amount)]
    pub limit: Option<usize>,
    /// Factor on real inputs before they are quantized
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub input_scale: Option<f64>,
    /// The inputs are integer mantissas
    #[arg(long)]
    pub raw_inputs: bool,
    /// Order of the elements of all arrays. Without it their shapes tell; flat rows and shapes that fit both ways
    /// are in the file's order
    #[arg(long, value_name = "ORDER", value_parser = orders())]
    pub layout: Option<ArrayOrder>,
    /// Off-chip readout: an ONNX float model behind the network
    #[arg(long, value_name = "FILE.onnx")]
    pub readout: Option<PathBuf>,
    /// Indices picked from the readout's output, and from the target
    #[arg(long, value_name = "FILE:KEY")]
    pub gather: Option<Source>,
    /// What counts as damage
    #[arg(long, value_name = "LOSS", value_parser = losses())]
    pub loss: Option<String>,
    /// Metrics beside the loss, separated by commas, in the records of campaigns with --flips and --faults
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = metrics())]
    pub metrics: Vec<String>,
    /// What the readout ought to give; the input itself by default
    #[arg(long, value_name = "FILE[:KEY]")]
    pub target: Option<Source>,
    /// Ground distance of the earth mover's distance: a square matrix
    #[arg(long, value_name = "FILE:KEY")]
    pub distance: Option<Source>,
    /// Only the first N outputs are classes
    #[arg(long, value_name = "N", value_parser = amount)]
    pub classes: Option<usize>,
}

impl Samples {
    /// These options as a request.
    pub fn request(&self) -> SamplesRequest {
        SamplesRequest {
            inputs: self.inputs.clone(),
            labels: self.labels.clone(),
            limit: self.limit,
            input_scale: self.input_scale,
            raw_inputs: self.raw_inputs,
            layout: self.layout,
            readout: self.readout.clone(),
            gather: self.gather.clone(),
            loss: self.loss.clone(),
            metrics: self.metrics.clone(),
            target: self.target.clone(),
            distance: self.distance.clone(),
            classes: self.classes,
        }
    }
}

/// Which stored bits are examined or struck.
#[derive(Debug, Args)]
pub struct Scope {
    /// Which stored tensors: weight, bias, threshold, ..., separated by commas, or all
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "all",
        help_heading = "Network"
    )]
    pub tensors: Vec<String>,
}

/// Which layers are examined or struck.
#[derive(Debug, Args)]
pub struct LayerScope {
    /// Only these layers, separated by commas [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Network")]
    pub layers: Vec<String>,
}

/// How well a share is to be known.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sample")]
pub struct PrecisionOptions {
    /// Half the width of the interval of a share that the number of draws is made for
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    pub margin: f64,
    /// How often such an interval covers
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = share)]
    pub confidence: f64,
    /// The share that is expected; 0.5 asks for the most draws
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = share)]
    pub expected_share: f64,
}

impl PrecisionOptions {
    /// As a library has it.
    pub fn precision(&self) -> Precision {
        Precision {
            margin: self.margin,
            confidence: self.confidence,
            expected_share: self.expected_share,
        }
    }
}
