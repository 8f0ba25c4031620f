//! Images per second on one core, and their share of the arithmetic peak measured in the same run.
//!
//! The CIFAR-10 and FINN networks come from the shared data; without them only the shipped network is
//! measured.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use radstream::data::{Source, read};
use radstream::network::import::qonnx;
use radstream::network::{Network, Op, TensorId};
use radstream::simulate::functional::{FastEngine, FastPlan, Incremental, Parameters, Plan, evaluate};

#[path = "inference/peak.rs"]
mod peak;

/// A network with samples.
struct Case {
    name: &'static str,
    network: Network,
    inputs: Vec<Vec<i64>>,
}

fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("RADSTREAM_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    println!(
        "skipped: cnvW1A1, cnvW2A2 and the CIFAR-10 CNN: no shared data at {}",
        path.display()
    );
    None
}

fn reals(file: &Path, key: &str) -> Vec<f64> {
    let source = Source {
        file: file.to_owned(),
        key: Some(key.to_owned()),
    };
    read(&source).expect("samples").take(32).reals()
}

fn rows(values: Vec<i64>, network: &Network) -> Vec<Vec<i64>> {
    let len = network.tensor(network.input).len();
    values.chunks_exact(len).map(<[i64]>::to_vec).collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    if let Some(shared) = shared_data() {
        let images = shared.join("cnv/cifar10_test1000.npz");
        for name in ["cnvW1A1", "cnvW2A2"] {
            let network = qonnx::read(&shared.join(format!("cnv/{name}.qonnx.onnx"))).expect("a network");
            let codes = network
                .check_raw_inputs(&reals(&images, "input_codes_i8"))
                .expect("codes");
            cases.push(Case {
                name,
                inputs: rows(codes, &network),
                network,
            });
        }
        let file = shared.join("cifar10/cifar10_rn07_fkeras.qonnx.onnx");
        let network = qonnx::read(&file).expect("a network");
        let pixels: Vec<f64> = reals(&images, "images_u8")
            .iter()
            .map(|value| value / 256.0)
            .collect();
        let inputs = network.quantize_inputs(&pixels).expect("pixels");
        cases.push(Case {
            name: "cifar10_cnn",
            inputs: rows(inputs, &network),
            network,
        });
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits_medium_ae");
    let network = qonnx::read(&folder.join("encoder.qonnx.onnx")).expect("the shipped network");
    let inputs = network
        .quantize_inputs(&reals(&folder.join("data.npz"), "x"))
        .expect("samples");
    cases.push(Case {
        name: "digits_medium_ae",
        inputs: rows(inputs, &network),
        network,
    });
    cases
}

/// Multiplications and additions of one sample: all taps of all outputs, padding included, counted
/// apart for products of bits and others.
fn macs(network: &Network) -> (u64, u64) {
    let (mut bits, mut others) = (0, 0);
    for node in &network.nodes {
        if let Op::Mac(mac) = &node.op {
            let outputs: usize = mac.geometry.output.iter().product();
            let count = (outputs * mac.geometry.taps(mac.groups)) as u64;
            if mac.popcount {
                bits += count;
            } else {
                others += count;
            }
        }
    }
    (bits, others)
}

/// Seconds per sample, the best of several passes over all samples.
fn seconds_per_sample(inputs: &[Vec<i64>], mut run: impl FnMut(&[i64])) -> f64 {
    let mut best = f64::INFINITY;
    let end = Instant::now() + Duration::from_millis(1500);
    while best.is_infinite() || Instant::now() < end {
        let start = Instant::now();
        inputs.iter().for_each(|input| run(input));
        best = best.min(start.elapsed().as_secs_f64() / inputs.len() as f64);
    }
    best
}

fn main() {
    let cases = cases();
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    for case in &cases {
        let network = &case.network;
        let parameters = Parameters::of(network);
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(1));
        let mut next = (0..case.inputs.len()).cycle();
        let mut input = || case.inputs[next.next().expect("samples")].as_slice();
        let mut engine = FastEngine::new(&FastPlan::new(network.clone()), &parameters);
        group.bench_function("fast", |bencher| {
            bencher.iter(|| black_box(engine.run(input()))[0])
        });
        let plan = Arc::new(Plan::new(network.clone()));
        let mut incremental = Incremental::new(plan);
        group.bench_function("incremental_load", |bencher| {
            bencher.iter(|| {
                incremental.load(input());
                black_box(incremental.output())[0]
            });
        });
        group.sample_size(10);
        group.bench_function("plain", |bencher| {
            bencher.iter(|| black_box(evaluate(network, &parameters, input())).tensor(TensorId(0))[0]);
        });
        group.finish();
    }
    criterion.final_summary();

    let peaks = peak::measure();
    println!();
    println!(
        "peaks on one core ({}): {:.0} GMAC/s 8-bit, {:.0} GMAC/s 16-bit, {:.0} Gbit/s xnor-popcount",
        peaks.level,
        peaks.bytes / 1e9,
        peaks.halves / 1e9,
        peaks.bits / 1e9
    );
    for case in &cases {
        let network = &case.network;
        let parameters = Parameters::of(network);
        let mut engine = FastEngine::new(&FastPlan::new(network.clone()), &parameters);
        let fast = seconds_per_sample(&case.inputs, |input| {
            black_box(engine.run(input));
        });
        let plan = Arc::new(Plan::new(network.clone()));
        let mut incremental = Incremental::new(plan);
        let loaded = seconds_per_sample(&case.inputs, |input| incremental.load(input));
        let plain = seconds_per_sample(&case.inputs[..1], |input| {
            black_box(evaluate(network, &parameters, input));
        });
        let (bits, others) = macs(network);
        // The time that the products alone would take at the peak.
        let unit = if engine_uses_bytes(network) {
            peaks.bytes
        } else {
            peaks.halves
        };
        let least = bits as f64 / peaks.bits + others as f64 / unit;
        println!(
            "{}: {:.0} images/s on one core, {:.1} % of peak ({:.2} M bit products, {:.2} M others); \
             {:.0} times incremental load, {:.0} times plain",
            case.name,
            1.0 / fast,
            100.0 * least / fast,
            bits as f64 / 1e6,
            others as f64 / 1e6,
            loaded / fast,
            plain / fast
        );
    }
}

/// Whether all operands of products fit bytes.
fn engine_uses_bytes(network: &Network) -> bool {
    network.nodes.iter().all(|node| match &node.op {
        Op::Mac(mac) => {
            network.param(mac.weight).encoding.width() <= 8
                && network.tensor(node.inputs[0]).encoding.width() <= 8
        }
        _ => true,
    })
}
