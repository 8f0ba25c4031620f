//! The `radstream` program.

use std::process::ExitCode;

use clap::Parser;
use radstream::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
