//! When the functions of an hls4ml project take their words and hand out their results: the one source of the cycles
//! that `inspect` states and of the loops that the cycle engine runs.
//!
//! hls4ml writes one function per layer. Streamed (`io_stream`) they run side by side (`DATAFLOW`), each for one
//! sample at a time: a function of latency `L` starts again `L + 1` cycles after it started, and the slowest one is the
//! interval of the design. A loop of `P` iterations takes `(P - 1) * II + IL + 1` cycles, the one for entering it.
//! Between arrays (`io_parallel`) a design of dense layers by the strategy Latency is one pipeline, whose interval is
//! that of its slowest product; any other is a `DATAFLOW` as well. From 2024.1 on loops start the next sample while
//! the last one drains. These forms are structural; the numbers in [`fit`] are fitted to synthesis reports.

mod arrival;
mod fit;

use serde::Serialize;

use super::folding::Stage;
use super::hardware::{Folding, Hardware, HlsTool, IoType};
use super::pixels::{Step, steps};
use super::target::Target;
use super::window::padding;
use crate::network::{Geometry, LayerId, Mac, Network, Node, Op, TensorId};
use fit::Fit;

/// How far the numbers lie from synthesis reports: a share of the report, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    /// Reports that were compared.
    pub reports: u32,
    /// Lowest deviation of the latency, that of a quarter and that of three quarters of the reports, and the highest.
    pub latency_percent: [i32; 4],
    /// The same of the interval.
    pub interval_percent: [i32; 4],
}

/// The band of all reports in `docs/cycle-engine.md`; a number of a design outside of them can lie further off.
pub const REPORT_BAND: Band = Band {
    reports: 21,
    latency_percent: [-24, 0, 15, 378],
    interval_percent: [-8, 0, 0, 327],
};

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionKind {
    /// A convolution behind a line buffer.
    Convolution,
    /// A convolution with a kernel of one pixel.
    Pointwise,
    /// A dense layer.
    Dense,
    /// A function of each element.
    Activation,
    /// A pool.
    Pool,
    /// Softmax.
    Softmax,
}

/// When a function takes its words and hands out its results, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionTiming {
    /// The layer.
    pub layer: LayerId,
    /// The tensor that it makes.
    #[serde(skip)]
    pub output: TensorId,
    /// What it does.
    pub kind: FunctionKind,
    /// Iterations of its loop for one sample.
    pub iterations: u64,
    /// How often each multiplier is used for one result; 1 where there is none.
    pub uses: u64,
    /// From an iteration that hands out a result to the next one.
    pub initiation_interval: u64,
    /// From an iteration that hands out none to the next one.
    pub idle_interval: u64,
    /// From taking the last word of a result to handing it out.
    pub iteration_latency: u64,
    /// Cycles of the function for one sample as its report states them at most: as if every iteration handed out a
    /// result.
    pub latency: u64,
    /// Between the starts of two samples, as part of the design.
    pub interval: u64,
    /// The same as a report states it at most.
    pub longest_interval: u64,
}

/// All functions of a design.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Functions {
    /// How words pass between them.
    pub io_type: IoType,
    /// The tool.
    pub tool: HlsTool,
    /// Its version, where it is stated.
    pub version: Option<(u16, u16)>,
    /// The clock period that the schedule is for.
    pub period_ns: f64,
    /// Whether the whole design is one pipeline, without FIFOs between its functions.
    pub pipelined: bool,
    /// Those that are known, in execution order.
    pub timings: Vec<FunctionTiming>,
    /// Cycles from the first word in to the last word out of one sample, where the network is a chain of known
    /// functions that start when their words come.
    pub latency: Option<u64>,
    /// Cycles between two samples, where every function is known.
    pub interval: Option<u64>,
    /// The latency if every iteration handed out a result, which is what a report states at most.
    pub longest_latency: Option<u64>,
    /// The interval by the same count.
    pub longest_interval: Option<u64>,
}

/// The strategy by which a product is built, as far as its cycles depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Latency,
    Resource,
}

impl Functions {
    /// The functions of a design that hls4ml builds; none for other targets.
    pub(super) fn of(
        network: &Network,
        hardware: &Hardware,
        target: Target,
        stages: &[Stage],
    ) -> Option<Self> {
        if target != Target::Hls4ml {
            return None;
        }
        let build = hardware.hls4ml.unwrap_or_default();
        let hint = |of: fn(&crate::network::BuildHints) -> Option<&String>| {
            network
                .layers
                .iter()
                .find_map(|layer| of(&layer.hints))
                .map(String::as_str)
        };
        let of_file = match hint(|hints| hints.io_type.as_ref()) {
            Some("io_stream") => IoType::Stream,
            _ => IoType::Parallel,
        };
        let tool_of_file = match hint(|hints| hints.backend.as_ref()) {
            Some(backend) if backend.starts_with("vivado") => HlsTool::Vivado,
            _ => HlsTool::Vitis,
        };
        let fit = Fit {
            tool: build.tool.unwrap_or(tool_of_file),
            io_type: build.io_type.unwrap_or(of_file),
            period_ns: hardware
                .clock_mhz
                .map_or(fit::DEFAULT_PERIOD_NS, |mhz| 1000.0 / mhz),
            seven_series: hardware.technology.as_deref() == Some("xc7"),
            rewinds: build.version.is_some_and(|version| version >= (2024, 1)),
        };
        let stated = |node: &Node| {
            let name = &network.layer(node.layer).name;
            hardware.field(name, |entry| entry.timing).is_some()
        };
        let pipelined = fit.io_type == IoType::Parallel
            && !network.nodes.iter().any(stated)
            && network
                .nodes
                .iter()
                .all(|node| is_pipelined(network, node, stages));
        let resolver = Resolver {
            network,
            hardware,
            stages,
            fit,
            pipelined,
        };
        let mut timings: Vec<FunctionTiming> = Vec::new();
        for node in &network.nodes {
            let Some(timing) = resolver.function(node) else {
                continue;
            };
            if pipelined && timing.kind == FunctionKind::Activation && fit.rectifier_word() == 0 {
                // A rectifier costs no cycle of its own: it has the last register of the product in front.
                let steps = resolver.steps_of(node.inputs[0]);
                if let Some(before) = timings.iter_mut().find(|before| before.output == node.inputs[0])
                    && before.iteration_latency > steps
                {
                    before.iteration_latency -= 1;
                    before.latency -= 1;
                }
            }
            timings.push(timing);
        }
        let mut functions = Self {
            io_type: fit.io_type,
            tool: fit.tool,
            version: build.version,
            period_ns: fit.period_ns,
            pipelined,
            timings,
            latency: None,
            interval: None,
            longest_latency: None,
            longest_interval: None,
        };
        let of = |longest: bool| arrival::of(network, hardware, stages, &functions, longest);
        let (own, longest) = (of(false), of(true));
        (functions.latency, functions.interval) = own;
        (functions.longest_latency, functions.longest_interval) = longest;
        Some(functions)
    }

    /// The function that makes a tensor.
    #[must_use]
    pub fn making(&self, output: TensorId) -> Option<&FunctionTiming> {
        self.timings.iter().find(|timing| timing.output == output)
    }
}

/// Whether a node fits a design that is one pipeline.
fn is_pipelined(network: &Network, node: &Node, stages: &[Stage]) -> bool {
    let single = |id: TensorId| network.tensor(id).len() == network.tensor(id).channels();
    match &node.op {
        Op::Mac(mac) => {
            let stage = stages.iter().find(|stage| stage.layer == node.layer);
            single(node.inputs[0])
                && single(node.output)
                && stage.is_some_and(|stage| strategy(network, node.layer, stage) == Strategy::Latency)
                && mac.geometry.input[0] * mac.geometry.input[1] == 1
        }
        _ => node.inputs.len() == 1 && single(node.inputs[0]) && single(node.output),
    }
}

fn strategy(network: &Network, layer: LayerId, stage: &Stage) -> Strategy {
    let hints = &network.layer(layer).hints;
    let reuse = match stage.folding {
        Folding::Hls4ml { reuse_factor } => reuse_factor,
        Folding::Finn { .. } => 1,
    };
    match hints.strategy.as_deref() {
        Some("latency" | "distributed_arithmetic") => Strategy::Latency,
        Some("resource" | "resource_unrolled") => Strategy::Resource,
        _ if hints.io_type.is_some() || reuse == 1 => Strategy::Latency,
        _ => Strategy::Resource,
    }
}

/// How often each multiplier is used for one result. The strategy Latency asks for so many multipliers that each is
/// used at most as often as the reuse factor says, which can be less often (`multiplier_limit`).
fn uses(strategy: Strategy, weights: u64, reuse: u64) -> u64 {
    match strategy {
        Strategy::Resource => reuse,
        Strategy::Latency => weights.max(1).div_ceil(weights.max(1).div_ceil(reuse.max(1))),
    }
}

struct Resolver<'a> {
    network: &'a Network,
    hardware: &'a Hardware,
    stages: &'a [Stage],
    fit: Fit,
    pipelined: bool,
}

impl Resolver<'_> {
    /// Steps of a product's multipliers for one result.
    fn steps_of(&self, output: TensorId) -> u64 {
        let made = self.network.nodes.iter().find(|node| node.output == output);
        let stage = made.and_then(|node| self.stages.iter().find(|stage| stage.layer == node.layer));
        match stage.map(|stage| (stage, stage.folding)) {
            Some((stage, Folding::Hls4ml { reuse_factor })) => {
                let strategy = strategy(self.network, stage.layer, stage);
                uses(strategy, stage.shape.weights(), u64::from(reuse_factor))
            }
            _ => 1,
        }
    }

    fn function(&self, node: &Node) -> Option<FunctionTiming> {
        // What a report states holds as it stands.
        let name = &self.network.layer(node.layer).name;
        if self.hardware.field(name, |entry| entry.timing).is_some() {
            return None;
        }
        let words = |id: TensorId| {
            let tensor = self.network.tensor(id);
            (tensor.len() / tensor.channels().max(1)) as u64
        };
        let first = self.is_first(node);
        match &node.op {
            Op::Mac(mac) => self.product(node, mac),
            Op::Pool(pool) if first => {
                let (interval, latency) = self.fit.pool();
                let taken = (pool.geometry.input[0] * pool.geometry.input[1]) as u64;
                Some(self.looped(node, FunctionKind::Pool, taken, interval, latency))
            }
            Op::Softmax(softmax) if first && words(node.inputs[0]) == 1 => {
                let latency = self.fit.softmax(softmax.slice as u64) + u64::from(self.pipelined);
                Some(self.word(node, FunctionKind::Softmax, latency))
            }
            Op::Relu(_) | Op::Table(_) | Op::Clip { .. } | Op::Affine(_) | Op::Cast if first => {
                let more = match &node.op {
                    Op::Table(_) => self.fit.table(),
                    Op::Affine(_) => 1,
                    _ => 0,
                };
                Some(match words(node.inputs[0]) {
                    1 => {
                        let own = u64::from(self.pipelined && more > 0);
                        let latency = self.fit.rectifier_word() + more + own;
                        self.word(node, FunctionKind::Activation, latency.max(1))
                    }
                    words => {
                        let latency = self.fit.rectifier() + more;
                        self.looped(node, FunctionKind::Activation, words, 1, latency)
                    }
                })
            }
            _ => None,
        }
    }

    /// Whether a node is the first of its layer, so that it stands for the layer's function.
    fn is_first(&self, node: &Node) -> bool {
        let input = node.inputs[0];
        let maker = self.network.nodes.iter().find(|before| before.output == input);
        node.inputs.len() == 1 && maker.is_none_or(|before| before.layer != node.layer)
    }

    /// A function of one word.
    fn word(&self, node: &Node, kind: FunctionKind, latency: u64) -> FunctionTiming {
        let interval = if self.pipelined { 1 } else { latency + 1 };
        FunctionTiming {
            layer: node.layer,
            output: node.output,
            kind,
            iterations: 1,
            uses: 1,
            initiation_interval: 1,
            idle_interval: 1,
            iteration_latency: latency,
            latency,
            interval,
            longest_interval: interval,
        }
    }

    /// A pipelined loop.
    fn looped(
        &self,
        node: &Node,
        kind: FunctionKind,
        words: u64,
        interval: u64,
        latency: u64,
    ) -> FunctionTiming {
        let whole = words.saturating_sub(1) * interval + latency + 1;
        let between = if self.fit.rewinds {
            words * interval
        } else {
            whole + 1
        };
        FunctionTiming {
            layer: node.layer,
            output: node.output,
            kind,
            iterations: words,
            uses: 1,
            initiation_interval: interval,
            idle_interval: interval,
            iteration_latency: latency,
            latency: whole,
            interval: between,
            longest_interval: between,
        }
    }

    fn product(&self, node: &Node, mac: &Mac) -> Option<FunctionTiming> {
        let stage = self.stages.iter().find(|stage| stage.layer == node.layer)?;
        let Folding::Hls4ml { reuse_factor } = stage.folding else {
            return None;
        };
        let strategy = strategy(self.network, node.layer, stage);
        let reuse = uses(strategy, stage.shape.weights(), u64::from(reuse_factor));
        let taps = stage.shape.columns;
        let [height, width, _] = mac.geometry.input;
        let pixels = height * width;
        if pixels == 1 && mac.geometry.output[0] * mac.geometry.output[1] == 1 {
            return Some(self.dense(node, strategy, taps, reuse));
        }
        if mac.transposed {
            return None;
        }
        let geometry = self.seen(node.layer, mac);
        let steps = steps(&geometry, false);
        let windows = steps.iter().filter(|step| step.completes).count() as u64;
        let iterations = steps.len() as u64;
        let pointwise = mac.geometry.window.kernel == [1, 1];
        let kind = if pointwise {
            FunctionKind::Pointwise
        } else {
            FunctionKind::Convolution
        };
        let (interval, idle, latency) = match (strategy, self.fit.io_type) {
            (Strategy::Resource, _) => {
                let (interval, idle) = self.fit.resource_convolution(reuse);
                (interval, idle, interval)
            }
            (Strategy::Latency, IoType::Parallel) => {
                let (interval, latency) = self.fit.parallel_convolution(reuse);
                (interval, 1, latency)
            }
            (Strategy::Latency, IoType::Stream) => {
                let (interval, latency) = if pointwise {
                    self.fit.pointwise(taps, reuse)
                } else {
                    self.fit.convolution(taps, reuse)
                };
                (interval, interval, latency)
            }
        };
        let all = windows * interval + (iterations - windows) * idle;
        let last = if steps.last()?.completes { interval } else { idle };
        let whole = all - last + latency + 1;
        let longest = (iterations - 1) * interval + latency + 1;
        let rewinds = self.fit.rewinds && strategy == Strategy::Latency;
        Some(FunctionTiming {
            layer: node.layer,
            output: node.output,
            kind,
            iterations,
            uses: reuse,
            initiation_interval: interval,
            idle_interval: idle,
            iteration_latency: latency,
            latency: longest,
            interval: if rewinds { all } else { whole + 1 },
            longest_interval: if rewinds {
                iterations * interval
            } else {
                longest + 1
            },
        })
    }

    /// The map that a convolution's loop runs over: the padded one where a function in front pads it.
    fn seen(&self, layer: LayerId, mac: &Mac) -> Geometry {
        match padded(self.network, layer, mac, self.fit.io_type) {
            Some(padded) => padded,
            None => mac.geometry,
        }
    }

    fn dense(&self, node: &Node, strategy: Strategy, taps: u64, reuse: u64) -> FunctionTiming {
        let words = self.words_of_dense(node);
        let latency = match strategy {
            _ if self.pipelined => self.fit.pipelined_dense(reuse),
            Strategy::Latency => self.fit.dense(words, taps, reuse),
            Strategy::Resource => self.fit.resource_dense(words, reuse),
        };
        // The words are collected first.
        let iteration_latency = latency - if words == 1 { 0 } else { words };
        let rewinds =
            strategy == Strategy::Resource && words == 1 && reuse > taps && self.fit.tool == HlsTool::Vitis;
        let interval = if self.pipelined || rewinds {
            reuse
        } else {
            latency + 1
        };
        FunctionTiming {
            layer: node.layer,
            output: node.output,
            kind: FunctionKind::Dense,
            iterations: 1,
            uses: reuse,
            initiation_interval: reuse,
            idle_interval: reuse,
            iteration_latency: iteration_latency.max(reuse),
            latency: latency.max(reuse),
            interval: interval.max(reuse),
            longest_interval: interval.max(reuse),
        }
    }

    /// Words of the map that a dense layer's input was, through reshapes.
    fn words_of_dense(&self, node: &Node) -> u64 {
        let mut id = node.inputs[0];
        while let Some(before) = self.network.nodes.iter().find(|before| before.output == id)
            && matches!(before.op, Op::Reshape)
        {
            id = before.inputs[0];
        }
        let tensor = self.network.tensor(id);
        (tensor.len() / tensor.channels().max(1)) as u64
    }
}

/// The geometry of a streamed convolution behind a function that pads its map; none where nothing is padded, or where
/// the windows are put together without one.
pub(super) fn padded(network: &Network, layer: LayerId, mac: &Mac, io_type: IoType) -> Option<Geometry> {
    let [rows, columns] = padding(network.layer(layer), mac);
    if io_type == IoType::Parallel || mac.transposed || [rows, columns] == [[0, 0], [0, 0]] {
        return None;
    }
    let Geometry {
        input,
        output,
        mut window,
    } = mac.geometry;
    window.pad = [0, 0];
    let input = [
        rows[0] + input[0] + rows[1],
        columns[0] + input[1] + columns[1],
        input[2],
    ];
    Some(Geometry {
        input,
        output,
        window,
    })
}
