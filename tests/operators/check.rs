//! Imports a small network and compares its integers with the reference.

use std::path::Path;

use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use radstream::accelerator::{Accelerator, Hardware};
use radstream::network::Network;
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::qonnx;
use radstream::simulate::Replay;
use radstream::simulate::cycle::{self, Pipeline};
use radstream::simulate::functional::{Parameters, evaluate};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::reference;
use super::tensor::{Tensor, exact, whole};
use crate::onnx::Model;

/// Rounding modes of `Quant`, a name for each way.
pub const ROUNDINGS: [&str; 8] = [
    "ROUND",
    "HALF_EVEN",
    "CEIL",
    "FLOOR",
    "UP",
    "DOWN",
    "HALF_UP",
    "HALF_DOWN",
];

/// Draws numbers for networks and inputs.
pub struct Draw(ChaCha8Rng);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// An integer in `low..=high`.
    pub fn integer(&mut self, low: i64, high: i64) -> i64 {
        low + (self.0.next_u64() % (high - low + 1) as u64) as i64
    }

    /// Floats of `step` times an integer in `-reach..=reach`.
    pub fn floats(&mut self, len: usize, reach: i64, step: f32) -> Vec<f32> {
        (0..len)
            .map(|_| self.integer(-reach, reach) as f32 * step)
            .collect()
    }

    /// Floats without a common step in `low..high`.
    pub fn reals(&mut self, len: usize, low: f32, high: f32) -> Vec<f32> {
        (0..len)
            .map(|_| low + (high - low) * (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32)
            .collect()
    }

    /// A pool's window on so many axes, by the names of its attributes.
    pub fn pool_window(&mut self, rank: usize) -> [(&'static str, Vec<i64>); 4] {
        let mut list = |high: i64| -> Vec<i64> { (0..rank).map(|_| self.integer(1, high)).collect() };
        let (kernel, strides, dilations) = (list(3), list(3), list(2));
        let pads = [&kernel, &kernel].into_iter().flatten();
        let pads = pads.map(|&taps| self.integer(0, taps / 2)).collect();
        [
            ("kernel_shape", kernel),
            ("strides", strides),
            ("dilations", dilations),
            ("pads", pads),
        ]
    }

    pub fn choice<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.integer(0, of.len() as i64 - 1) as usize]
    }
}

/// How the axes of the file's input and output lie in the network.
#[derive(Clone, Copy, PartialEq)]
pub enum Layout {
    /// Channels are axis 1 of the file and come last in the network.
    First,
    /// In the order of the file.
    Same,
}
pub use Layout::{First, Same};

pub fn import(model: &Model) -> Network {
    let graph = OnnxGraph::parse(Path::new("test.onnx"), &model.bytes()).expect("a graph");
    qonnx::import(&graph).unwrap_or_else(|error| panic!("{error}; {}; {}", error.expected, error.repair))
}

/// Requires the cycle engine's integers to be those of the functional one, on extremes and drawn inputs.
pub fn check_cycles(network: &Network, seed: u64) {
    let accelerator = Accelerator::build(network, &Hardware::default()).expect("an accelerator");
    let network = accelerator.network();
    let pipeline = Pipeline::new(&accelerator).expect("a pipeline");
    let mut draw = Draw::new(seed);
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let inputs: Vec<i64> = (0..3 * tensor.len())
        .map(|at| match at / tensor.len() {
            0 => high as i64,
            _ => draw.integer(low as i64, high as i64),
        })
        .collect();
    let done = cycle::run(&pipeline, &accelerator, &inputs, &[], cycle::Settings::default());
    let parameters = Parameters::of(network);
    let expected: Vec<i64> = inputs
        .chunks_exact(tensor.len())
        .flat_map(|input| {
            evaluate(network, &parameters, input)
                .tensor(network.output)
                .to_vec()
        })
        .collect();
    assert_eq!(done.end, cycle::End::Completed, "seed {seed}");
    assert_eq!(done.outputs, expected, "seed {seed}");
    let replayed = Replay::new(&pipeline, &accelerator)
        .expect("exact units")
        .run(&inputs);
    assert_eq!(replayed, Some(done), "seed {seed}");
}

/// Compares a network with the reference on drawn inputs. `unit` is the value of an input mantissa.
pub fn check(model: &Model, unit: f32, input: Layout, output: Layout, seed: u64) -> Network {
    let network = import(model);
    let parameters = Parameters::of(&network);
    let mut draw = Draw::new(seed ^ 0x5eed);
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let (low, high) = (low as i64, high as i64);
    let mut batched = vec![1];
    batched.extend(&tensor.shape);
    for sample in 0..12 {
        let codes: Vec<i64> = (0..tensor.len())
            .map(|_| match sample {
                0 => low,
                1 => high,
                _ => draw.integer(low, high),
            })
            .collect();
        let given = Tensor {
            shape: batched.clone(),
            values: codes.iter().map(|&m| exact(f64::from(unit)) * whole(m)).collect(),
        };
        let given = match input {
            First => given.channels_first(),
            Same => given,
        };
        let expected = reference::evaluate(&model.graph, &given);
        let expected = match output {
            First => expected.channels_last(),
            Same => expected,
        };
        let trace = evaluate(&network, &parameters, &codes);
        compare(&network, trace.tensor(network.output), &expected);
        let outputs = network.tensor(network.output);
        assert_eq!(
            &expected.shape[1..],
            outputs.shape.as_slice(),
            "the output's shape"
        );
    }
    network
}

/// Requires `expected = mantissa * unit` exactly, with one unit that the output tensor states as
/// closely as a float can.
pub fn compare(network: &Network, mantissas: &[i64], expected: &Tensor) {
    assert_eq!(mantissas.len(), expected.values.len());
    let output = network.tensor(network.output);
    let stated = output.scale * libm::ldexp(1.0, -output.encoding.frac());
    let pairs = || mantissas.iter().zip(&expected.values);
    let unit = pairs()
        .find(|(mantissa, _)| **mantissa != 0)
        .map_or(BigRational::zero(), |(&mantissa, value)| value / whole(mantissa));
    if !unit.is_zero() {
        let ratio = (&unit / exact(stated)).to_f64().expect("a float");
        assert!((ratio - 1.0).abs() < 1e-12, "the unit is {unit}, stated {stated}");
        assert!(unit.is_positive());
    }
    for (index, (&mantissa, value)) in pairs().enumerate() {
        assert_eq!(
            &(&unit * whole(mantissa)),
            value,
            "element {index}: {mantissa} for {} (unit {stated})",
            value.to_f64().unwrap_or(f64::NAN)
        );
    }
}
