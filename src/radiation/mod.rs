//! Environments, rates, arrival times, cluster shapes.
//!
//! An [`Environment`] says which particles come and when, a [`MemoryTechnology`] how they upset one
//! class of memory; together they give a [`RateProfile`], strikes per bit and hour over time, from
//! which strikes are drawn. [`Clusters`] say which cells one strike flips. Scrubbing, refresh and
//! interleaving belong to the accelerator.

mod arrivals;
mod assess;
mod catalogue;
mod cluster;
mod conversion;
mod environment;
mod error;
mod exposure;
mod field;
mod heavy_ions;
mod memory;
mod poisson;
mod presets;
mod quantity;
pub mod rate;
mod technologies;

pub use arrivals::RateProfile;
pub use assess::{Assessment, Assumption, RateForm};
pub use catalogue::{cluster_presets, environment_presets, memory_presets};
pub use cluster::{ClusterTable, Clusters, Offset, Shape, TwoInWord};
pub use environment::{Environment, LetPoint, Particle, Segment, SegmentFlux};
pub use error::RadiationError;
pub use exposure::{Banded, Exposure, Exposures};
pub use field::Status;
pub use heavy_ions::Weibull;
pub use memory::{AddedRate, ClusterSource, MemoryRate, MemoryTechnology, PermanentFaults, PermanentRate};
pub use poisson::poisson;
pub use presets::Preset;
pub use technologies::MemoryTechnologies;
