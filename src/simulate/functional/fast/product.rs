//! Matrix products with their weights packed.

use super::Level;
use super::chain::Chain;
use super::kernels::{
    BIT_COLUMNS, BitTask, COLUMNS, ColumnTask, Line, ROWS, RowTask, Runs, byte_columns, byte_rows,
    half_columns, mismatches,
};
use super::lanes::{Data, Store};
use super::level::at_level;
use super::window::{Lane, Layout, Source};
use crate::network::TensorId;
use crate::simulate::functional::plan::{LinearMac, NONE};

/// A matrix product and the element-wise operations behind it.
#[derive(Clone, Debug)]
pub struct Product {
    /// Tensor read.
    pub input: TensorId,
    /// Tensor written, behind the chain.
    pub output: TensorId,
    /// The operation.
    pub linear: LinearMac,
    /// How the sums are computed.
    pub kernel: Kernel,
    /// Distance of pixels in the buffer of sums.
    pub stride: usize,
    /// Where 64 bits are needed: the left shift of the 32-bit sums and what is added to each channel.
    pub widening: Option<(u32, Vec<i64>)>,
    /// From the sums to the output.
    pub chain: Chain,
}

/// Packed weights of all groups, one group after the other.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Where the windows lie.
    pub layout: Layout,
    /// The window in steps of the kernel.
    pub runs: Runs,
    /// Weights.
    pub weights: Vec<Line>,
    /// What each channel starts with, each group filled up to whole blocks.
    pub start: Vec<i32>,
    /// What stands for 0 in the input.
    pub zero: i32,
}

/// Which inner loop.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// Bits of bipolar operands, with the binary logarithm of what a mismatch takes away.
    Bits(Packed, u32),
    /// Bytes, output channels side by side.
    ByteColumns(Packed),
    /// Bytes, taps side by side.
    ByteRows(Packed),
    /// 16 bits, output channels side by side.
    HalfColumns(Packed),
    /// 64 bits: weights `[group][tap][output in group]`, biases in the accumulator's unit.
    Wide(Vec<i64>, Vec<i64>),
}

/// Buffers of one product that live as long as the engine.
#[derive(Clone, Debug)]
pub enum Scratch {
    /// None needed.
    None,
    /// A copy of the input in bytes.
    Bytes(Vec<u8>),
    /// A copy of the input in 16 bits.
    Halves(Vec<i16>),
    /// The input's mantissas.
    Wide(Vec<i64>),
}

/// Buffers that all steps share.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// 32-bit sums.
    pub narrow: Vec<i32>,
    /// 64-bit sums.
    pub wide: Vec<i64>,
}

impl Product {
    /// The scratch buffer of this product for an input tensor of `len` elements.
    #[must_use]
    pub fn scratch(&self, len: usize) -> Scratch {
        match &self.kernel {
            Kernel::Bits(..) => Scratch::None,
            Kernel::ByteColumns(packed) | Kernel::ByteRows(packed) => {
                Scratch::Bytes(super::window::buffer(&packed.layout, u8::of(packed.zero)))
            }
            Kernel::HalfColumns(packed) => {
                Scratch::Halves(super::window::buffer(&packed.layout, i16::of(packed.zero)))
            }
            Kernel::Wide(..) => Scratch::Wide(vec![0; len]),
        }
    }

    /// Computes the output tensor.
    pub fn run(
        &self,
        level: Level,
        input: &Store,
        scratch: &mut Scratch,
        sums: &mut Sums,
        output: &mut Store,
    ) {
        match (&self.kernel, scratch) {
            (Kernel::Bits(packed, log2_loss), _) => {
                let Data::Bits(words) = &input.data else { return };
                self.blocks(level, packed, BIT_COLUMNS, sums, output, |pixels, group, sums| {
                    mismatches(
                        level,
                        &mut BitTask {
                            input: words,
                            pixels,
                            shift: group.shift,
                            runs: &packed.runs,
                            weights: group.weights,
                            start: group.start,
                            log2_loss: *log2_loss,
                            sums,
                            stride: self.stride,
                        },
                    );
                });
            }
            (Kernel::ByteColumns(packed), Scratch::Bytes(buffer)) => {
                let lanes = self.lanes(level, packed, input, buffer);
                self.blocks(level, packed, COLUMNS, sums, output, |pixels, group, sums| {
                    byte_columns(level, &mut self.columns(packed, lanes, pixels, group, sums));
                });
            }
            (Kernel::ByteRows(packed), Scratch::Bytes(buffer)) => {
                let input = self.lanes(level, packed, input, buffer);
                self.blocks(level, packed, ROWS, sums, output, |pixels, group, sums| {
                    byte_rows(
                        level,
                        &mut RowTask {
                            input,
                            pixels,
                            shift: group.shift,
                            runs: &packed.runs,
                            weights: group.weights,
                            start: group.start,
                            sums,
                            stride: self.stride,
                        },
                    );
                });
            }
            (Kernel::HalfColumns(packed), Scratch::Halves(buffer)) => {
                let lanes = self.lanes(level, packed, input, buffer);
                self.blocks(level, packed, COLUMNS, sums, output, |pixels, group, sums| {
                    half_columns(level, &mut self.columns(packed, lanes, pixels, group, sums));
                });
            }
            (Kernel::Wide(columns, biases), Scratch::Wide(mantissas)) => {
                input.read(level, 0, mantissas);
                sums.wide.resize(self.linear.pixels * self.stride, 0);
                wide_sums(level, &self.linear, columns, biases, mantissas, &mut sums.wide);
                self.chain.run_wide(level, &mut sums.wide, 0, output);
            }
            _ => {}
        }
    }

    /// The elements that the kernel reads.
    fn lanes<'a, T: Lane>(
        &self,
        level: Level,
        packed: &Packed,
        input: &'a Store,
        buffer: &'a mut Vec<T>,
    ) -> &'a [T] {
        if packed.layout.source == Source::Tensor {
            return T::lanes(input).unwrap_or(&[]);
        }
        packed.layout.fill(level, &self.linear, input, buffer);
        buffer
    }

    fn columns<'a, T>(
        &self,
        packed: &'a Packed,
        input: &'a [T],
        pixels: &'a [usize],
        group: &Group<'a>,
        sums: &'a mut [i32],
    ) -> ColumnTask<'a, T> {
        ColumnTask {
            input,
            pixels,
            shift: group.shift,
            runs: &packed.runs,
            weights: group.weights,
            start: group.start,
            sums,
            stride: self.stride,
        }
    }

    /// Walks over blocks of pixels and groups, and hands the sums to the chain.
    fn blocks(
        &self,
        level: Level,
        packed: &Packed,
        block: usize,
        sums: &mut Sums,
        output: &mut Store,
        kernel: impl Fn(&[usize], &Group<'_>, &mut [i32]),
    ) {
        let groups = self.linear.mac.groups;
        let outputs = self.linear.group_outputs();
        let (lines, starts) = (packed.weights.len() / groups, packed.start.len() / groups);
        debug_assert!(starts.is_multiple_of(block));
        // Multiples of every kernel's tile, in a buffer that stays in the first-level cache.
        let pixels_at_once = if self.stride <= 64 { 48 } else { 24 };
        sums.narrow.resize(pixels_at_once * self.stride, 0);
        let mut first = 0;
        for pixels in packed.layout.starts.chunks(pixels_at_once) {
            let buffer = &mut sums.narrow[..pixels.len() * self.stride];
            // Each group's last block reaches into the next group's place, which is then written over.
            for group in 0..groups {
                let part = Group {
                    shift: group * packed.layout.group,
                    weights: &packed.weights[group * lines..][..lines],
                    start: &packed.start[group * starts..][..starts],
                };
                kernel(pixels, &part, &mut buffer[group * outputs..]);
            }
            match &self.widening {
                None => self.chain.run_narrow(level, buffer, first, output),
                Some((shift, added)) => {
                    sums.wide.resize(buffer.len(), 0);
                    widen(level, buffer, *shift, added, &mut sums.wide);
                    self.chain.run_wide(level, &mut sums.wide, first, output);
                }
            }
            first += pixels.len() * self.linear.channels;
        }
    }
}

/// One group's part of the packed weights.
struct Group<'a> {
    shift: usize,
    weights: &'a [Line],
    start: &'a [i32],
}

at_level!(
    /// `(sum << shift) + added`, rows of as many sums as `added` has.
    fn widen(sums: &[i32], shift: u32, added: &[i64], to: &mut [i64]) = widen_rows
);

#[inline(always)]
fn widen_rows(sums: &[i32], shift: u32, added: &[i64], to: &mut [i64]) {
    let rows = sums
        .chunks_exact(added.len())
        .zip(to.chunks_exact_mut(added.len()));
    for (sums, to) in rows {
        for ((to, &sum), &added) in to.iter_mut().zip(sums).zip(added) {
            *to = i64::from(sum).wrapping_shl(shift).wrapping_add(added);
        }
    }
}

at_level!(
    /// Sums modulo 2^64 in the accumulator's unit.
    fn wide_sums(linear: &LinearMac, columns: &[i64], biases: &[i64], input: &[i64], sums: &mut [i64]) =
        sum_columns
);

#[inline(always)]
fn sum_columns(linear: &LinearMac, columns: &[i64], biases: &[i64], input: &[i64], sums: &mut [i64]) {
    let (spatial, per_group, outputs) = (
        linear.spatial_taps(),
        linear.group_channels(),
        linear.group_outputs(),
    );
    for (pixel, sums) in sums.chunks_exact_mut(linear.channels).enumerate() {
        sums.copy_from_slice(biases);
        for (tap, &first) in linear.window[pixel * spatial..][..spatial].iter().enumerate() {
            if first == NONE {
                continue;
            }
            for group in 0..linear.mac.groups {
                let inputs = &input[first as usize + group * per_group..][..per_group];
                let sums = &mut sums[group * outputs..][..outputs];
                for (channel, &x) in inputs.iter().enumerate() {
                    let column = (group * linear.taps + tap * per_group + channel) * outputs;
                    for (sum, &weight) in sums.iter_mut().zip(&columns[column..][..outputs]) {
                        *sum = sum.wrapping_add(linear.term(weight, x));
                    }
                }
            }
        }
    }
}
