//! Accumulators that the hardware file states.

use super::hardware::{AccumulatorFormat, AccumulatorOverflow, Hardware, Problem};
use crate::fixed_point::{Format, MAX_STORED_WIDTH, Overflow};
use crate::network::{Encoding, Network, Op, PoolKind, TensorId};

/// Gives the matrix products the accumulators of the hardware file. Where a product hands its
/// accumulator on, the tensors that carry the same values follow.
pub(super) fn apply(network: &mut Network, hardware: &Hardware) -> Result<(), Problem> {
    for index in 0..network.nodes.len() {
        let node = &network.nodes[index];
        let output = node.output;
        let layer = network.layer(node.layer).name.clone();
        let Op::Mac(mac) = &node.op else { continue };
        let own = hardware.layers.get(&layer).and_then(|entry| entry.accumulator);
        let general = hardware.default.accumulator.filter(|_| !mac.accumulator.stated);
        let Some(wanted) = own.or(general) else { continue };
        let before = mac.accumulator.format;
        let after = format(before, wanted).ok_or(Problem::Width {
            layer,
            field: "accumulator.width",
            value: wanted.width,
            max: MAX_STORED_WIDTH,
        })?;
        if let Op::Mac(mac) = &mut network.nodes[index].op {
            mac.accumulator.format = after;
            mac.accumulator.stated = true;
        }
        follow(network, index + 1, output, before, after);
    }
    Ok(())
}

/// Same sign and binary point, other width and overflow.
fn format(before: Format, wanted: AccumulatorFormat) -> Option<Format> {
    let width = i32::try_from(wanted.width).ok()?;
    let overflow = match wanted.overflow {
        AccumulatorOverflow::Wrap => Overflow::default(),
        AccumulatorOverflow::Sat => Overflow::Sat,
    };
    Format::new(wanted.width, width.checked_sub(before.frac())?, before.signed())
        .and_then(|format| {
            format
                .with_quantization(before.quantization())
                .with_overflow(overflow)
        })
        .ok()
}

/// Whether two formats hold the same values.
fn same_values(a: Format, b: Format) -> bool {
    (a.width(), a.integer(), a.signed()) == (b.width(), b.integer(), b.signed())
}

fn follow(network: &mut Network, from: usize, output: TensorId, before: Format, after: Format) {
    let carries = |network: &Network, tensor: TensorId| matches!(network.tensor(tensor).encoding, Encoding::Fixed(format) if same_values(format, before));
    if !carries(network, output) {
        return;
    }
    network.tensors[output.index()].encoding = Encoding::Fixed(after);
    let mut moved = vec![output];
    for index in from..network.nodes.len() {
        let node = &network.nodes[index];
        let hands_on = match &node.op {
            Op::Reshape | Op::Transpose { .. } | Op::Upsample { .. } | Op::Gather { .. } => true,
            Op::Pool(pool) => matches!(pool.kind, PoolKind::Max { through: None }),
            _ => false,
        };
        let next = node.output;
        if hands_on && node.inputs.iter().all(|input| moved.contains(input)) && carries(network, next) {
            network.tensors[next.index()].encoding = Encoding::Fixed(after);
            moved.push(next);
        }
    }
}
