//! The ONNX container: what its bytes say, before any meaning.

mod model;
mod precision;
pub mod proto;
mod tensor;
mod wire;

pub use model::{OnnxGraph, OnnxNode, OnnxValue, Unneeded};
pub use precision::Precision;
pub use tensor::{Constant, ConstantData};
