//! Sets of stages.

/// Some of a pipeline's stages.
#[derive(Clone, Debug)]
pub(super) struct StageSet {
    bits: Vec<u64>,
    /// Which limbs of `bits` are not 0.
    filled: Vec<u64>,
}

impl StageSet {
    /// None of so many stages.
    pub(super) fn of(stages: usize) -> Self {
        let limbs = stages.div_ceil(64);
        Self {
            bits: vec![0; limbs],
            filled: vec![0; limbs.div_ceil(64)],
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, stage: usize) {
        let limb = stage / 64;
        self.bits[limb] |= 1 << (stage % 64);
        self.filled[limb / 64] |= 1 << (limb % 64);
    }

    #[inline]
    pub(super) fn remove(&mut self, stage: usize) {
        let limb = stage / 64;
        self.bits[limb] &= !(1 << (stage % 64));
        if self.bits[limb] == 0 {
            self.filled[limb / 64] &= !(1 << (limb % 64));
        }
    }

    #[inline]
    pub(super) fn contains(&self, stage: usize) -> bool {
        self.bits[stage / 64] >> (stage % 64) & 1 == 1
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.filled.iter().all(|&limbs| limbs == 0)
    }

    /// The highest stage below `below`.
    #[inline]
    pub(super) fn below(&self, below: usize) -> Option<usize> {
        let limb = below / 64;
        let bits = match self.bits.get(limb) {
            Some(bits) => bits & ((1u64 << (below % 64)) - 1),
            None => 0,
        };
        if bits != 0 {
            return Some(highest(limb, bits));
        }
        let mut group = limb / 64;
        let mut limbs = match self.filled.get(group) {
            Some(limbs) => limbs & ((1u64 << (limb % 64)) - 1),
            None => 0,
        };
        while limbs == 0 {
            group = group.checked_sub(1)?;
            limbs = self.filled[group];
        }
        let limb = highest(group, limbs);
        Some(highest(limb, self.bits[limb]))
    }
}

/// The number of the highest bit of a limb that is not 0.
#[inline]
fn highest(limb: usize, bits: u64) -> usize {
    limb * 64 + 63 - bits.leading_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_next_below_is_that_of_an_ordered_set(
            stages in 1usize..9000,
            steps in prop::collection::vec((any::<bool>(), 0usize..9000, 0usize..9001), 1..60),
        ) {
            let (mut set, mut expected) = (StageSet::of(stages), BTreeSet::new());
            for (inserts, stage, below) in steps {
                let (stage, below) = (stage % stages, below % (stages + 1));
                if inserts {
                    set.insert(stage);
                    expected.insert(stage);
                } else {
                    set.remove(stage);
                    expected.remove(&stage);
                }
                prop_assert_eq!(set.contains(stage), inserts);
                prop_assert_eq!(set.is_empty(), expected.is_empty());
                prop_assert_eq!(set.below(below), expected.range(..below).next_back().copied());
            }
        }
    }
}
