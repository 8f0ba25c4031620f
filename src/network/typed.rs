//! Inputs and outputs of a network as values of the types of the `fixed` crate.

use fixed::traits::Fixed;
use miette::Diagnostic;
use thiserror::Error;

use super::{Encoding, InputRule, Network, Tensor, TensorId};
use crate::fixed_point::{FixedError, type_name};

/// Why values of a `fixed` type and those of a tensor do not correspond.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq)]
pub enum TypedError {
    /// The integers of the tensor are not the values that a user sees there.
    #[error("tensor `{tensor}`: {problem}")]
    #[diagnostic(
        code(radstream::typed::meaning),
        help(
            "expected a tensor whose integers are the values themselves; give real numbers, or mantissas, of this one"
        )
    )]
    Meaning {
        /// The tensor.
        tensor: String,
        /// What lies between.
        problem: &'static str,
    },
    /// A real scale lies outside the integers.
    #[error("tensor `{tensor}` has a scale of {scale}: its values are no fixed-point numbers")]
    #[diagnostic(
        code(radstream::typed::scale),
        help(
            "expected a tensor whose scale is a power of two; give mantissas, or real numbers, of this one"
        )
    )]
    Scale {
        /// The tensor.
        tensor: String,
        /// Its scale.
        scale: f64,
    },
    /// The number of values is no multiple of the tensor's size.
    #[error("{found} values for tensor `{tensor}` of {expected} elements")]
    #[diagnostic(
        code(radstream::typed::length),
        help("expected whole samples of shape {shape:?}, one after the other")
    )]
    Length {
        /// The tensor.
        tensor: String,
        /// Number of values.
        found: usize,
        /// Elements of the tensor.
        expected: usize,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The tensor has values that the type does not hold.
    #[error("tensor `{tensor}` is {format}, which {target} does not hold")]
    #[diagnostic(
        code(radstream::typed::narrow),
        help(
            "expected a type of the `fixed` crate with at least as many integer and fractional bits, and the sign"
        )
    )]
    Narrow {
        /// The tensor.
        tensor: String,
        /// Its format.
        format: String,
        /// The type.
        target: String,
    },
    /// A value that the tensor does not have.
    #[error("tensor `{tensor}`, sample {sample}, element {element}: {problem}")]
    #[diagnostic(
        code(radstream::typed::value),
        help("expected values of {format}; round or saturate them before, as your data path does")
    )]
    Value {
        /// The tensor.
        tensor: String,
        /// The sample.
        sample: usize,
        /// The element of the sample.
        element: usize,
        /// What is wrong with it.
        problem: String,
        /// The tensor's format.
        format: String,
    },
}

impl Network {
    /// Mantissas of samples that are values of a `fixed` type, exactly. `values` is `[sample][element]`, the
    /// elements in the order of the input tensor (channels last).
    ///
    /// The embedded model from fixed-point inputs to fixed-point outputs:
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use fixed::types::{I16F16, U8F8};
    /// use radstream::fixed_point::Format;
    /// use radstream::model::{Description, Files, load_network};
    /// use radstream::network::TypedError;
    /// use radstream::network::import::ImportOptions;
    /// use radstream::simulate::functional::{Parameters, evaluate};
    ///
    /// let files = Files::Embedded;
    /// let file = Description::read(&files)?.network;
    /// let network = load_network(&files, Path::new(&file), &ImportOptions::default())?;
    /// let pixels = vec![U8F8::from_num(0.5); network.tensor(network.input).len()];
    ///
    /// let inputs = network.inputs_from_fixed(&pixels)?;
    /// let trace = evaluate(&network, &Parameters::of(&network), &inputs);
    /// let outputs: Vec<I16F16> = network.outputs_to_fixed(trace.tensor(network.output))?;
    /// assert_eq!(outputs.len(), network.tensor(network.output).len());
    ///
    /// // A value that the input does not have is refused, not rounded.
    /// let fine = vec![U8F8::DELTA; pixels.len()];
    /// let error = network.inputs_from_fixed(&fine).unwrap_err();
    /// assert!(matches!(error, TypedError::Value { sample: 0, element: 0, .. }), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TypedError`] where the input has a scale outside the integers, samples are not whole, or a value is none
    /// of the input's format.
    pub fn inputs_from_fixed<F: Fixed>(&self, values: &[F]) -> Result<Vec<i64>, TypedError> {
        let tensor = self.tensor(self.input);
        if let InputRule::Preprocess(_) = self.input_rule {
            return Err(TypedError::Meaning {
                tensor: tensor.name.clone(),
                problem: "samples pass through arithmetic before they are its integers",
            });
        }
        let format = tensor.encoding.arithmetic();
        tensor.check_typed(values.len())?;
        let mantissas = format
            .mantissas_of(values)
            .map_err(|error| tensor.value_error(&error))?;
        match mantissas
            .iter()
            .position(|&mantissa| !tensor.encoding.contains(i128::from(mantissa)))
        {
            Some(position) => Err(tensor.at(position, format!("{} is none of its values", values[position]))),
            None => Ok(mantissas),
        }
    }

    /// The values of output mantissas, of one sample or of several, as a `fixed` type, exactly.
    ///
    /// # Errors
    /// As [`Network::values_to_fixed`].
    pub fn outputs_to_fixed<F: Fixed>(&self, mantissas: &[i64]) -> Result<Vec<F>, TypedError> {
        let problem = if self.off_chip.is_some() {
            Some("a real function follows its integers")
        } else if self.output_scales.is_empty() && self.output_offsets.is_empty() {
            None
        } else {
            Some("real scales or offsets follow its integers")
        };
        match problem {
            Some(problem) => Err(TypedError::Meaning {
                tensor: self.tensor(self.output).name.clone(),
                problem,
            }),
            None => self.values_to_fixed(self.output, mantissas),
        }
    }

    /// The values of a tensor's mantissas, of one sample or of several, as a `fixed` type, exactly.
    ///
    /// # Errors
    /// [`TypedError`] where the tensor has a scale outside the integers, the type does not hold all of its values,
    /// samples are not whole, or a mantissa is none of the tensor's.
    pub fn values_to_fixed<F: Fixed>(
        &self,
        tensor: TensorId,
        mantissas: &[i64],
    ) -> Result<Vec<F>, TypedError> {
        let tensor = self.tensor(tensor);
        tensor.check_typed(mantissas.len())?;
        let format = tensor.encoding.arithmetic();
        if !format.fits::<F>() {
            return Err(TypedError::Narrow {
                tensor: tensor.name.clone(),
                format: tensor.format_name(),
                target: type_name::<F>(),
            });
        }
        if let Some(position) = mantissas
            .iter()
            .position(|&mantissa| !tensor.encoding.contains(i128::from(mantissa)))
        {
            let problem = format!("{} is none of its mantissas", mantissas[position]);
            return Err(tensor.at(position, problem));
        }
        format
            .fixed_of(mantissas)
            .map_err(|error| tensor.value_error(&error))
    }
}

impl Tensor {
    fn check_typed(&self, found: usize) -> Result<(), TypedError> {
        if self.scale != 1.0 {
            return Err(TypedError::Scale {
                tensor: self.name.clone(),
                scale: self.scale,
            });
        }
        if found.is_multiple_of(self.len().max(1)) {
            return Ok(());
        }
        Err(TypedError::Length {
            tensor: self.name.clone(),
            found,
            expected: self.len(),
            shape: self.shape.clone(),
        })
    }

    fn format_name(&self) -> String {
        match self.encoding {
            Encoding::Fixed(format) => format.to_string(),
            Encoding::Bipolar { frac } => format!("bipolar, +-2^{}", -i64::from(frac)),
        }
    }

    fn at(&self, position: usize, problem: String) -> TypedError {
        let len = self.len().max(1);
        TypedError::Value {
            tensor: self.name.clone(),
            sample: position / len,
            element: position % len,
            problem,
            format: self.format_name(),
        }
    }

    fn value_error(&self, error: &FixedError) -> TypedError {
        let (position, problem) = match error {
            FixedError::Fraction {
                position,
                value,
                target,
            } => (
                *position,
                format!("{value} has bits below the last place of {target}"),
            ),
            FixedError::Range {
                position,
                value,
                target,
            } => (*position, format!("{value} is outside {target}")),
            FixedError::Mantissa {
                position, mantissa, ..
            } => (*position, format!("{mantissa} is none of its mantissas")),
            FixedError::Format(error) => (0, error.to_string()),
        };
        self.at(position, problem)
    }
}

#[cfg(test)]
mod tests {
    use fixed::types::{I4F4, I8F8, I16F16, U8F8};

    use super::*;
    use crate::fixed_point::Format;
    use crate::network::InputRule;

    fn one_tensor(encoding: Encoding, scale: f64) -> Network {
        Network {
            name: "one".to_owned(),
            tensors: vec![Tensor {
                name: "x".to_owned(),
                shape: vec![2, 3],
                encoding,
                scale,
            }],
            nodes: Vec::new(),
            layers: Vec::new(),
            params: Vec::new(),
            input: TensorId(0),
            input_axes: Vec::new(),
            input_rule: InputRule::Raw,
            output: TensorId(0),
            output_axes: Vec::new(),
            output_scales: Vec::new(),
            output_offsets: Vec::new(),
            off_chip: None,
            notes: Vec::new(),
        }
    }

    fn fixed(width: u32, integer: i32, signed: bool) -> Encoding {
        Encoding::Fixed(Format::new(width, integer, signed).unwrap())
    }

    #[test]
    fn samples_go_in_and_out_as_they_are() {
        let network = one_tensor(fixed(8, 4, true), 1.0);
        let values: Vec<I8F8> = (-6..6).map(|sixteenth| I8F8::from_num(sixteenth) / 16).collect();
        let mantissas = network.inputs_from_fixed(&values).unwrap();
        assert_eq!(mantissas, (-6..6).collect::<Vec<i64>>());
        assert_eq!(network.outputs_to_fixed::<I8F8>(&mantissas).unwrap(), values);
        let same: Vec<I4F4> = network.outputs_to_fixed(&mantissas).unwrap();
        assert_eq!(same[0], I4F4::from_num(-0.375));
    }

    #[test]
    fn what_does_not_fit_names_its_element() {
        let network = one_tensor(fixed(8, 4, true), 1.0);
        let mut values = vec![I8F8::ZERO; 12];
        values[10] = I8F8::from_num(8);
        let error = network.inputs_from_fixed(&values).unwrap_err();
        assert!(
            matches!(
                error,
                TypedError::Value {
                    sample: 1,
                    element: 4,
                    ..
                }
            ),
            "{error}"
        );
        values[10] = I8F8::DELTA;
        let error = network.inputs_from_fixed(&values).unwrap_err();
        assert!(error.to_string().contains("below the last place"), "{error}");
        assert!(matches!(
            network.inputs_from_fixed(&values[..7]),
            Err(TypedError::Length {
                found: 7,
                expected: 6,
                ..
            })
        ));
        let error = network.outputs_to_fixed::<U8F8>(&[0; 6]).unwrap_err();
        assert!(matches!(error, TypedError::Narrow { .. }), "{error}");
        let error = network
            .outputs_to_fixed::<I16F16>(&[0, 0, 0, 0, 0, 128])
            .unwrap_err();
        assert!(
            matches!(
                error,
                TypedError::Value {
                    sample: 0,
                    element: 5,
                    ..
                }
            ),
            "{error}"
        );
        let scaled = one_tensor(fixed(8, 4, true), 0.3);
        assert!(matches!(
            scaled.inputs_from_fixed(&values),
            Err(TypedError::Scale { scale: 0.3, .. })
        ));
        assert!(matches!(
            scaled.outputs_to_fixed::<I8F8>(&[0; 6]),
            Err(TypedError::Scale { .. })
        ));
    }

    #[test]
    fn bipolar_tensors_have_two_values() {
        let network = one_tensor(Encoding::Bipolar { frac: 1 }, 1.0);
        let half = I8F8::from_num(0.5);
        let values = [half, -half, half, half, half, -half];
        let mantissas = network.inputs_from_fixed(&values).unwrap();
        assert_eq!(mantissas, [1, -1, 1, 1, 1, -1]);
        assert_eq!(network.outputs_to_fixed::<I8F8>(&mantissas).unwrap(), values);
        let error = network.inputs_from_fixed(&[I8F8::ZERO; 6]).unwrap_err();
        assert!(matches!(error, TypedError::Value { element: 0, .. }), "{error}");
    }
}
