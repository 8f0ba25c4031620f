//! Why a study ends without a report.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, Report};
use thiserror::Error;

/// A request that has no meaning: a number out of range, parts that contradict each other, something that was
/// not said.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{problem}")]
pub struct RequestError {
    /// What is wrong, in the request's own words.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// What it is about: the last part of the diagnostic's code; empty where it is about the request as a whole.
    pub topic: &'static str,
}

impl RequestError {
    /// A request with this problem, and what would have been right.
    #[must_use]
    pub fn new(problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            expected: expected.into(),
            topic: "",
        }
    }
}

impl Diagnostic for RequestError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(match self.topic {
            "" => Box::new("radstream::request"),
            topic => Box::new(format!("radstream::request::{topic}")),
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("expected {}", self.expected)))
    }
}

/// Why a study ended without a report.
#[derive(Debug)]
pub enum StudyError {
    /// The request or an input file is wrong.
    Request(Report),
    /// The work failed.
    Work(Report),
    /// It was stopped; what it says is kept, and the same request goes on from there.
    Stopped {
        /// What is kept, for people.
        kept: String,
    },
}

/// Work that could not be done, in words.
#[derive(Debug, Error, Diagnostic)]
#[error("{problem}")]
#[diagnostic(code(radstream::work))]
struct WorkError {
    problem: String,
}

/// A file that could not be written.
#[derive(Debug, Error, Diagnostic)]
#[error("{}: cannot be written: {error}", path.display())]
#[diagnostic(
    code(radstream::work),
    help("expected a place that can be written to; check the path, its permissions and the free space")
)]
struct WritingError {
    path: PathBuf,
    error: io::Error,
}

impl StudyError {
    /// The request is wrong, in words.
    #[must_use]
    pub fn refused(problem: impl Into<String>, expected: impl Into<String>) -> Self {
        RequestError::new(problem, expected).into()
    }

    /// The request is wrong about something that has a name, in words.
    #[must_use]
    pub fn refused_about(
        topic: &'static str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        RequestError {
            topic,
            ..RequestError::new(problem, expected)
        }
        .into()
    }

    /// The work failed, in words.
    #[must_use]
    pub fn work(problem: impl Into<String>) -> Self {
        Self::Work(Report::new(WorkError {
            problem: problem.into(),
        }))
    }

    /// The work failed, as a diagnostic says.
    #[must_use]
    pub fn work_of(error: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self::Work(Report::new(error))
    }

    /// A file could not be written.
    #[must_use]
    pub fn writing(path: &Path, error: io::Error) -> Self {
        Self::work_of(WritingError {
            path: path.to_owned(),
            error,
        })
    }
}

impl fmt::Display for StudyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(report) | Self::Work(report) => report.fmt(f),
            Self::Stopped { kept } => f.write_str(kept),
        }
    }
}

impl std::error::Error for StudyError {}

impl<E: Diagnostic + Send + Sync + 'static> From<E> for StudyError {
    /// A diagnostic of the library is about the request or an input file.
    fn from(error: E) -> Self {
        Self::Request(Report::new(error))
    }
}
