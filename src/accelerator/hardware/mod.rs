//! The hardware file: how each layer is folded and how its tensors are stored.

mod error;
mod stream;

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{DspBlock, Target};
use crate::data::{RonError, SourceText, parse_ron, read_ron};
use crate::network::ParamKind;
pub(super) use error::listed;
pub use error::{HardwareError, Problem};
pub use stream::{FifoDepth, Hls4mlBuild, HlsTool, IoType, LoopTiming, StreamEnd, WeightMemory, WindowUnit};

/// How an accelerator is built, as a hardware file says it. The default is what holds without a
/// file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename = "Hardware")]
pub struct Hardware {
    /// Name of the configuration.
    #[serde(default = "default_name")]
    pub name: String,
    /// Name of a technology or path of its file, relative to the hardware file.
    #[serde(default)]
    pub technology: Option<String>,
    /// Clock of the accelerator.
    #[serde(default)]
    pub clock_mhz: Option<f64>,
    /// Whose units the accelerator is built of; where nothing is said, FINN's RTL for layers that are folded as
    /// FINN folds, its library for high-level synthesis where the window generators are of that, otherwise hls4ml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// How hls4ml's project is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hls4ml: Option<Hls4mlBuild>,
    /// The slices that FINN's RTL multiplies on; where nothing is said, all that it can compute on DSP48 slices has
    /// its core for weights of up to 8 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsp: Option<DspBlock>,
    /// Which sliding window generator feeds the convolutions.
    #[serde(default)]
    pub window_generator: WindowGenerator,
    /// The circuit that reads every word in turn and writes it back as its protection corrects it.
    #[serde(default)]
    pub scrub: Option<Scrub>,
    /// Time between two rewrites of all memories from their source outside.
    #[serde(default)]
    pub refresh_s: Option<f64>,
    /// Memory technologies by storage style: how each is upset. Names of presets, or paths of files
    /// relative to the hardware file.
    #[serde(default, deserialize_with = "unique_keys")]
    pub memory_technologies: IndexMap<Style, String>,
    /// Width and rate of the input.
    #[serde(default)]
    pub input_stream: StreamEnd,
    /// Width and rate of the output.
    #[serde(default)]
    pub output_stream: StreamEnd,
    /// What holds for layers and fields that have no entry of their own.
    #[serde(default)]
    pub default: LayerHardware,
    /// Entries by layer name.
    #[serde(default, deserialize_with = "unique_keys")]
    pub layers: IndexMap<String, LayerHardware>,
    /// The text that this was read from.
    #[serde(skip)]
    pub source: Option<SourceText>,
    /// Where relative paths start.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A scrubber: one that goes over all words of all memories in order, pass after pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrub {
    /// Time between the starts of two passes.
    pub period_s: f64,
    /// Time that one pass takes, from the first word to the last; at most the period.
    #[serde(default)]
    pub pass_s: f64,
}

impl Scrub {
    /// What is wrong with the times, and which field it is.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        if !(self.period_s.is_finite() && self.period_s > 0.0) {
            Some(Problem::Time {
                field: "scrub.period_s",
                value: self.period_s,
            })
        } else if !(self.pass_s.is_finite() && self.pass_s >= 0.0) {
            Some(Problem::Time {
                field: "scrub.pass_s",
                value: self.pass_s,
            })
        } else if self.pass_s > self.period_s {
            Some(Problem::ScrubPass {
                period_s: self.period_s,
                pass_s: self.pass_s,
            })
        } else {
            None
        }
    }
}

fn default_name() -> String {
    "default".to_owned()
}

/// How one layer is built; what is not given comes from the file's `default` entry, then from the
/// network's hints, then from the general default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerHardware {
    /// How the matrix product is spread over time.
    pub folding: Option<Folding>,
    /// Channels per word of the stage that compares with the layer's thresholds (PE of FINN's
    /// Thresholding); otherwise as many as the stage in front hands out.
    pub pe: Option<u32>,
    /// Whether that stage has a second register behind every step of its search (`deep_pipeline` of FINN's
    /// Thresholding).
    pub deep_pipeline: Option<bool>,
    /// The sliding window generator in front of a FINN convolution.
    pub window: Option<WindowUnit>,
    /// How the weights are stored.
    pub weights: Option<Storage>,
    /// How the biases are stored.
    pub biases: Option<Storage>,
    /// How the thresholds are stored.
    pub thresholds: Option<ThresholdStorage>,
    /// How the factors of a batch normalization are stored.
    pub scales: Option<Storage>,
    /// How the slopes of a parametric activation are stored.
    pub slopes: Option<Storage>,
    /// The running sum. A layer's own entry replaces any accumulator; that of `default` leaves those
    /// that the network file states.
    pub accumulator: Option<AccumulatorFormat>,
    /// The FIFOs in front of the layer.
    pub fifo: Option<FifoDepth>,
    /// Elements of a word in these FIFOs; width converters in front and behind do the rest.
    pub fifo_lanes: Option<u32>,
    /// The layer's loop, where it is built by high-level synthesis.
    pub timing: Option<LoopTiming>,
    /// Where a FINN-style product finds its weights.
    pub weight_memory: Option<WeightMemory>,
}

/// How a matrix product is spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Folding {
    /// FINN: `pe` rows and `simd` columns of the weight matrix per cycle.
    Finn {
        /// Processing elements; divides the rows.
        pe: u32,
        /// Columns per processing element and cycle; divides the columns.
        simd: u32,
    },
    /// hls4ml: every multiplier is used this many times.
    Hls4ml {
        /// The reuse factor; where it does not divide the number of weights, the last lane is padded.
        reuse_factor: u32,
    },
}

/// Where and how a tensor is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// What kind of memory.
    pub style: Style,
    /// Which elements share a word.
    pub packing: Packing,
    /// Words whose bits take turns along a row of the physical array: adjacent columns belong to so many
    /// different words. 0 and 1 are no interleaving.
    pub interleave: u32,
    /// Banks that the rows of the physical array are cut into: no cluster reaches from one into the next.
    /// 0 and 1 are one bank.
    pub banks: u32,
}

/// Where and how thresholds are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdStorage {
    /// What kind of memory.
    pub style: Style,
    /// Which elements share a word.
    pub packing: Packing,
    /// As in [`Storage::interleave`].
    pub interleave: u32,
    /// As in [`Storage::banks`].
    pub banks: u32,
    /// Bits of one stored threshold; otherwise the fewest that hold every threshold of the network's
    /// own format.
    pub width: Option<u32>,
    /// Which number is stored for a threshold.
    pub encoding: ThresholdEncoding,
}

/// What kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Style {
    /// Flip-flops that are all read at all times.
    #[default]
    Registers,
    /// Flip-flops behind a read port of one word.
    RegisterFile,
    /// Look-up tables of an FPGA as memory.
    LutRam,
    /// Block memory of an FPGA.
    BlockRam,
    /// Block memory of an FPGA that is initialized with the configuration and never written.
    Rom,
    /// Large block memory of an FPGA (UltraRAM).
    UltraRam,
    /// Memory macro of an ASIC.
    Sram,
    /// Part of the logic: nothing is stored, nothing can be upset.
    Constant,
}

impl Style {
    /// Those that hold bits.
    pub const STORED: [Self; 7] = [
        Self::Registers,
        Self::RegisterFile,
        Self::LutRam,
        Self::BlockRam,
        Self::Rom,
        Self::UltraRam,
        Self::Sram,
    ];

    /// Name as in the hardware file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Style::Registers => "Registers",
            Style::RegisterFile => "RegisterFile",
            Style::LutRam => "LutRam",
            Style::BlockRam => "BlockRam",
            Style::Rom => "Rom",
            Style::UltraRam => "UltraRam",
            Style::Sram => "Sram",
            Style::Constant => "Constant",
        }
    }
}

/// Which elements share a word. Rows are output channels; columns are `[ky][kx][in]` of a weight or
/// the steps of a threshold. A word's elements lie side by side, the first at bit 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Packing {
    /// One element per word, in canonical order.
    #[default]
    Element,
    /// FINN's memblock: word `nf*SF+sf` holds columns `sf*SIMD..` of the rows `nf*PE+pe` of all PEs,
    /// PE 0 lowest.
    Memblock,
    /// One memory per PE: word `nf*SF+sf` holds columns `sf*SIMD..` of row `nf*PE+pe`. For thresholds
    /// a word holds all steps.
    PerPe,
    /// hls4ml: as many words as the reuse factor; lane `k` of word `r` is element `k*RF + r`.
    ReuseFactor,
    /// So many consecutive elements per word.
    Words {
        /// Elements in one word.
        elements_per_word: u32,
        /// Bits of one word, where it is wider than its elements.
        #[serde(default)]
        word_bits: Option<u32>,
    },
}

impl Packing {
    /// Name as in the hardware file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Packing::Element => "Element",
            Packing::Memblock => "Memblock",
            Packing::PerPe => "PerPe",
            Packing::ReuseFactor => "ReuseFactor",
            Packing::Words { .. } => "Words",
        }
    }
}

/// Which number is stored for a threshold of the network, where the network fires if
/// `sum >= threshold` and the hardware if `sum > stored`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThresholdEncoding {
    /// The threshold itself.
    #[default]
    Plain,
    /// `threshold - 1`.
    Dot,
    /// `2*threshold - 1`, for hardware that sums twice the product: bit 0 never matters.
    DoubledDot,
    /// `threshold - 1` on the count of matching bits, for layers of bipolar operands.
    XnorPopcount,
}

impl ThresholdEncoding {
    /// Name as in the hardware file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ThresholdEncoding::Plain => "Plain",
            ThresholdEncoding::Dot => "Dot",
            ThresholdEncoding::DoubledDot => "DoubledDot",
            ThresholdEncoding::XnorPopcount => "XnorPopcount",
        }
    }
}

/// Width and behaviour of a running sum; sign and binary point stay the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccumulatorFormat {
    /// Bits.
    pub width: u32,
    /// What happens beyond them.
    pub overflow: AccumulatorOverflow,
}

/// What happens to a sum that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccumulatorOverflow {
    /// Keep the low bits.
    Wrap,
    /// Clamp to the range.
    Sat,
}

/// Which sliding window generator feeds the convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowGenerator {
    /// FINN's RTL generator.
    #[default]
    Rtl,
    /// `ConvolutionInputGenerator` of finn-hlslib, as in BNN-PYNQ.
    Hls,
}

const EXPECTED: &str = "a hardware configuration as in hw_configs/example.ron";

impl Hardware {
    /// Reads a hardware file.
    ///
    /// # Errors
    /// [`RonError`] where the file cannot be read, is not RON, or has a field or a value that no
    /// hardware file has.
    pub fn read(file: &Path) -> Result<Self, RonError> {
        let (mut hardware, source): (Self, _) = read_ron(file, EXPECTED)?;
        hardware.source = Some(source);
        hardware.folder = file.parent().map(Path::to_owned).unwrap_or_default();
        Ok(hardware)
    }

    /// Parses the text of a hardware file.
    ///
    /// # Errors
    /// As [`Hardware::read`].
    pub fn parse(source: SourceText) -> Result<Self, RonError> {
        let mut hardware: Self = parse_ron(&source, EXPECTED)?;
        hardware.source = Some(source);
        Ok(hardware)
    }

    /// What the file says about one field of a layer: its own entry before the `default` entry.
    pub(super) fn field<T: Copy>(
        &self,
        layer: &str,
        field: impl Fn(&LayerHardware) -> Option<T>,
    ) -> Option<T> {
        self.layers.get(layer).and_then(&field).or(field(&self.default))
    }

    /// Style, packing, stored width and encoding of one tensor of a layer.
    pub(super) fn storage(&self, layer: &str, kind: ParamKind) -> ThresholdStorage {
        let plain = |storage: Option<Storage>| {
            let Storage {
                style,
                packing,
                interleave,
                banks,
            } = storage.unwrap_or_default();
            ThresholdStorage {
                style,
                packing,
                interleave,
                banks,
                ..ThresholdStorage::default()
            }
        };
        match kind {
            ParamKind::Weight => plain(self.field(layer, |entry| entry.weights)),
            ParamKind::Bias => plain(self.field(layer, |entry| entry.biases)),
            ParamKind::Threshold => self.field(layer, |entry| entry.thresholds).unwrap_or_default(),
            ParamKind::Scale => plain(self.field(layer, |entry| entry.scales)),
            ParamKind::Slope => plain(self.field(layer, |entry| entry.slopes)),
        }
    }
}

impl LayerHardware {
    /// The tensors that this entry speaks of, with their field names.
    pub(super) fn tensors(&self) -> Vec<(ParamKind, &'static str)> {
        [
            (self.weights.is_some(), ParamKind::Weight, "weights"),
            (self.biases.is_some(), ParamKind::Bias, "biases"),
            (self.thresholds.is_some(), ParamKind::Threshold, "thresholds"),
            (self.scales.is_some(), ParamKind::Scale, "scales"),
            (self.slopes.is_some(), ParamKind::Slope, "slopes"),
        ]
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(|(_, kind, field)| (kind, field))
        .collect()
    }
}

/// Reads a map and refuses a key that stands there twice.
fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<IndexMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Eq + Hash + Key,
    V: Deserialize<'de>,
{
    struct Unique<K, V>(PhantomData<(K, V)>);

    impl<'de, K, V> Visitor<'de> for Unique<K, V>
    where
        K: Deserialize<'de> + Eq + Hash + Key,
        V: Deserialize<'de>,
    {
        type Value = IndexMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(K::MAP)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = IndexMap::new();
            while let Some(key) = map.next_key::<K>()? {
                if entries.contains_key(&key) {
                    return Err(A::Error::custom(format!("{} has two entries", key.named())));
                }
                let entry = map.next_value()?;
                entries.insert(key, entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}

/// What a map of the hardware file is about.
trait Key {
    /// The map, for people.
    const MAP: &'static str;
    /// An entry's key, for people.
    fn named(&self) -> String;
}

impl Key for String {
    const MAP: &'static str = "a map from layer names to entries";

    fn named(&self) -> String {
        format!("layer `{self}`")
    }
}

impl Key for Style {
    const MAP: &'static str = "a map from styles to memory technologies";

    fn named(&self) -> String {
        format!("style {}", self.name())
    }
}
