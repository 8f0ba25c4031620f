//! Evaluation of whatever an importer accepts, as long as it is small.

use radstream::accelerator::{Accelerator, Hardware};
use radstream::network::{Network, Op};
use radstream::outcome::readout::{Readout, Scratch};
use radstream::simulate::cycle::{self, Pipeline};
use radstream::simulate::functional::{Parameters, evaluate};

/// Most multiplications and comparisons of one evaluation.
const MOST: usize = 1 << 20;

/// Multiplications and comparisons of one evaluation.
fn work(network: &Network) -> usize {
    network
        .nodes
        .iter()
        .map(|node| {
            let per_element = match &node.op {
                Op::Mac(mac) => mac.geometry.taps(mac.groups),
                Op::Pool(pool) => pool.geometry.window.kernel.iter().product(),
                Op::MultiThreshold(op) => network.param(op.thresholds).shape[1],
                Op::Softmax(softmax) => softmax.slice * 16,
                Op::Program(program) => program.instructions.len(),
                Op::ArgMax(_) => network.tensor(node.inputs[0]).channels() * 64,
                _ => 16,
            };
            network.tensor(node.output).len().saturating_mul(per_element)
        })
        .fold(0, usize::saturating_add)
}

/// Evaluates the lowest and the highest input of a network that is not too large.
pub fn evaluate_extremes(network: &Network) {
    if work(network) > MOST {
        return;
    }
    let parameters = Parameters::of(network);
    let (low, high) = network.tensor(network.input).encoding.range();
    for value in [low, high] {
        let input = vec![value as i64; network.tensor(network.input).len()];
        let trace = evaluate(network, &parameters, &input);
        let output = network.tensor(network.output);
        let mantissas = trace.tensor(network.output).iter();
        let values: Vec<f64> = mantissas.map(|&mantissa| output.value_of(mantissa)).collect();
        let readout = Readout::of_file(&output.shape, &network.output_meaning());
        let _ = readout.evaluate(&values, &mut Scratch::default());
    }
}

/// Builds a small network as an accelerator, and requires the integers of the cycle engine to be those of the
/// functional one.
#[allow(dead_code)] // Not every target has networks that are small.
pub fn compare_engines(network: &Network) {
    /// Most work of one evaluation whose cycles are simulated.
    const MOST: usize = 1 << 14;
    if work(network) > MOST {
        return;
    }
    let Ok(accelerator) = Accelerator::build(network, &Hardware::default()) else {
        return;
    };
    let Ok(pipeline) = Pipeline::new(&accelerator) else {
        return;
    };
    let network = accelerator.network();
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let mut inputs = vec![low as i64; tensor.len()];
    inputs.extend(vec![high as i64; tensor.len()]);
    let parameters = Parameters::of(network);
    let expected: Vec<i64> = inputs
        .chunks_exact(tensor.len())
        .flat_map(|input| {
            evaluate(network, &parameters, input)
                .tensor(network.output)
                .to_vec()
        })
        .collect();
    let done = cycle::run(&pipeline, &accelerator, &inputs, &[], cycle::Settings::default());
    assert_eq!(done.end, cycle::End::Completed);
    assert_eq!(done.outputs, expected);
}
