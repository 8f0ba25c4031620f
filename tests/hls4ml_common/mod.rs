//! Golden networks of hls4ml: a `model.fml` beside the vectors of hls4ml's C++ emulation.

#![allow(dead_code)]

pub mod archive;
pub mod mutation;

use std::path::{Path, PathBuf};

use radstream::data::{self, Source};
use radstream::network::{Network, TensorId};

/// The golden values of one network.
pub struct Golden {
    /// Folder that holds it.
    pub folder: PathBuf,
    /// Input mantissas, one row per sample.
    pub inputs: Vec<Vec<i64>>,
    /// Tensors and their mantissas, one row per sample; some traces cover only the first samples.
    pub traces: Vec<(String, TensorId, Vec<Vec<i64>>)>,
}

/// The folders below `parent` that hold a golden network, sorted.
pub fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("model.fml").is_file() && path.join("vectors.npz").is_file())
        .collect();
    found.sort();
    found
}

/// Integer rows of an array of the vectors.
pub fn rows(folder: &Path, key: &str) -> Vec<Vec<i64>> {
    let source = Source {
        file: folder.join("vectors.npz"),
        key: Some(key.to_owned()),
    };
    let array = data::read(&source).expect("a golden array");
    let width: usize = array.shape[1..].iter().product();
    let values = array.integers().expect("integers");
    values.chunks(width.max(1)).map(<[i64]>::to_vec).collect()
}

/// The names of the arrays of the vectors.
pub fn keys(folder: &Path) -> Vec<String> {
    let source = Source {
        file: folder.join("vectors.npz"),
        key: Some("no such array".to_owned()),
    };
    match data::read(&source) {
        Err(data::DataError::Key { available, .. }) => available,
        other => panic!("expected the list of arrays, got {other:?}"),
    }
}

/// Reads the golden values of a network; every trace must belong to a layer.
pub fn read(folder: &Path, network: &Network) -> Golden {
    let mut traces = Vec::new();
    for key in keys(folder) {
        let tensor = match key.strip_prefix("t_") {
            Some(layer) => {
                let id = network
                    .layer_named(layer)
                    .unwrap_or_else(|| panic!("{}: no layer `{layer}`", folder.display()));
                network.layer(id).output
            }
            None if key == "out_raw" => network.output,
            None => continue,
        };
        traces.push((key.clone(), tensor, rows(folder, &key)));
    }
    assert!(!traces.is_empty(), "{}: no traces", folder.display());
    Golden {
        folder: folder.to_owned(),
        inputs: rows(folder, "x_raw"),
        traces,
    }
}
