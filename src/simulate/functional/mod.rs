//! The functional engine: integers in, integers out, without time.

pub mod ops;
mod parameters;
mod plain;

pub use parameters::Parameters;
pub use plain::{Trace, evaluate};
