//! Fixed-point formats, casts, exact arithmetic and bit patterns.
//!
//! This room alone rounds and saturates. A number is an integer *mantissa* together with a
//! [`Format`]; its value is `mantissa * 2^-frac`, where `frac = width - integer` may be negative
//! or larger than the width. The semantics are those of the SystemC fixed-point types (IEEE
//! 1666-2011, chapter 7.10), whose vocabulary `ap_fixed` shares.

mod cast;
mod format;

pub use cast::Cast;
pub use format::{Format, FormatError, MAX_STORED_WIDTH, MAX_WIDTH, Overflow, Quantization};
