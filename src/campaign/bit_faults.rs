//! Single faults at stored bits: what kinds that put one at a time have in common.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::{Bench, BitRecord, BitRow, Monitor, Scenario};
use crate::accelerator::StoredBit;
use crate::fault::{self, FaultModel};

/// A fault at each of some bits: fault `t` is at the bit number `t` of the list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BitFaults {
    bench: Arc<Bench>,
    bits: Vec<StoredBit>,
    model: FaultModel,
}

impl BitFaults {
    /// Bits at which a burst does not fit are left out.
    pub fn new(bench: Arc<Bench>, bits: Vec<StoredBit>, model: FaultModel) -> Self {
        let bits = sites(bench.accelerator(), bits, model);
        Self { bench, bits, model }
    }

    pub fn bench(&self) -> &Arc<Bench> {
        &self.bench
    }

    pub fn bits(&self) -> &[StoredBit] {
        &self.bits
    }

    pub fn model(&self) -> FaultModel {
        self.model
    }

    /// What these faults change.
    pub fn scenarios(&self, numbers: Range<u64>) -> Vec<Scenario> {
        let accelerator = self.bench.accelerator();
        let scenario = |&bit: &StoredBit| {
            let inverted = self.model.inverted(accelerator, bit).unwrap_or_default();
            Scenario::from(fault::changes(accelerator, &inverted))
        };
        let bits = &self.bits[numbers.start as usize..numbers.end as usize];
        bits.iter().map(scenario).collect()
    }

    pub fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<BitRecord>> {
        let bits = &self.bits[numbers.start as usize..numbers.end as usize];
        let scenarios = self.scenarios(numbers);
        let scores = self.bench.score(&scenarios, monitor)?;
        let records = bits.iter().zip(scores).map(|(&bit, score)| BitRecord {
            bit,
            changed: score.changed,
            newly_wrong: score.newly_wrong.unwrap_or(0),
            loss: score.loss,
            delta_loss: score.delta_loss,
        });
        Some(records.collect())
    }

    pub fn row(&self, record: &BitRecord) -> BitRow {
        BitRow::new(self.bench.accelerator(), record)
    }

    pub fn recall(&self, number: u64, rows: &[BitRow]) -> Result<BitRecord, String> {
        let bit = self.bits[number as usize];
        let stored = self.bench.accelerator().named(bit);
        match rows {
            [row] if row.address() == stored => Ok(row.record(bit)),
            _ => Err(format!(
                "is not the line of {}.{} element {} bit {}",
                stored.layer, stored.tensor, stored.element, stored.bit
            )),
        }
    }
}

/// Those of the bits at which such a fault can be.
pub(super) fn sites(
    accelerator: &crate::accelerator::Accelerator,
    mut bits: Vec<StoredBit>,
    model: FaultModel,
) -> Vec<StoredBit> {
    if let FaultModel::Burst(_) = model {
        bits.retain(|&bit| model.inverted(accelerator, bit).is_some());
    }
    bits
}
