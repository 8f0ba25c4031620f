//! Windows of convolutions and pools: strides, dilations, padding, extents.

use super::Importer;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};
use crate::network::{Geometry, Window};

/// A window with what is known about its padding.
pub struct PaddedWindow {
    pub window: Window,
    /// Rows below and columns right.
    pub after: [usize; 2],
    pub padded: bool,
    /// Extra rows and columns of a transposed convolution.
    pub extra: [usize; 2],
}

impl Importer<'_> {
    pub fn window(
        &self,
        node: &OnnxNode,
        kernel: [usize; 2],
        image: [usize; 3],
        spatial: usize,
        transposed: bool,
    ) -> Result<PaddedWindow, ImportError> {
        if let Some(stated) = node.ints("kernel_shape")
            && stated
                .iter()
                .map(|&k| usize::try_from(k).unwrap_or(0))
                .ne(kernel[2 - spatial..].iter().copied())
        {
            return Err(self
                .structure(
                    node,
                    &format!("states kernel {stated:?} for a weight of {kernel:?}"),
                )
                .expected("the weight's own kernel")
                .help("export the network again"));
        }
        let (stride, dilation) = self.steps(node, spatial)?;
        let (before, after) = self.pads(node, spatial, kernel, stride, dilation, image, transposed)?;
        let mut extra = [0; 2];
        if let Some(stated) = node.ints("output_padding") {
            extra = self.small(node, stated, spatial, 0, "output_padding")?;
        }
        if transposed && node.ints("output_shape").is_some() {
            return Err(self
                .unsupported(node, "states its output shape")
                .expected("pads and output_padding")
                .help("export with explicit pads"));
        }
        let padded = before != [0, 0] || after != [0, 0] || transposed;
        Ok(PaddedWindow {
            window: Window {
                kernel,
                stride,
                dilation,
                pad: before,
            },
            after,
            padded,
            extra,
        })
    }

    /// Strides and dilations of a windowed operator.
    pub fn steps(&self, node: &OnnxNode, spatial: usize) -> Result<([usize; 2], [usize; 2]), ImportError> {
        let stride = self.small(node, node.ints("strides").unwrap_or(&[]), spatial, 1, "strides")?;
        let dilation = self.small(
            node,
            node.ints("dilations").unwrap_or(&[]),
            spatial,
            1,
            "dilations",
        )?;
        Ok((stride, dilation))
    }

    /// A short list of small numbers, one per spatial dimension; the first is 1 (or 0) for one
    /// spatial dimension.
    pub fn small(
        &self,
        node: &OnnxNode,
        stated: &[i64],
        spatial: usize,
        least: usize,
        what: &str,
    ) -> Result<[usize; 2], ImportError> {
        let mut values = [least; 2];
        if stated.is_empty() {
            return Ok(values);
        }
        let parsed: Option<Vec<usize>> = stated
            .iter()
            .map(|&v| usize::try_from(v).ok().filter(|&v| v >= least && v <= 1 << 20))
            .collect();
        match parsed.filter(|values| values.len() == spatial) {
            Some(parsed) => {
                values[2 - spatial..].copy_from_slice(&parsed);
                Ok(values)
            }
            None => Err(self
                .structure(node, &format!("has {what} {stated:?}"))
                .expected(format!("{spatial} numbers of at least {least}"))
                .help("export the network again")),
        }
    }

    /// Padding before and after, from `pads` or `auto_pad`.
    #[allow(clippy::too_many_arguments)]
    pub fn pads(
        &self,
        node: &OnnxNode,
        spatial: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        image: [usize; 3],
        transposed: bool,
    ) -> Result<([usize; 2], [usize; 2]), ImportError> {
        let auto = node.text("auto_pad").unwrap_or_else(|| "NOTSET".to_owned());
        match auto.as_str() {
            "NOTSET" | "" => {
                let stated = node.ints("pads").unwrap_or(&[]);
                if stated.is_empty() {
                    return Ok(([0; 2], [0; 2]));
                }
                if stated.len() != 2 * spatial {
                    return Err(self
                        .structure(node, &format!("has pads {stated:?}"))
                        .expected(format!("{} numbers", 2 * spatial))
                        .help("export the network again"));
                }
                Ok((
                    self.small(node, &stated[..spatial], spatial, 0, "pads")?,
                    self.small(node, &stated[spatial..], spatial, 0, "pads")?,
                ))
            }
            "VALID" => Ok(([0; 2], [0; 2])),
            "SAME_UPPER" | "SAME_LOWER" if !transposed => {
                let (mut before, mut after) = ([0; 2], [0; 2]);
                for axis in 0..2 {
                    let out = image[axis].div_ceil(stride[axis]);
                    let reach = (out - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
                    let total = reach.saturating_sub(image[axis]);
                    let (less, more) = (total / 2, total - total / 2);
                    (before[axis], after[axis]) = if auto == "SAME_UPPER" {
                        (less, more)
                    } else {
                        (more, less)
                    };
                }
                Ok((before, after))
            }
            other => Err(self
                .unsupported(node, &format!("pads by `{other}`"))
                .expected("explicit pads, VALID, SAME_UPPER or SAME_LOWER")
                .help("export with explicit pads")),
        }
    }

    /// Refuses windows that read more than the limit.
    pub fn check_reads(&self, node: &OnnxNode, geometry: &Geometry) -> Result<(), ImportError> {
        let reads = geometry.output[..2]
            .iter()
            .chain(&geometry.window.kernel)
            .try_fold(1usize, |n, &d| n.checked_mul(d));
        if reads.is_some_and(|n| n <= limits::MAX_WINDOW_READS) {
            return Ok(());
        }
        Err(self
            .unsupported(
                node,
                &format!(
                    "moves a window of {:?} to {:?} places",
                    geometry.window.kernel,
                    &geometry.output[..2]
                ),
            )
            .expected(format!("at most {} reads per channel", limits::MAX_WINDOW_READS))
            .help("check kernel, stride and padding against the input's size"))
    }

    pub fn output_extents(
        &self,
        node: &OnnxNode,
        padded: &PaddedWindow,
        image: [usize; 3],
        transposed: bool,
    ) -> Result<[usize; 2], ImportError> {
        let window = &padded.window;
        let mut extents = [0; 2];
        for axis in 0..2 {
            let reach = (window.kernel[axis].saturating_sub(1)).saturating_mul(window.dilation[axis]) + 1;
            let extent = if transposed {
                ((image[axis].max(1) - 1).saturating_mul(window.stride[axis]) + reach + padded.extra[axis])
                    .checked_sub(window.pad[axis] + padded.after[axis])
            } else {
                (image[axis] + window.pad[axis] + padded.after[axis])
                    .checked_sub(reach)
                    .map(|room| room / window.stride[axis] + 1)
            };
            extents[axis] = extent
                .filter(|&e| e > 0 && window.kernel[axis] > 0)
                .ok_or_else(|| {
                    self.structure(
                        node,
                        &format!(
                            "has a kernel of {:?} on an input of {:?}",
                            window.kernel,
                            &image[..2]
                        ),
                    )
                    .expected("a kernel that fits the padded input")
                    .help("check kernel, padding and input size")
                })?;
        }
        Ok(extents)
    }
}
