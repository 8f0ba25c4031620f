//! `int_quant` of qonnx 1.0 on constants, in single precision as NumPy runs it.

use num_traits::ToPrimitive;

use super::reference::Call;
use super::tensor::{Tensor, exact, whole};

/// Rounding in single precision, `resolve_rounding_mode`.
pub fn rounded(mode: &str, x: f32) -> f32 {
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    match mode {
        "ROUND" | "HALF_EVEN" => x.round_ties_even(),
        "CEIL" => x.ceil(),
        "FLOOR" => x.floor(),
        "UP" => sign * x.abs().ceil(),
        "DOWN" => x.trunc(),
        "HALF_UP" => sign * (x.abs() + 0.5).floor(),
        "HALF_DOWN" => sign * (x.abs() - 0.5).ceil(),
        other => panic!("rounding {other}"),
    }
}

/// The integer of one constant, zero point taken off, clipped to its type's integers.
pub fn integer(x: f32, scale: f32, zero: f32, bits: u32, (signed, narrow): (bool, bool), mode: &str) -> i64 {
    let y = x / scale;
    let y = y + zero;
    let (low, high) = match (signed, narrow) {
        (true, narrow) => (
            -(1i64 << (bits - 1)) + i64::from(narrow),
            (1i64 << (bits - 1)) - 1,
        ),
        (false, narrow) => (0, (1i64 << bits) - 1 - i64::from(narrow)),
    };
    let y = if y > high as f32 { high as f32 } else { y };
    let y = if y < low as f32 { low as f32 } else { y };
    (rounded(mode, y) as i64).clamp(low, high) - zero as i64
}

pub fn quant(call: &Call) -> Tensor {
    let float = |position: usize| call.operand(position).map(Clone::clone);
    let zero = float(2).values[0].to_f32().expect("a float");
    let bits = call.integers(3)[0] as u32;
    let kind = (call.int("signed", 1) != 0, call.int("narrow", 0) != 0);
    let mode = call.text("rounding_mode");
    call.operand(0).combine(call.operand(1), |x, scale| {
        let (x, s) = (x.to_f32().expect("a float"), scale.to_f32().expect("a float"));
        if bits == 1 && kind.0 {
            return whole(if x / s + zero >= 0.0 { 1 } else { -1 }) * scale;
        }
        whole(integer(x, s, zero, bits, kind, &mode)) * exact(f64::from(s))
    })
}
