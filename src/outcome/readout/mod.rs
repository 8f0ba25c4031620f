//! Off-chip readouts: small ONNX float models behind the accelerator, in `f64`.
//!
//! Parameters are widened from the file exactly. Every sum has a fixed order: it starts from the
//! bias and adds the inputs in their row-major order (for windows: kernel row, kernel column,
//! channel; for transposed convolutions: input row, input column, and within a pixel first over the
//! channels); products with an input that is zero are left out. No operation fuses a product with a
//! sum, and transcendental functions are `libm`'s, so a result does not depend on batch, thread or
//! machine. Samples run alone ([`Readout::evaluate`]), or side by side in vectors ([`Readout::evaluate_all`]).

mod builder;
mod compile;
mod front;
mod kernels;
mod marks;
mod operators;
mod plan;
mod side_by_side;
#[cfg(test)]
mod tests;
mod window;

use serde::Serialize;

use std::path::Path;

use crate::level::Level;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxGraph;
use crate::network::{Layout, OutputMeaning, RealFunction};
use front::Front;
use plan::Plan;

/// What the values of a readout's output are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum OutputKind {
    /// Amounts; where they are classes the largest is the predicted one.
    #[default]
    Values,
    /// As `Values`, and they are logarithms of probabilities.
    LogProbabilities,
    /// Each is the predicted class of a pixel itself.
    Indices {
        /// How many classes there are.
        classes: usize,
    },
}

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    values: Vec<f64>,
    side_by_side: side_by_side::Work,
}

/// A readout, compiled to a fixed sequence of operations.
///
/// A sample is a row: the axis of samples, first in the file's shapes and symbolic or 1 there, does
/// not appear in the shapes here.
#[derive(Clone, Debug, Serialize)]
pub struct Readout {
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    /// What the network's file does before.
    front: Option<Front>,
    plan: Plan,
    kind: OutputKind,
    /// How the output lies, where the readout stands behind a network.
    #[serde(skip)]
    layout: Layout,
}

impl Readout {
    /// Reads and compiles an ONNX model with one input and one output.
    ///
    /// # Errors
    /// [`ImportError`] where the file cannot be read, is no such model, has shapes that do not fit
    /// or an operator that is not supported; it names the node.
    pub fn load(path: &Path) -> Result<Self, ImportError> {
        Self::from_graph(&OnnxGraph::read(path)?)
    }

    /// Compiles a graph.
    ///
    /// # Errors
    /// As [`Readout::load`].
    pub fn from_graph(graph: &OnnxGraph) -> Result<Self, ImportError> {
        compile::compile(graph, None)
    }

    /// Compiles a graph behind a network whose output has that layout, so that [`Readout::layout`] knows what its
    /// own axes count.
    ///
    /// # Errors
    /// As [`Readout::load`].
    pub fn behind(graph: &OnnxGraph, output: &Layout) -> Result<Self, ImportError> {
        compile::compile(graph, Some(output))
    }

    /// No readout: the values behind the accelerator are what the user sees.
    #[must_use]
    pub fn identity(shape: &[usize]) -> Self {
        Self {
            input_shape: shape.to_vec(),
            output_shape: shape.to_vec(),
            front: None,
            plan: Plan::identity(shape.iter().product()),
            kind: OutputKind::Values,
            layout: Layout::channels_are_last(shape),
        }
    }

    /// No readout: the user sees the values behind the accelerator in their file's order.
    #[must_use]
    pub fn none(output: &Layout) -> Self {
        Self {
            layout: output.clone().with_channels_of_marks(),
            ..Self::identity(output.shape())
        }
    }

    /// What a network's own file makes of its output of that shape, channels last: of selected indices the first of
    /// each pixel.
    #[must_use]
    pub fn of_file(shape: &[usize], meaning: &OutputMeaning) -> Self {
        let identity = Self::identity(shape);
        match meaning {
            OutputMeaning::Indices { classes, first } => identity.selected(*classes, first, None),
            OutputMeaning::Values | OutputMeaning::Function { .. } => identity.on_file(meaning, None),
        }
    }

    /// Where a file selects indices behind the accelerator: how many classes there are, and where the values of the
    /// first of them are in the output.
    #[must_use]
    pub fn selection_of(meaning: &OutputMeaning) -> Option<(usize, Vec<usize>)> {
        let OutputMeaning::Function {
            function: RealFunction::ArgMax { .. },
            groups,
        } = meaning
        else {
            return None;
        };
        let first = groups.iter().filter_map(|group| group.first().copied()).collect();
        Some((groups.first().map_or(1, Vec::len), first))
    }

    /// The first index of each pixel of a network that selects among classes itself, where there is no readout else.
    /// `first` and `order` are as in [`OutputMeaning::Indices`] and [`Readout::on_file`].
    #[must_use]
    pub fn selected(self, classes: usize, first: &[usize], order: Option<&[usize]>) -> Self {
        let mut positions = first.to_vec();
        if let Some(order) = order {
            let mut place = vec![0; order.len()];
            order.iter().enumerate().for_each(|(to, &from)| place[from] = to);
            positions
                .iter_mut()
                .for_each(|position| *position = place[*position]);
        }
        positions.sort_unstable();
        let mut shape = pixels_of(&self.output_shape, &positions);
        shape.push(1);
        Self {
            layout: Layout::channels_are_last(&shape),
            plan: Plan::gather(self.input_len(), &positions),
            output_shape: shape,
            kind: OutputKind::Indices { classes },
            ..self
        }
    }

    /// This readout on what a network's own file makes of its output. `order` says for each value that the readout
    /// reads where it is in the output; the same order where there is none. Where the file selects indices behind the
    /// accelerator ([`Readout::selection_of`]), they are the output, and this readout's own operations are dropped.
    #[must_use]
    pub fn on_file(self, meaning: &OutputMeaning, order: Option<&[usize]>) -> Self {
        let OutputMeaning::Function { function, groups } = meaning else {
            return self;
        };
        let front = Front {
            function: *function,
            groups: groups.clone(),
        };
        let readout = Self {
            front: Some(match order {
                Some(order) => front.reordered(order),
                None => front,
            }),
            ..self
        };
        match Self::selection_of(meaning) {
            Some((classes, first)) => readout.selected(classes, &first, order),
            None => readout,
        }
    }

    /// The logarithms of the output, where it is a softmax and nothing else.
    #[must_use]
    pub fn log_probabilities(&self) -> Option<Self> {
        let front = self.front.as_ref()?;
        let is_softmax = matches!(front.function, RealFunction::Softmax | RealFunction::LogSoftmax);
        (is_softmax && self.plan.is_identity()).then(|| Self {
            front: Some(Front {
                function: RealFunction::LogSoftmax,
                groups: front.groups.clone(),
            }),
            kind: OutputKind::LogProbabilities,
            ..self.clone()
        })
    }

    /// Whether there is none, and the file makes nothing else of the network's output either.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.front.is_none() && self.plan.is_identity()
    }

    /// How the output lies.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the values of the output are.
    #[must_use]
    pub fn kind(&self) -> OutputKind {
        self.kind
    }

    /// Number of values of a sample.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.plan.input_len()
    }

    /// Shape of a sample, which is read row-major in the model's own axis order.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Number of values of an output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.plan.output_len()
    }

    /// Shape of an output, row-major in the model's own axis order.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    /// The readout of one sample. A pure function of `code`: `scratch` only lends memory.
    ///
    /// # Panics
    /// Where `code` has not [`Readout::input_len`] values.
    pub fn evaluate<'s>(&self, code: &[f64], scratch: &'s mut Scratch) -> &'s [f64] {
        self.plan.run(code, self.front.as_ref(), &mut scratch.values)
    }

    /// The readouts of several samples, `codes` being `[sample][value]`: appended to `outputs`, `[sample][output]`. They
    /// run side by side in vectors, and each is the same, bit for bit, as [`Readout::evaluate`] of its sample alone.
    ///
    /// # Panics
    /// Where `codes` is not a multiple of [`Readout::input_len`].
    pub fn evaluate_all(&self, codes: &[f64], scratch: &mut Scratch, outputs: &mut Vec<f64>) {
        self.evaluate_all_at(Level::widest(), codes, scratch, outputs);
    }

    fn evaluate_all_at(&self, level: Level, codes: &[f64], scratch: &mut Scratch, outputs: &mut Vec<f64>) {
        let len = self.input_len();
        assert_eq!(codes.len() % len.max(1), 0, "whole samples");
        if !side_by_side::takes(&self.plan) {
            for code in codes.chunks_exact(len.max(1)) {
                outputs.extend_from_slice(self.evaluate(code, scratch));
            }
            return;
        }
        let work = &mut scratch.side_by_side;
        for codes in codes.chunks(side_by_side::LANES * len) {
            side_by_side::run(level, &self.plan, self.front.as_ref(), codes, work);
            for lane in 0..codes.len() / len {
                outputs.extend(work.output(&self.plan, lane));
            }
        }
    }
}

/// The shape of the pixels that have an index each, at those positions among all indices in order.
fn pixels_of(shape: &[usize], positions: &[usize]) -> Vec<usize> {
    let len: usize = shape.iter().product();
    if len == positions.len() {
        return shape.to_vec();
    }
    // The axis of the ranks is the one whose first slice they are.
    let is_first = |axis: usize| {
        let stride: usize = shape[axis + 1..].iter().product();
        let slice = (0..len).filter(|at| (at / stride).is_multiple_of(shape[axis]));
        slice.eq(positions.iter().copied())
    };
    match (0..shape.len()).find(|&axis| is_first(axis)) {
        Some(axis) => [&shape[..axis], &shape[axis + 1..]].concat(),
        None => vec![positions.len()],
    }
}
