//! Which stored bits are protected.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::MapError;
use crate::accelerator::{Accelerator, NamedBit, StoredBit, Style};
use crate::scheme::{Protection, Scheme};

/// The protected bits of an accelerator by name; it stands on its own, without the network.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectionMap {
    network: String,
    hardware: String,
    /// The scheme of all bits; none where there are several.
    scheme: Option<Scheme>,
    memories: Vec<MappedMemory>,
    protected: Vec<ProtectedBit>,
    /// Positions in `protected` by memory.
    ranges: Vec<Range<usize>>,
}

/// A memory of the plain design.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedMemory {
    /// Its name.
    pub memory: String,
    /// The layer that reads it.
    pub layer: String,
    /// The tensor that it holds.
    pub tensor: String,
    /// That tensor's name in the project that the flow writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// What kind of memory it is.
    pub style: Style,
    /// Number of words.
    pub depth: u64,
    /// Bits of one word.
    pub word_bits: u32,
}

/// A protected bit with both addresses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProtectedBit {
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
    /// What the bit was chosen by; larger is more worth protecting.
    pub score: f64,
    /// How it is protected.
    pub scheme: Scheme,
}

/// What a map says about an accelerator.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedMap {
    /// What is protected.
    pub protection: Protection,
    /// The protected bits in the order of the map, each with its score.
    pub scores: Vec<(StoredBit, f64)>,
}

/// What stands for a map that is not read from a file.
const SOURCE: &str = "protection map";

/// Exports hold every word of every memory in one text.
const MAX_MAP_BITS: u64 = 1 << 30;

impl ProtectionMap {
    /// The map of an accelerator with these bits, each with its score, under a scheme.
    ///
    /// # Errors
    /// [`MapError`] where a bit is listed twice or a score is not finite.
    ///
    /// # Panics
    /// Where the accelerator has no such bit.
    pub fn new(
        accelerator: &Accelerator,
        scheme: Scheme,
        protected: &[(StoredBit, f64)],
    ) -> Result<Self, MapError> {
        let bits = protected.iter().map(|&(bit, score)| (bit, scheme, score));
        Self::of_bits(accelerator, Some(scheme), bits)
    }

    /// The map of an accelerator under a protection; `score` says what a bit was chosen by.
    ///
    /// # Errors
    /// [`MapError`] where a score is not finite, a protection is none that hardware can have, or schemes
    /// cannot stand side by side in a word.
    ///
    /// # Panics
    /// Where the accelerator has no such bit.
    pub fn of(
        accelerator: &Accelerator,
        protection: &Protection,
        score: impl Fn(StoredBit) -> f64,
    ) -> Result<Self, MapError> {
        protection
            .check(accelerator.map())
            .map_err(|error| MapError::Schemes {
                name: SOURCE.to_owned(),
                error,
            })?;
        let bits = protection.iter().map(|(bit, scheme)| (bit, scheme, score(bit)));
        Self::of_bits(accelerator, None, bits)
    }

    fn of_bits(
        accelerator: &Accelerator,
        scheme: Option<Scheme>,
        protected: impl Iterator<Item = (StoredBit, Scheme, f64)>,
    ) -> Result<Self, MapError> {
        let memories = accelerator.map().memories().iter().map(|memory| MappedMemory {
            memory: memory.name.clone(),
            layer: accelerator.network().layer(memory.layer).name.clone(),
            tensor: memory.kind.name().to_owned(),
            project_name: accelerator
                .network()
                .project_name(memory.param)
                .map(str::to_owned),
            style: memory.style,
            depth: memory.depth,
            word_bits: memory.word_bits,
        });
        let protected = protected.map(|(bit, scheme, score)| {
            let NamedBit {
                layer,
                tensor,
                element,
                bit,
                memory,
                word,
                word_bit,
            } = accelerator.named(bit);
            ProtectedBit {
                layer,
                tensor,
                element,
                bit,
                memory,
                word,
                word_bit,
                score,
                scheme,
            }
        });
        Self::from_parts(
            SOURCE,
            accelerator.network().name.clone(),
            accelerator.name().to_owned(),
            scheme,
            memories.collect(),
            protected.collect(),
        )
    }

    /// Checks the parts of a map and puts the bits into the order of the memories; `source` names the
    /// map in errors, and `scheme` is that of a map without bits ([`Scheme::None`] where there is none).
    ///
    /// # Errors
    /// [`MapError`] where a memory is listed twice or cannot be, a bit lies outside or is listed twice, a
    /// score is not finite, or a protection is none that hardware can have.
    pub fn from_parts(
        source: &str,
        network: String,
        hardware: String,
        scheme: Option<Scheme>,
        memories: Vec<MappedMemory>,
        protected: Vec<ProtectedBit>,
    ) -> Result<Self, MapError> {
        let name = || source.to_owned();
        let mut order = HashMap::new();
        let mut total = 0u64;
        for (position, memory) in memories.iter().enumerate() {
            if order.insert(memory.memory.as_str(), position).is_some() {
                return Err(MapError::DuplicateMemory {
                    name: name(),
                    memory: memory.memory.clone(),
                });
            }
            let bits = memory.depth.checked_mul(u64::from(memory.word_bits));
            total = match bits.and_then(|bits| bits.checked_add(total)) {
                Some(total) if bits != Some(0) && total < MAX_MAP_BITS => total,
                _ => {
                    return Err(MapError::MemorySize {
                        name: name(),
                        memory: memory.memory.clone(),
                        depth: memory.depth,
                        word_bits: memory.word_bits,
                    });
                }
            };
        }
        let mut seen = HashSet::new();
        let mut keyed = Vec::with_capacity(protected.len());
        for (position, bit) in protected.into_iter().enumerate() {
            let index = order.get(bit.memory.as_str()).copied();
            let expected = match index.map(|index| &memories[index]) {
                None => "one of the listed memories".to_owned(),
                Some(memory) if bit.word >= memory.depth || bit.word_bit >= memory.word_bits => format!(
                    "words 0..={} and bits 0..={}",
                    memory.depth - 1,
                    memory.word_bits - 1
                ),
                Some(_) => String::new(),
            };
            let Some(index) = index.filter(|_| expected.is_empty()) else {
                return Err(MapError::Outside {
                    name: name(),
                    position,
                    memory: bit.memory,
                    word: bit.word,
                    word_bit: bit.word_bit,
                    expected,
                });
            };
            if !seen.insert((index, bit.word, bit.word_bit)) {
                return Err(MapError::Duplicate {
                    name: name(),
                    position,
                    memory: bit.memory,
                    word: bit.word,
                    word_bit: bit.word_bit,
                });
            }
            if !bit.score.is_finite() {
                return Err(MapError::Score {
                    name: name(),
                    position,
                    score: bit.score,
                });
            }
            if !Scheme::ALL.contains(&bit.scheme) {
                return Err(MapError::Scheme {
                    name: name(),
                    position,
                    scheme: bit.scheme,
                });
            }
            keyed.push((index, bit));
        }
        keyed.sort_by_key(|(index, bit)| (*index, bit.word, bit.word_bit));
        let mut end = 0;
        let ranges = (0..memories.len())
            .map(|position| {
                let start = end;
                end += keyed[start..]
                    .iter()
                    .take_while(|(index, _)| *index == position)
                    .count();
                start..end
            })
            .collect();
        let scheme = match keyed.first() {
            None => Some(scheme.unwrap_or(Scheme::None)),
            Some((_, first)) => keyed
                .iter()
                .all(|(_, bit)| bit.scheme == first.scheme)
                .then_some(first.scheme),
        };
        Ok(Self {
            network,
            hardware,
            scheme,
            memories,
            ranges,
            protected: keyed.into_iter().map(|(_, bit)| bit).collect(),
        })
    }

    /// Name of the network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Name of the hardware configuration.
    #[must_use]
    pub fn hardware(&self) -> &str {
        &self.hardware
    }

    /// How the bits are protected; none where there are several schemes.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// How the bits are protected, as text: the name of the scheme, or `mixed`.
    #[must_use]
    pub fn scheme_name(&self) -> &'static str {
        self.scheme.map_or("mixed", Scheme::name)
    }

    /// The schemes of one memory's protected bits, in the order of their list.
    #[must_use]
    pub fn schemes_of_memory(&self, position: usize) -> Vec<Scheme> {
        let mut schemes: Vec<Scheme> = self.of_memory(position).iter().map(|bit| bit.scheme).collect();
        schemes.sort_unstable();
        schemes.dedup();
        schemes
    }

    /// The scheme of one memory's protected bits as text: its name, or `mixed`.
    pub(super) fn scheme_name_of_memory(&self, position: usize) -> &'static str {
        match &self.schemes_of_memory(position)[..] {
            [] => self.scheme_name(),
            [scheme] => scheme.name(),
            _ => "mixed",
        }
    }

    /// All memories in order.
    #[must_use]
    pub fn memories(&self) -> &[MappedMemory] {
        &self.memories
    }

    /// The protected bits in the order of memories, words and bits.
    #[must_use]
    pub fn protected(&self) -> &[ProtectedBit] {
        &self.protected
    }

    /// The protected bits of one memory in order.
    #[must_use]
    pub fn of_memory(&self, position: usize) -> &[ProtectedBit] {
        self.ranges
            .get(position)
            .map_or(&[], |range| &self.protected[range.clone()])
    }

    /// What the map says about an accelerator.
    ///
    /// # Errors
    /// [`MapError::Address`] where the accelerator does not have such an address,
    /// [`MapError::Contradiction`] where the two addresses of an entry are not the same bit there, and
    /// [`MapError::Schemes`] where schemes cannot stand side by side in a word.
    pub fn resolve(&self, accelerator: &Accelerator) -> Result<ResolvedMap, MapError> {
        let mut protection = Protection::none();
        let mut scores = Vec::with_capacity(self.protected.len());
        for (position, entry) in self.protected.iter().enumerate() {
            let wrong = |error| MapError::Address {
                name: self.network.clone(),
                position,
                error: Box::new(error),
            };
            let logical = accelerator
                .find_logical(&entry.layer, &entry.tensor, entry.element, entry.bit)
                .map_err(wrong)?;
            let physical = accelerator
                .find_physical(&entry.memory, entry.word, entry.word_bit)
                .map_err(wrong)?;
            if logical != physical {
                let actual = accelerator.named(logical);
                return Err(MapError::Contradiction {
                    name: self.network.clone(),
                    position,
                    logical: format!(
                        "{}.{} element {} bit {}",
                        entry.layer, entry.tensor, entry.element, entry.bit
                    ),
                    physical: format!("{} word {} bit {}", entry.memory, entry.word, entry.word_bit),
                    actual: format!("{} word {} bit {}", actual.memory, actual.word, actual.word_bit),
                });
            }
            scores.push((logical, entry.score));
            protection.protect(logical, entry.scheme);
        }
        protection
            .check(accelerator.map())
            .map_err(|error| MapError::Schemes {
                name: self.network.clone(),
                error,
            })?;
        Ok(ResolvedMap { protection, scores })
    }
}
