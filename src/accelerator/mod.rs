//! How a network is built as a streaming accelerator: folding, memories, technology, and where every
//! stored bit lives.
//!
//! An [`Accelerator`] takes a [`Network`] and a [`Hardware`] configuration and yields the memories
//! with a one-to-one map between the logical and the physical address of every stored bit, padding
//! included, the cycles of each matrix product, and the area of the plain design.
//!
//! ```
//! use radstream::accelerator::{Accelerator, Hardware};
//! # use radstream::fixed_point::Format;
//! # use radstream::network::*;
//! # let encoding = Encoding::Fixed(Format::new(4, 4, true)?);
//! # let tensor = Tensor { name: "x".into(), shape: vec![1], encoding, scale: 1.0 };
//! # let network = Network {
//! #     name: "n".into(), tensors: vec![tensor], nodes: vec![],
//! #     layers: vec![Layer { name: "fc".into(), kind: "Dense".into(), output: TensorId(0), hints: BuildHints::default() }],
//! #     params: vec![Param { layer: LayerId(0), kind: ParamKind::Weight, shape: vec![1, 3], encoding, values: vec![1, -2, 3], zero_point: None }],
//! #     input: TensorId(0), input_axes: vec![], input_rule: InputRule::Raw, output: TensorId(0),
//! #     output_axes: vec![], output_scales: vec![], output_offsets: vec![], off_chip: None, notes: vec![],
//! # };
//! let accelerator = Accelerator::build(&network, &Hardware::default())?;
//! let bit = accelerator.find_logical("fc", "weight", 1, 3)?;
//! let named = accelerator.named(bit);
//! assert_eq!((named.memory.as_str(), named.word, named.word_bit), ("fc.weight", 1, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod absorbed;
mod accumulator;
mod address;
pub mod area;
mod code;
mod dataflow;
mod flow;
mod folding;
mod functions;
mod geometry;
mod hardware;
mod layout;
mod memory;
mod own_width;
pub mod pixels;
mod reuse;
mod target;
mod technology;
mod thresholds;
mod window;

use std::sync::Arc;

use serde::Serialize;
use std::collections::HashSet;

pub use absorbed::Absorbed;
pub use address::{AddressError, NamedBit};
pub use code::StoredCode;
pub use dataflow::{Dataflow, LayerDataflow};
pub use flow::{FlowError, FlowHardware, FlowRemark, hardware_text, read_flow};
pub use folding::{FoldingSource, MatrixShape, Stage};
pub use functions::{Band, FunctionKind, FunctionTiming, Functions, REPORT_BAND};
pub use geometry::Geometry;
pub use hardware::{
    AccumulatorFormat, AccumulatorOverflow, FifoDepth, Folding, Hardware, HardwareError, Hls4mlBuild,
    HlsTool, IoType, LayerHardware, LoopTiming, Packing, Problem, Scrub, Storage, StreamEnd, Style,
    ThresholdEncoding, ThresholdStorage, WeightMemory, WindowGenerator, WindowUnit,
};
pub use memory::{
    BitAddress, LogicalBit, Memory, MemoryId, MemoryImage, MemoryMap, StoredBit, StoredTensor, hex_word,
};
pub use target::{DspBlock, FinnCore, FinnVersion, Operands, Target};
pub use technology::{
    AreaUnit, Codecs, DEFAULT_TECHNOLOGY, Primitive, RegisterFile, Resources, Technology, TechnologyError,
};
pub use thresholds::ThresholdStage;
pub use window::{WindowSource, WindowStage, window_cycles_hls, window_cycles_rtl};

use crate::data::SourceText;
use crate::fixed_point::Format;
use crate::network::{Encoding, LayerId, Mac, Network, Note, Op, Param, ParamId, ParamKind};
use code::CodeError;
use layout::Layout;
use memory::Arranged;
use own_width::OwnWidths;

/// All kinds of stored tensors in the order of a layer's memories.
pub const STORED_KINDS: [ParamKind; 5] = [
    ParamKind::Weight,
    ParamKind::Bias,
    ParamKind::Threshold,
    ParamKind::Scale,
    ParamKind::Slope,
];

/// A network as it is built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accelerator {
    name: String,
    clock_mhz: Option<f64>,
    scrub: Option<Scrub>,
    refresh_s: Option<f64>,
    /// For diagnostics only.
    #[serde(skip)]
    hardware_text: Option<SourceText>,
    technology: Technology,
    network: Arc<Network>,
    target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsp: Option<DspBlock>,
    stages: Vec<Stage>,
    thresholds: Vec<ThresholdStage>,
    dataflow: Dataflow,
    functions: Option<Functions>,
    map: MemoryMap,
    /// Follows from the network and the stages.
    #[serde(skip)]
    absorbed: Absorbed,
    /// Follows from the network and the stages.
    #[serde(skip)]
    remarks: Vec<Note>,
}

impl Accelerator {
    /// Builds the network as the hardware configuration says; [`Hardware::default`] stands for no
    /// file: fully parallel or as the network's hints say, one element per word, in registers.
    ///
    /// # Errors
    /// [`HardwareError`] where the configuration names what the network does not have, or asks for what
    /// cannot be.
    pub fn build(network: &Network, hardware: &Hardware) -> Result<Self, Box<HardwareError>> {
        let refuse = |problem| HardwareError::new(problem, hardware);
        check_names(network, hardware).map_err(refuse)?;
        if let Some(value) = hardware.clock_mhz.filter(|mhz| !(mhz.is_finite() && *mhz > 0.0)) {
            return Err(refuse(Problem::Clock { value }));
        }
        if let Some(problem) = hardware.scrub.and_then(|scrub| scrub.problem()) {
            return Err(refuse(problem));
        }
        if let Some(value) = hardware.refresh_s.filter(|s| !(s.is_finite() && *s > 0.0)) {
            let field = "refresh_s";
            return Err(refuse(Problem::Time { field, value }));
        }
        let technology_name = hardware.technology.as_deref().unwrap_or(DEFAULT_TECHNOLOGY);
        let technology = Technology::find(technology_name, &hardware.folder)
            .map_err(|error| refuse(Problem::Technology(error)))?;
        let stages = folding::stages(network, hardware)?;
        let dataflow = Dataflow::of(network, hardware).map_err(refuse)?;
        let thresholds = thresholds::stages(network, hardware).map_err(refuse)?;
        let mut network = network.clone();
        for stage in &stages {
            let layer = &network.layers[stage.layer.index()];
            let note = stage.window.and_then(|window| window.note(layer, stage.folding));
            network.notes.extend(note);
        }
        accumulator::apply(&mut network, hardware).map_err(refuse)?;
        let target = Target::of(hardware, &stages);
        target.apply(&mut network);
        let functions = Functions::of(&network, hardware, target, &stages);

        let absorbed = Absorbed::of(&network, &stages);
        let mut map = MemoryMap::new(network.params.len());
        for (id, layer, kind) in storage_order(&network) {
            let name = network.layer(layer).name.clone();
            let storage = hardware.storage(&name, kind);
            if storage.style == Style::Constant
                || network.param(id).values.is_empty()
                || is_logic(&network, layer, kind)
            {
                continue;
            }
            check_style(&name, kind, storage.style, &technology).map_err(refuse)?;
            let code = stored_code(&network, id, &name, storage).map_err(refuse)?;
            let folded = Folded {
                stage: stages.iter().find(|stage| stage.layer == layer),
                thresholds: thresholds.iter().find(|stage| stage.layer == layer),
            };
            let layout = if has_own_widths(&network, id, storage) {
                Arranged::Own(OwnWidths::of(&network.param(id).values))
            } else {
                let packed = layout(&network, id, &name, storage.packing, code.width(), folded);
                let packed = packed.map_err(refuse)?;
                Arranged::Words(match absorbed.columns(id) {
                    Some(columns) => packed.with_columns(columns),
                    None => packed,
                })
            };
            hold_every_code(&mut network.params[id.index()], code);
            map.push(
                &network,
                id,
                code,
                storage.style,
                (storage.interleave.max(1), storage.banks.max(1)),
                layout,
            );
        }
        let remarks = folding::remarks(&network, &stages);
        Ok(Self {
            name: if hardware.name.is_empty() {
                "default".to_owned()
            } else {
                hardware.name.clone()
            },
            clock_mhz: hardware.clock_mhz,
            scrub: hardware.scrub,
            refresh_s: hardware.refresh_s,
            hardware_text: hardware.source.clone(),
            technology,
            network: Arc::new(network),
            target,
            dsp: hardware.dsp,
            stages,
            thresholds,
            dataflow,
            functions,
            map,
            absorbed,
            remarks,
        })
    }

    /// What the network's flow would not build as the network file says, in layers' order.
    #[must_use]
    pub fn remarks(&self) -> &[Note] {
        &self.remarks
    }

    /// Name of the hardware configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Clock in megahertz, where the hardware file states it.
    #[must_use]
    pub fn clock_mhz(&self) -> Option<f64> {
        self.clock_mhz
    }

    /// The slices that FINN's RTL multiplies on, where the hardware file states them.
    #[must_use]
    pub fn dsp(&self) -> Option<DspBlock> {
        self.dsp
    }

    /// The text of the hardware file, where there is one.
    #[must_use]
    pub fn hardware_text(&self) -> Option<&SourceText> {
        self.hardware_text.as_ref()
    }

    /// The scrubber, where there is one.
    #[must_use]
    pub fn scrub(&self) -> Option<Scrub> {
        self.scrub
    }

    /// Time between two rewrites of all memories from outside, where there are such.
    #[must_use]
    pub fn refresh_s(&self) -> Option<f64> {
        self.refresh_s
    }

    /// Whose units it is built of.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The technology that it is built in.
    #[must_use]
    pub fn technology(&self) -> &Technology {
        &self.technology
    }

    /// The network as this accelerator computes it: with the hardware's accumulators, and threshold
    /// encodings wide enough for every stored code.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// The matrix products in order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The matrix product of a layer.
    #[must_use]
    pub fn stage(&self, layer: LayerId) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.layer == layer)
    }

    /// The thresholding stages whose width the hardware file states, in order.
    #[must_use]
    pub fn threshold_stages(&self) -> &[ThresholdStage] {
        &self.thresholds
    }

    /// The thresholding stage of a layer, where the hardware file states its width.
    #[must_use]
    pub fn threshold_stage(&self, layer: LayerId) -> Option<&ThresholdStage> {
        self.thresholds.iter().find(|stage| stage.layer == layer)
    }

    /// Cycles between two samples: those of the slowest matrix product, padding, window generator, or
    /// thresholding stage of stated width; of a design of hls4ml's functions those of the slowest function.
    #[must_use]
    pub fn initiation_interval(&self) -> Option<u64> {
        if let Some(interval) = self.functions.as_ref().and_then(|functions| functions.interval) {
            return Some(interval);
        }
        let products = self.stages.iter().map(Stage::initiation_interval);
        let thresholds = self.thresholds.iter().map(|stage| stage.cycles);
        products.chain(thresholds).max()
    }

    /// Transpositions that are no hardware.
    #[must_use]
    pub fn absorbed(&self) -> &Absorbed {
        &self.absorbed
    }

    /// The functions of a design that hls4ml builds; none for other targets.
    #[must_use]
    pub fn functions(&self) -> Option<&Functions> {
        self.functions.as_ref()
    }

    /// The geometry of a streamed convolution whose map a function in front pads, where that is so.
    #[must_use]
    pub fn padded_by_function(&self, layer: LayerId, mac: &Mac) -> Option<crate::network::Geometry> {
        let functions = self.functions.as_ref()?;
        functions::padded(&self.network, layer, mac, functions.io_type)
    }

    /// How the stages are coupled and timed.
    #[must_use]
    pub fn dataflow(&self) -> &Dataflow {
        &self.dataflow
    }

    /// All memories, and the map between logical and physical addresses.
    #[must_use]
    pub fn map(&self) -> &MemoryMap {
        &self.map
    }

    /// What a memory holds after reset; padding is 0.
    ///
    /// # Panics
    /// Where there is no such memory.
    #[must_use]
    pub fn image(&self, memory: MemoryId) -> MemoryImage {
        MemoryImage::initial(&self.network, &self.map, memory)
    }

    /// What a stored bit holds after reset, as [`Accelerator::image`] has it; padding is 0.
    ///
    /// # Panics
    /// Where the bit is not below the map's number of bits.
    #[must_use]
    pub fn holds(&self, bit: StoredBit) -> bool {
        if self.map.is_padding(bit) {
            return false;
        }
        let logical = self.map.logical(bit);
        let value = self.network.params[logical.param.index()].values[logical.element as usize];
        self.stored_bits(logical.param, value)
            .is_some_and(|bits| bits >> logical.bit & 1 == 1)
    }

    /// Bits of the type of a stored tensor, of which an element has all, or those of
    /// [`StoredTensor::element_bits`]; none where the tensor is not stored.
    #[must_use]
    pub fn stored_width(&self, param: ParamId) -> Option<u32> {
        self.map.tensor(param).map(|tensor| tensor.code.width())
    }

    /// The stored bits of a mantissa of that tensor, bit 0 least significant; none where the tensor is
    /// not stored.
    #[must_use]
    pub fn stored_bits(&self, param: ParamId, mantissa: i64) -> Option<u64> {
        self.map.tensor(param).map(|tensor| tensor.code.bits_of(mantissa))
    }

    /// The mantissa that stored bits of that tensor stand for; none where the tensor is not stored.
    #[must_use]
    pub fn mantissa_of_stored(&self, param: ParamId, bits: u64) -> Option<i64> {
        self.map.tensor(param).map(|tensor| tensor.code.mantissa_of(bits))
    }

    /// The mantissa of an element after the bits of `mask` have been flipped in the memory; none where
    /// the tensor is not stored or has no such element.
    #[must_use]
    pub fn flipped_value(&self, param: ParamId, element: u64, mask: u64) -> Option<i64> {
        let tensor = self.map.tensor(param)?;
        let value = *self.network.params[param.index()]
            .values
            .get(usize::try_from(element).ok()?)?;
        Some(tensor.flipped(element, value, mask))
    }
}

/// Whether the network file says that a tensor is part of the logic.
fn is_logic(network: &Network, layer: LayerId, kind: ParamKind) -> bool {
    let hint = network.layer(layer).hints.tensor(kind);
    hint.is_some_and(|hint| hint.logic)
}

/// Whether each element of a tensor has a register of its own width: where the network file says that elements have
/// such widths, and no word is shared.
fn has_own_widths(network: &Network, id: ParamId, storage: ThresholdStorage) -> bool {
    let param = network.param(id);
    let hint = network.layer(param.layer).hints.tensor(param.kind);
    hint.is_some_and(|hint| hint.own_widths)
        && storage.style == Style::Registers
        && storage.packing == Packing::Element
}

/// Parameters by layer, then by kind.
fn storage_order(network: &Network) -> Vec<(ParamId, LayerId, ParamKind)> {
    let mut order: Vec<_> = network
        .params
        .iter()
        .enumerate()
        .map(|(index, param)| (ParamId::from(index), param.layer, param.kind))
        .collect();
    order.sort_by_key(|&(id, layer, kind)| (layer, kind, id));
    order
}

fn check_names(network: &Network, hardware: &Hardware) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for param in &network.params {
        if !seen.insert((param.layer, param.kind)) {
            return Err(Problem::DuplicateTensor {
                layer: network.layer(param.layer).name.clone(),
                tensor: param.kind.name(),
            });
        }
    }
    for (name, entry) in &hardware.layers {
        let Some(layer) = network.layer_named(name) else {
            return Err(Problem::UnknownLayer {
                layer: name.clone(),
                known: network.layers.iter().map(|layer| layer.name.clone()).collect(),
            });
        };
        for (kind, field) in entry.tensors() {
            if network.param_of(layer, kind).is_none() {
                return Err(Problem::NoSuchTensor {
                    layer: name.clone(),
                    field,
                    known: STORED_KINDS
                        .into_iter()
                        .filter(|kind| network.param_of(layer, *kind).is_some())
                        .map(ParamKind::name)
                        .collect(),
                });
            }
            if is_logic(network, layer, kind) {
                return Err(Problem::Logic {
                    layer: name.clone(),
                    tensor: kind.name(),
                    field,
                });
            }
        }
        let field = match (entry.folding, entry.accumulator) {
            (Some(_), _) => "folding",
            (None, Some(_)) => "accumulator",
            (None, None) => continue,
        };
        if mac_of(network, layer).is_none() {
            return Err(Problem::NoProduct {
                layer: name.clone(),
                field,
            });
        }
    }
    Ok(())
}

fn mac_of(network: &Network, layer: LayerId) -> Option<&Mac> {
    network.nodes.iter().find_map(|node| match &node.op {
        Op::Mac(mac) if node.layer == layer => Some(mac),
        _ => None,
    })
}

fn check_style(layer: &str, kind: ParamKind, style: Style, technology: &Technology) -> Result<(), Problem> {
    let has = |style: Style| match style {
        Style::Registers | Style::Constant => true,
        Style::RegisterFile => technology.register_file.is_some(),
        Style::LutRam => technology.lut_ram.is_some(),
        Style::BlockRam | Style::Rom => technology.block_ram.is_some(),
        Style::UltraRam => technology.ultra_ram.is_some(),
        Style::Sram => technology.sram_bit.is_some(),
    };
    if has(style) {
        return Ok(());
    }
    Err(Problem::Style {
        layer: layer.to_owned(),
        tensor: kind.name(),
        style: style.name(),
        technology: technology.name.clone(),
        expected: (Style::STORED.into_iter().chain([Style::Constant]))
            .filter(|&style| has(style))
            .map(Style::name)
            .collect(),
    })
}

fn stored_code(
    network: &Network,
    id: ParamId,
    layer: &str,
    storage: ThresholdStorage,
) -> Result<StoredCode, Problem> {
    let param = network.param(id);
    if param.kind != ParamKind::Threshold {
        let plain = || StoredCode::plain(param.encoding);
        return Ok(param.zero_point.map_or_else(plain, StoredCode::with_zero_point));
    }
    let counts = mac_of(network, param.layer).is_some_and(|mac| mac.popcount);
    let (fits, sums, expected) = match storage.encoding {
        ThresholdEncoding::Plain => (true, "", ""),
        ThresholdEncoding::Dot | ThresholdEncoding::DoubledDot => {
            (!counts, "counts matching bits", "XnorPopcount or Plain")
        }
        ThresholdEncoding::XnorPopcount => {
            (counts, "does not count matching bits", "Dot, DoubledDot or Plain")
        }
    };
    if !fits {
        return Err(Problem::Encoding {
            layer: layer.to_owned(),
            encoding: storage.encoding.name(),
            sums,
            expected,
        });
    }
    StoredCode::thresholds(param.encoding, storage.encoding, storage.width, &param.values).map_err(|error| {
        match error {
            CodeError::Width(value) => Problem::Width {
                layer: layer.to_owned(),
                field: "thresholds.width",
                value,
                max: crate::fixed_point::MAX_STORED_WIDTH,
            },
            CodeError::Value {
                element,
                stored,
                width,
                needed,
            } => Problem::WidthTooNarrow {
                layer: layer.to_owned(),
                tensor: param.kind.name(),
                element,
                stored,
                width,
                needed,
            },
        }
    })
}

/// Widens a threshold's encoding until it holds what any stored bits stand for.
fn hold_every_code(param: &mut Param, code: StoredCode) {
    let Encoding::Fixed(format) = param.encoding else {
        return;
    };
    let (low, high) = code.range();
    let (low, high) = (i128::from(low), i128::from(high));
    if format.contains(low) && format.contains(high) {
        return;
    }
    let low = low.min(format.min_mantissa());
    let high = high.max(format.max_mantissa());
    if let Ok(wide) = Format::holding(low, high, format.frac()) {
        param.encoding = Encoding::Fixed(wide);
    }
}

/// How a layer is spread over time.
#[derive(Clone, Copy)]
struct Folded<'a> {
    stage: Option<&'a Stage>,
    thresholds: Option<&'a ThresholdStage>,
}

fn layout(
    network: &Network,
    id: ParamId,
    layer: &str,
    packing: Packing,
    width: u32,
    folded: Folded<'_>,
) -> Result<Layout, Problem> {
    let param = network.param(id);
    let elements = param.values.len() as u64;
    let impossible = |reason, expected: &str| Problem::Packing {
        layer: layer.to_owned(),
        tensor: param.kind.name(),
        packing: packing.name(),
        reason,
        expected: expected.to_owned(),
    };
    let stage = folded.stage;
    let layout = match packing {
        Packing::Element => Layout::linear(elements, width, 1, None),
        Packing::Words {
            elements_per_word,
            word_bits,
        } => {
            let lanes = u64::from(elements_per_word);
            let needed = lanes * u64::from(width);
            if lanes == 0 || word_bits.is_some_and(|bits| u64::from(bits) < needed) {
                return Err(Problem::WordTooNarrow {
                    layer: layer.to_owned(),
                    tensor: param.kind.name(),
                    elements_per_word: lanes,
                    element_bits: width,
                    word_bits: word_bits.unwrap_or(0),
                });
            }
            if word_bits.is_some_and(|bits| bits > MAX_WORD_BITS) {
                return Err(Problem::Width {
                    layer: layer.to_owned(),
                    field: "packing.word_bits",
                    value: word_bits.unwrap_or(0),
                    max: MAX_WORD_BITS,
                });
            }
            // More lanes than elements would only be padding.
            let lanes = lanes.min(elements);
            Layout::linear(elements, width, lanes, word_bits.map(u64::from))
        }
        Packing::ReuseFactor => {
            let reuse = match stage.map(|stage| stage.folding) {
                Some(Folding::Hls4ml { reuse_factor }) if param.kind == ParamKind::Weight => reuse_factor,
                Some(Folding::Hls4ml { .. }) => {
                    return Err(impossible(
                        "is for weights only",
                        "expected Element: hls4ml keeps other tensors in registers; change `packing`",
                    ));
                }
                _ => {
                    return Err(impossible(
                        "needs a reuse factor",
                        "expected `folding: Hls4ml(reuse_factor: ...)` in the same entry",
                    ));
                }
            };
            Layout::strided(elements, width, u64::from(reuse).min(elements))
        }
        Packing::PerPe | Packing::Memblock => {
            let own = folded
                .thresholds
                .filter(|_| param.kind == ParamKind::Threshold)
                .map(|stage| (stage.pe, 1));
            let Some((pe, simd)) = own.or_else(|| stage.and_then(Stage::finn)) else {
                return Err(impossible(
                    "needs processing elements",
                    "expected `folding: Finn(pe: ..., simd: ...)`, or `pe` for thresholds, in the same entry",
                ));
            };
            let rows = param.shape.first().copied().unwrap_or(1).max(1) as u64;
            let columns = elements / rows;
            // One row of thresholds or slopes serves all channels, so one memory serves all PEs.
            let pe = if rows == 1 { 1 } else { u64::from(pe) };
            let simd = if param.kind == ParamKind::Weight {
                u64::from(simd)
            } else {
                columns
            };
            if rows * columns != elements
                || simd == 0
                || !rows.is_multiple_of(pe)
                || !columns.is_multiple_of(simd)
            {
                return Err(impossible(
                    "does not divide the tensor's rows and columns",
                    "expected a tensor of as many rows as the layer has output channels; use Element or Words",
                ));
            }
            if packing == Packing::PerPe {
                Layout::per_pe(rows, columns, width, pe, simd)
            } else {
                Layout::memblock(rows, columns, width, pe, simd)
            }
        }
    };
    if layout.word_bits() > u64::from(u32::MAX) || layout.memories() > u64::from(u32::MAX) {
        return Err(impossible(
            "makes a word of more than 2^32 bits",
            "expected a narrower folding",
        ));
    }
    Ok(layout)
}

/// Widest word that a hardware file may ask for beyond its elements.
const MAX_WORD_BITS: u32 = 1 << 16;
