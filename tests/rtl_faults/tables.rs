//! Tables of strikes.

use std::path::PathBuf;

use crate::common::shared_data;

/// One strike on the RTL and what came out.
pub struct Row {
    pub case: String,
    pub unit: String,
    /// Path of the register within its unit.
    pub register: String,
    pub bit: u32,
    pub edge: u64,
    /// Physical address, where the strike hits a memory of weights.
    pub memory: Option<(String, u64, u32)>,
    /// Logical address, where it hits a memory of thresholds.
    pub stored: Option<(String, String, u64, u32)>,
    /// Whether the flip is there from the start.
    pub persistent: bool,
    pub words: usize,
    pub word_edges: Vec<u64>,
    /// One per word.
    pub outputs: Vec<Vec<i64>>,
}

impl Row {
    /// Edges after which the run ends.
    pub fn edges(&self) -> u64 {
        if self.persistent { 4_200 } else { 9_000 }
    }
}

/// The folder with the tables, or `None` (with a word about it) where there is none.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("RADSTREAM_RTL_FAULTS") {
        Some(folder) => PathBuf::from(folder),
        None => shared_data()?.join("rtl_faults"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no tables of strikes at {}", folder.display());
    None
}

/// The rows of a table; none where the folder does not have it.
pub fn rows(table: &str) -> Option<Vec<Row>> {
    let file = folder()?.join(format!("{table}.csv"));
    if !file.is_file() {
        eprintln!("skipped: no {}", file.display());
        return None;
    }
    let mut reader = csv::Reader::from_path(&file).expect("a table");
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let rows = reader.records().map(|record| {
        let record = record.expect("a row");
        let field = |name: &str| column(name).and_then(|at| record.get(at)).unwrap_or("");
        let number = |name: &str| {
            field(name)
                .parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} of {record:?}"))
        };
        let list = |text: &str| -> Vec<i64> {
            text.split_whitespace()
                .map(|value| value.parse().expect("a number"))
                .collect()
        };
        let (unit, register) = field("rtl_register")
            .split_once('.')
            .expect("a register of a unit");
        let weights = field("class") == "weight_memory";
        let thresholds = field("class") == "threshold_memory";
        let words = number("words") as usize;
        let values = list(field("outputs"));
        let width = values.len() / words.max(1);
        Row {
            case: field("case").to_owned(),
            unit: unit.to_owned(),
            register: register.to_owned(),
            bit: number("rtl_bit") as u32,
            edge: number("rtl_edge"),
            memory: weights.then(|| (field("memory").to_owned(), number("word"), number("bit") as u32)),
            stored: thresholds.then(|| {
                let tensor = field("tensor").to_owned();
                (
                    field("layer").to_owned(),
                    tensor,
                    number("element"),
                    number("bit") as u32,
                )
            }),
            persistent: thresholds && field("cycle").is_empty(),
            words,
            word_edges: list(field("word_edges"))
                .iter()
                .map(|&edge| edge as u64)
                .collect(),
            outputs: values.chunks(width.max(1)).map(<[i64]>::to_vec).collect(),
        }
    });
    Some(rows.collect())
}
