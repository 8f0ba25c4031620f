//! Why a network file was refused.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

/// A refused network file: what, where, what was expected, and the repair.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{}: {place} {problem}", file.display())]
pub struct ImportError {
    /// The file.
    pub file: PathBuf,
    /// The place in it: a node, a layer, a constant, an archive member.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// How to repair it.
    pub repair: String,
    /// The kind of refusal.
    pub reason: Reason,
    /// What else the network could be given, where that would mend it.
    pub cure: Option<Cure>,
}

/// What a network could be given beside its file, so that it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// A readout off the chip, for what the hardware does not have.
    Readout,
    /// Integer mantissas as inputs.
    Mantissas,
    /// The tensor that leaves the chip.
    Output,
}

/// The kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The file cannot be read or contradicts itself.
    Structure,
    /// The file is sound but uses what this program does not know.
    Unsupported,
    /// The file is sound but its numbers are not integers on any scale that hardware has.
    Inexact,
}

impl ImportError {
    fn new(reason: Reason, file: &Path, place: impl Into<String>, problem: String) -> Self {
        Self {
            file: file.to_owned(),
            place: place.into(),
            problem,
            expected: String::new(),
            repair: String::new(),
            reason,
            cure: None,
        }
    }

    /// A file that cannot be read or contradicts itself.
    #[must_use]
    pub fn structure(file: &Path, place: impl Into<String>, problem: String) -> Self {
        Self::new(Reason::Structure, file, place, problem)
    }

    /// Something that this program does not know.
    #[must_use]
    pub fn unsupported(file: &Path, place: impl Into<String>, problem: String) -> Self {
        Self::new(Reason::Unsupported, file, place, problem)
    }

    /// Numbers that are not exact integers.
    #[must_use]
    pub fn inexact(file: &Path, place: impl Into<String>, problem: String) -> Self {
        Self::new(Reason::Inexact, file, place, problem)
    }

    /// States what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// States the repair.
    #[must_use]
    pub fn help(mut self, repair: impl Into<String>) -> Self {
        self.repair = repair.into();
        self
    }

    /// States what else the network could be given.
    #[must_use]
    pub fn cure(mut self, cure: Cure) -> Self {
        self.cure = Some(cure);
        self
    }
}

impl Diagnostic for ImportError {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(match (self.cure, self.reason) {
            (Some(Cure::Readout), _) => "radstream::network::readout",
            (Some(Cure::Mantissas), _) => "radstream::network::mantissas",
            (Some(Cure::Output), _) => "radstream::network::output",
            (None, Reason::Structure) => "radstream::network::structure",
            (None, Reason::Unsupported) => "radstream::network::unsupported",
            (None, Reason::Inexact) => "radstream::network::inexact",
        }))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("expected {}; {}", self.expected, self.repair)))
    }
}
