//! The precision report of `radstream inspect --ranges`.

use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::inspect::encoding;
use super::output::{self, count};
use crate::model::Workload;
use crate::network::{Encoding, Network, TensorId};
use crate::simulate::functional::{Ranges, TensorRange, unused_bits, wraps};

/// Runs the samples of a chip with every cast under watch.
pub fn measure(chip: &Chip) -> Result<Ranges, Failure> {
    let network = chip.accelerator.network();
    let inputs = Workload::inputs(network, &chip.settings)?;
    let mut ranges = Ranges::measure(network, &inputs.mantissas);
    if !chip.settings.raw_inputs.unwrap_or(false) {
        ranges.input = Some((inputs.reals.len() as u64, network.input_overflows(&inputs.reals)));
    }
    Ok(ranges)
}

/// Range of a stored tensor's values.
fn stored_range(values: &[i64]) -> TensorRange {
    TensorRange {
        low: values.iter().copied().min().unwrap_or(0),
        high: values.iter().copied().max().unwrap_or(0),
    }
}

/// Layer and node that make a tensor.
fn maker(network: &Network, id: TensorId) -> (String, String) {
    match network.nodes.iter().find(|node| node.output == id) {
        Some(node) => (network.layer(node.layer).name.clone(), node.name.clone()),
        None => ("input".to_owned(), network.tensor(id).name.clone()),
    }
}

/// The names of the layers that feed and hold a softmax without resolution.
fn softmax_warnings(network: &Network, ranges: &Ranges) -> Vec<String> {
    ranges
        .softmax
        .iter()
        .filter(|(_, usage)| usage.loses_resolution())
        .map(|(id, usage)| {
            let node = &network.nodes[id.index()];
            let (source, _) = maker(network, node.inputs[0]);
            format!(
                "layer `{}`: the softmax loses its resolution: neighbouring table entries are {} apart and {} of {} are used, because `{source}` hands on {}; give `{source}` a narrower result type, for example fixed<16,6>",
                network.layer(node.layer).name,
                output::short(usage.step),
                usage.used,
                usage.entries,
                encoding(&network.tensor(node.inputs[0]).encoding),
            )
        })
        .collect()
}

fn overflow_row(name: String, format: String, values: u64, overflows: u64, happened: &str) -> Vec<String> {
    let share = format!("{:.4} %", 100.0 * overflows as f64 / values as f64);
    vec![
        name,
        format,
        count(values),
        count(overflows),
        share,
        happened.to_owned(),
    ]
}

/// The report as JSON.
pub fn document(chip: &Chip, ranges: &Ranges) -> Value {
    let network = chip.accelerator.network();
    let tensors: Vec<Value> = network
        .tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| {
            let id = TensorId::from(index);
            let range = ranges.tensors[index];
            let (layer, node) = maker(network, id);
            json!({
                "layer": layer,
                "node": node,
                "tensor": tensor.name,
                "format": encoding(&tensor.encoding),
                "low": range.low,
                "high": range.high,
                "low_value": tensor.value_of(range.low),
                "high_value": tensor.value_of(range.high),
                "unused_top_bits": unused_bits(&tensor.encoding, range),
            })
        })
        .collect();
    let parameters: Vec<Value> = network
        .params
        .iter()
        .map(|param| {
            let range = stored_range(&param.values);
            json!({
                "layer": network.layer(param.layer).name,
                "tensor": param.kind.name(),
                "format": encoding(&param.encoding),
                "low": range.low,
                "high": range.high,
                "unused_top_bits": unused_bits(&param.encoding, range),
            })
        })
        .collect();
    let mut casts: Vec<Value> = Vec::new();
    if let (Some((values, overflows)), Encoding::Fixed(format)) =
        (ranges.input, network.tensor(network.input).encoding)
    {
        let wraps = wraps(format.overflow());
        casts.push(json!({
            "layer": "input",
            "node": network.tensor(network.input).name,
            "cast": "input",
            "format": format.to_string(),
            "values": values,
            "wrapped": if wraps { overflows } else { 0 },
            "saturated": if wraps { 0 } else { overflows },
        }));
    }
    casts.extend(ranges.casts.iter().map(|((id, stage), cast)| {
        let node = &network.nodes[id.index()];
        json!({
            "layer": network.layer(node.layer).name,
            "node": node.name,
            "cast": stage.name(),
            "format": cast.format.to_string(),
            "values": cast.casts,
            "wrapped": if cast.wraps() { cast.overflows } else { 0 },
            "saturated": if cast.wraps() { 0 } else { cast.overflows },
        })
    }));
    let softmax: Vec<Value> = ranges
        .softmax
        .iter()
        .map(|(id, usage)| {
            let node = &network.nodes[id.index()];
            json!({
                "layer": network.layer(node.layer).name,
                "fed_by": maker(network, node.inputs[0]).0,
                "table_entries": usage.entries,
                "used_entries": usage.used,
                "step": usage.step,
                "loses_resolution": usage.loses_resolution(),
            })
        })
        .collect();
    json!({
        "samples": ranges.samples,
        "tensors": tensors,
        "parameters": parameters,
        "casts": casts,
        "softmax": softmax,
        "warnings": softmax_warnings(network, ranges),
    })
}

/// The report for people.
pub fn print(chip: &Chip, ranges: &Ranges) -> Result<(), Failure> {
    let network = chip.accelerator.network();
    let rows: Vec<Vec<String>> = network
        .tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| {
            let range = ranges.tensors[index];
            let (layer, node) = maker(network, TensorId::from(index));
            let name = if layer == node {
                layer
            } else {
                format!("{layer}/{node}")
            };
            vec![
                name,
                encoding(&tensor.encoding),
                output::short(tensor.value_of(range.low)),
                output::short(tensor.value_of(range.high)),
                unused_bits(&tensor.encoding, range).to_string(),
            ]
        })
        .collect();
    output::line(&format!(
        "\nranges over {} samples\n{}",
        count(ranges.samples),
        output::table(
            &["tensor", "format", "lowest", "highest", "top bits unused"],
            &rows
        )
    ))?;
    let rows: Vec<Vec<String>> = network
        .params
        .iter()
        .map(|param| {
            let range = stored_range(&param.values);
            vec![
                format!("{}.{}", network.layer(param.layer).name, param.kind.name()),
                encoding(&param.encoding),
                range.low.to_string(),
                range.high.to_string(),
                unused_bits(&param.encoding, range).to_string(),
            ]
        })
        .collect();
    let header = [
        "stored tensor",
        "format",
        "lowest mantissa",
        "highest mantissa",
        "top bits unused",
    ];
    output::line(&format!("\n{}", output::table(&header, &rows)))?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    if let (Some((values, overflows)), Encoding::Fixed(format)) =
        (ranges.input, network.tensor(network.input).encoding)
        && overflows > 0
    {
        let happened = if wraps(format.overflow()) {
            "wrapped"
        } else {
            "saturated"
        };
        rows.push(overflow_row(
            "input".to_owned(),
            format.to_string(),
            values,
            overflows,
            happened,
        ));
    }
    rows.extend(
        ranges
            .casts
            .iter()
            .filter(|(_, cast)| cast.overflows > 0)
            .map(|((id, stage), cast)| {
                let node = &network.nodes[id.index()];
                let happened = if cast.wraps() { "wrapped" } else { "saturated" };
                let name = format!("{} {}", node.name, stage.name());
                overflow_row(
                    name,
                    cast.format.to_string(),
                    cast.casts,
                    cast.overflows,
                    happened,
                )
            }),
    );
    if rows.is_empty() {
        output::line("\nno value wrapped or saturated at any cast")?;
    } else {
        let header = ["cast", "to", "values", "overflowed", "share", "what happened"];
        output::line(&format!("\n{}", output::table(&header, &rows)))?;
    }
    for warning in softmax_warnings(network, ranges) {
        output::line(&format!("\nwarning: {warning}"))?;
    }
    Ok(())
}
