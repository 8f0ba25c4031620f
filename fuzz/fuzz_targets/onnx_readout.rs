//! Any bytes as an off-chip readout.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::network::import::onnx::OnnxGraph;
use radstream::outcome::readout::{Readout, Scratch};

/// Longest sample that is worth an evaluation here.
const MOST: usize = 1 << 12;

fuzz_target!(|bytes: &[u8]| {
    let readout =
        OnnxGraph::parse(Path::new("fuzz.onnx"), bytes).and_then(|graph| Readout::from_graph(&graph));
    match readout {
        Ok(readout) if readout.input_len() <= MOST && readout.output_len() <= MOST => {
            let code = vec![1.0; readout.input_len()];
            let _ = readout.evaluate(&code, &mut Scratch::default());
        }
        Ok(_) => {}
        Err(error) => assert!(!error.expected.is_empty() && !error.repair.is_empty(), "{error:?}"),
    }
});
