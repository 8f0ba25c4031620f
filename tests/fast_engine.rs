//! The vector engine against the plain one on random networks, and against golden data of real ones.

mod common;

#[path = "fast_engine/golden.rs"]
mod golden;
#[path = "fast_engine/random.rs"]
mod random;
