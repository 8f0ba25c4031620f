//! Layers that move, copy or combine elements.

use super::super::ImportError;
use super::builder::{Builder, IoType};
use super::record::Record;
use crate::network::{Broadcast, Combine, CombineOp, Op, Pad};

impl<'a> Builder<'a> {
    /// `Reshape`, which hls4ml lays over its input, and `Repack`, which streams it in other words.
    pub(super) fn reshape(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        if self.len(input) != self.len(site.output) {
            return Err(record
                .structure(format!(
                    "turns the shape {:?} into {:?}",
                    self.shape(input),
                    self.shape(site.output)
                ))
                .expected("as many elements in as out"));
        }
        let words = [input, site.output].map(|id| self.shape(id).last().copied().unwrap_or(1));
        if record.kind() == "Repack" && words[0] % words[1] != 0 && words[1] % words[0] != 0 {
            return Err(record
                .unsupported(format!(
                    "streams words of {} elements as words of {}",
                    words[0], words[1]
                ))
                .expected("word lengths of which one divides the other; hls4ml loses elements otherwise")
                .help("reshape to a last axis that divides, or is divided by, the one before"));
        }
        self.last(record, site, Op::Reshape, vec![input]);
        Ok(())
    }

    /// `Clone`: copies of one stream.
    pub(super) fn copies(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        if record.outputs.is_empty() {
            return Err(record.structure("has no outputs").expected("one or more outputs"));
        }
        let mut layer = None;
        for &name in &record.outputs {
            let output = self.output(record, name)?;
            if self.shape(output) != self.shape(input) {
                return Err(record
                    .structure(format!(
                        "its output `{name}` has the shape {:?}",
                        self.shape(output)
                    ))
                    .expected(format!("the shape {:?} of its input", self.shape(input))));
            }
            let layer = match layer {
                Some(layer) => layer,
                None => *layer.insert(self.layer(record, output)?),
            };
            self.node(layer, name.to_owned(), Op::Cast, vec![input], output);
        }
        Ok(())
    }

    /// `ZeroPadding1D` and `ZeroPadding2D`.
    pub(super) fn zero_padding(&mut self, record: &Record<'a>, axes: usize) -> Result<(), ImportError> {
        self.expect_channels_last(record)?;
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let mut amounts = [0; 4];
        let mut sides = vec![(2, "pad_left"), (3, "pad_right")];
        if axes == 2 {
            sides.extend([(0, "pad_top"), (1, "pad_bottom")]);
        }
        for (side, key) in sides {
            amounts[side] = record.size(key)?;
        }
        let expected = match (axes, self.shape(input)) {
            (1, &[width, channels]) => vec![width + amounts[2] + amounts[3], channels],
            (2, &[height, width, channels]) => vec![
                height + amounts[0] + amounts[1],
                width + amounts[2] + amounts[3],
                channels,
            ],
            (_, other) => {
                return Err(record
                    .structure(format!("reads a tensor of the shape {other:?}"))
                    .expected(format!("{axes} spatial axes and the channels")));
            }
        };
        self.expect_output(record, site, &expected)?;
        self.last(record, site, Op::Pad(Pad { amounts, value: 0 }), vec![input]);
        Ok(())
    }

    /// `Resize` by whole factors to the nearest element (`UpSampling1D`, `UpSampling2D`).
    pub(super) fn resize(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        self.expect_channels_last(record)?;
        // A second and third input are the scales of ONNX's Resize, already in the sizes.
        let input = self.input(record, 0)?;
        let site = self.site(record)?;
        let algorithm = record.word("algorithm")?.unwrap_or_else(|| "nearest".to_owned());
        if algorithm != "nearest" {
            let algorithm: String = algorithm.chars().take(40).collect();
            return Err(record
                .unsupported(format!("interpolates by `{algorithm}`"))
                .expected("`nearest`, the only one that hls4ml computes")
                .help("use UpSampling with `nearest`"));
        }
        let (from, to) = (self.shape(input), self.shape(site.output));
        let spatial = from.len().saturating_sub(1);
        if !(1..=2).contains(&spatial) || to.len() != from.len() || to[spatial] != from[spatial] {
            return Err(record
                .structure(format!("turns the shape {from:?} into {to:?}"))
                .expected("one or two spatial axes and unchanged channels"));
        }
        let mut factors = Vec::with_capacity(spatial);
        for axis in 0..spatial {
            factors.push(self.whole_factor(record, from[axis], to[axis])?);
        }
        self.last(record, site, Op::Upsample { factors }, vec![input]);
        Ok(())
    }

    /// The factor between two extents. `io_parallel` steps through the input by a 16-bit
    /// reciprocal (`nnet_image.h`), which drifts from the whole factor on long axes.
    fn whole_factor(&self, record: &Record<'a>, from: usize, to: usize) -> Result<usize, ImportError> {
        let factor = to / from;
        let exact = to.is_multiple_of(from)
            && (self.io == IoType::Stream
                || (from < 1 << 15 && to < 1 << 15 && {
                    let ratio = (from << 16) / to + 1;
                    (0..to).all(|at| (at * ratio) >> 16 == at / factor)
                }));
        if exact {
            return Ok(factor);
        }
        Err(record
            .unsupported(format!("enlarges {from} elements to {to}"))
            .expected("enlargement by a whole factor, each element repeated equally often")
            .help("use UpSampling with whole factors"))
    }

    /// `Transpose`.
    pub(super) fn transpose(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let perm = record.sizes("perm")?;
        let from = self.shape(input);
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..from.len()) {
            return Err(record
                .structure(format!("permutes the axes of {from:?} by {perm:?}"))
                .expected("each axis once, without the batch"));
        }
        let expected: Vec<usize> = perm.iter().map(|&axis| from[axis]).collect();
        self.expect_output(record, site, &expected)?;
        self.last(record, site, Op::Transpose { perm }, vec![input]);
        Ok(())
    }

    /// `Concatenate` of two tensors. A positive axis counts the batch.
    pub(super) fn concatenate(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        if record.inputs.len() != 2 {
            return Err(record
                .structure(format!("has {} inputs", record.inputs.len()))
                .expected("two inputs; hls4ml chains concatenations of more"));
        }
        let inputs = [self.input(record, 0)?, self.input(record, 1)?];
        let site = self.site(record)?;
        let [a, b] = inputs.map(|id| self.shape(id).to_vec());
        let rank = a.len() as i64;
        let axis = match record.integer("axis")?.unwrap_or(-1) {
            axis if axis > 0 => axis - 1,
            0 => 0,
            axis => axis + rank,
        };
        let axis = usize::try_from(axis)
            .ok()
            .filter(|&axis| axis < a.len() && a.len() == b.len())
            .filter(|&axis| (0..a.len()).all(|other| other == axis || a[other] == b[other]))
            .ok_or_else(|| {
                record
                    .structure(format!("joins the shapes {a:?} and {b:?} along axis {axis}"))
                    .expected("shapes that are equal but along that axis")
            })?;
        let mut expected = a.clone();
        expected[axis] += b[axis];
        self.expect_output(record, site, &expected)?;
        self.last(record, site, Op::Concat { axis }, inputs.to_vec());
        Ok(())
    }

    /// `Merge`: an element-wise operation on two tensors.
    ///
    /// `io_parallel` walks through the shorter operand again and again, whatever its shape
    /// (`nnet_merge.h`).
    pub(super) fn merge(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        if record.inputs.len() != 2 {
            return Err(record
                .structure(format!("has {} inputs", record.inputs.len()))
                .expected("two inputs"));
        }
        let mut inputs = [self.input(record, 0)?, self.input(record, 1)?];
        let site = self.site(record)?;
        let op = record.word("op")?.unwrap_or_default();
        let op = match op.as_str() {
            "add" => CombineOp::Add,
            "subtract" => CombineOp::Subtract,
            "multiply" => CombineOp::Multiply,
            "average" => CombineOp::Average,
            "maximum" => CombineOp::Maximum,
            "minimum" => CombineOp::Minimum,
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(record
                    .unsupported(format!("merges by `{other}`"))
                    .expected("add, subtract, multiply, average, maximum or minimum")
                    .help("write the layer with these operations"));
            }
        };
        let formats = inputs.map(|id| self.format(id));
        match op {
            CombineOp::Maximum | CombineOp::Minimum => self.expect_comparable(record, formats)?,
            CombineOp::Multiply => {}
            _ => self.expect_alignable(record, &formats)?,
        }
        let lengths = inputs.map(|id| self.len(id));
        if lengths[0].max(lengths[1]) != self.len(site.output) {
            return Err(record
                .structure(format!(
                    "merges {} and {} elements into {}",
                    lengths[0],
                    lengths[1],
                    self.len(site.output)
                ))
                .expected("as many elements out as the longer input has"));
        }
        if lengths[0] != lengths[1] && self.io == IoType::Stream {
            return Err(record
                .unsupported("merges tensors of different sizes in io_stream")
                .expected("tensors of equal shape, the only form that the streaming kernel computes")
                .help("repeat the smaller tensor before it, or convert for io_parallel"));
        }
        if lengths[0] < lengths[1] {
            if op == CombineOp::Subtract {
                return Err(record
                    .unsupported("subtracts from the smaller tensor")
                    .expected("the larger tensor first")
                    .help("exchange the inputs and negate the result in the next layer's weights"));
            }
            inputs.swap(0, 1);
        }
        let broadcast = match lengths[0].min(lengths[1]) {
            _ if lengths[0] == lengths[1] => Broadcast::None,
            1 => Broadcast::Scalar,
            _ => Broadcast::PerChannel,
        };
        self.last(
            record,
            site,
            Op::Combine(Combine { op, broadcast }),
            inputs.to_vec(),
        );
        Ok(())
    }
}
