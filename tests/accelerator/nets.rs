//! Small networks by hand.
#![allow(dead_code)]

use radstream::fixed_point::Format;
use radstream::network::*;

pub fn signed(width: u32) -> Encoding {
    Encoding::Fixed(Format::new(width, width as i32, true).unwrap())
}

/// A network under construction.
pub struct Builder {
    pub network: Network,
}

impl Builder {
    pub fn new(input: Vec<usize>, encoding: Encoding) -> Self {
        let tensor = Tensor {
            name: "input".into(),
            shape: input,
            encoding,
            scale: 1.0,
        };
        Self {
            network: Network {
                name: "by_hand".into(),
                tensors: vec![tensor],
                nodes: vec![],
                layers: vec![],
                params: vec![],
                input: TensorId(0),
                input_axes: Vec::new(),
                output_axes: Vec::new(),
                input_rule: InputRule::Raw,
                output: TensorId(0),
                off_chip: None,
                output_scales: vec![],
                output_offsets: vec![],
                notes: vec![],
            },
        }
    }

    fn tensor(&mut self, shape: Vec<usize>, encoding: Encoding) -> TensorId {
        let id = TensorId::from(self.network.tensors.len());
        self.network.tensors.push(Tensor {
            name: format!("t{}", id.0),
            shape,
            encoding,
            scale: 1.0,
        });
        self.network.output = id;
        id
    }

    pub fn param(
        &mut self,
        layer: LayerId,
        kind: ParamKind,
        shape: Vec<usize>,
        encoding: Encoding,
        values: Vec<i64>,
    ) -> ParamId {
        self.network.params.push(Param {
            layer,
            kind,
            shape,
            encoding,
            values,
            zero_point: None,
        });
        ParamId::from(self.network.params.len() - 1)
    }

    /// A matrix product over a window as a layer of its own.
    pub fn product(
        &mut self,
        name: &str,
        geometry: Geometry,
        encoding: Encoding,
        weights: Vec<i64>,
        popcount: bool,
    ) -> LayerId {
        let layer = LayerId::from(self.network.layers.len());
        let input = self.network.output;
        let [kh, kw] = geometry.window.kernel;
        let shape = vec![geometry.output[2], kh, kw, geometry.input[2]];
        let weight = self.param(layer, ParamKind::Weight, shape, encoding, weights);
        let taps = geometry.taps(1);
        let operand = self.network.tensor(input).encoding;
        let format = if popcount {
            Format::holding(0, taps as i128, 0).unwrap()
        } else {
            bounds::exact_accumulator(taps, &encoding, &operand, None).unwrap()
        };
        let output = self.tensor(geometry.output.to_vec(), Encoding::Fixed(format));
        self.network.layers.push(Layer {
            name: name.into(),
            kind: "MatMul".into(),
            output,
            hints: BuildHints::default(),
        });
        self.network.nodes.push(Node {
            name: name.into(),
            layer,
            op: Op::Mac(Mac {
                weight,
                bias: None,
                geometry,
                groups: 1,
                transposed: false,
                accumulator: Accumulator {
                    format,
                    stated: false,
                    order: Order::Natural,
                },
                popcount,
            }),
            inputs: vec![input],
            output,
        });
        layer
    }

    /// A convolution with stated padding behind the map too, as a layer of its own; none where the window does
    /// not fit.
    pub fn convolution(
        &mut self,
        name: &str,
        outputs: usize,
        window: Window,
        after: [usize; 2],
        weight: impl Fn(usize) -> i64,
    ) -> Option<LayerId> {
        let shape = &self.network.tensor(self.network.output).shape;
        let input = [shape[0], shape[1], shape[2]];
        let mut output = [0, 0, outputs];
        for axis in [0, 1] {
            let span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
            let room = (window.pad[axis] + input[axis] + after[axis]).checked_sub(span)?;
            output[axis] = room / window.stride[axis] + 1;
        }
        let geometry = Geometry {
            input,
            output,
            window,
        };
        let weights = (0..outputs * geometry.taps(1)).map(weight).collect();
        let layer = self.product(name, geometry, signed(3), weights, false);
        self.network.layers[layer.index()].hints.pad_after = Some(after);
        Some(layer)
    }

    /// An operation on the last tensor as a layer of its own; returns the tensor that it makes.
    pub fn node(&mut self, name: &str, op: Op, shape: Vec<usize>, encoding: Encoding) -> TensorId {
        let layer = LayerId::from(self.network.layers.len());
        let input = self.network.output;
        let output = self.tensor(shape, encoding);
        self.network.layers.push(Layer {
            name: name.into(),
            kind: "Moved".into(),
            output,
            hints: BuildHints::default(),
        });
        self.network.nodes.push(Node {
            name: name.into(),
            layer,
            op,
            inputs: vec![input],
            output,
        });
        output
    }

    /// A depthwise convolution with stated padding behind the map too, as a layer of its own; none where the window
    /// does not fit.
    pub fn depthwise(
        &mut self,
        name: &str,
        window: Window,
        after: [usize; 2],
        weight: impl Fn(usize) -> i64,
    ) -> Option<LayerId> {
        let channels = self.network.tensor(self.network.output).channels();
        let layer = self.convolution(name, channels, window, after, &weight)?;
        let [kh, kw] = window.kernel;
        let param = self.network.params.last_mut().expect("its weights");
        param.shape = vec![channels, kh, kw, 1];
        param.values = (0..channels * kh * kw).map(weight).collect();
        let encoding = param.encoding;
        let node = self.network.nodes.last_mut().expect("its product");
        let Op::Mac(mac) = &mut node.op else {
            unreachable!("a product")
        };
        mac.groups = channels;
        let operand = self.network.tensors[node.inputs[0].index()].encoding;
        let format = bounds::exact_accumulator(kh * kw, &encoding, &operand, None).unwrap();
        mac.accumulator.format = format;
        self.network.tensors[node.output.index()].encoding = Encoding::Fixed(format);
        Some(layer)
    }

    /// A transposition and a flattening behind the last tensor, as a layer of its own.
    pub fn transposed(&mut self, name: &str, perm: Vec<usize>) {
        let layer = LayerId::from(self.network.layers.len());
        let input = self.network.output;
        let Tensor { shape, encoding, .. } = self.network.tensor(input).clone();
        let shape: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
        let turned = self.tensor(shape.clone(), encoding);
        let output = self.tensor(vec![shape.iter().product()], encoding);
        self.network.layers.push(Layer {
            name: name.into(),
            kind: "Flatten".into(),
            output,
            hints: BuildHints::default(),
        });
        for (op, inputs, output) in [
            (Op::Transpose { perm }, vec![input], turned),
            (Op::Reshape, vec![turned], output),
        ] {
            self.network.nodes.push(Node {
                name: name.into(),
                layer,
                op,
                inputs,
                output,
            });
        }
    }

    /// Thresholds behind the last product.
    pub fn thresholds(&mut self, layer: LayerId, steps: usize, values: Vec<i64>, output: Encoding) {
        let input = self.network.output;
        let (low, high) = values.iter().fold((0, 0), |(l, h), &v| (v.min(l), v.max(h)));
        let format = Format::holding(i128::from(low), i128::from(high), 0).unwrap();
        let shape = vec![values.len() / steps, steps];
        let thresholds = self.param(
            layer,
            ParamKind::Threshold,
            shape,
            Encoding::Fixed(format),
            values,
        );
        let shape = self.network.tensor(input).shape.clone();
        let result = self.tensor(shape, output);
        self.network.nodes.push(Node {
            name: "thresholds".into(),
            layer,
            op: Op::MultiThreshold(MultiThreshold {
                thresholds,
                factor: vec![1],
                offset: vec![-1],
                rule: radstream::network::ThresholdRule::default(),
            }),
            inputs: vec![input],
            output: result,
        });
    }
}

/// One dense layer `fc` of signed weights in `width` bits whose values tell the elements apart.
pub fn dense(rows: usize, columns: usize, width: u32) -> Network {
    let mut builder = Builder::new(vec![columns], signed(8));
    let values = (0..rows * columns)
        .map(|index| {
            signed(width).mantissa_of_bits(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(index as u64 + 1) >> 7)
        })
        .collect();
    builder.product(
        "fc",
        Geometry::dense(1, columns, rows),
        signed(width),
        values,
        false,
    );
    builder.network
}

/// Numbers that look random, the same in every run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % end
    }

    pub fn pair(&mut self, least: usize, end: usize) -> [usize; 2] {
        [0, 1].map(|_| least + self.below(end - least))
    }

    pub fn divisor(&mut self, of: usize) -> u32 {
        let all: Vec<usize> = (1..=of).filter(|d| of.is_multiple_of(*d)).collect();
        all[self.below(all.len())] as u32
    }
}
