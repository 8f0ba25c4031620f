//! One protected word: its cells, what is read from them, and what a scrubber writes back.
//!
//! Every scheme here treats the data's own values alike: what is read depends only on which cells are
//! inverted. So a word is the set of its inverted cells.
//!
//! | scheme | cells of a word of `k` data bits | reads | a scrub pass writes |
//! |---|---|---|---|
//! | none | `k` | the cells | nothing |
//! | `tmr` | three copies | the majority of each bit | the majority into all three |
//! | `tmr-word` | three copies | the word that two copies agree on; where no two agree the first copy, reported | that word into all three; nothing where no two agree |
//! | `dmr` | two copies | the first copy; a difference is reported | nothing |
//! | `parity` | `k` and one parity bit | the data; an odd number of inverted cells is reported | the original, from outside, where it was reported |
//! | `secded` | `k` and the check bits of [`Hamming`] | the corrected data; what cannot be corrected is reported and read as it is | the corrected word with its check bits; nothing where it was reported |

use super::hamming::Decoded;
use super::{Hamming, Pattern, Scheme};

/// How one word is stored and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    scheme: Scheme,
    data_bits: u32,
    hamming: Hamming,
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
            hamming: Hamming::new(data_bits),
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
        self.data_bits
            + match self.scheme {
                Scheme::Parity => 1,
                Scheme::Secded => self.hamming.check_bits(),
                Scheme::None | Scheme::Tmr | Scheme::TmrWord | Scheme::Dmr => 0,
            }
    }

    /// How many times the row is stored.
    #[must_use]
    pub fn copies(&self) -> u32 {
        match self.scheme {
            Scheme::Tmr | Scheme::TmrWord => 3,
            Scheme::Dmr => 2,
            Scheme::None | Scheme::Parity | Scheme::Secded => 1,
        }
    }

    /// All cells of a word; cell `c*row_cells + i` is cell `i` of copy `c`.
    #[must_use]
    pub fn cells(&self) -> u32 {
        self.row_cells() * self.copies()
    }

    /// The cells of a word that holds these data.
    ///
    /// # Panics
    /// Where `data` has not one entry per data bit.
    #[must_use]
    pub fn encode(&self, data: &[bool]) -> Vec<bool> {
        assert_eq!(data.len(), self.data_bits as usize, "one entry per data bit");
        let mut row = data.to_vec();
        match self.scheme {
            Scheme::Parity => row.push(data.iter().filter(|set| **set).count() % 2 == 1),
            Scheme::Secded => row.extend(self.hamming.encode(data)),
            Scheme::None | Scheme::Tmr | Scheme::TmrWord | Scheme::Dmr => {}
        }
        row.repeat(self.copies() as usize)
    }

    /// What is read when exactly these cells (in order, each once) are inverted.
    #[must_use]
    pub fn read(&self, inverted: &[u32]) -> Reading {
        if inverted.is_empty() {
            return Reading::RIGHT;
        }
        let width = self.data_bits;
        let data = || -> Pattern {
            inverted
                .iter()
                .copied()
                .take_while(|&cell| cell < width)
                .collect()
        };
        match self.scheme {
            Scheme::None => Reading {
                wrong: data(),
                verdict: Verdict::Clean,
            },
            Scheme::Tmr => Reading {
                wrong: self.outvoted(inverted),
                verdict: Verdict::Corrected,
            },
            Scheme::TmrWord => match self.agreed(inverted) {
                Some(wrong) => Reading {
                    wrong,
                    verdict: Verdict::Corrected,
                },
                None => Reading {
                    wrong: data(),
                    verdict: Verdict::Detected,
                },
            },
            Scheme::Dmr => {
                let [first, second, _] = self.by_copy(inverted);
                let verdict = if first == second {
                    Verdict::Clean
                } else {
                    Verdict::Detected
                };
                Reading {
                    wrong: first,
                    verdict,
                }
            }
            Scheme::Parity => Reading {
                wrong: data(),
                verdict: if inverted.len() % 2 == 1 {
                    Verdict::Detected
                } else {
                    Verdict::Clean
                },
            },
            Scheme::Secded => {
                let mut wrong = data();
                let verdict = match self.hamming.decode(inverted) {
                    Decoded::Clean => Verdict::Clean,
                    Decoded::Inverts(cell) => {
                        if cell < width {
                            wrong.toggle(cell);
                        }
                        Verdict::Corrected
                    }
                    Decoded::Detected => Verdict::Detected,
                };
                Reading { wrong, verdict }
            }
        }
    }

    /// The inverted cells after a scrub pass went over a word with these inverted cells.
    #[must_use]
    pub fn rewrite(&self, inverted: &[u32]) -> Pattern {
        let same = || inverted.iter().copied().collect();
        let in_all = |wrong: &Pattern| {
            (0..self.copies())
                .flat_map(|copy| {
                    wrong
                        .as_slice()
                        .iter()
                        .map(move |bit| copy * self.data_bits + bit)
                })
                .collect()
        };
        match self.scheme {
            Scheme::None | Scheme::Dmr => same(),
            Scheme::Tmr => in_all(&self.outvoted(inverted)),
            Scheme::TmrWord => self.agreed(inverted).map_or_else(same, |wrong| in_all(&wrong)),
            Scheme::Parity if inverted.len() % 2 == 1 => Pattern::EMPTY,
            Scheme::Parity => same(),
            Scheme::Secded => {
                let mut cells: Pattern = same();
                if let Decoded::Inverts(cell) = self.hamming.decode(inverted) {
                    cells.toggle(cell);
                }
                cells
            }
        }
    }

    /// Inverted data bits of each copy.
    fn by_copy(&self, inverted: &[u32]) -> [Pattern; 3] {
        let mut copies = [Pattern::EMPTY; 3];
        for &cell in inverted {
            if let Some(copy) = copies.get_mut((cell / self.data_bits) as usize) {
                copy.toggle(cell % self.data_bits);
            }
        }
        copies
    }

    /// Bits that are inverted in two copies or more.
    fn outvoted(&self, inverted: &[u32]) -> Pattern {
        if inverted.len() < 2 {
            return Pattern::EMPTY;
        }
        let copies = self.by_copy(inverted);
        let mut wrong = Pattern::EMPTY;
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            for &bit in copies[a].as_slice() {
                if copies[b].contains(bit) && !wrong.contains(bit) {
                    wrong.toggle(bit);
                }
            }
        }
        wrong
    }

    /// The inverted bits of the word that two copies agree on.
    fn agreed(&self, inverted: &[u32]) -> Option<Pattern> {
        let [a, b, c] = self.by_copy(inverted);
        if a == b || a == c {
            Some(a)
        } else {
            (b == c).then_some(b)
        }
    }
}

#[cfg(test)]
mod tests;
