//! Operators against their defining formulas, on integers where `f64` is exact.

mod operators;
mod refusals;
mod side_by_side;
mod window;

use std::path::Path;

use prost::Message;

use super::{Readout, Scratch};
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxGraph;
use crate::network::import::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A model under construction: input `x`, output `y`.
struct Model {
    opset: i64,
    graph: GraphProto,
}

fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&dim_value: &i64| DimensionProto {
        dim_value,
        dim_param: String::new(),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: 1,
                shape: Some(TensorShapeProto {
                    dim: shape.iter().map(dim).collect(),
                }),
            }),
        }),
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: 7,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: 2,
        i,
        ..AttributeProto::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: 1,
        f,
        ..AttributeProto::default()
    }
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: 3,
        s: text.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

fn compile(bytes: &[u8]) -> Result<Readout, ImportError> {
    Readout::from_graph(&OnnxGraph::parse(Path::new("readout.onnx"), bytes)?)
}

impl Model {
    /// A model whose input has a symbolic axis of samples before `shape`.
    fn new(shape: &[usize]) -> Self {
        let mut dims = vec![0];
        dims.extend(shape.iter().map(|&extent| extent as i64));
        let output = ValueInfoProto {
            name: "y".to_owned(),
            r#type: None,
        };
        Self {
            opset: 13,
            graph: GraphProto {
                input: vec![value("x", &dims)],
                output: vec![output],
                ..GraphProto::default()
            },
        }
    }

    fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    fn reals(mut self, name: &str, shape: &[usize], values: &[f64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: 11,
            double_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: 7,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn node(mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> Self {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("make_{output}"),
            op_type: op.to_owned(),
            attribute: attributes,
            domain: String::new(),
        });
        self
    }

    fn bytes(self) -> Vec<u8> {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: self.opset,
            }],
            graph: Some(self.graph),
        }
        .encode_to_vec()
    }

    fn compile(self) -> Result<Readout, ImportError> {
        compile(&self.bytes())
    }

    /// Output shape and values for one sample.
    fn run(self, x: &[f64]) -> (Vec<usize>, Vec<f64>) {
        let readout = self.compile().unwrap();
        let mut scratch = Scratch::default();
        // What another readout left behind must not matter.
        scratch.values.resize(3, f64::NAN);
        let first = readout.evaluate(x, &mut scratch).to_vec();
        assert_eq!(first, readout.evaluate(x, &mut scratch));
        assert_eq!(first.len(), readout.output_len());
        (readout.output_shape().to_vec(), first)
    }
}
