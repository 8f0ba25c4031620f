//! What is computed: layers, tensors, parameters, and the order in which sums accumulate.
//!
//! A [`Network`] holds integers only. A tensor's value is `mantissa * 2^-frac * scale`, where the
//! format gives `frac` and `scale` is the one real factor that lies outside the integers (1 for
//! every network whose scales are powers of two). Shapes are channels last and carry no batch
//! dimension.

pub mod bounds;
pub mod import;
mod input;
mod layout;
mod note;
mod op;
mod output;
mod preprocessing;
mod program;
mod rounding;
mod typed;

use serde::{Deserialize, Serialize};

use crate::fixed_point::Format;
pub use input::InputError;
pub use layout::{ArrayOrder, Layout, Mark, Marks, Part, Reading};
pub use note::{Note, NoteKind};
pub use op::{
    Accumulator, Affine, ArgMax, Average, Broadcast, CastEach, Combine, CombineOp, Geometry, Mac,
    MultiThreshold, Op, Order, Pad, Pool, PoolKind, Relu, ScaledBias, Slope, Softmax, Table, TableIndex,
    ThresholdRule, Window,
};
pub use output::{OffChip, OutputMeaning, RealFunction};
pub use preprocessing::{Exact, Preprocessing, RealQuantizer, RealStep};
pub use program::{BitFunction, Instruction, Operation, Program, ProgramInput, ProgramOutput};
pub use rounding::Rounding;
pub use typed::TypedError;

macro_rules! index_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the network's list.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $name {
            /// # Panics
            /// Where the index does not fit 32 bits; importers bound their counts far below.
            fn from(index: usize) -> Self {
                Self(u32::try_from(index).expect("fewer than 2^32 items"))
            }
        }
    };
}

index_type!(
    /// Position of a tensor in [`Network::tensors`].
    TensorId
);
index_type!(
    /// Position of a parameter in [`Network::params`].
    ParamId
);
index_type!(
    /// Position of a node in [`Network::nodes`], which is the execution order.
    NodeId
);
index_type!(
    /// Position of a layer in [`Network::layers`].
    LayerId
);

/// How mantissas and stored bits correspond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// Two's complement or unsigned binary of the format.
    Fixed(Format),
    /// One bit: 1 stands for `+2^-frac`, 0 for `-2^-frac`; the mantissas are +1 and -1.
    Bipolar {
        /// Fractional bits of the two values.
        frac: i32,
    },
}

impl Encoding {
    /// Bits of one element.
    #[must_use]
    pub fn width(&self) -> u32 {
        match self {
            Encoding::Fixed(format) => format.width(),
            Encoding::Bipolar { .. } => 1,
        }
    }

    /// Fractional bits of the mantissas.
    #[must_use]
    pub fn frac(&self) -> i32 {
        match self {
            Encoding::Fixed(format) => format.frac(),
            Encoding::Bipolar { frac } => *frac,
        }
    }

    /// Smallest and largest mantissa that the bits can stand for.
    #[must_use]
    pub fn range(&self) -> (i128, i128) {
        match self {
            Encoding::Fixed(format) => (format.min_mantissa(), format.max_mantissa()),
            Encoding::Bipolar { .. } => (-1, 1),
        }
    }

    /// Whether the bits can stand for this mantissa.
    #[must_use]
    pub fn contains(&self, mantissa: i128) -> bool {
        match self {
            Encoding::Fixed(format) => format.contains(mantissa),
            Encoding::Bipolar { .. } => mantissa == 1 || mantissa == -1,
        }
    }

    /// The stored bits of a mantissa; bit 0 is the least significant.
    #[must_use]
    pub fn bits_of(&self, mantissa: i64) -> u64 {
        match self {
            Encoding::Fixed(format) => format.bits_of(i128::from(mantissa)) as u64,
            Encoding::Bipolar { .. } => u64::from(mantissa > 0),
        }
    }

    /// The mantissa of stored bits; bits above the width are ignored.
    #[must_use]
    pub fn mantissa_of_bits(&self, bits: u64) -> i64 {
        match self {
            Encoding::Fixed(format) => format.mantissa_of_bits(u128::from(bits)) as i64,
            Encoding::Bipolar { .. } => {
                if bits & 1 == 1 {
                    1
                } else {
                    -1
                }
            }
        }
    }

    /// The format that a mantissa of this encoding fits in arithmetic: the format itself, or two
    /// signed bits for bipolar values.
    #[must_use]
    pub fn arithmetic(&self) -> Format {
        match self {
            Encoding::Fixed(format) => *format,
            Encoding::Bipolar { frac } => {
                Format::holding(-1, 1, *frac).expect("two bits are within every limit")
            }
        }
    }
}

/// A value that flows between nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Name in the network file, or one derived from the node that makes it.
    pub name: String,
    /// Channels last, without the batch dimension.
    pub shape: Vec<usize>,
    /// Type of the mantissas.
    pub encoding: Encoding,
    /// Real factor outside the integers; 1 where every scale is a power of two.
    pub scale: f64,
}

impl Tensor {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of channels: the last dimension, 1 for a scalar.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The real value of a mantissa.
    #[must_use]
    pub fn value_of(&self, mantissa: i64) -> f64 {
        libm::scalbn(mantissa as f64, -self.encoding.frac()) * self.scale
    }
}

/// Which stored tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Weights of a matrix product, `[out][in]` or `[out][ky][kx][in]`.
    Weight,
    /// Biases, one per output channel.
    Bias,
    /// Activation thresholds, `[channel][step]`.
    Threshold,
    /// Per-channel factors of a batch normalization.
    Scale,
    /// Slope of a parametric activation, per channel or one for all.
    Slope,
}

impl ParamKind {
    /// The tensor's name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ParamKind::Weight => "weight",
            ParamKind::Bias => "bias",
            ParamKind::Threshold => "threshold",
            ParamKind::Scale => "scale",
            ParamKind::Slope => "slope",
        }
    }
}

/// A tensor that the accelerator stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The layer that reads it.
    pub layer: LayerId,
    /// Which of the layer's tensors it is.
    pub kind: ParamKind,
    /// Row-major shape of `values`.
    pub shape: Vec<usize>,
    /// Type of the mantissas.
    pub encoding: Encoding,
    /// Mantissas, each within `encoding`.
    pub values: Vec<i64>,
    /// The integers that are stored instead of the mantissas, where a quantizer has a zero point.
    #[serde(default)]
    pub zero_point: Option<ZeroPoint>,
}

/// Integers with a zero point: what is stored is the mantissa plus the zero point, in a type of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZeroPoint {
    /// Type of the stored integers.
    pub stored: Format,
    /// The integer that stands for 0.
    pub zero: i64,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name in the file, or one derived from the operator.
    pub name: String,
    /// The layer that it belongs to.
    pub layer: LayerId,
    /// What is computed.
    pub op: Op,
    /// Tensors read, each made by an earlier node or the network's input.
    pub inputs: Vec<TensorId>,
    /// Tensor written.
    pub output: TensorId,
}

/// A compute node of the file with the activation that follows it, or a node of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Name in the file, or `<op>_<k>`.
    pub name: String,
    /// Operator in the file's words, for example `Conv` or `Dense`.
    pub kind: String,
    /// The tensor that the layer hands on, before any pooling that follows.
    pub output: TensorId,
    /// What the file says about how the layer is built.
    pub hints: BuildHints,
}

/// Plain facts about the hardware that the network file carries; this room does not interpret
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildHints {
    /// `strategy` of hls4ml in lower case.
    pub strategy: Option<String>,
    /// Effective reuse factor of hls4ml.
    pub reuse_factor: Option<u32>,
    /// Processing elements (FINN).
    pub pe: Option<u32>,
    /// Inputs per processing element and cycle (FINN).
    pub simd: Option<u32>,
    /// `io_parallel` or `io_stream` of hls4ml.
    pub io_type: Option<String>,
    /// Rows below and columns right of the map that the file pads; a stride may leave some of them, or of the
    /// map, out of every window.
    pub pad_after: Option<[usize; 2]>,
    /// Backend of hls4ml in lower case, for example `vitis`.
    pub backend: Option<String>,
    /// What the file says about stored tensors, where it says something.
    pub tensors: Vec<TensorHint>,
}

impl BuildHints {
    /// What the file says about a tensor.
    #[must_use]
    pub fn tensor(&self, kind: ParamKind) -> Option<&TensorHint> {
        self.tensors.iter().find(|hint| hint.kind == kind)
    }
}

/// What a network file says about a stored tensor of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorHint {
    /// The tensor.
    pub kind: ParamKind,
    /// Its name in the project that the flow writes: `w2`, `b2`, `s3` of hls4ml.
    pub name: Option<String>,
    /// Whether it is part of the logic, so that no bit of it is stored.
    pub logic: bool,
    /// Whether each element has a width of its own (HGQ2), the narrowest that holds its value.
    #[serde(default)]
    pub own_widths: bool,
}

/// How real inputs become the mantissas of the first tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputRule {
    /// Cast to the input tensor's format with its own rounding and overflow.
    Quantize,
    /// The file states no input type: mantissas are given as integers.
    Raw,
    /// The type is stated: numbers are values of it, and others are refused.
    Stated,
    /// Arithmetic and a quantizer of the file, exact, before the numbers enter.
    Preprocess(Box<Preprocessing>),
}

impl InputRule {
    /// The rule in one word, for documents.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            InputRule::Quantize => "Quantize",
            InputRule::Raw => "Raw",
            InputRule::Stated => "Stated",
            InputRule::Preprocess(_) => "Preprocess",
        }
    }
}

/// A network of integers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Name of the network, usually the file's stem.
    pub name: String,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// All operations in execution order.
    pub nodes: Vec<Node>,
    /// All layers in execution order.
    pub layers: Vec<Layer>,
    /// All stored tensors.
    pub params: Vec<Param>,
    /// Where the inputs enter.
    pub input: TensorId,
    /// Axis of the input tensor of every axis of the file's input; empty where no operator says which of them
    /// holds the channels, and the two are the same.
    pub input_axes: Vec<usize>,
    /// How real inputs enter.
    pub input_rule: InputRule,
    /// The last on-chip tensor.
    pub output: TensorId,
    /// The real function in which the file ends, evaluated behind the accelerator.
    pub off_chip: Option<OffChip>,
    /// Axis of the output tensor of every axis of the file's output; empty as for the input.
    pub output_axes: Vec<usize>,
    /// Real factors of the output's values, as [`Network::output_values`] applies them: one per element of the output
    /// tensor's last axis, or one per element of the tensor, row-major; empty where its `scale` says all. The tensor's
    /// `scale` is 1 where there are some.
    pub output_scales: Vec<f64>,
    /// What is added to the output's values behind their scales: one for all, or as many as of the factors; empty where
    /// nothing is.
    pub output_offsets: Vec<f64>,
    /// What the import did that a reader of the numbers should know.
    pub notes: Vec<Note>,
}

impl Network {
    /// The tensor behind an index.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// The parameter behind an index.
    #[must_use]
    pub fn param(&self, id: ParamId) -> &Param {
        &self.params[id.index()]
    }

    /// The layer behind an index.
    #[must_use]
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.index()]
    }

    /// The layer of that name.
    #[must_use]
    pub fn layer_named(&self, name: &str) -> Option<LayerId> {
        self.layers
            .iter()
            .position(|layer| layer.name == name)
            .map(LayerId::from)
    }

    /// The name that a parameter has in the project that the flow writes, where the file says it.
    #[must_use]
    pub fn project_name(&self, param: ParamId) -> Option<&str> {
        let param = self.param(param);
        self.layer(param.layer).hints.tensor(param.kind)?.name.as_deref()
    }

    /// The stored tensor of that kind in that layer.
    #[must_use]
    pub fn param_of(&self, layer: LayerId, kind: ParamKind) -> Option<ParamId> {
        self.params
            .iter()
            .position(|param| param.layer == layer && param.kind == kind)
            .map(ParamId::from)
    }
}
