//! What the user sees: readouts behind the accelerator, losses and metrics, and the comparison with the
//! fault-free run.

pub mod emd;
mod error;
mod evaluator;
pub mod loss;
pub mod metric;
pub mod readout;

pub use error::{OutcomeError, OutcomePart};
pub(crate) use evaluator::doubt;
pub use evaluator::{Evaluator, Outcome, Samples, Scratch, Setup};
pub use loss::{Loss, SampleLoss, SampleView};
pub use metric::{Metric, MetricView, SampleMetric};
pub use readout::Readout;
