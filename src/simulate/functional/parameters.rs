//! The stored values that an evaluation reads.

use crate::network::{Network, ParamId};

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
