//! `radstream rate --analytic`: the closed forms by themselves.

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::output;
use crate::campaign::analytic::{Accumulation, Protected, mttf_secded_unscrubbed, single_event_floor};
use crate::radiation::Exposures;
use crate::radiation::rate::Hours;

/// Closed forms on request.
#[derive(Debug, Args)]
pub struct AnalyticOptions {
    /// Also print what accumulates in the mission by closed forms
    #[arg(long, requires = "mission")]
    analytic: bool,
    /// Protection for --analytic: none, tmr, tmr:M (a voter per M bits), or secded:N,K
    #[arg(long, value_name = "none|tmr|tmr:M|secded:N,K", default_value = "none", value_parser = scheme)]
    scheme: Protected,
    /// Seconds between two scrubs, for --analytic [default: never]
    #[arg(long, value_name = "S", requires = "analytic", allow_negative_numbers = true)]
    scrub_s: Option<f64>,
    /// Codewords of --scheme secded, instead of --bits
    #[arg(long, value_name = "N", requires = "analytic", conflicts_with_all = ["bits", "network", "hardware"])]
    words: Option<u64>,
    /// Words that share a physical row and take its columns in turn, for the floor that single strikes
    /// set
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    interleave: u32,
}

fn scheme(text: &str) -> Result<Protected, String> {
    let wrong =
        || "expected none, tmr, tmr:M, or secded:N,K with N up to 4096 bits of which K are data".to_owned();
    let number = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|number| (1..=4096).contains(number))
    };
    match text.split_once(':') {
        None if text == "none" => Ok(Protected::None),
        None if text == "tmr" => Ok(Protected::Tmr { module_bits: 1 }),
        Some(("tmr", module)) => {
            let module_bits = number(module).ok_or_else(wrong)?;
            Ok(Protected::Tmr { module_bits })
        }
        Some(("secded", code)) => {
            let (n, k) = code.split_once(',').ok_or_else(wrong)?;
            let (n, k) = (number(n).ok_or_else(wrong)?, number(k).ok_or_else(wrong)?);
            // A Hamming code with an overall parity bit: k + r + 1 <= 2^r, and one bit more.
            let check = n.checked_sub(k).and_then(|check| check.checked_sub(1));
            match check {
                Some(r) if r < 31 && u64::from(k) + u64::from(r) < 1 << r => Ok(Protected::Secded { n, k }),
                _ => Err(format!(
                    "no SECDED code has {n} bits of which {k} are data; expected for instance secded:72,64, secded:39,32 or secded:22,16"
                )),
            }
        }
        _ => Err(wrong()),
    }
}

/// The closed forms of one memory.
pub struct Twin {
    memory: Accumulation,
    mttf: Option<(Hours, &'static str)>,
    floor: f64,
    share_in_one_word: f64,
    notes: Vec<String>,
}

impl AnalyticOptions {
    /// Data bits that `--words` stands for.
    pub fn words_as_bits(&self) -> Result<Option<u64>, Failure> {
        match (self.words, self.scheme) {
            (None, _) => Ok(None),
            (Some(words), Protected::Secded { k, .. }) => Ok(Some(words.saturating_mul(u64::from(k)))),
            (Some(_), _) => Err(Failure::refused(
                "--words counts codewords",
                "expected --scheme secded:N,K with it, or --bits",
            )),
        }
    }

    /// The closed forms, where they were asked for.
    pub fn twin(
        &self,
        exposures: &Exposures,
        bits: Option<u64>,
        mission: Option<Hours>,
    ) -> Result<Option<Twin>, Failure> {
        let Some(mission) = mission.filter(|_| self.analytic) else {
            return Ok(None);
        };
        let scrub = match self.scrub_s {
            Some(seconds) if !(seconds.is_finite() && seconds > 0.0) => {
                return Err(Failure::refused(
                    format!("--scrub-s {seconds} is no period"),
                    "expected a finite number of seconds above 0, or no --scrub-s",
                ));
            }
            seconds => seconds.map(Hours::from_seconds),
        };
        let data_bits = bits.unwrap_or_else(|| exposures.stored_bits());
        let events_per_bit = exposures.events_per_hour().nominal / exposures.stored_bits().max(1) as f64;
        let flips_per_bit = exposures.flipped_bits_per_hour().nominal / exposures.stored_bits().max(1) as f64;
        let units = self.words.unwrap_or_else(|| self.scheme.units(data_bits));
        let memory = Accumulation {
            scheme: self.scheme,
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
        let (share_in_one_word, floor) = match self.scheme {
            Protected::Secded { .. } => {
                let stored = units * self.scheme.stored_bits_per_unit();
                (share, single_event_floor(events_per_bit, stored, share, mission))
            }
            _ => (share, 0.0),
        };
        Ok(Some(Twin {
            mttf: mttf(&memory),
            notes: notes(&memory, exposures, share),
            memory,
            floor,
            share_in_one_word,
        }))
    }
}

fn mttf(memory: &Accumulation) -> Option<(Hours, &'static str)> {
    if memory.scrub.is_some() {
        return memory
            .mttf_scrubbed()
            .map(|hours| (hours, "scrub period / P(any unit fails in it)"));
    }
    let Protected::Secded { n, .. } = memory.scheme else {
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
    if exposures
        .0
        .iter()
        .any(|part| part.assessment.bits_per_event > 1.0)
    {
        notes.push(
            "the flips of one strike are counted as if they were independent; the floor counts what one strike does to one word"
                .to_owned(),
        );
    }
    if matches!(memory.scheme, Protected::Tmr { .. }) && share > 0.0 {
        notes.push(
            "no floor for TMR: whether one strike reaches two copies depends on where they lie".to_owned(),
        );
    }
    if exposures.0.len() > 1 {
        notes.push("one mean rate stands for all classes of memory".to_owned());
    }
    if exposures
        .0
        .iter()
        .any(|part| part.assessment.profile.pieces().count() > 1)
    {
        notes.push("one mean rate stands for all times".to_owned());
    }
    notes
}

impl Twin {
    fn unit(&self) -> &'static str {
        match self.memory.scheme {
            Protected::None => "bits",
            Protected::Tmr { module_bits: 1 } => "voted bits",
            Protected::Tmr { .. } => "voted modules",
            Protected::Secded { .. } => "codewords",
        }
    }

    /// The JSON.
    pub fn json(&self) -> Value {
        json!({
            "scheme": self.memory.scheme,
            "units": self.memory.units,
            "unit": self.unit(),
            "upsets_per_bit_hour": self.memory.upsets_per_bit_h,
            "scrub_hours": self.memory.scrub,
            "mission_hours": self.memory.mission,
            "p_bit_wrong": self.memory.p_bit_wrong(),
            "p_unit_fails": self.memory.p_unit_fails(),
            "expected_failures": self.memory.expected_failures(),
            "expected_failures_approximately": self.memory.expected_failures_approximately(),
            "p_any": self.memory.p_any(),
            "mttf_hours": self.mttf.map(|(hours, _)| hours),
            "mttf_method": self.mttf.map(|(_, method)| method),
            "share_in_one_word": self.share_in_one_word,
            "single_event_floor": self.floor,
            "notes": self.notes,
        })
    }

    /// The closed forms for people.
    pub fn text(&self) -> String {
        let memory = &self.memory;
        let scrub = memory.scrub.map_or_else(
            || "never scrubbed".to_owned(),
            |hours| format!("scrubbed every {} s", output::short(hours.0 * 3600.0)),
        );
        let mut lines = vec![
            format!(
                "closed forms: {} {}, {scrub}, {} h",
                output::count(memory.units),
                self.unit(),
                memory.mission.0
            ),
            format!("  P(bit wrong)       {:.6e}", memory.p_bit_wrong()),
            format!("  P(unit fails)      {:.6e}", memory.p_unit_fails()),
            format!(
                "  expected failures  {} (leading order {})",
                output::short(memory.expected_failures()),
                output::short(memory.expected_failures_approximately())
            ),
            format!("  P(any failure)     {:.6e}", memory.p_any()),
        ];
        if let Some((hours, method)) = self.mttf {
            lines.push(format!(
                "  MTTF               {} h = {} s\n    {method}",
                output::short(hours.0),
                output::short(hours.0 * 3600.0)
            ));
        }
        if self.floor > 0.0 {
            lines.push(format!(
                "  single-strike floor  {} failures ({:.2} % of the strikes put two flips into one word)",
                output::short(self.floor),
                100.0 * self.share_in_one_word
            ));
        }
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.join("\n")
    }
}
