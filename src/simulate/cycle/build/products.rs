//! The stages of a matrix product: FINN's units in a row, or one loop as high-level synthesis builds it.

use std::sync::Arc;

use super::super::arithmetic::Arithmetic;
use super::super::matrix::{LaneCode, Matrix, Schedule};
use super::super::operators::{ProductTiming, TimingError, WindowProduct, WindowProgram};
use super::super::stage::{Stage, StreamShape};
use super::super::stages::{
    Core, InputBuffer, MemoryStream, Mvau, Padding, PaddingShape, Slices, SlidingWindow, Weights,
    WindowGeometry, WindowStyle,
};
use super::{BuildError, Builder, Fifos};
use crate::accelerator::{
    self, DspBlock, FifoDepth, FinnCore, FinnVersion, Folding, Target, WeightMemory, WindowGenerator,
    WindowStage,
};
use crate::network::{Encoding, Geometry, Mac, Node};

impl Builder<'_> {
    pub(super) fn product(&mut self, node: &Node, mac: &Mac) -> Result<usize, BuildError> {
        let stage = *self
            .accelerator
            .stage(node.layer)
            .expect("an accelerator gives every product a folding");
        let Folding::Finn { pe, simd } = stage.folding else {
            return self.window_product(node, mac);
        };
        let depthwise = mac.groups > 1;
        if mac.transposed || depthwise && !self.is_vector_vector(mac, &stage) {
            return self.window_product(node, mac);
        }
        let (pe, simd) = (pe as usize, simd as usize);
        let mut matrix = self.matrix(node, mac, Schedule::Finn { pe, simd })?;
        if let Some(brought) = self.orders.order(node.inputs[0]) {
            matrix = matrix
                .of_order(brought.to_vec())
                .expect("an order is kept for products that take it");
            self.pipeline.matrices.pop();
            self.pipeline.matrices.push(matrix.clone());
        }
        if !matrix.keeps_order() {
            self.pipeline.matrices.pop();
            return self.window_product(node, mac);
        }
        let layer = node.layer;
        let stream = self.window(node, mac, stage.window)?;
        // A vector-vector unit takes the taps of as many channels as it has rows.
        let lanes = if depthwise { pe * simd } else { simd };
        let stream = self.convert(stream, lanes, layer)?;
        let stream = self.feed(stream, layer)?;
        let sf = mac.geometry.taps(mac.groups) / simd;
        let nf = mac.geometry.output[2] / pe;
        let slices = match self.accelerator.target() {
            Target::Finn(version) => self.slices(&matrix, mac, simd, version),
            Target::FinnHlslib | Target::Hls4ml | Target::Generic => None,
        };
        let arithmetic: Arc<dyn Arithmetic> = Arc::new(matrix);
        let mut inputs = vec![stream];
        let weights = match self.accelerator.dataflow().layer(layer).weight_memory {
            WeightMemory::Embedded => Weights::Embedded,
            WeightMemory::Decoupled => {
                let shape = StreamShape {
                    lanes: pe * simd,
                    lane_bits: arithmetic.weight_bits(),
                };
                let weights = self.stream(shape, sf * nf * pe * simd);
                let stage = MemoryStream::new(Arc::clone(&arithmetic), (sf * nf) as u64, None)
                    .map_err(|error| self.refuse(layer, error))?;
                self.place(layer, "weight_stream", Box::new(stage), &[], &[weights]);
                inputs.push(weights);
                Weights::Decoupled
            }
        };
        let timing = self.accelerator.dataflow().layer(layer).timing;
        let slices = slices.filter(|_| weights == Weights::Decoupled && timing.is_none());
        if let Some(slices) = slices {
            let unit = slices.unit().map_err(|error| self.refuse(layer, error))?;
            return Ok(self.mvau(node, pe, unit, &inputs));
        }
        let (core, buffer) = if depthwise {
            (self.vector_core(&*arithmetic, simd), InputBuffer::None)
        } else {
            self.leave_out(
                "matrix-vector units without a core in FINN's RTL have the five registers of its DSP48 core, and a flag for steps that are missing",
            );
            (Core::DSP48, InputBuffer::Replay)
        };
        let mut unit = Mvau::with_input(arithmetic, sf as u64, nf as u64, core, weights, buffer)
            .map_err(|error| self.refuse(layer, error))?;
        if let Some(timing) = timing {
            if timing.initiation_interval != 1 {
                return Err(BuildError::Timing {
                    layer: self.layer_name(layer),
                    error: TimingError::Interval {
                        given: u64::from(timing.initiation_interval),
                        steps: 1,
                    },
                });
            }
            unit = unit
                .drained(stage.shape.vectors, u64::from(timing.iteration_latency))
                .map_err(|error| self.refuse(layer, error))?;
        }
        Ok(self.mvau(node, pe, Box::new(unit), &inputs))
    }

    /// Whether FINN has a vector-vector unit for a grouped convolution: every channel is its own group, and the
    /// generator's words are the channels that the unit takes at once, or have all taps.
    pub(super) fn is_vector_vector(&mut self, mac: &Mac, stage: &accelerator::Stage) -> bool {
        let [_, _, channels] = mac.geometry.input;
        let Folding::Finn { pe, .. } = stage.folding else {
            return false;
        };
        if mac.groups != channels || mac.geometry.output[2] != channels {
            return false;
        }
        let Some(window) = stage.window else {
            return true;
        };
        let several_folds = window.simd as usize != channels;
        let serial_hls = !window.parallel
            && several_folds
            && self.accelerator.dataflow().window_generator == WindowGenerator::Hls;
        let single = mac.geometry.window.kernel == [1, 1];
        let fits = !serial_hls && (single || window.simd == pe);
        if !fits {
            self.leave_out(
                "depthwise products whose `pe` is not the width of their window generator's words, or with a generator of high-level synthesis for several folds of channels, are one loop",
            );
        }
        fits
    }

    /// The core of a vector-vector unit. FINN has one in RTL, on DSP58 slices, for operands of up to 8 bits;
    /// its length follows from the clock: 0.741 ns for the first slice of a segment, 0.605 ns for each further one.
    fn vector_core(&mut self, arithmetic: &dyn Arithmetic, simd: usize) -> Core {
        const FIRST_NS: f64 = 0.741;
        const FURTHER_NS: f64 = 0.605;
        const PERIOD_NS: f64 = 10.0;
        let narrow = arithmetic.weight_bits() <= 8 && arithmetic.activation_bits() <= 8;
        if !narrow || !matches!(self.accelerator.target(), Target::Finn(_)) {
            self.leave_out(
                "vector-vector units of high-level synthesis have the five registers of a DSP48 core",
            );
            return Core::DSP48;
        }
        self.leave_out(
            "vector-vector units have the registers in time of FINN's DSP58 core, one adder tree, and a flag for steps that are missing",
        );
        let period = self.accelerator.clock_mhz().map_or(PERIOD_NS, |mhz| 1e3 / mhz);
        let segment = ((period - FIRST_NS) / FURTHER_NS + 1.0).floor().max(1.0);
        let chain = simd.div_ceil(3) as f64;
        Core::dsp58(simd as u32, segment.min(chain) as u32)
    }

    /// The unit of a product in FINN's RTL, where it has one.
    fn slices(&self, matrix: &Matrix, mac: &Mac, simd: usize, version: FinnVersion) -> Option<Slices> {
        let weights = self.network.param(mac.weight);
        let narrow = match weights.encoding {
            Encoding::Fixed(format) => {
                (weights.values.iter()).all(|&weight| i128::from(weight) > format.min_mantissa())
            }
            Encoding::Bipolar { .. } => false,
        };
        let segment = DspBlock::segment(self.accelerator.clock_mhz(), simd);
        let keeps_operands = version == FinnVersion::Main;
        let dsp = self.accelerator.dsp();
        matrix.slices(narrow, segment, keeps_operands, |operands| match dsp {
            Some(block) if mac.groups > 1 => block.depthwise_core(operands),
            Some(block) => block.core(operands),
            None if mac.groups > 1 => Some(FinnCore::Dsp58),
            None => Some(FinnCore::EightBit),
        })
    }

    fn mvau(&mut self, node: &Node, pe: usize, unit: Box<dyn Stage>, inputs: &[usize]) -> usize {
        let shape = self.shape(node.output, pe);
        let out = self.stream(shape, self.network.tensor(node.output).len());
        self.place(node.layer, "mvau", unit, inputs, &[out]);
        out
    }

    /// The windows of a convolution in the order in which an MVAU takes them; the tensor itself where
    /// every window is one pixel.
    fn window(&mut self, node: &Node, mac: &Mac, unit: Option<WindowStage>) -> Result<usize, BuildError> {
        let layer = node.layer;
        let geometry = &mac.geometry;
        let mut stream = self.take(node, 0)?;
        let Some(unit) = unit else { return Ok(stream) };
        let lane_bits = self.pipeline.streams[stream].shape.lane_bits;
        if let Some(lanes) = unit.padding_simd.map(|simd| simd as usize) {
            stream = self.convert(stream, lanes, layer)?;
            stream = self.feed(stream, layer)?;
            let shape = PaddingShape {
                input: geometry.input,
                rows: unit.rows,
                columns: unit.columns,
                border: LaneCode::of(&self.network.tensor(node.inputs[0]).encoding).encode(0),
            };
            let stage = Padding::new(shape, lanes, lane_bits).map_err(|error| self.refuse(layer, error))?;
            let padded = self.stream(StreamShape { lanes, lane_bits }, unit.map.iter().product());
            self.place(layer, "padding", Box::new(stage), &[stream], &[padded]);
            stream = padded;
        }
        let lanes = unit.simd as usize;
        stream = self.convert(stream, lanes, layer)?;
        stream = self.feed(stream, layer)?;
        let style = match (unit.parallel, self.accelerator.dataflow().window_generator) {
            (true, _) => WindowStyle::Parallel,
            (false, WindowGenerator::Rtl) if mac.groups > 1 => WindowStyle::Depthwise,
            (false, WindowGenerator::Rtl) => WindowStyle::Addressable,
            (false, WindowGenerator::Hls) => WindowStyle::Hls,
        };
        let windows = WindowGeometry {
            input: unit.map,
            kernel: geometry.window.kernel,
            stride: geometry.window.stride,
            dilation: geometry.window.dilation,
        };
        let stage = SlidingWindow::new(windows, lanes, lane_bits, style)
            .map_err(|error| self.refuse(layer, error))?;
        let taps = geometry.window.kernel.iter().product::<usize>();
        let shape = StreamShape {
            lanes: if unit.parallel { taps * lanes } else { lanes },
            lane_bits,
        };
        let elements = geometry.output[0] * geometry.output[1] * geometry.taps(1);
        let out = self.stream(shape, elements);
        self.place(layer, "swg", Box::new(stage), &[stream], &[out]);
        match unit.fifo {
            None => Ok(out),
            Some(_) if matches!(self.fifos, Fifos::Deep) => self.fifo_of(out, layer, None),
            Some(FifoDepth::Auto) => self.fifo_of(out, layer, None),
            Some(FifoDepth::Words(words)) => self.fifo_of(out, layer, Some(words as usize)),
        }
    }

    /// The matrix product of a node under a schedule, with a place for its packed weights.
    fn matrix(&mut self, node: &Node, mac: &Mac, schedule: Schedule) -> Result<Matrix, BuildError> {
        let matrix = Matrix::new(self.network, node, mac, schedule, self.pipeline.matrices.len()).map_err(
            |error| BuildError::TooWide {
                layer: self.layer_name(node.layer),
                error,
            },
        )?;
        self.pipeline.matrices.push(matrix.clone());
        Ok(matrix)
    }

    /// A matrix product behind a line buffer, whole pixels in and out.
    fn window_product(&mut self, node: &Node, mac: &Mac) -> Result<usize, BuildError> {
        let layer = node.layer;
        let stage = *self
            .accelerator
            .stage(layer)
            .expect("an accelerator gives every product a folding");
        let taps = mac.geometry.taps(mac.groups);
        let (schedule, initiation_interval, idle_interval) = match stage.folding {
            Folding::Hls4ml { reuse_factor } => {
                // The strategy Latency can use its multipliers less often than the factor says.
                let uses = self.function(node).map(|function| function.uses as usize);
                let reuse = uses.unwrap_or(reuse_factor as usize);
                (Matrix::hls4ml_schedule(mac, reuse), reuse as u64, reuse as u64)
            }
            Folding::Finn { pe, simd } => {
                let steps = (mac.geometry.output[2] / pe as usize) * (taps / simd as usize);
                (Schedule::Shares { reuse: steps }, steps as u64, 1)
            }
        };
        let matrix = self.matrix(node, mac, schedule)?;
        let steps = matrix.steps() as u64;
        if self.accelerator.dataflow().layer(layer).timing.is_none() && self.function(node).is_none() {
            self.leave_out("loops without `timing` have an adder tree with a register per level, not a synthesis tool's schedule");
        }
        let mut stream = self.take(node, 0)?;
        stream = self.convert(stream, mac.geometry.input[2], layer)?;
        stream = self.feed(stream, layer)?;
        let mut geometry = mac.geometry;
        if let Some(padded) = self
            .function(node)
            .and_then(|_| self.accelerator.padded_by_function(layer, mac))
        {
            stream = self.padding_function(node, mac, &padded, stream)?;
            geometry = padded;
        }
        let input = self.pipeline.streams[stream].shape;
        let program = WindowProgram::of_geometry(&geometry, mac.transposed);
        let timing = match (
            self.accelerator.dataflow().layer(layer).timing,
            self.function(node),
        ) {
            (Some(timing), _) => ProductTiming {
                initiation_interval: u64::from(timing.initiation_interval),
                idle_interval: u64::from(timing.initiation_interval),
                iteration_latency: u64::from(timing.iteration_latency),
                frame_gap: 0,
            },
            (None, Some(function)) => {
                let iterations = (0..program.len() as u64).map(|at| match program.iteration(at).window {
                    Some(_) => function.initiation_interval,
                    None => function.idle_interval,
                });
                ProductTiming {
                    initiation_interval: function.initiation_interval.max(steps),
                    idle_interval: function.idle_interval,
                    iteration_latency: function.iteration_latency.max(steps),
                    frame_gap: function.interval.saturating_sub(iterations.sum()),
                }
            }
            // An adder tree of registers behind the multipliers.
            (None, None) => ProductTiming {
                initiation_interval,
                idle_interval,
                iteration_latency: steps + u64::from(taps.next_power_of_two().ilog2()),
                frame_gap: 0,
            },
        };
        let stage =
            WindowProduct::new(matrix, program, input, timing).map_err(|error| BuildError::Timing {
                layer: self.layer_name(layer),
                error,
            })?;
        let shape = self.shape(node.output, mac.geometry.output[2]);
        let out = self.stream(shape, self.network.tensor(node.output).len());
        self.place(layer, "product", Box::new(stage), &[stream], &[out]);
        Ok(out)
    }

    /// The function in front of a streamed convolution that pads its map, and the FIFO behind it.
    fn padding_function(
        &mut self,
        node: &Node,
        mac: &Mac,
        padded: &Geometry,
        stream: usize,
    ) -> Result<usize, BuildError> {
        let layer = node.layer;
        let StreamShape { lanes, lane_bits } = self.pipeline.streams[stream].shape;
        let pad = mac.geometry.window.pad;
        let around = |axis: usize| {
            let before = pad[axis];
            [before, padded.input[axis] - mac.geometry.input[axis] - before]
        };
        let shape = PaddingShape {
            input: mac.geometry.input,
            rows: around(0),
            columns: around(1),
            border: LaneCode::of(&self.network.tensor(node.inputs[0]).encoding).encode(0),
        };
        let stage = Padding::new(shape, lanes, lane_bits).map_err(|error| self.refuse(layer, error))?;
        let out = self.stream(StreamShape { lanes, lane_bits }, padded.input.iter().product());
        self.place(layer, "padding", Box::new(stage), &[stream], &[out]);
        let words = padded.input[0] * padded.input[1];
        self.fifo_of(out, layer, Some(words.max(2)))
    }
}
