//! Readers of network files.

mod error;
pub mod limits;
pub mod onnx;
pub mod qonnx;

pub use error::{ImportError, Reason};
