//! From the values behind the accelerator to a loss and a verdict.

use super::loss::{self, Loss, SampleView, wrong_pixels};
use super::metric::{Metric, MetricView};
use super::readout::{self, OutputKind, Readout};
use super::{OutcomeError, OutcomePart};
use serde::Serialize;

use crate::data::Array;
use crate::network::{ArrayOrder, Layout, Reading};

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

/// The samples that enter the network, as they would be targets.
#[derive(Clone, Debug)]
pub struct Samples {
    /// How they lie.
    pub layout: Layout,
    /// `[sample][element]`, in the order of the network's input tensor.
    pub values: Vec<f64>,
}

/// What an [`Evaluator`] is made of. Arrays have samples first; they are read by their shapes, which are the
/// readout's own ([`Readout::layout`]) or channels last, or flat rows.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is between the accelerator and the user.
    pub readout: Readout,
    /// Position in the accelerator's output of each value that the readout reads; the same order
    /// where there is none.
    pub order: Option<Vec<usize>>,
    /// What counts as damage.
    pub loss: Loss,
    /// Indices picked from the readout's flattened output, and from targets of that output's shape.
    pub gather: Option<Array>,
    /// What the (gathered) output ought to be; without it the samples.
    pub target: Option<Array>,
    /// The samples: the target where none is given. Targets may have their shape as well.
    pub samples: Option<Samples>,
    /// The order of all arrays where it is stated; otherwise their shapes tell, and the file's own order goes
    /// first.
    pub stated: Option<ArrayOrder>,
    /// Class of every sample, or of every pixel of every sample.
    pub labels: Option<Array>,
    /// How many values of the last axis are classes, from the first on; all by default.
    pub classes: Option<usize>,
    /// What else is to be known beside the loss.
    pub metrics: Vec<Metric>,
}

/// Readout, gather, loss, targets and labels of a campaign.
///
/// Classes lie on the last axis of the (gathered) output; every other axis counts pixels. Its serialized form is
/// all that determines an outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluator {
    readout: Readout,
    /// The same with the logarithms of its probabilities, for losses that apply a softmax themselves.
    #[serde(skip)]
    logarithms: Option<Readout>,
    order: Option<Vec<usize>>,
    loss: Loss,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric>,
    /// Positions in the readout's output of the values that are judged: what is gathered, or all of them with
    /// the classes last; the output itself where there are none.
    picked: Option<Vec<usize>>,
    /// Orders of arrays that could be read in two ways, one sentence each.
    #[serde(skip)]
    notes: Vec<String>,
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
    /// Rows of the readout as the loss sees it, and of the other one.
    rows: [Vec<f64>; 2],
}

impl Evaluator {
    /// Checks that the parts fit each other and `samples` samples, each of `values` values behind
    /// the accelerator. Arrays may hold more samples; the first ones count.
    ///
    /// # Errors
    /// [`OutcomeError`] where a shape, an index or a label does not fit, or a part is missing.
    pub fn new(setup: Setup, samples: usize, values: usize) -> Result<Self, OutcomeError> {
        let Setup {
            readout,
            loss,
            metrics,
            stated,
            ..
        } = setup;
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
        let mut notes = Vec::new();
        let selected = match readout.kind() {
            OutputKind::Indices { classes } => Some(classes),
            OutputKind::Values | OutputKind::LogProbabilities => None,
        };
        check_indices(selected, loss.takes_indices(), &the_loss(&loss))?;
        for metric in &metrics {
            check_indices(selected, metric.takes_indices(), &the_metric(metric))?;
        }
        let output = readout.layout().clone();
        let gather = setup
            .gather
            .map(|array| check_gather(&array, &readout))
            .transpose()?;
        let gather = gather.map(|indices| gathered(indices, &output, stated, &mut notes));
        let layout = match &gather {
            Some(gather) if selected.is_some() => Layout::channels_are_last(&[gather.len(), 1]),
            Some(gather) => Layout::channels_are_last(&[gather.len()]),
            None => output.clone(),
        };
        let shape = layout.channels_last();
        let width: usize = shape.iter().product();
        let pixel_width = if selected.is_some() {
            1
        } else {
            shape.last().copied().unwrap_or(1)
        };
        let classes = setup.classes.or(selected).unwrap_or(pixel_width);
        if let Some(selected) = selected.filter(|&selected| selected != classes) {
            let problem = format!("are {classes}; the network itself selects among {selected}");
            return Err(OutcomeError::new(OutcomePart::Classes, problem).remedy(
                format!("{selected}"),
                "leave the number of classes out, or read the values in front of the selection",
            ));
        }
        if selected.is_none() && (classes == 0 || classes > pixel_width) {
            let problem = format!("are {classes}; the last axis of the output {shape:?} has {pixel_width}");
            return Err(OutcomeError::new(OutcomePart::Classes, problem).remedy(
                "at least one, and no more than the last axis has",
                "state the number of classes",
            ));
        }
        let metric_that =
            |needs: fn(&Metric) -> bool| metrics.iter().find(|metric| needs(metric)).map(the_metric);
        let with_target = loss.needs_target().then(|| the_loss(&loss));
        let with_target = with_target.or_else(|| metric_that(|metric| metric.needs_target()));
        let target = if let Some(who) = with_target {
            let judged = Judged {
                output: &output,
                gather: gather.as_deref(),
                width,
                stated,
            };
            match (setup.target, &setup.samples) {
                (Some(array), given) => judged.target(&array, samples, given.as_ref(), &mut notes)?,
                (None, Some(given)) => judged.samples(given, samples, &mut notes)?,
                (None, None) => {
                    let problem = format!("are missing for {who}");
                    return Err(OutcomeError::new(OutcomePart::Targets, problem)
                        .remedy("one row per sample", "name an array of targets"));
                }
            }
        } else {
            Vec::new()
        };
        check_cells(loss.cells(), width)?;
        for metric in &metrics {
            check_cells(metric.cells(), width)?;
        }
        let logarithms = readout.log_probabilities();
        let with_labels = loss.needs_labels().then(|| the_loss(&loss));
        let with_labels = with_labels.or_else(|| metric_that(|metric| metric.needs_labels()));
        let labels = match (setup.labels, with_labels) {
            (Some(array), _) => check_labels(&array, samples, &layout, classes, stated, &mut notes)?,
            (None, Some(who)) => {
                let problem = format!("are missing for {who}");
                return Err(OutcomeError::new(OutcomePart::Labels, problem)
                    .remedy("one class per sample", "name an array of labels"));
            }
            (None, None) => Vec::new(),
        };
        let mut order = setup.order.filter(|order| order.len() == values);
        let mut picked = match gather {
            Some(gather) => Some(
                gather
                    .into_iter()
                    .map(|at| output.file_positions().map_or(at, |positions| positions[at]))
                    .collect(),
            ),
            None => output.file_positions(),
        };
        if readout.is_identity()
            && let Some(all) = picked.as_ref().filter(|picked| picked.len() == values)
        {
            // Nothing lies between the two orders.
            let both: Vec<usize> = all
                .iter()
                .map(|&at| order.as_ref().map_or(at, |order| order[at]))
                .collect();
            picked = None;
            order = (!both.iter().copied().eq(0..values)).then_some(both);
        }
        Ok(Self {
            readout,
            logarithms,
            order,
            loss,
            metrics,
            picked,
            notes,
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

    /// Orders of arrays that could be read in two ways, and how they were read: one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The readout.
    #[must_use]
    pub fn readout(&self) -> &Readout {
        &self.readout
    }

    /// Whether [`Evaluator::remember`] has to see the fault-free run before the first evaluation:
    /// the loss or a metric is about classes and there are no labels, or a metric is about the fault-free classes.
    #[must_use]
    pub fn needs_fault_free(&self) -> bool {
        let about_classes = self.wants_classes
            || self.loss.needs_classes()
            || self.metrics.iter().any(|metric| metric.needs_classes());
        let needed = about_classes && self.labels.is_empty() || self.compares_with_fault_free();
        needed && self.predictions.is_empty()
    }

    fn compares_with_fault_free(&self) -> bool {
        self.metrics.iter().any(|metric| metric.needs_fault_free())
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
        let selected = match self.readout.kind() {
            OutputKind::Indices { classes } => Some(classes),
            OutputKind::Values | OutputKind::LogProbabilities => None,
        };
        check_indices(selected, loss.takes_indices(), &the_loss(&loss))?;
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
        check_cells(loss.cells(), self.width)?;
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
        if !self.labels.is_empty() && !self.compares_with_fault_free() {
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

    /// The readout as the loss sees it.
    fn seen(&self) -> &Readout {
        let logarithms = self.logarithms.as_ref().filter(|_| self.loss.takes_logits());
        logarithms.unwrap_or(&self.readout)
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
        let output = self.seen().evaluate(values, scratch);
        match &self.picked {
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
        let kind = self.seen().kind();
        let classes = self.classes.min(self.pixel_width);
        output
            .chunks_exact(self.pixel_width)
            .map(move |pixel| loss::predicted(kind, &pixel[..classes]))
    }

    /// The outcome of every sample of which any output integer differs from the fault-free run, where nothing else
    /// counts.
    #[must_use]
    pub fn outcome_of_difference(&self) -> Option<Outcome> {
        self.is_blind().then(|| self.judge(0, &[], true))
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
        if self.is_blind() {
            return self.judge(sample, &[], differs);
        }
        let output = self.output(
            values,
            &mut scratch.readout,
            &mut scratch.ordered,
            &mut scratch.gathered,
        );
        self.judge(sample, output, differs)
    }

    /// What [`Evaluator::judge`] sees of several samples, `values` being `[sample][value behind the accelerator]`:
    /// appended to `outputs`, `[sample][gathered output]`. Readouts run side by side; each row has the bits that it has
    /// alone.
    ///
    /// # Panics
    /// Where `values` is not a multiple of the readout's input.
    pub fn outputs(&self, values: &[f64], scratch: &mut Scratch, outputs: &mut Vec<f64>) {
        let len = self.readout.input_len().max(1);
        let ordered = &mut scratch.ordered;
        let values = match &self.order {
            None => values,
            Some(order) => {
                ordered.clear();
                for values in values.chunks_exact(len) {
                    ordered.extend(order.iter().map(|&at| values[at]));
                }
                ordered
            }
        };
        let Some(other) = self.other() else {
            return self.rows(
                self.seen(),
                values,
                &mut scratch.readout,
                &mut scratch.gathered,
                outputs,
            );
        };
        let [first, second] = &mut scratch.rows;
        for (readout, rows) in [(self.seen(), &mut *first), (other, &mut *second)] {
            rows.clear();
            self.rows(readout, values, &mut scratch.readout, &mut scratch.gathered, rows);
        }
        let width = self.width.max(1);
        for (first, second) in first.chunks_exact(width).zip(second.chunks_exact(width)) {
            outputs.extend_from_slice(first);
            outputs.extend_from_slice(second);
        }
    }

    /// The gathered outputs of one readout.
    fn rows(
        &self,
        readout: &Readout,
        values: &[f64],
        scratch: &mut readout::Scratch,
        all: &mut Vec<f64>,
        rows: &mut Vec<f64>,
    ) {
        let Some(indices) = &self.picked else {
            return readout.evaluate_all(values, scratch, rows);
        };
        all.clear();
        readout.evaluate_all(values, scratch, all);
        for output in all.chunks_exact(readout.output_len().max(1)) {
            rows.extend(indices.iter().map(|&index| output[index]));
        }
    }

    /// The readout that the loss does not see and a metric does, where there are two.
    fn other(&self) -> Option<&Readout> {
        let logarithms = self.logarithms.as_ref()?;
        let of_loss = self.loss.takes_logits();
        let mut metrics = self.metrics.iter();
        let differs = metrics.any(|metric| metric.takes_logits() != of_loss);
        differs.then_some(if of_loss { &self.readout } else { logarithms })
    }

    /// Values of a row of [`Evaluator::outputs`].
    #[must_use]
    pub fn width(&self) -> usize {
        self.width * if self.other().is_some() { 2 } else { 1 }
    }

    /// The metrics beside the loss.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The same with other metrics, which see the targets and labels that there are.
    ///
    /// # Errors
    /// [`OutcomeError`] where a metric needs targets or labels that are not there, or another number of values.
    pub fn with_metrics(self, metrics: Vec<Metric>) -> Result<Self, OutcomeError> {
        let selected = match self.readout.kind() {
            OutputKind::Indices { classes } => Some(classes),
            OutputKind::Values | OutputKind::LogProbabilities => None,
        };
        for metric in &metrics {
            check_indices(selected, metric.takes_indices(), &the_metric(metric))?;
            check_cells(metric.cells(), self.width)?;
            let missing = |part, expected: &str| {
                let problem = format!("are missing for {}", the_metric(metric));
                Err(OutcomeError::new(part, problem).remedy(expected, "name an array of them"))
            };
            if metric.needs_target() && self.target.is_empty() {
                return missing(OutcomePart::Targets, "one row per sample");
            }
            if metric.needs_labels() && self.labels.is_empty() {
                return missing(OutcomePart::Labels, "one class per sample");
            }
        }
        Ok(Self { metrics, ..self })
    }

    /// Numbers that a sample contributes to the sums of all metrics.
    #[must_use]
    pub fn contributions(&self) -> usize {
        let sums = self.metrics.iter().map(|metric| metric.sums(self.classes));
        sums.sum()
    }

    /// Appends what a sample contributes to the sums of all metrics; the arguments are those of [`Evaluator::judge`].
    ///
    /// # Panics
    /// Where the sample is beyond those promised.
    pub fn contribute(&self, sample: usize, row: &[f64], differs: bool, sums: &mut Vec<f64>) {
        let other = self.other();
        let pixels = self.width / self.pixel_width;
        let of_sample = |classes: &'_ [usize]| {
            let last = classes.len().min((sample + 1) * pixels);
            (sample * pixels).min(last)..last
        };
        for metric in &self.metrics {
            let sees_other = metric.takes_logits() != self.loss.takes_logits();
            let (output, kind) = match other.filter(|_| sees_other) {
                Some(other) => (&row[self.width..], other.kind()),
                None => (&row[..self.width], self.seen().kind()),
            };
            let view = MetricView {
                sample: self.view(sample, output, kind, differs),
                fault_free: &self.predictions[of_sample(&self.predictions)],
            };
            let first = sums.len();
            sums.resize(first + metric.sums(self.classes), 0.0);
            metric.contribute(&view, &mut sums[first..]);
        }
    }

    /// The values of all metrics from their sums over that many samples.
    #[must_use]
    pub fn metric_values(&self, sums: &[f64], samples: usize) -> Vec<f64> {
        let mut rest = sums;
        let values = self.metrics.iter().map(|metric| {
            let (own, behind) = rest.split_at(metric.sums(self.classes));
            rest = behind;
            metric.value(own, samples)
        });
        values.collect()
    }

    /// Whether nothing but the difference of any integer counts.
    fn is_blind(&self) -> bool {
        !self.loss.reads_output()
            && self.labels.is_empty()
            && self.predictions.is_empty()
            && self.metrics.is_empty()
    }

    /// The outcome of one sample from its row of [`Evaluator::outputs`]; `differs` is as in [`Evaluator::evaluate`].
    ///
    /// # Panics
    /// Where the sample is beyond those promised.
    #[must_use]
    pub fn judge(&self, sample: usize, output: &[f64], differs: bool) -> Outcome {
        let kind = self.seen().kind();
        if self.is_blind() {
            let view = SampleView {
                output: &[],
                target: &[],
                labels: &[],
                pixel_width: self.pixel_width,
                classes: self.classes,
                differs,
                kind,
            };
            return Outcome {
                loss: self.loss.evaluate(&view),
                correct: None,
                accuracy: None,
            };
        }
        let view = self.view(sample, &output[..self.width], kind, differs);
        let pixels = self.width / self.pixel_width;
        let known = !view.labels.is_empty();
        let wrong = if known { wrong_pixels(&view) } else { 0 };
        Outcome {
            loss: self.loss.evaluate(&view),
            correct: known.then_some(wrong == 0),
            accuracy: known.then(|| (pixels - wrong) as f64 / pixels as f64),
        }
    }

    /// What there is to see of a sample.
    fn view<'v>(
        &'v self,
        sample: usize,
        output: &'v [f64],
        kind: OutputKind,
        differs: bool,
    ) -> SampleView<'v> {
        let reference = if self.labels.is_empty() {
            &self.predictions
        } else {
            &self.labels
        };
        let pixels = self.width / self.pixel_width;
        SampleView {
            output,
            target: if self.target.is_empty() {
                &[]
            } else {
                &self.target[sample * self.width..][..self.width]
            },
            labels: if reference.is_empty() {
                &[]
            } else {
                &reference[sample * pixels..][..pixels]
            },
            pixel_width: self.pixel_width,
            classes: self.classes,
            differs,
            kind,
        }
    }
}

fn the_loss(loss: &Loss) -> String {
    format!("the loss `{}`", loss.name())
}

fn the_metric(metric: &Metric) -> String {
    format!("the metric `{}`", metric.name())
}

/// Refuses a ground distance between another number of cells.
fn check_cells(cells: Option<usize>, width: usize) -> Result<(), OutcomeError> {
    let Some(cells) = cells.filter(|&cells| cells != width) else {
        return Ok(());
    };
    let problem = format!("is between {cells} cells; the output has {width} values");
    Err(OutcomeError::new(OutcomePart::GroundDistance, problem).remedy(
        "one cell per value",
        "pick the values that are cells with a gather",
    ))
}

/// Refuses a loss or metric of amounts where the output is indices among `selected` classes.
fn check_indices(selected: Option<usize>, takes_indices: bool, who: &str) -> Result<(), OutcomeError> {
    let Some(selected) = selected.filter(|_| !takes_indices) else {
        return Ok(());
    };
    let problem = format!(
        "{who} measures amounts; the network ends in the index of the best of {selected} classes, which is none"
    );
    Err(OutcomeError::new(OutcomePart::Loss, problem).remedy(
        "`mismatch` (any index changed) or `misclassify` (the first index is not the label)",
        "take another loss, or let the values in front of the selection leave the chip",
    ))
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

/// How an array that fits two orders was read.
pub(crate) fn doubt(what: &str, shape: &[usize], layout: &Layout, stated: Option<ArrayOrder>) -> String {
    if stated.is_some() {
        return format!(
            "{what} of shape {shape:?} are channels last: no operator says which axis of {:?} in the file holds the channels, the first is taken",
            layout.shape()
        );
    }
    format!(
        "{what} of shape {shape:?} fit the order of {:?} in the file as well as channels last {:?}: the file's own order is taken; state the layout to settle it",
        layout.shape(),
        layout.channels_last_array()
    )
}

/// Shape of a sample of an array.
fn row_shape(array: &Array) -> &[usize] {
    array.shape.get(1..).unwrap_or(&[])
}

/// Indices into the output channels last, from indices into the output as it lies.
fn gathered(
    indices: Vec<usize>,
    output: &Layout,
    stated: Option<ArrayOrder>,
    notes: &mut Vec<String>,
) -> Vec<usize> {
    let Some(reading) = output.read(&[output.len()], stated) else {
        return indices;
    };
    if reading.doubtful {
        notes.push(format!(
            "gather indices count in the file's own order of {:?}, not channels last; state the layout to settle it",
            output.shape()
        ));
    }
    let Some(order) = reading.order else {
        return indices;
    };
    let mut places = vec![0; order.len()];
    for (place, &at) in order.iter().enumerate() {
        places[at] = place;
    }
    indices.into_iter().map(|index| places[index]).collect()
}

/// What targets are compared with.
struct Judged<'a> {
    output: &'a Layout,
    /// Positions in the output, channels last.
    gather: Option<&'a [usize]>,
    width: usize,
    stated: Option<ArrayOrder>,
}

impl Judged<'_> {
    /// Targets from an array.
    fn target(
        &self,
        array: &Array,
        samples: usize,
        given: Option<&Samples>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<f64>, OutcomeError> {
        row_len(OutcomePart::Targets, array, samples)?;
        let row = row_shape(array);
        let len: usize = row.iter().product();
        let reals = array.reals();
        let values = reals.get(..samples * len).unwrap_or(&reals).to_vec();
        if let Some(reading) = self.output.read(row, self.stated) {
            // A flat row could be meant in the order of the samples, where a readout flattens in another.
            let others = given.filter(|_| row.len() <= 1 && self.output.shape().len() <= 1);
            let moved = others
                .and_then(|given| Some((given.layout.read(row, Some(ArrayOrder::File))?, given)))
                .and_then(|(read, given)| Some((read, given.layout.matched(self.output)?)))
                .is_some_and(|(read, matched)| !read.is_undone_by(&matched));
            if moved {
                notes.push(format!(
                    "targets of shape {row:?} are in the order of the readout's flat output, which is not that of flat samples"
                ));
            } else if reading.doubtful {
                notes.push(doubt("targets", row, self.output, self.stated));
            }
            return self.checked(self.gathered(reading.apply(values)));
        }
        if let Some(gather) = self.gather
            && Layout::plain(&[gather.len()]).read(row, None).is_some()
        {
            return self.checked(values);
        }
        let through = given.and_then(|given| {
            let read = given.layout.read(row, self.stated)?;
            Some((read, given.layout.matched(self.output)?, given))
        });
        if let Some((read, matched, given)) = through {
            if read.doubtful {
                notes.push(doubt("targets", row, &given.layout, self.stated));
            } else if matched.doubtful {
                notes.push(self.flat(&given.layout));
            }
            return self.checked(self.gathered(matched.apply(read.apply(values))));
        }
        Err(self.unequal(&format!("have the shape {row:?}")))
    }

    /// The samples as targets.
    fn samples(
        &self,
        given: &Samples,
        samples: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<f64>, OutcomeError> {
        let Some(matched) = given.layout.matched(self.output) else {
            let shape = given.layout.shape();
            return Err(self.unequal(&format!("are the inputs, of shape {shape:?} in the file,")));
        };
        if matched.doubtful {
            notes.push(self.flat(&given.layout));
        }
        let values = given
            .values
            .iter()
            .take(samples * given.layout.len())
            .copied()
            .collect();
        self.checked(self.gathered(matched.apply(values)))
    }

    fn flat(&self, from: &Layout) -> String {
        format!(
            "targets of shape {:?} and outputs of shape {:?} are compared as flat rows in their files' own orders",
            from.shape(),
            self.output.shape()
        )
    }

    fn unequal(&self, found: &str) -> OutcomeError {
        let (shape, last) = (self.output.shape(), self.output.channels_last_array());
        let problem = format!("{found} and are compared with an output of shape {shape:?}");
        let mut expected = format!("{shape:?} per sample as the output");
        if last != shape {
            expected += &format!(", {last:?} channels last");
        }
        expected += &format!(", or a flat row of {}", self.output.len());
        if self.gather.is_some() {
            expected += &format!(" or, as what is gathered from it, of {}", self.width);
        }
        OutcomeError::new(OutcomePart::Targets, problem)
            .remedy(expected, "name the array that the readout ought to reproduce")
    }

    fn gathered(&self, values: Vec<f64>) -> Vec<f64> {
        match self.gather {
            None => values,
            Some(indices) => values
                .chunks_exact(self.output.len().max(1))
                .flat_map(|row| indices.iter().map(|&index| row[index]))
                .collect(),
        }
    }

    fn checked(&self, values: Vec<f64>) -> Result<Vec<f64>, OutcomeError> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let problem = format!("hold {} in sample {}", values[at], at / self.width);
            return Err(OutcomeError::new(OutcomePart::Targets, problem)
                .remedy("finite numbers", "remove such samples"));
        }
        Ok(values)
    }
}

fn check_labels(
    array: &Array,
    samples: usize,
    layout: &Layout,
    classes: usize,
    stated: Option<ArrayOrder>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, OutcomeError> {
    let place = OutcomePart::Labels;
    row_len(place, array, samples)?;
    let row = row_shape(array);
    let map = layout.without_channels();
    let pixels = map.len();
    // A class per pixel goes first, where a shape could be read both ways.
    let Some(reading) = map.read(row, stated) else {
        let one_hot_map = layout.clone().with_channels(classes);
        let reading = one_hot_map.read(row, stated).filter(|_| array.shape.len() > 1);
        if let Some(reading) = reading {
            if reading.doubtful {
                notes.push(doubt("one-hot labels", row, &one_hot_map, stated));
            }
            return one_hot(array, samples, pixels, classes, &reading);
        }
        let problem = if pixels == 1 {
            format!("have the shape {row:?} per sample; the output has one class")
        } else {
            let shape = map.shape();
            format!("have the shape {row:?} per sample; the output is a map of {shape:?} pixels with classes")
        };
        return Err(OutcomeError::new(place, problem).remedy(
            "one class per sample, or per pixel where the output is a map; or, for each, a one among as many zeros as there are other classes",
            "name the array of classes that belongs to the inputs",
        ));
    };
    if reading.doubtful {
        notes.push(doubt("labels", row, &map, stated));
    }
    let fail = |problem: String| {
        OutcomeError::new(place, problem).remedy(
            format!("classes from 0 to {}", classes - 1),
            "check the labels and the number of classes",
        )
    };
    let values = array
        .integers()
        .ok_or_else(|| fail("hold values that are no integers".to_owned()))?;
    reading
        .apply(values)
        .into_iter()
        .take(samples * pixels)
        .enumerate()
        .map(|(at, label)| {
            usize::try_from(label)
                .ok()
                .filter(|&label| label < classes)
                .ok_or_else(|| fail(format!("hold {label} in sample {}", at / pixels)))
        })
        .collect()
}

/// Classes from rows with a one at the class and zeros elsewhere.
fn one_hot(
    array: &Array,
    samples: usize,
    pixels: usize,
    classes: usize,
    reading: &Reading,
) -> Result<Vec<usize>, OutcomeError> {
    let values = reading.apply(array.reals());
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
