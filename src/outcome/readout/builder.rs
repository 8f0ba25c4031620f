//! A plan under construction: tensors in memory, steps, and the errors of nodes.

use std::collections::HashMap;

use super::plan::{Action, Step, View};
use crate::network::import::ImportError;
use crate::network::import::onnx::{Constant, OnnxGraph, OnnxNode};

/// Most values in memory at once, constants included: far more than a readout of one sample has.
const MAX_VALUES: usize = 1 << 24;

/// Most multiplications and comparisons of one sample.
const MAX_WORK: usize = 1 << 32;

/// A plan under construction.
pub(super) struct Builder<'g> {
    pub(super) graph: &'g OnnxGraph,
    pub(super) tensors: HashMap<String, View>,
    pub(super) steps: Vec<Step>,
    pub(super) memory_len: usize,
    pub(super) constants_len: usize,
    pub(super) work: usize,
}

pub(super) fn too_large(graph: &OnnxGraph, tensor: &str) -> ImportError {
    let problem = format!("takes the readout beyond {MAX_VALUES} values, or has none");
    ImportError::unsupported(&graph.file, format!("tensor `{tensor}`"), problem)
        .expected("a small model behind the accelerator")
        .help("check the shapes; the readout runs once per sample and fault")
}

impl Builder<'_> {
    /// A node that contradicts itself or its inputs.
    pub(super) fn wrong(&self, node: &OnnxNode, problem: String, expected: &str) -> ImportError {
        ImportError::structure(&self.graph.file, node.label(), problem)
            .expected(expected)
            .help("run onnx.checker and onnx.shape_inference on the file, or export the readout again")
    }

    /// A form of a supported operator that is not supported.
    pub(super) fn unsupported(&self, node: &OnnxNode, problem: String, nearest: &str) -> ImportError {
        ImportError::unsupported(&self.graph.file, node.label(), problem)
            .expected(nearest)
            .help("export the readout again in the form that is supported")
    }

    /// Takes memory for a row-major tensor; `None` where it is empty or too large.
    pub(super) fn place(&mut self, shape: &[usize]) -> Option<View> {
        let len = self.take(shape)?;
        let view = View::row_major(self.memory_len, shape);
        self.memory_len += len;
        Some(view)
    }

    /// Elements of a shape, if they still fit.
    pub(super) fn take(&self, shape: &[usize]) -> Option<usize> {
        shape
            .iter()
            .try_fold(1usize, |len, &extent| len.checked_mul(extent))
            .filter(|&len| len > 0 && len <= MAX_VALUES - self.memory_len - self.constants_len)
    }

    /// Appends a step that makes a row-major tensor of that shape.
    pub(super) fn push(
        &mut self,
        node: &OnnxNode,
        shape: &[usize],
        action: Action,
    ) -> Result<View, ImportError> {
        let view = self.reserve(node, shape)?;
        self.steps.push(Step {
            action,
            to: view.offset,
            len: view.len(),
        });
        Ok(view)
    }

    /// Takes memory without a step.
    pub(super) fn reserve(&mut self, node: &OnnxNode, shape: &[usize]) -> Result<View, ImportError> {
        self.place(shape).ok_or_else(|| {
            let problem = format!(
                "makes a tensor of shape {shape:?}, which is empty or takes the readout beyond {MAX_VALUES} values"
            );
            self.unsupported(node, problem, "a small model behind the accelerator")
        })
    }

    /// Accounts for constants that a step stores.
    pub(super) fn store(&mut self, node: &OnnxNode, shape: &[usize]) -> Result<(), ImportError> {
        let len = self.take(shape).ok_or_else(|| {
            let problem =
                format!("stores constants of shape {shape:?}, beyond {MAX_VALUES} values in all, or none");
            self.unsupported(node, problem, "a small model behind the accelerator")
        })?;
        self.constants_len += len;
        Ok(())
    }

    /// Accounts for the work of a step: the product of `factors`.
    pub(super) fn work(&mut self, node: &OnnxNode, factors: &[usize]) -> Result<(), ImportError> {
        let work = factors
            .iter()
            .try_fold(1usize, |work, &factor| work.checked_mul(factor))
            .and_then(|work| self.work.checked_add(work))
            .filter(|&work| work <= MAX_WORK)
            .ok_or_else(|| {
                let problem = format!("takes the readout beyond {MAX_WORK} operations per sample");
                self.unsupported(node, problem, "a small model behind the accelerator")
            })?;
        self.work = work;
        Ok(())
    }

    /// A real attribute that is a finite number.
    pub(super) fn real(&self, node: &OnnxNode, name: &str, otherwise: f64) -> Result<f64, ImportError> {
        match node.float(name) {
            None => Ok(otherwise),
            Some(value) if value.is_finite() => Ok(value),
            Some(value) => Err(self.wrong(node, format!("has {name} {value}"), "a finite number")),
        }
    }

    /// The same tensor in row-major order.
    pub(super) fn row_major(&mut self, view: &View) -> Option<View> {
        if view.is_row_major() {
            return Some(view.clone());
        }
        let made = self.place(&view.shape)?;
        self.steps.push(Step {
            action: Action::Gather(view.addresses(&view.shape)),
            to: made.offset,
            len: made.len(),
        });
        Some(made)
    }

    /// An input of a node as a tensor in memory, in whatever order; a constant is loaded.
    pub(super) fn tensor(&mut self, node: &OnnxNode, position: usize) -> Result<View, ImportError> {
        let name = self.name(node, position)?;
        if let Some(view) = self.tensors.get(name) {
            return Ok(view.clone());
        }
        let constant = self.constant(node, position)?;
        self.store(node, &constant.shape)?;
        self.push(node, &constant.shape, Action::Load(constant.reals()))
    }

    /// An input of a node as a row-major tensor in memory.
    pub(super) fn row_major_tensor(&mut self, node: &OnnxNode, position: usize) -> Result<View, ImportError> {
        let view = self.tensor(node, position)?;
        self.row_major(&view).ok_or_else(|| {
            let problem = format!("reads more than {MAX_VALUES} values");
            self.unsupported(node, problem, "a small model behind the accelerator")
        })
    }

    /// The name of a required input.
    pub(super) fn name<'n>(&self, node: &'n OnnxNode, position: usize) -> Result<&'n str, ImportError> {
        node.input(position).ok_or_else(|| {
            let problem = format!("has no input {position}");
            self.wrong(node, problem, "all required inputs of the operator")
        })
    }

    /// Whether an input is constant.
    pub(super) fn is_constant(&self, node: &OnnxNode, position: usize) -> bool {
        node.input(position)
            .is_some_and(|name| self.graph.constants.contains_key(name))
    }

    /// An input that has to be constant, finite throughout.
    pub(super) fn constant(&self, node: &OnnxNode, position: usize) -> Result<Constant, ImportError> {
        let name = self.name(node, position)?;
        let constant = self.graph.constants.get(name).ok_or_else(|| {
            let problem = format!("reads `{name}` as input {position}, which is not constant");
            self.unsupported(node, problem, "parameters and shapes stored in the file")
        })?;
        if constant.reals().iter().any(|value| !value.is_finite()) {
            let problem = format!("reads `{name}`, which holds an infinity or NaN");
            return Err(self.wrong(node, problem, "finite parameters"));
        }
        Ok(constant.clone())
    }

    /// A constant input of integers, `None` where it is omitted.
    pub(super) fn integers(&self, node: &OnnxNode, position: usize) -> Result<Option<Vec<i64>>, ImportError> {
        if node.input(position).is_none() {
            return Ok(None);
        }
        let values = self.constant(node, position)?.integers().ok_or_else(|| {
            let problem = format!("has real values as input {position}");
            self.wrong(node, problem, "integers")
        })?;
        Ok(Some(values))
    }

    /// An axis attribute of a tensor of that rank, counted from the end where negative.
    pub(super) fn axis(&self, node: &OnnxNode, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let from_start = if axis < 0 {
            axis.saturating_add_unsigned(rank as u64)
        } else {
            axis
        };
        usize::try_from(from_start)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| {
                let problem = format!("names axis {axis} of a tensor with {rank} axes");
                self.wrong(node, problem, "an axis of the tensor")
            })
    }
}
