//! Reading arrays.

use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use miette::Diagnostic;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError};
use thiserror::Error;

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
    let bytes = std::fs::read(&source.file).map_err(|error| DataError::Unreadable {
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
    let damaged = |reason: String| DataError::Format {
        file: file.clone(),
        reason,
        expected: "an .npz archive as written by numpy.savez".to_owned(),
    };
    let mut archive = NpzReader::new(Cursor::new(bytes))
        .map_err(|error| damaged(format!("is not an .npz archive: {error}")))?;
    let names: Vec<String> = archive
        .names()
        .map_err(|error| damaged(error.to_string()))?
        .into_iter()
        .map(|name| name.trim_end_matches(".npy").to_owned())
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
    read_typed(file, |kind| by_name(&mut archive, &key, kind))
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

impl From<ReadNpzError> for Refusal {
    fn from(error: ReadNpzError) -> Self {
        match error {
            ReadNpzError::Npy(error) => error.into(),
            ReadNpzError::Zip(error) => Self {
                reason: format!("cannot be unpacked: {error}"),
                other_type: false,
            },
        }
    }
}

/// Tries one element type after the other.
fn read_typed(
    file: &Path,
    mut attempt: impl FnMut(Kind) -> Result<Array, Refusal>,
) -> Result<Array, DataError> {
    let mut reason = String::new();
    for kind in KINDS {
        match attempt(kind) {
            Ok(array) => return Ok(array),
            Err(refusal) => {
                reason = refusal.reason;
                if !refusal.other_type {
                    break;
                }
            }
        }
    }
    Err(DataError::Format {
        file: file.to_owned(),
        reason,
        expected: "a complete array of floats (4 or 8 bytes), integers or booleans".to_owned(),
    })
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

macro_rules! decode_kind {
    ($kind:expr, $read:ident) => {
        match $kind {
            Kind::F32 => $read!(f32).map(|array| reals(&array)),
            Kind::F64 => $read!(f64).map(|array| reals(&array)),
            Kind::I8 => $read!(i8).and_then(integers),
            Kind::I16 => $read!(i16).and_then(integers),
            Kind::I32 => $read!(i32).and_then(integers),
            Kind::I64 => $read!(i64).and_then(integers),
            Kind::U8 => $read!(u8).and_then(integers),
            Kind::U16 => $read!(u16).and_then(integers),
            Kind::U32 => $read!(u32).and_then(integers),
            Kind::U64 => $read!(u64).and_then(integers),
            Kind::Bool => $read!(bool).map(|array| array.mapv(u8::from)).and_then(integers),
        }
    };
}

fn by_name<R: Read + Seek>(archive: &mut NpzReader<R>, key: &str, kind: Kind) -> Result<Array, Refusal> {
    macro_rules! member {
        ($type:ty) => {
            archive
                .by_name::<OwnedRepr<$type>, IxDyn>(key)
                .map_err(Refusal::from)
        };
    }
    decode_kind!(kind, member)
}

/// Decodes the bytes of one `.npy` file.
///
/// # Errors
/// [`DataError::Format`] where they are not an array of numbers.
pub fn read_npy(file: &Path, bytes: &[u8]) -> Result<Array, DataError> {
    read_typed(file, |kind| {
        macro_rules! whole {
            ($type:ty) => {
                ArrayD::<$type>::read_npy(bytes).map_err(Refusal::from)
            };
        }
        decode_kind!(kind, whole)
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
