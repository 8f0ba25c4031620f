//! One mission, strike by strike.

use rand::RngExt;

use super::change::BitChange;
use super::plan::{Exposure, MissionPlan};
use super::state::State;
use crate::campaign::{Stream, stream};
use crate::fault;
use crate::radiation::poisson;
use crate::radiation::rate::Hours;
use crate::scheme::Place;

/// What there was at one of the stated times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// The time in hours.
    pub time_h: f64,
    /// Strikes so far.
    pub events: u64,
    /// Cells hit so far.
    pub flips: u64,
    /// Data bits that are read wrong.
    pub wrong_bits: u64,
    /// Words, or voted bits, whose error the hardware reports and cannot correct.
    pub detected: u64,
    /// How many of the timeline's changes came before.
    pub changes: usize,
}

/// What happened in one mission.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Strikes.
    pub events: u64,
    /// Cells that they hit.
    pub flips: u64,
    /// Cells that got stuck.
    pub stuck: u64,
    /// Cells of clusters that fell outside the memory.
    pub cut_off: u64,
    /// Words reloaded because their parity failed.
    pub reloads: u64,
    /// Words, or voted bits, found failed by a pass, a refresh or at the end, that the hardware reported.
    pub found_detected: u64,
    /// The same that it did not report: read wrong as if they were right.
    pub found_silent: u64,
    /// All found ones by what it took, in the order of [`Cause::ALL`](super::Cause::ALL).
    pub found_by_cause: [u64; 4],
    /// What there was at the stated times.
    pub observations: Vec<Observation>,
    /// Every change of a bit as it is read, in order, where the plan keeps them.
    pub changes: Vec<BitChange>,
}

impl Timeline {
    /// Words, or voted bits, found failed.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found_detected + self.found_silent
    }
}

/// Working memory of one thread.
#[derive(Default)]
pub struct Workspace {
    state: State,
    cells: Vec<u64>,
    places: Vec<Place>,
}

/// One strike to come.
struct Strike {
    time_h: f64,
    exposure: u32,
    /// A single cell that gets stuck.
    permanent: bool,
}

/// Flies one mission: a pure function of the plan and the number of the trial.
#[must_use]
pub fn simulate(plan: &MissionPlan, trial: u64, workspace: &mut Workspace) -> Timeline {
    let mut random = stream(plan.seed, trial);
    let strikes = draw_strikes(plan, &mut random);
    let ends: Vec<Vec<u64>> = plan
        .exposures
        .iter()
        .map(|exposure| ends(plan, exposure))
        .collect();
    let mut timeline = Timeline::default();
    let mut times = plan.at.iter().copied().peekable();
    workspace.state.reset(plan);
    for strike in &strikes {
        while let Some(time_h) = times.next_if(|&time| time < strike.time_h) {
            observe(plan, time_h, workspace, &mut timeline);
        }
        land(plan, strike, &ends, workspace, &mut random, &mut timeline);
    }
    for time_h in times {
        observe(plan, time_h, workspace, &mut timeline);
    }
    let state = &mut workspace.state;
    state.end(plan);
    timeline.reloads = state.counts.reloads;
    timeline.found_detected = state.counts.found_detected;
    timeline.found_silent = state.counts.found_silent;
    timeline.found_by_cause = state.counts.found_by_cause;
    // Passes and refreshes are applied when the next strike or observation asks for them.
    state.changes.sort_by(|a, b| a.time_h.total_cmp(&b.time_h));
    timeline.changes = std::mem::take(&mut state.changes);
    timeline
}

fn draw_strikes(plan: &MissionPlan, random: &mut Stream) -> Vec<Strike> {
    let mut processes = Vec::new();
    for (exposure, of) in (0u32..).zip(&plan.exposures) {
        let bits = of.bits(&plan.store);
        processes.push((exposure, false, &of.strikes, bits));
        processes.extend(
            of.permanent
                .as_ref()
                .map(|stuck| (exposure, true, &stuck.profile, bits)),
        );
    }
    let strike = |time_h: f64, exposure: u32, permanent: bool| Strike {
        time_h,
        exposure,
        permanent,
    };
    let mut strikes = Vec::new();
    let mut is_sorted = true;
    if plan.given_strike {
        let ends: Vec<f64> = processes
            .iter()
            .scan(0.0, |end, (.., profile, bits)| {
                *end += profile.expected_events(*bits, Hours(0.0), plan.duration);
                Some(*end)
            })
            .collect();
        let expected = ends.last().copied().unwrap_or(0.0);
        for _ in 0..at_least_one(expected, random) {
            let at = random.random::<f64>() * expected;
            let process = ends.partition_point(|&end| end <= at).min(processes.len() - 1);
            let (exposure, permanent, profile, _) = processes[process];
            strikes.push(strike(
                profile.draw_time(plan.duration, random),
                exposure,
                permanent,
            ));
        }
        is_sorted = false;
    } else {
        for (exposure, permanent, profile, bits) in processes {
            let times = profile.draw_times(bits, plan.duration, random);
            is_sorted &= strikes.is_empty() || times.is_empty();
            strikes.extend(
                times
                    .into_iter()
                    .map(|time_h| strike(time_h, exposure, permanent)),
            );
        }
    }
    if !is_sorted {
        strikes.sort_by(|a, b| a.time_h.total_cmp(&b.time_h));
    }
    strikes
}

/// A Poisson number that is known not to be 0; 0 where the mean is.
fn at_least_one(mean: f64, random: &mut Stream) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    if mean > 10.0 {
        loop {
            let count = poisson(mean, random);
            if count > 0 {
                return count;
            }
        }
    }
    // Inversion: the terms of the sum over all numbers from 1 on.
    let mut left = random.random::<f64>() * -libm::expm1(-mean);
    let (mut count, mut term) = (1u64, mean * libm::exp(-mean));
    while left >= term && term > 0.0 {
        left -= term;
        count += 1;
        term *= mean / count as f64;
    }
    count
}

/// Where the cells of an exposure's arrays end when they are counted one array after the other.
fn ends(plan: &MissionPlan, exposure: &Exposure) -> Vec<u64> {
    let mut end = 0;
    exposure
        .arrays
        .iter()
        .map(|&array| {
            end += plan.store.arrays()[array].geometry.cells();
            end
        })
        .collect()
}

fn observe(plan: &MissionPlan, time_h: f64, workspace: &mut Workspace, timeline: &mut Timeline) {
    let state = &mut workspace.state;
    state.settle_all(plan, time_h);
    timeline.observations.push(Observation {
        time_h,
        events: timeline.events,
        flips: timeline.flips,
        wrong_bits: state.counts.wrong_bits,
        detected: state.counts.detected,
        changes: state.changes.len(),
    });
}

fn land(
    plan: &MissionPlan,
    strike: &Strike,
    ends: &[Vec<u64>],
    workspace: &mut Workspace,
    random: &mut Stream,
    timeline: &mut Timeline,
) {
    let exposure = &plan.exposures[strike.exposure as usize];
    let ends = &ends[strike.exposure as usize];
    timeline.events += 1;
    let Some(&total) = ends.last() else { return };
    let Workspace { state, cells, places } = workspace;
    let number = random.random_range(0..total);
    let position = ends.partition_point(|&end| end <= number);
    let array = &plan.store.arrays()[exposure.arrays[position]];
    let single = strike.permanent || matches!(exposure.clusters.sizes(), [(1, _)]);
    if single {
        let first = if position == 0 { 0 } else { ends[position - 1] };
        cells.clear();
        cells.push(number - first);
    } else {
        let cluster = exposure.clusters.draw(random);
        timeline.cut_off += u64::from(fault::place(&array.geometry, &cluster, random, cells));
    }
    timeline.flips += cells.len() as u64;
    places.clear();
    places.extend(cells.iter().map(|&cell| array.place(cell)));
    let permanent = strike.permanent
        || exposure.permanent_share > 0.0 && random.random::<f64>() < exposure.permanent_share;
    let values: Option<Vec<bool>> = permanent.then(|| {
        let share = match &exposure.permanent {
            Some(stuck) if strike.permanent => stuck.stuck_at_one_share,
            _ => 0.5,
        };
        timeline.stuck += places.len() as u64;
        places
            .iter()
            .map(|&place| (random.random::<f64>() < share) != plan.contents.value(&plan.store, place))
            .collect()
    });
    if let [place] = places[..] {
        state.strike(plan, strike.time_h, &[place], values.as_deref());
        return;
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&at| (places[at].unit, places[at].cell));
    for group in order.chunk_by(|&a, &b| places[a].unit == places[b].unit) {
        let cells: Vec<Place> = group.iter().map(|&at| places[at]).collect();
        let values: Option<Vec<bool>> = values
            .as_ref()
            .map(|values| group.iter().map(|&at| values[at]).collect());
        state.strike(plan, strike.time_h, &cells, values.as_deref());
    }
}
