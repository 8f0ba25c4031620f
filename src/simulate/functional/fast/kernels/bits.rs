//! Products of bipolar operands: bits that differ, counted word by word.

use super::{BIT_COLUMNS, Line, Runs};
use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::level::Instructions;

/// Sums of `blocks * 8` output channels at some pixels: `start - mismatches << shift`.
#[derive(Debug)]
pub struct BitTask<'a> {
    /// The input buffer, words of channels.
    pub input: &'a [u64],
    /// Starts of the pixels in it.
    pub pixels: &'a [usize],
    /// Added to each start.
    pub shift: usize,
    /// The window in words.
    pub runs: &'a Runs,
    /// `[block][word][channel]`; bits beyond the window's are zero in the input and here.
    pub weights: &'a [Line],
    /// What each channel starts with.
    pub start: &'a [i32],
    /// Binary logarithm of what a mismatch takes away: 0 for a count of matches, 1 for a product.
    pub log2_loss: u32,
    /// Sums of the first pixel; the next pixels follow at `stride`.
    pub sums: &'a mut [i32],
    /// Distance of pixels in `sums`.
    pub stride: usize,
}

impl BitTask<'_> {
    fn blocks(&self) -> usize {
        self.start.len() / BIT_COLUMNS
    }

    /// # Panics
    /// Where a slice is too short for what the kernels read and write.
    fn check(&self) {
        self.runs.check(self.input.len(), self.pixels, self.shift);
        let blocks = self.blocks();
        assert!(self.weights.len() >= blocks * self.runs.steps());
        assert!(
            self.pixels.is_empty()
                || self.sums.len() >= (self.pixels.len() - 1) * self.stride + blocks * BIT_COLUMNS
        );
    }
}

/// Counts the bits that differ and subtracts them from the starts.
///
/// # Panics
/// Where a slice of the task is too short.
pub fn mismatches(level: Level, task: &mut BitTask<'_>) {
    task.check();
    match level.instructions() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level proves the instructions, and the check that every access is in bounds.
        Instructions::Avx512Vnni => unsafe { x86::vpopcntdq(task) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx2 | Instructions::Avx512 => unsafe { x86::avx2(task) },
        _ => scalar(task),
    }
}

/// The plain twin.
#[inline(always)]
fn scalar(task: &mut BitTask<'_>) {
    for block in 0..task.blocks() {
        let weights = &task.weights[block * task.runs.steps()..][..task.runs.steps()];
        for (row, &pixel) in task.pixels.iter().enumerate() {
            let mut counts = [0u64; BIT_COLUMNS];
            let mut lines = weights.iter();
            for run in task.runs.list() {
                let input = &task.input[pixel + task.shift + run.offset..][..run.steps];
                for (&x, line) in input.iter().zip(&mut lines) {
                    for (channel, count) in counts.iter_mut().enumerate() {
                        *count += u64::from((x ^ line.word(channel)).count_ones());
                    }
                }
            }
            let first = block * BIT_COLUMNS;
            for (channel, &count) in counts.iter().enumerate() {
                task.sums[row * task.stride + first + channel] =
                    task.start[first + channel].wrapping_sub((count << task.log2_loss) as i32);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BIT_COLUMNS, BitTask, Line};

    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2,popcnt")]
    pub unsafe fn avx2(task: &mut BitTask<'_>) {
        super::scalar(task);
    }

    /// # Safety
    /// The task has passed its check, and the machine has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
    pub unsafe fn vpopcntdq(task: &mut BitTask<'_>) {
        let blocks = task.blocks();
        let mut block = 0;
        while block < blocks {
            let wide = match blocks - block {
                1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
            let mut pixel = 0;
            while pixel < task.pixels.len() {
                let left = task.pixels.len() - pixel;
                // SAFETY: pixels and blocks lie within the task, whose check the caller made.
                pixel += unsafe {
                    match (wide, left) {
                        (4, 4..) => tile::<4, 4>(task, pixel, block),
                        (4, 2..) => tile::<2, 4>(task, pixel, block),
                        (4, _) => tile::<1, 4>(task, pixel, block),
                        (2, 4..) => tile::<4, 2>(task, pixel, block),
                        (2, _) => tile::<1, 2>(task, pixel, block),
                        (_, 4..) => tile::<4, 1>(task, pixel, block),
                        _ => tile::<1, 1>(task, pixel, block),
                    }
                };
            }
            block += wide;
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
    unsafe fn tile<const P: usize, const N: usize>(
        task: &mut BitTask<'_>,
        pixel: usize,
        block: usize,
    ) -> usize {
        let steps = task.runs.steps();
        // SAFETY: `check` has compared the lengths of all slices with what is read and written here:
        // `reach` words from each pixel's start, `steps` lines and 8 starting values per block, 8 sums
        // per pixel and block.
        unsafe {
            let mut counts = [[_mm512_setzero_si512(); N]; P];
            let base = task.input.as_ptr().add(task.shift);
            let mut sources = [base; P];
            for (p, source) in sources.iter_mut().enumerate() {
                *source = base.add(*task.pixels.get_unchecked(pixel + p));
            }
            let mut line: *const Line = task.weights.as_ptr().add(block * steps);
            for run in task.runs.list() {
                for at in run.offset..run.offset + run.steps {
                    let mut weights = [_mm512_setzero_si512(); N];
                    for (n, weights) in weights.iter_mut().enumerate() {
                        *weights = _mm512_load_si512(line.add(n * steps).cast());
                    }
                    for p in 0..P {
                        let x = _mm512_set1_epi64(*sources[p].add(at) as i64);
                        for n in 0..N {
                            let differ = _mm512_popcnt_epi64(_mm512_xor_si512(x, weights[n]));
                            counts[p][n] = _mm512_add_epi64(counts[p][n], differ);
                        }
                    }
                    line = line.add(1);
                }
            }
            let shift = _mm_cvtsi32_si128(task.log2_loss as i32);
            for n in 0..N {
                let first = (block + n) * BIT_COLUMNS;
                let start = _mm256_loadu_si256(task.start.as_ptr().add(first).cast());
                for (p, counts) in counts.iter().enumerate() {
                    let lost = _mm256_sll_epi32(_mm512_cvtepi64_epi32(counts[n]), shift);
                    let out = task.sums.as_mut_ptr().add((pixel + p) * task.stride + first);
                    _mm256_storeu_si256(out.cast(), _mm256_sub_epi32(start, lost));
                }
            }
        }
        P
    }
}
