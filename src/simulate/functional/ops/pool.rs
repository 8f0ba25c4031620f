//! Reductions over windows.

use super::{Stage, Watch, cast_from};
use crate::fixed_point::{Cast, Format};
use crate::network::{Average, Network, Node, Pool, PoolKind};

/// One element of a pooling.
pub fn element(
    network: &Network,
    node: &Node,
    pool: &Pool,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let frac = network.tensor(node.inputs[0]).encoding.frac();
    let taps = taps(pool, index);
    match pool.kind {
        PoolKind::Max { through } => {
            let largest = taps.iter().map(|&at| input[at]).max().unwrap_or(0);
            match through {
                Some(format) => {
                    let through = watch.cast(Stage::Sum, &Cast::new(frac, &format), i128::from(largest));
                    cast_from(network, node, format.frac(), through, watch)
                }
                None => cast_from(network, node, frac, i128::from(largest), watch),
            }
        }
        PoolKind::Sum => cast_from(
            network,
            node,
            frac,
            taps.iter().map(|&at| i128::from(input[at])).sum(),
            watch,
        ),
        PoolKind::Average(average) => {
            let values: Vec<i128> = taps.iter().map(|&at| i128::from(input[at])).collect();
            let window = pool.geometry.window.kernel;
            let divisor = if average.count_pad {
                window[0] * window[1]
            } else {
                values.len()
            };
            let quotient = self::average(&average, frac, &values, divisor as i128, watch);
            cast_from(network, node, average.accumulator.frac(), quotient, watch)
        }
    }
}

/// The input elements that an output reads, row by row.
#[must_use]
pub fn taps(pool: &Pool, index: usize) -> Vec<usize> {
    let geometry = &pool.geometry;
    let channels = geometry.output[2];
    let (pixel, channel) = (index / channels, index % channels);
    let (oy, ox) = (pixel / geometry.output[1], pixel % geometry.output[1]);
    let window = &geometry.window;
    let mut taps = Vec::with_capacity(window.kernel[0] * window.kernel[1]);
    for ky in 0..window.kernel[0] {
        for kx in 0..window.kernel[1] {
            let y = (oy * window.stride[0] + ky * window.dilation[0]).checked_sub(window.pad[0]);
            let x = (ox * window.stride[1] + kx * window.dilation[1]).checked_sub(window.pad[1]);
            if let (Some(y), Some(x)) = (y, x)
                && y < geometry.input[0]
                && x < geometry.input[1]
            {
                taps.push((y * geometry.input[1] + x) * geometry.input[2] + channel);
            }
        }
    }
    taps
}

/// hls4ml's average: a sum kept in the accumulator's format, divided with truncation towards zero.
fn average(average: &Average, frac: i32, values: &[i128], divisor: i128, watch: &mut impl Watch) -> i128 {
    let format = &average.accumulator;
    let sum = if average.tree {
        let values: Vec<i128> = values
            .iter()
            .map(|&value| watch.cast(Stage::Sum, &Cast::new(frac, format), value))
            .collect();
        tree_sum(&values, format, watch)
    } else {
        let shared = frac.max(format.frac());
        let cast = Cast::new(shared, format);
        values.iter().fold(0, |sum, &value| {
            watch.cast(
                Stage::Sum,
                &cast,
                (sum << (shared - format.frac())) + (value << (shared - frac)),
            )
        })
    };
    watch.cast(
        Stage::Sum,
        &Cast::new(format.frac(), format),
        sum / divisor.max(1),
    )
}

/// Balanced sum in which the left part is the largest power of two below the count.
pub fn tree_sum(values: &[i128], format: &Format, watch: &mut impl Watch) -> i128 {
    match values {
        [] => 0,
        [one] => *one,
        _ => {
            let left = values.len().next_power_of_two() / 2;
            let (low, high) = values.split_at(left);
            let sum = tree_sum(low, format, watch) + tree_sum(high, format, watch);
            watch.cast(Stage::Sum, &Cast::new(format.frac(), format), sum)
        }
    }
}
