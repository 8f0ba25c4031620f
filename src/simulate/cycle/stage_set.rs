//! Sets of stages.

/// Some of a pipeline's stages.
#[derive(Clone, Debug)]
pub(super) struct StageSet(Vec<u64>);

impl StageSet {
    /// None of so many stages.
    pub(super) fn of(stages: usize) -> Self {
        Self(vec![0; stages.div_ceil(64)])
    }

    #[inline]
    pub(super) fn insert(&mut self, stage: usize) {
        self.0[stage / 64] |= 1 << (stage % 64);
    }

    #[inline]
    pub(super) fn remove(&mut self, stage: usize) {
        self.0[stage / 64] &= !(1 << (stage % 64));
    }

    #[inline]
    pub(super) fn contains(&self, stage: usize) -> bool {
        self.0[stage / 64] >> (stage % 64) & 1 == 1
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&bits| bits == 0)
    }

    /// The highest stage below `below`.
    #[inline]
    pub(super) fn below(&self, below: usize) -> Option<usize> {
        let mut limb = below / 64;
        let mut bits = match self.0.get(limb) {
            Some(bits) => bits & ((1u64 << (below % 64)) - 1),
            None => 0,
        };
        loop {
            if bits != 0 {
                return Some(limb * 64 + 63 - bits.leading_zeros() as usize);
            }
            limb = limb.checked_sub(1)?;
            bits = self.0[limb];
        }
    }
}
