//! Dense layers and convolutions as hls4ml builds them: a loop over the pixels of a frame, a window
//! shifted out of a line buffer, and a matrix product that uses every multiplier several times.

use std::sync::Arc;

use super::pipe::{MAX_DEPTH, Pipe};
use super::window::WindowProgram;
use crate::simulate::cycle::arithmetic::{Arithmetic, NoLanes};
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::Matrix;
use crate::simulate::cycle::memory::Memories;
use crate::simulate::cycle::register::{Register, RegisterClass, bits_for, copy_lanes, limbs, step_counter};
use crate::simulate::cycle::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape, Wire, WireShape};

/// When a loop over pixels starts its iterations and when they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductTiming {
    /// Edges between the starts of an iteration that completes a window and the next one.
    pub initiation_interval: u64,
    /// Edges between the starts of an iteration that completes no window and the next one.
    pub idle_interval: u64,
    /// Edges from taking the last pixel of a window to handing out its product.
    pub iteration_latency: u64,
    /// Further edges between the last iteration of a frame and the first one of the next.
    pub frame_gap: u64,
}

impl ProductTiming {
    /// Most edges that an iteration waits for the one before.
    fn longest(&self) -> u64 {
        self.initiation_interval.max(self.idle_interval) + self.frame_gap
    }
}

/// Why a timing cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A window would start before the multipliers are free.
    #[error("an initiation interval of {given} does not fit the {steps} steps of one result")]
    Interval {
        /// What was asked for.
        given: u64,
        /// Steps.
        steps: u64,
    },
    /// The product would be out before its last step.
    #[error("an iteration latency of {given} is outside {least}..={most}")]
    Latency {
        /// What was asked for.
        given: u64,
        /// Least possible.
        least: u64,
        /// Most possible.
        most: u64,
    },
}

impl TimingError {
    /// What can be built.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Interval { given, steps } if given > steps => format!("an initiation interval of {steps}"),
            Self::Interval { steps, .. } => format!("an initiation interval of at least {steps}"),
            Self::Latency { least, most, .. } => format!("an iteration latency in {least}..={most}"),
        }
    }
}

/// A loop over the pixels of a frame with a matrix product.
#[derive(Clone)]
pub struct WindowProduct {
    matrix: Arc<dyn Arithmetic>,
    /// Steps of one result.
    steps: u64,
    /// Registers between the window and the output.
    levels: usize,
    program: WindowProgram,
    input: StreamShape,
    timing: ProductTiming,
    has_operand: bool,
    has_product: bool,
    has_sum: bool,
    has_line_buffer: bool,
    pipe: Pipe,
    at: Offsets,
}

/// A register with the field of the offsets that is its own.
type Listed = (Register, fn(&mut Offsets) -> &mut usize);

/// Where the registers start.
#[derive(Clone, Copy, Debug, Default)]
struct Offsets {
    line_buffer: usize,
    window: usize,
    product: usize,
    sum: usize,
    accumulator: usize,
    iteration: usize,
    wait: usize,
    write: usize,
    step: usize,
    operand_valid: usize,
    product_step: usize,
    product_valid: usize,
    sum_step: usize,
    sum_valid: usize,
}

impl WindowProduct {
    /// A stage for a matrix product whose schedule covers one output position.
    ///
    /// # Errors
    /// [`TimingError`] where the timing asks for what the steps do not allow.
    pub fn new(
        matrix: Matrix,
        program: WindowProgram,
        input: StreamShape,
        timing: ProductTiming,
    ) -> Result<Self, TimingError> {
        let steps = matrix.steps() as u64;
        if timing.initiation_interval < steps || timing.idle_interval == 0 {
            return Err(TimingError::Interval {
                given: timing.initiation_interval,
                steps,
            });
        }
        let most = steps + 2 + MAX_DEPTH as u64;
        if !(steps..=most).contains(&timing.iteration_latency) {
            return Err(TimingError::Latency {
                given: timing.iteration_latency,
                least: steps,
                most,
            });
        }
        // Operand, product, sum, and the output's own.
        let levels = (timing.iteration_latency - (steps - 1)) as usize;
        Ok(Self::of(Arc::new(matrix), steps, levels, program, input, timing))
    }

    fn of(
        matrix: Arc<dyn Arithmetic>,
        steps: u64,
        levels: usize,
        program: WindowProgram,
        input: StreamShape,
        timing: ProductTiming,
    ) -> Self {
        let pipe = Pipe::new(
            levels.saturating_sub(3).max(1),
            matrix.output_lanes(),
            matrix.output_bits(),
        );
        let has_line_buffer = program.ring() > 1 || program.reads_again();
        let mut stage = Self {
            has_operand: levels >= 2,
            has_product: levels >= 3,
            has_sum: levels >= 4,
            has_line_buffer,
            matrix,
            steps,
            levels,
            program,
            input,
            timing,
            pipe,
            at: Offsets::default(),
        };
        stage.at = stage.offsets();
        stage
    }

    fn keeps_window(&self) -> bool {
        self.has_operand || self.steps > 1
    }

    /// The registers behind the pipe, with the field of the offsets that each one has.
    fn listed(&self) -> Vec<Listed> {
        let m = &self.matrix;
        let last_step = bits_for(self.steps - 1);
        let mut list: Vec<Listed> = Vec::new();
        if self.has_line_buffer {
            let StreamShape { lanes, lane_bits } = self.input;
            let register = Register::words(
                RegisterClass::LineBuffer,
                "line_buffer",
                self.program.ring(),
                lanes,
                lane_bits,
            );
            list.push((register, |at| &mut at.line_buffer));
        }
        if self.keeps_window() {
            let register = Register::word(
                RegisterClass::Activation,
                "window",
                m.activation_lanes(),
                m.activation_bits(),
            );
            list.push((register, |at| &mut at.window));
        }
        if self.has_product {
            let register = Register::word(
                RegisterClass::Product,
                "product",
                m.product_lanes(),
                m.product_bits(),
            );
            list.push((register, |at| &mut at.product));
        }
        if self.has_sum {
            let register = Register::word(RegisterClass::Pipeline, "sum", m.sum_lanes(), m.sum_bits());
            list.push((register, |at| &mut at.sum));
        }
        let register = Register::word(
            RegisterClass::Accumulator,
            "accumulator",
            m.accumulator_lanes(),
            m.accumulator_bits(),
        );
        list.push((register, |at| &mut at.accumulator));
        list.push((Register::control("iteration", self.iteration_bits()), |at| {
            &mut at.iteration
        }));
        let longest = self.timing.longest();
        if longest > 1 {
            list.push((Register::control("wait", bits_for(longest - 1)), |at| {
                &mut at.wait
            }));
        }
        if self.has_line_buffer {
            list.push((
                Register::control("write_pointer", bits_for(self.program.ring() as u64 - 1)),
                |at| &mut at.write,
            ));
        }
        if self.keeps_window() {
            list.push((Register::control("operand_valid", 1), |at| &mut at.operand_valid));
            if self.steps > 1 {
                list.push((Register::control("step", last_step), |at| &mut at.step));
            }
        }
        if self.has_product {
            list.push((Register::control("product_valid", 1), |at| &mut at.product_valid));
            if self.steps > 1 {
                list.push((Register::control("product_step", last_step), |at| {
                    &mut at.product_step
                }));
            }
        }
        if self.has_sum {
            list.push((Register::control("sum_valid", 1), |at| &mut at.sum_valid));
            if self.steps > 1 {
                list.push((Register::control("sum_step", last_step), |at| &mut at.sum_step));
            }
        }
        list
    }

    /// Offsets of the registers; those that are not there point behind the last one and are never read.
    fn offsets(&self) -> Offsets {
        let mut at = Offsets::default();
        let mut next = self.pipe.limbs();
        for (register, field) in self.listed() {
            *field(&mut at) = next;
            next += register.limbs();
        }
        at
    }

    fn iteration_bits(&self) -> u32 {
        bits_for(self.program.len() as u64 - 1)
    }

    fn wait(&self, state: &[u64]) -> u64 {
        if self.timing.longest() > 1 {
            state[self.at.wait]
        } else {
            0
        }
    }

    fn step_of(&self, state: &[u64], at: usize) -> u64 {
        if self.steps > 1 { state[at] } else { 0 }
    }

    fn keep_step(&self, state: &mut [u64], at: usize, step: u64) {
        if self.steps > 1 {
            state[at] = step & crate::simulate::cycle::register::mask(bits_for(self.steps - 1));
        }
    }

    /// Sums of a step into the running sums, and out where it is the last one.
    fn accumulate(&self, state: &mut [u64], step: u64, sums: &[u64], memories: &Memories) {
        let (first, last) = (step == 0, step + 1 == self.steps);
        let m = &self.matrix;
        let range =
            self.at.accumulator..self.at.accumulator + limbs(m.accumulator_lanes(), m.accumulator_bits());
        m.accumulate(step, first, sums, memories, &mut state[range.clone()]);
        if last {
            let (pipe, rest) = state.split_at_mut(self.pipe.limbs());
            let accumulators = &rest[range.start - self.pipe.limbs()..range.end - self.pipe.limbs()];
            m.output(step, accumulators, self.pipe.first(pipe));
        }
    }

    fn sum(&self, state: &mut [u64], step: u64, products: &[u64], edge: &Edge<'_>) {
        let m = &self.matrix;
        let length = limbs(m.sum_lanes(), m.sum_bits());
        if self.has_sum {
            let sums = &mut state[self.at.sum..self.at.sum + length];
            m.sums(step, products, sums);
            edge.strike(Wire::Sum, sums, m.sum_bits());
            state[self.at.sum_valid] = 1;
            self.keep_step(state, self.at.sum_step, step);
        } else {
            let mut sums = vec![0; length];
            m.sums(step, products, &mut sums);
            edge.strike(Wire::Sum, &mut sums, m.sum_bits());
            self.accumulate(state, step, &sums, edge.memories);
        }
    }

    fn multiply(&self, state: &mut [u64], step: u64, window: &[u64], edge: &Edge<'_>) {
        let m = &self.matrix;
        let mut weights = vec![0; limbs(m.product_lanes(), m.weight_bits())];
        m.weights(step, edge.memories, &mut weights);
        let length = limbs(m.product_lanes(), m.product_bits());
        if self.has_product {
            let products = &mut state[self.at.product..self.at.product + length];
            m.products(step, window, &weights, products);
            edge.strike(Wire::Product, products, m.product_bits());
            state[self.at.product_valid] = 1;
            self.keep_step(state, self.at.product_step, step);
        } else {
            let mut products = vec![0; length];
            m.products(step, window, &weights, &mut products);
            edge.strike(Wire::Product, &mut products, m.product_bits());
            self.sum(state, step, &products, edge);
        }
    }

    /// The window from the line buffer, or the pixel itself where there is none.
    fn gather(&self, state: &[u64], window: u32, pixel: &[u64]) -> Vec<u64> {
        let StreamShape { lanes, lane_bits } = self.input;
        let taps = self.program.taps(window);
        let mut word = vec![0; limbs(taps.len() * lanes, lane_bits)];
        let stride = self.input.limbs();
        for (tap, source) in taps.iter().enumerate() {
            let Some(source) = source else { continue };
            let from = if self.has_line_buffer {
                let slot = *source as usize % self.program.ring();
                &state[self.at.line_buffer + slot * stride..][..stride]
            } else {
                pixel
            };
            if taps.len() == 1 {
                word.copy_from_slice(from);
            } else {
                copy_lanes(from, 0, &mut word, tap * lanes, lanes, lane_bits);
            }
        }
        word
    }

    fn window_range(&self) -> std::ops::Range<usize> {
        let m = &self.matrix;
        self.at.window..self.at.window + limbs(m.activation_lanes(), m.activation_bits())
    }

    fn may_start(&self, state: &[u64], ready: bool) -> bool {
        self.pipe.moves(state, ready) && self.wait(state) == 0
    }

    fn is_idle(&self, state: &[u64]) -> bool {
        self.pipe.is_empty(state)
            && self.wait(state) == 0
            && !(self.keeps_window() && state[self.at.operand_valid] == 1)
            && !(self.has_product && state[self.at.product_valid] == 1)
            && !(self.has_sum && state[self.at.sum_valid] == 1)
    }
}

impl Stage for WindowProduct {
    fn registers(&self) -> Vec<Register> {
        let rest = self.listed().into_iter().map(|(register, _)| register);
        self.pipe.registers().into_iter().chain(rest).collect()
    }

    fn control(&self) -> Box<dyn Stage> {
        let (program, input) = (self.program.clone(), StreamShape::EMPTY);
        Box::new(Self::of(
            Arc::new(NoLanes),
            self.steps,
            self.levels,
            program,
            input,
            self.timing,
        ))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "pipe" => Live::when("pipe_valid", Says::BitOfWord(0)),
            "window" => Live::while_set("operand_valid"),
            "product" => Live::while_set("product_valid"),
            "sum" => Live::while_set("sum_valid"),
            _ => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        u32::from(self.pipe.offers(state))
    }

    fn word<'s>(&self, state: &'s [u64], _output: usize) -> &'s [u64] {
        self.pipe.word(state)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let starts = self.may_start(state, signals.ready & 1 == 1);
        u32::from(starts && self.program.iteration(state[self.at.iteration]).takes)
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let ready = edge.signals.ready & 1 == 1;
        if !self.pipe.moves(state, ready) {
            return;
        }
        let starts = self.may_start(state, ready);
        self.pipe.advance(state);
        // From the output towards the input, so that every value moves one register on.
        if self.has_sum && state[self.at.sum_valid] == 1 {
            state[self.at.sum_valid] = 0;
            let length = limbs(self.matrix.sum_lanes(), self.matrix.sum_bits());
            let sums = state[self.at.sum..self.at.sum + length].to_vec();
            let step = self.step_of(state, self.at.sum_step);
            self.accumulate(state, step, &sums, edge.memories);
        }
        if self.has_product && state[self.at.product_valid] == 1 {
            state[self.at.product_valid] = 0;
            let length = limbs(self.matrix.product_lanes(), self.matrix.product_bits());
            let products = state[self.at.product..self.at.product + length].to_vec();
            let step = self.step_of(state, self.at.product_step);
            self.sum(state, step, &products, edge);
        }
        if self.keeps_window() && state[self.at.operand_valid] == 1 {
            let step = self.step_of(state, self.at.step);
            let window = state[self.window_range()].to_vec();
            self.multiply(state, step, &window, edge);
            if step + 1 >= self.steps {
                state[self.at.operand_valid] = 0;
            } else {
                self.keep_step(state, self.at.step, step + 1);
            }
        }
        if !starts {
            if self.timing.longest() > 1 {
                state[self.at.wait] = state[self.at.wait].saturating_sub(1);
            }
            return;
        }
        let iteration = self.program.iteration(state[self.at.iteration]);
        if iteration.takes && edge.taken & 1 == 0 {
            return;
        }
        let pixel = edge.words.first().copied().unwrap_or(&[]);
        if iteration.takes && self.has_line_buffer {
            let ring = self.program.ring() as u64;
            let stride = self.input.limbs();
            if state[self.at.write] < ring {
                let slot = self.at.line_buffer + state[self.at.write] as usize * stride;
                state[slot..slot + stride].copy_from_slice(pixel);
            }
            state[self.at.write] = step_counter(state[self.at.write], ring - 1, bits_for(ring - 1));
        }
        if let Some(window) = iteration.window {
            let word = self.gather(state, window, pixel);
            if self.keeps_window() {
                let range = self.window_range();
                state[range].copy_from_slice(&word);
            }
            if self.has_operand {
                state[self.at.operand_valid] = 1;
                self.keep_step(state, self.at.step, 0);
            } else {
                self.multiply(state, 0, &word, edge);
                if self.steps > 1 {
                    state[self.at.operand_valid] = 1;
                    self.keep_step(state, self.at.step, 1);
                }
            }
        }
        let last = self.program.len() as u64 - 1;
        if state[self.at.iteration] == last && self.has_line_buffer {
            state[self.at.write] = 0;
        }
        let gap = if state[self.at.iteration] == last {
            self.timing.frame_gap
        } else {
            0
        };
        state[self.at.iteration] = step_counter(state[self.at.iteration], last, self.iteration_bits());
        let interval = gap
            + if iteration.window.is_some() {
                self.timing.initiation_interval
            } else {
                self.timing.idle_interval
            };
        if interval > 1 {
            state[self.at.wait] = interval - 1;
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        let line_buffer = Buffer {
            start: self.at.line_buffer,
            limbs: self.input.limbs(),
            words: self.program.ring(),
        };
        self.has_line_buffer.then_some(line_buffer).into_iter().collect()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        if !self.has_line_buffer || !self.may_start(state, edge.signals.ready & 1 == 1) {
            return;
        }
        let taken = edge.taken & 1 == 1;
        let place = |word: usize| self.at.line_buffer + word * self.input.limbs();
        let (iteration, write) = (state[self.at.iteration], state[self.at.write]);
        self.program.accesses(iteration, write, taken, place, access);
    }

    fn wires(&self) -> Vec<WireShape> {
        let m = &self.matrix;
        vec![
            WireShape {
                wire: Wire::Product,
                lanes: m.product_lanes(),
                lane_bits: m.product_bits(),
            },
            WireShape {
                wire: Wire::Sum,
                lanes: m.sum_lanes(),
                lane_bits: m.sum_bits(),
            },
        ]
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        if !self.pipe.moves(state, signals.ready & 1 == 1) {
            return u64::MAX;
        }
        let waits = self.program.iteration(state[self.at.iteration]).takes && signals.valid & 1 == 0;
        if waits && self.is_idle(state) { u64::MAX } else { 0 }
    }
}
