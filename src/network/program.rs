//! Straight-line programs on integers: combinational logic between rows of registers.
//!
//! A program is a list of instructions, each of which writes one value of a fixed-point type of its own and
//! reads earlier values (static single assignment). What an instruction computes is exact; its value is that
//! result truncated and wrapped to its type, which keeps the bits that the hardware's wires have.
//! The instructions are those of DAIS, the distributed arithmetic instruction set of da4ml (`docs/dais.md` of
//! its repository).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::fixed_point::{Cast, Format};

/// A program from one tensor to another.
///
/// The instructions are cut into blocks, one per stage of a pipeline. The [`Operation::Input`] and
/// [`Operation::Hold`] of a block are the row of registers in front of it; [`Program::outputs`] are the last row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The instructions in order; each reads earlier ones of its own block, [`Operation::Hold`] of the block before.
    pub instructions: Vec<Instruction>,
    /// First instruction of every block; the first of them is 0.
    pub blocks: Vec<u32>,
    /// Look-up tables, mantissas of the instructions that read them.
    pub tables: Vec<Vec<i64>>,
    /// One per element of the output tensor, in order.
    pub outputs: Vec<ProgramOutput>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// What is computed, exactly.
    pub operation: Operation,
    /// Type of the value, truncating and wrapping; none where it has no bits and is 0.
    pub format: Option<Format>,
}

impl Instruction {
    /// Fractional bits of the value's mantissa.
    #[must_use]
    pub fn frac(&self) -> i32 {
        frac(self.format.as_ref())
    }

    /// Whether the value lies in a register in front of its block.
    #[must_use]
    pub fn is_register(&self) -> bool {
        matches!(self.operation, Operation::Input { .. } | Operation::Hold { .. })
    }
}

/// An element of the output tensor: `(-1)^negated * value * 2^shift`, in a register of its own type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramOutput {
    /// The value.
    pub source: u32,
    /// Power of two on the value.
    pub shift: i32,
    /// Whether the sign changes.
    pub negated: bool,
    /// Type of the register; none where the output is always 0.
    pub format: Option<Format>,
}

/// What an instruction computes. `a`, `b` and the like are earlier instructions and stand for their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// An element of the input tensor times `2^shift`.
    Input {
        /// The element.
        element: u32,
        /// The power of two.
        shift: i32,
    },
    /// A value of the block before, `(-1)^negated * source * 2^shift`.
    Hold {
        /// The value.
        source: u32,
        /// The power of two.
        shift: i32,
        /// Whether the sign changes.
        negated: bool,
    },
    /// `a + b * 2^shift`, or `a - b * 2^shift`.
    Sum {
        /// First summand.
        a: u32,
        /// Second summand.
        b: u32,
        /// Power of two on the second.
        shift: i32,
        /// Whether the second is subtracted.
        subtract: bool,
    },
    /// `max(0, a)`, or `max(0, -a)`.
    Relu {
        /// The operand.
        a: u32,
        /// Whether its sign changes first.
        negated: bool,
    },
    /// `a`, or `-a`, to be truncated and wrapped.
    Quantize {
        /// The operand.
        a: u32,
        /// Whether its sign changes first.
        negated: bool,
    },
    /// `a + constant`, the constant in mantissas of the result.
    AddConstant {
        /// The operand.
        a: u32,
        /// The constant.
        constant: i64,
    },
    /// A constant in mantissas of the result.
    Constant {
        /// The mantissa.
        mantissa: i64,
    },
    /// `set` where the most significant bit of the condition is 1, `(-1)^negated * clear * 2^shift` otherwise.
    Select {
        /// The condition.
        condition: u32,
        /// Value where the bit is 1.
        set: u32,
        /// Value where it is 0.
        clear: u32,
        /// Power of two on `clear`.
        shift: i32,
        /// Whether the sign of `clear` changes.
        negated: bool,
    },
    /// `a * b`.
    Product {
        /// First factor.
        a: u32,
        /// Second factor.
        b: u32,
    },
    /// Entry `a - first` of a table, by mantissas; 0 beside the table.
    Lookup {
        /// The operand.
        a: u32,
        /// Position in [`Program::tables`].
        table: u32,
        /// Mantissa of the operand that selects entry 0.
        first: i64,
    },
    /// All bits of `a`, or of `-a`, inverted.
    Not {
        /// The operand.
        a: u32,
        /// Whether its sign changes first.
        negated: bool,
    },
    /// 1 where any bit of `a` is 1, else 0.
    Any {
        /// The operand.
        a: u32,
    },
    /// 1 where all bits of `a`, or of `-a` in as many bits, are 1, else 0.
    All {
        /// The operand.
        a: u32,
        /// Whether its sign changes first.
        negated: bool,
    },
    /// Bits of `(-1)^negated[0] * a` and of `(-1)^negated[1] * b * 2^shift` in two's complement, with the binary
    /// points aligned.
    Bits {
        /// The function.
        function: BitFunction,
        /// First operand.
        a: u32,
        /// Second operand.
        b: u32,
        /// Power of two on the second.
        shift: i32,
        /// Whose sign changes first.
        negated: [bool; 2],
    },
}

/// A function of two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BitFunction {
    /// Both.
    And,
    /// At least one.
    Or,
    /// Exactly one.
    Xor,
}

impl Operation {
    /// The instructions that are read.
    #[must_use]
    pub fn operands(&self) -> [Option<u32>; 3] {
        match *self {
            Self::Input { .. } | Self::Constant { .. } => [None; 3],
            Self::Hold { source, .. } => [Some(source), None, None],
            Self::Relu { a, .. }
            | Self::Quantize { a, .. }
            | Self::AddConstant { a, .. }
            | Self::Lookup { a, .. }
            | Self::Not { a, .. }
            | Self::Any { a }
            | Self::All { a, .. } => [Some(a), None, None],
            Self::Sum { a, b, .. } | Self::Product { a, b } | Self::Bits { a, b, .. } => {
                [Some(a), Some(b), None]
            }
            Self::Select {
                condition,
                set,
                clear,
                ..
            } => [Some(condition), Some(set), Some(clear)],
        }
    }
}

/// The elements of a program's input tensor.
#[derive(Clone, Copy, Debug)]
pub struct ProgramInput<'a> {
    /// Their mantissas.
    pub mantissas: &'a [i64],
    /// Their fractional bits.
    pub frac: i32,
}

fn frac(format: Option<&Format>) -> i32 {
    format.map_or(0, Format::frac)
}

/// The value of a type that an exact value is truncated and wrapped to.
fn cast(mantissa: i128, from_frac: i32, format: Option<&Format>) -> i64 {
    format.map_or(0, |format| Cast::new(from_frac, format).apply(mantissa) as i64)
}

/// `value` on a grid that is as fine or finer; 0 is on every grid.
fn raised(value: i128, from_frac: i32, frac: i32) -> i128 {
    match value {
        0 => 0,
        value => value << (frac - from_frac),
    }
}

fn signed(value: i128, negated: bool) -> i128 {
    if negated { -value } else { value }
}

impl Program {
    /// The instructions of a block.
    ///
    /// # Panics
    /// Where there is no such block.
    #[must_use]
    pub fn block(&self, block: usize) -> Range<usize> {
        let end = self.blocks.get(block + 1).map(|&first| first as usize);
        self.blocks[block] as usize..end.unwrap_or(self.instructions.len())
    }

    fn instruction(&self, id: u32) -> &Instruction {
        &self.instructions[id as usize]
    }

    /// The finest grid of two operands that have bits, the second times `2^shift`: its fractional bits.
    #[must_use]
    pub fn common_frac(&self, a: u32, b: u32, shift: i32) -> i32 {
        let [a, b] = [a, b].map(|id| self.instruction(id));
        let of_b = b.frac() - shift;
        match (&a.format, &b.format) {
            (None, None) => 0,
            (Some(_), None) => a.frac(),
            (None, Some(_)) => of_b,
            (Some(_), Some(_)) => a.frac().max(of_b),
        }
    }

    /// The value of an instruction, a mantissa of its type.
    ///
    /// # Panics
    /// Where `values` do not hold the values of the earlier instructions that it reads.
    #[must_use]
    pub fn value(&self, at: usize, input: ProgramInput<'_>, values: &[i64]) -> i64 {
        let instruction = &self.instructions[at];
        let (exact, frac) = self.exact(instruction, input, values);
        cast(exact, frac, instruction.format.as_ref())
    }

    /// What an instruction computes: mantissa and fractional bits.
    fn exact(&self, instruction: &Instruction, input: ProgramInput<'_>, values: &[i64]) -> (i128, i32) {
        let value = |id: u32| i128::from(values[id as usize]);
        let frac = |id: u32| self.instruction(id).frac();
        let own = instruction.frac();
        match instruction.operation {
            Operation::Input { element, shift } => {
                (i128::from(input.mantissas[element as usize]), input.frac - shift)
            }
            Operation::Hold {
                source,
                shift,
                negated,
            } => (signed(value(source), negated), frac(source) - shift),
            Operation::Sum {
                a,
                b,
                shift,
                subtract,
            } => {
                let common = self.common_frac(a, b, shift);
                let b = signed(raised(value(b), frac(b) - shift, common), subtract);
                (raised(value(a), frac(a), common) + b, common)
            }
            Operation::Relu { a, negated } => (signed(value(a), negated).max(0), frac(a)),
            Operation::Quantize { a, negated } => (signed(value(a), negated), frac(a)),
            Operation::AddConstant { a, constant } => {
                (raised(value(a), frac(a), own) + i128::from(constant), own)
            }
            Operation::Constant { mantissa } => (i128::from(mantissa), own),
            Operation::Select {
                condition,
                set,
                clear,
                shift,
                negated,
            } => {
                if self.top_bit(condition, values) {
                    (value(set), frac(set))
                } else {
                    (signed(value(clear), negated), frac(clear) - shift)
                }
            }
            Operation::Product { a, b } => (value(a) * value(b), frac(a) + frac(b)),
            Operation::Lookup { a, table, first } => {
                let entry = usize::try_from(value(a) - i128::from(first)).ok();
                let entry = entry.and_then(|entry| self.tables[table as usize].get(entry));
                (entry.map_or(0, |&entry| i128::from(entry)), own)
            }
            Operation::Not { a, negated } => {
                let inverted = !signed(value(a), negated);
                match instruction.format {
                    Some(format) if format.signed() => (inverted, own),
                    _ => (inverted & self.mask(a), own),
                }
            }
            Operation::Any { a } => (i128::from(value(a) != 0), 0),
            Operation::All { a, negated } => {
                let mask = self.mask(a);
                (i128::from(signed(value(a), negated) & mask == mask), 0)
            }
            Operation::Bits {
                function,
                a,
                b,
                shift,
                negated,
            } => {
                let common = self.common_frac(a, b, shift);
                let b = signed(raised(value(b), frac(b) - shift, common), negated[1]);
                let a = signed(raised(value(a), frac(a), common), negated[0]);
                let bits = match function {
                    BitFunction::And => a & b,
                    BitFunction::Or => a | b,
                    BitFunction::Xor => a ^ b,
                };
                (bits, common)
            }
        }
    }

    /// As many ones as a value has bits.
    fn mask(&self, id: u32) -> i128 {
        let width = self.instruction(id).format.map_or(0, |format| format.width());
        (1 << width) - 1
    }

    fn top_bit(&self, id: u32, values: &[i64]) -> bool {
        let value = i128::from(values[id as usize]);
        match &self.instruction(id).format {
            None => false,
            Some(format) if format.signed() => value < 0,
            Some(format) => value >> (format.width() - 1) & 1 == 1,
        }
    }

    /// The value of an output, a mantissa of its own type.
    ///
    /// # Panics
    /// Where `values` do not hold the value that it reads.
    #[must_use]
    pub fn output(&self, index: usize, values: &[i64]) -> i64 {
        let output = &self.outputs[index];
        let value = signed(i128::from(values[output.source as usize]), output.negated);
        let frac = self.instruction(output.source).frac() - output.shift;
        cast(value, frac, output.format.as_ref())
    }

    /// The mantissa of an output on the output tensor's grid, which is as fine as its own or finer.
    #[must_use]
    pub fn on_grid(&self, index: usize, mantissa: i64, tensor_frac: i32) -> i64 {
        let own = frac(self.outputs[index].format.as_ref());
        raised(i128::from(mantissa), own, tensor_frac) as i64
    }
}
