//! Protection: which stored bits are protected and how, what each scheme stores beside the bits, how they
//! are read, and what it costs.
//!
//! A scheme knows how bits are stored, never which bits to choose. A [`Protection`] puts several schemes
//! side by side; cells ([`Store`], [`Cells`]), areas ([`Ledger`]), selections, maps and missions read it.
//! What is read of a protected unit is defined once, by [`Code::read`], and what a scrubber writes by
//! [`Code::rewrite`].

mod cells;
mod code;
mod cost;
mod definition;
mod dmr;
mod hamming;
mod ideal;
mod none;
mod parity;
mod pattern;
mod protection;
mod secded;
mod store;
mod tmr;
mod tmr_word;

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

pub use cells::Cells;
pub use code::{Code, Reading, Verdict};
pub use cost::{AreaReport, Ledger};
pub use definition::{Extent, Grain, ProtectionScheme, Tolerance};
pub use hamming::{Decoded, Hamming};
pub use pattern::Pattern;
pub use protection::{Protection, ProtectionError};
pub use store::{Array, Place, ProtectedMemory, Store};

/// Makes the list of schemes: those that hardware can have, and those that only comparisons use.
macro_rules! schemes {
    (
        hardware { $($(#[$note:meta])* $variant:ident = $definition:expr,)+ }
        imagined { $($(#[$imagined_note:meta])* $imagined:ident = $imagined_definition:expr,)+ }
    ) => {
        /// How a protected bit is protected. [`Code`] says what each reads and rewrites.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scheme {
            $($(#[$note])* $variant,)+
            $($(#[$imagined_note])* $imagined,)+
        }

        impl Scheme {
            /// All schemes that hardware can have, in the order of their list.
            pub const ALL: [Self; [$(stringify!($variant)),+].len()] = [$(Self::$variant),+];

            /// What the scheme is.
            #[must_use]
            pub fn definition(self) -> &'static dyn ProtectionScheme {
                match self {
                    $(Self::$variant => &$definition,)+
                    $(Self::$imagined => &$imagined_definition,)+
                }
            }
        }
    };
}

schemes! {
    hardware {
        /// Not at all: one cell, read as it is.
        None = none::Unprotected,
        /// Triple modular redundancy: three cells, read through a majority voter. The voter does not write
        /// back; a scrubber does.
        #[default]
        Tmr = tmr::Tmr,
        /// Triple modular redundancy of whole words: the voter takes the word that two copies agree on.
        TmrWord = tmr_word::TmrWord,
        /// Dual modular redundancy of words: two copies that are compared.
        Dmr = dmr::Dmr,
        /// A parity bit per word, and a reload from outside where it fails.
        Parity = parity::Parity,
        /// Single error correction, double error detection: the extended Hamming code per word.
        Secded = secded::Secded,
    }
    imagined {
        /// Protected bits never fail and cost no cell: a bound that no hardware reaches. It has no name that
        /// a text can ask for.
        Ideal = ideal::Ideal,
    }
}

/// A word that names no scheme.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("there is no protection scheme `{text}`")]
#[diagnostic(
    code(radstream::scheme),
    help("expected one of {}{}", Scheme::names(), crate::data::did_you_mean(text, Scheme::names().split(", ")))
)]
pub struct SchemeError {
    /// The word.
    pub text: String,
}

impl Scheme {
    /// Name for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().name()
    }

    /// The names of all schemes that a text can ask for, with commas between them.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether it protects whole words of a memory rather than single bits.
    #[must_use]
    pub fn is_of_words(self) -> bool {
        self.definition().grain() == Grain::Word
    }

    /// Whether a scrub pass writes what it corrected by itself, without a source outside.
    #[must_use]
    pub fn rewrites(self) -> bool {
        self.definition().rewrites()
    }

    /// Whether a unit with a reported error is loaded again from outside as soon as it is read.
    #[must_use]
    pub fn reloads(self) -> bool {
        self.definition().reloads()
    }

    /// Whether nothing ever gets through to a reader.
    #[must_use]
    pub fn never_fails(self) -> bool {
        self.definition().never_fails()
    }

    /// How many times a protected bit or word is stored, its own row included.
    #[must_use]
    pub fn copies(self) -> u32 {
        self.definition().copies()
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == text)
            .ok_or_else(|| SchemeError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Scheme {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scheme {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl de::Visitor<'_> for Name {
            type Value = Scheme;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", Scheme::names())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scheme, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_found_again() {
        for (at, scheme) in Scheme::ALL.into_iter().enumerate() {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            let json = serde_json::to_string(&scheme).unwrap();
            assert_eq!(json, format!("\"{scheme}\""));
            assert_eq!(serde_json::from_str::<Scheme>(&json).unwrap(), scheme);
            assert!(
                Scheme::ALL[..at]
                    .iter()
                    .all(|other| other.name() != scheme.name())
            );
        }
        // Files of every version hold these.
        assert_eq!(Scheme::names(), "none, tmr, tmr-word, dmr, parity, secded");
    }

    #[test]
    fn no_text_asks_for_what_no_hardware_does() {
        let error = Scheme::Ideal.name().parse::<Scheme>().unwrap_err();
        assert!(error.help().unwrap().to_string().contains(&Scheme::names()));
        let error = serde_json::from_str::<Scheme>("\"ideal\"").unwrap_err();
        assert!(error.to_string().contains(&Scheme::names()), "{error}");
    }
}
