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
    /// Elements of a word in these FIFOs; otherwise what the stage in front hands out.
    pub fifo_lanes: Option<u32>,
    /// Its loop.
    pub timing: Option<LoopTiming>,
    /// Where its weights are.
    pub weight_memory: WeightMemory,
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
