//! What a mission is made of.

use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use super::Contents;
use crate::accelerator::Scrub;
use crate::radiation::rate::Hours;
use crate::radiation::{Clusters, RateProfile};
use crate::scheme::Store;

/// Bits that get stuck.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Permanent {
    /// How often one does.
    pub profile: RateProfile,
    /// Share of them that are stuck at 1.
    pub stuck_at_one_share: f64,
}

/// Cells that are struck alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exposure {
    /// Arrays of the store, by position, whose cells are struck.
    pub arrays: Vec<usize>,
    /// How often.
    pub strikes: RateProfile,
    /// How many cells one strike flips.
    pub clusters: Clusters,
    /// Share of the strikes after which the struck cells are stuck, at 0 or 1 with equal chance.
    pub permanent_share: f64,
    /// Single cells that get stuck besides.
    pub permanent: Option<Permanent>,
}

/// What becomes of a word, or a voted bit, that is found failed when a scrub pass or a refresh comes to
/// it, or the mission ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterFailure {
    /// What the hardware does with it: [`crate::scheme::Code::rewrite`].
    AsHardware,
    /// It is counted and put right, so that every interval starts from right words. The closed forms for
    /// scrubbed memories count like this.
    PutRight,
}

/// A mission. Trial `t` draws from stream `t` of ChaCha8.
#[derive(Clone, Debug, Serialize)]
pub struct MissionPlan {
    /// All cells.
    pub store: Store,
    /// What strikes them.
    pub exposures: Vec<Exposure>,
    /// How long.
    pub duration: Hours,
    /// The scrubber.
    pub scrub: Option<Scrub>,
    /// Time between two rewrites of everything from outside.
    pub refresh_s: Option<f64>,
    /// Times in hours at which the state is recorded, rising.
    pub at: Vec<f64>,
    /// What becomes of failed words.
    pub after_failure: AfterFailure,
    /// Whether every word is read all the time; otherwise only when a pass comes to it.
    pub reads_continuously: bool,
    /// Whether to keep every change of a bit as it is read.
    pub keep_changes: bool,
    /// Whether only missions with at least one strike are flown. Rates over missions are then those of
    /// all missions: each flown one stands for `1 / `[`MissionPlan::flown_share`] of them.
    pub given_strike: bool,
    /// What the memories hold.
    pub contents: Contents,
    /// Seed.
    pub seed: u64,
}

/// Why a mission cannot be flown.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq)]
pub enum MissionError {
    /// No length.
    #[error("a mission of {hours} h has no length")]
    #[diagnostic(
        code(radstream::mission::duration),
        help("expected a positive number of hours")
    )]
    Duration {
        /// The hours.
        hours: f64,
    },
    /// A time outside the mission.
    #[error("{hours} h is not within a mission of {duration} h")]
    #[diagnostic(
        code(radstream::mission::time),
        help("expected times from 0 to the mission's end in rising order")
    )]
    Time {
        /// The time.
        hours: f64,
        /// The mission.
        duration: f64,
    },
    /// A share outside 0..=1.
    #[error("a share of {share} is not from 0 to 1")]
    #[diagnostic(code(radstream::mission::share), help("expected a share from 0 to 1"))]
    Share {
        /// The share.
        share: f64,
    },
    /// More strikes than memory holds.
    #[error("{expected:e} strikes are expected in one mission")]
    #[diagnostic(
        code(radstream::mission::strikes),
        help("expected at most 1e8; check the unit of the rate, or fly shorter missions")
    )]
    Strikes {
        /// Expected strikes.
        expected: f64,
    },
    /// The store is too large for the state that is kept of it.
    #[error("{units} protected units are beyond what a mission keeps")]
    #[diagnostic(code(radstream::mission::size), help("expected at most 4e9 bits or words"))]
    Size {
        /// Units.
        units: u64,
    },
}

/// Most strikes of one mission: their times are kept in memory.
const MAX_STRIKES: f64 = 1e8;

impl Exposure {
    /// Strikes of single bits on these arrays at a constant rate.
    #[must_use]
    pub fn single(arrays: Vec<usize>, events_per_bit_hour: f64) -> Self {
        Self {
            arrays,
            strikes: RateProfile::constant(events_per_bit_hour),
            clusters: Clusters::single(),
            permanent_share: 0.0,
            permanent: None,
        }
    }

    /// Number of bits that are struck.
    #[must_use]
    pub fn bits(&self, store: &Store) -> u64 {
        self.arrays
            .iter()
            .map(|&array| store.arrays()[array].geometry.cells())
            .sum()
    }
}

impl MissionPlan {
    /// A mission without scrubber or refresh, seen at its end only.
    #[must_use]
    pub fn new(store: Store, exposures: Vec<Exposure>, duration: Hours) -> Self {
        Self {
            store,
            exposures,
            duration,
            scrub: None,
            refresh_s: None,
            at: vec![duration.0],
            after_failure: AfterFailure::AsHardware,
            reads_continuously: true,
            keep_changes: true,
            given_strike: false,
            contents: Contents::Zeros,
            seed: 1,
        }
    }

    /// Refuses what cannot be flown. Scrubber and refresh are checked where the hardware is built
    /// ([`Scrub::problem`]).
    ///
    /// # Errors
    /// [`MissionError`] with what was expected.
    pub fn check(&self) -> Result<(), MissionError> {
        let duration = self.duration.0;
        if !(duration.is_finite() && duration > 0.0) {
            return Err(MissionError::Duration { hours: duration });
        }
        let mut last = 0.0;
        for &hours in &self.at {
            if !(hours >= last && hours <= duration) {
                return Err(MissionError::Time { hours, duration });
            }
            last = hours;
        }
        for exposure in &self.exposures {
            let share = exposure.permanent_share;
            if !(0.0..=1.0).contains(&share) {
                return Err(MissionError::Share { share });
            }
        }
        let expected = self.expected_events();
        if expected > MAX_STRIKES {
            return Err(MissionError::Strikes { expected });
        }
        match self.store.unit_numbers() {
            units if units >= u64::from(u32::MAX) => Err(MissionError::Size { units }),
            _ => Ok(()),
        }
    }

    /// Expected number of strikes on all cells, redundant ones and bits that get stuck included.
    #[must_use]
    pub fn expected_events(&self) -> f64 {
        self.exposures
            .iter()
            .map(|exposure| {
                let bits = exposure.bits(&self.store);
                let of = |profile: &RateProfile| profile.expected_events(bits, Hours(0.0), self.duration);
                of(&exposure.strikes)
                    + exposure
                        .permanent
                        .as_ref()
                        .map_or(0.0, |stuck| of(&stuck.profile))
            })
            .sum()
    }

    /// Share of all missions that is flown: the probability of at least one strike where only such are.
    #[must_use]
    pub fn flown_share(&self) -> f64 {
        if self.given_strike {
            -libm::expm1(-self.expected_events())
        } else {
            1.0
        }
    }

    /// Whether any cell can get stuck.
    #[must_use]
    pub fn has_permanent_faults(&self) -> bool {
        self.exposures
            .iter()
            .any(|exposure| exposure.permanent_share > 0.0 || exposure.permanent.is_some())
    }
}
