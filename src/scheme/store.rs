//! All cells of protected memories as they lie on the chip, the redundant ones included.
//!
//! Own cells keep the places of their bits. Copies lie in arrays of their own, packed in the order of
//! their bits into words as wide as the memory's and interleaved like it, so that no single particle
//! reaches two copies of one bit. Check bits lie in the row of their word, behind its data. Where only
//! some words of a memory are under a scheme of words, these lie in one array per scheme and the others in
//! another, each in order.

use serde::Serialize;

use super::protection::Group;
use super::{Code, Protection, ProtectionError, Scheme};
use crate::accelerator::{Accelerator, Geometry, MemoryId, StoredBit};

/// A cell among those of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Position in [`Store::memories`].
    pub memory: u32,
    /// The unit: a bit or a word of the memory, as [`ProtectedMemory`] numbers them.
    pub unit: u64,
    /// The cell of the unit as [`Code`] counts them.
    pub cell: u32,
}

/// One memory with its protection.
///
/// It consists of units, each stored and read by itself: words where a scheme of words takes them, bits
/// elsewhere. Where every protected unit is a word, so are the others, and units are numbered like words.
/// Otherwise a unit has the number of its first bit. A memory of which nothing is protected has units like
/// the others of its protection: words where all schemes are schemes of words, bits otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProtectedMemory {
    /// The memory of the accelerator; none for a memory described by its size.
    pub memory: Option<MemoryId>,
    /// Number of words.
    pub words: u64,
    /// Data bits of one word.
    pub word_bits: u32,
    /// Number of its first word among those of all memories.
    pub first_word: u64,
    /// Number of its first unit among those of all memories.
    pub first_unit: u64,
    /// Number of its first bit among all stored bits.
    pub first_bit: u64,
    /// Bits from one number of a unit to the next.
    grain: u32,
    /// How units without protection are stored.
    plain: Code,
    groups: Vec<Units>,
}

/// The protected units of a memory under one scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Units {
    code: Code,
    /// Numbers of the units in order.
    numbers: Vec<u64>,
}

/// Which copy an array holds, of which bits of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Array {
    /// Position in [`Store::memories`].
    pub memory: u32,
    /// Where its cells lie.
    pub geometry: Geometry,
    /// Its units in order; all of the memory's in order where there is no list.
    units: Option<Vec<u64>>,
    cells_per_unit: u64,
    first_cell: u32,
}

/// All cells of some memories under one protection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Store {
    memories: Vec<ProtectedMemory>,
    arrays: Vec<Array>,
}

/// A memory before it is protected.
struct Plain {
    memory: Option<MemoryId>,
    words: u64,
    word_bits: u32,
    first_bit: u64,
    interleave: u32,
    banks: u32,
}

impl ProtectedMemory {
    /// Number of data bits.
    #[must_use]
    pub fn data_bits(&self) -> u64 {
        self.words * u64::from(self.word_bits)
    }

    /// Numbers that units have, or could have where words and bits are units side by side.
    #[must_use]
    pub fn unit_numbers(&self) -> u64 {
        self.data_bits() / u64::from(self.grain.max(1))
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> u64 {
        let inner: u64 = self
            .groups
            .iter()
            .map(|group| group.numbers.len() as u64 * u64::from(group.code.data_bits() / self.grain - 1))
            .sum();
        self.unit_numbers() - inner
    }

    /// How a unit is stored and read.
    #[must_use]
    pub fn code(&self, unit: u64) -> &Code {
        let numbers = self.unit_numbers();
        let group = self.groups.iter().find(|group| {
            group.numbers.len() as u64 == numbers || group.numbers.binary_search(&unit).is_ok()
        });
        group.map_or(&self.plain, |group| &group.code)
    }

    /// The protected units in order, each with how it is stored and read.
    #[must_use]
    pub fn protected(&self) -> Vec<(u64, &Code)> {
        let mut units: Vec<(u64, &Code)> = self
            .groups
            .iter()
            .flat_map(|group| group.numbers.iter().map(|&unit| (unit, &group.code)))
            .collect();
        units.sort_unstable_by_key(|(unit, _)| *unit);
        units
    }

    /// Number of protected units.
    #[must_use]
    pub fn protected_units(&self) -> u64 {
        self.groups.iter().map(|group| group.numbers.len() as u64).sum()
    }

    /// Data bits of the protected units.
    #[must_use]
    pub fn protected_bits(&self) -> u64 {
        self.groups
            .iter()
            .map(|group| group.numbers.len() as u64 * u64::from(group.code.data_bits()))
            .sum()
    }

    /// The stored bit behind a data bit of a unit.
    #[must_use]
    pub fn bit(&self, unit: u64, data_bit: u32) -> StoredBit {
        StoredBit(self.first_bit + unit * u64::from(self.grain) + u64::from(data_bit))
    }

    /// Position of a unit's word among the words of the memory.
    #[must_use]
    pub fn word(&self, unit: u64) -> u64 {
        unit * u64::from(self.grain) / u64::from(self.word_bits)
    }

    /// The cell that holds a data bit of the memory first-hand.
    pub(super) fn own_cell(&self, bit: u64) -> (u64, u32) {
        let (word, in_word) = (bit / u64::from(self.word_bits), bit % u64::from(self.word_bits));
        if self.grain > 1 {
            return (word, in_word as u32);
        }
        // Words among bits are named by their first bit.
        let first = bit - in_word;
        if self.code(first).data_bits() > 1 {
            (first, in_word as u32)
        } else {
            (bit, 0)
        }
    }
}

impl Array {
    /// The cell behind a number below [`Geometry::cells`].
    #[must_use]
    pub fn place(&self, cell: u64) -> Place {
        let (position, offset) = if self.cells_per_unit == 1 {
            (cell, 0)
        } else {
            (cell / self.cells_per_unit, cell % self.cells_per_unit)
        };
        Place {
            memory: self.memory,
            unit: self
                .units
                .as_ref()
                .map_or(position, |units| units[position as usize]),
            cell: self.first_cell + offset as u32,
        }
    }
}

impl Store {
    /// The memories of an accelerator for which `exposed` holds under a protection; protected bits
    /// elsewhere are ignored.
    ///
    /// # Errors
    /// [`ProtectionError`] where bits of a word of them are under schemes that cannot stand side by side.
    pub fn new(
        accelerator: &Accelerator,
        exposed: impl Fn(MemoryId) -> bool,
        protection: &Protection,
    ) -> Result<Self, ProtectionError> {
        let schemes = protection.schemes();
        let mut store = Self::default();
        for (index, memory) in accelerator.map().memories().iter().enumerate() {
            let id = MemoryId(index as u32);
            if !exposed(id) || memory.bits() == 0 {
                continue;
            }
            let plain = Plain {
                memory: Some(id),
                words: memory.depth,
                word_bits: memory.word_bits,
                first_bit: memory.first.0,
                interleave: memory.interleave,
                banks: memory.banks,
            };
            store.push(plain, protection.in_memory(memory)?, &schemes);
        }
        Ok(store)
    }

    /// A memory of `words` words of `data_bits` bits without a network, all of it under a scheme.
    #[must_use]
    pub fn memory(words: u64, data_bits: u32, interleave: u32, scheme: Scheme) -> Self {
        let units = if scheme.is_of_words() {
            words
        } else {
            words * u64::from(data_bits)
        };
        let all = (scheme != Scheme::None).then(|| (scheme, (0..units).collect()));
        let mut store = Self::default();
        store.push(
            Plain::by_size(words, data_bits, interleave),
            all.into_iter().collect(),
            &[scheme],
        );
        store
    }

    /// A memory of `words` words of `data_bits` bits without a network under a protection of its bits,
    /// numbered from 0; others are ignored.
    ///
    /// # Errors
    /// [`ProtectionError`] where bits of a word are under schemes that cannot stand side by side.
    pub fn protected_memory(
        words: u64,
        data_bits: u32,
        interleave: u32,
        protection: &Protection,
    ) -> Result<Self, ProtectionError> {
        let groups = protection.in_words("memory", 0, words, data_bits)?;
        let mut store = Self::default();
        let plain = Plain::by_size(words, data_bits, interleave);
        store.push(plain, groups, &protection.schemes());
        Ok(store)
    }

    /// Appends a memory with these of its units protected; `schemes` are those of the whole protection.
    fn push(&mut self, plain: Plain, groups: Vec<Group>, schemes: &[Scheme]) {
        let Plain {
            memory,
            words,
            word_bits,
            first_bit,
            interleave,
            banks,
        } = plain;
        let position = self.memories.len() as u32;
        let any_word = groups.iter().any(|(scheme, _)| scheme.is_of_words());
        let in_words = if groups.is_empty() {
            !schemes.is_empty() && schemes.iter().all(|scheme| scheme.is_of_words())
        } else {
            groups.iter().all(|(scheme, _)| scheme.is_of_words())
        };
        let grain = if in_words { word_bits } else { 1 };
        let groups: Vec<Units> = groups
            .into_iter()
            .map(|(scheme, mut numbers)| {
                let of_words = scheme.is_of_words();
                if of_words && grain == 1 {
                    for number in &mut numbers {
                        *number *= u64::from(word_bits);
                    }
                }
                Units {
                    code: Code::new(scheme, if of_words { word_bits } else { 1 }),
                    numbers,
                }
            })
            .collect();
        let protected = ProtectedMemory {
            memory,
            words,
            word_bits,
            first_word: self.words(),
            first_unit: self.unit_numbers(),
            first_bit,
            grain,
            plain: Code::new(Scheme::None, grain),
            groups,
        };
        let mut array = |units: Option<Vec<u64>>, count: u64, per_unit: u32, row: u32, first_cell: u32| {
            if count > 0 {
                self.arrays.push(Array {
                    memory: position,
                    geometry: Geometry::new(count * u64::from(per_unit), row, interleave).in_banks(banks),
                    units,
                    cells_per_unit: u64::from(per_unit),
                    first_cell,
                });
            }
        };
        let numbers = protected.unit_numbers();
        let listed = |group: &Units| ((group.numbers.len() as u64) < numbers).then(|| group.numbers.clone());
        let of_words = |group: &&Units| group.code.scheme().is_of_words();
        if any_word {
            let others = protected.outside_words();
            let count = others.len() as u64;
            array(Some(others), count, grain, word_bits, 0);
            for group in protected.groups.iter().filter(of_words) {
                let row = group.code.row_cells();
                array(listed(group), group.numbers.len() as u64, row, row, 0);
            }
        } else {
            array(None, numbers, grain, word_bits, 0);
        }
        for group in &protected.groups {
            let row = group.code.row_cells();
            let width = if of_words(&group) { row } else { word_bits };
            for copy in 1..group.code.copies() {
                array(listed(group), group.numbers.len() as u64, row, width, copy * row);
            }
        }
        self.memories.push(protected);
    }

    /// The memories.
    #[must_use]
    pub fn memories(&self) -> &[ProtectedMemory] {
        &self.memories
    }

    /// The physical arrays that hold all cells, those of a memory together.
    #[must_use]
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// How the unit of a cell is stored and read.
    ///
    /// # Panics
    /// Where there is no such memory.
    #[must_use]
    pub fn code(&self, place: Place) -> &Code {
        self.memories[place.memory as usize].code(place.unit)
    }

    /// Number of cells.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.arrays.iter().map(|array| array.geometry.cells()).sum()
    }

    /// Number of units of all memories.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.memories.iter().map(ProtectedMemory::units).sum()
    }

    /// Numbers that units of all memories have or could have.
    #[must_use]
    pub fn unit_numbers(&self) -> u64 {
        self.memories
            .last()
            .map_or(0, |last| last.first_unit + last.unit_numbers())
    }

    /// Stored bits without redundancy.
    #[must_use]
    pub fn data_bits(&self) -> u64 {
        self.memories.iter().map(ProtectedMemory::data_bits).sum()
    }

    /// Words of all memories.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.memories
            .last()
            .map_or(0, |last| last.first_word + last.words)
    }

    /// Data bits of the protected units.
    #[must_use]
    pub fn protected_bits(&self) -> u64 {
        self.memories.iter().map(ProtectedMemory::protected_bits).sum()
    }
}

impl ProtectedMemory {
    /// Numbers of the units outside words under schemes of words, in order.
    fn outside_words(&self) -> Vec<u64> {
        let mut inside: Vec<u64> = self
            .groups
            .iter()
            .filter(|group| group.code.scheme().is_of_words())
            .flat_map(|group| group.numbers.iter().copied())
            .collect();
        inside.sort_unstable();
        let step = u64::from(self.word_bits / self.grain);
        let mut inside = inside.into_iter().peekable();
        let mut outside = Vec::new();
        for word in 0..self.words {
            let first = word * step;
            if inside.next_if_eq(&first).is_none() {
                outside.extend(first..first + step);
            }
        }
        outside
    }
}

impl Plain {
    fn by_size(words: u64, word_bits: u32, interleave: u32) -> Self {
        Self {
            memory: None,
            words,
            word_bits,
            first_bit: 0,
            interleave,
            banks: 1,
        }
    }
}

#[cfg(test)]
mod tests;
