//! The functional engine under persistent faults: 64 samples side by side, and of each only what a fault touches.
//!
//! A tensor is a list of [`Row`]s, one per element, with one lane per sample. The network is cut into units: a
//! matrix product, a movement or a maximum, with the element-wise operations behind it. A fault adds its
//! difference to the sums that it reaches and goes through the casts behind them; rows that come out as they were
//! end there, the others are the differences that the next unit sees. The loaded samples are never written, so
//! that nothing has to be taken back. Every result equals [`super::evaluate`] on the changed parameters.

// Lanes are indexed: constant bounds are what becomes vector instructions in long bodies.
#![allow(clippy::needless_range_loop)]

mod difference;
mod engine;
mod function;
mod gather;
mod plan;
mod product;
mod row;

pub use engine::BatchEngine;
pub use plan::BatchPlan;
pub use row::{Row, SAMPLES};
