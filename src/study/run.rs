//! What does the accelerator give, with or without faults?

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::conduct::{Opened, Workbench, folder_error};
use super::run_cycles;
use super::run_report::{
    Drawn, FROM_THE_START, FaultList, OutputFormat, RunFaults, RunReport, Tensors, effective_counts, stopped,
};
use super::run_request::{DrawFrom, EdgesError, FaultCheck, RunEngine, RunRequest, check_draw};
use super::{Identity, PhasePlan, Session, StudyError, scope};
use crate::accelerator::StoredBit;
use crate::campaign::{Bench, Scenario, stream};
use crate::data::NpzWriter;
use crate::fault::{self, ListedFault};
use crate::network::{Encoding, Network, TensorId};
use crate::outcome::Scratch;
use crate::simulate::functional::fast::{FastEngine, FastPlan};
use crate::simulate::functional::{Change, Parameters, evaluate};

/// Name of the study and of its folder's manifest.
const KIND: &str = "run";

const REPORT: &str = "run.json";
const OUTPUTS: &str = "outputs.npz";

/// Names and tensors of what each layer hands on.
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

impl RunRequest {
    /// Refuses what contradicts itself.
    fn check(&self, session: &Session) -> Result<(), StudyError> {
        if self.trace && self.outputs.is_none() && session.folder.is_none() {
            return Err(StudyError::refused_about(
                "outputs",
                "the traces have nowhere to go",
                "a file for the outputs, or an output folder",
            ));
        }
        if self.faults.is_some() && self.draw.is_some() {
            return Err(StudyError::refused(
                "faults are both listed and to be drawn",
                "either a list or a number of faults to draw",
            ));
        }
        if self.from.is_some() && self.draw.is_none() {
            return Err(StudyError::refused_about(
                "draw",
                "it is said what faults are drawn from, and none are to be drawn",
                "a number of faults to draw as well",
            ));
        }
        if self.check != FaultCheck::Each && self.faults.is_none() && self.draw.is_none() {
            return Err(StudyError::refused_about(
                "check",
                "it is said how faults are checked, and there are none",
                "a list of faults, or a number of faults to draw, as well",
            ));
        }
        if self.cycles.from >= self.cycles.to {
            return Err(EdgesError {
                text: self.cycles.to_string(),
            }
            .into());
        }
        if self.engine.has_clock() {
            return Ok(());
        }
        if self.vcd.is_some() || self.trace_cycles.is_some() {
            return Err(StudyError::refused_about(
                "engine",
                "a waveform or a table of cycles needs a clock",
                "the cycle engine, or neither of them",
            ));
        }
        if self.drawn_from() != DrawFrom::Stored {
            return Err(StudyError::refused_about(
                "engine",
                format!(
                    "the {} engine has no registers to draw faults from",
                    self.engine.name()
                ),
                "the cycle engine, or stored bits",
            ));
        }
        Ok(())
    }

    /// Runs it, and writes the files that are named, and `run.json` and `outputs.npz` into the output folder
    /// where there is one.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<RunReport, StudyError> {
        self.check(session)?;
        let workbench = Workbench::build(&self.network, &self.samples, false, session)?;
        let labelled = workbench.design.settings.labels.is_some();
        let network = workbench.design.accelerator.shared_network();
        let traced = if self.trace { traced(&network) } else { Vec::new() };
        let ids: Vec<TensorId> = traced.iter().map(|&(_, id)| id).collect();
        let plan = if self.engine.has_clock() {
            Course::Clocked(Box::new(run_cycles::Prepared::new(self, &workbench)?))
        } else {
            Course::Plain(self.listed(&workbench)?)
        };
        let named: Vec<&str> = if self.outputs.is_some() {
            vec![REPORT]
        } else {
            vec![OUTPUTS, REPORT]
        };
        let fingerprint = Identity::of(&(self, &*workbench.bench))?;
        let phases = vec![PhasePlan::new("report", fingerprint, named)];
        let (opened, mut folder) = workbench.open_named(session, KIND, self, phases)?;
        let done = match plan {
            Course::Clocked(prepared) => prepared.run(self, &opened, session, &ids)?,
            Course::Plain(listed) => self.compute(&opened, session, &listed, &ids)?,
        };
        let mut files = Vec::new();
        let path = match (&self.outputs, &folder) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(folder)) => Some(folder.path().join(OUTPUTS)),
            (None, None) => None,
        };
        if let Some(path) = path {
            let outputs = [("outputs".to_owned(), network.output)];
            let names = outputs.iter().chain(&traced);
            let tensors = names.zip(std::iter::once(&done.outputs).chain(&done.traces));
            write(&network, &path, opened.bench.samples(), tensors)?;
            files.push(path);
        }
        files.extend(self.vcd.clone());
        files.extend(self.trace_cycles.clone());
        let mut report = self.report(&opened, done, labelled);
        if let Some(folder) = &mut folder {
            files.push(folder.write_json(REPORT, &report).map_err(folder_error)?);
            folder.done("report").map_err(folder_error)?;
        }
        if let Some(folder) = folder {
            folder.finish().map_err(folder_error)?;
        }
        report.files = files;
        Ok(report)
    }

    /// The faults of an engine without a clock.
    fn listed(&self, workbench: &Workbench) -> Result<Vec<ListedFault>, StudyError> {
        let accelerator = &workbench.design.accelerator;
        if let Some(count) = self.draw {
            check_draw(count, accelerator.map().total_bits(), DrawFrom::Stored)?;
            return Ok(fault::draw(accelerator, count, &mut stream(self.seed.0, 0)));
        }
        let Some(file) = &self.faults else {
            return Ok(Vec::new());
        };
        let listed = fault::read_list(file, accelerator)?;
        scope::one_set(file, listed.iter().map(|fault| (fault.trial, fault.line)))?;
        if let Some(late) = listed.iter().find(|fault| fault.cycle.is_some()) {
            return Err(StudyError::refused(
                format!("{}: line {}: the fault has a cycle", file.display(), late.line),
                format!(
                    "an empty column, for faults that are there from the start: the {} engine knows no cycles; or the cycle engine",
                    self.engine.name()
                ),
            ));
        }
        Ok(listed)
    }

    /// A run without a clock.
    fn compute(
        &self,
        opened: &Opened,
        session: &Session,
        listed: &[ListedFault],
        traced: &[TensorId],
    ) -> Result<Tensors, StudyError> {
        let (accelerator, bench) = (&opened.design.accelerator, &opened.bench);
        let wrong = fault::wrong_bits(listed.iter().map(|fault| fault.bit));
        let changes = fault::changes(accelerator, &wrong);
        let wanted: Vec<TensorId> = std::iter::once(accelerator.network().output)
            .chain(traced.iter().copied())
            .collect();
        let mut tensors = self.tensors(bench, &changes, &wanted);
        let outputs = tensors.remove(0);
        let asked = self.faults.is_some() || self.draw.is_some();
        let faults = asked
            .then(|| -> Result<RunFaults, StudyError> {
                Ok(RunFaults {
                    drawn: self.draw.map(|_| Drawn {
                        from: DrawFrom::Stored,
                        bits: accelerator.map().total_bits(),
                        when: FROM_THE_START,
                    }),
                    injected: listed.len(),
                    wrong_bits: wrong.len(),
                    cancelled: listed.len() - wrong.len(),
                    effective: match self.check {
                        FaultCheck::Each => Some(effective(bench, session, &wrong)?),
                        FaultCheck::Together => None,
                    },
                    effective_counts: effective_counts(self.check),
                    struck: None,
                    list: FaultList::Stored(fault::describe(accelerator, &wrong)),
                })
            })
            .transpose()?;
        Ok(Tensors {
            outputs,
            traces: tensors,
            faults,
            clock: None,
        })
    }

    /// Each wanted tensor of all samples, one after the other.
    fn tensors(&self, bench: &Bench, changes: &[Change], wanted: &[TensorId]) -> Vec<Vec<i64>> {
        let network = bench.accelerator().shared_network();
        let elements = network.tensor(network.input).len();
        let parameters = Parameters::under(&network, changes);
        let samples = bench.inputs().par_chunks_exact(elements.max(1));
        let per_sample: Vec<Vec<Vec<i64>>> = if self.engine == RunEngine::Functional {
            let plan = FastPlan::new(Arc::clone(&network));
            let engine = FastEngine::new(&plan, &parameters);
            samples
                .map_init(
                    || engine.clone(),
                    |engine, input| {
                        engine.run(input);
                        wanted.iter().map(|&id| engine.tensor(id)).collect()
                    },
                )
                .collect()
        } else {
            samples
                .map(|input| {
                    let trace = evaluate(&network, &parameters, input);
                    wanted.iter().map(|&id| trace.tensor(id).to_vec()).collect()
                })
                .collect()
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

    fn report(&self, opened: &Opened, done: Tensors, labelled: bool) -> RunReport {
        let (network, bench) = (opened.design.accelerator.network(), &opened.bench);
        let output = network.tensor(network.output);
        let format = output.encoding.arithmetic();
        let baseline = bench.baseline();
        let faulty = done.faults.is_some();
        let (loss, accuracy) = score(bench, &done.outputs);
        RunReport {
            network: opened.design.name.clone(),
            engine: self.engine,
            samples: bench.samples(),
            output_format: OutputFormat {
                width: output.encoding.width(),
                integer: match output.encoding {
                    Encoding::Fixed(format) => format.integer(),
                    Encoding::Bipolar { frac } => 1 - frac,
                },
                signed: format.signed(),
            },
            output_shape: output.shape.clone(),
            output_scale: output.scale,
            output_channel_scales: network.output_scales.clone(),
            output_channel_offsets: network.output_offsets.clone(),
            loss_name: bench.evaluator().loss().name(),
            loss,
            fault_free_loss: faulty.then_some(baseline.loss),
            accuracy: accuracy.filter(|_| labelled),
            fault_free_accuracy: baseline.accuracy.filter(|_| labelled && faulty),
            faults: done.faults,
            clock: done.clock,
            warnings: opened.warnings.clone(),
            files: Vec::new(),
        }
    }
}

/// What is to be run.
enum Course {
    Plain(Vec<ListedFault>),
    Clocked(Box<run_cycles::Prepared>),
}

/// How many of these wrong bits alter at least one output when they are there alone.
fn effective(bench: &Bench, session: &Session, wrong: &[StoredBit]) -> Result<usize, StudyError> {
    let units = (wrong.len() as u64).saturating_mul(bench.samples() as u64);
    let monitor = session.watch.begin("faults one by one", units);
    let mut effective = 0;
    for block in wrong.chunks(bench.block()) {
        let scenarios: Vec<Scenario> = block
            .iter()
            .map(|&bit| fault::changes(bench.accelerator(), &[bit]).into())
            .collect();
        let Some(scores) = bench.score(&scenarios, &*monitor) else {
            return Err(stopped());
        };
        effective += scores.iter().filter(|score| score.changed > 0).count();
    }
    Ok(effective)
}

/// Mean loss and mean share of right classes of these outputs (mantissas, `[sample][output]`).
fn score(bench: &Bench, outputs: &[i64]) -> (f64, Option<f64>) {
    let network = bench.accelerator().network();
    let output = network.tensor(network.output);
    let length = output.len().max(1);
    let fault_free = bench.baseline().outputs.chunks_exact(length);
    let mut scratch = Scratch::default();
    let (mut loss, mut accuracy) = (0.0, Some(0.0));
    for (sample, (mantissas, fault_free)) in outputs.chunks_exact(length).zip(fault_free).enumerate() {
        let values: Vec<f64> = network.output_values(mantissas).collect();
        let differs = mantissas != fault_free;
        let outcome = bench.evaluator().evaluate(sample, &values, differs, &mut scratch);
        loss += outcome.loss;
        accuracy = accuracy.zip(outcome.accuracy).map(|(sum, share)| sum + share);
    }
    let samples = bench.samples() as f64;
    (loss / samples, accuracy.map(|sum| sum / samples))
}

/// Writes tensors of all samples as arrays of an `.npz`.
fn write<'a>(
    network: &Network,
    path: &Path,
    samples: usize,
    tensors: impl Iterator<Item = (&'a (String, TensorId), &'a Vec<i64>)>,
) -> Result<(), StudyError> {
    let mut archive = NpzWriter::default();
    let mut tensors = tensors;
    tensors
        .try_for_each(|((name, id), values)| {
            let shape: Vec<usize> = std::iter::once(samples)
                .chain(network.tensor(*id).shape.iter().copied())
                .collect();
            archive.add(name, &shape, values.clone())
        })
        .and_then(|()| archive.finish(path))
        .map_err(|error| StudyError::writing(path, error))
}
