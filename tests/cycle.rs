//! The cycle engine against the functional one.

use std::path::Path;

use radstream::accelerator::{Accelerator, Hardware};
use radstream::model::{Description, Files, Settings, Workload, load_network};
use radstream::simulate::cycle::pipeline::Pipeline;
use radstream::simulate::cycle::run;
use radstream::simulate::functional::{Parameters, evaluate};

fn agree(folder: &str, hardware: &Hardware, samples: usize) {
    let files = Files::Folder(folder.into());
    let model = Description::read(&files).unwrap();
    let network = load_network(&files, Path::new(&model.network)).unwrap();
    let accelerator = Accelerator::build(&network, hardware).unwrap();
    let network = accelerator.network();
    let workload = Workload::load(network, &Settings::of(&model, &files)).unwrap();
    let elements = network.tensor(network.input).len();
    let inputs = &workload.inputs[..samples * elements];
    let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let started = std::time::Instant::now();
    let done = run::run(&pipeline, &accelerator, inputs, &[], run::Settings::default());
    let parameters = Parameters::of(network);
    let expected: Vec<i64> = inputs
        .chunks_exact(elements)
        .flat_map(|input| evaluate(network, &parameters, input).tensor(network.output).to_vec())
        .collect();
    println!("{folder}: {:?} {:?} {:?}", done.timing, done.end, started.elapsed());
    assert_eq!(done.end, run::End::Completed, "{folder}");
    assert_eq!(done.outputs, expected, "{folder}");
}

#[test]
fn shipped_models() {
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        if path.join("model.ron").exists() {
            agree(path.to_str().unwrap(), &Hardware::default(), 3);
        }
    }
}
