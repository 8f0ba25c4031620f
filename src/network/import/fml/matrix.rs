//! Dense layers and convolutions.

use super::super::ImportError;
use super::super::limits::MAX_WINDOW_READS;
use super::adders::{self, Coefficients};
use super::builder::{Builder, IoType, Site};
use super::record::Record;
use super::types::{HlsType, MAX_ACCUMULATOR_WIDTH};
use super::weights::{self, Variable};
use crate::fixed_point::Format;
use crate::network::bounds::exact_accumulator;
use crate::network::{
    Accumulator, Encoding, Geometry, Mac, Note, NoteKind, Op, Order, ParamKind, TensorId, Window,
};

impl<'a> Builder<'a> {
    /// `Dense`: weights `[in][out]`, transposed where the strategy is Resource.
    pub(super) fn dense(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let (inputs, outputs) = (record.positive("n_in")?, record.positive("n_out")?);
        if self.len(input) != inputs || self.len(site.output) != outputs {
            return Err(record
                .structure(format!(
                    "has {inputs} inputs and {outputs} outputs, but reads {} and writes {} elements",
                    self.len(input),
                    self.len(site.output)
                ))
                .expected("a vector in and a vector out"));
        }
        let geometry = Geometry::dense(1, inputs, outputs);
        if is_distributed(record)? {
            return self.distributed(record, site, input, geometry);
        }
        let weight = self.weight(record, &[inputs], outputs, false)?;
        self.product(record, site, input, geometry, weight, 1)
    }

    /// `Conv1D`, `Conv2D` and their pointwise forms.
    pub(super) fn convolution(&mut self, record: &Record<'a>, axes: usize) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let geometry = self.sliding(record, input, site, axes, "filt", ["n_chan", "n_filt"])?;
        if is_distributed(record)? {
            return self.distributed(record, site, input, geometry);
        }
        let [rows, columns] = geometry.window.kernel;
        let weight = self.weight(
            record,
            &[rows, columns, geometry.input[2]],
            geometry.output[2],
            false,
        )?;
        self.product(record, site, input, geometry, weight, 1)
    }

    /// `DepthwiseConv1D` and `DepthwiseConv2D` with one filter per channel.
    pub(super) fn depthwise(&mut self, record: &Record<'a>, axes: usize) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        let geometry = self.sliding(record, input, site, axes, "filt", ["n_chan", "n_filt"])?;
        let channels = geometry.input[2];
        if geometry.output[2] != channels {
            return Err(record
                .unsupported("has a depth multiplier")
                .expected("one filter per channel, the only form that hls4ml's kernels compute")
                .help("write the layer as a depthwise convolution followed by a pointwise one"));
        }
        let [rows, columns] = geometry.window.kernel;
        let weight = self.weight(record, &[rows, columns], channels, true)?;
        self.product(record, site, input, geometry, weight, channels)
    }

    /// The window of a layer that slides over an image; sizes are checked against the tensors.
    pub(super) fn sliding(
        &self,
        record: &Record<'a>,
        input: TensorId,
        site: Site,
        axes: usize,
        window: &str,
        [channels_in, channels_out]: [&str; 2],
    ) -> Result<Geometry, ImportError> {
        self.expect_channels_last(record)?;
        let one_dimensional_pool = window == "pool" && axes == 1;
        let names = |axis: &str| -> [String; 6] {
            let (first, last) = if axis == "height" {
                ("pad_top", "pad_bottom")
            } else {
                ("pad_left", "pad_right")
            };
            let (size_in, size_out) = if one_dimensional_pool {
                ("n_in".to_owned(), "n_out".to_owned())
            } else {
                (format!("in_{axis}"), format!("out_{axis}"))
            };
            let kernel = format!("{window}_{axis}");
            let stride = format!("stride_{axis}");
            [
                size_in,
                size_out,
                kernel,
                stride,
                first.to_owned(),
                last.to_owned(),
            ]
        };
        let mut geometry = Geometry {
            input: [1, 1, record.positive(channels_in)?],
            output: [1, 1, record.positive(channels_out)?],
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [0, 0],
            },
        };
        let used: &[(usize, &str)] = if axes == 1 {
            &[(1, "width")]
        } else {
            &[(0, "height"), (1, "width")]
        };
        for &(axis, word) in used {
            let [size_in, size_out, kernel, stride, first, last] = names(word);
            let (extent, out) = (record.positive(&size_in)?, record.positive(&size_out)?);
            let (kernel, stride) = (record.positive(&kernel)?, record.positive(&stride)?);
            let (before, after) = (record.size_or(&first, 0)?, record.size_or(&last, 0)?);
            for key in ["dilation".to_owned(), format!("dilation_{word}")] {
                if record.get(&key).is_some() && record.size(&key)? != 1 {
                    return Err(record
                        .unsupported(format!("has the dilation {}", record.size(&key)?))
                        .expected("dilation 1")
                        .help("write the kernel with its zeros, or bring the network as QONNX"));
                }
            }
            if self.io == IoType::Stream && before + after > 0 {
                return Err(record
                    .unsupported("pads within the layer although the model is io_stream")
                    .expected("a ZeroPadding layer before it, as hls4ml inserts for convolutions")
                    .help("use `valid` padding, or convert for io_parallel"));
            }
            let padded = extent + before + after;
            if kernel > padded || (padded - kernel) / stride + 1 != out {
                return Err(record
                    .structure(format!(
                        "gives {out} outputs along its {word}: {extent} inputs, padding {before} and {after}, \
                         window {kernel}, stride {stride}"
                    ))
                    .expected("(inputs + padding - window) / stride + 1 outputs"));
            }
            geometry.input[axis] = extent;
            geometry.output[axis] = out;
            geometry.window.kernel[axis] = kernel;
            geometry.window.stride[axis] = stride;
            geometry.window.pad[axis] = before;
        }
        let reads = geometry.output[..2]
            .iter()
            .chain(&geometry.window.kernel)
            .try_fold(1usize, |reads, &extent| reads.checked_mul(extent));
        if reads.is_none_or(|reads| reads > MAX_WINDOW_READS) {
            return Err(record
                .unsupported(format!(
                    "moves a window of {:?} to {:?} places",
                    geometry.window.kernel,
                    &geometry.output[..2]
                ))
                .expected(format!("at most {MAX_WINDOW_READS} reads per channel"))
                .help("check window, stride and padding against the input's size"));
        }
        let expected: Vec<usize> = geometry.input[2 - axes..].to_vec();
        if self.shape(input) != expected {
            return Err(record
                .structure(format!("reads a tensor of the shape {:?}", self.shape(input)))
                .expected(format!("the shape {expected:?}, which its sizes say")));
        }
        self.expect_output(record, site, &geometry.output[2 - axes..])?;
        Ok(geometry)
    }

    /// Refuses hls4ml's channels-first layers.
    pub(super) fn expect_channels_last(&self, record: &Record<'a>) -> Result<(), ImportError> {
        match record.word("data_format")?.as_deref() {
            None | Some("channels_last") => Ok(()),
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                Err(record
                    .unsupported(format!("has the data format `{other}`"))
                    .expected("channels_last, the only one that hls4ml's streaming kernels compute")
                    .help("convert the model with channels_last"))
            }
        }
    }

    /// Reads `weight` and brings it to `[out][taps]`. `taps` is the shape of what one output sums
    /// over; a depthwise layer has one output per channel and keeps `[taps][channel]` in the file.
    fn weight(
        &self,
        record: &Record<'a>,
        taps: &[usize],
        outputs: usize,
        depthwise: bool,
    ) -> Result<Variable, ImportError> {
        let mut weight = weights::variable(self.archive, record, "weight")?;
        let output_first = record.flag("_weights_transposed") && !depthwise;
        let mut shape = taps.to_vec();
        shape.insert(if output_first { 0 } else { taps.len() }, outputs);
        weight.expect_shape(record, "weight", &shape)?;
        if !output_first {
            weight.values = weights::out_first(&weight.values, outputs);
        }
        Ok(weight)
    }

    /// Reads what else a matrix product has, and adds it.
    fn product(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        geometry: Geometry,
        weight: Variable,
        groups: usize,
    ) -> Result<(), ImportError> {
        let outputs = geometry.output[2];
        let bias = weights::variable(self.archive, record, "bias")?;
        bias.expect_shape(record, "bias", &[outputs])?;
        let accumulator = record.accumulator_type("accum_t")?;
        let input_format = self.format(input);
        self.expect_number_products(record, input_format, &weight.hls_type)?;

        let taps = geometry.taps(groups);
        let exact = exact_accumulator(
            taps,
            &Encoding::Fixed(weight.hls_type.format),
            &Encoding::Fixed(input_format),
            Some(&Encoding::Fixed(bias.hls_type.format)),
        );
        let order_matters = !exact.is_ok_and(|exact| holds(&accumulator.format, &exact));
        let order = self.order(record, &geometry, groups, order_matters)?;

        let accumulator = Accumulator {
            format: accumulator.format,
            stated: true,
            order,
        };
        let bias = (!bias.is_dummy_bias()).then_some(bias);
        self.multiply(
            record,
            (site, input),
            geometry,
            groups,
            (weight, bias),
            accumulator,
        );
        Ok(())
    }

    /// The exact product of an adder graph, whose weights are part of the logic.
    fn distributed(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        geometry: Geometry,
    ) -> Result<(), ImportError> {
        let (taps, outputs) = (geometry.taps(1), geometry.output[2]);
        let Coefficients { weight, bias } =
            adders::coefficients(self.archive, record, self.format(input), taps, outputs)?;
        let exact = exact_accumulator(
            taps,
            &Encoding::Fixed(weight.hls_type.format),
            &Encoding::Fixed(self.format(input)),
            bias.as_ref()
                .map(|bias| Encoding::Fixed(bias.hls_type.format))
                .as_ref(),
        );
        let Some(format) = exact
            .ok()
            .filter(|format| format.width() <= MAX_ACCUMULATOR_WIDTH)
        else {
            return Err(record
                .unsupported(format!("has sums of more than {MAX_ACCUMULATOR_WIDTH} bits"))
                .expected("a matrix product that fits on a chip")
                .help("set narrower precisions in the HLSConfig"));
        };
        let biases = bias.as_ref().map_or(0, |bias| bias.values.len());
        self.notes.push(Note::new(
            NoteKind::NotStored,
            record.name,
            format!(
                "has its {} weights and {biases} biases in adders (strategy distributed_arithmetic): they are \
                 logic, no bit of them is stored, and no upset of a memory or register changes them",
                weight.values.len()
            ),
        ));
        let accumulator = Accumulator {
            format,
            stated: true,
            order: Order::Natural,
        };
        self.multiply(record, (site, input), geometry, 1, (weight, bias), accumulator);
        for hint in &mut self.layers[site.layer.index()].hints.tensors {
            hint.logic = true;
        }
        Ok(())
    }

    /// Adds the parameters and the matrix product.
    fn multiply(
        &mut self,
        record: &Record<'a>,
        (site, input): (Site, TensorId),
        geometry: Geometry,
        groups: usize,
        (weight, bias): (Variable, Option<Variable>),
        accumulator: Accumulator,
    ) {
        let (taps, outputs) = (geometry.taps(groups), geometry.output[2]);
        let shape = if geometry.window.kernel == [1, 1] && geometry.input[..2] == [1, 1] {
            vec![outputs, taps]
        } else {
            let [rows, columns] = geometry.window.kernel;
            vec![outputs, rows, columns, taps / (rows * columns)]
        };
        let weight = self.param(record, site, ParamKind::Weight, shape, weight);
        let bias = bias.map(|bias| self.param(record, site, ParamKind::Bias, vec![outputs], bias));
        let mac = Mac {
            weight,
            bias,
            geometry,
            groups,
            transposed: false,
            accumulator,
            popcount: false,
        };
        self.last(record, site, Op::Mac(mac), vec![input]);
    }

    /// Refuses the one-bit operands that hls4ml counts as signs.
    fn expect_number_products(
        &self,
        record: &Record<'a>,
        input: Format,
        weight: &HlsType,
    ) -> Result<(), ImportError> {
        let bit = |format: &Format| format.width() == 1 && !format.signed() && format.integer() == 1;
        if weight.integer && bit(&weight.format) && bit(&input) {
            return Err(record
                .unsupported("multiplies one-bit inputs by one-bit weights")
                .expected("operands that are numbers, not signs")
                .help("bring the binary network as QONNX"));
        }
        Ok(())
    }

    /// The order in which hls4ml's kernels add the products of one output.
    fn order(
        &self,
        record: &Record<'a>,
        geometry: &Geometry,
        groups: usize,
        matters: bool,
    ) -> Result<Order, ImportError> {
        let taps = geometry.taps(groups);
        let channels = geometry.input[2];
        let strategy = record.word("strategy")?.unwrap_or_else(|| "latency".to_owned());
        let factor = record.size_or("reuse_factor", 1)?;
        let factor_error = |expected: &str| {
            record
                .unsupported(format!(
                    "has the reuse factor {factor} for {taps} inputs per output"
                ))
                .expected(expected.to_owned())
                .help("convert with a reuse factor that hls4ml reports as valid")
        };
        if factor == 0 {
            return Err(factor_error("a reuse factor of at least 1"));
        }
        match strategy.as_str() {
            // Catapult adds all taps of one channel after the other; streamed windows go through a dense kernel.
            "latency"
                if self.backend == "catapult"
                    && self.io == IoType::Parallel
                    && record.kind().contains("Conv")
                    && (2..taps).contains(&channels) =>
            {
                Ok(Order::Strided { factor: channels })
            }
            "latency" => Ok(Order::Natural),
            "resource" if groups > 1 => {
                if self.io == IoType::Parallel {
                    return Err(record
                        .unsupported("is a depthwise convolution with the strategy Resource in io_parallel")
                        .expected("the strategy Latency, or io_stream: hls4ml has no other kernel")
                        .help("set the strategy of this layer to Latency"));
                }
                if !matters || groups.is_multiple_of(factor) {
                    Ok(Order::Natural)
                } else if factor.is_multiple_of(groups) && (taps * groups).is_multiple_of(factor) {
                    Ok(Order::Strided {
                        factor: factor / groups,
                    })
                } else {
                    Err(factor_error(
                        "a divisor or a multiple of the channels, where all channels add in the same order",
                    ))
                }
            }
            // The unrolled code leaves products by 0 out, which changes no sum.
            "resource" | "resource_unrolled" if factor <= taps => {
                if matters && !taps.is_multiple_of(factor) {
                    return Err(factor_error("a divisor of the inputs per output"));
                }
                Ok(if factor == 1 || factor == taps {
                    Order::Natural
                } else {
                    Order::Strided { factor }
                })
            }
            "resource" | "resource_unrolled" if !matters || factor.is_multiple_of(taps) => Ok(Order::Natural),
            "resource" | "resource_unrolled" => {
                Err(factor_error("a divisor or a multiple of the inputs per output"))
            }
            other => {
                let other: String = other.chars().take(40).collect();
                Err(record
                    .unsupported(format!("has the strategy `{other}`"))
                    .expected(
                        "`latency`, `resource` or `resource_unrolled`, or `distributed_arithmetic` of a dense layer \
                         or a convolution",
                    )
                    .help("convert with the nearest of them, `resource`"))
            }
        }
    }
}

/// Whether a layer is an adder graph.
fn is_distributed(record: &Record<'_>) -> Result<bool, ImportError> {
    Ok(record.word("strategy")?.as_deref() == Some("distributed_arithmetic"))
}

/// Whether every value of `inner` is a value of `outer`.
pub(super) fn holds(outer: &Format, inner: &Format) -> bool {
    outer.frac() >= inner.frac()
        && outer.integer() - i32::from(outer.signed()) >= inner.integer() - i32::from(inner.signed())
        && (outer.signed() || !inner.signed())
        && outer.overflow() != crate::fixed_point::Overflow::SatSym
}
