//! Streams one after the other, in turns.

use super::pipe::Pipe;
use super::value::ToOutput;
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::register::{Register, bits_for, lane, set_lane, step_counter};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// Takes so many words of the first operand, so many of the second, ..., and starts over.
#[derive(Clone, Debug)]
pub struct Concat {
    /// Words of each operand in one turn.
    turns: Vec<u64>,
    codes: Vec<(LaneCode, ToOutput)>,
    output: StreamShape,
    pipe: Pipe,
}

impl Concat {
    /// `turns` words of each operand, whose lanes are decoded and cast as `codes` say.
    ///
    /// # Panics
    /// Where an operand has no word in its turn.
    #[must_use]
    pub fn new(turns: Vec<u64>, codes: Vec<(LaneCode, ToOutput)>, output: StreamShape) -> Self {
        assert!(
            turns.iter().all(|&words| words > 0),
            "an operand without a word in its turn"
        );
        Self {
            turns,
            codes,
            output,
            pipe: Pipe::new(1, output.lanes, output.lane_bits),
        }
    }

    fn operand_bits(&self) -> u32 {
        bits_for(self.turns.len() as u64 - 1)
    }

    fn word_bits(&self) -> u32 {
        bits_for(self.turns.iter().max().map_or(0, |words| words - 1))
    }

    /// The operand whose turn it is; an upset selection beyond the operands waits for none.
    fn operand(&self, state: &[u64]) -> usize {
        state[self.pipe.limbs()] as usize
    }
}

impl Stage for Concat {
    fn registers(&self) -> Vec<Register> {
        let mut registers: Vec<Register> = self.pipe.registers().into();
        registers.push(Register::control("operand", self.operand_bits()));
        registers.push(Register::control("word_counter", self.word_bits()));
        registers
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self {
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
        let operand = self.operand(state);
        if operand < self.turns.len() && self.pipe.moves(state, signals.ready & 1 == 1) {
            1 << operand
        } else {
            0
        }
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        if !self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        self.pipe.advance(state);
        let operand = self.operand(state);
        if edge.taken == 0 || operand >= self.turns.len() {
            return;
        }
        let (code, to_output) = &self.codes[operand];
        let word = self.pipe.first(state);
        for at in 0..self.output.lanes {
            let value = code.decode(lane(edge.words[operand], at, code.bits()));
            set_lane(word, at, self.output.lane_bits, to_output.lane(i128::from(value)));
        }
        let at = self.pipe.limbs();
        if state[at + 1] == self.turns[operand] - 1 {
            state[at] = step_counter(state[at], self.turns.len() as u64 - 1, self.operand_bits());
            state[at + 1] = 0;
        } else {
            state[at + 1] = step_counter(state[at + 1], u64::MAX, self.word_bits());
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let stands = !self.pipe.moves(state, signals.ready & 1 == 1);
        let empty = self.pipe.is_empty(state) && signals.valid & self.accepts(state, signals) == 0;
        if stands || empty { u64::MAX } else { 0 }
    }
}
