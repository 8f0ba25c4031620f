//! `radstream campaign --mission`: what is flown, and with which protection.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use miette::Diagnostic;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::Failure;
use super::chip::Chip;
use super::mission_memory::MemorySpec;
use super::options::{Manner, option_value};
use super::rate_options::RateOptions;
use crate::accelerator::{MemoryId, Scrub, StoredBit, Style};
use crate::campaign::mission::{Contents, Exposure, MissionPlan, Permanent};
use crate::campaign::read_records;
use crate::radiation::rate::Hours;
use crate::radiation::{Assumption, Clusters, RateProfile};
use crate::rtl::ProtectionMap;
use crate::scheme::{Scheme, Store};
use crate::sensitivity::by_measured_loss;

/// What a mission is, and which designs fly it.
#[derive(Debug, Args)]
pub struct MissionOptions {
    /// Fly missions of so many hours: strikes come, pile up, and are scrubbed
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    pub mission: Option<f64>,
    /// Missions per design
    #[arg(long, value_name = "N", default_value_t = 100, requires = "mission")]
    pub repetitions: u64,
    /// Hours at which the workload is run [default: eighths of the mission]
    #[arg(
        long,
        value_name = "H,...",
        value_delimiter = ',',
        requires = "mission",
        allow_negative_numbers = true
    )]
    pub at: Vec<f64>,
    /// Protection schemes: none, tmr, tmr-word, dmr, parity, secded [default: none]
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "mission", value_parser = option_value::<Scheme>)]
    pub scheme: Vec<Scheme>,
    /// What is protected: shares of the bits, by --ranking or at random, or a protection map
    #[arg(long, value_name = "N%|all|MAP.json,...", value_delimiter = ',', requires = "mission", value_parser = option_value::<Choice>)]
    pub protect: Vec<Choice>,
    /// Records of an exhaustive campaign that rank the bits for --protect: records.csv or its folder
    #[arg(long, value_name = "FILE|DIR", requires = "mission")]
    pub ranking: Option<PathBuf>,
    /// Fly with an ideal protection as well: protected bits never fail and cost no cell
    #[arg(long, requires = "mission")]
    pub ideal: bool,
    /// Scrub periods in seconds, or none; PERIOD/PASS where a pass takes time [default: the hardware
    /// file's]
    #[arg(long, value_name = "S[/S]|none,...", value_delimiter = ',', requires = "mission", value_parser = option_value::<ScrubChoice>)]
    pub scrub_s: Vec<ScrubChoice>,
    /// Seconds between two rewrites of all memories from outside [default: the hardware file's]
    #[arg(long, value_name = "S", requires = "mission", allow_negative_numbers = true)]
    pub refresh_s: Option<f64>,
    /// Strikes per second on all stored bits together, redundant cells not counted
    #[arg(
        long,
        value_name = "PER_S",
        requires = "mission",
        conflicts_with_all = ["fit_per_mb", "cross_section", "memory_technology", "environment"],
        allow_negative_numbers = true
    )]
    pub rate_per_s: Option<f64>,
    /// Fly only missions with at least one strike, and weigh them: for strikes that are rare
    #[arg(long, requires = "mission")]
    pub given_strike: bool,
    /// Also strike registers, FIFOs, line buffers and control state: N strikes, each at its own cycle in a
    /// run of the cycle engine
    #[arg(long, value_name = "N", conflicts_with_all = ["exhaustive", "memory"])]
    pub registers: Option<u64>,
    /// Inferences per second, for the time in which registers are live [default: one behind the other]
    #[arg(long, value_name = "X", requires = "registers", allow_negative_numbers = true)]
    pub inference_rate: Option<f64>,
    /// Share of the strikes after which the struck cells are stuck at 0 or 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        requires = "mission",
        allow_negative_numbers = true
    )]
    pub permanent_share: f64,
    /// A memory by itself, without a network: words=199,bits=72,scheme=secded:72,64
    #[arg(long, value_name = "SPEC", requires = "mission", conflicts_with_all = ["network", "hardware", "scheme", "protect", "ideal", "at"], value_parser = option_value::<MemorySpec>)]
    pub memory: Option<MemorySpec>,
    /// Print closed forms beside the simulation
    #[arg(long, requires = "mission")]
    pub analytic: bool,
}

/// Why an option of a mission has no meaning.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum MissionOptionError {
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
pub enum Choice {
    /// So many percent of the bits.
    Percent(f64),
    /// The bits of a protection map.
    Map(PathBuf),
}

impl FromStr for Choice {
    type Err = MissionOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MissionOptionError::Share {
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

/// How a design is scrubbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScrubChoice(pub Option<Scrub>);

impl FromStr for ScrubChoice {
    type Err = MissionOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = |problem: String| MissionOptionError::Scrub {
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

/// One design with its mission.
pub struct Design {
    /// Name for records and tables.
    pub name: String,
    /// The scheme of the protected bits; none for an ideal protection.
    pub scheme: Scheme,
    /// Whether the protection is an ideal one.
    pub ideal: bool,
    /// The protected bits.
    pub protected: Vec<StoredBit>,
    /// What is flown.
    pub plan: MissionPlan,
}

/// Who is struck how often, with what that rests on.
pub struct Struck {
    /// Strikes of storage styles; one entry without a style holds for all.
    classes: Vec<(Option<Style>, Exposure)>,
    /// What the rates rest on.
    pub assumptions: Vec<Assumption>,
    /// Where the rate comes from.
    pub source: String,
}

/// Most repetitions.
const MAX_REPETITIONS: u64 = 10_000_000;

impl Struck {
    /// Mean strikes per hour on one register bit: those of flip-flops, or of what holds for all.
    pub fn register_rate(&self) -> f64 {
        let of = |wanted: Option<Style>| self.classes.iter().find(|(style, _)| *style == wanted);
        of(Some(Style::Registers))
            .or_else(|| of(None))
            .or_else(|| self.classes.first())
            .map_or(0.0, |(_, exposure)| exposure.strikes.mean_events_per_bit_hour())
    }
}

impl MissionOptions {
    /// The length of a mission; refuses what flies nothing.
    pub fn duration(&self) -> Result<Hours, Failure> {
        if self.repetitions == 0 || self.repetitions > MAX_REPETITIONS {
            return Err(Failure::refused(
                format!("--repetitions {} is out of range", self.repetitions),
                format!("expected 1 to {MAX_REPETITIONS}; 100 or more for a useful interval"),
            ));
        }
        if let Some(rate) = self.rate_per_s.filter(|rate| !(rate.is_finite() && *rate >= 0.0)) {
            return Err(Failure::refused(
                format!("--rate-per-s {rate} is no rate"),
                "expected a finite number of strikes per second from 0",
            ));
        }
        if let Some(seconds) = self.refresh_s.filter(|s| !(s.is_finite() && *s > 0.0)) {
            return Err(Failure::refused(
                format!("--refresh-s {seconds} is no period"),
                "expected a finite number of seconds above 0, or no --refresh-s",
            ));
        }
        Ok(Hours(self.mission.unwrap_or(0.0)))
    }

    /// The times at which the workload is run.
    pub fn times(&self, duration: Hours) -> Vec<f64> {
        if self.at.is_empty() {
            return (1..=8)
                .map(|eighth| duration.0 * f64::from(eighth) / 8.0)
                .collect();
        }
        self.at.clone()
    }

    /// Strikes per bit, by storage style. `bits` are those that `--rate-per-s` speaks of.
    pub fn struck(&self, rate: &RateOptions, chip: Option<&Chip>, bits: u64) -> Result<Struck, Failure> {
        if let Some(per_s) = self.rate_per_s {
            let clusters = match &rate.clusters {
                None => Clusters::single(),
                Some(_) => rate
                    .technologies(None)?
                    .others()
                    .map_or_else(Clusters::single, |all| all.clusters.clone()),
            };
            let assumptions = if rate.clusters.is_none() {
                vec![Assumption {
                    id: "single_bits",
                    text: "every strike flips one bit; name others with --clusters".to_owned(),
                }]
            } else {
                Vec::new()
            };
            let exposure = Exposure {
                strikes: RateProfile::constant(per_s * 3600.0 / bits.max(1) as f64),
                clusters,
                permanent_share: self.permanent_share,
                ..Exposure::single(Vec::new(), 0.0)
            };
            return Ok(Struck {
                classes: vec![(None, exposure)],
                assumptions,
                source: format!("{per_s} strikes per second on {bits} bits"),
            });
        }
        let technologies = rate.technologies(chip.map(|chip| &chip.hardware))?;
        let exposures = match chip {
            Some(chip) => rate.on(chip)?.exposures,
            None => rate.exposures(None, &[(None, bits)])?,
        };
        let mut assumptions: Vec<Assumption> = Vec::new();
        let mut classes = Vec::new();
        for part in &exposures.0 {
            let style = super::rate_options::STYLES
                .into_iter()
                .find(|style| chip.is_some() && style.name() == part.class);
            let technology = style.map_or_else(|| technologies.others(), |style| technologies.get(style));
            let permanent = technology.and_then(|technology| technology.permanent.as_ref());
            for assumption in &part.assessment.assumptions {
                if !assumptions.contains(assumption) {
                    assumptions.push(assumption.clone());
                }
            }
            classes.push((
                style,
                Exposure {
                    arrays: Vec::new(),
                    strikes: part.assessment.profile.clone(),
                    clusters: part.assessment.clusters.clone(),
                    permanent_share: self.permanent_share,
                    permanent: permanent.map(|faults| Permanent {
                        profile: faults.profile(),
                        stuck_at_one_share: faults.stuck_at_one_share,
                    }),
                },
            ));
        }
        Ok(Struck {
            classes,
            assumptions,
            source: rate.source(),
        })
    }

    /// All designs that fly, side by side.
    pub fn designs(
        &self,
        chip: &Chip,
        struck: &Struck,
        exposed: &[StoredBit],
        duration: Hours,
        manner: &Manner,
    ) -> Result<Vec<Design>, Failure> {
        let accelerator = &chip.accelerator;
        let is_exposed = {
            let mut memories = vec![false; accelerator.map().memories().len()];
            for &bit in exposed {
                memories[accelerator.map().address(bit).memory.index()] = true;
            }
            move |memory: MemoryId| memories[memory.index()]
        };
        let mut designs: Vec<Design> = Vec::new();
        for variant in self.variants(chip, exposed, manner)? {
            let store = Store::new(
                accelerator,
                &is_exposed,
                variant.scheme,
                &variant.protected,
                variant.ideal,
            );
            let exposures = struck.on(&store, |memory| accelerator.map().memory(memory).style);
            let mut plan = MissionPlan::new(store, exposures, duration);
            plan.at = self.times(duration);
            plan.scrub = variant.scrub;
            plan.refresh_s = self.refresh_s.or(accelerator.refresh_s());
            plan.seed = manner.seed;
            plan.given_strike = self.given_strike;
            if plan.has_permanent_faults() {
                plan.contents = Contents::of(accelerator, &plan.store);
            }
            plan.check()?;
            designs.push(Design {
                name: variant.name,
                scheme: variant.scheme,
                ideal: variant.ideal,
                protected: variant.protected,
                plan,
            });
        }
        Ok(designs)
    }

    fn variants(&self, chip: &Chip, exposed: &[StoredBit], manner: &Manner) -> Result<Vec<Variant>, Failure> {
        let scrubs: Vec<Option<Scrub>> = if self.scrub_s.is_empty() {
            vec![chip.accelerator.scrub()]
        } else {
            self.scrub_s.iter().map(|choice| choice.0).collect()
        };
        let real = |schemes: &[Scheme]| -> Vec<Scheme> {
            schemes
                .iter()
                .copied()
                .filter(|scheme| *scheme != Scheme::None)
                .collect()
        };
        let has_map = self.protect.iter().any(|choice| matches!(choice, Choice::Map(_)));
        if !self.protect.is_empty() && real(&self.scheme).is_empty() && !self.ideal && !has_map {
            let nothing = self
                .protect
                .iter()
                .all(|choice| matches!(choice, Choice::Percent(percent) if *percent == 0.0));
            if !nothing {
                return Err(Failure::refused(
                    "--protect without a protection",
                    "expected --scheme tmr (or tmr-word, dmr, parity, secded), --ideal, or both with it",
                ));
            }
        }
        let choices = if self.protect.is_empty() {
            let percent = if real(&self.scheme).is_empty() && !self.ideal {
                0.0
            } else {
                100.0
            };
            vec![Choice::Percent(percent)]
        } else {
            self.protect.clone()
        };
        let mut variants: Vec<Variant> = Vec::new();
        if self.scheme.contains(&Scheme::None) {
            variants.push(Variant::unprotected());
        }
        let order = self.order(chip, exposed, manner.seed)?;
        for choice in &choices {
            let (label, bits, of_map) = match choice {
                Choice::Percent(percent) => {
                    let count = (percent / 100.0 * exposed.len() as f64).round() as usize;
                    (
                        format!("{percent}%"),
                        order[..count.min(order.len())].to_vec(),
                        None,
                    )
                }
                Choice::Map(file) => {
                    let map = ProtectionMap::read(file)?;
                    let bits = map.resolve(&chip.accelerator)?;
                    let name = file
                        .file_stem()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned();
                    (
                        name,
                        bits.into_iter().map(|(bit, _)| bit).collect(),
                        Some(map.scheme()),
                    )
                }
            };
            if bits.is_empty() {
                variants.push(Variant::unprotected());
                continue;
            }
            if self.ideal {
                variants.push(Variant {
                    name: format!("ideal {label}"),
                    scheme: Scheme::Tmr,
                    ideal: true,
                    protected: bits.clone(),
                    scrub: None,
                });
            }
            let schemes = match of_map {
                Some(scheme) if self.scheme.is_empty() => vec![scheme],
                _ => real(&self.scheme),
            };
            for scheme in schemes {
                let bits = if of_map.is_none() && scheme.is_of_words() {
                    whole_words(chip, &order, bits.len())
                } else {
                    bits.clone()
                };
                variants.extend(scrubs.iter().map(|&scrub| Variant {
                    name: format!("{scheme} {label} {}", scrub_name(scrub)),
                    scheme,
                    ideal: false,
                    protected: bits.clone(),
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
    fn order(&self, chip: &Chip, exposed: &[StoredBit], seed: u64) -> Result<Vec<StoredBit>, Failure> {
        let mut order: Vec<StoredBit> = Vec::new();
        if let Some(ranking) = &self.ranking {
            let file = if ranking.is_dir() {
                ranking.join("records.csv")
            } else {
                ranking.clone()
            };
            let records = read_records(&file, &chip.accelerator)?;
            let ranked = by_measured_loss(&records).into_iter().map(|ranked| ranked.bit);
            let known: std::collections::HashSet<StoredBit> = exposed.iter().copied().collect();
            order.extend(ranked.filter(|bit| known.contains(bit)));
        }
        let taken: std::collections::HashSet<StoredBit> = order.iter().copied().collect();
        let mut rest: Vec<StoredBit> = exposed
            .iter()
            .copied()
            .filter(|bit| !taken.contains(bit))
            .collect();
        rest.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        order.extend(rest);
        Ok(order)
    }
}

impl Struck {
    /// Notes what is assumed about where copies lie, where strikes reach several cells.
    pub fn note_copies(&mut self, mut schemes: impl Iterator<Item = Scheme>) {
        let wide = self
            .classes
            .iter()
            .any(|(_, exposure)| exposure.clusters.mean_bits() > 1.0);
        if wide && schemes.any(|scheme| scheme.cells_per_bit() > 1) {
            self.assumptions.push(Assumption {
                id: "copies_apart",
                text: "copies of a bit lie in memories of their own: no strike reaches two of them"
                    .to_owned(),
            });
        }
    }

    /// The exposures of a store's arrays.
    pub fn on(&self, store: &Store, style: impl Fn(MemoryId) -> Style) -> Vec<Exposure> {
        let of = |array: usize| {
            let shelf = &store.shelves()[store.arrays()[array].shelf as usize];
            shelf.memory.map(&style)
        };
        self.classes
            .iter()
            .map(|(class, exposure)| {
                let arrays = (0..store.arrays().len())
                    .filter(|&array| class.is_none() || of(array) == *class)
                    .collect();
                Exposure {
                    arrays,
                    ..exposure.clone()
                }
            })
            .filter(|exposure| exposure.bits(store) > 0)
            .collect()
    }
}

/// A design before it is built.
struct Variant {
    name: String,
    scheme: Scheme,
    ideal: bool,
    protected: Vec<StoredBit>,
    scrub: Option<Scrub>,
}

impl Variant {
    fn unprotected() -> Self {
        Self {
            name: "unprotected".to_owned(),
            scheme: Scheme::None,
            ideal: false,
            protected: Vec::new(),
            scrub: None,
        }
    }
}

/// The words of bits in their order until they hold so many bits.
fn whole_words(chip: &Chip, order: &[StoredBit], bits: usize) -> Vec<StoredBit> {
    let map = chip.accelerator.map();
    let mut seen = std::collections::HashSet::new();
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

/// A scrubber for names of designs.
pub fn scrub_name(scrub: Option<Scrub>) -> String {
    scrub.map_or_else(
        || "unscrubbed".to_owned(),
        |scrub| format!("scrubbed {} s", scrub.period_s),
    )
}
