//! Any bytes as an array: the first byte says whether the rest is an `.npy` or an `.npz`.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::data::{Source, read_bytes};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let (file, key) = match kind % 3 {
        0 => ("fuzz.npy", None),
        1 => ("fuzz.npz", Some("x".to_owned())),
        _ => ("fuzz.npz", None),
    };
    let source = Source {
        file: Path::new(file).to_owned(),
        key,
    };
    if let Ok(array) = read_bytes(&source, rest.to_vec()) {
        let _ = array.reals();
        let _ = array.integers();
    }
});
