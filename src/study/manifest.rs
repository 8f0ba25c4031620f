//! What an output folder says of itself: `manifest.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Identity;
use crate::data::InputFile;

/// The program that wrote a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Version of the package.
    pub version: String,
    /// The commit that it was built from, with `-dirty` behind it where files differed; `unknown` outside a
    /// repository.
    pub commit: String,
}

impl Program {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("RADSTREAM_COMMIT").to_owned(),
        }
    }
}

/// What records were measured on, part by part, so that a later study can tell what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The network's integers.
    pub network: Identity,
    /// The samples.
    pub samples: Identity,
    /// Readout, gather, classes, targets, labels and loss.
    pub outcome: Identity,
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its path in the folder, with `/` between names.
    pub path: String,
    /// SHA-256 of its contents, once its phase is done.
    pub sha256: Option<String>,
}

/// A step of a study that is either done or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// What determines its files.
    pub fingerprint: Identity,
    /// Whether it is done.
    pub done: bool,
    /// Its files.
    pub files: Vec<OutputFile>,
}

/// What a folder says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub manifest: u32,
    /// The kind of study.
    pub kind: String,
    /// The network, or what else was studied.
    pub name: String,
    /// The program.
    pub program: Program,
    /// The command line, or what else started it.
    pub command_line: Vec<String>,
    /// The request.
    pub request: Value,
    /// What determines all results: the request, the contents of all files that it reads, and what they
    /// resolve to.
    pub fingerprint: Identity,
    /// What records were measured on, where there is a workload.
    pub provenance: Option<Provenance>,
    /// Files that were read.
    pub inputs: Vec<InputFile>,
    /// Which part of the trials, where it is one of several.
    pub shard: Option<String>,
    /// Steps with their files.
    pub phases: Vec<Phase>,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended (RFC 3339); none as long as it has not.
    pub finished: Option<String>,
}

impl Manifest {
    /// Version of the form.
    pub const VERSION: u32 = 1;
    /// Name of the file.
    pub const FILE: &'static str = "manifest.json";

    /// All files of all phases.
    pub fn files(&self) -> impl Iterator<Item = &OutputFile> {
        self.phases.iter().flat_map(|phase| &phase.files)
    }

    /// The phase of that name.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// The manifest of a folder, where it has one that can be read.
    #[must_use]
    pub fn of_folder(folder: &std::path::Path) -> Option<Self> {
        let path: PathBuf = folder.join(Self::FILE);
        let bytes = crate::data::read_file(&path).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
