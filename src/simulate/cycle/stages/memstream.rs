//! Weights streamed out of a memory of their own.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::super::arithmetic::{Arithmetic, NoLanes};
use super::super::live::{Live, Says};
use super::super::memory::Memories;
use super::super::register::{Register, RegisterClass, bits_for, step_counter};
use super::super::stage::{Edge, Signals, Stage};
use super::bits::address_bits;
use super::layout::{Control, Layout, Words};
use super::{Unbuildable, at_least_one};

/// Registers behind the stream's pointer: command and memory output.
const PIPELINE: usize = 2;

/// FINN's `memstream`: the words of a memory over and over, the first one at the third edge after reset,
/// then one per cycle.
///
/// A scrubber or a refresh reads the memory through the same port: every access steals one cycle of the
/// stream, and where the stream is blocked the reads that are under way are undone and repeated; the
/// offer is withdrawn meanwhile. Here it
/// accesses one word every `read_back` cycles, the next address each time.
pub struct MemoryStream {
    arithmetic: Arc<dyn Arithmetic>,
    depth: u64,
    period: u64,
    layout: Layout,
    /// What a write command would write; nothing commands one but an upset.
    write_data: Words,
    write: Control,
    output: Words,
    /// The stream's address, and those of the commands under way.
    pointers: [Pointer; PIPELINE + 1],
    /// Commands under way: words for the stream, and read-backs. Bit 0 is the youngest.
    stream: Control,
    read_back: Control,
    access: Control,
    cycle: Control,
    address: Control,
}

/// An address with a flag for the last one.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    address: Control,
    last: Control,
}

impl Pointer {
    fn new(layout: &mut Layout, names: [&'static str; 2], depth: u64) -> Self {
        Self {
            address: layout.control(names[0], address_bits(depth)),
            last: layout.control(names[1], u32::from(depth > 1)),
        }
    }

    fn copy(&self, state: &mut [u64], from: Self) {
        let (address, last) = (from.address.get(state), from.last.get(state));
        self.address.set(state, address);
        self.last.set(state, last);
    }
}

impl MemoryStream {
    /// A stream of the weight words of steps `0..depth` of an arithmetic; with a read-back access every
    /// so many cycles, or none.
    ///
    /// # Errors
    /// [`Unbuildable`] where the memory has no word, or more than 2^32.
    pub fn new(
        arithmetic: Arc<dyn Arithmetic>,
        depth: u64,
        read_back: Option<NonZeroU64>,
    ) -> Result<Self, Unbuildable> {
        at_least_one("the words of a weight stream", depth as usize)?;
        let most = 1 << 32;
        if depth > most {
            return Err(Unbuildable::TooLarge {
                what: "the words of a weight stream",
                value: depth,
                most,
            });
        }
        Ok(Self::of(arithmetic, depth, read_back))
    }

    fn of(arithmetic: Arc<dyn Arithmetic>, depth: u64, read_back: Option<NonZeroU64>) -> Self {
        let mut layout = Layout::default();
        let (lanes, bits) = (arithmetic.product_lanes(), arithmetic.weight_bits());
        let class = RegisterClass::Pipeline;
        let write_data = layout.words(class, "write_data", 1, lanes, bits);
        let output = layout.words(class, "output", 1, lanes, bits);
        let names = [
            ["pointer", "pointer_last"],
            ["command_pointer", "command_pointer_last"],
            ["output_pointer", "output_pointer_last"],
        ];
        let pointers = names.map(|names| Pointer::new(&mut layout, names, depth));
        let accesses = |bits: u32| if read_back.is_some() { bits } else { 0 };
        let period = read_back.map_or(1, NonZeroU64::get);
        Self {
            write_data,
            output,
            write: layout.control("write_command", 1),
            pointers,
            stream: layout.control("stream_commands", PIPELINE as u32),
            read_back: layout.control("read_back_commands", PIPELINE as u32),
            access: layout.control("access", accesses(1)),
            cycle: layout.control("access_cycle", accesses(bits_for(period - 1))),
            address: layout.control("access_address", accesses(address_bits(depth))),
            arithmetic,
            depth,
            period,
            layout,
        }
    }

    /// Whether a read-back of the scrubber has arrived in this cycle.
    #[must_use]
    pub fn has_read_back(&self, state: &[u64]) -> bool {
        self.read_back.get(state) >> (PIPELINE - 1) & 1 == 1
    }

    /// Whether the output is blocked, and whether an access pushes forward nonetheless.
    fn flow(&self, state: &[u64], ready: bool) -> (bool, bool) {
        let blocked = self.offers(state) == 1 && !ready;
        let under_way = self.read_back.get(state) & ((1 << (PIPELINE - 1)) - 1) != 0;
        (blocked, self.access.is_set(state) || under_way)
    }
}

impl Stage for MemoryStream {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let read_back = NonZeroU64::new(self.period).filter(|_| self.access.bits() > 0);
        Box::new(Self::of(Arc::new(NoLanes), self.depth, read_back))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "output" => Live::when("stream_commands", Says::Bit(PIPELINE as u32 - 1)),
            "write_data" => Live::while_set("write_command"),
            // What is read back goes nowhere.
            "access_address" => Live::Never,
            _ => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        (self.stream.get(state) >> (PIPELINE - 1) & 1) as u32
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, _: &[u64], _: Signals) -> u32 {
        0
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let (blocked, pushes) = self.flow(state, edge.signals.ready & 1 == 1);
        let rolls_back = blocked && pushes;
        let access = self.access.is_set(state);
        let (stream, read_back) = (self.stream.get(state), self.read_back.get(state));
        if !blocked || pushes {
            // From the output back to the stream's pointer.
            let step = self.pointers[1].address.get(state);
            let word = self.output.word_mut(state, 0);
            if step < self.depth {
                self.arithmetic.weights(step, edge.memories, word);
            } else {
                word.fill(0);
            }
            self.write.set(state, 0);
            self.write_data.word_mut(state, 0).fill(0);
            let resumed = if rolls_back {
                self.pointers[PIPELINE]
            } else {
                self.pointers[0]
            };
            let (address, last) = (resumed.address.get(state), resumed.last.get(state));
            for at in (2..=PIPELINE).rev() {
                self.pointers[at].copy(state, self.pointers[at - 1]);
            }
            if access {
                let address = self.address.get(state);
                self.pointers[1].address.set(state, address);
            } else {
                self.pointers[1].address.set(state, address);
                self.pointers[1].last.set(state, last);
            }
            let pointer = self.pointers[0];
            if access {
                pointer.address.set(state, address);
                pointer.last.set(state, last);
            } else {
                let span = 1u64 << pointer.address.bits();
                let by = if last == 1 { span - self.depth + 1 } else { 1 };
                pointer.address.set(state, address.wrapping_add(by));
                let next_is_last = last == 0 && self.depth > 1 && address == self.depth - 2;
                pointer.last.set(state, next_is_last.into());
            }
            let moved = if rolls_back { 0 } else { stream << 1 };
            self.stream.set(state, moved | u64::from(!access));
            self.read_back.set(state, read_back << 1 | u64::from(access));
        }
        if self.access.bits() > 0 {
            let cycle = self.cycle.get(state);
            let accesses = cycle == self.period - 1;
            self.access.set(state, accesses.into());
            self.cycle
                .set(state, step_counter(cycle, self.period - 1, self.cycle.bits()));
            if accesses {
                let address = self.address.get(state);
                self.address
                    .set(state, step_counter(address, self.depth - 1, self.address.bits()));
            }
        }
    }

    fn stores(&self, state: &[u64], signals: Signals) -> Option<(u64, Vec<u64>)> {
        if !self.write.is_set(state) {
            return None;
        }
        let (blocked, pushes) = self.flow(state, signals.ready & 1 == 1);
        let step = self.pointers[1].address.get(state);
        let writes = (!blocked || pushes) && step < self.depth;
        writes.then(|| (step, self.write_data.word(state, 0).to_vec()))
    }

    fn store(&self, memories: &mut Memories, step: u64, word: &[u64]) {
        self.arithmetic.store(memories, step, word);
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let (blocked, pushes) = self.flow(state, signals.ready & 1 == 1);
        let still = blocked && !pushes && self.access.bits() == 0;
        if still { u64::MAX } else { 0 }
    }
}
