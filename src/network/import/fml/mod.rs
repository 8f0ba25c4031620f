//! hls4ml's own model file, `.fml`: a tar.gz of JSON and arrays, written by
//! `hls4ml.utils.serialization.serialize_model` (hls4ml 1.3).
//!
//! The file holds the graph after hls4ml's optimizers, one entry per hardware node with every
//! type resolved. The arithmetic is that of the Vitis backend's kernels (`nnet_utils/*.h`), where
//! a rule differs between `io_parallel` and `io_stream` the one of the file's IO type.

mod activation;
mod adders;
mod archive;
mod builder;
mod catapult;
mod matrix;
mod pooling;
mod quantizer;
mod record;
mod shaping;
mod tables;
mod types;
mod weights;

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::limits::{MAX_NODES, read_file};
use super::{ImportError, Reason};
use crate::network::{InputRule, Network, TensorId};
use archive::Archive;
use builder::{Builder, IoType};
use record::{Record, excerpt};

/// The layers that are understood, for diagnostics.
const KNOWN: &str = "Input, Dense, Conv1D, Conv2D, PointwiseConv1D, PointwiseConv2D, DepthwiseConv1D, \
    DepthwiseConv2D, BatchNormalization, ApplyAlpha, Activation, ParametrizedActivation, HardActivation, \
    PReLU, Softmax, Pooling1D, Pooling2D, GlobalPooling1D, GlobalPooling2D, ZeroPadding1D, ZeroPadding2D, \
    Reshape, Repack, Merge, Concatenate, Clone, Resize, Transpose, FixedPointQuantizer";

/// Reads a `.fml` file.
///
/// Every hls4ml node but the input becomes a layer of that name; its build hints carry the
/// strategy, the effective reuse factor and the IO type. Weights come out as `[out][in]` and
/// `[out][ky][kx][in]` whatever the strategy; a bias that hls4ml invents for a layer without one
/// is left out.
///
/// # Errors
/// [`ImportError`] where the file is damaged or contradicts itself, or uses a layer, a type or a
/// form that is not understood.
pub fn read(path: &Path) -> Result<Network, ImportError> {
    parse(path, &read_file(path)?)
}

/// [`read`] for a file that is already in memory; `path` only names it.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Network, ImportError> {
    let archive = Archive::unpack(path, bytes)?;
    expect_version(&archive)?;
    let (backend, io) = target(&archive)?;
    let state = archive.object("graph_state.json")?;
    let entries = archive.object("model_arch.json")?;
    if entries.len() > MAX_NODES {
        return Err(ImportError::structure(
            path,
            "member `model_arch.json`",
            format!("has {} layers", entries.len()),
        )
        .expected(format!("at most {MAX_NODES} layers"))
        .help("check that this is the right file"));
    }
    let input_name = sole_name(path, &state, "inputs")?;
    let output_name = sole_name(path, &state, "outputs")?;

    let mut builder = Builder::new(&archive, backend, io);
    for (name, value) in &entries {
        let record = Record::new(path, name, value)?;
        if builder.backend == "catapult" {
            catapult::expect_same(&record, value)?;
        }
        add(&mut builder, &record)?;
        builder.check_total(&record)?;
    }
    quantizer::remark_own_widths(&mut builder);
    let end = |key: &str, name: &str| -> Result<TensorId, ImportError> {
        builder.named(name).ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            ImportError::structure(
                path,
                "member `graph_state.json`",
                format!("`{key}` names the tensor `{name}`, which no layer writes"),
            )
            .expected("the name of a layer's output")
            .help("write the file again with hls4ml.utils.serialization.serialize_model")
        })
    };
    let (input, output) = (end("inputs", input_name)?, end("outputs", output_name)?);
    let written: HashSet<TensorId> = builder.nodes.iter().map(|node| node.output).collect();
    let stray = (0..builder.tensors.len())
        .map(TensorId::from)
        .find(|id| *id != input && !written.contains(id));
    if let Some(stray) = stray {
        return Err(ImportError::unsupported(
            path,
            format!("layer `{}`", builder.tensors[stray.index()].name),
            "is an input that the model does not list".to_owned(),
        )
        .expected("one input")
        .help("join the inputs into one tensor before the network"));
    }
    // hls4ml's tensors are channels last.
    let axes = |id: TensorId| (0..builder.tensors[id.index()].shape.len()).collect();
    let (input_axes, output_axes) = (axes(input), axes(output));
    Ok(Network {
        name: path.file_stem().map_or_else(
            || "network".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        tensors: builder.tensors,
        nodes: builder.nodes,
        layers: builder.layers,
        params: builder.params,
        input,
        input_axes,
        input_rule: InputRule::Quantize,
        output,
        off_chip: None,
        output_axes,
        output_scales: Vec::new(),
        output_offsets: Vec::new(),
        notes: builder.notes,
    })
}

/// Adds one layer.
fn add<'a>(builder: &mut Builder<'a>, record: &Record<'a>) -> Result<(), ImportError> {
    let known_domain = record.class.starts_with("hls4ml.");
    let added = match record.kind() {
        _ if !known_domain => Err(record
            .unsupported("is not a layer of hls4ml")
            .help("write the file with hls4ml.utils.serialization.serialize_model")),
        "Input" => input(builder, record),
        "Dense" => builder.dense(record),
        "Conv1D" | "PointwiseConv1D" => builder.convolution(record, 1),
        "Conv2D" | "PointwiseConv2D" => builder.convolution(record, 2),
        "DepthwiseConv1D" => builder.depthwise(record, 1),
        "DepthwiseConv2D" => builder.depthwise(record, 2),
        "BatchNormalization" | "ApplyAlpha" => builder.batch_normalization(record),
        "Activation" | "ParametrizedActivation" | "HardActivation" => builder.activation(record),
        "PReLU" => builder.parametric_relu(record),
        "Softmax" => builder.softmax(record),
        "Pooling1D" => builder.pooling(record, 1),
        "Pooling2D" => builder.pooling(record, 2),
        "GlobalPooling1D" => builder.global_pooling(record, 1),
        "GlobalPooling2D" => builder.global_pooling(record, 2),
        "ZeroPadding1D" => builder.zero_padding(record, 1),
        "ZeroPadding2D" => builder.zero_padding(record, 2),
        "Reshape" | "Repack" => builder.reshape(record),
        "Merge" => builder.merge(record),
        "Concatenate" => builder.concatenate(record),
        "Clone" => builder.copies(record),
        "Resize" => builder.resize(record),
        "Transpose" => builder.transpose(record),
        "FixedPointQuantizer" => builder.own_types(record),
        other => {
            let domain = record.class.strip_suffix(other).unwrap_or_default();
            Err(record
                .unsupported(format!(
                    "`{}` of the domain `{}` is not known",
                    other,
                    domain.trim_end_matches('.')
                ))
                .help(format!(
                    "write it with the nearest of the known layers: {}",
                    nearest(other)
                )))
        }
    };
    added.map_err(|error| {
        if error.reason == Reason::Unsupported && error.expected.is_empty() {
            error.expected(format!("one of hls4ml's layers {KNOWN}"))
        } else {
            error
        }
    })
}

/// The known layers that come nearest to an unknown one.
fn nearest(kind: &str) -> &'static str {
    match kind {
        "LSTM" | "GRU" | "SimpleRNN" | "Bidirectional" | "TimeDistributed" => {
            "unrolled Dense and Activation layers; recurrence is not supported"
        }
        "SeparableConv1D" | "SeparableConv2D" => "DepthwiseConv followed by PointwiseConv",
        "EinsumDense" | "Einsum" | "MatMul" | "Dot" | "DACombinational" | "GarNet" | "GarNetStack" => {
            "Dense with fixed weights"
        }
        "Cropping1D" | "Cropping2D" => "Pooling with a window of 1, or a smaller input",
        "TernaryTanh" | "UnaryLUT" => "Activation with tanh, or a QONNX file with MultiThreshold",
        "LayerNormalization" => "BatchNormalization",
        "Broadcast" => "Merge of equal shapes",
        _ => KNOWN,
    }
}

/// `Input`: only a tensor.
fn input<'a>(builder: &mut Builder<'a>, record: &Record<'a>) -> Result<(), ImportError> {
    let &[name] = record.outputs.as_slice() else {
        return Err(record
            .structure(format!("has {} outputs", record.outputs.len()))
            .expected("one output"));
    };
    builder.output(record, name).map(|_| ())
}

/// Checks the versions that the file states.
fn expect_version(archive: &Archive<'_>) -> Result<(), ImportError> {
    let version = archive.object("version.json")?;
    match version.get("model_graph") {
        Some(Value::String(graph)) if graph == "1" => Ok(()),
        other => Err(ImportError::unsupported(
            archive.file,
            "member `version.json`",
            format!(
                "states the model graph version {}",
                other.map_or_else(|| "nothing".to_owned(), excerpt)
            ),
        )
        .expected("model graph version \"1\", which hls4ml 1.3 writes")
        .help("write the file with hls4ml 1.3")),
    }
}

/// The backend in lower case, and the IO type; refuses backends whose kernels round elsewhere.
fn target(archive: &Archive<'_>) -> Result<(String, IoType), ImportError> {
    let object = archive.object("config.json")?;
    let config = object.get("config").and_then(Value::as_object);
    let word = |key: &str| {
        config
            .and_then(|config| config.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let refused = |problem: String| ImportError::unsupported(archive.file, "member `config.json`", problem);
    let backend: String = word("Backend").chars().take(40).collect();
    if !["vitis", "vivado", "vivadoaccelerator", "catapult"].contains(&backend.to_lowercase().as_str()) {
        return Err(refused(format!("names the backend `{backend}`"))
            .expected(
                "Vitis or Vivado, whose kernels are followed here, or Catapult where its kernels compute the same",
            )
            .help("convert the model for the Vitis backend"));
    }
    let backend = backend.to_lowercase();
    match word("IOType") {
        "io_parallel" => Ok((backend, IoType::Parallel)),
        "io_stream" => Ok((backend, IoType::Stream)),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(refused(format!("names the IO type `{other}`"))
                .expected("io_parallel or io_stream")
                .help("set io_type when converting"))
        }
    }
}

/// The only tensor that the model lists as its input or output.
fn sole_name<'s>(path: &Path, state: &'s Map<String, Value>, key: &str) -> Result<&'s str, ImportError> {
    let place = "member `graph_state.json`";
    let names = state.get(key).and_then(Value::as_array).ok_or_else(|| {
        ImportError::structure(path, place, format!("has no list `{key}`"))
            .expected("a list of tensor names")
            .help("write the file again with hls4ml.utils.serialization.serialize_model")
    })?;
    match names.as_slice() {
        [Value::String(name)] => Ok(name),
        names => Err(
            ImportError::unsupported(path, place, format!("lists {} {key}", names.len()))
                .expected("one input and one output")
                .help("join the inputs into one tensor, and the outputs by a Concatenate layer"),
        ),
    }
}
