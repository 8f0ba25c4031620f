//! Bounds that keep a hostile file from taking the machine's memory.

use std::io::Read;
use std::path::Path;

use super::ImportError;

/// Most elements of one tensor or constant.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Most nodes or layers of one network.
pub const MAX_NODES: usize = 100_000;

/// Reads a whole file of bounded size.
///
/// # Errors
/// [`ImportError`] where it cannot be read or is larger than [`MAX_FILE_BYTES`].
pub fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    let unreadable = |error: std::io::Error| {
        ImportError::structure(path, "the file", format!("cannot be read: {error}"))
            .expected("a readable network file")
            .help("check the path and its permissions")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(
            ImportError::structure(path, "the file", "is larger than 1 GiB".to_owned())
                .expected("a quantized network")
                .help("networks for on-chip memories are far smaller; check that this is the right file"),
        );
    }
    Ok(bytes)
}

/// Most bytes that one archive may unpack to.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 29;

/// Most entries of one look-up table.
pub const MAX_TABLE_ENTRIES: usize = 1 << 20;
