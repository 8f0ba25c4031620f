//! Which stored bits are protected, and how.

use std::collections::BTreeMap;

use miette::Diagnostic;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::Scheme;
use crate::accelerator::{Memory, MemoryMap, StoredBit};

/// The protected bits of an accelerator, each under one scheme; several schemes stand side by side.
///
/// A scheme of words takes the whole word of each of its bits. It is serialized as runs of bits in order.
///
/// ```
/// use radstream::accelerator::StoredBit;
/// use radstream::scheme::{Protection, Scheme};
/// let mut protection = Protection::of(Scheme::Tmr, [StoredBit(3), StoredBit(1)]);
/// protection.protect(StoredBit(64), Scheme::Secded);
/// assert_eq!(protection.scheme_of(StoredBit(1)), Some(Scheme::Tmr));
/// assert_eq!((protection.bits(), protection.scheme()), (3, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    schemes: BTreeMap<StoredBit, Scheme>,
}

/// Why schemes cannot stand side by side.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("{memory}: bits of word {word} are under {first} and under {second}")]
#[diagnostic(
    code(radstream::protection::word),
    help(
        "expected one scheme in a word of which one bit is under a scheme of words, for that takes the whole word; give all its bits one scheme"
    )
)]
pub struct ProtectionError {
    /// Name of the memory.
    pub memory: String,
    /// The word.
    pub word: u64,
    /// The scheme of one bit of it.
    pub first: Scheme,
    /// That of another.
    pub second: Scheme,
}

/// The units of one memory under one scheme, in order: bits of the memory, or its words.
pub(super) type Group = (Scheme, Vec<u64>);

impl Protection {
    /// No bit is protected.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These bits (in any order, repetitions ignored) under one scheme.
    #[must_use]
    pub fn of(scheme: Scheme, bits: impl IntoIterator<Item = StoredBit>) -> Self {
        bits.into_iter().map(|bit| (bit, scheme)).collect()
    }

    /// Puts a bit under a scheme, instead of the one that it is under; [`Scheme::None`] is no protection.
    pub fn protect(&mut self, bit: StoredBit, scheme: Scheme) {
        if scheme == Scheme::None {
            self.schemes.remove(&bit);
        } else {
            self.schemes.insert(bit, scheme);
        }
    }

    /// Takes the protection of a bit back, and gives the scheme that it was under.
    pub fn release(&mut self, bit: StoredBit) -> Option<Scheme> {
        self.schemes.remove(&bit)
    }

    /// The scheme of a bit.
    #[must_use]
    pub fn scheme_of(&self, bit: StoredBit) -> Option<Scheme> {
        self.schemes.get(&bit).copied()
    }

    /// The protected bits in order with their schemes.
    pub fn iter(&self) -> impl Iterator<Item = (StoredBit, Scheme)> {
        self.schemes.iter().map(|(&bit, &scheme)| (bit, scheme))
    }

    /// Number of protected bits; those that a scheme of words takes besides are not counted.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.schemes.len() as u64
    }

    /// Whether no bit is protected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.schemes.is_empty()
    }

    /// The schemes that any bit is under, in the order of their list.
    #[must_use]
    pub fn schemes(&self) -> Vec<Scheme> {
        let mut schemes: Vec<Scheme> = Vec::new();
        for &scheme in self.schemes.values() {
            if let Err(at) = schemes.binary_search(&scheme) {
                schemes.insert(at, scheme);
            }
        }
        schemes
    }

    /// The scheme of all bits: none where there are several, [`Scheme::None`] where no bit is protected.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        let mut schemes = self.schemes.values();
        let first = schemes.next().copied().unwrap_or(Scheme::None);
        schemes.all(|&scheme| scheme == first).then_some(first)
    }

    /// Refuses words of which bits are under schemes that cannot stand side by side. Bits that the map
    /// does not have are ignored.
    ///
    /// # Errors
    /// [`ProtectionError`] with the first such word.
    pub fn check(&self, map: &MemoryMap) -> Result<(), ProtectionError> {
        map.memories()
            .iter()
            .try_for_each(|memory| self.in_memory(memory).map(drop))
    }

    /// What is protected of one memory.
    pub(super) fn in_memory(&self, memory: &Memory) -> Result<Vec<Group>, ProtectionError> {
        self.in_words(&memory.name, memory.first.0, memory.depth, memory.word_bits)
    }

    /// What is protected of `words` words from bit `first` on, schemes in the order of their list.
    pub(super) fn in_words(
        &self,
        name: &str,
        first: u64,
        words: u64,
        word_bits: u32,
    ) -> Result<Vec<Group>, ProtectionError> {
        let mut groups: Vec<Group> = Vec::new();
        let end = first.saturating_add(words.saturating_mul(u64::from(word_bits)));
        // In order, so that bits of a word come one after the other.
        let mut last: Option<(u64, Scheme)> = None;
        for (bit, &scheme) in self.schemes.range(StoredBit(first)..StoredBit(end)) {
            let word = (bit.0 - first) / u64::from(word_bits);
            let of_words = scheme.is_of_words();
            match last {
                Some((before, other))
                    if before == word && other != scheme && (of_words || other.is_of_words()) =>
                {
                    return Err(ProtectionError {
                        memory: name.to_owned(),
                        word,
                        first: other,
                        second: scheme,
                    });
                }
                _ => last = Some((word, scheme)),
            }
            let unit = if of_words { word } else { bit.0 - first };
            let at = groups
                .binary_search_by_key(&scheme, |group| group.0)
                .unwrap_or_else(|at| {
                    groups.insert(at, (scheme, Vec::new()));
                    at
                });
            if groups[at].1.last() != Some(&unit) {
                groups[at].1.push(unit);
            }
        }
        Ok(groups)
    }
}

impl FromIterator<(StoredBit, Scheme)> for Protection {
    /// The last scheme of a bit that comes twice holds.
    fn from_iter<I: IntoIterator<Item = (StoredBit, Scheme)>>(bits: I) -> Self {
        let mut protection = Self::none();
        protection.extend(bits);
        protection
    }
}

impl Extend<(StoredBit, Scheme)> for Protection {
    fn extend<I: IntoIterator<Item = (StoredBit, Scheme)>>(&mut self, bits: I) {
        for (bit, scheme) in bits {
            self.protect(bit, scheme);
        }
    }
}

/// Bits that follow each other under one scheme.
#[derive(Serialize)]
struct Run {
    first: u64,
    bits: u64,
    scheme: Scheme,
}

impl Serialize for Protection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut run: Option<Run> = None;
        for (bit, scheme) in self.iter() {
            match &mut run {
                Some(run) if run.scheme == scheme && run.first + run.bits == bit.0 => run.bits += 1,
                _ => {
                    let next = Run {
                        first: bit.0,
                        bits: 1,
                        scheme,
                    };
                    if let Some(done) = run.replace(next) {
                        list.serialize_element(&done)?;
                    }
                }
            }
        }
        if let Some(done) = run {
            list.serialize_element(&done)?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_words(protection: &Protection) -> Result<Vec<Group>, ProtectionError> {
        protection.in_words("m", 10, 4, 5)
    }

    #[test]
    fn a_bit_has_one_scheme_at_most() {
        let mut protection = Protection::of(Scheme::Tmr, [7, 2, 7].map(StoredBit));
        assert_eq!((protection.bits(), protection.scheme()), (2, Some(Scheme::Tmr)));
        protection.protect(StoredBit(2), Scheme::Secded);
        assert_eq!(protection.schemes(), [Scheme::Tmr, Scheme::Secded]);
        assert_eq!(protection.scheme(), None);
        assert_eq!(
            protection.iter().collect::<Vec<_>>(),
            [(StoredBit(2), Scheme::Secded), (StoredBit(7), Scheme::Tmr)]
        );
        assert_eq!(protection.release(StoredBit(2)), Some(Scheme::Secded));
        assert_eq!(protection.release(StoredBit(2)), None);
        protection.protect(StoredBit(7), Scheme::None);
        assert!(protection.is_empty());
        assert_eq!(protection.scheme(), Some(Scheme::None));
    }

    #[test]
    fn it_is_serialized_as_runs() {
        let mut protection = Protection::of(Scheme::Tmr, [4, 5, 6, 9].map(StoredBit));
        protection.protect(StoredBit(7), Scheme::Ideal);
        let json = serde_json::to_value(&protection).unwrap();
        let run = |first, bits, scheme| serde_json::json!({"first": first, "bits": bits, "scheme": scheme});
        assert_eq!(
            json,
            serde_json::json!([run(4, 3, "tmr"), run(7, 1, "ideal"), run(9, 1, "tmr")])
        );
        assert_eq!(serde_json::to_string(&Protection::none()).unwrap(), "[]");
    }

    #[test]
    fn a_word_under_a_scheme_of_words_is_under_no_other() {
        // Words of five bits from bit 10 on.
        let bits = |list: &[(u64, Scheme)]| -> Protection {
            list.iter()
                .map(|&(bit, scheme)| (StoredBit(bit), scheme))
                .collect()
        };
        let sound = bits(&[
            (3, Scheme::Dmr),
            (10, Scheme::Tmr),
            (14, Scheme::Ideal),
            (15, Scheme::Secded),
            (19, Scheme::Secded),
            (21, Scheme::Parity),
            (30, Scheme::Dmr),
        ]);
        assert_eq!(
            in_words(&sound).unwrap(),
            [
                (Scheme::Tmr, vec![0]),
                (Scheme::Parity, vec![2]),
                (Scheme::Secded, vec![1]),
                (Scheme::Ideal, vec![4]),
            ]
        );
        for (first, second) in [
            (Scheme::Secded, Scheme::Parity),
            (Scheme::Tmr, Scheme::Dmr),
            (Scheme::TmrWord, Scheme::Ideal),
        ] {
            let refused = in_words(&bits(&[(16, first), (18, second)])).unwrap_err();
            assert_eq!((refused.word, refused.first, refused.second), (1, first, second));
            assert!(in_words(&bits(&[(14, first), (15, second)])).is_ok());
        }
    }
}
