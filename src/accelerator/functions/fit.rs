//! What synthesis reports of hls4ml projects say about loops and functions, in cycles.
//!
//! The forms are structural: they follow from the pragmas of hls4ml's `nnet_utils` and from how the tool counts. The
//! numbers in them are fitted, and no others: each is named here. `docs/cycle-engine.md` has the reports, and
//! what each of them deviates.

use super::super::hardware::{HlsTool, IoType};

/// Whose schedule, at which clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub tool: HlsTool,
    pub io_type: IoType,
    pub period_ns: f64,
    /// Whether the device is of the 7 series, whose logic is slower.
    pub seven_series: bool,
    /// Whether loops start the next sample while the last one drains (`loop auto-rewind` from 2024.1 on).
    pub rewinds: bool,
}

/// Clock period that hls4ml asks for where nobody states one.
pub(super) const DEFAULT_PERIOD_NS: f64 = 5.0;

/// Longest period in nanoseconds at which a function is cut into as many cycles as at [`DEFAULT_PERIOD_NS`].
const FAST_NS: f64 = 5.0;

/// Shortest period in nanoseconds at which nearly everything fits one cycle.
const SLOW_NS: f64 = 20.0;

impl Fit {
    fn is_slow(&self) -> bool {
        self.period_ns >= SLOW_NS
    }

    /// Register levels of an adder tree over so many taps: 1.4 for each doubling beyond 16, at least 1; fewer at slow
    /// clocks. Fitted to convolutions of 3 to 192 taps.
    fn levels(&self, taps: u64, more: f64) -> u64 {
        let doublings = libm::log2(taps.max(1) as f64) - 4.0;
        let levels = libm::round(1.4 * doublings + more).max(1.0);
        libm::floor(levels * (FAST_NS / self.period_ns).min(1.0)) as u64
    }

    /// Cycles of a streamed dense product's multipliers and adders. Clocks above 250 MHz cost one more.
    fn dense_levels(&self, taps: u64) -> u64 {
        self.levels(taps, f64::from(u8::from(self.period_ns < 4.0)))
    }

    /// Interval and iteration latency of a streamed convolution by the strategy Latency, whose multipliers take `uses`
    /// cycles: the line buffer is carried from one pixel to the next, so a pixel waits for the one before (2
    /// cycles and the adders).
    pub fn convolution(&self, taps: u64, uses: u64) -> (u64, u64) {
        let interval = (2 + self.levels(taps, 0.0)).max(uses);
        (interval, interval + if self.is_slow() { 1 } else { 2 })
    }

    /// The same for a kernel of one pixel, which has no line buffer.
    pub fn pointwise(&self, taps: u64, uses: u64) -> (u64, u64) {
        (uses, uses + 3 + self.levels(taps, 0.0))
    }

    /// Interval of a pixel that completes a window, and of one that does not, by the strategy Resource: the loop over
    /// the reuse factor is called, and the loop over the pixels is not pipelined.
    pub fn resource_convolution(&self, reuse: u64) -> (u64, u64) {
        match self.tool {
            HlsTool::Vitis => (reuse + 5, 4),
            HlsTool::Vivado => (reuse + 11, 5),
        }
    }

    /// Interval and iteration latency of a convolution between arrays: a window per iteration.
    pub fn parallel_convolution(&self, uses: u64) -> (u64, u64) {
        let drain = if self.rewinds { 2 } else { 5 };
        (uses, uses + drain)
    }

    /// Latency of a dense layer on a stream of `words` words by the strategy Latency.
    pub fn dense(&self, words: u64, taps: u64, uses: u64) -> u64 {
        let levels = self.dense_levels(taps);
        let vivado = self.tool == HlsTool::Vivado && self.period_ns <= FAST_NS;
        if words == 1 {
            levels + uses + if vivado { 5 } else { 0 }
        } else {
            words + levels + uses + 2
        }
    }

    /// The same by the strategy Resource.
    pub fn resource_dense(&self, words: u64, reuse: u64) -> u64 {
        let (single, several) = match self.tool {
            HlsTool::Vitis => (2, 6),
            HlsTool::Vivado => (4, 10),
        };
        if words == 1 {
            reuse + single
        } else {
            words + reuse + several
        }
    }

    /// Latency of a dense layer inside a pipelined design, the register behind it included.
    pub fn pipelined_dense(&self, uses: u64) -> u64 {
        let delay_ns = if self.seven_series { 10.7 } else { 6.7 };
        libm::floor(delay_ns / self.period_ns) as u64 + uses
    }

    /// Iteration latency of a rectifier's loop.
    pub fn rectifier(&self) -> u64 {
        match self.tool {
            _ if self.rewinds => 1,
            _ if self.is_slow() => 2,
            HlsTool::Vitis => 3,
            HlsTool::Vivado => 4,
        }
    }

    /// Latency of a rectifier of one word, without a loop.
    pub fn rectifier_word(&self) -> u64 {
        match self.tool {
            _ if self.io_type == IoType::Parallel || self.is_slow() => 0,
            HlsTool::Vitis => 1,
            HlsTool::Vivado => 2,
        }
    }

    /// What looking up a table costs beyond a rectifier.
    pub fn table(&self) -> u64 {
        2
    }

    /// Interval and iteration latency of a pool's loop.
    pub fn pool(&self) -> (u64, u64) {
        match self.tool {
            _ if self.is_slow() => (1, 2),
            HlsTool::Vitis => (1, 3),
            HlsTool::Vivado => (2, 4),
        }
    }

    /// Latency of a softmax over one word of so many classes.
    pub fn softmax(&self, classes: u64) -> u64 {
        let levels = u64::from(classes.max(1).next_power_of_two().ilog2());
        match (self.io_type, self.tool) {
            (IoType::Parallel, _) if self.seven_series && self.period_ns < 4.0 => 18,
            (IoType::Parallel, _) if self.seven_series => 8,
            (IoType::Parallel, _) => 4,
            (IoType::Stream, HlsTool::Vitis) => 5 + levels,
            (IoType::Stream, HlsTool::Vivado) if self.is_slow() => 15 + classes,
            (IoType::Stream, HlsTool::Vivado) => 28 + classes,
        }
    }
}
