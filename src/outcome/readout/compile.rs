//! From a graph to a plan: shapes are inferred, memory is laid out, operators become steps.

use std::collections::HashMap;

use super::Readout;
use super::operators;
use super::plan::{Action, Plan, Step, View};
use crate::network::import::ImportError;
use crate::network::import::limits::MAX_AXES;
use crate::network::import::onnx::{Constant, OnnxGraph, OnnxNode};

/// Most values in memory at once, constants included: far more than a readout of one sample has.
const MAX_VALUES: usize = 1 << 24;

/// Most multiplications and comparisons of one sample.
const MAX_WORK: usize = 1 << 32;

/// The operators that [`operators::compile_node`] knows.
const SUPPORTED: &str = "Gemm, MatMul, Add, Sub, Mul, Div, Conv, ConvTranspose, Relu, LeakyRelu, Sigmoid, Tanh, \
    Clip, Softmax, BatchNormalization, MaxPool, AveragePool, GlobalAveragePool, Reshape, Flatten, Transpose, \
    Squeeze, Unsqueeze, Concat, Identity and Dropout of ONNX's own domain";

/// A plan under construction.
pub(super) struct Builder<'g> {
    pub(super) graph: &'g OnnxGraph,
    tensors: HashMap<String, View>,
    steps: Vec<Step>,
    memory_len: usize,
    constants_len: usize,
    work: usize,
}

pub(super) fn compile(graph: &OnnxGraph) -> Result<Readout, ImportError> {
    let file = &graph.file;
    let ([input], [output]) = (graph.inputs.as_slice(), graph.outputs.as_slice()) else {
        let problem = format!(
            "has {} inputs and {} outputs",
            graph.inputs.len(),
            graph.outputs.len()
        );
        return Err(ImportError::unsupported(file, "the graph", problem)
            .expected("a readout with one input and one output")
            .help("export only the part behind the accelerator, with one tensor in and one out"));
    };
    let input_shape = match input.shape.split_first() {
        Some((None | Some(1), rest)) => rest.iter().copied().collect::<Option<Vec<usize>>>(),
        _ => None,
    }
    .ok_or_else(|| {
        ImportError::unsupported(
            file,
            format!("input `{}`", input.name),
            format!("has the shape {:?}", input.shape),
        )
        .expected("an axis of samples first (symbolic or 1) and a known extent on every other axis")
        .help("export the readout with fixed shapes behind the axis of samples")
    })?;
    let mut builder = Builder {
        graph,
        tensors: HashMap::new(),
        steps: Vec::new(),
        memory_len: 0,
        constants_len: 0,
        work: 0,
    };
    if input.shape.len() > MAX_AXES {
        let problem = format!("has {} axes", input.shape.len());
        return Err(
            ImportError::unsupported(file, format!("input `{}`", input.name), problem)
                .expected(format!("at most {MAX_AXES} axes"))
                .help("export the readout with fewer axes"),
        );
    }
    let mut shape = vec![1];
    shape.extend(&input_shape);
    let view = builder
        .place(&shape)
        .ok_or_else(|| too_large(graph, &input.name))?;
    let input_len = view.len();
    builder.tensors.insert(input.name.clone(), view);
    for node in &graph.nodes {
        builder.node(node)?;
    }
    let view = builder.tensors.get(&output.name).cloned().ok_or_else(|| {
        let problem = "is made by no node".to_owned();
        ImportError::structure(file, format!("output `{}`", output.name), problem)
            .expected("the output of a node")
            .help("export the readout again")
    })?;
    let declared = &output.shape;
    let differs = declared.len() != view.shape.len()
        || (1..declared.len()).any(|axis| declared[axis].is_some_and(|extent| extent != view.shape[axis]));
    if !declared.is_empty() && differs {
        let problem = format!(
            "is declared with the shape {declared:?} (None: any) and made with {:?}",
            view.shape
        );
        return Err(
            ImportError::structure(file, format!("output `{}`", output.name), problem)
                .expected("one shape")
                .help("run onnx.shape_inference on the file, or export the readout again"),
        );
    }
    let view = builder
        .row_major(&view)
        .ok_or_else(|| too_large(graph, &output.name))?;
    let output_shape = match view.shape.split_first() {
        Some((1, rest)) => rest.to_vec(),
        _ => view.shape.clone(),
    };
    Ok(Readout {
        input_shape,
        output_shape,
        plan: Plan {
            input_len,
            steps: builder.steps,
            memory_len: builder.memory_len,
            output: view.offset,
            output_len: view.len(),
        },
    })
}

fn too_large(graph: &OnnxGraph, tensor: &str) -> ImportError {
    let problem = format!("takes the readout beyond {MAX_VALUES} values, or has none");
    ImportError::unsupported(&graph.file, format!("tensor `{tensor}`"), problem)
        .expected("a small model behind the accelerator")
        .help("check the shapes; the readout runs once per sample and fault")
}

/// The supported form closest to an operator.
fn nearest(op: &str) -> &'static str {
    match op {
        "Elu" | "Selu" | "Celu" | "Gelu" | "Softplus" | "Softsign" | "Mish" | "ThresholdedRelu" => {
            "Relu, LeakyRelu, Sigmoid or Tanh"
        }
        "PRelu" => "LeakyRelu, one slope for all channels",
        "HardSigmoid" | "HardSwish" | "HardTanh" => "Mul, Add and Clip",
        "Min" | "Max" => "Clip with constant bounds",
        "Sum" | "Mean" => "Add, and Mul with a constant",
        "Neg" | "Abs" | "Sqrt" | "Pow" | "Exp" | "Log" => "Mul, Div and Add with constants",
        "Pad" => "the pads attribute of the next Conv or pool",
        "Resize" | "Upsample" => "ConvTranspose with a kernel as large as its stride",
        "GlobalMaxPool" => "MaxPool with kernel_shape of the whole map",
        "ReduceMean" => "GlobalAveragePool and Flatten",
        "LogSoftmax" => "the logits themselves: the cross-entropy takes the logarithm of their softmax",
        "ArgMax" | "TopK" => "the logits themselves: the losses take the largest",
        "Shape" | "Gather" | "Slice" | "Split" | "Expand" => {
            "Reshape with a constant shape (0 and -1 allowed)"
        }
        "Cast" => "a model that is float32 throughout",
        "Quant" | "BipolarQuant" | "Trunc" | "MultiThreshold" | "QuantizeLinear" | "DequantizeLinear" => {
            "the same step in the network on the chip, whose file may be quantized; a readout is float"
        }
        _ => "a chain of supported operators",
    }
}

impl Builder<'_> {
    fn node(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let view = if node.domain.is_empty() {
            operators::compile_node(self, node)?
        } else {
            None
        };
        let Some(view) = view else {
            let domain = if node.domain.is_empty() {
                "ai.onnx"
            } else {
                node.domain.as_str()
            };
            let problem = format!(
                "is the operator {} of the domain `{domain}`, which readouts do not have",
                node.op
            );
            return Err(ImportError::unsupported(&self.graph.file, node.label(), problem)
                .expected(format!("one of {SUPPORTED}"))
                .help(format!("the nearest supported form is {}", nearest(&node.op))));
        };
        if let Some(name) = node.outputs.first() {
            self.tensors.insert(name.clone(), view);
        }
        Ok(())
    }

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
    fn place(&mut self, shape: &[usize]) -> Option<View> {
        let len = self.take(shape)?;
        let view = View::row_major(self.memory_len, shape);
        self.memory_len += len;
        Some(view)
    }

    /// Elements of a shape, if they still fit.
    fn take(&self, shape: &[usize]) -> Option<usize> {
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
    fn row_major(&mut self, view: &View) -> Option<View> {
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
    fn name<'n>(&self, node: &'n OnnxNode, position: usize) -> Result<&'n str, ImportError> {
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
