//! Writing files that appear only when complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{NpzWriter as Archive, WriteNpzError};

/// A file under construction: it lies under a temporary name beside its own until it is finished, and
/// vanishes where it never is.
pub struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl PartialFile {
    /// Begins a file; missing parent folders are made.
    ///
    /// # Errors
    /// The system's error.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        let partial = partial_name(path);
        let writer = Some(BufWriter::new(File::create(&partial)?));
        Ok(Self {
            path: path.to_owned(),
            partial,
            writer,
        })
    }

    fn writer(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.writer
            .as_mut()
            .ok_or_else(|| io::Error::other("the file is finished"))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The system's error; the file of that name is then as it was before.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(mut writer) = self.writer.take() {
            let written = writer.flush().and_then(|()| writer.get_ref().sync_all());
            drop(writer);
            let done = written.and_then(|()| fs::rename(&self.partial, &self.path));
            if done.is_err() {
                self.remove();
            }
            return done;
        }
        Ok(())
    }

    fn remove(&self) {
        // The error that is reported is the one before.
        let _ = fs::remove_file(&self.partial);
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.remove();
        }
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

/// Writes a file through `fill` under a temporary name beside it and renames it when complete;
/// missing parent folders are made.
///
/// # Errors
/// The system's error; the file of that name is then as it was before.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut PartialFile) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = PartialFile::create(path)?;
    fill(&mut file)?;
    file.finish()
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// An `.npz` archive under construction in memory.
pub struct NpzWriter {
    archive: Archive<io::Cursor<Vec<u8>>>,
}

impl Default for NpzWriter {
    fn default() -> Self {
        Self {
            archive: Archive::new_compressed(io::Cursor::new(Vec::new())),
        }
    }
}

impl NpzWriter {
    /// Adds one array of 64-bit integers.
    ///
    /// # Errors
    /// Where the shape does not fit the number of values, or the archive cannot be written.
    pub fn add(&mut self, name: &str, shape: &[usize], values: Vec<i64>) -> io::Result<()> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).map_err(io::Error::other)?;
        self.archive.add_array(name, &array).map_err(io::Error::other)
    }

    /// Adds one array of reals.
    ///
    /// # Errors
    /// As [`NpzWriter::add`].
    pub fn add_reals(&mut self, name: &str, shape: &[usize], values: Vec<f64>) -> io::Result<()> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).map_err(io::Error::other)?;
        self.archive.add_array(name, &array).map_err(io::Error::other)
    }

    /// Closes the archive and writes it under its name.
    ///
    /// # Errors
    /// The archive's or the system's error.
    pub fn finish(self, path: &Path) -> io::Result<()> {
        let bytes = self
            .archive
            .finish()
            .map_err(|error: WriteNpzError| io::Error::other(error))?
            .into_inner();
        write_atomically(path, |writer| writer.write_all(&bytes))
    }
}
