//! The canonical form of a protection map, to be read back.
//!
//! Version 1 has one scheme for all bits, behind the hardware's name. Version 2, which is written where
//! bits are under several schemes, has one in every entry instead.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::form::{KIND, MIXED_VERSION, VERSION};
use super::{ExportFile, Exporter, MapError, MapSyntaxError, MappedMemory, ProtectedBit, ProtectionMap};
use crate::data::{Excerpt, MOST_OF_PROBLEM, shortened};
use crate::scheme::Scheme;

/// Canonical JSON: one line per memory and per protected bit.
pub struct JsonMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    version: u64,
    network: String,
    hardware: String,
    scheme: Option<Scheme>,
    memories: Vec<MappedMemory>,
    protected: Vec<Entry<String>>,
}

/// A protected bit.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<S> {
    layer: S,
    tensor: S,
    element: u64,
    bit: u32,
    memory: S,
    word: u64,
    word_bit: u32,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<Scheme>,
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
        let (version, scheme) = match self.scheme() {
            Some(scheme) => (VERSION, format!("\n  \"scheme\": {},", json(&scheme))),
            None => (MIXED_VERSION, String::new()),
        };
        let entries: Vec<Entry<&str>> = self
            .protected()
            .iter()
            .map(|bit| Entry {
                layer: bit.layer.as_str(),
                tensor: bit.tensor.as_str(),
                element: bit.element,
                bit: bit.bit,
                memory: bit.memory.as_str(),
                word: bit.word,
                word_bit: bit.word_bit,
                score: bit.score,
                scheme: self.scheme().is_none().then_some(bit.scheme),
            })
            .collect();
        format!(
            "{{\n  \"kind\": {},\n  \"version\": {version},\n  \"network\": {},\n  \"hardware\": {},{scheme}\n  \"memories\": {},\n  \"protected\": {}\n}}\n",
            json(KIND),
            json(self.network()),
            json(self.hardware()),
            lines(self.memories()),
            lines(&entries),
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
        let text = crate::data::read_text(file).map_err(|error| unreadable(error.to_string()))?;
        Self::from_json(&file.display().to_string(), &text)
    }

    /// Reads a map from JSON text; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`ProtectionMap::read`].
    pub fn from_json(name: &str, text: &str) -> Result<Self, MapError> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let offset = byte_offset(text, error.line(), error.column());
            let excerpt = Excerpt::new(name, text, offset..offset);
            let place = format!(" at line {} column {}", error.line(), error.column());
            MapError::Syntax(Box::new(MapSyntaxError {
                name: name.to_owned(),
                line: error.line(),
                column: error.column(),
                problem: shortened(&error.to_string().replace(&place, ""), MOST_OF_PROBLEM).into_owned(),
                span: excerpt.place(),
                excerpt,
            }))
        })?;
        if document.kind != KIND || ![VERSION, MIXED_VERSION].contains(&document.version) {
            return Err(MapError::Kind {
                name: name.to_owned(),
                found: document.kind,
                version: document.version,
            });
        }
        let mut protected = Vec::with_capacity(document.protected.len());
        for (position, entry) in document.protected.into_iter().enumerate() {
            let scheme = entry.scheme.or(document.scheme);
            protected.push(ProtectedBit {
                layer: entry.layer,
                tensor: entry.tensor,
                element: entry.element,
                bit: entry.bit,
                memory: entry.memory,
                word: entry.word,
                word_bit: entry.word_bit,
                score: entry.score,
                scheme: scheme.ok_or_else(|| MapError::NoScheme {
                    name: name.to_owned(),
                    position,
                })?,
            });
        }
        Self::from_parts(
            name,
            document.network,
            document.hardware,
            document.scheme,
            document.memories,
            protected,
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
