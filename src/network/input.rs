//! From real or integer samples to the mantissas of the input tensor.

use miette::Diagnostic;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};
use thiserror::Error;

use super::preprocessing::Quantizing;
use super::{Encoding, InputRule, Network};
use crate::fixed_point::{Cast, Format, NotFinite, from_f64};

/// Why samples do not enter a network.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq)]
pub enum InputError {
    /// The number of values is no multiple of the input's size.
    #[error("the input array has samples of shape {found:?}")]
    #[diagnostic(
        code(radstream::input::shape),
        help(
            "expected {expected} values of shape {shape:?} as in the file{}, or a flat row of as many",
            or_last(shape, last)
        )
    )]
    Shape {
        /// Shape of one sample as given.
        found: Vec<usize>,
        /// Elements of the input tensor.
        expected: usize,
        /// Shape of the input in the file.
        shape: Vec<usize>,
        /// The same channels last.
        last: Vec<usize>,
    },
    /// A value is not a finite number.
    #[error("sample {sample}, value {position}: {value} is not a finite number")]
    #[diagnostic(
        code(radstream::input::finite),
        help("expected finite numbers; look for missing values in the data")
    )]
    NotFinite {
        /// The sample.
        sample: usize,
        /// The value's position in it.
        position: usize,
        /// The value.
        value: f64,
    },
    /// An integer does not fit the input's type.
    #[error("sample {sample}, value {position}: {value} is no mantissa of the input type {format}")]
    #[diagnostic(
        code(radstream::input::mantissa),
        help(
            "expected integers from {low} to {high}; real values are quantized where the inputs are not declared to be mantissas"
        )
    )]
    Mantissa {
        /// The sample.
        sample: usize,
        /// The value's position in it.
        position: usize,
        /// The value.
        value: f64,
        /// The input type.
        format: String,
        /// Smallest mantissa.
        low: i128,
        /// Largest mantissa.
        high: i128,
    },
    /// A number is no value of the input's stated type.
    #[error("sample {sample}, value {position}: {value} is no value of the input type {format}")]
    #[diagnostic(
        code(radstream::input::value),
        help("expected multiples of {unit} within the type's range; round the samples, or scale them")
    )]
    Value {
        /// The sample.
        sample: usize,
        /// The value's position in it.
        position: usize,
        /// The value.
        value: f64,
        /// The input type.
        format: String,
        /// Value of one unit.
        unit: f64,
    },
    /// The file states no input type and none was asked for.
    #[error("the network `{network}` has no input quantizer")]
    #[diagnostic(
        code(radstream::input::rule),
        help(
            "expected integer mantissas; declare the inputs to be mantissas, state their type, or export the network with a quantizer on its input"
        )
    )]
    NoQuantizer {
        /// The network.
        network: String,
    },
}

/// The shape channels last, where it is another.
fn or_last(shape: &[usize], last: &[usize]) -> String {
    if shape == last {
        String::new()
    } else {
        format!(", {last:?} channels last")
    }
}

impl Network {
    /// Mantissas of real samples by the network's own input rule: cast to the input's format with its rounding and
    /// overflow, after the file's own arithmetic where there is some. `values` is `[sample][element]` with samples of
    /// any shape that has as many elements as the input tensor.
    ///
    /// # Errors
    /// [`InputError`] where a value is not finite or not of the stated type, or the network has no rule for real
    /// values.
    pub fn quantize_inputs(&self, values: &[f64]) -> Result<Vec<i64>, InputError> {
        let tensor = self.tensor(self.input);
        let len = tensor.len().max(1);
        let not_finite = |at: usize, value: f64| InputError::NotFinite {
            sample: at / len,
            position: at % len,
            value,
        };
        match (&self.input_rule, tensor.encoding) {
            (InputRule::Quantize, Encoding::Fixed(format)) => {
                let quantize = |value: f64| -> Result<i64, NotFinite> {
                    if tensor.scale == 1.0 {
                        from_f64(value, &format).map(|mantissa| mantissa as i64)
                    } else {
                        quantize_scaled(value, tensor.scale, &format).ok_or(NotFinite { value })
                    }
                };
                let each = values.iter().enumerate();
                each.map(|(at, &value)| quantize(value).map_err(|_| not_finite(at, value)))
                    .collect()
            }
            (InputRule::Preprocess(preprocessing), _) => {
                let mut quantizing = Quantizing::new(preprocessing, tensor.channels(), len);
                let each = values.iter().enumerate();
                each.map(|(at, &value)| {
                    let found = quantizing.mantissa(value, at % len);
                    found
                        .map(|(mantissa, _)| mantissa)
                        .ok_or_else(|| not_finite(at, value))
                })
                .collect()
            }
            (InputRule::Stated, encoding) => {
                let each = values.iter().enumerate();
                each.map(|(at, &value)| {
                    let units = libm::scalbn(value, encoding.frac());
                    let whole = (units.fract() == 0.0 && units.abs() < 9.2e18).then_some(units as i64);
                    whole
                        .filter(|&mantissa| encoding.contains(i128::from(mantissa)))
                        .ok_or_else(|| InputError::Value {
                            sample: at / len,
                            position: at % len,
                            value,
                            format: name_of(&encoding),
                            unit: libm::scalbn(1.0, -encoding.frac()),
                        })
                })
                .collect()
            }
            (InputRule::Quantize | InputRule::Raw, _) => Err(InputError::NoQuantizer {
                network: self.name.clone(),
            }),
        }
    }

    /// How many of these real values lie outside the input type's range after rounding.
    #[must_use]
    pub fn input_overflows(&self, values: &[f64]) -> u64 {
        let tensor = self.tensor(self.input);
        if let InputRule::Preprocess(preprocessing) = &self.input_rule {
            let len = tensor.len().max(1);
            let mut quantizing = Quantizing::new(preprocessing, tensor.channels(), len);
            let mut clipped = |at: usize, value: f64| {
                let found = quantizing.mantissa(value, at % len);
                u64::from(found.is_none_or(|(_, clipped)| clipped))
            };
            return values
                .iter()
                .enumerate()
                .map(|(at, &value)| clipped(at, value))
                .sum();
        }
        let Encoding::Fixed(format) = tensor.encoding else {
            return 0;
        };
        let Ok(wide) = Format::wide(127, 127 - format.frac(), true) else {
            return 0;
        };
        let wide = wide.with_quantization(format.quantization());
        let outside = |&value: &f64| match from_f64(value / tensor.scale, &wide) {
            Ok(mantissa) => !format.contains(mantissa),
            Err(_) => true,
        };
        values.iter().filter(|value| outside(value)).count() as u64
    }

    /// Checks integer samples against the input's type.
    ///
    /// # Errors
    /// [`InputError::Mantissa`] with the first value that does not fit.
    pub fn check_raw_inputs(&self, values: &[f64]) -> Result<Vec<i64>, InputError> {
        let tensor = self.tensor(self.input);
        let (low, high) = tensor.encoding.range();
        let len = tensor.len().max(1);
        values
            .iter()
            .enumerate()
            .map(|(at, &value)| {
                let mantissa = (value.fract() == 0.0 && value.abs() < 9.2e18).then_some(value as i64);
                mantissa
                    .filter(|&m| tensor.encoding.contains(i128::from(m)))
                    .ok_or_else(|| InputError::Mantissa {
                        sample: at / len,
                        position: at % len,
                        value,
                        format: name_of(&tensor.encoding),
                        low,
                        high,
                    })
            })
            .collect()
    }
}

fn name_of(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Fixed(format) => format.to_string(),
        Encoding::Bipolar { .. } => "bipolar".to_owned(),
    }
}

/// Quantizes `value / scale` exactly. Two guard bits tell every rounding mode all that it asks of
/// the part below the last place: zero, below, at or above one half.
fn quantize_scaled(value: f64, scale: f64, format: &Format) -> Option<i64> {
    let unit = BigRational::from_float(libm::scalbn(scale, -format.frac()))?;
    let ratio = BigRational::from_float(value)? / unit;
    let floor: BigInt = ratio.floor().to_integer();
    let rest = ratio - BigRational::from_integer(floor.clone());
    let half = BigRational::new(BigInt::from(1), BigInt::from(2));
    let guard = match (rest.is_zero(), rest.cmp(&half)) {
        (true, _) => 0,
        (_, std::cmp::Ordering::Less) => 1,
        (_, std::cmp::Ordering::Equal) => 2,
        (_, std::cmp::Ordering::Greater) => 3,
    };
    // Beyond 2^100 only the overflow rule matters; a wrapping input that far out keeps no meaning.
    let limit: BigInt = BigInt::from(1) << 100;
    let guarded: BigInt = floor * BigInt::from(4) + BigInt::from(guard);
    let bounded = guarded.max(-limit.clone()).min(limit);
    Some(Cast::new(format.frac() + 2, format).apply(bounded.to_i128()?) as i64)
}
