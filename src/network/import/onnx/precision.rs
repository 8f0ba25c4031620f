//! Floating-point precisions of a file's constants, and arithmetic in them.

/// Precision of a floating-point type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Binary16: 11 significant bits.
    Half,
    /// Binary32: 24 significant bits.
    Single,
    /// Binary64: 53 significant bits.
    Double,
}

impl Precision {
    /// The precision in which NumPy combines arrays of an element type of ONNX with floats (NEP 50): 8-bit
    /// integers pass as halves, 16-bit ones as singles, wider ones as doubles.
    #[must_use]
    pub fn of_element_type(element_type: i32) -> Self {
        match element_type {
            2 | 3 | 9 | 10 => Self::Half,
            1 | 4 | 5 | 16 => Self::Single,
            _ => Self::Double,
        }
    }

    /// The nearest number of this precision, ties to even.
    ///
    /// A sum, difference, product or quotient of two numbers of one precision, computed in binary64 and then
    /// rounded, is the correctly rounded one: 53 bits are at least twice the precision plus two (Figueroa,
    /// "When is double rounding innocuous?", 1995).
    #[must_use]
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::Half => half(value),
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }
}

/// The nearest binary16.
fn half(value: f64) -> f64 {
    const LARGEST: f64 = 65504.0;
    let magnitude = value.abs();
    if !(magnitude > 0.0 && magnitude.is_finite()) {
        return value;
    }
    // Ten bits behind the leading one, none below 2^-24.
    let unit = libm::ldexp(1.0, (libm::ilogb(magnitude) - 10).max(-24));
    let rounded = libm::rint(value / unit) * unit;
    if rounded.abs() > LARGEST {
        f64::INFINITY.copysign(value)
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_as_ieee_754_says() {
        for (value, expected) in [
            (1.0 + 1.0 / 2048.0, 1.0),
            (1.0 + 3.0 / 2048.0, 1.0 + 1.0 / 512.0),
            (65519.0, 65504.0),
            (65520.0, f64::INFINITY),
            (-65520.0, f64::NEG_INFINITY),
            (libm::ldexp(1.0, -25), 0.0),
            (libm::ldexp(3.0, -25), libm::ldexp(1.0, -23)),
            (0.1, 0.099_975_585_937_5),
        ] {
            assert_eq!(Precision::Half.round(value), expected, "{value}");
        }
    }
}
