//! How is it built? Layers, formats, stored bits, memories, stages, registers, cycles, area.

use miette::Diagnostic;
use serde::{Deserialize, Serialize};

use super::conduct::{folder_error, open_plain};
use super::ranges::{self, RangesReport, encoding};
use super::{Design, NetworkRequest, SamplesRequest, Session, StudyError};
use crate::accelerator::{
    Accelerator, Band, Folding, FoldingSource, FunctionTiming, HlsTool, IoType, REPORT_BAND, STORED_KINDS,
    StoredTensor, ThresholdStage, WindowStage,
};
use crate::data::InputLog;
use crate::network::{LayerId, Node, Note, Op};
use crate::scheme::{AreaReport, Ledger, Scheme};
use crate::simulate::cycle::{BuildError, Pipeline, Register, RegisterClass, RegisterTable, RegisterTensor};

/// Asks how a network is built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InspectRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples, for ranges.
    pub samples: SamplesRequest,
    /// Whether ranges, overflows and unused bits on the samples are reported.
    pub ranges: bool,
    /// Whether every register is listed by name.
    pub registers: bool,
}

/// A tensor at an end of the accelerator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndReport {
    /// Its shape, channels last.
    pub shape: Vec<usize>,
    /// Its format.
    pub format: String,
    /// Value of its unit.
    pub scale: f64,
    /// Further factors of its channels, where those have no common unit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel_scales: Vec<f64>,
    /// Real offsets of the channels behind their scales, at the output, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel_offsets: Vec<f64>,
    /// How reals become its mantissas, at the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorReport {
    /// Which: weight, bias, ...
    pub tensor: &'static str,
    /// Its name in the project that the flow writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Format of its values.
    pub format: String,
    /// Values.
    pub elements: u64,
    /// Stored bits, padding included.
    pub stored_bits: u64,
    /// Padding bits.
    pub padding_bits: u64,
    /// Bits of the type of a stored value: every value has all of them, but for `own_widths`.
    pub stored_width: u32,
    /// Whether every value is stored in the narrowest width that holds it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_widths: bool,
}

/// A matrix product as it is built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoldingReport {
    /// Rows of the matrix.
    pub mh: u64,
    /// Its columns.
    pub mw: u64,
    /// Vectors of one sample.
    pub vectors: u64,
    /// How it is folded.
    pub folding: Folding,
    /// Who says so.
    pub folding_source: FoldingSource,
    /// Multipliers.
    pub multipliers: u64,
    /// Cycles of the product.
    pub product_cycles: u64,
    /// Cycles of the window generator, where there is one.
    pub window_cycles: Option<u64>,
    /// Cycles of the padding in front of that, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding_cycles: Option<u64>,
    /// The window generator, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowStage>,
    /// Whether the cycles are a request to a synthesis tool instead of a property of the design.
    pub requested: bool,
    /// Cycles between two samples.
    #[serde(skip)]
    pub initiation_interval: u64,
}

/// An accumulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccumulatorReport {
    /// Its format.
    pub format: String,
    /// Whether a file states it.
    pub stated: bool,
}

/// Registers of one class in one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisterGroup {
    /// The class.
    pub class: &'static str,
    /// Elements.
    pub elements: u64,
    /// Bits.
    pub bits: u64,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub kind: String,
    /// Shape of what it hands on.
    pub output_shape: Vec<usize>,
    /// Format of that.
    pub output_format: String,
    /// Value of its unit.
    pub output_scale: f64,
    /// The accumulator, where there is a matrix product.
    pub accumulator: Option<AccumulatorReport>,
    /// The matrix product, where there is one.
    pub stage: Option<FoldingReport>,
    /// The stage that compares with its thresholds, where the hardware file states its width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholding: Option<ThresholdStage>,
    /// Its functions in hls4ml's project, where the target is hls4ml and no report states their loops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionTiming>,
    /// What it stores.
    pub tensors: Vec<TensorReport>,
    /// Its registers, where the cycle engine builds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registers: Option<Vec<RegisterGroup>>,
}

impl LayerReport {
    /// Cycles between two samples of its slowest stage, where they are known.
    #[must_use]
    pub fn cycles(&self) -> Option<u64> {
        let function = self.functions.iter().map(|function| function.interval).max();
        let product = self.stage.as_ref().map(|stage| stage.initiation_interval);
        function
            .or(product)
            .max(self.thresholding.map(|stage| stage.cycles))
    }
}

/// A memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredMemoryReport {
    /// Its name.
    pub name: String,
    /// The layer that reads it.
    pub layer: String,
    /// The tensor that it holds.
    pub tensor: &'static str,
    /// That tensor's name in the project that the flow writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// What kind of memory it is.
    pub style: &'static str,
    /// Words.
    pub depth: u64,
    /// Bits of a word.
    pub word_bits: u32,
    /// Words whose bits take turns along a row.
    pub interleave: u32,
    /// Bits.
    pub bits: u64,
}

/// Cycles between two samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CyclesReport {
    /// The number.
    pub initiation_interval: Option<u64>,
    /// How it was obtained.
    pub method: &'static str,
    /// The clock, where the hardware file states one.
    pub clock_mhz: Option<f64>,
    /// What hls4ml's functions take, where the target is hls4ml.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls4ml: Option<ScheduleReport>,
}

/// What hls4ml's functions take, by rules whose numbers are fitted to synthesis reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleReport {
    /// How words pass between them.
    pub io_type: IoType,
    /// The synthesis tool.
    pub tool: HlsTool,
    /// Its version, where it is stated.
    pub version: Option<(u16, u16)>,
    /// Clock period that the schedule is for.
    pub period_ns: f64,
    /// Whether the whole design is one pipeline.
    pub pipelined: bool,
    /// Cycles from the first word in to the last word out of a sample, where the network is a chain.
    pub latency: Option<u64>,
    /// The latency that a report states at most, as if every pixel completed a window.
    pub longest_latency: Option<u64>,
    /// The interval that a report states at most.
    pub longest_interval: Option<u64>,
    /// How far such numbers lie from synthesis reports.
    pub band: Band,
}

/// A stage of the cycle engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Bits of its registers.
    pub bits: u64,
    /// Depth, where it is a FIFO.
    pub fifo_depth: Option<usize>,
}

/// Bits by name, in order.
pub type BitsByName = serde_json::Map<String, serde_json::Value>;

/// A register of the cycle engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedRegister {
    /// `<layer>.<unit>.<register>`; a lane of a word is `<path>[word].lane`.
    pub path: String,
    /// What it is for.
    pub class: &'static str,
    /// Words.
    pub words: usize,
    /// Lanes of a word.
    pub lanes: usize,
    /// Bits of a lane.
    pub lane_bits: u32,
    /// Bits of all.
    pub bits: u64,
    /// When what it holds can matter: `always`, `until overwritten`, `while` with the registers of its unit that say
    /// so, `never`.
    pub live: String,
    /// The paths of those registers.
    pub live_flags: Vec<String>,
}

impl NamedRegister {
    fn of(table: &RegisterTable, at: usize) -> Self {
        let row = &table.rows()[at];
        let register = &row.register;
        let flags = row.live.conditions().iter();
        let flags = flags.filter_map(|condition| table.flag(at, condition.flag));
        Self {
            live: row.live.to_string(),
            live_flags: flags.map(|flag| flag.path.clone()).collect(),
            path: row.path.clone(),
            class: register.class.name(),
            words: register.words,
            lanes: register.lanes,
            lane_bits: register.lane_bits,
            bits: register.bits(),
        }
    }
}

/// How a network is built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// The technology.
    pub technology: String,
    /// The input.
    pub input: EndReport,
    /// The output.
    pub output: EndReport,
    /// What the import did that a reader of the numbers should know.
    pub notes: Vec<Note>,
    /// Stored bits of each kind of tensor, and `total`.
    pub stored_bits: BitsByName,
    /// The layers.
    pub layers: Vec<LayerReport>,
    /// The memories.
    pub memories: Vec<StoredMemoryReport>,
    /// Cycles between two samples.
    pub cycles: CyclesReport,
    /// Area of the memories.
    pub area: AreaReport,
    /// Register bits of each class, and `total`; none where the cycle engine does not build the accelerator.
    pub registers: Option<BitsByName>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registers_missing: Option<String>,
    /// Bits that an upset can hit: memories and registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_bits: Option<u64>,
    /// The stages of the cycle engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageReport>>,
    /// Every register by name, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_table: Option<Vec<NamedRegister>>,
    /// What the samples use of the formats, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<RangesReport>,
}

impl InspectRequest {
    /// Runs it; with a folder it writes `inspect.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<InspectReport, StudyError> {
        let log = InputLog::start();
        let design = Design::build(&self.network, Some(&self.samples))?;
        let ranges = self.ranges.then(|| ranges::measure(&design)).transpose()?;
        let report = report(&design, ranges, self.registers);
        let path = session.folder.clone();
        let files = ["inspect.json"];
        if let Some(mut folder) =
            open_plain(session, path, "inspect", &design.name, self, log.finish(), files)?
        {
            folder.write_json("inspect.json", &report).map_err(folder_error)?;
            folder.done("report").map_err(folder_error)?;
            folder.finish().map_err(folder_error)?;
        }
        Ok(report)
    }
}

fn report(design: &Design, ranges: Option<RangesReport>, registers: bool) -> InspectReport {
    let accelerator = &*design.accelerator;
    let network = accelerator.network();
    let pipeline = Pipeline::new(accelerator);
    let tensors = pipeline
        .as_ref()
        .map_or_else(|_| Vec::new(), |pipeline| pipeline.tensors());
    let count = network.layers.len();
    let register_tensors = by_layer(count, &tensors, |tensor| tensor.layer);
    let nodes = by_layer(count, &network.nodes, |node| node.layer);
    let stored = by_layer(count, accelerator.map().tensors(), |tensor| tensor.layer);
    let layers = (0..count).map(|index| {
        let id = LayerId::from(index);
        let registers = pipeline.is_ok().then(|| {
            let of_layer = register_tensors[index].iter().copied();
            let group = |tensor: &RegisterTensor| RegisterGroup {
                class: tensor.class.name(),
                elements: tensor.elements(),
                bits: tensor.bits(),
            };
            of_layer.map(group).collect()
        });
        layer(accelerator, id, &nodes[index], &stored[index], registers)
    });
    let memories = accelerator
        .map()
        .memories()
        .iter()
        .map(|memory| StoredMemoryReport {
            name: memory.name.clone(),
            layer: network.layer(memory.layer).name.clone(),
            tensor: memory.kind.name(),
            project_name: network.project_name(memory.param).map(str::to_owned),
            style: memory.style.name(),
            depth: memory.depth,
            word_bits: memory.word_bits,
            interleave: memory.interleave,
            bits: memory.bits(),
        });
    let end = |id, rule: Option<&'static str>| {
        let tensor = network.tensor(id);
        EndReport {
            shape: tensor.shape.clone(),
            format: encoding(&tensor.encoding),
            scale: tensor.scale,
            channel_scales: if rule.is_none() {
                network.output_scales.clone()
            } else {
                Vec::new()
            },
            channel_offsets: if rule.is_none() {
                network.output_offsets.clone()
            } else {
                Vec::new()
            },
            rule,
        }
    };
    let stages = pipeline.as_ref().ok().map(|pipeline| {
        let stages = pipeline.stages().iter().map(|placed| StageReport {
            name: placed.name.clone(),
            kind: placed.kind,
            bits: placed.registers.iter().map(Register::bits).sum(),
            fifo_depth: placed.fifo_depth,
        });
        stages.collect()
    });
    InspectReport {
        network: network.name.clone(),
        hardware: accelerator.name().to_owned(),
        technology: accelerator.technology().name.clone(),
        input: end(network.input, Some(network.input_rule.name())),
        output: end(network.output, None),
        notes: [&network.notes[..], accelerator.remarks()].concat(),
        stored_bits: stored_bits(accelerator),
        layers: layers.collect(),
        memories: memories.collect(),
        cycles: CyclesReport {
            initiation_interval: accelerator.initiation_interval(),
            method: match accelerator.functions() {
                Some(_) => "analytic: slowest function of hls4ml's, by rules fitted to synthesis reports",
                None => {
                    "analytic: slowest stage by FINN's get_exp_cycles, or hls4ml's requested reuse factor"
                }
            },
            clock_mhz: accelerator.clock_mhz(),
            hls4ml: accelerator.functions().map(|functions| ScheduleReport {
                io_type: functions.io_type,
                tool: functions.tool,
                version: functions.version,
                period_ns: functions.period_ns,
                pipelined: functions.pipelined,
                latency: functions.latency,
                longest_latency: functions.longest_latency,
                longest_interval: functions.longest_interval,
                band: REPORT_BAND,
            }),
        },
        area: Ledger::new(accelerator, Scheme::Tmr).report(accelerator),
        registers: pipeline.is_ok().then(|| by_class(&tensors)),
        registers_missing: pipeline.as_ref().err().map(reason),
        hit_bits: pipeline
            .as_ref()
            .ok()
            .map(|pipeline| accelerator.map().total_bits() + pipeline.register_bits()),
        stages,
        register_table: pipeline.as_ref().ok().filter(|_| registers).map(|pipeline| {
            let table = pipeline.table();
            (0..table.rows().len())
                .map(|at| NamedRegister::of(&table, at))
                .collect()
        }),
        ranges,
    }
}

/// The reason why registers are not listed, with the repair.
fn reason(error: &BuildError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// Stored bits of each kind of tensor, and of all.
fn stored_bits(accelerator: &Accelerator) -> BitsByName {
    let kinds = STORED_KINDS.into_iter().map(|kind| {
        let bits = accelerator.map().bits_of_tensor(kind);
        (kind.name(), bits)
    });
    by_name(kinds, accelerator.map().total_bits())
}

/// Register bits of each class, and of all.
fn by_class(tensors: &[RegisterTensor]) -> BitsByName {
    let bits_of = |class: RegisterClass| -> u64 {
        let of_class = tensors.iter().filter(|tensor| tensor.class == class);
        of_class.map(RegisterTensor::bits).sum()
    };
    let classes = RegisterClass::ALL
        .into_iter()
        .map(|class| (class.name(), bits_of(class)));
    by_name(classes, tensors.iter().map(RegisterTensor::bits).sum())
}

fn by_name(parts: impl Iterator<Item = (&'static str, u64)>, total: u64) -> BitsByName {
    parts
        .filter(|(_, bits)| *bits > 0)
        .chain([("total", total)])
        .map(|(name, bits)| (name.to_owned(), bits.into()))
        .collect()
}

/// What each layer has, in order.
fn by_layer<T>(layers: usize, items: &[T], layer: impl Fn(&T) -> LayerId) -> Vec<Vec<&T>> {
    let mut of_layers = vec![Vec::new(); layers];
    for item in items {
        of_layers[layer(item).index()].push(item);
    }
    of_layers
}

fn layer(
    accelerator: &Accelerator,
    id: LayerId,
    nodes: &[&Node],
    stored: &[&StoredTensor],
    registers: Option<Vec<RegisterGroup>>,
) -> LayerReport {
    let network = accelerator.network();
    let layer = network.layer(id);
    let output = network.tensor(layer.output);
    let tensor = |tensor: &StoredTensor| {
        let param = network.param(tensor.param);
        TensorReport {
            tensor: tensor.kind.name(),
            project_name: network.project_name(tensor.param).map(str::to_owned),
            shape: param.shape.clone(),
            format: encoding(&param.encoding),
            elements: tensor.elements(),
            stored_bits: tensor.total_bits(),
            padding_bits: tensor.padding_bits(),
            stored_width: tensor.code.width(),
            own_widths: tensor.has_own_widths(),
        }
    };
    let accumulator = nodes.iter().find_map(|node| match &node.op {
        Op::Mac(mac) => Some(AccumulatorReport {
            format: mac.accumulator.format.to_string(),
            stated: mac.accumulator.stated,
        }),
        _ => None,
    });
    LayerReport {
        name: layer.name.clone(),
        kind: layer.kind.clone(),
        output_shape: output.shape.clone(),
        output_format: encoding(&output.encoding),
        output_scale: output.scale,
        accumulator,
        stage: accelerator.stage(id).map(|stage| FoldingReport {
            mh: stage.shape.rows,
            mw: stage.shape.columns,
            vectors: stage.shape.vectors,
            folding: stage.folding,
            folding_source: stage.folding_source,
            multipliers: stage.multipliers,
            product_cycles: stage.product_cycles,
            window_cycles: stage.window_cycles(),
            padding_cycles: stage.padding_cycles(),
            window: stage.window,
            requested: stage.requested,
            initiation_interval: stage.initiation_interval(),
        }),
        thresholding: accelerator.threshold_stage(id).copied(),
        functions: accelerator.functions().map_or_else(Vec::new, |functions| {
            let of_layer = functions.timings.iter().filter(|timing| timing.layer == id);
            of_layer.copied().collect()
        }),
        tensors: stored.iter().copied().map(tensor).collect(),
        registers,
    }
}
