//! Tensors in the narrowest lanes that hold their range.

use super::Level;
use super::level::at_level;
use super::range::Range;

/// Elements behind the last one that kernels may read.
pub const SLACK: usize = 64;

/// How mantissas are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// -1 and +1 as bits 0 and 1; each row of `row` elements starts a new word.
    Bits {
        /// Elements per row.
        row: usize,
    },
    /// `mantissa + zero` as unsigned bytes.
    Byte {
        /// What stands for 0.
        zero: i32,
    },
    /// `mantissa + zero` as signed 16-bit numbers.
    Half {
        /// What stands for 0.
        zero: i32,
    },
    /// 32 bits.
    Word,
    /// 64 bits.
    Wide,
}

impl Kind {
    /// The narrowest kind for a range; `row` is the number of channels.
    #[must_use]
    pub fn of(range: &Range, row: usize) -> Self {
        let (low, high) = (i128::from(range.low), i128::from(range.high));
        let (half_low, half_high) = (i128::from(i16::MIN), i128::from(i16::MAX));
        if range.bipolar {
            Self::Bits { row: row.max(1) }
        } else if low >= 0 && high <= 255 {
            Self::Byte { zero: 0 }
        } else if high - low <= 255 && range.low.unsigned_abs() < 1 << 30 {
            Self::Byte {
                zero: -range.low as i32,
            }
        } else if low >= half_low && high <= half_high {
            Self::Half { zero: 0 }
        } else if high - low <= 65535 && range.low.unsigned_abs() < 1 << 30 {
            Self::Half {
                zero: (half_low - low) as i32,
            }
        } else if low >= i128::from(i32::MIN) && high <= i128::from(i32::MAX) {
            Self::Word
        } else {
            Self::Wide
        }
    }
}

/// The stored elements, with [`SLACK`] zeros behind them.
#[derive(Clone, Debug)]
pub enum Data {
    /// Words of bits.
    Bits(Vec<u64>),
    /// Bytes.
    Byte(Vec<u8>),
    /// 16 bits.
    Half(Vec<i16>),
    /// 32 bits.
    Word(Vec<i32>),
    /// 64 bits.
    Wide(Vec<i64>),
}

/// A tensor.
#[derive(Clone, Debug)]
pub struct Store {
    /// How.
    pub kind: Kind,
    /// Number of elements.
    pub len: usize,
    /// What.
    pub data: Data,
}

/// Words that a row of bits takes.
#[must_use]
pub fn words(row: usize) -> usize {
    row.div_ceil(64)
}

impl Store {
    /// A tensor of zero bits.
    #[must_use]
    pub fn new(kind: Kind, len: usize) -> Self {
        let data = match kind {
            Kind::Bits { row } => Data::Bits(vec![0; len.div_ceil(row) * words(row) + SLACK]),
            Kind::Byte { .. } => Data::Byte(vec![0; len + SLACK]),
            Kind::Half { .. } => Data::Half(vec![0; len + SLACK]),
            Kind::Word => Data::Word(vec![0; len + SLACK]),
            Kind::Wide => Data::Wide(vec![0; len + SLACK]),
        };
        Self { kind, len, data }
    }

    /// All mantissas.
    #[must_use]
    pub fn mantissas(&self, level: Level) -> Vec<i64> {
        let mut values = vec![0; self.len];
        self.read(level, 0, &mut values);
        values
    }

    /// Reads mantissas from an element on.
    ///
    /// # Panics
    /// Where they reach beyond the end.
    pub fn read(&self, level: Level, first: usize, to: &mut [i64]) {
        let end = first + to.len();
        match (&self.data, self.kind) {
            (Data::Bits(bits), Kind::Bits { row }) => {
                for (value, at) in to.iter_mut().zip(first..) {
                    *value = 2 * bit(bits, row, at) - 1;
                }
            }
            (Data::Byte(data), Kind::Byte { zero }) => read_bytes(level, &data[first..end], zero, to),
            (Data::Half(data), Kind::Half { zero }) => read_halves(level, &data[first..end], zero, to),
            (Data::Word(data), _) => read_words(level, &data[first..end], to),
            (Data::Wide(data), _) => to.copy_from_slice(&data[first..end]),
            _ => {}
        }
    }

    /// Reads mantissas of at most 32 bits; wider ones lose their top.
    ///
    /// # Panics
    /// As [`Store::read`].
    pub fn read_narrow(&self, level: Level, first: usize, to: &mut [i32]) {
        let end = first + to.len();
        match (&self.data, self.kind) {
            (Data::Bits(bits), Kind::Bits { row }) => {
                for (value, at) in to.iter_mut().zip(first..) {
                    *value = (2 * bit(bits, row, at) - 1) as i32;
                }
            }
            (Data::Byte(data), Kind::Byte { zero }) => {
                read_bytes_narrow(level, &data[first..end], zero, to);
            }
            (Data::Half(data), Kind::Half { zero }) => {
                read_halves_narrow(level, &data[first..end], zero, to);
            }
            (Data::Word(data), _) => to.copy_from_slice(&data[first..end]),
            (Data::Wide(data), _) => {
                for (to, &value) in to.iter_mut().zip(&data[first..end]) {
                    *to = value as i32;
                }
            }
            _ => {}
        }
    }

    /// Stores mantissas of the tensor's range from an element on.
    ///
    /// # Panics
    /// As [`Store::read`].
    pub fn write(&mut self, level: Level, first: usize, from: &[i64]) {
        let end = first + from.len();
        match (&mut self.data, self.kind) {
            (Data::Bits(bits), Kind::Bits { row }) => {
                write_bits(bits, row, first, from.iter().map(|&value| value > 0));
            }
            (Data::Byte(data), Kind::Byte { zero }) => write_bytes(level, &mut data[first..end], zero, from),
            (Data::Half(data), Kind::Half { zero }) => write_halves(level, &mut data[first..end], zero, from),
            (Data::Word(data), _) => write_words(level, &mut data[first..end], from),
            (Data::Wide(data), _) => data[first..end].copy_from_slice(from),
            _ => {}
        }
    }

    /// Stores mantissas of at most 32 bits from an element on.
    ///
    /// # Panics
    /// As [`Store::read`].
    pub fn write_narrow(&mut self, level: Level, first: usize, from: &[i32]) {
        let end = first + from.len();
        match (&mut self.data, self.kind) {
            (Data::Bits(bits), Kind::Bits { row }) => {
                write_bits(bits, row, first, from.iter().map(|&value| value > 0));
            }
            (Data::Byte(data), Kind::Byte { zero }) => {
                write_bytes_narrow(level, &mut data[first..end], zero, from);
            }
            (Data::Half(data), Kind::Half { zero }) => {
                write_halves_narrow(level, &mut data[first..end], zero, from);
            }
            (Data::Word(data), _) => data[first..end].copy_from_slice(from),
            (Data::Wide(data), _) => {
                for (to, &value) in data[first..end].iter_mut().zip(from) {
                    *to = i64::from(value);
                }
            }
            _ => {}
        }
    }
}

#[inline(always)]
fn bit(bits: &[u64], row: usize, at: usize) -> i64 {
    let (line, column) = (at / row, at % row);
    (bits[line * words(row) + column / 64] >> (column % 64) & 1) as i64
}

fn write_bits(bits: &mut [u64], row: usize, first: usize, values: impl Iterator<Item = bool>) {
    for (value, at) in values.zip(first..) {
        let (line, column) = (at / row, at % row);
        let word = &mut bits[line * words(row) + column / 64];
        let mask = 1 << (column % 64);
        *word = if value { *word | mask } else { *word & !mask };
    }
}

/// A conversion of each element.
macro_rules! conversion {
    ($name:ident, $from:ty => $to:ty, |$value:ident, $zero:ident| $result:expr) => {
        at_level!(fn $name(from: &[$from], $zero: i32, to: &mut [$to]) =
            |from: &[$from], $zero: i32, to: &mut [$to]| {
                for (to, &$value) in to.iter_mut().zip(from) {
                    *to = $result;
                }
            });
    };
}

macro_rules! store {
    ($name:ident, $from:ty => $to:ty, |$value:ident, $zero:ident| $result:expr) => {
        at_level!(fn $name(to: &mut [$to], $zero: i32, from: &[$from]) =
            |to: &mut [$to], $zero: i32, from: &[$from]| {
                for (to, &$value) in to.iter_mut().zip(from) {
                    *to = $result;
                }
            });
    };
}

conversion!(read_bytes, u8 => i64, |value, zero| i64::from(value) - i64::from(zero));
conversion!(read_halves, i16 => i64, |value, zero| i64::from(value) - i64::from(zero));
conversion!(read_bytes_narrow, u8 => i32, |value, zero| i32::from(value) - zero);
conversion!(read_halves_narrow, i16 => i32, |value, zero| i32::from(value) - zero);
conversion!(widen_words, i32 => i64, |value, _zero| i64::from(value));
store!(write_bytes, i64 => u8, |value, zero| value.wrapping_add(i64::from(zero)) as u8);
store!(write_halves, i64 => i16, |value, zero| value.wrapping_add(i64::from(zero)) as i16);
store!(write_bytes_narrow, i32 => u8, |value, zero| value.wrapping_add(zero) as u8);
store!(write_halves_narrow, i32 => i16, |value, zero| value.wrapping_add(zero) as i16);
store!(narrow_words, i64 => i32, |value, _zero| value as i32);

fn read_words(level: Level, from: &[i32], to: &mut [i64]) {
    widen_words(level, from, 0, to);
}

fn write_words(level: Level, to: &mut [i32], from: &[i64]) {
    narrow_words(level, to, 0, from);
}
