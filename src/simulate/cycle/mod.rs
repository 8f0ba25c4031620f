//! The cycle engine: every register of the accelerator, every clock edge.

pub mod arithmetic;
pub mod build;
pub mod engine;
pub mod matrix;
pub mod memory;
pub mod operators;
pub mod pipeline;
pub mod register;
pub mod run;
mod schedule;
pub mod stage;
pub mod stages;
pub mod watch;
