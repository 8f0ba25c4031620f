//! `radstream run`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Samples, Target};
use super::output::{self, count};
use super::progress::Bar;
use crate::accelerator::{Accelerator, StoredBit};
use crate::campaign::{Bench, Scenario};
use crate::data::NpzWriter;
use crate::fault;
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
    manner: Manner,
}

/// Engines by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Fast, without time
    Functional,
    /// The plain twin of the functional engine: exact and slow
    Plain,
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
        let listed = match (&self.faults, self.draw) {
            (Some(file), _) => fault::read_list(file, accelerator)?,
            (None, Some(count)) => fault::draw(accelerator, count, self.manner.seed),
            (None, None) => Vec::new(),
        };
        if let (Some(file), Some(late)) = (&self.faults, listed.iter().find(|fault| fault.cycle.is_some())) {
            return Err(Failure::refused(
                format!("{}: line {}: the fault has a cycle", file.display(), late.line),
                "expected an empty column, for faults that are there from the start: the functional engine knows no cycles",
            ));
        }
        let wrong = fault::wrong_bits(listed.iter().map(|fault| fault.bit));
        let changes = fault::changes(accelerator, &wrong);
        let workload = chip.workload()?;
        let wanted: Vec<(String, TensorId)> = std::iter::once(("outputs".to_owned(), network.output))
            .chain(if self.trace { traced(network) } else { Vec::new() })
            .collect();
        let path = self
            .outputs
            .clone()
            .or_else(|| self.manner.out.as_ref().map(|folder| folder.join("outputs.npz")));
        if self.trace && path.is_none() {
            return Err(Failure::refused(
                "--trace has nowhere to go",
                "name a file with --outputs OUT.npz, or a folder with --out",
            ));
        }
        if let Some(folder) = path.as_deref().and_then(Path::parent) {
            output::prepare_folder(folder)?;
        }
        let tensors = self.compute(network, &workload.inputs, &changes, &wanted);
        if let Some(path) = &path {
            write(network, path, workload.samples, &wanted, &tensors)?;
        }

        let accuracy = workload.labels.is_some().then(|| {
            let output = network.tensor(network.output);
            let mut scratch = Scratch::default();
            let right: f64 = tensors[0]
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
            right / workload.samples as f64
        });
        let samples = workload.samples;
        let faults = if self.faults.is_some() || self.draw.is_some() {
            let effective = self.effective(accelerator, workload, &wrong)?;
            Some(faults_json(accelerator, listed.len(), effective, &wrong))
        } else {
            None
        };
        self.say(&chip, samples, accuracy, faults)
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
            Engine::Plain => inputs
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
        workload: crate::model::Workload,
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

    fn say(
        &self,
        chip: &Chip,
        samples: usize,
        accuracy: Option<f64>,
        faults: Option<Value>,
    ) -> Result<(), Failure> {
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
        if let Some(faults) = &faults {
            document["faults"] = faults.clone();
        }
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
        let written = self
            .outputs
            .clone()
            .or_else(|| self.manner.out.as_ref().map(|folder| folder.join("outputs.npz")));
        if let Some(path) = &written {
            output::line(&format!("wrote {}", path.display()))?;
        }
        Ok(())
    }
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
