//! Quantizers and activations.

use super::check::{Draw, First, ROUNDINGS, Same, check};
use super::matrix::input;
use crate::onnx::{Model, Value};

/// Replaces the rounding, the range and the sign of the last quantizer.
fn shaped(model: &mut Model, rounding: &str, narrow: bool) {
    let node = model.graph.node.last_mut().expect("a quantizer");
    for attribute in &mut node.attribute {
        match attribute.name.as_str() {
            "rounding_mode" => attribute.s = rounding.as_bytes().to_vec(),
            "narrow" => attribute.i = i64::from(narrow),
            _ => {}
        }
    }
}

#[test]
fn every_rounding_range_and_zero_point_of_a_stream() {
    let mut seed = 0;
    for rounding in ROUNDINGS {
        for narrow in [false, true] {
            for signed in [false, true] {
                for (zero, scale) in [(0, 0.5), (0, 0.3), (3, 0.5), (-2, 0.7), (1, 0.25)] {
                    seed += 1;
                    let mut model = input(&[1, 5]);
                    model.quant_with("xq", "y", 3, &[], &[scale], zero, signed);
                    shaped(&mut model, rounding, narrow);
                    model.output("y");
                    check(&model, 0.125, Same, Same, seed);
                }
            }
        }
    }
}

#[test]
fn every_rounding_and_range_of_a_weight() {
    for (seed, rounding) in (0..).zip(ROUNDINGS) {
        for narrow in [false, true] {
            for scale in [0.5, 0.3] {
                let mut draw = Draw::new(seed);
                let mut model = input(&[1, 4]);
                // Halves of the scale among them: the ties.
                let ties: Vec<f32> = (-20..20).map(|k| k as f32 * scale / 2.0).collect();
                let mut values = draw.reals(80, -4.0, 4.0);
                values.extend(ties);
                model
                    .floats("w", &[4, 30], &values)
                    .quant("w", "wq", 4, scale, true);
                shaped(&mut model, rounding, narrow);
                model.node("MatMul", &["xq", "wq"], "y").output("y");
                check(&model, 0.125, Same, Same, seed);
            }
        }
    }
}

#[test]
fn one_signed_bit_is_bipolar() {
    let mut model = input(&[1, 6]);
    model.quant("xq", "b", 1, 0.5, true);
    model
        .floats("w", &[6, 2], &Draw::new(0).reals(12, -1.0, 1.0))
        .quant("w", "wq", 1, 1.0, true)
        .node("MatMul", &["b", "wq"], "y")
        .output("y");
    check(&model, 0.125, Same, Same, 0);
}

#[test]
fn quantizers_with_one_scale_per_channel() {
    for seed in 0..6 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 3, 4, 4]);
        model
            .floats("w", &[3, 1, 1, 1], &draw.floats(3, 3, 1.0))
            .quant("w", "wq", 3, 1.0, true)
            .node("Conv", &["xq", "wq"], "c")
            .with("group", Value::Int(3));
        // The integers of the channels have different units; their product with the units' inverse
        // has one.
        let scales = draw.reals(3, 0.2, 0.9);
        model.quant_with("c", "q", 4, &[1, 3, 1, 1], &scales, 0, true);
        model
            .floats("s", &[1, 3, 1, 1], &scales)
            .node("Div", &["q", "s"], "y")
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn multi_thresholds() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let image = seed % 2 == 0;
        let rows = draw.choice(&[1, 3]);
        let steps = draw.integer(1, 7) as usize;
        let mut model = input(if image { &[1, 3, 3, 2] } else { &[1, 3] });
        // Unsorted, some on the grid, some equal.
        let mut thresholds = draw.reals(rows * steps, -5.0, 5.0);
        for threshold in thresholds.iter_mut().step_by(2) {
            *threshold = (*threshold * 4.0).round() / 4.0;
        }
        model
            .floats("t", &[rows, steps], &thresholds)
            .node("MultiThreshold", &["xq", "t"], "y")
            .with(
                "out_scale",
                Value::Float(draw.choice(&[1.0, 0.5, -1.0, 0.75, 2.0])),
            )
            .with("out_bias", Value::Float(draw.choice(&[0.0, -1.0, -1.5, 0.25])))
            .with("out_dtype", Value::Text("INT8"))
            .with("data_layout", Value::Text(if image { "NCHW" } else { "NC" }))
            .output("y");
        let layout = if image { First } else { Same };
        check(&model, 0.125, layout, layout, seed);
    }
}

#[test]
fn multi_thresholds_with_channels_last() {
    let mut draw = Draw::new(1);
    let mut model = input(&[1, 3, 2, 4]);
    model
        .floats("t", &[4, 3], &draw.reals(12, -4.0, 4.0))
        .node("MultiThreshold", &["xq", "t"], "y")
        .with("data_layout", Value::Text("NHWC"))
        .output("y");
    check(&model, 0.125, Same, Same, 1);
}

#[test]
fn rectifiers_clips_and_curves_before_a_quantizer() {
    let bounds: [(Option<f32>, Option<f32>); 5] = [
        (Some(-1.0), Some(1.0)),
        (Some(0.0), Some(2.3)),
        (None, Some(0.7)),
        (Some(-0.3), None),
        (Some(0.4), Some(1.1)),
    ];
    for seed in 0..40u64 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 6]);
        // A factor and an offset first, so that the function starts from an odd place.
        if seed % 2 == 0 {
            model
                .floats("f", &[6], &draw.reals(6, -1.0, 1.0))
                .node("Mul", &["xq", "f"], "m")
                .floats("o", &[], &draw.reals(1, -0.5, 0.5))
                .node("Add", &["m", "o"], "a");
        } else {
            model.node("Identity", &["xq"], "a");
        }
        match (seed / 2) % 5 {
            0 => {
                model
                    .node("LeakyRelu", &["a"], "r")
                    .with("alpha", Value::Float(draw.choice(&[0.125, 0.01, 0.3])));
            }
            1 => {
                let (low, high) = draw.choice(&bounds);
                let mut operands = vec!["a", "", ""];
                if let Some(low) = low {
                    model.floats("low", &[], &[low]);
                    operands[1] = "low";
                }
                if let Some(high) = high {
                    model.floats("high", &[], &[high]);
                    operands[2] = "high";
                }
                model.node("Clip", &operands, "r");
            }
            2 => {
                model.node("Sigmoid", &["a"], "r");
            }
            3 => {
                model.node("Tanh", &["a"], "r");
            }
            _ => {
                model.node("Relu", &["a"], "r");
            }
        }
        let scale = draw.choice(&[0.0625, 0.1, 0.3]);
        model.quant("r", "y", draw.integer(2, 5), scale, seed % 3 != 0);
        shaped(&mut model, draw.choice(&["ROUND", "HALF_UP", "HALF_DOWN"]), false);
        model.output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn signs_of_curves() {
    for op in ["Tanh", "Relu", "Identity", "Neg"] {
        let mut model = input(&[1, 6]);
        model
            .node(op, &["xq"], "r")
            .floats("s", &[], &[0.5])
            .node("BipolarQuant", &["r", "s"], "y")
            .output("y");
        check(&model, 0.125, Same, Same, 9);
    }
}

#[test]
fn rectifiers_without_a_quantizer() {
    for seed in 0..10u64 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 6]);
        match seed % 5 {
            0 => model.node("Relu", &["xq"], "y"),
            1 => model
                .node("LeakyRelu", &["xq"], "y")
                .with("alpha", Value::Float(draw.choice(&[0.125, 0.75]))),
            2 => model
                .floats("low", &[], &[-1.5])
                .floats("high", &[], &[2.25])
                .node("Clip", &["xq", "low", "high"], "y"),
            3 => model
                // Beyond the input's range: a constant.
                .floats("low", &[], &[7.5])
                .floats("high", &[], &[9.0])
                .node("Clip", &["xq", "low", "high"], "y"),
            _ => model
                .floats("low", &[], &[-9.0])
                .floats("high", &[], &[-7.5])
                .node("Clip", &["xq", "low", "high"], "y"),
        };
        model.output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn batch_normalizations() {
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 3, 3, 3]);
        let irrational = seed % 2 == 0;
        let variance = if irrational {
            draw.reals(3, 0.2, 3.0)
        } else {
            vec![4.0, 0.25, 2.25]
        };
        model
            .floats("gamma", &[3], &draw.reals(3, -2.0, 2.0))
            .floats("beta", &[3], &draw.reals(3, -1.0, 1.0))
            .floats("mean", &[3], &draw.reals(3, -1.0, 1.0))
            .floats("variance", &[3], &variance)
            .node(
                "BatchNormalization",
                &["xq", "gamma", "beta", "mean", "variance"],
                "n",
            )
            .with("epsilon", Value::Float(if irrational { 1e-5 } else { 0.0 }));
        let last = if seed % 3 == 0 {
            model.node("Relu", &["n"], "r");
            "r"
        } else {
            "n"
        };
        model.quant(last, "y", 4, 0.3, seed % 3 != 0).output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn truncations() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let scale = draw.choice(&[0.125, 0.3]);
        let mut model = Model::new("x", &[1, 5]);
        model
            .quant("x", "xq", 8, scale, true)
            .floats("scale", &[], &[scale])
            .floats("zero", &[], &[draw.choice(&[0.0, 3.0, -6.0, 32.0])])
            .floats("from", &[], &[8.0])
            .floats("to", &[], &[draw.integer(3, 7) as f32]);
        let second = seed % 2 == 0;
        if second {
            model
                .floats("wide", &[], &[scale * draw.choice(&[1.0, 2.0, 8.0])])
                .node("Trunc", &["xq", "scale", "zero", "from", "wide", "to"], "y")
                .with("signed", Value::Int(draw.integer(0, 1)));
        } else {
            model.node("Trunc", &["xq", "scale", "zero", "from", "to"], "y");
        }
        model
            .with(
                "rounding_mode",
                Value::Text(draw.choice(&["FLOOR", "ROUND", "DOWN", "HALF_UP", "HALF_DOWN"])),
            )
            .output("y");
        check(&model, scale, Same, Same, seed);
    }
}
