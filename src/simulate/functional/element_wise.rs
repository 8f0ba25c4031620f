//! Element-wise operations with their casts prepared.

use super::{Parameters, ops};
use crate::fixed_point::Cast;
use crate::network::{Encoding, MultiThreshold, Network, Node, Op, Relu};

/// An element-wise operation, prepared.
#[derive(Clone, Debug)]
pub struct ElementWise {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// One cast.
    Cast(Cast),
    /// A rectifier without slope.
    Relu {
        cast: Cast,
        threshold: i64,
        ceiling: i64,
    },
    /// Thresholds, which are sorted unless a fault moved one.
    Thresholds {
        op: MultiThreshold,
        rows: usize,
        steps: usize,
        channels: usize,
    },
    /// Any other, by its plain form.
    Plain,
}

impl ElementWise {
    /// Prepares a node.
    #[must_use]
    pub fn new(network: &Network, node: &Node) -> Self {
        let input = network.tensor(node.inputs[0]);
        let cast = match network.tensor(node.output).encoding {
            Encoding::Fixed(format) if format.max_mantissa() <= i128::from(i64::MAX) => {
                Some(Cast::new(input.encoding.frac(), &format))
            }
            _ => None,
        };
        let kind = match (&node.op, cast) {
            (Op::Cast | Op::Reshape, Some(cast)) => Kind::Cast(cast),
            (
                Op::Relu(Relu {
                    slope: None,
                    threshold,
                    ceiling,
                }),
                Some(cast),
            ) => Kind::Relu {
                cast,
                threshold: *threshold,
                ceiling: ceiling.unwrap_or(i64::MAX),
            },
            (Op::MultiThreshold(op), _) => {
                let shape = &network.param(op.thresholds).shape;
                Kind::Thresholds {
                    op: op.clone(),
                    rows: shape[0],
                    steps: shape[1],
                    channels: input.channels(),
                }
            }
            _ => Kind::Plain,
        };
        Self { kind }
    }

    /// Output element `index`.
    #[must_use]
    #[inline]
    pub fn element(
        &self,
        network: &Network,
        node: &Node,
        parameters: &Parameters,
        input: &[i64],
        index: usize,
    ) -> i64 {
        match &self.kind {
            Kind::Cast(cast) => cast.apply_i64(input[index]),
            Kind::Relu {
                cast,
                threshold,
                ceiling,
            } => {
                let x = input[index].min(*ceiling);
                if x > *threshold {
                    cast.apply_i64(x)
                } else {
                    cast.apply_i64(0)
                }
            }
            Kind::Thresholds {
                op,
                rows,
                steps,
                channels,
            } => {
                let row = index % channels % rows;
                let thresholds = &parameters.values(op.thresholds)[row * steps..][..*steps];
                let x = input[index];
                // Below a dozen steps counting is as fast as searching, and needs no order.
                let count = if *steps > 12 && thresholds.is_sorted() {
                    thresholds.partition_point(|&threshold| threshold <= x)
                } else {
                    op.rule.reached(thresholds, x)
                };
                op.offset[index % op.offset.len()] + op.factor[index % op.factor.len()] * count as i64
            }
            Kind::Plain => ops::element(network, node, parameters, &[input], index),
        }
    }
}
