//! Networks that are wrong in one way each.

use radstream::accelerator::{Accelerator, Hardware};
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::onnx::proto::StringStringEntryProto;
use radstream::network::import::{Reason, qonnx};
use radstream::simulate::cycle::{BuildError, Pipeline};

use super::judge;
use crate::onnx::{Model, Value, integers, value};

/// Input 1x2x6x6 of 6 bits, a 3x3 convolution of 4-bit weights, a rectifier, 5 bits; output `y`.
fn conv_net() -> Model {
    let mut model = Model::new("x", &[1, 2, 6, 6]);
    let weights: Vec<f32> = (0..54).map(|k| (k % 13) as f32 / 8.0 - 0.75).collect();
    model
        .quant("x", "xq", 6, 0.25, true)
        .floats("w", &[3, 2, 3, 3], &weights)
        .quant("w", "wq", 4, 0.125, true)
        .node("Conv", &["xq", "wq"], "c")
        .with("kernel_shape", Value::Ints(&[3, 3]))
        .with("strides", Value::Ints(&[1, 1]))
        .with("pads", Value::Ints(&[1, 1, 1, 1]))
        .node("Relu", &["c"], "r")
        .quant("r", "y", 5, 0.5, false)
        .output("y");
    model
}

/// The convolution of [`conv_net`] with one attribute replaced.
fn conv_with(name: &str, ints: &[i64]) -> Model {
    let mut model = conv_net();
    let node = model.node_named("C");
    node.attribute.retain(|attribute| attribute.name != name);
    let mut other = conv_net();
    other.graph.node = vec![node.clone()];
    other.with(name, Value::Ints(ints));
    *node = other.graph.node.remove(0);
    model
}

/// Integers from a quantizer, then `body`, which makes `y` from `xq`.
fn after_input(shape: &[i64], body: impl FnOnce(&mut Model)) -> Model {
    let mut model = Model::new("x", shape);
    model.quant("x", "xq", 8, 0.5, true);
    body(&mut model);
    model.output("y");
    model
}

fn refused(case: &str, model: &Model) -> radstream::network::import::ImportError {
    match judge::network(case, &model.bytes()) {
        Err(error) => error,
        Ok(()) => panic!("{case}: accepted"),
    }
}

#[test]
fn the_sound_network_is_accepted() {
    judge::network("sound", &conv_net().bytes()).expect("a network");
}

#[test]
fn files_that_are_no_model_are_refused() {
    for (case, bytes) in [
        ("empty", &b""[..]),
        ("text", b"version https://git-lfs.github.com/spec/v1\n"),
        ("zeros", &[0; 64]),
        ("ones", &[0xff; 64]),
        ("a zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00"),
    ] {
        assert!(judge::network(case, bytes).is_err(), "{case}");
        assert!(judge::readout(case, bytes).is_err(), "{case}");
    }
}

#[test]
fn graphs_without_beginning_or_end_are_refused() {
    let empty = Model::default();
    refused("an empty graph", &empty);
    let mut model = conv_net();
    model.graph.input.clear();
    refused("no input", &model);
    let mut model = conv_net();
    model.graph.output.clear();
    refused("no output", &model);
    let mut model = conv_net();
    model.graph.output.push(value("r", &[]));
    refused("two outputs", &model);
    let mut model = conv_net();
    model.graph.input.push(value("other", &[1, 4]));
    judge::network("an input that nothing reads", &model.bytes()).expect("a network");
    model.node("Add", &["y", "other"], "z");
    model.graph.output[0].name = "z".into();
    refused("two inputs", &model);
    let mut model = conv_net();
    model.graph.output[0].name = "x".into();
    refused("the input as output", &model);
    let mut model = conv_net();
    model.graph.output[0].name = "w".into();
    refused("a constant as output", &model);
    let mut model = conv_net();
    model.graph.output[0].name = "nowhere".into();
    refused("an unknown output", &model);
}

#[test]
fn graphs_that_are_no_order_are_refused() {
    let mut model = conv_net();
    model.node_named("C").input[0] = "r".into();
    let error = refused("a cycle", &model);
    assert!(error.problem.contains("cycle"), "{error}");
    let mut model = conv_net();
    model.node_named("C").input[0] = "c".into();
    refused("a cycle of one", &model);
    let mut model = conv_net();
    model.node_named("R").output[0] = "c".into();
    refused("an output written twice", &model);
    let mut model = conv_net();
    let again = model.stored("w").clone();
    model.graph.initializer.push(again);
    refused("a constant stored twice", &model);
    let mut model = conv_net();
    model.node_named("R").output[0] = "w".into();
    refused("a constant overwritten", &model);
    let mut model = conv_net();
    model.node_named("R").output.clear();
    refused("a node without output", &model);
    let mut model = conv_net();
    model.node_named("R").input.clear();
    refused("a node without input", &model);
    let mut model = conv_net();
    model.node_named("R").input[0] = "nowhere".into();
    refused("an undefined tensor", &model);
}

#[test]
fn constants_that_are_no_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for name in [
            "w", "wq.scale", "wq.zero", "wq.bits", "xq.scale", "y.scale", "y.bits",
        ] {
            let mut model = conv_net();
            model.stored(name).raw_data[..4].copy_from_slice(&bad.to_le_bytes());
            refused(&format!("{name} {bad}"), &model);
        }
    }
    for bad in [0.0, -0.0, -1.0] {
        for name in ["wq.scale", "xq.scale", "y.scale"] {
            let mut model = conv_net();
            model.stored(name).raw_data[..4].copy_from_slice(&f32::to_le_bytes(bad));
            refused(&format!("{name} {bad}"), &model);
        }
    }
    for bad in [0.0, -3.0, 65.0, 2.5, 1e30] {
        for name in ["wq.bits", "xq.bits", "y.bits"] {
            let mut model = conv_net();
            model.stored(name).raw_data[..4].copy_from_slice(&f32::to_le_bytes(bad));
            refused(&format!("{name} {bad}"), &model);
        }
    }
    let mut model = conv_net();
    model.stored("y.bits").raw_data[..4].copy_from_slice(&64f32.to_le_bytes());
    refused("64 unsigned bits", &model);
    let mut model = conv_net();
    model.stored("y.zero").raw_data[..4].copy_from_slice(&1e19f32.to_le_bytes());
    refused("a giant zero point", &model);
}

#[test]
fn constants_that_contradict_themselves_are_refused() {
    type Spoil = fn(&mut radstream::network::import::onnx::proto::TensorProto);
    let spoils: [(&str, Spoil); 10] = [
        ("external", |t| t.data_location = 1),
        ("external by name", |t| {
            t.external_data.push(StringStringEntryProto {
                key: "location".into(),
                value: "../../../etc/passwd".into(),
            });
        }),
        ("too short", |t| t.raw_data.truncate(200)),
        ("not whole", |t| t.raw_data.truncate(215)),
        ("too long", |t| t.raw_data.extend([0; 4])),
        ("huge", |t| t.dims = vec![i64::MAX, i64::MAX, i64::MAX]),
        ("overflowing", |t| t.dims = vec![1 << 32, 1 << 32]),
        ("negative", |t| t.dims = vec![-3, 2, 3, 3]),
        ("of text", |t| t.data_type = 8),
        ("of many axes", |t| t.dims = [vec![1; 1 << 16], vec![54]].concat()),
    ];
    for (case, spoil) in spoils {
        let mut model = conv_net();
        spoil(model.stored("w"));
        refused(case, &model);
    }
    for dims in [
        vec![0, 2, 3, 3],
        vec![3, 0, 3, 3],
        vec![3, 2, 0, 3],
        vec![3, 2, 0, 1 << 62],
        vec![3, 2, 1 << 25, 0],
    ] {
        for auto in ["NOTSET", "SAME_UPPER", "VALID"] {
            let mut model = conv_with("kernel_shape", &[]);
            model.node_named("C").attribute.clear();
            let weight = model.stored("w");
            weight.dims.clone_from(&dims);
            weight.raw_data.clear();
            let mut other = Model::default();
            other.graph.node = vec![model.node_named("C").clone()];
            other.with("auto_pad", Value::Text(auto));
            *model.node_named("C") = other.graph.node.remove(0);
            refused(&format!("{dims:?} {auto}"), &model);
        }
    }
}

#[test]
fn inputs_without_a_sensible_shape_are_refused() {
    for shape in [
        &[][..],
        &[1],
        &[1, -2, 6, 6],
        &[1, 0, 6, 6],
        &[1, i64::MAX, i64::MAX, 2],
        &[1, 2, 1 << 31, 1 << 31],
        &[1, 2, 1 << 20, 1 << 20],
        &[1, 3, 6, 6],
        &[1, 2, 6],
        &[1; 1000],
    ] {
        let mut model = conv_net();
        model.graph.input[0] = value("x", shape);
        refused(&format!("{shape:?}"), &model);
    }
    let mut model = conv_net();
    model.graph.input[0].r#type = None;
    refused("no type", &model);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let cases: [(&str, &[i64]); 14] = [
        ("kernel_shape", &[2, 3]),
        ("kernel_shape", &[3]),
        ("kernel_shape", &[-3, 3]),
        ("strides", &[0, 1]),
        ("strides", &[-1, 1]),
        ("strides", &[1, 1, 1]),
        ("strides", &[i64::MAX, 1]),
        ("dilations", &[0, 1]),
        ("dilations", &[1 << 40, 1]),
        ("dilations", &[4, 4]),
        ("pads", &[-1, 0, 0, 0]),
        ("pads", &[1, 1]),
        ("pads", &[i64::MAX, 0, 0, 0]),
        ("pads", &[1 << 20, 1 << 20, 1 << 20, 1 << 20]),
    ];
    for (name, ints) in cases {
        refused(&format!("{name} {ints:?}"), &conv_with(name, ints));
    }
    for group in [0, -1, 2, 3, i64::MAX, i64::MIN, 1 << 62] {
        let mut model = conv_net();
        let mut other = Model::default();
        other.graph.node = vec![model.node_named("C").clone()];
        other.with("group", Value::Int(group));
        *model.node_named("C") = other.graph.node.remove(0);
        refused(&format!("group {group}"), &model);
    }
}

#[test]
fn pools_that_cannot_be_are_refused() {
    let giant = 1 << 20;
    type Window<'w> = (&'w str, &'w [i64], &'w [i64], &'w [i64]);
    let cases: [Window; 9] = [
        ("no kernel", &[], &[1, 1], &[0; 4]),
        ("a zero kernel", &[0, 2], &[1, 1], &[0; 4]),
        ("a negative kernel", &[-2, 2], &[1, 1], &[0; 4]),
        ("a zero stride", &[2, 2], &[0, 1], &[0; 4]),
        ("too large a kernel", &[9, 9], &[1, 1], &[0; 4]),
        ("a giant kernel", &[giant, giant], &[1, 1], &[giant - 1; 4]),
        ("padding as large as the kernel", &[2, 2], &[1, 1], &[2, 2, 2, 2]),
        ("padding of a single tap", &[1, 1], &[1, 1], &[1, 1, 1, 1]),
        ("padding behind", &[2, 2], &[1, 1], &[0, 0, 5, 5]),
    ];
    for op in ["MaxPool", "AveragePool"] {
        for (case, kernel, strides, pads) in cases {
            let model = after_input(&[1, 2, 6, 6], |model| {
                model
                    .node(op, &["xq"], "y")
                    .with("kernel_shape", Value::Ints(kernel))
                    .with("strides", Value::Ints(strides))
                    .with("pads", Value::Ints(pads))
                    .with("count_include_pad", Value::Int(1));
            });
            refused(&format!("{op} with {case}"), &model);
        }
    }
}

#[test]
fn unsupported_operators_name_node_domain_and_nearest_form() {
    for (op, domain, nearest) in [
        ("LSTM", "", "feed-forward"),
        ("PRelu", "", "LeakyRelu"),
        ("QuantizeLinear", "", "Quant"),
        ("LayerNormalization", "", "BatchNormalization"),
        ("Frobnicate", "", "nearest form"),
        ("Conv", "com.example", "nearest form"),
        ("FloatQuant", "qonnx.custom_op.general", "IntQuant"),
        (
            "StreamingFCLayer_Batch",
            "finn.custom_op.fpgadataflow",
            "before FINN's conversion",
        ),
    ] {
        let mut model = conv_net();
        let node = model.node_named("R");
        node.op_type = op.into();
        node.domain = domain.into();
        let error = refused(op, &model);
        assert_eq!(error.reason, Reason::Unsupported, "{op}");
        assert!(error.place.contains("`R`"), "{error}");
        let shown = if domain.is_empty() { "ai.onnx" } else { domain };
        assert!(
            error.problem.contains(shown) && error.problem.contains(op),
            "{error}"
        );
        assert!(error.expected.contains(nearest), "{op}: {}", error.expected);
    }
}

#[test]
fn products_that_do_not_fit_are_refused() {
    for shape in [&[5, 3][..], &[4], &[4, 3, 1], &[0, 3], &[4, 0], &[]] {
        let len = shape.iter().product();
        let model = after_input(&[1, 4], |model| {
            model
                .integers("w", shape, &vec![1; len])
                .node("MatMul", &["xq", "w"], "y");
        });
        refused(&format!("MatMul {shape:?}"), &model);
        let model = after_input(&[1, 4], |model| {
            model
                .integers("w", shape, &vec![1; len])
                .node("Gemm", &["xq", "w"], "y");
        });
        refused(&format!("Gemm {shape:?}"), &model);
    }
    let model = after_input(&[1, 4], |model| {
        model.node("MatMul", &["xq", "xq"], "y");
    });
    refused("a product of streams", &model);
    let model = after_input(&[1, 4], |model| {
        model
            .integers("w", &[4, 2], &[i64::MAX; 8])
            .node("MatMul", &["xq", "w"], "y");
    });
    refused("an accumulator beyond 64 bits", &model);
    for shape in [&[3][..], &[2, 3], &[4, 1]] {
        let len = shape.iter().product();
        let model = after_input(&[1, 4], |model| {
            model
                .floats("f", &[4, 2], &[0.5; 8])
                .quant_with("f", "w", 4, shape, &vec![0.5; len], 0, true)
                .node("MatMul", &["xq", "w"], "y");
        });
        let outcome = judge::network(&format!("scales {shape:?}"), &model.bytes());
        assert_eq!(outcome.is_ok(), shape == [4, 1], "scales {shape:?}: {outcome:?}");
    }
    for attribute in ["alpha", "beta"] {
        for bad in [f32::NAN, f32::INFINITY] {
            let model = after_input(&[1, 4], |model| {
                model
                    .integers("w", &[4, 2], &[1; 8])
                    .integers("b", &[2], &[1; 2])
                    .node("Gemm", &["xq", "w", "b"], "y")
                    .with(attribute, Value::Float(bad));
            });
            refused(&format!("{attribute} {bad}"), &model);
        }
    }
    let model = after_input(&[1, 4], |model| {
        model
            .integers("w", &[4, 2], &[1; 8])
            .floats("f", &[5], &[1.0; 5])
            .quant("f", "b", 4, 1.0, true)
            .node("Gemm", &["xq", "w", "b"], "y");
    });
    refused("a bias of another length", &model);
}

#[test]
fn rearrangements_that_lose_elements_are_refused() {
    let shapes: [&[i64]; 8] = [
        &[1, 73],
        &[1, -1, -1],
        &[1, -1, 7],
        &[-2, 72],
        &[2, 36],
        &[1, 1 << 40, 1 << 40],
        &[i64::MIN, 1],
        &[1; 40],
    ];
    for shape in shapes {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .integers("shape", &[shape.len()], shape)
                .node("Reshape", &["xq", "shape"], "y");
        });
        refused(&format!("Reshape {shape:?}"), &model);
    }
    for perm in [
        &[0, 1, 2][..],
        &[0, 1, 2, 2],
        &[1, 0, 2, 3],
        &[0, 1, 2, 9],
        &[0, 1, 2, i64::MIN],
        &[],
    ] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .node("Transpose", &["xq"], "y")
                .with("perm", Value::Ints(perm));
        });
        refused(&format!("Transpose {perm:?}"), &model);
    }
    for axis in [9, -9, i64::MAX, i64::MIN] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model.node("Flatten", &["xq"], "y").with("axis", Value::Int(axis));
        });
        refused(&format!("Flatten {axis}"), &model);
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .node("Concat", &["xq", "xq"], "y")
                .with("axis", Value::Int(axis));
        });
        refused(&format!("Concat {axis}"), &model);
        for op in ["Squeeze", "Unsqueeze"] {
            let model = after_input(&[1, 2, 6, 6], |model| {
                model
                    .integers("axes", &[1], &[axis])
                    .node(op, &["xq", "axes"], "y");
            });
            refused(&format!("{op} {axis}"), &model);
        }
        let model = after_input(&[1, 2, 6, 6], |model| {
            model.node("ArgMax", &["xq"], "y").with("axis", Value::Int(axis));
        });
        refused(&format!("ArgMax {axis}"), &model);
    }
    let model = after_input(&[1, 2, 6, 6], |model| {
        model
            .integers("axes", &[2], &[1, 1])
            .node("Unsqueeze", &["xq", "axes"], "y");
    });
    refused("an axis inserted twice", &model);
    let model = after_input(&[1, 2, 6, 6], |model| {
        model.node("Concat", &[], "y");
    });
    refused("a concatenation of nothing", &model);
    let model = after_input(&[1, 2, 6, 6], |model| {
        model.node("Concat", &["xq", ""], "y");
    });
    refused("a concatenation with a gap", &model);
}

#[test]
fn enlargements_beyond_measure_are_refused() {
    for scales in [
        [1.0, 1.0, 1e30, 1.0],
        [1.0, 1.0, 4096.0, 4096.0],
        [1.0, 1.0, f32::NAN, 2.0],
        [1.0, 1.0, 0.0, 2.0],
        [1.0, 1.0, -2.0, 2.0],
        [1.0, 1.0, 1e-3, 2.0],
        [2.0, 1.0, 1.0, 1.0],
    ] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .floats("scales", &[4], &scales)
                .node("Upsample", &["xq", "scales"], "y");
        });
        refused(&format!("Upsample {scales:?}"), &model);
    }
    for pads in [
        vec![0; 6],
        vec![-1; 8],
        vec![i64::MAX; 8],
        vec![1; 8],
        vec![0, 0, 1 << 19, 1 << 19, 0, 0, 0, 0],
    ] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .integers("pads", &[pads.len()], &pads)
                .node("Pad", &["xq", "pads"], "y");
        });
        refused(&format!("Pad {pads:?}"), &model);
    }
    // Each concatenation doubles: 2^40 elements in the end.
    let model = after_input(&[1, 4], |model| {
        let mut last = "xq".to_owned();
        for k in 0..40 {
            let next = if k == 39 { "y".to_owned() } else { format!("t{k}") };
            model
                .node("Concat", &[&last, &last], &next)
                .with("axis", Value::Int(1));
            last = next;
        }
    });
    refused("doubling", &model);
    let model = after_input(&[1, 4], |model| {
        model
            .integers("k", &[1], &[5])
            .node("TopK", &["xq", "k"], "values");
        model.graph.node.last_mut().unwrap().output.push("y".into());
    });
    refused("TopK 5 of 4", &model);
}

#[test]
fn moves_beyond_their_axes_are_refused() {
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        after_input(&[1, 2, 6, 6], |model| {
            for (name, list) in [
                ("starts", starts),
                ("ends", ends),
                ("axes", axes),
                ("steps", steps),
            ] {
                model.integers(name, &[list.len()], list);
            }
            model.node("Slice", &["xq", "starts", "ends", "axes", "steps"], "y");
        })
    };
    for (case, model) in [
        ("an empty slice", slice(&[3], &[3], &[2], &[1])),
        ("a slice of the batch", slice(&[1], &[2], &[0], &[1])),
        ("a step of 0", slice(&[0], &[3], &[2], &[0])),
        ("an axis sliced twice", slice(&[0, 0], &[3, 3], &[2, -2], &[1, 1])),
        ("an axis that is not there", slice(&[0], &[3], &[4], &[1])),
        ("lists of different length", slice(&[0, 0], &[3], &[2], &[1])),
        ("extremes", slice(&[i64::MIN], &[i64::MIN], &[2], &[i64::MIN])),
    ] {
        refused(case, &model);
    }
    let extremes = slice(&[i64::MAX], &[i64::MIN], &[2], &[i64::MIN]);
    judge::network("one element by the longest step", &extremes.bytes()).expect("a network");
    for indices in [[6], [-7], [i64::MAX], [i64::MIN]] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .integers("indices", &[1], &indices)
                .node("Gather", &["xq", "indices"], "y")
                .with("axis", Value::Int(2));
        });
        refused(&format!("Gather {indices:?}"), &model);
    }
    for sizes in [&[3, 4][..], &[6], &[-1, 7], &[i64::MAX, i64::MAX]] {
        let model = after_input(&[1, 2, 6, 6], |model| {
            model
                .node("Split", &["xq"], "y")
                .with("split", Value::Ints(sizes))
                .with("axis", Value::Int(2));
            model.graph.node.last_mut().unwrap().output.push("z".into());
        });
        refused(&format!("Split {sizes:?}"), &model);
    }
}

#[test]
fn work_on_constants_is_bounded() {
    // Each concatenation doubles: 2^40 elements in the end.
    let model = after_input(&[1, 4], |model| {
        model.floats("c0", &[2], &[0.5, 1.5]);
        for k in 0..40 {
            let (from, to) = (format!("c{k}"), format!("c{}", k + 1));
            model
                .node("Concat", &[&from, &from], &to)
                .with("axis", Value::Int(0));
        }
        model.node("Mul", &["xq", "c40"], "y");
    });
    refused("constants that double", &model);
    for (op, shape) in [
        ("Expand", vec![1 << 40]),
        ("Expand", vec![-1]),
        ("Tile", vec![1 << 62]),
        ("ConstantOfShape", vec![1 << 30, 1 << 30]),
        ("ConstantOfShape", vec![0, 1 << 60]),
        ("ConstantOfShape", vec![1; 40]),
    ] {
        let model = after_input(&[1, 4], |model| {
            model
                .floats("c", &[1], &[0.5])
                .integers("shape", &[shape.len()], &shape);
            let operands: &[&str] = if op == "ConstantOfShape" {
                &["shape"]
            } else {
                &["c", "shape"]
            };
            model
                .node(op, operands, "large")
                .node("Mul", &["xq", "large"], "y");
        });
        refused(&format!("{op} {shape:?}"), &model);
    }
    for (case, ops) in [
        ("a quotient by zero", ["Div", "Div"]),
        ("a product beyond 64 bits", ["Mul", "Mul"]),
        ("a power beyond 64 bits", ["Pow", "Pow"]),
    ] {
        let model = after_input(&[1, 4], |model| {
            model
                .integers("a", &[1], &[i64::MAX])
                .integers(
                    "b",
                    &[1],
                    &[if case.contains("zero") {
                        0
                    } else {
                        i64::from(u32::MAX)
                    }],
                )
                .node(ops[0], &["a", "b"], "c")
                .node(ops[1], &["c", "b"], "d")
                .node("Mul", &["xq", "d"], "y");
        });
        refused(case, &model);
    }
    // The same large constant over and over.
    let len = 1 << 16;
    let model = after_input(&[1, 4], |model| {
        model.floats("c", &[len], &vec![0.25; len]);
        for k in 0..2000 {
            model.node("Ceil", &["c"], &format!("c{k}"));
        }
        model.node("Mul", &["xq", "c1999"], "y");
    });
    refused("a constant that is folded again and again", &model);
}

/// A chain of `len` nodes, each made by `step(model, from, to)`.
fn chain(len: usize, step: impl Fn(&mut Model, &str, &str)) -> Model {
    after_input(&[1, 4], |model| {
        let mut last = "xq".to_owned();
        for k in 0..len {
            let next = if k + 1 == len {
                "y".to_owned()
            } else {
                format!("t{k}")
            };
            step(model, &last, &next);
            last = next;
        }
    })
}

#[test]
fn long_chains_of_arithmetic_are_refused() {
    let model = chain(5000, |model, from, to| {
        if model.graph.initializer.len() < 4 {
            model.floats("third", &[], &[1.0 / 3.0]);
        }
        model.node("Mul", &[from, "third"], to);
    });
    refused("a scale that grows", &model);
    let model = chain(200, |model, from, to| {
        if model.graph.initializer.len() < 4 {
            model.floats("big", &[], &[f32::MAX]);
        }
        model.node("Mul", &[from, "big"], to);
    });
    refused("a scale that explodes", &model);
    let model = chain(19_000, |model, from, to| {
        if model.graph.initializer.len() < 4 {
            model.floats("one", &[], &[1.0]);
        }
        let op = if from.len() % 2 == 0 { "Relu" } else { "Add" };
        let inputs = [from, "one"];
        model.node(op, if op == "Relu" { &inputs[..1] } else { &inputs }, to);
        model.graph.node.last_mut().unwrap().name = "same".into();
    });
    let _ = judge::network("functions in a row", &model.bytes());
    let model = chain(100, |model, from, to| {
        model.node("Mul", &[from, from], to);
    });
    refused("squares of squares", &model);
    let model = chain(100, |model, from, to| {
        model.node("Add", &[from, from], to);
    });
    refused("sums of sums", &model);
    let model = chain(100, |model, from, to| {
        if model.graph.initializer.len() < 4 {
            model.integers("w", &[4, 4], &[7; 16]);
        }
        model.node("MatMul", &[from, "w"], to);
    });
    refused("products of products", &model);
    let model = chain(30_000, |model, from, to| {
        model.node("Identity", &[from], to);
    });
    refused("more nodes than any network", &model);
    let model = chain(19_000, |model, from, to| {
        model.node("Identity", &[from], to);
        model.graph.node.last_mut().unwrap().name = "same".into();
    });
    judge::network("many identities", &model.bytes()).expect("a network");
    let mut model = Model::new("x", &[1, 4]);
    let mut last = "x".to_owned();
    for k in 0..1000 {
        let next = format!("t{k}");
        model.node("Flatten", &[&last], &next);
        last = next;
    }
    model.quant(&last, "y", 4, 1.0, true).output("y");
    judge::network("an input flattened again and again", &model.bytes()).expect("a network");
    // Shapes without common factors, which wait for the input's integers.
    let mut model = Model::new("x", &[1, 6]);
    model
        .integers("a", &[3], &[1, 2, 3])
        .integers("b", &[3], &[1, 3, 2]);
    let mut last = "x".to_owned();
    for k in 0..1000 {
        let next = format!("t{k}");
        model.node("Reshape", &[&last, if k % 2 == 0 { "a" } else { "b" }], &next);
        last = next;
    }
    model.quant(&last, "y", 4, 1.0, true).output("y");
    refused("an input reshaped again and again", &model);
}

#[test]
fn thresholds_beyond_measure_are_refused() {
    for shape in [[3, 5], [0, 5], [2, 0]] {
        let len = shape[0] * shape[1];
        let model = after_input(&[1, 2], |model| {
            model
                .floats("t", &shape, &vec![0.0; len])
                .node("MultiThreshold", &["xq", "t"], "y");
        });
        refused(&format!("thresholds {shape:?}"), &model);
    }
    for (attribute, bad) in [
        ("out_scale", 0.0),
        ("out_scale", f32::NAN),
        ("out_bias", f32::INFINITY),
        ("out_bias", f32::MAX),
    ] {
        let model = after_input(&[1, 2], |model| {
            model
                .floats("t", &[2, 2], &[0.0; 4])
                .node("MultiThreshold", &["xq", "t"], "y")
                .with(attribute, Value::Float(bad));
        });
        refused(&format!("{attribute} {bad}"), &model);
    }
    // 2^16 levels for each of 4,096 channels.
    let model = after_input(&[1, 4096], |model| {
        let scales: Vec<f32> = (0..4096).map(|k| 0.1 + k as f32 / 7.0).collect();
        model
            .floats("s", &[4096], &scales)
            .node("Mul", &["xq", "s"], "m")
            .quant("m", "y", 16, 0.3, true);
    });
    refused("too many thresholds", &model);
    let model = after_input(&[1, 2], |model| {
        model
            .node("Sigmoid", &["xq"], "s")
            .floats("w", &[2, 1], &[1.0, 2.0])
            .node("MatMul", &["s", "w"], "y");
    });
    refused("a sigmoid that is not quantized", &model);
    let model = after_input(&[1, 2], |model| {
        model
            .floats("half", &[], &[0.3])
            .node("Div", &["half", "xq"], "y");
    });
    refused("a constant divided by the stream", &model);
    let model = after_input(&[1, 2], |model| {
        model
            .floats("none", &[2], &[1.0, 0.0])
            .node("Div", &["xq", "none"], "y");
    });
    refused("a division by zero", &model);
}

#[test]
fn normalizations_that_cannot_be_are_refused() {
    let normalized = |variance: f32, epsilon: f32, len: usize| {
        after_input(&[1, 2, 4, 4], |model| {
            for name in ["gamma", "beta", "mean"] {
                model.floats(name, &[len], &vec![1.0; len]);
            }
            model
                .floats("variance", &[len], &vec![variance; len])
                .node(
                    "BatchNormalization",
                    &["xq", "gamma", "beta", "mean", "variance"],
                    "n",
                )
                .with("epsilon", Value::Float(epsilon))
                .quant("n", "y", 4, 0.5, true);
        })
    };
    judge::network("sound", &normalized(2.0, 1e-5, 2).bytes()).expect("a network");
    refused("a negative variance", &normalized(-1.0, 1e-5, 2));
    refused("a variance of zero", &normalized(0.0, 0.0, 2));
    refused("a variance that is no number", &normalized(f32::NAN, 1e-5, 2));
    refused("an epsilon that is no number", &normalized(1.0, f32::NAN, 2));
    refused("three channels for two", &normalized(1.0, 1e-5, 3));
    refused("no channels", &normalized(1.0, 1e-5, 0));
}

#[test]
fn a_file_of_nothing_but_empty_messages_is_refused_before_it_takes_memory() {
    // Field 7 (the graph) of 2^22 empty nodes: 8 MiB of file, half a gigabyte of nodes.
    let nodes = [0x0a, 0x00].repeat(1 << 22);
    let mut bytes = vec![0x3a];
    let mut len = nodes.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(nodes);
    assert!(judge::network("empty nodes", &bytes).is_err());
}

#[test]
fn constants_that_are_read_again_and_again_are_refused() {
    // 2^18 weights, handed on by that many nodes before the product.
    let handed_on = |times: usize| {
        after_input(&[1, 512], |model| {
            model.floats("w0", &[512, 512], &vec![1.0; 1 << 18]);
            for k in 0..times {
                model.node("Identity", &[&format!("w{k}")], &format!("w{}", k + 1));
            }
            model.node("MatMul", &["xq", &format!("w{times}")], "y");
        })
    };
    judge::network("a few times", &handed_on(20).bytes()).expect("a network");
    // All constants together may be read for 2^27 elements.
    let error = refused("six hundred times", &handed_on(600));
    assert!(error.problem.contains("the work on constants"), "{error}");
}

#[test]
fn unreadable_paths_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().to_owned(), folder.path().join("missing.onnx")] {
        let error = radstream::network::import::qonnx::read(&path).expect_err("no network");
        assert!(!error.expected.is_empty() && !error.repair.is_empty());
    }
}

#[test]
fn integers_of_the_wrong_kind_are_refused() {
    let mut model = conv_net();
    *model.stored("w") = integers("w", &[3, 2, 3, 3], &[i64::MAX; 54]);
    // The quantizer clips them: that is sound.
    judge::network("clipped", &model.bytes()).expect("a network");
    let model = after_input(&[1, 4], |model| {
        model
            .floats("w", &[4, 1], &[0.5, 1.0, 2.0, 3.0])
            .node("MatMul", &["xq", "w"], "y");
    });
    let error = refused("weights that are not quantized", &model);
    assert_eq!(error.reason, Reason::Inexact);
}

#[test]
fn names_beyond_reason_are_refused() {
    let long = "n".repeat(5000);
    let tensor = after_input(&[1, 4], |model| {
        model.node("Relu", &["xq"], &long).node("Neg", &[&long], "y");
    });
    let mut operator = conv_net();
    operator.node_named("C").op_type = long.clone();
    let mut constant = conv_net();
    constant.graph.initializer.push(integers(&long, &[1], &[1]));
    for (case, model) in [
        ("a tensor", tensor),
        ("an operator", operator),
        ("a constant", constant),
    ] {
        let error = refused(case, &model);
        assert!(error.problem.contains("a name of 5000 bytes"), "{case}: {error}");
    }
}

/// Coordinates are listed axis by axis, so that long axes cost where there is no element.
#[test]
fn slices_of_constants_without_elements_are_counted() {
    let model = after_input(&[1, 4], |model| {
        model.integers("empty", &[0, 1 << 24], &[]);
        for (name, value) in [("zero", 0), ("one", 1)] {
            model.integers(name, &[1], &[value]);
        }
        let parts: Vec<String> = (0..20).map(|k| format!("part{k}")).collect();
        for part in &parts {
            model.node("Slice", &["empty", "zero", "one", "zero"], part);
        }
        let mut inputs = vec!["xq"];
        inputs.extend(parts.iter().map(String::as_str));
        model.node("Concat", &inputs, "y");
    });
    let error = refused("slices of nothing", &model);
    assert!(error.problem.contains("work on constants"), "{error}");
}

/// Strides of an array without elements are products of its extents all the same.
#[test]
fn long_axes_of_constants_without_elements_are_refused() {
    let mut shape = vec![1 << 20; 16];
    shape[0] = 0;
    for op in ["Concat", "Transpose", "Add"] {
        let model = after_input(&[1, 4], |model| {
            model.integers("empty", &shape, &[]);
            let inputs: &[&str] = if op == "Transpose" {
                &["empty"]
            } else {
                &["empty", "empty"]
            };
            model.node(op, inputs, "more");
            model.node("Add", &["xq", "more"], "y");
        });
        let error = refused(op, &model);
        assert!(error.problem.contains("has no element"), "{op}: {error}");
    }
    // Made by the graph.
    let model = after_input(&[1, 4], |model| {
        let extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
        model.integers("empty", &[0, 1], &[]);
        model.integers("shape", &[16], &extents);
        model.node("Reshape", &["empty", "shape"], "more");
        model.node("Add", &["xq", "more"], "y");
    });
    refused("a reshape", &model);
}

#[test]
fn a_border_of_the_lowest_number_is_refused() {
    let model = after_input(&[1, 4], |model| {
        model.integers("pads", &[4], &[0, i64::MIN, 0, 0]);
        model.node("Pad", &["xq", "pads"], "y");
    });
    refused("a border", &model);
}

/// Long numbers cost more than short ones.
#[test]
fn exact_numbers_that_grow_are_counted() {
    let model = after_input(&[1, 500], |model| {
        let values: Vec<f32> = (0..500).map(|at| at as f32 * 0.37 - 20.0).collect();
        model.floats("w", &[500], &values).quant("w", "w0", 8, 0.3, true);
        let divisors: Vec<f32> = (0..500).map(|at| 0.7 + at as f32 * 0.001).collect();
        model.floats("d", &[500], &divisors);
        for k in 0..200 {
            model.node("Div", &[&format!("w{k}"), "d"], &format!("w{}", k + 1));
        }
        model.node("Mul", &["xq", "w200"], "y");
    });
    let error = refused("a chain of divisions", &model);
    assert!(error.problem.contains("work on constants"), "{error}");
}

/// A real function per channel is copied by everyone who reads it.
#[test]
fn readers_of_a_function_per_channel_are_counted() {
    const CHANNELS: usize = 1 << 17;
    let mut model = Model::new("x", &[1, CHANNELS as i64]);
    let scales: Vec<f32> = (0..CHANNELS).map(|k| 0.1 + k as f32 * 1e-6).collect();
    model.quant_with("x", "q0", 6, &[1, CHANNELS], &scales, 0, true);
    for k in 0..40 {
        model.node("Identity", &[&format!("q{k}")], &format!("q{}", k + 1));
    }
    model.output("q40");
    let error = refused("readers of scales", &model);
    assert!(error.problem.contains("work on constants"), "{error}");
}

/// The pipeline of a network on its default hardware.
fn pipeline(model: &Model) -> Result<(), BuildError> {
    let graph = OnnxGraph::parse("pipeline.onnx".as_ref(), &model.bytes());
    let network = graph.and_then(|graph| qonnx::import(&graph)).expect("a network");
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    Pipeline::new(&accelerator).map(|_| ())
}

#[test]
fn a_network_without_layers_has_no_pipeline() {
    let mut model = Model::new("x", &[1, 4]);
    model.quant("x", "y", 6, 0.25, true).output("y");
    assert!(matches!(pipeline(&model), Err(BuildError::Empty)));
    // Neither has one whose layers are wires.
    let mut model = Model::new("x", &[1, 4]);
    model
        .quant("x", "q", 6, 0.25, true)
        .integers("shape", &[3], &[1, 2, 2]);
    model.node("Reshape", &["q", "shape"], "y").output("y");
    assert!(matches!(pipeline(&model), Err(BuildError::Empty)));
}

/// Signals of the cycle engine are words of 32 bits.
#[test]
fn streams_of_many_consumers_have_no_pipeline() {
    let built = |halves: usize| {
        let model = after_input(&[1, 4], |model| {
            model
                .integers("start", &[1], &[0])
                .integers("end", &[1], &[2])
                .integers("axis", &[1], &[1]);
            for k in 0..halves {
                model.node("Slice", &["xq", "start", "end", "axis"], &format!("h{k}"));
            }
            let mut last = "h0".to_owned();
            for k in 1..halves {
                let sum = format!("s{k}");
                model.node("Concat", &[&last, &format!("h{k}")], &sum);
                last = sum;
            }
            model.node("Identity", &[&last], "y");
        });
        pipeline(&model)
    };
    assert!(built(32).is_ok());
    assert!(matches!(built(33), Err(BuildError::Ports { ports: 33, .. })));
}
