//! Lists of faults as people write them.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::strike::Targets;
use crate::accelerator::{Accelerator, AddressError, StoredBit};
use crate::simulate::cycle::{CycleFault, PathError, Site};

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedFault {
    /// The bit.
    pub bit: StoredBit,
    /// Clock edge after which the flip lands; none for a flip that is there from the start.
    pub cycle: Option<u64>,
    /// Line of the list, counted from 1.
    pub line: u64,
}

/// Why a list was refused.
#[derive(Debug, Error, Diagnostic)]
pub enum FaultListError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::fault::unreadable),
        help("expected a readable UTF-8 text file; check the path and its permissions")
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The header is not one of the known ones.
    #[error("{}: line 1 has the columns {found:?}", file.display())]
    #[diagnostic(
        code(radstream::fault::header),
        help(
            "expected `layer,tensor,element,bit`, `memory,word,bit` or, for registers, `register,bit`, and optionally `cycle`"
        )
    )]
    Header {
        /// The file.
        file: PathBuf,
        /// What there was.
        found: Vec<String>,
    },
    /// A line is no list of fields.
    #[error("{}: line {line}: {reason}", file.display())]
    #[diagnostic(code(radstream::fault::line), help("expected {expected}"))]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
        /// What was expected.
        expected: String,
    },
    /// The list names registers where there are none.
    #[error("{}: names registers, and only the cycle engine has them", file.display())]
    #[diagnostic(
        code(radstream::fault::registers),
        help("expected stored bits: `layer,tensor,element,bit` or `memory,word,bit`")
    )]
    Registers {
        /// The file.
        file: PathBuf,
    },
    /// A line names no bit of a register.
    #[error("{}: line {line}", file.display())]
    #[diagnostic(code(radstream::fault::register))]
    Register {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Why.
        #[source]
        #[diagnostic_source]
        error: PathError,
    },
    /// A line names no stored bit.
    #[error("{}: line {line}", file.display())]
    #[diagnostic(code(radstream::fault::address))]
    Address {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Why.
        #[source]
        #[diagnostic_source]
        error: AddressError,
    },
}

/// One line of a list for the cycle engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedStrike {
    /// Where and when.
    pub fault: CycleFault,
    /// Line of the list, counted from 1.
    pub line: u64,
}

/// Reads a list of faults of any kind: stored bits, registers (the class is the tensor, `<layer>.<class>`
/// the memory) and wires; columns as in [`read_list`], or `register,bit` with the path of a register's lane.
///
/// # Errors
/// [`FaultListError`] with the line and what was expected; a wire without a cycle is refused.
pub fn read_strikes(file: &Path, targets: &Targets) -> Result<Vec<ListedStrike>, FaultListError> {
    let number = |field: &'static str, text: &str| -> Result<u64, AddressError> {
        text.trim().parse().map_err(|_| AddressError::Number {
            field,
            text: text.to_owned(),
        })
    };
    let bit_number = |text: &str| {
        number("bit", text)?.try_into().map_err(|_| AddressError::Number {
            field: "bit",
            text: text.to_owned(),
        })
    };
    let lines = read_lines(file, |fields| match fields {
        Fields::Logical([layer, tensor, element, bit]) => {
            let (element, bit) = (number("element", element)?, bit_number(bit)?);
            Ok(targets.find_logical(layer.trim(), tensor.trim(), element, bit)?)
        }
        Fields::Physical([memory, word, bit]) => {
            Ok(targets.find_physical(memory.trim(), number("word", word)?, bit_number(bit)?)?)
        }
        Fields::Register([register, bit]) => Ok(targets.find_register(register.trim(), bit_number(bit)?)?),
    })?;
    lines
        .into_iter()
        .map(
            |Line {
                 target: site,
                 cycle,
                 line,
             }| {
                if cycle.is_none() && matches!(site, Site::Wire { .. }) {
                    return Err(FaultListError::Line {
                        file: file.to_owned(),
                        line,
                        reason: "a wire holds its value for one cycle only".to_owned(),
                        expected: "the number of that cycle in the column `cycle`".to_owned(),
                    });
                }
                Ok(ListedStrike {
                    fault: CycleFault { cycle, site },
                    line,
                })
            },
        )
        .collect()
}

/// Reads a list of faults: CSV with a header of logical (`layer,tensor,element,bit`) or physical
/// (`memory,word,bit`) addresses, and optionally `cycle`, in any order of columns.
///
/// # Errors
/// [`FaultListError`] with the line and what was expected.
pub fn read_list(file: &Path, accelerator: &Accelerator) -> Result<Vec<ListedFault>, FaultListError> {
    let lines = read_lines(file, |fields| match fields {
        Fields::Logical([layer, tensor, element, bit]) => {
            Ok(accelerator.parse_logical(layer, tensor, element, bit)?)
        }
        Fields::Physical([memory, word, bit]) => Ok(accelerator.parse_physical(memory, word, bit)?),
        Fields::Register(_) => Err(NoBit::Registers),
    })?;
    Ok(lines
        .into_iter()
        .map(
            |Line {
                 target: bit,
                 cycle,
                 line,
             }| ListedFault { bit, cycle, line },
        )
        .collect())
}

/// The address fields of one line.
enum Fields<'a> {
    /// Layer, tensor, element, bit.
    Logical([&'a str; 4]),
    /// Memory, word, bit.
    Physical([&'a str; 3]),
    /// Register, bit.
    Register([&'a str; 2]),
}

/// Why the fields of a line name no bit.
enum NoBit {
    Address(AddressError),
    Register(PathError),
    Registers,
}

impl From<AddressError> for NoBit {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<PathError> for NoBit {
    fn from(error: PathError) -> Self {
        Self::Register(error)
    }
}

impl NoBit {
    fn at(self, file: &Path, line: u64) -> FaultListError {
        let file = file.to_owned();
        match self {
            Self::Address(error) => FaultListError::Address { file, line, error },
            Self::Register(error) => FaultListError::Register { file, line, error },
            Self::Registers => FaultListError::Registers { file },
        }
    }
}

/// One line of a list.
struct Line<T> {
    target: T,
    cycle: Option<u64>,
    line: u64,
}

fn read_lines<T>(
    file: &Path,
    find: impl Fn(Fields<'_>) -> Result<T, NoBit>,
) -> Result<Vec<Line<T>>, FaultListError> {
    let unreadable = |error: &dyn std::fmt::Display| FaultListError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    };
    let text = crate::data::read_text(file).map_err(|error| unreadable(&error))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .map_err(|error| unreadable(&error))?
        .iter()
        .map(str::to_owned)
        .collect();
    let column = |name: &str| header.iter().position(|column| column == name);
    let bad_header = || FaultListError::Header {
        file: file.to_owned(),
        found: header.clone(),
    };
    let bit = column("bit").ok_or_else(bad_header)?;
    let cycle = column("cycle");
    let logical = (column("layer"), column("tensor"), column("element"));
    let physical = (column("memory"), column("word"));
    let register = column("register");
    let expected_columns = match (logical, physical, register) {
        ((Some(_), Some(_), Some(_)), (None, None), None) => 4,
        ((None, None, None), (Some(_), Some(_)), None) => 3,
        ((None, None, None), (None, None), Some(_)) => 2,
        _ => return Err(bad_header()),
    } + usize::from(cycle.is_some());
    if header.len() != expected_columns {
        return Err(bad_header());
    }
    let mut faults = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| FaultListError::Line {
            file: file.to_owned(),
            line: error.position().map_or(0, csv::Position::line),
            reason: error.to_string(),
            expected: format!("{expected_columns} fields as in the header"),
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or("");
        let found = match (logical, physical, register) {
            ((Some(layer), Some(tensor), Some(element)), ..) => find(Fields::Logical([
                field(layer),
                field(tensor),
                field(element),
                field(bit),
            ])),
            (_, (Some(memory), Some(word)), _) => {
                find(Fields::Physical([field(memory), field(word), field(bit)]))
            }
            (.., Some(register)) => find(Fields::Register([field(register), field(bit)])),
            _ => return Err(bad_header()),
        };
        let target = found.map_err(|error| error.at(file, line))?;
        let cycle = match cycle.map(field).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| FaultListError::Line {
                file: file.to_owned(),
                line,
                reason: format!("`{text}` is no cycle"),
                expected: "a whole number of clock edges after reset, or nothing".to_owned(),
            })?),
        };
        faults.push(Line { target, cycle, line });
    }
    Ok(faults)
}
