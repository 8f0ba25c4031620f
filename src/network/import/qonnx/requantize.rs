//! Quantizer nodes on constants, on the network's input, and on streams.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};

use super::constant::{Const, Elements, Quantized, broadcast_index, spreads_over};
use super::exact::{self, Binary, power_of_two};
use super::operand::{Operand, picked};
use super::quant::{Quantizer, Truncation};
use super::stream::{PerChannel, Step, Stream, at, uniform};
use super::threshold::{MAX_STEPS, Steps};
use super::{Importer, Value, ones, single, zeros};
use crate::fixed_point::{Format, Overflow, Quantization};
use crate::network::import::onnx::{OnnxNode, Precision};
use crate::network::import::{ImportError, limits};
use crate::network::{Encoding, Note, NoteKind, Op, Relu, ZeroPoint};

impl Importer<'_> {
    /// `Quant` and `IntQuant`.
    pub fn quant(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let quantizer = Quantizer::of(self, node)?;
        self.builder.count_scales(&quantizer.scale);
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
            Value::Input(operand) => self.quantized_input(node, operand, &quantizer),
            Value::Stream(_) | Value::Moved(_) => {
                let operand = self.operand(node, 0)?;
                self.requantize(node, operand, &quantizer)
            }
        }
    }

    fn quantized_constant(
        &mut self,
        node: &OnnxNode,
        quantizer: &Quantizer,
        constant: &Const,
    ) -> Result<Const, ImportError> {
        let format = quantizer.storage(0).ok_or_else(|| {
            self.structure(node, "has no storage type")
                .expected("1 to 64 bits")
                .help("check the bit width")
        })?;
        self.check_spread(node, constant, &quantizer.scale_shape)?;
        let effort = match &constant.elements {
            Elements::File(_) | Elements::Integers(_) => limits::QUANTIZED_ELEMENT_EFFORT,
            Elements::Exact(_) | Elements::Quantized(_) => limits::EXACT_RESULT_EFFORT,
        };
        self.charge(node, constant.len().saturating_mul(effort))?;
        let binary_scales: Vec<Option<Binary>> = quantizer.scale.iter().map(Binary::of).collect();
        let float_scales: Vec<f64> = quantizer.scale.iter().map(exact::to_f64).collect();
        let values = self.arithmetic_of(&constant.name);
        let operand = |position| self.arithmetic_of(node.input(position).unwrap_or(""));
        let quotient = values.max(operand(1));
        let rest = quotient.max(operand(2));
        let mut mantissas = Vec::with_capacity(constant.len());
        let mut moved = 0;
        for index in 0..constant.len() {
            let at = match quantizer.scale.len() {
                1 => 0,
                _ => broadcast_index(&constant.shape, &quantizer.scale_shape, index),
            };
            let (Some(scale), Some(&float), Some(binary)) = (
                quantizer.scale.get(at),
                float_scales.get(at),
                binary_scales.get(at),
            ) else {
                return Err(self.mismatched_scales(node, constant, &quantizer.scale_shape));
            };
            let value = self.float_element(node, constant, index)?;
            let stored = quantizer.apply_float(value, float, quotient, rest);
            let by_machine_integers = || quantizer.apply_binary(constant.binary_at(index)?, (*binary)?);
            let exactly = match by_machine_integers() {
                Some(mantissa) => Some(mantissa),
                None => quantizer.apply(&self.exact_element(node, constant, index)?, scale),
            };
            moved += usize::from(stored.is_some() && stored != exactly);
            mantissas.push(stored.or(exactly));
        }
        let mantissas: Option<Vec<i64>> = mantissas.into_iter().collect();
        let mantissas = mantissas.ok_or_else(|| {
            self.structure(node, "does not fit 64 bits")
                .expected("integers of at most 64 bits")
                .help("narrow the quantizer")
        })?;
        self.note_moved(node, constant, moved);
        let (scale, scale_shape) = match uniform(&quantizer.scale) {
            Some(scale) => (single(scale.clone()), Vec::new()),
            None => (quantizer.scale.clone(), quantizer.scale_shape.clone()),
        };
        let quantized = Quantized {
            mantissas,
            encoding: self.encoding_of(node, quantizer, 0)?,
            scale,
            scale_shape,
            zero_point: (quantizer.zero != 0).then_some(ZeroPoint {
                stored: format,
                zero: quantizer.zero,
            }),
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
        Err(self.mismatched_scales(node, constant, scales))
    }

    fn mismatched_scales(&self, node: &OnnxNode, constant: &Const, scales: &[usize]) -> ImportError {
        let problem = format!(
            "has scales of shape {scales:?} for a constant of shape {:?}",
            constant.shape
        );
        self.structure(node, &problem)
            .expected("one scale, or extents of 1 or of the constant's own")
            .help("check the quantizer's scale")
    }

    /// The precision of arithmetic on a constant.
    fn arithmetic_of(&self, name: &str) -> Precision {
        let of_file = || self.graph.constants.get(name).map(|constant| constant.precision);
        let known = self.precisions.get(name).copied().or_else(of_file);
        known.unwrap_or(Precision::Single)
    }

    /// One element as the nearest double, which is the element itself where the file holds it.
    fn float_element(&self, node: &OnnxNode, constant: &Const, index: usize) -> Result<f64, ImportError> {
        match &constant.elements {
            Elements::File(values) if values.get(index).is_some_and(|value| value.is_finite()) => {
                Ok(values[index])
            }
            _ => self
                .exact_element(node, constant, index)
                .map(|value| exact::to_f64(&value)),
        }
    }

    /// Notes constants for which the node's own arithmetic gives other integers than the exact quotient.
    fn note_moved(&mut self, node: &OnnxNode, constant: &Const, moved: usize) {
        if moved == 0 {
            return;
        }
        let place = if constant.name.is_empty() {
            node.label()
        } else {
            constant.name.clone()
        };
        let text = format!(
            "{moved} of {} values are quantized to another integer by the node's floating-point arithmetic, \
             which is followed, than by the exact quotient",
            constant.len()
        );
        self.builder
            .notes
            .push(Note::new(NoteKind::SinglePrecision, place, text));
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
        operand: Operand,
        quantizer: &Quantizer,
    ) -> Result<Value, ImportError> {
        if let Some(stream) = self.requantize_by_cast(node, &operand.stream, quantizer)? {
            return Ok(self.value_of(Operand { stream, ..operand }));
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
        let (operand, positions) = self.align(node, operand, &quantizer.scale_shape)?;
        let scales = picked(&quantizer.scale, &positions);
        let zero = BigRational::from_integer(BigInt::from(quantizer.zero));
        let level = |channel: usize, step: usize| {
            let (boundary, strict) = quantizer.rounding.boundary((low + 1) as i64 + step as i64);
            let boundary = if zero.is_zero() {
                boundary
            } else {
                boundary - &zero
            };
            (exact::product(&boundary, at(&scales, channel)), strict)
        };
        let per_channel = scales.len() > 1;
        let mut steps = self.steps_of(node, &operand.stream, count, per_channel, false, level)?;
        if quantizer.zero != 0 {
            let reason = "the zero point is part of the thresholds and of the integers behind them";
            self.note_not_stored(node, node.input(2).unwrap_or(""), 1, reason);
        }
        let first = low as i64 - quantizer.zero;
        for offset in &mut steps.offset {
            *offset += first;
        }
        let frac = quantizer.frac().unwrap_or(0);
        let encoding = self.encoding_of(node, quantizer, frac)?;
        let stream = self.emit_thresholds(node, operand.stream, steps, encoding, scales)?;
        Ok(self.value_of(Operand { stream, ..operand }))
    }

    /// The type of a quantizer's integers, the zero point taken off, for a step of `2^-frac`.
    pub fn encoding_of(
        &self,
        node: &OnnxNode,
        quantizer: &Quantizer,
        frac: i32,
    ) -> Result<Encoding, ImportError> {
        let (low, high) = quantizer.levels();
        let encoding = if quantizer.zero == 0 {
            quantizer.storage(frac).map(Encoding::Fixed)
        } else {
            let zero = i128::from(quantizer.zero);
            exact::stored(low - zero, high - zero, frac).map(Encoding::Fixed)
        };
        encoding.ok_or_else(|| {
            self.structure(node, "has no output type")
                .expected("1 to 64 bits")
                .help("check the quantizer")
        })
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
        if self.builder.pairings.contains_key(&stream.tensor) {
            return Ok(None);
        }
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
        self.builder.count_scales(&scale);
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
                    let value = self.float_element(node, &constant, index)?;
                    mantissas.push(if value < 0.0 { -1 } else { 1 });
                }
                let quantized = Quantized {
                    mantissas,
                    encoding: Encoding::Bipolar { frac: 0 },
                    scale,
                    scale_shape,
                    zero_point: None,
                };
                Ok(Value::Const(Const {
                    elements: Elements::Quantized(quantized),
                    ..constant
                }))
            }
            Value::Input(operand) => self.bipolar_input(node, operand, &scale, &scale_shape),
            Value::Stream(_) | Value::Moved(_) => {
                let operand = self.operand(node, 0)?;
                let (operand, positions) = self.align(node, operand, &scale_shape)?;
                let scale = picked(&scale, &positions);
                let steps = self.steps_of(node, &operand.stream, 1, false, false, |_, _| {
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
                let stream = self.emit_thresholds(node, operand.stream, steps, encoding, scale)?;
                Ok(self.value_of(Operand { stream, ..operand }))
            }
        }
    }

    /// A constant without its low bits, as the node's own arithmetic gives it.
    fn truncated_constant(
        &self,
        node: &OnnxNode,
        truncation: &Truncation,
        constant: &Const,
    ) -> Result<Const, ImportError> {
        let scale = self.arithmetic_of(node.input(1).unwrap_or(""));
        let precision = self.arithmetic_of(&constant.name).max(scale);
        let mut mantissas = Vec::with_capacity(constant.len());
        for index in 0..constant.len() {
            let value = self.float_element(node, constant, index)?;
            mantissas.push(truncation.apply_float(value, precision));
        }
        let whole = || {
            self.inexact(node, "truncates a constant to what is no integer of 64 bits")
                .expected("integers on the scale of the result")
                .help("use a zero point that the dropped bits leave whole, or a Quant node")
        };
        let mantissas: Vec<i64> = mantissas.into_iter().collect::<Option<_>>().ok_or_else(whole)?;
        let low = mantissas.iter().copied().min().unwrap_or(0);
        let high = mantissas.iter().copied().max().unwrap_or(0);
        let (bits, signed) = match truncation.clip {
            Some((bits, signed, _)) => (bits, signed),
            None => (truncation.output_bits, low < 0),
        };
        let stated = Format::new(bits, bits as i32, signed)
            .ok()
            .filter(exact::is_stored);
        let stated = stated.filter(|format| {
            format.min_mantissa() <= i128::from(low) && i128::from(high) <= format.max_mantissa()
        });
        let format = stated
            .or_else(|| exact::stored(low.into(), high.into(), 0))
            .ok_or_else(whole)?;
        Ok(Const {
            elements: Elements::Quantized(Quantized {
                mantissas,
                encoding: Encoding::Fixed(format),
                scale: single(truncation.output_scale.clone()),
                scale_shape: Vec::new(),
                zero_point: None,
            }),
            ..constant.clone()
        })
    }

    /// `Trunc`: low bits of an integer are dropped.
    pub fn trunc(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let truncation = Truncation::of(self, node)?;
        if let Value::Const(constant) = self.value(node, 0)? {
            return self
                .truncated_constant(node, &truncation, &constant)
                .map(Value::Const);
        }
        let operand = self.operand(node, 0)?;
        let mut stream = if operand.real {
            self.settle(node, operand.clone())?
        } else {
            operand.stream.clone()
        };
        let operand = if operand.real {
            self.still(stream.clone())
        } else {
            operand
        };
        // The zero point is part of the integer whose low bits are dropped, and is taken off again behind it.
        let zero = |scale: &BigRational| scale * BigRational::from_integer(BigInt::from(truncation.zero));
        stream.affine(&ones(), &single(zero(&truncation.scale)));
        let stream = self.materialise(node, stream)?;
        let refuse = |importer: &Self, problem: &str| {
            importer
                .inexact(node, problem)
                .expected("a scale that is a power of two times that of the operand, and rounding FLOOR, ROUND, DOWN, HALF_UP or HALF_DOWN")
                .help("replace it by a Quant node")
        };
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
        // The second version divides the zero point by the bits that are dropped, the first does not.
        let taken = match truncation.clip {
            Some(_) => power_of_two(-dropped) * &truncation.output_scale,
            None => truncation.output_scale.clone(),
        };
        let stream = Stream {
            tensor,
            offset: single(-zero(&taken)),
            scale: single(truncation.output_scale.clone()),
            ..stream
        };
        Ok(self.value_of(Operand { stream, ..operand }))
    }
}
