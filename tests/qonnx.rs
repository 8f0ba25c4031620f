//! QONNX networks against golden outputs that other evaluators computed.

mod common;
mod qonnx_common {
    pub mod single_precision;
}

use std::path::Path;

use qonnx_common::single_precision;

use radstream::data::{self, Array, Source};
use radstream::fixed_point::Cast;
use radstream::model::{Files, Located, Settings, Workload};
use radstream::network::import::qonnx;
use radstream::network::{Encoding, Network, ParamKind};
use radstream::outcome::Scratch;
use radstream::simulate::functional::{Parameters, Trace, evaluate};

fn array(file: &Path, key: &str) -> Array {
    let key = (!key.is_empty()).then(|| key.to_owned());
    data::read(&Source {
        file: file.to_owned(),
        key,
    })
    .expect("golden data")
}

/// Real samples as mantissas: the reals of the golden files are exact in every format's source.
fn quantize(network: &Network, values: &[f64]) -> Vec<i64> {
    let Encoding::Fixed(format) = network.tensor(network.input).encoding else {
        panic!("a fixed-point input")
    };
    let cast = Cast::new(40, &format);
    values
        .iter()
        .map(|&value| cast.apply((value * 2f64.powi(40)) as i128) as i64)
        .collect()
}

/// Number of differing outputs over the first samples.
fn differences(network: &Network, inputs: &[Vec<i64>], golden: &[i64]) -> usize {
    let parameters = Parameters::of(network);
    let outputs = network.tensor(network.output).len();
    let mut wrong = 0;
    for (sample, input) in inputs.iter().enumerate() {
        let trace = evaluate(network, &parameters, input);
        let output = trace.tensor(network.output);
        wrong += output
            .iter()
            .zip(&golden[sample * outputs..][..outputs])
            .filter(|(a, b)| a != b)
            .count();
    }
    wrong
}

fn rows(values: &[f64], len: usize) -> impl Iterator<Item = &[f64]> {
    values.chunks_exact(len)
}

#[test]
fn digits_encoders_equal_the_golden_outputs() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    for name in [
        "small_ae",
        "small_cls",
        "medium_ae",
        "medium_cls",
        "large_ae",
        "large_cls",
    ] {
        let folder = shared.join("digits").join(name);
        let network = qonnx::read(&folder.join("encoder.qonnx.onnx")).expect("a network");
        let golden = folder.join("golden_test360.npz");
        let x = array(&golden, "x").reals();
        let inputs: Vec<Vec<i64>> = rows(&x, 64).map(|row| quantize(&network, row)).collect();
        assert_eq!(inputs.len(), 360);
        assert_eq!(
            differences(&network, &inputs, &array(&golden, "z").integers().unwrap()),
            0,
            "{name}"
        );
    }
}

#[test]
fn econt_encoders_equal_the_golden_outputs() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    for (name, frac) in [("small", 13), ("medium", 8), ("large", 10)] {
        let network = qonnx::read(&shared.join(format!("econt/econt_{name}.qonnx.onnx"))).expect("a network");
        assert_eq!(network.tensor(network.output).encoding.frac(), frac);
        let x = array(&shared.join("econt/hgcal_3500.npz"), "x").reals();
        let inputs: Vec<Vec<i64>> = rows(&x, 64).map(|row| quantize(&network, row)).collect();
        assert_eq!(inputs.len(), 3500);
        let golden = array(&shared.join(format!("econt/econt_{name}_golden_out.npy")), "");
        assert_eq!(
            differences(&network, &inputs, &golden.integers().unwrap()),
            0,
            "{name}"
        );
    }
}

fn cnv_inputs(shared: &Path, count: usize) -> Vec<Vec<i64>> {
    let codes = array(&shared.join("cnv/cifar10_test1000.npz"), "input_codes_i8")
        .take(count)
        .integers()
        .unwrap();
    codes.chunks_exact(32 * 32 * 3).map(<[i64]>::to_vec).collect()
}

#[test]
fn finn_networks_equal_outputs_and_traces() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let inputs = cnv_inputs(&shared, 2);
    for name in ["cnvW1A1", "cnvW2A2"] {
        let network = qonnx::read(&shared.join(format!("cnv/{name}.qonnx.onnx"))).expect("a network");
        let golden = array(&shared.join("cnv/cifar10_test1000.npz"), &format!("{name}_out64"))
            .integers()
            .unwrap();
        assert_eq!(differences(&network, &inputs, &golden), 0, "{name}");
        let parameters = Parameters::of(&network);
        let traces: Vec<Trace> = inputs
            .iter()
            .map(|input| evaluate(&network, &parameters, input))
            .collect();
        for layer in 0..8 {
            let golden = array(
                &shared.join(format!("cnv/{name}.trace4.npz")),
                &format!("L{layer}_out"),
            );
            let values = golden.integers().unwrap();
            let len: usize = golden.shape[1..].iter().product();
            let wanted = match layer {
                1 | 3 => format!("MaxPool_{layer}"),
                0..=5 => format!("Conv_{layer}"),
                _ => format!("MatMul_{layer}"),
            };
            let id = network
                .layer(network.layer_named(&wanted).expect("a layer"))
                .output;
            for (sample, trace) in traces.iter().enumerate() {
                assert_eq!(
                    trace.tensor(id),
                    &values[sample * len..][..len],
                    "{name} {wanted}"
                );
            }
        }
    }
}

#[test]
fn cifar10_networks_equal_the_exact_logits() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let images = array(&shared.join("cnv/cifar10_test1000.npz"), "images_u8")
        .take(4)
        .reals();
    let cases = [
        (
            "cifar10_rn07_fkeras.qonnx.onnx",
            "cifar10_rn07_fkeras_exact_logits_first1000.npy",
        ),
        (
            "cifar10_rn07_fkeras_submuladd.qonnx.onnx",
            "cifar10_rn07_fkeras_golden_logits_first1000.npy",
        ),
    ];
    for (file, golden) in cases {
        let network = qonnx::read(&shared.join("cifar10").join(file)).expect("a network");
        let pixels: Vec<f64> = images.iter().map(|value| value / 256.0).collect();
        let inputs: Vec<Vec<i64>> = rows(&pixels, 3072).map(|row| quantize(&network, row)).collect();
        let golden = array(&shared.join("cifar10").join(golden), "");
        let frac = network.tensor(network.output).encoding.frac();
        let golden: Vec<i64> = golden.integers().unwrap_or_else(|| {
            golden
                .reals()
                .iter()
                .map(|value| (value * 2f64.powi(frac)) as i64)
                .collect()
        });
        assert_eq!(differences(&network, &inputs, &golden), 0, "{file}");
    }
}

#[test]
fn u_nets_equal_outputs_and_traces() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    for name in ["unet_digits", "unet_digits_pruned"] {
        let folder = shared.join("unet").join(name);
        let network = qonnx::read(&folder.join(format!("{name}.qonnx.onnx"))).expect("a network");
        let golden = folder.join("golden_small.npz");
        let x = array(&golden, "x").take(1).integers().unwrap();
        let trace = evaluate(&network, &Parameters::of(&network), &x);
        let out = array(&golden, "out20").take(1).integers().unwrap();
        assert_eq!(trace.tensor(network.output), out, "{name}");
        let mut compared = 0;
        for node in &network.nodes {
            let id = node.output;
            let key = data::read(&Source {
                file: golden.clone(),
                key: Some(format!("trace_{}", node.name)),
            });
            if let Ok(golden) = key {
                assert_eq!(
                    trace.tensor(id),
                    golden.integers().unwrap(),
                    "{name} {}",
                    node.name
                );
                compared += 1;
            }
        }
        assert!(compared > 25, "{compared} traces");
    }
}

/// Values of shape `[channels][..]` with the channels behind the others.
fn channels_last(values: &[f64], shape: &[usize]) -> (Vec<f64>, Vec<usize>) {
    let pixels: usize = shape[1..].iter().product();
    let moved = (0..values.len()).map(|at| values[at % shape[0] * pixels + at / shape[0]]);
    (moved.collect(), [&shape[1..], &shape[..1]].concat())
}

/// Forms of operators in several operator sets: small networks with outputs of another evaluator.
#[test]
fn forms_of_operator_sets_equal_their_outputs() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let forms = ["pad18_axes", "resize10", "resize18_axes", "slice", "upsample7"];
    let cases = forms.map(|name| format!("operator-set-forms/{name}"));
    for case in cases
        .iter()
        .map(String::as_str)
        .chain(["flatten-negative-axis/net"])
    {
        let file = shared.join("field").join(format!("{case}.npz"));
        let network = qonnx::read(&file.with_extension("onnx")).unwrap_or_else(|error| panic!("{error:?}"));
        let parameters = Parameters::of(&network);
        let (x, expected) = (array(&file, "x"), array(&file, "expected"));
        let sample = |array: &Array, tensor: &[usize], at: usize| {
            let len: usize = array.shape[1..].iter().product();
            let row = array.reals()[at * len..][..len].to_vec();
            if array.shape[1..] == *tensor {
                return row;
            }
            let (row, shape) = channels_last(&row, &array.shape[1..]);
            assert_eq!(shape, tensor, "{case}");
            row
        };
        let (input, output) = (network.tensor(network.input), network.tensor(network.output));
        let unit = output.scale * 2f64.powi(-output.encoding.frac());
        for at in 0..x.shape[0] {
            let codes: Vec<i64> = sample(&x, &input.shape, at)
                .iter()
                .map(|value| value / input.scale)
                .flat_map(|value| quantize(&network, &[value]))
                .collect();
            let trace = evaluate(&network, &parameters, &codes);
            let found: Vec<f64> = trace
                .tensor(network.output)
                .iter()
                .map(|&mantissa| mantissa as f64 * unit)
                .collect();
            assert_eq!(found, sample(&expected, &output.shape, at), "{case}, sample {at}");
        }
    }
}

/// An array of a file of golden data.
fn located(file: &Path, key: &str) -> Option<Located> {
    let source = Source {
        file: file.to_owned(),
        key: Some(key.to_owned()).filter(|key| !key.is_empty()),
    };
    Some(Located {
        files: Files::Folder("".into()),
        source,
    })
}

#[test]
fn flat_rows_are_in_the_order_of_the_file() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let folder = shared.join("field/flat-rows-in-file-order");
    for name in ["mlp", "mlp_other", "conv"] {
        let network = qonnx::read(&folder.join(format!("{name}.onnx"))).expect("a network");
        let data = folder.join(format!("{name}.npz"));
        let expected = array(&data, "expected");
        let len: usize = expected.shape[1..].iter().product();
        let output = network.tensor(network.output);
        // The network's outputs are channels last, the file's channels first.
        let pixels = if name == "conv" {
            expected.shape[2] * expected.shape[3]
        } else {
            1
        };
        let parameters = Parameters::of(&network);
        for key in ["x", "flat"] {
            let settings = Settings {
                inputs: located(&data, key),
                ..Settings::default()
            };
            let inputs = Workload::inputs(&network, &settings).expect("samples");
            assert_eq!(
                inputs.note.is_some(),
                (name, key) == ("conv", "flat"),
                "{name} {key}"
            );
            for (sample, codes) in inputs.mantissas.chunks_exact(75).enumerate() {
                let trace = evaluate(&network, &parameters, codes);
                let got = trace.tensor(network.output);
                for (at, value) in expected.reals()[sample * len..][..len].iter().enumerate() {
                    let (channel, pixel) = (at / pixels, at % pixels);
                    let mantissa = got[pixel * (len / pixels) + channel];
                    assert_eq!(output.value_of(mantissa), *value, "{name} {key} {sample} {at}");
                }
            }
        }
    }
}

#[test]
fn inputs_and_constants_of_networks_as_people_have_them() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    for name in ["bn-behind-unsqueeze/net", "input-zero-point/int4_narrow_zp"] {
        let (found, expected) = (outputs_of(&shared, name), expected_of(&shared, name));
        assert_eq!(found, expected, "{name}");
    }
}

/// The values of a field case's outputs.
fn outputs_of(shared: &Path, name: &str) -> Vec<f64> {
    let file = |ending: &str| shared.join("field").join(format!("{name}.{ending}"));
    let network = qonnx::read(&file("onnx")).expect("a network");
    let parameters = Parameters::of(&network);
    let inputs = network
        .quantize_inputs(&array(&file("npz"), "x").reals())
        .expect("mantissas");
    let output = network.tensor(network.output);
    inputs
        .chunks(network.tensor(network.input).len())
        .flat_map(|input| {
            let trace = evaluate(&network, &parameters, input);
            let values = trace.tensor(network.output).iter();
            values
                .map(|&mantissa| output.value_of(mantissa))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn expected_of(shared: &Path, name: &str) -> Vec<f64> {
    array(&shared.join("field").join(format!("{name}.npz")), "expected").reals()
}

/// The file's arithmetic on rationals gives every output; the executor's single precision gives what its roundings
/// allow around that, which is another integer on both sides of a tie only.
#[test]
fn zero_points_of_the_input_are_exact_and_single_precision_leaves_them_at_ties_only() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    for name in ["input-zero-point/uint8_zp128", "input-zero-point/int4_narrow_zp"] {
        let folder = shared.join("field");
        let graph = single_precision::graph(&folder.join(format!("{name}.onnx")));
        let samples = array(&folder.join(format!("{name}.npz")), "x");
        let (found, expected) = (outputs_of(&shared, name), expected_of(&shared, name));
        let exact: Vec<_> = rows(&samples.reals(), samples.shape[1])
            .flat_map(|sample| single_precision::evaluate(&graph, sample))
            .collect();
        assert_eq!(
            (found.len(), expected.len()),
            (exact.len(), exact.len()),
            "{name}"
        );
        for (at, output) in exact.iter().enumerate() {
            assert_eq!(output.exact(), found[at], "{name} {at}");
            assert!(
                output.allows(expected[at]),
                "{name} {at}: {output:?} {}",
                expected[at]
            );
        }
    }
}

#[test]
fn an_identity_with_its_input_as_target_loses_nothing() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let folder = shared.join("field/ae-default-target-layout");
    let network = qonnx::read(&folder.join("identity.onnx")).expect("a network");
    let data = folder.join("data.npz");
    for readout in [None, located(&folder.join("readout.onnx"), "")] {
        for target in [None, located(&data, "t")] {
            let settings = Settings {
                inputs: located(&data, "x"),
                readout: readout.clone(),
                target: target.clone(),
                loss: Some("mse".to_owned()),
                ..Settings::default()
            };
            let workload = Workload::load(&network, &settings).expect("a workload");
            let trace = evaluate(&network, &Parameters::of(&network), &workload.inputs);
            let output = network.tensor(network.output);
            let outputs = trace.tensor(network.output).iter();
            let values: Vec<f64> = outputs.map(|&mantissa| output.value_of(mantissa)).collect();
            let outcome = workload
                .evaluator
                .evaluate(0, &values, false, &mut Scratch::default());
            assert_eq!(outcome.loss, 0.0, "{readout:?} {target:?}");
        }
    }
}

/// Stored bits by tensor.
fn stored_bits(network: &Network, kind: ParamKind) -> usize {
    let params = network.params.iter().filter(|param| param.kind == kind);
    params
        .map(|param| param.values.len() * param.encoding.width() as usize)
        .sum()
}

#[test]
fn biases_of_any_scale_are_stored() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let folder = shared.join("field/quantized-bias-lost");
    for name in ["pow2", "brevitas", "own_scale"] {
        let network = qonnx::read(&folder.join(format!("{name}.onnx"))).expect("a network");
        assert_eq!(stored_bits(&network, ParamKind::Weight), 120, "{name}");
        assert_eq!(stored_bits(&network, ParamKind::Bias), 80, "{name}");
    }
    let file = shared.join("field/bias-scale-is-product/bias_scale_is_product.onnx");
    let network = qonnx::read(&file).expect("a network");
    let biases = network
        .params
        .iter()
        .filter(|param| param.kind == ParamKind::Bias);
    assert!(biases.count() >= 1, "the last bias is stored");
}

#[test]
fn a_weight_on_a_tie_of_single_precision() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let network =
        qonnx::read(&shared.join("field/weight-float32-tie/weight_f32_tie.onnx")).expect("a network");
    let trace = evaluate(&network, &Parameters::of(&network), &[1]);
    assert_eq!(trace.tensor(network.output), [2]);
}
