//! Records on disk: they grow, can be resumed, and get their name when complete.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::Kind;
use crate::data::shortened;

/// Why records could not be read or written.
#[derive(Debug, Error, Diagnostic)]
pub enum RecordError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::unreadable),
        help("expected the records of a campaign; check the path and its permissions")
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
        help("expected a folder that can be written to; check its permissions and the free space")
    )]
    Unwritable {
        /// The file or folder.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// A line cannot be read.
    #[error("{}: line {line}: {reason}", file.display())]
    #[diagnostic(
        code(radstream::records::line),
        help(
            "expected the columns {columns}, and the lines of one campaign; run the campaign again in a new folder"
        )
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
        /// The columns.
        columns: String,
    },
}

impl RecordError {
    /// Whether the system failed, and not what was asked for.
    #[must_use]
    pub fn is_work(&self) -> bool {
        matches!(self, Self::Unwritable { .. })
    }
}

fn unwritable(file: &Path) -> impl Fn(io::Error) -> RecordError + use<> {
    let file = file.to_owned();
    move |error| RecordError::Unwritable {
        file: file.clone(),
        reason: error.to_string(),
    }
}

/// Records that grow in `<stem>.partial` and are called `<stem>.csv` when complete.
pub(super) struct RecordFile {
    partial: PathBuf,
    finished: PathBuf,
    /// None where an earlier run completed the records.
    file: Option<BufWriter<File>>,
}

impl RecordFile {
    /// Opens the records of a campaign. With `resume`, the whole trials at the beginning of what is there are
    /// handed to `each`; otherwise, and where there is nothing, the file begins anew.
    pub fn open<K: Kind>(
        kind: &K,
        folder: &Path,
        stem: &str,
        range: Range<u64>,
        resume: bool,
        each: impl FnMut(u64, K::Trial),
    ) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
        let partial = folder.join(format!("{stem}.partial"));
        let finished = folder.join(format!("{stem}.csv"));
        if resume && finished.exists() {
            read(kind, &finished, range, false, each)?;
            return Ok(Self {
                partial,
                finished,
                file: None,
            });
        }
        if resume && partial.exists() {
            let whole = read(kind, &partial, range, true, each)?;
            if whole > 0 {
                let error = unwritable(&partial);
                let mut file = OpenOptions::new().write(true).open(&partial).map_err(&error)?;
                // A trial cut short by the interruption is computed again.
                file.set_len(whole).map_err(&error)?;
                file.seek(SeekFrom::End(0)).map_err(&error)?;
                return Ok(Self {
                    partial,
                    finished,
                    file: Some(BufWriter::new(file)),
                });
            }
        }
        let error = unwritable(&partial);
        let mut file = BufWriter::new(File::create(&partial).map_err(&error)?);
        writeln!(file, "{}", header_of(kind))
            .and_then(|()| file.flush())
            .map_err(&error)?;
        Ok(Self {
            partial,
            finished,
            file: Some(file),
        })
    }

    /// Whether an earlier run completed the records.
    pub fn is_complete(&self) -> bool {
        self.file.is_none()
    }

    /// What is wrong with complete records that have only so many trials.
    pub fn too_short<K: Kind>(&self, kind: &K, trials: u64, range: Range<u64>) -> RecordError {
        RecordError::Line {
            file: self.finished.clone(),
            line: 2 + trials * kind.rows_per_trial() as u64,
            reason: format!("ends after {trials} of {} trials", range.end - range.start),
            columns: header_of(kind),
        }
    }

    /// Appends rows and hands them to the system.
    pub fn append(&mut self, rows: impl Iterator<Item = impl serde::Serialize>) -> Result<(), RecordError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let write = || -> io::Result<()> {
            let mut writer = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(&mut *file);
            for row in rows {
                writer.serialize(row)?;
            }
            writer.flush()
        };
        write()
            .and_then(|()| file.flush())
            .map_err(unwritable(&self.partial))
    }

    /// Gives the complete file its name.
    pub fn finish(mut self) -> Result<(), RecordError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.partial, &self.finished))
            .map_err(unwritable(&self.finished))
    }
}

/// All columns of a kind.
fn header_of<K: Kind>(kind: &K) -> String {
    let mut header = kind.columns().to_owned();
    for column in kind.more_columns() {
        header.push(',');
        header.push_str(&column);
    }
    header
}

/// Reads trial after trial and returns where the last whole one ends, in bytes; 0 where not even the header
/// is whole. A tail that is no whole trial is an error unless the file is `partial`.
fn read<K: Kind>(
    kind: &K,
    path: &Path,
    range: Range<u64>,
    partial: bool,
    mut each: impl FnMut(u64, K::Trial),
) -> Result<u64, RecordError> {
    let bad = |line: u64, reason: String| RecordError::Line {
        file: path.to_owned(),
        line,
        reason,
        columns: header_of(kind),
    };
    let unreadable = |error: &dyn fmt::Display| RecordError::Unreadable {
        file: path.to_owned(),
        reason: error.to_string(),
    };
    let file = crate::data::open_file(path).map_err(|error| unreadable(&error))?;
    let whole_lines = end_of_last_line(&file).map_err(|error| unreadable(&error))?;
    let mut reader = csv::Reader::from_reader(BufReader::new(io::Read::take(file, whole_lines)));
    let header = reader.headers().map_err(|error| bad(1, error.to_string()))?;
    if header.iter().ne(header_of(kind).split(',')) {
        if partial && whole_lines == 0 {
            return Ok(0);
        }
        let found: Vec<&str> = header.iter().collect();
        return Err(bad(1, format!("has the columns {}", found.join(","))));
    }
    let per_trial = kind.rows_per_trial().max(1);
    let mut end = reader.position().byte();
    let mut rows = Vec::with_capacity(per_trial);
    let mut number = range.start;
    let mut cells = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let more = reader.read_record(&mut cells);
        if !more.map_err(|error| bad(line, error.to_string()))? {
            break;
        }
        if number >= range.end {
            return Err(bad(line, "is beyond the last trial".to_owned()));
        }
        let row = cells.deserialize(None);
        rows.push(row.map_err(|error| bad(line, cell_problem(&error, &header_of(kind), &cells)))?);
        if rows.len() == per_trial {
            let trial = kind
                .recall(number, std::mem::take(&mut rows))
                .map_err(|reason| bad(line, reason))?;
            each(number, trial);
            number += 1;
            end = reader.position().byte();
        }
    }
    if !partial && !rows.is_empty() {
        let line = reader.position().line();
        return Err(bad(line, "ends within a trial".to_owned()));
    }
    Ok(end)
}

/// What is wrong with a row, the cell quoted where it is one.
pub(super) fn cell_problem(error: &csv::Error, columns: &str, cells: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else {
        return error.to_string();
    };
    let cell = err.field().and_then(|at| {
        let at = usize::try_from(at).ok()?;
        Some((columns.split(',').nth(at)?, cells.get(at)?))
    });
    match cell {
        Some((column, cell)) => format!("{column} = `{}`: {}", shortened(cell, 40), err.kind()),
        None => error.to_string(),
    }
}

/// Where the last line that ends with its line break ends, in bytes.
fn end_of_last_line(file: &File) -> io::Result<u64> {
    use io::Read;
    let mut file: &File = file;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut buffer = vec![0; 1 << 16];
    while end > 0 {
        let begin = end.saturating_sub(buffer.len() as u64);
        let part = &mut buffer[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(end)
}
