//! What differences of a recorded run have come to before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::struck::Struck;

/// A difference from a recorded run in front of an edge, cut to 128 bits: two unequal ones have the same key as rarely
/// as two random numbers of 128 bits are equal.
pub(super) type Key = u128;

/// What differences from one recorded run come to, with one bound. Strikes that lead to the same difference at the same
/// edge share what follows ([`super::Recording::strike_known`]).
pub struct Known {
    shards: Vec<Mutex<HashMap<Key, Arc<Struck>>>>,
}

/// Parts of the map with a lock each.
const SHARDS: usize = 64;

/// Most keys of a part; they are all forgotten where they become more.
const MOST_KEYS: usize = 1 << 17;

impl Default for Known {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Known {
    fn shard(&self, key: Key) -> &Mutex<HashMap<Key, Arc<Struck>>> {
        &self.shards[(key >> 64) as usize % SHARDS]
    }

    pub(super) fn find(&self, key: Key) -> Option<Arc<Struck>> {
        let shard = self.shard(key).lock();
        shard.unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(super) fn keep(&self, keys: &[Key], struck: &Arc<Struck>) {
        for &key in keys {
            let shard = self.shard(key).lock();
            let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
            if shard.len() >= MOST_KEYS {
                shard.clear();
            }
            shard.insert(key, Arc::clone(struck));
        }
    }
}

/// Numbers folded into a key, in their order.
#[derive(Clone, Copy)]
pub(super) struct Folded([u64; 2]);

impl Folded {
    pub(super) fn new() -> Self {
        Self([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344])
    }

    #[inline]
    pub(super) fn fold(&mut self, number: u64) {
        let [low, high] = self.0;
        let mix = |state: u64, factor: u64| {
            let product = u128::from(state ^ number) * u128::from(factor);
            (product as u64 ^ (product >> 64) as u64).wrapping_add(state.rotate_left(23))
        };
        self.0 = [
            mix(low, 0x9e37_79b9_7f4a_7c15),
            mix(high.rotate_left(32), 0xd1b5_4a32_d192_ed03),
        ];
    }

    pub(super) fn fold_all(&mut self, numbers: &[u64]) {
        self.fold(numbers.len() as u64);
        numbers.iter().for_each(|&number| self.fold(number));
    }

    pub(super) fn key(self) -> Key {
        u128::from(self.0[0]) << 64 | u128::from(self.0[1])
    }
}
