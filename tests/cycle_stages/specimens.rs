//! Stages of every kind with random words, and what has to come out of them.

use std::num::NonZeroU64;
use std::sync::Arc;

use radstream::fixed_point::Format;
use radstream::network::{Encoding, ParamId, ThresholdRule};
use radstream::simulate::cycle::Arithmetic;
use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::{lane, mask, set_lane};
use radstream::simulate::cycle::stages::{
    Core, Dsp48Core, Dsp48Mvau, Dsp48Shape, Dsp58Mvau, Dsp58Shape, Fifo, InputBuffer, MemoryStream, Mvau,
    Padding, PaddingShape, SlidingWindow, Thresholding, ThresholdingShape, Weights, WidthConverter,
    WindowGeometry, WindowStyle,
};

use crate::cycle_common::integers::{Integers, sign_extend};
use crate::cycle_common::{mix, no_memories, pack};
use crate::drive::Specimen;

fn element(at: usize, bits: u32) -> u64 {
    let low = u64::from(mix(at as u32 * 2 + 1));
    (low | u64::from(mix(at as u32 * 2)) << 32) & mask(bits)
}

/// Packs elements `0..` of a stream into words.
fn words(elements: &[u64], lanes: usize, lane_bits: u32) -> Vec<Vec<u64>> {
    let shape = StreamShape { lanes, lane_bits };
    (elements.chunks_exact(lanes))
        .map(|chunk| pack(shape, |at| chunk[at]))
        .collect()
}

fn elements(count: usize, bits: u32) -> Vec<u64> {
    (0..count).map(|at| element(at, bits)).collect()
}

fn specimen(
    name: String,
    stage: impl radstream::simulate::cycle::Stage + 'static,
    input: Vec<Vec<u64>>,
    output: Vec<Vec<u64>>,
) -> Specimen {
    Specimen {
        name,
        stage: Box::new(stage),
        input,
        cyclic: Vec::new(),
        output,
        memories: no_memories(),
        withdraws: false,
    }
}

pub fn fifo(depth: usize, lanes: usize, lane_bits: u32, count: usize) -> Specimen {
    let input = words(&elements(count * lanes, lane_bits), lanes, lane_bits);
    let stage = Fifo::new(StreamShape { lanes, lane_bits }, depth).unwrap();
    specimen(format!("FIFO of {depth}"), stage, input.clone(), input)
}

pub fn converter(lanes_in: usize, lanes_out: usize, lane_bits: u32) -> Specimen {
    let all = elements(lanes_in * lanes_out * 12, lane_bits);
    let shape = StreamShape {
        lanes: lanes_in,
        lane_bits,
    };
    specimen(
        format!("width {lanes_in} to {lanes_out}"),
        WidthConverter::new(shape, lanes_out).unwrap(),
        words(&all, lanes_in, lane_bits),
        words(&all, lanes_out, lane_bits),
    )
}

pub fn padding(size: [usize; 3], sides: [usize; 4], lanes: usize, border: u64) -> Specimen {
    let [height, width, folds] = size;
    let [top, bottom, left, right] = sides;
    let channels = folds * lanes;
    let (bits, frames) = (5, 3);
    let all = elements(frames * height * width * channels, bits);
    let mut padded = Vec::new();
    for frame in all.chunks_exact(height * width * channels) {
        for y in 0..top + height + bottom {
            for x in 0..left + width + right {
                for channel in 0..channels {
                    let inside = (top..top + height).contains(&y) && (left..left + width).contains(&x);
                    padded.push(match inside {
                        true => frame[((y - top) * width + x - left) * channels + channel],
                        false => border,
                    });
                }
            }
        }
    }
    // The border behind the last frame needs no input; what follows it is the next frame's border.
    let shape = PaddingShape {
        input: [height, width, channels],
        rows: [top, bottom],
        columns: [left, right],
        border,
    };
    let lead = top * (left + width + right) + left;
    padded.extend(std::iter::repeat_n(border, lead * channels));
    specimen(
        format!("padding {size:?} {sides:?} {lanes}"),
        Padding::new(shape, lanes, bits).unwrap(),
        words(&all, lanes, bits),
        words(&padded, lanes, bits),
    )
}

/// The place that halving finds in a list of `2^n - 1` numbers, which begins with these and goes on with numbers
/// above all values.
fn bisected(list: &[i64], value: i64) -> usize {
    let mut from = 0;
    let mut length = (list.len() + 1).next_power_of_two() - 1;
    while length > 0 {
        let half = length / 2;
        if list.get(from + half).is_some_and(|&middle| middle <= value) {
            from += half + 1;
        }
        length = half;
    }
    from
}

pub fn thresholding(
    steps: usize,
    per_channel: bool,
    folds: usize,
    lanes: usize,
    sorted: bool,
    (deep, rule): (bool, ThresholdRule),
) -> Specimen {
    let channels = folds * lanes;
    let (in_bits, out_bits) = (9, 8);
    let input = Encoding::Fixed(Format::new(in_bits, in_bits as i32, true).unwrap());
    let output = Encoding::Fixed(Format::new(out_bits, out_bits as i32, true).unwrap());
    let rows = if per_channel { channels } else { 1 };
    // Some thresholds are beyond all values.
    let threshold_bits = in_bits + 1;
    let threshold = Encoding::Fixed(Format::new(threshold_bits, threshold_bits as i32, true).unwrap());
    let mut thresholds: Vec<i64> = (0..rows * steps)
        .map(|at| sign_extend(element(at + 7777, threshold_bits), threshold_bits))
        .collect();
    if sorted {
        thresholds
            .chunks_exact_mut(steps)
            .for_each(<[i64]>::sort_unstable);
    }
    let factor: Vec<i64> = (0..channels)
        .map(|channel| if channel % 3 == 2 { -1 } else { 2 })
        .collect();
    let offset: Vec<i64> = (0..channels).map(|channel| channel as i64 - 40).collect();
    let all = elements(channels * 40, in_bits);
    let computed: Vec<u64> = (all.iter().enumerate())
        .map(|(at, &bits)| {
            let channel = at % channels;
            let row = if per_channel { channel } else { 0 };
            let value = sign_extend(bits, in_bits);
            let row = &thresholds[row * steps..(row + 1) * steps];
            let count = match rule {
                ThresholdRule::Count => row.iter().filter(|&&threshold| value >= threshold).count(),
                ThresholdRule::BinarySearch => bisected(row, value),
            } as i64;
            (offset[channel] + factor[channel] * count) as u64 & mask(out_bits)
        })
        .collect();
    let stage = Thresholding::new(ThresholdingShape {
        thresholds: ParamId(0),
        steps,
        per_channel,
        channels,
        lanes,
        input,
        threshold,
        output,
        factor,
        offset,
        deep,
        rule,
    });
    Specimen {
        memories: Memories::of_values(vec![(threshold, thresholds)]),
        ..specimen(
            format!("thresholding {steps} {per_channel} {folds} {lanes} {deep} {rule:?}"),
            stage.unwrap(),
            words(&all, lanes, in_bits),
            words(&computed, lanes, out_bits),
        )
    }
}

/// Integers with a bias, and with terms that give away a wrong step in any part.
struct Stepped(Integers);

fn bias(row: u64) -> u64 {
    1000 + row
}

impl Arithmetic for Stepped {
    fn weight_bits(&self) -> u32 {
        self.0.weight_bits()
    }
    fn activation_bits(&self) -> u32 {
        self.0.activation_bits()
    }
    fn activation_lanes(&self) -> usize {
        self.0.activation_lanes()
    }
    fn product_lanes(&self) -> usize {
        self.0.product_lanes()
    }
    fn product_bits(&self) -> u32 {
        self.0.product_bits()
    }
    fn sum_lanes(&self) -> usize {
        self.0.sum_lanes()
    }
    fn sum_bits(&self) -> u32 {
        self.0.sum_bits()
    }
    fn accumulator_lanes(&self) -> usize {
        self.0.accumulator_lanes()
    }
    fn accumulator_bits(&self) -> u32 {
        self.0.accumulator_bits()
    }
    fn output_lanes(&self) -> usize {
        self.0.output_lanes()
    }
    fn output_bits(&self) -> u32 {
        self.0.output_bits()
    }

    fn weights(&self, step: u64, memories: &Memories, word: &mut [u64]) {
        self.0.weights(step, memories, word);
    }

    fn products(&self, step: u64, activations: &[u64], weights: &[u64], products: &mut [u64]) {
        self.0.products(step, activations, weights, products);
        let bits = self.product_bits();
        set_lane(products, 0, bits, lane(products, 0, bits).wrapping_add(step % 16));
    }

    fn sums(&self, step: u64, products: &[u64], sums: &mut [u64]) {
        self.0.sums(step, products, sums);
        let bits = self.sum_bits();
        set_lane(sums, 0, bits, lane(sums, 0, bits).wrapping_add(100 * step));
    }

    fn accumulate(
        &self,
        step: u64,
        first: bool,
        sums: &[u64],
        memories: &Memories,
        accumulators: &mut [u64],
    ) {
        self.0.accumulate(step, first, sums, memories, accumulators);
        let bits = self.accumulator_bits();
        for pe in 0..self.0.pe {
            let row = step / self.0.sf * self.0.pe as u64 + pe as u64;
            let start = if first { bias(row) } else { 0 };
            let sum = lane(accumulators, pe, bits).wrapping_add(start);
            set_lane(accumulators, pe, bits, sum);
        }
    }

    fn output(&self, step: u64, accumulators: &[u64], output: &mut [u64]) {
        self.0.output(step, accumulators, output);
        let bits = self.output_bits();
        set_lane(output, 0, bits, lane(output, 0, bits).wrapping_add(10_000 * step));
    }
}

/// A matrix-vector unit; `core` as in [`Core`].
#[derive(Clone, Copy, Debug)]
pub struct MvauShape {
    pub sf: u64,
    pub nf: u64,
    pub pe: usize,
    pub simd: usize,
    pub core: (u32, bool, bool, u32),
    pub embedded: bool,
    pub input: InputBuffer,
}

pub fn mvau(shape: MvauShape, vectors: usize) -> Specimen {
    let MvauShape { sf, nf, pe, simd, .. } = shape;
    let (mw, mh) = (sf as usize * simd, nf as usize * pe);
    let (activation_bits, weight_bits, sum_bits) = (4, 5, 40);
    let matrix: Vec<Vec<i64>> = (0..mh)
        .map(|row| {
            (0..mw)
                .map(|column| sign_extend(element(row * mw + column + 999, weight_bits), weight_bits))
                .collect()
        })
        .collect();
    let own = shape.input == InputBuffer::None;
    let words_per_vector = if own { nf as usize * mw } else { mw };
    let activations = elements(vectors * words_per_vector, activation_bits);
    let mut results = Vec::new();
    for words in activations.chunks_exact(words_per_vector) {
        for fold in 0..nf as usize {
            let vector = if own { &words[fold * mw..] } else { words };
            for at in 0..pe {
                let row = fold * pe + at;
                let product: i64 = (0..mw)
                    .map(|column| vector[column] as i64 * matrix[row][column])
                    .sum();
                let steps = fold as u64 * sf..(fold as u64 + 1) * sf;
                let last = steps.end - 1;
                // The terms of the steps are those of lane 0.
                let terms: u64 = if at == 0 {
                    steps.map(|step| step % 16 + 100 * step).sum::<u64>() + 10_000 * last
                } else {
                    0
                };
                results.push((product as u64).wrapping_add(bias(row as u64) + terms) & mask(sum_bits));
            }
        }
    }
    let arithmetic = Arc::new(Stepped(Integers {
        sf,
        pe,
        simd,
        activation_bits,
        signed: false,
        weight_bits,
        sum_bits,
        matrix,
    }));
    let (operands, products, sums, registers) = shape.core;
    let core = Core {
        operands,
        products,
        sums,
        results: registers,
    };
    let weights = if shape.embedded {
        Weights::Embedded
    } else {
        Weights::Decoupled
    };
    let stream = |step| {
        let width = pe * simd;
        let mut word = vec![0; radstream::simulate::cycle::register::limbs(width, weight_bits)];
        arithmetic.weights(step, &no_memories(), &mut word);
        word
    };
    let cyclic = if shape.embedded {
        Vec::new()
    } else {
        (0..sf * nf).map(stream).collect()
    };
    let stage = Mvau::with_input(arithmetic.clone(), sf, nf, core, weights, shape.input).unwrap();
    Specimen {
        cyclic,
        ..specimen(
            format!("{shape:?}"),
            stage,
            words(&activations, simd, activation_bits),
            words(&results, pe, sum_bits),
        )
    }
}

/// FINN's unit on DSP48 slices.
pub fn dsp48(shape: Dsp48Shape, vectors: usize) -> Specimen {
    let Dsp48Shape {
        pe,
        simd,
        weight_bits,
        activation_bits,
        accumulator_bits,
        ..
    } = shape;
    let (sf, nf) = (shape.synapse_fold as usize, shape.neuron_fold as usize);
    let (mw, mh) = (sf * simd, nf * pe);
    let narrow = !matches!(
        shape.core,
        Dsp48Core::EightBit | Dsp48Core::FourBitE2 { narrow: false }
    );
    let weight = |row: usize, column: usize| {
        let weight = sign_extend(element(row * mw + column + 999, weight_bits), weight_bits);
        weight + i64::from(narrow && weight == -(1 << (weight_bits - 1)))
    };
    let activations = elements(vectors * mw, activation_bits);
    let value = |bits: u64| match shape.signed_activations {
        true => sign_extend(bits, activation_bits),
        false => bits as i64,
    };
    let results: Vec<u64> = (activations.chunks_exact(mw))
        .flat_map(|vector| {
            (0..mh).map(|row| {
                let sum: i64 = (0..mw)
                    .map(|column| value(vector[column]) * weight(row, column))
                    .sum();
                sum as u64 & mask(accumulator_bits)
            })
        })
        .collect();
    let stream = StreamShape {
        lanes: pe * simd,
        lane_bits: weight_bits,
    };
    let cyclic = (0..nf * sf).map(|step| {
        pack(stream, |lane| {
            weight(step / sf * pe + lane / simd, step % sf * simd + lane % simd) as u64
        })
    });
    Specimen {
        cyclic: cyclic.collect(),
        ..specimen(
            format!("{shape:?}"),
            Dsp48Mvau::new(shape).unwrap(),
            words(&activations, simd, activation_bits),
            words(&results, pe, accumulator_bits),
        )
    }
}

/// FINN's unit on DSP58 slices.
pub fn dsp58(shape: Dsp58Shape, vectors: usize) -> Specimen {
    let Dsp58Shape {
        pe,
        simd,
        weight_bits,
        activation_bits,
        accumulator_bits,
        ..
    } = shape;
    let (sf, nf) = (shape.synapse_fold as usize, shape.neuron_fold as usize);
    let (mw, mh) = (sf * simd, nf * pe);
    let weight =
        |row: usize, column: usize| sign_extend(element(row * mw + column + 999, weight_bits), weight_bits);
    let value = |bits: u64| match shape.signed_activations {
        true => sign_extend(bits, activation_bits),
        false => bits as i64,
    };
    // Of a vector; those of a vector-vector unit are in the order of rows.
    let length = if shape.depthwise { mh * mw } else { mw };
    let activations = elements(vectors * length, activation_bits);
    let results: Vec<u64> = (activations.chunks_exact(length))
        .flat_map(|vector| {
            (0..mh).map(move |row| {
                let first = if shape.depthwise { row * mw } else { 0 };
                let sum: i64 = (0..mw)
                    .map(|column| value(vector[first + column]) * weight(row, column))
                    .sum();
                sum as u64 & mask(accumulator_bits)
            })
        })
        .collect();
    let lanes = if shape.depthwise { pe * simd } else { simd };
    let input = match shape.depthwise {
        false => activations,
        true => (activations.chunks_exact(length))
            .flat_map(|vector| {
                (0..nf * sf * lanes).map(move |at| {
                    let (fold, step, lane) = (at / (sf * lanes), at / lanes % sf, at % lanes);
                    vector[(fold * pe + lane % pe) * mw + step * simd + lane / pe]
                })
            })
            .collect(),
    };
    let stream = StreamShape {
        lanes: pe * simd,
        lane_bits: weight_bits,
    };
    let cyclic = (0..nf * sf).map(|step| {
        pack(stream, |lane| {
            weight(step / sf * pe + lane / simd, step % sf * simd + lane % simd) as u64
        })
    });
    Specimen {
        cyclic: cyclic.collect(),
        ..specimen(
            format!("{shape:?}"),
            Dsp58Mvau::new(shape).unwrap(),
            words(&input, lanes, activation_bits),
            words(&results, pe, accumulator_bits),
        )
    }
}

pub fn weight_stream(depth: u64, period: Option<u64>) -> Specimen {
    let (pe, simd, weight_bits) = (2, 3, 5);
    let matrix: Vec<Vec<i64>> = (0..pe)
        .map(|row| {
            (0..depth as usize * simd)
                .map(|at| sign_extend(element(row * 333 + at, weight_bits), weight_bits))
                .collect()
        })
        .collect();
    let words = (0..200).map(|at| {
        let step = at % depth as usize;
        let shape = StreamShape {
            lanes: pe * simd,
            lane_bits: weight_bits,
        };
        pack(shape, |lane| {
            matrix[lane / simd][step * simd + lane % simd] as u64
        })
    });
    let output = words.collect();
    let arithmetic = Integers {
        sf: depth,
        pe,
        simd,
        activation_bits: 1,
        signed: false,
        weight_bits,
        sum_bits: 20,
        matrix,
    };
    let stage = MemoryStream::new(Arc::new(arithmetic), depth, period.and_then(NonZeroU64::new)).unwrap();
    Specimen {
        withdraws: period.is_some(),
        ..specimen(
            format!("weight stream {depth} {period:?}"),
            stage,
            Vec::new(),
            output,
        )
    }
}

/// A sliding window; the map is larger than the window by `room`.
#[derive(Clone, Copy, Debug)]
pub struct WindowShape {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub room: [usize; 2],
    pub folds: usize,
    pub lanes: usize,
    pub style: usize,
}

/// The generator, where there is one of this style for this shape.
pub fn window(shape: WindowShape) -> Option<Specimen> {
    let style = [
        WindowStyle::Addressable,
        WindowStyle::Depthwise,
        WindowStyle::Parallel,
        WindowStyle::Hls,
    ][shape.style];
    let [kh, kw] = shape.kernel;
    let size = |at: usize| (shape.kernel[at] - 1) * shape.dilation[at] + 1 + shape.room[at];
    let (height, width) = (size(0), size(1));
    let channels = shape.folds * shape.lanes;
    let geometry = WindowGeometry {
        input: [height, width, channels],
        kernel: shape.kernel,
        stride: shape.stride,
        dilation: shape.dilation,
    };
    let bits = 7;
    let stage = SlidingWindow::new(geometry, shape.lanes, bits, style).ok()?;
    let [rows, columns] = geometry.output();
    let frames = 3;
    let all = elements(frames * height * width * channels, bits);
    let mut taps = Vec::new();
    for frame in all.chunks_exact(height * width * channels) {
        for (oy, ox) in (0..rows).flat_map(|oy| (0..columns).map(move |ox| (oy, ox))) {
            let mut tap = |ky: usize, kx: usize, fold: usize| {
                let y = oy * shape.stride[0] + ky * shape.dilation[0];
                let x = ox * shape.stride[1] + kx * shape.dilation[1];
                let at = (y * width + x) * channels + fold * shape.lanes;
                taps.extend_from_slice(&frame[at..at + shape.lanes]);
            };
            // One word per window and fold holds its taps in the order of a depthwise generator.
            let fold_first = matches!(style, WindowStyle::Depthwise | WindowStyle::Parallel);
            if fold_first {
                for fold in 0..shape.folds {
                    (0..kh).for_each(|ky| (0..kw).for_each(|kx| tap(ky, kx, fold)));
                }
            } else {
                for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                    (0..shape.folds).for_each(|fold| tap(ky, kx, fold));
                }
            }
        }
    }
    let lanes_out = if style == WindowStyle::Parallel {
        kh * kw * shape.lanes
    } else {
        shape.lanes
    };
    Some(specimen(
        format!("{shape:?}"),
        stage,
        words(&all, shape.lanes, bits),
        words(&taps, lanes_out, bits),
    ))
}
