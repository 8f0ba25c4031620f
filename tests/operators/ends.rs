//! Ends of networks: selections, functions behind the last integers, chosen outputs, what no output needs.

use std::path::Path;

use num_rational::BigRational;
use radstream::data::{Array, Elements};
use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::{ImportError, qonnx};
use radstream::network::{Network, NoteKind, OutputMeaning, RealFunction};
use radstream::outcome::{Evaluator, Loss, Readout, Scratch, Setup};
use radstream::simulate::functional::{Parameters, evaluate};

use super::check::{Draw, import};
use super::tensor::{Tensor, whole};
use crate::onnx::{Model, Value};

const UNIT: f32 = 0.25;

/// A model whose quantized input is flat, and `q` the same integers as an array of that shape.
fn integers_of(shape: &[i64], bits: i64) -> Model {
    let mut model = Model::new("x", &[1, shape.iter().product()]);
    if shape.len() == 2 {
        model.quant("x", "q", bits, UNIT, true);
    } else {
        model
            .quant("x", "flat", bits, UNIT, true)
            .integers("shape", &[shape.len()], shape)
            .node("Reshape", &["flat", "shape"], "q");
    }
    model
}

/// The integers of a run, and the drawn input as an array in the order of its tensor.
fn run(network: &Network, draw: &mut Draw) -> (Vec<i64>, Vec<i64>) {
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let codes: Vec<i64> = (0..tensor.len())
        .map(|_| draw.integer(low as i64, high as i64))
        .collect();
    let trace = evaluate(network, &Parameters::of(network), &codes);
    (trace.tensor(network.output).to_vec(), codes)
}

fn evaluator(network: &Network, loss: Loss, labels: Option<Vec<i64>>) -> Evaluator {
    let output = network.tensor(network.output);
    let setup = Setup {
        order: None,
        readout: Readout::of_file(&output.shape, &network.output_meaning()),
        loss,
        gather: None,
        target: None,
        samples: None,
        stated: None,
        labels: labels.map(|labels| Array {
            shape: vec![1, labels.len()],
            elements: Elements::Integer(labels),
        }),
        classes: None,
        metrics: vec![],
    };
    Evaluator::new(setup, 1, output.len()).unwrap()
}

/// The values of a run's outputs.
fn values(network: &Network, mantissas: &[i64]) -> Vec<f64> {
    let output = network.tensor(network.output);
    mantissas
        .iter()
        .map(|&mantissa| output.value_of(mantissa))
        .collect()
}

/// Indices along an axis of the elements that come first, by their definition: for each the number of those before it.
pub fn ranked(x: &Tensor, axis: usize, count: usize, smallest: bool, last: bool) -> Vec<Vec<i64>> {
    let mut front = x.shape.clone();
    front[axis] = 1;
    super::tensor::coordinates(&front)
        .into_iter()
        .map(|at| {
            let value = |k: usize| {
                let mut at = at.clone();
                at[axis] = k;
                let value = x.get(&at).clone();
                if smallest { -value } else { value }
            };
            let before = |a: usize, b: usize| {
                value(a) > value(b) || (value(a) == value(b) && if last { a > b } else { a < b })
            };
            let extent = x.shape[axis];
            (0..count)
                .map(|rank| {
                    let is_next = |&k: &usize| (0..extent).filter(|&other| before(other, k)).count() == rank;
                    (0..extent).find(is_next).expect("one per rank") as i64
                })
                .collect()
        })
        .collect()
}

#[test]
fn every_selection_is_its_definition_and_is_scored_by_its_first_index() {
    for seed in 0..120 {
        let mut draw = Draw::new(seed);
        let rank = draw.integer(1, 3) as usize;
        let extents: Vec<i64> = (0..rank).map(|_| draw.integer(1, 5)).collect();
        let shape: Vec<i64> = [1].into_iter().chain(extents).collect();
        // Few levels, so that ties occur.
        let mut model = integers_of(&shape, draw.choice(&[2, 3, 8]));
        let axis = draw.integer(1, rank as i64);
        let stated = if draw.integer(0, 1) == 0 {
            axis
        } else {
            axis - shape.len() as i64
        };
        let extent = shape[axis as usize];
        let op = draw.choice(&["TopK", "ArgMax", "ArgMin"]);
        let smallest = op == "ArgMin" || (op == "TopK" && draw.integer(0, 1) == 1);
        let last = op != "TopK" && draw.integer(0, 1) == 1;
        let count = if op == "TopK" { draw.integer(1, extent) } else { 1 };
        let softmax = draw.integer(0, 2) == 0;
        if softmax {
            model.node("Softmax", &["q"], "s").with("axis", Value::Int(axis));
        }
        let read = if softmax { "s" } else { "q" };
        let mut keep = true;
        if op == "TopK" {
            model
                .integers("k", &[1], &[count])
                .node("TopK", &[read, "k"], "values")
                .with("axis", Value::Int(stated))
                .with("largest", Value::Int(i64::from(!smallest)))
                .with("sorted", Value::Int(draw.integer(0, 1)));
            model
                .graph
                .node
                .last_mut()
                .expect("a node")
                .output
                .push("y".into());
        } else {
            keep = draw.integer(0, 1) == 1;
            model
                .node(op, &[read], "y")
                .with("axis", Value::Int(stated))
                .with("keepdims", Value::Int(i64::from(keep)))
                .with("select_last_index", Value::Int(i64::from(last)));
        }
        model.output("y");
        let network = import(&model);
        let case = format!("{seed}: {op} of {shape:?} along {stated}, {count} of {extent}, kept {keep}");
        let left_out = network.notes.iter().any(|note| note.kind == NoteKind::OffChip);
        assert_eq!(left_out, softmax, "{case}");
        for _ in 0..4 {
            let (indices, codes) = run(&network, &mut draw);
            let x = Tensor {
                shape: shape.iter().map(|&extent| extent as usize).collect(),
                values: codes.into_iter().map(whole).collect::<Vec<BigRational>>(),
            };
            let expected = ranked(&x, axis as usize, count as usize, smallest, last);
            // Pixels in the order of the other axes, the ranks of a pixel last.
            assert_eq!(indices, expected.concat(), "{case}");
            let firsts: Vec<i64> = expected.iter().map(|ranks| ranks[0]).collect();
            let OutputMeaning::Indices { classes, first } = network.output_meaning() else {
                panic!("{case}: {:?}", network.output_meaning());
            };
            assert_eq!((classes as i64, first.len()), (extent, firsts.len()), "{case}");
            // Right labels are right, one wrong label is one wrong pixel.
            let mut labels = firsts.clone();
            let outputs = values(&network, &indices);
            let mut scratch = Scratch::default();
            let right = evaluator(&network, Loss::misclassify(), Some(labels.clone()));
            let outcome = right.evaluate(0, &outputs, false, &mut scratch);
            assert_eq!(
                (outcome.loss, outcome.correct, outcome.accuracy),
                (0.0, Some(true), Some(1.0)),
                "{case}"
            );
            assert_eq!(
                right.classes_of(&outputs, &mut scratch),
                firsts.iter().map(|&label| label as usize).collect::<Vec<_>>()
            );
            if extent > 1 {
                let pixel = draw.integer(0, labels.len() as i64 - 1) as usize;
                labels[pixel] = (labels[pixel] + 1) % extent;
                let wrong = evaluator(&network, Loss::misclassify(), Some(labels));
                let outcome = wrong.evaluate(0, &outputs, true, &mut scratch);
                assert_eq!(
                    (outcome.loss, outcome.correct),
                    (1.0 / firsts.len() as f64, Some(false)),
                    "{case}"
                );
            }
            // Without labels the fault-free indices take their place.
            let mut unlabelled = evaluator(&network, Loss::misclassify(), None);
            unlabelled.remember(&outputs);
            assert_eq!(unlabelled.evaluate(0, &outputs, false, &mut scratch).loss, 0.0);
        }
    }
}

#[test]
fn selections_that_are_flattened_or_transposed_are_scored_too() {
    let mut model = integers_of(&[1, 3, 4, 2], 3);
    model
        .integers("k", &[1], &[2])
        .node("TopK", &["q", "k"], "values")
        .with("axis", Value::Int(-1));
    model
        .graph
        .node
        .last_mut()
        .expect("a node")
        .output
        .push("i".into());
    model
        .node("Transpose", &["i"], "t")
        .with("perm", Value::Ints(&[0, 3, 2, 1]))
        .node("Flatten", &["t"], "y")
        .output("y");
    let network = import(&model);
    let mut draw = Draw::new(1);
    let (indices, codes) = run(&network, &mut draw);
    // [rank][4][3]: the first half holds the first indices.
    let expected: Vec<i64> = (0..12)
        .map(|at| {
            let (column, row) = (at / 3, at % 3);
            let pair = &codes[(row * 4 + column) * 2..][..2];
            i64::from(pair[1] > pair[0])
        })
        .collect();
    assert_eq!(indices[..12], expected);
    let meaning = network.output_meaning();
    assert_eq!(
        meaning,
        OutputMeaning::Indices {
            classes: 2,
            first: (0..12).collect()
        }
    );
    let right = evaluator(&network, Loss::misclassify(), Some(expected));
    assert_eq!(
        right
            .evaluate(0, &values(&network, &indices), false, &mut Scratch::default())
            .loss,
        0.0
    );
}

#[test]
fn losses_of_amounts_are_refused_for_indices() {
    let mut model = integers_of(&[1, 6], 4);
    model
        .node("ArgMax", &["q"], "y")
        .with("axis", Value::Int(1))
        .output("y");
    let network = import(&model);
    let setup = |loss: Loss| Setup {
        order: None,
        readout: Readout::of_file(&[1], &network.output_meaning()),
        loss,
        gather: None,
        target: Some(Array {
            shape: vec![1, 1],
            elements: Elements::Real(vec![0.0]),
        }),
        labels: Some(Array {
            shape: vec![1],
            elements: Elements::Integer(vec![5]),
        }),
        classes: None,
        metrics: vec![],
        samples: None,
        stated: None,
    };
    for loss in [Loss::mse(), Loss::cross_entropy()] {
        let name = loss.name();
        let error = Evaluator::new(setup(loss.clone()), 1, 1).unwrap_err();
        assert!(
            error.problem.contains(name) && error.problem.contains("6 classes"),
            "{error}"
        );
        let counts = Evaluator::new(setup(Loss::mismatch()), 1, 1).unwrap();
        assert_eq!(counts.with_loss(loss).unwrap_err(), error);
    }
    // Labels beyond the classes, and another number of classes.
    let mut beyond = setup(Loss::misclassify());
    beyond.labels = Some(Array {
        shape: vec![1],
        elements: Elements::Integer(vec![6]),
    });
    assert!(Evaluator::new(beyond, 1, 1).is_err());
    let mut fewer = setup(Loss::misclassify());
    fewer.classes = Some(5);
    assert!(
        Evaluator::new(fewer, 1, 1)
            .unwrap_err()
            .problem
            .contains("selects among 6")
    );
}

/// Softmax of a group in plain order.
fn softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().fold(f64::MIN, |a, &b| a.max(b));
    let powers: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[test]
fn a_final_softmax_leaves_the_chip() {
    for seed in 0..40 {
        let mut draw = Draw::new(seed);
        let (classes, pixels) = (draw.integer(2, 5), draw.integer(1, 4));
        let rows = draw.integer(0, 1) == 0;
        let mut model = integers_of(&[1, classes, pixels], 6);
        let op = draw.choice(&["Softmax", "LogSoftmax"]);
        // Over the classes of each pixel, or over the pixels of each class.
        model
            .node(op, &["q"], "s")
            .with("axis", Value::Int(if rows { -1 } else { 1 }));
        match seed % 4 {
            0 => model.node("Flatten", &["s"], "y"),
            1 => model
                .integers("to", &[2], &[1, -1])
                .node("Reshape", &["s", "to"], "y"),
            2 => model
                .node("Transpose", &["s"], "t")
                .with("perm", Value::Ints(&[0, 2, 1]))
                .node("Flatten", &["t"], "y"),
            _ => model.node("Identity", &["s"], "y"),
        };
        model.output("y");
        let network = import(&model);
        let notes: Vec<NoteKind> = network.notes.iter().map(|note| note.kind).collect();
        assert_eq!(notes, [NoteKind::OffChip], "{seed}");
        let (mantissas, codes) = run(&network, &mut draw);
        // The integers themselves leave the chip.
        let (mut sent, mut given) = (mantissas.clone(), codes.clone());
        sent.sort_unstable();
        given.sort_unstable();
        assert_eq!(sent, given, "{seed}");

        let (classes, pixels) = (classes as usize, pixels as usize);
        let x = |class: usize, pixel: usize| f64::from(UNIT) * codes[class * pixels + pixel] as f64;
        let result = |class: usize, pixel: usize| {
            let (group, own): (Vec<f64>, usize) = if rows {
                ((0..pixels).map(|pixel| x(class, pixel)).collect(), pixel)
            } else {
                ((0..classes).map(|class| x(class, pixel)).collect(), class)
            };
            let p = softmax(&group)[own];
            if op == "Softmax" { p } else { p.ln() }
        };
        let expected: Vec<f64> = if seed % 4 == 2 {
            (0..pixels)
                .flat_map(|pixel| (0..classes).map(move |class| (class, pixel)))
                .collect::<Vec<_>>()
        } else {
            (0..classes)
                .flat_map(|class| (0..pixels).map(move |pixel| (class, pixel)))
                .collect()
        }
        .into_iter()
        .map(|(class, pixel)| result(class, pixel))
        .collect();
        let output = network.tensor(network.output);
        let readout = Readout::of_file(&output.shape, &network.output_meaning());
        let mut scratch = radstream::outcome::readout::Scratch::default();
        let made = readout
            .evaluate(&values(&network, &mantissas), &mut scratch)
            .to_vec();
        for (made, expected) in made.iter().zip(&expected) {
            assert!((made - expected).abs() < 1e-12, "{seed}: {made} {expected}");
        }
    }
}

#[test]
fn the_cross_entropy_of_a_softmax_takes_no_second_one() {
    let mut model = integers_of(&[1, 4], 8);
    model.node("Softmax", &["q"], "y").output("y");
    let network = import(&model);
    for label in 0..4i64 {
        let logits = [3.0, -31.75, 0.25, 31.5];
        let evaluator = evaluator(&network, Loss::cross_entropy(), Some(vec![label]));
        let outcome = evaluator.evaluate(0, &logits, false, &mut Scratch::default());
        let expected = -softmax(&logits)[label as usize].ln();
        assert!(
            (outcome.loss - expected).abs() < 1e-12,
            "{} {expected}",
            outcome.loss
        );
        assert_eq!(outcome.correct, Some(label == 3));
        // Another loss sees the probabilities themselves.
        let misses = evaluator.with_loss(Loss::misclassify()).unwrap();
        assert_eq!(
            misses.evaluate(0, &logits, false, &mut Scratch::default()).loss,
            f64::from(u8::from(label != 3))
        );
    }
    // Where a probability is too small for a float its logarithm is not.
    let evaluator = evaluator(&network, Loss::cross_entropy(), Some(vec![1]));
    let outcome = evaluator.evaluate(0, &[1000.0, 0.0, 0.0, 0.0], false, &mut Scratch::default());
    assert_eq!(outcome.loss, 1000.0);
}

#[test]
fn sigmoids_and_tangents_at_the_end_leave_the_chip() {
    for (op, function) in [("Sigmoid", RealFunction::Sigmoid), ("Tanh", RealFunction::Tanh)] {
        let mut model = integers_of(&[1, 3, 2], 6);
        model
            .node(op, &["q"], "s")
            .node("Flatten", &["s"], "y")
            .output("y");
        let network = import(&model);
        let meaning = network.output_meaning();
        assert_eq!(
            meaning,
            OutputMeaning::Function {
                function,
                groups: Vec::new()
            }
        );
        let output = network.tensor(network.output);
        let readout = Readout::of_file(&output.shape, &meaning);
        let mut scratch = radstream::outcome::readout::Scratch::default();
        let xs = [-3.0, -0.25, 0.0, 0.5, 2.0, 7.75];
        for (made, x) in readout.evaluate(&xs, &mut scratch).iter().zip(xs) {
            let expected = if op == "Tanh" {
                x.tanh()
            } else {
                1.0 / (1.0 + (-x).exp())
            };
            assert!((made - expected).abs() < 1e-15);
        }
    }
}

pub fn refusal(model: &Model, output: Option<&str>) -> ImportError {
    let graph = OnnxGraph::parse_for(Path::new("test.onnx"), &model.bytes(), output);
    graph
        .and_then(|graph| qonnx::import(&graph))
        .expect_err("a refusal")
}

#[test]
fn what_computes_behind_a_softmax_is_refused() {
    let mut quantized = integers_of(&[1, 4], 6);
    quantized
        .node("Softmax", &["q"], "s")
        .quant("s", "y", 8, 0.0625, false)
        .output("y");
    let mut added = integers_of(&[1, 4], 6);
    added
        .node("Softmax", &["q"], "s")
        .node("Add", &["q", "s"], "y")
        .output("y");
    let mut across = integers_of(&[1, 4, 3], 6);
    across
        .node("Softmax", &["q"], "s")
        .node("ArgMax", &["s"], "y")
        .with("axis", Value::Int(1))
        .output("y");
    let mut samples = integers_of(&[1, 4], 6);
    samples
        .node("Softmax", &["q"], "y")
        .with("axis", Value::Int(0))
        .output("y");
    for (model, words) in [
        (
            quantized,
            "is read by node `Y` (Quant), and its results are no integers",
        ),
        (
            added,
            "is read by node `Y` (Add), and its results are no integers",
        ),
        (across, "selects among the results of different sums"),
        (samples, "sums over the samples"),
    ] {
        let error = refusal(&model, None);
        assert!(error.problem.contains(words), "{error}");
    }
}

/// `q -> Relu -> y`, and `q -> Neg -> z -> w`.
fn two_ends() -> Model {
    let mut model = integers_of(&[1, 4], 6);
    model
        .node("Relu", &["q"], "r")
        .quant("r", "y", 4, 0.5, false)
        .node("Neg", &["q"], "z")
        .node("Relu", &["z"], "n")
        .quant("n", "w", 4, 0.5, false)
        .output("y")
        .output("w");
    model
}

#[test]
fn one_of_several_outputs_is_chosen_by_name() {
    let model = two_ends();
    let error = refusal(&model, None);
    assert!(error.problem.contains(r#"["y", "w"]"#), "{error}");
    assert_eq!(error.cure, Some(radstream::network::import::Cure::Output));
    let unknown = refusal(&model, Some("v"));
    assert!(
        unknown.problem.contains("`v`") && unknown.expected.contains(r#"["y", "w"]"#),
        "{unknown}"
    );
    for output in ["y", "w", "z", "q"] {
        let graph = OnnxGraph::parse_for(Path::new("test.onnx"), &model.bytes(), Some(output)).unwrap();
        let network = qonnx::import(&graph).unwrap();
        assert_eq!(network.tensor(network.output).name, output);
        let (mantissas, codes) = run(&network, &mut Draw::new(3));
        let expected: Vec<f64> = codes
            .iter()
            .map(|&code| code as f64 * f64::from(UNIT))
            .map(|x| match output {
                "y" => ((x.max(0.0) / 0.5).round_ties_even() * 0.5).min(7.5),
                "w" => (((-x).max(0.0) / 0.5).round_ties_even() * 0.5).min(7.5),
                "z" => -x,
                _ => x,
            })
            .collect();
        assert_eq!(values(&network, &mantissas), expected, "{output}");
        let notes: Vec<&str> = network
            .notes
            .iter()
            .filter(|note| note.kind == NoteKind::Unneeded)
            .map(|note| note.text.as_str())
            .collect();
        assert_eq!(notes.len(), 1, "{output}: {notes:?}");
        let others = match output {
            "y" => "3 nodes (node `Z` (Neg), node `N` (Relu), node `W` (Quant)); 3 constants",
            "w" => "2 nodes (node `R` (Relu), node `Y` (Quant)); 3 constants",
            "z" => "4 nodes",
            _ => "5 nodes",
        };
        assert!(notes[0].contains(others), "{output}: {notes:?}");
    }
}

#[test]
fn what_no_output_needs_may_be_anything() {
    let mut plain = integers_of(&[1, 4], 6);
    plain
        .node("Relu", &["q"], "r")
        .quant("r", "y", 4, 0.5, false)
        .output("y");
    let alone = import(&plain);
    assert!(alone.notes.iter().all(|note| note.kind != NoteKind::Unneeded));
    let mut model = plain.clone();
    // An unknown operator, one that reads what is not there, a cycle, a constant of texts, a second input.
    model
        .node("Frobnicate", &["q"], "f")
        .node("Relu", &["nowhere"], "g")
        .node("Relu", &["j"], "i")
        .node("Relu", &["i"], "j")
        .integers("texts", &[2], &[1, 2])
        .floats("lost", &[3], &[1.0, 2.0, 3.0])
        .node("Add", &["other", "lost"], "k");
    model.stored("texts").data_type = 8;
    model.stored("lost").data_location = 1;
    model.graph.input.push(crate::onnx::value("other", &[1, 3]));
    let network = import(&model);
    let note = network
        .notes
        .iter()
        .find(|note| note.kind == NoteKind::Unneeded)
        .expect("a note");
    for words in [
        "5 nodes",
        "Frobnicate",
        "2 constants (texts, lost)",
        "1 input (other)",
    ] {
        assert!(note.text.contains(words), "{}", note.text);
    }
    let without = |mut network: Network| {
        network.notes.clear();
        network
    };
    assert_eq!(without(network), without(alone));
    // What is needed is checked as ever.
    model.node_named("R").input[0] = "k".into();
    refusal(&model, None);
}

#[test]
fn halves_are_exact_constants() {
    // 0.1 in binary16 is 0x2e66 = 1638 * 2^-14; in bfloat16 it is 0x3dcd = 205 * 2^-11.
    for (data_type, bits, value) in [(10, 0x2e66u16, 1638.0 / 16384.0), (16, 0x3dcd, 205.0 / 2048.0)] {
        for raw in [true, false] {
            let mut model = integers_of(&[1, 2], 6);
            model
                .floats("w", &[2, 1], &[0.0; 2])
                .quant("w", "wq", 8, 1.0, true);
            model.node("MatMul", &["q", "wq"], "y").output("y");
            // The scale itself is a half; the weight is 3 scales.
            let scale = model.stored("wq.scale");
            scale.data_type = data_type;
            scale.raw_data = if raw {
                bits.to_le_bytes().to_vec()
            } else {
                Vec::new()
            };
            scale.int32_data = if raw { Vec::new() } else { vec![i32::from(bits)] };
            let three: f32 = 3.0 * value as f32;
            *model.stored("w") = crate::onnx::floats("w", &[2, 1], &[three, -three]);
            let network = import(&model);
            assert_eq!(network.params[0].values, [3, -3]);
            let output = network.tensor(network.output);
            assert_eq!(output.value_of(1), value * f64::from(UNIT), "{data_type} {raw}");
        }
    }
    let mut model = integers_of(&[1, 2], 6);
    model
        .floats("k", &[1], &[0.0])
        .node("Add", &["q", "k"], "y")
        .output("y");
    let constant = model.stored("k");
    constant.data_type = 10;
    constant.raw_data = Vec::new();
    constant.int32_data = vec![0x1_0000];
    assert!(refusal(&model, None).problem.contains("16 bits"));
}

#[test]
fn constants_beside_the_file_are_read_from_its_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    let weights: Vec<f32> = vec![1.0, -2.0, 3.0, 0.0];
    let mut model = integers_of(&[1, 4], 6);
    model
        .floats("w", &[4, 1], &weights)
        .quant("w", "wq", 4, 1.0, true);
    model.node("MatMul", &["q", "wq"], "y").output("y");
    let inside = import(&model);
    // 8 bytes of something else first.
    let mut data = vec![0xff; 8];
    data.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    std::fs::write(inner.join("weights.bin"), &data).unwrap();
    std::fs::write(folder.path().join("outside.bin"), &data).unwrap();
    let outside = |entries: &[(&str, &str)]| {
        let mut model = model.clone();
        let stored = model.stored("w");
        stored.raw_data = Vec::new();
        stored.data_location = 1;
        stored.external_data = entries
            .iter()
            .map(
                |&(key, value)| radstream::network::import::onnx::proto::StringStringEntryProto {
                    key: key.into(),
                    value: value.into(),
                },
            )
            .collect();
        model
    };
    let path = inner.join("net.onnx");
    let read = |entries: &[(&str, &str)]| {
        std::fs::write(&path, outside(entries).bytes()).unwrap();
        qonnx::read(&path)
    };
    let same = |network: Network| {
        assert_eq!(
            (network.params, network.nodes),
            (inside.params.clone(), inside.nodes.clone())
        )
    };
    let log = radstream::data::InputLog::start();
    same(read(&[("location", "weights.bin"), ("offset", "8"), ("length", "16")]).unwrap());
    let files: Vec<String> = log.finish().into_iter().map(|file| file.path).collect();
    assert!(files.len() == 2 && files[1].ends_with("weights.bin"), "{files:?}");
    same(read(&[("offset", "8"), ("location", "weights.bin")]).unwrap());
    for (entries, words) in [
        (&[("location", "weights.bin")][..], "elements"),
        (
            &[("location", "weights.bin"), ("offset", "9")],
            "no whole elements",
        ),
        (
            &[("location", "weights.bin"), ("offset", "8"), ("length", "17")],
            "has 24 bytes",
        ),
        (
            &[
                ("location", "weights.bin"),
                ("offset", "18446744073709551615"),
                ("length", "16"),
            ],
            "has 24 bytes",
        ),
        (
            &[("location", "weights.bin"), ("offset", "-8")],
            "which is no number",
        ),
        (&[("location", "none.bin")], "none.bin"),
        (
            &[("location", "../outside.bin"), ("offset", "8")],
            "outside the folder",
        ),
        (&[("location", "")], "outside the folder"),
        (&[("location", path.to_str().unwrap())], "outside the folder"),
        (&[("offset", "8")], "not named"),
    ] {
        let error = read(entries).expect_err("a refusal");
        assert!(
            error.problem.contains(words) && error.place.contains("`w`"),
            "{entries:?}: {error}"
        );
    }
    // Bytes without a folder have no files beside them.
    let bytes = outside(&[("location", "weights.bin"), ("offset", "8")]).bytes();
    let error = OnnxGraph::parse(Path::new("net.onnx"), &bytes).expect_err("a refusal");
    assert!(error.problem.contains("none beside"), "{error}");
}
