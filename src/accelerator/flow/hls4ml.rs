//! hls4ml's `hls4ml_config.yml`: the project, and what holds for the model, for types of layers and for layers.

use serde_json::{Map, Value};

use super::super::folding::MatrixShape;
use super::super::hardware::{Folding, Hls4mlBuild, HlsTool, IoType, Packing, Storage, Style};
use super::super::reuse::ReuseRule;
use super::{FlowError, FlowHardware};
use crate::network::{LayerId, Mac, Network, Op};

const SECTIONS: [&str; 3] = ["Model", "LayerType", "LayerName"];

/// A YAML document as a tree.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// Whether a document is a project configuration or its `HLSConfig`.
pub(super) fn is_config(entries: &Map<String, Value>) -> bool {
    entries.contains_key("HLSConfig") || SECTIONS.iter().any(|section| entries.contains_key(*section))
}

struct Reader<'a> {
    file: &'a str,
    network: &'a Network,
    flow: FlowHardware,
}

/// What a section says about layers.
#[derive(Clone, Copy, Default)]
struct Said {
    reuse: Option<u32>,
    resource: Option<bool>,
}

impl Said {
    fn or(self, other: Self) -> Self {
        Self {
            reuse: self.reuse.or(other.reuse),
            resource: self.resource.or(other.resource),
        }
    }
}

pub(super) fn read(
    file: &str,
    entries: &Map<String, Value>,
    network: &Network,
) -> Result<FlowHardware, FlowError> {
    let mut reader = Reader {
        file,
        network,
        flow: FlowHardware::default(),
    };
    reader.flow.hardware.name = "hls4ml".to_owned();
    let config = entries.get("HLSConfig").and_then(Value::as_object);
    if config.is_some() {
        for (key, value) in entries.iter().filter(|(key, _)| *key != "HLSConfig") {
            reader.project(key, value)?;
        }
    }
    let config = config.unwrap_or(entries);
    reader.config(config)?;
    if reader.flow.hardware.technology.is_none() {
        reader.flow.hardware.technology = Some("xc7".to_owned());
        reader
            .flow
            .assumed("Part", "the file names no part; taken is `xc7`");
    }
    Ok(reader.flow)
}

impl Reader<'_> {
    fn wrong(&self, entry: String, value: &Value, expected: &'static str) -> FlowError {
        FlowError::Value {
            file: self.file.to_owned(),
            entry,
            value: match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            expected,
        }
    }

    fn build(&mut self) -> &mut Hls4mlBuild {
        self.flow.hardware.hls4ml.get_or_insert_default()
    }

    /// An entry about the project.
    fn project(&mut self, key: &str, value: &Value) -> Result<(), FlowError> {
        let reason = match key {
            "ClockPeriod" => {
                let number = value
                    .as_f64()
                    .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                let period = number.filter(|period| period.is_finite() && *period > 0.0);
                let Some(period) = period else {
                    return Err(self.wrong(key.to_owned(), value, "a period in nanoseconds above 0"));
                };
                self.flow.hardware.clock_mhz = Some(1000.0 / period);
                return Ok(());
            }
            "Part" | "Board" => {
                self.flow.hardware.technology =
                    Some(technology_of(value.as_str().unwrap_or_default()).into());
                return Ok(());
            }
            "ProjectName" => {
                if let Some(name) = value.as_str().filter(|name| !name.is_empty()) {
                    name.clone_into(&mut self.flow.hardware.name);
                }
                return Ok(());
            }
            "IOType" => {
                let io_type = match value.as_str() {
                    Some("io_stream") => IoType::Stream,
                    Some("io_parallel") => IoType::Parallel,
                    _ => return Err(self.wrong(key.to_owned(), value, "`io_stream` or `io_parallel`")),
                };
                self.build().io_type = Some(io_type);
                return Ok(());
            }
            "Backend" => {
                let tool = match value.as_str() {
                    Some(name) if name.eq_ignore_ascii_case("vitis") => HlsTool::Vitis,
                    Some(name) if name.eq_ignore_ascii_case("vivado") => HlsTool::Vivado,
                    _ => {
                        self.flow
                            .unused(key, "is neither Vivado nor Vitis, whose cycles are known");
                        return Ok(());
                    }
                };
                self.build().tool = Some(tool);
                return Ok(());
            }
            "ClockUncertainty" => "the clock is as stated, without a margin",
            _ => "is about files and tools, not about the design",
        };
        self.flow.unused(key, reason);
        Ok(())
    }

    fn config(&mut self, config: &Map<String, Value>) -> Result<(), FlowError> {
        for (section, value) in config.iter().filter(|(key, _)| !SECTIONS.contains(&key.as_str())) {
            if matches!(
                section.as_str(),
                "ClockPeriod" | "Part" | "ProjectName" | "IOType" | "Backend"
            ) {
                self.project(section, value)?;
            } else {
                self.flow.unused(section, "has no counterpart in a hardware file");
            }
        }
        let section = |name: &str| -> Map<String, Value> {
            config
                .get(name)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let model = self.said("Model", &section("Model"))?;
        let (types, names) = (section("LayerType"), section("LayerName"));
        let network = self.network;
        let mut used_types = Vec::new();
        let mut known = 0;
        for node in &network.nodes {
            let Op::Mac(mac) = &node.op else { continue };
            let layer = network.layer(node.layer);
            let own = match names.get(&layer.name).and_then(Value::as_object) {
                Some(own) => {
                    known += 1;
                    self.said(&format!("LayerName.{}", layer.name), own)?
                }
                None => Said::default(),
            };
            let kind = types.get(&layer.kind).and_then(Value::as_object);
            let of_type = match kind {
                Some(kind) if !used_types.contains(&layer.kind) => {
                    used_types.push(layer.kind.clone());
                    self.said(&format!("LayerType.{}", layer.kind), kind)?
                }
                Some(kind) => self.quiet(kind)?,
                None => Said::default(),
            };
            self.product(node.layer, mac, own.or(of_type).or(model))?;
        }
        for (name, value) in &names {
            let layer = network.layer_named(name);
            let product = layer.is_some_and(|layer| {
                let product =
                    |node: &&crate::network::Node| node.layer == layer && matches!(node.op, Op::Mac(_));
                network.nodes.iter().find(product).is_some()
            });
            if product {
                continue;
            }
            let reason = match layer {
                Some(_) => "no matrix product, so no reuse factor; it takes a result per cycle",
                None => "no layer of the network has this name",
            };
            known += usize::from(layer.is_some());
            let entries = value.as_object().map_or(0, Map::len);
            if entries > 0 || layer.is_none() {
                self.flow.unused(format!("LayerName.{name}"), reason);
            }
        }
        for name in types.keys().filter(|name| !used_types.contains(name)) {
            self.flow.unused(
                format!("LayerType.{name}"),
                "no matrix product of the network is of this type",
            );
        }
        if known == 0 && !names.is_empty() {
            return Err(FlowError::Count {
                file: self.file.to_owned(),
                kind: "named layers",
                found: 0,
                expected: network.layers.len(),
                layers: network.layers.iter().map(|layer| layer.name.clone()).collect(),
            });
        }
        Ok(())
    }

    fn quiet(&mut self, entries: &Map<String, Value>) -> Result<Said, FlowError> {
        let before = self.flow.unused.len();
        let said = self.said("LayerType", entries)?;
        self.flow.unused.truncate(before);
        Ok(said)
    }

    fn said(&mut self, place: &str, entries: &Map<String, Value>) -> Result<Said, FlowError> {
        let mut said = Said::default();
        for (key, value) in entries {
            let entry = format!("{place}.{key}");
            match key.as_str() {
                "ReuseFactor" => {
                    let number = value
                        .as_u64()
                        .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                    let reuse = number
                        .and_then(|reuse| u32::try_from(reuse).ok())
                        .filter(|&reuse| reuse > 0);
                    let Some(reuse) = reuse else {
                        return Err(self.wrong(entry, value, "a whole number from 1"));
                    };
                    said.reuse = Some(reuse);
                }
                "Strategy" => {
                    let name = value.as_str().unwrap_or_default().to_lowercase();
                    match name.as_str() {
                        "resource" => said.resource = Some(true),
                        "latency" => said.resource = Some(false),
                        "resource_unrolled" | "unrolled" | "distributed_arithmetic" | "da" => {
                            self.flow.unused(
                                entry,
                                "only Latency and Resource have a place for weights that is known here",
                            );
                        }
                        _ => return Err(self.wrong(entry, value, "Latency or Resource")),
                    }
                }
                "Precision" | "TableSize" | "TableT" => {
                    self.flow
                        .unused(entry, "formats and tables are those of the network file");
                }
                "Trace" | "TraceOutput" | "BitExact" => {
                    self.flow.unused(entry, "is about hls4ml's own simulation");
                }
                _ => self.flow.unused(entry, "has no counterpart in a hardware file"),
            }
        }
        Ok(said)
    }

    fn product(&mut self, id: LayerId, mac: &Mac, said: Said) -> Result<(), FlowError> {
        let layer = self.network.layer(id);
        let resource = said
            .resource
            .unwrap_or(layer.hints.strategy.as_deref() == Some("resource"));
        let Some(asked) = said.reuse else { return Ok(()) };
        let of_file = ReuseRule::of(layer, mac);
        let rule = said
            .resource
            .map_or(of_file, |resource| of_file.with_resource(resource));
        let weights = MatrixShape::of(mac).weights().max(1);
        let mut reuse = u64::from(asked).min(weights);
        if !rule.admits(reuse) {
            reuse = rule.nearest(reuse);
        }
        if reuse != u64::from(asked) {
            self.flow.assumed(
                format!("{}.ReuseFactor", layer.name),
                format!("hls4ml does not build {asked} here; taken is {reuse}, the nearest that it builds"),
            );
        }
        let name = layer.name.clone();
        let is_built = of_file.admits(reuse);
        if !is_built {
            self.flow.unused(
                format!("{name}.ReuseFactor"),
                "a factor that only the Latency strategy builds; the network file does not say that strategy",
            );
        }
        let folding = Folding::Hls4ml {
            reuse_factor: u32::try_from(reuse).unwrap_or(u32::MAX),
        };
        let entry = self.flow.hardware.layers.entry(name).or_default();
        entry.folding = is_built.then_some(folding);
        if resource && reuse > 1 {
            entry.weights = Some(Storage {
                style: Style::Rom,
                packing: Packing::ReuseFactor,
                ..Storage::default()
            });
        }
        Ok(())
    }
}

/// The technology of a part: UltraScale+ or 7 series.
fn technology_of(part: &str) -> &'static str {
    let part = part.to_lowercase();
    let plus = ["xcu", "xczu", "xcvu", "xcku", "xck26", "xck24"];
    let ultra = plus.iter().any(|family| part.starts_with(family));
    if ultra { "xcup" } else { "xc7" }
}
