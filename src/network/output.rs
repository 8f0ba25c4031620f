//! What the integers at a network's output stand for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Network, Op, TensorId};

/// A real function in which a network file ends, behind its last integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RealFunction {
    /// `exp(x) / sum(exp)` over the values of a group.
    Softmax,
    /// `x - ln(sum(exp))` over the values of a group.
    LogSoftmax,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// The index of the largest value of a group.
    ArgMax {
        /// Whether the last of equal values counts, and not the first.
        last: bool,
    },
}

/// A function of the file that is evaluated behind the accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffChip {
    /// The function.
    pub function: RealFunction,
    /// The tensor that it reads. Behind it only [`Op::Reshape`] and [`Op::Transpose`] lead to the network's output.
    pub tensor: TensorId,
    /// Axes of that tensor that a softmax sums over, or that a selection is along; none for a function of single values.
    pub axes: Vec<usize>,
}

/// What the integers at a network's output stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum OutputMeaning {
    /// Real values ([`Network::output_values`]), which are what the file makes.
    #[default]
    Values,
    /// Indices of the largest of some values, which the network selects itself.
    Indices {
        /// How many values it selects among.
        classes: usize,
        /// Positions in the output of the indices of the very largest, in order; of `k` indices the first.
        first: Vec<usize>,
    },
    /// Real values, of which the file makes something else.
    Function {
        /// The function.
        function: RealFunction,
        /// Positions in the output of the values of each softmax or selection; empty for a function of single values.
        groups: Vec<Vec<usize>>,
    },
}

impl Network {
    /// The real values of output mantissas, of one sample or of several in a row, row-major in the output tensor.
    ///
    /// This is what is applied behind the accelerator: `mantissa * 2^-frac * scale`, where the tensor states `scale` or
    /// [`Network::output_scales`] do, one per channel; and with [`Network::output_offsets`] that product plus the offset.
    /// The result is rounded once, to the nearest `f64`. So where scale and offset are exact, and the mantissa has no more
    /// than 53 bits, equal values are equal, and no value lies on the wrong side of another. A function of the file
    /// ([`OutputMeaning::Function`]) reads these values.
    pub fn output_values<'a>(&'a self, mantissas: &'a [i64]) -> impl Iterator<Item = f64> + 'a {
        let output = self.tensor(self.output);
        let frac = output.encoding.frac();
        let (scales, offsets) = (&self.output_scales, &self.output_offsets);
        mantissas.iter().enumerate().map(move |(index, &mantissa)| {
            let scale = match scales.len() {
                0 => output.scale,
                channels => scales[index % channels],
            };
            let units = libm::scalbn(mantissa as f64, -frac);
            match offsets.len() {
                0 => units * scale,
                channels => libm::fma(units, scale, offsets[index % channels]),
            }
        })
    }

    /// States factors and offsets of the output's values, where the elements of the output are those of `tensor`, moved;
    /// both lists are one long, or one per channel of `tensor`.
    pub(crate) fn set_output_units(&mut self, tensor: TensorId, scales: &[f64], offsets: &[f64]) {
        let (_, origin) = self.output_origin(Some(tensor));
        let width = self.tensor(self.output).channels();
        let spread = |list: &[f64]| -> Vec<f64> {
            let mut each: Vec<f64> = origin.iter().map(|element| list[element % list.len()]).collect();
            for period in [1, width] {
                if each
                    .iter()
                    .enumerate()
                    .all(|(at, value)| *value == each[at % period])
                {
                    each.truncate(period);
                    break;
                }
            }
            each
        };
        let (scales, offsets) = (spread(scales), spread(offsets));
        self.output_offsets = if offsets == [0.0] { Vec::new() } else { offsets };
        let output = &mut self.tensors[self.output.index()];
        if let [scale] = scales[..] {
            output.scale = scale;
        } else {
            output.scale = 1.0;
            self.output_scales = scales;
        }
    }

    /// The tensor whose elements the output holds, and which of them, row-major, at each place. It is the first one, from
    /// the output on, that is `last` or that an operation computes.
    fn output_origin(&self, last: Option<TensorId>) -> (TensorId, Vec<usize>) {
        let makers = self.makers();
        let mut tensor = self.output;
        // The moves on the way, the last first.
        let mut moves = Vec::new();
        while last != Some(tensor)
            && let Some(node) = makers.get(&tensor).map(|&slot| &self.nodes[slot])
            && matches!(node.op, Op::Reshape | Op::Transpose { .. })
            && moves.len() < self.nodes.len()
        {
            moves.push(node);
            tensor = node.inputs[0];
        }
        let mut origin: Vec<usize> = (0..self.tensor(tensor).len()).collect();
        for node in moves.into_iter().rev() {
            if let Op::Transpose { perm } = &node.op {
                origin = permuted(&origin, &self.tensor(node.inputs[0]).shape, perm);
            }
        }
        (tensor, origin)
    }

    /// The slot of the node that makes each tensor.
    fn makers(&self) -> HashMap<TensorId, usize> {
        (0..self.nodes.len())
            .map(|slot| (self.nodes[slot].output, slot))
            .collect()
    }

    /// What the integers at the output stand for, from the operations that make them.
    #[must_use]
    pub fn output_meaning(&self) -> OutputMeaning {
        let (tensor, origin) = self.output_origin(self.off_chip.as_ref().map(|end| end.tensor));
        let end = self.off_chip.as_ref().filter(|end| end.tensor == tensor);
        if let Some(end) = end {
            return OutputMeaning::Function {
                function: end.function,
                groups: groups(&origin, &self.tensor(tensor).shape, &end.axes),
            };
        }
        match self.makers().get(&tensor).map(|&slot| &self.nodes[slot]) {
            Some(node) if let Op::ArgMax(selection) = &node.op => OutputMeaning::Indices {
                classes: self.tensor(node.inputs[0]).channels(),
                first: (0..origin.len())
                    .filter(|&at| origin[at].is_multiple_of(selection.count))
                    .collect(),
            },
            _ => OutputMeaning::Values,
        }
    }
}

/// The elements of a row-major array with its axes permuted; axis `i` of the result is axis `perm[i]`.
fn permuted(elements: &[usize], shape: &[usize], perm: &[usize]) -> Vec<usize> {
    let mut positions = vec![0];
    for &axis in perm {
        let stride: usize = shape[axis + 1..].iter().product();
        positions = positions
            .iter()
            .flat_map(|&base| (0..shape[axis]).map(move |index| base + index * stride))
            .collect();
    }
    positions.into_iter().map(|at| elements[at]).collect()
}

/// The positions in `origin` of the elements of an array that agree on all axes but `axes`.
fn groups(origin: &[usize], shape: &[usize], axes: &[usize]) -> Vec<Vec<usize>> {
    if axes.is_empty() {
        return Vec::new();
    }
    let kept: Vec<(usize, usize)> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .map(|axis| (shape[axis + 1..].iter().product(), shape[axis]))
        .collect();
    let mut groups = vec![Vec::new(); kept.iter().map(|(_, extent)| extent).product()];
    for (at, &element) in origin.iter().enumerate() {
        let group = kept.iter().fold(0, |group, &(stride, extent)| {
            group * extent + element / stride % extent
        });
        groups[group].push(at);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_where_a_permutation_puts_them() {
        // [2][3] with axes exchanged: element (i, j) of the result is (j, i).
        let elements: Vec<usize> = (0..6).collect();
        assert_eq!(permuted(&elements, &[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(permuted(&elements, &[1, 2, 3], &[2, 0, 1]), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn a_softmax_sums_over_its_axes_wherever_their_elements_went() {
        let plain: Vec<usize> = (0..6).collect();
        assert_eq!(groups(&plain, &[2, 3], &[1]), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(groups(&plain, &[2, 3], &[0]), [[0, 3], [1, 4], [2, 5]]);
        assert_eq!(groups(&plain, &[2, 3], &[0, 1]), [[0, 1, 2, 3, 4, 5]]);
        let moved = permuted(&plain, &[2, 3], &[1, 0]);
        assert_eq!(groups(&moved, &[2, 3], &[1]), [[0, 2, 4], [1, 3, 5]]);
        assert!(groups(&plain, &[2, 3], &[]).is_empty());
    }
}
