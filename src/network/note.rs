//! What an import did that a reader of the numbers should know.

use serde::{Deserialize, Serialize};

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// A parameter of the file that the accelerator does not store as such.
    NotStored,
    /// Numbers for which the file's own arithmetic in single precision is followed where exact arithmetic would
    /// give others: quantized constants, and scales of biases.
    SinglePrecision,
    /// Arithmetic in front of the first quantizer, done on the samples before they enter.
    Preprocessing,
    /// A node of the file that is evaluated behind the accelerator.
    OffChip,
    /// Nodes of the file that no output needs.
    Unneeded,
    /// An order of elements that could be read in two ways.
    Layout,
    /// What the flow's own tools would do with the file, where that differs or cannot be built.
    Flow,
}

impl NoteKind {
    /// The kind in words, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            NoteKind::NotStored => "not stored",
            NoteKind::SinglePrecision => "single precision",
            NoteKind::Preprocessing => "preprocessing",
            NoteKind::OffChip => "off chip",
            NoteKind::Unneeded => "not needed",
            NoteKind::Layout => "layout",
            NoteKind::Flow => "flow",
        }
    }
}

/// One note of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// The node, layer or tensor, in the file's words.
    pub place: String,
    /// One sentence, without the place.
    pub text: String,
}

impl Note {
    /// A note about a place of the file.
    #[must_use]
    pub fn new(kind: NoteKind, place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.into(),
            text: text.into(),
        }
    }
}
