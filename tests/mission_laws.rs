//! Simulated missions of abstract memories against the closed forms of accumulation.
//!
//! Expected values are those of `radiation/testcases.json` in the shared data, computed from
//! `p = (1 - exp(-2 lambda tau)) / 2`, the probability that a cell is wrong after `tau`:
//! `3p^2 - 2p^3` per voted bit, `1 - (1-p)^n - n p (1-p)^(n-1)` per SECDED word of `n` cells, times the
//! number of intervals. Seeds are fixed; intervals are those of the simulation, at 99.9 %.

use radstream::accelerator::Scrub;
use radstream::campaign::mission::{
    AfterFailure, Cause, Exposure, MissionPlan, Timeline, Workspace, simulate,
};
use radstream::radiation::rate::Hours;
use radstream::radiation::{Clusters, RateProfile};
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
        (1.0, 9_000, 0.015_094_128_662_180_765, 0.3),
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
        (199, 64, 1.0, 23_000, 0.201_145, 0.05),
        (795, 16, 60.0, 2_000, 4.337_53, 0.05),
        (795, 16, 1.0, 16_000, 0.072_635_7, 0.1),
    ] {
        let store = Store::memory(words, data_bits, 1, Scheme::Secded);
        let what = format!("SECDED, {words} words, {tau} s");
        failures(&what, store, Some(tau), trials, expected, resolution);
    }
}

/// Bursts of 4 columns on SECDED words, scrubbed so often that nothing accumulates.
fn bursts(interleave: u32, trials: u64) -> Vec<Timeline> {
    let store = Store::memory(199, 64, interleave, Scheme::Secded);
    let mut plan = plan(store, Some(0.1));
    plan.exposures[0].clusters = Clusters::burst(4);
    plan.exposures[0].strikes = RateProfile::constant(PER_BIT_HOUR / 20.0);
    fly(&plan, trials)
}

#[test]
fn no_scrubbing_lowers_the_floor_of_single_strikes_and_interleaving_does() {
    let multi_bit = |t: &Timeline| t.found_by_cause[Cause::MultiBit as usize] as f64;
    let accumulated = |timelines: &[Timeline]| -> u64 {
        let of = |t: &Timeline| t.found_by_cause[Cause::Accumulation as usize];
        timelines.iter().map(of).sum()
    };
    // Wherever a burst of 4 starts, it puts two flips or more into one word; into two words where it is
    // split in the middle, which 198 of its 14,325 places are.
    let timelines = bursts(1, 400);
    let expected = PER_BIT_HOUR / 20.0 * 4.0 * 14_328.0 * (1.0 + 198.0 / 14_325.0);
    agrees("floor", timelines.iter().map(multi_bit), expected, 0.05);
    assert!(accumulated(&timelines) < 5);
    assert!(
        timelines
            .iter()
            .all(|t| t.cut_off == 0 && t.flips == 4 * t.events)
    );
    // Adjacent columns are four words; those of a last row with three words only are not reached by a
    // whole burst.
    let timelines = bursts(4, 400);
    let in_pairs: f64 = timelines.iter().map(multi_bit).sum();
    assert_eq!(in_pairs, 0.0);
    // Two columns apart is the same word again with an interleave of 2.
    let timelines = bursts(2, 400);
    let failures = timelines.iter().map(multi_bit).sum::<f64>() / 400.0;
    assert!(failures > 1.9 * expected, "{failures}");
}

#[test]
fn copies_lie_too_far_apart_for_one_strike() {
    let mut plan = plan(Store::memory(100, 32, 1, Scheme::Tmr), Some(0.1));
    plan.exposures[0].clusters = Clusters::burst(8);
    plan.exposures[0].strikes = RateProfile::constant(PER_BIT_HOUR / 20.0);
    let timelines = fly(&plan, 300);
    assert!(timelines.iter().map(|t| t.flips).sum::<u64>() > 10_000);
    assert!(
        timelines
            .iter()
            .all(|t| t.found_by_cause[Cause::MultiBit as usize] == 0)
    );
}

#[test]
fn parity_catches_odd_and_misses_even() {
    for (burst, reloads, silent) in [(1, true, false), (2, false, true), (3, true, false)] {
        let mut plan = plan(Store::memory(1, 63, 1, Scheme::Parity), None);
        plan.reads_continuously = true;
        plan.exposures[0].clusters = Clusters::burst(burst);
        plan.exposures[0].strikes = RateProfile::constant(1.0 / 64.0);
        let timelines = fly(&plan, 200);
        let events: u64 = timelines.iter().map(|t| t.events).sum();
        assert!(events > 500);
        let reloaded: u64 = timelines.iter().map(|t| t.reloads).sum();
        assert_eq!(reloaded, if reloads { events } else { 0 }, "bursts of {burst}");
        assert_eq!(
            timelines.iter().any(|t| t.found_silent > 0),
            silent,
            "bursts of {burst}"
        );
    }
}

#[test]
fn scrubbing_does_not_cure_stuck_cells_and_a_vote_masks_them() {
    // So few that hardly any word has two.
    let stuck = |store: Store, scrub| {
        let mut plan = plan(store, scrub);
        plan.after_failure = AfterFailure::AsHardware;
        plan.exposures[0].strikes = RateProfile::constant(PER_BIT_HOUR / 100.0);
        plan.exposures[0].permanent_share = 1.0;
        plan.refresh_s = scrub;
        fly(&plan, 500)
    };
    let wrong = |t: &Timeline| t.observations[0].wrong_bits as f64;
    // All cells hold 0, so half of the stuck ones are wrong; 9.6 strikes are expected.
    let plain = stuck(Store::memory(12_720, 1, 1, Scheme::None), Some(60.0));
    agrees("stuck at 1", plain.iter().map(wrong), 4.8, 0.1);
    assert_eq!(plain[0].stuck, plain[0].events);
    let voted = stuck(Store::memory(12_720, 1, 1, Scheme::Tmr), None);
    assert!(voted.iter().map(wrong).sum::<f64>() < 20.0);
    // A corrected word with a stuck cell fails at the next flip.
    let words = stuck(Store::memory(199, 64, 1, Scheme::Secded), Some(60.0));
    assert!(words.iter().map(wrong).sum::<f64>() > 0.0);
}

#[test]
fn a_refresh_leaves_what_came_since() {
    let mut plan = plan(Store::memory(12_720, 1, 1, Scheme::None), None);
    plan.after_failure = AfterFailure::AsHardware;
    plan.refresh_s = Some(900.0);
    plan.at = vec![1.9, 2.0];
    let timelines = fly(&plan, 200);
    // 1.9 h are 6840 s: 540 s after the seventh refresh. A refresh is due at 2 h.
    let p = -0.5 * (-2.0 * PER_BIT_HOUR * 540.0 / 3600.0).exp_m1();
    let wrong = |t: &Timeline| t.observations[0].wrong_bits as f64;
    agrees("after 540 s", timelines.iter().map(wrong), 12_720.0 * p, 0.05);
    assert!(timelines.iter().all(|t| t.observations[1].wrong_bits == 0));
}

#[test]
fn a_pass_that_takes_time_reaches_later_words_later() {
    let (period, words) = (600.0, 200u64);
    let mut plan = plan(Store::memory(words, 64, 1, Scheme::Secded), None);
    plan.scrub = Some(Scrub {
        period_s: period,
        pass_s: period,
    });
    let timelines = fly(&plan, 400);
    // The intervals of a word: one period and its place in the pass, then whole periods, then the rest.
    let p = |seconds: f64| -0.5 * (-2.0 * PER_BIT_HOUR * seconds / 3600.0).exp_m1();
    let failed = |seconds: f64| {
        let p = p(seconds);
        1.0 - (1.0 - p).powi(72) - 72.0 * p * (1.0 - p).powi(71)
    };
    let expected: f64 = (1..=words)
        .map(|word| {
            let phase = period * word as f64 / words as f64;
            failed(period + phase) + 22.0 * failed(period) + failed(period - phase)
        })
        .sum();
    agrees(
        "slow passes",
        timelines.iter().map(|t| t.found() as f64),
        expected,
        0.05,
    );
}

#[test]
fn what_cannot_be_flown_is_refused() {
    let good = || plan(Store::memory(100, 1, 1, Scheme::None), None);
    assert!(good().check().is_ok());
    let with = |change: &dyn Fn(&mut MissionPlan)| {
        let mut plan = good();
        change(&mut plan);
        plan.check()
    };
    assert!(with(&|plan| plan.duration = Hours(0.0)).is_err());
    assert!(with(&|plan| plan.duration = Hours(f64::NAN)).is_err());
    assert!(with(&|plan| plan.at = vec![4.1]).is_err());
    assert!(with(&|plan| plan.at = vec![2.0, 1.0]).is_err());
    assert!(with(&|plan| plan.exposures[0].permanent_share = 1.1).is_err());
    assert!(with(&|plan| plan.exposures[0].strikes = RateProfile::constant(1e9)).is_err());
    // Nothing comes: fine.
    let mut calm = good();
    calm.exposures[0].strikes = RateProfile::constant(0.0);
    let timelines = fly(&calm, 3);
    assert!(timelines.iter().all(|t| t.events == 0 && t.found() == 0));
}

#[test]
fn missions_with_a_strike_stand_for_all() {
    use radstream::campaign::{Kind, MemoryMissions, Run, Silent};
    // 0.5 strikes are expected.
    let mut plan = plan(Store::memory(100, 1, 1, Scheme::None), None);
    plan.exposures[0].strikes = RateProfile::constant(0.5 / 400.0);
    plan.given_strike = true;
    let trials = 10_000;
    let timelines = fly(&plan, trials);
    // Poisson numbers without 0: e^-m m^k / k! / (1 - e^-m).
    let share = 1.0 - (-0.5f64).exp();
    assert!((plan.flown_share() - share).abs() < 1e-15);
    let mut term = (-0.5f64).exp();
    for count in 1..4u64 {
        term *= 0.5 / count as f64;
        let seen = timelines.iter().map(|t| f64::from(u8::from(t.events == count)));
        agrees(&format!("{count} strikes"), seen, term / share, 0.2);
    }
    assert!(timelines.iter().all(|t| t.events > 0));
    let kind = MemoryMissions::new(vec![("unscrubbed".to_owned(), plan.clone())], trials);
    let run = Run::new(&kind).go(&Silent).expect("a run");
    let summary = kind.report(&run.sums).remove(0);
    let wrong = 100.0 * -0.5 * (-2.0f64 * 0.5 / 100.0).exp_m1();
    let found = &summary.wrong_bits_at_end;
    assert!(
        found.interval.low < wrong && wrong < found.interval.high,
        "{found:?}, {wrong}"
    );
    assert!(found.interval.high - found.interval.low < 0.02 * wrong);

    // Two exposures of different rates share the strikes in proportion, at times of their own.
    let mut plan = plan_of_two();
    plan.given_strike = true;
    let timelines = fly(&plan, 12_000);
    let all = timelines.iter().map(|t| t.events as f64);
    let stuck = timelines.iter().map(|t| t.stuck as f64);
    let expected = 0.4 / (1.0 - (-0.4f64).exp());
    agrees("strikes of both", all, expected, 0.02);
    agrees("strikes of the second", stuck, expected * 0.75, 0.03);
    // Voted bits fail where two copies are hit: rare among rare missions.
    let mut rare = plan_of_two();
    rare.store = Store::memory(10, 1, 1, Scheme::Tmr);
    let arrays = (0..rare.store.arrays().len()).collect();
    rare.exposures = vec![Exposure::single(arrays, 0.4 / 4.0 / 30.0)];
    rare.given_strike = true;
    let p = -0.5 * (-2.0f64 * 0.4 / 30.0).exp_m1();
    let weighted = fly(&rare, 40_000);
    let share = rare.flown_share();
    let expected = 10.0 * (3.0 - 2.0 * p) * p * p;
    agrees(
        "rare failures",
        weighted.iter().map(|t| share * t.found() as f64),
        expected,
        0.2,
    );
}

/// 0.1 strikes that flip and 0.3 that leave a cell stuck.
fn plan_of_two() -> MissionPlan {
    let mut plan = plan(Store::memory(20, 1, 1, Scheme::None), None);
    plan.exposures = vec![
        Exposure::single(vec![0], 0.1 / 4.0 / 20.0),
        Exposure {
            permanent_share: 1.0,
            ..Exposure::single(vec![0], 0.3 / 4.0 / 20.0)
        },
    ];
    plan
}
