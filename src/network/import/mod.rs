//! Readers of network files.

mod error;
pub mod fml;
pub mod limits;
pub mod onnx;
pub mod qonnx;

pub use error::{Cure, ImportError, Reason};
