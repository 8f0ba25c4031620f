//! A checked view of an ONNX file: constants decoded, nodes in execution order.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use prost::Message;

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::tensor::{Beside, Constant, ConstantData, decode};
use super::wire;
use crate::data;
use crate::network::import::{Cure, ImportError, limits};

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

    /// Whether the node only holds a constant.
    fn is_constant(&self) -> bool {
        self.op == "Constant" && self.domain.is_empty()
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
    /// Inputs that are not initializers. One that no output needs is left out where another is needed.
    pub inputs: Vec<OnnxValue>,
    /// Outputs, or the one tensor that was asked for.
    pub outputs: Vec<OnnxValue>,
    /// What no output needs, and is left out above.
    pub unneeded: Unneeded,
    /// Files in the folder of this one that hold constants, relative to it.
    pub beside: Vec<String>,
    /// FINN's data type annotations by tensor.
    pub finn_datatypes: HashMap<String, String>,
    /// Version of ONNX's own operator set.
    pub opset: i64,
}

/// What no output needs. It is neither decoded nor checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unneeded {
    /// Nodes, by [`OnnxNode::label`].
    pub nodes: Vec<String>,
    /// Names of initializers and of what `Constant` nodes make.
    pub constants: Vec<String>,
    /// Names of inputs.
    pub inputs: Vec<String>,
}

impl OnnxGraph {
    /// Reads and checks a file. Constants outside the file are read from its folder.
    ///
    /// # Errors
    /// [`ImportError`] where the file cannot be read, is not an ONNX model, or where what its outputs need
    /// holds malformed constants, reads an undefined tensor or contains a cycle.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        Self::read_for(path, None)
    }

    /// As [`OnnxGraph::read`], with the tensor `output` as the only output.
    ///
    /// # Errors
    /// As [`OnnxGraph::read`], and where no node makes such a tensor.
    pub fn read_for(path: &Path, output: Option<&str>) -> Result<Self, ImportError> {
        let bytes = limits::read_file(path)?;
        Self::checked(path, &bytes, output, &mut Beside::folder_of(path))
    }

    /// Checks the bytes of a file; `path` is for messages only, and constants outside the file are refused.
    ///
    /// # Errors
    /// As [`OnnxGraph::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ImportError> {
        Self::parse_for(path, bytes, None)
    }

    /// As [`OnnxGraph::parse`], with the tensor `output` as the only output.
    ///
    /// # Errors
    /// As [`OnnxGraph::read_for`].
    pub fn parse_for(path: &Path, bytes: &[u8], output: Option<&str>) -> Result<Self, ImportError> {
        Self::checked(path, bytes, output, &mut Beside::nowhere())
    }

    fn checked(
        path: &Path,
        bytes: &[u8],
        output: Option<&str>,
        beside: &mut Beside,
    ) -> Result<Self, ImportError> {
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
        Self::from_graph(path, graph, opset, output, beside)
    }

    /// Decodes a tensor that is an attribute; `place` is for messages.
    ///
    /// # Errors
    /// [`ImportError`] where it is malformed, as for any constant of the file.
    pub fn decode(&self, place: &str, tensor: &TensorProto) -> Result<Constant, ImportError> {
        decode(&self.file, place, tensor, &mut Beside::nowhere())
    }

    fn from_graph(
        path: &Path,
        mut graph: GraphProto,
        opset: i64,
        output: Option<&str>,
        beside: &mut Beside,
    ) -> Result<Self, ImportError> {
        if graph.node.len() > limits::MAX_NODES {
            let problem = format!("has {} nodes", graph.node.len());
            return Err(ImportError::structure(path, "the graph", problem)
                .expected(format!("at most {} nodes", limits::MAX_NODES))
                .help("check that this is a network for one accelerator"));
        }
        check_names(path, &graph)?;
        let nodes = std::mem::take(&mut graph.node)
            .into_iter()
            .map(|node| convert(path, node))
            .collect::<Result<Vec<_>, _>>()?;
        let makers = makers(path, &graph, &nodes)?;
        let outputs = outputs(path, &graph, &makers, output)?;
        let (is_needed, read) = needed(&nodes, &makers, &outputs);

        let mut unneeded = Unneeded::default();
        let mut constants = Constants::new(path);
        for tensor in &graph.initializer {
            if read.contains(tensor.name.as_str()) {
                constants.insert(&tensor.name, decode(path, &tensor.name, tensor, beside)?)?;
            } else {
                unneeded.constants.push(tensor.name.clone());
            }
        }
        for (node, _) in nodes
            .iter()
            .zip(&is_needed)
            .filter(|(node, _)| node.is_constant())
        {
            let output = node.outputs.first().map_or("", String::as_str);
            if read.contains(output) {
                constants.insert(output, constant_node(path, node, beside)?)?;
            } else {
                unneeded.constants.push(output.to_owned());
            }
        }
        let constants = constants.by_name;
        let stored: HashSet<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let given = graph
            .input
            .iter()
            .filter(|value| !stored.contains(value.name.as_str()));
        let (mut inputs, others): (Vec<OnnxValue>, Vec<OnnxValue>) = given
            .map(value_info)
            .partition(|value| read.contains(value.name.as_str()));
        if inputs.is_empty() {
            inputs = others;
        } else {
            unneeded.inputs = others.into_iter().map(|value| value.name).collect();
        }
        drop(makers);
        let mut pending = Vec::new();
        for (position, (node, is_needed)) in nodes.into_iter().zip(is_needed).enumerate() {
            match (node.is_constant(), is_needed) {
                (true, _) => {}
                (false, true) => pending.push((position, node)),
                (false, false) => unneeded.nodes.push(node.label()),
            }
        }
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
            unneeded,
            beside: beside.locations(),
            finn_datatypes,
            opset,
        })
    }
}

/// Refuses names that no tool writes. What is derived from a tensor repeats its name.
fn check_names(path: &Path, graph: &GraphProto) -> Result<(), ImportError> {
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let ends = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    let nodes = graph.node.iter().flat_map(|node| {
        let attributes = node.attribute.iter().map(|attribute| &attribute.name);
        let own = [&node.name, &node.op_type, &node.domain];
        own.into_iter()
            .chain(&node.input)
            .chain(&node.output)
            .chain(attributes)
    });
    let annotations = graph
        .quantization_annotation
        .iter()
        .map(|annotation| &annotation.tensor_name);
    let mut names = constants
        .chain(ends.map(|value| &value.name))
        .chain(nodes)
        .chain(annotations);
    let Some(name) = names.find(|name| name.len() > limits::MAX_NAME_BYTES) else {
        return Ok(());
    };
    let start: String = name.chars().take(40).collect();
    let problem = format!("has a name of {} bytes, `{start}...`", name.len());
    Err(ImportError::structure(path, "the graph", problem)
        .expected(format!("names of at most {} bytes", limits::MAX_NAME_BYTES))
        .help("check that this is the right file, or shorten its names with qonnx's GiveUniqueNodeNames and GiveReadableTensorNames"))
}

/// The node that makes each tensor.
///
/// # Errors
/// [`ImportError`] where a tensor is made or stored twice.
fn makers<'n>(
    path: &Path,
    graph: &GraphProto,
    nodes: &'n [OnnxNode],
) -> Result<HashMap<&'n str, usize>, ImportError> {
    let mut given: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if !given.insert(tensor.name.as_str()) {
            let place = format!("constant `{}`", tensor.name);
            return Err(ImportError::structure(path, place, "is stored twice".to_owned())
                .expected("every constant once")
                .help("the file is damaged; export the network again"));
        }
    }
    given.extend(graph.input.iter().map(|value| value.name.as_str()));
    let mut makers = HashMap::new();
    for (slot, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if given.contains(output.as_str()) || makers.insert(output.as_str(), slot).is_some() {
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
    Ok(makers)
}

/// The graph's outputs, or the tensor of that name.
fn outputs(
    path: &Path,
    graph: &GraphProto,
    makers: &HashMap<&str, usize>,
    chosen: Option<&str>,
) -> Result<Vec<OnnxValue>, ImportError> {
    let Some(chosen) = chosen else {
        return Ok(graph.output.iter().map(value_info).collect());
    };
    let declared = graph.output.iter().chain(&graph.value_info);
    if let Some(value) = declared.into_iter().find(|value| value.name == chosen) {
        return Ok(vec![value_info(value)]);
    }
    if makers.contains_key(chosen) {
        return Ok(vec![OnnxValue {
            name: chosen.to_owned(),
            shape: Vec::new(),
        }]);
    }
    let names = || graph.output.iter().map(|output| output.name.as_str());
    let similar = data::did_you_mean(chosen, names().chain(makers.keys().copied()));
    Err(
        ImportError::structure(path, "the graph", format!("makes no tensor `{chosen}`"))
            .expected(format!(
                "one of its outputs {:?}, or another tensor that a node makes{similar}",
                names().collect::<Vec<_>>()
            ))
            .help("name the output that leaves the chip")
            .cure(Cure::Output),
    )
}

/// Which nodes the outputs need, and which tensors they read or are.
fn needed<'g>(
    nodes: &'g [OnnxNode],
    makers: &HashMap<&str, usize>,
    outputs: &'g [OnnxValue],
) -> (Vec<bool>, HashSet<&'g str>) {
    let mut is_needed = vec![false; nodes.len()];
    let mut read: HashSet<&str> = HashSet::new();
    let mut frontier: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    while let Some(name) = frontier.pop() {
        if !read.insert(name) {
            continue;
        }
        if let Some(&slot) = makers.get(name)
            && !std::mem::replace(&mut is_needed[slot], true)
        {
            frontier.extend(
                nodes[slot]
                    .inputs
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !name.is_empty()),
            );
        }
    }
    (is_needed, read)
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

fn constant_node(path: &Path, node: &OnnxNode, beside: &mut Beside) -> Result<Constant, ImportError> {
    if let Some(tensor) = node.tensor("value") {
        return decode(path, &node.label(), tensor, beside);
    }
    let real = |values: Vec<f64>, shape| Constant::new(shape, ConstantData::Real(values));
    let integer = |values: Vec<i64>, shape| Constant::new(shape, ConstantData::Integer(values));
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
        makers.extend(node.outputs.iter().map(|output| (output.as_str(), slot)));
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
