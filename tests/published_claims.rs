//! The chapter "Published claims, recomputed": its commands print what it says, and its numbers are
//! those that the facts computed by themselves.

mod cli_common;

use cli_common::{Workplace, root};
use serde_json::Value;

fn chapter() -> String {
    std::fs::read_to_string(root().join("docs/published-claims.md")).expect("the chapter")
}

/// The commands of the chapter with the lines that they are said to print.
fn commands(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut commands: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ radstream ").filter(|_| inside) {
            let words = command.split_whitespace().map(str::to_owned).collect();
            commands.push((words, Vec::new()));
        } else if inside {
            commands
                .last_mut()
                .expect("a command first")
                .1
                .push(line.to_owned());
        }
    }
    commands
}

#[test]
fn the_chapters_commands_print_what_it_says() {
    let place = Workplace::new();
    let commands = commands(&chapter());
    assert_eq!(commands.len(), 14);
    for (arguments, lines) in &commands {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = place.done(&arguments);
        let mut printed_lines = printed.lines();
        assert!(!lines.is_empty());
        for line in lines {
            assert!(
                printed_lines.any(|printed| printed == line),
                "{arguments:?} does not print `{line}`:\n{printed}"
            );
        }
    }
}

/// Rows of the table whose header begins so, without header and rule.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| !line.starts_with(header));
    lines
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// Pai et al.: every cell by the program, by the facts' table and, but for one, as printed.
#[test]
fn upsets_of_gigabytes() {
    // Facts, section 3.1: soft best and worst, hard best and worst.
    let facts = [
        ("12", [0.73728, 2.064384, 1.72032, 4.816896]),
        ("16", [0.98304, 2.752512, 2.29376, 6.422528]),
        ("32", [1.96608, 5.505024, 4.58752, 12.845056]),
        ("64", [3.93216, 11.010048, 9.17504, 25.690112]),
    ];
    let place = Workplace::new();
    let rows = table(&chapter(), "| GB |");
    assert_eq!(rows.len(), facts.len());
    let mut wrong = Vec::new();
    for (row, (size, expected)) in rows.iter().zip(facts) {
        assert_eq!(row[0], size);
        let bits = (size.parse::<u64>().unwrap() * 8 * (1 << 30)).to_string();
        for ((cell, fit), expected) in row[1..]
            .iter()
            .zip(["7500", "21000", "17500", "49000"])
            .zip(expected)
        {
            let (value, printed) = cell.split_once(" (").unwrap();
            let printed = printed.trim_end_matches(')');
            assert_eq!(value.parse::<f64>().unwrap(), expected);
            let json = place.json(&["rate", "--bits", &bits, "--fit-per-mb", fit, "--mb", "binary"]);
            let got = json["upsets_per_hour"].as_f64().unwrap();
            assert!((got / expected - 1.0).abs() < 1e-12, "{got} {expected}");
            if (got - printed.parse::<f64>().unwrap()).abs() > 0.005 + 1e-9 {
                wrong.push((size, fit, printed.to_owned()));
            }
        }
    }
    assert_eq!(wrong, [("64", "7500", "3.91".to_owned())]);
    // Per GB and day, facts: 1.47, 4.13, 3.44, 9.63.
    for (fit, expected) in [
        ("7500", 1.47456),
        ("21000", 4.128768),
        ("17500", 3.44064),
        ("49000", 9.633792),
    ] {
        let json = place.json(&[
            "rate",
            "--bits",
            "8589934592",
            "--fit-per-mb",
            fit,
            "--mb",
            "binary",
        ]);
        let got = json["upsets_per_day"].as_f64().unwrap();
        assert!((got / expected - 1.0).abs() < 1e-12);
    }
}

fn near(value: &Value, expected: f64, tolerance: f64) {
    let got = value.as_f64().expect("a number");
    assert!(
        (got / expected - 1.0).abs() <= tolerance,
        "{got}, expected {expected}"
    );
}

/// Gutierrez-Zaballa et al., facts, section 3.2.
#[test]
fn five_upsets_per_hour_are_one_in_22_years() {
    let place = Workplace::new();
    let of = |arguments: &[&str]| place.json(&[&["rate", "--bits", "249120000"], arguments].concat());
    let plain = of(&["--fit-per-mb", "20"]);
    near(&plain["upsets_per_hour"], 4.9824e-6, 1e-12);
    near(&plain["mttf_hours"], 200_706.0, 5e-6);
    near(&plain["mttf_years"], 22.9, 5e-4);
    near(
        &Value::from(5.0 / plain["upsets_per_hour"].as_f64().unwrap()),
        1.0035e6,
        5e-5,
    );
    near(
        &of(&["--fit-per-mb", "20", "--mb", "binary"])["fit"],
        4751.59,
        1e-6,
    );
    let avionics = of(&["--fit-per-mb", "20", "--environment", "avionics_40kft"]);
    near(&avionics["events_per_hour"], 2.30e-3, 1e-3);
    near(
        &Value::from(1000.0 * avionics["mttf_years"].as_f64().unwrap()),
        49.6,
        1e-3,
    );
    let orbit = of(&["--memory", "kintexusp_geo_bram"]);
    near(&orbit["events_per_hour"], 0.0549, 5e-4);
    near(
        &Value::from(1000.0 / orbit["events_per_day"].as_f64().unwrap()),
        759.0,
        1e-3,
    );
    near(&of(&["--fit-per-mb", "2.007e7"])["upsets_per_hour"], 5.0, 1e-4);
    // Geostationary rates per device, facts, section 2.3.
    for (memory, fit_per_mb) in [
        ("kintexusp_geo_ff", 8.67e5),
        ("kintexusp_geo_bram", 2.20e5),
        ("kintexusp_geo_cram", 382.5),
    ] {
        let megabit = place.json(&["rate", "--bits", "1000000", "--memory", memory]);
        near(&megabit["fit"], fit_per_mb, 2e-3);
    }
}

/// Weng et al., facts, sections 2.4, 3.3 and 3.6, and the chapter's own table.
#[test]
fn what_960_hits_leave() {
    let place = Workplace::new();
    let econ = [
        "rate",
        "--bits",
        "12720",
        "--memory",
        "econt_fkeras",
        "--mission",
        "4",
    ];
    let plain = place.json(&[&econ[..], &["--analytic"]].concat());
    near(&plain["expected_events"], 960.0, 1e-12);
    near(&plain["expected_flipped_bits"], 960.0, 1e-12);
    near(&plain["analytic"]["p_bit_wrong"], 0.0700518, 1e-6);
    near(&plain["analytic"]["expected_failures"], 891.06, 2e-6);
    let facts = [
        (
            "tmr",
            [
                Some(178.516),
                Some(8.9810),
                Some(0.904901),
                Some(0.226368),
                Some(0.0150941),
            ],
        ),
        (
            "secded:72,64",
            [None, Some(103.758), Some(11.8886), None, Some(0.201145)],
        ),
        ("secded:22,16", [None, None, Some(4.33753), None, Some(0.0726357)]),
    ];
    let rows = table(&chapter(), "| scheme |");
    assert_eq!(rows.len(), facts.len());
    for (row, (scheme, failures)) in rows.iter().zip(facts) {
        assert_eq!(row[0], format!("`{scheme}`"));
        for ((cell, scrub), expected) in row[1..].iter().zip(["", "600", "60", "15", "1"]).zip(failures) {
            let Some(expected) = expected else {
                assert!(cell.is_empty());
                continue;
            };
            assert_eq!(cell.parse::<f64>().unwrap(), expected);
            let mut arguments = [&econ[..], &["--analytic", "--scheme", scheme]].concat();
            if !scrub.is_empty() {
                arguments.extend(["--scrub-s", scrub]);
            }
            let json = place.json(&arguments);
            near(&json["analytic"]["expected_failures"], expected, 1e-5);
            if scheme.starts_with("secded") {
                let units = if scheme == "secded:72,64" { 199 } else { 795 };
                assert_eq!(json["analytic"]["units"], units);
                let words = units.to_string();
                let mut by_words = vec!["rate", "--words", &words, "--memory", "econt_fkeras"];
                by_words.extend(&arguments[5..]);
                let again = place.json(&by_words);
                assert_eq!(
                    again["analytic"]["expected_failures"],
                    json["analytic"]["expected_failures"]
                );
            }
        }
    }
    let unscrubbed = place.json(&[&econ[..], &["--analytic", "--scheme", "secded:72,64"]].concat());
    near(
        &Value::from(unscrubbed["analytic"]["mttf_hours"].as_f64().unwrap() * 3600.0),
        235.44,
        5e-5,
    );
    let hadrons = place.json(&[
        "rate",
        "--bits",
        "12720",
        "--memory",
        "econt_heh",
        "--mission",
        "4",
    ]);
    near(&hadrons["expected_flipped_bits"], 36.6, 2e-3);
    near(&hadrons["band"]["expected_flipped_bits"][1], 98.9, 1e-3);
}

/// Configuration memory: the functional rate is a share of the upsets, and says that it is no more.
#[test]
fn configuration_memory_has_a_vulnerability_factor_only() {
    let place = Workplace::new();
    let arguments = ["rate", "--bits", "143015456", "--memory", "ultrascaleplus_cram"];
    let json = place.json(&[&arguments[..], &["--dvf", "0.05"]].concat());
    // 6 + 0.35 + 0.1 FIT/Mb on 143.015456 Mb; 5 % of it.
    near(&json["fit"], 6.45 * 143.015456, 1e-12);
    near(&json["dvf"]["fit"], 0.05 * 6.45 * 143.015456, 1e-12);
    assert!(json["dvf"]["method"].as_str().unwrap().contains("not simulated"));
    let text = place.done(&[&arguments[..], &["--dvf", "0.0049"]].concat());
    assert!(
        text.contains("with DVF 0.0049") && text.contains("not simulated"),
        "{text}"
    );
    // A network's own bits are simulated, not estimated.
    let output = place.run(&["rate", "--dvf", "0.05"]);
    assert_eq!(output.status.code(), Some(2));
}
