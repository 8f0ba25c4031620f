//! The plain evaluation: every element of every tensor, one after the other, in exact arithmetic.
//! It is the twin that the fast paths are compared with.

use super::transient::{FlipsByNode, inverted, struck_element};
use super::{Parameters, Transient, ops};
use crate::network::{Network, TensorId};

/// The mantissas of every tensor for one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    tensors: Vec<Vec<i64>>,
}

impl Trace {
    /// The mantissas of one tensor.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &[i64] {
        &self.tensors[id.index()]
    }
}

/// Evaluates one sample: `input` holds the mantissas of the network's input tensor.
///
/// # Panics
/// Where `input` has another length than the input tensor.
#[must_use]
pub fn evaluate(network: &Network, parameters: &Parameters, input: &[i64]) -> Trace {
    evaluate_struck(network, parameters, &[], input)
}

/// As [`evaluate`], with transients.
///
/// # Panics
/// As [`evaluate`]; where a transient does not fit the network ([`Transient::check`]).
#[must_use]
pub fn evaluate_struck(
    network: &Network,
    parameters: &Parameters,
    transients: &[Transient],
    input: &[i64],
) -> Trace {
    assert_eq!(
        input.len(),
        network.tensor(network.input).len(),
        "one mantissa per input element"
    );
    let mut tensors: Vec<Vec<i64>> = vec![Vec::new(); network.tensors.len()];
    let mut flips = FlipsByNode::new(network);
    flips.set(network, transients);
    tensors[network.input.index()] = input.to_vec();
    for (at, flip) in flips.input().iter() {
        let encoding = &network.tensor(network.input).encoding;
        tensors[network.input.index()][at] = inverted(encoding, input[at], flip.code);
    }
    for (index, node) in network.nodes.iter().enumerate() {
        let operands: Vec<&[i64]> = node
            .inputs
            .iter()
            .map(|id| tensors[id.index()].as_slice())
            .collect();
        let mut output = ops::evaluate(network, node, parameters, &operands);
        for (at, flip) in flips.of(index).iter() {
            output[at] = struck_element(network, index, parameters, &operands, at, flip);
        }
        tensors[node.output.index()] = output;
    }
    Trace { tensors }
}
