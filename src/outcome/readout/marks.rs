//! What the axes of a readout's tensors count, from the network's output on.

use std::collections::HashMap;

use super::builder::Builder;
use crate::network::Marks;
use crate::network::import::onnx::OnnxNode;

/// Marks of the tensors that there are so far, the batch included.
pub(super) type Known = HashMap<String, Marks>;

/// What the axes of a node's output of that shape count.
pub(super) fn behind(builder: &Builder, known: &Known, node: &OnnxNode, shape: &[usize]) -> Marks {
    let of = |position: usize| {
        let marks = known.get(node.input(position)?)?;
        Some(marks.clone())
    };
    let same = |marks: Marks| {
        if marks.0.len() == shape.len() {
            marks
        } else {
            Marks::unknown(shape)
        }
    };
    let first = || of(0).unwrap_or_else(|| Marks::unknown(shape));
    match node.op.as_str() {
        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool" => {
            first().behind_window(shape, 1, 2)
        }
        "BatchNormalization" if shape.len() > 1 => first().behind_window(shape, 1, 2),
        "Gemm" | "MatMul" => {
            // Products see features on the last axis.
            let last = shape.len().saturating_sub(1);
            let leading = same(first()).joined(shape);
            let product = Marks::unknown(shape).behind_window(shape, last, shape.len());
            let axes = leading
                .0
                .into_iter()
                .take(last)
                .chain(product.0.into_iter().skip(last));
            Marks(axes.collect())
        }
        "Add" | "Sub" | "Mul" | "Div" => {
            let fits = |marks: &Marks| {
                let extents = marks
                    .0
                    .iter()
                    .map(|parts| parts.iter().map(|part| part.extent).product::<usize>());
                extents.eq(shape.iter().copied())
            };
            let operand = [of(0), of(1)].into_iter().flatten().find(fits);
            operand.unwrap_or_else(|| Marks::unknown(shape))
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => first().reshaped(shape),
        "Transpose" => {
            let rank = shape.len();
            let perm = match node.ints("perm") {
                None => Some((0..rank).rev().collect()),
                Some(perm) => perm
                    .iter()
                    .map(|&axis| builder.axis(node, axis, rank).ok())
                    .collect::<Option<Vec<usize>>>(),
            };
            perm.map_or_else(|| Marks::unknown(shape), |perm| first().transposed(&perm))
        }
        "Concat" | "Relu" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Clip" | "Softmax" | "BatchNormalization"
        | "Identity" | "Dropout" => same(first()).joined(shape),
        _ => Marks::unknown(shape),
    }
}
