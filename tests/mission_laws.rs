//! Simulated missions of abstract memories against the closed forms of accumulation.
//!
//! Expected values are those of `radiation/testcases.json` in the shared data, computed from
//! `p = (1 - exp(-2 lambda tau)) / 2`, the probability that a cell is wrong after `tau`:
//! `3p^2 - 2p^3` per voted bit, `1 - (1-p)^n - n p (1-p)^(n-1)` per SECDED word of `n` cells, times the
//! number of intervals. Seeds are fixed; intervals are those of the simulation, at 99.9 %.

use radstream::accelerator::Scrub;
use radstream::campaign::mission::{AfterFailure, Exposure, MissionPlan, Timeline, Workspace, simulate};
use radstream::radiation::rate::Hours;
use radstream::scheme::{Scheme, Store};
use rayon::prelude::*;

/// One upset in 15 s on 12,720 bits, in upsets per bit and hour.
const PER_BIT_HOUR: f64 = 3600.0 / 15.0 / 12_720.0;

fn plan(store: Store, scrub_s: Option<f64>) -> MissionPlan {
    let arrays = (0..store.arrays().len()).collect();
    MissionPlan {
        scrub: scrub_s.map(|period_s| Scrub {
            period_s,
            pass_s: 0.0,
        }),
        after_failure: AfterFailure::PutRight,
        reads_continuously: false,
        keep_changes: false,
        seed: 20_261,
        ..MissionPlan::new(store, vec![Exposure::single(arrays, PER_BIT_HOUR)], Hours(4.0))
    }
}

fn fly(plan: &MissionPlan, trials: u64) -> Vec<Timeline> {
    plan.check().expect("a sound plan");
    (0..trials)
        .into_par_iter()
        .map_init(Workspace::default, |workspace, trial| {
            simulate(plan, trial, workspace)
        })
        .collect()
}

/// Mean and its standard error.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// Checks a mean against its expectation, and that its interval is narrow enough for its share to be
/// told from one that is `resolution` of it away.
fn agrees(what: &str, values: impl Iterator<Item = f64> + Clone, expected: f64, resolution: f64) {
    const Z: f64 = 3.2905; // 99.9 %
    let (mean, error) = mean(values);
    println!("{what}: {mean} +- {} (99.9 %), expected {expected}", Z * error);
    assert!(
        (mean - expected).abs() < Z * error,
        "{what}: {mean} +- {error}, expected {expected}"
    );
    assert!(
        Z * error < resolution * expected,
        "{what}: {error} is too coarse for {expected}"
    );
}

fn failures(what: &str, store: Store, scrub_s: Option<f64>, trials: u64, expected: f64, resolution: f64) {
    let timelines = fly(&plan(store, scrub_s), trials);
    agrees(
        what,
        timelines.iter().map(|timeline| timeline.found() as f64),
        expected,
        resolution,
    );
}

#[test]
fn hits_pile_up_and_restore() {
    let timelines = fly(&plan(Store::memory(12_720, 1, 1, Scheme::None), None), 300);
    agrees("hits", timelines.iter().map(|t| t.flips as f64), 960.0, 0.02);
    agrees(
        "wrong bits",
        timelines.iter().map(|t| t.observations[0].wrong_bits as f64),
        891.059_082_595_057_8,
        0.02,
    );
}

#[test]
fn voted_bits_without_scrubbing() {
    let timelines = fly(&plan(Store::memory(12_720, 1, 1, Scheme::Tmr), None), 200);
    agrees(
        "wrong voted bits",
        timelines.iter().map(|t| t.observations[0].wrong_bits as f64),
        178.515_605_765_469_36,
        0.05,
    );
}

#[test]
fn voted_bits_under_scrubbing() {
    for (tau, trials, expected, resolution) in [
        (600.0, 1_000, 8.981, 0.05),
        (60.0, 6_000, 0.904_901_301_670_219_8, 0.05),
        (15.0, 20_000, 0.226_368, 0.05),
        (1.0, 12_000, 0.015_094_128_662_180_765, 0.3),
    ] {
        let store = Store::memory(12_720, 1, 1, Scheme::Tmr);
        failures(
            &format!("TMR, {tau} s"),
            store,
            Some(tau),
            trials,
            expected,
            resolution,
        );
    }
}

#[test]
fn corrected_words_under_scrubbing() {
    for (words, data_bits, tau, trials, expected, resolution) in [
        (199, 64, 600.0, 500, 103.758, 0.05),
        (199, 64, 60.0, 1_000, 11.888_624_462_505_511, 0.05),
        (199, 64, 1.0, 25_000, 0.201_145, 0.05),
        (795, 16, 60.0, 2_000, 4.337_53, 0.05),
        (795, 16, 1.0, 20_000, 0.072_635_7, 0.1),
    ] {
        let store = Store::memory(words, data_bits, 1, Scheme::Secded);
        let what = format!("SECDED, {words} words, {tau} s");
        failures(&what, store, Some(tau), trials, expected, resolution);
    }
}
