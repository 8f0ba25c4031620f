//! Which particles come, and when.

use std::fmt;
use std::path::Path;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::RadiationError;
use super::error::Contradiction;
use super::field::{Status, amount, optional_amount, share};
use super::presets::{ENVIRONMENTS, Named, find};
use super::rate::{Flux, Hours};

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case"))]
pub enum Particle {
    /// Neutrons.
    Neutron,
    /// Protons.
    Proton,
    /// High-energy hadrons.
    Hadron,
    /// Heavy ions, by their linear energy transfer.
    HeavyIon,
}

impl Particle {
    /// Name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Particle::Neutron => "neutrons",
            Particle::Proton => "protons",
            Particle::Hadron => "hadrons",
            Particle::HeavyIon => "heavy ions",
        }
    }
}

/// A point of a differential spectrum over the linear energy transfer (LET), integrated over all
/// directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetPoint {
    /// LET in MeV cm2/mg.
    #[serde(deserialize_with = "amount")]
    pub let_mev_cm2_per_mg: f64,
    /// Particles per cm2, s and unit of LET (MeV cm2/mg).
    #[serde(deserialize_with = "amount")]
    pub per_cm2_s_per_let: f64,
}

/// How many particles come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case"))]
pub enum SegmentFlux {
    /// Particles per cm2 and hour.
    PerCm2Hour(#[serde(deserialize_with = "amount")] f64),
    /// Particles per cm2 and second.
    PerCm2Second(#[serde(deserialize_with = "amount")] f64),
    /// Multiple of New York City's 13 neutrons per cm2 and hour above 10 MeV.
    TimesNewYork(#[serde(deserialize_with = "amount")] f64),
    /// Heavy ions: points in rising LET.
    LetSpectrum(#[serde(deserialize_with = "spectrum")] Vec<LetPoint>),
}

fn spectrum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LetPoint>, D::Error> {
    let points = Vec::<LetPoint>::deserialize(deserializer)?;
    let rises = points
        .windows(2)
        .all(|pair| pair[0].let_mev_cm2_per_mg < pair[1].let_mev_cm2_per_mg);
    if points.len() < 2 || !rises {
        return Err(D::Error::custom(
            "expected at least two points of a LET spectrum, in rising LET",
        ));
    }
    Ok(points)
}

/// A stretch of time in which the flux does not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Begin in hours.
    #[serde(deserialize_with = "amount")]
    pub from_h: f64,
    /// End in hours.
    #[serde(deserialize_with = "amount")]
    pub to_h: f64,
    /// Particles.
    pub flux: SegmentFlux,
    /// Which.
    pub particle: Particle,
    /// Least energy of the particles that are counted, in MeV; none for heavy ions.
    #[serde(default, deserialize_with = "optional_amount")]
    pub e_min_mev: Option<f64>,
    /// Factor on the flux: shielding, altitude, acceleration.
    #[serde(default = "one", deserialize_with = "amount")]
    pub multiplier: f64,
    /// Thermal neutrons as a multiple of New York City's. Otherwise as the flux where that is of
    /// neutrons, and 1 where it is not.
    #[serde(default, deserialize_with = "optional_amount")]
    pub thermal_vs_nyc: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl Segment {
    /// Length.
    #[must_use]
    pub fn hours(&self) -> Hours {
        Hours(self.to_h - self.from_h)
    }

    /// Particles per cm2 and hour with the multiplier; none for a spectrum.
    #[must_use]
    pub fn flux_per_cm2_h(&self) -> Option<f64> {
        let flux = match self.flux {
            SegmentFlux::PerCm2Hour(flux) => flux,
            SegmentFlux::PerCm2Second(flux) => flux * 3600.0,
            SegmentFlux::TimesNewYork(multiple) => multiple * Flux::NEW_YORK_SEA_LEVEL.per_cm2_h(),
            SegmentFlux::LetSpectrum(_) => return None,
        };
        Some(flux * self.multiplier)
    }
}

/// Particles over time. The segments follow each other without gaps from 0 and repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Name for people and other files.
    pub name: String,
    /// Other names of the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where the numbers come from.
    pub source: String,
    /// How well they are known.
    pub status: Vec<Status>,
    /// What else is to be said.
    #[serde(default)]
    pub note: String,
    /// The flux over time.
    #[serde(deserialize_with = "segments")]
    pub segments: Vec<Segment>,
    /// Share of the time in which the accelerator is powered and holds its data.
    #[serde(default = "one", deserialize_with = "share")]
    pub duty: f64,
    /// Multiple of New York City's flux as the source prints it. Not a factor: the flux says it
    /// already, and has to agree within 1 %.
    #[serde(default, deserialize_with = "optional_amount")]
    pub quoted_multiple_of_nyc: Option<f64>,
}

impl Environment {
    /// Where nothing else is said about what a file holds.
    const EXPECTED: &str = "an environment as in hw_configs/environments/nyc_sea_level.ron";

    /// The environment of that name, or in the file of that path; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`RadiationError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, RadiationError> {
        find("environment", &ENVIRONMENTS, name, folder, Self::EXPECTED)
    }

    /// A quoted multiple of New York City's flux that is not that of a segment's flux.
    pub(super) fn wrong_multiple(&self) -> Option<Contradiction> {
        let quoted = self.quoted_multiple_of_nyc?;
        let neutrons = self
            .segments
            .iter()
            .filter(|segment| segment.particle == Particle::Neutron);
        let mut multiples = neutrons
            .filter_map(Segment::flux_per_cm2_h)
            .map(|flux| flux / Flux::NEW_YORK_SEA_LEVEL.per_cm2_h());
        let wrong = multiples.find(|multiple| (multiple - quoted).abs() > 0.01 * quoted)?;
        Some(Contradiction {
            field: "quoted_multiple_of_nyc",
            problem: format!("the flux is {wrong} times New York City's, not {quoted} times"),
            expected: "quoted_multiple_of_nyc to agree with the flux within 1 %",
        })
    }

    /// After how many hours the segments repeat.
    #[must_use]
    pub fn period(&self) -> Hours {
        Hours(self.segments.last().map_or(0.0, |segment| segment.to_h))
    }
}

/// Segments that follow each other from 0.
fn segments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Segment>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<Segment>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of segments")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Segment>, A::Error> {
            let mut segments: Vec<Segment> = Vec::new();
            while let Some(segment) = list.next_element::<Segment>()? {
                let end = segments.last().map_or(0.0, |last| last.to_h);
                check(&segment, end).map_err(A::Error::custom)?;
                segments.push(segment);
            }
            if segments.is_empty() {
                return Err(A::Error::custom("expected at least one segment"));
            }
            Ok(segments)
        }
    }

    deserializer.deserialize_seq(InOrder)
}

/// Longest course of segments.
const MAX_HOURS: f64 = 1e9;

fn check(segment: &Segment, previous_end: f64) -> Result<(), String> {
    let Segment { from_h, to_h, .. } = segment;
    if *to_h > MAX_HOURS {
        return Err(format!("a segment to {to_h} h; expected at most {MAX_HOURS:e} h"));
    }
    if to_h <= from_h {
        return Err(format!("a segment from {from_h} h to {to_h} h has no length"));
    }
    if *from_h < previous_end {
        return Err(format!(
            "a segment from {from_h} h overlaps the one before, which ends at {previous_end} h"
        ));
    }
    if *from_h > previous_end {
        return Err(format!(
            "no segment from {previous_end} h to {from_h} h; write one, with flux 0 where nothing comes"
        ));
    }
    let is_spectrum = matches!(segment.flux, SegmentFlux::LetSpectrum(_));
    if is_spectrum != (segment.particle == Particle::HeavyIon) {
        return Err("heavy ions come as a LetSpectrum, and nothing else does".to_owned());
    }
    if is_spectrum == segment.e_min_mev.is_some() {
        return Err(if is_spectrum {
            "a LetSpectrum has no e_min_mev".to_owned()
        } else {
            "expected e_min_mev: the least energy of the particles that are counted".to_owned()
        });
    }
    if matches!(segment.flux, SegmentFlux::TimesNewYork(_))
        && (segment.particle, segment.e_min_mev) != (Particle::Neutron, Some(10.0))
    {
        return Err("TimesNewYork counts neutrons above 10 MeV".to_owned());
    }
    Ok(())
}

impl Named for Environment {
    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.wrong_multiple()
    }
}
