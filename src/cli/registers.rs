//! What `radstream inspect` says of the registers and the stages that hold them.

use miette::Diagnostic;
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::{self, count};
use crate::accelerator::Accelerator;
use crate::network::LayerId;
use crate::simulate::cycle::build::BuildError;
use crate::simulate::cycle::pipeline::{Pipeline, RegisterTensor};
use crate::simulate::cycle::register::{Register, RegisterClass};

/// The registers of an accelerator, or why the cycle engine does not build it.
pub struct Registers {
    built: Result<(Pipeline, Vec<RegisterTensor>), BuildError>,
}

impl Registers {
    /// Builds the stages.
    pub fn of(accelerator: &Accelerator) -> Self {
        let built = Pipeline::new(accelerator).map(|pipeline| {
            let tensors = pipeline.tensors();
            (pipeline, tensors)
        });
        Self { built }
    }

    fn tensors(&self) -> &[RegisterTensor] {
        self.built.as_ref().map_or(&[], |(_, tensors)| tensors)
    }

    fn bits_of_class(&self, class: RegisterClass) -> u64 {
        let of_class = self.tensors().iter().filter(|tensor| tensor.class == class);
        of_class.map(RegisterTensor::bits).sum()
    }

    /// Bits of every class that there is, and of all.
    fn by_class(&self) -> Map<String, Value> {
        let mut bits = Map::new();
        let mut total = 0;
        for class in RegisterClass::ALL {
            let of_class = self.bits_of_class(class);
            total += of_class;
            if of_class > 0 {
                bits.insert(class.name().to_owned(), json!(of_class));
            }
        }
        bits.insert("total".to_owned(), json!(total));
        bits
    }

    /// The reason why they are not listed, with the repair.
    fn reason(error: &BuildError) -> String {
        match error.help() {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        }
    }

    /// Adds `registers`, `hit_bits` and `stages` to the document, and `registers` to its layers.
    pub fn add_to(&self, document: &mut Value, stored_bits: u64) {
        let pipeline = match &self.built {
            Ok((pipeline, _)) => pipeline,
            Err(error) => {
                document["registers"] = Value::Null;
                document["registers_missing"] = json!(Self::reason(error));
                return;
            }
        };
        document["registers"] = Value::Object(self.by_class());
        document["hit_bits"] = json!(stored_bits + pipeline.register_bits());
        document["stages"] = json!(
            pipeline
                .stages
                .iter()
                .map(|placed| json!({
                    "name": placed.name,
                    "kind": placed.kind,
                    "bits": placed.registers.iter().map(Register::bits).sum::<u64>(),
                    "fifo_depth": placed.fifo_depth,
                }))
                .collect::<Vec<_>>()
        );
        let layers = document["layers"].as_array_mut().into_iter().flatten();
        for (index, layer) in layers.enumerate() {
            let id = LayerId::from(index);
            let of_layer = self.tensors().iter().filter(|tensor| tensor.layer == id);
            layer["registers"] = of_layer
                .map(|tensor| {
                    json!({
                        "class": tensor.class.name(),
                        "elements": tensor.elements(),
                        "bits": tensor.bits(),
                    })
                })
                .collect();
        }
    }

    /// Prints them.
    pub fn print(&self, accelerator: &Accelerator) -> Result<(), Failure> {
        let pipeline = match &self.built {
            Ok((pipeline, _)) => pipeline,
            Err(error) => {
                return output::line(&format!("registers are not listed: {}", Self::reason(error)));
            }
        };
        let classes: Vec<RegisterClass> = RegisterClass::ALL
            .into_iter()
            .filter(|&class| self.bits_of_class(class) > 0)
            .collect();
        let row = |name: &str, bits: &dyn Fn(RegisterClass) -> u64| {
            let of_classes: Vec<u64> = classes.iter().map(|&class| bits(class)).collect();
            let total = of_classes.iter().sum();
            let numbers = of_classes.into_iter().chain([total]).map(count);
            std::iter::once(name.to_owned())
                .chain(numbers)
                .collect::<Vec<String>>()
        };
        let network = accelerator.network();
        let mut rows: Vec<Vec<String>> = network
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let id = LayerId::from(index);
                row(&layer.name, &|class| {
                    let found = self.tensors().iter();
                    found
                        .filter(|tensor| (tensor.layer, tensor.class) == (id, class))
                        .map(RegisterTensor::bits)
                        .sum()
                })
            })
            .collect();
        rows.push(row("all", &|class| self.bits_of_class(class)));
        let mut header = vec!["register bits"];
        header.extend(classes.iter().map(|class| class.name()));
        header.push("total");
        output::line(&format!("\n{}", output::table(&header, &rows)))?;
        let rows: Vec<Vec<String>> = pipeline
            .stages
            .iter()
            .map(|placed| {
                vec![
                    placed.name.clone(),
                    placed.kind.to_owned(),
                    count(placed.registers.iter().map(Register::bits).sum()),
                    placed
                        .fifo_depth
                        .map_or("-".to_owned(), |depth| count(depth as u64)),
                ]
            })
            .collect();
        output::line(&format!(
            "\n{}",
            output::table(&["stage", "kind", "register bits", "FIFO depth"], &rows)
        ))?;
        output::line(&format!(
            "\nbits that an upset can hit: {} stored + {} in registers = {}",
            count(accelerator.map().total_bits()),
            count(pipeline.register_bits()),
            count(accelerator.map().total_bits() + pipeline.register_bits())
        ))
    }
}
