//! Rankings of stored bits.

use crate::accelerator::StoredBit;
use crate::campaign::BitRecord;

/// A stored bit with its score, most important first in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedBit {
    /// The bit.
    pub bit: StoredBit,
    /// The higher, the more it matters.
    pub score: f64,
}

/// The ranking by measured loss: the rise of the mean loss that the flip of the bit caused, lower
/// bit first among equals.
#[must_use]
pub fn by_measured_loss(records: &[BitRecord]) -> Vec<RankedBit> {
    let mut ranking: Vec<RankedBit> = records
        .iter()
        .map(|record| RankedBit {
            bit: record.bit,
            score: record.delta_loss,
        })
        .collect();
    ranking.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.bit.cmp(&b.bit)));
    ranking
}
