//! Hardware configurations from the files of the flows that build accelerators: FINN's folding and hardware
//! configurations, hls4ml's project configuration, and reports of Vitis HLS.

mod csynth;
mod finn;
mod hls4ml;
mod text;

use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use super::hardware::Hardware;
use crate::data::{MOST_OF_NAME, MOST_OF_PROBLEM, shortened};
use crate::network::Network;
pub use text::hardware_text;

/// What a file of a flow says about the hardware of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowHardware {
    /// The hardware.
    pub hardware: Hardware,
    /// Entries that have no counterpart, each with the reason.
    pub unused: Vec<FlowRemark>,
    /// What the file leaves open, and what was taken.
    pub assumed: Vec<FlowRemark>,
}

/// A remark about an entry of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowRemark {
    /// The entry, in the file's words.
    pub entry: String,
    /// The remark, one sentence without the entry.
    pub text: String,
}

/// Why a file says nothing about a network's hardware.
#[derive(Clone, Debug, Error, Diagnostic)]
pub enum FlowError {
    /// The file is none of those that are known.
    #[error("{file}: {}", shortened(problem, MOST_OF_PROBLEM))]
    #[diagnostic(
        code(radstream::flow::form),
        help(
            "expected FINN's folding_config.json, auto_folding_config.json or final_hw_config.json, hls4ml's hls4ml_config.yml, or a csynth.xml or csynth.rpt of Vitis HLS"
        )
    )]
    Form {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The file is about another network.
    #[error("{file}: has {found} of {kind}, the network {expected}")]
    #[diagnostic(
        code(radstream::flow::count),
        help(
            "expected one entry per {kind} of the network, in its order ({}); use the file of the same build, or write the hardware file by hand",
            super::hardware::listed(layers)
        )
    )]
    Count {
        /// The file.
        file: String,
        /// What is counted.
        kind: &'static str,
        /// Entries of the file.
        found: usize,
        /// Layers of the network.
        expected: usize,
        /// Their names.
        layers: Vec<String>,
    },
    /// Which layer an entry is about cannot be told.
    #[error("{file}: {problem}")]
    #[diagnostic(code(radstream::flow::order), help("expected {expected}"))]
    Order {
        /// The file.
        file: String,
        /// What is unclear.
        problem: String,
        /// What would be clear.
        expected: &'static str,
    },
    /// A value that the entry cannot have.
    #[error(
        "{file}: `{}` is `{}`",
        shortened(entry, MOST_OF_NAME),
        shortened(value, MOST_OF_NAME)
    )]
    #[diagnostic(
        code(radstream::flow::value),
        help("expected {expected}; correct the file, or export it again")
    )]
    Value {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// Its value.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
}

/// Reads the text of a flow's file for a network. Which file it is follows from its text.
///
/// Nodes of FINN are matched with layers by the order of their kind, layers of hls4ml by name, functions of a
/// synthesis report by the order of their numbers. Whatever entry is not used is named with the reason.
///
/// # Errors
/// [`FlowError`] where the text is no such file, or not about this network.
pub fn read_flow(file: &str, text: &str, network: &Network) -> Result<FlowHardware, FlowError> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('<') {
        return csynth::read_xml(file, start, network);
    }
    if csynth::is_report(start) {
        return csynth::read_report(file, start, network);
    }
    let form = |problem: String| FlowError::Form {
        file: file.to_owned(),
        problem,
    };
    let value: serde_json::Value = if start.starts_with('{') {
        serde_json::from_str(start).map_err(|error| form(error.to_string()))?
    } else {
        hls4ml::parse(start).map_err(form)?
    };
    let serde_json::Value::Object(entries) = value else {
        return Err(form("holds no entries".to_owned()));
    };
    if hls4ml::is_config(&entries) {
        hls4ml::read(file, &entries, network)
    } else if finn::is_config(&entries) {
        finn::read(file, &entries, network)
    } else {
        Err(form("names no node of FINN and no layer of hls4ml".to_owned()))
    }
}

impl FlowHardware {
    fn unused(&mut self, entry: impl Into<String>, text: impl Into<String>) {
        self.unused.push(FlowRemark {
            entry: entry.into(),
            text: text.into(),
        });
    }

    fn assumed(&mut self, entry: impl Into<String>, text: impl Into<String>) {
        self.assumed.push(FlowRemark {
            entry: entry.into(),
            text: text.into(),
        });
    }

    /// Takes what another file says; where both speak, the other one holds.
    pub fn merge(&mut self, other: Self) {
        let own = &mut self.hardware;
        let Hardware {
            name,
            technology,
            clock_mhz,
            hls4ml,
            layers,
            ..
        } = other.hardware;
        if own.name.is_empty() {
            own.name = name;
        }
        own.technology = technology.or(own.technology.take());
        own.clock_mhz = clock_mhz.or(own.clock_mhz);
        own.hls4ml = hls4ml.or(own.hls4ml);
        for (layer, entry) in layers {
            let known = own.layers.entry(layer).or_default();
            known.folding = entry.folding.or(known.folding);
            known.pe = entry.pe.or(known.pe);
            known.deep_pipeline = entry.deep_pipeline.or(known.deep_pipeline);
            known.window = entry.window.or(known.window);
            known.weights = entry.weights.or(known.weights);
            known.thresholds = entry.thresholds.or(known.thresholds);
            known.fifo = entry.fifo.or(known.fifo);
            known.timing = entry.timing.or(known.timing);
            known.weight_memory = entry.weight_memory.or(known.weight_memory);
        }
        self.unused.extend(other.unused);
        self.assumed.extend(other.assumed);
    }
}
