//! Any bytes as a QONNX file.

#![no_main]

mod work;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;

fuzz_target!(|bytes: &[u8]| {
    let file = Path::new("fuzz.onnx");
    let graph = OnnxGraph::parse(file, bytes);
    // Of several outputs each may leave the chip.
    let outputs = graph.as_ref().map_or_else(|_| Vec::new(), |graph| graph.outputs.clone());
    let chosen = outputs.iter().filter(|_| outputs.len() > 1).take(4);
    let chosen = chosen.map(|output| OnnxGraph::parse_for(file, bytes, Some(&output.name)));
    for graph in chosen.chain([graph]) {
        match graph.and_then(|graph| qonnx::import(&graph)) {
            Ok(network) => work::evaluate_extremes(&network),
            Err(error) => assert!(!error.expected.is_empty() && !error.repair.is_empty(), "{error:?}"),
        }
    }
});
