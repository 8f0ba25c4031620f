//! Operands of element-wise arithmetic: streams, and the real input, whose rearrangements wait until an operator needs
//! the order of the elements.

use num_rational::BigRational;
use num_traits::{One, Zero};

use super::constant::{Const, Elements, Quantized};
use super::stream::{PerChannel, Step, Stream, uniform};
use super::view::View;
use super::{Importer, Value, ones, zeros};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};
use crate::network::{Op, TensorId};

/// Names of the node that rearranged last.
#[derive(Clone, Debug)]
pub struct Mover {
    name: String,
    op: String,
    output: String,
}

/// A stream and where its elements are by now.
#[derive(Clone, Debug)]
pub struct Operand {
    /// The integers; of the real input the samples themselves, whose "mantissas" are real numbers.
    pub stream: Stream,
    /// From the stream's file axes to those of the operand.
    pub view: View,
    /// Who rearranged last.
    pub moved_by: Option<Mover>,
    /// Whether this is the real input in front of its quantizer.
    pub real: bool,
    /// Rearrangements of the real input that wait for its integers, and come after the view.
    pub deferred: Vec<OnnxNode>,
}

impl Stream {
    /// All lists of numbers of the function.
    fn lists(&mut self) -> Vec<&mut PerChannel> {
        let mut lists = vec![&mut self.scale, &mut self.offset];
        for step in &mut self.steps {
            match step {
                Step::Affine { factor, offset } => lists.extend([factor, offset]),
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => lists.extend([gamma, beta, mean, variance]),
                Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => {}
            }
        }
        lists
    }

    /// Whether one function holds for all elements; its lists are one number long then.
    pub fn unify(&mut self) -> bool {
        let mut lists = self.lists();
        let alike = lists.iter().all(|list| uniform(list).is_some());
        if alike {
            lists.iter_mut().for_each(|list| list.truncate(1));
        }
        alike
    }

    /// Takes element `positions[i]` of every list for channel `i`.
    fn gather(&mut self, positions: &[usize]) {
        for list in self.lists().into_iter().filter(|list| list.len() > 1) {
            *list = positions.iter().map(|&at| list[at].clone()).collect();
        }
    }

    /// The longest list.
    pub fn longest(&mut self) -> usize {
        self.lists().into_iter().map(|list| list.len()).max().unwrap_or(1)
    }
}

impl Operand {
    /// Whether elements along that axis, with the batch as axis 0, are all of one channel of the tensor.
    pub fn is_beside_channels(&self, axis: usize) -> bool {
        let last = self.stream.axes.len().saturating_sub(1);
        let channels = (self.stream.axes.iter().zip(self.view.source())).find(|&(&to, _)| to == last);
        let axis = axis.checked_sub(1).and_then(|axis| self.view.target().get(axis));
        let (Some((_, channels)), Some(axis)) = (channels, axis) else {
            return false;
        };
        axis.iter().all(|atom| !channels.contains(atom))
    }
}

/// Numbers picked by position.
pub fn picked(values: &PerChannel, positions: &[usize]) -> PerChannel {
    positions.iter().map(|&at| values[at].clone()).collect()
}

/// The axes of a shape in the order of `runs`, which are those that are not 1. Axes of 1 go where the tensor has
/// some; the first of them, the channels of most files, where the tensor's channels are. Others come first.
fn placed(shape: &[usize], tensor: &[usize], runs: &[usize]) -> Vec<usize> {
    let mut ones: Vec<usize> = (0..shape.len()).filter(|axis| !runs.contains(axis)).collect();
    let fits = tensor.len() == shape.len()
        && tensor
            .iter()
            .filter(|&&extent| extent != 1)
            .eq(runs.iter().map(|&axis| &shape[axis]));
    if !fits {
        ones.extend(runs);
        return ones;
    }
    if tensor.last() == Some(&1) {
        ones.rotate_left(1);
    }
    let (mut ones, mut runs) = (ones.into_iter(), runs.iter().copied());
    tensor
        .iter()
        .filter_map(|&extent| if extent == 1 { ones.next() } else { runs.next() })
        .collect()
}

impl Importer<'_> {
    /// The operand on the input of that position.
    pub fn operand(&mut self, node: &OnnxNode, position: usize) -> Result<Operand, ImportError> {
        match self.value(node, position)? {
            Value::Stream(stream) => Ok(self.still(stream)),
            Value::Input(operand) | Value::Moved(operand) => Ok(operand),
            Value::Const(_) => self.stream(node, position).map(|stream| self.still(stream)),
        }
    }

    /// A stream as an operand.
    pub fn still(&self, stream: Stream) -> Operand {
        let view = View::of(&self.file_shape(&stream));
        Operand {
            stream,
            view,
            moved_by: None,
            real: false,
            deferred: Vec::new(),
        }
    }

    /// What an operand stands for.
    pub fn value_of(&self, operand: Operand) -> Value {
        if operand.real {
            Value::Input(operand)
        } else if operand.view.is_identity() {
            Value::Stream(operand.stream)
        } else {
            Value::Moved(operand)
        }
    }

    /// Atoms of each axis of the tensor.
    fn tensor_atoms(operand: &Operand) -> Vec<Vec<usize>> {
        let mut atoms = vec![Vec::new(); operand.stream.axes.len()];
        for (axis, &to) in operand.stream.axes.iter().enumerate() {
            atoms[to].clone_from(&operand.view.source()[axis]);
        }
        atoms
    }

    /// For each channel of the operand's tensor the position in a constant of that shape; one position where the
    /// constant does not vary. A real input may have one per element of its tensor. The operand is moved where the
    /// constant varies along other axes than the channel.
    pub fn align(
        &mut self,
        node: &OnnxNode,
        mut operand: Operand,
        shape: &[usize],
    ) -> Result<(Operand, Vec<usize>), ImportError> {
        let now = operand.view.shape();
        let refuse = |importer: &Self, problem: &str| {
            importer
                .unsupported(
                    node,
                    &format!(
                        "combines a tensor of shape {now:?} with a constant of shape {shape:?}{problem}"
                    ),
                )
                .expected("one number, one per channel, or extents of 1 or of the tensor's own")
                .help("repeat the constant along the tensor's axes")
        };
        if shape.iter().product::<usize>() == 1 && shape.len() <= now.len() + 1 {
            return Ok((operand, vec![0]));
        }
        if !operand.deferred.is_empty() {
            return Err(refuse(self, " behind a reshape that cannot be undone"));
        }
        let Some(strides) = operand.view.strides(operand.view.target(), shape) else {
            return Err(refuse(self, ""));
        };
        if !strides.any() {
            return Ok((operand, vec![0]));
        }
        let atoms = Self::tensor_atoms(&operand);
        let all: Vec<usize> = atoms.iter().flatten().copied().collect();
        let channel = atoms.last().cloned().unwrap_or_default();
        let within = all
            .iter()
            .all(|atom| channel.contains(atom) || !strides.varies(*atom));
        let throughout = channel.iter().all(|&atom| strides.varies(atom));
        let alike = operand.stream.unify();
        let too_many = |importer: &Self| {
            refuse(
                importer,
                &format!(
                    ", which takes one function per element; at most {} are kept",
                    limits::MAX_ELEMENT_FUNCTIONS
                ),
            )
        };
        if operand.real {
            let elements = operand.view.extent(&all);
            let channels = operand.view.extent(&channel);
            let per_channel = within && operand.stream.longest() <= channels;
            let covered = if per_channel { &channel } else { &all };
            if operand.view.extent(covered) > limits::MAX_ELEMENT_FUNCTIONS {
                return Err(too_many(self));
            }
            if !per_channel && operand.stream.longest() <= channels {
                let channels = channels.max(1);
                let each: Vec<usize> = (0..elements).map(|element| element % channels).collect();
                operand.stream.gather(&each);
            }
            let positions = operand.view.positions(covered, &strides);
            return Ok((operand, positions));
        }
        if within && (throughout || !alike) {
            let positions = operand.view.positions(&channel, &strides);
            return Ok((operand, positions));
        }
        let along: Vec<usize> = (0..now.len())
            .filter(|&axis| {
                operand.view.target()[axis]
                    .iter()
                    .any(|&atom| strides.varies(atom))
            })
            .collect();
        if let [axis] = along.as_slice() {
            let mut order: Vec<usize> = (0..now.len()).filter(|one| one != axis).collect();
            order.push(*axis);
            if let Some(stream) = self.moved_to(&operand, &order) {
                // The axis is the channel now.
                let operand = self.still(stream);
                return Ok((operand, (0..now[*axis]).collect()));
            }
        }
        if operand.view.extent(&all) > limits::MAX_ELEMENT_FUNCTIONS {
            return Err(too_many(self));
        }
        let operand = self.flat(operand);
        let positions = operand.view.positions(&all, &strides);
        Ok((operand, positions))
    }

    /// All elements as channels of one vector, so that each can have its own function.
    pub fn flat(&mut self, operand: Operand) -> Operand {
        let atoms = Self::tensor_atoms(&operand);
        let all: Vec<usize> = atoms.iter().flatten().copied().collect();
        let channels = operand
            .view
            .extent(atoms.last().map_or(&[], Vec::as_slice))
            .max(1);
        let elements = operand.view.extent(&all);
        let mut stream = operand.stream;
        if !stream.unify() && stream.longest() <= channels {
            let each: Vec<usize> = (0..elements).map(|element| element % channels).collect();
            stream.gather(&each);
        }
        stream.tensor = self.rearranged(stream.tensor, Op::Reshape, vec![elements], None);
        stream.axes = vec![0];
        Operand {
            stream,
            view: operand.view.onto(vec![all]),
            ..operand
        }
    }

    /// Does what the operand's view says: the stream has the file's axes then. Elements move only where they must.
    pub fn settle(&mut self, node: &OnnxNode, operand: Operand) -> Result<Stream, ImportError> {
        self.settled(node, operand, false)
    }

    /// As [`Importer::settle`]; but where a reshape was among the rearrangements the tensor's axes are in the file's
    /// order.
    pub fn settle_as_file(&mut self, node: &OnnxNode, operand: Operand) -> Result<Stream, ImportError> {
        let source = operand.view.source();
        let permuted = source.len() == operand.view.target().len()
            && operand.view.target().iter().all(|axis| source.contains(axis));
        self.settled(node, operand, !permuted)
    }

    fn settled(&mut self, node: &OnnxNode, operand: Operand, as_file: bool) -> Result<Stream, ImportError> {
        let mut operand = if operand.real {
            self.raw_input(node, operand)?
        } else {
            operand
        };
        if operand.view.is_identity() {
            return Ok(operand.stream);
        }
        operand.stream.unify();
        let tensor: Vec<usize> = Self::tensor_atoms(&operand).concat();
        let target = operand.view.target();
        // Where every axis is a run of the tensor's elements nothing has to move.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let in_place = target.iter().enumerate().all(|(axis, atoms)| {
            let Some(first) = atoms.first() else {
                return true;
            };
            let start = tensor.iter().position(|atom| atom == first).unwrap_or(0);
            runs.push((start, axis));
            tensor.get(start..start + atoms.len()) == Some(atoms.as_slice())
        });
        runs.sort_unstable();
        let order: Vec<usize> = if in_place && !as_file {
            let runs: Vec<usize> = runs.iter().map(|&(_, axis)| axis).collect();
            let shape = self.builder.tensors[operand.stream.tensor.index()].shape.clone();
            placed(&operand.view.shape(), &shape, &runs)
        } else {
            (0..target.len()).collect()
        };
        if let Some(stream) = self.moved_to(&operand, &order) {
            return Ok(stream);
        }
        operand.stream = self.materialise(node, operand.stream)?;
        match self.moved_to(&operand, &order) {
            Some(stream) => Ok(stream),
            None => Err(self
                .structure(node, "loses its channels in a rearrangement")
                .expected("one function for all elements")
                .help("quantize before the rearrangement")),
        }
    }

    /// Moves the elements so that tensor axis `i` is axis `order[i]` of the operand; `None` where the stream has a
    /// function per channel that is none of the last of these axes.
    fn moved_to(&mut self, operand: &Operand, order: &[usize]) -> Option<Stream> {
        let mut stream = operand.stream.clone();
        let view = &operand.view;
        let before = Self::tensor_atoms(operand);
        let after: Vec<Vec<usize>> = order.iter().map(|&axis| view.target()[axis].clone()).collect();
        if !stream.unify() {
            let channel = before.last()?;
            let last = after.last()?;
            if !channel.iter().all(|atom| last.contains(atom)) {
                return None;
            }
            let shape = [view.extent(channel)];
            let strides = view.strides(std::slice::from_ref(channel), &shape)?;
            if view.extent(last) > limits::MAX_ELEMENT_FUNCTIONS.max(shape[0]) {
                return None;
            }
            stream.gather(&view.positions(last, &strides));
        }
        let (from, to) = (before.concat(), after.concat());
        // Blocks of atoms that stay together.
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        let place = |atom: &usize| from.iter().position(|one| one == atom);
        for atom in &to {
            match blocks.last_mut() {
                Some(block) if block.last().and_then(place).map(|at| at + 1) == place(atom) => {
                    block.push(*atom);
                }
                _ => blocks.push(vec![*atom]),
            }
        }
        let mut sources: Vec<usize> = (0..blocks.len()).collect();
        sources.sort_by_key(|&block| blocks[block].first().and_then(place));
        if sources.len() > 1 && !sources.is_sorted() {
            let shape: Vec<usize> = sources.iter().map(|&block| view.extent(&blocks[block])).collect();
            if self.builder.tensors[stream.tensor.index()].shape != shape {
                stream.tensor = self.rearranged(stream.tensor, Op::Reshape, shape, None);
            }
            let mut perm = vec![0; sources.len()];
            for (at, &block) in sources.iter().enumerate() {
                perm[block] = at;
            }
            let shape = blocks.iter().map(|block| view.extent(block)).collect();
            stream.tensor = self.rearranged(stream.tensor, Op::Transpose { perm }, shape, None);
        }
        let shape: Vec<usize> = after.iter().map(|atoms| view.extent(atoms)).collect();
        if self.builder.tensors[stream.tensor.index()].shape != shape {
            stream.tensor = self.rearranged(stream.tensor, Op::Reshape, shape, operand.moved_by.as_ref());
        }
        stream.axes = vec![0; order.len()];
        for (to, &axis) in order.iter().enumerate() {
            stream.axes[axis] = to;
        }
        Some(stream)
    }

    /// Adds an operation that only moves elements, as a layer of its own.
    fn rearranged(&mut self, from: TensorId, op: Op, shape: Vec<usize>, by: Option<&Mover>) -> TensorId {
        let tensor = self.builder.tensors[from.index()].clone();
        let (name, kind) = match (by, &op) {
            (Some(by), _) => (self.builder.other_name(&by.name, &by.op), by.op.as_str()),
            (None, Op::Transpose { .. }) => (self.builder.other_name("", "transpose"), "Transpose"),
            (None, _) => (self.builder.other_name("", "reshape"), "Reshape"),
        };
        let layer = self.builder.layer(&name, kind);
        let output = by.map_or(name.as_str(), |by| by.output.as_str());
        let output = self
            .builder
            .tensor(output, shape.clone(), tensor.encoding, tensor.scale);
        self.builder
            .carry_pairings(from, output, &op, &tensor.shape, &shape);
        self.builder.node(&name, layer, op, vec![from], output);
        output
    }

    /// `Transpose`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze` or `Slice` of an operand.
    pub fn moved(&mut self, node: &OnnxNode, mut operand: Operand) -> Result<Operand, ImportError> {
        if !operand.deferred.is_empty() {
            operand.deferred.push(node.clone());
            return Ok(operand);
        }
        if node.op == "Slice" {
            let stream = self.settle(node, operand)?;
            let stream = self.slice_stream(node, stream)?;
            return Ok(self.still(stream));
        }
        // The file's shapes carry a batch dimension of 1 in front.
        let batched: Vec<usize> = std::iter::once(1).chain(operand.view.shape()).collect();
        if node.op == "Transpose" {
            let perm = self.sample_permutation(node, batched.len())?;
            operand.view.transpose(&perm);
        } else {
            let shape = self.sample_shape(node, &batched)?;
            if !operand.view.reshape(&shape) {
                if operand.real {
                    operand.deferred.push(node.clone());
                    return Ok(operand);
                }
                // In the file's order any shape will do.
                let stream = self.settle(node, operand)?;
                let identity: Vec<usize> = (0..stream.axes.len()).collect();
                let mut stream = self.with_layout(node, stream, &identity)?;
                stream = self.without_channels(node, stream)?;
                let by = Mover::of(node);
                stream.tensor = self.rearranged(stream.tensor, Op::Reshape, shape.clone(), Some(&by));
                stream.axes = (0..shape.len()).collect();
                return Ok(self.still(stream));
            }
        }
        operand.moved_by = Some(Mover::of(node));
        Ok(operand)
    }

    /// An operand with a constant's numbers along its channels.
    pub fn align_constant(
        &mut self,
        node: &OnnxNode,
        operand: Operand,
        constant: &Const,
    ) -> Result<(Operand, Const), ImportError> {
        let (operand, positions) = self.align(node, operand, &constant.shape)?;
        let mut shape = vec![1; operand.stream.axes.len()];
        let channel = operand
            .stream
            .axes
            .iter()
            .position(|&axis| axis + 1 == operand.stream.axes.len());
        if let Some(extent) = channel.and_then(|axis| shape.get_mut(axis)) {
            *extent = positions.len();
        }
        let elements = match &constant.elements {
            Elements::File(values) => Elements::File(positions.iter().map(|&at| values[at]).collect()),
            Elements::Integers(values) => {
                Elements::Integers(positions.iter().map(|&at| values[at]).collect())
            }
            Elements::Exact(values) => Elements::Exact(picked(values, &positions)),
            Elements::Quantized(quantized) => {
                let scales: Option<PerChannel> = positions
                    .iter()
                    .map(|&at| quantized.scale_at(&constant.shape, at).cloned())
                    .collect();
                let scales = scales.unwrap_or_default();
                let (scale, scale_shape) = match uniform(&scales) {
                    Some(scale) => (vec![scale.clone()], Vec::new()),
                    None => (scales, shape.clone()),
                };
                Elements::Quantized(Quantized {
                    mantissas: positions.iter().map(|&at| quantized.mantissas[at]).collect(),
                    scale,
                    scale_shape,
                    ..quantized.clone()
                })
            }
        };
        let name = constant.name.clone();
        Ok((
            operand,
            Const {
                name,
                shape,
                elements,
            },
        ))
    }

    /// An operand whose integers count units of `scale`, a constant of that shape.
    pub fn in_units(
        &mut self,
        node: &OnnxNode,
        mut operand: Operand,
        scale: &PerChannel,
        shape: &[usize],
    ) -> Result<Operand, ImportError> {
        operand.stream.scale = ones();
        operand.stream.offset = zeros();
        operand.stream.steps = Vec::new();
        if let Some(scale) = uniform(scale) {
            operand.stream.scale = vec![scale.clone()];
            return Ok(operand);
        }
        let (mut operand, positions) = self.align(node, operand, shape)?;
        operand.stream.scale = picked(scale, &positions);
        Ok(operand)
    }

    /// Whether the operand on that input is read by nothing else, whatever its name there.
    pub fn is_own(&self, node: &OnnxNode, position: usize, tensor: TensorId) -> bool {
        let Some(name) = node.input(position) else {
            return false;
        };
        let same = |value: &Value| match value {
            Value::Stream(stream) => stream.tensor == tensor,
            Value::Input(operand) | Value::Moved(operand) => operand.stream.tensor == tensor,
            Value::Const(_) => false,
        };
        self.readers.get(name) == Some(&1)
            && !self
                .values
                .iter()
                .any(|(other, value)| other != name && same(value))
            && !self
                .builder
                .nodes
                .iter()
                .any(|node| node.inputs.contains(&tensor))
    }
}

impl Mover {
    fn of(node: &OnnxNode) -> Self {
        Self {
            name: node.name.clone(),
            op: node.op.clone(),
            output: node.outputs.first().cloned().unwrap_or_default(),
        }
    }
}

/// Whether a function is nothing but the number itself.
pub fn is_plain_number(stream: &Stream) -> bool {
    stream.steps.is_empty()
        && stream.scale.iter().all(BigRational::is_one)
        && stream.offset.iter().all(BigRational::is_zero)
}
