//! Evaluation of whatever an importer accepts, as long as it is small.

use radstream::network::{Network, Op};
use radstream::outcome::readout::{Readout, Scratch};
use radstream::simulate::functional::{Parameters, evaluate};

/// Most multiplications and comparisons of one evaluation.
const MOST: usize = 1 << 20;

/// Evaluates the lowest and the highest input of a network that is not too large.
pub fn evaluate_extremes(network: &Network) {
    let work = network
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
        .fold(0, usize::saturating_add);
    if work > MOST {
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
