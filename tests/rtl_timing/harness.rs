//! Gates and numbers as in `tb_common.svh`.

use std::collections::HashMap;
use std::path::PathBuf;

pub use crate::cycle_common::{Unit, mix, no_memories, pack};

use crate::common::shared_data;

/// A registered random gate at edge `now` (1 is the first one out of reset), low in `percent_low` of
/// the cycles: the test benches' count of edges is 8 ahead of `now`, and the register 1 behind it.
pub fn gate(now: u32, offset: u32, percent_low: u32) -> bool {
    percent_low == 0 || mix(now + 7 + offset) % 100 >= percent_low
}

/// A row of a table of measurements.
pub struct Row(HashMap<String, String>);

impl Row {
    pub fn text(&self, column: &str) -> &str {
        &self.0[column]
    }

    pub fn number(&self, column: &str) -> i64 {
        self.text(column).parse().expect("a number")
    }

    pub fn count(&self, column: &str) -> u32 {
        self.text(column).parse().expect("a count")
    }

    /// Fails unless the numbers are those of the row.
    pub fn require(&self, name: &str, measured: &[(&str, i64)]) {
        for &(column, value) in measured {
            assert_eq!(value, self.number(column), "{column} of {name}");
        }
    }
}

/// The rows of a table, or `None` on a machine without the shared data.
pub fn rows(table: &str, expected: usize) -> Option<Vec<Row>> {
    let path: PathBuf = shared_data()?.join("rtl_timing").join(table);
    let mut reader = csv::Reader::from_path(path).expect("the table of measurements");
    let rows: Vec<Row> = reader.deserialize().map(|row| Row(row.expect("a row"))).collect();
    assert_eq!(rows.len(), expected, "rows of {table}");
    Some(rows)
}

/// The number of an edge that may not have come; as in the test benches, -1 stands for none.
pub fn or_none(edge: Option<u32>) -> i64 {
    edge.map_or(-1, i64::from)
}
