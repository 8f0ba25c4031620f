//! Why environments and memory technologies do not go together.

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use super::rate::RateError;
use crate::data::{Excerpt, RonError, SourceText};

/// Why there is no rate.
#[derive(Debug, Error, Diagnostic)]
pub enum RadiationError {
    /// The file does not read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Ron(#[from] RonError),
    /// A number that is no rate.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Rate(#[from] RateError),
    /// Neither a preset nor a file.
    #[error("no {what} is called `{name}`")]
    #[diagnostic(
        code(radstream::radiation::unknown),
        help("expected one of {known}; or the path of a file that ends in .ron{near}")
    )]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
        /// What may have been meant, as the end of a sentence.
        near: String,
    },
    /// The rate needs a flux.
    #[error("memory technology `{memory}` gives a {form}, which is no rate without a flux")]
    #[diagnostic(
        code(radstream::radiation::needs_environment),
        help("expected an environment, for instance nyc_sea_level")
    )]
    NeedsEnvironment {
        /// The memory technology.
        memory: String,
        /// Its form of rate.
        form: &'static str,
    },
    /// The rate is for an environment of its own.
    #[error(
        "memory technology `{memory}` gives a {form}, which is for its own environment and not for `{environment}`"
    )]
    #[diagnostic(
        code(radstream::radiation::own_environment),
        help(
            "expected no environment with it; or choose a memory technology that gives a cross-section or FIT per Mb"
        )
    )]
    OwnEnvironment {
        /// The memory technology.
        memory: String,
        /// Its form of rate.
        form: &'static str,
        /// The environment.
        environment: String,
    },
    /// FIT per Mb scales with neutrons only.
    #[error(
        "FIT per Mb of `{memory}` holds for New York City's neutrons and cannot be scaled to the {particle} of `{environment}`"
    )]
    #[diagnostic(
        code(radstream::radiation::not_neutrons),
        help(
            "expected a memory technology with a cross-section for these particles, or an environment of neutrons"
        )
    )]
    NotNeutrons {
        /// The memory technology.
        memory: String,
        /// The environment.
        environment: String,
        /// Its particles.
        particle: &'static str,
    },
    /// A form of rate and a flux that do not go together.
    #[error("a {form} (`{memory}`) cannot be applied to the {particle} of `{environment}`")]
    #[diagnostic(
        code(radstream::radiation::flux),
        help(
            "expected a LetSpectrum of heavy ions for a WeibullLet, and a flux of particles for a cross-section"
        )
    )]
    Flux {
        /// The memory technology.
        memory: String,
        /// Its form of rate.
        form: &'static str,
        /// The environment.
        environment: String,
        /// Its particles.
        particle: &'static str,
    },
    /// The technology does not have that form of rate.
    #[error("memory technology `{memory}` gives no {form}")]
    #[diagnostic(code(radstream::radiation::no_such_form), help("expected {expected}"))]
    NoSuchForm {
        /// The memory technology.
        memory: String,
        /// The form that was asked for.
        form: &'static str,
        /// The forms that it has.
        expected: String,
    },
    /// A rate that no memory has.
    #[error("memory technology `{memory}`: {events_per_bit_hour:e} strikes per bit and hour")]
    #[diagnostic(
        code(radstream::radiation::too_many),
        help("expected at most 1e12; correct the rate, the flux, its multiplier, or their units")
    )]
    TooMany {
        /// The memory technology.
        memory: String,
        /// The rate.
        events_per_bit_hour: f64,
    },
    /// A hardware file names a memory technology that cannot be used.
    #[error("{name}: memory_technologies, {style}: {problem}")]
    #[diagnostic(code(radstream::radiation::hardware), help("{help}"))]
    Hardware {
        /// The hardware file.
        name: String,
        /// The storage style.
        style: &'static str,
        /// What is wrong.
        problem: String,
        /// What would be right.
        help: String,
        /// The lines around it.
        #[source_code]
        excerpt: Excerpt,
        /// The entry.
        #[label("here")]
        span: SourceSpan,
    },
    /// A file whose numbers contradict each other.
    #[error("{file}: {problem}")]
    #[diagnostic(code(radstream::radiation::contradiction), help("expected {expected}"))]
    Contradiction {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        expected: &'static str,
        /// The lines around it.
        #[source_code]
        excerpt: Excerpt,
        /// The field.
        #[label("here")]
        span: Option<SourceSpan>,
    },
}

/// Numbers of a file that contradict each other.
pub(super) struct Contradiction {
    /// One of the fields.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: &'static str,
}

impl Contradiction {
    /// The error with its place in the file.
    pub fn in_file(self, source: &SourceText) -> RadiationError {
        let place = source.find_field(self.field);
        let excerpt = source.excerpt(place.clone().unwrap_or(0..0));
        RadiationError::Contradiction {
            file: source.name.clone(),
            problem: self.problem,
            expected: self.expected,
            span: place.map(|_| excerpt.place()),
            excerpt,
        }
    }
}
