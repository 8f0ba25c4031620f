//! What a stream carries at every edge of a recorded run.

use std::collections::HashMap;

use bitvec::vec::BitVec;

/// What a stream carries at every edge.
pub(super) struct Track {
    limbs: usize,
    pub(super) valid: BitVec<u64>,
    pub(super) ready: BitVec<u64>,
    /// The edges before which the word changes, ascending, and which word of the dictionary comes.
    changes: Vec<(u32, u32)>,
    words: Vec<u64>,
    dictionary: HashMap<Vec<u64>, u32>,
}

impl Track {
    pub(super) fn new(limbs: usize) -> Self {
        Self {
            limbs,
            valid: BitVec::new(),
            ready: BitVec::new(),
            changes: Vec::new(),
            words: Vec::new(),
            dictionary: HashMap::new(),
        }
    }

    /// The next edge.
    pub(super) fn see(&mut self, cycle: u32, valid: bool, ready: bool, word: &[u64]) {
        self.valid.push(valid);
        self.ready.push(ready);
        if let Some(&(_, last)) = self.changes.last()
            && self.at(last) == word
        {
            return;
        }
        let fresh = self.dictionary.len() as u32;
        let index = match self.dictionary.get(word) {
            Some(&index) => index,
            None => {
                self.words.extend_from_slice(word);
                self.dictionary.insert(word.to_vec(), fresh);
                fresh
            }
        };
        self.changes.push((cycle, index));
    }

    /// There is no further edge.
    pub(super) fn end(&mut self) {
        self.dictionary = HashMap::new();
    }

    fn at(&self, index: u32) -> &[u64] {
        let from = index as usize * self.limbs;
        &self.words[from..from + self.limbs]
    }

    /// Moves `hint` to the place in the changes of an edge's word.
    fn find(&self, cycle: u64, hint: &mut usize) {
        let cycle = u32::try_from(cycle).unwrap_or(u32::MAX);
        let is_at = |at: usize| {
            let begun = self.changes.get(at).is_some_and(|&(since, _)| since <= cycle);
            begun && self.changes.get(at + 1).is_none_or(|&(since, _)| since > cycle)
        };
        if !is_at(*hint) {
            *hint += 1;
            if !is_at(*hint) {
                *hint = self.changes.partition_point(|&(since, _)| since <= cycle) - 1;
            }
        }
    }

    /// The word at an edge; `hint` is a place in the changes to look at first, and is moved there.
    pub(super) fn word(&self, cycle: u64, hint: &mut usize) -> &[u64] {
        self.find(cycle, hint);
        self.at(self.changes[*hint].1)
    }

    /// The first edge behind one of the recorded edges at which the stream carries something else; none where there is
    /// none.
    pub(super) fn next_change(&self, cycle: u64, hint: &mut usize) -> Option<u64> {
        self.find(cycle, hint);
        let word = self.changes.get(*hint + 1).map(|&(since, _)| u64::from(since));
        let [valid, ready] = [&self.valid, &self.ready].map(|bits| next_turn(bits, cycle as usize));
        [valid, ready, word].into_iter().flatten().min()
    }
}

/// The first bit behind bit `from` that is another; none where there is none.
fn next_turn(bits: &BitVec<u64>, from: usize) -> Option<u64> {
    let same = if *bits.get(from)? { u64::MAX } else { 0 };
    let limbs = bits.as_raw_slice();
    let (mut limb, mut cut) = (from / 64, u64::MAX << (from % 64));
    loop {
        let turned = (limbs.get(limb)? ^ same) & cut;
        if turned != 0 {
            let at = limb * 64 + turned.trailing_zeros() as usize;
            return (at < bits.len()).then_some(at as u64);
        }
        (limb, cut) = (limb + 1, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_turn_is_the_next_other_bit(runs in prop::collection::vec(1usize..150, 1..8), from in 0usize..400) {
            let mut bits = BitVec::<u64>::new();
            for (at, &run) in runs.iter().enumerate() {
                bits.resize(bits.len() + run, at % 2 == 1);
            }
            let next = (from..bits.len()).find(|&at| bits[at] != bits[from]);
            prop_assert_eq!(next_turn(&bits, from), next.map(|at| at as u64));
        }
    }
}
