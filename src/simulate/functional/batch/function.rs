//! Element-wise operations in a row, on rows of samples.

use super::product::SumLane;
use super::row::{Row, SAMPLES};
use crate::fixed_point::Cast;
use crate::network::{Encoding, MultiThreshold, Network, Node, Op, ParamId, ScaledBias, ThresholdRule};
use crate::simulate::functional::fast::casts::{Gate, LaneCast, apply_fixed};
use crate::simulate::functional::fast::range::{Codes, Range, is_identity};
use crate::simulate::functional::fast::thresholds::ramp;
use crate::simulate::functional::plan::LinearMac;
use crate::simulate::functional::transient::inverted;
use crate::simulate::functional::{Parameters, ops};

/// Most thresholds that are compared one by one; more are searched where they are sorted.
const FEW_STEPS: usize = 24;

/// Up to so many thresholds are compared one by one even where they are evenly spaced.
const FEWEST_STEPS: usize = 4;

/// One operation.
#[derive(Clone, Debug)]
enum Function {
    /// Half of the sum of a bipolar product and its number of taps: the matching bits.
    Matches { taps: i64 },
    /// Gate and cast.
    Fixed(Gate, Option<LaneCast>),
    /// A cast of a matrix product that has no other form.
    Cast(Cast),
    /// Factor and offset.
    Scaled(Scaling),
    /// Thresholds per channel.
    Thresholds {
        op: MultiThreshold,
        rows: usize,
        steps: usize,
        channels: usize,
        /// Per row, how the fault-free thresholds are counted.
        counts: Vec<Count>,
    },
    /// The plain operation of a node, one mantissa after the other.
    Plain { node: usize },
}

/// How thresholds are counted.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// As `trunc(clamp(x * scale + shift, 0, steps))`.
    Ramp { scale: f32, shift: f32 },
    /// One by one, or by a search, as they are in order.
    Sorted,
    /// As their rule says.
    Unsorted,
}

impl Count {
    /// For mantissas of a range.
    fn new(thresholds: &[i64], range: &Range) -> Self {
        match ramp(thresholds, range) {
            Some((scale, shift)) if thresholds.len() > FEWEST_STEPS => Self::Ramp { scale, shift },
            _ if thresholds.is_sorted() => Self::Sorted,
            _ => Self::Unsorted,
        }
    }
}

/// Where a factor and an offset come from.
#[derive(Clone, Debug)]
enum Scaling {
    /// Parameters, moved left onto one grid.
    Affine {
        scale: ParamId,
        bias: Option<ParamId>,
        raises: [u32; 2],
    },
    /// A factor of the file and a stored bias.
    Bias(ScaledBias),
    /// Both of the file.
    Constant { factor: Vec<i64>, offset: Vec<i64> },
}

impl Scaling {
    /// Factor and offset of an element.
    fn at(&self, parameters: &Parameters, index: usize) -> (i64, i64) {
        match self {
            Self::Affine { scale, bias, raises } => {
                let scales = parameters.values(*scale);
                let channel = index % scales.len();
                let offset = bias.map_or(0, |bias| parameters.values(bias)[channel] << raises[1]);
                (scales[channel] << raises[0], offset)
            }
            Self::Bias(sum) => {
                let biases = parameters.values(sum.bias);
                let unit = sum.unit[index % sum.unit.len()];
                (
                    sum.factor[index % sum.factor.len()],
                    biases[index % biases.len()].wrapping_mul(unit),
                )
            }
            Self::Constant { factor, offset } => (factor[index % factor.len()], offset[index % offset.len()]),
        }
    }
}

/// Element-wise operations in a row.
#[derive(Clone, Debug)]
pub struct Chain {
    functions: Vec<Function>,
    /// The nodes that they come from, with the parameters that each reads.
    pub nodes: Vec<usize>,
    /// Number of operations in front of the accumulator of a matrix product, and then of the end of each node's.
    pub ends: Vec<usize>,
    /// Whether 32 bits are enough throughout.
    pub narrow: bool,
    /// Mantissas behind the last operation.
    pub range: Range,
}

/// What operations read besides the row.
#[derive(Debug)]
pub struct Context<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its parameters, with the fault in those of the chain.
    pub parameters: &'a Parameters,
    /// Whether there is a fault in those.
    pub faulty: bool,
    /// A list as long as the longest tensor.
    pub scratch: &'a mut [i64],
}

impl Chain {
    /// No operation yet, on mantissas of a range.
    #[must_use]
    pub fn new(range: Range) -> Self {
        Self {
            functions: Vec::new(),
            nodes: Vec::new(),
            ends: Vec::new(),
            narrow: range.is_narrow(),
            range,
        }
    }

    /// Closes the operations of a node, whose codes may be any of `range` then.
    pub fn end(&mut self, range: Range) {
        self.ends.push(self.functions.len());
        self.range = self.range.union(range);
        self.narrow &= self.range.is_narrow();
    }

    /// Adds the casts of a matrix product behind its sum.
    pub fn push_product(&mut self, linear: &LinearMac, output: &Encoding, codes: Codes) {
        let format = linear.mac.accumulator.format;
        if linear.mac.popcount {
            let taps = linear.taps as i64;
            self.functions.push(Function::Matches { taps });
            self.range = Range::new(0, i128::from(taps));
        }
        let mut trial = self.clone();
        let accumulator = Encoding::Fixed(format);
        let any = Range::of_encoding(&accumulator);
        if trial.push_cast(format.frac(), &accumulator, Gate::Open) {
            trial.end(match codes {
                Codes::Computed => trial.range,
                Codes::Inverted => any,
            });
            if trial.push_cast(format.frac(), output, Gate::Open) {
                *self = trial;
                return;
            }
        }
        self.functions.push(Function::Cast(linear.to_accumulator));
        self.ends.push(self.functions.len());
        self.functions.push(Function::Cast(linear.to_output));
        self.narrow = false;
        self.range = Range::of_encoding(output);
    }

    /// Adds a gate and a cast; false, and nothing changed, where there is no such form.
    pub fn push_cast(&mut self, frac: i32, to: &Encoding, gate: Gate) -> bool {
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

    /// Adds an element-wise node, whose output has mantissas of `range` whatever the parameters.
    pub fn push(&mut self, network: &Network, index: usize, range: &Range) {
        let node = &network.nodes[index];
        let mut trial = self.clone();
        if trial.try_push(network, node) {
            *self = trial;
        } else {
            self.functions.push(Function::Plain { node: index });
            self.narrow &= range.is_narrow();
            self.range = *range;
        }
        self.nodes.push(index);
    }

    fn try_push(&mut self, network: &Network, node: &Node) -> bool {
        let input = network.tensor(node.inputs[0]);
        let output = &network.tensor(node.output).encoding;
        let frac = input.encoding.frac();
        if let Some(gate) = Gate::of(&node.op) {
            return self.push_cast(frac, output, gate);
        }
        match &node.op {
            Op::Affine(affine) => {
                let scale = network.param(affine.scale).encoding;
                let bias = affine.bias.map(|bias| network.param(bias).encoding);
                let own = frac + scale.frac();
                let sum = bias.map_or(own, |bias| own.max(bias.frac()));
                let raise = |from: i32| u32::try_from(sum - from).ok().filter(|&by| by < 32);
                let (Some(first), Some(second)) = (raise(own), raise(bias.map_or(sum, |bias| bias.frac())))
                else {
                    return false;
                };
                let raised = |(low, high): (i128, i128), by: u32| (low << by, high << by);
                let scaling = Scaling::Affine {
                    scale: affine.scale,
                    bias: affine.bias,
                    raises: [first, second],
                };
                let offset = bias.map_or((0, 0), |bias| raised(bias.range(), second));
                self.push_scaled(scaling, raised(scale.range(), first), offset)
                    && self.push_cast(sum, output, Gate::Open)
            }
            Op::ScaledBias(sum) => {
                let (low, high) = network.param(sum.bias).encoding.range();
                let ends = sum
                    .unit
                    .iter()
                    .flat_map(|&unit| [low, high].map(|end| end * i128::from(unit)));
                let (Some(factor), Some(offset)) = (
                    ends_of(sum.factor.iter().map(|&factor| i128::from(factor))),
                    ends_of(ends),
                ) else {
                    return false;
                };
                self.push_scaled(Scaling::Bias(sum.clone()), factor, offset)
            }
            Op::Rescale { factor, offset } => {
                let list = |list: &[i64]| ends_of(list.iter().map(|&value| i128::from(value)));
                let (Some(factors), Some(offsets)) = (list(factor), list(offset)) else {
                    return false;
                };
                let scaling = Scaling::Constant {
                    factor: factor.clone(),
                    offset: offset.clone(),
                };
                self.push_scaled(scaling, factors, offsets)
            }
            Op::MultiThreshold(op) => {
                let shape = &network.param(op.thresholds).shape;
                let (rows, steps) = (shape[0], shape[1]);
                let factor = ends_of(op.factor.iter().map(|&factor| i128::from(factor)));
                let offset = ends_of(op.offset.iter().map(|&offset| i128::from(offset)));
                let (Some(factor), Some(offset)) = (factor, offset) else {
                    return false;
                };
                let count = (0, steps as i128);
                let range = scaled(count, factor, offset);
                if range == Range::ALL {
                    return false;
                }
                self.functions.push(Function::Thresholds {
                    op: op.clone(),
                    rows,
                    steps,
                    channels: input.channels(),
                    counts: (network.param(op.thresholds).values.chunks(steps.max(1)))
                        .map(|thresholds| Count::new(thresholds, &self.range))
                        .collect(),
                });
                self.narrow &= range.is_narrow();
                self.range = range;
                true
            }
            _ => false,
        }
    }

    fn push_scaled(&mut self, scaling: Scaling, factor: (i128, i128), offset: (i128, i128)) -> bool {
        let input = (i128::from(self.range.low), i128::from(self.range.high));
        let bound = i128::from(i64::MAX);
        let beyond = |(low, high): (i128, i128)| low < -bound || high > bound;
        if beyond(factor) || beyond(offset) {
            return false;
        }
        let range = scaled(input, factor, offset);
        if range == Range::ALL {
            return false;
        }
        // Products and sums that leave 32 bits on the way come back, as the result fits.
        self.narrow &= range.is_narrow();
        self.functions.push(Function::Scaled(scaling));
        self.range = range;
        true
    }

    /// Runs on the row of element `index`.
    #[inline(always)]
    pub fn run<I: SumLane>(&self, context: &mut Context<'_>, index: usize, row: &mut Row<I>) {
        run_all(&self.functions, context, index, row);
    }

    /// The same with inverted bits of this element, in the order of their places.
    #[inline(always)]
    pub fn run_struck<I: SumLane>(
        &self,
        context: &mut Context<'_>,
        index: usize,
        row: &mut Row<I>,
        flips: &[UnitFlip],
    ) {
        let mut first = 0;
        for flip in flips {
            let end = self.ends[flip.end as usize];
            run_all(&self.functions[first..end], context, index, row);
            first = end;
            for x in &mut row.0 {
                *x = I::of(inverted(&flip.encoding, x.wide(), flip.bits));
            }
        }
        run_all(&self.functions[first..], context, index, row);
    }
}

/// Inverted bits between two operations of a chain.
#[derive(Clone, Copy, Debug)]
pub struct UnitFlip {
    /// Which element.
    pub element: u32,
    /// Which of the chain's ends.
    pub end: u32,
    /// The bits.
    pub bits: u64,
    /// Format of the code.
    pub encoding: Encoding,
}

#[inline(always)]
fn run_all<I: SumLane>(functions: &[Function], context: &mut Context<'_>, index: usize, row: &mut Row<I>) {
    for function in functions {
        match function {
            Function::Matches { taps } => {
                for x in &mut row.0 {
                    *x = x.plus(I::of(*taps)).down(1);
                }
            }
            Function::Fixed(gate, cast) => apply_fixed(&mut row.0, *gate, cast.as_ref()),
            Function::Cast(cast) => {
                for x in &mut row.0 {
                    *x = I::of(cast.apply_i64(x.wide()));
                }
            }
            Function::Scaled(scaling) => {
                let (factor, offset) = scaling.at(context.parameters, index);
                let (factor, offset) = (I::of(factor), I::of(offset));
                for x in &mut row.0 {
                    *x = x.times(factor).plus(offset);
                }
            }
            Function::Thresholds {
                op,
                rows,
                steps,
                channels,
                counts,
            } => {
                let own = index % channels % rows;
                let thresholds = &context.parameters.values(op.thresholds)[own * steps..][..*steps];
                let count = match counts.get(own) {
                    Some(count) if !context.faulty => *count,
                    _ if thresholds.is_sorted() => Count::Sorted,
                    _ => Count::Unsorted,
                };
                let counted = op.rule == ThresholdRule::Count;
                match count {
                    Count::Ramp { scale, shift } => {
                        let last = *steps as f32;
                        for x in &mut row.0 {
                            *x = x.ramp(scale, shift, last);
                        }
                    }
                    Count::Unsorted if !counted || *steps > FEW_STEPS => {
                        for x in &mut row.0 {
                            *x = I::of(op.rule.reached(thresholds, x.wide()) as i64);
                        }
                    }
                    Count::Sorted if *steps > FEW_STEPS => {
                        for x in &mut row.0 {
                            let value = x.wide();
                            let count = thresholds.partition_point(|&threshold| threshold <= value);
                            *x = I::of(count as i64);
                        }
                    }
                    Count::Sorted | Count::Unsorted => {
                        let mut count: Row<I> = Row::of(0);
                        for &threshold in thresholds {
                            let threshold = I::nearest(threshold);
                            for lane in 0..SAMPLES {
                                let reached = I::of(i64::from(row.0[lane] >= threshold));
                                count.0[lane] = count.0[lane].plus(reached);
                            }
                        }
                        row.0 = count.0;
                    }
                }
                if op.factor[..] != [1] || op.offset[..] != [0] {
                    let factor = I::of(op.factor[index % op.factor.len()]);
                    let offset = I::of(op.offset[index % op.offset.len()]);
                    for x in &mut row.0 {
                        *x = x.times(factor).plus(offset);
                    }
                }
            }
            Function::Plain { node } => {
                let node = &context.network.nodes[*node];
                for x in &mut row.0 {
                    context.scratch[index] = x.wide();
                    let operands = [&*context.scratch];
                    *x = I::of(ops::element(
                        context.network,
                        node,
                        context.parameters,
                        &operands,
                        index,
                    ));
                }
            }
        }
    }
}

/// Smallest and largest.
fn ends_of(values: impl Iterator<Item = i128> + Clone) -> Option<(i128, i128)> {
    Some((values.clone().min()?, values.max()?))
}

/// The range of `input * factor + offset`.
fn scaled(input: (i128, i128), factor: (i128, i128), offset: (i128, i128)) -> Range {
    let products = [input.0, input.1]
        .into_iter()
        .flat_map(|x| [x.saturating_mul(factor.0), x.saturating_mul(factor.1)]);
    match ends_of(products) {
        Some((low, high)) => Range::new(low.saturating_add(offset.0), high.saturating_add(offset.1)),
        None => Range::ALL,
    }
}
