//! Transpositions that FINN absorbs into the columns of a dense product's weights.

use std::collections::HashMap;
use std::sync::Arc;

use super::folding::Stage;
use crate::network::bounds::order_is_free;
use crate::network::{Mac, Network, Node, Op, ParamId, TensorId};

/// Tensors whose elements come in another order than the tensor's own, as a product takes them.
///
/// A transposition in front of a dense product of one vector is no hardware in FINN: its `absorb` transformations
/// put the columns of the weights into the order in which the elements come. Addresses stay: element `[out][in]`
/// of the weights is that of the network file, and lies where the absorbed order has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Absorbed {
    /// The element that comes at each place.
    orders: HashMap<TensorId, Arc<[u32]>>,
    /// The column that lies at each place of a row, by the weights of the product.
    columns: HashMap<ParamId, Arc<[u32]>>,
}

impl Absorbed {
    pub(super) fn of(network: &Network, stages: &[Stage]) -> Self {
        let mut absorbed = Self::default();
        let ways = Ways::of(network);
        for node in &network.nodes {
            let Op::Mac(mac) = &node.op else { continue };
            let folded = stages
                .iter()
                .any(|stage| stage.layer == node.layer && stage.finn().is_some());
            if !folded || !takes_any_order(network, node, mac) {
                continue;
            }
            if let Some((tensors, order)) = ways.to(node, mac) {
                absorbed.columns.insert(mac.weight, Arc::clone(&order));
                absorbed
                    .orders
                    .extend(tensors.into_iter().map(|tensor| (tensor, Arc::clone(&order))));
            }
        }
        absorbed
    }

    /// Whether a tensor's elements come in another order than its own.
    #[must_use]
    pub fn differs(&self, tensor: TensorId) -> bool {
        self.orders.contains_key(&tensor)
    }

    /// The element that comes at each place of a tensor's stream, where that is another order than its own.
    #[must_use]
    pub fn order(&self, tensor: TensorId) -> Option<&[u32]> {
        self.orders.get(&tensor).map(AsRef::as_ref)
    }

    /// The column of the weights that lies at each place of a row, where that is another order than that of
    /// the network file.
    pub(super) fn columns(&self, weight: ParamId) -> Option<&Arc<[u32]>> {
        self.columns.get(&weight)
    }
}

fn takes_any_order(network: &Network, node: &Node, mac: &Mac) -> bool {
    let bias = mac.bias.map(|bias| network.param(bias).encoding);
    order_is_free(
        mac.geometry.taps(mac.groups),
        &network.param(mac.weight).encoding,
        &network.tensor(node.inputs[0]).encoding,
        bias.as_ref(),
        &mac.accumulator.format,
        mac.popcount,
    )
}

/// Where tensors come from, and how often they are read.
struct Ways<'a> {
    network: &'a Network,
    /// The node that makes each tensor.
    makers: Vec<Option<&'a Node>>,
    /// How many inputs of nodes and ends of the network read each tensor.
    readers: Vec<usize>,
}

impl<'a> Ways<'a> {
    fn of(network: &'a Network) -> Self {
        let mut makers = vec![None; network.tensors.len()];
        let mut readers = vec![0; network.tensors.len()];
        for node in &network.nodes {
            makers[node.output.index()] = Some(node);
            for input in &node.inputs {
                readers[input.index()] += 1;
            }
        }
        readers[network.output.index()] += 1;
        Self {
            network,
            makers,
            readers,
        }
    }

    /// The tensors from a transposition to a dense product of one vector, and the order in which their elements
    /// come.
    fn to(&self, product: &Node, mac: &Mac) -> Option<(Vec<TensorId>, Arc<[u32]>)> {
        let network = self.network;
        let elements = network.tensor(product.inputs[0]).len();
        if mac.transposed
            || mac.groups != 1
            || mac.geometry.taps(1) != elements
            || mac.geometry.output[..2] != [1, 1]
            || mac.geometry.window.pad != [0, 0]
        {
            return None;
        }
        let mut tensor = product.inputs[0];
        let mut tensors = Vec::new();
        while self.readers[tensor.index()] == 1 {
            tensors.push(tensor);
            let maker = self.makers[tensor.index()]?;
            let (from, to) = (network.tensor(maker.inputs[0]), network.tensor(tensor));
            if from.encoding != to.encoding {
                return None;
            }
            match &maker.op {
                Op::Transpose { perm } => return Some((tensors, brought(&to.shape, perm).into())),
                Op::Cast | Op::Reshape => tensor = maker.inputs[0],
                _ => return None,
            }
        }
        None
    }
}

/// The element of a transposed tensor of that shape that comes at each place, where the elements come in the order
/// of the tensor in front of the transposition.
fn brought(shape: &[usize], perm: &[usize]) -> Vec<u32> {
    let mut from = vec![1; perm.len()];
    for (axis, &source) in perm.iter().enumerate() {
        from[source] = shape[axis];
    }
    let stride = |axis: usize| from[axis + 1..].iter().product::<usize>();
    let mut brought = vec![0; shape.iter().product()];
    let mut coordinates = vec![0; shape.len()];
    for element in 0..brought.len() {
        let place: usize = (coordinates.iter().zip(perm))
            .map(|(&at, &source)| at * stride(source))
            .sum();
        brought[place] = element as u32;
        for axis in (0..shape.len()).rev() {
            coordinates[axis] += 1;
            if coordinates[axis] < shape[axis] {
                break;
            }
            coordinates[axis] = 0;
        }
    }
    brought
}
