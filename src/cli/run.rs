//! `radstream run`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::cycle::{self, CycleOptions, Faults};
use super::options::{Manner, Samples, Target};
use super::output::{self, count};
use super::progress::Bar;
use crate::accelerator::{Accelerator, StoredBit};
use crate::campaign::{Bench, Scenario};
use crate::data::NpzWriter;
use crate::fault;
use crate::model::Workload;
use crate::network::{Encoding, Network, TensorId};
use crate::outcome::Scratch;
use crate::simulate::functional::fast::{FastEngine, FastPlan};
use crate::simulate::functional::{Change, Parameters, Plan, evaluate};

/// `radstream run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Faults: CSV with layer,tensor,element,bit or memory,word,bit, and optionally cycle
    #[arg(long, value_name = "LIST.csv")]
    faults: Option<PathBuf>,
    /// Flip N stored bits drawn at random instead of a list
    #[arg(long, value_name = "N", conflicts_with = "faults")]
    draw: Option<u64>,
    /// Write the output mantissas to this .npz
    #[arg(long, value_name = "OUT.npz")]
    outputs: Option<PathBuf>,
    /// Also write what each layer hands on
    #[arg(long)]
    trace: bool,
    /// Which engine computes
    #[arg(long, value_enum, default_value_t = Engine::Functional)]
    engine: Engine,
    #[command(flatten)]
    clock: CycleOptions,
    #[command(flatten)]
    manner: Manner,
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

/// What to write of a run: names and tensors.
fn traced(network: &Network) -> Vec<(String, TensorId)> {
    let mut names: Vec<(String, TensorId)> = network
        .layers
        .iter()
        .map(|layer| (format!("trace/{}", layer.name), layer.output))
        .collect();
    for node in &network.nodes {
        let name = format!("trace/{}", node.name);
        if !names.iter().any(|(known, _)| *known == name) {
            names.push((name, node.output));
        }
    }
    names
}

impl Run {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        let accelerator = &chip.accelerator;
        let network = accelerator.network();
        if matches!(self.engine, Engine::Cycle | Engine::CyclePlain) {
            return self.run_cycles(&chip);
        }
        if self.clock.is_asked() {
            return Err(Failure::refused(
                "a waveform or a table of cycles needs a clock",
                "add --engine cycle, or leave out --vcd and --trace-cycles",
            ));
        }
        let listed = match (&self.faults, self.draw) {
            (Some(file), _) => fault::read_list(file, accelerator)?,
            (None, Some(count)) => fault::draw(accelerator, count, self.manner.seed),
            (None, None) => Vec::new(),
        };
        if let (Some(file), Some(late)) = (&self.faults, listed.iter().find(|fault| fault.cycle.is_some())) {
            return Err(Failure::refused(
                format!("{}: line {}: the fault has a cycle", file.display(), late.line),
                "expected an empty column, for faults that are there from the start: the functional engine knows no cycles; add --engine cycle",
            ));
        }
        let wrong = fault::wrong_bits(listed.iter().map(|fault| fault.bit));
        let changes = fault::changes(accelerator, &wrong);
        let workload = chip.workload()?;
        let wanted: Vec<(String, TensorId)> = std::iter::once(("outputs".to_owned(), network.output))
            .chain(if self.trace { traced(network) } else { Vec::new() })
            .collect();
        let path = self.output_path();
        self.check_trace(path.as_deref())?;
        if let Some(folder) = path.as_deref().and_then(Path::parent) {
            output::prepare_folder(folder)?;
        }
        let tensors = self.compute(network, &workload.inputs, &changes, &wanted);
        if let Some(path) = &path {
            write(network, path, workload.samples, &wanted, &tensors)?;
        }

        let accuracy = accuracy(network, &workload, &tensors[0]);
        let samples = workload.samples;
        let faults = if self.faults.is_some() || self.draw.is_some() {
            let effective = self.effective(accelerator, workload, &wrong)?;
            Some(faults_json(accelerator, listed.len(), effective, &wrong))
        } else {
            None
        };
        self.say(&chip, samples, accuracy, faults)
    }

    /// Runs the cycle engine.
    fn run_cycles(&self, chip: &Chip) -> Result<(), Failure> {
        let accelerator = &chip.accelerator;
        let network = accelerator.network();
        let path = self.output_path();
        self.check_trace(path.as_deref())?;
        let traced = if self.trace { traced(network) } else { Vec::new() };
        let workload = chip.workload()?;
        if let Some(folder) = path.as_deref().and_then(Path::parent) {
            output::prepare_folder(folder)?;
        }
        let faults = match (&self.faults, self.draw) {
            (Some(file), _) => Faults::List(file),
            (None, Some(count)) => Faults::Draw(count),
            (None, None) => Faults::None,
        };
        let plain = self.engine == Engine::CyclePlain;
        let done = cycle::execute(
            accelerator,
            &workload,
            &faults,
            &self.clock,
            plain,
            &self.manner,
            &traced.iter().map(|&(_, id)| id).collect::<Vec<_>>(),
        )?;
        let wanted: Vec<(String, TensorId)> = std::iter::once(("outputs".to_owned(), network.output))
            .chain(traced)
            .collect();
        let tensors: Vec<Vec<i64>> = std::iter::once(done.outputs.clone())
            .chain(done.traces.clone())
            .collect();
        if let Some(path) = &path {
            write(network, path, workload.samples, &wanted, &tensors)?;
        }
        let accuracy = accuracy(network, &workload, &done.outputs);
        let mut document = self.document(chip, workload.samples, accuracy, done.faults.as_ref());
        for (key, value) in [
            ("cycles", &done.cycles),
            ("bottleneck", &json!(done.bottleneck)),
            ("stages", &done.stages),
            ("fifos", &done.fifos),
            ("not_modelled", &json!(done.simplifications)),
        ] {
            document[key] = value.clone();
        }
        if self.manner.deliver("run.json", &document)? {
            return Ok(());
        }
        output::line(&format!(
            "{}: {} samples",
            chip.name,
            count(workload.samples as u64)
        ))?;
        if let Some(accuracy) = accuracy {
            output::line(&format!("accuracy {:.2} %", accuracy * 100.0))?;
        }
        cycle::say(&done, workload.samples)?;
        match path {
            Some(path) => output::line(&format!("wrote {}", path.display())),
            None => Ok(()),
        }
    }

    /// Refuses traces that have nowhere to go.
    fn check_trace(&self, path: Option<&Path>) -> Result<(), Failure> {
        if self.trace && path.is_none() {
            return Err(Failure::refused(
                "--trace has nowhere to go",
                "name a file with --outputs OUT.npz, or a folder with --out",
            ));
        }
        Ok(())
    }

    /// Where the outputs go.
    fn output_path(&self) -> Option<PathBuf> {
        let folder = || self.manner.out.as_ref().map(|folder| folder.join("outputs.npz"));
        self.outputs.clone().or_else(folder)
    }

    /// Each wanted tensor of all samples, one after the other.
    fn compute(
        &self,
        network: &Network,
        inputs: &[i64],
        changes: &[Change],
        wanted: &[(String, TensorId)],
    ) -> Vec<Vec<i64>> {
        let elements = network.tensor(network.input).len();
        let parameters = Parameters::under(network, changes);
        let per_sample: Vec<Vec<Vec<i64>>> = match self.engine {
            Engine::Functional => {
                let plan = FastPlan::new(network);
                let engine = FastEngine::new(&plan, &parameters);
                inputs
                    .par_chunks_exact(elements)
                    .map_init(
                        || engine.clone(),
                        |engine, input| {
                            engine.run(input);
                            wanted.iter().map(|(_, id)| engine.tensor(*id)).collect()
                        },
                    )
                    .collect()
            }
            Engine::Plain | Engine::Cycle | Engine::CyclePlain => inputs
                .par_chunks_exact(elements)
                .map(|input| {
                    let trace = evaluate(network, &parameters, input);
                    wanted.iter().map(|(_, id)| trace.tensor(*id).to_vec()).collect()
                })
                .collect(),
        };
        (0..wanted.len())
            .map(|at| {
                per_sample
                    .iter()
                    .flat_map(|sample| sample[at].iter().copied())
                    .collect()
            })
            .collect()
    }

    /// How many of the faults alter at least one output when they are there alone.
    fn effective(
        &self,
        accelerator: &Accelerator,
        workload: Workload,
        wrong: &[StoredBit],
    ) -> Result<usize, Failure> {
        let plan = Plan::new(accelerator.network());
        let bench = Bench::new(accelerator, &plan, workload.inputs, workload.evaluator)
            .map_err(|error| Failure::work(error.to_string()))?;
        let scenarios: Vec<Scenario> = wrong
            .iter()
            .map(|&bit| fault::changes(accelerator, &[bit]))
            .collect();
        let bar = Bar::new(
            "faults one by one",
            (wrong.len() * bench.samples()) as u64,
            self.manner.quiet,
        );
        let mut effective = 0;
        for block in scenarios.chunks(bench.block()) {
            let Some(scores) = bench.score(block, &bar) else {
                return Err(Failure::work("stopped"));
            };
            effective += scores.iter().filter(|score| score.changed > 0).count();
        }
        bar.finish();
        Ok(effective)
    }

    /// The JSON document of a run.
    fn document(&self, chip: &Chip, samples: usize, accuracy: Option<f64>, faults: Option<&Value>) -> Value {
        let network = chip.accelerator.network();
        let output = network.tensor(network.output);
        let format = output.encoding.arithmetic();
        let mut document = json!({
            "network": chip.name,
            "samples": samples,
            "output_format": {
                "width": output.encoding.width(),
                "integer": match output.encoding { Encoding::Fixed(format) => format.integer(), Encoding::Bipolar { frac } => 1 - frac },
                "signed": format.signed(),
            },
            "output_shape": output.shape,
            "output_scale": output.scale,
        });
        if let Some(accuracy) = accuracy {
            document["accuracy"] = json!(accuracy);
        }
        if let Some(faults) = faults {
            document["faults"] = faults.clone();
        }
        document
    }

    fn say(
        &self,
        chip: &Chip,
        samples: usize,
        accuracy: Option<f64>,
        faults: Option<Value>,
    ) -> Result<(), Failure> {
        let document = self.document(chip, samples, accuracy, faults.as_ref());
        if self.manner.deliver("run.json", &document)? {
            return Ok(());
        }
        output::line(&format!("{}: {} samples", chip.name, count(samples as u64)))?;
        if let Some(accuracy) = accuracy {
            output::line(&format!("accuracy {:.2} %", accuracy * 100.0))?;
        }
        if let Some(faults) = faults {
            output::line(&format!(
                "faults: {} listed, {} wrong bits, {} of them alter an output by themselves",
                faults["injected"], faults["wrong_bits"], faults["effective"]
            ))?;
            let rows: Vec<Vec<String>> = faults["list"]
                .as_array()
                .into_iter()
                .flatten()
                .take(40)
                .map(|fault| {
                    let text = |key: &str| {
                        fault[key]
                            .as_str()
                            .map_or_else(|| fault[key].to_string(), str::to_owned)
                    };
                    vec![
                        format!(
                            "{}.{}[{}] bit {}",
                            text("layer"),
                            text("tensor"),
                            text("element"),
                            text("bit")
                        ),
                        format!(
                            "{} word {} bit {}",
                            text("memory"),
                            text("word"),
                            text("word_bit")
                        ),
                        format!("{} -> {}", text("word_before"), text("word_after")),
                        format!("{} -> {}", text("value_before"), text("value_after")),
                        text("effect"),
                    ]
                })
                .collect();
            output::line(&output::table(
                &["bit", "stored at", "word", "value", "effect"],
                &rows,
            ))?;
        }
        if let Some(path) = self.output_path() {
            output::line(&format!("wrote {}", path.display()))?;
        }
        Ok(())
    }
}

/// Share of right classes, where labels say what is right.
fn accuracy(network: &Network, workload: &Workload, outputs: &[i64]) -> Option<f64> {
    workload.labels.as_ref()?;
    let output = network.tensor(network.output);
    let mut scratch = Scratch::default();
    let right: f64 = outputs
        .chunks_exact(output.len().max(1))
        .enumerate()
        .filter_map(|(sample, mantissas)| {
            let values: Vec<f64> = mantissas
                .iter()
                .map(|&mantissa| output.value_of(mantissa))
                .collect();
            workload
                .evaluator
                .evaluate(sample, &values, true, &mut scratch)
                .accuracy
        })
        .sum();
    Some(right / workload.samples as f64)
}

fn faults_json(accelerator: &Accelerator, listed: usize, effective: usize, wrong: &[StoredBit]) -> Value {
    json!({
        "injected": listed,
        "wrong_bits": wrong.len(),
        "cancelled": listed - wrong.len(),
        "effective": effective,
        "list": fault::describe(accelerator, wrong),
    })
}

fn write(
    network: &Network,
    path: &Path,
    samples: usize,
    wanted: &[(String, TensorId)],
    tensors: &[Vec<i64>],
) -> Result<(), Failure> {
    let mut archive = NpzWriter::default();
    let result = (|| {
        for ((name, id), values) in wanted.iter().zip(tensors) {
            let shape: Vec<usize> = std::iter::once(samples)
                .chain(network.tensor(*id).shape.iter().copied())
                .collect();
            archive.add(name, &shape, values.clone())?;
        }
        archive.finish(path)
    })();
    result.map_err(|error: std::io::Error| Failure::writing(path, &error))
}
