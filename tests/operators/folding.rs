//! Constants that the graph computes, against single precision and against the shapes of the reference.

use radstream::network::Network;

use super::check::{Draw, First, Same, check, import};
use super::matrix::input;
use crate::onnx::{Model, Value};

/// What a network is made of besides its names.
fn numbers(network: &Network) -> Vec<(Vec<i64>, Vec<usize>)> {
    let params = network
        .params
        .iter()
        .map(|param| (param.values.clone(), param.shape.clone()));
    params.collect()
}

/// Expressions on constants: the nodes, and their value in Rust's single precision.
fn expression(model: &mut Model, draw: &mut Draw, depth: usize, prefix: &str) -> f32 {
    if depth == 0 {
        let value = draw.reals(1, -3.0, 3.0)[0];
        model.floats(prefix, &[], &[value]);
        return value;
    }
    let single = [
        "Ceil",
        "Floor",
        "Round",
        "Abs",
        "Sign",
        "Neg",
        "Sqrt",
        "Reciprocal",
    ];
    let pair = ["Add", "Sub", "Mul", "Div", "Min", "Max", "Pow"];
    let (a, b) = (format!("{prefix}a"), format!("{prefix}b"));
    let x = expression(model, draw, depth - 1, &a);
    if draw.integer(0, 1) == 0 {
        let op = draw.choice(&single);
        let x = if op == "Sqrt" || (op == "Reciprocal" && x == 0.0) {
            let positive = format!("{prefix}p");
            model.node("Abs", &[&a], &positive);
            model.node(op, &[&positive], prefix);
            x.abs()
        } else {
            model.node(op, &[&a], prefix);
            x
        };
        return match op {
            "Ceil" => x.ceil(),
            "Floor" => x.floor(),
            "Round" => x.round_ties_even(),
            "Abs" => x.abs(),
            "Sign" if x == 0.0 => 0.0,
            "Sign" => x.signum(),
            "Neg" => -x,
            "Sqrt" => x.sqrt(),
            _ => 1.0 / x,
        };
    }
    let op = draw.choice(&pair);
    if op == "Pow" {
        let power = draw.choice(&[0.0f32, 1.0, 2.0, 3.0]);
        model.floats(&b, &[1], &[power]).node("Pow", &[&a, &b], prefix);
        return (0..power as usize).fold(1.0, |product, _| product * x);
    }
    let y = expression(model, draw, depth - 1, &b);
    model.node(op, &[&a, &b], prefix);
    match op {
        "Add" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        "Div" => x / y,
        "Min" => x.min(y),
        _ => x.max(y),
    }
}

/// A scale that the graph computes gives the network of the scale that single precision computes.
#[test]
fn arithmetic_is_in_single_precision() {
    let mut compared = 0;
    for seed in 0..400 {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 4]);
        let value = expression(&mut model, &mut draw, 3, "e");
        let scale = value.abs() + 0.037;
        if !(value.is_finite() && (0.001..8.0).contains(&scale)) {
            continue;
        }
        let mut stated = input(&[1, 4]);
        model
            .floats("small", &[], &[0.037])
            .node("Abs", &["e"], "m")
            .node("Add", &["m", "small"], "s");
        stated.floats("s", &[], &[scale]);
        for model in [&mut model, &mut stated] {
            model
                .floats("zero", &[], &[0.0])
                .floats("bits", &[], &[5.0])
                .node("Quant", &["xq", "s", "zero", "bits"], "y")
                .with("signed", Value::Int(1))
                .with("narrow", Value::Int(0))
                .with("rounding_mode", Value::Text("ROUND"))
                .output("y");
        }
        let (folded, stated) = (import(&model), import(&stated));
        assert_eq!(numbers(&folded), numbers(&stated), "seed {seed}: scale {scale}");
        let unit = |network: &Network| network.tensor(network.output).scale.to_bits();
        assert_eq!(unit(&folded), unit(&stated), "seed {seed}: scale {scale}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} comparisons");
}

/// A third in single precision is not a third.
#[test]
fn a_quotient_is_rounded_once() {
    let mut model = input(&[1, 2]);
    model
        .floats("one", &[], &[1.0])
        .floats("three", &[], &[3.0])
        .node("Div", &["one", "three"], "third")
        .node("Mul", &["xq", "third"], "y")
        .output("y");
    let network = import(&model);
    let output = network.tensor(network.output);
    let unit = output.scale * libm::ldexp(1.0, -output.encoding.frac());
    assert_eq!(unit, f64::from(1.0f32 / 3.0) * 0.125);
}

#[test]
fn constants_are_spread_and_moved() {
    let mut draw = Draw::new(5);
    let (a, b) = (draw.floats(6, 7, 0.25), draw.floats(3, 7, 0.25));
    let mut model = input(&[1, 6]);
    // Six rows of three: [6, 1] + [3], turned by a Gather, a Slice and a Concat.
    model
        .floats("a", &[6, 1], &a)
        .floats("b", &[3], &b)
        .node("Add", &["a", "b"], "sum")
        .integers("rows", &[6], &[5, 4, 3, 2, 1, -6])
        .node("Gather", &["sum", "rows"], "turned")
        .integers("from", &[1], &[-1])
        .integers("to", &[1], &[i64::MIN])
        .integers("axis", &[1], &[-1])
        .integers("by", &[1], &[-1])
        .node("Slice", &["turned", "from", "to", "axis", "by"], "mirrored")
        .node("Concat", &["sum", "mirrored"], "both")
        .with("axis", Value::Int(-1))
        .quant("both", "wq", 8, 0.25, true)
        .node("MatMul", &["xq", "wq"], "y")
        .output("y");
    let network = import(&model);
    let at = |row: usize, column: usize| ((a[row] + b[column]) * 4.0) as i64;
    // [output][input]
    let expected: Vec<i64> = (0..6)
        .flat_map(|output: usize| (0..6).map(move |input: usize| (output, input)))
        .map(|(output, input)| {
            if output < 3 {
                at(input, output)
            } else {
                at(5 - input, 5 - output)
            }
        })
        .collect();
    assert_eq!(network.params[0].values, expected);
}

/// What PyTorch writes for `x.view(x.size(0), -1)`, `torch.flatten` and reshapes by sizes.
#[test]
fn shapes_of_streams_are_constants() {
    type Body = fn(&mut Model);
    let bodies: [Body; 4] = [
        |model| {
            model
                .node("Shape", &["c"], "shape")
                .integers("zero", &[], &[0])
                .node("Gather", &["shape", "zero"], "n")
                .with("axis", Value::Int(0))
                .integers("at", &[1], &[0])
                .node("Unsqueeze", &["n", "at"], "n1")
                .integers("rest", &[1], &[-1])
                .node("Concat", &["n1", "rest"], "target")
                .with("axis", Value::Int(0))
                .node("Reshape", &["c", "target"], "y");
        },
        |model| {
            model
                .node("Shape", &["c"], "shape")
                .integers("from", &[1], &[0])
                .integers("to", &[1], &[1])
                .node("Slice", &["shape", "from", "to"], "n1")
                .integers("rest", &[1], &[-1])
                .node("Concat", &["n1", "rest"], "target")
                .with("axis", Value::Int(-1))
                .node("Reshape", &["c", "target"], "y");
        },
        |model| {
            // Half the height, twice the width.
            model
                .node("Shape", &["c"], "shape")
                .integers("axes", &[4], &[0, 1, -2, 3])
                .node("Gather", &["shape", "axes"], "all")
                .integers("factors", &[4], &[1, 1, 1, 2])
                .node("Cast", &["all"], "real")
                .with("to", Value::Int(1))
                .floats("half", &[4], &[1.0, 1.0, 0.5, 1.0])
                .node("Mul", &["real", "half"], "halved")
                .node("Cast", &["halved"], "whole")
                .with("to", Value::Int(7))
                .node("Mul", &["whole", "factors"], "target")
                .node("Reshape", &["c", "target"], "y");
        },
        |model| {
            model
                .integers("ones", &[1], &[3])
                .node("ConstantOfShape", &["ones"], "zeros")
                .integers("minus", &[1], &[-1])
                .node("Cast", &["zeros"], "kept")
                .with("to", Value::Int(7))
                .integers("first", &[3], &[0, 1, 1])
                .node("Sub", &["kept", "first"], "signs")
                .integers("six", &[3], &[1, 6, 6])
                .node("Mul", &["signs", "six"], "negative")
                .node("Abs", &["negative"], "target")
                .node("Reshape", &["c", "target"], "y");
        },
    ];
    for (seed, body) in (0..).zip(bodies) {
        let mut draw = Draw::new(seed);
        let mut model = input(&[1, 2, 4, 3]);
        model
            .floats("w", &[3, 2, 1, 1], &draw.floats(6, 7, 0.125))
            .quant("w", "wq", 4, 0.125, true)
            .node("Conv", &["xq", "wq"], "c");
        body(&mut model);
        model.output("y");
        if seed < 2 {
            check(&model, 0.125, First, Same, seed);
        } else {
            let network = import(&model);
            let shape = [vec![3, 2, 6], vec![6, 6]][seed as usize - 2].clone();
            assert_eq!(network.tensor(network.output).shape, shape);
        }
    }
}

/// The shape of the network's input is known in front of its quantizer as well.
#[test]
fn the_input_is_flattened_by_its_shape() {
    let mut model = Model::new("x", &[1, 5, 3]);
    model
        .node("Shape", &["x"], "shape")
        .with("start", Value::Int(0))
        .with("end", Value::Int(1))
        .integers("rest", &[1], &[-1])
        .node("Concat", &["shape", "rest"], "target")
        .with("axis", Value::Int(0))
        .node("Reshape", &["x", "target"], "f")
        .quant("f", "y", 6, 0.125, true)
        .output("y");
    check(&model, 0.125, Same, Same, 0);
}
