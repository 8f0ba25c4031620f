//! Which part of each format a data set uses: ranges, overflows at every cast, resolution of
//! softmax tables.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Parameters;
use super::ops::{self, Stage, Watch};
use crate::fixed_point::{Cast, Format, Overflow};
use crate::network::{Encoding, Network, NodeId, Op, TensorId};

/// Range of a tensor over a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorRange {
    /// Smallest mantissa.
    pub low: i64,
    /// Largest mantissa.
    pub high: i64,
}

/// How often one of a node's casts happened and overflowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CastCount {
    /// The target.
    pub format: Format,
    /// Values cast.
    pub casts: u64,
    /// Values outside the target's range after rounding.
    pub overflows: u64,
}

impl CastCount {
    /// Whether an overflow wraps around; it saturates otherwise.
    #[must_use]
    pub fn wraps(&self) -> bool {
        wraps(self.format.overflow())
    }
}

/// Whether an overflow mode wraps around; it saturates otherwise.
#[must_use]
pub fn wraps(overflow: Overflow) -> bool {
    matches!(overflow, Overflow::Wrap { .. } | Overflow::WrapSm { .. })
}

/// How a softmax uses its exponential table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxUse {
    /// Entries of the table.
    pub entries: usize,
    /// Different entries that the data set reads.
    pub used: usize,
    /// Difference of the arguments of neighbouring entries.
    pub step: f64,
}

impl SoftmaxUse {
    /// Whether neighbouring entries differ by a factor of e or more, so that the table cannot tell
    /// usual scores apart.
    #[must_use]
    pub fn loses_resolution(&self) -> bool {
        self.step >= 1.0
    }
}

/// What a data set uses of a network's formats.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Number of samples.
    pub samples: u64,
    /// Real inputs, and how many of them lay outside the input's type; none for raw inputs.
    pub input: Option<(u64, u64)>,
    /// One per tensor.
    pub tensors: Vec<TensorRange>,
    /// Casts of each node by stage.
    pub casts: BTreeMap<(NodeId, Stage), CastCount>,
    /// Softmax nodes.
    pub softmax: BTreeMap<NodeId, SoftmaxUse>,
}

/// Counts of one thread.
#[derive(Clone, Debug, Default)]
struct Counter {
    samples: u64,
    tensors: Vec<Option<TensorRange>>,
    casts: BTreeMap<(NodeId, Stage), CastCount>,
    entries: BTreeMap<NodeId, Vec<bool>>,
}

/// Counts the casts of one node.
struct NodeWatch<'c> {
    node: NodeId,
    counter: &'c mut Counter,
}

impl Watch for NodeWatch<'_> {
    fn cast(&mut self, stage: Stage, cast: &Cast, mantissa: i128) -> i128 {
        self.counter
            .count(self.node, stage, cast, cast.overflows(mantissa));
        cast.apply(mantissa)
    }

    fn table_entry(&mut self, entry: usize) {
        if let Some(slot) = self
            .counter
            .entries
            .get_mut(&self.node)
            .and_then(|entries| entries.get_mut(entry))
        {
            *slot = true;
        }
    }
}

impl Counter {
    fn new(network: &Network) -> Self {
        let entries = network
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| match &node.op {
                Op::Softmax(softmax) => Some((NodeId::from(index), vec![false; softmax.exp_table.len()])),
                _ => None,
            });
        Self {
            samples: 0,
            tensors: vec![None; network.tensors.len()],
            casts: BTreeMap::new(),
            entries: entries.collect(),
        }
    }

    fn count(&mut self, node: NodeId, stage: Stage, cast: &Cast, overflows: bool) {
        let count = self.casts.entry((node, stage)).or_insert(CastCount {
            format: *cast.target(),
            casts: 0,
            overflows: 0,
        });
        count.casts += 1;
        count.overflows += u64::from(overflows);
    }

    fn see(&mut self, tensor: TensorId, values: &[i64]) {
        for &value in values {
            let range = self.tensors[tensor.index()].get_or_insert(TensorRange {
                low: value,
                high: value,
            });
            range.low = range.low.min(value);
            range.high = range.high.max(value);
        }
    }

    fn run(&mut self, network: &Network, parameters: &Parameters, input: &[i64]) {
        self.samples += 1;
        let mut tensors: Vec<Vec<i64>> = vec![Vec::new(); network.tensors.len()];
        tensors[network.input.index()] = input.to_vec();
        self.see(network.input, input);
        for (index, node) in network.nodes.iter().enumerate() {
            let operands: Vec<&[i64]> = node
                .inputs
                .iter()
                .map(|id| tensors[id.index()].as_slice())
                .collect();
            let mut watch = NodeWatch {
                node: NodeId::from(index),
                counter: self,
            };
            let output: Vec<i64> = match node.op {
                // Its values wrap by design; there is no cast to watch.
                Op::Program(_) => ops::evaluate(network, node, parameters, &operands),
                _ => (0..network.tensor(node.output).len())
                    .map(|at| ops::element_watched(network, node, parameters, &operands, at, &mut watch))
                    .collect(),
            };
            self.see(node.output, &output);
            tensors[node.output.index()] = output;
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.samples += other.samples;
        for (mine, theirs) in self.tensors.iter_mut().zip(other.tensors) {
            *mine = match (*mine, theirs) {
                (Some(a), Some(b)) => Some(TensorRange {
                    low: a.low.min(b.low),
                    high: a.high.max(b.high),
                }),
                (a, b) => a.or(b),
            };
        }
        for (key, count) in other.casts {
            let mine = self.casts.entry(key).or_insert(CastCount {
                casts: 0,
                overflows: 0,
                ..count
            });
            mine.casts += count.casts;
            mine.overflows += count.overflows;
        }
        for (node, used) in other.entries {
            if let Some(mine) = self.entries.get_mut(&node) {
                mine.iter_mut()
                    .zip(used)
                    .for_each(|(mine, theirs)| *mine |= theirs);
            }
        }
        self
    }
}

impl Ranges {
    /// Runs a data set, `[sample][element]` mantissas, with every cast under watch.
    ///
    /// # Panics
    /// Where `inputs` is empty or no whole number of samples.
    #[must_use]
    pub fn measure(network: &Network, inputs: &[i64]) -> Self {
        let elements = network.tensor(network.input).len();
        assert!(
            !inputs.is_empty() && inputs.len().is_multiple_of(elements),
            "whole samples"
        );
        let parameters = Parameters::of(network);
        let counter = inputs
            .par_chunks_exact(elements)
            .fold(
                || Counter::new(network),
                |mut counter, input| {
                    counter.run(network, &parameters, input);
                    counter
                },
            )
            .reduce(|| Counter::new(network), Counter::merge);
        let softmax = counter
            .entries
            .iter()
            .filter_map(|(&id, used)| match &network.nodes[id.index()].op {
                Op::Softmax(softmax) => {
                    let format = softmax.norm_format;
                    let index_bits = softmax.exp_table.len().trailing_zeros();
                    let low_bits = format.width().saturating_sub(index_bits) as i32;
                    let step = libm::scalbn(1.0, low_bits - format.frac());
                    let used = used.iter().filter(|&&used| used).count();
                    Some((
                        id,
                        SoftmaxUse {
                            entries: softmax.exp_table.len(),
                            used,
                            step,
                        },
                    ))
                }
                _ => None,
            });
        Self {
            samples: counter.samples,
            input: None,
            softmax: softmax.collect(),
            tensors: counter
                .tensors
                .iter()
                .map(|range| range.unwrap_or(TensorRange { low: 0, high: 0 }))
                .collect(),
            casts: counter.casts,
        }
    }
}

/// How many top bits of an encoding a range never needs: for signed formats copies of the sign.
#[must_use]
pub fn unused_bits(encoding: &Encoding, range: TensorRange) -> u32 {
    match encoding {
        Encoding::Bipolar { .. } => 0,
        Encoding::Fixed(format) => {
            let magnitude = |value: i64| 64 - (if value < 0 { !value } else { value }).leading_zeros();
            let needed = magnitude(range.low).max(magnitude(range.high)) + u32::from(format.signed());
            format.width().saturating_sub(needed)
        }
    }
}
