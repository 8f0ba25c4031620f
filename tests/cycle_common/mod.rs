//! What tests of single stages need.

pub mod integers;

use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::{limbs, set_lane};

/// The hash that the test benches draw their data and gates from.
pub fn mix(x: u32) -> u32 {
    let x = x ^ (x >> 16);
    let x = x.wrapping_mul(0x7feb_352d);
    let x = x ^ (x >> 15);
    let x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// A packed word from its lanes.
pub fn pack(shape: StreamShape, lane: impl Fn(usize) -> u64) -> Vec<u64> {
    let mut word = vec![0; limbs(shape.lanes, shape.lane_bits)];
    for at in 0..shape.lanes {
        set_lane(&mut word, at, shape.lane_bits, lane(at));
    }
    word
}

/// What an input shows where nothing is offered.
pub const NO_WORD: [u64; 64] = [0; 64];

/// No parameters.
pub fn no_memories() -> Memories {
    Memories::of_values(Vec::new())
}
