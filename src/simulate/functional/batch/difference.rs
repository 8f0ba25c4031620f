//! What differs from the loaded samples in one tensor.

use super::row::{Row, SAMPLES, is_any};

/// Marks an element without a difference.
const NONE: u32 = u32::MAX;

/// The elements of a tensor that differ in any lane.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which, each once.
    pub elements: Vec<u32>,
    /// Their mantissas under the fault.
    pub rows: Vec<Row<i32>>,
    /// What that is above the loaded mantissas.
    pub rises: Vec<Row<i32>>,
    /// Place of each element in the lists.
    places: Vec<u32>,
}

impl Difference {
    /// None, for a tensor of so many elements.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            elements: Vec::new(),
            rows: Vec::new(),
            rises: Vec::new(),
            places: vec![NONE; len],
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for element in self.elements.drain(..) {
            self.places[element as usize] = NONE;
        }
        self.rows.clear();
        self.rises.clear();
    }

    /// Adds an element whose mantissas may differ from the loaded ones.
    #[inline(always)]
    pub fn note(&mut self, element: usize, loaded: &Row<i32>, row: &Row<i32>) {
        let mut rise = *row;
        for lane in 0..SAMPLES {
            rise.0[lane] = rise.0[lane].wrapping_sub(loaded.0[lane]);
        }
        if is_any(&rise) {
            self.places[element] = self.elements.len() as u32;
            self.elements.push(element as u32);
            self.rows.push(*row);
            self.rises.push(rise);
        }
    }

    /// The place of an element in the lists, where it differs.
    #[must_use]
    #[inline(always)]
    pub fn place(&self, element: usize) -> Option<u32> {
        match self.places[element] {
            NONE => None,
            place => Some(place),
        }
    }

    /// An element's mantissas under the fault; `None` where they are the loaded ones.
    #[must_use]
    #[inline(always)]
    pub fn row(&self, element: usize) -> Option<&Row<i32>> {
        match self.places[element] {
            NONE => None,
            place => Some(&self.rows[place as usize]),
        }
    }
}
