//! The model that is built in, so that the program does its main job without any file.

/// Name of the embedded model.
pub const EMBEDDED_NAME: &str = "digits_medium_ae";

/// Files of the embedded model by name.
pub(super) const FILES: [(&str, &[u8]); 4] = [
    (
        "model.ron",
        include_bytes!("../../models/digits_medium_ae/model.ron"),
    ),
    (
        "encoder.qonnx.onnx",
        include_bytes!("../../models/digits_medium_ae/encoder.qonnx.onnx"),
    ),
    (
        "readout.onnx",
        include_bytes!("../../models/digits_medium_ae/readout.onnx"),
    ),
    (
        "data.npz",
        include_bytes!("../../models/digits_medium_ae/data.npz"),
    ),
];
