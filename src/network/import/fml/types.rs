//! hls4ml's types.

use serde_json::Value;

use super::super::ImportError;
use super::record::{Record, excerpt};
use crate::fixed_point::{Format, FormatError, Overflow, Quantization};

/// Widest running sum; the engines add two of them in 128 bits.
pub(super) const MAX_ACCUMULATOR_WIDTH: u32 = 120;

/// What a type says.
#[derive(Clone, Debug)]
pub(super) struct HlsType {
    /// Name of the C++ type.
    pub(super) name: String,
    /// The precision.
    pub(super) format: Format,
    /// Whether it is an `ap_int` or `ap_uint`.
    pub(super) integer: bool,
}

impl HlsType {
    /// hls4ml's place-holder for the bias of a layer without one.
    pub(super) fn is_dummy_bias(&self) -> bool {
        self.integer && self.format.width() == 1 && !self.format.signed()
    }

    /// Whether hls4ml multiplies by a weight of this type as `{-1, 0, 1}`.
    pub(super) fn is_ternary(&self) -> bool {
        self.integer && self.format.width() == 2 && self.format.signed()
    }
}

impl Record<'_> {
    /// The type of a tensor, a weight or a table: at most 64 bits, 63 where unsigned.
    pub(super) fn stored_type(&self, key: &str) -> Result<HlsType, ImportError> {
        self.stored_type_of(key, self.require(key)?)
    }

    /// [`Record::stored_type`] where the attribute may be missing.
    pub(super) fn optional_type(&self, key: &str) -> Result<Option<HlsType>, ImportError> {
        self.get(key)
            .map(|value| self.stored_type_of(key, value))
            .transpose()
    }

    /// The type behind a value that `what` names.
    pub(super) fn stored_type_of(&self, what: &str, value: &Value) -> Result<HlsType, ImportError> {
        let found = self.named_type(what, value)?;
        let limit = 63 + u32::from(found.format.signed());
        if found.format.width() > limit {
            return Err(self
                .unsupported(format!("`{what}` has the type {}", found.format))
                .expected(format!("at most {limit} bits"))
                .help("set a narrower precision in the HLSConfig"));
        }
        Ok(found)
    }

    /// The type of a running sum.
    pub(super) fn accumulator_type(&self, key: &str) -> Result<HlsType, ImportError> {
        let found = self.named_type(key, self.require(key)?)?;
        if found.format.width() > MAX_ACCUMULATOR_WIDTH {
            return Err(self
                .unsupported(format!("`{key}` has the type {}", found.format))
                .expected(format!("at most {MAX_ACCUMULATOR_WIDTH} bits"))
                .help("set a narrower accumulator in the HLSConfig"));
        }
        Ok(found)
    }

    fn named_type(&self, what: &str, value: &Value) -> Result<HlsType, ImportError> {
        let (class, state) = self.class_and_state(what, value)?;
        match class {
            "NamedType" | "PackedType" => {}
            other => {
                return Err(self
                    .unsupported(format!("`{what}` has a type of the unknown class `{other}`"))
                    .expected("a NamedType or PackedType of hls4ml.model.types")
                    .help("convert without weight compression and without exponent weights"));
            }
        }
        let precision = state
            .get("precision")
            .ok_or_else(|| self.structure(format!("the type of `{what}` has no precision")))?;
        let (format, integer) = self.precision(what, precision)?;
        Ok(HlsType {
            name: state
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            format,
            integer,
        })
    }

    /// The last part of an object's `class_name`, and its `state`.
    pub(super) fn class_and_state<'v>(
        &self,
        what: &str,
        value: &'v Value,
    ) -> Result<(&'v str, &'v Value), ImportError> {
        let class = value.get("class_name").and_then(Value::as_str);
        match (class, value.get("state")) {
            (Some(class), Some(state)) => Ok((class.rsplit('.').next().unwrap_or(class), state)),
            _ => Err(self
                .structure(format!("`{what}` is {}", excerpt(value)))
                .expected("an object with `class_name` and `state`")),
        }
    }

    fn precision(&self, what: &str, value: &Value) -> Result<(Format, bool), ImportError> {
        let (class, state) = self.class_and_state(what, value)?;
        let number = |key: &str| {
            state.get(key).and_then(Value::as_i64).ok_or_else(|| {
                self.structure(format!("the precision of `{what}` has no whole number `{key}`"))
            })
        };
        let signed = || {
            state
                .get("signed")
                .and_then(Value::as_bool)
                .ok_or_else(|| self.structure(format!("the precision of `{what}` does not say `signed`")))
        };
        let wide = |width: i64, integer: i64, signed: bool| -> Result<Format, FormatError> {
            let width = u32::try_from(width).map_err(|_| FormatError::Width {
                width,
                max: crate::fixed_point::MAX_WIDTH,
            })?;
            let integer = i32::try_from(integer).map_err(|_| FormatError::Point { integer })?;
            Format::wide(width, integer.clamp(-2000, 2000), signed)
        };
        let refused = |error: FormatError| {
            self.unsupported(format!("the precision of `{what}`: {error}"))
                .expected("a width and a binary point that hardware has")
                .help("set another precision in the HLSConfig")
        };
        match class {
            "IntegerPrecisionType" => {
                let width = number("width")?;
                Ok((wide(width, width, signed()?).map_err(refused)?, true))
            }
            "FixedPrecisionType" => {
                let format = wide(number("width")?, number("integer")?, signed()?).map_err(refused)?;
                let quantization = self.quantization(what, state)?;
                let overflow = self.overflow(what, state)?;
                let format = format
                    .with_quantization(quantization)
                    .with_overflow(overflow)
                    .map_err(refused)?;
                if deviates(&format) {
                    return Err(self
                        .unsupported(format!(
                            "the precision of `{what}` is {format}, where hls4ml's C++ emulation and the \
                             definition of the type differ"
                        ))
                        .expected("SAT_SYM with two bits or more, WRAP_SM with TRN")
                        .help("set another precision in the HLSConfig"));
                }
                Ok((format, false))
            }
            "UnspecifiedPrecisionType" => Err(self
                .unsupported(format!("the precision of `{what}` is not resolved"))
                .expected("a file written after hls4ml's conversion, which resolves every `auto`")
                .help(
                    "serialize the model that convert_from_keras_model (or its siblings) returns, with the \
                     backend's default flow",
                )),
            other => Err(self
                .unsupported(format!(
                    "the precision of `{what}` has the unknown class `{other}`"
                ))
                .expected("FixedPrecisionType or IntegerPrecisionType of hls4ml.model.types")
                .help("choose fixed-point precisions in the HLSConfig, or bring the network as QONNX")),
        }
    }

    fn quantization(&self, what: &str, state: &Value) -> Result<Quantization, ImportError> {
        Ok(match state.get("rounding_mode").and_then(Value::as_str) {
            Some("TRN") | None => Quantization::Trn,
            Some("TRN_ZERO") => Quantization::TrnZero,
            Some("RND") => Quantization::Rnd,
            Some("RND_ZERO") => Quantization::RndZero,
            Some("RND_INF") => Quantization::RndInf,
            Some("RND_MIN_INF") => Quantization::RndMinInf,
            Some("RND_CONV") => Quantization::RndConv,
            Some(other) => {
                return Err(self
                    .structure(format!("the precision of `{what}` rounds by `{other}`"))
                    .expected("TRN, TRN_ZERO, RND, RND_ZERO, RND_INF, RND_MIN_INF or RND_CONV"));
            }
        })
    }

    fn overflow(&self, what: &str, state: &Value) -> Result<Overflow, ImportError> {
        let saturation_bits = match state.get("saturation_bits") {
            None | Some(Value::Null) => 0,
            Some(bits) => bits
                .as_u64()
                .and_then(|bits| u8::try_from(bits).ok())
                .filter(|&bits| bits < 64)
                .ok_or_else(|| {
                    self.structure(format!(
                        "the precision of `{what}` has {} saturation bits",
                        excerpt(bits)
                    ))
                })?,
        };
        Ok(match state.get("saturation_mode").and_then(Value::as_str) {
            Some("WRAP") | None => Overflow::Wrap { saturation_bits },
            Some("WRAP_SM") => Overflow::WrapSm { saturation_bits },
            Some("SAT") => Overflow::Sat,
            Some("SAT_ZERO") => Overflow::SatZero,
            Some("SAT_SYM") => Overflow::SatSym,
            Some(other) => {
                return Err(self
                    .structure(format!("the precision of `{what}` overflows by `{other}`"))
                    .expected("WRAP, WRAP_SM, SAT, SAT_ZERO or SAT_SYM"));
            }
        })
    }
}

/// Whether an assignment to the format may follow one of hls4ml's deviations from the definition
/// ([`crate::fixed_point::Deviation`]).
fn deviates(format: &Format) -> bool {
    match format.overflow() {
        Overflow::SatSym => format.signed() && format.width() == 1,
        Overflow::WrapSm { saturation_bits: 0 } => format.quantization() != Quantization::Trn,
        _ => false,
    }
}
