//! What a protection map in JSON calls itself.

/// Its kind.
pub(super) const KIND: &str = "radstream protection map";
/// With one scheme for all bits.
pub(super) const VERSION: u64 = 1;
/// With a scheme in every entry.
pub(super) const MIXED_VERSION: u64 = 2;
