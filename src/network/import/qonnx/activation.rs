//! Real functions that wait for a quantizer: rectifiers, clips, batch normalization.

use num_rational::BigRational;
use num_traits::{Signed, Zero};

use super::domain::channels_last;
use super::exact::{self};
use super::operand::picked;
use super::stream::{PerChannel, Step};
use super::{Importer, Value};
use crate::network::import::ImportError;
use crate::network::import::onnx::OnnxNode;

impl Importer<'_> {
    /// `BatchNormalization` with fixed statistics.
    pub fn batch_normalization(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let operand = self.operand(node, 0)?;
        let shape = operand.view.shape();
        // The channels are axis 1 of the file, or its last.
        let axis = if channels_last(node) {
            shape.len().saturating_sub(1)
        } else {
            0
        };
        let channels = shape.get(axis).copied().unwrap_or(1);
        let mut numbers = Vec::with_capacity(4);
        for (position, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
            let (values, _) = self.exact_constant(node, position, what)?;
            if values.len() != channels {
                return Err(self
                    .structure(
                        node,
                        &format!("has {} values of {what} for {channels} channels", values.len()),
                    )
                    .expected("one value per channel")
                    .help("export the network again"));
            }
            numbers.push(values);
        }
        let epsilon = node.float("epsilon").unwrap_or(f64::from(1e-5f32));
        let epsilon = exact::rational(epsilon).ok_or_else(|| {
            self.structure(node, "has an epsilon that is no finite number")
                .expected("a small positive epsilon")
                .help("export the network again")
        })?;
        let variance: PerChannel = numbers[3].iter().map(|value| value + &epsilon).collect();
        if variance.iter().any(|value| !value.is_positive()) {
            return Err(self
                .structure(node, "has a variance that is not above zero")
                .expected("positive variances")
                .help("check the trained statistics"));
        }
        let count = numbers.iter().map(Vec::len).sum();
        self.note_not_stored(
            node,
            "",
            count,
            "the batch normalization is part of the thresholds or the output behind it",
        );
        let along: Vec<usize> = (0..shape.len())
            .map(|one| if one == axis { channels } else { 1 })
            .collect();
        let (mut operand, positions) = self.align(node, operand, &along)?;
        operand.stream.steps.push(Step::BatchNormalization {
            gamma: picked(&numbers[0], &positions),
            beta: picked(&numbers[1], &positions),
            mean: picked(&numbers[2], &positions),
            variance: picked(&variance, &positions),
        });
        Ok(self.value_of(operand))
    }

    /// `Relu`, `LeakyRelu`, `Clip`, `Sigmoid`, `Tanh`.
    pub fn activation(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let mut operand = self.operand(node, 0)?;
        let bound = |importer: &Self,
                     attributes: &[&str],
                     position: usize|
         -> Result<Option<BigRational>, ImportError> {
            for attribute in attributes {
                if let Some(value) = node.float(attribute) {
                    return exact::rational(value).map(Some).ok_or_else(|| {
                        importer
                            .structure(node, "has a bound that is no finite number")
                            .expected("finite bounds")
                            .help("export the network again")
                    });
                }
            }
            match node.input(position) {
                Some(_) => match importer.exact_constant(node, position, "bound")?.0.as_slice() {
                    [bound] => Ok(Some(bound.clone())),
                    bounds => Err(importer
                        .unsupported(node, &format!("has {} values as one bound", bounds.len()))
                        .expected("one number per bound")
                        .help("clip all channels alike, or use a MultiThreshold")),
                },
                None => Ok(None),
            }
        };
        let step = match node.op.as_str() {
            "Relu" => Step::Clamp {
                low: Some(BigRational::zero()),
                high: None,
            },
            "LeakyRelu" => {
                let alpha = exact::rational(node.float("alpha").unwrap_or(f64::from(0.01f32)))
                    .filter(|a| !a.is_negative());
                match alpha {
                    Some(alpha) if alpha.is_zero() => Step::Clamp {
                        low: Some(BigRational::zero()),
                        high: None,
                    },
                    Some(slope) => Step::Leaky { slope },
                    None => {
                        return Err(self
                            .unsupported(node, "has a slope below zero")
                            .expected("alpha of at least 0")
                            .help("use a monotone activation"));
                    }
                }
            }
            "Sigmoid" => Step::Sigmoid,
            "Tanh" => Step::Tanh,
            _ => {
                let low = bound(self, &["min", "min_val"], 1)?;
                let high = bound(self, &["max", "max_val"], 2)?;
                if let (Some(low), Some(high)) = (&low, &high)
                    && low > high
                {
                    return Err(self
                        .structure(node, "has a lower bound above its upper bound")
                        .expected("min <= max")
                        .help("check the bounds"));
                }
                Step::Clamp { low, high }
            }
        };
        let stream = &mut operand.stream;
        match (stream.steps.last_mut(), step) {
            // A rectifier before a clip with the same or a higher floor is part of the clip.
            (
                Some(Step::Clamp {
                    low: Some(floor),
                    high: None,
                }),
                Step::Clamp { low: Some(low), high },
            ) if low >= *floor => {
                *floor = low;
                if let Some(Step::Clamp { high: ceiling, .. }) = stream.steps.last_mut() {
                    *ceiling = high;
                }
            }
            (_, step) => stream.steps.push(step),
        }
        Ok(self.value_of(operand))
    }
}
