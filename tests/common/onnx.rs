//! ONNX models written by hand.

#![allow(dead_code)] // Each test file uses a part.

use prost::Message;
use radstream::network::import::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The operators of QONNX's own domain.
const QONNX: [&str; 8] = [
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "Trunc",
    "MultiThreshold",
    "Im2Col",
    "MaxPoolNHWC",
    "QuantAvgPool2d",
];

/// A model under construction.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Its graph, free to be spoiled.
    pub graph: GraphProto,
}

/// A tensor of floats.
pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: 1,
        dims: shape.iter().map(|&d| d as i64).collect(),
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// A tensor of integers.
pub fn integers(name: &str, shape: &[usize], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: 7,
        dims: shape.iter().map(|&d| d as i64).collect(),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A graph's input or output.
pub fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&dim_value| DimensionProto {
            dim_value,
            dim_param: String::new(),
        })
        .collect();
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: 1,
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}

/// An attribute's value.
pub enum Value<'v> {
    Int(i64),
    Float(f32),
    Ints(&'v [i64]),
    Floats(&'v [f32]),
    Text(&'v str),
}

impl Model {
    /// A model with one input, the batch included in its shape.
    pub fn new(input: &str, shape: &[i64]) -> Self {
        let mut model = Self::default();
        model.graph.input.push(value(input, shape));
        model
    }

    /// Stores floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> &mut Self {
        self.graph.initializer.push(floats(name, shape, values));
        self
    }

    /// Stores integers.
    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) -> &mut Self {
        self.graph.initializer.push(integers(name, shape, values));
        self
    }

    /// Appends a node named after its output.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut Self {
        self.graph.node.push(NodeProto {
            name: output.to_uppercase(),
            op_type: op.into(),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            domain: if QONNX.contains(&op) {
                "qonnx.custom_op.general".into()
            } else {
                String::new()
            },
            attribute: Vec::new(),
        });
        self
    }

    /// Gives the last node an attribute.
    pub fn with(&mut self, name: &str, value: Value) -> &mut Self {
        let mut attribute = AttributeProto {
            name: name.into(),
            ..AttributeProto::default()
        };
        match value {
            Value::Int(i) => attribute.i = i,
            Value::Float(f) => attribute.f = f,
            Value::Ints(ints) => attribute.ints = ints.to_vec(),
            Value::Floats(floats) => attribute.floats = floats.to_vec(),
            Value::Text(text) => attribute.s = text.as_bytes().to_vec(),
        }
        self.graph
            .node
            .last_mut()
            .expect("a node")
            .attribute
            .push(attribute);
        self
    }

    /// Appends a `Quant` node of these bits and this scale, stored beside it.
    pub fn quant(&mut self, input: &str, output: &str, bits: i64, scale: f32, signed: bool) -> &mut Self {
        self.quant_with(input, output, bits, &[], &[scale], 0, signed)
    }

    /// Appends a `Quant` node with scales of that shape and a zero point.
    #[allow(clippy::too_many_arguments)]
    pub fn quant_with(
        &mut self,
        input: &str,
        output: &str,
        bits: i64,
        shape: &[usize],
        scales: &[f32],
        zero: i64,
        signed: bool,
    ) -> &mut Self {
        let names = ["scale", "zero", "bits"].map(|what| format!("{output}.{what}"));
        self.floats(&names[0], shape, scales)
            .floats(&names[1], &[], &[zero as f32])
            .floats(&names[2], &[], &[bits as f32])
            .node("Quant", &[input, &names[0], &names[1], &names[2]], output)
            .with("signed", Value::Int(i64::from(signed)))
            .with("narrow", Value::Int(0))
            .with("rounding_mode", Value::Text("ROUND"))
    }

    /// Declares the output.
    pub fn output(&mut self, name: &str) -> &mut Self {
        self.graph.output.push(value(name, &[]));
        self
    }

    /// The node of that name.
    pub fn node_named(&mut self, name: &str) -> &mut NodeProto {
        let node = self.graph.node.iter_mut().find(|node| node.name == name);
        node.expect("a node of that name")
    }

    /// The stored tensor of that name.
    pub fn stored(&mut self, name: &str) -> &mut TensorProto {
        let stored = self
            .graph
            .initializer
            .iter_mut()
            .find(|stored| stored.name == name);
        stored.expect("a constant of that name")
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 13,
            }],
            graph: Some(self.graph.clone()),
        };
        model.encode_to_vec()
    }
}
