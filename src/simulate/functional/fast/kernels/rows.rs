//! Products with taps side by side, for layers of few output channels: each channel multiplies 64
//! bytes of the window at once, and its partial sums are added up at the end.

use super::{Line, ROWS, Runs};
use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::level::Instructions;

/// Sums of `quads * 4` output channels at some pixels.
#[derive(Debug)]
pub struct RowTask<'a> {
    /// The input buffer.
    pub input: &'a [u8],
    /// Starts of the pixels in it.
    pub pixels: &'a [usize],
    /// Added to each start.
    pub shift: usize,
    /// The window in steps of 64 bytes.
    pub runs: &'a Runs,
    /// `[quad][step][channel of the quad][tap]`.
    pub weights: &'a [Line],
    /// What each channel starts with.
    pub start: &'a [i32],
    /// Sums of the first pixel; the next pixels follow at `stride`.
    pub sums: &'a mut [i32],
    /// Distance of pixels in `sums`.
    pub stride: usize,
}

impl RowTask<'_> {
    fn quads(&self) -> usize {
        self.start.len() / ROWS
    }

    /// # Panics
    /// Where a slice is too short for what the kernels read and write.
    fn check(&self) {
        self.runs.check(self.input.len(), self.pixels, self.shift);
        let quads = self.quads();
        assert!(self.weights.len() >= quads * self.runs.steps() * ROWS);
        assert!(
            self.pixels.is_empty() || self.sums.len() >= (self.pixels.len() - 1) * self.stride + quads * ROWS
        );
    }
}

/// Unsigned bytes times signed bytes.
///
/// # Panics
/// Where a slice of the task is too short.
pub fn byte_rows(level: Level, task: &mut RowTask<'_>) {
    task.check();
    match level.instructions() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level proves the instructions, and the check that every access is in bounds.
        Instructions::Avx512Vnni => unsafe { x86::vnni(task) },
        _ => scalar(task),
    }
}

/// The plain twin.
fn scalar(task: &mut RowTask<'_>) {
    for channel in 0..task.start.len() {
        let (quad, row) = (channel / ROWS, channel % ROWS);
        let lines = &task.weights[quad * task.runs.steps() * ROWS..];
        for (index, &pixel) in task.pixels.iter().enumerate() {
            let mut sum = task.start[channel];
            let mut steps = lines.chunks_exact(ROWS);
            for run in task.runs.list() {
                let input = &task.input[pixel + task.shift + run.offset..][..run.steps * 64];
                for (x, lines) in input.chunks_exact(64).zip(&mut steps) {
                    let products = x.iter().zip(&lines[row].0);
                    sum = products.fold(sum, |sum, (&x, &weight)| {
                        sum.wrapping_add(i32::from(x) * i32::from(weight as i8))
                    });
                }
            }
            task.sums[index * task.stride + channel] = sum;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Line, ROWS, RowTask};

    /// # Safety
    /// The task has passed its check, and the machine has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub unsafe fn vnni(task: &mut RowTask<'_>) {
        for quad in 0..task.quads() {
            let mut pixel = 0;
            while pixel < task.pixels.len() {
                // SAFETY: pixels and quads lie within the task, whose check the caller made.
                pixel += unsafe {
                    match task.pixels.len() - pixel {
                        4.. => tile::<4>(task, pixel, quad),
                        2.. => tile::<2>(task, pixel, quad),
                        _ => tile::<1>(task, pixel, quad),
                    }
                };
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn tile<const P: usize>(task: &mut RowTask<'_>, pixel: usize, quad: usize) -> usize {
        // SAFETY: `check` has compared the lengths of all slices with what is read and written here:
        // `reach` bytes from each pixel's start, four lines per step, four sums per pixel and quad.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); ROWS]; P];
            let base = task.input.as_ptr().add(task.shift);
            let mut sources = [base; P];
            for (p, source) in sources.iter_mut().enumerate() {
                *source = base.add(*task.pixels.get_unchecked(pixel + p));
            }
            let mut line: *const Line = task.weights.as_ptr().add(quad * task.runs.steps() * ROWS);
            for run in task.runs.list() {
                let mut at = run.offset;
                for _ in 0..run.steps {
                    let mut x = [_mm512_setzero_si512(); P];
                    for (x, source) in x.iter_mut().zip(&sources) {
                        *x = _mm512_loadu_si512(source.add(at).cast());
                    }
                    let mut weights = [_mm512_setzero_si512(); ROWS];
                    for (row, weights) in weights.iter_mut().enumerate() {
                        *weights = _mm512_load_si512(line.add(row).cast());
                    }
                    for (sums, &x) in sums.iter_mut().zip(&x) {
                        for (sum, &weights) in sums.iter_mut().zip(&weights) {
                            *sum = _mm512_dpbusd_epi32(*sum, x, weights);
                        }
                    }
                    line = line.add(ROWS);
                    at += 64;
                }
            }
            let start = _mm_loadu_si128(task.start.as_ptr().add(quad * ROWS).cast());
            for (p, sums) in sums.iter().enumerate() {
                let out = task
                    .sums
                    .as_mut_ptr()
                    .add((pixel + p) * task.stride + quad * ROWS);
                _mm_storeu_si128(out.cast(), _mm_add_epi32(start, across(sums)));
            }
        }
        P
    }

    /// The sum over the lanes of each of four registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn across(sums: &[__m512i; ROWS]) -> __m128i {
        let pair = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (low, high) = (pair(sums[0], sums[1]), pair(sums[2], sums[3]));
        let four = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
        let two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
        _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
    }
}
