//! What the user sees: readouts behind the accelerator, losses, and the comparison with the
//! fault-free run.

pub mod emd;
mod error;
mod evaluator;
pub mod loss;
pub mod readout;

pub use error::OutcomeError;
pub use evaluator::{Evaluator, Outcome, Scratch, Setup};
pub use loss::Loss;
pub use readout::Readout;
