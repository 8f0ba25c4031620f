//! What one core reaches with the same instructions on operands that stay in registers.

use std::hint::black_box;
use std::time::Instant;

use radstream::simulate::functional::fast::Level;

/// Products per second.
pub struct Peaks {
    /// Which instructions.
    pub level: Level,
    /// 8-bit multiply-accumulates.
    pub bytes: f64,
    /// 16-bit multiply-accumulates.
    pub halves: f64,
    /// Bits compared and counted.
    pub bits: f64,
}

/// Rounds of a kernel per call.
const ROUNDS: u64 = 1 << 14;

/// Measures the peaks of the widest level.
pub fn measure() -> Peaks {
    let level = Level::widest();
    #[cfg(target_arch = "x86_64")]
    {
        if level.to_string().contains("vnni") {
            // SAFETY: the level is only there where the machine has these instructions.
            return unsafe {
                Peaks {
                    level,
                    bytes: rate(|| x86::bytes(ROUNDS)),
                    halves: rate(|| x86::halves(ROUNDS)),
                    bits: rate(|| x86::bits(ROUNDS)),
                }
            };
        }
        if level != Level::scalar() {
            // SAFETY: as above; every vector level has AVX2.
            return unsafe {
                let halves = rate(|| x86::halves_avx2(ROUNDS));
                Peaks {
                    level,
                    bytes: halves,
                    halves,
                    bits: rate(|| plain_bits(ROUNDS)),
                }
            };
        }
    }
    let halves = rate(|| plain_products(ROUNDS));
    Peaks {
        level,
        bytes: halves,
        halves,
        bits: rate(|| plain_bits(ROUNDS)),
    }
}

/// The best rate of a kernel that returns how many products it did.
fn rate(kernel: impl Fn() -> u64) -> f64 {
    (0..400)
        .map(|_| {
            let start = Instant::now();
            let products = kernel();
            products as f64 / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

fn plain_products(rounds: u64) -> u64 {
    let (x, weights) = (black_box([3i16; 32]), black_box([-5i16; 32]));
    let mut sums = [0i32; 32];
    for _ in 0..rounds {
        for ((sum, &x), &weight) in sums.iter_mut().zip(black_box(&x)).zip(&weights) {
            *sum = sum.wrapping_add(i32::from(x) * i32::from(weight));
        }
    }
    black_box(sums);
    rounds * 32
}

fn plain_bits(rounds: u64) -> u64 {
    let (x, weights) = (black_box([3u64; 8]), black_box([5u64; 8]));
    let mut counts = [0u64; 8];
    for _ in 0..rounds {
        for ((count, &x), &weight) in counts.iter_mut().zip(black_box(&x)).zip(&weights) {
            *count += u64::from((x ^ weight).count_ones());
        }
    }
    black_box(counts);
    rounds * 512
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Independent sums, enough to hide the latency of a product.
    const SUMS: usize = 16;

    macro_rules! kernel {
        ($(#[$doc:meta])* $name:ident, $features:literal, $vector:ty, $sums:expr, $products:literal, $splat:ident, |$sum:ident, $x:ident, $weight:ident| $round:expr) => {
            $(#[$doc])*
            #[target_feature(enable = $features)]
            pub unsafe fn $name(rounds: u64) -> u64 {
                let mut sums: [$vector; $sums] = [$splat(black_box(0)); $sums];
                let $x = $splat(black_box(3));
                let $weight = $splat(black_box(5));
                for _ in 0..rounds {
                    for $sum in &mut sums {
                        *$sum = $round;
                    }
                    // Keeps the rounds apart without a store.
                    // SAFETY: an empty block.
                    unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) };
                }
                black_box(sums);
                rounds * $sums as u64 * $products
            }
        };
    }

    kernel!(
        /// # Safety
        /// The machine has AVX-512 VNNI.
        bytes, "avx512f,avx512vnni", __m512i, SUMS, 64, _mm512_set1_epi32,
        |sum, x, weight| _mm512_dpbusd_epi32(*sum, x, weight)
    );
    kernel!(
        /// # Safety
        /// The machine has AVX-512 VNNI.
        halves, "avx512f,avx512vnni", __m512i, SUMS, 32, _mm512_set1_epi32,
        |sum, x, weight| _mm512_dpwssd_epi32(*sum, x, weight)
    );
    kernel!(
        /// # Safety
        /// The machine has AVX-512 VPOPCNTDQ.
        bits, "avx512f,avx512vpopcntdq", __m512i, SUMS, 512, _mm512_set1_epi64,
        |sum, x, weight| {
            let mut sum = *sum;
            // SAFETY: registers only. The compiler would otherwise count the same bits once.
            unsafe {
                std::arch::asm!(
                    "vpxorq {differ}, {x}, {weight}",
                    "vpopcntq {differ}, {differ}",
                    "vpaddq {sum}, {sum}, {differ}",
                    differ = out(zmm_reg) _, x = in(zmm_reg) x, weight = in(zmm_reg) weight,
                    sum = inout(zmm_reg) sum,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            sum
        }
    );
    kernel!(
        /// # Safety
        /// The machine has AVX2.
        halves_avx2, "avx2", __m256i, 8, 16, _mm256_set1_epi32,
        |sum, x, weight| {
            let mut sum = *sum;
            // SAFETY: registers only. The compiler would otherwise multiply once.
            unsafe {
                std::arch::asm!(
                    "vpmaddwd {product}, {x}, {weight}",
                    "vpaddd {sum}, {sum}, {product}",
                    product = out(ymm_reg) _, x = in(ymm_reg) x, weight = in(ymm_reg) weight,
                    sum = inout(ymm_reg) sum,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            sum
        }
    );
}
