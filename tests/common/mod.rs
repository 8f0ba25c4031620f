//! What several test files need.

use std::path::PathBuf;

/// The golden data, or `None` (with a word about it) on a machine without them.
pub fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if path.is_dir() {
        Some(path)
    } else {
        eprintln!("skipped: no shared data at {}", path.display());
        None
    }
}
