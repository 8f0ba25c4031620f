//! The binary form: 32-bit little-endian integers (da4ml 0.6, `CombLogic.to_binary`).

use std::path::Path;

use super::super::ImportError;
use super::super::limits::MAX_TABLE_ENTRIES;
use super::{AGAIN, Block, MAX_INSTRUCTIONS, Stated, format_of};

/// The version of the format.
const VERSION: i32 = 1;

/// Numbers in front of the lists: version, the writer's own number, inputs, outputs, instructions, tables.
const HEADER: usize = 6;

/// Numbers of one instruction.
const INSTRUCTION: usize = 8;

/// Reads the whole file.
pub(super) fn block(path: &Path, bytes: &[u8]) -> Result<Block, ImportError> {
    let damaged = |problem: String, expected: String| {
        ImportError::structure(path, "the file", problem)
            .expected(expected)
            .help("write it again with CombLogic.save_binary of da4ml 0.6, and copy it whole")
    };
    if !bytes.len().is_multiple_of(4) || bytes.len() < 4 * HEADER {
        return Err(damaged(
            format!("is no DAIS program: it has {} bytes", bytes.len()),
            format!("32-bit integers, {HEADER} of them in front"),
        ));
    }
    let mut words = Words {
        words: bytes
            .chunks_exact(4)
            .map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect(),
        at: HEADER,
    };
    if words.words[0] != VERSION {
        return Err(ImportError::unsupported(
            path,
            "the file",
            format!("states version {} of DAIS", words.words[0]),
        )
        .expected(format!("version {VERSION}"))
        .help("write it again with CombLogic.save_binary of da4ml 0.6"));
    }
    let count = |at: usize, what: &str| {
        usize::try_from(words.words[at]).map_err(|_| {
            damaged(
                format!("states {} {what}", words.words[at]),
                "a number from 0 on".to_owned(),
            )
        })
    };
    let inputs = count(2, "inputs")?;
    let outputs = count(3, "outputs")?;
    let instructions = count(4, "instructions")?;
    let tables = count(5, "tables")?;
    // Four numbers of at most 31 bits, times 8 at most.
    let fixed = HEADER + inputs + 3 * outputs + INSTRUCTION * instructions + tables;
    let present = words.words.len();
    let mismatch = |expected: usize| {
        damaged(
            format!("has {present} integers"),
            format!(
                "{expected} for its {inputs} inputs, {outputs} outputs, {instructions} instructions and {tables} tables"
            ),
        )
    };
    if fixed > present {
        return Err(mismatch(fixed));
    }
    if instructions > MAX_INSTRUCTIONS {
        return Err(damaged(
            format!("has {instructions} instructions"),
            format!("at most {MAX_INSTRUCTIONS}"),
        ));
    }
    let input_shifts = words.take(inputs);
    let output_ids = words.take(outputs);
    let output_shifts = words.take(outputs);
    let negated = words.take(outputs).into_iter().map(|flag| flag != 0).collect();
    let mut stated = Vec::with_capacity(instructions);
    for at in 0..instructions {
        stated.push(instruction(path, at, words.next(), &stated)?);
    }
    let sizes = words.take(tables);
    let mut entries = 0usize;
    for (table, &size) in sizes.iter().enumerate() {
        let size = usize::try_from(size)
            .ok()
            .filter(|&size| size <= MAX_TABLE_ENTRIES)
            .ok_or_else(|| {
                damaged(
                    format!("states {size} entries of table {table}"),
                    format!("0 to {MAX_TABLE_ENTRIES}"),
                )
            })?;
        entries += size;
    }
    if fixed + entries != present {
        return Err(mismatch(fixed + entries));
    }
    let tables = sizes.iter().map(|&size| words.take(size as usize)).collect();
    Ok(Block {
        inputs,
        input_shifts,
        outputs: output_ids,
        output_shifts,
        negated,
        instructions: stated,
        tables,
    })
}

struct Words {
    words: Vec<i32>,
    at: usize,
}

impl Words {
    /// The next numbers, which are there.
    fn next<const N: usize>(&mut self) -> [i64; N] {
        let from = self.at;
        self.at += N;
        std::array::from_fn(|at| i64::from(self.words[from + at]))
    }

    /// The same for a number of the file.
    fn take(&mut self, count: usize) -> Vec<i64> {
        let from = self.at;
        self.at += count;
        self.words[from..self.at]
            .iter()
            .map(|&word| i64::from(word))
            .collect()
    }
}

fn instruction(
    path: &Path,
    at: usize,
    words: [i64; INSTRUCTION],
    before: &[Stated],
) -> Result<Stated, ImportError> {
    let [opcode, id0, id1, low, high, signed, integer, frac] = words;
    let place = format!("instruction {at}");
    let format = format_of(path, &place, (signed, integer, frac))?;
    let mut data = high << 32 | (low & 0xffff_ffff);
    let mut first = 0;
    if opcode == 8 {
        // The entries in front of the table are those of the operand's smallest mantissas.
        let operand = usize::try_from(id0).ok().and_then(|id| before.get(id));
        let operand = operand.ok_or_else(|| {
            ImportError::structure(path, place.as_str(), format!("reads the value {id0}"))
                .expected("a value of an earlier instruction")
                .help(AGAIN)
        })?;
        let lowest = operand.format.map_or(0, |format| format.min_mantissa() as i64);
        first = lowest + high;
        data = low;
    }
    Ok(Stated {
        opcode,
        id0,
        id1,
        data,
        format,
        range: None,
        first,
    })
}
