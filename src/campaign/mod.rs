//! Plans, trials, records: what happens to a workload under many fault sets.

pub mod analytic;
mod bench;
mod exhaustive;
mod growing;
pub mod mission;
mod monitor;
mod records;
mod statistics;
mod strikes;
mod trials;

pub use bench::{Baseline, Bench, BenchError, Scenario, Score};
pub use exhaustive::{BitRecord, SENSITIVE_ABOVE, exhaustive};
pub use monitor::{Monitor, Silent};
pub use records::{RecordError, Records, fingerprint, read_records};
pub use statistics::{Interval, bootstrap_mean, garwood, wilson};
pub use strikes::{
    OutcomeShare, RegisterStrike, StrikeBench, StrikeOutcome, StrikeShares, draw_strikes, register_shares,
    shares, strike_registers,
};
pub use trials::{Trial, TrialPlan, TrialSummary, random_flips, run_trials};
