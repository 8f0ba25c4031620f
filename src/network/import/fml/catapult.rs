//! What the Catapult backend computes as Vitis does.
//!
//! Its kernels (`templates/catapult/nnet_utils`) sum and cast the products of dense layers and convolutions, rectify
//! and pass on as those of Vivado do (one order of sums apart: `Builder::order`), and `ac_fixed` has the roundings and overflows of
//! `ap_fixed` but `WRAP_SM` and wrapping with saturated bits. Its other kernels have approximations of
//! `ac_math` and orders of their own.

use serde_json::Value;

use super::super::ImportError;
use super::record::Record;

/// The layers whose arithmetic is the same.
const SAME: [&str; 8] = [
    "Input",
    "Dense",
    "Conv1D",
    "Conv2D",
    "PointwiseConv1D",
    "PointwiseConv2D",
    "Activation",
    "Reshape",
];

/// Refuses a layer, an activation or a type that Catapult computes in another way.
pub(super) fn expect_same(record: &Record<'_>, value: &Value) -> Result<(), ImportError> {
    let kind = record.kind();
    let function = record.word("activation")?;
    let is_same = match kind {
        "Activation" => matches!(function.as_deref(), Some("relu" | "linear")),
        _ => SAME.contains(&kind),
    };
    if !is_same {
        let what = function.map_or_else(|| kind.to_owned(), |function| format!("{kind} ({function})"));
        return Err(record
            .unsupported(format!(
                "is a {what} of the Catapult backend, whose kernel is not Vitis's"
            ))
            .expected(format!("of Catapult only {} (relu and linear)", SAME.join(", ")))
            .help("convert the model for the Vitis backend, whose numbers these then are"));
    }
    if let Some(mode) = other_mode(value) {
        return Err(record
            .unsupported(format!(
                "has a type that overflows by {mode}, which Catapult's ac_fixed does not have"
            ))
            .expected("SAT, SAT_ZERO, SAT_SYM, or WRAP without saturation bits")
            .help("set another precision in the HLSConfig"));
    }
    Ok(())
}

/// An overflow anywhere in a layer that `ac_fixed` does not have.
fn other_mode(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(entries) => {
            let is_wrap_sm = entries.get("saturation_mode").and_then(Value::as_str) == Some("WRAP_SM");
            let bits = entries.get("saturation_bits").and_then(Value::as_u64);
            if is_wrap_sm {
                Some("WRAP_SM")
            } else if bits.is_some_and(|bits| bits > 0) {
                Some("WRAP with saturation bits")
            } else {
                entries.values().find_map(other_mode)
            }
        }
        Value::Array(items) => items.iter().find_map(other_mode),
        _ => None,
    }
}
