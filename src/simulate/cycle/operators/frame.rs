//! Operations that need a whole tensor before the first output: softmax, argmax, transposition,
//! enlargement, broadcasts.

use super::join::Combination;
use super::pipe::Pipe;
use super::value::ToOutput;
use crate::fixed_point::{Cast, Format};
use crate::network::{ArgMax, Network, Node, Op, Softmax, Tensor, TensorId};
use crate::simulate::cycle::live::{Live, Says};
use crate::simulate::cycle::matrix::LaneCode;
use crate::simulate::cycle::register::{Register, RegisterClass, bits_for, lane, mask, set_lane};
use crate::simulate::cycle::stage::{Edge, Signals, Stage, StreamShape};

/// What is computed from the whole tensors.
#[derive(Clone, Debug)]
pub enum FrameOp {
    /// Output elements are elements of the only operand, or a constant.
    Gather {
        /// Which of them; none for the constant.
        moves: Moves,
        /// The constant's mantissa.
        border: i64,
    },
    /// hls4ml's softmax.
    Softmax(Box<Softmax>),
    /// Indices of the largest elements.
    ArgMax {
        /// The operation.
        op: ArgMax,
        /// Elements of one slice.
        slice: usize,
    },
    /// Two operands, the second walked through again and again.
    Broadcast(Box<Combination>),
}

/// Stores whole tensors, then hands out the result, one word per cycle.
#[derive(Clone, Debug)]
pub struct Frame {
    op: FrameOp,
    inputs: Vec<Operand>,
    output: StreamShape,
    to_output: ToOutput,
    words_out: u64,
    pipe: Pipe,
    /// Whether the next tensor comes in while the last word of the one before goes out.
    overlaps: bool,
}

#[derive(Clone, Copy, Debug)]
struct Operand {
    shape: StreamShape,
    words: u64,
    elements: usize,
    code: LaneCode,
    frac: i32,
    /// Where its limbs start behind the pipe.
    at: usize,
}

impl Operand {
    fn element(&self, state: &[u64], element: usize) -> i64 {
        let limbs = self.shape.limbs();
        let word = &state[self.at + element / self.shape.lanes * limbs..][..limbs];
        self.code
            .decode(lane(word, element % self.shape.lanes, self.shape.lane_bits))
    }

    fn fill_at(&self) -> usize {
        self.at + self.words as usize * self.shape.limbs()
    }
}

impl FrameOp {
    /// The frame operation of a node; none where it is not one.
    #[must_use]
    pub fn of(network: &Network, node: &Node) -> Option<Self> {
        let from = network.tensor(node.inputs[0]);
        let to = network.tensor(node.output);
        Some(match &node.op {
            Op::Transpose { .. } | Op::Upsample { .. } | Op::Gather { .. } | Op::Pad(_) => Self::Gather {
                moves: Moves::of(&node.op, from, to),
                border: match &node.op {
                    Op::Pad(pad) => pad.value,
                    _ => 0,
                },
            },
            Op::Softmax(softmax) => Self::Softmax(Box::new(softmax.clone())),
            Op::ArgMax(op) => Self::ArgMax {
                op: *op,
                slice: from.channels(),
            },
            Op::Combine(combine) => Self::Broadcast(Box::new(Combination::new(network, node, combine.op))),
            _ => return None,
        })
    }

    /// Whether a node only moves elements, and moves none, so that no hardware is needed.
    #[must_use]
    pub fn is_wire(network: &Network, node: &Node) -> bool {
        let (from, to) = (network.tensor(node.inputs[0]), network.tensor(node.output));
        let same = from.encoding == to.encoding && from.len() == to.len();
        same && matches!(Self::of(network, node), Some(Self::Gather { moves, .. }) if moves.is_identity())
    }

    fn to_output(&self, network: &Network, node: &Node) -> ToOutput {
        let frac = match self {
            Self::Softmax(softmax) => softmax.accumulator.frac() + softmax.inv_format.frac(),
            Self::ArgMax { .. } => network.tensor(node.output).encoding.frac(),
            _ => network.tensor(node.inputs[0]).encoding.frac(),
        };
        ToOutput::new(frac, &network.tensor(node.output).encoding)
    }
}

/// Which element of the operand an output element is, axis by axis: the element is the sum of what each of its
/// coordinates adds, and there is none where one of them adds none.
#[derive(Clone, Debug)]
pub struct Moves {
    /// What each coordinate of each axis of the output adds.
    axes: Vec<Vec<Option<usize>>>,
}

impl Moves {
    /// Those of an operation that only moves elements.
    fn of(op: &Op, from: &Tensor, to: &Tensor) -> Self {
        let strides = strides(&from.shape);
        let source = |axis: usize, at: usize| -> Option<usize> {
            match op {
                Op::Transpose { perm } => Some(at * strides[perm[axis]]),
                Op::Upsample { factors } => {
                    Some(at / factors.get(axis).copied().unwrap_or(1) * strides[axis])
                }
                Op::Gather { indices } => Some(indices[axis][at] * strides[axis]),
                Op::Pad(pad) => {
                    let [top, _, left, _] = pad.amounts;
                    let spatial = from.shape.len().saturating_sub(1);
                    let before = match (spatial, axis) {
                        (2, 0) => top,
                        (2, 1) | (1, 0) => left,
                        _ => 0,
                    };
                    let at = at.checked_sub(before).filter(|&at| at < from.shape[axis])?;
                    Some(at * strides[axis])
                }
                _ => None,
            }
        };
        let axis = |(axis, &extent): (usize, &usize)| (0..extent).map(|at| source(axis, at)).collect();
        Self {
            axes: to.shape.iter().enumerate().map(axis).collect(),
        }
    }

    /// The element of the operand that output element `index` is; none in a border, and beyond the output.
    #[must_use]
    #[inline]
    pub fn source(&self, index: usize) -> Option<usize> {
        let mut rest = index;
        let mut source = 0;
        for axis in self.axes.iter().rev() {
            source += axis[rest % axis.len()]?;
            rest /= axis.len();
        }
        (rest == 0).then_some(source)
    }

    /// Whether every element stays where it is.
    fn is_identity(&self) -> bool {
        let shape: Vec<usize> = self.axes.iter().map(Vec::len).collect();
        let strides = strides(&shape);
        self.axes.iter().zip(strides).all(|(axis, stride)| {
            axis.iter()
                .enumerate()
                .all(|(at, source)| *source == Some(at * stride))
        })
    }
}

/// Distance of neighbours along each axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl Frame {
    /// A frame stage for a node; `inputs` are the shapes of its streams, `latency` counts the registers behind
    /// the result.
    #[must_use]
    pub fn new(
        network: &Network,
        node: &Node,
        op: FrameOp,
        inputs: &[StreamShape],
        output: StreamShape,
        latency: usize,
    ) -> Self {
        let pipe = Pipe::new(latency, output.lanes, output.lane_bits);
        let operand = |(&shape, &id): (&StreamShape, &TensorId)| {
            let tensor = network.tensor(id);
            Operand {
                shape,
                words: (tensor.len() / shape.lanes) as u64,
                elements: tensor.len(),
                code: LaneCode::of(&tensor.encoding),
                frac: tensor.encoding.frac(),
                at: 0,
            }
        };
        let operands = placed(&pipe, inputs.iter().zip(&node.inputs).map(operand));
        let words_out = (network.tensor(node.output).len() / output.lanes) as u64;
        // A broadcast and a pool cast by themselves.
        let to_output = op.to_output(network, node);
        Self {
            op,
            inputs: operands,
            output,
            to_output,
            words_out,
            pipe,
            overlaps: false,
        }
    }

    /// The same, taking the next tensor while the last word of the one before goes out.
    #[must_use]
    pub fn overlapping(self) -> Self {
        Self {
            overlaps: true,
            ..self
        }
    }

    fn emit_at(&self) -> usize {
        self.inputs.last().map_or(0, Operand::fill_at) + 1
    }

    fn is_full(&self, state: &[u64]) -> bool {
        self.inputs
            .iter()
            .all(|input| state[input.fill_at()] == input.words)
    }

    fn element(&self, state: &[u64], index: usize) -> u64 {
        let first = &self.inputs[0];
        let of_first = |element: usize| first.element(state, element % first.elements);
        match &self.op {
            FrameOp::Gather { moves, border } => {
                let value = match moves.source(index) {
                    Some(source) => of_first(source),
                    None => *border,
                };
                self.to_output.lane(i128::from(value))
            }
            FrameOp::Softmax(softmax) => {
                let from = index / softmax.slice * softmax.slice;
                let slice: Vec<i64> = (from..from + softmax.slice).map(of_first).collect();
                self.to_output
                    .lane(soft_max(softmax, first.frac, &slice, index % softmax.slice))
            }
            FrameOp::ArgMax { op, slice } => {
                let from = index / op.count * slice;
                let values: Vec<i64> = (from..from + slice).map(of_first).collect();
                self.to_output
                    .lane(i128::from(nth_largest(&values, index % op.count, op.last)))
            }
            FrameOp::Broadcast(combination) => {
                let second = &self.inputs[1];
                let raw = |operand: &Operand, element: usize| {
                    operand
                        .code
                        .encode(operand.element(state, element % operand.elements))
                };
                combination.lane(raw(first, index), raw(second, index))
            }
        }
    }
}

/// Operands behind a pipe, one after the other.
fn placed(pipe: &Pipe, operands: impl Iterator<Item = Operand>) -> Vec<Operand> {
    let mut at = pipe.limbs();
    operands
        .map(|operand| {
            let operand = Operand { at, ..operand };
            at = operand.fill_at() + 1;
            operand
        })
        .collect()
}

/// One output of hls4ml's softmax, in the units of the product of the exponential's running sum and
/// the reciprocal (`nnet_activation.h`).
fn soft_max(softmax: &Softmax, frac: i32, slice: &[i64], own: usize) -> i128 {
    let largest = slice.iter().copied().max().unwrap_or(0);
    let to_norm = Cast::new(frac, &softmax.norm_format);
    let to_sum = Cast::new(softmax.exp_format.frac(), &softmax.accumulator);
    let exponential = |x: i64| {
        let distance = if softmax.subtract_max {
            i128::from(largest) - i128::from(x)
        } else {
            i128::from(x)
        };
        let entry = table_address(
            to_norm.apply(distance),
            &softmax.norm_format,
            softmax.exp_table.len(),
        );
        to_sum.apply(i128::from(softmax.exp_table[entry]))
    };
    let terms: Vec<i128> = slice.iter().map(|&x| exponential(x)).collect();
    let sum = balanced_sum(
        &terms,
        &Cast::new(softmax.accumulator.frac(), &softmax.accumulator),
    );
    let index = Cast::new(softmax.accumulator.frac(), &softmax.inv_input).apply(sum);
    let reciprocal = softmax.inv_table[table_address(index, &softmax.inv_input, softmax.inv_table.len())];
    terms[own] * i128::from(reciprocal)
}

/// The top bits of a value as an address into a table of a power of two entries.
fn table_address(mantissa: i128, format: &Format, entries: usize) -> usize {
    let address_bits = entries.ilog2();
    (format.bits_of(mantissa) >> format.width().saturating_sub(address_bits)) as usize % entries
}

/// A sum whose left half holds the largest power of two below the count, cast at every addition.
pub(super) fn balanced_sum(terms: &[i128], cast: &Cast) -> i128 {
    if terms.len() < 2 {
        return terms.first().copied().unwrap_or(0);
    }
    let half = terms.len().next_power_of_two() / 2;
    cast.apply(balanced_sum(&terms[..half], cast) + balanced_sum(&terms[half..], cast))
}

/// The index of the `n`-th largest value; among equals the first, or the last.
fn nth_largest(values: &[i64], n: usize, last: bool) -> i64 {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    if last {
        indices.reverse();
    }
    indices.sort_by_key(|&at| std::cmp::Reverse(values[at]));
    indices.get(n).map_or(0, |&at| at as i64)
}

impl Stage for Frame {
    fn registers(&self) -> Vec<Register> {
        let mut registers: Vec<Register> = self.pipe.registers().into();
        for input in &self.inputs {
            let StreamShape { lanes, lane_bits } = input.shape;
            registers.push(Register::words(
                RegisterClass::Activation,
                "frame",
                input.words as usize,
                lanes,
                lane_bits,
            ));
            registers.push(Register::control("filled", bits_for(input.words)));
        }
        registers.push(Register::control("emitted", bits_for(self.words_out)));
        registers
    }

    fn control(&self) -> Box<dyn Stage> {
        let pipe = self.pipe.control();
        let shape = StreamShape::EMPTY;
        let inputs = self.inputs.iter().map(|input| Operand { shape, ..*input });
        Box::new(Self {
            inputs: placed(&pipe, inputs),
            output: shape,
            pipe,
            ..self.clone()
        })
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "pipe" => Live::when("pipe_valid", Says::BitOfWord(0)),
            "frame" => Live::when(
                "filled",
                Says::Covers {
                    more: 0,
                    signed: false,
                },
            ),
            _ => Live::of(register.class),
        }
    }

    fn offers(&self, state: &[u64]) -> u32 {
        u32::from(self.pipe.offers(state))
    }

    fn word<'s>(&self, state: &'s [u64], _output: usize) -> &'s [u64] {
        self.pipe.word(state)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let leaves = self.overlaps
            && self.is_full(state)
            && state[self.emit_at()] + 1 == self.words_out
            && self.pipe.moves(state, signals.ready & 1 == 1);
        let open = |input: &Operand| leaves || state[input.fill_at()] != input.words;
        self.inputs
            .iter()
            .enumerate()
            .filter(|(_, input)| open(input))
            .fold(0, |ports, (at, _)| ports | 1 << at)
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let full = self.is_full(state);
        if self.pipe.moves(state, edge.signals.ready & 1 == 1) {
            self.pipe.advance(state);
            if full {
                let at = self.emit_at();
                let first = state[at] as usize * self.output.lanes;
                self.pipe.first(state);
                for lane in 0..self.output.lanes {
                    let bits = self.element(state, first + lane);
                    set_lane(self.pipe.first(state), lane, self.output.lane_bits, bits);
                }
                state[at] = (state[at] + 1) & mask(bits_for(self.words_out));
                if state[at] == self.words_out {
                    state[at] = 0;
                    for input in &self.inputs {
                        state[input.fill_at()] = 0;
                    }
                }
            }
        }
        for (port, input) in self.inputs.iter().enumerate() {
            if edge.taken >> port & 1 == 1 {
                let at = input.fill_at();
                let limbs = input.shape.limbs();
                if state[at] < input.words {
                    let from = input.at + state[at] as usize * limbs;
                    state[from..from + limbs].copy_from_slice(edge.words[port]);
                }
                state[at] = (state[at] + 1) & mask(bits_for(input.words));
            }
        }
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        let takes = signals.valid & self.accepts(state, signals) != 0;
        let moves = self.pipe.moves(state, signals.ready & 1 == 1);
        let busy = moves && (self.is_full(state) || !self.pipe.is_empty(state));
        if takes || busy { 0 } else { u64::MAX }
    }
}
