//! All cells of protected memories as they lie on the chip, the redundant ones included.
//!
//! Own cells keep the places of their bits. Copies lie in arrays of their own, packed in the order of
//! their bits into words as wide as the memory's and interleaved like it, so that no single particle
//! reaches two copies of one bit. Check bits lie in the row of their word, behind its data. Where only
//! some words of a memory are under a scheme of words, these lie in one array and the others in another,
//! each in order.

use super::{Code, Scheme};
use crate::accelerator::{Accelerator, Geometry, MemoryId, StoredBit};

/// A cell among those of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Position in [`Store::shelves`].
    pub shelf: u32,
    /// The protected unit: a bit of the memory, or a word where the scheme is one of words.
    pub unit: u64,
    /// The cell of the unit as [`Code`] counts them.
    pub cell: u32,
}

/// What stands between the cells of a unit and its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Plain,
    /// The scheme.
    Scheme,
    /// A protection that nothing gets through, and that costs no cell.
    Ideal,
}

/// One memory with its protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// The memory of the accelerator; none for a memory described by its size.
    pub memory: Option<MemoryId>,
    /// Number of words.
    pub words: u64,
    /// Data bits of one word.
    pub word_bits: u32,
    /// Number of its first word among those of all shelves.
    first_word: u64,
    /// Number of its first unit among those of all shelves.
    pub first_unit: u64,
    /// Number of its first bit among all stored bits.
    pub first_bit: u64,
    /// Whether units are words.
    of_words: bool,
    code: Code,
    plain: Code,
    ideal: bool,
    /// Protected units in order.
    guarded: Vec<u64>,
}

/// Which copy an array holds, of which bits of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Position in [`Store::shelves`].
    pub shelf: u32,
    /// Where its cells lie.
    pub geometry: Geometry,
    /// Its units in order; all of the shelf's in order where there is no list.
    units: Option<Vec<u64>>,
    cells_per_unit: u64,
    first_cell: u32,
}

/// All cells of some memories under one protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    scheme: Scheme,
    shelves: Vec<Shelf>,
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

impl Shelf {
    /// Number of units.
    #[must_use]
    pub fn units(&self) -> u64 {
        if self.of_words {
            self.words
        } else {
            self.words * u64::from(self.word_bits)
        }
    }

    /// What protects a unit.
    #[must_use]
    pub fn guard(&self, unit: u64) -> Guard {
        if self.guarded.len() as u64 != self.units() && self.guarded.binary_search(&unit).is_err() {
            Guard::Plain
        } else if self.ideal {
            Guard::Ideal
        } else {
            Guard::Scheme
        }
    }

    /// How a unit is stored and read.
    #[must_use]
    pub fn code(&self, guard: Guard) -> &Code {
        if guard == Guard::Scheme {
            &self.code
        } else {
            &self.plain
        }
    }

    /// Number of protected units.
    #[must_use]
    pub fn guarded_units(&self) -> u64 {
        self.guarded.len() as u64
    }

    /// The stored bit behind a data bit of a unit.
    #[must_use]
    pub fn bit(&self, unit: u64, data_bit: u32) -> StoredBit {
        let width = if self.of_words {
            u64::from(self.word_bits)
        } else {
            1
        };
        StoredBit(self.first_bit + unit * width + u64::from(data_bit))
    }

    /// Position of a unit's word among the words of the shelf.
    #[must_use]
    pub fn word(&self, unit: u64) -> u64 {
        if self.of_words {
            unit
        } else {
            unit / u64::from(self.word_bits)
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
            shelf: self.shelf,
            unit: self
                .units
                .as_ref()
                .map_or(position, |units| units[position as usize]),
            cell: self.first_cell + offset as u32,
        }
    }
}

impl Store {
    /// The memories of an accelerator for which `exposed` holds, with these bits (in any order,
    /// repetitions ignored) under a scheme. A scheme of words takes the whole word of each bit. An ideal
    /// protection has no cells of its own and lets nothing through.
    #[must_use]
    pub fn new(
        accelerator: &Accelerator,
        exposed: impl Fn(MemoryId) -> bool,
        scheme: Scheme,
        protected: &[StoredBit],
        ideal: bool,
    ) -> Self {
        let mut protected: Vec<u64> = protected.iter().map(|bit| bit.0).collect();
        protected.sort_unstable();
        protected.dedup();
        let mut store = Self {
            scheme,
            shelves: Vec::new(),
            arrays: Vec::new(),
        };
        for (index, memory) in accelerator.map().memories().iter().enumerate() {
            let id = MemoryId(index as u32);
            if !exposed(id) || memory.bits() == 0 {
                continue;
            }
            let first = protected.partition_point(|&bit| bit < memory.first.0);
            let end = protected.partition_point(|&bit| bit < memory.first.0 + memory.bits());
            let bits: Vec<u64> = protected[first..end]
                .iter()
                .map(|bit| bit - memory.first.0)
                .collect();
            let plain = Plain {
                memory: Some(id),
                words: memory.depth,
                word_bits: memory.word_bits,
                first_bit: memory.first.0,
                interleave: memory.interleave,
                banks: memory.banks,
            };
            store.push(plain, &bits, ideal);
        }
        store
    }

    /// A memory of `words` words of `data_bits` bits without a network, all of it under a scheme.
    #[must_use]
    pub fn memory(words: u64, data_bits: u32, interleave: u32, scheme: Scheme) -> Self {
        let mut store = Self {
            scheme,
            shelves: Vec::new(),
            arrays: Vec::new(),
        };
        let all: Vec<u64> = (0..words * u64::from(data_bits)).collect();
        let plain = Plain {
            memory: None,
            words,
            word_bits: data_bits,
            first_bit: 0,
            interleave,
            banks: 1,
        };
        store.push(plain, &all, false);
        store
    }

    /// Appends a memory with these of its bits protected.
    fn push(&mut self, plain: Plain, protected: &[u64], ideal: bool) {
        let Plain {
            memory,
            words,
            word_bits,
            first_bit,
            interleave,
            banks,
        } = plain;
        let scheme = self.scheme;
        let of_words = scheme.is_of_words() && !ideal;
        let width = if of_words { word_bits } else { 1 };
        let code = Code::new(if ideal { Scheme::None } else { scheme }, width);
        let mut guarded: Vec<u64> = protected.iter().map(|bit| bit / u64::from(width)).collect();
        guarded.dedup();
        if scheme == Scheme::None {
            guarded.clear();
        }
        let shelf = self.shelves.len() as u32;
        let first_unit = self
            .shelves
            .last()
            .map_or(0, |last| last.first_unit + last.units());
        let units = if of_words {
            words
        } else {
            words * u64::from(word_bits)
        };
        let mut array = |units: Option<Vec<u64>>, count: u64, per_unit: u32, row: u32, first_cell: u32| {
            if count > 0 {
                self.arrays.push(Array {
                    shelf,
                    geometry: Geometry::new(count * u64::from(per_unit), row, interleave).in_banks(banks),
                    units,
                    cells_per_unit: u64::from(per_unit),
                    first_cell,
                });
            }
        };
        let count = guarded.len() as u64;
        let listed = || (count < units).then(|| guarded.clone());
        if of_words {
            let others = || {
                (0..units)
                    .filter(|unit| guarded.binary_search(unit).is_err())
                    .collect()
            };
            array((count > 0).then(others), units - count, word_bits, word_bits, 0);
            array(listed(), count, code.row_cells(), code.row_cells(), 0);
        } else {
            array(None, units, 1, word_bits, 0);
        }
        for copy in 1..code.copies() {
            array(listed(), count, width, word_bits, copy * code.row_cells());
        }
        self.shelves.push(Shelf {
            memory,
            words,
            word_bits,
            first_word: self.words(),
            first_unit,
            first_bit,
            of_words,
            code,
            plain: Code::new(Scheme::None, width),
            ideal,
            guarded,
        });
    }

    /// The scheme of the protected units.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The memories.
    #[must_use]
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// The physical arrays that hold all cells, those of a memory together.
    #[must_use]
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// Number of cells.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.arrays.iter().map(|array| array.geometry.cells()).sum()
    }

    /// Number of units of all memories.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.shelves.iter().map(Shelf::units).sum()
    }

    /// Stored bits without redundancy.
    #[must_use]
    pub fn data_bits(&self) -> u64 {
        self.shelves
            .iter()
            .map(|shelf| shelf.words * u64::from(shelf.word_bits))
            .sum()
    }

    /// Number of the first word of a memory among those of all memories.
    ///
    /// # Panics
    /// Where there is no such shelf.
    #[must_use]
    pub fn first_word(&self, shelf: usize) -> u64 {
        self.shelves[shelf].first_word
    }

    /// Words of all memories.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.shelves.last().map_or(0, |last| last.first_word + last.words)
    }

    /// Data bits of the protected units.
    #[must_use]
    pub fn protected_bits(&self) -> u64 {
        self.shelves
            .iter()
            .map(|shelf| shelf.guarded_units() * u64::from(shelf.plain.data_bits()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// How many cells each unit has, each once.
    fn by_unit(store: &Store) -> BTreeMap<(u32, u64), Vec<u32>> {
        let mut units: BTreeMap<(u32, u64), Vec<u32>> = BTreeMap::new();
        for array in store.arrays() {
            for cell in 0..array.geometry.cells() {
                let place = array.place(cell);
                units
                    .entry((place.shelf, place.unit))
                    .or_default()
                    .push(place.cell);
            }
        }
        for cells in units.values_mut() {
            cells.sort_unstable();
        }
        units
    }

    #[test]
    fn every_cell_of_every_unit_lies_somewhere_once() {
        for scheme in Scheme::ALL {
            let store = Store::memory(5, 7, 2, scheme);
            let code = Code::new(scheme, if scheme.is_of_words() { 7 } else { 1 });
            let units = by_unit(&store);
            assert_eq!(units.len() as u64, store.units(), "{scheme}");
            for cells in units.values() {
                assert_eq!(*cells, (0..code.cells()).collect::<Vec<_>>(), "{scheme}");
            }
            assert_eq!((store.data_bits(), store.words()), (35, 5));
            let protected = if scheme == Scheme::None { 0 } else { 35 };
            assert_eq!(store.protected_bits(), protected);
        }
    }

    #[test]
    fn some_protected_words_split_a_memory() {
        for (scheme, extra) in [
            (Scheme::Secded, 2 * 5),
            (Scheme::Parity, 2),
            (Scheme::Dmr, 2 * 7),
            (Scheme::Tmr, 3 * 2),
        ] {
            let mut store = Store {
                scheme,
                shelves: Vec::new(),
                arrays: Vec::new(),
            };
            // Bits of words 1 (two of them) and 3.
            let plain = Plain {
                memory: None,
                words: 5,
                word_bits: 7,
                first_bit: 100,
                interleave: 1,
                banks: 1,
            };
            store.push(plain, &[8, 9, 22], false);
            assert_eq!(store.cells(), 35 + extra, "{scheme}");
            let shelf = &store.shelves()[0];
            for (&(_, unit), cells) in &by_unit(&store) {
                let code = shelf.code(shelf.guard(unit));
                assert_eq!(*cells, (0..code.cells()).collect::<Vec<_>>(), "{scheme}");
                let guarded = if scheme.is_of_words() {
                    [1, 3].contains(&unit)
                } else {
                    [8, 9, 22].contains(&unit)
                };
                assert_eq!(shelf.guard(unit) == Guard::Scheme, guarded);
            }
            assert_eq!(
                shelf.bit(
                    if scheme.is_of_words() { 1 } else { 8 },
                    u32::from(scheme.is_of_words())
                ),
                StoredBit(108)
            );
        }
    }
}
