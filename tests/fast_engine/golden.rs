//! Real networks: the golden outputs of other evaluators.

use std::path::Path;

use radstream::accelerator::{Accelerator, Hardware};
use radstream::data::{Array, Source, read};
use radstream::fault;
use radstream::network::import::{fml, qonnx};
use radstream::network::{InputRule, Network, TensorId};
use radstream::simulate::functional::fast::{Level, Method};
use radstream::simulate::functional::{FastEngine, FastPlan, Parameters, evaluate};
use serde_json::Value;

use crate::common::shared_data;

fn array(file: &Path, key: &str) -> Array {
    let key = (!key.is_empty()).then(|| key.to_owned());
    read(&Source {
        file: file.to_owned(),
        key,
    })
    .expect("golden data")
}

/// All samples where `RADSTREAM_FULL_GOLDEN` is 1, otherwise the first of them.
fn samples(all: usize, some: usize) -> usize {
    if std::env::var("RADSTREAM_FULL_GOLDEN").is_ok_and(|value| value == "1") {
        all
    } else {
        some
    }
}

fn engine(network: &Network) -> FastEngine {
    FastEngine::new(&FastPlan::new(network.clone()), &Parameters::of(network))
}

fn differences(found: &[i64], golden: &[i64]) -> usize {
    assert_eq!(found.len(), golden.len());
    found.iter().zip(golden).filter(|(a, b)| a != b).count()
}

/// The first among the largest.
fn arg_max(values: &[i64]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn right(outputs: &[i64], per_sample: usize, classes: usize, labels: &[i64]) -> usize {
    let samples = outputs.chunks_exact(per_sample).zip(labels);
    samples
        .filter(|(row, label)| arg_max(&row[..classes]) as i64 == **label)
        .count()
}

fn labels(shared: &Path) -> Vec<i64> {
    array(&shared.join("cnv/cifar10_test1000.npz"), "labels")
        .integers()
        .unwrap()
}

#[test]
fn finn_networks_equal_their_64_outputs() {
    let Some(shared) = shared_data() else { return };
    let count = samples(1000, 100);
    let images = shared.join("cnv/cifar10_test1000.npz");
    let codes = array(&images, "input_codes_i8").take(count).reals();
    for (name, accuracy) in [("cnvW1A1", 805), ("cnvW2A2", 853)] {
        let network = qonnx::read(&shared.join(format!("cnv/{name}.qonnx.onnx"))).expect("a network");
        let inputs = network.check_raw_inputs(&codes).expect("input codes");
        let golden = array(&images, &format!("{name}_out64"))
            .take(count)
            .integers()
            .unwrap();
        let outputs = engine(&network).run_all(&inputs);
        assert_eq!(outputs.len(), count * 64);
        assert_eq!(differences(&outputs, &golden), 0, "{name}");
        if count == 1000 {
            assert_eq!(right(&outputs, 64, 10, &labels(&shared)), accuracy, "{name}");
        }
    }
}

#[test]
fn every_level_equals_the_golden_outputs() {
    let Some(shared) = shared_data() else { return };
    let count = 4;
    let images = shared.join("cnv/cifar10_test1000.npz");
    let pixels = array(&images, "images_u8").take(count).reals();
    let pixels: Vec<f64> = pixels.iter().map(|value| value / 256.0).collect();
    let codes = array(&images, "input_codes_i8").take(count).reals();
    let logits = "cifar10/cifar10_rn07_fkeras_exact_logits_first1000.npy";
    let cases = [
        ("cnv/cnvW1A1", array(&images, "cnvW1A1_out64")),
        ("cnv/cnvW2A2", array(&images, "cnvW2A2_out64")),
        ("cifar10/cifar10_rn07_fkeras", array(&shared.join(logits), "")),
    ];
    for (name, golden) in cases {
        let network = qonnx::read(&shared.join(format!("{name}.qonnx.onnx"))).expect("a network");
        let inputs = match network.input_rule {
            InputRule::Quantize | InputRule::Preprocess(_) => network.quantize_inputs(&pixels),
            InputRule::Raw | InputRule::Stated => network.check_raw_inputs(&codes),
        };
        let golden = golden.take(count).integers().unwrap();
        for level in Level::available() {
            let plan = FastPlan::with_level(network.clone(), level);
            let engine = FastEngine::new(&plan, &Parameters::of(&network));
            let outputs = engine.run_all(inputs.as_ref().expect("inputs"));
            assert_eq!(differences(&outputs, &golden), 0, "{name} {level}");
        }
    }
}

/// The products of the networks that speed is measured on are done in their own width, and nothing is
/// left to the plain operations.
#[test]
fn real_networks_need_no_plain_operation() {
    let Some(shared) = shared_data() else { return };
    let cases = [
        ("cnv/cnvW1A1", Method::BitProducts, 8),
        ("cnv/cnvW2A2", Method::ByteColumns, 9),
        ("cifar10/cifar10_rn07_fkeras", Method::ByteColumns, 4),
        ("unet/unet_digits/unet_digits", Method::ByteColumns, 9),
    ];
    for (name, method, count) in cases {
        let network = qonnx::read(&shared.join(format!("{name}.qonnx.onnx"))).expect("a network");
        let plan = FastPlan::with_level(network.clone(), Level::scalar());
        let methods = FastEngine::new(&plan, &Parameters::of(&network)).methods();
        let steps = |wanted| methods.iter().filter(|(_, method)| *method == wanted).count();
        assert_eq!(steps(Method::Plain), 0, "{name}");
        assert!(steps(method) >= count, "{name}: {methods:?}");
    }
}

#[test]
fn finn_networks_equal_their_traces() {
    let Some(shared) = shared_data() else { return };
    let codes = array(&shared.join("cnv/cifar10_test1000.npz"), "input_codes_i8")
        .take(4)
        .reals();
    for name in ["cnvW1A1", "cnvW2A2"] {
        let network = qonnx::read(&shared.join(format!("cnv/{name}.qonnx.onnx"))).expect("a network");
        let inputs = network.check_raw_inputs(&codes).expect("input codes");
        let mut engine = engine(&network);
        for (sample, input) in inputs.chunks_exact(3072).enumerate() {
            engine.run(input);
            for layer in 0..8 {
                let wanted = match layer {
                    1 | 3 => format!("MaxPool_{layer}"),
                    0..=5 => format!("Conv_{layer}"),
                    _ => format!("MatMul_{layer}"),
                };
                let trace = shared.join(format!("cnv/{name}.trace4.npz"));
                let golden = array(&trace, &format!("L{layer}_out"));
                let len: usize = golden.shape[1..].iter().product();
                let id = network
                    .layer(network.layer_named(&wanted).expect("a layer"))
                    .output;
                let values = &golden.integers().unwrap()[sample * len..][..len];
                assert_eq!(engine.tensor(id), values, "{name} {wanted}");
            }
        }
    }
}

#[test]
fn finn_network_under_faults_equals_the_vendors_model() {
    let Some(shared) = shared_data() else { return };
    let network = qonnx::read(&shared.join("cnv/cnvW1A1.qonnx.onnx")).expect("a network");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs/cnvW1A1.ron");
    let accelerator = Accelerator::build(&network, &Hardware::read(&file).unwrap()).unwrap();
    let network = accelerator.network();
    let text = std::fs::read_to_string(shared.join("cnv/fault_golden_W1A1.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let codes = array(&shared.join("cnv/cifar10_test1000.npz"), "input_codes_i8");
    let codes = network.check_raw_inputs(&codes.reals()).unwrap();
    let plan = FastPlan::new(network.clone());
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let mut flips = Vec::new();
    for case in cases["cnvW1A1"].as_array().unwrap() {
        let faults = case["faults"].as_array().unwrap();
        let hits = faults.iter().map(|listed| {
            let layer = number(listed, "layer");
            let operator = if layer < 6 { "Conv" } else { "MatMul" };
            let (pe, word) = (number(listed, "pe"), number(listed, "addr"));
            let threshold = listed["kind"] == "t";
            let tensor = if threshold { "threshold" } else { "weight" };
            let width = if layer == 0 { 24 } else { 16 };
            let step = if threshold { number(listed, "step") } else { 0 };
            let bit = step * width + number(listed, "bit");
            let memory = format!("{operator}_{layer}.{tensor}.{pe}");
            accelerator
                .find_physical(&memory, word, bit as u32)
                .expect("an address")
        });
        let wrong = fault::wrong_bits(hits);
        flips.push(wrong.len());
        let mut parameters = Parameters::of(network);
        for change in fault::changes(&accelerator, &wrong) {
            parameters.replace(change.param, change.element as usize, change.mantissa);
        }
        let mut engine = FastEngine::new(&plan, &parameters);
        let images = case["images"].as_array().unwrap();
        for (image, golden) in images.iter().zip(case["out64"].as_array().unwrap()) {
            let golden: Vec<i64> = golden
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_i64().unwrap())
                .collect();
            let input = &codes[image.as_u64().unwrap() as usize * 3072..][..3072];
            assert_eq!(
                differences(engine.run(input), &golden),
                0,
                "{} flips",
                faults.len()
            );
        }
    }
    assert_eq!(flips, [1, 40, 200]);
}

#[test]
fn cifar10_networks_equal_the_exact_logits() {
    let Some(shared) = shared_data() else { return };
    let count = samples(1000, 100);
    let images = array(&shared.join("cnv/cifar10_test1000.npz"), "images_u8")
        .take(count)
        .reals();
    let pixels: Vec<f64> = images.iter().map(|value| value / 256.0).collect();
    let cases = [
        (
            "cifar10_rn07_fkeras",
            "cifar10_rn07_fkeras_exact_logits_first1000.npy",
        ),
        (
            "cifar10_rn07_fkeras_submuladd",
            "cifar10_rn07_fkeras_golden_logits_first1000.npy",
        ),
    ];
    for (name, golden) in cases {
        let network = qonnx::read(&shared.join(format!("cifar10/{name}.qonnx.onnx"))).expect("a network");
        let inputs = network.quantize_inputs(&pixels).expect("pixels");
        let golden = array(&shared.join("cifar10").join(golden), "").take(count);
        let unit = 2f64.powi(network.tensor(network.output).encoding.frac());
        let golden: Vec<i64> = golden.integers().unwrap_or_else(|| {
            let scaled = golden.reals().into_iter().map(|value| value * unit);
            scaled
                .inspect(|value| assert_eq!(value.fract(), 0.0))
                .map(|value| value as i64)
                .collect()
        });
        let outputs = engine(&network).run_all(&inputs);
        assert_eq!(outputs.len(), count * 10);
        assert_eq!(differences(&outputs, &golden), 0, "{name}");
        if count == 1000 {
            assert_eq!(right(&outputs, 10, 10, &labels(&shared)), 824, "{name}");
        }
    }
}

#[test]
fn cifar10_network_of_hls4ml_equals_its_emulation() {
    let Some(shared) = shared_data() else { return };
    let folder = shared.join("cifar10/hls4ml/cifar10_rn07_fkeras.str_res");
    let network = fml::read(&folder.join("model.fml")).expect("a network");
    let vectors = folder.join("vectors.npz");
    let inputs = network
        .check_raw_inputs(&array(&vectors, "x_raw").reals())
        .expect("inputs");
    let mut engine = engine(&network);
    let golden = array(&vectors, "out_raw").integers().unwrap();
    assert_eq!(differences(&engine.run_all(&inputs), &golden), 0);
    let mut compared = 0;
    for layer in &network.layers {
        let source = Source {
            file: vectors.clone(),
            key: Some(format!("t_{}", layer.name)),
        };
        let Ok(golden) = read(&source) else { continue };
        let (golden, len) = (golden.integers().unwrap(), network.tensor(layer.output).len());
        for (input, golden) in inputs.chunks_exact(3072).zip(golden.chunks_exact(len)).take(2) {
            engine.run(input);
            assert_eq!(
                differences(&engine.tensor(layer.output), golden),
                0,
                "{}",
                layer.name
            );
        }
        compared += 1;
    }
    assert_eq!(compared, 16, "traced layers");
}

#[test]
fn u_nets_equal_outputs_and_traces() {
    let Some(shared) = shared_data() else { return };
    for name in ["unet_digits", "unet_digits_pruned"] {
        let folder = shared.join("unet").join(name);
        let network = qonnx::read(&folder.join(format!("{name}.qonnx.onnx"))).expect("a network");
        // All 200 predictions, and as many logits as there are: the pruned network has a small file only.
        let file = folder.join("golden_small.npz");
        let inputs = network
            .check_raw_inputs(&array(&file, "x").reals())
            .expect("images");
        let mut engine = engine(&network);
        let outputs = engine.run_all(&inputs);
        let predictions: Vec<i64> = outputs.chunks_exact(5).map(|row| arg_max(row) as i64).collect();
        assert_eq!(predictions.len(), 200 * 1024);
        assert_eq!(
            differences(&predictions, &array(&file, "pred").integers().unwrap()),
            0,
            "{name}"
        );
        let golden = array(&file, "out20").integers().unwrap();
        assert_eq!(differences(&outputs[..20 * 5120], &golden), 0, "{name}");
        let all = folder.join("golden_test200.npz");
        if all.exists() {
            assert_eq!(
                differences(&outputs, &array(&all, "out").integers().unwrap()),
                0,
                "{name}"
            );
        }
        engine.run(&inputs[..1024]);
        let mut compared = 0;
        for node in &network.nodes {
            let source = Source {
                file: file.clone(),
                key: Some(format!("trace_{}", node.name)),
            };
            let Ok(golden) = read(&source) else { continue };
            let golden = golden.take(1).integers().unwrap();
            assert_eq!(
                differences(&engine.tensor(node.output), &golden),
                0,
                "{name} {}",
                node.name
            );
            compared += 1;
        }
        assert!(compared > 25, "{compared} traces");
    }
}

/// Every tensor of some samples of every small network equals the plain engine's.
#[test]
fn hls4ml_networks_equal_the_plain_engine() {
    let Some(shared) = shared_data() else { return };
    let mut networks = 0;
    let mut folders: Vec<_> = std::fs::read_dir(shared.join("hls4ml"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let network = fml::read(&folder.join("model.fml")).expect("a network");
        let inputs = array(&folder.join("vectors.npz"), "x_raw").take(3);
        let inputs = network.check_raw_inputs(&inputs.reals()).expect("inputs");
        let parameters = Parameters::of(&network);
        let mut engine = FastEngine::new(&FastPlan::new(network.clone()), &parameters);
        for input in inputs.chunks_exact(network.tensor(network.input).len()) {
            let trace = evaluate(&network, &parameters, input);
            engine.run(input);
            for id in (0..network.tensors.len()).map(TensorId::from) {
                let wanted = trace.tensor(id);
                if !wanted.is_empty() {
                    assert_eq!(
                        engine.tensor(id),
                        wanted,
                        "{} {}",
                        folder.display(),
                        network.tensor(id).name
                    );
                }
            }
        }
        networks += 1;
    }
    assert!(networks > 10, "{networks} networks");
}
