//! A FIFO between two stages.

use super::super::live::{Condition, Live, Says};
use super::super::register::{Register, RegisterClass, step_counter};
use super::super::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};
use super::bits::address_bits;
use super::layout::{Control, Layout, Words};
use super::{Unbuildable, at_least_one};

/// States of the FIFO's machine; anything with bit 1 set counts as [`MORE`].
const EMPTY: u64 = 0;
const ONE: u64 = 1;
const MORE: u64 = 2;

/// FINN's `Q_srl`: an output register in front of a shift-register memory, latency 1, one word per
/// cycle, exactly `depth` words.
///
/// Ready and valid are registers that are computed one edge ahead. Slot 0 is the output register, slot 1 the newest
/// word of the memory. A flip in a slot moves along with the word.
///
/// FINN uses `Q_srl` up to depth 256 and splits deeper ones into FIFOs of the vendor's library, which keep their words
/// in a block memory. Such a memory is a ring here, and `place` is where its newest word lies; otherwise it behaves
/// the same. Of depth 1 it is a single register that takes a word every other cycle.
#[derive(Clone, Debug)]
pub struct Fifo {
    depth: usize,
    layout: Layout,
    slots: Words,
    place: Control,
    state: Control,
    address: Control,
    address_full: Control,
    valid: Control,
    full: Control,
}

/// The deepest FIFO that shifts its words.
const DEEPEST_SHIFT_REGISTER: usize = 256;

/// The control registers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Machine {
    place: u64,
    state: u64,
    address: u64,
    address_full: bool,
    valid: bool,
    full: bool,
}

/// What goes where at an edge.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Moves {
    /// The input word goes to the output register.
    input_to_output: bool,
    /// The memory's word at `address` goes to the output register.
    memory_to_output: bool,
    /// The input word goes into the memory.
    input_to_memory: bool,
}

impl Fifo {
    /// A FIFO of so many words.
    ///
    /// # Errors
    /// [`Unbuildable`] where the depth is 0.
    pub fn new(shape: StreamShape, depth: usize) -> Result<Self, Unbuildable> {
        at_least_one("the depth of a FIFO", depth)?;
        Ok(Self::of(shape, depth))
    }

    fn of(shape: StreamShape, depth: usize) -> Self {
        let mut layout = Layout::default();
        let slots = layout.words(RegisterClass::Fifo, "slots", depth, shape.lanes, shape.lane_bits);
        let places = depth as u64 - 1;
        let several = depth > 1;
        let control =
            |layout: &mut Layout, name, bits: u32| layout.control(name, if several { bits } else { 0 });
        let ring_bits = if depth > DEEPEST_SHIFT_REGISTER {
            address_bits(places)
        } else {
            0
        };
        let place = control(&mut layout, "place", ring_bits);
        let state = control(&mut layout, "state", 2);
        let address = control(&mut layout, "address", address_bits(depth as u64));
        let address_full = control(&mut layout, "address_full", 1);
        let valid = layout.control("valid", 1);
        let full = control(&mut layout, "full", 1);
        Self {
            depth,
            layout,
            slots,
            place,
            state,
            address,
            address_full,
            valid,
            full,
        }
    }

    /// Whether the memory is a shift register.
    fn shifts(&self) -> bool {
        self.depth <= DEEPEST_SHIFT_REGISTER
    }

    fn load(&self, state: &[u64]) -> Machine {
        Machine {
            place: self.place.get(state),
            state: self.state.get(state),
            address: self.address.get(state),
            address_full: self.address_full.is_set(state),
            valid: self.valid.is_set(state),
            full: self.full.is_set(state),
        }
    }

    fn store(&self, state: &mut [u64], machine: Machine) {
        self.place.set(state, machine.place);
        self.state.set(state, machine.state);
        self.address.set(state, machine.address);
        self.address_full.set(state, machine.address_full.into());
        self.valid.set(state, machine.valid.into());
        self.full.set(state, machine.full.into());
    }

    /// The slot that the output register loads next.
    fn oldest(&self, now: Machine) -> usize {
        let place = if self.shifts() {
            now.address
        } else {
            let ring = self.depth as u64 - 1;
            let place = (now.place + ring).wrapping_sub(now.address);
            if place >= ring { place - ring } else { place }
        };
        1 + place as usize
    }

    /// The next control state.
    fn next(&self, now: Machine, valid: bool, ready: bool) -> (Machine, Moves) {
        let mut next = now;
        let mut moves = Moves::default();
        if self.depth == 1 {
            moves.input_to_output = valid && !now.valid;
            next.valid = if now.valid { !ready } else { valid };
            return (next, moves);
        }
        match now.state {
            EMPTY => {
                moves.input_to_output = valid;
                next.address = 0;
                next.state = if valid { ONE } else { EMPTY };
            }
            ONE => {
                moves.input_to_output = valid && ready;
                moves.input_to_memory = valid && (!ready || self.shifts());
                next.address = 0;
                next.state = match (valid, ready) {
                    (true, false) => MORE,
                    (true, true) | (false, false) => ONE,
                    (false, true) => EMPTY,
                };
            }
            _ => {
                let takes = valid && !(now.address_full || self.depth == 2);
                moves.input_to_memory = takes;
                moves.memory_to_output = ready;
                next.state = MORE;
                if takes && !ready {
                    next.address = now.address + 1;
                } else if !takes && ready {
                    if now.address == 0 {
                        next.state = ONE;
                    } else {
                        next.address = now.address - 1;
                    }
                }
            }
        }
        next.address &= super::super::register::mask(self.address.bits());
        if moves.input_to_memory && !self.shifts() {
            next.place = step_counter(now.place, self.depth as u64 - 2, self.place.bits());
        }
        next.address_full = next.state == MORE && next.address == self.depth as u64 - 2;
        next.full = next.address_full;
        next.valid = next.state != EMPTY;
        (next, moves)
    }
}

impl Stage for Fifo {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        Box::new(Self::of(StreamShape::EMPTY, self.depth))
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "slots" if self.depth > 1 && self.shifts() => Live::While(vec![
                Condition {
                    flag: "valid",
                    says: Says::IsNot(0),
                },
                Condition {
                    flag: "address",
                    says: Says::Covers {
                        more: 2,
                        signed: false,
                    },
                },
            ]),
            "slots" => Live::while_set("valid"),
            _ => Live::of(register.class),
        }
    }

    fn buffers(&self) -> Vec<Buffer> {
        match self.shifts() {
            true => Vec::new(),
            false => self.slots.buffer_from(1).into_iter().collect(),
        }
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        if self.shifts() {
            return;
        }
        let now = self.load(state);
        let (next, moves) = self.next(now, edge.signals.valid & 1 == 1, edge.signals.ready & 1 == 1);
        if moves.memory_to_output {
            self.slots.access(self.oldest(now), Access::Reads, access);
        }
        if moves.input_to_memory {
            self.slots.access(1 + next.place as usize, Access::Writes, access);
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.slots.word(state, 0)
    }

    fn accepts(&self, state: &[u64], _: Signals) -> u32 {
        if self.depth == 1 {
            (!self.valid.is_set(state)).into()
        } else {
            (!self.full.is_set(state)).into()
        }
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let now = self.load(state);
        let (next, moves) = self.next(now, edge.signals.valid & 1 == 1, edge.signals.ready & 1 == 1);
        if moves.memory_to_output {
            self.slots.copy(state, self.oldest(now), self.slots, 0);
        }
        if moves.input_to_output {
            self.slots.write(state, 0, edge.words[0]);
        }
        if moves.input_to_memory {
            if self.shifts() {
                self.slots.shift_up_from(state, 1);
            }
            self.slots.write(state, 1 + next.place as usize, edge.words[0]);
        }
        self.store(state, next);
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let now = self.load(state);
        let (next, moves) = self.next(now, signals.valid & 1 == 1, signals.ready & 1 == 1);
        if next == now && moves == Moves::default() {
            u64::MAX
        } else {
            0
        }
    }
}
