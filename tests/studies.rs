//! Studies from the command line and from files: plans, bounds, what is left out of a number.

mod cli_common;
mod common;

use std::collections::BTreeSet;
use std::fs;

use cli_common::{Workplace, model};
use common::shared_data;
use radstream::campaign::{Exhaustive, TrialPlan};
use radstream::study::{Identity, NetworkRequest, SamplesRequest, bench};
use serde_json::Value;

fn path(name: &str) -> String {
    model(name).display().to_string()
}

/// One command line of each command that has a plan, as words.
fn commands() -> Vec<Vec<String>> {
    let (small, medium) = (path("digits_small_cls"), path("digits_medium_ae"));
    let lines = [
        "harden --limit 4 --trials 9 --budget 20%tmr --tensors bias".to_owned(),
        format!("campaign {small} --exhaustive --limit 3 --tensors bias"),
        format!("campaign {small} --trials 7 --flips 3 --limit 3 --seed 5"),
        format!("campaign {small} --trials 4 --flips 3,9 --limit 3 --fault burst:2 --from stored,mac --layers matmul_1 --until 0.2"),
        format!("campaign {small} --sample data-aware --margin 30% --limit 3 --fault stuck-at-1 --until-margin 3%"),
        format!("campaign {small} --sample 50 --limit 3"),
        format!("campaign {small} --ask loss>0.5 --limit 3 --layers matmul_1"),
        format!("campaign {small} --activations 20 --limit 3 --from mac"),
        format!("campaign {small} --activations all --limit 2 --layers matmul_1"),
        format!("campaign {small} --faults sets.csv --limit 3"),
        format!("plan-sample {small} --sample layer --margin 3%"),
        "plan-sample --population 1e6 --margin 2%".to_owned(),
        "regress table.csv:c=2 table.csv:c=5 --response y --factors a,c --interactions 1".to_owned(),
        format!("campaign {medium} --mission 10 --rate-per-s 1e-4 --repetitions 5 --limit 2 --scheme tmr --scrub-s none,60"),
        format!("campaign {medium} --mission 10 --rate-per-s 1e-4 --repetitions 5 --limit 2 --registers 4 --failure loss>0.01"),
        "campaign --memory words=199,bits=72,scheme=secded:72,64 --mission 100 --rate-per-s 1e-3 --repetitions 50".to_owned(),
        format!("campaign {small} --registers 6 --limit 2"),
        format!("protect {small} --records ranks --limit 3 --trials 8 --budget 500ge"),
        "rate --bits 1_000_000 --memory kintex7_bram --environment avionics_40kft --mission 10 --analytic".to_owned(),
        format!("rate {medium} --fit-per-mb 20"),
        format!("inspect {small}"),
        format!("run {medium} --limit 3 --draw 5 --seed 3"),
        format!("run {medium} --limit 1 --engine cycle --draw 5 --from registers"),
        format!("export {small} --map ranks-map --format json,csv"),
    ];
    lines
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// A folder with records to protect by, and one with a map to export.
fn prepared() -> Workplace {
    let place = Workplace::new();
    place.text(
        "sets.csv",
        "trial,layer,tensor,element,bit\n4,matmul_0,weight,3,7\n4,matmul_1,bias,0,6\n9,matmul_0,activation,2,3\n",
    );
    place.text("table.csv", "a,y\n1,2\n3,4\n4,9\n");
    let small = path("digits_small_cls");
    place.done(&[
        "campaign",
        &small,
        "--exhaustive",
        "--limit",
        "3",
        "--out",
        "ranks",
    ]);
    place.done(&[
        "protect",
        &small,
        "--records",
        "ranks",
        "--limit",
        "3",
        "--trials",
        "8",
        "--out",
        "ranks-map",
    ]);
    place
}

#[test]
fn a_plan_is_the_command_that_it_was_made_from() {
    let place = prepared();
    let mut plans = BTreeSet::new();
    for command in commands() {
        let plan = place.done(&[&words(&command)[..], &["--emit-plan"]].concat());
        assert!(
            plans.insert(plan.clone()),
            "{command:?}: the plan of another command"
        );
        let before = place.files();
        place.text("plan.ron", &plan);
        let of_plan = [&command[0], "--plan", "plan.ron"];
        let again = place.done(&[&of_plan[..], &["--emit-plan"]].concat());
        assert_eq!(again, plan, "{command:?}");
        let with_out = |words: &[&str], out: &str| {
            let own = ["inspect", "rate", "plan-sample", "regress"].contains(&words[0]) || words[0] == "run";
            let out: &[&str] = if own { &[] } else { &["--out", out] };
            let mut document = place.json(&[words, out].concat());
            // Where its files went is the one thing that differs.
            if let Some(files) = document.get_mut("files").filter(|_| words[0] == "export") {
                *files = Value::Null;
            }
            if let Some(out) = document.get_mut("out") {
                *out = Value::Null;
            }
            document
        };
        let direct = with_out(&words(&command), "direct");
        assert_eq!(with_out(&of_plan, "planned"), direct, "{command:?}");
        for out in ["direct", "planned"] {
            let _ = std::fs::remove_dir_all(place.path(out));
        }
        std::fs::remove_file(place.path("plan.ron")).unwrap();
        assert!(
            place.files().is_subset(&before),
            "{command:?}: {:?}",
            place.files()
        );
    }
}

#[test]
fn a_plan_of_another_command_or_beside_options_is_refused() {
    let place = prepared();
    let plan = place.done(&["inspect", &path("digits_small_cls"), "--emit-plan"]);
    place.text("plan.ron", &plan);
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = place.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: no `{word}` in {said}");
        }
    };
    refused(&["harden", "--plan", "plan.ron"], &["inspect", "harden"]);
    refused(
        &["inspect", &path("digits_small_ae"), "--plan", "plan.ron"],
        &["plan"],
    );
    place.text("plan.ron", "Inspect((network: (netwrk: \"x\")))");
    refused(
        &["inspect", "--plan", "plan.ron"],
        &["netwrk", "network", "plan.ron"],
    );
    place.text("plan.json", "{\"Inspect\": {\"network\": {\"netwrk\": \"x\"}}}");
    refused(
        &["inspect", "--plan", "plan.json"],
        &["netwrk", "network", "plan.json"],
    );
}

#[test]
fn whatever_a_user_can_ask_for_is_bounded() {
    let place = Workplace::new();
    let small = path("digits_small_cls");
    place.text("long.csv", "layer,tensor,element,bit\n");
    let huge = ["1e12", "9_000_000_000_000_000"];
    let asks: [&[&str]; 9] = [
        &["run", "--limit", "1", "--draw"],
        &[
            "run",
            "--limit",
            "1",
            "--engine",
            "cycle",
            "--from",
            "registers",
            "--draw",
        ],
        &["campaign", "--limit", "1", "--flips", "1", "--trials"],
        &["campaign", "--limit", "1", "--trials", "1", "--flips"],
        &[
            "campaign",
            "--limit",
            "1",
            "--mission",
            "1",
            "--rate-per-s",
            "1",
            "--repetitions",
        ],
        &["campaign", "--limit", "1", "--registers"],
        &["harden", "--limit", "1", "--trials"],
        &["harden", "--limit", "1", "--flips"],
        &["campaign", "--limit", "1", "--threads"],
    ];
    for ask in asks {
        for number in huge {
            let output = place.run(&[ask, &[number]].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{ask:?} {number}: {said}");
            assert!(
                said.contains("expected") || said.contains("1 to"),
                "{ask:?}: {said}"
            );
        }
    }
    let output = place.run(&["run", "--limit", "1", "--draw", "1e9"]);
    assert_eq!(output.status.code(), Some(2));
    for memory in [
        "words=1e12,bits=8",
        "bits=99999999999",
        "words=99999999,bits=99999999",
    ] {
        let output = place.run(&[
            "campaign",
            "--memory",
            memory,
            "--mission",
            "1",
            "--rate-per-s",
            "1",
        ]);
        assert_eq!(output.status.code(), Some(2), "{memory}");
    }
    // Numbers as people write them.
    for bits in ["1e6", "1_000_000", "1,000,000", "1000000"] {
        let rate = place.json(&["rate", "--bits", bits, "--fit-per-mb", "20"]);
        assert_eq!(rate["fit"], 20.0, "{bits}");
    }
    assert!(place.json(&["rate", &small, "--fit-per-mb", "20"])["fit"].is_number());
}

#[test]
fn what_was_not_examined_bounds_what_is_said() {
    let place = Workplace::new();
    let small = path("digits_small_cls");
    let command = [
        "harden",
        &small,
        "--tensors",
        "weight",
        "--limit",
        "40",
        "--trials",
        "40",
        "--budget",
        "100%tmr",
        "--fit-per-mb",
        "1000",
        "--out",
        "h",
    ];
    let document = place.json(&command);
    let protection = &document["protection"];
    let rates = &protection["loss_raising_upsets_per_hour"];
    let unexamined = &protection["not_examined"];
    assert_eq!(unexamined["of_stored_bits"], 10_496);
    assert_eq!(unexamined["stored_bits"], 256);
    // FIT per decimal megabit: 256 bits at 1,000 FIT are 2.56e-10 per hour.
    let bound = rates["not_examined_at_most"].as_f64().unwrap();
    assert!((bound / 2.56e-10 - 1.0).abs() < 1e-9, "{bound}");
    assert!(
        rates["registers_at_most"]
            .as_f64()
            .is_none_or(|at_most| at_most > 0.0)
    );
    let text = place.read("h/summary.txt");
    for word in ["256 of 10,496 stored bits", "not examined"] {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    // Examined as they are by default, none is left out.
    let document = place.json(&["harden", &small, "--limit", "4", "--trials", "9", "--out", "all"]);
    assert_eq!(document["protection"]["not_examined"]["stored_bits"], 0);
    assert_eq!(document["campaign"]["bits"], 10_496);
}

#[test]
fn records_of_another_network_data_set_or_loss_are_refused_unless_told() {
    let place = prepared();
    let (small, autoencoder) = (path("digits_small_cls"), path("digits_small_ae"));
    place.rows("targets.npy", 360, 10, 0.5);
    place.vector("gather.npy", (0..10).rev().collect::<Vec<i64>>());
    let base = ["protect", "--records", "ranks", "--trials", "5", "--out", "p"];
    let others: [&[&str]; 4] = [
        &[&autoencoder, "--limit", "3"],
        &[&small, "--limit", "4"],
        &[&small, "--limit", "3", "--loss", "mse", "--target", "targets.npy"],
        &[&small, "--limit", "3", "--gather", "gather.npy"],
    ];
    for other in others {
        let output = place.run(&[&base[..], other].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{other:?}: {said}");
        assert!(said.contains("--other-records"), "{other:?}: {said}");
    }
    for other in &others[1..] {
        place.done(&[&base[..], other, &["--other-records", "--force"]].concat());
    }
}

#[test]
fn a_mission_says_what_a_failure_is() {
    let place = Workplace::new();
    let small = path("digits_small_cls");
    let fly = |network: &str, failure: &[&str], out: &str| {
        let base = [
            "campaign",
            network,
            "--mission",
            "10",
            "--rate-per-s",
            "1e-3",
            "--repetitions",
            "20",
            "--limit",
            "20",
            "--out",
            out,
        ];
        place.json(&[&base, failure].concat())
    };
    let says = |document: &Value| document["failure_means"].as_str().unwrap().to_owned();
    let failures = |document: &Value| document["designs"][0]["failures"]["per_hour"].as_f64().unwrap();
    let default = fly(&small, &[], "default");
    let class = fly(&small, &["--failure", "class"], "class");
    let any = fly(&small, &["--failure", "any"], "any");
    assert_eq!(failures(&default), failures(&class));
    assert!(failures(&class) < failures(&any), "{default}");
    assert_eq!(says(&default), says(&class));
    assert_ne!(says(&class), says(&any));
    let autoencoder = fly(&path("digits_small_ae"), &[], "ae");
    assert_eq!(says(&autoencoder), says(&any));
    let of_loss = fly(&small, &["--failure", "loss>0.5"], "loss");
    assert!(says(&of_loss).contains("0.5"));
}

#[test]
fn saturating_inputs_and_chance_are_warned_about() {
    let place = Workplace::new();
    let small = path("digits_small_cls");
    place.npy("big.npy", &[360, 64], vec![100.0_f32; 360 * 64]);
    place.vector("labels.npy", (0..360).map(|at| at % 10).collect::<Vec<i64>>());
    let output = place.run(&["run", &small, "--inputs", "big.npy", "--labels", "labels.npy"]);
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("outside the range") && said.contains("inspect --ranges"),
        "{said}"
    );
    assert!(said.contains("no better than"), "{said}");
    let document = place.json(&["run", &small]);
    assert!(document["warnings"].as_array().unwrap().is_empty(), "{document}");
    assert!(document["loss"].is_number() && document["accuracy"].is_number());
}

#[test]
fn names_are_suggested() {
    let place = Workplace::new();
    let small = path("digits_small_cls");
    place.text("faults.csv", "layer,tensor,element,bit\nmatmul_O,weight,0,0\n");
    let folder = small[..small.len() - 1].to_owned();
    let cases: [(&[&str], &str); 5] = [
        (
            &[
                "rate",
                "--bits",
                "8",
                "--memory",
                "kintex7_brma",
                "--environment",
                "avionics_40kft",
            ],
            "kintex7_bram",
        ),
        (
            &[
                "rate",
                "--bits",
                "8",
                "--memory",
                "kintex7_bram",
                "--environment",
                "avionics_40kf",
            ],
            "avionics_40kft",
        ),
        (
            &["campaign", &small, "--exhaustive", "--tensors", "weigth"],
            "weight",
        ),
        (&["run", &small, "--faults", "faults.csv"], "matmul_0"),
        (&["inspect", &folder], "digits_small_cls"),
    ];
    for (command, name) in cases {
        let output = place.run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(
            said.contains("did you mean") && said.contains(name),
            "{command:?}: {said}"
        );
    }
}

/// The identity of an exhaustive campaign.
fn identity(network: &NetworkRequest, samples: &SamplesRequest) -> Identity {
    let bench = bench(network, samples).expect("a bench");
    let bits = bench.accelerator().map().bits().collect();
    Identity::of(&Exhaustive::new(bench, bits)).expect("an identity")
}

#[test]
fn stored_codes_and_layouts_are_parts_of_a_campaign() {
    let Some(shared) = shared_data() else { return };
    let folder = shared.join("cnv");
    let place = Workplace::new();
    let built = fs::read_to_string(cli_common::root().join("hw_configs/cnvW1A1.ron")).expect("the hardware");
    let samples = SamplesRequest {
        inputs: Some(
            format!("{}:input_codes_i8", folder.join("cifar10_test1000.npz").display())
                .parse()
                .unwrap(),
        ),
        raw_inputs: true,
        loss: Some("mismatch".to_owned()),
        limit: Some(1),
        ..SamplesRequest::default()
    };
    let changes = [
        ("", ""),
        ("width: 16, encoding", "width: 17, encoding"),
        ("encoding: XnorPopcount", "encoding: Plain"),
        (
            "packing: PerPe, width: 16",
            "packing: PerPe, interleave: 2, width: 16",
        ),
        ("folding: Finn(pe: 4, simd: 32)", "folding: Finn(pe: 8, simd: 32)"),
    ];
    let mut seen = BTreeSet::new();
    for (at, (from, to)) in changes.into_iter().enumerate() {
        let name = format!("{at}.ron");
        let changed = built.replacen(from, to, 1);
        assert!(at == 0 || changed != built, "{from}");
        place.text(&name, &changed);
        let network = NetworkRequest {
            network: Some(folder.join("cnvW1A1.qonnx.onnx")),
            hardware: Some(place.path(&name)),
            ..NetworkRequest::default()
        };
        let identity = identity(&network, &samples);
        assert!(seen.insert(identity), "{from}: the same identity");
    }
}

#[test]
fn network_samples_judge_and_draws_are_parts_of_a_campaign() {
    let all = SamplesRequest::default();
    let small = NetworkRequest::of(model("digits_small_cls"));
    let base = identity(&small, &all);
    assert_eq!(identity(&small, &all), base);
    let changed = |samples: SamplesRequest| identity(&small, &samples);
    let others = [
        identity(&NetworkRequest::of(model("digits_medium_cls")), &all),
        changed(SamplesRequest {
            limit: Some(359),
            ..all.clone()
        }),
        changed(SamplesRequest {
            input_scale: Some(0.5),
            ..all.clone()
        }),
        changed(SamplesRequest {
            loss: Some("cross-entropy".to_owned()),
            ..all.clone()
        }),
        changed(SamplesRequest {
            loss: Some("mismatch".to_owned()),
            ..all.clone()
        }),
    ];
    let different: BTreeSet<&Identity> = others.iter().chain([&base]).collect();
    assert_eq!(different.len(), others.len() + 1);
    let plan = TrialPlan {
        trials: 10,
        flips: 2,
        seed: 1,
    };
    let plans = [
        TrialPlan { trials: 11, ..plan },
        TrialPlan { flips: 3, ..plan },
        TrialPlan { seed: 2, ..plan },
    ];
    assert!(
        plans
            .iter()
            .all(|other| Identity::of(other) != Identity::of(&plan))
    );
}
