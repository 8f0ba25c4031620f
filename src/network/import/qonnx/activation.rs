//! From real functions back to integers: quantizers, thresholds, activations.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::constant::{Const, Elements, Quantized, broadcast_index, data_type, spreads_over};
use super::exact::{self, common_grid, power_of_two};
use super::matrix::with_frac;
use super::quant::{Quantizer, Truncation};
use super::stream::{PerChannel, Reached, Step, Stream, Undecided, at, reached, uniform};
use super::{Importer, Value, single, zeros};
use crate::fixed_point::{Format, Overflow, Quantization};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};
use crate::network::{Encoding, MultiThreshold, Op, ParamKind, Relu};

/// Most thresholds per channel that an activation may turn into.
const MAX_STEPS: usize = 1 << 16;

/// Thresholds of all channels with the output that they lead to.
struct Steps {
    rows: usize,
    count: usize,
    values: Vec<i128>,
    factor: Vec<i64>,
    offset: Vec<i64>,
}

impl Importer<'_> {
    /// `Quant` and `IntQuant`.
    pub fn quant(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let quantizer = Quantizer::of(self, node)?;
        if quantizer.is_bipolar() {
            if quantizer.zero != 0 {
                return Err(self
                    .unsupported(node, "quantizes to one signed bit around a zero point")
                    .expected("zero point 0 for one signed bit, which stands for -1 and 1")
                    .help("use BipolarQuant, or two bits"));
            }
            return self.bipolar(node, quantizer.scale, quantizer.scale_shape);
        }
        match self.value(node, 0)? {
            Value::Const(constant) => self
                .quantized_constant(node, &quantizer, &constant)
                .map(Value::Const),
            Value::Input { rearranged } => self
                .quantized_input(node, &quantizer, &rearranged)
                .map(Value::Stream),
            Value::Stream(stream) => self.requantize(node, stream, &quantizer).map(Value::Stream),
        }
    }

    fn quantized_constant(
        &self,
        node: &OnnxNode,
        quantizer: &Quantizer,
        constant: &Const,
    ) -> Result<Const, ImportError> {
        if quantizer.zero != 0 {
            return Err(self
                .unsupported(
                    node,
                    &format!("quantizes a constant with the zero point {}", quantizer.zero),
                )
                .expected("zero point 0 on weights and biases")
                .help("use a symmetric quantizer for parameters"));
        }
        let format = quantizer.storage(0).ok_or_else(|| {
            self.structure(node, "has no storage type")
                .expected("1 to 64 bits")
                .help("check the bit width")
        })?;
        self.check_spread(node, constant, &quantizer.scale_shape)?;
        let mut mantissas = Vec::with_capacity(constant.len());
        for index in 0..constant.len() {
            let value = self.exact_element(node, constant, index)?;
            let at = broadcast_index(&constant.shape, &quantizer.scale_shape, index);
            let mantissa = quantizer
                .scale
                .get(at)
                .and_then(|scale| quantizer.apply(&value, scale));
            mantissas.push(mantissa);
        }
        let mantissas: Option<Vec<i64>> = mantissas.into_iter().collect();
        let mantissas = mantissas.ok_or_else(|| {
            self.structure(node, "does not fit 64 bits")
                .expected("integers of at most 64 bits")
                .help("narrow the quantizer")
        })?;
        let (scale, scale_shape) = match uniform(&quantizer.scale) {
            Some(scale) => (single(scale.clone()), Vec::new()),
            None => (quantizer.scale.clone(), quantizer.scale_shape.clone()),
        };
        let quantized = Quantized {
            mantissas,
            encoding: Encoding::Fixed(format),
            scale,
            scale_shape,
        };
        Ok(Const {
            name: constant.name.clone(),
            shape: constant.shape.clone(),
            elements: Elements::Quantized(quantized),
        })
    }

    /// Refuses scales whose shape does not spread over a constant's.
    fn check_spread(&self, node: &OnnxNode, constant: &Const, scales: &[usize]) -> Result<(), ImportError> {
        if spreads_over(&constant.shape, scales) {
            return Ok(());
        }
        Err(self
            .structure(
                node,
                &format!(
                    "has scales of shape {scales:?} for a constant of shape {:?}",
                    constant.shape
                ),
            )
            .expected("one scale, or extents of 1 or of the constant's own")
            .help("check the quantizer's scale"))
    }

    fn exact_element(
        &self,
        node: &OnnxNode,
        constant: &Const,
        index: usize,
    ) -> Result<BigRational, ImportError> {
        constant.exact_at(index).ok_or_else(|| {
            self.inexact(
                node,
                "quantizes a constant with a value that is not a finite number",
            )
            .expected("finite numbers")
            .help("look for NaN or infinity in the trained parameters")
        })
    }

    /// Quantizes a stream: by a cast where every step is a power of two, by thresholds otherwise.
    fn requantize(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        quantizer: &Quantizer,
    ) -> Result<Stream, ImportError> {
        if let Some(stream) = self.requantize_by_cast(node, &stream, quantizer)? {
            return Ok(stream);
        }
        let (low, high) = quantizer.levels();
        let count = usize::try_from(high - low)
            .ok()
            .filter(|&n| n <= MAX_STEPS)
            .ok_or_else(|| {
                self.inexact(
                    node,
                    &format!(
                        "has 2^{} levels and a scale that is not a power of two",
                        quantizer.bits
                    ),
                )
                .expected("at most 16 bits where the scale is not a power of two")
                .help("use a power-of-two scale, or fewer bits")
            })?;
        let scales = self.per_channel(node, &stream, quantizer.scale.clone(), &quantizer.scale_shape)?;
        let zero = BigRational::from_integer(BigInt::from(quantizer.zero));
        let level = |channel: usize, step: usize| {
            let (boundary, strict) = quantizer.rounding.boundary((low + 1) as i64 + step as i64);
            ((boundary - &zero) * at(&scales, channel), strict)
        };
        let per_channel = scales.len() > 1;
        let mut steps = self.steps_of(node, &stream, count, per_channel, false, level)?;
        let first = low as i64 - quantizer.zero;
        for offset in &mut steps.offset {
            *offset += first;
        }
        let frac = quantizer.frac().unwrap_or(0);
        let encoding = if quantizer.zero == 0 {
            quantizer.storage(frac).map(Encoding::Fixed)
        } else {
            let zero = i128::from(quantizer.zero);
            exact::stored(low - zero, high - zero, frac).map(Encoding::Fixed)
        };
        let encoding = encoding.ok_or_else(|| {
            self.structure(node, "has no output type")
                .expected("1 to 64 bits")
                .help("check the quantizer")
        })?;
        self.emit_thresholds(node, stream, steps, encoding, scales)
    }

    fn requantize_by_cast(
        &mut self,
        node: &OnnxNode,
        stream: &Stream,
        quantizer: &Quantizer,
    ) -> Result<Option<Stream>, ImportError> {
        let Some(frac) = quantizer.frac() else {
            return Ok(None);
        };
        // A zero point shifts where the clipping happens; thresholds say it exactly.
        let Some(format) = quantizer.format(frac).filter(|_| quantizer.zero == 0) else {
            return Ok(None);
        };
        let Some(scale) = stream.uniform_scale().cloned() else {
            return Ok(None);
        };
        if exact::log2(&scale).is_none() || !stream.offset.iter().all(Zero::is_zero) {
            return Ok(None);
        }
        let ceiling_of = |high: &Option<BigRational>| match high {
            None => Some(None),
            Some(high) => exact::integer(&(high / &scale)).map(Some),
        };
        let op = match stream.steps.as_slice() {
            [] => Op::Cast,
            [Step::Clamp { low: Some(low), high }] if low.is_zero() => match ceiling_of(high) {
                Some(ceiling) => Op::Relu(Relu {
                    slope: None,
                    threshold: 0,
                    ceiling,
                }),
                None => return Ok(None),
            },
            [Step::Clamp { low, high }] => {
                let bound = |value: &Option<BigRational>, open: i64| match value {
                    None => Some(open),
                    Some(value) => exact::integer(&(value / &scale)),
                };
                match (bound(low, i64::MIN), bound(high, i64::MAX)) {
                    (Some(low), Some(high)) if low <= high => Op::Clip { low, high },
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        // Alignment renames the unit and leaves mantissas alone, so the bounds above still hold.
        let base = self.aligned(
            node,
            Stream {
                steps: Vec::new(),
                ..stream.clone()
            },
        )?;
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer_for_activation(base.tensor, &name, &node.op);
        let shape = self.builder.tensors[base.tensor.index()].shape.clone();
        let output = self
            .builder
            .tensor(&node.outputs[0], shape, Encoding::Fixed(format), 1.0);
        self.builder.node(&name, layer, op, vec![base.tensor], output);
        Ok(Some(Stream {
            tensor: output,
            axes: base.axes,
            scale: single(power_of_two(-frac)),
            offset: zeros(),
            steps: Vec::new(),
        }))
    }

    /// `BipolarQuant`: `x >= 0 ? scale : -scale`.
    pub fn bipolar_quant(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let (scale, scale_shape) = self.exact_constant(node, 1, "scale")?;
        if scale.iter().any(|s| !s.is_positive()) {
            return Err(self
                .structure(node, "has a scale that is not above zero")
                .expected("positive scales")
                .help("check the quantizer"));
        }
        self.bipolar(node, scale, scale_shape)
    }

    fn bipolar(
        &mut self,
        node: &OnnxNode,
        scale: PerChannel,
        scale_shape: Vec<usize>,
    ) -> Result<Value, ImportError> {
        match self.value(node, 0)? {
            Value::Const(constant) => {
                self.check_spread(node, &constant, &scale_shape)?;
                let mut mantissas = Vec::with_capacity(constant.len());
                for index in 0..constant.len() {
                    let value = self.exact_element(node, &constant, index)?;
                    mantissas.push(if value.is_negative() { -1 } else { 1 });
                }
                let quantized = Quantized {
                    mantissas,
                    encoding: Encoding::Bipolar { frac: 0 },
                    scale,
                    scale_shape,
                };
                Ok(Value::Const(Const {
                    elements: Elements::Quantized(quantized),
                    ..constant
                }))
            }
            Value::Input { .. } => Err(self
                .unsupported(node, "reduces the network's real input to its sign")
                .expected("a Quant node on the input")
                .help("quantize the data beforehand and start the network at integers (--raw-inputs)")),
            Value::Stream(stream) => {
                let scale = self.per_channel(node, &stream, scale, &scale_shape)?;
                let steps = self.steps_of(node, &stream, 1, false, false, |_, _| {
                    (BigRational::zero(), false)
                })?;
                let steps = Steps {
                    factor: steps.factor.iter().map(|f| 2 * f).collect(),
                    offset: steps.offset.iter().map(|o| 2 * o - 1).collect(),
                    ..steps
                };
                let frac = uniform(&scale).and_then(exact::log2).map_or(0, |k| -k);
                let encoding = exact::bipolar(frac).ok_or_else(|| {
                    self.structure(node, "has a scale beyond 2^-1024..2^1024")
                        .expected("a scale that hardware has")
                        .help("check the quantizer")
                })?;
                self.emit_thresholds(node, stream, steps, encoding, scale)
                    .map(Value::Stream)
            }
        }
    }

    /// `MultiThreshold`: `out_bias + out_scale * #{ x >= threshold }`.
    pub fn multi_threshold(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let first = node
            .text("data_layout")
            .is_none_or(|layout| layout.starts_with("NC"));
        let stream = if first && stream.axes.len() > 1 {
            self.as_image(node, stream)?.0
        } else {
            let identity: Vec<usize> = (0..stream.axes.len()).collect();
            self.with_layout(node, stream, &identity)?
        };
        let channels = self.builder.tensors[stream.tensor.index()].channels();
        let (thresholds, shape) = self.exact_constant(node, 1, "threshold")?;
        let count = match shape.as_slice() {
            [rows, count] if (*rows == channels || *rows == 1) && (1..=MAX_STEPS).contains(count) => *count,
            _ => {
                return Err(self
                    .structure(
                        node,
                        &format!("has thresholds of shape {shape:?} for {channels} channels"),
                    )
                    .expected(format!(
                        "[{channels}, steps] or [1, steps] with 1 to {MAX_STEPS} steps"
                    ))
                    .help("export the network again"));
            }
        };
        let rows = shape[0];
        let attribute = |name: &str, default: f64| exact::rational(node.float(name).unwrap_or(default));
        let (Some(scale), Some(bias)) = (attribute("out_scale", 1.0), attribute("out_bias", 0.0)) else {
            return Err(self
                .structure(node, "has a scale or bias that is no finite number")
                .expected("finite out_scale and out_bias")
                .help("export the network again"));
        };
        if scale.is_zero() {
            return Err(self
                .structure(node, "has out_scale 0")
                .expected("a scale other than 0")
                .help("check the activation"));
        }
        let grid = common_grid(&scale, &bias);
        let (Some(factor), Some(offset)) = (
            exact::integer(&(&scale / &grid)),
            exact::integer(&(&bias / &grid)),
        ) else {
            return Err(self
                .inexact(
                    node,
                    "has out_scale and out_bias without a common unit of 64 bits",
                )
                .expected("a bias that is a multiple of the scale")
                .help("round out_bias"));
        };
        let level =
            |channel: usize, step: usize| (thresholds[(channel % rows) * count + step].clone(), false);
        // A file's own thresholds are stored bits: all of them are kept as they are.
        let steps = self.steps_of(node, &stream, count, rows > 1, true, level)?;
        let scaled = |value: i64, by: i64| value.checked_mul(by);
        let factors: Option<Vec<i64>> = steps.factor.iter().map(|&f| scaled(f, factor)).collect();
        let offsets: Option<Vec<i64>> = steps
            .offset
            .iter()
            .map(|&o| scaled(o, factor).and_then(|o| o.checked_add(offset)))
            .collect();
        let (Some(factors), Some(offsets)) = (factors, offsets) else {
            return Err(self
                .inexact(node, "has outputs beyond 64 bits")
                .expected("outputs of at most 64 bits")
                .help("round out_bias"));
        };
        let steps = Steps {
            factor: factors,
            offset: offsets,
            ..steps
        };
        let frac = exact::log2(&grid).map_or(0, |k| -k);
        let reach = i128::from(factor) * count as i128 + i128::from(offset);
        let (low, high) = (i128::from(offset).min(reach), i128::from(offset).max(reach));
        let all_steps = i128::from(factor) * count as i128;
        if i64::try_from(all_steps).is_err() {
            return Err(self
                .inexact(node, "has outputs beyond 64 bits")
                .expected("outputs of at most 64 bits")
                .help("round out_scale and out_bias"));
        }
        let annotated = node
            .text("out_dtype")
            .and_then(|text| data_type(&text))
            .and_then(|encoding| with_frac(encoding, frac));
        let encoding = match annotated {
            Some(encoding) if encoding.contains(low) && encoding.contains(high) => Some(encoding),
            _ => exact::stored(low.min(0), high.max(0), frac).map(Encoding::Fixed),
        };
        let encoding = encoding.ok_or_else(|| {
            self.inexact(node, "has outputs beyond 64 bits")
                .expected("outputs of at most 64 bits")
                .help("round out_bias")
        })?;
        self.emit_thresholds(node, stream, steps, encoding, single(grid))
            .map(Value::Stream)
    }

    /// Turns levels of the file's values into thresholds on mantissas. `level(channel, step)` is
    /// the value that the step needs, and whether it must be exceeded. Unless `keep_all`, thresholds
    /// are clamped to the tensor's range and steps that never differ are left out.
    fn steps_of(
        &self,
        node: &OnnxNode,
        stream: &Stream,
        count: usize,
        level_per_channel: bool,
        keep_all: bool,
        level: impl Fn(usize, usize) -> (BigRational, bool),
    ) -> Result<Steps, ImportError> {
        let tensor = &self.builder.tensors[stream.tensor.index()];
        let (low, high) = tensor.encoding.range();
        let function_per_channel = stream.scale.len() > 1
            || stream.offset.len() > 1
            || stream.steps.iter().any(|step| match step {
                Step::Affine { factor, offset } => factor.len() > 1 || offset.len() > 1,
                Step::BatchNormalization { .. } => true,
                _ => false,
            });
        let rows = if level_per_channel || function_per_channel {
            tensor.channels()
        } else {
            1
        };
        // Exact arithmetic takes the square of its numbers' length in words.
        let (_, bits) = stream.size();
        let length = usize::try_from(1 + bits / 256).unwrap_or(usize::MAX);
        let effort = [count, 2 + stream.steps.len(), length, length]
            .into_iter()
            .try_fold(rows, usize::checked_mul);
        let affordable = rows
            .checked_mul(count)
            .is_some_and(|n| n <= limits::MAX_THRESHOLDS)
            && effort.is_some_and(|n| n <= limits::MAX_THRESHOLD_EFFORT);
        if !affordable {
            return Err(self
                .unsupported(
                    node,
                    &format!("needs {count} thresholds for each of {rows} channels"),
                )
                .expected(format!(
                    "at most {} thresholds, fewer behind long scales",
                    limits::MAX_THRESHOLDS
                ))
                .help("use fewer bits, or scales that are powers of two"));
        }
        let mut values = Vec::with_capacity(rows * count);
        let (mut factor, mut offset) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for row in 0..rows {
            let conditions: Result<Vec<Reached>, Undecided> = (0..count)
                .map(|step| {
                    let (value, strict) = level(row, step);
                    reached(stream, row, &value, strict)
                })
                .collect();
            let conditions = conditions.map_err(|undecided| match undecided {
                Undecided::NestedRoots => self
                    .inexact(
                        node,
                        "quantizes a function with two square roots or exponentials in a row",
                    )
                    .expected("a quantizer between two such operators")
                    .help("quantize between them"),
                Undecided::TooClose => self
                    .inexact(
                        node,
                        "has a level that no float can tell from a neighbouring integer",
                    )
                    .expected("levels that can be decided")
                    .help("change the quantizer's scale slightly"),
            })?;
            let falling = conditions
                .iter()
                .any(|condition| matches!(condition, Reached::UpTo(_)));
            let (least, most) = if keep_all {
                (i128::from(i64::MIN), i128::from(i64::MAX))
            } else {
                (low, high + 1)
            };
            let clamp = |n: &BigInt| {
                n.clone()
                    .clamp(BigInt::from(least), BigInt::from(most))
                    .to_i128()
                    .unwrap_or(most)
            };
            let mut row_values: Vec<i128> = conditions
                .iter()
                .map(|condition| match condition {
                    // Reached by every mantissa: at or above the lowest. Where the function falls
                    // a step counts unless its threshold is reached.
                    Reached::Always => {
                        if falling {
                            high + 1
                        } else {
                            low
                        }
                    }
                    Reached::Never => {
                        if falling {
                            low
                        } else {
                            high + 1
                        }
                    }
                    Reached::From(n) => clamp(n),
                    Reached::UpTo(n) => clamp(&(n + 1)),
                })
                .collect();
            if !keep_all {
                row_values.sort_unstable();
            }
            values.extend(row_values);
            factor.push(if falling { -1 } else { 1 });
            offset.push(if falling { count as i64 } else { 0 });
        }
        Ok(drop_idle_steps(
            Steps {
                rows,
                count,
                values,
                factor,
                offset,
            },
            low,
            high,
        ))
    }

    fn emit_thresholds(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        steps: Steps,
        encoding: Encoding,
        scale: PerChannel,
    ) -> Result<Stream, ImportError> {
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let arithmetic = tensor.encoding.arithmetic();
        let low = steps
            .values
            .iter()
            .copied()
            .min()
            .unwrap_or(0)
            .min(arithmetic.min_mantissa());
        let high = steps
            .values
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .max(arithmetic.max_mantissa());
        let format = exact::stored(low, high, tensor.encoding.frac());
        let format = format.ok_or_else(|| {
            self.structure(node, "needs thresholds beyond 64 bits")
                .expected("an accumulator below 64 bits")
                .help("narrow the operands")
        })?;
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer_for_activation(stream.tensor, &name, &node.op);
        let values = steps.values.iter().map(|&value| value as i64).collect();
        let shape = vec![steps.rows, steps.count];
        let thresholds = self.builder.param(
            layer,
            ParamKind::Threshold,
            shape,
            Encoding::Fixed(format),
            values,
        );
        let unit = power_of_two(-encoding.frac());
        let outside = uniform(&scale).map_or(1.0, |s| exact::to_f64(&(s / unit)));
        let output = self
            .builder
            .tensor(&node.outputs[0], tensor.shape, encoding, outside);
        let op = Op::MultiThreshold(MultiThreshold {
            thresholds,
            factor: steps.factor,
            offset: steps.offset,
        });
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        Ok(Stream {
            tensor: output,
            axes: stream.axes,
            scale,
            offset: zeros(),
            steps: Vec::new(),
        })
    }

    /// `Trunc`: low bits of an integer are dropped.
    pub fn trunc(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let truncation = Truncation::of(self, node)?;
        let stream = self.stream(node, 0)?;
        let stream = self.materialise(node, stream)?;
        let refuse = |importer: &Self, problem: &str| {
            importer
                .inexact(node, problem)
                .expected("a scale that is a power of two times that of the operand, zero point 0, and rounding FLOOR, ROUND, DOWN, HALF_UP or HALF_DOWN")
                .help("replace it by a Quant node")
        };
        if truncation.zero != 0 {
            return Err(refuse(self, "truncates around a zero point"));
        }
        let grid = stream.scale[0].clone();
        let Some(frac) = exact::log2(&(&grid / &truncation.scale)).map(|k| -k) else {
            return Err(refuse(
                self,
                "truncates values that are not a power of two in its scale",
            ));
        };
        let Some(rounding) = truncation.rounding.quantization() else {
            return Err(refuse(self, "truncates with an unusual rounding"));
        };
        // Seen in units of the node's scale the mantissas have `frac` fractional bits.
        let stream = if self.builder.tensors[stream.tensor.index()].encoding.frac() == frac {
            stream
        } else {
            self.rescaled(node, stream, &grid, frac)?
        };
        let from = self.builder.tensors[stream.tensor.index()].encoding.arithmetic();
        let dropped = truncation.dropped as i32;
        // First to whole units, to even; then without the low bits.
        let mut tensor = stream.tensor;
        for (frac, rounding, last) in [(0, Quantization::RndConv, false), (-dropped, rounding, true)] {
            let frac_now = self.builder.tensors[tensor.index()].encoding.frac();
            if frac_now <= frac && !last {
                continue;
            }
            // One more integer bit holds what rounding carries.
            let width = from.integer().saturating_add(1).saturating_add(frac).max(1);
            let unclipped = u32::try_from(width)
                .ok()
                .and_then(|width| Format::new(width, width as i32 - frac, from.signed()).ok());
            let format = match truncation.clip.filter(|_| last) {
                None => unclipped.map(|format| format.with_quantization(rounding)),
                Some((bits, signed, narrow)) => {
                    let overflow = match (narrow, signed) {
                        (false, _) => Some(Overflow::Sat),
                        (true, true) => Some(Overflow::SatSym),
                        (true, false) => None,
                    };
                    overflow.and_then(|overflow| {
                        Format::new(bits, bits as i32 - frac, signed)
                            .ok()?
                            .with_quantization(rounding)
                            .with_overflow(overflow)
                            .ok()
                    })
                }
            };
            let format = format
                .filter(exact::is_stored)
                .ok_or_else(|| refuse(self, "leaves 64 bits, or is unsigned and narrow"))?;
            let name = self
                .builder
                .other_name(if last { &node.name } else { "" }, &node.op);
            let layer = self.builder.layer_for_activation(tensor, &name, &node.op);
            let shape = self.builder.tensors[tensor.index()].shape.clone();
            let outside = exact::to_f64(if last {
                &truncation.output_scale
            } else {
                &truncation.scale
            });
            let output = self.builder.tensor(
                &node.outputs[0],
                shape,
                Encoding::Fixed(format),
                outside * libm::ldexp(1.0, frac),
            );
            self.builder.node(&name, layer, Op::Cast, vec![tensor], output);
            tensor = output;
        }
        Ok(Value::Stream(Stream {
            tensor,
            scale: single(truncation.output_scale),
            ..stream
        }))
    }

    /// `BatchNormalization` with fixed statistics.
    pub fn batch_normalization(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let mut stream = self.stream(node, 0)?;
        let channels = self.builder.tensors[stream.tensor.index()].channels();
        let mut numbers = Vec::with_capacity(4);
        for (position, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
            let (values, _) = self.exact_constant(node, position, what)?;
            let on_channels = stream.axes.first() == Some(&(stream.axes.len() - 1));
            if values.len() != channels || !on_channels {
                return Err(self
                    .structure(
                        node,
                        &format!("has {} values of {what} for {channels} channels", values.len()),
                    )
                    .expected("one value per channel, channels first")
                    .help("export the network again"));
            }
            numbers.push(values);
        }
        let epsilon = node.float("epsilon").unwrap_or(f64::from(1e-5f32));
        let epsilon = exact::rational(epsilon).ok_or_else(|| {
            self.structure(node, "has an epsilon that is no finite number")
                .expected("a small positive epsilon")
                .help("export the network again")
        })?;
        let variance: PerChannel = numbers[3].iter().map(|value| value + &epsilon).collect();
        if variance.iter().any(|value| !value.is_positive()) {
            return Err(self
                .structure(node, "has a variance that is not above zero")
                .expected("positive variances")
                .help("check the trained statistics"));
        }
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().unwrap_or_default();
        let (gamma, beta, mean) = (next(), next(), next());
        stream.steps.push(Step::BatchNormalization {
            gamma,
            beta,
            mean,
            variance,
        });
        Ok(Value::Stream(stream))
    }

    /// `Relu`, `LeakyRelu`, `Clip`, `Sigmoid`, `Tanh`.
    pub fn activation(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let mut stream = self.stream(node, 0)?;
        let bound = |importer: &Self,
                     attributes: &[&str],
                     position: usize|
         -> Result<Option<BigRational>, ImportError> {
            for attribute in attributes {
                if let Some(value) = node.float(attribute) {
                    return exact::rational(value).map(Some).ok_or_else(|| {
                        importer
                            .structure(node, "has a bound that is no finite number")
                            .expected("finite bounds")
                            .help("export the network again")
                    });
                }
            }
            match node.input(position) {
                Some(_) => match importer.exact_constant(node, position, "bound")?.0.as_slice() {
                    [bound] => Ok(Some(bound.clone())),
                    bounds => Err(importer
                        .unsupported(node, &format!("has {} values as one bound", bounds.len()))
                        .expected("one number per bound")
                        .help("clip all channels alike, or use a MultiThreshold")),
                },
                None => Ok(None),
            }
        };
        let step = match node.op.as_str() {
            "Relu" => Step::Clamp {
                low: Some(BigRational::zero()),
                high: None,
            },
            "LeakyRelu" => {
                let alpha = exact::rational(node.float("alpha").unwrap_or(f64::from(0.01f32)))
                    .filter(|a| !a.is_negative());
                match alpha {
                    Some(alpha) if alpha.is_zero() => Step::Clamp {
                        low: Some(BigRational::zero()),
                        high: None,
                    },
                    Some(slope) => Step::Leaky { slope },
                    None => {
                        return Err(self
                            .unsupported(node, "has a slope below zero")
                            .expected("alpha of at least 0")
                            .help("use a monotone activation"));
                    }
                }
            }
            "Sigmoid" => Step::Sigmoid,
            "Tanh" => Step::Tanh,
            _ => {
                let low = bound(self, &["min", "min_val"], 1)?;
                let high = bound(self, &["max", "max_val"], 2)?;
                if let (Some(low), Some(high)) = (&low, &high)
                    && low > high
                {
                    return Err(self
                        .structure(node, "has a lower bound above its upper bound")
                        .expected("min <= max")
                        .help("check the bounds"));
                }
                Step::Clamp { low, high }
            }
        };
        match (stream.steps.last_mut(), step) {
            // A rectifier before a clip with the same or a higher floor is part of the clip.
            (
                Some(Step::Clamp {
                    low: Some(floor),
                    high: None,
                }),
                Step::Clamp { low: Some(low), high },
            ) if low >= *floor => {
                *floor = low;
                if let Some(Step::Clamp { high: ceiling, .. }) = stream.steps.last_mut() {
                    *ceiling = high;
                }
            }
            (_, step) => stream.steps.push(step),
        }
        Ok(Value::Stream(stream))
    }
}

/// Leaves out steps that all channels always or never take.
fn drop_idle_steps(steps: Steps, low: i128, high: i128) -> Steps {
    let Steps {
        rows,
        count,
        values,
        factor,
        mut offset,
    } = steps;
    let column = |step: usize| (0..rows).map(move |row| row * count + step);
    let always: Vec<usize> = (0..count)
        .filter(|&step| column(step).all(|at| values[at] <= low))
        .collect();
    let never: Vec<usize> = (0..count)
        .filter(|&step| column(step).all(|at| values[at] > high))
        .collect();
    let mut keep = vec![true; count];
    for &step in always.iter().chain(&never) {
        keep[step] = false;
    }
    let mut kept: Vec<usize> = (0..count).filter(|&step| keep[step]).collect();
    let mut always = always;
    if kept.is_empty() {
        // A constant activation keeps one step, so that the stored tensor is not empty.
        if let Some(step) = always.pop().or_else(|| never.first().copied()) {
            kept.push(step);
        }
    }
    for (row, offset) in offset.iter_mut().enumerate() {
        *offset += factor[row] * always.len() as i64;
    }
    let values = (0..rows)
        .flat_map(|row| kept.iter().map(move |&step| row * count + step))
        .map(|at| values[at])
        .collect();
    Steps {
        rows,
        count: kept.len(),
        values,
        factor,
        offset,
    }
}
