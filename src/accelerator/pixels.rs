//! The loop of a function over the pixels of a map: in which order it takes pixels and completes windows.

use crate::network::Geometry;

/// One iteration of a loop over pixels: whether it takes one, and whether it completes a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whether it takes a pixel.
    pub takes: bool,
    /// Whether a window is complete then.
    pub completes: bool,
}

/// The input row (axis 0), or column (axis 1), that a tap of an output row, or column, reads; none in the border.
#[must_use]
pub fn tap_source(
    geometry: &Geometry,
    transposed: bool,
    axis: usize,
    at: usize,
    tap: usize,
) -> Option<usize> {
    let window = &geometry.window;
    let offset = tap * window.dilation[axis];
    let source = if transposed {
        let shifted = (at + window.pad[axis]).checked_sub(offset)?;
        shifted
            .is_multiple_of(window.stride[axis])
            .then(|| shifted / window.stride[axis])?
    } else {
        (at * window.stride[axis] + offset).checked_sub(window.pad[axis])?
    };
    (source < geometry.input[axis]).then_some(source)
}

/// The loop over the pixels of a map: every pixel is taken once, and a window is handed out as soon as its last pixel
/// is there.
#[must_use]
pub fn steps(geometry: &Geometry, transposed: bool) -> Vec<Step> {
    let last = |axis: usize, at: usize| -> Option<usize> {
        (0..geometry.window.kernel[axis])
            .filter_map(|tap| tap_source(geometry, transposed, axis, at, tap))
            .max()
    };
    let columns: Vec<Option<usize>> = (0..geometry.output[1]).map(|at| last(1, at)).collect();
    let pixels = geometry.input[0] * geometry.input[1];
    let mut steps = Vec::with_capacity(pixels);
    let mut taken = 0;
    for row in 0..geometry.output[0] {
        let y = last(0, row);
        for &x in &columns {
            let need = y.zip(x).map_or(0, |(y, x)| y * geometry.input[1] + x + 1);
            while taken + 1 < need {
                steps.push(Step {
                    takes: true,
                    completes: false,
                });
                taken += 1;
            }
            let takes = taken < need;
            taken += usize::from(takes);
            steps.push(Step {
                takes,
                completes: true,
            });
        }
    }
    steps.extend((taken..pixels).map(|_| Step {
        takes: true,
        completes: false,
    }));
    steps
}
