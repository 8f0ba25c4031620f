//! The forms that operators take in the sets of ONNX, and exact moves of elements.

use super::check::{Draw, First, Same, check, check_cycles};
use super::matrix::input;
use crate::onnx::{Model, Value};

/// Three axes or two, quantized; every other one behind arithmetic per channel, which moves have to keep.
fn some_input(seed: u64, draw: &mut Draw) -> (Model, Vec<i64>) {
    let shape = if seed.is_multiple_of(3) {
        vec![1, draw.integer(2, 4), draw.integer(3, 7)]
    } else {
        vec![1, draw.integer(2, 4), draw.integer(3, 6), draw.integer(2, 5)]
    };
    let mut model = input(&shape);
    if seed.is_multiple_of(2) {
        let channels = shape[1] as usize;
        let mut spread = vec![1, channels];
        spread.resize(shape.len(), 1);
        model
            .floats(
                "k",
                &spread,
                &draw
                    .floats(channels, 3, 0.5)
                    .iter()
                    .map(|k| k + 2.0)
                    .collect::<Vec<_>>(),
            )
            .node("Mul", &["xq", "k"], "u");
    } else {
        model.node("Identity", &["xq"], "u");
    }
    image(&mut model, "u", "v", shape.len());
    (model, shape)
}

/// A pool of one tap, which says where the channels are.
fn image(model: &mut Model, from: &str, to: &str, rank: usize) {
    model
        .node("MaxPool", &[from], to)
        .with("kernel_shape", Value::Ints(&vec![1; rank - 2]));
}

#[test]
fn slices() {
    for seed in 0..48 {
        let mut draw = Draw::new(seed);
        let (mut model, shape) = some_input(seed, &mut draw);
        let rank = shape.len() as i64;
        let (mut starts, mut ends, mut axes, mut steps) = (vec![], vec![], vec![], vec![]);
        for axis in 1..rank {
            let extent = shape[axis as usize];
            if draw.integer(0, 2) == 0 && !(axes.is_empty() && axis == rank - 1) {
                continue;
            }
            let (from, to) = (draw.integer(0, extent - 1), draw.integer(0, extent - 1));
            let (low, high) = (from.min(to), from.max(to));
            let backwards = seed % 4 == 3;
            let beyond = draw.integer(0, 3) == 0;
            let (start, end) = match (backwards, beyond) {
                (false, false) => (low, high + 1),
                (false, true) => (low - extent, draw.choice(&[i64::MAX, extent + 5])),
                (true, false) => (high, low - 1 - i64::from(low == 0) * extent),
                (true, true) => (draw.choice(&[i64::MAX, extent + 2]), i64::MIN),
            };
            starts.push(start);
            ends.push(end);
            steps.push(draw.integer(1, 3) * if backwards { -1 } else { 1 });
            axes.push(if draw.integer(0, 1) == 0 {
                axis
            } else {
                axis - rank
            });
        }
        let count = axes.len();
        if seed % 4 == 0 {
            // Operator set 1: attributes, and no steps.
            model
                .node("Slice", &["v"], "s")
                .with("starts", Value::Ints(&starts))
                .with("ends", Value::Ints(&ends))
                .with("axes", Value::Ints(&axes));
        } else {
            model
                .integers("starts", &[count], &starts)
                .integers("ends", &[count], &ends)
                .integers("axes", &[count], &axes)
                .integers("steps", &[count], &steps)
                .node("Slice", &["v", "starts", "ends", "axes", "steps"], "s");
        }
        image(&mut model, "s", "y", shape.len());
        model.output("y");
        let network = check(&model, 0.125, First, First, seed);
        if seed % 4 == 1 {
            check_cycles(&network, seed);
        }
    }
}

#[test]
fn a_slice_in_front_of_the_quantizer_is_a_slice_of_the_integers() {
    let mut model = Model::new("x", &[1, 7]);
    model
        .integers("starts", &[1], &[-2])
        .integers("ends", &[1], &[i64::MIN])
        .integers("axes", &[1], &[-1])
        .integers("steps", &[1], &[-2])
        .node("Slice", &["x", "starts", "ends", "axes", "steps"], "s")
        .quant("s", "y", 6, 0.125, true)
        .output("y");
    check(&model, 0.125, Same, Same, 0);
}

#[test]
fn gathers_and_splits() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let (mut model, shape) = some_input(seed, &mut draw);
        let rank = shape.len() as i64;
        let axis = draw.integer(1, rank - 1);
        let extent = shape[axis as usize];
        let stated = if seed % 5 < 2 { axis } else { axis - rank };
        if seed % 2 == 0 {
            // One index drops the axis.
            let dims: &[usize] = [&[3][..], &[], &[2, 2]][seed as usize / 2 % 3];
            let indices: Vec<i64> = (0..dims.iter().product::<usize>())
                .map(|_| draw.integer(-extent, extent - 1))
                .collect();
            model
                .integers("indices", dims, &indices)
                .node(
                    "Gather",
                    &["v", "indices"],
                    if dims.len() == 1 { "g" } else { "y" },
                )
                .with("axis", Value::Int(stated));
            if dims.len() == 1 {
                image(&mut model, "g", "y", shape.len());
            }
            model.output("y");
            let output = if dims.len() == 1 { First } else { Same };
            check(&model, 0.125, First, output, seed);
            continue;
        }
        let first = draw.integer(1, extent - 1);
        if seed % 3 == 0 {
            model
                .integers("sizes", &[2], &[first, extent - first])
                .node("Split", &["v", "sizes"], "a");
        } else {
            model
                .node("Split", &["v"], "a")
                .with("split", Value::Ints(&[first, extent - first]));
        }
        model.with("axis", Value::Int(stated));
        let node = model.graph.node.last_mut().expect("a node");
        node.output.push("b".into());
        model
            .node("Concat", &["b", "a"], "c")
            .with("axis", Value::Int(stated));
        image(&mut model, "c", "y", shape.len());
        model.output("y");
        let network = check(&model, 0.125, First, First, seed);
        if seed % 4 == 1 {
            check_cycles(&network, seed);
        }
    }
}

#[test]
fn borders() {
    for seed in 0..64 {
        let mut draw = Draw::new(seed);
        let (mut model, shape) = some_input(seed, &mut draw);
        let rank = shape.len();
        let mode = ["constant", "constant", "edge", "reflect", "wrap"][seed as usize % 5];
        let some_axes = seed % 3 == 1;
        let mut axes: Vec<i64> = (0..rank as i64).collect();
        if some_axes {
            axes.retain(|&axis| axis > 0 && draw.integer(0, 1) == 0);
            axes.reverse();
        }
        let mut amounts = |axis: i64| match (axis, mode) {
            (0, _) => 0,
            // A border that is cut off again, and one that is wider than the axis.
            (_, "constant") => draw.integer(-1, 2),
            (_, "reflect") => draw.integer(0, 1),
            _ => draw.integer(0, 3),
        };
        let before: Vec<i64> = axes.iter().map(|&axis| amounts(axis)).collect();
        let after: Vec<i64> = axes.iter().map(|&axis| amounts(axis)).collect();
        let whole = |k: usize| shape[axes[k] as usize] + before[k] + after[k] > 0;
        let cuts = |k: usize| shape[axes[k] as usize] + before[k].min(0) + after[k].min(0) > 0;
        if !(0..axes.len()).all(|k| whole(k) && cuts(k)) {
            continue;
        }
        if axes.is_empty() {
            continue;
        }
        let pads = [before, after].concat();
        // On the unit, between units, and beyond the type.
        let border = draw.choice(&[0.0f32, 0.375, 0.3, -40.0]);
        if seed % 7 == 0 {
            model
                .node("Pad", &["v"], "p")
                .with("value", Value::Float(border))
                .with("pads", Value::Ints(&pads));
            if some_axes {
                continue;
            }
        } else {
            let named: Vec<i64> = axes
                .iter()
                .map(|&axis| if axis % 2 == 0 { axis } else { axis - rank as i64 })
                .collect();
            model
                .integers("pads", &[pads.len()], &pads)
                .floats("border", &[], &[border])
                .integers("axes", &[named.len()], &named);
            let operands = ["v", "pads", "border", "axes"];
            model.node("Pad", &operands[..if some_axes { 4 } else { 3 }], "p");
        }
        model.with("mode", Value::Text(mode));
        image(&mut model, "p", "y", rank);
        model.output("y");
        let network = check(&model, 0.125, First, First, seed);
        if seed % 4 == 1 {
            check_cycles(&network, seed);
        }
    }
}

#[test]
fn a_bipolar_image_is_padded_with_zeros() {
    let mut model = input(&[1, 2, 3, 3]);
    model
        .floats("one", &[], &[1.0])
        .node("BipolarQuant", &["xq", "one"], "b")
        .integers("pads", &[8], &[0, 0, 1, 1, 0, 0, 1, 1])
        .node("Pad", &["b", "pads"], "y")
        .output("y");
    check(&model, 0.125, Same, First, 3);
}

/// Scales that are whole, binary fractions, and ratios of sizes.
#[test]
fn resizing_to_the_nearest() {
    let transforms = [
        "half_pixel",
        "pytorch_half_pixel",
        "asymmetric",
        "align_corners",
        "tf_half_pixel_for_nn",
    ];
    let nearest = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"];
    for seed in 0..80 {
        let mut draw = Draw::new(seed);
        let (mut model, shape) = some_input(seed, &mut draw);
        let rank = shape.len();
        let old = seed % 5 == 0;
        let by_size = !old && seed % 5 == 1;
        let some_axes = !old && seed % 4 == 1;
        let first = if draw.integer(0, 3) == 0 { 1 } else { 2 };
        let axes: Vec<i64> = (first..rank as i64).collect();
        let mut scales = vec![1.0f32; rank];
        for &axis in &axes {
            scales[axis as usize] = if old {
                draw.integer(1, 4) as f32
            } else {
                draw.choice(&[1.0, 2.0, 3.0, 0.5, 2.5])
            };
            if (scales[axis as usize] * shape[axis as usize] as f32) < 1.0 {
                scales[axis as usize] = 2.0;
            }
        }
        let named = |axis: usize| !some_axes || axes.contains(&(axis as i64));
        let stated: Vec<f32> = (0..rank)
            .filter(|&axis| named(axis))
            .map(|axis| scales[axis])
            .collect();
        if by_size {
            // Whole factors, which no rounding of the ratio can change.
            let sizes: Vec<i64> = (0..rank)
                .filter(|&axis| named(axis))
                .map(|axis| {
                    shape[axis]
                        * if axes.contains(&(axis as i64)) {
                            draw.integer(1, 3)
                        } else {
                            1
                        }
                })
                .collect();
            model
                .integers("sizes", &[sizes.len()], &sizes)
                .floats("none", &[0], &[])
                .node("Resize", &["v", "none", "none", "sizes"], "r");
        } else if old {
            match seed % 3 {
                0 => model
                    .node("Upsample", &["v"], "r")
                    .with("scales", Value::Floats(&scales)),
                1 => model
                    .floats("s", &[rank], &scales)
                    .node("Upsample", &["v", "s"], "r"),
                _ => model
                    .floats("s", &[rank], &scales)
                    .node("Resize", &["v", "s"], "r"),
            };
        } else {
            model
                .floats("s", &[stated.len()], &stated)
                .node("Resize", &["v", "", "s"], "r");
        }
        if !old {
            model
                .with(
                    "coordinate_transformation_mode",
                    Value::Text(draw.choice(&transforms)),
                )
                .with("nearest_mode", Value::Text(draw.choice(&nearest)));
        }
        if some_axes {
            let axes: Vec<i64> = axes.iter().map(|&axis| axis - rank as i64).collect();
            model.with("axes", Value::Ints(&axes));
        }
        model.with("mode", Value::Text("nearest"));
        image(&mut model, "r", "y", rank);
        model.output("y");
        // An axis that keeps its extent under a scale other than 1 is not stated by all executors alike.
        let kept = (0..rank).any(|axis| {
            let to = (scales[axis] * shape[axis] as f32).floor() as i64;
            !by_size && scales[axis] != 1.0 && to == shape[axis]
        });
        if !kept {
            let network = check(&model, 0.125, First, First, seed);
            if seed % 4 == 1 {
                check_cycles(&network, seed);
            }
        }
    }
}

/// Whole factors repeat every element, whatever the usual conventions, and stay an enlargement.
#[test]
fn whole_factors_are_replication() {
    let usual = [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
        ("half_pixel_symmetric", "round_prefer_floor"),
        ("tf_half_pixel_for_nn", "floor"),
    ];
    for (transform, nearest) in usual {
        let mut model = input(&[1, 2, 3, 4]);
        model
            .floats("s", &[4], &[1.0, 1.0, 2.0, 3.0])
            .node("Resize", &["xq", "", "s"], "y")
            .with("coordinate_transformation_mode", Value::Text(transform))
            .with("nearest_mode", Value::Text(nearest))
            .output("y");
        let network = check(&model, 0.125, First, First, 0);
        let enlarged = network.nodes.iter().any(
            |node| matches!(&node.op, radstream::network::Op::Upsample { factors } if *factors == [2, 3]),
        );
        assert!(enlarged, "{transform} {nearest}");
    }
}

#[test]
fn flattening_counts_negative_axes_from_the_rank() {
    for (axis, shape) in [(-3, [1, 30, 1, 1]), (1, [1, 30, 1, 1])] {
        let mut model = input(&[1, 5, 2, 3]);
        model
            .node("Flatten", &["xq"], "y")
            .with("axis", Value::Int(axis))
            .output("y");
        let network = check(&model, 0.125, Same, Same, 0);
        assert_eq!(network.tensor(network.output).shape, shape[1..2]);
    }
    // Negative axes count from the rank of what is squeezed, and of the result of what is unsqueezed.
    let mut model = input(&[1, 5, 3]);
    model
        .integers("axes", &[2], &[-1, -4])
        .node("Unsqueeze", &["xq", "axes"], "u")
        .integers("axis", &[1], &[-1])
        .node("Squeeze", &["u", "axis"], "y")
        .output("y");
    let network = check(&model, 0.125, Same, Same, 0);
    assert_eq!(network.tensor(network.output).shape, [1, 5, 3]);
}

#[test]
fn averages_over_what_is_inside() {
    for seed in 0..48 {
        let mut draw = Draw::new(seed);
        let one = seed % 4 == 3;
        let rank = if one { 1 } else { 2 };
        let mut model = input(if one { &[1, 2, 7] } else { &[1, 2, 5, 6] });
        let window = draw.pool_window(rank);
        model
            .node("AveragePool", &["xq"], if seed % 3 == 0 { "p" } else { "y" })
            .with("count_include_pad", Value::Int(draw.integer(0, 1)))
            .with("ceil_mode", Value::Int(draw.integer(0, 1)));
        for (name, values) in &window {
            model.with(name, Value::Ints(values));
        }
        if seed % 3 == 0 {
            model.quant("p", "y", 5, draw.choice(&[0.25, 0.3]), true);
        }
        model.output("y");
        let network = check(&model, 0.125, First, First, seed);
        if seed % 4 == 1 {
            check_cycles(&network, seed);
        }
    }
}

#[test]
fn reductions() {
    for seed in 0..48 {
        let mut draw = Draw::new(seed);
        let (mut model, shape) = some_input(seed, &mut draw);
        let rank = shape.len() as i64;
        let mut axes: Vec<i64> = (1..rank).filter(|_| draw.integer(0, 1) == 0).collect();
        if axes.is_empty() {
            axes.push(rank - 1);
        }
        let axes: Vec<i64> = axes
            .iter()
            .map(|&axis| {
                if draw.integer(0, 1) == 0 {
                    axis
                } else {
                    axis - rank
                }
            })
            .collect();
        let op = ["ReduceMean", "ReduceSum", "ReduceMax"][seed as usize % 3];
        if seed % 4 < 2 {
            model.node(op, &["v"], "y").with("axes", Value::Ints(&axes));
        } else {
            model
                .integers("axes", &[axes.len()], &axes)
                .node(op, &["v", "axes"], "y");
        }
        let keep = seed % 5 != 0;
        model.with("keepdims", Value::Int(i64::from(keep))).output("y");
        // Where no axis is left the network keeps one of extent 1.
        if !keep && axes.len() as i64 == rank - 1 {
            continue;
        }
        let network = check(&model, 0.125, First, Same, seed);
        if seed % 4 == 1 {
            check_cycles(&network, seed);
        }
    }
}
