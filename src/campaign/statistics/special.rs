//! Special functions and quantiles.

/// The 97.5 % quantile of the normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The mean at which a condition ceases to hold; it holds for small ones.
pub(super) fn poisson_mean(holds: impl Fn(f64) -> bool, near: f64) -> f64 {
    let (mut low, mut high) = (0.0, near + 10.0);
    while holds(high) {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized lower incomplete gamma function: the probability of at least `a` events of a Poisson
/// process of mean `x`, for whole `a` above 0 (Abramowitz and Stegun 6.5.29 for small `x`, 6.5.31 for
/// large).
pub(super) fn gamma_p(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return scale * sum;
    }
    // The continued fraction, evaluated from the front (Lentz).
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (f64::MAX, 1.0 / b);
    let mut fraction = d;
    let mut n = 0.0;
    loop {
        n += 1.0;
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON || n > 1e7 {
            return 1.0 - scale * fraction;
        }
    }
}

/// The quantile of a gamma distribution of that mean and variance: by its distribution function, and by
/// the cube root transformation of Wilson and Hilferty (1931, Proceedings of the National Academy of
/// Sciences 17:684) for shapes above 10,000, where its error is below that of the distribution function.
///
/// Returns the mean where the variance or the mean is not positive. `normal` is the quantile of the
/// standard normal distribution at the same probability.
pub(super) fn gamma_quantile(mean: f64, variance: f64, probability: f64, normal: f64) -> f64 {
    if !(mean > 0.0 && variance > 0.0) {
        return mean.max(0.0);
    }
    let (shape, scale) = (mean * mean / variance, variance / mean);
    if !shape.is_finite() {
        return mean;
    }
    if shape > 1e4 {
        let root = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * shape.sqrt());
        return mean * root * root * root;
    }
    scale * poisson_mean(|x| gamma_p(shape, x) < probability, shape)
}

/// The regularized incomplete beta function (Abramowitz and Stegun 26.5.8, 6.6.3).
pub(super) fn beta_p(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_p(b, a, 1.0 - x);
    }
    let scale = libm::exp(
        a * libm::log(x) + b * libm::log1p(-x) + libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b),
    ) / a;
    // The continued fraction, evaluated from the front (Lentz).
    let apart_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / apart_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    let mut m = 1.0;
    loop {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / apart_from_zero(1.0 + even * d);
        c = apart_from_zero(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / apart_from_zero(1.0 + odd * d);
        c = apart_from_zero(1.0 + odd / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() <= 4.0 * f64::EPSILON || m > 1e6 {
            return scale * fraction;
        }
        m += 1.0;
    }
}

/// The argument in 0..1 at which the regularized incomplete beta function has that value.
pub(super) fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if beta_p(a, b, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The 97.5 % quantile of Student's distribution with so many degrees of freedom, at least one
/// (Abramowitz and Stegun 26.7.1).
pub(super) fn student(degrees: f64) -> f64 {
    let degrees = degrees.max(1.0);
    let share = beta_quantile(0.5, degrees / 2.0, 0.95);
    (degrees * share / (1.0 - share)).sqrt()
}

/// The probability of a value of Student's distribution at least so far from 0 (Abramowitz and Stegun 26.7.1).
pub(super) fn student_outside(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    beta_p(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        // Abramowitz and Stegun, tables 26.8 (chi-squared) and 26.10 (Student).
        for (degrees, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (10.0, 2.228),
            (30.0, 2.042),
            (1e7, 1.960),
        ] {
            assert!((student(degrees) - expected).abs() < 6e-4, "{degrees}");
            assert!(
                (student_outside(-expected, degrees) - 0.05).abs() < 1e-4,
                "{degrees}"
            );
        }
        for (degrees, low, high) in [
            (1.0, 0.000_982, 5.024),
            (4.0, 0.484_42, 11.143),
            (30.0, 16.791, 46.979),
        ] {
            let of = |probability, normal| gamma_quantile(degrees, 2.0 * degrees, probability, normal);
            assert!((of(0.025, -Z) - low).abs() < 6e-4, "{degrees}");
            assert!((of(0.975, Z) - high).abs() < 6e-4, "{degrees}");
        }
        let exact = |probability, shape: f64| poisson_mean(|x| gamma_p(shape, x) < probability, shape);
        let shape = 1.000_1e4;
        assert!((gamma_quantile(shape, shape, 0.975, Z) - exact(0.975, shape)).abs() < 1e-3);
        assert!((gamma_quantile(shape, shape, 0.025, -Z) - exact(0.025, shape)).abs() < 1e-3);
    }
}
