//! How a layer's comparison with its thresholds is spread over time, where the hardware file says so.

use serde::Serialize;

use super::hardware::{Hardware, Problem};
use crate::network::{LayerId, Network, Node, Op};

/// A thresholding stage of stated width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ThresholdStage {
    /// The layer.
    pub layer: LayerId,
    /// Channels per word.
    pub pe: u32,
    /// Channels.
    pub channels: u64,
    /// Cycles per sample: `C/PE` words for each position (`get_exp_cycles` of FINN's Thresholding).
    pub cycles: u64,
}

/// The thresholding stages whose width the hardware file states, in order.
pub(super) fn stages(network: &Network, hardware: &Hardware) -> Result<Vec<ThresholdStage>, Problem> {
    let mut stages: Vec<ThresholdStage> = Vec::new();
    for node in &network.nodes {
        let layer = &network.layer(node.layer).name;
        let (Op::MultiThreshold(_), Some(pe)) = (&node.op, hardware.field(layer, |entry| entry.pe)) else {
            continue;
        };
        let tensor = network.tensor(node.inputs[0]);
        let channels = tensor.channels() as u64;
        if pe == 0 || !channels.is_multiple_of(u64::from(pe)) {
            return Err(Problem::NotDividing {
                layer: layer.clone(),
                what: "pe",
                value: pe,
                count: channels,
                counted: "channels of its thresholds",
            });
        }
        stages.push(ThresholdStage {
            layer: node.layer,
            pe,
            channels,
            cycles: tensor.len() as u64 / u64::from(pe),
        });
    }
    for (name, entry) in &hardware.layers {
        let field = match (entry.pe, entry.deep_pipeline) {
            (Some(_), _) => "pe",
            (None, Some(_)) => "deep_pipeline",
            (None, None) => continue,
        };
        let compares =
            |node: &Node| matches!(node.op, Op::MultiThreshold(_)) && network.layer(node.layer).name == *name;
        if network.layer_named(name).is_some() && !network.nodes.iter().any(compares) {
            let layer = name.clone();
            return Err(Problem::NoThresholds { layer, field });
        }
    }
    Ok(stages)
}
