//! Missions of a memory by itself, without a network.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::estimates::{Count, Mean};
use super::mission::{Cause, MissionPlan, Timeline, Workspace, simulate};
use super::statistics::{Interval, Moments, clopper_pearson};
use super::{Kind, Monitor};

/// Missions of a memory, so many for each of several plans: trial `t` is mission `t % repetitions` of plan
/// `t / repetitions`.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryMissions {
    plans: Vec<(String, MissionPlan)>,
    repetitions: u64,
}

/// A line of the records: one mission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRow {
    scrubbing: String,
    repetition: u64,
    events: u64,
    flips: u64,
    wrong_bits_at_end: u64,
    reloads: u64,
    detected: u64,
    silent: u64,
    single_event: u64,
    accumulated: u64,
    cut_off: u64,
}

/// Sums over the missions of one plan.
#[derive(Clone, Debug, Default)]
pub struct MemorySums {
    missions: u64,
    events: Moments,
    flips: Moments,
    cut_off: u64,
    reloads: u64,
    wrong_bits_at_end: Moments,
    failures: Moments,
    detected: Moments,
    silent: Moments,
    single_event: Moments,
    accumulated: Moments,
    found: u64,
    failed: u64,
}

/// What the missions of a memory come to. A failure is a word, or a voted bit, that is found failed when a
/// scrub pass or a refresh comes to it, or at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemorySummary {
    /// Repetitions.
    pub repetitions: u64,
    /// Length of a mission.
    pub mission_h: f64,
    /// Share of all missions that was flown; below 1 where only those with a strike were. All numbers are
    /// those of all missions.
    pub flown_share: f64,
    /// Cells that can be hit, redundant ones included.
    pub cells: u64,
    /// Expected strikes in a mission.
    pub expected_events: f64,
    /// Strikes in a mission.
    pub events: Mean,
    /// Cells hit in a mission.
    pub flips: Mean,
    /// Cells of clusters that fell outside the memory, in a mission.
    pub cut_off: f64,
    /// Words reloaded because their parity failed, in a mission.
    pub reloads: f64,
    /// Data bits that are read wrong at the end.
    pub wrong_bits_at_end: Mean,
    /// Failures in a mission.
    pub failures_per_mission: Mean,
    /// Those that the hardware reported.
    pub detected_per_mission: Mean,
    /// Those that it did not: read wrong as if they were right.
    pub silent_per_mission: Mean,
    /// Those for which one strike was enough by itself; no scrubbing lowers them.
    pub single_event_per_mission: Mean,
    /// Those for which strikes at different times came together.
    pub accumulated_per_mission: Mean,
    /// Share of the missions with any failure.
    pub missions_with_failure: f64,
    /// Its interval.
    pub missions_with_failure_interval: Interval,
    /// Failures per hour.
    pub failures: Count,
    /// Failures per 1e9 hours.
    pub failure_fit: f64,
}

impl MemoryMissions {
    /// So many missions of each plan, by name. Plans that count failures put failed words right and keep no
    /// changes ([`MissionPlan::keep_changes`]).
    #[must_use]
    pub fn new(plans: Vec<(String, MissionPlan)>, repetitions: u64) -> Self {
        Self { plans, repetitions }
    }

    fn plan_of(&self, number: u64) -> (usize, u64) {
        let repetitions = self.repetitions.max(1);
        ((number / repetitions) as usize, number % repetitions)
    }
}

impl MemoryRow {
    fn new(scrubbing: &str, repetition: u64, timeline: &Timeline) -> Self {
        let accumulated = timeline.found_by_cause[Cause::Accumulation as usize];
        Self {
            scrubbing: scrubbing.to_owned(),
            repetition,
            events: timeline.events,
            flips: timeline.flips,
            wrong_bits_at_end: timeline.observations.last().map_or(0, |end| end.wrong_bits),
            reloads: timeline.reloads,
            detected: timeline.found_detected,
            silent: timeline.found_silent,
            single_event: timeline.found() - accumulated,
            accumulated,
            cut_off: timeline.cut_off,
        }
    }
}

impl MemorySums {
    fn add(&mut self, row: &MemoryRow) {
        let found = row.detected + row.silent;
        self.missions += 1;
        self.cut_off += row.cut_off;
        self.reloads += row.reloads;
        self.found += found;
        self.failed += u64::from(found > 0);
        for (moments, value) in [
            (&mut self.events, row.events),
            (&mut self.flips, row.flips),
            (&mut self.wrong_bits_at_end, row.wrong_bits_at_end),
            (&mut self.failures, found),
            (&mut self.detected, row.detected),
            (&mut self.silent, row.silent),
            (&mut self.single_event, row.single_event),
            (&mut self.accumulated, row.accumulated),
        ] {
            moments.add(value as f64);
        }
    }

    fn summary(&self, plan: &MissionPlan) -> MemorySummary {
        let share = plan.flown_share();
        let hours = plan.duration.0;
        let flips = plan.most_flips_of_a_strike();
        let of = |moments: &Moments, step: f64| Mean::of_counts(moments, step).scaled(share);
        let per_mission = |sum: u64| sum as f64 / self.missions.max(1) as f64;
        // A strike makes at most as many words fail as it hits.
        let failures = Count::of_missions(self.found, &self.failures, flips, hours, share);
        MemorySummary {
            repetitions: self.missions,
            mission_h: hours,
            flown_share: share,
            cells: plan.store.cells(),
            expected_events: plan.expected_events(),
            events: of(&self.events, 1.0),
            flips: of(&self.flips, flips),
            cut_off: share * per_mission(self.cut_off),
            reloads: share * per_mission(self.reloads),
            wrong_bits_at_end: of(&self.wrong_bits_at_end, plan.most_wrong_bits_of_a_strike()),
            failures_per_mission: of(&self.failures, flips),
            detected_per_mission: of(&self.detected, flips),
            silent_per_mission: of(&self.silent, flips),
            single_event_per_mission: of(&self.single_event, flips),
            accumulated_per_mission: of(&self.accumulated, flips),
            missions_with_failure: share * per_mission(self.failed),
            missions_with_failure_interval: clopper_pearson(self.failed, self.missions).scaled(share),
            failure_fit: failures.fit(),
            failures,
        }
    }
}

impl Kind for MemoryMissions {
    type Trial = MemoryRow;
    type Row = MemoryRow;
    type Sums = Vec<MemorySums>;
    type Report = Vec<MemorySummary>;

    fn name(&self) -> &'static str {
        "memory"
    }

    fn columns(&self) -> &'static str {
        "scrubbing,repetition,events,flips,wrong_bits_at_end,reloads,detected,silent,single_event,accumulated,cut_off"
    }

    fn trials(&self) -> u64 {
        self.plans.len() as u64 * self.repetitions
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<MemoryRow>> {
        numbers
            .into_par_iter()
            .map_init(Workspace::default, |workspace, number| {
                if monitor.stopped() {
                    return None;
                }
                let (at, repetition) = self.plan_of(number);
                let (name, plan) = &self.plans[at];
                let timeline = simulate(plan, repetition, workspace);
                monitor.advance(1);
                Some(MemoryRow::new(name, repetition, &timeline))
            })
            .collect()
    }

    fn rows(&self, _number: u64, row: &MemoryRow) -> Vec<MemoryRow> {
        vec![row.clone()]
    }

    fn recall(&self, number: u64, mut rows: Vec<MemoryRow>) -> Result<MemoryRow, String> {
        let (at, repetition) = self.plan_of(number);
        let name = &self.plans[at].0;
        rows.pop()
            .filter(|row| row.repetition == repetition && row.scrubbing == *name)
            .ok_or_else(|| format!("is not the line of mission {repetition} `{name}`"))
    }

    fn sums(&self) -> Vec<MemorySums> {
        vec![MemorySums::default(); self.plans.len()]
    }

    fn add(&self, sums: &mut Vec<MemorySums>, number: u64, row: &MemoryRow) {
        sums[self.plan_of(number).0].add(row);
    }

    fn report(&self, sums: &Vec<MemorySums>) -> Vec<MemorySummary> {
        sums.iter()
            .zip(&self.plans)
            .map(|(sums, (_, plan))| sums.summary(plan))
            .collect()
    }

    fn relative_error(&self, sums: &Vec<MemorySums>) -> Option<f64> {
        // Plans come one after the other, so that only a single one can end early.
        let [summary] = &self.report(sums)[..] else {
            return None;
        };
        let Mean { mean, interval } = &summary.failures_per_mission;
        (*mean > 0.0).then(|| (interval.high - interval.low) / (2.0 * mean))
    }
}
