//! Small sets of cells of one word.

/// A sorted set of cell numbers; up to five take no memory of their own.
#[derive(Clone)]
pub struct Pattern(Cells);

#[derive(Clone)]
enum Cells {
    Few { len: u8, cells: [u32; FEW] },
    Many(Vec<u32>),
}

const FEW: usize = 5;

impl Pattern {
    /// No cell.
    pub const EMPTY: Self = Self(Cells::Few {
        len: 0,
        cells: [0; FEW],
    });

    /// The cells in order.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Cells::Few { len, cells } => &cells[..usize::from(*len)],
            Cells::Many(cells) => cells,
        }
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether the cell is there.
    #[must_use]
    pub fn contains(&self, cell: u32) -> bool {
        self.as_slice().binary_search(&cell).is_ok()
    }

    /// Takes the cell out where it is there, and in where it is not.
    pub fn toggle(&mut self, cell: u32) {
        let at = self.as_slice().binary_search(&cell);
        match (&mut self.0, at) {
            (Cells::Few { len, cells }, Ok(at)) => {
                cells.copy_within(at + 1..usize::from(*len), at);
                *len -= 1;
            }
            (Cells::Few { len, cells }, Err(at)) if usize::from(*len) < FEW => {
                cells.copy_within(at..usize::from(*len), at + 1);
                cells[at] = cell;
                *len += 1;
            }
            (Cells::Few { cells, .. }, Err(at)) => {
                let mut many = cells.to_vec();
                many.insert(at, cell);
                self.0 = Cells::Many(many);
            }
            (Cells::Many(cells), Ok(at)) => {
                cells.remove(at);
            }
            (Cells::Many(cells), Err(at)) => cells.insert(at, cell),
        }
    }

    /// Removes every cell.
    pub fn clear(&mut self) {
        match &mut self.0 {
            Cells::Few { len, .. } => *len = 0,
            Cells::Many(cells) => cells.clear(),
        }
    }
}

impl FromIterator<u32> for Pattern {
    /// Cells that come twice cancel.
    fn from_iter<I: IntoIterator<Item = u32>>(cells: I) -> Self {
        let mut pattern = Self::EMPTY;
        for cell in cells {
            pattern.toggle(cell);
        }
        pattern
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Pattern {}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set_under_toggling(cells in proptest::collection::vec(0u32..12, 0..40)) {
            let mut pattern = Pattern::EMPTY;
            let mut set = BTreeSet::new();
            for &cell in &cells {
                pattern.toggle(cell);
                if !set.remove(&cell) {
                    set.insert(cell);
                }
                prop_assert_eq!(pattern.as_slice(), &set.iter().copied().collect::<Vec<_>>()[..]);
                prop_assert_eq!(pattern.len(), set.len());
                for probe in 0..12 {
                    prop_assert_eq!(pattern.contains(probe), set.contains(&probe));
                }
            }
            prop_assert_eq!(&cells.iter().copied().collect::<Pattern>(), &pattern);
            pattern.clear();
            prop_assert!(pattern.is_empty());
        }
    }
}
