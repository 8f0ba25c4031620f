//! `run --engine cycle`: what it prints and writes, and what it refuses.

mod cli_common;
#[path = "common/onnx.rs"]
mod onnx;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command as Process;

use cli_common::{Workplace, model, records};
use ndarray::{IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use onnx::{Model, Value as Attribute};
use serde_json::Value;
use vcd::{Command, ScopeItem};

const EFFECTS: [&str; 5] = [
    "no_effect",
    "output_changed",
    "class_changed",
    "hang",
    "stream_corrupted",
];

impl Workplace {
    fn cycles(&self, arguments: &[&str]) -> Value {
        self.json(&[&["run", "--engine", "cycle"], arguments].concat())
    }

    /// Runs the cycle engine, which must refuse with all of `words` and what was expected, and leave
    /// nothing behind.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let before = self.files();
        let waveform = [
            "--vcd",
            "refused.vcd",
            "--trace-cycles",
            "refused.csv",
            "--outputs",
            "o.npz",
        ];
        let output = self.run(&[&["run", "--engine", "cycle"], arguments, &waveform].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!said.contains("panicked"), "{said}");
        for word in words.iter().chain(&["expected"]) {
            assert!(
                said.contains(word),
                "{arguments:?}: `{word}` is missing in: {said}"
            );
        }
        assert_eq!(self.files(), before, "{arguments:?} left files behind");
    }

    fn outputs(&self, name: &str) -> Vec<i64> {
        let mut arrays = self.arrays(name);
        arrays.remove("outputs").expect("outputs").1
    }

    /// Shape and mantissas of every array of an archive.
    fn arrays(&self, name: &str) -> BTreeMap<String, (Vec<usize>, Vec<i64>)> {
        let mut archive = NpzReader::new(File::open(self.path(name)).expect("outputs")).expect("an archive");
        let names = archive.names().expect("names");
        names
            .into_iter()
            .map(|name| {
                let array = archive.by_name::<OwnedRepr<i64>, IxDyn>(&name).expect("an array");
                let name = name.trim_end_matches(".npy").to_owned();
                (name, (array.shape().to_vec(), array.iter().copied().collect()))
            })
            .collect()
    }
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn what_layers_hand_on_is_the_same_in_both_engines() {
    let place = Workplace::new();
    for network in ["digits_medium_cls", "unet_digits_pruned"] {
        let folder = model(network);
        let folder = folder.to_str().expect("a path");
        let mut archives = Vec::new();
        for engine in ["functional", "cycle", "cycle-plain"] {
            let arguments = [
                "run",
                folder,
                "--limit",
                "2",
                "--engine",
                engine,
                "--trace",
                "--outputs",
                "t.npz",
            ];
            place.json(&arguments);
            archives.push(place.arrays("t.npz"));
        }
        assert!(
            archives[0]
                .keys()
                .filter(|name| name.starts_with("trace/"))
                .count()
                >= 2
        );
        assert!(archives.windows(2).all(|pair| pair[0] == pair[1]), "{network}");
    }
    let refused = place.run(&["run", "--engine", "cycle", "--trace", "--limit", "1"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("nowhere to go") && said.contains("--trace needs --outputs"),
        "{said}"
    );
}

#[test]
fn a_run_says_when_words_move() {
    let place = Workplace::new();
    let run = place.cycles(&["--limit", "2"]);
    let cycles = run["cycles"].as_object().expect("cycles");
    let keys: Vec<&str> = cycles.keys().map(String::as_str).collect();
    assert_eq!(keys, ["first_output", "latency", "initiation_interval", "total"]);
    let [first, latency, interval, total] = keys.map_numbers(&run["cycles"]);
    // A word holds the 16 outputs. The input is taken at edge 0, so the second sample's word leaves one
    // interval after the first one, which is the end.
    assert_eq!(first, latency);
    assert_eq!(total, latency + interval);
    // The 8x8 pixels are padded to 9x9 and come one per cycle.
    assert!(interval >= 81 && latency > 81, "{latency} {interval}");

    let stages = rows(&run["stages"]);
    let names: Vec<&str> = stages.iter().map(|stage| text(&stage["stage"])).collect();
    assert!(names.contains(&text(&run["bottleneck"])));
    for stage in stages {
        for key in ["transfer_cycles", "stall_cycles", "idle_cycles"] {
            assert!(number(&stage[key]) <= total, "{stage}");
        }
    }
    for fifo in rows(&run["fifos"]) {
        assert!(names.contains(&text(&fifo["fifo"])));
        assert!(number(&fifo["deepest"]) <= number(&fifo["depth"]));
        assert!(number(&fifo["smallest_without_stall"]) >= 2);
    }
    assert!(run.get("faults").is_none());
    // Steady operation is what one sample does not show.
    let single = place.cycles(&["--limit", "1"]);
    assert!(single["cycles"]["initiation_interval"].is_null());
    for fifo in rows(&single["fifos"]) {
        assert!(fifo["smallest_without_stall"].is_null());
    }
    let alone = place.cycles(&["--limit", "1", "--steady"]);
    for key in ["first_output", "latency", "total"] {
        assert_eq!(single["cycles"][key], alone["cycles"][key]);
    }
    assert_eq!(single["stages"], alone["stages"]);
    let many = place.cycles(&["--limit", "6"]);
    assert_eq!(
        alone["cycles"]["initiation_interval"],
        many["cycles"]["initiation_interval"]
    );
    assert_eq!(number(&alone["cycles"]["total"]), latency);
    let said = place.done(&["run", "--engine", "cycle", "--limit", "2"]);
    for word in [
        "latency",
        "initiation interval",
        "bottleneck",
        "smallest without a stall",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

trait MapNumbers {
    fn map_numbers<const N: usize>(&self, of: &Value) -> [u64; N];
}

impl MapNumbers for Vec<&str> {
    fn map_numbers<const N: usize>(&self, of: &Value) -> [u64; N] {
        std::array::from_fn(|at| number(&of[self[at]]))
    }
}

#[test]
fn all_engines_hand_out_the_same() {
    let place = Workplace::new();
    place.text(
        "faults.csv",
        "layer,tensor,element,bit\nconv_0,weight,5,4\nmatmul_1,weight,77,3\nmatmul_1,bias,2,5\n",
    );
    for (name, faults) in [("free", &[][..]), ("struck", &["--faults", "faults.csv"])] {
        let run = |engine: &str| {
            let file = format!("{name}_{engine}.npz");
            let arguments = ["run", "--limit", "5", "--engine", engine, "--outputs", &file];
            let document = place.json(&[&arguments, faults].concat());
            (place.outputs(&file), document)
        };
        let (expected, _) = run("functional");
        let (cycle, document) = run("cycle");
        let (plain, ticked) = run("cycle-plain");
        assert_eq!(cycle, expected);
        assert_eq!(plain, expected);
        assert_eq!(document, ticked);
    }
    assert_ne!(place.outputs("free_cycle.npz"), place.outputs("struck_cycle.npz"));
}

#[test]
fn drawn_faults_do_the_same_to_both_twins() {
    let place = Workplace::new();
    for seed in ["1", "2", "3", "4", "5"] {
        let run = |engine: &str| {
            let arguments = [
                "run",
                "--limit",
                "2",
                "--draw",
                "40",
                "--from",
                "registers",
                "--seed",
                seed,
                "--outputs",
                "o.npz",
            ];
            let mut document = place.json(&[&arguments[..], &["--engine", engine]].concat());
            // Waiting for what never comes is cut short by one of them.
            document["stages"] = Value::Null;
            (document, place.outputs("o.npz"))
        };
        let (cycle, outputs) = run("cycle");
        assert_eq!((cycle.clone(), outputs), run("cycle-plain"), "{seed}");
        let faults = &cycle["faults"];
        let listed = rows(&faults["list"]);
        assert_eq!(number(&faults["injected"]), 40);
        assert!(listed.iter().all(|row| EFFECTS.contains(&text(&row["effect"]))));
        assert!(EFFECTS.contains(&text(&faults["outcome"])));
    }
}

#[test]
fn control_faults_hang_and_the_wait_ends_at_the_bound() {
    let place = Workplace::new();
    let controls = register_faults(&place);
    let controls = controls.iter().filter(|(_, class, _)| class == "control");
    let mut list = "layer,tensor,element,bit,cycle\n".to_owned();
    for (layer, _, elements) in controls {
        for element in 0..*elements {
            list += &format!("{layer},control,{element},0,20\n");
        }
    }
    place.text("all.csv", &list);
    let all = place.cycles(&["--limit", "2", "--faults", "all.csv"]);
    let hangs = rows(&all["faults"]["list"])
        .iter()
        .filter(|row| row["effect"] == "hang");
    let hangs: Vec<&Value> = hangs.collect();
    assert!(!hangs.is_empty());
    let fault_free = number(&place.cycles(&["--limit", "2"])["cycles"]["total"]);
    for row in hangs {
        let (layer, element) = (text(&row["layer"]), &row["element"]);
        place.text(
            "one.csv",
            &format!("layer,tensor,element,bit,cycle\n{layer},control,{element},0,20\n"),
        );
        let run = |engine: &str| {
            let arguments = ["run", "--limit", "2", "--faults", "one.csv", "--outputs", "o.npz"];
            let mut document = place.json(&[&arguments[..], &["--engine", engine]].concat());
            document["stages"] = Value::Null;
            (document, place.outputs("o.npz"))
        };
        let (document, outputs) = run("cycle");
        assert_eq!((document.clone(), outputs.clone()), run("cycle-plain"), "{row}");
        assert_eq!(document["faults"]["outcome"], "hang");
        let bound = number(&document["faults"]["bound"]);
        assert!(bound > fault_free);
        assert_eq!(document["faults"]["end"]["cycle"], bound);
        // The second sample has not come out.
        assert_eq!(outputs.len(), 32);
        assert!(outputs[16..].iter().all(|&output| output == 0));
    }
}

#[test]
fn a_fifo_of_the_smallest_depth_is_as_fast_as_a_deep_one() {
    let place = Workplace::new();
    let with = |fifo: &str, timing: &str| {
        place.text(
            "hardware.ron",
            &format!(
                "(layers: {{ \"matmul_1\": (folding: Hls4ml(reuse_factor: 128), {timing} fifo: {fifo}) }}, output_stream: (lanes: 1, interval: 3))"
            ),
        );
        place.cycles(&["--hardware", "hardware.ron", "--limit", "4"])
    };
    let slow = "timing: (initiation_interval: 300, iteration_latency: 130),";
    for timing in ["", slow] {
        let shallow = with("Words(1)", timing);
        let fifos = rows(&shallow["fifos"]);
        let named = |fifo: &&Value| fifo["fifo"] == "matmul_1.fifo";
        let smallest = number(&fifos.iter().find(named).expect("the FIFO")["smallest_without_stall"]);
        let deep = with("Words(4000)", timing);
        let enough = with(&format!("Words({smallest})"), timing);
        assert_eq!(enough["cycles"], deep["cycles"], "{smallest}");
        let auto = with("Auto", timing);
        assert_eq!(auto["cycles"], deep["cycles"]);
    }
}

#[test]
fn registers_are_listed_by_class_layer_and_stage() {
    let place = Workplace::new();
    let document = place.json(&["inspect"]);
    let registers = document["registers"].as_object().expect("classes");
    let total = number(&registers["total"]);
    let of_classes = registers.iter().filter(|(class, _)| *class != "total");
    assert_eq!(of_classes.map(|(_, bits)| number(bits)).sum::<u64>(), total);
    let stored = number(&document["stored_bits"]["total"]);
    assert_eq!(number(&document["hit_bits"]), stored + total);
    let stages = rows(&document["stages"]);
    assert_eq!(
        stages.iter().map(|stage| number(&stage["bits"])).sum::<u64>(),
        total
    );
    for stage in stages {
        assert_eq!(stage["fifo_depth"].is_u64(), stage["kind"] == "fifo", "{stage}");
    }
    let mut by_class: BTreeMap<&str, u64> = BTreeMap::new();
    let listed = || {
        let layers = rows(&document["layers"]).iter();
        layers.flat_map(|layer| rows(&layer["registers"]).iter().map(move |row| (layer, row)))
    };
    for (_, row) in listed() {
        *by_class.entry(text(&row["class"])).or_default() += number(&row["bits"]);
    }
    for (class, bits) in by_class {
        assert_eq!(number(&registers[class]), bits, "{class}");
    }
    let find = |layer: &str, class: &str| {
        let (_, row) = listed()
            .find(|(found, row)| found["name"] == layer && row["class"] == class)
            .expect("a row");
        (number(&row["elements"]), number(&row["bits"]))
    };
    // 9 taps of 8 channels: activations of 11 bits times weights of 6; sums of 20 bits.
    assert_eq!(find("conv_0", "product"), (72, 72 * 17));
    assert_eq!(find("conv_0", "accumulator"), (8, 8 * 20));
    // 128 taps of 16 outputs: 12 times 6 bits; sums of 26 bits.
    assert_eq!(find("matmul_1", "product"), (2048, 2048 * 18));
    assert_eq!(find("matmul_1", "accumulator"), (16, 16 * 26));
    // Two words of 8 channels of 12 bits.
    assert_eq!(find("matmul_1", "fifo"), (16, 16 * 12));

    // A FIFO's depth shows in its bits, and one in front of a layer that is no hardware is there if it is stated.
    let fifo_bits = |document: &Value| number(&document["registers"]["fifo"]);
    for (layer, words) in [("matmul_1", 7), ("flatten_1", 9)] {
        place.text(
            "deep.ron",
            &format!("(layers: {{ \"{layer}\": (fifo: Words(9)) }})"),
        );
        let deep = place.json(&["inspect", "--hardware", "deep.ron"]);
        assert_eq!(fifo_bits(&deep) - fifo_bits(&document), words * 8 * 12, "{layer}");
    }
    let said = place.done(&["inspect"]);
    for word in ["line_buffer", "FIFO depth", "bits that an upset can hit"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// The first and last bit of every register class of every layer, as `inspect` lists them, with the
/// number of elements.
fn register_faults(place: &Workplace) -> Vec<(String, String, u64)> {
    let document = place.json(&["inspect"]);
    rows(&document["layers"])
        .iter()
        .flat_map(|layer| {
            let name = text(&layer["name"]).to_owned();
            let listed = rows(&layer["registers"]).to_owned();
            listed.into_iter().map(move |row| {
                (
                    name.clone(),
                    text(&row["class"]).to_owned(),
                    number(&row["elements"]),
                )
            })
        })
        .collect()
}

#[test]
fn every_register_class_is_struck_by_either_address() {
    let place = Workplace::new();
    let registers = register_faults(&place);
    for class in [
        "line_buffer",
        "fifo",
        "product",
        "accumulator",
        "pipeline",
        "control",
    ] {
        assert!(registers.iter().any(|(_, found, _)| found == class), "{class}");
    }
    let mut list = "layer,tensor,element,bit,cycle\n".to_owned();
    for (layer, class, elements) in &registers {
        list += &format!("{layer},{class},0,0,\n{layer},{class},{},0,70\n", elements - 1);
    }
    place.text("logical.csv", &list);
    let logical = place.cycles(&["--limit", "1", "--faults", "logical.csv"]);
    let faults = &logical["faults"];
    assert_eq!(number(&faults["injected"]), 2 * registers.len() as u64);
    assert_eq!(faults["injected"], faults["wrong_bits"]);
    let found = rows(&faults["list"]);
    let expected = registers.iter().flat_map(|(layer, class, elements)| {
        [(layer, class, 0, None), (layer, class, elements - 1, Some(70))]
    });
    for (row, (layer, class, element, cycle)) in found.iter().zip(expected) {
        assert_eq!(
            (text(&row["layer"]), text(&row["tensor"])),
            (layer.as_str(), class.as_str())
        );
        assert_eq!((number(&row["element"]), number(&row["bit"])), (element, 0));
        assert_eq!(row["cycle"].as_u64(), cycle);
        assert_eq!(row["kind"], "register");
        assert_eq!(row["happened"], true);
        assert_eq!(row["memory"], format!("{layer}.{class}"));
        assert!(EFFECTS.contains(&text(&row["effect"])), "{row}");
        let word = |key: &str| u64::from_str_radix(text(&row[key]), 16).expect("a word");
        assert_eq!(word("word_before") ^ word("word_after"), 1, "{row}");
    }
    let effective = found.iter().filter(|row| row["effect"] != "no_effect").count() as u64;
    assert_eq!(number(&faults["effective"]), effective);

    let mut list = "cycle,memory,word,bit\n".to_owned();
    for row in found {
        let cycle = row["cycle"]
            .as_u64()
            .map_or_else(String::new, |cycle| cycle.to_string());
        list += &format!(
            "{cycle},{},{},{}\n",
            text(&row["memory"]),
            row["word"],
            row["word_bit"]
        );
    }
    place.text("physical.csv", &list);
    let physical = place.cycles(&["--limit", "1", "--faults", "physical.csv"]);
    assert_eq!(physical["faults"], logical["faults"]);

    let mut list = "register,bit,cycle\n".to_owned();
    for row in found {
        let cycle = row["cycle"]
            .as_u64()
            .map_or_else(String::new, |cycle| cycle.to_string());
        list += &format!("{},{},{cycle}\n", text(&row["register"]), row["bit"]);
    }
    place.text("paths.csv", &list);
    let paths = place.cycles(&["--limit", "1", "--faults", "paths.csv"]);
    assert_eq!(paths["faults"], logical["faults"]);
}

#[test]
fn registers_are_listed_by_name() {
    let place = Workplace::new();
    let document = place.json(&["inspect", "--registers"]);
    let listed = rows(&document["register_table"]);
    let paths: std::collections::BTreeSet<&str> = listed.iter().map(|row| text(&row["path"])).collect();
    assert_eq!(paths.len(), listed.len(), "every register has a name of its own");
    let (mut stages, mut classes) = (BTreeMap::new(), BTreeMap::new());
    for row in listed {
        let bits = number(&row["bits"]);
        assert_eq!(
            bits,
            number(&row["words"]) * number(&row["lanes"]) * number(&row["lane_bits"])
        );
        let (stage, _) = text(&row["path"]).rsplit_once('.').expect("a register of a unit");
        *stages.entry(stage.to_owned()).or_insert(0) += bits;
        *classes.entry(text(&row["class"]).to_owned()).or_insert(0) += bits;
    }
    for stage in rows(&document["stages"]) {
        let bits = stages.get(text(&stage["name"])).copied().unwrap_or(0);
        assert_eq!(bits, number(&stage["bits"]), "{stage}");
    }
    let mut total = 0;
    for (class, bits) in document["registers"].as_object().expect("classes") {
        match class.as_str() {
            "total" => total = number(bits),
            class => assert_eq!(classes.get(class).copied().unwrap_or(0), number(bits), "{class}"),
        }
    }
    assert_eq!(classes.values().sum::<u64>(), total);
    assert!(place.json(&["inspect"])["register_table"].is_null());
    // Every rule is one of four, and names registers of the same unit.
    let mut rules = std::collections::BTreeSet::new();
    for row in listed {
        let rule = text(&row["live"]);
        let flags = rows(&row["live_flags"]);
        rules.insert(rule.split(' ').next().expect("a word"));
        assert_eq!(rule.starts_with("while "), !flags.is_empty(), "{row}");
        let unit = text(&row["path"]).rsplit_once('.').expect("a unit").0;
        for flag in flags {
            assert!(paths.contains(text(flag)), "{row}");
            let (of, name) = text(flag).rsplit_once('.').expect("a unit");
            assert!(of == unit && rule.contains(name), "{row}");
        }
    }
    assert!(rules.contains("always") && rules.contains("until") && rules.contains("while"));
    let said = place.done(&["inspect", "--registers"]);
    assert!(
        said.contains("while output_valid") && said.contains("until overwritten"),
        "{said}"
    );
}

/// What `--draw` draws from means the same under every engine.
#[test]
fn draws_are_of_stored_bits_unless_registers_are_named() {
    let place = Workplace::new();
    let small = model("digits_small_cls");
    let small = small.to_str().expect("a path");
    let draw = |engine: &str, from: &[&str]| {
        let arguments = [
            "run", small, "--limit", "2", "--draw", "12", "--seed", "5", "--engine", engine,
        ];
        place.json(&[&arguments[..], from].concat())["faults"].clone()
    };
    let addresses = |faults: &Value| {
        let address = |row: &Value| {
            (
                text(&row["layer"]).to_owned(),
                text(&row["tensor"]).to_owned(),
                number(&row["element"]),
                number(&row["bit"]),
            )
        };
        let mut all: Vec<_> = rows(&faults["list"]).iter().map(address).collect();
        all.sort();
        all
    };
    let functional = draw("functional", &[]);
    for (engine, from) in [
        ("functional", &["--from", "stored"][..]),
        ("plain", &[]),
        ("cycle", &[]),
        ("cycle", &["--from", "stored"]),
        ("cycle-plain", &[]),
    ] {
        let faults = draw(engine, from);
        assert_eq!(addresses(&faults), addresses(&functional), "{engine} {from:?}");
        for key in ["drawn", "injected", "wrong_bits", "effective", "effective_counts"] {
            assert_eq!(faults[key], functional[key], "{engine} {from:?}: {key}");
        }
        assert_eq!(faults["drawn"]["from"], "stored");
    }
    let stored = number(&functional["drawn"]["bits"]);
    let registers = number(&draw("cycle", &["--from", "registers"])["drawn"]["bits"]);
    let all = draw("cycle", &["--from", "all"]);
    assert_eq!(number(&all["drawn"]["bits"]), stored + registers);
    for engine in ["functional", "plain"] {
        for from in ["registers", "all"] {
            let arguments = [
                "run", small, "--limit", "1", "--draw", "3", "--from", from, "--engine", engine,
            ];
            let refused = place.run(&arguments);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{said}");
            for word in ["no registers to draw", "expected", "--engine cycle"] {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
    }
}

/// Stored and register bits are drawn alike: each kind as often as it has bits.
#[test]
fn a_draw_from_all_is_uniform_over_all_bits() {
    let place = Workplace::new();
    let small = model("digits_small_cls");
    let small = small.to_str().expect("a path");
    let run = place.cycles(&[
        small, "--limit", "1", "--draw", "4000", "--from", "all", "--check", "together", "--seed", "3",
    ]);
    let faults = &run["faults"];
    let inspected = place.json(&["inspect", small]);
    let stored = number(&inspected["stored_bits"]["total"]) as f64;
    let share = stored / number(&inspected["hit_bits"]) as f64;
    let listed = rows(&faults["list"]);
    let of_memories = listed.iter().filter(|row| row["kind"] == "memory").count();
    let (mean, n) = (share * listed.len() as f64, listed.len() as f64);
    let deviation = (n * share * (1.0 - share)).sqrt();
    assert!(
        (of_memories as f64 - mean).abs() < 5.0 * deviation,
        "{of_memories} of {n}, {mean} expected"
    );
    assert!(
        listed.iter().all(|row| row["cycle"].as_u64().is_some()),
        "every strike has a cycle"
    );
    assert!(listed.iter().any(|row| row["kind"] == "register"));
}

#[test]
fn faults_are_checked_alone_unless_that_is_left_out() {
    let place = Workplace::new();
    let small = model("digits_small_cls");
    let small = small.to_str().expect("a path");
    for engine in ["functional", "cycle"] {
        let run = |check: &[&str]| {
            let arguments = ["run", small, "--limit", "2", "--draw", "20", "--engine", engine];
            place.json(&[&arguments[..], check].concat())
        };
        let each = run(&[]);
        assert_eq!(each, run(&["--check", "each"]));
        let together = run(&["--check", "together"]);
        assert!(each["faults"]["effective"].is_u64());
        assert!(text(&each["faults"]["effective_counts"]).contains("alter at least one output"));
        assert!(together["faults"]["effective"].is_null());
        assert!(text(&together["faults"]["effective_counts"]).contains("not examined"));
        for key in ["loss", "accuracy", "cycles"] {
            assert_eq!(each[key], together[key], "{engine}: {key}");
        }
        for key in ["injected", "wrong_bits", "outcome", "end"] {
            assert_eq!(each["faults"][key], together["faults"][key], "{engine}: {key}");
        }
    }
    // A fault by itself is alone already.
    place.text("one.csv", "register,bit,cycle\nmatmul_0.mvau.output_valid,0,30\n");
    let one = place.cycles(&[small, "--limit", "2", "--faults", "one.csv"]);
    assert_eq!(one["faults"]["list"][0]["effect"], one["faults"]["outcome"]);
    let refused = place.run(&["run", small, "--check", "together"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("there are none") && said.contains("--faults LIST.csv"),
        "{said}"
    );
}

#[test]
fn paths_that_name_no_register_are_refused_with_what_there_is() {
    let place = Workplace::new();
    let document = place.json(&["inspect", "--registers"]);
    let listed = rows(&document["register_table"]);
    let many = |key: &str| {
        let row = listed.iter().find(|row| number(&row[key]) > 1).expect("several");
        (
            text(&row["path"]).to_owned(),
            number(&row["words"]),
            number(&row["lanes"]),
            number(&row["lane_bits"]),
        )
    };
    let (words_path, words, _, _) = many("words");
    let (lanes_path, lane_words, lanes, bits) = many("lanes");
    let word = if lane_words > 1 { "[0]" } else { "" };
    for (line, said) in [
        (
            "conv_0.nothing,0,0".to_owned(),
            vec![
                "line 2".to_owned(),
                "no register `conv_0.nothing`".into(),
                "conv_0.".into(),
            ],
        ),
        // Of the layer that is named, and none of another.
        (
            "conv_9.nothing,0,0".to_owned(),
            vec![
                "begins with no layer".to_owned(),
                "conv_0, ".into(),
                "did you mean `conv_0`?".into(),
            ],
        ),
        (
            "accumulator,0,0".to_owned(),
            vec!["begins with no layer".to_owned()],
        ),
        (
            format!("{words_path},0,0"),
            vec![format!("{words} words"), format!("[{}]", words - 1)],
        ),
        (
            format!("{words_path}[{words}],0,0"),
            vec![format!("no word {words}")],
        ),
        (format!("{lanes_path}{word},0,0"), vec![format!("{lanes} lanes")]),
        (
            format!("{lanes_path}{word}.{lanes},0,0"),
            vec![format!("no lane {lanes}")],
        ),
        (
            format!("{lanes_path}{word}.0,{bits},0"),
            vec![format!("no bit {bits}"), format!("0..={}", bits - 1)],
        ),
    ] {
        place.text("faults.csv", &format!("register,bit,cycle\n{line}\n"));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        place.refuses(&["--limit", "1", "--faults", "faults.csv"], &said);
    }
    place.text("faults.csv", &format!("register,bit\n{lanes_path}{word}.0,0\n"));
    let output = place.run(&["run", "--limit", "1", "--faults", "faults.csv"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cycle engine") && said.contains("--engine cycle"),
        "{said}"
    );
}

#[test]
fn wires_are_struck_at_their_cycle() {
    let place = Workplace::new();
    // Every cycle in which the dense layer's one product can be on the wire.
    let total = number(&place.cycles(&["--limit", "1"])["cycles"]["total"]);
    for wire in ["product_wire", "sum_wire"] {
        let mut list = "layer,tensor,element,bit,cycle\n".to_owned();
        for cycle in 0..total {
            list += &format!("matmul_1,{wire},0,9,{cycle}\n");
        }
        place.text("faults.csv", &list);
        let run = place.cycles(&["--limit", "1", "--faults", "faults.csv"]);
        let found = rows(&run["faults"]["list"]);
        assert_eq!(found.len() as u64, total);
        for (row, cycle) in found.iter().zip(0..) {
            assert_eq!((text(&row["tensor"]), number(&row["cycle"])), (wire, cycle));
            assert_eq!(
                (&row["kind"], &row["happened"]),
                (&"transient".into(), &true.into())
            );
        }
        // The layer computes once, in one step: the wire carries its value for one cycle.
        let effective = found.iter().filter(|row| row["effect"] != "no_effect").count();
        assert!(effective <= 1, "{wire}: {effective}");
    }

    let mut network = Model::new("x", &[1, 4]);
    network
        .quant("x", "xq", 8, 0.125, true)
        .floats("w", &[4, 2], &[0.25, -0.5, 0.75, 1.0, -0.25, 0.5, 1.5, -1.0])
        .quant("w", "wq", 4, 0.25, true)
        .node("MatMul", &["xq", "wq"], "h")
        .floats("t", &[2, 3], &[-1.0, 0.0, 1.0, -2.0, 0.5, 2.0])
        .node("MultiThreshold", &["h", "t"], "y")
        .with("out_dtype", Attribute::Text("UINT2"))
        .with("data_layout", Attribute::Text("NC"))
        .output("y");
    place.bytes("thresholds.onnx", &network.bytes());
    place.rows("x.npy", 1, 4, 1.0);
    let common = ["thresholds.onnx", "--inputs", "x.npy", "--outputs", "o.npz"];
    let plain = place.cycles(&common);
    // 1*(0.25+0.75-0.25+1.5) = 2.25 and 0: above three and two thresholds (-1, 0, 1 and -2, 0.5, 2).
    assert_eq!(place.outputs("o.npz"), [3, 1]);
    let total = number(&plain["cycles"]["total"]);
    let layer = text(
        &rows(&plain["stages"])
            .iter()
            .find(|stage| stage["kind"] == "thresholding")
            .expect("it")["stage"],
    )
    .split('.')
    .next()
    .expect("a layer")
    .to_owned();
    let mut list = "layer,tensor,element,bit,cycle\n".to_owned();
    for cycle in 0..total {
        list += &format!("{layer},comparison_wire,1,0,{cycle}\n");
    }
    place.text("faults.csv", &list);
    let run = place.cycles(&[&common[..], &["--faults", "faults.csv"]].concat());
    let effects = rows(&run["faults"]["list"])
        .iter()
        .filter(|row| row["effect"] != "no_effect");
    assert_eq!(effects.count(), 1);
    // The first comparison, with 0.5, says yes by mistake, and the second one, with 2, no.
    assert_eq!(place.outputs("o.npz"), [3, 2]);
}

#[test]
fn a_fault_listed_twice_cancels() {
    let place = Workplace::new();
    let fault = "matmul_1,accumulator,3,7,40\n";
    place.text(
        "faults.csv",
        &format!("layer,tensor,element,bit,cycle\n{fault}conv_0,weight,0,0,\n{fault}conv_0,weight,0,0,\nconv_0,weight,0,0,3\n"),
    );
    let run = place.cycles(&["--limit", "2", "--faults", "faults.csv"]);
    let faults = &run["faults"];
    assert_eq!(
        ["injected", "wrong_bits", "cancelled"].map(|key| number(&faults[key])),
        [5, 1, 4]
    );
    assert_eq!(rows(&faults["list"]).len(), 1);
    assert_eq!(faults["list"][0]["cycle"], 3);
}

/// A waveform: names of variables in their scopes, and what each block of one time changes.
struct Waveform {
    blocks: BTreeMap<u64, BTreeMap<String, String>>,
}

fn waveform(path: &Path) -> Waveform {
    let mut parser = vcd::Parser::new(BufReader::new(File::open(path).expect("a waveform")));
    let header = parser.parse_header().expect("a header");
    assert!(header.timescale.is_some());
    let mut names = BTreeMap::new();
    let mut scopes: Vec<(String, &[ScopeItem])> = vec![(String::new(), &header.items)];
    while let Some((place, items)) = scopes.pop() {
        for item in items {
            match item {
                ScopeItem::Var(var) => {
                    let name = format!("{place}{}", var.reference);
                    assert!(
                        names.insert(var.code, (name, var.size)).is_none(),
                        "two variables of one code"
                    );
                }
                ScopeItem::Scope(scope) => {
                    scopes.push((format!("{place}{}.", scope.identifier), &scope.items));
                }
                _ => {}
            }
        }
    }
    let mut blocks: BTreeMap<u64, BTreeMap<String, String>> = BTreeMap::new();
    let mut now = None;
    for command in parser {
        let (code, bits) = match command.expect("a command") {
            Command::Timestamp(time) => {
                assert!(now < Some(time), "time goes on");
                now = Some(time);
                continue;
            }
            Command::ChangeScalar(code, value) => (code, value.to_string()),
            Command::ChangeVector(code, values) => {
                (code, values.iter().map(|value| value.to_string()).collect())
            }
            _ => continue,
        };
        let (name, size) = &names[&code];
        assert_eq!(bits.len(), *size as usize, "{name}");
        let block = blocks.entry(now.expect("a time")).or_default();
        block.insert(name.clone(), bits);
    }
    Waveform { blocks }
}

impl Waveform {
    /// Rising edges of the clock, and those of them at which a stream's word moves.
    fn transfers(&self, stream: &str) -> (u64, u64) {
        let mut state: BTreeMap<&str, &str> = BTreeMap::new();
        let (mut edges, mut moved) = (0, 0);
        let names = ["valid", "ready"].map(|end| format!("accelerator.streams.{stream}_{end}"));
        for block in self.blocks.values() {
            let clock = block.get("accelerator.clk").map(String::as_str);
            if clock == Some("1") && state.get("accelerator.clk") == Some(&"0") {
                edges += 1;
                moved += u64::from(names.iter().all(|name| state.get(name.as_str()) == Some(&"1")));
            }
            state.extend(block.iter().map(|(name, bits)| (name.as_str(), bits.as_str())));
        }
        (edges, moved)
    }
}

#[test]
fn a_waveform_shows_every_word_and_every_flip() {
    let place = Workplace::new();
    let run = place.cycles(&["--limit", "2", "--vcd", "free.vcd", "--trace-cycles", "table.csv"]);
    let total = number(&run["cycles"]["total"]);
    let free = waveform(&place.path("free.vcd"));
    // 64 pixels of one lane each go in, one word of 16 outputs comes out.
    assert_eq!(free.transfers("input"), (total, 128));
    assert_eq!(free.transfers("matmul_1_activation"), (total, 2));

    let (header, table) = records(&place.read("table.csv"));
    assert_eq!(table.len() as u64, total);
    assert_eq!(header[0], "cycle");
    assert_eq!(
        table.iter().map(|row| row[0].clone()).collect::<Vec<_>>(),
        (0..total).map(|c| c.to_string()).collect::<Vec<_>>()
    );
    for (column, stage) in (1..).zip(rows(&run["stages"])) {
        assert_eq!(header[column], text(&stage["stage"]));
        let moves = table
            .iter()
            .filter(|row| ["t", "g", "b"].contains(&row[column].as_str()));
        assert_eq!(
            moves.count() as u64,
            number(&stage["transfer_cycles"]),
            "{}",
            header[column]
        );
    }

    // Before the flip both waveforms are one; right after edge 20 a single bit differs.
    place.text(
        "faults.csv",
        "layer,tensor,element,bit,cycle\nconv_0,line_buffer,4,2,20\n",
    );
    place.cycles(&["--limit", "2", "--vcd", "struck.vcd", "--faults", "faults.csv"]);
    let struck = waveform(&place.path("struck.vcd"));
    let state = |waveform: &Waveform, time: u64| {
        let mut state = BTreeMap::new();
        for block in waveform.blocks.range(..=time).map(|(_, block)| block) {
            state.extend(block.clone());
        }
        state
    };
    for time in 0..42 {
        assert_eq!(free.blocks.get(&time), struck.blocks.get(&time), "{time}");
    }
    let (before, after) = (state(&free, 42), state(&struck, 42));
    let differing: Vec<&String> = before
        .keys()
        .filter(|name| before[*name] != after[*name])
        .collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert!(
        differing[0].starts_with("accelerator.conv_0_swg."),
        "{differing:?}"
    );
    let bits = before[differing[0]].chars().zip(after[differing[0]].chars());
    assert_eq!(bits.filter(|(a, b)| a != b).count(), 1);

    // A window of time.
    place.cycles(&[
        "--limit",
        "2",
        "--vcd",
        "part.vcd",
        "--trace-cycles",
        "part.csv",
        "--cycles",
        "10..15",
    ]);
    let part = waveform(&place.path("part.vcd"));
    assert_eq!(part.transfers("input").0, 5);
    assert_eq!(records(&place.read("part.csv")).1, table[10..15]);

    // GTKWave's own reader.
    match Process::new("vcd2fst").arg("--help").output() {
        Err(error) => eprintln!("skipped: vcd2fst (package gtkwave): {error}"),
        Ok(_) => {
            let (vcd, fst) = (place.path("free.vcd"), place.path("free.fst"));
            let done = Process::new("vcd2fst")
                .args([&vcd, &fst])
                .output()
                .expect("it runs");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert!(std::fs::metadata(fst).expect("an FST file").len() > 0);
        }
    }
}

#[test]
fn hardware_that_cannot_be_is_refused() {
    let place = Workplace::new();
    for (entry, words) in [
        (
            "folding: Finn(pe: 3, simd: 8)",
            &["matmul_1", "pe", "16", "1, 2, 4, 8, 16"][..],
        ),
        ("folding: Finn(pe: 4, simd: 12)", &["matmul_1", "simd", "128"]),
        (
            "folding: Hls4ml(reuse_factor: 7)",
            &["matmul_1", "7", "nearest is 8"],
        ),
        ("fifo: Words(0)", &["matmul_1", "FIFO", "Auto"]),
        (
            "folding: Hls4ml(reuse_factor: 8), timing: (initiation_interval: 7, iteration_latency: 20)",
            &["matmul_1", "initiation interval of 7", "8", "timing"],
        ),
        (
            "folding: Hls4ml(reuse_factor: 8), timing: (initiation_interval: 8, iteration_latency: 3)",
            &["matmul_1", "iteration latency of 3", "8..=", "timing"],
        ),
        ("fifo_lanes: 5", &["matmul_1", "5", "128", "fifo_lanes"]),
    ] {
        place.text(
            "hardware.ron",
            &format!("(layers: {{ \"matmul_1\": ({entry}) }})"),
        );
        place.refuses(&["--hardware", "hardware.ron"], words);
        place.refuses(
            &["--hardware", "hardware.ron"],
            &["hardware.ron: layer", "in this entry"],
        );
    }
    for (field, words) in [
        ("input_stream: (lanes: 5)", &["5 lanes", "64", "input_stream"]),
        ("output_stream: (lanes: 3)", &["3 lanes", "16", "output_stream"]),
        (
            "input_stream: (interval: 0)",
            &["input_stream", "no cycles", "from 1"],
        ),
    ] {
        place.text("hardware.ron", &format!("({field})"));
        place.refuses(&["--hardware", "hardware.ron"], words);
        place.refuses(
            &["--hardware", "hardware.ron"],
            &["hardware.ron: ", "in this entry"],
        );
    }
}

#[test]
fn streams_that_lock_up_are_named() {
    let place = Workplace::new();
    place.text("shallow.ron", "(layers: { \"cat1\": (fifo: Words(2)) })");
    let network = model("unet_digits_pruned").display().to_string();
    place.refuses(
        &[&network, "--hardware", "shallow.ron", "--limit", "1"],
        &[
            "shallow.ron: ",
            "locks up at cycle",
            "cat1.fifo",
            "waits for",
            "fifo: Auto",
        ],
    );
    // What is stored is known all the same.
    let document = place.json(&["inspect", &network, "--hardware", "shallow.ron"]);
    assert!(document["registers"].is_null());
    assert!(document.get("hit_bits").is_none());
    assert!(text(&document["registers_missing"]).contains("locks up at cycle"));
    assert!(number(&document["stored_bits"]["total"]) > 0);
    let said = place.done(&["inspect", &network, "--hardware", "shallow.ron"]);
    assert!(said.contains("locks up at cycle"), "{said}");
}

#[test]
fn faults_outside_are_refused_with_what_is_inside() {
    let place = Workplace::new();
    let run = place.cycles(&["--limit", "1"]);
    let total = number(&run["cycles"]["total"]);
    let last = format!("0..={}", total - 1);
    for (line, words) in [
        (
            "conv_9,fifo,0,0,0".to_owned(),
            &["line 2", "conv_9", "conv_0"][..],
        ),
        (
            "conv_0,latch,0,0,0".to_owned(),
            &["line 2", "latch", "line_buffer", "product_wire"],
        ),
        (
            "matmul_1,fifo,99999,0,0".to_owned(),
            &["line 2", "99999", "matmul_1"],
        ),
        ("matmul_1,accumulator,0,26,0".to_owned(), &["line 2", "26", "25"]),
        (
            "matmul_1,product_wire,0,99,0".to_owned(),
            &["line 2", "99", "product_wire"],
        ),
        (
            "matmul_1,product_wire,0,0,".to_owned(),
            &["line 2", "wire", "cycle"],
        ),
        (
            format!("conv_0,control,0,0,{total}"),
            &["line 2", "beyond the run", &last],
        ),
        (
            "conv_0,control,0,0,-1".to_owned(),
            &["line 2", "`-1` is no cycle"],
        ),
    ] {
        place.text("faults.csv", &format!("layer,tensor,element,bit,cycle\n{line}\n"));
        place.refuses(&["--limit", "1", "--faults", "faults.csv"], words);
    }
    for (line, words) in [
        ("conv_0.latch,0,0,0", &["line 2", "conv_0.latch"][..]),
        (
            "matmul_1.accumulator,1,0,0",
            &["line 2", "matmul_1.accumulator", "word 1"],
        ),
        ("matmul_1.accumulator,0,416,0", &["line 2", "416", "415"]),
    ] {
        place.text("faults.csv", &format!("memory,word,bit,cycle\n{line}\n"));
        place.refuses(&["--limit", "1", "--faults", "faults.csv"], words);
    }
    // The last cycle is one of the run.
    place.text(
        "faults.csv",
        &format!(
            "layer,tensor,element,bit,cycle\nconv_0,control,0,0,{}\n",
            total - 1
        ),
    );
    place.cycles(&["--limit", "1", "--faults", "faults.csv"]);
}

#[test]
fn a_waveform_needs_a_clock_and_a_place() {
    let place = Workplace::new();
    for option in ["--vcd", "--trace-cycles"] {
        let output = place.run(&["run", "--limit", "1", option, "wave"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--engine cycle"), "{said}");
    }
    place.refuses(&["--limit", "1", "--cycles", "9..3"], &["9..3", "FROM..TO"]);
    place.refuses(
        &["--limit", "1", "--cycles", "5000..6000"],
        &["5000", "beyond the run", "0..="],
    );

    // One of two files cannot be written: the other one does not stay half-written.
    std::fs::create_dir(place.path("table")).expect("a folder");
    let before = place.files();
    let arguments = [
        "run",
        "--engine",
        "cycle",
        "--limit",
        "1",
        "--vcd",
        "wave.vcd",
        "--trace-cycles",
        "table",
    ];
    let output = place.run(&arguments);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !place
            .files()
            .iter()
            .any(|path| path.to_string_lossy().ends_with(".partial"))
    );
    let left: Vec<_> = place.files().difference(&before).cloned().collect();
    assert!(left.iter().all(|path| path.ends_with("wave.vcd")), "{left:?}");
}

/// FINN's configuration of a shipped model becomes a model folder that runs as it says.
#[test]
fn a_folding_configuration_becomes_a_hardware_file() {
    let place = Workplace::new();
    let folding = r#"{"Defaults": {"ram_style": ["block", ["MVAU"]]},
        "FMPadding_rtl_0": {"SIMD": 1},
        "ConvolutionInputGenerator_rtl_0": {"SIMD": 1, "parallel_window": 0},
        "MVAU_rtl_0": {"PE": 4, "SIMD": 3, "resType": "dsp"},
        "StreamingFIFO_rtl_0": {"depth": 16},
        "MVAU_rtl_1": {"PE": 2, "SIMD": 16}}"#;
    place.text("folding.json", folding);
    let model = model("digits_medium_cls");
    let model = model.to_str().unwrap();
    let report = place.json(&["convert", model, "--folding", "folding.json", "--out", "built"]);
    let made = &report["folding"];
    assert_eq!(made["layers"], serde_json::json!(["conv_0", "matmul_1"]));
    let unused: Vec<&str> = made["unused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remark| remark["entry"].as_str().unwrap())
        .collect();
    assert_eq!(unused, ["MVAU_rtl_0.resType"]);
    let built = place.json(&["inspect", "built"]);
    let conv = &built["layers"][0]["stage"];
    assert_eq!(conv["folding"], serde_json::json!({"Finn": {"pe": 4, "simd": 3}}));
    assert_eq!(conv["window"]["source"], "hardware_file");
    // 3x3 windows of a stride of 2 on 8x8: 4x4 of them; one side of padding makes the map 9x9 or 10x10.
    let side = conv["window"]["map"][0].as_u64().unwrap();
    assert_eq!(conv["padding_cycles"], side * side);
    assert_eq!(conv["window_cycles"], 2 * side + 3 + 4 * (4 * 9).max(2 * side));
    let text = place.read("built/hardware.ron");
    assert!(text.contains("// not used: MVAU_rtl_0.resType"), "{text}");
    let cycles = place.json(&["run", "built", "--engine", "cycle", "--limit", "3"]);
    assert_eq!(cycles["end"].as_str().unwrap_or("completed"), "completed");
    for (text, words) in [
        (
            r#"{"MVAU_0": {"PE": 1, "SIMD": 1}}"#,
            ["has 1 of matrix products, the network 2", "--folding"],
        ),
        ("not: {a: folding}", ["names no node", "--folding"]),
        (
            r#"{"MVAU_0": {"PE": 3, "SIMD": 1}, "MVAU_1": {"PE": 1, "SIMD": 1}}"#,
            ["pe = 3", "divisor"],
        ),
    ] {
        place.text("wrong.json", text);
        let output = place.run(&["convert", model, "--folding", "wrong.json", "--out", "none"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        let flat: String = error
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect::<Vec<_>>()
            .join(" ");
        for word in words {
            assert!(flat.contains(word), "{word}: {flat}");
        }
        assert!(!place.path("none").exists());
    }
}

#[test]
fn programs_have_registers_and_no_stored_bit() {
    let place = Workplace::new();
    let golden = cli_common::root().join("tests/golden/dais");
    let network = golden.join("dense0.pipeline.json").display().to_string();
    let x: Vec<f64> = (0..32).map(|at| f64::from(at % 7) - 3.0).collect();
    place.npy("x.npy", &[4, 8], x);
    let inspected = place.json(&["inspect", &network]);
    // `Pipeline.reg_bits` of da4ml, in tests/golden/dais/registers.csv.
    assert_eq!(inspected["registers"]["pipeline"], 188);
    assert_eq!(inspected["notes"][0]["kind"], "not_stored");
    let run = place.cycles(&[
        &network,
        "--inputs",
        "x.npy",
        "--draw",
        "9",
        "--from",
        "registers",
    ]);
    assert_eq!(run["cycles"]["initiation_interval"], 1);
    assert_eq!(run["faults"]["list"].as_array().map(Vec::len), Some(9));
    let refused = place.run(&["campaign", &network, "--inputs", "x.npy", "--exhaustive"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for word in ["stores no bit", "expected", "--registers N"] {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}
