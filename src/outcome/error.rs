//! Why outcomes cannot be evaluated as asked.

use miette::Diagnostic;
use thiserror::Error;

/// What an evaluation is made of and an [`OutcomeError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomePart {
    /// The readout behind the accelerator.
    Readout,
    /// The indices picked from its output.
    Gather,
    /// What the output ought to be.
    Targets,
    /// The classes of the samples.
    Labels,
    /// The ground distance of the earth mover's distance.
    GroundDistance,
    /// The number of classes.
    Classes,
    /// The loss.
    Loss,
}

impl OutcomePart {
    /// The last part of a diagnostic's code.
    fn code(self) -> &'static str {
        match self {
            Self::Readout => "readout",
            Self::Gather => "gather",
            Self::Targets => "targets",
            Self::Labels => "labels",
            Self::GroundDistance => "distance",
            Self::Classes => "classes",
            Self::Loss => "loss",
        }
    }
}

impl std::fmt::Display for OutcomePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Readout => "the readout",
            Self::Gather => "the gather",
            Self::Targets => "the targets",
            Self::Labels => "the labels",
            Self::GroundDistance => "the ground distance",
            Self::Classes => "the classes",
            Self::Loss => "the loss",
        })
    }
}

/// A readout, target, label, gather or distance that does not fit the others.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct OutcomeError {
    /// Which of the inputs.
    pub place: OutcomePart,
    /// What is wrong with it.
    pub problem: String,
    /// What would have been right.
    pub expected: String,
    /// How to repair it.
    pub repair: String,
}

impl OutcomeError {
    /// An error without its remedy.
    #[must_use]
    pub(crate) fn new(place: OutcomePart, problem: String) -> Self {
        Self {
            place,
            problem,
            expected: String::new(),
            repair: String::new(),
        }
    }

    /// States what would have been right, and the repair.
    #[must_use]
    pub(crate) fn remedy(mut self, expected: impl Into<String>, repair: impl Into<String>) -> Self {
        self.expected = expected.into();
        self.repair = repair.into();
        self
    }
}

impl Diagnostic for OutcomeError {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("radstream::outcome::{}", self.place.code())))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("expected {}; {}", self.expected, self.repair)))
    }
}
