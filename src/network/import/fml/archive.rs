//! The container: a gzip-compressed tar whose members are only ever held in memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::ImportError;
use super::super::limits::{
    JSON_VALUE_EFFORT, MAX_ARCHIVE_EFFORT, MAX_JSON_BYTES, MAX_NODES, MAX_UNPACKED_BYTES,
};

/// The members that an importer looks up by name.
pub(super) struct Archive<'a> {
    /// The file, for diagnostics.
    pub(super) file: &'a Path,
    members: HashMap<String, Vec<u8>>,
    /// Effort so far.
    effort: Cell<usize>,
}

impl<'a> Archive<'a> {
    /// Unpacks the JSON and array members into memory.
    pub(super) fn unpack(file: &'a Path, bytes: &[u8]) -> Result<Self, ImportError> {
        let stream = flate2::read::GzDecoder::new(bytes).take(MAX_UNPACKED_BYTES + 1);
        let mut tar = tar::Archive::new(stream);
        let mut members = HashMap::new();
        let mut left = MAX_UNPACKED_BYTES;
        let entries = tar.entries().map_err(|error| damaged(file, &error))?;
        for (count, entry) in entries.enumerate() {
            let mut entry = entry.map_err(|error| damaged(file, &error))?;
            if count >= MAX_NODES {
                return Err(too_large(file, format!("has more than {MAX_NODES} members")));
            }
            let Some(name) = member_name(file, &entry.path_bytes())? else {
                continue;
            };
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                continue;
            }
            if !kind.is_file() {
                return Err(hostile(file, &name, "is a link or a device, not a plain file"));
            }
            if !(name.ends_with(".json") || name.ends_with(".npy")) {
                continue;
            }
            let size = entry.size();
            if size > left {
                return Err(too_large(
                    file,
                    format!("unpacks to more than {} MiB", MAX_UNPACKED_BYTES >> 20),
                ));
            }
            left -= size;
            let mut content = Vec::new();
            entry
                .read_to_end(&mut content)
                .map_err(|error| damaged(file, &error))?;
            if content.len() as u64 != size {
                return Err(hostile(file, &name, "is shorter than its header says"));
            }
            if members.insert(name.clone(), content).is_some() {
                return Err(hostile(file, &name, "occurs twice"));
            }
        }
        // The checksum of the compressed stream lies behind the last member.
        std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(|error| damaged(file, &error))?;
        Ok(Self {
            file,
            members,
            effort: Cell::new(0),
        })
    }

    /// Counts effort before it is spent, and refuses a file that asks for too much of it.
    pub(super) fn charge(&self, place: &str, effort: usize) -> Result<(), ImportError> {
        let total = self.effort.get().saturating_add(effort);
        self.effort.set(total);
        if total <= MAX_ARCHIVE_EFFORT {
            return Ok(());
        }
        Err(ImportError::unsupported(
            self.file,
            place,
            format!("takes the work on the file beyond that of {MAX_ARCHIVE_EFFORT} elements"),
        )
        .expected("a network that fits on a chip")
        .help("check that this is the right file, and set smaller tables in the HLSConfig"))
    }

    /// The effort that may still be spent.
    pub(super) fn effort_left(&self) -> usize {
        MAX_ARCHIVE_EFFORT.saturating_sub(self.effort.get())
    }

    /// The bytes of a member.
    pub(super) fn member(&self, name: &str) -> Option<&[u8]> {
        self.members.get(name).map(Vec::as_slice)
    }

    /// A member that is a JSON object; the order of its keys is kept.
    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, ImportError> {
        let place = format!("member `{name}`");
        let wrong = |problem: String| {
            ImportError::structure(self.file, place.clone(), problem)
                .expected("a JSON object as hls4ml 1.3 writes it")
                .help("write the file again with hls4ml.utils.serialization.serialize_model")
        };
        let bytes = self
            .member(name)
            .ok_or_else(|| wrong("is missing from the archive".to_owned()))?;
        if bytes.len() > MAX_JSON_BYTES {
            return Err(wrong(format!("has {} bytes", bytes.len()))
                .expected(format!("at most {MAX_JSON_BYTES} bytes of JSON")));
        }
        self.charge(&place, values_at_most(bytes).saturating_mul(JSON_VALUE_EFFORT))?;
        match serde_json::from_slice(&without_non_numbers(bytes)) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(wrong("is not an object".to_owned())),
            Err(error) => Err(wrong(format!("cannot be decoded: {error}"))),
        }
    }
}

/// A bound of the number of values in a JSON text: each but the first stands behind a bracket or a comma.
fn values_at_most(text: &[u8]) -> usize {
    let (mut values, mut at, mut in_string) = (1, 0, false);
    while at < text.len() {
        match text[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'[' | b'{' | b',' if !in_string => values += 1,
            _ => {}
        }
        at += 1;
    }
    values
}

/// JSON with `null` for the `NaN` and infinities that Python writes as bare words (`model_bf` of a configuration
/// without a BramFactor is one).
fn without_non_numbers(text: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut replaced = Vec::new();
    let (mut copied, mut at, mut in_string) = (0, 0, false);
    while at < text.len() {
        match text[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            _ if in_string => {}
            _ => {
                if let Some(word) = WORDS.into_iter().find(|word| text[at..].starts_with(word)) {
                    replaced.extend_from_slice(&text[copied..at]);
                    replaced.extend_from_slice(b"null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    replaced.extend_from_slice(&text[copied..]);
    Cow::Owned(replaced)
}

/// The name under which a member is looked up; `None` for the root entry.
fn member_name(file: &Path, raw: &[u8]) -> Result<Option<String>, ImportError> {
    let name = String::from_utf8_lossy(raw);
    let name = name.strip_prefix("./").unwrap_or(&name).trim_end_matches('/');
    if name.is_empty() || name == "." {
        return Ok(None);
    }
    if name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(hostile(file, name, "has a path that leaves the archive"));
    }
    Ok(Some(name.to_owned()))
}

fn damaged(file: &Path, error: &std::io::Error) -> ImportError {
    ImportError::structure(file, "the archive", format!("cannot be unpacked: {error}"))
        .expected("a complete tar.gz as hls4ml.utils.serialization.serialize_model writes it")
        .help("copy the file again, or write it again with serialize_model")
}

fn too_large(file: &Path, problem: String) -> ImportError {
    ImportError::structure(file, "the archive", problem)
        .expected("a network that fits on a chip")
        .help("check that this is the right file")
}

fn hostile(file: &Path, name: &str, problem: &str) -> ImportError {
    let shown: String = name.chars().take(100).collect();
    ImportError::structure(file, format!("member `{shown}`"), problem.to_owned())
        .expected("plain files with simple names, each once")
        .help("write the file again with hls4ml.utils.serialization.serialize_model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_of_python_are_null_outside_strings() {
        let text = br#"{"a": Infinity, "b \" NaN": [-Infinity,NaN, "NaN", -1], "Infinity": "\\"}"#;
        let value: Value = serde_json::from_slice(&without_non_numbers(text)).expect("JSON");
        let expected = serde_json::json!({"a": null, "b \" NaN": [null, null, "NaN", -1], "Infinity": "\\"});
        assert_eq!(value, expected);
        assert!(matches!(without_non_numbers(b"{\"NaN\": 1}"), Cow::Borrowed(_)));
        for cut in 0..text.len() {
            let _ = without_non_numbers(&text[..cut]);
        }
    }
}
