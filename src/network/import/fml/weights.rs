//! Arrays of the file as mantissas.
//!
//! hls4ml prints a weight with as many decimals as its type has fractional bits, reads the text
//! back as a double and casts it with the type's own rounding and overflow (`model/types.py`,
//! `nnet_helpers.h`).

use serde_json::Value;

use super::super::ImportError;
use super::super::limits::{MAX_ELEMENTS, PRINTED_ELEMENT_EFFORT, WEIGHT_EFFORT};
use super::archive::Archive;
use super::record::{Record, excerpt};
use super::types::HlsType;
use crate::fixed_point::{
    Deviations, Format, from_f64_with, from_printed_f64, has_short_decimal, is_printed_beside_no_border,
};

/// Longest name of a weight variable.
const MAX_NAME: usize = 200;

/// A weight variable: mantissas in the file's logical row-major order.
pub(super) struct Variable {
    /// Its type.
    pub(super) hls_type: HlsType,
    /// Its shape in the file.
    pub(super) shape: Vec<usize>,
    /// Its mantissas.
    pub(super) values: Vec<i64>,
    /// Its name in the project that hls4ml writes, for example `w2`.
    pub(super) name: Option<String>,
}

impl Variable {
    /// The shape without the axes of extent 1, by which hls4ml pads some shapes.
    pub(super) fn squeezed(&self) -> Vec<usize> {
        squeeze(&self.shape)
    }

    /// Whether it stands for no bias at all.
    pub(super) fn is_dummy_bias(&self) -> bool {
        self.hls_type.is_dummy_bias() && self.values.iter().all(|&value| value == 0)
    }

    /// Checks that the variable has these extents, axes of extent 1 apart.
    pub(super) fn expect_shape(
        &self,
        record: &Record<'_>,
        key: &str,
        shape: &[usize],
    ) -> Result<(), ImportError> {
        if self.squeezed() == squeeze(shape) {
            return Ok(());
        }
        Err(record
            .structure(format!("`{key}` has the shape {:?}", self.shape))
            .expected(format!(
                "the shape {shape:?}, which follows from the layer's sizes"
            )))
    }
}

fn squeeze(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

/// Reads the weight variable under an attribute.
pub(super) fn variable(
    archive: &Archive<'_>,
    record: &Record<'_>,
    key: &str,
) -> Result<Variable, ImportError> {
    let value = record.require(key)?;
    let (class, state) = record.class_and_state(key, value)?;
    if class != "WeightVariable" {
        return Err(record
            .unsupported(format!("`{key}` is a `{class}`"))
            .expected("a WeightVariable of hls4ml.model.types")
            .help("convert without weight compression and without exponent weights"));
    }
    let missing = |what: &str| record.structure(format!("`{key}` has no {what}"));
    let hls_type = record.stored_type_of(key, state.get("type").ok_or_else(|| missing("type"))?)?;
    let data = state.get("data").ok_or_else(|| missing("data"))?;
    let (member, bytes) = member(archive, record, key, data)?;
    // A layer may name an array that another has read.
    archive.charge(&record.place(), bytes.len() / size_of::<f32>() * WEIGHT_EFFORT)?;
    let (shape, reals) = decode(bytes, Elements::Floats).map_err(|problem| {
        ImportError::structure(record.file, format!("member `{}`", shorten(member)), problem)
            .expected("a complete array of 32-bit or 64-bit floats as numpy.save writes it")
            .help("write the file again with hls4ml.utils.serialization.serialize_model")
    })?;
    let printed = reals
        .iter()
        .filter(|real| !is_short(**real, &hls_type.format))
        .count();
    archive.charge(&record.place(), printed.saturating_mul(PRINTED_ELEMENT_EFFORT))?;
    let mut values = Vec::with_capacity(reals.len());
    for (index, &real) in reals.iter().enumerate() {
        let mantissa = as_printed(real, &hls_type.format).ok_or_else(|| {
            record
                .inexact(format!("element {index} of `{key}` is {real}"))
                .expected("finite weights")
                .help("retrain or repair the network; hardware has no such number")
        })?;
        values.push(mantissa);
    }
    if hls_type.is_ternary() && values.contains(&-2) {
        return Err(record
            .unsupported(format!("`{key}` is ternary and holds -2"))
            .expected("-1, 0 and 1, the values that hls4ml's ternary product knows")
            .help("give the weights a fixed-point type, or a wider integer type"));
    }
    let name = state.get("name").and_then(Value::as_str);
    Ok(Variable {
        hls_type,
        shape,
        values,
        name: name.filter(|name| is_identifier(name)).map(str::to_owned),
    })
}

/// Shape and elements, in logical row-major order, of an array of whole numbers that an attribute names.
pub(super) fn integers(
    archive: &Archive<'_>,
    record: &Record<'_>,
    key: &str,
    data: &Value,
) -> Result<(Vec<usize>, Vec<i64>), ImportError> {
    let (member, bytes) = member(archive, record, key, data)?;
    archive.charge(&record.place(), bytes.len() / 2)?;
    let refused = |problem: String| {
        ImportError::structure(record.file, format!("member `{}`", shorten(member)), problem)
            .expected("a complete array of whole numbers as numpy.save writes it")
            .help("write the file again with hls4ml.utils.serialization.serialize_model")
    };
    let (shape, numbers) = decode(bytes, Elements::Any).map_err(refused)?;
    let whole = |&number: &f64| (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64);
    match numbers.iter().map(whole).collect() {
        Some(numbers) => Ok((shape, numbers)),
        None => Err(refused("holds a number that is not whole".to_owned())),
    }
}

/// Name and bytes of the array member that an attribute names.
fn member<'a, 'v>(
    archive: &'a Archive<'_>,
    record: &Record<'_>,
    key: &str,
    data: &'v Value,
) -> Result<(&'v str, &'a [u8]), ImportError> {
    let member = data
        .as_str()
        .and_then(|text| text.strip_prefix("@ndarray:"))
        .ok_or_else(|| {
            record
                .structure(format!("the data of `{key}` is {}", excerpt(data)))
                .expected("the name of an array member after `@ndarray:`")
        })?;
    let bytes = archive.member(member).ok_or_else(|| {
        record
            .structure(format!(
                "`{key}` names the member `{}`, which is not there",
                shorten(member)
            ))
            .expected("an array member of that name")
    })?;
    Ok((member, bytes))
}

/// Whether a name is one of C++, as all names of the project are.
fn is_identifier(name: &str) -> bool {
    name.len() <= MAX_NAME
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !name.is_empty()
}

fn shorten(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Whether no text is needed to round a weight: it has few decimals in its format, or lies away from the numbers
/// between which the format rounds.
fn is_short(real: f64, format: &Format) -> bool {
    real.fract() == 0.0
        || has_short_decimal(real, format.frac().max(0).unsigned_abs())
        || is_printed_beside_no_border(real, format)
}

/// The mantissa that hls4ml's weight files give; `None` where the weight is no number.
pub(super) fn as_printed(real: f64, format: &Format) -> Option<i64> {
    let mantissa = from_printed_f64(real, format, Deviations::HEADERS).ok()?;
    real.is_finite().then_some(mantissa as i64)
}

/// The mantissa of `ap_fixed` assigned from a double that is no NaN; an infinity counts as `2^1024`.
pub(super) fn as_assigned(real: f64, format: &Format) -> i64 {
    from_f64_with(real, format, Deviations::HEADERS).map_or(0, |mantissa| mantissa as i64)
}

/// Which elements an array may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elements {
    Floats,
    /// Floats, integers of up to 64 bits, truth values.
    Any,
}

/// Shape and elements in logical row-major order of a `.npy` member.
fn decode(bytes: &[u8], elements: Elements) -> Result<(Vec<usize>, Vec<f64>), String> {
    let short = || "ends within its header".to_owned();
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err("is not an array".to_owned());
    }
    let (start, length) = match bytes.get(6) {
        Some(1) => {
            let field = bytes.get(8..10).ok_or_else(short)?;
            (10, usize::from(u16::from_le_bytes([field[0], field[1]])))
        }
        Some(2 | 3) => {
            let field = bytes.get(8..12).ok_or_else(short)?;
            let length = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
            (12, usize::try_from(length).map_err(|_| short())?)
        }
        _ => return Err("has an unknown array version".to_owned()),
    };
    let end = length.checked_add(start).ok_or_else(short)?;
    let header = bytes.get(start..end).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is not text".to_owned())?;
    let body = &bytes[end..];

    let kind = entry(header, "descr").unwrap_or("nothing");
    type Read = fn(&[u8]) -> f64;
    let floats: [(&str, usize, Read); 2] = [
        ("'<f4'", 4, |b| f64::from(f32::from_le_bytes(bytes_of(b)))),
        ("'<f8'", 8, |b| f64::from_le_bytes(bytes_of(b))),
    ];
    let integers: [(&str, usize, Read); 6] = [
        ("'|b1'", 1, |b| f64::from(b[0])),
        ("'|i1'", 1, |b| f64::from(i8::from_le_bytes(bytes_of(b)))),
        ("'|u1'", 1, |b| f64::from(b[0])),
        ("'<i2'", 2, |b| f64::from(i16::from_le_bytes(bytes_of(b)))),
        ("'<i4'", 4, |b| f64::from(i32::from_le_bytes(bytes_of(b)))),
        ("'<i8'", 8, |b| i64::from_le_bytes(bytes_of(b)) as f64),
    ];
    let integers = integers.iter().filter(|_| elements == Elements::Any);
    let Some(&(_, bytes_per_element, read)) = floats
        .iter()
        .chain(integers)
        .find(|(name, ..)| kind.starts_with(name))
    else {
        let kind: String = kind.chars().take(10).collect();
        return Err(format!("holds elements of the kind {kind}"));
    };
    let column_major = match entry(header, "fortran_order") {
        Some(text) if text.starts_with("True") => true,
        Some(text) if text.starts_with("False") => false,
        _ => return Err("does not say in which order it is stored".to_owned()),
    };
    let shape = entry(header, "shape")
        .and_then(shape_of)
        .ok_or_else(|| "has no readable shape".to_owned())?;
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &extent| product.checked_mul(extent))
        .filter(|&elements| elements <= MAX_ELEMENTS)
        .ok_or_else(|| format!("has the shape {shape:?}, more than {MAX_ELEMENTS} elements"))?;
    if elements.checked_mul(bytes_per_element) != Some(body.len()) {
        return Err(format!(
            "has {} bytes of data for {elements} elements of {bytes_per_element} bytes",
            body.len()
        ));
    }
    let stored: Vec<f64> = body.chunks_exact(bytes_per_element).map(read).collect();
    let logical = if column_major {
        from_column_major(&shape, &stored)
    } else {
        stored
    };
    Ok((shape, logical))
}

/// The first bytes of a slice; 0 behind its end.
fn bytes_of<const N: usize>(slice: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| slice.get(at).copied().unwrap_or_default())
}

/// What follows a key of the header's dictionary.
fn entry<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn shape_of(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    inside
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(|extent| extent.parse().ok())
        .collect()
}

fn from_column_major(shape: &[usize], stored: &[f64]) -> Vec<f64> {
    let mut logical = Vec::with_capacity(stored.len());
    for index in 0..stored.len() {
        let (mut rest, mut at, mut below) = (index, 0, stored.len());
        for &extent in shape.iter().rev() {
            below /= extent;
            at += rest % extent * below;
            rest /= extent;
        }
        logical.push(stored[at]);
    }
    logical
}

/// `[taps][out]` as `[out][taps]`.
pub(super) fn out_first(values: &[i64], outputs: usize) -> Vec<i64> {
    let mut turned = Vec::with_capacity(values.len());
    for out in 0..outputs {
        turned.extend(values.iter().skip(out).step_by(outputs.max(1)));
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_point::{Overflow, Quantization};

    fn npy(order: &str, shape: &str, elements: &[f32]) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
        bytes
    }

    #[test]
    fn column_major_members_are_turned() {
        let stored = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0];
        let (shape, logical) =
            decode(&npy("True", "(2, 3)", &stored), Elements::Floats).expect("a sound array");
        assert_eq!(shape, [2, 3]);
        assert_eq!(logical, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let (_, same) = decode(&npy("False", "(2, 3)", &stored), Elements::Any).expect("a sound array");
        assert_eq!(same, stored.map(f64::from));
    }

    #[test]
    fn a_shape_beyond_the_data_is_refused() {
        for shape in [
            "(4294967296, 4294967296)",
            "(7,)",
            "(-1, 6)",
            "(99999999999999999999,)",
        ] {
            assert!(
                decode(&npy("False", shape, &[0.0; 6]), Elements::Floats).is_err(),
                "{shape}"
            );
        }
    }

    #[test]
    fn the_decimal_text_rounds_before_the_cast() {
        let format = Format::new(4, 1, true).expect("a format");
        assert_eq!(as_printed(0.4375, &format), Some(3));
        // 0.12496 is below 1/8 but prints as 0.125.
        assert_eq!(as_printed(0.124_96, &format), Some(1));
        assert_eq!(as_assigned(0.124_96, &format), 0);
    }

    #[test]
    fn infinities_saturate_and_wrap_to_zero() {
        let format = Format::new(18, 8, true).expect("a format");
        assert_eq!(as_assigned(f64::INFINITY, &format), 0);
        let format = format
            .with_quantization(Quantization::Rnd)
            .with_overflow(Overflow::Sat)
            .expect("a format");
        assert_eq!(as_assigned(f64::INFINITY, &format), (1 << 17) - 1);
        assert_eq!(as_printed(f64::NAN, &format), None);
    }
}
