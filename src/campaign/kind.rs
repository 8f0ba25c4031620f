//! What a kind of campaign has to say; all else is done for it.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Monitor;

/// What a trial of a campaign is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrialUnit {
    /// One stored bit.
    Bit,
    /// One strike.
    Strike,
    /// Several of them, a mission, or something else.
    #[default]
    Trial,
}

/// A kind of campaign: how many trials there are, what one does, how it is written down, and what all of
/// them come to. [`Run`](super::Run) does the rest: blocks, progress, records, resuming, shards, stop rules.
///
/// A trial is a pure function of the kind and the trial's number; random numbers come from
/// [`stream`](super::stream()) with that number. A kind holds everything that determines its records, and its
/// serialized form is its identity: what is left out there is not noticed when a run is resumed.
pub trait Kind: Serialize + Sync {
    /// What a trial came to.
    type Trial: Send;
    /// A line of the records, flat.
    type Row: Serialize + DeserializeOwned;
    /// What is kept of all trials: sums, not the trials.
    type Sums;
    /// What they come to.
    type Report: Serialize;

    /// Name in folders, records and reports.
    fn name(&self) -> &'static str;

    /// What a trial is, as forecasts count them.
    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Trial
    }

    /// Columns of the records, in the order of the fields of a row.
    fn columns(&self) -> &'static str;

    /// Columns behind those, where their number depends on what is asked for: the last field of a row is a list then.
    fn more_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// Number of trials.
    fn trials(&self) -> u64;

    /// Rows of one trial.
    fn rows_per_trial(&self) -> usize {
        1
    }

    /// Units of work of one trial, as [`Monitor::advance`] counts them.
    fn work_per_trial(&self) -> u64 {
        1
    }

    /// Most trials that [`Kind::block`] should take at once; what it returns is in memory.
    fn largest_block(&self) -> u64 {
        1 << 16
    }

    /// Time that the last block took for what does not depend on its number of trials.
    fn overhead(&self) -> Duration {
        Duration::ZERO
    }

    /// Runs these trials, on all threads, and returns them in their order. `None` where the monitor stopped it.
    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Self::Trial>>;

    /// The rows of a trial.
    fn rows(&self, number: u64, trial: &Self::Trial) -> Vec<Self::Row>;

    /// The trial behind its rows; what they do not hold is computed again.
    ///
    /// # Errors
    /// What is wrong with the rows, where they are not those of this trial.
    fn recall(&self, number: u64, rows: Vec<Self::Row>) -> Result<Self::Trial, String>;

    /// Sums over no trial.
    fn sums(&self) -> Self::Sums;

    /// Adds a trial; trials come in the order of their numbers.
    fn add(&self, sums: &mut Self::Sums, number: u64, trial: &Self::Trial);

    /// What the trials came to.
    fn report(&self, sums: &Self::Sums) -> Self::Report;

    /// Half the width of the main number's interval over that number, for stop rules; none where the kind
    /// has no such number, or it is not known yet.
    fn relative_error(&self, _sums: &Self::Sums) -> Option<f64> {
        None
    }

    /// Half the width of the interval of the main share, for stop rules; none as for [`Kind::relative_error`].
    fn margin(&self, _sums: &Self::Sums) -> Option<f64> {
        None
    }
}
