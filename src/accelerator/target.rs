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
    /// The main branch of Xilinx/finn at 39f0c9a, where a step without weights is no last step of a vector.
    #[default]
    Main,
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
