//! Operators other than windows.

use super::builder::Builder;
use super::kernels::{self, Dense, Softmax, Unary};
use super::plan::{Action, Binary, Operand, View};
use super::window;
use crate::network::import::ImportError;
use crate::network::import::limits::MAX_AXES;
use crate::network::import::onnx::OnnxNode;

type Compiled = Result<View, ImportError>;

/// Compiles one node; `None` where the operator is not known.
pub(super) fn compile_node(builder: &mut Builder, node: &OnnxNode) -> Result<Option<View>, ImportError> {
    let view = match node.op.as_str() {
        "Gemm" => gemm(builder, node),
        "MatMul" => mat_mul(builder, node),
        "Add" => binary(builder, node, Binary::Add),
        "Sub" => binary(builder, node, Binary::Sub),
        "Mul" => binary(builder, node, Binary::Mul),
        "Div" => binary(builder, node, Binary::Div),
        "Relu" => unary(builder, node, Unary::Relu),
        "LeakyRelu" => builder
            .real(node, "alpha", f64::from(0.01f32))
            .and_then(|slope| unary(builder, node, Unary::LeakyRelu(slope))),
        "Sigmoid" => unary(builder, node, Unary::Sigmoid),
        "Tanh" => unary(builder, node, Unary::Tanh),
        "Clip" => clip(builder, node),
        "Softmax" => softmax(builder, node),
        "BatchNormalization" => batch_normalization(builder, node),
        "Conv" => window::conv(builder, node),
        "ConvTranspose" => window::conv_transpose(builder, node),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" => window::pool(builder, node),
        "Reshape" => reshape(builder, node),
        "Flatten" => flatten(builder, node),
        "Squeeze" => squeeze(builder, node),
        "Unsqueeze" => unsqueeze(builder, node),
        "Transpose" => transpose(builder, node),
        "Concat" => concat(builder, node),
        // Dropout does nothing in inference.
        "Identity" | "Dropout" => builder.tensor(node, 0),
        _ => return Ok(None),
    };
    view.map(Some)
}

fn unary(builder: &mut Builder, node: &OnnxNode, function: Unary) -> Compiled {
    let from = builder.tensor(node, 0)?;
    let action = Action::Unary {
        function,
        from: from.offset,
    };
    let to = builder.push(node, &from.shape, action)?;
    Ok(View {
        offset: to.offset,
        ..from
    })
}

fn clip(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let bound = |position: usize, attribute: &str, otherwise: f64| match node.input(position) {
        None => Ok(node.float(attribute).unwrap_or(otherwise)),
        Some(name) => match builder.graph.constants.get(name).map(|bound| bound.reals()) {
            Some(values) if values.len() == 1 => Ok(values[0]),
            _ => Err(builder.unsupported(
                node,
                format!("has the bound `{name}`, which is no constant number"),
                "bounds that are numbers stored in the file",
            )),
        },
    };
    let low = bound(1, "min", f64::NEG_INFINITY)?;
    let high = bound(2, "max", f64::INFINITY)?;
    if low.is_nan() || high.is_nan() {
        return Err(builder.wrong(node, format!("clips to {low}..{high}"), "bounds that are numbers"));
    }
    unary(builder, node, Unary::Clip(low, high))
}

/// The shape that two tensors are broadcast to.
fn broadcast(
    builder: &Builder,
    node: &OnnxNode,
    a: &[usize],
    b: &[usize],
) -> Result<Vec<usize>, ImportError> {
    let rank = a.len().max(b.len());
    let extent =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (one, other) if one == other || other == 1 => Some(one),
            (1, other) => Some(other),
            _ => None,
        })
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| {
            builder.wrong(
                node,
                format!("has inputs of shapes {a:?} and {b:?}"),
                "shapes equal or 1 on every axis, counted from the last",
            )
        })
}

/// Values of a tensor broadcast to the shape of `layout`, in the order of its memory.
fn in_layout<T: Copy + Default>(layout: &View, row_major: impl Iterator<Item = T>) -> Vec<T> {
    let mut values = vec![T::default(); layout.len()];
    for (address, value) in layout.addresses(&layout.shape).into_iter().zip(row_major) {
        values[address - layout.offset] = value;
    }
    values
}

fn binary(builder: &mut Builder, node: &OnnxNode, function: Binary) -> Compiled {
    let shape_of = |builder: &mut Builder, position: usize| -> Result<_, ImportError> {
        if builder.is_constant(node, position) {
            let constant = builder.constant(node, position)?;
            if matches!(function, Binary::Div) && position == 1 && constant.reals().contains(&0.0) {
                return Err(builder.wrong(node, "divides by zero".to_owned(), "divisors other than zero"));
            }
            Ok((View::row_major(0, &constant.shape), Some(constant.reals())))
        } else {
            Ok((builder.tensor(node, position)?, None))
        }
    };
    let (left, left_values) = shape_of(builder, 0)?;
    let (right, right_values) = shape_of(builder, 1)?;
    elementwise(
        builder,
        node,
        function,
        (left, left_values),
        (right, right_values),
    )
}

/// An elementwise operation of tensors or constants (views of the values beside them).
fn elementwise(
    builder: &mut Builder,
    node: &OnnxNode,
    function: Binary,
    left: (View, Option<Vec<f64>>),
    right: (View, Option<Vec<f64>>),
) -> Compiled {
    let shape = broadcast(builder, node, &left.0.shape, &right.0.shape)?;
    let mut layout = [&left, &right]
        .into_iter()
        .find(|(view, values)| values.is_none() && view.shape == shape)
        .map_or_else(|| View::row_major(0, &shape), |(view, _)| view.clone());
    layout.offset = 0;
    let place = |builder: &mut Builder, (view, values): (View, Option<Vec<f64>>)| {
        if let Some(values) = values {
            builder.store(node, &shape)?;
            let spread = view.addresses(&shape).into_iter().map(|at| values[at]);
            return Ok(Operand::Constant(in_layout(&layout, spread)));
        }
        if view.same_layout(&layout) {
            return Ok(Operand::Memory(view.offset));
        }
        builder.store(node, &shape)?;
        let addresses = in_layout(&layout, view.addresses(&shape).into_iter());
        let copy = builder.push(node, &shape, Action::Gather(addresses))?;
        Ok::<_, ImportError>(Operand::Memory(copy.offset))
    };
    let left = place(builder, left)?;
    let right = place(builder, right)?;
    let action = Action::Binary {
        function,
        left,
        right,
    };
    let to = builder.push(node, &shape, action)?;
    Ok(View {
        offset: to.offset,
        ..layout
    })
}

/// `y = (x - mean) / sqrt(variance + epsilon) * scale + bias` per channel, the factor folded.
fn batch_normalization(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let from = builder.tensor(node, 0)?;
    let channels = from.shape.get(1).copied().unwrap_or(1);
    let mut parameters = Vec::new();
    for position in 1..5 {
        let values = builder.constant(node, position)?.reals();
        if values.len() != channels {
            let problem = format!(
                "has {} values as input {position} for {channels} channels",
                values.len()
            );
            return Err(builder.wrong(node, problem, "one value per channel"));
        }
        parameters.push(values);
    }
    let epsilon = builder.real(node, "epsilon", f64::from(1e-5f32))?;
    if parameters[3].iter().any(|variance| variance + epsilon <= 0.0) {
        let problem = "has a variance that is not positive".to_owned();
        return Err(builder.wrong(node, problem, "positive variances"));
    }
    if node.int("training_mode").unwrap_or(0) != 0 {
        let problem = "is in training mode".to_owned();
        return Err(builder.unsupported(node, problem, "a model exported for inference"));
    }
    let factor = parameters[0]
        .iter()
        .zip(&parameters[3])
        .map(|(scale, variance)| scale / (variance + epsilon).sqrt())
        .collect();
    let mut shape = vec![channels];
    shape.resize(from.shape.len().saturating_sub(1).max(1), 1);
    let mut view = from;
    let bias = parameters.swap_remove(1);
    let mean = parameters.swap_remove(2);
    for (function, values) in [(Binary::Sub, mean), (Binary::Mul, factor), (Binary::Add, bias)] {
        let constant = (View::row_major(0, &shape), Some(values));
        view = elementwise(builder, node, function, (view, None), constant)?;
    }
    Ok(view)
}

fn softmax(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let from = builder.row_major_tensor(node, 0)?;
    // Before operator set 13 the axes from `axis` on were one, and `axis` was 1 by default.
    let flattens = builder.graph.opset < 13;
    let axis = node.int("axis").unwrap_or(if flattens { 1 } else { -1 });
    let axis = builder.axis(node, axis, from.shape.len())?;
    let tail: usize = from.shape[axis + 1..].iter().product();
    let softmax = Softmax {
        outer: from.shape[..axis].iter().product(),
        len: from.shape[axis] * if flattens { tail } else { 1 },
        inner: if flattens { 1 } else { tail },
    };
    let action = Action::Softmax {
        softmax,
        from: from.offset,
    };
    builder.push(node, &from.shape, action)
}

fn gemm(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let is_set = |name: &str| node.int(name).unwrap_or(0) != 0;
    let alpha = builder.real(node, "alpha", 1.0)?;
    let beta = builder.real(node, "beta", 1.0)?;
    let mut from = if is_set("transA") {
        let from = builder.tensor(node, 0)?;
        transposed(&from, &(0..from.shape.len()).rev().collect::<Vec<_>>())
    } else {
        builder.tensor(node, 0)?
    };
    let matrix = builder.constant(node, 1)?;
    let (&[rows, inputs], &[first, second]) = (from.shape.as_slice(), matrix.shape.as_slice()) else {
        let problem = format!(
            "multiplies tensors of shapes {:?} and {:?}",
            from.shape, matrix.shape
        );
        return Err(builder.wrong(node, problem, "two matrices"));
    };
    let (stored_inputs, outputs) = if is_set("transB") {
        (second, first)
    } else {
        (first, second)
    };
    if stored_inputs != inputs {
        let problem = format!("multiplies {rows}x{inputs} by {stored_inputs}x{outputs}");
        return Err(builder.wrong(node, problem, "inner extents that agree"));
    }
    builder.work(node, &[rows, inputs, outputs])?;
    builder.store(node, &[inputs, outputs])?;
    let stored = matrix.reals();
    let weights: Vec<f64> = (0..inputs * outputs)
        .map(|at| {
            let (input, output) = (at / outputs, at % outputs);
            let weight = if is_set("transB") {
                stored[output * inputs + input]
            } else {
                stored[at]
            };
            alpha * weight
        })
        .collect();
    let bias = if node.input(2).is_some() {
        let constant = builder.constant(node, 2)?;
        let shape = [rows, outputs];
        if broadcast(builder, node, &constant.shape, &shape)? != shape {
            let problem = format!("has a bias of shape {:?}", constant.shape);
            return Err(builder.wrong(node, problem, "a bias that spreads over the product"));
        }
        builder.store(node, &shape)?;
        let values = constant.reals();
        View::row_major(0, &constant.shape)
            .addresses(&shape)
            .into_iter()
            .map(|at| beta * values[at])
            .collect()
    } else {
        Vec::new()
    };
    if !from.is_row_major() {
        let addresses = from.addresses(&from.shape);
        from = builder.push(node, &[rows, inputs], Action::Gather(addresses))?;
    }
    let dense = Dense {
        rows,
        inputs,
        outputs,
        zeros_vanish: kernels::zeros_vanish(&weights, &bias),
        weights,
        bias,
    };
    let action = Action::Dense {
        dense,
        from: from.offset,
    };
    builder.push(node, &[rows, outputs], action)
}

fn mat_mul(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let from = builder.row_major_tensor(node, 0)?;
    let matrix = builder.constant(node, 1)?;
    let &[inputs, outputs] = matrix.shape.as_slice() else {
        let problem = format!("multiplies by a constant of shape {:?}", matrix.shape);
        return Err(builder.unsupported(node, problem, "a constant matrix as the second input"));
    };
    let Some((&last, leading)) = from.shape.split_last().filter(|(last, _)| **last == inputs) else {
        let problem = format!("multiplies {:?} by {inputs}x{outputs}", from.shape);
        return Err(builder.wrong(node, problem, "inner extents that agree"));
    };
    builder.work(node, &[from.len(), outputs])?;
    builder.store(node, &[inputs, outputs])?;
    let weights = matrix.reals();
    let dense = Dense {
        rows: leading.iter().product(),
        inputs: last,
        outputs,
        zeros_vanish: kernels::zeros_vanish(&weights, &[]),
        weights,
        bias: Vec::new(),
    };
    let mut shape = leading.to_vec();
    shape.push(outputs);
    let action = Action::Dense {
        dense,
        from: from.offset,
    };
    builder.push(node, &shape, action)
}

/// The same values under another shape of the same size.
fn reshaped(builder: &mut Builder, node: &OnnxNode, shape: &[usize]) -> Compiled {
    let from = builder.row_major_tensor(node, 0)?;
    if shape.len() > MAX_AXES {
        let problem = format!("gives {:?} {} axes", from.shape, shape.len());
        return Err(builder.unsupported(node, problem, "tensors of fewer axes"));
    }
    let len = shape
        .iter()
        .try_fold(1usize, |len, &extent| len.checked_mul(extent));
    if len != Some(from.len()) {
        let problem = format!("gives {:?} the shape {shape:?}", from.shape);
        return Err(builder.wrong(node, problem, "shapes of one size"));
    }
    Ok(View::row_major(from.offset, shape))
}

fn reshape(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let from = builder.tensor(node, 0)?;
    let wanted = match builder.integers(node, 1)? {
        Some(wanted) => wanted,
        None => node.ints("shape").unwrap_or_default().to_vec(),
    };
    let wrong = || {
        let problem = format!("gives {:?} the shape {wanted:?}", from.shape);
        let expected = "extents above zero, 0 for the input's own, at most one -1, and one size; \
            an axis of samples is 1, 0 or -1";
        builder.wrong(node, problem, expected)
    };
    let keeps_zero = node.int("allowzero").unwrap_or(0) != 0;
    let mut free = None;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut known = 1usize;
    for (axis, &extent) in wanted.iter().enumerate() {
        let extent = match extent {
            -1 if free.is_none() => {
                free = Some(axis);
                1
            }
            0 if !keeps_zero => *from.shape.get(axis).ok_or_else(wrong)?,
            _ => usize::try_from(extent).map_err(|_| wrong())?,
        };
        known = known.checked_mul(extent).filter(|&k| k > 0).ok_or_else(wrong)?;
        shape.push(extent);
    }
    if let Some(axis) = free {
        shape[axis] = from.len() / known;
    }
    if shape.iter().product::<usize>() != from.len() {
        return Err(wrong());
    }
    reshaped(builder, node, &shape)
}

fn flatten(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let shape = builder.tensor(node, 0)?.shape;
    let axis = node.int("axis").unwrap_or(1);
    // Unlike elsewhere the rank itself is an axis: everything before it.
    let axis = if axis == shape.len() as i64 {
        shape.len()
    } else {
        builder.axis(node, axis, shape.len())?
    };
    let (before, after) = shape.split_at(axis);
    reshaped(builder, node, &[before.iter().product(), after.iter().product()])
}

/// The axes of Squeeze and Unsqueeze: an input since operator set 13, before an attribute.
fn axes(builder: &Builder, node: &OnnxNode) -> Result<Option<Vec<i64>>, ImportError> {
    Ok(builder
        .integers(node, 1)?
        .or_else(|| node.ints("axes").map(<[i64]>::to_vec)))
}

fn squeeze(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let shape = builder.tensor(node, 0)?.shape;
    let mut dropped = vec![false; shape.len()];
    match axes(builder, node)? {
        Some(axes) => {
            for axis in axes {
                dropped[builder.axis(node, axis, shape.len())?] = true;
            }
        }
        None => dropped
            .iter_mut()
            .zip(&shape)
            .for_each(|(drop, &extent)| *drop = extent == 1),
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|&axis| !dropped[axis])
        .map(|axis| shape[axis])
        .collect();
    reshaped(builder, node, &kept)
}

fn unsqueeze(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let shape = builder.tensor(node, 0)?.shape;
    let axes = axes(builder, node)?.unwrap_or_default();
    let rank = shape.len() + axes.len();
    let mut is_new = vec![false; rank];
    for axis in axes {
        let axis = builder.axis(node, axis, rank)?;
        if std::mem::replace(&mut is_new[axis], true) {
            let problem = format!("inserts axis {axis} twice");
            return Err(builder.wrong(node, problem, "different axes"));
        }
    }
    let mut old = shape.into_iter();
    let widened: Vec<usize> = is_new
        .iter()
        .filter_map(|&new| if new { Some(1) } else { old.next() })
        .collect();
    reshaped(builder, node, &widened)
}

/// The same memory seen with its axes in another order.
fn transposed(view: &View, order: &[usize]) -> View {
    View {
        offset: view.offset,
        shape: order.iter().map(|&axis| view.shape[axis]).collect(),
        strides: order.iter().map(|&axis| view.strides[axis]).collect(),
    }
}

fn transpose(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let from = builder.tensor(node, 0)?;
    let rank = from.shape.len();
    let order: Vec<usize> = match node.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(order) => order
            .iter()
            .map(|&axis| builder.axis(node, axis, rank))
            .collect::<Result<_, _>>()?,
    };
    let mut seen = vec![false; rank];
    order.iter().for_each(|&axis| seen[axis] = true);
    if order.len() != rank || seen.contains(&false) {
        let problem = format!("orders {rank} axes as {order:?}");
        return Err(builder.wrong(node, problem, "every axis once"));
    }
    Ok(transposed(&from, &order))
}

fn concat(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let parts = (0..node.inputs.len())
        .map(|position| builder.tensor(node, position))
        .collect::<Result<Vec<_>, _>>()?;
    let mut shape = parts.first().map(|part| part.shape.clone()).unwrap_or_default();
    let axis = builder.axis(node, node.int("axis").unwrap_or(0), shape.len())?;
    shape[axis] = 0;
    for part in &parts {
        let fits = part.shape.len() == shape.len()
            && (0..shape.len()).all(|other| other == axis || part.shape[other] == shape[other]);
        if !fits {
            let shapes: Vec<_> = parts.iter().map(|part| &part.shape).collect();
            let problem = format!("joins the shapes {shapes:?} along axis {axis}");
            return Err(builder.wrong(node, problem, "equal extents on every other axis"));
        }
        shape[axis] += part.shape[axis];
    }
    builder.store(node, &shape)?;
    let outer: usize = shape[..axis].iter().product();
    let runs: Vec<Vec<usize>> = parts.iter().map(|part| part.addresses(&part.shape)).collect();
    let mut addresses = Vec::new();
    for block in 0..outer {
        for run in &runs {
            let len = run.len() / outer;
            addresses.extend(&run[block * len..][..len]);
        }
    }
    builder.push(node, &shape, Action::Gather(addresses))
}
