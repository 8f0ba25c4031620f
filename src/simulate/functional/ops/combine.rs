//! Element-wise operations on two tensors.

use super::{Watch, cast_from};
use crate::network::{Broadcast, Combine, CombineOp, Network, Node};

/// One element of a combination: exact, then one cast.
pub fn element(
    network: &Network,
    node: &Node,
    combine: &Combine,
    operands: &[&[i64]],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let second = operands[1];
    let b = match combine.broadcast {
        Broadcast::None => second[index],
        Broadcast::PerChannel => second[index % second.len()],
        Broadcast::Scalar => second[0],
    };
    let fracs = [0, 1].map(|operand| network.tensor(node.inputs[operand]).encoding.frac());
    let (a, b) = (i128::from(operands[0][index]), i128::from(b));
    if combine.op == CombineOp::Multiply {
        return cast_from(network, node, fracs[0] + fracs[1], a * b, watch);
    }
    let frac = fracs[0].max(fracs[1]);
    let (a, b) = (a << (frac - fracs[0]), b << (frac - fracs[1]));
    match combine.op {
        CombineOp::Add => cast_from(network, node, frac, a + b, watch),
        CombineOp::Subtract => cast_from(network, node, frac, a - b, watch),
        CombineOp::Average => cast_from(network, node, frac + 1, a + b, watch),
        CombineOp::Maximum => cast_from(network, node, frac, a.max(b), watch),
        CombineOp::Minimum => cast_from(network, node, frac, a.min(b), watch),
        CombineOp::Multiply => unreachable!("products have returned"),
    }
}
