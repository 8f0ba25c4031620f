//! Hours of operation: strikes come, pile up, and are scrubbed, corrected or read.
//!
//! Between two events nothing changes, so a mission costs time per strike, not per cycle. [`simulate`]
//! follows what the memories hold and what is read from them; it knows nothing of networks. Where a
//! network reads them, [`fly`] gives the wrong bits to the functional engine at the stated times and
//! wherever the first failure has to be found.
//!
//! What a pass, a refresh and a read do:
//!
//! - a **scrub pass** starts every period and goes over all words of all memories in order; a word that is
//!   the fraction `f` of the way along is rewritten `f` of the pass time later. What is written is
//!   [`crate::scheme::Code::rewrite`]; unprotected words stay as they are;
//! - a **refresh** rewrites everything from outside at once;
//! - **stuck cells** keep their value through both;
//! - an accelerator reads every word at every inference, so a word whose parity fails is reloaded at once.

mod bounds;
mod change;
mod evaluate;
mod failure;
mod missions;
mod plan;
mod row;
mod state;
mod sums;
mod timeline;

pub use super::contents::Contents;
pub use change::{BitChange, Cause};
pub use evaluate::{FirstWrong, Flight, fly};
pub use failure::{Failure, FailureError};
pub use missions::Missions;
pub use plan::{AfterFailure, Exposure, MissionError, MissionPlan, Permanent};
pub use row::MissionRow;
pub use sums::{DesignSummary, DesignSums, GroupSummary, TimeSummary};
pub use timeline::{Observation, Timeline, Workspace, simulate};
