//! How often are memories upset? Environment and memory technology, or a rate as a number, to upsets per hour.

use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::conduct::{folder_error, open_plain};
use super::{Design, NetworkRequest, RateBand, RateRequest, RateSummary, Session, StudyError, text_form};
use crate::campaign::analytic::{Accumulation, Redundancy, mttf_secded_unscrubbed, single_event_floor};
use crate::data::InputLog;
use crate::radiation::rate::{Counts, Hours};
use crate::radiation::{Banded, Exposure, Exposures};

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
    pub events_per_bit_hour: f64,
    /// Mean number of bits that one strike flips.
    pub bits_per_event: f64,
    /// Numbers of bits that one strike flips, with their shares.
    pub cluster_sizes: Vec<(u32, f64)>,
    /// Share of the strikes that put two flips into one word.
    pub share_in_one_word: f64,
    /// Strikes per hour.
    pub events_per_hour: f64,
    /// Strikes per day.
    pub events_per_day: f64,
    /// Strikes per inference, where inferences per hour are known.
    pub events_per_inference: Option<f64>,
    /// Flipped bits per hour.
    pub flipped_bits_per_hour: f64,
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
    pub expected_events: Option<f64>,
    /// Expected flipped bits in the mission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_flipped_bits: Option<f64>,
    /// The arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<String>>,
}

/// The range of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassBand {
    /// Of its strikes per hour.
    pub events_per_hour: Option<[f64; 2]>,
}

/// Configuration upsets that break a design.
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
    /// Upsets, as the rate counts them.
    pub expected_upsets: f64,
    /// Strikes.
    pub expected_events: f64,
    /// Flipped bits.
    pub expected_flipped_bits: f64,
}

/// A rate and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpsetReport {
    /// The rate.
    #[serde(flatten)]
    pub rate: RateSummary,
    /// Strikes per hour.
    pub events_per_hour: f64,
    /// Strikes per day.
    pub events_per_day: f64,
    /// Flipped bits per hour.
    pub flipped_bits_per_hour: f64,
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
    /// Flips per bit and hour.
    pub upsets_per_bit_hour: f64,
    /// Time between two scrubs.
    pub scrub_hours: Option<Hours>,
    /// Length of the mission.
    pub mission_hours: Hours,
    /// Probability that a bit is wrong at the end of a scrub interval, or of the mission.
    pub p_bit_wrong: f64,
    /// Probability that a unit has failed there.
    pub p_unit_fails: f64,
    /// Expected failures in the mission.
    pub expected_failures: f64,
    /// Their leading order for rare upsets.
    pub expected_failures_approximately: f64,
    /// Probability of any failure.
    pub p_any: f64,
    /// Mean time to failure, where a form holds.
    pub mttf_hours: Option<Hours>,
    /// How that was obtained.
    pub mttf_method: Option<&'static str>,
    /// Share of the strikes that put two flips into one word.
    pub share_in_one_word: f64,
    /// Failures that single strikes set, and no scrubbing lowers.
    pub single_event_floor: f64,
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
        let (events, flips) = (exposures.events_per_hour(), exposures.flipped_bits_per_hour());
        let mut rate = self.rate.summary(exposures);
        let mttf = exposures.mttf().map(|hours| hours.nominal);
        let mission = self.mission_h.map(|hours| {
            let (events, flips) = (
                exposures.events_in(Hours(hours)),
                exposures.flipped_bits_in(Hours(hours)),
            );
            let known = exposures.has_band();
            let band = |value: Banded| known.then_some([value.low, value.high]);
            rate.band = RateBand {
                expected_events: Some(band(events)),
                expected_flipped_bits: Some(band(flips)),
                ..rate.band.clone()
            };
            MissionExpectation {
                hours,
                mission_hours: hours,
                expected_upsets: match self.rate.counted() {
                    Counts::Bit => flips.nominal,
                    Counts::Event => events.nominal,
                },
                expected_events: events.nominal,
                expected_flipped_bits: flips.nominal,
            }
        });
        let dvf = self.dvf.map(|dvf| {
            let functional = events.nominal * dvf;
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
            events_per_hour: events.nominal,
            events_per_day: events.nominal * 24.0,
            flipped_bits_per_hour: flips.nominal,
            flipped_bits_per_day: flips.nominal * 24.0,
            mttf_hours: mttf,
            mttf_years: mttf.map(|hours| Hours(hours).years()),
            inferences_per_hour,
            events_per_inference: per_inference(events.nominal, inferences_per_hour),
            flipped_bits_per_inference: per_inference(flips.nominal, inferences_per_hour),
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
        let events = part.events_per_hour();
        let flips = events.nominal * assessment.bits_per_event;
        let expected = self.mission_h.map(|hours| part.events_in(Hours(hours)).nominal);
        ClassReport {
            class: part.class.clone(),
            memory_technology: part.technology.clone(),
            stored_bits: part.stored_bits,
            events_per_bit_hour: assessment.profile.mean_events_per_bit_hour(),
            bits_per_event: assessment.bits_per_event,
            cluster_sizes: assessment.clusters.sizes().to_vec(),
            share_in_one_word: assessment.clusters.share_in_one_word(1),
            events_per_hour: events.nominal,
            events_per_day: events.nominal * 24.0,
            events_per_inference: per_inference(events.nominal, inferences_per_hour),
            flipped_bits_per_hour: flips,
            flipped_bits_per_day: flips * 24.0,
            flipped_bits_per_inference: per_inference(flips, inferences_per_hour),
            mttf_hours: (events.nominal > 0.0).then(|| 1.0 / events.nominal),
            uncertainty_factor: assessment.uncertainty_factor,
            band: ClassBand {
                events_per_hour: assessment.uncertainty_factor.map(|_| [events.low, events.high]),
            },
            expected_events: expected,
            expected_flipped_bits: expected.map(|events| events * assessment.bits_per_event),
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
        let events_per_bit = exposures.events_per_hour().nominal / stored.max(1) as f64;
        let flips_per_bit = exposures.flipped_bits_per_hour().nominal / stored.max(1) as f64;
        let scheme = self.scheme.0;
        let units = self.words.unwrap_or_else(|| scheme.units(data_bits));
        let memory = Accumulation {
            scheme,
            units,
            upsets_per_bit_h: flips_per_bit,
            scrub,
            mission,
        };
        let shares = exposures.0.iter().map(|part| {
            let share = part.assessment.clusters.share_in_one_word(self.interleave);
            share * part.events_per_hour().nominal
        });
        let share = shares.sum::<f64>() / exposures.events_per_hour().nominal.max(f64::MIN_POSITIVE);
        let floor = match scheme {
            Redundancy::Secded { .. } => {
                let stored = units * scheme.stored_bits_per_unit();
                single_event_floor(events_per_bit, stored, share, mission)
            }
            _ => 0.0,
        };
        let mttf = mttf(&memory);
        Ok(Some(AnalyticReport {
            scheme,
            units,
            unit: match scheme {
                Redundancy::None => "bits",
                Redundancy::Tmr { module_bits: 1 } => "voted bits",
                Redundancy::Tmr { .. } => "voted modules",
                Redundancy::Secded { .. } => "codewords",
            },
            upsets_per_bit_hour: memory.upsets_per_bit_h,
            scrub_hours: scrub,
            mission_hours: mission,
            p_bit_wrong: memory.p_bit_wrong(),
            p_unit_fails: memory.p_unit_fails(),
            expected_failures: memory.expected_failures(),
            expected_failures_approximately: memory.expected_failures_approximately(),
            p_any: memory.p_any(),
            mttf_hours: mttf.map(|(hours, _)| hours),
            mttf_method: mttf.map(|(_, method)| method),
            share_in_one_word: share,
            single_event_floor: floor,
            notes: notes(&memory, exposures, share),
        }))
    }
}

fn mttf(memory: &Accumulation) -> Option<(Hours, &'static str)> {
    if memory.scrub.is_some() {
        return memory
            .mttf_scrubbed()
            .map(|hours| (hours, "scrub period / P(any unit fails in it)"));
    }
    let Redundancy::Secded { n, .. } = memory.scheme else {
        return None;
    };
    mttf_secded_unscrubbed(memory.units, n, memory.upsets_per_bit_h).map(|hours| {
        (
            hours,
            "sqrt(pi / (2 words)) / (n lambda): asymptotic for many words, not to be compared with a simulation",
        )
    })
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
