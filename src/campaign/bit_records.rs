//! What the flip of a single stored bit did, and the file that says so.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::records::cell_problem;
use crate::accelerator::{Accelerator, AddressError, NamedBit, StoredBit};
use crate::data;

/// What the flip of one stored bit did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitRecord {
    /// The bit.
    pub bit: StoredBit,
    /// Samples with any output changed.
    pub changed: u64,
    /// Samples right without and wrong with the flip; 0 where nothing is known to be right.
    pub newly_wrong: u64,
    /// Mean loss over the samples.
    pub loss: f64,
    /// Mean loss minus the fault-free mean loss.
    pub delta_loss: f64,
}

/// Smallest rise of the mean loss that makes a bit sensitive.
pub const SENSITIVE_ABOVE: f64 = 1e-9;

impl BitRecord {
    /// Whether the flip raises the mean loss.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.delta_loss > SENSITIVE_ABOVE
    }
}

/// A line of the records: both addresses of the bit, and what its flip did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BitRow {
    layer: String,
    tensor: String,
    element: u64,
    bit: u32,
    memory: String,
    word: u64,
    word_bit: u32,
    changed: u64,
    newly_wrong: u64,
    loss: f64,
    delta_loss: f64,
}

impl BitRow {
    /// The columns.
    pub const COLUMNS: &'static str =
        "layer,tensor,element,bit,memory,word,word_bit,changed,newly_wrong,loss,delta_loss";

    /// The line of a record.
    #[must_use]
    pub fn new(accelerator: &Accelerator, record: &BitRecord) -> Self {
        let name = accelerator.named(record.bit);
        Self {
            layer: name.layer,
            tensor: name.tensor,
            element: name.element,
            bit: name.bit,
            memory: name.memory,
            word: name.word,
            word_bit: name.word_bit,
            changed: record.changed,
            newly_wrong: record.newly_wrong,
            loss: record.loss,
            delta_loss: record.delta_loss,
        }
    }

    /// Both addresses.
    #[must_use]
    pub fn address(&self) -> NamedBit {
        NamedBit {
            layer: self.layer.clone(),
            tensor: self.tensor.clone(),
            element: self.element,
            bit: self.bit,
            memory: self.memory.clone(),
            word: self.word,
            word_bit: self.word_bit,
        }
    }

    /// The record, where the line is that of the bit.
    #[must_use]
    pub fn record(&self, bit: StoredBit) -> BitRecord {
        BitRecord {
            bit,
            changed: self.changed,
            newly_wrong: self.newly_wrong,
            loss: self.loss,
            delta_loss: self.delta_loss,
        }
    }
}

/// Why the records of single bits are of no use.
#[derive(Debug, Error, Diagnostic)]
pub enum BitRecordError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::unreadable),
        help("expected the records of an exhaustive campaign; check the path and its permissions")
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// A line cannot be read.
    #[error("{}: line {line}: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::line),
        help("expected the columns {}; run the campaign again", BitRow::COLUMNS)
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A line names a bit that this accelerator does not store.
    #[error("{}: line {line}: {error}", file.display())]
    #[diagnostic(
        code(radstream::records::address),
        help("{}; use the network of the campaign", error.help().map_or_else(String::new, |help| help.to_string()))
    )]
    Address {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Why.
        error: Box<AddressError>,
    },
    /// A bit has two lines.
    #[error("{}: line {line}: the bit has an earlier line", file.display())]
    #[diagnostic(
        code(radstream::records::duplicate),
        help("expected every bit once; remove one of the two lines, or run the campaign again")
    )]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
    },
}

/// Records of single bits as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct BitRecords {
    /// One per bit, in the order of the lines.
    pub records: Vec<BitRecord>,
    /// Lines whose physical address is not where this accelerator stores the bit: they were measured on
    /// memories with another packing, and count by their logical address.
    pub packed_otherwise: u64,
}

/// Reads the finished records of an exhaustive campaign on the same network. Bits are found by their logical
/// address; padding bits, which have none but in their packing, are left out where it is another.
///
/// # Errors
/// [`BitRecordError`] with the line.
pub fn read_bit_records(file: &Path, accelerator: &Accelerator) -> Result<BitRecords, BitRecordError> {
    let unreadable = |error: &dyn std::fmt::Display| BitRecordError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    };
    let bad = |line: u64, reason: String| BitRecordError::Line {
        file: file.to_owned(),
        line,
        reason,
    };
    let opened = data::open_file(file).map_err(|error| unreadable(&error))?;
    let mut reader = csv::Reader::from_reader(std::io::BufReader::new(opened));
    let header = reader.headers().map_err(|error| bad(1, error.to_string()))?;
    if header.iter().ne(BitRow::COLUMNS.split(',')) {
        let found: Vec<&str> = header.iter().collect();
        return Err(bad(1, format!("has the columns {}", found.join(","))));
    }
    let mut records = Vec::new();
    let mut seen = HashSet::new();
    let mut packed_otherwise = 0;
    let mut cells = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let more = reader.read_record(&mut cells);
        if !more.map_err(|error| bad(line, error.to_string()))? {
            break;
        }
        let row = cells.deserialize(None);
        let row: BitRow = row.map_err(|error| bad(line, cell_problem(&error, BitRow::COLUMNS, &cells)))?;
        let found = accelerator.find_logical(&row.layer, &row.tensor, row.element, row.bit);
        let here = matches!(&found, Ok(bit) if accelerator.named(*bit) == row.address());
        if !here && is_padding(&row, accelerator) {
            packed_otherwise += 1;
            continue;
        }
        let bit = found.map_err(|error| BitRecordError::Address {
            file: file.to_owned(),
            line,
            error: Box::new(error),
        })?;
        packed_otherwise += u64::from(!here);
        if !seen.insert(bit) {
            return Err(BitRecordError::Duplicate {
                file: file.to_owned(),
                line,
            });
        }
        if !row.delta_loss.is_finite() {
            return Err(bad(
                line,
                format!("delta_loss = {} cannot be ranked", row.delta_loss),
            ));
        }
        records.push(row.record(bit));
    }
    Ok(BitRecords {
        records,
        packed_otherwise,
    })
}

/// Whether a line is that of a padding bit: its element lies behind those of the tensor, and it changed nothing.
fn is_padding(row: &BitRow, accelerator: &Accelerator) -> bool {
    let network = accelerator.network();
    row.changed == 0
        && accelerator.map().tensors().iter().any(|tensor| {
            tensor.kind.name() == row.tensor
                && network.layer(tensor.layer).name == row.layer
                && row.element >= tensor.elements()
        })
}
