//! Import of hls4ml networks and their evaluation, against hls4ml's own C++ emulation.

mod common;
mod hls4ml_common;

use std::path::Path;

use radstream::network::import::fml;
use radstream::simulate::functional::{Parameters, evaluate};
use rayon::prelude::*;

use hls4ml_common::{Golden, folders};

/// Samples per network in an ordinary run; all of them where `RADSTREAM_FULL_GOLDEN` is 1.
fn sample_limit(network: &radstream::network::Network) -> usize {
    if std::env::var("RADSTREAM_FULL_GOLDEN").is_ok_and(|value| value == "1") {
        return usize::MAX;
    }
    let work: usize = network.params.iter().map(|param| param.values.len()).sum();
    if work > 10_000 { 2 } else { 20 }
}

/// Compares every traced value of every network below a folder; returns how many there were.
fn compare_all(parent: &Path) -> usize {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for folder in folders(parent) {
        let start = std::time::Instant::now();
        let network = fml::read(&folder.join("model.fml"))
            .unwrap_or_else(|error| panic!("{error} (expected {}; {})", error.expected, error.repair));
        let golden = hls4ml_common::read(&folder, &network);
        let (values, differences) = compare(&network, &golden, sample_limit(&network));
        eprintln!(
            "{}: {values} values, {} tensors with differences, {:?}",
            folder.display(),
            differences.len(),
            start.elapsed()
        );
        compared += values;
        wrong.extend(differences.into_iter().map(|text| format!("{}: {text}", folder.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    compared
}

fn compare(
    network: &radstream::network::Network,
    golden: &Golden,
    limit: usize,
) -> (usize, Vec<String>) {
    let parameters = Parameters::of(network);
    let samples = golden.inputs.len().min(limit);
    let results: Vec<_> = golden.inputs[..samples]
        .par_iter()
        .enumerate()
        .map(|(sample, input)| {
            let trace = evaluate(network, &parameters, input);
            let mut values = 0;
            let mut differences = Vec::new();
            for (position, (key, tensor, rows)) in golden.traces.iter().enumerate() {
                let Some(expected) = rows.get(sample) else {
                    continue;
                };
                let actual = trace.tensor(*tensor);
                assert_eq!(actual.len(), expected.len(), "{key}");
                values += expected.len();
                let first = (0..expected.len()).find(|&at| actual[at] != expected[at]);
                if let Some(at) = first {
                    let count = (0..expected.len()).filter(|&at| actual[at] != expected[at]).count();
                    differences.push((
                        position,
                        format!("sample {sample}, {count} values, first [{at}]: {} instead of {}", actual[at], expected[at]),
                    ));
                }
            }
            (values, differences)
        })
        .collect();
    let mut values = 0;
    let mut first_of = vec![None; golden.traces.len()];
    for (count, differences) in results {
        values += count;
        for (position, text) in differences {
            first_of[position].get_or_insert(text);
        }
    }
    let texts = first_of
        .into_iter()
        .enumerate()
        .filter_map(|(position, text)| text.map(|text| format!("{}: {text}", golden.traces[position].0)))
        .collect();
    (values, texts)
}

#[test]
fn every_traced_value_of_the_networks_beside_the_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hls4ml");
    let compared = compare_all(&folder);
    eprintln!("{compared} values compared");
    assert!(compared > 0, "nothing was compared");
}

#[test]
fn every_traced_value_of_the_golden_networks() {
    let Some(data) = common::shared_data() else {
        return;
    };
    for part in ["hls4ml", "econt/hls4ml", "cifar10/hls4ml"] {
        let folder = data.join(part);
        if !folder.is_dir() {
            eprintln!("skipped: no {}", folder.display());
            continue;
        }
        let compared = compare_all(&folder);
        eprintln!("{part}: {compared} values compared");
        assert!(compared > 0, "{}: nothing was compared", folder.display());
    }
}
