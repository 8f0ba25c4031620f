//! QONNX: ONNX with quantizer nodes, as Brevitas, QKeras and FINN write it.
//!
//! The importer walks the graph once. Each tensor of the file is either a constant, the network's
//! real input, or a `Stream`: an integer tensor with the exact real function from its mantissas
//! to the file's values. Real arithmetic (scales, biases that are not quantized, batch
//! normalization, rectifiers) only changes that function; a quantizer turns it back into integers:
//! a cast where every step is a power of two, thresholds otherwise. Nothing is rounded on the way.

mod activation;
mod bias;
mod builder;
mod combine;
mod constant;
mod constant_arithmetic;
mod domain;
mod end;
mod exact;
mod fold;
mod input;
mod interval;
mod inverse;
mod lowered;
mod matrix;
mod operand;
mod pad;
mod pick;
mod plain;
mod pool;
mod quant;
mod reduce;
mod requantize;
mod resize;
mod selection;
mod shape;
mod stream;
mod threshold;
mod view;
mod window;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use num_rational::BigRational;
use num_traits::{One, Zero};

use self::builder::Builder;
use self::constant::Const;
use self::end::RealEnd;
use self::lowered::Lowered;
use self::operand::Operand;
use self::stream::{PerChannel, Stream};
use super::onnx::{OnnxGraph, OnnxNode, Precision};
use super::{Cure, ImportError, ImportOptions, limits};
use crate::network::{InputRule, Network};

/// What a name of the file stands for.
#[derive(Clone, Debug)]
enum Value {
    /// A constant.
    Const(Const),
    /// The real input before its quantizer, with what was done to it so far.
    Input(Operand),
    /// Integers on their way.
    Stream(Stream),
    /// Integers whose elements are to be moved before an operator needs their order.
    Moved(Operand),
}

/// The state of one import.
struct Importer<'a> {
    graph: &'a OnnxGraph,
    options: &'a ImportOptions,
    builder: Builder,
    links: Links<'a>,
    values: HashMap<String, Value>,
    /// Tensors that are real functions of integers.
    ends: HashMap<String, RealEnd>,
    /// How many nodes and graph outputs read a tensor.
    readers: HashMap<String, usize>,
    /// How many of them are still to come.
    pending: HashMap<String, usize>,
    /// 64-bit words of exact numbers so far.
    exact_words: u64,
    /// Effort for thresholds so far.
    threshold_effort: usize,
    /// Effort for constants so far.
    constant_effort: Cell<usize>,
    /// Folded constants that are not in single precision.
    precisions: HashMap<String, Precision>,
    /// Windows of `Im2Col` nodes whose matrix products are still to come, by output.
    lowered: HashMap<String, Lowered>,
    /// How the network's input enters, once that is known.
    entered: Option<InputRule>,
}

/// Which nodes make and read the tensors of the file, by their position in [`OnnxGraph::nodes`].
struct Links<'a> {
    makers: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Links<'a> {
    fn of(graph: &'a OnnxGraph) -> Self {
        let (mut makers, mut readers) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for (position, node) in graph.nodes.iter().enumerate() {
            for output in &node.outputs {
                makers.insert(output.as_str(), position);
            }
            for input in &node.inputs {
                readers.entry(input.as_str()).or_default().push(position);
            }
        }
        Self { makers, readers }
    }
}

/// Reads a QONNX file.
///
/// # Errors
/// [`ImportError`] where the file is damaged, uses an operator that is not supported, or holds
/// numbers that are not exact integers on any scale; it names the node.
pub fn read(path: &Path) -> Result<Network, ImportError> {
    read_with(path, &ImportOptions::default())
}

/// As [`read`], with what the user says beside.
///
/// # Errors
/// As [`read`], and where the file does not allow what the user says.
pub fn read_with(path: &Path, options: &ImportOptions) -> Result<Network, ImportError> {
    import_with(&OnnxGraph::read_for(path, options.output.as_deref())?, options)
}

/// Turns a parsed graph into a network.
///
/// # Errors
/// As [`read`].
pub fn import(graph: &OnnxGraph) -> Result<Network, ImportError> {
    import_with(graph, &ImportOptions::default())
}

/// Turns a parsed graph into a network, with what is said beside the file.
///
/// # Errors
/// As [`read`], and where an option contradicts the file.
pub fn import_with(graph: &OnnxGraph, options: &ImportOptions) -> Result<Network, ImportError> {
    let mut readers: HashMap<String, usize> = HashMap::new();
    for name in graph
        .nodes
        .iter()
        .flat_map(|node| &node.inputs)
        .chain(graph.outputs.iter().map(|o| &o.name))
    {
        *readers.entry(name.clone()).or_default() += 1;
    }
    let mut importer = Importer {
        graph,
        options,
        builder: Builder::new(&graph.file),
        links: Links::of(graph),
        values: HashMap::new(),
        ends: HashMap::new(),
        pending: readers.clone(),
        readers,
        exact_words: 0,
        threshold_effort: 0,
        constant_effort: Cell::new(0),
        precisions: HashMap::new(),
        lowered: HashMap::new(),
        entered: None,
    };
    importer.declare_input()?;
    for node in &graph.nodes {
        importer.node(node)?;
        importer.check_total(node)?;
        importer.release(node);
    }
    importer.finish()
}

impl Importer<'_> {
    /// Translates one node.
    fn node(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        self.check_domain(node)?;
        if let Some(done) = self.behind_end(node) {
            return done;
        }
        if let Some(constant) = self.fold_constants(node)? {
            return self.define(node, constant);
        }
        let value = match node.op.as_str() {
            "Identity" | "Dropout" => self.value(node, 0)?,
            "Cast" => self.cast(node)?,
            "Quant" | "IntQuant" => self.quant(node)?,
            "BipolarQuant" => self.bipolar_quant(node)?,
            "Trunc" => self.trunc(node)?,
            "MultiThreshold" => self.multi_threshold(node)?,
            "Conv" => self.conv(node, false)?,
            "ConvTranspose" => self.conv(node, true)?,
            "MatMul" => self.mat_mul(node)?,
            "XnorPopcountMatMul" => self.xnor_popcount(node)?,
            "Gemm" => self.gemm(node)?,
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node)?,
            "Neg" => self.negate(node)?,
            "BatchNormalization" => self.batch_normalization(node)?,
            "Relu" | "LeakyRelu" | "Clip" | "HardTanh" | "Sigmoid" | "Tanh" => self.activation(node)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "MaxPoolNHWC" => {
                self.pool(node)?
            }
            "QuantAvgPool2d" => self.quantized_average(node)?,
            "ReduceMean" | "ReduceSum" | "ReduceMax" => self.reduce(node)?,
            "Im2Col" => self.im2col(node)?,
            "Concat" => self.concat(node)?,
            "Pad" => self.pad(node)?,
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.rearrange(node)?,
            "Upsample" | "Resize" => self.upsample(node)?,
            "Softmax" | "LogSoftmax" => return self.soft_max(node),
            "TopK" | "ArgMax" | "ArgMin" => return self.select_indices(node, None),
            "Slice" => self.slice(node)?,
            "Gather" => self.gather(node)?,
            "Split" => return self.split(node),
            "Shape" | "Size" | "ConstantOfShape" | "Range" | "Where" | "Expand" => {
                return Err(self
                    .unsupported(node, "computes shapes or values from the samples at run time")
                    .expected("constant operands, or shapes that the graph's inputs determine")
                    .help("export the network with fixed shapes, or fold it with qonnx-cleanup or onnx-simplifier"));
            }
            _ => return Err(self.unknown_operator(node)),
        };
        self.define(node, value)
    }

    /// Names the first output of a node; other outputs that are read are refused.
    fn define(&mut self, node: &OnnxNode, value: Value) -> Result<(), ImportError> {
        let read = |name: &String| !name.is_empty() && self.readers.contains_key(name);
        if let Some(extra) = node.outputs.iter().skip(1).find(|name| read(name)) {
            return Err(self
                .unsupported(node, &format!("has a second output `{extra}` that is read"))
                .expected("one output")
                .help("export the network for inference"));
        }
        let name = node.outputs.first().cloned().unwrap_or_default();
        // Moved elements keep their precision.
        if matches!(value, Value::Const(_))
            && !self.precisions.contains_key(&name)
            && let Some(precision) = node.input(0).and_then(|from| self.precision_of(from))
            && node.op != "Cast"
        {
            self.precisions.insert(name.clone(), precision);
        }
        self.insert(node, name, value)
    }

    /// Counts effort for constants, and refuses a file that asks for too much of it.
    fn charge(&self, node: &OnnxNode, elements: usize) -> Result<(), ImportError> {
        let total = self.constant_effort.get().saturating_add(elements);
        self.constant_effort.set(total);
        if total <= limits::MAX_CONSTANT_EFFORT {
            return Ok(());
        }
        Err(self
            .unsupported(
                node,
                &format!(
                    "takes the work on constants beyond {} elements",
                    limits::MAX_CONSTANT_EFFORT
                ),
            )
            .expected("constants that are read a few times each")
            .help("fold constants first, for example with qonnx-cleanup"))
    }

    /// Counts effort for exact numbers of a real function per channel that an operator computes with.
    fn charge_functions(&self, node: &OnnxNode, count: usize) -> Result<(), ImportError> {
        self.charge(node, count.saturating_mul(limits::EXACT_FUNCTION_EFFORT))
    }

    /// Counts effort for the exact numbers of a stream that is read or made, which takes the square of their length.
    fn charge_stream(&self, node: &OnnxNode, stream: &Stream) -> Result<(), ImportError> {
        let (_, longest) = stream.size();
        let length = usize::try_from(1 + longest / 256).unwrap_or(usize::MAX);
        let numbers = stream.count().saturating_mul(length).saturating_mul(length);
        self.charge_functions(node, numbers)
    }

    /// Names a value, if what it takes is within bounds.
    fn insert(&mut self, node: &OnnxNode, name: String, value: Value) -> Result<(), ImportError> {
        let (words, longest, steps) = match &value {
            Value::Stream(stream) => {
                let (words, longest) = stream.size();
                (words, longest, stream.steps.len())
            }
            Value::Const(constant) => {
                let (words, longest) = constant.size();
                (words, longest, 0)
            }
            Value::Input(operand) | Value::Moved(operand) => {
                let (words, longest) = operand.stream.size();
                let moves = 16 * operand.deferred.len() as u64;
                (
                    words + moves,
                    longest,
                    operand.stream.steps.len() + operand.deferred.len(),
                )
            }
        };
        if steps > limits::MAX_PENDING_STEPS {
            return Err(self
                .unsupported(node, &format!("is step {steps} in a row without a quantizer"))
                .expected(format!(
                    "at most {} steps of real arithmetic",
                    limits::MAX_PENDING_STEPS
                ))
                .help("quantize in between"));
        }
        if longest > limits::MAX_EXACT_BITS {
            return Err(self
                .inexact(node, &format!("leads to a number of {longest} bits"))
                .expected(format!(
                    "exact scales and offsets of at most {} bits",
                    limits::MAX_EXACT_BITS
                ))
                .help("quantize in between, or fold the constants"));
        }
        match &value {
            Value::Stream(stream) => self.charge_stream(node, stream)?,
            Value::Input(operand) | Value::Moved(operand) => self.charge_stream(node, &operand.stream)?,
            Value::Const(constant) => self.charge(node, constant.len())?,
        }
        self.exact_words = self.exact_words.saturating_add(words);
        if self.exact_words > limits::MAX_EXACT_WORDS {
            return Err(self
                .unsupported(node, "takes the constants and scales beyond what is kept exactly")
                .expected(format!("{} words of exact numbers", limits::MAX_EXACT_WORDS))
                .help("fold constants first, for example with qonnx-cleanup"));
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// Refuses a network that has become too large.
    fn check_total(&self, node: &OnnxNode) -> Result<(), ImportError> {
        let most = limits::MAX_TOTAL_ELEMENTS;
        if self.builder.elements <= most && self.builder.stored <= most {
            return Ok(());
        }
        Err(self
            .unsupported(node, &format!("takes the network beyond {most} elements"))
            .expected("a network for on-chip memories")
            .help("check the input's size, kernels and paddings"))
    }

    /// Forgets what no later node reads.
    fn release(&mut self, node: &OnnxNode) {
        // What rearranges the real input is replayed later, with its operands.
        let waits = |name: &String| matches!(self.values.get(name), Some(Value::Input { .. }));
        if node.outputs.first().is_some_and(waits) {
            return;
        }
        for name in &node.inputs {
            if let Some(pending) = self.pending.get_mut(name) {
                *pending = pending.saturating_sub(1);
                if *pending == 0 {
                    self.values.remove(name);
                }
            }
        }
    }

    /// What the input of that position stands for.
    fn value(&self, node: &OnnxNode, position: usize) -> Result<Value, ImportError> {
        let name = node.input(position).ok_or_else(|| {
            self.structure(node, &format!("lacks input {position}"))
                .expected(format!("at least {} inputs", position + 1))
                .help("the file is damaged; export the network again")
        })?;
        if let Some(value) = self.values.get(name) {
            match value {
                Value::Const(constant) => self.charge(node, constant.len())?,
                Value::Stream(stream) => self.charge_stream(node, stream)?,
                Value::Input(operand) | Value::Moved(operand) => self.charge_stream(node, &operand.stream)?,
            }
            return Ok(value.clone());
        }
        if let Some(constant) = self.graph.constants.get(name) {
            self.charge(node, constant.len())?;
            return Ok(Value::Const(Const::from_file(name, constant)));
        }
        Err(self
            .structure(node, &format!("reads `{name}`, which is not there"))
            .expected("a tensor that an earlier node makes")
            .help("the file is damaged; export the network again"))
    }

    /// The integers on the input of that position.
    fn stream(&mut self, node: &OnnxNode, position: usize) -> Result<Stream, ImportError> {
        match self.value(node, position)? {
            Value::Stream(stream) => Ok(stream),
            Value::Input(operand) => self.settle(node, operand),
            Value::Moved(operand) => {
                let stream = self.settle(node, operand)?;
                // Other readers share what was moved.
                if let Some(name) = node.input(position) {
                    self.values.insert(name.to_owned(), Value::Stream(stream.clone()));
                }
                Ok(stream)
            }
            Value::Const(_) => Err(self
                .unsupported(node, &format!("has a constant as input {position}"))
                .expected("a tensor that depends on the network's input")
                .help("fold constants before export, for example with qonnx-cleanup")),
        }
    }

    fn structure(&self, node: &OnnxNode, problem: &str) -> ImportError {
        ImportError::structure(&self.graph.file, node.label(), problem.to_owned())
    }

    fn unsupported(&self, node: &OnnxNode, problem: &str) -> ImportError {
        ImportError::unsupported(&self.graph.file, node.label(), problem.to_owned())
    }

    fn inexact(&self, node: &OnnxNode, problem: &str) -> ImportError {
        ImportError::inexact(&self.graph.file, node.label(), problem.to_owned())
    }

    fn unknown_operator(&self, node: &OnnxNode) -> ImportError {
        let domain = if node.domain.is_empty() {
            "ai.onnx"
        } else {
            &node.domain
        };
        self.unsupported(
            node,
            &format!(
                "uses the operator `{}` of domain `{domain}`, which is not supported",
                node.op
            ),
        )
        .expected(nearest_form(&node.op))
        .help("rewrite that node, or cut the graph there and evaluate the rest as an off-chip readout")
        .cure(Cure::Readout)
    }
}

/// The supported operator that comes closest to an unsupported one.
fn nearest_form(op: &str) -> &'static str {
    match op {
        "Exp" | "Log" => {
            "a quantized tensor as the last on-chip result (nearest form: Softmax, TopK or ArgMax behind it)"
        }
        "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "HardSwish" | "Mish" | "Softplus" | "Softsign"
        | "HardSigmoid" => {
            "Relu, LeakyRelu, Clip, Sigmoid or Tanh followed by Quant, or a MultiThreshold (the nearest form of any monotone activation)"
        }
        "QuantizeLinear" | "DequantizeLinear" | "FakeQuantize" => {
            "Quant of qonnx.custom_op.general (convert QCDQ with qonnx's QCDQToQuant)"
        }
        "QLinearConv" | "ConvInteger" => "Conv with Quant nodes on its input and weights",
        "QLinearMatMul" | "MatMulInteger" | "QGemm" => "MatMul with Quant nodes on its inputs",
        "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" | "If" => {
            "a feed-forward graph (nearest form: the unrolled loop)"
        }
        "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
            "ReduceMean, ReduceSum or ReduceMax"
        }
        "InstanceNormalization" | "LayerNormalization" | "GroupNormalization" => {
            "BatchNormalization (fixed statistics)"
        }
        "FloatQuant" => "Quant or IntQuant (integers)",
        "Pow" | "Sqrt" | "Abs" | "Sign" | "Ceil" | "Floor" | "Round" => {
            "a MultiThreshold that tabulates the function"
        }
        "Max" | "Min" => "Relu or Clip with constant bounds",
        _ => {
            "an operator of the list in the book's chapter on network files (nearest form: MultiThreshold for activations, MatMul for products)"
        }
    }
}

/// One exact number for all channels.
fn single(value: BigRational) -> PerChannel {
    vec![value]
}

/// The number one for all channels.
fn ones() -> PerChannel {
    single(BigRational::one())
}

/// The number zero for all channels.
fn zeros() -> PerChannel {
    single(BigRational::zero())
}
