//! Environment, memory technology and cluster files: what they mean, and what is refused at which place.

mod cli_common;

use std::path::Path;

use cli_common::Workplace;
use proptest::prelude::*;
use radstream::data::{SourceText, parse_ron};
use radstream::radiation::rate::Hours;
use radstream::radiation::{
    ClusterTable, Environment, MemoryTechnology, RadiationError, RateForm, RateProfile, Status,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const MEMORY: &str = r#"MemoryTechnology(
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

const ENVIRONMENT: &str = r#"Environment(
    name: "e",
    source: "test",
    status: [Source],
    segments: [
        (from_h: 0.0, to_h: 2.0, flux: PerCm2Hour(130.0), particle: Neutron, e_min_mev: 10.0, multiplier: 0.5),
        (from_h: 2.0, to_h: 3.0, flux: TimesNewYork(50.0), particle: Neutron, e_min_mev: 10.0),
    ],
    duty: 0.8,
)"#;

const TABLE: &str = r#"ClusterTable(
    name: "t",
    source: "test",
    status: [Source],
    sizes: {1: 0.75, 2: 0.15, 3: 0.1},
    shapes: [(0.5, [(0, 0), (1, 1)]), (0.5, [(0, 0), (0, 1)])],
)"#;

/// A file with one piece of text replaced.
fn edited(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

fn memory(text: &str) -> Result<MemoryTechnology, RadiationError> {
    let place = Workplace::new();
    place.text("t.ron", TABLE);
    place.text("m.ron", text);
    MemoryTechnology::find("m.ron", &place.path(""))
}

fn environment(text: &str) -> Result<Environment, RadiationError> {
    let place = Workplace::new();
    place.text("e.ron", text);
    Environment::find("e.ron", &place.path(""))
}

fn rates(profile: &RateProfile) -> Vec<(f64, f64)> {
    profile.pieces().map(|(hours, rate)| (hours.0, rate)).collect()
}

fn close(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 1e-12, "{got} {expected}");
}

/// FIT per decimal megabit as a rate per bit and hour.
fn fit(value: f64) -> f64 {
    value * 1e-15
}

#[test]
fn without_environment_the_parts_add_up() {
    let memory = memory(MEMORY).unwrap();
    let profile = memory.profile(None).unwrap();
    close(profile.mean_events_per_bit_hour(), fit(110.0));
    let assessment = memory.assess(RateForm::Auto, None).unwrap();
    assert_eq!(assessment.bits_per_event, 4.0);
    assert!(assessment.assumptions.is_empty(), "{:?}", assessment.assumptions);
    assert!(!assessment.steps.is_empty());
}

/// The cross-section stands for fast neutrons in an environment, or FIT scaled by flux / 13 where it is
/// asked for; thermal neutrons scale with the flux, alpha particles do not, the duty holds for all.
#[test]
fn with_an_environment_only_alpha_stays() {
    let (memory, environment) = (memory(MEMORY).unwrap(), environment(ENVIRONMENT).unwrap());
    let profile = memory.profile(Some(&environment)).unwrap();
    let pieces = rates(&profile);
    assert_eq!(pieces.len(), 2);
    assert_eq!((pieces[0].0, pieces[1].0), (2.0, 1.0));
    close(pieces[0].1, 0.8 * (1e-14 * 65.0 + fit(3.0) * 5.0 + fit(7.0)));
    close(pieces[1].1, 0.8 * (1e-14 * 650.0 + fit(3.0) * 50.0 + fit(7.0)));
    let scaled = memory.assess(RateForm::Fit, Some(&environment)).unwrap();
    let pieces = rates(&scaled.profile);
    close(pieces[0].1, 0.8 * (fit(103.0) * 5.0 + fit(7.0)));
    close(pieces[1].1, 0.8 * (fit(103.0) * 50.0 + fit(7.0)));
    let ids: Vec<&str> = scaled
        .assumptions
        .iter()
        .map(|assumption| assumption.id)
        .collect();
    assert_eq!(ids, ["thermal_scaled", "thermal_scaled"]);
    // 7 h: two repetitions and an hour of the third.
    let expected = 1e6 * (2.0 * (2.0 * pieces[0].1 + pieces[1].1) + pieces[0].1);
    close(
        scaled.profile.expected_events(1_000_000, Hours(0.0), Hours(7.0)),
        expected,
    );
}

#[test]
fn rates_that_count_bits_are_divided_by_the_mean_cluster() {
    for (rate, per_bit_hour) in [
        (
            "FitPerMb(value: 100.0, mb: Binary, counts: Bit)",
            100.0 / 1e9 / 1_048_576.0,
        ),
        ("PerBitDay(upsets: 4.8e-5, counts: Bit)", 2e-6),
        ("PerDevice(rate_per_s: 0.5, bits: 900, counts: Bit)", 2.0),
    ] {
        let plain = format!(
            "MemoryTechnology(name: \"m\", memory: \"x\", source: \"s\", status: [Source], rate: {rate}, clusters: Table(\"t.ron\"))"
        );
        let events = memory(&plain)
            .unwrap()
            .profile(None)
            .unwrap()
            .mean_events_per_bit_hour();
        close(events, per_bit_hour / (0.75 + 2.0 * 0.15 + 3.0 * 0.1));
        let events = memory(&edited(&plain, "counts: Bit", "counts: Event")).unwrap();
        close(
            events.profile(None).unwrap().mean_events_per_bit_hour(),
            per_bit_hour,
        );
    }
}

#[test]
fn heavy_ions_need_a_spectrum() {
    let text = r#"MemoryTechnology(name: "m", memory: "x", source: "s", status: [Source], clusters: Single,
        rate: WeibullLet(curve: (saturation_cm2_per_bit: 1e-8, threshold_mev_cm2_per_mg: 2.0, width_mev_cm2_per_mg: 5.0, shape: 1.0), counts: Event))"#;
    let spectrum = r#"Environment(name: "gcr", source: "s", status: [Source], segments: [(from_h: 0.0, to_h: 1.0,
        particle: HeavyIon, multiplier: 2.0, flux: LetSpectrum([
            (let_mev_cm2_per_mg: 2.0, per_cm2_s_per_let: 6.0),
            (let_mev_cm2_per_mg: 7.0, per_cm2_s_per_let: 4.0),
            (let_mev_cm2_per_mg: 12.0, per_cm2_s_per_let: 1.0)]))])"#;
    let (ions, environment) = (memory(text).unwrap(), environment(spectrum).unwrap());
    let profile = ions.profile(Some(&environment)).unwrap();
    // Heights at the three points by hand, trapezoids of width 5.
    let at = |x: f64| 1e-8 * (1.0 - libm::exp(-x));
    let per_s = 5.0 * (0.5 * 4.0 * at(1.0) + 0.5 * (4.0 * at(1.0) + 1.0 * at(2.0)));
    close(profile.mean_events_per_bit_hour(), 2.0 * 3600.0 * per_s);
    assert!(matches!(
        ions.profile(None),
        Err(RadiationError::NeedsEnvironment { .. })
    ));
    let nyc = Environment::find("nyc_sea_level", Path::new("")).unwrap();
    assert!(matches!(
        ions.profile(Some(&nyc)),
        Err(RadiationError::Flux { .. })
    ));
    let neutrons = memory(MEMORY).unwrap();
    assert!(matches!(
        neutrons.profile(Some(&environment)),
        Err(RadiationError::Flux { .. })
    ));
    let fit = neutrons.assess(RateForm::Fit, Some(&environment));
    assert!(matches!(fit, Err(RadiationError::NotNeutrons { .. })));
}

#[test]
fn a_flux_of_zero_upsets_nothing() {
    let quiet = edited(ENVIRONMENT, "PerCm2Hour(130.0)", "PerCm2Hour(0.0)");
    let quiet = environment(&edited(&quiet, "TimesNewYork(50.0)", "TimesNewYork(0.0)")).unwrap();
    let text = edited(
        MEMORY,
        "    alpha: FitPerMb(value: 7.0, mb: Decimal, counts: Event),\n",
        "",
    );
    let memory = memory(&text).unwrap();
    for form in [RateForm::Auto, RateForm::Fit] {
        let profile = memory.assess(form, Some(&quiet)).unwrap().profile;
        assert_eq!(profile.mean_events_per_bit_hour(), 0.0);
        assert_eq!(profile.expected_events(u64::MAX, Hours(0.0), Hours(1e9)), 0.0);
    }
    let place = Workplace::new();
    let json = place.json(&[
        "rate",
        "--bits",
        "1000",
        "--cross-section",
        "1e-14",
        "--flux",
        "0",
        "--hours",
        "5",
    ]);
    assert_eq!(json["expected_upsets"], 0.0);
    assert_eq!(json["events_per_hour"], 0.0);
    assert!(json["mttf_hours"].is_null() && json["hours_per_upset"].is_null());
}

/// What numbers rest on is in the result.
#[test]
fn assumptions_are_named() {
    let ids = |memory: &str, environment: Option<&str>| -> Vec<&'static str> {
        let here = Path::new("");
        let memory = MemoryTechnology::find(memory, here).unwrap();
        let environment = environment.map(|name| Environment::find(name, here).unwrap());
        let assessment = memory.assess(RateForm::Auto, environment.as_ref()).unwrap();
        let mut ids: Vec<&str> = assessment
            .assumptions
            .iter()
            .map(|assumption| assumption.id)
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        ids("kintex7_bram", None),
        ["assumed_mb", "borrowed_clusters", "transcribed"]
    );
    assert_eq!(ids("kintex7_cram", None), ["assumed_mb", "transcribed"]);
    assert_eq!(
        ids("ultrascaleplus_bram", None),
        ["assumed_mb", "transcribed", "unknown_clusters"]
    );
    assert_eq!(
        ids("econ_heh_max", None),
        ["particle_mismatch", "transcribed", "unknown_clusters"]
    );
    assert_eq!(
        ids("kintex7_cram", Some("hgcal_heh_max")),
        ["energy_mismatch", "particle_mismatch", "transcribed"]
    );
    assert_eq!(
        ids("kintex7_bram", Some("avionics_40kft")),
        [
            "assumed_mb",
            "borrowed_clusters",
            "thermal_scaled",
            "transcribed",
            "transcribed"
        ]
    );
    assert_eq!(ids("fkeras_econt_paper", None), ["no_uncertainty"]);
    assert_eq!(
        ids("artix7_cram_litval", Some("nyc_sea_level")),
        [
            "from_memory",
            "no_uncertainty",
            "transcribed",
            "transcribed",
            "unknown_clusters",
            "unknown_particle"
        ]
    );
    let artix = MemoryTechnology::find("artix7_cram_litval", Path::new("")).unwrap();
    assert_eq!(artix.status, [Status::Transcribed, Status::Memory]);
    let place = Workplace::new();
    let json = place.json(&["rate", "--bits", "1000", "--memory", "kintex7_bram"]);
    let said: Vec<&str> = json["assumptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|assumption| assumption["id"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["assumed_mb", "borrowed_clusters", "transcribed"]);
}

/// The program must refuse the files, say the words, and name the file with line and column.
fn refused(files: &[(&str, &str)], arguments: &[&str], at: Option<&str>, words: &[&str]) {
    let place = Workplace::new();
    for (name, text) in files {
        place.text(name, text);
    }
    let output = place.run(&[&["rate", "--bits", "1000"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
    for word in words.iter().chain(&["expected"]).chain(&at) {
        assert!(
            said.contains(word),
            "{arguments:?}: `{word}` is missing in: {said}"
        );
    }
}

/// The line of the first difference between two texts, from 1.
fn line_of(text: &str, piece: &str) -> String {
    let at = text.find(piece).expect("the piece");
    format!("{}", 1 + text[..at].matches('\n').count())
}

#[test]
fn memories_without_a_sound_rate_are_refused_at_their_place() {
    for (from, to, words) in [
        // No unit, no megabit, no count, two forms, an unknown form.
        (
            "FitPerMb(value: 100.0, mb: Decimal, counts: Event),\n    alternative",
            "100.0,\n    alternative",
            &["a bare `100.0`", "unit"][..],
        ),
        (
            "value: 100.0, mb: Decimal, counts: Event",
            "value: 100.0, counts: Event",
            &["missing", "mb"],
        ),
        (
            "value: 100.0, mb: Decimal, counts: Event",
            "value: 100.0, mb: Decimal",
            &["missing", "counts"],
        ),
        (
            "value: 100.0, mb: Decimal, counts: Event",
            "value: 100.0, mb: Million, counts: Event",
            &["Million"],
        ),
        (
            "value: 100.0, mb: Decimal, counts: Event",
            "value: 100.0, mb: Decimal, counts: Event, cm2_per_bit: 1e-14",
            &["cm2_per_bit"],
        ),
        (
            "rate: FitPerMb(value: 100.0",
            "rate: PerMegabit(value: 100.0",
            &["PerMegabit"],
        ),
        // Amounts.
        ("value: 100.0", "value: -1.0", &["-1", "from 0"]),
        ("value: 100.0", "value: NaN", &["NaN"]),
        ("value: 7.0", "value: inf", &["inf"]),
        (
            "uncertainty_factor: 2.0",
            "uncertainty_factor: 0.5",
            &["0.5", "from 1"],
        ),
        // Cross-sections.
        (
            "cm2_per_bit: 1e-14",
            "cm2_per_bit: 1e-19",
            &["1e-19", "1e-18", "1e-6"],
        ),
        ("cm2_per_bit: 1e-14", "cm2_per_bit: 3.34e-4", &["3.34e-4", "um2"]),
        ("clusters: Burst(4)", "cluster: Burst(4)", &["cluster"]),
        ("clusters: Burst(4)", "clusters: Burst(0)", &["burst of 0"]),
    ] {
        let text = edited(MEMORY, from, to);
        let line = line_of(&text, to.split(['\n', '(']).next().unwrap());
        let at = format!("m.ron:{line}:");
        // A missing field shows at the end of its parentheses, which are on the same line.
        refused(&[("m.ron", &text)], &["--memory", "m.ron"], Some(&at), words);
    }
    let twice = edited(
        MEMORY,
        "    alternative: CrossSection(cm2_per_bit: 1e-14, counts: Event, particle: Neutron, e_min_mev: 10.0),",
        "    alternative: PerBitDay(upsets: 1e-9, counts: Event),",
    );
    refused(
        &[("m.ron", &twice)],
        &["--memory", "m.ron"],
        None,
        &["`m`", "alternatives"],
    );
    let device = edited(
        MEMORY,
        "FitPerMb(value: 100.0, mb: Decimal, counts: Event)",
        "PerDevice(rate_per_s: 1.0, bits: 0, counts: Event)",
    );
    refused(
        &[("m.ron", &device)],
        &["--memory", "m.ron"],
        Some("m.ron:6:"),
        &["at least 1 bit"],
    );
}

#[test]
fn environments_whose_segments_do_not_follow_each_other_are_refused() {
    for (from, to, line, words) in [
        ("from_h: 2.0", "from_h: 1.5", "7", &["overlaps", "1.5", "2 h"][..]),
        (
            "from_h: 2.0",
            "from_h: 2.5",
            "7",
            &["no segment from 2 h to 2.5 h"],
        ),
        ("from_h: 0.0", "from_h: 1.0", "6", &["no segment from 0 h"]),
        ("to_h: 3.0", "to_h: 2.0", "7", &["no length"]),
        ("to_h: 2.0", "to_h: inf", "6", &["inf"]),
        ("PerCm2Hour(130.0)", "PerCm2Hour(-130.0)", "6", &["-130"]),
        ("PerCm2Hour(130.0)", "130.0", "6", &["a bare `130.0`", "unit"]),
        ("multiplier: 0.5", "multiplier: NaN", "6", &["NaN"]),
        (
            "TimesNewYork(50.0), particle: Neutron",
            "TimesNewYork(50.0), particle: Proton",
            "7",
            &["neutrons above 10 MeV"],
        ),
        (
            "e_min_mev: 10.0, multiplier: 0.5",
            "multiplier: 0.5",
            "6",
            &["e_min_mev"],
        ),
        (
            "PerCm2Hour(130.0), particle: Neutron",
            "PerCm2Hour(130.0), particle: HeavyIon",
            "6",
            &["LetSpectrum"],
        ),
        ("duty: 0.8", "duty: 1.5", "9", &["1.5", "share"]),
        ("duty: 0.8", "shielding_mm: 3", "9", &["shielding_mm"]),
    ] {
        let text = edited(ENVIRONMENT, from, to);
        let at = format!("e.ron:{line}:");
        refused(
            &[("e.ron", &text), ("m.ron", MEMORY)],
            &["--memory", "m.ron", "--environment", "e.ron"],
            Some(&at),
            words,
        );
    }
    let wrong = edited(ENVIRONMENT, "duty: 0.8", "quoted_multiple_of_nyc: 6.0");
    refused(
        &[("e.ron", &wrong)],
        &["--environment", "e.ron"],
        None,
        &["`e`", "5 times", "6 times"],
    );
    let spectrum = edited(
        ENVIRONMENT,
        "PerCm2Hour(130.0), particle: Neutron, e_min_mev: 10.0",
        "LetSpectrum([(let_mev_cm2_per_mg: 3.0, per_cm2_s_per_let: 1.0), (let_mev_cm2_per_mg: 3.0, per_cm2_s_per_let: 1.0)]), particle: HeavyIon",
    );
    refused(
        &[("e.ron", &spectrum)],
        &["--environment", "e.ron"],
        Some("e.ron:6:"),
        &["rising LET"],
    );
}

#[test]
fn cluster_tables_that_are_none_are_refused() {
    for (from, to, line, words) in [
        ("1: 0.75", "1: 0.7", "5", &["sum to 0.9", "not to 1"][..]),
        ("1: 0.75", "1: 0.7511", "5", &["not to 1"]),
        ("1: 0.75", "1: -0.75", "5", &["-0.75"]),
        ("1: 0.75, 2", "1: 0.75, 1", "5", &["1 has two entries"]),
        ("1: 0.75", "0: 0.75", "5", &["0 cells"]),
        (
            "(0.5, [(0, 0), (1, 1)])",
            "(0.6, [(0, 0), (1, 1)])",
            "6",
            &["above 1"],
        ),
        (
            "(0.5, [(0, 0), (1, 1)])",
            "(0.5, [(0, 0), (0, 0)])",
            "6",
            &["twice"],
        ),
        ("(0.5, [(0, 0), (1, 1)])", "(0.5, [])", "6", &["0 cells"]),
        ("(0, 0), (1, 1)", "(0, 0), (9999, 1)", "6", &["9999", "farther"]),
        (
            "(0, 0), (1, 1)",
            "(0, 0), (1, 1), (2, 2), (3, 3)",
            "7",
            &["a shape of 4 cells"],
        ),
    ] {
        let text = edited(TABLE, from, to);
        let at = format!("t.ron:{line}:");
        let memory = edited(MEMORY, "Burst(4)", "Table(\"t.ron\")");
        let files = [("t.ron", text.as_str()), ("m.ron", &memory)];
        refused(&files, &["--memory", "m.ron"], Some(&at), words);
        refused(&files, &["--clusters", "t.ron"], Some(&at), words);
    }
    // Measured shares sum to 1 within 1e-3.
    let place = Workplace::new();
    place.text("t.ron", &edited(TABLE, "1: 0.75", "1: 0.7509"));
    place.json(&["rate", "--bits", "1000", "--clusters", "t.ron"]);
}

#[test]
fn requests_that_do_not_go_together_are_refused() {
    let none: &[(&str, &str)] = &[];
    for (arguments, words) in [
        (
            &["--memory", "kintexusp_geo_bram", "--environment", "nyc_sea_level"][..],
            &["its own environment"][..],
        ),
        (
            &["--memory", "econt_fkeras", "--environment", "hgcal_heh_max"],
            &["its own environment"],
        ),
        (
            &["--fit-per-mb", "20", "--environment", "hgcal_heh_max"],
            &["cannot be scaled", "hadrons"],
        ),
        (
            &["--memory", "zu9_ocm"],
            &["no rate without a flux", "--environment"],
        ),
        (
            &["--memory", "rtpf_lsram", "--environment", "nyc_sea_level"],
            &["LetSpectrum"],
        ),
        (
            &["--memory", "zu9_ocm", "--rate-form", "fit"],
            &["gives no rate in FIT per Mb"],
        ),
        (
            &["--memory", "econt_fkeras", "--rate-form", "cross-section"],
            &["gives no cross-section"],
        ),
        (
            &["--memory", "no_such"],
            &["no memory technology is called `no_such`", "kintex7_bram"],
        ),
        (
            &["--environment", "mars"],
            &["no environment is called `mars`", "avionics_40kft"],
        ),
        (&["--clusters", "big"], &["no cluster table is called `big`"]),
        (&["--clusters", "burst:0"], &["burst:0"]),
        (&["--memory", "missing.ron"], &["missing.ron", "cannot be read"]),
        (&["--memory", "BlockRam=kintex7_bram"], &["storage style"]),
        (&["--dvf", "1.5"], &["--dvf 1.5"]),
        (&["--fit-per-mb", "1e300"], &["strikes per bit and hour", "1e12"]),
        (&["--mission", "1e300"], &["hours = 1", "1e15"]),
        (&["--cross-section", "1e-14"], &["--flux", "--environment"]),
        (
            &["--mission", "4", "--analytic", "--scheme", "secded:72,70"],
            &["secded:72,64"],
        ),
        (
            &["--mission", "4", "--analytic", "--scheme", "ecc"],
            &["secded:N,K"],
        ),
        (
            &["--mission", "4", "--analytic", "--scrub-s", "0"],
            &["--scrub-s 0"],
        ),
    ] {
        refused(none, arguments, None, words);
    }
    let place = Workplace::new();
    for arguments in [
        &["--memory", "kintex7_bram", "--fit-per-mb", "20"][..],
        &["--memory", "kintex7_bram", "--mb", "binary"],
        &[
            "--flux",
            "3",
            "--cross-section",
            "1e-14",
            "--environment",
            "nyc_sea_level",
        ],
        &["--analytic"],
        &["--inference-rate", "1", "--inferences-per-hour", "1"],
    ] {
        let output = place.run(&[&["rate", "--bits", "10"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// A hardware file names the technologies of its styles; a wrong name is refused in its line.
#[test]
fn hardware_files_name_memory_technologies() {
    let hardware = r#"Hardware(
    technology: "xc7",
    clock_mhz: 200.0,
    memory_technologies: {
        BlockRam: "kintex7_bram",
        LutRam: "m.ron",
    },
    default: (folding: Finn(pe: 1, simd: 1), weights: (style: BlockRam), biases: (style: LutRam), thresholds: (style: LutRam)),
)"#;
    let place = Workplace::new();
    place.text("hw/h.ron", hardware);
    place.text("hw/m.ron", MEMORY);
    let json = place.json(&["rate", "--hardware", "hw/h.ron", "--mission", "10"]);
    let classes = json["classes"].as_array().unwrap();
    let named: Vec<(&str, &str)> = classes
        .iter()
        .map(|class| {
            (
                class["class"].as_str().unwrap(),
                class["memory_technology"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(named, [("LutRam", "m"), ("BlockRam", "kintex7_bram")]);
    let bits = |class: usize| classes[class]["stored_bits"].as_f64().unwrap();
    assert_eq!(bits(0) + bits(1), json["stored_bits"].as_f64().unwrap());
    let events = bits(0) * fit(110.0) + bits(1) * fit(66.0 + 39.0 + 1.8);
    close(json["events_per_hour"].as_f64().unwrap(), events);
    close(json["expected_events"].as_f64().unwrap(), 10.0 * events);
    // Both are known within a factor of 2.
    close(json["band"]["events_per_hour"][0].as_f64().unwrap(), events / 2.0);
    close(json["band"]["mttf_hours"][1].as_f64().unwrap(), 2.0 / events);
    // A clock and a folding give the inference rate.
    let cycles = place.json(&["inspect", "--hardware", "hw/h.ron"])["cycles"]["initiation_interval"]
        .as_f64()
        .expect("cycles between two samples");
    let per_hour = 200e6 * 3600.0 / cycles;
    close(json["inferences_per_hour"].as_f64().unwrap(), per_hour);
    close(json["events_per_inference"].as_f64().unwrap(), events / per_hour);
    // The command line comes before the file, for one style or for all.
    let own = place.json(&[
        "rate",
        "--hardware",
        "hw/h.ron",
        "--memory",
        "lut-ram=virtex5_bram",
    ]);
    assert_eq!(own["classes"][0]["memory_technology"], "virtex5_bram");
    assert_eq!(own["classes"][1]["memory_technology"], "kintex7_bram");
    let all = place.json(&["rate", "--hardware", "hw/h.ron", "--memory", "virtex5_bram"]);
    close(
        all["events_per_hour"].as_f64().unwrap(),
        json["stored_bits"].as_f64().unwrap() * fit(692.0),
    );
    for (from, to, line, word) in [
        (
            "BlockRam: \"kintex7_bram\"",
            "BlockRam: \"kintex8\"",
            "h.ron",
            "kintex8",
        ),
        (
            "LutRam: \"m.ron\"",
            "BlockRam: \"m.ron\"",
            "h.ron:6:",
            "two entries",
        ),
        ("LutRam: \"m.ron\"", "Bram: \"m.ron\"", "h.ron:6:", "Bram"),
        ("LutRam: \"m.ron\"", "LutRam: \"n.ron\"", "h.ron", "n.ron"),
    ] {
        place.text("hw/h.ron", &edited(hardware, from, to));
        let output = place.run(&["rate", "--hardware", "hw/h.ron"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(line) && said.contains(word) && said.contains("expected"),
            "{said}"
        );
    }
}

/// The examples of the chapter on rates: its files read, and its first command prints what it says.
#[test]
fn the_chapter_on_rates_is_right() {
    let text = std::fs::read_to_string(cli_common::root().join("docs/rates.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```text\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let place = Workplace::new();
    let printed = place.done(&[
        "rate",
        "--bits",
        "249120000",
        "--fit-per-mb",
        "20",
        "--mission",
        "8766",
    ]);
    assert_eq!(printed, blocks[0]);
    let orbit = blocks
        .iter()
        .find(|block| block.starts_with("Environment("))
        .unwrap();
    let orbit = environment(orbit).unwrap();
    assert_eq!((orbit.segments.len(), orbit.period()), (2, Hours(1.5)));
    let shown = blocks
        .iter()
        .find(|block| block.starts_with("MemoryTechnology("))
        .unwrap();
    let shipped = cli_common::root().join("hw_configs/memories/kintex7_bram.ron");
    assert_eq!(*shown, std::fs::read_to_string(shipped).unwrap());
}

/// Pieces that a hostile file may put anywhere.
const PIECES: [&str; 22] = [
    "",
    "0",
    "-1",
    "1e308",
    "1e-320",
    "inf",
    "NaN",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "Some(",
    "None",
    "Decimal",
    "Bit",
    "4294967296",
    "/*",
];

proptest! {
    /// Whatever stands in a file, it is read or refused; what is read gives finite amounts.
    #[test]
    fn no_file_panics(
        which in 0_usize..3,
        edits in prop::collection::vec((0.0_f64..1.0, 0_usize..12, 0_usize..PIECES.len()), 1..4),
        seed in 0_u64..100,
    ) {
        let mut text = [MEMORY, ENVIRONMENT, TABLE][which].to_owned();
        for (place, length, piece) in edits {
            let at = (place * text.len() as f64) as usize;
            let end = (at + length).min(text.len());
            text.replace_range(at..end, PIECES[piece]);
        }
        let source = SourceText::new("t.ron", text);
        let finite = |profile: &RateProfile| {
            let events = profile.expected_events(1_000_000, Hours(0.0), Hours(1e6));
            events >= 0.0 && events.is_finite() && profile.mean_events_per_bit_hour().is_finite()
        };
        let nyc = Environment::find("nyc_sea_level", Path::new("")).unwrap();
        let kintex = MemoryTechnology::find("kintex7_bram", Path::new("")).unwrap();
        if let Ok(memory) = parse_ron::<MemoryTechnology>(&source, "") {
            for form in [RateForm::Auto, RateForm::Fit, RateForm::CrossSection] {
                for environment in [None, Some(&nyc)] {
                    if let Ok(assessment) = memory.assess(form, environment) {
                        prop_assert!(finite(&assessment.profile));
                    }
                }
            }
        }
        if let Ok(environment) = parse_ron::<Environment>(&source, "")
            && let Ok(profile) = kintex.profile(Some(&environment))
        {
            prop_assert!(finite(&profile));
        }
        if let Ok(table) = parse_ron::<ClusterTable>(&source, "") {
            let clusters = table.clusters();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            prop_assert!(!clusters.draw(&mut random).is_empty());
            prop_assert!(clusters.mean_bits() >= 1.0 - 1e-12);
        }
    }
}
