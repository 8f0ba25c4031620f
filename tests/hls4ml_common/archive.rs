//! `.fml` archives taken apart, changed and put together.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

/// A `.fml` file with its layers changed: `change` gets the object of `model_arch.json`.
pub fn with_layers(path: &Path, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    with_member(path, "model_arch.json", change)
}

/// A `.fml` file with one JSON member changed.
pub fn with_member(path: &Path, member: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a golden file");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut changed = tar::Builder::new(Vec::new());
    let mut change = Some(change);
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if name.trim_start_matches("./") == member {
            let mut value: Value = serde_json::from_slice(&content).expect("JSON");
            change.take().expect("one member of that name")(&mut value);
            content = serde_json::to_vec(&value).expect("JSON");
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        changed
            .append_data(
                &mut header,
                name.trim_start_matches(['.', '/']),
                content.as_slice(),
            )
            .expect("a member");
    }
    assert!(change.is_none(), "{member} is in the archive");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&changed.into_inner().expect("a tar"))
        .expect("compression");
    gzip.finish().expect("compression")
}
