//! Where the network ends: its output, and real functions of the file behind the last integers.

use super::operand::{Operand, is_plain_number};
use super::plain::{Left, real_units};
use super::stream::{Step, Stream};
use super::{Importer, Value, exact};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError};
use crate::network::{Network, Note, NoteKind, OffChip, RealFunction};

/// Most names that a note lists.
const MOST_NAMES: usize = 8;

/// Whether a cast loses nothing of a real function's result: to float or double, of indices to integers too.
fn casts_exactly(node: &OnnxNode, end: &RealEnd) -> bool {
    const FLOAT: i64 = 1;
    const DOUBLE: i64 = 11;
    // To 8, 16, 32 and 64 bits, signed and unsigned.
    match node.int("to") {
        Some(FLOAT | DOUBLE) => true,
        Some(2..=7 | 12 | 13) => end.indices.is_some(),
        _ => false,
    }
}

/// A tensor of the file that is a real function of integers, which leave the chip as they are.
#[derive(Clone, Debug)]
pub struct RealEnd {
    /// The integers, in the order of the tensor.
    left: Left,
    /// The function.
    off_chip: OffChip,
    /// The file's shape of selected indices, without the batch; none where the function makes one value of each.
    indices: Option<Vec<usize>>,
    /// The node of the function.
    node: String,
}

impl RealEnd {
    /// The index of the largest value along the last axis of the tensor. `indices` is the file's shape of the result.
    pub fn selection(node: &OnnxNode, left: Left, last: bool, indices: Vec<usize>) -> Self {
        let off_chip = OffChip {
            function: RealFunction::ArgMax { last },
            tensor: left.stream.tensor,
            axes: vec![left.stream.axes.len() - 1],
        };
        Self {
            left,
            off_chip,
            indices: Some(indices),
            node: node.label(),
        }
    }
}

impl Importer<'_> {
    /// `Softmax` and `LogSoftmax`: the integers leave the chip before them.
    pub fn soft_max(&mut self, node: &OnnxNode) -> Result<(), ImportError> {
        const BY_AXIS: i64 = 13;
        let operand = self.integers_behind(node)?;
        let rank = operand.view.shape().len();
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
        let left = self.leave_moved(node, operand, Self::settle)?;
        let stream = self.aligned(node, left.stream)?;
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
            left: Left { stream, ..left },
            indices: None,
            node: node.label(),
        };
        self.define_end(node, 0, end)
    }

    /// The operand on a node's first input, the quantized one where it is the real input.
    pub fn integers_behind(&mut self, node: &OnnxNode) -> Result<Operand, ImportError> {
        let operand = self.operand(node, 0)?;
        if !operand.real {
            return Ok(operand);
        }
        let stream = self.settle(node, operand)?;
        Ok(self.still(stream))
    }

    /// Names a real function of integers, on the output of that position.
    pub fn define_end(&mut self, node: &OnnxNode, position: usize, end: RealEnd) -> Result<(), ImportError> {
        let name = node.outputs.get(position).cloned().unwrap_or_default();
        // What is kept is bounded as that of any other tensor.
        self.insert(node, name.clone(), Value::Stream(end.left.stream.clone()))?;
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
            "Identity" | "Dropout" if own_domain && reads_it_first => self.define_end(node, 0, end),
            "Cast" if own_domain && casts_exactly(node, &end) => self.define_end(node, 0, end),
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if own_domain && reads_it_first => {
                self.move_end(node, end)
            }
            "TopK" | "ArgMax" | "ArgMin" if own_domain && reads_it_first && end.indices.is_none() => {
                self.select_behind(node, &end)
            }
            _ => Err(self.not_last(node, &end)),
        })
    }

    /// Moves the elements of a real function's result.
    fn move_end(&mut self, node: &OnnxNode, end: RealEnd) -> Result<(), ImportError> {
        if let Some(shape) = &end.indices {
            // The indices lie as the values that they are selected among, and keep their order.
            let batched: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
            let indices = if node.op == "Transpose" {
                let perm = self.sample_permutation(node, batched.len())?;
                if !perm.iter().filter(|&&axis| shape[axis] != 1).is_sorted() {
                    return Err(self
                        .unsupported(
                            node,
                            &format!("transposes what {} selects behind the chip", end.node),
                        )
                        .expected("a transposition in front of the selection, or a quantizer")
                        .help("exchange the two nodes, with the selection along the moved axis"));
                }
                perm.iter().map(|&axis| shape[axis]).collect()
            } else {
                self.sample_shape(node, &batched)?
            };
            return self.define_end(
                node,
                0,
                RealEnd {
                    indices: Some(indices),
                    ..end
                },
            );
        }
        let operand = self.still(end.left.stream);
        let operand = self.moved(node, operand)?;
        let stream = self.settle_as_file(node, operand)?;
        let left = Left { stream, ..end.left };
        self.define_end(node, 0, RealEnd { left, ..end })
    }

    /// A selection behind a softmax, which keeps the order of what it reads.
    fn select_behind(&mut self, node: &OnnxNode, end: &RealEnd) -> Result<(), ImportError> {
        let stream = &end.left.stream;
        let axis = node.int("axis").unwrap_or(if node.op == "TopK" { -1 } else { 0 });
        let axis = self.axis(node, axis, stream.axes.len() + 1)?;
        let selected = axis.checked_sub(1).map(|axis| stream.axes[axis]);
        let in_order = stream.tensor == end.off_chip.tensor
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
        self.select_indices(node, Some(end.left.clone()))
    }

    /// The refusal of a node that computes with the result of a real function.
    fn not_last(&self, node: &OnnxNode, end: &RealEnd) -> ImportError {
        if end.indices.is_some() {
            return ImportError::unsupported(
                &self.graph.file,
                end.node.clone(),
                format!(
                    "is read by {}, and selects among real numbers without a common unit, behind the chip",
                    node.label()
                ),
            )
            .expected("a selection as the last operation, or a quantizer in front of it")
            .help("end the network before it and leave the rest to the off-chip readout")
            .cure(Cure::Readout);
        }
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
        let operand = match self.values.remove(name) {
            Some(Value::Stream(stream)) => Some(self.still(stream)),
            Some(Value::Moved(operand) | Value::Input(operand))
                if !(operand.real && is_plain_number(&operand.stream)) =>
            {
                Some(operand)
            }
            _ => None,
        };
        let (left, off_chip) = match (self.ends.remove(name), operand, maker) {
            (Some(end), _, _) => {
                self.note_off_chip(end.node, end.off_chip.function);
                (end.left, Some(end.off_chip))
            }
            (None, Some(mut operand), Some(node)) => {
                if operand.real {
                    let stream = self.settle_as_file(node, operand)?;
                    operand = self.still(stream);
                }
                let function = Self::last_function(&mut operand.stream);
                let left = self.leave_moved(node, operand, Self::settle_as_file)?;
                // What leaves the chip says its own unit: a power of two in its fractional bits, and
                // any other factor beside it.
                let stream = self.aligned(node, left.stream)?;
                let off_chip = function.map(|function| OffChip {
                    function,
                    tensor: stream.tensor,
                    axes: Vec::new(),
                });
                if let Some(function) = function {
                    self.note_off_chip(format!("output `{name}`"), function);
                }
                (Left { stream, ..left }, off_chip)
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
        let Left { stream, real } = left;
        let tensor = &mut self.builder.tensors[stream.tensor.index()];
        let unit = exact::power_of_two(-tensor.encoding.frac());
        tensor.scale = exact::to_f64(&(&stream.scale[0] / unit));
        let units = real.map(|real| {
            let frac = self.builder.tensors[real.tensor.index()].encoding.frac();
            (real.tensor, real_units(&real, frac))
        });
        if let Some((_, (scale, offset))) = &units {
            if !scale.iter().chain(offset).all(|number| number.is_finite()) {
                return Err(ImportError::inexact(
                    file,
                    format!("output `{name}`"),
                    "has a scale or offset beyond double precision".to_owned(),
                )
                .expected("numbers below 2^1024")
                .help("check the constants in front of the output"));
            }
            self.builder.notes.push(Note::new(
                NoteKind::OffChip,
                format!("output `{name}`"),
                "its values are no multiples of one unit of 64 bits; their scales and offsets are applied behind the accelerator",
            ));
        }
        self.builder.off_chip = off_chip;
        let mut network = self.builder.finish(name, stream.tensor, &stream.axes);
        if let Some((tensor, (scale, offset))) = units {
            network.set_output_units(tensor, &scale, &offset);
        }
        Ok(network)
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
            RealFunction::ArgMax { .. } => "selection of the largest",
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
