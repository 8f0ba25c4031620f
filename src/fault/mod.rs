//! Upsets placed on stored bits, and what the stored values become.

mod boundary;
mod injection;
mod list;
mod model;
mod placement;
mod reach;
mod strike;

pub use boundary::{Boundary, bits_of, boundaries, together};
pub use injection::{Effect, Injection, changes, describe};
pub use list::{
    FaultListError, ListedFault, ListedStrike, ListedTrial, read_list, read_strikes, read_trials,
};
pub use model::{FaultModel, FaultModelError};
pub use placement::{place, run_from};
pub use reach::{Reach, reach};
pub use strike::{Targets, WireTensor};

use rand::{Rng, RngExt};

use crate::accelerator::{Accelerator, StoredBit};

/// Draws `count` hits uniformly over all stored bits, with replacement, from a stream of random numbers.
#[must_use]
pub fn draw(accelerator: &Accelerator, count: u64, random: &mut impl Rng) -> Vec<ListedFault> {
    let total = accelerator.map().total_bits();
    let hits = if total == 0 { 0 } else { count };
    (0..hits)
        .map(|hit| ListedFault {
            line: hit,
            bit: StoredBit(random.random_range(0..total)),
            cycle: None,
            trial: None,
        })
        .collect()
}

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
