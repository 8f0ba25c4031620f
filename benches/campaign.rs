//! Faults x inputs per second of the exhaustive campaign on the shipped `digits_medium_ae`: samples side by side, one
//! after the other, and plain re-inference of the whole network on the same faults in the same run. Where the shared
//! data is there, also all faults of ECON-T Medium at the encoder's output.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use radstream::accelerator::{Accelerator, Hardware, StoredBit};
use radstream::campaign::{Bench, Scenario, Silent};
use radstream::data::{self, Source};
use radstream::fault;
use radstream::model::{Description, Files, Settings, Workload, load_network};
use radstream::network::import::{ImportOptions, qonnx};
use radstream::outcome::emd::EarthMover;
use radstream::outcome::{Evaluator, Loss, Readout, Scratch, Setup};
use radstream::simulate::functional::{Parameters, evaluate};

fn exhaustive(criterion: &mut Criterion) {
    let files = Files::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits_medium_ae"));
    let description = Description::read(&files).expect("a model folder");
    let mut network =
        load_network(&files, Path::new(&description.network), &ImportOptions::default()).expect("a network");
    network.name.clone_from(&description.name);
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    let accelerator = Arc::new(accelerator);
    let network = accelerator.network();
    let mut group = criterion.benchmark_group("digits_medium_ae");
    group.sample_size(10);
    // One bit in forty spreads over both layers and all bit positions.
    let bits: Vec<StoredBit> = accelerator.map().bits().step_by(41).collect();
    let scenarios: Vec<Scenario> = bits
        .iter()
        .map(|&bit| fault::changes(&accelerator, &[bit]).into())
        .collect();
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");

    let settings = Settings::of(&description, &files);
    let workload = Workload::load(network, &settings).expect("a workload");
    let evaluator = workload.evaluator.clone();
    let samples = workload.samples;
    let bench = Bench::new(Arc::clone(&accelerator), workload.inputs, workload.evaluator).expect("a bench");
    group.throughput(Throughput::Elements((bits.len() * samples) as u64));
    group.bench_function(
        BenchmarkId::new("side by side, faults x inputs", "one core"),
        |bencher| {
            bencher.iter(|| one_thread.install(|| black_box(bench.score(&scenarios, &Silent))));
        },
    );
    group.bench_function(
        BenchmarkId::new("one after the other, faults x inputs", "one core"),
        |bencher| {
            bencher.iter(|| one_thread.install(|| black_box(bench.score_one_by_one(&scenarios, &Silent))));
        },
    );

    // Plain re-inference is slower by orders of magnitude: fewer faults and inputs, the same unit.
    let few = &scenarios[..8];
    let elements = network.tensor(network.input).len();
    let inputs: Vec<&[i64]> = bench.inputs().chunks_exact(elements).take(8).collect();
    group.throughput(Throughput::Elements((few.len() * inputs.len()) as u64));
    group.bench_function(
        BenchmarkId::new("plain re-inference, faults x inputs", "one core"),
        |bencher| {
            bencher.iter(|| {
                let mut total = 0.0;
                let mut scratch = Scratch::default();
                for changes in few {
                    let mut parameters = Parameters::of(network);
                    for change in &changes.changes {
                        parameters.replace(change.param, change.element as usize, change.mantissa);
                    }
                    for (sample, input) in inputs.iter().enumerate() {
                        let trace = evaluate(network, &parameters, input);
                        let output = network.tensor(network.output);
                        let values: Vec<f64> = trace
                            .tensor(network.output)
                            .iter()
                            .map(|&mantissa| output.value_of(mantissa))
                            .collect();
                        total += evaluator.evaluate(sample, &values, true, &mut scratch).loss;
                    }
                }
                black_box(total)
            });
        },
    );
    group.finish();
}

/// Readouts and losses of the fault sets of a model: distinct outputs side by side, and each changed output alone.
fn outcomes(criterion: &mut Criterion) {
    let files = Files::Embedded;
    let description = Description::read(&files).expect("a model");
    let network =
        load_network(&files, Path::new(&description.network), &ImportOptions::default()).expect("a network");
    let settings = Settings::of(&description, &files);
    let workload = Workload::load(&network, &settings).expect("a workload");
    let values = network.tensor(network.output).len();
    let evaluator = workload.evaluator;
    let at = |cell: usize| ((cell / 8) as f64, (cell % 8) as f64);
    let distances: Vec<f64> = (0..64 * 64)
        .map(|pair| (at(pair / 64), at(pair % 64)))
        .map(|(a, b)| libm::hypot(a.0 - b.0, a.1 - b.1))
        .collect();
    let mover = EarthMover::new(&[64, 64], &distances).expect("a distance");
    let by_distance = evaluator
        .clone()
        .with_loss(Loss::emd(mover))
        .expect("a loss that fits");
    // Outputs of one sample that differ by a little here and there.
    let rows = 512;
    let codes: Vec<f64> = (0..rows * values)
        .map(|at| {
            let (row, value) = (at / values, at % values);
            let changed = if row % values == value { row / values } else { 0 };
            ((value * 37 + 11 * changed) % 100) as f64 / 64.0
        })
        .collect();
    let mut group = criterion.benchmark_group("outcomes");
    group.throughput(Throughput::Elements(rows as u64));
    for (name, evaluator) in [("mse", &evaluator), ("emd", &by_distance)] {
        let mut scratch = Scratch::default();
        let mut outputs = Vec::new();
        group.bench_function(BenchmarkId::new("side by side", name), |bencher| {
            bencher.iter(|| {
                outputs.clear();
                evaluator.outputs(black_box(&codes), &mut scratch, &mut outputs);
                let rows = outputs.chunks_exact(evaluator.width());
                let losses = rows.map(|row| evaluator.judge(0, row, true).loss);
                black_box(losses.sum::<f64>())
            });
        });
        group.bench_function(BenchmarkId::new("one after the other", name), |bencher| {
            bencher.iter(|| {
                let codes = black_box(&codes).chunks_exact(values);
                let losses = codes.map(|code| evaluator.evaluate(0, code, true, &mut scratch).loss);
                black_box(losses.sum::<f64>())
            });
        });
    }
    group.finish();
}

/// All stored bits of ECON-T Medium on 20,000 inputs, where every changed output counts alike.
fn econt(criterion: &mut Criterion) {
    let root = std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let file = root.join("econt/econt_medium.qonnx.onnx");
    if !file.exists() {
        println!("skipped: no shared data at {}", root.display());
        return;
    }
    let network = qonnx::read(&file).expect("a network");
    let samples = root.join("econt/hgcal_3500.npz");
    let array = data::read(&Source::parse(&format!("{}:x", samples.display()))).expect("inputs");
    let input = network.tensor(network.input);
    let mantissas = array.reals().into_iter().map(|x| {
        let scaled = libm::scalbn(x / input.scale, input.encoding.frac());
        libm::rint(scaled) as i64
    });
    let mantissas: Vec<i64> = mantissas.collect();
    let samples = 20_000;
    let inputs: Vec<i64> = mantissas
        .into_iter()
        .cycle()
        .take(samples * input.len())
        .collect();
    let values = network.tensor(network.output).len();
    let setup = Setup {
        readout: Readout::identity(&[values]),
        order: None,
        loss: Loss::mismatch(),
        gather: None,
        target: None,
        samples: None,
        stated: None,
        labels: None,
        classes: None,
        metrics: vec![],
    };
    let evaluator = Evaluator::new(setup, samples, values).expect("an evaluator");
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    let accelerator = Arc::new(accelerator);
    let scenarios: Vec<Scenario> = (accelerator.map().bits())
        .map(|bit| fault::changes(&accelerator, &[bit]).into())
        .collect();
    let bench = Bench::new(Arc::clone(&accelerator), inputs, evaluator).expect("a bench");
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    let mut group = criterion.benchmark_group("econt_medium");
    group.sample_size(10);
    for (name, faults) in [("all faults", &scenarios[..]), ("one fault", &scenarios[..1])] {
        group.throughput(Throughput::Elements((faults.len() * samples) as u64));
        group.bench_function(
            BenchmarkId::new("side by side, faults x inputs", name),
            |bencher| {
                bencher.iter(|| one_thread.install(|| black_box(bench.score(faults, &Silent))));
            },
        );
    }
    let some: Vec<Scenario> = scenarios.iter().step_by(997).cloned().collect();
    group.throughput(Throughput::Elements((some.len() * samples) as u64));
    group.bench_function(
        BenchmarkId::new("one after the other, faults x inputs", "one in 997"),
        |bencher| {
            bencher.iter(|| one_thread.install(|| black_box(bench.score_one_by_one(&some, &Silent))));
        },
    );
    group.finish();
}

criterion_group!(benches, exhaustive, outcomes, econt);
criterion_main!(benches);
