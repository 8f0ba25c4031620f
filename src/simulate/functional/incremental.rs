//! Faults on top of a fault-free evaluation: only what a fault touches is computed anew.
//!
//! One sample is loaded at a time. [`Incremental::strike`] replaces stored values and follows the
//! differences through the network until they die out or reach the output; [`Incremental::restore`]
//! takes all of it back. The result equals [`super::evaluate`] on the changed parameters.

use std::sync::Arc;

use super::plan::{LinearMac, NONE, Plan, Step};
use super::transient::{FlipsByNode, inverted};
use super::{Change, Parameters, Transient, ops};
use crate::network::{NodeId, Op, ParamId, TensorId};

/// An element that differs from the loaded state, with the value that it had.
#[derive(Clone, Copy, Debug)]
struct Old {
    at: u32,
    value: i64,
}

/// Marks that are cleared all at once.
#[derive(Clone, Debug)]
struct Marks {
    stamps: Vec<u32>,
    current: u32,
}

impl Marks {
    fn new(len: usize) -> Self {
        Self {
            stamps: vec![0; len],
            current: 0,
        }
    }

    fn clear(&mut self) {
        self.current = self.current.wrapping_add(1);
        if self.current == 0 {
            self.stamps.fill(0);
            self.current = 1;
        }
    }

    /// Whether the mark was not set yet; sets it.
    fn set(&mut self, at: usize) -> bool {
        let fresh = self.stamps[at] != self.current;
        self.stamps[at] = self.current;
        fresh
    }
}

/// One sample at a time under faults.
#[derive(Clone, Debug)]
pub struct Incremental {
    plan: Arc<Plan>,
    state: State,
}

/// The state of one sample.
#[derive(Clone, Debug)]
struct State {
    parameters: Parameters,
    /// Weights of linear products with the output channels of a group next to each other:
    /// `[group][tap][output in group]`.
    columns: Vec<Vec<i64>>,
    tensors: Vec<Vec<i64>>,
    /// Exact sums of linear products in the accumulator's unit.
    sums: Vec<Vec<i64>>,
    /// Per tensor, what the strike changed.
    dirty: Vec<Vec<Old>>,
    /// Per node, sums that the strike changed.
    old_sums: Vec<Vec<Old>>,
    old_params: Vec<(ParamId, Old)>,
    /// Per node, changes of its parameters, waiting for the node's turn.
    waiting: Vec<Vec<Change>>,
    /// Transients of the strike.
    flips: FlipsByNode,
    /// Nodes with something to do.
    active: Vec<bool>,
    readers: Vec<Vec<NodeId>>,
    marks: Marks,
    touched: Vec<u32>,
}

impl Incremental {
    /// An engine without a sample.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            state: State::new(&plan),
            plan,
        }
    }

    /// Evaluates a sample without faults.
    ///
    /// # Panics
    /// Where `input` has another length than the input tensor.
    pub fn load(&mut self, input: &[i64]) {
        self.state.load(&self.plan, input);
    }

    /// The output mantissas under the present faults.
    #[must_use]
    pub fn output(&self) -> &[i64] {
        self.tensor(self.plan.network.output)
    }

    /// The mantissas of a tensor under the present faults.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &[i64] {
        &self.state.tensors[id.index()]
    }

    /// Replaces stored values on top of the loaded sample and returns whether any output changed.
    /// What earlier strikes changed is restored first.
    pub fn strike(&mut self, changes: &[Change]) -> bool {
        self.strike_with(changes, &[])
    }

    /// As [`Incremental::strike`], with transients in the loaded sample's inference.
    ///
    /// # Panics
    /// Where a transient does not fit the network ([`Transient::check`]).
    pub fn strike_with(&mut self, changes: &[Change], transients: &[Transient]) -> bool {
        self.state.strike(&self.plan, changes, transients)
    }

    /// Takes all faults back.
    pub fn restore(&mut self) {
        self.state.restore(&self.plan);
    }
}

impl State {
    fn new(plan: &Plan) -> Self {
        let network = &plan.network;
        let nodes = network.nodes.len();
        let mut readers = vec![Vec::new(); network.tensors.len()];
        for (index, node) in network.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.index()].push(NodeId::from(index));
            }
        }
        let parameters = Parameters::of(network);
        let columns = plan
            .steps
            .iter()
            .map(|step| match step {
                Step::Linear(linear) => linear.columns(parameters.values(linear.mac.weight)),
                _ => Vec::new(),
            })
            .collect();
        let largest = network
            .tensors
            .iter()
            .map(|tensor| tensor.len())
            .max()
            .unwrap_or(0);
        Self {
            parameters,
            columns,
            tensors: network
                .tensors
                .iter()
                .map(|tensor| vec![0; tensor.len()])
                .collect(),
            sums: vec![Vec::new(); nodes],
            dirty: vec![Vec::new(); network.tensors.len()],
            old_sums: vec![Vec::new(); nodes],
            old_params: Vec::new(),
            waiting: vec![Vec::new(); nodes],
            flips: FlipsByNode::new(network),
            active: vec![false; nodes],
            readers,
            marks: Marks::new(largest),
            touched: Vec::new(),
        }
    }

    fn load(&mut self, plan: &Plan, input: &[i64]) {
        self.restore(plan);
        let network = &plan.network;
        self.tensors[network.input.index()].copy_from_slice(input);
        for (index, node) in network.nodes.iter().enumerate() {
            let mut output = std::mem::take(&mut self.tensors[node.output.index()]);
            match &plan.steps[index] {
                Step::Linear(linear) => {
                    let mut sums = std::mem::take(&mut self.sums[index]);
                    self.sum(index, linear, &self.tensors[node.inputs[0].index()], &mut sums);
                    for (value, &sum) in output.iter_mut().zip(&sums) {
                        *value = linear.output(sum);
                    }
                    self.sums[index] = sums;
                }
                Step::ElementWise(element_wise) => {
                    let input = &self.tensors[node.inputs[0].index()];
                    for (at, value) in output.iter_mut().enumerate() {
                        *value = element_wise.element(network, node, &self.parameters, input, at);
                    }
                }
                Step::Whole => output = self.whole(plan, index),
                Step::Ordered(_) | Step::Linked(_) => {
                    let operands: Vec<&[i64]> = node
                        .inputs
                        .iter()
                        .map(|id| self.tensors[id.index()].as_slice())
                        .collect();
                    for (at, value) in output.iter_mut().enumerate() {
                        *value = ops::element(network, node, &self.parameters, &operands, at);
                    }
                }
            }
            self.tensors[node.output.index()] = output;
        }
    }

    /// All outputs of a node.
    fn whole(&self, plan: &Plan, index: usize) -> Vec<i64> {
        let node = &plan.network.nodes[index];
        let operands: Vec<&[i64]> = node
            .inputs
            .iter()
            .map(|id| self.tensors[id.index()].as_slice())
            .collect();
        ops::evaluate(&plan.network, node, &self.parameters, &operands)
    }

    fn sum(&self, node: usize, linear: &LinearMac, input: &[i64], sums: &mut Vec<i64>) {
        sums.clear();
        let channels = linear.channels;
        match linear.mac.bias {
            Some(bias) => {
                let biases = self.parameters.values(bias);
                for _ in 0..linear.pixels {
                    sums.extend(biases.iter().map(|bias| bias.wrapping_shl(linear.bias_shift)));
                }
            }
            None => sums.resize(linear.pixels * channels, 0),
        }
        let (spatial, per_group, outputs) = (
            linear.spatial_taps(),
            linear.group_channels(),
            linear.group_outputs(),
        );
        for pixel in 0..linear.pixels {
            for tap in 0..spatial {
                let first = linear.window[pixel * spatial + tap];
                if first == NONE {
                    continue;
                }
                for group in 0..linear.mac.groups {
                    for channel in 0..per_group {
                        let x = input[first as usize + group * per_group + channel];
                        if x == 0 {
                            continue;
                        }
                        let column = (group * linear.taps + tap * per_group + channel) * outputs;
                        let column = &self.columns[node][column..column + outputs];
                        let row = &mut sums[pixel * channels + group * outputs..][..outputs];
                        for (sum, &weight) in row.iter_mut().zip(column) {
                            *sum = sum.wrapping_add(linear.term(weight, x));
                        }
                    }
                }
            }
        }
    }

    fn strike(&mut self, plan: &Plan, changes: &[Change], transients: &[Transient]) -> bool {
        self.restore(plan);
        self.flips.set(&plan.network, transients);
        self.strike_input(plan);
        for node in self.flips.nodes() {
            self.active[node] = true;
        }
        for change in changes {
            // What no node reads changes no output.
            let Some(reader) = plan.reader_of_param[change.param.index()] else {
                continue;
            };
            let node = reader.index();
            self.waiting[node].push(*change);
            self.active[node] = true;
        }
        let first = self
            .active
            .iter()
            .position(|&active| active)
            .unwrap_or(self.active.len());
        for node in first..self.active.len() {
            if std::mem::take(&mut self.active[node]) {
                self.step(plan, node);
            }
        }
        !self.dirty[plan.network.output.index()].is_empty()
    }

    /// Inverts bits of the input.
    fn strike_input(&mut self, plan: &Plan) {
        let input = plan.network.input;
        let encoding = &plan.network.tensor(input).encoding;
        for (at, flip) in self.flips.input().iter() {
            let slot = &mut self.tensors[input.index()][at];
            let old = Old {
                at: at as u32,
                value: *slot,
            };
            *slot = inverted(encoding, *slot, flip.code);
            if *slot != old.value {
                self.dirty[input.index()].push(old);
            }
        }
        if !self.dirty[input.index()].is_empty() {
            for reader in &self.readers[input.index()] {
                self.active[reader.index()] = true;
            }
        }
    }

    fn restore(&mut self, plan: &Plan) {
        for (tensor, dirty) in self.tensors.iter_mut().zip(&mut self.dirty) {
            for old in dirty.drain(..) {
                tensor[old.at as usize] = old.value;
            }
        }
        for (sums, old_sums) in self.sums.iter_mut().zip(&mut self.old_sums) {
            // The first entry of an element is its fault-free value.
            for old in old_sums.drain(..).rev() {
                sums[old.at as usize] = old.value;
            }
        }
        while let Some((param, old)) = self.old_params.pop() {
            self.set_param(plan, param, old.at as usize, old.value);
        }
    }

    /// Stores a mantissa, also in the columns, and returns the one that was there.
    fn set_param(&mut self, plan: &Plan, param: ParamId, element: usize, mantissa: i64) -> i64 {
        if let Some(node) = plan.reader_of_param[param.index()]
            && let Step::Linear(linear) = &plan.steps[node.index()]
            && linear.mac.weight == param
        {
            self.columns[node.index()][linear.column_at(element)] = mantissa;
        }
        self.parameters.replace(param, element, mantissa)
    }

    /// Stores the waiting changes of a node; the elements and old mantissas are returned in order.
    fn store_waiting(&mut self, plan: &Plan, node: usize) -> Vec<(Change, i64)> {
        let waiting = std::mem::take(&mut self.waiting[node]);
        let mut stored = Vec::with_capacity(waiting.len());
        for change in waiting {
            let old = self.set_param(plan, change.param, change.element as usize, change.mantissa);
            self.old_params.push((
                change.param,
                Old {
                    at: change.element,
                    value: old,
                },
            ));
            stored.push((change, old));
        }
        stored
    }

    fn step(&mut self, plan: &Plan, index: usize) {
        let network = &plan.network;
        let node = &network.nodes[index];
        self.touched.clear();
        self.marks.clear();
        match &plan.steps[index] {
            Step::Linear(linear) => self.step_linear(plan, index, linear, node.inputs[0]),
            Step::Ordered(links) => {
                let Op::Mac(mac) = &node.op else { return };
                let per_group = mac.geometry.output[2] / mac.groups;
                let channels = mac.geometry.output[2];
                for old in &self.dirty[node.inputs[0].index()] {
                    for &target in links.of(old.at as usize) {
                        let (pixel, group) = (target as usize / mac.groups, target as usize % mac.groups);
                        for at in (0..per_group).map(|o| pixel * channels + group * per_group + o) {
                            if self.marks.set(at) {
                                self.touched.push(at as u32);
                            }
                        }
                    }
                }
                let taps = mac.geometry.taps(mac.groups);
                for (change, _) in self.store_waiting(plan, index) {
                    let out = if change.param == mac.weight {
                        change.element as usize / taps
                    } else {
                        change.element as usize
                    };
                    for at in (out..self.tensors[node.output.index()].len()).step_by(channels) {
                        if self.marks.set(at) {
                            self.touched.push(at as u32);
                        }
                    }
                }
            }
            Step::ElementWise(_) => {
                for old in &self.dirty[node.inputs[0].index()] {
                    if self.marks.set(old.at as usize) {
                        self.touched.push(old.at);
                    }
                }
                for (change, _) in self.store_waiting(plan, index) {
                    let shape = &network.param(change.param).shape;
                    let rows = shape[0];
                    let row = change.element as usize / shape[1..].iter().product::<usize>().max(1);
                    let channels = network.tensor(node.inputs[0]).channels();
                    for at in 0..self.tensors[node.output.index()].len() {
                        // One row per channel, or one per element where there are as many.
                        let own = if rows > channels {
                            at % rows
                        } else {
                            at % channels % rows
                        };
                        if own == row && self.marks.set(at) {
                            self.touched.push(at as u32);
                        }
                    }
                }
            }
            Step::Linked(links) => {
                for (operand, links) in node.inputs.iter().zip(links) {
                    for old in &self.dirty[operand.index()] {
                        for &target in links.of(old.at as usize) {
                            if self.marks.set(target as usize) {
                                self.touched.push(target);
                            }
                        }
                    }
                }
            }
            Step::Whole => {}
        }
        for (at, _) in self.flips.of(index).iter() {
            if self.marks.set(at) {
                self.touched.push(at as u32);
            }
        }
        self.settle(plan, index);
    }

    /// Adds what changed inputs and changed weights contribute to the sums.
    fn step_linear(&mut self, plan: &Plan, index: usize, linear: &LinearMac, input: TensorId) {
        let (spatial, per_group, outputs, channels) = (
            linear.spatial_taps(),
            linear.group_channels(),
            linear.group_outputs(),
            linear.channels,
        );
        let inputs = linear.mac.geometry.input[2];
        let dirty = std::mem::take(&mut self.dirty[input.index()]);
        for old in &dirty {
            let at = old.at as usize;
            let new = self.tensors[input.index()][at];
            let (pixel, channel) = (at / inputs, at % inputs);
            let (group, channel) = (channel / per_group, channel % per_group);
            for &reader in linear.readers.of(pixel) {
                let (target, tap) = (reader as usize / spatial, reader as usize % spatial);
                let first = target * channels + group * outputs;
                let column = (group * linear.taps + tap * per_group + channel) * outputs;
                for o in 0..outputs {
                    let weight = self.columns[index][column + o];
                    let delta = linear
                        .term(weight, new)
                        .wrapping_sub(linear.term(weight, old.value));
                    self.add(index, first + o, delta);
                }
            }
        }
        self.dirty[input.index()] = dirty;
        for (change, old) in self.store_waiting(plan, index) {
            if change.param == linear.mac.weight {
                let element = change.element as usize;
                let (out, tap) = (element / linear.taps, element % linear.taps);
                let group = out / outputs;
                let (place, channel) = (tap / per_group, tap % per_group);
                for pixel in 0..linear.pixels {
                    let first = linear.window[pixel * spatial + place];
                    if first == NONE {
                        continue;
                    }
                    let x = self.tensors[input.index()][first as usize + group * per_group + channel];
                    let delta = linear.term(change.mantissa, x).wrapping_sub(linear.term(old, x));
                    self.add(index, pixel * channels + out, delta);
                }
            } else {
                let delta = change.mantissa.wrapping_sub(old).wrapping_shl(linear.bias_shift);
                for pixel in 0..linear.pixels {
                    self.add(index, pixel * channels + change.element as usize, delta);
                }
            }
        }
    }

    /// Adds to one sum and remembers what it was.
    #[inline]
    fn add(&mut self, node: usize, at: usize, delta: i64) {
        if delta == 0 {
            return;
        }
        let sum = &mut self.sums[node][at];
        if self.marks.set(at) {
            self.touched.push(at as u32);
            self.old_sums[node].push(Old {
                at: at as u32,
                value: *sum,
            });
        }
        *sum = sum.wrapping_add(delta);
    }

    /// Computes the touched outputs of a node and passes on those that changed.
    fn settle(&mut self, plan: &Plan, index: usize) {
        let network = &plan.network;
        let node = &network.nodes[index];
        let whole = match &plan.steps[index] {
            Step::Whole => self.whole(plan, index),
            _ => Vec::new(),
        };
        let mut output = std::mem::take(&mut self.tensors[node.output.index()]);
        let mut changed = std::mem::take(&mut self.dirty[node.output.index()]);
        let flips = self.flips.of(index);
        let encoding = &network.tensor(node.output).encoding;
        let mut note = |at: u32, mut value: i64| {
            if !flips.is_empty() {
                value = inverted(encoding, value, flips.of(at as usize).code);
            }
            let slot = &mut output[at as usize];
            if *slot != value {
                changed.push(Old { at, value: *slot });
                *slot = value;
            }
        };
        match &plan.steps[index] {
            Step::Linear(linear) => {
                for &at in &self.touched {
                    let sum = self.sums[index][at as usize];
                    note(at, linear.output_of_inverted(sum, flips.of(at as usize).sum));
                }
            }
            Step::ElementWise(element_wise) => {
                let input = &self.tensors[node.inputs[0].index()];
                for &at in &self.touched {
                    note(
                        at,
                        element_wise.element(network, node, &self.parameters, input, at as usize),
                    );
                }
            }
            Step::Whole => {
                for (at, &value) in whole.iter().enumerate() {
                    note(at as u32, value);
                }
            }
            Step::Ordered(_) | Step::Linked(_) => {
                let operands: Vec<&[i64]> = node
                    .inputs
                    .iter()
                    .map(|id| self.tensors[id.index()].as_slice())
                    .collect();
                for &at in &self.touched {
                    let (at, flip) = (at as usize, flips.of(at as usize).sum);
                    let value =
                        ops::element_of_inverted_sum(network, node, &self.parameters, &operands, at, flip);
                    note(at as u32, value);
                }
            }
        }
        if !changed.is_empty() {
            for reader in &self.readers[node.output.index()] {
                self.active[reader.index()] = true;
            }
        }
        self.tensors[node.output.index()] = output;
        self.dirty[node.output.index()] = changed;
    }
}
