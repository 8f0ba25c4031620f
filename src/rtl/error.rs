//! Why a protection map cannot be made, read or written.

use std::path::PathBuf;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

use crate::accelerator::AddressError;
use crate::data::{Excerpt, MOST_OF_NAME, shortened};
use crate::scheme::{ProtectionError, Scheme};

/// Why an export failed.
#[derive(Debug, Error, Diagnostic)]
pub enum ExportError {
    /// No such format.
    #[error("there is no export format `{name}`")]
    #[diagnostic(
        code(radstream::export::format),
        help("expected one of: {}{}", known.join(", "), crate::data::did_you_mean(name, known.iter().copied()))
    )]
    Format {
        /// What was asked for.
        name: String,
        /// The formats.
        known: Vec<&'static str>,
    },
    /// A file could not be written.
    #[error("{}: cannot be written: {reason}", file.display())]
    #[diagnostic(
        code(radstream::export::write),
        help("expected a folder that can be written to; check its permissions and the free space")
    )]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
}

/// Why a protection map is none.
#[derive(Debug, Error, Diagnostic)]
pub enum MapError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    #[diagnostic(
        code(radstream::map::unreadable),
        help("expected a readable UTF-8 text file; check the path and its permissions")
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The text is no map.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Syntax(Box<MapSyntaxError>),
    /// The file is of another kind or version.
    #[error("{name}: is `{}`, version {version}", shortened(found, MOST_OF_NAME))]
    #[diagnostic(
        code(radstream::map::kind),
        help(
            "expected `{}`, version {} or {}; export it again in the format json",
            super::form::KIND,
            super::form::VERSION,
            super::form::MIXED_VERSION
        )
    )]
    Kind {
        /// Name of the file.
        name: String,
        /// What it says it is.
        found: String,
        /// Its version.
        version: u64,
    },
    /// Two memories have one name.
    #[error("{name}: memory `{}` is listed twice", shortened(memory, MOST_OF_NAME))]
    #[diagnostic(
        code(radstream::map::memory),
        help("expected every memory once; remove one of the two")
    )]
    DuplicateMemory {
        /// Name of the map.
        name: String,
        /// The memory.
        memory: String,
    },
    /// A memory without words or bits, or beyond what an address can name.
    #[error(
        "{name}: memory `{}` of {depth} words of {word_bits} bits cannot be",
        shortened(memory, MOST_OF_NAME)
    )]
    #[diagnostic(
        code(radstream::map::memory),
        help("expected at least one word and one bit, and fewer than 2^30 bits in all; correct the memory")
    )]
    MemorySize {
        /// Name of the map.
        name: String,
        /// The memory.
        memory: String,
        /// Its words.
        depth: u64,
        /// Bits of a word.
        word_bits: u32,
    },
    /// A protected bit outside the listed memories.
    #[error(
        "{name}: protected bit {position}: memory `{}` has no word {word}, bit {word_bit}",
        shortened(memory, MOST_OF_NAME)
    )]
    #[diagnostic(
        code(radstream::map::address),
        help("expected {expected}; correct the address")
    )]
    Outside {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
        /// Name of the memory.
        memory: String,
        /// The word.
        word: u64,
        /// The bit.
        word_bit: u32,
        /// What there is.
        expected: String,
    },
    /// A bit that is listed twice.
    #[error(
        "{name}: protected bit {position}: word {word}, bit {word_bit} of `{}` is listed twice",
        shortened(memory, MOST_OF_NAME)
    )]
    #[diagnostic(
        code(radstream::map::duplicate),
        help("expected every bit once; remove one of the two")
    )]
    Duplicate {
        /// Name of the map.
        name: String,
        /// Position of the second in the list, from 0.
        position: usize,
        /// Name of the memory.
        memory: String,
        /// The word.
        word: u64,
        /// The bit.
        word_bit: u32,
    },
    /// A score that is not a number.
    #[error("{name}: protected bit {position}: its score is {score}")]
    #[diagnostic(
        code(radstream::map::score),
        help("expected a finite number; correct the score")
    )]
    Score {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
        /// The score.
        score: f64,
    },
    /// A bit without a scheme.
    #[error("{name}: protected bit {position} has no scheme")]
    #[diagnostic(
        code(radstream::map::scheme),
        help(
            "expected `scheme` in every entry, or once for all beside `hardware`: one of {}",
            Scheme::names()
        )
    )]
    NoScheme {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
    },
    /// A scheme that no hardware can have.
    #[error("{name}: protected bit {position}: no hardware has the scheme `{scheme}`")]
    #[diagnostic(code(radstream::map::scheme), help("expected one of {}", Scheme::names()))]
    Scheme {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
        /// The scheme.
        scheme: Scheme,
    },
    /// Schemes that cannot stand side by side.
    #[error("{name}: {error}")]
    #[diagnostic(
        code(radstream::map::scheme),
        help("{}", error.help().map_or_else(String::new, |help| help.to_string()))
    )]
    Schemes {
        /// Name of the map.
        name: String,
        /// What is wrong.
        error: ProtectionError,
    },
    /// An address that the accelerator does not have.
    #[error("{name}: protected bit {position}: {error}")]
    #[diagnostic(
        code(radstream::map::accelerator),
        help("{}; use the network and the hardware file that the map was made with", error.help().map_or_else(String::new, |help| help.to_string()))
    )]
    Address {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
        /// What is wrong.
        error: Box<AddressError>,
    },
    /// Logical and physical address of an entry are different bits of the accelerator.
    #[error("{name}: protected bit {position}: {logical} is not {physical}, but {actual}")]
    #[diagnostic(
        code(radstream::map::accelerator),
        help(
            "expected both addresses to name one bit; use the network and the hardware file that the map was made with"
        )
    )]
    Contradiction {
        /// Name of the map.
        name: String,
        /// Position in the list, from 0.
        position: usize,
        /// The logical address.
        logical: String,
        /// The physical address beside it.
        physical: String,
        /// Where the logical address lies.
        actual: String,
    },
}

/// A place in a JSON text that is not what was expected there.
#[derive(Debug, Error, Diagnostic)]
#[error("{name}:{line}:{column}: {problem}")]
#[diagnostic(
    code(radstream::map::syntax),
    help("expected a map in the format json, as an export writes it; correct the marked place")
)]
pub struct MapSyntaxError {
    /// Name of the file.
    pub name: String,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
    /// The lines around the place.
    #[source_code]
    pub excerpt: Excerpt,
    /// The place in the excerpt, in bytes.
    #[label("here")]
    pub span: SourceSpan,
}
