//! What samples use of the formats: ranges, overflows at casts, unused bits, softmax tables without resolution.

use serde::Serialize;

use super::{Design, StudyError};
use crate::model::Workload;
use crate::network::{Encoding, Network, TensorId};
use crate::simulate::functional::{Ranges, TensorRange, unused_bits, wraps};

/// Range of a tensor on the samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorRangeReport {
    /// The layer that makes it.
    pub layer: String,
    /// The node that makes it.
    pub node: String,
    /// Its name.
    pub tensor: String,
    /// Its format.
    pub format: String,
    /// Lowest mantissa.
    pub low: i64,
    /// Highest mantissa.
    pub high: i64,
    /// Lowest value.
    pub low_value: f64,
    /// Highest value.
    pub high_value: f64,
    /// Top bits that are never used.
    pub unused_top_bits: u32,
}

/// Range of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRangeReport {
    /// The layer.
    pub layer: String,
    /// The tensor.
    pub tensor: &'static str,
    /// Its format.
    pub format: String,
    /// Lowest mantissa.
    pub low: i64,
    /// Highest mantissa.
    pub high: i64,
    /// Top bits that are never used.
    pub unused_top_bits: u32,
}

/// What happened at a cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CastReport {
    /// The layer.
    pub layer: String,
    /// The node.
    pub node: String,
    /// Which of its casts.
    pub cast: &'static str,
    /// To what.
    pub format: String,
    /// Values.
    pub values: u64,
    /// Values that wrapped.
    pub wrapped: u64,
    /// Values that saturated.
    pub saturated: u64,
}

/// How a softmax uses its table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SoftmaxReport {
    /// The layer.
    pub layer: String,
    /// The layer that feeds it.
    pub fed_by: String,
    /// Entries of the table.
    pub table_entries: usize,
    /// Entries that are used.
    pub used_entries: usize,
    /// Distance of neighbouring entries.
    pub step: f64,
    /// Whether it tells inputs apart too coarsely.
    pub loses_resolution: bool,
}

/// What samples use of the formats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RangesReport {
    /// Samples.
    pub samples: u64,
    /// Tensors between layers.
    pub tensors: Vec<TensorRangeReport>,
    /// Stored tensors.
    pub parameters: Vec<StoredRangeReport>,
    /// Casts.
    pub casts: Vec<CastReport>,
    /// Softmax tables.
    pub softmax: Vec<SoftmaxReport>,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// Runs the samples of a design with every cast under watch.
pub(super) fn measure(design: &Design) -> Result<RangesReport, StudyError> {
    let network = design.accelerator.network();
    let inputs = Workload::inputs(network, &design.settings)?;
    let mut ranges = Ranges::measure(network, &inputs.mantissas);
    if !design.settings.raw_inputs.unwrap_or(false) {
        ranges.input = Some((inputs.reals.len() as u64, network.input_overflows(&inputs.reals)));
    }
    let mut report = report(network, &ranges);
    report.warnings.extend(inputs.note);
    Ok(report)
}

/// Layer and node that make a tensor.
fn maker(network: &Network, id: TensorId) -> (String, String) {
    match network.nodes.iter().find(|node| node.output == id) {
        Some(node) => (network.layer(node.layer).name.clone(), node.name.clone()),
        None => ("input".to_owned(), network.tensor(id).name.clone()),
    }
}

fn report(network: &Network, ranges: &Ranges) -> RangesReport {
    let tensors = network.tensors.iter().enumerate().map(|(index, tensor)| {
        let range = ranges.tensors[index];
        let (layer, node) = maker(network, TensorId::from(index));
        TensorRangeReport {
            layer,
            node,
            tensor: tensor.name.clone(),
            format: encoding(&tensor.encoding),
            low: range.low,
            high: range.high,
            low_value: tensor.value_of(range.low),
            high_value: tensor.value_of(range.high),
            unused_top_bits: unused_bits(&tensor.encoding, range),
        }
    });
    let parameters = network.params.iter().map(|param| {
        let range = TensorRange {
            low: param.values.iter().copied().min().unwrap_or(0),
            high: param.values.iter().copied().max().unwrap_or(0),
        };
        StoredRangeReport {
            layer: network.layer(param.layer).name.clone(),
            tensor: param.kind.name(),
            format: encoding(&param.encoding),
            low: range.low,
            high: range.high,
            unused_top_bits: unused_bits(&param.encoding, range),
        }
    });
    let softmax = ranges.softmax.iter().map(|(id, usage)| {
        let node = &network.nodes[id.index()];
        SoftmaxReport {
            layer: network.layer(node.layer).name.clone(),
            fed_by: maker(network, node.inputs[0]).0,
            table_entries: usage.entries,
            used_entries: usage.used,
            step: usage.step,
            loses_resolution: usage.loses_resolution(),
        }
    });
    RangesReport {
        samples: ranges.samples,
        tensors: tensors.collect(),
        parameters: parameters.collect(),
        casts: casts(network, ranges),
        softmax: softmax.collect(),
        warnings: warnings(network, ranges),
    }
}

fn casts(network: &Network, ranges: &Ranges) -> Vec<CastReport> {
    let split = |wraps: bool, overflows: u64| if wraps { (overflows, 0) } else { (0, overflows) };
    let mut casts = Vec::new();
    if let (Some((values, overflows)), Encoding::Fixed(format)) =
        (ranges.input, network.tensor(network.input).encoding)
    {
        let (wrapped, saturated) = split(wraps(format.overflow()), overflows);
        casts.push(CastReport {
            layer: "input".to_owned(),
            node: network.tensor(network.input).name.clone(),
            cast: "input",
            format: format.to_string(),
            values,
            wrapped,
            saturated,
        });
    }
    casts.extend(ranges.casts.iter().map(|((id, stage), cast)| {
        let node = &network.nodes[id.index()];
        let (wrapped, saturated) = split(cast.wraps(), cast.overflows);
        CastReport {
            layer: network.layer(node.layer).name.clone(),
            node: node.name.clone(),
            cast: stage.name(),
            format: cast.format.to_string(),
            values: cast.casts,
            wrapped,
            saturated,
        }
    }));
    casts
}

/// An encoding for people and files.
pub(super) fn encoding(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Fixed(format) => format.to_string(),
        Encoding::Bipolar { frac: 0 } => "bipolar".to_owned(),
        Encoding::Bipolar { frac } => format!("bipolar*2^{}", -frac),
    }
}

/// The layers that feed and hold a softmax without resolution.
fn warnings(network: &Network, ranges: &Ranges) -> Vec<String> {
    let coarse = ranges
        .softmax
        .iter()
        .filter(|(_, usage)| usage.loses_resolution());
    coarse
        .map(|(id, usage)| {
            let node = &network.nodes[id.index()];
            let (source, _) = maker(network, node.inputs[0]);
            format!(
                "layer `{}`: the softmax loses its resolution: neighbouring table entries are {} apart and {} of {} are used, because `{source}` hands on {}; give `{source}` a narrower result type, for example fixed<16,6>",
                network.layer(node.layer).name,
                usage.step,
                usage.used,
                usage.entries,
                encoding(&network.tensor(node.inputs[0]).encoding),
            )
        })
        .collect()
}
