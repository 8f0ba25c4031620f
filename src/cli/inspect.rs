//! `radstream inspect`.

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Samples, Target};
use super::output::{self, count};
use super::ranges;
use super::registers::Registers;
use crate::accelerator::{Accelerator, STORED_KINDS};
use crate::network::{Encoding, LayerId, Op};
use crate::scheme::{Ledger, Scheme};

/// `radstream inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    target: Target,
    /// Also report, for the samples, the range of each tensor, what wrapped or saturated at each
    /// cast, top bits that are never used, and softmax tables without resolution
    #[arg(long)]
    ranges: bool,
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    manner: Manner,
}

/// An encoding for people and files.
pub fn encoding(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Fixed(format) => format.to_string(),
        Encoding::Bipolar { frac: 0 } => "bipolar".to_owned(),
        Encoding::Bipolar { frac } => format!("bipolar*2^{}", -frac),
    }
}

impl Inspect {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        let ranges = self.ranges.then(|| ranges::measure(&chip)).transpose()?;
        let registers = Registers::of(&chip.accelerator);
        let mut document = document(&chip);
        registers.add_to(&mut document, chip.accelerator.map().total_bits());
        if let Some(ranges) = &ranges {
            document["ranges"] = ranges::document(&chip, ranges);
        }
        if self.manner.deliver("inspect.json", &document)? {
            return Ok(());
        }
        print(&chip, &registers)?;
        match ranges {
            Some(ranges) => ranges::print(&chip, &ranges),
            None => Ok(()),
        }
    }
}

/// Stored bits of each kind of tensor, and of all.
pub fn stored_bits(accelerator: &Accelerator) -> Value {
    let mut bits = serde_json::Map::new();
    for kind in STORED_KINDS {
        let of_kind = accelerator.map().bits_of_tensor(kind);
        if of_kind > 0 {
            bits.insert(kind.name().to_owned(), json!(of_kind));
        }
    }
    bits.insert("total".to_owned(), json!(accelerator.map().total_bits()));
    Value::Object(bits)
}

/// The accumulator of a layer, where it has a matrix product.
fn accumulator(accelerator: &Accelerator, layer: LayerId) -> Option<(String, bool)> {
    accelerator
        .network()
        .nodes
        .iter()
        .find_map(|node| match &node.op {
            Op::Mac(mac) if node.layer == layer => {
                Some((mac.accumulator.format.to_string(), mac.accumulator.stated))
            }
            _ => None,
        })
}

fn document(chip: &Chip) -> Value {
    let accelerator = &chip.accelerator;
    let network = accelerator.network();
    let layers: Vec<Value> = network
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let id = LayerId::from(index);
            let output = network.tensor(layer.output);
            let tensors: Vec<Value> = accelerator
                .map()
                .tensors()
                .iter()
                .filter(|tensor| tensor.layer == id)
                .map(|tensor| {
                    let param = network.param(tensor.param);
                    json!({
                        "tensor": tensor.kind.name(),
                        "shape": param.shape,
                        "format": encoding(&param.encoding),
                        "elements": tensor.elements(),
                        "stored_bits": tensor.total_bits(),
                        "padding_bits": tensor.padding_bits(),
                        "stored_width": tensor.code.width(),
                    })
                })
                .collect();
            let stage = accelerator.stage(id).map(|stage| {
                json!({
                    "mh": stage.shape.rows,
                    "mw": stage.shape.columns,
                    "vectors": stage.shape.vectors,
                    "folding": stage.folding,
                    "folding_source": stage.folding_source,
                    "multipliers": stage.multipliers,
                    "product_cycles": stage.product_cycles,
                    "window_cycles": stage.window_cycles,
                    "requested": stage.requested,
                })
            });
            json!({
                "name": layer.name,
                "kind": layer.kind,
                "output_shape": output.shape,
                "output_format": encoding(&output.encoding),
                "output_scale": output.scale,
                "accumulator": accumulator(accelerator, id).map(|(format, stated)| json!({"format": format, "stated": stated})),
                "stage": stage,
                "tensors": tensors,
            })
        })
        .collect();
    let memories: Vec<Value> = accelerator
        .map()
        .memories()
        .iter()
        .map(|memory| {
            json!({
                "name": memory.name,
                "layer": network.layer(memory.layer).name,
                "tensor": memory.kind.name(),
                "style": memory.style.name(),
                "depth": memory.depth,
                "word_bits": memory.word_bits,
                "interleave": memory.interleave,
                "bits": memory.bits(),
            })
        })
        .collect();
    let input = network.tensor(network.input);
    let output = network.tensor(network.output);
    json!({
        "network": network.name,
        "hardware": accelerator.name(),
        "technology": accelerator.technology().name,
        "input": {"shape": input.shape, "format": encoding(&input.encoding), "scale": input.scale, "rule": network.input_rule},
        "output": {"shape": output.shape, "format": encoding(&output.encoding), "scale": output.scale},
        "stored_bits": stored_bits(accelerator),
        "layers": layers,
        "memories": memories,
        "cycles": {
            "initiation_interval": accelerator.initiation_interval(),
            "method": "analytic: slowest stage by FINN's get_exp_cycles, or hls4ml's requested reuse factor",
            "clock_mhz": accelerator.clock_mhz(),
        },
        "area": Ledger::new(accelerator, Scheme::Tmr).report(),
    })
}

fn print(chip: &Chip, registers: &Registers) -> Result<(), Failure> {
    let accelerator = &chip.accelerator;
    let network = accelerator.network();
    let shape = |shape: &[usize]| {
        shape
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("x")
    };
    let input = network.tensor(network.input);
    output::line(&format!(
        "{}: input {} {}, hardware {}, technology {}",
        chip.name,
        shape(&input.shape),
        encoding(&input.encoding),
        accelerator.name(),
        accelerator.technology().name
    ))?;
    let rows: Vec<Vec<String>> = network
        .layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let id = LayerId::from(index);
            let output = network.tensor(layer.output);
            let bits: u64 = accelerator
                .map()
                .tensors()
                .iter()
                .filter(|tensor| tensor.layer == id)
                .map(crate::accelerator::StoredTensor::total_bits)
                .sum();
            let stage = accelerator.stage(id);
            vec![
                layer.name.clone(),
                layer.kind.clone(),
                shape(&output.shape),
                encoding(&output.encoding),
                accumulator(accelerator, id).map_or("-".to_owned(), |(format, _)| format),
                count(bits),
                stage.map_or("-".to_owned(), |stage| count(stage.multipliers)),
                stage.map_or("-".to_owned(), |stage| count(stage.initiation_interval())),
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
    output::line(&format!("\n{}", output::table(&header, &rows)))?;
    let rows: Vec<Vec<String>> = accelerator
        .map()
        .memories()
        .iter()
        .map(|memory| {
            vec![
                memory.name.clone(),
                memory.style.name().to_owned(),
                count(memory.depth),
                memory.word_bits.to_string(),
                count(memory.bits()),
            ]
        })
        .collect();
    output::line(&format!(
        "\n{}",
        output::table(&["memory", "style", "words", "bits per word", "bits"], &rows)
    ))?;
    output::line(&format!(
        "\nstored bits: {}",
        count(accelerator.map().total_bits())
    ))?;
    registers.print(accelerator)?;
    if let Some(cycles) = accelerator.initiation_interval() {
        output::line(&format!(
            "cycles between samples (analytic, slowest stage): {}",
            count(cycles)
        ))?;
    }
    let area = Ledger::new(accelerator, Scheme::Tmr).report();
    output::line(&format!(
        "memory area: {} {unit}; with every bit triplicated: {} {unit}",
        output::short(area.plain_area),
        output::short(area.full_area),
        unit = area.unit.symbol(),
    ))
}
