//! Width converters: the same elements in wider or narrower words.

use super::super::live::{Live, Says};
use super::super::register::{Register, RegisterClass};
use super::super::stage::{Edge, Signals, Stage, StreamShape};
use super::bits::{address_bits, copy_bits, shift_down};
use super::layout::{Control, Layout, Words, pair, stays};
use super::{Unbuildable, at_least_one};

/// FINN's `dwc`: to words wider or narrower by a whole factor, or, where neither width divides the
/// other, through words of their least common multiple.
///
/// Up by `K`: the first word out `K` cycles after the first one in, a word in per cycle. Down by `K`:
/// latency 2, a word out per cycle. Both hold a side-step register, so that no ready depends on the
/// consumer's in the same cycle. Equal widths need no stage.
#[derive(Clone, Debug)]
pub struct WidthConverter {
    layout: Layout,
    up: Option<Up>,
    down: Option<Down>,
}

impl WidthConverter {
    /// A converter from words of `shape` to words of `lanes_out` lanes.
    ///
    /// # Errors
    /// [`Unbuildable`] where a width is 0, or where the widths are equal.
    pub fn new(shape: StreamShape, lanes_out: usize) -> Result<Self, Unbuildable> {
        at_least_one("the lanes of a width converter's input", shape.lanes)?;
        at_least_one("the lanes of a width converter's output", lanes_out)?;
        if shape.lanes == lanes_out {
            return Err(Unbuildable::Schedule {
                what: "a width converter between equal widths is no stage",
            });
        }
        let lanes = least_common_multiple(shape.lanes, lanes_out);
        let [wide, output] = [lanes, lanes_out].map(|lanes| StreamShape { lanes, ..shape });
        Ok(Self::of(
            [shape, wide, output],
            [lanes / shape.lanes, lanes / lanes_out],
        ))
    }

    /// From words of the first shape through those of the second one, so many times as wide, to the third one, of
    /// which the second one is so many times as wide.
    fn of([input, wide, output]: [StreamShape; 3], [up, down]: [usize; 2]) -> Self {
        let mut layout = Layout::default();
        let up = (up > 1).then(|| Up::new(&mut layout, up as u64, input, wide));
        let down = (down > 1).then(|| Down::new(&mut layout, down as u64, wide, output));
        Self { layout, up, down }
    }

    /// Whether the first half accepts, with its consumer's ready.
    fn ready_between(&self, state: &[u64]) -> bool {
        self.down.as_ref().is_some_and(|down| down.accepts(state))
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

impl Stage for WidthConverter {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let up = self.up.as_ref().map_or(1, |up| up.factor);
        let down = self.down.as_ref().map_or(1, |down| down.factor);
        Box::new(Self::of([StreamShape::EMPTY; 3], [up as usize, down as usize]))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "word" => {
                let factor = self.up.as_ref().map_or(1, |up| up.factor);
                Live::when("count", Says::IsNot(factor - 1))
            }
            "side" => Live::while_clear("free"),
            "chunks" => Live::when("chunk_count", Says::IsNot(1)),
            "chunk_side" => Live::while_clear("chunk_free"),
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        if let Some(up) = &self.up {
            up.reset(state);
        }
        if let Some(down) = &self.down {
            down.reset(state);
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        match (&self.up, &self.down) {
            (_, Some(down)) => down.valid.is_set(state).into(),
            (Some(up), None) => up.offers(state).into(),
            (None, None) => 0,
        }
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        match (&self.up, &self.down) {
            (Some(up), None) => up.word.word(state, 0),
            (_, Some(down)) => down.output.word(state, 0),
            (None, None) => &[],
        }
    }

    fn accepts(&self, state: &[u64], _: Signals) -> u32 {
        match (&self.up, &self.down) {
            (Some(up), _) => up.free.is_set(state).into(),
            (None, Some(down)) => down.accepts(state).into(),
            (None, None) => 0,
        }
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let (valid, word) = (edge.signals.valid & 1 == 1, edge.words[0]);
        let ready = edge.signals.ready & 1 == 1;
        match (&self.up, &self.down) {
            (Some(up), None) => up.edge(state, valid, word, ready),
            (None, Some(down)) => down.edge(state, valid, word, ready),
            (Some(up), Some(down)) => {
                let between = self.ready_between(state);
                let offers = up.offers(state);
                let handed = up.word.word(state, 0).to_vec();
                up.edge(state, valid, word, between);
                down.edge(state, offers, &handed, ready);
            }
            (None, None) => {}
        }
    }

    fn samples(&self) -> u32 {
        let chunk_bits = match (&self.up, &self.down) {
            (Some(up), _) => up.chunk_bits,
            (None, down) => down.as_ref().map_or(0, |down| down.chunk_bits),
        };
        u32::from(chunk_bits > 0)
    }

    fn depends_on_unoffered(&self) -> u32 {
        0
    }

    fn rest_at(&self, state: &[u64], edge: &Edge<'_>) -> u64 {
        let Signals { valid, ready } = edge.signals;
        if self.offers(state) & ready != 0 || self.accepts(state, edge.signals) & valid != 0 {
            return 0;
        }
        match stays(state, |next| self.edge(next, edge)) {
            true => u64::MAX,
            false => 0,
        }
    }
}

/// Narrow to wide: a shift register that fills from the top, and a side-step register at the input.
#[derive(Clone, Debug)]
struct Up {
    factor: u64,
    chunk_bits: usize,
    word_bits: usize,
    word: Words,
    side: Words,
    /// Chunks to come, less one; its top bit says that the word is complete.
    count: Control,
    free: Control,
}

impl Up {
    fn new(layout: &mut Layout, factor: u64, narrow: StreamShape, wide: StreamShape) -> Self {
        let class = RegisterClass::Pipeline;
        Self {
            factor,
            chunk_bits: narrow.lanes * narrow.lane_bits as usize,
            word_bits: wide.lanes * wide.lane_bits as usize,
            word: layout.words(class, "word", 1, wide.lanes, wide.lane_bits),
            side: layout.words(class, "side", 1, narrow.lanes, narrow.lane_bits),
            count: layout.control("count", address_bits(factor) + 1),
            free: layout.control("free", 1),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.count.set(state, self.factor - 1);
        self.free.set(state, 1);
    }

    fn offers(&self, state: &[u64]) -> bool {
        self.count.signed(state) < 0
    }

    fn edge(&self, state: &mut [u64], valid: bool, input: &[u64], ready: bool) {
        let offers = self.offers(state);
        let free = self.free.is_set(state);
        let room = !offers || ready;
        let mut count = if offers && ready {
            self.factor - 1
        } else {
            self.count.get(state)
        };
        if room && (valid || !free) {
            shift_down(self.word.word_mut(state, 0), self.chunk_bits);
            let top = self.word_bits - self.chunk_bits;
            if free {
                copy_bits(input, 0, self.word.word_mut(state, 0), top, self.chunk_bits);
            } else {
                let (side, word) = pair(state, self.side, self.word);
                copy_bits(side, 0, word, top, self.chunk_bits);
            }
            count = count.wrapping_sub(1);
        }
        if free {
            self.side.write(state, 0, input);
        }
        self.count.set(state, count);
        self.free.set(state, (room || free && !valid).into());
    }
}

/// Wide to narrow: a shift register that empties at the bottom, a side-step register and an output
/// register.
#[derive(Clone, Debug)]
struct Down {
    factor: u64,
    chunk_bits: usize,
    word: Words,
    side: Words,
    output: Words,
    /// From `1 - K` to 0 with as many chunks left, 1 where the register is empty.
    count: Control,
    free: Control,
    valid: Control,
}

impl Down {
    fn new(layout: &mut Layout, factor: u64, wide: StreamShape, narrow: StreamShape) -> Self {
        let class = RegisterClass::Pipeline;
        Self {
            factor,
            chunk_bits: narrow.lanes * narrow.lane_bits as usize,
            word: layout.words(class, "chunks", 1, wide.lanes, wide.lane_bits),
            side: layout.words(class, "chunk_side", 1, narrow.lanes, narrow.lane_bits),
            output: layout.words(class, "output", 1, narrow.lanes, narrow.lane_bits),
            count: layout.control("chunk_count", address_bits(factor) + 1),
            free: layout.control("chunk_free", 1),
            valid: layout.control("output_valid", 1),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.count.set(state, 1);
        self.free.set(state, 1);
    }

    fn accepts(&self, state: &[u64]) -> bool {
        self.free.is_set(state) && self.count.signed(state) >= 0
    }

    fn edge(&self, state: &mut [u64], input_valid: bool, input: &[u64], ready: bool) {
        let accepts = self.accepts(state);
        let free = self.free.is_set(state);
        let valid = self.valid.is_set(state);
        let count = self.count.signed(state);
        let filled = count < 0 || count & 1 == 0;
        if !valid || ready {
            let from = if free { self.word } else { self.side };
            let (from, output) = pair(state, from, self.output);
            copy_bits(from, 0, output, 0, self.chunk_bits);
        }
        if free {
            let (word, side) = pair(state, self.word, self.side);
            copy_bits(word, 0, side, 0, self.chunk_bits);
        }
        if accepts {
            self.word.write(state, 0, input);
            let count = if input_valid { 1i64 - self.factor as i64 } else { 1 };
            self.count.set(state, count as u64);
        } else if free {
            shift_down(self.word.word_mut(state, 0), self.chunk_bits);
            self.count.set(state, (count + 1) as u64);
        }
        self.free.set(state, (!valid || ready || free && !filled).into());
        self.valid.set(state, (valid && !ready || !free || filled).into());
    }
}
