//! Operators that only move elements.

use super::domain::channels_last;
use super::operand::picked;
use super::stream::{Stream, uniform};
use super::view::View;
use super::{Importer, Value, constant};
use crate::network::Op;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};

impl Importer<'_> {
    /// `Transpose`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze` on anything.
    pub fn rearrange(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        if let Value::Const(constant) = self.value(node, 0)? {
            return self.rearrange_constant(node, constant).map(Value::Const);
        }
        let operand = self.operand(node, 0)?;
        let operand = self.moved(node, operand)?;
        Ok(self.value_of(operand))
    }

    fn rearrange_constant(
        &self,
        node: &OnnxNode,
        constant: constant::Const,
    ) -> Result<constant::Const, ImportError> {
        let rank = constant.shape.len();
        match node.op.as_str() {
            "Transpose" => {
                let perm = match node.ints("perm") {
                    Some(perm) => self.axes(node, perm, rank)?,
                    None => (0..rank).rev().collect(),
                };
                self.check_permutation(node, &perm, rank)?;
                Ok(constant.transposed(&perm))
            }
            _ => {
                let shape = match node.op.as_str() {
                    "Flatten" => {
                        let axis = self.flatten_axis(node, rank)?;
                        vec![
                            constant.shape[..axis].iter().product(),
                            constant.shape[axis..].iter().product(),
                        ]
                    }
                    "Reshape" => self.target_shape(node, &constant.shape)?,
                    "Squeeze" => self.squeezed(node, &constant.shape)?,
                    _ => self.unsqueezed(node, &constant.shape)?,
                };
                let mut elements = constant.elements;
                if let constant::Elements::Quantized(quantized) = &mut elements {
                    self.reshape_scales(node, quantized, &constant.shape, &shape)?;
                }
                Ok(constant::Const {
                    name: constant.name,
                    shape,
                    elements,
                })
            }
        }
    }

    /// The scales of a constant that goes from one shape to another: along the axes where they vary, or one per
    /// element where axes are cut through.
    fn reshape_scales(
        &self,
        node: &OnnxNode,
        quantized: &mut constant::Quantized,
        from: &[usize],
        to: &[usize],
    ) -> Result<(), ImportError> {
        if let Some(scale) = uniform(&quantized.scale) {
            quantized.scale = vec![scale.clone()];
            quantized.scale_shape = Vec::new();
            return Ok(());
        }
        let mut view = View::of(from);
        let fits = view.reshape(to);
        let scale_shape = &quantized.scale_shape;
        let extra = scale_shape.len().saturating_sub(from.len());
        let strides = fits
            .then(|| view.strides(view.source(), &scale_shape[extra..]))
            .flatten();
        let (scale, shape) = match strides {
            Some(strides) => {
                let varies = |axis: &&Vec<usize>| axis.iter().any(|&atom| strides.varies(atom));
                let atoms: Vec<usize> = view.target().iter().filter(varies).flatten().copied().collect();
                let shape = view
                    .target()
                    .iter()
                    .map(|axis| if varies(&axis) { view.extent(axis) } else { 1 });
                (
                    picked(&quantized.scale, &view.positions(&atoms, &strides)),
                    shape.collect(),
                )
            }
            None if from.iter().product::<usize>() <= limits::MAX_ELEMENT_FUNCTIONS => {
                let len = from.iter().product();
                let scales: Option<_> = (0..len)
                    .map(|index| quantized.scale_at(from, index).cloned())
                    .collect();
                (scales.unwrap_or_default(), to.to_vec())
            }
            None => {
                return Err(self
                    .unsupported(
                        node,
                        "cuts through the channels of a weight that has one scale per channel",
                    )
                    .expected("axes that are merged or split, not cut")
                    .help("reshape before the quantizer"));
            }
        };
        (quantized.scale, quantized.scale_shape) = (scale, shape);
        Ok(())
    }

    /// The shape of each sample behind a node that keeps the order of the elements; `batched` is that before it, the
    /// batch of 1 in front.
    pub fn sample_shape(&self, node: &OnnxNode, batched: &[usize]) -> Result<Vec<usize>, ImportError> {
        let target = match node.op.as_str() {
            "Flatten" => {
                let axis = self.flatten_axis(node, batched.len())?;
                vec![batched[..axis].iter().product(), batched[axis..].iter().product()]
            }
            "Reshape" => self.target_shape(node, batched)?,
            "Squeeze" => self.squeezed(node, batched)?,
            _ => self.unsqueezed(node, batched)?,
        };
        let Some((&1, shape)) = target.split_first() else {
            return Err(self
                .unsupported(
                    node,
                    &format!("reshapes {batched:?} to {target:?}, which mixes the batch with the data"),
                )
                .expected("a shape that keeps the batch dimension in front")
                .help("reshape each sample by itself"));
        };
        let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(batched.iter().product()) {
            return Err(self
                .structure(node, &format!("reshapes {batched:?} to {target:?}"))
                .expected("as many elements after as before")
                .help("export the network again"));
        }
        self.check_shape(node, &shape)?;
        Ok(shape)
    }

    /// The permutation of each sample's axes; `rank` counts the batch.
    pub fn sample_permutation(&self, node: &OnnxNode, rank: usize) -> Result<Vec<usize>, ImportError> {
        let perm = match node.ints("perm") {
            Some(perm) => self.axes(node, perm, rank)?,
            None => (0..rank).rev().collect(),
        };
        self.check_permutation(node, &perm, rank)?;
        if perm[0] != 0 {
            return Err(self
                .unsupported(node, "moves the batch dimension")
                .expected("a permutation that keeps axis 0")
                .help("transpose each sample by itself"));
        }
        Ok(perm[1..].iter().map(|&axis| axis - 1).collect())
    }

    /// Where `Flatten` cuts: one of `rank` axes counted from either end, or behind the last.
    fn flatten_axis(&self, node: &OnnxNode, rank: usize) -> Result<usize, ImportError> {
        let axis = node.int("axis").unwrap_or(1);
        self.axis(node, axis, if axis < 0 { rank } else { rank + 1 })
    }

    fn check_permutation(&self, node: &OnnxNode, perm: &[usize], rank: usize) -> Result<(), ImportError> {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if sorted == (0..rank).collect::<Vec<_>>() {
            Ok(())
        } else {
            Err(self
                .structure(node, &format!("permutes by {perm:?}"))
                .expected(format!("a permutation of 0..{rank}"))
                .help("export the network again"))
        }
    }

    /// Shape in the file's order, without the batch.
    pub fn file_shape(&self, stream: &Stream) -> Vec<usize> {
        let shape = &self.builder.tensors[stream.tensor.index()].shape;
        stream.axes.iter().map(|&axis| shape[axis]).collect()
    }

    /// The same elements in the file's order under another shape, both without the batch.
    pub fn reshape_to(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        shape: Vec<usize>,
    ) -> Result<Stream, ImportError> {
        let identity: Vec<usize> = (0..stream.axes.len()).collect();
        let stream = self.with_layout(node, stream, &identity)?;
        let tensor = &self.builder.tensors[stream.tensor.index()];
        let identity: Vec<usize> = (0..shape.len()).collect();
        if tensor.shape == shape {
            return Ok(Stream {
                axes: identity,
                ..stream
            });
        }
        let channels = tensor.channels();
        let stream = if shape.last() == Some(&channels) {
            stream
        } else {
            self.without_channels(node, stream)?
        };
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(tensor.len()) {
            return Err(self
                .structure(node, &format!("reshapes {:?} to {shape:?}", tensor.shape))
                .expected("as many elements after as before")
                .help("export the network again"));
        }
        self.check_shape(node, &shape)?;
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let output = self
            .builder
            .tensor(&node.outputs[0], shape, tensor.encoding, tensor.scale);
        self.builder
            .node(&name, layer, Op::Reshape, vec![stream.tensor], output);
        Ok(Stream {
            tensor: output,
            axes: identity,
            ..stream
        })
    }

    /// The same stream with one function for all channels, for operators that lose track of them.
    pub fn without_channels(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        use super::stream::Step;
        let uniform_steps = stream.steps.iter().all(|step| match step {
            Step::Affine { factor, offset } => uniform(factor).is_some() && uniform(offset).is_some(),
            Step::BatchNormalization { .. } => false,
            _ => true,
        });
        if uniform_steps
            && let (Some(scale), Some(offset)) = (uniform(&stream.scale), uniform(&stream.offset))
        {
            let (scale, offset) = (vec![scale.clone()], vec![offset.clone()]);
            return Ok(Stream {
                scale,
                offset,
                ..stream
            });
        }
        self.materialise(node, stream)
    }

    /// The same values with file axis `i` at tensor axis `layout[i]`; elements move only where
    /// more than one axis has more than one element out of order.
    pub fn with_layout(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        layout: &[usize],
    ) -> Result<Stream, ImportError> {
        if stream.axes == layout {
            return Ok(stream);
        }
        let rank = layout.len();
        let mut perm = vec![0; rank];
        for (axis, &to) in layout.iter().enumerate() {
            perm[to] = stream.axes[axis];
        }
        let keeps_channels = perm.last().is_some_and(|&axis| axis + 1 == rank);
        let stream = if keeps_channels {
            stream
        } else {
            self.without_channels(node, stream)?
        };
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let shape: Vec<usize> = perm.iter().map(|&axis| tensor.shape[axis]).collect();
        let moving: Vec<usize> = perm
            .iter()
            .copied()
            .filter(|&axis| tensor.shape[axis] != 1)
            .collect();
        let op = if moving.is_sorted() {
            Op::Reshape
        } else {
            Op::Transpose { perm }
        };
        let name = self
            .builder
            .other_name("", if op == Op::Reshape { "reshape" } else { "transpose" });
        let layer = self.builder.layer(&name, "Transpose");
        let output = self.builder.tensor(&name, shape, tensor.encoding, tensor.scale);
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        Ok(Stream {
            tensor: output,
            axes: layout.to_vec(),
            ..stream
        })
    }

    /// The stream as an image: tensor axes height, width, channels for file axes channels, height,
    /// width, or for the same order where the operator has its channels last; one spatial axis counts as width.
    pub fn as_image(&mut self, node: &OnnxNode, stream: Stream) -> Result<(Stream, [usize; 3]), ImportError> {
        let rank = stream.axes.len();
        if !(2..=3).contains(&rank) {
            return Err(self
                .unsupported(node, &format!("works on {} dimensions", rank + 1))
                .expected("a batch, channels and one or two spatial dimensions")
                .help("reshape the tensor to two spatial dimensions"));
        }
        let layout: Vec<usize> = if channels_last(node) {
            (0..rank).collect()
        } else {
            std::iter::once(rank - 1).chain(0..rank - 1).collect()
        };
        let stream = self.with_layout(node, stream, &layout)?;
        let shape = &self.builder.tensors[stream.tensor.index()].shape;
        let image = if rank == 3 {
            [shape[0], shape[1], shape[2]]
        } else {
            [1, shape[0], shape[1]]
        };
        Ok((stream, image))
    }

    /// An image's shape as the tensor of a stream has it.
    pub fn image_shape(rank: usize, image: [usize; 3]) -> Vec<usize> {
        if rank == 3 {
            image.to_vec()
        } else {
            image[1..].to_vec()
        }
    }

    fn target_shape(&self, node: &OnnxNode, from: &[usize]) -> Result<Vec<usize>, ImportError> {
        let wanted = self.axis_list(node, "shape")?.unwrap_or_default();
        let wrong = || {
            self.structure(node, &format!("reshapes {from:?} to {wanted:?}"))
                .expected("as many elements after as before, with at most one -1")
                .help("export the network again")
        };
        let total: usize = from.iter().product();
        let mut shape = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (axis, &extent) in wanted.iter().enumerate() {
            match extent {
                -1 if open.is_none() => {
                    open = Some(axis);
                    shape.push(1);
                }
                0 => shape.push(*from.get(axis).ok_or_else(wrong)?),
                extent => shape.push(
                    usize::try_from(extent)
                        .ok()
                        .filter(|e| (1..=limits::MAX_ELEMENTS).contains(e))
                        .ok_or_else(wrong)?,
                ),
            }
        }
        let known = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|&n| n > 0)
            .ok_or_else(wrong)?;
        if let Some(axis) = open {
            shape[axis] = total / known;
        }
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(total) {
            return Err(wrong());
        }
        Ok(shape)
    }

    /// One number per axis, from the attribute or the second input.
    pub fn axis_list(&self, node: &OnnxNode, name: &str) -> Result<Option<Vec<i64>>, ImportError> {
        let list = self.integers(node, name, 1)?;
        match &list {
            Some(list) if list.len() > limits::MAX_AXES => Err(self
                .structure(node, &format!("has {name} of {} numbers", list.len()))
                .expected(format!("at most {} axes", limits::MAX_AXES))
                .help("export the network again")),
            _ => Ok(list),
        }
    }

    fn squeezed(&self, node: &OnnxNode, from: &[usize]) -> Result<Vec<usize>, ImportError> {
        let drop = match self.axis_list(node, "axes")? {
            Some(axes) => self.axes(node, &axes, from.len())?,
            None => (1..from.len()).filter(|&axis| from[axis] == 1).collect(),
        };
        if let Some(&axis) = drop.iter().find(|&&axis| from[axis] != 1) {
            return Err(self
                .structure(node, &format!("squeezes axis {axis} of {from:?}"))
                .expected("an axis of extent 1")
                .help("export the network again"));
        }
        Ok((0..from.len())
            .filter(|axis| !drop.contains(axis))
            .map(|axis| from[axis])
            .collect())
    }

    fn unsqueezed(&self, node: &OnnxNode, from: &[usize]) -> Result<Vec<usize>, ImportError> {
        let axes = self.axis_list(node, "axes")?.unwrap_or_default();
        let rank = from.len() + axes.len();
        let axes = self.axes(node, &axes, rank)?;
        if axes
            .iter()
            .enumerate()
            .any(|(position, axis)| axes[..position].contains(axis))
        {
            return Err(self
                .structure(node, &format!("inserts axes {axes:?}"))
                .expected("every axis once")
                .help("export the network again"));
        }
        let mut rest = from.iter();
        Ok((0..rank)
            .map(|axis| {
                if axes.contains(&axis) {
                    1
                } else {
                    rest.next().copied().unwrap_or(1)
                }
            })
            .collect())
    }

    /// An axis counted from either end.
    pub fn axis(&self, node: &OnnxNode, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let counted = if axis < 0 {
            axis.saturating_add(rank as i64)
        } else {
            axis
        };
        usize::try_from(counted)
            .ok()
            .filter(|&a| a < rank)
            .ok_or_else(|| {
                self.structure(node, &format!("names axis {axis} of {rank}"))
                    .expected(format!("an axis in -{rank}..{rank}"))
                    .help("export the network again")
            })
    }

    fn axes(&self, node: &OnnxNode, axes: &[i64], rank: usize) -> Result<Vec<usize>, ImportError> {
        axes.iter().map(|&axis| self.axis(node, axis, rank)).collect()
    }

    /// Whether the input of that position is a constant without elements, which stands for none.
    pub fn is_empty_constant(&self, node: &OnnxNode, position: usize) -> bool {
        matches!(self.value(node, position), Ok(Value::Const(constant)) if constant.len() == 0)
    }

    /// Refuses tensors beyond the limit.
    pub fn check_size(&self, node: &OnnxNode, shape: [usize; 3]) -> Result<(), ImportError> {
        self.check_shape(node, &shape)
    }

    /// Refuses tensors beyond the limits.
    pub fn check_shape(&self, node: &OnnxNode, shape: &[usize]) -> Result<(), ImportError> {
        if shape.len() > limits::MAX_AXES {
            return Err(self
                .unsupported(node, &format!("makes a tensor of {} axes", shape.len()))
                .expected(format!("at most {} axes", limits::MAX_AXES))
                .help("reshape to fewer axes"));
        }
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements.is_some_and(|n| n > 0 && n <= limits::MAX_ELEMENTS) {
            Ok(())
        } else {
            Err(self
                .structure(node, &format!("makes a tensor of shape {shape:?}"))
                .expected(format!("1 to {} elements", limits::MAX_ELEMENTS))
                .help("check kernel, stride and padding against the input's size"))
        }
    }
}
