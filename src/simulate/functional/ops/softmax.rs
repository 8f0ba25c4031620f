//! Operations that look at a whole slice.

use super::{Stage, Watch, cast_from, pool::tree_sum};
use crate::fixed_point::{Cast, Format};
use crate::network::{ArgMax, Network, Node, Softmax};

/// One element of hls4ml's softmax: `exp(x - max) / sum` or `exp(x) / sum`, all by tables.
pub fn element(
    network: &Network,
    node: &Node,
    softmax: &Softmax,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let frac = network.tensor(node.inputs[0]).encoding.frac();
    let slice = &input[index / softmax.slice * softmax.slice..][..softmax.slice];
    let largest = slice.iter().copied().max().unwrap_or(0);
    let to_norm = Cast::new(frac, &softmax.norm_format);
    let to_accumulator = Cast::new(softmax.exp_format.frac(), &softmax.accumulator);
    let mut terms = Vec::with_capacity(slice.len());
    for &x in slice {
        let distance = i128::from(x);
        let distance = if softmax.subtract_max {
            i128::from(largest) - distance
        } else {
            distance
        };
        let distance = watch.cast(Stage::Distance, &to_norm, distance);
        let entry = top_bits(distance, &softmax.norm_format, softmax.exp_table.len());
        watch.table_entry(entry);
        terms.push(watch.cast(Stage::Sum, &to_accumulator, i128::from(softmax.exp_table[entry])));
    }
    let sum = tree_sum(&terms, &softmax.accumulator, watch);
    let to_reciprocal = Cast::new(softmax.accumulator.frac(), &softmax.inv_input);
    let reciprocal_of = watch.cast(Stage::Sum, &to_reciprocal, sum);
    let reciprocal = softmax.inv_table[top_bits(reciprocal_of, &softmax.inv_input, softmax.inv_table.len())];
    let own = terms[index % softmax.slice];
    cast_from(
        network,
        node,
        softmax.accumulator.frac() + softmax.inv_format.frac(),
        own * i128::from(reciprocal),
        watch,
    )
}

/// The index that the top bits of a mantissa form into a table whose length is a power of two.
fn top_bits(mantissa: i128, format: &Format, entries: usize) -> usize {
    let index_bits = entries.trailing_zeros();
    let bits = format.bits_of(mantissa);
    (if format.width() > index_bits {
        bits >> (format.width() - index_bits)
    } else {
        bits
    }) as usize
}

/// One index of the largest elements along the last dimension.
pub fn arg_max(network: &Network, node: &Node, op: &ArgMax, input: &[i64], index: usize) -> i64 {
    let slice = network.tensor(node.inputs[0]).channels();
    let values = &input[index / op.count * slice..][..slice];
    let mut order: Vec<usize> = (0..slice).collect();
    order.sort_by(|&a, &b| {
        values[b]
            .cmp(&values[a])
            .then(if op.last { b.cmp(&a) } else { a.cmp(&b) })
    });
    order[index % op.count] as i64
}
