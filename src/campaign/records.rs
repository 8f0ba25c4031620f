//! Records of an exhaustive campaign on disk: growing, resumable, complete only under their name.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::BitRecord;
use super::growing::{Growing, PARTIAL, Rows};
use crate::accelerator::{Accelerator, AddressError, StoredBit};

/// Columns of `records.csv`.
const HEADER: &str = "layer,tensor,element,bit,memory,word,word_bit,changed,newly_wrong,loss,delta_loss";

/// Why records could not be read or written.
#[derive(Debug, Error, Diagnostic)]
pub enum RecordError {
    /// A file cannot be read.
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
    /// A file or folder cannot be written.
    #[error("{}: cannot be written: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::unwritable),
        help("expected a folder that can be written to; check --out, its permissions and the free space")
    )]
    Unwritable {
        /// The file or folder.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The folder holds the beginning of another campaign.
    #[error("{}: holds an unfinished campaign with another plan", folder.display())]
    #[diagnostic(
        code(radstream::records::other_plan),
        help(
            "expected the plan of this run; choose another --out, repeat the former command to finish it, or delete {PARTIAL}"
        )
    )]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
    },
    /// A line of a finished file cannot be read.
    #[error("{}: line {line}: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::line),
        help("expected the columns {HEADER}; run the campaign again")
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A line of a mission's records cannot be read.
    #[error("{}: line {line}: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::mission_line),
        help(
            "expected the columns {}; delete {PARTIAL} and fly the missions again",
            super::mission::MISSION_HEADER
        )
    )]
    MissionLine {
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
        help("{}; use the network and the hardware file of the campaign", error.help().map_or_else(String::new, |help| help.to_string()))
    )]
    Address {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Why.
        error: Box<AddressError>,
    },
    /// The two addresses of a line are different bits of this accelerator.
    #[error("{}: line {line}: the bit is stored in {found}, not in {listed}", file.display())]
    #[diagnostic(
        code(radstream::records::address),
        help(
            "expected both addresses to name one bit; use the network and the hardware file of the campaign"
        )
    )]
    Contradiction {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Where the logical address lies.
        found: String,
        /// The physical address beside it.
        listed: String,
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

/// A fingerprint of everything that determines the records: SHA-256 over the parts, hexadecimal.
#[must_use]
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Growing records in a folder.
pub struct Records {
    file: Growing,
    finished: Vec<BitRecord>,
}

impl Records {
    /// Opens the records of a folder. Where it holds an unfinished campaign of the same plan, the
    /// complete lines at its beginning are kept and returned by [`Records::finished`].
    ///
    /// # Errors
    /// [`RecordError`] where the system refuses or the folder holds another plan's beginning.
    pub fn open(
        folder: &Path,
        plan: &str,
        accelerator: &Accelerator,
        bits: &[StoredBit],
    ) -> Result<Self, RecordError> {
        let mut finished = Vec::new();
        if let Some(text) = Growing::left(folder, plan)? {
            let records = parse(&folder.join(PARTIAL), &text, accelerator)?;
            for (record, &bit) in records.into_iter().zip(bits) {
                if record.bit != bit {
                    return Err(RecordError::OtherPlan {
                        folder: folder.to_owned(),
                    });
                }
                finished.push(record);
            }
        }
        let file = Growing::restart(folder, HEADER, |rows| write(rows, accelerator, &finished))?;
        Ok(Self { file, finished })
    }

    /// The records that an earlier run left.
    #[must_use]
    pub fn finished(&self) -> &[BitRecord] {
        &self.finished
    }

    /// Appends records and makes sure that they are on disk.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, accelerator: &Accelerator, records: &[BitRecord]) -> io::Result<()> {
        self.file.append(|rows| write(rows, accelerator, records))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(self) -> io::Result<PathBuf> {
        self.file.finish()
    }
}

fn write(rows: &mut Rows<'_>, accelerator: &Accelerator, records: &[BitRecord]) -> io::Result<()> {
    for record in records {
        let name = accelerator.named(record.bit);
        rows.serialize((
            name.layer,
            name.tensor,
            name.element,
            name.bit,
            name.memory,
            name.word,
            name.word_bit,
            record.changed,
            record.newly_wrong,
            record.loss,
            record.delta_loss,
        ))?;
    }
    Ok(())
}

/// Reads the records of a finished (or partial) file.
///
/// # Errors
/// [`RecordError`] with the line.
pub fn read_records(file: &Path, accelerator: &Accelerator) -> Result<Vec<BitRecord>, RecordError> {
    let text = fs::read_to_string(file).map_err(|error| RecordError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    let records = parse(file, &text, accelerator)?;
    match records.iter().position(|record| !record.delta_loss.is_finite()) {
        None => Ok(records),
        Some(at) => Err(RecordError::Line {
            file: file.to_owned(),
            line: at as u64 + 2,
            reason: format!("delta_loss = {} cannot be ranked", records[at].delta_loss),
        }),
    }
}

fn parse(file: &Path, text: &str, accelerator: &Accelerator) -> Result<Vec<BitRecord>, RecordError> {
    let bad = |line: u64, reason: String| RecordError::Line {
        file: file.to_owned(),
        line,
        reason,
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| bad(1, error.to_string()))?;
    if header.iter().ne(HEADER.split(',')) {
        return Err(bad(
            1,
            format!("has the columns {:?}", header.iter().collect::<Vec<_>>()),
        ));
    }
    let mut records = Vec::new();
    let mut seen = HashSet::new();
    for record in reader.records() {
        let record = record
            .map_err(|error| bad(error.position().map_or(0, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let bit = accelerator
            .parse_logical(&record[0], &record[1], &record[2], &record[3])
            .map_err(|error| RecordError::Address {
                file: file.to_owned(),
                line,
                error: Box::new(error),
            })?;
        let stored = accelerator.named(bit);
        let physical = [
            stored.memory.clone(),
            stored.word.to_string(),
            stored.word_bit.to_string(),
        ];
        let place = |[memory, word, bit]: [&str; 3]| format!("{memory} word {word} bit {bit}");
        if physical
            .iter()
            .map(String::as_str)
            .ne([&record[4], &record[5], &record[6]])
        {
            return Err(RecordError::Contradiction {
                file: file.to_owned(),
                line,
                found: place([&physical[0], &physical[1], &physical[2]]),
                listed: place([&record[4], &record[5], &record[6]]),
            });
        }
        if !seen.insert(bit) {
            return Err(RecordError::Duplicate {
                file: file.to_owned(),
                line,
            });
        }
        let count = |at: usize| {
            record[at]
                .parse::<u64>()
                .map_err(|_| bad(line, format!("`{}` is no count", &record[at])))
        };
        let real = |at: usize| {
            record[at]
                .parse::<f64>()
                .map_err(|_| bad(line, format!("`{}` is no number", &record[at])))
        };
        records.push(BitRecord {
            bit,
            changed: count(7)?,
            newly_wrong: count(8)?,
            loss: real(9)?,
            delta_loss: real(10)?,
        });
    }
    Ok(records)
}
