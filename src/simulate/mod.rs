//! Engines that compute what the accelerator outputs.

pub mod functional;
