//! Any bytes as a QONNX file.

#![no_main]

mod work;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;

fuzz_target!(|bytes: &[u8]| {
    let network = OnnxGraph::parse(Path::new("fuzz.onnx"), bytes).and_then(|graph| qonnx::import(&graph));
    match network {
        Ok(network) => work::evaluate_extremes(&network),
        Err(error) => assert!(!error.expected.is_empty() && !error.repair.is_empty(), "{error:?}"),
    }
});
