//! Files that tests of rates start from.

#![allow(dead_code)]

use radstream::radiation::{Environment, MemoryTechnology, RadiationError};

use crate::cli_common::Workplace;

pub const MEMORY: &str = r#"MemoryTechnology(
    name: "m",
    memory: "SRAM",
    source: "test",
    status: [Source],
    rate: FitPerMb(value: 100.0, mb: Decimal, counts: Event),
    alternative: CrossSection(cm2_per_bit: 1e-14, counts: Event, particle: Neutron, e_min_mev: 10.0),
    alpha: FitPerMb(value: 7.0, mb: Decimal, counts: Event),
    thermal: FitPerMb(value: 3.0, mb: Decimal, counts: Event),
    uncertainty_factor: 2.0,
    clusters: Burst(4),
)"#;

pub const ENVIRONMENT: &str = r#"Environment(
    name: "e",
    source: "test",
    status: [Source],
    segments: [
        (from_h: 0.0, to_h: 2.0, flux: PerCm2Hour(130.0), particle: Neutron, e_min_mev: 10.0, multiplier: 0.5),
        (from_h: 2.0, to_h: 3.0, flux: TimesNewYork(50.0), particle: Neutron, e_min_mev: 10.0),
    ],
    duty: 0.8,
)"#;

pub const TABLE: &str = r#"ClusterTable(
    name: "t",
    source: "test",
    status: [Source],
    sizes: {1: 0.75, 2: 0.15, 3: 0.1},
    shapes: [(0.5, [(0, 0), (1, 1)]), (0.5, [(0, 0), (0, 1)])],
)"#;

/// A file with one piece of text replaced.
pub fn edited(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

pub fn memory(text: &str) -> Result<MemoryTechnology, RadiationError> {
    let place = Workplace::new();
    place.text("t.ron", TABLE);
    place.text("m.ron", text);
    MemoryTechnology::find("m.ron", &place.path(""))
}

pub fn environment(text: &str) -> Result<Environment, RadiationError> {
    let place = Workplace::new();
    place.text("e.ron", text);
    Environment::find("e.ron", &place.path(""))
}
