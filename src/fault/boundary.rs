//! Codes that live for one inference: what layers hand on, and what matrix products sum up.

use serde::Serialize;

use crate::accelerator::AddressError;
use crate::network::{LayerId, Network, NodeId, Op};
use crate::simulate::functional::{Place, Transient};

/// Codes of one layer that can be struck during an inference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boundary {
    /// The layer; none for the network's input.
    #[serde(skip)]
    pub of: Option<LayerId>,
    /// Name of the layer, or of the network's input.
    pub layer: String,
    /// [`Boundary::ACTIVATION`] or [`Boundary::MAC`].
    pub tensor: &'static str,
    /// Where the flips are.
    pub place: Place,
    /// Number of codes.
    pub elements: u64,
    /// Bits of a code.
    pub width: u32,
}

impl Boundary {
    /// What a layer hands on, before any pooling that follows.
    pub const ACTIVATION: &'static str = "activation";
    /// The results of a layer's matrix product, in the accumulator's format.
    pub const MAC: &'static str = "mac";

    /// Number of bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.elements * u64::from(self.width)
    }

    /// The flip of a bit of an element.
    #[must_use]
    pub fn flip(&self, element: u64, bit: u32) -> Transient {
        Transient {
            place: self.place,
            element: element as u32,
            flip: 1 << bit,
        }
    }

    /// The flip at an address as people write it.
    ///
    /// # Errors
    /// [`AddressError`] where the element or the bit does not exist.
    pub fn parse(&self, element: &str, bit: &str) -> Result<Transient, AddressError> {
        let number = |field: &'static str, text: &str| -> Result<u64, AddressError> {
            text.trim().parse().map_err(|_| AddressError::Number {
                field,
                text: text.to_owned(),
            })
        };
        let (element, bit) = (number("element", element)?, number("bit", bit)?);
        if element >= self.elements {
            return Err(AddressError::Element {
                layer: self.layer.clone(),
                tensor: self.tensor,
                element,
                elements: self.elements,
                padding: 0,
            });
        }
        if bit >= u64::from(self.width) {
            return Err(AddressError::Bit {
                place: format!("element {element} of {}.{}", self.layer, self.tensor),
                bit: u32::try_from(bit).unwrap_or(u32::MAX),
                bits: 0..self.width,
            });
        }
        Ok(self.flip(element, bit as u32))
    }

    /// The flip of the bit of that number: bit 0 of element 0 first, the bits of an element together.
    #[must_use]
    pub fn flip_of(&self, number: u64) -> Transient {
        let width = u64::from(self.width);
        self.flip(number / width, (number % width) as u32)
    }
}

/// All boundaries of a network in the order of its layers, the input first, and each layer's products before what it
/// hands on.
#[must_use]
pub fn boundaries(network: &Network) -> Vec<Boundary> {
    let input = network.tensor(network.input);
    let mut found = vec![Boundary {
        of: None,
        layer: input.name.clone(),
        tensor: Boundary::ACTIVATION,
        place: Place::Tensor(network.input),
        elements: input.len() as u64,
        width: input.encoding.width(),
    }];
    for (number, layer) in (0u32..).zip(&network.layers) {
        let of = Some(LayerId(number));
        for (node_number, node) in (0u32..).zip(&network.nodes) {
            let Op::Mac(mac) = &node.op else { continue };
            if Some(node.layer) != of {
                continue;
            }
            found.push(Boundary {
                of,
                layer: layer.name.clone(),
                tensor: Boundary::MAC,
                place: Place::Sum(NodeId(node_number)),
                elements: network.tensor(node.output).len() as u64,
                width: mac.accumulator.format.width(),
            });
        }
        let place = Place::Tensor(layer.output);
        if found.iter().all(|other| other.place != place) {
            let tensor = network.tensor(layer.output);
            found.push(Boundary {
                of,
                layer: layer.name.clone(),
                tensor: Boundary::ACTIVATION,
                place,
                elements: tensor.len() as u64,
                width: tensor.encoding.width(),
            });
        }
    }
    found
}

/// Flips of single bits as one flip per code, in the order of their places; pairs of one bit cancel.
#[must_use]
pub fn together(mut flips: Vec<Transient>) -> Vec<Transient> {
    flips.sort_unstable_by_key(|one| (one.place, one.element));
    flips.dedup_by(|next, first| {
        let same = (next.place, next.element) == (first.place, first.element);
        if same {
            first.flip ^= next.flip;
        }
        same
    });
    flips.retain(|one| one.flip != 0);
    flips
}

/// Number of bits that these flips invert.
#[must_use]
pub fn bits_of(flips: &[Transient]) -> u64 {
    flips.iter().map(|one| u64::from(one.flip.count_ones())).sum()
}
