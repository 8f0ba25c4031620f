//! What the weight, bias and threshold memories hold at run time.

use std::collections::BTreeSet;

use crate::accelerator::{Accelerator, LogicalBit, StoredBit};
use crate::network::{Encoding, ParamId};

/// The stored parameters with the upsets that they have suffered and that nothing has rewritten yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memories {
    values: Vec<Vec<i64>>,
    encodings: Vec<Encoding>,
    flipped: BTreeSet<StoredBit>,
    packed: Vec<Vec<u64>>,
    version: u64,
}

impl Memories {
    /// The memories without upsets.
    #[must_use]
    pub fn of(accelerator: &Accelerator) -> Self {
        let params = &accelerator.network().params;
        Self {
            values: params.iter().map(|param| param.values.clone()).collect(),
            encodings: params.iter().map(|param| param.encoding).collect(),
            flipped: BTreeSet::new(),
            packed: Vec::new(),
            version: 0,
        }
    }

    /// Memories of bare values, for stages outside a network.
    #[must_use]
    pub fn of_values(values: Vec<(Encoding, Vec<i64>)>) -> Self {
        let (encodings, values) = values.into_iter().unzip();
        Self {
            values,
            encodings,
            flipped: BTreeSet::new(),
            packed: Vec::new(),
            version: 0,
        }
    }

    /// All mantissas of a parameter in canonical order.
    #[must_use]
    pub fn values(&self, param: ParamId) -> &[i64] {
        &self.values[param.index()]
    }

    /// The mantissa of one element; 0 beyond the memory.
    #[must_use]
    pub fn value(&self, param: ParamId, element: usize) -> i64 {
        self.values[param.index()].get(element).copied().unwrap_or(0)
    }

    /// The bits of one element in the parameter's own encoding; 0 beyond the memory.
    #[must_use]
    pub fn bits(&self, param: ParamId, element: usize) -> u64 {
        self.values[param.index()]
            .get(element)
            .map_or(0, |&value| self.encodings[param.index()].bits_of(value))
    }

    /// The weight words of all steps of one matrix product, where they were packed.
    #[must_use]
    pub fn packed(&self, slot: usize) -> Option<&[u64]> {
        self.packed
            .get(slot)
            .map(Vec::as_slice)
            .filter(|words| !words.is_empty())
    }

    /// Keeps the weight words of all steps of one matrix product, as its weights are now.
    pub fn keep_packed(&mut self, slot: usize, words: Vec<u64>) {
        if self.packed.len() <= slot {
            self.packed.resize(slot + 1, Vec::new());
        }
        self.packed[slot] = words;
    }

    /// Overwrites packed weight words from a limb on, until they are packed anew.
    pub fn write_packed(&mut self, slot: usize, at: usize, words: &[u64]) {
        let kept = self
            .packed
            .get_mut(slot)
            .and_then(|kept| kept.get_mut(at..at + words.len()));
        if let Some(kept) = kept {
            kept.copy_from_slice(words);
        }
    }

    /// A number that grows whenever a value changes.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The stored bits that are wrong.
    #[must_use]
    pub fn flipped(&self) -> &BTreeSet<StoredBit> {
        &self.flipped
    }

    /// Flips one stored bit; a second flip restores it.
    ///
    /// # Panics
    /// Where the bit is not below the map's number of bits.
    pub fn flip(&mut self, accelerator: &Accelerator, bit: StoredBit) {
        if !self.flipped.remove(&bit) {
            self.flipped.insert(bit);
        }
        let map = accelerator.map();
        if map.is_padding(bit) {
            return;
        }
        let logical = map.logical(bit);
        let width = accelerator.stored_width(logical.param).unwrap_or(0);
        let mask = (0..width)
            .filter(|&bit| {
                let stored = map.find(LogicalBit { bit, ..logical });
                stored.is_some_and(|stored| self.flipped.contains(&stored))
            })
            .fold(0u64, |mask, bit| mask | 1 << bit);
        let fault_free = accelerator.network().param(logical.param).values[logical.element as usize];
        let value = accelerator
            .flipped_value(logical.param, logical.element, mask)
            .unwrap_or(fault_free);
        self.values[logical.param.index()][logical.element as usize] = value;
        self.version += 1;
    }

    /// Rewrites every word that holds a wrong bit, as a refresh does.
    pub fn refresh(&mut self, accelerator: &Accelerator) {
        for bit in std::mem::take(&mut self.flipped) {
            let map = accelerator.map();
            if !map.is_padding(bit) {
                let logical = map.logical(bit);
                self.values[logical.param.index()][logical.element as usize] =
                    accelerator.network().param(logical.param).values[logical.element as usize];
            }
        }
        self.version += 1;
    }
}
