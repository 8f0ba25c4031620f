//! 64 loaded samples and what a fault makes of them.

use std::sync::Arc;

use super::difference::Difference;
use super::function::{Context, UnitFlip};
use super::plan::{BatchPlan, Head, Unit};
use super::product::{Product, Rises, SumLane, Sums, WindowSums, Windows, accumulate_all, raise};
use super::row::{Row, SAMPLES, lanes_of};
use crate::network::{Encoding, Network, Node, Op};
use crate::simulate::functional::fast::level::at_level;
use crate::simulate::functional::fast::range::Codes;
use crate::simulate::functional::plan::{LinearMac, NONE, Step};
use crate::simulate::functional::transient::{FlipsByNode, inverted, struck_element};
use crate::simulate::functional::{Change, Parameters, Transient, ops};

/// Up to 64 samples at a time under faults.
#[derive(Clone, Debug)]
pub struct BatchEngine {
    plan: Arc<BatchPlan>,
    state: State,
}

#[derive(Clone, Debug)]
struct State {
    parameters: Parameters,
    /// Per tensor the loaded mantissas; empty where it is not stored.
    tensors: Vec<Vec<Row<i32>>>,
    /// Per tensor and element, whether any lane is not 0.
    filled: Vec<Vec<bool>>,
    /// Per unit.
    sums: Vec<Sums>,
    /// Per unit, the weights of a product with the outputs of a group next to each other.
    columns: Vec<Vec<i64>>,
    /// Per unit, the biases of a product in the accumulator's unit.
    biases: Vec<Vec<i64>>,
    windows: Vec<Option<Windows>>,
    waiting: Vec<Vec<Change>>,
    /// Transients of the strike.
    flips: FlipsByNode,
    active: Vec<bool>,
    /// Per tensor, what the strike changed.
    differences: Vec<Difference>,
    /// Number of samples.
    samples: usize,
    /// Lanes whose output the strike changed.
    changed: u64,
    work: Work,
}

/// Working memory of one unit at a time.
#[derive(Clone, Debug, Default)]
struct Work {
    rises: Rises,
    /// Changes of parameters behind the head, with the fault-free mantissas.
    patches: Vec<(Change, i64)>,
    touched: Vec<u32>,
    /// Per element, whether it is among the touched ones.
    marked: Vec<bool>,
    window_sums: WindowSums,
    /// Sums of one window's outputs.
    rows: (Vec<Row<i32>>, Vec<Row<i64>>),
    scratch: Vec<i64>,
    columns: Vec<Vec<i64>>,
    /// Transients of the unit by element and place.
    flips: Vec<UnitFlip>,
    sources: Vec<(u32, u32)>,
}

impl BatchEngine {
    /// An engine without samples.
    #[must_use]
    pub fn new(plan: Arc<BatchPlan>) -> Self {
        Self {
            state: State::new(&plan),
            plan,
        }
    }

    /// Evaluates samples without faults: their input mantissas, one sample after the other.
    ///
    /// # Panics
    /// Where there is no sample, or more than [`SAMPLES`], or no whole number of them, or a mantissa that
    /// the input's type does not have.
    pub fn load(&mut self, inputs: &[i64]) {
        let network = &*self.plan.network;
        let len = network.tensor(network.input).len();
        let samples = inputs.len() / len.max(1);
        assert!((1..=SAMPLES).contains(&samples), "one to {SAMPLES} samples");
        assert_eq!(samples * len, inputs.len(), "whole samples");
        let range = &self.plan.input_range;
        assert!(
            inputs.iter().all(|&mantissa| range.has(mantissa)),
            "mantissas of the input's type"
        );
        self.state.samples = samples;
        for (element, row) in self.state.tensors[network.input.index()].iter_mut().enumerate() {
            for (lane, code) in row.0.iter_mut().enumerate() {
                // Lanes without a sample repeat the last one, so that they differ where that one does.
                *code = inputs[lane.min(samples - 1) * len + element] as i32;
            }
        }
        load_units(self.plan.level, &self.plan, &mut self.state);
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<BatchPlan> {
        &self.plan
    }

    /// Number of loaded samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.state.samples
    }

    /// Replaces stored values on top of the loaded samples; earlier faults are forgotten. Bit `s` of the result
    /// says whether any output of sample `s` changed. Of several changes of one element the last one counts.
    pub fn strike(&mut self, changes: &[Change]) -> u64 {
        self.strike_with(changes, &[])
    }

    /// As [`BatchEngine::strike`], with transients in the inference of every loaded sample.
    ///
    /// # Panics
    /// Where a transient does not fit the network ([`Transient::check`]), or the plan is none
    /// [for transients](BatchPlan::for_transients).
    pub fn strike_with(&mut self, changes: &[Change], transients: &[Transient]) -> u64 {
        assert!(
            transients.is_empty() || self.plan.codes == Codes::Inverted,
            "a plan for transients"
        );
        self.state.flips.set(&self.plan.network, transients);
        strike_units(self.plan.level, &self.plan, &mut self.state, changes);
        self.state.changed
    }

    /// Appends the output mantissas of one sample under the last faults.
    pub fn output(&self, sample: usize, mantissas: &mut Vec<i64>) {
        let output = self.plan.network.output.index();
        let difference = &self.state.differences[output];
        let loaded = &self.state.tensors[output];
        let first = mantissas.len();
        if self.plan.wide_output {
            mantissas.extend(loaded.chunks_exact(2).enumerate().map(|(at, rows)| {
                let half = |half: usize| difference.row(2 * at + half).unwrap_or(&rows[half]).0[sample];
                i64::from(half(1)) << 32 | i64::from(half(0) as u32)
            }));
            return;
        }
        mantissas.extend(loaded.iter().map(|row| i64::from(row.0[sample])));
        for (&element, row) in difference.elements.iter().zip(&difference.rows) {
            mantissas[first + element as usize] = i64::from(row.0[sample]);
        }
    }
}

impl State {
    fn new(plan: &BatchPlan) -> Self {
        let network = &*plan.network;
        let len = |id: usize| plan.rows_of(id);
        let ids = 0..network.tensors.len();
        let product = |unit: &Unit| match &unit.head {
            Head::Product(product) => Some(product.linear.clone()),
            _ => None,
        };
        let longest = network
            .tensors
            .iter()
            .map(|tensor| tensor.len())
            .max()
            .unwrap_or(0);
        Self {
            parameters: Parameters::of(network),
            tensors: ids.clone().map(|id| vec![Row([0; SAMPLES]); len(id)]).collect(),
            filled: ids.clone().map(|id| vec![false; len(id)]).collect(),
            sums: (plan.units.iter())
                .map(|unit| match product(unit) {
                    None => Sums::None,
                    Some(linear) => {
                        let count = linear.pixels * linear.channels;
                        if unit.chain.narrow {
                            Sums::Narrow(vec![Row([0; SAMPLES]); count])
                        } else {
                            Sums::Wide(vec![Row([0; SAMPLES]); count])
                        }
                    }
                })
                .collect(),
            columns: (plan.units.iter())
                .map(|unit| {
                    product(unit).map_or_else(Vec::new, |linear| {
                        linear.columns(&network.param(linear.mac.weight).values)
                    })
                })
                .collect(),
            biases: (plan.units.iter())
                .map(|unit| {
                    product(unit).map_or_else(Vec::new, |linear| match linear.mac.bias {
                        Some(bias) => (network.param(bias).values.iter())
                            .map(|bias| bias.wrapping_shl(linear.bias_shift))
                            .collect(),
                        None => vec![0; linear.channels],
                    })
                })
                .collect(),
            windows: (plan.units.iter())
                .map(|unit| product(unit).map(|linear| Windows::new(&linear)))
                .collect(),
            waiting: vec![Vec::new(); plan.units.len()],
            flips: FlipsByNode::new(network),
            active: vec![false; plan.units.len()],
            differences: ids.map(|id| Difference::new(len(id))).collect(),
            samples: 0,
            changed: 0,
            work: Work {
                marked: vec![false; longest],
                scratch: vec![0; longest],
                ..Work::default()
            },
        }
    }
}

at_level!(
    /// Evaluates the units of loaded inputs.
    fn load_units(plan: &BatchPlan, state: &mut State) = load_all
);
at_level!(
    /// Follows a fault through the units.
    fn strike_units(plan: &BatchPlan, state: &mut State, changes: &[Change]) = strike_all
);

#[inline(always)]
fn load_all(plan: &BatchPlan, state: &mut State) {
    forget(state);
    note_filled(state, plan.network.input.index());
    for (index, unit) in plan.units.iter().enumerate() {
        if unit.chain.narrow {
            load_unit::<i32>(plan, state, index, unit);
        } else {
            load_unit::<i64>(plan, state, index, unit);
        }
        note_filled(state, unit.output.index());
    }
}

#[inline(always)]
fn note_filled(state: &mut State, tensor: usize) {
    for (filled, row) in state.filled[tensor].iter_mut().zip(&state.tensors[tensor]) {
        *filled = super::row::is_any(row);
    }
}

#[inline(always)]
fn load_unit<I: SumLane>(plan: &BatchPlan, state: &mut State, index: usize, unit: &Unit) {
    let network = &*plan.network;
    let mut output = std::mem::take(&mut state.tensors[unit.output.index()]);
    let work = &mut state.work;
    if let Head::Product(product) = &unit.head {
        let linear = &product.linear;
        let input = product.input.index();
        let sums = I::sums_mut(&mut state.sums[index]);
        for (window, sums) in sums.chunks_exact_mut(linear.group_outputs()).enumerate() {
            let (pixel, group) = (window / linear.mac.groups, window % linear.mac.groups);
            work.window_sums.sum(
                linear,
                (pixel, group),
                &state.columns[index],
                (&state.tensors[input], &state.filled[input]),
                &state.differences[input],
                sums,
            );
            let biases = &state.biases[index][group * sums.len()..];
            for (sum, &bias) in sums.iter_mut().zip(biases) {
                raise(linear, sum, I::of(bias));
            }
        }
    }
    if let Head::Plain(node) = &unit.head {
        let node = &network.nodes[*node];
        for lane in 0..SAMPLES {
            let source = lane.min(state.samples - 1);
            if source < lane {
                for row in &mut output {
                    row.0[lane] = row.0[source];
                }
                continue;
            }
            let operands: Vec<Vec<i64>> = node
                .inputs
                .iter()
                .map(|id| {
                    (state.tensors[id.index()].iter())
                        .map(|row| i64::from(row.0[lane]))
                        .collect()
                })
                .collect();
            let operands: Vec<&[i64]> = operands.iter().map(Vec::as_slice).collect();
            let values = ops::evaluate(network, node, &state.parameters, &operands);
            for (row, value) in output.iter_mut().zip(values) {
                row.0[lane] = value as i32;
            }
        }
    } else {
        let mut context = Context {
            network,
            parameters: &state.parameters,
            faulty: false,
            scratch: &mut work.scratch,
        };
        let wide = plan.wide_output && unit.output == network.output;
        for at in 0..output.len() / if wide { 2 } else { 1 } {
            let mut row: Row<I> = match &unit.head {
                Head::Product(_) => I::sums(&state.sums[index])[at],
                Head::Tensor(id) => Row::from_codes(&state.tensors[id.index()][at]),
                Head::Gather(gather) => gather.value(at, |operand, source| {
                    &state.tensors[gather.operands[operand].index()][source]
                }),
                Head::Plain(_) => Row::of(0),
            };
            unit.chain.run(&mut context, at, &mut row);
            if wide {
                output[2 * at] = row.codes();
                output[2 * at + 1] = row.upper();
            } else {
                output[at] = row.codes();
            }
        }
    }
    state.tensors[unit.output.index()] = output;
}

/// Forgets the last faults.
#[inline(always)]
fn forget(state: &mut State) {
    state.changed = 0;
    for difference in &mut state.differences {
        if !difference.is_empty() {
            difference.clear();
        }
    }
}

#[inline(always)]
fn strike_all(plan: &BatchPlan, state: &mut State, changes: &[Change]) {
    forget(state);
    let mut first = plan.units.len();
    for change in changes {
        // What no unit reads changes no output.
        if let Some(unit) = plan.unit_of_param[change.param.index()] {
            let unit = unit as usize;
            state.waiting[unit].push(*change);
            state.active[unit] = true;
            first = first.min(unit);
        }
    }
    if !state.flips.is_empty() {
        first = first.min(strike_input(plan, state));
        for node in state.flips.nodes() {
            let unit = plan.unit_of_node[node].0 as usize;
            state.active[unit] = true;
            first = first.min(unit);
        }
    }
    for index in first..plan.units.len() {
        if !std::mem::take(&mut state.active[index]) {
            continue;
        }
        let unit = &plan.units[index];
        if let Head::Product(product) = &unit.head
            && let [change] = state.waiting[index][..]
            && change.param == product.linear.mac.weight
            && state.differences[product.input.index()].is_empty()
            && state.flips.is_empty()
        {
            state.waiting[index].clear();
            if unit.chain.narrow {
                strike_weight::<i32>(plan, state, index, product, &change);
            } else {
                strike_weight::<i64>(plan, state, index, product, &change);
            }
            wake_readers(plan, state, unit);
            continue;
        }
        prepare(plan, state, index, unit);
        if let Head::Plain(node) = &unit.head {
            strike_plain(plan, state, unit, *node);
        } else if let Head::Product(product) = &unit.head {
            if unit.chain.narrow {
                strike_product::<i32>(plan, state, index, unit, product);
            } else {
                strike_product::<i64>(plan, state, index, unit, product);
            }
        } else if unit.chain.narrow {
            strike_unit::<i32>(plan, state, unit);
        } else {
            strike_unit::<i64>(plan, state, unit);
        }
        for (change, fault_free) in state.work.patches.drain(..).rev() {
            state
                .parameters
                .replace(change.param, change.element as usize, fault_free);
        }
        if let Some(windows) = &mut state.windows[index] {
            windows.clear();
        }
        wake_readers(plan, state, unit);
    }
    let difference = &state.differences[plan.network.output.index()];
    if !difference.is_empty() {
        let mut any = Row([0; SAMPLES]);
        for rise in &difference.rises {
            for lane in 0..SAMPLES {
                any.0[lane] |= rise.0[lane];
            }
        }
        let loaded = u64::MAX
            .checked_shr((SAMPLES - state.samples) as u32)
            .unwrap_or(0);
        state.changed = lanes_of(&any) & loaded;
    }
}

/// Inverts bits of the input, and returns the first unit that reads it.
fn strike_input(plan: &BatchPlan, state: &mut State) -> usize {
    let network = &*plan.network;
    let input = network.input.index();
    let encoding = &network.tensor(network.input).encoding;
    for (at, flip) in state.flips.input().iter() {
        let loaded = &state.tensors[input][at];
        let mut row = *loaded;
        for code in &mut row.0 {
            *code = inverted(encoding, i64::from(*code), flip.code) as i32;
        }
        state.differences[input].note(at, loaded, &row);
    }
    if state.differences[input].is_empty() {
        return plan.units.len();
    }
    let mut first = plan.units.len();
    for &reader in &plan.readers[input] {
        state.active[reader as usize] = true;
        first = first.min(reader as usize);
    }
    first
}

/// Lists the transients of a unit.
fn list_flips(plan: &BatchPlan, flips: &FlipsByNode, index: usize, list: &mut Vec<UnitFlip>) {
    let network = &*plan.network;
    list.clear();
    for node in flips.nodes() {
        let (unit, end) = plan.unit_of_node[node];
        if unit as usize != index {
            continue;
        }
        let output = network.nodes[node].output;
        for (element, flip) in flips.of(node).iter() {
            let element = element as u32;
            if let (Op::Mac(mac), true) = (&network.nodes[node].op, flip.sum != 0) {
                list.push(UnitFlip {
                    element,
                    end: end - 1,
                    bits: flip.sum,
                    encoding: Encoding::Fixed(mac.accumulator.format),
                });
            }
            if flip.code != 0 {
                list.push(UnitFlip {
                    element,
                    end,
                    bits: flip.code,
                    encoding: network.tensor(output).encoding,
                });
            }
        }
    }
    list.sort_by_key(|flip| (flip.element, flip.end));
}

/// Gives the readers of a unit something to do where its output differs.
#[inline(always)]
fn wake_readers(plan: &BatchPlan, state: &mut State, unit: &Unit) {
    if !state.differences[unit.output.index()].is_empty() {
        for &reader in &plan.readers[unit.output.index()] {
            state.active[reader as usize] = true;
        }
    }
}

/// One changed weight on inputs as they were loaded: the commonest fault, without lists.
#[inline(always)]
fn strike_weight<I: SumLane>(
    plan: &BatchPlan,
    state: &mut State,
    index: usize,
    product: &Product,
    change: &Change,
) {
    let unit = &plan.units[index];
    let linear = &product.linear;
    let (input, output) = (product.input.index(), unit.output.index());
    let element = change.element as usize;
    let fault_free = state.parameters.values(change.param)[element];
    let factor = I::of(
        change
            .mantissa
            .wrapping_sub(fault_free)
            .wrapping_shl(linear.product_shift),
    );
    let (spatial, per_group) = (linear.spatial_taps(), linear.group_channels());
    let (out, tap) = (element / linear.taps, element % linear.taps);
    let (place, channel) = (tap / per_group, tap % per_group);
    let channel = out / linear.group_outputs() * per_group + channel;
    let mut context = Context {
        network: &plan.network,
        parameters: &state.parameters,
        faulty: false,
        scratch: &mut state.work.scratch,
    };
    let sums = I::sums(&state.sums[index]);
    let difference = &mut state.differences[output];
    for pixel in 0..linear.pixels {
        let first = linear.window[pixel * spatial + place];
        if first == NONE || !state.filled[input][first as usize + channel] {
            continue;
        }
        let x = &state.tensors[input][first as usize + channel];
        let at = pixel * linear.channels + out;
        let mut row = sums[at];
        for lane in 0..SAMPLES {
            row.0[lane] = row.0[lane].plus(I::of(i64::from(x.0[lane])).times(factor));
        }
        unit.chain.run(&mut context, at, &mut row);
        note(plan, unit, difference, &state.tensors[output], at, &row);
    }
}

/// Notes what an element of a unit's output became.
#[inline(always)]
fn note<I: SumLane>(
    plan: &BatchPlan,
    unit: &Unit,
    difference: &mut Difference,
    loaded: &[Row<i32>],
    at: usize,
    row: &Row<I>,
) {
    if plan.wide_output && unit.output == plan.network.output {
        difference.note(2 * at, &loaded[2 * at], &row.codes());
        difference.note(2 * at + 1, &loaded[2 * at + 1], &row.upper());
    } else {
        difference.note(at, &loaded[at], &row.codes());
    }
}

/// Takes the waiting changes of a unit, and lists the elements that may differ.
#[inline(always)]
fn prepare(plan: &BatchPlan, state: &mut State, index: usize, unit: &Unit) {
    let network = &*plan.network;
    let work = &mut state.work;
    work.rises.clear();
    work.touched.clear();
    let mut waiting = std::mem::take(&mut state.waiting[index]);
    if waiting.len() > 1 {
        keep_last(&mut waiting);
    }
    for change in waiting.drain(..) {
        match &unit.head {
            Head::Product(product)
                if change.param == product.linear.mac.weight
                    || Some(change.param) == product.linear.mac.bias =>
            {
                let fault_free = state.parameters.values(change.param)[change.element as usize];
                work.rises.push(&product.linear, &change, fault_free);
            }
            _ => {
                let fault_free =
                    state
                        .parameters
                        .replace(change.param, change.element as usize, change.mantissa);
                work.patches.push((change, fault_free));
            }
        }
    }
    state.waiting[index] = waiting;
    let mut touched = Touched {
        list: &mut work.touched,
        marked: &mut work.marked,
    };
    match &unit.head {
        Head::Product(product) => {
            let linear = &product.linear;
            let difference = &state.differences[product.input.index()];
            if let Some(windows) = state.windows[index].as_mut().filter(|_| !difference.is_empty()) {
                windows.fill(linear, &difference.elements);
            }
            work.rises.sort();
            for out in work.rises.outputs() {
                touched.add_every(out as usize, linear.channels, linear.pixels * linear.channels);
            }
        }
        Head::Tensor(id) => {
            for &element in &state.differences[id.index()].elements {
                touched.add(element as usize);
            }
        }
        Head::Gather(gather) => {
            for (id, links) in gather.operands.iter().zip(&gather.links) {
                for &element in &state.differences[id.index()].elements {
                    for &target in links.of(element as usize) {
                        touched.add(target as usize);
                    }
                }
            }
        }
        Head::Plain(node) => touch_plain(plan, &state.differences, *node, &work.patches, &mut touched),
    }
    if !work.patches.is_empty() && !matches!(unit.head, Head::Plain(_)) {
        for (change, _) in &work.patches {
            touch_channel(network, &unit.chain.nodes, change, &mut touched);
        }
    }
    work.flips.clear();
    if !state.flips.is_empty() {
        match &unit.head {
            Head::Plain(node) => {
                for (at, _) in state.flips.of(*node).iter() {
                    touched.add(at);
                }
            }
            _ => {
                list_flips(plan, &state.flips, index, &mut work.flips);
                for flip in &work.flips {
                    touched.add(flip.element as usize);
                }
            }
        }
    }
    touched.finish();
}

/// Elements without repetition.
struct Touched<'a> {
    list: &'a mut Vec<u32>,
    marked: &'a mut [bool],
}

impl Touched<'_> {
    #[inline(always)]
    fn add(&mut self, at: usize) {
        if !std::mem::replace(&mut self.marked[at], true) {
            self.list.push(at as u32);
        }
    }

    /// So many from `first` on.
    #[inline(always)]
    fn add_all(&mut self, first: usize, count: usize) {
        for at in first..first + count {
            self.add(at);
        }
    }

    /// Each `step`th from `first` on.
    #[inline(always)]
    fn add_every(&mut self, first: usize, step: usize, end: usize) {
        for at in (first..end).step_by(step.max(1)) {
            self.add(at);
        }
    }

    fn finish(&mut self) {
        for &at in self.list.iter() {
            self.marked[at as usize] = false;
        }
    }
}

/// Leaves the last change of each element.
fn keep_last(changes: &mut Vec<Change>) {
    changes.reverse();
    changes.sort_by_key(|change| (change.param, change.element));
    changes.dedup_by_key(|change| (change.param, change.element));
}

/// The elements that an element-wise node computes with a parameter's element.
fn touch_channel(network: &Network, nodes: &[usize], change: &Change, touched: &mut Touched<'_>) {
    let reads = |node: &&usize| network.nodes[**node].op.params().contains(&change.param);
    let Some(node) = nodes.iter().find(reads).map(|&node| &network.nodes[node]) else {
        return;
    };
    let shape = &network.param(change.param).shape;
    let rows = shape[0].max(1);
    let row = change.element as usize / shape[1..].iter().product::<usize>().max(1);
    let input = network.tensor(node.inputs[0]);
    let (len, channels) = (input.len(), input.channels().max(1));
    // One row per channel, or one per element where there are as many.
    if rows > channels {
        touched.add_every(row, rows, len);
    } else {
        for channel in (row..channels).step_by(rows) {
            touched.add_every(channel, channels, len);
        }
    }
}

/// The elements of a plain node that may differ.
fn touch_plain(
    plan: &BatchPlan,
    differences: &[Difference],
    node: usize,
    patches: &[(Change, i64)],
    touched: &mut Touched<'_>,
) {
    let network = &*plan.network;
    let len = network.tensor(network.nodes[node].output).len();
    let Node { op, inputs, .. } = &network.nodes[node];
    match (&plan.plan.steps[node], op) {
        (Step::Linked(links), _) => {
            for (id, links) in inputs.iter().zip(links) {
                for &element in &differences[id.index()].elements {
                    for &target in links.of(element as usize) {
                        touched.add(target as usize);
                    }
                }
            }
        }
        (step, Op::Mac(mac)) => {
            let (channels, taps) = (mac.geometry.output[2], mac.geometry.taps(mac.groups));
            let outputs = channels / mac.groups;
            match step {
                Step::Ordered(links) => {
                    for &element in &differences[inputs[0].index()].elements {
                        for &window in links.of(element as usize) {
                            touched.add_all(window as usize * outputs, outputs);
                        }
                    }
                }
                _ if differences[inputs[0].index()].is_empty() => {}
                _ => touched.add_all(0, len),
            }
            for (change, _) in patches {
                let element = change.element as usize;
                let out = if change.param == mac.weight {
                    element / taps
                } else {
                    element
                };
                touched.add_every(out, channels, len);
            }
        }
        _ => touched.add_all(0, len),
    }
}

/// A unit's operations behind its head, with the transients of the element.
#[inline(always)]
fn run<I: SumLane>(unit: &Unit, context: &mut Context<'_>, flips: &[UnitFlip], at: usize, row: &mut Row<I>) {
    if flips.is_empty() {
        unit.chain.run(context, at, row);
        return;
    }
    let first = flips.partition_point(|flip| (flip.element as usize) < at);
    let count = flips.partition_point(|flip| flip.element as usize <= at) - first;
    unit.chain
        .run_struck(context, at, row, &flips[first..first + count]);
}

/// Products per change of a parameter and pixel that take as long as adding the change.
const RISE_COST: usize = 4;

/// A product whose input differs, or several of whose parameters do.
#[inline(always)]
fn strike_product<I: SumLane>(
    plan: &BatchPlan,
    state: &mut State,
    index: usize,
    unit: &Unit,
    product: &Product,
) {
    let linear = &product.linear;
    let (input, output) = (product.input.index(), unit.output.index());
    let (outputs, groups) = (linear.group_outputs(), linear.mac.groups);
    let Some(windows) = state.windows[index].as_ref() else {
        return;
    };
    let mut difference = std::mem::replace(&mut state.differences[output], Difference::new(0));
    let work = &mut state.work;
    let mut context = Context {
        network: &plan.network,
        parameters: &state.parameters,
        faulty: !work.patches.is_empty(),
        scratch: &mut work.scratch,
    };
    let own = &state.differences[input];
    let (tensors, filled) = (&state.tensors, &state.filled);
    let mut rows: Vec<Row<I>> = std::mem::take(I::rows_mut(&mut work.rows));
    rows.resize(outputs, Row::of(0));
    let by_differences = windows.count * outputs + RISE_COST * work.rises.len() * linear.pixels;
    if !work.rises.is_empty() && by_differences > linear.pixels * linear.channels * linear.taps {
        let (columns, biases) = (&mut state.columns[index], &mut state.biases[index]);
        work.rises.patch(linear, columns, biases, false);
        for window in 0..linear.pixels * groups {
            let place = (window / groups, window % groups);
            let loaded = (&tensors[input][..], &filled[input][..]);
            work.window_sums
                .sum(linear, place, columns, loaded, own, &mut rows);
            for (out, row) in rows.iter_mut().enumerate() {
                let at = window * outputs + out;
                raise(linear, row, I::of(biases[place.1 * outputs + out]));
                run(unit, &mut context, &work.flips, at, row);
                note(plan, unit, &mut difference, &tensors[output], at, row);
            }
        }
        work.rises.patch(linear, columns, biases, true);
    } else {
        let sums = I::sums(&state.sums[index]);
        // A patched chain changes outputs whose sums stay.
        let patched = !work.patches.is_empty() || !work.flips.is_empty();
        for &window in &windows.touched {
            let window = window as usize;
            let columns = &state.columns[index][window % groups * linear.taps * outputs..];
            rows.fill(Row::of(0));
            accumulate_all(windows.of(window), columns, &own.rises, &mut rows);
            for (out, row) in rows.iter_mut().enumerate() {
                let at = window * outputs + out;
                add_rises(
                    linear,
                    at,
                    &work.rises,
                    own,
                    (&tensors[input], &filled[input]),
                    row,
                );
                for lane in 0..SAMPLES {
                    row.0[lane] = row.0[lane].plus(sums[at].0[lane]);
                }
                run(unit, &mut context, &work.flips, at, row);
                note(plan, unit, &mut difference, &tensors[output], at, row);
            }
        }
        for &at in &work.touched {
            let at = at as usize;
            if !windows.of(at / outputs).is_empty() {
                continue;
            }
            let mut row: Row<I> = Row::of(0);
            let any = add_rises(
                linear,
                at,
                &work.rises,
                own,
                (&tensors[input], &filled[input]),
                &mut row,
            );
            if !any && !patched {
                continue;
            }
            for lane in 0..SAMPLES {
                row.0[lane] = row.0[lane].plus(sums[at].0[lane]);
            }
            run(unit, &mut context, &work.flips, at, &mut row);
            note(plan, unit, &mut difference, &tensors[output], at, &row);
        }
    }
    *I::rows_mut(&mut work.rows) = rows;
    state.differences[output] = difference;
}

/// Adds what changed parameters contribute to a sum in units of the product, and brings it to those of the
/// accumulator. Whether any does.
#[inline(always)]
fn add_rises<I: SumLane>(
    linear: &LinearMac,
    at: usize,
    rises: &Rises,
    own: &Difference,
    (loaded, filled): (&[Row<i32>], &[bool]),
    row: &mut Row<I>,
) -> bool {
    let (pixel, out) = (at / linear.channels, at % linear.channels);
    let (any, added) = if rises.is_empty() {
        (false, I::of(0))
    } else {
        // Differences meet the weights as they were, changed weights the input as it is now.
        rises.add(
            linear,
            pixel,
            out,
            |element| match own.row(element) {
                Some(row) => Some(row),
                None => filled[element].then(|| &loaded[element]),
            },
            row,
        )
    };
    raise(linear, row, added);
    any
}

#[inline(always)]
fn strike_unit<I: SumLane>(plan: &BatchPlan, state: &mut State, unit: &Unit) {
    let output = unit.output.index();
    let mut difference = std::mem::replace(&mut state.differences[output], Difference::new(0));
    let work = &mut state.work;
    let mut context = Context {
        network: &plan.network,
        parameters: &state.parameters,
        faulty: !work.patches.is_empty(),
        scratch: &mut work.scratch,
    };
    let (tensors, differences) = (&state.tensors, &state.differences);
    for &at in &work.touched {
        let at = at as usize;
        let mut row: Row<I> = match &unit.head {
            Head::Tensor(id) => {
                let own = differences[id.index()].row(at);
                Row::from_codes(own.unwrap_or(&tensors[id.index()][at]))
            }
            Head::Gather(gather) => gather.value(at, |operand, source| {
                let id = gather.operands[operand].index();
                differences[id].row(source).unwrap_or(&tensors[id][source])
            }),
            Head::Product(_) | Head::Plain(_) => continue,
        };
        run(unit, &mut context, &work.flips, at, &mut row);
        note(plan, unit, &mut difference, &tensors[output], at, &row);
    }
    state.differences[output] = difference;
}

/// A node by its plain operation, lane by lane.
fn strike_plain(plan: &BatchPlan, state: &mut State, unit: &Unit, index: usize) {
    let network = &*plan.network;
    let node = &network.nodes[index];
    let flips = state.flips.of(index);
    let mut lanes = if state.work.patches.is_empty() && flips.is_empty() {
        0
    } else {
        u64::MAX
    };
    for id in &node.inputs {
        for rise in &state.differences[id.index()].rises {
            lanes |= lanes_of(rise);
        }
    }
    let lanes: Vec<usize> = (0..SAMPLES).filter(|lane| lanes >> lane & 1 != 0).collect();
    let output = unit.output.index();
    let mut difference = std::mem::replace(&mut state.differences[output], Difference::new(0));
    let work = &mut state.work;
    work.columns
        .resize(work.columns.len().max(node.inputs.len()), Vec::new());
    for (id, column) in node.inputs.iter().zip(&mut work.columns) {
        column.clear();
        column.resize(network.tensor(*id).len(), 0);
    }
    let (tensors, differences) = (&state.tensors, &state.differences);
    let code = |operand: usize, element: usize, lane: usize| {
        let id = node.inputs[operand].index();
        let row = differences[id].row(element).unwrap_or(&tensors[id][element]);
        i64::from(row.0[lane])
    };
    if let Op::Program(_) = node.op {
        let mut rows = tensors[output].clone();
        for &lane in &lanes {
            for (element, value) in work.columns[0].iter_mut().enumerate() {
                *value = code(0, element, lane);
            }
            let mut values = ops::evaluate(network, node, &state.parameters, &[&work.columns[0]]);
            for (at, flip) in flips.iter() {
                let encoding = &network.tensor(node.output).encoding;
                values[at] = inverted(encoding, values[at], flip.code);
            }
            for (row, value) in rows.iter_mut().zip(values) {
                row.0[lane] = value as i32;
            }
        }
        for (at, row) in rows.iter().enumerate() {
            difference.note(at, &tensors[output][at], row);
        }
    } else {
        for &at in &work.touched {
            let at = at as usize;
            work.sources.clear();
            let sources = &mut work.sources;
            if let Op::Mac(mac) = &node.op {
                let (pixel, out) = (at / mac.geometry.output[2], at % mac.geometry.output[2]);
                let taps = 0..mac.geometry.taps(mac.groups);
                let read = taps.filter_map(|tap| ops::input_of_tap(mac, pixel, out, tap));
                sources.extend(read.map(|element| (0, element as u32)));
            } else {
                ops::sources(network, node, &node.op, at, &mut |operand, element| {
                    sources.push((operand as u32, element as u32));
                });
            }
            let mut row = tensors[output][at];
            for &lane in &lanes {
                for &(operand, element) in &work.sources {
                    work.columns[operand as usize][element as usize] =
                        code(operand as usize, element as usize, lane);
                }
                let operands: Vec<&[i64]> = work.columns[..node.inputs.len()]
                    .iter()
                    .map(Vec::as_slice)
                    .collect();
                let flip = flips.of(at);
                let value = struck_element(network, index, &state.parameters, &operands, at, flip);
                row.0[lane] = value as i32;
            }
            difference.note(at, &tensors[output][at], &row);
        }
    }
    state.differences[output] = difference;
}
