//! The real function in which a network's file ends, in front of all else that is read out.

use serde::Serialize;

use crate::network::RealFunction;

/// The function and which values it combines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Front {
    pub(super) function: RealFunction,
    /// Positions of the values of each softmax, in the order in which they are summed, or of each selection, whose
    /// index takes the first place.
    pub(super) groups: Vec<Vec<usize>>,
}

impl Front {
    /// The same on values of which value `order[i]` has become value `i`.
    pub(super) fn reordered(mut self, order: &[usize]) -> Self {
        let mut place = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            place[from] = to;
        }
        for position in self.groups.iter_mut().flatten() {
            *position = place[*position];
        }
        self
    }

    pub(super) fn apply(&self, values: &mut [f64]) {
        match self.function {
            RealFunction::Sigmoid => values.iter_mut().for_each(|x| *x = super::kernels::sigmoid(*x)),
            RealFunction::Tanh => values.iter_mut().for_each(|x| *x = libm::tanh(*x)),
            RealFunction::ArgMax { last } => self.groups.iter().for_each(|group| {
                let better = |a: f64, b: f64| a > b || (last && a == b);
                let best = (1..group.len()).fold(0, |best, rank| {
                    if better(values[group[rank]], values[group[best]]) {
                        rank
                    } else {
                        best
                    }
                });
                values[group[0]] = best as f64;
            }),
            RealFunction::Softmax => self.groups.iter().for_each(|group| {
                let largest = largest(values, group);
                let mut sum = 0.0;
                for &at in group {
                    values[at] = libm::exp(values[at] - largest);
                    sum += values[at];
                }
                group.iter().for_each(|&at| values[at] /= sum);
            }),
            RealFunction::LogSoftmax => self.groups.iter().for_each(|group| {
                let largest = largest(values, group);
                let mut sum = 0.0;
                for &at in group {
                    sum += libm::exp(values[at] - largest);
                }
                let log = libm::log(sum);
                // Terms that are as small as the result come first.
                group
                    .iter()
                    .for_each(|&at| values[at] = (values[at] - largest) - log);
            }),
        }
    }
}

fn largest(values: &[f64], group: &[usize]) -> f64 {
    group
        .iter()
        .fold(f64::NEG_INFINITY, |largest, &at| largest.max(values[at]))
}
