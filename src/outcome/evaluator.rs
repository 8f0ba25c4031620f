//! From the values behind the accelerator to a loss and a verdict.

use super::loss::{Loss, SampleView, top1, wrong_pixels};
use super::readout::{self, Readout};
use super::{OutcomeError, OutcomePart};
use serde::Serialize;

use crate::data::Array;

/// What one sample's run came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The loss.
    pub loss: f64,
    /// Whether the predicted class (of every pixel, where each has one) is the label, or without
    /// labels the fault-free prediction; `None` where there are neither.
    pub correct: Option<bool>,
    /// Share of classes predicted right: 0 or 1, or a share of the pixels. Its mean over the samples
    /// is the accuracy. `None` as for `correct`.
    pub accuracy: Option<f64>,
}

/// What an [`Evaluator`] is made of. Arrays have samples first.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is between the accelerator and the user.
    pub readout: Readout,
    /// Position in the accelerator's output of each value that the readout reads; the same order
    /// where there is none.
    pub order: Option<Vec<usize>>,
    /// What counts as damage.
    pub loss: Loss,
    /// Indices picked from the readout's flattened output, and from targets as long as that output.
    pub gather: Option<Array>,
    /// What the (gathered) output ought to be.
    pub target: Option<Array>,
    /// Class of every sample, or of every pixel of every sample.
    pub labels: Option<Array>,
    /// How many values of the last axis are classes, from the first on; all by default.
    pub classes: Option<usize>,
}

/// Readout, gather, loss, targets and labels of a campaign.
///
/// Classes lie on the last axis of the (gathered) output; every other axis counts pixels. Its serialized form is
/// all that determines an outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluator {
    readout: Readout,
    order: Option<Vec<usize>>,
    loss: Loss,
    gather: Option<Vec<usize>>,
    /// `[sample][gathered output]`; empty where there is none.
    target: Vec<f64>,
    /// `[sample][pixel]`; empty where there is none.
    labels: Vec<usize>,
    /// `[sample][pixel]`: what takes the place of labels.
    predictions: Vec<usize>,
    /// Whether classes are to be known whatever the loss.
    wants_classes: bool,
    /// Values of a sample behind readout and gather.
    width: usize,
    /// Values of a pixel.
    pixel_width: usize,
    classes: usize,
}

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    readout: readout::Scratch,
    ordered: Vec<f64>,
    gathered: Vec<f64>,
}

impl Evaluator {
    /// Checks that the parts fit each other and `samples` samples, each of `values` values behind
    /// the accelerator. Arrays may hold more samples; the first ones count.
    ///
    /// # Errors
    /// [`OutcomeError`] where a shape, an index or a label does not fit, or a part is missing.
    pub fn new(setup: Setup, samples: usize, values: usize) -> Result<Self, OutcomeError> {
        let Setup { readout, loss, .. } = setup;
        if readout.input_len() != values {
            let problem = format!(
                "takes {} values {:?}; the network makes {values}",
                readout.input_len(),
                readout.input_shape()
            );
            return Err(OutcomeError::new(OutcomePart::Readout, problem).remedy(
                "as many inputs as the network has outputs",
                "use the readout that was trained with this network",
            ));
        }
        let gather = setup
            .gather
            .map(|array| check_gather(&array, &readout))
            .transpose()?;
        let mut shape = readout.output_shape().to_vec();
        if let Some(gather) = &gather {
            shape = vec![gather.len()];
        }
        let width: usize = shape.iter().product();
        let pixel_width = shape.last().copied().unwrap_or(1);
        let classes = setup.classes.unwrap_or(pixel_width);
        if classes == 0 || classes > pixel_width {
            let problem = format!("are {classes}; the last axis of the output {shape:?} has {pixel_width}");
            return Err(OutcomeError::new(OutcomePart::Classes, problem).remedy(
                "at least one, and no more than the last axis has",
                "state the number of classes",
            ));
        }
        let target = match setup.target {
            Some(array) if loss.needs_target() => {
                check_target(&array, samples, width, gather.as_deref(), readout.output_len())?
            }
            None if loss.needs_target() => {
                let problem = format!("are missing for the loss `{}`", loss.name());
                return Err(OutcomeError::new(OutcomePart::Targets, problem)
                    .remedy("one row per sample", "name an array of targets"));
            }
            _ => Vec::new(),
        };
        if let Some(cells) = loss.cells().filter(|&cells| cells != width) {
            let problem = format!("is between {cells} cells; the output has {width} values");
            return Err(OutcomeError::new(OutcomePart::GroundDistance, problem).remedy(
                "one cell per value",
                "pick the values that are cells with a gather",
            ));
        }
        let pixels = width / pixel_width;
        let labels = match setup.labels {
            Some(array) => check_labels(&array, samples, pixels, classes)?,
            None if loss.needs_labels() => {
                let problem = format!("are missing for the loss `{}`", loss.name());
                return Err(OutcomeError::new(OutcomePart::Labels, problem)
                    .remedy("one class per sample", "name an array of labels"));
            }
            None => Vec::new(),
        };
        Ok(Self {
            readout,
            order: setup.order.filter(|order| order.len() == values),
            loss,
            gather,
            target,
            labels,
            predictions: Vec::new(),
            wants_classes: false,
            width,
            pixel_width,
            classes,
        })
    }

    /// The loss.
    #[must_use]
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// The readout.
    #[must_use]
    pub fn readout(&self) -> &Readout {
        &self.readout
    }

    /// Whether [`Evaluator::remember`] has to see the fault-free run before the first evaluation:
    /// the loss is about classes and there are no labels.
    #[must_use]
    pub fn needs_fault_free(&self) -> bool {
        (self.wants_classes || self.loss.needs_classes())
            && self.labels.is_empty()
            && self.predictions.is_empty()
    }

    /// Makes the classes known whatever the loss: without labels the fault-free ones take their place.
    pub fn ask_for_classes(&mut self) {
        self.wants_classes = true;
    }

    /// The same with another loss, which sees the targets and labels that there are.
    ///
    /// # Errors
    /// [`OutcomeError`] where the loss needs targets or labels that are not there, or another number of values.
    pub fn with_loss(self, loss: Loss) -> Result<Self, OutcomeError> {
        let missing = |part, what: &str| {
            let problem = format!("are missing for the loss `{}`", loss.name());
            OutcomeError::new(part, problem).remedy(format!("{what} per sample"), "name an array of them")
        };
        if loss.needs_target() && self.target.is_empty() {
            return Err(missing(OutcomePart::Targets, "one row"));
        }
        if loss.needs_labels() && self.labels.is_empty() {
            return Err(missing(OutcomePart::Labels, "one class"));
        }
        if let Some(cells) = loss.cells().filter(|&cells| cells != self.width) {
            let problem = format!("is between {cells} cells; the output has {} values", self.width);
            return Err(OutcomeError::new(OutcomePart::GroundDistance, problem).remedy(
                "one cell per value",
                "pick the values that are cells with a gather",
            ));
        }
        Ok(Self { loss, ..self })
    }

    /// Takes the classes predicted by the fault-free run for labels where there are none.
    ///
    /// `outputs` are the values behind the accelerator of all samples, `[sample][value]`. Also useful
    /// for losses that are not about classes, so that [`Outcome::correct`] is known.
    ///
    /// # Panics
    /// Where `outputs` is not a multiple of the readout's input.
    pub fn remember(&mut self, outputs: &[f64]) {
        if !self.labels.is_empty() {
            return;
        }
        let len = self.readout.input_len();
        assert_eq!(outputs.len() % len.max(1), 0, "whole samples");
        let mut scratch = Scratch::default();
        let mut predictions = Vec::new();
        for values in outputs.chunks_exact(len.max(1)) {
            let output = self.output(
                values,
                &mut scratch.readout,
                &mut scratch.ordered,
                &mut scratch.gathered,
            );
            predictions.extend(self.predicted(output));
        }
        self.predictions = predictions;
    }

    /// The share of each class among the labels; none without labels.
    #[must_use]
    pub fn label_shares(&self) -> Option<Vec<f64>> {
        if self.labels.is_empty() {
            return None;
        }
        let mut counts = vec![0u64; self.classes];
        for &label in &self.labels {
            counts[label] += 1;
        }
        let all = self.labels.len() as f64;
        Some(counts.into_iter().map(|count| count as f64 / all).collect())
    }

    /// The class of one sample, or of each of its pixels.
    #[must_use]
    pub fn classes_of(&self, values: &[f64], scratch: &mut Scratch) -> Vec<usize> {
        let Scratch {
            readout,
            ordered,
            gathered,
            ..
        } = scratch;
        let output = self.output(values, readout, ordered, gathered);
        self.predicted(output).collect()
    }

    /// The readout's (gathered) output of one sample.
    fn output<'s>(
        &self,
        values: &[f64],
        scratch: &'s mut readout::Scratch,
        ordered: &mut Vec<f64>,
        gathered: &'s mut Vec<f64>,
    ) -> &'s [f64] {
        let values = match &self.order {
            None => values,
            Some(order) => {
                ordered.clear();
                ordered.extend(order.iter().map(|&at| values[at]));
                ordered
            }
        };
        let output = self.readout.evaluate(values, scratch);
        match &self.gather {
            None => output,
            Some(indices) => {
                gathered.clear();
                gathered.extend(indices.iter().map(|&index| output[index]));
                gathered
            }
        }
    }

    /// The classes predicted for the pixels of an output, in order.
    fn predicted<'a>(&'a self, output: &'a [f64]) -> impl Iterator<Item = usize> + 'a {
        output
            .chunks_exact(self.pixel_width)
            .map(|pixel| top1(&pixel[..self.classes]))
    }

    /// The outcome of one sample.
    ///
    /// `values` are those behind the accelerator (not its integers); `differs` says whether any
    /// integer there differs from the fault-free run. A pure function of its arguments and of the
    /// evaluator: `scratch` only lends memory.
    ///
    /// # Panics
    /// Where `values` has not the readout's length, or the sample is beyond those promised.
    pub fn evaluate(&self, sample: usize, values: &[f64], differs: bool, scratch: &mut Scratch) -> Outcome {
        let reference = if self.labels.is_empty() {
            &self.predictions
        } else {
            &self.labels
        };
        let view = |output, target, labels| SampleView {
            output,
            target,
            labels,
            pixel_width: self.pixel_width,
            classes: self.classes,
            differs,
        };
        if !self.loss.reads_output() && reference.is_empty() {
            return Outcome {
                loss: self.loss.evaluate(&view(&[], &[], &[])),
                correct: None,
                accuracy: None,
            };
        }
        let output = self.output(
            values,
            &mut scratch.readout,
            &mut scratch.ordered,
            &mut scratch.gathered,
        );
        let pixels = self.width / self.pixel_width;
        let expected = if reference.is_empty() {
            &[]
        } else {
            &reference[sample * pixels..][..pixels]
        };
        let target = if self.target.is_empty() {
            &[]
        } else {
            &self.target[sample * self.width..][..self.width]
        };
        let view = view(output, target, expected);
        let wrong = wrong_pixels(&view);
        let known = !expected.is_empty();
        Outcome {
            loss: self.loss.evaluate(&view),
            correct: known.then_some(wrong == 0),
            accuracy: known.then(|| (pixels - wrong) as f64 / pixels as f64),
        }
    }
}

fn check_gather(array: &Array, readout: &Readout) -> Result<Vec<usize>, OutcomeError> {
    let fail = |problem: String| {
        OutcomeError::new(OutcomePart::Gather, problem).remedy(
            format!("indices from 0 to {}", readout.output_len().saturating_sub(1)),
            "name an array of indices into the readout's flattened output",
        )
    };
    let indices = array
        .integers()
        .ok_or_else(|| fail("holds values that are no integers".to_owned()))?;
    if indices.is_empty() {
        return Err(fail("is empty".to_owned()));
    }
    indices
        .iter()
        .map(|&index| {
            usize::try_from(index)
                .ok()
                .filter(|&index| index < readout.output_len())
                .ok_or_else(|| fail(format!("holds the index {index}")))
        })
        .collect()
}

/// Elements per sample, where there are enough samples.
fn row_len(place: OutcomePart, array: &Array, samples: usize) -> Result<usize, OutcomeError> {
    if array.samples() < samples {
        let problem = format!("are {} rows for {samples} samples", array.samples());
        return Err(OutcomeError::new(place, problem).remedy(
            "one row per sample",
            "name the array that belongs to the inputs, or take fewer samples",
        ));
    }
    Ok(array.len() / array.samples().max(1))
}

fn check_target(
    array: &Array,
    samples: usize,
    width: usize,
    gather: Option<&[usize]>,
    output_len: usize,
) -> Result<Vec<f64>, OutcomeError> {
    let place = OutcomePart::Targets;
    let row = row_len(place, array, samples)?;
    let values = array.reals();
    let picked: Vec<f64> = match gather {
        Some(indices) if row == output_len => values
            .chunks_exact(row)
            .take(samples)
            .flat_map(|row| indices.iter().map(|&index| row[index]))
            .collect(),
        _ if row == width => values.into_iter().take(samples * width).collect(),
        _ => {
            let problem = format!("have {row} values per sample");
            return Err(OutcomeError::new(place, problem).remedy(
                format!("{width} as the (gathered) output, or {output_len} as the readout's output"),
                "name the array that the readout ought to reproduce",
            ));
        }
    };
    if let Some(at) = picked.iter().position(|value| !value.is_finite()) {
        let problem = format!("hold {} in sample {}", picked[at], at / width);
        return Err(OutcomeError::new(place, problem).remedy("finite numbers", "remove such samples"));
    }
    Ok(picked)
}

fn check_labels(
    array: &Array,
    samples: usize,
    pixels: usize,
    classes: usize,
) -> Result<Vec<usize>, OutcomeError> {
    let place = OutcomePart::Labels;
    let row = row_len(place, array, samples)?;
    // A class per pixel goes first, where a shape could be read both ways.
    if row != pixels && row == pixels * classes && array.shape.len() > 1 {
        return one_hot(array, samples, pixels, classes);
    }
    if row != pixels {
        let problem = format!("are {row} per sample; the output has {pixels} pixels with classes");
        return Err(OutcomeError::new(place, problem).remedy(
            "one class per sample, or per pixel where the output is a map with its classes last; or, for each, a one among as many zeros as there are other classes",
            "name the array of classes that belongs to the inputs",
        ));
    }
    let fail = |problem: String| {
        OutcomeError::new(place, problem).remedy(
            format!("classes from 0 to {}", classes - 1),
            "check the labels and the number of classes",
        )
    };
    array
        .integers()
        .ok_or_else(|| fail("hold values that are no integers".to_owned()))?
        .iter()
        .take(samples * pixels)
        .enumerate()
        .map(|(at, &label)| {
            usize::try_from(label)
                .ok()
                .filter(|&label| label < classes)
                .ok_or_else(|| fail(format!("hold {label} in sample {}", at / pixels)))
        })
        .collect()
}

/// Classes from rows with a one at the class and zeros elsewhere.
fn one_hot(array: &Array, samples: usize, pixels: usize, classes: usize) -> Result<Vec<usize>, OutcomeError> {
    let values = array.reals();
    values
        .chunks_exact(classes)
        .take(samples * pixels)
        .enumerate()
        .map(|(at, row)| {
            let class = row.iter().position(|&value| value == 1.0);
            let zeros = row.iter().filter(|&&value| value == 0.0).count();
            class.filter(|_| zeros == classes - 1).ok_or_else(|| {
                let problem = format!("hold {row:?} in sample {}", at / pixels);
                OutcomeError::new(OutcomePart::Labels, problem).remedy(
                    "one 1 and otherwise 0 in each row of one-hot labels",
                    "name an array of classes, or of one-hot rows",
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
