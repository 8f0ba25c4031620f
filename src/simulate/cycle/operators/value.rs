//! From exact values to the lanes of an output stream.

use crate::fixed_point::Cast;
use crate::network::Encoding;
use crate::simulate::cycle::matrix::LaneCode;

/// The cast to an output tensor and the code of its lanes.
#[derive(Clone, Copy, Debug)]
pub struct ToOutput {
    cast: Option<Cast>,
    code: LaneCode,
}

impl ToOutput {
    /// From mantissas with `frac` fractional bits to an encoding. Bipolar outputs take bipolar
    /// mantissas as they are.
    #[must_use]
    pub fn new(frac: i32, output: &Encoding) -> Self {
        Self {
            cast: match output {
                Encoding::Fixed(format) => Some(Cast::new(frac, format)),
                Encoding::Bipolar { .. } => None,
            },
            code: LaneCode::of(output),
        }
    }

    /// The lane of an exact mantissa.
    #[must_use]
    #[inline]
    pub fn lane(&self, mantissa: i128) -> u64 {
        let value = match &self.cast {
            Some(cast) => cast.apply(mantissa) as i64,
            None => mantissa as i64,
        };
        self.code.encode(value)
    }
}
