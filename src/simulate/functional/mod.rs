//! The functional engine: integers in, integers out, without time.

mod element_wise;
mod incremental;
pub mod ops;
mod parameters;
mod plain;
mod plan;

pub use incremental::{Change, Incremental};
pub use parameters::Parameters;
pub use plain::{Trace, evaluate};
pub use plan::Plan;
