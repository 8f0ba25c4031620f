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
        records.push((
            read("records.csv"),
            read("summary.json"),
            read("register_avf.csv"),
        ));
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
    for (key, name, column) in [("by_class", "class", 2), ("by_layer", "layer", 1)] {
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
            let name = group[name].as_str().unwrap();
            let listed = rows.iter().filter(|row| &row[column] == name).count() as u64;
            assert_eq!(group["strikes"], listed, "{name}");
        }
    }
}

/// Numbers of a table of registers, by path.
fn table(out: &std::path::Path) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(out.join("register_avf.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// Every group's AVF is what the records say, and what groups say adds up to the whole.
#[test]
fn vulnerability_factors_follow_the_records_and_add_up() {
    let place = Workplace::new();
    let out = place.path("out");
    let summary = document(&[
        "campaign",
        "--registers",
        "600",
        "--limit",
        "4",
        "--json",
        "--fit-per-mb",
        "50",
        "--out",
        out.to_str().unwrap(),
        "--hardware",
        hardware().as_str(),
        cli_common::model("digits_medium_ae").to_str().unwrap(),
    ]);
    let mut reader = csv::Reader::from_path(out.join("records.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let number = |value: &Value| value.as_f64().unwrap();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-300);
    // The path of a lane without its indices.
    let register = |row: &csv::StringRecord| -> String {
        let listed = summary["by_register"].as_array().unwrap().iter();
        let path = &row[8];
        let own = |register: &str| {
            let rest = path.strip_prefix(register)?;
            (rest.is_empty() || rest.starts_with('[') || rest.starts_with('.')).then_some(register.len())
        };
        let found = listed.filter_map(|register| {
            let name = register["register"].as_str().unwrap();
            own(name).map(|length| (length, name))
        });
        found.max().unwrap().1.to_owned()
    };
    let of_rows: Vec<(String, String, String)> = rows
        .iter()
        .map(|row| {
            let path = register(row);
            let unit = path.rsplit_once('.').unwrap().0.to_owned();
            (path, unit, row[7].to_owned())
        })
        .collect();
    for (key, name) in [("by_register", 0), ("by_unit", 1)] {
        let groups = summary[key].as_array().unwrap();
        let mut strikes = 0;
        for group in groups {
            let field = ["register", "unit"][name];
            let called = group[field].as_str().unwrap();
            let own: Vec<&str> = of_rows
                .iter()
                .filter(|row| [&row.0, &row.1][name] == called)
                .map(|row| row.2.as_str())
                .collect();
            let count = |of: &[&str]| own.iter().filter(|outcome| of.contains(outcome)).count() as f64;
            assert_eq!(group["strikes"], own.len() as u64, "{called}");
            strikes += own.len();
            if own.is_empty() {
                assert!(
                    group["avf"].is_null() && group["avf_interval"].is_null(),
                    "{group}"
                );
                continue;
            }
            let n = own.len() as f64;
            let harm = n - count(&["no_effect"]);
            assert!(near(number(&group["avf"]), harm / n), "{group}");
            assert_eq!(group["avf_interval"]["method"], "clopper_pearson");
            assert!(number(&group["avf_interval"]["low"]) <= harm / n);
            assert!(number(&group["avf_interval"]["high"]) >= harm / n);
            let parts = [
                ("silent_corruption", &["output_changed", "class_changed"][..]),
                ("hang", &["hang"]),
                ("stream_corruption", &["stream_corrupted"]),
            ];
            for (part, of) in parts {
                assert!(near(number(&group[part]["share"]), count(of) / n), "{group}");
                assert_eq!(group[part]["interval"]["method"], "clopper_pearson");
            }
            // 50 flipped bits per 1e9 hours and 1e6 bits.
            let raw = 50e-6 * number(&group["bits"]);
            assert!(
                near(number(&group["rates"]["raw_flipped_bits_fit"]), raw),
                "{group}"
            );
            assert!(
                near(number(&group["rates"]["failure_fit"]), raw * harm / n),
                "{group}"
            );
            let parts = ["silent_corruption_fit", "hang_fit", "stream_corruption_fit"];
            let sum: f64 = parts.map(|part| number(&group["rates"][part])).iter().sum();
            assert!(near(sum, raw * harm / n), "{group}");
        }
        assert_eq!(strikes, 600, "{key}");
    }
    let units = summary["by_unit"].as_array().unwrap();
    let struck = || units.iter().filter(|unit| unit["avf"].is_f64());
    let effective: f64 = struck()
        .map(|unit| number(&unit["bits"]) * number(&unit["avf"]))
        .sum();
    let bits: f64 = struck().map(|unit| number(&unit["bits"])).sum();
    let whole = &summary["post_stratified"];
    assert!(near(number(&whole["effective_bits"]), effective));
    assert!(near(number(&whole["avf"]), effective / bits));
    assert!(near(number(&whole["failure_fit"]), 50e-6 * effective));
    assert_eq!(
        number(&whole["bits"]) + number(&whole["bits_without_strikes"]),
        number(&summary["all"]["bits"])
    );
    let all = &summary["all"]["avf_interval"];
    let post_stratified = number(&whole["avf"]);
    assert!(number(&all["low"]) <= post_stratified && post_stratified <= number(&all["high"]));
    for part in ["raw_rate", "sampling", "avf_counts", "not_examined"] {
        assert!(!summary[part].is_null(), "{part}");
    }
    // The same numbers in the table.
    let table = table(&out);
    let listed = summary["by_register"].as_array().unwrap();
    assert_eq!(table.len(), listed.len());
    let left = &summary["not_examined"];
    let unstruck = listed.iter().filter(|row| row["strikes"] == 0);
    assert_eq!(left["registers_without_strikes"], unstruck.count() as u64);
    for (row, register) in table.iter().zip(listed) {
        assert_eq!(row["register"], register["register"].as_str().unwrap());
        assert_eq!(row["live"], register["live"].as_str().unwrap());
        assert_eq!(row["bits"], register["bits"].to_string());
        match register["avf"].as_f64() {
            None => assert_eq!((&row["avf"][..], &row["interval"][..]), ("", "")),
            Some(avf) => {
                assert!(near(row["avf"].parse().unwrap(), avf));
                assert_eq!(row["interval"], "clopper_pearson");
                let fit = number(&register["rates"]["failure_fit"]);
                assert!(near(row["failure_fit"].parse().unwrap(), fit));
            }
        }
    }
}

/// The rate changes failure rates and no strike, and a rate of inferences leaves its share of the time.
#[test]
fn another_rate_takes_the_strikes_that_are_there() {
    let place = Workplace::new();
    let out = place.path("out");
    let run = |rate: &[&str]| {
        let base = [
            "campaign",
            "--registers",
            "80",
            "--limit",
            "3",
            "--json",
            "--out",
            out.to_str().unwrap(),
        ];
        document(&[&base[..], rate].concat())
    };
    let number = |value: &Value| value.as_f64().unwrap();
    let first = run(&["--fit-per-mb", "10"]);
    let records = std::fs::read(out.join("records.csv")).unwrap();
    let written = std::fs::metadata(out.join("records.csv"))
        .unwrap()
        .modified()
        .unwrap();
    let second = run(&["--fit-per-mb", "30"]);
    let modified = std::fs::metadata(out.join("records.csv"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(written, modified, "strikes are not run again");
    assert_eq!(records, std::fs::read(out.join("records.csv")).unwrap());
    assert_eq!(first["all"]["avf"], second["all"]["avf"]);
    let fit = |summary: &Value| number(&summary["all"]["rates"]["raw_flipped_bits_fit"]);
    assert!((fit(&second) / fit(&first) - 3.0).abs() < 1e-12);
    let by_default = run(&[]);
    let assumed = by_default["raw_rate"]["assumptions"].as_array().unwrap();
    assert!(
        assumed.iter().any(|row| row["id"] == "register_rate"),
        "{assumed:?}"
    );
}

/// Flip-flops have a rate of their own where one is stated, whatever memories have: in campaigns and in missions.
#[test]
fn registers_are_struck_at_the_rate_of_flip_flops() {
    let place = Workplace::new();
    let number = |value: &Value| value.as_f64().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = place.path(name);
        let base = [
            "campaign",
            "--registers",
            "20",
            "--limit",
            "2",
            "--json",
            "--memory-technology",
            "ultrascale_bram",
            "--memory-technology",
            "registers=kintexusp_geo_ff",
            "--out",
            out.to_str().unwrap(),
        ];
        document(&[&base[..], more].concat())
    };
    // 2.08e-8 flipped bits per bit and day.
    let per_hour = 2.08e-8 / 24.0;
    let campaign = run("campaign", &[]);
    let raw = number(&campaign["raw_rate"]["flipped_bits_per_bit_hour"]);
    assert!((raw / per_hour - 1.0).abs() < 1e-12, "{raw}");
    let all = &campaign["all"];
    let fit = number(&all["bits"]) * per_hour * 1e9;
    assert!((number(&all["rates"]["raw_flipped_bits_fit"]) / fit - 1.0).abs() < 1e-12);
    let mission = run("mission", &["--mission", "1", "--repetitions", "2"]);
    let storage = &mission["short_lived_storage"];
    let expected = number(&storage["register_bits"]) * per_hour;
    assert!((number(&storage["flipped_bits_per_hour"]) / expected - 1.0).abs() < 1e-12);
    let assumed = mission["assumptions"].as_array().unwrap();
    let of_registers = |row: &&Value| row["text"].as_str().unwrap().contains("kintexusp_geo_ff");
    assert!(assumed.iter().any(|row| of_registers(&row)), "{assumed:?}");
}

fn hardware() -> String {
    let file = cli_common::root().join("hw_configs/digits_medium_ae.finn.ron");
    file.to_str().unwrap().to_owned()
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
    let wrong = expected * number(&storage["all"]["avf"]);
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

/// Every flip in every cycle of one sample: whole, in parts that are joined, and on any number of threads.
#[test]
fn classes_of_flips_add_up_in_parts_and_as_a_whole() {
    let place = Workplace::new();
    let model = place_of_model();
    let run = |out: &str, more: &[&str]| {
        let out = place.path(out);
        let begin = [
            "campaign",
            &model,
            "--registers-exhaustive",
            "--every",
            "211",
            "--limit",
            "2",
        ];
        let end = ["--out", out.to_str().unwrap(), "--json"];
        document(&[&begin[..], more, &end[..]].concat())
    };
    let whole = run("whole", &["--threads", "1"]);
    run("one", &["--shard", "1/2"]);
    run("two", &["--shard", "2/2", "--threads", "3"]);
    let [one, two, joined] = ["one", "two", "joined"].map(|name| place.path(name));
    let [one, two, joined] = [&one, &two, &joined].map(|path| path.to_str().unwrap());
    let merged = document(&["merge", one, two, "--out", joined, "--json"]);
    assert_eq!(merged["all"], whole["all"]);
    let records = |name: &str| std::fs::read(place.path(name).join("records.csv")).unwrap();
    assert_eq!(records("joined"), records("whole"));
    let mut reader = csv::Reader::from_path(place.path("whole").join("records.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let number = |cell: &str| cell.parse::<u64>().unwrap();
    let weights: u64 = rows.iter().map(|row| number(&row[7])).sum();
    let effects = rows.iter().filter(|row| &row[8] != "no_effect");
    let effects: u64 = effects.map(|row| number(&row[7])).sum();
    let all = &whole["all"];
    let cycles = &whole["cycles"];
    let cycles = cycles["end"].as_u64().unwrap() - cycles["start"].as_u64().unwrap();
    assert_eq!(all["flips"], weights);
    assert_eq!(weights, all["bits"].as_u64().unwrap() * cycles);
    assert_eq!(all["classes"], rows.len());
    let avf = all["avf"].as_f64().unwrap();
    assert!((avf - effects as f64 / weights as f64).abs() < 1e-12 && avf > 0.0);
    assert!(
        rows.iter()
            .all(|row| number(&row[7]) == number(&row[6]) - number(&row[5]) + 1)
    );
}

#[test]
fn a_selection_without_a_register_is_refused() {
    let model = place_of_model();
    for (arguments, says) in [
        (vec!["--register", "nothing"], "no register bit is selected"),
        (vec!["--every", "0"], "every n-th register bit"),
    ] {
        let begin = [
            "campaign",
            &model,
            "--registers-exhaustive",
            "--limit",
            "1",
            "--dry-run",
        ];
        let done = radstream(&[&begin[..], &arguments].concat());
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{text}");
        assert!(text.contains(says), "{text}");
    }
}
