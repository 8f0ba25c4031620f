//! How often the intervals of whole reports hold the truth: every interval of the report of every kind of
//! campaign, found in the report itself, over many short runs against the estimate of a long one.
//!
//! Trials are pure functions of their numbers, so the short runs are the stretches of one long run. They are
//! counted against its estimate, whose own error is small beside theirs and counts against the intervals.

mod coverage_common;
mod workload_common;

use std::collections::BTreeMap;
use std::sync::Arc;

use coverage_common::{Coverage, intervals, too_low};
use radstream::accelerator::{Scrub, StoredBit};
use radstream::campaign::mission::{AfterFailure, Exposure, Failure, MissionPlan, Missions};
use radstream::campaign::{Accumulation, Bench, Kind, MemoryMissions, RegisterStrikes, Silent, TrialPlan};
use radstream::radiation::Clusters;
use radstream::radiation::rate::Hours;
use radstream::scheme::{Cells, Protection, Scheme, Store};
use radstream::simulate::cycle::Pipeline;
use workload_common::workload;

/// What every interval states.
const NOMINAL: f64 = 0.95;

/// The probability that a table of intervals of exactly that coverage is called too low.
const TABLE_ERROR: f64 = 1e-3;

fn full() -> bool {
    std::env::var("RADSTREAM_FULL_GOLDEN").is_ok_and(|value| value == "1")
}

/// Short runs of one table.
fn runs() -> u64 {
    if full() { 500 } else { 60 }
}

fn bench(samples: usize) -> Arc<Bench> {
    let (accelerator, workload) = workload("digits_small_cls", samples);
    let bench = Bench::new(accelerator, workload.inputs, workload.evaluator);
    Arc::new(bench.expect("a bench"))
}

/// Coverage of every interval of a kind's report over short runs of so many trials each; `report` makes the
/// report of some sums as JSON.
fn covered<K: Kind>(
    name: &str,
    kind: &K,
    lengths: &[u64],
    report: impl Fn(&K::Sums) -> serde_json::Value,
) -> Vec<(String, Coverage)> {
    let mut rows = Vec::new();
    let total = kind.trials();
    let mut all = kind.sums();
    let mut short: Vec<Vec<K::Sums>> = lengths.iter().map(|_| Vec::new()).collect();
    let mut next = 0;
    while next < total {
        let end = total.min(next + kind.largest_block());
        let trials = kind.block(next..end, &Silent).expect("nothing stops it");
        for (number, trial) in (next..end).zip(&trials) {
            kind.add(&mut all, number, trial);
            for (length, sums) in lengths.iter().zip(&mut short) {
                if number.is_multiple_of(*length) {
                    sums.push(kind.sums());
                }
                kind.add(sums.last_mut().expect("a run"), number, trial);
            }
        }
        next = end;
    }
    let long = report(&all);
    for (length, sums) in lengths.iter().zip(&short) {
        let whole = (total / length) as usize;
        let mut of: BTreeMap<String, Coverage> = BTreeMap::new();
        for sums in &sums[..whole.min(runs() as usize)] {
            let found = intervals(&report(sums), &long).expect("intervals with estimates");
            assert!(!found.is_empty(), "{name}: no interval");
            for interval in found {
                let one = Coverage::of([(interval.low, interval.high)], interval.truth);
                let sum = of.entry(interval.path).or_default();
                sum.replications += one.replications;
                sum.held += one.held;
            }
        }
        for (path, coverage) in of {
            println!(
                "{name} n={length} {path}: {:.3} of {}",
                coverage.share(),
                coverage.replications
            );
            rows.push((format!("{name} n={length} {path}"), coverage));
        }
    }
    rows
}

fn json(report: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(report).expect("a report")
}

fn holds(rows: &[(String, Coverage)]) {
    let low = too_low(rows, NOMINAL, TABLE_ERROR);
    assert!(low.is_empty(), "{} of {} rows: {low:#?}", low.len(), rows.len());
}

#[test]
fn residual_losses() {
    let bench = bench(6);
    let stored = bench.accelerator().map().total_bits();
    // Two of three bits protected: harm is rare, and large when it comes.
    let most: Vec<StoredBit> = bench
        .accelerator()
        .map()
        .bits()
        .filter(|bit| bit.0 % 50 > 0)
        .collect();
    let all: Vec<StoredBit> = bench.accelerator().map().bits().collect();
    let mut rows = Vec::new();
    for (name, bits, flips) in [
        ("plain", &[][..], stored / 100),
        ("selective", &most, stored / 100),
        ("full, same flips", &all, stored / 100),
        ("full, same flux", &all, 3 * stored / 100),
        ("plain, rare", &[], 2),
    ] {
        let protection = Protection::of(Scheme::Tmr, bits.iter().copied());
        let store = Store::new(bench.accelerator(), |_| true, &protection).expect("one scheme");
        let plan = TrialPlan {
            trials: runs() * 200,
            flips,
            seed: 1,
        };
        let kind = Accumulation::new(Arc::clone(&bench), Cells::new(store), plan);
        let lengths = if full() { &[40, 200, 1000][..] } else { &[40, 200] };
        rows.extend(covered(name, &kind, lengths, |sums| json(&kind.report(sums))));
    }
    holds(&rows);
}

#[test]
fn missions_with_bursts() {
    let bench = bench(4);
    let accelerator = bench.accelerator();
    let mut rows = Vec::new();
    for (name, scheme, burst, events) in [
        ("secded, bursts", Scheme::Secded, 4, 3.0),
        ("bare, bursts, rare", Scheme::None, 8, 0.1),
        ("tmr, single", Scheme::Tmr, 1, 40.0),
    ] {
        let protection = Protection::of(scheme, accelerator.map().bits());
        let store = Store::new(accelerator, |_| true, &protection).expect("one scheme");
        let rate = events / 10.0 / store.cells() as f64;
        let exposure = Exposure {
            clusters: Clusters::burst(burst),
            ..Exposure::single((0..store.arrays().len()).collect(), rate)
        };
        let plan = MissionPlan {
            at: vec![5.0, 10.0],
            scrub: Some(Scrub {
                period_s: 7200.0,
                pass_s: 0.0,
            }),
            seed: 3,
            ..MissionPlan::new(store, vec![exposure], Hours(10.0))
        };
        for failure in [Failure::Any, Failure::Class] {
            let designs = vec![(name.to_owned(), plan.clone())];
            let kind = Missions::new(Arc::clone(&bench), designs, runs() * 40, failure);
            let name = format!("{name}, {failure}");
            let lengths = if full() { &[40, 200][..] } else { &[40] };
            rows.extend(covered(&name, &kind, lengths, |sums| json(&kind.report(sums))));
        }
    }
    holds(&rows);
}

#[test]
fn missions_of_a_memory() {
    let mut rows = Vec::new();
    for (name, scheme, burst, events) in [
        ("secded", Scheme::Secded, 1, 30.0),
        ("secded, bursts", Scheme::Secded, 4, 3.0),
        ("tmr, rare", Scheme::Tmr, 1, 4.0),
        ("bare, rare bursts", Scheme::None, 8, 0.05),
        ("parity", Scheme::Parity, 2, 1.0),
    ] {
        let store = Store::memory(200, 16, 1, scheme);
        let rate = events / 10.0 / store.cells() as f64;
        let exposure = Exposure {
            clusters: Clusters::burst(burst),
            ..Exposure::single((0..store.arrays().len()).collect(), rate)
        };
        let plan = MissionPlan {
            scrub: Some(Scrub {
                period_s: 3600.0,
                pass_s: 0.0,
            }),
            after_failure: AfterFailure::PutRight,
            reads_continuously: false,
            keep_changes: false,
            seed: 4,
            ..MissionPlan::new(store, vec![exposure], Hours(10.0))
        };
        let kind = MemoryMissions::new(vec![(name.to_owned(), plan)], runs() * 1000);
        let lengths = &[40, 200, 1000];
        rows.extend(covered(name, &kind, lengths, |sums| json(&kind.report(sums))));
    }
    holds(&rows);
}

#[test]
fn strikes_on_registers() {
    let (accelerator, workload) = workload("digits_small_cls", 2);
    let pipeline = Pipeline::new(&accelerator).expect("a pipeline");
    let kind = RegisterStrikes::new(
        accelerator,
        pipeline,
        Arc::new(workload.inputs),
        Arc::new(workload.evaluator),
        (if full() { 100 * 40 } else { 20 * 40 }, 3),
    );
    holds(&covered("registers", &kind, &[40], |sums| {
        json(&kind.report(sums))
    }));
}
