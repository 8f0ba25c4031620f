//! Which stored bits of a quantized network on a streaming accelerator matter under radiation,
//! which to protect, what that costs, and what it buys.

#![warn(missing_docs)]

pub mod accelerator;
pub mod campaign;
pub mod cli;
pub mod data;
pub mod fault;
pub mod fixed_point;
pub mod model;
pub mod network;
pub mod outcome;
pub mod protection;
pub mod radiation;
pub mod rtl;
pub mod scheme;
pub mod sensitivity;
pub mod simulate;
