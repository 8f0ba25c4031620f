//! Products with output channels side by side: each step of the window is broadcast to all of them.

use super::{COLUMNS, Line, Runs};
use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::level::Instructions;

/// Sums of `blocks * 16` output channels at some pixels.
#[derive(Debug)]
pub struct ColumnTask<'a, T> {
    /// The input buffer.
    pub input: &'a [T],
    /// Starts of the pixels in it.
    pub pixels: &'a [usize],
    /// Added to each start.
    pub shift: usize,
    /// The window in steps of 4 bytes or 2 halves.
    pub runs: &'a Runs,
    /// `[block][step][channel][tap of the step]`.
    pub weights: &'a [Line],
    /// What each channel starts with.
    pub start: &'a [i32],
    /// Sums of the first pixel; the next pixels follow at `stride`.
    pub sums: &'a mut [i32],
    /// Distance of pixels in `sums`.
    pub stride: usize,
}

impl<T> ColumnTask<'_, T> {
    fn blocks(&self) -> usize {
        self.start.len() / COLUMNS
    }

    /// # Panics
    /// Where a slice is too short for what the kernels read and write.
    fn check(&self) {
        self.runs.check(self.input.len(), self.pixels, self.shift);
        let blocks = self.blocks();
        assert!(self.weights.len() >= blocks * self.runs.steps());
        assert!(
            self.pixels.is_empty()
                || self.sums.len() >= (self.pixels.len() - 1) * self.stride + blocks * COLUMNS
        );
    }
}

/// Unsigned bytes times signed bytes.
///
/// # Panics
/// Where a slice of the task is too short.
pub fn byte_columns(level: Level, task: &mut ColumnTask<'_, u8>) {
    task.check();
    match level.instructions() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level proves the instructions, and the check that every access is in bounds.
        Instructions::Avx512Vnni => unsafe { x86::vnni_bytes(task) },
        _ => scalar(task, |line, channel, x| {
            (0..4).fold(0i32, |sum, tap| {
                sum.wrapping_add(i32::from(line.0[4 * channel + tap] as i8) * i32::from(x[tap]))
            })
        }),
    }
}

/// Signed 16-bit numbers times signed 16-bit numbers.
///
/// # Panics
/// Where a slice of the task is too short.
pub fn half_columns(level: Level, task: &mut ColumnTask<'_, i16>) {
    task.check();
    match level.instructions() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level proves the instructions, and the check that every access is in bounds.
        Instructions::Avx512Vnni => unsafe { x86::vnni_halves(task) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx512 => unsafe { x86::avx512_halves(task) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { x86::avx2_halves(task) },
        _ => scalar(task, |line, channel, x| {
            // Both products may be 2^30, whose sum wraps like the instructions' does.
            (i32::from(line.half(2 * channel)) * i32::from(x[0]))
                .wrapping_add(i32::from(line.half(2 * channel + 1)) * i32::from(x[1]))
        }),
    }
}

/// The plain twin. `dot` multiplies one step of a channel.
#[inline(always)]
fn scalar<T: Copy>(task: &mut ColumnTask<'_, T>, dot: impl Fn(&Line, usize, &[T]) -> i32) {
    let step = 4 / size_of::<T>();
    for block in 0..task.blocks() {
        let weights = &task.weights[block * task.runs.steps()..][..task.runs.steps()];
        for (row, &pixel) in task.pixels.iter().enumerate() {
            let mut sums = [0i32; COLUMNS];
            sums.copy_from_slice(&task.start[block * COLUMNS..][..COLUMNS]);
            let mut lines = weights.iter();
            for run in task.runs.list() {
                let input = &task.input[pixel + task.shift + run.offset..][..run.steps * step];
                for (x, line) in input.chunks_exact(step).zip(&mut lines) {
                    for (channel, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.wrapping_add(dot(line, channel, x));
                    }
                }
            }
            task.sums[row * task.stride + block * COLUMNS..][..COLUMNS].copy_from_slice(&sums);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS, ColumnTask, Line};

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn multiply_add(sum: __m512i, x: __m512i, weights: __m512i) -> __m512i {
        _mm512_add_epi32(sum, _mm512_madd_epi16(x, weights))
    }

    /// A kernel over 512-bit registers: `$tile` computes `P` pixels by `16 * N` channels, `$all` the
    /// whole task.
    macro_rules! avx512_columns {
        ($all:ident, $tile:ident, $element:ty, $features:literal, $dot:ident) => {
            /// # Safety
            /// The task has passed its check, and the machine has the instructions.
            #[target_feature(enable = $features)]
            pub unsafe fn $all(task: &mut ColumnTask<'_, $element>) {
                let blocks = task.blocks();
                let mut block = 0;
                while block < blocks {
                    let wide = match blocks - block {
                        1 => 1,
                        2 | 3 => 2,
                        _ if task.pixels.len() < 4 => 4,
                        _ => 2,
                    };
                    let mut pixel = 0;
                    while pixel < task.pixels.len() {
                        let left = task.pixels.len() - pixel;
                        // SAFETY: pixels and blocks lie within the task, whose check the caller made.
                        pixel += unsafe {
                            match (wide, left) {
                                (4, 2..) => $tile::<2, 4>(task, pixel, block),
                                (4, _) => $tile::<1, 4>(task, pixel, block),
                                (2, 12..) => $tile::<12, 2>(task, pixel, block),
                                (2, 8..) => $tile::<8, 2>(task, pixel, block),
                                (2, 4..) => $tile::<4, 2>(task, pixel, block),
                                (2, 2..) => $tile::<2, 2>(task, pixel, block),
                                (2, _) => $tile::<1, 2>(task, pixel, block),
                                (_, 8..) => $tile::<8, 1>(task, pixel, block),
                                (_, 4..) => $tile::<4, 1>(task, pixel, block),
                                (_, 2..) => $tile::<2, 1>(task, pixel, block),
                                _ => $tile::<1, 1>(task, pixel, block),
                            }
                        };
                    }
                    block += wide;
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn $tile<const P: usize, const N: usize>(
                task: &mut ColumnTask<'_, $element>,
                pixel: usize,
                block: usize,
            ) -> usize {
                const STEP: usize = 4 / size_of::<$element>();
                let steps = task.runs.steps();
                // SAFETY: `check` has compared the lengths of all slices with what is read and
                // written here: `reach` elements from each pixel's start, `steps` lines and 16
                // starting values per block, 16 sums per pixel and block.
                unsafe {
                    let mut sums = [[_mm512_setzero_si512(); N]; P];
                    for n in 0..N {
                        let start = _mm512_loadu_si512(task.start.as_ptr().add((block + n) * COLUMNS).cast());
                        for row in &mut sums {
                            row[n] = start;
                        }
                    }
                    let base = task.input.as_ptr().add(task.shift);
                    let mut sources = [base; P];
                    for (p, source) in sources.iter_mut().enumerate() {
                        *source = base.add(*task.pixels.get_unchecked(pixel + p));
                    }
                    let mut line: *const Line = task.weights.as_ptr().add(block * steps);
                    for run in task.runs.list() {
                        let mut at = run.offset;
                        for _ in 0..run.steps {
                            let mut weights = [_mm512_setzero_si512(); N];
                            for (n, weights) in weights.iter_mut().enumerate() {
                                *weights = _mm512_load_si512(line.add(n * steps).cast());
                            }
                            for p in 0..P {
                                let word = sources[p].add(at).cast::<i32>().read_unaligned();
                                let x = _mm512_set1_epi32(word);
                                for n in 0..N {
                                    sums[p][n] = $dot(sums[p][n], x, weights[n]);
                                }
                            }
                            line = line.add(1);
                            at += STEP;
                        }
                    }
                    for (p, row) in sums.iter().enumerate() {
                        let out = task.sums.as_mut_ptr().add((pixel + p) * task.stride);
                        for (n, sum) in row.iter().enumerate() {
                            _mm512_storeu_si512(out.add((block + n) * COLUMNS).cast(), *sum);
                        }
                    }
                }
                P
            }
        };
    }

    avx512_columns!(
        vnni_bytes,
        vnni_bytes_tile,
        u8,
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
        _mm512_dpbusd_epi32
    );
    avx512_columns!(
        vnni_halves,
        vnni_halves_tile,
        i16,
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
        _mm512_dpwssd_epi32
    );
    avx512_columns!(
        avx512_halves,
        avx512_halves_tile,
        i16,
        "avx512f,avx512bw,avx512dq,avx512vl",
        multiply_add
    );

    /// # Safety
    /// The task has passed its check, and the machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2_halves(task: &mut ColumnTask<'_, i16>) {
        for block in 0..task.blocks() {
            let mut pixel = 0;
            while pixel < task.pixels.len() {
                // SAFETY: pixels and blocks lie within the task, whose check the caller made.
                pixel += unsafe {
                    match task.pixels.len() - pixel {
                        4.. => avx2_tile::<4>(task, pixel, block),
                        2.. => avx2_tile::<2>(task, pixel, block),
                        _ => avx2_tile::<1>(task, pixel, block),
                    }
                };
            }
        }
    }

    /// `P` pixels by 16 channels in two registers each.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn avx2_tile<const P: usize>(task: &mut ColumnTask<'_, i16>, pixel: usize, block: usize) -> usize {
        let steps = task.runs.steps();
        // SAFETY: as in the 512-bit kernels.
        unsafe {
            let start: *const __m256i = task.start.as_ptr().add(block * COLUMNS).cast();
            let first = [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))];
            let mut sums = [first; P];
            let base = task.input.as_ptr().add(task.shift);
            let mut sources = [base; P];
            for (p, source) in sources.iter_mut().enumerate() {
                *source = base.add(*task.pixels.get_unchecked(pixel + p));
            }
            let mut line: *const Line = task.weights.as_ptr().add(block * steps);
            for run in task.runs.list() {
                let mut at = run.offset;
                for _ in 0..run.steps {
                    let halves: *const __m256i = line.cast();
                    let weights = [_mm256_load_si256(halves), _mm256_load_si256(halves.add(1))];
                    for p in 0..P {
                        let x = _mm256_set1_epi32(sources[p].add(at).cast::<i32>().read_unaligned());
                        for n in 0..2 {
                            sums[p][n] = _mm256_add_epi32(sums[p][n], _mm256_madd_epi16(x, weights[n]));
                        }
                    }
                    line = line.add(1);
                    at += 2;
                }
            }
            for (p, row) in sums.iter().enumerate() {
                let out = task
                    .sums
                    .as_mut_ptr()
                    .add((pixel + p) * task.stride + block * COLUMNS);
                _mm256_storeu_si256(out.cast(), row[0]);
                _mm256_storeu_si256(out.add(8).cast(), row[1]);
            }
        }
        P
    }
}
