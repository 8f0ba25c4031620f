//! The table of all registers: what the engine's state, addresses, lists of faults, records and waveforms
//! name a register by.

use std::collections::{BTreeSet, HashMap};

use miette::Diagnostic;
use thiserror::Error;

use super::live::{Held, Live};
use super::register::{Register, RegisterBit};
use super::stage::Stage;
use crate::data::suggest;
use crate::network::LayerId;

/// One register of one stage.
///
/// Its path is `<layer>.<unit>.<register>`; a lane of one of its words is
/// `<layer>.<unit>.<register>[word].lane`. The index of a word is left out where there is one word, that of a
/// lane where there is one lane. Several registers of one name in a unit have `_0`, `_1`, ... behind the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRow {
    /// `<layer>.<unit>.<register>`.
    pub path: String,
    /// The layer.
    pub layer: LayerId,
    /// Number of the stage.
    pub stage: usize,
    /// Its words, lanes, width and class.
    pub register: Register,
    /// First limb of the state.
    pub limb: usize,
    /// When what it holds can matter.
    pub live: Live,
}

impl RegisterRow {
    /// The path of a lane of a word.
    #[must_use]
    pub fn path_of(&self, word: usize, lane: usize) -> String {
        let Register { words, lanes, .. } = self.register;
        let mut path = self.path.clone();
        if words > 1 {
            path += &format!("[{word}]");
        }
        if lanes > 1 {
            path += &format!(".{lane}");
        }
        path
    }

    /// Where a bit of a lane of a word lies; none where there is no such bit.
    #[must_use]
    pub fn bit(&self, word: usize, lane: usize, bit: u32) -> Option<RegisterBit> {
        let register = &self.register;
        let inside = word < register.words && lane < register.lanes && bit < register.lane_bits;
        inside.then(|| RegisterBit {
            word: self.limb + word * register.limbs_per_word(),
            lane,
            lane_bits: register.lane_bits,
            bit,
        })
    }
}

/// Why a path names no register bit.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum PathError {
    /// No such register.
    #[error("there is no register `{path}`")]
    #[diagnostic(
        code(radstream::register::path),
        help("expected <layer>.<unit>.<register>[word].lane{}", similar(known))
    )]
    Register {
        /// What was asked for.
        path: String,
        /// Paths of registers that are called alike.
        known: Vec<String>,
    },
    /// No layer with registers is called as the path begins.
    #[error("there is no register `{path}`: it begins with no layer that has registers")]
    #[diagnostic(
        code(radstream::register::layer),
        help(
            "expected <layer>.<unit>.<register>[word].lane, the layer being {}{}",
            listed(layers),
            near_layer(path, layers)
        )
    )]
    Layer {
        /// What was asked for.
        path: String,
        /// The layers that have registers.
        layers: Vec<String>,
    },
    /// The register has no such word, or several and none is named.
    #[error("register `{path}` has {words} words{}", asked.map_or_else(String::new, |word| format!(" and no word {word}")))]
    #[diagnostic(code(radstream::register::word), help("expected `{path}[0]` to `{path}[{}]`", words - 1))]
    Word {
        /// Its path.
        path: String,
        /// What was asked for.
        asked: Option<usize>,
        /// How many there are.
        words: usize,
    },
    /// The word has no such lane, or several and none is named.
    #[error("a word of register `{path}` has {lanes} lanes{}", asked.map_or_else(String::new, |lane| format!(" and no lane {lane}")))]
    #[diagnostic(code(radstream::register::lane), help("expected .0 to .{} behind the word", lanes - 1))]
    Lane {
        /// Its path.
        path: String,
        /// What was asked for.
        asked: Option<usize>,
        /// How many there are.
        lanes: usize,
    },
    /// The lane has no such bit.
    #[error("`{path}` has no bit {bit}")]
    #[diagnostic(
        code(radstream::register::bit),
        help("expected 0..={}, bit 0 least significant", bits - 1)
    )]
    Bit {
        /// Its path.
        path: String,
        /// What was asked for.
        bit: u32,
        /// Bits of the lane.
        bits: u32,
    },
}

fn similar(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!(", such as {}", known.join(", ")),
    }
}

fn listed(layers: &[String]) -> String {
    match layers {
        [layer] => format!("`{layer}`"),
        layers => format!("one of: {}", layers.join(", ")),
    }
}

/// The layer that is most like the beginning of a path, as far as names have as many dots.
fn near_layer(path: &str, layers: &[String]) -> String {
    let beginning = |layer: &str| {
        let dots = layer.matches('.').count();
        let end = path.match_indices('.').nth(dots);
        end.map_or(path, |(end, _)| &path[..end])
    };
    let near = layers
        .iter()
        .filter_map(|layer| Some((beginning(layer), suggest(beginning(layer), [layer.as_str()])?)))
        .min_by_key(|(asked, layer)| strsim::osa_distance(asked, layer));
    near.map_or_else(String::new, |(_, layer)| format!("; did you mean `{layer}`?"))
}

/// A stage whose registers are listed.
pub(super) struct Unit<'a> {
    /// Its number.
    pub(super) stage: usize,
    /// `<layer>.<unit>`.
    pub(super) name: &'a str,
    /// The layer.
    pub(super) layer: LayerId,
    /// Its registers.
    pub(super) registers: &'a [Register],
    /// Its structure.
    pub(super) structure: &'a dyn Stage,
    /// The first limb of its state.
    pub(super) limb: usize,
}

/// All registers of a pipeline, stage after stage.
#[derive(Clone, Debug, Default)]
pub struct RegisterTable {
    rows: Vec<RegisterRow>,
    by_path: HashMap<String, usize>,
    /// Names of the layers, in the order of the stages.
    layers: Vec<(LayerId, String)>,
}

impl RegisterTable {
    pub(super) fn of<'a>(units: impl Iterator<Item = Unit<'a>>) -> Self {
        let mut rows: Vec<RegisterRow> = Vec::new();
        let mut layers: Vec<(LayerId, String)> = Vec::new();
        let mut known = BTreeSet::new();
        for unit in units {
            if !unit.registers.is_empty() && known.insert(unit.layer) {
                let layer = unit.name.rsplit_once('.').map_or(unit.name, |(layer, _)| layer);
                layers.push((unit.layer, layer.to_owned()));
            }
            let mut limb = unit.limb;
            let mut named: HashMap<&str, usize> = HashMap::new();
            for register in unit.registers {
                *named.entry(register.name).or_default() += 1;
            }
            let mut numbers: HashMap<&str, usize> = HashMap::new();
            for (at, register) in unit.registers.iter().enumerate() {
                let number = numbers.entry(register.name).or_default();
                let path = match named[register.name] {
                    1 => format!("{}.{}", unit.name, register.name),
                    _ => format!("{}.{}_{number}", unit.name, register.name),
                };
                *number += 1;
                rows.push(RegisterRow {
                    path,
                    layer: unit.layer,
                    stage: unit.stage,
                    register: register.clone(),
                    limb,
                    live: unit.structure.live(at, register),
                });
                limb += register.limbs();
            }
        }
        let by_path = rows.iter().enumerate();
        let by_path = by_path.map(|(at, row)| (row.path.clone(), at)).collect();
        Self {
            rows,
            by_path,
            layers,
        }
    }

    /// The registers of a single stage, whose state begins at limb 0.
    #[must_use]
    pub fn of_stage(name: &str, stage: &dyn Stage) -> Self {
        let registers = stage.registers();
        Self::of(std::iter::once(Unit {
            stage: 0,
            name,
            layer: LayerId::from(0),
            registers: &registers,
            structure: stage,
            limb: 0,
        }))
    }

    /// The registers in the order of the stages.
    #[must_use]
    pub fn rows(&self) -> &[RegisterRow] {
        &self.rows
    }

    /// The register with that path, without indices.
    #[must_use]
    pub fn row(&self, path: &str) -> Option<&RegisterRow> {
        self.by_path.get(path).map(|&at| &self.rows[at])
    }

    /// Where bit `bit` of the lane that a path names lies.
    ///
    /// # Errors
    /// [`PathError`] with what there is.
    pub fn find(&self, path: &str, bit: u32) -> Result<RegisterBit, PathError> {
        let (rest, lane) = split_lane(path);
        let (base, word) = split_word(rest);
        let (row, word, lane) = match (self.row(path), self.row(base)) {
            (Some(row), _) => (row, None, None),
            (None, Some(row)) => (row, word, lane),
            (None, None) => {
                return Err(self.unknown(path, base));
            }
        };
        let Register { words, lanes, .. } = row.register;
        let path = || row.path.clone();
        let of = |asked: Option<usize>, there: usize| match asked {
            None => (there == 1).then_some(0),
            Some(index) => (index < there).then_some(index),
        };
        let word = of(word, words).ok_or_else(|| PathError::Word {
            path: path(),
            asked: word,
            words,
        })?;
        let lane = of(lane, lanes).ok_or_else(|| PathError::Lane {
            path: path(),
            asked: lane,
            lanes,
        })?;
        row.bit(word, lane, bit).ok_or_else(|| PathError::Bit {
            path: row.path_of(word, lane),
            bit,
            bits: row.register.lane_bits,
        })
    }

    /// The number of the register that holds a bit.
    #[must_use]
    pub fn number(&self, bit: RegisterBit) -> Option<usize> {
        let at = self
            .rows
            .partition_point(|row| row.limb <= bit.word)
            .checked_sub(1)?;
        let row = &self.rows[at];
        (bit.word < row.limb + row.register.limbs()).then_some(at)
    }

    /// The register that a rule of register number `at` names: of several in its stage the next one behind it,
    /// otherwise the last one.
    #[must_use]
    pub fn flag(&self, at: usize, name: &str) -> Option<&RegisterRow> {
        let stage = self.rows[at].stage;
        let named = |row: &&RegisterRow| row.register.name == name;
        let of_stage = |row: &&RegisterRow| row.stage == stage;
        let behind = self.rows[at..].iter().take_while(of_stage).find(named);
        behind.or_else(|| self.rows[..at].iter().rev().take_while(of_stage).find(named))
    }

    /// Whether what a bit's lane holds can matter to an output in a fault-free state of the pipeline; see [`Live`].
    /// A bit that is none can not.
    #[must_use]
    pub fn is_live(&self, bit: RegisterBit, state: &[u64]) -> bool {
        let Some(at) = self.number(bit) else {
            return false;
        };
        let row = &self.rows[at];
        let word = (bit.word - row.limb) / row.register.limbs_per_word().max(1);
        row.live.holds(word, bit.lane, |flag| {
            self.flag(at, flag).map(|flag| Held {
                register: &flag.register,
                limbs: &state[flag.limb..],
            })
        })
    }

    /// The register that holds a bit, and the word there.
    #[must_use]
    pub fn holder(&self, bit: RegisterBit) -> Option<(&RegisterRow, usize)> {
        let row = &self.rows[self.number(bit)?];
        let word = (bit.word - row.limb) / row.register.limbs_per_word().max(1);
        (word < row.register.words).then_some((row, word))
    }

    /// The path of the lane that holds a bit.
    #[must_use]
    pub fn path(&self, bit: RegisterBit) -> Option<String> {
        let (row, word) = self.holder(bit)?;
        Some(row.path_of(word, bit.lane))
    }

    /// Why a path names no register; `base` is the path without indices.
    fn unknown(&self, path: &str, base: &str) -> PathError {
        let path = path.to_owned();
        let begins = |layer: &str| {
            base.strip_prefix(layer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let of_path = self.layers.iter().filter(|(_, layer)| begins(layer));
        match of_path.max_by_key(|(_, layer)| layer.len()) {
            Some(&(layer, _)) => PathError::Register {
                path,
                known: self.similar(layer, base),
            },
            None => PathError::Layer {
                path,
                layers: self.layers.iter().map(|(_, layer)| layer.clone()).collect(),
            },
        }
    }

    /// Up to five paths of a layer that are most like one that is not there.
    fn similar(&self, layer: LayerId, path: &str) -> Vec<String> {
        let mut rows: Vec<(f64, &str)> = (self.rows.iter())
            .filter(|row| row.layer == layer)
            .map(|row| (strsim::jaro(&row.path, path), row.path.as_str()))
            .collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        rows.iter().take(5).map(|(_, path)| format!("`{path}`")).collect()
    }
}

/// `a.3` as `a` and 3.
fn split_lane(path: &str) -> (&str, Option<usize>) {
    let split = path.rsplit_once('.');
    match split.and_then(|(rest, lane)| Some((rest, lane.parse().ok()?))) {
        Some((rest, lane)) => (rest, Some(lane)),
        None => (path, None),
    }
}

/// `a[3]` as `a` and 3.
fn split_word(path: &str) -> (&str, Option<usize>) {
    let inner = path.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match inner.and_then(|(rest, word)| Some((rest, word.parse().ok()?))) {
        Some((rest, word)) => (rest, Some(word)),
        None => (path, None),
    }
}
