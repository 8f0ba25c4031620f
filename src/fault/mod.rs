//! Upsets placed on stored bits, and what the stored values become.

mod injection;
mod list;

pub use injection::{Effect, Injection, changes, describe};
pub use list::{FaultListError, ListedFault, read_list};

use crate::accelerator::StoredBit;

/// The bits that are wrong after a sequence of hits: a second hit restores a bit.
#[must_use]
pub fn wrong_bits(hits: impl IntoIterator<Item = StoredBit>) -> Vec<StoredBit> {
    let mut hits: Vec<StoredBit> = hits.into_iter().collect();
    hits.sort_unstable();
    let mut wrong: Vec<StoredBit> = Vec::with_capacity(hits.len());
    for bit in hits {
        if wrong.last() == Some(&bit) {
            wrong.pop();
        } else {
            wrong.push(bit);
        }
    }
    wrong
}
