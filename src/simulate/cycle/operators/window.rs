//! In which order a window generator takes pixels and hands out windows.

use std::sync::{Arc, OnceLock};

use crate::accelerator::pixels::{steps, tap_source};
use crate::network::Geometry;
use crate::simulate::cycle::stage::Access;

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
///
/// The iterations and the taps of all windows are listed when the loop first runs; what a unit has to hold is known
/// without them.
#[derive(Clone, Debug)]
pub struct WindowProgram {
    geometry: Geometry,
    transposed: bool,
    size: Size,
    listed: Arc<OnceLock<Listed>>,
}

/// What a unit has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    iterations: usize,
    ring: usize,
    reads_again: bool,
}

/// Everything that a frame does.
#[derive(Debug)]
struct Listed {
    iterations: Vec<Iteration>,
    windows: Vec<Vec<Option<u32>>>,
}

impl WindowProgram {
    /// The windows of a gathering or scattering ([`crate::network::Mac::transposed`]) geometry.
    #[must_use]
    pub fn of_geometry(geometry: &Geometry, transposed: bool) -> Self {
        Self {
            geometry: *geometry,
            transposed,
            size: Size::of(geometry, transposed),
            listed: Arc::default(),
        }
    }

    fn listed(&self) -> &Listed {
        self.listed
            .get_or_init(|| Listed::of(&self.geometry, self.transposed))
    }

    /// Number of iterations of one frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size.iterations
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
            .and_then(|at| self.listed().iterations.get(at))
            .copied()
            .unwrap_or(beyond)
    }

    /// The taps of a window.
    #[must_use]
    pub fn taps(&self, window: u32) -> &[Option<u32>] {
        &self.listed().windows[window as usize]
    }

    /// The accesses of an iteration to its line buffer: the pixel that it takes goes to word `write`, then it reads the
    /// taps of its window. `place` is the first limb of a word.
    pub fn accesses(
        &self,
        iteration: u64,
        write: u64,
        taken: bool,
        place: impl Fn(usize) -> usize,
        access: &mut dyn FnMut(usize, Access),
    ) {
        let iteration = self.iteration(iteration);
        if iteration.takes && !taken {
            return;
        }
        let ring = self.ring();
        if iteration.takes && write < ring as u64 {
            access(place(write as usize), Access::Writes);
        }
        let taps = iteration.window.map_or(&[][..], |window| self.taps(window));
        for &tap in taps.iter().flatten() {
            access(place(tap as usize % ring), Access::Reads);
        }
    }

    /// Whether a window is handed out where no pixel is taken, so that what it reads has to be kept.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.size.reads_again
    }

    /// Pixels that have to be kept at most, the one just taken included.
    #[must_use]
    pub fn ring(&self) -> usize {
        self.size.ring
    }
}

impl Size {
    /// Walks over the windows with the first and last row and column of each alone: a window reads its last pixel in
    /// the last of its rows and columns, and its first one in the first of them.
    fn of(geometry: &Geometry, transposed: bool) -> Self {
        let width = geometry.input[1];
        let pixels = geometry.input[0] * width;
        let ends = |axis: usize| -> Vec<Option<(usize, usize)>> {
            let ends_of = |at: usize| {
                let taps = 0..geometry.window.kernel[axis];
                let sources = taps.filter_map(|tap| tap_source(geometry, transposed, axis, at, tap));
                sources.fold(None, |ends: Option<(usize, usize)>, at| {
                    Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))))
                })
            };
            (0..geometry.output[axis]).map(ends_of).collect()
        };
        let (rows, columns) = (ends(0), ends(1));
        let mut size = Self {
            iterations: 0,
            ring: 1,
            reads_again: false,
        };
        let mut taken = 0;
        for row in &rows {
            for column in &columns {
                let ends = row.zip(*column).map(|(row, column)| {
                    let pixel = |row: usize, column: usize| row * width + column;
                    (pixel(row.0, column.0), pixel(row.1, column.1))
                });
                let need = ends.map_or(0, |(_, last)| last + 1);
                size.reads_again |= ends.is_some() && need <= taken;
                size.iterations += need.saturating_sub(taken).max(1);
                taken = taken.max(need);
                // What a later window reads is kept for that one, which has at least as many pixels behind it.
                size.ring = size.ring.max(ends.map_or(0, |(first, _)| taken - first));
            }
        }
        size.iterations += pixels - taken;
        size
    }
}

impl Listed {
    fn of(geometry: &Geometry, transposed: bool) -> Self {
        let [rows, columns] = geometry.window.kernel;
        let mut windows = Vec::with_capacity(geometry.output[0] * geometry.output[1]);
        for oy in 0..geometry.output[0] {
            for ox in 0..geometry.output[1] {
                let mut taps = Vec::with_capacity(rows * columns);
                for ky in 0..rows {
                    for kx in 0..columns {
                        let at = tap_source(geometry, transposed, 0, oy, ky)
                            .zip(tap_source(geometry, transposed, 1, ox, kx));
                        taps.push(at.map(|(y, x)| (y * geometry.input[1] + x) as u32));
                    }
                }
                windows.push(taps);
            }
        }
        let mut completed = 0..;
        let iterations = (steps(geometry, transposed).into_iter())
            .map(|step| Iteration {
                takes: step.takes,
                window: step.completes.then(|| completed.next()).flatten(),
            })
            .collect();
        Self { iterations, windows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Window;
    use proptest::prelude::*;

    /// Every tap of every window is in the ring when the window is handed out, and a smaller ring
    /// would have lost one.
    fn holds(program: &WindowProgram, ring: usize) -> bool {
        let mut taken = 0usize;
        let mut windows = 0;
        let mut complete = true;
        let mut again = false;
        for at in 0..program.len() as u64 {
            let iteration = program.iteration(at);
            taken += usize::from(iteration.takes);
            if let Some(window) = iteration.window {
                assert_eq!(window, windows);
                windows += 1;
                let mut taps = program.taps(window).iter().flatten();
                again |= !iteration.takes && taps.clone().next().is_some();
                complete &= taps.all(|&tap| (tap as usize) < taken && tap as usize + ring >= taken);
            }
        }
        assert_eq!(again, program.reads_again());
        assert_eq!(program.listed().iterations.len(), program.len());
        let [rows, columns, _] = program.geometry.input;
        assert_eq!(taken, rows * columns, "pixels of the frame");
        complete
    }

    proptest! {
        #[test]
        fn the_ring_is_as_small_as_it_can_be(
            (input, kernel, stride) in ([1usize..9, 1usize..9], [1usize..5, 1usize..5], [1usize..4, 1usize..4]),
            (dilation, pad, transposed) in ([1usize..4, 1usize..4], [0usize..4, 0usize..4], any::<bool>()),
            spare in [0usize..3, 0usize..3],
        ) {
            let extent = |axis: usize| {
                let span = (kernel[axis] - 1) * dilation[axis] + 1;
                if transposed {
                    ((input[axis] - 1) * stride[axis] + span + spare[axis]).saturating_sub(2 * pad[axis])
                } else {
                    let padded = input[axis] + 2 * pad[axis] + spare[axis];
                    padded.checked_sub(span).map_or(0, |room| room / stride[axis] + 1)
                }
            };
            prop_assume!(extent(0) > 0 && extent(1) > 0);
            let geometry = Geometry {
                input: [input[0], input[1], 3],
                output: [extent(0), extent(1), 5],
                window: Window { kernel, stride, dilation, pad },
            };
            let program = WindowProgram::of_geometry(&geometry, transposed);
            prop_assert!(holds(&program, program.ring()));
            prop_assert!(program.ring() == 1 || !holds(&program, program.ring() - 1));
        }
    }
}
