//! How the stages of the accelerator are coupled and timed: FIFOs, loops, weight streams, rates at
//! the ends.

use serde::Serialize;

use super::hardware::{FifoDepth, Hardware, LoopTiming, Problem, StreamEnd, WeightMemory, WindowGenerator};
use crate::network::{LayerId, Network};

/// What the hardware file says about one layer's place in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerDataflow {
    /// The FIFOs in front of it.
    pub fifo: Option<FifoDepth>,
    /// Whether its own entry states them, not only the one for all layers.
    pub own_fifo: bool,
    /// Elements of a word in these FIFOs; otherwise what the stage in front hands out.
    pub fifo_lanes: Option<u32>,
    /// Its loop.
    pub timing: Option<LoopTiming>,
    /// Where its weights are.
    pub weight_memory: WeightMemory,
    /// Whether its thresholding has a second register behind every step of the search.
    pub deep_pipeline: bool,
}

/// How the stages are coupled.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
                    own_fifo: (hardware.layers.get(&layer.name)).is_some_and(|entry| entry.fifo.is_some()),
                    fifo_lanes: hardware.field(&layer.name, |entry| entry.fifo_lanes),
                    timing: hardware.field(&layer.name, |entry| entry.timing),
                    weight_memory: hardware
                        .field(&layer.name, |entry| entry.weight_memory)
                        .unwrap_or_default(),
                    deep_pipeline: hardware
                        .field(&layer.name, |entry| entry.deep_pipeline)
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
