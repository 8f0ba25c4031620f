//! Pooling and selection.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;

use super::stream::Stream;
use super::{Importer, Value, single, zeros};
use crate::fixed_point::Format;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{ArgMax, Encoding, Geometry, Op, Pool, PoolKind, Window};

impl Importer<'_> {
    /// `MaxPool`, `AveragePool` and their global forms. An average is an exact sum whose divisor
    /// goes into the scale.
    pub fn pool(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let rank = stream.axes.len();
        let (stream, image) = self.as_image(node, stream)?;
        let spatial = rank - 1;
        let global = node.op.starts_with("Global");
        let average = node.op.ends_with("AveragePool");
        let geometry = if global {
            let window = Window {
                kernel: [image[0], image[1]],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            };
            Geometry {
                input: image,
                output: [1, 1, image[2]],
                window,
            }
        } else {
            self.pool_geometry(node, image, spatial, average)?
        };
        self.check_size(node, geometry.output)?;
        self.check_reads(node, &geometry)?;
        let mut stream = if average {
            self.materialise(node, stream)?
        } else {
            stream
        };
        if !average && !stream.is_nondecreasing() {
            return Err(self
                .inexact(
                    node,
                    "takes the maximum of values that fall where their integers rise",
                )
                .expected("an activation or a positive scale before the pooling")
                .help("put the quantizer before the pooling"));
        }
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let encoding = if average {
            let taps = (geometry.window.kernel[0] * geometry.window.kernel[1]) as i128;
            let (low, high) = tensor.encoding.range();
            let sum = super::exact::stored(
                low.saturating_mul(taps).min(0),
                high.saturating_mul(taps),
                tensor.encoding.frac(),
            );
            let too_wide = || {
                self.unsupported(node, "needs a sum of more than 64 bits")
                    .expected("a narrower input or window")
                    .help("pool in two steps")
            };
            Encoding::Fixed(sum.ok_or_else(too_wide)?)
        } else {
            tensor.encoding
        };
        let divisor = BigRational::from_integer(BigInt::from(
            geometry.window.kernel[0] * geometry.window.kernel[1],
        ));
        let outside = if average {
            tensor.scale / super::exact::to_f64(&divisor)
        } else {
            tensor.scale
        };
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let output = self.builder.tensor(
            &node.outputs[0],
            Self::image_shape(rank, geometry.output),
            encoding,
            outside,
        );
        let kind = if average {
            PoolKind::Sum
        } else {
            PoolKind::Max { through: None }
        };
        self.builder.node(
            &name,
            layer,
            Op::Pool(Pool { kind, geometry }),
            vec![stream.tensor],
            output,
        );
        stream.tensor = output;
        if average {
            stream.affine(&single(BigRational::one() / divisor), &zeros());
        }
        Ok(Value::Stream(stream))
    }

    fn pool_geometry(
        &self,
        node: &OnnxNode,
        image: [usize; 3],
        spatial: usize,
        average: bool,
    ) -> Result<Geometry, ImportError> {
        let stated = node.ints("kernel_shape").unwrap_or(&[]);
        let kernel: Vec<usize> = stated.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
        if kernel.len() != spatial || kernel.iter().any(|&k| k == 0 || k > 1 << 20) {
            return Err(self
                .structure(node, &format!("has the kernel {stated:?}"))
                .expected(format!("{spatial} positive numbers"))
                .help("export the network again"));
        }
        let kernel = if spatial == 2 {
            [kernel[0], kernel[1]]
        } else {
            [1, kernel[0]]
        };
        let (stride, dilation) = self.steps(node, spatial)?;
        let (before, after) = self.pads(node, spatial, kernel, stride, dilation, image, false)?;
        let ceil = node.int("ceil_mode").unwrap_or(0) != 0;
        let mut output = [0, 0, image[2]];
        for axis in 0..2 {
            let reach = (kernel[axis] - 1) * dilation[axis] + 1;
            let room = (image[axis] + before[axis] + after[axis])
                .checked_sub(reach)
                .ok_or_else(|| {
                    self.structure(
                        node,
                        &format!("has a window of {kernel:?} on an input of {:?}", &image[..2]),
                    )
                    .expected("a window that fits")
                    .help("check the kernel")
                })?;
            let mut steps = if ceil {
                room.div_ceil(stride[axis])
            } else {
                room / stride[axis]
            };
            // The last window must start inside the input or its left padding.
            if ceil && steps * stride[axis] >= image[axis] + before[axis] {
                steps -= 1;
            }
            output[axis] = steps + 1;
        }
        let window = Window {
            kernel,
            stride,
            dilation,
            pad: before,
        };
        self.check_size(node, output)?;
        let touches =
            (0..2).all(|axis| (0..output[axis]).all(|step| window.touches(axis, step, image[axis])));
        if !touches {
            return Err(self
                .structure(
                    node,
                    &format!("pads {before:?} and {after:?} for a window of {kernel:?}"),
                )
                .expected("padding that leaves part of the input in every window")
                .help("check the padding"));
        }
        let padded = before != [0, 0] || after != [0, 0] || ceil;
        if average && padded && (node.int("count_include_pad").unwrap_or(0) == 0 || ceil) {
            return Err(self
                .inexact(node, "divides by a number of values that changes at the border")
                .expected("no padding, or count_include_pad = 1 and ceil_mode = 0")
                .help("pad with a Pad node first"));
        }
        Ok(Geometry {
            input: image,
            output,
            window,
        })
    }

    /// `TopK`: the indices only, largest first.
    pub fn top_k(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let stream = self.stream(node, 0)?;
        let axis = node.int("axis").unwrap_or(-1);
        let count = self
            .integers(node, "k", 1)?
            .and_then(|k| k.first().copied())
            .unwrap_or(1);
        let values_read = node
            .outputs
            .first()
            .is_some_and(|name| self.readers.contains_key(name));
        if values_read || node.int("largest").unwrap_or(1) == 0 {
            return Err(self
                .unsupported(node, "is read for its values or for the smallest")
                .expected("the indices of the largest values")
                .help("read the second output with largest = 1"));
        }
        let Some(indices) = node.outputs.get(1).filter(|name| !name.is_empty()).cloned() else {
            return Err(self
                .structure(node, "has no output of indices")
                .expected("a second output")
                .help("export the network again"));
        };
        let stream = self.select(node, stream, axis, count, false)?;
        self.insert(node, indices, Value::Stream(stream))
    }

    /// `ArgMax` over the last axis.
    pub fn arg_max(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let last = node.int("select_last_index").unwrap_or(0) != 0;
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let stream = self.select(node, stream, node.int("axis").unwrap_or(0), 1, last)?;
        if keep || stream.axes.len() == 1 {
            return Ok(Value::Stream(stream));
        }
        Err(self
            .unsupported(node, "drops an axis")
            .expected("keepdims = 1")
            .help("keep the axis and reshape outside"))
    }

    fn select(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        axis: i64,
        count: i64,
        last: bool,
    ) -> Result<Stream, ImportError> {
        let batched = stream.axes.len() + 1;
        let axis = self.axis(node, axis, batched)?;
        let rank = batched - 1;
        if axis == 0 {
            return Err(self
                .unsupported(node, "selects among the samples")
                .expected("the channel axis")
                .help("select within each sample"));
        }
        // The selected axis becomes the last one.
        let mut layout: Vec<usize> = Vec::with_capacity(rank);
        let mut next = 0;
        for file_axis in 0..rank {
            if file_axis == axis - 1 {
                layout.push(rank - 1);
            } else {
                layout.push(next);
                next += 1;
            }
        }
        let stream = self.with_layout(node, stream, &layout)?;
        let stream = self.materialise(node, stream)?;
        let mut shape = self.builder.tensors[stream.tensor.index()].shape.clone();
        let classes = shape.last().copied().unwrap_or(1);
        let count = usize::try_from(count)
            .ok()
            .filter(|&k| (1..=classes).contains(&k))
            .ok_or_else(|| {
                self.structure(node, &format!("selects {count} of {classes}"))
                    .expected(format!("1 to {classes}"))
                    .help("check k")
            })?;
        if let Some(extent) = shape.last_mut() {
            *extent = count;
        }
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let format = Format::holding(0, classes as i128 - 1, 0).map_err(|error| {
            self.structure(node, &error.to_string())
                .expected("indices of at most 64 bits")
                .help("check the number of classes")
        })?;
        let output = self.builder.tensor(&name, shape, Encoding::Fixed(format), 1.0);
        self.builder.node(
            &name,
            layer,
            Op::ArgMax(ArgMax { count, last }),
            vec![stream.tensor],
            output,
        );
        Ok(Stream {
            tensor: output,
            axes: layout,
            scale: super::ones(),
            offset: zeros(),
            steps: Vec::new(),
        })
    }
}
