//! Convolutions and pools as FINN lowers them: `Im2Col` with the `MatMul` behind it, `QuantAvgPool2d`.

use num_rational::BigRational;
use num_traits::Zero;

use super::constant::{Const, Elements};
use super::exact::{self, power_of_two};
use super::matrix::Product;
use super::stream::Stream;
use super::{Importer, Value, ones, single};
use crate::fixed_point::Quantization;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{Encoding, Geometry, Op, Window};

/// The windows of an `Im2Col` node.
#[derive(Clone, Copy, Debug)]
pub struct Lowered {
    window: Window,
    /// Rows below and columns right that count as zero.
    after: [usize; 2],
    depthwise: bool,
}

impl Lowered {
    /// Output rows and columns, by floor.
    fn extents(&self, image: [usize; 3]) -> Option<[usize; 2]> {
        let Window {
            kernel,
            stride,
            dilation,
            pad,
        } = self.window;
        let extent = |axis: usize| {
            let reach = (kernel[axis] - 1).checked_mul(dilation[axis])?.checked_add(1)?;
            let room = (image[axis] + pad[axis] + self.after[axis]).checked_sub(reach)?;
            Some(room / stride[axis] + 1)
        };
        Some([extent(0)?, extent(1)?])
    }
}

impl Importer<'_> {
    /// `Im2Col`: the windows of an image, channels last, one behind the other. Where only matrix products
    /// read them, the pair is the convolution that it was lowered from.
    pub fn im2col(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let (stream, image) = self.as_image(node, stream)?;
        if stream.axes.len() != 3 {
            return Err(self
                .unsupported(node, "takes windows of one dimension")
                .expected("a batch, height, width and channels")
                .help("keep the image's dummy dimension"));
        }
        let pair = |importer: &Self, name: &str, least: usize| {
            importer.small(node, node.ints(name).unwrap_or(&[]), 2, least, name)
        };
        let pads = node.ints("pad_amount").unwrap_or(&[0; 4]);
        let (first, last) = match pads.split_at_checked(2) {
            Some((first, last)) if last.len() == 2 => (first, last),
            _ => {
                return Err(self
                    .structure(node, &format!("has pad_amount {pads:?}"))
                    .expected("4 numbers: rows above, columns left, rows below, columns right")
                    .help("export the network again"));
            }
        };
        let mut lowered = Lowered {
            window: Window {
                kernel: pair(self, "kernel_size", 1)?,
                stride: pair(self, "stride", 1)?,
                dilation: pair(self, "dilations", 1)?,
                pad: self.small(node, first, 2, 0, "pad_amount")?,
            },
            after: self.small(node, last, 2, 0, "pad_amount")?,
            depthwise: node.int("depthwise").unwrap_or(0) != 0,
        };
        let [rows, columns] = lowered.extents(image).ok_or_else(|| {
            self.structure(
                node,
                &format!(
                    "has a kernel of {:?} on an input of {:?}",
                    lowered.window.kernel,
                    &image[..2]
                ),
            )
            .expected("a kernel that fits the padded input")
            .help("check kernel, padding and input size")
        })?;
        let border = BigRational::from_integer(node.int("pad_value").unwrap_or(0).into());
        let name = node.outputs.first().cloned().unwrap_or_default();
        let products = self.only_products_read(&name);
        let stream = if products && border.is_zero() {
            stream
        } else {
            let Window { pad, .. } = lowered.window;
            let amounts = [(pad[0], lowered.after[0]), (pad[1], lowered.after[1]), (0, 0)];
            lowered.window.pad = [0, 0];
            lowered.after = [0, 0];
            self.bordered(node, stream, &amounts, border)?
        };
        if products {
            self.lowered.insert(name, lowered);
            return Ok(Value::Stream(stream));
        }
        // Any other reader gets the windows themselves.
        let Window {
            kernel,
            stride,
            dilation,
            ..
        } = lowered.window;
        let places = |axis: usize, steps: usize| -> Vec<usize> {
            (0..steps)
                .flat_map(|step| (0..kernel[axis]).map(move |tap| step * stride[axis] + tap * dilation[axis]))
                .collect()
        };
        let channels = image[2];
        self.check_shape(node, &[rows, columns, kernel[0], kernel[1], channels])?;
        let picks = [places(0, rows), places(1, columns), (0..channels).collect()];
        let stream = self.pick(node, &node.outputs[0], stream, &picks)?;
        let apart = vec![rows, kernel[0], columns, kernel[1], channels];
        let mut stream = self.reshape_to(node, stream, apart)?;
        stream.axes = [0, 2, 1, 3, 4].map(|axis: usize| stream.axes[axis]).to_vec();
        let windows = vec![rows, columns, kernel[0] * kernel[1] * channels];
        self.reshape_to(node, stream, windows).map(Value::Stream)
    }

    /// Whether a tensor is read by matrix products only, as their first operand.
    fn only_products_read(&self, name: &str) -> bool {
        let products = self
            .graph
            .nodes
            .iter()
            .filter(|node| node.op == "MatMul" && node.input(0) == Some(name))
            .filter(|node| node.input(1) != Some(name))
            .count();
        products > 0 && self.readers.get(name) == Some(&products)
    }

    /// The windows whose product with a matrix this node is.
    pub fn lowered_operand(&self, node: &OnnxNode) -> Option<Lowered> {
        self.lowered.get(node.input(0)?).copied()
    }

    /// The product of an image's windows with a matrix `[kernel rows * kernel columns * channels][outputs]`.
    pub fn lowered_product(
        &mut self,
        node: &OnnxNode,
        lowered: Lowered,
        constant: &Const,
    ) -> Result<Stream, ImportError> {
        let stream = self.stream(node, 0)?;
        let shape = self.builder.tensors[stream.tensor.index()].shape.clone();
        let image = [shape[0], shape[1], shape[2]];
        let channels = image[2];
        let kernel = lowered.window.kernel;
        let taps = kernel[0] * kernel[1];
        let outputs = match constant.shape.as_slice() {
            [inputs, outputs] if Some(*inputs) == taps.checked_mul(channels) && *outputs > 0 => *outputs,
            _ => {
                return Err(self
                    .structure(
                        node,
                        &format!(
                            "multiplies windows of {kernel:?} and {channels} channels by a constant of shape {:?}",
                            constant.shape
                        ),
                    )
                    .expected(format!("a matrix with {} rows", taps.saturating_mul(channels)))
                    .help("export the network again"));
            }
        };
        let extents = lowered.extents(image).unwrap_or([0, 0]);
        let geometry = Geometry {
            input: image,
            output: [extents[0], extents[1], outputs],
            window: lowered.window,
        };
        self.check_size(node, geometry.output)?;
        self.check_reads(node, &geometry)?;
        let mut constant = constant.clone();
        let mut quantized = self.integer_constant(node, &constant, "weight")?;
        // A depthwise convolution is lowered to a matrix that is zero between different channels.
        let apart = lowered.depthwise
            && outputs == channels
            && (0..constant.len()).all(|index| {
                let (row, output) = (index / outputs, index % outputs);
                row % channels == output || quantized.mantissas[index] == 0
            });
        let (groups, per_group) = if apart { (channels, 1) } else { (1, channels) };
        let source = |index: usize| {
            let (tap, output) = (index / per_group % taps, index / per_group / taps);
            let channel = if apart { output } else { index % per_group };
            (tap * channels + channel) * outputs + output
        };
        let shape = vec![outputs, kernel[0], kernel[1], per_group];
        // Elements in the order of a convolution, with their scales.
        let at: Vec<usize> = (0..outputs * taps * per_group).map(source).collect();
        let scale_of = |index: usize| quantized.scale_at(&constant.shape, index).cloned();
        if quantized.scale.len() > 1 {
            let scales: Option<Vec<BigRational>> = at.iter().map(|&index| scale_of(index)).collect();
            quantized.scale = scales.unwrap_or_default();
            quantized.scale_shape.clone_from(&shape);
        }
        quantized.mantissas = at.iter().map(|&index| quantized.mantissas[index]).collect();
        constant.shape.clone_from(&shape);
        constant.elements = Elements::Quantized(quantized.clone());
        let weight = self.canonical(node, &constant, quantized, shape, outputs, |index| index)?;
        let product = Product {
            axes: stream.axes.clone(),
            stream,
            weight,
            geometry,
            groups,
            transposed: false,
            padded: lowered.window.pad != [0, 0] || lowered.after != [0, 0],
            output_shape: geometry.output.to_vec(),
        };
        self.product(node, product)
    }

    /// `QuantAvgPool2d`: sums of integers without their low bits, `sum >> shift` with as many bits dropped
    /// as the largest sum of `ibits` bits has beyond `obits`.
    pub fn quantized_average(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let (stream, image) = self.as_image(node, stream)?;
        let stream = self.materialise(node, stream)?;
        let number = |name: &str| usize::try_from(node.int(name).unwrap_or(1)).unwrap_or(0);
        let (kernel, stride) = (number("kernel"), number("stride"));
        let (from, to) = (number("ibits"), number("obits"));
        let fits =
            stream.axes.len() == 3 && kernel >= 1 && stride >= 1 && image[..2].iter().all(|&n| n >= kernel);
        if !fits || !(1..=32).contains(&from) || !(1..=64).contains(&to) {
            return Err(self
                .structure(
                    node,
                    &format!("pools by a kernel of {kernel} and a stride of {stride}, {from} to {to} bits"),
                )
                .expected("a kernel within the image, a positive stride, 1 to 32 bits")
                .help("export the network again"));
        }
        if !stream.scale[0].is_integer() {
            return Err(self
                .inexact(
                    node,
                    "sums values that are no integers, which its definition rounds first",
                )
                .expected("integers, as FINN's streamlining leaves them")
                .help("streamline the graph, so that scales stand behind the pooling"));
        }
        let geometry = Geometry {
            input: image,
            output: [
                (image[0] - kernel) / stride + 1,
                (image[1] - kernel) / stride + 1,
                image[2],
            ],
            window: Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1, 1],
                pad: [0, 0],
            },
        };
        let stream = self.sum(node, stream, geometry, geometry.output.to_vec(), None)?;
        // Integers in units of 1, of which the low bits are dropped.
        let stream = self.rescaled(node, stream, &ones()[0], 0)?;
        let largest = ((1u64 << from) - 1).checked_mul((kernel as u64).saturating_mul(kernel as u64));
        let bits = largest.map_or(64, |largest| 64 - largest.leading_zeros());
        let shift = bits.saturating_sub(to as u32) as i32;
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let (low, high) = tensor.encoding.range();
        let format = exact::stored(low >> shift, high >> shift, -shift).ok_or_else(|| {
            self.unsupported(node, "needs a sum of more than 64 bits")
                .expected("a narrower input or window")
                .help("check the bit widths")
        })?;
        let format = format.with_quantization(Quantization::Trn);
        let name = self.builder.other_name("", "trunc");
        let layer = self.builder.layer_for_activation(stream.tensor, &name, &node.op);
        let outside = exact::to_f64(&(BigRational::from_integer(1.into()) / power_of_two(shift)));
        let output = self
            .builder
            .tensor(&node.outputs[0], tensor.shape, Encoding::Fixed(format), outside);
        self.builder
            .node(&name, layer, Op::Cast, vec![stream.tensor], output);
        Ok(Value::Stream(Stream {
            tensor: output,
            scale: single(BigRational::from_integer(1.into())),
            ..stream
        }))
    }
}
