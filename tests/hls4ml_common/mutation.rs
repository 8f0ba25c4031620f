//! Ways to break a network's rules.

use radstream::fixed_point::{Format, Overflow, Quantization};
use radstream::network::{Encoding, Mac, Network, Op};

/// A broken rule: changes a network and says whether there was anything to change.
pub struct Mutation {
    /// The rule.
    pub rule: String,
    /// The change.
    pub change: Box<dyn Fn(&mut Network) -> bool + Sync>,
}

pub fn mutation(rule: impl Into<String>, change: impl Fn(&mut Network) -> bool + Sync + 'static) -> Mutation {
    Mutation {
        rule: rule.into(),
        change: Box::new(change),
    }
}

/// Changes operations one by one.
pub fn on_ops(rule: impl Into<String>, change: impl Fn(&mut Op) -> bool + Sync + 'static) -> Mutation {
    mutation(rule, move |network| {
        let mut changed = false;
        for node in &mut network.nodes {
            changed |= change(&mut node.op);
        }
        changed
    })
}

pub fn on_matrices(rule: impl Into<String>, change: impl Fn(&mut Mac) -> bool + Sync + 'static) -> Mutation {
    on_ops(rule, move |op| match op {
        Op::Mac(mac) => change(mac),
        _ => false,
    })
}

pub fn on_accumulators(
    rule: impl Into<String>,
    change: impl Fn(Format) -> Option<Format> + Sync + 'static,
) -> Mutation {
    on_matrices(rule, move |mac| match change(mac.accumulator.format) {
        Some(format) => {
            mac.accumulator.format = format;
            true
        }
        None => false,
    })
}

/// Changes the type of the results of some operations.
pub fn on_results(
    rule: impl Into<String>,
    of: fn(&Op) -> bool,
    change: impl Fn(Format) -> Option<Format> + Sync + 'static,
) -> Mutation {
    mutation(rule, move |network| {
        let mut changed = false;
        for node in network.nodes.iter().filter(|node| of(&node.op)) {
            let tensor = &mut network.tensors[node.output.index()];
            if let Encoding::Fixed(format) = &mut tensor.encoding
                && let Some(other) = change(*format)
            {
                *format = other;
                changed = true;
            }
        }
        changed
    })
}

/// Rounds by `to` where the type rounds by `from`.
pub fn rounding(from: Quantization, to: Quantization) -> impl Fn(Format) -> Option<Format> + Sync {
    move |format| (format.quantization() == from).then(|| format.with_quantization(to))
}

/// Overflows by `to` where the type overflows by `from`.
pub fn overflowing(from: Overflow, to: Overflow) -> impl Fn(Format) -> Option<Format> + Sync {
    move |format| {
        (format.overflow() == from)
            .then(|| format.with_overflow(to).ok())
            .flatten()
    }
}

pub const ROUNDINGS: [(Quantization, Quantization); 8] = [
    (Quantization::RndConv, Quantization::Rnd),
    (Quantization::Rnd, Quantization::RndInf),
    (Quantization::RndInf, Quantization::Rnd),
    (Quantization::RndZero, Quantization::RndMinInf),
    (Quantization::RndMinInf, Quantization::RndZero),
    (Quantization::TrnZero, Quantization::Trn),
    (Quantization::Trn, Quantization::TrnZero),
    (Quantization::Trn, Quantization::Rnd),
];

pub const WRAP: Overflow = Overflow::Wrap { saturation_bits: 0 };

pub const OVERFLOWS: [(Overflow, Overflow); 5] = [
    (Overflow::Sat, WRAP),
    (Overflow::SatZero, Overflow::Sat),
    (Overflow::SatSym, Overflow::Sat),
    (WRAP, Overflow::Sat),
    (Overflow::Sat, Overflow::SatZero),
];

/// A type with more bits above and below that keeps the modes.
pub fn widened(format: Format, above: u32, below: u32) -> Option<Format> {
    Format::wide(
        format.width() + above + below,
        format.integer() + above as i32,
        format.signed(),
    )
    .ok()?
    .with_quantization(format.quantization())
    .with_overflow(format.overflow())
    .ok()
}
