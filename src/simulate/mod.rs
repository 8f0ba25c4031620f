//! Engines that compute what the accelerator outputs.

pub mod cycle;
pub mod functional;
mod replay;

pub use replay::Replay;
