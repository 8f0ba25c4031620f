//! Models as the tests of campaigns need them.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use radstream::accelerator::{Accelerator, Hardware, StoredBit};
use radstream::model::{Description, Files, Settings, Workload, load_network};
use radstream::network::Network;
use radstream::network::import::ImportOptions;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A shipped model's folder.
pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// All shipped models.
pub const MODELS: [&str; 8] = [
    "digits_small_ae",
    "digits_small_cls",
    "digits_medium_ae",
    "digits_medium_cls",
    "digits_large_ae",
    "digits_large_cls",
    "unet_digits",
    "unet_digits_pruned",
];

/// A shipped model on the default hardware with its first samples.
pub fn workload(name: &str, samples: usize) -> (Arc<Accelerator>, Workload) {
    workload_on(name, samples, &Hardware::default())
}

/// A shipped model on some hardware with its first samples.
pub fn workload_on(name: &str, samples: usize, hardware: &Hardware) -> (Arc<Accelerator>, Workload) {
    let files = Files::Folder(model(name));
    let description = Description::read(&files).expect("a description");
    let settings = Settings {
        limit: Some(samples),
        ..Settings::of(&description, &files)
    };
    let network =
        load_network(&files, Path::new(&description.network), &ImportOptions::default()).expect("a network");
    let accelerator = Accelerator::build(&network, hardware).expect("an accelerator");
    let workload = Workload::load(accelerator.network(), &settings).expect("a workload");
    (Arc::new(accelerator), workload)
}

/// Random mantissas of the input's type.
pub fn random_input(network: &Network, random: &mut ChaCha8Rng) -> Vec<i64> {
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    (0..tensor.len())
        .map(|_| {
            loop {
                let mantissa = random.random_range(low..=high);
                if tensor.encoding.contains(mantissa) {
                    break mantissa as i64;
                }
            }
        })
        .collect()
}

/// Hits on random stored bits.
pub fn random_bits(accelerator: &Accelerator, count: u64, random: &mut ChaCha8Rng) -> Vec<StoredBit> {
    let total = accelerator.map().total_bits();
    (0..count)
        .map(|_| StoredBit(random.random_range(0..total)))
        .collect()
}

/// Whether the long form of a test was asked for.
pub fn full() -> bool {
    std::env::var("RADSTREAM_FULL_GOLDEN").is_ok_and(|value| value == "1")
}
