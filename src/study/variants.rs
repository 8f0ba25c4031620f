//! The designs that fly a mission side by side: what is protected, how, and how it is scrubbed.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use miette::Diagnostic;
use rand::seq::SliceRandom;
use thiserror::Error;

use super::{Design, StudyError};
use crate::accelerator::{Scrub, StoredBit};
use crate::campaign::{read_bit_records, stream};
use crate::rtl::ProtectionMap;
use crate::scheme::{Protection, Scheme};
use crate::sensitivity::by_measured_loss;

/// Why a text does not say what a mission is flown with.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum ChoiceError {
    /// No share of the bits.
    #[error("`{text}` is no share of the bits")]
    #[diagnostic(
        code(radstream::mission::protect),
        help("expected a percentage from 0% to 100% with its sign, all, none, or a .json protection map")
    )]
    Share {
        /// The text.
        text: String,
    },
    /// No scrub period.
    #[error("`{text}` is no scrub period: {problem}")]
    #[diagnostic(
        code(radstream::mission::scrub),
        help(
            "expected none, a period in seconds above 0, or PERIOD/PASS with the seconds that a pass takes, at most the period"
        )
    )]
    Scrub {
        /// The text.
        text: String,
        /// What is wrong.
        problem: String,
    },
}

/// What is protected.
#[derive(Clone, Debug, PartialEq)]
pub enum ProtectChoice {
    /// So many percent of the bits.
    Percent(f64),
    /// The bits of a protection map.
    Map(PathBuf),
}

impl FromStr for ProtectChoice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ChoiceError::Share {
            text: text.to_owned(),
        };
        match text {
            "all" => Ok(Self::Percent(100.0)),
            "none" => Ok(Self::Percent(0.0)),
            _ if Path::new(text)
                .extension()
                .is_some_and(|extension| extension == "json") =>
            {
                Ok(Self::Map(PathBuf::from(text)))
            }
            _ => text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse().ok())
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent)
                .ok_or_else(wrong),
        }
    }
}

impl fmt::Display for ProtectChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Map(file) => write!(f, "{}", file.display()),
        }
    }
}

/// How a design is scrubbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScrubChoice(pub Option<Scrub>);

impl FromStr for ScrubChoice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = |problem: String| ChoiceError::Scrub {
            text: text.to_owned(),
            problem,
        };
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .map_err(|_| wrong(format!("`{text}` is no number")))
        };
        let (period, pass) = text.split_once('/').unwrap_or((text, "0"));
        let scrub = Scrub {
            period_s: number(period)?,
            pass_s: number(pass)?,
        };
        match scrub.problem() {
            Some(problem) => Err(wrong(problem.to_string())),
            None => Ok(Self(Some(scrub))),
        }
    }
}

impl fmt::Display for ScrubChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(scrub) if scrub.pass_s == 0.0 => write!(f, "{}", scrub.period_s),
            Some(scrub) => write!(f, "{}/{}", scrub.period_s, scrub.pass_s),
        }
    }
}

/// A scrubber for names of designs.
pub(super) fn scrub_name(scrub: Option<Scrub>) -> String {
    scrub.map_or_else(
        || "unscrubbed".to_owned(),
        |scrub| format!("scrubbed {} s", scrub.period_s),
    )
}

/// The name of a protection's scheme, or `mixed`.
pub(super) fn scheme_name(protection: &Protection) -> &'static str {
    protection.scheme().map_or("mixed", Scheme::name)
}

/// What a mission is told of designs.
pub(super) struct VariantRequest<'a> {
    pub schemes: &'a [Scheme],
    pub protect: &'a [ProtectChoice],
    pub ranking: Option<&'a Path>,
    pub ideal: bool,
    pub scrub_s: &'a [ScrubChoice],
    pub seed: u64,
}

/// A design before its cells are laid out.
pub(super) struct Variant {
    pub name: String,
    pub protection: Protection,
    pub scrub: Option<Scrub>,
}

impl Variant {
    fn unprotected() -> Self {
        Self {
            name: "unprotected".to_owned(),
            protection: Protection::none(),
            scrub: None,
        }
    }
}

impl VariantRequest<'_> {
    /// All designs in the order in which they are asked for, each once.
    pub fn resolve(&self, design: &Design, exposed: &[StoredBit]) -> Result<Vec<Variant>, StudyError> {
        let scrubs: Vec<Option<Scrub>> = if self.scrub_s.is_empty() {
            vec![design.accelerator.scrub()]
        } else {
            self.scrub_s.iter().map(|choice| choice.0).collect()
        };
        let real: Vec<Scheme> = self
            .schemes
            .iter()
            .copied()
            .filter(|scheme| *scheme != Scheme::None)
            .collect();
        let has_map = self
            .protect
            .iter()
            .any(|choice| matches!(choice, ProtectChoice::Map(_)));
        if !self.protect.is_empty() && real.is_empty() && !self.ideal && !has_map {
            let nothing = self
                .protect
                .iter()
                .all(|choice| matches!(choice, ProtectChoice::Percent(percent) if *percent == 0.0));
            if !nothing {
                return Err(StudyError::refused_about(
                    "protect",
                    "shares of the bits are to be protected, and no scheme is stated",
                    "a scheme (tmr, tmr-word, dmr, parity, secded), an ideal protection, or both",
                ));
            }
        }
        let choices = if self.protect.is_empty() {
            let percent = if real.is_empty() && !self.ideal {
                0.0
            } else {
                100.0
            };
            vec![ProtectChoice::Percent(percent)]
        } else {
            self.protect.to_vec()
        };
        let mut variants: Vec<Variant> = Vec::new();
        if self.schemes.contains(&Scheme::None) {
            variants.push(Variant::unprotected());
        }
        let order = self.order(design, exposed)?;
        for choice in &choices {
            let (label, bits, of_map) = match choice {
                ProtectChoice::Percent(percent) => {
                    let count = (percent / 100.0 * exposed.len() as f64).round() as usize;
                    let bits = order[..count.min(order.len())].to_vec();
                    (format!("{percent}%"), bits, None)
                }
                ProtectChoice::Map(file) => {
                    let resolved = ProtectionMap::read(file)?.resolve(&design.accelerator)?;
                    let name = file
                        .file_stem()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned();
                    let bits = resolved.scores.iter().map(|(bit, _)| *bit).collect();
                    (name, bits, Some(resolved.protection))
                }
            };
            if bits.is_empty() {
                variants.push(Variant::unprotected());
                continue;
            }
            if self.ideal {
                variants.push(Variant {
                    name: format!("ideal {label}"),
                    protection: Protection::of(Scheme::Ideal, bits.iter().copied()),
                    scrub: None,
                });
            }
            let protections: Vec<Protection> = match &of_map {
                Some(protection) if self.schemes.is_empty() => vec![protection.clone()],
                _ => real
                    .iter()
                    .map(|&scheme| {
                        if of_map.is_none() && scheme.is_of_words() {
                            Protection::of(scheme, whole_words(design, &order, bits.len()))
                        } else {
                            Protection::of(scheme, bits.iter().copied())
                        }
                    })
                    .collect(),
            };
            for protection in protections {
                let scheme = scheme_name(&protection);
                variants.extend(scrubs.iter().map(|&scrub| Variant {
                    name: format!("{scheme} {label} {}", scrub_name(scrub)),
                    protection: protection.clone(),
                    scrub,
                }));
            }
        }
        let mut names: Vec<String> = Vec::new();
        variants.retain(|variant| {
            let fresh = !names.contains(&variant.name);
            names.push(variant.name.clone());
            fresh
        });
        Ok(variants)
    }

    /// All exposed bits in the order in which they are protected: those of the ranking first, the others
    /// at random.
    fn order(&self, design: &Design, exposed: &[StoredBit]) -> Result<Vec<StoredBit>, StudyError> {
        let mut order: Vec<StoredBit> = Vec::new();
        if let Some(ranking) = self.ranking {
            let file = if ranking.is_dir() {
                ranking.join("records.csv")
            } else {
                ranking.to_owned()
            };
            let records = read_bit_records(&file, &design.accelerator)?.records;
            let ranked = by_measured_loss(&records).into_iter().map(|ranked| ranked.bit);
            let known: HashSet<StoredBit> = exposed.iter().copied().collect();
            order.extend(ranked.filter(|bit| known.contains(bit)));
        }
        let taken: HashSet<StoredBit> = order.iter().copied().collect();
        let mut rest: Vec<StoredBit> = exposed
            .iter()
            .copied()
            .filter(|bit| !taken.contains(bit))
            .collect();
        rest.shuffle(&mut stream(self.seed, 0));
        order.extend(rest);
        Ok(order)
    }
}

/// The words of bits in their order until they hold so many bits.
fn whole_words(design: &Design, order: &[StoredBit], bits: usize) -> Vec<StoredBit> {
    let map = design.accelerator.map();
    let mut seen = HashSet::new();
    let mut chosen: Vec<StoredBit> = Vec::new();
    for &bit in order {
        if chosen.len() >= bits {
            break;
        }
        let address = map.address(bit);
        if seen.insert((address.memory, address.word)) {
            let memory = map.memory(address.memory);
            let first = memory.first.0 + address.word * u64::from(memory.word_bits);
            chosen.extend((first..first + u64::from(memory.word_bits)).map(StoredBit));
        }
    }
    chosen
}
