//! How much one strike can do, for intervals of numbers per mission.

use super::MissionPlan;
use crate::scheme::Scheme;

impl MissionPlan {
    /// The most cells that one strike hits.
    #[must_use]
    pub fn most_flips_of_a_strike(&self) -> f64 {
        let sizes = self.exposures.iter().flat_map(|exposure| {
            let sizes = exposure.clusters.sizes().iter().map(|&(size, _)| size);
            sizes.chain([1])
        });
        f64::from(sizes.max().unwrap_or(1))
    }

    /// The most data bits, as a rule, that one strike makes wrong: those that it flips; where a code was holding
    /// out, those of an earlier strike on the same words with them, and one that is corrected although it was right.
    #[must_use]
    pub fn most_wrong_bits_of_a_strike(&self) -> f64 {
        let flips = self.most_flips_of_a_strike();
        let codes = self.store.memories().iter().flat_map(|memory| memory.protected());
        let mut step = flips;
        for (_, code) in codes {
            step = match code.scheme() {
                Scheme::None | Scheme::Ideal => step,
                Scheme::Secded => return 2.0 * flips + 1.0,
                _ => 2.0 * flips,
            };
        }
        step
    }
}
