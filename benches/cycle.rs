//! The cycle engine: clock cycles per second, resting stages skipped against every stage at every edge; fault-free
//! samples by control and period; strikes by what differs from a recorded run.
//!
//! The networks of BNN-PYNQ and ECON-T are read from the shared data where they are; the embedded model
//! always runs.

#[path = "../tests/mvu_chain/mod.rs"]
mod chain;
#[path = "../tests/accelerator/nets.rs"]
mod nets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chain::Chain;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use radstream::accelerator::{Accelerator, Hardware};
use radstream::campaign::{
    DecidedBy, Kind, RegisterClasses, RegisterSelection, Silent, StrikeOutcome, draw_strikes,
};
use radstream::fault::Targets;
use radstream::model::{Description, Files, load_network};
use radstream::network::Network;
use radstream::network::import::ImportOptions;
use radstream::outcome::{Evaluator, Loss, Readout, Setup};
use radstream::simulate::Replay;
use radstream::simulate::cycle::{self, Pipeline, Recording, RegisterClass, Settings};

fn shared_data() -> PathBuf {
    std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    )
}

fn shared(name: &str) -> Option<Network> {
    let file = shared_data().join(name);
    let parent = Files::Folder(file.parent()?.to_owned());
    load_network(&parent, Path::new(file.file_name()?), &ImportOptions::default()).ok()
}

fn cases() -> Vec<(&'static str, Network, Hardware)> {
    let model = Description::read(&Files::Embedded).expect("the embedded model reads");
    let network = load_network(
        &Files::Embedded,
        Path::new(&model.network),
        &ImportOptions::default(),
    )
    .expect("the embedded network reads");
    let mut cases = vec![("digits_medium_ae", network, Hardware::default())];
    let data = |file: &str| shared_data().join(file);
    for name in ["p1", "p2"] {
        if let Some(network) = shared(&format!("rtl_faults/{name}.onnx")) {
            let hardware = Hardware::read(&data(&format!("rtl_faults/{name}.ron")));
            cases.push((name, network, hardware.expect("the hardware file reads")));
        }
    }
    if let Some(network) = shared("econt/econt_medium.qonnx.onnx") {
        cases.push(("econt_medium", network, Hardware::default()));
    }
    if let Some(network) = shared("cnv/cnvW1A1.qonnx.onnx") {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs/cnvW1A1.ron");
        cases.push((
            "cnvW1A1",
            network,
            Hardware::read(&file).expect("the hardware file reads"),
        ));
    }
    cases
}

/// CPU time of this thread in seconds, where the system says it; otherwise the time that went by since `start`.
fn cpu_seconds(start: Instant) -> f64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = said.and_then(|said| said.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |time| time / 1e9)
}

/// Fault-free samples by control and functional engine: one alone, and several, with the period where there is one
/// within them. CPU time of one thread, without what is made once per network. `plain` is a cycle's time tick by tick.
fn replayed(name: &str, accelerator: &Accelerator, pipeline: &Arc<Pipeline>, plain: f64) {
    const SAMPLES: [usize; 2] = [1, 64];
    const LEAST_SECONDS: f64 = 1.0;
    const MOST_RUNS: usize = 2_000;
    let network = accelerator.network();
    if Replay::new(pipeline, accelerator).is_none() {
        println!("{name}: units lose words without a fault");
        return;
    }
    for samples in SAMPLES {
        let inputs = vec![1; samples * network.tensor(network.input).len()];
        let start = Instant::now();
        let (mut runs, mut cycles, mut seconds, mut period) = (0, 0, 0.0, None);
        while seconds < LEAST_SECONDS && runs < MOST_RUNS {
            // A new one knows no period yet.
            let mut replay = Replay::new(pipeline, accelerator).expect("its units are exact");
            let before = cpu_seconds(start);
            cycles += replay.run(&inputs).expect("all samples come out").timing.total;
            seconds += cpu_seconds(start) - before;
            period = replay.period().map(|period| period.length());
            runs += 1;
        }
        let per_second = cycles as f64 / seconds;
        println!(
            "{name}: {samples} samples, period {period:?} samples and edges: {:.3} ms of CPU per sample, {per_second:.3e} \
             cycles/s, {:.0} times tick by tick",
            seconds * 1e3 / (runs * samples) as f64,
            per_second * plain
        );
    }
}

/// Strikes on registers, uniform over bits and edges of three samples: what differs from a recorded run, against whole
/// runs tick by tick.
fn strikes(name: &str, accelerator: &Accelerator, pipeline: &Arc<Pipeline>) {
    const STRIKES: u64 = 500;
    const WHOLE_RUNS: usize = 5;
    let accelerator = Arc::new(accelerator.clone());
    let network = accelerator.network();
    let inputs = vec![1; 3 * network.tensor(network.input).len()];
    let total = cycle::run(pipeline, &accelerator, &inputs, &[], Settings::default())
        .timing
        .total;
    let bound = 2 * total + 1000;
    let start = Instant::now();
    let recording = Recording::new(pipeline, &inputs, bound).expect("the run ends");
    let recorded = start.elapsed().as_secs_f64();
    let targets = Targets::of(Arc::clone(&accelerator), pipeline);
    let drawn = draw_strikes(&targets, &RegisterClass::ALL, total, STRIKES, 1);
    let mut times: Vec<f64> = drawn
        .iter()
        .map(|&strike| {
            let start = Instant::now();
            let _ = recording.strike(&[strike], bound);
            start.elapsed().as_secs_f64()
        })
        .collect();
    let sum: f64 = times.iter().sum();
    let mut whole: Vec<f64> = drawn[..WHOLE_RUNS]
        .iter()
        .map(|&strike| {
            let settings = Settings {
                bound: Some(bound),
                plain: true,
                ..Settings::default()
            };
            let start = Instant::now();
            let _ = cycle::run(pipeline, &accelerator, &inputs, &[strike], settings);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    whole.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{name}: recorded in {:.1} ms; strike on three samples, median {:.1} us, worst {:.2} ms, {:.0} strikes/s; \
         tick by tick {:.2} ms, {:.0} times the median, {:.0} times the mean",
        recorded * 1e3,
        median * 1e6,
        times[times.len() - 1] * 1e3,
        STRIKES as f64 / sum,
        whole[WHOLE_RUNS / 2] * 1e3,
        whole[WHOLE_RUNS / 2] / median,
        whole[WHOLE_RUNS / 2] / (sum / STRIKES as f64)
    );
}

/// Classes of flips of register bits in all cycles of one sample: every `EVERY`-th bit.
fn classes(name: &str, accelerator: &Accelerator, pipeline: &Arc<Pipeline>) {
    const EVERY: u64 = 499;
    const MOST_SECONDS: f64 = 60.0;
    const BLOCK: u64 = 4096;
    let network = accelerator.network();
    let inputs = vec![1; network.tensor(network.input).len()];
    let output = network.tensor(network.output);
    let setup = Setup {
        order: None,
        readout: Readout::identity(&output.shape),
        loss: Loss::mismatch(),
        gather: None,
        target: None,
        samples: None,
        stated: None,
        labels: None,
        classes: None,
        metrics: Vec::new(),
    };
    let evaluator = Evaluator::new(setup, 1, output.len()).expect("the outputs are its values");
    let selection = RegisterSelection {
        every: EVERY,
        ..RegisterSelection::default()
    };
    let start = Instant::now();
    let classes = RegisterClasses::new(
        Arc::new(accelerator.clone()),
        Arc::clone(pipeline),
        &inputs,
        Arc::new(evaluator),
        (0, selection),
    );
    let classes = match classes {
        Ok(classes) => classes,
        Err(error) => {
            println!("{name}: {error}");
            return;
        }
    };
    let found = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let trials = classes.trials();
    let blocks = trials.div_ceil(BLOCK);
    // Blocks of neighbours all over the classes, as long as there is time.
    let (mut next, mut done, mut by_rule, mut effects) = (0, 0, 0, 0);
    while next < blocks && start.elapsed().as_secs_f64() < MOST_SECONDS {
        let begin = (next * 7919 % blocks) * BLOCK;
        let end = trials.min(begin + BLOCK);
        let struck = classes.block(begin..end, &Silent).expect("nobody stops it");
        for effect in &struck {
            by_rule += u64::from(effect.decided_by == DecidedBy::Rule);
            effects += u64::from(effect.outcome != StrikeOutcome::NoEffect);
        }
        done += end - begin;
        next += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name}: {} of {} register bits in {} cycles: {trials} classes, found in {found:.1} s; {done} of them ({by_rule} \
         by rule, {effects} with an effect) in {seconds:.1} s on {} threads, all bits in {:.0} s at that rate",
        classes.bits().len(),
        pipeline.register_bits(),
        classes.cycles().end - classes.cycles().start,
        rayon::current_num_threads(),
        (found + seconds * trials as f64 / done as f64) * EVERY as f64
    );
}

/// The chain of units that `tests/mvu_chain` holds as SystemVerilog, by Verilator and here.
fn verilator() {
    const SAMPLES: usize = 64;
    const STRUCK_SAMPLES: usize = 3;
    const RUNS: usize = 200;
    const STRIKES: u64 = 2000;
    let chain = Chain::new();
    let folder = tempfile::tempdir().expect("a folder");
    let Some(binary) = chain.built(folder.path()) else {
        println!("skipped: no verilator");
        return;
    };
    let pipeline = Pipeline::new(&chain.accelerator).expect("the pipeline builds");
    let samples = chain.samples(SAMPLES);
    let simulated = chain.simulated(folder.path(), &binary, &samples, [RUNS, 0]);
    let verilator = simulated.free.0 as f64 / simulated.free.1;
    let mut replay = Replay::new(&pipeline, &chain.accelerator).expect("its units are exact");
    let start = Instant::now();
    let mut edges = 0;
    for _ in 0..RUNS {
        edges += replay.run(&samples).expect("enough samples").timing.total;
    }
    let ours = edges as f64 / start.elapsed().as_secs_f64();
    println!(
        "chain of two units, fault-free: Verilator {verilator:.3e} cycles/s, replay {ours:.3e}, {:.0} times",
        ours / verilator
    );
    let samples = chain.samples(STRUCK_SAMPLES);
    let simulated = chain.simulated(folder.path(), &binary, &samples, [1, STRIKES as usize]);
    let verilator = simulated.struck / STRIKES as f64;
    let accelerator = Arc::new(chain.accelerator.clone());
    let total = cycle::run(&pipeline, &accelerator, &samples, &[], Settings::default())
        .timing
        .total;
    let bound = 2 * total + 1000;
    let targets = Targets::of(Arc::clone(&accelerator), &pipeline);
    let drawn = draw_strikes(&targets, &RegisterClass::ALL, total, STRIKES, 1);
    let start = Instant::now();
    let recording = Recording::new(&pipeline, &samples, bound).expect("the run ends");
    for &strike in &drawn {
        let _ = recording.strike(&[strike], bound);
    }
    let ours = start.elapsed().as_secs_f64() / STRIKES as f64;
    println!(
        "chain of two units, {STRIKES} strikes on {STRUCK_SAMPLES} samples: Verilator {:.1} us each, ours {:.1} us each, \
         {:.1} times",
        verilator * 1e6,
        ours * 1e6,
        verilator / ours
    );
}

fn cycles(criterion: &mut Criterion) {
    // `RADSTREAM_BENCH` names one network.
    let chosen = std::env::var("RADSTREAM_BENCH").ok();
    if chosen.is_none() {
        verilator();
    }
    let of_choice = |name: &str| chosen.as_deref().is_none_or(|chosen| chosen == name);
    for (name, network, hardware) in cases().into_iter().filter(|case| of_choice(case.0)) {
        let accelerator = Accelerator::build(&network, &hardware).expect("the hardware file fits");
        let pipeline = Pipeline::new(&accelerator).expect("the pipeline builds");
        let inputs = vec![1; network.tensor(network.input).len()];
        let fast = Settings::default();
        let plain = Settings { plain: true, ..fast };
        let total = cycle::run(&pipeline, &accelerator, &inputs, &[], fast)
            .timing
            .total;
        println!(
            "{name}: {total} cycles for one sample, {} register bits and {} stored bits in {} stages",
            pipeline.register_bits(),
            accelerator.map().total_bits(),
            pipeline.stages().len()
        );
        let seconds = |settings: Settings| {
            let mut times: Vec<f64> = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    let _ = cycle::run(&pipeline, &accelerator, &inputs, &[], settings);
                    start.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[2]
        };
        let (fast_seconds, plain_seconds) = (seconds(fast), seconds(plain));
        println!(
            "{name}: {:.2} ms, {:.3e} cycles/s; tick by tick {:.2} ms, {:.1} times as long",
            fast_seconds * 1e3,
            total as f64 / fast_seconds,
            plain_seconds * 1e3,
            plain_seconds / fast_seconds
        );
        replayed(name, &accelerator, &pipeline, plain_seconds / total as f64);
        strikes(name, &accelerator, &pipeline);
        classes(name, &accelerator, &pipeline);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        group.throughput(Throughput::Elements(total));
        group.bench_function("cycles", |bencher| {
            bencher.iter(|| cycle::run(&pipeline, &accelerator, &inputs, &[], fast));
        });
        group.finish();
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
