//! What makes a study the study that it is.

use std::fmt;
use std::io::{self, Write};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A hash of everything that a value holds: SHA-256 of its serialized form (CBOR, RFC 8949), names of fields
/// included. Nothing is listed by hand, so a field that is added later cannot be forgotten; maps have to be
/// ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

/// A value that no document can hold.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("the request has no form as a document: {problem}")]
#[diagnostic(
    code(radstream::document),
    help("expected names of files and folders in UTF-8; rename them, or link to them by such a name")
)]
pub struct NoDocument {
    /// Why.
    problem: String,
}

impl NoDocument {
    pub(super) fn of(error: impl fmt::Display) -> Self {
        Self {
            problem: error.to_string(),
        }
    }
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Identity {
    /// The identity of a value.
    ///
    /// # Errors
    /// [`NoDocument`] where the value has no serialized form: a path in it is no UTF-8 text.
    pub fn of(value: &impl Serialize) -> Result<Self, NoDocument> {
        let mut writer = io::BufWriter::with_capacity(1 << 16, Hashing(Sha256::new()));
        ciborium::into_writer(value, &mut writer).map_err(|error| match error {
            ciborium::ser::Error::Value(problem) => NoDocument::of(problem),
            ciborium::ser::Error::Io(error) => NoDocument::of(error),
        })?;
        let hashing = writer.into_inner().map_err(NoDocument::of)?;
        let digest = hashing.0.finalize();
        Ok(Self(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The hash in hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Two {
        a: f64,
        b: f64,
    }

    #[derive(Serialize)]
    struct Three {
        a: f64,
        b: f64,
        c: Option<u8>,
    }

    #[test]
    fn every_bit_of_every_field_counts() {
        let of = |a: f64, b: f64| Identity::of(&Two { a, b }).unwrap();
        assert_eq!(of(1.0, 2.0), of(1.0, 2.0));
        assert_ne!(of(1.0, 2.0), of(2.0, 1.0));
        assert_ne!(of(1.0, 2.0), of(1.0, 2.0 + f64::EPSILON * 2.0));
        assert_ne!(of(0.0, 2.0), of(-0.0, 2.0));
        assert_ne!(of(f64::INFINITY, 2.0), of(f64::NAN, 2.0));
        let three = Identity::of(&Three {
            a: 1.0,
            b: 2.0,
            c: None,
        })
        .unwrap();
        assert_ne!(of(1.0, 2.0), three);
    }

    #[test]
    fn the_hash_is_that_of_the_serialized_form() {
        // CBOR of the array [1, 2] is 82 01 02; its SHA-256 by sha256sum.
        let expected = Sha256::digest([0x82, 0x01, 0x02]);
        let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Identity::of(&[1u8, 2u8]).unwrap().as_str(), expected);
    }
}
