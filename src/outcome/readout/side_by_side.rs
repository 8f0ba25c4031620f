//! The same operations on several samples side by side, one in each lane of a vector.
//!
//! Memory is `[element][sample]`. Each sample's sums have the order that they have alone, and no operation fuses a
//! product with a sum, so all levels give each sample the bits that it has alone; a NaN is a NaN, whatever its
//! payload. Products with an input that is zero in all lanes are left out; one that is zero in some lanes adds its
//! zeros there, or where that could change a bit ([`zeros_vanish`](super::kernels::zeros_vanish)) leaves those lanes
//! as they are.

use super::front::Front;
use super::kernels::{Convolution, Dense, Pool, Reduce, Softmax, Unary, sigmoid};
use super::plan::{Action, Binary, Operand, Plan, Step};
use crate::level::{Level, at_level};

/// Samples side by side.
pub(super) const LANES: usize = 16;

/// Outputs of a product that are summed at a time: as many as registers hold.
const BLOCK: usize = 2;

/// Most values of a readout that runs side by side; more would not stay in a cache.
const MAX_VALUES: usize = 1 << 17;

/// One value of each sample.
type Lanes = [f64; LANES];

/// An input of a sum: its address, and where its row of weights begins.
#[derive(Clone, Copy, Debug)]
struct Term {
    from: usize,
    row: usize,
}

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    memory: Vec<Lanes>,
    row: Vec<f64>,
    /// Per value that a product reads, whether any lane is not zero.
    filled: Vec<bool>,
    terms: Vec<Term>,
    /// Where a row of a patch goes.
    targets: Vec<usize>,
}

impl Work {
    /// The output of one sample of the last run.
    pub(super) fn output<'w>(&'w self, plan: &Plan, lane: usize) -> impl Iterator<Item = f64> + 'w {
        let output = &self.memory[plan.output..][..plan.output_len];
        output.iter().map(move |lanes| lanes[lane])
    }
}

/// Whether a plan is worth it.
pub(super) fn takes(plan: &Plan) -> bool {
    plan.memory_len <= MAX_VALUES && !plan.steps.is_empty()
}

/// Runs a plan on up to [`LANES`] rows of inputs.
pub(super) fn run(level: Level, plan: &Plan, front: Option<&Front>, rows: &[f64], work: &mut Work) {
    assert_eq!(rows.len() % plan.input_len, 0, "whole rows");
    let count = rows.len() / plan.input_len;
    assert!((1..=LANES).contains(&count), "1 to {LANES} rows, not {count}");
    work.memory.resize(plan.memory_len, [0.0; LANES]);
    for lane in 0..LANES {
        // Lanes without a row repeat one.
        let row = &rows[(lane % count) * plan.input_len..][..plan.input_len];
        work.row.clear();
        work.row.extend_from_slice(row);
        if let Some(front) = front {
            front.apply(&mut work.row);
        }
        for (lanes, &value) in work.memory.iter_mut().zip(&work.row) {
            lanes[lane] = value;
        }
    }
    run_steps(level, &plan.steps, work);
}

at_level!(
    /// Runs the steps.
    fn run_steps(steps: &[Step], work: &mut Work) = run_all
);

#[inline(always)]
fn run_all(steps: &[Step], work: &mut Work) {
    for step in steps {
        run_step(step, work);
    }
}

#[inline(always)]
fn run_step(step: &Step, work: &mut Work) {
    let Work {
        memory,
        filled,
        terms,
        targets,
        ..
    } = work;
    let (before, rest) = memory.split_at_mut(step.to);
    let to = &mut rest[..step.len];
    match &step.action {
        Action::Load(values) => {
            for (to, &value) in to.iter_mut().zip(values) {
                *to = [value; LANES];
            }
        }
        Action::Gather(addresses) => {
            for (to, &address) in to.iter_mut().zip(addresses) {
                *to = before[address];
            }
        }
        Action::Unary { function, from } => unary(*function, &before[*from..][..step.len], to),
        Action::Binary {
            function,
            left,
            right,
        } => match function {
            Binary::Add => combine(left, right, before, to, |a, b| a + b),
            Binary::Sub => combine(left, right, before, to, |a, b| a - b),
            Binary::Mul => combine(left, right, before, to, |a, b| a * b),
            Binary::Div => combine(left, right, before, to, |a, b| a / b),
        },
        Action::Dense { dense, from } => {
            let from = &before[*from..][..dense.rows * dense.inputs];
            mark(from, filled);
            if dense.zeros_vanish {
                multiply::<false>(dense, from, filled, terms, to);
            } else {
                multiply::<true>(dense, from, filled, terms, to);
            }
        }
        Action::Convolve { convolution, from } => {
            let from = &before[*from..][..map_len(convolution)];
            mark(from, filled);
            if convolution.zeros_vanish {
                convolve::<false>(convolution, from, filled, terms, to);
            } else {
                convolve::<true>(convolution, from, filled, terms, to);
            }
        }
        Action::Deconvolve {
            convolution, from, ..
        } => {
            let from = &before[*from..][..map_len(convolution)];
            mark(from, filled);
            if convolution.zeros_vanish {
                deconvolve::<false>(convolution, from, filled, terms, targets, to);
            } else {
                deconvolve::<true>(convolution, from, filled, terms, targets, to);
            }
        }
        Action::Pool { pool, from } => reduce(pool, &before[*from..], to),
        Action::Softmax { softmax, from } => normalise(softmax, &before[*from..], to),
    }
}

/// Values of a convolution's input.
fn map_len(convolution: &Convolution) -> usize {
    let [height, width] = convolution.window.input;
    convolution.groups * convolution.inputs * height * width
}

/// Which values are not zero in all lanes.
#[inline(always)]
fn mark(from: &[Lanes], filled: &mut Vec<bool>) {
    filled.resize(from.len(), false);
    for (filled, lanes) in filled.iter_mut().zip(from) {
        let mut bits = 0;
        for value in lanes {
            bits |= value.to_bits();
        }
        // Without the signs.
        *filled = bits << 1 != 0;
    }
}

#[inline(always)]
fn unary(function: Unary, from: &[Lanes], to: &mut [Lanes]) {
    let (from, to) = (from.as_flattened(), to.as_flattened_mut());
    match function {
        Unary::Relu => {
            for (to, &x) in to.iter_mut().zip(from) {
                *to = if x > 0.0 { x } else { 0.0 };
            }
        }
        Unary::LeakyRelu(slope) => {
            for (to, &x) in to.iter_mut().zip(from) {
                *to = if x < 0.0 { slope * x } else { x };
            }
        }
        Unary::Clip(low, high) => {
            for (to, &x) in to.iter_mut().zip(from) {
                let raised = if x < low { low } else { x };
                *to = if raised > high { high } else { raised };
            }
        }
        Unary::Sigmoid => {
            for (to, &x) in to.iter_mut().zip(from) {
                *to = sigmoid(x);
            }
        }
        Unary::Tanh => {
            for (to, &x) in to.iter_mut().zip(from) {
                *to = libm::tanh(x);
            }
        }
    }
}

#[inline(always)]
fn combine(
    left: &Operand,
    right: &Operand,
    memory: &[Lanes],
    to: &mut [Lanes],
    function: impl Fn(f64, f64) -> f64,
) {
    for (at, to) in to.iter_mut().enumerate() {
        let (left, right) = (operand(left, memory, at), operand(right, memory, at));
        for lane in 0..LANES {
            to[lane] = function(left[lane], right[lane]);
        }
    }
}

#[inline(always)]
fn operand(operand: &Operand, memory: &[Lanes], at: usize) -> Lanes {
    match operand {
        Operand::Memory(offset) => memory[offset + at],
        Operand::Constant(values) => [values[at]; LANES],
    }
}

/// Adds the products of all terms with weights `first..first + N` of their rows to the sums, in order.
#[inline(always)]
fn add<const N: usize, const MASKED: bool>(
    terms: &[Term],
    from: &[Lanes],
    weights: &[f64],
    first: usize,
    sums: &mut [Lanes; N],
) {
    let mut own = *sums;
    for term in terms {
        let inputs = &from[term.from];
        let Some(weights) = weights[term.row + first..].first_chunk::<N>() else {
            continue;
        };
        for (sums, &weight) in own.iter_mut().zip(weights) {
            for lane in 0..LANES {
                let sum = sums[lane] + inputs[lane] * weight;
                sums[lane] = if MASKED && inputs[lane] == 0.0 {
                    sums[lane]
                } else {
                    sum
                };
            }
        }
    }
    *sums = own;
}

/// The same for any number of neighbouring outputs.
#[inline(always)]
fn add_all<const MASKED: bool>(
    terms: &[Term],
    from: &[Lanes],
    weights: &[f64],
    first: usize,
    sums: &mut [Lanes],
) {
    let mut first = first;
    let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
    for sums in blocks {
        add::<BLOCK, MASKED>(terms, from, weights, first, sums);
        first += BLOCK;
    }
    if let Ok(sums) = <&mut [Lanes; 3]>::try_from(&mut *rest) {
        add::<3, MASKED>(terms, from, weights, first, sums);
    } else if let Ok(sums) = <&mut [Lanes; 2]>::try_from(&mut *rest) {
        add::<2, MASKED>(terms, from, weights, first, sums);
    } else if let Ok(sums) = <&mut [Lanes; 1]>::try_from(rest) {
        add::<1, MASKED>(terms, from, weights, first, sums);
    }
}

#[inline(always)]
fn multiply<const MASKED: bool>(
    dense: &Dense,
    from: &[Lanes],
    filled: &[bool],
    terms: &mut Vec<Term>,
    to: &mut [Lanes],
) {
    if dense.bias.is_empty() {
        to.fill([0.0; LANES]);
    } else {
        for (to, &bias) in to.iter_mut().zip(&dense.bias) {
            *to = [bias; LANES];
        }
    }
    for row in 0..dense.rows {
        terms.clear();
        for input in 0..dense.inputs {
            let from = row * dense.inputs + input;
            if filled[from] {
                terms.push(Term {
                    from,
                    row: input * dense.outputs,
                });
            }
        }
        let sums = &mut to[row * dense.outputs..][..dense.outputs];
        add_all::<MASKED>(terms, from, &dense.weights, 0, sums);
    }
}

#[inline(always)]
fn convolve<const MASKED: bool>(
    convolution: &Convolution,
    from: &[Lanes],
    filled: &[bool],
    terms: &mut Vec<Term>,
    to: &mut [Lanes],
) {
    let window = &convolution.window;
    let (inputs, outputs) = (convolution.inputs, convolution.outputs);
    let channels = convolution.bias.len();
    for y in 0..window.output[0] {
        for x in 0..window.output[1] {
            let pixel = &mut to[(y * window.output[1] + x) * channels..][..channels];
            for (sum, &bias) in pixel.iter_mut().zip(&convolution.bias) {
                *sum = [bias; LANES];
            }
            for group in 0..convolution.groups {
                terms.clear();
                for ky in 0..window.kernel[0] {
                    let Some(iy) = window.wide(0, y, ky, window.input[0]) else {
                        continue;
                    };
                    for kx in 0..window.kernel[1] {
                        let Some(ix) = window.wide(1, x, kx, window.input[1]) else {
                            continue;
                        };
                        let tap = (group * window.kernel[0] + ky) * window.kernel[1] + kx;
                        let rows = (window.address(iy, ix), tap * inputs * outputs);
                        push_terms(convolution, filled, group, rows, outputs, terms);
                    }
                }
                let sums = &mut pixel[group * outputs..][..outputs];
                add_all::<MASKED>(terms, from, &convolution.weights, 0, sums);
            }
        }
    }
}

/// The channels of one group of a pixel that are not zero in all lanes; `rows` is the pixel's address and where the
/// first channel's weights begin.
#[inline(always)]
fn push_terms(
    convolution: &Convolution,
    filled: &[bool],
    group: usize,
    (address, row): (usize, usize),
    row_len: usize,
    terms: &mut Vec<Term>,
) {
    let stride = convolution.window.channel_stride;
    for input in 0..convolution.inputs {
        let from = address + (group * convolution.inputs + input) * stride;
        if filled[from] {
            terms.push(Term {
                from,
                row: row + input * row_len,
            });
        }
    }
}

#[inline(always)]
fn deconvolve<const MASKED: bool>(
    convolution: &Convolution,
    from: &[Lanes],
    filled: &[bool],
    terms: &mut Vec<Term>,
    targets: &mut Vec<usize>,
    to: &mut [Lanes],
) {
    let window = &convolution.window;
    let outputs = convolution.outputs;
    let channels = convolution.bias.len();
    let patch_len = convolution.patch_len();
    for (at, to) in to.iter_mut().enumerate() {
        *to = [convolution.bias[at % channels]; LANES];
    }
    for iy in 0..window.input[0] {
        for ix in 0..window.input[1] {
            let address = window.address(iy, ix);
            for group in 0..convolution.groups {
                terms.clear();
                let row = group * convolution.inputs * patch_len;
                push_terms(convolution, filled, group, (address, row), patch_len, terms);
                if terms.is_empty() {
                    continue;
                }
                let mut adds = [!MASKED; LANES];
                if MASKED {
                    for term in &*terms {
                        for lane in 0..LANES {
                            adds[lane] |= from[term.from][lane] != 0.0;
                        }
                    }
                }
                for ky in 0..window.kernel[0] {
                    let Some(y) = window.wide(0, iy, ky, window.output[0]) else {
                        continue;
                    };
                    // The taps of a row that hit the map are neighbours.
                    targets.clear();
                    let mut first = window.kernel[1];
                    for kx in 0..window.kernel[1] {
                        let Some(x) = window.wide(1, ix, kx, window.output[1]) else {
                            continue;
                        };
                        first = first.min(kx);
                        let at = (y * window.output[1] + x) * channels + group * outputs;
                        targets.extend(at..at + outputs);
                    }
                    let first = (ky * window.kernel[1] + first) * outputs;
                    scatter_all::<MASKED>(terms, from, &convolution.weights, first, targets, &adds, to);
                }
            }
        }
    }
}

/// Sums neighbouring values of a patch from 0 on, and adds each to its target.
#[inline(always)]
fn scatter_all<const MASKED: bool>(
    terms: &[Term],
    from: &[Lanes],
    weights: &[f64],
    first: usize,
    targets: &[usize],
    adds: &[bool; LANES],
    to: &mut [Lanes],
) {
    let mut first = first;
    let (blocks, rest) = targets.as_chunks::<BLOCK>();
    for targets in blocks {
        scatter::<BLOCK, MASKED>(terms, from, weights, first, targets, adds, to);
        first += BLOCK;
    }
    if let Ok(targets) = <&[usize; 3]>::try_from(rest) {
        scatter::<3, MASKED>(terms, from, weights, first, targets, adds, to);
    } else if let Ok(targets) = <&[usize; 2]>::try_from(rest) {
        scatter::<2, MASKED>(terms, from, weights, first, targets, adds, to);
    } else if let Ok(targets) = <&[usize; 1]>::try_from(rest) {
        scatter::<1, MASKED>(terms, from, weights, first, targets, adds, to);
    }
}

#[inline(always)]
fn scatter<const N: usize, const MASKED: bool>(
    terms: &[Term],
    from: &[Lanes],
    weights: &[f64],
    first: usize,
    targets: &[usize; N],
    adds: &[bool; LANES],
    to: &mut [Lanes],
) {
    let mut sums = [[0.0; LANES]; N];
    add::<N, MASKED>(terms, from, weights, first, &mut sums);
    for (sums, &target) in sums.iter().zip(targets) {
        let to = &mut to[target];
        for lane in 0..LANES {
            let sum = to[lane] + sums[lane];
            to[lane] = if MASKED && !adds[lane] { to[lane] } else { sum };
        }
    }
}

#[inline(always)]
fn reduce(pool: &Pool, from: &[Lanes], to: &mut [Lanes]) {
    let window = &pool.window;
    for y in 0..window.output[0] {
        for x in 0..window.output[1] {
            let pixel = &mut to[(y * window.output[1] + x) * pool.channels..][..pool.channels];
            pixel.fill(if pool.reduce == Reduce::Max {
                [f64::NEG_INFINITY; LANES]
            } else {
                [0.0; LANES]
            });
            let mut count = 0usize;
            for ky in 0..window.kernel[0] {
                let Some(iy) = window.wide(0, y, ky, window.input[0]) else {
                    continue;
                };
                for kx in 0..window.kernel[1] {
                    let Some(ix) = window.wide(1, x, kx, window.input[1]) else {
                        continue;
                    };
                    count += 1;
                    let address = window.address(iy, ix);
                    for (channel, to) in pixel.iter_mut().enumerate() {
                        let values = &from[address + channel * window.channel_stride];
                        for lane in 0..LANES {
                            if pool.reduce != Reduce::Max {
                                to[lane] += values[lane];
                            } else if values[lane] > to[lane] {
                                to[lane] = values[lane];
                            }
                        }
                    }
                }
            }
            let divisor = match pool.reduce {
                Reduce::Max => continue,
                Reduce::Mean => count.max(1),
                Reduce::PaddedMean => window.kernel[0] * window.kernel[1],
            };
            for to in pixel.as_flattened_mut() {
                *to /= divisor as f64;
            }
        }
    }
}

/// A softmax along the middle axis is one per position of the last, to which the lanes belong.
#[inline(always)]
fn normalise(softmax: &Softmax, from: &[Lanes], to: &mut [Lanes]) {
    let side_by_side = Softmax {
        inner: softmax.inner * LANES,
        ..*softmax
    };
    side_by_side.apply(from.as_flattened(), to.as_flattened_mut());
}
