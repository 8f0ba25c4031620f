//! Which elements of an array go on: slices, picks along an axis, and walks over arrays that are spread over
//! others.

use super::Importer;
use crate::network::import::ImportError;
use crate::network::import::onnx::{Constant, ConstantData, OnnxNode};

/// The coordinates of `start:end:step` on an axis, with numpy's meaning of numbers beyond the ends.
pub fn slice_indices(extent: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let extent = i128::try_from(extent).ok()?;
    let (start, end, step) = (i128::from(start), i128::from(end), i128::from(step));
    let counted = |at: i128| if at < 0 { at + extent } else { at };
    let (low, high) = match step {
        0 => return None,
        1.. => (0, extent),
        _ => (-1, extent - 1),
    };
    let first = counted(start).clamp(low, high);
    let last = counted(end).clamp(low, high);
    let distance = if step > 0 { last - first } else { first - last };
    let count = if distance > 0 {
        (distance + step.abs() - 1) / step.abs()
    } else {
        0
    };
    (0..count)
        .map(|k| usize::try_from(first + k * step).ok())
        .collect()
}

/// All coordinates of every axis but one, which has these.
pub fn all_but(shape: &[usize], axis: usize, picked: Vec<usize>) -> Vec<Vec<usize>> {
    let mut picks: Vec<Vec<usize>> = shape
        .iter()
        .enumerate()
        .map(|(one, &extent)| (0..if one == axis { 0 } else { extent }).collect())
        .collect();
    picks[axis] = picked;
    picks
}

/// The elements of a constant at these positions.
pub fn gathered(constant: &Constant, shape: Vec<usize>, at: &[usize]) -> Constant {
    let data = match &constant.data {
        ConstantData::Real(values) => ConstantData::Real(at.iter().map(|&at| values[at]).collect()),
        ConstantData::Integer(values) => ConstantData::Integer(at.iter().map(|&at| values[at]).collect()),
    };
    Constant::new(shape, data)
}

/// The elements at these coordinates of every axis.
pub fn pick(constant: &Constant, picks: &[Vec<usize>]) -> Constant {
    let mut at = vec![0];
    for (picked, &extent) in picks.iter().zip(&constant.shape) {
        at = at
            .iter()
            .flat_map(|front| picked.iter().map(move |&coordinate| front * extent + coordinate))
            .collect();
    }
    gathered(constant, picks.iter().map(Vec::len).collect(), &at)
}

/// Walks an array of shape `shape` and calls `each` with the positions in two arrays that are spread over it.
pub fn each_pair(shape: &[usize], a: &[usize], b: &[usize], mut each: impl FnMut(usize, usize)) {
    let rank = shape.len();
    let strides = |own: &[usize]| -> Vec<usize> {
        let mut strides = vec![0; rank];
        let mut stride = 1;
        for (back, &extent) in own.iter().rev().enumerate().take(rank) {
            if extent != 1 {
                strides[rank - 1 - back] = stride;
            }
            stride *= extent;
        }
        strides
    };
    let (by_a, by_b) = (strides(a), strides(b));
    if shape.contains(&0) {
        return;
    }
    let Some((&inner, outer)) = shape.split_last() else {
        each(0, 0);
        return;
    };
    let mut coordinates = vec![0; outer.len()];
    loop {
        let start =
            |strides: &[usize]| -> usize { coordinates.iter().zip(strides).map(|(at, by)| at * by).sum() };
        let (mut i, mut j) = (start(&by_a), start(&by_b));
        for _ in 0..inner {
            each(i, j);
            i += by_a[rank - 1];
            j += by_b[rank - 1];
        }
        let Some(axis) = (0..outer.len())
            .rev()
            .find(|&axis| coordinates[axis] + 1 < outer[axis])
        else {
            return;
        };
        coordinates[axis] += 1;
        coordinates[axis + 1..].fill(0);
    }
}

impl Importer<'_> {
    /// Indices along an axis, counted from either end.
    pub fn picked(
        &self,
        node: &OnnxNode,
        indices: &Constant,
        extent: usize,
    ) -> Result<Vec<usize>, ImportError> {
        let wrong = || {
            self.structure(node, &format!("picks elements beyond an axis of extent {extent}"))
                .expected(format!("integers in -{extent}..{extent}"))
                .help("export the network again")
        };
        let indices = indices.integers().ok_or_else(wrong)?;
        let counted = |&at: &i64| {
            let at = if at < 0 {
                at.checked_add(extent as i64)?
            } else {
                at
            };
            usize::try_from(at).ok().filter(|&at| at < extent)
        };
        indices
            .iter()
            .map(counted)
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(wrong)
    }

    /// The axes of a reduction, from the attribute or the second input; all where none is named.
    pub fn reduced_axes(&self, node: &OnnxNode, rank: usize) -> Result<Vec<usize>, ImportError> {
        match self.axis_list(node, "axes")? {
            Some(axes) if !axes.is_empty() => axes.iter().map(|&axis| self.axis(node, axis, rank)).collect(),
            _ if node.int("noop_with_empty_axes").unwrap_or(0) != 0 => Ok(Vec::new()),
            _ => Ok((0..rank).collect()),
        }
    }

    /// The coordinates that a `Slice` keeps on every axis: bounds as attributes in operator set 1, as
    /// inputs since 10.
    pub fn slices(&self, node: &OnnxNode, shape: &[usize]) -> Result<Vec<Vec<usize>>, ImportError> {
        let wrong = |problem: &str| {
            self.structure(node, problem)
                .expected("one start and one end per axis, and steps other than 0")
                .help("export the network again")
        };
        let list = |name: &str, position: usize| self.integers(node, name, position);
        let (Some(starts), Some(ends)) = (list("starts", 1)?, list("ends", 2)?) else {
            return Err(wrong("has no bounds"));
        };
        let axes = match list("axes", 3)? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = match list("steps", 4)? {
            Some(steps) => steps,
            None => vec![1; starts.len()],
        };
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > shape.len() {
            return Err(wrong("has bounds, axes and steps of different number"));
        }
        let mut picks = vec![None; shape.len()];
        let mut named = Vec::with_capacity(axes.len());
        for (position, &axis) in axes.iter().enumerate() {
            let axis = self.axis(node, axis, shape.len())?;
            if named.contains(&axis) {
                return Err(wrong(&format!("slices axis {axis} twice")));
            }
            named.push(axis);
            let kept = slice_indices(shape[axis], starts[position], ends[position], steps[position]);
            picks[axis] = Some(kept.ok_or_else(|| wrong("has a step of 0"))?);
        }
        let kept = picks.into_iter().zip(shape);
        Ok(kept
            .map(|(kept, &extent)| kept.unwrap_or_else(|| (0..extent).collect()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy's `numpy.arange(extent)[start:end:step]`, and ONNX's bounds beyond the ends.
    #[test]
    fn slices_count_from_either_end() {
        for (extent, start, end, step, kept) in [
            (5, 1, 4, 2, &[1, 3][..]),
            (5, -2, i64::MAX, 1, &[3, 4]),
            (5, -1, i64::MIN, -2, &[4, 2, 0]),
            (5, 9, 0, -1, &[4, 3, 2, 1]),
            (5, 2, 2, 1, &[]),
            (5, 3, 1, 1, &[]),
            (1, i64::MIN, i64::MAX, i64::MAX, &[0]),
            (3, i64::MAX, i64::MIN, i64::MIN, &[2]),
        ] {
            assert_eq!(
                slice_indices(extent, start, end, step).as_deref(),
                Some(kept),
                "{start}:{end}:{step}"
            );
        }
        assert_eq!(slice_indices(5, 0, 5, 0), None);
    }
}
