//! Matrix products.

use super::{Parameters, Stage, Watch, cast_from};
use crate::fixed_point::Cast;
use crate::network::{Geometry, Mac, Network, Node, Order};

/// One element of a matrix product: bias first, then the products in the accumulator's order,
/// each cast to the accumulator and each sum cast again.
pub fn element(
    network: &Network,
    node: &Node,
    mac: &Mac,
    parameters: &Parameters,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let sum = accumulator(network, node, mac, parameters, input, index, watch);
    cast_from(network, node, mac.accumulator.format.frac(), sum, watch)
}

/// What the accumulator of one element holds in the end.
pub fn accumulator(
    network: &Network,
    node: &Node,
    mac: &Mac,
    parameters: &Parameters,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i128 {
    let geometry = &mac.geometry;
    let channels = geometry.output[2];
    let (pixel, out) = (index / channels, index % channels);
    let weights = parameters.values(mac.weight);
    let weight_frac = network.param(mac.weight).encoding.frac();
    let input_frac = network.tensor(node.inputs[0]).encoding.frac();
    let format = &mac.accumulator.format;
    let product_frac = if mac.popcount { 0 } else { weight_frac + input_frac };
    let from_product = Cast::new(product_frac, format);
    let from_sum = Cast::new(format.frac(), format);

    let mut sum = mac.bias.map_or(0, |bias| {
        let mantissa = parameters.values(bias)[out];
        let from_bias = Cast::new(network.param(bias).encoding.frac(), format);
        watch.cast(Stage::Bias, &from_bias, i128::from(mantissa))
    });
    let taps = geometry.taps(mac.groups);
    let mut add = |tap: usize| {
        if let Some(at) = input_of_tap(mac, pixel, out, tap) {
            let product = i128::from(weights[out * taps + tap]) * i128::from(input[at]);
            // Bipolar operands multiply to +1 where their bits match and to -1 where they differ.
            let product = if mac.popcount { (product + 1) / 2 } else { product };
            let term = watch.cast(Stage::Product, &from_product, product);
            sum = watch.cast(Stage::Sum, &from_sum, sum + term);
        }
    };
    match mac.accumulator.order {
        Order::Natural => (0..taps).for_each(&mut add),
        Order::Strided { factor } => {
            for start in 0..factor.min(taps) {
                (start..taps).step_by(factor).for_each(&mut add);
            }
        }
    }
    sum
}

/// The input element that a tap of an output reads, or `None` where it lies in the padding.
#[must_use]
pub fn input_of_tap(mac: &Mac, pixel: usize, out: usize, tap: usize) -> Option<usize> {
    let Geometry {
        input,
        output,
        window,
    } = &mac.geometry;
    let per_group = input[2] / mac.groups;
    let group = out / (output[2] / mac.groups);
    let channel = group * per_group + tap % per_group;
    let at = [
        tap / per_group / window.kernel[1],
        tap / per_group % window.kernel[1],
    ];
    let place = [pixel / output[1], pixel % output[1]];
    let mut source = [0usize; 2];
    for axis in 0..2 {
        let offset = at[axis] * window.dilation[axis];
        source[axis] = if mac.transposed {
            let shifted = (place[axis] + window.pad[axis]).checked_sub(offset)?;
            if shifted % window.stride[axis] != 0 {
                return None;
            }
            shifted / window.stride[axis]
        } else {
            (place[axis] * window.stride[axis] + offset).checked_sub(window.pad[axis])?
        };
        if source[axis] >= input[axis] {
            return None;
        }
    }
    Some((source[0] * input[1] + source[1]) * input[2] + channel)
}
