//! The arithmetic of readouts. Inner loops run over contiguous outputs, sums over inputs are
//! sequential.

use serde::Serialize;

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) enum Unary {
    Relu,
    /// Slope below zero.
    LeakyRelu(f64),
    Sigmoid,
    Tanh,
    /// Lower and upper bound.
    Clip(f64, f64),
}

impl Unary {
    pub(super) fn apply(self, from: &[f64], to: &mut [f64]) {
        match self {
            Self::Relu => map(from, to, |x| if x > 0.0 { x } else { 0.0 }),
            Self::LeakyRelu(slope) => map(from, to, |x| if x < 0.0 { slope * x } else { x }),
            Self::Sigmoid => map(from, to, sigmoid),
            Self::Tanh => map(from, to, libm::tanh),
            Self::Clip(low, high) => map(from, to, |x| {
                let raised = if x < low { low } else { x };
                if raised > high { high } else { raised }
            }),
        }
    }
}

fn map(from: &[f64], to: &mut [f64], function: impl Fn(f64) -> f64) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = function(from);
    }
}

/// `1 / (1 + exp(-x))` without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// Combines two tensors element by element.
pub(super) fn combine(left: &[f64], right: &[f64], to: &mut [f64], function: impl Fn(f64, f64) -> f64) {
    for ((to, &left), &right) in to.iter_mut().zip(left).zip(right) {
        *to = function(left, right);
    }
}

/// Adds `input * row` for every input that is not zero, in order; `rows` holds one row of `sums.len()`
/// weights per input. Returns whether there was any.
fn accumulate(sums: &mut [f64], inputs: impl Iterator<Item = f64>, rows: &[f64]) -> bool {
    const BLOCK: usize = 4;
    let width = sums.len();
    let mut block: [(f64, &[f64]); BLOCK] = [(0.0, &[]); BLOCK];
    let mut filled = 0;
    let mut any = false;
    for (input, row) in inputs.zip(rows.chunks_exact(width)) {
        if input == 0.0 {
            continue;
        }
        any = true;
        block[filled] = (input, row);
        filled += 1;
        if filled == BLOCK {
            // One pass over the sums for several inputs; each sum still adds them one by one.
            let [(x0, w0), (x1, w1), (x2, w2), (x3, w3)] = block;
            let (w0, w1, w2, w3) = (&w0[..width], &w1[..width], &w2[..width], &w3[..width]);
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = (((*sum + x0 * w0[at]) + x1 * w1[at]) + x2 * w2[at]) + x3 * w3[at];
            }
            filled = 0;
        }
    }
    for &(input, row) in &block[..filled] {
        for (sum, &weight) in sums.iter_mut().zip(row) {
            *sum += input * weight;
        }
    }
    any
}

/// Whether a product with an input that is zero changes no bit of a sum, so that leaving it out and adding it are the
/// same: it is a zero itself, and no sum is ever -0. A sum of numbers is -0 only where all of them are.
pub(super) fn zeros_vanish(weights: &[f64], bias: &[f64]) -> bool {
    let minus_zero = (-0.0f64).to_bits();
    weights.iter().all(|weight| weight.is_finite()) && bias.iter().all(|bias| bias.to_bits() != minus_zero)
}

/// `rows` rows times one matrix, plus a bias.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Dense {
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[input][output]`.
    pub(super) weights: Vec<f64>,
    /// `[row][output]`; empty where there is none.
    pub(super) bias: Vec<f64>,
    /// See [`zeros_vanish`].
    #[serde(skip)]
    pub(super) zeros_vanish: bool,
}

impl Dense {
    pub(super) fn apply(&self, from: &[f64], to: &mut [f64]) {
        if self.bias.is_empty() {
            to.fill(0.0);
        } else {
            to.copy_from_slice(&self.bias);
        }
        for row in 0..self.rows {
            let inputs = &from[row * self.inputs..][..self.inputs];
            let sums = &mut to[row * self.outputs..][..self.outputs];
            accumulate(sums, inputs.iter().copied(), &self.weights);
        }
    }
}

/// A window moving over a two-dimensional map; axes are `[y, x]`, a one-dimensional map has `y` = 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Padding before the first element.
    pub(super) before: [usize; 2],
    /// Extent of the input map.
    pub(super) input: [usize; 2],
    /// Extent of the output map.
    pub(super) output: [usize; 2],
    /// Distance in memory between neighbours of the input along channel, y and x.
    pub(super) channel_stride: usize,
    /// See `channel_stride`.
    pub(super) map_strides: [usize; 2],
}

impl Window {
    /// Index on the wide side (where the padding is) of a tap at a step, `None` in the padding.
    pub(super) fn wide(&self, axis: usize, step: usize, tap: usize, extent: usize) -> Option<usize> {
        (step * self.stride[axis] + tap * self.dilation[axis])
            .checked_sub(self.before[axis])
            .filter(|&index| index < extent)
    }

    /// Address of a pixel's first channel.
    pub(super) fn address(&self, y: usize, x: usize) -> usize {
        y * self.map_strides[0] + x * self.map_strides[1]
    }
}

/// A convolution or a transposed one. Outputs are channels last.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Convolution {
    pub(super) window: Window,
    pub(super) groups: usize,
    /// Channels per group.
    pub(super) inputs: usize,
    /// Channels per group.
    pub(super) outputs: usize,
    /// Convolution: `[group][ky][kx][input][output]`; transposed: `[group][input][ky][kx][output]`.
    pub(super) weights: Vec<f64>,
    /// One per output channel.
    pub(super) bias: Vec<f64>,
    /// See [`zeros_vanish`].
    #[serde(skip)]
    pub(super) zeros_vanish: bool,
}

impl Convolution {
    /// Number of values of one pixel's contribution to its group of a transposed convolution.
    pub(super) fn patch_len(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.outputs
    }

    fn channels<'a>(&self, from: &'a [f64], group: usize, pixel: usize) -> impl Iterator<Item = f64> + 'a {
        let stride = self.window.channel_stride;
        from[pixel + group * self.inputs * stride..]
            .iter()
            .step_by(stride)
            .take(self.inputs)
            .copied()
    }

    pub(super) fn convolve(&self, from: &[f64], to: &mut [f64]) {
        let window = &self.window;
        let tap_len = self.inputs * self.outputs;
        let [height, width] = window.output;
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        for ((y, x), pixel) in pixels.zip(to.chunks_exact_mut(self.bias.len())) {
            pixel.copy_from_slice(&self.bias);
            for ky in 0..window.kernel[0] {
                let Some(iy) = window.wide(0, y, ky, window.input[0]) else {
                    continue;
                };
                for kx in 0..window.kernel[1] {
                    let Some(ix) = window.wide(1, x, kx, window.input[1]) else {
                        continue;
                    };
                    let address = window.address(iy, ix);
                    for (group, sums) in pixel.chunks_exact_mut(self.outputs).enumerate() {
                        let tap = (group * window.kernel[0] + ky) * window.kernel[1] + kx;
                        let rows = &self.weights[tap * tap_len..][..tap_len];
                        accumulate(sums, self.channels(from, group, address), rows);
                    }
                }
            }
        }
    }

    pub(super) fn deconvolve(&self, from: &[f64], patch: &mut [f64], to: &mut [f64]) {
        let window = &self.window;
        let channels = self.bias.len();
        for pixel in to.chunks_exact_mut(channels) {
            pixel.copy_from_slice(&self.bias);
        }
        let patch = &mut patch[..self.patch_len()];
        let row_len = window.kernel[1] * self.outputs;
        let group_len = self.inputs * self.patch_len();
        for iy in 0..window.input[0] {
            for ix in 0..window.input[1] {
                let address = window.address(iy, ix);
                for group in 0..self.groups {
                    patch.fill(0.0);
                    let rows = &self.weights[group * group_len..][..group_len];
                    if !accumulate(patch, self.channels(from, group, address), rows) {
                        continue;
                    }
                    for (ky, row) in patch.chunks_exact(row_len).enumerate() {
                        let Some(y) = window.wide(0, iy, ky, window.output[0]) else {
                            continue;
                        };
                        for (kx, sums) in row.chunks_exact(self.outputs).enumerate() {
                            let Some(x) = window.wide(1, ix, kx, window.output[1]) else {
                                continue;
                            };
                            let at = (y * window.output[1] + x) * channels + group * self.outputs;
                            for (to, &sum) in to[at..][..self.outputs].iter_mut().zip(sums) {
                                *to += sum;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How a pool reduces its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Reduce {
    Max,
    /// Mean over the window's elements inside the map.
    Mean,
    /// Mean over all of the window, padding being zero.
    PaddedMean,
}

/// A pool. Outputs are channels last.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pool {
    pub(super) window: Window,
    pub(super) channels: usize,
    pub(super) reduce: Reduce,
}

impl Pool {
    pub(super) fn apply(&self, from: &[f64], to: &mut [f64]) {
        let window = &self.window;
        let [height, width] = window.output;
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        for ((y, x), pixel) in pixels.zip(to.chunks_exact_mut(self.channels)) {
            pixel.fill(if self.reduce == Reduce::Max {
                f64::NEG_INFINITY
            } else {
                0.0
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
                    let values = from[window.address(iy, ix)..]
                        .iter()
                        .step_by(window.channel_stride);
                    for (to, &value) in pixel.iter_mut().zip(values) {
                        if self.reduce != Reduce::Max {
                            *to += value;
                        } else if value > *to {
                            *to = value;
                        }
                    }
                }
            }
            let divisor = match self.reduce {
                Reduce::Max => continue,
                Reduce::Mean => count.max(1),
                Reduce::PaddedMean => window.kernel[0] * window.kernel[1],
            };
            for to in pixel {
                *to /= divisor as f64;
            }
        }
    }
}

/// Softmax over the middle of three axes of a row-major tensor.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Softmax {
    pub(super) outer: usize,
    pub(super) len: usize,
    pub(super) inner: usize,
}

impl Softmax {
    pub(super) fn apply(&self, from: &[f64], to: &mut [f64]) {
        for outer in 0..self.outer {
            for inner in 0..self.inner {
                let at = |index: usize| (outer * self.len + index) * self.inner + inner;
                let largest = (0..self.len).fold(f64::NEG_INFINITY, |m, i| m.max(from[at(i)]));
                let mut sum = 0.0;
                for index in 0..self.len {
                    let e = libm::exp(from[at(index)] - largest);
                    to[at(index)] = e;
                    sum += e;
                }
                for index in 0..self.len {
                    to[at(index)] /= sum;
                }
            }
        }
    }
}
