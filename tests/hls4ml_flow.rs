//! What a `.fml` says about the project that hls4ml writes: reuse factors that are not built, names of weights.

mod cli_common;
mod common;
mod hls4ml_common;

use std::path::{Path, PathBuf};

use cli_common::Workplace;
use hls4ml_common::archive::{with_layers, with_member};
use radstream::accelerator::{Accelerator, Hardware};
use radstream::network::ParamKind;
use radstream::network::import::fml;
use serde_json::{Value, json};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/hls4ml")
        .join(name)
        .join("model.fml")
}

fn stderr(output: &std::process::Output) -> String {
    // Lines of diagnostics are wrapped.
    String::from_utf8_lossy(&output.stderr)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The flow's notes of an inspection: places and texts.
fn flow_notes(report: &Value) -> Vec<(String, String)> {
    let notes = report["notes"].as_array().expect("notes");
    let text = |note: &Value, key: &str| note[key].as_str().expect("text").to_owned();
    let of_flow = notes.iter().filter(|note| note["kind"] == "flow");
    of_flow
        .map(|note| (text(note, "place"), text(note, "text")))
        .collect()
}

/// A dense layer of 10 inputs and 12 outputs with an accumulator that holds every sum.
fn dense(strategy: &str, factor: u32) -> Vec<u8> {
    with_layers(&golden("relu6.par_lat1"), |layers| {
        let attributes = &mut layers["d"]["state"]["attributes"];
        attributes["strategy"] = json!(strategy);
        attributes["reuse_factor"] = json!(factor);
        let accumulator = &mut attributes["accum_t"]["state"]["precision"]["state"];
        accumulator["width"] = json!(60);
        accumulator["integer"] = json!(30);
    })
}

#[test]
fn factors_that_hls4ml_does_not_build_are_said_by_layer() {
    let place = Workplace::new();
    // 120 weights: what the kernel does, and the nearest factor of the rule.
    let cases = [
        ("resource", 1, None),
        ("resource", 2, None),
        ("resource", 5, None),
        ("resource", 10, None),
        ("resource", 30, None),
        ("resource", 120, None),
        ("resource", 3, Some(("stops", 2))),
        ("resource", 7, Some(("stops", 5))),
        ("resource", 25, Some(("stops", 20))),
        ("resource", 80, Some(("computes the layer", 60))),
        ("resource_unrolled", 60, None),
        ("resource_unrolled", 120, Some(("computes the layer", 60))),
        ("latency", 7, None),
        ("latency", 1000, None),
    ];
    for (strategy, factor, expected) in cases {
        place.bytes("net.fml", &dense(strategy, factor));
        let report = place.json(&["inspect", "net.fml"]);
        let notes = flow_notes(&report);
        match expected {
            None => assert!(notes.is_empty(), "{strategy} {factor}: {notes:?}"),
            Some((does, nearest)) => {
                let [(layer, text)] = notes.as_slice() else {
                    panic!("{strategy} {factor}: {notes:?}");
                };
                assert_eq!(layer, "d");
                for words in [
                    format!("reuse factor {factor},"),
                    does.to_owned(),
                    format!("nearest that it builds is {nearest} "),
                ] {
                    assert!(text.contains(&words), "{strategy} {factor}: {text}");
                }
            }
        }
    }
}

#[test]
fn the_factor_that_a_conversion_leaves_on_a_split_layer_is_said() {
    // The emulation of this network computes the layer, as its golden values show.
    let place = Workplace::new();
    let network = golden("dw1d.str_res12");
    let report = place.json(&["inspect", network.to_str().expect("UTF-8")]);
    let notes = flow_notes(&report);
    let [(layer, text)] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert_eq!(layer, "b_pointwise");
    assert!(
        text.contains("computes the layer") && text.contains("nearest that it builds is 4 "),
        "{text}"
    );
}

#[test]
fn a_hardware_file_takes_the_same_rule() {
    let place = Workplace::new();
    place.bytes("net.fml", &dense("resource", 5));
    let cases = [
        (2, None),
        (20, None),
        (3, Some("nearest is 2")),
        (80, Some("nearest is 60")),
    ];
    for (factor, refusal) in cases {
        place.text(
            "hw.ron",
            &format!("(layers: {{\"d\": (folding: Hls4ml(reuse_factor: {factor}))}})"),
        );
        let output = place.run(&["inspect", "net.fml", "--hardware", "hw.ron"]);
        assert_eq!(
            output.status.code(),
            Some(if refusal.is_some() { 2 } else { 0 }),
            "{factor}"
        );
        if let Some(words) = refusal {
            assert!(stderr(&output).contains(words), "{}", stderr(&output));
        }
    }
    // What the hardware file says replaces the factor of the network file.
    place.bytes("net.fml", &dense("resource", 3));
    place.text("hw.ron", "(layers: {\"d\": (folding: Hls4ml(reuse_factor: 2))})");
    let report = place.json(&["inspect", "net.fml", "--hardware", "hw.ron"]);
    assert_eq!(flow_notes(&report), []);
    // A convolution of io_parallel has no more factors than taps.
    let network = golden("conv1d.par_res2");
    place.text(
        "hw.ron",
        "(layers: {\"c2\": (folding: Hls4ml(reuse_factor: 24))})",
    );
    let output = place.run(&[
        "inspect",
        network.to_str().expect("UTF-8"),
        "--hardware",
        "hw.ron",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nearest is 12"), "{}", stderr(&output));
}

#[test]
fn the_field_case_is_warned_of_in_every_command() {
    let Some(folder) = common::shared_data().map(|data| data.join("field/reuse-factor-not-built")) else {
        return;
    };
    let place = Workplace::new();
    let cases = [
        ("conv2d_rf72", "c", 18, "other values", vec![4, 5, 5, 2], 72),
        ("pointwise_rf2", "e", 1, "stops", vec![4, 3, 4], 2),
    ];
    for (name, layer, nearest, does, shape, factor) in cases {
        let network = folder.join(format!("{name}.fml"));
        let network = network.to_str().expect("UTF-8");
        let elements: usize = shape.iter().product();
        let values: Vec<f64> = (0..elements)
            .map(|index| (index % 11) as f64 / 4.0 - 1.0)
            .collect();
        place.npy("x.npy", &shape, values);
        let notes = flow_notes(&place.json(&["inspect", network]));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!(notes[0].0, layer);
        let words = [
            format!("reuse factor {factor},"),
            does.to_owned(),
            format!("nearest that it builds is {nearest} "),
        ];
        let commands: [&[&str]; 3] = [
            &["run", network, "--inputs", "x.npy"],
            &[
                "campaign",
                network,
                "--exhaustive",
                "--tensors",
                "bias",
                "--inputs",
                "x.npy",
                "--limit",
                "1",
                "--loss",
                "mismatch",
                "--out",
                name,
            ],
            &[
                "harden",
                network,
                "--inputs",
                "x.npy",
                "--limit",
                "1",
                "--loss",
                "mismatch",
                "--budget",
                "10%tmr",
                "--tensors",
                "bias",
                "--trials",
                "2",
                "--out",
                layer,
            ],
        ];
        for command in commands {
            let output = place.run(command);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
            for words in words.iter().chain([&format!("layer `{layer}`")]) {
                assert!(said.contains(words), "{command:?}: {said}");
                assert!(notes[0].1.contains(words) || words.contains("layer"), "{notes:?}");
            }
        }
        place.text(
            "hw.ron",
            &format!("(layers: {{\"{layer}\": (folding: Hls4ml(reuse_factor: {factor}))}})"),
        );
        let output = place.run(&["run", network, "--inputs", "x.npy", "--hardware", "hw.ron"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(&format!("nearest is {nearest}")),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn weights_have_the_names_of_the_project() {
    let network = fml::read(&golden("conv1d.par_res2")).expect("a sound file");
    let names = |layer: &str| {
        let id = network.layer_named(layer).expect("the layer");
        let name = |kind| {
            let param = network.param_of(id, kind)?;
            network.project_name(param).map(str::to_owned)
        };
        (name(ParamKind::Weight), name(ParamKind::Bias))
    };
    // A pointwise layer keeps the name from before it was one.
    assert_eq!(names("pw").0.as_deref(), Some("w6"));
    assert_eq!(names("d"), (Some("w17".to_owned()), Some("b17".to_owned())));
}

#[test]
fn the_names_are_those_of_the_firmware() {
    let Some(data) = common::shared_data() else { return };
    let mut compared = 0;
    for folder in hls4ml_common::folders(&data.join("hls4ml")) {
        let network = fml::read(&folder.join("model.fml")).expect("a sound file");
        let text = std::fs::read_to_string(folder.join("net.json")).expect("net.json");
        let firmware: Value = serde_json::from_str(&text).expect("JSON");
        let weights = firmware["weights"].as_object().expect("weights");
        for call in firmware["calls"].as_array().expect("calls") {
            let Some(layer) = call["layer"].as_str().and_then(|name| network.layer_named(name)) else {
                continue;
            };
            let arguments = call["args"].as_array().expect("arguments").iter();
            let used: Vec<&str> = arguments
                .filter_map(Value::as_str)
                .filter(|name| weights.contains_key(*name))
                .collect();
            for param in (0..network.params.len()).map(radstream::network::ParamId::from) {
                if network.param(param).layer == layer {
                    let name = network.project_name(param).expect("a name");
                    let values = network.param(param).values.len() as u64;
                    assert!(used.contains(&name), "{}: {name} in {used:?}", folder.display());
                    assert_eq!(weights[name]["n"].as_u64(), Some(values), "{name}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn a_bit_is_the_same_by_the_name_of_the_project() {
    let network = fml::read(&golden("conv1d.par_res2")).expect("a sound file");
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    let bits = accelerator.map().bits().step_by(7);
    let mut compared = 0;
    for bit in bits {
        let named = accelerator.named(bit);
        let layer = network.layer_named(&named.layer).expect("the layer");
        let kind = Accelerator::tensor_kind(&named.tensor).expect("a kind");
        let name = network
            .project_name(network.param_of(layer, kind).expect("the tensor"))
            .expect("a name");
        let logical = accelerator.find_logical(&named.layer, name, named.element, named.bit);
        let physical = accelerator.find_physical(name, named.word, named.word_bit);
        assert_eq!((logical.ok(), physical.ok()), (Some(bit), Some(bit)), "{name}");
        compared += 1;
    }
    assert!(compared > 100);
    // The name of another layer's weights is none of this layer's.
    assert!(accelerator.find_logical("d", "w3", 0, 0).is_err());
    assert!(accelerator.find_physical("w4", 0, 0).is_err());
}

#[test]
fn lists_inspection_and_maps_speak_the_names_of_the_project() {
    let place = Workplace::new();
    let network = golden("conv1d.par_res2");
    let network = network.to_str().expect("UTF-8");
    place.npy("x.npy", &[1, 12, 3], vec![0.5; 36]);
    let report = place.json(&["inspect", network]);
    let shape: Vec<usize> = report["input"]["shape"]
        .as_array()
        .expect("a shape")
        .iter()
        .map(|extent| extent.as_u64().expect("an extent") as usize)
        .collect();
    place.npy(
        "x.npy",
        &[&[2], &shape[..]].concat(),
        vec![0.5; 2 * shape.iter().product::<usize>()],
    );
    let of_dense = report["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .find(|layer| layer["name"] == "d");
    let tensors = &of_dense.expect("the layer")["tensors"];
    assert_eq!(tensors[0]["project_name"], "w17");
    assert!(
        report["memories"]
            .as_array()
            .expect("memories")
            .iter()
            .any(|memory| memory["project_name"] == "w17")
    );
    let text = place.done(&["inspect", network]);
    assert!(text.contains("in the project") && text.contains("w17"), "{text}");

    place.text(
        "logical.csv",
        "layer,tensor,element,bit\nd,w17,5,2\nd,weight,7,0\n",
    );
    place.text("physical.csv", "memory,word,bit\nw17,5,2\nd.weight,7,0\n");
    for engine in ["functional", "cycle"] {
        let lists = ["logical.csv", "physical.csv"].map(|list| {
            let arguments = [
                "run", network, "--inputs", "x.npy", "--engine", engine, "--faults", list,
            ];
            place.json(&arguments)["faults"]["list"].clone()
        });
        assert_eq!(lists[0], lists[1], "{engine}");
        assert_eq!(lists[0][0]["tensor"], "weight");
    }

    place.done(&[
        "harden",
        network,
        "--inputs",
        "x.npy",
        "--loss",
        "mismatch",
        "--budget",
        "100%tmr",
        "--tensors",
        "bias",
        "--trials",
        "2",
        "--out",
        "h",
    ]);
    place.done(&[
        "export", network, "--map", "h", "--format", "json,csv", "--out", "e",
    ]);
    let map: Value = serde_json::from_str(&place.read("e/protection.json")).expect("JSON");
    let memories = map["memories"].as_array().expect("memories");
    assert!(
        memories
            .iter()
            .any(|memory| memory["memory"] == "d.weight" && memory["project_name"] == "w17")
    );
    let (header, rows) = cli_common::records(&place.read("e/protection.csv"));
    assert_eq!(header.last().map(String::as_str), Some("project_name"));
    assert_eq!(
        header[..8].join(","),
        "layer,tensor,element,bit,memory,word,word_bit,score"
    );
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row[8].starts_with('b')),
        "{rows:?}"
    );
    // It reads back.
    place.done(&[
        "export",
        network,
        "--map",
        "e/protection.json",
        "--format",
        "json",
        "--out",
        "f",
    ]);
    assert_eq!(place.read("e/protection.json"), place.read("f/protection.json"));
}

/// A dense layer of 10 inputs and 12 outputs whose product is an adder graph.
fn adders(code: &str) -> Vec<u8> {
    with_layers(&golden("relu6.par_lat1"), |layers| {
        let attributes = layers["d"]["state"]["attributes"]
            .as_object_mut()
            .expect("attributes");
        attributes.insert("strategy".to_owned(), json!("distributed_arithmetic"));
        let source = json!({"class_name": "hls4ml.model.types.Source", "state": {"code": code}});
        attributes.insert("da_codegen".to_owned(), source);
        attributes.remove("weight");
        attributes.remove("bias");
    })
}

/// A graph that adds each weight bit by bit, and the weights and biases in units of 2^-4, drawn from a seed.
fn random_graph(seed: u64) -> (String, Vec<Vec<i64>>, Vec<i64>) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below) as i64
    };
    let wide = "ap_fixed<80,40>";
    let mut code = String::from(
        "template <typename inp_t, typename out_t>\nvoid dense_da_2(inp_t model_inp[10], out_t model_out[12]) {\n    #pragma HLS INLINE\n\n",
    );
    for input in 0..10 {
        code += &format!("    {wide} v{input} = model_inp[{input}]; // 0.0\n");
    }
    let mut next = 10;
    let (mut weights, mut biases, mut outputs) = (Vec::new(), Vec::new(), String::new());
    for output in 0..12 {
        let row: Vec<i64> = (0..10).map(|_| draw(63) - 31).collect();
        let mut sum: Option<usize> = None;
        for (input, weight) in row.iter().enumerate() {
            for bit in (0..5).filter(|bit| weight.unsigned_abs() >> bit & 1 == 1) {
                let shift = bit - 4;
                let term = if shift == 0 {
                    format!("v{input}")
                } else {
                    format!("bit_shift<{shift}>(v{input})")
                };
                let sign = if *weight < 0 { "-" } else { "+" };
                let value = match sum {
                    Some(sum) => format!("v{sum} {sign} {term}"),
                    None if *weight < 0 => format!("-{term}"),
                    None => term,
                };
                code += &format!("    {wide} v{next} = {value}; // 1.0\n");
                sum = Some(next);
                next += 1;
            }
        }
        let bias = draw(41) - 20;
        let sum = sum.expect("a weight that is not 0");
        let sign = if bias < 0 { '-' } else { '+' };
        let number = bias.unsigned_abs() as f64 / 16.0;
        code += &format!("    {wide} v{next} = v{sum} {sign} ap_ufixed<12,6>({number:?}); // 2.0\n");
        // Half of the outputs leave shifted and with the other sign twice.
        outputs += &if output % 2 == 0 {
            format!("    model_out[{output}] = {wide}(v{next});\n")
        } else {
            code += &format!("    {wide} v{} = -bit_shift<3>(v{next});\n", next + 1);
            next += 1;
            format!("    model_out[{output}] = {wide}(-bit_shift<-3>(v{next}));\n")
        };
        next += 1;
        weights.push(row);
        biases.push(bias);
    }
    (format!("{code}\n{outputs}}}\n"), weights, biases)
}

#[test]
fn adder_graphs_are_the_matrices_that_they_were_made_of() {
    for seed in 1..40 {
        let (code, weights, biases) = random_graph(seed);
        let network = fml::parse(Path::new("net.fml"), &adders(&code))
            .unwrap_or_else(|error| panic!("{error} ({})", error.expected));
        let layer = network.layer_named("d").expect("the layer");
        let of = |kind| {
            let param = network.param(network.param_of(layer, kind).expect("a parameter"));
            let unit = 4 - param.encoding.frac();
            assert!((0..=4).contains(&unit), "{unit}");
            param
                .values
                .iter()
                .map(|value| value << unit)
                .collect::<Vec<i64>>()
        };
        assert_eq!(of(ParamKind::Weight), weights.concat(), "{seed}");
        assert_eq!(of(ParamKind::Bias), biases, "{seed}");
    }
}

#[test]
fn weights_of_distributed_arithmetic_are_logic() {
    let place = Workplace::new();
    place.bytes("net.fml", &adders(&random_graph(3).0));
    let report = place.json(&["inspect", "net.fml"]);
    let notes = report["notes"].as_array().expect("notes");
    assert!(
        notes
            .iter()
            .any(|note| note["kind"] == "not_stored" && note["place"] == "d"),
        "{notes:?}"
    );
    let layers = report["layers"].as_array().expect("layers");
    let dense = layers
        .iter()
        .find(|layer| layer["name"] == "d")
        .expect("the layer");
    assert_eq!(dense["tensors"], json!([]));
    assert_eq!(dense["stage"]["multipliers"], 0);
    let in_memories = report["memories"].as_array().expect("memories").iter();
    assert_eq!(in_memories.filter(|memory| memory["layer"] == "d").count(), 0);
    // A hardware file cannot store them, nor use them again.
    for (entry, words) in [
        ("weights: (style: BlockRam)", "part of the logic"),
        ("folding: Hls4ml(reuse_factor: 2)", "nearest is 1"),
    ] {
        place.text("hw.ron", &format!("(layers: {{\"d\": ({entry})}})"));
        let output = place.run(&["inspect", "net.fml", "--hardware", "hw.ron"]);
        assert_eq!(output.status.code(), Some(2), "{entry}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    place.text("faults.csv", "layer,tensor,element,bit\nd,weight,0,0\n");
    place.npy("x.npy", &[1, 10], vec![0.5; 10]);
    let output = place.run(&["run", "net.fml", "--inputs", "x.npy", "--faults", "faults.csv"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn adder_graphs_that_lose_or_do_something_else_are_refused() {
    let sound = random_graph(5).0;
    let parse = |code: &str| fml::parse(Path::new("net.fml"), &adders(code));
    assert!(parse(&sound).is_ok());
    let first = "ap_fixed<80,40> v10 =";
    let changes: [(&str, &str); 12] = [
        (first, "ap_fixed<4,2> v10 ="),
        (first, "ap_fixed<80,79> v10 ="),
        (first, "ap_fixed<80,40,AP_RND,AP_SAT> v10 ="),
        (first, "ap_fixed<80,40> v9 ="),
        (first, "ap_fixed<80,40> w10 ="),
        (first, "ap_fixed<80,40> v10 = v3 *"),
        (first, "ap_fixed<80,40> v10 = v10 +"),
        (first, "ap_fixed<80,40> v10 = bit_shift<2000000000>(v1) +"),
        ("model_inp[3]", "model_inp[10]"),
        ("model_out[3]", "model_out[12]"),
        ("model_out[3]", "model_out[2]"),
        ("model_out[11]", "// model_out[11]"),
    ];
    for (from, to) in changes {
        let code = sound.replacen(from, to, 1);
        assert_ne!(code, sound, "{from}");
        let error = parse(&code).map(|_| ()).expect_err(to);
        assert!(error.place.contains("`d`") && !error.repair.is_empty(), "{error}");
    }
    let doubled: String = (10..4000)
        .map(|index| {
            format!(
                "    ap_fixed<127,100> v{index} = v{} + v{};\n",
                index - 1,
                index - 1
            )
        })
        .collect();
    let inputs: String = (0..10)
        .map(|index| format!("    ap_fixed<80,40> v{index} = model_inp[{index}];\n"))
        .collect();
    let code = format!("void f(inp_t model_inp[10]) {{\n{inputs}{doubled}}}\n");
    assert!(parse(&code).is_err());
    assert!(parse(&"ap_fixed<8,4> v0 = ((((((((((((((((".repeat(3)).is_err());
    assert!(
        parse(&format!(
            "ap_fixed<8,4> v0 = {}model_inp[0];",
            "-".repeat(100_000)
        ))
        .is_err()
    );
}

#[test]
fn catapult_is_followed_where_its_kernels_are_the_same() {
    let layers = |change: fn(&mut Value)| {
        let bytes =
            hls4ml_common::archive::with_member(&golden("conv1d.par_lat1"), "config.json", |config| {
                config["config"]["Backend"] = json!("Catapult");
            });
        let place = Workplace::new();
        place.bytes("net.fml", &bytes);
        with_layers(&place.path("net.fml"), change)
    };
    // A PReLU of Catapult is not followed.
    let error = fml::parse(Path::new("net.fml"), &layers(|_| ()))
        .map(|_| ())
        .expect_err("a refusal");
    assert!(error.problem.contains("Catapult"), "{error}");
    let error = fml::parse(
        Path::new("net.fml"),
        &layers(|layers| {
            layers["inp"]["state"]["attributes"]["result_t"] =
                json!({"saturation_mode": "WRAP", "saturation_bits": 2});
        }),
    );
    assert!(error.map(|_| ()).is_err());
}

/// Bits of the narrowest format that holds a number, by dividing: zeros behind it are left out, a negative number has a
/// sign.
fn own_bits(mut value: i64) -> u64 {
    if value == 0 {
        return 0;
    }
    while value % 2 == 0 {
        value /= 2;
    }
    let mut width = u64::from(value < 0);
    while value != 0 && value != -1 {
        value = value.div_euclid(2);
        width += 1;
    }
    width
}

/// Writes a hardware file whose weights and biases lie in memories.
fn in_memories(place: &Workplace) {
    let text = "Hardware(default: (weights: (style: RegisterFile), biases: (style: RegisterFile)))";
    place.bytes("memories.ron", text.as_bytes());
}

#[test]
fn parameters_of_hgq2_are_stored_in_their_own_widths() {
    for name in ["hgq.par_lat1", "hgqe.par_lat1"] {
        let network = fml::read(&golden(name)).expect("a sound file");
        let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
        let (mut own, mut typed) = (0, 0);
        for param in &network.params {
            let needed: u64 = param.values.iter().map(|&value| own_bits(value)).sum();
            let layer = &network.layer(param.layer).name;
            let kind = param.kind.name();
            let said = network.notes.iter().any(|note| {
                note.place == *layer
                    && note.text.starts_with(&format!("has a {kind} of HGQ2"))
                    && note.text.contains(&format!("{needed} bits in all;"))
            });
            assert!(said, "{name} {layer} {kind}: {:?}", network.notes);
            own += needed;
            typed += param.values.len() as u64 * u64::from(param.encoding.width());
        }
        assert_eq!(accelerator.map().total_bits(), own, "{name}");

        let place = Workplace::new();
        in_memories(&place);
        let file = golden(name);
        let file = file.to_str().expect("a name");
        for (more, bits) in [(&[][..], own), (&["--hardware", "memories.ron"], typed)] {
            let mut words = vec!["inspect", file];
            words.extend(more);
            let report = place.json(&words);
            assert_eq!(report["stored_bits"]["total"], bits, "{name} {more:?}");
            let layers = report["layers"].as_array().expect("layers").iter();
            for tensor in layers.flat_map(|layer| layer["tensors"].as_array().expect("tensors")) {
                assert_eq!(tensor["own_widths"] == true, more.is_empty(), "{tensor}");
            }
        }
    }
}

#[test]
fn a_layer_of_another_tool_keeps_the_type_of_its_tensor() {
    let network = fml::parse(
        Path::new("net.fml"),
        &with_layers(&golden("hgq.par_lat1"), |layers| {
            for layer in ["d1", "d2"] {
                layers[layer]["state"]["attributes"]["module"] = json!("keras.src.layers.core.dense");
            }
        }),
    )
    .expect("a sound file");
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    let bits: u64 = network
        .params
        .iter()
        .map(|param| param.values.len() as u64 * u64::from(param.encoding.width()))
        .sum();
    assert_eq!(accelerator.map().total_bits(), bits);
    assert!(network.notes.is_empty());
}

#[test]
fn struck_bits_of_own_widths_give_one_answer_in_all_engines() {
    let place = Workplace::new();
    let file = golden("hgqe.par_lat1");
    let file = file.to_str().expect("a name");
    let vectors = file.replace("model.fml", "vectors.npz:x_raw");
    let outputs: Vec<Value> = ["functional", "plain", "cycle"]
        .into_iter()
        .map(|engine| {
            let report = place.json(&[
                "run",
                file,
                "--raw-inputs",
                "--inputs",
                &vectors,
                "--limit",
                "6",
                "--draw",
                "12",
                "--seed",
                "3",
                "--from",
                "stored",
                "--engine",
                engine,
                "--outputs",
                &format!("{engine}.npz"),
            ]);
            report["faults"]["list"].clone()
        })
        .collect();
    let read = |engine: &str| std::fs::read(place.path(&format!("{engine}.npz"))).expect("outputs");
    assert!(read("functional") == read("plain") && read("functional") == read("cycle"));
    let values = |list: &Value| -> Vec<(i64, i64)> {
        let faults = list.as_array().expect("a list").iter();
        let number = |fault: &Value, key: &str| fault[key].as_i64().expect("a number");
        faults
            .map(|fault| (number(fault, "value_before"), number(fault, "value_after")))
            .collect()
    };
    assert!(!values(&outputs[0]).is_empty());
    assert!(values(&outputs[0]).iter().all(|(before, after)| before != after));
    assert_eq!(values(&outputs[0]), values(&outputs[1]));
}

#[test]
fn quantizers_of_elements_that_cannot_be_are_refused_with_the_reason() {
    type Change = fn(&mut Value);
    let name = "conv2_iq";
    let refused: [(&str, Change, &str); 6] = [
        (name, |a| a["mask_kbi"] = json!([]), "three arrays"),
        (
            name,
            |a| a["mask_kbi"][0] = json!("@ndarray:none.npy"),
            "none.npy",
        ),
        (
            name,
            |a| a["mask_kbi"][2] = json!("@ndarray:d1_iq_mask_kbi_2.npy"),
            "first axis",
        ),
        (
            name,
            |a| a["mask_kbi"][0] = json!("@ndarray:conv2_iq_mask_kbi_1.npy"),
            "sign",
        ),
        (name, |a| a["SAT"] = json!("CLAMP"), "CLAMP"),
        (name, |a| a["RND"] = json!("UP"), "UP"),
    ];
    for (layer, change, reason) in refused {
        let bytes = with_layers(&golden("hgqe.par_lat1"), |layers| {
            change(&mut layers[layer]["state"]["attributes"]);
        });
        let error = fml::parse(Path::new("net.fml"), &bytes).expect_err(reason);
        let text = format!("{error} {} {}", error.expected, error.repair);
        assert!(text.contains(reason), "{reason}: {text}");
    }
    let streamed = with_member(&golden("hgqe.par_lat1"), "config.json", |config| {
        config["config"]["IOType"] = json!("io_stream");
    });
    let error = fml::parse(Path::new("net.fml"), &streamed).expect_err("a stream");
    assert!(error.expected.contains("io_parallel"), "{error}");
}
