//! The ONNX container: what its bytes say, before any meaning.

mod model;
pub mod proto;
mod tensor;
mod wire;

pub use model::{OnnxGraph, OnnxNode, OnnxValue, Unneeded};
pub use tensor::{Constant, ConstantData};
