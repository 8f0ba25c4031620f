//! Wrong requests and wrong files: a diagnostic on standard error that names the place, what was
//! expected and the repair; status 2, or 1 where the work itself failed; nothing on standard output,
//! no files, no panic.

mod cli_common;

use cli_common::{Workplace, model, set_scalar};

impl Workplace {
    /// The program must fail with this status, say all of `words`, and leave nothing behind.
    fn fails(&self, status: i32, arguments: &[&str], words: &[&str]) {
        let before = self.files();
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(
            output.stdout.is_empty(),
            "{arguments:?} printed on standard output"
        );
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        for word in words {
            assert!(
                said.contains(word),
                "{arguments:?}: `{word}` is missing in: {said}"
            );
        }
        assert_eq!(self.files(), before, "{arguments:?} left files behind");
    }

    /// A request or an input file is wrong: the diagnostic also says what was expected.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        self.fails(2, arguments, &[words, &["expected"]].concat());
    }
}

fn path(name: &str) -> String {
    model(name).display().to_string()
}

#[test]
fn networks_that_cannot_be_read() {
    let place = Workplace::new();
    let onnx = model("digits_medium_ae").join("encoder.qonnx.onnx");
    let fml = cli_common::root().join("tests/golden/hls4ml/acts.par_lat1/model.fml");
    place.half("cut.onnx", &onnx);
    place.half("cut.fml", &fml);
    place.bytes("empty.onnx", b"");
    place.bytes("empty.fml", b"");
    place.text("network.txt", "x");
    for command in ["inspect", "run", "harden", "rate"] {
        place.refuses(
            &[command, "none.onnx"],
            &["none.onnx", "there is no such file", "check the path"],
        );
    }
    place.refuses(&["inspect", "none.fml"], &["none.fml", "there is no such file"]);
    place.refuses(&["inspect", "none"], &["none", ".onnx", ".fml"]);
    place.refuses(&["inspect", "network.txt"], &["network.txt", "unknown ending"]);
    place.refuses(
        &["inspect", "cut.onnx"],
        &["cut.onnx", "not an ONNX model", "export the network again"],
    );
    place.refuses(
        &["inspect", "cut.fml"],
        &["cut.fml", "cannot be unpacked", "copy the file again"],
    );
    place.refuses(&["inspect", "empty.onnx"], &["empty.onnx", "no graph"]);
    place.refuses(&["inspect", "empty.fml"], &["empty.fml"]);
    place.refuses(&["inspect", "."], &["model.ron", "cannot be read"]);
}

#[test]
fn networks_that_use_what_is_not_known() {
    let place = Workplace::new();
    place.network("operator.onnx", |network| {
        let graph = network.graph.as_mut().expect("a graph");
        let relu = graph.node.iter_mut().find(|node| node.op_type == "Relu");
        let relu = relu.expect("a Relu");
        relu.op_type = "Einsum".to_owned();
        relu.name = "the_odd_one".to_owned();
    });
    place.refuses(
        &["inspect", "operator.onnx"],
        &["operator.onnx", "the_odd_one", "Einsum"],
    );
    place.network("wide.onnx", |network| set_scalar(network, "t2_wq_b", 65.0));
    place.refuses(&["inspect", "wide.onnx"], &["wide.onnx", "65", "t2_wq"]);
    place.network("none.onnx", |network| set_scalar(network, "t2_wq_b", 0.0));
    place.refuses(&["inspect", "none.onnx"], &["none.onnx", "t2_wq"]);
}

#[test]
fn a_network_without_input_quantizer_takes_integers_only() {
    use radstream::network::import::onnx::proto::{GraphProto, StringStringEntryProto, TensorAnnotation};
    let unquantized = |graph: &mut GraphProto| {
        graph.node.retain(|node| node.output != ["t1"]);
        for node in &mut graph.node {
            for input in &mut node.input {
                if input == "t1" {
                    *input = "in0".to_owned();
                }
            }
        }
    };
    let place = Workplace::new();
    place.network("raw.onnx", |network| {
        unquantized(network.graph.as_mut().expect("a graph"));
    });
    place.network("typed.onnx", |network| {
        let graph = network.graph.as_mut().expect("a graph");
        unquantized(graph);
        // FINN's way to say that the input holds integers.
        graph.quantization_annotation.push(TensorAnnotation {
            tensor_name: "in0".to_owned(),
            quant_parameter_tensor_names: vec![StringStringEntryProto {
                key: "finn_datatype".to_owned(),
                value: "INT8".to_owned(),
            }],
        });
    });
    place.rows("x.npy", 2, 64, 3.0);
    place.rows("half.npy", 2, 64, 3.5);
    place.rows("far.npy", 2, 64, 300.0);
    // Of an unknown type numbers have to be declared to be integers.
    place.refuses(
        &["run", "raw.onnx", "--inputs", "x.npy"],
        &["x.npy", "no input quantizer", "--raw-inputs", "--input-type"],
    );
    for network in ["raw.onnx", "typed.onnx"] {
        place.refuses(
            &["run", network, "--inputs", "far.npy", "--raw-inputs"],
            &["far.npy", "sample 0", "300", "-128", "127"],
        );
        let document = place.json(&["run", network, "--inputs", "x.npy", "--raw-inputs"]);
        assert_eq!(document["samples"], 2);
    }
    // Of a stated type numbers are values, and others are refused.
    let document = place.json(&["run", "typed.onnx", "--inputs", "x.npy"]);
    assert_eq!(document["samples"], 2);
    for file in ["half.npy", "far.npy"] {
        place.refuses(&["run", "typed.onnx", "--inputs", file], &[file, "sample 0"]);
    }
}

#[test]
fn model_folders_that_are_wrong() {
    let place = Workplace::new();
    let whole = std::fs::read_to_string(model("digits_medium_ae").join("model.ron")).expect("a model");
    place.half("cut/model.ron", &model("digits_medium_ae").join("model.ron"));
    place.text("field/model.ron", &whole.replace("network:", "netwrok:"));
    place.text("type/model.ron", "Model(\n  name: \"m\",\n  network: 7,\n)");
    place.text("away/model.ron", "Model(name: \"m\", network: \"away.onnx\")");
    place.text(
        "loss/model.ron",
        &whole.replace("\"mse\"", "\"msee\"").replace(
            "encoder.qonnx.onnx",
            &model("digits_medium_ae")
                .join("encoder.qonnx.onnx")
                .display()
                .to_string(),
        ),
    );
    place.bytes("latin/model.ron", b"Model(name: \"\xff\")");
    place.refuses(&["run", "cut"], &["cut/model.ron:", "here"]);
    place.refuses(
        &["run", "field"],
        &["field/model.ron:5:5", "netwrok", "network", "here"],
    );
    place.refuses(&["run", "type"], &["type/model.ron:3:", "here"]);
    place.refuses(&["run", "away"], &["away/away.onnx", "cannot be read"]);
    place.refuses(&["run", "latin"], &["latin/model.ron"]);
    place.refuses(&["run", "loss"], &["data.npz", "cannot be read"]);
}

#[test]
fn arrays_that_cannot_be_read() {
    let place = Workplace::new();
    place.half("cut.npz", &model("digits_medium_ae").join("data.npz"));
    place.rows("whole.npy", 4, 64, 0.25);
    place.half("cut.npy", &place.path("whole.npy"));
    place.bytes("empty.npy", b"");
    place.text("text.npy", "1,2,3");
    place.text("ragged.csv", "1,2,3\n4,5\n");
    place.text("word.csv", "1,2,x\n");
    place.text("x.txt", "1");
    let announces = |shape: &str| {
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(117 - header.len()));
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header}\n").bytes());
        bytes.extend([0; 64]);
        bytes
    };
    place.bytes("huge.npy", &announces("(10000000000000, 64)"));
    place.bytes("overflow.npy", &announces("(18446744073709551615, 64)"));
    place.bytes("brackets.npy", &announces(&"(".repeat(50)));
    let data = format!("{}/data.npz", path("digits_medium_ae"));
    let refused = |file: &str, words: &[&str]| {
        place.refuses(&["run", "--inputs", file], words);
    };
    refused("none.npz:x", &["none.npz", "cannot be read", "check the path"]);
    refused("cut.npz:x", &["cut.npz", "not an .npz archive", "numpy.savez"]);
    refused("cut.npy", &["cut.npy", "cannot be decoded", "numpy.save"]);
    refused("empty.npy", &["empty.npy"]);
    refused("text.npy", &["text.npy", "numpy.save"]);
    refused("huge.npy", &["huge.npy", "10000000000000"]);
    refused("overflow.npy", &["overflow.npy"]);
    refused("brackets.npy", &["brackets.npy"]);
    refused("ragged.csv", &["ragged.csv", "line: 2"]);
    refused("word.csv", &["word.csv", "line 1, column 3", "`x`"]);
    refused("x.txt", &["x.txt", "unknown ending", ".npy"]);
    refused(&data, &["data.npz", "holds 2 arrays", "x, y"]);
    refused(&format!("{data}:z"), &["data.npz", "no array `z`", "x, y"]);
    refused(".", &["cannot be read"]);
}

#[test]
fn inputs_that_do_not_fit() {
    let place = Workplace::new();
    place.rows("narrow.npy", 4, 63, 0.0);
    place.rows("none.npy", 0, 64, 0.0);
    place.rows("far.npy", 3, 64, 5000.0);
    place.rows("half.npy", 3, 64, 0.5);
    place.rows("infinite.npy", 3, 64, f64::INFINITY);
    let mut values = vec![0.0; 4 * 64];
    values[2 * 64 + 7] = f64::NAN;
    place.npy("nan.npy", &[4, 8, 8, 1], values);
    let refused = |arguments: &[&str], words: &[&str]| {
        place.refuses(&[&["run", "--inputs"], arguments].concat(), words);
    };
    refused(&["narrow.npy"], &["narrow.npy", "63", "64", "[8, 8, 1]"]);
    refused(&["none.npy"], &["none.npy", "no sample"]);
    refused(&["nan.npy"], &["nan.npy", "sample 2, value 7", "NaN"]);
    refused(&["infinite.npy"], &["infinite.npy", "sample 0, value 0", "inf"]);
    refused(
        &["far.npy", "--raw-inputs"],
        &["far.npy", "5000", "-1024", "1023"],
    );
    refused(
        &["half.npy", "--raw-inputs"],
        &["half.npy", "0.5", "-1024", "1023"],
    );
    refused(
        &["half.npy", "--input-scale", "nan"],
        &["--input-scale", "finite"],
    );
    place.refuses(
        &["run", &format!("{}/encoder.qonnx.onnx", path("digits_medium_ae"))],
        &["no samples", "--inputs FILE"],
    );
}

#[test]
fn readouts_labels_and_targets_that_do_not_fit() {
    let place = Workplace::new();
    let classifier = path("digits_medium_cls");
    place.vector("short.npy", vec![1u8; 10]);
    place.vector("parts.npy", vec![0.5; 360]);
    place.vector("twelve.npy", vec![12i64; 360]);
    place.rows("target.npy", 360, 7, 0.0);
    place.rows("nan.npy", 360, 64, f64::NAN);
    place.vector("outside.npy", vec![0i64, 64]);
    place.vector("negative.npy", vec![-1i64]);
    place.rows("oblong.npy", 64, 63, 0.0);
    place.rows("square.npy", 48, 48, 1.0);
    place.rows("below.npy", 64, 64, -1.0);
    let labels = |file: &str, words: &[&str]| {
        place.refuses(&["run", &classifier, "--labels", file], words);
    };
    labels("short.npy", &["short.npy", "10 rows for 360 samples", "--limit"]);
    labels("parts.npy", &["parts.npy", "no integers"]);
    labels("twelve.npy", &["twelve.npy", "12", "0 to 9"]);
    labels("none.npy", &["none.npy", "cannot be read"]);
    for classes in ["0", "11"] {
        place.refuses(
            &["run", &classifier, "--classes", classes],
            &["classes", classes, "--classes N"],
        );
    }
    place.fails(
        2,
        &["run", &classifier, "--loss", "none"],
        &["none", "mismatch", "misclassify", "mse", "cross-entropy", "emd"],
    );
    let refused = |arguments: &[&str], words: &[&str]| {
        place.refuses(&[&["run"], arguments].concat(), words);
    };
    refused(&["--loss", "cross-entropy"], &["labels", "--labels FILE"]);
    refused(&["--target", "target.npy"], &["target.npy", "[7]", "[64]"]);
    refused(&["--target", "nan.npy"], &["nan.npy", "NaN"]);
    refused(&["--target", "short.npy"], &["short.npy", "10 rows"]);
    refused(&["--gather", "outside.npy"], &["outside.npy", "64", "0 to 63"]);
    refused(&["--gather", "negative.npy"], &["negative.npy", "-1", "0 to 63"]);
    refused(&["--loss", "emd"], &["ground distance", "--distance"]);
    refused(
        &["--loss", "emd", "--distance", "oblong.npy"],
        &["oblong.npy", "[64, 63]", "square"],
    );
    refused(
        &["--loss", "emd", "--distance", "square.npy"],
        &["48 cells", "64 values", "--gather"],
    );
    refused(
        &["--loss", "emd", "--distance", "below.npy"],
        &["below.npy", "-1"],
    );
    refused(&["--readout", "none.onnx"], &["none.onnx", "cannot be read"]);
    let encoder = format!("{}/encoder.qonnx.onnx", path("digits_medium_ae"));
    refused(&["--readout", &encoder], &["encoder.qonnx.onnx", "Quant"]);
    place.half("cut.onnx", &model("digits_medium_ae").join("readout.onnx"));
    refused(&["--readout", "cut.onnx"], &["cut.onnx", "not an ONNX model"]);
    let unet = path("unet_digits_pruned");
    let readout = format!("{}/readout.onnx", path("digits_medium_ae"));
    place.refuses(
        &["run", &unet, "--limit", "1", "--readout", &readout],
        &["readout.onnx", "takes 16 values", "5120"],
    );
}

#[test]
fn hardware_files_that_are_wrong() {
    let place = Workplace::new();
    let refused = |text: &str, words: &[&str]| {
        place.text("hw.ron", text);
        // The line and the label point into the file.
        place.refuses(
            &["inspect", "--hardware", "hw.ron"],
            &[words, &["hw.ron", "╰──"]].concat(),
        );
    };
    refused(
        "Hardware(\n  name: \"a\",\n  tecnology: \"xc7\",\n)",
        &["hw.ron:3:3", "tecnology", "technology", "here"],
    );
    refused(
        "Hardware(\n  default: (folding: Finn(pe: 1 simd: 1)),\n)",
        &["hw.ron:2:33", "comma", "here"],
    );
    refused(
        "Hardware(\n\n  clock_mhz: \"fast\",\n)",
        &["hw.ron:3:13", "float", "here"],
    );
    refused("Hardware(name: \"a\"", &["hw.ron:1:"]);
    refused("", &["hw.ron:1:"]);
    refused(
        "Hardware(layers: {\n  \"nope\": (folding: Finn(pe: 1, simd: 1)),\n})",
        &[
            "[hw.ron:2:3]",
            "`nope`",
            "conv_0, flatten_1, matmul_1",
            "rename or remove",
        ],
    );
    refused(
        "Hardware(layers: {\n\n  \"conv_0\": (folding: Finn(pe: 3, simd: 1)),\n})",
        &["[hw.ron:3:3]", "pe = 3", "8 rows", "1, 2, 4, 8"],
    );
    refused(
        "Hardware(default: (folding: Finn(pe: 1, simd: 5)))",
        &["[hw.ron:1:10]", "simd = 5", "1, 3, 9"],
    );
    refused(
        "Hardware(default: (weights: (packing: Words(elements_per_word: 8, word_bits: 10))))",
        &["8 elements of 6 bits", "10 bits", "48"],
    );
    refused(
        "Hardware(layers: {\"conv_0\": (weights: (packing: Words(elements_per_word: 0)))})",
        &["conv_0", "elements_per_word"],
    );
    refused(
        "Hardware(layers: {\"conv_0\": (folding: Finn(pe: 1, simd: 1), weights: (packing: ReuseFactor))})",
        &["conv_0", "ReuseFactor"],
    );
    refused(
        "Hardware(layers: {\"conv_0\": (thresholds: (width: 8))})",
        &["conv_0", "thresholds"],
    );
    refused(
        "Hardware(layers: {\"conv_0\": (accumulator: (width: 400, overflow: Wrap))})",
        &["conv_0", "400", "64"],
    );
    refused(
        "Hardware(layers: {\"conv_0\": (), \"conv_0\": ()})",
        &["hw.ron:1:", "conv_0", "two entries"],
    );
    refused(
        "Hardware(technology: \"xc8\")",
        &["xc8", "nangate45", "[hw.ron:1:"],
    );
    refused("Hardware(clock_mhz: -3.0)", &["clock_mhz", "-3", "[hw.ron:1:10]"]);
    place.refuses(
        &["inspect", "--hardware", "none.ron"],
        &["none.ron", "cannot be read", "check the path"],
    );
    place.text("hw.ron", "Hardware(technology: \"none.ron\")");
    place.refuses(&["inspect", "--hardware", "hw.ron"], &["none.ron"]);
}

#[test]
fn fault_lists_that_are_wrong() {
    let place = Workplace::new();
    let refused = |text: &str, words: &[&str]| {
        place.text("list.csv", text);
        place.refuses(
            &["run", "--limit", "2", "--faults", "list.csv"],
            &[words, &["list.csv"]].concat(),
        );
    };
    let header = "layer,tensor,element,bit";
    refused("", &["line 1", header]);
    refused("layer,tensor,elem,bit\n", &["line 1", "elem", header]);
    refused("layer,tensor,element,bit,memory,word\n", &["line 1", header]);
    refused("layer,tensor,element,bit,bit\n", &["line 1", header]);
    let logical = |row: &str, words: &[&str]| {
        refused(
            &format!("{header}\nconv_0,weight,0,0\n{row}\n"),
            &[words, &["line 3"]].concat(),
        );
    };
    logical("nope,weight,0,0", &["`nope`", "conv_0, matmul_1"]);
    logical("flatten_1,weight,0,0", &["`flatten_1`", "`weight`"]);
    logical("conv_0,threshold,0,0", &["`threshold`", "weight, bias"]);
    logical("conv_0,weight,x,0", &["`x`", "element", "whole number"]);
    logical("conv_0,weight,-1,0", &["`-1`", "element"]);
    logical("conv_0,weight,72,0", &["72", "0..=71"]);
    logical("conv_0,weight,99999999999999999999,0", &["99999999999999999999"]);
    logical("conv_0,weight,0,6", &["bit 6", "0..=5"]);
    logical("conv_0,weight,0", &["3 fields", "4 fields"]);
    let physical = |row: &str, words: &[&str]| {
        refused(
            &format!("memory,word,bit,cycle\n{row}\n"),
            &[words, &["line 2"]].concat(),
        );
    };
    physical("nope.weight,0,0,", &["`nope.weight`", "conv_0.weight"]);
    physical("conv_0.weight,72,0,", &["word 72", "0..=71"]);
    physical("conv_0.weight,0,6,", &["bit 6", "0..=5"]);
    physical("conv_0.weight,0,0,soon", &["`soon`", "cycle"]);
    physical("conv_0.weight,0,0,5", &["cycle", "functional engine"]);
    place.refuses(
        &["run", "--limit", "2", "--faults", "none.csv"],
        &["none.csv", "cannot be read", "check the path"],
    );
}

#[test]
fn option_values_that_are_wrong() {
    let place = Workplace::new();
    for (budget, word) in [
        ("-5%tmr", "below zero"),
        ("-0.5ge", "below zero"),
        ("abc", "does not start with a number"),
        ("10", "has no unit"),
        ("10%", "has no unit"),
        ("10%foo", "unknown unit"),
        ("", "does not start with a number"),
        ("1e400ge", "unit"),
        ("nan%tmr", "number"),
    ] {
        for command in ["harden", "protect"] {
            place.refuses(
                &[command, "--budget", budget, "--records", "."][..if command == "harden" { 3 } else { 5 }],
                &["--budget", word, "32%tmr", "10%mem", "500ge"],
            );
        }
    }
    place.refuses(
        &["harden", "--limit", "0"],
        &["a limit of 0", "--limit N", "at least 1"],
    );
    place.refuses(&["harden", "--threads", "0"], &["--threads 0", "1 to 4096"]);
    place.refuses(&["inspect", "--threads", "0"], &["--threads 0"]);
    place.refuses(&["rate", "--threads", "0"], &["--threads 0"]);
    for option in ["--trials", "--flips"] {
        place.refuses(
            &["harden", "--limit", "2", option, "0"],
            &[&format!("0 {} are", &option[2..]), &format!("{option} "), "1 to"],
        );
        place.refuses(
            &["harden", "--limit", "2", option, "100000000000"],
            &[option, "100000000000", "1 to"],
        );
    }
    for tensors in ["nope", "", "weight,nope"] {
        place.refuses(
            &["campaign", "--exhaustive", "--tensors", tensors],
            &["--tensors", "weight, bias, threshold"],
        );
    }
    place.refuses(
        &["campaign", "--exhaustive", "--tensors", "threshold"],
        &["threshold", "weight"],
    );
    place.refuses(&["campaign"], &["--exhaustive", "--mission"]);
    let missions: [(&[&str], &[&str]); 21] = [
        (&["--mission", "0"], &["no length", "positive number of hours"]),
        (&["--mission", "-4"], &["-4 h has no length"]),
        (&["--mission", "nan"], &["no length"]),
        (&["--mission", "4", "--at", "5"], &["5 h is not within", "4 h"]),
        (&["--mission", "4", "--at", "2,1"], &["rising order"]),
        (
            &["--mission", "4", "--repetitions", "0"],
            &["0 missions", "--repetitions N", "1 to"],
        ),
        (
            &["--mission", "4", "--rate-per-s", "-1"],
            &["-1 strikes per second", "--rate-per-s", "from 0"],
        ),
        (
            &["--mission", "4", "--rate-per-s", "1e9"],
            &["strikes are expected", "unit of the rate"],
        ),
        (
            &["--mission", "4", "--permanent-share", "1.5"],
            &["1.5", "0 to 1"],
        ),
        (
            &["--mission", "4", "--refresh-s", "0"],
            &["every 0 s", "--refresh-s S", "above 0"],
        ),
        (
            &["--mission", "4", "--scheme", "rms"],
            &["`rms`", "tmr-word", "secded"],
        ),
        (
            &["--mission", "4", "--scheme", "tmr", "--protect", "32"],
            &["`32`", "0% to 100%"],
        ),
        (
            &["--mission", "4", "--scheme", "tmr", "--protect", "101%"],
            &["`101%`", "0% to 100%"],
        ),
        (
            &["--mission", "4", "--protect", "32%"],
            &["--protect", "--scheme", "--ideal"],
        ),
        (
            &["--mission", "4", "--scheme", "tmr", "--protect", "no.json"],
            &["no.json", "cannot be read"],
        ),
        (
            &["--mission", "4", "--scrub-s", "60/61"],
            &["60/61", "60 s", "61 s"],
        ),
        (&["--mission", "4", "--scrub-s", "soon"], &["soon", "seconds"]),
        (
            &["--mission", "4", "--ranking", "none.csv"],
            &["none.csv", "cannot be read"],
        ),
        (
            &["--mission", "4", "--memory", "bits=8,scheme=secded"],
            &["`words` is missing"],
        ),
        (
            &[
                "--mission",
                "4",
                "--memory",
                "words=9,bits=72,scheme=secded:72,63",
            ],
            &["63 data bits has 71 bits"],
        ),
        (&["--mission", "4", "--clusters", "burst:0"], &["burst:0"]),
    ];
    for (arguments, words) in missions {
        place.refuses(&[&["campaign"], arguments].concat(), words);
    }
    for memory in [
        "",
        "bits",
        "bits=0",
        "bits=x",
        "words=3",
        "bits=8,bits=8",
        "bits=8,size=3",
        "bits=8,scheme=tmr:3",
    ] {
        place.refuses(
            &["campaign", "--mission", "4", "--memory", memory],
            &["describes no memory", "words=199,bits=72"],
        );
    }
    place.fails(2, &["campaign", "--at", "1"], &["--mission"]);
    place.fails(
        2,
        &["campaign", "--mission", "4", "--exhaustive"],
        &["--exhaustive"],
    );
    place.fails(2, &["run", "--trace"], &["--outputs"]);
    place.fails(2, &["run", "--limit", "many"], &["--limit", "many"]);
    place.fails(2, &["frobnicate"], &["frobnicate"]);
    place.fails(2, &[], &["Usage"]);
}

#[test]
fn rates_that_are_none() {
    let place = Workplace::new();
    let refused = |arguments: &[&str], words: &[&str]| {
        place.refuses(&[&["rate", "--bits", "10"], arguments].concat(), words);
    };
    for fit in ["-3", "NaN", "inf"] {
        refused(
            &["--fit-per-mb", fit],
            &["FIT per Mb", fit, "finite number from 0"],
        );
    }
    refused(&["--hours", "-4"], &["hours = -4"]);
    refused(&["--hours", "NaN"], &["hours = NaN"]);
    refused(&["--mb", "foo"], &["foo", "decimal", "binary"]);
    refused(&["--counts", "foo"], &["foo", "event", "bit"]);
    refused(
        &["--cross-section", "1", "--flux", "3"],
        &["cross-section", "1e-18..=1e-6"],
    );
    refused(&["--cross-section", "1e-14", "--flux", "-3"], &["flux", "-3"]);
    place.fails(2, &["rate", "--cross-section", "1e-14"], &["--flux"]);
    place.fails(2, &["rate", "--flux", "3"], &["--cross-section"]);
    for command in [
        &["harden", "--limit", "2"][..],
        &["protect", "--records", "none.csv"],
    ] {
        place.refuses(&[command, &["--fit-per-mb", "-1"]].concat(), &["FIT per Mb = -1"]);
    }
}

#[test]
fn records_that_do_not_belong_here() {
    let place = Workplace::new();
    place.done(&[
        "campaign",
        "--exhaustive",
        "--tensors",
        "bias",
        "--limit",
        "1",
        "--out",
        "own",
    ]);
    let own = place.read("own/records.csv");
    let refused = |text: &str, words: &[&str]| {
        place.text("records.csv", text);
        place.refuses(
            &["protect", "--records", "records.csv", "--limit", "1"],
            &[words, &["records.csv"]].concat(),
        );
    };
    let with_second_line = |from: &str, to: &str| {
        let mut lines: Vec<String> = own.lines().map(str::to_owned).collect();
        assert!(lines[1].contains(from), "{}", lines[1]);
        lines[1] = lines[1].replacen(from, to, 1);
        lines.join("\n") + "\n"
    };
    refused("", &["line 1", "layer,tensor,element,bit"]);
    refused(&own.replacen("element", "index", 1), &["line 1", "index"]);
    refused(
        &with_second_line("conv_0,bias,0", "conv_0,bias,8"),
        &["line 2", "element 8", "0..=7"],
    );
    refused(
        &with_second_line("conv_0,bias,0", "conv_9,bias,0"),
        &["line 2", "conv_9"],
    );
    place.text(
        "records.csv",
        &with_second_line("conv_0.bias,0,0", "conv_0.bias,3,0"),
    );
    let output = place.run(&[
        "protect",
        "--records",
        "records.csv",
        "--limit",
        "1",
        "--out",
        "p",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("another packing") && said.contains("logical address"),
        "{said}"
    );
    std::fs::remove_dir_all(place.path("p")).expect("the output folder");
    refused(
        &with_second_line("conv_0,bias,0,0,", "conv_0,bias,0,zero,"),
        &["line 2", "zero"],
    );
    let line = own.lines().nth(2).expect("a line");
    refused(
        &format!("{own}{line}\n"),
        &["the bit has an earlier line", "once"],
    );
    let cut = own.trim_end().rsplit_once(',').expect("columns").0;
    refused(cut, &["10 fields"]);
    let delta = line.rsplit_once(',').expect("columns").1;
    for bad in ["NaN", "inf", "much"] {
        let text = own.replacen(&format!("{delta}\n"), &format!("{bad}\n"), 1);
        refused(&text, &["line", bad]);
    }
    place.refuses(
        &["protect", "--records", "none.csv"],
        &["none.csv", "cannot be read"],
    );
    place.refuses(&["protect", "--records", "."], &["records.csv"]);
    // Another network's records.
    place.refuses(
        &[
            "protect",
            &path("digits_small_ae"),
            "--records",
            "own",
            "--limit",
            "1",
        ],
        &["own/records.csv", "line 2", "`conv_0`", "use the network"],
    );
}

#[test]
fn maps_that_do_not_belong_here() {
    let place = Workplace::new();
    let whole = [
        "harden",
        "--tensors",
        "bias",
        "--limit",
        "1",
        "--trials",
        "1",
        "--out",
        "own",
    ];
    place.done(&whole);
    let own = place.read("own/protection.json");
    place.half("cut.json", &place.path("own/protection.json"));
    place.text("other.json", "{\"kind\": \"shopping list\", \"version\": 1}");
    place.text("moved.json", &own.replacen("\"word_bit\":", "\"word_bit\":7", 1));
    place.text(
        "layer.json",
        &own.replace("\"layer\":\"conv_0\"", "\"layer\":\"conv_9\""),
    );
    place.text("deep.json", &own.replacen("\"depth\":72", "\"depth\":71", 1));
    place.text("list.csv", "a,b\n");
    let refused = |map: &str, words: &[&str]| {
        place.refuses(&["export", "--map", map, "--out", "x"], &[words, &[map]].concat());
    };
    refused("none.json", &["cannot be read"]);
    refused("cut.json", &["EOF", "here"]);
    refused("other.json", &["here"]);
    refused("list.csv", &["list.csv:1:1", "here"]);
    refused("moved.json", &["word"]);
    refused("layer.json", &["conv_9"]);
    refused("deep.json", &["conv_0.weight", "72"]);
    place.refuses(
        &["export", "--map", "own", "--format", "vhdl", "--out", "x"],
        &["vhdl", "json, csv, readmemh, systemverilog", "--format"],
    );
    // The same memories, but not the same network.
    place.refuses(
        &["export", &path("digits_medium_cls"), "--map", "own", "--out", "x"],
        &["own/protection.json", "`digits_medium_ae`", "`digits_medium_cls`"],
    );
    // The same network with other memories.
    place.text(
        "wide.ron",
        "Hardware(default: (weights: (packing: Memblock), biases: (packing: Memblock)))",
    );
    place.refuses(
        &["export", "--hardware", "wide.ron", "--map", "own", "--out", "x"],
        &["own/protection.json", "hardware file"],
    );
}

#[test]
fn places_that_cannot_be_written() {
    let place = Workplace::new();
    place.text("taken", "a file");
    let failed = |arguments: &[&str]| {
        place.fails(1, arguments, &["taken", "cannot be written", "expected"]);
    };
    for out in ["taken", "taken/folder"] {
        failed(&["harden", "--limit", "1", "--trials", "1", "--out", out]);
        failed(&["campaign", "--exhaustive", "--limit", "1", "--out", out]);
    }
    failed(&["run", "--limit", "1", "--outputs", "taken/out.npz"]);
    let other = Workplace::new();
    let whole = [
        "harden",
        "--tensors",
        "bias",
        "--limit",
        "1",
        "--trials",
        "1",
        "--out",
        "own",
    ];
    other.done(&whole);
    other.text("taken", "a file");
    for arguments in [
        &["export", "--map", "own", "--out", "taken"][..],
        &[
            "protect",
            "--records",
            "own",
            "--limit",
            "1",
            "--trials",
            "1",
            "--out",
            "taken",
        ],
    ] {
        other.fails(1, arguments, &["taken", "cannot be written", "expected"]);
    }
}

/// Files whose names are no UTF-8 text are read, but the identity of a study cannot hold such a name.
#[cfg(unix)]
#[test]
fn names_of_files_that_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Workplace::new();
    let network = OsStr::from_bytes(b"net\xff.onnx");
    let original = model("digits_small_cls").join("encoder.qonnx.onnx");
    if std::fs::copy(original, place.path("").join(network)).is_err() {
        eprintln!("skipped: the file system has no such names");
        return;
    }
    let data = path("digits_small_cls/data.npz") + ":x";
    let samples = ["--limit", "2", "--loss", "mismatch", "--inputs", &data];
    let campaign = ["--exhaustive", "--tensors", "bias"];
    for (command, options, status) in [
        ("inspect", vec![], 0),
        ("inspect", vec!["--json"], 0),
        ("run", samples.to_vec(), 2),
        ("run", [&samples[..], &["--emit-plan"]].concat(), 2),
        ("run", [&samples[..], &["--out", "run"]].concat(), 2),
        (
            "campaign",
            [&samples[..], &campaign, &["--emit-plan"]].concat(),
            2,
        ),
        (
            "campaign",
            [&samples[..], &campaign, &["--out", "campaign"]].concat(),
            2,
        ),
        (
            "harden",
            [&samples[..], &["--trials", "1", "--out", "harden"]].concat(),
            2,
        ),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_radstream"))
            .current_dir(place.path(""))
            .arg(command)
            .arg(network)
            .args(&options)
            .output()
            .expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{command} {options:?}: {said}"
        );
        assert_eq!(
            status == 2,
            said.contains("in UTF-8"),
            "{command} {options:?}: {said}"
        );
    }
}
