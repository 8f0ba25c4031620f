//! The embedded environments, memory technologies and cluster tables against the facts.

mod common;

use std::path::Path;

use radstream::radiation::rate::{Counts, Megabit};
use radstream::radiation::*;
use serde_json::Value;

fn facts() -> Option<Value> {
    let file = common::shared_data()?.join("radiation/presets.json");
    Some(serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
}

fn here() -> &'static Path {
    Path::new("")
}

fn letters(status: &[Status]) -> Vec<char> {
    let letter = |status: &Status| match status {
        Status::Source => 'S',
        Status::Transcribed => 'T',
        Status::Computed => 'C',
        Status::Memory => 'M',
    };
    status.iter().map(letter).collect()
}

#[test]
fn every_name_of_a_preset_is_suggested_for_one_that_is_nearly_it() {
    let said = |error: Box<dyn miette::Diagnostic>| error.help().map(|help| help.to_string());
    let near = |name: &str| format!("{}x", &name[..name.len() - 1]);
    let is_said = |said: Option<String>, name: &str| {
        let said = said.unwrap_or_default();
        assert!(
            said.contains(&format!("did you mean `{name}`?")),
            "{name}: {said}"
        );
    };
    for preset in environment_presets() {
        for name in preset.aliases.iter().map(String::as_str).chain([preset.name]) {
            if let Err(error) = Environment::find(&near(name), here()) {
                is_said(said(Box::new(error)), name);
            }
        }
    }
    let aliases = [("nyc_k7_bran", "nyc_k7_bram"), ("econt_hehh", "econt_heh")];
    for (asked, name) in aliases {
        let error = MemoryTechnology::find(asked, here()).expect_err("no such preset");
        is_said(said(Box::new(error)), name);
    }
    let error = ClusterTable::find("burst8_sed004", here()).expect_err("no such preset");
    is_said(said(Box::new(error)), "burst8_seed004");
}

#[test]
fn every_environment_of_the_facts_is_a_preset() {
    let Some(facts) = facts() else { return };
    let rows = facts["environments"].as_array().unwrap();
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let environment = Environment::find(name, here()).unwrap();
        assert_eq!(environment.name, name);
        assert_eq!(environment.duty, 1.0);
        assert!(environment.source.contains(row["source"].as_str().unwrap()));
        let status: Vec<char> = row["status"].as_str().unwrap().chars().collect();
        assert_eq!(letters(&environment.status), status);
        let [segment] = environment.segments.as_slice() else {
            panic!("{name}")
        };
        let flux = row["flux"].as_f64().unwrap();
        let (expected, particle, per_h) = match row["unit"].as_str().unwrap() {
            "n/cm2/h" => (SegmentFlux::PerCm2Hour(flux), Particle::Neutron, flux),
            "hadrons/cm2/s" => (SegmentFlux::PerCm2Second(flux), Particle::Hadron, flux * 3600.0),
            unit => panic!("{unit}"),
        };
        assert_eq!((&segment.flux, segment.particle), (&expected, particle));
        assert_eq!(segment.flux_per_cm2_h(), Some(per_h));
        assert_eq!(segment.e_min_mev, row["e_min_mev"].as_f64());
        assert_eq!(
            environment.quoted_multiple_of_nyc,
            row["multiplier_vs_nyc"].as_f64()
        );
    }
    assert_eq!(rows.len(), environment_presets().len());
}

#[test]
fn every_memory_of_the_facts_is_a_preset() {
    let Some(facts) = facts() else { return };
    let rows = facts["presets"].as_array().unwrap();
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let memory = MemoryTechnology::find(name, here()).unwrap();
        assert_eq!(memory.name, name);
        if let Some(node) = row["node_nm"].as_f64() {
            assert_eq!(memory.node_nm, Some(node), "{name}");
        }
        if let Some(class) = row["memory"].as_str() {
            assert_eq!(memory.memory, class);
        }
        let status = row["status"].as_str().unwrap();
        let of_memory: Vec<char> = match status {
            "S flux / T sigma" => vec!['T'],
            other => other.split('/').map(|tag| tag.chars().next().unwrap()).collect(),
        };
        assert_eq!(letters(&memory.status), of_memory, "{name}");
        let forms = [Some(&memory.rate), memory.alternative.as_ref()];
        let mut found = 0;
        for form in forms.into_iter().flatten() {
            let counts = match row["counts"].as_str().unwrap() {
                "event" => Counts::Event,
                _ => Counts::Bit,
            };
            assert_eq!(form.counts(), counts, "{name}");
            let (got, key) = match form {
                MemoryRate::FitPerMb {
                    value,
                    mb,
                    mb_assumed,
                    ..
                } => {
                    assert_eq!((*mb, *mb_assumed), (Megabit::Decimal, true));
                    (*value, "fit_per_mb_nyc")
                }
                MemoryRate::CrossSection { cm2_per_bit, .. } => (*cm2_per_bit, "sigma_cm2_per_bit"),
                MemoryRate::PerBitDay { upsets, .. } => (*upsets, "upsets_per_bit_day"),
                MemoryRate::PerDevice { rate_per_s, bits, .. } => {
                    assert_eq!(row["bits"].as_u64(), Some(*bits));
                    (*rate_per_s, "chip_rate_per_s")
                }
                MemoryRate::WeibullLet { .. } => panic!("{name}"),
            };
            assert_eq!(row[key].as_f64(), Some(got), "{name}: {key}");
            found += 1;
        }
        let keys = [
            "fit_per_mb_nyc",
            "sigma_cm2_per_bit",
            "upsets_per_bit_day",
            "chip_rate_per_s",
        ];
        let given = keys
            .iter()
            .filter(|key| row[**key].is_f64() || row[**key].is_u64());
        assert_eq!(given.count(), found, "{name}");
        for (added, key) in [
            (&memory.alpha, "alpha_fit_per_mb"),
            (&memory.thermal, "thermal_fit_per_mb"),
        ] {
            let got = added.as_ref().map(|added| added.fit_per_mb());
            assert_eq!(got, row[key].as_f64().map(|value| (value, true)), "{name}: {key}");
        }
        if let Some(flux) = row["flux_cm2_s"].as_f64() {
            let own = memory.own_environment.as_ref().unwrap();
            assert_eq!(own.segments[0].flux, SegmentFlux::PerCm2Second(flux));
        }
        match row["mcu"].as_str() {
            None => assert!(matches!(
                memory.cluster_source,
                ClusterSource::Unknown | ClusterSource::Single
            )),
            Some(table) => match &memory.cluster_source {
                ClusterSource::Table(got) => assert_eq!(got, table),
                ClusterSource::Borrowed {
                    table: got,
                    measured_on,
                } => {
                    assert_eq!(table, format!("{got} (borrowed, {measured_on})"));
                }
                other => panic!("{name}: {other:?}"),
            },
        }
    }
    // RT PolarFire is in the facts' text only.
    assert_eq!(rows.len() + 1, memory_presets().len());
}

#[test]
fn every_cluster_table_of_the_facts_is_a_preset() {
    let Some(facts) = facts() else { return };
    let rows = facts["mcu"].as_object().unwrap();
    for (name, row) in rows {
        let table = ClusterTable::find(name, here()).unwrap();
        assert_eq!(&table.name, name);
        assert_eq!(table.max_bits.map(u64::from), row["max"].as_u64());
        assert_eq!(table.measured_events, row["events"].as_u64());
        let in_word = table.measured_two_in_word.map(|measured| measured.share);
        let stated = row["p_ge2_in_32bit_word"]
            .as_f64()
            .or(row["p_ge2_in_word"].as_f64());
        assert_eq!(in_word, stated);
        let clusters = table.clusters();
        assert_eq!(clusters.is_assumed_single(), row["sizes"].is_null());
        let Some(sizes) = row["sizes"].as_object() else {
            assert_eq!(clusters.sizes(), [(1, 1.0)]);
            continue;
        };
        let sum: f64 = sizes.values().map(|share| share.as_f64().unwrap()).sum();
        assert_eq!(sizes.len(), clusters.sizes().len());
        let mut mean = 0.0;
        for (size, share) in clusters.sizes() {
            let stated = sizes[&size.to_string()].as_f64().unwrap();
            assert!((share - stated / sum).abs() < 1e-15);
            mean += f64::from(*size) * stated / sum;
        }
        assert!((clusters.mean_bits() - mean).abs() < 1e-12);
        let shapes = row["shapes_frame_bit"].as_array();
        let cells = |shape: &Value| -> Vec<(i32, i32)> {
            let pair = |cell: &Value| {
                let number = |at: usize| cell[at].as_i64().unwrap() as i32;
                (number(0), number(1))
            };
            shape[1].as_array().unwrap().iter().map(pair).collect()
        };
        if let Some(shapes) = shapes {
            assert_eq!(shapes.len(), table.shapes.len());
            for (stated, shape) in shapes.iter().zip(&table.shapes) {
                assert_eq!(stated[0].as_f64(), Some(shape.share));
                // Both relative to the first cell in rising order.
                let mut expected = cells(stated);
                expected.sort_unstable();
                let (row, column) = expected[0];
                let expected: Vec<Offset> = expected
                    .iter()
                    .map(|(r, c)| Offset {
                        row: r - row,
                        column: c - column,
                    })
                    .collect();
                assert_eq!(shape.cells, expected);
            }
        }
    }
    assert_eq!(rows.len(), cluster_presets().len());
}

#[test]
fn presets_go_by_the_facts_other_names_as_well() {
    for (alias, name) in [
        ("nyc_us+_bram", "ultrascaleplus_bram"),
        ("nyc_us+_cram", "ultrascaleplus_cram"),
        ("nyc_k7_bram", "kintex7_bram"),
        ("nyc_k7_cram", "kintex7_cram"),
        ("nyc_us_bram", "ultrascale_bram"),
        ("nyc_v6_bram", "virtex6_bram"),
        ("nyc_v5_bram", "virtex5_bram"),
        ("zu9_ocm", "zu9eg_ocm"),
        ("zu9_cache", "zu9eg_cache"),
        ("geo_solmin_us+_ff", "kintexusp_geo_ff"),
        ("econt_fkeras", "fkeras_econt_paper"),
        ("econt_heh", "econ_heh_max"),
        ("rtpf_lsram", "rtpf_lsram"),
    ] {
        assert_eq!(MemoryTechnology::find(alias, here()).unwrap().name, name);
    }
    let burst = ClusterTable::find("burst8_seed004", here()).unwrap().clusters();
    assert_eq!(burst, Clusters::burst(8));
    assert!(MemoryTechnology::find("no_such", here()).is_err());
    let mut names: Vec<String> = Vec::new();
    for preset in memory_presets()
        .into_iter()
        .chain(environment_presets())
        .chain(cluster_presets())
    {
        names.push(preset.name.to_owned());
        names.extend(preset.aliases);
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
