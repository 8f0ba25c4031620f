//! What came of a run.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::StudyError;
use super::run_request::{DrawFrom, FaultCheck, RunEngine};
use crate::accelerator::NamedBit;
use crate::campaign::StrikeOutcome;
use crate::fault::Injection;
use crate::simulate::cycle::{End, Timing};

/// The format of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutputFormat {
    /// Bits of a mantissa.
    pub width: u32,
    /// Bits in front of the binary point, the sign included.
    pub integer: i32,
    /// Whether there is a sign.
    pub signed: bool,
}

/// What faults were drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// Which bits.
    pub from: DrawFrom,
    /// How many bits there are of that kind.
    pub bits: u64,
    /// When they are struck.
    pub when: &'static str,
}

/// Faults bit by bit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FaultList {
    /// Stored bits that are wrong from the start.
    Stored(Vec<Injection>),
    /// Strikes of a run with a clock.
    Struck(Vec<StruckBit>),
}

/// What the faults were and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunFaults {
    /// What they were drawn from, where they were not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// Faults listed or drawn.
    pub injected: usize,
    /// Those that are left when equal ones have cancelled each other.
    pub wrong_bits: usize,
    /// Those that cancelled each other.
    pub cancelled: usize,
    /// How many of them alter at least one output, each in a run of its own; none where they were run together only.
    pub effective: Option<usize>,
    /// What that counts, or why there is none.
    pub effective_counts: &'static str,
    /// What all of them together came to, in a run with a clock.
    #[serde(flatten)]
    pub struck: Option<Struck>,
    /// The faults.
    pub list: FaultList,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// The network.
    pub network: String,
    /// The engine, for both of its twins.
    #[serde(serialize_with = "family")]
    pub engine: RunEngine,
    /// Samples.
    pub samples: usize,
    /// Format of the outputs.
    pub output_format: OutputFormat,
    /// Shape of the output of one sample.
    pub output_shape: Vec<usize>,
    /// Real factor outside the integers.
    pub output_scale: f64,
    /// Further factors of its channels, where those have no common unit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_channel_scales: Vec<f64>,
    /// Real offsets of the channels behind their scales; none where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_channel_offsets: Vec<f64>,
    /// The loss.
    pub loss_name: &'static str,
    /// Mean loss over the samples, under the faults where there are some. Outputs that never came count as 0.
    pub loss: f64,
    /// Mean loss without faults, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_free_loss: Option<f64>,
    /// Mean share of right classes where there are labels, under the faults where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The same without faults, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_free_accuracy: Option<f64>,
    /// The faults, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<RunFaults>,
    /// What the clock shows, in a run with one.
    #[serde(flatten)]
    pub clock: Option<ClockReport>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Files that were written.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// The twins of an engine give the same report.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn family<S: Serializer>(engine: &RunEngine, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if engine.has_clock() { "cycle" } else { "functional" })
}

/// What all strikes together came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Struck {
    /// The outcome.
    pub outcome: StrikeOutcome,
    /// How the run ended.
    pub end: End,
    /// The last cycle that was waited for.
    pub bound: u64,
}

/// A bit that was struck.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StruckBit {
    /// Both addresses.
    #[serde(flatten)]
    pub address: NamedBit,
    /// Path of the register's lane; none for a memory and for a wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register: Option<String>,
    /// Edge after which the flip lands; none for one that is there from the start.
    pub cycle: Option<u64>,
    /// `memory`, `register` or `transient`.
    pub kind: &'static str,
    /// Whether it happened before the run ended.
    pub happened: bool,
    /// The word or the register's lane before, hexadecimal; none for a wire.
    pub word_before: Option<String>,
    /// The same after.
    pub word_after: Option<String>,
    /// The stored value, where the bit is of a memory.
    #[serde(flatten)]
    pub value: Option<StruckValue>,
    /// What it came to on its own; none where faults were run together only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<StrikeOutcome>,
}

/// A stored value that was struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StruckValue {
    /// Mantissa before; none for padding.
    pub value_before: Option<i64>,
    /// Mantissa after; none for padding.
    pub value_after: Option<i64>,
}

/// What a stage did, in clock cycles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageActivity {
    /// Its name.
    pub stage: String,
    /// What it is.
    pub kind: &'static str,
    /// Cycles in which a word moved.
    pub transfer_cycles: u64,
    /// Cycles in which it waited for room.
    pub stall_cycles: u64,
    /// Cycles in which it waited for words.
    pub idle_cycles: u64,
}

/// How a FIFO was used, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FifoUse {
    /// Its name.
    pub fifo: String,
    /// Words that it can hold.
    pub depth: usize,
    /// Most words that it held.
    pub deepest: u64,
    /// The smallest depth that never holds up the stream; none where it was not measured.
    pub smallest_without_stall: Option<usize>,
}

/// What the clock shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockReport {
    /// When words entered and left.
    pub cycles: Timing,
    /// The stage that sets the pace.
    pub bottleneck: String,
    /// The stages.
    pub stages: Vec<StageActivity>,
    /// The FIFOs.
    pub fifos: Vec<FifoUse>,
    /// What the simulation leaves out.
    pub not_modelled: Vec<String>,
}

/// The outputs of a run, and of what was to be traced: mantissas, `[sample][element]`.
pub(super) struct Tensors {
    pub outputs: Vec<i64>,
    pub traces: Vec<Vec<i64>>,
    pub faults: Option<RunFaults>,
    pub clock: Option<ClockReport>,
}

/// When stored bits are struck.
pub(super) const FROM_THE_START: &str = "before the first edge";

/// What is counted as effective.
pub(super) fn effective_counts(check: FaultCheck) -> &'static str {
    match check {
        FaultCheck::Each => {
            "faults that alter at least one output of at least one sample when they are there alone"
        }
        FaultCheck::Together => "not examined: the faults were run together only",
    }
}

/// A run that was stopped; nothing of it is kept.
pub(super) fn stopped() -> StudyError {
    StudyError::Stopped {
        kept: "stopped; nothing of the run is kept".to_owned(),
    }
}
