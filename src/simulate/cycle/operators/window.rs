//! In which order a window generator takes pixels and hands out windows.

/// One iteration of the loop over a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// Whether it takes a pixel.
    pub takes: bool,
    /// The window that is complete then.
    pub window: Option<u32>,
}

/// The loop over one frame: every pixel is taken once, and every window is handed out as soon as its
/// last pixel has been taken.
#[derive(Clone, Debug)]
pub struct WindowProgram {
    iterations: Vec<Iteration>,
    windows: Vec<Vec<Option<u32>>>,
    ring: usize,
}

impl WindowProgram {
    /// `windows` has the input pixel of every tap, none in the border, for each output pixel in the
    /// order of the output.
    #[must_use]
    pub fn new(pixels: usize, windows: Vec<Vec<Option<u32>>>) -> Self {
        let needs: Vec<usize> = windows
            .iter()
            .map(|taps| taps.iter().flatten().max().map_or(0, |&last| last as usize + 1))
            .collect();
        // The oldest pixel that a window or any later one reads.
        let mut oldest = vec![pixels; windows.len() + 1];
        for at in (0..windows.len()).rev() {
            let own = windows[at]
                .iter()
                .flatten()
                .min()
                .map_or(pixels, |&first| first as usize);
            oldest[at] = own.min(oldest[at + 1]);
        }
        let mut iterations = Vec::new();
        let (mut taken, mut ring) = (0, 1);
        for (window, &need) in needs.iter().enumerate() {
            while taken + 1 < need {
                iterations.push(Iteration {
                    takes: true,
                    window: None,
                });
                taken += 1;
                ring = ring.max(taken.saturating_sub(oldest[window]));
            }
            let takes = taken < need;
            taken += usize::from(takes);
            ring = ring.max(taken.saturating_sub(oldest[window]));
            iterations.push(Iteration {
                takes,
                window: Some(window as u32),
            });
        }
        iterations.extend((taken..pixels).map(|_| Iteration {
            takes: true,
            window: None,
        }));
        Self {
            iterations,
            windows,
            ring,
        }
    }

    /// The windows of a gathering or scattering ([`crate::network::Mac::transposed`]) geometry.
    #[must_use]
    pub fn of_geometry(geometry: &crate::network::Geometry, transposed: bool) -> Self {
        let window = &geometry.window;
        let source = |axis: usize, at: usize, tap: usize| {
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
        };
        let mut windows = Vec::with_capacity(geometry.output[0] * geometry.output[1]);
        for oy in 0..geometry.output[0] {
            for ox in 0..geometry.output[1] {
                let mut taps = Vec::with_capacity(window.kernel[0] * window.kernel[1]);
                for ky in 0..window.kernel[0] {
                    for kx in 0..window.kernel[1] {
                        let at = source(0, oy, ky).zip(source(1, ox, kx));
                        taps.push(at.map(|(y, x)| (y * geometry.input[1] + x) as u32));
                    }
                }
                windows.push(taps);
            }
        }
        Self::new(geometry.input[0] * geometry.input[1], windows)
    }

    /// Number of iterations of one frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iterations.len()
    }

    /// An iteration; beyond the last one, where only an upset counter leads, a pixel is taken and
    /// nothing is complete.
    #[must_use]
    #[inline]
    pub fn iteration(&self, at: u64) -> Iteration {
        let beyond = Iteration {
            takes: true,
            window: None,
        };
        usize::try_from(at)
            .ok()
            .and_then(|at| self.iterations.get(at))
            .copied()
            .unwrap_or(beyond)
    }

    /// The taps of a window.
    #[must_use]
    pub fn taps(&self, window: u32) -> &[Option<u32>] {
        &self.windows[window as usize]
    }

    /// Whether a window is handed out where no pixel is taken, so that what it reads has to be kept.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.iterations.iter().any(|iteration| {
            let reads = |window: u32| self.windows[window as usize].iter().any(Option::is_some);
            !iteration.takes && iteration.window.is_some_and(reads)
        })
    }

    /// Pixels that have to be kept at most, the one just taken included.
    #[must_use]
    pub fn ring(&self) -> usize {
        self.ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Geometry, Window};

    /// Every tap of every window is in the ring when the window is handed out, and a smaller ring
    /// would have lost one.
    fn holds(program: &WindowProgram, ring: usize) -> bool {
        let mut taken = 0usize;
        let mut windows = 0;
        let mut complete = true;
        for at in 0..program.len() as u64 {
            let iteration = program.iteration(at);
            taken += usize::from(iteration.takes);
            if let Some(window) = iteration.window {
                assert_eq!(window, windows);
                windows += 1;
                complete &= program
                    .taps(window)
                    .iter()
                    .flatten()
                    .all(|&tap| (tap as usize) < taken && tap as usize + ring >= taken);
            }
        }
        assert_eq!(taken, 7 * 6, "pixels of the frame");
        complete
    }

    #[test]
    fn the_ring_is_as_small_as_it_can_be() {
        for (kernel, stride, pad, transposed) in [
            ([3, 3], [1, 1], [0, 0], false),
            ([3, 2], [2, 1], [1, 0], false),
            ([2, 2], [2, 2], [0, 0], true),
            ([3, 3], [2, 2], [1, 1], true),
            ([1, 1], [1, 1], [0, 0], false),
        ] {
            let extent = |axis: usize, input: usize| {
                if transposed {
                    (input - 1) * stride[axis] + kernel[axis] - 2 * pad[axis]
                } else {
                    (input + 2 * pad[axis] - kernel[axis]) / stride[axis] + 1
                }
            };
            let geometry = Geometry {
                input: [7, 6, 3],
                output: [extent(0, 7), extent(1, 6), 5],
                window: Window {
                    kernel,
                    stride,
                    dilation: [1, 1],
                    pad,
                },
            };
            let program = WindowProgram::of_geometry(&geometry, transposed);
            assert!(holds(&program, program.ring()));
            assert!(program.ring() == 1 || !holds(&program, program.ring() - 1));
        }
    }
}
