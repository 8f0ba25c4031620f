//! One number per cell that an upset can hit, the redundant ones included.

use serde::Serialize;

use std::collections::BTreeMap;

use super::{Pattern, Place, Store};
use crate::accelerator::StoredBit;

/// The cells of a store in one line: first all own cells in the order of their bits, then the redundant
/// ones, those of each protected unit side by side, units in the order of their bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cells {
    store: Store,
    /// Where the bits of each memory start among those of the store.
    firsts: Vec<u64>,
    data_bits: u64,
    /// The units that have redundant cells, and the number of the first of them behind the own cells.
    redundant: Vec<(u64, u32, u64)>,
    extra: u64,
}

impl Cells {
    /// The cells of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let mut firsts = Vec::new();
        let mut redundant = Vec::new();
        let (mut data_bits, mut extra) = (0, 0);
        for (position, memory) in (0u32..).zip(store.memories()) {
            firsts.push(data_bits);
            data_bits += memory.data_bits();
            for (unit, code) in memory.protected() {
                if code.extra_cells() > 0 {
                    redundant.push((extra, position, unit));
                    extra += u64::from(code.extra_cells());
                }
            }
        }
        Self {
            store,
            firsts,
            data_bits,
            redundant,
            extra,
        }
    }

    /// What the cells lie in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Number of redundant cells.
    #[must_use]
    pub fn extra(&self) -> u64 {
        self.extra
    }

    /// Number of cells.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data_bits + self.extra
    }

    /// The cell of that number; none from [`Cells::total`] on.
    #[must_use]
    pub fn cell(&self, index: u64) -> Option<Place> {
        if index < self.data_bits {
            let memory = self.firsts.partition_point(|&first| first <= index) - 1;
            let (unit, cell) = self.store.memories()[memory].own_cell(index - self.firsts[memory]);
            return Some(Place {
                memory: memory as u32,
                unit,
                cell,
            });
        }
        let rest = index - self.data_bits;
        if rest >= self.extra {
            return None;
        }
        let position = self.redundant.partition_point(|(first, ..)| *first <= rest) - 1;
        let (first, memory, unit) = self.redundant[position];
        let code = self.store.memories()[memory as usize].code(unit);
        Some(Place {
            memory,
            unit,
            cell: code.data_bits() + (rest - first) as u32,
        })
    }

    /// The stored bits that read inverted when these cells have flipped, in order. Flips of one cell
    /// cancel in pairs.
    #[must_use]
    pub fn read_inverted(&self, flips: &[Place]) -> Vec<StoredBit> {
        let mut units: BTreeMap<(u32, u64), Pattern> = BTreeMap::new();
        for flip in flips {
            units
                .entry((flip.memory, flip.unit))
                .or_default()
                .toggle(flip.cell);
        }
        let mut wrong = Vec::new();
        for ((memory, unit), inverted) in units {
            let memory = &self.store.memories()[memory as usize];
            let reading = memory.code(unit).read(inverted.as_slice());
            wrong.extend(reading.wrong.as_slice().iter().map(|&bit| memory.bit(unit, bit)));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::{Protection, Scheme};

    /// Ten words of one bit of which some are under a scheme.
    fn bits(count: u64, scheme: Scheme, protected: &[u64]) -> Cells {
        let protection = Protection::of(scheme, protected.iter().copied().map(StoredBit));
        Cells::new(Store::protected_memory(count, 1, 1, &protection).unwrap())
    }

    fn cell(bit: u64, copy: u32) -> Place {
        Place {
            memory: 0,
            unit: bit,
            cell: copy,
        }
    }

    #[test]
    fn own_cells_come_first_and_copies_side_by_side() {
        let cells = bits(10, Scheme::Tmr, &[7, 2, 7, 10]);
        assert_eq!((cells.extra(), cells.total()), (4, 14));
        let all: Vec<Place> = (0..cells.total())
            .map(|index| cells.cell(index).unwrap())
            .collect();
        let mut expected: Vec<Place> = (0..10).map(|bit| cell(bit, 0)).collect();
        expected.extend([cell(2, 1), cell(2, 2), cell(7, 1), cell(7, 2)]);
        assert_eq!(all, expected);
        assert_eq!(cells.cell(14), None);
        let plain = bits(10, Scheme::None, &[7, 2]);
        assert_eq!((plain.total(), plain.cell(10)), (10, None));
    }

    #[test]
    fn one_flipped_cell_of_three_is_outvoted_and_two_are_not() {
        let cells = bits(4, Scheme::Tmr, &[1]);
        for copy in 0..3 {
            assert!(cells.read_inverted(&[cell(1, copy)]).is_empty());
        }
        assert_eq!(
            cells.read_inverted(&[cell(1, 0), cell(3, 0), cell(1, 2)]),
            [StoredBit(1), StoredBit(3)]
        );
        assert!(cells.read_inverted(&[cell(3, 0), cell(3, 0)]).is_empty());
        assert!(
            cells
                .read_inverted(&[cell(1, 2), cell(1, 2), cell(1, 0)])
                .is_empty()
        );
    }
}
