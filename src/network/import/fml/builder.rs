//! The network under construction.

use std::collections::HashMap;

use super::super::ImportError;
use super::super::limits::{MAX_ELEMENTS, MAX_TOTAL_ELEMENTS};
use super::archive::Archive;
use super::record::{Record, size_of};
use super::weights::Variable;
use crate::fixed_point::{Deviations, Format, Number};
use crate::network::{
    BuildHints, Encoding, Layer, LayerId, Node, Note, Op, Param, ParamId, ParamKind, Tensor, TensorHint,
    TensorId,
};

/// Most axes of a tensor.
const MAX_AXES: usize = 8;

/// How layers hand their tensors on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IoType {
    /// All elements at once.
    Parallel,
    /// One pixel after the other.
    Stream,
}

impl IoType {
    /// hls4ml's word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            IoType::Parallel => "io_parallel",
            IoType::Stream => "io_stream",
        }
    }
}

/// Everything read so far.
pub(super) struct Builder<'a> {
    pub(super) archive: &'a Archive<'a>,
    pub(super) io: IoType,
    /// The backend in lower case.
    pub(super) backend: String,
    pub(super) tensors: Vec<Tensor>,
    pub(super) nodes: Vec<Node>,
    pub(super) layers: Vec<Layer>,
    pub(super) params: Vec<Param>,
    /// What a reader of the numbers should know.
    pub(super) notes: Vec<Note>,
    /// Elements of all tensors.
    elements: usize,
    by_name: HashMap<&'a str, TensorId>,
}

/// A layer with one output, and that output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    /// The layer.
    pub(super) layer: LayerId,
    /// The tensor that it writes.
    pub(super) output: TensorId,
}

impl<'a> Builder<'a> {
    pub(super) fn new(archive: &'a Archive<'a>, backend: String, io: IoType) -> Self {
        Self {
            archive,
            io,
            backend,
            tensors: Vec::new(),
            nodes: Vec::new(),
            layers: Vec::new(),
            params: Vec::new(),
            notes: Vec::new(),
            elements: 0,
            by_name: HashMap::new(),
        }
    }

    /// The tensor that an earlier layer wrote under this name.
    pub(super) fn named(&self, name: &str) -> Option<TensorId> {
        self.by_name.get(name).copied()
    }

    /// The tensor that a layer reads at a position.
    pub(super) fn input(&self, record: &Record<'a>, position: usize) -> Result<TensorId, ImportError> {
        let name = record
            .inputs
            .get(position)
            .ok_or_else(|| record.structure(format!("has no input number {}", position + 1)))?;
        self.named(name).ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            record
                .structure(format!(
                    "reads the tensor `{name}`, which no earlier layer writes"
                ))
                .expected("layers in execution order, each reading what earlier ones write")
        })
    }

    /// The only tensor that a layer reads.
    pub(super) fn sole_input(&self, record: &Record<'a>) -> Result<TensorId, ImportError> {
        match record.inputs.len() {
            1 => self.input(record, 0),
            count => Err(record
                .structure(format!("has {count} inputs"))
                .expected("one input")),
        }
    }

    /// The format of a tensor.
    pub(super) fn format(&self, id: TensorId) -> Format {
        self.tensors[id.index()].encoding.arithmetic()
    }

    /// The shape of a tensor.
    pub(super) fn shape(&self, id: TensorId) -> &[usize] {
        &self.tensors[id.index()].shape
    }

    /// The number of elements of a tensor.
    pub(super) fn len(&self, id: TensorId) -> usize {
        self.tensors[id.index()].len()
    }

    /// The shape and type that the file gives an output tensor.
    ///
    /// A layer whose name equals one of its attributes stores the tensor under a longer key.
    fn declared(&self, record: &Record<'a>, name: &str) -> Result<(Vec<usize>, Format), ImportError> {
        let reserved = format!("__hls4ml_reserved_out_{name}");
        let value = match record.get(&reserved) {
            Some(value) => value,
            None => record.require(name)?,
        };
        let (class, state) = record.class_and_state(name, value)?;
        if class != "TensorVariable" && class != "InplaceTensorVariable" {
            return Err(record
                .unsupported(format!("the output `{name}` is a `{class}`"))
                .expected("a TensorVariable or InplaceTensorVariable of hls4ml.model.types")
                .help("convert for the Vitis or Vivado backend"));
        }
        let hls_type = state
            .get("type")
            .ok_or_else(|| record.structure(format!("the output `{name}` has no type")))?;
        let hls_type = record.stored_type_of(name, hls_type)?;
        let shape: Option<Vec<usize>> = state
            .get("shape")
            .and_then(|shape| shape.as_array())
            .and_then(|shape| shape.iter().map(size_of).collect());
        let shape = shape.ok_or_else(|| record.structure(format!("the output `{name}` has no shape")))?;
        let elements = shape.iter().try_fold(1usize, |product, &extent| {
            product
                .checked_mul(extent)
                .filter(|&product| product > 0 && product <= MAX_ELEMENTS)
        });
        if elements.is_none() || shape.is_empty() || shape.len() > MAX_AXES {
            return Err(record
                .structure(format!("the output `{name}` has the shape {shape:?}"))
                .expected(format!(
                    "1 to {MAX_AXES} axes and 1 to {MAX_ELEMENTS} elements without the batch"
                )));
        }
        Ok((shape, hls_type.format))
    }

    /// Adds the tensor of one of a layer's outputs.
    pub(super) fn output(&mut self, record: &Record<'a>, name: &'a str) -> Result<TensorId, ImportError> {
        let (shape, format) = self.declared(record, name)?;
        let id = self.tensor(name.to_owned(), shape, format);
        if self.by_name.insert(name, id).is_some() {
            return Err(record.structure(format!("writes the tensor `{name}`, which is already there")));
        }
        Ok(id)
    }

    /// Adds a tensor.
    pub(super) fn tensor(&mut self, name: String, shape: Vec<usize>, format: Format) -> TensorId {
        let id = TensorId::from(self.tensors.len());
        self.elements = self.elements.saturating_add(shape.iter().product());
        self.tensors.push(Tensor {
            name,
            shape,
            encoding: Encoding::Fixed(format),
            scale: 1.0,
        });
        id
    }

    /// Refuses a network that has become too large.
    pub(super) fn check_total(&self, record: &Record<'a>) -> Result<(), ImportError> {
        if self.elements <= MAX_TOTAL_ELEMENTS {
            return Ok(());
        }
        Err(record
            .unsupported(format!(
                "takes the network beyond {MAX_TOTAL_ELEMENTS} elements of all tensors"
            ))
            .expected("a network that fits on a chip")
            .help("check the input's size and the paddings"))
    }

    /// Adds a layer with one output and the tensor of that output.
    pub(super) fn site(&mut self, record: &Record<'a>) -> Result<Site, ImportError> {
        let &[name] = record.outputs.as_slice() else {
            return Err(record
                .structure(format!("has {} outputs", record.outputs.len()))
                .expected("one output"));
        };
        let output = self.output(record, name)?;
        let layer = self.layer(record, output)?;
        Ok(Site { layer, output })
    }

    /// Adds a layer that hands on a tensor.
    pub(super) fn layer(&mut self, record: &Record<'a>, output: TensorId) -> Result<LayerId, ImportError> {
        let layer = LayerId::from(self.layers.len());
        let reuse_factor = record.optional_size("reuse_factor")?;
        self.layers.push(Layer {
            name: record.name.to_owned(),
            kind: record.kind().to_owned(),
            output,
            hints: BuildHints {
                pad_after: None,
                strategy: record.word("strategy")?,
                reuse_factor: reuse_factor.and_then(|factor| u32::try_from(factor).ok()),
                io_type: Some(self.io.name().to_owned()),
                backend: Some(self.backend.clone()),
                ..BuildHints::default()
            },
        });
        Ok(layer)
    }

    /// Adds the operation that writes a layer's output.
    pub(super) fn last(&mut self, record: &Record<'a>, site: Site, op: Op, inputs: Vec<TensorId>) {
        self.node(site.layer, record.name.to_owned(), op, inputs, site.output);
    }

    /// Adds an operation within a layer, with the tensor that it writes.
    pub(super) fn inner(
        &mut self,
        record: &Record<'a>,
        site: Site,
        step: &str,
        op: Op,
        input: TensorId,
        (shape, format): (Vec<usize>, Format),
    ) -> TensorId {
        let name = format!("{}.{step}", record.name);
        let output = self.tensor(name.clone(), shape, format);
        self.node(site.layer, name, op, vec![input], output);
        output
    }

    /// Adds an operation.
    pub(super) fn node(
        &mut self,
        layer: LayerId,
        name: String,
        op: Op,
        inputs: Vec<TensorId>,
        output: TensorId,
    ) {
        self.nodes.push(Node {
            name,
            layer,
            op,
            inputs,
            output,
        });
    }

    /// Adds a stored tensor.
    pub(super) fn param(
        &mut self,
        record: &Record<'a>,
        site: Site,
        kind: ParamKind,
        shape: Vec<usize>,
        variable: Variable,
    ) -> ParamId {
        let id = ParamId::from(self.params.len());
        self.layers[site.layer.index()].hints.tensors.push(TensorHint {
            kind,
            name: variable.name,
            logic: false,
            own_widths: record.is_hgq(),
        });
        self.params.push(Param {
            layer: site.layer,
            kind,
            shape,
            encoding: Encoding::Fixed(variable.hls_type.format),
            values: variable.values,
            zero_point: None,
        });
        id
    }

    /// Checks that an output has the shape that follows from the layer's sizes.
    pub(super) fn expect_output(
        &self,
        record: &Record<'a>,
        site: Site,
        shape: &[usize],
    ) -> Result<(), ImportError> {
        let declared = self.shape(site.output);
        if declared == shape {
            return Ok(());
        }
        Err(record
            .structure(format!("its output has the shape {declared:?}"))
            .expected(format!(
                "the shape {shape:?}, which follows from its inputs and sizes"
            )))
    }

    /// Checks that exact sums over values of these formats stay within the engines' 128 bits.
    pub(super) fn expect_alignable(
        &self,
        record: &Record<'a>,
        formats: &[Format],
    ) -> Result<(), ImportError> {
        let integer = formats.iter().map(Format::integer).max().unwrap_or(0);
        let frac = formats.iter().map(Format::frac).max().unwrap_or(0);
        if integer + frac <= 120 {
            return Ok(());
        }
        Err(record
            .unsupported(format!("adds values of the types {formats:?}"))
            .expected("types whose sum needs at most 120 bits")
            .help("set narrower precisions in the HLSConfig"))
    }

    /// Refuses `a > b` where hls4ml's emulation reads a negative operand as unsigned
    /// ([`Deviation::MixedSignComparison`]).
    ///
    /// [`Deviation::MixedSignComparison`]: crate::fixed_point::Deviation::MixedSignComparison
    pub(super) fn expect_comparable(
        &self,
        record: &Record<'a>,
        [a, b]: [Format; 2],
    ) -> Result<(), ImportError> {
        self.expect_alignable(record, &[a, b])?;
        let lowest = |format: Format| Number::new(format.min_mantissa(), format);
        let zero = |format: Format| Number::new(0, format);
        let compared = match (a.signed(), b.signed()) {
            (true, false) => lowest(a).and_then(|low| Ok((low, zero(b)?))),
            (false, true) => zero(a).and_then(|zero| Ok((zero, lowest(b)?))),
            _ => return Ok(()),
        };
        match compared {
            Ok((a, b)) if a.compare(&b) == a.compare_with(&b, Deviations::HEADERS) => Ok(()),
            _ => Err(record
                .unsupported(format!(
                    "compares {a} with {b}, where hls4ml's C++ emulation and its hardware differ"
                ))
                .expected("operands that are both signed or both unsigned, or narrower than 32 bits")
                .help("set the precisions in the HLSConfig so that the signs agree")),
        }
    }
}
