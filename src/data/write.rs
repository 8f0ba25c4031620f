//! Writing files that appear only when complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{NpzWriter as Archive, WriteNpzError};

/// Writes a file through `fill` under a temporary name beside it and renames it when complete;
/// missing parent folders are made.
///
/// # Errors
/// The system's error; the file of that name is then as it was before.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    let partial = partial_name(path);
    let result = (|| {
        let mut writer = BufWriter::new(File::create(&partial)?);
        fill(&mut writer)?;
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        fs::rename(&partial, path)
    })();
    if result.is_err() {
        // The error that is reported is the first one.
        let _ = fs::remove_file(&partial);
    }
    result
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
