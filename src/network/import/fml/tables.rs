//! Look-up tables, computed as hls4ml's `nnet_activation.h` computes them: single-precision
//! arguments and results, with double precision where C++ promotes.
//!
//! The exponential of a single-precision argument is computed in double precision and rounded
//! once, which is the correctly rounded single-precision result but for ties closer than the
//! double's own error.

use super::weights::as_assigned;
use crate::fixed_point::Format;

/// Tabulated functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sigmoid,
    Tanh,
    Softplus,
    Softsign,
}

impl Function {
    /// Half of the range that the table covers: its arguments lie in `[-span, span)`.
    pub(super) fn span_log2(self) -> u32 {
        match self {
            Function::Tanh => 2,
            _ => 3,
        }
    }

    fn of(self, x: f32) -> f32 {
        match self {
            Function::Sigmoid => (1.0 / f64::from(1.0 + exp(-x))) as f32,
            Function::Tanh => libm::tanh(f64::from(x)) as f32,
            Function::Softplus => libm::log(f64::from(exp(x)) + 1.0) as f32,
            Function::Softsign => (f64::from(x) / (f64::from(x.abs()) + 1.0)) as f32,
        }
    }
}

fn exp(x: f32) -> f32 {
    libm::exp(f64::from(x)) as f32
}

/// `entries` values of a function over its range.
pub(super) fn tabulate(function: Function, entries: usize, format: &Format) -> Vec<i64> {
    let count = entries as f64;
    let span = f64::from(1u32 << function.span_log2());
    (0..entries)
        .map(|index| {
            let x = 2.0 * span * (index as f64 - count / 2.0) / count;
            as_assigned(f64::from(function.of(x as f32)), format)
        })
        .collect()
}

/// `exp(x) - 1` for `x = -8 * index / entries`.
pub(super) fn tabulate_elu(entries: usize, format: &Format) -> Vec<i64> {
    let count = entries as f64;
    (0..entries)
        .map(|index| {
            let x = (-8.0 * index as f64 / count) as f32;
            as_assigned(f64::from((f64::from(exp(x)) - 1.0) as f32), format)
        })
        .collect()
}

/// `exp(sign * scale * x)` where the index is the top bits of `x` in the address format.
pub(super) fn tabulate_exp(
    entries: usize,
    address: &Format,
    negative: bool,
    scale: f32,
    format: &Format,
) -> Vec<i64> {
    arguments(entries, address)
        .map(|x| {
            let x = x * scale;
            as_assigned(f64::from(exp(if negative { -x } else { x })), format)
        })
        .collect()
}

/// `1 / x` where the index is the top bits of `x` in the address format; `1 / 0` is infinite.
pub(super) fn tabulate_inverse(entries: usize, address: &Format, format: &Format) -> Vec<i64> {
    arguments(entries, address)
        .map(|x| as_assigned(f64::from(1.0 / x), format))
        .collect()
}

/// The values whose top bits count up and whose low bits are zero. `entries` is a power of two
/// and has no more bits than the format.
fn arguments(entries: usize, address: &Format) -> impl Iterator<Item = f32> {
    let address = *address;
    let low_bits = address.width().saturating_sub(entries.trailing_zeros());
    (0..entries as u128).map(move |index| {
        let mantissa = address.mantissa_of_bits(index << low_bits);
        libm::scalbn(mantissa as f64, -address.frac()) as f32
    })
}
