//! Where the files of a model are.

use std::io;
use std::path::{Path, PathBuf};

use super::embedded::{self, EMBEDDED_NAME};
use crate::data::{self, Array, DataError, Source};

/// Where relative names lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// A folder; an empty path is the working directory.
    Folder(PathBuf),
    /// The files that are built in.
    Embedded,
}

impl Files {
    /// The path of a name, for people.
    #[must_use]
    pub fn path(&self, name: &Path) -> PathBuf {
        match self {
            Files::Folder(folder) => folder.join(name),
            Files::Embedded => Path::new("models").join(EMBEDDED_NAME).join(name),
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// The system's, or that there is no such embedded file.
    pub fn read(&self, name: &Path) -> io::Result<Vec<u8>> {
        match self {
            Files::Folder(folder) => data::read_file(&folder.join(name)),
            Files::Embedded => embedded::FILES
                .iter()
                .find(|(known, _)| Path::new(known) == name)
                .map(|(known, bytes)| {
                    data::record_embedded(&format!("{EMBEDDED_NAME}/{known}"), bytes);
                    bytes.to_vec()
                })
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such embedded file")),
        }
    }

    /// An array.
    pub(super) fn array(&self, source: &Source) -> Result<Array, DataError> {
        let path = self.path(&source.file);
        let bytes = self.read(&source.file).map_err(|error| DataError::Unreadable {
            file: path.clone(),
            reason: error.to_string(),
        })?;
        data::read_bytes(
            &Source {
                file: path,
                key: source.key.clone(),
            },
            bytes,
        )
    }
}
