//! The RTL generator that offers whole windows.

use super::super::super::register::{Register, RegisterClass, step_counter};
use super::super::super::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};
use super::super::Unbuildable;
use super::super::bits::{address_bits, copy_bits, move_bits};
use super::super::layout::{Control, Layout, Words};
use super::controller::{Controller, KERNEL_ROWS, Loops};
use super::{WindowGeometry, skipped};

/// FINN's `swg_template_parallel`: per kernel row a shift register whose taps are the window, and between
/// two rows a ring memory for the rest of a line.
///
/// All rings advance together; here they share their two address registers, which the RTL repeats.
#[derive(Clone, Debug)]
pub(super) struct Parallel {
    geometry: WindowGeometry,
    fold: usize,
    layout: Layout,
    controller: Controller,
    kernel: [usize; 2],
    chunk_bits: usize,
    /// Registers between two neighbouring taps of a row, and in front of a row's first tap.
    gap: usize,
    lead: usize,
    /// Words of one ring.
    line: usize,
    last_read: i64,
    first_write: i64,
    last_write: i64,
    window: Words,
    between: Words,
    rings: Words,
    ring_outputs: Words,
    newest: Control,
    current: Control,
    write_address: Control,
    read_address: Control,
    writing_done: Control,
    write_done: Control,
}

#[derive(Clone, Copy)]
struct Commands {
    writes: bool,
    read: bool,
    written: bool,
    advance: bool,
}

impl Parallel {
    pub(super) fn new(
        geometry: WindowGeometry,
        fold: usize,
        shape: StreamShape,
    ) -> Result<Self, Unbuildable> {
        let [height, width] = [geometry.input[0], geometry.input[1]];
        let [kernel_rows, kernel_columns] = geometry.kernel;
        let [stride_rows, stride_columns] = geometry.stride;
        let [dilation_rows, dilation_columns] = geometry.dilation;
        let [rows, columns] = geometry.output();
        let span_columns = geometry.span()[1];
        let [skipped_rows, skipped_columns] = skipped(&geometry);
        let first_write =
            ((kernel_rows - 1) * dilation_rows * width + (kernel_columns - 1) * dilation_columns) * fold;
        let loops = Loops {
            iterations: [1, 1, fold, columns, rows],
            increments: [
                1,
                1,
                1,
                ((stride_columns - 1) * fold + 1) as i64,
                ((skipped_columns + span_columns - 1) * fold + 1 + (stride_rows - 1) * width * fold) as i64,
            ],
        };
        let line = (width - span_columns + width * (dilation_rows - 1)) * fold;
        let rings = if line > 0 { kernel_rows - 1 } else { 0 };
        let gap = dilation_columns * fold - 1;
        let lead = fold - 1;
        let between = kernel_rows * (kernel_columns - 1) * gap + (kernel_rows - 1) * lead;

        let last_read = height * width * fold - 1;
        let lanes = kernel_rows * kernel_columns * shape.lanes;
        let mut layout = Layout::default();
        let class = RegisterClass::LineBuffer;
        let window = layout.words(class, "window", 1, lanes, shape.lane_bits);
        let between = layout.words(class, "between_taps", between, shape.lanes, shape.lane_bits);
        let ring_words = layout.words(class, "line_buffer", rings * line, shape.lanes, shape.lane_bits);
        // A ring of one word is that word alone.
        let outputs = if line > 1 { rings } else { 0 };
        let ring_outputs = layout.words(class, "line_buffer_output", outputs, shape.lanes, shape.lane_bits);
        let controller = Controller::new(&mut layout, loops, KERNEL_ROWS);
        let element = address_bits(last_read as u64 + 1) + 1;
        let address = if rings > 0 { address_bits(line as u64) } else { 0 };
        let mut generator = Self {
            geometry,
            fold,
            controller,
            kernel: geometry.kernel,
            chunk_bits: shape.lanes * shape.lane_bits as usize,
            gap,
            lead,
            line,
            last_read: last_read as i64,
            first_write: first_write as i64,
            last_write: (((height - skipped_rows - 1) * width + width - skipped_columns) * fold) as i64 - 1,
            window,
            between,
            rings: ring_words,
            ring_outputs,
            newest: layout.control("newest_element", element),
            current: layout.control("current_element", element),
            write_address: layout.control("write_address", address),
            read_address: layout.control("read_address", address),
            writing_done: layout.control("writing_done", 1),
            write_done: layout.control("write_done", 1),
            layout,
        };
        generator.controller = generator.controller.remembering(&mut generator.layout);
        Ok(generator)
    }

    fn commands(&self, state: &[u64], signals: Signals) -> Commands {
        let newest = self.newest.signed(state);
        let writes = self.current.signed(state) <= newest && !self.writing_done.is_set(state);
        let passes = signals.ready & 1 == 1 || self.write_done.is_set(state);
        let reads = newest != self.last_read;
        let read = reads && signals.valid & 1 == 1 && (!writes || passes);
        let written = writes && passes;
        Commands {
            writes,
            read,
            written,
            advance: read || !reads && (written || !writes),
        }
    }

    /// Moves everything one place on.
    fn shift(&self, state: &mut [u64], input: Option<&[u64]>) {
        if self.chunk_bits > 0 {
            self.shift_words(state, input);
        }
        if self.line > 0 {
            let last = self.line as u64 - 1;
            for address in [self.write_address, self.read_address] {
                let next = step_counter(address.get(state), last, address.bits());
                address.set(state, next);
            }
        }
    }

    /// The words, from the oldest kernel row to the newest. Places are bit addresses in the state.
    fn shift_words(&self, state: &mut [u64], input: Option<&[u64]>) {
        let [rows, columns] = self.kernel;
        let chunk = self.chunk_bits;
        let (write, read) = (self.write_address.get(state), self.read_address.get(state));
        for row in (0..rows).rev() {
            // Row 0 is the newest; in a word the oldest taps come first.
            let tap = |row: usize, column: usize| {
                self.window.start() * 64 + ((rows - 1 - row) * columns + column) * chunk
            };
            if row + 1 < rows && self.line > 0 {
                self.shift_line(state, row, tap(row, 0), write as usize, read as usize);
            }
            let lead = if row > 0 { self.lead } else { 0 };
            let registers = row * (columns - 1) * self.gap + row.saturating_sub(1) * self.lead;
            let source = match (row, self.line) {
                (0, _) => None,
                (_, 0) => Some(tap(row - 1, 0)),
                (_, 1) => Some(self.rings.start_of(row - 1) * 64),
                _ => Some(self.ring_outputs.start_of(row - 1) * 64),
            };
            if self.gap == 0 {
                move_bits(state, tap(row, 1), tap(row, 0), (columns - 1) * chunk);
            } else {
                for column in 0..columns - 1 {
                    let first = registers + lead + (columns - 2 - column) * self.gap;
                    self.through(
                        state,
                        first,
                        self.gap,
                        Some(tap(row, column + 1)),
                        tap(row, column),
                    );
                }
            }
            let newest = tap(row, columns - 1);
            if let (None, Some(word)) = (source, input) {
                copy_bits(word, 0, state, newest, chunk);
            } else {
                self.through(state, registers, lead, source, newest);
            }
        }
    }

    /// Moves a value through registers `first..first + count` between two places.
    fn through(&self, state: &mut [u64], first: usize, count: usize, from: Option<usize>, to: usize) {
        let Some(from) = from else { return };
        if count == 0 {
            return move_bits(state, from, to, self.chunk_bits);
        }
        let register = |at: usize| self.between.start_of(first + at) * 64;
        move_bits(state, register(count - 1), to, self.chunk_bits);
        for at in (1..count).rev() {
            move_bits(state, register(at - 1), register(at), self.chunk_bits);
        }
        move_bits(state, from, register(0), self.chunk_bits);
    }

    /// A line takes the oldest value of its row.
    fn shift_line(&self, state: &mut [u64], row: usize, from: usize, write: usize, read: usize) {
        let first = row * self.line;
        if self.line == 1 {
            return move_bits(state, from, self.rings.start_of(first) * 64, self.chunk_bits);
        }
        // An address beyond the ring, which only an upset makes, reads zeros and writes nothing.
        let source = if read < self.line {
            first + read
        } else {
            usize::MAX
        };
        self.rings.copy(state, source, self.ring_outputs, row);
        if write < self.line {
            move_bits(
                state,
                from,
                self.rings.start_of(first + write) * 64,
                self.chunk_bits,
            );
        }
    }

    fn start_frame(&self, state: &mut [u64]) {
        self.newest.set(state, u64::MAX);
        self.current.set(state, self.first_write as u64);
        self.writing_done.set(state, 0);
    }
}

impl Stage for Parallel {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let control = Self::new(self.geometry, self.fold, StreamShape::EMPTY);
        Box::new(control.expect("its schedule is that of the generator"))
    }

    fn state_limbs(&self) -> usize {
        self.layout.limbs()
    }

    fn reset(&self, state: &mut [u64]) {
        self.start_frame(state);
        self.controller.reset(state);
        self.read_address.set(state, 1);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        let commands = self.commands(state, Signals::default());
        (commands.writes && !self.write_done.is_set(state)).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.window.word(state, 0)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let offered = Signals { valid: 1, ..signals };
        self.commands(state, offered).read.into()
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let commands = self.commands(state, edge.signals);
        let newest = self.newest.signed(state);
        let reads_last = commands.read && newest == self.last_read - 1;
        let writing_done = self.writing_done.is_set(state);
        let current = self.current.get(state);
        if commands.advance {
            self.shift(state, commands.read.then(|| edge.words[0]));
        }
        if commands.read {
            self.newest.set(state, (newest + 1) as u64);
            if reads_last && writing_done {
                self.start_frame(state);
            }
        }
        if commands.written {
            if current as i64 == self.last_write {
                if newest == self.last_read || reads_last {
                    self.start_frame(state);
                } else {
                    self.writing_done.set(state, 1);
                }
            } else {
                let increment = self.controller.increment(state);
                self.current.set(state, current.wrapping_add(increment as u64));
            }
            self.controller.step(state);
        }
        if commands.advance {
            self.write_done.set(state, 0);
        } else if commands.written {
            self.write_done.set(state, 1);
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.rings.buffer().into_iter().collect()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        if self.line == 0 || !self.commands(state, edge.signals).advance {
            return;
        }
        let (write, read) = match self.line {
            1 => (0, 0),
            _ => (self.write_address.get(state), self.read_address.get(state)),
        };
        for first in (0..self.rings.len()).step_by(self.line) {
            for (place, kind) in [(read, Access::Reads), (write, Access::Writes)] {
                let place = place as usize;
                if place < self.line {
                    self.rings.access(first + place, kind, access);
                }
            }
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let commands = self.commands(state, signals);
        // A word that has been handed on while none could be taken counts as written every cycle.
        if commands.read || commands.written || commands.advance {
            0
        } else {
            u64::MAX
        }
    }
}
