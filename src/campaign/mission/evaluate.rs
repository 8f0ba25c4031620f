//! Missions of memories that a network reads.

use std::ops::Range;

use rayon::prelude::*;

use super::change::BitChange;
use super::{Cause, Failure, MissionPlan, Timeline, Workspace, simulate};
use crate::accelerator::StoredBit;
use crate::campaign::{Bench, Monitor, Scenario, Score};
use crate::fault;

/// The first failure of a mission.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstWrong {
    /// From when on, in hours.
    pub time_h: f64,
    /// The bit that changed there; the lowest where there are several.
    pub bit: StoredBit,
    /// Why it did.
    pub cause: Cause,
}

/// One mission with what it did to the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Flight {
    /// What happened to the memories.
    pub timeline: Timeline,
    /// What the workload made of the wrong bits at the stated times.
    pub scores: Vec<Score>,
    /// When the function first failed.
    pub first_wrong: Option<FirstWrong>,
}

/// Fault sets that one round of the search for the first wrong output takes at least.
const ROUND: usize = 64;

/// Flies the missions of these numbers. `None` where the monitor stopped it.
///
/// Between two changes of what is read nothing is evaluated; the workload is run at the stated times and,
/// change by change, until its first failure.
#[must_use]
pub fn fly(
    bench: &Bench,
    plan: &MissionPlan,
    trials: Range<u64>,
    failure: Failure,
    monitor: &dyn Monitor,
) -> Option<Vec<Flight>> {
    let timelines: Vec<Timeline> = trials
        .into_par_iter()
        .map_init(Workspace::default, |workspace, trial| {
            simulate(plan, trial, workspace)
        })
        .collect();
    let mut scores = score_observations(bench, &timelines, monitor)?.into_iter();
    let mut first = first_wrong(bench, &timelines, failure, monitor)?.into_iter();
    Some(
        timelines
            .into_iter()
            .map(|timeline| Flight {
                scores: scores.by_ref().take(timeline.observations.len()).collect(),
                first_wrong: first.next().flatten(),
                timeline,
            })
            .collect(),
    )
}

/// Scores of all observations, timeline by timeline.
fn score_observations(bench: &Bench, timelines: &[Timeline], monitor: &dyn Monitor) -> Option<Vec<Score>> {
    let scenarios: Vec<Scenario> = timelines
        .par_iter()
        .flat_map_iter(|timeline| {
            let mut search = Search::new(timeline);
            timeline.observations.iter().map(move |observation| {
                search.advance_to(observation.changes);
                search.scenario(bench)
            })
        })
        .collect();
    let mut scores = Vec::with_capacity(scenarios.len());
    for block in scenarios.chunks(bench.block()) {
        scores.extend(bench.score(block, monitor)?);
    }
    Some(scores)
}

/// A fault set and the change that made it.
type Step = (Scenario, Option<FirstWrong>);

/// A walk along the changes of one timeline.
struct Search<'t> {
    timeline: &'t Timeline,
    /// Changes that have been applied.
    applied: usize,
    /// Bits that read wrong now, in order.
    wrong: Vec<StoredBit>,
}

impl<'t> Search<'t> {
    fn new(timeline: &'t Timeline) -> Self {
        Self {
            timeline,
            applied: 0,
            wrong: Vec::new(),
        }
    }

    fn advance_to(&mut self, changes: usize) {
        for change in &self.timeline.changes[self.applied..changes] {
            match self.wrong.binary_search(&change.bit) {
                Ok(at) => {
                    self.wrong.remove(at);
                }
                Err(at) => self.wrong.insert(at, change.bit),
            }
        }
        self.applied = changes;
    }

    /// Applies the changes of the next instant; none are left where it returns `false`.
    fn step(&mut self) -> bool {
        let rest = &self.timeline.changes[self.applied..];
        let Some(first) = rest.first() else { return false };
        let together = rest.iter().take_while(|change| change.time_h == first.time_h);
        let end = self.applied + together.count();
        self.advance_to(end);
        true
    }

    /// What was applied last.
    fn last(&self) -> Option<FirstWrong> {
        let applied = &self.timeline.changes[..self.applied];
        first_change(applied, applied.last()?.time_h)
    }

    fn scenario(&self, bench: &Bench) -> Scenario {
        fault::changes(bench.accelerator(), &self.wrong).into()
    }
}

/// The change at an instant that stands for all of that instant.
pub(super) fn first_change(changes: &[BitChange], time_h: f64) -> Option<FirstWrong> {
    let now = changes.iter().filter(|change| change.time_h == time_h);
    // A repair comes to the fore only where nothing else happened.
    let change = now.min_by_key(|change| (change.cause == Cause::Repair, change.bit))?;
    Some(FirstWrong {
        time_h,
        bit: change.bit,
        cause: change.cause,
    })
}

/// For each timeline the first change after which the function fails.
fn first_wrong(
    bench: &Bench,
    timelines: &[Timeline],
    failure: Failure,
    monitor: &dyn Monitor,
) -> Option<Vec<Option<FirstWrong>>> {
    let mut found = vec![None; timelines.len()];
    let mut searches: Vec<(usize, Search<'_>, Scenario)> = timelines
        .iter()
        .enumerate()
        .map(|(at, timeline)| (at, Search::new(timeline), Scenario::default()))
        .collect();
    while !searches.is_empty() {
        // Where few are left, several instants of each go into a round; the earliest counts.
        let each = (ROUND / searches.len()).max(1);
        let ahead: Vec<(Vec<Step>, bool)> = searches
            .par_iter_mut()
            .map(|(_, search, last)| {
                let mut steps = Vec::new();
                while steps.len() < each {
                    if !search.step() {
                        return (steps, true);
                    }
                    let scenario = search.scenario(bench);
                    if !scenario.is_empty() && scenario != *last {
                        last.clone_from(&scenario);
                        steps.push((scenario, search.last()));
                    }
                }
                (steps, false)
            })
            .collect();
        let scenarios: Vec<Scenario> = ahead
            .iter()
            .flat_map(|(steps, _)| steps.iter().map(|(scenario, _)| scenario.clone()))
            .collect();
        let mut scores = Vec::with_capacity(scenarios.len());
        for block in scenarios.chunks(bench.block()) {
            scores.extend(bench.score(block, monitor)?);
        }
        let mut scores = scores.into_iter();
        let mut left = Vec::new();
        for ((at, search, last), (steps, exhausted)) in searches.into_iter().zip(ahead) {
            for ((_, first), score) in steps.into_iter().zip(&mut scores) {
                if failure.holds(&score) && found[at].is_none() {
                    found[at] = first;
                }
            }
            if found[at].is_none() && !exhausted {
                left.push((at, search, last));
            }
        }
        searches = left;
    }
    Some(found)
}
