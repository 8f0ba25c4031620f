//! Options of missions.

use std::path::PathBuf;

use clap::Args;

use super::options::{option_value, whole};
use crate::campaign::mission::Failure as MissionFailure;
use crate::scheme::Scheme;
use crate::study::{MemorySpec, ProtectChoice, ScrubChoice};

/// What a mission is, and which designs fly it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mission")]
pub struct MissionOptions {
    /// Fly missions of so many hours: strikes come, pile up, and are scrubbed
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    pub mission: Option<f64>,
    /// Missions per design
    #[arg(long, value_name = "N", default_value_t = 100, requires = "mission", value_parser = whole)]
    pub repetitions: u64,
    /// Hours at which the workload is run [default: eighths of the mission]
    #[arg(
        long,
        value_name = "H,...",
        value_delimiter = ',',
        requires = "mission",
        allow_negative_numbers = true
    )]
    pub at: Vec<f64>,
    /// What counts as a failure: any (an output integer differs), class (a right class goes wrong), or loss>X
    /// [default: what the loss means]
    #[arg(long, value_name = "any|class|loss>X", requires = "mission", value_parser = option_value::<MissionFailure>)]
    pub failure: Option<MissionFailure>,
    /// Protection schemes: none, tmr, tmr-word, dmr, parity, secded [default: none]
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "mission", value_parser = option_value::<Scheme>)]
    pub scheme: Vec<Scheme>,
    /// What is protected: shares of the bits, by --ranking or at random, or a protection map
    #[arg(long, value_name = "N%|all|MAP.json,...", value_delimiter = ',', requires = "mission", value_parser = option_value::<ProtectChoice>)]
    pub protect: Vec<ProtectChoice>,
    /// Records of an exhaustive campaign that rank the bits for --protect: records.csv or its folder
    #[arg(long, value_name = "FILE|DIR", requires = "mission")]
    pub ranking: Option<PathBuf>,
    /// Fly with an ideal protection as well: protected bits never fail and cost no cell
    #[arg(long, requires = "mission")]
    pub ideal: bool,
    /// Scrub periods in seconds, or none; PERIOD/PASS where a pass takes time [default: the hardware
    /// file's]
    #[arg(long, value_name = "S[/S]|none,...", value_delimiter = ',', requires = "mission", value_parser = option_value::<ScrubChoice>)]
    pub scrub_s: Vec<ScrubChoice>,
    /// Seconds between two rewrites of all memories from outside [default: the hardware file's]
    #[arg(long, value_name = "S", requires = "mission", allow_negative_numbers = true)]
    pub refresh_s: Option<f64>,
    /// Strikes per second on all stored bits together, redundant cells not counted
    #[arg(
        long,
        value_name = "PER_S",
        requires = "mission",
        conflicts_with_all = ["fit_per_mb", "cross_section", "memory_technology", "environment"],
        allow_negative_numbers = true
    )]
    pub rate_per_s: Option<f64>,
    /// Fly only missions with at least one strike, and weigh them: for strikes that are rare
    #[arg(long, requires = "mission")]
    pub given_strike: bool,
    /// Strike registers, FIFOs, line buffers and control state, alone or beside missions: N strikes, each at its
    /// own cycle in a run of the cycle engine
    #[arg(long, value_name = "N", conflicts_with_all = ["exhaustive", "memory"], value_parser = whole)]
    pub registers: Option<u64>,
    /// Inferences per second, for the time in which registers are live [default: one behind the other]
    #[arg(long, value_name = "X", requires = "registers", allow_negative_numbers = true)]
    pub inference_rate: Option<f64>,
    /// Share of the strikes after which the struck cells are stuck at 0 or 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        requires = "mission",
        allow_negative_numbers = true
    )]
    pub permanent_share: f64,
    /// A memory by itself, without a network: words=199,bits=72,scheme=secded:72,64
    #[arg(long, value_name = "SPEC", requires = "mission", conflicts_with_all = ["network", "hardware", "scheme", "protect", "ideal", "at", "failure"], value_parser = option_value::<MemorySpec>)]
    pub memory: Option<MemorySpec>,
    /// Print closed forms beside the simulation
    #[arg(long, requires = "mission")]
    pub analytic: bool,
}
