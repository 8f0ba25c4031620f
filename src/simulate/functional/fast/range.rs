//! Which mantissas a tensor can hold, whatever the parameters.

use crate::fixed_point::{Format, Overflow};
use crate::network::{Encoding, MultiThreshold, Network, Node, Op, PoolKind};
use crate::simulate::functional::ops;

/// Smallest and largest mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest.
    pub low: i64,
    /// Largest.
    pub high: i64,
    /// Whether only -1 and +1 occur.
    pub bipolar: bool,
}

impl Range {
    /// No promise.
    pub const ALL: Self = Self {
        low: i64::MIN,
        high: i64::MAX,
        bipolar: false,
    };

    const BIPOLAR: Self = Self {
        low: -1,
        high: 1,
        bipolar: true,
    };

    /// A range from exact bounds.
    #[must_use]
    pub fn new(low: i128, high: i128) -> Self {
        match (i64::try_from(low), i64::try_from(high)) {
            (Ok(low), Ok(high)) => Self {
                low,
                high,
                bipolar: false,
            },
            _ => Self::ALL,
        }
    }

    /// What the bits of an encoding can stand for.
    #[must_use]
    pub fn of_encoding(encoding: &Encoding) -> Self {
        match encoding {
            Encoding::Bipolar { .. } => Self::BIPOLAR,
            Encoding::Fixed(format) => Self::new(format.min_mantissa(), format.max_mantissa()),
        }
    }

    /// Whether every mantissa of `other` belongs to it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.low <= other.low && other.high <= self.high && (other.bipolar || !self.bipolar)
    }

    /// Whether a mantissa belongs to it.
    #[must_use]
    #[inline(always)]
    pub fn has(&self, mantissa: i64) -> bool {
        (self.low <= mantissa) & (mantissa <= self.high) & (!self.bipolar | (mantissa != 0))
    }

    /// Whether 32 bits hold every mantissa and its successor.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.low > i64::from(i32::MIN) && self.high < i64::from(i32::MAX)
    }

    /// What either holds.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            bipolar: self.bipolar && other.bipolar,
        }
    }

    fn with(self, mantissa: i64) -> Self {
        Self {
            low: self.low.min(mantissa),
            high: self.high.max(mantissa),
            bipolar: self.bipolar && (mantissa == 1 || mantissa == -1),
        }
    }
}

/// The codes that a network is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Those that its operations make.
    Computed,
    /// Also any other that its types have, as inverted bits make them.
    Inverted,
}

/// The range of each tensor.
#[must_use]
pub fn ranges(network: &Network, codes: Codes) -> Vec<Range> {
    let mut ranges = vec![Range::ALL; network.tensors.len()];
    ranges[network.input.index()] = Range::of_encoding(&network.tensor(network.input).encoding);
    for node in &network.nodes {
        let computed = output_range(network, node, &ranges);
        ranges[node.output.index()] = match codes {
            Codes::Computed => computed,
            Codes::Inverted => computed.union(Range::of_encoding(&network.tensor(node.output).encoding)),
        };
    }
    ranges
}

fn output_range(network: &Network, node: &Node, ranges: &[Range]) -> Range {
    let encoding = &network.tensor(node.output).encoding;
    match &node.op {
        // These write what they compute; the format does not bound it.
        Op::MultiThreshold(op) => thresholds(op, network.param(op.thresholds).shape[1]),
        Op::ScaledBias(_) => Range::of_encoding(encoding),
        Op::Rescale { factor, offset } => {
            let input = ranges[node.inputs[0].index()];
            let ends = [i128::from(input.low), i128::from(input.high)];
            bounds(
                factor
                    .iter()
                    .zip(offset.iter().cycle())
                    .flat_map(|(&factor, &offset)| {
                        ends.map(|end| end * i128::from(factor) + i128::from(offset))
                    }),
            )
        }
        Op::ArgMax(_) => Range::new(0, network.tensor(node.inputs[0]).channels().max(1) as i128 - 1),
        op => {
            let moved = moved(network, node, op, ranges);
            let frac = network.tensor(node.inputs[0]).encoding.frac();
            let one_point = node
                .inputs
                .iter()
                .all(|id| network.tensor(*id).encoding.frac() == frac);
            match (moved, encoding) {
                // What a cast leaves as it is keeps its range; a bipolar tensor takes any mantissa so.
                (Some(range), _) if one_point && is_identity(frac, &range, encoding) => range,
                (_, Encoding::Bipolar { .. }) => Range::ALL,
                _ => Range::of_encoding(encoding),
            }
        }
    }
}

/// The mantissas before the cast of an operation that only moves or chooses elements.
fn moved(network: &Network, node: &Node, op: &Op, ranges: &[Range]) -> Option<Range> {
    let inputs = node
        .inputs
        .iter()
        .map(|id| ranges[id.index()])
        .reduce(Range::union)?;
    match op {
        Op::Cast
        | Op::Reshape
        | Op::Concat { .. }
        | Op::Transpose { .. }
        | Op::Upsample { .. }
        | Op::Gather { .. } => Some(inputs),
        Op::Pad(pad) => Some(inputs.with(pad.value)),
        Op::Pool(pool) if matches!(pool.kind, PoolKind::Max { through: None }) => {
            let elements = network.tensor(node.output).len();
            let none_empty = (0..elements).all(|index| has_sources(network, node, index));
            Some(if none_empty { inputs } else { inputs.with(0) })
        }
        _ => None,
    }
}

fn has_sources(network: &Network, node: &Node, index: usize) -> bool {
    let mut any = false;
    ops::sources(network, node, &node.op, index, &mut |_, _| any = true);
    any
}

fn thresholds(op: &MultiThreshold, steps: usize) -> Range {
    let pairs = || {
        let len = op.factor.len().max(op.offset.len());
        (0..len).map(|at| {
            (
                i128::from(op.factor[at % op.factor.len()]),
                i128::from(op.offset[at % op.offset.len()]),
            )
        })
    };
    let bipolar = steps == 1 && pairs().all(|(factor, offset)| offset.abs() == 1 && factor == -2 * offset);
    Range {
        bipolar,
        ..bounds(pairs().flat_map(|(factor, offset)| [offset, offset + factor * steps as i128]))
    }
}

fn bounds(values: impl Iterator<Item = i128> + Clone) -> Range {
    match (values.clone().min(), values.max()) {
        (Some(low), Some(high)) => Range::new(low, high),
        _ => Range::ALL,
    }
}

/// Whether a cast leaves every mantissa of a range as it is.
#[must_use]
pub fn is_identity(from_frac: i32, range: &Range, to: &Encoding) -> bool {
    match to {
        Encoding::Bipolar { .. } => true,
        Encoding::Fixed(format) => {
            from_frac == format.frac()
                && i128::from(range.low) >= lowest(format)
                && i128::from(range.high) <= format.max_mantissa()
        }
    }
}

/// The smallest mantissa that an assignment leaves as it is.
pub(super) fn lowest(format: &Format) -> i128 {
    if format.signed() && format.overflow() == Overflow::SatSym {
        -format.max_mantissa()
    } else {
        format.min_mantissa()
    }
}
