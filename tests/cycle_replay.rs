//! Strikes of which only what differs from the recorded run is simulated, against whole runs tick by tick.

use std::path::Path;
use std::sync::Arc;

use radstream::accelerator::{Accelerator, Folding, Hardware, LayerHardware, StoredBit, WeightMemory};
use radstream::campaign::draw_strikes;
use radstream::fault::Targets;
use radstream::model::{Description, Files, Settings as ModelSettings, Workload, load_network};
use radstream::network::import::ImportOptions;
use radstream::simulate::cycle::{
    self, CycleFault, End, Pipeline, Recording, RegisterClass, Settings, Site, Transient,
};
use rayon::prelude::*;

fn decoupled(pe: u32, simd: u32) -> Hardware {
    Hardware {
        default: LayerHardware {
            folding: Some(Folding::Finn { pe, simd }),
            weight_memory: Some(WeightMemory::Decoupled),
            ..LayerHardware::default()
        },
        ..Hardware::default()
    }
}

fn file(name: &str) -> Hardware {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs");
    Hardware::read(&folder.join(name)).unwrap()
}

/// Strikes to try in all, and whether on every shipped network: `RADSTREAM_STRIKES` says a number, and tries them all.
fn strikes() -> (u64, bool) {
    let said = std::env::var("RADSTREAM_STRIKES").ok();
    let number = said
        .as_deref()
        .map_or(420, |number| number.parse().expect("a number of strikes"));
    (number, said.is_some())
}

struct Chip {
    name: String,
    accelerator: Arc<Accelerator>,
    pipeline: Arc<Pipeline>,
    inputs: Vec<i64>,
}

impl Chip {
    fn run(&self, faults: &[CycleFault], settings: Settings) -> cycle::Run {
        cycle::run(&self.pipeline, &self.accelerator, &self.inputs, faults, settings)
    }
}

fn chip(model: &str, samples: usize, what: &str, hardware: &Hardware) -> Chip {
    let files = Files::Folder(Path::new("models").join(model));
    let description = Description::read(&files).unwrap();
    let network = load_network(&files, Path::new(&description.network), &ImportOptions::default()).unwrap();
    let settings = ModelSettings {
        limit: Some(samples),
        ..ModelSettings::of(&description, &files)
    };
    let inputs = Workload::load(&network, &settings).unwrap().inputs;
    let accelerator = Arc::new(Accelerator::build(&network, hardware).unwrap());
    Chip {
        name: format!("{model}, {what}"),
        pipeline: Pipeline::new(&accelerator).unwrap(),
        accelerator,
        inputs,
    }
}

/// The shipped networks on their own hardware files, or the smaller of them, and some more foldings.
fn chips(all: bool) -> Vec<Chip> {
    let mut chips = vec![
        chip("digits_small_cls", 2, "default", &Hardware::default()),
        chip("digits_small_cls", 3, "decoupled 1/1", &decoupled(1, 1)),
        chip("digits_small_ae", 2, "decoupled 1/1", &decoupled(1, 1)),
    ];
    let models = [
        "digits_small_ae",
        "digits_small_cls",
        "digits_medium_ae",
        "digits_medium_cls",
        "digits_large_ae",
        "digits_large_cls",
        "unet_digits",
        "unet_digits_pruned",
    ];
    for model in &models[..if all { models.len() } else { 2 }] {
        for flow in ["finn", "hls4ml"] {
            chips.push(chip(model, 1, flow, &file(&format!("{model}.{flow}.ron"))));
        }
    }
    chips
}

/// Draws strike after strike: on registers one at a time, two at a time, and on a wire.
fn sets(chip: &Chip, total: u64, count: u64) -> Vec<Vec<CycleFault>> {
    let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
    let drawn = draw_strikes(&targets, &RegisterClass::ALL, total, count, 7);
    let others = draw_strikes(&targets, &RegisterClass::ALL, total, count, 8);
    let wires: Vec<Site> = (chip.pipeline.stages().iter().enumerate())
        .flat_map(|(stage, placed)| {
            let shapes = placed.stage.wires();
            shapes.into_iter().flat_map(move |shape| {
                let bit = shape.lane_bits / 2;
                (0..shape.lanes).map(move |lane| Site::Wire {
                    stage,
                    transient: Transient {
                        wire: shape.wire,
                        lane,
                        bit,
                    },
                })
            })
        })
        .collect();
    let pairs = drawn.into_iter().zip(others).enumerate();
    pairs
        .map(|(at, (one, other))| match at % 8 {
            3 => vec![one, other],
            5 if !wires.is_empty() => vec![CycleFault {
                site: wires[at % wires.len()],
                ..one
            }],
            _ => vec![one],
        })
        .collect()
}

#[test]
fn strikes_on_a_recorded_run_end_as_whole_runs_do() {
    let (count, all) = strikes();
    let chips = chips(all);
    // Short runs are struck more often, so that every network takes its part of the time.
    let totals: Vec<u64> = chips
        .iter()
        .map(|chip| chip.run(&[], Settings::default()).timing.total)
        .collect();
    let shares: f64 = totals.iter().map(|&total| 1.0 / total as f64).sum();
    let (mut tried, mut settled) = (0, 0);
    let mut ends = [0; 3];
    let mut mismatches: Vec<String> = Vec::new();
    for (chip, total) in chips.iter().zip(totals) {
        let free = chip.run(&[], Settings::default());
        let each = 20 + (count as f64 / shares / total as f64) as u64;
        let bound = 2 * total + 1000;
        let recording = Recording::new(&chip.pipeline, &chip.inputs, bound).unwrap();
        let plain = Settings {
            bound: Some(bound),
            plain: true,
            ..Settings::default()
        };
        let done: Vec<_> = sets(chip, total, each)
            .into_par_iter()
            .map(|faults| {
                let whole = chip.run(&faults, plain);
                // None where a write into a memory cannot be followed.
                let Some(struck) = recording.strike(&faults, bound) else {
                    return (None, whole.end, String::new());
                };
                let outputs = struck.outputs.as_ref().unwrap_or(&free.outputs);
                let differs = (struck.end, outputs) != (whole.end, &whole.outputs);
                let mismatch = match differs {
                    true => format!("{}: {faults:?}: {:?}, but {:?}", chip.name, struck.end, whole.end),
                    false => String::new(),
                };
                (Some(struck.settled.is_some()), whole.end, mismatch)
            })
            .collect();
        for (was_settled, end, mismatch) in done {
            tried += 1;
            settled += usize::from(was_settled == Some(true));
            ends[match end {
                End::Completed => 0,
                End::Hang { .. } => 1,
                End::StreamCorrupted { .. } => 2,
            }] += 1;
            mismatches.extend(Some(mismatch).filter(|mismatch| !mismatch.is_empty()));
        }
        let stored = CycleFault {
            cycle: Some(3),
            site: Site::Stored(StoredBit(0)),
        };
        assert_eq!(recording.strike(&[stored], bound), None);
    }
    println!(
        "{tried} strikes, {settled} settle, ends {ends:?}, not matching: {}",
        mismatches.len()
    );
    assert_eq!(mismatches, Vec::<String>::new());
    assert!(2 * settled > tried, "{settled} of {tried} settle");
    assert!(ends[0] > 0 && ends[1] + ends[2] > 0, "{ends:?}");
}
