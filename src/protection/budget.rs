//! How much extra area a protection may take.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use thiserror::Error;

use crate::scheme::AreaReport;

/// A budget for extra area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Percent of the extra area of protecting every stored bit (`32%tmr`).
    PercentOfFull(f64),
    /// Percent of the plain memory's area (`10%mem`).
    PercentOfMemory(f64),
    /// Area in the technology's unit (`500ge`).
    Area(f64),
}

/// Why a text is no budget.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("the budget `{text}` {problem}")]
#[diagnostic(
    code(radstream::budget),
    help(
        "expected `32%tmr` (of full triplication's extra area), `10%mem` (of the plain memory's area) or `500ge` (gate equivalents or the technology's unit), at least 0"
    )
)]
pub struct BudgetError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Budget {
    /// The extra area that it allows.
    #[must_use]
    pub fn allowed_area(self, plain: &AreaReport) -> f64 {
        match self {
            Budget::PercentOfFull(percent) => percent / 100.0 * (plain.full_area - plain.plain_area),
            Budget::PercentOfMemory(percent) => percent / 100.0 * plain.plain_area,
            Budget::Area(area) => area,
        }
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |problem| BudgetError {
            text: text.to_owned(),
            problem,
        };
        let lower = text.trim().to_ascii_lowercase();
        let unit_at = lower
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(unit_at);
        let value: f64 = number.parse().map_err(|_| fail("does not start with a number"))?;
        if !value.is_finite() {
            return Err(fail("is no finite number"));
        }
        if value < 0.0 {
            return Err(fail("is below zero"));
        }
        match unit.trim() {
            "%tmr" => Ok(Budget::PercentOfFull(value)),
            "%mem" => Ok(Budget::PercentOfMemory(value)),
            "ge" | "lut" => Ok(Budget::Area(value)),
            "" | "%" => Err(fail("has no unit")),
            _ => Err(fail("has an unknown unit")),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::PercentOfFull(percent) => write!(f, "{percent}%tmr"),
            Budget::PercentOfMemory(percent) => write!(f, "{percent}%mem"),
            Budget::Area(area) => write!(f, "{area}ge"),
        }
    }
}
