//! The canonical form of a protection map, to be read back.

use std::path::Path;
use std::sync::Arc;

use miette::NamedSource;
use serde::{Deserialize, Serialize};

use super::{ExportFile, Exporter, MapError, MapSyntaxError, MappedMemory, ProtectedBit, ProtectionMap};
use crate::scheme::Scheme;

pub(super) const KIND: &str = "radstream protection map";
pub(super) const VERSION: u64 = 1;

/// Canonical JSON: one line per memory and per protected bit.
pub struct JsonMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    version: u64,
    network: String,
    hardware: String,
    scheme: Scheme,
    memories: Vec<MappedMemory>,
    protected: Vec<ProtectedBit>,
}

impl Exporter for JsonMap {
    fn name(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "canonical map with both addresses and the score of every protected bit"
    }

    fn files(&self, map: &ProtectionMap) -> Vec<ExportFile> {
        vec![ExportFile {
            path: "protection.json".into(),
            text: map.to_json(),
        }]
    }
}

/// Strings, numbers and structures of them always have a JSON form.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn lines<T: Serialize>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> = items.iter().map(|item| format!("    {}", json(item))).collect();
    format!("[\n{}\n  ]", lines.join(",\n"))
}

impl ProtectionMap {
    /// The canonical JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!(
            "{{\n  \"kind\": {},\n  \"version\": {VERSION},\n  \"network\": {},\n  \"hardware\": {},\n  \"scheme\": {},\n  \"memories\": {},\n  \"protected\": {}\n}}\n",
            json(KIND),
            json(self.network()),
            json(self.hardware()),
            json(&self.scheme()),
            lines(self.memories()),
            lines(self.protected()),
        )
    }

    /// Reads a map from a JSON file.
    ///
    /// # Errors
    /// [`MapError`] where the file cannot be read or is not a map.
    pub fn read(file: &Path) -> Result<Self, MapError> {
        let unreadable = |reason: String| MapError::Unreadable {
            file: file.to_owned(),
            reason,
        };
        let bytes = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        Self::from_json(&file.display().to_string(), &text)
    }

    /// Reads a map from JSON text; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`ProtectionMap::read`].
    pub fn from_json(name: &str, text: &str) -> Result<Self, MapError> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let offset = byte_offset(text, error.line(), error.column());
            let place = format!(" at line {} column {}", error.line(), error.column());
            MapError::Syntax(Box::new(MapSyntaxError {
                name: name.to_owned(),
                line: error.line(),
                column: error.column(),
                problem: error.to_string().replace(&place, ""),
                source_code: NamedSource::new(name, Arc::from(text)),
                span: (offset, 0).into(),
            }))
        })?;
        if document.kind != KIND || document.version != VERSION {
            return Err(MapError::Kind {
                name: name.to_owned(),
                found: document.kind,
                version: document.version,
            });
        }
        Self::from_parts(
            name,
            document.network,
            document.hardware,
            document.scheme,
            document.memories,
            document.protected,
        )
    }
}

/// Byte offset of a line and a column in bytes, both from 1; column 0 is the end of the line before.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut offset = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
