//! One threshold per channel, straight to bits.

use crate::simulate::functional::fast::Level;
use crate::simulate::functional::fast::level::Instructions;

/// Whether each sum reaches its channel's threshold, as words of 64 bits.
///
/// `sums` holds rows of 64 sums per word, `thresholds` one row; a bit is inverted where `invert` has
/// it.
///
/// # Panics
/// Where `thresholds` and `invert` are not made for equally many words, or `words` are too few.
pub fn compare(level: Level, sums: &[i32], thresholds: &[i32], invert: &[u64], words: &mut [u64]) {
    assert!(thresholds.len() == 64 * invert.len() && words.len() >= sums.len() / 64);
    match level.instructions() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level proves the instructions.
        Instructions::Avx512 | Instructions::Avx512Vnni => unsafe {
            x86::avx512(sums, thresholds, invert, words);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { x86::avx2(sums, thresholds, invert, words) },
        _ => rows(sums, thresholds, invert, words, scalar),
    }
}

#[inline(always)]
fn rows(
    sums: &[i32],
    thresholds: &[i32],
    invert: &[u64],
    words: &mut [u64],
    compare: impl Fn(&[i32; 64], &[i32; 64]) -> u64,
) {
    let thresholds = thresholds.as_chunks::<64>().0;
    let rows = sums.as_chunks::<64>().0.chunks_exact(invert.len().max(1));
    for (row, words) in rows.zip(words.chunks_exact_mut(invert.len().max(1))) {
        for (((word, sums), thresholds), invert) in words.iter_mut().zip(row).zip(thresholds).zip(invert) {
            *word = compare(sums, thresholds) ^ invert;
        }
    }
}

/// The plain twin.
fn scalar(sums: &[i32; 64], thresholds: &[i32; 64]) -> u64 {
    let pairs = sums.iter().zip(thresholds).enumerate();
    pairs.fold(0, |word, (at, (sum, threshold))| {
        word | u64::from(sum >= threshold) << at
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub fn avx512(sums: &[i32], thresholds: &[i32], invert: &[u64], words: &mut [u64]) {
        super::rows(sums, thresholds, invert, words, |sums, thresholds| {
            let mut word = 0;
            for part in 0..4 {
                // SAFETY: 16 elements from `16 * part` on, of 64.
                let (sum, threshold) = unsafe {
                    (
                        _mm512_loadu_si512(sums.as_ptr().add(16 * part).cast()),
                        _mm512_loadu_si512(thresholds.as_ptr().add(16 * part).cast()),
                    )
                };
                word |= u64::from(_mm512_cmpge_epi32_mask(sum, threshold)) << (16 * part);
            }
            word
        });
    }

    #[target_feature(enable = "avx2")]
    pub fn avx2(sums: &[i32], thresholds: &[i32], invert: &[u64], words: &mut [u64]) {
        super::rows(sums, thresholds, invert, words, |sums, thresholds| {
            let mut below = 0u64;
            for part in 0..8 {
                // SAFETY: 8 elements from `8 * part` on, of 64.
                let (sum, threshold) = unsafe {
                    (
                        _mm256_loadu_si256(sums.as_ptr().add(8 * part).cast()),
                        _mm256_loadu_si256(thresholds.as_ptr().add(8 * part).cast()),
                    )
                };
                let less = _mm256_castsi256_ps(_mm256_cmpgt_epi32(threshold, sum));
                below |= u64::from(_mm256_movemask_ps(less) as u8) << (8 * part);
            }
            !below
        });
    }
}
