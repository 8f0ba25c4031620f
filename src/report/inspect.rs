//! How a network is built.

use super::{count, number, table};
use crate::accelerator::{HlsTool, IoType};
use crate::network::Note;
use crate::study::{InspectReport, NamedRegister, RangesReport, ScheduleReport};

fn shape(shape: &[usize]) -> String {
    let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
    extents.join("x")
}

/// How a network is built.
#[must_use]
pub fn inspect(report: &InspectReport) -> String {
    let mut parts = vec![format!(
        "{}: input {} {}, hardware {}, technology {}",
        report.network,
        shape(&report.input.shape),
        report.input.format,
        report.hardware,
        report.technology
    )];
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|layer| {
            let bits: u64 = layer.tensors.iter().map(|tensor| tensor.stored_bits).sum();
            let stage = layer.stage.as_ref();
            vec![
                layer.name.clone(),
                layer.kind.clone(),
                shape(&layer.output_shape),
                layer.output_format.clone(),
                layer
                    .accumulator
                    .as_ref()
                    .map_or("-".to_owned(), |accumulator| accumulator.format.clone()),
                count(bits),
                stage.map_or("-".to_owned(), |stage| count(stage.multipliers)),
                layer.cycles().map_or("-".to_owned(), count),
            ]
        })
        .collect();
    let header = [
        "layer",
        "operator",
        "output",
        "format",
        "accumulator",
        "stored bits",
        "multipliers",
        "cycles",
    ];
    parts.push(table(&header, &rows));
    let is_named = report.memories.iter().any(|memory| memory.project_name.is_some());
    let rows: Vec<Vec<String>> = report
        .memories
        .iter()
        .map(|memory| {
            let mut row = vec![
                memory.name.clone(),
                memory.style.to_owned(),
                count(memory.depth),
                memory.word_bits.to_string(),
                count(memory.bits),
            ];
            if is_named {
                row.insert(1, memory.project_name.clone().unwrap_or_else(|| "-".to_owned()));
            }
            row
        })
        .collect();
    let mut header = vec!["memory", "style", "words", "bits per word", "bits"];
    if is_named {
        header.insert(1, "in the project");
    }
    parts.push(table(&header, &rows));
    let total = |bits: &crate::study::BitsByName| bits.get("total").and_then(serde_json::Value::as_u64);
    let stored = total(&report.stored_bits).unwrap_or(0);
    parts.push(format!("stored bits: {}", count(stored)));
    match (&report.registers_missing, &report.registers) {
        (Some(reason), _) => parts.push(format!("registers are not listed: {reason}")),
        (None, registers) => {
            parts.push(registers_table(report));
            let in_registers = registers.as_ref().and_then(total).unwrap_or(0);
            parts.push(format!(
                "bits that an upset can hit: {} stored + {} in registers = {}",
                count(stored),
                count(in_registers),
                count(stored + in_registers)
            ));
        }
    }
    if let Some(cycles) = report.cycles.initiation_interval {
        parts.push(format!(
            "cycles between samples (analytic, slowest {}): {}",
            if report.cycles.hls4ml.is_some() {
                "function"
            } else {
                "stage"
            },
            count(cycles)
        ));
    }
    parts.extend(report.cycles.hls4ml.as_ref().map(schedule));
    let area = &report.area;
    parts.push(format!(
        "memory area: {} {unit}; with every bit triplicated: {} {unit}",
        number(area.plain_area),
        number(area.full_area),
        unit = area.unit.symbol(),
    ));
    parts.extend(notes(report));
    parts.extend(report.register_table.as_deref().map(register_table));
    parts.extend(report.ranges.as_ref().map(ranges));
    parts.join("\n\n")
}

/// What hls4ml's functions take, and how well that is known.
fn schedule(schedule: &ScheduleReport) -> String {
    let latency = schedule.latency.map_or_else(
        || "not known: the network is no chain of hls4ml's functions".to_owned(),
        count,
    );
    let percent = |[lowest, low, high, highest]: [i32; 4]| {
        format!("{lowest:+} to {highest:+} % (half of them {low:+} to {high:+} %)")
    };
    let longest = |number: Option<u64>| number.map_or_else(|| "not known".to_owned(), count);
    let io = match schedule.io_type {
        IoType::Stream => "io_stream",
        IoType::Parallel if schedule.pipelined => "io_parallel, one pipeline",
        IoType::Parallel => "io_parallel",
    };
    format!(
        "cycles of a sample (analytic, first word in to last word out): {latency}\n\
         a synthesis report's maximum counts every pixel as one that completes a window: latency {}, interval {}\n\
         as hls4ml builds it ({io}, {} HLS{}, \
         {} ns); {} synthesis reports deviate by {} in latency, {} in interval: `timing` states a report's own",
        longest(schedule.longest_latency),
        longest(schedule.longest_interval),
        match schedule.tool {
            HlsTool::Vitis => "Vitis",
            HlsTool::Vivado => "Vivado",
        },
        (schedule.version).map_or_else(String::new, |(year, number)| format!(" {year}.{number}")),
        number(schedule.period_ns),
        schedule.band.reports,
        percent(schedule.band.latency_percent),
        percent(schedule.band.interval_percent),
    )
}

/// What the import did, a line each.
fn notes(report: &InspectReport) -> Option<String> {
    let line = |note: &Note| format!("note ({}): `{}` {}", note.kind.words(), note.place, note.text);
    let lines: Vec<String> = report.notes.iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn registers_table(report: &InspectReport) -> String {
    let classes: Vec<&String> = report
        .registers
        .iter()
        .flat_map(serde_json::Map::keys)
        .filter(|class| *class != "total")
        .collect();
    let row = |name: &str, bits: &dyn Fn(&str) -> u64| {
        let of_classes: Vec<u64> = classes.iter().map(|class| bits(class)).collect();
        let total = of_classes.iter().sum();
        let numbers = of_classes.into_iter().chain([total]).map(count);
        std::iter::once(name.to_owned())
            .chain(numbers)
            .collect::<Vec<String>>()
    };
    let of_layer = |layer: &crate::study::LayerReport, class: &str| -> u64 {
        let groups = layer.registers.iter().flatten();
        groups
            .filter(|group| group.class == class)
            .map(|group| group.bits)
            .sum()
    };
    let mut rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|layer| row(&layer.name, &|class| of_layer(layer, class)))
        .collect();
    rows.push(row("all", &|class| {
        report.layers.iter().map(|layer| of_layer(layer, class)).sum()
    }));
    let mut header = vec!["register bits"];
    header.extend(classes.iter().map(|class| class.as_str()));
    header.push("total");
    let by_class = table(&header, &rows);
    let rows: Vec<Vec<String>> = report
        .stages
        .iter()
        .flatten()
        .map(|stage| {
            vec![
                stage.name.clone(),
                stage.kind.to_owned(),
                count(stage.bits),
                stage
                    .fifo_depth
                    .map_or("-".to_owned(), |depth| count(depth as u64)),
            ]
        })
        .collect();
    let stages = table(&["stage", "kind", "register bits", "FIFO depth"], &rows);
    format!("{by_class}\n\n{stages}")
}

/// Every register by name.
fn register_table(registers: &[NamedRegister]) -> String {
    let rows: Vec<Vec<String>> = (registers.iter())
        .map(|register| {
            vec![
                register.path.clone(),
                register.class.to_owned(),
                count(register.words as u64),
                count(register.lanes as u64),
                register.lane_bits.to_string(),
                count(register.bits),
                register.live.clone(),
            ]
        })
        .collect();
    let header = [
        "register",
        "class",
        "words",
        "lanes",
        "bits of a lane",
        "bits",
        "live",
    ];
    format!(
        "{}\na lane of a word is register[word].lane",
        table(&header, &rows)
    )
}

fn ranges(report: &RangesReport) -> String {
    let rows: Vec<Vec<String>> = report
        .tensors
        .iter()
        .map(|tensor| {
            let name = if tensor.layer == tensor.node {
                tensor.layer.clone()
            } else {
                format!("{}/{}", tensor.layer, tensor.node)
            };
            vec![
                name,
                tensor.format.clone(),
                number(tensor.low_value),
                number(tensor.high_value),
                tensor.unused_top_bits.to_string(),
            ]
        })
        .collect();
    let header = ["tensor", "format", "lowest", "highest", "top bits unused"];
    let mut parts = vec![format!(
        "ranges over {} samples\n{}",
        count(report.samples),
        table(&header, &rows)
    )];
    let rows: Vec<Vec<String>> = report
        .parameters
        .iter()
        .map(|param| {
            vec![
                format!("{}.{}", param.layer, param.tensor),
                param.format.clone(),
                param.low.to_string(),
                param.high.to_string(),
                param.unused_top_bits.to_string(),
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
    parts.push(table(&header, &rows));
    let rows: Vec<Vec<String>> = report
        .casts
        .iter()
        .filter(|cast| cast.wrapped + cast.saturated > 0)
        .map(|cast| {
            let overflows = cast.wrapped + cast.saturated;
            let name = if cast.layer == "input" {
                "input".to_owned()
            } else {
                format!("{} {}", cast.node, cast.cast)
            };
            vec![
                name,
                cast.format.clone(),
                count(cast.values),
                count(overflows),
                format!("{:.4} %", 100.0 * overflows as f64 / cast.values as f64),
                if cast.wrapped > 0 { "wrapped" } else { "saturated" }.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        parts.push("no value wrapped or saturated at any cast".to_owned());
    } else {
        let header = ["cast", "to", "values", "overflowed", "share", "what happened"];
        parts.push(table(&header, &rows));
    }
    parts.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    parts.join("\n\n")
}
