//! A stage between a bench's source and sink; gates and numbers as in `tb_common.svh`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::{Edge, Signals, Stage};

pub use crate::cycle_common::{NO_WORD, mix, no_memories, pack};

use crate::common::shared_data;

/// A registered random gate at edge `now` (1 is the first one out of reset), low in `percent_low` of
/// the cycles: the test benches' count of edges is 8 ahead of `now`, and the register 1 behind it.
pub fn gate(now: u32, offset: u32, percent_low: u32) -> bool {
    percent_low == 0 || mix(now + 7 + offset) % 100 >= percent_low
}

/// A stage with its state.
pub struct Unit {
    stage: Box<dyn Stage>,
    state: Vec<u64>,
}

/// What happened at an edge.
pub struct Tick {
    /// Inputs whose word was taken.
    pub taken: u32,
    /// The word that was given on output 0.
    pub given: Option<Vec<u64>>,
}

impl Unit {
    pub fn new(stage: impl Stage + 'static) -> Self {
        let mut state = vec![0; stage.state_limbs()];
        stage.reset(&mut state);
        Self {
            stage: Box::new(stage),
            state,
        }
    }

    /// Inverts a bit of the state.
    pub fn flip(&mut self, limb: usize, bit: u32) {
        self.state[limb] ^= 1 << bit;
    }

    pub fn offers(&self) -> bool {
        self.stage.offers(&self.state) & 1 == 1
    }

    pub fn state(&self) -> &[u64] {
        &self.state
    }

    pub fn word(&self) -> Vec<u64> {
        self.stage.word(&self.state, 0).to_vec()
    }

    /// Inputs that would be taken if these are offered.
    pub fn accepts(&self, inputs: &[Option<Vec<u64>>], ready: bool) -> u32 {
        self.stage.accepts(&self.state, signals(inputs, ready))
    }

    /// One clock edge with these offers, and whether the consumer is ready.
    pub fn edge(&mut self, inputs: &[Option<Vec<u64>>], ready: bool, memories: &Memories) -> Tick {
        let signals = signals(inputs, ready);
        let taken = self.stage.accepts(&self.state, signals) & signals.valid;
        let given = self.stage.offers(&self.state) & signals.ready;
        let word = (given & 1 == 1).then(|| self.word());
        let words: Vec<&[u64]> = inputs
            .iter()
            .map(|word| word.as_deref().unwrap_or(&NO_WORD))
            .collect();
        self.stage.edge(
            &mut self.state,
            &Edge {
                signals,
                taken,
                given,
                words: &words,
                memories,
                transients: &[],
            },
        );
        Tick { taken, given: word }
    }
}

fn signals(inputs: &[Option<Vec<u64>>], ready: bool) -> Signals {
    let valid =
        (inputs.iter().enumerate()).fold(0, |mask, (at, word)| mask | u32::from(word.is_some()) << at);
    Signals {
        valid,
        ready: ready.into(),
    }
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

    /// The count in a column that not every table has.
    pub fn count_or(&self, column: &str, otherwise: u32) -> u32 {
        match self.0.get(column) {
            Some(text) if !text.is_empty() => text.parse().expect("a count"),
            _ => otherwise,
        }
    }

    /// Fails unless the numbers are those of the row.
    pub fn require(&self, name: &str, measured: &[(&str, i64)]) {
        for &(column, value) in measured {
            assert_eq!(value, self.number(column), "{column} of {name}");
        }
    }
}

/// The folder of tables that the environment names.
const FOLDER: &str = "RADSTREAM_RTL_TIMING";

/// Whether the tables are others than those of the shared data.
pub fn is_other_folder() -> bool {
    std::env::var_os(FOLDER).is_some()
}

/// The rows of a table of the shared data, as many as `expected`, or of the folder that the environment names; none
/// (with a word about it) where there is no such table.
pub fn rows(table: &str, expected: usize) -> Option<Vec<Row>> {
    let folder = match std::env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => shared_data()?.join("rtl_timing"),
    };
    let path = folder.join(table);
    if is_other_folder() && !path.is_file() {
        eprintln!("skipped: no {}", path.display());
        return None;
    }
    let rows = read(&path);
    assert!(
        is_other_folder() || rows.len() == expected,
        "{} rows of {table}",
        rows.len()
    );
    Some(rows)
}

/// The rows of a table.
pub fn read(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("the table of measurements");
    reader.deserialize().map(|row| Row(row.expect("a row"))).collect()
}

/// The number of an edge that may not have come; as in the test benches, -1 stands for none.
pub fn or_none(edge: Option<u32>) -> i64 {
    edge.map_or(-1, i64::from)
}
