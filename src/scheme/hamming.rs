//! Single error correction, double error detection: the extended Hamming code of any width.
//!
//! Columns of the parity check matrix are the numbers 1, 2, 3, ...: powers of two belong to the check
//! bits, the others to the data bits in order (R. W. Hamming, Error Detecting and Error Correcting Codes,
//! Bell System Technical Journal 29, 1950). One more check bit makes the number of ones in the whole word
//! even. The cells of a word are its data bits, the check bits, and that overall parity last.

/// The extended Hamming code for words of some number of data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hamming {
    data_bits: u32,
    /// Check bits without the overall parity.
    check_bits: u32,
}

/// What the decoder does with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Nothing: the word is a codeword.
    Clean,
    /// It inverts this cell.
    Inverts(u32),
    /// It reports an error that it cannot correct, and hands the data on as they are.
    Detected,
}

impl Hamming {
    /// The code with the fewest check bits `r` for `data_bits` `k`: the smallest with `2^r >= k + r + 1`.
    #[must_use]
    pub fn new(data_bits: u32) -> Self {
        let needed = |check_bits: u32| u64::from(data_bits) + u64::from(check_bits) + 1;
        // Below the width of `k` itself `2^r` does not even reach `k`.
        let check_bits = (data_bits.checked_ilog2().unwrap_or(0) + 1..)
            .find(|&check_bits| 1u64 << check_bits >= needed(check_bits))
            .unwrap_or(33);
        Self {
            data_bits,
            check_bits,
        }
    }

    /// Number of data bits.
    #[must_use]
    pub fn data_bits(&self) -> u32 {
        self.data_bits
    }

    /// Number of check bits, the overall parity included.
    #[must_use]
    pub fn check_bits(&self) -> u32 {
        self.check_bits + 1
    }

    /// Cells of a word.
    #[must_use]
    pub fn cells(&self) -> u32 {
        self.data_bits + self.check_bits()
    }

    /// The column of a cell in the parity check matrix, without the row of the overall parity; 0 for the
    /// overall parity's own cell.
    #[must_use]
    pub fn column(&self, cell: u32) -> u64 {
        if cell < self.data_bits {
            // The `cell`-th number from 3 on that is no power of two.
            let cell = u64::from(cell);
            let mut log = 1u32;
            while cell >= (1u64 << (log + 1)) - u64::from(log) - 2 {
                log += 1;
            }
            cell + u64::from(log) + 2
        } else if cell < self.data_bits + self.check_bits {
            1 << (cell - self.data_bits)
        } else {
            0
        }
    }

    /// The cell that has a column other than 0.
    fn cell_of(&self, column: u64) -> Option<u32> {
        let log = column.ilog2();
        if column.is_power_of_two() {
            return (log < self.check_bits).then_some(self.data_bits + log);
        }
        let cell = column - u64::from(log) - 2;
        (cell < u64::from(self.data_bits)).then_some(cell as u32)
    }

    /// What the decoder does when exactly these cells of a codeword are inverted. The code is linear: the
    /// syndrome is that of the inverted cells, whatever the data.
    #[must_use]
    pub fn decode(&self, inverted: &[u32]) -> Decoded {
        let syndrome = inverted
            .iter()
            .fold(0, |syndrome, &cell| syndrome ^ self.column(cell));
        self.act(syndrome, inverted.len() % 2 == 1)
    }

    /// What the decoder does with a word of cells.
    ///
    /// # Panics
    /// Where `word` has not one entry per cell.
    #[must_use]
    pub fn decode_word(&self, word: &[bool]) -> Decoded {
        assert_eq!(word.len(), self.cells() as usize, "one entry per cell");
        let ones = (0u32..).zip(word).filter(|(_, set)| **set);
        let (syndrome, odd) = ones.fold((0, false), |(syndrome, odd), (cell, _)| {
            (syndrome ^ self.column(cell), !odd)
        });
        self.act(syndrome, odd)
    }

    fn act(&self, syndrome: u64, odd: bool) -> Decoded {
        match (syndrome, odd) {
            (0, false) => Decoded::Clean,
            (0, true) => Decoded::Inverts(self.cells() - 1),
            (_, false) => Decoded::Detected,
            (column, true) => self.cell_of(column).map_or(Decoded::Detected, Decoded::Inverts),
        }
    }

    /// The check bits of these data, the overall parity last.
    ///
    /// # Panics
    /// Where `data` has not one entry per data bit.
    #[must_use]
    pub fn encode(&self, data: &[bool]) -> Vec<bool> {
        assert_eq!(data.len(), self.data_bits as usize, "one entry per data bit");
        let ones = (0u32..).zip(data).filter(|(_, set)| **set);
        let syndrome = ones.fold(0, |syndrome, (cell, _)| syndrome ^ self.column(cell));
        let mut checks: Vec<bool> = (0..self.check_bits).map(|row| syndrome >> row & 1 == 1).collect();
        let ones = data.iter().chain(&checks).filter(|set| **set).count();
        checks.push(ones % 2 == 1);
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_known_codes() {
        let known = [
            (1, 4),
            (4, 8),
            (8, 13),
            (11, 16),
            (16, 22),
            (26, 32),
            (32, 39),
            (57, 64),
            (64, 72),
            (128, 137),
        ];
        for (data_bits, cells) in known {
            assert_eq!(Hamming::new(data_bits).cells(), cells, "{data_bits} data bits");
        }
    }

    #[test]
    fn columns_are_distinct_and_found_again() {
        for data_bits in [1, 2, 4, 5, 11, 12, 64, 500] {
            let code = Hamming::new(data_bits);
            let mut columns: Vec<u64> = (0..code.cells()).map(|cell| code.column(cell)).collect();
            for (cell, &column) in (0u32..).zip(&columns[..columns.len() - 1]) {
                assert_eq!(code.cell_of(column), Some(cell));
                assert_eq!(column.is_power_of_two(), cell >= data_bits);
            }
            columns.sort_unstable();
            assert!(columns.windows(2).all(|pair| pair[0] < pair[1]), "{data_bits}");
        }
    }
}
