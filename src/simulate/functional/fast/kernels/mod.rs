//! Inner loops of matrix products, one copy per instruction set, behind safe functions.
//!
//! All of them read the window in place: an output pixel is a start in the input buffer, and the
//! window a list of [`Run`]s relative to it. Accumulators are 32 bits wide and wrap; the caller
//! proves that the sums fit.

mod bits;
mod columns;
mod compare;
mod rows;

pub use bits::{BitTask, mismatches};
pub use columns::{ColumnTask, byte_columns, half_columns};
pub use compare::compare;
pub use rows::{RowTask, byte_rows};

/// 64 bytes of packed weights, as wide as the widest register.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

impl Line {
    /// All zero.
    pub const ZERO: Self = Self([0; 64]);

    /// The 16-bit number at a place.
    #[inline(always)]
    #[must_use]
    pub fn half(&self, at: usize) -> i16 {
        i16::from_ne_bytes([self.0[2 * at], self.0[2 * at + 1]])
    }

    /// Stores a 16-bit number.
    pub fn set_half(&mut self, at: usize, value: i16) {
        self.0[2 * at..][..2].copy_from_slice(&value.to_ne_bytes());
    }

    /// The 64-bit word at a place.
    #[inline(always)]
    #[must_use]
    pub fn word(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[8 * at..][..8]);
        u64::from_ne_bytes(bytes)
    }

    /// Stores a 64-bit word.
    pub fn set_word(&mut self, at: usize, value: u64) {
        self.0[8 * at..][..8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// Output channels side by side in the accumulators of [`byte_columns`] and [`half_columns`].
pub const COLUMNS: usize = 16;
/// Output channels side by side in the accumulators of [`mismatches`].
pub const BIT_COLUMNS: usize = 8;
/// Output channels that [`byte_rows`] sums together.
pub const ROWS: usize = 4;

/// A contiguous part of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First element, relative to the pixel's start.
    pub offset: usize,
    /// Steps: 4 bytes, 2 halves, 1 word of bits, or 64 bytes for [`byte_rows`].
    pub steps: usize,
}

/// A window as runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    list: Vec<Run>,
    steps: usize,
    /// Elements from the pixel's start that may be read; beyond the window they meet zero weights.
    reach: usize,
}

impl Runs {
    /// Runs of `(offset, length)` in elements, in steps of `step` elements.
    #[must_use]
    pub fn new(parts: &[(usize, usize)], step: usize) -> Self {
        let list: Vec<Run> = parts
            .iter()
            .map(|&(offset, length)| Run {
                offset,
                steps: length.div_ceil(step),
            })
            .collect();
        Self {
            steps: list.iter().map(|run| run.steps).sum(),
            reach: list
                .iter()
                .map(|run| run.offset + run.steps * step)
                .max()
                .unwrap_or(0),
            list,
        }
    }

    /// The runs.
    #[must_use]
    pub fn list(&self) -> &[Run] {
        &self.list
    }

    /// Steps of all runs.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Checks that all pixels can be read.
    ///
    /// # Panics
    /// Where one reaches beyond the input.
    fn check(&self, len: usize, pixels: &[usize], shift: usize) {
        let last = pixels.iter().max().copied().unwrap_or(0);
        assert!(
            last + shift + self.reach <= len,
            "a window reaches beyond its buffer"
        );
    }
}

#[cfg(test)]
mod tests;
