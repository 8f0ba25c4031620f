//! Poisson counts of any mean.

use rand::{Rng, RngExt};

/// Below this mean a count is drawn gap by gap.
const GAPS_BELOW: f64 = 10.0;

/// Largest mean that is drawn; the number of strikes of a larger one is cut to it.
const MAX_MEAN: f64 = 9e15;

/// A Poisson distributed count.
///
/// Below a mean of 10 the gaps of a Poisson process are summed up, with random numbers that are fine
/// enough for any small mean. From there the transformed rejection PTRS of W. Hoermann, "The
/// transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
/// Economics 12 (1993) 39-45; the acceptance test uses the saddle-point form of the density of
/// C. Loader, "Fast and accurate computation of binomial probabilities" (2000), which does not cancel
/// for large means. A mean that is not above 0 gives 0.
pub fn poisson(mean: f64, random: &mut impl Rng) -> u64 {
    if mean.is_nan() || mean <= 0.0 {
        0
    } else if mean < GAPS_BELOW {
        gaps(mean, random)
    } else {
        transformed_rejection(mean.min(MAX_MEAN), random)
    }
}

fn gaps(mean: f64, random: &mut impl Rng) -> u64 {
    let mut count = 0;
    let mut left = mean;
    loop {
        left -= exponential(random);
        if left < 0.0 {
            return count;
        }
        count += 1;
    }
}

/// An exponentially distributed number of mean 1, small ones with full precision.
fn exponential(random: &mut impl Rng) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    let coarse: f64 = random.random();
    let fine: f64 = random.random();
    let uniform = coarse + fine * STEP;
    -libm::log1p(-uniform.min(1.0 - STEP / 2.0))
}

fn transformed_rejection(mean: f64, random: &mut impl Rng) -> u64 {
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let always = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = random.random::<f64>() - 0.5;
        // In (0, 1]: its logarithm is finite.
        let v = 1.0 - random.random::<f64>();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
        if us >= 0.07 && v <= always {
            return k as u64;
        }
        if k < 0.0 || !k.is_finite() || (us < 0.013 && v > us) {
            continue;
        }
        let bound = libm::log(v) + libm::log(inverse_alpha) - libm::log(a / (us * us) + b);
        if bound <= log_density(k, mean) {
            return k as u64;
        }
    }
}

/// Logarithm of the probability of a count.
fn log_density(count: f64, mean: f64) -> f64 {
    if count == 0.0 {
        return -mean;
    }
    -stirling_error(count) - deviance(count, mean) - 0.5 * libm::log(std::f64::consts::TAU * count)
}

/// `ln n! - ln(sqrt(2 pi n) (n/e)^n)`.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let ln_factorial: f64 = (2..=n as u32).map(|k| libm::log(f64::from(k))).sum();
        return ln_factorial - 0.5 * libm::log(std::f64::consts::TAU * n) - n * libm::log(n) + n;
    }
    let square = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / 1680.0 / square) / square) / square) / n
}

/// `x ln(x/m) + m - x` without cancellation.
fn deviance(x: f64, m: f64) -> f64 {
    let v = (x - m) / (x + m);
    if v.abs() >= 0.1 {
        return x * libm::log(x / m) + m - x;
    }
    // x ln(x/m) = 2x (v + v^3/3 + v^5/5 + ...), and m - x = -v (x + m).
    let mut power = 2.0 * x * v;
    let mut sum = (x - m) * v;
    for odd in 1_u32.. {
        power *= v * v;
        let next = sum + power / f64::from(2 * odd + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_is_that_of_its_definition() {
        // Counts whose probabilities are far from denormal numbers.
        for mean in [3.0_f64, 10.0, 57.5] {
            let mut probability = libm::exp(-mean);
            for count in 0..150 {
                let got = libm::exp(log_density(f64::from(count), mean));
                assert!((got / probability - 1.0).abs() < 1e-11, "{mean} {count}");
                probability *= mean / f64::from(count + 1);
            }
        }
    }

    #[test]
    fn a_huge_mean_has_the_density_of_its_normal_limit() {
        // At the mean the density is 1 / sqrt(2 pi m) but for 1/(12 m).
        let mean = 1e14;
        let peak = log_density(mean, mean);
        assert!((peak + 0.5 * libm::log(std::f64::consts::TAU * mean)).abs() < 1e-12);
        let sigma = log_density(mean + 1e7, mean) - peak;
        assert!((sigma + 0.5).abs() < 1e-6, "{sigma}");
    }
}
