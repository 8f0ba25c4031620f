//! `radstream run --engine cycle`: what the clock shows.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::options::Manner;
use super::output::{self, count};
use super::progress::Bar;
use super::unbuilt::Unbuilt;
use crate::accelerator::Accelerator;
use crate::campaign::{StrikeBench, StrikeOutcome, draw_strikes};
use crate::data::PartialFile;
use crate::fault::{self, ListedStrike, Targets};
use crate::model::Workload;
use crate::network::TensorId;
use crate::simulate::cycle::build::BuildError;
use crate::simulate::cycle::engine::Engine;
use crate::simulate::cycle::pipeline::Pipeline;
use crate::simulate::cycle::register::RegisterClass;
use crate::simulate::cycle::run::{self, CycleFault, End, Run, Settings, Site};
use crate::simulate::cycle::watch::{Table, Watch, Waveform};

/// What to write of a run of the cycle engine.
#[derive(Debug, Args)]
pub struct CycleOptions {
    /// Write a waveform (VCD, as GTKWave opens it) [cycle engine]
    #[arg(long, value_name = "FILE")]
    vcd: Option<PathBuf>,
    /// Write a table: a row per clock edge, a column per stage [cycle engine]
    #[arg(long, value_name = "FILE.csv")]
    trace_cycles: Option<PathBuf>,
    /// Edges that waveform and table show
    #[arg(long, value_name = "FROM..TO", value_parser = cycles, default_value = "0..10000")]
    cycles: Range<u64>,
}

fn cycles(text: &str) -> Result<Range<u64>, String> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed
        .filter(|range: &Range<u64>| range.start < range.end)
        .ok_or_else(|| format!("`{text}` is no range of clock edges\n  help: expected FROM..TO with FROM below TO, e.g. 0..500"))
}

impl CycleOptions {
    /// Whether any of them was asked for.
    pub fn is_asked(&self) -> bool {
        self.vcd.is_some() || self.trace_cycles.is_some()
    }
}

/// A run of the cycle engine as the command reports it.
pub struct CycleRun {
    /// The outputs of complete samples; the others are 0.
    pub outputs: Vec<i64>,
    /// The mantissas of each wanted tensor that passed its stream; those that never came are 0.
    pub traces: Vec<Vec<i64>>,
    /// Additions to the JSON document.
    pub cycles: Value,
    /// The stages.
    pub stages: Value,
    /// The FIFOs.
    pub fifos: Value,
    /// The stage that sets the pace.
    pub bottleneck: String,
    /// What the simulation leaves out.
    pub simplifications: Vec<String>,
    /// The faults, where there were some.
    pub faults: Option<Value>,
    /// How the run ended.
    pub end: End,
}

fn refuse_build(accelerator: &Accelerator) -> impl Fn(BuildError) -> Failure + '_ {
    |error| Failure::request(Unbuilt::new(error, accelerator))
}

/// The pipeline of an accelerator.
pub fn pipeline(accelerator: &Accelerator) -> Result<Pipeline, Failure> {
    Pipeline::new(accelerator).map_err(refuse_build(accelerator))
}

/// Which faults strike.
pub enum Faults<'a> {
    /// None.
    None,
    /// Those of a list.
    List(&'a Path),
    /// So many, drawn over all register bits and all cycles.
    Draw(u64),
}

/// Runs the samples, and each fault on its own as well.
pub fn execute(
    accelerator: &Accelerator,
    workload: &Workload,
    faults: &Faults<'_>,
    options: &CycleOptions,
    plain: bool,
    manner: &Manner,
    wanted: &[TensorId],
) -> Result<CycleRun, Failure> {
    let pipeline = pipeline(accelerator)?;
    let targets = Targets::of(accelerator, &pipeline);
    let bench = StrikeBench::new(accelerator, &pipeline, &workload.inputs, &workload.evaluator);
    let total = bench.fault_free().timing.total;
    if options.is_asked() && options.cycles.start >= total {
        return Err(Failure::refused(
            format!("--cycles begins at {}, beyond the run", options.cycles.start),
            format!(
                "expected a beginning in 0..={}: these samples take {total} edges",
                total.saturating_sub(1)
            ),
        ));
    }
    let listed: Vec<ListedStrike> = match faults {
        Faults::None => Vec::new(),
        Faults::List(file) => {
            let listed = fault::read_strikes(file, &targets)?;
            if let Some(late) = listed
                .iter()
                .find(|strike| strike.fault.cycle.is_some_and(|cycle| cycle >= total))
            {
                return Err(Failure::refused(
                    format!(
                        "{}: line {}: cycle {} is beyond the run",
                        file.display(),
                        late.line,
                        late.fault.cycle.unwrap_or(0)
                    ),
                    format!(
                        "expected 0..={}: the fault-free run of these samples takes {total} edges",
                        total - 1
                    ),
                ));
            }
            listed
        }
        Faults::Draw(strikes) => draw_strikes(&targets, &RegisterClass::ALL, total, *strikes, manner.seed)
            .into_iter()
            .zip(1..)
            .map(|(fault, line)| ListedStrike { fault, line })
            .collect(),
    };
    // The same fault twice cancels.
    let mut effective: Vec<CycleFault> = Vec::new();
    for strike in &listed {
        match effective.iter().position(|fault| *fault == strike.fault) {
            Some(at) => drop(effective.remove(at)),
            None => effective.push(strike.fault),
        }
    }
    let settings = Settings {
        bound: (!effective.is_empty()).then_some(bench.bound()),
        plain,
        ..Settings::default()
    };
    let (done, mut traces) = watched(
        accelerator,
        &pipeline,
        &workload.inputs,
        &effective,
        options,
        settings,
        wanted,
    )?;
    let faults = (!matches!(faults, Faults::None))
        .then(|| faults_json(&bench, &targets, &listed, &effective, &done, manner.quiet))
        .transpose()?;
    let network = accelerator.network();
    let expected = network.tensor(network.output).len() * workload.samples;
    let mut outputs = done.outputs.clone();
    outputs.resize(expected, 0);
    for (trace, &id) in traces.iter_mut().zip(wanted) {
        trace.resize(network.tensor(id).len() * workload.samples, 0);
    }
    let mut timing = done.timing;
    if done.end == End::Completed && workload.samples < STEADY {
        timing.initiation_interval = steady_interval(accelerator, &pipeline);
    }
    Ok(CycleRun {
        outputs,
        traces,
        cycles: json!(timing),
        stages: stages_json(&pipeline, &done),
        fifos: fifos_json(accelerator, &pipeline, &done)?,
        bottleneck: bottleneck(&pipeline, bench.fault_free()),
        simplifications: pipeline.simplifications.clone(),
        faults,
        end: done.end,
    })
}

/// Samples after which the interval between two is that of steady operation.
const STEADY: usize = 4;

/// Cycles between two samples in steady operation; they do not depend on the data.
fn steady_interval(accelerator: &Accelerator, pipeline: &Pipeline) -> Option<u64> {
    let network = accelerator.network();
    let inputs = vec![0; STEADY * network.tensor(network.input).len()];
    run::run(pipeline, accelerator, &inputs, &[], Settings::default())
        .timing
        .initiation_interval
}

/// A run with waveform and table.
fn watched(
    accelerator: &Accelerator,
    pipeline: &Pipeline,
    inputs: &[i64],
    faults: &[CycleFault],
    options: &CycleOptions,
    settings: Settings,
    wanted: &[TensorId],
) -> Result<(Run, Vec<Vec<i64>>), Failure> {
    let mut engine = Engine::new(pipeline, inputs).with_traces(wanted);
    let traces = |engine: &Engine<'_>| {
        let network = accelerator.network();
        let trace = |&id: &TensorId| engine.trace(id, &network.tensor(id).encoding).unwrap_or_default();
        wanted.iter().map(trace).collect()
    };
    if !options.is_asked() {
        let done = run::drive(&mut engine, accelerator, faults, settings);
        return Ok((done, traces(&engine)));
    }
    let open = |path: &Option<PathBuf>| -> Result<Option<PartialFile>, Failure> {
        let create =
            |path: &PathBuf| PartialFile::create(path).map_err(|error| Failure::writing(path, &error));
        path.as_ref().map(create).transpose()
    };
    let (mut vcd, mut table) = (open(&options.vcd)?, open(&options.trace_cycles)?);
    let asked = [&options.vcd, &options.trace_cycles];
    let path = asked
        .into_iter()
        .flatten()
        .next()
        .map_or(Path::new(""), PathBuf::as_path);
    let writing = |error: std::io::Error| Failure::writing(path, &error);
    let done = {
        let mut waveform = vcd
            .as_mut()
            .map(|file| Waveform::new(file, &engine, options.cycles.clone()))
            .transpose()
            .map_err(writing)?;
        let mut table = table
            .as_mut()
            .map(|file| Table::new(file, options.cycles.clone()));
        let mut watchers: Vec<&mut dyn Watch> = Vec::new();
        watchers.extend(waveform.as_mut().map(|watch| watch as &mut dyn Watch));
        watchers.extend(table.as_mut().map(|watch| watch as &mut dyn Watch));
        run::drive_watched(&mut engine, accelerator, faults, settings, &mut watchers).map_err(writing)?
    };
    for (file, path) in [vcd, table].into_iter().zip(asked) {
        if let (Some(file), Some(path)) = (file, path) {
            file.finish().map_err(|error| Failure::writing(path, &error))?;
        }
    }
    Ok((done, traces(&engine)))
}

fn stages_json(pipeline: &Pipeline, run: &Run) -> Value {
    let network_rows: Vec<Value> = pipeline
        .stages
        .iter()
        .zip(&run.activity)
        .map(|(placed, activity)| {
            json!({
                "stage": placed.name,
                "kind": placed.kind,
                "transfer_cycles": activity.transfers,
                "stall_cycles": activity.blocked,
                "idle_cycles": activity.starved,
            })
        })
        .collect();
    json!(network_rows)
}

/// Depth and use of every FIFO, and the smallest depth that does not stall the stream.
fn fifos_json(accelerator: &Accelerator, pipeline: &Pipeline, run: &Run) -> Result<Value, Failure> {
    let needed = Pipeline::needed_fifo_depths(accelerator).map_err(refuse_build(accelerator))?;
    let rows: Vec<Value> = pipeline
        .stages
        .iter()
        .zip(&run.deepest)
        .filter_map(|(placed, &deepest)| {
            let depth = placed.fifo_depth?;
            Some(json!({
                "fifo": placed.name,
                "depth": depth,
                "deepest": deepest,
                "smallest_without_stall": needed.get(&placed.name),
            }))
        })
        .collect();
    Ok(json!(rows))
}

/// The stage that sets the pace: among those that work, the one that waits least, for words and for
/// room.
fn bottleneck(pipeline: &Pipeline, run: &Run) -> String {
    let works = |kind: &str| !matches!(kind, "fifo" | "width_converter" | "fork");
    pipeline
        .stages
        .iter()
        .zip(&run.activity)
        .filter(|(placed, _)| works(placed.kind))
        .min_by_key(|(_, activity)| activity.blocked + activity.starved)
        .map_or_else(|| "the input".to_owned(), |(placed, _)| placed.name.clone())
}

fn faults_json(
    bench: &StrikeBench<'_>,
    targets: &Targets<'_>,
    listed: &[ListedStrike],
    faults: &[CycleFault],
    done: &Run,
    quiet: bool,
) -> Result<Value, Failure> {
    let bar = Bar::new("faults one by one", faults.len() as u64, quiet);
    let Some(outcomes) = bench.one_by_one(faults, &bar) else {
        return Err(Failure::work("stopped"));
    };
    bar.finish();
    let rows: Vec<Value> = faults
        .iter()
        .zip(&outcomes)
        .map(|(fault, outcome)| {
            let strike = done.strikes.iter().find(|strike| strike.fault == *fault);
            let lane = strike.and_then(|strike| strike.lane);
            let mut row = json!(targets.named(fault.site));
            row["cycle"] = json!(fault.cycle);
            row["kind"] = json!(match fault.site {
                Site::Stored(_) => "memory",
                Site::Register(_) => "register",
                Site::Wire { .. } => "transient",
            });
            row["happened"] = json!(strike.is_some());
            row["word_before"] = json!(lane.map(|(before, _)| format!("{before:x}")));
            row["word_after"] = json!(lane.map(|(_, after)| format!("{after:x}")));
            if let Site::Stored(bit) = fault.site {
                for injection in fault::describe(targets.accelerator(), &[bit]) {
                    row["word_before"] = json!(injection.word_before);
                    row["word_after"] = json!(injection.word_after);
                    row["value_before"] = json!(injection.value_before);
                    row["value_after"] = json!(injection.value_after);
                }
            }
            row["effect"] = json!(outcome);
            row
        })
        .collect();
    let effective = outcomes
        .iter()
        .filter(|&&outcome| outcome != StrikeOutcome::NoEffect)
        .count();
    Ok(json!({
        "injected": listed.len(),
        "wrong_bits": faults.len(),
        "cancelled": listed.len() - faults.len(),
        "effective": effective,
        "outcome": bench.judge(done),
        "end": done.end,
        "bound": bench.bound(),
        "list": rows,
    }))
}

/// The run for people.
pub fn say(run: &CycleRun, samples: usize) -> Result<(), Failure> {
    let cycle = |key: &str| run.cycles[key].as_u64().map_or_else(|| "-".to_owned(), count);
    output::line(&format!(
        "cycles: first output {}, latency {}, initiation interval {}, total {} for {samples} samples",
        cycle("first_output"),
        cycle("latency"),
        cycle("initiation_interval"),
        cycle("total"),
    ))?;
    output::line(&format!("bottleneck: {}", run.bottleneck))?;
    match run.end {
        End::Completed => {}
        End::Hang { cycle } => output::line(&format!("the accelerator hangs: waited until cycle {cycle}"))?,
        End::StreamCorrupted { expected, seen } => {
            output::line(&format!(
                "the stream is corrupted: {seen} words came out instead of {expected}"
            ))?;
        }
    }
    let text = |row: &Value, key: &str| {
        row[key]
            .as_str()
            .map_or_else(|| row[key].to_string(), str::to_owned)
    };
    let rows = |list: &Value, keys: &[&str]| -> Vec<Vec<String>> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|row| keys.iter().map(|key| text(row, key)).collect())
            .collect()
    };
    let stages = rows(
        &run.stages,
        &["stage", "transfer_cycles", "stall_cycles", "idle_cycles"],
    );
    output::line(&output::table(
        &["stage", "words move", "stalled", "idle"],
        &stages,
    ))?;
    let fifos = rows(
        &run.fifos,
        &["fifo", "depth", "deepest", "smallest_without_stall"],
    );
    if !fifos.is_empty() {
        output::line(&output::table(
            &["FIFO", "depth", "most words", "smallest without a stall"],
            &fifos,
        ))?;
    }
    if let Some(faults) = &run.faults {
        output::line(&format!(
            "faults: {} listed, {} alter an output by themselves; together: {}",
            faults["injected"],
            faults["effective"],
            text(faults, "outcome")
        ))?;
        let list = rows(
            &faults["list"],
            &[
                "layer",
                "tensor",
                "element",
                "bit",
                "cycle",
                "word_before",
                "word_after",
                "effect",
            ],
        );
        let shown: Vec<Vec<String>> = list.into_iter().take(40).collect();
        output::line(&output::table(
            &[
                "layer", "tensor", "element", "bit", "cycle", "before", "after", "effect",
            ],
            &shown,
        ))?;
    }
    for line in &run.simplifications {
        output::line(&format!("not modelled: {line}"))?;
    }
    Ok(())
}
