//! Matrix products between the registers: which weights meet which activations in which step, and
//! what becomes of the products.

use super::arithmetic::Arithmetic;
use super::memory::Memories;
use super::register::{lane, lanes, limbs, mask, set_lane, set_lanes};
use super::stages::{Dsp48Core, Dsp48Shape, Dsp58Shape, Slices};
use crate::accelerator::{FinnCore, Operands};
use crate::fixed_point::Cast;
use crate::network::bounds::{exact_accumulator, order_is_free};
use crate::network::{Encoding, Mac, Network, Node, Order, ParamId};

/// Which weights are multiplied in which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// FINN: step `nf*SF + sf` multiplies columns `sf*SIMD..` of rows `nf*PE..`; lane `pe*SIMD + simd`. Of a
    /// depthwise product every row has activations of its own, in lane `simd*PE + pe`.
    Finn {
        /// Rows per step.
        pe: usize,
        /// Columns per step.
        simd: usize,
    },
    /// Step `r` multiplies tap `j*RF + r` of every row, lane `row*ceil(taps/RF) + j` (hls4ml, Resource,
    /// a reuse factor up to the taps).
    Strided {
        /// The reuse factor.
        reuse: usize,
    },
    /// Step `r` multiplies the `r`-th of as many equal shares of all weights, row after row, the taps of
    /// a row in the accumulator's order.
    Shares {
        /// The reuse factor.
        reuse: usize,
    },
}

/// How a value lies in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneCode {
    bits: u32,
    signed: bool,
    bipolar: bool,
}

impl LaneCode {
    /// The code of an encoding.
    #[must_use]
    pub fn of(encoding: &Encoding) -> Self {
        match encoding {
            Encoding::Fixed(format) => Self::number(format.width(), format.signed()),
            Encoding::Bipolar { .. } => Self {
                bits: 1,
                signed: true,
                bipolar: true,
            },
        }
    }

    /// Two's complement or unsigned numbers of so many bits.
    #[must_use]
    pub fn number(bits: u32, signed: bool) -> Self {
        Self {
            bits,
            signed,
            bipolar: false,
        }
    }

    /// Bits of the lane.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The mantissa that the bits stand for.
    #[must_use]
    #[inline]
    pub fn decode(&self, bits: u64) -> i64 {
        if self.bipolar {
            return if bits & 1 == 1 { 1 } else { -1 };
        }
        if self.signed {
            let shift = 64 - self.bits;
            (bits << shift) as i64 >> shift
        } else {
            (bits & mask(self.bits)) as i64
        }
    }

    /// The bits that stand for a mantissa, cut to the lane.
    #[must_use]
    #[inline]
    pub fn encode(&self, mantissa: i64) -> u64 {
        if self.bipolar {
            return u64::from(mantissa > 0);
        }
        mantissa as u64 & mask(self.bits)
    }
}

/// Why a matrix product does not fit the lanes of the cycle engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} would take {bits} bits; the cycle engine keeps up to 64 in one register")]
pub struct TooWide {
    /// Which value.
    pub what: &'static str,
    /// Its bits.
    pub bits: u32,
}

/// The matrix product of one layer under a schedule.
#[derive(Clone, Debug)]
pub struct Matrix {
    weight: ParamId,
    bias: Option<ParamId>,
    rows: usize,
    taps: usize,
    /// Taps that one row reads of the activation word: all, or those of its group.
    groups: usize,
    group_channels: usize,
    channels: usize,
    schedule: Schedule,
    /// Taps in the accumulator's order.
    order: Vec<usize>,
    /// Tap of every place of the activation stream, where it brings them in another order.
    brought: Option<Vec<u32>>,
    steps: usize,
    lanes: usize,
    weight_code: LaneCode,
    activation_code: LaneCode,
    product_code: LaneCode,
    sum_code: LaneCode,
    accumulator_code: LaneCode,
    output_code: LaneCode,
    popcount: bool,
    /// Whether the additions of one step form a tree; otherwise every product is cast and added in turn.
    tree: bool,
    product_shift: u32,
    /// Whether running sums fit machine words with room to spare.
    narrow: bool,
    from_product: Cast,
    from_bias: Option<Cast>,
    from_sum: Cast,
    to_output: Option<Cast>,
    /// Whether an output is a running sum as it is.
    hands_sums_on: bool,
    /// Whether a running sum holds the sum of all products, whatever the weights are.
    holds_sums: bool,
    slot: usize,
}

impl Matrix {
    /// The product of a node. `slot` numbers the packed weights in the memories.
    ///
    /// # Errors
    /// [`TooWide`] where a register would be wider than 64 bits.
    pub fn new(
        network: &Network,
        node: &Node,
        mac: &Mac,
        schedule: Schedule,
        slot: usize,
    ) -> Result<Self, TooWide> {
        let weight = network.param(mac.weight).encoding;
        let input = network.tensor(node.inputs[0]).encoding;
        let bias = mac.bias.map(|bias| network.param(bias).encoding);
        let output = network.tensor(node.output).encoding;
        let rows = mac.geometry.output[2];
        let taps = mac.geometry.taps(mac.groups);
        let format = mac.accumulator.format;
        let fits = |what, bits: u32| {
            if bits <= 64 {
                Ok(bits)
            } else {
                Err(TooWide { what, bits })
            }
        };
        let product_frac = if mac.popcount {
            0
        } else {
            weight.frac() + input.frac()
        };
        let (product_bits, product_signed) = if mac.popcount {
            (1, false)
        } else {
            let (w, x) = (weight.arithmetic(), input.arithmetic());
            (
                fits("a product", w.width() + x.width())?,
                w.signed() || x.signed(),
            )
        };
        let tree = order_is_free(taps, &weight, &input, bias.as_ref(), &format, mac.popcount);
        let (steps, lanes, per_sum) = match schedule {
            Schedule::Finn { pe, simd } => ((rows / pe) * (taps / simd), pe * simd, simd),
            Schedule::Strided { reuse } => (reuse, rows * taps.div_ceil(reuse), taps.div_ceil(reuse)),
            Schedule::Shares { reuse } => (
                reuse,
                (rows * taps).div_ceil(reuse),
                (rows * taps).div_ceil(reuse).min(taps),
            ),
        };
        // A sum of `n` products needs the bits of one and those of the count.
        let grow = usize::BITS - per_sum.max(1).next_power_of_two().leading_zeros() - 1;
        let sum_bits = if mac.popcount {
            super::register::bits_for(per_sum as u64)
        } else {
            fits("a sum of products", product_bits + grow)?
        };
        Ok(Self {
            weight: mac.weight,
            bias: mac.bias,
            rows,
            taps,
            groups: mac.groups,
            group_channels: mac.geometry.input[2] / mac.groups,
            channels: mac.geometry.input[2],
            schedule,
            order: match mac.accumulator.order {
                Order::Natural => (0..taps).collect(),
                Order::Strided { factor } => (0..factor.min(taps))
                    .flat_map(|start| (start..taps).step_by(factor))
                    .collect(),
            },
            steps,
            lanes,
            weight_code: LaneCode::of(&weight),
            activation_code: LaneCode::of(&input),
            product_code: LaneCode::number(product_bits, product_signed),
            sum_code: if tree {
                LaneCode::number(sum_bits, product_signed)
            } else {
                LaneCode::number(product_bits, product_signed)
            },
            accumulator_code: LaneCode::number(fits("a running sum", format.width())?, format.signed()),
            output_code: LaneCode::of(&output),
            popcount: mac.popcount,
            tree,
            product_shift: u32::try_from(format.frac() - product_frac).unwrap_or(0),
            narrow: format.width() < 62
                && sum_bits.saturating_add_signed(format.frac() - product_frac) < 62
                && format.frac() - product_frac >= 0,
            from_product: Cast::new(product_frac, &format),
            from_bias: bias.map(|bias| Cast::new(bias.frac(), &format)),
            from_sum: Cast::new(format.frac(), &format),
            to_output: match output {
                Encoding::Fixed(output) => Some(Cast::new(format.frac(), &output)),
                Encoding::Bipolar { .. } => None,
            },
            hands_sums_on: matches!(output, Encoding::Fixed(output)
                if (output.width(), output.frac(), output.signed())
                    == (format.width(), format.frac(), format.signed())),
            holds_sums: exact_accumulator(taps, &weight, &input, None).is_ok_and(|exact| {
                exact.frac() == format.frac()
                    && exact.min_mantissa() >= format.min_mantissa()
                    && exact.max_mantissa() <= format.max_mantissa()
            }),
            brought: None,
            slot,
        })
    }

    /// Whether every row has activations of its own, as in FINN's vector-vector units.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && matches!(self.schedule, Schedule::Finn { .. })
    }

    /// The same product of a stream that brings tap `brought[place]` at each place: the columns of the weights
    /// change places, and no activation does. None where the order of additions matters.
    #[must_use]
    pub fn of_order(self, brought: Vec<u32>) -> Option<Self> {
        let fits = self.tree && brought.len() == self.taps && matches!(self.schedule, Schedule::Finn { .. });
        fits.then_some(Self {
            brought: Some(brought),
            ..self
        })
    }

    /// The schedule that keeps the accumulator's order of additions.
    #[must_use]
    pub fn hls4ml_schedule(mac: &Mac, reuse: usize) -> Schedule {
        let taps = mac.geometry.taps(mac.groups);
        match mac.accumulator.order {
            Order::Strided { factor } if factor == reuse && reuse <= taps => Schedule::Strided { reuse },
            Order::Strided { .. } | Order::Natural => Schedule::Shares { reuse },
        }
    }

    /// Whether the schedule adds the products of a row in an order that gives what the accumulator's own
    /// order gives.
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        self.tree || !matches!(self.schedule, Schedule::Finn { .. }) || self.order.is_sorted()
    }

    /// The unit on DSP slices that FINN's RTL computes it on; none where such a unit computes something else: it
    /// multiplies signed weights, and its sums start at 0, hold every sum, and go out as they are. A product of groups has
    /// a vector-vector unit, whose words bring `pe` channels of every tap. `core` says which
    /// core multiplies such operands, a DSP58's chains have `segment` slices between two registers; `narrow` says that
    /// no weight is the lowest number of its format, `keeps_operands` is [`Dsp48Shape::keeps_operands`].
    #[must_use]
    pub fn slices(
        &self,
        narrow: bool,
        segment: usize,
        keeps_operands: bool,
        core: impl Fn(Operands) -> Option<FinnCore>,
    ) -> Option<Slices> {
        let Schedule::Finn { pe, simd } = self.schedule else {
            return None;
        };
        let (weight, activation, sum) = (self.weight_code, self.activation_code, self.accumulator_code);
        let integers =
            !weight.bipolar && !activation.bipolar && !self.popcount && weight.signed && sum.signed;
        let sums = self.tree && self.bias.is_none() && self.hands_sums_on && self.holds_sums;
        if !integers || !sums {
            return None;
        }
        let core = core(Operands {
            weight_bits: weight.bits,
            narrow_weights: narrow,
            activation_bits: activation.bits,
            signed_activations: activation.signed,
        })?;
        let depthwise = self.groups > 1;
        if depthwise && (core != FinnCore::Dsp58 || self.groups != self.rows) {
            return None;
        }
        let (synapse_fold, neuron_fold) = ((self.taps / simd) as u64, (self.rows / pe) as u64);
        let dsp48 = |core| {
            Slices::Dsp48(Dsp48Shape {
                core,
                synapse_fold,
                neuron_fold,
                pe,
                simd,
                weight_bits: weight.bits,
                activation_bits: activation.bits,
                signed_activations: activation.signed,
                accumulator_bits: sum.bits,
                keeps_operands,
            })
        };
        let slices = match core {
            FinnCore::EightBit => dsp48(Dsp48Core::EightBit),
            FinnCore::FourBitE1 => dsp48(Dsp48Core::FourBitE1),
            FinnCore::FourBitE2 => dsp48(Dsp48Core::FourBitE2 { narrow }),
            FinnCore::Dsp58 => Slices::Dsp58(Dsp58Shape {
                synapse_fold,
                neuron_fold,
                pe,
                simd,
                segment,
                weight_bits: weight.bits,
                activation_bits: activation.bits,
                signed_activations: activation.signed,
                accumulator_bits: sum.bits,
                depthwise,
            }),
        };
        slices.fits().then_some(slices)
    }

    /// Steps of one output position.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Where the packed weights lie in the memories.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The weights that it reads.
    #[must_use]
    pub fn weight(&self) -> ParamId {
        self.weight
    }

    /// Row and tap of a lane in a step; none where the lane is idle.
    #[must_use]
    pub fn term(&self, step: usize, lane: usize) -> Option<(usize, usize)> {
        let (row, tap) = match self.schedule {
            Schedule::Finn { pe, simd } => {
                let fold = self.taps / simd;
                let place = (step % fold) * simd + lane % simd;
                let brought = self.brought.as_ref();
                let tap = brought.map_or(place, |taps| {
                    taps.get(place).map_or(self.taps, |&tap| tap as usize)
                });
                ((step / fold) * pe + lane / simd, tap)
            }
            Schedule::Strided { reuse } => {
                let share = self.taps.div_ceil(reuse);
                (lane / share, (lane % share) * reuse + step)
            }
            Schedule::Shares { reuse } => {
                let flat = step * (self.rows * self.taps).div_ceil(reuse) + lane;
                (flat / self.taps, self.order[flat % self.taps])
            }
        };
        (step < self.steps && row < self.rows && tap < self.taps).then_some((row, tap))
    }

    /// The weight words of all steps, one after the other.
    #[must_use]
    pub fn packed(&self, memories: &Memories) -> Vec<u64> {
        let stride = limbs(self.lanes, self.weight_code.bits);
        let mut words = vec![0; stride * self.steps];
        for (step, word) in words.chunks_exact_mut(stride.max(1)).enumerate() {
            self.gather(step, memories, word);
        }
        words
    }

    fn gather(&self, step: usize, memories: &Memories, word: &mut [u64]) {
        for at in 0..self.lanes {
            if let Some((row, tap)) = self.term(step, at) {
                let bits = memories.bits(self.weight, row * self.taps + tap);
                set_lane(word, at, self.weight_code.bits, bits);
            }
        }
    }

    /// Where a lane finds its activation in the word that a step multiplies.
    fn activation_lane(&self, row: usize, tap: usize, at: usize) -> usize {
        match self.schedule {
            Schedule::Finn { pe, simd } if self.is_depthwise() => at % simd * pe + at / simd,
            Schedule::Finn { simd, .. } => at % simd,
            _ if self.groups == 1 => tap,
            _ => {
                let group = row / (self.rows / self.groups);
                (tap / self.group_channels) * self.channels
                    + group * self.group_channels
                    + tap % self.group_channels
            }
        }
    }

    /// The running sum that a lane adds to.
    fn sum_lane(&self, row: usize, at: usize) -> usize {
        match self.schedule {
            Schedule::Finn { simd, .. } => at / simd,
            _ => row,
        }
    }

    fn bias_of(&self, row: usize, memories: &Memories) -> i128 {
        match (self.bias, &self.from_bias) {
            (Some(bias), Some(cast)) => cast.apply(i128::from(memories.value(bias, row))),
            _ => 0,
        }
    }

    /// Whether a step starts running sums, and whether it completes them.
    #[must_use]
    pub fn bounds(&self, step: usize) -> (bool, bool) {
        match self.schedule {
            Schedule::Finn { simd, .. } => {
                let fold = self.taps / simd;
                (step.is_multiple_of(fold), step % fold + 1 == fold)
            }
            _ => (step == 0, step + 1 == self.steps),
        }
    }
}

impl Arithmetic for Matrix {
    fn weight_bits(&self) -> u32 {
        self.weight_code.bits
    }
    fn activation_bits(&self) -> u32 {
        self.activation_code.bits
    }
    fn activation_lanes(&self) -> usize {
        match self.schedule {
            Schedule::Finn { pe, simd } if self.is_depthwise() => pe * simd,
            Schedule::Finn { simd, .. } => simd,
            _ => self.taps * self.groups,
        }
    }
    fn product_lanes(&self) -> usize {
        self.lanes
    }
    fn product_bits(&self) -> u32 {
        self.product_code.bits
    }
    fn sum_lanes(&self) -> usize {
        if self.tree {
            self.accumulator_lanes()
        } else {
            self.lanes
        }
    }
    fn sum_bits(&self) -> u32 {
        self.sum_code.bits
    }
    fn accumulator_lanes(&self) -> usize {
        match self.schedule {
            Schedule::Finn { pe, .. } => pe,
            _ => self.rows,
        }
    }
    fn accumulator_bits(&self) -> u32 {
        self.accumulator_code.bits
    }
    fn output_lanes(&self) -> usize {
        self.accumulator_lanes()
    }
    fn output_bits(&self) -> u32 {
        self.output_code.bits
    }

    fn weights(&self, step: u64, memories: &Memories, word: &mut [u64]) {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        word.fill(0);
        if step >= self.steps {
            return;
        }
        match memories.packed(self.slot) {
            Some(packed) => word.copy_from_slice(&packed[step * word.len()..][..word.len()]),
            None => self.gather(step, memories, word),
        }
    }

    fn store(&self, memories: &mut Memories, step: u64, word: &[u64]) {
        let stride = limbs(self.lanes, self.weight_code.bits);
        memories.write_packed(self.slot, step as usize * stride, word);
    }

    fn products(&self, step: u64, activations: &[u64], weights: &[u64], products: &mut [u64]) {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let shared = !self.is_depthwise();
        if let (true, true, Schedule::Finn { pe, simd }) = (shared, self.popcount, self.schedule) {
            for row in 0..pe {
                for from in (0..simd).step_by(64) {
                    let count = (simd - from).min(64) as u32;
                    let w = lane_run(weights, row * simd + from, count);
                    let x = lane_run(activations, from, count);
                    set_run(products, row * simd + from, count, !(w ^ x) & mask(count));
                }
            }
            return;
        }
        if let (true, Schedule::Finn { pe, simd }) = (shared, self.schedule) {
            let (mut few, mut many) = ([0; 64], Vec::new());
            let row = if simd <= few.len() {
                &mut few[..simd]
            } else {
                many.resize(simd, 0);
                &mut many[..]
            };
            let codes = lanes(activations, self.activation_code.bits);
            for (to, code) in row.iter_mut().zip(codes) {
                *to = self.activation_code.decode(code);
            }
            let row = &*row;
            let weights = lanes(weights, self.weight_code.bits).take(pe * simd);
            let terms = weights.zip((0..pe).flat_map(|_| row));
            let terms = terms.map(|(weight, &activation)| {
                let weight = self.weight_code.decode(weight);
                self.product_code.encode(weight.wrapping_mul(activation))
            });
            set_lanes(products, self.product_code.bits, terms);
            return;
        }
        for at in 0..self.lanes {
            let product = self.term(step, at).map_or(0, |(row, tap)| {
                let weight = lane(weights, at, self.weight_code.bits);
                let activation = lane(
                    activations,
                    self.activation_lane(row, tap, at),
                    self.activation_code.bits,
                );
                if self.popcount {
                    !(weight ^ activation) & 1
                } else {
                    let product = self
                        .weight_code
                        .decode(weight)
                        .wrapping_mul(self.activation_code.decode(activation));
                    self.product_code.encode(product)
                }
            });
            set_lane(products, at, self.product_code.bits, product);
        }
    }

    fn sums(&self, step: u64, products: &[u64], sums: &mut [u64]) {
        if !self.tree {
            sums.copy_from_slice(products);
            return;
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        sums.fill(0);
        if let (true, Schedule::Finn { pe, simd }) = (self.popcount, self.schedule) {
            for row in 0..pe {
                let ones: u32 = (0..simd)
                    .step_by(64)
                    .map(|from| {
                        lane_run(products, row * simd + from, (simd - from).min(64) as u32).count_ones()
                    })
                    .sum();
                set_lane(sums, row, self.sum_code.bits, u64::from(ones));
            }
            return;
        }
        if let Schedule::Finn { pe, simd } = self.schedule {
            let mut products = lanes(products, self.product_code.bits);
            let rows = (0..pe).map(|_| {
                let row = products.by_ref().take(simd);
                let sum = row.fold(0i64, |sum, product| {
                    sum.wrapping_add(self.product_code.decode(product))
                });
                self.sum_code.encode(sum)
            });
            set_lanes(sums, self.sum_code.bits, rows);
            return;
        }
        for at in 0..self.lanes {
            let Some((row, _)) = self.term(step, at) else {
                continue;
            };
            let product = self
                .product_code
                .decode(lane(products, at, self.product_code.bits));
            let to = self.sum_lane(row, at);
            let sum = self
                .sum_code
                .decode(lane(sums, to, self.sum_code.bits))
                .wrapping_add(product);
            set_lane(sums, to, self.sum_code.bits, self.sum_code.encode(sum));
        }
    }

    fn accumulate(
        &self,
        step: u64,
        first: bool,
        sums: &[u64],
        memories: &Memories,
        accumulators: &mut [u64],
    ) {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let code = self.accumulator_code;
        let lanes = self.accumulator_lanes();
        if first {
            for to in 0..lanes {
                let row = match self.schedule {
                    Schedule::Finn { pe, simd } => step / (self.taps / simd) * pe + to,
                    _ => to,
                };
                set_lane(
                    accumulators,
                    to,
                    code.bits,
                    code.encode(self.bias_of(row, memories) as i64),
                );
            }
        }
        if self.tree {
            for to in 0..lanes {
                let sum = self.sum_code.decode(lane(sums, to, self.sum_code.bits));
                let before = code.decode(lane(accumulators, to, code.bits));
                let after = if self.narrow {
                    self.from_sum.apply_i64(before + (sum << self.product_shift))
                } else {
                    let sum = i128::from(sum) << self.product_shift;
                    self.from_sum.apply(i128::from(before) + sum) as i64
                };
                set_lane(accumulators, to, code.bits, code.encode(after));
            }
            return;
        }
        for at in 0..self.lanes {
            let Some((row, _)) = self.term(step, at) else {
                continue;
            };
            let product = self.product_code.decode(lane(sums, at, self.product_code.bits));
            let to = self.sum_lane(row, at);
            let before = code.decode(lane(accumulators, to, code.bits));
            let term = self.from_product.apply(i128::from(product));
            let after = self.from_sum.apply(i128::from(before) + term);
            set_lane(accumulators, to, code.bits, code.encode(after as i64));
        }
    }

    fn output(&self, _step: u64, accumulators: &[u64], output: &mut [u64]) {
        let code = self.accumulator_code;
        for to in 0..self.accumulator_lanes() {
            let sum = code.decode(lane(accumulators, to, code.bits));
            let value = match &self.to_output {
                Some(cast) => cast.apply_i64(sum),
                None => sum,
            };
            set_lane(output, to, self.output_code.bits, self.output_code.encode(value));
        }
    }
}

/// Up to 64 neighbouring one-bit lanes.
fn lane_run(word: &[u64], from: usize, count: u32) -> u64 {
    let (limb, shift) = (from / 64, from % 64);
    let low = word[limb] >> shift;
    let value = if shift + count as usize > 64 {
        low | word[limb + 1] << (64 - shift)
    } else {
        low
    };
    value & mask(count)
}

/// Writes up to 64 neighbouring one-bit lanes.
fn set_run(word: &mut [u64], from: usize, count: u32, value: u64) {
    let (limb, shift) = (from / 64, from % 64);
    let cut = mask(count);
    word[limb] = word[limb] & !(cut << shift) | (value & cut) << shift;
    if shift + count as usize > 64 {
        let above = 64 - shift;
        word[limb + 1] = word[limb + 1] & !(cut >> above) | (value & cut) >> above;
    }
}
