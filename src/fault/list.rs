//! Lists of faults as people write them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use super::boundary::boundaries;
use super::strike::Targets;
use crate::accelerator::{Accelerator, AddressError, StoredBit};
use crate::simulate::cycle::{CycleFault, PathError, Site};
use crate::simulate::functional::Transient;

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedFault {
    /// The bit.
    pub bit: StoredBit,
    /// Clock edge after which the flip lands; none for a flip that is there from the start.
    pub cycle: Option<u64>,
    /// Which of several independent sets it belongs to; none where the list is one set.
    pub trial: Option<u64>,
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
            "expected `layer,tensor,element,bit`, `memory,word,bit` or, for registers, `register,bit`, and optionally `cycle` and `trial`"
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
    /// Which of several independent sets it belongs to; none where the list is one set.
    pub trial: Option<u64>,
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
                 trial,
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
                    trial,
                    line,
                })
            },
        )
        .collect()
}

/// Reads a list of faults: CSV with a header of logical (`layer,tensor,element,bit`) or physical
/// (`memory,word,bit`) addresses, and optionally `cycle` and `trial`, in any order of columns.
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
                 trial,
                 line,
             }| ListedFault {
                bit,
                cycle,
                trial,
                line,
            },
        )
        .collect())
}

/// A set of faults that is evaluated by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ListedTrial {
    /// Its number in the list; 0 where the list is one set.
    pub trial: u64,
    /// Stored bits in the order of the list.
    pub bits: Vec<StoredBit>,
    /// Bits of codes, in every inference, in the order of the list.
    pub transients: Vec<Transient>,
}

/// Reads independent sets of faults: lines as in [`read_list`], where the tensor may also be
/// [`Boundary::ACTIVATION`](super::Boundary::ACTIVATION) or
/// [`Boundary::MAC`](super::Boundary::MAC) of a layer (of the network's input, by its name), and sets by the column
/// `trial`. They come in the order of their numbers; a list without that column is one set.
///
/// # Errors
/// As [`read_list`]; a cycle is refused, since these faults are there from the start.
pub fn read_trials(file: &Path, accelerator: &Accelerator) -> Result<Vec<ListedTrial>, FaultListError> {
    let boundaries = boundaries(accelerator.network());
    let lines = read_lines(file, |fields| match fields {
        Fields::Logical([layer, tensor, element, bit]) => {
            let found = boundaries
                .iter()
                .find(|boundary| boundary.layer == layer.trim() && boundary.tensor == tensor.trim());
            match found {
                Some(boundary) => boundary
                    .parse(element, bit)
                    .map(Target::Code)
                    .map_err(NoBit::from),
                None => Ok(Target::Stored(
                    accelerator.parse_logical(layer, tensor, element, bit)?,
                )),
            }
        }
        Fields::Physical([memory, word, bit]) => {
            Ok(Target::Stored(accelerator.parse_physical(memory, word, bit)?))
        }
        Fields::Register(_) => Err(NoBit::Registers),
    })?;
    let mut trials: BTreeMap<u64, ListedTrial> = BTreeMap::new();
    for Line {
        target,
        cycle,
        trial,
        line,
    } in lines
    {
        if cycle.is_some() {
            return Err(FaultListError::Line {
                file: file.to_owned(),
                line,
                reason: "names a cycle, and these faults are there from the start".to_owned(),
                expected: "no cycle".to_owned(),
            });
        }
        let number = trial.unwrap_or(0);
        let set = trials.entry(number).or_insert_with(|| ListedTrial {
            trial: number,
            ..ListedTrial::default()
        });
        match target {
            Target::Stored(bit) => set.bits.push(bit),
            Target::Code(flip) => set.transients.push(flip),
        }
    }
    Ok(trials.into_values().collect())
}

/// What a line of independent sets names.
enum Target {
    Stored(StoredBit),
    Code(Transient),
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
    trial: Option<u64>,
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
    let trial = column("trial");
    let logical = (column("layer"), column("tensor"), column("element"));
    let physical = (column("memory"), column("word"));
    let register = column("register");
    let expected_columns = match (logical, physical, register) {
        ((Some(_), Some(_), Some(_)), (None, None), None) => 4,
        ((None, None, None), (Some(_), Some(_)), None) => 3,
        ((None, None, None), (None, None), Some(_)) => 2,
        _ => return Err(bad_header()),
    } + usize::from(cycle.is_some())
        + usize::from(trial.is_some());
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
        let whole = |text: &str, what: &str, expected: &str| {
            text.parse().map_err(|_| FaultListError::Line {
                file: file.to_owned(),
                line,
                reason: format!("`{text}` is no {what}"),
                expected: expected.to_owned(),
            })
        };
        let cycle = match cycle.map(field).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(whole(
                text,
                "cycle",
                "a whole number of clock edges after reset, or nothing",
            )?),
        };
        let trial = match trial.map(field) {
            None => None,
            Some(text) => Some(whole(
                text,
                "trial",
                "the number of the set that the fault belongs to",
            )?),
        };
        faults.push(Line {
            target,
            cycle,
            trial,
            line,
        });
    }
    Ok(faults)
}
