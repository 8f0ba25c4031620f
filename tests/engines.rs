//! The incremental engine against plain evaluation: any set of faults, strike after strike.

mod common;
mod hls4ml_common;
mod workload_common;

use std::sync::Arc;

use std::path::Path;

use common::shared_data;
use radstream::accelerator::{Accelerator, Hardware};
use radstream::data::{self, Source};
use radstream::fault;
use radstream::network::Network;
use radstream::network::import::{fml, qonnx};
use radstream::simulate::functional::{
    BatchEngine, BatchPlan, Incremental, Parameters, Plan, Trace, evaluate,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use workload_common::{MODELS, full, random_bits, random_input, workload};

fn equal(network: &Network, engine: &Incremental, trace: &Trace, place: &str) {
    for (index, tensor) in network.tensors.iter().enumerate() {
        assert_eq!(
            engine.tensor(index.into()),
            trace.tensor(index.into()),
            "{place}: tensor `{}`",
            tensor.name
        );
    }
}

/// Strikes with random sets of flips, restores between some of them, and compares every tensor.
fn compare(name: &str, accelerator: &Accelerator, inputs: &[Vec<i64>], sets: usize, seed: u64) {
    let network = accelerator.network();
    let plan = Arc::new(Plan::new(accelerator.shared_network()));
    let mut engine = Incremental::new(plan);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let total = accelerator.map().total_bits();
    let clean = Parameters::of(network);
    let mut effective = 0;
    for input in inputs {
        let fault_free = evaluate(network, &clean, input);
        engine.load(input);
        equal(network, &engine, &fault_free, name);
        for set in 0..sets {
            let most = [1, 2, 6, 40, total / 100 + 1][set % 5].min(total);
            let count = random.random_range(1..=most);
            let wrong = fault::wrong_bits(random_bits(accelerator, count, &mut random));
            let changes = fault::changes(accelerator, &wrong);
            let mut parameters = clean.clone();
            for change in &changes {
                parameters.replace(change.param, change.element as usize, change.mantissa);
            }
            let place = format!("{name}: set {set} of {count} flips");
            let expected = evaluate(network, &parameters, input);
            let changed = engine.strike(&changes);
            equal(network, &engine, &expected, &place);
            let output = network.output;
            assert_eq!(
                changed,
                expected.tensor(output) != fault_free.tensor(output),
                "{place}"
            );
            effective += usize::from(expected != fault_free);
            if random.random() {
                engine.restore();
                equal(network, &engine, &fault_free, &format!("{place}, restored"));
            }
        }
        engine.restore();
        equal(network, &engine, &fault_free, name);
    }
    assert!(effective > 0, "{name}: no set of faults did anything");
    compare_batch(name, accelerator, inputs, sets, seed);
}

/// The same samples side by side against one after the other.
fn compare_batch(name: &str, accelerator: &Accelerator, inputs: &[Vec<i64>], sets: usize, seed: u64) {
    let network = accelerator.network();
    let plan = Arc::new(Plan::new(accelerator.shared_network()));
    let Some(batch) = BatchPlan::new(&plan) else {
        println!("{name}: does not fit the lanes");
        return;
    };
    let mut batch = BatchEngine::new(Arc::new(batch));
    batch.load(&inputs.concat());
    let mut random = ChaCha8Rng::seed_from_u64(seed + 1);
    let total = accelerator.map().total_bits();
    let sets: Vec<_> = (0..sets)
        .map(|set| {
            let most = [1, 1, 6, 40, total / 100 + 1][set % 5].min(total);
            let count = random.random_range(1..=most);
            let wrong = fault::wrong_bits(random_bits(accelerator, count, &mut random));
            fault::changes(accelerator, &wrong)
        })
        .collect();
    let mut found = Vec::new();
    for changes in &sets {
        let mask = batch.strike(changes);
        let outputs = (0..inputs.len()).map(|sample| {
            let mut output = Vec::new();
            batch.output(sample, &mut output);
            output
        });
        found.push((mask, outputs.collect::<Vec<_>>()));
    }
    let mut twin = Incremental::new(plan);
    for (sample, input) in inputs.iter().enumerate() {
        twin.load(input);
        for (set, changes) in sets.iter().enumerate() {
            let changed = twin.strike(changes);
            let (mask, outputs) = &found[set];
            assert_eq!(
                outputs[sample],
                twin.output(),
                "{name}: set {set}, sample {sample}"
            );
            assert_eq!(
                mask >> sample & 1 != 0,
                changed,
                "{name}: set {set}, sample {sample}"
            );
        }
    }
    assert_eq!(network.tensor(network.output).len(), twin.output().len());
}

#[test]
fn shipped_models() {
    MODELS.par_iter().for_each(|name| {
        let (accelerator, workload) = workload(name, 2);
        let elements = accelerator.network().tensor(accelerator.network().input).len();
        let mut inputs: Vec<Vec<i64>> = workload.inputs.chunks(elements).map(<[i64]>::to_vec).collect();
        let segmentation = name.starts_with("unet");
        if segmentation {
            inputs.truncate(1);
        } else {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            inputs.push(random_input(accelerator.network(), &mut random));
        }
        let sets = match (full(), segmentation) {
            (false, true) => 5,
            (false, false) => 25,
            (true, _) => 100,
        };
        compare(name, &accelerator, &inputs, sets, 21);
    });
}

fn compare_fml(folder: &Path, sets: usize) {
    let name = folder.display().to_string();
    let network = fml::read(&folder.join("model.fml")).expect("a network");
    let accelerator = Accelerator::build(&network, &Hardware::default()).expect("an accelerator");
    if accelerator.map().total_bits() == 0 {
        return;
    }
    let mut inputs = hls4ml_common::rows(folder, "x_raw");
    inputs.truncate(2);
    let mut random = ChaCha8Rng::seed_from_u64(2);
    inputs.push(random_input(accelerator.network(), &mut random));
    compare(&name, &accelerator, &inputs, sets, 22);
}

#[test]
fn hls4ml_networks_of_every_layer_kind() {
    let folders = hls4ml_common::folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hls4ml"));
    assert!(folders.len() > 20);
    folders.par_iter().for_each(|folder| compare_fml(folder, 25));
}

#[test]
fn hls4ml_networks_of_the_golden_data() {
    let Some(shared) = shared_data() else { return };
    let folders = hls4ml_common::folders(&shared.join("hls4ml"));
    let stressed = |name: &str| name.starts_with("stress");
    let chosen = [
        "cnn_digits.par_lat_s16",
        "cnn_digits.str_lat_narrow",
        "econ_M.str_res",
        "mlp_jet.par_lat_narrow",
    ];
    folders.par_iter().for_each(|folder| {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        if full() || stressed(&name) || chosen.contains(&name.as_str()) {
            compare_fml(folder, if stressed(&name) { 30 } else { 5 });
        }
    });
}

#[test]
fn convolutional_networks_of_the_golden_data() {
    let Some(shared) = shared_data() else { return };
    let images = shared.join("cnv/cifar10_test1000.npz");
    let array =
        |key: &str| data::read(&Source::parse(&format!("{}:{key}", images.display()))).expect("images");
    let sets = if full() { 10 } else { 3 };
    let cifar = qonnx::read(&shared.join("cifar10/cifar10_rn07_fkeras.qonnx.onnx")).expect("a network");
    let accelerator = Accelerator::build(&cifar, &Hardware::default()).expect("an accelerator");
    // Pixels over 256 are the mantissas of an unsigned 8-bit fraction.
    let pixels = array("images_u8").integers().expect("pixels");
    let elements = cifar.tensor(cifar.input).len();
    compare(
        "cifar10",
        &accelerator,
        &[pixels[elements..2 * elements].to_vec()],
        sets,
        31,
    );

    let cnv = qonnx::read(&shared.join("cnv/cnvW1A1.qonnx.onnx")).expect("a network");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs/cnvW1A1.ron");
    let hardware = Hardware::read(&file).expect("a hardware file");
    let accelerator = Accelerator::build(&cnv, &hardware).expect("an accelerator");
    let codes = array("input_codes_i8").integers().expect("codes");
    compare("cnvW1A1", &accelerator, &[codes[..elements].to_vec()], sets, 32);
}
