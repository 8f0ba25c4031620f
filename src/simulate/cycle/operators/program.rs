//! A program of instructions between rows of registers, a sample per cycle.

use crate::fixed_point::Format;
use crate::network::{Instruction, Network, Node, Program, ProgramInput};
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::pipeline::Packed;
use crate::simulate::cycle::register::{Register, RegisterClass, lane};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// One value of a row.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The instruction, or the output in the last row.
    index: usize,
    format: Format,
}

impl Held {
    fn mantissa(&self, limb: u64) -> i64 {
        self.format.mantissa_of_bits(u128::from(limb)) as i64
    }

    fn bits(&self, mantissa: i64) -> u64 {
        self.format.bits_of(i128::from(mantissa)) as u64
    }
}

/// Rows of registers with a program's blocks between them; they all move or all stand.
///
/// Every value of a row has a limb of its own. A row in front of each block, one behind the last; a value without
/// bits has no register. The valid flags, one per row, follow.
#[derive(Clone, Debug)]
pub struct ProgramStage {
    program: Program,
    input: StreamShape,
    input_code: LaneCode,
    input_frac: i32,
    output_frac: i32,
    rows: Vec<Vec<Held>>,
    /// First limb of every row, and of the flags.
    starts: Vec<usize>,
    /// The row of every register: values of one width that follow each other in a row share one.
    row_of_register: Vec<usize>,
}

impl ProgramStage {
    /// `input` carries all elements of a sample in one word.
    #[must_use]
    pub fn new(network: &Network, node: &Node, program: &Program, input: StreamShape) -> Self {
        let held = |index: usize, format: Option<Format>| format.map(|format| Held { index, format });
        let mut rows: Vec<Vec<Held>> = (0..program.blocks.len())
            .map(|block| {
                let block = program.block(block);
                block
                    .filter(|&at| program.instructions[at].is_register())
                    .filter_map(|at| held(at, program.instructions[at].format))
                    .collect()
            })
            .collect();
        let outputs = program.outputs.iter().enumerate();
        rows.push(
            outputs
                .filter_map(|(at, output)| held(at, output.format))
                .collect(),
        );
        let mut starts = vec![0];
        for row in &rows {
            starts.push(starts[starts.len() - 1] + row.len());
        }
        let widths = |values: &Vec<Held>| {
            let mut widths: Vec<u32> = values.iter().map(|held| held.format.width()).collect();
            widths.dedup();
            widths.len()
        };
        let numbered = rows.iter().enumerate();
        let row_of_register = numbered
            .flat_map(|(row, values)| std::iter::repeat_n(row, widths(values)))
            .collect();
        let encoding = &network.tensor(node.inputs[0]).encoding;
        Self {
            program: program.clone(),
            input,
            input_code: LaneCode::of(encoding),
            input_frac: encoding.frac(),
            output_frac: network.tensor(node.output).encoding.frac(),
            rows,
            starts,
            row_of_register,
        }
    }

    /// The words that leave: a limb per output that has bits.
    #[must_use]
    pub fn output(&self) -> StreamShape {
        StreamShape {
            lanes: self.last_row().len(),
            lane_bits: 64,
        }
    }

    /// How a word that leaves stands for the elements of the output tensor.
    #[must_use]
    pub fn packed(&self) -> Packed {
        let mut fields = vec![None; self.program.outputs.len()];
        for (at, held) in self.last_row().iter().enumerate() {
            let raise = self.output_frac - held.format.frac();
            fields[held.index] = Some((at, held.format, raise as u32));
        }
        Packed { fields }
    }

    fn last_row(&self) -> &[Held] {
        &self.rows[self.rows.len() - 1]
    }

    fn flags(&self) -> usize {
        self.starts[self.rows.len()]
    }

    fn offers_last(&self, state: &[u64]) -> bool {
        state[self.flags() + self.rows.len() - 1] & 1 == 1
    }

    fn moves(&self, state: &[u64], ready: bool) -> bool {
        ready || !self.offers_last(state)
    }

    /// The values of a block's registers.
    fn load(&self, state: &[u64], row: usize, values: &mut [i64]) {
        for (held, &limb) in self.rows[row].iter().zip(&state[self.starts[row]..]) {
            values[held.index] = held.mantissa(limb);
        }
    }

    /// Computes a block behind its registers and stores what the next row takes.
    fn compute(&self, state: &mut [u64], block: usize, values: &mut [i64]) {
        self.load(state, block, values);
        let none = ProgramInput {
            mantissas: &[],
            frac: 0,
        };
        let is_register = |instruction: &Instruction| instruction.is_register();
        for at in self.program.block(block) {
            if !is_register(&self.program.instructions[at]) {
                values[at] = self.program.value(at, none, values);
            }
        }
        let next = block + 1;
        let last = next == self.program.blocks.len();
        for (held, limb) in self.rows[next].iter().zip(&mut state[self.starts[next]..]) {
            let mantissa = match last {
                true => self.program.output(held.index, values),
                false => self.program.value(held.index, none, values),
            };
            *limb = held.bits(mantissa);
        }
    }

    /// Stores a sample in the first row.
    fn enter(&self, state: &mut [u64], word: &[u64]) {
        let mantissas: Vec<i64> = (0..self.input.lanes)
            .map(|at| self.input_code.decode(lane(word, at, self.input.lane_bits)))
            .collect();
        let input = ProgramInput {
            mantissas: &mantissas,
            frac: self.input_frac,
        };
        for (held, limb) in self.rows[0].iter().zip(state) {
            *limb = held.bits(self.program.value(held.index, input, &[]));
        }
    }
}

impl Stage for ProgramStage {
    fn registers(&self) -> Vec<Register> {
        let mut registers: Vec<Register> = Vec::new();
        let mut last = (usize::MAX, 0);
        for (row, values) in self.rows.iter().enumerate() {
            for held in values {
                let width = held.format.width();
                match registers.last_mut() {
                    Some(register) if last == (row, width) => register.words += 1,
                    _ => registers.push(Register::word(RegisterClass::Pipeline, "row", 1, width)),
                }
                last = (row, width);
            }
        }
        registers.push(Register::words(
            RegisterClass::Control,
            "valid",
            self.rows.len(),
            1,
            1,
        ));
        registers
    }

    fn control(&self) -> Box<dyn Stage> {
        let rows = self.rows.len();
        let program = Program {
            instructions: Vec::new(),
            blocks: vec![0; rows - 1],
            tables: Vec::new(),
            outputs: Vec::new(),
        };
        Box::new(Self {
            program,
            input: StreamShape::EMPTY,
            rows: vec![Vec::new(); rows],
            starts: vec![0; rows + 1],
            row_of_register: Vec::new(),
            ..*self
        })
    }

    fn live(&self, at: usize, register: &Register) -> Live {
        match self.row_of_register.get(at) {
            Some(&row) => Live::when("valid", Says::Word(row)),
            None => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        u32::from(self.offers_last(state))
    }

    fn word<'s>(&self, state: &'s [u64], _output: usize) -> &'s [u64] {
        &state[self.starts[self.rows.len() - 1]..self.flags()]
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        u32::from(self.moves(state, signals.ready & 1 == 1))
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        if !self.moves(state, edge.signals.ready & 1 == 1) {
            return;
        }
        let flags = self.flags();
        let mut values = vec![0; self.program.instructions.len()];
        for block in (0..self.program.blocks.len()).rev() {
            let valid = state[flags + block];
            if valid & 1 == 1 {
                self.compute(state, block, &mut values);
            }
            state[flags + block + 1] = valid;
        }
        state[flags] = u64::from(edge.taken & 1 == 1);
        if edge.taken & 1 == 1 {
            self.enter(state, edge.words[0]);
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let stands = !self.moves(state, signals.ready & 1 == 1);
        let flags = &state[self.flags()..][..self.rows.len()];
        let empty = flags.iter().all(|&flag| flag == 0) && signals.valid & 1 == 0;
        if stands || empty { u64::MAX } else { 0 }
    }
}
