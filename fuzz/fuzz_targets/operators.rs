//! Graphs of the supported operators, drawn from the bytes: mostly sound, now and then with a wrong number.

#![no_main]

#[path = "../../tests/common/onnx.rs"]
mod onnx;
mod work;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use onnx::{Model, Value};
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;

/// Most nodes of one graph.
const MOST_NODES: usize = 10;

/// Scales and factors: powers of two and others.
const REALS: [f32; 16] = [
    1.0, 0.5, 0.25, 2.0, 0.3, 0.7, 1.5, -1.0, -0.5, 0.0, 3.0, 0.1, 1e-3, 100.0, 0.125, 1e6,
];

/// The bytes as a source of choices; 0 where they end.
struct Draw<'b>(&'b [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Rarely true.
    fn odd(&mut self) -> bool {
        self.byte() > 245
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn real(&mut self) -> f32 {
        self.of(&REALS)
    }

    fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }

    /// A number, now and then another one.
    fn near(&mut self, number: i64) -> i64 {
        match self.byte() {
            247 => number + 1,
            248 => number - 1,
            249 => 0,
            250 => -1,
            251 => i64::MAX,
            252 => i64::MIN,
            253 => 1 << 31,
            254 => -number,
            255 => number * 2,
            _ => number,
        }
    }

    fn all_near(&mut self, numbers: &[usize]) -> Vec<i64> {
        numbers.iter().map(|&number| self.near(number as i64)).collect()
    }
}

/// A tensor of the graph with the shape that it should have, batch included.
type Shaped = (String, Vec<usize>);

/// The graph so far.
struct Graph<'b> {
    model: Model,
    draw: Draw<'b>,
    made: Vec<Shaped>,
    count: usize,
}

impl Graph<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("t{}", self.count)
    }

    /// Stores drawn reals.
    fn reals(&mut self, shape: &[usize]) -> String {
        let name = self.name();
        let values = self.draw.reals(shape.iter().product());
        self.model.floats(&name, shape, &values);
        name
    }

    /// Stores integers.
    fn wholes(&mut self, values: &[i64]) -> String {
        let name = self.name();
        self.model.integers(&name, &[values.len()], values);
        name
    }

    fn node(&mut self, op: &str, inputs: &[&str]) -> String {
        let name = self.name();
        self.model.node(op, inputs, &name);
        name
    }

    /// The newest tensor, or an earlier one.
    fn pick(&mut self) -> Shaped {
        let back = self.draw.below(4).saturating_sub(1).min(self.made.len() - 1);
        self.made[self.made.len() - 1 - back].clone()
    }

    /// A shape that spreads over another.
    fn spread(&mut self, shape: &[usize]) -> Vec<usize> {
        match self.draw.below(5) {
            0 => Vec::new(),
            1 => (0..shape.len())
                .map(|axis| if axis == 1 { shape[1] } else { 1 })
                .collect(),
            2 => shape.to_vec(),
            3 => shape[shape.len().saturating_sub(1)..].to_vec(),
            _ => shape
                .iter()
                .map(|&extent| if self.draw.flag() { extent } else { 1 })
                .collect(),
        }
    }

    fn quant(&mut self, input: &str, shape: &[usize]) -> String {
        let output = self.name();
        let bits = 1 + self.draw.below(8);
        let bits = self.draw.near(bits as i64);
        let shape = self.spread(shape);
        let mut scales = self.draw.reals(shape.iter().product());
        if !self.draw.odd() {
            scales.iter_mut().for_each(|scale| *scale = scale.abs().max(0.01));
        }
        let zero = if self.draw.below(4) == 3 {
            self.draw.below(9) as i64 - 4
        } else {
            0
        };
        let signed = self.draw.flag();
        self.model
            .quant_with(input, &output, bits, &shape, &scales, zero, signed);
        output
    }

    /// A stored matrix or kernel behind a quantizer, or plain integers.
    fn weight(&mut self, shape: &[usize]) -> String {
        let count = shape.iter().product();
        let name = self.name();
        if self.draw.below(4) == 3 {
            let values: Vec<f32> = (0..count).map(|_| self.draw.below(9) as f32 - 4.0).collect();
            self.model.floats(&name, shape, &values);
            return name;
        }
        let values = self.draw.reals(count);
        self.model.floats(&name, shape, &values);
        self.quant(&name, shape)
    }

    fn window(&mut self, shape: &[usize], named: &[&str; 3]) -> (Vec<usize>, Vec<usize>) {
        let axes = shape.len() - 2;
        let kernel: Vec<usize> = (0..axes)
            .map(|axis| 1 + self.draw.below(shape[2 + axis].min(4)))
            .collect();
        let strides: Vec<usize> = (0..axes).map(|_| 1 + self.draw.below(2)).collect();
        let pads: Vec<usize> = (0..2 * axes)
            .map(|_| self.draw.below(4).saturating_sub(2))
            .collect();
        let extents = (0..axes).map(|axis| {
            let padded = shape[2 + axis] + pads[axis] + pads[axes + axis];
            padded.saturating_sub(kernel[axis]) / strides[axis] + 1
        });
        let extents = extents.collect();
        for (name, values) in named.iter().zip([&kernel, &strides, &pads]) {
            let values = self.draw.all_near(values);
            self.model.with(name, Value::Ints(&values));
        }
        (kernel, extents)
    }

    fn convolution(&mut self, (x, shape): Shaped, transposed: bool) -> Option<Shaped> {
        if shape.len() < 3 {
            return None;
        }
        let channels = shape[1];
        let depthwise = self.draw.below(3) == 2;
        let filters = if depthwise {
            channels
        } else {
            1 + self.draw.below(4)
        };
        let output = self.node(if transposed { "ConvTranspose" } else { "Conv" }, &[&x, ""]);
        let node = self.model.graph.node.len() - 1;
        let (kernel, extents) = self.window(&shape, &["kernel_shape", "strides", "pads"]);
        let groups = if depthwise { channels } else { 1 };
        let stated = self.draw.near(groups as i64);
        self.model.with("group", Value::Int(stated));
        let mut sizes = match (transposed, depthwise) {
            (true, false) => vec![channels, filters],
            (false, false) => vec![filters, channels],
            _ => vec![channels, 1],
        };
        sizes.extend(&kernel);
        // The nodes of the weight come before that of the product: the reader sorts them.
        let weight = self.weight(&sizes);
        self.model.graph.node[node].input[1] = weight;
        if self.draw.below(3) == 2 {
            let bias = if self.draw.flag() {
                self.reals(&[filters])
            } else {
                self.weight(&[filters])
            };
            self.model.graph.node[node].input.push(bias);
        }
        let mut result = vec![1, filters];
        if transposed {
            result.extend(shape[2..].iter().zip(&kernel).map(|(&extent, &k)| extent - 1 + k));
        } else {
            result.extend::<Vec<usize>>(extents);
        }
        Some((output, result))
    }

    fn step(&mut self) -> Option<Shaped> {
        let (x, shape) = self.pick();
        let (rank, len) = (shape.len(), shape.iter().product::<usize>());
        let axis = self.draw.below(rank);
        let stated_axis = if self.draw.flag() {
            axis as i64
        } else {
            axis as i64 - rank as i64
        };
        let stated_axis = self.draw.near(stated_axis);
        let kept = shape.clone();
        Some(match self.draw.below(46) {
            0..=3 => (self.quant(&x, &shape), kept),
            4 => {
                let scale = self.reals(&[]);
                (self.node("BipolarQuant", &[&x, &scale]), kept)
            }
            5 => {
                let [scale, zero, bits, out] = [0.25, 0.0, 8.0, 4.0].map(|value: f32| {
                    let name = self.name();
                    let value = if self.draw.odd() { self.draw.real() } else { value };
                    self.model.floats(&name, &[], &[value]);
                    name
                });
                let output = self.node("Trunc", &[&x, &scale, &zero, &bits, &out]);
                let mode = self.draw.of(&["FLOOR", "ROUND", "CEIL"]);
                self.model.with("rounding_mode", Value::Text(mode));
                (output, kept)
            }
            6 | 7 => {
                let rows = if self.draw.flag() {
                    1
                } else {
                    *shape.get(1).unwrap_or(&1)
                };
                let count = 1 + self.draw.below(5);
                let mut values = self.draw.reals(rows * count);
                values
                    .chunks_mut(count)
                    .for_each(|row| row.sort_by(f32::total_cmp));
                let name = self.name();
                self.model.floats(&name, &[rows, count], &values);
                let output = self.node("MultiThreshold", &[&x, &name]);
                let kind = self.draw.of(&["UINT4", "INT4", "BIPOLAR", "BINARY", "UINT8"]);
                self.model.with("out_dtype", Value::Text(kind));
                if self.draw.flag() {
                    let (scale, bias) = (self.draw.real(), self.draw.real());
                    self.model
                        .with("out_scale", Value::Float(scale))
                        .with("out_bias", Value::Float(bias));
                }
                let layout = self.draw.of(&["NCHW", "NHWC", "NC"]);
                self.model.with("data_layout", Value::Text(layout));
                (output, kept)
            }
            8 => {
                let op = self.draw.of(&[
                    "Relu", "Sigmoid", "Tanh", "HardTanh", "Identity", "Neg", "Dropout",
                ]);
                (self.node(op, &[&x]), kept)
            }
            9 => {
                let output = self.node("LeakyRelu", &[&x]);
                let slope = self.draw.real();
                self.model.with("alpha", Value::Float(slope));
                (output, kept)
            }
            10 => {
                let (low, high) = (self.reals(&[]), self.reals(&[]));
                (self.node("Clip", &[&x, &low, &high]), kept)
            }
            11..=14 => {
                let op = self.draw.of(&["Add", "Sub", "Mul", "Div"]);
                let shape = self.spread(&shape);
                let other = if self.draw.flag() {
                    self.reals(&shape)
                } else {
                    self.weight(&shape)
                };
                let swapped = self.draw.below(4) == 3;
                let pair = if swapped { [&*other, &*x] } else { [&*x, &*other] };
                (self.node(op, &pair), kept)
            }
            15 => {
                let (other, _) = self.pick();
                let op = self.draw.of(&["Add", "Sub", "Mul", "Add"]);
                (self.node(op, &[&x, &other]), kept)
            }
            16 => {
                let channels = *shape.get(1)?;
                let numbers: [String; 3] = std::array::from_fn(|_| self.reals(&[channels]));
                let variance = self.name();
                let values: Vec<f32> = self.draw.reals(channels).iter().map(|v| v.abs() + 0.01).collect();
                self.model.floats(&variance, &[channels], &values);
                let [scale, bias, mean] = &numbers;
                (
                    self.node("BatchNormalization", &[&x, scale, bias, mean, &variance]),
                    kept,
                )
            }
            17 | 18 => {
                let outputs = 1 + self.draw.below(5);
                let weight = self.weight(&[shape[rank - 1], outputs]);
                let mut result = kept;
                result[rank - 1] = outputs;
                (self.node("MatMul", &[&x, &weight]), result)
            }
            19 => {
                let outputs = 1 + self.draw.below(5);
                let weight = self.weight(&[outputs, shape[rank - 1]]);
                let bias = if self.draw.flag() {
                    self.reals(&[outputs])
                } else {
                    self.weight(&[outputs])
                };
                let output = self.node("Gemm", &[&x, &weight, &bias]);
                let turned = self.draw.near(1);
                self.model.with("transB", Value::Int(turned));
                (output, vec![1, outputs])
            }
            20 | 21 => self.convolution((x, shape), false)?,
            22 => self.convolution((x, shape), true)?,
            23 | 24 => {
                if rank < 3 {
                    return None;
                }
                let op = self.draw.of(&["MaxPool", "AveragePool"]);
                let output = self.node(op, &[&x]);
                let (_, extents) = self.window(&shape, &["kernel_shape", "strides", "pads"]);
                if self.draw.flag() {
                    let (include, ceil) = (self.draw.flag(), self.draw.flag());
                    self.model
                        .with("count_include_pad", Value::Int(i64::from(include)));
                    self.model.with("ceil_mode", Value::Int(i64::from(ceil)));
                }
                let mut result = vec![1, shape[1]];
                result.extend(extents);
                (output, result)
            }
            25 => {
                let op = self.draw.of(&["GlobalAveragePool", "GlobalMaxPool"]);
                let mut result = vec![1; rank];
                result[1.min(rank - 1)] = shape[1.min(rank - 1)];
                (self.node(op, &[&x]), result)
            }
            26 | 27 => {
                let op = self.draw.of(&["ReduceMean", "ReduceSum", "ReduceMax"]);
                let output = self.node(op, &[&x]);
                let keep = self.draw.flag();
                if self.draw.flag() {
                    self.model.with("axes", Value::Ints(&[stated_axis]));
                } else {
                    self.model
                        .with("axes", Value::Ints(&[stated_axis, rank as i64 - 1]));
                }
                self.model.with("keepdims", Value::Int(i64::from(keep)));
                let mut result = kept;
                if keep {
                    result[axis] = 1;
                } else {
                    result.remove(axis);
                }
                (output, result)
            }
            28 | 29 => {
                let (other, second) = self.pick();
                let output = self.node("Concat", &[&x, &other]);
                self.model.with("axis", Value::Int(stated_axis));
                let mut result = kept;
                result[axis] += second.get(axis).copied().unwrap_or(0);
                (output, result)
            }
            30 => {
                let pads: Vec<usize> = (0..2 * rank)
                    .map(|at| if at % rank == 0 { 0 } else { self.draw.below(3) })
                    .collect();
                let stated = self.draw.all_near(&pads);
                let name = self.wholes(&stated);
                let output = self.node("Pad", &[&x, &name]);
                let mode = self.draw.of(&["constant", "constant", "reflect", "edge", "wrap"]);
                self.model.with("mode", Value::Text(mode));
                let result = (0..rank)
                    .map(|at| shape[at] + pads[at] + pads[rank + at])
                    .collect();
                (output, result)
            }
            31 | 32 => {
                let mut perm: Vec<usize> = (0..rank).collect();
                for at in (2..rank).rev() {
                    perm.swap(at, 1 + self.draw.below(at));
                }
                let stated = self.draw.all_near(&perm);
                let output = self.node("Transpose", &[&x]);
                self.model.with("perm", Value::Ints(&stated));
                (output, perm.iter().map(|&axis| shape[axis]).collect())
            }
            33 | 34 => {
                let divisors: Vec<usize> = (1..=len).filter(|by| len.is_multiple_of(*by)).collect();
                let first = self.draw.of(&divisors);
                let rest: Vec<usize> = (1..=len / first)
                    .filter(|by| (len / first).is_multiple_of(*by))
                    .collect();
                let second = self.draw.of(&rest);
                let result = match self.draw.below(3) {
                    0 => vec![1, len],
                    1 => vec![1, first, len / first],
                    _ => vec![1, first, second, len / first / second],
                };
                let mut stated = self.draw.all_near(&result);
                if self.draw.below(4) == 3 {
                    let at = self.draw.below(stated.len());
                    stated[at] = -1;
                }
                let name = self.wholes(&stated);
                (self.node("Reshape", &[&x, &name]), result)
            }
            35 => {
                let output = self.node("Flatten", &[&x]);
                self.model.with("axis", Value::Int(stated_axis));
                (
                    output,
                    vec![shape[..axis].iter().product(), shape[axis..].iter().product()],
                )
            }
            36 => {
                let name = self.wholes(&[stated_axis]);
                let mut result = kept;
                if shape[axis] == 1 && axis > 0 {
                    result.remove(axis);
                    (self.node("Squeeze", &[&x, &name]), result)
                } else {
                    result.insert(axis, 1);
                    (self.node("Unsqueeze", &[&x, &name]), result)
                }
            }
            37 | 38 => {
                let by: Vec<usize> = (0..rank)
                    .map(|at| if at < 2 { 1 } else { 1 + self.draw.below(3) })
                    .collect();
                let name = self.name();
                let scales: Vec<f32> = by
                    .iter()
                    .map(|&by| {
                        if self.draw.odd() {
                            self.draw.real()
                        } else {
                            by as f32
                        }
                    })
                    .collect();
                self.model.floats(&name, &[rank], &scales);
                let output = if self.draw.flag() {
                    self.node("Upsample", &[&x, &name])
                } else {
                    let output = self.node("Resize", &[&x, "", &name]);
                    let way =
                        self.draw
                            .of(&["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"]);
                    let nearest = self
                        .draw
                        .of(&["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]);
                    self.model
                        .with("coordinate_transformation_mode", Value::Text(way));
                    self.model.with("nearest_mode", Value::Text(nearest));
                    output
                };
                self.model.with("mode", Value::Text("nearest"));
                (
                    output,
                    shape.iter().zip(by).map(|(&extent, by)| extent * by).collect(),
                )
            }
            39 => {
                let op = self.draw.of(&["Softmax", "LogSoftmax", "ArgMax", "ArgMin"]);
                let output = self.node(op, &[&x]);
                self.model.with("axis", Value::Int(stated_axis));
                (output, kept)
            }
            40 => {
                let name = self.wholes(&[1]);
                let output = self.node("TopK", &[&x, &name]);
                self.model.with("axis", Value::Int(stated_axis));
                let indices = self.name();
                let node = self.model.graph.node.last_mut().expect("a node");
                node.output.push(indices.clone());
                let mut result = kept;
                result[axis] = 1;
                (if self.draw.flag() { indices } else { output }, result)
            }
            41 => {
                let extent = shape[axis];
                let (start, end) = (self.draw.below(extent), extent - self.draw.below(extent));
                let step = 1 + self.draw.below(2);
                let numbers = [start, end].map(|number| self.draw.near(number as i64));
                let names = [numbers[0], numbers[1], stated_axis, self.draw.near(step as i64)]
                    .map(|number| self.wholes(&[number]));
                let mut result = kept;
                result[axis] = end.saturating_sub(start).div_ceil(step).max(1);
                (
                    self.node("Slice", &[&x, &names[0], &names[1], &names[2], &names[3]]),
                    result,
                )
            }
            42 => {
                let count = 1 + self.draw.below(4);
                let indices: Vec<usize> = (0..count).map(|_| self.draw.below(shape[axis])).collect();
                let stated = self.draw.all_near(&indices);
                let name = self.wholes(&stated);
                let output = self.node("Gather", &[&x, &name]);
                self.model.with("axis", Value::Int(stated_axis));
                let mut result = kept;
                result[axis] = count;
                (output, result)
            }
            43 => {
                let output = self.node("Split", &[&x]);
                self.model.with("axis", Value::Int(stated_axis));
                let second = self.name();
                self.model
                    .graph
                    .node
                    .last_mut()
                    .expect("a node")
                    .output
                    .push(second.clone());
                let mut result = kept;
                result[axis] = shape[axis].div_ceil(2);
                self.made.push((second, result.clone()));
                (output, result)
            }
            44 => {
                if rank != 4 {
                    return None;
                }
                let window: [usize; 2] = std::array::from_fn(|at| 1 + self.draw.below(shape[1 + at].min(3)));
                let output = self.node("Im2Col", &[&x]);
                let kernel = self.draw.all_near(&window);
                self.model.with("kernel_size", Value::Ints(&kernel));
                self.model.with("stride", Value::Ints(&[1, 1]));
                self.model.with("pad_amount", Value::Ints(&[0, 0, 0, 0]));
                let stated = format!("({}, {}, {}, {})", shape[0], shape[1], shape[2], shape[3]);
                self.model.with("input_shape", Value::Text(&stated));
                let columns = window[0] * window[1] * shape[3];
                let outputs = 1 + self.draw.below(3);
                let weight = self.weight(&[columns, outputs]);
                let result = vec![1, shape[1] + 1 - window[0], shape[2] + 1 - window[1], outputs];
                (self.node("MatMul", &[&output, &weight]), result)
            }
            _ => {
                if rank != 4 {
                    return None;
                }
                let output = self.node("QuantAvgPool2d", &[&x]);
                let kernel = 1 + self.draw.below(3);
                let kernel = self.draw.near(kernel as i64);
                for (name, value) in [
                    ("stride", 1),
                    ("kernel", kernel),
                    ("ibits", 8),
                    ("obits", 4),
                    ("signed", 1),
                ] {
                    self.model.with(name, Value::Int(value));
                }
                self.model.with("data_layout", Value::Text("NCHW"));
                (output, kept)
            }
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw(bytes);
    let rank = 1 + draw.below(4);
    let mut shape = vec![1];
    shape.extend((0..rank).map(|_| 1 + draw.below(6)));
    let stated: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    let mut graph = Graph {
        model: Model::new("x", &stated),
        draw,
        made: vec![("x".to_owned(), shape.clone())],
        count: 0,
    };
    if !graph.draw.odd() {
        let quantized = graph.quant("x", &shape);
        graph.made.push((quantized, shape));
    }
    for _ in 0..MOST_NODES {
        if graph.draw.0.is_empty() {
            break;
        }
        if let Some(made) = graph.step() {
            let small = made.1.iter().product::<usize>() <= 4096 && made.1.len() <= 6 && !made.1.is_empty();
            graph.made.push(made);
            if !small {
                break;
            }
        }
    }
    let (last, _) = graph.made.last().expect("the input").clone();
    graph.model.output(&last);
    let result = OnnxGraph::parse(Path::new("fuzz.onnx"), &graph.model.bytes())
        .and_then(|graph| qonnx::import(&graph));
    match result {
        Ok(network) => {
            work::evaluate_extremes(&network);
            work::compare_engines(&network);
        }
        Err(error) => assert!(
            !error.expected.is_empty() && !error.repair.is_empty(),
            "{error:?}"
        ),
    }
});
