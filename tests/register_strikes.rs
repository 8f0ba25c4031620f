//! `campaign --registers`.

mod cli_common;

use cli_common::Workplace;
use serde_json::Value;

fn radstream(arguments: &[&str]) -> std::process::Output {
    assert_cmd::Command::cargo_bin("radstream")
        .unwrap()
        .args(arguments)
        .output()
        .unwrap()
}

fn document(arguments: &[&str]) -> Value {
    let done = radstream(arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn records_do_not_depend_on_threads() {
    let place = Workplace::new();
    let mut records = Vec::new();
    for threads in ["1", "2", "7"] {
        let out = place.path(threads);
        let out = out.to_str().unwrap();
        let done = radstream(&[
            "campaign",
            "--registers",
            "60",
            "--limit",
            "5",
            "--threads",
            threads,
            "--out",
            out,
            "--quiet",
        ]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let read = |name: &str| std::fs::read(place.path(threads).join(name)).unwrap();
        records.push((read("records.csv"), read("summary.json")));
    }
    assert!(records.windows(2).all(|pair| pair[0] == pair[1]));
    let lines = String::from_utf8(records[0].0.clone()).unwrap();
    assert_eq!(lines.lines().count(), 61);
}

#[test]
fn shares_add_up_and_follow_the_records() {
    let place = Workplace::new();
    let out = place.path("out");
    let summary = document(&[
        "campaign",
        "--registers",
        "200",
        "--limit",
        "10",
        "--json",
        "--out",
        out.to_str().unwrap(),
        place_of_model().as_str(),
    ]);
    let mut reader = csv::Reader::from_path(out.join("records.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for outcome in summary["all"]["outcomes"].as_array().unwrap() {
        let name = outcome["outcome"].as_str().unwrap();
        let listed = rows.iter().filter(|row| &row[7] == name).count() as u64;
        assert_eq!(outcome["strikes"], listed, "{name}");
    }
    for (key, column) in [("by_class", 2), ("by_layer", 1)] {
        let groups = summary[key].as_array().unwrap();
        let sum = |of: &str| {
            groups
                .iter()
                .map(|group| group[of].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(
            (sum("strikes"), sum("bits")),
            (200, summary["all"]["bits"].as_u64().unwrap())
        );
        for group in groups {
            let name = group["class"].as_str().unwrap();
            let listed = rows.iter().filter(|row| &row[column] == name).count() as u64;
            assert_eq!(group["strikes"], listed, "{name}");
        }
    }
}

fn place_of_model() -> String {
    cli_common::model("digits_small_cls").to_str().unwrap().to_owned()
}

#[test]
fn a_mission_adds_what_registers_do() {
    let place = Workplace::new();
    let out = place.path("out");
    let out = out.to_str().unwrap();
    let hardware = cli_common::root().join("hw_configs/digits_medium_ae.finn.ron");
    let base = [
        "campaign",
        "--mission",
        "1",
        "--rate-per-s",
        "0.01",
        "--repetitions",
        "5",
        "--limit",
        "5",
        "--registers",
        "100",
        "--json",
        "--out",
        out,
        "--hardware",
        hardware.to_str().unwrap(),
    ];
    let always = document(&base);
    let storage = &always["short_lived_storage"];
    assert_eq!(storage["simulated"], true);
    let number = |value: &Value| value.as_f64().unwrap();
    // Strikes per stored bit, times the bits of the registers.
    let expected = 0.01 * 3600.0 / number(&always["stored_bits"]) * number(&storage["register_bits"]);
    assert!((number(&storage["events_per_hour"]) / expected - 1.0).abs() < 1e-12);
    let wrong = expected * number(&storage["all"]["effective"]);
    assert!((number(&storage["wrong_per_hour"]) - wrong).abs() <= 1e-12 * wrong.max(1e-300));
    let design = &always["designs"][0];
    let sum = number(&design["failures"]["per_hour"]) + wrong;
    assert!((number(&design["failures_with_registers_per_hour"]) / sum - 1.0).abs() < 1e-12);

    // A tenth of the possible inferences leaves a tenth of the time.
    let clock_mhz = radstream::accelerator::Hardware::read(&hardware)
        .unwrap()
        .clock_mhz;
    let hertz = 1e6 * clock_mhz.expect("the file states a clock");
    let rate = (0.1 * hertz / number(&storage["cycles_per_inference"])).to_string();
    let place = place.path("rare");
    let mut rare = base.to_vec();
    let at = rare.iter().position(|argument| *argument == out).unwrap();
    rare[at] = place.to_str().unwrap();
    rare.extend(["--inference-rate", &rate]);
    let rare = document(&rare);
    let live = number(&rare["short_lived_storage"]["live_share"]);
    assert!((live - 0.1).abs() < 1e-9, "{live}");
}

#[test]
fn what_cannot_be_struck_is_refused() {
    for (arguments, says) in [
        (
            &["campaign", "--registers", "0"][..],
            "0 strikes on registers are out of range",
        ),
        (
            &[
                "campaign",
                "--registers",
                "5",
                "--mission",
                "1",
                "--rate-per-s",
                "1",
                "--inference-rate",
                "9",
            ],
            "needs a clock",
        ),
        (
            &["campaign", "--registers", "5", "--exhaustive"],
            "cannot be used with",
        ),
    ] {
        let place = Workplace::new();
        let out = place.path("out");
        let mut arguments = arguments.to_vec();
        arguments.extend(["--out", out.to_str().unwrap(), "--limit", "2"]);
        let done = radstream(&arguments);
        let text = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{text}");
        assert!(text.contains(says), "{text}");
        assert!(!out.join("records.csv").exists());
    }
}
