//! What every stage of the pipeline is: static structure with registers, signals that follow from
//! them, and the next state at a clock edge.

use super::live::Live;
use super::memory::Memories;
use super::register::Register;

/// Shape of a stream: every word carries `lanes` elements of `lane_bits` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamShape {
    /// Elements of one word.
    pub lanes: usize,
    /// Bits of one element.
    pub lane_bits: u32,
}

impl StreamShape {
    /// Words of no lanes.
    pub const EMPTY: Self = Self {
        lanes: 0,
        lane_bits: 1,
    };

    /// Limbs of one packed word.
    #[must_use]
    pub fn limbs(&self) -> usize {
        super::register::limbs(self.lanes, self.lane_bits)
    }
}

/// Signals of one stage in one cycle as it sees them. Bit `i` of a mask belongs to port `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Inputs on which a word is offered.
    pub valid: u32,
    /// Outputs whose consumer takes a word.
    pub ready: u32,
}

/// A value between two registers that a transient can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// What a multiplier hands on.
    Product,
    /// What an adder tree hands to its running sum.
    Sum,
    /// What a comparison with a threshold says: lane by lane, one bit per threshold.
    Comparison,
}

impl Wire {
    /// All wires.
    pub const ALL: [Self; 3] = [Self::Product, Self::Sum, Self::Comparison];

    /// The tensor name in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "product_wire",
            Self::Sum => "sum_wire",
            Self::Comparison => "comparison_wire",
        }
    }
}

/// The wires of one kind in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireShape {
    /// Which.
    pub wire: Wire,
    /// How many.
    pub lanes: usize,
    /// Bits of one.
    pub lane_bits: u32,
}

/// A bit of a wire that is inverted while a clock edge comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transient {
    /// Which kind.
    pub wire: Wire,
    /// Which of them.
    pub lane: usize,
    /// Which bit.
    pub bit: u32,
}

impl Transient {
    /// Inverts the bit in a packed word of such wires.
    pub fn strike(&self, word: &mut [u64], lane_bits: u32) {
        let at = self.lane * lane_bits as usize + self.bit as usize;
        word[at / 64] ^= 1 << (at % 64);
    }
}

/// What happens at a clock edge.
pub struct Edge<'a> {
    /// Signals before the edge.
    pub signals: Signals,
    /// Inputs whose word this stage accepts: offered and accepted.
    pub taken: u32,
    /// Outputs whose word was accepted: offered and ready.
    pub given: u32,
    /// Packed words on the inputs: what the producer's register holds, whether `signals.valid` says that it is
    /// offered or not; zeros at the accelerator's own input where nothing is offered.
    pub words: &'a [&'a [u64]],
    /// What the memories hold.
    pub memories: &'a Memories,
    /// Wires that are inverted while the edge comes.
    pub transients: &'a [Transient],
}

impl Edge<'_> {
    /// Inverts what transients strike in a packed word of wires.
    #[inline]
    pub fn strike(&self, wire: Wire, word: &mut [u64], lane_bits: u32) {
        for transient in self.transients.iter().filter(|transient| transient.wire == wire) {
            transient.strike(word, lane_bits);
        }
    }
}

/// Words among a stage's registers that lie still until an edge reads or overwrites one of them: a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// First limb in the stage's state.
    pub start: usize,
    /// Limbs of a word.
    pub limbs: usize,
    /// Number of words.
    pub words: usize,
}

/// What an edge does with a word of a [`Buffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It depends on what the word holds.
    Reads,
    /// It gives the word other contents, whatever it held.
    Writes,
}

/// The static structure of one stage. Its run-time state is the limbs of its registers, one after the
/// other in the order of [`Stage::registers`], and [`Stage::state_limbs`] in all, which others own.
///
/// A stage is a Moore machine towards its consumers (what it offers follows from its state alone) and a
/// Mealy machine towards its producers (whether it accepts may depend on what is offered to it and on
/// whether its consumers are ready), so signals settle in one pass against the stream.
///
/// Any contents of the registers are legal: upsets put there what they like. A counter beyond its last
/// value counts on ([`super::register::step_counter`]), an address beyond a memory reads zeros, and
/// nothing panics.
pub trait Stage: Send + Sync {
    /// The registers, in the order of their limbs.
    fn registers(&self) -> Vec<Register>;

    /// The same stage for words of no lanes, which needs no memories: its control alone. What it offers, accepts and
    /// skips without a fault is the same at every edge, since none of that follows from what words hold.
    fn control(&self) -> Box<dyn Stage>;

    /// Whether, without a fault, every word that it hands out is what its layer computes, however its streams stall.
    fn is_exact(&self) -> bool {
        true
    }

    /// When what a register holds can matter; `at` is its place among [`Stage::registers`].
    fn live(&self, at: usize, register: &Register) -> Live {
        let _ = at;
        Live::of(register.class)
    }

    /// Limbs of the state: those of the registers, and behind them what else the stage has to remember.
    fn state_limbs(&self) -> usize {
        self.registers().iter().map(Register::limbs).sum()
    }

    /// Puts the registers, all zero before, into the state after reset.
    fn reset(&self, state: &mut [u64]) {
        let _ = state;
    }

    /// Outputs on which a word is offered.
    fn offers(&self, state: &[u64]) -> u32;

    /// The packed word on an output; a word of the stream where [`Stage::offers`] says so.
    fn word<'s>(&self, state: &'s [u64], output: usize) -> &'s [u64];

    /// Inputs whose word would be accepted at the next edge.
    fn accepts(&self, state: &[u64], signals: Signals) -> u32;

    /// The state after a clock edge.
    fn edge(&self, state: &mut [u64], edge: &Edge<'_>);

    /// Its memories.
    fn buffers(&self) -> Vec<Buffer> {
        Vec::new()
    }

    /// Names the words of its [`Stage::buffers`] that an edge reads and overwrites, in that order and each by its
    /// first limb. The other words stay as they are. What a word holds that is not read changes neither what is offered
    /// and accepted nor what the edge does to any register that is not dead behind it ([`Stage::live`]).
    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        let _ = (state, edge, access);
    }

    /// The word that the edge to come writes into a memory of weights, and the step that reads it.
    fn stores(&self, state: &[u64], signals: Signals) -> Option<(u64, Vec<u64>)> {
        let _ = (state, signals);
        None
    }

    /// Writes the word of [`Stage::stores`].
    fn store(&self, memories: &mut Memories, step: u64, word: &[u64]) {
        let _ = (memories, step, word);
    }

    /// The values between registers that a transient can strike.
    fn wires(&self) -> Vec<WireShape> {
        Vec::new()
    }

    /// Number of edges to come, with these signals and no word taken or given, that change nothing but
    /// what [`Stage::skip`] does at once, and during which the stage's own offers and acceptances stay.
    /// `u64::MAX` where the stage rests until a signal changes, 0 where it has to be ticked.
    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let _ = (state, signals);
        0
    }

    /// [`Stage::rest`] for a stage of [`Stage::samples`], which looks at the words as well.
    fn rest_at(&self, state: &[u64], edge: &Edge<'_>) -> u64 {
        self.rest(state, edge.signals)
    }

    /// Inputs whose word a register takes over at an edge although nothing is offered. Such a stage rests only
    /// while the producers of those inputs rest.
    fn samples(&self) -> u32 {
        0
    }

    /// Those of [`Stage::samples`] whose word may matter although it was not offered: the register that takes it over is
    /// not dead then.
    fn depends_on_unoffered(&self) -> u32 {
        self.samples()
    }

    /// So many edges of a rest at once; what [`Stage::edge`] would do one after the other.
    fn skip(&self, state: &mut [u64], edges: u64, memories: &Memories) {
        let _ = (state, edges, memories);
    }
}
