//! Every stored bit by itself.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::bit_faults::BitFaults;
use super::{Bench, BitRecord, BitRow, Kind, Monitor, TrialUnit};
use crate::accelerator::StoredBit;
use crate::fault::FaultModel;

/// A fault at each of some bits by itself: trial `t` is the bit number `t` of the list.
#[derive(Clone, Debug, Serialize)]
pub struct Exhaustive {
    faults: BitFaults,
}

/// What the flips of one bit position of one tensor come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BitGroup {
    /// The layer.
    pub layer: String,
    /// The tensor.
    pub tensor: &'static str,
    /// Bit of the element, 0 least significant.
    pub bit: u32,
    /// Bits that were flipped.
    pub bits: u64,
    /// Sensitive ones.
    pub sensitive: u64,
    /// Mean of `|delta_loss|`.
    pub mean_abs_delta_loss: f64,
    /// Newly wrong samples, summed.
    pub newly_wrong: u64,
}

/// Sums over the flips.
#[derive(Clone, Debug, Default)]
pub struct ExhaustiveSums {
    bits: u64,
    sensitive: u64,
    raised: f64,
    largest: f64,
    harmless: u64,
    newly_wrong: u64,
    /// In the order in which they first come; the mean is a sum until the report.
    groups: Vec<BitGroup>,
}

/// What an exhaustive campaign comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExhaustiveReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `exhaustive`.
    pub kind: &'static str,
    /// What a fault does: `flip`, `stuck-at-0`, `stuck-at-1`, `burst:K`.
    pub fault: String,
    /// Samples of the workload.
    pub samples: usize,
    /// The loss.
    pub loss: &'static str,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Mean share of right classes without faults, where it is known what is right.
    pub fault_free_accuracy: Option<f64>,
    /// Stored bits of the accelerator.
    pub stored_bits: u64,
    /// Bits that were flipped.
    pub bits: u64,
    /// Stored bits that were not.
    pub not_examined_bits: u64,
    /// Bits whose flip raises the mean loss.
    pub sensitive_bits: u64,
    /// Their share of the flipped ones.
    pub sensitive_share: f64,
    /// When a bit is sensitive.
    pub sensitive_means: &'static str,
    /// Sum of all rises of the mean loss.
    pub cumulative_delta_loss: f64,
    /// Largest rise of the mean loss.
    pub largest_delta_loss: f64,
    /// Bits whose flip changed no output of any sample.
    pub harmless_bits: u64,
    /// Bits whose flip made a right sample wrong.
    pub newly_wrong_bits: u64,
    /// By layer, tensor and bit position.
    pub by_bit: Vec<BitGroup>,
}

impl Exhaustive {
    /// Flips of these bits, in their order.
    #[must_use]
    pub fn new(bench: Arc<Bench>, bits: Vec<StoredBit>) -> Self {
        Self::of(bench, bits, FaultModel::Flip)
    }

    /// Faults at these bits, in their order; bits at which a burst does not fit are left out.
    #[must_use]
    pub fn of(bench: Arc<Bench>, bits: Vec<StoredBit>, model: FaultModel) -> Self {
        Self {
            faults: BitFaults::new(bench, bits, model),
        }
    }

    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &[StoredBit] {
        self.faults.bits()
    }
}

impl Kind for Exhaustive {
    type Trial = BitRecord;
    type Row = BitRow;
    type Sums = ExhaustiveSums;
    type Report = ExhaustiveReport;

    fn name(&self) -> &'static str {
        "exhaustive"
    }

    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Bit
    }

    fn columns(&self) -> &'static str {
        BitRow::COLUMNS
    }

    fn trials(&self) -> u64 {
        self.faults.bits().len() as u64
    }

    fn work_per_trial(&self) -> u64 {
        self.faults.bench().samples() as u64
    }

    fn largest_block(&self) -> u64 {
        self.faults.bench().block() as u64
    }

    fn overhead(&self) -> Duration {
        self.faults.bench().loading()
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<BitRecord>> {
        self.faults.block(numbers, monitor)
    }

    fn rows(&self, _number: u64, record: &BitRecord) -> Vec<BitRow> {
        vec![self.faults.row(record)]
    }

    fn recall(&self, number: u64, rows: Vec<BitRow>) -> Result<BitRecord, String> {
        self.faults.recall(number, &rows)
    }

    fn sums(&self) -> ExhaustiveSums {
        ExhaustiveSums::default()
    }

    fn add(&self, sums: &mut ExhaustiveSums, _number: u64, record: &BitRecord) {
        sums.bits += 1;
        sums.sensitive += u64::from(record.is_sensitive());
        if record.delta_loss > 0.0 {
            sums.raised += record.delta_loss;
        }
        sums.largest = sums.largest.max(record.delta_loss);
        sums.harmless += u64::from(record.changed == 0);
        sums.newly_wrong += u64::from(record.newly_wrong > 0);
        let accelerator = self.faults.bench().accelerator();
        let map = accelerator.map();
        if map.is_padding(record.bit) {
            return;
        }
        let logical = map.logical(record.bit);
        let param = accelerator.network().param(logical.param);
        let layer = &accelerator.network().layer(param.layer).name;
        let tensor = param.kind.name();
        let known = sums
            .groups
            .iter()
            .position(|g| g.bit == logical.bit && g.tensor == tensor && g.layer == *layer);
        let at = known.unwrap_or_else(|| {
            sums.groups.push(BitGroup {
                layer: layer.clone(),
                tensor,
                bit: logical.bit,
                bits: 0,
                sensitive: 0,
                mean_abs_delta_loss: 0.0,
                newly_wrong: 0,
            });
            sums.groups.len() - 1
        });
        let group = &mut sums.groups[at];
        group.bits += 1;
        group.sensitive += u64::from(record.is_sensitive());
        group.mean_abs_delta_loss += record.delta_loss.abs();
        group.newly_wrong += record.newly_wrong;
    }

    fn report(&self, sums: &ExhaustiveSums) -> ExhaustiveReport {
        let bench = self.faults.bench();
        let accelerator = bench.accelerator();
        let baseline = bench.baseline();
        let stored_bits = accelerator.map().total_bits();
        let by_bit = sums.groups.iter().map(|group| BitGroup {
            mean_abs_delta_loss: group.mean_abs_delta_loss / group.bits as f64,
            ..group.clone()
        });
        ExhaustiveReport {
            network: accelerator.network().name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: self.name(),
            fault: self.faults.model().to_string(),
            samples: bench.samples(),
            loss: bench.evaluator().loss().name(),
            fault_free_loss: baseline.loss,
            fault_free_accuracy: baseline.accuracy,
            stored_bits,
            bits: sums.bits,
            not_examined_bits: stored_bits - sums.bits,
            sensitive_bits: sums.sensitive,
            sensitive_share: sums.sensitive as f64 / sums.bits.max(1) as f64,
            sensitive_means: "delta_loss > 1e-9",
            cumulative_delta_loss: sums.raised,
            largest_delta_loss: sums.largest,
            harmless_bits: sums.harmless,
            newly_wrong_bits: sums.newly_wrong,
            by_bit: by_bit.collect(),
        }
    }
}
