//! Where the network's input becomes integers.

use std::collections::{HashMap, HashSet};

use num_rational::BigRational;

use super::domain::channels_last;
use super::quant::Quantizer;
use super::stream::Stream;
use super::{Importer, Value, constant, exact, single, zeros};
use crate::fixed_point::Format;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError, limits};
use crate::network::{Encoding, InputRule, TensorId};

/// Width of raw integer inputs whose type the file does not state.
const DEFAULT_RAW_WIDTH: u32 = 8;

impl Importer<'_> {
    /// Finds the graph's one real input.
    pub fn declare_input(&mut self) -> Result<(), ImportError> {
        let [input] = self.graph.inputs.as_slice() else {
            let names: Vec<&str> = self
                .graph
                .inputs
                .iter()
                .map(|input| input.name.as_str())
                .collect();
            return Err(ImportError::unsupported(
                &self.graph.file,
                "the graph",
                format!("has the inputs {names:?}"),
            )
            .expected("one input besides the constants")
            .help("keep the one that enters the chip"));
        };
        self.values.insert(
            input.name.clone(),
            Value::Input {
                rearranged: Vec::new(),
            },
        );
        Ok(())
    }

    /// Shape of the input without the batch, in the file's order.
    pub fn input_shape(&self) -> Result<Vec<usize>, ImportError> {
        let input = &self.graph.inputs[0];
        let place = || format!("input `{}`", input.name);
        let shape: Option<Vec<usize>> = input.shape.iter().skip(1).copied().collect();
        let shape = shape.filter(|shape| !shape.is_empty()).ok_or_else(|| {
            ImportError::structure(&self.graph.file, place(), "has no fixed shape".to_owned())
                .expected("a batch dimension followed by known dimensions")
                .help("run shape inference (for example qonnx-cleanup) or export with a fixed input shape")
        })?;
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements.is_none_or(|n| n > limits::MAX_ELEMENTS) || shape.len() > limits::MAX_AXES {
            return Err(ImportError::structure(
                &self.graph.file,
                place(),
                format!("has the shape {shape:?}"),
            )
            .expected(format!(
                "at most {} elements and {} axes",
                limits::MAX_ELEMENTS,
                limits::MAX_AXES
            ))
            .help("check the input's dimensions"));
        }
        Ok(shape)
    }

    /// Whether the file's input has its channels before its spatial dimensions.
    fn input_is_channels_first(&self, rank: usize) -> bool {
        if rank < 2 {
            return false;
        }
        // The first operator that knows channels decides; purely element-wise ones are passed.
        let mut readers: HashMap<&str, Vec<&OnnxNode>> = HashMap::new();
        for node in &self.graph.nodes {
            for input in &node.inputs {
                readers.entry(input).or_default().push(node);
            }
        }
        let mut frontier: Vec<&str> = vec![&self.graph.inputs[0].name];
        let mut seen: HashSet<&str> = HashSet::new();
        while let Some(name) = frontier.pop() {
            for node in readers.get(name).into_iter().flatten() {
                if channels_last(node) {
                    return false;
                }
                match node.op.as_str() {
                    "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool"
                    | "GlobalMaxPool" | "BatchNormalization" | "Resize" | "Upsample" | "QuantAvgPool2d" => {
                        return true;
                    }
                    "MultiThreshold" => {
                        // Three axes without a layout are `NWC`.
                        let stated = node.text("data_layout").filter(|layout| !layout.is_empty());
                        return stated.map_or(rank != 2, |layout| layout.starts_with("NC"));
                    }
                    "Transpose" => {
                        // Towards channels first: the file's own order is channels last.
                        return node.ints("perm").is_some_and(|perm| perm.last() == Some(&1));
                    }
                    "Flatten" | "Reshape" => {
                        let shape = self.input_shape().unwrap_or_default();
                        return rank == 3 && matches!(shape[0], 2..=4) && !matches!(shape[2], 1..=4);
                    }
                    _ => {
                        if let Some(output) = node.outputs.first()
                            && seen.insert(output)
                        {
                            frontier.push(output);
                        }
                    }
                }
            }
        }
        false
    }

    /// Makes the input tensor and the stream of its integers.
    fn enter(
        &mut self,
        node: &OnnxNode,
        encoding: Encoding,
        scale: &BigRational,
        rule: InputRule,
        rearranged: &[OnnxNode],
    ) -> Result<Stream, ImportError> {
        let shape = self.input_shape()?;
        let rank = shape.len();
        let first = self.input_is_channels_first(rank);
        let axes: Vec<usize> = if first {
            std::iter::once(rank - 1).chain(0..rank - 1).collect()
        } else {
            (0..rank).collect()
        };
        let mut last = vec![0; rank];
        for (axis, &to) in axes.iter().enumerate() {
            last[to] = shape[axis];
        }
        let tensor = match self.builder.input {
            Some(tensor) => {
                if self.builder.tensors[tensor.index()].encoding != encoding {
                    return Err(self
                        .unsupported(node, "quantizes the network's input in a second way")
                        .expected("one quantizer on the input")
                        .help("let all branches read the same quantized input"));
                }
                tensor
            }
            None => self.make_input(last, encoding, scale, rule),
        };
        let mut stream = Stream {
            tensor,
            axes,
            scale: single(scale.clone()),
            offset: zeros(),
            steps: Vec::new(),
        };
        for node in rearranged {
            stream = self.rearrange_stream(node, stream)?;
        }
        Ok(stream)
    }

    fn make_input(
        &mut self,
        shape: Vec<usize>,
        encoding: Encoding,
        scale: &BigRational,
        rule: InputRule,
    ) -> TensorId {
        let name = self.graph.inputs[0].name.clone();
        let unit = exact::power_of_two(-encoding.frac());
        let tensor = self
            .builder
            .tensor(&name, shape, encoding, exact::to_f64(&(scale / unit)));
        self.builder.input = Some(tensor);
        self.builder.input_rule = rule;
        tensor
    }

    /// The input that an operator reads as integers without a quantizer.
    pub fn raw_input(&mut self, node: &OnnxNode, rearranged: &[OnnxNode]) -> Result<Stream, ImportError> {
        let name = &self.graph.inputs[0].name;
        let annotated = self
            .graph
            .finn_datatypes
            .get(name)
            .and_then(|text| constant::data_type(text));
        let encoding = match annotated {
            Some(encoding) => encoding,
            None => Encoding::Fixed(
                Format::new(DEFAULT_RAW_WIDTH, DEFAULT_RAW_WIDTH as i32, true).map_err(|error| {
                    self.structure(node, &error.to_string())
                        .expected("a type of at most 64 bits")
                        .help("annotate the input's data type")
                })?,
            ),
        };
        let scale = exact::power_of_two(-encoding.frac());
        self.enter(node, encoding, &scale, InputRule::Raw, rearranged)
    }

    /// The input behind its quantizer.
    pub fn quantized_input(
        &mut self,
        node: &OnnxNode,
        quantizer: &Quantizer,
        rearranged: &[OnnxNode],
    ) -> Result<Stream, ImportError> {
        let Some(scale) = super::stream::uniform(&quantizer.scale) else {
            return Err(self
                .unsupported(node, "quantizes the network's input with one scale per channel")
                .expected("one scale")
                .help("quantize the input per tensor"));
        };
        let frac = quantizer.frac().unwrap_or(0);
        let format = quantizer.format(frac).filter(|_| quantizer.zero == 0).ok_or_else(|| {
            self.unsupported(node, "quantizes the network's input with a zero point, an unusual rounding or an unsigned narrow range")
                .expected("zero point 0, rounding ROUND, FLOOR, ROUND_TO_ZERO, HALF_UP or HALF_DOWN")
                .help("quantize the data beforehand and start the network at integers").cure(Cure::Mantissas)
        })?;
        self.enter(
            node,
            Encoding::Fixed(format),
            &scale.clone(),
            InputRule::Quantize,
            rearranged,
        )
    }
}
