//! Upsets by heavy ions: a cross-section that depends on the linear energy transfer.

use serde::{Deserialize, Serialize};

use super::environment::LetPoint;
use super::field::{amount, cross_section, positive};

/// Weibull form of a cross-section over the linear energy transfer (LET) L (Petersen et al., IEEE
/// Trans. Nucl. Sci. 39 (1992) 1577):
/// `sigma(L) = saturation * (1 - exp(-((L - threshold) / width)^shape))`, 0 up to the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weibull {
    /// Cross-section at high LET.
    #[serde(deserialize_with = "cross_section")]
    pub saturation_cm2_per_bit: f64,
    /// LET below which nothing happens.
    #[serde(deserialize_with = "amount")]
    pub threshold_mev_cm2_per_mg: f64,
    /// Width.
    #[serde(deserialize_with = "positive")]
    pub width_mev_cm2_per_mg: f64,
    /// Exponent.
    #[serde(deserialize_with = "positive")]
    pub shape: f64,
}

impl Weibull {
    /// Cross-section at a LET.
    #[must_use]
    pub fn cm2_per_bit(&self, let_mev_cm2_per_mg: f64) -> f64 {
        let above = let_mev_cm2_per_mg - self.threshold_mev_cm2_per_mg;
        if above <= 0.0 {
            return 0.0;
        }
        let power = libm::pow(above / self.width_mev_cm2_per_mg, self.shape);
        -self.saturation_cm2_per_bit * libm::expm1(-power)
    }

    /// Upsets per bit and second in a differential spectrum, counting what the cross-section counts: the integral of
    /// `sigma(L) dPhi/dL` from its first to its last point.
    ///
    /// Between two points the flux is the power law through them: a straight line in logarithms of both. Where one
    /// of the two has no flux, or a LET of 0, there is no such law, and it is the straight line. More points on the
    /// same law change nothing. Up to the LET where the cross-section is saturated the integral is taken by
    /// Gauss-Legendre quadrature of 16 points over panels of `ln(L - threshold)` in which neither the cross-section
    /// nor the flux changes by much more than e^2, beyond it in closed form: to a relative error below 1e-10.
    #[must_use]
    pub fn upsets_per_bit_s(&self, spectrum: &[LetPoint]) -> f64 {
        spectrum
            .windows(2)
            .map(|pair| self.between(&Piece::new(&pair[0], &pair[1])))
            .sum()
    }

    fn between(&self, piece: &Piece) -> f64 {
        let threshold = self.threshold_mev_cm2_per_mg;
        let from = piece.from.max(threshold);
        if piece.to <= from {
            return 0.0;
        }
        let saturated = threshold + self.width_mev_cm2_per_mg * libm::pow(SATURATED, 1.0 / self.shape);
        let knee = saturated.clamp(from, piece.to);
        let above = self.saturation_cm2_per_bit * piece.integral(knee, piece.to);
        if knee <= from {
            return above;
        }
        // In v = ln(L - threshold) the integrand rises at most as exp((1 + shape) v): what lies below `bottom` is
        // less than exp(-45) of the whole.
        let top = libm::log(knee - threshold);
        let cut = top - (45.0 + piece.decades_of_e()) / (1.0 + self.shape);
        let bottom = if from > threshold {
            cut.max(libm::log(from - threshold))
        } else {
            cut
        };
        above + self.panels(piece, bottom, top, 0)
    }

    fn panels(&self, piece: &Piece, from: f64, to: f64, depth: u32) -> f64 {
        let at = |v: f64| self.threshold_mev_cm2_per_mg + libm::exp(v);
        let change = piece.change(at(from), at(to));
        if depth < MAX_DEPTH && ((to - from) * self.shape.max(1.0) > 1.0 || change > 2.0) {
            let middle = 0.5 * (from + to);
            return self.panels(piece, from, middle, depth + 1) + self.panels(piece, middle, to, depth + 1);
        }
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let height = |v: f64| {
            let above = libm::exp(v);
            let power = libm::exp(self.shape * (v - libm::log(self.width_mev_cm2_per_mg)));
            let sigma = -self.saturation_cm2_per_bit * libm::expm1(-power);
            sigma * piece.flux(self.threshold_mev_cm2_per_mg + above) * above
        };
        let sum: f64 = GAUSS_16
            .iter()
            .map(|(place, weight)| weight * (height(middle - half * place) + height(middle + half * place)))
            .sum();
        sum * half
    }
}

/// `((L - threshold) / width)^shape` from which on a cross-section is its saturation to the last bit.
const SATURATED: f64 = 40.0;

/// Halvings of a panel: enough for any two finite numbers.
const MAX_DEPTH: u32 = 64;

/// Positive nodes and weights of the Gauss-Legendre quadrature of 16 points on -1 to 1 (Abramowitz and Stegun,
/// table 25.4).
const GAUSS_16: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_64),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_64),
    (0.458_016_777_657_227_37, 0.169_156_519_395_002_65),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_7),
    (0.755_404_408_355_003, 0.124_628_971_255_534_07),
    (0.865_631_202_387_831_8, 0.095_158_511_682_492_6),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_456),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_18),
];

/// A spectrum between two of its points.
struct Piece {
    from: f64,
    to: f64,
    flux: Between,
}

/// The flux between two points.
enum Between {
    /// `start * (L / from)^exponent`, by the logarithm of `start`.
    PowerLaw {
        log_start: f64,
        log_end: f64,
        exponent: f64,
    },
    /// `start + slope * (L - from)`.
    Line { start: f64, end: f64 },
}

impl Piece {
    fn new(first: &LetPoint, last: &LetPoint) -> Self {
        let (from, to) = (first.let_mev_cm2_per_mg, last.let_mev_cm2_per_mg);
        let (start, end) = (first.per_cm2_s_per_let, last.per_cm2_s_per_let);
        let flux = if from > 0.0 && start > 0.0 && end > 0.0 {
            let (log_start, log_end) = (libm::log(start), libm::log(end));
            let exponent = (log_end - log_start) / ratio(from, to);
            Between::PowerLaw {
                log_start,
                log_end,
                exponent,
            }
        } else {
            Between::Line { start, end }
        };
        Self { from, to, flux }
    }

    fn flux(&self, at: f64) -> f64 {
        match self.flux {
            Between::PowerLaw {
                log_start, exponent, ..
            } => libm::exp(log_start + exponent * ratio(self.from, at)),
            Between::Line { start, end } => {
                let share = (at - self.from) / (self.to - self.from);
                start * (1.0 - share) + end * share
            }
        }
    }

    /// By how much the logarithm of the flux changes between two places, where it is a power law.
    fn change(&self, from: f64, to: f64) -> f64 {
        match self.flux {
            Between::PowerLaw { exponent, .. } => (exponent * ratio(from, to)).abs(),
            Between::Line { .. } => 0.0,
        }
    }

    /// By how much the logarithm of the flux falls from the first point to the last, where it is a power law.
    fn decades_of_e(&self) -> f64 {
        match self.flux {
            Between::PowerLaw {
                log_start, log_end, ..
            } => (log_start - log_end).max(0.0),
            Between::Line { .. } => 0.0,
        }
    }

    /// The integral of the flux between two places, in closed form.
    fn integral(&self, from: f64, to: f64) -> f64 {
        match self.flux {
            Between::Line { .. } => 0.5 * (self.flux(from) + self.flux(to)) * (to - from),
            Between::PowerLaw { exponent, .. } => {
                // L * flux(L) is a power law of one exponent more in ln L, integrated from its larger end.
                let length = ratio(from, to);
                let rise = (exponent + 1.0) * length;
                let larger = if rise > 0.0 { to } else { from };
                let mean = match rise.abs() {
                    0.0 => 1.0,
                    size => -libm::expm1(-size) / size,
                };
                larger * self.flux(larger) * mean * length
            }
        }
    }
}

/// `ln(to / from)`, exact for neighbours.
fn ratio(from: f64, to: f64) -> f64 {
    if (to - from).abs() < 0.5 * from {
        libm::log1p((to - from) / from)
    } else {
        libm::log(to) - libm::log(from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(points: &[(f64, f64)]) -> Vec<LetPoint> {
        let point = |&(at, flux): &(f64, f64)| LetPoint {
            let_mev_cm2_per_mg: at,
            per_cm2_s_per_let: flux,
        };
        points.iter().map(point).collect()
    }

    fn curve(threshold: f64, width: f64, shape: f64) -> Weibull {
        Weibull {
            saturation_cm2_per_bit: 1e-8,
            threshold_mev_cm2_per_mg: threshold,
            width_mev_cm2_per_mg: width,
            shape,
        }
    }

    /// Without a threshold, `flux = L^g` with `(g + 1) / shape = n` is an integral over `p = (L / W)^shape` of
    /// `p^(n-1) (1 - exp(-p))`, which is elementary for whole n.
    #[test]
    fn power_laws_under_a_weibull_curve_have_closed_forms() {
        for (n, shape) in [
            (1.0, 0.5),
            (1.0, 1.0),
            (1.0, 2.0),
            (1.0, 7.0),
            (2.0, 0.7),
            (2.0, 3.0),
        ] {
            for width in [0.3, 5.0, 400.0] {
                for (low, high) in [(1e-3, 1e3), (0.5, 2.0), (4.0, 60.0)] {
                    let g = n * shape - 1.0;
                    let spectrum = points(&[(low, libm::pow(low, g)), (high, libm::pow(high, g))]);
                    let got = curve(0.0, width, shape).upsets_per_bit_s(&spectrum);
                    let primitive = |l: f64| {
                        let p = libm::pow(l / width, shape);
                        // p - 1 + exp(-p), and p^2 / 2 - 1 + (p + 1) exp(-p), by their series where they cancel.
                        let by_series = |first: f64, next: &dyn Fn(f64, f64) -> f64| {
                            let (mut term, mut sum) = (first, 0.0);
                            for k in 0..60 {
                                sum += term;
                                term = next(term, f64::from(k));
                            }
                            sum
                        };
                        match (n == 1.0, p < 1.0) {
                            (true, true) => by_series(p * p / 2.0, &|term, k| -term * p / (k + 3.0)),
                            (true, false) => p - 1.0 + libm::exp(-p),
                            (false, true) => by_series(p * p * p / 3.0, &|term, k| {
                                -term * p * (k + 3.0) / ((k + 2.0) * (k + 4.0))
                            }),
                            (false, false) => p * p / 2.0 - 1.0 + (p + 1.0) * libm::exp(-p),
                        }
                    };
                    let expected =
                        1e-8 * libm::pow(width, g + 1.0) / shape * (primitive(high) - primitive(low));
                    assert!(
                        (got / expected - 1.0).abs() < 1e-10,
                        "n {n} shape {shape} width {width} {low}..{high}: {got} {expected}"
                    );
                }
            }
        }
    }

    /// Bounds that hold because the cross-section rises: sums over slices of its value at either end times the
    /// closed integral of the flux.
    fn bounds(curve: &Weibull, piece: &Piece, slices: u32) -> (f64, f64) {
        let at = |slice: u32| {
            let share = f64::from(slice) / f64::from(slices);
            if piece.from > 0.0 {
                (piece.from * libm::pow(piece.to / piece.from, share)).min(piece.to)
            } else {
                piece.to * share
            }
        };
        (0..slices).fold((0.0, 0.0), |(low, high), slice| {
            let (from, to) = (at(slice), at(slice + 1));
            let flux = piece.integral(from, to);
            (
                low + curve.cm2_per_bit(from) * flux,
                high + curve.cm2_per_bit(to) * flux,
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn integrals_lie_between_their_bounds(
            log_from in -3.0f64..2.0, log_length in -4.0f64..3.0, threshold in 0.0f64..20.0,
            log_width in -3.0f64..3.0, shape in 0.1f64..12.0,
            log_start in -20.0f64..3.0, log_end in -20.0f64..3.0, zero in 0..6,
        ) {
            let from = libm::exp(log_from);
            let to = from + libm::exp(log_length);
            let start = if zero == 0 { 0.0 } else { libm::exp(log_start) };
            let end = if zero == 1 { 0.0 } else { libm::exp(log_end) };
            let spectrum = points(&[(from, start), (to, end)]);
            let curve = curve(threshold, libm::exp(log_width), shape);
            let got = curve.upsets_per_bit_s(&spectrum);
            let (low, high) = bounds(&curve, &Piece::new(&spectrum[0], &spectrum[1]), 4000);
            prop_assert!(got >= low * (1.0 - 1e-9) && got <= high * (1.0 + 1e-9), "{low} {got} {high}");
        }

        /// A point on the law between two others changes nothing.
        #[test]
        fn more_points_on_the_same_law_change_nothing(
            log_length in -3.0f64..6.0, threshold in 0.0f64..10.0, log_width in -3.0f64..4.0,
            shape in 0.2f64..8.0, exponent in -9.0f64..4.0, splits in 2u32..60,
        ) {
            let (from, to) = (0.7, 0.7 + libm::exp(log_length));
            let curve = curve(threshold, libm::exp(log_width), shape);
            let on_law = |at: f64| (at, libm::pow(at, exponent));
            let coarse = curve.upsets_per_bit_s(&points(&[on_law(from), on_law(to)]));
            let fine: Vec<(f64, f64)> = (0..=splits)
                .map(|split| on_law(from + (to - from) * f64::from(split) / f64::from(splits)))
                .collect();
            let fine = curve.upsets_per_bit_s(&points(&fine));
            prop_assert!((coarse - fine).abs() <= 1e-9 * coarse, "{coarse} {fine}");
        }
    }

    #[test]
    fn points_without_flux_or_let_are_joined_by_lines() {
        let step = curve(0.0, 1e-9, 1.0);
        // Saturated from the start: the integral of the flux, two triangles and a trapezoid.
        let spectrum = points(&[(0.0, 4.0), (1.0, 2.0), (3.0, 0.0), (5.0, 6.0)]);
        let got = step.upsets_per_bit_s(&spectrum);
        assert!((got / (1e-8 * (3.0 + 2.0 + 6.0)) - 1.0).abs() < 1e-8, "{got}");
        let none = points(&[(0.0, 0.0), (1.0, 0.0), (9.0, 0.0)]);
        assert_eq!(step.upsets_per_bit_s(&none), 0.0);
        // All of it below the threshold.
        assert_eq!(curve(9.0, 1.0, 1.0).upsets_per_bit_s(&spectrum), 0.0);
    }

    #[test]
    fn extreme_numbers_stay_numbers() {
        for (first, last) in [
            ((1e-300, 1e300), (1e300, 1e-300)),
            ((1.0, 1e300), (1.0 + 1e-15, 1e-300)),
            ((1e-3, 1e-300), (1e5, 1e-300)),
            ((0.0, 1e300), (1e-300, 0.0)),
        ] {
            for (threshold, width, shape) in [
                (0.0, 1e-300, 1e3),
                (0.5, 1e300, 1e-3),
                (1.0, 1.0, 1e6),
                (1e-300, 1e-3, 1e-6),
            ] {
                let got = curve(threshold, width, shape).upsets_per_bit_s(&points(&[first, last]));
                assert!(
                    !got.is_nan() && got >= 0.0,
                    "{first:?} {last:?} {threshold} {width} {shape}: {got}"
                );
            }
        }
    }
}
