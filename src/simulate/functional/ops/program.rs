//! Programs of instructions, one instruction after the other.

use crate::network::{Network, Node, Program, ProgramInput};

/// All output elements of a program.
pub fn outputs(network: &Network, node: &Node, program: &Program, operand: &[i64]) -> Vec<i64> {
    let input = ProgramInput {
        mantissas: operand,
        frac: network.tensor(node.inputs[0]).encoding.frac(),
    };
    let mut values = Vec::with_capacity(program.instructions.len());
    for at in 0..program.instructions.len() {
        values.push(program.value(at, input, &values));
    }
    let frac = network.tensor(node.output).encoding.frac();
    (0..program.outputs.len())
        .map(|index| program.on_grid(index, program.output(index, &values), frac))
        .collect()
}
