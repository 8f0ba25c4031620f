//! What needs no file, by sort.

use super::cluster::ClusterTable;
use super::environment::Environment;
use super::memory::MemoryTechnology;
use super::presets::{CLUSTERS, ENVIRONMENTS, MEMORIES, Preset, names};

/// The environments that need no file.
#[must_use]
pub fn environment_presets() -> Vec<Preset> {
    names::<Environment>(&ENVIRONMENTS, "an environment")
}

/// The memory technologies that need no file.
#[must_use]
pub fn memory_presets() -> Vec<Preset> {
    names::<MemoryTechnology>(&MEMORIES, "a memory technology")
}

/// The cluster tables that need no file.
#[must_use]
pub fn cluster_presets() -> Vec<Preset> {
    names::<ClusterTable>(&CLUSTERS, "a cluster table")
}
