//! Why the cycle engine does not build an accelerator, with the place in its hardware file.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use thiserror::Error;

use crate::accelerator::Accelerator;
use crate::data::{Excerpt, MOST_OF_PROBLEM, shortened};
use crate::simulate::cycle::BuildError;

/// A [`BuildError`] and the entry that it is about.
#[derive(Debug, Error)]
#[error("{file}{}", shortened(&error.to_string(), MOST_OF_PROBLEM))]
pub struct Unbuilt {
    file: String,
    error: BuildError,
    excerpt: Option<Excerpt>,
}

impl Unbuilt {
    /// Looks for the entry in the file that the accelerator was built from, where there is one.
    pub fn new(error: BuildError, accelerator: &Accelerator) -> Self {
        let source = accelerator.hardware_text();
        let place = source.and_then(|source| match &error {
            BuildError::TooWide { layer, .. }
            | BuildError::Timing { layer, .. }
            | BuildError::Stage { layer, .. }
            | BuildError::FifoLanes { layer, .. } => {
                source.find_string(layer).or_else(|| source.find_field("default"))
            }
            BuildError::Lanes { end, .. } => source.find_field(&format!("{end}_stream")),
            BuildError::Program { .. } => source.find_field("output_stream"),
            // Several entries have their share in it, or none.
            BuildError::Deadlock { .. } | BuildError::Ports { .. } | BuildError::Empty => None,
        });
        Self {
            file: source.map_or_else(String::new, |source| format!("{}: ", source.name)),
            excerpt: source.zip(place).map(|(source, place)| source.excerpt(place)),
            error,
        }
    }
}

impl Diagnostic for Unbuilt {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.code()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label =
            LabeledSpan::new_with_span(Some("in this entry".to_owned()), self.excerpt.as_ref()?.place());
        Some(Box::new(std::iter::once(label)))
    }
}
