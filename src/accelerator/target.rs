//! Whose units an accelerator is built of.

use serde::{Deserialize, Serialize};

use super::{Folding, Hardware, Stage, WindowGenerator};
use crate::network::{Network, Op, ThresholdRule};

/// Whose units stand for the layers, register by register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// FINN's RTL library, where it has a unit for a layer.
    Finn(FinnVersion),
    /// FINN's library for high-level synthesis.
    FinnHlslib,
    /// hls4ml.
    Hls4ml,
    /// Nobody's: the fewest registers that give a unit its timing.
    Generic,
}

/// A state of FINN's RTL library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinnVersion {
    /// The main branch of Xilinx/finn at 39f0c9a, without two defects that later versions do not have: a step without
    /// weights is no last step of a vector, and a stalled core on DSP48 slices keeps its operands.
    #[default]
    Main,
    /// The same with the second defect: a unit that is starved while its output is blocked loses a step, and its
    /// results are wrong. Struck flags can bring that about where nothing else does.
    Measured,
}

/// A family of DSP slices, which an FPGA's family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DspBlock {
    /// 7 series.
    Dsp48E1,
    /// UltraScale and UltraScale+.
    Dsp48E2,
    /// Versal.
    Dsp58,
}

/// A compute core of FINN's RTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinnCore {
    /// `mvu_8sx8u_dsp48`.
    EightBit,
    /// `mvu_4sx4u`, on DSP48E1 slices.
    FourBitE1,
    /// `mvu_4sx4u`, on DSP48E2 slices.
    FourBitE2,
    /// `mvu_vvu_8sx9_dsp58`.
    Dsp58,
}

/// What a unit multiplies: signed weights with activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operands {
    /// Bits of a weight.
    pub weight_bits: u32,
    /// Whether no weight is the lowest number of its format.
    pub narrow_weights: bool,
    /// Bits of an activation.
    pub activation_bits: u32,
    /// Whether activations are signed.
    pub signed_activations: bool,
}

impl DspBlock {
    /// The core that FINN takes for a matrix-vector unit (`_resolve_impl_style` of `MVAU_rtl`, `_mvu_rtl_possible` of
    /// `SpecializeLayers`); none where it has none in RTL.
    #[must_use]
    pub fn core(self, operands: Operands) -> Option<FinnCore> {
        let wide = operands.signed_activations && operands.activation_bits == 9 && self == Self::Dsp58;
        if operands.weight_bits > 8 || operands.activation_bits > 8 && !wide {
            return None;
        }
        let four = operands.weight_bits <= 4 && operands.activation_bits <= 4;
        match self {
            Self::Dsp48E1 if !operands.narrow_weights => None,
            Self::Dsp48E1 if four => Some(FinnCore::FourBitE1),
            Self::Dsp48E2 | Self::Dsp58 if four => Some(FinnCore::FourBitE2),
            Self::Dsp48E1 | Self::Dsp48E2 => Some(FinnCore::EightBit),
            Self::Dsp58 => Some(FinnCore::Dsp58),
        }
    }

    /// The core that FINN takes for a vector-vector unit of a depthwise layer (`_vvu_rtl_possible`); none where it has
    /// none in RTL.
    #[must_use]
    pub fn depthwise_core(self, operands: Operands) -> Option<FinnCore> {
        let wide = operands.signed_activations && operands.activation_bits == 9;
        let fits = operands.weight_bits <= 8 && (operands.activation_bits <= 8 || wide);
        (self == Self::Dsp58 && fits).then_some(FinnCore::Dsp58)
    }

    /// Slices of a chain of `simd` products between two registers of its sum, as many as a clock allows
    /// (`_resolve_segment_len`): 0.741 ns for the first one and 0.605 ns for every other, at least one; where no clock is
    /// stated, one of 100 MHz.
    #[must_use]
    pub fn segment(clock_mhz: Option<f64>, simd: usize) -> usize {
        let period = 1000.0 / clock_mhz.unwrap_or(100.0);
        let reached = ((period - 0.741) / 0.605 + 1.0).floor();
        (reached.max(1.0) as usize).min(simd.div_ceil(3))
    }
}

impl Target {
    /// The target of a hardware configuration: what it states, or what its window generators and foldings are.
    pub(super) fn of(hardware: &Hardware, stages: &[Stage]) -> Self {
        let folded = |stage: &Stage| matches!(stage.folding, Folding::Finn { .. });
        match hardware.target {
            Some(target) => target,
            None if hardware.window_generator == WindowGenerator::Hls => Self::FinnHlslib,
            None if stages.iter().any(folded) => Self::Finn(FinnVersion::default()),
            None if stages.is_empty() => Self::Generic,
            None => Self::Hls4ml,
        }
    }

    /// How its units find the output of a row of thresholds.
    #[must_use]
    pub fn threshold_rule(self) -> ThresholdRule {
        match self {
            Self::Finn(_) => ThresholdRule::BinarySearch,
            Self::FinnHlslib | Self::Hls4ml | Self::Generic => ThresholdRule::Count,
        }
    }

    /// Lets a network's thresholds be found as the target's units find them.
    pub(super) fn apply(self, network: &mut Network) {
        for node in &mut network.nodes {
            if let Op::MultiThreshold(op) = &mut node.op {
                op.rule = self.threshold_rule();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operands(weight_bits: u32, activation_bits: u32) -> Operands {
        Operands {
            weight_bits,
            narrow_weights: true,
            activation_bits,
            signed_activations: true,
        }
    }

    #[test]
    fn every_block_has_its_cores() {
        use DspBlock::{Dsp48E1, Dsp48E2, Dsp58};
        for (block, weight, activation, core) in [
            (Dsp48E1, 4, 4, Some(FinnCore::FourBitE1)),
            (Dsp48E2, 4, 4, Some(FinnCore::FourBitE2)),
            (Dsp58, 4, 4, Some(FinnCore::FourBitE2)),
            (Dsp48E1, 5, 4, Some(FinnCore::EightBit)),
            (Dsp48E2, 4, 5, Some(FinnCore::EightBit)),
            (Dsp48E2, 8, 8, Some(FinnCore::EightBit)),
            (Dsp48E2, 8, 9, None),
            (Dsp48E2, 9, 8, None),
            (Dsp58, 4, 5, Some(FinnCore::Dsp58)),
            (Dsp58, 8, 9, Some(FinnCore::Dsp58)),
            (Dsp58, 8, 10, None),
            (Dsp58, 9, 2, None),
        ] {
            assert_eq!(
                block.core(operands(weight, activation)),
                core,
                "{block:?} {weight} {activation}"
            );
        }
        let unsigned = Operands {
            signed_activations: false,
            ..operands(8, 9)
        };
        assert_eq!(Dsp58.core(unsigned), None);
        let lowest = Operands {
            narrow_weights: false,
            ..operands(8, 8)
        };
        assert_eq!(Dsp48E1.core(lowest), None);
        assert_eq!(Dsp48E2.core(lowest), Some(FinnCore::EightBit));
        assert_eq!(Dsp48E2.depthwise_core(operands(4, 4)), None);
        assert_eq!(Dsp58.depthwise_core(operands(4, 4)), Some(FinnCore::Dsp58));
    }

    #[test]
    fn a_faster_clock_cuts_the_chain() {
        // 10 ns reach over 16 slices, 2 ns over 3, 1 ns over one.
        for (clock, simd, segment) in [
            (None, 64, 16),
            (Some(100.0), 64, 16),
            (Some(100.0), 9, 3),
            (Some(500.0), 64, 3),
            (Some(1000.0), 64, 1),
            (Some(5000.0), 64, 1),
            (Some(100.0), 1, 1),
        ] {
            assert_eq!(DspBlock::segment(clock, simd), segment, "{clock:?} {simd}");
        }
    }
}
