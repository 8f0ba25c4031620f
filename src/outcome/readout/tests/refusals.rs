use proptest::prelude::*;

use super::*;
use crate::network::import::Reason;

fn refused(model: Model, place: &str, reason: Reason) -> ImportError {
    let error = model.compile().expect_err("has to be refused");
    assert!(error.place.contains(place), "{error}");
    assert_eq!(error.reason, reason, "{error}");
    assert!(!error.problem.is_empty() && !error.expected.is_empty() && !error.repair.is_empty());
    error
}

#[test]
fn an_unknown_operator_is_named_with_its_domain_and_the_nearest_form() {
    let error = refused(
        Model::new(&[4]).node("Elu", &["x"], "y", vec![]),
        "make_y",
        Reason::Unsupported,
    );
    assert!(error.problem.contains("Elu") && error.problem.contains("ai.onnx"));
    assert!(error.expected.contains("ConvTranspose"));
    assert!(error.repair.contains("LeakyRelu"));
    let mut model = Model::new(&[4]).node("Relu", &["x"], "y", vec![]);
    model.graph.node[0].domain = "com.example".to_owned();
    let error = refused(model, "make_y", Reason::Unsupported);
    assert!(error.problem.contains("com.example"));
}

#[test]
fn shapes_that_do_not_fit() {
    let dense = |shape: &[usize], bias: usize| {
        Model::new(&[4])
            .reals("w", shape, &vec![1.0; shape.iter().product()])
            .reals("b", &[bias], &vec![0.0; bias])
            .node("Gemm", &["x", "w", "b"], "y", vec![])
    };
    assert!(dense(&[4, 3], 3).compile().is_ok());
    refused(dense(&[3, 4], 4), "make_y", Reason::Structure);
    refused(dense(&[4, 3], 2), "make_y", Reason::Structure);
    refused(dense(&[4], 4), "make_y", Reason::Structure);
    let reshape = |shape: &[i64]| {
        Model::new(&[4])
            .integers("s", shape)
            .node("Reshape", &["x", "s"], "y", vec![])
    };
    assert!(reshape(&[-1, 2, 2]).compile().is_ok());
    for shape in [
        &[-1, 3][..],
        &[-1, -1],
        &[1, 5],
        &[0, 0, 0],
        &[-2, 2],
        &[i64::MAX, i64::MAX],
    ] {
        refused(reshape(shape), "make_y", Reason::Structure);
    }
    let window = |op: &str, attributes| {
        Model::new(&[2, 3, 3])
            .reals("w", &[2, 2, 2, 2], &[1.0; 16])
            .node(op, &["x", "w"], "y", attributes)
    };
    for op in ["Conv", "ConvTranspose"] {
        assert!(window(op, vec![]).compile().is_ok());
        for attribute in [
            ints("strides", &[0, 1]),
            ints("strides", &[1]),
            ints("dilations", &[1, -1]),
            ints("pads", &[0, 0, 0]),
            ints("pads", &[-1, 0, 0, 0]),
            ints("kernel_shape", &[3, 3]),
            int("group", 0),
            int("group", 3),
            text("auto_pad", "ROUND"),
        ] {
            refused(window(op, vec![attribute]), "make_y", Reason::Structure);
        }
    }
    refused(
        window("Conv", vec![ints("dilations", &[3, 1])]),
        "make_y",
        Reason::Structure,
    );
    let cut = vec![ints("pads", &[2, 0, 2, 0])];
    refused(window("ConvTranspose", cut), "make_y", Reason::Unsupported);
    let far = vec![ints("kernel_shape", &[2, 2]), ints("pads", &[2, 0, 0, 0])];
    refused(
        Model::new(&[1, 3, 3]).node("MaxPool", &["x"], "y", far),
        "make_y",
        Reason::Structure,
    );
    for axis in [3, -4, i64::MAX, i64::MIN] {
        let model = Model::new(&[2, 2]).node("Softmax", &["x"], "y", vec![int("axis", axis)]);
        refused(model, "make_y", Reason::Structure);
    }
    let perm = Model::new(&[2, 2]).node("Transpose", &["x"], "y", vec![ints("perm", &[0, 1, 1])]);
    refused(perm, "make_y", Reason::Structure);
    let add = Model::new(&[4]).reals("c", &[3], &[0.0; 3]);
    refused(
        add.node("Add", &["x", "c"], "y", vec![]),
        "make_y",
        Reason::Structure,
    );
}

#[test]
fn numbers_that_are_none() {
    let model = |c: f64, op: &str| {
        Model::new(&[2])
            .reals("c", &[1], &[c])
            .node(op, &["x", "c"], "y", vec![])
    };
    refused(model(f64::NAN, "Add"), "make_y", Reason::Structure);
    refused(model(f64::INFINITY, "Mul"), "make_y", Reason::Structure);
    refused(model(0.0, "Div"), "make_y", Reason::Structure);
}

#[test]
fn graphs_that_are_no_readout() {
    let relu = || Model::new(&[2]).node("Relu", &["x"], "y", vec![]);
    let mut model = Model::new(&[2]).node("Add", &["x", "z"], "y", vec![]);
    model.graph.input.push(value("z", &[0, 2]));
    refused(model, "graph", Reason::Unsupported);
    let mut model = relu();
    model.graph.output.clear();
    refused(model, "graph", Reason::Unsupported);
    let mut model = relu();
    model.graph.input[0] = value("x", &[32, 2]);
    refused(model, "`x`", Reason::Unsupported);
    let mut model = relu();
    model.graph.input[0] = value("x", &[0, 0]);
    refused(model, "`x`", Reason::Unsupported);
    let mut model = relu();
    model.graph.input[0] = value("x", &[1, i64::MAX, i64::MAX]);
    refused(model, "`x`", Reason::Unsupported);
    let mut model = relu();
    model.graph.output[0] = value("y", &[0, 3]);
    refused(model, "`y`", Reason::Structure);
    let mut model = relu();
    model.graph.output[0] = value("nowhere", &[0, 2]);
    refused(model, "nowhere", Reason::Structure);
    // A weight that is no constant, and memory beyond reason.
    let model = Model::new(&[2]).node("MatMul", &["x", "x"], "y", vec![]);
    refused(model, "make_y", Reason::Unsupported);
    let huge = Model::new(&[1, 4096, 1])
        .reals("row", &[1, 1 << 14], &vec![1.0; 1 << 14])
        .node("Add", &["x", "row"], "y", vec![]);
    refused(huge, "make_y", Reason::Unsupported);
}

/// A model that uses most operators.
fn varied() -> Vec<u8> {
    Model::new(&[4])
        .reals("w", &[4, 8], &[0.5; 32])
        .reals("b", &[8], &[0.25; 8])
        .reals("k", &[2, 2, 3, 3], &[1.0; 36])
        .reals("m", &[4, 2], &[1.0; 8])
        .integers("map", &[-1, 2, 2, 2])
        .integers("axes", &[1])
        .node("Gemm", &["x", "w", "b"], "a", vec![float("alpha", 2.0)])
        .node("Reshape", &["a", "map"], "r", vec![])
        .node("Transpose", &["r"], "t", vec![ints("perm", &[0, 3, 1, 2])])
        .node(
            "ConvTranspose",
            &["t", "k"],
            "d",
            vec![ints("strides", &[2, 2]), ints("pads", &[0, 0, 1, 1])],
        )
        .node("BatchNormalization", &["d", "m2", "m2", "m2", "m2"], "n", vec![])
        .reals("m2", &[2], &[1.0; 2])
        .node(
            "Conv",
            &["n", "k"],
            "c",
            vec![ints("dilations", &[1, 1]), text("auto_pad", "SAME_UPPER")],
        )
        .node(
            "MaxPool",
            &["c"],
            "p",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node("Concat", &["p", "p"], "j", vec![int("axis", 2)])
        .node("Unsqueeze", &["j", "axes"], "u", vec![])
        .node("Squeeze", &["u", "axes"], "s", vec![])
        .node("GlobalAveragePool", &["s"], "g", vec![])
        .node("Flatten", &["g"], "f", vec![])
        .node("Softmax", &["f"], "y", vec![int("axis", -1)])
        .bytes()
}

#[test]
fn the_varied_model_is_a_readout() {
    assert_eq!(compile(&varied()).unwrap().output_shape(), [2]);
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = varied();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(readout) = compile(&bytes)
            && readout.plan.memory_len < 1 << 16
        {
            let code = vec![1.0; readout.input_len()];
            readout.evaluate(&code, &mut Scratch::default());
        }
    }
}
