//! What a study may do while it runs: speak, write, stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::campaign::{Monitor, Silent};

/// Watches studies.
pub trait Watch: Send + Sync {
    /// A stretch of work begins: what it is, and how many units it has. What is returned hears of them; the
    /// stretch ends when it is dropped.
    fn begin(&self, what: &'static str, units: u64) -> Box<dyn Monitor>;

    /// Something that people should know now.
    fn note(&self, text: &str);

    /// Something odd about the workload, which people should know before they believe its numbers.
    fn warn(&self, text: &str) {
        self.note(&format!("warning: {text}"));
    }
}

/// Says nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _what: &'static str, _units: u64) -> Box<dyn Monitor> {
        Box::new(Silent)
    }

    fn note(&self, _text: &str) {}
}

/// How a study runs: nothing here changes a number.
#[derive(Clone)]
pub struct Session {
    /// Output folder; one named after the study where it writes files and none is named.
    pub folder: Option<PathBuf>,
    /// Whether files of strangers, and of studies of another kind, may be replaced in it.
    pub force: bool,
    /// What started the study, for its manifest.
    pub command_line: Vec<String>,
    /// Folders of finished parts whose records, one after the other, are those of the study; usually none.
    pub parts: Vec<PathBuf>,
    /// Who watches.
    pub watch: Arc<dyn Watch>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            folder: None,
            force: false,
            command_line: Vec::new(),
            parts: Vec::new(),
            watch: Arc::new(Unwatched),
        }
    }
}

impl Session {
    /// The folder of a study that writes files: the named one, or `<study>-<name>`.
    #[must_use]
    pub fn folder_of(&self, study: &str, name: &str) -> PathBuf {
        self.folder
            .clone()
            .unwrap_or_else(|| Path::new(&format!("{study}-{name}")).to_owned())
    }
}
