//! Where the cells of a memory lie beside each other on the chip.

use serde::Serialize;

/// The physical array of one memory: rows of columns.
///
/// With an interleave of `I` a row holds `I` words, and adjacent columns belong to `I` different words:
/// bit `b` of word `w` lies in row `w / I`, column `b*I + w % I`. Without interleaving (`I` = 1) a row is
/// a word. The array is rectangular; places beyond the last word hold nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Geometry {
    cells: u64,
    word_bits: u64,
    interleave: u64,
    /// Rows of one bank; all of them where there is one bank.
    bank_rows: u64,
}

impl Geometry {
    /// An array of `cells` cells in words of `word_bits` (at least 1; the last word may be short). An
    /// interleave of 0 counts as 1, and one beyond the number of words as that number.
    #[must_use]
    pub fn new(cells: u64, word_bits: u32, interleave: u32) -> Self {
        let word_bits = u64::from(word_bits.max(1));
        let words = cells.div_ceil(word_bits);
        let interleave = u64::from(interleave).clamp(1, words.max(1));
        Self {
            cells,
            word_bits,
            interleave,
            bank_rows: words.div_ceil(interleave).max(1),
        }
    }

    /// The same array cut into so many banks of equally many rows (the last one may have fewer), which lie
    /// apart. 0 counts as 1, and more banks than rows as that number.
    #[must_use]
    pub fn in_banks(mut self, banks: u32) -> Self {
        let rows = self.rows().max(1);
        self.bank_rows = rows.div_ceil(u64::from(banks).clamp(1, rows));
        self
    }

    /// Rows of one bank; the last one may have fewer.
    #[must_use]
    pub fn bank_rows(&self) -> u64 {
        self.bank_rows
    }

    /// The bank of a row.
    #[must_use]
    pub fn bank(&self, row: u64) -> u64 {
        row / self.bank_rows
    }

    /// Number of cells that hold something.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Cells of one word.
    #[must_use]
    pub fn word_bits(&self) -> u64 {
        self.word_bits
    }

    /// Words in one row.
    #[must_use]
    pub fn interleave(&self) -> u64 {
        self.interleave
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.cells.div_ceil(self.word_bits).div_ceil(self.interleave)
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> u64 {
        self.word_bits * self.interleave
    }

    /// Row and column of cell `word*word_bits + bit`.
    #[must_use]
    pub fn place(&self, cell: u64) -> (u64, u64) {
        let (word, bit) = (cell / self.word_bits, cell % self.word_bits);
        (
            word / self.interleave,
            bit * self.interleave + word % self.interleave,
        )
    }

    /// The cell in a row and column; none where nothing is stored there.
    #[must_use]
    pub fn cell(&self, row: i64, column: i64) -> Option<u64> {
        let (row, column) = (u64::try_from(row).ok()?, u64::try_from(column).ok()?);
        if column >= self.columns() {
            return None;
        }
        let word = row.checked_mul(self.interleave)? + column % self.interleave;
        let cell = word.checked_mul(self.word_bits)? + column / self.interleave;
        (cell < self.cells).then_some(cell)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn banks_share_the_rows() {
        let geometry = Geometry::new(10 * 3, 3, 1).in_banks(3);
        let banks: Vec<u64> = (0..10).map(|row| geometry.bank(row)).collect();
        assert_eq!(banks, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
        assert_eq!(Geometry::new(30, 3, 1).in_banks(0), Geometry::new(30, 3, 1));
        assert_eq!(Geometry::new(30, 3, 1).in_banks(99).bank(9), 9);
    }

    #[test]
    fn four_words_share_a_row() {
        let geometry = Geometry::new(6 * 3, 3, 4);
        assert_eq!((geometry.rows(), geometry.columns()), (2, 12));
        // Bit 0 of words 0 to 3, then bit 1 of words 0 to 3.
        let row: Vec<_> = (0..5).map(|column| geometry.cell(0, column)).collect();
        assert_eq!(row, [Some(0), Some(3), Some(6), Some(9), Some(1)]);
        // Words 4 and 5 stand alone in the last row.
        let row: Vec<_> = (0..4).map(|column| geometry.cell(1, column)).collect();
        assert_eq!(row, [Some(12), Some(15), None, None]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_cell_has_one_place(cells in 0u64..400, word_bits in 1u32..20, interleave in 0u32..9) {
            let geometry = Geometry::new(cells, word_bits, interleave);
            let mut found = Vec::new();
            for row in -1..=geometry.rows() as i64 {
                for column in -1..=geometry.columns() as i64 {
                    if let Some(cell) = geometry.cell(row, column) {
                        prop_assert_eq!(geometry.place(cell), (row as u64, column as u64));
                        found.push(cell);
                    }
                }
            }
            found.sort_unstable();
            prop_assert_eq!(found, (0..cells).collect::<Vec<_>>());
        }
    }
}
