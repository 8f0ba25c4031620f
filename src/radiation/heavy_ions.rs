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

    /// Upsets per bit and second in a differential spectrum: the integral of
    /// `sigma(L) dPhi/dL` by the trapezoidal rule on the spectrum's own points, which have to be dense
    /// enough for it.
    #[must_use]
    pub fn upsets_per_bit_s(&self, spectrum: &[LetPoint]) -> f64 {
        let height = |point: &LetPoint| self.cm2_per_bit(point.let_mev_cm2_per_mg) * point.per_cm2_s_per_let;
        spectrum
            .windows(2)
            .map(|pair| {
                let width = pair[1].let_mev_cm2_per_mg - pair[0].let_mev_cm2_per_mg;
                0.5 * width * (height(&pair[0]) + height(&pair[1]))
            })
            .sum()
    }
}
