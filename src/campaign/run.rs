//! The loop that every kind of campaign runs through.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::records::{RecordError, RecordFile};
use super::{Kind, Monitor};

/// Which part of a campaign's trials: part `index` (from 1) of `of` parts that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which part, from 1.
    pub index: u64,
    /// How many parts there are.
    pub of: u64,
}

/// A text that names no part.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` is no part of a campaign")]
#[diagnostic(
    code(radstream::campaign::shard),
    help("expected PART/PARTS, e.g. 2/8 for the second of eight parts")
)]
pub struct ShardError {
    text: String,
}

impl Shard {
    /// All trials.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Its trials out of so many.
    #[must_use]
    pub fn range(self, trials: u64) -> Range<u64> {
        let cut = |parts: u64| (u128::from(trials) * u128::from(parts) / u128::from(self.of.max(1))) as u64;
        cut(self.index.saturating_sub(1))..cut(self.index)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.trim().parse().ok()?, of.trim().parse().ok()?)));
        match parsed {
            Some((index, of)) if (1..=of).contains(&index) && of <= 1_000_000 => Ok(Self { index, of }),
            _ => Err(ShardError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// When a campaign may end before its last trial: where a number is known well enough. It looks after 100, 200, 400,
/// ... trials only, so that where it ends does not depend on blocks or threads. Of two conditions both have to hold.
///
/// Looking several times makes the interval cover a little less than its rate: with few looks and a method
/// that errs on the safe side by little, and the report says that a rule ended it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopRule {
    /// Half the width of the main number's interval over the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
    /// Half the width of the main share's interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
}

impl StopRule {
    /// Ends where the main number is known within a relative error.
    #[must_use]
    pub fn relative_error(error: f64) -> Self {
        Self {
            relative_error: Some(error),
            ..Self::default()
        }
    }

    /// Ends where the main share is known within so much.
    #[must_use]
    pub fn margin(margin: f64) -> Self {
        Self {
            margin: Some(margin),
            ..Self::default()
        }
    }
}

/// Trials after which a stop rule looks for the first time.
const FIRST_LOOK: u64 = 100;

/// Trials of the first block; later ones grow and shrink with the time they take.
const FIRST_BLOCK: u64 = 64;

/// Shortest and longest time that a block should take: an interruption loses one block.
const BLOCK_TIME: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// How many times longer than what every block takes whatever its size; at most [`LONGEST_BLOCK`].
const AMORTISED: u32 = 10;

/// Time that no block should take longer than.
const LONGEST_BLOCK: Duration = Duration::from_secs(60);

/// Why a campaign could not be run.
#[derive(Debug, Error, Diagnostic)]
pub enum RunError {
    /// Its records.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Records(#[from] RecordError),
    /// The kind has no number that a stop rule could look at.
    #[error("a campaign of the kind `{kind}` has no stop rule")]
    #[diagnostic(
        code(radstream::campaign::stop),
        help("expected a fixed number of trials; leave the relative error out")
    )]
    NoStopRule {
        /// The kind.
        kind: &'static str,
    },
    /// A stop rule with a part of the trials.
    #[error("a part of a campaign cannot end by a stop rule, which looks at all trials")]
    #[diagnostic(
        code(radstream::campaign::stop),
        help("expected either a part of the trials or a relative error")
    )]
    StopInShard,
}

/// A campaign about to run.
#[derive(Debug)]
pub struct Run<'k, K: Kind> {
    kind: &'k K,
    shard: Shard,
    stop: Option<StopRule>,
    file: Option<(PathBuf, String)>,
    resume: bool,
}

/// How a campaign ended.
#[derive(Debug)]
pub struct Finished<K: Kind> {
    /// Sums over its trials.
    pub sums: K::Sums,
    /// How many trials there were.
    pub trials: u64,
    /// Whether the last trial was reached, or a stop rule ended it; otherwise the monitor did.
    pub complete: bool,
    /// How many of the trials an earlier run had finished.
    pub recalled: u64,
}

impl<K: Kind> Finished<K> {
    /// What the trials came to.
    #[must_use]
    pub fn report(&self, kind: &K) -> K::Report {
        kind.report(&self.sums)
    }
}

impl<'k, K: Kind> Run<'k, K> {
    /// All trials, without records.
    #[must_use]
    pub fn new(kind: &'k K) -> Self {
        Self {
            kind,
            shard: Shard::WHOLE,
            stop: None,
            file: None,
            resume: false,
        }
    }

    /// Only a part of the trials.
    #[must_use]
    pub fn shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// Ends by a stop rule.
    #[must_use]
    pub fn until(mut self, stop: Option<StopRule>) -> Self {
        self.stop = stop;
        self
    }

    /// Writes the records to `<stem>.csv` in a folder, and to `<stem>.partial` until they are complete. With
    /// `resume`, whole trials that are there already are kept: they have to be those of this very campaign.
    #[must_use]
    pub fn into_file(mut self, folder: &Path, stem: &str, resume: bool) -> Self {
        self.file = Some((folder.to_owned(), stem.to_owned()));
        self.resume = resume;
        self
    }

    /// Runs it to its end, or until the monitor stops it.
    ///
    /// # Errors
    /// [`RunError`] where records cannot be read or written, or a stop rule has no meaning.
    pub fn go(self, monitor: &dyn Monitor) -> Result<Finished<K>, RunError> {
        let kind = self.kind;
        let range = self.shard.range(kind.trials());
        if self.stop.is_some() && self.shard != Shard::WHOLE {
            return Err(RunError::StopInShard);
        }
        let mut sums = kind.sums();
        let mut next = range.start;
        let mut file = None;
        if let Some((folder, stem)) = &self.file {
            let add = |number: u64, trial: K::Trial| {
                kind.add(&mut sums, number, &trial);
                monitor.advance(kind.work_per_trial());
                next = number + 1;
            };
            let opened = RecordFile::open(kind, folder, stem, range.clone(), self.resume, add)?;
            if opened.is_complete() {
                if next < range.end && !self.stops(&sums, next)? {
                    return Err(opened.too_short(kind, next - range.start, range).into());
                }
                return Ok(Finished {
                    sums,
                    trials: next - range.start,
                    complete: true,
                    recalled: next - range.start,
                });
            }
            file = Some(opened);
        }
        let recalled = next - range.start;
        let mut size = FIRST_BLOCK;
        let mut complete = true;
        while next < range.end {
            if self.stops(&sums, next)? {
                break;
            }
            size = size.clamp(1, kind.largest_block().max(1));
            let mut end = range.end.min(next + size);
            if self.stop.is_some() {
                end = end.min(next_look(next));
            }
            let started = Instant::now();
            let Some(trials) = (!monitor.stopped())
                .then(|| kind.block(next..end, monitor))
                .flatten()
            else {
                complete = false;
                break;
            };
            if let Some(file) = &mut file {
                let numbered = (next..end).zip(&trials);
                file.append(numbered.flat_map(|(number, trial)| kind.rows(number, trial)))?;
            }
            for (number, trial) in (next..end).zip(&trials) {
                kind.add(&mut sums, number, trial);
            }
            next = end;
            let elapsed = started.elapsed();
            let overhead = (kind.overhead() * AMORTISED).min(LONGEST_BLOCK);
            let (short, long) = (BLOCK_TIME.0.max(overhead / 2), BLOCK_TIME.1.max(overhead));
            if elapsed < short / 16 {
                size *= 16;
            } else if elapsed < short {
                size *= 2;
            } else if elapsed > long {
                size /= 2;
            }
        }
        if let (true, Some(file)) = (complete, file) {
            file.finish()?;
        }
        Ok(Finished {
            sums,
            trials: next - range.start,
            complete,
            recalled,
        })
    }

    /// Whether the stop rule ends it before the trial `next`.
    fn stops(&self, sums: &K::Sums, next: u64) -> Result<bool, RunError> {
        let Some(rule) = self.stop else {
            return Ok(false);
        };
        if next < FIRST_LOOK || next_look(next - 1) != next {
            return Ok(false);
        }
        let kind = self.kind;
        let conditions = [
            (rule.relative_error, kind.relative_error(sums)),
            (rule.margin, kind.margin(sums)),
        ];
        let mut holds = true;
        for (most, error) in conditions {
            let Some(most) = most else { continue };
            if error.is_none() && next == FIRST_LOOK {
                return Err(RunError::NoStopRule { kind: kind.name() });
            }
            holds &= error.is_some_and(|error| error <= most);
        }
        Ok(holds)
    }
}

/// The first number of trials behind `done` after which a stop rule looks.
fn next_look(done: u64) -> u64 {
    let mut look = FIRST_LOOK;
    while look <= done {
        look = look.saturating_mul(2);
    }
    look
}
