//! Missions of networks: what is scored, when the first output is wrong, and what a record may depend on.

mod cli_common;
mod workload_common;

use std::collections::BTreeSet;
use std::sync::Arc;

use cli_common::{Workplace, model, records};
use radstream::accelerator::{Accelerator, Scrub, StoredBit};
use radstream::campaign::mission::{Cause, Contents, Exposure, Failure, Flight, MissionPlan, Missions, fly};
use radstream::campaign::{Bench, Run, Silent};
use radstream::fault;
use radstream::model::Workload;
use radstream::radiation::Clusters;
use radstream::radiation::rate::Hours;
use radstream::scheme::{Protection, Scheme, Store};
use workload_common::workload;

fn plan(accelerator: &Accelerator, scheme: Scheme, events_per_hour: f64) -> MissionPlan {
    let half = accelerator.map().total_bits() / 2;
    let bits: Vec<StoredBit> = (0..half).map(StoredBit).collect();
    let store = Store::new(accelerator, |_| true, &Protection::of(scheme, bits)).expect("one scheme");
    let arrays = (0..store.arrays().len()).collect();
    let per_bit = events_per_hour / accelerator.map().total_bits() as f64;
    let exposure = Exposure {
        clusters: Clusters::burst(2),
        ..Exposure::single(arrays, per_bit)
    };
    MissionPlan {
        scrub: Some(Scrub {
            period_s: 700.0,
            pass_s: 100.0,
        }),
        refresh_s: Some(5000.0),
        at: vec![0.5, 1.0, 2.0],
        seed: 11,
        ..MissionPlan::new(store, vec![exposure], Hours(2.0))
    }
}

fn with_bench<T>(name: &str, samples: usize, run: impl FnOnce(&Accelerator, &Arc<Bench>) -> T) -> T {
    let (
        accelerator,
        Workload {
            inputs, evaluator, ..
        },
    ) = workload(name, samples);
    let bench = Bench::new(Arc::clone(&accelerator), inputs, evaluator).expect("a bench");
    run(&accelerator, &Arc::new(bench))
}

/// The bits that read wrong after so many of a flight's changes, each change by itself.
fn wrong_after(flight: &Flight, changes: usize) -> Vec<StoredBit> {
    fault::wrong_bits(flight.timeline.changes[..changes].iter().map(|change| change.bit))
}

#[test]
fn scores_are_those_of_the_wrong_bits_and_the_first_wrong_output_is_the_first() {
    with_bench("digits_small_cls", 6, |accelerator, bench| {
        for scheme in Scheme::ALL {
            let plan = plan(accelerator, scheme, 4.0);
            plan.check().expect("a sound plan");
            let flights = fly(bench, &plan, 0..8, Failure::Any, &Silent).expect("nothing stops it");
            let mut found = 0;
            for flight in &flights {
                let score = |changes: usize| {
                    let scenario = fault::changes(accelerator, &wrong_after(flight, changes));
                    bench
                        .score(&[scenario.into()], &Silent)
                        .expect("nothing stops it")
                        .remove(0)
                };
                let timeline = &flight.timeline;
                assert!(timeline.changes.is_sorted_by(|a, b| a.time_h <= b.time_h));
                for (observation, seen) in timeline.observations.iter().zip(&flight.scores) {
                    let before = timeline.changes.iter().filter(|c| c.time_h <= observation.time_h);
                    assert_eq!(observation.changes, before.count(), "{scheme}");
                    assert_eq!(
                        observation.wrong_bits,
                        wrong_after(flight, observation.changes).len() as u64
                    );
                    assert_eq!(*seen, score(observation.changes), "{scheme}");
                }
                // Change by change, those of one instant together.
                let mut first = None;
                for at in 0..timeline.changes.len() {
                    let time = timeline.changes[at].time_h;
                    let last = timeline.changes.get(at + 1).is_none_or(|next| next.time_h > time);
                    if last && score(at + 1).changed > 0 {
                        first = Some(time);
                        break;
                    }
                }
                assert_eq!(flight.first_wrong.map(|wrong| wrong.time_h), first, "{scheme}");
                found += u64::from(first.is_some());
            }
            assert!(found > 0, "{scheme}");
        }
    });
}

#[test]
fn flights_do_not_depend_on_threads_or_company() {
    let run = |threads: usize, trials: std::ops::Range<u64>| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        pool.install(|| {
            with_bench("digits_small_ae", 4, |accelerator, bench| {
                fly(
                    bench,
                    &plan(accelerator, Scheme::Secded, 6.0),
                    trials,
                    Failure::Any,
                    &Silent,
                )
                .expect("nothing stops it")
            })
        })
    };
    let all = run(1, 0..12);
    assert_eq!(run(2, 0..12), all);
    assert_eq!(run(7, 0..12), all);
    assert_eq!(run(2, 5..6), all[5..6]);
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn ideal_protection_lets_nothing_through_and_a_vote_lets_less_through_than_nothing_does() {
    with_bench("digits_small_ae", 3, |accelerator, bench| {
        let all: Vec<StoredBit> = accelerator.map().bits().collect();
        let mut wrong = Vec::new();
        for scheme in [Scheme::None, Scheme::Tmr, Scheme::Secded, Scheme::Ideal] {
            let mut plan = plan(accelerator, Scheme::None, 60.0);
            plan.store = Store::new(
                accelerator,
                |_| true,
                &Protection::of(scheme, all.iter().copied()),
            )
            .expect("one scheme");
            let arrays = (0..plan.store.arrays().len()).collect();
            plan.exposures = vec![Exposure::single(arrays, 60.0 / all.len() as f64)];
            let flights = fly(bench, &plan, 0..10, Failure::Any, &Silent).expect("nothing stops it");
            let total: u64 = flights
                .iter()
                .flat_map(|f| &f.timeline.observations)
                .map(|o| o.wrong_bits)
                .sum();
            if scheme == Scheme::Ideal {
                assert!(
                    flights
                        .iter()
                        .all(|f| f.first_wrong.is_none() && f.timeline.events > 0)
                );
                assert_eq!(plan.store.cells(), all.len() as u64);
            }
            wrong.push(total);
        }
        assert!(
            wrong[0] > 20 * wrong[1].max(1) && wrong[0] > 10 * wrong[2].max(1),
            "{wrong:?}"
        );
        assert_eq!(wrong[3], 0);
    });
}

#[test]
fn a_summary_is_that_of_its_flights() {
    with_bench("digits_small_cls", 5, |accelerator, bench| {
        let plan = plan(accelerator, Scheme::Secded, 5.0);
        let flights = fly(bench, &plan, 0..20, Failure::Any, &Silent).expect("nothing stops it");
        let kind = Missions::new(
            Arc::clone(bench),
            vec![("secded".to_owned(), plan)],
            20,
            Failure::Any,
        );
        let run = Run::new(&kind).go(&Silent).expect("a run");
        let summary = run.report(&kind).remove(0);
        let first: Vec<f64> = flights
            .iter()
            .filter_map(|f| f.first_wrong)
            .map(|f| f.time_h)
            .collect();
        let exposure = first.iter().sum::<f64>() + 2.0 * (20 - first.len()) as f64;
        assert_eq!(summary.failures.count, first.len() as u64);
        assert!((summary.failures.per_hour - first.len() as f64 / exposure).abs() < 1e-12);
        assert!((summary.failure_fit - 1e9 * summary.failures.per_hour).abs() < 1e-3);
        let changed: u64 = flights.iter().map(|f| f.scores[2].changed).sum();
        assert!((summary.at[2].wrong_inferences.mean - changed as f64 / 100.0).abs() < 1e-12);
        let onsets: u64 = flights
            .iter()
            .flat_map(|f| &f.timeline.changes)
            .filter(|change| change.cause != Cause::Repair)
            .count() as u64;
        // Every way to split the wrong bits and the failures counts each once.
        for split in [
            &summary.by_cause,
            &summary.by_class,
            &summary.by_memory,
            &summary.by_layer,
            &summary.by_bit,
        ] {
            assert_eq!(
                split.iter().map(|group| group.wrong_bits.count).sum::<u64>(),
                onsets
            );
            assert_eq!(
                split
                    .iter()
                    .map(|group| group.first_wrong_outputs.count)
                    .sum::<u64>(),
                first.len() as u64
            );
        }
        assert!(summary.by_memory.len() > 1 && summary.by_bit.len() > 1);
    });
}

/// Missions on the command line.
fn mission<'a>(network: &'a str, repetitions: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "campaign",
        network,
        "--mission",
        "2",
        "--rate-per-s",
        "0.002",
        "--repetitions",
        repetitions,
        "--limit",
        "4",
        "--at",
        "1,2",
        "--scheme",
        "none,tmr",
        "--protect",
        "50%",
        "--scrub-s",
        "none,600",
        "--ideal",
        "--quiet",
        "--out",
        out,
    ];
    fixed.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn designs_fly_side_by_side_and_resume() {
    let network = model("digits_small_cls").display().to_string();
    let place = Workplace::new();
    let document = place.json(&mission(&network, "6", "whole", &["--threads", "1"]));
    let names: Vec<&str> = document["designs"]
        .as_array()
        .expect("designs")
        .iter()
        .map(|design| design["design"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [
            "unprotected",
            "ideal 50%",
            "tmr 50% unscrubbed",
            "tmr 50% scrubbed 600 s"
        ]
    );
    let bits = document["stored_bits"].as_u64().expect("a number");
    assert_eq!(document["exposed_bits"], bits);
    assert_eq!(document["short_lived_storage"]["simulated"], false);
    assert_eq!(document["designs"][2]["protected_bits"], bits / 2);
    assert_eq!(document["designs"][2]["cells"], bits + 2 * (bits / 2));
    // 0.002 per second for 2 hours, twice that where half of the bits are stored three times.
    let expected = |at: usize| {
        document["designs"][at]["expected_events"]
            .as_f64()
            .expect("a number")
    };
    assert!((expected(0) - 14.4).abs() < 1e-9 && (expected(2) - 28.8).abs() < 0.01);
    assert_eq!(
        place.read("whole/summary.json"),
        serde_json::to_string_pretty(&document).expect("JSON") + "\n"
    );
    let whole = place.read("whole/records.csv");
    let (header, rows) = records(&whole);
    assert_eq!(header[..4], ["design", "repetition", "time_h", "events"]);
    assert_eq!(rows.len(), 4 * 6 * 2);

    for threads in ["2", "7"] {
        place.done(&mission(&network, "6", threads, &["--threads", threads]));
        assert_eq!(place.read(&format!("{threads}/records.csv")), whole);
        assert_eq!(
            place.read(&format!("{threads}/summary.json")),
            place.read("whole/summary.json")
        );
    }

    // A run that is killed leaves the beginning of its records; other missions are another plan.
    place.done(&mission(&network, "600", "long", &[]));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_radstream"))
        .current_dir(place.path("."))
        .args(mission(&network, "600", "cut", &[]))
        .spawn()
        .expect("the program");
    let partial = place.path("cut/records.partial");
    while std::fs::metadata(&partial).map_or(0, |data| data.len()) < 200 {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it was over too soon"
        );
        std::thread::yield_now();
    }
    child.kill().expect("to kill");
    child.wait().expect("the end");
    let other = place.run(&mission(&network, "600", "cut", &["--seed", "2"]));
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another plan"));
    place.done(&mission(&network, "600", "cut", &[]));
    assert_eq!(place.read("cut/records.csv"), place.read("long/records.csv"));
    assert_eq!(place.read("cut/summary.json"), place.read("long/summary.json"));
}

#[test]
fn a_memory_by_itself_flies_without_a_network() {
    let place = Workplace::new();
    let fly = |more: &[&str]| {
        let fixed = [
            "campaign",
            "--mission",
            "4",
            "--memory",
            "words=199,bits=72,scheme=secded:72,64",
            "--memory-technology",
            "econt_fkeras",
            "--scrub-s",
            "600,60",
            "--repetitions",
            "300",
            "--quiet",
        ];
        place.json(&fixed.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let one = fly(&["--threads", "1", "--out", "one"]);
    for threads in ["2", "7"] {
        assert_eq!(fly(&["--threads", threads, "--out", threads]), one);
        assert_eq!(
            place.read(&format!("{threads}/records.csv")),
            place.read("one/records.csv")
        );
    }
    assert_eq!(one["memory"]["data_bits_per_word"], 64);
    assert_eq!(one["memory"]["cells_per_word"], 72);
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    for (at, expected) in [103.758, 11.888_624].into_iter().enumerate() {
        let scrubbed = &one["scrubbing"][at];
        let failures = &scrubbed["failures_per_mission"];
        let interval = &failures["interval"];
        assert!(number(&interval["low"]) < number(&failures["mean"]));
        // Twice the half-width at 95 %.
        let width = number(&interval["high"]) - number(&interval["low"]);
        assert!((number(&failures["mean"]) - expected).abs() < width, "{scrubbed}");
        // Two flips are reported, more may be silent.
        assert!(number(&scrubbed["silent_per_mission"]["mean"]) < 0.1 * number(&failures["mean"]));
    }
    let (header, rows) = records(&place.read("one/records.csv"));
    assert_eq!((header[0].as_str(), rows.len()), ("scrubbing", 600));

    // The closed forms stand beside the simulation and change nothing of it.
    let mut with = fly(&["--analytic"]);
    for (at, expected) in [103.758, 11.888_624].into_iter().enumerate() {
        let form = with["scrubbing"][at]
            .as_object_mut()
            .expect("an object")
            .remove("analytic");
        let form = number(&form.expect("closed forms")["expected_failures"]);
        assert!((form / expected - 1.0).abs() < 1e-5, "{form}");
    }
    assert_eq!(with, one);
}

#[test]
fn no_mission_calls_a_closed_form() {
    let mut folders = vec![cli_common::root().join("src/campaign/mission")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).expect("source");
            assert!(!text.contains("analytic"), "{}", path.display());
        }
    }
    assert!(files > 5);
}

#[test]
fn a_plan_is_serialized_with_all_that_it_holds() {
    with_bench("digits_small_ae", 1, |accelerator, _| {
        let base = plan(accelerator, Scheme::Secded, 6.0);
        let text = |plan: &MissionPlan| serde_json::to_string(plan).expect("a document");
        let changes: [fn(&Accelerator, &mut MissionPlan); 9] = [
            |_, plan| plan.seed += 1,
            |_, plan| plan.refresh_s = None,
            |_, plan| plan.at.truncate(1),
            |_, plan| plan.given_strike = true,
            |_, plan| plan.duration = Hours(3.0),
            |_, plan| plan.exposures[0].permanent_share = 0.25,
            |_, plan| plan.exposures[0].clusters = Clusters::single(),
            |accelerator, plan| plan.contents = Contents::of(accelerator, &plan.store),
            |accelerator, plan| {
                let one_less = (1..accelerator.map().total_bits() / 2).map(StoredBit);
                let protection = Protection::of(Scheme::Tmr, one_less);
                plan.store = Store::new(accelerator, |_| true, &protection).expect("one scheme");
            },
        ];
        let mut texts = vec![text(&base)];
        assert_eq!(text(&base.clone()), texts[0]);
        for change in changes {
            let mut changed = base.clone();
            change(accelerator, &mut changed);
            texts.push(text(&changed));
        }
        texts.sort();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]));
    });
}

#[test]
fn groups_that_nothing_hit_are_listed_with_an_upper_bound() {
    with_bench("digits_small_cls", 5, |accelerator, bench| {
        let plan = plan(accelerator, Scheme::None, 1e-12);
        let designs = vec![("quiet".to_owned(), plan)];
        let kind = Missions::new(Arc::clone(bench), designs, 10, Failure::Any);
        let summary = Run::new(&kind)
            .go(&Silent)
            .expect("a run")
            .report(&kind)
            .remove(0);
        let memories = accelerator.map().memories().iter();
        let names: BTreeSet<&str> = memories.map(|memory| memory.name.as_str()).collect();
        let listed: BTreeSet<&str> = summary
            .by_memory
            .iter()
            .map(|group| group.group.as_str())
            .collect();
        assert_eq!(listed, names);
        for group in &summary.by_memory {
            let wrong = &group.wrong_bits;
            assert_eq!(wrong.count, 0);
            assert!(wrong.per_hour_interval.high > 0.0, "{group:?}");
        }
    });
}
