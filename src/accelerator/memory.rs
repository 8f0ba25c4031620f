//! Memories, and the one-to-one map between logical and physical addresses of every stored bit.

use std::ops::Range;

use bitvec::prelude::{BitSlice, BitVec, Lsb0};
use serde::{Deserialize, Serialize};

use super::code::StoredCode;
use super::geometry::Geometry;
use super::hardware::Style;
use super::layout::{Layout, Place};
use super::own_width::{OwnWidths, Window};
use crate::network::{LayerId, Network, ParamId, ParamKind};

/// Position of a memory in [`MemoryMap::memories`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemoryId(pub u32);

impl MemoryId {
    /// The position in the list.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of a stored bit among all stored bits of the accelerator: memories in order, words in order,
/// bit 0 of each word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoredBit(pub u64);

/// Physical address of a stored bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BitAddress {
    /// The memory.
    pub memory: MemoryId,
    /// The word, from 0.
    pub word: u64,
    /// The bit of the word, 0 least significant.
    pub bit: u32,
}

/// Logical address of a stored bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogicalBit {
    /// The stored tensor.
    pub param: ParamId,
    /// Row-major index of the element; the `j`-th padding bit of a tensor of `n` elements is bit 0 of
    /// element `n + j`.
    pub element: u64,
    /// The bit of the element, 0 least significant.
    pub bit: u32,
}

/// One memory: `depth` words of `word_bits`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// `<layer>.<tensor>`, `<layer>.<tensor>.<pe>` where each PE has its own, or `<layer>.<tensor>.bits<low>_<high>`
    /// of the elements whose own width is those bits.
    pub name: String,
    /// The layer that reads it.
    pub layer: LayerId,
    /// The tensor that it holds, or a part of it.
    pub param: ParamId,
    /// Which of the layer's tensors that is.
    pub kind: ParamKind,
    /// What kind of memory it is.
    pub style: Style,
    /// Bits of one word.
    pub word_bits: u32,
    /// Number of words.
    pub depth: u64,
    /// Words whose bits take turns along a row of the physical array; 1 without interleaving.
    pub interleave: u32,
    /// Banks that the rows of the physical array are cut into; neighbours across a cut lie apart.
    pub banks: u32,
    /// Number of its word 0, bit 0 among all stored bits.
    pub first: StoredBit,
}

impl Memory {
    /// Number of bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.depth * u64::from(self.word_bits)
    }

    /// Where its cells lie beside each other.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        Geometry::new(self.bits(), self.word_bits, self.interleave).in_banks(self.banks)
    }
}

/// A tensor with its memories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredTensor {
    /// The tensor.
    pub param: ParamId,
    /// The layer that reads it.
    pub layer: LayerId,
    /// Which of the layer's tensors it is.
    pub kind: ParamKind,
    /// How mantissas become bits.
    pub code: StoredCode,
    /// Its memories, consecutive.
    pub memories: Range<u32>,
    /// Its bits, consecutive.
    pub bits: Range<u64>,
    layout: Arranged,
}

/// How a tensor's elements lie in its memories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Arranged {
    /// In words of one width.
    Words(Layout),
    /// Each in its own width.
    Own(OwnWidths),
}

impl Arranged {
    fn memories(&self) -> u64 {
        match self {
            Self::Words(layout) => layout.memories(),
            Self::Own(own) => own.memories(),
        }
    }

    /// Words, bits of a word, and what the name of a memory ends in.
    fn memory(&self, memory: u64) -> (u64, u32, Option<String>) {
        match self {
            Self::Words(layout) => {
                let word_bits =
                    u32::try_from(layout.word_bits()).expect("layouts of wider words are refused");
                let suffix = layout.is_split().then(|| memory.to_string());
                (layout.depth(), word_bits, suffix)
            }
            Self::Own(own) => {
                let (depth, word_bits, suffix) = own.memory(memory);
                (depth, word_bits, Some(suffix))
            }
        }
    }

    fn place(&self, element: u64, bit: u64) -> Option<Place> {
        match self {
            Self::Words(layout) => layout.place(element, bit),
            Self::Own(own) => {
                let (memory, word, bit) = own.place(element, bit)?;
                Some(Place { memory, word, bit })
            }
        }
    }

    fn logical(&self, place: Place) -> (u64, u64) {
        match self {
            Self::Words(layout) => layout.logical(place),
            Self::Own(own) => own.logical(place.memory, place.word, place.bit),
        }
    }
}

impl StoredTensor {
    /// Number of elements, padding not counted.
    #[must_use]
    pub fn elements(&self) -> u64 {
        match &self.layout {
            Arranged::Words(layout) => layout.elements(),
            Arranged::Own(own) => own.elements(),
        }
    }

    /// Number of stored bits that hold no element.
    #[must_use]
    pub fn padding_bits(&self) -> u64 {
        match &self.layout {
            Arranged::Words(layout) => layout.padding_bits(),
            Arranged::Own(_) => 0,
        }
    }

    /// Whether every element is stored in its own width, so that some bits of [`StoredTensor::code`] do not exist.
    #[must_use]
    pub fn has_own_widths(&self) -> bool {
        matches!(self.layout, Arranged::Own(_))
    }

    /// The bits of an element that are stored, counted in [`StoredTensor::code`]; empty beyond the elements.
    #[must_use]
    pub fn element_bits(&self, element: u64) -> Range<u32> {
        match &self.layout {
            Arranged::Words(layout) if element < layout.elements() => 0..self.code.width(),
            Arranged::Words(_) => 0..0,
            Arranged::Own(own) => own
                .window(element)
                .map_or(0..0, |window| window.low..window.end()),
        }
    }

    /// The mantissa of an element that held `mantissa` after the bits of `mask` have been inverted.
    pub(super) fn flipped(&self, element: u64, mantissa: i64, mask: u64) -> i64 {
        match self.window(element) {
            Some(window) => window.flipped(mantissa, mask),
            None => self.code.mantissa_of(self.code.bits_of(mantissa) ^ mask),
        }
    }

    fn window(&self, element: u64) -> Option<Window> {
        match &self.layout {
            Arranged::Words(_) => None,
            Arranged::Own(own) => own.window(element),
        }
    }

    /// Number of stored bits, padding included.
    #[must_use]
    pub fn total_bits(&self) -> u64 {
        self.bits.end - self.bits.start
    }
}

/// All memories of an accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryMap {
    memories: Vec<Memory>,
    tensors: Vec<StoredTensor>,
    /// Position in `tensors` by parameter; none for what is not stored.
    of_param: Vec<Option<u32>>,
    total_bits: u64,
}

impl MemoryMap {
    pub(super) fn new(params: usize) -> Self {
        Self {
            of_param: vec![None; params],
            ..Self::default()
        }
    }

    /// Appends the memories of one tensor. `word_bits` of a layout fits 32 bits.
    pub(super) fn push(
        &mut self,
        network: &Network,
        id: ParamId,
        code: StoredCode,
        style: Style,
        (interleave, banks): (u32, u32),
        layout: Arranged,
    ) {
        let param = network.param(id);
        let base = format!("{}.{}", network.layer(param.layer).name, param.kind.name());
        let first_memory = self.memories.len() as u32;
        let first_bit = self.total_bits;
        for part in 0..layout.memories() {
            let (depth, word_bits, suffix) = layout.memory(part);
            self.memories.push(Memory {
                name: suffix.map_or_else(|| base.clone(), |suffix| format!("{base}.{suffix}")),
                layer: param.layer,
                param: id,
                kind: param.kind,
                style,
                word_bits,
                depth,
                interleave,
                banks,
                first: StoredBit(self.total_bits),
            });
            self.total_bits += depth * u64::from(word_bits);
        }
        self.of_param[id.index()] = Some(self.tensors.len() as u32);
        self.tensors.push(StoredTensor {
            param: id,
            layer: param.layer,
            kind: param.kind,
            code,
            memories: first_memory..self.memories.len() as u32,
            bits: first_bit..self.total_bits,
            layout,
        });
    }

    /// All memories: layers in order, within a layer weight, bias, threshold, scale, slope; of a tensor whose elements
    /// have their own widths the lower bits first, then the narrower ones.
    #[must_use]
    pub fn memories(&self) -> &[Memory] {
        &self.memories
    }

    /// The memory behind an index.
    #[must_use]
    pub fn memory(&self, id: MemoryId) -> &Memory {
        &self.memories[id.index()]
    }

    /// The memory of that name.
    #[must_use]
    pub fn memory_named(&self, name: &str) -> Option<MemoryId> {
        self.memories
            .iter()
            .position(|memory| memory.name == name)
            .map(|index| MemoryId(index as u32))
    }

    /// All stored tensors in the order of their memories.
    #[must_use]
    pub fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    /// How a parameter is stored; none where it is part of the logic.
    #[must_use]
    pub fn tensor(&self, param: ParamId) -> Option<&StoredTensor> {
        let position = (*self.of_param.get(param.index())?)?;
        self.tensors.get(position as usize)
    }

    /// Number of stored bits, padding included.
    #[must_use]
    pub fn total_bits(&self) -> u64 {
        self.total_bits
    }

    /// Number of stored bits of all tensors of that kind, padding included.
    #[must_use]
    pub fn bits_of_tensor(&self, kind: ParamKind) -> u64 {
        self.tensors
            .iter()
            .filter(|tensor| tensor.kind == kind)
            .map(StoredTensor::total_bits)
            .sum()
    }

    /// All stored bits in order.
    pub fn bits(&self) -> impl Iterator<Item = StoredBit> + use<> {
        (0..self.total_bits).map(StoredBit)
    }

    /// All stored bits of one memory in order.
    pub fn bits_of_memory(&self, id: MemoryId) -> impl Iterator<Item = StoredBit> + use<> {
        let memory = self.memory(id);
        (memory.first.0..memory.first.0 + memory.bits()).map(StoredBit)
    }

    /// The stored bits of the elements of one tensor, element by element, bit 0 first; padding left
    /// out.
    pub fn bits_of_elements(&self, param: ParamId) -> impl Iterator<Item = StoredBit> + '_ {
        self.tensor(param).into_iter().flat_map(move |tensor| {
            (0..tensor.elements()).flat_map(move |element| {
                (0..tensor.code.width()).filter_map(move |bit| self.find(LogicalBit { param, element, bit }))
            })
        })
    }

    /// Physical address of a stored bit.
    ///
    /// # Panics
    /// Where the number is not below [`MemoryMap::total_bits`]; numbers that come from outside are
    /// checked where they are read.
    #[must_use]
    pub fn address(&self, bit: StoredBit) -> BitAddress {
        assert!(bit.0 < self.total_bits, "stored bit beyond the memories");
        let index = self.memories.partition_point(|memory| memory.first <= bit) - 1;
        let memory = &self.memories[index];
        let offset = bit.0 - memory.first.0;
        let width = u64::from(memory.word_bits);
        BitAddress {
            memory: MemoryId(index as u32),
            word: offset / width,
            bit: (offset % width) as u32,
        }
    }

    /// Number of the bit at a physical address; none where there is no such memory, word or bit.
    #[must_use]
    pub fn at(&self, address: BitAddress) -> Option<StoredBit> {
        let memory = self.memories.get(address.memory.index())?;
        let exists = address.word < memory.depth && address.bit < memory.word_bits;
        exists.then(|| {
            StoredBit(memory.first.0 + address.word * u64::from(memory.word_bits) + u64::from(address.bit))
        })
    }

    /// Number of the bit at a logical address; none where there is no such element or bit, or the
    /// tensor is not stored.
    #[must_use]
    pub fn find(&self, bit: LogicalBit) -> Option<StoredBit> {
        let tensor = self.tensor(bit.param)?;
        let place = tensor.layout.place(bit.element, u64::from(bit.bit))?;
        let memory = &self.memories[tensor.memories.start as usize + place.memory as usize];
        let offset = place.word * u64::from(memory.word_bits) + place.bit;
        Some(StoredBit(memory.first.0 + offset))
    }

    /// Logical address of a stored bit.
    ///
    /// # Panics
    /// As [`MemoryMap::address`].
    #[must_use]
    pub fn logical(&self, bit: StoredBit) -> LogicalBit {
        self.logical_at(self.address(bit))
    }

    /// Logical address of a physical one.
    ///
    /// # Panics
    /// Where the memory does not exist; a word or bit outside it gives an address without meaning.
    #[must_use]
    pub fn logical_at(&self, address: BitAddress) -> LogicalBit {
        let memory = self.memory(address.memory);
        let tensor = self
            .tensor(memory.param)
            .expect("a memory belongs to a stored tensor");
        let (element, bit) = tensor.layout.logical(Place {
            memory: u64::from(address.memory.0 - tensor.memories.start),
            word: address.word,
            bit: u64::from(address.bit),
        });
        LogicalBit {
            param: memory.param,
            element,
            bit: bit as u32,
        }
    }

    /// Physical address of a logical one; none as in [`MemoryMap::find`].
    #[must_use]
    pub fn physical(&self, bit: LogicalBit) -> Option<BitAddress> {
        self.find(bit).map(|bit| self.address(bit))
    }

    /// Whether a stored bit holds no element.
    ///
    /// # Panics
    /// As [`MemoryMap::address`].
    #[must_use]
    pub fn is_padding(&self, bit: StoredBit) -> bool {
        let logical = self.logical(bit);
        self.tensor(logical.param)
            .is_some_and(|tensor| logical.element >= tensor.elements())
    }
}

/// The contents of one memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryImage {
    bits: BitVec<u64, Lsb0>,
    word_bits: usize,
}

impl MemoryImage {
    /// A memory of zeros.
    #[must_use]
    pub fn zeros(memory: &Memory) -> Self {
        Self {
            bits: BitVec::repeat(false, memory.bits() as usize),
            word_bits: memory.word_bits as usize,
        }
    }

    /// What the memory holds after reset: the network's parameters, padding 0.
    pub(super) fn initial(network: &Network, map: &MemoryMap, id: MemoryId) -> Self {
        let memory = map.memory(id);
        let mut image = Self::zeros(memory);
        let Some(tensor) = map.tensor(memory.param) else {
            return image;
        };
        let values = &network.param(memory.param).values;
        let width = if tensor.has_own_widths() {
            image.word_bits
        } else {
            tensor.code.width() as usize
        };
        for word in 0..memory.depth {
            for lane in 0..image.word_bits / width {
                let address = BitAddress {
                    memory: id,
                    word,
                    bit: (lane * width) as u32,
                };
                let element = map.logical_at(address).element;
                if element >= tensor.elements() {
                    continue;
                }
                if let Some(&value) = values.get(element as usize) {
                    let bits = match tensor.window(element) {
                        Some(window) => window.bits_of(value),
                        None => tensor.code.bits_of(value),
                    };
                    let start = word as usize * image.word_bits + lane * width;
                    for bit in 0..width {
                        image.bits.set(start + bit, bits >> bit & 1 == 1);
                    }
                }
            }
        }
        image
    }

    /// Number of words.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.bits.len().checked_div(self.word_bits).unwrap_or(0)
    }

    /// Bits of one word.
    #[must_use]
    pub fn word_bits(&self) -> usize {
        self.word_bits
    }

    /// One word, bit 0 first.
    ///
    /// # Panics
    /// Where the memory has no such word.
    #[must_use]
    pub fn word(&self, word: usize) -> &BitSlice<u64, Lsb0> {
        &self.bits[word * self.word_bits..][..self.word_bits]
    }

    /// All words in order.
    pub fn words(&self) -> impl Iterator<Item = &BitSlice<u64, Lsb0>> {
        self.bits.chunks(self.word_bits)
    }

    /// Sets one bit.
    ///
    /// # Panics
    /// Where the memory has no such word or bit.
    pub fn set(&mut self, word: usize, bit: usize, value: bool) {
        assert!(bit < self.word_bits, "bit outside the word");
        self.bits.set(word * self.word_bits + bit, value);
    }

    /// Inverts one bit.
    ///
    /// # Panics
    /// As [`MemoryImage::set`].
    pub fn flip(&mut self, word: usize, bit: usize) {
        let value = !self.word(word)[bit];
        self.set(word, bit, value);
    }

    /// Number of ones.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.bits.count_ones()
    }
}

/// A word in hexadecimal, most significant digit first, as many digits as the width needs.
#[must_use]
pub fn hex_word(word: &BitSlice<u64, Lsb0>) -> String {
    word.chunks(4)
        .map(|nibble| {
            let value = nibble
                .iter()
                .by_vals()
                .enumerate()
                .fold(0, |value, (bit, set)| value | u32::from(set) << bit);
            char::from_digit(value, 16).unwrap_or('0')
        })
        .rev()
        .collect()
}
