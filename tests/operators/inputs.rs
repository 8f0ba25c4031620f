//! What stands between the network's input and its first integers.

use radstream::network::import::ImportOptions;
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;
use radstream::network::{InputRule, Network, NoteKind, ParamKind};
use radstream::simulate::functional::{Parameters, evaluate};

use super::check::{Draw, First, Layout, Same, compare};
use super::reference;
use super::tensor::{Tensor, exact};
use crate::onnx::{Model, Value};

fn import(model: &Model, input_type: Option<&str>) -> Network {
    let graph = OnnxGraph::parse(std::path::Path::new("test.onnx"), &model.bytes()).expect("a graph");
    let options = ImportOptions {
        input_type: input_type.map(|text| text.parse().expect("a type")),
        ..ImportOptions::default()
    };
    qonnx::import_with(&graph, &options)
        .unwrap_or_else(|error| panic!("{error}; {}; {}", error.expected, error.repair))
}

/// Compares a network on real samples, drawn by `sample`, with the file's own operators in exact rationals.
pub fn check_real(
    model: &Model,
    input_type: Option<&str>,
    (input, output): (Layout, Layout),
    seed: u64,
    sample: impl Fn(&mut Draw) -> f64,
) -> Network {
    let network = import(model, input_type);
    let parameters = Parameters::of(&network);
    let mut draw = Draw::new(seed ^ 0xface);
    let tensor = network.tensor(network.input);
    let mut batched = vec![1];
    batched.extend(&tensor.shape);
    for _ in 0..8 {
        let reals: Vec<f64> = (0..tensor.len()).map(|_| sample(&mut draw)).collect();
        let mantissas = network.quantize_inputs(&reals).expect("mantissas");
        let given = Tensor {
            shape: batched.clone(),
            values: reals.iter().map(|&value| exact(value)).collect(),
        };
        let given = if input == First {
            given.channels_first()
        } else {
            given
        };
        let expected = reference::evaluate(&model.graph, &given);
        let expected = if output == First {
            expected.channels_last()
        } else {
            expected
        };
        let trace = evaluate(&network, &parameters, &mantissas);
        compare(&network, trace.tensor(network.output), &expected);
    }
    network
}

/// Floats, half of them small multiples of an eighth, where ties are.
pub fn any_real(draw: &mut Draw) -> f64 {
    if draw.integer(0, 1) == 0 {
        f64::from(draw.reals(1, -3.0, 3.0)[0])
    } else {
        draw.integer(-40, 40) as f64 / 8.0
    }
}

pub fn pixel(draw: &mut Draw) -> f64 {
    draw.integer(0, 255) as f64
}

/// A dense layer behind `q`, and its quantized result `y`.
fn dense_end(model: &mut Model, draw: &mut Draw, inputs: usize) {
    model
        .floats("w", &[inputs, 3], &draw.reals(inputs * 3, -1.2, 1.2))
        .quant("w", "wq", 4, 0.25, true)
        .node("MatMul", &["q", "wq"], "m")
        .quant("m", "y", 7, 0.3, true)
        .output("y");
}

#[test]
fn every_quantizer_on_the_real_input() {
    let mut seed = 0;
    for rounding in ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"] {
        for signed in [false, true] {
            for narrow in [0, 1] {
                for (zero, scale) in [(0, 0.5), (0, 0.3), (3, 0.5), (-2, 0.7), (1, 0.25)] {
                    seed += 1;
                    let mut draw = Draw::new(seed);
                    let mut model = Model::new("x", &[1, 4]);
                    model.quant_with("x", "q", 4, &[], &[scale], zero, signed);
                    let node = model.node_named("Q");
                    for attribute in &mut node.attribute {
                        match attribute.name.as_str() {
                            "narrow" => attribute.i = narrow,
                            "rounding_mode" => attribute.s = rounding.as_bytes().to_vec(),
                            _ => {}
                        }
                    }
                    dense_end(&mut model, &mut draw, 4);
                    check_real(&model, None, (Same, Same), seed, any_real);
                    check_real(&model, Some("fixed<8,4>"), (Same, Same), seed, |draw| {
                        draw.integer(-128, 127) as f64 / 16.0
                    });
                }
            }
        }
    }
}

#[test]
fn thresholds_signs_and_scales_per_channel_on_the_real_input() {
    for seed in 0..48 {
        let mut draw = Draw::new(seed);
        let image = seed % 2 == 0;
        let shape: &[i64] = if image { &[1, 3, 2, 2] } else { &[1, 4] };
        let channels = shape[1] as usize;
        let along: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(|(axis, _)| if axis == 1 { channels } else { 1 })
            .collect();
        let mut model = Model::new("x", shape);
        match seed / 2 % 4 {
            0 => {
                let rows = draw.choice(&[1, channels]);
                let mut thresholds: Vec<f32> = draw.floats(rows * 3, 24, 0.125);
                thresholds
                    .chunks_mut(3)
                    .for_each(|row| row.sort_by(f32::total_cmp));
                model
                    .floats("t", &[rows, 3], &thresholds)
                    .node("MultiThreshold", &["x", "t"], "q")
                    .with("out_scale", Value::Float(draw.choice(&[1.0, 2.0, 0.5])))
                    .with("out_bias", Value::Float(draw.choice(&[0.0, -1.0, 3.0])));
            }
            1 => {
                model.floats("s", &[], &[draw.choice(&[1.0, 0.5, 0.3])]).node(
                    "BipolarQuant",
                    &["x", "s"],
                    "q",
                );
            }
            2 => {
                let scales: Vec<f32> = (0..channels).map(|_| draw.integer(1, 6) as f32 * 0.25).collect();
                model.quant_with("x", "q", 4, &along, &scales, draw.integer(-3, 3), true);
            }
            _ => {
                let scales: Vec<f32> = (0..channels).map(|_| draw.integer(1, 6) as f32 * 0.25).collect();
                model
                    .floats("s", &along, &scales)
                    .node("BipolarQuant", &["x", "s"], "q");
            }
        }
        if image {
            model
                .floats("w", &[2, 3, 1, 1], &draw.reals(6, -1.2, 1.2))
                .quant("w", "wq", 4, 0.25, true)
                .node("Conv", &["q", "wq"], "m")
                .quant("m", "y", 7, 0.3, true)
                .output("y");
        } else {
            dense_end(&mut model, &mut draw, 4);
        }
        let layout = if image { First } else { Same };
        let network = check_real(&model, None, (layout, layout), seed, any_real);
        let of_file = matches!(&network.input_rule, InputRule::Preprocess(_));
        assert!(of_file && network.nodes.iter().all(|node| node.name != "Q"));
        let typed = check_real(&model, Some("fixed<8,4>"), (layout, layout), seed, |draw| {
            draw.integer(-128, 127) as f64 / 16.0
        });
        assert_eq!(typed.input_rule, InputRule::Stated);
        let thresholds = typed
            .params
            .iter()
            .filter(|param| param.kind == ParamKind::Threshold);
        // The quantizer of the input is on the chip now, beside that of the output.
        assert_eq!(thresholds.count(), 2);
    }
}

/// What stands in front of the quantizer, from `x` to `p`.
fn preprocessing(model: &mut Model, draw: &mut Draw, kind: u64, along: &[usize]) {
    let channels: usize = along.iter().product();
    let mean = draw.reals(channels, 0.2, 0.6);
    let std = draw.reals(channels, 0.1, 0.4);
    match kind {
        0 => {
            model.floats("k", &[], &[255.0]).node("Div", &["x", "k"], "p");
        }
        1 => {
            model
                .floats("k", &[], &[255.0])
                .floats("mean", along, &mean)
                .floats("std", along, &std)
                .node("Div", &["x", "k"], "p0")
                .node("Sub", &["p0", "mean"], "p1")
                .node("Div", &["p1", "std"], "p");
        }
        2 => {
            // 2x/255 - 1, as BNN-PYNQ does it.
            model
                .floats("k", &[1], &[1.0 / 255.0])
                .floats("two", &[], &[2.0])
                .floats("one", &[], &[1.0])
                .node("Mul", &["k", "x"], "p0")
                .node("Mul", &["two", "p0"], "p1")
                .node("Sub", &["p1", "one"], "p");
        }
        3 => {
            model
                .floats("k", &[], &[1.0 / 256.0])
                .floats("mean", along, &mean)
                .node("Mul", &["x", "k"], "p0")
                .node("Neg", &["p0"], "p1")
                .node("Add", &["mean", "p1"], "p2")
                .node("Sub", &["mean", "p2"], "p3")
                .node("Relu", &["p3"], "p");
        }
        _ => {
            let means: Vec<f32> = mean.iter().map(|mean| mean * 255.0).collect();
            let variances: Vec<f32> = std.iter().map(|std| std * 9000.0).collect();
            model
                .floats("gamma", &[channels], &draw.reals(channels, -1.0, 1.0))
                .floats("beta", &[channels], &mean)
                .floats("mean", &[channels], &means)
                .floats("var", &[channels], &variances)
                .node("BatchNormalization", &["x", "gamma", "beta", "mean", "var"], "p");
        }
    }
}

#[test]
fn arithmetic_in_front_of_the_first_quantizer() {
    for seed in 0..60 {
        let mut draw = Draw::new(seed);
        let image = seed % 2 == 0;
        let shape: &[i64] = if image { &[1, 3, 2, 2] } else { &[1, 4] };
        let along: &[usize] = if image { &[1, 3, 1, 1] } else { &[1, 4] };
        let mut model = Model::new("x", shape);
        preprocessing(&mut model, &mut draw, seed / 2 % 5, along);
        match seed / 10 % 3 {
            0 => model.quant("p", "q", 8, draw.choice(&[1.0 / 128.0, 0.013]), true),
            1 => model.quant_with("p", "q", 4, &[], &[0.15], 3, false),
            _ => model
                .floats("t", &[1, 3], &[-0.5, 0.25, 0.75])
                .node("MultiThreshold", &["p", "t"], "q"),
        };
        if image {
            model
                .floats("w", &[2, 3, 2, 2], &draw.reals(24, -1.2, 1.2))
                .quant("w", "wq", 4, 0.25, true)
                .node("Conv", &["q", "wq"], "m")
                .with("pads", Value::Ints(&[1, 0, 0, 1]))
                .quant("m", "y", 7, 0.3, true)
                .output("y");
        } else {
            dense_end(&mut model, &mut draw, 4);
        }
        let layout = if image { First } else { Same };
        let network = check_real(&model, None, (layout, layout), seed, pixel);
        assert!(
            network
                .notes
                .iter()
                .any(|note| note.kind == NoteKind::Preprocessing)
        );
        // Integers on the chip give the same numbers.
        let typed = check_real(&model, Some("uint8"), (layout, layout), seed, pixel);
        assert_eq!(typed.tensor(typed.input).encoding.width(), 8);
        assert!(
            !typed
                .notes
                .iter()
                .any(|note| note.kind == NoteKind::Preprocessing)
        );
    }
}

#[test]
fn constants_per_pixel_and_rearranged_inputs() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let mut model = Model::new("x", &[1, 3, 2, 2]);
        let from = if seed % 3 == 0 {
            model
                .node("Transpose", &["x"], "t")
                .with("perm", Value::Ints(&[0, 2, 3, 1]));
            model.floats("mean", &[2, 2, 3], &draw.reals(12, 60.0, 180.0));
            "t"
        } else {
            model.floats("mean", &[1, 3, 2, 2], &draw.reals(12, 60.0, 180.0));
            "x"
        };
        model
            .node("Sub", &[from, "mean"], "s")
            .node("Flatten", &["s"], "f");
        if seed % 2 == 0 {
            model
                .floats("std", &[12], &draw.reals(12, 20.0, 60.0))
                .node("Div", &["f", "std"], "p");
        } else {
            model.floats("std", &[], &[64.0]).node("Div", &["f", "std"], "p");
        }
        match seed % 4 {
            0 | 1 => model.quant("p", "q", 6, 0.0625, true),
            2 => {
                let scales: Vec<f32> = (0..12).map(|_| draw.integer(1, 4) as f32 * 0.125).collect();
                model.quant_with("p", "q", 4, &[1, 12], &scales, 1, true)
            }
            _ => model
                .floats("one", &[], &[1.0])
                .node("BipolarQuant", &["p", "one"], "q"),
        };
        dense_end(&mut model, &mut draw, 12);
        // The file's own order: the samples are given as the tensor has them.
        for stated in [None, Some("uint8")] {
            let network = import(&model, stated);
            let first = network.tensor(network.input).shape == [2, 2, 3];
            let layout = if first { First } else { Same };
            check_real(&model, stated, (layout, Same), seed, pixel);
        }
    }
}

#[test]
fn numbers_outside_the_stated_type_are_refused() {
    let mut draw = Draw::new(0);
    let mut model = Model::new("x", &[1, 2]);
    model
        .floats("k", &[], &[255.0])
        .node("Div", &["x", "k"], "p")
        .quant("p", "q", 4, 0.125, false);
    dense_end(&mut model, &mut draw, 2);
    let network = import(&model, Some("uint8"));
    assert_eq!(network.quantize_inputs(&[0.0, 255.0]).unwrap(), [0, 255]);
    for wrong in [-1.0, 256.0, 0.5, f64::NAN] {
        let error = network.quantize_inputs(&[7.0, wrong]).unwrap_err();
        assert!(error.to_string().contains("value 1"), "{error}");
    }
    let network = import(&model, Some("ufixed<8,2>"));
    assert_eq!(network.quantize_inputs(&[0.25, 3.984_375]).unwrap(), [16, 255]);
}
