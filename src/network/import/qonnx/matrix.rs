//! Matrix products: `Conv`, `ConvTranspose`, `MatMul`, `Gemm`.

use num_rational::BigRational;
use num_traits::One;

use super::constant::{Const, Elements, Quantized};
use super::domain::channels_last;
use super::stream::{PerChannel, Stream, uniform};
use super::{Importer, Value, exact, ones, single};
use crate::fixed_point::Format;
use crate::network::bounds::exact_accumulator;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{Accumulator, Encoding, Geometry, Mac, Op, Order, ParamKind, ZeroPoint};

/// A weight in canonical order with one scale per output.
pub struct Weight {
    mantissas: Vec<i64>,
    encoding: Encoding,
    scale: PerChannel,
    shape: Vec<usize>,
    zero_point: Option<ZeroPoint>,
}

/// Everything that a matrix product is made of.
pub struct Product {
    pub stream: Stream,
    pub weight: Weight,
    pub geometry: Geometry,
    pub groups: usize,
    pub transposed: bool,
    pub padded: bool,
    pub output_shape: Vec<usize>,
    pub axes: Vec<usize>,
}

impl Importer<'_> {
    /// `Conv` and `ConvTranspose` in one or two dimensions.
    pub fn conv(&mut self, node: &OnnxNode, transposed: bool) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let rank = stream.axes.len();
        let (stream, image) = self.as_image(node, stream)?;
        let mut constant = self.constant(node, 1, "weight")?;
        if channels_last(node) && constant.shape.len() > 2 {
            // The weight's channels are behind its kernel, as those of the image are.
            let last = constant.shape.len() - 1;
            let perm: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
            let name = constant.name.clone();
            constant = Const {
                name,
                ..constant.transposed(&perm)
            };
        }
        let spatial = rank - 1;
        if constant.shape.len() != spatial + 2 {
            return Err(self
                .structure(
                    node,
                    &format!(
                        "has a weight of shape {:?} for {spatial} spatial dimensions",
                        constant.shape
                    ),
                )
                .expected("[out, in/groups, kernel...]")
                .help("export the network again"));
        }
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        let inputs = image[2];
        let (outputs, per_group) = if transposed {
            (
                constant.shape[1].saturating_mul(groups),
                constant.shape[0] / groups.max(1),
            )
        } else {
            (constant.shape[0], constant.shape[1])
        };
        let consistent = groups > 0
            && per_group.checked_mul(groups) == Some(inputs)
            && outputs > 0
            && outputs % groups == 0
            && (!transposed || constant.shape[0] == inputs);
        if !consistent {
            return Err(self
                .structure(
                    node,
                    &format!(
                        "has a weight of shape {:?} in {groups} groups on {inputs} channels",
                        constant.shape
                    ),
                )
                .expected("as many weight channels as the input has")
                .help("export the network again"));
        }
        let kernel = two(&constant.shape[2..]);
        if kernel.contains(&0) {
            return Err(self
                .structure(node, &format!("has a weight of shape {:?}", constant.shape))
                .expected("a kernel of at least one tap")
                .help("export the network again"));
        }
        let window = self.window(node, kernel, image, spatial, transposed)?;
        let extents = self.output_extents(node, &window, image, transposed)?;
        let geometry = Geometry {
            input: image,
            output: [extents[0], extents[1], outputs],
            window: window.window,
        };
        self.check_size(node, geometry.output)?;
        self.check_reads(node, &geometry)?;

        // [O][I/g][ky][kx], or [I][O/g][ky][kx] where transposed, to [O][ky][kx][I/g].
        let quantized = self.integer_constant(node, &constant, "weight")?;
        let taps = kernel[0] * kernel[1];
        let per_out = outputs / groups;
        let source = |index: usize| {
            let channel = index % per_group;
            let tap = index / per_group % taps;
            let out = index / per_group / taps;
            if transposed {
                let from = out / per_out * per_group + channel;
                (from * per_out + out % per_out) * taps + tap
            } else {
                (out * per_group + channel) * taps + tap
            }
        };
        let shape = vec![outputs, kernel[0], kernel[1], per_group];
        let weight = self.canonical(node, &constant, quantized, shape, outputs, source)?;
        let product = Product {
            axes: stream.axes.clone(),
            stream,
            weight,
            geometry,
            groups,
            transposed,
            padded: window.padded,
            output_shape: Self::image_shape(rank, geometry.output),
        };
        let stream = self.product(node, product)?;
        if window.padded && !transposed {
            self.builder.pads_after(window.after);
        }
        match node.input(2) {
            Some(_) => {
                let bias = self.constant(node, 2, "bias")?;
                if bias.shape.len() > 1 {
                    return Err(self
                        .structure(node, &format!("has a bias of shape {:?}", bias.shape))
                        .expected("one number per output channel")
                        .help("export the network again"));
                }
                self.add_bias(node, stream, &bias, true).map(Value::Stream)
            }
            None => Ok(Value::Stream(stream)),
        }
    }

    /// `MatMul` of the stream with a constant.
    pub fn mat_mul(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        if let (Value::Const(_), Value::Stream(_) | Value::Input(_) | Value::Moved(_)) =
            (self.value(node, 0)?, self.value(node, 1)?)
        {
            return Err(self
                .unsupported(node, "multiplies a constant by the stream")
                .expected("the stream first, the constant second")
                .help("transpose the product"));
        }
        let constant = self.constant(node, 1, "second operand")?;
        if let Some(lowered) = self.lowered_operand(node) {
            return self.lowered_product(node, lowered, &constant).map(Value::Stream);
        }
        self.dense(node, &constant, false).map(Value::Stream)
    }

    /// FINN's `XnorPopcountMatMul`: operands 0 and 1 stand for -1 and +1, and the result counts the
    /// positions where they agree.
    pub fn xnor_popcount(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let stream = self.materialise(node, stream)?;
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let mut constant = self.constant(node, 1, "second operand")?;
        let quantized = self.integer_constant(node, &constant, "weight")?;
        let is_bit = |value: i128| value == 0 || value == 1;
        let (low, high) = tensor.encoding.range();
        let bits = is_bit(low) && is_bit(high) && stream.scale[0].is_one();
        if !bits || quantized.mantissas.iter().any(|&weight| !is_bit(weight.into())) {
            return Err(self
                .inexact(node, "has operands other than the bits 0 and 1")
                .expected("binary operands, 0 for -1 and 1 for +1")
                .help("use MatMul with bipolar operands"));
        }
        let name = self.builder.other_name("", "bipolar");
        let layer = self.builder.layer_for_activation(stream.tensor, &name, &node.op);
        let bipolar = Encoding::Bipolar { frac: 0 };
        let output = self.builder.tensor(&name, tensor.shape, bipolar, 1.0);
        let op = Op::Rescale {
            factor: vec![2],
            offset: vec![-1],
        };
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        constant.elements = Elements::Quantized(Quantized {
            mantissas: quantized.mantissas.iter().map(|&weight| 2 * weight - 1).collect(),
            encoding: bipolar,
            scale: ones(),
            scale_shape: Vec::new(),
            zero_point: None,
        });
        let stream = Stream {
            tensor: output,
            ..stream
        };
        let product = self.dense_of(node, stream, &constant, false)?;
        // The product's integers are the counts themselves.
        Ok(Value::Stream(Stream {
            scale: ones(),
            offset: super::zeros(),
            ..product
        }))
    }

    /// `Gemm` with the stream first.
    pub fn gemm(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        if node.int("transA").unwrap_or(0) != 0 {
            return Err(self
                .unsupported(node, "transposes its first operand")
                .expected("transA = 0")
                .help("transpose before the node"));
        }
        let constant = self.constant(node, 1, "weight")?;
        let mut stream = self.dense(node, &constant, node.int("transB").unwrap_or(0) != 0)?;
        let factor = |name: &str| {
            node.float(name)
                .map_or_else(|| Some(BigRational::one()), exact::rational)
        };
        let (Some(alpha), Some(beta)) = (factor("alpha"), factor("beta")) else {
            return Err(self
                .structure(node, "has a factor that is no finite number")
                .expected("finite alpha and beta")
                .help("export the network again"));
        };
        if !alpha.is_one() {
            stream.affine(&single(alpha), &super::zeros());
        }
        if node.input(2).is_none() {
            return Ok(Value::Stream(stream));
        }
        let mut bias = self.constant(node, 2, "bias")?;
        if !beta.is_one() {
            bias.elements = match bias.elements {
                Elements::Quantized(quantized) => Elements::Quantized(Quantized {
                    scale: quantized.scale.iter().map(|scale| scale * &beta).collect(),
                    ..quantized
                }),
                _ => {
                    let values = self.exact_elements(node, &bias, "bias")?;
                    Elements::Exact(values.iter().map(|value| value * &beta).collect())
                }
            };
        }
        self.add_bias(node, stream, &bias, true).map(Value::Stream)
    }

    fn dense(&mut self, node: &OnnxNode, constant: &Const, transposed: bool) -> Result<Stream, ImportError> {
        let stream = self.stream(node, 0)?;
        self.dense_of(node, stream, constant, transposed)
    }

    fn dense_of(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        constant: &Const,
        transposed: bool,
    ) -> Result<Stream, ImportError> {
        let rank = stream.axes.len();
        let identity: Vec<usize> = (0..rank).collect();
        let stream = self.with_layout(node, stream, &identity)?;
        let shape = self.builder.tensors[stream.tensor.index()].shape.clone();
        let inputs = shape.last().copied().unwrap_or(1);
        let vectors = shape.iter().product::<usize>() / inputs.max(1);
        let (k, n) = match (constant.shape.as_slice(), transposed) {
            ([k, n], false) | ([n, k], true) => (*k, *n),
            _ => (0, 0),
        };
        if k != inputs || n == 0 {
            return Err(self
                .structure(
                    node,
                    &format!(
                        "multiplies vectors of {inputs} values by a constant of shape {:?}",
                        constant.shape
                    ),
                )
                .expected(format!(
                    "a matrix with {inputs} {}",
                    if transposed { "columns" } else { "rows" }
                ))
                .help("export the network again"));
        }
        let geometry = Geometry::dense(vectors, inputs, n);
        self.check_size(node, geometry.output)?;
        let quantized = self.integer_constant(node, constant, "weight")?;
        let source = |index: usize| {
            if transposed {
                index
            } else {
                index % inputs * n + index / inputs
            }
        };
        let weight = self.canonical(node, constant, quantized, vec![n, inputs], n, source)?;
        let mut output_shape = shape;
        if let Some(last) = output_shape.last_mut() {
            *last = n;
        }
        let product = Product {
            axes: stream.axes.clone(),
            stream,
            weight,
            geometry,
            groups: 1,
            transposed: false,
            padded: false,
            output_shape,
        };
        self.product(node, product)
    }

    /// Reorders a weight and finds the one scale of each output.
    pub fn canonical(
        &self,
        node: &OnnxNode,
        constant: &Const,
        quantized: Quantized,
        shape: Vec<usize>,
        outputs: usize,
        source: impl Fn(usize) -> usize,
    ) -> Result<Weight, ImportError> {
        let per_output = constant.len() / outputs;
        let scale_at = |index: usize| quantized.scale_at(&constant.shape, source(index));
        let scale: PerChannel = if quantized.scale.len() == 1 {
            quantized.scale.clone()
        } else {
            let mut scales = Vec::with_capacity(outputs);
            for out in 0..outputs {
                let first = scale_at(out * per_output);
                if (1..per_output).any(|k| scale_at(out * per_output + k) != first) {
                    return Err(self
                        .inexact(
                            node,
                            "has weights of one output with different scales, so its sum has no common unit",
                        )
                        .expected("one scale per tensor or per output channel")
                        .help("quantize the weights per tensor or per output channel"));
                }
                scales.extend(first.cloned());
            }
            scales
        };
        let mantissas = (0..constant.len())
            .map(|index| quantized.mantissas[source(index)])
            .collect();
        Ok(Weight {
            mantissas,
            encoding: quantized.encoding,
            scale,
            shape,
            zero_point: quantized.zero_point,
        })
    }

    /// Adds the matrix product as a layer of its own.
    pub fn product(&mut self, node: &OnnxNode, product: Product) -> Result<Stream, ImportError> {
        let stream = self.materialise(node, product.stream)?;
        let input = self.builder.tensors[stream.tensor.index()].clone();
        let input_scale = stream.scale[0].clone();
        // A power of two goes into the fractional bits; what is left stays outside the integers.
        let frac = uniform(&product.weight.scale)
            .and_then(exact::log2)
            .map_or(0, |k| -k);
        let encoding = with_frac(product.weight.encoding, frac).ok_or_else(|| {
            self.structure(node, "has a weight scale beyond 2^-1024..2^1024")
                .expected("a scale that hardware has")
                .help("check the quantizer")
        })?;
        let bipolar = |encoding: &Encoding| matches!(encoding, Encoding::Bipolar { .. });
        if bipolar(&input.encoding) && product.padded {
            return Err(self
                .inexact(node, "pads a bipolar input with zeros, which one bit cannot hold")
                .expected("no padding, or an input type that holds 0")
                .help("pad with +1 or -1 by a Pad node, or use a ternary activation"));
        }
        let popcount = bipolar(&input.encoding) && bipolar(&encoding);
        let taps = product.geometry.taps(product.groups);
        let too_wide = |importer: &Self| {
            importer
                .unsupported(node, "needs an accumulator of more than 64 bits")
                .expected("operand widths whose sum of products fits 64 bits")
                .help("narrow the weights or the activations")
        };
        let format = if popcount {
            exact::stored(0, taps as i128, 0).ok_or_else(|| too_wide(self))?
        } else {
            exact_accumulator(taps, &encoding, &input.encoding, None).map_err(|_| too_wide(self))?
        };
        if !exact::is_stored(&format) {
            return Err(too_wide(self));
        }
        let name = self.builder.compute_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let weight = self.builder.param(
            layer,
            ParamKind::Weight,
            product.weight.shape,
            encoding,
            product.weight.mantissas,
        );
        self.builder.params[weight.index()].zero_point = product.weight.zero_point;
        let scale: PerChannel = product.weight.scale.iter().map(|s| s * &input_scale).collect();
        let unit = exact::power_of_two(-format.frac());
        let outside = uniform(&scale).map_or(1.0, |s| exact::to_f64(&(s / unit)));
        let output = self.builder.tensor(
            &node.outputs[0],
            product.output_shape,
            Encoding::Fixed(format),
            outside,
        );
        let accumulator = Accumulator {
            format,
            stated: false,
            order: Order::Natural,
        };
        let mac = Mac {
            weight,
            bias: None,
            geometry: product.geometry,
            groups: product.groups,
            transposed: product.transposed,
            accumulator,
            popcount,
        };
        self.builder
            .node(&name, layer, Op::Mac(mac), vec![stream.tensor], output);
        // A popcount p of n bits stands for the dot product 2p - n.
        let (scale, offset) = if popcount {
            let taps = BigRational::from_integer(taps.into());
            let two = exact::power_of_two(1);
            (
                scale.iter().map(|s| s * &two).collect(),
                scale.iter().map(|s| -(s * &taps)).collect(),
            )
        } else {
            (scale, super::zeros())
        };
        Ok(Stream {
            tensor: output,
            axes: product.axes,
            scale,
            offset,
            steps: Vec::new(),
        })
    }

    /// Numbers of a constant as one per channel of a stream (or one for all).
    pub fn per_channel(
        &self,
        node: &OnnxNode,
        stream: &Stream,
        values: PerChannel,
        shape: &[usize],
    ) -> Result<PerChannel, ImportError> {
        self.check_per_channel(node, stream, values.len(), shape)?;
        Ok(values)
    }

    /// Refuses a constant of that many elements and that shape unless it has one number per channel of a
    /// stream, or one for all.
    pub fn check_per_channel(
        &self,
        node: &OnnxNode,
        stream: &Stream,
        len: usize,
        shape: &[usize],
    ) -> Result<(), ImportError> {
        // The file's axes from the right, the batch in front of them.
        let rank = stream.axes.len();
        if shape.len() > rank + 1 {
            return Err(self
                .unsupported(
                    node,
                    &format!("combines {} axes with a constant of {}", rank + 1, shape.len()),
                )
                .expected("a constant with no more axes than the tensor")
                .help("reshape the constant"));
        }
        if len == 1 {
            return Ok(());
        }
        let varying: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] != 1).collect();
        let axis_of_stream = |axis: usize| {
            (axis + rank)
                .checked_sub(shape.len())
                .map(|axis| stream.axes[axis])
        };
        let tensor = &self.builder.tensors[stream.tensor.index()];
        let channels = tensor.channels();
        match varying.as_slice() {
            [axis] if axis_of_stream(*axis) == Some(tensor.shape.len() - 1) && shape[*axis] == channels => {
                Ok(())
            }
            // A bias of a convolution comes as a plain vector.
            [0] if shape.len() == 1
                && shape[0] == channels
                && matches!(node.op.as_str(), "Conv" | "ConvTranspose") =>
            {
                Ok(())
            }
            _ => Err(self
                .unsupported(
                    node,
                    &format!(
                        "combines a tensor of shape {:?} with a constant of shape {shape:?}",
                        self.file_shape(stream)
                    ),
                )
                .expected("one number, or one per channel")
                .help("use constants that vary along the channels only")),
        }
    }
}

/// Two spatial extents; one dimension counts as columns.
fn two(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [rows, columns] => [rows, columns],
        [columns] => [1, columns],
        _ => [0, 0],
    }
}

/// The same bits with another number of fractional bits.
pub fn with_frac(encoding: Encoding, frac: i32) -> Option<Encoding> {
    match encoding {
        Encoding::Bipolar { .. } => exact::bipolar(frac),
        Encoding::Fixed(format) => {
            let integer = (format.width() as i32).checked_sub(frac)?;
            let moved = Format::new(format.width(), integer, format.signed()).ok()?;
            Some(Encoding::Fixed(moved))
        }
    }
}
