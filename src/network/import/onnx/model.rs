//! A checked view of an ONNX file: constants decoded, nodes in execution order.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use prost::Message;

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::wire;
use crate::network::import::{ImportError, limits};

/// A decoded constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: ConstantData,
}

/// Elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantData {
    /// Floating point, exact.
    Real(Vec<f64>),
    /// Integers and booleans.
    Integer(Vec<i64>),
}

impl Constant {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.data {
            ConstantData::Real(values) => values.len(),
            ConstantData::Integer(values) => values.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as reals; integers beyond 2^53 round.
    #[must_use]
    pub fn reals(&self) -> Vec<f64> {
        match &self.data {
            ConstantData::Real(values) => values.clone(),
            ConstantData::Integer(values) => values.iter().map(|&value| value as f64).collect(),
        }
    }

    /// The elements as integers, or `None` where one is not an integer.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        match &self.data {
            ConstantData::Integer(values) => Some(values.clone()),
            ConstantData::Real(values) => values
                .iter()
                .map(|&value| (value.fract() == 0.0 && value.abs() < 9e18).then_some(value as i64))
                .collect(),
        }
    }
}

/// A node with its attributes by name.
#[derive(Clone, Debug)]
pub struct OnnxNode {
    /// Name in the file; may be empty.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Operator set; empty for ONNX's own.
    pub domain: String,
    /// Tensors read; an empty name is an omitted optional input.
    pub inputs: Vec<String>,
    /// Tensors written.
    pub outputs: Vec<String>,
    attributes: HashMap<String, AttributeProto>,
}

impl OnnxNode {
    /// How people find the node: its name, or its operator and output.
    #[must_use]
    pub fn label(&self) -> String {
        if self.name.is_empty() {
            format!(
                "the {} node that makes `{}`",
                self.op,
                self.outputs.first().map_or("", String::as_str)
            )
        } else {
            format!("node `{}` ({})", self.name, self.op)
        }
    }

    /// An integer attribute.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name).map(|attribute| attribute.i)
    }

    /// A real attribute.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f64> {
        self.attributes.get(name).map(|attribute| f64::from(attribute.f))
    }

    /// A list of reals.
    #[must_use]
    pub fn floats(&self, name: &str) -> Option<Vec<f64>> {
        let attribute = self.attributes.get(name)?;
        Some(attribute.floats.iter().map(|&value| f64::from(value)).collect())
    }

    /// A list of integers.
    #[must_use]
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attributes
            .get(name)
            .map(|attribute| attribute.ints.as_slice())
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.attributes
            .get(name)
            .map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    /// A tensor attribute.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attributes
            .get(name)
            .and_then(|attribute| attribute.t.as_ref())
    }

    /// Names of all attributes.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.keys().map(String::as_str)
    }

    /// The input of that position, `None` where it is omitted.
    #[must_use]
    pub fn input(&self, position: usize) -> Option<&str> {
        self.inputs
            .get(position)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }
}

/// A graph input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxValue {
    /// Name of the tensor.
    pub name: String,
    /// Dimensions; `None` where one is symbolic or unknown.
    pub shape: Vec<Option<usize>>,
}

/// A file's graph.
#[derive(Clone, Debug)]
pub struct OnnxGraph {
    /// Where it came from, for messages.
    pub file: PathBuf,
    /// Nodes such that each reads only what an earlier one makes. `Constant` nodes are among the
    /// constants instead.
    pub nodes: Vec<OnnxNode>,
    /// Initializers and `Constant` nodes.
    pub constants: HashMap<String, Constant>,
    /// Inputs that are not initializers.
    pub inputs: Vec<OnnxValue>,
    /// Outputs.
    pub outputs: Vec<OnnxValue>,
    /// FINN's data type annotations by tensor.
    pub finn_datatypes: HashMap<String, String>,
    /// Version of ONNX's own operator set.
    pub opset: i64,
    /// Element types of constants that are stored in half (10) or double (11) precision.
    pub element_types: HashMap<String, i32>,
}

impl OnnxGraph {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ImportError`] where the file cannot be read, is not an ONNX model, holds external or
    /// malformed constants, reads an undefined tensor or contains a cycle.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let bytes = limits::read_file(path)?;
        Self::parse(path, &bytes)
    }

    /// Checks the bytes of a file; `path` is for messages only.
    ///
    /// # Errors
    /// As [`OnnxGraph::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ImportError> {
        if !wire::holds_at_most(bytes, limits::MAX_MESSAGES) {
            let problem = format!("holds more than {} messages", limits::MAX_MESSAGES);
            return Err(ImportError::structure(path, "the file", problem)
                .expected(format!("a graph of at most {} nodes", limits::MAX_NODES))
                .help("check that this is a network for one accelerator"));
        }
        let model = ModelProto::decode(bytes).map_err(|error| {
            ImportError::structure(path, "the file", format!("is not an ONNX model: {error}"))
                .expected("a protobuf `ModelProto` as written by `onnx.save`")
                .help("export the network again; a truncated download or a text file shows this error")
        })?;
        let opset = model
            .opset_import
            .iter()
            .find(|set| set.domain.is_empty() || set.domain == "ai.onnx")
            .map_or(13, |set| set.version);
        let graph = model.graph.ok_or_else(|| {
            ImportError::structure(path, "the file", "holds no graph".to_owned())
                .expected("an ONNX model with a graph")
                .help("export the network again")
        })?;
        Self::from_graph(path, graph, opset)
    }

    /// Decodes a tensor that is an attribute; `place` is for messages.
    ///
    /// # Errors
    /// [`ImportError`] where it is malformed, as for any constant of the file.
    pub fn decode(&self, place: &str, tensor: &TensorProto) -> Result<Constant, ImportError> {
        decode(&self.file, place, tensor)
    }

    fn from_graph(path: &Path, graph: GraphProto, opset: i64) -> Result<Self, ImportError> {
        if graph.node.len() > limits::MAX_NODES {
            let problem = format!("has {} nodes", graph.node.len());
            return Err(ImportError::structure(path, "the graph", problem)
                .expected(format!("at most {} nodes", limits::MAX_NODES))
                .help("check that this is a network for one accelerator"));
        }
        let mut constants = Constants::new(path);
        let mut element_types = HashMap::new();
        let mut note_type = |name: &str, tensor: &TensorProto| {
            if matches!(tensor.data_type, 10 | 11) {
                element_types.insert(name.to_owned(), tensor.data_type);
            }
        };
        for tensor in &graph.initializer {
            note_type(&tensor.name, tensor);
            constants.insert(&tensor.name, decode(path, &tensor.name, tensor)?)?;
        }
        let mut pending = Vec::new();
        for (position, node) in graph.node.into_iter().enumerate() {
            let node = convert(path, node)?;
            if node.op == "Constant" && node.domain.is_empty() {
                let output = node.outputs.first().map_or("", String::as_str);
                if let Some(tensor) = node.tensor("value") {
                    note_type(output, tensor);
                }
                constants.insert(output, constant_node(path, &node)?)?;
            } else {
                pending.push((position, node));
            }
        }
        let constants = constants.by_name;
        let inputs: Vec<OnnxValue> = graph
            .input
            .iter()
            .filter(|value| !constants.contains_key(&value.name))
            .map(value_info)
            .collect();
        let outputs = graph.output.iter().map(value_info).collect();
        let nodes = in_execution_order(path, pending, &constants, &inputs)?;
        let finn_datatypes = graph
            .quantization_annotation
            .iter()
            .filter_map(|annotation| {
                let entry = annotation
                    .quant_parameter_tensor_names
                    .iter()
                    .find(|entry| entry.key == "finn_datatype")?;
                Some((annotation.tensor_name.clone(), entry.value.clone()))
            })
            .collect();
        Ok(Self {
            file: path.to_owned(),
            nodes,
            constants,
            inputs,
            outputs,
            finn_datatypes,
            opset,
            element_types,
        })
    }
}

/// Constants as they are found, each name once and of bounded size together.
struct Constants<'p> {
    path: &'p Path,
    by_name: HashMap<String, Constant>,
    elements: usize,
}

impl<'p> Constants<'p> {
    fn new(path: &'p Path) -> Self {
        Self {
            path,
            by_name: HashMap::new(),
            elements: 0,
        }
    }

    fn insert(&mut self, name: &str, constant: Constant) -> Result<(), ImportError> {
        self.elements = self.elements.saturating_add(constant.len());
        let place = format!("constant `{name}`");
        if self.elements > limits::MAX_TOTAL_ELEMENTS {
            let problem = format!(
                "takes the constants beyond {} elements",
                limits::MAX_TOTAL_ELEMENTS
            );
            return Err(ImportError::structure(self.path, place, problem)
                .expected("a network for on-chip memories")
                .help("check that this is the right file"));
        }
        if self.by_name.insert(name.to_owned(), constant).is_some() {
            let problem = "is stored twice".to_owned();
            return Err(ImportError::structure(self.path, place, problem)
                .expected("every constant once")
                .help("the file is damaged; export the network again"));
        }
        Ok(())
    }
}

fn value_info(value: &ValueInfoProto) -> OnnxValue {
    let shape = value
        .r#type
        .as_ref()
        .and_then(|t| t.tensor_type.as_ref())
        .and_then(|t| t.shape.as_ref())
        .map(|shape| {
            shape
                .dim
                .iter()
                .map(|dim| usize::try_from(dim.dim_value).ok().filter(|&d| d > 0))
                .collect()
        })
        .unwrap_or_default();
    OnnxValue {
        name: value.name.clone(),
        shape,
    }
}

fn convert(path: &Path, node: NodeProto) -> Result<OnnxNode, ImportError> {
    let mut attributes = HashMap::new();
    for attribute in node.attribute {
        attributes.insert(attribute.name.clone(), attribute);
    }
    let domain = if node.domain == "ai.onnx" {
        String::new()
    } else {
        node.domain
    };
    let node = OnnxNode {
        name: node.name,
        op: node.op_type,
        domain,
        inputs: node.input,
        outputs: node.output,
        attributes,
    };
    if node.outputs.is_empty() {
        return Err(
            ImportError::structure(path, node.label(), "writes no tensor".to_owned())
                .expected("at least one output")
                .help("the file is damaged; export the network again"),
        );
    }
    Ok(node)
}

fn constant_node(path: &Path, node: &OnnxNode) -> Result<Constant, ImportError> {
    if let Some(tensor) = node.tensor("value") {
        return decode(path, &node.label(), tensor);
    }
    let real = |values: Vec<f64>, shape| Constant {
        shape,
        data: ConstantData::Real(values),
    };
    let integer = |values: Vec<i64>, shape| Constant {
        shape,
        data: ConstantData::Integer(values),
    };
    if let Some(attribute) = node.attributes.get("value_floats") {
        let values: Vec<f64> = attribute.floats.iter().map(|&value| f64::from(value)).collect();
        let shape = vec![values.len()];
        return Ok(real(values, shape));
    }
    if let Some(values) = node.ints("value_ints") {
        return Ok(integer(values.to_vec(), vec![values.len()]));
    }
    if let Some(value) = node.float("value_float") {
        return Ok(real(vec![value], Vec::new()));
    }
    if let Some(value) = node.int("value_int") {
        return Ok(integer(vec![value], Vec::new()));
    }
    Err(
        ImportError::structure(path, node.label(), "has no readable value".to_owned())
            .expected("one of value, value_float(s), value_int(s)")
            .help("simplify the model so that constants become initializers"),
    )
}

/// Decodes a tensor's elements.
///
/// # Errors
/// [`ImportError`] for external data, an element type that is no number, or a length that does not
/// match the shape.
fn decode(path: &Path, name: &str, tensor: &TensorProto) -> Result<Constant, ImportError> {
    let place = format!("constant `{name}`");
    let fail = |problem: String| {
        ImportError::structure(path, place.clone(), problem)
            .expected("a dense tensor stored in the file")
            .help("export the network again with its constants inside the file")
    };
    if tensor.data_location == 1 || !tensor.external_data.is_empty() {
        return Err(fail("is stored in another file".to_owned()));
    }
    if tensor.dims.len() > limits::MAX_AXES {
        return Err(fail(format!("has {} axes", tensor.dims.len())));
    }
    let mut shape = Vec::with_capacity(tensor.dims.len());
    let mut len = 1usize;
    for &dim in &tensor.dims {
        let dim = usize::try_from(dim).map_err(|_| fail(format!("has the dimension {dim}")))?;
        len = len
            .checked_mul(dim)
            .filter(|&len| len <= limits::MAX_ELEMENTS)
            .ok_or_else(|| fail(format!("has more than {} elements", limits::MAX_ELEMENTS)))?;
        shape.push(dim);
    }
    let raw = &tensor.raw_data;
    let use_raw = !raw.is_empty();
    let length = |held: usize| {
        if held == len {
            Ok(())
        } else {
            Err(fail(format!("holds {held} elements where its shape says {len}")))
        }
    };
    macro_rules! from_raw {
        ($type:ty, $as:ty) => {{
            let (elements, rest) = raw.as_chunks::<{ size_of::<$type>() }>();
            if !rest.is_empty() {
                let problem = format!("holds {} bytes, which are no whole elements", raw.len());
                return Err(fail(problem));
            }
            length(elements.len())?;
            elements
                .iter()
                .map(|&bytes| <$as>::from(<$type>::from_le_bytes(bytes)))
                .collect()
        }};
    }
    macro_rules! from_list {
        ($list:expr, $as:ty) => {{
            length($list.len())?;
            $list.iter().map(|&value| <$as>::from(value)).collect()
        }};
    }
    let data = match tensor.data_type {
        1 if use_raw => ConstantData::Real(from_raw!(f32, f64)),
        1 => ConstantData::Real(from_list!(tensor.float_data, f64)),
        11 if use_raw => ConstantData::Real(from_raw!(f64, f64)),
        11 => ConstantData::Real(from_list!(tensor.double_data, f64)),
        2 | 9 if use_raw => ConstantData::Integer(from_raw!(u8, i64)),
        3 if use_raw => ConstantData::Integer(from_raw!(i8, i64)),
        4 if use_raw => ConstantData::Integer(from_raw!(u16, i64)),
        5 if use_raw => ConstantData::Integer(from_raw!(i16, i64)),
        6 if use_raw => ConstantData::Integer(from_raw!(i32, i64)),
        12 if use_raw => ConstantData::Integer(from_raw!(u32, i64)),
        7 if use_raw => ConstantData::Integer(from_raw!(i64, i64)),
        2..=6 | 9 => ConstantData::Integer(from_list!(tensor.int32_data, i64)),
        7 => ConstantData::Integer(from_list!(tensor.int64_data, i64)),
        12 | 13 if !use_raw => {
            length(tensor.uint64_data.len())?;
            let values: Result<Vec<i64>, _> = tensor
                .uint64_data
                .iter()
                .map(|&value| i64::try_from(value))
                .collect();
            ConstantData::Integer(
                values.map_err(|_| fail("holds an integer beyond 64 signed bits".to_owned()))?,
            )
        }
        other => {
            return Err(fail(format!(
                "has the element type {other}, which is no supported number"
            )));
        }
    };
    Ok(Constant { shape, data })
}

/// Sorts the nodes so that each reads only what is there, earlier file positions first.
fn in_execution_order(
    path: &Path,
    pending: Vec<(usize, OnnxNode)>,
    constants: &HashMap<String, Constant>,
    inputs: &[OnnxValue],
) -> Result<Vec<OnnxNode>, ImportError> {
    let mut known: HashSet<String> = constants.keys().cloned().collect();
    known.extend(inputs.iter().map(|value| value.name.clone()));
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (slot, (_, node)) in pending.iter().enumerate() {
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if known.contains(output) || makers.insert(output, slot).is_some() {
                return Err(ImportError::structure(
                    path,
                    node.label(),
                    format!("writes `{output}`, which already exists"),
                )
                .expected("every tensor written once")
                .help("the file is damaged; export the network again"));
            }
        }
    }
    let mut waiting = vec![0usize; pending.len()];
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (slot, (_, node)) in pending.iter().enumerate() {
        for input in node
            .inputs
            .iter()
            .filter(|name| !name.is_empty() && !known.contains(*name))
        {
            let Some(&maker) = makers.get(input.as_str()) else {
                return Err(ImportError::structure(
                    path,
                    node.label(),
                    format!("reads `{input}`, which nothing makes"),
                )
                .expected("an initializer, a graph input or another node's output")
                .help("the file is damaged or was cut out of a larger graph; export it again"));
            };
            waiting[slot] += 1;
            readers.entry(maker).or_default().push(slot);
        }
    }
    let mut ready: std::collections::BTreeSet<(usize, usize)> = (0..pending.len())
        .filter(|&slot| waiting[slot] == 0)
        .map(|slot| (pending[slot].0, slot))
        .collect();
    let mut order = Vec::with_capacity(pending.len());
    while let Some((_, slot)) = ready.pop_first() {
        order.push(slot);
        for &reader in readers.get(&slot).into_iter().flatten() {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.insert((pending[reader].0, reader));
            }
        }
    }
    if order.len() < pending.len() {
        let stuck = (0..pending.len())
            .find(|&slot| waiting[slot] > 0)
            .map_or_else(String::new, |slot| pending[slot].1.label());
        return Err(
            ImportError::structure(path, stuck, "lies on or behind a cycle".to_owned())
                .expected("a feed-forward graph")
                .help("recurrent networks are not supported; unroll the loop before export"),
        );
    }
    let mut slots: Vec<Option<OnnxNode>> = pending.into_iter().map(|(_, node)| Some(node)).collect();
    Ok(order.into_iter().filter_map(|slot| slots[slot].take()).collect())
}
