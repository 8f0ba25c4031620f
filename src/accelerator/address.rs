//! Addresses as text: names and numbers of one stored bit, and what is wrong with an address that names
//! none.

use std::ops::Range;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::hardware::listed;
use super::{Accelerator, BitAddress, LogicalBit, Memory, MemoryId, StoredBit, StoredTensor};
use crate::network::ParamKind;

/// Both addresses of a stored bit by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamedBit {
    /// Name of the layer.
    pub layer: String,
    /// Name of the tensor.
    pub tensor: String,
    /// Row-major index of the element.
    pub element: u64,
    /// Bit of the element, 0 least significant.
    pub bit: u32,
    /// Name of the memory.
    pub memory: String,
    /// Word of the memory.
    pub word: u64,
    /// Bit of the word, 0 least significant.
    pub word_bit: u32,
}

/// Why an address names no stored bit.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum AddressError {
    /// No such layer.
    #[error("there is no layer `{name}`")]
    #[diagnostic(
        code(radstream::address::layer),
        help("expected one of: {}{}", listed(known), near(name, known))
    )]
    Layer {
        /// What was asked for.
        name: String,
        /// The layers that store something.
        known: Vec<String>,
    },
    /// The layer does not store such a tensor.
    #[error("layer `{layer}` stores no tensor `{name}`")]
    #[diagnostic(
        code(radstream::address::tensor),
        help(
            "expected one of: {}; a tensor in style Constant is not stored{}",
            listed(known),
            near(name, known)
        )
    )]
    Tensor {
        /// The layer.
        layer: String,
        /// What was asked for.
        name: String,
        /// The tensors that it stores.
        known: Vec<&'static str>,
    },
    /// The tensor has no such element.
    #[error("{layer}.{tensor} has no element {element}")]
    #[diagnostic(
        code(radstream::address::element),
        help("expected 0..={} for values{}", elements.saturating_sub(1), padding_range(*elements, *padding))
    )]
    Element {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// What was asked for.
        element: u64,
        /// Number of elements.
        elements: u64,
        /// Number of padding bits.
        padding: u64,
    },
    /// The element, or the word, has no such bit.
    #[error("{place} has no bit {bit}")]
    #[diagnostic(code(radstream::address::bit), help("{}", bits_help(bits)))]
    Bit {
        /// Name of the tensor or memory.
        place: String,
        /// What was asked for.
        bit: u32,
        /// The bits that there are.
        bits: Range<u32>,
    },
    /// No such memory.
    #[error("there is no memory `{name}`")]
    #[diagnostic(
        code(radstream::address::memory),
        help("expected one of: {}{}", listed(known), near(name, known))
    )]
    Memory {
        /// What was asked for.
        name: String,
        /// The memories.
        known: Vec<String>,
    },
    /// The memory has no such word.
    #[error("memory `{memory}` has no word {word}")]
    #[diagnostic(code(radstream::address::word), help("expected 0..={}", depth.saturating_sub(1)))]
    Word {
        /// The memory.
        memory: String,
        /// What was asked for.
        word: u64,
        /// Number of words.
        depth: u64,
    },
    /// A field is not a number.
    #[error("`{text}` is not a number for `{field}`")]
    #[diagnostic(
        code(radstream::address::number),
        help("expected a whole number from 0; correct the field")
    )]
    Number {
        /// The field.
        field: &'static str,
        /// Its text.
        text: String,
    },
}

fn near<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    crate::data::did_you_mean(name, known.iter().map(AsRef::as_ref))
}

fn bits_help(bits: &Range<u32>) -> String {
    if bits.is_empty() {
        "expected another element: this one is 0, and its own width is 0 bits".to_owned()
    } else {
        format!(
            "expected {}..={}, bit 0 least significant",
            bits.start,
            bits.end - 1
        )
    }
}

fn padding_range(elements: u64, padding: u64) -> String {
    if padding == 0 {
        String::new()
    } else {
        format!(", {elements}..={} for padding bits", elements + padding - 1)
    }
}

fn number<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, AddressError> {
    text.trim().parse().map_err(|_| AddressError::Number {
        field,
        text: text.to_owned(),
    })
}

impl Accelerator {
    /// The stored bit at a logical address. A tensor may also be called by the name that it has in the
    /// project of the network's flow ([`crate::network::TensorHint::name`]).
    ///
    /// # Errors
    /// [`AddressError`] naming what is valid in the first field that is not.
    pub fn find_logical(
        &self,
        layer: &str,
        tensor: &str,
        element: u64,
        bit: u32,
    ) -> Result<StoredBit, AddressError> {
        let of_layer: Vec<_> = self
            .map()
            .tensors()
            .iter()
            .filter(|stored| self.network().layer(stored.layer).name == layer)
            .collect();
        if of_layer.is_empty() && self.network().layer_named(layer).is_none() {
            let mut known: Vec<String> = Vec::new();
            for stored in self.map().tensors() {
                let name = &self.network().layer(stored.layer).name;
                if known.last() != Some(name) {
                    known.push(name.clone());
                }
            }
            return Err(AddressError::Layer {
                name: layer.to_owned(),
                known,
            });
        }
        let called = |stored: &&&StoredTensor| {
            stored.kind.name() == tensor || self.network().project_name(stored.param) == Some(tensor)
        };
        let Some(stored) = of_layer.iter().find(called) else {
            return Err(AddressError::Tensor {
                layer: layer.to_owned(),
                name: tensor.to_owned(),
                known: of_layer.iter().map(|stored| stored.kind.name()).collect(),
            });
        };
        let (elements, padding) = (stored.elements(), stored.padding_bits());
        let logical = LogicalBit {
            param: stored.param,
            element,
            bit,
        };
        self.map().find(logical).ok_or_else(|| {
            if element < elements + padding {
                AddressError::Bit {
                    place: format!("element {element} of {layer}.{tensor}"),
                    bit,
                    bits: if element < elements {
                        stored.element_bits(element)
                    } else {
                        0..1
                    },
                }
            } else {
                AddressError::Element {
                    layer: layer.to_owned(),
                    tensor: stored.kind.name(),
                    element,
                    elements,
                    padding,
                }
            }
        })
    }

    /// The memory of that name; or the one memory of a tensor that the project of the network's flow calls so,
    /// with `.<pe>` behind it where each PE has a memory of its own.
    #[must_use]
    pub fn find_memory(&self, name: &str) -> Option<MemoryId> {
        if let Some(id) = self.map().memory_named(name) {
            return Some(id);
        }
        let called = |memory: &Memory| {
            let Some(project_name) = self.network().project_name(memory.param) else {
                return false;
            };
            let layer = &self.network().layer(memory.layer).name;
            let part = memory
                .name
                .strip_prefix(&format!("{layer}.{}", memory.kind.name()));
            name.strip_prefix(project_name) == part
        };
        let memories = self.map().memories();
        let mut found = (0..memories.len()).filter(|&index| called(&memories[index]));
        match (found.next(), found.next()) {
            (Some(index), None) => Some(MemoryId(index as u32)),
            _ => None,
        }
    }

    /// The stored bit at a physical address; memories are called as in [`Accelerator::find_memory`].
    ///
    /// # Errors
    /// As [`Accelerator::find_logical`].
    pub fn find_physical(&self, memory: &str, word: u64, bit: u32) -> Result<StoredBit, AddressError> {
        let Some(id) = self.find_memory(memory) else {
            return Err(AddressError::Memory {
                name: memory.to_owned(),
                known: self
                    .map()
                    .memories()
                    .iter()
                    .map(|memory| memory.name.clone())
                    .collect(),
            });
        };
        let found = self.map().memory(id);
        let address = BitAddress {
            memory: id,
            word,
            bit,
        };
        self.map().at(address).ok_or_else(|| {
            if word >= found.depth {
                AddressError::Word {
                    memory: memory.to_owned(),
                    word,
                    depth: found.depth,
                }
            } else {
                AddressError::Bit {
                    place: format!("a word of memory `{memory}`"),
                    bit,
                    bits: 0..found.word_bits,
                }
            }
        })
    }

    /// The stored bit at a logical address whose numbers are text.
    ///
    /// # Errors
    /// As [`Accelerator::find_logical`], and where a number is none.
    pub fn parse_logical(
        &self,
        layer: &str,
        tensor: &str,
        element: &str,
        bit: &str,
    ) -> Result<StoredBit, AddressError> {
        self.find_logical(
            layer.trim(),
            tensor.trim(),
            number("element", element)?,
            number("bit", bit)?,
        )
    }

    /// The stored bit at a physical address whose numbers are text.
    ///
    /// # Errors
    /// As [`Accelerator::find_physical`], and where a number is none.
    pub fn parse_physical(&self, memory: &str, word: &str, bit: &str) -> Result<StoredBit, AddressError> {
        self.find_physical(memory.trim(), number("word", word)?, number("bit", bit)?)
    }

    /// Both addresses of a stored bit by name.
    ///
    /// # Panics
    /// Where the number is not below [`super::MemoryMap::total_bits`].
    #[must_use]
    pub fn named(&self, bit: StoredBit) -> NamedBit {
        let address = self.map().address(bit);
        let logical = self.map().logical_at(address);
        let memory = self.map().memory(address.memory);
        NamedBit {
            layer: self.network().layer(memory.layer).name.clone(),
            tensor: memory.kind.name().to_owned(),
            element: logical.element,
            bit: logical.bit,
            memory: memory.name.clone(),
            word: address.word,
            word_bit: address.bit,
        }
    }

    /// The tensor kind of that name.
    #[must_use]
    pub fn tensor_kind(name: &str) -> Option<ParamKind> {
        super::STORED_KINDS.into_iter().find(|kind| kind.name() == name)
    }
}
