//! Who is struck how often in missions, with what that rests on.

use super::{Design, RateRequest, StudyError};
use crate::accelerator::{MemoryId, Style};
use crate::campaign::mission::{Exposure, Permanent};
use crate::radiation::rate::{FlippedBitsPerHour, Quantity, StrikesPerBitHour, StrikesPerHour};
use crate::radiation::{Assumption, Banded, Clusters, RateProfile};
use crate::scheme::{Scheme, Store};
use crate::text::count;

/// Strikes of storage styles, with what the rates rest on.
pub(super) struct Strikes {
    /// One entry without a style holds for all.
    classes: Vec<(Option<Style>, Exposure, Option<f64>)>,
    /// What the rates rest on.
    pub assumptions: Vec<Assumption>,
    /// Where the rate comes from.
    pub source: String,
}

/// How often all cells of a store are hit.
pub(super) struct StrikeRates {
    pub strikes: StrikesPerHour,
    /// The range in which the sources know it; none where they do not say.
    pub band: Option<[StrikesPerHour; 2]>,
    pub flipped_bits: FlippedBitsPerHour,
}

/// What missions are told of strikes.
pub(super) struct StrikeRequest<'a> {
    pub rate: &'a RateRequest,
    /// Strikes per second on all stored bits together, instead of a rate.
    pub rate_per_s: Option<f64>,
    pub permanent_share: f64,
}

impl Strikes {
    /// Resolves what a mission is told. `bits` are those that a rate per second speaks of.
    pub fn resolve(
        request: &StrikeRequest<'_>,
        design: Option<&Design>,
        bits: u64,
    ) -> Result<Self, StudyError> {
        let rate = request.rate;
        if let Some(per_s) = request.rate_per_s {
            if !(per_s.is_finite() && per_s >= 0.0) {
                return Err(StudyError::refused_about(
                    "rate_per_s",
                    format!("{per_s} strikes per second are no rate"),
                    "a finite number of strikes per second from 0",
                ));
            }
            if *rate
                != (RateRequest {
                    clusters: rate.clusters.clone(),
                    rate_form: rate.rate_form,
                    ..RateRequest::default()
                })
            {
                return Err(StudyError::refused(
                    "the rate is stated twice: strikes per second and another rate",
                    "one of them",
                ));
            }
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
                    text: "every strike flips one bit: no clusters are stated".to_owned(),
                }]
            } else {
                Vec::new()
            };
            let exposure = Exposure {
                strikes: RateProfile::constant(per_s * 3600.0 / bits.max(1) as f64),
                clusters,
                permanent_share: request.permanent_share,
                ..Exposure::single(Vec::new(), 0.0)
            };
            return Ok(Self {
                classes: vec![(None, exposure, None)],
                assumptions,
                source: format!("{per_s} strikes per second on {} bits", count(bits)),
            });
        }
        let technologies = rate.technologies(design.map(|design| &design.hardware))?;
        let exposures = match design {
            Some(design) => rate.on(design)?.exposures,
            None => rate.exposures(None, &[(None, bits)])?,
        };
        let classes = exposures.0.iter().map(|part| {
            let style = Style::STORED
                .into_iter()
                .find(|style| design.is_some() && style.name() == part.class);
            let technology = style.map_or_else(|| technologies.others(), |style| technologies.get(style));
            let permanent = technology.and_then(|technology| technology.permanent.as_ref());
            let exposure = Exposure {
                arrays: Vec::new(),
                strikes: part.assessment.profile.clone(),
                clusters: part.assessment.clusters.clone(),
                permanent_share: request.permanent_share,
                permanent: permanent.map(|faults| Permanent {
                    profile: faults.profile(),
                    stuck_at_one_share: faults.stuck_at_one_share,
                }),
            };
            (style, exposure, part.assessment.uncertainty_factor)
        });
        Ok(Self {
            classes: classes.collect(),
            assumptions: exposures.assumptions(),
            source: rate.source(&exposures),
        })
    }

    /// The rate of flip-flops as well, where no stored bit lies in one, with what it rests on.
    pub fn add_registers(&mut self, rate: &RateRequest, design: &Design) -> Result<(), StudyError> {
        let known = |(style, ..): &(Option<Style>, Exposure, Option<f64>)| *style == Some(Style::Registers);
        if self.classes.iter().any(known) {
            return Ok(());
        }
        let exposures = rate.exposures(Some(&design.hardware), &[(Some(Style::Registers), 1)])?;
        for part in &exposures.0 {
            let exposure = Exposure {
                strikes: part.assessment.profile.clone(),
                clusters: part.assessment.clusters.clone(),
                ..Exposure::single(Vec::new(), 0.0)
            };
            let factor = part.assessment.uncertainty_factor;
            self.classes.push((Some(Style::Registers), exposure, factor));
        }
        for assumption in exposures.assumptions() {
            if !self.assumptions.contains(&assumption) {
                self.assumptions.push(assumption);
            }
        }
        Ok(())
    }

    fn of_registers(&self) -> Option<&(Option<Style>, Exposure, Option<f64>)> {
        let of = |wanted: Option<Style>| self.classes.iter().find(|(style, ..)| *style == wanted);
        of(Some(Style::Registers))
            .or_else(|| of(None))
            .or_else(|| self.classes.first())
    }

    /// Mean strikes per hour on one register bit, those of flip-flops or of what holds for all, with what one of
    /// them flips, and the factor within which they are known.
    pub fn register_rate(&self) -> (StrikesPerBitHour, Clusters, Option<f64>) {
        self.of_registers().map_or(
            (Quantity::ZERO, Clusters::single(), None),
            |(_, exposure, factor)| (exposure.strikes.mean(), exposure.clusters.clone(), *factor),
        )
    }

    /// How strikes on a storage style come, and what one of them flips.
    pub fn of_style(&self, style: Style) -> Option<(StrikesPerBitHour, &Clusters)> {
        let of = |wanted: Option<Style>| self.classes.iter().find(|(style, ..)| *style == wanted);
        of(Some(style))
            .or_else(|| of(None))
            .map(|(_, exposure, _)| (exposure.strikes.mean(), &exposure.clusters))
    }

    /// Strikes per hour on all cells of a store.
    pub fn per_hour(&self, store: &Store, exposures: &[Exposure]) -> StrikeRates {
        let mut sum = Banded::within(StrikesPerHour::ZERO, None);
        let mut flips = FlippedBitsPerHour::ZERO;
        let mut known = false;
        for exposure in exposures {
            let of_class = self
                .classes
                .iter()
                .find(|(_, class, _)| class.strikes == exposure.strikes);
            let factor = of_class.and_then(|(.., factor)| *factor);
            let strikes = exposure.strikes.mean().of_bits(exposure.bits(store));
            known |= factor.is_some();
            sum = sum + Banded::within(strikes, factor);
            flips = flips + strikes.flipped_bits(&exposure.clusters);
        }
        StrikeRates {
            strikes: sum.nominal,
            band: known.then(|| sum.range()),
            flipped_bits: flips,
        }
    }

    /// Notes what is assumed about where copies lie, where strikes reach several cells.
    pub fn note_copies(&mut self, mut schemes: impl Iterator<Item = Scheme>) {
        let wide = self
            .classes
            .iter()
            .any(|(_, exposure, _)| exposure.clusters.mean_bits() > 1.0);
        if wide && schemes.any(|scheme| scheme.copies() > 1) {
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
            let memory = &store.memories()[store.arrays()[array].memory as usize];
            memory.memory.map(&style)
        };
        self.classes
            .iter()
            .map(|(class, exposure, _)| {
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
