//! A network as units, each a head with the element-wise operations behind it.

use std::sync::Arc;

use super::function::Chain;
use super::gather::Gather;
use super::product::Product;
use super::row::SAMPLES;
use crate::network::{Encoding, Network, NodeId, TensorId};
use crate::simulate::functional::Change;
use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::range::{Codes, Range, ranges};
use crate::simulate::functional::plan::{LinearMac, NONE, Plan, Step};

/// What a unit starts with.
#[derive(Clone, Debug)]
pub enum Head {
    /// A matrix product.
    Product(Box<Product>),
    /// The mantissas of a tensor.
    Tensor(TensorId),
    /// A few elements of tensors for each of its own.
    Gather(Box<Gather>),
    /// The plain operation of a node, sample by sample.
    Plain(usize),
}

/// A head and the operations behind it, whose tensors in between are never stored.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The head.
    pub head: Head,
    /// What comes behind it.
    pub chain: Chain,
    /// The tensor that is stored.
    pub output: TensorId,
}

/// A network prepared for faults on many samples at a time.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    pub(super) network: Arc<Network>,
    pub(super) plan: Arc<Plan>,
    pub(super) level: Level,
    pub(super) codes: Codes,
    pub(super) units: Vec<Unit>,
    /// The unit that reads each parameter.
    pub(super) unit_of_param: Vec<Option<u32>>,
    /// The unit of each node, and the end of its operations in the unit's chain.
    pub(super) unit_of_node: Vec<(u32, u32)>,
    /// Per tensor, whether it is stored.
    stored: Vec<bool>,
    /// Per tensor, the units that read it.
    pub(super) readers: Vec<Vec<u32>>,
    pub(super) input_range: Range,
    /// Whether each element of the output takes two rows, its lower and its upper 32 bits.
    pub(super) wide_output: bool,
}

impl BatchPlan {
    /// Prepares a network for the widest vector instructions of the machine; `None` where the mantissas of a tensor
    /// do not fit the lanes, whose networks are left to [`Incremental`](super::super::Incremental).
    #[must_use]
    pub fn new(plan: &Arc<Plan>) -> Option<Self> {
        Self::with_level(plan, Level::widest())
    }

    /// As [`BatchPlan::new`], for given vector instructions.
    #[must_use]
    pub fn with_level(plan: &Arc<Plan>, level: Level) -> Option<Self> {
        Self::with_codes(plan, level, Codes::Computed)
    }

    /// As [`BatchPlan::with_level`], also for transients, which makes some lanes wider.
    #[must_use]
    pub fn for_transients(plan: &Arc<Plan>, level: Level) -> Option<Self> {
        Self::with_codes(plan, level, Codes::Inverted)
    }

    fn with_codes(plan: &Arc<Plan>, level: Level, codes: Codes) -> Option<Self> {
        let network = Arc::clone(&plan.network);
        let ranges = ranges(&network, codes);
        let mut readers_of = vec![Vec::new(); network.tensors.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers_of[input.index()].push(index);
            }
        }
        let mut made = vec![false; network.nodes.len()];
        let mut units = Vec::new();
        let mut unit_of_param = vec![None; network.params.len()];
        let mut unit_of_node = vec![(0, 0); network.nodes.len()];
        for index in 0..network.nodes.len() {
            if made[index] {
                continue;
            }
            made[index] = true;
            let (mut unit, own) = head(plan, &ranges, codes, index);
            let mut nodes = vec![index];
            let end = |chain: &mut Chain, output: TensorId| {
                let range = match codes {
                    Codes::Computed => chain.range,
                    Codes::Inverted => ranges[output.index()],
                };
                chain.end(range);
            };
            if !matches!(unit.head, Head::Plain(_)) {
                if own {
                    unit.chain.push(&network, index, &ranges[unit.output.index()]);
                }
                end(&mut unit.chain, unit.output);
                while unit.output != network.output
                    && let [reader] = readers_of[unit.output.index()][..]
                    && let Step::ElementWise(_) = plan.steps[reader]
                {
                    let output = network.nodes[reader].output;
                    unit.chain.push(&network, reader, &ranges[output.index()]);
                    end(&mut unit.chain, output);
                    made[reader] = true;
                    nodes.push(reader);
                    unit.output = output;
                }
            }
            let sums = usize::from(matches!(unit.head, Head::Product(_)));
            for (place, node) in nodes.into_iter().enumerate() {
                unit_of_node[node] = (units.len() as u32, (sums + place) as u32);
                for param in network.nodes[node].op.params() {
                    unit_of_param[param.index()] = Some(units.len() as u32);
                }
            }
            units.push(unit);
        }
        // A unit stands where its head does: the operations behind it read nothing else.
        let mut stored = vec![false; network.tensors.len()];
        let mut readers = vec![Vec::new(); network.tensors.len()];
        stored[network.input.index()] = true;
        for (index, unit) in units.iter().enumerate() {
            stored[unit.output.index()] = true;
            for input in unit.inputs(&network) {
                readers[input.index()].push(index as u32);
            }
        }
        let fits = |range: &Range| range.is_narrow() && range.high - range.low <= i64::from(i32::MAX);
        let mut wide_output = false;
        for unit in &units {
            if !fits(&unit.chain.range) {
                let unread = readers[unit.output.index()].is_empty();
                if unit.output != network.output || !unread || matches!(unit.head, Head::Plain(_)) {
                    return None;
                }
                wide_output = true;
            }
        }
        if !fits(&ranges[network.input.index()]) || !belong(&network) {
            return None;
        }
        Some(Self {
            input_range: ranges[network.input.index()],
            plan: Arc::clone(plan),
            network,
            level,
            codes,
            units,
            unit_of_param,
            unit_of_node,
            stored,
            readers,
            wide_output,
        })
    }

    /// Rows that a tensor is stored in.
    pub(super) fn rows_of(&self, tensor: usize) -> usize {
        let rows = if self.wide_output && tensor == self.network.output.index() {
            2
        } else {
            1
        };
        let len = self.network.tensors[tensor].len();
        if self.stored[tensor] { rows * len } else { 0 }
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What it prepares.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Whether the changes are mantissas of their parameters' types, which is what the lanes are made for.
    #[must_use]
    pub fn takes(&self, changes: &[Change]) -> bool {
        changes.iter().all(|change| {
            let param = self.network.param(change.param);
            param.encoding.contains(i128::from(change.mantissa))
        })
    }

    /// Bytes of the loaded samples of one engine, without differences.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tensors: usize = (0..self.stored.len()).map(|id| self.rows_of(id)).sum();
        let sums = self.units.iter().map(|unit| match &unit.head {
            Head::Product(product) => {
                let width = if unit.chain.narrow { 4 } else { 8 };
                product.linear.pixels * product.linear.channels * width
            }
            _ => 0,
        });
        (4 * tensors + sums.sum::<usize>()) * SAMPLES
    }

    /// The vector instructions.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }
}

impl Unit {
    /// The tensors that it reads.
    #[must_use]
    pub fn inputs<'a>(&'a self, network: &'a Network) -> &'a [TensorId] {
        match &self.head {
            Head::Product(product) => std::slice::from_ref(&product.input),
            Head::Tensor(id) => std::slice::from_ref(id),
            Head::Gather(gather) => &gather.operands,
            Head::Plain(node) => &network.nodes[*node].inputs,
        }
    }
}

/// Whether every stored mantissa belongs to its encoding.
fn belong(network: &Network) -> bool {
    network.params.iter().all(|param| {
        let mut values = param.values.iter();
        values.all(|&value| param.encoding.contains(i128::from(value)))
    })
}

/// The unit of a node without the operations behind it, and whether the node is the first of those itself.
fn head(plan: &Plan, ranges: &[Range], codes: Codes, index: usize) -> (Unit, bool) {
    let network = &*plan.network;
    let node = &network.nodes[index];
    let unit = |head, chain| Unit {
        head,
        chain,
        output: node.output,
    };
    match &plan.steps[index] {
        Step::Linear(linear) => {
            if let Some(range) = sums(network, NodeId::from(index), linear, ranges) {
                let mut chain = Chain::new(range);
                chain.push_product(linear, &network.tensor(node.output).encoding, codes);
                let product = Product {
                    input: node.inputs[0],
                    linear: (**linear).clone(),
                };
                return (unit(Head::Product(Box::new(product)), chain), false);
            }
        }
        Step::ElementWise(_) => {
            let input = node.inputs[0];
            return (unit(Head::Tensor(input), Chain::new(ranges[input.index()])), true);
        }
        Step::Linked(links) => {
            if let Some((gather, chain)) = Gather::new(network, node, links, ranges) {
                return (unit(Head::Gather(Box::new(gather)), chain), false);
            }
        }
        Step::Ordered(_) | Step::Whole => {}
    }
    (
        unit(Head::Plain(index), Chain::new(ranges[node.output.index()])),
        false,
    )
}

/// Bounds of a product's sums whatever its parameters are, in the accumulator's unit; `None` where the sum is not
/// one of products of the lanes. A bipolar product is summed before its matches are counted.
fn sums(network: &Network, node: NodeId, linear: &LinearMac, ranges: &[Range]) -> Option<Range> {
    let node = &network.nodes[node.index()];
    let mac = &linear.mac;
    let weight = network.param(mac.weight).encoding;
    let input = network.tensor(node.inputs[0]).encoding;
    let range = ranges[node.inputs[0].index()];
    if !Range::of_encoding(&input).contains(&range) {
        return None;
    }
    if mac.popcount {
        let bipolar = |encoding| matches!(encoding, Encoding::Bipolar { .. });
        // Every tap counts: a padding would match nothing.
        let padded = linear.window.contains(&NONE);
        let exact = bipolar(input) && bipolar(weight) && range.bipolar && mac.bias.is_none() && !padded;
        let unit = mac.accumulator.format.frac() == 0 && linear.product_shift == 0;
        let taps = linear.taps as i128;
        return (exact && unit).then(|| Range::new(-taps, taps));
    }
    let (weights, inputs) = (weight.range(), (i128::from(range.low), i128::from(range.high)));
    let products = [
        weights.0 * inputs.0,
        weights.0 * inputs.1,
        weights.1 * inputs.0,
        weights.1 * inputs.1,
    ];
    let taps = linear.taps as i128;
    let raise = |value: i128, by: u32| value.saturating_mul(1i128 << by);
    let bias = mac
        .bias
        .map_or((0, 0), |bias| network.param(bias).encoding.range());
    let low = products.iter().copied().fold(0, i128::min).saturating_mul(taps);
    let high = products.iter().copied().fold(0, i128::max).saturating_mul(taps);
    let low = raise(low, linear.product_shift).saturating_add(raise(bias.0, linear.bias_shift));
    let high = raise(high, linear.product_shift).saturating_add(raise(bias.1, linear.bias_shift));
    // Sums beyond 64 bits are kept modulo 2^64, and only their own casts know what to make of them.
    Some(Range::new(low, high))
}
