//! What can be said of a program without running it: grids that fit, shifts within bounds, ranges of values.

use std::path::Path;

use super::super::ImportError;
use super::{AGAIN, MAX_ALIGNMENT};
use crate::fixed_point::Format;
use crate::network::{BitFunction, Instruction, Operation, Program};

/// Ranges of the values so far, and what was found on the way.
#[derive(Default)]
pub(super) struct Checker {
    /// Smallest and largest mantissa of every value.
    ranges: Vec<(i128, i128)>,
    /// Smallest and largest entry of every table, 0 where there is none.
    tables: Vec<(i128, i128)>,
    /// Instructions without a quantization whose result the ranges do not keep within its type.
    overflows: usize,
    /// Look-ups whose operand the ranges do not keep within the table.
    lookups: usize,
    /// Choices by the most significant bit of an unsigned value of several bits.
    choices: usize,
}

/// An exact result: range of mantissas and fractional bits.
struct Exact {
    low: i128,
    high: i128,
    frac: i64,
    /// Whether the instruction truncates and wraps by its nature.
    quantizes: bool,
}

impl Checker {
    /// The range of a value.
    pub(super) fn range(&self, id: u32) -> (i128, i128) {
        self.ranges[id as usize]
    }

    /// Checks the program's last instruction.
    pub(super) fn check(&mut self, path: &Path, place: &str, program: &Program) -> Result<(), ImportError> {
        let Some(instruction) = program.instructions.last() else {
            return Ok(());
        };
        let exact = self.exact(program, instruction).map_err(|problem| {
            ImportError::unsupported(path, place, problem)
                .expected(format!(
                    "operands and a result on grids that lie at most {MAX_ALIGNMENT} bits apart"
                ))
                .help(AGAIN)
        })?;
        let Some(format) = &instruction.format else {
            if !exact.quantizes && (exact.low, exact.high) != (0, 0) {
                self.overflows += 1;
            }
            self.ranges.push((0, 0));
            return Ok(());
        };
        let drop = exact.frac - i64::from(format.frac());
        let zero = (exact.low, exact.high) == (0, 0);
        if drop > 0 && !exact.quantizes && !zero {
            return Err(ImportError::structure(
                path,
                place,
                format!(
                    "has a type of {} fractional bits, and a result of {}",
                    format.frac(),
                    exact.frac
                ),
            )
            .expected("a type that keeps all bits below the point, or a quantization")
            .help(AGAIN));
        }
        if drop < -MAX_ALIGNMENT && !zero {
            return Err(ImportError::unsupported(
                path,
                place,
                format!("has a type that is {} bits finer than its result", -drop),
            )
            .expected(format!("at most {MAX_ALIGNMENT}"))
            .help(AGAIN));
        }
        let onto = |bound: i128| match drop {
            drop if drop >= 0 => bound >> drop.min(127),
            _ if bound == 0 => 0,
            drop => bound.saturating_mul(1 << -drop),
        };
        let (low, high) = (onto(exact.low), onto(exact.high));
        if format.min_mantissa() <= low && high <= format.max_mantissa() {
            self.ranges.push((low, high));
        } else {
            self.overflows += usize::from(!exact.quantizes);
            self.ranges.push((format.min_mantissa(), format.max_mantissa()));
        }
        Ok(())
    }

    /// Smallest and largest entry of a table; every table is read once.
    fn entries(&mut self, program: &Program, table: usize) -> (i128, i128) {
        for entries in &program.tables[self.tables.len()..] {
            let low = entries.iter().min().map_or(0, |&low| i128::from(low));
            let high = entries.iter().max().map_or(0, |&high| i128::from(high));
            self.tables.push((low, high));
        }
        self.tables[table]
    }

    /// A value `(-1)^negated * id * 2^shift`.
    fn operand(&self, program: &Program, id: u32, shift: i32, negated: bool) -> Exact {
        let (low, high) = self.range(id);
        let (low, high) = if negated { (-high, -low) } else { (low, high) };
        let frac = program.instructions[id as usize].frac();
        Exact {
            low,
            high,
            frac: i64::from(frac) - i64::from(shift),
            quantizes: true,
        }
    }

    fn exact(&mut self, program: &Program, instruction: &Instruction) -> Result<Exact, String> {
        let own = i64::from(instruction.frac());
        let has_bits = |id: u32| program.instructions[id as usize].format.is_some();
        let kept = |low: i128, high: i128, frac: i64| Exact {
            low,
            high,
            frac,
            quantizes: false,
        };
        Ok(match instruction.operation {
            Operation::Input { .. } => {
                let format = instruction.format.as_ref();
                let (low, high) =
                    format.map_or((0, 0), |format| (format.min_mantissa(), format.max_mantissa()));
                Exact {
                    low,
                    high,
                    frac: own,
                    quantizes: true,
                }
            }
            Operation::Hold {
                source,
                shift,
                negated,
            } => self.operand(program, source, shift, negated),
            Operation::Quantize { a, negated } => self.operand(program, a, 0, negated),
            Operation::Relu { a, negated } => {
                let a = self.operand(program, a, 0, negated);
                Exact {
                    low: a.low.max(0),
                    high: a.high.max(0),
                    ..a
                }
            }
            Operation::Sum {
                a,
                b,
                shift,
                subtract,
            } => {
                let [a, b, common] = self.aligned(program, (a, false), (b, subtract), shift)?;
                kept(a.low + b.low, a.high + b.high, common.frac)
            }
            Operation::AddConstant { a, constant } => {
                let operand = self.operand(program, a, 0, false);
                let operand = if has_bits(a) {
                    raised(&operand, own)?
                } else {
                    operand
                };
                let constant = i128::from(constant);
                kept(operand.low + constant, operand.high + constant, own)
            }
            Operation::Constant { mantissa } => kept(i128::from(mantissa), i128::from(mantissa), own),
            Operation::Select {
                condition,
                set,
                clear,
                shift,
                negated,
            } => {
                let wide = |format: &Format| !format.signed() && format.width() > 1;
                let by = &program.instructions[condition as usize].format;
                self.choices += usize::from(by.as_ref().is_some_and(wide));
                let set = self.operand(program, set, 0, false);
                let clear = self.operand(program, clear, shift, negated);
                let either = [set, clear];
                let mut range = (i128::MAX, i128::MIN);
                for value in &either {
                    let zero = (value.low, value.high) == (0, 0);
                    let value = if zero {
                        kept(0, 0, own)
                    } else {
                        raised(value, own)?
                    };
                    range = (range.0.min(value.low), range.1.max(value.high));
                }
                Exact {
                    low: range.0,
                    high: range.1,
                    frac: own,
                    quantizes: true,
                }
            }
            Operation::Product { a, b } => {
                let square = a == b;
                let [a, b] = [a, b].map(|id| self.operand(program, id, 0, false));
                let ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
                let low = ends.iter().copied().min().unwrap_or(0);
                let high = ends.iter().copied().max().unwrap_or(0);
                let low = if square { low.max(0) } else { low };
                kept(low, high, a.frac + b.frac)
            }
            Operation::Lookup { a, table, first } => {
                let entries = self.entries(program, table as usize);
                let table = &program.tables[table as usize];
                let (low, high) = self.range(a);
                let last = i128::from(first) + table.len() as i128;
                let outside = low < i128::from(first) || high >= last;
                self.lookups += usize::from(outside);
                let (low, high) = entries;
                match outside {
                    true => kept(low.min(0), high.max(0), own),
                    false => kept(low, high, own),
                }
            }
            Operation::Not { a, negated } => {
                let operand = self.operand(program, a, 0, negated);
                if has_bits(a) && operand.frac != own {
                    return Err(format!(
                        "inverts a value of {} fractional bits into one of {own}",
                        operand.frac
                    ));
                }
                match &instruction.format {
                    Some(format) if format.signed() => kept(!operand.high, !operand.low, own),
                    _ => {
                        let width = program.instructions[a as usize]
                            .format
                            .map_or(0, |format| format.width());
                        kept(0, (1 << width) - 1, own)
                    }
                }
            }
            Operation::Any { .. } | Operation::All { .. } => kept(0, 1, 0),
            Operation::Bits {
                function,
                a,
                b,
                shift,
                negated,
            } => {
                let [a, b, common] = self.aligned(program, (a, negated[0]), (b, negated[1]), shift)?;
                let (low, high) = bits_range(function, &a, &b);
                kept(low, high, common.frac)
            }
        })
    }

    /// Two operands on their common grid, and that grid.
    fn aligned(
        &self,
        program: &Program,
        (a, negate_a): (u32, bool),
        (b, negate_b): (u32, bool),
        shift: i32,
    ) -> Result<[Exact; 3], String> {
        let common = i64::from(program.common_frac(a, b, shift));
        let has_bits = |id: u32| program.instructions[id as usize].format.is_some();
        let onto = |id: u32, shift: i32, negated: bool| {
            let operand = self.operand(program, id, shift, negated);
            match has_bits(id) {
                true => raised(&operand, common),
                false => Ok(operand),
            }
        };
        let grid = Exact {
            low: 0,
            high: 0,
            frac: common,
            quantizes: false,
        };
        Ok([onto(a, 0, negate_a)?, onto(b, shift, negate_b)?, grid])
    }

    /// What the program leaves to the tools that build it.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.overflows > 0 {
            findings.push(format!(
                "{} instructions can leave their types as far as the types of the inputs say; they wrap then, \
                 as da4ml's hardware does, where its interpreter does not",
                self.overflows
            ));
        }
        if self.lookups > 0 {
            findings.push(format!(
                "{} look-ups can leave their tables as far as the types of the inputs say; they read 0 then, \
                 where da4ml's interpreter stops and its hardware is not defined",
                self.lookups
            ));
        }
        if self.choices > 0 {
            findings.push(format!(
                "{} choices go by the most significant bit of an unsigned value, as da4ml's hardware and its \
                 `CombLogic` do; `predict` of da4ml 0.6 compares with a quarter of the range instead",
                self.choices
            ));
        }
        findings
    }
}

/// An operand on another grid that is as fine or finer.
fn raised(operand: &Exact, frac: i64) -> Result<Exact, String> {
    let by = frac - operand.frac;
    if !(0..=MAX_ALIGNMENT).contains(&by) {
        return Err(format!(
            "aligns a value of {} fractional bits to {frac}",
            operand.frac
        ));
    }
    Ok(Exact {
        low: operand.low << by,
        high: operand.high << by,
        frac,
        quantizes: operand.quantizes,
    })
}

/// Bounds of a function of bits: the bits of the wider operand.
fn bits_range(function: BitFunction, a: &Exact, b: &Exact) -> (i128, i128) {
    let bits = |value: i128| 128 - (if value < 0 { !value } else { value }).leading_zeros();
    let ends = [a.low, a.high, b.low, b.high];
    let top = (1i128 << ends.iter().map(|&end| bits(end)).max().unwrap_or(0)) - 1;
    let negative = match function {
        BitFunction::And => a.low < 0 && b.low < 0,
        BitFunction::Or | BitFunction::Xor => a.low < 0 || b.low < 0,
    };
    (if negative { !top } else { 0 }, top)
}
