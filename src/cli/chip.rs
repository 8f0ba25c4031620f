//! A network on its hardware, as the commands need it.

use super::Failure;
use super::options::{Samples, Target};
use crate::accelerator::{Accelerator, Hardware, Memory, Style};
use crate::model::{Settings, Workload, load_network};

/// A network on its hardware, with what is said about its samples.
pub struct Chip {
    /// Name of the network for people and files.
    pub name: String,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// How it is built.
    pub hardware: Hardware,
    /// Data, readout and loss.
    pub settings: Settings,
}

impl Chip {
    /// Builds the accelerator that the options name.
    pub fn build(target: &Target, samples: Option<&Samples>) -> Result<Self, Failure> {
        let origin = target.origin()?;
        let stated = samples.map(Samples::settings).transpose()?.unwrap_or_default();
        let settings = stated.or(origin.settings);
        let mut network = load_network(&origin.files, &origin.network)?;
        network.name.clone_from(&origin.name);
        let hardware = match (&target.hardware, &settings.hardware) {
            (Some(file), _) => Hardware::read(file)?,
            (None, Some(located)) => Hardware::read(&located.files.path(&located.source.file))?,
            (None, None) => Hardware::default(),
        };
        let accelerator =
            Accelerator::build(&network, &hardware).map_err(|error| Failure::request(*error))?;
        Ok(Self {
            name: origin.name,
            accelerator,
            hardware,
            settings,
        })
    }

    /// Stored bits in memories of a style.
    pub fn bits_of_style(&self, style: Style) -> u64 {
        let memories = self.accelerator.map().memories().iter();
        memories
            .filter(|memory| memory.style == style)
            .map(Memory::bits)
            .sum()
    }

    /// Loads the samples and what judges them.
    pub fn workload(&self) -> Result<Workload, Failure> {
        Ok(Workload::load(self.accelerator.network(), &self.settings)?)
    }
}
