//! The JSON form of `CombLogic.save` and `Pipeline.save`: named tuples as lists, types as intervals.

use std::path::Path;

use serde_json::Value;

use super::super::ImportError;
use super::super::limits::{MAX_JSON_BYTES, MAX_NODES, MAX_TABLE_ENTRIES};
use super::{AGAIN, Block, MAX_INSTRUCTIONS, Stated, format_of};

/// A type: sign, integer bits without it, fractional bits.
type Kif = (i64, i64, i64);

/// The blocks of a file: one of a `CombLogic`, as many as stages of a `Pipeline`.
pub(super) fn blocks(path: &Path, bytes: &[u8]) -> Result<Vec<Block>, ImportError> {
    if bytes.len() > MAX_JSON_BYTES {
        return Err(
            ImportError::structure(path, "the file", format!("has {} bytes", bytes.len()))
                .expected(format!("at most {MAX_JSON_BYTES} bytes of JSON"))
                .help("save the program as a binary, with CombLogic.save_binary"),
        );
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        ImportError::structure(path, "the file", format!("is no JSON: {error}"))
            .expected("what CombLogic.save or Pipeline.save of da4ml writes")
            .help("copy the file again, whole")
    })?;
    let stranger = || {
        ImportError::structure(path, "the file", "is JSON, but no program of da4ml".to_owned())
            .expected(
                "a list of 8 or 9 members (CombLogic.save), or a list of a list of such (Pipeline.save)",
            )
            .help("save the program with da4ml 0.6")
    };
    let members = value.as_array().ok_or_else(stranger)?;
    match members.as_slice() {
        [Value::Array(solutions)] if !solutions.is_empty() => {
            if solutions.len() > MAX_NODES {
                return Err(stranger());
            }
            let mut left = MAX_INSTRUCTIONS;
            solutions
                .iter()
                .enumerate()
                .map(|(stage, solution)| {
                    let members = solution.as_array().ok_or_else(stranger)?;
                    let reader = Reader {
                        path,
                        prefix: format!("stage {stage}, "),
                    };
                    reader.block(members, &mut left)
                })
                .collect()
        }
        members if matches!(members.len(), 8 | 9) => {
            let reader = Reader {
                path,
                prefix: String::new(),
            };
            Ok(vec![reader.block(members, &mut { MAX_INSTRUCTIONS })?])
        }
        _ => Err(stranger()),
    }
}

struct Reader<'a> {
    path: &'a Path,
    prefix: String,
}

impl Reader<'_> {
    fn trouble(&self, place: &str, problem: impl Into<String>, expected: &str) -> ImportError {
        ImportError::structure(self.path, format!("{}{place}", self.prefix), problem.into())
            .expected(expected)
            .help(AGAIN)
    }

    fn list<'v>(&self, place: &str, value: Option<&'v Value>) -> Result<&'v [Value], ImportError> {
        value
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .ok_or_else(|| self.trouble(place, "is no list", "a list"))
    }

    /// A whole number; da4ml writes some of them as floating-point numbers or truth values.
    fn whole(&self, place: &str, value: Option<&Value>) -> Result<i64, ImportError> {
        let found = match value {
            Some(Value::Bool(flag)) => Some(i64::from(*flag)),
            Some(Value::Number(number)) => number
                .as_i64()
                .or_else(|| number.as_u64().map(|number| number as i64))
                .or_else(|| {
                    let number = number.as_f64()?;
                    let whole = number.trunc() == number && number.abs() < 9e15;
                    whole.then_some(number as i64)
                }),
            _ => None,
        };
        found.ok_or_else(|| self.trouble(place, "is no whole number", "a whole number of 64 bits"))
    }

    fn wholes(&self, place: &str, value: Option<&Value>) -> Result<Vec<i64>, ImportError> {
        let list = self.list(place, value)?;
        list.iter().map(|value| self.whole(place, Some(value))).collect()
    }

    fn block(&self, members: &[Value], left: &mut usize) -> Result<Block, ImportError> {
        if !matches!(members.len(), 8 | 9) {
            return Err(self.trouble("the program", "is no CombLogic", "a list of 8 or 9 members"));
        }
        let shape = self.wholes("the shape", members.first())?;
        let counts: Vec<usize> = shape.iter().filter_map(|&count| count.try_into().ok()).collect();
        let &[inputs, outputs] = counts.as_slice() else {
            return Err(self.trouble("the shape", "is not two counts", "inputs and outputs"));
        };
        let input_shifts = self.wholes("the input shifts", members.get(1))?;
        let output_ids = self.wholes("the outputs", members.get(2))?;
        let output_shifts = self.wholes("the output shifts", members.get(3))?;
        let negated = self.wholes("the output signs", members.get(4))?;
        if input_shifts.len() != inputs {
            return Err(self.trouble("the input shifts", "are not one per input", "as many as inputs"));
        }
        let lengths = [output_ids.len(), output_shifts.len(), negated.len()];
        if lengths.iter().any(|&length| length != outputs) {
            return Err(self.trouble(
                "the outputs",
                "do not match the shape",
                "as many as the shape says",
            ));
        }
        let listed = self.list("the operations", members.get(5))?;
        *left = left.checked_sub(listed.len()).ok_or_else(|| {
            self.trouble(
                "the operations",
                "are too many",
                &format!("at most {MAX_INSTRUCTIONS} in all stages"),
            )
        })?;
        let mut instructions = Vec::with_capacity(listed.len());
        for (at, value) in listed.iter().enumerate() {
            instructions.push(self.instruction(at, value, &instructions)?);
        }
        let tables = match members.get(8) {
            None | Some(Value::Null) => Vec::new(),
            tables => self
                .list("the tables", tables)?
                .iter()
                .map(|table| self.wholes("a table", table.get("table")))
                .collect::<Result<_, _>>()?,
        };
        if tables.iter().any(|table| table.len() > MAX_TABLE_ENTRIES) {
            return Err(self.trouble(
                "a table",
                "is too long",
                &format!("at most {MAX_TABLE_ENTRIES} entries"),
            ));
        }
        Ok(Block {
            inputs,
            input_shifts,
            outputs: output_ids,
            output_shifts,
            negated: negated.into_iter().map(|flag| flag != 0).collect(),
            instructions,
            tables,
        })
    }

    /// `[id0, id1, opcode, data, [min, max, step], latency, cost]`.
    fn instruction(&self, at: usize, value: &Value, before: &[Stated]) -> Result<Stated, ImportError> {
        let place = format!("instruction {at}");
        let members = self.list(&place, Some(value))?;
        let whole = |member: usize| self.whole(&place, members.get(member));
        let (id0, id1, opcode, data) = (whole(0)?, whole(1)?, whole(2)?, whole(3)?);
        let interval = self.list(&place, members.get(4))?;
        let bound = |member: usize| interval.get(member).and_then(Value::as_f64);
        let (Some(min), Some(max), Some(step)) = (bound(0), bound(1), bound(2)) else {
            return Err(self.trouble(
                &place,
                "has no interval",
                "smallest value, largest value and step",
            ));
        };
        let (kif, range) = minimal(min, max, step).ok_or_else(|| {
            self.trouble(
                &place,
                format!("has the interval {min} to {max} in steps of {step}"),
                "a step that is a power of two, and at most 2^63 steps of it to each bound",
            )
        })?;
        let full = format!("{}{place}", self.prefix);
        let format = format_of(self.path, &full, kif)?;
        let operand = usize::try_from(id0).ok().and_then(|id| before.get(id));
        let first = match (opcode, operand.and_then(|operand| operand.range)) {
            (8, Some((low, _))) => low as i64,
            _ => 0,
        };
        Ok(Stated {
            opcode,
            id0,
            id1,
            data,
            format,
            range: Some(range),
            first,
        })
    }
}

/// The narrowest type that holds an interval, as (signed, integer, fractional) bits, and the mantissas of its
/// ends (`minimal_kif` of da4ml's `types.py`).
fn minimal(min: f64, max: f64, step: f64) -> Option<(Kif, (i128, i128))> {
    if min == 0.0 && max == 0.0 {
        return Some(((0, 0, 0), (0, 0)));
    }
    let exponent = libm::ilogb(step);
    let power = step > 0.0 && step.is_finite() && libm::scalbn(1.0, exponent) == step;
    let steps = |bound: f64| {
        let steps = libm::scalbn(bound, exponent.checked_neg()?);
        let whole = steps.trunc() == steps && steps.abs() <= libm::scalbn(1.0, 63);
        whole.then_some(steps as i128)
    };
    if !power || min > max {
        return None;
    }
    let (low, high) = (steps(min)?, steps(max)?);
    let most = low.abs().max(high + 1);
    let bits = i64::from(128 - (most - 1).leading_zeros());
    let frac = -i64::from(exponent);
    Some(((i64::from(min < 0.0), bits - frac, frac), (low, high)))
}
