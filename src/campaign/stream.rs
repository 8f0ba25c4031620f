//! Where random numbers come from: the only place that opens a stream of them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Random numbers that are the same on every machine.
pub type Stream = ChaCha8Rng;

/// The stream of one trial: stream `number` of ChaCha8 under `seed`. Streams of different numbers are
/// independent, so that a trial is a pure function of the seed and its number.
#[must_use]
pub fn stream(seed: u64, number: u64) -> Stream {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    random
}
