//! `radstream campaign --mission --memory`: a memory by itself, without a network.

use std::str::FromStr;

use miette::Diagnostic;
use rayon::prelude::*;
use serde_json::{Value, json};
use thiserror::Error;

use super::Failure;
use super::campaign::write_json;
use super::mission::{MissionOptions, scrub_name};
use super::options::Manner;
use super::output::{self, count, short};
use super::progress::{Bar, heed_interrupts};
use super::rate_options::RateOptions;
use crate::accelerator::{Scrub, Style};
use crate::campaign::Monitor;
use crate::campaign::analytic::{Accumulation, Protected};
use crate::campaign::mission::{
    AfterFailure, Cause, MemorySummary, MissionPlan, Timeline, Workspace, simulate,
};
use crate::data::write_atomically;
use crate::radiation::rate::Hours;
use crate::scheme::{Code, Scheme, SchemeError, Store};

/// A memory by its size and protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySpec {
    /// Number of words.
    words: u64,
    /// How a word is stored.
    code: Code,
    /// Words whose bits take turns along a row.
    interleave: u32,
}

/// Why a text describes no memory.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` describes no memory: {problem}")]
#[diagnostic(
    code(radstream::mission::memory),
    help(
        "expected words=N,bits=N, or bits=N for single bits, and optionally scheme=none|tmr|tmr-word|dmr|parity|secded|secded:N,K and interleave=N; e.g. words=199,bits=72,scheme=secded:72,64"
    )
)]
pub struct MemorySpecError {
    text: String,
    problem: String,
}

/// Most bits of such a memory.
const MAX_BITS: u64 = 1 << 31;

impl FromStr for MemorySpec {
    type Err = MemorySpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| MemorySpecError {
            text: text.to_owned(),
            problem,
        };
        let number = |key: &str, value: &str| {
            value
                .parse::<u64>()
                .ok()
                .filter(|number| (1..=MAX_BITS).contains(number))
                .ok_or_else(|| wrong(format!("{key}={value} is no number from 1 to {MAX_BITS}")))
        };
        // The comma of `secded:72,64` belongs to its value.
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), fields.last_mut()) {
                (Some((key, value)), _) => fields.push((key.trim().to_owned(), value.trim().to_owned())),
                (None, Some((_, value))) => *value = format!("{value},{}", part.trim()),
                (None, None) => return Err(wrong(format!("`{part}` has no `=`"))),
            }
        }
        let (mut words, mut bits, mut interleave) = (None, None, None);
        let mut scheme = None;
        for (key, value) in &fields {
            let known = match key.as_str() {
                "words" => words.replace(number(key, value)?).is_some(),
                "bits" => bits.replace(number(key, value)?).is_some(),
                "interleave" => interleave.replace(number(key, value)?).is_some(),
                "scheme" => scheme.replace(value.as_str()).is_some(),
                _ => return Err(wrong(format!("there is no field `{key}`"))),
            };
            if known {
                return Err(wrong(format!("`{key}` stands twice")));
            }
        }
        let bits = bits.ok_or_else(|| wrong("`bits` is missing".to_owned()))?;
        let (scheme, n_k) = match scheme.unwrap_or("none").split_once(':') {
            None => (scheme.unwrap_or("none"), None),
            Some((name, n_k)) => (name, Some(n_k)),
        };
        let scheme: Scheme = scheme
            .parse()
            .map_err(|error: SchemeError| wrong(error.to_string()))?;
        let (words, word_bits) = match words {
            Some(words) => (words, bits),
            None if scheme.is_of_words() => return Err(wrong("`words` is missing".to_owned())),
            None => (bits, 1),
        };
        let data_bits = match n_k {
            None => word_bits,
            Some(n_k) => {
                let (n, k) = n_k
                    .split_once(',')
                    .filter(|_| scheme == Scheme::Secded)
                    .ok_or_else(|| wrong(format!("only secded takes parameters, N,K; found `{n_k}`")))?;
                let (n, k) = (number("N", n.trim())?, number("K", k.trim())?);
                if n != word_bits {
                    return Err(wrong(format!(
                        "bits={word_bits} are not the {n} bits of a codeword"
                    )));
                }
                let cells = u64::from(Code::new(Scheme::Secded, narrow(k)).cells());
                if cells != n {
                    return Err(wrong(format!(
                        "a SECDED word of {k} data bits has {cells} bits, not {n}"
                    )));
                }
                k
            }
        };
        if words.saturating_mul(data_bits) > MAX_BITS || data_bits > 1 << 20 {
            return Err(wrong(format!(
                "{words} words of {data_bits} bits are beyond {MAX_BITS} bits, or a word beyond 2^20"
            )));
        }
        Ok(Self {
            words,
            code: Code::new(scheme, narrow(data_bits)),
            interleave: interleave.map_or(1, narrow),
        })
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl MemorySpec {
    fn data_bits(&self) -> u64 {
        self.words * u64::from(self.code.data_bits())
    }

    /// For people.
    fn text(&self) -> String {
        let scheme = self.code.scheme();
        let (bits, cells) = (self.code.data_bits(), self.code.cells());
        if bits == 1 && !scheme.is_of_words() {
            return format!("{} bits, {scheme}, {cells} cells each", count(self.words));
        }
        format!(
            "{} words of {bits} data bits, {scheme}, {cells} cells each",
            count(self.words)
        )
    }

    /// Its closed form, where there is one.
    fn analytic(&self, upsets_per_bit_h: f64, scrub: Option<Scrub>, mission: Hours) -> Option<Accumulation> {
        let width = self.code.data_bits();
        let (scheme, units) = match self.code.scheme() {
            Scheme::None => (Protected::None, self.data_bits()),
            Scheme::Tmr => (Protected::Tmr { module_bits: 1 }, self.data_bits()),
            Scheme::TmrWord => (Protected::Tmr { module_bits: width }, self.words),
            Scheme::Secded => (
                Protected::Secded {
                    n: self.code.cells(),
                    k: width,
                },
                self.words,
            ),
            Scheme::Dmr | Scheme::Parity => return None,
        };
        Some(Accumulation {
            scheme,
            units,
            upsets_per_bit_h,
            scrub: scrub.map(|scrub| Hours::from_seconds(scrub.period_s)),
            mission,
        })
    }
}

/// Flies missions of a memory, once for every scrub period.
pub fn run(
    spec: &MemorySpec,
    options: &MissionOptions,
    rate: &RateOptions,
    manner: &Manner,
) -> Result<(), Failure> {
    let duration = options.duration()?;
    let mut struck = options.struck(rate, None, spec.data_bits())?;
    struck.note_copies(std::iter::once(spec.code.scheme()));
    let scrubs: Vec<Option<Scrub>> = if options.scrub_s.is_empty() {
        vec![None]
    } else {
        options.scrub_s.iter().map(|choice| choice.0).collect()
    };
    heed_interrupts();
    let mut documents = Vec::new();
    let mut rows = Vec::new();
    let mut records = String::from(HEADER);
    for scrub in scrubs {
        let store = Store::memory(
            spec.words,
            spec.code.data_bits(),
            spec.interleave,
            spec.code.scheme(),
        );
        let exposures = struck.on(&store, |_| Style::Registers);
        let plan = MissionPlan {
            scrub,
            refresh_s: options.refresh_s,
            after_failure: AfterFailure::PutRight,
            reads_continuously: false,
            keep_changes: false,
            given_strike: options.given_strike,
            seed: manner.seed,
            ..MissionPlan::new(store, exposures, duration)
        };
        plan.check()?;
        let timelines = fly(&plan, options.repetitions, manner)?;
        let summary = MemorySummary::new(&plan, &timelines);
        record(&mut records, &scrub_name(scrub), &timelines);
        let closed = options
            .analytic
            .then(|| closed_form(spec, &plan, scrub))
            .flatten();
        rows.push(row(scrub, &summary, closed.as_ref()));
        let mut document = json!(summary);
        document["scrub"] = json!(scrub);
        document["refresh_s"] = json!(options.refresh_s);
        if options.analytic {
            document["analytic"] = closed.map_or(Value::Null, |form| {
                json!({
                    "expected_failures": form.expected_failures(),
                    "p_any": form.p_any(),
                    "method": "independent single-bit upsets at the mean rate; every interval starts from right words",
                })
            });
        }
        documents.push(document);
    }
    let document = json!({
        "kind": "mission",
        "memory": {
            "words": spec.words,
            "data_bits_per_word": spec.code.data_bits(),
            "cells_per_word": spec.code.cells(),
            "scheme": spec.code.scheme(),
            "interleave": spec.interleave,
        },
        "failure_means": FAILURE_MEANS,
        "rate": struck.source,
        "assumptions": struck.assumptions,
        "seed": manner.seed,
        "scrubbing": documents,
    });
    if let Some(out) = &manner.out {
        output::prepare_folder(out)?;
        write_json(&out.join("summary.json"), &document)?;
        let file = out.join("records.csv");
        write_atomically(&file, |writer| {
            std::io::Write::write_all(writer, records.as_bytes())
        })
        .map_err(|error| Failure::writing(&file, &error))?;
    }
    if manner.json {
        return output::json(&document);
    }
    output::line(&format!(
        "{}, {} missions of {} h each at {}\n",
        spec.text(),
        count(options.repetitions),
        duration.0,
        struck.source
    ))?;
    let mut header = vec![
        "scrubbing",
        "strikes",
        "wrong bits at end",
        "failures per mission",
        "95 % bootstrap",
        "reported",
        "silent",
        "single strikes",
    ];
    if options.analytic {
        header.push("closed form");
    }
    output::line(&output::table(&header, &rows))?;
    output::line(&format!("\n{FAILURE_MEANS}"))?;
    if options.given_strike {
        output::line("only missions with at least one strike were flown; numbers are those of all missions")?;
    }
    for assumption in &struck.assumptions {
        output::line(&format!("assumed: {assumption}"))?;
    }
    Ok(())
}

const HEADER: &str =
    "scrubbing,repetition,events,flips,wrong_bits_at_end,reloads,detected,silent,single_event,accumulated\n";

/// One line per mission.
fn record(records: &mut String, scrub: &str, timelines: &[Timeline]) {
    for (repetition, timeline) in timelines.iter().enumerate() {
        let accumulated = timeline.found_by_cause[Cause::Accumulation as usize];
        records.push_str(&format!(
            "{scrub},{repetition},{},{},{},{},{},{},{},{accumulated}\n",
            timeline.events,
            timeline.flips,
            timeline.observations.last().map_or(0, |end| end.wrong_bits),
            timeline.reloads,
            timeline.found_detected,
            timeline.found_silent,
            timeline.found() - accumulated,
        ));
    }
}

const FAILURE_MEANS: &str = "a failure is a word (or a bit by itself) that is found wrong or beyond correction at the end of a scrub interval or of the mission; it is counted and put right";

/// Missions of one progress step.
const BLOCK: u64 = 1024;

fn fly(plan: &MissionPlan, repetitions: u64, manner: &Manner) -> Result<Vec<Timeline>, Failure> {
    let bar = Bar::new("missions", repetitions, manner.quiet);
    let mut timelines = Vec::new();
    let mut next = 0;
    while next < repetitions {
        if bar.stopped() {
            return Err(Failure::work("stopped"));
        }
        let end = repetitions.min(next + BLOCK);
        let block: Vec<Timeline> = (next..end)
            .into_par_iter()
            .map_init(Workspace::default, |workspace, trial| {
                simulate(plan, trial, workspace)
            })
            .collect();
        timelines.extend(block);
        bar.advance(end - next);
        next = end;
    }
    bar.finish();
    Ok(timelines)
}

fn closed_form(spec: &MemorySpec, plan: &MissionPlan, scrub: Option<Scrub>) -> Option<Accumulation> {
    let single = plan
        .exposures
        .iter()
        .all(|exposure| exposure.clusters.mean_bits() == 1.0);
    if !single || plan.refresh_s.is_some() || plan.has_permanent_faults() {
        return None;
    }
    let [exposure] = &plan.exposures[..] else {
        return None;
    };
    spec.analytic(exposure.strikes.mean_events_per_bit_hour(), scrub, plan.duration)
}

fn row(scrub: Option<Scrub>, summary: &MemorySummary, closed: Option<&Accumulation>) -> Vec<String> {
    let interval = &summary.failures_per_mission.interval;
    let mut row = vec![
        scrub_name(scrub),
        short(summary.events.mean),
        short(summary.wrong_bits_at_end.mean),
        short(summary.failures_per_mission.mean),
        format!("{} .. {}", short(interval.low), short(interval.high)),
        short(summary.detected_per_mission.mean),
        short(summary.silent_per_mission.mean),
        short(summary.single_event_per_mission.mean),
    ];
    if let Some(closed) = closed {
        row.push(short(closed.expected_failures()));
    }
    row
}
