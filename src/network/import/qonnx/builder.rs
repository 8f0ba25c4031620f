//! The network under construction.

use std::collections::HashMap;
use std::path::Path;

use num_rational::BigRational;

use super::exact;
use super::stream::Pairing;
use crate::network::{
    BuildHints, Encoding, InputRule, Layer, LayerId, Network, Node, NodeId, Note, NoteKind, OffChip, Op,
    Param, ParamId, ParamKind, Tensor, TensorId,
};

/// Collects tensors, nodes, layers and parameters.
pub struct Builder {
    name: String,
    pub tensors: Vec<Tensor>,
    pub nodes: Vec<Node>,
    pub layers: Vec<Layer>,
    pub params: Vec<Param>,
    pub input: Option<TensorId>,
    /// Axes of the input tensor for those of the file, where an operator says which holds the channels.
    pub input_axes: Vec<usize>,
    pub input_rule: InputRule,
    /// What the mantissas of sums stand for whose two units have no common one, per channel or for all.
    pub pairings: HashMap<TensorId, Vec<Pairing>>,
    /// Whether elements of several channels with pairings of their own came to lie in one.
    pub lost_pairing: bool,
    /// Steps of quantizers that are no powers of two, and how many quantizers have such.
    real_scales: (usize, usize),
    /// What a reader of the numbers should know.
    pub notes: Vec<Note>,
    /// The real function in which the file ends.
    pub off_chip: Option<OffChip>,
    /// Elements of all tensors.
    pub elements: usize,
    /// Elements of all parameters.
    pub stored: usize,
    /// Names of nodes and layers that are taken, with the next number to make one different.
    taken: HashMap<String, usize>,
    /// The last node that makes a tensor.
    makers: HashMap<TensorId, NodeId>,
    /// Number of matrix products so far.
    compute_nodes: usize,
    /// Number of other layers so far.
    other_nodes: usize,
}

impl Builder {
    /// An empty network named after the file.
    pub fn new(file: &Path) -> Self {
        let stem = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = stem
            .trim_end_matches(".onnx")
            .trim_end_matches(".qonnx")
            .to_owned();
        Self {
            name,
            tensors: Vec::new(),
            nodes: Vec::new(),
            layers: Vec::new(),
            params: Vec::new(),
            input: None,
            input_axes: Vec::new(),
            input_rule: InputRule::Raw,
            pairings: HashMap::new(),
            lost_pairing: false,
            real_scales: (0, 0),
            notes: Vec::new(),
            off_chip: None,
            elements: 0,
            stored: 0,
            taken: HashMap::new(),
            makers: HashMap::new(),
            compute_nodes: 0,
            other_nodes: 0,
        }
    }

    /// A name for a matrix product: the file's, or `<op>_<k>` with k counting compute nodes.
    pub fn compute_name(&mut self, given: &str, op: &str) -> String {
        let k = self.compute_nodes;
        self.compute_nodes += 1;
        self.unique(if given.is_empty() {
            format!("{}_{k}", op.to_lowercase())
        } else {
            given.to_owned()
        })
    }

    /// A name for any other node.
    pub fn other_name(&mut self, given: &str, op: &str) -> String {
        if !given.is_empty() {
            return self.unique(given.to_owned());
        }
        let k = self.other_nodes;
        self.other_nodes += 1;
        self.unique(format!("{}_{k}", op.to_lowercase()))
    }

    fn unique(&mut self, wanted: String) -> String {
        let Some(next) = self.taken.get(&wanted) else {
            self.taken.insert(wanted.clone(), 1);
            return wanted;
        };
        let mut k = *next;
        let name = loop {
            let name = format!("{wanted}_{k}");
            k += 1;
            if !self.taken.contains_key(&name) {
                break name;
            }
        };
        self.taken.insert(wanted, k);
        self.taken.insert(name.clone(), 1);
        name
    }

    /// Adds a tensor.
    pub fn tensor(&mut self, name: &str, shape: Vec<usize>, encoding: Encoding, scale: f64) -> TensorId {
        let elements = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        self.elements = self.elements.saturating_add(elements);
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape,
            encoding,
            scale,
        });
        TensorId::from(self.tensors.len() - 1)
    }

    /// Adds a layer whose output is not known yet.
    pub fn layer(&mut self, name: &str, kind: &str) -> LayerId {
        let output = self.input.unwrap_or(TensorId(0));
        self.layers.push(Layer {
            name: name.to_owned(),
            kind: kind.to_owned(),
            output,
            hints: BuildHints::default(),
        });
        LayerId::from(self.layers.len() - 1)
    }

    /// Notes what the last layer pads below and right of its map.
    pub fn pads_after(&mut self, after: [usize; 2]) {
        if let Some(layer) = self.layers.last_mut() {
            layer.hints.pad_after = Some(after);
        }
    }

    /// Adds a stored tensor.
    pub fn param(
        &mut self,
        layer: LayerId,
        kind: ParamKind,
        shape: Vec<usize>,
        encoding: Encoding,
        values: Vec<i64>,
    ) -> ParamId {
        self.stored = self.stored.saturating_add(values.len());
        self.params.push(Param {
            layer,
            kind,
            shape,
            encoding,
            values,
            zero_point: None,
        });
        ParamId::from(self.params.len() - 1)
    }

    /// Adds an operation to a layer; its output becomes what the layer hands on.
    pub fn node(
        &mut self,
        name: &str,
        layer: LayerId,
        op: Op,
        inputs: Vec<TensorId>,
        output: TensorId,
    ) -> NodeId {
        self.layers[layer.index()].output = output;
        self.nodes.push(Node {
            name: name.to_owned(),
            layer,
            op,
            inputs,
            output,
        });
        let id = NodeId::from(self.nodes.len() - 1);
        self.makers.insert(output, id);
        id
    }

    /// Counts the steps of a quantizer that no binary point says.
    pub fn count_scales(&mut self, scales: &[BigRational]) {
        let real = scales.iter().filter(|scale| exact::log2(scale).is_none()).count();
        if real > 0 {
            self.real_scales.0 += real;
            self.real_scales.1 += 1;
        }
    }

    /// The node that makes a tensor, `None` for the network's input.
    pub fn maker(&self, tensor: TensorId) -> Option<NodeId> {
        self.makers.get(&tensor).copied()
    }

    /// The layer that an activation on this tensor belongs to: its maker's, or a new one where it
    /// sits on the network's input.
    pub fn layer_for_activation(&mut self, tensor: TensorId, name: &str, kind: &str) -> LayerId {
        match self.maker(tensor) {
            Some(node) => self.nodes[node.index()].layer,
            None => self.layer(name, kind),
        }
    }

    /// Hands on what the mantissas of a tensor stand for to one with the same elements in another place: to its
    /// channels, where each holds elements of one channel only. Otherwise the import cannot go on exactly.
    pub fn carry_pairings(
        &mut self,
        from: TensorId,
        to: TensorId,
        op: &Op,
        before: &[usize],
        after: &[usize],
    ) {
        let Some(pairings) = self.pairings.get(&from).cloned() else {
            return;
        };
        if pairings.len() == 1 {
            self.pairings.insert(to, pairings);
            return;
        }
        let last = |shape: &[usize]| shape.last().copied().unwrap_or(1).max(1);
        let (channels, columns) = (last(before), last(after));
        let len: usize = before.iter().product();
        let source = |at: usize| match op {
            Op::Transpose { perm } => {
                let mut rest = at;
                let mut position = vec![0; before.len()];
                for (axis, &extent) in after.iter().enumerate().rev() {
                    position[perm[axis]] = rest % extent;
                    rest /= extent;
                }
                before
                    .iter()
                    .zip(position)
                    .fold(0, |at, (&extent, step)| at * extent + step)
            }
            _ => at,
        };
        let mut of_column: Vec<Option<usize>> = vec![None; columns];
        for at in 0..len {
            let channel = source(at) % channels;
            match of_column[at % columns].replace(channel) {
                Some(other) if other != channel => {
                    self.lost_pairing = true;
                    return;
                }
                _ => {}
            }
        }
        let each = of_column
            .iter()
            .map(|channel| pairings[channel.unwrap_or(0)].clone());
        self.pairings.insert(to, each.collect());
    }

    /// The finished network. `axes` are the output tensor's axes for those of the file.
    pub fn finish(mut self, output_name: &str, output: TensorId, axes: &[usize]) -> Network {
        let (scales, quantizers) = self.real_scales;
        if scales > 0 {
            let text = format!(
                "{scales} scales of {quantizers} quantizers that are no powers of two: units of the integers, \
                 part of the thresholds or of the output's scale"
            );
            self.notes
                .push(Note::new(NoteKind::NotStored, "quantizers", text));
        }
        let mut tensors = self.tensors;
        output_name.clone_into(&mut tensors[output.index()].name);
        Network {
            name: self.name,
            tensors,
            nodes: self.nodes,
            layers: self.layers,
            params: self.params,
            input: self.input.unwrap_or(TensorId(0)),
            input_axes: self.input_axes,
            input_rule: self.input_rule,
            output,
            off_chip: self.off_chip,
            // In their own order the axes say nothing of channels.
            output_axes: if axes.is_sorted() {
                Vec::new()
            } else {
                axes.to_vec()
            },
            output_scales: Vec::new(),
            output_offsets: Vec::new(),
            notes: self.notes,
        }
    }
}
