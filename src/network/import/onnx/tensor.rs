//! Constants of an ONNX file: decoded from it, or from files beside it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::precision::Precision;
use super::proto::{StringStringEntryProto, TensorProto};
use crate::data;
use crate::network::import::{ImportError, limits};

/// A decoded constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: ConstantData,
    /// The precision of arithmetic on them.
    pub precision: Precision,
}

/// Elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantData {
    /// Floating point, exact.
    Real(Vec<f64>),
    /// Integers and booleans.
    Integer(Vec<i64>),
}

impl Constant {
    /// Real numbers in single precision, or integers, which NumPy combines with floats as doubles.
    #[must_use]
    pub fn new(shape: Vec<usize>, data: ConstantData) -> Self {
        let precision = match &data {
            ConstantData::Real(_) => Precision::Single,
            ConstantData::Integer(_) => Precision::Double,
        };
        Self {
            shape,
            data,
            precision,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.data {
            ConstantData::Real(values) => values.len(),
            ConstantData::Integer(values) => values.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as reals; integers beyond 2^53 round.
    #[must_use]
    pub fn reals(&self) -> Vec<f64> {
        match &self.data {
            ConstantData::Real(values) => values.clone(),
            ConstantData::Integer(values) => values.iter().map(|&value| value as f64).collect(),
        }
    }

    /// The elements as integers, or `None` where one is not an integer.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        match &self.data {
            ConstantData::Integer(values) => Some(values.clone()),
            ConstantData::Real(values) => values
                .iter()
                .map(|&value| (value.fract() == 0.0 && value.abs() < 9e18).then_some(value as i64))
                .collect(),
        }
    }
}

/// Where constants outside the file are.
pub(super) struct Beside {
    /// The folder of the file, if there is one.
    folder: Option<PathBuf>,
    /// What was read, by location.
    files: HashMap<String, Vec<u8>>,
    /// Bytes that may still be read.
    left: u64,
}

impl Beside {
    /// The files in the folder of a network file.
    pub(super) fn folder_of(path: &Path) -> Self {
        Self {
            folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
            ..Self::nowhere()
        }
    }

    /// No files.
    pub(super) fn nowhere() -> Self {
        Self {
            folder: None,
            files: HashMap::new(),
            left: limits::MAX_FILE_BYTES,
        }
    }

    /// The files that were read, sorted.
    pub(super) fn locations(&self) -> Vec<String> {
        let mut locations: Vec<String> = self.files.keys().cloned().collect();
        locations.sort();
        locations
    }

    /// The bytes that the entries of a tensor mean; else what is wrong with them.
    fn bytes(&mut self, entries: &[StringStringEntryProto]) -> Result<&[u8], String> {
        let entry = |key: &str| {
            let mut entries = entries.iter();
            entries
                .find(|entry| entry.key == key)
                .map(|entry| entry.value.as_str())
        };
        let number = |key: &str| {
            let text = entry(key);
            text.map(|text| {
                let number = text.trim().parse::<usize>();
                number.map_err(|_| {
                    format!("is stored in another file at the {key} `{text}`, which is no number")
                })
            })
            .transpose()
        };
        let location = entry("location").ok_or("is stored in another file that is not named")?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let Some(folder) = &self.folder else {
            return Err(format!(
                "is stored in another file, `{location}`, and there is none beside this one"
            ));
        };
        if !self.files.contains_key(location) {
            let read = data::read_beside(folder, Path::new(location), self.left);
            let bytes = read.map_err(|error| {
                format!("is stored in the file `{location}`, which cannot be read: {error}")
            })?;
            self.left -= bytes.len() as u64;
            self.files.insert(location.to_owned(), bytes);
        }
        let bytes = self.files.get(location).map_or(&[][..], Vec::as_slice);
        let end = length.map_or(Some(bytes.len()), |length| offset.checked_add(length));
        end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
            format!(
                "is stored in the file `{location}` from byte {offset} on{}, which has {} bytes",
                length.map_or_else(String::new, |length| format!(" for {length}")),
                bytes.len()
            )
        })
    }
}

/// The value of the bits of `float16` (IEEE 754 binary16, type 10) or `bfloat16` (the upper half of binary32).
fn half(data_type: i32) -> fn(u16) -> f64 {
    const FLOAT16: i32 = 10;
    if data_type == FLOAT16 {
        binary16
    } else {
        |bits| f64::from(f32::from_bits(u32::from(bits) << 16))
    }
}

fn binary16(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => libm::ldexp(fraction, -24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => libm::ldexp(1024.0 + fraction, exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Decodes a tensor's elements.
///
/// # Errors
/// [`ImportError`] for data outside the file that cannot be had, an element type that is no number, or a length
/// that does not match the shape.
pub(super) fn decode(
    path: &Path,
    name: &str,
    tensor: &TensorProto,
    beside: &mut Beside,
) -> Result<Constant, ImportError> {
    const EXTERNAL: i32 = 1;
    let place = format!("constant `{name}`");
    let fail = |problem: String| {
        ImportError::structure(path, place.clone(), problem)
            .expected("a dense tensor of numbers, as long as its shape says")
            .help("export the network again")
    };
    if tensor.dims.len() > limits::MAX_AXES {
        return Err(fail(format!("has {} axes", tensor.dims.len())));
    }
    let mut shape = Vec::with_capacity(tensor.dims.len());
    let mut len = 1usize;
    for &dim in &tensor.dims {
        let dim = usize::try_from(dim).map_err(|_| fail(format!("has the dimension {dim}")))?;
        len = len
            .checked_mul(dim)
            .filter(|&len| len <= limits::MAX_ELEMENTS)
            .ok_or_else(|| fail(format!("has more than {} elements", limits::MAX_ELEMENTS)))?;
        shape.push(dim);
    }
    if limits::span(&shape).is_none_or(|span| span > limits::MAX_ELEMENTS) {
        let most = limits::MAX_ELEMENTS;
        return Err(fail(format!(
            "has no element, and axes of more than {most} places"
        )));
    }
    let outside = tensor.data_location == EXTERNAL || !tensor.external_data.is_empty();
    let raw: &[u8] = if outside {
        beside.bytes(&tensor.external_data).map_err(|problem| {
            ImportError::structure(path, place.clone(), problem)
                .expected("a file beside the network's, named relative to its folder, that holds the constant")
                .help("put the file where it was when the network was saved, or save the network with its constants inside")
        })?
    } else {
        &tensor.raw_data
    };
    let use_raw = outside || !raw.is_empty();
    let length = |held: usize| {
        if held == len {
            Ok(())
        } else {
            Err(fail(format!("holds {held} elements where its shape says {len}")))
        }
    };
    macro_rules! from_raw {
        ($type:ty, $as:ty) => {{
            let (elements, rest) = raw.as_chunks::<{ size_of::<$type>() }>();
            if !rest.is_empty() {
                let problem = format!("holds {} bytes, which are no whole elements", raw.len());
                return Err(fail(problem));
            }
            length(elements.len())?;
            elements
                .iter()
                .map(|&bytes| <$as>::from(<$type>::from_le_bytes(bytes)))
                .collect()
        }};
    }
    macro_rules! from_list {
        ($list:expr, $as:ty) => {{
            length($list.len())?;
            $list.iter().map(|&value| <$as>::from(value)).collect()
        }};
    }
    let data = match tensor.data_type {
        1 if use_raw => ConstantData::Real(from_raw!(f32, f64)),
        1 => ConstantData::Real(from_list!(tensor.float_data, f64)),
        11 if use_raw => ConstantData::Real(from_raw!(f64, f64)),
        11 => ConstantData::Real(from_list!(tensor.double_data, f64)),
        2 | 9 if use_raw => ConstantData::Integer(from_raw!(u8, i64)),
        3 if use_raw => ConstantData::Integer(from_raw!(i8, i64)),
        4 if use_raw => ConstantData::Integer(from_raw!(u16, i64)),
        5 if use_raw => ConstantData::Integer(from_raw!(i16, i64)),
        6 if use_raw => ConstantData::Integer(from_raw!(i32, i64)),
        10 | 16 if use_raw => {
            let bits: Vec<u16> = from_raw!(u16, u16);
            ConstantData::Real(bits.into_iter().map(half(tensor.data_type)).collect())
        }
        10 | 16 => {
            length(tensor.int32_data.len())?;
            let bits: Result<Vec<u16>, _> = tensor
                .int32_data
                .iter()
                .map(|&bits| u16::try_from(bits))
                .collect();
            let bits = bits.map_err(|_| fail("holds a number beyond the 16 bits of its type".to_owned()))?;
            ConstantData::Real(bits.into_iter().map(half(tensor.data_type)).collect())
        }
        12 if use_raw => ConstantData::Integer(from_raw!(u32, i64)),
        7 if use_raw => ConstantData::Integer(from_raw!(i64, i64)),
        2..=6 | 9 => ConstantData::Integer(from_list!(tensor.int32_data, i64)),
        7 => ConstantData::Integer(from_list!(tensor.int64_data, i64)),
        12 | 13 if !use_raw => {
            length(tensor.uint64_data.len())?;
            let values: Result<Vec<i64>, _> = tensor
                .uint64_data
                .iter()
                .map(|&value| i64::try_from(value))
                .collect();
            ConstantData::Integer(
                values.map_err(|_| fail("holds an integer beyond 64 signed bits".to_owned()))?,
            )
        }
        other => {
            return Err(fail(format!(
                "has the element type {other}, which is no supported number"
            )));
        }
    };
    Ok(Constant {
        shape,
        data,
        precision: Precision::of_element_type(tensor.data_type),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_their_bits_say() {
        // Spacing and ends of IEEE 754 binary16, table 3.5: 2^-24, 2^-14, 1, 65504.
        let cases = [
            (0x0000, 0.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x03ff, 6.097_555_160_522_461e-5),
            (0x0400, 6.103_515_625e-5),
            (0x3555, 0.333_251_953_125),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(10)(bits), value, "{bits:#06x}");
        }
        assert!(half(10)(0x7e00).is_nan());
        assert_eq!(half(16)(0x3f80), 1.0);
        assert_eq!(half(16)(0xc049), -3.140_625);
        // Halves rise with their bits, on both sides of zero, by one unit in the last place each.
        for bits in 0..0x7bffu16 {
            let (low, high) = (binary16(bits), binary16(bits + 1));
            let unit = libm::ldexp(1.0, (i32::from(bits >> 10).max(1)) - 25);
            assert_eq!(high - low, unit, "{bits:#06x}");
            assert_eq!(binary16(bits | 0x8000), -low);
        }
    }
}
