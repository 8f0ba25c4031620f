//! Constants are quantized as single precision quantizes them.

use num_rational::BigRational;
use num_traits::ToPrimitive;
use radstream::network::{Network, NoteKind, ParamKind};

use super::check::{Draw, ROUNDINGS, import};
use super::single;
use super::tensor::{exact, whole};
use crate::onnx::{Model, Value};
use radstream::network::import::onnx::proto::TensorProto;

/// The one weight of a network, `[out][in]`, as `[in][out]`.
fn weights(network: &Network, inputs: usize) -> Vec<i64> {
    let param = network
        .params
        .iter()
        .find(|param| param.kind == ParamKind::Weight);
    let values = &param.expect("a weight").values;
    let outputs = values.len() / inputs;
    (0..values.len())
        .map(|index| values[index % outputs * inputs + index / outputs])
        .collect()
}

/// Rounding of the exact quotient to nearest, ties to even, and clipping.
fn exactly(x: f32, scale: f32, bits: u32) -> i64 {
    let quotient = exact(f64::from(x)) / exact(f64::from(scale));
    let half = BigRational::new(1.into(), 2.into());
    let floor = quotient.floor();
    let above = &quotient - &floor;
    let odd = floor.to_integer().bit(0);
    let up = above > half || (above == half && odd);
    let nearest = floor + whole(i64::from(up));
    let high = (1i64 << (bits - 1)) - 1;
    nearest
        .to_integer()
        .to_i64()
        .unwrap_or(i64::MAX)
        .clamp(-high - 1, high)
}

#[test]
fn weights_are_what_single_precision_stores() {
    let (mut noted, mut moved_in_all) = (0, 0);
    for seed in 0..400 {
        let mut draw = Draw::new(seed);
        let bits = draw.integer(2, 32) as u32;
        let signed = draw.choice(&[true, false]);
        let narrow = draw.choice(&[true, false]);
        let mode = draw.choice(&ROUNDINGS);
        let scale = draw.reals(1, 0.01, 1.5)[0] * draw.choice(&[1.0, 1e-3, 64.0]);
        let reach = 2f32.powi(bits as i32 - draw.integer(0, 2) as i32);
        let mut values = Vec::new();
        for k in 0..60 {
            // Near ties, on them, and anywhere, also beyond the type.
            let level = draw.reals(1, -reach, reach)[0];
            let tie = (level.floor() + 0.5) * scale;
            values.push(match k % 4 {
                0 => tie,
                1 => f32::from_bits(tie.to_bits() + 1),
                2 => f32::from_bits(tie.to_bits() - 1),
                _ => level * scale,
            });
        }
        let mut model = Model::new("x", &[1, 4]);
        model
            .quant("x", "xq", 2, 0.5, true)
            .floats("w", &[4, 15], &values)
            .quant("w", "wq", i64::from(bits), scale, signed);
        for attribute in &mut model.graph.node.last_mut().unwrap().attribute {
            match attribute.name.as_str() {
                "rounding_mode" => attribute.s = mode.as_bytes().to_vec(),
                "narrow" => attribute.i = i64::from(narrow),
                _ => {}
            }
        }
        model.node("MatMul", &["xq", "wq"], "y").output("y");
        let network = import(&model);
        let expected: Vec<i64> = values
            .iter()
            .map(|&x| single::integer(x, scale, 0.0, bits, (signed, narrow), mode))
            .collect();
        assert_eq!(
            weights(&network, 4),
            expected,
            "{seed}: {bits} bits, {mode}, scale {scale}"
        );
        if mode == "ROUND" && signed && !narrow {
            let moved = values.iter().zip(&expected);
            let moved = moved
                .filter(|&(&x, &found)| exactly(x, scale, bits) != found)
                .count();
            let note = network
                .notes
                .iter()
                .find(|note| note.kind == NoteKind::SinglePrecision);
            assert_eq!(note.is_some(), moved > 0, "{seed}");
            if let Some(note) = note {
                assert_eq!(note.place, "w");
                assert!(
                    note.text.starts_with(&format!("{moved} of 60 values")),
                    "{}",
                    note.text
                );
                noted += 1;
            }
            moved_in_all += moved;
        }
    }
    assert!(noted > 0 && moved_in_all > 0, "no case tells the two apart");
}

/// A quotient that is a tie in single precision only.
const TIE: (f32, f32) = (0.206_496_18, 0.082_598_47);

fn tie(element_type: i32) -> i64 {
    let mut model = Model::new("x", &[1, 1]);
    model
        .quant("x", "xq", 2, 0.5, true)
        .quant("w", "wq", 4, TIE.1, true);
    let (value, raw_data) = match element_type {
        1 => (TIE.0, TIE.0.to_le_bytes().to_vec()),
        _ => (TIE.0, f64::from(TIE.0).to_le_bytes().to_vec()),
    };
    assert_eq!(value / TIE.1, 2.5);
    model.graph.initializer.push(TensorProto {
        name: "w".into(),
        data_type: element_type,
        dims: vec![1, 1],
        raw_data,
        ..TensorProto::default()
    });
    model.node("MatMul", &["xq", "wq"], "y").output("y");
    weights(&import(&model), 1)[0]
}

#[test]
fn precision_is_that_of_the_constants() {
    assert_eq!(tie(1), 2, "single");
    assert_eq!(tie(11), 3, "double: 2.500000045 is above the tie");
}

#[test]
fn truncated_weights() {
    for second in [false, true] {
        for mode in ["FLOOR", "ROUND", "DOWN", "HALF_UP", "HALF_DOWN"] {
            let scale = 0.3f32;
            let values: Vec<f32> = (-40..40).map(|k| k as f32 * scale).collect();
            let mut model = Model::new("x", &[1, 4]);
            model
                .quant("x", "xq", 2, 0.5, true)
                .floats("w", &[4, 20], &values)
                .floats("scale", &[], &[scale])
                .floats("zero", &[], &[0.0])
                .floats("from", &[], &[7.0])
                .floats("to", &[], &[5.0])
                .floats("wide", &[], &[scale * 4.0]);
            if second {
                model.node("Trunc", &["w", "scale", "zero", "from", "wide", "to"], "wq");
            } else {
                model.node("Trunc", &["w", "scale", "zero", "from", "to"], "wq");
            }
            model.with("rounding_mode", Value::Text(mode));
            model.node("MatMul", &["xq", "wq"], "y").output("y");
            let expected: Vec<i64> = values
                .iter()
                .map(|&x| single::rounded(mode, (x / scale).round_ties_even() / 4.0) as i64)
                .collect();
            let network = import(&model);
            assert_eq!(weights(&network, 4), expected, "{mode}");
            assert_eq!(network.params[0].encoding.width(), 5);
        }
    }
}
