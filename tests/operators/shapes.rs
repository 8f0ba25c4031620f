//! Pools, paddings, rearrangements, enlargements and selections.

use super::check::{Draw, First, Same, check};
use super::matrix::input;
use crate::onnx::{Model, Value};

#[test]
fn maxima() {
    for seed in 0..16 {
        let mut draw = Draw::new(seed);
        let one = seed % 4 == 3;
        let rank = if one { 1 } else { 2 };
        let mut model = input(if one { &[1, 2, 9] } else { &[1, 2, 7, 6] });
        let window = draw.pool_window(rank);
        model
            .node("MaxPool", &["xq"], "y")
            .with("ceil_mode", Value::Int(draw.integer(0, 1)));
        for (name, values) in &window {
            model.with(name, Value::Ints(values));
        }
        model.output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn averages_with_quantizers_and_truncations_behind_them() {
    for seed in 0..32 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 3, 6, 5]);
        let kernel = [draw.integer(1, 3), draw.integer(2, 3)];
        let count = if seed % 4 == 0 {
            model.node("GlobalAveragePool", &["xq"], "p");
            30
        } else {
            model
                .node("AveragePool", &["xq"], "p")
                .with("kernel_shape", Value::Ints(&kernel))
                .with("strides", Value::Ints(&[draw.integer(1, 2), draw.integer(1, 3)]));
            if seed % 4 == 1 {
                model
                    .with("pads", Value::Ints(&[0, 1, 0, 1]))
                    .with("count_include_pad", Value::Int(1));
            }
            kernel[0] * kernel[1]
        };
        match seed % 3 {
            0 => {
                model.output("p");
            }
            1 => {
                model
                    .quant("p", "y", 5, draw.choice(&[0.25, 0.3]), true)
                    .output("y");
            }
            _ => {
                // As Brevitas exports a truncating average: the sum again, then its low bits off.
                model
                    .floats("count", &[], &[count as f32])
                    .node("Mul", &["p", "count"], "s")
                    .floats("scale", &[], &[0.125])
                    .floats("zero", &[], &[0.0])
                    .floats("from", &[], &[11.0])
                    .floats("to", &[], &[6.0])
                    .node("Trunc", &["s", "scale", "zero", "from", "to"], "y")
                    .with("rounding_mode", Value::Text(draw.choice(&["FLOOR", "ROUND"])))
                    .output("y");
            }
        }
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn paddings() {
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let one = seed % 3 == 0;
        let mut model = input(if one { &[1, 2, 4] } else { &[1, 2, 4, 3] });
        let mut p = || draw.integer(0, 2);
        let pads = if one {
            vec![0, 0, p(), 0, 0, p()]
        } else {
            vec![0, 0, p(), p(), 0, 0, p(), p()]
        };
        let border = draw.choice(&[0.0, 1.5, -2.125]);
        let mut weight = vec![2, 2];
        weight.extend(if one { vec![1] } else { vec![1, 1] });
        model
            .integers("pads", &[pads.len()], &pads)
            .floats("border", &[], &[border])
            .node("Pad", &["xq", "pads", "border"], "p")
            .floats("w", &weight, &draw.floats(4, 3, 1.0))
            .quant("w", "wq", 3, 1.0, true)
            .node("Conv", &["p", "wq"], "y")
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}

/// A convolution of three channels, so that the stream's own layout is channels last; then `body`
/// from `c` to `y`.
fn after_conv(seed: u64, per_channel: bool, body: impl FnOnce(&mut Model)) -> Model {
    let mut draw = Draw::new(seed);
    let mut model = input(&[1, 2, 4, 3]);
    model
        .floats("w", &[3, 2, 1, 1], &draw.floats(6, 7, 0.125))
        .quant("w", "wq", 4, 0.125, true)
        .node("Conv", &["xq", "wq"], if per_channel { "u" } else { "c" });
    if per_channel {
        // Arithmetic per channel that the rearrangement must not lose.
        model
            .floats("k", &[1, 3, 1, 1], &[0.5, 1.0, -0.25])
            .node("Mul", &["u", "k"], "c");
    }
    body(&mut model);
    model.output("y");
    model
}

#[test]
fn rearrangements_of_images() {
    type Body = fn(&mut Model);
    let bodies: [Body; 9] = [
        |model| {
            model.node("Flatten", &["c"], "y");
        },
        |model| {
            model
                .integers("shape", &[2], &[1, -1])
                .node("Reshape", &["c", "shape"], "y");
        },
        |model| {
            model
                .integers("shape", &[3], &[0, 6, 6])
                .node("Reshape", &["c", "shape"], "y");
        },
        |model| {
            model
                .node("Transpose", &["c"], "t")
                .with("perm", Value::Ints(&[0, 2, 3, 1]))
                .node("Flatten", &["t"], "y");
        },
        |model| {
            model
                .node("Transpose", &["c"], "t")
                .with("perm", Value::Ints(&[0, 3, 1, 2]))
                .integers("shape", &[3], &[1, 9, 4])
                .node("Reshape", &["t", "shape"], "y");
        },
        |model| {
            model
                .node("Transpose", &["c"], "y")
                .with("perm", Value::Ints(&[0, 2, 3, 1]));
        },
        |model| {
            model
                .node("Flatten", &["c"], "f")
                .integers("axes", &[1], &[1])
                .node("Unsqueeze", &["f", "axes"], "u1")
                .integers("shape", &[4], &[1, 3, 4, 3])
                .node("Reshape", &["u1", "shape"], "r")
                .node("Flatten", &["r"], "y");
        },
        |model| {
            model
                .node("Flatten", &["c"], "f")
                .integers("axes", &[2], &[-1, 1])
                .node("Unsqueeze", &["f", "axes"], "u1")
                .node("Squeeze", &["u1", "axes"], "y");
        },
        |model| {
            model
                .node("Flatten", &["c"], "f")
                .floats("v", &[36, 4], &Draw::new(3).floats(144, 7, 0.25))
                .quant("v", "vq", 4, 0.25, true)
                .node("MatMul", &["f", "vq"], "y");
        },
    ];
    for (seed, body) in (0..).zip(bodies) {
        for per_channel in [false, true] {
            let model = after_conv(seed, per_channel, body);
            check(&model, 0.125, First, Same, seed);
        }
    }
}

#[test]
fn weights_are_rearranged_too() {
    let mut draw = Draw::new(1);
    let mut model = input(&[1, 6]);
    model
        .floats("w", &[4, 6], &draw.reals(24, -1.0, 1.0))
        .quant_with("w", "wq", 4, &[4, 1], &[0.5, 0.25, 0.125, 0.5], 0, true)
        .node("Transpose", &["wq"], "wt")
        .with("perm", Value::Ints(&[1, 0]))
        .node("MatMul", &["xq", "wt"], "m")
        .quant("m", "y", 6, 0.3, true)
        .output("y");
    check(&model, 0.125, Same, Same, 1);
    let mut model = input(&[1, 6]);
    model
        .floats("w", &[24], &draw.reals(24, -1.0, 1.0))
        .quant("w", "wq", 4, 0.125, true)
        .integers("shape", &[2], &[6, -1])
        .node("Reshape", &["wq", "shape"], "wt")
        .node("MatMul", &["xq", "wt"], "y")
        .output("y");
    check(&model, 0.125, Same, Same, 2);
}

#[test]
fn enlargements() {
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let factors = [1, 1, draw.integer(1, 4), draw.integer(1, 3)];
        let scales = factors.map(|factor| factor as f32);
        let mut model = input(&[1, 2, 3, 4]);
        match seed % 4 {
            0 => {
                model
                    .floats("scales", &[4], &scales)
                    .node("Upsample", &["xq", "scales"], "y");
            }
            1 => {
                model
                    .floats("scales", &[4], &scales)
                    .node("Resize", &["xq", "", "scales"], "y")
                    .with("coordinate_transformation_mode", Value::Text("asymmetric"))
                    .with("nearest_mode", Value::Text("floor"));
            }
            2 => {
                let sizes = [1, 2, 3 * factors[2], 4 * factors[3]];
                model
                    .integers("sizes", &[4], &sizes)
                    .node("Resize", &["xq", "", "", "sizes"], "y")
                    .with("coordinate_transformation_mode", Value::Text("asymmetric"))
                    .with("nearest_mode", Value::Text("floor"));
            }
            _ => {
                model
                    .floats("scales", &[4], &scales)
                    .node("Resize", &["xq", "", "scales"], "y")
                    .with("coordinate_transformation_mode", Value::Text("half_pixel"))
                    .with("nearest_mode", Value::Text("round_prefer_floor"));
            }
        }
        model.with("mode", Value::Text("nearest")).output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn selections() {
    for seed in 0..10 {
        let mut draw = Draw::new(seed);
        let mut model = Model::new("x", &[1, 7]);
        // Few levels, so that ties occur.
        model.quant("x", "xq", if seed % 2 == 0 { 2 } else { 8 }, 0.3, true);
        if seed % 3 == 0 {
            model
                .integers("k", &[1], &[draw.integer(1, 7)])
                .node("TopK", &["xq", "k"], "values");
            let node = model.graph.node.last_mut().expect("a node");
            node.output.push("y".into());
        } else {
            model
                .node("ArgMax", &["xq"], "y")
                .with("axis", Value::Int(1))
                .with("select_last_index", Value::Int(draw.integer(0, 1)));
        }
        model.output("y");
        check(&model, 0.3, Same, Same, seed);
    }
}
