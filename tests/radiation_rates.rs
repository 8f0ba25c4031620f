//! What environments, memory technologies and cluster tables come to.

mod cli_common;
mod radiation_common;

use std::path::Path;

use cli_common::Workplace;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use proptest::prelude::*;
use radiation_common::{ENVIRONMENT, MEMORY, edited, environment, memory};
use radstream::radiation::rate::Hours;
use radstream::radiation::{Environment, MemoryTechnology, RadiationError, RateForm, RateProfile, Status};

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
    close(profile.mean().value(), fit(110.0));
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
        let events = memory(&plain).unwrap().profile(None).unwrap().mean().value();
        close(events, per_bit_hour / (0.75 + 2.0 * 0.15 + 3.0 * 0.1));
        let events = memory(&edited(&plain, "counts: Bit", "counts: Event")).unwrap();
        close(events.profile(None).unwrap().mean().value(), per_bit_hour);
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
    // Simpson's rule on power laws through the points.
    let law = |from: (f64, f64), to: (f64, f64)| {
        let slope = libm::log(to.1 / from.1) / libm::log(to.0 / from.0);
        let height =
            move |l: f64| 1e-8 * (1.0 - libm::exp(-(l - 2.0) / 5.0)) * from.1 * libm::pow(l / from.0, slope);
        let steps = 20_000;
        let width = (to.0 - from.0) / f64::from(steps);
        let sum: f64 = (0..steps)
            .map(|step| {
                let left = from.0 + f64::from(step) * width;
                height(left) + 4.0 * height(left + 0.5 * width) + height(left + width)
            })
            .sum();
        sum * width / 6.0
    };
    let per_s = law((2.0, 6.0), (7.0, 4.0)) + law((7.0, 4.0), (12.0, 1.0));
    let got = profile.mean().value();
    assert!((got / (2.0 * 3600.0 * per_s) - 1.0).abs() < 1e-10, "{got}");
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
        assert_eq!(profile.mean().value(), 0.0);
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
    let of_classes = |key: &str| -> f64 { classes.iter().map(|class| class[key].as_f64().unwrap()).sum() };
    for key in [
        "events_per_hour",
        "events_per_day",
        "events_per_inference",
        "flipped_bits_per_hour",
        "flipped_bits_per_day",
        "flipped_bits_per_inference",
        "expected_events",
        "expected_flipped_bits",
    ] {
        close(json[key].as_f64().unwrap(), of_classes(key));
    }
    // Four bits for each strike of the one, 1.312 for the other.
    let flips = bits(0) * fit(110.0) * 4.0 + bits(1) * fit(66.0 + 39.0 + 1.8) * 1.312;
    close(json["flipped_bits_per_day"].as_f64().unwrap(), 24.0 * flips);
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

/// Stuck bits have a rate of their own, which no environment scales.
#[test]
fn permanent_faults_are_read_and_kept_apart() {
    for (rate, per_bit_hour) in [
        ("FitPerMb(value: 50.0, mb: Binary)", 50.0 / 1e9 / 1_048_576.0),
        ("PerBitDay(stuck: 2.4e-11)", 1e-12),
    ] {
        let text = edited(
            MEMORY,
            "    uncertainty_factor: 2.0,",
            &format!(
                "    uncertainty_factor: 2.0,\n    permanent: (rate: {rate}, stuck_at_one_share: 0.25),"
            ),
        );
        let with = memory(&text).unwrap();
        let permanent = with.permanent.as_ref().unwrap();
        close(permanent.per_bit_hour(), per_bit_hour);
        close(permanent.profile().mean().value(), per_bit_hour);
        assert_eq!(permanent.stuck_at_one_share, 0.25);
        let without = memory(MEMORY).unwrap();
        assert_eq!(with.profile(None).unwrap(), without.profile(None).unwrap());
        assert!(without.permanent.is_none());
        assert!(memory(&edited(&text, "0.25", "1.25")).is_err());
    }
}

/// `harden` and `protect` rate the bits by their style's technology.
#[test]
fn harden_takes_the_same_options() {
    let place = Workplace::new();
    place.text("m.ron", MEMORY);
    place.text("h.ron", "Hardware(memory_technologies: { Registers: \"m.ron\" })");
    let run = |arguments: &[&str]| {
        let common = [
            "harden", "--limit", "2", "--trials", "2", "--out", "out", "--quiet",
        ];
        place.json(&[&common[..], arguments].concat())
    };
    let plain = run(&["--hardware", "h.ron"]);
    let bits = plain["rate"]["stored_bits"].as_f64().unwrap();
    close(
        plain["rate"]["upsets_per_hour"].as_f64().unwrap(),
        bits * fit(110.0),
    );
    let number = |of: &serde_json::Value| of.as_f64().unwrap();
    let rate = &plain["rate"];
    close(number(&rate["flipped_bits_per_hour"]), bits * fit(110.0) * 4.0);
    close(number(&rate["fit_strikes"]), bits * fit(110.0) * 1e9);
    assert_eq!(rate["clusters"], serde_json::json!(["burst:4"]));
    let sensitive = plain["protection"]["sensitive_bits"].as_f64().unwrap();
    // A strike of the technology flips four bits: it reaches more than one sensitive bit where they are many.
    let upsets = &plain["protection"]["loss_raising_upsets_per_hour"];
    let flips = &plain["protection"]["loss_raising_flipped_bits_per_hour"];
    let per_flip = number(&flips["plain"]) / (sensitive * fit(110.0));
    // Cells at the ends of a memory are reached from fewer places, the others from more.
    assert!(per_flip > 3.0 && per_flip < 4.5, "{per_flip}");
    for key in ["plain", "selective"] {
        assert!(number(&upsets[key]) <= number(&flips[key]));
        assert!(number(&upsets[key]) <= number(&rate["upsets_per_hour"]));
        assert!(number(&flips[key]) <= number(&rate["flipped_bits_per_hour"]));
    }
    assert!(number(&upsets["plain"]) > 0.0 && number(&upsets["plain"]) < number(&flips["plain"]));
    std::fs::remove_dir_all(place.path("out")).unwrap();
    // Strikes of single bits reach as many as there are, whatever the rate counts.
    for counts in ["event", "bit"] {
        let single = run(&["--fit-per-mb", "110", "--counts", counts, "--clusters", "single"]);
        let protection = &single["protection"];
        for key in [
            "loss_raising_upsets_per_hour",
            "loss_raising_flipped_bits_per_hour",
        ] {
            close(number(&protection[key]["plain"]), sensitive * fit(110.0));
            let left = number(&protection["sensitive_bits_unprotected"]);
            close(number(&protection[key]["selective"]), left * fit(110.0));
        }
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
    // Every bit is reached by a burst as long as the longest memory: never more often than there are strikes.
    let wide = run(&[
        "--fit-per-mb",
        "110",
        "--counts",
        "bit",
        "--clusters",
        "burst:4096",
    ]);
    let upsets = &wide["protection"]["loss_raising_upsets_per_hour"];
    assert!(number(&upsets["plain"]) <= number(&wide["rate"]["upsets_per_hour"]) * (1.0 + 1e-12));
    close(number(&wide["rate"]["fit_strikes"]), bits * 110.0 / 1e6 / 4096.0);
    std::fs::remove_dir_all(place.path("out")).unwrap();
    let high = run(&[
        "--memory-technology",
        "virtex5_bram",
        "--environment",
        "avionics_40kft",
    ]);
    close(
        high["rate"]["upsets_per_hour"].as_f64().unwrap(),
        bits * 3.96e-14 * 6000.0,
    );
}

/// 100 flipped bits in 1e9 h on 1 Mb, 8 bits a strike: 1.25e-8 strikes per hour, from the options and from the file.
#[test]
fn a_file_and_options_say_the_same() {
    let place = Workplace::new();
    place.text(
        "tech.ron",
        r#"MemoryTechnology(name: "made_up", memory: "BRAM", source: "made up", status: [Source],
            rate: FitPerMb(value: 100.0, mb: Decimal, counts: Bit), clusters: Burst(8))"#,
    );
    let common = ["rate", "--bits", "1000000", "--mission", "1000"];
    let options = ["--fit-per-mb", "100", "--counts", "bit", "--clusters", "burst:8"];
    let file = ["--memory", "tech.ron"];
    // 1e-19 cm2 would be too small a cross-section: 1e-16 cm2 at 1000 per cm2 and h are 1e-13 per bit and h.
    let section = [
        "--cross-section",
        "1e-16",
        "--flux",
        "0.2777777777777778",
        "--counts",
        "bit",
        "--clusters",
        "burst:8",
    ];
    for arguments in [&options[..], &file[..], &section[..]] {
        let json = place.json(&[&common[..], arguments].concat());
        for (key, expected) in [
            ("upsets_per_hour", 1.25e-8),
            ("strikes_per_hour", 1.25e-8),
            ("events_per_hour", 1.25e-8),
            ("upsets_per_day", 3e-7),
            ("flipped_bits_per_hour", 1e-7),
            ("fit", 12.5),
            ("fit_strikes", 12.5),
            ("fit_flipped_bits", 100.0),
            ("hours_per_upset", 8e7),
            ("hours_per_strike", 8e7),
            ("hours_per_flipped_bit", 1e7),
            ("mttf_hours", 8e7),
            ("flipped_bits_per_strike", 8.0),
            ("expected_upsets", 1.25e-5),
            ("expected_strikes", 1.25e-5),
            ("expected_events", 1.25e-5),
            ("expected_flipped_bits", 1e-4),
        ] {
            close(json[key].as_f64().unwrap_or_else(|| panic!("{key}")), expected);
        }
        assert_eq!(json["counts"], "bit");
        assert_eq!(json["clusters"], serde_json::json!(["burst:8"]));
        let text = place.done(&[&common[..], arguments].concat());
        for said in [
            "upsets per hour  1.25e-8 strikes",
            "FIT              12.5 strikes",
            "hours per upset  8e7 (9126.2 years) per strike",
            "flipped bits     1e-7 per hour, FIT 100, 8 a strike (clusters: burst:8)",
            "in 1000 h        1.25e-5 strikes expected",
        ] {
            assert!(text.contains(said), "{said}:\n{text}");
        }
    }
}

/// Bits of a technology that hardware names are hit at its rate, and the report says so, not the default.
#[test]
fn the_technologies_of_hardware_are_named() {
    let place = Workplace::new();
    place.text(
        "m.ron",
        &edited(
            MEMORY,
            "value: 100.0, mb: Decimal, counts: Event",
            "value: 100.0, mb: Binary, counts: Bit",
        ),
    );
    place.text("h.ron", "Hardware(memory_technologies: { Registers: \"m.ron\" })");
    let json = place.json(&["rate", "--hardware", "h.ron"]);
    assert_eq!(json["source"], "m");
    assert_eq!((&json["counts"], &json["mb"]), (&"bit".into(), &"binary".into()));
    assert!(json["fit_per_mb"].is_null());
    let plain = place.json(&["rate"]);
    assert_eq!(
        (&plain["counts"], &plain["fit_per_mb"]),
        (&"event".into(), &20.0.into())
    );
}

fn whole(number: u64) -> BigRational {
    BigRational::from_integer(BigInt::from(number))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    /// Any technology, clusters, environment and mission, against exact rationals: as options and as a file.
    #[test]
    fn rates_are_those_of_exact_rationals(
        value in 1u64..5000, binary: bool, of_bits: bool, by_section: bool,
        burst in 1u32..40, sixteenths in proptest::collection::vec(1u64..9, 1..4), by_table: bool,
        bits in 1u64..3_000_000, mission in 1u64..10_000, times_new_york in proptest::option::of(1u64..500),
    ) {
        use radstream::study::{RateRequest, Session, UpsetRequest};
        use radstream::radiation::rate::{Counts, Megabit};
        let place = Workplace::new();
        let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
        // Shares are sixteenths of the first sizes, the rest is of size 9.
        let mut shares: Vec<(u64, u64)> = (1..).zip(sixteenths).collect();
        let mut left: u64 = 16;
        shares.retain(|(_, share)| {
            let fits = *share <= left;
            left -= if fits { *share } else { 0 };
            fits
        });
        shares.push((9, left));
        let sizes: Vec<String> = shares
            .iter()
            .map(|(size, share)| format!("{size}: {}", *share as f64 / 16.0))
            .collect();
        place.text("t.ron", &format!(
            "ClusterTable(name: \"t\", source: \"s\", status: [Source], sizes: {{{}}})", sizes.join(", ")
        ));
        let (mean, clusters, in_file) = if by_table {
            let sum: u64 = shares.iter().map(|(size, share)| size * share).sum();
            (whole(sum) / whole(16), path("t.ron"), "Table(\"t.ron\")".to_owned())
        } else {
            (whole(u64::from(burst)), format!("burst:{burst}"), format!("Burst({burst})"))
        };
        let counts = if of_bits { Counts::Bit } else { Counts::Event };
        let named = if of_bits { "Bit" } else { "Event" };
        let megabit = if binary { Megabit::Binary } else { Megabit::Decimal };
        place.text("e.ron", &format!(
            "Environment(name: \"e\", source: \"s\", status: [Source], segments: [(from_h: 0.0, to_h: 1.0, \
             flux: TimesNewYork({}.0), particle: Neutron, e_min_mev: 10.0)])", times_new_york.unwrap_or(7)
        ));
        let environment = (by_section || times_new_york.is_some()).then(|| path("e.ron"));
        let flux = times_new_york.unwrap_or(if by_section { 7 } else { 1 });
        // Strikes or flipped bits per bit and hour.
        let (rate, per_bit, mut options) = if by_section {
            let section = value as f64 * 1e-16;
            let rate = format!("CrossSection(cm2_per_bit: {section:e}, counts: {named}, particle: Neutron, e_min_mev: 10.0)");
            let per_bit = BigRational::from_float(section).unwrap() * whole(13 * flux);
            (rate, per_bit, RateRequest { cross_section_cm2: Some(section), ..RateRequest::default() })
        } else {
            let mb = if binary { "Binary" } else { "Decimal" };
            let rate = format!("FitPerMb(value: {value}.0, mb: {mb}, counts: {named})");
            let megabit_bits = if binary { 1 << 20 } else { 1_000_000 };
            let per_bit = whole(value * flux) / whole(1_000_000_000) / whole(megabit_bits);
            (rate, per_bit, RateRequest { fit_per_mb: Some(value as f64), mb: Some(megabit), ..RateRequest::default() })
        };
        place.text("m.ron", &format!(
            "MemoryTechnology(name: \"m\", memory: \"x\", source: \"s\", status: [Source], rate: {rate}, clusters: {in_file})"
        ));
        options.counts = Some(counts);
        options.clusters = Some(clusters);
        options.environment.clone_from(&environment);
        let file = RateRequest { memory_technology: vec![path("m.ron")], environment, ..RateRequest::default() };
        let total = per_bit * whole(bits);
        let (strikes, flips) = if of_bits { (&total / &mean, total.clone()) } else { (total.clone(), &total * &mean) };
        let mut seen = Vec::new();
        for rate in [options, file] {
            let request = UpsetRequest { rate, bits: Some(bits), mission_h: Some(mission as f64), ..UpsetRequest::default() };
            let report = request.run(&Session::default()).unwrap();
            let json = serde_json::to_value(&report).unwrap();
            let is = |key: &str, expected: BigRational| {
                close(json[key].as_f64().unwrap_or_else(|| panic!("{key}")), expected.to_f64().unwrap());
            };
            let billion = || whole(1_000_000_000);
            for key in ["upsets_per_hour", "strikes_per_hour", "events_per_hour"] {
                is(key, strikes.clone());
            }
            is("flipped_bits_per_hour", flips.clone());
            is("flipped_bits_per_strike", mean.clone());
            is("upsets_per_day", &strikes * whole(24));
            is("flipped_bits_per_day", &flips * whole(24));
            is("fit", &strikes * billion());
            is("fit_strikes", &strikes * billion());
            is("fit_flipped_bits", &flips * billion());
            for key in ["hours_per_upset", "hours_per_strike", "mttf_hours"] {
                is(key, strikes.recip());
            }
            is("hours_per_flipped_bit", flips.recip());
            for key in ["expected_upsets", "expected_strikes", "expected_events"] {
                is(key, &strikes * whole(mission));
            }
            is("expected_flipped_bits", &flips * whole(mission));
            assert_eq!(json["counts"], if of_bits { "bit" } else { "event" });
            let numbers = |key: &&str| json[*key].clone();
            seen.push(["upsets_per_hour", "fit_flipped_bits", "hours_per_upset", "expected_flipped_bits", "mb", "clusters"]
                .iter().map(numbers).collect::<Vec<_>>());
        }
        assert_eq!(seen[0], seen[1]);
    }

    /// The mean time to a failure is one over the sum of the rates, what single strikes set included.
    #[test]
    fn closed_forms_add_what_single_strikes_set(
        words in 1u64..5000, log_rate in -4.0f64..0.0, burst in 1u32..9, scrub_s in 1u32..5000, interleave in 1u32..9,
    ) {
        use radstream::study::{ClosedForm, RateRequest, Session, UpsetRequest};
        use radstream::radiation::rate::Counts;
        let per_bit = libm::pow(10.0, log_rate - 2.0);
        let request = |clusters: String| UpsetRequest {
            rate: RateRequest {
                fit_per_mb: Some(per_bit * 1e15),
                counts: Some(Counts::Event),
                clusters: Some(clusters),
                ..RateRequest::default()
            },
            words: Some(words),
            mission_h: Some(10.0),
            analytic: true,
            scheme: "secded:22,16".parse::<ClosedForm>().unwrap(),
            scrub_s: Some(f64::from(scrub_s)),
            interleave,
            ..UpsetRequest::default()
        };
        let report = request(format!("burst:{burst}")).run(&Session::default()).unwrap();
        let form = report.analytic.unwrap();
        // A burst puts two flips into one word where it is longer than the words take turns.
        let share = if burst > interleave { 1.0 } else { 0.0 };
        let floor = 22.0 * words as f64 * per_bit * share;
        assert_eq!(form.share_in_one_word, share);
        assert!((form.single_event_floor_per_hour - floor).abs() <= 1e-12 * floor);
        close(form.single_event_floor + 1.0, 10.0 * floor + 1.0);
        let p = 0.5 * (1.0 - libm::exp(-2.0 * per_bit * f64::from(burst) * f64::from(scrub_s) / 3600.0));
        let fails = |p: f64| 1.0 - libm::pow(1.0 - p, 22.0) - 22.0 * p * libm::pow(1.0 - p, 21.0);
        let any = 1.0 - libm::pow(1.0 - fails(p), words as f64);
        let rate = any / (f64::from(scrub_s) / 3600.0) + floor;
        let got = form.mttf_hours.unwrap().0;
        // The oracle's own tail cancels.
        let tolerance = 1e-6 + 1e-13 / fails(p).max(1e-300);
        if tolerance < 1e-3 {
            assert!((got * rate - 1.0).abs() < tolerance, "{got} {}", 1.0 / rate);
        }
        assert!(floor == 0.0 || got <= 1.0 / floor * (1.0 + 1e-12));
        assert!((form.expected_failures_with_floor - form.expected_failures - 10.0 * floor).abs() <= 1e-9 * (1.0 + 10.0 * floor));
        let single = request("single".to_owned()).run(&Session::default()).unwrap().analytic.unwrap();
        assert_eq!(single.single_event_floor, 0.0);
        assert!(form.mttf_hours.unwrap().0 <= single.mttf_hours.unwrap().0 * (1.0 + 1e-12));
        assert!(form.p_any >= single.p_any * (1.0 - 1e-12) && form.p_any <= 1.0);
    }
}
