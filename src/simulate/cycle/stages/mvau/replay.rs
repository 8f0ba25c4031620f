//! The buffer that offers an input vector once per neuron fold.

use super::super::super::register::{RegisterClass, mask};
use super::super::super::stage::{Access, Buffer};
use super::super::bits::address_bits;
use super::super::layout::{Control, Layout, Words};
use super::InputBuffer;

/// The front of a matrix-vector unit: `repetitions` times the same `length` words.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    length: u64,
    repetitions: u64,
    item: Cycle,
    buffer: Buffering,
}

#[derive(Clone, Debug)]
enum Buffering {
    /// Every word is used once, as it comes.
    None,
    Ring(Ring),
    Kept(Kept),
}

/// FINN's `replay_buffer`: a ring memory with a write, a read and a free pointer, and an output
/// register; it takes the next vector's words while it still repeats the current one's.
#[derive(Clone, Debug)]
struct Ring {
    /// Address bits of the memory.
    address: u32,
    repetition: Cycle,
    memory: Words,
    output: Words,
    write: Control,
    read: Control,
    free: Control,
    valid: Control,
    last: Control,
    finished: Control,
}

/// finn-hlslib's `inputBuf`: the first repetition uses the words as they come and keeps them.
#[derive(Clone, Debug)]
struct Kept {
    repetition: Cycle,
    memory: Words,
}

/// A counter with a flag for its last value that is computed one step ahead.
#[derive(Clone, Debug)]
struct Cycle {
    period: u64,
    count: Control,
    last: Control,
}

impl Cycle {
    fn new(layout: &mut Layout, names: [&'static str; 2], period: u64) -> Self {
        Self {
            period,
            count: layout.control(names[0], address_bits(period)),
            last: layout.control(names[1], u32::from(period > 1)),
        }
    }

    #[inline]
    fn is_last(&self, state: &[u64]) -> bool {
        self.period == 1 || self.last.is_set(state)
    }

    #[inline]
    fn step(&self, state: &mut [u64]) {
        if self.period == 1 {
            return;
        }
        let count = self.count.get(state);
        let last = self.last.is_set(state);
        let span = 1u64 << self.count.bits();
        let by = if last { span - self.period + 1 } else { 1 };
        self.count.set(state, count.wrapping_add(by));
        let next =
            (self.period - 2) & !count & mask(self.count.bits()) == 0 && (self.period & 1 == 1 || !last);
        self.last.set(state, next.into());
    }

    /// A lower bound of the steps until the flag stands.
    #[inline]
    fn steps_to_last(&self, state: &[u64]) -> u64 {
        if self.is_last(state) {
            return 0;
        }
        (self.period - 1).saturating_sub(self.count.get(state))
    }
}

/// What the buffer offers to the multipliers in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Whether a word is offered.
    pub(super) valid: bool,
    /// Whether it is the last one of its vector.
    pub(super) last: bool,
}

impl Ring {
    /// Words of the memory that may not be overwritten.
    #[inline]
    fn used(&self, state: &[u64]) -> u64 {
        self.write.get(state).wrapping_sub(self.free.get(state)) & mask(self.address + 1)
    }

    #[inline]
    fn accepts(&self, state: &[u64]) -> bool {
        self.used(state) >> self.address == 0
    }

    /// Whether there is no further word, and the output register holds what it would load.
    fn shows_nothing_new(&self, state: &[u64], item: &Cycle) -> bool {
        let read = self.read.get(state);
        let (last, repeated) = (item.is_last(state), self.repetition.is_last(state));
        read == self.write.get(state)
            && self.memory.word(state, (read & mask(self.address)) as usize) == self.output.word(state, 0)
            && self.last.is_set(state) == last
            && self.finished.is_set(state) == (last && repeated)
    }

    fn edge(&self, state: &mut [u64], input: Option<&[u64]>, advance: bool, item: &Cycle) {
        let accepts = self.accepts(state);
        let (write, read, free) = (self.write.get(state), self.read.get(state), self.free.get(state));
        let place = mask(self.address);
        if !self.valid.is_set(state) || advance {
            // The output register and its flags load whether a word is there or not.
            let available = read != write;
            let last_item = item.is_last(state);
            let last_repetition = self.repetition.is_last(state);
            self.memory.copy(state, (read & place) as usize, self.output, 0);
            self.last.set(state, last_item.into());
            self.finished.set(state, (last_item && last_repetition).into());
            self.valid.set(state, available.into());
            if available {
                let back = if last_item && !last_repetition {
                    item.period
                } else {
                    0
                };
                self.read.set(state, read.wrapping_add(1).wrapping_sub(back));
                self.free.set(state, free.wrapping_add(last_repetition.into()));
                item.step(state);
                if last_item {
                    self.repetition.step(state);
                }
            }
        }
        if let (true, Some(word)) = (accepts, input) {
            self.memory.write(state, (write & place) as usize, word);
            self.write.set(state, write.wrapping_add(1));
        }
    }
}

impl Kept {
    /// Whether the words are used as they come.
    fn is_first(&self, state: &[u64]) -> bool {
        self.repetition.count.get(state) == 0
    }
}

impl Replay {
    pub(super) fn new(
        layout: &mut Layout,
        lanes: usize,
        lane_bits: u32,
        length: u64,
        repetitions: u64,
        kind: InputBuffer,
    ) -> Self {
        let item = Cycle::new(layout, ["item", "last_item"], length);
        let class = RegisterClass::Activation;
        let names = ["repetition", "last_repetition"];
        let buffer = match kind {
            _ if repetitions == 1 => Buffering::None,
            InputBuffer::None => Buffering::None,
            InputBuffer::Replay => {
                let address = address_bits(length).max(1);
                Buffering::Ring(Ring {
                    address,
                    memory: layout.words(class, "replay", 1 << address, lanes, lane_bits),
                    output: layout.words(class, "replayed", 1, lanes, lane_bits),
                    repetition: Cycle::new(layout, names, repetitions),
                    write: layout.control("write_pointer", address + 1),
                    read: layout.control("read_pointer", address + 1),
                    free: layout.control("free_pointer", address + 1),
                    valid: layout.control("replayed_valid", 1),
                    last: layout.control("replayed_last", 1),
                    finished: layout.control("replayed_final", 1),
                })
            }
            InputBuffer::Kept => Buffering::Kept(Kept {
                memory: layout.words(class, "replay", length as usize, lanes, lane_bits),
                repetition: Cycle::new(layout, names, repetitions),
            }),
        };
        Self {
            length,
            repetitions,
            item,
            buffer,
        }
    }

    /// Words of a vector, how often it is used, and what keeps it.
    pub(super) fn kind(&self) -> (u64, u64, InputBuffer) {
        let kind = match &self.buffer {
            Buffering::None => InputBuffer::None,
            Buffering::Ring(_) => InputBuffer::Replay,
            Buffering::Kept(_) => InputBuffer::Kept,
        };
        (self.length, self.repetitions, kind)
    }

    /// Whether a word is taken from the stream, where the multipliers take one if `advance`.
    #[inline]
    pub(super) fn accepts(&self, state: &[u64], advance: bool) -> bool {
        match &self.buffer {
            Buffering::None => advance,
            Buffering::Ring(ring) => ring.accepts(state),
            Buffering::Kept(kept) => advance && kept.is_first(state),
        }
    }

    #[inline]
    pub(super) fn offer(&self, state: &[u64], input: bool) -> Offer {
        match &self.buffer {
            Buffering::None => Offer {
                valid: input,
                last: self.item.is_last(state),
            },
            Buffering::Ring(ring) => Offer {
                valid: ring.valid.is_set(state),
                last: ring.last.is_set(state),
            },
            Buffering::Kept(kept) => Offer {
                valid: input || !kept.is_first(state),
                last: self.item.is_last(state),
            },
        }
    }

    /// The register and its word that are offered, or `None` where it is the input.
    #[inline]
    pub(super) fn word(&self, state: &[u64]) -> Option<(Words, usize)> {
        match &self.buffer {
            Buffering::None => None,
            Buffering::Ring(ring) => Some((ring.output, 0)),
            Buffering::Kept(kept) if kept.is_first(state) => None,
            Buffering::Kept(kept) => Some((kept.memory, self.item.count.get(state) as usize)),
        }
    }

    /// The state after an edge; `advance` says that the multipliers take a word if one is offered.
    #[inline]
    pub(super) fn edge(&self, state: &mut [u64], input: Option<&[u64]>, advance: bool) {
        let moves = advance && self.offer(state, input.is_some()).valid;
        match &self.buffer {
            Buffering::None if moves => self.item.step(state),
            Buffering::None => {}
            Buffering::Ring(ring) => ring.edge(state, input, advance, &self.item),
            Buffering::Kept(kept) if moves => {
                if let (true, Some(word)) = (kept.is_first(state), input) {
                    kept.memory
                        .write(state, self.item.count.get(state) as usize, word);
                }
                if self.item.is_last(state) {
                    kept.repetition.step(state);
                }
                self.item.step(state);
            }
            Buffering::Kept(_) => {}
        }
    }

    /// Its memory.
    pub(super) fn buffers(&self) -> Vec<Buffer> {
        let memory = match &self.buffer {
            Buffering::None => None,
            Buffering::Ring(ring) => ring.memory.buffer(),
            Buffering::Kept(kept) => kept.memory.buffer(),
        };
        memory.into_iter().collect()
    }

    /// What [`Replay::edge`] does with its memory; what the output register loads where no word is there is not valid.
    pub(super) fn accesses(
        &self,
        state: &[u64],
        input: bool,
        advance: bool,
        access: &mut dyn FnMut(usize, Access),
    ) {
        match &self.buffer {
            Buffering::None => {}
            Buffering::Ring(ring) => {
                let (write, read) = (ring.write.get(state), ring.read.get(state));
                let place = mask(ring.address);
                if (!ring.valid.is_set(state) || advance) && read != write {
                    ring.memory.access((read & place) as usize, Access::Reads, access);
                }
                if input && ring.accepts(state) {
                    ring.memory
                        .access((write & place) as usize, Access::Writes, access);
                }
            }
            Buffering::Kept(kept) => {
                if advance && self.offer(state, input).valid {
                    let kind = match kept.is_first(state) {
                        true => Access::Writes,
                        false => Access::Reads,
                    };
                    kept.memory
                        .access(self.item.count.get(state) as usize, kind, access);
                }
            }
        }
    }

    /// So many advances at once, at most, without any input; how many, and whether the first of the words that they take
    /// ends a vector, as none of the others does. None where words of the same vector do not follow each other.
    pub(super) fn stride(&self, state: &mut [u64], advances: u64) -> Option<(u64, bool)> {
        let Buffering::Ring(ring) = &self.buffer else {
            return None;
        };
        let count = self.item.count.get(state);
        let (write, read) = (ring.write.get(state), ring.read.get(state));
        let available = write.wrapping_sub(read) & mask(ring.address + 1);
        let inside = (self.length.saturating_sub(2)).saturating_sub(count);
        let advances = advances.min(available).min(inside);
        if advances == 0 || !ring.valid.is_set(state) || self.item.is_last(state) {
            return None;
        }
        let ends = ring.last.is_set(state);
        if ring.repetition.is_last(state) {
            let free = ring.free.get(state);
            ring.free.set(state, free.wrapping_add(advances));
        }
        ring.read.set(state, read.wrapping_add(advances));
        self.item.count.set(state, count + advances);
        ring.last.set(state, 0);
        ring.finished.set(state, 0);
        Some((advances, ends))
    }

    /// Whether an edge leaves everything as it is.
    #[inline]
    pub(super) fn is_still(&self, state: &[u64], input: bool, advance: bool) -> bool {
        match &self.buffer {
            Buffering::None | Buffering::Kept(_) => !(advance && self.offer(state, input).valid),
            Buffering::Ring(ring) => {
                let takes = input && ring.accepts(state);
                let valid = ring.valid.is_set(state);
                !takes && (valid && !advance || !valid && ring.shows_nothing_new(state, &self.item))
            }
        }
    }

    /// A lower bound of the advances, without any input, that leave it as it is whether the buffer
    /// accepts.
    pub(super) fn advances_to_free(&self, state: &[u64]) -> u64 {
        let to_last = |repetition: &Cycle| match repetition.steps_to_last(state) {
            0 => 0,
            vectors => self.item.steps_to_last(state) + (vectors - 1) * self.length,
        };
        match &self.buffer {
            Buffering::None => 0,
            Buffering::Ring(ring) => {
                // The free pointer moves in the last repetition only, by one per advance.
                let (used, room) = (ring.used(state), 1 << ring.address);
                to_last(&ring.repetition) + if used < room { used } else { used - room }
            }
            Buffering::Kept(kept) if kept.is_first(state) => 0,
            // The first repetition begins an advance after the last one has ended.
            Buffering::Kept(kept) if kept.repetition.is_last(state) => self.item.steps_to_last(state),
            Buffering::Kept(kept) => to_last(&kept.repetition),
        }
    }

    /// A lower bound of the advances until a word is offered that ends a vector.
    pub(super) fn advances_to_last(&self, state: &[u64]) -> u64 {
        match &self.buffer {
            Buffering::Ring(ring) if ring.valid.is_set(state) && ring.last.is_set(state) => 0,
            Buffering::None => 0,
            _ => self.item.steps_to_last(state),
        }
    }
}
