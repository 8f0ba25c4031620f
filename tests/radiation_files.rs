//! Environment, memory technology and cluster files: what is refused, and at which place.

mod cli_common;
mod radiation_common;

use std::path::Path;

use cli_common::Workplace;
use proptest::prelude::*;
use radiation_common::{ENVIRONMENT, MEMORY, TABLE, edited};
use radstream::data::{SourceText, parse_ron};
use radstream::radiation::rate::Hours;
use radstream::radiation::{ClusterTable, Environment, MemoryTechnology, RateForm, RateProfile};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
    for other in [
        "PerBitDay(upsets: 1e-9, counts: Event)",
        "FitPerMb(value: 3.0, mb: Decimal, counts: Event)",
    ] {
        let twice = edited(
            MEMORY,
            "CrossSection(cm2_per_bit: 1e-14, counts: Event, particle: Neutron, e_min_mev: 10.0)",
            other,
        );
        refused(
            &[("m.ron", &twice)],
            &["--memory", "m.ron"],
            Some("m.ron:7:"),
            &["beside a rate in FIT", "alternatives"],
        );
    }
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
        Some("e.ron:"),
        &["e.ron:9:", "5 times", "6 times"],
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
        (&["--dvf", "1.5"], &["a vulnerability factor of 1.5", "--dvf"]),
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
            &["every 0 s", "--scrub-s"],
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
            events >= 0.0 && events.is_finite() && profile.mean().value().is_finite()
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
