//! `Pad`: a border of one value, or of the tensor's own elements.

use num_rational::BigRational;

use super::exact::{self, common_grid};
use super::stream::Stream;
use super::{Importer, Value};
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;
use crate::network::{Encoding, Op};

/// Widest border.
const MAX_BORDER: u64 = 1 << 20;

impl Importer<'_> {
    /// `Pad` on any axis but the batch; negative amounts crop.
    pub fn pad(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let from = self.batched_shape(&stream);
        let (before, after) = self.pad_amounts(node, from.len())?;
        if before[0] != 0 || after[0] != 0 {
            return Err(self
                .unsupported(node, "pads the batch")
                .expected("amounts of 0 for the batch")
                .help("pad within each sample"));
        }
        let mode = node.text("mode").unwrap_or_else(|| "constant".to_owned());
        if mode == "constant" {
            // What is cut off goes first.
            let cut = |amount: i64| usize::try_from(-amount).unwrap_or(0);
            let picks: Vec<Vec<usize>> = (0..from.len())
                .map(|axis| {
                    let end = from[axis].saturating_sub(cut(after[axis]));
                    (cut(before[axis]).min(end)..end).collect()
                })
                .collect();
            let stream = self.pick(node, &node.outputs[0], stream, &picks[1..])?;
            let border = self.border(node)?;
            let amounts: Vec<(usize, usize)> = (1..from.len())
                .map(|axis| (before[axis].max(0) as usize, after[axis].max(0) as usize))
                .collect();
            return self.bordered(node, stream, &amounts, border).map(Value::Stream);
        }
        let mut picks = Vec::with_capacity(from.len());
        for (axis, &extent) in from.iter().enumerate() {
            let at = (-before[axis]..extent as i64 + after[axis])
                .map(|at| mirrored(&mode, at, extent as i64))
                .collect::<Option<Vec<usize>>>();
            picks.push(at.ok_or_else(|| {
                self.unsupported(node, &format!("pads an axis of extent {extent} by mode `{mode}`"))
                    .expected("mode constant, reflect, edge or wrap, and no reflection wider than the axis")
                    .help("check the amounts")
            })?);
        }
        self.pick(node, &node.outputs[0], stream, &picks[1..])
            .map(Value::Stream)
    }

    /// Amounts before and after every axis, the batch included: an attribute until operator set 10, inputs
    /// since 11, for the named axes only since 18.
    fn pad_amounts(&self, node: &OnnxNode, rank: usize) -> Result<(Vec<i64>, Vec<i64>), ImportError> {
        let wrong = |problem: String| {
            self.structure(node, &problem)
                .expected("one amount before and one after each axis")
                .help("export the network again")
        };
        let stated = match self.integers(node, "pads", 1)? {
            Some(pads) => pads,
            None => node.ints("paddings").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let axes: Vec<usize> = match self.integers(node, "axes", 3)? {
            None => (0..rank).collect(),
            Some(axes) => {
                let axes: Result<Vec<usize>, ImportError> =
                    axes.iter().map(|&axis| self.axis(node, axis, rank)).collect();
                axes?
            }
        };
        let within = stated.iter().all(|amount| amount.unsigned_abs() < MAX_BORDER);
        if stated.len() != 2 * axes.len() || axes.len() > rank || !within {
            return Err(wrong(format!("pads {} axes by {stated:?}", axes.len())));
        }
        let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
        for (position, &axis) in axes.iter().enumerate() {
            before[axis] = stated[position];
            after[axis] = stated[axes.len() + position];
        }
        Ok((before, after))
    }

    fn border(&self, node: &OnnxNode) -> Result<BigRational, ImportError> {
        if node.input(2).is_some() && !self.is_empty_constant(node, 2) {
            return Ok(self.exact_constant(node, 2, "padding value")?.0[0].clone());
        }
        exact::rational(node.float("value").unwrap_or(0.0)).ok_or_else(|| {
            self.structure(node, "pads with a value that is no finite number")
                .expected("a finite value")
                .help("export the network again")
        })
    }

    /// A border of one value, of these widths before and after each axis of the file (without the batch).
    pub fn bordered(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        amounts: &[(usize, usize)],
        border: BigRational,
    ) -> Result<Stream, ImportError> {
        let padded: Vec<usize> = (0..amounts.len())
            .filter(|&axis| amounts[axis] != (0, 0))
            .collect();
        if padded.is_empty() {
            return Ok(stream);
        }
        let stream = self.materialise(node, stream)?;
        // The border's value becomes a whole number of the values' units.
        let mut stream = if exact::integer(&(&border / &stream.scale[0])).is_some() {
            stream
        } else {
            let grid = common_grid(&stream.scale[0], &border);
            let frac = exact::log2(&grid).map_or(0, |k| -k);
            self.rescaled(node, stream, &grid, frac)?
        };
        let value = exact::integer(&(&border / &stream.scale[0])).unwrap_or(0);
        let rank = amounts.len();
        let image = (2..=3).contains(&rank);
        let in_order = stream.axes.iter().copied().eq(0..rank);
        if image && amounts[0] == (0, 0) && !(in_order && amounts[rank - 1] == (0, 0)) {
            // An image with its channels first in the file, last in the network.
            let layout: Vec<usize> = std::iter::once(rank - 1).chain(0..rank - 1).collect();
            let stream = self.with_layout(node, stream, &layout)?;
            return self.pad_leading(node, stream, &amounts[1..], value);
        }
        if image && amounts[rank - 1] == (0, 0) {
            let layout: Vec<usize> = (0..rank).collect();
            let stream = self.with_layout(node, stream, &layout)?;
            return self.pad_leading(node, stream, &amounts[..rank - 1], value);
        }
        // Any other axis by itself: in front of one axis of all the others.
        let shape_at = |importer: &Self, stream: &Stream| importer.file_shape(stream);
        for axis in padded {
            let shape = shape_at(self, &stream);
            let moved: Vec<usize> = std::iter::once(axis)
                .chain((0..rank).filter(|&k| k != axis))
                .collect();
            let turned = |stream: Stream, perm: &[usize]| Stream {
                axes: perm.iter().map(|&from| stream.axes[from]).collect(),
                ..stream
            };
            let rest: usize = (0..rank).filter(|&k| k != axis).map(|k| shape[k]).product();
            let flat = self.reshape_to(node, turned(stream, &moved), vec![shape[axis], rest])?;
            let grown = self.pad_leading(node, flat, &amounts[axis..=axis], value)?;
            let mut target: Vec<usize> = moved.iter().map(|&k| shape[k]).collect();
            target[0] += amounts[axis].0 + amounts[axis].1;
            let back: Vec<usize> = (0..rank)
                .map(|axis| moved.iter().position(|&k| k == axis).unwrap_or(0))
                .collect();
            stream = turned(self.reshape_to(node, grown, target)?, &back);
        }
        Ok(stream)
    }

    /// Pads the one or two leading axes of a tensor of one axis more.
    fn pad_leading(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        amounts: &[(usize, usize)],
        value: i64,
    ) -> Result<Stream, ImportError> {
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let mut shape = tensor.shape.clone();
        for (extent, (before, after)) in shape.iter_mut().zip(amounts) {
            *extent += before + after;
        }
        self.check_shape(node, &shape)?;
        let (top, bottom, left, right) = match amounts {
            [(top, bottom), (left, right)] => (*top, *bottom, *left, *right),
            [(left, right)] => (0, 0, *left, *right),
            _ => (0, 0, 0, 0),
        };
        let encoding = if tensor.encoding.contains(i128::from(value)) {
            tensor.encoding
        } else {
            let (low, high) = tensor.encoding.range();
            let value = i128::from(value);
            let wider = exact::stored(low.min(value), high.max(value), tensor.encoding.frac());
            Encoding::Fixed(wider.ok_or_else(|| {
                self.inexact(
                    node,
                    "pads with a value that no 64 bits hold together with the tensor's",
                )
                .expected("a border within 64 bits of the values' unit")
                .help("quantize the tensor behind the padding instead of before it")
            })?)
        };
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let output = self
            .builder
            .tensor(&node.outputs[0], shape, encoding, tensor.scale);
        let op = Op::Pad(crate::network::Pad {
            amounts: [top, bottom, left, right],
            value,
        });
        self.builder.node(&name, layer, op, vec![stream.tensor], output);
        Ok(Stream {
            tensor: output,
            ..stream
        })
    }
}

/// The element that a place beyond the ends shows.
fn mirrored(mode: &str, at: i64, extent: i64) -> Option<usize> {
    let from = match mode {
        "edge" => at.clamp(0, extent - 1),
        "wrap" => at.rem_euclid(extent),
        "reflect" if extent == 1 => (at == 0).then_some(0)?,
        "reflect" => {
            let period = 2 * (extent - 1);
            let at = at.rem_euclid(period);
            at.min(period - at)
        }
        _ => return None,
    };
    usize::try_from(from).ok()
}

#[cfg(test)]
mod tests {
    use super::mirrored;

    /// numpy's `pad([0, 1, 2], (2, 3), mode)`.
    #[test]
    fn borders_of_own_elements() {
        let row = |mode| {
            (-2..6)
                .map(|at| mirrored(mode, at, 3))
                .collect::<Option<Vec<usize>>>()
        };
        assert_eq!(row("reflect"), Some(vec![2, 1, 0, 1, 2, 1, 0, 1]));
        assert_eq!(row("edge"), Some(vec![0, 0, 0, 1, 2, 2, 2, 2]));
        assert_eq!(row("wrap"), Some(vec![1, 2, 0, 1, 2, 0, 1, 2]));
        assert_eq!(row("mirror"), None);
    }
}
