//! Import of hls4ml networks and their evaluation, against hls4ml's own C++ emulation.

mod common;
mod hls4ml_common;

use std::path::Path;

use radstream::network::import::fml;
use radstream::network::{Op, ParamKind};
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
        wrong.extend(
            differences
                .into_iter()
                .map(|text| format!("{}: {text}", folder.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    compared
}

fn compare(network: &radstream::network::Network, golden: &Golden, limit: usize) -> (usize, Vec<String>) {
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
                    let count = (0..expected.len())
                        .filter(|&at| actual[at] != expected[at])
                        .count();
                    differences.push((
                        position,
                        format!(
                            "sample {sample}, {count} values, first [{at}]: {} instead of {}",
                            actual[at], expected[at]
                        ),
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

#[test]
fn softmax_tables_equal_those_of_the_emulation() {
    let Some(data) = common::shared_data() else {
        return;
    };
    let mut compared = 0;
    for folder in folders(&data.join("hls4ml")) {
        let keys = hls4ml_common::keys(&folder);
        if !keys.iter().any(|key| key == "tab_exp") {
            continue;
        }
        let network = fml::read(&folder.join("model.fml")).expect("a sound file");
        let softmax = network.nodes.iter().find_map(|node| match &node.op {
            Op::Softmax(softmax) => Some(softmax),
            _ => None,
        });
        let softmax = softmax.expect("a softmax layer");
        for (key, table) in [("tab_exp", &softmax.exp_table), ("tab_inv", &softmax.inv_table)] {
            let expected: Vec<i64> = hls4ml_common::rows(&folder, key).concat();
            assert_eq!(table, &expected, "{}: {key}", folder.display());
            compared += expected.len();
        }
    }
    eprintln!("{compared} table entries compared");
    assert!(compared > 0, "no tables were compared");
}

#[test]
fn layers_carry_their_names_shapes_and_build_hints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hls4ml");
    let network = fml::read(&folder.join("conv1d.str_res4/model.fml")).expect("a sound file");
    let id = network.layer_named("c1").expect("the layer");
    let layer = network.layer(id);
    assert_eq!(layer.kind, "Conv1D");
    assert_eq!(layer.hints.strategy.as_deref(), Some("resource"));
    assert_eq!(layer.hints.reuse_factor, Some(3));
    assert_eq!(layer.hints.io_type.as_deref(), Some("io_stream"));
    let weight = network.param(network.param_of(id, ParamKind::Weight).expect("weights"));
    assert_eq!(weight.shape, [4, 1, 3, 3]);

    // The same weights whatever the strategy, and no bias where Keras has none.
    let other = fml::read(&folder.join("conv1d.par_lat1/model.fml")).expect("a sound file");
    let id = other.layer_named("c1").expect("the layer");
    let same = other.param(other.param_of(id, ParamKind::Weight).expect("weights"));
    assert_eq!(same.shape, weight.shape);
    let id = other.layer_named("c2").expect("the layer");
    assert!(other.param_of(id, ParamKind::Weight).is_some());
    assert!(other.param_of(id, ParamKind::Bias).is_none());
}
