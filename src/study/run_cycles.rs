//! A run with a clock: what the edges show, and what became of strikes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::StudyError;
use super::conduct::{Opened, Workbench};
use super::run_report::{
    ClockReport, Drawn, FROM_THE_START, FaultList, FifoUse, RunFaults, StageActivity, Struck, StruckBit,
    StruckValue, Tensors, effective_counts, stopped,
};
use super::run_request::{DrawFrom, FaultCheck, RunEngine, RunRequest, check_draw};
use super::session::Session;
use super::unbuilt::Unbuilt;
use crate::accelerator::Accelerator;
use crate::campaign::{StrikeBench, StrikeOutcome, draw_strikes, draw_strikes_anywhere, stream};
use crate::data::PartialFile;
use crate::fault::{self, ListedStrike, Targets};
use crate::network::TensorId;
use crate::simulate::cycle::{
    self, CycleFault, End, Engine, FreeRun, Pipeline, RegisterClass, Run, Settings, Site,
};
use crate::simulate::cycle::{Table, Watch, Waveform};
use crate::simulate::cycle::{drive, drive_watched};

/// An accelerator with a clock and the faults that are to strike it.
pub(super) struct Prepared {
    pipeline: Arc<Pipeline>,
    targets: Targets,
    bench: StrikeBench,
    listed: Vec<ListedStrike>,
    drawn: Option<Drawn>,
}

/// Samples after which the interval between two is that of steady operation.
const STEADY: usize = 4;

fn unbuilt(accelerator: &Accelerator) -> impl Fn(cycle::BuildError) -> StudyError + '_ {
    |error| Unbuilt::new(error, accelerator).into()
}

impl Prepared {
    /// Builds the accelerator, runs the samples without faults, and finds the faults.
    pub fn new(request: &RunRequest, workbench: &Workbench) -> Result<Self, StudyError> {
        let accelerator = &workbench.design.accelerator;
        let pipeline = Pipeline::new(accelerator).map_err(unbuilt(accelerator))?;
        let targets = Targets::of(Arc::clone(accelerator), &pipeline);
        let drawn = request
            .draw
            .map(|count| drawn(request.drawn_from(), count, &targets))
            .transpose()?;
        let bench = StrikeBench::new(
            Arc::clone(accelerator),
            Arc::clone(&pipeline),
            workbench.bench.inputs().to_vec(),
            Arc::new(workbench.bench.evaluator().clone()),
        );
        let total = bench.fault_free().timing.total;
        let watched = request.vcd.is_some() || request.trace_cycles.is_some();
        if watched && request.cycles.from >= total {
            return Err(StudyError::refused(
                format!(
                    "the cycles to be shown begin at {}, beyond the run",
                    request.cycles.from
                ),
                format!(
                    "a beginning in 0..={}: these samples take {total} edges",
                    total.saturating_sub(1)
                ),
            ));
        }
        let listed = listed(request, &targets, total, drawn)?;
        Ok(Self {
            pipeline,
            targets,
            bench,
            listed,
            drawn,
        })
    }

    /// Runs the samples, and each fault on its own as well.
    pub fn run(
        &self,
        request: &RunRequest,
        opened: &Opened,
        session: &Session,
        traced: &[TensorId],
    ) -> Result<Tensors, StudyError> {
        let accelerator = &opened.design.accelerator;
        let (pipeline, samples) = (&self.pipeline, opened.bench.samples());
        let faults = left(&self.listed);
        let settings = Settings {
            bound: (!faults.is_empty()).then_some(self.bench.bound()),
            plain: request.engine == RunEngine::CyclePlain,
            ..Settings::default()
        };
        let mut engine = Engine::new(pipeline, opened.bench.inputs()).with_traces(traced);
        let is_watched = request.vcd.is_some() || request.trace_cycles.is_some();
        let done = match faults.is_empty() && traced.is_empty() && !is_watched && !settings.plain {
            true => self.bench.fault_free().clone(),
            false => watched(&mut engine, accelerator, &faults, request, settings)?,
        };
        let steady = samples > 1 || request.steady;
        let network = accelerator.network();
        let traces = traced
            .iter()
            .map(|&id| {
                let tensor = network.tensor(id);
                let mut trace = engine.trace(id, &tensor.encoding).unwrap_or_default();
                trace.resize(tensor.len() * samples, 0);
                trace
            })
            .collect();
        let asked = request.faults.is_some() || request.draw.is_some();
        let struck = asked
            .then(|| self.report(request.check, &faults, &done, session))
            .transpose()?;
        let mut outputs = done.outputs.clone();
        outputs.resize(network.tensor(network.output).len() * samples, 0);
        let mut timing = done.timing;
        if done.end == End::Completed && samples < STEADY && steady {
            timing.initiation_interval = steady_interval(pipeline);
        }
        Ok(Tensors {
            outputs,
            traces,
            faults: struck,
            clock: Some(ClockReport {
                cycles: timing,
                bottleneck: bottleneck(pipeline, self.bench.fault_free()),
                stages: stages(pipeline, &done),
                fifos: fifos(accelerator, pipeline, &done, steady)?,
                not_modelled: pipeline.simplifications().to_vec(),
            }),
        })
    }

    /// What each fault does on its own; none where that was not asked for.
    fn alone(
        &self,
        check: FaultCheck,
        faults: &[CycleFault],
        done: &Run,
        session: &Session,
    ) -> Result<Option<Vec<StrikeOutcome>>, StudyError> {
        match (check, faults) {
            (FaultCheck::Together, _) => Ok(None),
            // It was there alone.
            (FaultCheck::Each, [_]) => Ok(Some(vec![self.bench.judge(done)])),
            (FaultCheck::Each, _) => {
                let monitor = session.watch.begin("faults one by one", faults.len() as u64);
                let outcomes = self.bench.one_by_one(faults, &*monitor);
                outcomes.ok_or_else(stopped).map(Some)
            }
        }
    }

    /// What the faults did, together and one by one.
    fn report(
        &self,
        check: FaultCheck,
        faults: &[CycleFault],
        done: &Run,
        session: &Session,
    ) -> Result<RunFaults, StudyError> {
        let outcomes = self.alone(check, faults, done, session)?;
        let lanes: HashMap<CycleFault, Option<(u64, u64)>> = done
            .strikes
            .iter()
            .map(|strike| (strike.fault, strike.lane))
            .collect();
        let list = faults.iter().enumerate().map(|(at, fault)| {
            let lane = lanes.get(fault).copied();
            let effect = outcomes.as_ref().map(|outcomes| outcomes[at]);
            self.struck(*fault, lane, effect)
        });
        let changes = |outcome: &&StrikeOutcome| **outcome != StrikeOutcome::NoEffect;
        let effective = outcomes
            .as_ref()
            .map(|outcomes| outcomes.iter().filter(changes).count());
        Ok(RunFaults {
            drawn: self.drawn,
            injected: self.listed.len(),
            wrong_bits: faults.len(),
            cancelled: self.listed.len() - faults.len(),
            effective,
            effective_counts: effective_counts(check),
            struck: Some(Struck {
                outcome: self.bench.judge(done),
                end: done.end,
                bound: self.bench.bound(),
            }),
            list: FaultList::Struck(list.collect()),
        })
    }

    fn struck(
        &self,
        fault: CycleFault,
        happened: Option<Option<(u64, u64)>>,
        effect: Option<StrikeOutcome>,
    ) -> StruckBit {
        let lane = happened.flatten();
        let stored = match fault.site {
            Site::Stored(bit) => fault::describe(self.targets.accelerator(), &[bit]).pop(),
            Site::Register(_) | Site::Wire { .. } => None,
        };
        let value = stored.as_ref().map(|stored| StruckValue {
            value_before: stored.value_before,
            value_after: stored.value_after,
        });
        let (word_before, word_after) = match stored {
            Some(stored) => (Some(stored.word_before), Some(stored.word_after)),
            None => (
                lane.map(|(before, _)| format!("{before:x}")),
                lane.map(|(_, after)| format!("{after:x}")),
            ),
        };
        StruckBit {
            address: self.targets.named(fault.site),
            register: self.targets.register_path(fault.site),
            cycle: fault.cycle,
            kind: match fault.site {
                Site::Stored(_) => "memory",
                Site::Register(_) => "register",
                Site::Wire { .. } => "transient",
            },
            happened: happened.is_some(),
            word_before,
            word_after,
            value,
            effect,
        }
    }
}

/// What so many faults are drawn from.
fn drawn(from: DrawFrom, count: u64, targets: &Targets) -> Result<Drawn, StudyError> {
    let stored = targets.accelerator().map().total_bits();
    let (bits, when) = match from {
        DrawFrom::Stored => (stored, FROM_THE_START),
        DrawFrom::Registers => (targets.register_bits(), AT_ANY_EDGE),
        DrawFrom::All => (stored + targets.register_bits(), AT_ANY_EDGE),
    };
    check_draw(count, bits, from)?;
    Ok(Drawn { from, bits, when })
}

/// When registers are struck.
const AT_ANY_EDGE: &str = "at any edge of the fault-free run";

/// The faults of a request; `total` is the number of edges of the fault-free run.
fn listed(
    request: &RunRequest,
    targets: &Targets,
    total: u64,
    drawn: Option<Drawn>,
) -> Result<Vec<ListedStrike>, StudyError> {
    if let Some(file) = &request.faults {
        let listed = fault::read_strikes(file, targets)?;
        super::scope::one_set(file, listed.iter().map(|strike| (strike.trial, strike.line)))?;
        let late = |strike: &&ListedStrike| strike.fault.cycle.is_some_and(|cycle| cycle >= total);
        if let Some(late) = listed.iter().find(late) {
            return Err(StudyError::refused(
                format!(
                    "{}: line {}: cycle {} is beyond the run",
                    file.display(),
                    late.line,
                    late.fault.cycle.unwrap_or(0)
                ),
                format!(
                    "0..={}: the fault-free run of these samples takes {total} edges",
                    total.saturating_sub(1)
                ),
            ));
        }
        return Ok(listed);
    }
    let (Some(count), Some(drawn)) = (request.draw, drawn) else {
        return Ok(Vec::new());
    };
    let seed = request.seed.0;
    let faults = match drawn.from {
        DrawFrom::Stored => fault::draw(targets.accelerator(), count, &mut stream(seed, 0))
            .into_iter()
            .map(|hit| CycleFault {
                cycle: None,
                site: Site::Stored(hit.bit),
            })
            .collect(),
        DrawFrom::Registers => draw_strikes(targets, &RegisterClass::ALL, total, count, seed),
        DrawFrom::All => draw_strikes_anywhere(targets, total, count, seed),
    };
    Ok(faults
        .into_iter()
        .zip(1..)
        .map(|(fault, line)| ListedStrike {
            fault,
            trial: None,
            line,
        })
        .collect())
}

/// The faults that are left, in the order of the list, when equal ones have cancelled each other.
fn left(listed: &[ListedStrike]) -> Vec<CycleFault> {
    let mut places: BTreeMap<CycleFault, usize> = BTreeMap::new();
    for (place, strike) in listed.iter().enumerate() {
        if places.remove(&strike.fault).is_none() {
            places.insert(strike.fault, place);
        }
    }
    let mut left: Vec<(usize, CycleFault)> =
        places.into_iter().map(|(fault, place)| (place, fault)).collect();
    left.sort_unstable_by_key(|&(place, _)| place);
    left.into_iter().map(|(_, fault)| fault).collect()
}

/// Cycles between two samples in steady operation; they do not depend on the data.
fn steady_interval(pipeline: &Pipeline) -> Option<u64> {
    let clock = FreeRun::of(pipeline).clock(STEADY as u64)?;
    clock.timing.initiation_interval
}

/// A run, with waveform and table where they are asked for.
fn watched(
    engine: &mut Engine,
    accelerator: &Accelerator,
    faults: &[CycleFault],
    request: &RunRequest,
    settings: Settings,
) -> Result<Run, StudyError> {
    let asked = [&request.vcd, &request.trace_cycles];
    let Some(first) = asked.into_iter().flatten().next() else {
        return Ok(drive(engine, accelerator, faults, settings));
    };
    let open = |path: &Option<PathBuf>| -> Result<Option<PartialFile>, StudyError> {
        let create =
            |path: &PathBuf| PartialFile::create(path).map_err(|error| StudyError::writing(path, error));
        path.as_ref().map(create).transpose()
    };
    let (mut vcd, mut table) = (open(&request.vcd)?, open(&request.trace_cycles)?);
    let cycles = request.cycles.from..request.cycles.to;
    let writing = |error: io::Error| StudyError::writing(first, error);
    let done = {
        let mut waveform = vcd
            .as_mut()
            .map(|file| Waveform::new(file, engine, cycles.clone()))
            .transpose()
            .map_err(writing)?;
        let mut table = table.as_mut().map(|file| Table::new(file, cycles));
        let mut watchers: Vec<&mut dyn Watch> = Vec::new();
        watchers.extend(waveform.as_mut().map(|watch| watch as &mut dyn Watch));
        watchers.extend(table.as_mut().map(|watch| watch as &mut dyn Watch));
        drive_watched(engine, accelerator, faults, settings, &mut watchers).map_err(writing)?
    };
    for (file, path) in [vcd, table].into_iter().zip(asked) {
        if let (Some(file), Some(path)) = (file, path) {
            file.finish().map_err(|error| StudyError::writing(path, error))?;
        }
    }
    Ok(done)
}

fn stages(pipeline: &Pipeline, run: &Run) -> Vec<StageActivity> {
    pipeline
        .stages()
        .iter()
        .zip(&run.activity)
        .map(|(placed, activity)| StageActivity {
            stage: placed.name.clone(),
            kind: placed.kind,
            transfer_cycles: activity.transfers,
            stall_cycles: activity.blocked,
            idle_cycles: activity.starved,
        })
        .collect()
}

/// What the FIFOs held, and what they need where that is measured.
fn fifos(
    accelerator: &Accelerator,
    pipeline: &Pipeline,
    run: &Run,
    measured: bool,
) -> Result<Vec<FifoUse>, StudyError> {
    let needed = match measured {
        true => Pipeline::needed_fifo_depths(accelerator).map_err(unbuilt(accelerator))?,
        false => HashMap::default(),
    };
    let stages = pipeline.stages().iter().zip(&run.deepest);
    Ok(stages
        .filter_map(|(placed, &deepest)| {
            Some(FifoUse {
                fifo: placed.name.clone(),
                depth: placed.fifo_depth?,
                deepest,
                smallest_without_stall: needed.get(&placed.name).copied(),
            })
        })
        .collect())
}

/// The stage that sets the pace: among those that work, the one that waits least, for words and for
/// room.
fn bottleneck(pipeline: &Pipeline, run: &Run) -> String {
    let works = |kind: &str| !matches!(kind, "fifo" | "width_converter" | "fork");
    pipeline
        .stages()
        .iter()
        .zip(&run.activity)
        .filter(|(placed, _)| works(placed.kind))
        .min_by_key(|(_, activity)| activity.blocked + activity.starved)
        .map_or_else(|| "the input".to_owned(), |(placed, _)| placed.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accelerator::StoredBit;

    #[test]
    fn equal_faults_cancel_in_pairs_and_the_others_keep_their_order() {
        let strikes = |bits: &[u64]| -> Vec<ListedStrike> {
            let listed = bits.iter().zip(1..);
            listed
                .map(|(&bit, line)| ListedStrike {
                    fault: CycleFault {
                        cycle: Some(3),
                        site: Site::Stored(StoredBit(bit)),
                    },
                    trial: None,
                    line,
                })
                .collect()
        };
        let faults =
            |bits: &[u64]| -> Vec<CycleFault> { strikes(bits).iter().map(|strike| strike.fault).collect() };
        for (listed, expected) in [
            (&[7, 2, 5][..], &[7, 2, 5][..]),
            (&[7, 2, 7, 5], &[2, 5]),
            (&[7, 2, 7, 5, 7], &[2, 5, 7]),
            (&[4, 4], &[]),
        ] {
            assert_eq!(left(&strikes(listed)), faults(expected));
        }
    }
}
