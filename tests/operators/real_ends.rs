//! Ends of networks whose values have no common unit of 64 bits, or an irrational one: scales and offsets behind the
//! chip.
//!
//! The oracle is the file's graph in rational arithmetic; a square root there is good to 2^-200.

use num_rational::BigRational;
use num_traits::ToPrimitive;
use radstream::model::{Settings, Workload, WorkloadError};
use radstream::network::{Network, NoteKind, OutputMeaning, ParamKind, RealFunction};
use radstream::outcome::{Readout, Scratch, readout};
use radstream::simulate::functional::{Parameters, evaluate};

use super::check::{Draw, import};
use super::ends::{ranked, refusal};
use super::layouts::Place;
use super::reference;
use super::tensor::{Tensor, coordinates, exact, whole};
use crate::onnx::{Model, Value};

/// What stands between the last product and the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tail {
    Nothing,
    Bias,
    Normalized,
    NormalizedBias,
    /// With square roots that are rational.
    NormalizedExactly,
    Falling,
    FactorPerChannel,
    Rectified,
    RectifiedBias,
    RectifiedNormalized,
    Leaky,
    Negated,
}

const TAILS: [Tail; 12] = [
    Tail::Nothing,
    Tail::Bias,
    Tail::Normalized,
    Tail::NormalizedBias,
    Tail::NormalizedExactly,
    Tail::Falling,
    Tail::FactorPerChannel,
    Tail::Rectified,
    Tail::RectifiedBias,
    Tail::RectifiedNormalized,
    Tail::Leaky,
    Tail::Negated,
];

impl Tail {
    /// Whether scales (products of two floats) and offsets (floats) are exact in binary64.
    fn is_exact(self) -> bool {
        use Tail::{Bias, Leaky, Negated, Nothing, Rectified, RectifiedBias};
        matches!(self, Nothing | Bias | Rectified | RectifiedBias | Leaky | Negated)
    }
}

/// A drawn network up to the values at its end.
struct Body {
    model: Model,
    /// Value of an input mantissa.
    unit: f32,
    tail: Tail,
    /// The tensor of the values.
    values: String,
    /// The file's shape of a sample.
    sample: Vec<usize>,
    /// The file's shape of the values, batch included.
    shape: Vec<usize>,
    /// The axis that the channels are on, or part of.
    channels: usize,
    image: bool,
}

impl Body {
    fn draw(seed: u64, draw: &mut Draw) -> Self {
        let tail = TAILS[seed as usize % TAILS.len()];
        let image = draw.integer(0, 1) == 1;
        let outputs = draw.integer(2, 4) as usize;
        let (inputs, rows, columns) = (draw.integer(1, 4), draw.integer(1, 3), draw.integer(1, 3));
        let unit = draw.reals(1, 0.01, 0.05)[0];
        let mut model = if image {
            Model::new("x", &[1, inputs, rows, columns])
        } else {
            Model::new("x", &[1, inputs])
        };
        // Few levels, so that ties occur.
        model.quant("x", "q", draw.integer(2, 4), unit, true);
        let base = draw.reals(1, 0.002, 0.01)[0];
        let apart = draw.integer(0, 2) > 0;
        let scales: Vec<f32> = (0..outputs)
            .map(|channel| match channel {
                // So far from the others that no unit of 64 bits divides both.
                1 if apart => draw.reals(1, 1e-15, 4e-15)[0],
                _ => base * draw.choice(&[1.0, 1.0, 2.0]),
            })
            .collect();
        let weights = outputs * inputs as usize;
        let stored: Vec<f32> = (0..weights)
            .map(|at| {
                let channel = if image { at / inputs as usize } else { at % outputs };
                draw.integer(-2, 1) as f32 * scales[channel]
            })
            .collect();
        let n = inputs as usize;
        let (shape, spread, along): (Vec<usize>, Vec<usize>, Vec<usize>) = if image {
            (
                vec![outputs, n, 1, 1],
                vec![outputs, 1, 1, 1],
                vec![outputs, 1, 1],
            )
        } else {
            (vec![n, outputs], vec![1, outputs], vec![outputs])
        };
        model
            .floats("w", &shape, &stored)
            .quant_with("w", "wq", 2, &spread, &scales, 0, true);
        if image {
            model
                .node("Conv", &["q", "wq"], "d")
                .with("kernel_shape", Value::Ints(&[1, 1]));
        } else {
            model.node("MatMul", &["q", "wq"], "d");
        }
        let mut body = Self {
            model,
            unit,
            tail,
            values: "d".to_owned(),
            sample: if image {
                vec![n, rows as usize, columns as usize]
            } else {
                vec![n]
            },
            shape: if image {
                vec![1, outputs, rows as usize, columns as usize]
            } else {
                vec![1, outputs]
            },
            channels: 1,
            image,
        };
        body.add_tail(&along, draw);
        if image {
            body.move_elements(draw);
        }
        body
    }

    /// A node on the values.
    fn node(&mut self, op: &str, further: &[&str]) {
        let output = format!("{}_{}", self.values, op.to_lowercase());
        let operands = [&[self.values.as_str()], further].concat();
        self.model.node(op, &operands, &output);
        self.values = output;
    }

    fn add_tail(&mut self, along: &[usize], draw: &mut Draw) {
        let outputs = along[0];
        use Tail::*;
        match self.tail {
            Rectified | RectifiedBias | RectifiedNormalized => self.node("Relu", &[]),
            Leaky => {
                self.node("LeakyRelu", &[]);
                self.model.with("alpha", Value::Float(0.125));
            }
            Negated => self.node("Neg", &[]),
            Falling => {
                self.model.floats("f", &[], &[-0.7]);
                self.node("Mul", &["f"]);
            }
            FactorPerChannel => {
                self.model.floats("f", along, &draw.reals(outputs, -2.0, 2.0));
                self.node("Mul", &["f"]);
            }
            _ => {}
        }
        if matches!(
            self.tail,
            Normalized | NormalizedBias | NormalizedExactly | RectifiedNormalized
        ) {
            let variance = if self.tail == NormalizedExactly {
                (0..outputs).map(|_| draw.choice(&[0.25, 1.0, 2.25])).collect()
            } else {
                draw.reals(outputs, 0.1, 0.6)
            };
            self.model
                .floats("gamma", &[outputs], &draw.reals(outputs, -1.5, 1.5))
                .floats("beta", &[outputs], &draw.reals(outputs, -0.5, 0.5))
                .floats("mean", &[outputs], &draw.reals(outputs, -0.2, 0.2))
                .floats("variance", &[outputs], &variance);
            self.node("BatchNormalization", &["gamma", "beta", "mean", "variance"]);
            if self.tail == NormalizedExactly {
                self.model.with("epsilon", Value::Float(0.0));
            }
        }
        if matches!(
            self.tail,
            Bias | NormalizedBias | Falling | FactorPerChannel | RectifiedBias
        ) {
            // Often alike.
            let own = draw.reals(outputs, -0.5, 0.5);
            let bias: Vec<f32> = own.iter().map(|&b| draw.choice(&[0.3, 0.3, b])).collect();
            self.model.floats("b", along, &bias);
            self.node("Add", &["b"]);
        }
    }

    fn move_elements(&mut self, draw: &mut Draw) {
        let [_, channels, rows, columns] = self.shape[..] else {
            return;
        };
        match draw.integer(0, 4) {
            0 => {
                self.node("Flatten", &[]);
                self.shape = vec![1, channels * rows * columns];
            }
            1 => {
                self.node("Transpose", &[]);
                self.model.with("perm", Value::Ints(&[0, 2, 3, 1]));
                self.shape = vec![1, rows, columns, channels];
                self.channels = 3;
            }
            2 => {
                let shape = [1, channels as i64, -1];
                self.model.integers("to", &[3], &shape);
                self.node("Reshape", &["to"]);
                self.shape = vec![1, channels, rows * columns];
            }
            3 => {
                self.node("Transpose", &[]);
                self.model.with("perm", Value::Ints(&[0, 3, 1, 2]));
                self.model.integers("to", &[2], &[1, -1]);
                self.node("Reshape", &["to"]);
                self.shape = vec![1, channels * rows * columns];
            }
            _ => {}
        }
    }

    /// The graph that ends at the values.
    fn plain(&self) -> Model {
        let mut model = self.model.clone();
        model.output(&self.values);
        model
    }

    /// A run on drawn integers: the output's mantissas, and the exact values. Also the samples as the file takes them.
    fn run(&self, network: &Network, draw: &mut Draw) -> (Vec<i64>, Tensor, Vec<f64>) {
        let tensor = network.tensor(network.input);
        let (low, high) = tensor.encoding.range();
        let codes: Vec<i64> = (0..tensor.len())
            .map(|_| draw.integer(low as i64, high as i64))
            .collect();
        let trace = evaluate(network, &Parameters::of(network), &codes);
        let given = Tensor {
            shape: [&[1], tensor.shape.as_slice()].concat(),
            values: codes
                .iter()
                .map(|&code| exact(f64::from(self.unit)) * whole(code))
                .collect(),
        };
        let given = if self.image { given.channels_first() } else { given };
        let values = reference::evaluate(&self.plain().graph, &given);
        assert_eq!(values.shape, self.shape);
        let sample = given.values.iter().map(|x| x.to_f64().unwrap()).collect();
        (trace.tensor(network.output).to_vec(), values, sample)
    }
}

/// Whether scales or offsets are applied behind the chip.
fn is_real(network: &Network) -> bool {
    let selects = matches!(
        network.output_meaning(),
        OutputMeaning::Function {
            function: RealFunction::ArgMax { .. },
            ..
        }
    );
    !network.output_scales.is_empty() || !network.output_offsets.is_empty() || selects
}

/// Values in the order of the output tensor, in that of the file.
fn in_file_order<T: Copy>(network: &Network, values: &[T]) -> Vec<T> {
    let shape = &network.tensor(network.output).shape;
    let axes = match network.output_axes.as_slice() {
        [] => (0..shape.len()).collect::<Vec<_>>(),
        axes => axes.to_vec(),
    };
    let file: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    coordinates(&file)
        .iter()
        .map(|at| {
            let place = |axis: usize| at[axes.iter().position(|&to| to == axis).expect("an axis")];
            values[(0..shape.len()).fold(0, |index, axis| index * shape[axis] + place(axis))]
        })
        .collect()
}

fn nearest(value: &BigRational) -> f64 {
    value.to_f64().expect("a float")
}

/// A function of the slices of an array along an axis.
fn along(values: &Tensor, axis: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let floats = values.values.iter().map(nearest).collect::<Vec<_>>();
    let (extent, stride) = (
        values.shape[axis],
        values.shape[axis + 1..].iter().product::<usize>(),
    );
    let slice = |at: usize| at - at / stride % extent * stride;
    (0..floats.len())
        .map(|at| {
            let group: Vec<f64> = (0..extent).map(|k| floats[slice(at) + k * stride]).collect();
            f(&group)[at / stride % extent]
        })
        .collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().fold(f64::MIN, |a, &b| a.max(b));
    let powers: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[test]
fn values_are_the_exact_ones_rounded_once() {
    let (mut real, mut whole) = ([0; TAILS.len()], 0);
    for seed in 0..360 {
        let mut draw = Draw::new(seed);
        let body = Body::draw(seed, &mut draw);
        let end = draw.choice(&["", "", "Softmax", "Sigmoid"]);
        let axis = draw.integer(1, body.shape.len() as i64 - 1) as usize;
        let mut model = body.plain();
        if !end.is_empty() {
            model = body.model.clone();
            model.node(end, &[&body.values], "e");
            if end == "Softmax" {
                model.with("axis", Value::Int(axis as i64));
            }
            // Elements move behind the function as well.
            match draw.integer(0, 2) {
                0 if body.shape.len() == 3 => {
                    model
                        .node("Transpose", &["e"], "y")
                        .with("perm", Value::Ints(&[0, 2, 1]));
                }
                1 => {
                    model.node("Flatten", &["e"], "y");
                }
                _ => {
                    model.node("Identity", &["e"], "y");
                }
            }
            model.output("y");
        }
        let transposed = model
            .graph
            .node
            .last()
            .is_some_and(|last| last.op_type == "Transpose" && last.output == ["y"] && !end.is_empty());
        let network = import(&model);
        let place = format!("{seed}: {:?} {:?} {end} along {axis}", body.tail, body.shape);
        if is_real(&network) {
            real[seed as usize % TAILS.len()] += 1;
        } else {
            whole += 1;
        }
        let readout = Readout::of_file(&network.tensor(network.output).shape, &network.output_meaning());
        let mut scratch = readout::Scratch::default();
        for _ in 0..4 {
            let (mantissas, expected, _) = body.run(&network, &mut draw);
            let values: Vec<f64> = network.output_values(&mantissas).collect();
            let made = in_file_order(&network, readout.evaluate(&values, &mut scratch));
            let wanted = match end {
                "" => expected.values.iter().map(nearest).collect(),
                "Softmax" => along(&expected, axis, softmax),
                _ => along(&expected, axis, |group| {
                    group.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect()
                }),
            };
            let wanted = if transposed {
                let [_, rows, columns] = body.shape[..] else {
                    panic!("{place}");
                };
                (0..rows * columns)
                    .map(|at| wanted[at % rows * columns + at / rows])
                    .collect()
            } else {
                wanted
            };
            assert_eq!(made.len(), wanted.len(), "{place}");
            let short = mantissas.iter().all(|mantissa| mantissa.abs() < 1 << 53);
            for (made, wanted) in made.iter().zip(&wanted) {
                if end.is_empty() && body.tail.is_exact() && short {
                    assert_eq!(made, wanted, "{place}");
                } else {
                    let tolerance = 1e-12 * (1.0 + wanted.abs());
                    assert!((made - wanted).abs() <= tolerance, "{place}: {made} {wanted}");
                }
            }
        }
    }
    assert!(
        real.iter().all(|&count| count > 5) && whole > 40,
        "{real:?} {whole}"
    );
}

/// A selection at the end of a body, and what it selects by the definition.
struct Selection {
    model: Model,
    axis: usize,
    smallest: bool,
    last: bool,
    behind_softmax: bool,
}

impl Selection {
    fn draw(body: &Body, draw: &mut Draw) -> Self {
        let rank = body.shape.len();
        let axis = draw.integer(1, rank as i64 - 1) as usize;
        let stated = if draw.integer(0, 1) == 0 {
            axis as i64
        } else {
            axis as i64 - rank as i64
        };
        let mut model = body.model.clone();
        let mut read = body.values.as_str();
        let behind_softmax = draw.integer(0, 3) == 0;
        if behind_softmax {
            model
                .node("Softmax", &[read], "s")
                .with("axis", Value::Int(axis as i64));
            read = "s";
        }
        let op = draw.choice(&["ArgMax", "ArgMin", "TopK"]);
        let smallest = op == "ArgMin" || (op == "TopK" && draw.integer(0, 1) == 1);
        let last = op != "TopK" && draw.integer(0, 1) == 1;
        if op == "TopK" {
            let count = draw.integer(1, body.shape[axis] as i64);
            model
                .integers("k", &[1], &[count])
                .node("TopK", &[read, "k"], "largest")
                .with("axis", Value::Int(stated))
                .with("largest", Value::Int(i64::from(!smallest)));
            let node = model.graph.node.last_mut().expect("a node");
            node.output.push("i".into());
        } else {
            model
                .node(op, &[read], "i")
                .with("axis", Value::Int(stated))
                .with("keepdims", Value::Int(draw.integer(0, 1)))
                .with("select_last_index", Value::Int(i64::from(last)));
        }
        match draw.integer(0, 3) {
            0 if op != "TopK" => model.node("Flatten", &["i"], "y").output("y"),
            1 => model
                .node("Cast", &["i"], "y")
                .with("to", Value::Int(6))
                .output("y"),
            _ => model.output("i"),
        };
        Self {
            model,
            axis,
            smallest,
            last,
            behind_softmax,
        }
    }

    /// The first index of each pixel.
    fn firsts(&self, values: &Tensor) -> Vec<i64> {
        ranked(values, self.axis, 1, self.smallest, self.last).concat()
    }

    /// The same where values that round to one float are equal.
    fn rounded_firsts(&self, values: &Tensor) -> Vec<i64> {
        self.firsts(&Tensor {
            shape: values.shape.clone(),
            values: values.values.iter().map(|x| exact(nearest(x))).collect(),
        })
    }

    /// How many pixels have more than one best value.
    fn ties(&self, values: &Tensor) -> usize {
        let other = ranked(values, self.axis, 1, self.smallest, !self.last).concat();
        let ours = self.firsts(values);
        ours.iter().zip(&other).filter(|(a, b)| a != b).count()
    }
}

#[test]
fn selections_among_real_numbers_are_their_definition() {
    let (mut behind, mut on_chip, mut ties, mut beside) = (0, 0, [0; 2], 0);
    for seed in 0..480 {
        let mut draw = Draw::new(seed);
        let body = Body::draw(seed, &mut draw);
        let selection = Selection::draw(&body, &mut draw);
        let network = import(&selection.model);
        let place = format!(
            "{seed}: {:?} {:?} along {}, smallest {}, last {}",
            body.tail, body.shape, selection.axis, selection.smallest, selection.last
        );
        let real = is_real(&network);
        if selection.axis != body.channels && !selection.behind_softmax {
            // Values of one channel have the order of its integers.
            assert!(!real, "{place}");
            beside += usize::from(is_real(&import(&body.plain())));
        }
        *if real { &mut behind } else { &mut on_chip } += 1;
        let readout = Readout::of_file(&network.tensor(network.output).shape, &network.output_meaning());
        let mut scratch = readout::Scratch::default();
        for _ in 0..4 {
            let (mantissas, expected, _) = body.run(&network, &mut draw);
            let values: Vec<f64> = network.output_values(&mantissas).collect();
            let made = readout.evaluate(&values, &mut scratch);
            let firsts = if real {
                selection.rounded_firsts(&expected)
            } else {
                selection.firsts(&expected)
            };
            let firsts: Vec<f64> = firsts.iter().map(|&index| index as f64).collect();
            assert_eq!(made, firsts, "{place}");
            if real {
                ties[usize::from(selection.last)] += selection.ties(&expected);
            }
        }
    }
    assert!(
        behind > 100 && on_chip > 100 && beside > 20 && ties.iter().all(|&ties| ties > 20),
        "{behind} {on_chip} {beside} {ties:?}"
    );
}

/// Mean loss without faults.
fn loss(network: &Network, settings: &Settings) -> Result<f64, WorkloadError> {
    let workload = Workload::load(network, settings)?;
    let parameters = Parameters::of(network);
    let mut scratch = Scratch::default();
    let inputs = workload.inputs.chunks_exact(network.tensor(network.input).len());
    let losses = inputs.enumerate().map(|(sample, codes)| {
        let trace = evaluate(network, &parameters, codes);
        let values: Vec<f64> = network.output_values(trace.tensor(network.output)).collect();
        workload
            .evaluator
            .evaluate(sample, &values, false, &mut scratch)
            .loss
    });
    Ok(losses.sum::<f64>() / workload.samples as f64)
}

#[test]
fn targets_and_labels_are_compared_with_real_values() {
    let place = Place::new();
    let mut compared = [0; 2];
    for seed in 0..72 {
        let mut draw = Draw::new(1000 + seed);
        let body = Body::draw(seed, &mut draw);
        let network = import(&body.plain());
        let readout = {
            let shape: Vec<i64> = body.shape.iter().map(|&extent| extent as i64).collect();
            let mut model = Model::new("c", &shape);
            model
                .floats("two", &[], &[2.0])
                .node("Mul", &["c", "two"], "r")
                .output("r");
            place.model("readout.onnx", &model)
        };
        let samples = 3;
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        let mut shape = vec![samples];
        shape.extend(&body.sample);
        let selection = Selection::draw(&body, &mut draw);
        let selecting = import(&selection.model);
        let mut labels = Vec::new();
        for _ in 0..samples {
            let (_, values, sample) = body.run(&network, &mut draw);
            xs.extend(sample);
            ys.extend(values.values.iter().map(nearest));
            labels.extend(if is_real(&selecting) {
                selection.rounded_firsts(&values)
            } else {
                selection.firsts(&values)
            });
        }
        let inputs = place.array("x.npy", &shape, xs);
        shape = [&[samples], &body.shape[1..]].concat();
        for (behind, factor) in [(None, 1.0), (readout.clone(), 2.0)] {
            for shift in [0.0, 3.0] {
                let target = ys.iter().map(|y| y * factor + shift).collect();
                let settings = Settings {
                    inputs: inputs.clone(),
                    target: place.array("y.npy", &shape, target),
                    readout: behind.clone(),
                    loss: Some("mse".to_owned()),
                    ..Settings::default()
                };
                let loss = loss(&network, &settings).unwrap_or_else(|error| panic!("{seed}: {error}"));
                assert!((loss - shift * shift).abs() < 1e-10, "{seed} {shift}: {loss}");
            }
        }
        // Labels of a selection, without and with a readout of it.
        let mut settings = Settings {
            inputs: inputs.clone(),
            labels: place.integers("labels.npy", &[samples, labels.len() / samples], labels.clone()),
            loss: Some("misclassify".to_owned()),
            ..Settings::default()
        };
        let pixels = labels.len();
        assert_eq!(loss(&selecting, &settings).unwrap(), 0.0, "{seed}");
        let extent = body.shape[selection.axis] as i64;
        if extent > 1 {
            labels[0] = (labels[0] + 1) % extent;
            settings.labels = place.integers("labels.npy", &[samples, pixels / samples], labels);
            let wrong = loss(&selecting, &settings).unwrap();
            assert!((wrong - 1.0 / pixels as f64).abs() < 1e-12, "{seed}: {wrong}");
        }
        compared[usize::from(is_real(&selecting))] += 1;
        if is_real(&selecting) {
            settings.readout = readout;
            let error = loss(&selecting, &settings).unwrap_err().to_string();
            assert!(error.contains("selects among real numbers"), "{seed}: {error}");
        }
    }
    assert!(compared.iter().all(|&count| count > 10), "{compared:?}");
}

#[test]
fn what_computes_behind_a_real_selection_is_refused() {
    let mut model = Model::new("x", &[1, 2, 3, 2]);
    model
        .quant("x", "q", 4, 0.037, true)
        .floats("w", &[2, 2, 1, 1], &[0.005, -0.01, 3e-15, -6e-15])
        .quant_with("w", "wq", 3, &[2, 1, 1, 1], &[0.005, 3e-15], 0, true)
        .node("Conv", &["q", "wq"], "d")
        .with("kernel_shape", Value::Ints(&[1, 1]))
        .node("ArgMax", &["d"], "i")
        .with("axis", Value::Int(1));
    let mut added = model.clone();
    added
        .floats("one", &[], &[1.0])
        .node("Add", &["i", "one"], "y")
        .output("y");
    let mut transposed = model.clone();
    transposed
        .node("Transpose", &["i"], "y")
        .with("perm", Value::Ints(&[0, 1, 3, 2]))
        .output("y");
    let mut again = model.clone();
    again
        .node("ArgMax", &["i"], "y")
        .with("axis", Value::Int(2))
        .output("y");
    let mut beyond = model.clone();
    beyond
        .integers("k", &[1], &[3])
        .node("TopK", &["d", "k"], "t")
        .with("axis", Value::Int(1));
    beyond
        .graph
        .node
        .last_mut()
        .expect("a node")
        .output
        .push("y".into());
    beyond.output("y");
    let mut other_count = model.clone();
    other_count
        .integers("to", &[2], &[1, 7])
        .node("Reshape", &["i", "to"], "y")
        .output("y");
    for (model, words) in [
        (added, "node `Y` (Add), and selects among real numbers"),
        (transposed, "transposes what"),
        (again, "node `Y` (ArgMax), and selects among real numbers"),
        (beyond, "selects 3 of 2"),
        (other_count, "reshapes"),
    ] {
        let error = refusal(&model, None);
        assert!(error.problem.contains(words), "{error}");
    }
    // Axes of extent 1 may change places.
    model
        .node("Transpose", &["i"], "y")
        .with("perm", Value::Ints(&[0, 2, 1, 3]))
        .output("y");
    assert!(is_real(&import(&model)));
}

#[test]
fn offsets_alike_need_no_unit_for_a_selection() {
    // The unit of the offset has none in common with that of the products.
    let mut model = Model::new("x", &[1, 3]);
    model
        .quant("x", "q", 4, 0.037, true)
        .floats("b", &[], &[1e-9])
        .node("Add", &["q", "b"], "a")
        .node("Sigmoid", &["a"], "s")
        .node("ArgMin", &["s"], "y")
        .with("axis", Value::Int(1))
        .output("y");
    let network = import(&model);
    assert!(!is_real(&network));
    let made = evaluate(&network, &Parameters::of(&network), &[3, -5, 7]);
    assert_eq!(made.tensor(network.output), [1]);
}

/// A product with weights per channel, a quantized bias of another scale, and what follows.
fn with_quantized_bias(draw: &mut Draw, inputs: usize) -> Model {
    let scales = draw.reals(3, 0.002, 0.01);
    let mut model = Model::new("x", &[1, inputs as i64]);
    model
        .quant("x", "q", 8, draw.reals(1, 0.01, 0.03)[0], true)
        .floats("w", &[inputs, 3], &draw.reals(3 * inputs, -0.8, 0.8))
        .quant_with("w", "wq", 8, &[1, 3], &scales, 0, true)
        .node("MatMul", &["q", "wq"], "d")
        .floats("b", &[3], &draw.reals(3, -0.5, 0.5))
        .quant("b", "bq", 8, draw.reals(1, 0.004, 0.008)[0], true)
        .node("Add", &["d", "bq"], "a");
    model
}

#[test]
fn a_quantized_bias_in_front_of_a_softmax_is_stored_as_at_an_output() {
    for op in ["Softmax", "LogSoftmax", ""] {
        let mut draw = Draw::new(5);
        // So wide that product and bias have no common unit of 64 bits.
        let mut model = with_quantized_bias(&mut draw, 512);
        if op.is_empty() {
            model.output("a");
        } else {
            model
                .node(op, &["a"], "y")
                .with("axis", Value::Int(1))
                .output("y");
        }
        let network = import(&model);
        let biases = network
            .params
            .iter()
            .filter(|param| param.kind == ParamKind::Bias);
        let shapes: Vec<&[usize]> = biases.map(|bias| bias.shape.as_slice()).collect();
        assert_eq!(shapes, [[3]], "{op}");
        let notes = network.notes.iter();
        let rounded = notes
            .filter(|note| note.kind == NoteKind::SinglePrecision)
            .count();
        assert_eq!(rounded, 1, "{op}");
    }
}

#[test]
fn a_rectifier_behind_offsets_or_falling_values_needs_a_unit() {
    let mut model = Model::new("x", &[1, 2]);
    model
        .quant("x", "q", 4, 0.037, true)
        .floats("w", &[2, 2], &[0.005, 3e-15, -0.01, -6e-15])
        .quant_with("w", "wq", 3, &[1, 2], &[0.005, 3e-15], 0, true)
        .node("MatMul", &["q", "wq"], "d")
        .floats("b", &[2], &[0.1, -0.1]);
    for rectifier in ["Relu", "LeakyRelu"] {
        let mut offset = model.clone();
        offset.node("Add", &["d", "b"], "a").node(rectifier, &["a"], "y");
        let mut falling = model.clone();
        falling.node("Neg", &["d"], "a").node(rectifier, &["a"], "y");
        let mut rising = model.clone();
        rising.node(rectifier, &["d"], "y");
        for model in [&mut offset, &mut falling, &mut rising] {
            if rectifier == "LeakyRelu" {
                model.with("alpha", Value::Float(0.125));
            }
            model.output("y");
        }
        for model in [offset, falling] {
            let error = refusal(&model, None);
            assert!(error.problem.contains("more than 64 bits"), "{error}");
        }
        assert!(is_real(&import(&rising)));
    }
}

#[test]
fn scales_beyond_double_precision_are_refused() {
    let mut model = Model::new("x", &[1, 2]);
    model
        .quant("x", "q", 4, 0.037, true)
        .floats("w", &[2, 2], &[0.005, 3e-15, -0.01, -6e-15])
        .quant_with("w", "wq", 3, &[1, 2], &[0.005, 3e-15], 0, true)
        .node("MatMul", &["q", "wq"], "m0")
        .floats("f", &[], &[1e38]);
    for factor in 1..10 {
        let [from, to] = [factor - 1, factor].map(|at| format!("m{at}"));
        model.node("Mul", &[&from, "f"], &to);
    }
    model.output("m9");
    let error = refusal(&model, None);
    assert!(error.problem.contains("beyond double precision"), "{error}");
}

#[test]
fn a_value_is_rounded_once() {
    let mut draw = Draw::new(9);
    let mut model = Model::new("x", &[1, 2]);
    let scales = [draw.reals(1, 0.002, 0.01)[0], draw.reals(1, 1e-15, 4e-15)[0]];
    let (unit, offsets) = (draw.reals(1, 0.01, 0.03)[0], draw.reals(2, -0.5, 0.5));
    model
        .quant("x", "q", 4, unit, true)
        .floats("w", &[2, 2], &[scales[0], scales[1], -scales[0], scales[1]])
        .quant_with("w", "wq", 3, &[1, 2], &scales, 0, true)
        .node("MatMul", &["q", "wq"], "d")
        .floats("b", &[2], &offsets)
        .node("Add", &["d", "b"], "y")
        .output("y");
    let network = import(&model);
    let frac = network.tensor(network.output).encoding.frac();
    let mut twice = 0;
    for _ in 0..2000 {
        let reach = 1 << draw.integer(3, 53);
        let mantissas = [draw.integer(-reach, reach), draw.integer(-reach, reach)];
        let made: Vec<f64> = network.output_values(&mantissas).collect();
        for channel in 0..2 {
            let [scale, unit, offset] =
                [scales[channel], unit, offsets[channel]].map(|number| exact(f64::from(number)));
            let units = whole(mantissas[channel]) * exact(libm::scalbn(1.0, -frac)) * unit * scale;
            assert_eq!(made[channel], nearest(&(&units + &offset)), "{mantissas:?}");
            twice += usize::from(made[channel] != nearest(&units) + nearest(&offset));
        }
    }
    assert!(twice > 100, "{twice}");
}
