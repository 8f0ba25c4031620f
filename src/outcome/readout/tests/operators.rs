use super::*;

fn close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 1e-14 * expected.abs().max(1.0),
            "{got} {expected}"
        );
    }
}

#[test]
fn gemm_transposes_and_scales() {
    // 2 * [1 2 0 3] W + 3 c, W[i][o] = 10 i + o + 1.
    let weight = |i: usize, o: usize| (10 * i + o + 1) as f64;
    let x = [1.0, 2.0, 0.0, 3.0];
    let expected: Vec<f64> = (0..3)
        .map(|o| 2.0 * (0..4).map(|i| x[i] * weight(i, o)).sum::<f64>() + 3.0 * o as f64)
        .collect();
    let plain: Vec<f64> = (0..12).map(|at| weight(at / 3, at % 3)).collect();
    let turned: Vec<f64> = (0..12).map(|at| weight(at % 4, at / 4)).collect();
    let scales = || vec![float("alpha", 2.0), float("beta", 3.0)];
    let bias = [0.0, 1.0, 2.0];
    let (shape, got) = Model::new(&[4])
        .reals("w", &[4, 3], &plain)
        .reals("c", &[3], &bias)
        .node("Gemm", &["x", "w", "c"], "y", scales())
        .run(&x);
    assert_eq!((shape, got), (vec![3], expected.clone()));
    let mut attributes = scales();
    attributes.push(int("transB", 1));
    let (_, got) = Model::new(&[4])
        .reals("w", &[3, 4], &turned)
        .reals("c", &[1, 3], &bias)
        .node("Gemm", &["x", "w", "c"], "y", attributes)
        .run(&x);
    assert_eq!(got, expected);
    // The sample as a column, made a row by transA.
    let mut attributes = scales();
    attributes.push(int("transA", 1));
    let (shape, got) = Model::new(&[4])
        .reals("w", &[4, 3], &plain)
        .reals("c", &[3], &bias)
        .integers("column", &[-1, 1])
        .node("Reshape", &["x", "column"], "t", vec![])
        .node("Gemm", &["t", "w", "c"], "y", attributes)
        .run(&x);
    assert_eq!((shape, got), (vec![3], expected));
}

#[test]
fn gemm_of_a_transposed_matrix_with_a_bias_per_row() {
    // The sample is [[1 2 3], [4 5 6]]; transA makes it 3x2.
    let (shape, got) = Model::new(&[2, 3])
        .reals("w", &[2, 1], &[1.0, 10.0])
        .reals("c", &[3, 1], &[100.0, 200.0, 300.0])
        .integers("axes", &[0])
        .node("Squeeze", &["x", "axes"], "t", vec![])
        .node("Gemm", &["t", "w", "c"], "y", vec![int("transA", 1)])
        .run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!((shape, got), (vec![3, 1], vec![141.0, 252.0, 363.0]));
}

#[test]
fn mat_mul_keeps_leading_axes() {
    let (shape, got) = Model::new(&[2, 2])
        .reals("w", &[2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0])
        .node("MatMul", &["x", "w"], "y", vec![])
        .run(&[1.0, 0.0, 2.0, -1.0]);
    assert_eq!((shape, got), (vec![2, 3], vec![1., 2., 3., -8., -16., -24.]));
}

#[test]
fn elementwise_functions() {
    let x = [-1000.0, -2.0, -0.5, 0.0, 0.5, 2.0, 1000.0];
    let run = |op: &str, attributes: Vec<AttributeProto>| {
        Model::new(&[7]).node(op, &["x"], "y", attributes).run(&x).1
    };
    assert_eq!(run("Identity", vec![]), x);
    assert_eq!(run("Dropout", vec![]), x);
    assert_eq!(run("Relu", vec![]), [0., 0., 0., 0., 0.5, 2., 1000.]);
    let leaky = run("LeakyRelu", vec![float("alpha", 0.25)]);
    assert_eq!(leaky, [-250., -0.5, -0.125, 0., 0.5, 2., 1000.]);
    close(&run("Tanh", vec![]), &x.map(f64::tanh));
    let sigmoid = run("Sigmoid", vec![]);
    close(&sigmoid, &x.map(|x| 0.5 * (x / 2.0).tanh() + 0.5));
    assert_eq!(sigmoid[3], 0.5);
    let clipped = Model::new(&[7])
        .reals("low", &[], &[-1.0])
        .reals("high", &[], &[1.5])
        .node("Clip", &["x", "low", "high"], "y", vec![])
        .run(&x);
    assert_eq!(clipped.1, [-1., -1., -0.5, 0., 0.5, 1.5, 1.5]);
    let old = run("Clip", vec![float("min", 0.0), float("max", 6.0)]);
    assert_eq!(old, [0., 0., 0., 0., 0.5, 2., 6.]);
    let below = Model::new(&[7])
        .reals("high", &[], &[0.0])
        .node("Clip", &["x", "", "high"], "y", vec![])
        .run(&x);
    assert_eq!(below.1, [-1000., -2., -0.5, 0., 0., 0., 0.]);
}

#[test]
fn arithmetic_broadcasts_constants_and_tensors() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let with = |op: &str, swap: bool, shape: &[usize], c: &[f64]| {
        let inputs = if swap { ["c", "x"] } else { ["x", "c"] };
        Model::new(&[2, 3])
            .reals("c", shape, c)
            .node(op, &inputs, "y", vec![])
            .run(&x)
            .1
    };
    assert_eq!(
        with("Add", false, &[3], &[10., 20., 30.]),
        [11., 22., 33., 14., 25., 36.]
    );
    assert_eq!(
        with("Sub", true, &[2, 1], &[10., 20.]),
        [9., 8., 7., 16., 15., 14.]
    );
    assert_eq!(with("Mul", false, &[], &[2.0]), x.map(|x| 2.0 * x));
    assert_eq!(with("Div", true, &[1], &[60.0]), x.map(|x| 60.0 / x));
    // An outer sum of the sample with itself, one side turned.
    let (shape, got) = Model::new(&[3])
        .integers("axes", &[2])
        .node("Unsqueeze", &["x", "axes"], "column", vec![])
        .node("Transpose", &["column"], "row", vec![ints("perm", &[0, 2, 1])])
        .node("Add", &["column", "row"], "y", vec![])
        .run(&[1.0, 20.0, 300.0]);
    assert_eq!(shape, [3, 3]);
    assert_eq!(got, [2., 21., 301., 21., 40., 320., 301., 320., 600.]);
}

#[test]
fn tensors_of_different_memory_order_add_by_index() {
    let x: Vec<f64> = (0..6).map(f64::from).collect();
    // x[i][j] and the transpose of reshaped x: t[i][j] = x3x2[j][i] = 2 j + i.
    for (inputs, sign) in [(["x", "t"], 1.0), (["t", "x"], -1.0)] {
        let (_, got) = Model::new(&[2, 3])
            .integers("shape", &[0, 3, 2])
            .node("Reshape", &["x", "shape"], "r", vec![])
            .node("Transpose", &["r"], "t", vec![ints("perm", &[0, 2, 1])])
            .node("Sub", &inputs, "d", vec![])
            .node("Relu", &["d"], "p", vec![])
            .node("Concat", &["p", "t", "d"], "y", vec![int("axis", -1)])
            .run(&x);
        let difference = |i: usize, j: usize| sign * ((3 * i + j) as f64 - (2 * j + i) as f64);
        let mut expected = Vec::new();
        for i in 0..2 {
            expected.extend((0..3).map(|j| difference(i, j).max(0.0)));
            expected.extend((0..3).map(|j| (2 * j + i) as f64));
            expected.extend((0..3).map(|j| difference(i, j)));
        }
        assert_eq!(got, expected);
    }
}

#[test]
fn shapes() {
    let x: Vec<f64> = (0..24).map(f64::from).collect();
    let (shape, got) = Model::new(&[2, 3, 4])
        .integers("shape", &[0, -1, 6])
        .node("Reshape", &["x", "shape"], "y", vec![])
        .run(&x);
    assert_eq!((shape, got), (vec![4, 6], x.clone()));
    let (shape, got) = Model::new(&[2, 3, 4])
        .node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 3, 1])])
        .node("Flatten", &["t"], "y", vec![])
        .run(&x);
    let turned: Vec<f64> = (0..24).map(|at| f64::from(at % 2 * 12 + at / 2)).collect();
    assert_eq!((shape, got), (vec![24], turned));
    let (shape, _) = Model::new(&[2, 3, 4])
        .node("Flatten", &["x"], "y", vec![int("axis", 3)])
        .run(&x);
    assert_eq!(shape, [6, 4]);
    let (shape, _) = Model::new(&[2, 1, 4])
        .opset(11)
        .node("Squeeze", &["x"], "s", vec![ints("axes", &[-2])])
        .node("Unsqueeze", &["s"], "y", vec![ints("axes", &[1, -1])])
        .run(&x[..8]);
    assert_eq!(shape, [1, 2, 4, 1]);
}

#[test]
fn softmax_over_one_axis_or_over_all_behind() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let share = |of: f64, all: &[f64]| of.exp() / all.iter().map(|x| x.exp()).sum::<f64>();
    let run = |opset: i64, attributes: Vec<AttributeProto>| {
        Model::new(&[2, 2])
            .opset(opset)
            .node("Softmax", &["x"], "y", attributes)
            .run(&x)
            .1
    };
    let rows = [[1.0, 2.0], [3.0, 4.0]];
    close(
        &run(13, vec![]),
        &[0, 1, 2, 3].map(|at| share(x[at], &rows[at / 2])),
    );
    let columns = [[1.0, 3.0], [2.0, 4.0]];
    close(
        &run(13, vec![int("axis", 1)]),
        &[0, 1, 2, 3].map(|at| share(x[at], &columns[at % 2])),
    );
    close(&run(11, vec![]), &x.map(|of| share(of, &x)));
    let huge = Model::new(&[2])
        .node("Softmax", &["x"], "y", vec![])
        .run(&[1e6, 1e6]);
    assert_eq!(huge.1, [0.5, 0.5]);
}

#[test]
fn batch_normalization_per_channel() {
    let (_, got) = Model::new(&[2, 1, 2])
        .reals("scale", &[2], &[1.0, 4.0])
        .reals("bias", &[2], &[0.5, -1.0])
        .reals("mean", &[2], &[10.0, 20.0])
        .reals("variance", &[2], &[3.0, 15.0])
        .node(
            "BatchNormalization",
            &["x", "scale", "bias", "mean", "variance"],
            "y",
            vec![float("epsilon", 1.0)],
        )
        .run(&[10.0, 14.0, 20.0, 28.0]);
    assert_eq!(got, [0.5, 2.5, -1.0, 7.0]);
}
