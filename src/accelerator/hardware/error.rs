//! Why a hardware configuration does not fit a network.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use thiserror::Error;

use super::Hardware;
use crate::accelerator::technology::TechnologyError;
use crate::data::{Excerpt, MOST_OF_PROBLEM, did_you_mean, shortened};

/// A hardware configuration that does not fit the network, with the place in its file where there is
/// one.
#[derive(Debug, Error)]
#[error("{file}{}", shortened(&problem.to_string(), MOST_OF_PROBLEM))]
pub struct HardwareError {
    /// What is wrong.
    pub problem: Problem,
    /// The file's name as the beginning of a sentence.
    file: String,
    excerpt: Option<Excerpt>,
}

/// What is wrong with a hardware configuration. Layers, tensors and fields are named as in the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// An entry for a layer that the network does not have.
    #[error("the network has no layer `{layer}`")]
    UnknownLayer {
        /// The name in the file.
        layer: String,
        /// The network's layers.
        known: Vec<String>,
    },
    /// An entry for a tensor that the layer does not have.
    #[error("layer `{layer}` has no tensor for `{field}`")]
    NoSuchTensor {
        /// The layer.
        layer: String,
        /// The field of its entry.
        field: &'static str,
        /// The layer's tensors.
        known: Vec<&'static str>,
    },
    /// A layer without matrix product has a folding or an accumulator.
    #[error("layer `{layer}` has no matrix product, so no `{field}`")]
    NoProduct {
        /// The layer.
        layer: String,
        /// The field of its entry.
        field: &'static str,
    },
    /// Two tensors of one layer would have the same address.
    #[error("layer `{layer}` has two tensors called `{tensor}`")]
    DuplicateTensor {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
    },
    /// A window generator where every window is one pixel, or where the product is not FINN's.
    #[error("layer `{layer}` has no window generator, so no `window`")]
    NoWindow {
        /// The layer.
        layer: String,
    },
    /// A parallel window of a part of the channels.
    #[error("layer `{layer}`: a parallel window takes all {channels} channels in one word, not {simd}")]
    ParallelWindow {
        /// The layer.
        layer: String,
        /// Channels of a word.
        simd: u32,
        /// Channels of the map.
        channels: u64,
    },
    /// A thresholding stage of a layer that has none.
    #[error("layer `{layer}` has no thresholds, so no `{field}`")]
    NoThresholds {
        /// The layer.
        layer: String,
        /// `pe` or `deep_pipeline`.
        field: &'static str,
    },
    /// PE does not divide the rows, or SIMD the columns.
    #[error("layer `{layer}`: {what} = {value} does not divide the {count} {counted}")]
    NotDividing {
        /// The layer.
        layer: String,
        /// `pe` or `simd`.
        what: &'static str,
        /// Its value.
        value: u32,
        /// The number of rows or columns.
        count: u64,
        /// What they are.
        counted: &'static str,
    },
    /// A tensor that is part of the logic.
    #[error(
        "layer `{layer}`: its {tensor} is part of the logic (strategy distributed_arithmetic) and not stored"
    )]
    Logic {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// The field of the file.
        field: &'static str,
    },
    /// A reuse factor of 0 or beyond the number of weights.
    #[error("layer `{layer}`: a reuse factor of {value} cannot serve {weights} weights")]
    ReuseFactor {
        /// The layer.
        layer: String,
        /// The factor.
        value: u32,
        /// Weights of the layer.
        weights: u64,
    },
    /// A reuse factor that hls4ml would not build.
    #[error("layer `{layer}`: hls4ml builds no reuse factor of {value} for {rows} outputs of {taps} inputs")]
    ReuseFactorRejected {
        /// The layer.
        layer: String,
        /// The factor.
        value: u32,
        /// Outputs.
        rows: u64,
        /// Inputs of one output.
        taps: u64,
        /// The nearest one that it builds.
        nearest: u64,
        /// Those that it builds.
        expected: String,
    },
    /// A FIFO without a slot.
    #[error("layer `{layer}`: a FIFO without words or lanes passes nothing")]
    FifoDepth {
        /// The layer.
        layer: String,
    },
    /// A stream end without lanes or rate.
    #[error("`{field}` has no lanes or no cycles per word")]
    StreamEnd {
        /// The field of the file.
        field: &'static str,
    },
    /// A packing that needs another folding, or does not exist for the tensor.
    #[error("layer `{layer}`, {tensor}: packing `{packing}` {reason}")]
    Packing {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// The packing.
        packing: &'static str,
        /// Why it cannot be.
        reason: &'static str,
        /// What would do.
        expected: String,
    },
    /// A word cannot hold its elements.
    #[error(
        "layer `{layer}`, {tensor}: {elements_per_word} elements of {element_bits} bits do not fit a word of {word_bits} bits"
    )]
    WordTooNarrow {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// Elements in one word.
        elements_per_word: u64,
        /// Bits of one element.
        element_bits: u32,
        /// Bits of the word.
        word_bits: u32,
    },
    /// A stored value needs more bits than it gets.
    #[error("layer `{layer}`, {tensor}: element {element} is stored as {stored}, beyond {width} bits")]
    WidthTooNarrow {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// The first element that does not fit.
        element: u64,
        /// The number to store.
        stored: i128,
        /// The width.
        width: u32,
        /// Bits that all elements need.
        needed: u32,
    },
    /// A stored width outside 1..=64 or an accumulator outside 1..=127.
    #[error("layer `{layer}`: {field} = {value} is outside 1..={max}")]
    Width {
        /// The layer.
        layer: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The largest allowed.
        max: u32,
    },
    /// A threshold encoding that does not fit what the layer sums.
    #[error("layer `{layer}`: thresholds cannot be stored as `{encoding}`, the layer {sums}")]
    Encoding {
        /// The layer.
        layer: String,
        /// The encoding.
        encoding: &'static str,
        /// What the layer sums.
        sums: &'static str,
        /// The encodings that do.
        expected: &'static str,
    },
    /// A memory style that the technology does not have.
    #[error("layer `{layer}`, {tensor}: technology `{technology}` has no `{style}`")]
    Style {
        /// The layer.
        layer: String,
        /// The tensor.
        tensor: &'static str,
        /// The style.
        style: &'static str,
        /// The technology.
        technology: String,
        /// The styles that it has.
        expected: Vec<&'static str>,
    },
    /// A clock that is not a positive number.
    #[error("clock_mhz = {value} is not a frequency")]
    Clock {
        /// The value.
        value: f64,
    },
    /// A time that is none.
    #[error("{field} = {value} is not a time in seconds")]
    Time {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A scrub pass that is not done when the next one starts.
    #[error("a scrub pass of {pass_s} s does not fit its period of {period_s} s")]
    ScrubPass {
        /// Time between the starts of two passes.
        period_s: f64,
        /// Time that a pass takes.
        pass_s: f64,
    },
    /// The technology cannot be used.
    #[error("{0}")]
    Technology(TechnologyError),
}

impl Problem {
    /// The string in the hardware file next to which the problem lies.
    fn anchor<'a>(&'a self, hardware: &'a Hardware) -> Option<&'a str> {
        match self {
            Problem::UnknownLayer { layer, .. }
            | Problem::NoSuchTensor { layer, .. }
            | Problem::NoProduct { layer, .. }
            | Problem::NoWindow { layer }
            | Problem::ParallelWindow { layer, .. }
            | Problem::NoThresholds { layer, .. }
            | Problem::DuplicateTensor { layer, .. }
            | Problem::NotDividing { layer, .. }
            | Problem::Logic { layer, .. }
            | Problem::ReuseFactor { layer, .. }
            | Problem::ReuseFactorRejected { layer, .. }
            | Problem::FifoDepth { layer }
            | Problem::Packing { layer, .. }
            | Problem::WordTooNarrow { layer, .. }
            | Problem::WidthTooNarrow { layer, .. }
            | Problem::Width { layer, .. }
            | Problem::Encoding { layer, .. }
            | Problem::Style { layer, .. } => Some(layer),
            Problem::Technology(_) => hardware.technology.as_deref(),
            Problem::Clock { .. }
            | Problem::StreamEnd { .. }
            | Problem::Time { .. }
            | Problem::ScrubPass { .. } => None,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Problem::UnknownLayer { .. } => "radstream::hardware::unknown_layer",
            Problem::NoSuchTensor { .. } => "radstream::hardware::no_such_tensor",
            Problem::NoProduct { .. } => "radstream::hardware::no_product",
            Problem::NoWindow { .. } | Problem::ParallelWindow { .. } => "radstream::hardware::window",
            Problem::NoThresholds { .. } => "radstream::hardware::no_thresholds",
            Problem::DuplicateTensor { .. } => "radstream::hardware::duplicate_tensor",
            Problem::NotDividing { .. } => "radstream::hardware::folding",
            Problem::Logic { .. } => "radstream::hardware::logic",
            Problem::ReuseFactor { .. } | Problem::ReuseFactorRejected { .. } => {
                "radstream::hardware::reuse_factor"
            }
            Problem::FifoDepth { .. } => "radstream::hardware::fifo",
            Problem::StreamEnd { .. } => "radstream::hardware::stream",
            Problem::Packing { .. } => "radstream::hardware::packing",
            Problem::WordTooNarrow { .. } => "radstream::hardware::word",
            Problem::WidthTooNarrow { .. } | Problem::Width { .. } => "radstream::hardware::width",
            Problem::Encoding { .. } => "radstream::hardware::encoding",
            Problem::Style { .. } => "radstream::hardware::style",
            Problem::Clock { .. } => "radstream::hardware::clock",
            Problem::Time { .. } => "radstream::hardware::time",
            Problem::ScrubPass { .. } => "radstream::hardware::scrub",
            Problem::Technology(_) => "radstream::hardware::technology",
        }
    }

    fn repair(&self) -> String {
        match self {
            Problem::UnknownLayer { layer, known } => format!(
                "expected one of: {}; rename or remove the entry{}",
                listed(known),
                did_you_mean(layer, known.iter().map(String::as_str))
            ),
            Problem::NoSuchTensor { known, field, .. } if known.is_empty() => {
                format!("expected no tensor, the layer stores none; remove `{field}`")
            }
            Problem::NoSuchTensor { known, field, .. } => {
                format!("expected entries for: {}; remove `{field}`", known.join(", "))
            }
            Problem::NoProduct { field, .. } => {
                format!("expected a layer of type dense or convolution; remove `{field}`")
            }
            Problem::NoWindow { .. } => {
                "expected a convolution with `folding: Finn(...)` and a kernel, stride or padding of more than one pixel; remove `window`".to_owned()
            }
            Problem::ParallelWindow { channels, .. } => format!(
                "expected simd: {channels} with parallel: true, or parallel: false; only depthwise layers and kernels of one pixel offer parts of the channels at once"
            ),
            Problem::NoThresholds { field, .. } => format!(
                "expected a layer that compares with thresholds; a product's PE is that of its `folding`; remove `{field}`"
            ),
            Problem::DuplicateTensor { .. } => {
                "expected at most one tensor of each kind per layer; split the layer in the network file"
                    .to_owned()
            }
            Problem::NotDividing { what, count, .. } => {
                format!(
                    "expected a divisor of {count}; set {what} to one of {}",
                    divisors(*count)
                )
            }
            Problem::Logic { field, .. } => format!(
                "expected no `{field}` there; remove it, or convert the layer with the strategy Resource or Latency to store its weights"
            ),
            Problem::ReuseFactor { weights, .. } => format!("expected 1..={weights}"),
            Problem::ReuseFactorRejected {
                nearest, expected, ..
            } => format!("expected {expected}; the nearest is {nearest}"),
            Problem::FifoDepth { .. } => {
                "expected `fifo: Auto`, or `Words(n)` with n from 1 (2 passes a word per cycle), and `fifo_lanes` from 1".to_owned()
            }
            Problem::StreamEnd { .. } => {
                "expected lanes and interval from 1; remove what should follow from the layers".to_owned()
            }
            Problem::Packing { expected, .. } => expected.clone(),
            Problem::WordTooNarrow {
                elements_per_word,
                element_bits,
                ..
            } => format!(
                "expected elements_per_word from 1 and word_bits of at least {}; widen the word or put fewer elements into it",
                elements_per_word.saturating_mul(u64::from(*element_bits))
            ),
            Problem::WidthTooNarrow { needed, .. } => {
                format!("expected a width of at least {needed}; widen it or choose another encoding")
            }
            Problem::Width { max, .. } => format!("expected 1..={max}; correct the number"),
            Problem::Encoding { expected, .. } => format!("expected {expected}; correct `encoding`"),
            Problem::Style { expected, .. } => format!(
                "expected one of {}; choose another style, or a technology file that states the cost",
                expected.join(", ")
            ),
            Problem::Clock { .. } => "expected a positive number of megahertz".to_owned(),
            Problem::Time { .. } => {
                "expected a positive number of seconds (pass_s may be 0); correct the number".to_owned()
            }
            Problem::ScrubPass { period_s, .. } => {
                format!("expected pass_s of at most {period_s}; scrub less often or faster")
            }
            Problem::Technology(error) => error.help().map_or_else(String::new, |help| help.to_string()),
        }
    }
}

impl HardwareError {
    pub(in crate::accelerator) fn new(problem: Problem, hardware: &Hardware) -> Box<Self> {
        let source = hardware.source.as_ref();
        let excerpt = source.and_then(|source| {
            let entry = problem
                .anchor(hardware)
                .and_then(|anchor| source.find_string(anchor));
            // A layer without an entry of its own is built by the `default` entry.
            let field = match &problem {
                Problem::Clock { .. } => "clock_mhz",
                Problem::StreamEnd { field } => field,
                Problem::Time {
                    field: "refresh_s", ..
                } => "refresh_s",
                Problem::Time { .. } | Problem::ScrubPass { .. } => "scrub",
                _ => "default",
            };
            let place = entry.or_else(|| source.find_field(field))?;
            Some(source.excerpt(place))
        });
        Box::new(Self {
            file: source.map_or_else(String::new, |source| format!("{}: ", source.name)),
            excerpt,
            problem,
        })
    }
}

impl Diagnostic for HardwareError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(
            shortened(&self.problem.repair(), MOST_OF_PROBLEM).into_owned(),
        ))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.excerpt.as_ref()?.place();
        let label = LabeledSpan::new_with_span(Some("in this entry".to_owned()), place);
        Some(Box::new(std::iter::once(label)))
    }
}

/// At most a dozen names, and how many more there are.
pub(in crate::accelerator) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 12;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn divisors(count: u64) -> String {
    let divisors: Vec<String> = (1..=count.min(1 << 20))
        .filter(|divisor| count.is_multiple_of(*divisor))
        .map(|divisor| divisor.to_string())
        .collect();
    listed(&divisors)
}
