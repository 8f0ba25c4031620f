//! Where the network's input becomes integers.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use num_rational::BigRational;

use super::domain::channels_last;
use super::operand::{Operand, is_plain_number, picked};
use super::quant::Quantizer;
use super::stream::{PerChannel, Step, Stream, uniform};
use super::{Importer, Value, constant, exact, ones, single, zeros};
use crate::fixed_point::Format;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError, limits};
use crate::network::preprocessing::exact_root;
use crate::network::{Encoding, Exact, InputRule, Note, NoteKind, Preprocessing, RealQuantizer, RealStep};

/// Width of raw integer inputs whose type the file does not state.
const DEFAULT_RAW_WIDTH: u32 = 8;

/// The axes of the file's input without the batch, that at `channels` last and the others in their order. `None`
/// where that axis is none of the file's.
fn channels_behind(axes: &[Option<usize>], channels: usize) -> Option<Vec<usize>> {
    let last = axes.get(channels).copied().flatten().filter(|&axis| axis > 0)?;
    let rest = axes.iter().enumerate().filter(|(at, _)| *at != channels);
    let mut order: Vec<usize> = rest
        .filter_map(|(_, axis)| *axis)
        .filter(|&axis| axis > 0)
        .map(|axis| axis - 1)
        .collect();
    order.push(last - 1);
    Some(order)
}

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
        let name = input.name.clone();
        let shape = self.input_shape()?;
        let rank = shape.len();
        let order = self
            .input_order(&shape)
            .filter(|order| order.len() == rank)
            .map(|order| {
                let mut axes = vec![0; rank];
                for (to, axis) in order.into_iter().enumerate() {
                    axes[axis] = to;
                }
                axes
            });
        let axes = order.clone().unwrap_or_else(|| (0..rank).collect());
        let is_map = shape.iter().filter(|&&extent| extent != 1).count() > 1;
        if order.is_none() && is_map {
            let text = format!(
                "no operator says which axis of {shape:?} holds the channels: arrays are read in the file's own order"
            );
            self.builder
                .notes
                .push(Note::new(NoteKind::Layout, name.clone(), text));
        }
        self.builder.input_axes = order.unwrap_or_default();
        let mut last = vec![0; rank];
        for (axis, &to) in axes.iter().enumerate() {
            last[to] = shape[axis];
        }
        let stated = self.stated_type()?;
        let encoding = match stated {
            Some(encoding) => encoding,
            None => default_type(&self.graph.file)?,
        };
        let tensor = self.builder.tensor(&name, last, encoding, 1.0);
        self.builder.input = Some(tensor);
        let stream = Stream {
            tensor,
            axes,
            scale: ones(),
            offset: zeros(),
            steps: Vec::new(),
        };
        let value = if stated.is_some() {
            self.builder.input_rule = InputRule::Stated;
            self.entered = Some(InputRule::Stated);
            Value::Stream(Stream {
                scale: single(exact::power_of_two(-encoding.frac())),
                ..stream
            })
        } else {
            let mut operand = self.still(stream);
            operand.real = true;
            Value::Input(operand)
        };
        self.values.insert(name, value);
        Ok(())
    }

    /// The type of the numbers that enter, where the file or the options state one.
    fn stated_type(&self) -> Result<Option<Encoding>, ImportError> {
        let name = &self.graph.inputs[0].name;
        let annotated = self
            .graph
            .finn_datatypes
            .get(name)
            .and_then(|text| constant::data_type(text));
        let asked = self
            .options
            .input_type
            .map(|stated| Encoding::Fixed(stated.format()));
        match (annotated, asked) {
            (Some(annotated), Some(asked)) if annotated != asked => Err(ImportError::unsupported(
                &self.graph.file,
                format!("input `{name}`"),
                format!("has the annotated data type {}", self.graph.finn_datatypes[name]),
            )
            .expected("no other input type")
            .help("leave the input type out, or correct the annotation")),
            (annotated, asked) => Ok(annotated.or(asked)),
        }
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

    /// The axes of the file's input in the order that suits the first operator that knows of axes, the
    /// channels last; element-wise operators are passed. `None` where there is none.
    fn input_order(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let mut readers: HashMap<&str, Vec<&OnnxNode>> = HashMap::new();
        for node in &self.graph.nodes {
            for input in &node.inputs {
                readers.entry(input).or_default().push(node);
            }
        }
        // Which axis of the file each axis is, the batch included; none for those of extent 1 that were inserted.
        let axes: Vec<Option<usize>> = (0..=shape.len()).map(Some).collect();
        let mut frontier: Vec<(&str, Vec<Option<usize>>)> = vec![(&self.graph.inputs[0].name, axes)];
        let mut seen: HashSet<&str> = HashSet::new();
        while let Some((name, axes)) = frontier.pop() {
            for node in readers.get(name).into_iter().flatten() {
                // Only what the operator works on has its axes.
                if node.input(0) != Some(name) && matches!(node.op.as_str(), "Reshape" | "Pad" | "Resize") {
                    continue;
                }
                let next = match node.op.as_str() {
                    "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool"
                    | "GlobalMaxPool" | "BatchNormalization" | "Resize" | "Upsample" | "QuantAvgPool2d"
                        if !channels_last(node) =>
                    {
                        return channels_behind(&axes, 1);
                    }
                    // Three axes without a layout are `NWC`.
                    "MultiThreshold"
                        if node
                            .text("data_layout")
                            .filter(|layout| !layout.is_empty())
                            .map_or(axes.len() != 3, |layout| layout.starts_with("NC")) =>
                    {
                        return channels_behind(&axes, 1);
                    }
                    "Transpose" => {
                        let rank = axes.len() as i64;
                        let perm = node.ints("perm")?;
                        let at = |axis: &i64| {
                            let axis = if *axis < 0 { *axis + rank } else { *axis };
                            usize::try_from(axis)
                                .ok()
                                .and_then(|axis| axes.get(axis).copied())
                        };
                        perm.iter().map(at).collect::<Option<Vec<_>>>()?
                    }
                    "Unsqueeze" | "Squeeze" => self.with_axes_of(node, &axes, shape)?,
                    // They work on the last axis, or on all in their order.
                    "Flatten" | "Reshape" => {
                        let last = axes.len() - 1;
                        let moved = !axes.iter().flatten().is_sorted();
                        return moved.then(|| channels_behind(&axes, last)).flatten();
                    }
                    "MatMul" | "Gemm" | "MultiThreshold" | "Conv" | "ConvTranspose" | "MaxPool"
                    | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "BatchNormalization"
                    | "Resize" | "Upsample" | "Im2Col" | "MaxPoolNHWC" | "QuantAvgPool2d" => {
                        return channels_behind(&axes, axes.len() - 1);
                    }
                    _ => axes.clone(),
                };
                if let Some(output) = node.outputs.first()
                    && seen.insert(output)
                {
                    frontier.push((output, next));
                }
            }
        }
        None
    }

    /// The axes behind `Unsqueeze` or `Squeeze`.
    fn with_axes_of(
        &self,
        node: &OnnxNode,
        axes: &[Option<usize>],
        shape: &[usize],
    ) -> Option<Vec<Option<usize>>> {
        let named = self.integers(node, "axes", 1).ok()?;
        let inserts = node.op == "Unsqueeze";
        let rank = axes.len() + if inserts { named.as_ref()?.len() } else { 0 };
        let is_one = |axis: &Option<usize>| axis.is_none_or(|axis| axis > 0 && shape[axis - 1] == 1);
        let Some(named) = named else {
            return Some(axes.iter().copied().filter(|axis| !is_one(axis)).collect());
        };
        let mut marked = vec![false; rank];
        for axis in named {
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            *marked.get_mut(usize::try_from(axis).ok()?)? = true;
        }
        if inserts {
            let mut rest = axes.iter().copied();
            return marked
                .iter()
                .map(|&new| if new { Some(None) } else { rest.next() })
                .collect();
        }
        Some(
            axes.iter()
                .zip(marked)
                .filter(|(_, drop)| !drop)
                .map(|(axis, _)| *axis)
                .collect(),
        )
    }

    /// Says how the input's integers are made; once for all readers.
    fn enter(
        &mut self,
        node: &OnnxNode,
        encoding: Encoding,
        scale: f64,
        rule: InputRule,
    ) -> Result<(), ImportError> {
        let Some(tensor) = self.builder.input else {
            return Err(self
                .structure(node, "reads an input that is not there")
                .expected("one input")
                .help("export the network again"));
        };
        let tensor = &mut self.builder.tensors[tensor.index()];
        match &self.entered {
            None => {
                tensor.encoding = encoding;
                tensor.scale = scale;
                self.builder.input_rule = rule.clone();
                self.entered = Some(rule);
                Ok(())
            }
            Some(known) if *known == rule && tensor.encoding == encoding && tensor.scale == scale => Ok(()),
            Some(_) => Err(self
                .unsupported(node, "quantizes the network's input in a second way")
                .expected("one quantizer on the input")
                .help("let all branches read the same quantized input")),
        }
    }

    /// The integers behind the input's quantizer as an operand, what waited for them done.
    fn entered_as(
        &mut self,
        node: &OnnxNode,
        operand: Operand,
        scale: &PerChannel,
        shape: &[usize],
    ) -> Result<Value, ImportError> {
        let deferred = operand.deferred.clone();
        let operand = Operand {
            real: false,
            deferred: Vec::new(),
            ..operand
        };
        let mut operand = self.in_units(node, operand, scale, shape)?;
        for node in &deferred {
            operand = self.moved(node, operand)?;
        }
        Ok(self.value_of(operand))
    }

    /// The input that an operator reads as integers without a quantizer: its function goes on on the integers.
    pub fn raw_input(&mut self, node: &OnnxNode, operand: Operand) -> Result<Operand, ImportError> {
        self.enter(node, default_type(&self.graph.file)?, 1.0, InputRule::Raw)?;
        let deferred = operand.deferred.clone();
        let channels = self.builder.tensors[operand.stream.tensor.index()].channels();
        let mut operand = Operand {
            real: false,
            deferred: Vec::new(),
            ..operand
        };
        if operand.stream.longest() > channels {
            operand = self.flat(operand);
        }
        for node in &deferred {
            operand = self.moved(node, operand)?;
        }
        Ok(operand)
    }

    /// The input behind a `Quant` node.
    pub fn quantized_input(
        &mut self,
        node: &OnnxNode,
        mut operand: Operand,
        quantizer: &Quantizer,
    ) -> Result<Value, ImportError> {
        operand.stream.unify();
        let frac = quantizer.frac().unwrap_or(0);
        let unit = exact::power_of_two(-frac);
        let one = uniform(&quantizer.scale).map(|scale| (exact::to_f64(&(scale / &unit)), scale / &unit));
        let as_float = one
            .filter(|(float, exactly)| exact::rational(*float).as_ref() == Some(exactly))
            .map(|(float, _)| float);
        let format = quantizer.format(frac).filter(|_| quantizer.zero == 0);
        if let (Some(outside), Some(format)) = (as_float, format)
            && is_plain_number(&operand.stream)
        {
            self.enter(node, Encoding::Fixed(format), outside, InputRule::Quantize)?;
            return self.entered_as(node, operand, &quantizer.scale, &quantizer.scale_shape);
        }
        let (operand, positions) = self.align(node, operand, &quantizer.scale_shape)?;
        let (low, high) = quantizer.levels();
        let (Ok(low), Ok(high)) = (i64::try_from(low), i64::try_from(high)) else {
            return Err(self
                .structure(node, "quantizes beyond 64 signed bits")
                .expected("integers of at most 64 signed bits")
                .help("narrow the quantizer"));
        };
        let rule = RealQuantizer::Uniform {
            step: exactly(&picked(&quantizer.scale, &positions)),
            zero: quantizer.zero,
            low,
            high,
            rounding: quantizer.rounding,
        };
        let encoding = self.encoding_of(node, quantizer, frac)?;
        self.preprocess(node, &operand, rule, encoding, &quantizer.scale)?;
        self.entered_as(node, operand, &quantizer.scale, &quantizer.scale_shape)
    }

    /// The input behind a `BipolarQuant` node: its sign.
    pub fn bipolar_input(
        &mut self,
        node: &OnnxNode,
        operand: Operand,
        scale: &PerChannel,
        scale_shape: &[usize],
    ) -> Result<Value, ImportError> {
        let frac = uniform(scale).and_then(exact::log2).map_or(0, |k| -k);
        let encoding = exact::bipolar(frac).ok_or_else(|| {
            self.structure(node, "has a scale beyond 2^-1024..2^1024")
                .expected("a scale that hardware has")
                .help("check the quantizer")
        })?;
        let rule = RealQuantizer::Thresholds {
            thresholds: exactly(&zeros()),
            count: 1,
            factor: 2,
            offset: -1,
        };
        self.preprocess(node, &operand, rule, encoding, scale)?;
        self.entered_as(node, operand, scale, scale_shape)
    }

    /// The input behind a `MultiThreshold` node: how many levels it reaches.
    #[allow(clippy::too_many_arguments)]
    pub fn threshold_input(
        &mut self,
        node: &OnnxNode,
        operand: Operand,
        row_of: &[usize],
        level: impl Fn(usize, usize) -> (BigRational, bool),
        (count, factor, offset): (usize, i64, i64),
        encoding: Encoding,
        grid: &BigRational,
    ) -> Result<Value, ImportError> {
        if row_of
            .len()
            .checked_mul(count)
            .is_none_or(|n| n > limits::MAX_THRESHOLDS)
        {
            return Err(self
                .unsupported(
                    node,
                    &format!("has {count} levels for each of {} elements", row_of.len()),
                )
                .expected(format!("at most {} levels", limits::MAX_THRESHOLDS))
                .help("use one row of thresholds, or one per channel"));
        }
        let thresholds = (0..row_of.len())
            .flat_map(|row| (0..count).map(move |step| (row, step)))
            .map(|(row, step)| Exact(level(row, step).0))
            .collect();
        let rule = RealQuantizer::Thresholds {
            thresholds,
            count,
            factor,
            offset,
        };
        let scale = single(grid.clone());
        self.preprocess(node, &operand, rule, encoding, &scale)?;
        self.entered_as(node, operand, &scale, &[])
    }

    /// Lets the samples go through the operand's function and a quantizer before they enter.
    fn preprocess(
        &mut self,
        node: &OnnxNode,
        operand: &Operand,
        quantizer: RealQuantizer,
        encoding: Encoding,
        scale: &PerChannel,
    ) -> Result<(), ImportError> {
        let stream = &operand.stream;
        let mut steps = Vec::new();
        if !is_plain_number(&Stream {
            steps: Vec::new(),
            ..stream.clone()
        }) {
            steps.push(RealStep::Affine {
                factor: exactly(&stream.scale),
                offset: exactly(&stream.offset),
            });
        }
        let mut roots = 0;
        for step in &stream.steps {
            steps.push(match step {
                Step::Affine { factor, offset } => RealStep::Affine {
                    factor: exactly(factor),
                    offset: exactly(offset),
                },
                Step::Clamp { low, high } => RealStep::Clamp {
                    low: low.clone().map(Exact),
                    high: high.clone().map(Exact),
                },
                Step::Leaky { slope } => RealStep::Leaky {
                    slope: Exact(slope.clone()),
                },
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => {
                    roots += usize::from(variance.iter().any(|value| exact_root(value).is_none()));
                    RealStep::BatchNormalization {
                        gamma: exactly(gamma),
                        beta: exactly(beta),
                        mean: exactly(mean),
                        variance: exactly(variance),
                    }
                }
                Step::Sigmoid | Step::Tanh => {
                    return Err(self
                        .inexact(
                            node,
                            "quantizes a sigmoid or hyperbolic tangent of the network's real input",
                        )
                        .expected("arithmetic that is exact on real numbers")
                        .help("apply it to the data beforehand and start the network at integers")
                        .cure(Cure::Mantissas));
                }
            });
        }
        if roots > 1 {
            return Err(self
                .inexact(
                    node,
                    "quantizes the network's real input behind two batch normalizations in a row",
                )
                .expected("at most one irrational square root in front of the quantizer")
                .help("quantize between them, or start the network at integers")
                .cure(Cure::Mantissas));
        }
        if !steps.is_empty() {
            self.builder.notes.push(Note::new(
                NoteKind::Preprocessing,
                node.label(),
                "what the file computes in front of it is done on the samples in exact arithmetic, off the chip; \
                 the flows' executors compute it in single precision",
            ));
        }
        let unit = exact::power_of_two(-encoding.frac());
        let outside = uniform(scale).map_or(1.0, |scale| exact::to_f64(&(scale / unit)));
        let rule = InputRule::Preprocess(Box::new(Preprocessing { steps, quantizer }));
        self.enter(node, encoding, outside, rule)
    }
}

/// The type of integers that enter where nothing states it.
fn default_type(file: &Path) -> Result<Encoding, ImportError> {
    Format::new(DEFAULT_RAW_WIDTH, DEFAULT_RAW_WIDTH as i32, true)
        .map(Encoding::Fixed)
        .map_err(|error| {
            ImportError::structure(file, "the input", error.to_string())
                .expected("a type of at most 64 bits")
                .help("annotate the input's data type")
        })
}

/// Numbers as documents have them.
fn exactly(values: &PerChannel) -> Vec<Exact> {
    values.iter().cloned().map(Exact).collect()
}
