//! Which kernel computes a matrix product, and its weights in the kernel's order.

use super::chain::Chain;
use super::kernels::{BIT_COLUMNS, COLUMNS, Line, ROWS};
use super::lanes::{Kind, words};
use super::plan::FastPlan;
use super::product::{Kernel, Packed, Product};
use super::range::Range;
use super::window::{Lane, Layout, Source};
use crate::network::Node;
use crate::simulate::functional::Parameters;
use crate::simulate::functional::plan::{LinearMac, NONE};

/// Exact bounds of the sums, in units of the product.
struct Bounds {
    /// Over all channels, without bias.
    sum: (i128, i128),
    /// Over all channels with bias, in the accumulator's unit.
    total: (i128, i128),
}

/// Packs a product with the parameters' values; `None` where they do not belong to their encodings.
/// The chain holds the product's own casts only.
#[must_use]
pub fn pack(plan: &FastPlan, parameters: &Parameters, node: &Node, linear: &LinearMac) -> Option<Product> {
    let network = &*plan.network;
    let mac = &linear.mac;
    let weights = parameters.values(mac.weight);
    let belong = |id| {
        let range = Range::of_encoding(&network.param(id).encoding);
        parameters.values(id).iter().all(|&value| range.has(value))
    };
    if !belong(mac.weight) || !mac.bias.is_none_or(belong) {
        return None;
    }
    let biases: Vec<i64> = match mac.bias {
        Some(bias) => parameters.values(bias).to_vec(),
        None => vec![0; linear.channels],
    };
    let input = plan.ranges[node.inputs[0].index()];
    let bounds = bounds(linear, weights, &biases, &input);
    let fits = |bounds: (i128, i128)| Range::new(bounds.0, bounds.1).is_narrow();
    let sum_fits = fits(bounds.sum);
    let in_sums = sum_fits && linear.product_shift == 0 && fits(bounds.total);
    let raised = |out: usize| biases[out].wrapping_shl(linear.bias_shift);
    let starts: Vec<i64> = (0..linear.channels)
        .map(|out| if in_sums { raised(out) } else { 0 })
        .collect();

    let kind = plan.kinds[node.inputs[0].index()];
    let kernel = (sum_fits.then(|| bits(linear, weights, &starts, kind)).flatten())
        .or_else(|| {
            (sum_fits && plan.level.multiplies_bytes()).then(|| bytes(linear, weights, &starts, kind))?
        })
        .or_else(|| sum_fits.then(|| halves(linear, weights, &starts, kind))?);
    let outputs = linear.group_outputs();
    let (kernel, stride) = match kernel {
        Some(kernel) => {
            // The last group's last block may reach beyond its channels.
            let block = match kernel {
                Kernel::Bits(..) => BIT_COLUMNS,
                Kernel::ByteRows(_) => ROWS,
                _ => COLUMNS,
            };
            let end = linear.channels - outputs + outputs.next_multiple_of(block);
            let whole_words = plan
                .only_reader(node.output)
                .is_some_and(|reader| matches!(plan.kinds[reader.output.index()], Kind::Bits { .. }));
            let stride = end.next_multiple_of(if whole_words { 64 } else { COLUMNS });
            (kernel, stride)
        }
        None => {
            let kernel = Kernel::Wide(
                columns(linear, weights),
                (0..linear.channels).map(raised).collect(),
            );
            (kernel, linear.channels)
        }
    };
    let widening = (!in_sums && !matches!(kernel, Kernel::Wide(..))).then(|| {
        let added = (0..stride).map(|out| if out < linear.channels { raised(out) } else { 0 });
        (linear.product_shift, added.collect())
    });
    let mut chain = Chain::new(
        Range::new(bounds.total.0, bounds.total.1),
        linear.channels,
        stride,
        false,
    );
    if !in_sums || matches!(kernel, Kernel::Wide(..)) {
        chain.widen();
    }
    chain.push_product(linear, &network.tensor(node.output).encoding);
    Some(Product {
        input: node.inputs[0],
        output: node.output,
        linear: linear.clone(),
        kernel,
        stride,
        widening,
        chain,
    })
}

impl Product {
    /// Moves the sums to 64 bits where the finished chain needs them.
    pub fn settle(&mut self) {
        let wide = !self.chain.is_narrow() && !matches!(self.kernel, Kernel::Wide(..));
        if wide && self.widening.is_none() {
            self.widening = Some((0, vec![0; self.stride]));
        }
    }
}

fn bounds(linear: &LinearMac, weights: &[i64], biases: &[i64], input: &Range) -> Bounds {
    let (low, high) = (i128::from(input.low), i128::from(input.high));
    let mut bounds = Bounds {
        sum: (0, 0),
        total: (0, 0),
    };
    for (weights, &bias) in weights.chunks_exact(linear.taps.max(1)).zip(biases) {
        let mut sum = (0i128, 0i128);
        for &weight in weights {
            let (a, b) = (i128::from(weight) * low, i128::from(weight) * high);
            // A tap in the padding adds nothing.
            sum = (sum.0 + a.min(b).min(0), sum.1 + a.max(b).max(0));
        }
        if linear.mac.popcount {
            sum = (0, linear.taps as i128);
        }
        bounds.sum = (bounds.sum.0.min(sum.0), bounds.sum.1.max(sum.1));
        let raise = |value: i128, by: u32| value.saturating_mul(1i128 << by);
        let bias = raise(i128::from(bias), linear.bias_shift);
        let total = [sum.0, sum.1].map(|end| raise(end, linear.product_shift).saturating_add(bias));
        bounds.total = (bounds.total.0.min(total[0]), bounds.total.1.max(total[1]));
    }
    bounds
}

/// Bits against bits: no padding, bipolar weights, and words that no group shares.
fn bits(linear: &LinearMac, weights: &[i64], starts: &[i64], kind: Kind) -> Option<Kernel> {
    let Kind::Bits { row } = kind else { return None };
    let channels = linear.mac.geometry.input[2];
    let aligned = row == channels || row.is_multiple_of(64) && channels.is_multiple_of(64);
    let per_group = linear.group_channels();
    let fits = aligned
        && (linear.mac.groups == 1 || per_group.is_multiple_of(64))
        && !linear.mac.transposed
        && !linear.window.contains(&NONE)
        && weights.iter().all(|&weight| weight == 1 || weight == -1);
    let layout = Layout::new(linear, true, false);
    if !fits || layout.source != Source::Tensor {
        return None;
    }
    let (runs, _) = layout.runs(1);
    let group_words = words(per_group);
    let weight_bit = |out: usize, spatial: usize, channel: usize| {
        u64::from(weights[out * linear.taps + spatial * per_group + channel] > 0)
    };
    let outputs = linear.group_outputs();
    let blocks = outputs.div_ceil(BIT_COLUMNS);
    let mut lines = vec![Line::ZERO; linear.mac.groups * blocks * runs.steps()];
    for (at, line) in lines.iter_mut().enumerate() {
        let (step, block) = (at % runs.steps(), at / runs.steps());
        let (group, block) = (block / blocks, block % blocks);
        let (spatial, word) = (step / group_words, step % group_words);
        for place in 0..BIT_COLUMNS {
            let out = block * BIT_COLUMNS + place;
            if out < outputs {
                let present = (word * 64..per_group.min(word * 64 + 64)).enumerate();
                let bits = present.fold(0, |bits, (bit, channel)| {
                    bits | weight_bit(group * outputs + out, spatial, channel) << bit
                });
                line.set_word(place, bits);
            }
        }
    }
    let log2_loss = u32::from(!linear.mac.popcount);
    let start = padded(linear, BIT_COLUMNS, |out| starts[out] + linear.taps as i64);
    let packed = Packed {
        layout,
        runs,
        weights: lines,
        start,
        zero: 0,
    };
    Some(Kernel::Bits(packed, log2_loss))
}

/// Signed bytes against unsigned bytes, by the kernel that takes fewer instructions.
fn bytes(linear: &LinearMac, weights: &[i64], starts: &[i64], kind: Kind) -> Option<Kernel> {
    let zero = u8::zero(kind)?;
    let fits = !linear.mac.popcount && weights.iter().all(|&weight| i8::try_from(weight).is_ok());
    if !fits {
        return None;
    }
    let layout = Layout::new(linear, false, !matches!(kind, Kind::Byte { .. }));
    let start = |block| {
        padded(linear, block, |out| {
            let sum: i64 = weights[out * linear.taps..][..linear.taps].iter().sum();
            starts[out] - i64::from(zero) * sum
        })
    };
    let outputs = linear.group_outputs();
    let (by_columns, by_rows) = (layout.runs(4), layout.runs(64));
    let columns_cost = outputs.div_ceil(COLUMNS) * by_columns.0.steps();
    // Adding up the lanes of a quad takes about as long as a dozen products.
    let rows_cost = outputs.div_ceil(ROWS) * (ROWS * by_rows.0.steps() + 12);
    let in_rows = rows_cost < columns_cost;
    let (runs, taps) = if in_rows { by_rows } else { by_columns };
    let (block, step) = if in_rows { (ROWS, 64) } else { (COLUMNS, 4) };
    let lines_per_step = if in_rows { ROWS } else { 1 };
    let blocks = outputs.div_ceil(block);
    let mut lines = vec![Line::ZERO; linear.mac.groups * blocks * runs.steps() * lines_per_step];
    for (at, line) in lines.iter_mut().enumerate() {
        let (row, at) = (at % lines_per_step, at / lines_per_step);
        let (at_step, at_block) = (at % runs.steps(), at / runs.steps());
        let (group, at_block) = (at_block / blocks, at_block % blocks);
        for (place, byte) in line.0.iter_mut().enumerate() {
            let (channel, tap) = if in_rows {
                (row, place)
            } else {
                (place / 4, place % 4)
            };
            let out = at_block * block + channel;
            if let (Some(tap), true) = (taps[at_step * step + tap], out < outputs) {
                *byte = weights[(group * outputs + out) * linear.taps + tap] as i8 as u8;
            }
        }
    }
    let packed = Packed {
        layout,
        runs,
        weights: lines,
        start: start(block),
        zero,
    };
    Some(if in_rows {
        Kernel::ByteRows(packed)
    } else {
        Kernel::ByteColumns(packed)
    })
}

/// Signed 16-bit numbers against signed 16-bit numbers.
fn halves(linear: &LinearMac, weights: &[i64], starts: &[i64], kind: Kind) -> Option<Kernel> {
    let zero = i16::zero(kind)?;
    let fits = !linear.mac.popcount && weights.iter().all(|&weight| i16::try_from(weight).is_ok());
    if !fits {
        return None;
    }
    let layout = Layout::new(linear, false, !matches!(kind, Kind::Half { .. }));
    let (runs, taps) = layout.runs(2);
    let outputs = linear.group_outputs();
    let blocks = outputs.div_ceil(COLUMNS);
    let mut lines = vec![Line::ZERO; linear.mac.groups * blocks * runs.steps()];
    for (at, line) in lines.iter_mut().enumerate() {
        let (step, block) = (at % runs.steps(), at / runs.steps());
        let (group, block) = (block / blocks, block % blocks);
        for place in 0..2 * COLUMNS {
            let out = block * COLUMNS + place / 2;
            if let (Some(tap), true) = (taps[step * 2 + place % 2], out < outputs) {
                line.set_half(place, weights[(group * outputs + out) * linear.taps + tap] as i16);
            }
        }
    }
    let start = padded(linear, COLUMNS, |out| {
        let sum: i64 = weights[out * linear.taps..][..linear.taps].iter().sum();
        starts[out].wrapping_sub(i64::from(zero).wrapping_mul(sum))
    });
    Some(Kernel::HalfColumns(Packed {
        layout,
        runs,
        weights: lines,
        start,
        zero,
    }))
}

/// A value per output channel, each group filled up to whole blocks. Sums wrap to 32 bits like the
/// kernels' do: only the final sum must fit.
fn padded(linear: &LinearMac, block: usize, value: impl Fn(usize) -> i64) -> Vec<i32> {
    let outputs = linear.group_outputs();
    let mut start = Vec::new();
    for group in 0..linear.mac.groups {
        start.extend((0..outputs).map(|out| value(group * outputs + out) as i32));
        start.resize((group + 1) * outputs.next_multiple_of(block), 0);
    }
    start
}

/// `[group][tap][output in group]`.
fn columns(linear: &LinearMac, weights: &[i64]) -> Vec<i64> {
    let outputs = linear.group_outputs();
    let mut columns = vec![0; weights.len()];
    for (element, &weight) in weights.iter().enumerate() {
        let (out, tap) = (element / linear.taps, element % linear.taps);
        columns[(out / outputs * linear.taps + tap) * outputs + out % outputs] = weight;
    }
    columns
}
