//! `ReduceMean`, `ReduceSum` and `ReduceMax` over axes of each sample: pools over whole axes.

use super::{Importer, Value};
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{Geometry, Window};

impl Importer<'_> {
    /// A reduction over any axes but the batch.
    pub fn reduce(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let from = self.batched_shape(&stream);
        let rank = from.len() - 1;
        let mut axes = self.reduced_axes(node, from.len())?;
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() {
            return Ok(Value::Stream(stream));
        }
        if axes[0] == 0 {
            return Err(self
                .unsupported(node, "reduces over the samples")
                .expected("axes other than the batch")
                .help("reduce within each sample"));
        }
        let reduced: Vec<usize> = axes.iter().map(|axis| axis - 1).collect();
        let kept: Vec<usize> = (0..rank).filter(|axis| !reduced.contains(axis)).collect();
        // Reduced axes in front, as the pixels of an image; what is kept behind, as its channels.
        let layout_of = |order: &[usize]| -> Vec<usize> {
            let mut layout = vec![0; rank];
            order.iter().enumerate().for_each(|(at, &axis)| layout[axis] = at);
            layout
        };
        let order: Vec<usize> = reduced.iter().chain(&kept).copied().collect();
        let mut stream = self.with_layout(node, stream, &layout_of(&order))?;
        stream.axes = (0..rank).collect();
        let shape = &from[1..];
        let pixels: usize = reduced.iter().map(|&axis| shape[axis]).product();
        let channels: usize = kept.iter().map(|&axis| shape[axis]).product();
        let stream = self.reshape_to(node, stream, vec![pixels, channels])?;
        let geometry = Geometry {
            input: [1, pixels, channels],
            output: [1, 1, channels],
            window: Window {
                kernel: [1, pixels],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            },
        };
        let stream = match node.op.as_str() {
            "ReduceMax" => self.maximum(node, stream, geometry, vec![1, channels])?,
            op => {
                let divisors = (op == "ReduceMean").then(|| vec![pixels]);
                self.sum(node, stream, geometry, vec![1, channels], divisors.as_deref())?
            }
        };
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let target: Vec<usize> = (0..rank)
            .filter(|axis| keep || kept.contains(axis))
            .map(|axis| if kept.contains(&axis) { shape[axis] } else { 1 })
            .collect();
        let target = if target.is_empty() { vec![1] } else { target };
        self.reshape_to(node, stream, target).map(Value::Stream)
    }
}
