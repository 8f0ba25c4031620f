//! Off-chip readouts: small ONNX float models behind the accelerator, one sample at a time in `f64`.
//!
//! Parameters are widened from the file exactly. Every sum has a fixed order: it starts from the
//! bias and adds the inputs in their row-major order (for windows: kernel row, kernel column,
//! channel; for transposed convolutions: input row, input column, and within a pixel first over the
//! channels); products with an input that is zero are left out. No operation fuses a product with a
//! sum, and transcendental functions are `libm`'s, so a result does not depend on batch, thread or
//! machine.

mod builder;
mod compile;
mod kernels;
mod operators;
mod plan;
#[cfg(test)]
mod tests;
mod window;

use serde::Serialize;

use std::path::Path;

use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxGraph;
use plan::Plan;

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    values: Vec<f64>,
}

/// A readout, compiled to a fixed sequence of operations.
///
/// A sample is a row: the axis of samples, first in the file's shapes and symbolic or 1 there, does
/// not appear in the shapes here.
#[derive(Clone, Debug, Serialize)]
pub struct Readout {
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    plan: Plan,
}

impl Readout {
    /// Reads and compiles an ONNX model with one input and one output.
    ///
    /// # Errors
    /// [`ImportError`] where the file cannot be read, is no such model, has shapes that do not fit
    /// or an operator that is not supported; it names the node.
    pub fn load(path: &Path) -> Result<Self, ImportError> {
        Self::from_graph(&OnnxGraph::read(path)?)
    }

    /// Compiles a graph.
    ///
    /// # Errors
    /// As [`Readout::load`].
    pub fn from_graph(graph: &OnnxGraph) -> Result<Self, ImportError> {
        compile::compile(graph)
    }

    /// No readout: the values behind the accelerator are what the user sees.
    #[must_use]
    pub fn identity(shape: &[usize]) -> Self {
        Self {
            input_shape: shape.to_vec(),
            output_shape: shape.to_vec(),
            plan: Plan::identity(shape.iter().product()),
        }
    }

    /// Number of values of a sample.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.plan.input_len()
    }

    /// Shape of a sample, which is read row-major in the model's own axis order.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Number of values of an output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.plan.output_len()
    }

    /// Shape of an output, row-major in the model's own axis order.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    /// The readout of one sample. A pure function of `code`: `scratch` only lends memory.
    ///
    /// # Panics
    /// Where `code` has not [`Readout::input_len`] values.
    pub fn evaluate<'s>(&self, code: &[f64], scratch: &'s mut Scratch) -> &'s [f64] {
        self.plan.run(code, &mut scratch.values)
    }
}
