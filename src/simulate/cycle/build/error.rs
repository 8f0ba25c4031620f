//! Why an accelerator cannot be simulated cycle by cycle.

use super::super::matrix::TooWide;
use super::super::operators::TimingError;
use super::super::stages::Unbuildable;

/// Why an accelerator cannot be simulated cycle by cycle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum BuildError {
    /// A register would be too wide.
    #[error("layer `{layer}`: {error}")]
    #[diagnostic(
        code(radstream::cycle::too_wide),
        help(
            "expected at most 64 bits; state a narrower accumulator in the hardware file, or use the functional engine"
        )
    )]
    TooWide {
        /// The layer.
        layer: String,
        /// Which register.
        error: TooWide,
    },
    /// A loop that cannot be.
    #[error("layer `{layer}`: {error}")]
    #[diagnostic(
        code(radstream::cycle::timing),
        help("expected {}; correct `timing` in the layer's entry of the hardware file, or leave it out", error.expected())
    )]
    Timing {
        /// The layer.
        layer: String,
        /// Why.
        error: TimingError,
    },
    /// A stage refuses its parameters.
    #[error("layer `{layer}`: {error}")]
    #[diagnostic(
        code(radstream::cycle::stage),
        help(
            "expected an entry that the stage can be built from; correct the layer's entry of the hardware file"
        )
    )]
    Stage {
        /// The layer.
        layer: String,
        /// Why.
        error: Unbuildable,
    },
    /// A program whose words are not all that leaves the accelerator.
    #[error("layer `{layer}`: its program does not hand all outputs at once to the end of the accelerator")]
    #[diagnostic(
        code(radstream::cycle::program),
        help(
            "expected all outputs of the program in one word; leave the lanes of the output out of the hardware file, or use the functional engine"
        )
    )]
    Program {
        /// The layer.
        layer: String,
    },
    /// Nothing is computed.
    #[error("the network has no layer that computes")]
    #[diagnostic(
        code(radstream::cycle::empty),
        help(
            "expected at least one layer that computes between input and output; use the functional engine"
        )
    )]
    Empty,
    /// A stream or a stage of too many branches.
    #[error("layer `{layer}` has {ports} {what}")]
    #[diagnostic(
        code(radstream::cycle::ports),
        help("expected at most {most}; use the functional engine")
    )]
    Ports {
        /// The layer, or the input.
        layer: String,
        /// How many there are.
        ports: usize,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// Lanes that do not divide a tensor.
    #[error("{lanes} lanes do not divide the {elements} elements of one sample at the {end}")]
    #[diagnostic(
        code(radstream::cycle::lanes),
        help("expected a divisor; correct `{end}_stream` in the hardware file")
    )]
    Lanes {
        /// `input` or `output`.
        end: &'static str,
        /// What was asked for.
        lanes: usize,
        /// Elements of one sample.
        elements: usize,
    },
    /// Lanes of a FIFO that do not divide a tensor.
    #[error(
        "layer `{layer}`: FIFO words of {lanes} elements do not divide the {elements} elements of one sample"
    )]
    #[diagnostic(
        code(radstream::cycle::fifo_lanes),
        help("expected a divisor; correct `fifo_lanes` in the layer's entry of the hardware file")
    )]
    FifoLanes {
        /// The layer.
        layer: String,
        /// What was asked for.
        lanes: usize,
        /// Elements of one sample.
        elements: usize,
    },
    /// Two streams meet whose FIFOs are too shallow for the distance between them.
    #[error("the accelerator locks up at cycle {cycle}: {chain}")]
    #[diagnostic(
        code(radstream::cycle::deadlock),
        help(
            "expected FIFOs that hold what the shorter way hands out while the longer one works; deepen those of the layer where the streams meet (`fifo: Auto` finds the depth)"
        )
    )]
    Deadlock {
        /// The cycle from which nothing moves.
        cycle: u64,
        /// Which stage waits for which.
        chain: String,
    },
}
