//! How a parameter's mantissas become stored bits.

use super::hardware::ThresholdEncoding;
use crate::fixed_point::Format;
use crate::network::{Encoding, ZeroPoint};
use serde::Serialize;

/// The code of one stored tensor: an encoding of the number that is stored, and which number that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StoredCode {
    number: Encoding,
    transform: ThresholdEncoding,
    /// What is added to a mantissa before it is stored.
    zero: i64,
}

/// Why a tensor has no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CodeError {
    /// The width is outside 1..=64.
    Width(u32),
    /// An element does not fit.
    Value {
        /// The element.
        element: u64,
        /// The number to store.
        stored: i128,
        /// The width it was to have.
        width: u32,
        /// The width that all elements need.
        needed: u32,
    },
}

impl StoredCode {
    /// The network's own encoding.
    #[must_use]
    pub fn plain(encoding: Encoding) -> Self {
        Self {
            number: encoding,
            transform: ThresholdEncoding::Plain,
            zero: 0,
        }
    }

    /// The integers of a quantizer with a zero point.
    #[must_use]
    pub fn with_zero_point(zero_point: ZeroPoint) -> Self {
        Self {
            number: Encoding::Fixed(zero_point.stored),
            transform: ThresholdEncoding::Plain,
            zero: zero_point.zero,
        }
    }

    /// Thresholds under `transform` in `width` bits of two's complement; without a width, in the fewest
    /// bits that hold every value of the network's format. [`ThresholdEncoding::Plain`] keeps the
    /// format's sign.
    pub(super) fn thresholds(
        encoding: Encoding,
        transform: ThresholdEncoding,
        width: Option<u32>,
        values: &[i64],
    ) -> Result<Self, CodeError> {
        let too_wide = |_| CodeError::Width(width.unwrap_or(65));
        let plain = transform == ThresholdEncoding::Plain;
        let number = match width {
            None if plain => return Ok(Self::plain(encoding)),
            None => {
                let (low, high) = encoding.range();
                // One of the two may be positive already; the stored numbers are two's complement.
                let low = store(transform, low).min(-1);
                let format = Format::holding(low, store(transform, high), 0).map_err(too_wide)?;
                Format::new(format.width(), format.integer(), true).map_err(too_wide)?
            }
            Some(width) => {
                let signed = !plain || encoding.range().0 < 0;
                let integer = i32::try_from(width).map_err(|_| CodeError::Width(width))?;
                Format::new(width, integer, signed).map_err(too_wide)?
            }
        };
        let stored = values.iter().map(|&value| store(transform, i128::from(value)));
        if let Some((element, misfit)) = (0u64..).zip(stored.clone()).find(|(_, n)| !number.contains(*n)) {
            let (low, high) = stored.fold((0, 0), |(low, high), n| (n.min(low), n.max(high)));
            let low = if number.signed() { low.min(-1) } else { low };
            return Err(CodeError::Value {
                element,
                stored: misfit,
                width: number.width(),
                needed: Format::holding(low, high, 0).map_or(128, |format| format.width()),
            });
        }
        Ok(Self {
            number: Encoding::Fixed(number),
            transform,
            zero: 0,
        })
    }

    /// Bits of one element.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.number.width()
    }

    /// Which number is stored.
    #[must_use]
    pub fn transform(&self) -> ThresholdEncoding {
        self.transform
    }

    /// The stored bits of a mantissa, bit 0 least significant.
    #[must_use]
    pub fn bits_of(&self, mantissa: i64) -> u64 {
        match self.number {
            Encoding::Fixed(format) => {
                let number = store(self.transform, i128::from(mantissa));
                format.bits_of(number + i128::from(self.zero)) as u64
            }
            Encoding::Bipolar { .. } => self.number.bits_of(mantissa),
        }
    }

    /// The mantissa that stored bits stand for; bits above the width are ignored.
    #[must_use]
    pub fn mantissa_of(&self, bits: u64) -> i64 {
        let number = self.number.mantissa_of_bits(bits).saturating_sub(self.zero);
        match self.transform {
            ThresholdEncoding::Plain => number,
            ThresholdEncoding::Dot | ThresholdEncoding::XnorPopcount => number.saturating_add(1),
            ThresholdEncoding::DoubledDot => number.div_euclid(2) + 1,
        }
    }

    /// Smallest and largest mantissa that any stored bits stand for.
    #[must_use]
    pub fn range(&self) -> (i64, i64) {
        let (low, high) = self.number.range();
        let clamped = |number: i128| number.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        match self.number {
            Encoding::Bipolar { .. } => (-1, 1),
            Encoding::Fixed(format) => (
                self.mantissa_of(format.bits_of(i128::from(clamped(low))) as u64),
                self.mantissa_of(format.bits_of(i128::from(clamped(high))) as u64),
            ),
        }
    }
}

/// The number that is stored for a threshold.
fn store(transform: ThresholdEncoding, threshold: i128) -> i128 {
    match transform {
        ThresholdEncoding::Plain => threshold,
        ThresholdEncoding::Dot | ThresholdEncoding::XnorPopcount => threshold - 1,
        ThresholdEncoding::DoubledDot => 2 * threshold - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(width: u32) -> Encoding {
        Encoding::Fixed(Format::new(width, width as i32, true).unwrap())
    }

    #[test]
    fn strict_comparison_with_the_stored_number_equals_the_networks_threshold() {
        for (transform, factor) in [
            (ThresholdEncoding::Dot, 1),
            (ThresholdEncoding::XnorPopcount, 1),
            (ThresholdEncoding::DoubledDot, 2),
        ] {
            let code = StoredCode::thresholds(signed(6), transform, Some(8), &[]).unwrap();
            for bits in 0..256u64 {
                let stored = i64::from(bits as u8 as i8);
                let threshold = code.mantissa_of(bits);
                for sum in -140..140i64 {
                    assert_eq!(
                        sum >= threshold,
                        factor * sum > stored,
                        "{transform:?} {bits} {sum}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_width_that_would_do() {
        let refused =
            StoredCode::thresholds(signed(16), ThresholdEncoding::DoubledDot, Some(8), &[3, -64, 5]);
        let expected = CodeError::Value {
            element: 1,
            stored: -129,
            width: 8,
            needed: 9,
        };
        assert_eq!(refused, Err(expected));
        assert!(StoredCode::thresholds(signed(16), ThresholdEncoding::Dot, Some(65), &[]).is_err());
        assert!(StoredCode::thresholds(signed(16), ThresholdEncoding::Dot, Some(0), &[]).is_err());
        let widest = StoredCode::thresholds(signed(64), ThresholdEncoding::Dot, None, &[]);
        assert_eq!(widest, Err(CodeError::Width(65)));
    }
}
