//! Constants that are added to a stream: stored biases wherever an exact sum of integers has a form.
//!
//! A bias whose unit is a power of two of the product's enters the accumulator. Any other is added behind
//! it, as whole multiples of a unit that divides both. Where no such unit of 64 bits exists but a quantizer
//! follows, the ratio of the units is replaced by a fraction close enough to it that no two sums change
//! their order; see [`Pairing`].

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::constant::{Const, Elements, Quantized};
use super::matrix::with_frac;
use super::stream::{Pairing, PerChannel, Stream, at, uniform, zip};
use super::{Importer, Value, exact, ones};
use crate::network::bounds::exact_accumulator;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{Encoding, Mac, NodeId, Note, NoteKind, Op, ParamKind, ScaledBias, ZeroPoint};

/// Binary digits up to which a scale counts as the product of two others: two roundings to single
/// precision, each by at most 2^-24 of the value.
const SINGLE_PRODUCT_BITS: i32 = 23;

/// Most tensors that are looked at to see what surrounds a bias; what lies farther away counts as unknown.
const MAX_LOOKS: usize = 128;

/// What reads a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    /// Only quantizers, behind element-wise functions: the order of the values decides.
    Order,
    /// Also the graph's output, or a softmax that is it.
    Output,
    /// An operation that needs whole multiples of one unit.
    Integers,
}

/// A quantized bias with one element per channel of a stream.
struct Bias<'c> {
    name: &'c str,
    encoding: Encoding,
    zero_point: Option<ZeroPoint>,
    /// Mantissas, one per channel.
    mantissas: Vec<i64>,
    /// Units of the bias in units of the stream, one or one per channel.
    ratio: PerChannel,
    /// Whether the ratio was the file's up to single precision only.
    rounded: bool,
}

/// `bias / product` in lowest terms for one channel, or a fraction close to it.
#[derive(Clone, Debug)]
struct Fraction {
    /// Multiples of the sum's unit per unit of the product, positive.
    product: i64,
    /// Multiples of the sum's unit per unit of the bias.
    bias: i64,
    /// What the fraction lacks: `ratio * product - bias`.
    rest: BigRational,
}

impl Importer<'_> {
    /// Adds a constant to a stream. `own` says that nothing else can read the sum without the bias.
    pub fn add_bias(
        &mut self,
        node: &OnnxNode,
        mut stream: Stream,
        bias: &Const,
        own: bool,
    ) -> Result<Stream, ImportError> {
        let reason = match &bias.elements {
            Elements::Quantized(quantized) => match self.stored_bias(node, &stream, bias, quantized, own)? {
                Ok(stream) => return Ok(stream),
                Err(reason) => reason,
            },
            _ => "not quantized; the exact real numbers are part of the thresholds or the output behind them",
        };
        let values = self.exact_elements(node, bias, "bias")?;
        if values.iter().any(|value| !value.is_zero()) {
            self.note_not_stored(node, &bias.name, values.len(), reason);
        }
        let offset = self.per_channel(node, &stream, values, &bias.shape)?;
        stream.affine(&ones(), &offset);
        Ok(stream)
    }

    /// Notes a parameter of the file that no memory holds as such.
    pub fn note_not_stored(&mut self, node: &OnnxNode, name: &str, count: usize, reason: &str) {
        let place = if name.is_empty() {
            node.label()
        } else {
            name.to_owned()
        };
        let values = if count == 1 { "value" } else { "values" };
        self.builder.notes.push(Note::new(
            NoteKind::NotStored,
            place,
            format!("{count} {values}: {reason}"),
        ));
    }

    /// The stream with the bias as a stored parameter, or why it cannot be one.
    fn stored_bias(
        &mut self,
        node: &OnnxNode,
        stream: &Stream,
        bias: &Const,
        quantized: &Quantized,
        own: bool,
    ) -> Result<Result<Stream, &'static str>, ImportError> {
        if !stream.steps.is_empty() {
            return Ok(Err(
                "added behind real arithmetic; part of the thresholds or the output behind it",
            ));
        }
        if self.builder.pairings.contains_key(&stream.tensor) {
            return Ok(Err(
                "the second bias whose unit has no common one with the sum; part of the thresholds or the output behind it",
            ));
        }
        let Some(bias) = self.bias_of(node, stream, bias, quantized)? else {
            return Ok(Err("added to or scaled by zero"));
        };
        let attached = self.in_accumulator(node, stream, &bias, own);
        let attached = match attached {
            Some(stream) => Some(stream),
            None => self.behind_accumulator(node, stream, &bias)?,
        };
        let Some(attached) = attached else {
            return Ok(Err(
                "its unit and the product's have no common one within 64 bits, and what follows is no \
                 quantizer; the exact real numbers are part of what follows",
            ));
        };
        if bias.rounded {
            let place = if bias.name.is_empty() {
                node.label()
            } else {
                bias.name.to_owned()
            };
            let text = "its scale is the product of the input's and the weight's scales up to single \
                        precision and counts as exactly that, as on the accumulator";
            self.builder
                .notes
                .push(Note::new(NoteKind::SinglePrecision, place, text));
        }
        Ok(Ok(attached))
    }

    /// A quantized constant, spread over the channels of a stream; none where a unit is zero.
    fn bias_of<'c>(
        &self,
        node: &OnnxNode,
        stream: &Stream,
        bias: &'c Const,
        quantized: &Quantized,
    ) -> Result<Option<Bias<'c>>, ImportError> {
        let channels = self.builder.tensors[stream.tensor.index()].channels();
        let whole = |mantissa: &i64| BigRational::from_integer((*mantissa).into());
        let mantissas = quantized.mantissas.iter().map(whole).collect();
        let mantissas = self.per_channel(node, stream, mantissas, &bias.shape)?;
        let mantissas = (0..channels).map(|channel| exact::integer(at(&mantissas, channel)));
        let scales: Option<PerChannel> = if quantized.scale.len() == 1 {
            Some(quantized.scale.clone())
        } else {
            let each = (0..bias.len()).map(|index| quantized.scale_at(&bias.shape, index).cloned());
            each.collect()
        };
        let (Some(mantissas), Some(scales)) = (mantissas.collect::<Option<Vec<i64>>>(), scales) else {
            return Ok(None);
        };
        let scales = if scales.len() == 1 {
            scales
        } else {
            self.per_channel(node, stream, scales, &bias.shape)?
        };
        if scales.iter().chain(&stream.scale).any(Zero::is_zero) {
            return Ok(None);
        }
        let ratio = zip(&scales, &stream.scale, |bias, product| bias / product);
        let powers: Option<Vec<BigRational>> = ratio.iter().map(near_power_of_two).collect();
        let powers = powers.filter(|powers| powers.len() == 1 || uniform(powers).is_some());
        let rounded = powers.as_ref().is_some_and(|powers| *powers != ratio);
        Ok(Some(Bias {
            name: &bias.name,
            encoding: quantized.encoding,
            zero_point: quantized.zero_point,
            mantissas,
            ratio: powers.unwrap_or(ratio),
            rounded,
        }))
    }

    /// The matrix product that a bias may still enter: it has none, and nothing else reads its sum.
    fn open_product(&self, node: &OnnxNode, stream: &Stream, own: bool) -> Option<(NodeId, Mac)> {
        let maker = self.builder.maker(stream.tensor)?;
        let made = &self.builder.nodes[maker.index()];
        let Op::Mac(mac) = &made.op else { return None };
        if !own || mac.bias.is_some() || mac.popcount {
            return None;
        }
        let sum = &self.builder.tensors[stream.tensor.index()].name;
        let alone = node.outputs.first() == Some(sum) || self.is_only_path(node, sum);
        alone.then(|| (maker, mac.clone()))
    }

    /// Whether a tensor of the file is read on the way to a node only.
    fn is_only_path(&self, node: &OnnxNode, tensor: &str) -> bool {
        let mut node = node;
        for _ in 0..MAX_LOOKS {
            let mut inputs = node.inputs.iter().filter(|name| !name.is_empty());
            let Some(name) = inputs.find(|name| !self.is_constant(name)) else {
                return false;
            };
            if self.readers.get(name) != Some(&1) {
                return false;
            }
            if name == tensor {
                return true;
            }
            match self.links.makers.get(name.as_str()) {
                Some(&maker) => node = &self.graph.nodes[maker],
                None => return false,
            }
        }
        false
    }

    /// Whether a name stands for a constant of the file or for what only constants make.
    fn is_constant(&self, name: &str) -> bool {
        let mut unknown = vec![name];
        for _ in 0..MAX_LOOKS {
            let Some(name) = unknown.pop() else { return true };
            let known = name.is_empty()
                || self.graph.constants.contains_key(name)
                || matches!(self.values.get(name), Some(Value::Const(_)));
            if known {
                continue;
            }
            match self.links.makers.get(name) {
                Some(&maker) if self.graph.nodes[maker].inputs.len() < MAX_LOOKS => {
                    unknown.extend(self.graph.nodes[maker].inputs.iter().map(String::as_str));
                }
                _ => return false,
            }
        }
        false
    }

    /// The sum with the bias inside the accumulator.
    fn in_accumulator(&mut self, node: &OnnxNode, stream: &Stream, bias: &Bias, own: bool) -> Option<Stream> {
        let (maker, mac) = self.open_product(node, stream, own)?;
        let raised = uniform(&bias.ratio).and_then(exact::log2)?;
        let made = &self.builder.nodes[maker.index()];
        let (layer, input) = (made.layer, made.inputs[0]);
        let input = self.builder.tensors[input.index()].encoding;
        let weight = self.builder.params[mac.weight.index()].encoding;
        let product_frac = weight.frac() + input.frac();
        let encoding = with_frac(bias.encoding, product_frac.saturating_sub(raised))?;
        let taps = mac.geometry.taps(mac.groups);
        let format = exact_accumulator(taps, &weight, &input, Some(&encoding)).ok()?;
        if !exact::is_stored(&format) {
            return None;
        }
        let shape = vec![mac.geometry.output[2]];
        let values = bias.mantissas.clone();
        let param = self
            .builder
            .param(layer, ParamKind::Bias, shape, encoding, values);
        self.builder.params[param.index()].zero_point = bias.zero_point;
        if let Op::Mac(mac) = &mut self.builder.nodes[maker.index()].op {
            mac.bias = Some(param);
            mac.accumulator.format = format;
        }
        let finer = exact::power_of_two(product_frac - format.frac());
        let scale: PerChannel = stream.scale.iter().map(|s| s * &finer).collect();
        let unit = exact::power_of_two(-format.frac());
        let tensor = &mut self.builder.tensors[stream.tensor.index()];
        tensor.encoding = Encoding::Fixed(format);
        tensor.scale = uniform(&scale).map_or(1.0, |s| exact::to_f64(&(s / unit)));
        Some(Stream {
            scale,
            ..stream.clone()
        })
    }

    /// The sum with the bias added behind what made the stream.
    fn behind_accumulator(
        &mut self,
        node: &OnnxNode,
        stream: &Stream,
        bias: &Bias,
    ) -> Result<Option<Stream>, ImportError> {
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let reading = node
            .outputs
            .first()
            .map_or(Reading::Integers, |output| self.reading_of(output));
        let (sums, biases) = (tensor.encoding.range(), bias.encoding.range());
        let fractions: Option<Vec<Fraction>> = bias
            .ratio
            .iter()
            .map(|ratio| fraction(ratio, sums, biases, reading))
            .collect();
        let Some(fractions) = fractions else {
            return Ok(None);
        };
        let (mut low, mut high) = (0i128, 0i128);
        for fraction in &fractions {
            let (least, most) = fraction.reach(sums, biases).unwrap_or((i128::MIN, i128::MAX));
            (low, high) = (low.min(least), high.max(most));
        }
        let scale: PerChannel = (0..stream.scale.len().max(fractions.len()))
            .map(|channel| {
                let product = fractions[if fractions.len() == 1 { 0 } else { channel }].product;
                at(&stream.scale, channel) / BigRational::from_integer(product.into())
            })
            .collect();
        let frac = uniform(&scale).and_then(exact::log2).map_or(0, |k| -k);
        let Some(format) = exact::stored(low, high, frac) else {
            return Ok(None);
        };

        let made = self
            .builder
            .maker(stream.tensor)
            .map(|maker| &self.builder.nodes[maker.index()]);
        let product_layer = made
            .filter(|made| matches!(made.op, Op::Mac(_)))
            .map(|made| made.layer);
        let free = product_layer.filter(|&layer| {
            let mut params = self.builder.params.iter();
            !params.any(|param| param.layer == layer && param.kind == ParamKind::Bias)
        });
        let given = if matches!(node.op.as_str(), "Add" | "Sub") {
            node.name.as_str()
        } else {
            ""
        };
        let name = self.builder.other_name(given, "bias");
        let layer = free.unwrap_or_else(|| self.builder.layer(&name, &node.op));
        let shape = vec![bias.mantissas.len()];
        let values = bias.mantissas.clone();
        let param = self
            .builder
            .param(layer, ParamKind::Bias, shape, bias.encoding, values);
        self.builder.params[param.index()].zero_point = bias.zero_point;
        let unit = exact::power_of_two(-frac);
        let outside = uniform(&scale).map_or(1.0, |s| exact::to_f64(&(s / unit)));
        let output = &node.outputs[0];
        let output = self
            .builder
            .tensor(output, tensor.shape, Encoding::Fixed(format), outside);
        let op = Op::ScaledBias(ScaledBias {
            bias: param,
            factor: fractions.iter().map(|fraction| fraction.product).collect(),
            unit: fractions.iter().map(|fraction| fraction.bias).collect(),
        });
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        if fractions.iter().any(|fraction| !fraction.rest.is_zero()) {
            let each = fractions.iter();
            let pairings = each.map(|f| Pairing::new(f.product, f.bias, biases, f.rest.clone()));
            self.builder.pairings.insert(output, pairings.collect());
            if reading == Reading::Output {
                let place = if bias.name.is_empty() {
                    node.label()
                } else {
                    bias.name.to_owned()
                };
                let digits = fractions.iter().map(|f| f.missing(biases)).min().unwrap_or(0);
                let text = format!(
                    "its unit and the product's have no common one within 64 bits; the output is exact \
                     to 2^-{digits} of the product's unit"
                );
                self.builder
                    .notes
                    .push(Note::new(NoteKind::SinglePrecision, place, text));
            }
        }
        Ok(Some(Stream {
            tensor: output,
            scale,
            ..stream.clone()
        }))
    }

    /// What reads a tensor of the file, looked at through element-wise functions.
    fn reading_of(&self, name: &str) -> Reading {
        let mut reading = Reading::Order;
        // A function that bends the values takes the output's freedom.
        let mut frontier = vec![(name, false)];
        let mut seen = 0usize;
        while let Some((name, bent)) = frontier.pop() {
            seen += 1;
            if seen > MAX_LOOKS {
                return Reading::Integers;
            }
            if self.graph.outputs.iter().any(|output| output.name == name) {
                reading = reading.max(if bent { Reading::Integers } else { Reading::Output });
            }
            let readers = self.links.readers.get(name).map_or(&[][..], Vec::as_slice);
            if readers.len() > MAX_LOOKS {
                return Reading::Integers;
            }
            for &reader in readers {
                let node = &self.graph.nodes[reader];
                let is_last = node
                    .outputs
                    .first()
                    .is_some_and(|output| !self.links.readers.contains_key(output.as_str()));
                let bends = match node.op.as_str() {
                    // Evaluated behind the chip, on what would be the output.
                    "Softmax" | "LogSoftmax" if is_last => {
                        reading = reading.max(if bent { Reading::Integers } else { Reading::Output });
                        continue;
                    }
                    "Quant" | "IntQuant" | "BipolarQuant" if node.input(0) == Some(name) => continue,
                    "Identity" | "Dropout" | "Cast" | "Neg" => false,
                    "Add" | "Sub" | "Mul" | "Div" => {
                        let others = node.inputs.iter().filter(|input| *input != name);
                        let constant = others.clone().count() == 1
                            && others.into_iter().all(|other| self.is_constant(other));
                        if !constant {
                            return Reading::Integers;
                        }
                        false
                    }
                    "Relu" | "LeakyRelu" | "Clip" | "HardTanh" | "Sigmoid" | "Tanh"
                    | "BatchNormalization" => true,
                    _ => return Reading::Integers,
                };
                match node.outputs.first() {
                    Some(output) => frontier.push((output, bent || bends)),
                    None => return Reading::Integers,
                }
            }
        }
        reading
    }
}

impl Fraction {
    /// Smallest and largest sum of mantissas in these ranges.
    fn reach(&self, sums: (i128, i128), biases: (i128, i128)) -> Option<(i128, i128)> {
        let span = |by: i64, (low, high): (i128, i128)| {
            let ends = [low.checked_mul(by.into())?, high.checked_mul(by.into())?];
            Some((ends[0].min(ends[1]), ends[0].max(ends[1])))
        };
        let (sums, biases) = (span(self.product, sums)?, span(self.bias, biases)?);
        let low = sums.0.checked_add(biases.0)?.min(sums.0).min(biases.0);
        let high = sums.1.checked_add(biases.1)?.max(sums.1).max(biases.1);
        let fits = |value: i128| i64::try_from(value).is_ok();
        (fits(low) && fits(high)).then_some((low, high))
    }

    /// Whether sums keep the order of the exact ones, and each stands for one pair of mantissas.
    fn keeps_order(&self, biases: (i128, i128)) -> bool {
        let (low, high) = biases;
        let largest = BigRational::from_integer(low.abs().max(high.abs()).into());
        let half = exact::power_of_two(-1);
        self.rest.is_zero() || (i128::from(self.product) > high - low && self.rest.abs() * largest < half)
    }

    /// Binary digits of the product's unit up to which sums are exact.
    fn missing(&self, biases: (i128, i128)) -> u64 {
        let largest = BigRational::from_integer(biases.0.abs().max(biases.1.abs()).into());
        let off = self.rest.abs() * largest / BigRational::from_integer(self.product.into());
        if off.is_zero() {
            return u64::MAX;
        }
        off.recip().to_integer().bits().saturating_sub(1)
    }
}

/// The fraction for a ratio of units: the ratio itself, or a convergent of its continued fraction (Khinchin,
/// "Continued fractions", theorems 9 and 13: the error of `bias / product` is below `1 / product^2`).
///
/// Where order is enough it is the shortest that keeps it; otherwise the ratio itself, or for an output the
/// longest convergent that fits.
fn fraction(
    ratio: &BigRational,
    sums: (i128, i128),
    biases: (i128, i128),
    reading: Reading,
) -> Option<Fraction> {
    let mut best = None;
    let (mut numer, mut denom) = (ratio.numer().abs(), ratio.denom().clone());
    let negative = ratio.is_negative();
    // Numerators and denominators of the last two convergents.
    let (mut p, mut q) = ((BigInt::zero(), BigInt::one()), (BigInt::one(), BigInt::zero()));
    while !denom.is_zero() {
        let (term, rest) = (&numer / &denom, &numer % &denom);
        (numer, denom) = (denom, rest);
        p = (p.1.clone(), &term * &p.1 + &p.0);
        q = (q.1.clone(), &term * &q.1 + &q.0);
        let (Some(bias), Some(product)) = (p.1.to_i64(), q.1.to_i64()) else {
            break;
        };
        let bias = if negative { -bias } else { bias };
        // Not in lowest terms: most candidates are looked at once.
        let rest = ratio.numer() * product - ratio.denom() * bias;
        let rest = BigRational::new_raw(rest, ratio.denom().clone());
        let candidate = Fraction { product, bias, rest };
        if candidate.reach(sums, biases).is_none() {
            break;
        }
        if candidate.rest.is_zero() || (reading != Reading::Integers && candidate.keeps_order(biases)) {
            best = Some(candidate);
            if reading == Reading::Order {
                break;
            }
        }
    }
    best
}

/// The power of two, of either sign, from which a number differs by no more than single precision loses.
fn near_power_of_two(value: &BigRational) -> Option<BigRational> {
    if value.is_negative() {
        return near_power_of_two(&-value).map(|power| -power);
    }
    let length = |n: &BigInt| i32::try_from(n.bits()).ok();
    let guess = length(value.numer())? - length(value.denom())?;
    let tolerance = exact::power_of_two(-SINGLE_PRODUCT_BITS);
    [guess - 1, guess, guess + 1].into_iter().find_map(|exponent| {
        let power = exact::power_of_two(exponent);
        let off = (value / &power - BigRational::one()).abs();
        (off <= tolerance).then_some(power)
    })
}
