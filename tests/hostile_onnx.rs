//! Network and readout files that are damaged, absurd or malicious: each gets a diagnostic, none a
//! panic, an endless loop or much memory.

#[path = "common/onnx.rs"]
mod onnx;

mod hostile {
    pub mod cases;
    pub mod judge;
    pub mod mutations;
    pub mod readouts;
}
