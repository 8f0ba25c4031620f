//! Constants of the file, real and quantized.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;

use super::exact::Binary;
use super::stream::{PerChannel, size_of_numbers};
use super::{Importer, exact};
use crate::fixed_point::Format;
use crate::network::import::onnx::{Constant, ConstantData, OnnxNode};
use crate::network::import::{ImportError, limits};
use crate::network::{Encoding, ZeroPoint};

/// A constant with its shape.
#[derive(Clone, Debug)]
pub struct Const {
    /// Name in the file, for its annotation.
    pub name: String,
    /// Row-major shape, no batch dimension is implied.
    pub shape: Vec<usize>,
    /// The elements.
    pub elements: Elements,
}

/// Elements of a constant.
#[derive(Clone, Debug)]
pub enum Elements {
    /// Real numbers as the file holds them, or folded in the file's precision.
    File(Vec<f64>),
    /// Integers of the file.
    Integers(Vec<i64>),
    /// After exact arithmetic on constants.
    Exact(Vec<BigRational>),
    /// After a quantizer: integers with their type and step.
    Quantized(Quantized),
}

/// A constant behind a quantizer.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The integers.
    pub mantissas: Vec<i64>,
    /// Their type with no fractional bits.
    pub encoding: Encoding,
    /// Value of one unit.
    pub scale: PerChannel,
    /// Shape of `scale`, of the constant's rank or shorter.
    pub scale_shape: Vec<usize>,
    /// The integers that are stored for the mantissas, where there is a zero point.
    pub zero_point: Option<ZeroPoint>,
}

impl Quantized {
    /// The unit of element `index` of a constant of that shape.
    pub fn scale_at(&self, shape: &[usize], index: usize) -> Option<&BigRational> {
        self.scale.get(broadcast_index(shape, &self.scale_shape, index))
    }
}

impl Const {
    /// A constant as the file holds it.
    pub fn from_file(name: &str, constant: &Constant) -> Self {
        let elements = match &constant.data {
            ConstantData::Real(values) => Elements::File(values.clone()),
            ConstantData::Integer(values) => Elements::Integers(values.clone()),
        };
        Self {
            name: name.to_owned(),
            shape: constant.shape.clone(),
            elements,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The exact elements; `None` where one is not a finite number.
    pub fn exact(&self) -> Option<Vec<BigRational>> {
        (0..self.len()).map(|index| self.exact_at(index)).collect()
    }

    /// One exact element; `None` where it is not a finite number.
    pub fn exact_at(&self, index: usize) -> Option<BigRational> {
        match &self.elements {
            Elements::File(values) => exact::rational(*values.get(index)?),
            Elements::Integers(values) => Some(BigRational::from_integer(BigInt::from(*values.get(index)?))),
            Elements::Exact(values) => values.get(index).cloned(),
            Elements::Quantized(quantized) => {
                let scale = quantized.scale_at(&self.shape, index)?;
                let mantissa = *quantized.mantissas.get(index)?;
                Some(scale * BigRational::from_integer(BigInt::from(mantissa)))
            }
        }
    }

    /// One element of the file as a binary number; `None` where it is none, or not of the file.
    pub fn binary_at(&self, index: usize) -> Option<Binary> {
        match &self.elements {
            Elements::File(values) => Binary::of_float(*values.get(index)?),
            // Below 2^53 a float is the integer itself.
            Elements::Integers(values) => values
                .get(index)
                .filter(|value| value.unsigned_abs() < 1 << 53)
                .and_then(|&value| Binary::of_float(value as f64)),
            Elements::Exact(_) | Elements::Quantized(_) => None,
        }
    }

    /// 64-bit words that the elements take, and the longest exact number in bits.
    pub fn size(&self) -> (u64, u64) {
        match &self.elements {
            Elements::File(values) => (values.len() as u64, 0),
            Elements::Integers(values) => (values.len() as u64, 0),
            Elements::Exact(values) => size_of_numbers(values),
            Elements::Quantized(quantized) => {
                let (words, longest) = size_of_numbers(&quantized.scale);
                (words + quantized.mantissas.len() as u64, longest)
            }
        }
    }

    /// A quantized constant with the sign of its unit changed; any other as it is.
    pub fn negated(&self) -> Self {
        let mut constant = self.clone();
        if let Elements::Quantized(quantized) = &mut constant.elements {
            quantized.scale = quantized.scale.iter().map(|scale| -scale).collect();
        }
        constant
    }

    /// The same elements with axes permuted.
    pub fn transposed(&self, perm: &[usize]) -> Self {
        let shape: Vec<usize> = perm.iter().map(|&axis| self.shape[axis]).collect();
        let source = permuted_indices(&self.shape, perm);
        let elements = match &self.elements {
            Elements::File(values) => Elements::File(source.iter().map(|&at| values[at]).collect()),
            Elements::Integers(values) => Elements::Integers(source.iter().map(|&at| values[at]).collect()),
            Elements::Exact(values) => Elements::Exact(source.iter().map(|&at| values[at].clone()).collect()),
            Elements::Quantized(quantized) => {
                let mut padded = vec![1; self.shape.len().saturating_sub(quantized.scale_shape.len())];
                padded.extend(&quantized.scale_shape);
                let scale_shape: Vec<usize> = perm.iter().map(|&axis| padded[axis]).collect();
                let scale = permuted_indices(&padded, perm)
                    .into_iter()
                    .map(|at| quantized.scale[at].clone())
                    .collect();
                let mantissas = source.iter().map(|&at| quantized.mantissas[at]).collect();
                Elements::Quantized(Quantized {
                    mantissas,
                    scale,
                    scale_shape,
                    encoding: quantized.encoding,
                    zero_point: quantized.zero_point,
                })
            }
        };
        Self {
            name: String::new(),
            shape,
            elements,
        }
    }
}

/// Positions in an array of shape `from` of the elements of the one with its axes permuted.
fn permuted_indices(from: &[usize], perm: &[usize]) -> Vec<usize> {
    let stride = |axis: usize| from[axis + 1..].iter().product::<usize>();
    let mut positions = vec![0];
    for &axis in perm {
        let (extent, stride) = (from[axis], stride(axis));
        positions = positions
            .iter()
            .flat_map(|&at| (0..extent).map(move |step| at + step * stride))
            .collect();
    }
    positions
}

/// Position in an array of shape `small` of element `index` of shape `large`, where `small` is
/// spread over `large` from the right.
pub fn broadcast_index(large: &[usize], small: &[usize], index: usize) -> usize {
    let mut rest = index;
    let mut at = 0;
    let mut stride = 1;
    for (back, &extent) in large.iter().rev().enumerate() {
        let coordinate = rest % extent.max(1);
        rest /= extent.max(1);
        if let Some(&small_extent) = small.len().checked_sub(back + 1).and_then(|axis| small.get(axis)) {
            if small_extent != 1 {
                at += coordinate * stride;
            }
            stride *= small_extent;
        }
    }
    at
}

/// Whether an array of shape `small` spreads over one of shape `large` without enlarging it.
pub fn spreads_over(large: &[usize], small: &[usize]) -> bool {
    let extra = small.len().saturating_sub(large.len());
    small[..extra].iter().all(|&extent| extent == 1)
        && small[extra..]
            .iter()
            .rev()
            .zip(large.iter().rev())
            .all(|(&small, &large)| small == 1 || small == large)
}

/// The shape to which two arrays spread over each other.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .and_then(|own| shape.get(own))
            .copied()
            .unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (one, other) if one == other || other == 1 => Some(one),
            (1, other) => Some(other),
            _ => None,
        })
        .collect()
}

impl Importer<'_> {
    /// The constant on the input of that position.
    pub fn constant(&self, node: &OnnxNode, position: usize, what: &str) -> Result<Const, ImportError> {
        match self.value(node, position)? {
            super::Value::Const(constant) => Ok(constant),
            _ => Err(self
                .unsupported(node, &format!("has a {what} that is not constant"))
                .expected("a constant")
                .help("export the network with fixed parameters")),
        }
    }

    /// The exact elements and the shape of the constant on the input of that position.
    pub fn exact_constant(
        &self,
        node: &OnnxNode,
        position: usize,
        what: &str,
    ) -> Result<(PerChannel, Vec<usize>), ImportError> {
        let constant = self.constant(node, position, what)?;
        self.charge_functions(node, if what == "threshold" { 0 } else { constant.len() })?;
        let values = self.exact_elements(node, &constant, what)?;
        if values.is_empty() {
            return Err(self
                .structure(node, &format!("has an empty {what}"))
                .expected("at least one element")
                .help("export the network again"));
        }
        Ok((values, constant.shape))
    }

    /// The exact elements of a constant.
    pub fn exact_elements(
        &self,
        node: &OnnxNode,
        constant: &Const,
        what: &str,
    ) -> Result<PerChannel, ImportError> {
        self.check_count(node, constant.len(), what)?;
        self.charge(node, constant.len().saturating_mul(limits::EXACT_ELEMENT_EFFORT))?;
        constant.exact().ok_or_else(|| self.not_finite(node, what))
    }

    /// Refuses constants of more elements than are kept exactly.
    pub fn check_count(&self, node: &OnnxNode, count: usize, what: &str) -> Result<(), ImportError> {
        if count <= limits::MAX_THRESHOLDS {
            return Ok(());
        }
        Err(self
            .unsupported(node, &format!("has a {what} of {count} elements"))
            .expected(format!("at most {} elements", limits::MAX_THRESHOLDS))
            .help("check the shape of the constant"))
    }

    /// One exact element of an operand.
    pub fn finite_at(
        &self,
        node: &OnnxNode,
        constant: &Const,
        index: usize,
    ) -> Result<BigRational, ImportError> {
        constant
            .exact_at(index)
            .ok_or_else(|| self.not_finite(node, "operand"))
    }

    fn not_finite(&self, node: &OnnxNode, what: &str) -> ImportError {
        self.inexact(
            node,
            &format!("has a {what} with a value that is not a finite number"),
        )
        .expected("finite numbers")
        .help("look for NaN or infinity in the trained parameters")
    }

    /// The one integer on the input of that position.
    pub fn scalar_integer(&self, node: &OnnxNode, position: usize, what: &str) -> Result<i64, ImportError> {
        let (values, _) = self.exact_constant(node, position, what)?;
        let first = &values[0];
        if values.iter().any(|value| value != first) {
            return Err(self
                .unsupported(node, &format!("has a {what} per channel"))
                .expected(format!("one {what}"))
                .help(if what == "zero point" {
                    "store the values themselves behind a Quant node of one bit more without a zero point, which keeps them"
                } else {
                    "store the values themselves behind a Quant node of the widest of them, which keeps them"
                }));
        }
        exact::integer(first).ok_or_else(|| {
            self.inexact(node, &format!("has the {what} {}", exact::to_f64(first)))
                .expected("an integer")
                .help("check the quantizer's parameters")
        })
    }

    /// The integers of an attribute or of a constant input (the place moved between operator sets).
    pub fn integers(
        &self,
        node: &OnnxNode,
        attribute: &str,
        position: usize,
    ) -> Result<Option<Vec<i64>>, ImportError> {
        if let Some(values) = node.ints(attribute) {
            return Ok(Some(values.to_vec()));
        }
        if node.input(position).is_none() {
            return Ok(None);
        }
        let (values, _) = self.exact_constant(node, position, attribute)?;
        values
            .iter()
            .map(exact::integer)
            .collect::<Option<Vec<i64>>>()
            .map(Some)
            .ok_or_else(|| {
                self.structure(node, &format!("has a {attribute} that is no integer"))
                    .expected("integers")
                    .help("export the network again")
            })
    }

    /// The integers of a weight: quantized ones as they are, others where they are whole numbers
    /// of the annotated data type or of any.
    pub fn integer_constant(
        &self,
        node: &OnnxNode,
        constant: &Const,
        what: &str,
    ) -> Result<Quantized, ImportError> {
        self.charge(node, constant.len())?;
        if let Elements::Quantized(quantized) = &constant.elements {
            return Ok(quantized.clone());
        }
        if constant.len() > limits::MAX_ELEMENTS || constant.len() == 0 {
            return Err(self
                .structure(node, &format!("has a {what} of {} elements", constant.len()))
                .expected("at least one element")
                .help("export the network again"));
        }
        let unquantized = |problem: &str| {
            self.inexact(node, &format!("has a {what} that {problem}"))
                .expected("a Quant or BipolarQuant node on it, or whole numbers")
                .help("quantize it in training; radstream does not choose a precision for you")
        };
        let mantissas: Option<Vec<i64>> = match &constant.elements {
            Elements::File(values) => values
                .iter()
                .map(|&value| (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64))
                .collect(),
            Elements::Integers(values) => Some(values.clone()),
            Elements::Exact(values) => values.iter().map(exact::integer).collect(),
            Elements::Quantized(_) => None,
        };
        let mantissas = mantissas.ok_or_else(|| unquantized("is neither quantized nor whole"))?;
        let annotated = self
            .graph
            .finn_datatypes
            .get(&constant.name)
            .and_then(|text| data_type(text));
        let encoding = match annotated {
            Some(encoding) => encoding,
            None => {
                let low = mantissas.iter().copied().min().unwrap_or(0);
                let high = mantissas.iter().copied().max().unwrap_or(0);
                let format = Format::holding(i128::from(low), i128::from(high), 0);
                Encoding::Fixed(format.map_err(|_| unquantized("does not fit 64 bits"))?)
            }
        };
        if let Some(outside) = mantissas
            .iter()
            .find(|&&value| !encoding.contains(i128::from(value)))
        {
            return Err(self
                .structure(
                    node,
                    &format!("has a {what} of {outside}, outside its annotated data type"),
                )
                .expected("values of the annotated data type")
                .help("correct the annotation or the values"));
        }
        Ok(Quantized {
            mantissas,
            encoding,
            scale: vec![BigRational::one()],
            scale_shape: Vec::new(),
            zero_point: None,
        })
    }
}

/// The encoding of a FINN data type: `BIPOLAR`, `BINARY`, `TERNARY`, `INT<n>`, `UINT<n>`,
/// `FIXED<w,i>`.
pub fn data_type(text: &str) -> Option<Encoding> {
    let fixed = |width: u32, integer: i32, signed: bool| {
        Format::new(width, integer, signed)
            .ok()
            .filter(exact::is_stored)
            .map(Encoding::Fixed)
    };
    match text {
        "BIPOLAR" => Some(Encoding::Bipolar { frac: 0 }),
        "BINARY" => fixed(1, 1, false),
        "TERNARY" => fixed(2, 2, true),
        _ => {
            if let Some(width) = text.strip_prefix("UINT") {
                let width: u32 = width.parse().ok()?;
                fixed(width, i32::try_from(width).ok()?, false)
            } else if let Some(width) = text.strip_prefix("INT") {
                let width: u32 = width.parse().ok()?;
                fixed(width, i32::try_from(width).ok()?, true)
            } else {
                let (width, integer) = text.strip_prefix("FIXED<")?.strip_suffix('>')?.split_once(',')?;
                fixed(width.trim().parse().ok()?, integer.trim().parse().ok()?, true)
            }
        }
    }
}
