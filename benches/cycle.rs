//! The cycle engine: clock cycles per second, resting stages skipped against every stage at every edge.
//!
//! The networks of BNN-PYNQ and ECON-T are read from the shared data where they are; the embedded model
//! always runs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use radstream::accelerator::{Accelerator, Hardware};
use radstream::model::{Description, Files, load_network};
use radstream::network::Network;
use radstream::network::import::ImportOptions;
use radstream::simulate::cycle::Pipeline;
use radstream::simulate::cycle::{self, Settings};

fn shared(name: &str) -> Option<Network> {
    let data = std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let file = data.join(name);
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

fn cycles(criterion: &mut Criterion) {
    for (name, network, hardware) in cases() {
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
