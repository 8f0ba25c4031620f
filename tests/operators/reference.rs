//! The operators by their published definitions (ONNX operator sets, and `qonnx.custom_op.general`),
//! in rational arithmetic and with loops that follow the definitions.

use std::collections::{HashMap, HashSet};

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use radstream::network::import::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::tensor::{Tensor, exact, whole};
use super::{single, windows};

/// A node with its operands.
pub struct Call<'g> {
    node: &'g NodeProto,
    /// The operands, `None` where one is omitted.
    pub operands: Vec<Option<Tensor>>,
}

impl Call<'_> {
    pub fn op(&self) -> &str {
        &self.node.op_type
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, otherwise: f32) -> BigRational {
        exact(f64::from(
            self.attribute(name).map_or(otherwise, |attribute| attribute.f),
        ))
    }

    pub fn text(&self, name: &str) -> String {
        self.attribute(name).map_or(String::new(), |attribute| {
            String::from_utf8(attribute.s.clone()).expect("text")
        })
    }

    pub fn floats(&self, name: &str) -> Option<Vec<BigRational>> {
        let attribute = self.attribute(name)?;
        Some(
            attribute
                .floats
                .iter()
                .map(|&value| exact(f64::from(value)))
                .collect(),
        )
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A required operand.
    pub fn operand(&self, position: usize) -> &Tensor {
        self.optional(position).expect("an operand")
    }

    pub fn optional(&self, position: usize) -> Option<&Tensor> {
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// An operand of one number.
    fn number(&self, position: usize) -> BigRational {
        self.operand(position).values[0].clone()
    }

    /// An operand of integers.
    pub fn integers(&self, position: usize) -> Vec<i64> {
        let values = &self.operand(position).values;
        values
            .iter()
            .map(|v| v.to_integer().to_i64().expect("an integer"))
            .collect()
    }
}

/// Decodes a stored tensor of floats or 64-bit integers.
fn stored(tensor: &TensorProto) -> Tensor {
    let values = if tensor.data_type == 7 {
        tensor.int64_data.iter().map(|&value| whole(value)).collect()
    } else {
        let floats = tensor.raw_data.chunks_exact(4);
        floats
            .map(|bytes| exact(f64::from(f32::from_le_bytes(bytes.try_into().expect("four")))))
            .collect()
    };
    Tensor {
        shape: tensor.dims.iter().map(|&dim| dim as usize).collect(),
        values,
    }
}

/// The output of a graph whose nodes are in order, for one input.
pub fn evaluate(graph: &GraphProto, input: &Tensor) -> Tensor {
    evaluate_with(graph, input, &HashMap::new())
}

/// As [`evaluate`], with given values for what some nodes make.
pub fn evaluate_with(graph: &GraphProto, input: &Tensor, given: &HashMap<&str, Tensor>) -> Tensor {
    let mut values: HashMap<&str, Tensor> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), stored(tensor)))
        .collect();
    let mut constants: HashSet<&str> = values.keys().copied().collect();
    values.insert(&graph.input[0].name, input.clone());
    for node in &graph.node {
        if let Some(value) = given.get(node.output[0].as_str()) {
            values.insert(&node.output[0], value.clone());
            continue;
        }
        let constant = node.input.iter().all(|name| constants.contains(name.as_str()));
        if constant {
            constants.extend(node.output.iter().map(String::as_str));
        }
        let operands = node
            .input
            .iter()
            .map(|name| (!name.is_empty()).then(|| values[name.as_str()].clone()))
            .collect();
        let results = if constant && matches!(node.op_type.as_str(), "Quant" | "IntQuant") {
            vec![single::quant(&Call { node, operands })]
        } else {
            call(&Call { node, operands })
        };
        for (name, result) in node.output.iter().zip(results) {
            values.insert(name, result);
        }
    }
    values[graph.output[0].name.as_str()].clone()
}

fn call(call: &Call) -> Vec<Tensor> {
    if call.node.domain == "qonnx.custom_op.channels_last" {
        return channels_last(call);
    }
    let x = call.optional(0);
    let result = match call.node.op_type.as_str() {
        "Quant" | "IntQuant" => quant(call),
        "BipolarQuant" => call.operand(0).combine(call.operand(1), |x, scale| {
            if x.is_negative() {
                -scale.clone()
            } else {
                scale.clone()
            }
        }),
        "Trunc" => trunc(call),
        "MultiThreshold" => multi_threshold(call),
        "Conv" => windows::conv(call),
        "ConvTranspose" => windows::conv_transpose(call),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => windows::pool(call),
        "MatMul" => mat_mul(call.operand(0), call.operand(1)),
        "Gemm" => gemm(call),
        "Add" => call.operand(0).combine(call.operand(1), |a, b| a + b),
        "Sub" => call.operand(0).combine(call.operand(1), |a, b| a - b),
        "Mul" => call.operand(0).combine(call.operand(1), |a, b| a * b),
        "Div" => call.operand(0).combine(call.operand(1), |a, b| a / b),
        "Neg" => call.operand(0).map(|x| -x),
        "Identity" => call.operand(0).clone(),
        "Relu" => call.operand(0).map(|x| x.clone().max(BigRational::zero())),
        "LeakyRelu" => {
            let alpha = call.float("alpha", 0.01);
            call.operand(0)
                .map(|x| if x.is_negative() { x * &alpha } else { x.clone() })
        }
        "Clip" => {
            let bound = |position| call.optional(position).map(|bound| bound.values[0].clone());
            let (low, high) = (bound(1), bound(2));
            call.operand(0).map(|x| {
                let raised = low.clone().map_or(x.clone(), |low| low.max(x.clone()));
                high.clone().map_or(raised.clone(), |high| high.min(raised))
            })
        }
        "Sigmoid" => call.operand(0).map(|x| {
            let x = x.to_f64().expect("a float");
            exact(1.0 / (1.0 + libm::exp(-x)))
        }),
        "Tanh" => call
            .operand(0)
            .map(|x| exact(libm::tanh(x.to_f64().expect("a float")))),
        "BatchNormalization" => batch_normalization(call),
        "Concat" => concat(call),
        "Pad" => pad(call),
        "Transpose" => {
            let perm = call.ints("perm").expect("a permutation");
            let perm: Vec<usize> = perm.iter().map(|&axis| axis as usize).collect();
            call.operand(0).transposed(&perm)
        }
        "Reshape" => reshape(call),
        "Flatten" => {
            let rank = call.operand(0).shape.len() as i64;
            let axis = call.int("axis", 1);
            let axis = if axis < 0 { axis + rank } else { axis } as usize;
            let (front, back) = call.operand(0).shape.split_at(axis);
            let shape = vec![front.iter().product(), back.iter().product()];
            call.operand(0).clone().reshaped(shape)
        }
        "Squeeze" => {
            let shape = call.operand(0).shape.clone();
            let axes = axes(call, shape.len());
            let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
            call.operand(0)
                .clone()
                .reshaped(kept.map(|axis| shape[axis]).collect())
        }
        "Unsqueeze" => {
            let mut shape = call.operand(0).shape.clone();
            let mut axes = axes(call, shape.len() + call.integers(1).len());
            axes.sort_unstable();
            axes.iter().for_each(|&axis| shape.insert(axis, 1));
            call.operand(0).clone().reshaped(shape)
        }
        "Upsample" | "Resize" => windows::resize(call),
        "Slice" => slice(call),
        "Gather" => gather(call),
        "Split" => return split(call),
        "Shape" => {
            let shape = &call.operand(0).shape;
            let to = call.int("end", shape.len() as i64);
            let shape = &shape[call.int("start", 0) as usize..to as usize];
            Tensor {
                shape: vec![shape.len()],
                values: shape.iter().map(|&extent| whole(extent as i64)).collect(),
            }
        }
        "ReduceMean" | "ReduceSum" | "ReduceMax" => reduce(call),
        "Im2Col" => windows::im2col(call),
        "MaxPoolNHWC" => {
            let node = NodeProto {
                op_type: "MaxPool".into(),
                ..call.node.clone()
            };
            let operands = vec![Some(call.operand(0).channels_first())];
            windows::pool(&Call {
                node: &node,
                operands,
            })
            .channels_last()
        }
        "QuantAvgPool2d" => windows::quantized_average(call),
        "TopK" => {
            let (values, indices) = top(call.operand(0), call.integers(1)[0] as usize, false);
            return vec![values, indices];
        }
        "ArgMax" => top(call.operand(0), 1, call.int("select_last_index", 0) != 0).1,
        other => panic!("the reference lacks {other} of {x:?}"),
    };
    vec![result]
}

/// `np.round` and its relatives, as `resolve_rounding_mode` of qonnx lists them.
fn rounded(mode: &str, x: &BigRational) -> BigRational {
    let half = BigRational::new(BigInt::one(), BigInt::from(2));
    let sign = if x.is_negative() { whole(-1) } else { whole(1) };
    match mode {
        "ROUND" | "HALF_EVEN" => {
            let nearest = (x + &half).floor();
            // A tie went up; back to the even one.
            if &nearest - x == half && nearest.to_integer().bit(0) {
                nearest - whole(1)
            } else {
                nearest
            }
        }
        "CEIL" => x.ceil(),
        "FLOOR" => x.floor(),
        "UP" => sign * x.abs().ceil(),
        "DOWN" => sign * x.abs().floor(),
        "HALF_UP" => sign * (x.abs() + half).floor(),
        "HALF_DOWN" => sign * (x.abs() - half).ceil(),
        other => panic!("rounding {other}"),
    }
}

/// Smallest and largest integer, `min_int` and `max_int` of qonnx.
fn integer_range(signed: bool, narrow: bool, bits: u32) -> (BigRational, BigRational) {
    let two_to = |bits: u32| BigRational::from_integer(BigInt::one() << bits);
    match (signed, narrow) {
        (true, true) => (-two_to(bits - 1) + whole(1), two_to(bits - 1) - whole(1)),
        (true, false) => (-two_to(bits - 1), two_to(bits - 1) - whole(1)),
        (false, true) => (whole(0), two_to(bits) - whole(2)),
        (false, false) => (whole(0), two_to(bits) - whole(1)),
    }
}

fn quant(call: &Call) -> Tensor {
    let zero = call.number(2);
    let bits = call.integers(3)[0] as u32;
    let signed = call.int("signed", 1) != 0;
    let (low, high) = integer_range(signed, call.int("narrow", 0) != 0, bits);
    let mode = call.text("rounding_mode");
    call.operand(0).combine(call.operand(1), |x, scale| {
        let y = x / scale + &zero;
        let y = if bits == 1 && signed {
            if y.is_negative() { whole(-1) } else { whole(1) }
        } else {
            rounded(&mode, &y.max(low.clone()).min(high.clone()))
        };
        (y - &zero) * scale
    })
}

fn trunc(call: &Call) -> Tensor {
    let (scale, zero) = (call.number(1), call.number(2));
    let mode = call.text("rounding_mode");
    if call.operands.len() == 5 {
        let dropped = call.integers(3)[0] - call.integers(4)[0];
        let step = BigRational::from_integer(BigInt::one() << dropped as u32);
        return call.operand(0).map(|x| {
            let y = rounded("ROUND", &(x / &scale + &zero));
            (rounded(&mode, &(y / &step)) - &zero) * &scale
        });
    }
    let output_scale = call.number(4);
    let (low, high) = integer_range(
        call.int("signed", 1) != 0,
        call.int("narrow", 0) != 0,
        call.integers(5)[0] as u32,
    );
    let step = &output_scale / &scale;
    call.operand(0).map(|x| {
        let y = rounded("ROUND", &(x / &scale + &zero)) / &step;
        let y = rounded(&mode, &y.max(low.clone()).min(high.clone()));
        (y - &zero / &step) * &output_scale
    })
}

fn multi_threshold(call: &Call) -> Tensor {
    let (x, thresholds) = (call.operand(0), call.operand(1));
    let (scale, bias) = (call.float("out_scale", 1.0), call.float("out_bias", 0.0));
    let layout = call.text("data_layout");
    let axis = match (layout.find('C'), x.shape.len()) {
        (Some(axis), _) => axis,
        (None, 3) => 2,
        (None, _) => 1,
    };
    Tensor::from_fn(&x.shape, |at| {
        let row = if thresholds.shape[0] == 1 { 0 } else { at[axis] };
        let reached = (0..thresholds.shape[1])
            .filter(|&step| x.get(at) >= thresholds.get(&[row, step]))
            .count();
        &scale * whole(reached as i64) + &bias
    })
}

/// An operator on the operands with their channels first, its result with the channels last.
fn channels_last(of: &Call) -> Vec<Tensor> {
    let node = NodeProto {
        domain: String::new(),
        ..of.node.clone()
    };
    let moved = |(position, operand): (usize, &Option<Tensor>)| match operand {
        Some(operand) if position == 0 || (position == 1 && node.op_type == "Conv") => {
            Some(operand.channels_first())
        }
        operand => operand.clone(),
    };
    let operands = of.operands.iter().enumerate().map(moved).collect();
    let call = Call {
        node: &node,
        operands,
    };
    self::call(&call).iter().map(Tensor::channels_last).collect()
}

/// Numbers of an attribute or of an operand.
fn listed(call: &Call, name: &str, position: usize) -> Option<Vec<i64>> {
    call.ints(name)
        .or_else(|| call.optional(position).map(|_| call.integers(position)))
}

fn slice(call: &Call) -> Tensor {
    let x = call.operand(0);
    let rank = x.shape.len();
    let (starts, ends) = (
        listed(call, "starts", 1).expect("starts"),
        listed(call, "ends", 2).expect("ends"),
    );
    let axes = listed(call, "axes", 3).unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = listed(call, "steps", 4).unwrap_or_else(|| vec![1; starts.len()]);
    let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|&extent| (0..extent).collect()).collect();
    for (k, &axis) in axes.iter().enumerate() {
        let axis = axis.rem_euclid(rank as i64) as usize;
        let extent = x.shape[axis] as i64;
        let counted = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
        let (start, end) = (counted(starts[k]), counted(ends[k]));
        // Every element that lies on the way, one by one.
        let order: Vec<i64> = if steps[k] > 0 {
            (0..extent).filter(|&at| at >= start.max(0) && at < end).collect()
        } else {
            (0..extent).rev().filter(|&at| at <= start && at > end).collect()
        };
        kept[axis] = order
            .iter()
            .step_by(steps[k].unsigned_abs() as usize)
            .map(|&at| at as usize)
            .collect();
    }
    let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
    Tensor::from_fn(&shape, |at| {
        let from: Vec<usize> = at.iter().zip(&kept).map(|(&at, kept)| kept[at]).collect();
        x.get(&from).clone()
    })
}

fn gather(call: &Call) -> Tensor {
    let (x, indices) = (call.operand(0), call.operand(1));
    let axis = call.int("axis", 0).rem_euclid(x.shape.len() as i64) as usize;
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    let wide = indices.shape.len();
    Tensor::from_fn(&shape, |at| {
        let index = indices
            .get(&at[axis..axis + wide])
            .to_integer()
            .to_i64()
            .expect("an index");
        let index = index.rem_euclid(x.shape[axis] as i64) as usize;
        x.get(&[&at[..axis], &[index], &at[axis + wide..]].concat())
            .clone()
    })
}

fn split(call: &Call) -> Vec<Tensor> {
    let x = call.operand(0);
    let axis = call.int("axis", 0).rem_euclid(x.shape.len() as i64) as usize;
    let parts = call.node.output.len();
    let sizes = listed(call, "split", 1).unwrap_or_else(|| vec![(x.shape[axis] / parts) as i64; parts]);
    let mut start = 0;
    sizes
        .iter()
        .map(|&size| {
            let mut shape = x.shape.clone();
            shape[axis] = size as usize;
            let from = start;
            start += size as usize;
            Tensor::from_fn(&shape, |at| {
                let mut at = at.clone();
                at[axis] += from;
                x.get(&at).clone()
            })
        })
        .collect()
}

fn reduce(call: &Call) -> Tensor {
    let x = call.operand(0);
    let rank = x.shape.len();
    let axes: Vec<usize> = listed(call, "axes", 1)
        .unwrap_or_else(|| (0..rank as i64).collect())
        .iter()
        .map(|&axis| axis.rem_euclid(rank as i64) as usize)
        .collect();
    let mut shape = x.shape.clone();
    axes.iter().for_each(|&axis| shape[axis] = 1);
    let inside: Vec<usize> = (0..rank)
        .map(|axis| if axes.contains(&axis) { x.shape[axis] } else { 1 })
        .collect();
    let reduced = Tensor::from_fn(&shape, |at| {
        let values = super::tensor::coordinates(&inside).into_iter().map(|step| {
            let from: Vec<usize> = at.iter().zip(&step).map(|(a, b)| a + b).collect();
            x.get(&from).clone()
        });
        let count = whole(inside.iter().product::<usize>() as i64);
        match call.op() {
            "ReduceMax" => values.max().expect("an element"),
            "ReduceSum" => values.sum(),
            _ => values.sum::<BigRational>() / count,
        }
    });
    if call.int("keepdims", 1) != 0 {
        return reduced;
    }
    let kept = (0..rank)
        .filter(|axis| !axes.contains(axis))
        .map(|axis| x.shape[axis])
        .collect();
    reduced.reshaped(kept)
}

fn mat_mul(a: &Tensor, b: &Tensor) -> Tensor {
    let mut shape = a.shape.clone();
    *shape.last_mut().expect("a vector") = b.shape[1];
    Tensor::from_fn(&shape, |at| {
        let (front, column) = (&at[..at.len() - 1], at[at.len() - 1]);
        (0..b.shape[0])
            .map(|k| a.get(&[front, &[k]].concat()) * b.get(&[k, column]))
            .sum()
    })
}

fn gemm(call: &Call) -> Tensor {
    let turned = |tensor: &Tensor, name: &str| {
        if call.int(name, 0) == 0 {
            tensor.clone()
        } else {
            tensor.transposed(&[1, 0])
        }
    };
    let (a, b) = (
        turned(call.operand(0), "transA"),
        turned(call.operand(1), "transB"),
    );
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let product = mat_mul(&a, &b).map(|x| x * &alpha);
    match call.optional(2) {
        Some(bias) => product.combine(&bias.map(|x| x * &beta), |a, b| a + b),
        None => product,
    }
}

/// The square root, to 2^-200 of its value.
fn root(value: &BigRational) -> BigRational {
    let shift = BigInt::one() << 400u32;
    let scaled = (value * BigRational::from_integer(shift)).to_integer();
    BigRational::new(scaled.sqrt(), BigInt::one() << 200u32)
}

fn batch_normalization(call: &Call) -> Tensor {
    let epsilon = call.float("epsilon", 1e-5);
    let x = call.operand(0);
    let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|position| &call.operand(position).values);
    Tensor::from_fn(&x.shape, |at| {
        let channel = at[1];
        let deviation = root(&(&variance[channel] + &epsilon));
        (x.get(at) - &mean[channel]) / deviation * &gamma[channel] + &beta[channel]
    })
}

fn concat(call: &Call) -> Tensor {
    let rank = call.operand(0).shape.len();
    let axis = call.int("axis", 1).rem_euclid(rank as i64) as usize;
    let parts: Vec<&Tensor> = (0..call.operands.len()).map(|k| call.operand(k)).collect();
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    Tensor::from_fn(&shape, |at| {
        let mut at = at.clone();
        for part in &parts {
            if at[axis] < part.shape[axis] {
                return part.get(&at).clone();
            }
            at[axis] -= part.shape[axis];
        }
        unreachable!("within the sum of extents")
    })
}

fn pad(call: &Call) -> Tensor {
    let x = call.operand(0);
    let rank = x.shape.len();
    let stated = listed(call, "pads", 1).expect("pads");
    let axes = listed(call, "axes", 3).unwrap_or_else(|| (0..rank as i64).collect());
    let (mut before, mut after) = (vec![0i64; rank], vec![0i64; rank]);
    for (k, &axis) in axes.iter().enumerate() {
        let axis = axis.rem_euclid(rank as i64) as usize;
        (before[axis], after[axis]) = (stated[k], stated[axes.len() + k]);
    }
    let border = call
        .optional(2)
        .map_or(call.float("value", 0.0), |v| v.values[0].clone());
    let shape: Vec<usize> = (0..rank)
        .map(|axis| (x.shape[axis] as i64 + before[axis] + after[axis]) as usize)
        .collect();
    Tensor::from_fn(&shape, |at| {
        let from: Option<Vec<usize>> = (0..rank)
            .map(|axis| {
                let extent = x.shape[axis] as i64;
                let mut at = at[axis] as i64 - before[axis];
                match call.text("mode").as_str() {
                    "edge" => at = at.max(0).min(extent - 1),
                    "wrap" => at = at.rem_euclid(extent),
                    "reflect" => {
                        while at < 0 || at >= extent {
                            at = if at < 0 { -at } else { 2 * (extent - 1) - at };
                        }
                    }
                    _ => {}
                }
                (0..extent).contains(&at).then_some(at as usize)
            })
            .collect();
        from.map_or(border.clone(), |from| x.get(&from).clone())
    })
}

fn reshape(call: &Call) -> Tensor {
    let x = call.operand(0);
    let wanted = call.integers(1);
    let mut shape: Vec<usize> = wanted
        .iter()
        .enumerate()
        .map(|(axis, &extent)| match extent {
            0 => x.shape[axis],
            -1 => 1,
            extent => extent as usize,
        })
        .collect();
    if let Some(axis) = wanted.iter().position(|&extent| extent == -1) {
        shape[axis] = x.values.len() / shape.iter().product::<usize>();
    }
    x.clone().reshaped(shape)
}

fn axes(call: &Call, rank: usize) -> Vec<usize> {
    let axes = call.integers(1);
    axes.iter()
        .map(|&axis| axis.rem_euclid(rank as i64) as usize)
        .collect()
}

/// Values and indices of the `count` largest along the last axis.
fn top(x: &Tensor, count: usize, last: bool) -> (Tensor, Tensor) {
    let rank = x.shape.len();
    let mut shape = x.shape.clone();
    let extent = std::mem::replace(&mut shape[rank - 1], count);
    let ranked = |at: &[usize]| {
        let front = &at[..rank - 1];
        let value = |k: usize| x.get(&[front, &[k]].concat()).clone();
        let mut order: Vec<usize> = (0..extent).collect();
        if last {
            order.reverse();
        }
        // Stable: equal values stay in that order.
        order.sort_by_key(|&k| std::cmp::Reverse(value(k)));
        let chosen = order[at[rank - 1]];
        (value(chosen), whole(chosen as i64))
    };
    (
        Tensor::from_fn(&shape, |at| ranked(at).0),
        Tensor::from_fn(&shape, |at| ranked(at).1),
    )
}
