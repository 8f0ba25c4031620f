//! `radstream rate`.

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Target};
use super::output;
use super::rate_analytic::AnalyticOptions;
use super::rate_options::RateOptions;
use super::rate_presets;
use crate::radiation::rate::Hours;
use crate::radiation::{Assumption, Banded, Exposure, Exposures};

/// `radstream rate`.
#[derive(Debug, Args)]
pub struct Rate {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    rate: RateOptions,
    /// Stored bits, instead of those of a network
    #[arg(long, value_name = "N", conflicts_with_all = ["network", "hardware"])]
    bits: Option<u64>,
    /// Also expect the upsets of a mission of so many hours
    #[arg(
        long,
        visible_alias = "hours",
        value_name = "HOURS",
        allow_negative_numbers = true
    )]
    mission: Option<f64>,
    /// Inferences per second, for upsets per inference [default: from the hardware file's clock]
    #[arg(long, value_name = "PER_S", allow_negative_numbers = true)]
    inference_rate: Option<f64>,
    /// Inferences per hour, instead of --inference-rate
    #[arg(
        long,
        value_name = "PER_H",
        conflicts_with = "inference_rate",
        allow_negative_numbers = true
    )]
    inferences_per_hour: Option<f64>,
    /// For FPGA configuration memory: share of its upsets that break the design (device vulnerability
    /// factor; UG116: typically 0.05, at most 0.1). With --bits
    #[arg(long, value_name = "SHARE", requires = "bits", allow_negative_numbers = true)]
    dvf: Option<f64>,
    #[command(flatten)]
    analytic: AnalyticOptions,
    /// Show the arithmetic step by step
    #[arg(long)]
    explain: bool,
    /// List the environments, memory technologies and cluster tables that need no file
    #[arg(long)]
    list_presets: bool,
    #[command(flatten)]
    manner: Manner,
}

/// What the memories are exposed to, with what else is known about their use.
struct Answer {
    exposures: Exposures,
    inferences_per_hour: Option<f64>,
}

impl Rate {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        if self.list_presets {
            return rate_presets::list(&self.manner);
        }
        check_amount("hours", self.mission)?;
        check_amount("--inference-rate", self.inference_rate)?;
        check_amount("--inferences-per-hour", self.inferences_per_hour)?;
        if let Some(dvf) = self.dvf.filter(|dvf| !(0.0..=1.0).contains(dvf)) {
            return Err(Failure::refused(
                format!("--dvf {dvf} is no share"),
                "expected a number from 0 to 1",
            ));
        }
        let answer = self.answer()?;
        let analytic = self
            .analytic
            .twin(&answer.exposures, self.bits, self.mission.map(Hours))?;
        let mut document = self.document(&answer);
        if let Some(twin) = &analytic {
            document["analytic"] = twin.json();
        }
        if self.manner.deliver("rate.json", &document)? {
            return Ok(());
        }
        output::line(&self.text(&answer))?;
        if let Some(twin) = &analytic {
            output::line(&format!("\n{}", twin.text()))?;
        }
        Ok(())
    }

    fn answer(&self) -> Result<Answer, Failure> {
        let stated = self
            .inferences_per_hour
            .or(self.inference_rate.map(|per_s| per_s * 3600.0));
        if let Some(bits) = self.bits.or(self.analytic.words_as_bits()?) {
            if let Some(styled) = self.rate.styled() {
                return Err(Failure::refused(
                    format!(
                        "--memory-technology {styled} names a storage style, which bare bits have none of"
                    ),
                    "expected --memory-technology without a style, or a network instead of --bits",
                ));
            }
            return Ok(Answer {
                exposures: self.rate.exposures(None, &[(None, bits)])?,
                inferences_per_hour: stated,
            });
        }
        let chip = Chip::build(&self.target, None)?;
        let clock = chip.accelerator.clock_mhz();
        let from_clock = clock.zip(chip.accelerator.initiation_interval());
        Ok(Answer {
            exposures: self.rate.on(&chip)?.exposures,
            inferences_per_hour: stated
                .or(from_clock.map(|(mhz, cycles)| mhz * 1e6 * 3600.0 / cycles.max(1) as f64)),
        })
    }

    fn document(&self, answer: &Answer) -> Value {
        let exposures = &answer.exposures;
        let (events, flips) = (exposures.events_per_hour(), exposures.flipped_bits_per_hour());
        let has_band = exposures.has_band();
        let band = |value: Banded| has_band.then_some([value.low, value.high]);
        let mut document = self.rate.json(exposures);
        let mut add = |key: &str, value: Value| document[key] = value;
        add("events_per_hour", json!(events.nominal));
        add("events_per_day", json!(events.nominal * 24.0));
        add("flipped_bits_per_hour", json!(flips.nominal));
        add("flipped_bits_per_day", json!(flips.nominal * 24.0));
        let mttf = exposures.mttf();
        add("mttf_hours", json!(mttf.map(|hours| hours.nominal)));
        add(
            "mttf_years",
            json!(mttf.map(|hours| Hours(hours.nominal).years())),
        );
        add("inferences_per_hour", json!(answer.inferences_per_hour));
        let rate = answer.inferences_per_hour;
        add("events_per_inference", json!(per_inference(events.nominal, rate)));
        add(
            "flipped_bits_per_inference",
            json!(per_inference(flips.nominal, rate)),
        );
        add(
            "band",
            json!({
                "events_per_hour": band(events),
                "flipped_bits_per_hour": band(flips),
                "mttf_hours": mttf.and_then(band),
            }),
        );
        if let Some(hours) = self.mission {
            let (events, flips) = (
                exposures.events_in(Hours(hours)),
                exposures.flipped_bits_in(Hours(hours)),
            );
            let is_bits = document["counts"] == "bit";
            document["hours"] = json!(hours);
            document["mission_hours"] = json!(hours);
            document["expected_upsets"] = json!(if is_bits { flips.nominal } else { events.nominal });
            document["expected_events"] = json!(events.nominal);
            document["expected_flipped_bits"] = json!(flips.nominal);
            document["band"]["expected_events"] = json!(band(events));
            document["band"]["expected_flipped_bits"] = json!(band(flips));
        }
        if let Some(dvf) = self.dvf {
            let functional = events.nominal * dvf;
            document["dvf"] = json!({
                "dvf": dvf,
                "functional_failures_per_hour": functional,
                "fit": functional * 1e9,
                "hours_per_failure": (functional > 0.0).then(|| 1.0 / functional),
                "method": DVF_METHOD,
            });
        }
        document["classes"] = exposures
            .0
            .iter()
            .map(|part| self.class_document(part, answer.inferences_per_hour))
            .collect();
        document["assumptions"] = json!(assumptions(exposures));
        document
    }

    fn class_document(&self, part: &Exposure, inferences_per_hour: Option<f64>) -> Value {
        let assessment = &part.assessment;
        let events = part.events_per_hour();
        let flips = events.nominal * assessment.bits_per_event;
        let mut class = json!({
            "class": part.class,
            "memory_technology": part.technology,
            "stored_bits": part.stored_bits,
            "events_per_bit_hour": assessment.profile.mean_events_per_bit_hour(),
            "bits_per_event": assessment.bits_per_event,
            "cluster_sizes": assessment.clusters.sizes(),
            "share_in_one_word": assessment.clusters.share_in_one_word(1),
            "events_per_hour": events.nominal,
            "events_per_day": events.nominal * 24.0,
            "events_per_inference": per_inference(events.nominal, inferences_per_hour),
            "flipped_bits_per_hour": flips,
            "flipped_bits_per_day": flips * 24.0,
            "flipped_bits_per_inference": per_inference(flips, inferences_per_hour),
            "mttf_hours": (events.nominal > 0.0).then(|| 1.0 / events.nominal),
            "uncertainty_factor": assessment.uncertainty_factor,
            "band": {
                "events_per_hour": assessment.uncertainty_factor.map(|_| [events.low, events.high]),
            },
        });
        if let Some(hours) = self.mission {
            let expected = part.events_in(Hours(hours)).nominal;
            class["expected_events"] = json!(expected);
            class["expected_flipped_bits"] = json!(expected * assessment.bits_per_event);
        }
        if self.explain {
            class["steps"] = json!(assessment.steps);
        }
        class
    }

    fn text(&self, answer: &Answer) -> String {
        let exposures = &answer.exposures;
        let (events, flips) = (exposures.events_per_hour(), exposures.flipped_bits_per_hour());
        let mut lines = vec![
            format!(
                "{} stored bits at {}",
                output::count(exposures.stored_bits()),
                self.rate.source()
            ),
            text_of(exposures, &self.rate),
        ];
        let with_band = |value: Banded| {
            if exposures.has_band() {
                format!(" ({} .. {})", output::short(value.low), output::short(value.high))
            } else {
                String::new()
            }
        };
        if flips.nominal > events.nominal {
            lines.push(row("bits per hour", format!("{:.6e} flipped", flips.nominal)));
        }
        if exposures.has_band() {
            let band = format!("{:.3e} .. {:.3e} per hour", events.low, events.high);
            lines.push(row("known within", band));
        }
        if let Some(rate) = answer.inferences_per_hour.filter(|rate| *rate > 0.0) {
            let upsets = events.nominal / rate;
            let text = format!("{upsets:.6e} ({} inferences per hour)", output::short(rate));
            lines.push(row("per inference", text));
        }
        if let Some(hours) = self.mission {
            let (events, flips) = (
                exposures.events_in(Hours(hours)),
                exposures.flipped_bits_in(Hours(hours)),
            );
            let text = format!("{:.6e} expected", events.nominal);
            lines.push(row(&format!("in {hours} h"), text));
            let text = format!("{} expected{}", output::short(flips.nominal), with_band(flips));
            lines.push(row("  flipped bits", text));
        }
        if let Some(dvf) = self.dvf {
            let failures = format!("{:.6e} failures of the design per hour", events.nominal * dvf);
            lines.push(row(&format!("with DVF {dvf}"), failures));
            lines.push(format!("    {DVF_METHOD}"));
        }
        if exposures.0.len() > 1 {
            lines.push(format!("\n{}", class_table(exposures)));
        }
        if self.explain {
            lines.extend(exposures.0.iter().map(explanation));
        }
        let assumptions = assumptions(exposures);
        if !assumptions.is_empty() {
            lines.push("assumed:".to_owned());
            lines.extend(assumptions.iter().map(|assumption| format!("  {assumption}")));
        }
        lines.join("\n")
    }
}

const DVF_METHOD: &str = "upsets x vulnerability factor only: which configuration bits break the design, and how, is not simulated";

/// Largest number of hours or inferences that anybody means.
const MAX_AMOUNT: f64 = 1e15;

fn check_amount(name: &str, value: Option<f64>) -> Result<(), Failure> {
    match value {
        Some(value) if !(0.0..=MAX_AMOUNT).contains(&value) => Err(Failure::refused(
            format!("{name} = {value} is not an amount"),
            format!("expected a number from 0 to {MAX_AMOUNT:e}"),
        )),
        _ => Ok(()),
    }
}

fn per_inference(per_hour: f64, inferences_per_hour: Option<f64>) -> Option<f64> {
    inferences_per_hour
        .filter(|rate| *rate > 0.0)
        .map(|rate| per_hour / rate)
}

/// What the results rest on, each once.
fn assumptions(exposures: &Exposures) -> Vec<Assumption> {
    let mut all: Vec<Assumption> = Vec::new();
    for assumption in exposures.0.iter().flat_map(|part| &part.assessment.assumptions) {
        if !all.contains(assumption) {
            all.push(assumption.clone());
        }
    }
    all
}

fn class_table(exposures: &Exposures) -> String {
    let rows: Vec<Vec<String>> = exposures
        .0
        .iter()
        .map(|part| {
            let events = part.events_per_hour().nominal;
            vec![
                part.class.clone(),
                part.technology.clone(),
                output::count(part.stored_bits),
                format!("{events:.3e}"),
                format!("{:.3e}", events * part.assessment.bits_per_event),
            ]
        })
        .collect();
    output::table(
        &["class", "technology", "bits", "events/h", "flipped bits/h"],
        &rows,
    )
}

fn explanation(part: &Exposure) -> String {
    let rate = part.assessment.profile.mean_events_per_bit_hour();
    let mut lines = vec![format!("{} ({}):", part.class, part.technology)];
    lines.extend(part.assessment.steps.iter().map(|step| format!("  {step}")));
    lines.push(format!(
        "  {rate:e} events per bit and hour x {} bits = {:e} events per hour",
        part.stored_bits,
        part.events_per_hour().nominal
    ));
    lines.join("\n")
}

/// A rate for people.
pub fn text_of(exposures: &Exposures, options: &RateOptions) -> String {
    let document = options.json(exposures);
    let number = |key: &str| document[key].as_f64().unwrap_or(0.0);
    let mut lines = vec![
        row("upsets per hour", format!("{:.6e}", number("upsets_per_hour"))),
        row("upsets per day", format!("{:.6e}", number("upsets_per_day"))),
        row("FIT", output::short(number("fit"))),
    ];
    if let Some(hours) = document["hours_per_upset"].as_f64() {
        let years = output::short(Hours(hours).years());
        let text = format!("{} ({years} years)", output::short(hours));
        lines.push(row("hours per upset", text));
    }
    lines.join("\n")
}

fn row(label: &str, text: impl std::fmt::Display) -> String {
    format!("  {label:<16} {text}")
}
