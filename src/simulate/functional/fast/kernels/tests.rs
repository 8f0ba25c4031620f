//! Every kernel against its definition, at every level.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::simulate::functional::fast::Level;

/// A window of some runs and pixels anywhere in an input that is long enough.
#[derive(Debug)]
struct Places {
    parts: Vec<(usize, usize)>,
    pixels: Vec<usize>,
    shift: usize,
    len: usize,
}

fn places(rng: &mut ChaCha8Rng, longest: usize) -> Places {
    let parts: Vec<(usize, usize)> = (0..rng.random_range(1..4))
        .map(|_| (rng.random_range(0..40), rng.random_range(1..longest)))
        .collect();
    let pixels: Vec<usize> = (0..rng.random_range(1..30))
        .map(|_| rng.random_range(0..50))
        .collect();
    let shift = rng.random_range(0..5);
    Places {
        len: 5 + 50 + 40 + longest + 64,
        parts,
        pixels,
        shift,
    }
}

/// The input elements that each step of the runs meets at a pixel, zeros behind the end of a run.
fn window<T: Copy>(places: &Places, input: &[T], pixel: usize, step: usize) -> Vec<T> {
    let starts = places
        .parts
        .iter()
        .map(|&(offset, length)| (offset, length.next_multiple_of(step)));
    starts
        .flat_map(|(offset, length)| input[pixel + places.shift + offset..][..length].iter().copied())
        .collect()
}

fn start(rng: &mut ChaCha8Rng, len: usize) -> Vec<i32> {
    // The extremes, too: sums wrap.
    (0..len).map(|_| rng.random::<i32>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn byte_columns_are_sums_of_products(seed: u64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let places = places(rng, 70);
        let input: Vec<u8> = (0..places.len).map(|_| rng.random()).collect();
        let (blocks, runs) = (rng.random_range(1..7), Runs::new(&places.parts, 4));
        let weights: Vec<Line> = (0..blocks * runs.steps()).map(|_| Line(rng.random())).collect();
        let start = start(rng, blocks * COLUMNS);
        let stride = start.len() + 3;
        for level in Level::available() {
            let mut sums = vec![7; places.pixels.len() * stride];
            byte_columns(level, &mut ColumnTask {
                input: &input, pixels: &places.pixels, shift: places.shift, runs: &runs,
                weights: &weights, start: &start, sums: &mut sums, stride,
            });
            for (row, &pixel) in places.pixels.iter().enumerate() {
                let x = window(&places, &input, pixel, 4);
                for (channel, &start) in start.iter().enumerate() {
                    let (block, place) = (channel / COLUMNS, channel % COLUMNS);
                    let sum: i64 = x.iter().enumerate().map(|(at, &x)| {
                        let line = weights[block * runs.steps() + at / 4];
                        i64::from(x) * i64::from(line.0[place * 4 + at % 4] as i8)
                    }).sum();
                    prop_assert_eq!(sums[row * stride + channel], (sum + i64::from(start)) as i32, "{}", level);
                }
                prop_assert_eq!(&sums[row * stride + start.len()..][..3], &[7; 3], "{}", level);
            }
        }
    }

    #[test]
    fn half_columns_are_sums_of_products(seed: u64, extreme: bool) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let places = places(rng, 40);
        let mut half = || if extreme { i16::MIN } else { rng.random() };
        let input: Vec<i16> = (0..places.len).map(|_| half()).collect();
        let runs = Runs::new(&places.parts, 2);
        let blocks = 1 + places.shift;
        let mut weights = vec![Line::ZERO; blocks * runs.steps()];
        for line in &mut weights {
            (0..32).for_each(|at| line.set_half(at, half()));
        }
        let start = start(rng, blocks * COLUMNS);
        let stride = start.len();
        for level in Level::available() {
            let mut sums = vec![7; places.pixels.len() * stride];
            half_columns(level, &mut ColumnTask {
                input: &input, pixels: &places.pixels, shift: places.shift, runs: &runs,
                weights: &weights, start: &start, sums: &mut sums, stride,
            });
            for (row, &pixel) in places.pixels.iter().enumerate() {
                let x = window(&places, &input, pixel, 2);
                for (channel, &start) in start.iter().enumerate() {
                    let (block, place) = (channel / COLUMNS, channel % COLUMNS);
                    let sum: i64 = x.iter().enumerate().map(|(at, &x)| {
                        let line = weights[block * runs.steps() + at / 2];
                        i64::from(x) * i64::from(line.half(place * 2 + at % 2))
                    }).sum();
                    prop_assert_eq!(sums[row * stride + channel], (sum + i64::from(start)) as i32, "{}", level);
                }
            }
        }
    }

    #[test]
    fn byte_rows_are_sums_of_products(seed: u64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let places = places(rng, 200);
        let input: Vec<u8> = (0..places.len + 64).map(|_| rng.random()).collect();
        let (quads, runs) = (rng.random_range(1..4), Runs::new(&places.parts, 64));
        let weights: Vec<Line> = (0..quads * runs.steps() * ROWS).map(|_| Line(rng.random())).collect();
        let start = start(rng, quads * ROWS);
        let stride = start.len() + 1;
        for level in Level::available() {
            let mut sums = vec![7; places.pixels.len() * stride];
            byte_rows(level, &mut RowTask {
                input: &input, pixels: &places.pixels, shift: places.shift, runs: &runs,
                weights: &weights, start: &start, sums: &mut sums, stride,
            });
            for (row, &pixel) in places.pixels.iter().enumerate() {
                let x = window(&places, &input, pixel, 64);
                for (channel, &start) in start.iter().enumerate() {
                    let (quad, place) = (channel / ROWS, channel % ROWS);
                    let sum: i64 = x.iter().enumerate().map(|(at, &x)| {
                        let line = weights[(quad * runs.steps() + at / 64) * ROWS + place];
                        i64::from(x) * i64::from(line.0[at % 64] as i8)
                    }).sum();
                    prop_assert_eq!(sums[row * stride + channel], (sum + i64::from(start)) as i32, "{}", level);
                }
            }
        }
    }

    #[test]
    fn mismatches_are_counted(seed: u64, log2_loss in 0u32..2) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let places = places(rng, 12);
        let input: Vec<u64> = (0..places.len).map(|_| rng.random()).collect();
        let (blocks, runs) = (rng.random_range(1..7), Runs::new(&places.parts, 1));
        let mut weights = vec![Line::ZERO; blocks * runs.steps()];
        for line in &mut weights {
            (0..BIT_COLUMNS).for_each(|at| line.set_word(at, rng.random()));
        }
        let start = start(rng, blocks * BIT_COLUMNS);
        let stride = start.len() + 2;
        for level in Level::available() {
            let mut sums = vec![7; places.pixels.len() * stride];
            mismatches(level, &mut BitTask {
                input: &input, pixels: &places.pixels, shift: places.shift, runs: &runs,
                weights: &weights, start: &start, log2_loss, sums: &mut sums, stride,
            });
            for (row, &pixel) in places.pixels.iter().enumerate() {
                let x = window(&places, &input, pixel, 1);
                for (channel, &start) in start.iter().enumerate() {
                    let (block, place) = (channel / BIT_COLUMNS, channel % BIT_COLUMNS);
                    let differ: u32 = x.iter().enumerate().map(|(at, &x)| {
                        (0..64).filter(|bit| (x ^ weights[block * runs.steps() + at].word(place)) >> bit & 1 == 1).count() as u32
                    }).sum();
                    let loss = i64::from(differ) * i64::from(1 + log2_loss);
                    prop_assert_eq!(sums[row * stride + channel], (i64::from(start) - loss) as i32, "{}", level);
                }
            }
        }
    }

    #[test]
    fn thresholds_become_bits(seed: u64, words in 1usize..4, near: bool) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut number = || if near { rng.random_range(-2..3) } else { rng.random::<i32>() };
        let sums: Vec<i32> = (0..3 * 64 * words).map(|_| number()).collect();
        let thresholds: Vec<i32> = (0..64 * words).map(|_| number()).collect();
        let invert: Vec<u64> = (0..words).map(|_| rng.random()).collect();
        for level in Level::available() {
            let mut found = vec![0; 3 * words];
            compare(level, &sums, &thresholds, &invert, &mut found);
            for at in 0..3 * 64 * words {
                let channel = at % (64 * words);
                let inverted = invert[channel / 64] >> (channel % 64) & 1 == 1;
                let wanted = (sums[at] >= thresholds[channel]) != inverted;
                prop_assert_eq!(found[at / 64] >> (at % 64) & 1 == 1, wanted, "{} {}", level, at);
            }
        }
    }
}

#[test]
#[should_panic(expected = "beyond its buffer")]
fn a_window_beyond_the_buffer_is_refused() {
    let runs = Runs::new(&[(0, 4), (60, 4)], 4);
    byte_columns(
        Level::widest(),
        &mut ColumnTask {
            input: &[0; 70],
            pixels: &[0, 7],
            shift: 0,
            runs: &runs,
            weights: &[Line::ZERO; 2],
            start: &[0; COLUMNS],
            sums: &mut [0; 2 * COLUMNS],
            stride: COLUMNS,
        },
    );
}
