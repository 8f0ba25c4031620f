//! Missions of several designs of a network's accelerator, side by side.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::evaluate::first_change;
use super::sums::{DesignSums, summarize};
use super::{DesignSummary, Failure, Flight, MissionPlan, MissionRow, Workspace, fly, simulate};
use crate::campaign::{Bench, Kind, LargestRise, Monitor, Score};

/// Missions of several designs: trial `t` is repetition `t % repetitions` of design `t / repetitions`, so that
/// every design flies with the same random streams.
#[derive(Clone, Debug, Serialize)]
pub struct Missions {
    bench: Arc<Bench>,
    designs: Vec<(String, MissionPlan)>,
    repetitions: u64,
    failure: Failure,
}

impl Missions {
    /// So many missions of each design, by name. The designs have the same stated times.
    #[must_use]
    pub fn new(
        bench: Arc<Bench>,
        designs: Vec<(String, MissionPlan)>,
        repetitions: u64,
        failure: Failure,
    ) -> Self {
        Self {
            bench,
            designs,
            repetitions,
            failure,
        }
    }

    /// The designs by name.
    #[must_use]
    pub fn designs(&self) -> &[(String, MissionPlan)] {
        &self.designs
    }

    /// What counts as a failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure
    }

    fn design_of(&self, number: u64) -> (usize, u64) {
        let repetitions = self.repetitions.max(1);
        ((number / repetitions) as usize, number % repetitions)
    }
}

impl Kind for Missions {
    type Trial = Flight;
    type Row = MissionRow;
    type Sums = Vec<DesignSums>;
    type Report = Vec<DesignSummary>;

    fn name(&self) -> &'static str {
        "mission"
    }

    fn columns(&self) -> &'static str {
        MissionRow::COLUMNS
    }

    fn trials(&self) -> u64 {
        self.designs.len() as u64 * self.repetitions
    }

    fn rows_per_trial(&self) -> usize {
        self.designs.first().map_or(1, |(_, plan)| plan.at.len())
    }

    fn work_per_trial(&self) -> u64 {
        (self.rows_per_trial() * self.bench.samples()) as u64
    }

    fn largest_block(&self) -> u64 {
        (self.bench.block() as u64).clamp(1, 1024)
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Flight>> {
        let mut flights = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let (at, first) = self.design_of(next);
            let count = (self.repetitions - first).min(numbers.end - next);
            let plan = &self.designs[at].1;
            flights.extend(fly(
                &self.bench,
                plan,
                first..first + count,
                self.failure,
                monitor,
            )?);
            next += count;
        }
        Some(flights)
    }

    fn rows(&self, number: u64, flight: &Flight) -> Vec<MissionRow> {
        let (at, repetition) = self.design_of(number);
        MissionRow::of(&self.designs[at].0, repetition, flight)
    }

    /// What the memories went through is simulated again; what the workload made of it is in the rows.
    fn recall(&self, number: u64, rows: Vec<MissionRow>) -> Result<Flight, String> {
        let (at, repetition) = self.design_of(number);
        let (name, plan) = &self.designs[at];
        let timeline = simulate(plan, repetition, &mut Workspace::default());
        let same = rows.len() == timeline.observations.len()
            && rows.iter().zip(&timeline.observations).all(|(row, seen)| {
                row.design == *name
                    && row.repetition == repetition
                    && (row.events, row.flips, row.wrong_bits) == (seen.events, seen.flips, seen.wrong_bits)
            });
        if !same {
            return Err(format!("is not the line of mission {repetition} of `{name}`"));
        }
        let scores = rows.iter().map(|row| Score {
            changed: row.changed,
            newly_wrong: row.newly_wrong,
            newly_right: None,
            loss: row.loss,
            delta_loss: row.delta_loss,
            metrics: Vec::new(),
        });
        let scores = scores.collect();
        let first_wrong_h = rows.first().and_then(|row| row.first_wrong_h);
        Ok(Flight {
            scores,
            first_wrong: first_wrong_h.and_then(|time_h| first_change(&timeline.changes, time_h)),
            timeline,
        })
    }

    fn sums(&self) -> Vec<DesignSums> {
        let of = |(_, plan): &(String, MissionPlan)| DesignSums::new(plan.at.len());
        self.designs.iter().map(of).collect()
    }

    fn add(&self, sums: &mut Vec<DesignSums>, number: u64, flight: &Flight) {
        let at = self.design_of(number).0;
        sums[at].add(
            self.bench.accelerator(),
            &self.designs[at].1,
            flight,
            self.bench.samples(),
        );
    }

    fn report(&self, sums: &Vec<DesignSums>) -> Vec<DesignSummary> {
        let seen = sums.iter().map(DesignSums::largest_rise).fold(0.0, f64::max);
        let largest = LargestRise::or_seen(&self.bench, seen, "in any mission of any design");
        sums.iter()
            .zip(&self.designs)
            .map(|(sums, (_, plan))| summarize(&self.bench, plan, sums, &largest))
            .collect()
    }
}
