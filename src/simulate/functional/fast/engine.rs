//! A network with its parameters packed, and the state of one sample.

use std::sync::Arc;

use rayon::prelude::*;

use super::Level;
use super::chain::Chain;
use super::lanes::{Kind, Store};
use super::level::at_level;
use super::moves::{MaxPool, Moves};
use super::pack::pack;
use super::plan::FastPlan;
use super::product::{Kernel, Product, Scratch, Sums};
use super::range::Range;
use crate::network::{Network, Node, Op, TensorId};
use crate::simulate::functional::{Parameters, ops};

/// How a stored tensor comes about.
#[derive(Debug)]
enum Step {
    Product(Box<Product>),
    Rows(Box<Rows>),
    Moves(Moves, usize),
    MaxPool(MaxPool, usize),
    /// By the plain operation.
    Plain(usize),
}

/// How a step computes its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Counts of bits that differ.
    BitProducts,
    /// 8-bit products, output channels side by side.
    ByteColumns,
    /// 8-bit products, taps side by side.
    ByteRows,
    /// 16-bit products.
    HalfColumns,
    /// 64-bit products.
    WideProducts,
    /// Element-wise operations many at a time.
    ElementWise,
    /// Copies.
    Moves,
    /// Maxima pixel by pixel.
    MaxPool,
    /// The plain operation.
    Plain,
}

/// Element-wise operations on a stored tensor.
#[derive(Debug)]
struct Rows {
    input: TensorId,
    output: TensorId,
    /// Elements at once.
    at_once: usize,
    chain: Chain,
}

/// What does not change from sample to sample.
#[derive(Debug)]
struct Compiled {
    network: Arc<Network>,
    level: Level,
    parameters: Parameters,
    input_range: Range,
    /// In execution order, each with its node and the node whose output is stored.
    steps: Vec<Step>,
    /// Node that makes each tensor.
    makers: Vec<Option<usize>>,
}

/// Evaluates samples with given parameters, each with all its tensors.
///
/// A clone shares the packed parameters and has a sample of its own.
#[derive(Clone, Debug)]
pub struct FastEngine {
    compiled: Arc<Compiled>,
    /// Per tensor; none where it is never stored.
    stores: Vec<Option<Store>>,
    /// Per step.
    scratch: Vec<Scratch>,
    sums: Sums,
    output: Vec<i64>,
}

impl FastEngine {
    /// Packs parameters, which may hold faults.
    ///
    /// # Panics
    /// Where `parameters` belong to another network.
    #[must_use]
    pub fn new(plan: &FastPlan, parameters: &Parameters) -> Self {
        let network = &*plan.network;
        let mut steps = Vec::new();
        let mut stored = vec![false; network.tensors.len()];
        let mut made = vec![false; network.nodes.len()];
        stored[network.input.index()] = true;
        for index in 0..network.nodes.len() {
            if made[index] {
                continue;
            }
            let (step, output) = compile(plan, parameters, index, &mut made);
            stored[output.index()] = true;
            steps.push(step);
        }
        let stores: Vec<Option<Store>> = (network.tensors.iter().zip(&plan.kinds))
            .zip(stored)
            .map(|((tensor, &kind), stored)| stored.then(|| Store::new(kind, tensor.len())))
            .collect();
        let scratch = (steps.iter())
            .map(|step| match step {
                Step::Product(product) => product.scratch(network.tensor(product.input).len()),
                _ => Scratch::None,
            })
            .collect();
        let mut makers = vec![None; network.tensors.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            makers[node.output.index()] = Some(index);
        }
        Self {
            compiled: Arc::new(Compiled {
                network: Arc::clone(&plan.network),
                level: plan.level,
                parameters: parameters.clone(),
                input_range: plan.ranges[network.input.index()],
                steps,
                makers,
            }),
            stores,
            scratch,
            sums: Sums::default(),
            output: vec![0; network.tensor(network.output).len()],
        }
    }

    /// Evaluates one sample, the mantissas of the network's input tensor, and returns the mantissas
    /// of its output tensor.
    ///
    /// # Panics
    /// Where `input` has another length than the input tensor, or a mantissa that its type does not
    /// have.
    pub fn run(&mut self, input: &[i64]) -> &[i64] {
        let compiled = Arc::clone(&self.compiled);
        let (network, level) = (&*compiled.network, compiled.level);
        let length = network.tensor(network.input).len();
        assert_eq!(input.len(), length, "one mantissa per input element");
        let mut known = false;
        all_in_range(level, &compiled.input_range, input, &mut known);
        assert!(known, "mantissas of the input's type");
        if let Some(store) = &mut self.stores[network.input.index()] {
            store.write(level, 0, input);
        }
        for (index, step) in compiled.steps.iter().enumerate() {
            let target = compiled.output_of(step);
            if let Some(mut output) = self.stores[target.index()].take() {
                self.step(&compiled, index, step, &mut output);
                self.stores[target.index()] = Some(output);
            }
        }
        if let Some(store) = &self.stores[network.output.index()] {
            store.read(level, 0, &mut self.output);
        }
        &self.output
    }

    fn step(&mut self, compiled: &Compiled, index: usize, step: &Step, output: &mut Store) {
        let (network, level) = (&*compiled.network, compiled.level);
        let store = |id: TensorId| self.stores[id.index()].as_ref();
        match step {
            Step::Product(product) => {
                if let Some(input) = self.stores[product.input.index()].as_ref() {
                    product.run(level, input, &mut self.scratch[index], &mut self.sums, output);
                }
            }
            Step::Rows(rows) => {
                if let Some(input) = self.stores[rows.input.index()].as_ref() {
                    rows.run(level, input, &mut self.sums, output);
                }
            }
            Step::Moves(moves, node) => {
                let operands: Option<Vec<&Store>> =
                    network.nodes[*node].inputs.iter().map(|id| store(*id)).collect();
                if let Some(operands) = operands {
                    moves.run(&operands, output);
                }
            }
            Step::MaxPool(pool, node) => {
                if let Some(input) = store(network.nodes[*node].inputs[0]) {
                    pool.run(level, input, output);
                }
            }
            Step::Plain(node) => output.write(level, 0, &self.plain(*node)),
        }
    }

    /// A node's output by the plain operation.
    fn plain(&self, node: usize) -> Vec<i64> {
        let compiled = &self.compiled;
        let node = &compiled.network.nodes[node];
        let operands: Vec<Vec<i64>> = node.inputs.iter().map(|id| self.tensor(*id)).collect();
        let operands: Vec<&[i64]> = operands.iter().map(Vec::as_slice).collect();
        ops::evaluate(&compiled.network, node, &compiled.parameters, &operands)
    }

    /// The mantissas of a tensor of the last sample. Sums that are never stored are computed anew, by
    /// the plain operations.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> Vec<i64> {
        match (&self.stores[id.index()], self.compiled.makers[id.index()]) {
            (Some(store), _) => store.mantissas(self.compiled.level),
            (None, Some(node)) => self.plain(node),
            (None, None) => vec![0; self.compiled.network.tensor(id).len()],
        }
    }

    /// The tensors that are stored, in the order in which they are computed, and how.
    #[must_use]
    pub fn methods(&self) -> Vec<(TensorId, Method)> {
        let steps = self.compiled.steps.iter();
        steps
            .map(|step| (self.compiled.output_of(step), step.method()))
            .collect()
    }

    /// The output mantissas of the last sample.
    #[must_use]
    pub fn output(&self) -> &[i64] {
        &self.output
    }

    /// Evaluates samples in parallel: `inputs` holds one after the other, the result the outputs one
    /// after the other.
    ///
    /// # Panics
    /// As [`FastEngine::run`]; where the length is no whole number of samples.
    #[must_use]
    pub fn run_all(&self, inputs: &[i64]) -> Vec<i64> {
        let network = &self.compiled.network;
        let (length, outputs) = (network.tensor(network.input).len(), self.output.len());
        if length == 0 || outputs == 0 {
            return Vec::new();
        }
        assert!(inputs.len().is_multiple_of(length), "whole samples");
        let mut results = vec![0; inputs.len() / length * outputs];
        inputs
            .par_chunks(length)
            .zip(results.par_chunks_mut(outputs))
            .for_each_init(
                || self.clone(),
                |engine, (input, output)| output.copy_from_slice(engine.run(input)),
            );
        results
    }
}

impl Step {
    fn method(&self) -> Method {
        match self {
            Step::Product(product) => match product.kernel {
                Kernel::Bits(..) => Method::BitProducts,
                Kernel::ByteColumns(_) => Method::ByteColumns,
                Kernel::ByteRows(_) => Method::ByteRows,
                Kernel::HalfColumns(_) => Method::HalfColumns,
                Kernel::Wide(..) => Method::WideProducts,
            },
            Step::Rows(_) => Method::ElementWise,
            Step::Moves(..) => Method::Moves,
            Step::MaxPool(..) => Method::MaxPool,
            Step::Plain(_) => Method::Plain,
        }
    }
}

impl Compiled {
    /// The tensor that a step stores.
    fn output_of(&self, step: &Step) -> TensorId {
        match step {
            Step::Product(product) => product.output,
            Step::Rows(rows) => rows.output,
            Step::Moves(_, node) | Step::MaxPool(_, node) | Step::Plain(node) => {
                self.network.nodes[*node].output
            }
        }
    }
}

at_level!(
    /// Whether all mantissas belong to a range.
    fn all_in_range(range: &Range, mantissas: &[i64], all: &mut bool) =
        |range: &Range, mantissas: &[i64], all: &mut bool| {
            *all = mantissas.iter().fold(true, |all, &mantissa| all & range.has(mantissa));
        }
);

impl Rows {
    fn run(&self, level: Level, input: &Store, sums: &mut Sums, output: &mut Store) {
        let mut first = 0;
        while first < input.len {
            let count = self.at_once.min(input.len - first);
            if self.chain.is_narrow() {
                sums.narrow.resize(count, 0);
                input.read_narrow(level, first, &mut sums.narrow);
                self.chain.run_narrow(level, &mut sums.narrow, first, output);
            } else {
                sums.wide.resize(count, 0);
                input.read(level, first, &mut sums.wide);
                self.chain.run_wide(level, &mut sums.wide, first, output);
            }
            first += count;
        }
    }
}

/// The step of a node and of the element-wise operations behind it, and the tensor that it stores.
fn compile(plan: &FastPlan, parameters: &Parameters, index: usize, made: &mut [bool]) -> (Step, TensorId) {
    let network = &*plan.network;
    let node = &network.nodes[index];
    made[index] = true;
    if let Some(linear) = &plan.linear[index]
        && let Some(mut product) = pack(plan, parameters, node, linear)
    {
        product.output = extend(plan, parameters, &mut product.chain, node.output, made);
        product.chain.finish(plan.kinds[product.output.index()]);
        product.settle();
        let output = product.output;
        return (Step::Product(Box::new(product)), output);
    }
    if let Some(moves) = Moves::new(network, node, &plan.ranges, &plan.kinds) {
        return (Step::Moves(moves, index), node.output);
    }
    if let Op::Pool(pool) = &node.op
        && let Some(pool) = MaxPool::new(network, node, pool, &plan.ranges, &plan.kinds)
    {
        return (Step::MaxPool(pool, index), node.output);
    }
    if let Some(rows) = rows(plan, parameters, node, made) {
        let output = rows.output;
        return (Step::Rows(Box::new(rows)), output);
    }
    (Step::Plain(index), node.output)
}

/// Adds the operations behind a tensor to a chain as far as nobody else reads what is in between.
fn extend(
    plan: &FastPlan,
    parameters: &Parameters,
    chain: &mut Chain,
    mut output: TensorId,
    made: &mut [bool],
) -> TensorId {
    while let Some(reader) = plan.only_reader(output)
        && chain.push(plan, parameters, reader)
    {
        made[plan.readers[output.index()][0].index()] = true;
        output = reader.output;
    }
    output
}

fn rows(plan: &FastPlan, parameters: &Parameters, node: &Node, made: &mut [bool]) -> Option<Rows> {
    let input = node.inputs.first()?;
    let tensor = plan.network.tensor(*input);
    let channels = tensor.channels().max(1);
    // Rows of few channels are repeated to fill registers; bits end in whole words of their own.
    let bits = matches!(plan.kinds[node.output.index()], Kind::Bits { .. });
    let repeats = if bits { 1 } else { 64usize.div_ceil(channels) };
    let width = channels * repeats;
    let mut chain = Chain::new(plan.ranges[input.index()], channels, width, repeats > 1);
    if node.inputs.len() != 1 || !chain.push(plan, parameters, node) {
        return None;
    }
    let output = extend(plan, parameters, &mut chain, node.output, made);
    chain.finish(plan.kinds[output.index()]);
    Some(Rows {
        input: *input,
        output,
        at_once: width * 4096usize.div_ceil(width),
        chain,
    })
}
