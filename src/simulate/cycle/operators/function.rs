//! Functions of one element.

use super::value::ToOutput;
use crate::fixed_point::{Cast, Format};
use crate::network::{
    MultiThreshold, Network, Node, Op, ParamId, Relu, ScaledBias, Slope, Table, TableIndex,
};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::memory::Memories;

#[derive(Clone, Debug)]
enum Kind {
    Cast,
    CastEach {
        /// To the formats that occur, and from them to the output.
        casts: Vec<Option<(Cast, ToOutput)>>,
        of: Vec<u32>,
    },
    Relu {
        relu: Relu,
        slope: ToOutput,
    },
    Affine {
        scale: ParamId,
        bias: Option<ParamId>,
        raise_product: u32,
        raise_bias: u32,
    },
    ScaledBias {
        sum: ScaledBias,
    },
    Thresholds {
        op: MultiThreshold,
        rows: usize,
        steps: usize,
        channels: usize,
    },
    Table {
        table: Table,
        frac: i32,
        pass: ToOutput,
    },
    Clip {
        low: i64,
        high: i64,
    },
    Rescale {
        factor: Vec<i64>,
        offset: Vec<i64>,
    },
}

/// An element-wise operation: one input lane to one output lane.
#[derive(Clone, Debug)]
pub struct Function {
    kind: Kind,
    input: LaneCode,
    output: ToOutput,
    period: usize,
}

impl Function {
    /// The function of a node; none where the operation is not element-wise.
    #[must_use]
    pub fn of(network: &Network, node: &Node) -> Option<Self> {
        let input = &network.tensor(node.inputs[0]).encoding;
        let output = &network.tensor(node.output).encoding;
        let frac = input.frac();
        let plain = ToOutput::new(frac, output);
        let values = |param: ParamId| network.param(param).values.len();
        let (kind, to_output, period) = match &node.op {
            Op::Cast | Op::Reshape => (Kind::Cast, plain, 1),
            Op::CastEach(each) => {
                let through =
                    |format: &Format| (Cast::new(frac, format), ToOutput::new(format.frac(), output));
                let kind = Kind::CastEach {
                    casts: each
                        .formats
                        .iter()
                        .map(|format| format.as_ref().map(through))
                        .collect(),
                    of: each.of.clone(),
                };
                (kind, plain, each.of.len())
            }
            Op::Relu(relu) => {
                let (slope_frac, period) = match relu.slope {
                    None => (0, 1),
                    Some(Slope::Constant { frac, .. }) => (frac, 1),
                    Some(Slope::Param(param)) => (network.param(param).encoding.frac(), values(param)),
                };
                let slope = ToOutput::new(frac + slope_frac, output);
                (Kind::Relu { relu: *relu, slope }, plain, period)
            }
            Op::Affine(affine) => {
                let product = frac + network.param(affine.scale).encoding.frac();
                let bias = affine
                    .bias
                    .map_or(product, |bias| network.param(bias).encoding.frac());
                let common = product.max(bias);
                let kind = Kind::Affine {
                    scale: affine.scale,
                    bias: affine.bias,
                    raise_product: common.abs_diff(product),
                    raise_bias: common.abs_diff(bias),
                };
                (kind, ToOutput::new(common, output), values(affine.scale))
            }
            Op::ScaledBias(sum) => (
                Kind::ScaledBias { sum: sum.clone() },
                ToOutput::new(output.frac(), output),
                values(sum.bias),
            ),
            Op::MultiThreshold(op) => {
                let shape = &network.param(op.thresholds).shape;
                let channels = network.tensor(node.inputs[0]).channels();
                let kind = Kind::Thresholds {
                    op: op.clone(),
                    rows: shape[0],
                    steps: shape[1],
                    channels,
                };
                let period = if shape[0] == 1 && op.factor.len() == 1 && op.offset.len() == 1 {
                    1
                } else {
                    channels
                };
                (kind, ToOutput::new(output.frac(), output), period)
            }
            Op::Table(table) => {
                let kind = Kind::Table {
                    table: table.clone(),
                    frac,
                    pass: plain,
                };
                (kind, ToOutput::new(table.entry_format.frac(), output), 1)
            }
            Op::Clip { low, high } => (
                Kind::Clip {
                    low: *low,
                    high: *high,
                },
                plain,
                1,
            ),
            Op::Rescale { factor, offset } => {
                let kind = Kind::Rescale {
                    factor: factor.clone(),
                    offset: offset.clone(),
                };
                (
                    kind,
                    ToOutput::new(output.frac(), output),
                    factor.len().max(offset.len()),
                )
            }
            _ => return None,
        };
        Some(Self {
            kind,
            input: LaneCode::of(input),
            output: to_output,
            period,
        })
    }

    /// Whether the output lane is the input lane, so that no hardware is needed.
    #[must_use]
    pub fn is_wire(network: &Network, node: &Node) -> bool {
        let same = network.tensor(node.inputs[0]).encoding == network.tensor(node.output).encoding;
        matches!(node.op, Op::Cast | Op::Reshape) && same
    }

    /// After how many elements the parameters start over.
    #[must_use]
    pub fn period(&self) -> usize {
        self.period
    }

    /// The output lane for an input lane; `index` counts the elements of the tensor.
    #[must_use]
    pub fn lane(&self, index: usize, bits: u64, memories: &Memories) -> u64 {
        let x = self.input.decode(bits);
        match &self.kind {
            Kind::Cast => self.output.lane(i128::from(x)),
            Kind::CastEach { casts, of } => match &casts[of[index % of.len()] as usize] {
                Some((own, to_output)) => to_output.lane(own.apply(i128::from(x))),
                None => self.output.lane(0),
            },
            Kind::Relu { relu, slope } => {
                let x = relu.ceiling.map_or(x, |ceiling| x.min(ceiling));
                if x > relu.threshold {
                    return self.output.lane(i128::from(x));
                }
                let factor = match relu.slope {
                    None => 0,
                    Some(Slope::Constant { mantissa, .. }) => mantissa,
                    Some(Slope::Param(param)) => memories.value(param, index % self.period),
                };
                slope.lane(i128::from(x) * i128::from(factor))
            }
            Kind::Affine {
                scale,
                bias,
                raise_product,
                raise_bias,
            } => {
                let channel = index % self.period;
                let product = i128::from(x) * i128::from(memories.value(*scale, channel));
                let bias = bias.map_or(0, |bias| i128::from(memories.value(bias, channel)));
                self.output
                    .lane((product << raise_product) + (bias << raise_bias))
            }
            Kind::ScaledBias { sum } => {
                let bias = memories.value(sum.bias, index % self.period);
                let value = x
                    .wrapping_mul(sum.factor[index % sum.factor.len()])
                    .wrapping_add(bias.wrapping_mul(sum.unit[index % sum.unit.len()]));
                self.output.lane(i128::from(value))
            }
            Kind::Thresholds {
                op,
                rows,
                steps,
                channels,
            } => {
                let row = index % channels % rows;
                let reached = (0..*steps)
                    .filter(|step| x >= memories.value(op.thresholds, row * steps + step))
                    .count();
                let value =
                    op.offset[index % op.offset.len()] + op.factor[index % op.factor.len()] * reached as i64;
                self.output.lane(i128::from(value))
            }
            Kind::Table { table, frac, pass } => {
                let last = table.entries.len() as i128 - 1;
                let entry = match table.index {
                    TableIndex::Scaled { log2_factor, offset } => {
                        i128::from(address(i128::from(x), frac - log2_factor).wrapping_add(offset as i32))
                    }
                    TableIndex::NegativeHalf { .. } if x > 0 => return pass.lane(i128::from(x)),
                    TableIndex::NegativeHalf { log2_factor } => {
                        // An address that has wrapped below zero reads the end of the table.
                        let address = address(-i128::from(x), frac - log2_factor);
                        if address < 0 { last } else { i128::from(address) }
                    }
                };
                self.output
                    .lane(i128::from(table.entries[entry.clamp(0, last) as usize]))
            }
            Kind::Clip { low, high } => self.output.lane(i128::from(x.clamp(*low, *high))),
            Kind::Rescale { factor, offset } => {
                let value = x
                    .wrapping_mul(factor[index % factor.len()])
                    .wrapping_add(offset[index % offset.len()]);
                self.output.lane(i128::from(value))
            }
        }
    }
}

/// `x / 2^shift` truncated towards zero, in the 32 bits of the kernels' `int`.
fn address(x: i128, shift: i32) -> i32 {
    let value = match shift {
        127.. => 0,
        0..=126 => x / (1i128 << shift.min(126)),
        _ => x << shift.unsigned_abs().min(62),
    };
    value as i32
}
