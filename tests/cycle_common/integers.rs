//! Plain integer arithmetic of a matrix product.

use radstream::simulate::cycle::Arithmetic;
use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::register::{lane, set_lane};

/// Plain integers: weights of `weight_bits` bits in two's complement, running sums that wrap.
pub struct Integers {
    pub sf: u64,
    pub pe: usize,
    pub simd: usize,
    pub activation_bits: u32,
    pub signed: bool,
    pub weight_bits: u32,
    pub sum_bits: u32,
    /// `[row][column]`, for units with a memory of their own.
    pub matrix: Vec<Vec<i64>>,
}

pub fn sign_extend(value: u64, bits: u32) -> i64 {
    (value << (64 - bits)) as i64 >> (64 - bits)
}

impl Arithmetic for Integers {
    fn weight_bits(&self) -> u32 {
        self.weight_bits
    }
    fn activation_bits(&self) -> u32 {
        self.activation_bits
    }
    fn activation_lanes(&self) -> usize {
        self.simd
    }
    fn product_lanes(&self) -> usize {
        self.pe * self.simd
    }
    fn product_bits(&self) -> u32 {
        self.weight_bits + self.activation_bits
    }
    fn sum_lanes(&self) -> usize {
        self.pe
    }
    fn sum_bits(&self) -> u32 {
        self.sum_bits
    }
    fn accumulator_lanes(&self) -> usize {
        self.pe
    }
    fn accumulator_bits(&self) -> u32 {
        self.sum_bits
    }
    fn output_lanes(&self) -> usize {
        self.pe
    }
    fn output_bits(&self) -> u32 {
        self.sum_bits
    }

    fn weights(&self, step: u64, _: &Memories, word: &mut [u64]) {
        let (row, column) = (step / self.sf * self.pe as u64, step % self.sf * self.simd as u64);
        for at in 0..self.pe * self.simd {
            let row = self.matrix.get(row as usize + at / self.simd);
            let weight = row.and_then(|row| row.get(column as usize + at % self.simd));
            set_lane(word, at, self.weight_bits, weight.copied().unwrap_or(0) as u64);
        }
    }

    fn products(&self, _: u64, activations: &[u64], weights: &[u64], products: &mut [u64]) {
        for at in 0..self.pe * self.simd {
            let bits = lane(activations, at % self.simd, self.activation_bits);
            let activation = if self.signed {
                sign_extend(bits, self.activation_bits)
            } else {
                bits as i64
            };
            let weight = sign_extend(lane(weights, at, self.weight_bits), self.weight_bits);
            set_lane(products, at, self.product_bits(), (activation * weight) as u64);
        }
    }

    fn sums(&self, _: u64, products: &[u64], sums: &mut [u64]) {
        for pe in 0..self.pe {
            let product = |at| {
                sign_extend(
                    lane(products, pe * self.simd + at, self.product_bits()),
                    self.product_bits(),
                )
            };
            set_lane(
                sums,
                pe,
                self.sum_bits,
                (0..self.simd).map(product).sum::<i64>() as u64,
            );
        }
    }

    fn accumulate(&self, _: u64, first: bool, sums: &[u64], _: &Memories, accumulators: &mut [u64]) {
        for pe in 0..self.pe {
            let so_far = if first {
                0
            } else {
                lane(accumulators, pe, self.sum_bits)
            };
            let sum = so_far.wrapping_add(lane(sums, pe, self.sum_bits));
            set_lane(accumulators, pe, self.sum_bits, sum);
        }
    }

    fn output(&self, _: u64, accumulators: &[u64], output: &mut [u64]) {
        output.copy_from_slice(accumulators);
    }
}
