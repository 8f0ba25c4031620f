//! The functional engine in vector instructions: one sample at a time, every tensor anew.
//!
//! Tensors lie in the narrowest lanes that hold their range: bits for -1 and +1, otherwise bytes, 16,
//! 32 or 64 bits. A matrix product whose sum is free of order reads its windows in place, with
//! bit counts, 8-bit or 16-bit products; its sums pass through the element-wise operations behind it
//! before they are stored. Everything else is left to the plain operations. Every result equals
//! [`super::evaluate`].

pub(super) mod casts;
mod chain;
mod engine;
mod kernels;
mod lanes;
mod moves;
mod pack;
mod plan;
mod product;
pub(super) mod range;
pub(super) mod thresholds;
mod window;

pub(super) use crate::level;
pub use crate::level::Level;
pub use engine::{FastEngine, Method};
pub use plan::FastPlan;

#[cfg(test)]
mod tests;
