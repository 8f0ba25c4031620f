//! What the commands print and write.

mod cli_common;
mod common;
#[path = "common/onnx.rs"]
mod onnx;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use cli_common::{Workplace, model, records};
use ndarray::{IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use radstream::data::{self, Source};
use radstream::network::import::qonnx;
use radstream::simulate::functional::{Parameters, evaluate};
use serde_json::Value;

const COLUMNS: &str = "layer,tensor,element,bit,memory,word,word_bit,changed,newly_wrong,loss,delta_loss";

fn path(name: &str) -> String {
    model(name).display().to_string()
}

/// An array of 64-bit integers of an archive; other element types are none.
fn int64(file: &Path, key: &str) -> (Vec<usize>, Vec<i64>) {
    let mut archive = NpzReader::new(std::fs::File::open(file).expect("the archive")).expect("an archive");
    let array = archive
        .by_name::<OwnedRepr<i64>, IxDyn>(key)
        .unwrap_or_else(|error| panic!("{key}: {error}"));
    (array.shape().to_vec(), array.iter().copied().collect())
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn run_says_what_its_contract_says() {
    let place = Workplace::new();
    let plain = place.json(&["run", "--limit", "7"]);
    assert_eq!(plain["samples"], 7);
    assert_eq!(keys(&plain["output_format"]), ["width", "integer", "signed"]);
    // The last quantizer has 9 bits with a scale of 2^-8, unsigned.
    assert_eq!(plain["output_format"]["width"], 9);
    assert_eq!(plain["output_format"]["integer"], 1);
    assert_eq!(plain["output_format"]["signed"], false);
    assert!(plain.get("accuracy").is_none() && plain.get("faults").is_none());

    // 96.4 % of the 360 test images is what the models' README states.
    let classifier = place.json(&["run", &path("digits_medium_cls")]);
    assert_eq!(classifier["samples"], 360);
    let accuracy = classifier["accuracy"].as_f64().expect("an accuracy");
    assert!((accuracy * 1000.0).round() == 964.0, "{accuracy}");

    // Labels belong to the inputs that they come with.
    let data = model("digits_medium_cls").join("data.npz").display().to_string();
    let (inputs, labels) = (format!("{data}:x"), format!("{data}:y"));
    let own = place.json(&["run", &path("digits_medium_cls"), "--inputs", &inputs]);
    assert!(own.get("accuracy").is_none());
    let stated = place.json(&[
        "run",
        &path("digits_medium_cls"),
        "--inputs",
        &inputs,
        "--labels",
        &labels,
    ]);
    assert_eq!(stated["accuracy"], classifier["accuracy"]);
}

/// `x` (4 values of 6 bits, unit 0.25) times a 4-bit matrix, to 3 logits `m`, their softmax `p` and the index `y` of the
/// largest; a small float tail hangs beside them.
fn selecting() -> onnx::Model {
    use onnx::Value::Int;
    let weights = [1.0, -2.0, 3.0, 0.0, 2.0, -1.0, -3.0, 1.0, 0.0, 2.0, 2.0, -2.0];
    let mut model = onnx::Model::new("x", &[1, 4]);
    model
        .quant("x", "q", 6, 0.25, true)
        .floats("w", &[4, 3], &weights)
        .quant("w", "wq", 4, 1.0, true)
        .node("MatMul", &["q", "wq"], "m")
        .node("Softmax", &["m"], "p")
        .node("ArgMax", &["p"], "y")
        .with("axis", Int(1))
        .with("keepdims", Int(0))
        .output("y")
        .output("p");
    model
}

#[test]
fn a_chosen_output_is_scored_as_what_it_is() {
    let place = Workplace::new();
    place.bytes("net.onnx", &selecting().bytes());
    let weights = [[1, -2, 3], [0, 2, -1], [-3, 1, 0], [2, 2, -2]];
    let samples = 12i64;
    let codes: Vec<i64> = (0..4 * samples)
        .map(|at| (at * 37 + at * at * 11) % 64 - 32)
        .collect();
    place.npy(
        "x.npy",
        &[samples as usize, 4],
        codes.iter().map(|&code| code as f64 * 0.25).collect(),
    );
    let logits: Vec<[i64; 3]> = codes
        .chunks_exact(4)
        .map(|x| [0, 1, 2].map(|class| (0..4).map(|at| x[at] * weights[at][class]).sum()))
        .collect();
    let classes: Vec<i64> = logits
        .iter()
        .map(|row| (0..3).rev().max_by_key(|&class| row[class]).expect("a class") as i64)
        .collect();
    // Every third label is wrong.
    let labels: Vec<i64> = (0i64..)
        .zip(&classes)
        .map(|(at, &class)| (class + i64::from(at % 3 == 0)) % 3)
        .collect();
    place.npy("y.npy", &[samples as usize], labels.clone());

    let both = place.run(&["run", "net.onnx", "--inputs", "x.npy"]);
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert_eq!(both.status.code(), Some(2), "{said}");
    assert!(
        said.contains(r#"["y", "p"]"#) && said.contains("--output NAME"),
        "{said}"
    );

    let run = |output: &str, more: &[&str]| {
        let fixed = [
            "run", "net.onnx", "--output", output, "--inputs", "x.npy", "--labels", "y.npy",
        ];
        place.json(&[&fixed[..], more].concat())
    };
    let share = 8.0 / 12.0;
    for (output, engine) in [
        ("y", "functional"),
        ("y", "cycle"),
        ("p", "functional"),
        ("m", "functional"),
    ] {
        let file = format!("{output}.npz");
        let report = run(output, &["--engine", engine, "--outputs", &file]);
        assert!(
            (report["accuracy"].as_f64().expect("an accuracy") - share).abs() < 1e-12,
            "{report}"
        );
        assert!(
            (report["loss"].as_f64().expect("a loss") - (1.0 - share)).abs() < 1e-12,
            "{report}"
        );
        let (_, outputs) = int64(&place.path(&file), "outputs");
        let expected = if output == "y" {
            classes.clone()
        } else {
            logits.concat()
        };
        assert_eq!(outputs, expected, "{output}");
    }
    // The logarithm of the probabilities, whichever of the two leaves the chip.
    let expected: f64 = logits
        .iter()
        .zip(&labels)
        .map(|(row, &label)| {
            let row = row.map(|logit| logit as f64 * 0.25);
            row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[label as usize]
        })
        .sum::<f64>()
        / samples as f64;
    for output in ["p", "m"] {
        let loss = run(output, &["--loss", "cross-entropy"])["loss"]
            .as_f64()
            .expect("a loss");
        assert!((loss - expected).abs() < 1e-9, "{output}: {loss} {expected}");
    }
    let refused = place.run(&[
        "run",
        "net.onnx",
        "--output",
        "y",
        "--inputs",
        "x.npy",
        "--labels",
        "y.npy",
        "--loss",
        "cross-entropy",
    ]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("measures amounts") && said.contains("--loss LOSS"),
        "{said}"
    );

    // A readout of one's own reads what the file gives: the probabilities.
    let mut readout = onnx::Model::new("r", &[1, 3]);
    readout.node("Identity", &["r"], "same").output("same");
    place.bytes("same.onnx", &readout.bytes());
    place.npy(
        "ones.npy",
        &[samples as usize, 3],
        vec![0.0f64; 3 * samples as usize],
    );
    let target = ["--loss", "mse", "--target", "ones.npy"];
    let own = run("p", &[&target[..], &["--readout", "same.onnx"]].concat());
    let squares: f64 = logits
        .iter()
        .map(|row| {
            let powers = row.map(|logit| (logit as f64 * 0.25).exp());
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|power| (power / sum).powi(2)).sum::<f64>() / 3.0
        })
        .sum::<f64>()
        / samples as f64;
    assert!(
        (own["loss"].as_f64().expect("a loss") - squares).abs() < 1e-9,
        "{own} {squares}"
    );
    assert_eq!(run("p", &target)["loss"], own["loss"]);

    // A plan says it too, and another output is another study.
    let plan = place.done(&[
        "campaign",
        "net.onnx",
        "--output",
        "y",
        "--inputs",
        "x.npy",
        "--exhaustive",
        "--emit-plan",
    ]);
    assert!(plan.contains(r#"output: "y""#), "{plan}");
    let exhaustive = |output: &str| {
        place.done(&[
            "campaign",
            "net.onnx",
            "--output",
            output,
            "--inputs",
            "x.npy",
            "--exhaustive",
            "--quiet",
            "--out",
            output,
        ]);
        let manifest: Value =
            serde_json::from_str(&place.read(&format!("{output}/manifest.json"))).expect("JSON");
        manifest
    };
    assert_ne!(exhaustive("y")["phases"], exhaustive("m")["phases"]);
    let notes = place.json(&["inspect", "net.onnx", "--output", "p"])["notes"].clone();
    let kinds: Vec<&str> = notes
        .as_array()
        .expect("notes")
        .iter()
        .filter_map(|note| note["kind"].as_str())
        .collect();
    assert!(
        kinds.contains(&"off_chip") && kinds.contains(&"unneeded"),
        "{notes}"
    );
}

#[test]
fn constants_beside_a_network_belong_to_it() {
    let place = Workplace::new();
    let mut model = selecting();
    let stored = model.stored("w");
    let weights = std::mem::take(&mut stored.raw_data);
    stored.data_location = 1;
    for (key, value) in [("location", "w.bin"), ("length", "48")] {
        stored
            .external_data
            .push(radstream::network::import::onnx::proto::StringStringEntryProto {
                key: key.into(),
                value: value.into(),
            });
    }
    place.bytes("a/net.onnx", &model.bytes());
    place.bytes("a/w.bin", &weights);
    place.npy("x.npy", &[2, 4], vec![1.0f64; 8]);
    let run = |network: &str, out: &str| {
        place.json(&["run", network, "--output", "m", "--inputs", "x.npy", "--out", out])
    };
    run("a/net.onnx", "first");
    let manifest = place.read("first/manifest.json");
    assert!(manifest.contains("w.bin"), "{manifest}");
    // The copy in a model folder is complete.
    place.done(&[
        "convert",
        "a/net.onnx",
        "--output",
        "m",
        "--inputs",
        "x.npy",
        "--out",
        "folder",
    ]);
    assert!(place.read("folder/model.ron").contains(r#"output: Some("m")"#));
    let again = place.json(&["run", "folder"]);
    assert_eq!(again["samples"], 2);
    std::fs::remove_file(place.path("a/w.bin")).expect("removed");
    let lost = place.run(&["inspect", "a/net.onnx", "--output", "m"]);
    let said = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert!(lost.status.code() == Some(2) && said.contains("w.bin"), "{said}");
}

#[test]
fn outputs_and_traces_are_the_mantissas_of_every_layer() {
    let place = Workplace::new();
    let arguments = ["run", "--limit", "5", "--outputs", "folder/out.npz", "--trace"];
    place.done(&arguments);
    place.done(&[
        "run",
        "--limit",
        "5",
        "--outputs",
        "plain.npz",
        "--trace",
        "--engine",
        "plain",
    ]);
    let file = model("digits_medium_ae").join("encoder.qonnx.onnx");
    let network = qonnx::read(&file).expect("the network");
    let source = Source::parse(&format!(
        "{}:x",
        model("digits_medium_ae").join("data.npz").display()
    ));
    let samples = data::read(&source).expect("the data").take(5);
    let inputs = network.quantize_inputs(&samples.reals()).expect("mantissas");
    let traces: Vec<_> = inputs
        .chunks(network.tensor(network.input).len())
        .map(|input| evaluate(&network, &Parameters::of(&network), input))
        .collect();
    let named = std::iter::once(("outputs".to_owned(), network.output)).chain(
        network
            .layers
            .iter()
            .map(|layer| (format!("trace/{}", layer.name), layer.output)),
    );
    for (key, tensor) in named {
        let (shape, values) = int64(&place.path("folder/out.npz"), &key);
        assert_eq!(shape[0], 5, "{key}");
        assert_eq!(shape[1..], network.tensor(tensor).shape, "{key}");
        let expected: Vec<i64> = traces
            .iter()
            .flat_map(|trace| trace.tensor(tensor).to_vec())
            .collect();
        assert_eq!(values, expected, "{key}");
        assert_eq!(int64(&place.path("plain.npz"), &key), (shape, values), "{key}");
    }
}

#[test]
fn outputs_equal_the_golden_ones_of_another_evaluator() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let place = Workplace::new();
    let golden = shared.join("digits/large_cls/golden_test360.npz");
    place.done(&["run", &path("digits_large_cls"), "--outputs", "out.npz"]);
    let (shape, values) = int64(&place.path("out.npz"), "outputs");
    let expected = data::read(&Source::parse(&format!("{}:z", golden.display()))).expect("golden outputs");
    assert_eq!(shape, expected.shape);
    assert_eq!(Some(values), expected.integers());
}

#[test]
fn the_same_network_comes_as_folder_description_or_file() {
    let place = Workplace::new();
    let folder = path("digits_medium_ae");
    let outputs = |name: &str, arguments: &[&str]| {
        place.done(&[&["run", "--limit", "3", "--outputs", name][..], arguments].concat());
        int64(&place.path(name), "outputs")
    };
    let embedded = outputs("a.npz", &[]);
    assert_eq!(outputs("b.npz", &[&folder]), embedded);
    assert_eq!(outputs("c.npz", &[&format!("{folder}/model.ron")]), embedded);
    let inputs = format!("{folder}/data.npz:x");
    let file = format!("{folder}/encoder.qonnx.onnx");
    assert_eq!(outputs("d.npz", &[&file, "--inputs", &inputs]), embedded);
    let fml = cli_common::root().join("tests/golden/hls4ml/acts.par_lat1/model.fml");
    let document = place.json(&["inspect", &fml.display().to_string()]);
    assert!(document["stored_bits"]["total"].as_u64() > Some(0));
}

#[test]
fn faults_are_reported_and_pairs_cancel() {
    let place = Workplace::new();
    let run = |name: &str, list: &str| {
        place.text("list.csv", list);
        let arguments = ["run", "--limit", "9", "--faults", "list.csv", "--outputs", name];
        let document = place.json(&arguments);
        (document["faults"].clone(), int64(&place.path(name), "outputs"))
    };
    place.done(&["run", "--limit", "9", "--outputs", "free.npz"]);
    let free = int64(&place.path("free.npz"), "outputs");
    let header = "layer,tensor,element,bit\n";
    let sign = "conv_0,weight,4,5\n";

    let (once, with) = run("once.npz", &format!("{header}{sign}"));
    assert_eq!(once["injected"], 1);
    assert_eq!(once["effective"], 1);
    assert_ne!(with, free);
    let fault = &once["list"][0];
    let before = fault["value_before"].as_i64().expect("a mantissa");
    let after = fault["value_after"].as_i64().expect("a mantissa");
    // Bit 5 is the sign of a 6-bit weight.
    assert_eq!((after - before).abs(), 32);
    assert_eq!(fault["memory"], "conv_0.weight");
    assert_eq!((&fault["word"], &fault["word_bit"]), (&4.into(), &5.into()));
    let word = |key: &str| u64::from_str_radix(fault[key].as_str().expect("hexadecimal"), 16).expect("hex");
    assert_eq!(word("word_before") ^ word("word_after"), 1 << 5);

    let (twice, without) = run("twice.npz", &format!("{header}{sign}{sign}"));
    assert_eq!((&twice["injected"], &twice["effective"]), (&2.into(), &0.into()));
    assert_eq!(without, free);
    let (thrice, again) = run("thrice.npz", &format!("{header}{sign}{sign}{sign}"));
    assert_eq!(
        (&thrice["injected"], &thrice["effective"]),
        (&3.into(), &1.into())
    );
    assert_eq!(again, with);
    let (none, without) = run("none.npz", header);
    assert_eq!((&none["injected"], &none["effective"]), (&0.into(), &0.into()));
    assert_eq!(without, free);

    // The same bit by its physical address, columns in another order, on the plain engine.
    let (_, physical) = run("physical.npz", "bit,memory,word,cycle\n5,conv_0.weight,4,\n");
    assert_eq!(physical, with);
    place.text("list.csv", &format!("{header}{sign}"));
    let plain = [
        "run",
        "--limit",
        "9",
        "--faults",
        "list.csv",
        "--outputs",
        "p.npz",
        "--engine",
        "plain",
    ];
    place.done(&plain);
    assert_eq!(int64(&place.path("p.npz"), "outputs"), with);
}

#[test]
fn an_exhaustive_campaign_has_one_row_per_stored_bit() {
    let place = Workplace::new();
    let network = path("digits_small_cls");
    let inspected = place.json(&["inspect", &network]);
    let depths: BTreeMap<String, (u64, u64)> = inspected["memories"]
        .as_array()
        .expect("memories")
        .iter()
        .map(|memory| {
            (
                memory["name"].as_str().expect("a name").to_owned(),
                (
                    memory["depth"].as_u64().expect("a depth"),
                    memory["word_bits"].as_u64().expect("bits"),
                ),
            )
        })
        .collect();
    for (tensors, bits) in [("weight", 10_240), ("bias", 256), ("all", 10_496)] {
        let arguments = [
            "campaign",
            &network,
            "--exhaustive",
            "--tensors",
            tensors,
            "--limit",
            "4",
            "--out",
            tensors,
        ];
        let printed = place.json(&arguments);
        let written: Value =
            serde_json::from_str(&place.read(&format!("{tensors}/summary.json"))).expect("JSON");
        assert_eq!(printed, written);
        assert_eq!(printed["bits"], bits);
        let text = place.read(&format!("{tensors}/records.csv"));
        let (header, rows) = records(&text);
        assert_eq!(header.join(","), COLUMNS);
        assert_eq!(rows.len(), bits);
        let mut logical = HashSet::new();
        let mut physical = HashSet::new();
        let mut sensitive = 0;
        for row in &rows {
            assert!(tensors == "all" || row[1] == tensors, "{row:?}");
            assert!(logical.insert(row[..4].to_vec()), "{row:?}");
            assert!(physical.insert(row[4..7].to_vec()), "{row:?}");
            let (depth, word_bits) = depths[&row[4]];
            assert!(row[5].parse::<u64>().expect("a word") < depth);
            assert!(row[6].parse::<u64>().expect("a bit") < word_bits);
            let changed: u64 = row[7].parse().expect("a count");
            let newly_wrong: u64 = row[8].parse().expect("a count");
            assert!(newly_wrong <= changed && changed <= 4, "{row:?}");
            let loss: f64 = row[9].parse().expect("a loss");
            let delta: f64 = row[10].parse().expect("a difference");
            let free = printed["fault_free_loss"].as_f64().expect("a loss");
            assert_eq!(loss, free + delta, "{row:?}");
            // The loss is the share of wrong samples.
            assert!(delta * 4.0 <= newly_wrong as f64, "{row:?}");
            assert!(changed > 0 || delta == 0.0, "{row:?}");
            sensitive += usize::from(delta > 1e-9);
        }
        assert_eq!(printed["sensitive_bits"], sensitive);
        let left: Vec<_> = place
            .files()
            .into_iter()
            .filter(|file| file.starts_with(place.path(tensors)))
            .collect();
        assert_eq!(
            left,
            [
                place.path(&format!("{tensors}/manifest.json")),
                place.path(&format!("{tensors}/records.csv")),
                place.path(&format!("{tensors}/summary.json"))
            ]
        );
    }
    assert_eq!(inspected["stored_bits"]["total"], 10_496);
}

#[test]
fn results_do_not_depend_on_threads() {
    let place = Workplace::new();
    let run = |threads: &str| {
        place.done(&[
            "harden",
            "--limit",
            "6",
            "--trials",
            "30",
            "--threads",
            threads,
            "--out",
            threads,
            "--quiet",
        ]);
        ["records.csv", "summary.json", "summary.txt", "protection.json"]
            .map(|file| place.read(&format!("{threads}/{file}")))
    };
    let one = run("1");
    assert_eq!(run("2"), one);
    assert_eq!(run("3"), one);
}

#[test]
fn a_dry_run_does_nothing() {
    let place = Workplace::new();
    for command in [&["harden"][..], &["campaign", "--exhaustive"]] {
        let document = place.json(&[command, &["--limit", "3", "--dry-run"]].concat());
        assert_eq!(document["bits"], 12_864);
        assert_eq!(document["samples"], 3);
        assert_eq!(document["evaluations"], 3 * 12_864);
        assert!(
            document["estimated_seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds > 0.0)
        );
        place.done(&[command, &["--limit", "3", "--dry-run"]].concat());
    }
    assert!(place.files().is_empty());
    assert!(!place.path("harden-digits_medium_ae").exists());
}

#[test]
fn rates_follow_the_arithmetic_of_the_field() {
    let place = Workplace::new();
    let near = |value: &Value, expected: f64| {
        let value = value.as_f64().expect("a number");
        assert!((value / expected - 1.0).abs() < 5e-6, "{value} is not {expected}");
    };
    // 31.14e6 parameters of 8 bits at 20 FIT/Mb: 4982.4 FIT, 4.9824e-6 per hour, one in 200,706 h.
    let bits = (31_140_000u64 * 8).to_string();
    let decimal = place.json(&["rate", "--bits", &bits, "--fit-per-mb", "20"]);
    near(&decimal["fit"], 4982.4);
    near(&decimal["upsets_per_hour"], 4.9824e-6);
    near(&decimal["upsets_per_day"], 24.0 * 4.9824e-6);
    near(&decimal["hours_per_upset"], 1.0 / 4.9824e-6);
    assert_eq!(
        decimal["hours_per_upset"].as_f64().expect("hours").round(),
        200_706.0
    );
    // With Mb = 2^20: 4751.59 FIT.
    let binary = place.json(&["rate", "--bits", &bits, "--fit-per-mb", "20", "--mb", "binary"]);
    near(&binary["fit"], 249_120_000.0 / 1_048_576.0 * 20.0);
    assert_eq!((binary["fit"].as_f64().expect("FIT") * 100.0).round(), 475_159.0);
    // The pruned network: 4.96e-8 per hour.
    let pruned = place.json(&["rate", "--bits", "2480000", "--fit-per-mb", "20"]);
    near(&pruned["upsets_per_hour"], 4.96e-8);
    // 12,720 bits of 1e-14 cm2 in 2e7 particles per cm2 and second: 36.6 flips in 4 hours.
    let heh = place.json(&[
        "rate",
        "--bits",
        "12720",
        "--cross-section",
        "1e-14",
        "--flux",
        "2e7",
        "--hours",
        "4",
    ]);
    near(&heh["expected_upsets"], 1e-14 * 2e7 * 12_720.0 * 14_400.0);
    // A network's own bits.
    let own = place.json(&["rate", &path("digits_small_ae")]);
    assert_eq!(own["stored_bits"], 10_496);
    near(&own["fit"], 10_496.0 / 1e6 * 20.0);
    let text = place.done(&["rate", "--bits", &bits, "--fit-per-mb", "20"]);
    assert!(
        text.contains("4.9824e-6") && text.contains("20 FIT per decimal Mb"),
        "{text}"
    );
    let none = place.json(&["rate", "--bits", &bits, "--fit-per-mb", "0"]);
    assert_eq!(none["upsets_per_hour"], 0.0);
    assert!(none["hours_per_upset"].is_null());
}

#[test]
fn protect_and_export_repeat_what_harden_does() {
    let place = Workplace::new();
    place.done(&[
        "harden", "--limit", "5", "--trials", "20", "--budget", "10%tmr", "--out", "h",
    ]);
    let maps = [
        "protection.json",
        "protection.csv",
        "masks/conv_0_weight_mask.mem",
        "masks/matmul_1_weight_mask.mem",
        "images/conv_0_weight.mem",
        "digits_medium_ae_protection_pkg.sv",
    ];
    let mut protected = place.json(&[
        "protect",
        "--records",
        "h",
        "--limit",
        "5",
        "--trials",
        "20",
        "--budget",
        "10%tmr",
        "--out",
        "p",
    ]);
    let hardened: Value = serde_json::from_str(&place.read("h/summary.json")).expect("JSON");
    let notes = protected.as_object_mut().expect("an object").remove("warnings");
    assert_eq!(notes, Some(Value::Array(vec![])));
    assert_eq!(protected, hardened["protection"]);
    place.done(&["export", "--map", "h", "--out", "e"]);
    place.done(&[
        "export",
        "--map",
        "p/protection.json",
        "--format",
        "json,csv,readmemh,systemverilog",
        "--out",
        "f",
    ]);
    for map in maps {
        let expected = place.read(&format!("h/{map}"));
        for folder in ["p", "e", "f"] {
            assert_eq!(place.read(&format!("{folder}/{map}")), expected, "{folder}/{map}");
        }
    }
    let files = place.json(&["export", "--map", "h", "--format", "csv", "--out", "g"]);
    let files: Vec<&str> = files["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(files.contains(&"g/protection.csv"));
    assert!(files.iter().all(|file| place.path(file).is_file()));
    assert!(!place.path("g/protection.json").exists());
}

#[test]
fn quiet_and_json_keep_the_streams_apart() {
    let place = Workplace::new();
    for arguments in [
        &[
            "harden", "--limit", "2", "--trials", "2", "--out", "h", "--json", "--quiet",
        ][..],
        &[
            "campaign",
            "--exhaustive",
            "--limit",
            "2",
            "--out",
            "c",
            "--json",
            "--quiet",
        ],
        &[
            "protect",
            "--records",
            "h",
            "--limit",
            "2",
            "--trials",
            "2",
            "--out",
            "p",
            "--json",
            "--quiet",
        ],
        &["export", "--map", "h", "--out", "e", "--json", "--quiet"],
        &["run", "--limit", "2", "--json", "--quiet"],
        &["inspect", "--json", "--quiet"],
        &["rate", "--json", "--quiet"],
    ] {
        let output = place.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{arguments:?}: {said}"
        );
        let mut documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        assert!(
            documents.next().expect("a document").expect("JSON").is_object(),
            "{arguments:?}"
        );
        assert!(documents.next().is_none(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["harden", "--help"], &["--version"]] {
        assert!(!place.done(arguments).is_empty());
    }
}

mod interrupted {
    use super::*;

    /// 61,344 bits: the campaign hands over many blocks of records.
    const CAMPAIGN: [&str; 4] = ["--exhaustive", "--limit", "100", "--quiet"];

    fn campaign(out: &str) -> Vec<String> {
        let network = path("digits_large_cls");
        ["campaign", &network, "--out", out]
            .into_iter()
            .chain(CAMPAIGN)
            .map(str::to_owned)
            .collect()
    }

    fn finish(place: &Workplace, out: &str) -> String {
        let arguments = campaign(out);
        place.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        place.read(&format!("{out}/records.csv"))
    }

    #[cfg(unix)]
    #[test]
    fn an_interrupted_campaign_goes_on_where_it_stopped() {
        use std::process::{Command, Stdio};
        use std::time::{Duration, Instant};

        let place = Workplace::new();
        let whole = finish(&place, "whole");
        let mut child = Command::new(env!("CARGO_BIN_EXE_radstream"))
            .current_dir(place.path("."))
            .args(campaign("cut"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let partial = place.path("cut/records.partial");
        let deadline = Instant::now() + Duration::from_secs(120);
        // The header alone has 84 bytes.
        while std::fs::metadata(&partial).map_or(0, |data| data.len()) < 200 {
            assert!(Instant::now() < deadline, "no record appeared");
            assert!(
                child.try_wait().expect("a child").is_none(),
                "it was over too soon"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let signalled = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .expect("kill");
        assert!(signalled.success());
        let output = child.wait_with_output().expect("the end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(output.stdout.is_empty());
        assert!(
            said.contains("records.partial") && said.contains("goes on from there"),
            "{said}"
        );
        assert!(!place.path("cut/records.csv").exists() && !place.path("cut/summary.json").exists());
        let kept = place.read("cut/records.partial");
        assert!(kept.ends_with('\n') && whole.starts_with(&kept) && kept.len() < whole.len());
        assert!(kept.lines().count() > 1);

        // Other bits are another plan.
        let mut other = campaign("cut");
        other.extend(["--tensors".to_owned(), "weight".to_owned()]);
        let refused = place.run(&other.iter().map(String::as_str).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("another plan") && said.contains("--out"), "{said}");
        assert_eq!(place.read("cut/records.partial"), kept);

        // A crash may cut the last line short.
        place.text("cut/records.partial", &kept[..kept.len() - 7]);
        assert_eq!(finish(&place, "cut"), whole);
        assert!(!partial.exists() && place.path("cut/manifest.json").exists());
        assert_eq!(place.read("cut/summary.json"), place.read("whole/summary.json"));
    }
}

#[test]
fn the_type_of_the_input_is_part_of_the_request() {
    let place = Workplace::new();
    let network = model("digits_small_cls")
        .join("encoder.qonnx.onnx")
        .display()
        .to_string();
    let stated = place.json(&["inspect", &network, "--input-type", "uint8"]);
    assert_eq!(stated["input"]["rule"], "Stated");
    assert_eq!(stated["input"]["format"], "ufixed<8,8>");
    let own = place.json(&["inspect", &network]);
    assert_eq!(own["input"]["rule"], "Quantize");
    // Its quantizer is on the accelerator now.
    assert_ne!(own["input"]["format"], stated["input"]["format"]);
    let layers = |report: &serde_json::Value| report["layers"].as_array().map_or(0, Vec::len);
    assert_eq!(layers(&stated), layers(&own) + 1);
}
