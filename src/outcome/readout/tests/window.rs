use proptest::prelude::*;

use super::*;

/// A two-dimensional window operator with integer weights and inputs.
#[derive(Clone, Debug)]
struct Case {
    groups: usize,
    /// Per group.
    inputs: usize,
    /// Per group.
    outputs: usize,
    extent: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Before y, before x, after y, after x.
    pads: [usize; 4],
    output_padding: [usize; 2],
    seed: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let pair = |low: usize, high: usize| [low..=high, low..=high];
    (
        (1usize..=3, 1usize..=3, 1usize..=3),
        pair(1, 6),
        pair(1, 3),
        pair(1, 3),
        pair(1, 2),
        [0usize..=2, 0usize..=2, 0usize..=2, 0usize..=2],
        pair(0, 1),
        0usize..1000,
    )
        .prop_map(
            |((groups, inputs, outputs), extent, kernel, stride, dilation, pads, output_padding, seed)| {
                Case {
                    groups,
                    inputs,
                    outputs,
                    extent,
                    kernel,
                    stride,
                    dilation,
                    pads,
                    output_padding,
                    seed,
                }
            },
        )
}

impl Case {
    /// Small integers, zero now and then.
    fn numbers(&self, len: usize, salt: usize) -> Vec<f64> {
        (0..len)
            .map(|at| ((at + salt) * 7919 + self.seed * 104_729) % 1009 % 8)
            .map(|number| number as f64 - 3.0)
            .map(|number| if number < -1.0 { 0.0 } else { number })
            .collect()
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        let list = |name: &str, values: &[usize]| {
            ints(
                name,
                &values.iter().map(|&value| value as i64).collect::<Vec<_>>(),
            )
        };
        vec![
            list("strides", &self.stride),
            list("dilations", &self.dilation),
            list("pads", &self.pads),
            int("group", self.groups as i64),
        ]
    }

    fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }
}

/// `x[channel][y][x]`, zero outside.
fn at(x: &[f64], extent: [usize; 2], channel: usize, y: Option<usize>, column: Option<usize>) -> f64 {
    match (y.filter(|&y| y < extent[0]), column.filter(|&x| x < extent[1])) {
        (Some(y), Some(column)) => x[(channel * extent[0] + y) * extent[1] + column],
        _ => 0.0,
    }
}

proptest! {
    #[test]
    fn convolution_is_the_windowed_sum(case in case()) {
        let Case { groups, inputs, outputs, extent, kernel, stride, dilation, pads, .. } = case;
        prop_assume!((0..2).all(|a| extent[a] + pads[a] + pads[a + 2] >= case.reach(a)));
        let out = [0, 1].map(|a| (extent[a] + pads[a] + pads[a + 2] - case.reach(a)) / stride[a] + 1);
        let x = case.numbers(groups * inputs * extent[0] * extent[1], 1);
        let weights = case.numbers(groups * outputs * inputs * kernel[0] * kernel[1], 2);
        let bias = case.numbers(groups * outputs, 3);
        let mut expected = Vec::new();
        for (channel, &offset) in bias.iter().enumerate() {
            for y in 0..out[0] {
                for column in 0..out[1] {
                    let mut sum = offset;
                    for input in 0..inputs {
                        for ky in 0..kernel[0] {
                            for kx in 0..kernel[1] {
                                let iy = (y * stride[0] + ky * dilation[0]).checked_sub(pads[0]);
                                let ix = (column * stride[1] + kx * dilation[1]).checked_sub(pads[1]);
                                let source = channel / outputs * inputs + input;
                                let weight = ((channel * inputs + input) * kernel[0] + ky) * kernel[1] + kx;
                                sum += weights[weight] * at(&x, extent, source, iy, ix);
                            }
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        let (shape, got) = Model::new(&[groups * inputs, extent[0], extent[1]])
            .reals("w", &[groups * outputs, inputs, kernel[0], kernel[1]], &weights)
            .reals("b", &[groups * outputs], &bias)
            .node("Conv", &["x", "w", "b"], "y", case.attributes())
            .run(&x);
        prop_assert_eq!(shape, vec![groups * outputs, out[0], out[1]]);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn transposed_convolution_gathers_what_a_convolution_would_spread(case in case()) {
        let Case { groups, inputs, outputs, extent, kernel, stride, dilation, pads, output_padding, .. } = case;
        let full = [0, 1].map(|a| (extent[a] - 1) * stride[a] + case.reach(a) + output_padding[a]);
        prop_assume!((0..2).all(|a| full[a] > pads[a] + pads[a + 2]));
        let out = [0, 1].map(|a| full[a] - pads[a] - pads[a + 2]);
        let x = case.numbers(groups * inputs * extent[0] * extent[1], 1);
        let weights = case.numbers(groups * inputs * outputs * kernel[0] * kernel[1], 2);
        let bias = case.numbers(groups * outputs, 3);
        // The input that reaches an output over a tap, if a whole number of strides away.
        let source = |axis: usize, to: usize, tap: usize| {
            (to + pads[axis])
                .checked_sub(tap * dilation[axis])
                .filter(|distance| distance % stride[axis] == 0)
                .map(|distance| distance / stride[axis])
        };
        let mut expected = Vec::new();
        for (channel, &offset) in bias.iter().enumerate() {
            for y in 0..out[0] {
                for column in 0..out[1] {
                    let mut sum = offset;
                    for input in 0..inputs {
                        for ky in 0..kernel[0] {
                            for kx in 0..kernel[1] {
                                let from = channel / outputs * inputs + input;
                                let (iy, ix) = (source(0, y, ky), source(1, column, kx));
                                let weight = ((from * outputs + channel % outputs) * kernel[0] + ky) * kernel[1] + kx;
                                sum += weights[weight] * at(&x, extent, from, iy, ix);
                            }
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        let mut attributes = case.attributes();
        attributes.push(ints("output_padding", &output_padding.map(|p| p as i64)));
        let (shape, got) = Model::new(&[groups * inputs, extent[0], extent[1]])
            .reals("w", &[groups * inputs, outputs, kernel[0], kernel[1]], &weights)
            .reals("b", &[groups * outputs], &bias)
            .node("ConvTranspose", &["x", "w", "b"], "y", attributes)
            .run(&x);
        prop_assert_eq!(shape, vec![groups * outputs, out[0], out[1]]);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn pools_reduce_their_window(case in case(), padded in any::<bool>()) {
        let Case { inputs: channels, extent, kernel, stride, .. } = case;
        let pads = [0, 1, 2, 3].map(|side| case.pads[side].min(kernel[side % 2] - 1));
        prop_assume!((0..2).all(|a| extent[a] + pads[a] + pads[a + 2] >= kernel[a]));
        let out = [0, 1].map(|a| (extent[a] + pads[a] + pads[a + 2] - kernel[a]) / stride[a] + 1);
        let x = case.numbers(channels * extent[0] * extent[1], 1);
        let (mut largest, mut means) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            for y in 0..out[0] {
                for column in 0..out[1] {
                    let mut inside = Vec::new();
                    for iy in 0..extent[0] {
                        for ix in 0..extent[1] {
                            let covers = |axis: usize, step: usize, index: usize| {
                                let first = step * stride[axis];
                                (first..first + kernel[axis]).contains(&(index + pads[axis]))
                            };
                            if covers(0, y, iy) && covers(1, column, ix) {
                                inside.push(at(&x, extent, channel, Some(iy), Some(ix)));
                            }
                        }
                    }
                    let count = if padded { kernel[0] * kernel[1] } else { inside.len() };
                    largest.push(inside.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                    means.push(inside.iter().sum::<f64>() / count as f64);
                }
            }
        }
        let attributes = || {
            let list = |name: &str, values: &[usize]| {
                ints(name, &values.iter().map(|&value| value as i64).collect::<Vec<_>>())
            };
            vec![
                list("kernel_shape", &kernel),
                list("strides", &stride),
                list("pads", &pads),
                int("count_include_pad", i64::from(padded)),
            ]
        };
        for (op, expected) in [("MaxPool", largest), ("AveragePool", means)] {
            let (shape, got) = Model::new(&[channels, extent[0], extent[1]])
                .node(op, &["x"], "y", attributes())
                .run(&x);
            prop_assert_eq!(shape, vec![channels, out[0], out[1]]);
            prop_assert_eq!(got, expected);
        }
    }
}

#[test]
fn one_dimensional_windows() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let stride = || vec![ints("strides", &[2]), ints("pads", &[1, 0])];
    let model = |op: &str, shape: &[usize]| {
        Model::new(&[1, 4])
            .reals("w", shape, &[1.0, 10.0, 100.0])
            .node(op, &["x", "w"], "y", stride())
            .run(&x)
    };
    // Padded [0 1 2 3 4].
    assert_eq!(model("Conv", &[1, 1, 3]), (vec![1, 2], vec![210.0, 432.0]));
    // Spread over 9 places, the first cut.
    let spread = vec![10., 102., 20., 203., 30., 304., 40., 400.];
    assert_eq!(model("ConvTranspose", &[1, 1, 3]), (vec![1, 8], spread));
    let pooled = Model::new(&[1, 4])
        .node("MaxPool", &["x"], "y", vec![ints("kernel_shape", &[2])])
        .run(&x);
    assert_eq!(pooled, (vec![1, 3], vec![2., 3., 4.]));
    let mean = Model::new(&[1, 4])
        .node("GlobalAveragePool", &["x"], "y", vec![])
        .run(&x);
    assert_eq!(mean, (vec![1, 1], vec![2.5]));
}

#[test]
fn automatic_padding_puts_the_odd_one_where_it_says() {
    let x: Vec<f64> = (1..=64).map(f64::from).collect();
    let weights: Vec<f64> = (1..=9).map(f64::from).collect();
    let run = |op: &str, more: Vec<AttributeProto>| {
        let mut attributes = vec![ints("strides", &[2, 2])];
        attributes.extend(more);
        Model::new(&[1, 8, 8])
            .reals("w", &[1, 1, 3, 3], &weights)
            .node(op, &["x", "w"], "y", attributes)
            .run(&x)
    };
    let pads = |pads: [i64; 4]| vec![ints("pads", &pads)];
    let upper = || vec![text("auto_pad", "SAME_UPPER")];
    let lower = || vec![text("auto_pad", "SAME_LOWER")];
    assert_eq!(run("Conv", upper()), run("Conv", pads([0, 0, 1, 1])));
    assert_eq!(run("Conv", lower()), run("Conv", pads([1, 1, 0, 0])));
    assert_eq!(
        run("Conv", vec![text("auto_pad", "VALID")]),
        run("Conv", pads([0; 4]))
    );
    assert_eq!(run("Conv", upper()).0, [1, 4, 4]);
    let op = "ConvTranspose";
    assert_eq!(run(op, upper()), run(op, pads([0, 0, 1, 1])));
    assert_eq!(run(op, lower()), run(op, pads([1, 1, 0, 0])));
    assert_eq!(run(op, upper()).0, [1, 16, 16]);
    let wanted = vec![ints("output_shape", &[15, 15])];
    assert_eq!(run(op, wanted), run(op, pads([1, 1, 1, 1])));
}
