//! One protected word: its cells, what is read from them, and what a scrubber writes back.
//!
//! Every scheme here treats the data's own values alike: what is read depends only on which cells are
//! inverted. So a word is the set of its inverted cells.
//!
//! | scheme | cells of a word of `k` data bits | reads | a scrub pass writes |
//! |---|---|---|---|
//! | none | `k` | the cells | nothing |
//! | ideal | `k` | the original | the original |
//! | `tmr` | three copies | the majority of each bit | the majority into all three |
//! | `tmr-word` | three copies | the word that two copies agree on; where no two agree the first copy, reported | that word into all three; nothing where no two agree |
//! | `dmr` | two copies | the first copy; a difference is reported | nothing |
//! | `parity` | `k` and one parity bit | the data; an odd number of inverted cells is reported | the original, from outside, where it was reported |
//! | `secded` | `k` and the check bits of [`Hamming`](super::Hamming) | the corrected data; what cannot be corrected is reported and read as it is | the corrected word with its check bits; nothing where it was reported |

use serde::Serialize;

use super::{Pattern, Scheme};

/// How one unit, a word or a bit by itself, is stored and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    scheme: Scheme,
    data_bits: u32,
    row_cells: u32,
}

/// What a reader learns about a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to report.
    Clean,
    /// An error was outvoted or corrected.
    Corrected,
    /// There is an error that the hardware sees and cannot correct.
    Detected,
}

/// A word as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Data bits that are read inverted.
    pub wrong: Pattern,
    /// What the reader learns.
    pub verdict: Verdict,
}

impl Reading {
    /// A word that is read right.
    pub const RIGHT: Self = Self {
        wrong: Pattern::EMPTY,
        verdict: Verdict::Clean,
    };

    /// Whether the word failed: read wrong, or reported as beyond correction.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.verdict == Verdict::Detected || !self.wrong.is_empty()
    }
}

impl Code {
    /// Words of `data_bits` bits under a scheme.
    #[must_use]
    pub fn new(scheme: Scheme, data_bits: u32) -> Self {
        Self {
            scheme,
            data_bits,
            row_cells: data_bits + scheme.definition().check_bits(data_bits),
        }
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Number of data bits.
    #[must_use]
    pub fn data_bits(&self) -> u32 {
        self.data_bits
    }

    /// Cells that lie in the word's own row: data bits first, then check bits.
    #[must_use]
    pub fn row_cells(&self) -> u32 {
        self.row_cells
    }

    /// How many times the row is stored.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.scheme.copies()
    }

    /// All cells of a word; cell `c*row_cells + i` is cell `i` of copy `c`.
    #[must_use]
    pub fn cells(&self) -> u32 {
        self.row_cells() * self.copies()
    }

    /// Cells beside the data bits.
    #[must_use]
    pub fn extra_cells(&self) -> u32 {
        self.cells() - self.data_bits
    }

    /// The cells of a word that holds these data.
    ///
    /// # Panics
    /// Where `data` has not one entry per data bit.
    #[must_use]
    pub fn encode(&self, data: &[bool]) -> Vec<bool> {
        assert_eq!(data.len(), self.data_bits as usize, "one entry per data bit");
        let mut row = data.to_vec();
        row.extend(self.scheme.definition().encode(data));
        row.repeat(self.copies() as usize)
    }

    /// What is read when exactly these cells (in order, each once) are inverted.
    #[must_use]
    pub fn read(&self, inverted: &[u32]) -> Reading {
        if inverted.is_empty() {
            return Reading::RIGHT;
        }
        self.scheme.definition().read(self, inverted)
    }

    /// The inverted cells after a scrub pass went over a word with these inverted cells.
    #[must_use]
    pub fn rewrite(&self, inverted: &[u32]) -> Pattern {
        self.scheme.definition().rewrite(self, inverted)
    }

    /// The inverted data bits of the first copy.
    pub(super) fn data_of(&self, inverted: &[u32]) -> Pattern {
        inverted
            .iter()
            .copied()
            .take_while(|&cell| cell < self.data_bits)
            .collect()
    }

    /// Inverted cells of the row of each copy, up to three.
    pub(super) fn by_copy(&self, inverted: &[u32]) -> [Pattern; 3] {
        let mut copies = [Pattern::EMPTY; 3];
        for &cell in inverted {
            if let Some(copy) = copies.get_mut((cell / self.row_cells) as usize) {
                copy.toggle(cell % self.row_cells);
            }
        }
        copies
    }

    /// The cells of a row in every copy.
    pub(super) fn in_all_copies(&self, row: &Pattern) -> Pattern {
        (0..self.copies())
            .flat_map(|copy| {
                let first = copy * self.row_cells;
                row.as_slice().iter().map(move |cell| first + cell)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
