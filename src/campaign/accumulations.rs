//! Faults that pile up, for several numbers of them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::accumulation::{Trial, TrialRow, TrialSummary, TrialSums};
use super::{Accumulation, Bench, Kind, Monitor};

/// Trials of several numbers of faults, as many of each: all trials of the first number, then those of the second.
#[derive(Clone, Debug, Serialize)]
pub struct Accumulations {
    arms: Vec<Accumulation>,
    trials: u64,
}

impl Accumulations {
    /// As `one`, once for each number of faults.
    ///
    /// # Panics
    /// Where there is no number.
    #[must_use]
    pub fn new(one: &Accumulation, counts: &[u64]) -> Self {
        assert!(!counts.is_empty(), "a number of faults");
        let trials = one.plan().trials;
        let arms = (0..).zip(counts).map(|(arm, &flips)| {
            let mut own = one.clone().starting_at(arm * trials);
            own.set_flips(flips);
            own
        });
        Self {
            arms: arms.collect(),
            trials,
        }
    }

    /// The arm of a trial, and its number there.
    fn arm(&self, number: u64) -> (usize, u64) {
        ((number / self.trials) as usize, number % self.trials)
    }

    fn bench(&self) -> &Arc<Bench> {
        self.arms[0].bench()
    }
}

impl Kind for Accumulations {
    type Trial = Trial;
    type Row = TrialRow;
    type Sums = Vec<TrialSums>;
    type Report = Vec<TrialSummary>;

    fn name(&self) -> &'static str {
        "accumulation"
    }

    fn columns(&self) -> &'static str {
        TrialRow::COLUMNS
    }

    fn more_columns(&self) -> Vec<String> {
        self.bench().metric_names()
    }

    fn trials(&self) -> u64 {
        self.trials * self.arms.len() as u64
    }

    fn work_per_trial(&self) -> u64 {
        self.bench().samples() as u64
    }

    fn largest_block(&self) -> u64 {
        self.bench().block() as u64
    }

    fn overhead(&self) -> Duration {
        self.bench().loading()
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Trial>> {
        let mut done = Vec::with_capacity((numbers.end - numbers.start) as usize);
        let mut next = numbers.start;
        while next < numbers.end {
            let (arm, first) = self.arm(next);
            let last = (first + numbers.end - next).min(self.trials);
            done.extend(self.arms[arm].block(first..last, monitor)?);
            next += last - first;
        }
        Some(done)
    }

    fn rows(&self, number: u64, trial: &Trial) -> Vec<TrialRow> {
        let arm = &self.arms[self.arm(number).0];
        vec![TrialRow::new(arm.bench(), number, arm.plan().flips, trial)]
    }

    fn recall(&self, number: u64, rows: Vec<TrialRow>) -> Result<Trial, String> {
        TrialRow::trial(&rows, number, self.arms[self.arm(number).0].plan().flips)
    }

    fn sums(&self) -> Vec<TrialSums> {
        self.arms.iter().map(Accumulation::sums).collect()
    }

    fn add(&self, sums: &mut Vec<TrialSums>, number: u64, trial: &Trial) {
        let (arm, number) = self.arm(number);
        self.arms[arm].add(&mut sums[arm], number, trial);
    }

    fn report(&self, sums: &Vec<TrialSums>) -> Vec<TrialSummary> {
        let done = self.arms.iter().zip(sums);
        done.map(|(arm, sums)| arm.report(sums)).collect()
    }

    fn relative_error(&self, sums: &Vec<TrialSums>) -> Option<f64> {
        // Arms come one after the other, so that only a single one can end early.
        match (&self.arms[..], &sums[..]) {
            ([arm], [sums]) => arm.relative_error(sums),
            _ => None,
        }
    }

    fn margin(&self, sums: &Vec<TrialSums>) -> Option<f64> {
        match (&self.arms[..], &sums[..]) {
            ([arm], [sums]) => arm.margin(sums),
            _ => None,
        }
    }
}
