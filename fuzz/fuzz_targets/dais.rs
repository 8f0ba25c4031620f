//! Any bytes as a program of da4ml: its JSON where they begin with a bracket, its binary otherwise.

#![no_main]

mod work;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::network::import::dais;

fuzz_target!(|bytes: &[u8]| {
    let result = match bytes.first() {
        Some(b'[') => dais::parse_json(Path::new("fuzz.json"), bytes),
        _ => dais::parse(Path::new("fuzz.dais"), bytes),
    };
    match result {
        Ok(network) => work::evaluate_extremes(&network),
        Err(error) => assert!(!error.expected.is_empty() && !error.repair.is_empty(), "{error:?}"),
    }
});
