//! Element-wise combination of two streams.

use super::pipe::Pipe;
use super::value::ToOutput;
use crate::network::{CombineOp, Network, Node};
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::register::{Register, lane, set_lane};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// Combines the elements of two streams of equal shape: waits for a word on both.
#[derive(Clone, Debug)]
pub struct Join {
    combine: Combination,
    inputs: [StreamShape; 2],
    output: StreamShape,
    pipe: Pipe,
}

/// What is done with two elements; exact, then one cast.
#[derive(Clone, Debug)]
pub struct Combination {
    op: CombineOp,
    codes: [LaneCode; 2],
    raise: [u32; 2],
    output: ToOutput,
}

impl Combination {
    /// The combination of a node with two operands.
    #[must_use]
    pub fn new(network: &Network, node: &Node, op: CombineOp) -> Self {
        let encodings = [0, 1].map(|at: usize| network.tensor(node.inputs[at]).encoding);
        let fracs = encodings.map(|encoding| encoding.frac());
        let common = fracs[0].max(fracs[1]);
        let frac = match op {
            CombineOp::Multiply => fracs[0] + fracs[1],
            CombineOp::Average => common + 1,
            _ => common,
        };
        Self {
            op,
            codes: encodings.map(|encoding| LaneCode::of(&encoding)),
            raise: fracs.map(|frac| common.abs_diff(frac)),
            output: ToOutput::new(frac, &network.tensor(node.output).encoding),
        }
    }

    /// The output lane of two input lanes.
    #[must_use]
    pub fn lane(&self, a: u64, b: u64) -> u64 {
        let [a, b] = [self.codes[0].decode(a), self.codes[1].decode(b)].map(i128::from);
        let [left, right] = [a << self.raise[0], b << self.raise[1]];
        self.output.lane(match self.op {
            CombineOp::Add | CombineOp::Average => left + right,
            CombineOp::Subtract => left - right,
            CombineOp::Multiply => a * b,
            CombineOp::Maximum => left.max(right),
            CombineOp::Minimum => left.min(right),
        })
    }
}

impl Join {
    /// A join with so many registers behind the combination.
    #[must_use]
    pub fn new(combine: Combination, inputs: [StreamShape; 2], output: StreamShape, latency: usize) -> Self {
        Self {
            combine,
            inputs,
            output,
            pipe: Pipe::new(latency, output.lanes, output.lane_bits),
        }
    }
}

impl Stage for Join {
    fn registers(&self) -> Vec<Register> {
        self.pipe.registers().into()
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self {
            combine: self.combine.clone(),
            inputs: [StreamShape::EMPTY; 2],
            output: StreamShape::EMPTY,
            pipe: self.pipe.control(),
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
        let both = signals.valid & 3 == 3 && self.pipe.moves(state, signals.ready & 1 == 1);
        if both { 3 } else { 0 }
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        if !self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        self.pipe.advance(state);
        if edge.taken & 3 == 3 {
            let word = self.pipe.first(state);
            for at in 0..self.output.lanes {
                let a = lane(edge.words[0], at, self.inputs[0].lane_bits);
                let b = lane(edge.words[1], at, self.inputs[1].lane_bits);
                set_lane(word, at, self.output.lane_bits, self.combine.lane(a, b));
            }
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let stands = !self.pipe.moves(state, signals.ready & 1 == 1);
        let empty = self.pipe.is_empty(state) && signals.valid & 3 != 3;
        if stands || empty { u64::MAX } else { 0 }
    }
}
