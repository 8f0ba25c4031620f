//! Running the program, and making files for it.

#![allow(dead_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use ndarray_npy::WritableElement;
use prost::Message;
use radstream::network::import::onnx::proto::{ModelProto, TensorProto};
use serde_json::Value;
use tempfile::TempDir;

/// The root of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A shipped model.
pub fn model(name: &str) -> PathBuf {
    root().join("models").join(name)
}

/// A folder to work in, with the files that a test makes.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str, text: &str) {
        self.bytes(name, text.as_bytes());
    }

    pub fn bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    /// The first half of a file.
    pub fn half(&self, name: &str, of: &Path) {
        let bytes = std::fs::read(of).expect("a file to cut");
        self.bytes(name, &bytes[..bytes.len() / 2]);
    }

    pub fn npy<T: WritableElement>(&self, name: &str, shape: &[usize], values: Vec<T>) {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("a shape that fits");
        ndarray_npy::write_npy(self.path(name), &array).expect("an array");
    }

    pub fn vector<T: WritableElement>(&self, name: &str, values: Vec<T>) {
        ndarray_npy::write_npy(self.path(name), &Array1::from_vec(values)).expect("an array");
    }

    pub fn rows(&self, name: &str, rows: usize, width: usize, value: f64) {
        ndarray_npy::write_npy(self.path(name), &Array2::from_elem((rows, width), value)).expect("an array");
    }

    /// The embedded network with a change.
    pub fn network(&self, name: &str, change: impl FnOnce(&mut ModelProto)) {
        let file = model("digits_medium_ae").join("encoder.qonnx.onnx");
        let bytes = std::fs::read(file).expect("the network");
        let mut network = ModelProto::decode(bytes.as_slice()).expect("an ONNX model");
        change(&mut network);
        self.bytes(name, &network.encode_to_vec());
    }

    /// Runs the program here.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_radstream"))
            .current_dir(self.folder.path())
            .args(arguments)
            .output()
            .expect("the program")
    }

    /// Runs the program, which must succeed, and gives its standard output.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs the program with `--json`: exactly one JSON document on standard output.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let text = self.done(&arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All files below the folder.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path);
                }
            }
        }
        found
    }
}

/// Replaces the single value of an initializer.
pub fn set_scalar(network: &mut ModelProto, name: &str, value: f32) {
    let constant: &mut TensorProto = network
        .graph
        .as_mut()
        .expect("a graph")
        .initializer
        .iter_mut()
        .find(|constant| constant.name == name)
        .expect("the initializer");
    constant.raw_data = value.to_le_bytes().to_vec();
}

/// A row of records by column name.
pub fn records(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader
        .headers()
        .expect("a header")
        .iter()
        .map(str::to_owned)
        .collect();
    let rows = reader
        .records()
        .map(|row| row.expect("a row").iter().map(str::to_owned).collect())
        .collect();
    (header, rows)
}
