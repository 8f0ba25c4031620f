//! What a network file leaves open, said beside it.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::fixed_point::{Format, MAX_STORED_WIDTH};

/// What is said about a network file beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// Type of the numbers that enter the accelerator, for QONNX files that do not state it. Arithmetic and
    /// quantizers on the input are part of the accelerator then.
    pub input_type: Option<InputType>,
    /// The tensor of a QONNX file that leaves the chip, one of its outputs or any other; its one output where none is
    /// named.
    pub output: Option<String>,
}

impl ImportOptions {
    /// These options where they say something, the others elsewhere.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            input_type: self.input_type.or(other.input_type),
            output: self.output.or(other.output),
        }
    }
}

/// Type of the numbers that enter an accelerator: `uint8`, `int<N>`, `fixed<W,I>`, `ufixed<W,I>` in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputType(Format);

impl InputType {
    /// The type of the mantissas.
    #[must_use]
    pub fn format(self) -> Format {
        self.0
    }
}

/// A text that names no input type.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("`{text}` is no type of an input")]
#[diagnostic(
    code(radstream::network::input_type),
    help(
        "expected uint<N>, int<N>, fixed<W,I> or ufixed<W,I> with 1 to 64 bits, for example uint8 or fixed<16,6>"
    )
)]
pub struct InputTypeError {
    /// The text.
    pub text: String,
}

impl FromStr for InputType {
    type Err = InputTypeError;

    fn from_str(text: &str) -> Result<Self, InputTypeError> {
        let plain: String = text
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect::<String>()
            .to_lowercase();
        let (plain, signed) = match plain.strip_prefix('u') {
            Some(rest) => (rest, false),
            None => (plain.as_str(), true),
        };
        let parsed = || -> Option<(u32, i32)> {
            if let Some(width) = plain.strip_prefix("int") {
                // `int8`, and `int<8>` as the others are written.
                let inner = width.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
                let width: u32 = inner.unwrap_or(width).parse().ok()?;
                return Some((width, i32::try_from(width).ok()?));
            }
            let (width, integer) = plain.strip_prefix("fixed<")?.strip_suffix('>')?.split_once(',')?;
            Some((width.parse().ok()?, integer.parse().ok()?))
        };
        parsed()
            .filter(|(width, _)| *width <= MAX_STORED_WIDTH)
            .and_then(|(width, integer)| Format::new(width, integer, signed).ok())
            .filter(|format| format.max_mantissa() <= i128::from(i64::MAX))
            .map(Self)
            .ok_or_else(|| InputTypeError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for InputType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0.signed() { "" } else { "u" };
        let (width, integer) = (self.0.width(), self.0.integer());
        if i32::try_from(width) == Ok(integer) {
            write!(f, "{sign}int{width}")
        } else {
            write!(f, "{sign}fixed<{width},{integer}>")
        }
    }
}

impl Serialize for InputType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InputType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|error: InputTypeError| {
                let help = error.help().map(|help| help.to_string()).unwrap_or_default();
                de::Error::custom(format!("{error}: {help}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back_from_their_text() {
        for (text, width, integer, signed) in [
            ("uint8", 8, 8, false),
            ("int4", 4, 4, true),
            ("UINT<2>", 2, 2, false),
            ("fixed<16, 6>", 16, 6, true),
            ("ufixed<8,0>", 8, 0, false),
            ("fixed<8,-2>", 8, -2, true),
            ("fixed<8,8>", 8, 8, true),
            ("int64", 64, 64, true),
        ] {
            let kind: InputType = text.parse().unwrap();
            assert_eq!(
                kind.format(),
                Format::new(width, integer, signed).unwrap(),
                "{text}"
            );
            assert_eq!(kind.to_string().parse(), Ok(kind), "{text}");
        }
        for text in [
            "",
            "8",
            "int",
            "int0",
            "int65",
            "uint64",
            "float32",
            "fixed<8>",
            "fixed<8,3,1>",
            "ufixed8,3",
        ] {
            assert!(text.parse::<InputType>().is_err(), "{text}");
        }
    }
}
