use super::*;
use crate::data::Elements;
use crate::outcome::emd::EarthMover;

fn reals(shape: &[usize], values: &[f64]) -> Array {
    Array {
        shape: shape.to_vec(),
        elements: Elements::Real(values.to_vec()),
    }
}

fn integers(shape: &[usize], values: &[i64]) -> Array {
    Array {
        shape: shape.to_vec(),
        elements: Elements::Integer(values.to_vec()),
    }
}

fn setup(shape: &[usize], loss: Loss) -> Setup {
    Setup {
        order: None,
        readout: Readout::identity(shape),
        loss,
        gather: None,
        target: None,
        samples: None,
        stated: None,
        labels: None,
        classes: None,
        metrics: vec![],
    }
}

#[test]
fn mismatch_is_about_the_integers() {
    let evaluator = Evaluator::new(setup(&[2], Loss::mismatch()), 1, 2).unwrap();
    let mut scratch = Scratch::default();
    for (differs, loss) in [(false, 0.0), (true, 1.0)] {
        let outcome = evaluator.evaluate(0, &[1.0, 2.0], differs, &mut scratch);
        let expected = Outcome {
            loss,
            correct: None,
            accuracy: None,
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn only_the_first_classes_count_and_ties_go_to_the_lower() {
    let labels = integers(&[2], &[1, 0]);
    let parts = Setup {
        labels: Some(labels),
        classes: Some(3),
        ..setup(&[4], Loss::misclassify())
    };
    let evaluator = Evaluator::new(parts, 2, 4).unwrap();
    let mut scratch = Scratch::default();
    let mut correct = |sample, values: [f64; 4]| {
        let outcome = evaluator.evaluate(sample, &values, true, &mut scratch);
        assert_eq!(
            outcome.loss,
            if outcome.correct == Some(true) { 0.0 } else { 1.0 }
        );
        assert_eq!(Some(1.0 - outcome.loss), outcome.accuracy);
        outcome.correct
    };
    assert_eq!(correct(0, [0.0, 2.0, 2.0, 9.0]), Some(true));
    assert_eq!(correct(0, [2.0, 2.0, 1.0, 0.0]), Some(false));
    assert_eq!(correct(1, [-3.0, -3.0, -3.0, 0.0]), Some(true));
    assert_eq!(correct(1, [f64::NAN, -3.0, f64::NAN, 0.0]), Some(false));
}

#[test]
fn without_labels_the_fault_free_prediction_counts() {
    let mut evaluator = Evaluator::new(setup(&[2], Loss::misclassify()), 2, 2).unwrap();
    assert!(evaluator.needs_fault_free());
    evaluator.remember(&[0.0, 1.0, 1.0, 0.0]);
    assert!(!evaluator.needs_fault_free());
    let mut scratch = Scratch::default();
    let mut loss = |sample, values| evaluator.evaluate(sample, values, true, &mut scratch).loss;
    assert_eq!(loss(0, &[0.5, 0.75]), 0.0);
    assert_eq!(loss(1, &[0.5, 0.75]), 1.0);
}

#[test]
fn a_map_of_classes_loses_the_share_of_wrong_pixels() {
    let parts = Setup {
        labels: Some(integers(&[1, 2, 2], &[0, 1, 1, 2])),
        ..setup(&[2, 2, 3], Loss::misclassify())
    };
    let evaluator = Evaluator::new(parts, 1, 12).unwrap();
    let map = [1., 0., 0., 0., 1., 0., 1., 0., 0., 0., 0., 1.];
    let outcome = evaluator.evaluate(0, &map, true, &mut Scratch::default());
    let expected = Outcome {
        loss: 0.25,
        correct: Some(false),
        accuracy: Some(0.75),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn cross_entropy_of_large_and_equal_logits() {
    let parts = Setup {
        labels: Some(integers(&[3], &[0, 1, 1])),
        classes: Some(2),
        ..setup(&[3], Loss::cross_entropy())
    };
    let evaluator = Evaluator::new(parts, 3, 3).unwrap();
    let mut scratch = Scratch::default();
    let mut loss = |sample, values| evaluator.evaluate(sample, values, true, &mut scratch).loss;
    assert_eq!(loss(0, &[7.0, 7.0, 99.0]), std::f64::consts::LN_2);
    assert_eq!(loss(1, &[1000.0, 0.0, 0.0]), 1000.0);
    assert_eq!(loss(2, &[-1e300, 1e300, 0.0]), 0.0);
}

#[test]
fn the_gather_picks_from_output_and_from_full_targets() {
    let gather = integers(&[2], &[2, 0]);
    for target in [
        reals(&[2, 3], &[1., 2., 3., 4., 5., 6.]),
        reals(&[2, 2], &[3., 1., 6., 4.]),
    ] {
        let parts = Setup {
            gather: Some(gather.clone()),
            target: Some(target),
            ..setup(&[3], Loss::mse())
        };
        let evaluator = Evaluator::new(parts, 2, 3).unwrap();
        let outcome = evaluator.evaluate(1, &[1.0, 100.0, 2.0], true, &mut Scratch::default());
        assert_eq!(outcome.loss, (16.0 + 9.0) / 2.0);
    }
}

#[test]
fn refuses_parts_that_do_not_fit() {
    type Change<'a> = &'a dyn Fn(&mut Setup);
    let line = || EarthMover::new(&[2, 2], &[0.0, 1.0, 1.0, 0.0]).unwrap();
    let with = |change: Change, loss: Loss| {
        let mut parts = setup(&[3], loss);
        change(&mut parts);
        Evaluator::new(parts, 2, 3)
            .map(|_| ())
            .map_err(|error| error.place.to_string())
    };
    let full = || Some(reals(&[2, 3], &[0.0; 6]));
    let failing: [(&str, Change, Loss); 12] = [
        (
            "the readout",
            &|s| s.readout = Readout::identity(&[4]),
            Loss::mismatch(),
        ),
        ("the classes", &|s| s.classes = Some(0), Loss::mismatch()),
        ("the classes", &|s| s.classes = Some(4), Loss::mismatch()),
        ("the targets", &|_| (), Loss::mse()),
        (
            "the targets",
            &|s| s.target = Some(reals(&[1, 3], &[0.0; 3])),
            Loss::mse(),
        ),
        (
            "the targets",
            &|s| s.target = Some(reals(&[2, 2], &[0.0; 4])),
            Loss::mse(),
        ),
        (
            "the targets",
            &|s| s.target = Some(reals(&[2, 3], &[f64::NAN; 6])),
            Loss::mse(),
        ),
        ("the ground distance", &|s| s.target = full(), Loss::emd(line())),
        (
            "the gather",
            &|s| s.gather = Some(integers(&[1], &[3])),
            Loss::mismatch(),
        ),
        (
            "the gather",
            &|s| s.gather = Some(reals(&[1], &[0.5])),
            Loss::mismatch(),
        ),
        ("the labels", &|_| (), Loss::cross_entropy()),
        (
            "the labels",
            &|s| s.labels = Some(integers(&[2], &[0, 3])),
            Loss::misclassify(),
        ),
    ];
    for (place, change, loss) in failing {
        assert_eq!(with(change, loss), Err(place.to_owned()));
    }
    let short = |s: &mut Setup| s.labels = Some(integers(&[2, 2], &[0; 4]));
    assert_eq!(with(&short, Loss::misclassify()), Err("the labels".to_owned()));
    let gathered = |s: &mut Setup| {
        s.target = full();
        s.gather = Some(integers(&[2], &[0, 1]));
    };
    assert_eq!(with(&gathered, Loss::emd(line())), Ok(()));
}

#[test]
fn one_hot_labels_are_classes() {
    let labels = |shape: &[usize], values: &[i64]| Array {
        shape: shape.to_vec(),
        elements: Elements::Integer(values.to_vec()),
    };
    let with = |labels: Array| {
        let setup = Setup {
            labels: Some(labels),
            ..setup(&[3], Loss::misclassify())
        };
        Evaluator::new(setup, 2, 3).map(|evaluator| evaluator.label_shares())
    };
    let expected = Some(vec![0.0, 0.5, 0.5]);
    assert_eq!(with(labels(&[2], &[2, 1])).unwrap(), expected);
    assert_eq!(with(labels(&[2, 3], &[0, 0, 1, 0, 1, 0])).unwrap(), expected);
    for wrong in [[0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 2, 0, 1, 0]] {
        let error = with(labels(&[2, 3], &wrong)).unwrap_err();
        assert_eq!(error.place, crate::outcome::OutcomePart::Labels);
    }
    // A map of two pixels with two classes each: a class per pixel goes first.
    let setup = Setup {
        labels: Some(labels(&[1, 2], &[1, 0])),
        ..setup(&[2, 2], Loss::misclassify())
    };
    let evaluator = Evaluator::new(setup, 1, 4).unwrap();
    assert_eq!(evaluator.label_shares(), Some(vec![0.5, 0.5]));
}
