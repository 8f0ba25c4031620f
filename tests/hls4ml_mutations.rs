//! Each arithmetic rule of hls4ml is broken in turn; the golden values must notice.
//!
//! A rule that no golden value depends on would pass every comparison however it was written.

mod common;
mod hls4ml_common;

use std::path::Path;

use radstream::fixed_point::{Format, Overflow, Quantization};
use radstream::network::import::fml;
use radstream::network::{Accumulator, CombineOp, Network, Op, Order, PoolKind, Slope, TableIndex};
use radstream::simulate::functional::{Parameters, evaluate};
use rayon::prelude::*;

use hls4ml_common::mutation::{
    Mutation, OVERFLOWS, ROUNDINGS, WRAP, mutation, on_accumulators, on_matrices, on_ops, on_results,
    overflowing, rounding, widened,
};
use hls4ml_common::{Golden, folders};

fn is_matrix(op: &Op) -> bool {
    matches!(op, Op::Mac(_))
}

/// Rules that the `stress_*` networks must notice.
fn stress_mutations() -> Vec<Mutation> {
    let mut all = vec![
        on_matrices("Resource adds in strides of the reuse factor", |mac| {
            let strided = matches!(mac.accumulator.order, Order::Strided { .. });
            mac.accumulator.order = Order::Natural;
            strided
        }),
        on_matrices("Latency adds in natural order", |mac| {
            let natural = mac.accumulator.order == Order::Natural;
            if natural {
                mac.accumulator = Accumulator {
                    order: Order::Strided { factor: 2 },
                    ..mac.accumulator
                };
            }
            natural
        }),
        on_accumulators("each product is rounded to the accumulator", |format| {
            widened(format, 0, 24)
        }),
        on_accumulators("each sum overflows at the accumulator", |format| {
            widened(format, 24, 0)
        }),
        on_matrices("the bias is where the sum starts", |mac| {
            mac.bias.take().is_some()
        }),
        mutation(
            "weights are [in][out] in Latency and [out][in] in Resource",
            |network| {
                let mut changed = false;
                let weights: Vec<_> = network
                    .nodes
                    .iter()
                    .filter_map(|node| match &node.op {
                        Op::Mac(mac) => Some(mac.weight),
                        _ => None,
                    })
                    .collect();
                for id in weights {
                    let param = &mut network.params[id.index()];
                    let outputs = param.shape[0];
                    let taps = param.values.len() / outputs;
                    let old = param.values.clone();
                    for (at, value) in param.values.iter_mut().enumerate() {
                        *value = old[at % taps * outputs % old.len() + at / taps];
                    }
                    changed |= old != param.values;
                }
                changed
            },
        ),
        on_matrices("the padding before the image", |mac| {
            let padded = mac.geometry.window.pad != [0, 0];
            mac.geometry.window.pad = [0, 0];
            padded
        }),
        on_ops("the padding layer's sides", |op| match op {
            Op::Pad(pad) => {
                pad.amounts = [
                    pad.amounts[1] + pad.amounts[0],
                    0,
                    pad.amounts[2] + pad.amounts[3],
                    0,
                ];
                true
            }
            _ => false,
        }),
        on_ops("a rectifier cuts below zero", |op| {
            let rectifies = matches!(op, Op::Relu(relu) if relu.slope.is_none());
            if rectifies {
                *op = Op::Cast;
            }
            rectifies
        }),
        on_ops("the slope of a leaky rectifier has its own type", |op| match op {
            Op::Relu(relu) => match &mut relu.slope {
                Some(Slope::Constant { mantissa, .. }) => {
                    *mantissa += 1;
                    true
                }
                _ => false,
            },
            _ => false,
        }),
        on_ops(
            "table indices truncate towards zero and shift by half the table",
            |op| match op {
                Op::Table(table) => match &mut table.index {
                    TableIndex::Scaled { offset, .. } => {
                        *offset -= 1;
                        true
                    }
                    TableIndex::NegativeHalf { .. } => false,
                },
                _ => false,
            },
        ),
        on_ops("tables clamp at their ends", |op| match op {
            Op::Table(table) => {
                let quarter = table.entries.len() / 4;
                table.entries.truncate(3 * quarter);
                true
            }
            _ => false,
        }),
        on_ops("the exponential linear unit's table runs over 8", |op| match op {
            Op::Table(table) => match &mut table.index {
                TableIndex::NegativeHalf { log2_factor } => {
                    *log2_factor -= 1;
                    true
                }
                TableIndex::Scaled { .. } => false,
            },
            _ => false,
        }),
        on_ops("softmax subtracts the largest value", |op| match op {
            Op::Softmax(softmax) => {
                softmax.subtract_max = false;
                true
            }
            _ => false,
        }),
        on_ops("softmax rounds its exponentials", |op| match op {
            Op::Softmax(softmax) => {
                softmax.exp_table.iter_mut().for_each(|entry| *entry -= 1);
                true
            }
            _ => false,
        }),
        on_ops("softmax inverts its sum by table", |op| match op {
            Op::Softmax(softmax) => {
                softmax.inv_table.iter_mut().for_each(|entry| *entry -= 1);
                true
            }
            _ => false,
        }),
        on_ops("softmax normalizes in an unsigned type", |op| match op {
            Op::Softmax(softmax) => match Format::new(
                softmax.norm_format.width(),
                softmax.norm_format.integer() + 1,
                false,
            ) {
                Ok(format) => {
                    softmax.norm_format = format;
                    true
                }
                Err(_) => false,
            },
            _ => false,
        }),
        on_ops("an average divides by its taps", |op| match op {
            Op::Pool(pool) if matches!(pool.kind, PoolKind::Average(_)) => {
                pool.kind = PoolKind::Sum;
                true
            }
            _ => false,
        }),
        on_ops("an average is kept in its accumulator type", |op| match op {
            Op::Pool(pool) => match &mut pool.kind {
                PoolKind::Average(average) => widened(average.accumulator, 8, 16).is_some_and(|format| {
                    average.accumulator = format;
                    true
                }),
                _ => false,
            },
            _ => false,
        }),
        on_ops("a maximum is not an average", |op| match op {
            Op::Pool(pool) if matches!(pool.kind, PoolKind::Max { .. }) => {
                pool.kind = PoolKind::Sum;
                true
            }
            _ => false,
        }),
        on_ops("batch normalization adds its offset", |op| match op {
            Op::Affine(affine) => affine.bias.take().is_some(),
            _ => false,
        }),
        on_ops("a merge adds", |op| match op {
            Op::Combine(combine) if combine.op == CombineOp::Add => {
                combine.op = CombineOp::Subtract;
                true
            }
            _ => false,
        }),
        on_results(
            "the result of batch normalization rounds as its type says",
            |op| matches!(op, Op::Affine(_)),
            |format| {
                let (_, other) = ROUNDINGS
                    .iter()
                    .find(|(from, _)| *from == format.quantization())?;
                Some(format.with_quantization(*other))
            },
        ),
        on_results(
            "concatenation casts to its own type",
            |op| matches!(op, Op::Concat { .. }),
            rounding(Quantization::RndConv, Quantization::Trn),
        ),
        on_results(
            "a rectifier's result rounds",
            |op| matches!(op, Op::Relu(_)),
            |format| Some(format.with_quantization(Quantization::TrnZero)),
        ),
        on_results(
            "a merge's result rounds",
            |op| matches!(op, Op::Combine(_)),
            rounding(Quantization::TrnZero, Quantization::Trn),
        ),
        on_results(
            "a merge's result saturates",
            |op| matches!(op, Op::Combine(_)),
            overflowing(Overflow::Sat, WRAP),
        ),
    ];
    for (from, to) in ROUNDINGS {
        let what = |part: &str| format!("{part}: {from:?}, not {to:?}");
        all.push(on_accumulators(what("products round"), rounding(from, to)));
        all.push(on_results(
            what("results of matrix products round"),
            is_matrix,
            rounding(from, to),
        ));
    }
    for (from, to) in OVERFLOWS {
        let what = |part: &str| format!("{part}: {from:?}, not {to:?}");
        all.push(on_accumulators(what("sums overflow"), overflowing(from, to)));
        all.push(on_results(
            what("results of matrix products overflow"),
            is_matrix,
            overflowing(from, to),
        ));
        all.push(on_results(
            what("results of batch normalization and rectifiers overflow"),
            |op| matches!(op, Op::Affine(_) | Op::Relu(_)),
            overflowing(from, to),
        ));
    }
    all
}

/// Rules that the networks beside the tests must notice.
fn small_mutations() -> Vec<Mutation> {
    vec![
        on_ops(
            "io_stream averages by a tree, io_parallel one after the other",
            |op| match op {
                Op::Pool(pool) => match &mut pool.kind {
                    PoolKind::Average(average) => {
                        average.tree = !average.tree;
                        true
                    }
                    _ => false,
                },
                _ => false,
            },
        ),
        mutation("io_stream casts before it takes the maximum", |network| {
            without_first_cast(network, |kind| matches!(kind, PoolKind::Max { .. }))
        }),
        mutation("io_stream casts before it adds for a global average", |network| {
            without_first_cast(network, |kind| matches!(kind, PoolKind::Average(_)))
        }),
        on_ops("softmax sums in its accumulator type", |op| match op {
            Op::Softmax(softmax) => match Format::new(30, 4, true) {
                Ok(format) => {
                    softmax.accumulator = format;
                    true
                }
                Err(_) => false,
            },
            _ => false,
        }),
        on_results(
            "the result of a pooling rounds as its type says",
            |op| matches!(op, Op::Pool(_)),
            |format| {
                let (_, other) = ROUNDINGS
                    .iter()
                    .find(|(from, _)| *from == format.quantization())?;
                Some(format.with_quantization(*other))
            },
        ),
        on_ops(
            "io_parallel casts the maximum to its accumulator type",
            |op| match op {
                Op::Pool(pool) => match &mut pool.kind {
                    PoolKind::Max { through } => through.take().is_some(),
                    _ => false,
                },
                _ => false,
            },
        ),
        on_ops("an average leaves the padding out of its count", |op| match op {
            Op::Pool(pool) => match &mut pool.kind {
                PoolKind::Average(average) => {
                    average.count_pad = !average.count_pad;
                    true
                }
                _ => false,
            },
            _ => false,
        }),
        on_ops(
            "the padding of an unsigned maximum is half of the range",
            |op| match op {
                Op::Pad(pad) if pad.value != 0 => {
                    pad.value = 0;
                    true
                }
                _ => false,
            },
        ),
        on_ops("a ceiling", |op| match op {
            Op::Relu(relu) => relu.ceiling.take().is_some(),
            _ => false,
        }),
        on_ops("a threshold", |op| match op {
            Op::Relu(relu) if relu.threshold != 0 => {
                relu.threshold += 1;
                true
            }
            _ => false,
        }),
        on_ops("one slope per element", |op| match op {
            Op::Relu(relu) if matches!(relu.slope, Some(Slope::Param(_))) => {
                relu.slope = None;
                true
            }
            _ => false,
        }),
        on_ops(
            "the factor of an exponential linear unit is exact",
            |op| match op {
                Op::Table(table) if table.function == "elu" => {
                    let dropped = 1 << (table.entry_format.frac() - 10).max(1);
                    table
                        .entries
                        .iter_mut()
                        .for_each(|entry| *entry -= entry.rem_euclid(dropped));
                    true
                }
                _ => false,
            },
        ),
        on_ops("the six merges", |op| match op {
            Op::Combine(combine) => {
                combine.op = match combine.op {
                    CombineOp::Add => CombineOp::Average,
                    CombineOp::Subtract => CombineOp::Maximum,
                    CombineOp::Multiply => CombineOp::Add,
                    CombineOp::Average => CombineOp::Add,
                    CombineOp::Maximum => CombineOp::Minimum,
                    CombineOp::Minimum => CombineOp::Maximum,
                };
                true
            }
            _ => false,
        }),
        on_ops(
            "softmax of the latency implementation takes its inputs as they are",
            |op| match op {
                Op::Softmax(softmax) if !softmax.subtract_max => {
                    softmax.subtract_max = true;
                    true
                }
                _ => false,
            },
        ),
        on_ops("the slope of a hard sigmoid has its own type", |op| match op {
            Op::Rescale { factor, .. } => {
                factor.iter_mut().for_each(|factor| *factor += 1);
                true
            }
            _ => false,
        }),
        on_matrices("depthwise sums add in the order of the strategy", |mac| {
            let depthwise = mac.groups > 1 && mac.accumulator.order == Order::Natural;
            if depthwise {
                mac.accumulator.order = Order::Strided { factor: 2 };
            }
            depthwise
        }),
        on_matrices(
            "depthwise sums in strides where the reuse factor exceeds the channels",
            |mac| {
                let strided = mac.groups > 1 && mac.accumulator.order != Order::Natural;
                if strided {
                    mac.accumulator.order = Order::Natural;
                }
                strided
            },
        ),
    ]
}

/// Lets the poolings of a kind read their inputs as they come.
fn without_first_cast(network: &mut Network, of: fn(&PoolKind) -> bool) -> bool {
    let mut changed = false;
    for at in 1..network.nodes.len() {
        let cast = network.nodes[at - 1].clone();
        if !cast.name.ends_with(".accum") {
            continue;
        }
        let Op::Pool(pool) = &mut network.nodes[at].op else {
            continue;
        };
        if !of(&pool.kind) {
            continue;
        }
        if let PoolKind::Max { through } = &mut pool.kind {
            *through = Some(network.tensors[cast.output.index()].encoding.arithmetic());
        }
        network.tensors[cast.output.index()].encoding = network.tensors[cast.inputs[0].index()].encoding;
        changed = true;
    }
    changed
}

/// A network with its golden values.
struct Case {
    name: String,
    network: Network,
    golden: Golden,
}

fn cases(parent: &Path, prefix: &str) -> Vec<Case> {
    folders(parent)
        .into_iter()
        .filter_map(|folder| {
            let name = folder.file_name()?.to_string_lossy().into_owned();
            if !name.starts_with(prefix) {
                return None;
            }
            let network = fml::read(&folder.join("model.fml")).expect("a sound file");
            let golden = hls4ml_common::read(&folder, &network);
            Some(Case {
                name,
                network,
                golden,
            })
        })
        .collect()
}

/// Whether some golden value differs from what the network computes.
fn notices(case: &Case, network: &Network) -> bool {
    let parameters = Parameters::of(network);
    case.golden.inputs.par_iter().enumerate().any(|(sample, input)| {
        let trace = evaluate(network, &parameters, input);
        case.golden.traces.iter().any(|(_, tensor, rows)| {
            rows.get(sample)
                .is_some_and(|expected| trace.tensor(*tensor) != expected.as_slice())
        })
    })
}

fn expect_noticed(cases: &[Case], mutations: &[Mutation]) {
    assert!(!cases.is_empty(), "no golden networks");
    for case in cases {
        assert!(!notices(case, &case.network), "{} differs unchanged", case.name);
    }
    let mut missed = Vec::new();
    for mutation in mutations {
        let mut applied = 0;
        let caught = cases
            .iter()
            .filter(|case| {
                let mut broken = case.network.clone();
                if !(mutation.change)(&mut broken) {
                    return false;
                }
                applied += 1;
                notices(case, &broken)
            })
            .count();
        eprintln!("{}: noticed by {caught} of {applied} networks", mutation.rule);
        if caught == 0 {
            missed.push(format!("{} ({applied} networks have it)", mutation.rule));
        }
    }
    assert!(missed.is_empty(), "not noticed:\n{}", missed.join("\n"));
}

#[test]
fn the_stress_networks_notice_every_broken_rule() {
    let Some(data) = common::shared_data() else {
        return;
    };
    expect_noticed(&cases(&data.join("hls4ml"), "stress_"), &stress_mutations());
}

#[test]
fn the_networks_beside_the_tests_notice_every_broken_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hls4ml");
    expect_noticed(&cases(&folder, ""), &small_mutations());
}
