//! Any bytes as the tar inside a `.fml` file.

#![no_main]

mod work;

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use radstream::network::import::fml;

fuzz_target!(|tar: &[u8]| {
    // The checksum of the compressed form would stop the fuzzer at the door.
    let mut file = GzEncoder::new(Vec::new(), Compression::none());
    if file.write_all(tar).is_err() {
        return;
    }
    let Ok(file) = file.finish() else { return };
    match fml::parse(Path::new("fuzz.fml"), &file) {
        Ok(network) => work::evaluate_extremes(&network),
        Err(error) => assert!(!error.expected.is_empty() && !error.repair.is_empty(), "{error:?}"),
    }
});
