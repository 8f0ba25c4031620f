//! FINN's `folding_config.json`, `auto_folding_config.json` and `final_hw_config.json`: attributes of nodes by
//! their names, and defaults by attribute.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::hardware::{
    FifoDepth, Folding, Packing, Storage, Style, ThresholdStorage, WeightMemory, WindowUnit,
};
use super::super::window::WindowStage;
use super::{FlowError, FlowHardware};
use crate::network::{LayerId, Mac, Network, Op, ParamKind};

const DEFAULTS: &str = "Defaults";

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Product,
    Depthwise,
    Window,
    Padding,
    Thresholding,
    Fifo,
    Converter,
    Pool,
    Other,
}

/// A node of the configuration.
struct FinnNode<'a> {
    name: &'a str,
    op: &'a str,
    index: u64,
    kind: Kind,
    attributes: Vec<(&'a str, &'a Value)>,
    layer: Option<LayerId>,
}

/// Whether a document names nodes as FINN does.
pub(super) fn is_config(entries: &Map<String, Value>) -> bool {
    entries
        .iter()
        .all(|(name, value)| value.is_object() && (name == DEFAULTS || split(name).is_some()))
}

/// A node's operator and number: `MVAU_hls_3`, in front of it perhaps the partition that it lies in.
fn split(name: &str) -> Option<(&str, u64)> {
    let (op, index) = name.rsplit_once('_')?;
    let index = index.parse().ok()?;
    let op = op
        .strip_prefix("StreamingDataflowPartition_")
        .and_then(|rest| rest.split_once('_'))
        .map_or(op, |(_, op)| op);
    (!op.is_empty()).then_some((op, index))
}

/// What an operator does, under the names that FINN's versions have given it.
fn kind_of(op: &str) -> Kind {
    let base = op
        .trim_end_matches("_hls")
        .trim_end_matches("_rtl")
        .trim_end_matches("_Batch");
    match base {
        "MVAU" | "MatrixVectorActivation" | "StreamingFCLayer" => Kind::Product,
        "VVAU" | "VectorVectorActivation" | "Vector_Vector_Activate" => Kind::Depthwise,
        "ConvolutionInputGenerator"
        | "ConvolutionInputGenerator1D"
        | "ConvolutionInputGenerator_MMV"
        | "DownSampler" => Kind::Window,
        "FMPadding" => Kind::Padding,
        "Thresholding" | "Thresholding_Binary_Search" => Kind::Thresholding,
        "StreamingFIFO" => Kind::Fifo,
        "StreamingDataWidthConverter" => Kind::Converter,
        "Pool" | "StreamingMaxPool" | "StreamingMaxPool_Precision" | "GlobalAccPool" => Kind::Pool,
        _ => Kind::Other,
    }
}

/// A matrix product of the network.
struct Product<'a> {
    layer: LayerId,
    mac: &'a Mac,
    thresholds: bool,
}

struct Reader<'a> {
    file: &'a str,
    network: &'a Network,
    nodes: Vec<FinnNode<'a>>,
    products: Vec<Product<'a>>,
    flow: FlowHardware,
}

pub(super) fn read(
    file: &str,
    entries: &Map<String, Value>,
    network: &Network,
) -> Result<FlowHardware, FlowError> {
    let none = Map::new();
    let defaults = entries.get(DEFAULTS).and_then(Value::as_object).unwrap_or(&none);
    let mut nodes = Vec::new();
    for (name, value) in entries.iter().filter(|(name, _)| *name != DEFAULTS) {
        let (Some((op, index)), Some(own)) = (split(name), value.as_object()) else {
            continue;
        };
        let mut attributes = Vec::new();
        for (attribute, value) in defaults
            .iter()
            .filter(|(attribute, _)| !own.contains_key(*attribute))
        {
            let value = default_for(file, op, attribute, value)?;
            attributes.extend(value.map(|value| (attribute.as_str(), value)));
        }
        attributes.extend(own.iter().map(|(attribute, value)| (attribute.as_str(), value)));
        nodes.push(FinnNode {
            name,
            op,
            index,
            kind: kind_of(op),
            attributes,
            layer: None,
        });
    }
    let products = network.nodes.iter().filter_map(|node| match &node.op {
        Op::Mac(mac) => Some(Product {
            layer: node.layer,
            mac,
            thresholds: network.param_of(node.layer, ParamKind::Threshold).is_some(),
        }),
        _ => None,
    });
    let mut reader = Reader {
        file,
        network,
        nodes,
        products: products.collect(),
        flow: FlowHardware::default(),
    };
    reader.flow.hardware.name = "finn".to_owned();
    reader.matched()?;
    reader.written()?;
    if let Some(unused) = reader.unused_defaults(defaults) {
        reader.flow.unused(DEFAULTS, unused);
    }
    Ok(reader.flow)
}

/// What the defaults say about an attribute of an operator: pairs of a value and the operators that have it.
fn default_for<'a>(
    file: &str,
    op: &str,
    attribute: &str,
    value: &'a Value,
) -> Result<Option<&'a Value>, FlowError> {
    let wrong = || FlowError::Value {
        file: file.to_owned(),
        entry: format!("{DEFAULTS}.{attribute}"),
        value: value.to_string(),
        expected: "a list of a value and the operators that have it, `\"all\"` for all of them",
    };
    let pairs = value
        .as_array()
        .filter(|list| list.len() % 2 == 0)
        .ok_or_else(wrong)?;
    let base = |op: &str| {
        op.trim_end_matches("_hls")
            .trim_end_matches("_rtl")
            .trim_end_matches("_Batch")
            .to_owned()
    };
    let mut found = None;
    for pair in pairs.chunks_exact(2) {
        let named = |name: &str| name == "all" || name == op || base(name) == base(op);
        let has = match &pair[1] {
            Value::String(name) => named(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(named),
            _ => return Err(wrong()),
        };
        if has {
            found = Some(&pair[0]);
        }
    }
    Ok(found)
}

impl<'a> Reader<'a> {
    /// The nodes of a kind in the order of the graph, as positions.
    fn of_kind(&self, kind: Kind) -> Result<Vec<usize>, FlowError> {
        let mut found: Vec<usize> = (0..self.nodes.len())
            .filter(|&at| self.nodes[at].kind == kind)
            .collect();
        let ops: Vec<&str> = found.iter().map(|&at| self.nodes[at].op).collect();
        if ops.windows(2).all(|pair| pair[0] == pair[1]) {
            found.sort_by_key(|&at| self.nodes[at].index);
        } else if !self.numbers_rise() {
            let [first, .., last] = [ops[0], ops[ops.len() - 1]];
            return Err(FlowError::Order {
                file: self.file.to_owned(),
                problem: format!(
                    "numbers `{first}` and `{last}` apart, and does not list them in the order of the graph"
                ),
                expected: "entries in the order of the graph, as FINN writes them",
            });
        }
        Ok(found)
    }

    /// Whether the numbers of every operator rise through the file, as they do in the order of the graph.
    fn numbers_rise(&self) -> bool {
        let mut last: HashMap<&str, u64> = HashMap::new();
        self.nodes.iter().all(|node| {
            let before = last.insert(node.op, node.index);
            before.is_none_or(|before| before < node.index)
        })
    }

    /// Whether the layers of the nodes that are matched so far follow each other through the file.
    fn in_order(&self) -> bool {
        let layers: Vec<LayerId> = self.nodes.iter().filter_map(|node| node.layer).collect();
        self.numbers_rise() && layers.windows(2).all(|pair| pair[0] <= pair[1])
    }

    /// The next node behind one that computes, or the one in front.
    fn neighbour(&self, at: usize, before: bool) -> Option<&FinnNode<'a>> {
        let computes = |node: &&FinnNode<'a>| !matches!(node.kind, Kind::Fifo | Kind::Converter);
        if before {
            self.nodes[..at].iter().rev().find(computes)
        } else {
            self.nodes[at + 1..].iter().find(computes)
        }
    }

    fn name(&self, layer: LayerId) -> String {
        self.network.layer(layer).name.clone()
    }

    /// As many nodes as layers, in the same order.
    fn pair(&mut self, what: &'static str, nodes: &[usize], layers: &[LayerId]) -> Result<(), FlowError> {
        if nodes.is_empty() {
            return Ok(());
        }
        if nodes.len() != layers.len() {
            return Err(FlowError::Count {
                file: self.file.to_owned(),
                kind: what,
                found: nodes.len(),
                expected: layers.len(),
                layers: layers.iter().map(|&layer| self.name(layer)).collect(),
            });
        }
        for (&node, &layer) in nodes.iter().zip(layers) {
            self.nodes[node].layer = Some(layer);
        }
        Ok(())
    }

    /// Finds the layer of every node that has one.
    fn matched(&mut self) -> Result<(), FlowError> {
        let depthwise = |product: &&Product<'_>| product.mac.groups > 1;
        let layers = |products: Vec<&Product<'_>>| products.iter().map(|product| product.layer).collect();
        let plain: Vec<LayerId> = layers(self.products.iter().filter(|p| !depthwise(p)).collect());
        let separate: Vec<LayerId> = layers(self.products.iter().filter(depthwise).collect());
        let nodes = self.of_kind(Kind::Product)?;
        self.pair("matrix products", &nodes, &plain)?;
        let nodes = self.of_kind(Kind::Depthwise)?;
        self.pair("depthwise products", &nodes, &separate)?;

        let unit = |product: &&Product<'_>| -> Option<WindowStage> {
            let layer = self.network.layer(product.layer);
            let folding = Folding::Finn { pe: 1, simd: 1 };
            WindowStage::of(layer, product.mac, folding, &self.flow.hardware)
                .ok()
                .flatten()
        };
        let windows: Vec<LayerId> = layers(self.products.iter().filter(|p| unit(p).is_some()).collect());
        let padded = |product: &&Product<'_>| unit(product).is_some_and(|unit| unit.is_padded());
        let paddings: Vec<LayerId> = layers(self.products.iter().filter(padded).collect());
        let nodes = self.not_of_pools(Kind::Window, windows.len())?;
        self.pair("sliding window generators", &nodes, &windows)?;
        let nodes = self.not_of_pools(Kind::Padding, paddings.len())?;
        self.pair("paddings", &nodes, &paddings)?;
        self.thresholdings()
    }

    /// The nodes of a kind without those that serve a pool, where there are more than the products need.
    fn not_of_pools(&mut self, kind: Kind, needed: usize) -> Result<Vec<usize>, FlowError> {
        let nodes = self.of_kind(kind)?;
        if nodes.len() <= needed || !self.in_order() {
            return Ok(nodes);
        }
        let serves_pool = |&at: &usize| {
            let consumer = self.nodes[at + 1..].iter().find(|node| {
                matches!(
                    node.kind,
                    Kind::Product | Kind::Depthwise | Kind::Pool | Kind::Thresholding
                )
            });
            consumer.is_some_and(|node| node.kind == Kind::Pool)
        };
        let (of_pools, rest): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(serves_pool);
        for at in of_pools {
            let name = self.nodes[at].name;
            self.flow
                .unused(name, "serves a pool, which takes a pixel per cycle here");
        }
        Ok(rest)
    }

    /// Thresholding nodes: those behind a product belong to its layer, others are layers of their own; one in
    /// front of everything quantizes the input, which happens outside.
    fn thresholdings(&mut self) -> Result<(), FlowError> {
        let nodes = self.of_kind(Kind::Thresholding)?;
        if nodes.is_empty() {
            return Ok(());
        }
        let network = self.network;
        let all: Vec<LayerId> = network
            .nodes
            .iter()
            .filter(|node| matches!(node.op, Op::MultiThreshold(_)))
            .map(|node| node.layer)
            .collect();
        let of_products: Vec<LayerId> = self.products.iter().map(|product| product.layer).collect();
        let alone: Vec<LayerId> = all
            .iter()
            .copied()
            .filter(|layer| !of_products.contains(layer))
            .collect();
        if self.in_order() && self.nodes.iter().any(|node| node.layer.is_some()) {
            let mut rest = alone.into_iter().peekable();
            for at in nodes {
                let before = self.neighbour(at, true);
                let product = before.filter(|node| matches!(node.kind, Kind::Product | Kind::Depthwise));
                let layer = match (product.and_then(|node| node.layer), before) {
                    (Some(layer), _) => all.contains(&layer).then_some(layer),
                    (None, None) if rest.peek().is_none_or(|&layer| layer > LayerId(0)) => {
                        let name = self.nodes[at].name;
                        self.flow
                            .unused(name, "quantizes the input, which enters quantized here");
                        continue;
                    }
                    (None, _) => rest.next(),
                };
                match layer {
                    Some(layer) => self.nodes[at].layer = Some(layer),
                    None => {
                        let name = self.nodes[at].name;
                        self.flow.unused(
                            name,
                            "is an activation that the network file computes without thresholds",
                        );
                    }
                }
            }
            return Ok(());
        }
        // Without an order of the graph only the counts can tell.
        let fits: Vec<(bool, &Vec<LayerId>)> = [&alone, &all]
            .into_iter()
            .flat_map(|layers| [(false, layers), (true, layers)])
            .filter(|(input, layers)| layers.len() + usize::from(*input) == nodes.len())
            .collect();
        match fits.as_slice() {
            [] if all.is_empty() => {
                for at in nodes {
                    let name = self.nodes[at].name;
                    self.flow.unused(name, "the network file has no thresholds");
                }
                Ok(())
            }
            [] => self.pair("thresholdings", &nodes, &all),
            [(input, layers), rest @ ..] if rest.iter().all(|(_, other)| other == layers) => {
                let layers = (*layers).clone();
                if *input {
                    let name = self.nodes[nodes[0]].name;
                    self.flow
                        .unused(name, "quantizes the input, which enters quantized here");
                }
                self.pair("thresholdings", &nodes[usize::from(*input)..], &layers)
            }
            _ => Err(FlowError::Order {
                file: self.file.to_owned(),
                problem: format!(
                    "{} thresholdings can be matched with the layers in more than one way",
                    nodes.len()
                ),
                expected: "entries in the order of the graph, as FINN writes them",
            }),
        }
    }

    /// Hands every entry to its layer.
    fn written(&mut self) -> Result<(), FlowError> {
        let nodes = std::mem::take(&mut self.nodes);
        let in_order = {
            let layers: Vec<LayerId> = nodes.iter().filter_map(|node| node.layer).collect();
            layers.windows(2).all(|pair| pair[0] <= pair[1])
        };
        let mut ultra = false;
        for (at, node) in nodes.iter().enumerate() {
            match (node.kind, node.layer) {
                (Kind::Product | Kind::Depthwise, Some(layer)) => ultra |= self.product(node, layer)?,
                (Kind::Window, Some(layer)) => self.window(node, layer)?,
                (Kind::Padding, Some(layer)) => self.padding(node, layer)?,
                (Kind::Thresholding, Some(layer)) => ultra |= self.thresholding(node, layer)?,
                (Kind::Fifo, _) => self.fifo(&nodes, at, in_order)?,
                (Kind::Converter, _) => self.flow.unused(
                    node.name,
                    "width converters follow from the widths on either side",
                ),
                (Kind::Pool, _) => self.flow.unused(node.name, "a pool takes a pixel per cycle here"),
                (Kind::Other, _) => self
                    .flow
                    .unused(node.name, "no part of the network file is such a node"),
                // Those without a layer are named where they were looked for.
                (_, None) => {}
            }
        }
        self.depths(&nodes, in_order)?;
        let technology = if ultra { "xcup" } else { "xc7" };
        self.flow.hardware.technology = Some(technology.to_owned());
        self.flow.assumed(
            "technology",
            format!("the file names no device; taken is `{technology}`"),
        );
        Ok(())
    }

    fn entry(&mut self, layer: LayerId) -> &mut super::super::hardware::LayerHardware {
        let name = self.name(layer);
        self.flow.hardware.layers.entry(name).or_default()
    }

    fn count(&self, node: &FinnNode<'_>, attribute: &str, value: &Value) -> Result<u32, FlowError> {
        let found = value.as_u64().and_then(|count| u32::try_from(count).ok());
        found
            .filter(|&count| count > 0)
            .ok_or_else(|| self.wrong(node, attribute, value, "a whole number from 1"))
    }

    fn wrong(
        &self,
        node: &FinnNode<'_>,
        attribute: &str,
        value: &Value,
        expected: &'static str,
    ) -> FlowError {
        FlowError::Value {
            file: self.file.to_owned(),
            entry: format!("{}.{attribute}", node.name),
            value: match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            expected,
        }
    }

    /// Names an attribute that nothing here has.
    fn left_out(&mut self, node: &FinnNode<'_>, attribute: &str) {
        let reason = match attribute {
            "resType" => "arithmetic is not counted, only memories are",
            "runtime_writeable_weights" => "no port for writing weights is modelled",
            "pumpedMemory" | "pumpedCompute" | "pumped_memory" | "pumped_compute" => {
                "one clock drives everything here"
            }
            "depth_trigger_uram" | "depth_trigger_bram" => {
                "the memory of thresholds is a style of the hardware file"
            }
            "impl_style" => "both implementations hold the same words",
            _ => "has no counterpart in a hardware file",
        };
        self.flow.unused(format!("{}.{attribute}", node.name), reason);
    }

    /// A style of memory; none for `auto`.
    fn style(&self, node: &FinnNode<'_>, attribute: &str, value: &Value) -> Result<Option<Style>, FlowError> {
        match value.as_str() {
            Some("auto") => Ok(None),
            Some("block") => Ok(Some(Style::BlockRam)),
            Some("distributed") => Ok(Some(Style::LutRam)),
            Some("ultra") => Ok(Some(Style::UltraRam)),
            _ => Err(self.wrong(node, attribute, value, "auto, block, distributed or ultra")),
        }
    }

    /// A product's entry; whether its weights lie in UltraRAM.
    fn product(&mut self, node: &FinnNode<'_>, layer: LayerId) -> Result<bool, FlowError> {
        let (mut pe, mut simd, mut memory, mut style) = (None, None, None, None);
        let mut thresholds = None;
        let mut external = false;
        for &(attribute, value) in &node.attributes {
            match attribute {
                "PE" => pe = Some(self.count(node, attribute, value)?),
                "SIMD" => simd = Some(self.count(node, attribute, value)?),
                "mem_mode" => match value.as_str() {
                    Some("internal_embedded" | "const") => memory = Some(WeightMemory::Embedded),
                    Some("internal_decoupled" | "decoupled") => memory = Some(WeightMemory::Decoupled),
                    Some("external") => external = true,
                    _ => {
                        let expected = "internal_embedded, internal_decoupled or external";
                        return Err(self.wrong(node, attribute, value, expected));
                    }
                },
                "ram_style" => style = self.style(node, attribute, value)?,
                "ram_style_thresholds" => thresholds = self.style(node, attribute, value)?,
                "inFIFODepths" | "outFIFODepths" | "inFIFODepth" | "outFIFODepth" => {}
                _ => self.left_out(node, attribute),
            }
        }
        let product = self.products.iter().find(|product| product.layer == layer);
        let (taps, compares) = product.map_or((1, false), |product| {
            let rows = product.mac.geometry.output[2];
            (
                rows * product.mac.geometry.taps(product.mac.groups),
                product.thresholds,
            )
        });
        let states_thresholds = node
            .attributes
            .iter()
            .any(|(attribute, _)| *attribute == "ram_style_thresholds");
        if states_thresholds && !compares {
            self.flow.unused(
                format!("{}.ram_style_thresholds", node.name),
                "the network file has no thresholds in this layer",
            );
        } else if compares && thresholds.is_none() {
            self.flow.assumed(
                format!("{}.ram_style_thresholds", node.name),
                "FINN leaves it to the tool; taken are look-up tables",
            );
        }
        if node.op.ends_with("_hls") {
            self.flow.assumed(
                node.name,
                "a unit of high-level synthesis drains behind every frame; `timing` of its report says for how long, none is taken",
            );
        }
        let (pe, simd) = (pe.unwrap_or(1), simd.unwrap_or(1));
        self.entry(layer).folding = Some(Folding::Finn { pe, simd });
        let mut ultra = style == Some(Style::UltraRam);
        if external {
            self.flow.unused(
                format!("{}.mem_mode", node.name),
                "weights that stream in from outside are kept inside here",
            );
        }
        let memory = memory.unwrap_or(WeightMemory::Decoupled);
        let style = style.unwrap_or_else(|| {
            let depth = taps as u64 / (u64::from(pe) * u64::from(simd)).max(1);
            let (style, text) = if memory == WeightMemory::Embedded && depth <= 128 {
                (
                    Style::LutRam,
                    "look-up tables, as its lut_estimation counts weights of up to 128 words inside the unit",
                )
            } else {
                (Style::BlockRam, "block memory, as its bram_estimation counts it")
            };
            self.flow.assumed(
                format!("{}.ram_style", node.name),
                format!("FINN leaves it to the tool; taken is {text}"),
            );
            style
        });
        let entry = self.entry(layer);
        entry.weight_memory = Some(memory);
        entry.weights = Some(Storage {
            style,
            packing: Packing::Memblock,
            ..Storage::default()
        });
        if compares && entry.thresholds.is_none() {
            entry.thresholds = Some(per_pe(thresholds.unwrap_or(Style::LutRam)));
            ultra |= thresholds == Some(Style::UltraRam);
        }
        Ok(ultra)
    }

    fn window(&mut self, node: &FinnNode<'_>, layer: LayerId) -> Result<(), FlowError> {
        let mut unit = self.entry(layer).window.unwrap_or_default();
        unit.parallel = Some(false);
        unit.simd = None;
        for &(attribute, value) in &node.attributes {
            match attribute {
                "SIMD" => unit.simd = Some(self.count(node, attribute, value)?),
                "parallel_window" => {
                    unit.parallel = Some(match value.as_u64() {
                        Some(0) => false,
                        Some(1) => true,
                        _ => return Err(self.wrong(node, attribute, value, "0 or 1")),
                    });
                }
                "inFIFODepths" | "outFIFODepths" | "inFIFODepth" | "outFIFODepth" => {}
                "ram_style" => self.flow.unused(
                    format!("{}.{attribute}", node.name),
                    "line buffers are registers of the cycle engine, not memories",
                ),
                _ => self.left_out(node, attribute),
            }
        }
        if unit.parallel == Some(false) && unit.simd.is_none() {
            // FINN's generator has one lane where nothing else is said.
            unit.simd = Some(1);
        }
        self.entry(layer).window = Some(unit);
        Ok(())
    }

    fn padding(&mut self, node: &FinnNode<'_>, layer: LayerId) -> Result<(), FlowError> {
        for &(attribute, value) in &node.attributes {
            match attribute {
                "SIMD" => {
                    let simd = self.count(node, attribute, value)?;
                    let entry = self.entry(layer);
                    let unit = entry.window.unwrap_or_default();
                    entry.window = Some(WindowUnit {
                        padding_simd: Some(simd),
                        ..unit
                    });
                }
                "inFIFODepths" | "outFIFODepths" | "inFIFODepth" | "outFIFODepth" => {}
                _ => self.left_out(node, attribute),
            }
        }
        Ok(())
    }

    /// A thresholding's entry; whether its thresholds lie in UltraRAM.
    fn thresholding(&mut self, node: &FinnNode<'_>, layer: LayerId) -> Result<bool, FlowError> {
        let mut style = None;
        let mut pe = 1;
        for &(attribute, value) in &node.attributes {
            match attribute {
                "PE" => pe = self.count(node, attribute, value)?,
                "deep_pipeline" => {
                    self.entry(layer).deep_pipeline = Some(match value.as_u64() {
                        Some(0) => false,
                        Some(1) => true,
                        _ => return Err(self.wrong(node, attribute, value, "0 or 1")),
                    });
                }
                "ram_style" | "ram_style_thresholds" => style = self.style(node, attribute, value)?,
                "inFIFODepths" | "outFIFODepths" | "inFIFODepth" | "outFIFODepth" => {}
                _ => self.left_out(node, attribute),
            }
        }
        let entry = self.entry(layer);
        entry.pe = Some(pe);
        entry.thresholds = Some(per_pe(style.unwrap_or(Style::LutRam)));
        if style.is_none() {
            self.flow.assumed(
                format!("{}.ram_style", node.name),
                "FINN leaves it to the tool; taken are look-up tables",
            );
        }
        Ok(style == Some(Style::UltraRam))
    }

    /// A FIFO of the file: in front of the next node that computes, where a layer begins there.
    fn fifo(&mut self, nodes: &[FinnNode<'_>], at: usize, in_order: bool) -> Result<(), FlowError> {
        let node = &nodes[at];
        let depth = node
            .attributes
            .iter()
            .find(|(attribute, _)| *attribute == "depth");
        let Some(&(attribute, value)) = depth else {
            self.flow.unused(node.name, "states no depth");
            return Ok(());
        };
        let depth = self.count(node, attribute, value)?;
        if !in_order {
            self.flow.unused(
                node.name,
                "the file is not in the order of the graph, so its place is not known",
            );
            return Ok(());
        }
        match begins(nodes, at) {
            Some(layer) => {
                let entry = self.entry(layer);
                let deepest = match entry.fifo {
                    Some(FifoDepth::Words(before)) => before.max(depth),
                    _ => depth,
                };
                entry.fifo = Some(FifoDepth::Words(deepest));
                for &(attribute, _) in &node.attributes {
                    if attribute != "depth" && !attribute.contains("FIFODepth") {
                        self.left_out(node, attribute);
                    }
                }
            }
            None => match behind_window(nodes, at) {
                Some(layer) => {
                    let entry = self.entry(layer);
                    let unit = entry.window.unwrap_or_default();
                    let before = match unit.fifo {
                        Some(FifoDepth::Words(before)) => before,
                        _ => 0,
                    };
                    entry.window = Some(WindowUnit {
                        fifo: Some(FifoDepth::Words(before.max(depth))),
                        ..unit
                    });
                }
                None => self.flow.unused(
                    node.name,
                    "FIFOs stand in front of layers and behind window generators here",
                ),
            },
        }
        Ok(())
    }

    /// Depths that nodes state for the FIFOs at their ends: the larger of both sides, where FINN builds one.
    fn depths(&mut self, nodes: &[FinnNode<'_>], in_order: bool) -> Result<(), FlowError> {
        let mut ahead: Option<u32> = None;
        for (at, node) in nodes.iter().enumerate() {
            if matches!(node.kind, Kind::Fifo | Kind::Converter) {
                continue;
            }
            let inward = self.depth_of(node, "in")?;
            let outward = self.depth_of(node, "out")?;
            let stated = [ahead, inward].into_iter().flatten().max();
            ahead = outward;
            let Some(depth) = stated else { continue };
            let starts = starts_layer(nodes, at);
            let before = |side: &str| format!("{}.{side}FIFODepths", node.name);
            let first = node.layer.filter(|_| in_order && starts);
            match first {
                Some(layer) if depth > 2 => {
                    let entry = self.entry(layer);
                    if entry.fifo.is_none() {
                        entry.fifo = Some(FifoDepth::Words(depth));
                    }
                }
                // FINN builds no FIFO of up to two words.
                Some(_) => {}
                None if depth > 2
                    && in_order
                    && behind_window(nodes, at) == node.layer
                    && node.layer.is_some() =>
                {
                    if let Some(layer) = node.layer {
                        let entry = self.entry(layer);
                        let unit = entry.window.unwrap_or_default();
                        entry.window = Some(WindowUnit {
                            fifo: unit.fifo.or(Some(FifoDepth::Words(depth))),
                            ..unit
                        });
                    }
                }
                None if inward.is_some_and(|depth| depth > 2) => {
                    let reason = "lies inside a layer, or its place is not known";
                    self.flow.unused(before("in"), reason);
                }
                None => {}
            }
        }
        Ok(())
    }

    fn depth_of(&self, node: &FinnNode<'_>, side: &str) -> Result<Option<u32>, FlowError> {
        for &(attribute, value) in &node.attributes {
            if attribute != format!("{side}FIFODepths") && attribute != format!("{side}FIFODepth") {
                continue;
            }
            let first = value.as_array().map_or(Some(value), |list| list.first());
            let Some(first) = first else { return Ok(None) };
            if first.as_u64() == Some(0) {
                return Ok(None);
            }
            return self.count(node, attribute, first).map(Some);
        }
        Ok(None)
    }

    /// Defaults that no node of the file takes.
    fn unused_defaults(&self, defaults: &Map<String, Value>) -> Option<String> {
        let names: Vec<&str> = defaults.keys().map(String::as_str).collect();
        let nothing = self.flow.hardware.layers.is_empty();
        (nothing && !names.is_empty()).then(|| format!("no node takes {}", names.join(", ")))
    }
}

/// Thresholds in a memory per PE.
fn per_pe(style: Style) -> ThresholdStorage {
    ThresholdStorage {
        style,
        packing: Packing::PerPe,
        ..ThresholdStorage::default()
    }
}

/// Whether a node is the first one of its layer that computes.
fn starts_layer(nodes: &[FinnNode<'_>], at: usize) -> bool {
    let layer = nodes[at].layer;
    !nodes[..at].iter().any(|node| node.layer == layer)
}

/// The layer whose window generator stands in front of a FIFO.
fn behind_window(nodes: &[FinnNode<'_>], at: usize) -> Option<LayerId> {
    let before = nodes[..at].iter().rev().find(|node| node.kind != Kind::Fifo)?;
    before.layer.filter(|_| before.kind == Kind::Window)
}

/// The layer that begins behind a FIFO or converter.
fn begins(nodes: &[FinnNode<'_>], at: usize) -> Option<LayerId> {
    let next =
        (at + 1..nodes.len()).find(|&next| !matches!(nodes[next].kind, Kind::Fifo | Kind::Converter))?;
    nodes[next].layer.filter(|_| starts_layer(nodes, next))
}
