//! The cycle engine: every register of the accelerator, every clock edge.

pub mod arithmetic;
pub mod memory;
pub mod register;
pub mod stage;
pub mod stages;
