//! What happens to a workload under many fault sets: kinds of campaigns, and the one loop that runs them.
//!
//! A [`Kind`] says how many trials there are, runs a block of them, writes a trial down and sums trials up;
//! [`Run`] takes it through blocks, progress, records, resuming, shards and stop rules. Each kind is one file:
//! [`Exhaustive`], [`Asked`], [`Sampled`], [`Accumulation`], [`Accumulations`], [`Activations`],
//! [`FaultLists`], [`mission::Missions`], [`MemoryMissions`], [`RegisterStrikes`], [`RegisterClasses`].

mod accumulation;
mod accumulations;
mod activations;
pub mod analytic;
mod asked;
mod avf;
mod bench;
mod bit_faults;
mod bit_records;
mod contents;
mod draws;
mod estimates;
mod exhaustive;
mod judge;
mod kind;
mod listed;
mod memory;
pub mod mission;
mod monitor;
mod records;
mod register_classes;
mod registers;
mod run;
mod sampled;
mod score;
mod side_by_side;
pub mod statistics;
mod strata;
mod stream;
mod strikes;

pub use accumulation::{
    Accumulation, AccuracyOfTrials, LargestRise, MetricOfTrials, Trial, TrialPlan, TrialRow, TrialSummary,
    TrialSums, WrongBits,
};
pub use accumulations::Accumulations;
pub use activations::{
    ActivationReport, ActivationRow, Activations, BoundaryReport, BoundarySums, CodeBit, CodeFlip,
};
pub use asked::{AnswerGroup, AnswerReport, AnswerRow, AnswerSums, Asked};
pub use avf::{
    ClassShares, FailureFit, LayerShares, OutcomeShare, Outcomes, PostStratified, RawRate, RegisterShares,
    ShareOfStrikes, StrikeShares, UnitShares, register_csv,
};
pub use bench::{Bench, BenchError};
pub use bit_records::{BitRecord, BitRecordError, BitRecords, BitRow, SENSITIVE_ABOVE, read_bit_records};
pub use estimates::{Count, Mean};
pub use exhaustive::{BitGroup, Exhaustive, ExhaustiveReport, ExhaustiveSums};
pub use kind::{Kind, TrialUnit};
pub use listed::{FaultLists, ListedReport, ListedRow, ListedSums};
pub use memory::{MemoryMissions, MemoryRow, MemorySummary, MemorySums};
pub use monitor::{Monitor, Silent};
pub use records::RecordError;
pub use register_classes::{
    ClassEffect, ClassRow, ClassSums, ClassesError, ClassesReport, DecidedBy, ExactGroup, ExactOutcome,
    ExactShares, NotFlipped, RegisterClasses, RegisterSelection,
};
pub use registers::{NotStruck, RegisterReport, RegisterStrike, RegisterStrikes, StrikeRow, StrikeSums};
pub use run::{Finished, Run, RunError, Shard, ShardError, StopRule};
pub use sampled::{DrawnGroup, Estimates, SampleReport, SampleSums, Sampled, ShareEstimate};
pub use score::{Answer, Baseline, Question, Scenario, Score};
pub use strata::{SampleDesign, SampleDesignError, Stratum, strata};
pub use stream::{Stream, stream};
pub use strikes::{StrikeBench, StrikeOutcome, draw_strikes, draw_strikes_anywhere};
