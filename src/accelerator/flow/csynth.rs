//! Reports of Vivado and Vitis HLS for hls4ml projects: initiation interval and latency of each function, as the
//! loops of the layers.

use std::collections::BTreeMap;

use super::super::hardware::LoopTiming;
use super::{FlowError, FlowHardware};
use crate::network::{LayerId, Network, Op};

/// A function of the report.
#[derive(Clone, Debug, Default, PartialEq)]
struct Function {
    name: String,
    latency: Option<u32>,
    interval: Option<u32>,
    /// Interval and iteration latency of its pipelined loop.
    pipelined: Option<(u32, u32)>,
}

/// What a function of hls4ml's library computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// A convolution, or a dense layer.
    Convolution,
    Dense,
    Activation,
}

pub(super) fn is_report(text: &str) -> bool {
    text.starts_with("====")
        || text.contains("Performance & Resource Estimates")
        || text.contains("Vitis HLS Report")
        || text.contains("Vivado HLS Report")
}

fn form(file: &str, problem: impl Into<String>) -> FlowError {
    FlowError::Form {
        file: file.to_owned(),
        problem: problem.into(),
    }
}

pub(super) fn read_xml(file: &str, text: &str, network: &Network) -> Result<FlowHardware, FlowError> {
    let document = roxmltree::Document::parse(text).map_err(|error| form(file, error.to_string()))?;
    let root = document.root_element();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| -> Option<String> {
        let found = node.children().find(|child| child.has_tag_name(name))?;
        found.text().map(|text| text.trim().to_owned())
    };
    let number = |node: roxmltree::Node<'_, '_>, names: &[&str]| -> Option<u32> {
        names.iter().find_map(|name| child(node, name)?.parse().ok())
    };
    let estimates = |node: roxmltree::Node<'_, '_>, name: String| -> Option<Function> {
        let performance = node
            .children()
            .find(|child| child.has_tag_name("PerformanceEstimates"))?;
        let mut function = Function {
            name,
            ..Function::default()
        };
        for summary in performance.children().filter(roxmltree::Node::is_element) {
            match summary.tag_name().name() {
                "SummaryOfOverallLatency" => {
                    function.latency = number(summary, &["Worst-caseLatency", "Best-caseLatency"]);
                    function.interval = number(
                        summary,
                        &[
                            "PipelineInitiationInterval",
                            "PipelineII",
                            "Interval-max",
                            "Interval-min",
                        ],
                    );
                }
                "SummaryOfLoopLatency" => {
                    for found in summary.descendants() {
                        let interval = number(found, &["PipelineII"]);
                        let depth = number(found, &["PipelineDepth", "IterationLatency"]);
                        function.pipelined = function.pipelined.or(interval.zip(depth));
                    }
                }
                _ => {}
            }
        }
        Some(function)
    };
    let mut functions = Vec::new();
    let top = root
        .descendants()
        .find(|node| node.has_tag_name("TopModelName"))
        .and_then(|node| node.text())
        .unwrap_or("top")
        .trim()
        .to_owned();
    functions.extend(estimates(root, top));
    for module in root.descendants().filter(|node| node.has_tag_name("Module")) {
        let name = child(module, "Name").unwrap_or_default();
        functions.extend(estimates(module, name));
    }
    if functions.is_empty() {
        return Err(form(file, "has no PerformanceEstimates"));
    }
    let clock = root
        .descendants()
        .find(|node| node.has_tag_name("TargetClockPeriod"))
        .and_then(|node| node.text()?.trim().parse().ok());
    timed(file, functions, clock, network)
}

/// Where a line lies in a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Outside,
    Header,
    Rows,
}

/// Cells of a table's row; none where the line is no row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').collect())
}

pub(super) fn read_report(file: &str, text: &str, network: &Network) -> Result<FlowHardware, FlowError> {
    let mut functions: Vec<Function> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let mut clock = None;
    let mut indents: Vec<usize> = Vec::new();
    let mut part = Part::Outside;
    for line in text.lines() {
        if line.trim_start().starts_with("+-") {
            part = match part {
                Part::Outside => {
                    columns.clear();
                    Part::Header
                }
                Part::Header => Part::Rows,
                Part::Rows => Part::Outside,
            };
            continue;
        }
        let Some(row) = cells(line) else { continue };
        let trimmed: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
        if trimmed[0] == "ap_clk" || trimmed[0].trim_start_matches('|') == "ap_clk" {
            let period = trimmed.get(1).and_then(|cell| cell.split_whitespace().next());
            clock = clock.or(period.and_then(|period| period.parse::<f64>().ok()));
        }
        if part == Part::Header {
            if columns.len() != row.len() {
                columns = vec![String::new(); row.len()];
            }
            for (column, cell) in columns.iter_mut().zip(&trimmed) {
                if !cell.is_empty() {
                    column.push(' ');
                    column.push_str(cell);
                }
            }
            continue;
        }
        let at = |wanted: &str| columns.iter().position(|column| column.trim() == wanted);
        let value = |wanted: &str| -> Option<u32> { trimmed.get(at(wanted)?)?.parse().ok() };
        let Some(first) = at("Modules & Loops") else {
            continue;
        };
        let Some(name) = trimmed.get(first) else { continue };
        let indent = row[first].len() - row[first].trim_start().len();
        if let Some(name) = name.strip_prefix('+') {
            indents.push(indent);
            functions.push(Function {
                name: name.trim().trim_end_matches('*').to_owned(),
                latency: value("Latency (cycles)"),
                interval: value("Interval"),
                pipelined: None,
            });
        } else if name.starts_with('o')
            // The loop of a function stands one place further in than its name, behind those that it calls.
            && let Some(owner) = indents.iter().rposition(|&before| before < indent)
            && let Some(function) = functions.get_mut(owner)
        {
            let timing = value("Interval").zip(value("Iteration Latency"));
            function.pipelined = function.pipelined.or(timing);
        }
    }
    if functions.is_empty() {
        return Err(form(file, "has no table of modules and loops"));
    }
    timed(file, functions, clock, network)
}

/// The number of the layer's configuration in a function's name: `..._config4_s`.
fn config_of(name: &str) -> Option<u32> {
    let (_, rest) = name.rsplit_once("config")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let tail = &rest[digits.len()..];
    let ends = tail.is_empty() || tail == "_s" || tail.strip_prefix("_s_").is_some();
    if ends { digits.parse().ok() } else { None }
}

fn role_of(name: &str) -> Option<Role> {
    const INNER: [&str; 4] = [
        "compute_output",
        "shift_line",
        "dense_wrapper",
        "dense_resource_wrapper",
    ];
    const ACTIVATIONS: [&str; 12] = [
        "relu",
        "linear",
        "sigmoid",
        "tanh",
        "softmax",
        "leaky_relu",
        "elu",
        "selu",
        "prelu",
        "softplus",
        "softsign",
        "hard_",
    ];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&INNER) || name.contains("_mult") {
        None
    } else if starts(&["conv_", "pointwise_conv", "depthwise_conv", "separable_conv"]) {
        Some(Role::Convolution)
    } else if starts(&["dense"]) {
        Some(Role::Dense)
    } else if starts(&ACTIVATIONS) {
        Some(Role::Activation)
    } else {
        None
    }
}

fn timed(
    file: &str,
    functions: Vec<Function>,
    clock: Option<f64>,
    network: &Network,
) -> Result<FlowHardware, FlowError> {
    let mut flow = FlowHardware::default();
    flow.hardware.name = "csynth".to_owned();
    flow.hardware.clock_mhz = clock.filter(|period| *period > 0.0).map(|period| 1000.0 / period);
    // One function per configuration: a convolution before the dense function that it calls.
    let mut of_products: BTreeMap<u32, (Role, Function)> = BTreeMap::new();
    let mut of_activations: BTreeMap<u32, Function> = BTreeMap::new();
    for function in functions {
        match (role_of(&function.name), config_of(&function.name)) {
            (Some(Role::Activation), Some(config)) => {
                of_activations.entry(config).or_insert(function);
            }
            (Some(role), Some(config)) => match of_products.get(&config) {
                Some((known, _)) if *known <= role => {
                    flow.unused(function.name, "is called by the function of its layer");
                }
                _ => {
                    if let Some((_, before)) = of_products.insert(config, (role, function)) {
                        flow.unused(before.name, "is called by the function of its layer");
                    }
                }
            },
            _ => flow.unused(
                function.name,
                "is no layer's function: the design as a whole, a function inside a layer, or one without a loop of its own here",
            ),
        }
    }
    let layers_of = |wanted: fn(&Op) -> bool, without: &[LayerId]| -> Vec<LayerId> {
        let mut found: Vec<LayerId> = Vec::new();
        for node in &network.nodes {
            if wanted(&node.op) && !found.contains(&node.layer) && !without.contains(&node.layer) {
                found.push(node.layer);
            }
        }
        found
    };
    let names = |layers: &[LayerId]| -> Vec<String> {
        layers
            .iter()
            .map(|&layer| network.layer(layer).name.clone())
            .collect()
    };
    let products = layers_of(|op| matches!(op, Op::Mac(_)), &[]);
    if of_products.len() != products.len() {
        return Err(FlowError::Count {
            file: file.to_owned(),
            kind: "functions of matrix products",
            found: of_products.len(),
            expected: products.len(),
            layers: names(&products),
        });
    }
    for ((_, function), &layer) in of_products.into_values().zip(&products) {
        flow.time(network, layer, function, false);
    }
    let activations = layers_of(
        |op| matches!(op, Op::Relu(_) | Op::Table(_) | Op::Clip { .. }),
        &products,
    );
    if of_activations.len() == activations.len() {
        for (function, &layer) in of_activations.into_values().zip(&activations) {
            flow.time(network, layer, function, true);
        }
    } else {
        let reason = format!(
            "the report has {} activations and the network {} layers of them, so which is which cannot be told",
            of_activations.len(),
            activations.len()
        );
        for function in of_activations.into_values() {
            flow.unused(function.name, reason.clone());
        }
    }
    Ok(flow)
}

impl FlowHardware {
    /// The loop of a function as that of a layer; without a loop the function itself.
    fn time(&mut self, network: &Network, layer: LayerId, function: Function, streams: bool) {
        let whole = function.interval.zip(function.latency);
        let Some((interval, latency)) = function.pipelined.or(whole) else {
            return self.unused(
                function.name,
                "states neither a pipelined loop nor an interval and a latency",
            );
        };
        let layer = network.layer(layer);
        if streams && (interval > 1 || latency == 0) {
            return self.unused(
                function.name,
                format!("layer `{}` takes a result per cycle here", layer.name),
            );
        }
        let entry = self.hardware.layers.entry(layer.name.clone()).or_default();
        entry.timing = Some(LoopTiming {
            initiation_interval: interval.max(1),
            iteration_latency: latency.max(1),
        });
    }
}
