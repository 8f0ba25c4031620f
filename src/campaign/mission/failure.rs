//! What counts as a failure of the function.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::campaign::Score;

/// What counts as a failure of the accelerator's function on its workload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Any output integer of any sample differs from the fault-free run.
    Any,
    /// A sample is classified right without and wrong with the faults.
    Class,
    /// The mean loss over the samples is above so much.
    LossAbove(f64),
}

impl Failure {
    /// Whether a score is a failure.
    #[must_use]
    pub fn holds(self, score: &Score) -> bool {
        match self {
            Self::Any => score.changed > 0,
            Self::Class => score.newly_wrong.is_some_and(|wrong| wrong > 0),
            Self::LossAbove(loss) => score.loss > loss,
        }
    }

    /// What counts, in a sentence.
    #[must_use]
    pub fn means(self) -> String {
        match self {
            Self::Any => "any output integer of any sample differs from the fault-free run".to_owned(),
            Self::Class => "a sample that is classified right without faults is classified wrong".to_owned(),
            Self::LossAbove(loss) => format!("the mean loss over the samples is above {loss}"),
        }
    }
}

/// A text that names no failure.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` does not say what counts as a failure")]
#[diagnostic(
    code(radstream::mission::failure),
    help("expected any, class, or loss>X with a number X, e.g. loss>0.05")
)]
pub struct FailureError {
    text: String,
}

impl FromStr for Failure {
    type Err = FailureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let above = || {
            text.trim()
                .strip_prefix("loss")?
                .trim()
                .strip_prefix('>')?
                .trim()
                .parse()
                .ok()
        };
        match text.trim() {
            "any" => Ok(Self::Any),
            "class" => Ok(Self::Class),
            _ => above()
                .filter(|loss: &f64| loss.is_finite())
                .map(Self::LossAbove)
                .ok_or_else(|| FailureError {
                    text: text.to_owned(),
                }),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Class => f.write_str("class"),
            Self::LossAbove(loss) => write!(f, "loss>{loss}"),
        }
    }
}
