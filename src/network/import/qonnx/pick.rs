//! Operators that pick elements along axes: `Slice`, `Gather`, `Split`.

use super::constant::Elements;
use super::selection::all_but;
use super::stream::{Step, Stream};
use super::{Importer, Value};
use crate::network::Op;
use crate::network::import::ImportError;
use crate::network::import::onnx::{Constant, ConstantData, OnnxNode};

impl Importer<'_> {
    /// `Slice` with constant bounds.
    pub fn slice(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        if let Value::Input(mut operand) = self.value(node, 0)? {
            operand.deferred.push(node.clone());
            return Ok(Value::Input(operand));
        }
        let stream = self.stream(node, 0)?;
        self.slice_stream(node, stream).map(Value::Stream)
    }

    /// `Slice` on integers.
    pub fn slice_stream(&mut self, node: &OnnxNode, stream: Stream) -> Result<Stream, ImportError> {
        let picks = self.slices(node, &self.batched_shape(&stream))?;
        self.pick_batched(node, &node.outputs[0], stream, picks)
    }

    /// `Gather` with constant indices.
    pub fn gather(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let constant = self.constant(node, 1, "list of indices")?;
        let Elements::Integers(indices) = constant.elements else {
            return Err(self
                .structure(node, "picks by indices that are no integers")
                .expected("constant integers")
                .help("export the network again"));
        };
        let from = self.batched_shape(&stream);
        let axis = self.axis(node, node.int("axis").unwrap_or(0), from.len())?;
        let indices = Constant::new(constant.shape, ConstantData::Integer(indices));
        let picks = all_but(&from, axis, self.picked(node, &indices, from[axis])?);
        let stream = self.pick_batched(node, &node.outputs[0], stream, picks)?;
        if indices.shape.len() == 1 {
            return Ok(Value::Stream(stream));
        }
        // The axis gives way to the axes of the indices.
        let shape = [&from[..axis], &indices.shape, &from[axis + 1..]].concat();
        match shape.split_first() {
            Some((1, shape)) if axis > 0 => {
                let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
                self.reshape_to(node, stream, shape).map(Value::Stream)
            }
            _ => Err(self.moves_batch(node)),
        }
    }

    /// `Split` into parts of constant size.
    pub fn split(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        let stream = self.stream(node, 0)?;
        let from = self.batched_shape(&stream);
        let axis = self.axis(node, node.int("axis").unwrap_or(0), from.len())?;
        let extent = from[axis];
        let parts = node.outputs.len();
        let sizes = match self.integers(node, "split", 1)? {
            Some(sizes) => sizes
                .iter()
                .map(|&size| usize::try_from(size).ok())
                .collect::<Option<Vec<usize>>>(),
            // Equal parts; the last one is smaller where they cannot be.
            None => {
                let size = extent.div_ceil(parts);
                let start = |part: usize| (part * size).min(extent);
                Some((0..parts).map(|part| start(part + 1) - start(part)).collect())
            }
        };
        let sizes = sizes.filter(|sizes| {
            sizes.len() == parts
                && sizes.iter().try_fold(0usize, |n, &size| n.checked_add(size)) == Some(extent)
        });
        let Some(sizes) = sizes else {
            return Err(self
                .structure(
                    node,
                    &format!("splits an axis of extent {extent} into {parts} parts"),
                )
                .expected("sizes that add up to the extent")
                .help("export the network again"));
        };
        let mut start = 0;
        for (size, name) in sizes.iter().zip(&node.outputs) {
            if self.readers.contains_key(name) {
                let picks = all_but(&from, axis, (start..start + size).collect());
                let part = self.pick_batched(node, name, stream.clone(), picks)?;
                self.insert(node, name.clone(), Value::Stream(part))?;
            }
            start += size;
        }
        Ok(())
    }

    /// The stream's shape in the file's order, with the batch of 1 in front.
    pub fn batched_shape(&self, stream: &Stream) -> Vec<usize> {
        std::iter::once(1).chain(self.file_shape(stream)).collect()
    }

    fn moves_batch(&self, node: &OnnxNode) -> ImportError {
        self.unsupported(node, "picks among the samples")
            .expected("a batch dimension that stays in front")
            .help("pick within each sample")
    }

    fn pick_batched(
        &mut self,
        node: &OnnxNode,
        output: &str,
        stream: Stream,
        mut picks: Vec<Vec<usize>>,
    ) -> Result<Stream, ImportError> {
        if picks[0] != [0] {
            return Err(self.moves_batch(node));
        }
        picks.remove(0);
        self.pick(node, output, stream, &picks)
    }

    /// The elements at these coordinates of every axis of the file (without the batch).
    pub fn pick(
        &mut self,
        node: &OnnxNode,
        output: &str,
        mut stream: Stream,
        picks: &[Vec<usize>],
    ) -> Result<Stream, ImportError> {
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let is_whole = |(picked, &axis): (&Vec<usize>, &usize)| {
            picked.len() == tensor.shape[axis] && picked.iter().copied().eq(0..tensor.shape[axis])
        };
        if picks.iter().zip(&stream.axes).all(is_whole) {
            return Ok(stream);
        }
        let mut indices: Vec<Vec<usize>> = vec![Vec::new(); tensor.shape.len()];
        for (picked, &axis) in picks.iter().zip(&stream.axes) {
            indices[axis].clone_from(picked);
        }
        let shape: Vec<usize> = indices.iter().map(Vec::len).collect();
        self.check_shape(node, &shape)?;
        if let Some(channels) = indices.last() {
            stream.pick_channels(channels);
        }
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        stream.tensor = {
            let made = self.builder.tensor(output, shape, tensor.encoding, tensor.scale);
            self.builder
                .node(&name, layer, Op::Gather { indices }, vec![stream.tensor], made);
            made
        };
        Ok(stream)
    }
}

impl Stream {
    /// Keeps the functions of these channels.
    fn pick_channels(&mut self, channels: &[usize]) {
        let pick = |values: &mut super::PerChannel| {
            if values.len() > 1 {
                *values = channels.iter().map(|&channel| values[channel].clone()).collect();
            }
        };
        pick(&mut self.scale);
        pick(&mut self.offset);
        for step in &mut self.steps {
            match step {
                Step::Affine { factor, offset } => {
                    pick(factor);
                    pick(offset);
                }
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => [gamma, beta, mean, variance].into_iter().for_each(pick),
                Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => {}
            }
        }
    }
}
