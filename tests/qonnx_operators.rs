//! Single operators of QONNX in small networks, against an evaluator of the operators' published
//! definitions in rational arithmetic.

#[path = "common/onnx.rs"]
mod onnx;

mod operators {
    pub mod arithmetic;
    pub mod biases;
    pub mod channels_last;
    pub mod check;
    pub mod constants;
    pub mod ends;
    pub mod folding;
    pub mod forms;
    pub mod inputs;
    pub mod layouts;
    pub mod matrix;
    pub mod quantizers;
    pub mod real_ends;
    pub mod rearranged;
    pub mod reference;
    pub mod shapes;
    pub mod single;
    pub mod tensor;
    pub mod twins;
    pub mod windows;
}
