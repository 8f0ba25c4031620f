//! From a graph to a plan: shapes are inferred, memory is laid out, operators become steps.

use std::collections::HashMap;

use super::builder::{Builder, too_large};
use super::plan::Plan;
use super::{OutputKind, Readout};
use super::{marks, operators};
use crate::network::import::ImportError;
use crate::network::import::limits::MAX_AXES;
use crate::network::import::onnx::{OnnxGraph, OnnxNode};
use crate::network::{Layout, Marks};

/// The operators that [`operators::compile_node`] knows.
const SUPPORTED: &str = "Gemm, MatMul, Add, Sub, Mul, Div, Conv, ConvTranspose, Relu, LeakyRelu, Sigmoid, Tanh, \
    Clip, Softmax, BatchNormalization, MaxPool, AveragePool, GlobalAveragePool, Reshape, Flatten, Transpose, \
    Squeeze, Unsqueeze, Concat, Identity and Dropout of ONNX's own domain";

pub(super) fn compile(graph: &OnnxGraph, behind: Option<&Layout>) -> Result<Readout, ImportError> {
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
    let own = behind
        .and_then(|layout| layout.feed(&input_shape))
        .map_or_else(|| Marks::unknown(&input_shape), |(_, marks)| marks);
    let batched = Marks(std::iter::once(Vec::new()).chain(own.0).collect());
    let mut known = marks::Known::from([(input.name.clone(), batched)]);
    for node in &graph.nodes {
        compile_node(&mut builder, node)?;
        let made = node
            .outputs
            .first()
            .and_then(|name| builder.tensors.get_key_value(name));
        if let Some((name, view)) = made {
            let marks = marks::behind(&builder, &known, node, &view.shape);
            known.insert(name.clone(), marks);
        }
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
    let mut output_marks = known
        .remove(&output.name)
        .unwrap_or_else(|| Marks::unknown(&view.shape));
    let output_shape = match view.shape.split_first() {
        Some((1, rest)) => {
            output_marks.0.remove(0);
            rest.to_vec()
        }
        _ => view.shape.clone(),
    };
    Ok(Readout {
        input_shape,
        layout: Layout::marked(&output_shape, output_marks),
        output_shape,
        front: None,
        kind: OutputKind::Values,
        plan: Plan {
            input_len,
            steps: builder.steps,
            memory_len: builder.memory_len,
            output: view.offset,
            output_len: view.len(),
        },
    })
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

/// Compiles a node, whose output is a tensor from then on.
fn compile_node(builder: &mut Builder, node: &OnnxNode) -> Result<(), ImportError> {
    let view = if node.domain.is_empty() {
        operators::compile_node(builder, node)?
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
        return Err(
            ImportError::unsupported(&builder.graph.file, node.label(), problem)
                .expected(format!("one of {SUPPORTED}"))
                .help(format!("the nearest supported form is {}", nearest(&node.op))),
        );
    };
    if let Some(name) = node.outputs.first() {
        builder.tensors.insert(name.clone(), view);
    }
    Ok(())
}
