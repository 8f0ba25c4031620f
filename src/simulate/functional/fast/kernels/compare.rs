//! One threshold per channel, straight to bits.

use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::level::Instructions;

/// Whether each sum reaches its channel's threshold, as words of 64 bits.
///
/// `sums` holds 64 sums per word, `thresholds` as many; a bit is inverted where `invert` has it.
///
/// # Panics
/// Where `thresholds`, `invert` and `words` are not made for as many words as `sums`.
pub fn compare(level: Level, sums: &[i32], thresholds: &[i32], invert: &[u64], words: &mut [u64]) {
    let count = sums.len() / 64;
    let sums = &sums[..count * 64];
    let (thresholds, invert, words) = (&thresholds[..count * 64], &invert[..count], &mut words[..count]);
    let pairs = sums.chunks_exact(64).zip(thresholds.chunks_exact(64));
    for ((word, invert), (sums, thresholds)) in words.iter_mut().zip(invert).zip(pairs) {
        let reached = match level.instructions() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level proves the instructions, and both slices have 64 elements.
            Instructions::Avx512 | Instructions::Avx512Vnni => unsafe { x86::avx512(sums, thresholds) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Instructions::Avx2 => unsafe { x86::avx2(sums, thresholds) },
            _ => scalar(sums, thresholds),
        };
        *word = reached ^ invert;
    }
}

/// The plain twin.
fn scalar(sums: &[i32], thresholds: &[i32]) -> u64 {
    let pairs = sums.iter().zip(thresholds).enumerate();
    pairs.fold(0, |word, (at, (sum, threshold))| {
        word | u64::from(sum >= threshold) << at
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// # Safety
    /// The machine has the instructions, and both slices have 64 elements.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(sums: &[i32], thresholds: &[i32]) -> u64 {
        (0..4).fold(0, |word, part| {
            // SAFETY: 16 elements from `16 * part` on, of 64.
            let (sum, threshold) = unsafe {
                (
                    _mm512_loadu_si512(sums.as_ptr().add(16 * part).cast()),
                    _mm512_loadu_si512(thresholds.as_ptr().add(16 * part).cast()),
                )
            };
            word | u64::from(_mm512_cmpge_epi32_mask(sum, threshold)) << (16 * part)
        })
    }

    /// # Safety
    /// The machine has AVX2, and both slices have 64 elements.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2(sums: &[i32], thresholds: &[i32]) -> u64 {
        let below = (0..8).fold(0u64, |word, part| {
            // SAFETY: 8 elements from `8 * part` on, of 64.
            let (sum, threshold) = unsafe {
                (
                    _mm256_loadu_si256(sums.as_ptr().add(8 * part).cast()),
                    _mm256_loadu_si256(thresholds.as_ptr().add(8 * part).cast()),
                )
            };
            let less = _mm256_castsi256_ps(_mm256_cmpgt_epi32(threshold, sum));
            word | u64::from(_mm256_movemask_ps(less) as u8) << (8 * part)
        });
        !below
    }
}
