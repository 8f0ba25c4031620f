//! How one class of memory is upset.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cluster::{ClusterTable, Clusters};
use super::environment::{Environment, Particle};
use super::error::Contradiction;
use super::field::{
    Status, amount, bits, burst_bits, cross_section, optional_amount, optional_factor, share,
};
use super::heavy_ions::Weibull;
use super::presets::{CLUSTERS, MEMORIES, Named, find};
use super::rate::{BitHour, Counts, FitPerMb, Megabit, Stated};
use super::{RadiationError, RateProfile};

/// One form in which a source states how often a memory is upset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum MemoryRate {
    /// FIT per megabit at New York City's 13 neutrons per cm2 and hour above 10 MeV.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
        /// What is counted.
        counts: Counts,
        /// The source does not say which megabit.
        #[serde(default)]
        mb_assumed: bool,
    },
    /// Cross-section for the particles of an environment.
    CrossSection {
        /// cm2 per bit.
        #[serde(deserialize_with = "cross_section")]
        cm2_per_bit: f64,
        /// What is counted.
        counts: Counts,
        /// Particles that it was measured with; none where the source does not say.
        #[serde(default)]
        particle: Option<Particle>,
        /// Least energy of these particles in MeV.
        #[serde(default, deserialize_with = "optional_amount")]
        e_min_mev: Option<f64>,
    },
    /// Upsets per bit and day in the environment that the source names.
    PerBitDay {
        /// Upsets per bit and day.
        #[serde(deserialize_with = "amount")]
        upsets: f64,
        /// What is counted.
        counts: Counts,
    },
    /// Upsets of a whole device in the environment that the source names.
    PerDevice {
        /// Upsets per second.
        #[serde(deserialize_with = "amount")]
        rate_per_s: f64,
        /// Bits of the device.
        #[serde(deserialize_with = "bits")]
        bits: u64,
        /// What is counted.
        counts: Counts,
    },
    /// Cross-section for heavy ions over their linear energy transfer.
    WeibullLet {
        /// The curve.
        curve: Weibull,
        /// What is counted.
        counts: Counts,
    },
}

impl MemoryRate {
    /// Name for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            MemoryRate::FitPerMb { .. } => "rate in FIT per Mb",
            MemoryRate::CrossSection { .. } => "cross-section",
            MemoryRate::PerBitDay { .. } => "rate per bit and day",
            MemoryRate::PerDevice { .. } => "rate per device",
            MemoryRate::WeibullLet { .. } => "cross-section over the LET",
        }
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            MemoryRate::FitPerMb { counts, .. }
            | MemoryRate::CrossSection { counts, .. }
            | MemoryRate::PerBitDay { counts, .. }
            | MemoryRate::PerDevice { counts, .. }
            | MemoryRate::WeibullLet { counts, .. } => *counts,
        }
    }

    pub(super) fn needs_environment(&self) -> bool {
        matches!(
            self,
            MemoryRate::CrossSection { .. } | MemoryRate::WeibullLet { .. }
        )
    }
}

/// A contribution that comes on top of the rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum AddedRate {
    /// FIT per megabit at New York City's sea level.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
        /// What is counted.
        counts: Counts,
        /// The source does not say which megabit.
        #[serde(default)]
        mb_assumed: bool,
    },
}

impl AddedRate {
    /// FIT per megabit, and whether the megabit is an assumption.
    #[must_use]
    pub fn fit_per_mb(&self) -> (f64, bool) {
        let AddedRate::FitPerMb {
            value, mb_assumed, ..
        } = self;
        (*value, *mb_assumed)
    }

    /// The rate of one bit, and how that comes about.
    pub(super) fn per_bit(&self) -> Result<(Stated<BitHour>, String), RadiationError> {
        let AddedRate::FitPerMb {
            value, mb, counts, ..
        } = self;
        let rate = FitPerMb::new(*value, *mb, *counts)?.per_bit();
        Ok((rate, format!("{value} FIT/Mb / 1e9 h / {:e} bits", mb.bits())))
    }
}

/// Bits that stay at one value: no scrubbing cures them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermanentFaults {
    /// How often bits get stuck, whatever the environment. Counts are of bits.
    pub rate: PermanentRate,
    /// Share of them that are stuck at 1; the others are stuck at 0.
    #[serde(default = "half", deserialize_with = "share")]
    pub stuck_at_one_share: f64,
}

fn half() -> f64 {
    0.5
}

/// How often bits get stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum PermanentRate {
    /// Bits per 1e9 hours and megabit.
    FitPerMb {
        /// FIT per megabit.
        #[serde(deserialize_with = "amount")]
        value: f64,
        /// Which megabit.
        mb: Megabit,
    },
    /// Bits per bit and day.
    PerBitDay {
        /// The rate.
        #[serde(deserialize_with = "amount")]
        stuck: f64,
    },
}

impl PermanentFaults {
    /// Bits that get stuck per bit and hour.
    #[must_use]
    pub fn per_bit_hour(&self) -> f64 {
        match &self.rate {
            PermanentRate::FitPerMb { value, mb } => value / 1e9 / mb.bits(),
            PermanentRate::PerBitDay { stuck } => stuck / 24.0,
        }
    }

    /// When bits get stuck.
    #[must_use]
    pub fn profile(&self) -> RateProfile {
        RateProfile::constant(self.per_bit_hour())
    }
}

/// What is known about the sizes and shapes of strikes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(serialize = "snake_case"))]
pub enum ClusterSource {
    /// Nothing: simulated as single bits, and flagged.
    #[default]
    Unknown,
    /// Every strike flips one bit.
    Single,
    /// Every strike flips so many consecutive columns.
    Burst(#[serde(deserialize_with = "burst_bits")] u32),
    /// A table by name, or by the path of its file relative to this one.
    Table(String),
    /// A table that was measured on something else.
    Borrowed {
        /// The table.
        table: String,
        /// What it was measured on.
        measured_on: String,
    },
}

/// How one class of memory is upset. (What it costs in area is `accelerator::Technology`.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryTechnology {
    /// Name for people and other files.
    pub name: String,
    /// Other names of the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Class of memory: `BRAM`, `CRAM`, `flip-flops`, ...
    pub memory: String,
    /// Feature size in nm, where known.
    #[serde(default)]
    pub node_nm: Option<f64>,
    /// Where the numbers come from.
    pub source: String,
    /// How well they are known.
    pub status: Vec<Status>,
    /// What else is to be said.
    #[serde(default)]
    pub note: String,
    /// How often it is upset.
    pub rate: MemoryRate,
    /// The same in another form: an alternative, never added.
    #[serde(default)]
    pub alternative: Option<MemoryRate>,
    /// Alpha particles of the package, on top; they do not scale with the environment.
    #[serde(default)]
    pub alpha: Option<AddedRate>,
    /// Thermal neutrons, on top.
    #[serde(default)]
    pub thermal: Option<AddedRate>,
    /// The rate is known within this factor, up and down.
    #[serde(default, deserialize_with = "optional_factor")]
    pub uncertainty_factor: Option<f64>,
    /// The environment that its numbers are meant for, by name or path, where none is given.
    #[serde(default)]
    pub environment: Option<String>,
    /// Sizes and shapes of strikes.
    #[serde(default, rename = "clusters")]
    pub cluster_source: ClusterSource,
    /// Bits that get stuck for good, where the source knows of any.
    #[serde(default)]
    pub permanent: Option<PermanentFaults>,
    /// The distribution that `clusters` stands for.
    #[serde(skip)]
    pub clusters: Clusters,
    /// The environment that `environment` names.
    #[serde(skip)]
    pub own_environment: Option<Environment>,
}

impl MemoryTechnology {
    const EXPECTED: &str = "a memory technology as in hw_configs/memories/kintex7_bram.ron";

    /// The memory technology of that name, or in the file of that path; a relative path starts at
    /// `folder`.
    ///
    /// # Errors
    /// [`RadiationError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, RadiationError> {
        let mut memory: Self = find("memory technology", &MEMORIES, name, folder, Self::EXPECTED)?;
        let beside = folder.join(name);
        let folder = beside.parent().unwrap_or(folder);
        memory.clusters = match &memory.cluster_source {
            ClusterSource::Unknown => Clusters::unknown(),
            ClusterSource::Single => Clusters::single(),
            ClusterSource::Burst(bits) => Clusters::burst(*bits),
            ClusterSource::Table(table) | ClusterSource::Borrowed { table, .. } => {
                ClusterTable::find(table, folder)?.clusters()
            }
        };
        if let Some(environment) = &memory.environment {
            memory.own_environment = Some(Environment::find(environment, folder)?);
        }
        Ok(memory)
    }

    /// An alternative that is no alternative to the rate.
    pub(super) fn clashing_forms(&self) -> Option<Contradiction> {
        let other = self.alternative.as_ref()?;
        let is_fit = |rate: &MemoryRate| matches!(rate, MemoryRate::FitPerMb { .. });
        let is_cross_section = |rate: &MemoryRate| matches!(rate, MemoryRate::CrossSection { .. });
        let are_alternatives = (is_fit(&self.rate) && is_cross_section(other))
            || (is_cross_section(&self.rate) && is_fit(other));
        (!are_alternatives).then(|| Contradiction {
            field: "alternative",
            problem: format!("a {} beside a {}", other.name(), self.rate.name()),
            expected: "one form of rate, or FIT per Mb and a cross-section as alternatives",
        })
    }
}

impl ClusterTable {
    const EXPECTED: &str = "a cluster table as in hw_configs/clusters/mcu_28nm_xil7_cram.ron";

    /// The table of that name, or in the file of that path; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`RadiationError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, RadiationError> {
        find("cluster table", &CLUSTERS, name, folder, Self::EXPECTED)
    }
}

impl Named for MemoryTechnology {
    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.clashing_forms()
    }
}

impl Named for ClusterTable {
    fn aliases(&self) -> &[String] {
        &self.aliases
    }
}
