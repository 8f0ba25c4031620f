//! What each kind of campaign means, against plain inference, and against the truth where all faults are affordable.

mod workload_common;

use std::collections::BTreeMap;
use std::sync::Arc;

use radstream::accelerator::{Accelerator, StoredBit};
use radstream::campaign::mission::Failure;
use radstream::campaign::statistics::Precision;
use radstream::campaign::{
    Accumulation, Accumulations, Activations, Asked, Bench, BitRecord, Exhaustive, FaultLists, Kind, Run,
    SampleDesign, SampleReport, Sampled, Silent, StopRule, TrialPlan, strata,
};
use radstream::fault::{self, Boundary, FaultModel, ListedTrial, boundaries};
use radstream::model::Workload;
use radstream::scheme::{Cells, Protection, Scheme, Store};
use radstream::simulate::functional::{Parameters, Transient, evaluate_struck};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use workload_common::workload;

fn bench_of(accelerator: &Arc<Accelerator>, workload: &Workload) -> Arc<Bench> {
    let bench = Bench::new(
        Arc::clone(accelerator),
        workload.inputs.clone(),
        workload.evaluator.clone(),
    );
    Arc::new(bench.expect("a bench"))
}

fn bench(name: &str, samples: usize) -> Arc<Bench> {
    let (accelerator, workload) = workload(name, samples);
    bench_of(&accelerator, &workload)
}

fn all_bits(bench: &Bench) -> Vec<StoredBit> {
    bench.accelerator().map().bits().collect()
}

/// Samples whose outputs change under inverted bits, by plain inference.
fn changed_plainly(bench: &Bench, wrong: &[StoredBit], transients: &[Transient], only: Option<usize>) -> u64 {
    let network = bench.accelerator().network();
    let parameters = Parameters::under(network, &fault::changes(bench.accelerator(), wrong));
    let inputs = network.tensor(network.input).len();
    let outputs = network.tensor(network.output).len();
    let samples = bench.inputs().chunks_exact(inputs);
    let fault_free = bench.baseline().outputs.chunks_exact(outputs);
    samples
        .zip(fault_free)
        .enumerate()
        .filter(|(sample, _)| only.is_none_or(|only| only == *sample))
        .filter(|(_, (input, fault_free))| {
            let trace = evaluate_struck(network, &parameters, transients, input);
            trace.tensor(network.output) != *fault_free
        })
        .count() as u64
}

/// What each stored bit holds, read from the images of the memories.
fn contents(accelerator: &Accelerator) -> BTreeMap<StoredBit, bool> {
    let map = accelerator.map();
    map.bits()
        .map(|bit| {
            let at = map.address(bit);
            let image = accelerator.image(at.memory);
            (bit, image.word(at.word as usize)[at.bit as usize])
        })
        .collect()
}

#[test]
fn bits_hold_what_the_images_of_their_memories_say() {
    for name in ["digits_small_cls", "digits_small_ae"] {
        let (accelerator, _) = workload(name, 1);
        for (bit, value) in contents(&accelerator).into_iter().step_by(7) {
            assert_eq!(accelerator.holds(bit), value, "{name}: {bit:?}");
        }
    }
}

#[test]
fn a_stuck_bit_is_a_flip_where_it_held_the_other_value() {
    let bench = bench("digits_small_cls", 5);
    let bits: Vec<StoredBit> = all_bits(&bench).into_iter().step_by(41).collect();
    let run = |model: FaultModel| {
        let kind = Exhaustive::of(Arc::clone(&bench), bits.clone(), model);
        kind.block(0..kind.trials(), &Silent).expect("records")
    };
    let flips = run(FaultModel::Flip);
    let held = contents(bench.accelerator());
    for (model, value) in [(FaultModel::StuckAt0, false), (FaultModel::StuckAt1, true)] {
        let mut altered = 0;
        for (stuck, flip) in run(model).into_iter().zip(&flips) {
            if held[&stuck.bit] == value {
                assert_eq!((stuck.changed, stuck.delta_loss), (0, 0.0));
            } else {
                assert_eq!(&stuck, flip);
                altered += 1;
            }
        }
        assert!(altered > bits.len() / 5, "{model}: {altered}");
    }
}

#[test]
fn a_burst_is_consecutive_bits_of_the_words() {
    let bench = bench("digits_small_cls", 4);
    let accelerator = bench.accelerator();
    let map = accelerator.map();
    let kind = Exhaustive::of(Arc::clone(&bench), all_bits(&bench), FaultModel::Burst(3));
    // Without interleaving the last two bits of each memory start none.
    assert_eq!(
        kind.bits().len(),
        all_bits(&bench).len() - 2 * map.memories().len()
    );
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..40 {
        let trial = random.random_range(0..kind.trials());
        let bit = kind.bits()[trial as usize];
        let record = kind.block(trial..trial + 1, &Silent).expect("a record")[0];
        let run = [bit, StoredBit(bit.0 + 1), StoredBit(bit.0 + 2)];
        assert_eq!(map.address(run[0]).memory, map.address(run[2]).memory);
        assert_eq!(record.changed, changed_plainly(&bench, &run, &[], None));
    }
}

#[test]
fn answers_are_those_of_the_records_of_all_samples() {
    let bench = bench("digits_small_cls", 150);
    let bits: Vec<StoredBit> = all_bits(&bench).into_iter().step_by(23).collect();
    let whole = Exhaustive::new(Arc::clone(&bench), bits.clone());
    let records = whole.block(0..whole.trials(), &Silent).expect("records");
    let loss = bench.baseline().loss + 0.02;
    for failure in [Failure::Any, Failure::Class, Failure::LossAbove(loss)] {
        let kind = Asked::new(Arc::clone(&bench), bits.clone(), FaultModel::Flip, failure);
        let answers = kind.block(0..kind.trials(), &Silent).expect("answers");
        let mut cut = 0;
        for (record, answer) in records.iter().zip(&answers) {
            let fails = match failure {
                Failure::Any => record.changed > 0,
                Failure::Class => record.newly_wrong > 0,
                Failure::LossAbove(loss) => record.loss > loss,
            };
            assert_eq!(answer.yes, fails, "{failure:?} {:?}", record.bit);
            assert_eq!(answer.cut, answer.samples < 150);
            assert!(answer.yes || answer.samples == 150);
            cut += usize::from(answer.cut);
        }
        assert!(cut > 0, "{failure:?}");
    }
}

#[test]
fn a_sample_has_the_records_of_its_bits_and_each_once() {
    let bench = bench("digits_small_cls", 6);
    let whole = Exhaustive::new(Arc::clone(&bench), all_bits(&bench));
    let records = whole.block(0..whole.trials(), &Silent).expect("records");
    let of: BTreeMap<StoredBit, BitRecord> = records.into_iter().map(|record| (record.bit, record)).collect();
    for design in [
        SampleDesign::Count(500),
        SampleDesign::Random,
        SampleDesign::Layer,
        SampleDesign::LayerBit,
        SampleDesign::DataAware,
    ] {
        let precision = Precision {
            margin: 0.08,
            ..Precision::default()
        };
        let kind = Sampled::new(
            Arc::clone(&bench),
            all_bits(&bench),
            FaultModel::Flip,
            design,
            &precision,
            2,
        );
        let drawn = kind.block(0..kind.trials(), &Silent).expect("records");
        let mut bits: Vec<StoredBit> = drawn.iter().map(|record| record.bit).collect();
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), drawn.len(), "{design}");
        assert!(drawn.iter().all(|record| *record == of[&record.bit]), "{design}");
        let asked: u64 = kind.strata().iter().map(|stratum| stratum.drawn).sum();
        assert_eq!(asked, kind.trials(), "{design}");
        let members: u64 = kind.strata().iter().map(|stratum| stratum.bits).sum();
        assert_eq!(members, of.len() as u64, "{design}");
    }
}

/// Draws per stratum by the formula as it is printed (Cochran 1977; Leveugle and others 2009).
fn by_hand(population: u64, margin: f64, share: f64) -> u64 {
    let (population, quantile) = (population as f64, 1.959_963_984_540_054_f64);
    let n =
        population / (1.0 + margin.powi(2) * (population - 1.0) / (quantile.powi(2) * share * (1.0 - share)));
    n.ceil() as u64
}

#[test]
fn strata_are_bit_positions_and_data_aware_shares_grow_with_the_distance_of_a_flip() {
    let bench = bench("digits_small_cls", 1);
    let accelerator = bench.accelerator();
    let precision = Precision {
        margin: 0.05,
        ..Precision::default()
    };
    let plain = strata(accelerator, &all_bits(&bench), SampleDesign::LayerBit, &precision);
    for stratum in &plain {
        assert_eq!(stratum.drawn, by_hand(stratum.bits, 0.05, 0.5));
    }
    let aware = strata(
        accelerator,
        &all_bits(&bench),
        SampleDesign::DataAware,
        &precision,
    );
    assert_eq!(plain.len(), aware.len());
    for tensor in aware.chunk_by(|a, b| (&a.layer, a.tensor) == (&b.layer, b.tensor)) {
        // A flip of bit k of a two's complement code moves it by 2^k.
        let top = tensor.len() as i32 - 1;
        for (bit, stratum) in (0..).zip(tensor) {
            assert_eq!(stratum.bit, Some(bit as u32));
            let share = 0.01 + 0.98 * (2f64.powi(bit) - 1.0) / (2f64.powi(top) - 1.0);
            let found = stratum.expected_share.expect("a share");
            assert!((found - share).abs() < 1e-12, "{stratum:?}: {share}");
            assert_eq!(stratum.drawn, by_hand(stratum.bits, 0.05, share));
        }
    }
}

/// The truth of every bit, and how often samples hold it.
#[test]
fn samples_cover_the_truth_at_their_rate() {
    let bench = bench("digits_small_cls", 8);
    let whole = Exhaustive::new(Arc::clone(&bench), all_bits(&bench));
    let records = whole.block(0..whole.trials(), &Silent).expect("records");
    let of: BTreeMap<StoredBit, BitRecord> = records.iter().map(|record| (record.bit, *record)).collect();
    let count = records.len() as f64;
    let share = |holds: &dyn Fn(&BitRecord) -> bool| {
        records.iter().filter(|record| holds(record)).count() as f64 / count
    };
    let truth = [
        share(&|record| record.changed > 0),
        share(&BitRecord::is_sensitive),
        share(&|record| record.newly_wrong > 0),
        records.iter().map(|record| record.delta_loss).sum::<f64>() / count,
    ];
    let seeds = 200;
    for design in [
        SampleDesign::Count(300),
        SampleDesign::LayerBit,
        SampleDesign::DataAware,
    ] {
        let precision = Precision {
            margin: 0.15,
            ..Precision::default()
        };
        let mut covered = [0; 4];
        for seed in 0..seeds {
            let bits = all_bits(&bench);
            let kind = Sampled::new(
                Arc::clone(&bench),
                bits,
                FaultModel::Flip,
                design,
                &precision,
                seed,
            );
            let mut sums = kind.sums();
            for (number, bit) in (0..).zip(kind.bits()) {
                kind.add(&mut sums, number, &of[bit]);
            }
            let report: SampleReport = kind.report(&sums);
            let all = report.estimates.expect("draws");
            let critical = all.newly_wrong.expect("labels").interval;
            let intervals = [
                all.changed.interval,
                all.sensitive.interval,
                critical,
                all.delta_loss.interval,
            ];
            for ((covered, interval), truth) in covered.iter_mut().zip(intervals).zip(truth) {
                *covered += u64::from(interval.low <= truth && truth <= interval.high);
            }
        }
        // 95 % of 200 are 190; 181 is three standard deviations below.
        assert!(
            covered.iter().all(|&covered| covered >= 181),
            "{design}: {covered:?}"
        );
    }
}

#[test]
fn a_margin_ends_a_sample_where_it_looks() {
    let bench = bench("digits_small_cls", 4);
    let bits = all_bits(&bench);
    let kind = Sampled::new(
        bench,
        bits,
        FaultModel::Flip,
        SampleDesign::Count(5000),
        &Precision::default(),
        1,
    );
    let done = Run::new(&kind)
        .until(Some(StopRule::margin(0.05)))
        .go(&Silent)
        .expect("a run");
    assert!(
        [100, 200, 400, 800, 1600].contains(&done.trials),
        "{}",
        done.trials
    );
    let interval = done.report(&kind).estimates.expect("draws").sensitive.interval;
    assert!((interval.high - interval.low) / 2.0 <= 0.05);
}

/// A small network's trials with codes, arm by arm.
fn piled(bench: &Arc<Bench>, fault: FaultModel, codes: Vec<Boundary>) -> Accumulations {
    let protected = bench.accelerator().map().bits().step_by(5);
    let protection = Protection::of(Scheme::Tmr, protected);
    let store = Store::new(bench.accelerator(), |_| true, &protection).expect("one scheme");
    let plan = TrialPlan {
        trials: 12,
        flips: 1,
        seed: 8,
    };
    let one = Accumulation::new(Arc::clone(bench), Cells::new(store), plan)
        .with_fault(fault)
        .with_codes(codes);
    Accumulations::new(&one, &[2, 9])
}

#[test]
fn trials_with_codes_are_plain_inference_with_the_same_wrong_bits() {
    let bench = bench("digits_small_cls", 4);
    let network = bench.accelerator().network();
    let store = Store::new(bench.accelerator(), |_| true, &Protection::none()).expect("no scheme");
    let plan = TrialPlan {
        trials: 30,
        flips: 6,
        seed: 8,
    };
    for fault in [FaultModel::Flip, FaultModel::Burst(5)] {
        let kind = Accumulation::new(Arc::clone(&bench), Cells::new(store.clone()), plan)
            .with_fault(fault)
            .with_codes(boundaries(network));
        let trials = kind.block(0..30, &Silent).expect("trials");
        let (mut stored, mut codes) = (0, 0);
        for (number, trial) in (0..).zip(&trials) {
            let wrong = kind.wrong_bits(number);
            assert_eq!(trial.wrong_bits, wrong.count());
            let expected = changed_plainly(&bench, &wrong.stored, &wrong.transients, None);
            assert_eq!(trial.score.changed, expected, "{fault} trial {number}");
            stored += wrong.stored.len();
            codes += wrong.transients.len();
        }
        assert!(stored > 0 && codes > 0, "{fault}: {stored} {codes}");
    }
}

#[test]
fn stuck_cells_read_inverted_only_where_they_held_the_other_value() {
    let bench = bench("digits_small_cls", 1);
    let held = contents(bench.accelerator());
    let store = Store::new(bench.accelerator(), |_| true, &Protection::none()).expect("no scheme");
    let plan = TrialPlan {
        trials: 10,
        flips: 4000,
        seed: 3,
    };
    for (fault, value) in [(FaultModel::StuckAt0, false), (FaultModel::StuckAt1, true)] {
        let kind = Accumulation::new(Arc::clone(&bench), Cells::new(store.clone()), plan).with_fault(fault);
        for trial in 0..10 {
            let wrong = kind.wrong_bits(trial).stored;
            assert!(wrong.len() > 500, "{}", wrong.len());
            assert!(wrong.iter().all(|bit| held[bit] != value));
        }
    }
}

#[test]
fn arms_are_independent_and_each_is_a_campaign_of_its_number() {
    let bench = bench("digits_small_cls", 3);
    let kind = piled(&bench, FaultModel::Flip, Vec::new());
    let trials = kind.block(0..kind.trials(), &Silent).expect("trials");
    assert_eq!(trials.len(), 24);
    let rows: Vec<String> = (0..)
        .zip(&trials)
        .flat_map(|(number, trial)| kind.rows(number, trial))
        .map(|row| serde_json::to_string(&row).expect("a row"))
        .collect();
    assert!(rows[11].contains("\"flips\":2,") && rows[12].contains("\"flips\":9,"));
    let mut sums = kind.sums();
    for (number, trial) in (0..).zip(&trials) {
        kind.add(&mut sums, number, trial);
    }
    let report = kind.report(&sums);
    assert_eq!(
        report.iter().map(|arm| arm.plan.flips).collect::<Vec<_>>(),
        [2, 9]
    );
    assert!(report.iter().all(|arm| arm.plan.trials == 12));
    let mean = |trials: &[radstream::campaign::Trial]| {
        trials.iter().map(|trial| trial.score.loss).sum::<f64>() / trials.len() as f64
    };
    assert!((report[1].mean_loss - mean(&trials[12..])).abs() < 1e-12);
    // Two arms of one number draw different faults.
    let store = Store::new(bench.accelerator(), |_| true, &Protection::none()).expect("no scheme");
    let plan = TrialPlan {
        trials: 12,
        flips: 1,
        seed: 8,
    };
    let one = Accumulation::new(Arc::clone(&bench), Cells::new(store), plan);
    let twice = Accumulations::new(&one, &[30, 30]);
    let trials = twice.block(0..24, &Silent).expect("trials");
    assert_ne!(trials[..12], trials[12..]);
    let accuracy = report[1].accuracy.as_ref().expect("labels");
    assert!((accuracy.mean.mean - (1.0 - report[1].mean_loss)).abs() < 1e-12);
}

#[test]
fn flips_of_codes_are_plain_inference_of_their_sample() {
    let bench = bench("digits_small_cls", 5);
    let codes = boundaries(bench.accelerator().network());
    assert!(codes.iter().any(|code| code.tensor == Boundary::MAC));
    let kind = Activations::new(Arc::clone(&bench), codes.clone(), Some(12), 3);
    assert_eq!(kind.trials(), 12 * codes.len() as u64);
    let scores = kind.block(0..kind.trials(), &Silent).expect("scores");
    let mut changed = 0;
    for (number, score) in (0..).zip(&scores) {
        let row = serde_json::to_value(&kind.rows(number, score)[0]).expect("a row");
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let whole = |key: &str| row[key].as_u64().expect("a number");
        let of = codes
            .iter()
            .find(|code| code.layer == text("layer") && code.tensor == text("tensor"))
            .expect("a boundary");
        let flip = of.flip(whole("element"), whole("bit") as u32);
        let sample = whole("sample") as usize;
        assert_eq!(
            score.changed,
            changed_plainly(&bench, &[], &[flip], Some(sample)),
            "{row}"
        );
        changed += score.changed;
    }
    assert!(changed > 10 && changed < kind.trials(), "{changed}");
}

#[test]
fn all_flips_of_a_layer_are_what_drawing_all_of_them_gives() {
    let bench = bench("digits_small_cls", 3);
    let mut codes = boundaries(bench.accelerator().network());
    codes.retain(|code| code.layer == "matmul_1");
    let of = |draws: Option<u64>| {
        let kind = Activations::new(Arc::clone(&bench), codes.clone(), draws, 1);
        let mut sums = kind.sums();
        for (number, score) in (0..).zip(kind.block(0..kind.trials(), &Silent).expect("scores")) {
            kind.add(&mut sums, number, &score);
        }
        kind.report(&sums).by_layer
    };
    for (all, drawn) in of(None).iter().zip(&of(Some(u64::MAX))) {
        assert_eq!(drawn.flips, drawn.population);
        assert_eq!(drawn.population, 3 * all.population);
        assert!((all.changed.share - drawn.changed.share).abs() < 1e-12);
        assert!((all.delta_loss.mean - drawn.delta_loss.mean).abs() < 1e-12);
        let exact = &drawn.changed.interval;
        assert!((exact.low - exact.high).abs() < 1e-12);
        assert_eq!(all.by_bit, drawn.by_bit);
    }
}

#[test]
fn listed_sets_are_independent_and_pairs_cancel() {
    let bench = bench("digits_small_cls", 4);
    let bits: Vec<StoredBit> = all_bits(&bench).into_iter().step_by(500).collect();
    let code = &boundaries(bench.accelerator().network())[1];
    let set = |trial: u64, bits: &[StoredBit], transients: &[Transient]| ListedTrial {
        trial,
        bits: bits.to_vec(),
        transients: transients.to_vec(),
    };
    let trials = vec![
        set(3, &bits[..5], &[]),
        set(4, &[bits[0], bits[1], bits[0]], &[]),
        set(9, &[bits[2], bits[2]], &[code.flip(0, 1), code.flip(0, 1)]),
        set(10, &bits[3..4], &[code.flip(5, 0), code.flip(5, 3)]),
    ];
    let kind = FaultLists::new(Arc::clone(&bench), trials, FaultModel::Flip);
    let scores = kind.block(0..4, &Silent).expect("scores");
    let both = [code.flip(5, 0), code.flip(5, 3)];
    let both = fault::together(both.to_vec());
    assert_eq!(both.len(), 1);
    let expected = [
        (5, changed_plainly(&bench, &bits[..5], &[], None)),
        (1, changed_plainly(&bench, &bits[1..2], &[], None)),
        (0, 0),
        (3, changed_plainly(&bench, &bits[3..4], &both, None)),
    ];
    let found: Vec<(u64, u64)> = scores
        .iter()
        .map(|(wrong, score)| (*wrong, score.changed))
        .collect();
    assert_eq!(found, expected);
}
