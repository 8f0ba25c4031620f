//! The way back from real functions to plain integers where no quantizer follows, and common units.

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::exact::{self, common_grid, power_of_two};
use super::operand::Operand;
use super::stream::{PerChannel, Step, Stream, at};
use super::{Importer, single, zeros};
use crate::fixed_point::Format;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError};
use crate::network::preprocessing::exact_root;
use crate::network::{Encoding, Op, Relu, Slope};

/// What leaves the chip: integers, and where those are not the file's values times one factor, the way there.
#[derive(Clone, Debug)]
pub struct Left {
    /// The integers as they are, each worth the same.
    pub stream: Stream,
    /// A linear function of the integers of its tensor, which the elements of `stream` were moved from. It is applied
    /// behind the chip.
    pub real: Option<Stream>,
}

/// Value per unit `2^-frac` of the tensor, and value at mantissa 0, of a stream whose steps are linear: one per channel, or
/// one for all. Exact scales and offsets are rounded to the nearest `f64`; steps behind them, the first of which is not
/// rational (`gamma / sqrt(variance + epsilon)`), are computed in `f64`.
pub fn real_units(stream: &Stream, frac: i32) -> (Vec<f64>, Vec<f64>) {
    let steps = stream.steps.iter().map(|step| match step {
        Step::Affine { factor, offset } => factor.len().max(offset.len()),
        Step::BatchNormalization { gamma, .. } => gamma.len(),
        _ => 1,
    });
    let lists = [stream.scale.len(), stream.offset.len()];
    let channels = lists.into_iter().chain(steps).max().unwrap_or(1);
    let real = |values: &PerChannel, channel: usize| exact::to_f64(at(values, channel));
    let unit = exact::power_of_two(-frac);
    let each = (0..channels).map(|channel| {
        let scale = exact::to_f64(&(at(&stream.scale, channel) / &unit));
        let offset = real(&stream.offset, channel);
        stream
            .steps
            .iter()
            .fold((scale, offset), |(scale, offset), step| match step {
                Step::Affine { factor, offset: rest } => {
                    let factor = real(factor, channel);
                    (scale * factor, offset * factor + real(rest, channel))
                }
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => {
                    let factor = real(gamma, channel) / libm::sqrt(real(variance, channel));
                    (
                        scale * factor,
                        (offset - real(mean, channel)) * factor + real(beta, channel),
                    )
                }
                _ => (scale, offset),
            })
    });
    each.unzip()
}

/// A stream without steps behind a linear step; `None` where that is not rational.
fn linear(mut stream: Stream, step: &Step) -> Option<Stream> {
    match step {
        Step::Affine { factor, offset } => stream.affine(factor, offset),
        Step::BatchNormalization {
            gamma,
            beta,
            mean,
            variance,
        } => {
            let roots: PerChannel = variance.iter().map(exact_root).collect::<Option<_>>()?;
            let factor: PerChannel = (0..gamma.len()).map(|c| &gamma[c] / &roots[c]).collect();
            let offset: PerChannel = (0..gamma.len())
                .map(|c| &beta[c] - &factor[c] * &mean[c])
                .collect();
            stream.affine(&factor, &offset);
        }
        _ => return None,
    }
    Some(stream)
}

impl Importer<'_> {
    /// Plain streams whose fractional bits tell their scales apart, or whose scales are one.
    pub fn on_common_grid(
        &mut self,
        node: &OnnxNode,
        streams: Vec<Stream>,
    ) -> Result<(Vec<Stream>, BigRational), ImportError> {
        let powers: Option<Vec<i32>> = streams
            .iter()
            .map(|stream| exact::log2(&stream.scale[0]))
            .collect();
        if let Some(powers) = powers {
            let least = powers.iter().copied().min().unwrap_or(0);
            let aligned: Result<Vec<Stream>, ImportError> = streams
                .into_iter()
                .map(|stream| self.aligned(node, stream))
                .collect();
            return Ok((aligned?, power_of_two(least)));
        }
        let grid = streams.iter().fold(BigRational::zero(), |grid, stream| {
            common_grid(&grid, &stream.scale[0])
        });
        let mut unified = Vec::with_capacity(streams.len());
        for stream in streams {
            let factor = &stream.scale[0] / &grid;
            let frac = self.builder.tensors[stream.tensor.index()].encoding.frac();
            unified.push(if factor.is_one() && frac == 0 {
                stream
            } else {
                self.rescaled(node, stream, &grid, 0)?
            });
        }
        Ok((unified, grid))
    }

    /// A plain power-of-two stream whose tensor's fractional bits say its scale.
    pub fn aligned(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        let Some(frac) = stream.uniform_scale().and_then(exact::log2).map(|k| -k) else {
            return Ok(stream);
        };
        if self.builder.tensors[stream.tensor.index()].encoding.frac() == frac {
            return Ok(stream);
        }
        let grid = stream.scale[0].clone();
        self.rescaled(node, stream, &grid, frac)
    }

    /// Factors, offsets and the type of a stream's values as whole multiples of `grid`, where 64 bits hold them.
    fn multiples(
        &self,
        stream: &Stream,
        grid: &BigRational,
        frac: i32,
    ) -> Option<(Vec<i64>, Vec<i64>, Encoding)> {
        let tensor = &self.builder.tensors[stream.tensor.index()];
        let length = stream.scale.len().max(stream.offset.len());
        let on_grid = |values: &PerChannel| -> Option<Vec<i64>> {
            let multiples = (values.iter()).map(|value| exact::integer(&(value / grid)));
            let multiples = multiples.collect::<Option<Vec<i64>>>()?;
            let one = (multiples.len() == 1).then(|| vec![multiples[0]; length]);
            Some(one.unwrap_or(multiples))
        };
        let (factor, offset) = (on_grid(&stream.scale)?, on_grid(&stream.offset)?);
        let (low, high) = tensor.encoding.range();
        let mut reach = (0i128, 0i128);
        for (&f, &o) in factor.iter().zip(&offset) {
            for end in [low, high] {
                // The product itself is a machine integer too.
                let value = end
                    .checked_mul(i128::from(f))
                    .filter(|&product| i64::try_from(product).is_ok())
                    .and_then(|v| v.checked_add(i128::from(o)))?;
                reach = (reach.0.min(value), reach.1.max(value));
            }
        }
        let same = factor.iter().all(|&f| f == 1) && offset.iter().all(|&o| o == 0);
        let encoding = match (tensor.encoding, same) {
            (Encoding::Bipolar { .. }, true) => exact::bipolar(frac)?,
            (Encoding::Fixed(format), true) => {
                let integer = (format.width() as i32).saturating_sub(frac);
                Encoding::Fixed(Format::new(format.width(), integer, format.signed()).ok()?)
            }
            _ => Encoding::Fixed(exact::stored(reach.0, reach.1, frac)?),
        };
        Some((factor, offset, encoding))
    }

    /// The largest unit that all values of a stream without steps are multiples of, and its fractional bits.
    fn grid_of(stream: &Stream) -> (BigRational, i32) {
        let grid = stream
            .scale
            .iter()
            .chain(&stream.offset)
            .fold(BigRational::zero(), |grid, value| common_grid(&grid, value));
        let grid = if grid.is_zero() {
            BigRational::one()
        } else {
            grid.abs()
        };
        let frac = exact::log2(&grid).map_or(0, |k| -k);
        (grid, frac)
    }

    /// The same values as whole multiples of `grid`, in a tensor with `frac` fractional bits.
    pub fn rescaled(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        grid: &BigRational,
        frac: i32,
    ) -> Result<Stream, ImportError> {
        let refuse = |importer: &Self| {
            importer
                .inexact(node, "leads to values whose common unit needs more than 64 bits")
                .expected("scales and offsets that are multiples of one unit, or a quantizer behind them")
                .help("quantize the result, use power-of-two scales, or round the constants")
        };
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let Some((factor, offset, encoding)) = self.multiples(&stream, grid, frac) else {
            return Err(refuse(self));
        };
        let name = self.builder.other_name("", "rescale");
        let layer = self.builder.layer_for_activation(stream.tensor, &name, "Rescale");
        let outside = exact::to_f64(&(grid / power_of_two(-frac)));
        let output = self.builder.tensor(&name, tensor.shape, encoding, outside);
        self.builder.node(
            &name,
            layer,
            Op::Rescale { factor, offset },
            vec![stream.tensor],
            output,
        );
        Ok(Stream {
            tensor: output,
            axes: stream.axes,
            scale: single(grid.clone()),
            offset: zeros(),
            steps: Vec::new(),
        })
    }

    /// The stream as integers times one positive real factor, without pending arithmetic.
    pub fn materialise(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        let stream = self.without_steps(node, stream)?;
        self.plain(node, stream)
    }

    /// The same values without pending steps, times a factor per channel and beside an offset per channel.
    fn without_steps(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        let steps = stream.steps.clone();
        let mut base = Stream {
            steps: Vec::new(),
            ..stream
        };
        for step in steps {
            base = match step {
                Step::Affine { .. } | Step::BatchNormalization { .. } => {
                    let Some(base) = linear(base, &step) else {
                        return Err(self
                            .inexact(node, "follows a batch normalization whose square root is irrational, with no quantizer between")
                            .expected("a quantizer behind the batch normalization")
                            .help("quantize its result, or leave it to the off-chip readout").cure(Cure::Readout));
                    };
                    base
                }
                Step::Clamp { low, high } => self.clamped(node, base, low, high)?,
                Step::Leaky { slope } => self.leaky(node, base, &slope)?,
                Step::Sigmoid | Step::Tanh => {
                    return Err(self
                        .inexact(
                            node,
                            "needs the result of a sigmoid or hyperbolic tangent that is not quantized",
                        )
                        .expected("a Quant node behind it")
                        .help("quantize its result, or leave it to the off-chip readout")
                        .cure(Cure::Readout));
                }
            };
        }
        Ok(base)
    }

    /// What leaves the chip: integers of one unit, where 64 bits hold them. Otherwise, and where a step is not rational,
    /// what is linear behind the last step that is not is left to be applied behind the chip.
    pub fn leave(&mut self, node: &OnnxNode, mut stream: Stream) -> Result<Left, ImportError> {
        let is_linear = |step: &Step| matches!(step, Step::Affine { .. } | Step::BatchNormalization { .. });
        let last = stream.steps.iter().rposition(|step| !is_linear(step));
        let mut tail = stream.steps.split_off(last.map_or(0, |at| at + 1));
        let mut stream = self.without_steps(node, stream)?;
        let rational = tail.iter().take_while(|step| match linear(stream.clone(), step) {
            Some(next) => {
                stream = next;
                true
            }
            None => false,
        });
        let rational = rational.count();
        let tail = tail.split_off(rational);
        if tail.is_empty() && (stream.is_plain() || self.has_unit(&stream)) {
            let mut stream = self.plain(node, stream)?;
            stream.scale.truncate(1);
            return Ok(Left { stream, real: None });
        }
        let frac = self.builder.tensors[stream.tensor.index()].encoding.frac();
        let integers = Stream {
            scale: single(power_of_two(-frac)),
            offset: zeros(),
            ..stream.clone()
        };
        Ok(Left {
            stream: integers,
            real: Some(Stream {
                steps: tail,
                ..stream
            }),
        })
    }

    /// What leaves the chip of an operand, with its elements moved as `settle` does it.
    pub fn leave_moved(
        &mut self,
        node: &OnnxNode,
        operand: Operand,
        settle: fn(&mut Self, &OnnxNode, Operand) -> Result<Stream, ImportError>,
    ) -> Result<Left, ImportError> {
        let left = self.leave(node, operand.stream)?;
        let moved = Operand {
            stream: left.stream,
            ..operand
        };
        let stream = settle(self, node, moved)?;
        Ok(Left { stream, ..left })
    }

    /// Whether 64 bits hold the values of a stream without steps as multiples of one unit.
    fn has_unit(&self, stream: &Stream) -> bool {
        let (grid, frac) = Self::grid_of(stream);
        self.multiples(stream, &grid, frac).is_some()
    }

    /// The integers of an operation that takes positive factors as they are, such as a rectifier: plain where 64 bits
    /// hold that, else with a factor each.
    fn scaled(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        let positive =
            stream.offset.iter().all(Zero::is_zero) && stream.scale.iter().all(Signed::is_positive);
        if positive && !self.has_unit(&stream) {
            return Ok(stream);
        }
        self.plain(node, stream)
    }

    fn plain(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        if stream.is_plain() {
            return Ok(stream);
        }
        // A common unit, and the multiples of it.
        self.charge_stream(node, &stream)?;
        self.charge_stream(node, &stream)?;
        let (grid, frac) = Self::grid_of(&stream);
        self.rescaled(node, stream, &grid, frac)
    }

    fn clamped(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        low: Option<BigRational>,
        high: Option<BigRational>,
    ) -> Result<Stream, ImportError> {
        let stream = if high.is_none() && low.as_ref().is_some_and(Zero::is_zero) {
            self.scaled(node, stream)?
        } else {
            self.plain(node, stream)?
        };
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let (least, most) = tensor.encoding.range();
        let scale = &stream.scale[0];
        let bound = |value: &Option<BigRational>, open: i128| match value {
            None => Some(open),
            Some(value) => exact::integer(&(value / scale)).map(i128::from),
        };
        let (Some(low), Some(high)) = (bound(&low, least), bound(&high, most)) else {
            return Err(self
                .inexact(
                    node,
                    "clips at a bound that is no multiple of the integers' unit, with no quantizer behind it",
                )
                .expected("bounds on the grid of the values")
                .help("quantize its result"));
        };
        // Within the tensor's range, unless one bound alone decides the result.
        let low = low.max(least).min(high);
        let high = high.min(most).max(low);
        let format = exact::stored(low.min(0), high.max(0), tensor.encoding.frac());
        let format = format.ok_or_else(|| {
            self.structure(node, "leaves 64 bits")
                .expected("narrower values")
                .help("quantize first")
        })?;
        let op = if low == 0 && high >= most {
            Op::Relu(Relu {
                slope: None,
                threshold: 0,
                ceiling: None,
            })
        } else {
            Op::Clip {
                low: low as i64,
                high: high as i64,
            }
        };
        self.activate(node, stream, op, format)
    }

    fn leaky(&mut self, node: &OnnxNode, stream: Stream, slope: &BigRational) -> Result<Stream, ImportError> {
        let stream = self.scaled(node, stream)?;
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let denominator = exact::log2(&BigRational::from_integer(slope.denom().clone()));
        let mantissa = exact::integer(&BigRational::from_integer(slope.numer().clone()));
        let (Some(slope_frac), Some(mantissa)) = (denominator, mantissa) else {
            return Err(self
                .inexact(node, "has a slope that is no binary fraction")
                .expected("a dyadic slope or a quantizer behind it")
                .help("quantize its result"));
        };
        let (low, high) = tensor.encoding.range();
        let wide = || {
            self.inexact(node, "has a slope with too many bits")
                .expected("a short slope or a quantizer behind it")
                .help("quantize its result, or use a slope such as 1/8")
        };
        let raise = u32::try_from(slope_frac)
            .ok()
            .filter(|&r| r < 62)
            .ok_or_else(wide)?;
        let low = low.checked_mul(i128::from(mantissa)).ok_or_else(wide)?.min(0);
        let high = high.checked_mul(1i128 << raise).ok_or_else(wide)?.max(0);
        let frac = tensor.encoding.frac().saturating_add(slope_frac);
        let format = exact::stored(low, high, frac).ok_or_else(wide)?;
        let slope = Some(Slope::Constant {
            mantissa,
            frac: slope_frac,
        });
        let stream = self.activate(
            node,
            stream,
            Op::Relu(Relu {
                slope,
                threshold: 0,
                ceiling: None,
            }),
            format,
        )?;
        let finer = power_of_two(-slope_frac);
        let scale = stream.scale.iter().map(|scale| scale * &finer).collect();
        Ok(Stream { scale, ..stream })
    }

    fn activate(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        op: Op,
        format: Format,
    ) -> Result<Stream, ImportError> {
        let shape = self.builder.tensors[stream.tensor.index()].shape.clone();
        let name = self.builder.other_name("", "activation");
        let layer = self.builder.layer_for_activation(stream.tensor, &name, &node.op);
        let outside = exact::to_f64(
            &(&stream.scale[0] / power_of_two(-self.builder.tensors[stream.tensor.index()].encoding.frac())),
        );
        let output = self
            .builder
            .tensor(&name, shape, Encoding::Fixed(format), outside);
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        Ok(Stream {
            tensor: output,
            ..stream
        })
    }
}
