//! Element-wise operations.

use super::{Parameters, Watch, cast_from};
use crate::fixed_point::Cast;
use crate::network::{
    Affine, CastEach, MultiThreshold, Network, Node, Relu, ScaledBias, Slope, Table, TableIndex,
};

/// One element of a rectifier.
pub fn relu(
    network: &Network,
    node: &Node,
    relu: &Relu,
    parameters: &Parameters,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let tensor = network.tensor(node.inputs[0]);
    let frac = tensor.encoding.frac();
    let x = relu
        .ceiling
        .map_or(input[index], |ceiling| input[index].min(ceiling));
    if x > relu.threshold {
        return cast_from(network, node, frac, i128::from(x), watch);
    }
    let (slope, slope_frac) = match relu.slope {
        None => (0, 0),
        Some(Slope::Constant { mantissa, frac }) => (mantissa, frac),
        Some(Slope::Param(id)) => {
            let values = parameters.values(id);
            (values[index % values.len()], network.param(id).encoding.frac())
        }
    };
    cast_from(
        network,
        node,
        frac + slope_frac,
        i128::from(x) * i128::from(slope),
        watch,
    )
}

/// One element of a per-channel affine map.
pub fn affine(
    network: &Network,
    node: &Node,
    affine: &Affine,
    parameters: &Parameters,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let scales = parameters.values(affine.scale);
    let channel = index % scales.len();
    let product = i128::from(input[index]) * i128::from(scales[channel]);
    let product_frac =
        network.tensor(node.inputs[0]).encoding.frac() + network.param(affine.scale).encoding.frac();
    let Some(bias) = affine.bias else {
        return cast_from(network, node, product_frac, product, watch);
    };
    let bias_frac = network.param(bias).encoding.frac();
    let frac = product_frac.max(bias_frac);
    let sum = (product << (frac - product_frac))
        + (i128::from(parameters.values(bias)[channel]) << (frac - bias_frac));
    cast_from(network, node, frac, sum, watch)
}

/// One element of a sum of two grids.
pub fn scaled_bias(sum: &ScaledBias, parameters: &Parameters, input: &[i64], index: usize) -> i64 {
    let biases = parameters.values(sum.bias);
    let product = input[index].wrapping_mul(sum.factor[index % sum.factor.len()]);
    let bias = biases[index % biases.len()].wrapping_mul(sum.unit[index % sum.unit.len()]);
    product.wrapping_add(bias)
}

/// One element of a thresholding.
pub fn multi_threshold(
    network: &Network,
    node: &Node,
    op: &MultiThreshold,
    parameters: &Parameters,
    input: &[i64],
    index: usize,
) -> i64 {
    let shape = &network.param(op.thresholds).shape;
    let (rows, steps) = (shape[0], shape[1]);
    let row = index % network.tensor(node.inputs[0]).channels() % rows;
    let thresholds = &parameters.values(op.thresholds)[row * steps..][..steps];
    let count = op.rule.reached(thresholds, input[index]);
    op.offset[index % op.offset.len()] + op.factor[index % op.factor.len()] * count as i64
}

/// One element in its own format, then in the tensor's.
pub fn cast_each(
    network: &Network,
    node: &Node,
    each: &CastEach,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let frac = network.tensor(node.inputs[0]).encoding.frac();
    match each.formats[each.of[index] as usize] {
        Some(format) => {
            let own = Cast::new(frac, &format).apply(i128::from(input[index]));
            cast_from(network, node, format.frac(), own, watch)
        }
        None => cast_from(network, node, frac, 0, watch),
    }
}

/// One element of a tabulated function.
pub fn table(
    network: &Network,
    node: &Node,
    table: &Table,
    input: &[i64],
    index: usize,
    watch: &mut impl Watch,
) -> i64 {
    let frac = network.tensor(node.inputs[0]).encoding.frac();
    let x = i128::from(input[index]);
    let last = table.entries.len() as i128 - 1;
    // Truncation towards zero of `value * 2^log2_factor`; like the kernels' `int`, it keeps 32 bits.
    let scaled = |x: i128, log2_factor: i32| {
        let shift = frac - log2_factor;
        (if shift <= 0 {
            x << (-shift).min(62)
        } else if shift > 126 {
            0
        } else {
            x / (1i128 << shift)
        }) as i32
    };
    let entry = match table.index {
        TableIndex::Scaled { log2_factor, offset } => {
            i128::from(scaled(x, log2_factor).wrapping_add(offset as i32))
        }
        TableIndex::NegativeHalf { log2_factor } => {
            if x > 0 {
                return cast_from(network, node, frac, x, watch);
            }
            // The kernel compares an unsigned bound: a wrapped index counts as beyond the table.
            match scaled(-x, log2_factor) {
                index if index < 0 => last,
                index => i128::from(index),
            }
        }
    };
    let value = table.entries[entry.clamp(0, last) as usize];
    cast_from(network, node, table.entry_format.frac(), i128::from(value), watch)
}
