//! Campaigns against plain re-inference of the whole network, and what a trial may depend on.

mod workload_common;

use std::sync::Arc;

use proptest::prelude::*;
use radstream::accelerator::{Accelerator, StoredBit};
use radstream::campaign::{
    Accumulation, Bench, BitRecord, Exhaustive, Kind, Question, Run, Scenario, Score, Silent, Trial,
    TrialPlan,
};
use radstream::fault;
use radstream::model::Workload;
use radstream::network::{Network, TensorId};
use radstream::outcome::emd::EarthMover;
use radstream::outcome::{Evaluator, Loss, Metric, Outcome, Scratch, metric};
use radstream::scheme::{Cells, Place, Protection, Scheme, Store};
use radstream::simulate::functional::{self, Parameters, Transient, evaluate, evaluate_struck};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use workload_common::{full, random_bits, workload};

fn bench(accelerator: &Arc<Accelerator>, workload: Workload) -> Arc<Bench> {
    let bench = Bench::new(Arc::clone(accelerator), workload.inputs, workload.evaluator);
    Arc::new(bench.expect("a bench"))
}

/// The records of these bits, each flipped by itself.
fn flip_each(bench: &Arc<Bench>, bits: &[StoredBit]) -> Vec<BitRecord> {
    let kind = Exhaustive::new(Arc::clone(bench), bits.to_vec());
    kind.block(0..kind.trials(), &Silent).expect("nothing stops it")
}

/// Outputs and outcomes of all samples, by plain inference.
fn infer(
    accelerator: &Accelerator,
    parameters: &Parameters,
    inputs: &[i64],
    evaluator: &Evaluator,
    fault_free: Option<&[Vec<i64>]>,
) -> (Vec<Vec<i64>>, Vec<Outcome>) {
    let network = accelerator.network();
    let output = network.tensor(network.output);
    let mut scratch = Scratch::default();
    inputs
        .chunks(network.tensor(network.input).len())
        .enumerate()
        .map(|(sample, input)| {
            let mantissas = evaluate(network, parameters, input)
                .tensor(network.output)
                .to_vec();
            let values: Vec<f64> = mantissas.iter().map(|&m| output.value_of(m)).collect();
            let differs = fault_free.is_some_and(|outputs| outputs[sample] != mantissas);
            let outcome = evaluator.evaluate(sample, &values, differs, &mut scratch);
            (mantissas, outcome)
        })
        .unzip()
}

/// The parameters with one stored bit inverted, without any help of the campaign's code.
fn flipped(accelerator: &Accelerator, bit: StoredBit) -> Parameters {
    let mut parameters = Parameters::of(accelerator.network());
    let logical = accelerator.map().logical(bit);
    let element = logical.element as usize;
    let mantissa = parameters.values(logical.param)[element];
    let stored = accelerator
        .stored_bits(logical.param, mantissa)
        .expect("a stored tensor");
    let after = accelerator
        .mantissa_of_stored(logical.param, stored ^ (1 << logical.bit))
        .expect("a stored tensor");
    parameters.replace(logical.param, element, after);
    parameters
}

/// Scores of single flips and of sets of them: samples side by side, and one after the other.
#[test]
fn samples_side_by_side_score_as_one_after_the_other() {
    workload_common::MODELS.par_iter().for_each(|name| {
        // More than one chunk, and one that is not full.
        let samples = if name.starts_with("unet") { 9 } else { 135 };
        let (accelerator, workload) = workload(name, samples);
        let bench = bench(&accelerator, workload);
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let sets = if name.starts_with("unet") { 3 } else { 40 };
        let mut scenarios: Vec<Scenario> = (0..sets)
            .map(|set| {
                let count = [1, 1, 1, 2, 30][set % 5];
                let wrong = fault::wrong_bits(random_bits(&accelerator, count, &mut random));
                fault::changes(&accelerator, &wrong).into()
            })
            .chain([Scenario::default()])
            .collect();
        scenarios.extend((1..4).map(|count| Scenario {
            transients: random_transients(accelerator.network(), count, &mut random),
            ..Scenario::default()
        }));
        let found = bench.score(&scenarios, &Silent).expect("nothing stops it");
        let twin = bench
            .score_one_by_one(&scenarios, &Silent)
            .expect("nothing stops it");
        for (found, twin) in found.iter().zip(&twin) {
            assert_eq!(found, twin, "{name}");
            assert_eq!(found.loss.to_bits(), twin.loss.to_bits(), "{name}");
            assert_eq!(found.delta_loss.to_bits(), twin.delta_loss.to_bits(), "{name}");
        }
        assert_eq!(found.len(), twin.len());
        assert!(found.iter().any(|score| score.changed > 0), "{name}");
        assert!(
            bench.loading() > std::time::Duration::ZERO,
            "{name} is not scored side by side"
        );
    });
}

fn random_transients(network: &Network, count: usize, random: &mut ChaCha8Rng) -> Vec<Transient> {
    let draw = |_| {
        let tensor = random.random_range(0..network.tensors.len());
        let tensor = TensorId::from(tensor);
        let encoding = network.tensor(tensor).encoding;
        Transient {
            place: functional::Place::Tensor(tensor),
            element: random.random_range(0..network.tensor(tensor).len()) as u32,
            flip: 1 << random.random_range(0..encoding.width()),
        }
    };
    (0..count).map(draw).collect()
}

/// Answers are those of the scores, and a yes is given at the first chunk that knows it.
#[test]
fn a_question_is_answered_by_the_first_samples_that_know() {
    for name in ["digits_small_cls", "digits_medium_ae"] {
        let (accelerator, workload) = workload(name, 200);
        let bench = bench(&accelerator, workload);
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let scenarios: Vec<Scenario> = (0..60)
            .map(|_| {
                let wrong = fault::wrong_bits(random_bits(&accelerator, 1, &mut random));
                fault::changes(&accelerator, &wrong).into()
            })
            .collect();
        let scores = bench.score(&scenarios, &Silent).expect("nothing stops it");
        let mut losses: Vec<f64> = scores.iter().map(|score| score.loss).collect();
        losses.sort_by(f64::total_cmp);
        let above = losses[40] + 1e-12;
        let mut cut = 0;
        for question in [
            Question::AnyChanged,
            Question::NewlyWrong,
            Question::LossAbove(above),
        ] {
            let answers = bench
                .ask(&scenarios, question, &Silent)
                .expect("nothing stops it");
            for ((answer, score), scenario) in answers.iter().zip(&scores).zip(&scenarios) {
                let expected = match question {
                    Question::AnyChanged => score.changed > 0,
                    Question::NewlyWrong => score.newly_wrong.unwrap_or(0) > 0,
                    Question::LossAbove(bound) => score.loss > bound,
                };
                assert_eq!(answer.yes, expected, "{name}: {question:?}");
                assert_eq!(answer.cut, answer.samples < 200);
                assert!(answer.yes || !answer.cut);
                cut += usize::from(answer.cut);
                if question != Question::AnyChanged || !answer.yes {
                    continue;
                }
                assert!(answer.samples == 200 || answer.samples % 64 == 0);
                let seen = answer.samples as u32;
                let chunk = (seen - 1) / 64 * 64;
                let of = |samples: std::ops::Range<u32>| -> u64 {
                    let single: Vec<Scenario> = samples
                        .map(|sample| Scenario {
                            sample: Some(sample),
                            ..scenario.clone()
                        })
                        .collect();
                    let scores = bench.score(&single, &Silent).expect("nothing stops it");
                    scores.iter().map(|score| score.changed).sum()
                };
                assert!(chunk == 0 || of(0..chunk) == 0, "{name}: answered late");
                assert!(of(chunk..seen) > 0, "{name}: answered early");
            }
        }
        assert!(cut > 0, "{name}");
    }
}

/// Scores of single samples add up to the score of all, and equal the plain engine's.
#[test]
fn a_fault_set_may_name_its_sample() {
    for name in ["digits_small_cls", "digits_medium_ae"] {
        let (accelerator, workload) = workload(name, 30);
        let bench = bench(&accelerator, workload);
        let network = accelerator.network();
        let elements = network.tensor(network.input).len();
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for set in 0..6 {
            let wrong = fault::wrong_bits(random_bits(&accelerator, 3, &mut random));
            let mut whole = Scenario::from(fault::changes(&accelerator, &wrong));
            if set % 2 == 0 {
                whole.transients = random_transients(network, 2, &mut random);
            }
            let mut scenarios = vec![whole.clone()];
            scenarios.extend((0..30).map(|sample| Scenario {
                sample: Some(sample),
                ..whole.clone()
            }));
            let scores = bench.score(&scenarios, &Silent).expect("nothing stops it");
            let (all, single) = (&scores[0], &scores[1..]);
            assert_eq!(all.changed, single.iter().map(|score| score.changed).sum::<u64>());
            let wrong = single.iter().map(|score| score.newly_wrong).sum::<Option<u64>>();
            assert_eq!(all.newly_wrong, wrong, "{name}");
            let parameters = Parameters::under(network, &whole.changes);
            let mut difference = 0.0;
            for (sample, score) in single.iter().enumerate() {
                let input = &bench.inputs()[sample * elements..][..elements];
                let trace = evaluate_struck(network, &parameters, &whole.transients, input);
                let output = trace.tensor(network.output);
                let fault_free = &bench.baseline().outputs[sample * output.len()..][..output.len()];
                assert_eq!(
                    score.changed,
                    u64::from(output != fault_free),
                    "{name}: sample {sample}"
                );
                assert_eq!(
                    score.loss,
                    bench.baseline().outcomes[sample].loss + score.delta_loss
                );
                difference += score.delta_loss;
            }
            assert!((all.delta_loss - difference / 30.0).abs() < 1e-12, "{name}");
        }
    }
}

fn agrees_with_plain_inference(name: &str, samples: usize, bits: usize, seed: u64) {
    let (accelerator, workload) = workload(name, samples);
    let bench = bench(&accelerator, workload);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = random_bits(&accelerator, 2 * bits as u64, &mut random);
    chosen.sort();
    chosen.dedup();
    chosen.truncate(bits);
    assert_eq!(chosen.len(), bits);

    let records = flip_each(&bench, &chosen);
    assert_eq!(records.len(), bits);

    let evaluator = bench.evaluator();
    let clean = Parameters::of(accelerator.network());
    let (outputs, outcomes) = infer(&accelerator, &clean, bench.inputs(), evaluator, None);
    let count = samples as f64;
    let base = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>() / count;
    assert_eq!(bench.baseline().loss, base, "{name}");

    let mut reached = 0;
    let expected: Vec<_> = chosen
        .par_iter()
        .map(|&bit| {
            infer(
                &accelerator,
                &flipped(&accelerator, bit),
                bench.inputs(),
                evaluator,
                Some(&outputs),
            )
        })
        .collect();
    for ((record, &bit), (faulty, judged)) in records.iter().zip(&chosen).zip(&expected) {
        let place = format!("{name}: {:?}", accelerator.named(bit));
        assert_eq!(record.bit, bit);
        let differs: Vec<bool> = outputs.iter().zip(faulty).map(|(a, b)| a != b).collect();
        let changed = differs.iter().filter(|&&differs| differs).count() as u64;
        assert_eq!(record.changed, changed, "{place}");
        let newly_wrong = outcomes
            .iter()
            .zip(judged)
            .filter(|(before, after)| before.correct == Some(true) && after.correct == Some(false))
            .count() as u64;
        assert_eq!(record.newly_wrong, newly_wrong, "{place}");
        // Sums in the order of the samples; an unchanged sample contributes exactly 0.
        let mut difference = 0.0;
        for (sample, differs) in differs.iter().enumerate() {
            if *differs {
                difference += judged[sample].loss - outcomes[sample].loss;
            }
        }
        assert_eq!(record.delta_loss, difference / count, "{place}");
        assert_eq!(record.loss, base + difference / count, "{place}");
        let mean = judged.iter().map(|outcome| outcome.loss).sum::<f64>() / count;
        assert!(
            (record.loss - mean).abs() <= 1e-12 * (1.0 + mean.abs()),
            "{place}"
        );
        reached += usize::from(changed > 0);
    }
    assert!(
        reached > bits / 4,
        "{name}: only {reached} of {bits} bits did anything"
    );
}

#[test]
fn single_flips_agree_with_plain_inference_of_an_autoencoder() {
    let samples = if full() { 360 } else { 40 };
    agrees_with_plain_inference("digits_medium_ae", samples, 300, 11);
}

#[test]
fn single_flips_agree_with_plain_inference_of_a_classifier() {
    let samples = if full() { 360 } else { 12 };
    agrees_with_plain_inference("digits_large_cls", samples, 300, 12);
}

#[test]
fn single_flips_agree_with_plain_inference_of_a_segmentation() {
    let bits = if full() { 300 } else { 16 };
    agrees_with_plain_inference("unet_digits_pruned", 2, bits, 13);
}

#[test]
fn records_do_not_depend_on_the_company_or_the_order_of_bits() {
    let (accelerator, workload) = workload("digits_medium_cls", 20);
    let bench = bench(&accelerator, workload);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let bits = random_bits(&accelerator, 200, &mut random);
    let run = |bits: &[StoredBit]| flip_each(&bench, bits);
    let together = run(&bits);
    let mut backwards: Vec<StoredBit> = bits.iter().rev().copied().collect();
    let mut reversed = run(&backwards);
    reversed.reverse();
    assert_eq!(reversed, together);
    backwards.truncate(1);
    assert_eq!(run(&backwards)[0], together[199]);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        assert_eq!(pool.install(|| run(&bits)), together);
    }
}

/// The cells of an accelerator with these bits triplicated.
fn triplicated(accelerator: &Accelerator, bits: &[StoredBit]) -> Cells {
    let protection = Protection::of(Scheme::Tmr, bits.iter().copied());
    Cells::new(Store::new(accelerator, |_| true, &protection).expect("one scheme"))
}

/// The trials of these numbers on a small network of which every third bit is protected.
fn trials(numbers: std::ops::Range<u64>, seed: u64, threads: usize) -> Vec<Trial> {
    let (accelerator, workload) = workload("digits_small_ae", 6);
    let bench = bench(&accelerator, workload);
    let protected: Vec<StoredBit> = accelerator.map().bits().step_by(3).collect();
    let cells = triplicated(&accelerator, &protected);
    let plan = TrialPlan {
        trials: 200,
        flips: 25,
        seed,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let kind = Accumulation::new(bench, cells, plan);
    pool.install(|| kind.block(numbers, &Silent))
        .expect("nothing stops it")
}

#[test]
fn a_trial_depends_on_the_seed_and_its_number_only() {
    let all = trials(0..200, 7, 2);
    assert_eq!(all.len(), 200);
    assert_eq!(trials(0..100, 7, 1), all[..100]);
    assert_eq!(trials(150..200, 7, 3), all[150..]);
    assert_eq!(trials(42..43, 7, 2), all[42..43]);
    let other = trials(0..200, 8, 2);
    assert!(all.iter().zip(&other).filter(|(a, b)| a == b).count() < 100);
    let different = all.iter().filter(|trial| trial.score != all[0].score).count();
    assert!(different > 100, "{different} trials differ from the first");
}

#[test]
fn a_summary_is_that_of_its_trials() {
    let (accelerator, workload) = workload("digits_small_ae", 8);
    let bench = bench(&accelerator, workload);
    let cells = triplicated(&accelerator, &[]);
    let plan = TrialPlan {
        trials: 50,
        flips: 100,
        seed: 3,
    };
    let kind = Accumulation::new(bench, cells, plan);
    let single = kind.block(0..50, &Silent).expect("nothing stops it");
    let summary = Run::new(&kind).go(&Silent).expect("a run").report(&kind);
    let mean = |value: &dyn Fn(&Trial) -> f64| single.iter().map(value).sum::<f64>() / 50.0;
    assert_eq!(summary.mean_loss, mean(&|trial| trial.score.loss));
    assert_eq!(summary.mean_wrong_bits, mean(&|trial| trial.wrong_bits as f64));
    let interval = summary.mean_loss_interval;
    assert!(interval.low <= summary.mean_loss && summary.mean_loss <= interval.high);
    // Without protection a flip is a wrong bit unless it hits a cell twice.
    assert!(
        single
            .iter()
            .all(|trial| trial.wrong_bits <= 100 && trial.wrong_bits % 2 == 0)
    );
    assert!(summary.mean_wrong_bits > 97.0, "{}", summary.mean_wrong_bits);
}

#[test]
fn one_flip_never_gets_through_full_triplication() {
    let (accelerator, workload) = workload("digits_small_ae", 3);
    let bench = bench(&accelerator, workload);
    let all: Vec<StoredBit> = accelerator.map().bits().collect();
    let cells = triplicated(&accelerator, &all);
    for index in 0..cells.total() {
        let cell = cells.cell(index).expect("a cell");
        assert!(cells.read_inverted(&[cell]).is_empty(), "{cell:?}");
    }
    let plan = TrialPlan {
        trials: 300,
        flips: 1,
        seed: 1,
    };
    let kind = Accumulation::new(Arc::clone(&bench), cells, plan);
    let trials = kind.block(0..300, &Silent).expect("nothing stops it");
    for trial in trials {
        assert_eq!((trial.wrong_bits, trial.score.changed), (0, 0));
        assert_eq!(
            (trial.score.loss, trial.score.delta_loss),
            (bench.baseline().loss, 0.0)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn voters_outvote_one_cell_and_not_two(
        bits in 1u64..60,
        protected in proptest::collection::vec(0u64..60, 0..40),
        hits in proptest::collection::vec((0u64..60, 0u32..3), 0..80),
    ) {
        let protected: Vec<StoredBit> = protected.into_iter().map(StoredBit).collect();
        let protection = Protection::of(Scheme::Tmr, protected);
        let is_protected = |bit| protection.scheme_of(bit).is_some();
        let cells = Cells::new(Store::protected_memory(bits, 1, 1, &protection).unwrap());
        let cell = |bit: StoredBit, copy: u32| Place { memory: 0, unit: bit.0, cell: copy };
        // Every cell has one number, and the copies of a protected bit are three.
        for bit in (0..bits).map(StoredBit) {
            let copies: Vec<Place> = (0..cells.total())
                .filter_map(|index| cells.cell(index))
                .filter(|cell| cell.unit == bit.0)
                .collect();
            prop_assert_eq!(copies.len(), if is_protected(bit) { 3 } else { 1 });
            for (at, &a) in copies.iter().enumerate() {
                let single = cells.read_inverted(&[a]);
                prop_assert_eq!(single.is_empty(), is_protected(bit));
                prop_assert!(cells.read_inverted(&[a, a]).is_empty());
                for &b in &copies[at + 1..] {
                    prop_assert_eq!(cells.read_inverted(&[a, b]), vec![bit]);
                }
            }
        }
        // Any set of hits against the definition: the majority of the three cells.
        let hits: Vec<Place> = hits
            .into_iter()
            .map(|(bit, copy)| (StoredBit(bit % bits), copy))
            .map(|(bit, copy)| cell(bit, if is_protected(bit) { copy } else { 0 }))
            .collect();
        let expected: Vec<StoredBit> = (0..bits)
            .map(StoredBit)
            .filter(|&bit| {
                let odd = (0..3)
                    .filter(|&copy| hits.iter().filter(|&&hit| hit == cell(bit, copy)).count() % 2 == 1)
                    .count();
                if is_protected(bit) { odd >= 2 } else { odd == 1 }
            })
            .collect();
        prop_assert_eq!(cells.read_inverted(&hits), expected);
    }
}

#[test]
fn a_second_hit_restores_a_bit() {
    let (accelerator, _) = workload("digits_small_cls", 1);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let hits = random_bits(&accelerator, 60, &mut random);
    let doubled: Vec<StoredBit> = hits.iter().chain(&hits).copied().collect();
    assert!(fault::wrong_bits(doubled).is_empty());
    let tripled: Vec<StoredBit> = hits.iter().chain(&hits).chain(&hits).copied().collect();
    assert_eq!(fault::wrong_bits(tripled), fault::wrong_bits(hits));
}

/// The Euclidean distances of an 8x8 map's cells.
fn distances_of_a_map() -> EarthMover {
    let at = |cell: usize| ((cell / 8) as f64, (cell % 8) as f64);
    let distances: Vec<f64> = (0..64 * 64)
        .map(|pair| (at(pair / 64), at(pair % 64)))
        .map(|(a, b)| libm::hypot(a.0 - b.0, a.1 - b.1))
        .collect();
    EarthMover::new(&[64, 64], &distances).expect("a distance")
}

/// Every loss that reads outputs: distinct outputs of a chunk, read out side by side, against each sample's own.
#[test]
fn every_loss_scores_side_by_side_as_one_after_the_other() {
    let losses = [
        ("digits_medium_ae", Loss::emd(distances_of_a_map())),
        ("digits_small_ae", Loss::emd(distances_of_a_map())),
        ("digits_large_ae", Loss::mse()),
        ("digits_large_cls", Loss::cross_entropy()),
        ("digits_small_cls", Loss::misclassify()),
        ("digits_medium_cls", Loss::mismatch()),
    ];
    losses.into_par_iter().for_each(|(name, loss)| {
        let (accelerator, mut workload) = workload(name, 75);
        workload.evaluator = workload.evaluator.with_loss(loss).expect("a loss that fits");
        let bench = bench(&accelerator, workload);
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let scenarios: Vec<Scenario> = (0..60)
            .map(|set| {
                let wrong = fault::wrong_bits(random_bits(&accelerator, 1 + 5 * (set % 4), &mut random));
                fault::changes(&accelerator, &wrong).into()
            })
            .collect();
        let found = bench.score(&scenarios, &Silent).expect("nothing stops it");
        let twin = bench
            .score_one_by_one(&scenarios, &Silent)
            .expect("nothing stops it");
        assert_eq!(found, twin, "{name}");
        for (found, twin) in found.iter().zip(&twin) {
            assert_eq!(found.delta_loss.to_bits(), twin.delta_loss.to_bits(), "{name}");
        }
        let rising = found.iter().filter(|score| score.delta_loss != 0.0).count();
        assert!(rising > 10, "{name}: {rising}");
    });
}

fn metrics(names: &[&str]) -> Vec<Metric> {
    let named = |name: &&str| metric::named(name, None).expect("no distance").expect("a metric");
    names.iter().map(named).collect()
}

/// Intersection over union, pooled and weighted by the share of the right classes, from sets of pixels.
fn ious(right: &[usize], predicted: &[usize]) -> (f64, f64) {
    let (mut inter, mut union, mut weighted) = (0, 0, 0.0);
    for class in 0..=right.iter().chain(predicted).copied().max().unwrap_or(0) {
        let pairs = || right.iter().zip(predicted);
        let both = pairs().filter(|&(&a, &b)| a == class && b == class).count();
        let either = pairs().filter(|&(&a, &b)| a == class || b == class).count();
        (inter, union) = (inter + both, union + either);
        let share = right.iter().filter(|&&a| a == class).count() as f64 / right.len() as f64;
        weighted += share * both as f64 / either.max(1) as f64;
    }
    (inter as f64 / union as f64, weighted)
}

/// Metrics of fault sets on both engines, against plain inference and sets of pixels counted here.
#[test]
fn metrics_are_those_of_plain_inference() {
    for (name, samples) in [("digits_small_cls", 70), ("unet_digits", 9)] {
        let (accelerator, mut workload) = workload(name, samples);
        let names = [
            "accuracy",
            "changed-pixels",
            "iou",
            "weighted-iou",
            "misclassify",
            "top2-difference",
        ];
        workload.evaluator = workload.evaluator.with_metrics(metrics(&names)).expect("metrics");
        let right: Vec<usize> = workload
            .labels
            .as_ref()
            .and_then(|labels| labels.integers())
            .map_or_else(
                || panic!("{name} has labels"),
                |labels| labels.iter().map(|&label| label as usize).collect(),
            );
        let bench = bench(&accelerator, workload);
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let bits = random_bits(&accelerator, 12, &mut random);
        let scenarios: Vec<Scenario> = bits
            .iter()
            .map(|&bit| fault::changes(&accelerator, &[bit]).into())
            .chain([Scenario::default()])
            .collect();
        let found = bench.score(&scenarios, &Silent).expect("nothing stops it");
        let twin = bench
            .score_one_by_one(&scenarios, &Silent)
            .expect("nothing stops it");
        let network = accelerator.network();
        let output = network.tensor(network.output);
        let classes = |parameters: &Parameters| -> Vec<usize> {
            let mut scratch = Scratch::default();
            let inputs = bench.inputs().chunks(network.tensor(network.input).len());
            inputs
                .flat_map(|input| {
                    let trace = evaluate(network, parameters, input);
                    let values: Vec<f64> = (trace.tensor(network.output).iter())
                        .map(|&mantissa| output.value_of(mantissa))
                        .collect();
                    bench.evaluator().classes_of(&values, &mut scratch)
                })
                .collect()
        };
        let fault_free = classes(&Parameters::of(network));
        let right = &right[..fault_free.len()];
        let share = |a: &[usize], b: &[usize]| {
            let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
            equal as f64 / a.len() as f64
        };
        let check = |values: &[f64], predicted: &[usize], what: &str| {
            let (iou, weighted) = ious(right, predicted);
            let accuracy = share(right, predicted);
            let changed = 1.0 - share(&fault_free, predicted);
            let expected = [accuracy, changed, iou, weighted, 1.0 - accuracy];
            for ((value, expected), metric) in values.iter().zip(expected).zip(names) {
                assert!(
                    (value - expected).abs() < 1e-12,
                    "{name}, {what}, {metric}: {value} {expected}"
                );
            }
            assert!(
                values[5] > 0.0 && values[5] <= 1.0,
                "{name}, {what}: {}",
                values[5]
            );
        };
        let mut moved = 0;
        for ((score, twin), bit) in found.iter().zip(&twin).zip(&bits) {
            let predicted = classes(&flipped(&accelerator, *bit));
            check(&score.metrics, &predicted, "a flip");
            let bits_of = |score: &Score| score.metrics.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits_of(score), bits_of(twin), "{name}");
            moved += usize::from(score.metrics[1] > 0.0);
        }
        assert!(moved > 0, "{name}");
        check(&bench.baseline().metrics, &fault_free, "fault-free");
        assert_eq!(
            found.last().map(|score| &score.metrics),
            Some(&bench.baseline().metrics),
            "{name}"
        );
    }
}

/// A loss as a metric is the loss, and a metric does not change the loss.
#[test]
fn a_loss_as_a_metric_is_the_loss() {
    let distance = Loss::emd(distances_of_a_map());
    let (accelerator, mut workload) = workload("digits_small_ae", 66);
    let plain = workload.evaluator.clone();
    let mut both = metrics(&["mse", "changed-pixels"]);
    both.push(Metric::of_loss(distance.clone()));
    workload.evaluator = workload.evaluator.with_metrics(both).expect("metrics");
    let inputs = workload.inputs.clone();
    let with = bench(&accelerator, workload);
    let of = |evaluator| Bench::new(Arc::clone(&accelerator), inputs.clone(), evaluator).expect("a bench");
    let by_distance = of(plain.clone().with_loss(distance).expect("a loss"));
    let plain = of(plain);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let scenarios: Vec<Scenario> = (random_bits(&accelerator, 60, &mut random).into_iter())
        .map(|bit| fault::changes(&accelerator, &[bit]).into())
        .collect();
    let score = |bench: &Bench| bench.score(&scenarios, &Silent).expect("nothing stops it");
    let (found, emd) = (score(&with), score(&by_distance));
    for ((found, plain), emd) in found.iter().zip(score(&plain)).zip(emd) {
        assert_eq!(found.loss.to_bits(), plain.loss.to_bits());
        assert!((found.metrics[0] - plain.loss).abs() < 1e-12, "{found:?}");
        assert!((found.metrics[2] - emd.loss).abs() < 1e-12, "{found:?} {emd:?}");
    }
}
