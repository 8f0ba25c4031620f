//! Records of an exhaustive campaign on disk: growing, resumable, complete only under their name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::BitRecord;
use crate::accelerator::{Accelerator, AddressError, StoredBit};

/// Columns of `records.csv`.
const HEADER: &str = "layer,tensor,element,bit,memory,word,word_bit,changed,newly_wrong,loss,delta_loss";

/// Name of a finished file.
const FINISHED: &str = "records.csv";
/// Name of a growing file.
const PARTIAL: &str = "records.partial";
/// Name of the file that says which plan the growing file belongs to.
const PLAN: &str = "records.plan";

/// Why records could not be read or written.
#[derive(Debug, Error, Diagnostic)]
pub enum RecordError {
    /// The system refused.
    #[error("{}: {error}", file.display())]
    #[diagnostic(
        code(radstream::records::io),
        help("check the folder, its permissions and the free space")
    )]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's word.
        #[source]
        error: io::Error,
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
    /// A line names a bit that this accelerator does not store.
    #[error("{}: line {line}", file.display())]
    #[diagnostic(code(radstream::records::address))]
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
    folder: PathBuf,
    file: BufWriter<File>,
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
        let io_error = |file: &Path| {
            let file = file.to_owned();
            move |error| RecordError::Io { file, error }
        };
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        let partial = folder.join(PARTIAL);
        let plan_file = folder.join(PLAN);
        let mut finished = Vec::new();
        if partial.exists() {
            let known = fs::read_to_string(&plan_file).unwrap_or_default();
            if known.trim() != plan {
                return Err(RecordError::OtherPlan {
                    folder: folder.to_owned(),
                });
            }
            let text = fs::read_to_string(&partial).map_err(io_error(&partial))?;
            // A line cut short by the interruption is left out.
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            for (record, &bit) in parse(&partial, whole, accelerator)?.into_iter().zip(bits) {
                if record.bit != bit {
                    return Err(RecordError::OtherPlan {
                        folder: folder.to_owned(),
                    });
                }
                finished.push(record);
            }
        } else {
            fs::write(&plan_file, plan).map_err(io_error(&plan_file))?;
        }
        let mut file =
            BufWriter::new(File::create(folder.join("records.restart")).map_err(io_error(&partial))?);
        writeln!(file, "{HEADER}").map_err(io_error(&partial))?;
        let mut records = Self {
            folder: folder.to_owned(),
            file,
            finished: Vec::new(),
        };
        records
            .append(accelerator, &finished)
            .map_err(io_error(&partial))?;
        records.finished = finished;
        // The rewritten beginning replaces the old one only when it is whole.
        fs::rename(folder.join("records.restart"), &partial).map_err(io_error(&partial))?;
        let reopened = OpenOptions::new()
            .append(true)
            .open(&partial)
            .map_err(io_error(&partial))?;
        records.file = BufWriter::new(reopened);
        Ok(records)
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
        let mut writer = csv::WriterBuilder::new()
            .has_headers(false)
            .from_writer(&mut self.file);
        for record in records {
            let name = accelerator.named(record.bit);
            writer.serialize((
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
        writer.flush()?;
        drop(writer);
        self.file.flush()
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let path = self.folder.join(FINISHED);
        fs::rename(self.folder.join(PARTIAL), &path)?;
        fs::remove_file(self.folder.join(PLAN))?;
        Ok(path)
    }
}

/// Reads the records of a finished (or partial) file.
///
/// # Errors
/// [`RecordError`] with the line.
pub fn read_records(file: &Path, accelerator: &Accelerator) -> Result<Vec<BitRecord>, RecordError> {
    let text = fs::read_to_string(file).map_err(|error| RecordError::Io {
        file: file.to_owned(),
        error,
    })?;
    parse(file, &text, accelerator)
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
    for record in reader.records() {
        let record = record
            .map_err(|error| bad(error.position().map_or(0, csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let bit = accelerator
            .parse_logical(&record[0], &record[1], &record[2], &record[3])
            .map_err(|error| RecordError::Address {
                file: file.to_owned(),
                line,
                error,
            })?;
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
