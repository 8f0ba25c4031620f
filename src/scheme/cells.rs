//! All cells that an upset can hit when some bits are protected, the redundant ones included.

use std::collections::BTreeMap;

use super::Scheme;
use crate::accelerator::StoredBit;

/// A cell: one of those that hold a stored bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The stored bit.
    pub bit: StoredBit,
    /// 0 for the bit's own cell, 1 and up for its copies.
    pub copy: u8,
}

/// The cells of an accelerator of which some bits are protected: first all own cells in order, then
/// the copies, those of each protected bit side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    scheme: Scheme,
    stored_bits: u64,
    protected: Vec<StoredBit>,
}

impl Cells {
    /// Cells of `stored_bits` bits of which `protected` (in any order, repetitions ignored, numbers
    /// beyond the stored bits ignored) are under `scheme`.
    #[must_use]
    pub fn new(scheme: Scheme, stored_bits: u64, protected: &[StoredBit]) -> Self {
        let mut protected: Vec<StoredBit> = protected
            .iter()
            .copied()
            .filter(|bit| bit.0 < stored_bits)
            .collect();
        protected.sort_unstable();
        protected.dedup();
        Self {
            scheme,
            stored_bits,
            protected,
        }
    }

    /// The scheme of the protected bits.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The protected bits in order.
    #[must_use]
    pub fn protected(&self) -> &[StoredBit] {
        &self.protected
    }

    /// Whether a bit is protected.
    #[must_use]
    pub fn is_protected(&self, bit: StoredBit) -> bool {
        self.protected.binary_search(&bit).is_ok()
    }

    fn copies_per_bit(&self) -> u64 {
        u64::from(self.scheme.cells_per_bit() - 1)
    }

    /// Number of redundant cells.
    #[must_use]
    pub fn extra(&self) -> u64 {
        self.copies_per_bit() * self.protected.len() as u64
    }

    /// Number of cells.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stored_bits + self.extra()
    }

    /// The cell of that number; none from [`Cells::total`] on.
    #[must_use]
    pub fn cell(&self, index: u64) -> Option<Cell> {
        if index < self.stored_bits {
            return Some(Cell {
                bit: StoredBit(index),
                copy: 0,
            });
        }
        let copies = self.copies_per_bit();
        let rest = index - self.stored_bits;
        let position = rest.checked_div(copies)?;
        let bit = *self.protected.get(usize::try_from(position).ok()?)?;
        Some(Cell {
            bit,
            copy: (rest % copies) as u8 + 1,
        })
    }

    /// The stored bits that read inverted when these cells have flipped, in order. Flips of one cell
    /// cancel in pairs.
    #[must_use]
    pub fn read_inverted(&self, flips: &[Cell]) -> Vec<StoredBit> {
        let mut flipped: BTreeMap<StoredBit, u8> = BTreeMap::new();
        for cell in flips {
            *flipped.entry(cell.bit).or_default() ^= 1u8.checked_shl(u32::from(cell.copy)).unwrap_or(0);
        }
        flipped
            .into_iter()
            .filter(|&(bit, cells)| {
                let scheme = if self.is_protected(bit) {
                    self.scheme
                } else {
                    Scheme::None
                };
                scheme.reads_inverted(cells)
            })
            .map(|(bit, _)| bit)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_one_number() {
        let protected = [StoredBit(7), StoredBit(2), StoredBit(7), StoredBit(10)];
        let cells = Cells::new(Scheme::Tmr, 10, &protected);
        assert_eq!((cells.extra(), cells.total()), (4, 14));
        let all: Vec<Cell> = (0..cells.total())
            .map(|index| cells.cell(index).unwrap())
            .collect();
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 14);
        assert_eq!(all.iter().filter(|cell| cell.bit == StoredBit(7)).count(), 3);
        assert_eq!(cells.cell(14), None);
        assert_eq!(Cells::new(Scheme::None, 10, &protected).total(), 10);
        assert_eq!(Cells::new(Scheme::None, 10, &protected).cell(10), None);
    }

    #[test]
    fn one_flipped_cell_of_three_is_outvoted_and_two_are_not() {
        let cells = Cells::new(Scheme::Tmr, 4, &[StoredBit(1)]);
        let cell = |bit, copy| Cell {
            bit: StoredBit(bit),
            copy,
        };
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
