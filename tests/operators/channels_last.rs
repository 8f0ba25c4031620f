//! Graphs with their channels last, and convolutions that FINN lowered, against their channels-first twins.

use radstream::network::{Network, Op, ParamKind};
use radstream::simulate::functional::{Parameters, evaluate};

use super::check::{Draw, First, Same, check};
use crate::onnx::{Model, Value};

/// How one network is written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// ONNX's own operators.
    ChannelsFirst,
    /// qonnx's domain, the input channels last as well.
    ChannelsLast,
    /// The same behind a transposition of a channels-first input.
    Transposed,
    /// FINN's `Im2Col`, `MatMul` and `MaxPoolNHWC`.
    Lowered,
}

const DOMAIN: &str = "qonnx.custom_op.channels_last";

struct Writer {
    model: Model,
    form: Form,
    draw: Draw,
    channels: usize,
    last: String,
    count: usize,
    /// Height and width.
    size: [usize; 2],
}

impl Writer {
    fn next(&mut self, what: &str) -> (String, String) {
        self.count += 1;
        let to = format!("{what}{}", self.count);
        (std::mem::replace(&mut self.last, to.clone()), to)
    }

    fn is_first(&self) -> bool {
        self.form == Form::ChannelsFirst
    }

    fn conv(&mut self, per_channel: bool) {
        let depthwise = self.draw.integer(0, 2) == 0;
        let inputs = self.channels;
        let outputs = if depthwise {
            inputs
        } else {
            self.draw.integer(1, 4) as usize
        };
        let groups = if depthwise { inputs } else { 1 };
        let kernel = [0, 1].map(|axis: usize| self.draw.integer(1, 3.min(self.size[axis] as i64)));
        let stride = [self.draw.integer(1, 2), self.draw.integer(1, 2)];
        let pads: Vec<i64> = (0..4).map(|_| self.draw.integer(0, 1)).collect();
        let per_group = inputs / groups;
        let (rows, columns) = (kernel[0] as usize, kernel[1] as usize);
        let taps = rows * columns;
        let values = self.draw.floats(outputs * per_group * taps, 7, 0.125);
        let scales: Vec<f32> = (0..if per_channel { outputs } else { 1 })
            .map(|_| self.draw.choice(&[0.125, 0.25, 0.3]))
            .collect();
        let (from, to) = self.next("c");
        let (w, wq) = (format!("{to}.w"), format!("{to}.wq"));
        let value = |o: usize, i: usize, tap: usize| values[(o * per_group + i) * taps + tap];
        let along = |front: &[usize]| if per_channel { front.to_vec() } else { Vec::new() };
        match self.form {
            Form::ChannelsFirst => {
                self.model
                    .floats(&w, &[outputs, per_group, rows, columns], &values)
                    .quant_with(&w, &wq, 4, &along(&[outputs, 1, 1, 1]), &scales, 0, true)
                    .node("Conv", &[&from, &wq], &to);
            }
            Form::ChannelsLast | Form::Transposed => {
                let turned: Vec<f32> = (0..outputs * taps * per_group)
                    .map(|at| value(at / per_group / taps, at % per_group, at / per_group % taps))
                    .collect();
                self.model
                    .floats(&w, &[outputs, rows, columns, per_group], &turned)
                    .quant_with(&w, &wq, 4, &along(&[outputs, 1, 1, 1]), &scales, 0, true)
                    .node("Conv", &[&from, &wq], &to);
                self.model.graph.node.last_mut().expect("a node").domain = DOMAIN.into();
            }
            Form::Lowered => {
                let matrix: Vec<f32> = (0..taps * inputs * outputs)
                    .map(|at| {
                        let (o, i, tap) = (at % outputs, at / outputs % inputs, at / outputs / inputs);
                        match (depthwise, o == i) {
                            (false, _) => value(o, i, tap),
                            (true, true) => value(o, 0, tap),
                            (true, false) => 0.0,
                        }
                    })
                    .collect();
                let windows = format!("{to}.i");
                self.model
                    .floats(&w, &[taps * inputs, outputs], &matrix)
                    .quant_with(&w, &wq, 4, &along(&[1, outputs]), &scales, 0, true)
                    .node("Im2Col", &[&from], &windows)
                    .with("kernel_size", Value::Ints(&kernel))
                    .with("stride", Value::Ints(&stride))
                    .with("pad_amount", Value::Ints(&pads))
                    .with("dilations", Value::Ints(&[1, 1]))
                    .with("depthwise", Value::Int(i64::from(depthwise)))
                    .with("input_shape", Value::Text("(1,0,0,0)"))
                    .node("MatMul", &[&windows, &wq], &to);
            }
        }
        if self.form != Form::Lowered {
            self.model
                .with("kernel_shape", Value::Ints(&kernel))
                .with("strides", Value::Ints(&stride))
                .with("pads", Value::Ints(&pads))
                .with("dilations", Value::Ints(&[1, 1]))
                .with("group", Value::Int(groups as i64));
        }
        self.channels = outputs;
        for axis in 0..2 {
            let total = (self.size[axis] as i64) + pads[axis] + pads[axis + 2] - kernel[axis];
            self.size[axis] = (total / stride[axis] + 1) as usize;
        }
    }

    fn normalize(&mut self) {
        let channels = self.channels;
        let numbers = [
            self.draw.reals(channels, 0.2, 2.0),
            self.draw.reals(channels, -1.0, 1.0),
            self.draw.reals(channels, -1.0, 1.0),
            self.draw.reals(channels, 0.1, 2.0),
        ];
        let (from, to) = self.next("n");
        let names = ["g", "b", "m", "v"].map(|what| format!("{to}.{what}"));
        for (name, numbers) in names.iter().zip(&numbers) {
            self.model.floats(name, &[channels], numbers);
        }
        let operands = [from.as_str(), &names[0], &names[1], &names[2], &names[3]];
        if self.form == Form::Lowered {
            // FINN streamlines it away; here it stays between two transpositions.
            let (first, normal) = (format!("{to}.f"), format!("{to}.n"));
            self.model
                .node("Transpose", &[&from], &first)
                .with("perm", Value::Ints(&[0, 3, 1, 2]))
                .node(
                    "BatchNormalization",
                    &[&first, operands[1], operands[2], operands[3], operands[4]],
                    &normal,
                )
                .node("Transpose", &[&normal], &to)
                .with("perm", Value::Ints(&[0, 2, 3, 1]));
            return;
        }
        self.model.node("BatchNormalization", &operands, &to);
        if !self.is_first() {
            self.model.graph.node.last_mut().expect("a node").domain = DOMAIN.into();
        }
    }

    fn activation(&mut self) {
        let channels = self.channels;
        if self.draw.integer(0, 1) == 0 {
            let rows = if self.draw.integer(0, 2) == 0 { 1 } else { channels };
            let mut thresholds = Vec::new();
            for _ in 0..rows {
                let mut row = self.draw.reals(3, -3.0, 3.0);
                row.sort_by(f32::total_cmp);
                thresholds.extend(row);
            }
            let layout = if self.is_first() { "NCHW" } else { "NHWC" };
            let (from, to) = self.next("t");
            let name = format!("{to}.t");
            self.model
                .floats(&name, &[rows, 3], &thresholds)
                .node("MultiThreshold", &[&from, &name], &to)
                .with("data_layout", Value::Text(layout))
                .with("out_dtype", Value::Text("UINT2"));
        } else {
            let (from, rectified) = self.next("r");
            self.model.node("Relu", &[&from], &rectified);
            let (from, to) = self.next("q");
            self.model.quant(&from, &to, 4, 0.25, false);
        }
    }

    fn pool(&mut self) {
        let size = self.size;
        let kernel = [0, 1].map(|axis: usize| self.draw.integer(1, 2.min(size[axis] as i64)));
        let stride = [self.draw.integer(1, 2), self.draw.integer(1, 2)];
        let ceil = self.draw.integer(0, 1);
        let (from, to) = self.next("p");
        let op = if self.form == Form::Lowered {
            "MaxPoolNHWC"
        } else {
            "MaxPool"
        };
        self.model
            .node(op, &[&from], &to)
            .with("kernel_shape", Value::Ints(&kernel))
            .with("strides", Value::Ints(&stride))
            .with("pads", Value::Ints(&[0, 0, 0, 0]))
            .with("ceil_mode", Value::Int(ceil));
        if matches!(self.form, Form::ChannelsLast | Form::Transposed) {
            self.model.graph.node.last_mut().expect("a node").domain = DOMAIN.into();
        }
        for axis in 0..2 {
            let room = size[axis] as i64 - kernel[axis];
            let mut steps = if ceil == 1 {
                (room + stride[axis] - 1) / stride[axis]
            } else {
                room / stride[axis]
            };
            if steps * stride[axis] >= size[axis] as i64 {
                steps -= 1;
            }
            self.size[axis] = steps as usize + 1;
        }
    }
}

/// One random network in one form.
fn written(seed: u64, form: Form) -> Model {
    let mut draw = Draw::new(seed);
    let (channels, height, width) = (draw.integer(1, 3), draw.integer(3, 5), draw.integer(3, 6));
    let first = matches!(form, Form::ChannelsFirst | Form::Transposed);
    let shape = if first {
        [1, channels, height, width]
    } else {
        [1, height, width, channels]
    };
    let mut model = Model::new("x", &shape);
    model.quant("x", "xq", 5, 0.25, true);
    let mut last = "xq".to_owned();
    if form == Form::Transposed {
        model
            .node("Transpose", &["xq"], "xt")
            .with("perm", Value::Ints(&[0, 2, 3, 1]));
        last = "xt".into();
    }
    let mut writer = Writer {
        model,
        form,
        draw,
        channels: channels as usize,
        last,
        count: 0,
        size: [height as usize, width as usize],
    };
    writer.conv(false);
    if seed.is_multiple_of(2) {
        writer.normalize();
    }
    writer.activation();
    writer.pool();
    writer.conv(true);
    writer.activation();
    let output = writer.last.clone();
    writer.model.output(&output);
    writer.model
}

fn weights(network: &Network) -> Vec<(ParamKind, Vec<usize>, Vec<i64>)> {
    let params = network.params.iter();
    params
        .map(|param| (param.kind, param.shape.clone(), param.values.clone()))
        .collect()
}

/// Every form is its own definition, and all store and compute the same integers, layer by layer.
#[test]
fn twins_are_equal() {
    for seed in 0..40 {
        let first = written(seed, Form::ChannelsFirst);
        let reference = check(&first, 0.25, First, First, seed);
        for form in [Form::ChannelsLast, Form::Transposed, Form::Lowered] {
            let model = written(seed, form);
            let input = if form == Form::Transposed { First } else { Same };
            let network = check(&model, 0.25, input, Same, seed);
            assert_eq!(weights(&network), weights(&reference), "seed {seed}");
            assert_eq!(network.layers.len(), reference.layers.len(), "seed {seed}");
            let mut draw = Draw::new(seed);
            let codes: Vec<i64> = (0..network.tensor(network.input).len())
                .map(|_| draw.integer(-16, 15))
                .collect();
            let traces =
                [&network, &reference].map(|network| evaluate(network, &Parameters::of(network), &codes));
            for (own, other) in network.layers.iter().zip(&reference.layers) {
                assert_eq!(
                    network.tensor(own.output).shape,
                    reference.tensor(other.output).shape
                );
                assert_eq!(
                    traces[0].tensor(own.output),
                    traces[1].tensor(other.output),
                    "seed {seed}"
                );
            }
        }
    }
}

/// Windows that something else than a product reads, and borders other than zero.
#[test]
fn windows_by_themselves() {
    for seed in 0..24 {
        let mut draw = Draw::new(seed);
        let mut model = Model::new("x", &[1, 4, 5, 2]);
        let kernel = [draw.integer(1, 3), draw.integer(1, 3)];
        let rows = (kernel[0] * kernel[1] * 2) as usize;
        model
            .quant("x", "xq", 5, 0.25, true)
            .node("Im2Col", &["xq"], "i")
            .with("kernel_size", Value::Ints(&kernel))
            .with("stride", Value::Ints(&[draw.integer(1, 2), draw.integer(1, 3)]))
            .with("pad_amount", Value::Ints(&[1, 0, draw.integer(0, 1), 1]))
            .with("pad_value", Value::Int(draw.integer(-1, 1)))
            .with("dilations", Value::Ints(&[draw.integer(1, 2), 1]));
        if seed.is_multiple_of(2) {
            model.quant("i", "y", 4, 0.5, true).output("y");
        } else {
            model
                .floats("w", &[rows, 3], &draw.floats(3 * rows, 7, 0.125))
                .quant("w", "wq", 4, 0.125, true)
                .node("MatMul", &["i", "wq"], "y")
                .output("y");
        }
        check(&model, 0.25, Same, Same, seed);
    }
}

#[test]
fn averages_that_drop_bits() {
    for seed in 0..16 {
        let mut draw = Draw::new(seed);
        let last = seed.is_multiple_of(2);
        let mut model = Model::new("x", if last { &[1, 5, 4, 3] } else { &[1, 3, 5, 4] });
        let bits = draw.integer(2, 5);
        model
            .quant("x", "xq", bits, 1.0, draw.integer(0, 1) == 0)
            .node("QuantAvgPool2d", &["xq"], "y")
            .with("kernel", Value::Int(draw.integer(1, 3)))
            .with("stride", Value::Int(draw.integer(1, 2)))
            .with("ibits", Value::Int(bits))
            .with("obits", Value::Int(draw.integer(2, 6)))
            .with("signed", Value::Int(0))
            .with("data_layout", Value::Text(if last { "NHWC" } else { "NCHW" }))
            .output("y");
        let layout = if last { Same } else { First };
        check(&model, 1.0, layout, layout, seed);
    }
}

/// Thresholds per channel on any number of axes, with what FINN writes for bipolar and shifted outputs.
#[test]
fn thresholds_on_any_rank() {
    let cases: [(&[i64], &str, usize); 7] = [
        (&[1, 6], "NC", 6),
        (&[1, 6], "", 6),
        (&[1, 3, 5], "NWC", 5),
        (&[1, 3, 5], "", 5),
        (&[1, 2, 3, 2, 4], "NHWDC", 4),
        (&[1, 3, 2, 4], "NHWC", 4),
        (&[1, 2, 3, 2, 4], "NHWDC", 1),
    ];
    for (seed, (shape, layout, rows)) in (0..).zip(cases) {
        for (dtype, scale, bias, steps) in [
            ("BIPOLAR", 2.0, -1.0, 1usize),
            ("INT2", 1.0, -2.0, 3),
            ("UINT2", 1.0, 0.0, 3),
            ("", 0.25, -0.5, 2),
        ] {
            let mut draw = Draw::new(seed);
            let mut thresholds = Vec::new();
            for _ in 0..rows {
                let mut row = draw.reals(steps, -3.0, 3.0);
                row.sort_by(f32::total_cmp);
                thresholds.extend(row);
            }
            let mut model = Model::new("x", shape);
            model
                .quant("x", "xq", 6, 0.125, true)
                .floats("t", &[rows, steps], &thresholds)
                .node("MultiThreshold", &["xq", "t"], "y")
                .with("data_layout", Value::Text(layout))
                .with("out_dtype", Value::Text(dtype))
                .with("out_scale", Value::Float(scale))
                .with("out_bias", Value::Float(bias))
                .output("y");
            let network = check(&model, 0.125, Same, Same, seed);
            assert!(
                network
                    .nodes
                    .iter()
                    .all(|node| !matches!(node.op, Op::Transpose { .. })),
                "{layout}"
            );
        }
    }
}

#[test]
fn hardware_nodes_are_refused_with_a_cure() {
    use radstream::network::import::onnx::OnnxGraph;
    use radstream::network::import::{Reason, qonnx};
    for (domain, op) in [
        ("finn.custom_op.fpgadataflow", "MatrixVectorActivation"),
        ("finn.custom_op.fpgadataflow.hls", "MVAU_hls"),
        ("finn.custom_op.fpgadataflow.rtl", "Thresholding_rtl"),
        ("finn.custom_op.fpgadataflow", "StreamingDataflowPartition"),
    ] {
        let mut model = Model::new("x", &[1, 4]);
        model
            .quant("x", "xq", 5, 0.25, true)
            .node(op, &["xq"], "y")
            .output("y");
        model.graph.node.last_mut().expect("a node").domain = domain.into();
        let graph = OnnxGraph::parse("net.onnx".as_ref(), &model.bytes()).expect("a graph");
        let error = qonnx::import(&graph).expect_err("a refusal");
        assert_eq!(error.reason, Reason::Unsupported);
        assert!(
            error.problem.contains("hardware node") && error.repair.contains("export before"),
            "{error:?}"
        );
    }
}
