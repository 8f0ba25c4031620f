//! A protection map as a table.

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
        let mut text = String::from("layer,tensor,element,bit,memory,word,word_bit,score\n");
        for bit in map.protected() {
            text.push_str(&format!(
                "{},{},{},{},{},{},{},{}\n",
                field(&bit.layer),
                field(&bit.tensor),
                bit.element,
                bit.bit,
                field(&bit.memory),
                bit.word,
                bit.word_bit,
                bit.score
            ));
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
