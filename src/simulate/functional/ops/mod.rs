//! The value of each output element, operation by operation.

mod activation;
mod combine;
mod mac;
mod pool;
mod program;
mod shape;
mod softmax;
mod sources;
mod watch;

pub use mac::input_of_tap;
pub use sources::sources;
pub use watch::{Stage, Unwatched, Watch};

use super::Parameters;
use super::transient::inverted_sum;
use crate::fixed_point::Cast;
use crate::network::{Network, Node, Op};

/// All output elements of a node.
///
/// `operands` are the mantissas of the node's inputs in their order.
#[must_use]
pub fn evaluate(network: &Network, node: &Node, parameters: &Parameters, operands: &[&[i64]]) -> Vec<i64> {
    if let Op::Program(program) = &node.op {
        return program::outputs(network, node, program, operands[0]);
    }
    (0..network.tensor(node.output).len())
        .map(|index| element(network, node, parameters, operands, index))
        .collect()
}

/// One output element of a node.
#[must_use]
pub fn element(
    network: &Network,
    node: &Node,
    parameters: &Parameters,
    operands: &[&[i64]],
    index: usize,
) -> i64 {
    element_watched(network, node, parameters, operands, index, &mut Unwatched)
}

/// One output element of a node; of a matrix product with the bits of `flip` inverted in the accumulator.
#[must_use]
pub fn element_of_inverted_sum(
    network: &Network,
    node: &Node,
    parameters: &Parameters,
    operands: &[&[i64]],
    index: usize,
    flip: u64,
) -> i64 {
    match &node.op {
        Op::Mac(mac) if flip != 0 => {
            let watch = &mut Unwatched;
            let sum = mac::accumulator(network, node, mac, parameters, operands[0], index, watch);
            let format = mac.accumulator.format;
            let sum = inverted_sum(&format, sum, flip);
            cast_from(network, node, format.frac(), sum, watch)
        }
        _ => element(network, node, parameters, operands, index),
    }
}

/// One output element of a node, every cast of it under watch.
pub fn element_watched(
    network: &Network,
    node: &Node,
    parameters: &Parameters,
    operands: &[&[i64]],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    match &node.op {
        Op::Mac(mac) => mac::element(network, node, mac, parameters, operands[0], index, watch),
        Op::Cast => cast_to_output(network, node, 0, i128::from(operands[0][index]), watch),
        Op::Relu(relu) => activation::relu(network, node, relu, parameters, operands[0], index, watch),
        Op::Affine(affine) => {
            activation::affine(network, node, affine, parameters, operands[0], index, watch)
        }
        Op::ScaledBias(sum) => activation::scaled_bias(sum, parameters, operands[0], index),
        Op::MultiThreshold(thresholds) => {
            activation::multi_threshold(network, node, thresholds, parameters, operands[0], index)
        }
        Op::Table(table) => activation::table(network, node, table, operands[0], index, watch),
        Op::CastEach(each) => activation::cast_each(network, node, each, operands[0], index, watch),
        Op::Clip { low, high } => cast_to_output(
            network,
            node,
            0,
            i128::from(operands[0][index].clamp(*low, *high)),
            watch,
        ),
        Op::Rescale { factor, offset } => {
            operands[0][index] * factor[index % factor.len()] + offset[index % offset.len()]
        }
        Op::Softmax(softmax) => softmax::element(network, node, softmax, operands[0], index, watch),
        Op::Pool(pool) => pool::element(network, node, pool, operands[0], index, watch),
        Op::Combine(combine) => combine::element(network, node, combine, operands, index, watch),
        Op::Concat { axis } => shape::concat(network, node, *axis, operands, index, watch),
        Op::Reshape => cast_to_output(network, node, 0, i128::from(operands[0][index]), watch),
        Op::Transpose { perm } => shape::moved(
            network,
            node,
            operands[0],
            shape::transpose_source(network, node, perm, index),
            watch,
        ),
        Op::Pad(pad) => shape::pad(network, node, pad, operands[0], index, watch),
        Op::Upsample { factors } => shape::moved(
            network,
            node,
            operands[0],
            shape::upsample_source(network, node, factors, index),
            watch,
        ),
        Op::Gather { indices } => shape::moved(
            network,
            node,
            operands[0],
            shape::picked_source(network, node, indices, index),
            watch,
        ),
        Op::ArgMax(arg_max) => softmax::arg_max(network, node, arg_max, operands[0], index),
        Op::Program(program) => program::outputs(network, node, program, operands[0])[index],
    }
}

/// Casts a mantissa with the fractional bits of operand `operand` to the node's output.
fn cast_to_output(
    network: &Network,
    node: &Node,
    operand: usize,
    mantissa: i128,
    watch: &mut impl Watch,
) -> i64 {
    cast_from(
        network,
        node,
        network.tensor(node.inputs[operand]).encoding.frac(),
        mantissa,
        watch,
    )
}

/// Casts a mantissa with `frac` fractional bits to the node's output. A bipolar output takes
/// bipolar mantissas unchanged.
fn cast_from(network: &Network, node: &Node, frac: i32, mantissa: i128, watch: &mut impl Watch) -> i64 {
    match &network.tensor(node.output).encoding {
        crate::network::Encoding::Fixed(format) => {
            watch.cast(Stage::Result, &Cast::new(frac, format), mantissa) as i64
        }
        crate::network::Encoding::Bipolar { .. } => mantissa as i64,
    }
}
