//! What a matrix-vector-activation unit computes between its registers.

use super::memory::Memories;

/// The combinational parts of a matrix product's pipeline. Words are packed as [`super::register`] says.
///
/// A *step* is one clock cycle of the fold: for FINN's folding step `nf*SF + sf` multiplies columns
/// `sf*SIMD..` of the rows `nf*PE..`. A step beyond the schedule, which only an upset counter asks for,
/// reads weights of zero bits.
pub trait Arithmetic: Send + Sync {
    /// Bits of one weight lane.
    fn weight_bits(&self) -> u32;
    /// Bits of one activation lane.
    fn activation_bits(&self) -> u32;
    /// Lanes of the activation word of a step.
    fn activation_lanes(&self) -> usize;
    /// Multipliers: lanes of the weight word and of the product word.
    fn product_lanes(&self) -> usize;
    /// Bits of one product lane.
    fn product_bits(&self) -> u32;
    /// Lanes of the word of sums of one step.
    fn sum_lanes(&self) -> usize;
    /// Bits of one sum lane.
    fn sum_bits(&self) -> u32;
    /// Running sums.
    fn accumulator_lanes(&self) -> usize;
    /// Bits of one running sum.
    fn accumulator_bits(&self) -> u32;
    /// Lanes of an output word.
    fn output_lanes(&self) -> usize;
    /// Bits of one output lane.
    fn output_bits(&self) -> u32;

    /// The weight word that a step reads from the memories.
    fn weights(&self, step: u64, memories: &Memories, word: &mut [u64]);
    /// Overwrites the weight word of a step, until the memories are packed anew.
    fn store(&self, memories: &mut Memories, step: u64, word: &[u64]) {
        let _ = (memories, step, word);
    }
    /// Weight and activation lanes to products.
    fn products(&self, step: u64, activations: &[u64], weights: &[u64], products: &mut [u64]);
    /// The adder trees: products to one sum per running sum (or the products themselves, where the
    /// running sum rounds or saturates at every addition).
    fn sums(&self, step: u64, products: &[u64], sums: &mut [u64]);
    /// Adds the sums to the running sums; `first` starts them anew from the bias.
    fn accumulate(&self, step: u64, first: bool, sums: &[u64], memories: &Memories, accumulators: &mut [u64]);
    /// Running sums to the output word of the step that completes them.
    fn output(&self, step: u64, accumulators: &[u64], output: &mut [u64]);
}

/// An arithmetic without lanes, which computes nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoLanes;

impl Arithmetic for NoLanes {
    fn weight_bits(&self) -> u32 {
        1
    }
    fn activation_bits(&self) -> u32 {
        1
    }
    fn activation_lanes(&self) -> usize {
        0
    }
    fn product_lanes(&self) -> usize {
        0
    }
    fn product_bits(&self) -> u32 {
        1
    }
    fn sum_lanes(&self) -> usize {
        0
    }
    fn sum_bits(&self) -> u32 {
        1
    }
    fn accumulator_lanes(&self) -> usize {
        0
    }
    fn accumulator_bits(&self) -> u32 {
        1
    }
    fn output_lanes(&self) -> usize {
        0
    }
    fn output_bits(&self) -> u32 {
        1
    }

    fn weights(&self, _: u64, _: &Memories, _: &mut [u64]) {}
    fn products(&self, _: u64, _: &[u64], _: &[u64], _: &mut [u64]) {}
    fn sums(&self, _: u64, _: &[u64], _: &mut [u64]) {}
    fn accumulate(&self, _: u64, _: bool, _: &[u64], _: &Memories, _: &mut [u64]) {}
    fn output(&self, _: u64, _: &[u64], _: &mut [u64]) {}
}
