//! Output folders that can be trusted: locked while they are worked in, resumed phase by phase, rid of what an
//! earlier run of their own left, and never at the cost of a stranger's file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use miette::Diagnostic;
use serde_json::Value;
use thiserror::Error;

use super::manifest::{Manifest, OutputFile, Phase, Program, Provenance};
use super::{Identity, NoDocument};
use crate::campaign::Shard;

use crate::data::{InputFile, read_written, sha256_of, write_atomically};

/// Name of the file that is locked while a process works in a folder.
const LOCK: &str = "manifest.lock";

/// Why a folder is not worked in.
#[derive(Debug, Error, Diagnostic)]
pub enum FolderError {
    /// What determines the study is no document.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NoDocument(#[from] NoDocument),
    /// Another process works in it.
    #[error("{}: {holder} works in this folder", folder.display())]
    #[diagnostic(
        code(radstream::folder::locked),
        help("expected a folder of its own for each run; wait for that one, or choose another folder")
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process, by its number and command line.
        holder: String,
    },
    /// A file that is not the folder's own has a name that the study writes.
    #[error("{}: was not written by a study of this folder, and would be replaced", file.display())]
    #[diagnostic(
        code(radstream::folder::foreign),
        help("expected a folder without such a file; choose another folder, move the file, or force it")
    )]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A file of the folder was changed since it was written.
    #[error("{}: was changed since the study wrote it", file.display())]
    #[diagnostic(
        code(radstream::folder::changed),
        help("expected it as it was; choose another folder, move the file, or force it")
    )]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// The folder belongs to a study of another kind.
    #[error("{}: holds a study of the kind `{found}` of `{name}`, not `{wanted}`", folder.display())]
    #[diagnostic(
        code(radstream::folder::kind),
        help("expected a folder of its own for each kind of study; choose another folder, or force it")
    )]
    OtherKind {
        /// The folder.
        folder: PathBuf,
        /// Its kind.
        found: String,
        /// What it is a study of.
        name: String,
        /// The kind that was to be written.
        wanted: String,
    },
    /// The folder holds the beginning of another study of the kind.
    #[error("{}: holds an unfinished study with another plan: {differs}", folder.display())]
    #[diagnostic(
        code(radstream::records::other_plan),
        help(
            "expected the plan of this run; choose another folder, repeat the former command to finish it, or force it: {command}"
        )
    )]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        differs: String,
        /// The command line that began it.
        command: String,
    },
    /// The manifest cannot be read.
    #[error("{}: cannot be read: {problem}", file.display())]
    #[diagnostic(
        code(radstream::folder::manifest),
        help("expected the manifest of a study of this program; choose another folder, or force it")
    )]
    Manifest {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// The system refuses.
    #[error("{}: cannot be written: {reason}", file.display())]
    #[diagnostic(
        code(radstream::folder::write),
        help("expected a folder that can be written to; check its permissions and the free space")
    )]
    Unwritable {
        /// The file or folder.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
}

impl FolderError {
    /// Whether the system failed, and not what was asked for.
    #[must_use]
    pub fn is_work(&self) -> bool {
        matches!(self, Self::Unwritable { .. })
    }
}

fn unwritable(file: &Path) -> impl Fn(io::Error) -> FolderError + use<> {
    let file = file.to_owned();
    move |error| FolderError::Unwritable {
        file: file.clone(),
        reason: error.to_string(),
    }
}

/// A step of a study before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhasePlan {
    /// Its name.
    pub name: &'static str,
    /// What determines its files.
    pub fingerprint: Identity,
    /// The files that it writes, relative to the folder.
    pub files: Vec<PathBuf>,
}

impl PhasePlan {
    /// A phase that writes these files.
    #[must_use]
    pub fn new(
        name: &'static str,
        fingerprint: Identity,
        files: impl IntoIterator<Item = impl Into<PathBuf>>,
    ) -> Self {
        Self {
            name,
            fingerprint,
            files: files.into_iter().map(Into::into).collect(),
        }
    }

    /// A phase that writes records, which have another name as long as they grow.
    #[must_use]
    pub fn of_records(name: &'static str, fingerprint: Identity, stems: &[String]) -> Self {
        let files = stems
            .iter()
            .flat_map(|stem| [format!("{stem}.csv"), format!("{stem}.partial")]);
        Self::new(name, fingerprint, files)
    }
}

/// How far an earlier run of the same study came with a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseState {
    /// Nothing of it is there.
    Fresh,
    /// It was begun.
    Begun,
    /// Its files are there, as they were written.
    Done,
}

/// What a study is, when it opens its folder.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The kind of study.
    pub kind: String,
    /// The network, or what else is studied.
    pub name: String,
    /// The request.
    pub request: Value,
    /// What was read.
    pub inputs: Vec<InputFile>,
    /// What records are measured on.
    pub provenance: Option<Provenance>,
    /// Which part of the trials.
    pub shard: Option<Shard>,
    /// Its phases in order.
    pub phases: Vec<PhasePlan>,
    /// What started it.
    pub command_line: Vec<String>,
    /// Whether strangers' files and other studies may be replaced.
    pub force: bool,
}

/// A folder in which a study works; nobody else does until it is dropped.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    manifest: Manifest,
    states: Vec<PhaseState>,
    replaced: bool,
    _lock: Lock,
}

impl OutputFolder {
    /// Opens a folder, which is made where it does not exist. Whatever of an earlier run does not belong to this
    /// study is removed, or the folder is refused before anything is touched.
    ///
    /// # Errors
    /// [`FolderError`] where somebody works there, the folder is another study's, a stranger's file is in the
    /// way, or the system refuses.
    pub fn open(path: &Path, opening: Opening) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(unwritable(path))?;
        let lock = Lock::take(path, &opening.command_line)?;
        let earlier = earlier(path, &opening)?;
        let owned = |name: &str| {
            earlier
                .iter()
                .flat_map(Manifest::files)
                .any(|file| file.path == name)
        };
        if !opening.force {
            for file in opening.phases.iter().flat_map(|phase| &phase.files) {
                let place = path.join(file);
                if place.symlink_metadata().is_ok() && !owned(&slashed(file)) {
                    return Err(FolderError::Foreign { file: place });
                }
            }
        }
        let states = opening
            .phases
            .iter()
            .map(|phase| state(path, earlier.as_ref(), phase, opening.force))
            .collect::<Result<Vec<_>, _>>()?;
        let fingerprint = Identity::of(&(
            &opening.kind,
            Program::this().version,
            &opening.request,
            &opening.inputs,
            opening
                .phases
                .iter()
                .map(|phase| (phase.name, &phase.fingerprint))
                .collect::<Vec<_>>(),
        ))?;
        let kept = |name: &str| {
            opening.phases.iter().zip(&states).any(|(phase, state)| {
                *state != PhaseState::Fresh && phase.files.iter().any(|file| slashed(file) == name)
            })
        };
        let mut replaced = false;
        for file in earlier.iter().flat_map(Manifest::files) {
            if !kept(&file.path) {
                replaced |= remove(path, &file.path)?;
            }
        }
        let phases = opening.phases.iter().zip(&states).map(|(phase, state)| {
            let known = earlier.as_ref().and_then(|earlier| earlier.phase(phase.name));
            match known {
                Some(known) if *state == PhaseState::Done => known.clone(),
                _ => Phase {
                    name: phase.name.to_owned(),
                    fingerprint: phase.fingerprint.clone(),
                    done: false,
                    files: phase
                        .files
                        .iter()
                        .map(|file| OutputFile {
                            path: slashed(file),
                            sha256: None,
                        })
                        .collect(),
                },
            }
        });
        let folder = Self {
            path: path.to_owned(),
            manifest: Manifest {
                manifest: Manifest::VERSION,
                kind: opening.kind,
                name: opening.name,
                program: Program::this(),
                command_line: opening.command_line,
                request: opening.request,
                fingerprint,
                provenance: opening.provenance,
                inputs: opening.inputs,
                shard: opening.shard.map(|shard| shard.to_string()),
                phases: phases.collect(),
                started: now(),
                finished: None,
            },
            states,
            replaced,
            _lock: lock,
        };
        folder.save()?;
        Ok(folder)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether files of an earlier run were removed because they belong to another request.
    #[must_use]
    pub fn replaced(&self) -> bool {
        self.replaced
    }

    /// What determines all results.
    #[must_use]
    pub fn fingerprint(&self) -> &Identity {
        &self.manifest.fingerprint
    }

    /// How far an earlier run came with a phase.
    #[must_use]
    pub fn state(&self, phase: &str) -> PhaseState {
        let known = self.manifest.phases.iter().position(|known| known.name == phase);
        known.map_or(PhaseState::Fresh, |at| self.states[at])
    }

    /// Writes a file of a phase, under its name only when it is complete.
    ///
    /// # Errors
    /// [`FolderError::Unwritable`].
    pub fn write(&self, name: impl AsRef<Path>, contents: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.path.join(name);
        write_atomically(&path, |file| file.write_all(contents)).map_err(unwritable(&path))?;
        Ok(path)
    }

    /// Writes a document of a phase as JSON.
    ///
    /// # Errors
    /// [`FolderError::Unwritable`].
    pub fn write_json(
        &self,
        name: impl AsRef<Path>,
        document: &impl serde::Serialize,
    ) -> Result<PathBuf, FolderError> {
        let name = name.as_ref();
        let mut text = serde_json::to_vec_pretty(document)
            .map_err(io::Error::from)
            .map_err(unwritable(&self.path.join(name)))?;
        text.push(b'\n');
        self.write(name, &text)
    }

    /// A phase is done: its files are as they stay.
    ///
    /// # Errors
    /// [`FolderError::Unwritable`] where a file cannot be read again or the manifest not be written.
    pub fn done(&mut self, phase: &str) -> Result<(), FolderError> {
        let Some(at) = self.manifest.phases.iter().position(|known| known.name == phase) else {
            return Ok(());
        };
        let path = self.path.clone();
        let known = &mut self.manifest.phases[at];
        known.files.retain(|file| path.join(&file.path).is_file());
        for file in &mut known.files {
            let place = path.join(&file.path);
            file.sha256 = Some(sha256_of(&place).map_err(unwritable(&place))?);
        }
        known.done = true;
        self.states[at] = PhaseState::Done;
        self.save()
    }

    /// The study is at its end.
    ///
    /// # Errors
    /// [`FolderError::Unwritable`].
    pub fn finish(mut self) -> Result<(), FolderError> {
        self.manifest.finished = Some(now());
        self.save()
    }

    fn save(&self) -> Result<(), FolderError> {
        self.write_json(Manifest::FILE, &self.manifest).map(drop)
    }
}

/// The manifest of an earlier run, where its folder may be worked in.
fn earlier(path: &Path, opening: &Opening) -> Result<Option<Manifest>, FolderError> {
    let file = path.join(Manifest::FILE);
    if !file.exists() {
        return Ok(None);
    }
    let problem = |problem: String| FolderError::Manifest {
        file: file.clone(),
        problem,
    };
    let read = read_written(&file)
        .map_err(|error| problem(error.to_string()))
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| problem(error.to_string())));
    let manifest: Manifest = match read {
        Ok(manifest) => manifest,
        Err(_) if opening.force => return Ok(None),
        Err(error) => return Err(error),
    };
    if manifest.manifest != Manifest::VERSION && !opening.force {
        return Err(problem(format!("its form has the version {}", manifest.manifest)));
    }
    if manifest.kind != opening.kind && !opening.force {
        return Err(FolderError::OtherKind {
            folder: path.to_owned(),
            found: manifest.kind,
            name: manifest.name,
            wanted: opening.kind.clone(),
        });
    }
    if !opening.force {
        for phase in manifest.phases.iter().filter(|phase| phase.done) {
            for output in &phase.files {
                let place = path.join(&output.path);
                let changed = output.sha256.as_ref().is_some_and(|written| {
                    place.is_file() && sha256_of(&place).ok().as_ref() != Some(written)
                });
                if changed {
                    return Err(FolderError::Changed { file: place });
                }
            }
        }
    }
    if manifest.finished.is_none() && !opening.force {
        refuse_other_plan(path, &manifest, opening)?;
    }
    Ok(Some(manifest))
}

/// Refuses to go on in a folder that holds the beginning of another study.
fn refuse_other_plan(path: &Path, manifest: &Manifest, opening: &Opening) -> Result<(), FolderError> {
    let other = |differs: String| FolderError::OtherPlan {
        folder: path.to_owned(),
        differs,
        command: manifest.command_line.join(" "),
    };
    let this = Program::this();
    if manifest.program != this {
        return Err(other(format!(
            "it was begun by version {} ({}), this is {} ({})",
            manifest.program.version, manifest.program.commit, this.version, this.commit
        )));
    }
    for phase in &opening.phases {
        let Some(known) = manifest.phase(phase.name).filter(|known| !known.done) else {
            continue;
        };
        let begun = known.files.iter().any(|file| path.join(&file.path).exists());
        if begun && known.fingerprint != phase.fingerprint {
            return Err(other(what_differs(manifest, opening)));
        }
    }
    Ok(())
}

/// What two studies differ in, as far as requests and inputs tell.
fn what_differs(manifest: &Manifest, opening: &Opening) -> String {
    fn collect(at: &str, was: &Value, is: &Value, differences: &mut Vec<String>) {
        match (was, is) {
            (Value::Object(was), Value::Object(is)) => {
                let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
                for key in keys {
                    let at = if at.is_empty() {
                        key.clone()
                    } else {
                        format!("{at}.{key}")
                    };
                    let of = |object: &serde_json::Map<String, Value>| {
                        object.get(key).cloned().unwrap_or_default()
                    };
                    collect(&at, &of(was), &of(is), differences);
                }
            }
            _ if was != is => differences.push(format!("{at} was {was} and is {is}")),
            _ => {}
        }
    }
    let mut differences = Vec::new();
    collect("", &manifest.request, &opening.request, &mut differences);
    for input in &opening.inputs {
        let known = manifest.inputs.iter().find(|known| known.path == input.path);
        if known.is_some_and(|known| known.sha256 != input.sha256) {
            differences.push(format!("{} has other contents", input.path));
        }
    }
    if differences.is_empty() {
        return "what its inputs resolve to is another".to_owned();
    }
    differences.truncate(4);
    differences.join("; ")
}

/// How far an earlier run came with a phase.
fn state(
    path: &Path,
    earlier: Option<&Manifest>,
    phase: &PhasePlan,
    force: bool,
) -> Result<PhaseState, FolderError> {
    let Some(known) = earlier.and_then(|earlier| earlier.phase(phase.name)) else {
        return Ok(PhaseState::Fresh);
    };
    let same_program = earlier.is_some_and(|earlier| earlier.program.version == Program::this().version);
    if known.fingerprint != phase.fingerprint || !same_program {
        return Ok(PhaseState::Fresh);
    }
    if !known.done {
        return Ok(PhaseState::Begun);
    }
    for file in &known.files {
        let place = path.join(&file.path);
        if !place.is_file() {
            return Ok(PhaseState::Fresh);
        }
        let hash = sha256_of(&place).map_err(unwritable(&place))?;
        if file.sha256.as_deref() != Some(hash.as_str()) {
            return if force {
                Ok(PhaseState::Fresh)
            } else {
                Err(FolderError::Changed { file: place })
            };
        }
    }
    Ok(PhaseState::Done)
}

/// Removes a file of the folder, and folders in it that are then empty; returns whether it was there.
fn remove(folder: &Path, name: &str) -> Result<bool, FolderError> {
    // A manifest could name any path.
    let inside = Path::new(name)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let place = folder.join(name);
    if !inside || !place.is_file() {
        return Ok(false);
    }
    fs::remove_file(&place).map_err(unwritable(&place))?;
    let mut parent = place.parent();
    while let Some(empty) = parent.filter(|parent| *parent != folder) {
        if fs::remove_dir(empty).is_err() {
            break;
        }
        parent = empty.parent();
    }
    Ok(true)
}

fn slashed(path: &Path) -> String {
    let parts: Vec<String> = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A locked file, which the system unlocks when the process ends, however it does.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(folder: &Path, command_line: &[String]) -> Result<Self, FolderError> {
        let path = folder.join(LOCK);
        let error = unwritable(&path);
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(&error)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Who holds it is only a help for people.
                    let _ = file.read_to_string(&mut holder);
                    let holder = holder.trim();
                    return Err(FolderError::Locked {
                        folder: folder.to_owned(),
                        holder: if holder.is_empty() {
                            "another process"
                        } else {
                            holder
                        }
                        .to_owned(),
                    });
                }
                Err(fs::TryLockError::Error(failed)) => return Err(error(failed)),
            }
            // Whoever held it before may have removed it from under this lock.
            if !is_at(&file, &path) {
                continue;
            }
            let text = format!("process {} (`{}`)", std::process::id(), command_line.join(" "));
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(text.as_bytes()))
                .map_err(&error)?;
            return Ok(Self { path, file });
        }
    }
}

/// Whether a path still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match (file.metadata(), fs::metadata(path)) {
            (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that nobody locks a file that is about to vanish.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
