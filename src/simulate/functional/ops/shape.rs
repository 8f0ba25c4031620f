//! Operations that only move elements.

use super::cast_to_output;
use crate::network::{Network, Node, Pad};

/// One element of a concatenation.
pub fn concat(network: &Network, node: &Node, axis: usize, operands: &[&[i64]], index: usize) -> i64 {
    let shape = &network.tensor(node.output).shape;
    let inner: usize = shape[axis + 1..].iter().product();
    let outer = index / (shape[axis] * inner);
    let mut along = index / inner % shape[axis];
    for (operand, id) in node.inputs.iter().enumerate() {
        let size = network.tensor(*id).shape[axis];
        if along < size {
            let at = (outer * size + along) * inner + index % inner;
            return cast_to_output(network, node, operand, i128::from(operands[operand][at]));
        }
        along -= size;
    }
    unreachable!("the output's extent is the sum of the operands'")
}

/// One element of a transposition.
pub fn transpose(network: &Network, node: &Node, perm: &[usize], input: &[i64], index: usize) -> i64 {
    let from = &network.tensor(node.inputs[0]).shape;
    let to = &network.tensor(node.output).shape;
    let mut rest = index;
    let mut at = 0;
    for axis in (0..to.len()).rev() {
        let coordinate = rest % to[axis];
        rest /= to[axis];
        at += coordinate * from[perm[axis] + 1..].iter().product::<usize>();
    }
    cast_to_output(network, node, 0, i128::from(input[at]))
}

/// One element of a padding.
pub fn pad(network: &Network, node: &Node, pad: &Pad, input: &[i64], index: usize) -> i64 {
    let from = image(&network.tensor(node.inputs[0]).shape);
    let to = image(&network.tensor(node.output).shape);
    let (pixel, channel) = (index / to[2], index % to[2]);
    let y = (pixel / to[1])
        .checked_sub(pad.amounts[0])
        .filter(|&y| y < from[0]);
    let x = (pixel % to[1])
        .checked_sub(pad.amounts[2])
        .filter(|&x| x < from[1]);
    let value = match (y, x) {
        (Some(y), Some(x)) => input[(y * from[1] + x) * from[2] + channel],
        _ => pad.value,
    };
    cast_to_output(network, node, 0, i128::from(value))
}

/// One element of a nearest-neighbour enlargement.
pub fn upsample(network: &Network, node: &Node, factors: &[usize], input: &[i64], index: usize) -> i64 {
    let from = &network.tensor(node.inputs[0]).shape;
    let to = &network.tensor(node.output).shape;
    let mut rest = index;
    let mut at = 0;
    for axis in (0..to.len()).rev() {
        let coordinate = rest % to[axis] / factors.get(axis).copied().unwrap_or(1);
        rest /= to[axis];
        at += coordinate * from[axis + 1..].iter().product::<usize>();
    }
    cast_to_output(network, node, 0, i128::from(input[at]))
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
