//! finn-hlslib's generator.

use super::super::super::live::Live;
use super::super::super::register::{Register, RegisterClass, bits_for};
use super::super::super::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};
use super::super::Unbuildable;
use super::super::layout::{Control, Layout, Words};
use super::super::multiple;
use super::WindowGeometry;

/// `ConvolutionInputGenerator` of finn-hlslib's `slidingwindow.h`: a loop of
/// `IW*kh*CF + OH*OW*kh*kw*CF` iterations per frame, one per cycle, that first fills `kh` rows and then
/// hands one tap on per iteration while it fills further rows. An iteration waits until what it reads is
/// there and what it writes has room.
///
/// The scheduler's pipeline between buffer and output is not modelled beyond one output register.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    layout: Layout,
    geometry: WindowGeometry,
    kernel: [u64; 2],
    stride: [u64; 2],
    output_size: [u64; 2],
    width: u64,
    fold: u64,
    blocks: u64,
    block_words: u64,
    blocks_per_frame: u64,
    initial: u64,
    write_cycles: u64,
    iterations: u64,
    buffer: Words,
    output: Words,
    output_valid: Control,
    counters: [Control; COUNTERS],
}

/// The loop's variables.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Variable {
    Iteration,
    Input,
    Cycle,
    WriteBlock,
    Line,
    ReadBlocks,
    Row,
    Column,
    KernelRow,
    KernelColumn,
    Fold,
}

const COUNTERS: usize = 11;

impl Blocks {
    pub(super) fn new(
        geometry: WindowGeometry,
        fold: usize,
        shape: StreamShape,
    ) -> Result<Self, Unbuildable> {
        let [height, width] = [geometry.input[0], geometry.input[1]];
        let [kernel_rows, kernel_columns] = geometry.kernel;
        let stride_rows = geometry.stride[0];
        let blocks = multiple("the height of finn-hlslib's window", kernel_rows, stride_rows)? + 1;
        let per_frame = multiple(
            "the height of a map for finn-hlslib's window",
            height,
            stride_rows,
        )?;
        let [rows, columns] = geometry.output();
        let write_cycles = columns * kernel_rows * kernel_columns * fold;
        let block_words = stride_rows * width * fold;
        let schedule = |what| Err(Unbuildable::Schedule { what });
        if geometry.dilation != [1, 1] {
            return schedule("finn-hlslib's sliding window has no dilation");
        }
        if write_cycles < block_words {
            return schedule(
                "finn-hlslib's sliding window needs more cycles to read a row than to write its windows",
            );
        }
        if write_cycles < 2 || rows > block_words {
            // A row's reads fall one iteration behind its windows, which later rows make up for.
            return schedule("finn-hlslib's sliding window has more rows of windows than words in a block");
        }
        let initial = width * kernel_rows * fold;
        let iterations = initial + rows * write_cycles;
        let mut layout = Layout::default();
        let class = RegisterClass::LineBuffer;
        let words = blocks * block_words;
        let buffer = layout.words(class, "line_buffer", words, shape.lanes, shape.lane_bits);
        let output = layout.words(RegisterClass::Pipeline, "output", 1, shape.lanes, shape.lane_bits);
        let output_valid = layout.control("output_valid", 1);
        let largest = [
            ("iteration", iterations - 1),
            ("inputs", initial),
            ("cycle", write_cycles - 1),
            ("write_block", blocks - 1),
            ("line", block_words - 1),
            ("blocks_read", per_frame),
            ("row", rows - 1),
            ("column", columns - 1),
            ("kernel_row", kernel_rows - 1),
            ("kernel_column", kernel_columns - 1),
            ("fold", fold - 1),
        ];
        let counters = largest.map(|(name, last)| layout.control(name, bits_for(last as u64)));
        let wide = |pair: [usize; 2]| pair.map(|size| size as u64);
        Ok(Self {
            layout,
            geometry,
            kernel: wide(geometry.kernel),
            stride: wide(geometry.stride),
            output_size: wide(geometry.output()),
            width: width as u64,
            fold: fold as u64,
            blocks: blocks as u64,
            block_words: block_words as u64,
            blocks_per_frame: per_frame as u64,
            initial: initial as u64,
            write_cycles: write_cycles as u64,
            iterations: iterations as u64,
            buffer,
            output,
            output_valid,
            counters,
        })
    }

    fn get(&self, state: &[u64], variable: Variable) -> u64 {
        self.counters[variable as usize].get(state)
    }

    fn set(&self, state: &mut [u64], variable: Variable, value: u64) {
        self.counters[variable as usize].set(state, value);
    }

    /// Counts up; whether the count wrapped at `period`.
    fn count(&self, state: &mut [u64], variable: Variable, period: u64) -> bool {
        let next = self.get(state, variable) + 1;
        self.set(state, variable, if next == period { 0 } else { next });
        next == period
    }

    fn fills(&self, state: &[u64]) -> bool {
        self.get(state, Variable::Input) < self.initial
    }

    fn reads(&self, state: &[u64]) -> bool {
        self.fills(state)
            || self.get(state, Variable::Cycle) + 1 < self.block_words
                && self.get(state, Variable::ReadBlocks) < self.blocks_per_frame
    }

    fn writes(&self, state: &[u64]) -> bool {
        !self.fills(state) && self.get(state, Variable::Cycle) + 1 < self.write_cycles
    }

    /// Whether an iteration has room for what it writes.
    fn has_room(&self, state: &[u64], ready: bool) -> bool {
        !self.writes(state) || !self.output_valid.is_set(state) || ready
    }

    fn runs(&self, state: &[u64], signals: Signals) -> bool {
        (signals.valid & 1 == 1 || !self.reads(state)) && self.has_room(state, signals.ready & 1 == 1)
    }

    /// The word of the line buffer that the next tap is.
    fn tap_place(&self, state: &[u64]) -> usize {
        let [stride_rows, stride_columns] = self.stride;
        let kernel_row = self.get(state, Variable::KernelRow);
        let mut block = self.get(state, Variable::WriteBlock) + 1 + kernel_row / stride_rows;
        if block >= self.blocks {
            block -= self.blocks;
        }
        let column =
            self.get(state, Variable::Column) * stride_columns + self.get(state, Variable::KernelColumn);
        let line =
            (kernel_row % stride_rows * self.width + column) * self.fold + self.get(state, Variable::Fold);
        // A place beyond its block, which only an upset makes, reads zeros.
        if line < self.block_words {
            (block * self.block_words + line) as usize
        } else {
            usize::MAX
        }
    }

    /// The word of the line buffer that the next input goes to; none beyond its block.
    fn input_place(&self, state: &[u64]) -> Option<usize> {
        let line = self.get(state, Variable::Line);
        let place = self.get(state, Variable::WriteBlock) * self.block_words + line;
        (line < self.block_words).then_some(place as usize)
    }

    /// A tap into the output register.
    fn write(&self, state: &mut [u64]) {
        let [kernel_rows, kernel_columns] = self.kernel;
        self.buffer.copy(state, self.tap_place(state), self.output, 0);
        self.output_valid.set(state, 1);
        let [rows, columns] = self.output_size;
        if self.count(state, Variable::Fold, self.fold)
            && self.count(state, Variable::KernelColumn, kernel_columns)
            && self.count(state, Variable::KernelRow, kernel_rows)
            && self.count(state, Variable::Column, columns)
            && self.count(state, Variable::Row, rows)
        {
            self.set(state, Variable::Input, 0);
        }
    }

    /// The input into the line buffer; whether that completes a block.
    fn read(&self, state: &mut [u64], word: &[u64]) -> bool {
        if let Some(place) = self.input_place(state) {
            self.buffer.write(state, place, word);
        }
        let full = self.count(state, Variable::Line, self.block_words);
        if full {
            self.count(state, Variable::WriteBlock, self.blocks);
            let blocks = self.get(state, Variable::ReadBlocks) + 1;
            self.set(state, Variable::ReadBlocks, blocks);
        }
        full
    }
}

impl Stage for Blocks {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let control = Self::new(self.geometry, self.fold as usize, StreamShape::EMPTY);
        Box::new(control.expect("its schedule is that of the generator"))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.output_valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        (self.reads(state) && self.has_room(state, signals.ready & 1 == 1)).into()
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let runs = self.runs(state, edge.signals);
        if edge.signals.ready & 1 == 1 {
            self.output_valid.set(state, 0);
        }
        if !runs {
            return;
        }
        let (fills, reads) = (self.fills(state), self.reads(state));
        if self.writes(state) {
            self.write(state);
        }
        if reads {
            let full = self.read(state, edge.words[0]);
            if fills {
                let inputs = self.get(state, Variable::Input) + 1;
                self.set(state, Variable::Input, inputs);
                if full {
                    self.set(state, Variable::Cycle, 0);
                }
            }
        }
        if !fills {
            self.count(state, Variable::Cycle, self.write_cycles - 1);
        }
        if self.count(state, Variable::Iteration, self.iterations) {
            self.set(state, Variable::ReadBlocks, 0);
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.buffer.buffer().into_iter().collect()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        if !self.runs(state, edge.signals) {
            return;
        }
        if self.writes(state) {
            self.buffer.access(self.tap_place(state), Access::Reads, access);
        }
        if let Some(place) = self.input_place(state).filter(|_| self.reads(state)) {
            self.buffer.access(place, Access::Writes, access);
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let given = self.output_valid.is_set(state) && signals.ready & 1 == 1;
        if given || self.runs(state, signals) {
            0
        } else {
            u64::MAX
        }
    }
}
