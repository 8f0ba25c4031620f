//! The operations of a network.
//!
//! Every operation states its result as an exact value that is then cast to the format of its
//! output tensor; where a rule of the field rounds in between (hls4ml's accumulators, pools and
//! tables), the operation carries the intermediate format.

use serde::{Deserialize, Serialize};

use super::{ParamId, Program};
use crate::fixed_point::Format;

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Matrix product over a window: dense layers, convolutions, transposed convolutions.
    Mac(Mac),
    /// Cast of one tensor to the output's format.
    Cast,
    /// Cast of each element to a format of its own, and then to the output's.
    CastEach(CastEach),
    /// `x > 0 ? x : slope * x`, then cast.
    Relu(Relu),
    /// Per-channel `x * scale + bias`, then one cast.
    Affine(Affine),
    /// A stored bias with a unit of its own, added on the grid that it shares with the operand.
    ScaledBias(ScaledBias),
    /// Number of thresholds reached, scaled and shifted.
    MultiThreshold(MultiThreshold),
    /// Table look-up.
    Table(Table),
    /// hls4ml's table-driven softmax over the last dimension.
    Softmax(Softmax),
    /// Reduction over windows.
    Pool(Pool),
    /// Element-wise combination of two tensors.
    Combine(Combine),
    /// Concatenation along an axis.
    Concat {
        /// Axis without the batch dimension.
        axis: usize,
    },
    /// Same elements in the same order under another shape.
    Reshape,
    /// Permutation of the axes: output axis `i` is input axis `perm[i]`.
    Transpose {
        /// The permutation, without the batch dimension.
        perm: Vec<usize>,
    },
    /// Constant border around the spatial dimensions.
    Pad(Pad),
    /// Nearest-neighbour enlargement of the two leading dimensions by whole factors.
    Upsample {
        /// Factor per leading dimension.
        factors: Vec<usize>,
    },
    /// Elements picked along every axis by their coordinates: slices, steps, reversals, repetitions.
    Gather {
        /// Per axis of the output the coordinate of the input that each of its coordinates reads.
        indices: Vec<Vec<usize>>,
    },
    /// Indices of the largest elements along the last dimension, largest first, lower index first
    /// among equals.
    ArgMax(ArgMax),
    /// Values clamped to a range of mantissas of the input's format, then cast.
    Clip {
        /// Smallest mantissa.
        low: i64,
        /// Largest mantissa.
        high: i64,
    },
    /// `offset + factor * x` on mantissas, exact; used where a constant moves a tensor's zero.
    Rescale {
        /// Factor on the mantissa, one per channel or one for all.
        factor: Vec<i64>,
        /// Offset in mantissas of the output, as many as factors.
        offset: Vec<i64>,
    },
    /// A program of instructions on integers, from all elements of one tensor to all of another.
    Program(Box<Program>),
}

impl Op {
    /// The parameters that the operation reads.
    #[must_use]
    pub fn params(&self) -> Vec<ParamId> {
        match self {
            Op::Mac(mac) => std::iter::once(mac.weight).chain(mac.bias).collect(),
            Op::Affine(affine) => std::iter::once(affine.scale).chain(affine.bias).collect(),
            Op::ScaledBias(sum) => vec![sum.bias],
            Op::MultiThreshold(thresholds) => vec![thresholds.thresholds],
            Op::Relu(relu) => match relu.slope {
                Some(Slope::Param(param)) => vec![param],
                Some(_) | None => Vec::new(),
            },
            // No wildcard: a new operation has to say what it reads, or faults would miss it.
            Op::Cast
            | Op::CastEach(_)
            | Op::Table(_)
            | Op::Softmax(_)
            | Op::Pool(_)
            | Op::Combine(_)
            | Op::Concat { .. }
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Pad(_)
            | Op::Upsample { .. }
            | Op::Gather { .. }
            | Op::ArgMax(_)
            | Op::Clip { .. }
            | Op::Rescale { .. }
            | Op::Program(_) => Vec::new(),
        }
    }
}

/// Spatial arrangement of a windowed operation. A one-dimensional layer has height 1; a dense
/// layer is a 1x1 window over its leading dimensions as width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Input height, width and channels.
    pub input: [usize; 3],
    /// Output height, width and channels.
    pub output: [usize; 3],
    /// The window.
    pub window: Window,
}

/// A sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Distance between taps in rows and columns.
    pub dilation: [usize; 2],
    /// Rows above and columns left of the input that count as zero.
    pub pad: [usize; 2],
}

/// Matrix product over a window.
///
/// Output `(oy, ox, o)` sums `weight[o][ky][kx][i] * x` over taps; for a transposed convolution
/// input `(iy, ix)` contributes to output `(iy*stride - pad + ky*dilation, ...)`. With
/// `groups = g`, output channel `o` reads the input channels of group `o / (out/g)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mac {
    /// `[out][ky][kx][in/groups]`, or `[out][in]` for dense layers (the same order).
    pub weight: ParamId,
    /// One per output channel.
    pub bias: Option<ParamId>,
    /// Where the window goes.
    pub geometry: Geometry,
    /// Channel groups; equal to the channels for a depthwise convolution.
    pub groups: usize,
    /// Whether the window scatters instead of gathers.
    pub transposed: bool,
    /// How the sum is kept.
    pub accumulator: Accumulator,
    /// Whether the sum counts the matching bits of bipolar operands, `(n + dot) / 2` for `n` taps,
    /// as an XNOR array does; no padding then.
    pub popcount: bool,
}

/// How a matrix product is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    /// Type of the running sum. It starts with the bias cast to it; every product is cast to it,
    /// and every addition is cast to it again.
    pub format: Format,
    /// Whether the network file states the format; otherwise it is wide enough for every value of
    /// the operands' formats.
    pub stated: bool,
    /// In which order the products arrive.
    pub order: Order,
}

/// Order of accumulation over the inputs of one output, counted `[ky][kx][in]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// 0, 1, 2, ...
    Natural,
    /// `r, r+factor, r+2*factor, ...` for `r` in `0..factor` (hls4ml's Resource strategy).
    Strided {
        /// The reuse factor.
        factor: usize,
    },
}

/// Formats of single elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CastEach {
    /// The formats that occur; an element without one becomes 0.
    pub formats: Vec<Option<Format>>,
    /// Which of them each element of the tensor has, row-major.
    pub of: Vec<u32>,
}

/// Rectified linear unit and its relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu {
    /// Slope below zero: mantissa and fractional bits of one constant, or a stored parameter.
    pub slope: Option<Slope>,
    /// Only values above this mantissa of the input pass (thresholded ReLU); 0 otherwise.
    pub threshold: i64,
    /// Values are clamped to this mantissa of the input first, where given.
    pub ceiling: Option<i64>,
}

/// Slope of a rectifier below its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slope {
    /// One constant.
    Constant {
        /// Mantissa.
        mantissa: i64,
        /// Fractional bits.
        frac: i32,
    },
    /// A stored parameter, per channel.
    Param(ParamId),
}

/// Per-channel affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Factors, one per channel or one per element.
    pub scale: ParamId,
    /// Offsets, as many as factors.
    pub bias: Option<ParamId>,
}

/// `factor * x + unit * bias` on mantissas, exact: a sum of two grids, as multiples of a unit that
/// divides both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaledBias {
    /// Biases, one per channel.
    pub bias: ParamId,
    /// Output mantissas per mantissa of the operand, one per channel or one for all.
    pub factor: Vec<i64>,
    /// Output mantissas per mantissa of the bias, as many as factors.
    pub unit: Vec<i64>,
}

/// `offset + factor * #{ steps | x >= threshold }`, in mantissas of the output.
///
/// All steps are compared: thresholds that a fault has put out of order still count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiThreshold {
    /// `[channel][step]`, or one row for all channels; mantissas with the input's fractional bits.
    pub thresholds: ParamId,
    /// Output mantissa per step, one per channel or one for all; negative where the activation
    /// falls with the accumulator.
    pub factor: Vec<i64>,
    /// Output mantissa where no step is reached, as many as factors.
    pub offset: Vec<i64>,
    /// How the unit finds the number of steps that are reached.
    #[serde(default)]
    pub rule: ThresholdRule,
}

/// How a unit finds the number of thresholds that a value reaches. Where the thresholds of a row are in order, as
/// they are without upsets, both find the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThresholdRule {
    /// All thresholds are compared, and those that are reached are counted (finn-hlslib).
    #[default]
    Count,
    /// The bits of the number are found one by one from the top: a bit is set where threshold `n - 1` is reached,
    /// `n` being the bits so far with this one set and zeros behind it (FINN's RTL). A threshold behind the last one
    /// is never reached.
    BinarySearch,
}

impl ThresholdRule {
    /// The number of thresholds of a row that the unit takes `x` to reach.
    #[must_use]
    pub fn reached(self, thresholds: &[i64], x: i64) -> usize {
        match self {
            Self::Count => thresholds.iter().filter(|&&threshold| threshold <= x).count(),
            Self::BinarySearch => {
                let bits = usize::BITS - thresholds.len().leading_zeros();
                (0..bits).rev().fold(0, |found, bit| {
                    let number = found | 1 << bit;
                    let reached = thresholds
                        .get(number - 1)
                        .is_some_and(|&threshold| threshold <= x);
                    if reached { number } else { found }
                })
            }
        }
    }
}

/// A function given by its table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Name of the function, for people.
    pub function: String,
    /// Which entry an input selects.
    pub index: TableIndex,
    /// Entries in `entry_format`.
    pub entries: Vec<i64>,
    /// Type of the entries; the result is cast from it to the output.
    pub entry_format: Format,
}

/// How an input selects a table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableIndex {
    /// `trunc(x * factor) + offset`, clamped to the table; `factor` is `2^log2_factor`.
    Scaled {
        /// Binary logarithm of the factor on the value.
        log2_factor: i32,
        /// Offset added after truncation towards zero.
        offset: i64,
    },
    /// Positive inputs pass unchanged; the others select `trunc(-x * 2^log2_factor)`, clamped.
    NegativeHalf {
        /// Binary logarithm of the factor on the value.
        log2_factor: i32,
    },
}

/// hls4ml's softmax over the last dimension (`nnet_activation.h`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    /// Number of values in one softmax.
    pub slice: usize,
    /// Whether the largest value is subtracted first (the `stable` implementation).
    pub subtract_max: bool,
    /// Type of `max - x`, or of `x` itself; its top bits index the `exp` table.
    pub norm_format: Format,
    /// `exp` table and its type.
    pub exp_table: Vec<i64>,
    /// Type of the `exp` entries.
    pub exp_format: Format,
    /// `1/x` table.
    pub inv_table: Vec<i64>,
    /// Type of the `1/x` entries.
    pub inv_format: Format,
    /// Type of the sum where it indexes the `1/x` table.
    pub inv_input: Format,
    /// Type of the sum of exponentials.
    pub accumulator: Format,
}

/// Reduction over windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The reduction.
    pub kind: PoolKind,
    /// Where the window goes; taps in the padding do not take part in a maximum.
    pub geometry: Geometry,
}

/// Which reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolKind {
    /// Largest value, cast through the intermediate format where there is one.
    Max {
        /// hls4ml's `accum_t`.
        through: Option<Format>,
    },
    /// Exact sum.
    Sum,
    /// Sum divided by the number of taps as hls4ml does it.
    Average(Average),
}

/// hls4ml's average pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Average {
    /// Type of the running sum and of the quotient, which truncates towards zero.
    pub accumulator: Format,
    /// Sum by the balanced tree of `io_stream` instead of one after the other.
    pub tree: bool,
    /// Divide by all taps of the window, those in the padding included.
    pub count_pad: bool,
}

/// Element-wise combination of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combine {
    /// The operation.
    pub op: CombineOp,
    /// How the second operand is spread over the first.
    pub broadcast: Broadcast,
}

/// Which element-wise operation; exact, then cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CombineOp {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `(a + b) / 2`.
    Average,
    /// The larger.
    Maximum,
    /// The smaller.
    Minimum,
}

/// How two operands of an element-wise operation correspond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broadcast {
    /// Equal shapes.
    None,
    /// The second operand repeats along the first: with one value per channel, or any other number
    /// of values that is walked through again and again (hls4ml's `io_parallel`).
    PerChannel,
    /// The second operand has one value.
    Scalar,
}

/// Constant border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    /// Rows above, rows below, columns left, columns right.
    pub amounts: [usize; 4],
    /// Mantissa of the border.
    pub value: i64,
}

/// Indices of the largest elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgMax {
    /// How many indices.
    pub count: usize,
    /// Take the last among equals instead of the first.
    pub last: bool,
}
