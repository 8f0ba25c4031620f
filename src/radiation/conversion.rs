//! From strikes to flipped bits and back: by the mean number of bits that a strike of a cluster table flips.

use super::Clusters;
use super::rate::{FlippedBits, Per, Quantity, Stated, Strikes};

impl<P: Per> Quantity<Strikes, P> {
    /// The bits that these strikes flip, cells beyond the edge of a memory included.
    #[must_use]
    pub fn flipped_bits(self, clusters: &Clusters) -> Quantity<FlippedBits, P> {
        self.counted_as(clusters.mean_bits())
    }
}

impl<P: Per> Quantity<FlippedBits, P> {
    /// The strikes that flip these bits.
    #[must_use]
    pub fn strikes(self, clusters: &Clusters) -> Quantity<Strikes, P> {
        Quantity::of(self.value() / clusters.mean_bits())
    }
}

impl<P: Per> Stated<P> {
    /// The rate in strikes.
    #[must_use]
    pub fn strikes(self, clusters: &Clusters) -> Quantity<Strikes, P> {
        match self {
            Stated::Strikes(strikes) => strikes,
            Stated::FlippedBits(flips) => flips.strikes(clusters),
        }
    }

    /// The rate in flipped bits.
    #[must_use]
    pub fn flipped_bits(self, clusters: &Clusters) -> Quantity<FlippedBits, P> {
        match self {
            Stated::Strikes(strikes) => strikes.flipped_bits(clusters),
            Stated::FlippedBits(flips) => flips,
        }
    }
}
