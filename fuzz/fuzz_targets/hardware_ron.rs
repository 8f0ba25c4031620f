//! Any text as a hardware file, and the accelerator that it describes for a small network.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use radstream::accelerator::{Accelerator, Hardware};
use radstream::data::SourceText;
use radstream::network::Network;
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;

fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let bytes = include_bytes!("../../models/digits_medium_ae/encoder.qonnx.onnx");
        let graph = OnnxGraph::parse(Path::new("digits.onnx"), bytes).expect("a shipped model");
        qonnx::import(&graph).expect("a shipped model")
    })
}

fuzz_target!(|text: &str| {
    if let Ok(hardware) = Hardware::parse(SourceText::new("fuzz.ron", text)) {
        let _ = Accelerator::build(network(), &hardware);
    }
});
