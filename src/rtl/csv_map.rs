//! A protection map as a table.

use std::collections::HashMap;

use super::{ExportFile, Exporter, ProtectionMap};

/// CSV with one row per protected bit.
pub struct CsvMap;

impl Exporter for CsvMap {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "table with both addresses and the score of every protected bit"
    }

    fn files(&self, map: &ProtectionMap) -> Vec<ExportFile> {
        // The scheme has a column only where it is not the same for all bits.
        let is_mixed = map.scheme().is_none();
        let mut text = String::from("layer,tensor,element,bit,memory,word,word_bit,score");
        text.push_str(if is_mixed { ",scheme" } else { "" });
        // Names of the flow's project have one only where the network file states some.
        let names: HashMap<&str, &str> = map
            .memories()
            .iter()
            .filter_map(|memory| Some((memory.memory.as_str(), memory.project_name.as_deref()?)))
            .collect();
        text.push_str(if names.is_empty() { "\n" } else { ",project_name\n" });
        for bit in map.protected() {
            text.push_str(&format!(
                "{},{},{},{},{},{},{},{}",
                field(&bit.layer),
                field(&bit.tensor),
                bit.element,
                bit.bit,
                field(&bit.memory),
                bit.word,
                bit.word_bit,
                bit.score
            ));
            if is_mixed {
                text.push_str(&format!(",{}", bit.scheme));
            }
            if !names.is_empty() {
                let name = names.get(bit.memory.as_str()).copied().unwrap_or_default();
                text.push_str(&format!(",{}", field(name)));
            }
            text.push('\n');
        }
        vec![ExportFile {
            path: "protection.csv".into(),
            text,
        }]
    }
}

/// A field in quotes where it needs them (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
