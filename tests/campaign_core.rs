//! What holds for every kind of campaign: records that are cut anywhere are completed to the same bytes, blocks,
//! shards and threads change nothing, and nothing of another campaign is taken for one's own.

mod workload_common;

use std::path::Path;
use std::sync::Arc;

use radstream::accelerator::{Accelerator, Scrub};
use radstream::campaign::mission::{AfterFailure, Exposure, Failure, MissionPlan, Missions};
use radstream::campaign::{
    Accumulation, Accumulations, Activations, Asked, Bench, Exhaustive, FaultLists, Kind, MemoryMissions,
    Monitor, RegisterStrikes, Run, SampleDesign, Sampled, Shard, Silent, StopRule, TrialPlan,
    statistics::Precision,
};
use radstream::fault::{FaultModel, ListedTrial, boundaries};
use radstream::outcome::metric;
use radstream::radiation::Clusters;
use radstream::radiation::rate::Hours;
use radstream::scheme::{Cells, Protection, Scheme, Store};
use radstream::simulate::cycle::Pipeline;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workload_common::workload;

fn bench(name: &str, samples: usize) -> Arc<Bench> {
    let (accelerator, workload) = workload(name, samples);
    let bench = Bench::new(accelerator, workload.inputs, workload.evaluator);
    Arc::new(bench.expect("a bench"))
}

fn mission(accelerator: &Accelerator, scheme: Scheme) -> MissionPlan {
    let protection = Protection::of(scheme, accelerator.map().bits());
    let store = Store::new(accelerator, |_| true, &protection).expect("one scheme");
    let exposure = Exposure {
        clusters: Clusters::burst(3),
        ..Exposure::single((0..store.arrays().len()).collect(), 2e-4)
    };
    MissionPlan {
        at: vec![1.0, 3.0, 4.0],
        scrub: Some(Scrub {
            period_s: 1800.0,
            pass_s: 60.0,
        }),
        seed: 5,
        ..MissionPlan::new(store, vec![exposure], Hours(4.0))
    }
}

fn missions() -> Missions {
    let bench = bench("digits_small_cls", 3);
    let designs = [Scheme::None, Scheme::Secded]
        .map(|scheme| (scheme.name().to_owned(), mission(bench.accelerator(), scheme)));
    Missions::new(bench, designs.into(), 9, Failure::Class)
}

fn memory() -> MemoryMissions {
    let plan = |name: &str, scheme| {
        let store = Store::memory(40, 16, 1, scheme);
        let exposure = Exposure::single((0..store.arrays().len()).collect(), 2e-3);
        let plan = MissionPlan {
            after_failure: AfterFailure::PutRight,
            reads_continuously: false,
            keep_changes: false,
            ..MissionPlan::new(store, vec![exposure], Hours(4.0))
        };
        (name.to_owned(), plan)
    };
    MemoryMissions::new(
        vec![plan("bare", Scheme::None), plan("coded", Scheme::Secded)],
        17,
    )
}

fn exhaustive() -> Exhaustive {
    let bench = bench("digits_small_cls", 2);
    let bits = bench.accelerator().map().bits().step_by(301).collect();
    Exhaustive::new(bench, bits)
}

fn accumulation() -> Accumulation {
    let bench = bench("digits_small_cls", 2);
    let store = Store::new(bench.accelerator(), |_| true, &Protection::none()).expect("no scheme");
    let plan = TrialPlan {
        trials: 31,
        flips: 40,
        seed: 2,
    };
    Accumulation::new(bench, Cells::new(store), plan)
}

fn sampled() -> Sampled {
    let bench = bench("digits_small_cls", 2);
    let bits = bench.accelerator().map().bits().collect();
    let precision = Precision {
        margin: 0.3,
        ..Precision::default()
    };
    Sampled::new(
        bench,
        bits,
        FaultModel::Burst(2),
        SampleDesign::DataAware,
        &precision,
        4,
    )
}

/// A bench with metrics beside the loss.
fn measuring() -> Arc<Bench> {
    let (accelerator, workload) = workload("digits_small_cls", 2);
    let metric = |name| metric::named(name, None).expect("no distance").expect("a metric");
    let metrics = ["top2-difference", "mismatch"].map(metric).to_vec();
    let evaluator = workload
        .evaluator
        .with_metrics(metrics)
        .expect("metrics that fit");
    Arc::new(Bench::new(accelerator, workload.inputs, evaluator).expect("a bench"))
}

fn asked() -> Asked {
    let bench = bench("digits_small_cls", 70);
    let bits = bench.accelerator().map().bits().step_by(301).collect();
    Asked::new(bench, bits, FaultModel::Flip, Failure::Class)
}

fn accumulations() -> Accumulations {
    let bench = measuring();
    let codes = boundaries(bench.accelerator().network());
    let store = Store::new(bench.accelerator(), |_| true, &Protection::none()).expect("no scheme");
    let plan = TrialPlan {
        trials: 31,
        flips: 40,
        seed: 2,
    };
    let one = Accumulation::new(bench, Cells::new(store), plan)
        .with_fault(FaultModel::Burst(3))
        .with_codes(codes);
    Accumulations::new(&one, &[1, 7, 40])
}

fn activations(draws: Option<u64>) -> Activations {
    let bench = bench("digits_small_cls", 3);
    let mut codes = boundaries(bench.accelerator().network());
    codes.retain(|boundary| boundary.elements <= 16);
    Activations::new(bench, codes, draws, 9)
}

fn listed() -> FaultLists {
    let bench = measuring();
    let codes = boundaries(bench.accelerator().network());
    let bits: Vec<_> = bench.accelerator().map().bits().step_by(97).collect();
    let trials = bits
        .chunks(4)
        .zip(0..)
        .map(|(bits, number)| ListedTrial {
            trial: 3 * number,
            bits: bits.to_vec(),
            transients: vec![codes[1].flip(number, 2)],
        })
        .collect();
    FaultLists::new(bench, trials, FaultModel::Flip)
}

fn registers() -> RegisterStrikes {
    let (accelerator, workload) = workload("digits_small_cls", 2);
    let pipeline = Pipeline::new(&accelerator).expect("a pipeline");
    RegisterStrikes::new(
        accelerator,
        pipeline,
        Arc::new(workload.inputs),
        Arc::new(workload.evaluator),
        (12, 3),
    )
}

fn report<K: Kind>(kind: &K, folder: &Path, shard: Shard, resume: bool) -> (String, String) {
    let done = Run::new(kind)
        .shard(shard)
        .into_file(folder, "records", resume)
        .go(&Silent)
        .expect("a run");
    assert!(done.complete);
    let records = std::fs::read_to_string(folder.join("records.csv")).expect("records");
    let report = serde_json::to_string(&done.report(kind)).expect("a report");
    (records, report)
}

/// Cuts the records at random bytes and lets the campaign go on; joins shards.
fn holds<K: Kind>(kind: &K, cuts: usize) {
    let place = tempfile::tempdir().expect("a folder");
    let (whole, summary) = report(kind, &place.path().join("whole"), Shard::WHOLE, false);
    let rows = kind.rows_per_trial();
    let header: Vec<String> = std::iter::once(kind.columns().to_owned())
        .chain(kind.more_columns())
        .collect();
    let header = header.join(",");
    assert_eq!(whole.lines().next(), Some(&header[..]));
    assert_eq!(whole.lines().count() as u64, 1 + kind.trials() * rows as u64);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for cut in 0..cuts {
        let folder = place.path().join("cut");
        std::fs::create_dir_all(&folder).expect("a folder");
        let at = if cut == 0 {
            0
        } else {
            random.random_range(0..=whole.len())
        };
        let _ = std::fs::remove_file(folder.join("records.csv"));
        std::fs::write(folder.join("records.partial"), &whole[..at]).expect("to write");
        let (records, again) = report(kind, &folder, Shard::WHOLE, true);
        assert_eq!(records, whole, "{} cut at {at}", kind.name());
        assert_eq!(again, summary, "{} cut at {at}", kind.name());
        assert!(!folder.join("records.partial").exists());
        // Finished records are taken as they are.
        assert_eq!(report(kind, &folder, Shard::WHOLE, true), (records, again));
    }
    let mut joined = format!("{header}\n");
    for index in 1..=3 {
        let shard = Shard { index, of: 3 };
        let (part, _) = report(kind, &place.path().join(index.to_string()), shard, false);
        joined.extend(part.split_inclusive('\n').skip(1));
    }
    assert_eq!(joined, whole, "{}", kind.name());
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        let folder = place.path().join(format!("threads{threads}"));
        let again = pool.install(|| report(kind, &folder, Shard::WHOLE, false));
        assert_eq!(again, (whole.clone(), summary.clone()), "{}", kind.name());
    }
    // A line of something else is refused, not taken in.
    let folder = place.path().join("cut");
    let _ = std::fs::remove_file(folder.join("records.csv"));
    let mut lines: Vec<&str> = whole.lines().collect();
    lines.swap(1, 1 + rows);
    std::fs::write(folder.join("records.partial"), lines.join("\n") + "\n").expect("to write");
    let refused = Run::new(kind).into_file(&folder, "records", true).go(&Silent);
    let error = refused.err().expect("a refusal").to_string();
    assert!(error.contains("records.partial: line"), "{error}");
    let kept = std::fs::read_to_string(folder.join("records.partial")).expect("the file");
    assert_eq!(kept, lines.join("\n") + "\n", "a refused file is left alone");
}

#[test]
fn exhaustive_records_survive() {
    holds(&exhaustive(), 30);
}

#[test]
fn answers_survive() {
    holds(&asked(), 10);
}

#[test]
fn trials_survive() {
    holds(&accumulation(), 30);
}

#[test]
fn samples_survive() {
    holds(&sampled(), 10);
}

#[test]
fn trials_of_several_numbers_survive() {
    holds(&accumulations(), 20);
}

#[test]
fn flips_of_codes_survive() {
    holds(&activations(Some(40)), 10);
    holds(&activations(None), 4);
}

#[test]
fn listed_sets_survive() {
    holds(&listed(), 10);
}

#[test]
fn missions_survive() {
    holds(&missions(), 20);
}

#[test]
fn missions_of_a_memory_survive() {
    holds(&memory(), 40);
}

#[test]
fn strikes_on_registers_survive() {
    holds(&registers(), 4);
}

/// Stops after so much work.
struct Impatient(std::sync::atomic::AtomicU64);

impl Monitor for Impatient {
    fn advance(&self, done: u64) {
        let left = self.0.load(std::sync::atomic::Ordering::SeqCst);
        let left = left.saturating_sub(done);
        self.0.store(left, std::sync::atomic::Ordering::SeqCst);
    }

    fn stopped(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) == 0
    }
}

#[test]
fn a_stopped_campaign_keeps_whole_blocks_and_goes_on() {
    let kind = MemoryMissions::new(
        vec![(
            "bare".to_owned(),
            MissionPlan::new(Store::memory(4, 8, 1, Scheme::None), vec![], Hours(1.0)),
        )],
        500,
    );
    let place = tempfile::tempdir().expect("a folder");
    let monitor = Impatient(100.into());
    let stopped = Run::new(&kind)
        .into_file(place.path(), "records", true)
        .go(&monitor)
        .expect("a run");
    assert!(!stopped.complete && stopped.trials < 500 && stopped.trials >= 64);
    assert!(!place.path().join("records.csv").exists());
    let rest = Run::new(&kind)
        .into_file(place.path(), "records", true)
        .go(&Silent)
        .expect("a run");
    assert!(rest.complete);
    assert_eq!((rest.recalled, rest.trials), (stopped.trials, 500));
}

#[test]
fn a_stop_rule_ends_where_it_looks_whatever_the_threads() {
    let kind = MemoryMissions::new(memory_of_one(), 100_000);
    let ends: Vec<u64> = [1, 3]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads");
            let rule = StopRule::relative_error(0.02);
            let run = Run::new(&kind).until(Some(rule));
            pool.install(|| run.go(&Silent)).expect("a run").trials
        })
        .collect();
    assert_eq!(ends[0], ends[1]);
    assert!(ends[0] >= 100 && ends[0] < 100_000, "{ends:?}");
    assert!(
        (ends[0] / 100).is_power_of_two() && ends[0].is_multiple_of(100),
        "{ends:?}"
    );
    let none = Run::new(&exhaustive())
        .until(Some(StopRule::relative_error(0.1)))
        .go(&Silent);
    assert!(none.is_ok(), "fewer trials than the first look");
}

fn memory_of_one() -> Vec<(String, MissionPlan)> {
    let store = Store::memory(40, 16, 1, Scheme::None);
    let exposure = Exposure::single(vec![0], 2e-3);
    let plan = MissionPlan {
        after_failure: AfterFailure::PutRight,
        reads_continuously: false,
        keep_changes: false,
        ..MissionPlan::new(store, vec![exposure], Hours(4.0))
    };
    vec![("bare".to_owned(), plan)]
}
