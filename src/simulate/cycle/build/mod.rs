//! From a network and the way it is built to stages and streams.

mod error;
mod products;

use std::collections::{BTreeMap, HashMap};

use super::engine::MAX_PORTS;
use super::matrix::LaneCode;
use super::operators::{
    Combination, Concat, ElementWise, Fork, Frame, FrameOp, Function, Join, MAX_DEPTH, Pace, Paced,
    PoolFunction, ProgramStage, TimingError, ToOutput, WindowPool, WindowProgram,
};
use super::pipeline::{Pipeline, Placed, Stream};
use super::stage::{Stage, StreamShape};
use super::stages::{Fifo, Thresholding, ThresholdingShape, Unbuildable, WidthConverter};
use crate::accelerator::{
    Absorbed, Accelerator, FifoDepth, Folding, FunctionTiming, Functions, IoType, Target,
};
use crate::network::{Broadcast, LayerId, MultiThreshold, Network, Node, Op, Program, TensorId};
pub use error::BuildError;

/// Depths of FIFOs by their name.
pub type Depths = HashMap<String, usize>;

/// How deep the FIFOs are.
#[derive(Clone, Copy)]
pub(super) enum Fifos<'a> {
    /// As stated; those whose depth is to be found hold more than they can need.
    Draft,
    /// As stated, or as found.
    Found(&'a Depths),
    /// All of them hold more than they can need.
    Deep,
}

/// How the depth of a FIFO is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizing {
    /// The most words that it holds while the stream flows freely.
    Needed,
    /// As FINN's `InsertAndSetFIFODepths` does, from the most words that it holds where every FIFO has room for a
    /// whole tensor.
    Finn {
        /// Whether it stands at an end of the accelerator.
        end: bool,
    },
}

impl Sizing {
    /// The depth of a FIFO that held so many words at most. FINN's (`optimize_depth`, `get_adjusted_depth`) has no
    /// FIFO between 2 and 32 words, and inside the accelerator deeper ones than 256 words are of the vendor's
    /// library, which has powers of two.
    pub(super) fn depth(self, most: usize) -> usize {
        const LEAST: usize = 2;
        const SHALLOW: usize = 32;
        const DEEPEST_SHIFT_REGISTER: usize = 256;
        match self {
            Self::Needed => most.max(LEAST),
            Self::Finn { .. } if most <= LEAST => LEAST,
            Self::Finn { .. } if most <= SHALLOW => SHALLOW,
            Self::Finn { end: false } if most > DEEPEST_SHIFT_REGISTER => most.next_power_of_two(),
            Self::Finn { .. } => most,
        }
    }
}

struct Builder<'a> {
    accelerator: &'a Accelerator,
    network: &'a Network,
    pipeline: Pipeline,
    /// Streams that carry a tensor and have no consumer yet.
    open: HashMap<TensorId, Vec<usize>>,
    /// The layer that made a stream.
    made_by: HashMap<usize, LayerId>,
    fifos: Fifos<'a>,
    auto: Vec<(String, Sizing)>,
    /// Orders of elements that products take as they come.
    orders: &'a Absorbed,
    /// How many inputs of nodes and ends of the network read each tensor.
    readers: Vec<usize>,
    /// How many stages of a kind each layer has.
    placed: BTreeMap<(LayerId, &'static str), usize>,
}

/// A pipeline under construction, and the FIFOs whose depth is to be found.
pub(super) struct Built {
    pub pipeline: Pipeline,
    pub auto: Vec<(String, Sizing)>,
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Builds the stages.
pub(super) fn build(accelerator: &Accelerator, fifos: Fifos<'_>) -> Result<Built, BuildError> {
    let network = accelerator.network();
    let mut builder = Builder {
        accelerator,
        network,
        pipeline: Pipeline::empty(accelerator),
        open: HashMap::new(),
        made_by: HashMap::new(),
        fifos,
        auto: Vec::new(),
        orders: accelerator.absorbed(),
        readers: readers(network),
        placed: BTreeMap::new(),
    };
    if network.nodes.is_empty() {
        return Err(BuildError::Empty);
    }
    builder.check_ports()?;
    builder.leave_out("memory access, the host and other clocks at both ends");
    builder.source()?;
    for node in &network.nodes {
        builder.node(node)?;
    }
    builder.pipeline.output = builder.sink()?;
    // Layers that only name elements anew are wires.
    if builder.pipeline.stages.is_empty() {
        return Err(BuildError::Empty);
    }
    let Builder { pipeline, auto, .. } = builder;
    Ok(Built {
        pipeline: pipeline.laid_out(),
        auto,
    })
}

/// How many inputs of nodes and ends of the network read each tensor.
fn readers(network: &Network) -> Vec<usize> {
    let mut readers = vec![0; network.tensors.len()];
    let inputs = network.nodes.iter().flat_map(|node| &node.inputs);
    for tensor in inputs.chain([&network.output]) {
        readers[tensor.index()] += 1;
    }
    readers
}

impl Builder<'_> {
    fn shape(&self, tensor: TensorId, lanes: usize) -> StreamShape {
        StreamShape {
            lanes,
            lane_bits: self.network.tensor(tensor).encoding.width(),
        }
    }

    fn layer_name(&self, layer: LayerId) -> String {
        self.network.layer(layer).name.clone()
    }

    /// Notes what the simulation leaves out.
    fn leave_out(&mut self, what: &str) {
        if !self.pipeline.simplifications.iter().any(|known| known == what) {
            self.pipeline.simplifications.push(what.to_owned());
        }
    }

    /// Registers behind what a layer without a matrix product computes.
    fn latency(&self, layer: LayerId) -> Result<usize, BuildError> {
        let stated = self.accelerator.dataflow().layer(layer).timing;
        let Some(timing) = stated.filter(|_| self.accelerator.stage(layer).is_none()) else {
            return Ok(1);
        };
        let (latency, interval) = (timing.iteration_latency, timing.initiation_interval);
        let error = if interval != 1 {
            TimingError::Interval {
                given: u64::from(interval),
                steps: 1,
            }
        } else if !(1..=MAX_DEPTH as u32).contains(&latency) {
            TimingError::Latency {
                given: u64::from(latency),
                least: 1,
                most: MAX_DEPTH as u64,
            }
        } else {
            return Ok(latency as usize);
        };
        Err(BuildError::Timing {
            layer: self.layer_name(layer),
            error,
        })
    }

    /// How the function of a node is timed, where the node is one of hls4ml's and no report says it.
    fn function(&self, node: &Node) -> Option<FunctionTiming> {
        self.accelerator.functions()?.making(node.output).copied()
    }

    /// Registers behind the results of a node without a matrix product.
    fn latency_of(&self, node: &Node) -> Result<usize, BuildError> {
        match self.function(node) {
            Some(timing) => Ok((timing.iteration_latency as usize).clamp(1, MAX_DEPTH)),
            None => self.latency(node.layer),
        }
    }

    /// A stage at the pace of the function that it is.
    fn at_pace(&self, node: &Node, stage: Box<dyn Stage>) -> Box<dyn Stage> {
        let Some(timing) = self.function(node) else {
            return stage;
        };
        let before_last = timing.iterations.saturating_sub(1) * timing.initiation_interval;
        let pace = Pace {
            words: timing.iterations,
            every: timing.initiation_interval,
            after_last: timing
                .interval
                .saturating_sub(before_last)
                .max(timing.initiation_interval),
        };
        Paced::stage(stage, pace)
    }

    fn refuse(&self, layer: LayerId, error: Unbuildable) -> BuildError {
        BuildError::Stage {
            layer: self.layer_name(layer),
            error,
        }
    }

    fn stream(&mut self, shape: StreamShape, elements: usize) -> usize {
        self.pipeline.streams.push(Stream {
            shape,
            from: None,
            to: None,
            words: (elements / shape.lanes) as u64,
        });
        self.pipeline.streams.len() - 1
    }

    /// The name of the next stage of that kind in a layer.
    fn name(&self, layer: LayerId, kind: &'static str) -> String {
        let base = format!("{}.{kind}", self.layer_name(layer));
        match self.placed.get(&(layer, kind)) {
            None => base,
            Some(before) => format!("{base}_{before}"),
        }
    }

    /// Adds a stage between streams; returns its number.
    fn place(
        &mut self,
        layer: LayerId,
        kind: &'static str,
        stage: Box<dyn Stage>,
        inputs: &[usize],
        outputs: &[usize],
    ) -> usize {
        let index = self.pipeline.stages.len();
        for (port, &stream) in inputs.iter().enumerate() {
            self.pipeline.streams[stream].to = Some((index, port));
        }
        for (port, &stream) in outputs.iter().enumerate() {
            self.pipeline.streams[stream].from = Some((index, port));
            self.made_by.insert(stream, layer);
        }
        let name = self.name(layer, kind);
        *self.placed.entry((layer, kind)).or_default() += 1;
        self.pipeline.stages.push(Placed {
            name,
            layer,
            kind,
            stage,
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            registers: Vec::new(),
            state: 0..0,
            fifo_depth: None,
        });
        index
    }

    /// Refuses streams and stages of more branches than a signal has bits.
    fn check_ports(&self) -> Result<(), BuildError> {
        let too_many = |layer: &str, ports: usize, what: &'static str| {
            Err(BuildError::Ports {
                layer: layer.to_owned(),
                ports,
                what,
                most: MAX_PORTS,
            })
        };
        let input = self.network.input;
        if self.consumers(input) > MAX_PORTS {
            let name = &self.network.tensor(input).name;
            return too_many(name, self.consumers(input), "consumers");
        }
        for node in &self.network.nodes {
            let layer = &self.network.layer(node.layer).name;
            if node.inputs.len() > MAX_PORTS {
                return too_many(layer, node.inputs.len(), "inputs");
            }
            if self.consumers(node.output) > MAX_PORTS {
                return too_many(layer, self.consumers(node.output), "consumers");
            }
        }
        Ok(())
    }

    fn consumers(&self, tensor: TensorId) -> usize {
        self.readers[tensor.index()]
    }

    /// Hands a tensor's stream to its consumers, through a fork where there are several.
    fn produce(&mut self, tensor: TensorId, stream: usize, layer: LayerId) {
        self.pipeline.carried.push((tensor, stream));
        if let Some(brought) = self.orders.order(tensor) {
            self.pipeline.brought.insert(tensor, brought.to_vec());
        }
        let consumers = self.consumers(tensor);
        if consumers < 2 {
            self.open.insert(tensor, vec![stream]);
            return;
        }
        let shape = self.pipeline.streams[stream].shape;
        let elements = self.network.tensor(tensor).len();
        let branches: Vec<usize> = (0..consumers).map(|_| self.stream(shape, elements)).collect();
        self.place(
            layer,
            "fork",
            Box::new(Fork::new(shape, consumers as u32)),
            &[stream],
            &branches,
        );
        self.open.insert(tensor, branches.into_iter().rev().collect());
    }

    fn source(&mut self) -> Result<(), BuildError> {
        let input = self.network.input;
        let elements = self.network.tensor(input).len();
        let reader = self
            .network
            .nodes
            .iter()
            .find(|node| node.inputs.contains(&input));
        let wanted = reader
            .and_then(|node| self.wanted_lanes(node))
            .unwrap_or(self.network.tensor(input).channels());
        let lanes = match self.accelerator.dataflow().input.lanes {
            Some(lanes) => lanes as usize,
            None => wanted,
        };
        if !elements.is_multiple_of(lanes) {
            return Err(BuildError::Lanes {
                end: "input",
                lanes,
                elements,
            });
        }
        let shape = self.shape(input, lanes);
        let stream = self.stream(shape, elements);
        self.pipeline.input = stream;
        let layer = reader.map_or(LayerId(0), |node| node.layer);
        self.produce(input, stream, layer);
        Ok(())
    }

    fn sink(&mut self) -> Result<usize, BuildError> {
        let output = self.network.output;
        let elements = self.network.tensor(output).len();
        let stream = self
            .open
            .get_mut(&output)
            .and_then(Vec::pop)
            .expect("every tensor is made before it is read");
        let layer = self.made_by.get(&stream).copied().unwrap_or(LayerId(0));
        let stream = match self.accelerator.dataflow().output.lanes {
            _ if self.pipeline.packed.contains_key(&stream) => return Ok(stream),
            None => stream,
            Some(lanes) if !elements.is_multiple_of(lanes as usize) => {
                return Err(BuildError::Lanes {
                    end: "output",
                    lanes: lanes as usize,
                    elements,
                });
            }
            Some(lanes) => self.convert(stream, lanes as usize, layer)?,
        };
        if !self.is_sized(layer) {
            return Ok(stream);
        }
        let out = self.fifo_of(stream, layer, None)?;
        if let Some((_, sizing)) = self.auto.last_mut() {
            *sizing = Sizing::Finn { end: true };
        }
        Ok(out)
    }

    /// Lanes that the first stage of a node takes, where it is particular.
    fn wanted_lanes(&mut self, node: &Node) -> Option<usize> {
        match &node.op {
            Op::Mac(mac) => {
                let channels = mac.geometry.input[2];
                let stage = *self.accelerator.stage(node.layer)?;
                let unit = mac.groups == 1 || self.is_vector_vector(mac, &stage);
                match (stage.folding, stage.window) {
                    (Folding::Finn { pe, simd }, window) if unit && !mac.transposed => {
                        let first = window.map(|window| window.padding_simd.unwrap_or(window.simd));
                        let lanes = if mac.groups == 1 { simd } else { pe };
                        Some(first.map_or(gcd(lanes as usize, channels), |simd| simd as usize))
                    }
                    _ => Some(channels),
                }
            }
            Op::Pool(pool) => Some(pool.geometry.input[2]),
            Op::MultiThreshold(_) => {
                let stage = self.accelerator.threshold_stage(node.layer)?;
                Some(stage.pe as usize)
            }
            Op::Program(_) => Some(self.network.tensor(node.inputs[0]).len()),
            _ => None,
        }
    }

    /// A tensor's stream for a node: through a FIFO where it comes from another layer.
    fn take(&mut self, node: &Node, operand: usize) -> Result<usize, BuildError> {
        let tensor = node.inputs[operand];
        let stream = self
            .open
            .get_mut(&tensor)
            .and_then(Vec::pop)
            .expect("every tensor is made before it is read");
        let stated = self.accelerator.dataflow().layer(node.layer).fifo.is_some();
        match self.made_by.get(&stream) {
            // Inside one pipeline registers stand between the functions.
            Some(_) if node.inputs.len() == 1 && !stated && self.is_pipelined() => Ok(stream),
            Some(&maker) if maker != node.layer || node.inputs.len() > 1 => self.fifo(stream, node, tensor),
            None if stated => self.fifo(stream, node, tensor),
            _ => Ok(stream),
        }
    }

    fn is_pipelined(&self) -> bool {
        (self.accelerator.functions()).is_some_and(|functions: &Functions| functions.pipelined)
    }

    /// The stream of a node that is no hardware. FINN has no unit there and no FIFO in front of it, unless the
    /// layer's own entry states one; hls4ml has a function that takes the stream through a FIFO.
    fn wire(&mut self, node: &Node) -> Result<usize, BuildError> {
        let finn = matches!(self.accelerator.target(), Target::Finn(_) | Target::FinnHlslib);
        if finn && !self.accelerator.dataflow().layer(node.layer).own_fifo {
            return Ok(self.untouched(node));
        }
        self.take(node, 0)
    }

    /// The stream of a node as it is.
    fn untouched(&mut self, node: &Node) -> usize {
        self.open
            .get_mut(&node.inputs[0])
            .and_then(Vec::pop)
            .expect("every tensor is made before it is read")
    }

    fn fifo(&mut self, stream: usize, node: &Node, tensor: TensorId) -> Result<usize, BuildError> {
        let mut stream = stream;
        if let Some(lanes) = self.accelerator.dataflow().layer(node.layer).fifo_lanes {
            let (lanes, elements) = (lanes as usize, self.network.tensor(tensor).len());
            if !elements.is_multiple_of(lanes) {
                let layer = self.layer_name(node.layer);
                return Err(BuildError::FifoLanes {
                    layer,
                    lanes,
                    elements,
                });
            }
            stream = self.convert(stream, lanes, node.layer)?;
        }
        let words = self.pipeline.streams[stream].words;
        let layer = self.network.layer(node.layer);
        let said = match self.fifos {
            Fifos::Deep => Some(FifoDepth::Auto),
            _ => self.accelerator.dataflow().layer(node.layer).fifo,
        };
        // hls4ml's channels hold a whole map, those between arrays two.
        let maps = match self.accelerator.functions().map(|functions| functions.io_type) {
            Some(IoType::Stream) => 1,
            Some(IoType::Parallel) => 2,
            None => u64::from(layer.hints.io_type.as_deref() == Some("io_stream")),
        };
        let depth = match said {
            Some(FifoDepth::Words(words)) => Some(words as usize),
            Some(FifoDepth::Auto) => None,
            // Where streams meet again, the shorter way has to wait for the longer one.
            None if node.inputs.len() > 1 => None,
            None => Some(((words * maps) as usize).max(2)),
        };
        self.fifo_of(stream, node.layer, depth)
    }

    /// Whether FINN's automatic sizing puts FIFOs in front of all units of a layer, which a loop of hls4ml's is not.
    fn is_sized(&self, layer: LayerId) -> bool {
        let stage = self.accelerator.stage(layer);
        matches!(self.accelerator.target(), Target::Finn(_))
            && stage.is_none_or(|stage| stage.finn().is_some())
            && self.accelerator.dataflow().layer(layer).fifo == Some(FifoDepth::Auto)
    }

    /// What a unit takes: the stream through a FIFO where FINN's automatic sizing puts one, and none stands there.
    fn feed(&mut self, stream: usize, layer: LayerId) -> Result<usize, BuildError> {
        let maker = self.pipeline.streams[stream].from;
        let has_one = maker.is_some_and(|(stage, _)| self.pipeline.stages[stage].fifo_depth.is_some());
        if has_one || !self.is_sized(layer) {
            return Ok(stream);
        }
        self.fifo_of(stream, layer, None)
    }

    /// A FIFO behind a stream; where no depth is stated, as deep as the fault-free stream fills it.
    fn fifo_of(&mut self, stream: usize, layer: LayerId, depth: Option<usize>) -> Result<usize, BuildError> {
        let Stream { shape, words, .. } = self.pipeline.streams[stream];
        let out = self.stream(shape, words as usize * shape.lanes);
        let name = self.name(layer, "fifo");
        let depth = depth.unwrap_or_else(|| {
            let end = self.pipeline.streams[stream].from.is_none();
            let sizing = match self.is_sized(layer) {
                true => Sizing::Finn { end },
                false => Sizing::Needed,
            };
            self.auto.push((name.clone(), sizing));
            let tensor = (words as usize).max(2);
            match self.fifos {
                Fifos::Found(depths) if depths.contains_key(&name) => depths[&name],
                Fifos::Draft | Fifos::Found(_) if sizing != Sizing::Needed => tensor,
                _ => tensor * 2,
            }
        });
        let fifo = Fifo::new(shape, depth).map_err(|error| self.refuse(layer, error))?;
        let index = self.place(layer, "fifo", Box::new(fifo), &[stream], &[out]);
        self.pipeline.stages[index].fifo_depth = Some(depth);
        Ok(out)
    }

    /// The same elements in words of another width.
    fn convert(&mut self, stream: usize, lanes: usize, layer: LayerId) -> Result<usize, BuildError> {
        let Stream { shape, words, .. } = self.pipeline.streams[stream];
        if shape.lanes == lanes {
            return Ok(stream);
        }
        let stream = self.feed(stream, layer)?;
        let elements = words as usize * shape.lanes;
        let out = self.stream(StreamShape { lanes, ..shape }, elements);
        let stage = WidthConverter::new(shape, lanes).map_err(|error| self.refuse(layer, error))?;
        self.place(layer, "width_converter", Box::new(stage), &[stream], &[out]);
        Ok(out)
    }

    fn node(&mut self, node: &Node) -> Result<(), BuildError> {
        let out = match &node.op {
            _ if self.orders.differs(node.output) => self.untouched(node),
            Op::Mac(mac) => self.product(node, mac)?,
            Op::Pool(pool) => {
                self.leave_out("pools keep their windows in a line buffer and take a pixel per cycle");
                let stream = self.take(node, 0)?;
                let stream = self.convert(stream, pool.geometry.input[2], node.layer)?;
                let stream = self.feed(stream, node.layer)?;
                let shape = self.shape(node.output, pool.geometry.output[2]);
                let out = self.stream(shape, self.network.tensor(node.output).len());
                let stage = WindowPool::new(
                    PoolFunction::new(self.network, node, pool),
                    WindowProgram::of_geometry(&pool.geometry, false),
                    LaneCode::of(&self.network.tensor(node.inputs[0]).encoding),
                    pool.geometry.input[2],
                    shape,
                    self.latency_of(node)?,
                );
                let stage = self.at_pace(node, Box::new(stage));
                self.place(node.layer, "pool", stage, &[stream], &[out]);
                out
            }
            Op::Combine(combine) if combine.broadcast == Broadcast::None => {
                let streams = [self.take(node, 0)?, self.take(node, 1)?];
                let lanes = streams
                    .iter()
                    .map(|&stream| self.pipeline.streams[stream].shape.lanes)
                    .fold(0, gcd);
                let mut streams = streams;
                for stream in &mut streams {
                    *stream = self.convert(*stream, lanes, node.layer)?;
                    *stream = self.feed(*stream, node.layer)?;
                }
                let shapes = streams.map(|stream| self.pipeline.streams[stream].shape);
                let shape = self.shape(node.output, lanes);
                let out = self.stream(shape, self.network.tensor(node.output).len());
                let stage = Join::new(
                    Combination::new(self.network, node, combine.op),
                    shapes,
                    shape,
                    self.latency(node.layer)?,
                );
                self.place(node.layer, "join", Box::new(stage), &streams, &[out]);
                out
            }
            Op::Concat { axis } => self.concat(node, *axis)?,
            Op::MultiThreshold(op) => self.thresholding(node, op)?,
            Op::Program(program) => self.program(node, program)?,
            _ if Function::is_wire(self.network, node) => self.wire(node)?,
            _ => match Function::of(self.network, node) {
                Some(function) => self.element_wise(node, function)?,
                None if FrameOp::is_wire(self.network, node) => self.wire(node)?,
                None => self.frame(node)?,
            },
        };
        let layer = match self.orders.differs(node.output) {
            true => self.made_by.get(&out).copied().unwrap_or(node.layer),
            false => node.layer,
        };
        self.produce(node.output, out, layer);
        Ok(())
    }

    fn program(&mut self, node: &Node, program: &Program) -> Result<usize, BuildError> {
        self.leave_out("rows of a program stand while no word is taken; da4ml's move in every cycle, without valid flags");
        let elements = self.network.tensor(node.inputs[0]).len();
        let lanes = self.accelerator.dataflow().output.lanes;
        let outputs = program.outputs.len();
        let alone = node.output == self.network.output && self.consumers(node.output) == 1;
        if !alone || lanes.is_some_and(|lanes| lanes as usize != outputs) {
            return Err(BuildError::Program {
                layer: self.layer_name(node.layer),
            });
        }
        let stream = self.take(node, 0)?;
        let stream = self.convert(stream, elements, node.layer)?;
        let input = self.pipeline.streams[stream].shape;
        let stage = ProgramStage::new(self.network, node, program, input);
        let out = self.stream(stage.output(), stage.output().lanes);
        self.pipeline.packed.insert(out, stage.packed());
        self.place(node.layer, "program", Box::new(stage), &[stream], &[out]);
        Ok(out)
    }

    fn thresholding(&mut self, node: &Node, op: &MultiThreshold) -> Result<usize, BuildError> {
        let stream = self.take(node, 0)?;
        let tensor = self.network.tensor(node.inputs[0]);
        let channels = tensor.channels();
        let lanes = match self.accelerator.threshold_stage(node.layer) {
            Some(stage) => stage.pe as usize,
            None => gcd(self.pipeline.streams[stream].shape.lanes, channels),
        };
        let stream = self.convert(stream, lanes, node.layer)?;
        let stream = self.feed(stream, node.layer)?;
        let shape = &self.network.param(op.thresholds).shape;
        let per_channel = shape[0] > 1;
        let stage = Thresholding::new(ThresholdingShape {
            thresholds: op.thresholds,
            steps: shape[1],
            per_channel,
            channels,
            lanes,
            input: tensor.encoding,
            threshold: self.network.param(op.thresholds).encoding,
            output: self.network.tensor(node.output).encoding,
            factor: op.factor.clone(),
            offset: op.offset.clone(),
            deep: self.accelerator.dataflow().layer(node.layer).deep_pipeline,
            rule: op.rule,
        })
        .map_err(|error| self.refuse(node.layer, error))?;
        let shape = self.shape(node.output, lanes);
        let out = self.stream(shape, self.network.tensor(node.output).len());
        self.place(node.layer, "thresholding", Box::new(stage), &[stream], &[out]);
        Ok(out)
    }

    fn element_wise(&mut self, node: &Node, function: Function) -> Result<usize, BuildError> {
        let stream = self.take(node, 0)?;
        let stream = self.feed(stream, node.layer)?;
        let input = self.pipeline.streams[stream].shape;
        let output = self.shape(node.output, input.lanes);
        let elements = self.network.tensor(node.output).len();
        let out = self.stream(output, elements);
        let kind = match node.op {
            Op::Table(_) => "table",
            _ => "activation",
        };
        let stage = ElementWise::new(function, input, output, elements, self.latency_of(node)?);
        let stage = self.at_pace(node, Box::new(stage));
        self.place(node.layer, kind, stage, &[stream], &[out]);
        Ok(out)
    }

    fn frame(&mut self, node: &Node) -> Result<usize, BuildError> {
        self.leave_out("operations on whole tensors store them before the first result");
        let op = FrameOp::of(self.network, node)
            .expect("every operation is element-wise, a product, a join or a frame");
        let streams = (0..node.inputs.len())
            .map(|at| self.take(node, at))
            .collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<StreamShape> = streams
            .iter()
            .map(|&stream| self.pipeline.streams[stream].shape)
            .collect();
        let tensor = self.network.tensor(node.output);
        let shape = self.shape(node.output, tensor.channels());
        let out = self.stream(shape, tensor.len());
        // The first of the function's edges fills the frame.
        let latency = self
            .function(node)
            .map_or(1, |timing| timing.iteration_latency.saturating_sub(1));
        let latency = (latency as usize).clamp(1, MAX_DEPTH);
        let mut stage = Frame::new(self.network, node, op, &shapes, shape, latency);
        if self.is_pipelined() {
            stage = stage.overlapping();
        }
        let stage = self.at_pace(node, Box::new(stage));
        self.place(node.layer, "frame", stage, &streams, &[out]);
        Ok(out)
    }

    fn concat(&mut self, node: &Node, axis: usize) -> Result<usize, BuildError> {
        let mut streams = (0..node.inputs.len())
            .map(|at| self.take(node, at))
            .collect::<Result<Vec<_>, _>>()?;
        let turn = |tensor: TensorId| {
            self.network.tensor(tensor).shape[axis..]
                .iter()
                .product::<usize>()
        };
        let turns: Vec<usize> = node.inputs.iter().map(|&id| turn(id)).collect();
        let lanes = streams
            .iter()
            .map(|&stream| self.pipeline.streams[stream].shape.lanes)
            .chain(turns.iter().copied())
            .fold(0, gcd);
        for stream in &mut streams {
            *stream = self.convert(*stream, lanes, node.layer)?;
            *stream = self.feed(*stream, node.layer)?;
        }
        let output = self.network.tensor(node.output).encoding;
        let codes = node
            .inputs
            .iter()
            .map(|&id| {
                let encoding = self.network.tensor(id).encoding;
                (LaneCode::of(&encoding), ToOutput::new(encoding.frac(), &output))
            })
            .collect();
        let shape = self.shape(node.output, lanes);
        let out = self.stream(shape, self.network.tensor(node.output).len());
        let stage = Concat::new(
            turns.iter().map(|&turn| (turn / lanes) as u64).collect(),
            codes,
            shape,
        );
        self.place(node.layer, "concat", Box::new(stage), &streams, &[out]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from FINN's `optimize_depth` and `get_adjusted_depth`.
    #[test]
    fn depths_are_rounded_as_finn_does() {
        let inside = Sizing::Finn { end: false };
        let rounded = [
            (0, 2),
            (1, 2),
            (2, 2),
            (3, 32),
            (32, 32),
            (33, 33),
            (200, 200),
            (256, 256),
        ];
        for (most, depth) in rounded.into_iter().chain([(257, 512), (512, 512), (513, 1024)]) {
            assert_eq!(inside.depth(most), depth, "{most}");
        }
        for (most, depth) in rounded.into_iter().chain([(257, 257), (700, 700)]) {
            assert_eq!(Sizing::Finn { end: true }.depth(most), depth, "{most}");
        }
        assert_eq!(
            [0, 2, 3, 300].map(|most| Sizing::Needed.depth(most)),
            [2, 2, 3, 300]
        );
    }
}
