//! Constants and quantizers behind reshapes, squeezes and transpositions.

use radstream::network::{Network, Op, ParamKind};

use super::check::{Draw, First, Layout, Same, check};
use super::matrix::input;
use crate::onnx::{Model, Value};

/// A dense layer from `x` to `d` of `outputs` values, its weights scaled alike or per output.
fn dense(draw: &mut Draw, inputs: usize, outputs: usize, scaled_alike: bool) -> Model {
    let mut model = input(&[1, inputs as i64]);
    let weights = draw.reals(inputs * outputs, -1.2, 1.2);
    let scales = draw.reals(outputs, 0.1, 0.4);
    model.floats("w", &[inputs, outputs], &weights);
    if scaled_alike {
        model.quant("w", "wq", 4, scales[0], true);
    } else {
        model.quant_with("w", "wq", 4, &[1, outputs], &scales, 0, true);
    }
    model.node("MatMul", &["xq", "wq"], "d");
    model
}

/// A convolution from `x` to `d` with three channels of 4 x 2, its weights scaled alike or per output.
fn conv(draw: &mut Draw, scaled_alike: bool) -> Model {
    let mut model = input(&[1, 2, 4, 2]);
    model.floats("w", &[3, 2, 1, 1], &draw.reals(6, -1.2, 1.2));
    if scaled_alike {
        model.quant("w", "wq", 4, 0.3, true);
    } else {
        let scales = draw.reals(3, 0.1, 0.4);
        model.quant_with("w", "wq", 4, &[3, 1, 1, 1], &scales, 0, true);
    }
    model.node("Conv", &["xq", "wq"], "d");
    model
}

/// A rearrangement from `from` to `to`.
#[derive(Clone, Copy, Debug)]
enum Move {
    Shape(&'static [i64]),
    Perm(&'static [i64]),
    Out(&'static [i64]),
    In(&'static [i64]),
    Flat,
}

fn rearrange(model: &mut Model, from: &str, to: &str, by: Move) {
    let list = format!("{to}.list");
    match by {
        Move::Shape(shape) => {
            model
                .integers(&list, &[shape.len()], shape)
                .node("Reshape", &[from, &list], to)
        }
        Move::Out(axes) => model
            .integers(&list, &[axes.len()], axes)
            .node("Unsqueeze", &[from, &list], to),
        Move::In(axes) => model
            .integers(&list, &[axes.len()], axes)
            .node("Squeeze", &[from, &list], to),
        Move::Perm(perm) => model
            .node("Transpose", &[from], to)
            .with("perm", Value::Ints(perm)),
        Move::Flat => model.node("Flatten", &[from], to),
    };
}

/// What stands behind the rearrangement, from `r` to `o`, with a constant of that shape (one entry per axis, the batch
/// included).
fn arithmetic(model: &mut Model, draw: &mut Draw, kind: u64, shape: &[usize]) {
    let len: usize = shape.iter().product();
    let numbers = |draw: &mut Draw| draw.reals(len, 0.3, 2.0);
    match kind {
        0..=3 => {
            let op = ["Add", "Sub", "Mul", "Div"][kind as usize];
            let values = numbers(draw);
            let first = kind < 3 && draw.integer(0, 1) == 0;
            let operands = if first { ["k", "r"] } else { ["r", "k"] };
            model.floats("k", shape, &values).node(op, &operands, "o");
        }
        4 => {
            let scales = numbers(draw);
            model.quant_with("r", "o", 4, shape, &scales, draw.integer(-2, 2), true);
        }
        5 => {
            let scales = numbers(draw);
            model
                .floats("k", shape, &scales)
                .node("BipolarQuant", &["r", "k"], "o");
        }
        6 => {
            // A constant without its leading axes spreads alike.
            let skip = shape.iter().take_while(|&&extent| extent == 1).count();
            let values = numbers(draw);
            model
                .floats("k", &shape[skip..], &values)
                .node("Mul", &["r", "k"], "s")
                .node("Relu", &["s"], "t")
                .node("Neg", &["t"], "o");
        }
        _ => {
            // One number per place along axis 1.
            let values: Vec<Vec<f32>> = vec![
                draw.reals(shape[1], -1.0, 1.0),
                draw.reals(shape[1], -1.0, 1.0),
                draw.reals(shape[1], -1.0, 1.0),
                draw.reals(shape[1], 0.2, 2.0),
            ];
            for (name, values) in ["gamma", "beta", "mean", "var"].iter().zip(&values) {
                model.floats(name, &[shape[1]], values);
            }
            model.node("BatchNormalization", &["r", "gamma", "beta", "mean", "var"], "o");
        }
    }
}

/// Ends the model at one scale and in the file's order.
fn end(model: &mut Model, draw: &mut Draw) {
    model.quant("o", "q", 5, draw.choice(&[0.5, 0.3]), true);
    rearrange(model, "q", "y", Move::Flat);
    model.output("y");
}

/// Rearrangements of `[1, 6]`, and the shapes behind them with the axes along which constants vary.
const OF_VECTORS: [(&[Move], &[&[usize]]); 9] = [
    (&[Move::Out(&[2])], &[&[1, 6, 1]]),
    (&[Move::Out(&[1])], &[&[1, 1, 6]]),
    (&[Move::Shape(&[1, 6, 1, 1])], &[&[1, 6, 1, 1]]),
    (&[Move::Out(&[2, 3]), Move::In(&[-1])], &[&[1, 6, 1]]),
    (&[Move::Out(&[1]), Move::Perm(&[0, 2, 1])], &[&[1, 6, 1]]),
    (&[Move::Shape(&[1, 3, 2])], &[&[1, 3, 1], &[1, 1, 2], &[1, 3, 2]]),
    (
        &[Move::Shape(&[1, 2, 3]), Move::Perm(&[0, 2, 1])],
        &[&[1, 3, 1], &[1, 1, 2], &[1, 3, 2]],
    ),
    (
        &[Move::Shape(&[1, 2, 3]), Move::Perm(&[0, 2, 1]), Move::Flat],
        &[&[1, 6]],
    ),
    // No factors in common: 2 | 3 and 3 | 2.
    (
        &[Move::Shape(&[1, 2, 3]), Move::Shape(&[1, 3, 2])],
        &[&[1, 3, 1], &[1, 1, 2], &[1, 3, 2]],
    ),
];

/// Rearrangements of `[1, 3, 4, 2]`.
const OF_IMAGES: [(&[Move], &[&[usize]]); 9] = [
    (&[], &[&[1, 3, 1, 1], &[1, 1, 4, 1], &[1, 3, 1, 2], &[1, 3, 4, 2]]),
    (&[Move::Shape(&[0, 0, -1])], &[&[1, 3, 1], &[1, 1, 8], &[1, 3, 8]]),
    (&[Move::Flat], &[&[1, 24]]),
    (
        &[Move::Perm(&[0, 2, 3, 1])],
        &[&[1, 1, 1, 3], &[1, 4, 1, 1], &[1, 4, 2, 3]],
    ),
    (
        &[Move::Perm(&[0, 2, 3, 1]), Move::Shape(&[1, 8, 3])],
        &[&[1, 1, 3], &[1, 8, 1]],
    ),
    (&[Move::Out(&[2])], &[&[1, 3, 1, 1, 1], &[1, 3, 1, 4, 1]]),
    (
        &[Move::Perm(&[0, 1, 3, 2]), Move::Shape(&[1, 3, 8])],
        &[&[1, 3, 1], &[1, 1, 8]],
    ),
    (
        &[Move::Perm(&[0, 2, 1, 3]), Move::Shape(&[1, 12, 2])],
        &[&[1, 12, 1], &[1, 1, 2]],
    ),
    (&[Move::Shape(&[1, 6, 4])], &[&[1, 6, 1], &[1, 1, 4]]),
];

fn all_moves(cases: &[(&[Move], &[&[usize]])], input: Layout, build: impl Fn(&mut Draw, bool) -> Model) {
    let mut seed = 0;
    for (moves, shapes) in cases {
        for shape in *shapes {
            for kind in 0..8 {
                // Batch normalization varies along axis 1 only.
                let others = [&shape[..1], &shape[2..]].concat();
                if kind == 7 && others.iter().any(|&extent| extent != 1) {
                    continue;
                }
                seed += 1;
                let mut draw = Draw::new(seed);
                let mut model = build(&mut draw, seed % 3 == 0);
                let mut from = "d".to_owned();
                for (at, &by) in moves.iter().enumerate() {
                    let to = format!("m{at}");
                    rearrange(&mut model, &from, &to, by);
                    from = to;
                }
                model.node("Identity", &[&from], "r");
                arithmetic(&mut model, &mut draw, kind, shape);
                end(&mut model, &mut draw);
                eprintln!("{moves:?} {shape:?} {kind}");
                check(&model, 0.125, input, Same, seed);
            }
        }
    }
}

#[test]
fn arithmetic_behind_rearranged_vectors() {
    all_moves(&OF_VECTORS, Same, |draw, alike| dense(draw, 4, 6, alike));
}

#[test]
fn arithmetic_behind_rearranged_images() {
    all_moves(&OF_IMAGES, First, conv);
}

#[test]
fn thresholds_of_the_file_behind_rearrangements() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let mut model = dense(&mut draw, 4, 6, seed % 2 == 0);
        let (by, shape): (Move, &[usize]) = [
            (Move::Out(&[2]), &[1, 6, 1][..]),
            (Move::Shape(&[1, 6, 1, 1]), &[1, 6, 1, 1]),
            (Move::Shape(&[1, 3, 2]), &[1, 3, 2]),
            (Move::Out(&[1]), &[1, 1, 6]),
        ][seed as usize / 2 % 4];
        rearrange(&mut model, "d", "r", by);
        // Without a layout three axes are `NWC`.
        let channels = if shape.len() == 3 { shape[2] } else { shape[1] };
        let rows = if seed % 3 == 0 { 1 } else { channels };
        let mut thresholds = draw.reals(rows * 3, -2.0, 2.0);
        thresholds
            .chunks_mut(3)
            .for_each(|row| row.sort_by(f32::total_cmp));
        model
            .floats("t", &[rows, 3], &thresholds)
            .node("MultiThreshold", &["r", "t"], "o");
        end(&mut model, &mut draw);
        let network = check(&model, 0.125, Same, Same, seed);
        if shape.len() - shape.iter().filter(|&&extent| extent == 1).count() == 1 {
            // All three steps of each row are stored as the file has them.
            let stored = network
                .params
                .iter()
                .find(|param| param.kind == ParamKind::Threshold);
            assert_eq!(stored.unwrap().values.len() % (rows * 3), 0);
        }
    }
}

/// Layers that hold thresholds, and how many rows.
fn threshold_rows(network: &Network) -> Vec<(String, usize)> {
    let thresholds = network
        .params
        .iter()
        .filter(|param| param.kind == ParamKind::Threshold);
    thresholds
        .map(|param| (network.layer(param.layer).name.clone(), param.shape[0]))
        .collect()
}

#[test]
fn thresholds_join_their_matrix_product_behind_axes_of_extent_1() {
    // Dense -> Unsqueeze -> BatchNormalization -> Squeeze -> Quant, as PyTorch wrote BatchNorm1d.
    for seed in 0..8 {
        let mut draw = Draw::new(seed);
        let mut model = dense(&mut draw, 4, 6, seed % 2 == 0);
        rearrange(&mut model, "d", "r", Move::Out(&[2]));
        arithmetic(&mut model, &mut draw, 7, &[1, 6, 1]);
        rearrange(&mut model, "o", "s", Move::In(&[2]));
        model.quant("s", "y", 2, 0.5, false).output("y");
        let network = check(&model, 0.125, Same, Same, seed);
        assert_eq!(threshold_rows(&network), [("D".to_owned(), 6)]);
        assert!(
            !network
                .nodes
                .iter()
                .any(|node| matches!(node.op, Op::Reshape | Op::Transpose { .. }))
        );
    }
}

#[test]
fn channels_of_a_reshaped_vector_share_their_thresholds() {
    // Linear -> Unflatten -> BatchNorm2d: three channels of 2, not six features.
    let mut draw = Draw::new(3);
    let mut model = dense(&mut draw, 4, 6, true);
    rearrange(&mut model, "d", "r", Move::Shape(&[1, 3, 2, 1]));
    arithmetic(&mut model, &mut draw, 7, &[1, 3, 1, 1]);
    end(&mut model, &mut draw);
    let network = check(&model, 0.125, Same, Same, 3);
    assert_eq!(threshold_rows(&network)[0].1, 3);
}

#[test]
fn biases_behind_rearrangements_stay_stored_and_other_readers_of_the_product_exact() {
    for seed in 0..8 {
        let mut draw = Draw::new(seed);
        let mut model = dense(&mut draw, 4, 6, true);
        model.floats("b", &[6, 1], &draw.reals(6, -1.0, 1.0));
        // Half the product's step.
        let scale = model.stored("wq.scale").raw_data.clone();
        let step = f32::from_le_bytes(scale.try_into().expect("one float")) * 0.125;
        model.quant("b", "bq", 6, step * 0.5, true);
        rearrange(&mut model, "d", "r", Move::Out(&[2]));
        model.node("Add", &["r", "bq"], "a");
        rearrange(&mut model, "a", "s", Move::In(&[2]));
        let shared = seed % 2 == 1;
        if shared {
            // The sum without the bias is read as well, before or after.
            let operands = if seed % 4 == 1 { ["s", "d"] } else { ["d", "s"] };
            model.node("Add", &operands, "o");
        } else {
            model.node("Identity", &["s"], "o");
        }
        model.quant("o", "y", 6, 0.3, true).output("y");
        let network = check(&model, 0.125, Same, Same, seed);
        let biases = network
            .params
            .iter()
            .filter(|param| param.kind == ParamKind::Bias)
            .count();
        // In the accumulator, or behind it where something else reads the product.
        assert_eq!(biases, 1);
    }
}

#[test]
fn weights_with_a_scale_per_channel_are_reshaped() {
    for seed in 0..4 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 6]);
        let scales = draw.reals(4, 0.1, 0.5);
        model
            .floats("w", &[4, 6, 1, 1], &draw.reals(24, -1.2, 1.2))
            .quant_with("w", "wq", 4, &[4, 1, 1, 1], &scales, 0, true);
        match seed % 4 {
            0 => rearrange(&mut model, "wq", "v", Move::In(&[2, 3])),
            1 => rearrange(&mut model, "wq", "v", Move::Flat),
            2 => rearrange(&mut model, "wq", "v", Move::Shape(&[4, 6])),
            _ => {
                rearrange(&mut model, "wq", "u", Move::Shape(&[4, 2, 3]));
                rearrange(&mut model, "u", "v", Move::Shape(&[4, -1]));
            }
        }
        rearrange(&mut model, "v", "t", Move::Perm(&[1, 0]));
        model
            .node("MatMul", &["xq", "t"], "m")
            .quant("m", "y", 6, 0.3, true)
            .output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}
