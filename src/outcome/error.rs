//! Why outcomes cannot be evaluated as asked.

use miette::Diagnostic;
use thiserror::Error;

/// A readout, target, label, gather or distance that does not fit the others.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct OutcomeError {
    /// Which of the inputs: the gather, the targets, the labels, the ground distance, the readout.
    pub place: String,
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
    pub(super) fn new(place: &str, problem: String) -> Self {
        Self {
            place: place.to_owned(),
            problem,
            expected: String::new(),
            repair: String::new(),
        }
    }

    /// States what would have been right, and the repair.
    #[must_use]
    pub(super) fn remedy(mut self, expected: impl Into<String>, repair: impl Into<String>) -> Self {
        self.expected = expected.into();
        self.repair = repair.into();
        self
    }
}

impl Diagnostic for OutcomeError {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new("radstream::outcome"))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("expected {}; {}", self.expected, self.repair)))
    }
}
