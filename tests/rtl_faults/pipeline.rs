//! The pipeline that is struck.

use std::path::Path;
use std::sync::Arc;

use radstream::accelerator::{Accelerator, FifoDepth, FinnVersion, Hardware, StoredBit, Target};
use radstream::data::{self, Elements, Source};
use radstream::fault::{self, Targets};
use radstream::model::{Files, load_network};
use radstream::network::import::ImportOptions;
use radstream::simulate::cycle::{CycleFault, Engine, Pipeline, Register, RegisterBit};
use radstream::simulate::functional::{Parameters, evaluate};

/// A unit of the RTL and the stage that stands for it.
pub struct Unit {
    pub name: String,
    pub stage: String,
    /// Bits of its registers that are not there for debugging only.
    pub bits: u64,
}

pub struct Design {
    accelerator: Arc<Accelerator>,
    pipeline: Arc<Pipeline>,
    pub targets: Targets,
    inputs: Vec<i64>,
    pub units: Vec<Unit>,
    pub expected_words: Vec<Vec<i64>>,
    word: usize,
}

/// The words that left.
pub struct Seen {
    pub words: Vec<Vec<i64>>,
    pub edges: Vec<u64>,
}

fn values(folder: &Path, name: &str, key: &str) -> (Vec<usize>, Vec<i64>) {
    let source = Source::parse(&format!("{}:{key}", folder.join(name).display()));
    let array = data::read(&source).expect("an array");
    let Elements::Integer(values) = array.elements else {
        panic!("{key} holds integers")
    };
    (array.shape, values)
}

/// The name of a folder's pipeline.
fn stem(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut stems: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    stems.sort();
    stems.into_iter().next().expect("a network in the folder")
}

impl Design {
    /// The first pipeline of a folder by name.
    pub fn read(folder: &Path) -> Self {
        let files = Files::Folder(folder.to_owned());
        let stem = stem(folder);
        let file = |extension: &str| format!("{stem}.{extension}");
        let network =
            load_network(&files, Path::new(&file("onnx")), &ImportOptions::default()).expect("a network");
        let mut reader = csv::Reader::from_path(folder.join("register_bits.csv")).expect("register bits");
        let units: Vec<Unit> = reader
            .records()
            .map(|record| {
                let record = record.expect("a row");
                let bits: u64 = record[2].parse().expect("bits");
                let debug = record[4].split_whitespace().filter_map(|register| {
                    let (name, bits) = register.split_once(':')?;
                    (name == "maxcount_reg").then(|| bits.parse::<u64>().expect("bits"))
                });
                Unit {
                    name: record[0].to_owned(),
                    stage: record[1].to_owned(),
                    bits: bits - debug.sum::<u64>(),
                }
            })
            .collect();
        let mut hardware = Hardware::read(&folder.join(file("ron"))).expect("a hardware file");
        // The bench has a FIFO in front of a layer that is no hardware.
        for unit in &units {
            if let Some(layer) = unit.stage.strip_suffix(".fifo")
                && network.layer_named(layer).is_some()
            {
                let entry = hardware.layers.entry(layer.to_owned()).or_default();
                entry.fifo.get_or_insert(FifoDepth::Words(2));
            }
        }
        hardware.target.get_or_insert(Target::Finn(FinnVersion::Measured));
        let accelerator = Arc::new(Accelerator::build(&network, &hardware).expect("an accelerator"));
        let pipeline = Pipeline::new(&accelerator).expect("a pipeline");
        let targets = Targets::of(Arc::clone(&accelerator), &pipeline);
        let (_, inputs) = values(folder, &file("npz"), "inputs");
        let (_, outputs) = values(folder, &file("npz"), "outputs");
        let (edges, _) = values(folder, &file("npz"), "word_edges");
        let word = outputs.len() / edges[0];
        Self {
            accelerator,
            pipeline,
            targets,
            inputs,
            units,
            expected_words: outputs.chunks(word).map(<[i64]>::to_vec).collect(),
            word,
        }
    }

    /// The stage that stands for a unit.
    pub fn stage_of(&self, unit: &str) -> &str {
        let found = self.units.iter().find(|known| known.name == unit);
        &found.unwrap_or_else(|| panic!("no unit {unit}")).stage
    }

    /// Bits of the registers of a stage.
    pub fn register_bits(&self, stage: &str) -> Option<u64> {
        let placed = self
            .pipeline
            .stages()
            .iter()
            .find(|placed| placed.name == stage)?;
        Some(placed.registers.iter().map(Register::bits).sum())
    }

    /// The words of all samples under a flip of a stored bit, by the functional engine.
    pub fn evaluate(&self, bit: StoredBit) -> Vec<Vec<i64>> {
        let network = self.accelerator.network();
        let parameters = Parameters::under(network, &fault::changes(&self.accelerator, &[bit]));
        let samples = self.inputs.chunks(network.tensor(network.input).len());
        let outputs: Vec<i64> = samples
            .flat_map(|sample| {
                evaluate(network, &parameters, sample)
                    .tensor(network.output)
                    .to_vec()
            })
            .collect();
        outputs.chunks(self.word).map(<[i64]>::to_vec).collect()
    }

    /// Which of these register bits their live rules call dead behind the edge that stands with them.
    pub fn dead(&self, strikes: &[(u64, RegisterBit)]) -> Vec<bool> {
        let table = self.pipeline.table();
        let mut order: Vec<usize> = (0..strikes.len()).collect();
        order.sort_by_key(|&at| strikes[at].0);
        let mut dead = vec![false; strikes.len()];
        let mut engine = Engine::new(&self.pipeline, &self.inputs);
        for at in order {
            let (edge, bit) = strikes[at];
            while engine.cycle() <= edge {
                engine.tick();
            }
            dead[at] = !table.is_live(bit, engine.state());
        }
        dead
    }

    /// So many edges after reset, or until nothing moves any more.
    pub fn run(&self, faults: &[CycleFault], edges: u64) -> Seen {
        let mut engine = Engine::new(&self.pipeline, &self.inputs);
        let mut faults: Vec<_> = faults.iter().collect();
        for edge in 0..edges {
            faults.retain(|fault| {
                let now = fault.cycle.map_or(edge == 0, |cycle| cycle + 1 == edge);
                if now {
                    engine.strike(&self.accelerator, **fault);
                }
                !now
            });
            engine.tick();
            if faults.is_empty() && edge % 64 == 63 && engine.is_stuck() {
                break;
            }
        }
        let outputs = engine.outputs();
        Seen {
            words: outputs.chunks(self.word).map(<[i64]>::to_vec).collect(),
            edges: engine.output_cycles().to_vec(),
        }
    }
}
