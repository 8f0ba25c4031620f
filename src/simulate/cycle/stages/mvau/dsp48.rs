//! FINN's matrix-vector unit on DSP48 slices, register by register.

use super::super::super::live::{Live, Says};
use super::super::super::register::{Register, RegisterClass, bits_for, lane, mask};
use super::super::super::stage::{Stage, Wire, WireShape};
use super::super::layout::{Control, Layout, Words, sign_extend};
use super::super::{Unbuildable, at_least_one};
use super::handover::Handover;
use super::replay::Replay;
use super::sliced::{Parts, Sliced};
use super::{Activations, InputBuffer};

/// Bits of the registers of a DSP48 slice: multiplier operand, product, sum.
const OPERAND_BITS: u32 = 18;
const PRODUCT_BITS: u32 = 46;
const SUM_BITS: u32 = 48;
/// Registers from the operands to the result.
const DEPTH: u32 = 5;
/// Most rows that share a slice.
const MOST_LANES: usize = 4;

/// FINN's cores on DSP48 slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dsp48Core {
    /// `mvu_8sx8u_dsp48`: two rows of weights of up to 8 bits share a slice.
    EightBit,
    /// `mvu_4sx4u` of version 1: four rows of weights of up to 4 bits share a DSP48E1. No weight may be the lowest
    /// number of its format.
    FourBitE1,
    /// `mvu_4sx4u` of version 2: four rows of weights of up to 4 bits share a DSP48E2.
    FourBitE2 {
        /// Whether no weight is the lowest number of its format, which gives two of the rows another bit of room.
        narrow: bool,
    },
}

impl Dsp48Core {
    /// Rows that share a slice.
    #[must_use]
    pub fn lanes(self) -> usize {
        match self {
            Self::EightBit => 2,
            Self::FourBitE1 | Self::FourBitE2 { .. } => 4,
        }
    }

    /// Bits of the pre-adder: of both or all four weights in one word.
    fn packed_bits(self) -> u32 {
        match self {
            Self::FourBitE1 => 25,
            Self::EightBit | Self::FourBitE2 { .. } => 27,
        }
    }
}

/// How a unit is folded, and the integers that it multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsp48Shape {
    /// How the slices are used.
    pub core: Dsp48Core,
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
    /// Whether a stalled core keeps its activations. FINN's at 39f0c9a clears them where no step comes, stalled or
    /// not: a unit that is starved while its output is blocked loses the step that it took last.
    pub keeps_operands: bool,
}

impl Dsp48Shape {
    /// Where the lanes of a slice begin, and where the last one ends.
    fn offsets(&self) -> [u32; MOST_LANES + 1] {
        let end = self.accumulator_bits;
        match self.core {
            Dsp48Core::EightBit => {
                let offset = self.activation_bits + self.weight_bits;
                [0, offset, offset + end, 0, 0]
            }
            Dsp48Core::FourBitE1 => [0, 7, 14, 21, 21 + end],
            Dsp48Core::FourBitE2 { narrow: true } => [0, 8, 16, 23, 23 + end],
            Dsp48Core::FourBitE2 { narrow: false } => [0, 8, 15, 22, 22 + end],
        }
    }

    /// Whether the core can be built: the elements fit their lanes, and the last lane holds a result.
    #[must_use]
    pub fn fits(&self) -> bool {
        let most = match self.core {
            Dsp48Core::EightBit => 8,
            Dsp48Core::FourBitE1 | Dsp48Core::FourBitE2 { .. } => 4,
        };
        (2..=most).contains(&self.weight_bits)
            && (1..=most).contains(&self.activation_bits)
            && self.accumulator_bits > 0
            && self.simd <= 1 << 16
            && self.offsets()[self.core.lanes()] <= SUM_BITS
    }

    /// Bits of a sum of so many unsigned values of `bits` bits.
    fn sum_width(count: usize, bits: u32) -> u32 {
        if bits <= 16 {
            bits_for(count as u64 * mask(bits))
        } else {
            bits + (count as u64).next_power_of_two().ilog2()
        }
    }

    /// Bits of what lies beyond a lane of so many bits: of a result without the lane, less what each of the slices
    /// carries out of the lane.
    fn high_width(&self, lane_bits: u32) -> u32 {
        let beyond = self.accumulator_bits.saturating_sub(lane_bits);
        let lowest = if beyond > 0 { 1u64 << (beyond - 1) } else { 0 };
        1 + (lowest + self.simd as u64).next_power_of_two().ilog2()
    }
}

/// FINN's `mvu_vvu_axi` with the core `mvu_8sx8u_dsp48` or `mvu_4sx4u`: replay buffer, DSP48 slices, adder trees,
/// output register with a side-step register.
///
/// Two or four rows of the matrix share a slice (a *pipe*), each in a lane of its own, the first one lowest; where
/// there are fewer, they have the uppermost lanes. Every pipe has a slice per input lane, so that an activation is
/// held once per pipe. A slice adds up its own products; trees add up the slices of a pipe behind that:
///
/// 1. operands: the activation, and the weights packed into one word, each shifted to its lane;
/// 2. their product;
/// 3. its running sum, which starts anew behind the last step of a vector;
/// 4. sums over the slices: of each lane, and of what each but the uppermost carried into the one above, which two
///    further bits of the upper one's product (the *canary*) tell;
/// 5. the results.
///
/// Nothing is gated by a valid flag: where no input comes, the activation is 0 and zeros are added, and the weights
/// are those that the stream happens to show. So a flip in an idle product or sum is in the next result.
///
/// A vector's last word leaves `sf*nf + L` edges after its first one was taken, inclusive, where nothing stalls:
/// `L` = 8, or 6 where every word is used once. A step without weights is no last step.
pub struct Dsp48Mvau {
    shape: Dsp48Shape,
    /// Rows of a pipe.
    lanes: usize,
    /// Where the lanes begin, and where the last one ends.
    offsets: [u32; MOST_LANES + 1],
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
    /// Of every lane but the uppermost.
    low_sums: Vec<Words>,
    upper_sums: Words,
    /// Of every lane but the uppermost, with their bits.
    high_sums: Vec<(Words, u32)>,
    results: Words,
    last: Control,
    handover: Handover,
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
        Ok(Self::of(shape))
    }

    fn of(shape: Dsp48Shape) -> Self {
        let lanes = shape.core.lanes();
        let offsets = shape.offsets();
        let pipes = shape.pe.div_ceil(lanes);
        let slices = pipes * shape.simd;
        let mut layout = Layout::default();
        let (sf, nf) = (shape.synapse_fold, shape.neuron_fold);
        let input = InputBuffer::Replay;
        let lanes_in = shape.simd * shape.pe.min(1);
        let replay = Replay::new(&mut layout, lanes_in, shape.activation_bits, sf, nf, input);
        let (operand, product, sum) = (
            RegisterClass::Pipeline,
            RegisterClass::Product,
            RegisterClass::Accumulator,
        );
        let mut words = |class, name, words, lanes, bits| layout.words(class, name, words, lanes, bits);
        let activation_operands = words(operand, "activation_operands", slices, 1, OPERAND_BITS);
        let packed_bits = shape.core.packed_bits();
        let weight_operands = words(operand, "weight_operands", slices, 1, packed_bits);
        let products = words(product, "products", slices, 1, PRODUCT_BITS);
        let running_sums = words(sum, "running_sums", slices, 1, SUM_BITS);
        let canaries =
            ["canary_1", "canary_2", "canary_3"].map(|name| words(sum, name, slices, lanes - 1, 2));
        let (low_names, high_names): (&[&'static str], &[&'static str]) = match lanes {
            2 => (&["low_sums"], &["high_sums"]),
            _ => (
                &["low_sums_0", "low_sums_1", "low_sums_2"],
                &["high_sums_0", "high_sums_1", "high_sums_2"],
            ),
        };
        // A lane below the rows of the last pipe has no sums there.
        let missing = pipes * lanes - shape.pe;
        let of_lane = |lane: usize| pipes - usize::from(lane < missing);
        let lane_bits = |lane: usize| offsets[lane + 1] - offsets[lane];
        let low_sums = (low_names.iter().enumerate())
            .map(|(lane, &name)| {
                let bits = Dsp48Shape::sum_width(shape.simd, lane_bits(lane));
                words(sum, name, of_lane(lane), 1, bits)
            })
            .collect();
        let upper_bits = Dsp48Shape::sum_width(shape.simd, shape.accumulator_bits);
        let upper_sums = words(sum, "upper_sums", pipes, 1, upper_bits);
        let high_sums = (high_names.iter().enumerate())
            .map(|(lane, &name)| {
                let bits = shape.high_width(lane_bits(lane));
                (words(sum, name, of_lane(lane), 1, bits), bits)
            })
            .collect();
        let results = words(operand, "results", lanes * pipes, 1, shape.accumulator_bits);
        Self {
            last: layout.control("last", DEPTH),
            handover: Handover::new(&mut layout, shape.pe, shape.accumulator_bits),
            shape,
            lanes,
            offsets,
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
        }
    }

    /// The lowest lane of a pipe that holds a row.
    #[inline]
    fn lowest_lane(&self, pipe: usize) -> usize {
        (self.lanes * (pipe + 1)).saturating_sub(self.shape.pe)
    }

    /// Bits of a lane.
    #[inline]
    fn lane_bits(&self, lane: usize) -> u32 {
        self.offsets[lane + 1] - self.offsets[lane]
    }

    /// The weight of a lane of a slice.
    #[inline]
    fn weight(&self, weights: &[u64], pipe: usize, at: usize, column: usize) -> u64 {
        let row = self.lanes * pipe + at - self.lowest_lane(pipe);
        lane(weights, row * self.shape.simd + column, self.shape.weight_bits)
    }

    /// All weights of a slice in one word.
    fn pack(&self, weights: &[u64], pipe: usize, column: usize) -> u64 {
        let packed = (self.lowest_lane(pipe)..self.lanes).fold(0i64, |packed, at| {
            let weight = self.weight(weights, pipe, at, column);
            packed + (sign_extend(weight, self.shape.weight_bits) << self.offsets[at])
        });
        packed as u64 & mask(self.shape.core.packed_bits())
    }

    /// The results of a pipe out of the sums over its slices.
    fn resolve(&self, state: &mut [u64], pipe: usize) {
        let lowest = self.lowest_lane(pipe);
        let results = self.results.start() + self.lanes * pipe;
        let cut = mask(self.shape.accumulator_bits);
        let top = self.lanes - 1;
        // What the lane below has carried out of it is in this one too.
        let mut below = 0i64;
        for at in 0..top {
            let (mut sum, mut high) = (0, 0);
            if at >= lowest {
                let (high_sums, bits) = self.high_sums[at];
                high = sign_extend(state[high_sums.start() + pipe], bits);
                let low = state[self.low_sums[at].start() + pipe];
                sum = ((high << self.lane_bits(at)) as u64).wrapping_add(low);
            }
            state[results + at] = sum.wrapping_sub(below as u64) & cut;
            below = high;
        }
        let upper = state[self.upper_sums.start() + pipe];
        state[results + top] = upper.wrapping_sub(below as u64) & cut;
    }

    /// The sums over the slices of a pipe; `ends` says that the sums of what is carried start anew.
    fn reduce(&self, state: &mut [u64], pipe: usize, ends: bool) {
        let simd = self.shape.simd;
        let first = self.running_sums.start() + pipe * simd;
        let canaries = self.canaries[2].start() + pipe * simd;
        let top = self.lanes - 1;
        for at in self.lowest_lane(pipe)..self.lanes {
            let (offset, bits) = (self.offsets[at], self.lane_bits(at));
            let sum: u64 = (state[first..first + simd].iter())
                .map(|sum| sum >> offset & mask(bits))
                .sum();
            if at == top {
                state[self.upper_sums.start() + pipe] = sum & mask(Dsp48Shape::sum_width(simd, bits));
                continue;
            }
            state[self.low_sums[at].start() + pipe] = sum;
            let end = self.offsets[at + 1];
            let carried = carry_tree(simd, |column| {
                let canary = state[canaries + column] >> (2 * at);
                sign_extend((state[first + column] >> end).wrapping_sub(canary) & 3, 2)
            });
            let (high_sums, bits) = self.high_sums[at];
            let before = if ends {
                0
            } else {
                sign_extend(state[high_sums.start() + pipe], bits)
            };
            state[high_sums.start() + pipe] = (before + carried) as u64 & mask(bits);
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

impl Sliced for Dsp48Mvau {
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
        Box::new(Self::of(Dsp48Shape { pe: 0, ..self.shape }))
    }

    fn keeps_steps(&self) -> bool {
        self.shape.keeps_operands
    }

    fn live_in_core(&self, register: &Register) -> Live {
        match register.name {
            "low_sums" | "upper_sums" => Live::when("last", Says::Bit(DEPTH - 2)),
            "results" => Live::when("last", Says::Bit(DEPTH - 1)),
            _ => Live::of(register.class),
        }
    }

    fn core_wires(&self) -> Vec<WireShape> {
        let wire = |wire, lane_bits| WireShape {
            wire,
            lanes: self.slices,
            lane_bits,
        };
        vec![wire(Wire::Product, PRODUCT_BITS), wire(Wire::Sum, SUM_BITS)]
    }

    fn hand_on(&self, state: &mut [u64], ready: bool) {
        let due = self.last.get(state) >> (DEPTH - 1) & 1 == 1;
        let results = self.results.start();
        self.handover.edge(state, due, ready, |state, row| {
            state[results + row + self.lowest_lane(row / self.lanes)]
        });
    }

    fn advance(&self, state: &mut [u64], activations: Option<Activations<'_>>, weights: &[u64]) {
        let simd = self.shape.simd;
        let last = self.last.get(state);
        let ends = |register: u32| last >> (register - 1) & 1 == 1;
        let [canary_1, canary_2, canary_3] = self.canaries.map(|words| words.start());
        let (sums, products) = (self.running_sums.start(), self.products.start());
        for pipe in 0..self.pipes {
            self.resolve(state, pipe);
            self.reduce(state, pipe, ends(4));
        }
        let packed_bits = self.shape.core.packed_bits();
        for slice in 0..self.slices {
            let sum = if ends(3) { 0 } else { state[sums + slice] };
            let before = state[canary_2 + slice];
            state[canary_3 + slice] = (0..self.lanes - 1).fold(0, |canaries, at| {
                let canary = (before >> (2 * at)) + (sum >> self.offsets[at + 1]);
                canaries | (canary & 3) << (2 * at)
            });
            let product = sign_extend(state[products + slice], PRODUCT_BITS);
            state[sums + slice] = (product as u64).wrapping_add(sum) & mask(SUM_BITS);
            state[canary_2 + slice] = state[canary_1 + slice];
            let activation = sign_extend(state[self.activation_operands.start() + slice], OPERAND_BITS);
            let packed = sign_extend(state[self.weight_operands.start() + slice], packed_bits);
            state[products + slice] = activation.wrapping_mul(packed) as u64 & mask(PRODUCT_BITS);
        }
        for pipe in 0..self.pipes {
            let lowest = self.lowest_lane(pipe);
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
                state[canary_1 + slice] = (lowest + 1..self.lanes).fold(0, |canaries, at| {
                    let product = self.weight(weights, pipe, at, column).wrapping_mul(activation);
                    canaries | (product & 3) << (2 * (at - 1))
                });
            }
        }
    }

    fn stand(&self, state: &mut [u64], step: bool) {
        if !step && !self.shape.keeps_operands {
            let operands = self.activation_operands.start();
            state[operands..operands + self.slices].fill(0);
        }
    }
}
