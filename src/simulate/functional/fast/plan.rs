//! What follows from a network alone.

use std::sync::Arc;

use super::Level;
use super::lanes::Kind;
use super::range::{Codes, Range, ranges};
use crate::fixed_point::Overflow;
use crate::network::{Encoding, Mac, Network, Node, NodeId, Op, TensorId};
use crate::simulate::functional::plan::{LinearMac, Plan, Step};

/// A network compiled for fast evaluation: which sums are free of order, and how each tensor is
/// stored.
#[derive(Clone, Debug)]
pub struct FastPlan {
    pub(super) network: Arc<Network>,
    pub(super) level: Level,
    /// Per node, the product whose sum may be taken in any order.
    pub(super) linear: Vec<Option<LinearMac>>,
    pub(super) ranges: Vec<Range>,
    pub(super) kinds: Vec<Kind>,
    /// Per tensor, the nodes that read it.
    pub(super) readers: Vec<Vec<NodeId>>,
}

impl FastPlan {
    /// Compiles a network for the widest vector instructions of the machine.
    #[must_use]
    pub fn new(network: impl Into<Arc<Network>>) -> Self {
        Self::with_level(network, Level::widest())
    }

    /// Compiles a network for given vector instructions.
    #[must_use]
    pub fn with_level(network: impl Into<Arc<Network>>, level: Level) -> Self {
        let network: Arc<Network> = network.into();
        let ranges = ranges(&network, Codes::Computed);
        let mut kinds: Vec<Kind> = (network.tensors.iter().zip(&ranges))
            .map(|(tensor, range)| Kind::of(range, tensor.channels()))
            .collect();
        let mut readers = vec![Vec::new(); network.tensors.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.index()].push(NodeId::from(index));
            }
            // Reshaped bits stay where they are.
            if let (Op::Reshape, kind @ Kind::Bits { .. }) = (&node.op, kinds[node.inputs[0].index()]) {
                kinds[node.output.index()] = kind;
            }
        }
        let linear = (Plan::new(Arc::clone(&network))
            .steps
            .into_iter()
            .zip(&network.nodes))
        .map(|(step, node)| match (step, &node.op) {
            (Step::Linear(linear), Op::Mac(mac)) if stays_linear(&network, node, mac, &ranges) => {
                Some(*linear)
            }
            _ => None,
        })
        .collect();
        Self {
            network,
            level,
            linear,
            ranges,
            kinds,
            readers,
        }
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The vector instructions.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The only reader of a tensor that nobody else looks at.
    pub(super) fn only_reader(&self, tensor: TensorId) -> Option<&Node> {
        match self.readers[tensor.index()][..] {
            [reader] if tensor != self.network.output => Some(&self.network.nodes[reader.index()]),
            _ => None,
        }
    }
}

/// Whether the classification by encodings holds for what the input tensor really holds, and for the
/// unit in which matches are counted.
fn stays_linear(network: &Network, node: &Node, mac: &Mac, ranges: &[Range]) -> bool {
    let input = network.tensor(node.inputs[0]).encoding;
    let weight = network.param(mac.weight).encoding;
    let range = ranges[node.inputs[0].index()];
    if !Range::of_encoding(&input).contains(&range) {
        return false;
    }
    if !mac.popcount {
        return true;
    }
    let bipolar = |encoding| matches!(encoding, Encoding::Bipolar { .. });
    let format = mac.accumulator.format;
    let holds_every_count = mac.bias.is_none()
        && format.max_mantissa() >= mac.geometry.taps(mac.groups) as i128
        || format.overflow() == Overflow::Wrap { saturation_bits: 0 };
    bipolar(input) && bipolar(weight) && range.bipolar && format.frac() == 0 && holds_every_count
}
