//! Reading arrays.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use miette::Diagnostic;
use ndarray::ArrayD;
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyError, ReadNpyExt};
use thiserror::Error;
use zip::ZipArchive;

use super::{Array, Elements};

/// `FILE` or `FILE:KEY` as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// The array in an `.npz`, or `None` where the file holds one array.
    pub key: Option<String>,
}

impl Source {
    /// Splits `FILE:KEY`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let split = text
            .rsplit_once(':')
            .filter(|(file, key)| file.len() > 1 && !key.contains(['/', '\\']));
        match split {
            Some((file, key)) => Self {
                file: file.into(),
                key: Some(key.to_owned()),
            },
            None => Self {
                file: text.into(),
                key: None,
            },
        }
    }
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(text))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}:{key}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// Why an array could not be read.
#[derive(Debug, Error, Diagnostic)]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::data::unreadable),
        help("expected a readable file; check the path and its permissions")
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The file is not what its ending says.
    #[error("{}: {reason}", file.display())]
    #[diagnostic(code(radstream::data::format), help("expected {expected}"))]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
        /// What was expected.
        expected: String,
    },
    /// Nothing says which array of the file is meant.
    #[error("{}: holds {} arrays and none is named", file.display(), available.len())]
    #[diagnostic(
        code(radstream::data::key),
        help("expected FILE:KEY with one of: {}", available.join(", "))
    )]
    Unnamed {
        /// The file.
        file: PathBuf,
        /// What there is.
        available: Vec<String>,
    },
    /// The array is not in the file.
    #[error("{}: holds no array `{key}`", file.display())]
    #[diagnostic(
        code(radstream::data::key),
        help("expected FILE:KEY with one of: {}", available.join(", "))
    )]
    Key {
        /// The file.
        file: PathBuf,
        /// What was asked for.
        key: String,
        /// What there is.
        available: Vec<String>,
    },
}

/// Reads one array.
///
/// An `.npz` with several arrays needs a key. A `.csv` (or `.csv.gz`) of numbers without a header
/// is a two-dimensional array with one row per line.
///
/// # Errors
/// [`DataError`] where the file is missing, damaged, of another kind, or has no such array.
pub fn read(source: &Source) -> Result<Array, DataError> {
    let bytes = super::read_file(&source.file).map_err(|error| DataError::Unreadable {
        file: source.file.clone(),
        reason: error.to_string(),
    })?;
    read_bytes(source, bytes)
}

/// Decodes one array from the bytes of the file that `source` names.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(source: &Source, bytes: Vec<u8>) -> Result<Array, DataError> {
    let file = &source.file;
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    if name.ends_with(".npz") {
        read_npz(source, bytes)
    } else if name.ends_with(".npy") {
        read_npy(file, &bytes)
    } else if name.ends_with(".csv") {
        read_csv(file, bytes.as_slice())
    } else if name.ends_with(".csv.gz") {
        read_csv(file, flate2::read::GzDecoder::new(bytes.as_slice()))
    } else {
        Err(DataError::Format {
            file: file.clone(),
            reason: "has an unknown ending".to_owned(),
            expected: "a .npy, .npz, .csv or .csv.gz file".to_owned(),
        })
    }
}

fn read_npz(source: &Source, bytes: Vec<u8>) -> Result<Array, DataError> {
    let file = &source.file;
    let damaged = |reason: String| {
        DataError::Format {
        file: file.clone(),
        reason,
        expected: "an .npz archive as written by numpy.savez, with arrays of floats (4 or 8 bytes), integers or booleans"
            .to_owned(),
    }
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| damaged(format!("is not an .npz archive: {error}")))?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.strip_suffix(".npy").unwrap_or(name).to_owned())
        .collect();
    let key = match &source.key {
        Some(key) => key.clone(),
        None if names.len() == 1 => names[0].clone(),
        None => {
            return Err(DataError::Unnamed {
                file: file.clone(),
                available: names,
            });
        }
    };
    if !names.contains(&key) {
        return Err(DataError::Key {
            file: file.clone(),
            key,
            available: names,
        });
    }
    let stored = format!("{key}.npy");
    let member = if archive.index_for_name(&stored).is_some() {
        archive.by_name(&stored)
    } else {
        archive.by_name(&key)
    };
    let mut content = Vec::new();
    member
        .map_err(|error| damaged(format!("array `{key}` cannot be unpacked: {error}")))?
        .take(MAX_ARRAY_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| damaged(format!("array `{key}` cannot be unpacked: {error}")))?;
    if content.len() as u64 > MAX_ARRAY_BYTES {
        return Err(damaged(format!("array `{key}` is larger than 2 GiB")));
    }
    decode(&content).map_err(|reason| damaged(format!("array `{key}` {reason}")))
}

/// Most bytes that one array of an archive may unpack to.
const MAX_ARRAY_BYTES: u64 = 1 << 31;

/// Longest header of an array, and deepest nesting of brackets in it: `numpy` needs about a hundred
/// bytes and two levels.
const MAX_HEADER: usize = 1 << 16;
const MAX_NESTING: usize = 8;

/// Refuses a header that announces more than there is: memory is taken as it says.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let (length, start) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
            (usize::from(u16::from_le_bytes([*low, *high])), 10)
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12)
        }
        _ => return Err("does not begin as an .npy array does".to_owned()),
    };
    let header = length
        .checked_add(start)
        .filter(|_| length <= MAX_HEADER)
        .and_then(|end| bytes.get(start..end))
        .ok_or("ends within its header")?;
    let mut nesting = 0usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => nesting += 1,
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        if nesting > MAX_NESTING {
            return Err("has a header that is not numpy's".to_owned());
        }
    }
    let header =
        Header::from_reader(&mut &bytes[..]).map_err(|error| format!("has no sound header: {error}"))?;
    let announced = header
        .shape
        .iter()
        .try_fold(1usize, |product, &extent| product.checked_mul(extent));
    match announced {
        Some(elements) if elements <= bytes.len() => Ok(()),
        _ => Err(format!(
            "announces the shape {:?} but holds {} bytes",
            header.shape,
            bytes.len()
        )),
    }
}

/// The element types that a file may have.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

const KINDS: [Kind; 11] = [
    Kind::F32,
    Kind::F64,
    Kind::I8,
    Kind::I16,
    Kind::I32,
    Kind::I64,
    Kind::U8,
    Kind::U16,
    Kind::U32,
    Kind::U64,
    Kind::Bool,
];

/// Why an array is not one of elements of some type.
struct Refusal {
    reason: String,
    /// The elements are sound but of another type.
    other_type: bool,
}

impl From<ReadNpyError> for Refusal {
    fn from(error: ReadNpyError) -> Self {
        match error {
            ReadNpyError::WrongDescriptor(descriptor) => Self {
                reason: format!("has elements of the type {descriptor}"),
                other_type: true,
            },
            error => Self {
                reason: format!("cannot be decoded: {error}"),
                other_type: false,
            },
        }
    }
}

/// Decodes an `.npy` array, trying one element type after the other.
fn decode(bytes: &[u8]) -> Result<Array, String> {
    check_header(bytes)?;
    let mut reason = String::new();
    for kind in KINDS {
        match decode_as(kind, bytes) {
            Ok(array) => return Ok(array),
            Err(refusal) => {
                reason = refusal.reason;
                if !refusal.other_type {
                    break;
                }
            }
        }
    }
    Err(reason)
}

fn integers<T>(array: ArrayD<T>) -> Result<Array, Refusal>
where
    T: Copy,
    i64: TryFrom<T>,
{
    let shape = array.shape().to_vec();
    let values: Result<Vec<i64>, _> = array.iter().map(|&value| i64::try_from(value)).collect();
    Ok(Array {
        shape,
        elements: Elements::Integer(values.map_err(|_| Refusal {
            reason: "holds an integer beyond 63 bits".to_owned(),
            other_type: false,
        })?),
    })
}

fn reals<T: Copy + Into<f64>>(array: &ArrayD<T>) -> Array {
    Array {
        shape: array.shape().to_vec(),
        elements: Elements::Real(array.iter().map(|&value| value.into()).collect()),
    }
}

fn decode_as(kind: Kind, bytes: &[u8]) -> Result<Array, Refusal> {
    macro_rules! whole {
        ($type:ty) => {
            ArrayD::<$type>::read_npy(bytes).map_err(Refusal::from)
        };
    }
    match kind {
        Kind::F32 => whole!(f32).map(|array| reals(&array)),
        Kind::F64 => whole!(f64).map(|array| reals(&array)),
        Kind::I8 => whole!(i8).and_then(integers),
        Kind::I16 => whole!(i16).and_then(integers),
        Kind::I32 => whole!(i32).and_then(integers),
        Kind::I64 => whole!(i64).and_then(integers),
        Kind::U8 => whole!(u8).and_then(integers),
        Kind::U16 => whole!(u16).and_then(integers),
        Kind::U32 => whole!(u32).and_then(integers),
        Kind::U64 => whole!(u64).and_then(integers),
        Kind::Bool => whole!(bool).map(|array| array.mapv(u8::from)).and_then(integers),
    }
}

/// Decodes the bytes of one `.npy` file.
///
/// # Errors
/// [`DataError::Format`] where they are not an array of numbers.
pub fn read_npy(file: &Path, bytes: &[u8]) -> Result<Array, DataError> {
    decode(bytes).map_err(|reason| DataError::Format {
        file: file.to_owned(),
        reason,
        expected: "a complete array of floats (4 or 8 bytes), integers or booleans, as written by numpy.save"
            .to_owned(),
    })
}

fn read_csv(file: &Path, reader: impl Read) -> Result<Array, DataError> {
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(reader);
    let bad = |reason: String| DataError::Format {
        file: file.to_owned(),
        reason,
        expected: "rows of numbers, all of one length, without a header".to_owned(),
    };
    let mut values = Vec::new();
    let (mut height, mut width) = (0, 0);
    for (line, row) in rows.records().enumerate() {
        let row = row.map_err(|error| bad(error.to_string()))?;
        width = row.len();
        height = line + 1;
        for (column, cell) in row.iter().enumerate() {
            let value: f64 = cell.parse().map_err(|_| {
                bad(format!(
                    "line {}, column {}: `{cell}` is not a number",
                    line + 1,
                    column + 1
                ))
            })?;
            values.push(value);
        }
    }
    Ok(Array {
        shape: vec![height, width],
        elements: Elements::Real(values),
    })
}
