//! How a matrix-vector-activation unit is built.

/// Registers of the compute core from its operands to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Registers in front of the multipliers, at least 1.
    pub operands: u32,
    /// Whether there is a register behind the multipliers.
    pub products: bool,
    /// Whether there is a register behind the adder trees.
    pub sums: bool,
    /// Registers between the running sums and the output register.
    pub results: u32,
}

impl Core {
    /// `mvu_8sx8u_dsp48` and `mvu_4sx4u`: five registers, whatever the folding. Those accumulate in
    /// front of their adder tree; here the tree comes first and the running sum takes the tree's place
    /// in time.
    pub const DSP48: Self = Self {
        operands: 1,
        products: true,
        sums: true,
        results: 1,
    };

    /// `mvu_vvu_8sx9_dsp58`: chains of `ceil(simd/3)` multipliers with a register every `segment` of
    /// them (0: none but the last), `2 + ceil(ceil(simd/3)/segment)` registers in all. In the chain an
    /// operand waits as long as the sum takes to reach its segment; here all operands wait for the last
    /// segment, and the sum is one tree.
    #[must_use]
    pub fn dsp58(simd: u32, segment: u32) -> Self {
        let chain = simd.div_ceil(3).max(1);
        let segment = if segment == 0 { chain } else { segment };
        Self {
            operands: chain.div_ceil(segment),
            products: true,
            sums: false,
            results: 0,
        }
    }

    /// The shallowest core: operands and running sums.
    pub const SHALLOW: Self = Self {
        operands: 1,
        products: false,
        sums: false,
        results: 0,
    };

    /// Registers from the operands to the result.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.before() + 1 + self.results
    }

    /// Registers in front of the running sums.
    pub(super) fn before(&self) -> u32 {
        self.operands + u32::from(self.products) + u32::from(self.sums)
    }
}

/// Where the weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// A memory in the unit, read at the step of the fold.
    Embedded,
    /// A stream on input 1, one word per step in the order of the steps.
    Decoupled,
}

/// What keeps an input vector for the neuron folds after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputBuffer {
    /// The RTL's replay buffer: takes the next vector while it repeats the current one; two registers of
    /// latency.
    Replay,
    /// finn-hlslib's: the first fold uses the words as they come, the others what was kept of them; the
    /// next vector is taken when the last fold has ended.
    Kept,
    /// Nothing: every neuron fold has words of its own, as in the units of depthwise layers (VVU).
    None,
}
