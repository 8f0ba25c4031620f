//! A view of every cast of an evaluation.

use crate::fixed_point::Cast;

/// Which of an operation's casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A real input to the input tensor.
    Input,
    /// A bias to the accumulator.
    Bias,
    /// A product to the accumulator.
    Product,
    /// A running sum, or another intermediate type.
    Sum,
    /// A softmax's argument to its table's type.
    Distance,
    /// The result to the output tensor.
    Result,
}

impl Stage {
    /// Name for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Input => "input",
            Stage::Bias => "bias",
            Stage::Product => "product",
            Stage::Sum => "sum",
            Stage::Distance => "distance",
            Stage::Result => "result",
        }
    }
}

/// Sees every cast and performs it.
pub trait Watch {
    /// Applies `cast` to `mantissa`.
    fn cast(&mut self, stage: Stage, cast: &Cast, mantissa: i128) -> i128;

    /// A softmax reads this entry of its exponential table.
    fn table_entry(&mut self, _entry: usize) {}
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    #[inline]
    fn cast(&mut self, _stage: Stage, cast: &Cast, mantissa: i128) -> i128 {
        cast.apply(mantissa)
    }
}
