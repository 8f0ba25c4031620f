//! Pooling and global pooling.
//!
//! `io_parallel` compares in the input's type and casts the largest value to `accum_t`, or adds
//! one value after the other; `io_stream` casts every value to `accum_t` first and reduces by a
//! balanced tree, but for global pooling, which adds one value after the other (`nnet_pooling.h`,
//! `nnet_pooling_stream.h`).

use super::super::ImportError;
use super::builder::{Builder, IoType, Site};
use super::matrix::holds;
use super::record::Record;
use crate::fixed_point::Format;
use crate::network::{Average, Geometry, Op, Pad, Pool, PoolKind, TensorId, Window};

impl<'a> Builder<'a> {
    /// `Pooling1D` and `Pooling2D`.
    pub(super) fn pooling(&mut self, record: &Record<'a>, axes: usize) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let geometry = self.sliding(record, input, site, axes, "pool", ["n_filt", "n_filt"])?;
        let tree = self.io == IoType::Stream;
        self.reduce(record, site, input, geometry, tree, record.flag("count_pad"))
    }

    /// `GlobalPooling1D` and `GlobalPooling2D`.
    pub(super) fn global_pooling(&mut self, record: &Record<'a>, axes: usize) -> Result<(), ImportError> {
        self.expect_channels_last(record)?;
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let channels = record.positive("n_filt")?;
        let extent = if axes == 1 {
            [1, record.positive("n_in")?]
        } else {
            [record.positive("in_height")?, record.positive("in_width")?]
        };
        let whole = [extent[0], extent[1], channels];
        if self.shape(input) != &whole[2 - axes..] {
            return Err(record
                .structure(format!("reads a tensor of the shape {:?}", self.shape(input)))
                .expected(format!("the shape {:?}, which its sizes say", &whole[2 - axes..])));
        }
        if self.len(site.output) != channels {
            return Err(record
                .structure(format!("its output has the shape {:?}", self.shape(site.output)))
                .expected(format!("one value for each of the {channels} channels")));
        }
        let geometry = Geometry {
            input: whole,
            output: [1, 1, channels],
            window: Window {
                kernel: extent,
                stride: extent,
                dilation: [1, 1],
                pad: [0, 0],
            },
        };
        self.reduce(record, site, input, geometry, false, false)
    }

    fn reduce(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        mut geometry: Geometry,
        tree: bool,
        count_pad: bool,
    ) -> Result<(), ImportError> {
        let accumulator = record.accumulator_type("accum_t")?.format;
        self.expect_alignable(record, &[self.format(input), accumulator])?;
        let mut read = input;
        let cast_first = self.io == IoType::Stream && !holds(&accumulator, &self.format(input));
        let kind = match record.word("pool_op")?.as_deref() {
            Some("max") => {
                read = self.padded_for_maximum(record, site, read, &mut geometry);
                if cast_first {
                    read = self.cast_to_accumulator(record, site, read, accumulator)?;
                }
                PoolKind::Max {
                    through: (!cast_first).then_some(accumulator),
                }
            }
            Some("average") => {
                // The tree casts its own operands.
                if cast_first && !tree {
                    read = self.cast_to_accumulator(record, site, read, accumulator)?;
                }
                PoolKind::Average(Average {
                    accumulator,
                    tree,
                    count_pad,
                })
            }
            other => {
                let other: String = other.unwrap_or("nothing").chars().take(40).collect();
                return Err(record
                    .unsupported(format!("pools by `{other}`"))
                    .expected("`Max` or `Average`")
                    .help("use the nearest of them"));
            }
        };
        self.last(record, site, Op::Pool(Pool { kind, geometry }), vec![read]);
        Ok(())
    }

    /// hls4ml fills the padding of a maximum with a one in the top bit: the smallest value where
    /// that bit is a sign, half of the range where it is not.
    fn padded_for_maximum(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        geometry: &mut Geometry,
    ) -> TensorId {
        let format = self.format(input);
        let [height, width, channels] = geometry.input;
        let Window {
            kernel, stride, pad, ..
        } = geometry.window;
        let covered = |axis: usize| (geometry.output[axis] - 1) * stride[axis] + kernel[axis];
        let after = [
            covered(0).saturating_sub(height + pad[0]),
            covered(1).saturating_sub(width + pad[1]),
        ];
        if format.signed() || (pad == [0, 0] && after == [0, 0]) {
            return input;
        }
        let axes = self.shape(input).len();
        let whole = [height + pad[0] + after[0], width + pad[1] + after[1], channels];
        geometry.input = whole;
        geometry.window.pad = [0, 0];
        let border = Pad {
            amounts: [pad[0], after[0], pad[1], after[1]],
            value: 1 << (format.width() - 1),
        };
        let shape = whole[3usize.saturating_sub(axes)..].to_vec();
        self.inner(record, site, "pad", Op::Pad(border), input, (shape, format))
    }

    /// The values in `accum_t`, as `io_stream` keeps them.
    fn cast_to_accumulator(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        accumulator: Format,
    ) -> Result<TensorId, ImportError> {
        if accumulator.width() > 63 {
            return Err(record
                .unsupported(format!("`accum_t` has the type {accumulator}"))
                .expected("at most 63 bits where io_stream keeps values in it")
                .help("set a narrower accumulator in the HLSConfig"));
        }
        let shape = self.shape(input).to_vec();
        Ok(self.inner(record, site, "accum", Op::Cast, input, (shape, accumulator)))
    }
}
