//! What many missions come to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::evaluate::Flight;
use super::{Cause, MissionPlan, MissionRow, Timeline};
use crate::accelerator::{Accelerator, StoredBit};
use crate::campaign::{Interval, bootstrap_mean, garwood, wilson};

/// A number of events in so many hours, and their rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// The number.
    pub count: u64,
    /// Events per hour.
    pub per_hour: f64,
    /// Interval of `per_hour`.
    pub per_hour_interval: Interval,
}

impl Count {
    fn new(count: u64, hours: f64) -> Self {
        Self {
            count,
            per_hour: if hours > 0.0 { count as f64 / hours } else { 0.0 },
            per_hour_interval: garwood(count, hours),
        }
    }

    /// Events per 1e9 hours.
    #[must_use]
    pub fn fit(&self) -> f64 {
        self.per_hour * 1e9
    }
}

/// A sampled mean with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean over the repetitions.
    pub mean: f64,
    /// Its interval.
    pub interval: Interval,
}

impl Mean {
    fn of(values: &[f64], seed: u64) -> Self {
        Self {
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            interval: bootstrap_mean(values, seed),
        }
    }

    fn scaled(mut self, factor: f64) -> Self {
        self.mean *= factor;
        self.interval = scaled(self.interval, factor);
        self
    }
}

fn scaled(mut interval: Interval, factor: f64) -> Interval {
    interval.low *= factor;
    interval.high *= factor;
    interval
}

/// The repetitions at one of the stated times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeSummary {
    /// The time.
    pub time_h: f64,
    /// Strikes so far.
    pub events: f64,
    /// Cells hit so far.
    pub flips: f64,
    /// Data bits that are read wrong.
    pub wrong_bits: Mean,
    /// Words, or voted bits, whose error the hardware reports and cannot correct.
    pub detected: f64,
    /// Share of the inferences with any output changed.
    pub wrong_inferences: Mean,
    /// Share of the inferences that were right without and are wrong with the faults; none where nothing
    /// is known to be right.
    pub newly_wrong: Option<Mean>,
    /// Mean loss over the samples.
    pub loss: Mean,
    /// Mean loss minus the fault-free mean loss.
    pub delta_loss: f64,
}

/// Wrong bits as read, and first wrong outputs, that come from one group of bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// The group.
    pub group: String,
    /// Bits that began to be read wrong.
    pub wrong_bits: Count,
    /// Missions whose first wrong output came from there.
    pub first_wrong_outputs: Count,
}

/// What the repetitions of one design come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesignSummary {
    /// Repetitions.
    pub repetitions: u64,
    /// Length of a mission.
    pub mission_h: f64,
    /// Share of all missions that was flown; below 1 where only those with a strike were. Means over
    /// missions are then those over the flown ones, rates and shares those of all.
    pub flown_share: f64,
    /// Cells that can be hit, redundant ones included.
    pub cells: u64,
    /// Expected strikes in a mission.
    pub expected_events: f64,
    /// Strikes in a mission.
    pub events: Mean,
    /// Cells hit in a mission.
    pub flips: Mean,
    /// Cells that got stuck in a mission.
    pub stuck: f64,
    /// Cells of clusters that fell outside the memory, in a mission.
    pub cut_off: f64,
    /// Words reloaded because their parity failed, in a mission.
    pub reloads: f64,
    /// What there was at the stated times.
    pub at: Vec<TimeSummary>,
    /// Share of the missions with any wrong output.
    pub missions_with_wrong_output: f64,
    /// Its interval.
    pub missions_with_wrong_output_interval: Interval,
    /// Mean hours to the first wrong output of the missions that had one.
    pub first_wrong_h: Option<Mean>,
    /// Failures of the function: first wrong outputs per hour of operation before them.
    pub failures: Count,
    /// The same per 1e9 hours.
    pub failure_fit: f64,
    /// By what it took: accumulation, or a single strike.
    pub by_cause: Vec<GroupSummary>,
    /// By storage style.
    pub by_class: Vec<GroupSummary>,
    /// By memory.
    pub by_memory: Vec<GroupSummary>,
    /// By layer and tensor.
    pub by_layer: Vec<GroupSummary>,
    /// By bit of the element, 0 least significant.
    pub by_bit: Vec<GroupSummary>,
}

/// Sums over the timelines of one design.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    events: Vec<f64>,
    flips: Vec<f64>,
    stuck: u64,
    cut_off: u64,
    reloads: u64,
    /// Wrong bits and first wrong outputs by memory, bit of the element (none for padding) and cause.
    groups: BTreeMap<(u32, Option<u32>, Cause), [u64; 2]>,
    first_wrong_h: Vec<f64>,
    /// Hours until the first wrong output or the end.
    exposure_h: f64,
}

impl Tally {
    /// Adds a mission. `first_wrong_h` is the time of its first wrong output.
    pub fn add(
        &mut self,
        accelerator: &Accelerator,
        plan: &MissionPlan,
        timeline: &Timeline,
        first_wrong_h: Option<f64>,
    ) {
        self.events.push(timeline.events as f64);
        self.flips.push(timeline.flips as f64);
        self.stuck += timeline.stuck;
        self.cut_off += timeline.cut_off;
        self.reloads += timeline.reloads;
        self.exposure_h += first_wrong_h.unwrap_or(plan.duration.0);
        for change in timeline
            .changes
            .iter()
            .filter(|change| change.cause != Cause::Repair)
        {
            self.group(accelerator, change.bit, change.cause)[0] += 1;
        }
        let Some(first_wrong_h) = first_wrong_h else {
            return;
        };
        self.first_wrong_h.push(first_wrong_h);
        let now = timeline
            .changes
            .iter()
            .filter(|change| change.time_h == first_wrong_h);
        if let Some(change) = now.min_by_key(|change| (change.cause == Cause::Repair, change.bit)) {
            self.group(accelerator, change.bit, change.cause)[1] += 1;
        }
    }

    /// Adds a flight.
    pub fn add_flight(&mut self, accelerator: &Accelerator, plan: &MissionPlan, flight: &Flight) {
        let first = flight.first_wrong.map(|first| first.time_h);
        self.add(accelerator, plan, &flight.timeline, first);
    }

    fn group(&mut self, accelerator: &Accelerator, bit: StoredBit, cause: Cause) -> &mut [u64; 2] {
        let map = accelerator.map();
        let memory = map.address(bit).memory.0;
        let element_bit = (!map.is_padding(bit)).then(|| map.logical(bit).bit);
        self.groups.entry((memory, element_bit, cause)).or_default()
    }

    /// The groups that differ in a name, in the order in which names first come.
    fn split(
        &self,
        (all_hours, before_wrong_h): (f64, f64),
        name: impl Fn(u32, Option<u32>, Cause) -> String,
    ) -> Vec<GroupSummary> {
        let mut sums: Vec<(String, [u64; 2])> = Vec::new();
        for (&(memory, bit, cause), counts) in &self.groups {
            let name = name(memory, bit, cause);
            let at = sums
                .iter()
                .position(|(known, _)| *known == name)
                .unwrap_or_else(|| {
                    sums.push((name, [0; 2]));
                    sums.len() - 1
                });
            sums[at].1[0] += counts[0];
            sums[at].1[1] += counts[1];
        }
        sums.into_iter()
            .map(|(group, [wrong, first])| GroupSummary {
                group,
                wrong_bits: Count::new(wrong, all_hours),
                first_wrong_outputs: Count::new(first, before_wrong_h),
            })
            .collect()
    }
}

/// Sums up the missions of one design. `rows` are those of all repetitions in order; `samples` is the
/// size of the workload.
#[must_use]
pub fn summarize(
    accelerator: &Accelerator,
    plan: &MissionPlan,
    tally: &Tally,
    rows: &[MissionRow],
    samples: usize,
) -> DesignSummary {
    let repetitions = tally.events.len() as u64;
    let per_mission = |count: u64| count as f64 / repetitions.max(1) as f64;
    let seed = plan.seed;
    let hours = plan.duration.0;
    let times = plan.at.len();
    let at = plan.at.iter().enumerate().map(|(position, &time_h)| {
        let of = |value: &dyn Fn(&MissionRow) -> f64| -> Vec<f64> {
            rows.iter()
                .skip(position)
                .step_by(times.max(1))
                .map(value)
                .collect()
        };
        let share = |count: u64| count as f64 / samples.max(1) as f64;
        let mean = |value: &dyn Fn(&MissionRow) -> f64| Mean::of(&of(value), seed);
        let plain = |value: &dyn Fn(&MissionRow) -> f64| {
            let values = of(value);
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let known = rows.first().is_some_and(|row| row.newly_wrong.is_some());
        TimeSummary {
            time_h,
            events: plain(&|row| row.events as f64),
            flips: plain(&|row| row.flips as f64),
            wrong_bits: mean(&|row| row.wrong_bits as f64),
            detected: plain(&|row| row.detected as f64),
            wrong_inferences: mean(&|row| share(row.changed)),
            newly_wrong: known.then(|| mean(&|row| share(row.newly_wrong.unwrap_or(0)))),
            loss: mean(&|row| row.loss),
            delta_loss: plain(&|row| row.delta_loss),
        }
    });
    // Each flown mission stands for several, all others of them without a strike.
    let share = plan.flown_share();
    let flown_h = hours * repetitions as f64;
    let before_wrong_h = tally.exposure_h + (1.0 - share) / share * flown_h;
    let exposure = (flown_h / share, before_wrong_h);
    let failures = Count::new(tally.first_wrong_h.len() as u64, before_wrong_h);
    let map = accelerator.map();
    let memory = |memory: u32| &map.memories()[memory as usize];
    let layer = |of: u32| {
        let memory = memory(of);
        format!(
            "{}.{}",
            accelerator.network().layer(memory.layer).name,
            memory.kind.name()
        )
    };
    let mut by_bit = tally.split(exposure, |_, bit, _| {
        bit.map_or_else(|| "padding".to_owned(), |bit| bit.to_string())
    });
    by_bit.sort_by_key(|group| group.group.parse::<u32>().unwrap_or(u32::MAX));
    let mut by_cause = tally.split(exposure, |_, _, cause| cause.name().to_owned());
    by_cause.sort_by_key(|group| Cause::ALL.iter().position(|cause| cause.name() == group.group));
    DesignSummary {
        repetitions,
        mission_h: hours,
        flown_share: share,
        cells: plan.store.cells(),
        expected_events: plan.expected_events(),
        events: Mean::of(&tally.events, seed),
        flips: Mean::of(&tally.flips, seed),
        stuck: per_mission(tally.stuck),
        cut_off: per_mission(tally.cut_off),
        reloads: per_mission(tally.reloads),
        at: at.collect(),
        missions_with_wrong_output: per_mission(failures.count) * share,
        missions_with_wrong_output_interval: scaled(wilson(failures.count, repetitions), share),
        first_wrong_h: (!tally.first_wrong_h.is_empty()).then(|| Mean::of(&tally.first_wrong_h, seed)),
        failure_fit: failures.fit(),
        failures,
        by_cause,
        by_class: tally.split(exposure, |of, _, _| memory(of).style.name().to_owned()),
        by_memory: tally.split(exposure, |of, _, _| memory(of).name.clone()),
        by_layer: tally.split(exposure, |of, _, _| layer(of)),
        by_bit,
    }
}

/// What the missions of a memory without a network come to. A failure is a word, or a voted bit, that is
/// found failed when a scrub pass or a refresh comes to it, or at the end.
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

impl MemorySummary {
    /// Sums up missions.
    #[must_use]
    pub fn new(plan: &MissionPlan, timelines: &[Timeline]) -> Self {
        let share = plan.flown_share();
        let mean = |value: &dyn Fn(&Timeline) -> u64| {
            let values: Vec<f64> = timelines.iter().map(|timeline| value(timeline) as f64).collect();
            Mean::of(&values, plan.seed).scaled(share)
        };
        let repetitions = timelines.len() as u64;
        let total: u64 = timelines.iter().map(Timeline::found).sum();
        let failed = timelines.iter().filter(|timeline| timeline.found() > 0).count() as u64;
        let failures = Count::new(total, plan.duration.0 * repetitions as f64 / share);
        let accumulated = |timeline: &Timeline| timeline.found_by_cause[Cause::Accumulation as usize];
        Self {
            repetitions,
            mission_h: plan.duration.0,
            flown_share: share,
            cells: plan.store.cells(),
            expected_events: plan.expected_events(),
            events: mean(&|timeline| timeline.events),
            flips: mean(&|timeline| timeline.flips),
            cut_off: mean(&|timeline| timeline.cut_off).mean,
            reloads: mean(&|timeline| timeline.reloads).mean,
            wrong_bits_at_end: mean(&|timeline| {
                timeline
                    .observations
                    .last()
                    .map_or(0, |observation| observation.wrong_bits)
            }),
            failures_per_mission: mean(&Timeline::found),
            detected_per_mission: mean(&|timeline| timeline.found_detected),
            silent_per_mission: mean(&|timeline| timeline.found_silent),
            single_event_per_mission: mean(&|timeline| timeline.found() - accumulated(timeline)),
            accumulated_per_mission: mean(&accumulated),
            missions_with_failure: share * failed as f64 / repetitions.max(1) as f64,
            missions_with_failure_interval: scaled(wilson(failed, repetitions), share),
            failure_fit: failures.fit(),
            failures,
        }
    }
}
