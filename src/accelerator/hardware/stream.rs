//! What a hardware file says about FIFOs, loops, weight streams and the ends of the accelerator.

use serde::{Deserialize, Serialize};

/// Depth of the FIFOs in front of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FifoDepth {
    /// Deep enough that the FIFO never holds up the fault-free run; found by simulating it. Under FINN's target, where
    /// it is the depth of the FIFOs in front of a layer: FIFOs in front of all its units, as deep as FINN's automatic
    /// sizing makes them.
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

/// How words pass between the functions of hls4ml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoType {
    /// Arrays (`io_parallel`).
    Parallel,
    /// Streams of pixels (`io_stream`).
    Stream,
}

/// The synthesis tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HlsTool {
    /// Vivado HLS.
    Vivado,
    /// Vitis HLS.
    Vitis,
}

/// How hls4ml's project is built, as far as the network file does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hls4mlBuild {
    /// How words pass between functions; otherwise as the network file says, or in arrays.
    pub io_type: Option<IoType>,
    /// The tool; otherwise that of the network file's backend, or Vitis HLS.
    pub tool: Option<HlsTool>,
    /// Year and number of the tool's version: `(2022, 2)`.
    pub version: Option<(u16, u16)>,
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

/// The sliding window generator in front of a FINN convolution, and the padding in front of that. What is
/// not given follows from the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowUnit {
    /// Channels of a word (SIMD of FINN's `ConvolutionInputGenerator`); divides the input channels.
    pub simd: Option<u32>,
    /// Whether it offers all taps of a window at once (`parallel_window`), which takes all channels in one
    /// word unless the layer is depthwise or its kernel one pixel.
    pub parallel: Option<bool>,
    /// Channels of a word of the padding (SIMD of FINN's `FMPadding`); otherwise those of the generator.
    pub padding_simd: Option<u32>,
    /// Depth of the FIFO between the generator and the product, in words of the generator; none where nothing is
    /// said.
    pub fifo: Option<FifoDepth>,
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
