//! The buffer that offers an input vector once per neuron fold.

use super::super::super::register::{RegisterClass, mask};
use super::super::bits::address_bits;
use super::super::layout::{Control, Layout, Words};

/// FINN's `replay_buffer`: a ring memory with a write, a read and a free pointer, and an output
/// register; it takes the next vector's words while it still repeats the current one's. For a single
/// repetition only the count of a vector's words is left.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    length: u64,
    /// Address bits of the memory.
    address: u32,
    item: Cycle,
    ring: Option<Ring>,
}

#[derive(Clone, Debug)]
struct Ring {
    repetition: Cycle,
    memory: Words,
    output: Words,
    write: Control,
    read: Control,
    free: Control,
    valid: Control,
    last: Control,
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

    fn is_last(&self, state: &[u64]) -> bool {
        self.period == 1 || self.last.is_set(state)
    }

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

    /// Steps until the flag stands, where the counter is as it should be; 0 where it is not.
    fn steps_to_last(&self, state: &[u64]) -> u64 {
        if self.is_last(state) {
            return 0;
        }
        let count = self.count.get(state);
        (self.period - 1).saturating_sub(count)
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

impl Replay {
    pub(super) fn new(
        layout: &mut Layout,
        lanes: usize,
        lane_bits: u32,
        length: u64,
        repetitions: u64,
    ) -> Self {
        let item = Cycle::new(layout, ["item", "last_item"], length);
        let address = address_bits(length).max(1);
        let ring = (repetitions > 1).then(|| {
            let class = RegisterClass::Activation;
            Ring {
                memory: layout.words(class, "replay", 1 << address, lanes, lane_bits),
                output: layout.words(class, "replayed", 1, lanes, lane_bits),
                repetition: Cycle::new(layout, ["repetition", "last_repetition"], repetitions),
                write: layout.control("write_pointer", address + 1),
                read: layout.control("read_pointer", address + 1),
                free: layout.control("free_pointer", address + 1),
                valid: layout.control("replayed_valid", 1),
                last: layout.control("replayed_last", 1),
            }
        });
        Self {
            length,
            address,
            item,
            ring,
        }
    }

    /// Whether a word is taken from the stream, where the multipliers take one if `advance`.
    pub(super) fn accepts(&self, state: &[u64], advance: bool) -> bool {
        match &self.ring {
            None => advance,
            Some(ring) => self.used(ring, state) >> self.address == 0,
        }
    }

    /// Words of the memory that may not be overwritten.
    fn used(&self, ring: &Ring, state: &[u64]) -> u64 {
        ring.write.get(state).wrapping_sub(ring.free.get(state)) & mask(self.address + 1)
    }

    pub(super) fn offer(&self, state: &[u64], input: bool) -> Offer {
        match &self.ring {
            None => Offer {
                valid: input,
                last: self.item.is_last(state),
            },
            Some(ring) => Offer {
                valid: ring.valid.is_set(state),
                last: ring.last.is_set(state),
            },
        }
    }

    /// Whether what is offered lies in a register of the buffer, and which; otherwise it is the input.
    pub(super) fn word(&self) -> Option<Words> {
        self.ring.as_ref().map(|ring| ring.output)
    }

    /// The state after an edge; `advance` says that the multipliers take a word if one is offered.
    pub(super) fn edge(&self, state: &mut [u64], input: Option<&[u64]>, advance: bool) {
        let Some(ring) = &self.ring else {
            if input.is_some() && advance {
                self.item.step(state);
            }
            return;
        };
        let accepts = self.accepts(state, advance);
        let (write, read, free) = (ring.write.get(state), ring.read.get(state), ring.free.get(state));
        let place = mask(self.address);
        if !ring.valid.is_set(state) || advance {
            let available = read != write;
            if available {
                ring.memory.copy(state, (read & place) as usize, ring.output, 0);
                let last_item = self.item.is_last(state);
                let last_repetition = ring.repetition.is_last(state);
                let rewind = last_item && !last_repetition;
                let back = if rewind { self.length } else { 0 };
                ring.read.set(state, read.wrapping_add(1).wrapping_sub(back));
                ring.free.set(state, free.wrapping_add(last_repetition.into()));
                self.item.step(state);
                if last_item {
                    ring.repetition.step(state);
                }
                ring.last.set(state, last_item.into());
            }
            ring.valid.set(state, available.into());
        }
        if let (true, Some(word)) = (accepts, input) {
            ring.memory.write(state, (write & place) as usize, word);
            ring.write.set(state, write.wrapping_add(1));
        }
    }

    /// Whether an edge leaves everything as it is.
    pub(super) fn is_still(&self, state: &[u64], input: bool, advance: bool) -> bool {
        match &self.ring {
            None => !(input && advance),
            Some(ring) => {
                let takes = input && self.accepts(state, advance);
                let valid = ring.valid.is_set(state);
                let empty = ring.read.get(state) == ring.write.get(state);
                !takes && (valid && !advance || !valid && empty)
            }
        }
    }

    /// A lower bound of the advances, without any input, that leave it as it is whether the buffer
    /// accepts.
    pub(super) fn advances_to_free(&self, state: &[u64]) -> u64 {
        let Some(ring) = &self.ring else { return 0 };
        // The free pointer moves in the last repetition only, by one per advance.
        let vectors = ring.repetition.steps_to_last(state);
        let to_last = if vectors == 0 {
            0
        } else {
            self.item.steps_to_last(state) + (vectors - 1) * self.length
        };
        let used = self.used(ring, state);
        let room = 1 << self.address;
        to_last + if used < room { used } else { used - room }
    }

    /// A lower bound of the advances until a word is offered that ends a vector.
    pub(super) fn advances_to_last(&self, state: &[u64]) -> u64 {
        let Some(ring) = &self.ring else { return 0 };
        if ring.valid.is_set(state) && ring.last.is_set(state) {
            return 0;
        }
        self.item.steps_to_last(state)
    }
}
