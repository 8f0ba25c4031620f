//! What all studies with a workload, a campaign and a folder share.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::{
    Design, Identity, NoDocument, Opening, OutputFolder, PhasePlan, PhaseState, Provenance, Session,
    StudyError,
};
use crate::campaign::{Bench, Finished, Kind, Run, RunError, Shard, Silent, StopRule, TrialUnit};
use crate::data::{InputFile, InputLog, open_written, write_atomically};

/// A design with its workload, and all that was read for it.
pub(super) struct Workbench {
    pub design: Design,
    pub bench: Arc<Bench>,
    pub provenance: Provenance,
    /// What people should know of the workload.
    pub warnings: Vec<String>,
    log: InputLog,
}

impl Workbench {
    /// Reads the design and its workload. `classes` says that classes have to be known whatever the loss.
    pub fn build(
        network: &super::NetworkRequest,
        samples: &super::SamplesRequest,
        classes: bool,
        session: &Session,
    ) -> Result<Self, StudyError> {
        let log = InputLog::start();
        let design = Design::build(network, Some(samples))?;
        let mut workload = design.workload()?;
        if classes {
            workload.evaluator.ask_for_classes();
        }
        let saturated = workload.saturated;
        let labels = workload.evaluator.label_shares();
        let notes = std::mem::take(&mut workload.notes);
        let bench = Bench::new(
            Arc::clone(&design.accelerator),
            workload.inputs,
            workload.evaluator,
        )
        .map_err(|error| StudyError::refused(error.to_string(), "whole samples of the network's input"))?;
        let odd = super::warnings::of(&bench, saturated, labels.as_deref());
        for note in &notes {
            session.watch.note(&format!("note: {note}"));
        }
        for warning in &odd {
            session.watch.warn(warning);
        }
        let warnings = notes.into_iter().chain(odd).collect();
        let provenance = Provenance {
            network: Identity::of(design.accelerator.network())?,
            samples: Identity::of(&bench.inputs())?,
            outcome: Identity::of(bench.evaluator())?,
        };
        Ok(Self {
            design,
            bench: Arc::new(bench),
            provenance,
            warnings,
            log,
        })
    }

    /// Opens the folder of a study.
    pub fn open(
        self,
        session: &Session,
        kind: &str,
        request: &impl Serialize,
        shard: Option<Shard>,
        phases: Vec<PhasePlan>,
    ) -> Result<(Opened, OutputFolder), StudyError> {
        let Self {
            design,
            bench,
            provenance,
            warnings,
            log,
        } = self;
        let path = session.folder_of(kind, &design.name);
        let folder = open(
            session,
            &path,
            Opening {
                kind: kind.to_owned(),
                name: design.name.clone(),
                request: as_value(request)?,
                inputs: log.finish(),
                provenance: Some(provenance),
                shard,
                phases,
                command_line: session.command_line.clone(),
                force: session.force,
            },
        )?;
        Ok((
            Opened {
                design,
                bench,
                warnings,
            },
            folder,
        ))
    }
}

impl Workbench {
    /// Opens the folder of a study that writes into one only where it is named.
    pub fn open_named(
        self,
        session: &Session,
        kind: &str,
        request: &impl Serialize,
        phases: Vec<PhasePlan>,
    ) -> Result<(Opened, Option<OutputFolder>), StudyError> {
        if session.folder.is_some() {
            let (opened, folder) = self.open(session, kind, request, None, phases)?;
            return Ok((opened, Some(folder)));
        }
        let opened = Opened {
            design: self.design,
            bench: self.bench,
            warnings: self.warnings,
        };
        Ok((opened, None))
    }
}

/// A workbench whose folder is open.
pub(super) struct Opened {
    pub design: Design,
    pub bench: Arc<Bench>,
    pub warnings: Vec<String>,
}

/// A request as a document.
pub(super) fn as_value(request: &impl Serialize) -> Result<serde_json::Value, StudyError> {
    Ok(serde_json::to_value(request).map_err(NoDocument::of)?)
}

/// Opens an output folder and says what became of an earlier run.
pub(super) fn open(
    session: &Session,
    path: &std::path::Path,
    opening: Opening,
) -> Result<OutputFolder, StudyError> {
    let folder = OutputFolder::open(path, opening).map_err(|error| {
        if error.is_work() {
            StudyError::work_of(error)
        } else {
            error.into()
        }
    })?;
    if folder.replaced() {
        session.watch.note(&format!(
            "{}: files of an earlier run with another request are removed",
            path.display()
        ));
    }
    Ok(folder)
}

/// Opens the folder of a study without a campaign, where one is wanted.
pub(super) fn open_plain(
    session: &Session,
    path: Option<std::path::PathBuf>,
    kind: &str,
    name: &str,
    request: &impl Serialize,
    inputs: Vec<InputFile>,
    files: impl IntoIterator<Item = impl Into<std::path::PathBuf>>,
) -> Result<Option<OutputFolder>, StudyError> {
    let Some(path) = path else { return Ok(None) };
    let request = as_value(request)?;
    let fingerprint = Identity::of(&(&request, &inputs))?;
    let opening = Opening {
        kind: kind.to_owned(),
        name: name.to_owned(),
        request,
        inputs,
        provenance: None,
        shard: None,
        phases: vec![PhasePlan::new("report", fingerprint, files)],
        command_line: session.command_line.clone(),
        force: session.force,
    };
    open(session, &path, opening).map(Some)
}

/// What a phase writes its records to, and how far it goes.
pub(super) struct Course<'a> {
    /// Name of the phase.
    pub phase: &'static str,
    /// Name of the records without its ending.
    pub stem: &'a str,
    /// What the phase does, for people who watch.
    pub what: &'static str,
    pub shard: Shard,
    pub stop: Option<StopRule>,
    /// Whether each part of a study runs its own share of the trials, and not all of them.
    pub in_parts: bool,
}

/// Takes over the records of finished parts, where there are some; they are read and checked line by line
/// afterwards as those of an earlier run are.
fn adopt(session: &Session, folder: &OutputFolder, course: &Course<'_>) -> Result<bool, StudyError> {
    let parts = if course.in_parts {
        &session.parts[..]
    } else {
        &session.parts[..session.parts.len().min(1)]
    };
    if parts.is_empty() {
        return Ok(false);
    }
    let name = format!("{}.csv", course.stem);
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        let path = part.join(&name);
        let file = open_written(&path).map_err(|error| {
            StudyError::refused(
                format!("{}: cannot be read: {error}", path.display()),
                "the records of a finished part",
            )
        })?;
        files.push(BufReader::new(file));
    }
    let path = folder.path().join(&name);
    write_atomically(&path, |joined| {
        for (part, file) in files.iter_mut().enumerate() {
            let mut header = Vec::new();
            file.read_until(b'\n', &mut header)?;
            if part == 0 {
                joined.write_all(&header)?;
            }
            io::copy(file, joined)?;
        }
        Ok(())
    })
    .map_err(|error| StudyError::writing(&path, error))?;
    Ok(true)
}

/// Runs a campaign into a phase of a folder, or what is missing of it.
pub(super) fn conduct<K: Kind>(
    session: &Session,
    folder: &OutputFolder,
    kind: &K,
    course: &Course<'_>,
) -> Result<Finished<K>, StudyError> {
    let state = folder.state(course.phase);
    let resume = state == PhaseState::Done || adopt(session, folder, course)? || state != PhaseState::Fresh;
    let range = course.shard.range(kind.trials());
    let units = (range.end - range.start).saturating_mul(kind.work_per_trial());
    let monitor = session.watch.begin(course.what, units);
    let done = Run::new(kind)
        .shard(course.shard)
        .until(course.stop)
        .into_file(folder.path(), course.stem, resume)
        .go(&*monitor)
        .map_err(run_error)?;
    drop(monitor);
    let file = |ending: &str| folder.path().join(format!("{}.{ending}", course.stem));
    if !done.complete {
        return Err(StudyError::Stopped {
            kept: format!(
                "stopped after {} of {} {}; {} keeps them, and the same command goes on from there",
                done.trials,
                range.end - range.start,
                course.what,
                file("partial").display()
            ),
        });
    }
    if done.recalled > 0 && session.parts.is_empty() {
        session.watch.note(&format!(
            "{}: {} of {} {} were finished by an earlier run",
            folder.path().display(),
            done.recalled,
            done.trials,
            course.what,
        ));
    }
    Ok(done)
}

/// A campaign's error as a study's.
pub(super) fn run_error(error: RunError) -> StudyError {
    match error {
        RunError::Records(error) if error.is_work() => StudyError::work_of(error),
        error => error.into(),
    }
}

/// A folder's error as a study's.
pub(super) fn folder_error(error: super::FolderError) -> StudyError {
    if error.is_work() {
        StudyError::work_of(error)
    } else {
        error.into()
    }
}

/// What a campaign would take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Trials.
    pub trials: u64,
    /// Stored bits that are struck, where each is a trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u64>,
    /// Strikes on registers, where each is a trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strikes: Option<u64>,
    /// Samples of the workload.
    pub samples: usize,
    /// Trials times samples, and times stated times where there are several.
    pub evaluations: u64,
    /// Seconds on this machine, by a first block.
    pub estimated_seconds: f64,
    /// Output folder.
    pub out: std::path::PathBuf,
}

/// Measures the first trials of a campaign.
pub(super) fn forecast<K: Kind>(kind: &K, shard: Shard, samples: usize, out: std::path::PathBuf) -> Forecast {
    let range = shard.range(kind.trials());
    let trials = range.end - range.start;
    let (mut measured, mut seconds) = (0, 0.0);
    let mut size = 8;
    // Blocks grow until one takes long enough to tell, as they do in the campaign.
    while trials > 0 && seconds < 0.4 {
        let end = range.end.min(range.start + size);
        let started = Instant::now();
        if kind.block(range.start..end, &Silent).is_none() {
            break;
        }
        seconds = started.elapsed().as_secs_f64();
        measured = end - range.start;
        if measured == trials || size >= kind.largest_block() {
            break;
        }
        size = (size * 4).min(kind.largest_block().max(1));
    }
    Forecast {
        trials,
        bits: (kind.trial_unit() == TrialUnit::Bit).then_some(trials),
        strikes: (kind.trial_unit() == TrialUnit::Strike).then_some(trials),
        samples,
        evaluations: trials.saturating_mul(kind.work_per_trial()),
        estimated_seconds: seconds / measured.max(1) as f64 * trials as f64,
        out,
    }
}

/// A workload on an accelerator, ready for campaigns of a library user's own.
///
/// # Errors
/// [`StudyError::Request`] where a file cannot be read or does not fit.
pub fn bench(
    network: &super::NetworkRequest,
    samples: &super::SamplesRequest,
) -> Result<Arc<Bench>, StudyError> {
    Ok(Workbench::build(network, samples, false, &Session::default())?.bench)
}
