//! Operations that only move elements.

use super::{Watch, cast_to_output};
use crate::network::{Network, Node, Pad};

/// An element that comes from the element `at` of the first operand.
pub fn moved(network: &Network, node: &Node, input: &[i64], at: usize, watch: &mut impl Watch) -> i64 {
    cast_to_output(network, node, 0, i128::from(input[at]), watch)
}

/// One element of a concatenation.
pub fn concat(
    network: &Network,
    node: &Node,
    axis: usize,
    operands: &[&[i64]],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let (operand, at) = concat_source(network, node, axis, index);
    cast_to_output(network, node, operand, i128::from(operands[operand][at]), watch)
}

/// The operand and its element that an element of a concatenation comes from.
pub fn concat_source(network: &Network, node: &Node, axis: usize, index: usize) -> (usize, usize) {
    let shape = &network.tensor(node.output).shape;
    let inner: usize = shape[axis + 1..].iter().product();
    let outer = index / (shape[axis] * inner);
    let mut along = index / inner % shape[axis];
    let mut operand = 0;
    loop {
        let size = network.tensor(node.inputs[operand]).shape[axis];
        // The output's extent is the sum of the operands', so the last operand always takes it.
        if along < size || operand + 1 == node.inputs.len() {
            return (operand, (outer * size + along) * inner + index % inner);
        }
        along -= size;
        operand += 1;
    }
}

/// The element that an element of a transposition comes from.
pub fn transpose_source(network: &Network, node: &Node, perm: &[usize], index: usize) -> usize {
    gather_source(network, node, index, |axis, coordinate| (perm[axis], coordinate))
}

/// The operand's element at the coordinates that `source` makes of each axis and coordinate of the
/// result.
fn gather_source(
    network: &Network,
    node: &Node,
    index: usize,
    source: impl Fn(usize, usize) -> (usize, usize),
) -> usize {
    let from = &network.tensor(node.inputs[0]).shape;
    let to = &network.tensor(node.output).shape;
    let mut rest = index;
    let mut at = 0;
    for axis in (0..to.len()).rev() {
        let (from_axis, coordinate) = source(axis, rest % to[axis]);
        at += coordinate * from[from_axis + 1..].iter().product::<usize>();
        rest /= to[axis];
    }
    at
}

/// One element of a padding.
pub fn pad(
    network: &Network,
    node: &Node,
    pad: &Pad,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let value = pad_source(network, node, pad, index).map_or(pad.value, |at| input[at]);
    cast_to_output(network, node, 0, i128::from(value), watch)
}

/// The element that an element of a padding comes from, `None` on the border.
pub fn pad_source(network: &Network, node: &Node, pad: &Pad, index: usize) -> Option<usize> {
    let from = image(&network.tensor(node.inputs[0]).shape);
    let to = image(&network.tensor(node.output).shape);
    let (pixel, channel) = (index / to[2], index % to[2]);
    let y = (pixel / to[1])
        .checked_sub(pad.amounts[0])
        .filter(|&y| y < from[0])?;
    let x = (pixel % to[1])
        .checked_sub(pad.amounts[2])
        .filter(|&x| x < from[1])?;
    Some((y * from[1] + x) * from[2] + channel)
}

/// The element that an element of an enlargement comes from.
pub fn upsample_source(network: &Network, node: &Node, factors: &[usize], index: usize) -> usize {
    gather_source(network, node, index, |axis, coordinate| {
        (axis, coordinate / factors.get(axis).copied().unwrap_or(1))
    })
}

/// The element that an element of a selection comes from.
pub fn picked_source(network: &Network, node: &Node, indices: &[Vec<usize>], index: usize) -> usize {
    gather_source(network, node, index, |axis, coordinate| {
        (axis, indices[axis][coordinate])
    })
}

/// A shape as height, width and channels.
fn image(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [height, width, channels] => [height, width, channels],
        [width, channels] => [1, width, channels],
        [channels] => [1, 1, channels],
        _ => [1, 1, shape.iter().product()],
    }
}
