//! Faults whose effect other programs have computed.

mod common;
mod workload_common;

use std::sync::Arc;

use std::path::Path;

use common::shared_data;
use radstream::accelerator::{Accelerator, Hardware, StoredBit};
use radstream::data::{self, Array, Source, SourceText};
use radstream::fault;
use radstream::network::import::qonnx;
use radstream::outcome::loss::top1;
use radstream::simulate::functional::{Incremental, Plan};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::Value;
use workload_common::full;

fn array(file: &Path, key: &str) -> Array {
    data::read(&Source::parse(&format!("{}:{key}", file.display()))).expect("golden data")
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON")
}

/// A number of the JSON.
fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a whole number")).expect("a small number")
}

/// Predicted class of every pixel.
fn classes(output: &[i64], classes: usize) -> Vec<usize> {
    output
        .chunks_exact(classes)
        .map(|pixel| top1(&pixel.iter().map(|&m| m as f64).collect::<Vec<_>>()))
        .collect()
}

/// One row of the single-flip campaign.
struct Row {
    bit: StoredBit,
    /// Changed pixels of 10,240.
    changed: usize,
}

/// Where element `flat` of the JSON's kernel lies in `[out][ky][kx][in]`.
fn our_element(layer: &Value, flat: usize) -> usize {
    let shape: Vec<usize> = layer["kernel_shape"]
        .as_array()
        .expect("a shape")
        .iter()
        .map(number)
        .collect();
    let [height, width, third, fourth] = shape[..] else {
        panic!("a kernel of four axes")
    };
    let (rest, last) = (flat / fourth, flat % fourth);
    let (rest, middle) = (rest / third, rest % third);
    let (ky, kx) = (rest / width, rest % width);
    assert!(ky < height);
    // Convolutions end with [in][out], transposed ones with [out][in].
    let (out, input, inputs) = if layer["op"] == "conv2d" {
        (last, middle, third)
    } else {
        (middle, last, fourth)
    };
    ((out * height + ky) * width + kx) * inputs + input
}

/// Compares a column of counts with the incremental engine under an accumulator.
fn compare_unet(folder: &Path, name: &str, hardware: &str, column: usize) -> usize {
    let network = qonnx::read(&folder.join(format!("{name}.qonnx.onnx"))).expect("a network");
    let hardware = Hardware::parse(SourceText::new("test", hardware)).expect("a hardware file");
    let accelerator = Accelerator::build(&network, &hardware).expect("an accelerator");
    let described = json(&folder.join(format!("{name}.json")));
    let layers = described["layers"].as_array().expect("layers");
    for layer in layers.iter().filter(|layer| layer["kernel_shape"].is_array()) {
        let id = network
            .layer_named(layer["name"].as_str().expect("a name"))
            .expect("the layer");
        let weight = network
            .param_of(id, radstream::network::ParamKind::Weight)
            .expect("weights");
        for (flat, mantissa) in layer["kernel"].as_array().expect("a kernel").iter().enumerate() {
            let ours = network.param(weight).values[our_element(layer, flat)];
            assert_eq!(mantissa.as_i64(), Some(ours), "{}: element {flat}", layer["name"]);
        }
    }

    let records = array(&folder.join("singleflip_10img.npz"), "rec");
    let values = records.integers().expect("integers");
    let rows: Vec<&[i64]> = values.chunks_exact(6).collect();
    let mut random = ChaCha8Rng::seed_from_u64(column as u64);
    let chosen: Vec<usize> = if full() {
        (0..rows.len()).collect()
    } else {
        sample(&mut random, rows.len(), 300).into_vec()
    };
    let rows: Vec<Row> = chosen
        .iter()
        .map(|&at| {
            let row = rows[at];
            let layer = &layers[row[0] as usize];
            let (tensor, element) = if row[1] == 1 {
                ("weight", our_element(layer, row[2] as usize))
            } else {
                ("bias", row[2] as usize)
            };
            let name = layer["name"].as_str().expect("a name");
            let bit = accelerator.find_logical(name, tensor, element as u64, row[3] as u32);
            Row {
                bit: bit.expect("a stored bit"),
                changed: row[column] as usize,
            }
        })
        .collect();

    let golden = array(&folder.join("golden_test200.npz"), "x").take(10);
    let inputs = network.quantize_inputs(&golden.reals()).expect("mantissas");
    let network = accelerator.network();
    let plan = Arc::new(Plan::new(accelerator.shared_network()));
    let counts: Vec<Vec<usize>> = inputs
        .par_chunks_exact(network.tensor(network.input).len())
        .map(|input| {
            let mut engine = Incremental::new(Arc::clone(&plan));
            engine.load(input);
            let fault_free = classes(engine.output(), 5);
            rows.iter()
                .map(|row| {
                    engine.strike(&fault::changes(&accelerator, &[row.bit]));
                    let faulty = classes(engine.output(), 5);
                    faulty.iter().zip(&fault_free).filter(|(a, b)| a != b).count()
                })
                .collect()
        })
        .collect();
    assert_eq!(counts.len(), 10);
    let wrong: Vec<String> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| {
            let changed: usize = counts.iter().map(|image| image[at]).sum();
            (changed != row.changed).then(|| {
                format!(
                    "{:?}: {changed} pixels, expected {}",
                    accelerator.named(row.bit),
                    row.changed
                )
            })
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    rows.len()
}

#[test]
fn single_flips_of_the_segmentation_networks() {
    let Some(shared) = shared_data() else { return };
    let mut compared = 0;
    for name in ["unet_digits", "unet_digits_pruned"] {
        let folder = shared.join("unet").join(name);
        if !folder.join("singleflip_10img.npz").is_file() {
            continue;
        }
        let wrapping = "Hardware(default: (accumulator: (width: 32, overflow: Wrap)))";
        for (hardware, column) in [("Hardware()", 4), (wrapping, 5)] {
            let start = std::time::Instant::now();
            let rows = compare_unet(&folder, name, hardware, column);
            eprintln!(
                "{name}, column {column}: {rows} rows, 0 differences, {:?}",
                start.elapsed()
            );
            compared += rows;
        }
    }
    assert!(compared >= 600, "no golden single flips were found");
}

#[test]
fn flips_in_the_memories_of_cnv_as_the_vendors_model_sees_them() {
    let Some(shared) = shared_data() else { return };
    let folder = shared.join("cnv");
    let network = qonnx::read(&folder.join("cnvW1A1.qonnx.onnx")).expect("a network");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs/cnvW1A1.ron");
    let hardware = Hardware::read(&file).expect("a hardware file");
    let accelerator = Accelerator::build(&network, &hardware).expect("an accelerator");
    let network = accelerator.network();
    let elements = network.tensor(network.input).len();
    let codes = array(&folder.join("cifar10_test1000.npz"), "input_codes_i8")
        .integers()
        .expect("codes");
    let lists = json(&folder.join("fault_golden_W1A1.json"));
    let lists = lists["cnvW1A1"].as_array().expect("lists");
    assert_eq!(lists.len(), 3);
    // Each image is loaded once and struck with one list after the other.
    let plan = Arc::new(Plan::new(accelerator.shared_network()));
    let images: Vec<usize> = if full() { (0..8).collect() } else { vec![0, 3] };
    images.par_iter().for_each(|&image| {
        let mut engine = Incremental::new(Arc::clone(&plan));
        engine.load(&codes[image * elements..][..elements]);
        for list in lists {
            assert_eq!(number(&list["images"][image]), image);
            let hits = list["faults"].as_array().expect("faults").iter().map(|fault| {
                let layer = &network
                    .layers
                    .iter()
                    .filter(|layer| layer.kind == "Conv" || layer.kind == "MatMul")
                    .nth(number(&fault["layer"]))
                    .expect("a layer")
                    .name;
                let tensor = if fault["kind"] == "w" {
                    "weight"
                } else {
                    "threshold"
                };
                let memory = format!("{layer}.{tensor}.{}", number(&fault["pe"]));
                let found = accelerator.find_physical(
                    &memory,
                    number(&fault["addr"]) as u64,
                    number(&fault["bit"]) as u32,
                );
                found.expect("a stored bit")
            });
            let wrong = fault::wrong_bits(hits.collect::<Vec<_>>());
            engine.strike(&fault::changes(&accelerator, &wrong));
            let golden: Vec<i64> = list["out64"][image]
                .as_array()
                .expect("outputs")
                .iter()
                .filter_map(Value::as_i64)
                .collect();
            assert_eq!(engine.output(), golden, "seed {}, image {image}", list["seed"]);
        }
    });
}
