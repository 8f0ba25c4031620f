//! Matrix products by distributed arithmetic: adder graphs that da4ml finds, in the C++ text that hls4ml keeps.
//!
//! hls4ml removes the weights of such a layer and stores `da_codegen`, a function of one assignment a line
//! (da4ml, `codegen/hls/hls_codegen.py`): inputs, sums of two earlier values one of which is shifted, constants
//! added, and the outputs. Every value is an affine function of the inputs; its coefficients are the weights.
//! The types of the values lose nothing, which is checked here, so the layer is the exact product, cast once
//! to the result's type.

use std::collections::{BTreeMap, HashMap};

use super::super::ImportError;
use super::super::limits::{MAX_ARCHIVE_EFFORT, MAX_ELEMENTS, TABULATED_ELEMENT_EFFORT};
use super::archive::Archive;
use super::record::Record;
use super::types::HlsType;
use super::weights::Variable;
use crate::fixed_point::{Dyadic, Format};

/// Most terms that are added while the graphs of a file are read.
const MAX_TERMS: usize = MAX_ARCHIVE_EFFORT / TABULATED_ELEMENT_EFFORT;

/// Deepest nesting of one operand.
const MAX_DEPTH: usize = 8;

/// Furthest shift of one operand.
const MAX_SHIFT: i32 = 120;

/// Furthest power of two of a value's unit.
const MAX_EXPONENT: i32 = 4096;

/// Weights and biases of an adder graph, `[out][in]` and `[out]`.
pub(super) struct Coefficients {
    /// The weights.
    pub(super) weight: Variable,
    /// The biases; none where all are 0.
    pub(super) bias: Option<Variable>,
}

/// An affine function of the inputs' mantissas, in units of `2^exponent`, and its range.
#[derive(Clone, Debug, Default)]
struct Affine {
    exponent: i32,
    terms: BTreeMap<usize, i128>,
    constant: i128,
    low: i128,
    high: i128,
}

/// Why a text is not followed.
enum Trouble {
    /// It is not of the known form.
    Form,
    /// A type does not hold a value.
    Loses,
    /// Numbers or terms beyond what is followed.
    Size,
}

impl Affine {
    fn constant(value: f64) -> Result<Self, Trouble> {
        let value = Dyadic::try_from(value).map_err(|_| Trouble::Form)?;
        let constant = i128::from(value.mantissa);
        Ok(Self {
            exponent: value.exponent,
            constant,
            low: constant,
            high: constant,
            ..Self::default()
        })
    }

    fn negated(mut self) -> Self {
        for factor in self.terms.values_mut() {
            *factor = -*factor;
        }
        (self.constant, self.low, self.high) = (-self.constant, -self.high, -self.low);
        self
    }

    /// The same in units of a smaller power of two.
    fn in_units_of(mut self, exponent: i32) -> Result<Self, Trouble> {
        let by = self.exponent - exponent;
        if by == 0 {
            return Ok(self);
        }
        if !(0..=MAX_SHIFT).contains(&by) {
            return Err(Trouble::Size);
        }
        let scaled = |value: i128| {
            value
                .checked_mul(1 << by)
                .filter(|scaled| scaled.unsigned_abs() < 1 << 120)
                .ok_or(Trouble::Size)
        };
        for factor in self.terms.values_mut() {
            *factor = scaled(*factor)?;
        }
        self.constant = scaled(self.constant)?;
        self.low = scaled(self.low)?;
        self.high = scaled(self.high)?;
        self.exponent = exponent;
        Ok(self)
    }

    fn plus(self, other: Self) -> Result<Self, Trouble> {
        let exponent = self.exponent.min(other.exponent);
        let (mut sum, other) = (self.in_units_of(exponent)?, other.in_units_of(exponent)?);
        let add = |a: i128, b: i128| {
            a.checked_add(b)
                .filter(|sum| sum.unsigned_abs() < 1 << MAX_SHIFT)
                .ok_or(Trouble::Size)
        };
        for (input, factor) in other.terms {
            let entry = sum.terms.entry(input).or_default();
            *entry = add(*entry, factor)?;
            if *entry == 0 {
                sum.terms.remove(&input);
            }
        }
        sum.constant = add(sum.constant, other.constant)?;
        sum.low = add(sum.low, other.low)?;
        sum.high = add(sum.high, other.high)?;
        Ok(sum)
    }

    /// Whether a format has every value.
    fn fits(&self, format: &Format) -> bool {
        let below = -format.frac() - self.exponent;
        let whole = |value: i128| below <= 0 || value == 0 || value.trailing_zeros() >= below as u32;
        if !(self.terms.values().copied().all(whole) && whole(self.constant)) {
            return false;
        }
        let unit = self.exponent + format.frac();
        let mantissa = |value: i128| {
            if unit >= 0 {
                let shift = u32::try_from(unit).ok().filter(|&shift| shift < 120)?;
                value.checked_mul(1 << shift)
            } else {
                let shift = u32::try_from(-unit).ok().filter(|&shift| shift < 120)?;
                Some(value >> shift)
            }
        };
        let held = |value: i128| value == 0 || mantissa(value).is_some_and(|value| format.contains(value));
        held(self.low) && held(self.high)
    }

    fn held_by(self, format: &Format) -> Result<Self, Trouble> {
        if self.fits(format) {
            Ok(self)
        } else {
            Err(Trouble::Loses)
        }
    }
}

/// What has been read so far.
struct Graph {
    input: Format,
    inputs: usize,
    values: HashMap<usize, Affine>,
    terms: usize,
    most_terms: usize,
}

/// A text and what is left of it.
struct Cursor<'t>(&'t str);

impl<'t> Cursor<'t> {
    fn take(&mut self, expected: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(expected);
        if let Some(rest) = rest {
            self.0 = rest;
        }
        rest.is_some()
    }

    fn expect(&mut self, expected: &str) -> Result<(), Trouble> {
        if self.take(expected) {
            Ok(())
        } else {
            Err(Trouble::Form)
        }
    }

    /// The longest beginning of such characters.
    fn word(&mut self, of: impl Fn(char) -> bool) -> &'t str {
        let text = self.0.trim_start();
        let end = text.find(|letter| !of(letter)).unwrap_or(text.len());
        self.0 = &text[end..];
        &text[..end]
    }

    fn index(&mut self) -> Result<usize, Trouble> {
        self.word(|digit| digit.is_ascii_digit())
            .parse()
            .map_err(|_| Trouble::Form)
    }

    fn integer(&mut self) -> Result<i32, Trouble> {
        self.word(|digit| digit.is_ascii_digit() || digit == '-')
            .parse()
            .map_err(|_| Trouble::Form)
    }

    fn real(&mut self) -> Result<f64, Trouble> {
        let text = self.0.trim_start();
        let mut end = 0;
        for (at, letter) in text.char_indices() {
            let exponent_sign = matches!(letter, '+' | '-') && text[..at].ends_with(['e', 'E']);
            if !(letter.is_ascii_digit() || matches!(letter, '.' | 'e' | 'E') || exponent_sign) {
                break;
            }
            end = at + 1;
        }
        self.0 = &text[end..];
        text[..end].parse().map_err(|_| Trouble::Form)
    }

    /// `ap_fixed<w,i>` or `ap_ufixed<w,i>`.
    fn format(&mut self) -> Result<Option<Format>, Trouble> {
        let signed = if self.take("ap_fixed<") {
            true
        } else if self.take("ap_ufixed<") {
            false
        } else {
            return Ok(None);
        };
        let width = self.integer()?;
        self.expect(",")?;
        let integer = self.integer()?;
        // Modes are those of a quantizer that was merged into the layer.
        if self.take(",") {
            return Err(Trouble::Loses);
        }
        self.expect(">")?;
        let width = u32::try_from(width).map_err(|_| Trouble::Form)?;
        Format::wide(width, integer, signed)
            .map(Some)
            .map_err(|_| Trouble::Size)
    }
}

impl Graph {
    fn operand(&mut self, text: &mut Cursor<'_>, depth: usize) -> Result<Affine, Trouble> {
        if depth > MAX_DEPTH {
            return Err(Trouble::Form);
        }
        if text.take("-") {
            return Ok(self.operand(text, depth + 1)?.negated());
        }
        if text.take("bit_shift<") {
            let shift = text.integer()?;
            text.expect(">(")?;
            let mut value = self.operand(text, depth + 1)?;
            text.expect(")")?;
            if shift.unsigned_abs() > MAX_SHIFT.unsigned_abs() {
                return Err(Trouble::Size);
            }
            value.exponent += shift;
            // No type's point lies further out.
            return if value.exponent.abs() > MAX_EXPONENT {
                Err(Trouble::Size)
            } else {
                Ok(value)
            };
        }
        if text.take("model_inp[") {
            let input = text.index()?;
            text.expect("]")?;
            if input >= self.inputs {
                return Err(Trouble::Form);
            }
            return Ok(Affine {
                exponent: -self.input.frac(),
                terms: BTreeMap::from([(input, 1)]),
                constant: 0,
                low: self.input.min_mantissa(),
                high: self.input.max_mantissa(),
            });
        }
        if let Some(format) = text.format()? {
            text.expect("(")?;
            let value = self.operand(text, depth + 1)?;
            text.expect(")")?;
            return value.held_by(&format);
        }
        if text.take("v") {
            let value = self.values.get(&text.index()?).ok_or(Trouble::Form)?;
            self.terms += value.terms.len() + 1;
            if self.terms > self.most_terms {
                return Err(Trouble::Size);
            }
            return Ok(value.clone());
        }
        Affine::constant(text.real()?)
    }

    /// One operand, or the sum or difference of two.
    fn expression(&mut self, text: &mut Cursor<'_>) -> Result<Affine, Trouble> {
        let first = self.operand(text, 0)?;
        let value = if text.take("+") {
            let second = self.operand(text, 0)?;
            first.plus(second)?
        } else if text.take("-") {
            let second = self.operand(text, 0)?;
            first.plus(second.negated())?
        } else {
            first
        };
        text.expect(";")?;
        if text.0.trim().is_empty() {
            Ok(value)
        } else {
            Err(Trouble::Form)
        }
    }
}

/// The coefficients of a layer's adder graph over inputs of a format.
pub(super) fn coefficients(
    archive: &Archive<'_>,
    record: &Record<'_>,
    input: Format,
    inputs: usize,
    outputs: usize,
) -> Result<Coefficients, ImportError> {
    if inputs
        .checked_mul(outputs)
        .is_none_or(|weights| weights > MAX_ELEMENTS)
    {
        return Err(record
            .structure(format!("has {inputs} inputs for each of {outputs} outputs"))
            .expected(format!("at most {MAX_ELEMENTS} weights")));
    }
    archive.charge(
        &record.place(),
        (inputs * outputs).saturating_mul(TABULATED_ELEMENT_EFFORT),
    )?;
    let (_, state) = record.class_and_state("da_codegen", record.require("da_codegen")?)?;
    let code = state
        .get("code")
        .and_then(|code| code.as_str())
        .unwrap_or_default();
    let mut graph = Graph {
        input,
        inputs,
        values: HashMap::new(),
        terms: 0,
        most_terms: archive.effort_left() / TABULATED_ELEMENT_EFFORT,
    };
    let mut results: Vec<Option<Affine>> = vec![None; outputs];
    let mut is_open = false;
    for (number, line) in code.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if is_open && line == "}" {
            break;
        }
        let passed = ["", "{"].contains(&line) || line.starts_with("#pragma") || line.starts_with("template");
        if line.starts_with("void ") {
            is_open = true;
        } else if !passed {
            assignment(&mut graph, &mut results, line)
                .map_err(|trouble| refusal(record, number + 1, line, &trouble))?;
        }
    }
    archive.charge(
        &record.place(),
        graph.terms.saturating_mul(TABULATED_ELEMENT_EFFORT),
    )?;
    if let Some(missing) = results.iter().position(Option::is_none) {
        return Err(record
            .structure(format!("`da_codegen` does not assign output {missing}"))
            .expected(format!("{outputs} outputs of {inputs} inputs")));
    }
    let results: Vec<Affine> = results.into_iter().flatten().collect();
    // In units of the inputs' mantissas a coefficient is the weight itself.
    let unit = |result: &Affine| result.exponent + input.frac();
    let weights = results.iter().flat_map(|result| {
        (0..inputs).map(move |tap| (result.terms.get(&tap).copied().unwrap_or(0), unit(result)))
    });
    let biases: Vec<(i128, i32)> = results
        .iter()
        .map(|result| (result.constant, result.exponent))
        .collect();
    let weight = variable(
        record,
        "weights",
        &weights.collect::<Vec<_>>(),
        vec![outputs, inputs],
    )?;
    let bias = biases
        .iter()
        .any(|&(value, _)| value != 0)
        .then(|| variable(record, "biases", &biases, vec![outputs]))
        .transpose()?;
    Ok(Coefficients { weight, bias })
}

fn assignment(graph: &mut Graph, results: &mut [Option<Affine>], line: &str) -> Result<(), Trouble> {
    let mut text = Cursor(line);
    if text.take("model_out[") {
        let output = text.index()?;
        text.expect("]")?;
        text.expect("=")?;
        let value = graph.expression(&mut text)?;
        return match results.get_mut(output) {
            Some(slot @ None) => {
                *slot = Some(value);
                Ok(())
            }
            _ => Err(Trouble::Form),
        };
    }
    let format = text.format()?.ok_or(Trouble::Form)?;
    text.expect("v")?;
    let index = text.index()?;
    text.expect("=")?;
    let value = graph.expression(&mut text)?.held_by(&format)?;
    match graph.values.insert(index, value) {
        None => Ok(()),
        Some(_) => Err(Trouble::Form),
    }
}

fn refusal(record: &Record<'_>, number: usize, line: &str, trouble: &Trouble) -> ImportError {
    let shown: String = line.chars().take(80).collect();
    let place = format!("line {number} of `da_codegen`, `{shown}`,");
    match trouble {
        Trouble::Form => record
            .unsupported(format!("{place} is not of the known form"))
            .expected("inputs, sums of two values, constants and outputs, as da4ml writes a matrix product")
            .help("convert the layer with the strategy Latency, which computes the same"),
        Trouble::Loses => record
            .unsupported(format!("{place} assigns to a type that does not hold every value"))
            .expected("types that lose nothing, without a quantizer merged into the layer")
            .help("convert the layer with the strategy Latency, which keeps the quantizer as a layer of its own"),
        Trouble::Size => record
            .unsupported(format!("{place} needs more than 120 bits, or the file more than {MAX_TERMS} terms"))
            .expected("a matrix product that fits on a chip")
            .help("convert the layer with the strategy Latency"),
    }
}

/// Numbers `mantissa * 2^exponent` in the narrowest format that holds all of them.
fn variable(
    record: &Record<'_>,
    what: &str,
    numbers: &[(i128, i32)],
    shape: Vec<usize>,
) -> Result<Variable, ImportError> {
    let too_wide = || {
        record
            .unsupported(format!("its {what} need more than 63 bits in one format"))
            .expected("weights of at most 63 bits")
            .help("convert the layer with the strategy Latency and a narrower weight type")
    };
    let needed =
        |&(value, exponent): &(i128, i32)| (value != 0).then(|| -exponent - value.trailing_zeros() as i32);
    let frac = numbers.iter().filter_map(needed).max().unwrap_or(0).max(0);
    let mut values = Vec::with_capacity(numbers.len());
    for &(value, exponent) in numbers {
        let shift = exponent + frac;
        let mantissa = if shift >= 0 {
            let factor = u32::try_from(shift)
                .ok()
                .filter(|&shift| shift < 63 || value == 0);
            factor.and_then(|shift| value.checked_mul(1 << shift.min(62)))
        } else {
            Some(value.checked_shr(shift.unsigned_abs()).unwrap_or(0))
        };
        let mantissa = mantissa.and_then(|mantissa| i64::try_from(mantissa).ok());
        values.push(mantissa.ok_or_else(too_wide)?);
    }
    let (low, high) = values
        .iter()
        .fold((0, 0), |(low, high), &value| (value.min(low), value.max(high)));
    let format = Format::holding(low.into(), high.into(), frac)
        .ok()
        .filter(|format| format.width() <= 63)
        .ok_or_else(too_wide)?;
    Ok(Variable {
        hls_type: HlsType {
            name: String::new(),
            format,
            integer: false,
        },
        shape,
        values,
        name: None,
    })
}
