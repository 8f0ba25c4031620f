//! A function of each element, one word per cycle.

use super::function::Function;
use super::pipe::Pipe;
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::memory::Memories;
use crate::simulate::cycle::register::{Register, bits_for, lane, set_lane, step_counter};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// Applies a [`Function`] to every lane; the result passes `latency` registers.
#[derive(Clone, Debug)]
pub struct ElementWise {
    function: Function,
    input: StreamShape,
    output: StreamShape,
    pipe: Pipe,
    /// Last value of the word counter that finds the parameters; none where all elements share them.
    last_word: Option<u64>,
}

impl ElementWise {
    /// `elements` of the tensor pass in words of `input.lanes`.
    #[must_use]
    pub fn new(
        function: Function,
        input: StreamShape,
        output: StreamShape,
        elements: usize,
        latency: usize,
    ) -> Self {
        let period = function.period();
        let words = if period.is_multiple_of(input.lanes) {
            period / input.lanes
        } else {
            elements / input.lanes
        };
        let pipe = Pipe::new(latency, output.lanes, output.lane_bits);
        let last_word = (period > 1).then_some(words.max(1) as u64 - 1);
        Self {
            function,
            input,
            output,
            pipe,
            last_word,
        }
    }

    fn compute(&self, counter: u64, input: &[u64], memories: &Memories, output: &mut [u64]) {
        let first = counter as usize * self.input.lanes;
        for at in 0..self.input.lanes {
            let bits = self
                .function
                .lane(first + at, lane(input, at, self.input.lane_bits), memories);
            set_lane(output, at, self.output.lane_bits, bits);
        }
    }
}

impl Stage for ElementWise {
    fn registers(&self) -> Vec<Register> {
        let counter = self
            .last_word
            .map(|last| Register::control("word_counter", bits_for(last)));
        self.pipe.registers().into_iter().chain(counter).collect()
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self {
            function: self.function.clone(),
            input: StreamShape::EMPTY,
            output: StreamShape::EMPTY,
            pipe: self.pipe.control(),
            last_word: self.last_word,
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
        u32::from(self.pipe.moves(state, signals.ready & 1 == 1))
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        if !self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        let (pipe, counter) = state.split_at_mut(self.pipe.limbs());
        self.pipe.advance(pipe);
        if edge.taken & 1 == 1 {
            let at = counter.first().copied().unwrap_or(0);
            self.compute(at, edge.words[0], edge.memories, self.pipe.first(pipe));
            if let (Some(counter), Some(last)) = (counter.first_mut(), self.last_word) {
                *counter = step_counter(*counter, last, bits_for(last));
            }
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let stands = !self.pipe.moves(state, signals.ready & 1 == 1);
        let empty = self.pipe.is_empty(state) && signals.valid & 1 == 0;
        if stands || empty { u64::MAX } else { 0 }
    }
}
