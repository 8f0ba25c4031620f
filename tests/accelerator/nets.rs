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
                input_rule: InputRule::Raw,
                output: TensorId(0),
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
