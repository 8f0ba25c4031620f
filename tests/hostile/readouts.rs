//! Readouts that are wrong in one way each.

use super::judge;
use crate::onnx::{Model, Value};

/// Input 1x2x4x4, output `y` made by `body` from `x`.
fn model(body: impl FnOnce(&mut Model)) -> Vec<u8> {
    let mut model = Model::new("x", &[1, 2, 4, 4]);
    body(&mut model);
    model.output("y");
    model.bytes()
}

fn refused(case: &str, bytes: &[u8]) {
    assert!(judge::readout(case, bytes).is_err(), "{case}: accepted");
}

#[test]
fn absurd_readouts_are_refused() {
    for (name, ints) in [
        ("strides", &[0, 1][..]),
        ("strides", &[-1, 1]),
        ("dilations", &[0, 1]),
        ("pads", &[-1, 0, 0, 0]),
        ("pads", &[1 << 20; 4]),
        ("pads", &[i64::MAX; 4]),
        ("kernel_shape", &[0, 3]),
        ("kernel_shape", &[2, 3]),
    ] {
        for op in ["Conv", "ConvTranspose"] {
            let bytes = model(|model| {
                model
                    .floats("w", &[2, 2, 3, 3], &[0.5; 36])
                    .node(op, &["x", "w"], "y")
                    .with(name, Value::Ints(ints));
            });
            refused(&format!("{op} {name} {ints:?}"), &bytes);
        }
    }
    for group in [0, -1, 3, i64::MAX, i64::MIN] {
        for op in ["Conv", "ConvTranspose"] {
            let bytes = model(|model| {
                model
                    .floats("w", &[2, 2, 3, 3], &[0.5; 36])
                    .node(op, &["x", "w"], "y")
                    .with("group", Value::Int(group));
            });
            refused(&format!("{op} in {group} groups"), &bytes);
        }
    }
    for shape in [[2, 2, 0, 3], [0, 2, 3, 3], [2, 0, 3, 3]] {
        for op in ["Conv", "ConvTranspose"] {
            let bytes = model(|model| {
                model.floats("w", &shape, &[]).node(op, &["x", "w"], "y");
            });
            refused(&format!("{op} {shape:?}"), &bytes);
        }
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let bytes = model(|model| {
            model
                .floats("w", &[4, 2], &[bad; 8])
                .node("MatMul", &["x", "w"], "y");
        });
        refused("a weight", &bytes);
        let bytes = model(|model| {
            model
                .node("LeakyRelu", &["x"], "y")
                .with("alpha", Value::Float(bad));
        });
        refused("a slope", &bytes);
        let bytes = model(|model| {
            model
                .node("Flatten", &["x"], "f")
                .floats("w", &[32, 2], &[0.5; 64])
                .node("Gemm", &["f", "w"], "y")
                .with("alpha", Value::Float(bad));
        });
        refused("a factor", &bytes);
        let bytes = model(|model| {
            for name in ["a", "b", "c", "d"] {
                model.floats(name, &[2], &[1.0; 2]);
            }
            model
                .node("BatchNormalization", &["x", "a", "b", "c", "d"], "y")
                .with("epsilon", Value::Float(bad));
        });
        refused("an epsilon", &bytes);
    }
    let bytes = model(|model| {
        model
            .node("Clip", &["x"], "y")
            .with("min", Value::Float(f32::NAN));
    });
    refused("a bound", &bytes);
}

#[test]
fn readouts_beyond_measure_are_refused() {
    let bytes = model(|model| {
        let mut last = "x".to_owned();
        for k in 0..40 {
            let next = if k == 39 { "y".to_owned() } else { format!("t{k}") };
            model
                .node("Concat", &[&last, &last], &next)
                .with("axis", Value::Int(1));
            last = next;
        }
    });
    refused("doubling", &bytes);
    let bytes = model(|model| {
        model
            .node("MaxPool", &["x"], "y")
            .with("kernel_shape", Value::Ints(&[1 << 20, 1 << 20]))
            .with("pads", Value::Ints(&[(1 << 20) - 1; 4]));
    });
    refused("a giant pool", &bytes);
    let bytes = model(|model| {
        model
            .floats("w", &[2, 2, 512, 512], &vec![0.5; 1 << 20])
            .node("Conv", &["x", "w"], "y")
            .with("pads", Value::Ints(&[1000; 4]));
    });
    refused("a giant convolution", &bytes);
    let shape: Vec<i64> = [vec![1; 5000], vec![32]].concat();
    let bytes = model(|model| {
        model
            .integers("shape", &[shape.len()], &shape)
            .node("Reshape", &["x", "shape"], "y");
    });
    refused("thousands of axes", &bytes);
    for shape in [&[1, i64::MAX, i64::MAX][..], &[1, 1 << 30], &[2, 4], &[1, -1]] {
        let mut model = Model::new("x", shape);
        model.node("Relu", &["x"], "y").output("y");
        refused(&format!("an input of {shape:?}"), &model.bytes());
    }
    let mut model = Model::new("x", &[1; 100]);
    model.node("Relu", &["x"], "y").output("y");
    refused("an input of many axes", &model.bytes());
}

#[test]
fn unsupported_operators_name_node_domain_and_nearest_form() {
    for (op, domain, nearest) in [
        ("Quant", "qonnx.custom_op.general", "float"),
        ("Elu", "", "Relu"),
        ("Frobnicate", "com.example", "supported"),
    ] {
        let mut model = Model::new("x", &[1, 4]);
        model.node(op, &["x"], "y").output("y");
        model.node_named("Y").domain = domain.into();
        let error = judge::readout(op, &model.bytes()).expect_err("no readout");
        assert!(error.place.contains("`Y`"), "{error}");
        let shown = if domain.is_empty() { "ai.onnx" } else { domain };
        assert!(
            error.problem.contains(shown) && error.problem.contains(op),
            "{error}"
        );
        assert!(error.repair.contains(nearest), "{error:?}");
        assert!(error.expected.contains("Gemm"), "{error:?}");
    }
}
