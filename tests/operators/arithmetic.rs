//! Arithmetic between streams and constants.

use super::check::{Draw, First, Same, check};
use super::matrix::input;
use crate::onnx::{Model, Value};

/// Two integer streams `a` and `b` from one input, with steps `scales`.
fn branches(shape: &[i64], scales: [f32; 2]) -> Model {
    let mut model = input(shape);
    model
        .quant("xq", "a", 5, scales[0], true)
        .node("Relu", &["xq"], "r")
        .quant("r", "b", 4, scales[1], false);
    model
}

#[test]
fn sums_differences_and_products_of_streams() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let scales = draw.choice(&[[0.5, 0.5], [0.25, 0.5], [0.5, 0.125], [0.3, 0.6], [0.75, 0.5]]);
        let op = ["Add", "Sub", "Mul"][seed as usize % 3];
        let image = seed % 2 == 0;
        let mut model = branches(if image { &[1, 2, 3, 3] } else { &[1, 4] }, scales);
        let operands = if seed % 4 < 2 { ["a", "b"] } else { ["b", "a"] };
        model.node(op, &operands, "s");
        if seed % 5 == 0 {
            model.output("s");
        } else {
            model
                .quant("s", "y", 5, draw.choice(&[0.5, 0.3]), true)
                .output("y");
        }
        // Element by element, an image stays in the file's order.
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn residual_blocks() {
    for seed in 0..8 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 3, 5, 5]);
        model
            .floats("w", &[3, 3, 3, 3], &draw.reals(81, -0.6, 0.6))
            .quant("w", "wq", 4, 0.125, true)
            .node("Conv", &["xq", "wq"], "c")
            .with("pads", Value::Ints(&[1, 1, 1, 1]))
            .quant("c", "cq", 6, draw.choice(&[0.25, 0.0625, 0.3]), true)
            .quant("xq", "s", 5, draw.choice(&[0.25, 0.5, 0.15]), true)
            .node("Add", &["cq", "s"], "a")
            .node("Relu", &["a"], "r")
            .quant("r", "y", 5, 0.25, false)
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn constants_added_multiplied_and_divided() {
    for seed in 0..48 {
        let mut draw = Draw::new(seed);
        let image = seed % 2 == 0;
        let mut model = input(if image { &[1, 3, 3, 2] } else { &[1, 3] });
        if image {
            // So that channels are known.
            model
                .floats("w", &[3, 3, 1, 1], &draw.floats(9, 3, 1.0))
                .quant("w", "wq", 3, 1.0, true)
                .node("Conv", &["xq", "wq"], "c");
        } else {
            model.node("Identity", &["xq"], "c");
        }
        let per_channel = seed % 3 != 0;
        let shape: &[usize] = match (per_channel, image) {
            (false, _) => &[],
            (true, true) => &[1, 3, 1, 1],
            (true, false) => &[3],
        };
        let values = draw.reals(if per_channel { 3 } else { 1 }, 0.2, 2.0);
        model.floats("k", shape, &values);
        let operands = if seed % 8 < 4 { ["c", "k"] } else { ["k", "c"] };
        let op = match draw.choice(&["Add", "Sub", "Mul", "Div"]) {
            "Div" if operands[0] == "k" => "Sub",
            op => op,
        };
        model.node(op, &operands, "m");
        if draw.integer(0, 1) == 0 {
            model.node("Neg", &["m"], "n");
        } else {
            model.node("Identity", &["m"], "n");
        }
        model
            .quant("n", "y", 5, draw.choice(&[0.5, 0.3]), true)
            .output("y");
        let layout = if image { First } else { Same };
        check(&model, 0.125, layout, layout, seed);
    }
}

#[test]
fn constants_that_need_no_quantizer_behind_them() {
    for seed in 0..16 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 4]);
        let values = draw.floats(4, 12, draw_step(seed));
        model.floats("k", &[4], &values);
        let op = ["Add", "Sub", "Mul"][seed as usize % 3];
        model.node(op, &["xq", "k"], "y").output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

fn draw_step(seed: u64) -> f32 {
    [0.25, 1.5, 0.03125, 0.125][seed as usize % 4]
}

#[test]
fn constants_are_folded_with_spreading() {
    for seed in 0..8 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 4]);
        let op = ["Add", "Sub", "Mul", "Div"][seed as usize % 4];
        model
            .floats("a", &[4, 1], &draw.floats(4, 6, 1.0))
            .floats("b", &[1, 3], &[1.0, 2.0, 4.0])
            .node(op, &["a", "b"], "w")
            .quant("w", "wq", 5, 0.25, true)
            .node("MatMul", &["xq", "wq"], "y")
            .output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn concatenations_of_different_scales() {
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let scales = draw.choice(&[[0.5, 0.5], [0.25, 0.5], [0.3, 0.6], [0.75, 0.5], [0.5, 0.0625]]);
        let shape: &[i64] = if seed % 2 == 0 { &[1, 2, 3, 3] } else { &[1, 4] };
        let mut model = branches(shape, scales);
        let axis = if seed % 4 == 0 { -1 } else { 1 };
        model
            .node("Concat", &["a", "b", "a"], "y")
            .with("axis", Value::Int(axis))
            .output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn concatenations_before_a_convolution() {
    for seed in 0..6 {
        let mut draw = Draw::new(seed);
        let mut model = branches(&[1, 2, 4, 4], draw.choice(&[[0.25, 0.5], [0.3, 0.6], [0.5, 0.5]]));
        model
            .node("Concat", &["a", "b"], "c")
            .with("axis", Value::Int(1))
            .floats("w", &[3, 4, 2, 2], &draw.reals(48, -1.0, 1.0))
            .quant("w", "wq", 4, 0.125, true)
            .node("Conv", &["c", "wq"], "y")
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}
