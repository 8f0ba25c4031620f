//! What a run is asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::protect::Seed;
use super::{NetworkRequest, SamplesRequest, StudyError, text_form};

/// Which engine computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEngine {
    /// Fast, without time.
    #[default]
    Functional,
    /// The plain twin of the functional engine: exact and slow.
    Plain,
    /// Every register and every clock edge.
    Cycle,
    /// The plain twin of the cycle engine: every stage at every edge.
    CyclePlain,
}

impl RunEngine {
    /// Whether it has a clock.
    #[must_use]
    pub fn has_clock(self) -> bool {
        matches!(self, Self::Cycle | Self::CyclePlain)
    }

    /// Name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Functional => "functional",
            Self::Plain => "plain",
            Self::Cycle => "cycle",
            Self::CyclePlain => "cycle-plain",
        }
    }
}

/// What faults are drawn from, under every engine alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawFrom {
    /// Stored bits, wrong from the start: the same ones under every engine.
    #[default]
    Stored,
    /// Register bits, each at a clock edge of its own.
    Registers,
    /// Stored and register bits, each at a clock edge of its own.
    All,
}

impl DrawFrom {
    /// The bits, for people.
    #[must_use]
    pub fn bits(self) -> &'static str {
        match self {
            Self::Stored => "stored bits",
            Self::Registers => "register bits",
            Self::All => "stored and register bits",
        }
    }
}

/// Whether each fault is run alone as well, to see what it does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCheck {
    /// Each fault in a run of its own, besides all of them together.
    #[default]
    Each,
    /// All of them together only.
    Together,
}

/// Clock edges `FROM..TO`, the last one not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges {
    /// The first edge.
    pub from: u64,
    /// The edge behind the last one.
    pub to: u64,
}

/// A text that names no clock edges.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` is no range of clock edges")]
#[diagnostic(
    code(radstream::run::edges),
    help("expected FROM..TO with FROM below TO, e.g. 0..500")
)]
pub struct EdgesError {
    pub(super) text: String,
}

impl Default for Edges {
    fn default() -> Self {
        Self { from: 0, to: 10_000 }
    }
}

impl FromStr for Edges {
    type Err = EdgesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once("..").and_then(|(from, to)| {
            Some(Self {
                from: from.trim().parse().ok()?,
                to: to.trim().parse().ok()?,
            })
        });
        parsed
            .filter(|edges| edges.from < edges.to)
            .ok_or_else(|| EdgesError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// Runs samples through the accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Which engine computes.
    pub engine: RunEngine,
    /// Faults: CSV with layer,tensor,element,bit or memory,word,bit, and optionally cycle.
    pub faults: Option<PathBuf>,
    /// So many faults drawn at random instead of a list.
    pub draw: Option<u64>,
    /// What they are drawn from: stored bits, where nothing is stated.
    pub from: Option<DrawFrom>,
    /// Whether each fault is run alone as well.
    pub check: FaultCheck,
    /// Seed.
    pub seed: Seed,
    /// Where the output mantissas go (`.npz`): `outputs.npz` in the output folder, where there is one.
    pub outputs: Option<PathBuf>,
    /// Whether what each layer hands on is written with them.
    pub trace: bool,
    /// Whether the interval of steady operation and the FIFO depths that it needs are measured for a single sample too,
    /// which takes more samples; engines with a clock only.
    pub steady: bool,
    /// Where a waveform goes (VCD); engines with a clock only.
    pub vcd: Option<PathBuf>,
    /// Where a table goes, a row per clock edge and a column per stage; engines with a clock only.
    pub trace_cycles: Option<PathBuf>,
    /// The edges that waveform and table show.
    #[serde(with = "text_form")]
    pub cycles: Edges,
}

/// Most faults that are drawn.
const MAX_DRAWN: u64 = 10_000_000;

impl RunRequest {
    /// What faults are drawn from.
    #[must_use]
    pub fn drawn_from(&self) -> DrawFrom {
        self.from.unwrap_or_default()
    }
}

/// Refuses to draw more faults than there are bits, before memory is taken for them.
pub(super) fn check_draw(count: u64, bits: u64, from: DrawFrom) -> Result<(), StudyError> {
    let most = bits.min(MAX_DRAWN);
    if count <= most {
        return Ok(());
    }
    Err(StudyError::refused(
        format!(
            "{count} faults are more than can be drawn: there are {bits} {}",
            from.bits()
        ),
        format!("at most {most}"),
    ))
}
