//! Hours of operation: strikes come, pile up, and are scrubbed, corrected or read.
//!
//! Between two events nothing changes, so a mission costs time per strike, not per cycle. [`simulate`]
//! follows what the memories hold and what is read from them; it knows nothing of networks. Where a
//! network reads them, [`fly`] gives the wrong bits to the functional engine at the stated times and
//! wherever the first wrong output has to be found.
//!
//! What a pass, a refresh and a read do:
//!
//! - a **scrub pass** starts every period and goes over all words of all memories in order; a word that is
//!   the fraction `f` of the way along is rewritten `f` of the pass time later. What is written is
//!   [`crate::scheme::Code::rewrite`]; unprotected words stay as they are;
//! - a **refresh** rewrites everything from outside at once;
//! - **stuck cells** keep their value through both;
//! - an accelerator reads every word at every inference, so a word whose parity fails is reloaded at once.

mod evaluate;
mod plan;
mod records;
mod state;
mod summary;
mod timeline;

pub use evaluate::{FirstWrong, Flight, fly};
pub use plan::{AfterFailure, Contents, Exposure, MissionError, MissionPlan, Permanent};
pub use records::{MISSION_HEADER, MissionRecords, MissionRow};
pub use summary::{Count, DesignSummary, GroupSummary, Mean, MemorySummary, Tally, TimeSummary, summarize};
pub use timeline::{BitChange, Cause, Observation, Timeline, Workspace, simulate};
