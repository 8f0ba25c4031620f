//! Reductions over windows of a stream of pixels.

use super::frame::balanced_sum;
use super::pipe::Pipe;
use super::value::ToOutput;
use super::window::WindowProgram;
use crate::fixed_point::Cast;
use crate::network::{Average, Network, Node, Pool, PoolKind};
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::register::{Register, RegisterClass, bits_for, lane, set_lane, step_counter};
use crate::simulate::cycle::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};

/// The reduction of one window of one channel.
#[derive(Clone, Debug)]
pub struct PoolFunction {
    kind: PoolKind,
    frac: i32,
    window: usize,
    through: Option<Cast>,
    output: ToOutput,
}

impl PoolFunction {
    /// The reduction of a node.
    #[must_use]
    pub fn new(network: &Network, node: &Node, pool: &Pool) -> Self {
        let frac = network.tensor(node.inputs[0]).encoding.frac();
        let (through, from) = match pool.kind {
            PoolKind::Max {
                through: Some(format),
            } => (Some(Cast::new(frac, &format)), format.frac()),
            PoolKind::Max { through: None } | PoolKind::Sum => (None, frac),
            PoolKind::Average(average) => (None, average.accumulator.frac()),
        };
        let [rows, columns] = pool.geometry.window.kernel;
        Self {
            kind: pool.kind,
            frac,
            window: rows * columns,
            through,
            output: ToOutput::new(from, &network.tensor(node.output).encoding),
        }
    }

    /// The output lane of the taps that lie in the image, in their order.
    #[must_use]
    pub fn lane(&self, taps: &[i64]) -> u64 {
        self.output.lane(match self.kind {
            PoolKind::Max { .. } => {
                let largest = i128::from(taps.iter().copied().max().unwrap_or(0));
                self.through.map_or(largest, |cast| cast.apply(largest))
            }
            PoolKind::Sum => taps.iter().map(|&tap| i128::from(tap)).sum(),
            PoolKind::Average(kind) => {
                let divisor = if kind.count_pad { self.window } else { taps.len() };
                average(&kind, self.frac, taps, divisor as i128)
            }
        })
    }
}

/// A pool: takes whole pixels into a line buffer and reduces every window that is complete.
#[derive(Clone, Debug)]
pub struct WindowPool {
    function: PoolFunction,
    program: WindowProgram,
    input: StreamShape,
    code: LaneCode,
    output: StreamShape,
    pipe: Pipe,
}

impl WindowPool {
    /// A stage for a pool with so many registers behind the reduction.
    #[must_use]
    pub fn new(
        function: PoolFunction,
        program: WindowProgram,
        code: LaneCode,
        lanes: usize,
        output: StreamShape,
        latency: usize,
    ) -> Self {
        let input = StreamShape {
            lanes,
            lane_bits: code.bits(),
        };
        let pipe = Pipe::new(latency, output.lanes, output.lane_bits);
        Self {
            function,
            program,
            input,
            code,
            output,
            pipe,
        }
    }

    fn buffer(&self) -> usize {
        self.pipe.limbs()
    }

    fn iteration_at(&self) -> usize {
        self.buffer() + self.program.ring() * self.input.limbs()
    }

    fn last_iteration(&self) -> u64 {
        self.program.len() as u64 - 1
    }

    fn reduce(&self, state: &mut [u64], window: u32) {
        let stride = self.input.limbs();
        let ring = self.program.ring();
        let (pipe, rest) = state.split_at_mut(self.buffer());
        let word = self.pipe.first(pipe);
        let mut taps = Vec::with_capacity(self.program.taps(window).len());
        for at in 0..self.output.lanes {
            taps.clear();
            for &source in self.program.taps(window).iter().flatten() {
                let pixel = &rest[source as usize % ring * stride..][..stride];
                taps.push(self.code.decode(lane(pixel, at, self.input.lane_bits)));
            }
            set_lane(word, at, self.output.lane_bits, self.function.lane(&taps));
        }
    }
}

impl Stage for WindowPool {
    fn registers(&self) -> Vec<Register> {
        let StreamShape { lanes, lane_bits } = self.input;
        let ring = self.program.ring();
        let mut registers: Vec<Register> = self.pipe.registers().into();
        registers.push(Register::words(
            RegisterClass::LineBuffer,
            "line_buffer",
            ring,
            lanes,
            lane_bits,
        ));
        registers.push(Register::control("iteration", bits_for(self.last_iteration())));
        registers.push(Register::control("write_pointer", bits_for(ring as u64 - 1)));
        registers
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self {
            input: StreamShape::EMPTY,
            output: StreamShape::EMPTY,
            pipe: self.pipe.control(),
            ..self.clone()
        })
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "pipe" => Live::when("pipe_valid", Says::BitOfWord(0)),
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
        let takes = self.program.iteration(state[self.iteration_at()]).takes;
        u32::from(takes && self.pipe.moves(state, signals.ready & 1 == 1))
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        if !self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        self.pipe.advance(state);
        let at = self.iteration_at();
        let iteration = self.program.iteration(state[at]);
        if iteration.takes {
            if edge.taken & 1 == 0 {
                return;
            }
            let ring = self.program.ring() as u64;
            let stride = self.input.limbs();
            if state[at + 1] < ring {
                let slot = self.buffer() + state[at + 1] as usize * stride;
                state[slot..slot + stride].copy_from_slice(edge.words[0]);
            }
            state[at + 1] = step_counter(state[at + 1], ring - 1, bits_for(ring - 1));
        }
        if let Some(window) = iteration.window {
            self.reduce(state, window);
        }
        if state[at] == self.last_iteration() {
            state[at + 1] = 0;
        }
        state[at] = step_counter(state[at], self.last_iteration(), bits_for(self.last_iteration()));
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![Buffer {
            start: self.buffer(),
            limbs: self.input.limbs(),
            words: self.program.ring(),
        }]
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        if !self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        let at = self.iteration_at();
        let taken = edge.taken & 1 == 1;
        let place = |word: usize| self.buffer() + word * self.input.limbs();
        self.program
            .accesses(state[at], state[at + 1], taken, place, access);
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        if !self.pipe.moves(state, signals.ready & 1 == 1) {
            return u64::MAX;
        }
        let waits = self.program.iteration(state[self.iteration_at()]).takes && signals.valid & 1 == 0;
        if waits && self.pipe.is_empty(state) {
            u64::MAX
        } else {
            0
        }
    }
}

/// hls4ml's average, as [`Average`] states it.
fn average(average: &Average, frac: i32, taps: &[i64], divisor: i128) -> i128 {
    let format = &average.accumulator;
    let own = Cast::new(format.frac(), format);
    let sum = if average.tree {
        let cast = Cast::new(frac, format);
        let terms: Vec<i128> = taps.iter().map(|&tap| cast.apply(i128::from(tap))).collect();
        balanced_sum(&terms, &own)
    } else {
        let common = frac.max(format.frac());
        let cast = Cast::new(common, format);
        let raise = |value: i128, frac: i32| value << common.abs_diff(frac);
        taps.iter().fold(0, |sum, &tap| {
            cast.apply(raise(sum, format.frac()) + raise(i128::from(tap), frac))
        })
    };
    own.apply(sum / divisor.max(1))
}
