//! FINN's matrix-vector and vector-vector unit on DSP58 slices, register by register.

use super::super::super::live::Live;
use super::super::super::register::{Register, RegisterClass, lane, mask};
use super::super::super::stage::{Stage, Wire, WireShape};
use super::super::layout::{Control, Layout, Words, sign_extend};
use super::super::{Unbuildable, at_least_one};
use super::handover::Handover;
use super::replay::Replay;
use super::sliced::{Parts, Sliced};
use super::{Activations, InputBuffer};

/// Products that a slice adds up.
const WAYS: usize = 3;
/// Bits of an activation and of a weight in a multiplier.
const ACTIVATION_BITS: u32 = 9;
const WEIGHT_BITS: u32 = 8;
/// Bits of the registers of a slice: activations, weights, products and sums.
const ACTIVATIONS_BITS: u32 = 34;
const WEIGHTS_BITS: u32 = 24;
const SUM_BITS: u32 = 58;

/// How a unit is folded, and the integers that it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsp58Shape {
    /// Words of an input vector: columns of the matrix over `simd`, of a vector-vector unit taps over `simd`.
    pub synapse_fold: u64,
    /// Rows of the matrix, or channels, over `pe`.
    pub neuron_fold: u64,
    /// Results side by side.
    pub pe: usize,
    /// Products side by side that each of them sums up.
    pub simd: usize,
    /// Slices of a chain between two registers of its sum; 0 stands for the whole chain.
    pub segment: usize,
    /// Bits of a weight, which is signed.
    pub weight_bits: u32,
    /// Bits of an activation.
    pub activation_bits: u32,
    /// Whether activations are signed.
    pub signed_activations: bool,
    /// Bits of a result, which is signed and holds every sum.
    pub accumulator_bits: u32,
    /// Whether every row has activations of its own, as in a vector-vector unit (VVU) of a depthwise layer: a word
    /// holds `pe * simd` of them, those of all rows for the first tap first, and is used once.
    pub depthwise: bool,
}

impl Dsp58Shape {
    /// Slices of a chain.
    #[must_use]
    pub fn chain(&self) -> usize {
        self.simd.div_ceil(WAYS)
    }

    /// Slices of a chain between two registers of its sum.
    fn segment(&self) -> usize {
        match self.segment {
            0 => self.chain(),
            segment => segment,
        }
    }

    /// Segments of a chain.
    fn segments(&self) -> usize {
        self.chain().div_ceil(self.segment())
    }

    /// Whether the core can be built: weights of 2 to 8 bits, activations of up to 8 or of 9 with a sign, results that
    /// a slice holds, segments no longer than the chain, and at most 62 of them.
    #[must_use]
    pub fn fits(&self) -> bool {
        let activations = match self.signed_activations {
            true => 1..=ACTIVATION_BITS,
            false => 1..=ACTIVATION_BITS - 1,
        };
        (2..=WEIGHT_BITS).contains(&self.weight_bits)
            && activations.contains(&self.activation_bits)
            && (1..=SUM_BITS).contains(&self.accumulator_bits)
            && self.segment <= self.chain()
            && self.segments() <= 62
    }
}

/// A slice's place in its chain.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Products that it adds up.
    ways: usize,
    /// Registers of the sum in front of it.
    segment: usize,
    /// Registers of operands in front of the slice, and the place of the first one in its row's.
    delays: usize,
    delays_at: usize,
    /// Registers of operands in the slice, and the place of the first one in its row's.
    operands: usize,
    operands_at: usize,
    /// The place of its sum in its row's; none where the sum passes through, or is the running sum.
    sum_at: Option<usize>,
}

/// FINN's `mvu_vvu_axi` with the core `mvu_vvu_8sx9_dsp58`: replay buffer, chains of DSP58 slices in INT8 mode, output
/// register with a side-step register. A vector-vector unit has no replay buffer.
///
/// Every row has a chain of slices; each adds three products to what the slice in front of it hands on. The last one
/// adds up the steps of a vector. Between two segments of the chain the sum has a register, and operands of later
/// segments wait as long in front of their slices.
///
/// 1. operands of a slice, in all segments but the first one two registers;
/// 2. the sum of three products, 0 where the step is missing, which a flag beside each slice tells;
/// 3. the chain's sum; the last one starts anew behind the last step of a vector.
///
/// Where a step is missing, ones stand at the operands, as in FINN's simulation; in hardware whatever the streams show
/// does, and neither is multiplied unless the flag is struck.
///
/// A vector's last word leaves `sf*nf + L` edges after its first one was taken, inclusive, where nothing stalls: `L` is
/// 5 and the number of segments, or 3 and that where every word is used once.
pub struct Dsp58Mvau {
    shape: Dsp58Shape,
    links: Vec<Link>,
    /// Registers of a row: in front of slices, in them, and of the sum between segments.
    delays_of_row: usize,
    operands_of_row: usize,
    sums_of_row: usize,
    layout: Layout,
    replay: Replay,
    activation_delays: Words,
    weight_delays: Words,
    activation_operands: Words,
    weight_operands: Words,
    zeroed: Words,
    products: Words,
    chain_sums: Words,
    running_sums: Words,
    restarts: Words,
    missing: Control,
    last: Control,
    handover: Handover,
}

impl Dsp58Mvau {
    /// A unit of that shape.
    ///
    /// # Errors
    /// [`Unbuildable`] where a fold is 0, or [`Dsp58Shape::fits`] does not hold.
    pub fn new(shape: Dsp58Shape) -> Result<Self, Unbuildable> {
        at_least_one("the synapse fold", shape.synapse_fold as usize)?;
        at_least_one("the neuron fold", shape.neuron_fold as usize)?;
        at_least_one("the rows side by side", shape.pe)?;
        at_least_one("the columns side by side", shape.simd)?;
        if !shape.fits() {
            return Err(Unbuildable::Schedule {
                what: "a chain of DSP58 slices does not hold these products",
            });
        }
        for (what, value) in [
            ("the synapse fold", shape.synapse_fold),
            ("the neuron fold", shape.neuron_fold),
        ] {
            let most = 1 << 31;
            if value > most {
                return Err(Unbuildable::TooLarge { what, value, most });
            }
        }
        Ok(Self::of(shape))
    }

    fn of(shape: Dsp58Shape) -> Self {
        let chain = shape.chain();
        let (mut delays_of_row, mut operands_of_row, mut sums_of_row) = (0, 0, 0);
        let links: Vec<Link> = (0..chain)
            .map(|at| {
                let segment = at / shape.segment();
                let ends = (at + 1) % shape.segment() == 0 && at + 1 < chain;
                let link = Link {
                    ways: (shape.simd - WAYS * at).min(WAYS),
                    segment,
                    delays: segment.saturating_sub(1),
                    delays_at: delays_of_row,
                    operands: 1 + usize::from(segment > 0),
                    operands_at: operands_of_row,
                    sum_at: ends.then_some(sums_of_row),
                };
                delays_of_row += link.delays * link.ways;
                operands_of_row += link.operands;
                sums_of_row += usize::from(ends);
                link
            })
            .collect();
        let mut layout = Layout::default();
        let (sf, nf) = (shape.synapse_fold, shape.neuron_fold);
        let (lanes, input) = match shape.depthwise {
            true => (shape.pe * shape.simd, InputBuffer::None),
            false => (shape.simd * shape.pe.min(1), InputBuffer::Replay),
        };
        let replay = Replay::new(&mut layout, lanes, shape.activation_bits, sf, nf, input);
        let pe = shape.pe;
        let slices = pe * chain;
        let activation_rows = if shape.depthwise { pe } else { pe.min(1) };
        let mut words = |class, name, words, bits| layout.words(class, name, words, 1, bits);
        let (operand, product, sum) = (
            RegisterClass::Pipeline,
            RegisterClass::Product,
            RegisterClass::Accumulator,
        );
        let control = RegisterClass::Control;
        let delays = activation_rows * delays_of_row;
        let activation_delays = words(operand, "activation_delays", delays, shape.activation_bits);
        let weight_delays = words(operand, "weight_delays", pe * delays_of_row, shape.weight_bits);
        let operands = pe * operands_of_row;
        let activation_operands = words(operand, "activation_operands", operands, ACTIVATIONS_BITS);
        let weight_operands = words(operand, "weight_operands", operands, WEIGHTS_BITS);
        let zeroed = words(control, "zeroed", slices, 1);
        let products = words(product, "products", slices, SUM_BITS);
        let chain_sums = words(sum, "chain_sums", pe * sums_of_row, SUM_BITS);
        let running_sums = words(sum, "running_sums", pe, SUM_BITS);
        let restarts = words(control, "restarts", pe, 1);
        let segments = shape.segments() as u32;
        Self {
            missing: layout.control("missing", segments - 1),
            last: layout.control("last", 2 + segments),
            handover: Handover::new(&mut layout, pe, shape.accumulator_bits),
            shape,
            links,
            delays_of_row,
            operands_of_row,
            sums_of_row,
            layout,
            replay,
            activation_delays,
            weight_delays,
            activation_operands,
            weight_operands,
            zeroed,
            products,
            chain_sums,
            running_sums,
            restarts,
        }
    }

    /// The sums of a row's chain, from the last slice to the first one, so that each takes what its neighbour held.
    fn sum_up(&self, state: &mut [u64], row: usize) {
        let chain = self.links.len();
        let products = self.products.start() + row * chain;
        let sums = self.chain_sums.start() + row * self.sums_of_row;
        let running = self.running_sums.start() + row;
        let cut = mask(SUM_BITS);
        let mut end = match state[self.restarts.start() + row] {
            0 => state[running],
            _ => 0,
        };
        let mut register = running;
        for at in (0..chain).rev() {
            end = end.wrapping_add(state[products + at]);
            let before = at.checked_sub(1).and_then(|at| self.links[at].sum_at);
            if let Some(before) = before {
                let before = sums + before;
                state[register] = end.wrapping_add(state[before]) & cut;
                (register, end) = (before, 0);
            }
        }
        state[register] = end & cut;
    }

    /// The three products of a slice.
    fn multiply(&self, state: &mut [u64], row: usize, at: usize) {
        let slice = row * self.links.len() + at;
        let link = self.links[at];
        let operands = row * self.operands_of_row + link.operands_at + link.operands - 1;
        let activations = state[self.activation_operands.start() + operands];
        let weights = state[self.weight_operands.start() + operands];
        let sum: i64 = match state[self.zeroed.start() + slice] {
            0 => (0..WAYS as u32)
                .map(|way| {
                    let activation = activations >> (ACTIVATION_BITS * way) & mask(ACTIVATION_BITS);
                    let weight = weights >> (WEIGHT_BITS * way) & mask(WEIGHT_BITS);
                    sign_extend(activation, ACTIVATION_BITS) * sign_extend(weight, WEIGHT_BITS)
                })
                .sum(),
            _ => 0,
        };
        state[self.products.start() + slice] = sum as u64 & mask(SUM_BITS);
    }

    /// One kind of operands moves on; `value` is what the step has for a row and column, if there is a step.
    fn load(&self, state: &mut [u64], kind: &Operands, value: impl Fn(&[u64], usize, usize) -> Option<u64>) {
        for row in 0..self.shape.pe {
            for (at, link) in self.links.iter().enumerate() {
                let first = kind.registers + row * self.operands_of_row + link.operands_at;
                if link.operands == 2 {
                    state[first + 1] = state[first];
                }
                state[first] = (0..link.ways).fold(0, |word, way| {
                    let operand = if link.delays > 0 {
                        let oldest = kind.delays
                            + row.min(kind.rows - 1) * self.delays_of_row
                            + link.delays_at
                            + (link.delays - 1) * link.ways;
                        kind.extend(state[oldest + way])
                    } else {
                        match value(state, row, WAYS * at + way) {
                            Some(value) => kind.extend(value),
                            None => mask(kind.place),
                        }
                    };
                    word | operand << (kind.place as usize * way)
                });
            }
        }
        for row in 0..kind.rows {
            for (at, link) in self.links.iter().enumerate().filter(|(_, link)| link.delays > 0) {
                let first = kind.delays + row * self.delays_of_row + link.delays_at;
                let end = first + (link.delays - 1) * link.ways;
                state.copy_within(first..end, first + link.ways);
                for way in 0..link.ways {
                    let value = value(state, row, WAYS * at + way);
                    state[first + way] = value.unwrap_or(mask(kind.bits));
                }
            }
        }
    }
}

/// Activations or weights on their way to the multipliers.
struct Operands {
    /// Place of the first register in a slice, and in front of one.
    registers: usize,
    delays: usize,
    /// Rows that have registers in front of their slices.
    rows: usize,
    /// Bits of an operand, and whether it is signed.
    bits: u32,
    signed: bool,
    /// Bits of its place in a multiplier.
    place: u32,
}

impl Operands {
    /// An operand in the bits of its place.
    fn extend(&self, value: u64) -> u64 {
        match self.signed {
            true => sign_extend(value, self.bits) as u64 & mask(self.place),
            false => value,
        }
    }
}

impl Sliced for Dsp58Mvau {
    fn parts(&self) -> Parts<'_> {
        Parts {
            layout: &self.layout,
            replay: &self.replay,
            handover: &self.handover,
            last: self.last,
            products: self.products,
            sums: self.running_sums,
        }
    }

    fn has_rows(&self) -> bool {
        self.shape.pe > 0
    }

    fn without_rows(&self) -> Box<dyn Stage> {
        Box::new(Self::of(Dsp58Shape { pe: 0, ..self.shape }))
    }

    fn live_in_core(&self, register: &Register) -> Live {
        Live::of(register.class)
    }

    fn core_wires(&self) -> Vec<WireShape> {
        let wire = |wire, lanes| WireShape {
            wire,
            lanes,
            lane_bits: SUM_BITS,
        };
        vec![
            wire(Wire::Product, self.shape.pe * self.links.len()),
            wire(Wire::Sum, self.shape.pe),
        ]
    }

    fn hand_on(&self, state: &mut [u64], ready: bool) {
        let due = self.last.get(state) >> (self.last.bits() - 1) & 1 == 1;
        let sums = self.running_sums.start();
        let cut = mask(self.shape.accumulator_bits);
        self.handover
            .edge(state, due, ready, |state, row| state[sums + row] & cut);
    }

    fn advance(&self, state: &mut [u64], activations: Option<Activations<'_>>, weights: &[u64]) {
        let chain = self.links.len();
        let segments = self.last.bits() - 2;
        let restart = self.last.get(state) >> segments & 1;
        let missing = self.missing.get(state);
        let absent = activations.is_none();
        for row in 0..self.shape.pe {
            self.sum_up(state, row);
            state[self.restarts.start() + row] = restart;
            for (at, link) in self.links.iter().enumerate() {
                self.multiply(state, row, at);
                state[self.zeroed.start() + row * chain + at] = match link.segment {
                    0 => absent.into(),
                    segment => missing >> (segment - 1) & 1,
                };
            }
        }
        let shape = &self.shape;
        let activation = |state: &[u64], row: usize, column: usize| {
            let lane_of = if shape.depthwise {
                column * shape.pe + row
            } else {
                column
            };
            Some(match activations? {
                Activations::Buffered(register, word) => {
                    lane(register.word(state, word), lane_of, shape.activation_bits)
                }
                Activations::Input(word) => lane(word, lane_of, shape.activation_bits),
            })
        };
        let weight = |_: &[u64], row: usize, column: usize| {
            (!absent).then(|| lane(weights, row * shape.simd + column, shape.weight_bits))
        };
        let activations = Operands {
            registers: self.activation_operands.start(),
            delays: self.activation_delays.start(),
            rows: if shape.depthwise {
                shape.pe
            } else {
                shape.pe.min(1)
            },
            bits: shape.activation_bits,
            signed: shape.signed_activations,
            place: ACTIVATION_BITS,
        };
        let weights = Operands {
            registers: self.weight_operands.start(),
            delays: self.weight_delays.start(),
            rows: shape.pe,
            bits: shape.weight_bits,
            signed: true,
            place: WEIGHT_BITS,
        };
        self.load(state, &activations, activation);
        self.load(state, &weights, weight);
        self.missing.set(state, missing << 1 | u64::from(absent));
    }
}
