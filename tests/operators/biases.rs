//! Stored biases: each bit has an address, and its flip does what the exact network with the changed bias does.

use std::collections::HashMap;
use std::sync::Arc;

use num_rational::BigRational;
use num_traits::ToPrimitive;
use radstream::accelerator::{Accelerator, Hardware};
use radstream::fault;
use radstream::network::{Network, NoteKind, Op, ParamKind};
use radstream::simulate::cycle;
use radstream::simulate::functional::fast::{FastEngine, FastPlan};
use radstream::simulate::functional::{Incremental, Parameters, Plan, evaluate};

use super::check::{Draw, First, Layout, Same, check, import};
use super::reference;
use super::tensor::{Tensor, exact, whole};
use crate::onnx::{Model, Value};

/// A bias behind a quantizer, as the test knows it.
struct Bias {
    /// Shape in the file.
    shape: Vec<usize>,
    /// Integers that single precision stores.
    mantissas: Vec<i64>,
    /// Exact value of one unit per channel.
    units: Vec<BigRational>,
    bits: u32,
    signed: bool,
}

impl Bias {
    /// Quantizes drawn numbers to a tensor `bq`; `scales` is one or one per channel, `counts` are the exact
    /// values that the units count as.
    fn draw(
        model: &mut Model,
        draw: &mut Draw,
        shape: &[usize],
        scales: &[f32],
        units: Vec<BigRational>,
        bits: u32,
    ) -> Self {
        let channels: usize = shape.iter().product();
        let signed = bits > 1 && draw.choice(&[true, true, false]);
        let (low, high) = match signed {
            true => (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1),
            false => (0, (1i64 << bits) - 1),
        };
        let scale = |channel: usize| scales[channel % scales.len()];
        let values: Vec<f32> = (0..channels)
            .map(|channel| draw.integer(low, high) as f32 * scale(channel))
            .collect();
        let mantissas = (0..channels)
            .map(|c| ((values[c] / scale(c)).round_ties_even() as i64).clamp(low, high))
            .collect();
        let scale_shape = if scales.len() == 1 { &[][..] } else { shape };
        model.floats("b", shape, &values).quant_with(
            "b",
            "bq",
            i64::from(bits),
            scale_shape,
            scales,
            0,
            signed,
        );
        Self {
            shape: shape.to_vec(),
            mantissas,
            units,
            bits,
            signed,
        }
    }

    fn tensor(&self, mantissas: &[i64]) -> Tensor {
        let unit = |channel: usize| &self.units[channel % self.units.len()];
        Tensor {
            shape: self.shape.clone(),
            values: mantissas
                .iter()
                .enumerate()
                .map(|(c, &m)| unit(c) * whole(m))
                .collect(),
        }
    }

    /// The integer with one bit inverted.
    fn flipped(&self, element: usize, bit: u32) -> i64 {
        let word = self.mantissas[element] ^ (1i64 << bit);
        let unused = 64 - self.bits;
        if self.signed {
            word << unused >> unused
        } else {
            (((word as u64) << unused) >> unused) as i64
        }
    }
}

/// Outputs as reals: equal integers times one unit where there is a quantizer, close to a float otherwise.
fn same(network: &Network, found: &[i64], expected: &Tensor, quantized: Option<f32>, place: &str) {
    assert_eq!(found.len(), expected.values.len(), "{place}");
    for (index, (value, expected)) in network.output_values(found).zip(&expected.values).enumerate() {
        if let Some(scale) = quantized {
            let expected = expected / exact(f64::from(scale));
            assert!(expected.is_integer());
            assert_eq!(whole(found[index]), expected, "{place}: output {index}");
        } else {
            let expected = expected.to_f64().unwrap();
            let off = (value - expected).abs();
            assert!(
                off <= 1e-12 * (1e-6 + expected.abs()),
                "{place}: {value} for {expected}"
            );
        }
    }
}

/// Checks some flips of every element in all functional engines.
#[allow(clippy::too_many_arguments)]
fn strike(
    model: &Model,
    bias: &Bias,
    unit: f32,
    (input, output): (Layout, Layout),
    quantized: Option<f32>,
    draw: &mut Draw,
    place: &str,
) -> Network {
    let network = import(model);
    let stored: Vec<_> = network
        .params
        .iter()
        .filter(|p| p.kind == ParamKind::Bias)
        .collect();
    assert_eq!(stored.len(), 1, "{place}: {:?}", network.notes);
    assert_eq!(stored[0].values, bias.mantissas, "{place}");
    assert_eq!(stored[0].encoding.width(), bias.bits, "{place}");
    let layer = network.layer(stored[0].layer).name.clone();
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    let map = accelerator.map();
    assert_eq!(
        map.memories()
            .iter()
            .filter(|m| m.kind == ParamKind::Bias)
            .count(),
        1
    );
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let codes: Vec<i64> = (0..tensor.len())
        .map(|_| draw.integer(low as i64, high as i64))
        .collect();
    let mut shape = vec![1];
    shape.extend(&tensor.shape);
    let given = Tensor {
        shape,
        values: codes.iter().map(|&m| exact(f64::from(unit)) * whole(m)).collect(),
    };
    let given = if input == First {
        given.channels_first()
    } else {
        given
    };
    let expected = |mantissas: &[i64]| {
        let value = reference::evaluate_with(
            &model.graph,
            &given,
            &HashMap::from([("bq", bias.tensor(mantissas))]),
        );
        if output == First {
            value.channels_last()
        } else {
            value
        }
    };
    let clean = Parameters::of(&network);
    let shared = Arc::new(network.clone());
    let mut incremental = Incremental::new(Arc::new(Plan::new(Arc::clone(&shared))));
    let fast = FastPlan::new(Arc::clone(&shared));
    incremental.load(&codes);
    same(
        &network,
        incremental.output(),
        &expected(&bias.mantissas),
        quantized,
        place,
    );
    for element in 0..bias.mantissas.len() {
        for bit in [0, bias.bits - 1, draw.integer(0, i64::from(bias.bits) - 1) as u32] {
            let place = format!("{place}: element {element}, bit {bit}");
            let at = accelerator
                .find_logical(&layer, "bias", element as u64, bit)
                .expect("an address");
            let changes = fault::changes(&accelerator, &[at]);
            assert_eq!(changes.len(), 1, "{place}");
            assert_eq!(changes[0].mantissa, bias.flipped(element, bit), "{place}");
            let mut mantissas = bias.mantissas.clone();
            mantissas[element] = changes[0].mantissa;
            let mut parameters = clean.clone();
            parameters.replace(changes[0].param, element, changes[0].mantissa);
            let trace = evaluate(&network, &parameters, &codes);
            let plain = trace.tensor(network.output);
            same(&network, plain, &expected(&mantissas), quantized, &place);
            incremental.strike(&changes);
            assert_eq!(incremental.output(), plain, "{place}: incremental");
            let outputs = FastEngine::new(&fast, &parameters).run_all(&codes);
            assert_eq!(outputs, plain, "{place}: fast");
        }
    }
    network
}

/// `s_x * s_w` exactly, per channel.
fn products(x: f32, weights: &[f32]) -> Vec<BigRational> {
    weights
        .iter()
        .map(|&w| exact(f64::from(x)) * exact(f64::from(w)))
        .collect()
}

const INPUTS: usize = 4;
const OUTPUTS: usize = 3;

/// The forms in which a file adds a bias.
const FORMS: [&str; 6] = [
    "gemm",
    "matmul add",
    "matmul sub",
    "conv",
    "conv add",
    "depthwise",
];

/// A quantized input `xq`, a weight and the product with the bias, as tensor `s`; the bias.
#[derive(Clone, Copy)]
struct Case {
    form: &'static str,
    per_channel: bool,
    /// 0: the product's scale in single precision; 1: that times a power of two; 2: another for all;
    /// 3: another per channel.
    scale: usize,
    bits: u32,
}

fn sum(draw: &mut Draw, case: Case) -> (Model, Bias, f32, (Layout, Layout)) {
    let conv = case.form.starts_with("conv") || case.form == "depthwise";
    let inputs = if case.form == "depthwise" { OUTPUTS } else { INPUTS };
    let mut model = if conv {
        Model::new("x", &[1, inputs as i64, 3, 3])
    } else {
        Model::new("x", &[1, INPUTS as i64])
    };
    let own = draw.reals(1, 0.02, 0.2)[0];
    let x = draw.choice(&[0.125, own]);
    model.quant("x", "xq", 6, x, true);
    let many = if case.per_channel { OUTPUTS } else { 1 };
    let w = draw.reals(many, 0.05, 0.4);
    let (shape, scales): (Vec<usize>, Vec<usize>) = match case.form {
        "gemm" => (vec![OUTPUTS, INPUTS], vec![OUTPUTS, 1]),
        "depthwise" => (vec![OUTPUTS, 1, 2, 2], vec![OUTPUTS, 1, 1, 1]),
        _ if conv => (vec![OUTPUTS, INPUTS, 2, 2], vec![OUTPUTS, 1, 1, 1]),
        _ => (vec![INPUTS, OUTPUTS], vec![1, OUTPUTS]),
    };
    let values = draw.reals(shape.iter().product(), -1.5, 1.5);
    let scales = if case.per_channel { scales } else { Vec::new() };
    model
        .floats("w", &shape, &values)
        .quant_with("w", "wq", 4, &scales, &w, 0, true);
    let (scales, units): (Vec<f32>, Vec<BigRational>) = match case.scale {
        0 => (w.iter().map(|w| x * w).collect(), products(x, &w)),
        1 => {
            let k = draw.choice(&[0.25, 2.0, 8.0]);
            let units = products(x, &w).into_iter();
            (
                w.iter().map(|w| x * w * k).collect(),
                units.map(|unit| unit * exact(f64::from(k))).collect(),
            )
        }
        own => {
            let many = if own == 3 { OUTPUTS } else { 1 };
            let scales: Vec<f32> = draw.reals(many, 0.3, 20.0).iter().map(|r| r * x * w[0]).collect();
            let units = scales.iter().map(|&scale| exact(f64::from(scale))).collect();
            (scales, units)
        }
    };
    let shape = match case.form {
        "conv add" => vec![1, OUTPUTS, 1, 1],
        _ => vec![OUTPUTS],
    };
    let bias = Bias::draw(&mut model, draw, &shape, &scales, units, case.bits);
    match case.form {
        "gemm" => {
            model
                .node("Gemm", &["xq", "wq", "bq"], "s")
                .with("transB", Value::Int(1));
        }
        "matmul add" => {
            model
                .node("MatMul", &["xq", "wq"], "p")
                .node("Add", &["bq", "p"], "s");
        }
        "matmul sub" => {
            model
                .node("MatMul", &["xq", "wq"], "p")
                .node("Sub", &["p", "bq"], "s");
        }
        "conv" => {
            model.node("Conv", &["xq", "wq", "bq"], "s");
        }
        "depthwise" => {
            model
                .node("Conv", &["xq", "wq", "bq"], "s")
                .with("group", Value::Int(OUTPUTS as i64));
        }
        _ => {
            model
                .node("Conv", &["xq", "wq"], "p")
                .node("Add", &["p", "bq"], "s");
        }
    }
    let layout = if conv { First } else { Same };
    (model, bias, x, (layout, layout))
}

#[test]
fn every_bias_bit_is_stored_whatever_its_scale() {
    let mut seed = 0;
    for form in FORMS {
        for per_channel in [false, true] {
            for scale in 0..4 {
                for end in 0..3 {
                    seed += 1;
                    let mut draw = Draw::new(seed);
                    // Single precision holds no wider integers; a unit of its own takes bits too.
                    let bits = draw.integer(1, if scale < 2 { 24 } else { 16 }) as u32;
                    let case = Case {
                        form,
                        per_channel,
                        scale,
                        bits,
                    };
                    let (mut model, bias, x, layouts) = sum(&mut draw, case);
                    let mut quantized = None;
                    if end == 0 {
                        model.output("s");
                    } else {
                        let from = if end == 1 {
                            "s"
                        } else {
                            model.node("Relu", &["s"], "r");
                            "r"
                        };
                        // On the bias's grid too, where levels meet sums exactly.
                        let own = draw.reals(1, 0.1, 1.0)[0];
                        let step = draw.choice(&[own, 2.0 * bias.units[0].to_f32().unwrap(), 0.25]);
                        model
                            .quant(from, "y", draw.integer(2, 6), step, end == 1)
                            .output("y");
                        quantized = Some(step);
                    }
                    let place =
                        format!("{seed}: {form}, per channel {per_channel}, scale {scale}, end {end}");
                    let network = strike(&model, &bias, x, layouts, quantized, &mut draw, &place);
                    let missing = network
                        .notes
                        .iter()
                        .any(|n| n.kind == NoteKind::NotStored && n.place == "b");
                    assert!(!missing, "{place}");
                }
            }
        }
    }
}

#[test]
fn a_wide_bias_on_the_accumulators_grid() {
    for seed in 0..24 {
        let mut draw = Draw::new(900 + seed);
        let case = Case {
            form: draw.choice(&FORMS),
            per_channel: seed % 2 == 0,
            scale: 0,
            bits: 32,
        };
        if case.form == "matmul sub" {
            continue;
        }
        let (mut model, bias, x, layouts) = sum(&mut draw, case);
        model.output("s");
        strike(
            &model,
            &bias,
            x,
            layouts,
            None,
            &mut draw,
            &format!("{seed}: {}", case.form),
        );
    }
}

/// Levels that meet sums exactly, of both kinds of equality: the step is twice the bias's unit, so that
/// each odd mantissa lies on a tie of the rounding.
#[test]
fn ties_on_the_biases_grid_are_decided_exactly() {
    for rounding in ["ROUND", "HALF_UP", "HALF_DOWN", "CEIL", "FLOOR"] {
        for seed in 0..6 {
            let mut draw = Draw::new(seed);
            let mut model = Model::new("x", &[1, 2]);
            let (x, w, b) = (
                draw.reals(1, 0.02, 0.2)[0],
                draw.reals(1, 0.05, 0.4)[0],
                draw.reals(1, 0.1, 1.0)[0],
            );
            model
                .quant("x", "xq", 3, x, true)
                .floats("w", &[8, 2], &draw.floats(16, 7, w))
                .quant("w", "wq", 4, w, true);
            let bias = Bias::draw(&mut model, &mut draw, &[8], &[b], vec![exact(f64::from(b))], 8);
            model
                .node("Gemm", &["xq", "wq", "bq"], "s")
                .with("transB", Value::Int(1))
                .quant("s", "y", 7, 2.0 * b, true);
            let node = model.graph.node.last_mut().unwrap();
            for attribute in &mut node.attribute {
                if attribute.name == "rounding_mode" {
                    attribute.s = rounding.as_bytes().to_vec();
                }
            }
            model.output("y");
            let network = import(&model);
            let sums = network
                .nodes
                .iter()
                .filter(|node| matches!(node.op, Op::ScaledBias(_)));
            assert_eq!(sums.count(), 1);
            // Sum 0 meets the tie in every channel.
            let trace = evaluate(&network, &Parameters::of(&network), &[0, 0]);
            let zero = Tensor::zeros(&[1, 2]);
            let given = HashMap::from([("bq", bias.tensor(&bias.mantissas))]);
            let expected = reference::evaluate_with(&model.graph, &zero, &given);
            same(
                &network,
                trace.tensor(network.output),
                &expected,
                Some(2.0 * b),
                rounding,
            );
            strike(&model, &bias, x, (Same, Same), Some(2.0 * b), &mut draw, rounding);
        }
    }
}

/// Sums of two units in the cycle engine.
#[test]
fn the_cycle_engine_adds_scaled_biases() {
    for (seed, form) in (0..).zip(["gemm", "conv", "matmul add"]) {
        for end in 0..2 {
            let mut draw = Draw::new(seed);
            let case = Case {
                form,
                per_channel: false,
                scale: 2,
                bits: 8,
            };
            let (mut model, _, _, _) = sum(&mut draw, case);
            if end == 0 {
                model.output("s");
            } else {
                model.quant("s", "y", 4, 0.3, true).output("y");
            }
            let network = import(&model);
            assert!(
                network
                    .nodes
                    .iter()
                    .any(|node| matches!(node.op, Op::ScaledBias(_)))
            );
            let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
            let pipeline = cycle::Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{error}"));
            let elements = network.tensor(network.input).len();
            let inputs: Vec<i64> = (0..4 * elements).map(|_| draw.integer(-32, 31)).collect();
            let done = cycle::run(&pipeline, &accelerator, &inputs, &[], cycle::Settings::default());
            let expected = inputs.chunks_exact(elements).flat_map(|input| {
                let trace = evaluate(&network, &Parameters::of(&network), input);
                trace.tensor(network.output).to_vec()
            });
            assert_eq!(done.outputs, expected.collect::<Vec<i64>>(), "{form}");
        }
    }
}

/// A product that something else reads too keeps its sum; the bias is added behind it.
#[test]
fn a_shared_product_keeps_its_own_sum() {
    for scaled in [false, true] {
        let mut draw = Draw::new(5);
        let mut model = Model::new("x", &[1, 4]);
        model
            .quant("x", "xq", 6, 0.125, true)
            .floats("w", &[4, 3], &draw.reals(12, -1.0, 1.0))
            .quant("w", "wq", 4, 0.125, true)
            .floats("b", &[3], &[1.0, -2.0, 0.5])
            .quant("b", "bq", 8, 0.015_625, true)
            .floats("two", &[], &[2.0])
            .node("MatMul", &["xq", "wq"], "p");
        let from = if scaled {
            model.node("Mul", &["p", "two"], "m");
            "m"
        } else {
            "p"
        };
        model
            .node("Add", &[from, "bq"], "s")
            .node("Add", &["s", "p"], "y")
            .output("y");
        let network = check(&model, 0.125, Same, Same, 1);
        assert_eq!(
            network
                .params
                .iter()
                .filter(|p| p.kind == ParamKind::Bias)
                .count(),
            1
        );
    }
}

/// What is not stored is said.
#[test]
fn parameters_that_are_not_stored_are_noted() {
    let mut draw = Draw::new(1);
    let mut model = Model::new("x", &[1, 3, 2, 2]);
    model
        .quant("x", "xq", 4, 0.3, true)
        .floats("w", &[2, 3, 1, 1], &draw.reals(6, -1.0, 1.0))
        .quant("w", "wq", 4, 0.125, true)
        .floats("float_bias", &[2], &[0.1, 0.2])
        .node("Conv", &["xq", "wq", "float_bias"], "c")
        .floats("gamma", &[2], &[1.0, 0.5])
        .floats("beta", &[2], &[0.1, -0.5])
        .floats("mean", &[2], &[0.0, 0.3])
        .floats("variance", &[2], &[1.0, 2.0])
        .node(
            "BatchNormalization",
            &["c", "gamma", "beta", "mean", "variance"],
            "n",
        )
        .floats("factor", &[], &[1.5])
        .node("Mul", &["n", "factor"], "m")
        .quant("m", "y", 4, 0.3, true)
        .output("y");
    let network = import(&model);
    let notes = network
        .notes
        .iter()
        .filter(|note| note.kind == NoteKind::NotStored);
    let found: Vec<(&str, &str)> = notes
        .map(|note| (note.place.as_str(), note.text.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("float_bias", "2"),
            ("node `N` (BatchNormalization)", "8"),
            ("factor", "1"),
            ("quantizers", "2")
        ]
    );
}

/// The form of an 8-bit network for radio signals: 1D convolutions with scales per channel, batch
/// normalization, quantized rectifiers, and at the end a dense layer with scales per channel and 32-bit
/// biases on the accumulator's grid. All scales are single-precision numbers.
#[test]
fn radio_network_with_scales_per_channel_to_the_end() {
    let mut draw = Draw::new(77);
    let mut model = Model::new("x", &[1, 2, 8]);
    let mut step = draw.reals(1, 0.01, 0.03)[0];
    model.quant("x", "x0", 8, step, true);
    let first = step;
    let (mut from, mut channels) = ("x0".to_owned(), 2usize);
    for layer in 0..2 {
        let name = |what: &str| format!("{what}{layer}");
        let scales = draw.reals(4, 0.002, 0.01);
        let [w, wq, c, n, r, q, p] = ["w", "wq", "c", "n", "r", "q", "p"].map(name);
        model
            .floats(&w, &[4, channels, 3], &draw.reals(4 * channels * 3, -0.8, 0.8))
            .quant_with(&w, &wq, 8, &[4, 1, 1], &scales, 0, true)
            .node("Conv", &[&from, &wq], &c)
            .with("kernel_shape", Value::Ints(&[3]))
            .with("pads", Value::Ints(&[1, 1]));
        let [gamma, beta, mean, variance] = ["gamma", "beta", "mean", "variance"].map(name);
        model
            .floats(&gamma, &[4], &draw.reals(4, 0.5, 1.5))
            .floats(&beta, &[4], &draw.reals(4, -0.2, 0.2))
            .floats(&mean, &[4], &draw.reals(4, -0.1, 0.1))
            .floats(&variance, &[4], &draw.reals(4, 0.1, 0.6))
            .node("BatchNormalization", &[&c, &gamma, &beta, &mean, &variance], &n)
            .node("Relu", &[&n], &r);
        step = draw.reals(1, 0.002, 0.008)[0];
        model
            .quant(&r, &q, 8, step, false)
            .node("MaxPool", &[&q], &p)
            .with("kernel_shape", Value::Ints(&[2]))
            .with("strides", Value::Ints(&[2]));
        (from, channels) = (p, 4);
    }
    model.node("Flatten", &[&from], "f");
    // So far apart that no unit of 64 bits divides them.
    let scales: Vec<f32> = [1.0, 100.0, 0.01]
        .iter()
        .map(|k| k * draw.reals(1, 0.002, 0.01)[0])
        .collect();
    model.floats("w", &[3, 8], &draw.reals(24, -0.8, 0.8)).quant_with(
        "w",
        "wq",
        8,
        &[3, 1],
        &scales,
        0,
        true,
    );
    let product: Vec<f32> = scales.iter().map(|w| w * step).collect();
    let bias = Bias::draw(&mut model, &mut draw, &[3], &product, products(step, &scales), 32);
    model
        .node("Gemm", &["f", "wq", "bq"], "y")
        .with("transB", Value::Int(1))
        .output("y");
    let network = strike(&model, &bias, first, (First, Same), None, &mut draw, "radio");
    assert_eq!(network.output_scales.len(), 3);
    for (scale, exact) in network.output_scales.iter().zip(products(step, &scales)) {
        assert!((scale / exact.to_f64().unwrap() - 1.0).abs() < 1e-15);
    }
}
