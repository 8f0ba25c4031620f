//! How often are memories upset? Environment and memory technology, or a rate as a number, to upsets per hour.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::conduct::{folder_error, open_plain};
use super::{Design, NetworkRequest, RateBand, RateRequest, RateSummary, Session, StudyError, text_form};
use crate::campaign::analytic::{
    Accumulation, Redundancy, mttf_secded_unscrubbed, mttf_with, single_event_floor,
};
use crate::data::InputLog;
use crate::radiation::rate::{
    Counts, Expected, FlippedBits, FlippedBitsPerBitHour, FlippedBitsPerHour, Hours, Quantity, Strikes,
    StrikesPerBitHour, StrikesPerHour,
};
use crate::radiation::{Clusters, Exposure, Exposures};

/// What protects a memory in closed forms, as people write it: `none`, `tmr`, `tmr:M` or `secded:N,K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedForm(pub Redundancy);

/// A text that names no closed form.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` has no closed form: {problem}")]
#[diagnostic(
    code(radstream::rate::closed_form),
    help(
        "expected none, tmr, tmr:M (a voter per M bits), or secded:N,K with N up to 4096 bits of which K are data, for instance secded:72,64, secded:39,32 or secded:22,16"
    )
)]
pub struct ClosedFormError {
    text: String,
    problem: String,
}

impl FromStr for ClosedForm {
    type Err = ClosedFormError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| ClosedFormError {
            text: text.to_owned(),
            problem,
        };
        let number = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .filter(|number| (1..=4096).contains(number))
                .ok_or_else(|| wrong(format!("`{text}` is no number from 1 to 4096")))
        };
        let redundancy = match text.split_once(':') {
            None if text == "none" => Redundancy::None,
            None if text == "tmr" => Redundancy::Tmr { module_bits: 1 },
            Some(("tmr", module)) => Redundancy::Tmr {
                module_bits: number(module)?,
            },
            Some(("secded", code)) => {
                let (n, k) = code
                    .split_once(',')
                    .ok_or_else(|| wrong("secded takes two numbers".to_owned()))?;
                let (n, k) = (number(n)?, number(k)?);
                // A Hamming code with an overall parity bit: k + r + 1 <= 2^r, and one bit more.
                let check = n.checked_sub(k).and_then(|check| check.checked_sub(1));
                match check {
                    Some(r) if r < 31 && u64::from(k) + u64::from(r) < 1 << r => Redundancy::Secded { n, k },
                    _ => {
                        return Err(wrong(format!(
                            "no SECDED code has {n} bits of which {k} are data"
                        )));
                    }
                }
            }
            _ => return Err(wrong("there is no such scheme".to_owned())),
        };
        Ok(Self(redundancy))
    }
}

impl fmt::Display for ClosedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Redundancy::None => f.write_str("none"),
            Redundancy::Tmr { module_bits: 1 } => f.write_str("tmr"),
            Redundancy::Tmr { module_bits } => write!(f, "tmr:{module_bits}"),
            Redundancy::Secded { n, k } => write!(f, "secded:{n},{k}"),
        }
    }
}

/// Asks for a rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpsetRequest {
    /// The network on its hardware, whose stored bits are hit.
    pub network: NetworkRequest,
    /// How often memories are hit.
    pub rate: RateRequest,
    /// Stored bits, instead of those of a network.
    pub bits: Option<u64>,
    /// Hours of a mission whose upsets are expected.
    pub mission_h: Option<f64>,
    /// Inferences per hour; from the hardware file's clock where they are not stated.
    pub inferences_per_hour: Option<f64>,
    /// For FPGA configuration memory: share of its upsets that break the design.
    pub dvf: Option<f64>,
    /// Whether closed forms of what accumulates in the mission are asked for.
    pub analytic: bool,
    /// What protects the memory in closed forms.
    #[serde(with = "text_form")]
    pub scheme: ClosedForm,
    /// Seconds between two scrubs in closed forms; never where none are stated.
    pub scrub_s: Option<f64>,
    /// Codewords of a SECDED code, instead of bits.
    pub words: Option<u64>,
    /// Words that share a physical row and take its columns in turn.
    pub interleave: u32,
    /// Whether the arithmetic is reported step by step.
    pub explain: bool,
}

impl Default for UpsetRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            rate: RateRequest::default(),
            bits: None,
            mission_h: None,
            inferences_per_hour: None,
            dvf: None,
            analytic: false,
            scheme: ClosedForm(Redundancy::None),
            scrub_s: None,
            words: None,
            interleave: 1,
            explain: false,
        }
    }
}

/// Upsets of one class of memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// Storage style or class of memory.
    pub class: String,
    /// Its memory technology.
    pub memory_technology: String,
    /// Its bits.
    pub stored_bits: u64,
    /// Strikes per bit and hour.
    pub events_per_bit_hour: StrikesPerBitHour,
    /// What its stated rate counts: strikes or flipped bits.
    pub counts: Counts,
    /// Name of the cluster table in force.
    pub clusters: String,
    /// Mean number of bits that one strike flips.
    pub bits_per_event: f64,
    /// Numbers of bits that one strike flips, with their shares.
    pub cluster_sizes: Vec<(u32, f64)>,
    /// Share of the strikes that put two flips into one word.
    pub share_in_one_word: f64,
    /// Strikes per hour.
    pub events_per_hour: StrikesPerHour,
    /// Strikes per day.
    pub events_per_day: f64,
    /// Strikes per inference, where inferences per hour are known.
    pub events_per_inference: Option<f64>,
    /// Flipped bits per hour.
    pub flipped_bits_per_hour: FlippedBitsPerHour,
    /// Flipped bits per day.
    pub flipped_bits_per_day: f64,
    /// Flipped bits per inference.
    pub flipped_bits_per_inference: Option<f64>,
    /// Mean time between strikes.
    pub mttf_hours: Option<f64>,
    /// The rate is known within this factor.
    pub uncertainty_factor: Option<f64>,
    /// The range in which the source knows it.
    pub band: ClassBand,
    /// Expected strikes in the mission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_events: Option<Expected<Strikes>>,
    /// Expected flipped bits in the mission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_flipped_bits: Option<Expected<FlippedBits>>,
    /// The arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<String>>,
}

/// The range of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassBand {
    /// Of its strikes per hour.
    pub events_per_hour: Option<[StrikesPerHour; 2]>,
}

/// Configuration upsets, which are strikes, that break a design.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DvfReport {
    /// Device vulnerability factor.
    pub dvf: f64,
    /// Failures of the design per hour.
    pub functional_failures_per_hour: f64,
    /// The same per 1e9 hours.
    pub fit: f64,
    /// Hours per failure.
    pub hours_per_failure: Option<f64>,
    /// How it was obtained.
    pub method: &'static str,
}

/// What a mission is to expect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissionExpectation {
    /// Its hours.
    pub hours: f64,
    /// The same.
    pub mission_hours: f64,
    /// Upsets, which are strikes.
    pub expected_upsets: Expected<Strikes>,
    /// The same.
    pub expected_events: Expected<Strikes>,
    /// The same.
    pub expected_strikes: Expected<Strikes>,
    /// Flipped bits.
    pub expected_flipped_bits: Expected<FlippedBits>,
}

/// A rate and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsetReport {
    /// The rate.
    #[serde(flatten)]
    pub rate: RateSummary,
    /// Strikes per hour.
    pub events_per_hour: StrikesPerHour,
    /// Strikes per day.
    pub events_per_day: f64,
    /// Flipped bits per day.
    pub flipped_bits_per_day: f64,
    /// Mean time between strikes.
    pub mttf_hours: Option<f64>,
    /// The same in years.
    pub mttf_years: Option<f64>,
    /// Inferences per hour, where known.
    pub inferences_per_hour: Option<f64>,
    /// Strikes per inference.
    pub events_per_inference: Option<f64>,
    /// Flipped bits per inference.
    pub flipped_bits_per_inference: Option<f64>,
    /// What a mission is to expect, where one was stated.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionExpectation>,
    /// Configuration upsets, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dvf: Option<DvfReport>,
    /// By class of memory.
    pub classes: Vec<ClassReport>,
    /// Closed forms, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analytic: Option<AnalyticReport>,
}

/// Closed forms of one memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalyticReport {
    /// What protects it.
    pub scheme: Redundancy,
    /// Units that can fail.
    pub units: u64,
    /// What a unit is.
    pub unit: &'static str,
    /// Upsets, which are strikes, per bit and hour.
    pub upsets_per_bit_hour: StrikesPerBitHour,
    /// Flips per bit and hour: what accumulates.
    pub flipped_bits_per_bit_hour: FlippedBitsPerBitHour,
    /// Time between two scrubs.
    pub scrub_hours: Option<Hours>,
    /// Length of the mission.
    pub mission_hours: Hours,
    /// Probability that a bit is wrong at the end of a scrub interval, or of the mission.
    pub p_bit_wrong: f64,
    /// Probability that a unit has failed there.
    pub p_unit_fails: f64,
    /// Expected failures in the mission by flips that pile up.
    pub expected_failures: f64,
    /// Their leading order for rare upsets.
    pub expected_failures_approximately: f64,
    /// The same with those that single strikes set.
    pub expected_failures_with_floor: f64,
    /// Probability of any failure, those that single strikes set included.
    pub p_any: f64,
    /// Mean time to the first failure of either kind, where a form holds.
    pub mttf_hours: Option<Hours>,
    /// How that was obtained.
    pub mttf_method: Option<&'static str>,
    /// Share of the strikes that put two flips into one word.
    pub share_in_one_word: f64,
    /// Failures in the mission that single strikes set, and no scrubbing lowers.
    pub single_event_floor: f64,
    /// The same per hour.
    pub single_event_floor_per_hour: f64,
    /// What the forms rest on.
    pub notes: Vec<String>,
}

const DVF_METHOD: &str = "upsets x vulnerability factor only: which configuration bits break the design, and how, is not simulated";

/// Largest number of hours or inferences that anybody means.
const MAX_AMOUNT: f64 = 1e15;

/// Most bits.
const MAX_BITS: u64 = 1 << 60;

fn check_amount(topic: &'static str, name: &str, value: Option<f64>) -> Result<(), StudyError> {
    match value {
        Some(value) if !(0.0..=MAX_AMOUNT).contains(&value) => Err(StudyError::refused_about(
            topic,
            format!("{name} = {value} is not an amount"),
            format!("a number from 0 to {MAX_AMOUNT:e}"),
        )),
        _ => Ok(()),
    }
}

fn per_inference(per_hour: f64, inferences_per_hour: Option<f64>) -> Option<f64> {
    inferences_per_hour
        .filter(|rate| *rate > 0.0)
        .map(|rate| per_hour / rate)
}

impl UpsetRequest {
    /// Runs it; with a folder it writes `rate.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<UpsetReport, StudyError> {
        let log = InputLog::start();
        check_amount("mission", "hours", self.mission_h)?;
        check_amount(
            "inferences_per_hour",
            "inferences per hour",
            self.inferences_per_hour,
        )?;
        if let Some(dvf) = self.dvf.filter(|dvf| !(0.0..=1.0).contains(dvf)) {
            return Err(StudyError::refused_about(
                "dvf",
                format!("a vulnerability factor of {dvf} is no share"),
                "a number from 0 to 1",
            ));
        }
        if let Some(bits) = self.bits.filter(|&bits| bits > MAX_BITS) {
            return Err(StudyError::refused(
                format!("{bits} bits are out of range"),
                format!("at most {MAX_BITS}"),
            ));
        }
        let (exposures, inferences_per_hour, name) = self.exposures()?;
        let analytic = self.closed_forms(&exposures)?;
        let report = self.report(&exposures, inferences_per_hour, analytic);
        let path = session.folder.clone();
        if let Some(mut folder) = open_plain(session, path, "rate", &name, self, log.finish(), ["rate.json"])?
        {
            folder.write_json("rate.json", &report).map_err(folder_error)?;
            folder.done("report").map_err(folder_error)?;
            folder.finish().map_err(folder_error)?;
        }
        Ok(report)
    }

    /// Data bits that the words stand for.
    fn words_as_bits(&self) -> Result<Option<u64>, StudyError> {
        match (self.words, self.scheme.0) {
            (None, _) => Ok(None),
            (Some(words), Redundancy::Secded { k, .. }) => Ok(Some(words.saturating_mul(u64::from(k)))),
            (Some(_), _) => Err(StudyError::refused_about(
                "words",
                "words are counted, and the scheme has no codewords",
                "a SECDED scheme with them, or bits",
            )),
        }
    }

    fn exposures(&self) -> Result<(Exposures, Option<f64>, String), StudyError> {
        if let Some(bits) = self.bits.or(self.words_as_bits()?) {
            if let Some(styled) = self.rate.styled() {
                return Err(StudyError::refused(
                    format!(
                        "the memory technology {styled} names a storage style, which bare bits have none of"
                    ),
                    "a memory technology without a style, or a network instead of bits",
                ));
            }
            let exposures = self.rate.exposures(None, &[(None, bits)])?;
            return Ok((exposures, self.inferences_per_hour, format!("{bits} bits")));
        }
        let design = Design::build(&self.network, None)?;
        let clock = design.accelerator.clock_mhz();
        let from_clock = clock.zip(design.accelerator.initiation_interval());
        let inferences_per_hour = self
            .inferences_per_hour
            .or(from_clock.map(|(mhz, cycles)| mhz * 1e6 * 3600.0 / cycles.max(1) as f64));
        Ok((self.rate.on(&design)?.exposures, inferences_per_hour, design.name))
    }

    fn report(
        &self,
        exposures: &Exposures,
        inferences_per_hour: Option<f64>,
        analytic: Option<AnalyticReport>,
    ) -> UpsetReport {
        let mut rate = self.rate.summary(exposures);
        let (strikes, flips) = (rate.strikes_per_hour, rate.flipped_bits_per_hour);
        let mttf = strikes.hours_per_one();
        let mission = self.mission_h.map(|hours| {
            let (strikes, flips) = (
                exposures.strikes_in(Hours(hours)),
                exposures.flipped_bits_in(Hours(hours)),
            );
            let known = exposures.has_band();
            rate.band = RateBand {
                expected_events: Some(known.then(|| strikes.range())),
                expected_flipped_bits: Some(known.then(|| flips.range())),
                ..rate.band.clone()
            };
            MissionExpectation {
                hours,
                mission_hours: hours,
                expected_upsets: strikes.nominal,
                expected_events: strikes.nominal,
                expected_strikes: strikes.nominal,
                expected_flipped_bits: flips.nominal,
            }
        });
        let dvf = self.dvf.map(|dvf| {
            let functional = strikes.value() * dvf;
            DvfReport {
                dvf,
                functional_failures_per_hour: functional,
                fit: functional * 1e9,
                hours_per_failure: (functional > 0.0).then(|| 1.0 / functional),
                method: DVF_METHOD,
            }
        });
        UpsetReport {
            rate,
            events_per_hour: strikes,
            events_per_day: strikes.per_day(),
            flipped_bits_per_day: flips.per_day(),
            mttf_hours: mttf.map(|hours| hours.0),
            mttf_years: mttf.map(Hours::years),
            inferences_per_hour,
            events_per_inference: per_inference(strikes.value(), inferences_per_hour),
            flipped_bits_per_inference: per_inference(flips.value(), inferences_per_hour),
            mission,
            dvf,
            classes: exposures
                .0
                .iter()
                .map(|part| self.class(part, inferences_per_hour))
                .collect(),
            analytic,
        }
    }

    fn class(&self, part: &Exposure, inferences_per_hour: Option<f64>) -> ClassReport {
        let assessment = &part.assessment;
        let strikes = part.strikes_per_hour();
        let flips = part.flipped_bits_per_hour().nominal;
        ClassReport {
            class: part.class.clone(),
            memory_technology: part.technology.clone(),
            stored_bits: part.stored_bits,
            events_per_bit_hour: assessment.profile.mean(),
            counts: assessment.stated.counts(),
            clusters: assessment.clusters.name().to_owned(),
            bits_per_event: assessment.bits_per_event,
            cluster_sizes: assessment.clusters.sizes().to_vec(),
            share_in_one_word: assessment.clusters.share_in_one_word(1),
            events_per_hour: strikes.nominal,
            events_per_day: strikes.nominal.per_day(),
            events_per_inference: per_inference(strikes.nominal.value(), inferences_per_hour),
            flipped_bits_per_hour: flips,
            flipped_bits_per_day: flips.per_day(),
            flipped_bits_per_inference: per_inference(flips.value(), inferences_per_hour),
            mttf_hours: strikes.nominal.hours_per_one().map(|hours| hours.0),
            uncertainty_factor: assessment.uncertainty_factor,
            band: ClassBand {
                events_per_hour: assessment.uncertainty_factor.map(|_| strikes.range()),
            },
            expected_events: self.mission_h.map(|hours| part.strikes_in(Hours(hours)).nominal),
            expected_flipped_bits: self
                .mission_h
                .map(|hours| part.flipped_bits_in(Hours(hours)).nominal),
            steps: self.explain.then(|| assessment.steps.clone()),
        }
    }

    /// The closed forms, where they were asked for.
    fn closed_forms(&self, exposures: &Exposures) -> Result<Option<AnalyticReport>, StudyError> {
        let Some(mission) = self.mission_h.filter(|_| self.analytic).map(Hours) else {
            return Ok(None);
        };
        let scrub = match self.scrub_s {
            Some(seconds) if !(seconds.is_finite() && seconds > 0.0) => {
                return Err(StudyError::refused_about(
                    "scrub_s",
                    format!("a scrub every {seconds} s is no period"),
                    "a finite number of seconds above 0, or no scrubbing",
                ));
            }
            seconds => seconds.map(Hours::from_seconds),
        };
        let stored = exposures.stored_bits();
        let data_bits = self.bits.unwrap_or(stored);
        let of_all = exposures.strikes_per_hour().nominal;
        let per_bit = 1.0 / stored.max(1) as f64;
        let strikes = StrikesPerBitHour::new(of_all.value() * per_bit)?;
        let flips = FlippedBitsPerBitHour::new(exposures.flipped_bits_per_hour().nominal.value() * per_bit)?;
        let scheme = self.scheme.0;
        let units = self.words.unwrap_or_else(|| scheme.units(data_bits));
        let memory = Accumulation {
            scheme,
            units,
            flips,
            scrub,
            mission,
        };
        let in_one_word: StrikesPerHour = exposures
            .0
            .iter()
            .map(|part| {
                let clusters = &part.assessment.clusters;
                part.strikes_per_hour().nominal * clusters.share_in_one_word(self.interleave)
            })
            .sum();
        let share = in_one_word.value() / of_all.value().max(f64::MIN_POSITIVE);
        let floor = match scheme {
            Redundancy::Secded { .. } => {
                let stored = units.saturating_mul(scheme.stored_bits_per_unit());
                single_event_floor(strikes.of_bits(stored), share)
            }
            _ => Quantity::ZERO,
        };
        let in_mission = floor.expected_in(mission)?.value();
        let mttf = mttf(&memory, strikes, floor);
        // Without protection the first strike leaves something wrong, however many bits it flips.
        let p_any = match scheme {
            Redundancy::None => {
                let flips = strikes.flipped_bits(&Clusters::single());
                Accumulation { flips, ..memory }.p_any()
            }
            _ => memory.p_any(),
        };
        Ok(Some(AnalyticReport {
            scheme,
            units,
            unit: match scheme {
                Redundancy::None => "bits",
                Redundancy::Tmr { module_bits: 1 } => "voted bits",
                Redundancy::Tmr { .. } => "voted modules",
                Redundancy::Secded { .. } => "codewords",
            },
            upsets_per_bit_hour: strikes,
            flipped_bits_per_bit_hour: flips,
            scrub_hours: scrub,
            mission_hours: mission,
            p_bit_wrong: memory.p_bit_wrong(),
            p_unit_fails: memory.p_unit_fails(),
            expected_failures: memory.expected_failures(),
            expected_failures_approximately: memory.expected_failures_approximately(),
            expected_failures_with_floor: memory.expected_failures() + in_mission,
            p_any: -libm::expm1(libm::log1p(-p_any) - in_mission),
            mttf_hours: mttf.map(|(hours, _)| hours),
            mttf_method: mttf.map(|(_, method)| method),
            share_in_one_word: share,
            single_event_floor: in_mission,
            single_event_floor_per_hour: floor.value(),
            notes: notes(&memory, exposures, share),
        }))
    }
}

/// Mean time to the first failure, by what piles up and by what single strikes set, and how it was obtained.
fn mttf(
    memory: &Accumulation,
    strikes: StrikesPerBitHour,
    floor: StrikesPerHour,
) -> Option<(Hours, &'static str)> {
    let has_floor = floor.value() > 0.0;
    match memory.scheme {
        Redundancy::None => {
            let first = strikes.of_bits(memory.units).hours_per_one()?;
            Some((first, "1 / strikes per hour: the first strike leaves a wrong bit"))
        }
        _ if memory.scrub.is_some() => {
            let hours = mttf_with(memory.mttf_scrubbed(), floor)?;
            let method = if has_floor {
                "1 / (P(any unit fails in a scrub period) / scrub period + single-strike floor per hour)"
            } else {
                "scrub period / P(any unit fails in it)"
            };
            Some((hours, method))
        }
        Redundancy::Secded { n, .. } => {
            let hours = mttf_secded_unscrubbed(memory.units, n, memory.flips, floor)?;
            let method = if has_floor {
                "integral of exp(-words (n lambda t)^2 / 2 - floor t): asymptotic for many words, not to be compared with a simulation"
            } else {
                "sqrt(pi / (2 words)) / (n lambda): asymptotic for many words, not to be compared with a simulation"
            };
            Some((hours, method))
        }
        Redundancy::Tmr { .. } => None,
    }
}

fn notes(memory: &Accumulation, exposures: &Exposures, share: f64) -> Vec<String> {
    let mut notes = vec![
        "independent single-bit upsets at the mean rate; copies and check bits are hit as often as data bits"
            .to_owned(),
    ];
    let any = |holds: &dyn Fn(&Exposure) -> bool| exposures.0.iter().any(holds);
    if any(&|part| part.assessment.bits_per_event > 1.0) {
        notes.push(
            "the flips of one strike are counted as if they were independent; the floor counts what one strike does to one word"
                .to_owned(),
        );
    }
    if matches!(memory.scheme, Redundancy::Tmr { .. }) && share > 0.0 {
        notes.push(
            "no floor for TMR: whether one strike reaches two copies depends on where they lie".to_owned(),
        );
    }
    if exposures.0.len() > 1 {
        notes.push("one mean rate stands for all classes of memory".to_owned());
    }
    if any(&|part| part.assessment.profile.pieces().count() > 1) {
        notes.push("one mean rate stands for all times".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_are_read_as_they_are_written() {
        for text in ["none", "tmr", "tmr:8", "secded:72,64", "secded:22,16"] {
            assert_eq!(
                text.parse::<ClosedForm>().map(|form| form.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in [
            "",
            "TMR",
            "tmr:0",
            "secded",
            "secded:8,8",
            "secded:64,72",
            "secded:5000,4990",
            "dmr",
        ] {
            assert!(text.parse::<ClosedForm>().is_err(), "{text}");
        }
    }
}
