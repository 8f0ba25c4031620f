//! The ONNX container: what its bytes say, before any meaning.

mod model;
pub mod proto;
mod wire;

pub use model::{Constant, ConstantData, OnnxGraph, OnnxNode, OnnxValue};
