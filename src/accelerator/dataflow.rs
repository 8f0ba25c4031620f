//! How the stages of the accelerator are coupled and timed: FIFOs, loops, weight streams, rates at
//! the ends.

use serde::{Deserialize, Serialize};

use super::hardware::{Hardware, Problem, WindowGenerator};
use crate::network::{LayerId, Network};

/// Depth of the FIFOs in front of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FifoDepth {
    /// Deep enough that the FIFO never holds up the fault-free run; found by simulating it.
    Auto,
    /// So many words.
    Words(u32),
}

/// The loop of a layer that is built by high-level synthesis, as its report states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopTiming {
    /// Cycles between the starts of two iterations (`II` of the report).
    pub initiation_interval: u32,
    /// Cycles of one iteration (`Iteration Latency` of the report).
    pub iteration_latency: u32,
}

/// Where a FINN-style matrix product finds its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightMemory {
    /// Inside the unit.
    #[default]
    Embedded,
    /// In a memory of its own that streams one word per cycle.
    Decoupled,
}

/// Rate and width at an end of the accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamEnd {
    /// Elements per word; otherwise what the first layer takes or the last one hands out.
    pub lanes: Option<u32>,
    /// Cycles per word at least.
    pub interval: u32,
}

impl Default for StreamEnd {
    fn default() -> Self {
        Self {
            lanes: None,
            interval: 1,
        }
    }
}

/// What the hardware file says about one layer's place in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerDataflow {
    /// The FIFOs in front of it.
    pub fifo: Option<FifoDepth>,
    /// Elements of a word in these FIFOs; otherwise what the stage in front hands out.
    pub fifo_lanes: Option<u32>,
    /// Its loop.
    pub timing: Option<LoopTiming>,
    /// Where its weights are.
    pub weight_memory: WeightMemory,
}

/// How the stages are coupled.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataflow {
    /// Which sliding window generator feeds the convolutions.
    pub window_generator: WindowGenerator,
    /// The input.
    pub input: StreamEnd,
    /// The output.
    pub output: StreamEnd,
    layers: Vec<LayerDataflow>,
}

impl Dataflow {
    pub(super) fn of(network: &Network, hardware: &Hardware) -> Result<Self, Problem> {
        let end = |field: &'static str, end: StreamEnd| {
            if end.interval == 0 || end.lanes == Some(0) {
                Err(Problem::StreamEnd { field })
            } else {
                Ok(end)
            }
        };
        let layers = network
            .layers
            .iter()
            .map(|layer| {
                let found = LayerDataflow {
                    fifo: hardware.field(&layer.name, |entry| entry.fifo),
                    fifo_lanes: hardware.field(&layer.name, |entry| entry.fifo_lanes),
                    timing: hardware.field(&layer.name, |entry| entry.timing),
                    weight_memory: hardware
                        .field(&layer.name, |entry| entry.weight_memory)
                        .unwrap_or_default(),
                };
                if found.fifo == Some(FifoDepth::Words(0)) || found.fifo_lanes == Some(0) {
                    return Err(Problem::FifoDepth {
                        layer: layer.name.clone(),
                    });
                }
                Ok(found)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            window_generator: hardware.window_generator,
            input: end("input_stream", hardware.input_stream)?,
            output: end("output_stream", hardware.output_stream)?,
            layers,
        })
    }

    /// What is said about a layer.
    #[must_use]
    pub fn layer(&self, layer: LayerId) -> LayerDataflow {
        self.layers[layer.index()]
    }
}
