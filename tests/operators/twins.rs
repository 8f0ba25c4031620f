//! Networks of the forms that the flows' own examples have, with random parameters.

use radstream::network::{Encoding, InputRule, Network, ParamKind};

use super::check::{Draw, First, Same, check, check_cycles, import};
use super::inputs::{any_real, check_real, pixel};
use crate::onnx::{Model, Value};

/// Quantized weights of a dense layer from `from` to `to`: bipolar, or of some bits.
fn dense(
    model: &mut Model,
    draw: &mut Draw,
    (from, to): (&str, &str),
    (inputs, outputs): (usize, usize),
    bits: i64,
) {
    let (w, q) = (format!("{to}.w"), format!("{to}.wq"));
    model.floats(&w, &[inputs, outputs], &draw.reals(inputs * outputs, -1.0, 1.0));
    if bits == 1 {
        let scale = format!("{to}.scale");
        model
            .floats(&scale, &[], &[1.0])
            .node("BipolarQuant", &[&w, &scale], &q);
    } else {
        let scale = draw.choice(&[0.5, 0.37]);
        model.quant(&w, &q, bits, scale, true);
    }
    model.node("MatMul", &[from, &q], to);
}

/// `BatchNormalization` from `from` to `to`, on axes of extent 1 as PyTorch wrote it where `squeezed`.
fn normalization(model: &mut Model, draw: &mut Draw, from: &str, to: &str, channels: usize, squeezed: bool) {
    let part = |what: &str| format!("{to}.{what}");
    let names: Vec<String> = ["gamma", "beta", "mean", "var"].map(&part).into();
    let ranges = [(-1.0, 1.5), (-0.5, 0.5), (-1.0, 1.0), (0.3, 4.0)];
    for (name, (low, high)) in names.iter().zip(ranges) {
        model.floats(name, &[channels], &draw.reals(channels, low, high));
    }
    let (axes, open, normal) = (part("axes"), part("open"), part("normal"));
    let (first, last) = if squeezed {
        (open.as_str(), normal.as_str())
    } else {
        (from, to)
    };
    if squeezed {
        model
            .integers(&axes, &[1], &[2])
            .node("Unsqueeze", &[from, &axes], &open);
    }
    model.node(
        "BatchNormalization",
        &[first, &names[0], &names[1], &names[2], &names[3]],
        last,
    );
    if squeezed {
        model.node("Squeeze", &[&normal, &axes], to);
    }
}

fn activation(model: &mut Model, from: &str, to: &str, bits: i64) {
    if bits == 1 {
        let scale = format!("{to}.scale");
        model
            .floats(&scale, &[], &[1.0])
            .node("BipolarQuant", &[from, &scale], to);
    } else {
        model.quant(from, to, bits, 0.5, false);
    }
}

fn rows(network: &Network) -> Vec<usize> {
    let thresholds = network
        .params
        .iter()
        .filter(|param| param.kind == ParamKind::Threshold);
    thresholds.map(|param| param.shape[0]).collect()
}

#[test]
fn intrusion_detection_with_bipolar_inputs() {
    // UNSW-NB15 with 593 features that are padded to 600, and FINN's tutorial: batch normalization behind Unsqueeze.
    for (seed, squeezed) in [(0, true), (1, false)] {
        let mut draw = Draw::new(seed);
        let features = 600;
        let mut model = Model::new("x", &[1, features as i64]);
        model
            .floats("one", &[], &[1.0])
            .node("BipolarQuant", &["x", "one"], "a0");
        for (layer, (inputs, outputs)) in [(features, 8), (8, 8)].into_iter().enumerate() {
            let [from, sum, normal, to] = [
                format!("a{layer}"),
                format!("s{layer}"),
                format!("n{layer}"),
                format!("a{}", layer + 1),
            ];
            dense(&mut model, &mut draw, (&from, &sum), (inputs, outputs), 2);
            normalization(&mut model, &mut draw, &sum, &normal, outputs, squeezed);
            activation(&mut model, &normal, &to, 2);
        }
        dense(&mut model, &mut draw, ("a2", "s2"), (8, 1), 2);
        activation(&mut model, "s2", "y", 1);
        model.output("y");
        let network = check_real(&model, None, (Same, Same), seed, |draw| {
            draw.integer(-1, 1) as f64
        });
        assert!(matches!(
            network.tensor(network.input).encoding,
            Encoding::Bipolar { .. }
        ));
        assert_eq!(rows(&network)[..2], [8, 8]);
    }
}

#[test]
fn fully_connected_digits() {
    // TFC: 784 inputs, `2x - 1`, one or two bits, a scale at the end.
    for (seed, (weights, activations)) in (0..).zip([(1, 1), (1, 2), (2, 2)]) {
        let mut draw = Draw::new(seed);
        let (side, hidden) = (12, 16);
        let mut model = Model::new("x", &[1, 1, side, side]);
        model
            .integers("flat", &[2], &[1, -1])
            .node("Reshape", &["x", "flat"], "f")
            .floats("two", &[], &[2.0])
            .floats("one", &[1], &[1.0])
            .node("Mul", &["f", "two"], "t")
            .node("Sub", &["t", "one"], "p");
        if seed == 1 {
            model
                .floats("levels", &[1, 3], &[-0.5, 0.0, 0.5])
                .node("MultiThreshold", &["p", "levels"], "a0")
                .with("out_bias", Value::Float(-1.0));
        } else {
            activation(&mut model, "p", "a0", 1);
        }
        let mut inputs = (side * side) as usize;
        for layer in 0..3 {
            let [from, sum, normal, to] = [
                format!("a{layer}"),
                format!("s{layer}"),
                format!("n{layer}"),
                format!("a{}", layer + 1),
            ];
            dense(&mut model, &mut draw, (&from, &sum), (inputs, hidden), weights);
            normalization(&mut model, &mut draw, &sum, &normal, hidden, seed != 2);
            activation(&mut model, &normal, &to, activations);
            inputs = hidden;
        }
        dense(&mut model, &mut draw, ("a3", "s3"), (hidden, 10), weights);
        model
            .floats("scale", &[], &[0.0625])
            .node("Mul", &["s3", "scale"], "y")
            .output("y");
        let network = check_real(&model, None, (Same, Same), seed, |draw| {
            f64::from(draw.reals(1, 0.0, 1.0)[0])
        });
        assert!(matches!(network.input_rule, InputRule::Preprocess(_)));
        // Pixels as they are stored enter where the file divides them.
        let mut bytes = model.clone();
        bytes.stored("two").raw_data = (2.0f32 / 255.0).to_le_bytes().to_vec();
        check_real(&bytes, None, (Same, Same), seed, pixel);
        check_real(&bytes, Some("uint8"), (Same, Same), seed, pixel);
    }
}

#[test]
fn jet_tagging_in_a_few_bits() {
    for seed in 0..2 {
        let mut draw = Draw::new(seed);
        let mut model = Model::new("x", &[1, 16]);
        // Standardized features, then eight bits.
        model
            .floats("mean", &[16], &draw.reals(16, -0.5, 0.5))
            .floats("std", &[16], &draw.reals(16, 0.5, 2.0))
            .node("Sub", &["x", "mean"], "c")
            .node("Div", &["c", "std"], "p")
            .quant("p", "a0", 8, 0.031_25, true);
        for (layer, (inputs, outputs)) in [(16, 32), (32, 16), (16, 16)].into_iter().enumerate() {
            let [from, sum, normal, to] = [
                format!("a{layer}"),
                format!("s{layer}"),
                format!("n{layer}"),
                format!("a{}", layer + 1),
            ];
            dense(&mut model, &mut draw, (&from, &sum), (inputs, outputs), 3);
            normalization(&mut model, &mut draw, &sum, &normal, outputs, seed == 1);
            model.node("Relu", &[&normal], &format!("r{layer}"));
            model.quant(&format!("r{layer}"), &to, 3, 0.37, false);
        }
        dense(&mut model, &mut draw, ("a3", "y"), (16, 5), 3);
        model.output("y");
        check_real(&model, None, (Same, Same), seed, any_real);
    }
}

#[test]
fn image_classifier_with_normalized_pixels() {
    let mut draw = Draw::new(9);
    let mut model = Model::new("x", &[1, 3, 6, 6]);
    model
        .floats("by", &[], &[255.0])
        .node("Div", &["x", "by"], "unit")
        .floats("mean", &[1, 3, 1, 1], &[0.485, 0.456, 0.406])
        .floats("std", &[1, 3, 1, 1], &[0.229, 0.224, 0.225])
        .node("Sub", &["unit", "mean"], "c")
        .node("Div", &["c", "std"], "p")
        .quant_with("p", "a0", 8, &[], &[0.018_658], 114, false)
        .floats("w", &[4, 3, 3, 3], &draw.reals(108, -1.0, 1.0))
        .quant_with("w", "wq", 4, &[4, 1, 1, 1], &draw.reals(4, 0.1, 0.3), 0, true)
        .node("Conv", &["a0", "wq"], "s0")
        .with("pads", Value::Ints(&[1, 1, 1, 1]));
    normalization(&mut model, &mut draw, "s0", "n0", 4, false);
    model
        .quant("n0", "a1", 2, 0.5, false)
        .node("GlobalAveragePool", &["a1"], "g")
        .node("Flatten", &["g"], "f");
    dense(&mut model, &mut draw, ("f", "s1"), (4, 5), 4);
    normalization(&mut model, &mut draw, "s1", "n1", 5, true);
    model.quant("n1", "y", 6, 0.25, true).output("y");
    check_real(&model, None, (First, Same), 1, pixel);
    check_real(&model, Some("uint8"), (First, Same), 1, pixel);
}

#[test]
fn layers_keep_their_product_behind_a_quantized_input() {
    let mut draw = Draw::new(4);
    let mut model = Model::new("x", &[1, 6]);
    model.quant("x", "a0", 4, 0.25, true);
    dense(&mut model, &mut draw, ("a0", "s0"), (6, 5), 4);
    normalization(&mut model, &mut draw, "s0", "n0", 5, true);
    activation(&mut model, "n0", "y", 2);
    model.output("y");
    let network = check(&model, 0.25, Same, Same, 4);
    assert_eq!(network.input_rule, InputRule::Quantize);
    assert_eq!(network.layers.len(), 1);
}

/// A pixel that is scattered to a row of outputs is read again where no other is taken.
#[test]
fn scattered_rows_keep_their_pixel() {
    for (kernel, stride) in [
        ([1, 2], [1, 2]),
        ([2, 1], [2, 1]),
        ([1, 3], [1, 2]),
        ([2, 1], [2, 2]),
        ([2, 2], [2, 2]),
    ] {
        for width in 1..4 {
            let mut draw = Draw::new(width as u64);
            let mut model = Model::new("x", &[1, 2, 2, width]);
            let taps = (kernel[0] * kernel[1]) as usize;
            let weights: Vec<f32> = (0..6 * taps).map(|_| draw.integer(-3, 3) as f32).collect();
            model
                .quant("x", "q", 5, 0.5, true)
                .floats("w", &[2, 3, kernel[0] as usize, kernel[1] as usize], &weights)
                .node("ConvTranspose", &["q", "w"], "y")
                .with("kernel_shape", Value::Ints(&kernel))
                .with("strides", Value::Ints(&stride))
                .output("y");
            let network = check(&model, 0.5, First, First, width as u64);
            check_cycles(&network, width as u64);
        }
    }
}

/// A window of the whole map that is read at several places is no product of one vector.
#[test]
fn transposed_maps_under_padded_windows_keep_their_order() {
    let mut draw = Draw::new(5);
    let mut model = Model::new("x", &[1, 2, 2, 3]);
    let weights: Vec<f32> = (0..48).map(|_| draw.integer(-3, 3) as f32).collect();
    model
        .quant("x", "q", 5, 0.5, true)
        .node("Transpose", &["q"], "t")
        .with("perm", Value::Ints(&[0, 3, 1, 2]))
        .floats("w", &[4, 3, 2, 2], &weights)
        .node("Conv", &["t", "w"], "y")
        .with("kernel_shape", Value::Ints(&[2, 2]))
        .with("strides", Value::Ints(&[1, 2]))
        .with("pads", Value::Ints(&[0, 0, 1, 0]))
        .output("y");
    let network = import(&model);
    check_cycles(&network, 5);
}
