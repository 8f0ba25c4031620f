//! A network prepared for repeated evaluation: where each input element is read, which sums do
//! not depend on their order, and the casts behind them.

use std::sync::Arc;

use super::element_wise::ElementWise;
use super::ops;
use super::transient::inverted_sum;
use crate::fixed_point::{Cast, Overflow};
use crate::network::bounds::exact_accumulator;
use crate::network::{Encoding, Mac, Network, Node, NodeId, Op, TensorId};

/// Readers of each element of a tensor, as one list with its cuts.
#[derive(Clone, Debug, Default)]
pub struct Links {
    cuts: Vec<u32>,
    targets: Vec<u32>,
}

impl Links {
    /// Collects `(source, target)` pairs; the targets of a source keep the order of the pairs.
    fn collect(sources: usize, pairs: &[(u32, u32)]) -> Self {
        let mut cuts = vec![0u32; sources + 1];
        for &(source, _) in pairs {
            cuts[source as usize + 1] += 1;
        }
        for at in 0..sources {
            cuts[at + 1] += cuts[at];
        }
        let mut next = cuts.clone();
        let mut targets = vec![0; pairs.len()];
        for &(source, target) in pairs {
            let slot = &mut next[source as usize];
            targets[*slot as usize] = target;
            *slot += 1;
        }
        Self { cuts, targets }
    }

    /// The targets of one source.
    #[must_use]
    pub fn of(&self, source: usize) -> &[u32] {
        &self.targets[self.cuts[source] as usize..self.cuts[source + 1] as usize]
    }
}

/// A matrix product whose sum may be taken in any order: nothing is rounded before the end, and
/// the accumulator either holds every partial sum or wraps.
#[derive(Clone, Debug)]
pub struct LinearMac {
    /// The operation.
    pub mac: Mac,
    /// Taps of one output.
    pub taps: usize,
    /// Output channels.
    pub channels: usize,
    /// Output pixels.
    pub pixels: usize,
    /// For each output pixel and spatial tap the first input element of the group-less window, or
    /// `NONE` in the padding.
    pub window: Vec<u32>,
    /// For each input pixel the `(output pixel * spatial taps + tap)` that read it.
    pub readers: Links,
    /// Left shift of a product to the accumulator's unit.
    pub product_shift: u32,
    /// Left shift of a bias to the accumulator's unit.
    pub bias_shift: u32,
    /// From the exact sum to the accumulator's format.
    pub to_accumulator: Cast,
    /// From the accumulator to the output tensor.
    pub to_output: Cast,
}

/// Marks a tap in the padding.
pub const NONE: u32 = u32::MAX;

impl LinearMac {
    /// Spatial taps of the window.
    #[must_use]
    pub fn spatial_taps(&self) -> usize {
        self.mac.geometry.window.kernel[0] * self.mac.geometry.window.kernel[1]
    }

    /// Input channels that one output reads.
    #[must_use]
    pub fn group_channels(&self) -> usize {
        self.mac.geometry.input[2] / self.mac.groups
    }

    /// Output channels of one group.
    #[must_use]
    pub fn group_outputs(&self) -> usize {
        self.channels / self.mac.groups
    }

    /// Where an element of the weight lies in the columns.
    #[must_use]
    pub fn column_at(&self, element: usize) -> usize {
        let (out, tap) = (element / self.taps, element % self.taps);
        let outputs = self.group_outputs();
        (out / outputs * self.taps + tap) * outputs + out % outputs
    }

    /// The weights with the output channels of a group next to each other: `[group][tap][output in group]`.
    #[must_use]
    pub fn columns(&self, weights: &[i64]) -> Vec<i64> {
        let mut columns = vec![0; weights.len()];
        for (element, &weight) in weights.iter().enumerate() {
            columns[self.column_at(element)] = weight;
        }
        columns
    }

    /// What a weight and an input contribute to the sum, in the accumulator's unit.
    #[must_use]
    #[inline]
    pub fn term(&self, weight: i64, input: i64) -> i64 {
        let product = weight.wrapping_mul(input);
        if self.mac.popcount {
            (product + 1) / 2
        } else {
            product.wrapping_shl(self.product_shift)
        }
    }

    /// The output mantissa of a sum. Sums are exact modulo 2^64, which is all that a wrapping
    /// accumulator of at most 64 bits sees.
    #[must_use]
    #[inline]
    pub fn output(&self, sum: i64) -> i64 {
        self.to_output.apply_i64(self.to_accumulator.apply_i64(sum))
    }
}

impl LinearMac {
    /// The output mantissa of a sum with the bits of `flip` inverted in the accumulator.
    #[must_use]
    #[inline]
    pub fn output_of_inverted(&self, sum: i64, flip: u64) -> i64 {
        let accumulator = self.to_accumulator.apply_i64(sum);
        if flip == 0 {
            return self.to_output.apply_i64(accumulator);
        }
        let format = &self.mac.accumulator.format;
        let inverted = inverted_sum(format, i128::from(accumulator), flip);
        self.to_output.apply_i64(inverted as i64)
    }
}

/// How a node is evaluated.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sums kept between evaluations.
    Linear(Box<LinearMac>),
    /// A matrix product whose order matters: outputs are computed anew. The links lead from input
    /// elements to output pixels.
    Ordered(Links),
    /// Output element `i` reads input element `i` of the only operand.
    ElementWise(ElementWise),
    /// Any other: links from the elements of each operand to output elements.
    Linked(Vec<Links>),
    /// All outputs at once, from all elements of the operands.
    Whole,
}

/// A network prepared for repeated evaluation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The network.
    pub network: Arc<Network>,
    /// One per node.
    pub steps: Vec<Step>,
    /// The node that reads each parameter; none where no node does.
    pub reader_of_param: Vec<Option<NodeId>>,
}

impl Plan {
    /// Prepares a network.
    #[must_use]
    pub fn new(network: impl Into<Arc<Network>>) -> Self {
        let network: Arc<Network> = network.into();
        let mut reader_of_param = vec![None; network.params.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            for param in node.op.params() {
                reader_of_param[param.index()] = Some(NodeId::from(index));
            }
        }
        let steps = network.nodes.iter().map(|node| step(&network, node)).collect();
        Self {
            network,
            steps,
            reader_of_param,
        }
    }

    /// Number of elements of a tensor.
    #[must_use]
    pub fn len_of(&self, tensor: TensorId) -> usize {
        self.network.tensor(tensor).len()
    }
}

fn step(network: &Network, node: &Node) -> Step {
    let output_len = network.tensor(node.output).len();
    match &node.op {
        Op::Mac(mac) => match linear(network, node, mac) {
            Some(linear) => Step::Linear(Box::new(linear)),
            None => {
                let mut pairs = Vec::new();
                let pixels = mac.geometry.output[0] * mac.geometry.output[1];
                let per_group = mac.geometry.output[2] / mac.groups;
                for pixel in 0..pixels {
                    for group in 0..mac.groups {
                        for tap in 0..mac.geometry.taps(mac.groups) {
                            if let Some(at) = ops::input_of_tap(mac, pixel, group * per_group, tap) {
                                pairs.push((at as u32, (pixel * mac.groups + group) as u32));
                            }
                        }
                    }
                }
                Step::Ordered(Links::collect(network.tensor(node.inputs[0]).len(), &pairs))
            }
        },
        Op::Cast
        | Op::CastEach(_)
        | Op::Relu(_)
        | Op::Affine(_)
        | Op::ScaledBias(_)
        | Op::MultiThreshold(_)
        | Op::Table(_)
        | Op::Clip { .. }
        | Op::Rescale { .. }
        | Op::Reshape => Step::ElementWise(ElementWise::new(network, node)),
        Op::Program(_) => Step::Whole,
        op => {
            let mut pairs = vec![Vec::new(); node.inputs.len()];
            for index in 0..output_len {
                ops::sources(network, node, op, index, &mut |operand, source| {
                    pairs[operand].push((source as u32, index as u32));
                });
            }
            let links = node
                .inputs
                .iter()
                .zip(&pairs)
                .map(|(id, pairs)| Links::collect(network.tensor(*id).len(), pairs));
            Step::Linked(links.collect())
        }
    }
}

/// The product as a linear one, where its order of summation cannot matter.
fn linear(network: &Network, node: &Node, mac: &Mac) -> Option<LinearMac> {
    let weight = network.param(mac.weight).encoding;
    let input = network.tensor(node.inputs[0]).encoding;
    let bias = mac.bias.map(|bias| network.param(bias).encoding);
    let format = mac.accumulator.format;
    let product_frac = if mac.popcount {
        0
    } else {
        weight.frac() + input.frac()
    };
    let product_shift = u32::try_from(format.frac() - product_frac)
        .ok()
        .filter(|&s| s < 64)?;
    let bias_shift = match bias {
        Some(bias) => u32::try_from(format.frac() - bias.frac())
            .ok()
            .filter(|&s| s < 64)?,
        None => 0,
    };
    let taps = mac.geometry.taps(mac.groups);
    let wraps = format.overflow() == Overflow::Wrap { saturation_bits: 0 };
    // A count of matching bits has no fractional bits, and every partial count is at most the taps.
    if mac.popcount && (product_shift != 0 || (!wraps && taps as i128 > format.max_mantissa())) {
        return None;
    }
    if !wraps && !mac.popcount {
        let exact = exact_accumulator(taps, &weight, &input, bias.as_ref()).ok()?;
        let raise = u32::try_from(format.frac() - exact.frac())
            .ok()
            .filter(|&s| s < 64)?;
        let low = exact.min_mantissa().checked_mul(1 << raise)?;
        let high = exact.max_mantissa().checked_mul(1 << raise)?;
        // The lowest mantissa itself is left out because a symmetric saturation moves it.
        if low <= format.min_mantissa() && format.signed()
            || low < format.min_mantissa()
            || high > format.max_mantissa()
        {
            return None;
        }
    }
    // Unsigned 64-bit values do not fit the machine words of the fast path.
    let fits = |encoding: &Encoding| encoding.range().1 <= i128::from(i64::MAX);
    let output = network.tensor(node.output).encoding;
    if format.max_mantissa() > i128::from(i64::MAX) || !fits(&output) || !fits(&input) || !fits(&weight) {
        return None;
    }
    let geometry = &mac.geometry;
    let pixels = geometry.output[0] * geometry.output[1];
    let spatial = geometry.window.kernel[0] * geometry.window.kernel[1];
    let per_group = geometry.input[2] / mac.groups;
    let mut window = Vec::with_capacity(pixels * spatial);
    let mut pairs = Vec::new();
    for pixel in 0..pixels {
        for tap in 0..spatial {
            match ops::input_of_tap(mac, pixel, 0, tap * per_group) {
                Some(at) => {
                    window.push(at as u32);
                    pairs.push(((at / geometry.input[2]) as u32, (pixel * spatial + tap) as u32));
                }
                None => window.push(NONE),
            }
        }
    }
    let to_output = match output {
        Encoding::Fixed(output) => Cast::new(format.frac(), &output),
        Encoding::Bipolar { .. } => return None,
    };
    Some(LinearMac {
        mac: mac.clone(),
        taps,
        channels: geometry.output[2],
        pixels,
        window,
        readers: Links::collect(geometry.input[0] * geometry.input[1], &pairs),
        product_shift,
        bias_shift,
        to_accumulator: Cast::new(format.frac(), &format),
        to_output,
    })
}
