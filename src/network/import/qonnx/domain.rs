//! Operator sets, and where the channels of an operator's operands are.

use super::Importer;
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;

/// qonnx's operators on tensors with their channels behind the spatial dimensions.
const CHANNELS_LAST: &str = "qonnx.custom_op.channels_last";

/// Operator sets that are read as a whole.
const GENERAL: [&str; 5] = [
    "",
    "qonnx.custom_op.general",
    "qonnx",
    "onnx.brevitas",
    "finn.custom_op.general",
];

/// Whether an operator on images has their channels behind the spatial dimensions.
pub fn channels_last(node: &OnnxNode) -> bool {
    node.domain == CHANNELS_LAST
        || match node.op.as_str() {
            "Im2Col" | "MaxPoolNHWC" => true,
            "QuantAvgPool2d" => node.text("data_layout").as_deref() == Some("NHWC"),
            _ => false,
        }
}

impl Importer<'_> {
    /// Refuses operators of unknown operator sets.
    pub fn check_domain(&self, node: &OnnxNode) -> Result<(), ImportError> {
        let domain = node.domain.as_str();
        if domain.starts_with("finn.custom_op.fpgadataflow") {
            return Err(self
                .unsupported(
                    node,
                    &format!(
                        "is the hardware node `{}` of FINN (domain `{domain}`), which holds packed weights and the folding of a build",
                        node.op
                    ),
                )
                .expected("the graph before FINN's conversion to hardware (`step_convert_to_hw`)")
                .help("export before it: the streamlined graph of the same build holds the same network, with the same numbers"));
        }
        let in_channels_last = matches!(node.op.as_str(), "Conv" | "MaxPool" | "BatchNormalization");
        if GENERAL.contains(&domain) || (domain == CHANNELS_LAST && in_channels_last) {
            return Ok(());
        }
        Err(self.unknown_operator(node))
    }
}
