//! What environments, memory technologies and cluster tables come to.

mod cli_common;
mod radiation_common;

use std::path::Path;

use cli_common::Workplace;
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
        close(permanent.profile().mean_events_per_bit_hour(), per_bit_hour);
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
    let sensitive = plain["protection"]["sensitive_bits"].as_f64().unwrap();
    // A strike of the technology flips four bits.
    close(
        plain["protection"]["loss_raising_upsets_per_hour"]["plain"]
            .as_f64()
            .unwrap(),
        sensitive * fit(110.0) * 4.0,
    );
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
