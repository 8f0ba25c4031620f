//! Convolutions and matrix products.

use radstream::accelerator::{Accelerator, Hardware};
use radstream::network::{ParamId, ParamKind};

use super::check::{Draw, First, Same, check};
use crate::onnx::{Model, Value};

/// A quantized input `xq` of that shape with step 2^-3.
pub fn input(shape: &[i64]) -> Model {
    let mut model = Model::new("x", shape);
    model.quant("x", "xq", 6, 0.125, true);
    model
}

/// A quantized weight `wq` of that shape, one scale.
fn weight(model: &mut Model, draw: &mut Draw, shape: &[usize]) {
    let values = draw.reals(shape.iter().product(), -1.2, 1.2);
    model.floats("w", shape, &values).quant("w", "wq", 4, 0.125, true);
}

/// A quantized bias `bq`.
fn bias(model: &mut Model, draw: &mut Draw, len: usize, scale: f32) {
    let values = draw.reals(len, -3.0, 3.0);
    model
        .floats("b", &[len], &values)
        .quant("b", "bq", 7, scale, true);
}

#[test]
fn convolutions_in_two_dimensions() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let groups = draw.choice(&[1, 2, 4]);
        let (inputs, outputs) = (4usize, groups * draw.integer(1, 2) as usize);
        let kernel = [draw.integer(1, 3), draw.integer(1, 3)];
        let mut model = input(&[1, inputs as i64, 7, 6]);
        let shape = [outputs, inputs / groups, kernel[0] as usize, kernel[1] as usize];
        weight(&mut model, &mut draw, &shape);
        bias(&mut model, &mut draw, outputs, draw_scale(seed));
        let operands = ["xq", "wq", "bq"];
        let operands = if seed % 3 == 0 { &operands[..2] } else { &operands };
        model
            .node("Conv", operands, "y")
            .with("kernel_shape", Value::Ints(&kernel))
            .with("group", Value::Int(groups as i64))
            .with("strides", Value::Ints(&[draw.integer(1, 3), draw.integer(1, 2)]))
            .with(
                "dilations",
                Value::Ints(&[draw.integer(1, 2), draw.integer(1, 2)]),
            );
        if seed % 2 == 0 {
            let pads: Vec<i64> = (0..4).map(|_| draw.integer(0, 2)).collect();
            model.with("pads", Value::Ints(&pads));
        } else {
            model.with(
                "auto_pad",
                Value::Text(draw.choice(&["SAME_UPPER", "SAME_LOWER", "VALID"])),
            );
        }
        model.output("y");
        check(&model, 0.125, First, First, seed);
    }
}

/// The bias on the product's step, on coarser and on finer ones.
fn draw_scale(seed: u64) -> f32 {
    [0.015_625, 0.25, 0.001_953_125][seed as usize % 3]
}

#[test]
fn convolutions_in_one_dimension() {
    for seed in 0..12 {
        let mut draw = Draw::new(100 + seed);
        let groups = draw.choice(&[1, 3]);
        let mut model = input(&[1, 3, 11]);
        weight(&mut model, &mut draw, &[6, 3 / groups, 3]);
        bias(&mut model, &mut draw, 6, draw_scale(seed));
        model
            .node("Conv", &["xq", "wq", "bq"], "y")
            .with("kernel_shape", Value::Ints(&[3]))
            .with("group", Value::Int(groups as i64))
            .with("strides", Value::Ints(&[draw.integer(1, 3)]))
            .with("dilations", Value::Ints(&[draw.integer(1, 3)]))
            .with("pads", Value::Ints(&[draw.integer(0, 2), draw.integer(0, 2)]))
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn transposed_convolutions() {
    for seed in 0..24 {
        let mut draw = Draw::new(200 + seed);
        let groups = draw.choice(&[1, 2]);
        let per_group = draw.integer(1, 3) as usize;
        let one = seed % 4 == 3;
        let rank = if one { 1 } else { 2 };
        let kernel: Vec<i64> = (0..rank).map(|_| draw.integer(1, 3)).collect();
        let mut model = input(if one { &[1, 4, 5] } else { &[1, 4, 4, 3] });
        let mut shape = vec![4, per_group];
        shape.extend(kernel.iter().map(|&k| k as usize));
        weight(&mut model, &mut draw, &shape);
        bias(&mut model, &mut draw, per_group * groups, draw_scale(seed));
        let strides: Vec<i64> = (0..rank).map(|_| draw.integer(1, 3)).collect();
        let extra: Vec<i64> = strides.iter().map(|&s| draw.integer(0, s - 1)).collect();
        let dilations: Vec<i64> = (0..rank).map(|_| draw.integer(1, 2)).collect();
        let pads: Vec<i64> = (0..2 * rank).map(|_| draw.integer(0, 1)).collect();
        model
            .node("ConvTranspose", &["xq", "wq", "bq"], "y")
            .with("kernel_shape", Value::Ints(&kernel))
            .with("group", Value::Int(groups as i64))
            .with("strides", Value::Ints(&strides))
            .with("output_padding", Value::Ints(&extra))
            .with("dilations", Value::Ints(&dilations))
            .with("pads", Value::Ints(&pads))
            .output("y");
        check(&model, 0.125, First, First, seed);
    }
}

#[test]
fn gemm_with_factors_and_transposed_weights() {
    for seed in 0..12 {
        let mut draw = Draw::new(300 + seed);
        let turned = seed % 2 == 0;
        let mut model = input(&[1, 5]);
        weight(&mut model, &mut draw, if turned { &[3, 5] } else { &[5, 3] });
        bias(&mut model, &mut draw, 3, 0.25);
        model
            .node("Gemm", &["xq", "wq", "bq"], "g")
            .with("transB", Value::Int(i64::from(turned)))
            .with("alpha", Value::Float(draw.choice(&[1.0, 0.5, 3.0])))
            .with("beta", Value::Float(draw.choice(&[1.0, 2.0, 0.75])));
        if seed % 3 == 0 {
            model.output("g");
        } else {
            model.quant("g", "y", 5, 0.5, true).output("y");
        }
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn products_of_matrices_by_matrices() {
    for seed in 0..6 {
        let mut draw = Draw::new(400 + seed);
        let mut model = input(&[1, 3, 5]);
        weight(&mut model, &mut draw, &[5, 4]);
        model
            .node("MatMul", &["xq", "wq"], "m")
            .floats("b", &[4], &draw.floats(4, 9, 0.25))
            .quant("b", "bq", 6, 0.25, true)
            .node("Add", &["m", "bq"], "a")
            .node("Relu", &["a"], "r")
            .quant("r", "y", 5, 0.25, false)
            .output("y");
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn weights_with_one_scale_per_channel() {
    for seed in 0..16 {
        let mut draw = Draw::new(500 + seed);
        let conv = seed % 2 == 0;
        let scales = if seed % 4 < 2 {
            draw.reals(4, 0.05, 0.3)
        } else {
            vec![0.5, 0.125, 0.25, 0.5]
        };
        let mut model = input(if conv { &[1, 2, 5, 5] } else { &[1, 6] });
        if conv {
            model
                .floats("w", &[4, 2, 3, 3], &draw.reals(72, -1.2, 1.2))
                .quant_with("w", "wq", 4, &[4, 1, 1, 1], &scales, 0, true)
                .node("Conv", &["xq", "wq"], "c")
                .with("kernel_shape", Value::Ints(&[3, 3]))
                .floats("b", &[1, 4, 1, 1], &draw.reals(4, -1.0, 1.0));
        } else {
            model
                .floats("w", &[6, 4], &draw.reals(24, -1.2, 1.2))
                .quant_with("w", "wq", 4, &[1, 4], &scales, 0, true)
                .node("MatMul", &["xq", "wq"], "c")
                .floats("b", &[4], &draw.reals(4, -1.0, 1.0));
        }
        model
            .node("Add", &["c", "b"], "a")
            .node("Relu", &["a"], "r")
            .quant("r", "y", 4, draw.choice(&[0.25, 0.3, 0.11]), false)
            .output("y");
        let layout = if conv { First } else { Same };
        check(&model, 0.125, layout, layout, seed);
    }
}

#[test]
fn bipolar_products_count_matching_bits() {
    for seed in 0..8 {
        let mut draw = Draw::new(600 + seed);
        let mut model = input(&[1, 9]);
        model
            .floats("s", &[], &[draw.choice(&[1.0, 0.5])])
            .node("BipolarQuant", &["xq", "s"], "xb")
            .floats("w", &[9, 4], &draw.reals(36, -1.0, 1.0))
            .floats("ws", &[], &[draw.choice(&[1.0, 0.3])])
            .node("BipolarQuant", &["w", "ws"], "wb")
            .node("MatMul", &["xb", "wb"], "m");
        if seed % 2 == 0 {
            model.node("BipolarQuant", &["m", "s"], "y").output("y");
        } else {
            model.quant("m", "y", 3, 0.7, true).output("y");
        }
        check(&model, 0.125, Same, Same, seed);
    }
}

#[test]
fn whole_weights_need_no_quantizer() {
    for seed in 0..4 {
        let mut draw = Draw::new(700 + seed);
        let mut model = Model::new("x", &[1, 6]);
        model
            .floats("w", &[6, 3], &draw.floats(18, 7, 1.0))
            .node("MatMul", &["x", "w"], "y")
            .output("y");
        check(&model, 1.0, Same, Same, seed);
    }
}

/// The integers of a constant behind a `Quant` node of four bits and a zero point, before it is taken off.
fn codes(values: &[f32], scale: f32, zero: i64, signed: bool) -> Vec<i64> {
    let (low, high) = if signed { (-8, 7) } else { (0, 15) };
    let nearest = |value: &f32| libm::rint(f64::from(*value) / f64::from(scale)) as i64 + zero;
    values
        .iter()
        .map(|value| nearest(value).clamp(low, high))
        .collect()
}

#[test]
fn weights_with_a_zero_point_store_the_quantizers_own_bits() {
    for seed in 0..16 {
        let mut draw = Draw::new(700 + seed);
        let (zero, signed) = draw.choice(&[
            (8, false),
            (3, false),
            (0, false),
            (-2, true),
            (5, true),
            (-20, false),
        ]);
        let scale = draw.choice(&[0.125, 0.3]);
        let weights = draw.reals(18, -1.2, 1.2);
        let image = seed % 2 == 0;
        let mut model = input(if image { &[1, 2, 4, 4] } else { &[1, 6] });
        if image {
            model
                .floats("w", &[1, 2, 3, 3], &weights)
                .quant_with("w", "wq", 4, &[], &[scale], zero, signed)
                .node("Conv", &["xq", "wq"], "m")
                .with("pads", Value::Ints(&[1, 1, 1, 1]));
        } else {
            model
                .floats("w", &[6, 3], &weights)
                .quant_with("w", "wq", 4, &[], &[scale], zero, signed)
                .node("MatMul", &["xq", "wq"], "m");
        }
        model.quant("m", "y", 7, 0.3, true).output("y");
        let layout = if image { First } else { Same };
        let network = check(&model, 0.125, layout, layout, seed);

        let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
        let weight = network
            .params
            .iter()
            .position(|param| param.kind == ParamKind::Weight)
            .expect("a weight");
        let id = ParamId::from(weight);
        assert_eq!(accelerator.stored_width(id), Some(4));
        let mut expected: Vec<u64> = codes(&weights, scale, zero, signed)
            .iter()
            .map(|&q| q as u64 & 15)
            .collect();
        let stored = |mantissa: &i64| accelerator.stored_bits(id, *mantissa).expect("stored");
        let mut found: Vec<u64> = network.param(id).values.iter().map(stored).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        // A flipped bit moves the integer, not what the zero point made of it.
        for (element, &mantissa) in (0..).zip(&network.param(id).values) {
            for bit in 0..4 {
                let step = if signed && bit == 3 { -8 } else { 1 << bit };
                let set = stored(&mantissa) >> bit & 1 == 1;
                let flipped = accelerator.flipped_value(id, element, 1 << bit);
                assert_eq!(flipped, Some(mantissa + if set { -step } else { step }));
            }
        }
    }
}
