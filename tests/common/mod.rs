//! What the integration tests share.

/// The shared golden data, or `None` where it is absent.
pub fn shared_data() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        std::path::PathBuf::from,
    );
    if path.is_dir() {
        Some(path)
    } else {
        eprintln!("skipped: no shared data at {}", path.display());
        None
    }
}
