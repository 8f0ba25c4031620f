//! Which memory technology each storage style of an accelerator has.

use indexmap::IndexMap;
use miette::Diagnostic;

use super::{MemoryTechnology, RadiationError};
use crate::accelerator::{Hardware, Style};
use crate::data::{MOST_OF_PROBLEM, shortened};

/// Memory technologies by storage style.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryTechnologies {
    by_style: IndexMap<Style, MemoryTechnology>,
    others: Option<MemoryTechnology>,
}

impl MemoryTechnologies {
    /// What a hardware file says in `memory_technologies`.
    ///
    /// # Errors
    /// [`RadiationError::Hardware`] where it names none that there is.
    pub fn of(hardware: &Hardware) -> Result<Self, RadiationError> {
        let mut by_style = IndexMap::new();
        for (style, name) in &hardware.memory_technologies {
            let technology = MemoryTechnology::find(name, &hardware.folder)
                .map_err(|error| in_hardware(hardware, *style, name, error))?;
            by_style.insert(*style, technology);
        }
        Ok(Self {
            by_style,
            others: None,
        })
    }

    /// One technology for every style.
    #[must_use]
    pub fn everywhere(technology: MemoryTechnology) -> Self {
        Self {
            by_style: IndexMap::new(),
            others: Some(technology),
        }
    }

    /// Replaces the technology of a style.
    pub fn set(&mut self, style: Style, technology: MemoryTechnology) {
        self.by_style.insert(style, technology);
    }

    /// The same with a technology for the styles that have none.
    #[must_use]
    pub fn or(mut self, technology: MemoryTechnology) -> Self {
        self.others.get_or_insert(technology);
        self
    }

    /// The technology of a style.
    #[must_use]
    pub fn get(&self, style: Style) -> Option<&MemoryTechnology> {
        self.by_style.get(&style).or(self.others.as_ref())
    }

    /// The technology of the styles that have none of their own.
    #[must_use]
    pub fn others(&self) -> Option<&MemoryTechnology> {
        self.others.as_ref()
    }

    /// All of them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut MemoryTechnology> {
        self.by_style.values_mut().chain(&mut self.others)
    }
}

/// An error in the entry of a hardware file.
fn in_hardware(hardware: &Hardware, style: Style, name: &str, error: RadiationError) -> RadiationError {
    let Some(source) = &hardware.source else {
        return error;
    };
    let excerpt = source.excerpt(source.find_string(name).unwrap_or(0..0));
    let help = error.help().map_or_else(String::new, |help| help.to_string());
    RadiationError::Hardware {
        name: source.name.clone(),
        style: style.name(),
        help: shortened(&help, MOST_OF_PROBLEM).into_owned(),
        problem: shortened(&error.to_string(), MOST_OF_PROBLEM).into_owned(),
        span: excerpt.place(),
        excerpt,
    }
}
