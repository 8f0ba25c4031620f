//! Fixed-point formats, casts, exact arithmetic and bit patterns.
//!
//! This room alone rounds and saturates. A number is an integer *mantissa* together with a
//! [`Format`]; its value is `mantissa * 2^-frac`, where `frac = width - integer` may be negative
//! or larger than the width. The semantics are those of the SystemC fixed-point types (IEEE
//! 1666-2011, chapter 7.10), whose vocabulary `ap_fixed` shares; where the `ap_fixed` headers give
//! other values, [`Deviation`] names the rule.

mod cast;
mod convert;
mod decimal;
mod deviations;
mod dyadic;
mod format;
mod ops;
mod overflow;
mod quantize;
mod typed;

pub use cast::Cast;
pub use convert::{from_f64, from_f64_with, from_printed_f64, is_printed_beside_no_border, to_f64};
pub use decimal::{Decimal, DecimalError, has_short_decimal, parse_decimal, print_decimal, round_decimal};
pub use deviations::{Deviation, Deviations};
pub use dyadic::{Dyadic, NotFinite};
pub use format::{
    Format, FormatError, MAX_INTEGER, MAX_SIGNED_WIDTH, MAX_STORED_WIDTH, MAX_WIDTH, Overflow, Quantization,
};
pub use ops::{Number, OutOfRange, difference_format, negation_format, product_format, sum_format};
pub use typed::FixedError;
pub(crate) use typed::type_name;
