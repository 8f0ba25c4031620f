//! The shipped hardware files: each builds its network, and both engines agree on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use radstream::accelerator::{Accelerator, Folding, Hardware};
use radstream::model::{Description, Files, Settings, Workload, load_network};
use radstream::network::import::ImportOptions;
use radstream::simulate::Replay;
use radstream::simulate::cycle;
use radstream::simulate::cycle::Pipeline;
use radstream::simulate::functional::{Parameters, evaluate};

/// Files for networks that are not shipped, and those that speak of no layer.
const OTHERS: [&str; 4] = ["accumulator32", "cnvW1A1", "cnvW2A2", "example"];

const STYLES: [&str; 2] = ["finn", "hls4ml"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn hardware_file(model: &str, style: &str) -> PathBuf {
    root().join(format!("hw_configs/{model}.{style}.ron"))
}

/// Builds both accelerators of a model and runs samples through them.
fn both_engines_agree(model: &str, samples: usize) {
    let files = Files::Folder(root().join("models").join(model));
    let description = Description::read(&files).unwrap();
    let network = load_network(&files, Path::new(&description.network), &ImportOptions::default()).unwrap();
    let workload = Workload::load(&network, &Settings::of(&description, &files)).unwrap();
    let elements = network.tensor(network.input).len();
    let inputs = &workload.inputs[..samples * elements];
    let parameters = Parameters::of(&network);
    let expected: Vec<i64> = inputs
        .chunks_exact(elements)
        .flat_map(|input| {
            evaluate(&network, &parameters, input)
                .tensor(network.output)
                .to_vec()
        })
        .collect();
    for style in STYLES {
        let hardware = Hardware::read(&hardware_file(model, style)).unwrap();
        assert_eq!(hardware.name, format!("{model}.{style}"));
        let accelerator = Accelerator::build(&network, &hardware).unwrap_or_else(|error| panic!("{error}"));
        for stage in accelerator.stages() {
            let of_style = match stage.folding {
                Folding::Finn { .. } => "finn",
                Folding::Hls4ml { .. } => "hls4ml",
            };
            assert_eq!(of_style, style, "{}", network.layer(stage.layer).name);
        }
        let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{error}"));
        let done = cycle::run(&pipeline, &accelerator, inputs, &[], cycle::Settings::default());
        assert_eq!(done.end, cycle::End::Completed, "{model}.{style}");
        assert!(done.outputs == expected, "{model}.{style}");
        let replayed = Replay::new(&pipeline, &accelerator).unwrap().run(inputs);
        assert!(replayed == Some(done), "{model}.{style}: replay");
    }
}

#[test]
fn every_model_has_a_file_of_either_style_and_no_file_is_left_over() {
    let names = |folder: &str, found: fn(&Path) -> bool| -> BTreeSet<String> {
        let paths = std::fs::read_dir(root().join(folder)).unwrap();
        paths
            .map(|entry| entry.unwrap().path())
            .filter(|path| found(path))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let models = names("models", |path| path.join("model.ron").exists());
    let shipped = names("hw_configs", |path| {
        path.extension().is_some_and(|end| end == "ron")
    });
    let wanted = models
        .iter()
        .flat_map(|model| STYLES.map(|style| format!("{model}.{style}.ron")))
        .chain(OTHERS.map(|name| format!("{name}.ron")))
        .collect();
    assert_eq!(shipped, wanted);
    let tested: BTreeSet<String> = DIGITS.into_iter().chain(UNETS).map(str::to_owned).collect();
    assert_eq!(tested, models);
}

const DIGITS: [&str; 6] = [
    "digits_small_ae",
    "digits_small_cls",
    "digits_medium_ae",
    "digits_medium_cls",
    "digits_large_ae",
    "digits_large_cls",
];
const UNETS: [&str; 2] = ["unet_digits", "unet_digits_pruned"];

#[test]
fn digits() {
    for model in DIGITS {
        both_engines_agree(model, 2);
    }
}

#[test]
fn unet() {
    both_engines_agree(UNETS[0], 1);
}

#[test]
fn pruned_unet() {
    both_engines_agree(UNETS[1], 1);
}
