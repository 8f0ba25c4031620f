//! Samples side by side against each of them alone: random readouts with every operator, on all vector levels.

use std::collections::BTreeSet;

use super::*;
use crate::level::Level;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One node: its operator, constants behind the running tensor, and attributes.
#[derive(Clone)]
struct Node {
    op: &'static str,
    constants: Vec<(Vec<usize>, Vec<f64>)>,
    integers: Vec<Vec<i64>>,
    /// Whether the running tensor is also the second input.
    twice: bool,
    attributes: Vec<AttributeProto>,
}

impl Node {
    fn new(op: &'static str) -> Self {
        Self {
            op,
            constants: vec![],
            integers: vec![],
            twice: false,
            attributes: vec![],
        }
    }

    fn constant(mut self, draw: &mut Draw, shape: &[usize]) -> Self {
        let values = (0..shape.iter().product()).map(|_| draw.parameter()).collect();
        self.constants.push((shape.to_vec(), values));
        self
    }

    fn with(mut self, attribute: AttributeProto) -> Self {
        self.attributes.push(attribute);
        self
    }
}

fn model(shape: &[usize], nodes: &[Node]) -> Model {
    let mut model = Model::new(shape);
    for (at, node) in nodes.iter().enumerate() {
        let input = if at == 0 { "x".to_owned() } else { format!("t{at}") };
        let output = if at + 1 == nodes.len() {
            "y".to_owned()
        } else {
            format!("t{}", at + 1)
        };
        let mut inputs = vec![input.clone()];
        if node.twice {
            inputs.push(input);
        }
        for (place, (shape, values)) in node.constants.iter().enumerate() {
            let name = format!("c{at}_{place}");
            model = model.reals(&name, shape, values);
            inputs.push(name);
        }
        for (place, values) in node.integers.iter().enumerate() {
            let name = format!("i{at}_{place}");
            model = model.integers(&name, values);
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        model = model.node(node.op, &inputs, &output, node.attributes.clone());
    }
    model
}

struct Draw {
    rng: ChaCha8Rng,
    /// Whether parameters and inputs may be such that sums overflow or lose a sign.
    odd: bool,
}

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    fn real(&mut self) -> f64 {
        self.rng.random_range(-2.0..2.0)
    }

    fn parameter(&mut self) -> f64 {
        match self.below(if self.odd { 9 } else { 6 }) {
            0 => 0.0,
            1 => f64::from(self.below(5) as u8) - 2.0,
            6 => -0.0,
            7 => 1e300 * self.real(),
            8 => 1e-310 * self.real(),
            _ => self.real(),
        }
    }

    fn input(&mut self) -> f64 {
        match self.below(if self.odd { 24 } else { 18 }) {
            0..8 => 0.0,
            8 | 9 => -0.0,
            10..18 => self.real(),
            18 => f64::NAN,
            19 => f64::INFINITY,
            20 => f64::NEG_INFINITY,
            21 => 5e-324,
            22 => -1e308,
            _ => -0.0,
        }
    }

    fn pads(&mut self, rank: usize) -> AttributeProto {
        let pads: Vec<i64> = (0..2 * rank).map(|_| self.below(2) as i64).collect();
        ints("pads", &pads)
    }

    fn list(&mut self, name: &str, rank: usize, most: usize) -> AttributeProto {
        let values: Vec<i64> = (0..rank).map(|_| 1 + self.below(most) as i64).collect();
        ints(name, &values)
    }

    /// A node on a tensor of that shape, which may turn out not to fit.
    fn node(&mut self, shape: &[usize]) -> Node {
        let last = shape.last().copied().unwrap_or(1);
        let rank = shape.len();
        match self.below(22) {
            0 if rank == 1 => {
                let outputs = 1 + self.below(9);
                let node = Node::new("Gemm").constant(self, &[last, outputs]);
                let node = node.constant(self, &[outputs]).with(float("beta", -1.0));
                node.with(float("alpha", if self.odd { 1e30 } else { 0.5 }))
            }
            1 => {
                let outputs = 1 + self.below(9);
                Node::new("MatMul").constant(self, &[last, outputs])
            }
            2 => Node::new("Relu"),
            3 => Node::new("LeakyRelu").with(float("alpha", -0.25)),
            4 => Node::new("Sigmoid"),
            5 => Node::new("Tanh"),
            6 => Node::new("Clip").with(float("min", -0.5)).with(float("max", 1.0)),
            7 => {
                let op = ["Add", "Sub", "Mul", "Div"][self.below(4)];
                let shape = if self.below(2) == 0 { vec![] } else { vec![last] };
                Node::new(op).constant(self, &shape)
            }
            8 => {
                let mut node = Node::new(["Add", "Sub", "Mul", "Div"][self.below(4)]);
                node.twice = true;
                node
            }
            9 => Node::new("Softmax").with(int("axis", -1)),
            10 => Node::new("Flatten"),
            11 if rank > 1 => {
                let mut perm: Vec<i64> = (1..=rank as i64).collect();
                perm.rotate_left(1);
                perm.insert(0, 0);
                Node::new("Transpose").with(ints("perm", &perm))
            }
            12 => {
                let mut node = Node::new("Concat").with(int("axis", -1));
                node.twice = true;
                node
            }
            13 if rank > 1 => {
                let (own, variance) = (shape[0], vec![1.5; shape[0]]);
                let mut node = Node::new("BatchNormalization")
                    .constant(self, &[own])
                    .constant(self, &[own])
                    .constant(self, &[own]);
                node.constants.push((vec![own], variance));
                node
            }
            14 if rank > 1 => Node::new("GlobalAveragePool"),
            15 if rank > 1 => {
                let node = Node::new("MaxPool").with(self.list("kernel_shape", rank - 1, 3));
                node.with(self.list("strides", rank - 1, 2))
            }
            16 if rank > 1 => {
                let node = Node::new("AveragePool").with(self.list("kernel_shape", rank - 1, 3));
                let node = node
                    .with(self.pads(rank - 1))
                    .with(self.list("strides", rank - 1, 2));
                node.with(int("count_include_pad", self.below(2) as i64))
            }
            17..=19 if rank > 1 => {
                let groups = if self.below(2) == 0 { 1 } else { shape[0] };
                let outputs = groups * (1 + self.below(5));
                let mut weights = vec![outputs, shape[0] / groups];
                weights.extend((1..rank).map(|_| 1 + self.below(3)));
                let mut node = Node::new("Conv").constant(self, &weights);
                if self.below(3) > 0 {
                    node = node.constant(self, &[outputs]);
                }
                let node = node.with(int("group", groups as i64)).with(self.pads(rank - 1));
                let node = node.with(self.list("strides", rank - 1, 2));
                node.with(self.list("dilations", rank - 1, 2))
            }
            _ if rank > 1 => {
                let groups = if self.below(2) == 0 { 1 } else { shape[0] };
                let outputs = 1 + self.below(6);
                let mut weights = vec![shape[0], outputs];
                weights.extend((1..rank).map(|_| 1 + self.below(3)));
                let mut node = Node::new("ConvTranspose").constant(self, &weights);
                if self.below(3) > 0 {
                    node = node.constant(self, &[outputs * groups]);
                }
                let node = node.with(int("group", groups as i64)).with(self.pads(rank - 1));
                let node = node.with(self.list("strides", rank - 1, 3));
                node.with(self.list("dilations", rank - 1, 2))
            }
            _ => Node::new("Relu"),
        }
    }

    /// Nodes that fit each other.
    fn readout(&mut self) -> (Readout, Vec<Node>) {
        let rank = 1 + self.below(3);
        let shape: Vec<usize> = (0..rank).map(|_| 1 + self.below(6)).collect();
        let mut nodes: Vec<Node> = Vec::new();
        let mut made = None;
        let mut now = shape.clone();
        let wanted = 1 + self.below(4);
        for _ in 0..40 {
            if nodes.len() == wanted {
                break;
            }
            nodes.push(self.node(&now));
            match model(&shape, &nodes).compile() {
                Ok(readout) if readout.output_len() <= 4000 => {
                    now = readout.output_shape().to_vec();
                    made = Some(readout);
                }
                _ => {
                    nodes.pop();
                }
            }
        }
        (made.expect("some node fits"), nodes)
    }
}

/// Whether all bits are equal; a NaN is a NaN.
fn same(a: &[f64], b: &[f64]) -> bool {
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    a.len() == b.len() && a.iter().zip(b).all(same)
}

#[test]
fn side_by_side_each_sample_has_the_bits_that_it_has_alone() {
    let mut draw = Draw {
        rng: ChaCha8Rng::seed_from_u64(7),
        odd: false,
    };
    let mut seen = BTreeSet::new();
    let mut minus_zeros = 0;
    for case in 0..1500 {
        draw.odd = case % 2 == 1;
        let (readout, nodes) = draw.readout();
        seen.extend(nodes.iter().map(|node| node.op));
        let rows = 1 + draw.below(2 * super::super::side_by_side::LANES + 2);
        let len = readout.input_len();
        // Neighbours are alike, as samples under faults are.
        let mut codes: Vec<f64> = (0..len).map(|_| draw.input()).collect();
        for _ in 1..rows {
            let mut next = codes[codes.len() - len..].to_vec();
            for _ in 0..draw.below(len + 1) {
                let at = draw.below(len);
                next[at] = draw.input();
            }
            codes.extend(next);
        }
        let mut scratch = Scratch::default();
        let alone: Vec<f64> = codes
            .chunks_exact(len)
            .flat_map(|code| readout.evaluate(code, &mut scratch).to_vec())
            .collect();
        minus_zeros += alone
            .iter()
            .filter(|x| x.to_bits() == (-0.0f64).to_bits())
            .count();
        for level in Level::available() {
            let mut together = Vec::new();
            readout.evaluate_all_at(level, &codes, &mut scratch, &mut together);
            let ops: Vec<&str> = nodes.iter().map(|node| node.op).collect();
            assert!(
                same(&together, &alone),
                "case {case}, {level}, {ops:?}: {together:?} {alone:?}"
            );
        }
    }
    assert!(seen.len() >= 19, "{seen:?}");
    assert!(minus_zeros > 100, "{minus_zeros}");
}

#[test]
fn a_sum_that_begins_with_minus_zero_is_left_as_it_is() {
    for (op, weights) in [
        ("Gemm", vec![1, 1]),
        ("Conv", vec![1, 1, 1]),
        ("ConvTranspose", vec![1, 1, 1]),
    ] {
        let shape: &[usize] = if op == "Gemm" { &[1] } else { &[1, 1] };
        let readout = Model::new(shape)
            .reals("w", &weights, &[1.0])
            .reals("b", &[1], &[-0.0])
            .node(op, &["x", "w", "b"], "y", vec![])
            .compile()
            .unwrap();
        let mut outputs = Vec::new();
        readout.evaluate_all(&[0.0, 2.0, -0.0], &mut Scratch::default(), &mut outputs);
        assert!(same(&outputs, &[-0.0, 2.0, -0.0]), "{op}: {outputs:?}");
    }
}
