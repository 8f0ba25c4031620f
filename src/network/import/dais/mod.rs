//! da4ml's programs: DAIS, the distributed arithmetic instruction set, version 1, as da4ml 0.6 writes it.
//!
//! Two forms are read: the binary of `CombLogic.save_binary` (`.dais`), and the JSON of `CombLogic.save` and
//! `Pipeline.save` (`.json`). A binary holds one block of combinational logic; a pipeline holds one block per
//! stage, with a row of registers in front of each. The weights are the logic: nothing of them is stored.
//!
//! What an instruction computes is that of da4ml's `docs/dais.md`; where its tools differ, that of the hardware
//! that it writes (`codegen/rtl/verilog`).

mod binary;
mod build;
mod check;
mod json;

use std::path::Path;

use super::ImportError;
use super::limits::read_file;
use crate::fixed_point::Format;
use crate::network::Network;

/// Most instructions of one file.
const MAX_INSTRUCTIONS: usize = 1 << 21;

/// Widest value, in bits: products of two and their sums stay within the engines' 128 bits.
const MAX_WIDTH: i64 = 63;

/// Most bits by which operands are shifted against each other.
const MAX_ALIGNMENT: i64 = 62;

/// Farthest binary point and largest shift, in bits.
const MAX_POINT: i64 = 1024;

/// Reads a `.dais` file.
///
/// # Errors
/// [`ImportError`] where the file is damaged, of another version, or holds a program that breaks the rules of
/// the format or leaves the engines' bounds.
pub fn read(path: &Path) -> Result<Network, ImportError> {
    parse(path, &read_file(path)?)
}

/// [`read`] for a file that is already in memory; `path` only names it.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Network, ImportError> {
    build::network(path, vec![binary::block(path, bytes)?])
}

/// Reads the JSON of a `CombLogic` or a `Pipeline`.
///
/// # Errors
/// As [`read`].
pub fn read_json(path: &Path) -> Result<Network, ImportError> {
    parse_json(path, &read_file(path)?)
}

/// [`read_json`] for a file that is already in memory; `path` only names it.
///
/// # Errors
/// As [`read`].
pub fn parse_json(path: &Path, bytes: &[u8]) -> Result<Network, ImportError> {
    build::network(path, json::blocks(path, bytes)?)
}

/// One combinational block as a file states it.
struct Block {
    inputs: usize,
    input_shifts: Vec<i64>,
    /// Instruction of every output; -1 for an output that is always 0.
    outputs: Vec<i64>,
    output_shifts: Vec<i64>,
    negated: Vec<bool>,
    instructions: Vec<Stated>,
    tables: Vec<Vec<i64>>,
}

/// One instruction as a file states it.
struct Stated {
    opcode: i64,
    id0: i64,
    id1: i64,
    data: i64,
    /// Type of the value; none where it has no bits.
    format: Option<Format>,
    /// Smallest and largest mantissa, where the file states them.
    range: Option<(i128, i128)>,
    /// Mantissa of the operand that selects entry 0 of a look-up table.
    first: i64,
}

/// A type as `(signed, integer bits without the sign, fractional bits)`; none where it has no bits.
fn format_of(
    path: &Path,
    place: &str,
    (signed, integer, frac): (i64, i64, i64),
) -> Result<Option<Format>, ImportError> {
    let trouble = |problem: String| {
        ImportError::unsupported(path, place, problem)
            .expected(format!(
                "0 to {MAX_WIDTH} bits, the binary point within {MAX_POINT} of them"
            ))
            .help("trace the model with narrower types")
    };
    if !(0..=1).contains(&signed) {
        return Err(
            ImportError::structure(path, place, format!("has a type whose sign is {signed}"))
                .expected("0 or 1")
                .help(AGAIN),
        );
    }
    let far = |bits: i64| !(-MAX_POINT + 64..=MAX_POINT - 64).contains(&bits);
    if far(integer) || far(frac) {
        return Err(trouble(format!(
            "has a type of {integer} integer and {frac} fractional bits"
        )));
    }
    let width = signed + integer + frac;
    if width == 0 {
        return Ok(None);
    }
    if !(1..=MAX_WIDTH).contains(&width) {
        return Err(trouble(format!("has a type of {width} bits")));
    }
    Format::new(width as u32, (signed + integer) as i32, signed == 1)
        .map(Some)
        .map_err(|error| trouble(format!("has no type: {error}")))
}

/// What to do about a file that contradicts itself.
const AGAIN: &str = "write the file again with da4ml";
