//! Pooling and selection.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;

use super::end::RealEnd;
use super::operand::Operand;
use super::plain::Left;
use super::stream::{Stream, uniform};
use super::{Importer, Value, single, zeros};
use crate::fixed_point::Format;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError};
use crate::network::{ArgMax, Encoding, Geometry, Note, NoteKind, Op, Pool, PoolKind, Window};

/// Where indices are selected.
enum Selected {
    /// On the chip, among integers of one unit.
    OnChip(Stream),
    /// Behind it, among real numbers, along that axis of the file without the batch.
    Behind(Left, usize),
}

impl Importer<'_> {
    /// `MaxPool`, `AveragePool` and their global forms. An average is an exact sum whose divisor
    /// goes into the scale.
    pub fn pool(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let rank = stream.axes.len();
        let (stream, image) = self.as_image(node, stream)?;
        let (geometry, divisors) = if node.op.starts_with("Global") {
            let window = Window {
                kernel: [image[0], image[1]],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            };
            let geometry = Geometry {
                input: image,
                output: [1, 1, image[2]],
                window,
            };
            (geometry, vec![image[0] * image[1]])
        } else {
            self.pool_geometry(node, image, rank - 1)?
        };
        let shape = Self::image_shape(rank, geometry.output);
        let stream = if node.op.ends_with("AveragePool") {
            self.sum(node, stream, geometry, shape, Some(&divisors))?
        } else {
            self.maximum(node, stream, geometry, shape)?
        };
        Ok(Value::Stream(stream))
    }

    /// The largest values of windows over an image; `shape` is that of the result.
    pub fn maximum(
        &mut self,
        node: &OnnxNode,
        mut stream: Stream,
        geometry: Geometry,
        shape: Vec<usize>,
    ) -> Result<Stream, ImportError> {
        self.check_size(node, geometry.output)?;
        self.check_reads(node, &geometry)?;
        if !stream.is_nondecreasing() {
            return Err(self
                .inexact(
                    node,
                    "takes the maximum of values that fall where their integers rise",
                )
                .expected("an activation or a positive scale before the pooling")
                .help("put the quantizer before the pooling"));
        }
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let output = self
            .builder
            .tensor(&node.outputs[0], shape, tensor.encoding, tensor.scale);
        let kind = PoolKind::Max { through: None };
        let op = Op::Pool(Pool { kind, geometry });
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        stream.tensor = output;
        Ok(stream)
    }

    /// The sums of windows over an image, or their averages by these divisors: one for all pixels of the
    /// result, or one each. `shape` is that of the result.
    pub fn sum(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        geometry: Geometry,
        shape: Vec<usize>,
        divisors: Option<&[usize]>,
    ) -> Result<Stream, ImportError> {
        self.check_size(node, geometry.output)?;
        self.check_reads(node, &geometry)?;
        let mut stream = self.materialise(node, stream)?;
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let (low, high) = tensor.encoding.range();
        let times = |factor: i128| {
            let (low, high) = (
                low.saturating_mul(factor).min(0),
                high.saturating_mul(factor).max(0),
            );
            super::exact::stored(low, high, tensor.encoding.frac())
        };
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        let too_wide = || {
            self.unsupported(node, "needs a sum of more than 64 bits")
                .expected("a narrower input or window")
                .help("leave the pooling to the off-chip readout")
                .cure(Cure::Readout)
        };
        let encoding = Encoding::Fixed(times(taps as i128).ok_or_else(too_wide)?);
        let divisor = divisors.and_then(|divisors| {
            let (first, rest) = divisors.split_first()?;
            rest.iter().all(|divisor| divisor == first).then_some(*first)
        });
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let outside = tensor.scale / divisor.unwrap_or(1) as f64;
        let output = self
            .builder
            .tensor(&node.outputs[0], shape.clone(), encoding, outside);
        let kind = PoolKind::Sum;
        let op = Op::Pool(Pool { kind, geometry });
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        stream.tensor = output;
        let common = match (divisors, divisor) {
            (None, _) => return Ok(stream),
            (Some(_), Some(divisor)) => divisor,
            (Some(divisors), None) => {
                // Averages over different numbers of values have a common unit: one value divided by
                // the least common multiple of these numbers.
                let refuse = || {
                    self.inexact(
                        node,
                        "averages different numbers of values at the border, whose common unit needs more than 64 bits",
                    )
                    .expected("windows whose numbers of values have a small common multiple")
                    .help("leave the pooling to the off-chip readout")
                    .cure(Cure::Readout)
                };
                let common = divisors.iter().try_fold(1u64, |common, &divisor| {
                    let divisor = divisor as u64;
                    let shared = greatest_common_divisor(common, divisor);
                    (common / shared)
                        .checked_mul(divisor)
                        .filter(|&common| common < 1 << 31)
                });
                let common = common.ok_or_else(refuse)? as usize;
                // No window holds more values than it divides by.
                let encoding = Encoding::Fixed(times(common as i128).ok_or_else(refuse)?);
                let channels = geometry.output[2];
                let factor: Vec<i64> = divisors
                    .iter()
                    .flat_map(|&divisor| std::iter::repeat_n((common / divisor) as i64, channels))
                    .collect();
                let offset = vec![0; factor.len()];
                let name = self.builder.other_name("", "average");
                let outside = tensor.scale / common as f64;
                let unified = self.builder.tensor(&name, shape, encoding, outside);
                let op = Op::Rescale { factor, offset };
                self.builder.node(&name, layer, op, vec![output], unified);
                stream.tensor = unified;
                common
            }
        };
        let divisor = BigRational::from_integer(BigInt::from(common));
        stream.affine(&single(BigRational::one() / divisor), &zeros());
        Ok(stream)
    }

    /// The window of a pool, and how many values each average divides by.
    fn pool_geometry(
        &self,
        node: &OnnxNode,
        image: [usize; 3],
        spatial: usize,
    ) -> Result<(Geometry, Vec<usize>), ImportError> {
        let stated = node.ints("kernel_shape").unwrap_or(&[]);
        let kernel: Vec<usize> = stated.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
        if kernel.len() != spatial || kernel.iter().any(|&k| k == 0 || k > 1 << 20) {
            return Err(self
                .structure(node, &format!("has the kernel {stated:?}"))
                .expected(format!("{spatial} positive numbers"))
                .help("export the network again"));
        }
        let kernel = match kernel[..] {
            [rows, columns] => [rows, columns],
            _ => [1, kernel[0]],
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
        let geometry = Geometry {
            input: image,
            output,
            window,
        };
        self.check_size(node, output)?;
        self.check_reads(node, &geometry)?;
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
        // Padding counts or not; what a window reaches beyond it never does.
        let margin = if node.int("count_include_pad").unwrap_or(0) == 0 {
            [(0, 0); 2]
        } else {
            [(before[0], after[0]), (before[1], after[1])]
        };
        let counts = [0, 1].map(|axis| -> Vec<usize> {
            let inside = before[axis] - margin[axis].0..before[axis] + image[axis] + margin[axis].1;
            (0..output[axis])
                .map(|step| {
                    let places = (0..kernel[axis]).map(|tap| step * stride[axis] + tap * dilation[axis]);
                    places.filter(|place| inside.contains(place)).count()
                })
                .collect()
        });
        let divisors = counts[0]
            .iter()
            .flat_map(|rows| counts[1].iter().map(move |columns| rows * columns))
            .collect();
        Ok((geometry, divisors))
    }

    /// `TopK`, `ArgMax` and `ArgMin`: indices only, the lower first among equals. `left` is what they select among where
    /// that is not the node's input itself.
    pub fn select_indices(&mut self, node: &OnnxNode, left: Option<Left>) -> Result<(), ImportError> {
        if node.op == "TopK" {
            self.top_k(node, left)
        } else {
            self.arg_max(node, left)
        }
    }

    /// What a node selects the largest of, along that axis.
    fn selectable(
        &mut self,
        node: &OnnxNode,
        left: Option<Left>,
        axis: i64,
        smallest: bool,
    ) -> Result<Left, ImportError> {
        let minus = single(-BigRational::one());
        let mut operand = match left {
            Some(Left {
                stream,
                real: Some(mut real),
            }) => {
                if real.tensor != stream.tensor {
                    if smallest {
                        real.affine(&minus, &zeros());
                    }
                    let real = Some(real);
                    return Ok(Left { stream, real });
                }
                let axes = stream.axes;
                self.still(Stream { axes, ..real })
            }
            Some(left) => self.still(left.stream),
            None => self.integers_behind(node)?,
        };
        let stream = &mut operand.stream;
        // What only rises keeps the order, and so does what is added to all.
        while Self::last_function(stream).is_some() {}
        if stream.steps.is_empty() && uniform(&stream.offset).is_some() {
            stream.offset = zeros();
        }
        if smallest {
            stream.affine(&minus, &zeros());
        }
        let Left { mut stream, real } = self.leave(node, operand.stream.clone())?;
        let real = match real {
            Some(real)
                if operand.is_beside_channels(self.axis(node, axis, operand.view.shape().len() + 1)?) =>
            {
                // All that are compared are one function of their integers, which rises or falls.
                stream.scale = real.signs();
                stream = self.leave(node, stream)?.stream;
                None
            }
            real => real,
        };
        let stream = self.settle(node, Operand { stream, ..operand })?;
        Ok(Left { stream, real })
    }

    /// `TopK`: the indices only, the first one first.
    fn top_k(&mut self, node: &OnnxNode, left: Option<Left>) -> Result<(), ImportError> {
        let axis = node.int("axis").unwrap_or(-1);
        // The number was an attribute first.
        let count = match node.int("k") {
            Some(count) => count,
            None => self
                .integers(node, "k", 1)?
                .and_then(|k| k.first().copied())
                .unwrap_or(1),
        };
        if let Some(values) = node
            .outputs
            .first()
            .filter(|name| self.readers.contains_key(*name))
        {
            return Err(self
                .unsupported(node, &format!("is read for its values, `{values}`"))
                .expected("the indices alone, its second output")
                .help("read the second output, or leave the selection to the off-chip readout")
                .cure(Cure::Readout));
        }
        let Some(indices) = node.outputs.get(1).filter(|name| !name.is_empty()).cloned() else {
            return Err(self
                .structure(node, "has no output of indices")
                .expected("a second output")
                .help("export the network again"));
        };
        let smallest = node.int("largest").unwrap_or(1) == 0;
        if node.int("sorted").unwrap_or(1) == 0 && count != 1 {
            self.builder.notes.push(Note::new(
                NoteKind::Flow,
                node.label(),
                "does not say in which order its indices come; here they come sorted",
            ));
        }
        let left = self.selectable(node, left, axis, smallest)?;
        match self.select(node, left, axis, count, false)? {
            Selected::OnChip(stream) => self.insert(node, indices, Value::Stream(stream)),
            Selected::Behind(left, axis) => {
                let mut shape = self.file_shape(&left.stream);
                shape[axis] = usize::try_from(count).unwrap_or(1);
                self.define_end(node, 1, RealEnd::selection(node, left, false, shape))
            }
        }
    }

    /// `ArgMax` and `ArgMin`.
    fn arg_max(&mut self, node: &OnnxNode, left: Option<Left>) -> Result<(), ImportError> {
        let last = node.int("select_last_index").unwrap_or(0) != 0;
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let axis = node.int("axis").unwrap_or(0);
        let left = self.selectable(node, left, axis, node.op == "ArgMin")?;
        let stream = match self.select(node, left, axis, 1, last)? {
            Selected::OnChip(stream) => stream,
            Selected::Behind(left, axis) => {
                let mut shape = self.file_shape(&left.stream);
                if keep {
                    shape[axis] = 1;
                } else {
                    shape.remove(axis);
                }
                return self.define_end(node, 0, RealEnd::selection(node, left, last, shape));
            }
        };
        let rank = stream.axes.len();
        if keep || rank == 1 {
            return self.define(node, Value::Stream(stream));
        }
        // The selected axis is the tensor's last one, of extent 1.
        let axes = stream
            .axes
            .iter()
            .copied()
            .filter(|&axis| axis + 1 < rank)
            .collect();
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let name = self.builder.other_name("", &node.op);
        let layer = self.builder.layer_for_activation(stream.tensor, &name, &node.op);
        let shape = tensor.shape[..rank - 1].to_vec();
        let output = self.builder.tensor(&name, shape, tensor.encoding, tensor.scale);
        self.builder
            .node(&name, layer, Op::Reshape, vec![stream.tensor], output);
        let value = Value::Stream(Stream {
            tensor: output,
            axes,
            ..stream
        });
        self.define(node, value)
    }

    fn select(
        &mut self,
        node: &OnnxNode,
        left: Left,
        axis: i64,
        count: i64,
        last: bool,
    ) -> Result<Selected, ImportError> {
        let batched = left.stream.axes.len() + 1;
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
        let stream = self.with_layout(node, left.stream, &layout)?;
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
        if left.real.is_some() {
            return Ok(Selected::Behind(Left { stream, ..left }, axis - 1));
        }
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
        Ok(Selected::OnChip(Stream {
            tensor: output,
            axes: layout,
            scale: super::ones(),
            offset: zeros(),
            steps: Vec::new(),
        }))
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
