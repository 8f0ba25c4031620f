//! Orders of elements that a product takes as they come, with the columns of its weights in that order.

use std::collections::HashMap;

use super::super::matrix::{Matrix, Schedule};
use super::super::operators::{FrameOp, Function};
use crate::accelerator::{Accelerator, Folding};
use crate::network::{Mac, Network, Node, Op, TensorId};

/// Tensors whose stream has another order than the tensor.
///
/// A transposition in front of a dense product of one vector is no hardware in FINN: its `absorb` transformations
/// put the columns of the weights into the order in which the elements come.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The element that comes at each place.
    brought: HashMap<TensorId, Vec<u32>>,
}

impl Orders {
    pub(super) fn of(accelerator: &Accelerator) -> Self {
        let network = accelerator.network();
        let mut orders = Self::default();
        for node in &network.nodes {
            let (Op::Mac(mac), Some(stage)) = (&node.op, accelerator.stage(node.layer)) else {
                continue;
            };
            let Folding::Finn { pe, simd } = stage.folding else {
                continue;
            };
            let schedule = Schedule::Finn {
                pe: pe as usize,
                simd: simd as usize,
            };
            if let Some(way) = way(network, node, mac)
                && takes_any_order(network, node, mac, schedule)
            {
                orders.brought.extend(way);
            }
        }
        orders
    }

    /// Whether a tensor's elements come in another order than its own.
    pub(super) fn differs(&self, tensor: TensorId) -> bool {
        self.brought.contains_key(&tensor)
    }

    /// The element that comes at each place of a tensor's stream, where that is another order than its own.
    pub(super) fn brought(&self, tensor: TensorId) -> Option<&[u32]> {
        self.brought.get(&tensor).map(Vec::as_slice)
    }
}

fn takes_any_order(network: &Network, node: &Node, mac: &Mac, schedule: Schedule) -> bool {
    let taps = mac.geometry.taps(mac.groups) as u32;
    Matrix::new(network, node, mac, schedule, 0)
        .ok()
        .and_then(|matrix| matrix.of_order((0..taps).collect()))
        .is_some()
}

/// The tensors from a transposition to a dense product of one vector, with their orders.
fn way(network: &Network, product: &Node, mac: &Mac) -> Option<Vec<(TensorId, Vec<u32>)>> {
    let elements = network.tensor(product.inputs[0]).len();
    if mac.transposed
        || mac.groups != 1
        || mac.geometry.taps(1) != elements
        || mac.geometry.output[..2] != [1, 1]
        || mac.geometry.window.pad != [0, 0]
    {
        return None;
    }
    let alone = |tensor: TensorId| {
        let reads = network.nodes.iter().flat_map(|node| &node.inputs);
        reads.filter(|&&input| input == tensor).count() == 1 && tensor != network.output
    };
    let mut tensor = product.inputs[0];
    let mut tensors = Vec::new();
    loop {
        if !alone(tensor) {
            return None;
        }
        tensors.push(tensor);
        let maker = network.nodes.iter().find(|node| node.output == tensor)?;
        match (&maker.op, FrameOp::of(network, maker)) {
            (Op::Transpose { .. }, Some(FrameOp::Gather { moves, .. })) => {
                let same = network.tensor(maker.inputs[0]).encoding == network.tensor(maker.output).encoding;
                if !same {
                    return None;
                }
                let mut brought = vec![0; elements];
                for element in 0..moves.len() {
                    *brought.get_mut(moves.source(element)?)? = element as u32;
                }
                return Some(
                    tensors
                        .into_iter()
                        .map(|tensor| (tensor, brought.clone()))
                        .collect(),
                );
            }
            _ if Function::is_wire(network, maker) => tensor = maker.inputs[0],
            _ => return None,
        }
    }
}
