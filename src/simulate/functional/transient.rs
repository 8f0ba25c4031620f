//! Flips that last for one inference.

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Parameters, ops};
use crate::fixed_point::Format;
use crate::network::{Encoding, Network, NodeId, Op, TensorId};

/// Where a transient strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The codes that a tensor hands on: the network's input, or what a node made. All readers see the flip.
    Tensor(TensorId),
    /// The accumulator of a matrix product behind its last sum and before the cast to the output, in the
    /// accumulator's format.
    Sum(NodeId),
}

/// Bits of one code that are inverted during one inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Transient {
    /// What is struck.
    pub place: Place,
    /// Which of its elements.
    pub element: u32,
    /// The inverted bits of the two's complement pattern in the place's format, bit 0 least significant. A
    /// bipolar code is one bit.
    pub flip: u64,
}

/// Why a transient does not fit a network.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum TransientError {
    /// There is no such tensor, or no such node.
    #[error("the network has no {what} {index}")]
    #[diagnostic(
        code(radstream::transient::place),
        help("expected one of its {count}, counted from 0")
    )]
    Place {
        /// What is missing.
        what: &'static str,
        /// Its index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The node has no accumulator.
    #[error("`{node}` has no accumulator")]
    #[diagnostic(
        code(radstream::transient::sum),
        help("expected a matrix product or a convolution; strike the tensor that the node hands on instead")
    )]
    Sum {
        /// Name of the node.
        node: String,
    },
    /// There is no such element.
    #[error("`{name}` has no element {element}")]
    #[diagnostic(
        code(radstream::transient::element),
        help("expected one of its {count} elements, counted from 0")
    )]
    Element {
        /// Name of the tensor or node.
        name: String,
        /// The element.
        element: u32,
        /// How many there are.
        count: usize,
    },
    /// A bit lies outside the format, or none is inverted.
    #[error("{flip:#x} inverts no bits of `{name}`, whose codes have {width}")]
    #[diagnostic(
        code(radstream::transient::bit),
        help("expected at least one of the bits 0 to {}", width - 1)
    )]
    Bit {
        /// Name of the tensor or node.
        name: String,
        /// The mask.
        flip: u64,
        /// Bits of a code.
        width: u32,
    },
}

impl Transient {
    /// Whether it fits a network.
    ///
    /// # Errors
    /// [`TransientError`] where the place or the element does not exist, or a bit lies outside the format.
    pub fn check(&self, network: &Network) -> Result<(), TransientError> {
        let missing = |what, index, count| TransientError::Place { what, index, count };
        let (name, count, width) = match self.place {
            Place::Tensor(id) => {
                let count = network.tensors.len();
                let tensor = (network.tensors.get(id.index())).ok_or(missing("tensor", id.index(), count))?;
                (&tensor.name, tensor.len(), tensor.encoding.width())
            }
            Place::Sum(id) => {
                let count = network.nodes.len();
                let node = (network.nodes.get(id.index())).ok_or(missing("node", id.index(), count))?;
                let Op::Mac(mac) = &node.op else {
                    let node = node.name.clone();
                    return Err(TransientError::Sum { node });
                };
                let output = network.tensor(node.output);
                (&node.name, output.len(), mac.accumulator.format.width())
            }
        };
        if self.element as usize >= count {
            return Err(TransientError::Element {
                name: name.clone(),
                element: self.element,
                count,
            });
        }
        if self.flip == 0 || width < 64 && self.flip >> width != 0 {
            return Err(TransientError::Bit {
                name: name.clone(),
                flip: self.flip,
                width,
            });
        }
        Ok(())
    }
}

/// A code with inverted bits.
#[must_use]
pub fn inverted(encoding: &Encoding, mantissa: i64, flip: u64) -> i64 {
    match flip {
        // A code that is not struck may lie outside the encoding.
        0 => mantissa,
        _ => encoding.mantissa_of_bits(encoding.bits_of(mantissa) ^ flip),
    }
}

/// A sum with inverted bits.
#[must_use]
pub fn inverted_sum(format: &Format, mantissa: i128, flip: u64) -> i128 {
    format.mantissa_of_bits(format.bits_of(mantissa) ^ u128::from(flip))
}

/// Inverted bits of one element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flip {
    /// Of the accumulator.
    pub sum: u64,
    /// Of the code that is handed on.
    pub code: u64,
}

/// The transients of one node's sums and output, or of the network's input.
#[derive(Clone, Debug, Default)]
pub struct Flips {
    /// In the order of the elements once it is sorted.
    list: Vec<(u32, Flip)>,
}

impl Flips {
    /// Adds one.
    pub fn push(&mut self, transient: &Transient) {
        let flip = match transient.place {
            Place::Tensor(_) => Flip {
                sum: 0,
                code: transient.flip,
            },
            Place::Sum(_) => Flip {
                sum: transient.flip,
                code: 0,
            },
        };
        self.list.push((transient.element, flip));
    }

    /// Joins what strikes one element; two flips of one bit cancel.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|(element, _)| *element);
        self.list.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.sum ^= later.1.sum;
                first.1.code ^= later.1.code;
            }
            same
        });
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What strikes an element.
    #[must_use]
    pub fn of(&self, element: usize) -> Flip {
        match self.list.binary_search_by_key(&element, |(at, _)| *at as usize) {
            Ok(at) => self.list[at].1,
            Err(_) => Flip::default(),
        }
    }

    /// The struck elements and what strikes them.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Flip)> + '_ {
        self.list.iter().map(|&(element, flip)| (element as usize, flip))
    }
}

/// Transients by what makes the codes: the input first, then one list per node.
#[derive(Clone, Debug, Default)]
pub struct FlipsByNode {
    lists: Vec<Flips>,
    /// Per tensor, the list of what makes it.
    makers: Vec<u32>,
    /// Lists with any entry.
    filled: Vec<u32>,
}

impl FlipsByNode {
    /// None of a network's.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        let mut makers = vec![0; network.tensors.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            makers[node.output.index()] = index as u32 + 1;
        }
        Self {
            lists: vec![Flips::default(); network.nodes.len() + 1],
            makers,
            filled: Vec::new(),
        }
    }

    /// Replaces all.
    ///
    /// # Panics
    /// Where one does not fit the network ([`Transient::check`]).
    pub fn set(&mut self, network: &Network, transients: &[Transient]) {
        for list in self.filled.drain(..) {
            self.lists[list as usize].clear();
        }
        for transient in transients {
            if let Err(error) = transient.check(network) {
                panic!("transients that fit the network: {error}");
            }
            let list = match transient.place {
                Place::Tensor(id) => self.makers[id.index()],
                Place::Sum(id) => id.0 + 1,
            };
            if self.lists[list as usize].is_empty() {
                self.filled.push(list);
            }
            self.lists[list as usize].push(transient);
        }
        for &list in &self.filled {
            self.lists[list as usize].sort();
        }
    }

    /// Those of the input.
    #[must_use]
    pub fn input(&self) -> &Flips {
        &self.lists[0]
    }

    /// Those of a node.
    #[must_use]
    pub fn of(&self, node: usize) -> &Flips {
        &self.lists[node + 1]
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The nodes with any, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        self.filled
            .iter()
            .filter(|&&list| list > 0)
            .map(|&list| list as usize - 1)
    }
}

/// One output element of a node under a flip.
#[must_use]
pub fn struck_element(
    network: &Network,
    node: usize,
    parameters: &Parameters,
    operands: &[&[i64]],
    index: usize,
    flip: Flip,
) -> i64 {
    let node = &network.nodes[node];
    let value = ops::element_of_inverted_sum(network, node, parameters, operands, index, flip.sum);
    inverted(&network.tensor(node.output).encoding, value, flip.code)
}
