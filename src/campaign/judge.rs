//! The changed samples of a chunk and what they come to: distinct outputs are collected, read out side by side, and
//! judged once for each sample that has them.

use super::Baseline;
use crate::network::Network;
use crate::outcome::{Evaluator, Outcome, Scratch};

/// Most distinct outputs that are collected before they are forgotten, and most bytes of them.
const MAX_CODES: usize = if cfg!(test) { 256 } else { 1 << 17 };
const MAX_BYTES: usize = 1 << 25;

/// Samples that a mask holds.
const LANES: usize = u64::BITS as usize;

/// Outputs that are read out at a time.
const ROWS: usize = 64;

/// No entry.
const NONE: u32 = u32::MAX;

/// What a workload has to say.
#[derive(Clone, Copy)]
pub(super) struct Workload<'a> {
    pub(super) network: &'a Network,
    pub(super) evaluator: &'a Evaluator,
    pub(super) baseline: &'a Baseline,
    /// The rise of every sample's loss where its output differs, when nothing else counts.
    pub(super) rise: Option<f64>,
}

/// Some fault sets on one chunk.
#[derive(Default)]
pub(super) struct Part {
    /// Samples changed, newly wrong and newly right, per fault set.
    pub(super) counts: Vec<[u8; 3]>,
    /// Differences of the losses of changed samples in their order, one fault set after the other; none where
    /// [`Workload::rise`] says them.
    pub(super) differences: Vec<f64>,
    /// In the same order how the samples' contributions to the metrics change, `[changed sample][sum]`.
    pub(super) moves: Vec<f64>,
}

/// A sample with an output that it has under some fault set.
struct Case {
    lane: u32,
    outcome: Outcome,
    /// Another case of the same output.
    next: u32,
}

/// Scores the changed samples of one chunk.
pub(super) struct Judge<'a> {
    workload: Workload<'a>,
    /// Number of the chunk's first sample.
    first: usize,
    codes: Codes,
    /// Per distinct output, its latest case.
    latest: Vec<u32>,
    cases: Vec<Case>,
    /// What each case contributes to the metrics, `[case][sum]`.
    contributions: Vec<f64>,
    /// Distinct outputs with cases that nobody has judged.
    fresh: Vec<u32>,
    /// Cases from here on are not judged.
    judged: usize,
    /// The case of each changed sample of the fault sets that are not settled.
    waiting: Vec<u32>,
    part: Part,
    /// Fault sets that are settled.
    settled: usize,
    scratch: Scratch,
    key: Vec<i64>,
    values: Vec<f64>,
    outputs: Vec<f64>,
}

impl<'a> Judge<'a> {
    /// For the chunk that begins with sample `first`.
    pub(super) fn new(workload: Workload<'a>, first: usize) -> Self {
        let len = workload.network.tensor(workload.network.output).len();
        Self {
            workload,
            first,
            codes: Codes::new(len),
            latest: Vec::new(),
            cases: Vec::new(),
            contributions: Vec::new(),
            fresh: Vec::new(),
            judged: 0,
            waiting: Vec::new(),
            part: Part::default(),
            settled: 0,
            scratch: Scratch::default(),
            key: Vec::new(),
            values: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Takes the lanes that the next fault set changed; `output` appends the output mantissas of one of them.
    pub(super) fn take(&mut self, changed: u64, mut output: impl FnMut(usize, &mut Vec<i64>)) {
        if self.codes.count() + LANES > self.codes.most() || self.cases.len() + LANES > LANES * MAX_CODES {
            self.settle();
            self.codes.clear();
            self.latest.clear();
            self.cases.clear();
            self.contributions.clear();
            self.judged = 0;
        }
        self.part.counts.push([changed.count_ones() as u8, 0, 0]);
        if self.workload.rise.is_some() {
            return;
        }
        let mut left = changed;
        while left != 0 {
            let lane = left.trailing_zeros();
            left &= left - 1;
            self.key.clear();
            output(lane as usize, &mut self.key);
            let case = self.case(lane);
            self.waiting.push(case);
        }
    }

    /// What the fault sets came to.
    pub(super) fn finish(mut self) -> Part {
        self.settle();
        self.part
    }

    /// The case of the lane with the key as its output.
    fn case(&mut self, lane: u32) -> u32 {
        let code = self.codes.find(&self.key);
        if code as usize == self.latest.len() {
            self.latest.push(NONE);
        }
        let latest = &mut self.latest[code as usize];
        let mut case = *latest;
        while case != NONE {
            let known = &self.cases[case as usize];
            if known.lane == lane {
                return case;
            }
            case = known.next;
        }
        if *latest == NONE || (*latest as usize) < self.judged {
            self.fresh.push(code);
        }
        let made = self.cases.len() as u32;
        self.cases.push(Case {
            lane,
            outcome: Outcome {
                loss: 0.0,
                correct: None,
                accuracy: None,
            },
            next: *latest,
        });
        *latest = made;
        made
    }

    /// Judges all cases, and writes down the differences of the samples that wait.
    fn settle(&mut self) {
        self.judge();
        let Workload {
            baseline, evaluator, ..
        } = self.workload;
        let width = evaluator.contributions();
        let mut waiting = self.waiting.iter();
        for counts in &mut self.part.counts[self.settled..] {
            for &number in waiting.by_ref().take(usize::from(counts[0])) {
                let case = &self.cases[number as usize];
                let sample = self.first + case.lane as usize;
                let fault_free = baseline.outcomes[sample];
                let own = &self.contributions[number as usize * width..][..width];
                let before = &baseline.contributions[sample * width..][..width];
                let moves = own.iter().zip(before).map(|(own, before)| own - before);
                self.part.moves.extend(moves);
                self.part.differences.push(case.outcome.loss - fault_free.loss);
                match (fault_free.correct, case.outcome.correct) {
                    (Some(true), Some(false)) => counts[1] += 1,
                    (Some(false), Some(true)) => counts[2] += 1,
                    _ => {}
                }
            }
        }
        self.waiting.clear();
        self.settled = self.part.counts.len();
    }

    /// Judges the cases that nobody has judged: outputs side by side, those of one sample next to each other.
    fn judge(&mut self) {
        let Workload {
            network, evaluator, ..
        } = self.workload;
        let mut fresh = std::mem::take(&mut self.fresh);
        let (latest, cases, judged) = (&self.latest, &mut self.cases, self.judged);
        let width = evaluator.contributions();
        self.contributions.resize(cases.len() * width, 0.0);
        let mut own = Vec::new();
        fresh.sort_unstable_by_key(|&code| (cases[latest[code as usize] as usize].lane, code));
        let uniform = evaluator.outcome_of_difference();
        for codes in fresh.chunks(ROWS) {
            self.values.clear();
            self.outputs.clear();
            if uniform.is_none() {
                for &code in codes {
                    self.values.extend(network.output_values(self.codes.get(code)));
                }
                evaluator.outputs(&self.values, &mut self.scratch, &mut self.outputs);
            }
            let mut outputs = self.outputs.chunks_exact(evaluator.width().max(1));
            for &code in codes {
                let output = outputs.next().unwrap_or(&[]);
                let mut at = latest[code as usize];
                // The latest case comes first; older ones were judged before.
                while at != NONE && at as usize >= judged {
                    let case = &mut cases[at as usize];
                    let sample = self.first + case.lane as usize;
                    case.outcome = uniform.unwrap_or_else(|| evaluator.judge(sample, output, true));
                    if width > 0 {
                        own.clear();
                        evaluator.contribute(sample, output, true, &mut own);
                        self.contributions[at as usize * width..][..width].copy_from_slice(&own);
                    }
                    at = case.next;
                }
            }
        }
        self.judged = self.cases.len();
        fresh.clear();
        self.fresh = fresh;
    }
}

/// Distinct rows of mantissas, by numbers from 0 on.
struct Codes {
    len: usize,
    most: usize,
    /// `[code][mantissa]`.
    rows: Vec<i64>,
    /// Open addressing: numbers of codes.
    slots: Vec<u32>,
    count: usize,
}

impl Codes {
    fn new(len: usize) -> Self {
        let most = MAX_BYTES / (size_of::<i64>() * len.max(1));
        Self {
            len,
            most: most.clamp(LANES, MAX_CODES),
            rows: Vec::new(),
            slots: vec![NONE; 1 << 10],
            count: 0,
        }
    }

    fn count(&self) -> usize {
        self.count
    }

    fn most(&self) -> usize {
        self.most
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.slots.fill(NONE);
        self.count = 0;
    }

    fn get(&self, code: u32) -> &[i64] {
        &self.rows[code as usize * self.len..][..self.len]
    }

    /// The number of a row, which is the next one for a new row.
    fn find(&mut self, row: &[i64]) -> u32 {
        if 2 * self.count >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(row) as usize & mask;
        while self.slots[slot] != NONE {
            if self.get(self.slots[slot]) == row {
                return self.slots[slot];
            }
            slot = (slot + 1) & mask;
        }
        let code = self.count as u32;
        self.slots[slot] = code;
        self.rows.extend_from_slice(row);
        self.count += 1;
        code
    }

    fn grow(&mut self) {
        let mask = 2 * self.slots.len() - 1;
        self.slots.clear();
        self.slots.resize(mask + 1, NONE);
        for code in 0..self.count as u32 {
            let mut slot = hash(self.get(code)) as usize & mask;
            while self.slots[slot] != NONE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = code;
        }
    }
}

/// A fast hash of mantissas, which nobody chooses to collide.
fn hash(row: &[i64]) -> u64 {
    let mut hash = 0u64;
    for &mantissa in row {
        // An odd constant without structure: the golden ratio in 64 bits.
        hash = (hash.rotate_left(26) ^ mantissa as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::accelerator::{Accelerator, Hardware};
    use crate::campaign::{Bench, Scenario, Silent};
    use crate::fault;
    use crate::model::{Description, Files, Settings, Workload, load_network};
    use crate::network::import::ImportOptions;

    /// Fault sets make far more distinct outputs than are kept at a time.
    #[test]
    fn what_is_forgotten_on_the_way_changes_nothing() {
        let files = Files::Embedded;
        let description = Description::read(&files).unwrap();
        let network =
            load_network(&files, Path::new(&description.network), &ImportOptions::default()).unwrap();
        let accelerator = Arc::new(Accelerator::build(&network, &Hardware::default()).unwrap());
        let settings = Settings {
            limit: Some(70),
            ..Settings::of(&description, &files)
        };
        let workload = Workload::load(accelerator.network(), &settings).unwrap();
        let scenarios: Vec<Scenario> = (accelerator.map().bits().step_by(79))
            .map(|bit| fault::changes(&accelerator, &[bit]).into())
            .collect();
        let bench = Bench::new(accelerator, workload.inputs, workload.evaluator).unwrap();
        let found = bench.score(&scenarios, &Silent).unwrap();
        let changed: u64 = found.iter().map(|score| score.changed).sum();
        assert!(changed > 8 * MAX_CODES as u64, "{changed}");
        assert_eq!(found, bench.score_one_by_one(&scenarios, &Silent).unwrap());
    }

    #[test]
    fn codes_are_numbered_in_the_order_in_which_they_come() {
        let mut codes = Codes::new(2);
        for round in 0..2 {
            // Enough for the slots to grow.
            for code in 0..5000i64 {
                let row = [code % 70, code / 70 - 30];
                assert_eq!(codes.find(&row), code as u32, "round {round}");
                assert_eq!(codes.get(code as u32), row);
            }
            assert_eq!(codes.count(), 5000);
        }
        codes.clear();
        assert_eq!(codes.find(&[69, 7]), 0);
    }
}
