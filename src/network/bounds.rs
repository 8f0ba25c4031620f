//! Ranges that follow from formats alone.

use super::{Encoding, Geometry, Window};
use crate::fixed_point::{Format, FormatError, Overflow};

/// The narrowest exact accumulator of a matrix product: it holds the bias plus `taps` products of
/// any mantissas that the operands' *formats* allow, so that no flip of a stored bit overflows it.
///
/// Its fractional bits are the finer of the product's and the bias's.
///
/// # Errors
/// [`FormatError::Width`] where that takes more than 127 bits.
pub fn exact_accumulator(
    taps: usize,
    weight: &Encoding,
    input: &Encoding,
    bias: Option<&Encoding>,
) -> Result<Format, FormatError> {
    let (wl, wh) = weight.range();
    let (xl, xh) = input.range();
    let too_wide = FormatError::Width {
        width: 128,
        max: crate::fixed_point::MAX_WIDTH,
    };
    let mut products = [0i128; 4];
    for (slot, (w, x)) in products.iter_mut().zip([(wl, xl), (wl, xh), (wh, xl), (wh, xh)]) {
        *slot = w.checked_mul(x).ok_or(too_wide.clone())?;
    }
    let taps = i128::try_from(taps).map_err(|_| too_wide.clone())?;
    let product_frac = weight.frac().checked_add(input.frac()).ok_or(too_wide.clone())?;
    let frac = bias.map_or(product_frac, |bias| bias.frac().max(product_frac));
    let raise = |value: i128, by: i32| -> Result<i128, FormatError> {
        let by = u32::try_from(by).map_err(|_| too_wide.clone())?;
        value
            .checked_mul(
                1i128
                    .checked_shl(by)
                    .filter(|&f| by < 127 && f > 0)
                    .ok_or(too_wide.clone())?,
            )
            .ok_or(too_wide.clone())
    };
    let extreme = |product: i128, bias: i128| -> Result<i128, FormatError> {
        let sum = raise(
            product.checked_mul(taps).ok_or(too_wide.clone())?,
            frac.saturating_sub(product_frac),
        )?;
        sum.checked_add(bias).ok_or(too_wide.clone())
    };
    let (bl, bh) = match bias {
        Some(bias) => {
            let (low, high) = bias.range();
            {
                let by = frac.saturating_sub(bias.frac());
                (raise(low, by)?, raise(high, by)?)
            }
        }
        None => (0, 0),
    };
    let [first, rest @ ..] = products;
    let low = extreme(rest.iter().fold(first, |low, &p| low.min(p)), bl)?;
    let high = extreme(rest.iter().fold(first, |high, &p| high.max(p)), bh)?;
    Format::holding(low.min(0), high.max(0), frac)
}

impl Geometry {
    /// Taps of one output: rows times columns times the channels that one group reads.
    #[must_use]
    pub fn taps(&self, groups: usize) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * (self.input[2] / groups.max(1))
    }

    /// A dense layer over `vectors` vectors of `inputs` values.
    #[must_use]
    pub fn dense(vectors: usize, inputs: usize, outputs: usize) -> Self {
        Self {
            input: [1, vectors, inputs],
            output: [1, vectors, outputs],
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            },
        }
    }
}

impl Window {
    /// Whether the window at output position `step` of an axis covers any of the `extent` inputs.
    #[must_use]
    pub fn touches(&self, axis: usize, step: usize, extent: usize) -> bool {
        let start = step * self.stride[axis];
        let tap = self.pad[axis].saturating_sub(start).div_ceil(self.dilation[axis]);
        let reached = start + tap * self.dilation[axis] - self.pad[axis];
        tap < self.kernel[axis] && reached < extent
    }
}

/// Whether the order of additions of a matrix product of so many taps cannot matter: no product is rounded, and
/// the running sum, which has that format, either wraps or holds every partial sum. With `popcount` matching bits
/// are counted.
#[must_use]
pub fn order_is_free(
    taps: usize,
    weight: &Encoding,
    input: &Encoding,
    bias: Option<&Encoding>,
    format: &Format,
    popcount: bool,
) -> bool {
    let product_frac = if popcount {
        0
    } else {
        weight.frac().saturating_add(input.frac())
    };
    if format.frac() < product_frac {
        return false;
    }
    if format.overflow() == (Overflow::Wrap { saturation_bits: 0 }) {
        return true;
    }
    if popcount {
        return taps as i128 <= format.max_mantissa();
    }
    let Ok(exact) = exact_accumulator(taps, weight, input, bias) else {
        return false;
    };
    let raise = format.frac().checked_sub(exact.frac());
    let Some(Ok(raise)) = raise.map(u32::try_from) else {
        return false;
    };
    let raised = |value: i128| value.checked_mul(1i128.checked_shl(raise)?);
    match (raised(exact.min_mantissa()), raised(exact.max_mantissa())) {
        // A symmetric saturation moves the lowest mantissa.
        (Some(low), Some(high)) => {
            (low > format.min_mantissa() || !format.signed() && low >= format.min_mantissa())
                && high <= format.max_mantissa()
        }
        _ => false,
    }
}
