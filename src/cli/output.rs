//! What the commands print.

use std::io::{self, Write};

use serde::Serialize;

use super::Failure;

/// Prints the JSON document of a command.
pub fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::work(error.to_string()))?;
    line(&text)
}

/// Prints text on standard output. A reader that has gone away is no failure.
pub fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::work(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
