//! `radstream convert`.

use std::path::{Path, PathBuf};

use clap::Args;
use ron::ser::PrettyConfig;

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Samples, Target};
use super::output;
use crate::data::{Array, Elements, NpzWriter, write_atomically};
use crate::model::{Description, Located, Workload};

/// `radstream convert`.
#[derive(Debug, Args)]
pub struct Convert {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Words about the network for its description
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    manner: Manner,
}

impl Convert {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        let out = self.manner.folder("model", &chip.name);
        if out.join("model.ron").exists() {
            return Err(Failure::refused(
                format!("{} is a model folder already", out.display()),
                "expected a folder without model.ron; choose another --out",
            ));
        }
        let settings = &chip.settings;
        // Everything is read and checked before the first file is written.
        if settings.inputs.is_some() {
            Workload::load(chip.accelerator.network(), settings)?;
        }
        let origin = self.target.origin()?;
        let network = file_name(&origin.network);
        let mut copies = vec![(
            network.clone(),
            read(&Located {
                files: origin.files,
                source: crate::data::Source {
                    file: origin.network,
                    key: None,
                },
            })?,
        )];
        let mut copy = |located: &Option<Located>| -> Result<Option<String>, Failure> {
            let Some(located) = located else { return Ok(None) };
            let name = file_name(&located.source.file);
            copies.push((name.clone(), read(located)?));
            Ok(Some(name))
        };
        let readout = copy(&settings.readout)?;
        let hardware = match &self.target.hardware {
            Some(file) => {
                let source = crate::data::Source {
                    file: file.clone(),
                    key: None,
                };
                copy(&Some(Located {
                    files: crate::model::Files::Folder(PathBuf::new()),
                    source,
                }))?
            }
            None => copy(&settings.hardware)?,
        };
        let mut archive = NpzWriter::default();
        let mut arrays = 0;
        let mut store =
            |located: &Option<Located>, key: &str, limit: Option<usize>| -> Result<Option<String>, Failure> {
                let Some(located) = located else { return Ok(None) };
                let mut array = located.array()?;
                if let Some(limit) = limit {
                    array = array.take(limit);
                }
                add(&mut archive, key, array).map_err(|error| Failure::work(error.to_string()))?;
                arrays += 1;
                Ok(Some(format!("data.npz:{key}")))
            };
        let description = Description {
            name: chip.name.clone(),
            description: self.description.clone(),
            network,
            inputs: store(&settings.inputs, "inputs", settings.limit)?,
            labels: store(&settings.labels, "labels", settings.limit)?,
            input_scale: settings.input_scale.unwrap_or(1.0),
            raw_inputs: settings.raw_inputs.unwrap_or(false),
            readout,
            gather: store(&settings.gather, "gather", None)?,
            loss: settings.loss.clone(),
            target: store(&settings.target, "target", settings.limit)?,
            distance: store(&settings.distance, "distance", None)?,
            classes: settings.classes,
            hardware,
        };
        for (name, bytes) in &copies {
            let path = out.join(name);
            write_atomically(&path, |writer| std::io::Write::write_all(writer, bytes))
                .map_err(|error| Failure::writing(&path, &error))?;
        }
        if arrays > 0 {
            let path = out.join("data.npz");
            archive
                .finish(&path)
                .map_err(|error| Failure::writing(&path, &error))?;
        }
        let config = PrettyConfig::new().struct_names(true);
        let text = ron::ser::to_string_pretty(&description, config)
            .map_err(|error| Failure::work(error.to_string()))?;
        // The description comes last: a folder that has it is complete.
        let path = out.join("model.ron");
        write_atomically(&path, |writer| {
            std::io::Write::write_all(writer, format!("{text}\n").as_bytes())
        })
        .map_err(|error| Failure::writing(&path, &error))?;
        if self.manner.json {
            return output::json(&serde_json::json!({"folder": out, "model": description}));
        }
        output::line(&format!("wrote {}", out.display()))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn read(located: &Located) -> Result<Vec<u8>, Failure> {
    located.files.read(&located.source.file).map_err(|error| {
        Failure::refused(
            format!("{}: cannot be read: {error}", located.path().display()),
            "check the path and its permissions",
        )
    })
}

fn add(archive: &mut NpzWriter, key: &str, array: Array) -> std::io::Result<()> {
    match array.elements {
        Elements::Real(values) => archive.add_reals(key, &array.shape, values),
        Elements::Integer(values) => archive.add(key, &array.shape, values),
    }
}
