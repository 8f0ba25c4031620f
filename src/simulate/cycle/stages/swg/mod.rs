//! Sliding window generators: a feature map in, the windows of a convolution out.

mod addressable;
mod blocks;
mod controller;
mod parallel;

use super::super::live::Live;
use super::super::memory::Memories;
use super::super::register::Register;
use super::super::stage::{Access, Buffer, Edge, Signals, Stage, StreamShape};
use super::{Unbuildable, at_least_one, multiple};
use addressable::Addressable;
use blocks::Blocks;
use parallel::Parallel;

/// Which windows are taken of a feature map. Padding is a stage of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowGeometry {
    /// Height, width and channels of the feature map.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Rows and columns from window to window.
    pub stride: [usize; 2],
    /// Rows and columns from tap to tap.
    pub dilation: [usize; 2],
}

impl WindowGeometry {
    /// Rows and columns that a window spans.
    fn span(&self) -> [usize; 2] {
        [0, 1].map(|at| (self.kernel[at] - 1) * self.dilation[at] + 1)
    }

    /// Windows per column and per row of the map.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        let span = self.span();
        [0, 1].map(|at| (self.input[at] - span[at]) / self.stride[at] + 1)
    }

    /// One-dimensional maps lie in a row, as FINN normalizes them.
    fn normalized(self) -> Self {
        if self.input[1] == 1 && self.kernel[1] == 1 {
            Self {
                input: [1, self.input[0], self.input[2]],
                kernel: [1, self.kernel[0]],
                stride: [1, self.stride[0]],
                dilation: [1, self.dilation[0]],
            }
        } else {
            self
        }
    }

    fn check(&self) -> Result<(), Unbuildable> {
        let counts = (self.input.iter().chain(&self.kernel))
            .chain(&self.stride)
            .chain(&self.dilation);
        for &count in counts {
            at_least_one("a size of a sliding window", count)?;
        }
        let span = self.span();
        for (at, what) in [(0, "the height of a window"), (1, "the width of a window")] {
            if span[at] > self.input[at] {
                return Err(Unbuildable::TooLarge {
                    what,
                    value: span[at] as u64,
                    most: self.input[at] as u64,
                });
            }
        }
        Ok(())
    }
}

/// Which generator, and in which order it hands the taps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowStyle {
    /// RTL with an addressable line buffer: `[window][ky][kx][channel fold]`, one tap per word. A window of
    /// one tap is built as [`WindowStyle::Parallel`], as FINN does.
    Addressable,
    /// The same for depthwise layers: `[window][channel fold][ky][kx]`.
    Depthwise,
    /// RTL with a shift register per row (`parallel_window`): one word per window and channel fold, lanes
    /// `[ky][kx][channel]`.
    Parallel,
    /// finn-hlslib's `ConvolutionInputGenerator`, as BNN-PYNQ used it: `K/S + 1` blocks of `S` rows,
    /// order as [`WindowStyle::Addressable`].
    Hls,
}

/// A sliding window generator of FINN's: RTL or HLS, bit for bit the line buffer, register for register
/// the counters, so that a flipped counter gives wrong words, too few, too many, or none any more.
///
/// Frames follow each other without a gap in the state: the next one is taken when the last word of the
/// current one has gone.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    generator: Generator,
}

#[derive(Clone, Debug)]
enum Generator {
    Addressable(Addressable),
    Parallel(Parallel),
    Blocks(Blocks),
}

impl SlidingWindow {
    /// A generator of words of `lanes` channels (SIMD), each of `lane_bits` bits.
    ///
    /// # Errors
    /// [`Unbuildable`] where the lanes do not divide the channels, the window does not fit the map, or
    /// the generator's schedule does not do this geometry.
    pub fn new(
        geometry: WindowGeometry,
        lanes: usize,
        lane_bits: u32,
        style: WindowStyle,
    ) -> Result<Self, Unbuildable> {
        geometry.check()?;
        let geometry = geometry.normalized();
        let fold = multiple("the channels of a sliding window", geometry.input[2], lanes)?;
        let shape = StreamShape { lanes, lane_bits };
        let single = geometry.kernel == [1, 1];
        let generator = match style {
            WindowStyle::Hls => Generator::Blocks(Blocks::new(geometry, fold, shape)?),
            WindowStyle::Addressable | WindowStyle::Depthwise if !single => {
                let depthwise = style == WindowStyle::Depthwise;
                Generator::Addressable(Addressable::new(geometry, fold, shape, depthwise)?)
            }
            _ => Generator::Parallel(Parallel::new(geometry, fold, shape)?),
        };
        Ok(Self { generator })
    }

    fn stage(&self) -> &dyn Stage {
        match &self.generator {
            Generator::Addressable(stage) => stage,
            Generator::Parallel(stage) => stage,
            Generator::Blocks(stage) => stage,
        }
    }
}

impl Stage for SlidingWindow {
    fn registers(&self) -> Vec<Register> {
        self.stage().registers()
    }

    fn control(&self) -> Box<dyn Stage> {
        self.stage().control()
    }

    fn live(&self, at: usize, register: &Register) -> Live {
        self.stage().live(at, register)
    }

    fn state_limbs(&self) -> usize {
        self.stage().state_limbs()
    }

    fn reset(&self, state: &mut [u64]) {
        self.stage().reset(state);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.stage().offers(state)
    }

    fn word<'s>(&self, state: &'s [u64], output: usize) -> &'s [u64] {
        self.stage().word(state, output)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        self.stage().accepts(state, signals)
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        self.stage().edge(state, edge);
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.stage().buffers()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        self.stage().accesses(state, edge, access);
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        self.stage().rest(state, signals)
    }

    fn skip(&self, state: &mut [u64], edges: u64, memories: &Memories) {
        self.stage().skip(state, edges, memories);
    }
}

/// Rows and columns at the lower and the right edge of the map that no window reaches.
fn skipped(geometry: &WindowGeometry) -> [usize; 2] {
    let (span, output) = (geometry.span(), geometry.output());
    [0, 1].map(|at| geometry.input[at] - span[at] - (output[at] - 1) * geometry.stride[at])
}
