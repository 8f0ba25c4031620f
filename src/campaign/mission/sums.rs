//! What many missions of one design come to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Cause, Flight, MissionPlan};
use crate::accelerator::{Accelerator, StoredBit};
use crate::campaign::statistics::{Bounds, FirstFailures, Interval, Moments, clopper_pearson};
use crate::campaign::{Bench, Count, LargestRise, Mean};

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

/// Wrong bits as read, and first failures, that come from one group of bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// The group.
    pub group: String,
    /// Bits that began to be read wrong.
    pub wrong_bits: Count,
    /// Missions whose first failure came from there.
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
    /// Share of the missions with any failure.
    pub missions_with_wrong_output: f64,
    /// Its interval.
    pub missions_with_wrong_output_interval: Interval,
    /// Mean hours to the first failure of the missions that had one.
    pub first_wrong_h: Option<Mean>,
    /// Failures of the function: first failures per hour of operation before them.
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

/// Sums over the missions of one design.
#[derive(Clone, Debug, Default)]
pub struct DesignSums {
    missions: u64,
    events: Moments,
    flips: Moments,
    stuck: u64,
    cut_off: u64,
    reloads: u64,
    at: Vec<TimeSums>,
    groups: Groups,
    /// Hours to the first failures.
    first_wrong_h: Moments,
    failures: FirstFailures,
}

#[derive(Clone, Debug, Default)]
struct TimeSums {
    events: f64,
    flips: f64,
    wrong_bits: Moments,
    detected: f64,
    changed: Moments,
    newly_wrong: Option<Moments>,
    loss: f64,
    rise: Moments,
}

/// Sums by a property of bits.
#[derive(Clone, Debug, Default)]
struct Split(BTreeMap<u32, GroupSums>);

/// Sums of one group.
#[derive(Clone, Debug, Default)]
struct GroupSums {
    wrong_bits: u64,
    /// Of the missions with any wrong bit there.
    of_mission: Moments,
    firsts: u64,
    hours_of_firsts: f64,
}

/// The sums of the groups of all splits. Keys are positions: of a cause, of the first memory of a class, of a
/// memory, of the first memory of a tensor, of a bit.
#[derive(Clone, Debug, Default)]
struct Groups {
    by_cause: Split,
    by_class: Split,
    by_memory: Split,
    by_layer: Split,
    by_bit: Split,
}

/// The key of padding bits, which belong to no element.
const PADDING: u32 = u32::MAX;

impl Split {
    fn add_mission(&mut self, keys: impl Iterator<Item = u32>) {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for key in keys {
            *counts.entry(key).or_default() += 1;
        }
        for (key, count) in counts {
            let group = self.0.entry(key).or_default();
            group.wrong_bits += count;
            group.of_mission.add(count as f64);
        }
    }

    fn add_first(&mut self, key: u32, hours: f64) {
        let group = self.0.entry(key).or_default();
        group.firsts += 1;
        group.hours_of_firsts += hours;
    }

    /// All groups that can be hit, those where nothing was seen included: a group that stood there only when it
    /// was hit would have intervals that lie too high.
    fn summaries(
        &self,
        struck: impl IntoIterator<Item = u32>,
        all: &Missions<'_>,
        name: impl Fn(u32) -> String,
    ) -> Vec<GroupSummary> {
        let keys: BTreeSet<u32> = self.0.keys().copied().chain(struck).collect();
        let nothing = GroupSums::default();
        let summary = |(key, sums): (u32, &GroupSums)| GroupSummary {
            group: name(key),
            wrong_bits: Count::of_missions(
                sums.wrong_bits,
                &sums.of_mission.padded(all.count),
                all.plan.most_wrong_bits_of_a_strike(),
                all.plan.duration.0,
                all.plan.flown_share(),
            ),
            first_wrong_outputs: Count::of_firsts(&all.failures.of_some(sums.firsts, sums.hours_of_firsts)),
        };
        keys.into_iter()
            .map(|key| summary((key, self.0.get(&key).unwrap_or(&nothing))))
            .collect()
    }
}

/// What the groups' numbers are counts of.
struct Missions<'a> {
    plan: &'a MissionPlan,
    count: u64,
    failures: &'a FirstFailures,
}

impl Groups {
    fn keys(accelerator: &Accelerator, bit: StoredBit) -> [u32; 4] {
        let map = accelerator.map();
        let memory = map.address(bit).memory;
        let of = map.memory(memory);
        let first = |same: &dyn Fn(&crate::accelerator::Memory) -> bool| {
            map.memories().iter().position(same).unwrap_or_default() as u32
        };
        [
            first(&|other| other.style == of.style),
            memory.0,
            first(&|other| (other.layer, other.kind) == (of.layer, of.kind)),
            if map.is_padding(bit) {
                PADDING
            } else {
                map.logical(bit).bit
            },
        ]
    }

    /// The keys of everything that strikes of a plan can reach: classes, memories, tensors, bits.
    fn struck(accelerator: &Accelerator, plan: &MissionPlan) -> [BTreeSet<u32>; 4] {
        let mut struck: [BTreeSet<u32>; 4] = Default::default();
        for memory in plan.store.memories().iter().filter(|memory| memory.words > 0) {
            // A word holds whole elements, and padding lies behind the last of them.
            let (first, bits) = (memory.first_bit, u64::from(memory.word_bits));
            let last = first + (memory.words - 1) * bits;
            for bit in (first..first + bits).chain(last..last + bits) {
                let keys = Self::keys(accelerator, StoredBit(bit));
                for (struck, key) in struck.iter_mut().zip(keys) {
                    struck.insert(key);
                }
            }
        }
        struck
    }

    fn add(&mut self, accelerator: &Accelerator, flight: &Flight) {
        let changes = flight.timeline.changes.iter();
        let broken: Vec<(u32, [u32; 4])> = changes
            .filter(|change| change.cause != Cause::Repair)
            .map(|change| (change.cause as u32, Self::keys(accelerator, change.bit)))
            .collect();
        self.by_cause.add_mission(broken.iter().map(|(cause, _)| *cause));
        let splits = [
            &mut self.by_class,
            &mut self.by_memory,
            &mut self.by_layer,
            &mut self.by_bit,
        ];
        for (at, split) in splits.into_iter().enumerate() {
            split.add_mission(broken.iter().map(|(_, keys)| keys[at]));
        }
        if let Some(first) = &flight.first_wrong {
            let [class, memory, layer, bit] = Self::keys(accelerator, first.bit);
            self.by_cause.add_first(first.cause as u32, first.time_h);
            self.by_class.add_first(class, first.time_h);
            self.by_memory.add_first(memory, first.time_h);
            self.by_layer.add_first(layer, first.time_h);
            self.by_bit.add_first(bit, first.time_h);
        }
    }
}

impl DesignSums {
    /// Sums over no mission, with so many stated times.
    pub(super) fn new(times: usize) -> Self {
        Self {
            at: vec![TimeSums::default(); times],
            ..Self::default()
        }
    }

    /// Adds a mission on a workload of so many samples.
    pub(super) fn add(
        &mut self,
        accelerator: &Accelerator,
        plan: &MissionPlan,
        flight: &Flight,
        samples: usize,
    ) {
        let timeline = &flight.timeline;
        self.missions += 1;
        self.events.add(timeline.events as f64);
        self.flips.add(timeline.flips as f64);
        self.stuck += timeline.stuck;
        self.cut_off += timeline.cut_off;
        self.reloads += timeline.reloads;
        let first_wrong_h = flight.first_wrong.map(|first| first.time_h);
        self.failures
            .add(first_wrong_h.is_some(), first_wrong_h.unwrap_or(plan.duration.0));
        if let Some(hours) = first_wrong_h {
            self.first_wrong_h.add(hours);
        }
        self.groups.add(accelerator, flight);
        let share = |count: u64| count as f64 / samples.max(1) as f64;
        let seen = timeline.observations.iter().zip(&flight.scores);
        for (sums, (observation, score)) in self.at.iter_mut().zip(seen) {
            sums.events += observation.events as f64;
            sums.flips += observation.flips as f64;
            sums.detected += observation.detected as f64;
            sums.loss += score.loss;
            sums.wrong_bits.add(observation.wrong_bits as f64);
            sums.changed.add(share(score.changed));
            if let Some(wrong) = score.newly_wrong {
                sums.newly_wrong.get_or_insert_default().add(share(wrong));
            }
            sums.rise.add(score.delta_loss);
        }
    }

    /// The largest rise of the mean loss at any time; 0 where none rose.
    pub(super) fn largest_rise(&self) -> f64 {
        let rises = self.at.iter().filter_map(|sums| sums.rise.max());
        rises.fold(0.0, f64::max)
    }
}

impl TimeSums {
    fn summary(
        &self,
        time_h: f64,
        missions: u64,
        plan: &MissionPlan,
        fault_free: f64,
        largest: &LargestRise,
    ) -> TimeSummary {
        let mean = |sum: f64| sum / missions.max(1) as f64;
        let mut loss = Mean::of(&self.rise, largest.bounds(&self.rise, fault_free)).shifted(fault_free);
        loss.mean = mean(self.loss);
        loss.interval.assumes.clone_from(&largest.assumes);
        TimeSummary {
            time_h,
            events: mean(self.events),
            flips: mean(self.flips),
            wrong_bits: Mean::of_counts(&self.wrong_bits, plan.most_wrong_bits_of_a_strike()),
            detected: mean(self.detected),
            wrong_inferences: Mean::of_shares(&self.changed),
            newly_wrong: self.newly_wrong.as_ref().map(Mean::of_shares),
            loss,
            delta_loss: self.rise.mean(),
        }
    }
}

/// Sums up the missions of one design.
pub(super) fn summarize(
    bench: &Bench,
    plan: &MissionPlan,
    sums: &DesignSums,
    largest: &LargestRise,
) -> DesignSummary {
    let accelerator = bench.accelerator();
    let per_mission = |count: u64| count as f64 / sums.missions.max(1) as f64;
    let hours = plan.duration.0;
    let fault_free = bench.baseline().loss;
    // Each flown mission stands for several, all others of them without a strike.
    let share = plan.flown_share();
    let flown_h = hours * sums.missions as f64;
    let first_failures = sums.failures.with_idle((1.0 - share) / share * flown_h);
    let failures = Count::of_firsts(&first_failures);
    let all = Missions {
        plan,
        count: sums.missions,
        failures: &first_failures,
    };
    let map = accelerator.map();
    let memory = |of: u32| &map.memories()[of as usize];
    let layer = |of: u32| {
        let memory = memory(of);
        format!(
            "{}.{}",
            accelerator.network().layer(memory.layer).name,
            memory.kind.name()
        )
    };
    let bit = |bit: u32| {
        if bit == PADDING {
            "padding".to_owned()
        } else {
            bit.to_string()
        }
    };
    let cause = |of: u32| {
        let known = [
            Cause::Single,
            Cause::MultiBit,
            Cause::Accumulation,
            Cause::Permanent,
        ];
        let found = known.into_iter().find(|cause| *cause as u32 == of);
        found.unwrap_or(Cause::Repair).name().to_owned()
    };
    let groups = &sums.groups;
    let [classes, memories, layers, bits] = Groups::struck(accelerator, plan);
    let causes = Cause::ALL.into_iter().chain([Cause::Repair]);
    let hours_bounds = Bounds {
        low: 0.0,
        high: hours,
    };
    DesignSummary {
        repetitions: sums.missions,
        mission_h: hours,
        flown_share: share,
        cells: plan.store.cells(),
        expected_events: plan.expected_events(),
        events: Mean::of_counts(&sums.events, 1.0),
        flips: Mean::of_counts(&sums.flips, plan.most_flips_of_a_strike()),
        stuck: per_mission(sums.stuck),
        cut_off: per_mission(sums.cut_off),
        reloads: per_mission(sums.reloads),
        at: (plan.at.iter().zip(&sums.at))
            .map(|(&time_h, at)| at.summary(time_h, sums.missions, plan, fault_free, largest))
            .collect(),
        missions_with_wrong_output: per_mission(failures.count) * share,
        missions_with_wrong_output_interval: clopper_pearson(failures.count, sums.missions).scaled(share),
        first_wrong_h: (failures.count > 0).then(|| Mean::of(&sums.first_wrong_h, hours_bounds)),
        failure_fit: failures.fit(),
        failures,
        by_cause: groups
            .by_cause
            .summaries(causes.map(|cause| cause as u32), &all, cause),
        by_class: groups
            .by_class
            .summaries(classes, &all, |of| memory(of).style.name().to_owned()),
        by_memory: groups
            .by_memory
            .summaries(memories, &all, |of| memory(of).name.clone()),
        by_layer: groups.by_layer.summaries(layers, &all, layer),
        by_bit: groups.by_bit.summaries(bits, &all, bit),
    }
}
