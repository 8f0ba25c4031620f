//! FINN's matrix-vector unit on DSP48 slices, register by register.

use super::super::super::live::{Live, Says};
use super::super::super::register::{Register, RegisterClass, bits_for, lane, mask, set_lane};
use super::super::super::stage::{Edge, Signals, Stage, Wire, WireShape};
use super::super::layout::{Control, Layout, Words, sign_extend};
use super::super::{Unbuildable, at_least_one};
use super::replay::Replay;
use super::{Activations, InputBuffer};

/// Bits of the registers of a DSP48 slice: multiplier operands, pre-adder, product, sum.
const OPERAND_BITS: u32 = 18;
const PACKED_BITS: u32 = 27;
const PRODUCT_BITS: u32 = 46;
const SUM_BITS: u32 = 48;
/// Registers from the operands to the result.
const DEPTH: u32 = 5;

/// How a unit is folded, and the integers that it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsp48Shape {
    /// Words of an input vector: columns of the matrix over `simd`.
    pub synapse_fold: u64,
    /// Times that each is used: rows of the matrix over `pe`.
    pub neuron_fold: u64,
    /// Results side by side.
    pub pe: usize,
    /// Activations side by side.
    pub simd: usize,
    /// Bits of a weight, which is signed.
    pub weight_bits: u32,
    /// Bits of an activation.
    pub activation_bits: u32,
    /// Whether activations are signed.
    pub signed_activations: bool,
    /// Bits of a result, which is signed and holds every sum.
    pub accumulator_bits: u32,
}

impl Dsp48Shape {
    /// Where the upper of two elements begins in a slice: behind a product.
    #[must_use]
    pub fn lane_offset(&self) -> u32 {
        self.activation_bits + self.weight_bits
    }

    /// Whether the core can be built, and computes what it should: both elements fit a slice, a result is wider than a
    /// product, and the register of the carries holds one of every slice besides the upper part of a result.
    #[must_use]
    pub fn fits(&self) -> bool {
        let offset = self.lane_offset();
        (2..=8).contains(&self.weight_bits)
            && (1..=8).contains(&self.activation_bits)
            && self.accumulator_bits > offset
            && self.simd as u64 <= 1 << (self.accumulator_bits - offset - 1).min(63)
            && offset + self.accumulator_bits <= SUM_BITS
    }

    /// Bits of a sum of so many unsigned values of `bits` bits.
    fn sum_width(count: usize, bits: u32) -> u32 {
        if bits <= 16 {
            bits_for(count as u64 * mask(bits))
        } else {
            bits + (count as u64).next_power_of_two().ilog2()
        }
    }
}

/// FINN's `mvu_vvu_axi` with the core `mvu_8sx8u_dsp48`: replay buffer, DSP48 slices, adder trees, output
/// register with a side-step register.
///
/// Two rows of the matrix share a slice (a *pipe*), the even one in the low lane; of an odd number of rows the
/// last one has a slice's upper lane for itself. Every pipe has a slice per input lane, so that an activation is
/// held once per pipe. A slice adds up its own products; trees add up the slices of a pipe behind that:
///
/// 1. operands: the activation, and both weights packed into one word, the upper one shifted by the bits of a
///    product;
/// 2. their product;
/// 3. its running sum, which starts anew behind the last step of a vector;
/// 4. sums over the slices: of the low lanes, of the upper lanes, and of what the low lanes carried into the
///    upper ones, which two further bits of the upper product (the *canary*) tell;
/// 5. the two results.
///
/// Nothing is gated by a valid flag: where no input comes, the activation is 0 and zeros are added, and the weights
/// are those that the stream happens to show. So a flip in an idle product or sum is in the next result.
///
/// A vector's last word leaves `sf*nf + L` edges after its first one was taken, inclusive, where nothing stalls:
/// `L` = 8, or 6 where every word is used once. A step without weights is no last step, and keeps the operands of a
/// stalled core.
pub struct Dsp48Mvau {
    shape: Dsp48Shape,
    /// Slices: pipes times input lanes.
    slices: usize,
    pipes: usize,
    layout: Layout,
    replay: Replay,
    activation_operands: Words,
    weight_operands: Words,
    products: Words,
    running_sums: Words,
    canaries: [Words; 3],
    low_sums: Words,
    upper_sums: Words,
    high_sums: Words,
    results: Words,
    last: Control,
    side: Words,
    free: Control,
    output: Words,
    output_valid: Control,
}

impl Dsp48Mvau {
    /// A unit of that shape.
    ///
    /// # Errors
    /// [`Unbuildable`] where a fold is 0, or [`Dsp48Shape::fits`] does not hold.
    pub fn new(shape: Dsp48Shape) -> Result<Self, Unbuildable> {
        at_least_one("the synapse fold", shape.synapse_fold as usize)?;
        at_least_one("the neuron fold", shape.neuron_fold as usize)?;
        at_least_one("the rows side by side", shape.pe)?;
        at_least_one("the columns side by side", shape.simd)?;
        if !shape.fits() {
            return Err(Unbuildable::Schedule {
                what: "a DSP48 slice does not hold these products",
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
        let pipes = shape.pe.div_ceil(2);
        let slices = pipes * shape.simd;
        let full = shape.pe / 2;
        let offset = shape.lane_offset();
        let mut layout = Layout::default();
        let (sf, nf) = (shape.synapse_fold, shape.neuron_fold);
        let input = InputBuffer::Replay;
        let replay = Replay::new(&mut layout, shape.simd, shape.activation_bits, sf, nf, input);
        let (operand, product, sum) = (
            RegisterClass::Pipeline,
            RegisterClass::Product,
            RegisterClass::Accumulator,
        );
        let mut words = |class, name, words, bits| layout.words(class, name, words, 1, bits);
        let high_bits = shape.accumulator_bits - offset + 1;
        let activation_operands = words(operand, "activation_operands", slices, OPERAND_BITS);
        let weight_operands = words(operand, "weight_operands", slices, PACKED_BITS);
        let products = words(product, "products", slices, PRODUCT_BITS);
        let running_sums = words(sum, "running_sums", slices, SUM_BITS);
        let canaries = ["canary_1", "canary_2", "canary_3"].map(|name| words(sum, name, slices, 2));
        let low_sums = words(sum, "low_sums", full, Dsp48Shape::sum_width(shape.simd, offset));
        let upper_bits = Dsp48Shape::sum_width(shape.simd, shape.accumulator_bits);
        let upper_sums = words(sum, "upper_sums", pipes, upper_bits);
        let high_sums = words(sum, "high_sums", full, high_bits);
        let results = words(operand, "results", 2 * pipes, shape.accumulator_bits);
        let side = layout.words(operand, "side", 1, shape.pe, shape.accumulator_bits);
        let output = layout.words(operand, "output", 1, shape.pe, shape.accumulator_bits);
        Ok(Self {
            last: layout.control("last", DEPTH),
            free: layout.control("free", 1),
            output_valid: layout.control("output_valid", 1),
            shape,
            slices,
            pipes,
            layout,
            replay,
            activation_operands,
            weight_operands,
            products,
            running_sums,
            canaries,
            low_sums,
            upper_sums,
            high_sums,
            results,
            side,
            output,
        })
    }

    /// Rows of a pipe.
    fn rows(&self, pipe: usize) -> usize {
        (self.shape.pe - 2 * pipe).min(2)
    }

    /// Output register and side-step register.
    fn hand_on(&self, state: &mut [u64], ready: bool) {
        let free = self.free.is_set(state);
        let due = self.last.get(state) >> (DEPTH - 1) & 1 == 1;
        let loads = !self.output_valid.is_set(state) || ready;
        if loads && !free {
            self.side.copy(state, 0, self.output, 0);
        }
        if free {
            let bits = self.shape.accumulator_bits;
            for row in 0..self.shape.pe {
                let pipe = row / 2;
                // A row alone has the upper lane.
                let at = row + 2 - self.rows(pipe);
                let result = state[self.results.start() + at];
                set_lane(self.side.word_mut(state, 0), row, bits, result);
                if loads {
                    set_lane(self.output.word_mut(state, 0), row, bits, result);
                }
            }
        }
        if loads {
            self.output_valid.set(state, (due || !free).into());
        }
        self.free.set(state, (free && !due || loads).into());
    }

    /// Both weights of a slice in one word.
    fn pack(&self, weights: &[u64], pipe: usize, column: usize) -> u64 {
        let bits = self.shape.weight_bits;
        let rows = self.rows(pipe);
        let packed = (0..rows).fold(0i64, |packed, row| {
            let weight = lane(weights, (2 * pipe + row) * self.shape.simd + column, bits);
            let upper = row + 2 - rows == 1;
            packed + (sign_extend(weight, bits) << if upper { self.shape.lane_offset() } else { 0 })
        });
        packed as u64 & mask(PACKED_BITS)
    }

    /// The core's edge while it moves, from its results back to its operands. `activations` is none where there
    /// is no step.
    fn advance(&self, state: &mut [u64], activations: Option<Activations<'_>>, weights: &[u64]) {
        let Dsp48Shape {
            simd,
            accumulator_bits,
            ..
        } = self.shape;
        let offset = self.shape.lane_offset();
        let last = self.last.get(state);
        let ends = |register: u32| last >> (register - 1) & 1 == 1;
        let [canary_1, canary_2, canary_3] = self.canaries.map(|words| words.start());
        let (sums, products) = (self.running_sums.start(), self.products.start());
        for pipe in 0..self.pipes {
            let paired = self.rows(pipe) == 2;
            let high_bits = accumulator_bits - offset + 1;
            let (low, high) = match paired {
                true => (
                    state[self.low_sums.start() + pipe],
                    sign_extend(state[self.high_sums.start() + pipe], high_bits),
                ),
                false => (0, 0),
            };
            let upper = state[self.upper_sums.start() + pipe];
            let results = self.results.start() + 2 * pipe;
            let cut = mask(accumulator_bits);
            state[results] = ((high << offset) as u64).wrapping_add(low) & cut;
            state[results + 1] = upper.wrapping_sub(high as u64) & cut;

            let slices = pipe * simd..(pipe + 1) * simd;
            let upper = slices
                .clone()
                .map(|slice| state[sums + slice] >> offset & cut)
                .sum::<u64>();
            state[self.upper_sums.start() + pipe] =
                upper & mask(Dsp48Shape::sum_width(simd, accumulator_bits));
            if paired {
                let low = slices
                    .clone()
                    .map(|slice| state[sums + slice] & mask(offset))
                    .sum::<u64>();
                state[self.low_sums.start() + pipe] = low;
                let carries = |slice: usize| {
                    sign_extend(
                        (state[sums + slice] >> offset).wrapping_sub(state[canary_3 + slice]) & 3,
                        2,
                    )
                };
                let carried = carry_tree(simd, |column| carries(pipe * simd + column));
                let before = if ends(4) { 0 } else { high };
                state[self.high_sums.start() + pipe] = (before + carried) as u64 & mask(high_bits);
            }
        }
        for slice in 0..self.slices {
            let sum = if ends(3) { 0 } else { state[sums + slice] };
            state[canary_3 + slice] = (state[canary_2 + slice] + (sum >> offset)) & 3;
            let product = sign_extend(state[products + slice], PRODUCT_BITS);
            state[sums + slice] = (product as u64).wrapping_add(sum) & mask(SUM_BITS);
            state[canary_2 + slice] = state[canary_1 + slice];
            let activation = sign_extend(state[self.activation_operands.start() + slice], OPERAND_BITS);
            let packed = sign_extend(state[self.weight_operands.start() + slice], PACKED_BITS);
            state[products + slice] = activation.wrapping_mul(packed) as u64 & mask(PRODUCT_BITS);
        }
        for pipe in 0..self.pipes {
            for column in 0..simd {
                let slice = pipe * simd + column;
                let activation = match activations {
                    Some(Activations::Buffered(register, word)) => {
                        self.operand(register.word(state, word), column)
                    }
                    Some(Activations::Input(word)) => self.operand(word, column),
                    None => 0,
                };
                state[self.activation_operands.start() + slice] = activation;
                state[self.weight_operands.start() + slice] = self.pack(weights, pipe, column);
                state[canary_1 + slice] = match self.rows(pipe) {
                    2 => {
                        let at = (2 * pipe + 1) * simd + column;
                        lane(weights, at, self.shape.weight_bits).wrapping_mul(activation) & 3
                    }
                    _ => 0,
                };
            }
        }
    }

    /// An activation in the bits of a multiplier's operand.
    fn operand(&self, word: &[u64], column: usize) -> u64 {
        let bits = self.shape.activation_bits;
        let value = lane(word, column, bits);
        match self.shape.signed_activations {
            true => sign_extend(value, bits) as u64 & mask(OPERAND_BITS),
            false => value,
        }
    }

    /// Whether an edge with these signals could leave everything as it is, judged by the flags alone.
    fn may_be_still(&self, state: &[u64], signals: Signals) -> bool {
        let valid = self.output_valid.is_set(state);
        self.last.get(state) == 0 && !(valid && signals.ready & 1 == 1)
    }
}

/// The sum of the carries of the slices of a pipe, as FINN's tree adds them: a node's sum is cut to the bits that
/// hold a sum of values from -1 to 1, which only upsets exceed.
fn carry_tree(leaves: usize, leaf: impl Fn(usize) -> i64 + Copy) -> i64 {
    fn node(at: usize, leaves: usize, leaf: impl Fn(usize) -> i64 + Copy) -> (i64, usize) {
        if at + 1 >= leaves {
            return (leaf(at + 1 - leaves), 1);
        }
        let (a, below_a) = node(2 * at + 1, leaves, leaf);
        let (b, below_b) = node(2 * at + 2, leaves, leaf);
        let below = below_a + below_b;
        let bits = (1 + below as u64).next_power_of_two().ilog2() + 1;
        (sign_extend((a + b) as u64 & mask(bits), bits), below)
    }
    node(0, leaves, leaf).0
}

impl Stage for Dsp48Mvau {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "replayed" => Live::while_set("replayed_valid"),
            "low_sums" | "upper_sums" => Live::when("last", Says::Bit(DEPTH - 2)),
            "results" => Live::when("last", Says::Bit(DEPTH - 1)),
            "side" => Live::while_clear("free"),
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.free.set(state, 1);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.output_valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let free = self.free.is_set(state);
        let activations = self.replay.accepts(state, free && signals.valid & 2 == 2);
        let weights = free && self.replay.offer(state, signals.valid & 1 == 1).valid;
        u32::from(activations) | u32::from(weights) << 1
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let input = (edge.signals.valid & 1 == 1).then(|| edge.words[0]);
        let weights = edge.signals.valid & 2 == 2;
        let free = self.free.is_set(state);
        let offer = self.replay.offer(state, input.is_some());
        let step = offer.valid && weights;
        self.hand_on(state, edge.signals.ready & 1 == 1);
        if free {
            let activations = match self.replay.word(state) {
                Some((register, word)) => Some(Activations::Buffered(register, word)),
                None => input.map(Activations::Input),
            };
            self.advance(state, activations.filter(|_| step), edge.words[1]);
            for transient in edge.transients {
                let register = match transient.wire {
                    Wire::Product => self.products,
                    _ => self.running_sums,
                };
                state[register.start() + transient.lane] ^= 1 << transient.bit;
            }
            let last = self.last.get(state);
            self.last.set(state, last << 1 | u64::from(step && offer.last));
        }
        self.replay.edge(state, input, free && weights);
    }

    fn wires(&self) -> Vec<WireShape> {
        let wire = |wire, lane_bits| WireShape {
            wire,
            lanes: self.slices,
            lane_bits,
        };
        vec![wire(Wire::Product, PRODUCT_BITS), wire(Wire::Sum, SUM_BITS)]
    }

    fn samples(&self) -> u32 {
        2
    }

    fn rest_at(&self, state: &[u64], edge: &Edge<'_>) -> u64 {
        if !self.may_be_still(state, edge.signals) {
            return 0;
        }
        let mut next = state.to_vec();
        self.edge(&mut next, edge);
        if next == state { u64::MAX } else { 0 }
    }
}
