//! Activations and batch normalization.

use super::super::ImportError;
use super::super::limits::{MAX_TABLE_ENTRIES, TABULATED_ELEMENT_EFFORT};
use super::builder::{Builder, IoType, Site};
use super::record::Record;
use super::tables::{self, Function};
use super::weights;
use crate::fixed_point::{Cast, Format, product_format};
use crate::network::{Affine, Op, ParamKind, Relu, Slope, Softmax, Table, TableIndex, TensorId};

impl<'a> Builder<'a> {
    /// `BatchNormalization` and `ApplyAlpha`: one factor and one offset per channel or element.
    pub(super) fn batch_normalization(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        self.expect_output(record, site, self.shape(input))?;
        let filters = record.integer("n_filt")?.unwrap_or(-1);
        let count = match usize::try_from(filters) {
            Ok(count) if count > 0 && self.len(input).is_multiple_of(count) => count,
            Err(_) if filters == -1 => self.len(input),
            _ => {
                return Err(record
                    .structure(format!("has {filters} filters for {} elements", self.len(input)))
                    .expected("a divisor of the elements, or -1 for one factor per element"));
            }
        };
        let scale = weights::variable(self.archive, record, "scale")?;
        let bias = weights::variable(self.archive, record, "bias")?;
        for (key, variable) in [("scale", &scale), ("bias", &bias)] {
            if variable.values.len() != count {
                return Err(record
                    .structure(format!("`{key}` has {} elements", variable.values.len()))
                    .expected(format!("{count} elements")));
            }
        }
        let input_format = self.format(input);
        let product = exact_product(record, &input_format, &scale.hls_type.format)?;
        self.expect_alignable(record, &[product, bias.hls_type.format])?;
        let bias_param = (!bias.is_dummy_bias()).then_some(bias);
        let scale = self.param(record, site, ParamKind::Scale, vec![count], scale);
        let bias = bias_param.map(|bias| self.param(record, site, ParamKind::Bias, vec![count], bias));
        self.last(record, site, Op::Affine(Affine { scale, bias }), vec![input]);
        Ok(())
    }

    /// `Activation`, `ParametrizedActivation` and `HardActivation`.
    pub(super) fn activation(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        self.expect_output(record, site, self.shape(input))?;
        let function = record.word("activation")?.unwrap_or_default();
        let op = match function.as_str() {
            "linear" => Op::Cast,
            "relu" => rectifier(None, 0),
            "relu1" => self.ceiled(record, input, 1)?,
            "relu6" => self.ceiled(record, input, 6)?,
            "leakyrelu" | "leaky_relu" => {
                let (mantissa, format) = self.parameter(record)?;
                exact_product(record, &self.format(input), &format)?;
                rectifier(
                    Some(Slope::Constant {
                        mantissa,
                        frac: format.frac(),
                    }),
                    0,
                )
            }
            "thresholdedrelu" | "thresholded_relu" => {
                let (mantissa, format) = self.parameter(record)?;
                self.expect_comparable(record, [self.format(input), format])?;
                rectifier(None, floor_to(mantissa, &format, &self.format(input)))
            }
            "sigmoid" => self.table(record, Function::Sigmoid)?,
            "tanh" => self.table(record, Function::Tanh)?,
            "softplus" => self.table(record, Function::Softplus)?,
            "softsign" => self.table(record, Function::Softsign)?,
            "elu" => self.elu(record)?,
            "hard_sigmoid" | "hard_tanh" => {
                return self.hard(record, site, input, function == "hard_tanh");
            }
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(record
                    .unsupported(format!("computes `{other}`"))
                    .expected(
                        "linear, relu, relu1, relu6, LeakyReLU, ThresholdedReLU, PReLU, sigmoid, tanh, softplus, softsign, \
                         elu, hard_sigmoid, hard_tanh or softmax",
                    )
                    .help("use the nearest of them, or bring the network as QONNX with thresholds"));
            }
        };
        self.last(record, site, op, vec![input]);
        Ok(())
    }

    /// `PReLU`: one slope per element.
    pub(super) fn parametric_relu(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        self.expect_output(record, site, self.shape(input))?;
        let slopes = weights::variable(self.archive, record, "param")?;
        let count = self.len(input);
        if slopes.values.len() != count {
            return Err(record
                .unsupported(format!("has {} slopes for {count} elements", slopes.values.len()))
                .expected("one slope per element, as hls4ml's kernel reads them")
                .help("train the layer without shared axes"));
        }
        exact_product(record, &self.format(input), &slopes.hls_type.format)?;
        let slopes = self.param(record, site, ParamKind::Slope, vec![count], slopes);
        self.last(
            record,
            site,
            rectifier(Some(Slope::Param(slopes)), 0),
            vec![input],
        );
        Ok(())
    }

    /// A rectifier that goes no higher than a whole number.
    fn ceiled(&self, record: &Record<'a>, input: TensorId, highest: i64) -> Result<Op, ImportError> {
        let format = self.format(input);
        let ceiling = match format.frac() {
            frac @ 0..=58 => Some(highest << frac),
            // The whole number is beyond every value of so fine a format of 64 bits.
            59.. => None,
            frac if highest % (1 << (-frac).min(62)) == 0 => Some(highest >> (-frac).min(62)),
            _ => {
                return Err(record
                    .unsupported(format!("stops at {highest}, which {format} cannot hold"))
                    .expected("an input type with that value")
                    .help("give the layer before it fractional bits in the HLSConfig"));
            }
        };
        Ok(Op::Relu(Relu {
            slope: None,
            threshold: 0,
            ceiling,
        }))
    }

    /// `activ_param` as the mantissa of `param_t`.
    fn parameter(&self, record: &Record<'a>) -> Result<(i64, Format), ImportError> {
        let format = record.stored_type("param_t")?.format;
        let real = record.real("activ_param")?.unwrap_or(1.0);
        Ok((weights::as_assigned(real, &format), format))
    }

    fn table_size(&self, record: &Record<'a>, key: &str) -> Result<usize, ImportError> {
        let size = record.size_or(key, 1024)?;
        if size.is_power_of_two() && (16..=MAX_TABLE_ENTRIES).contains(&size) {
            let effort = size.saturating_mul(TABULATED_ELEMENT_EFFORT);
            self.archive.charge(&record.place(), effort)?;
            return Ok(size);
        }
        Err(record
            .unsupported(format!("has a table of {size} entries"))
            .expected(format!("a power of two from 16 to {MAX_TABLE_ENTRIES}"))
            .help("set TableSize in the HLSConfig"))
    }

    fn table(&self, record: &Record<'a>, function: Function) -> Result<Op, ImportError> {
        let size = self.table_size(record, "table_size")?;
        let format = record.stored_type("table_t")?.format;
        Ok(Op::Table(Table {
            function: format!("{function:?}").to_lowercase(),
            index: TableIndex::Scaled {
                log2_factor: size.trailing_zeros() as i32 - function.span_log2() as i32 - 1,
                offset: (size / 2) as i64,
            },
            entries: tables::tabulate(function, size, &format),
            entry_format: format,
        }))
    }

    /// `alpha * (exp(x) - 1)` below zero; the factor is exact and enters the entries.
    fn elu(&self, record: &Record<'a>) -> Result<Op, ImportError> {
        let size = self.table_size(record, "table_size")?;
        let format = record.stored_type("table_t")?.format;
        let mut entries = tables::tabulate_elu(size, &format);
        let mut entry_format = format;
        if record.kind() == "ParametrizedActivation" {
            let (alpha, alpha_format) = self.parameter(record)?;
            entry_format = exact_product(record, &format, &alpha_format)?;
            if entry_format.width() > 63 {
                return Err(record
                    .unsupported(format!("multiplies {format} by {alpha_format}"))
                    .expected("a product of at most 63 bits")
                    .help("set a narrower `table` or `param` precision in the HLSConfig"));
            }
            for entry in &mut entries {
                *entry *= alpha;
            }
        }
        Ok(Op::Table(Table {
            function: "elu".to_owned(),
            index: TableIndex::NegativeHalf {
                log2_factor: size.trailing_zeros() as i32 - 3,
            },
            entries,
            entry_format,
        }))
    }

    /// `clamp(slope * x + shift, 0, 1)`, and twice that minus one for `hard_tanh`; exact but for
    /// the last cast.
    fn hard(
        &mut self,
        record: &Record<'a>,
        site: Site,
        input: TensorId,
        tanh: bool,
    ) -> Result<(), ImportError> {
        let slope_format = record.stored_type("slope_t")?.format;
        let shift_format = record.stored_type("shift_t")?.format;
        let slope = weights::as_assigned(record.real("slope")?.unwrap_or(0.2), &slope_format);
        let shift = weights::as_assigned(record.real("shift")?.unwrap_or(0.5), &shift_format);
        let format = self.format(input);
        let too_wide = || {
            record
                .unsupported(format!("computes {slope_format} * {format} + {shift_format}"))
                .expected("a sum of at most 62 bits that holds 0 and 1, and a positive slope")
                .help("set a narrower precision for the layer before it in the HLSConfig")
        };
        let product = exact_product(record, &format, &slope_format)?;
        let frac = product.frac().max(shift_format.frac());
        let raise = |mantissa: i64, by: i32| -> Option<i64> {
            let factor = 1i64.checked_shl(u32::try_from(by).ok()?).filter(|&f| f > 0)?;
            mantissa.checked_mul(factor)
        };
        let factor = raise(slope, frac - product.frac()).ok_or_else(too_wide)?;
        let offset = raise(shift, frac - shift_format.frac()).ok_or_else(too_wide)?;
        let one = raise(1, frac).ok_or_else(too_wide)?;
        if factor <= 0 || frac > 60 {
            return Err(too_wide());
        }
        let shape = self.shape(input).to_vec();

        // Inputs beyond the points where the clamp takes over change nothing, so they are clamped
        // first and the exact line needs no more bits than the clamp's range does.
        let low = i128::from(-offset).div_euclid(i128::from(factor)) - 1;
        let high = (i128::from(one) - i128::from(offset)).div_euclid(i128::from(factor)) + 1;
        let low = low.clamp(format.min_mantissa(), format.max_mantissa());
        let high = high.clamp(format.min_mantissa(), format.max_mantissa());
        let ends = [low, high].map(|x| x * i128::from(factor) + i128::from(offset));
        let near = Format::holding(low.min(0), high.max(0), format.frac()).map_err(|_| too_wide())?;
        let line =
            Format::holding(ends[0].min(0), ends[1].max(i128::from(one)), frac).map_err(|_| too_wide())?;
        if line.width() > 62 || near.width() > 62 {
            return Err(too_wide());
        }
        let near_clip = Op::Clip {
            low: low as i64,
            high: high as i64,
        };
        let x = self.inner(record, site, "range", near_clip, input, (shape.clone(), near));
        let op = Op::Rescale {
            factor: vec![factor],
            offset: vec![offset],
        };
        let x = self.inner(record, site, "line", op, x, (shape.clone(), line));
        let clip = Op::Clip { low: 0, high: one };
        if !tanh {
            self.last(record, site, clip, vec![x]);
            return Ok(());
        }
        let unit = Format::holding(0, i128::from(one), frac).map_err(|_| too_wide())?;
        let x = self.inner(record, site, "clamp", clip, x, (shape.clone(), unit));
        let both = Format::holding(-i128::from(one), i128::from(one), frac).map_err(|_| too_wide())?;
        let op = Op::Rescale {
            factor: vec![2],
            offset: vec![-one],
        };
        let x = self.inner(record, site, "twice", op, x, (shape, both));
        self.last(record, site, Op::Cast, vec![x]);
        Ok(())
    }

    /// `Softmax`, by tables.
    pub(super) fn softmax(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        self.expect_output(record, site, self.shape(input))?;
        let implementation = record
            .word("implementation")?
            .unwrap_or_else(|| "stable".to_owned());
        let stable = match implementation.as_str() {
            "stable" => true,
            "latency" => false,
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(record
                    .unsupported(format!("has the implementation `{other}`"))
                    .expected("`stable` or `latency`")
                    .help("set Implementation of this layer to stable in the HLSConfig"));
            }
        };
        let (inner, outer) = (record.size_or("n_inner", 1)?, record.size_or("n_outer", 1)?);
        // A stream carries one slice per word; otherwise the kernel cuts the elements into `n_outer`
        // slices, all of them in one where a multi-dimensional tensor does not say more.
        let slice = match self.io {
            IoType::Stream => self.shape(input).last().copied().unwrap_or(1),
            IoType::Parallel => self.len(input) / outer.max(1),
        };
        if inner != 1 || slice == 0 || !self.len(input).is_multiple_of(slice) {
            return Err(record
                .unsupported("does not run over the last axis")
                .expected("softmax over the channels")
                .help("transpose the tensor before the layer"));
        }
        let size = self.table_size(record, "table_size")?;
        let sized = |key: &str| match record.get(key) {
            None => Ok(size),
            Some(_) => self.table_size(record, key),
        };
        let inverse_size = sized("inv_table_size")?;
        let mut exp_size = sized("exp_table_size")?;
        let format = self.format(input);
        let norm_format = match record.optional_type("inp_norm_t")? {
            _ if !stable => format,
            Some(given) => given.format,
            None => {
                let sign = u32::from(format.signed());
                if format.signed() && format.width() < 32 {
                    exp_size = inverse_size.min(1 << (format.width() - 1));
                } else if format.signed() {
                    exp_size = inverse_size;
                }
                Format::new(format.width() - sign, format.integer() - sign as i32, false).map_err(|_| {
                    record
                        .unsupported(format!("reads values of the type {format}"))
                        .expected("two bits or more")
                        .help("set a wider precision for the layer before it in the HLSConfig")
                })?
            }
        };
        let exp = record.stored_type("exp_table_t")?;
        let inverse = record.stored_type("inv_table_t")?;
        let inverse_input = record.stored_type("inv_inp_t")?;
        let inverse_input = if inverse_input.name == "model_default_t" {
            exp.format
        } else {
            inverse_input.format
        };
        let accumulator = record.stored_type("accum_t")?.format;
        exact_product(record, &accumulator, &inverse.format)?;
        for (entries, address) in [(exp_size, &norm_format), (inverse_size, &inverse_input)] {
            if entries.trailing_zeros() > address.width() {
                return Err(record
                    .unsupported(format!("addresses a table of {entries} entries by {address}"))
                    .expected("an address of at least as many bits as the table needs")
                    .help("set a smaller TableSize or a wider precision in the HLSConfig"));
            }
        }
        let scale = record.real("exp_scale")?.unwrap_or(1.0) as f32;
        let softmax = Softmax {
            slice,
            subtract_max: stable,
            norm_format,
            exp_table: tables::tabulate_exp(exp_size, &norm_format, stable, scale, &exp.format),
            exp_format: exp.format,
            inv_table: tables::tabulate_inverse(inverse_size, &inverse_input, &inverse.format),
            inv_format: inverse.format,
            inv_input: inverse_input,
            accumulator,
        };
        self.last(record, site, Op::Softmax(softmax), vec![input]);
        Ok(())
    }
}

fn rectifier(slope: Option<Slope>, threshold: i64) -> Op {
    Op::Relu(Relu {
        slope,
        threshold,
        ceiling: None,
    })
}

/// The exact type of a product.
fn exact_product(record: &Record<'_>, a: &Format, b: &Format) -> Result<Format, ImportError> {
    product_format(a, b).map_err(|_| {
        record
            .unsupported(format!("multiplies {a} by {b}"))
            .expected("a product of at most 127 bits")
            .help("set narrower precisions in the HLSConfig")
    })
}

/// The largest mantissa of `to` that is not above a mantissa of `from`.
fn floor_to(mantissa: i64, from: &Format, to: &Format) -> i64 {
    // Truncation into a format of 126 bits with the target's point: wide enough for every value.
    let width = 126;
    Format::wide(width, width as i32 - to.frac(), true).map_or(0, |wide| {
        Cast::new(from.frac(), &wide)
            .apply(i128::from(mantissa))
            .clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    })
}
