//! Padding of feature maps.

use super::super::live::Live;
use super::super::register::{Register, RegisterClass, bits_for, mask, set_lane};
use super::super::stage::{Edge, Signals, Stage, StreamShape};
use super::bits::address_bits;
use super::layout::{Control, Layout, Words};
use super::{Unbuildable, at_least_one, multiple};

/// What a padding stage adds around a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddingShape {
    /// Height, width and channels of the map that comes in.
    pub input: [usize; 3],
    /// Rows above and below.
    pub rows: [usize; 2],
    /// Columns to the left and to the right.
    pub columns: [usize; 2],
    /// Bits of one border element.
    pub border: u64,
}

/// FINN's `fmpadding`: latency 1, one word per cycle, border words whether or not input is there.
///
/// A side-step register takes a word that comes while a border is handed on, and one whose output is
/// blocked. Where the map lies in the frame are constants of the design; the RTL's registers for them
/// have no writer in a static accelerator.
#[derive(Clone, Debug)]
pub struct Padding {
    shape: PaddingShape,
    layout: Layout,
    border: Vec<u64>,
    fold: u64,
    last: [u64; 2],
    side: Words,
    output: Words,
    side_valid: Control,
    output_valid: Control,
    channels: Control,
    column: Control,
    row: Control,
}

/// What an edge does.
#[derive(Clone, Copy)]
struct Commands {
    /// The counters step.
    steps: bool,
    /// The current place is one of the map.
    forwards: bool,
    /// The output register loads.
    loads: bool,
}

impl Padding {
    /// A stage for words of `lanes` channels, each of `lane_bits` bits.
    ///
    /// # Errors
    /// [`Unbuildable`] where a size is 0 or the lanes do not divide the channels.
    pub fn new(shape: PaddingShape, lanes: usize, lane_bits: u32) -> Result<Self, Unbuildable> {
        for size in shape.input {
            at_least_one("a size of a padded map", size)?;
        }
        let fold = multiple("the channels of a padded map", shape.input[2], lanes)? as u64;
        Ok(Self::of(shape, fold, StreamShape { lanes, lane_bits }))
    }

    fn of(shape: PaddingShape, fold: u64, word: StreamShape) -> Self {
        let StreamShape { lanes, lane_bits } = word;
        let mut border = vec![0; word.limbs()];
        for at in 0..lanes {
            set_lane(&mut border, at, lane_bits, shape.border);
        }
        let last = [
            (shape.rows[0] + shape.input[0] + shape.rows[1]) as u64 - 1,
            (shape.columns[0] + shape.input[1] + shape.columns[1]) as u64 - 1,
        ];
        let mut layout = Layout::default();
        let class = RegisterClass::Pipeline;
        Self {
            shape,
            border,
            fold,
            last,
            side: layout.words(class, "side", 1, lanes, lane_bits),
            output: layout.words(class, "output", 1, lanes, lane_bits),
            side_valid: layout.control("side_valid", 1),
            output_valid: layout.control("output_valid", 1),
            channels: layout.control("channels", address_bits(fold.saturating_sub(1)) + 1),
            column: layout.control("column", bits_for(last[1])),
            row: layout.control("row", bits_for(last[0])),
            layout,
        }
    }

    fn commands(&self, state: &[u64], valid: bool, ready: bool) -> Commands {
        let inside =
            |at: u64, before: usize, size: usize| (before as u64..(before + size) as u64).contains(&at);
        let forwards = inside(self.column.get(state), self.shape.columns[0], self.shape.input[1])
            && inside(self.row.get(state), self.shape.rows[0], self.shape.input[0]);
        let loads = ready || !self.output_valid.is_set(state);
        Commands {
            steps: loads && (valid || self.side_valid.is_set(state) || !forwards),
            forwards,
            loads,
        }
    }

    /// The nested counters: channels count down to -1, columns and rows up.
    fn step(&self, state: &mut [u64]) {
        if self.channels.signed(state) >= 0 {
            let channels = self.channels.get(state);
            return self.channels.set(state, channels.wrapping_sub(1));
        }
        self.channels.set(state, self.fold.wrapping_sub(2));
        for (counter, last) in [(self.column, self.last[1]), (self.row, self.last[0])] {
            let count = counter.get(state);
            if count != last {
                return counter.set(state, (count + 1) & mask(counter.bits()));
            }
            counter.set(state, 0);
        }
    }
}

impl Stage for Padding {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self::of(self.shape, self.fold, StreamShape::EMPTY))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "side" => Live::while_set("side_valid"),
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.channels.set(state, self.fold.wrapping_sub(2));
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.output_valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], _: Signals) -> u32 {
        (!self.side_valid.is_set(state)).into()
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let valid = edge.signals.valid & 1 == 1;
        let side_valid = self.side_valid.is_set(state);
        let output_valid = self.output_valid.is_set(state);
        let commands = self.commands(state, valid, edge.signals.ready & 1 == 1);
        if commands.steps {
            if !commands.forwards {
                self.output.write(state, 0, &self.border);
            } else if side_valid {
                self.side.copy(state, 0, self.output, 0);
            } else {
                self.output.write(state, 0, edge.words[0]);
            }
            self.step(state);
        }
        if commands.loads {
            self.output_valid.set(state, commands.steps.into());
        }
        if valid && !side_valid {
            self.side.write(state, 0, edge.words[0]);
        }
        let blocked = output_valid && !commands.loads || !commands.forwards;
        self.side_valid
            .set(state, ((side_valid || valid) && blocked).into());
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let valid = signals.valid & 1 == 1;
        let commands = self.commands(state, valid, signals.ready & 1 == 1);
        let takes = valid && !self.side_valid.is_set(state);
        let still = if commands.loads {
            !self.output_valid.is_set(state)
        } else {
            true
        };
        if still && !commands.steps && !takes {
            u64::MAX
        } else {
            0
        }
    }
}
