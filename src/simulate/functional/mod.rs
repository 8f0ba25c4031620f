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
mod transient;

pub use batch::{BatchEngine, BatchPlan};
pub use fast::{FastEngine, FastPlan};
pub use incremental::Incremental;
pub use parameters::{Change, Parameters};
pub use plain::{Trace, evaluate, evaluate_struck};
pub use plan::Plan;
pub use ranges::{CastCount, Ranges, SoftmaxUse, TensorRange, unused_bits, wraps};
pub use transient::{Place, Transient, TransientError};
