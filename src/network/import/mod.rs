//! Readers of network files.

pub mod dais;
mod error;
pub mod fml;
pub mod limits;
pub mod onnx;
mod options;
pub mod qonnx;

pub use error::{Cure, ImportError, Reason};
pub use options::{ImportOptions, InputType, InputTypeError};
