//! Which operand elements an output element reads.

use super::pool;
use super::shape;
use crate::network::{Broadcast, Network, Node, Op};

/// Calls `read(operand, element)` for every operand element that output element `index` of an
/// operation without weights depends on.
pub fn sources(network: &Network, node: &Node, op: &Op, index: usize, read: &mut dyn FnMut(usize, usize)) {
    match op {
        Op::Pool(pool) => pool::taps(pool, index).into_iter().for_each(|at| read(0, at)),
        Op::Combine(combine) => {
            read(0, index);
            let second = network.tensor(node.inputs[1]).len();
            read(
                1,
                match combine.broadcast {
                    Broadcast::None => index,
                    Broadcast::PerChannel => index % second,
                    Broadcast::Scalar => 0,
                },
            );
        }
        Op::Concat { axis } => {
            let (operand, at) = shape::concat_source(network, node, *axis, index);
            read(operand, at);
        }
        Op::Transpose { perm } => read(0, shape::transpose_source(network, node, perm, index)),
        Op::Pad(pad) => {
            if let Some(at) = shape::pad_source(network, node, pad, index) {
                read(0, at);
            }
        }
        Op::Upsample { factors } => read(0, shape::upsample_source(network, node, factors, index)),
        Op::Gather { indices } => read(0, shape::picked_source(network, node, indices, index)),
        Op::Softmax(softmax) => {
            let first = index / softmax.slice * softmax.slice;
            (first..first + softmax.slice).for_each(|at| read(0, at));
        }
        Op::ArgMax(arg_max) => {
            let slice = network.tensor(node.inputs[0]).channels();
            let first = index / arg_max.count * slice;
            (first..first + slice).for_each(|at| read(0, at));
        }
        Op::Program(_) => (0..network.tensor(node.inputs[0]).len()).for_each(|at| read(0, at)),
        Op::Mac(_)
        | Op::Cast
        | Op::CastEach(_)
        | Op::Relu(_)
        | Op::Affine(_)
        | Op::ScaledBias(_)
        | Op::MultiThreshold(_)
        | Op::Table(_)
        | Op::Clip { .. }
        | Op::Rescale { .. }
        | Op::Reshape => read(0, index),
    }
}
