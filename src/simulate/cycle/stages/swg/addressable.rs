//! The RTL generator with an addressable ring as its line buffer.

use super::super::super::live::Live;
use super::super::super::register::{Register, RegisterClass, mask};
use super::super::super::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};
use super::super::Unbuildable;
use super::super::bits::address_bits;
use super::super::layout::{Control, Layout, Words};
use super::controller::{COLUMNS, Controller, KERNEL_ROWS, Loops, ROWS, SIMD};
use super::{WindowGeometry, skipped};

/// FINN's `swg_template_default`. It reads ahead as far as its buffer allows, and takes the next frame
/// when the last word of the current one has gone.
///
/// The RTL's mark of the next window has as many bits as an element number. In a depthwise generator the
/// last window moves it beyond the frame; just below a power of two its sign turns, and the RTL takes no
/// more words if they are late. Here the mark has the bits that it needs.
#[derive(Clone, Debug)]
pub(super) struct Addressable {
    geometry: WindowGeometry,
    fold: usize,
    layout: Layout,
    controller: Controller,
    depthwise: bool,
    /// Words of the line buffer.
    depth: i64,
    last_read: i64,
    last_write: i64,
    window: u64,
    tail_column: i64,
    tail_row: i64,
    tail_last: i64,
    buffer: Words,
    output: Words,
    newest: Control,
    current: Control,
    next_window: Control,
    position: Control,
    read_address: Control,
    write_address: Control,
    fetching_done: Control,
    writing_done: Control,
    write: Control,
}

/// What an edge does.
#[derive(Clone, Copy)]
struct Commands {
    read: bool,
    fetch: bool,
    written: bool,
}

impl Addressable {
    pub(super) fn new(
        geometry: WindowGeometry,
        fold: usize,
        shape: StreamShape,
        depthwise: bool,
    ) -> Result<Self, Unbuildable> {
        let [height, width] = [geometry.input[0], geometry.input[1]].map(|size| size as i64);
        let [kernel_rows, kernel_columns] = geometry.kernel.map(|size| size as i64);
        let [stride_rows, stride_columns] = geometry.stride.map(|size| size as i64);
        let [dilation_rows, dilation_columns] = geometry.dilation.map(|size| size as i64);
        let [rows, columns] = geometry.output();
        let span_columns = geometry.span()[1] as i64;
        let [skipped_rows, skipped_columns] = skipped(&geometry).map(|size| size as i64);
        let folds = fold as i64;
        // One window, and room for what a stride lets the generator read ahead.
        let least =
            ((kernel_rows - 1) * dilation_rows * width + (kernel_columns - 1) * dilation_columns + 1) * folds;
        let taps = kernel_rows * kernel_columns;
        let depth = least
            + (stride_columns - 1 - taps).max(0) * folds
            + ((stride_rows - 1) * width - taps).max(0) * folds;

        // Steps of the address at the end of each loop.
        let window_end = 1 - least + stride_columns * folds;
        let row_end =
            1 - least + (skipped_columns + span_columns) * folds + (stride_rows - 1) * width * folds;
        let interleaved = depthwise && fold > 1;
        let (loops, window, to_next) = if interleaved {
            let tap = dilation_columns * folds;
            let tap_row = folds * (1 + width - span_columns + (dilation_rows - 1) * width);
            let fold_end = folds + 1 - least;
            let loops = Loops {
                iterations: [geometry.kernel[1], geometry.kernel[0], fold, columns, rows],
                increments: [tap, tap_row, fold_end, window_end, row_end],
            };
            (loops, taps, least - folds)
        } else {
            let tap = (dilation_columns - 1) * folds + 1;
            let tap_row = (width - span_columns) * folds + (dilation_rows - 1) * width * folds + 1;
            let loops = Loops {
                iterations: [fold, geometry.kernel[1], geometry.kernel[0], columns, rows],
                increments: [1, tap, tap_row, window_end, row_end],
            };
            (loops, taps * folds, least - 1)
        };
        if window_end.abs() > depth || row_end.abs() > depth {
            return Err(Unbuildable::Schedule {
                what: "a sliding window's stride exceeds its line buffer, expected a parallel window",
            });
        }

        let last_read = height * width * folds - 1;
        let mut layout = Layout::default();
        let class = RegisterClass::LineBuffer;
        let buffer = layout.words(class, "line_buffer", depth as usize, shape.lanes, shape.lane_bits);
        let output = layout.words(RegisterClass::Pipeline, "output", 1, shape.lanes, shape.lane_bits);
        let controller = Controller::new(&mut layout, loops, SIMD);
        let element = address_bits(last_read as u64 + 1) + 1;
        let address = address_bits(depth as u64);
        // The last fold of the last window moves the mark beyond the frame.
        let beyond = if interleaved { fold as u64 } else { 1 };
        let mark = address_bits(last_read as u64 + beyond) + 1;
        let mut generator = Self {
            geometry,
            fold,
            controller,
            depthwise: interleaved,
            depth,
            last_read,
            last_write: ((height - skipped_rows - 1) * width + width - skipped_columns) * folds - 1,
            window: window as u64,
            tail_column: window_end + to_next,
            tail_row: row_end + to_next,
            tail_last: least - 1,
            buffer,
            output,
            newest: layout.control("newest_element", element),
            current: layout.control("current_element", element),
            next_window: layout.control("next_window", mark),
            position: layout.control("position_in_window", address_bits(window as u64)),
            read_address: layout.control("read_address", address + 1),
            write_address: layout.control("write_address", address),
            fetching_done: layout.control("fetching_done", 1),
            writing_done: layout.control("writing_done", 1),
            write: layout.control("output_valid", 1),
            layout,
        };
        generator.controller = generator.controller.remembering(&mut generator.layout);
        Ok(generator)
    }

    /// Whether a word would be taken.
    fn reads(&self, state: &[u64]) -> bool {
        let newest = self.newest.signed(state);
        let oldest = newest - (self.depth - 1);
        newest != self.last_read
            && (self.fetching_done.is_set(state)
                || oldest < self.next_window.signed(state) && oldest < self.current.signed(state))
    }

    fn commands(&self, state: &[u64], signals: Signals) -> Commands {
        let write = self.write.is_set(state);
        let ready = signals.ready & 1 == 1;
        let available = self.current.signed(state) <= self.newest.signed(state);
        Commands {
            read: signals.valid & 1 == 1 && self.reads(state),
            fetch: available && (!write || ready) && !self.fetching_done.is_set(state),
            written: write && ready,
        }
    }

    /// The word that a fetch reads.
    fn read_place(&self, state: &[u64]) -> usize {
        (self.read_address.get(state) & mask(self.write_address.bits())) as usize
    }

    /// What the first element of the next window is ahead of that of this one.
    fn tail(&self, state: &[u64]) -> i64 {
        if self.depthwise && self.controller.goes_on(state, KERNEL_ROWS) {
            1
        } else if self.controller.goes_on(state, COLUMNS) {
            self.tail_column
        } else if self.controller.goes_on(state, ROWS) {
            self.tail_row
        } else {
            self.tail_last
        }
    }

    fn start_frame(&self, state: &mut [u64]) {
        self.newest.set(state, u64::MAX);
        for register in [
            self.current,
            self.next_window,
            self.read_address,
            self.fetching_done,
        ] {
            register.set(state, 0);
        }
    }

    /// What a fetch moves, before the edge.
    fn marks(&self, state: &[u64]) -> Marks {
        Marks {
            read_address: self.read_address.signed(state),
            position: self.position.get(state),
            next_window: self.next_window.get(state),
            current: self.current.get(state),
        }
    }

    /// Moves on to the next element of a window. What the frame's end has restarted at the same edge moves on from
    /// where it was before.
    fn fetch(&self, state: &mut [u64], before: Marks) {
        let increment = self.controller.increment(state);
        let address = before.read_address + increment;
        let wrapped = if address >= self.depth {
            address - self.depth
        } else if address < 0 {
            address + self.depth
        } else {
            address
        };
        self.read_address.set(state, wrapped as u64);

        let position = before.position;
        if position == 0 {
            let next = before.next_window.wrapping_add(self.tail(state) as u64);
            self.next_window.set(state, next);
        }
        let last = position == self.window - 1;
        self.position.set(state, if last { 0 } else { position + 1 });

        let current = before.current;
        if current as i64 == self.last_write {
            self.fetching_done.set(state, 1);
        } else {
            self.current.set(state, current.wrapping_add(increment as u64));
        }
        self.controller.step(state);
    }
}

/// Registers that a fetch moves.
struct Marks {
    read_address: i64,
    position: u64,
    next_window: u64,
    current: u64,
}

impl Stage for Addressable {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let control = Self::new(self.geometry, self.fold, StreamShape::EMPTY, self.depthwise);
        Box::new(control.expect("its schedule is that of the generator"))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn state_limbs(&self) -> usize {
        self.layout.limbs()
    }

    fn reset(&self, state: &mut [u64]) {
        self.newest.set(state, u64::MAX);
        self.controller.reset(state);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.write.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], _: Signals) -> u32 {
        self.reads(state).into()
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let commands = self.commands(state, edge.signals);
        let newest = self.newest.signed(state);
        let reads_last = commands.read && newest == self.last_read - 1;
        let all_read = newest == self.last_read || reads_last;
        let (fetching_done, writing_done) =
            (self.fetching_done.is_set(state), self.writing_done.is_set(state));

        let before = self.marks(state);
        if commands.fetch {
            self.buffer.copy(state, self.read_place(state), self.output, 0);
        }
        if commands.read {
            let address = self.write_address.get(state);
            self.buffer.write(state, address as usize, edge.words[0]);
            let wraps = address as i64 == self.depth - 1 || reads_last;
            self.write_address.set(state, if wraps { 0 } else { address + 1 });
            self.newest.set(state, (newest + 1) as u64);
            if reads_last && writing_done {
                self.start_frame(state);
                self.writing_done.set(state, 0);
            }
        }
        if commands.fetch {
            self.fetch(state, before);
        }
        if commands.fetch || commands.written {
            self.write.set(state, commands.fetch.into());
        }
        if commands.written && fetching_done {
            if all_read {
                self.start_frame(state);
            } else {
                self.writing_done.set(state, 1);
            }
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.buffer.buffer().into_iter().collect()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        let commands = self.commands(state, edge.signals);
        if commands.fetch {
            self.buffer.access(self.read_place(state), Access::Reads, access);
        }
        if commands.read {
            let address = self.write_address.get(state) as usize;
            self.buffer.access(address, Access::Writes, access);
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let commands = self.commands(state, signals);
        if commands.read || commands.fetch || commands.written {
            0
        } else {
            u64::MAX
        }
    }
}
