//! Element-wise operations in a row, from a buffer of mantissas to the tensor behind them.

use super::Level;
use super::casts::{self, Gate, LaneCast};
use super::kernels::compare;
use super::lanes::{Data, Kind, Store};
use super::plan::FastPlan;
use super::range::Range;
use super::range::is_identity;
use super::thresholds::Thresholds;
use crate::network::{Affine, Encoding, Node, Op};
use crate::simulate::functional::Parameters;
use crate::simulate::functional::plan::LinearMac;

/// One step on a buffer.
#[derive(Clone, Debug)]
pub enum Function {
    /// Gate and cast.
    Fixed(Gate, Option<LaneCast>),
    /// Factor and offset per channel.
    Affine(Vec<i64>, Vec<i64>),
    /// Thresholds per channel.
    Thresholds(Thresholds),
    /// The casts of a matrix product that have no other form.
    Output(Box<LinearMac>),
}

/// Functions under construction, and what they make of a range.
#[derive(Clone, Debug)]
pub struct Chain {
    functions: Vec<Function>,
    /// Whether 32 bits are enough throughout.
    narrow: bool,
    range: Range,
    /// Thresholds and inversions where the chain ends in one threshold per channel.
    bits: Option<(Vec<i32>, Vec<u64>)>,
    /// The thresholds where the chain ends in counts that are stored as bytes.
    bytes: Option<Thresholds>,
    channels: usize,
    width: usize,
    /// Whether all of a row counts, its channels again and again.
    repeats: bool,
}

impl Chain {
    /// No function yet: buffers of rows of `width` mantissas in `range`, the first `channels` of
    /// which count, or the same channels again and again where it `repeats`.
    #[must_use]
    pub fn new(range: Range, channels: usize, width: usize, repeats: bool) -> Self {
        Self {
            functions: Vec::new(),
            narrow: range.is_narrow(),
            range,
            bits: None,
            bytes: None,
            channels,
            width,
            repeats,
        }
    }

    /// Whether buffers have 32 bits.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Requires buffers of 64 bits.
    pub fn widen(&mut self) {
        self.narrow = false;
    }

    /// Adds the casts of a matrix product from its exact sum.
    pub fn push_product(&mut self, linear: &LinearMac, output: &Encoding) {
        let format = linear.mac.accumulator.format;
        let both = [Encoding::Fixed(format), *output];
        let mut trial = self.clone();
        if both
            .iter()
            .all(|to| trial.push_cast(format.frac(), to, Gate::Open))
        {
            *self = trial;
        } else {
            self.functions.push(Function::Output(Box::new(linear.clone())));
            self.narrow = false;
            self.range = Range::of_encoding(output);
        }
    }

    /// Adds a gate and a cast; false where there is no such form.
    fn push_cast(&mut self, frac: i32, to: &Encoding, gate: Gate) -> bool {
        let gated = gate.range(&self.range);
        if is_identity(frac, &gated, to) {
            if gate != Gate::Open {
                self.functions.push(Function::Fixed(gate, None));
                self.range = gated;
            }
            return true;
        }
        let Encoding::Fixed(format) = to else { return false };
        let Some((cast, range, narrow)) = LaneCast::new(frac, &gated, format) else {
            return false;
        };
        self.functions.push(Function::Fixed(gate, Some(cast)));
        self.narrow &= narrow;
        self.range = range;
        true
    }

    /// Adds a node; false, and nothing changed, where it has no such form.
    pub fn push(&mut self, plan: &FastPlan, parameters: &Parameters, node: &Node) -> bool {
        let mut trial = self.clone();
        let fits = trial.try_push(plan, parameters, node);
        if fits {
            *self = trial;
        }
        fits
    }

    fn try_push(&mut self, plan: &FastPlan, parameters: &Parameters, node: &Node) -> bool {
        let input = plan.network.tensor(node.inputs[0]);
        let output = &plan.network.tensor(node.output).encoding;
        let frac = input.encoding.frac();
        if input.channels() != self.channels {
            return false;
        }
        if let Some(gate) = Gate::of(&node.op) {
            return self.push_cast(frac, output, gate);
        }
        match &node.op {
            Op::Affine(affine) => self.push_affine(plan, parameters, frac, affine, output),
            Op::ScaledBias(sum) => {
                let biases = parameters.values(sum.bias);
                let units = (0..).map(|at| i128::from(sum.unit[at % sum.unit.len()]));
                let offsets = biases
                    .iter()
                    .zip(units)
                    .map(|(&bias, unit)| i128::from(bias) * unit);
                let factors = sum.factor.iter().map(|&factor| i128::from(factor));
                self.push_scaled(factors.collect(), offsets.collect())
            }
            Op::Rescale { factor, offset } => {
                let wide = |list: &[i64]| list.iter().map(|&value| i128::from(value)).collect();
                self.push_scaled(wide(factor), wide(offset))
            }
            Op::MultiThreshold(op) => {
                let shape = &plan.network.param(op.thresholds).shape;
                let (rows, steps) = (shape[0], shape[1]);
                let repeats = |len: usize| len > 0 && self.channels.is_multiple_of(len);
                let range = plan.ranges[node.output.index()];
                // The number above the range must exist, and the output must be known to fit.
                if rows == 0
                    || !repeats(op.factor.len())
                    || !repeats(op.offset.len())
                    || self.range.high == i64::MAX
                    || range == Range::ALL
                {
                    return false;
                }
                self.functions.push(Function::Thresholds(Thresholds::new(
                    parameters.values(op.thresholds),
                    (rows, steps),
                    (&op.factor, &op.offset),
                    op.rule,
                    (self.channels, self.width),
                    &self.range,
                )));
                self.narrow &= self.range.is_narrow() && range.is_narrow();
                self.range = range;
                true
            }
            _ => false,
        }
    }

    fn push_affine(
        &mut self,
        plan: &FastPlan,
        parameters: &Parameters,
        frac: i32,
        affine: &Affine,
        output: &Encoding,
    ) -> bool {
        let network = &*plan.network;
        let scales = parameters.values(affine.scale);
        let product_frac = frac + network.param(affine.scale).encoding.frac();
        let (sum_frac, bias_frac, biases) = match affine.bias {
            Some(bias) => {
                let bias_frac = network.param(bias).encoding.frac();
                (product_frac.max(bias_frac), bias_frac, parameters.values(bias))
            }
            None => (product_frac, product_frac, &[][..]),
        };
        let raised = |value: i64, from: i32| {
            let by = u32::try_from(sum_frac - from).ok().filter(|&by| by < 63)?;
            Some(i128::from(value) << by)
        };
        let factors: Option<Vec<i128>> = scales.iter().map(|&scale| raised(scale, product_frac)).collect();
        let offsets: Option<Vec<i128>> = match affine.bias {
            Some(_) => (0..scales.len())
                .map(|at| raised(*biases.get(at)?, bias_frac))
                .collect(),
            None => Some(vec![0; scales.len()]),
        };
        match (factors, offsets) {
            (Some(factors), Some(offsets)) => {
                self.push_scaled(factors, offsets) && self.push_cast(sum_frac, output, Gate::Open)
            }
            _ => false,
        }
    }

    fn push_scaled(&mut self, factors: Vec<i128>, offsets: Vec<i128>) -> bool {
        let count = factors.len();
        let repeats = |len: usize| len > 0 && self.channels.is_multiple_of(len);
        if !repeats(count) || !repeats(offsets.len()) {
            return false;
        }
        let (channels, width) = (self.channels, self.width);
        let spread = |list: &[i128]| -> Option<Vec<i64>> {
            let values = (0..width).map(|at| i64::try_from(list[at % channels % list.len()]));
            values.collect::<Result<_, _>>().ok()
        };
        let (Some(factor), Some(offset)) = (spread(&factors), spread(&offsets)) else {
            return false;
        };
        let ends = [i128::from(self.range.low), i128::from(self.range.high)];
        let products = || {
            let each = factor
                .iter()
                .flat_map(|&factor| ends.map(|end| end * i128::from(factor)));
            (each.clone().min().unwrap_or(0), each.max().unwrap_or(0))
        };
        let (product_low, product_high) = products();
        let (low, high) = (
            product_low + i128::from(offset.iter().min().copied().unwrap_or(0)),
            product_high + i128::from(offset.iter().max().copied().unwrap_or(0)),
        );
        let range = Range::new(low, high);
        let products = Range::new(product_low, product_high);
        if range == Range::ALL || products == Range::ALL {
            return false;
        }
        let small = |list: &[i64]| list.iter().all(|&value| i32::try_from(value).is_ok());
        self.narrow &= range.is_narrow() && products.is_narrow() && small(&factor) && small(&offset);
        self.functions.push(Function::Affine(factor, offset));
        self.range = range;
        true
    }

    /// Ends the chain in a tensor of that kind. Rows that become words of bits at once must be as wide
    /// as whole words.
    pub fn finish(&mut self, kind: Kind) {
        let Some(Function::Thresholds(thresholds)) = self.functions.last() else {
            return;
        };
        if self.repeats || !self.narrow {
            return;
        }
        if kind == (Kind::Byte { zero: 0 }) && thresholds.is_byte_ramp() {
            self.bytes = Some(thresholds.clone());
            self.functions.pop();
            return;
        }
        let whole =
            kind == Kind::Bits { row: self.channels } && self.width == self.channels.next_multiple_of(64);
        let Some(single) = thresholds.single().filter(|_| whole) else {
            return;
        };
        let mut invert = vec![0u64; self.width / 64];
        let mut steps = vec![i32::MAX; self.width];
        for (channel, (threshold, rising)) in single.take(self.channels).enumerate() {
            steps[channel] = threshold as i32;
            invert[channel / 64] |= u64::from(!rising) << (channel % 64);
        }
        self.bits = Some((steps, invert));
        self.functions.pop();
    }

    /// Runs on whole rows of 32 bits and stores them, the first at element `first`.
    pub fn run_narrow(&self, level: Level, buffer: &mut [i32], first: usize, output: &mut Store) {
        for function in &self.functions {
            match function {
                Function::Fixed(gate, cast) => casts::fixed_narrow(level, buffer, *gate, cast.as_ref()),
                Function::Affine(factor, offset) => casts::affine_narrow(level, buffer, factor, offset),
                Function::Thresholds(thresholds) => thresholds.apply_narrow(level, buffer),
                Function::Output(linear) => {
                    for value in &mut *buffer {
                        *value = linear.output(i64::from(*value)) as i32;
                    }
                }
            }
        }
        if let (Some((steps, invert)), Data::Bits(words)) = (&self.bits, &mut output.data) {
            let words = &mut words[first / self.channels * invert.len()..];
            compare(level, buffer, steps, invert, words);
        } else if let (Some(ramp), Data::Byte(bytes)) = (&self.bytes, &mut output.data) {
            // What is written behind the last row is slack, or the place of the rows that follow.
            ramp.count_bytes(level, buffer, self.channels, &mut bytes[first..]);
        } else if self.is_dense() {
            output.write_narrow(level, first, buffer);
        } else {
            for (row, buffer) in buffer.chunks_exact(self.width).enumerate() {
                output.write_narrow(level, first + row * self.channels, &buffer[..self.channels]);
            }
        }
    }

    /// As [`Chain::run_narrow`] in 64 bits.
    pub fn run_wide(&self, level: Level, buffer: &mut [i64], first: usize, output: &mut Store) {
        for function in &self.functions {
            match function {
                Function::Fixed(gate, cast) => casts::fixed_wide(level, buffer, *gate, cast.as_ref()),
                Function::Affine(factor, offset) => casts::affine_wide(level, buffer, factor, offset),
                Function::Thresholds(thresholds) => thresholds.apply_wide(level, buffer),
                Function::Output(linear) => {
                    for value in &mut *buffer {
                        *value = linear.output(*value);
                    }
                }
            }
        }
        if self.is_dense() {
            output.write(level, first, buffer);
        } else {
            for (row, buffer) in buffer.chunks_exact(self.width).enumerate() {
                output.write(level, first + row * self.channels, &buffer[..self.channels]);
            }
        }
    }

    /// Whether every mantissa of a row counts.
    fn is_dense(&self) -> bool {
        self.repeats || self.width == self.channels
    }
}
