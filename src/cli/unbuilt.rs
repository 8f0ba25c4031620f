//! Why the cycle engine does not build an accelerator, with the place in its hardware file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use thiserror::Error;

use crate::accelerator::Accelerator;
use crate::simulate::cycle::build::BuildError;

/// A [`BuildError`] and the entry that it is about.
#[derive(Debug, Error)]
#[error("{file}{error}")]
pub struct Unbuilt {
    file: String,
    error: BuildError,
    named: Option<NamedSource<Arc<str>>>,
    span: Option<Range<usize>>,
}

impl Unbuilt {
    /// Looks for the entry in the file that the accelerator was built from, where there is one.
    pub fn new(error: BuildError, accelerator: &Accelerator) -> Self {
        let source = accelerator.hardware_text();
        let span = source.and_then(|source| match &error {
            BuildError::TooWide { layer, .. }
            | BuildError::Timing { layer, .. }
            | BuildError::Stage { layer, .. }
            | BuildError::FifoLanes { layer, .. } => {
                source.find_string(layer).or_else(|| source.find_field("default"))
            }
            BuildError::Lanes { end, .. } => source.find_field(&format!("{end}_stream")),
            // Several entries have their share in it.
            BuildError::Deadlock { .. } => None,
        });
        Self {
            file: source.map_or_else(String::new, |source| format!("{}: ", source.name)),
            named: source.map(crate::data::SourceText::named),
            error,
            span,
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
        self.span.as_ref()?;
        self.named.as_ref().map(|named| named as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some("in this entry".to_owned()), self.span.clone()?);
        Some(Box::new(std::iter::once(label)))
    }
}
