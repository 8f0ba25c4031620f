//! Thresholds: the file's own, and those that real functions in front of a quantizer turn into.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::constant::data_type;
use super::exact::{self, common_grid, power_of_two};
use super::inverse::{Inverse, Reached, Undecided};
use super::matrix::with_frac;
use super::operand::Operand;
use super::stream::{PerChannel, Step, Stream, uniform};
use super::{Importer, Value, single, zeros};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};
use crate::network::{Encoding, MultiThreshold, Note, NoteKind, Op, ParamKind, ThresholdRule};

/// Most thresholds per channel that an activation may turn into.
pub const MAX_STEPS: usize = 1 << 16;

/// Thresholds of all channels with the output that they lead to.
pub struct Steps {
    pub rows: usize,
    pub count: usize,
    pub values: Vec<i128>,
    pub factor: Vec<i64>,
    pub offset: Vec<i64>,
}

impl Importer<'_> {
    /// `MultiThreshold`: `out_bias + out_scale * #{ x >= threshold }`.
    pub fn multi_threshold(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let operand = self.operand(node, 0)?;
        let (thresholds, shape) = self.exact_constant(node, 1, "threshold")?;
        let extents = operand.view.shape();
        // The same thresholds for all elements need no channels.
        let axis = if shape.first() == Some(&1) {
            0
        } else {
            self.threshold_axis(node, &extents)?
        };
        let channels = extents[axis];
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
        let frac = exact::log2(&grid).map_or(0, |k| -k);
        let reach = i128::from(factor) * count as i128 + i128::from(offset);
        let (low, high) = (i128::from(offset).min(reach), i128::from(offset).max(reach));
        let annotated = node
            .text("out_dtype")
            .and_then(|text| data_type(&text))
            .and_then(|encoding| with_frac(encoding, frac));
        let encoding = match annotated {
            Some(encoding) if encoding.contains(low) && encoding.contains(high) => Some(encoding),
            _ => exact::stored(low.min(0), high.max(0), frac).map(Encoding::Fixed),
        };
        let too_far = |importer: &Self| {
            importer
                .inexact(node, "has outputs beyond 64 bits")
                .expected("outputs of at most 64 bits")
                .help("round out_scale and out_bias")
        };
        let encoding = encoding.ok_or_else(|| too_far(self))?;
        if i64::try_from(i128::from(factor) * count as i128).is_err() {
            return Err(too_far(self));
        }
        let along: Vec<usize> = (0..extents.len())
            .map(|one| if one == axis { rows } else { 1 })
            .collect();
        let (operand, row_of) = self.align(node, operand, &along)?;
        let level = |channel: usize, step: usize| {
            let row = row_of[if row_of.len() == 1 { 0 } else { channel }];
            (thresholds[row * count + step].clone(), false)
        };
        if operand.real {
            return self.threshold_input(
                node,
                operand,
                &row_of,
                level,
                (count, factor, offset),
                encoding,
                &grid,
            );
        }
        // A file's own thresholds are stored bits: all of them are kept as they are.
        let steps = self.steps_of(node, &operand.stream, count, row_of.len() > 1, true, level)?;
        let scaled = |value: i64, by: i64| value.checked_mul(by);
        let factors: Option<Vec<i64>> = steps.factor.iter().map(|&f| scaled(f, factor)).collect();
        let offsets: Option<Vec<i64>> = steps
            .offset
            .iter()
            .map(|&o| scaled(o, factor).and_then(|o| o.checked_add(offset)))
            .collect();
        let (Some(factors), Some(offsets)) = (factors, offsets) else {
            return Err(too_far(self));
        };
        let steps = Steps {
            factor: factors,
            offset: offsets,
            ..steps
        };
        let stream = self.emit_thresholds(node, operand.stream, steps, encoding, single(grid))?;
        Ok(self.value_of(Operand { stream, ..operand }))
    }

    /// The axis of a sample that holds the channels of a `MultiThreshold`. Without a layout qonnx reads two axes as
    /// `NC`, three as `NWC`, four as `NCHW`, and more with channels second.
    fn threshold_axis(&mut self, node: &OnnxNode, extents: &[usize]) -> Result<usize, ImportError> {
        let rank = extents.len();
        let stated = node.text("data_layout").filter(|layout| !layout.is_empty());
        let axis = match (&stated, rank) {
            (Some(layout), _) => layout.find('C').unwrap_or(1),
            (None, 2) => 2,
            (None, _) => 1,
        };
        if axis == 0 || axis > rank {
            return Err(self
                .structure(
                    node,
                    &format!(
                        "has the layout `{}` on {} axes",
                        stated.unwrap_or_default(),
                        rank + 1
                    ),
                )
                .expected("a layout with its channels on an axis behind the batch")
                .help("correct data_layout, or leave it out"));
        }
        if stated.is_none() && rank == 2 && extents[0] == extents[1] {
            self.builder.notes.push(Note::new(
                NoteKind::Layout,
                node.label(),
                "has thresholds per channel on three axes and no data_layout; as in qonnx, the last axis is the channels",
            ));
        }
        Ok(axis - 1)
    }

    /// Turns levels of the file's values into thresholds on mantissas. `level(channel, step)` is
    /// the value that the step needs, and whether it must be exceeded. Unless `keep_all`, thresholds
    /// are clamped to the tensor's range and steps that never differ are left out.
    pub fn steps_of(
        &mut self,
        node: &OnnxNode,
        stream: &Stream,
        count: usize,
        level_per_channel: bool,
        keep_all: bool,
        level: impl Fn(usize, usize) -> (BigRational, bool),
    ) -> Result<Steps, ImportError> {
        let tensor = &self.builder.tensors[stream.tensor.index()];
        let (low, high) = tensor.encoding.range();
        let paired_per_channel = self
            .builder
            .pairings
            .get(&stream.tensor)
            .is_some_and(|all| all.len() > 1);
        let function_per_channel = paired_per_channel
            || stream.scale.len() > 1
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
        let paired = if self.builder.pairings.contains_key(&stream.tensor) {
            4
        } else {
            0
        };
        let effort = [count, 3 + paired + stream.steps.len(), length, length]
            .into_iter()
            .try_fold(rows, usize::checked_mul);
        self.threshold_effort = effort.map_or(usize::MAX, |n| self.threshold_effort.saturating_add(n));
        let many = rows.checked_mul(count).is_none_or(|n| n > limits::MAX_THRESHOLDS);
        if many || self.threshold_effort > limits::MAX_THRESHOLD_EFFORT {
            return Err(self.unaffordable(node, rows, count));
        }
        let pairings = self.builder.pairings.get(&stream.tensor);
        let mut values = Vec::with_capacity(rows * count);
        let (mut factor, mut offset) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for row in 0..rows {
            let pairing = pairings.and_then(|all| all.get(if all.len() == 1 { 0 } else { row }));
            let inverse = Inverse::new(stream, pairing, row);
            let conditions: Result<Vec<Reached>, Undecided> = (0..count)
                .map(|step| {
                    let (value, strict) = level(row, step);
                    inverse.reached(&value, strict)
                })
                .collect();
            let long = inverse.long().saturating_mul(limits::LONG_THRESHOLD_EFFORT);
            self.threshold_effort = self
                .threshold_effort
                .saturating_add(long.saturating_mul(length * length));
            if self.threshold_effort > limits::MAX_THRESHOLD_EFFORT {
                return Err(self.unaffordable(node, rows, count));
            }
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
            let clamp = |n: &BigInt| match n.to_i128() {
                Some(n) => n.clamp(least, most),
                None if n.is_negative() => least,
                None => most,
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

    fn unaffordable(&self, node: &OnnxNode, rows: usize, count: usize) -> ImportError {
        self.unsupported(
            node,
            &format!("needs {count} thresholds for each of {rows} channels"),
        )
        .expected(format!(
            "at most {} thresholds per activation, fewer behind long scales or many activations",
            limits::MAX_THRESHOLDS
        ))
        .help("use fewer bits, or scales that are powers of two")
    }

    pub fn emit_thresholds(
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
            rule: ThresholdRule::default(),
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
