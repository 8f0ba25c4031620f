//! The stored values that an evaluation reads.

use crate::network::{Network, ParamId};

/// A stored value that differs from the fault-free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which parameter.
    pub param: ParamId,
    /// Which of its elements.
    pub element: u32,
    /// The mantissa that is read instead.
    pub mantissa: i64,
}

/// The mantissas of every parameter; a fault changes some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    values: Vec<Vec<i64>>,
}

impl Parameters {
    /// The fault-free values.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        Self {
            values: network.params.iter().map(|param| param.values.clone()).collect(),
        }
    }

    /// The values under faults; of several changes of one element the last one counts.
    ///
    /// # Panics
    /// Where the network has no such element.
    #[must_use]
    pub fn under(network: &Network, changes: &[Change]) -> Self {
        let mut parameters = Self::of(network);
        for change in changes {
            parameters.replace(change.param, change.element as usize, change.mantissa);
        }
        parameters
    }

    /// All mantissas of one parameter.
    #[must_use]
    pub fn values(&self, id: ParamId) -> &[i64] {
        &self.values[id.index()]
    }

    /// Replaces one element and returns the mantissa that was there.
    pub fn replace(&mut self, id: ParamId, element: usize, mantissa: i64) -> i64 {
        std::mem::replace(&mut self.values[id.index()][element], mantissa)
    }
}
