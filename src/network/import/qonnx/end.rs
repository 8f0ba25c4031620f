//! Where the network ends: its output, and real functions of the file behind the last integers.

use super::operand::is_plain_number;
use super::stream::{Step, Stream};
use super::{Importer, Value, exact};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError};
use crate::network::{Network, Note, NoteKind, OffChip, RealFunction};

/// Most names that a note lists.
const MOST_NAMES: usize = 8;

/// A tensor of the file that is a real function of integers, which leave the chip as they are.
#[derive(Clone, Debug)]
pub struct RealEnd {
    /// The integers, in the order of the tensor.
    stream: Stream,
    /// The function.
    off_chip: OffChip,
    /// The node of the function.
    node: String,
}

impl Importer<'_> {
    /// `Softmax` and `LogSoftmax`: the integers leave the chip before them.
    pub fn soft_max(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        const BY_AXIS: i64 = 13;
        let stream = self.stream(node, 0)?;
        let rank = stream.axes.len();
        // Before that operator set the axes from `axis` on were one, and `axis` was 1 by default.
        let flattens = self.graph.opset < BY_AXIS;
        let axis = node.int("axis").unwrap_or(if flattens { 1 } else { -1 });
        let axis = self.axis(node, axis, rank + 1)?;
        let Some(first) = axis.checked_sub(1) else {
            return Err(self
                .unsupported(node, "sums over the samples")
                .expected("an axis within each sample")
                .help("check its axis"));
        };
        let last = if flattens { rank } else { first + 1 };
        let stream = self.materialise(node, stream)?;
        let stream = self.aligned(node, stream)?;
        let end = RealEnd {
            off_chip: OffChip {
                function: if node.op == "Softmax" {
                    RealFunction::Softmax
                } else {
                    RealFunction::LogSoftmax
                },
                tensor: stream.tensor,
                axes: stream.axes[first..last].to_vec(),
            },
            stream,
            node: node.label(),
        };
        self.define_end(node, end)
    }

    /// Names a real function of integers.
    fn define_end(&mut self, node: &OnnxNode, end: RealEnd) -> Result<(), ImportError> {
        let name = node.outputs.first().cloned().unwrap_or_default();
        // What is kept is bounded as that of any other tensor.
        self.insert(node, name.clone(), Value::Stream(end.stream.clone()))?;
        self.values.remove(&name);
        self.ends.insert(name, end);
        Ok(())
    }

    /// A node that reads a real function of integers, if it does.
    pub fn behind_end(&mut self, node: &OnnxNode) -> Option<Result<(), ImportError>> {
        let mut inputs = node.inputs.iter();
        let end = inputs.find_map(|name| self.ends.get(name)).cloned()?;
        let reads_it_first = node
            .inputs
            .first()
            .is_some_and(|name| self.ends.contains_key(name));
        let own_domain = node.domain.is_empty();
        Some(match node.op.as_str() {
            "Identity" | "Dropout" if own_domain && reads_it_first => self.define_end(node, end),
            "Cast" if own_domain && matches!(node.int("to"), Some(1 | 11)) => self.define_end(node, end),
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if own_domain && reads_it_first => {
                let operand = self.still(end.stream.clone());
                self.moved(node, operand)
                    .and_then(|operand| self.settle_as_file(node, operand))
                    .and_then(|stream| self.define_end(node, RealEnd { stream, ..end }))
            }
            "TopK" | "ArgMax" | "ArgMin" if own_domain && reads_it_first => self.select_behind(node, &end),
            _ => Err(self.not_last(node, &end)),
        })
    }

    /// A selection behind a softmax, which keeps the order of what it reads.
    fn select_behind(&mut self, node: &OnnxNode, end: &RealEnd) -> Result<(), ImportError> {
        let axis = node.int("axis").unwrap_or(if node.op == "TopK" { -1 } else { 0 });
        let axis = self.axis(node, axis, end.stream.axes.len() + 1)?;
        let selected = axis.checked_sub(1).map(|axis| end.stream.axes[axis]);
        let in_order = end.stream.tensor == end.off_chip.tensor
            && selected.is_none_or(|axis| end.off_chip.axes.contains(&axis));
        if !in_order {
            return Err(self
                .unsupported(
                    node,
                    &format!("selects among the results of different sums of {}", end.node),
                )
                .expected("a selection along the axis that was summed over")
                .help("select before it, or leave both to the off-chip readout")
                .cure(Cure::Readout));
        }
        self.builder.notes.push(Note::new(
            NoteKind::OffChip,
            end.node.clone(),
            format!(
                "is left out: it keeps the order, and only {} reads it",
                node.label()
            ),
        ));
        let name = node.inputs.first().cloned().unwrap_or_default();
        self.values
            .insert(name.clone(), Value::Stream(end.stream.clone()));
        let done = self.select_indices(node);
        self.values.remove(&name);
        done
    }

    /// The refusal of a node that computes with the result of a real function.
    fn not_last(&self, node: &OnnxNode, end: &RealEnd) -> ImportError {
        ImportError::unsupported(
            &self.graph.file,
            end.node.clone(),
            format!("is read by {}, and its results are no integers", node.label()),
        )
        .expected("a softmax behind the last quantizer, as the last operation; it is evaluated off the chip")
        .help("end the network before it and leave the rest to the off-chip readout")
        .cure(Cure::Readout)
    }

    /// Ends the walk: the graph's output becomes the network's.
    pub fn finish(mut self) -> Result<Network, ImportError> {
        let graph = self.graph;
        let file = &graph.file;
        let [output] = graph.outputs.as_slice() else {
            let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
            return Err(
                ImportError::unsupported(file, "the graph", format!("has the outputs {names:?}"))
                    .expected("one output")
                    .help("name the one that leaves the chip")
                    .cure(Cure::Output),
            );
        };
        if self.builder.lost_pairing {
            return Err(ImportError::inexact(
                file,
                "the graph",
                "moves channels whose biases have units of their own onto one axis".to_owned(),
            )
            .expected("a quantizer between such a bias and a quantizer along another axis")
            .help("quantize the sum per tensor or per channel first"));
        }
        self.note_unneeded();
        let name = &output.name;
        let maker = graph.nodes.iter().find(|node| node.outputs.contains(name));
        let end = self.ends.remove(name);
        if let (Some(Value::Moved(operand) | Value::Input(operand)), Some(node)) =
            (self.values.get(name).cloned(), maker)
            && !(operand.real && is_plain_number(&operand.stream))
        {
            let stream = self.settle_as_file(node, operand)?;
            self.values.insert(name.clone(), Value::Stream(stream));
        }
        let (stream, off_chip) = match (self.values.remove(name), end, maker) {
            (_, Some(end), _) => {
                let tensor = end.off_chip.tensor;
                self.note_off_chip(end.node, end.off_chip.function);
                debug_assert!(tensor.index() < self.builder.tensors.len());
                (end.stream, Some(end.off_chip))
            }
            (Some(Value::Stream(mut stream)), None, Some(node)) => {
                let function = Self::last_function(&mut stream);
                let stream = self.leave(node, stream)?;
                // What leaves the chip says its own unit: a power of two in its fractional bits, and
                // any other factor beside it.
                let stream = self.aligned(node, stream)?;
                let off_chip = function.map(|function| OffChip {
                    function,
                    tensor: stream.tensor,
                    axes: Vec::new(),
                });
                if let Some(function) = function {
                    self.note_off_chip(format!("output `{name}`"), function);
                }
                (stream, off_chip)
            }
            _ => {
                return Err(ImportError::structure(
                    file,
                    format!("output `{name}`"),
                    "does not depend on the input".to_owned(),
                )
                .expected("a network between the graph's input and its output")
                .help("export the network again"));
            }
        };
        let tensor = &mut self.builder.tensors[stream.tensor.index()];
        let unit = exact::power_of_two(-tensor.encoding.frac());
        let values: Vec<f64> = (stream.scale.iter())
            .map(|scale| exact::to_f64(&(scale / &unit)))
            .collect();
        match values.as_slice() {
            [scale] => tensor.scale = *scale,
            _ => {
                tensor.scale = 1.0;
                self.builder.output_scales = values;
            }
        }
        self.builder.off_chip = off_chip;
        Ok(self.builder.finish(name, stream.tensor, &stream.axes))
    }

    /// Takes a strictly rising function of single values off the end of a stream.
    pub fn last_function(stream: &mut Stream) -> Option<RealFunction> {
        let function = match stream.steps.last()? {
            Step::Sigmoid => RealFunction::Sigmoid,
            Step::Tanh => RealFunction::Tanh,
            _ => return None,
        };
        stream.steps.pop();
        Some(function)
    }

    fn note_off_chip(&mut self, place: String, function: RealFunction) {
        let name = match function {
            RealFunction::Softmax => "softmax",
            RealFunction::LogSoftmax => "logarithm of the softmax",
            RealFunction::Sigmoid => "sigmoid",
            RealFunction::Tanh => "hyperbolic tangent",
        };
        self.builder.notes.push(Note::new(
            NoteKind::OffChip,
            place,
            format!("its {name} is evaluated behind the accelerator, by the readout; the integers before it leave the chip"),
        ));
    }

    /// Says what was left out.
    fn note_unneeded(&mut self) {
        let unneeded = &self.graph.unneeded;
        let parts: Vec<String> = [
            (&unneeded.nodes, "node", "nodes"),
            (&unneeded.constants, "constant", "constants"),
            (&unneeded.inputs, "input", "inputs"),
        ]
        .into_iter()
        .filter(|(names, _, _)| !names.is_empty())
        .map(|(names, one, many)| {
            let mut listed: Vec<&str> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
            let more = format!("{} more", names.len().saturating_sub(MOST_NAMES));
            if names.len() > MOST_NAMES {
                listed.push(&more);
            }
            let kind = if names.len() == 1 { one } else { many };
            format!("{} {kind} ({})", names.len(), listed.join(", "))
        })
        .collect();
        if !parts.is_empty() {
            let text = format!("leaves out what no output needs: {}", parts.join("; "));
            self.builder
                .notes
                .push(Note::new(NoteKind::Unneeded, "the import", text));
        }
    }
}
