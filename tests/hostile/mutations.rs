//! Shipped models, damaged at random with a fixed seed.

use std::path::PathBuf;

use prost::Message;
use radstream::network::import::onnx::proto::{ModelProto, NodeProto, TensorProto};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::judge;
use super::judge::Outcome;

/// A function that judges the bytes of one file.
type Judge = fn(&str, &[u8]) -> Outcome;

fn shipped(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const NETWORKS: [&str; 3] = [
    "digits_medium_ae/encoder.qonnx.onnx",
    "digits_medium_cls/encoder.qonnx.onnx",
    "unet_digits_pruned/unet_digits_pruned.qonnx.onnx",
];

const READOUTS: [&str; 2] = ["digits_medium_ae/readout.onnx", "digits_small_cls/readout.onnx"];

/// A number below `limit`.
fn below(random: &mut ChaCha8Rng, limit: usize) -> usize {
    (random.next_u64() % limit.max(1) as u64) as usize
}

#[test]
fn cut_files_are_refused() {
    let judges: [(&[&str], Judge); 2] = [(&NETWORKS, judge::network), (&READOUTS, judge::readout)];
    for (files, judge) in judges {
        for file in files {
            let bytes = shipped(file);
            judge(file, &bytes).expect("the whole file is sound");
            let mut refused = 0;
            let lengths: Vec<usize> = (0..bytes.len()).step_by(97).collect();
            for &len in &lengths {
                refused += usize::from(judge(&format!("{file} cut to {len}"), &bytes[..len]).is_err());
            }
            // The graph is one length-delimited field; only what follows it may be missing.
            assert!(
                refused + 1 >= lengths.len(),
                "{file}: {refused} of {}",
                lengths.len()
            );
        }
    }
}

#[test]
fn flipped_bytes_are_survived() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let judges: [(&[&str], Judge, usize); 2] = [
        (&NETWORKS[..2], judge::network, 400),
        (&READOUTS, judge::readout, 400),
    ];
    for (files, judge, cases) in judges {
        for file in files {
            let sound = shipped(file);
            for case in 0..cases {
                let mut bytes = sound.clone();
                for _ in 0..1 + below(&mut random, 8) {
                    let at = below(&mut random, bytes.len());
                    bytes[at] = random.next_u32() as u8;
                }
                let _ = judge(&format!("{file}, case {case}"), &bytes);
            }
        }
    }
}

/// Integers that attributes and dimensions do not expect.
const INTEGERS: [i64; 14] = [
    0,
    -1,
    1,
    2,
    3,
    7,
    -2,
    1000,
    65_536,
    1 << 31,
    1 << 40,
    -(1 << 40),
    i64::MAX,
    i64::MIN,
];

/// Reals that parameters do not expect.
const REALS: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.3,
    1e-45,
    1e38,
    -1e38,
    65.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

const OPERATORS: [&str; 43] = [
    "Quant",
    "BipolarQuant",
    "Trunc",
    "MultiThreshold",
    "Conv",
    "ConvTranspose",
    "MatMul",
    "Gemm",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "BatchNormalization",
    "Relu",
    "LeakyRelu",
    "Clip",
    "Sigmoid",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
    "Pad",
    "Transpose",
    "Reshape",
    "Flatten",
    "Unsqueeze",
    "Upsample",
    "TopK",
    "ArgMax",
    "Slice",
    "Gather",
    "Split",
    "Resize",
    "ReduceMean",
    "ReduceMax",
    "Shape",
    "Ceil",
    "Expand",
    "ConstantOfShape",
    "Im2Col",
    "MaxPoolNHWC",
    "QuantAvgPool2d",
];

/// Changes one thing of a model.
fn mutate(model: &mut ModelProto, random: &mut ChaCha8Rng) {
    let Some(graph) = &mut model.graph else { return };
    if graph.node.is_empty() {
        return;
    }
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().chain(&node.output))
        .cloned()
        .collect();
    match below(random, 10) {
        0 => {
            let at = below(random, graph.node.len());
            graph.node.remove(at);
        }
        1 | 2 => {
            let at = below(random, graph.initializer.len());
            tensor(&mut graph.initializer[at], random);
        }
        3 => {
            let dims = graph.input[0]
                .r#type
                .as_mut()
                .and_then(|t| t.tensor_type.as_mut())
                .and_then(|t| t.shape.as_mut());
            if let Some(shape) = dims
                && !shape.dim.is_empty()
            {
                let at = below(random, shape.dim.len());
                shape.dim[at].dim_value = INTEGERS[below(random, INTEGERS.len())];
            }
        }
        4 => {
            let at = below(random, names.len());
            graph.output[0].name.clone_from(&names[at]);
        }
        _ => {
            let at = below(random, graph.node.len());
            node(&mut graph.node[at], &names, random);
        }
    }
}

fn tensor(tensor: &mut TensorProto, random: &mut ChaCha8Rng) {
    match below(random, 4) {
        0 if !tensor.dims.is_empty() => {
            let at = below(random, tensor.dims.len());
            tensor.dims[at] = INTEGERS[below(random, INTEGERS.len())];
        }
        1 => tensor.data_type = below(random, 17) as i32,
        2 => {
            // The same elements under another shape.
            let len = tensor.dims.iter().fold(1, |len: i64, &dim| len.wrapping_mul(dim));
            tensor.dims = match below(random, 4) {
                0 => vec![len],
                1 => vec![1, len],
                2 => vec![len, 1],
                _ => vec![1, 1, len, 1],
            };
        }
        _ => {
            let elements = tensor.raw_data.len() / 4;
            if elements > 0 {
                let at = 4 * below(random, elements);
                let real = REALS[below(random, REALS.len())];
                tensor.raw_data[at..at + 4].copy_from_slice(&real.to_le_bytes());
            }
        }
    }
}

fn node(node: &mut NodeProto, names: &[String], random: &mut ChaCha8Rng) {
    match below(random, 6) {
        0 if !node.input.is_empty() => {
            let at = below(random, node.input.len());
            node.input.remove(at);
        }
        1 if !node.input.is_empty() => {
            let at = below(random, node.input.len());
            node.input[at].clone_from(&names[below(random, names.len())]);
        }
        2 => node.input.push(names[below(random, names.len())].clone()),
        3 => {
            OPERATORS[below(random, OPERATORS.len())].clone_into(&mut node.op_type);
        }
        _ if !node.attribute.is_empty() => {
            let at = below(random, node.attribute.len());
            let attribute = &mut node.attribute[at];
            attribute.i = INTEGERS[below(random, INTEGERS.len())];
            attribute.f = REALS[below(random, REALS.len())];
            match below(random, 3) {
                0 => attribute.ints.push(attribute.i),
                1 => drop(attribute.ints.pop()),
                _ => {
                    if !attribute.ints.is_empty() {
                        let at = below(random, attribute.ints.len());
                        attribute.ints[at] = attribute.i;
                    }
                }
            }
        }
        _ => node.output[0].clone_from(&names[below(random, names.len())]),
    }
}

#[test]
fn rewired_models_are_survived() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let judges: [(&[&str], Judge, usize); 3] = [
        (&NETWORKS[..2], judge::network, 1000),
        (&NETWORKS[2..], judge::network, 100),
        (&READOUTS, judge::readout, 1000),
    ];
    for (files, judge, cases) in judges {
        for file in files {
            let sound = ModelProto::decode(shipped(file).as_slice()).expect("a model");
            for case in 0..cases {
                let mut model = sound.clone();
                for _ in 0..1 + below(&mut random, 3) {
                    mutate(&mut model, &mut random);
                }
                let _ = judge(&format!("{file}, case {case}"), &model.encode_to_vec());
            }
        }
    }
}
