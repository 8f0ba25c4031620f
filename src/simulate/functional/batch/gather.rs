//! Movements, maxima, sums of windows and combinations of tensors, on rows of samples.

use super::function::Chain;
use super::row::{Row, SAMPLES};
use crate::network::{CombineOp, Encoding, Network, Node, Op, PoolKind, TensorId};
use crate::simulate::functional::fast::casts::{Gate, Integer};
use crate::simulate::functional::fast::range::Range;
use crate::simulate::functional::ops;
use crate::simulate::functional::plan::Links;

/// What is made of the sources of an element.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The only source, or a constant where there is none.
    Move { fill: i64 },
    /// The largest; 0 where there is none.
    Largest,
    /// The sum.
    Sum,
    /// Two sources, moved left onto one grid.
    Combine { op: CombineOp, raises: [u32; 2] },
}

/// An operation that reads a few elements for each of its own.
#[derive(Clone, Debug)]
pub struct Gather {
    rule: Rule,
    /// Tensors read.
    pub operands: Vec<TensorId>,
    /// Where the sources of each element begin.
    cuts: Vec<u32>,
    /// Operand and element.
    sources: Vec<(u32, u32)>,
    /// Per operand, the elements that read each of its elements.
    pub links: Vec<Links>,
}

impl Gather {
    /// A node in this form, with the chain of its casts; `None` where it has none.
    #[must_use]
    pub fn new(network: &Network, node: &Node, links: &[Links], ranges: &[Range]) -> Option<(Self, Chain)> {
        let output = &network.tensor(node.output).encoding;
        let fracs: Vec<i32> = (node.inputs.iter())
            .map(|id| network.tensor(*id).encoding.frac())
            .collect();
        let of = |operand: usize| ranges[node.inputs[operand].index()];
        let ends = |range: &Range| (i128::from(range.low), i128::from(range.high));
        let all = node
            .inputs
            .iter()
            .map(|id| ranges[id.index()])
            .reduce(|a, b| Range {
                low: a.low.min(b.low),
                high: a.high.max(b.high),
                bipolar: false,
            })?;
        let with = |range: Range, value: i64| Range {
            low: range.low.min(value),
            high: range.high.max(value),
            bipolar: false,
        };
        let mut casts: Vec<(i32, Encoding)> = vec![(fracs[0], *output)];
        let (rule, range) = match &node.op {
            Op::Concat { .. } => {
                if fracs.iter().any(|&frac| frac != fracs[0]) {
                    return None;
                }
                (Rule::Move { fill: 0 }, all)
            }
            Op::Transpose { .. } | Op::Upsample { .. } | Op::Gather { .. } => (Rule::Move { fill: 0 }, all),
            Op::Pad(pad) => (Rule::Move { fill: pad.value }, with(all, pad.value)),
            Op::Pool(pool) => match pool.kind {
                PoolKind::Max { through } => {
                    if let Some(through) = through {
                        let through = Encoding::Fixed(through);
                        casts = vec![(fracs[0], through), (through.frac(), *output)];
                    }
                    (Rule::Largest, with(all, 0))
                }
                PoolKind::Sum => {
                    let kernel = pool.geometry.window.kernel;
                    let taps = (kernel[0] * kernel[1]) as i128;
                    let (low, high) = ends(&all);
                    (Rule::Sum, Range::new(low.min(0) * taps, high.max(0) * taps))
                }
                PoolKind::Average(_) => return None,
            },
            Op::Combine(combine) => {
                let product = combine.op == CombineOp::Multiply;
                let frac = fracs[0].max(fracs[1]);
                let raise = |from: i32| u32::try_from(frac - from).ok().filter(|&by| by < 32);
                let raises = if product {
                    [0, 0]
                } else {
                    [raise(fracs[0])?, raise(fracs[1])?]
                };
                let moved = [0, 1].map(|operand| {
                    let (low, high) = ends(&of(operand));
                    (low << raises[operand], high << raises[operand])
                });
                let [a, b] = moved;
                let (range, frac) = match combine.op {
                    CombineOp::Add => (Range::new(a.0 + b.0, a.1 + b.1), frac),
                    CombineOp::Average => (Range::new(a.0 + b.0, a.1 + b.1), frac + 1),
                    CombineOp::Subtract => (Range::new(a.0 - b.1, a.1 - b.0), frac),
                    CombineOp::Maximum | CombineOp::Minimum => (Range::new(a.0.min(b.0), a.1.max(b.1)), frac),
                    CombineOp::Multiply => {
                        let products = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
                        let (low, high) = (products.iter().min()?, products.iter().max()?);
                        (Range::new(*low, *high), fracs[0] + fracs[1])
                    }
                };
                casts = vec![(frac, *output)];
                (
                    Rule::Combine {
                        op: combine.op,
                        raises,
                    },
                    range,
                )
            }
            _ => return None,
        };
        if range == Range::ALL {
            return None;
        }
        let mut chain = Chain::new(range);
        for (frac, to) in &casts {
            if !chain.push_cast(*frac, to, Gate::Open) {
                return None;
            }
        }
        let mut cuts = vec![0];
        let mut sources = Vec::new();
        for index in 0..network.tensor(node.output).len() {
            ops::sources(network, node, &node.op, index, &mut |operand, at| {
                sources.push((operand as u32, at as u32));
            });
            cuts.push(sources.len() as u32);
        }
        let gather = Self {
            rule,
            operands: node.inputs.clone(),
            cuts,
            sources,
            links: links.to_vec(),
        };
        Some((gather, chain))
    }

    /// The value of an element from the rows of its sources.
    #[inline(always)]
    pub fn value<'a, I: Integer>(&self, index: usize, row: impl Fn(usize, usize) -> &'a Row<i32>) -> Row<I> {
        let sources = &self.sources[self.cuts[index] as usize..self.cuts[index + 1] as usize];
        let of = |source: &(u32, u32)| Row::<I>::from_codes(row(source.0 as usize, source.1 as usize));
        let Some((first, rest)) = sources.split_first() else {
            return match self.rule {
                Rule::Move { fill } => Row::of(fill),
                _ => Row::of(0),
            };
        };
        let mut value = of(first);
        match self.rule {
            Rule::Move { .. } => {}
            Rule::Largest => {
                for source in rest {
                    let other = of(source);
                    for lane in 0..SAMPLES {
                        value.0[lane] = value.0[lane].max(other.0[lane]);
                    }
                }
            }
            Rule::Sum => {
                for source in rest {
                    let other = of(source);
                    for lane in 0..SAMPLES {
                        value.0[lane] = value.0[lane].plus(other.0[lane]);
                    }
                }
            }
            Rule::Combine { op, raises } => {
                let other = rest.first().map_or(Row::of(0), of);
                let minus = I::of(-1);
                for lane in 0..SAMPLES {
                    let (a, b) = (value.0[lane].up(raises[0]), other.0[lane].up(raises[1]));
                    value.0[lane] = match op {
                        CombineOp::Add | CombineOp::Average => a.plus(b),
                        CombineOp::Subtract => a.plus(b.times(minus)),
                        CombineOp::Maximum => a.max(b),
                        CombineOp::Minimum => a.min(b),
                        CombineOp::Multiply => a.times(b),
                    };
                }
            }
        }
        value
    }
}
