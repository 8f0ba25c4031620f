//! Choosing bits to protect under a budget.

mod budget;

pub use budget::{Budget, BudgetError};

use crate::accelerator::Accelerator;
use crate::scheme::{AreaReport, Ledger, Protection, Scheme};
use crate::sensitivity::RankedBit;

/// The chosen bits and what they cost.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Chosen bits with their scores, most important first.
    pub chosen: Vec<RankedBit>,
    /// The scheme that was asked for.
    pub scheme: Scheme,
    /// What is protected.
    pub protection: Protection,
    /// Extra area that the budget allows, in the technology's unit.
    pub allowed_area: f64,
    /// Area of the plain design, of this choice, and of protecting everything under the scheme.
    pub area: AreaReport,
}

/// Protects the bits of highest score until the budget is spent.
///
/// Bits whose score is not above `least_score` are never worth it. A bit that does not fit any more
/// is passed over, because a later one may share a voter that is already paid for.
#[must_use]
pub fn select(
    accelerator: &Accelerator,
    scheme: Scheme,
    ranking: &[RankedBit],
    least_score: f64,
    budget: Budget,
) -> Selection {
    let mut ledger = Ledger::new(accelerator, scheme);
    let allowed_area = budget.allowed_area(&ledger.report(accelerator));
    let mut chosen = Vec::new();
    // Rounding of a sum of thousands of cells must not decide about the last one.
    let ceiling = allowed_area * (1.0 + 1e-12);
    for ranked in ranking.iter().filter(|ranked| ranked.score > least_score) {
        let area = ledger.protect(accelerator, ranked.bit, scheme);
        if area.is_ok_and(|area| area <= ceiling) {
            chosen.push(*ranked);
        } else {
            ledger.release(accelerator, ranked.bit);
        }
    }
    Selection {
        chosen,
        scheme,
        allowed_area,
        area: ledger.report(accelerator),
        protection: ledger.into_protection(),
    }
}
