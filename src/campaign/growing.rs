//! A file of records that grows, can be resumed, and gets its name when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::RecordError;

/// Name of a finished file.
pub(super) const FINISHED: &str = "records.csv";
/// Name of a growing file.
pub(super) const PARTIAL: &str = "records.partial";
/// Name of the file that says which plan the growing file belongs to.
const PLAN: &str = "records.plan";

/// A growing file.
pub(super) struct Growing {
    folder: PathBuf,
    file: BufWriter<File>,
}

/// What rows are written through.
pub(super) type Rows<'a> = csv::Writer<&'a mut BufWriter<File>>;

fn unwritable(file: &Path) -> impl Fn(io::Error) -> RecordError {
    let file = file.to_owned();
    move |error| RecordError::Unwritable {
        file: file.clone(),
        reason: error.to_string(),
    }
}

impl Growing {
    /// What an unfinished run of the same plan left in a folder: its whole lines, the header first. None
    /// where there is nothing, and then the folder belongs to this plan from now on.
    pub fn left(folder: &Path, plan: &str) -> Result<Option<String>, RecordError> {
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
        let (partial, plan_file) = (folder.join(PARTIAL), folder.join(PLAN));
        if !partial.exists() {
            fs::write(&plan_file, plan).map_err(unwritable(&plan_file))?;
            return Ok(None);
        }
        let known = fs::read_to_string(&plan_file).unwrap_or_default();
        if known.trim() != plan {
            return Err(RecordError::OtherPlan {
                folder: folder.to_owned(),
            });
        }
        let unreadable = |reason: String| RecordError::Unreadable {
            file: partial.clone(),
            reason,
        };
        let mut bytes = fs::read(&partial).map_err(|error| unreadable(error.to_string()))?;
        // A line cut short by the interruption is left out.
        bytes.truncate(
            bytes
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |end| end + 1),
        );
        let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(text))
    }

    /// Begins the file with a header and the rows that are kept of an earlier run. They replace that run's
    /// file only when all of them are written.
    pub fn restart(
        folder: &Path,
        header: &str,
        kept: impl FnOnce(&mut Rows<'_>) -> io::Result<()>,
    ) -> Result<Self, RecordError> {
        let partial = folder.join(PARTIAL);
        let error = unwritable(&partial);
        let restart = folder.join("records.restart");
        let mut growing = Self {
            folder: folder.to_owned(),
            file: BufWriter::new(File::create(&restart).map_err(&error)?),
        };
        writeln!(growing.file, "{header}").map_err(&error)?;
        growing.append(kept).map_err(&error)?;
        fs::rename(&restart, &partial).map_err(&error)?;
        let reopened = OpenOptions::new().append(true).open(&partial).map_err(&error)?;
        growing.file = BufWriter::new(reopened);
        Ok(growing)
    }

    /// Appends rows and makes sure that they are on disk.
    pub fn append(&mut self, rows: impl FnOnce(&mut Rows<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new()
            .has_headers(false)
            .from_writer(&mut self.file);
        rows(&mut writer)?;
        writer.flush()?;
        drop(writer);
        self.file.flush()
    }

    /// Gives the complete file its name.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let path = self.folder.join(FINISHED);
        fs::rename(self.folder.join(PARTIAL), &path)?;
        fs::remove_file(self.folder.join(PLAN))?;
        Ok(path)
    }
}
