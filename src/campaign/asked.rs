//! A yes-or-no question for each stored bit, answered as early as the samples allow.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bit_faults::BitFaults;
use super::mission::Failure;
use super::{Answer, Bench, Kind, Monitor, Question, TrialUnit};
use crate::accelerator::StoredBit;
use crate::fault::FaultModel;

/// A fault at each of some bits, of which only whether it is a failure is asked: it stops at the chunk of samples that
/// says so.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    faults: BitFaults,
    failure: Failure,
}

/// A line of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRow {
    layer: String,
    tensor: String,
    element: u64,
    bit: u32,
    memory: String,
    word: u64,
    word_bit: u32,
    failure: bool,
    samples_seen: u64,
    cut: bool,
}

/// Answers of one bit position of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerGroup {
    /// The layer.
    pub layer: String,
    /// The tensor.
    pub tensor: &'static str,
    /// Bit of the element, 0 least significant.
    pub bit: u32,
    /// Bits with a fault.
    pub bits: u64,
    /// Those whose fault is a failure.
    pub failures: u64,
}

/// Sums over the answers.
#[derive(Clone, Debug, Default)]
pub struct AnswerSums {
    bits: u64,
    failures: u64,
    samples: u64,
    groups: Vec<AnswerGroup>,
}

/// What the answers come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `ask`.
    pub kind: &'static str,
    /// What counts as a failure.
    pub failure_means: String,
    /// What a fault does.
    pub fault: String,
    /// Samples of the workload.
    pub samples: usize,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Stored bits of the accelerator.
    pub stored_bits: u64,
    /// Bits with a fault.
    pub bits: u64,
    /// Stored bits without one.
    pub not_examined_bits: u64,
    /// Bits whose fault is a failure.
    pub failures: u64,
    /// Their share, exact for these bits and samples.
    pub failure_share: f64,
    /// Pairs of fault and sample that were evaluated, over all pairs.
    pub evaluated_share: f64,
    /// By layer, tensor and bit position.
    pub by_bit: Vec<AnswerGroup>,
}

impl Asked {
    /// Faults at these bits.
    #[must_use]
    pub fn new(bench: Arc<Bench>, bits: Vec<StoredBit>, model: FaultModel, failure: Failure) -> Self {
        Self {
            faults: BitFaults::new(bench, bits, model),
            failure,
        }
    }

    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &[StoredBit] {
        self.faults.bits()
    }

    fn question(&self) -> Question {
        match self.failure {
            Failure::Any => Question::AnyChanged,
            Failure::Class => Question::NewlyWrong,
            Failure::LossAbove(loss) => Question::LossAbove(loss),
        }
    }
}

impl Kind for Asked {
    type Trial = Answer;
    type Row = AnswerRow;
    type Sums = AnswerSums;
    type Report = AnswerReport;

    fn name(&self) -> &'static str {
        "ask"
    }

    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Bit
    }

    fn columns(&self) -> &'static str {
        "layer,tensor,element,bit,memory,word,word_bit,failure,samples_seen,cut"
    }

    fn trials(&self) -> u64 {
        self.bits().len() as u64
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

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Answer>> {
        let scenarios = self.faults.scenarios(numbers);
        self.faults.bench().ask(&scenarios, self.question(), monitor)
    }

    fn rows(&self, number: u64, answer: &Answer) -> Vec<AnswerRow> {
        let name = self
            .faults
            .bench()
            .accelerator()
            .named(self.bits()[number as usize]);
        vec![AnswerRow {
            layer: name.layer,
            tensor: name.tensor,
            element: name.element,
            bit: name.bit,
            memory: name.memory,
            word: name.word,
            word_bit: name.word_bit,
            failure: answer.yes,
            samples_seen: answer.samples,
            cut: answer.cut,
        }]
    }

    fn recall(&self, number: u64, rows: Vec<AnswerRow>) -> Result<Answer, String> {
        let name = self
            .faults
            .bench()
            .accelerator()
            .named(self.bits()[number as usize]);
        match &rows[..] {
            [row] if (&row.memory, row.word, row.word_bit) == (&name.memory, name.word, name.word_bit) => {
                Ok(Answer {
                    yes: row.failure,
                    samples: row.samples_seen,
                    cut: row.cut,
                })
            }
            _ => Err(format!(
                "is not the line of {}.{} element {} bit {}",
                name.layer, name.tensor, name.element, name.bit
            )),
        }
    }

    fn sums(&self) -> AnswerSums {
        AnswerSums::default()
    }

    fn add(&self, sums: &mut AnswerSums, number: u64, answer: &Answer) {
        sums.bits += 1;
        sums.failures += u64::from(answer.yes);
        sums.samples += answer.samples;
        let accelerator = self.faults.bench().accelerator();
        let bit = self.bits()[number as usize];
        if accelerator.map().is_padding(bit) {
            return;
        }
        let logical = accelerator.map().logical(bit);
        let param = accelerator.network().param(logical.param);
        let layer = &accelerator.network().layer(param.layer).name;
        let tensor = param.kind.name();
        let known = sums
            .groups
            .iter()
            .position(|group| group.bit == logical.bit && group.tensor == tensor && group.layer == *layer);
        let at = known.unwrap_or_else(|| {
            sums.groups.push(AnswerGroup {
                layer: layer.clone(),
                tensor,
                bit: logical.bit,
                bits: 0,
                failures: 0,
            });
            sums.groups.len() - 1
        });
        sums.groups[at].bits += 1;
        sums.groups[at].failures += u64::from(answer.yes);
    }

    fn report(&self, sums: &AnswerSums) -> AnswerReport {
        let bench = self.faults.bench();
        let accelerator = bench.accelerator();
        let stored_bits = accelerator.map().total_bits();
        let pairs = sums.bits as f64 * bench.samples() as f64;
        AnswerReport {
            network: accelerator.network().name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: self.name(),
            failure_means: self.failure.means(),
            fault: self.faults.model().to_string(),
            samples: bench.samples(),
            fault_free_loss: bench.baseline().loss,
            stored_bits,
            bits: sums.bits,
            not_examined_bits: stored_bits - sums.bits,
            failures: sums.failures,
            failure_share: sums.failures as f64 / sums.bits.max(1) as f64,
            evaluated_share: if pairs > 0.0 {
                sums.samples as f64 / pairs
            } else {
                0.0
            },
            by_bit: sums.groups.clone(),
        }
    }
}
