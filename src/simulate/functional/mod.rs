//! The functional engine: integers in, integers out, without time.

pub mod batch;
mod element_wise;
pub mod fast;
mod incremental;
pub mod ops;
mod parameters;
mod plain;
mod plan;
mod ranges;

pub use batch::{BatchEngine, BatchPlan};
pub use fast::{FastEngine, FastPlan};
pub use incremental::Incremental;
pub use parameters::{Change, Parameters};
pub use plain::{Trace, evaluate};
pub use plan::Plan;
pub use ranges::{CastCount, Ranges, SoftmaxUse, TensorRange, unused_bits, wraps};
