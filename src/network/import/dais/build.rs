//! From the blocks of a file to a network of one program.

use std::path::Path;

use super::super::ImportError;
use super::super::limits::MAX_ELEMENTS;
use super::check::Checker;
use super::{AGAIN, Block, MAX_POINT, MAX_WIDTH, Stated};
use crate::fixed_point::Format;
use crate::network::{
    BitFunction, BuildHints, Encoding, InputRule, Instruction, Layer, LayerId, Network, Node, Note, NoteKind,
    Op, Operation, Program, ProgramOutput, Tensor, TensorId,
};

/// Name of the only layer.
const LAYER: &str = "program";

/// The network of a file.
pub(super) fn network(path: &Path, blocks: Vec<Block>) -> Result<Network, ImportError> {
    let mut builder = Builder {
        path,
        pipeline: blocks.len() > 1,
        program: Program {
            instructions: Vec::new(),
            blocks: Vec::new(),
            tables: Vec::new(),
            outputs: Vec::new(),
        },
        checker: Checker::default(),
    };
    let ends = |block: Option<&Block>| block.map_or((0, 0), |block| (block.inputs, block.outputs.len()));
    let (inputs, outputs) = (ends(blocks.first()).0, ends(blocks.last()).1);
    if !(1..=MAX_ELEMENTS).contains(&inputs) || !(1..=MAX_ELEMENTS).contains(&outputs) {
        return Err(ImportError::structure(
            path,
            "the program",
            format!("has {inputs} inputs and {outputs} outputs"),
        )
        .expected(format!("1 to {MAX_ELEMENTS} of each"))
        .help(AGAIN));
    }
    let mut handed: Vec<Handed> = Vec::new();
    for (stage, block) in blocks.iter().enumerate() {
        handed = builder.block(stage, block, &handed)?;
    }
    builder.outputs(&handed)?;
    let (input, output) = (builder.input_format()?, builder.output_format()?);
    let notes = builder.notes();
    let tensor = |name: &str, elements: usize, format: Format| Tensor {
        name: name.to_owned(),
        shape: vec![elements],
        encoding: Encoding::Fixed(format),
        scale: 1.0,
    };
    Ok(Network {
        name: path.file_stem().map_or_else(
            || "network".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        tensors: vec![tensor("input", inputs, input), tensor("output", outputs, output)],
        nodes: vec![Node {
            name: LAYER.to_owned(),
            layer: LayerId(0),
            op: Op::Program(Box::new(builder.program)),
            inputs: vec![TensorId(0)],
            output: TensorId(1),
        }],
        layers: vec![Layer {
            name: LAYER.to_owned(),
            kind: "DAIS".to_owned(),
            output: TensorId(1),
            hints: BuildHints::default(),
        }],
        params: Vec::new(),
        input: TensorId(0),
        input_axes: vec![0],
        input_rule: InputRule::Quantize,
        output: TensorId(1),
        off_chip: None,
        output_axes: vec![0],
        output_scales: Vec::new(),
        output_offsets: Vec::new(),
        notes,
    })
}

/// An output of a block on its way to the next one.
struct Handed {
    /// None where it is always 0.
    source: Option<u32>,
    shift: i32,
    negated: bool,
    /// Range that the file states for the source, in its mantissas.
    range: Option<(i128, i128)>,
}

struct Builder<'a> {
    path: &'a Path,
    pipeline: bool,
    program: Program,
    checker: Checker,
}

impl Builder<'_> {
    fn place(&self, stage: usize, what: &str, at: usize) -> String {
        match self.pipeline {
            true => format!("stage {stage}, {what} {at}"),
            false => format!("{what} {at}"),
        }
    }

    fn trouble(&self, place: &str, problem: String, expected: impl Into<String>) -> ImportError {
        ImportError::structure(self.path, place, problem)
            .expected(expected)
            .help(AGAIN)
    }

    fn shift(&self, place: &str, shift: i64) -> Result<i32, ImportError> {
        i32::try_from(shift)
            .ok()
            .filter(|shift| i64::from(shift.unsigned_abs()) <= MAX_POINT)
            .ok_or_else(|| {
                self.trouble(
                    place,
                    format!("shifts by {shift} bits"),
                    format!("at most {MAX_POINT}"),
                )
            })
    }

    /// Adds a block behind what the block before hands on; returns what it hands on itself.
    fn block(&mut self, stage: usize, block: &Block, handed: &[Handed]) -> Result<Vec<Handed>, ImportError> {
        if stage > 0 && block.inputs != handed.len() {
            return Err(self.trouble(
                &format!("stage {stage}"),
                format!("has {} inputs", block.inputs),
                format!("{}, the outputs of the stage before", handed.len()),
            ));
        }
        let first = self.program.instructions.len();
        self.program.blocks.push(first as u32);
        let first_table = self.program.tables.len();
        self.program.tables.extend(block.tables.iter().cloned());
        for (at, stated) in block.instructions.iter().enumerate() {
            let place = self.place(stage, "instruction", at);
            let scope = Scope {
                place: &place,
                at,
                first,
                first_table,
                block,
                handed: (stage > 0).then_some(handed),
            };
            let operation = self.operation(&scope, stated)?;
            self.program.instructions.push(Instruction {
                operation,
                format: stated.format,
            });
            self.checker.check(self.path, &place, &self.program)?;
        }
        let outputs = block.outputs.iter().zip(&block.output_shifts);
        (outputs.zip(&block.negated).enumerate())
            .map(|(at, ((&id, &shift), &negated))| {
                let place = self.place(stage, "output", at);
                let source = match id {
                    -1 => None,
                    id => Some(
                        usize::try_from(id)
                            .ok()
                            .filter(|&id| id < block.instructions.len())
                            .ok_or_else(|| {
                                self.trouble(
                                    &place,
                                    format!("reads the value {id}"),
                                    format!("-1, or one of the {} instructions", block.instructions.len()),
                                )
                            })?,
                    ),
                };
                Ok(Handed {
                    source: source.map(|id| (first + id) as u32),
                    shift: self.shift(&place, shift)?,
                    negated,
                    range: source.and_then(|id| block.instructions[id].range),
                })
            })
            .collect()
    }

    fn operation(&self, scope: &Scope<'_>, stated: &Stated) -> Result<Operation, ImportError> {
        let place = scope.place;
        let value = |id: i64| -> Result<u32, ImportError> {
            match usize::try_from(id) {
                Ok(id) if id < scope.at => Ok((scope.first + id) as u32),
                _ => Err(self.trouble(
                    place,
                    format!("reads the value {id}"),
                    "a value of an earlier instruction",
                )),
            }
        };
        let a = || value(stated.id0);
        let b = || value(stated.id1);
        let negated = stated.opcode < 0;
        let low = i64::from(stated.data as i32);
        let high = stated.data >> 32;
        Ok(match stated.opcode {
            -1 => return self.copy(scope, stated),
            0 | 1 => Operation::Sum {
                a: a()?,
                b: b()?,
                shift: self.shift(place, stated.data)?,
                subtract: stated.opcode == 1,
            },
            2 | -2 => Operation::Relu { a: a()?, negated },
            3 | -3 => Operation::Quantize { a: a()?, negated },
            4 => Operation::AddConstant {
                a: a()?,
                constant: stated.data,
            },
            5 => Operation::Constant {
                mantissa: stated.data,
            },
            6 | -6 => Operation::Select {
                condition: value(low)?,
                set: a()?,
                clear: b()?,
                shift: self.shift(place, high)?,
                negated,
            },
            7 => Operation::Product { a: a()?, b: b()? },
            8 => {
                let table = usize::try_from(stated.data)
                    .ok()
                    .filter(|&table| table < scope.block.tables.len())
                    .ok_or_else(|| {
                        self.trouble(
                            place,
                            format!("reads table {}", stated.data),
                            format!("one of the {} tables", scope.block.tables.len()),
                        )
                    })?;
                Operation::Lookup {
                    a: a()?,
                    table: (scope.first_table + table) as u32,
                    first: stated.first,
                }
            }
            9 | -9 => match stated.data {
                0 => Operation::Not { a: a()?, negated },
                1 => Operation::Any { a: a()? },
                2 => Operation::All { a: a()?, negated },
                other => {
                    return Err(self.trouble(
                        place,
                        format!("is bit operation {other} of one operand"),
                        "0 (not), 1 (any) or 2 (all)",
                    ));
                }
            },
            10 => Operation::Bits {
                function: match high >> 24 & 0xff {
                    0 => BitFunction::And,
                    1 => BitFunction::Or,
                    2 => BitFunction::Xor,
                    other => {
                        return Err(self.trouble(
                            place,
                            format!("is bit operation {other} of two operands"),
                            "0 (and), 1 (or) or 2 (exclusive or)",
                        ));
                    }
                },
                a: a()?,
                b: b()?,
                shift: self.shift(place, low)?,
                negated: [high & 1 == 1, high >> 1 & 1 == 1],
            },
            opcode => {
                return Err(
                    ImportError::unsupported(self.path, place, format!("has the opcode {opcode}"))
                        .expected("an opcode of DAIS version 1: -1 to 10 and -2, -3, -6, -9")
                        .help("write the program with da4ml 0.6"),
                );
            }
        })
    }

    /// A copy of an input, or of an output of the block before.
    fn copy(&self, scope: &Scope<'_>, stated: &Stated) -> Result<Operation, ImportError> {
        let element = usize::try_from(stated.id0)
            .ok()
            .filter(|&id| id < scope.block.inputs)
            .ok_or_else(|| {
                self.trouble(
                    scope.place,
                    format!("copies input {}", stated.id0),
                    format!("one of the {} inputs", scope.block.inputs),
                )
            })?;
        let shift = self.shift(scope.place, scope.block.input_shifts[element])?;
        let Some(handed) = scope.handed else {
            return Ok(Operation::Input {
                element: element as u32,
                shift,
            });
        };
        let from = &handed[element];
        let brought = self.handed_format(scope.place, from)?;
        let at_input = |format: Format| (format.width(), format.frac() + shift, format.signed());
        let own = |format: Format| (format.width(), format.frac(), format.signed());
        if from.source.is_some() && brought.map(own) != stated.format.map(at_input) {
            let words =
                |format: Option<Format>| format.map_or("no bits".to_owned(), |format| format.to_string());
            return Err(ImportError::unsupported(
                self.path,
                scope.place,
                format!(
                    "reads input {element} as {}, where the stage before hands on {}",
                    words(stated.format),
                    words(brought)
                ),
            )
            .expected("the same type on both sides of a row of registers")
            .help("cut a traced program into stages with da4ml's to_pipeline; what cmvm.solve returns is no pipeline of registers"));
        }
        Ok(match from.source {
            None => Operation::Constant { mantissa: 0 },
            Some(source) => Operation::Hold {
                source,
                shift: self.shift(scope.place, i64::from(from.shift) + i64::from(shift))?,
                negated: from.negated,
            },
        })
    }

    /// The type of what a block hands on.
    fn handed_format(&self, place: &str, handed: &Handed) -> Result<Option<Format>, ImportError> {
        let Some(source) = handed.source else {
            return Ok(None);
        };
        let Some(own) = self.program.instructions[source as usize].format else {
            return Ok(None);
        };
        let frac = own.frac() - handed.shift;
        let found = if handed.negated {
            let (low, high) = handed.range.unwrap_or(self.checker.range(source));
            ((low, high) != (0, 0)).then(|| Format::holding(-high, -low, frac))
        } else {
            Some(Format::new(own.width(), own.width() as i32 - frac, own.signed()))
        };
        let narrow = |format: &Format| format.width() <= 64;
        match found.transpose() {
            Ok(None) => Ok(None),
            Ok(Some(format)) if narrow(&format) => Ok(Some(format)),
            _ => Err(
                ImportError::unsupported(self.path, place, "has no type".to_owned())
                    .expected("a register of at most 64 bits, its point within 1024 of them")
                    .help("trace the model with narrower types"),
            ),
        }
    }

    /// The row of output registers.
    fn outputs(&mut self, handed: &[Handed]) -> Result<(), ImportError> {
        for (at, output) in handed.iter().enumerate() {
            let place = format!("output {at}");
            let format = self.handed_format(&place, output)?;
            self.program.outputs.push(ProgramOutput {
                source: output.source.unwrap_or(0),
                shift: output.shift,
                negated: output.negated,
                format,
            });
        }
        Ok(())
    }

    /// The narrowest type that every copy of an input reads all of its bits from.
    fn input_format(&self) -> Result<Format, ImportError> {
        let copies = self.program.instructions.iter().filter_map(|instruction| {
            let Operation::Input { shift, .. } = instruction.operation else {
                return None;
            };
            Some((instruction.format?, shift))
        });
        let common = common(copies.map(|(format, shift)| (format, -shift)));
        self.tensor_format("the inputs", common)
    }

    /// The narrowest type that holds every output.
    fn output_format(&self) -> Result<Format, ImportError> {
        let formats = self.program.outputs.iter().filter_map(|output| output.format);
        let common = common(formats.map(|format| (format, 0)));
        if common.is_none() {
            return Err(ImportError::structure(
                self.path,
                "the program",
                "has outputs of no bits only".to_owned(),
            )
            .expected("an output that is not always 0")
            .help(AGAIN));
        }
        self.tensor_format("the outputs", common)
    }

    fn tensor_format(&self, what: &str, common: Option<Common>) -> Result<Format, ImportError> {
        let Common {
            signed,
            integer,
            frac,
        } = common.unwrap_or(Common {
            signed: false,
            integer: 1,
            frac: 0,
        });
        let width = i64::from(signed) + integer + frac;
        let integer = i64::from(signed) + integer;
        // Unsigned mantissas of 64 bits do not fit the engines' words.
        let fits = (1..=MAX_WIDTH + i64::from(signed)).contains(&width);
        let format = fits
            .then(|| Format::new(width as u32, integer as i32, signed).ok())
            .flatten();
        format.ok_or_else(|| {
            ImportError::unsupported(
                self.path,
                "the program",
                format!("has {what} that need {width} bits on a common grid"),
            )
            .expected(format!(
                "at most {MAX_WIDTH} bits from the largest to the smallest of their bits"
            ))
            .help("scale them alike, by powers of two, before tracing")
        })
    }

    fn notes(&self) -> Vec<Note> {
        let program = &self.program;
        let tables = match program.tables.len() {
            0 => String::new(),
            count => format!(
                " and {count} look-up tables of {} entries",
                program.tables.iter().map(Vec::len).sum::<usize>()
            ),
        };
        let mut notes = vec![Note::new(
            NoteKind::NotStored,
            LAYER,
            format!(
                "weights are logic: {} instructions{tables}; what can be hit are its {} rows of registers",
                program.instructions.len(),
                program.blocks.len() + 1
            ),
        )];
        notes.extend(
            self.checker
                .findings()
                .into_iter()
                .map(|text| Note::new(NoteKind::Flow, LAYER, text)),
        );
        notes
    }
}

/// Where an instruction stands.
struct Scope<'a> {
    place: &'a str,
    /// Its number in the block.
    at: usize,
    /// Number of the block's first instruction in the program.
    first: usize,
    /// Number of the block's first table in the program.
    first_table: usize,
    block: &'a Block,
    /// What the block before hands on; none in the first block.
    handed: Option<&'a [Handed]>,
}

/// Extent of several types.
#[derive(Clone, Copy)]
struct Common {
    signed: bool,
    /// Integer bits without the sign.
    integer: i64,
    frac: i64,
}

/// The extent of types, each times a power of two.
fn common(formats: impl Iterator<Item = (Format, i32)>) -> Option<Common> {
    formats
        .map(|(format, shift)| Common {
            signed: format.signed(),
            integer: i64::from(format.integer()) - i64::from(format.signed()) + i64::from(shift),
            frac: i64::from(format.frac()) - i64::from(shift),
        })
        .reduce(|a, b| Common {
            signed: a.signed || b.signed,
            integer: a.integer.max(b.integer),
            frac: a.frac.max(b.frac),
        })
}
